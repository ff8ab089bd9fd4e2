/* What the maker of a security chip certifies of it (TCG EK Credential Profile for TPM 2.0).
 *
 * These certificates are not of the oneM2M profile: RSA is usual, the key only decrypts, and the
 * subject is described by attributes of the TCG. */
#pragma once

#include "base/text.h"

struct bst_endorsement {
    struct bst_buf spki; /* DER, of the endorsement key */
    char maker[24];      /* "id:49465800", "" when it is not stated */
    char model[64];      /* as the maker wrote it */
    char issuer[96];     /* common name */
    bool evaluated;      /* it states a Common Criteria or FIPS 140 evaluation of the chip */
};
void bst_endorsement_clear(struct bst_endorsement *endorsement);
/** Verify an EK certificate and read it.
 *
 * @param chain  intermediates, DER one after the other; may be empty
 * @param roots  trusted makers: PEM, or DER one after the other
 * @param now_us wall time; 0: validity in time is not looked at
 * @error BST_E_BAD_CERT  no path to a root, or not an EK certificate  @error BST_E_EXPIRED */
bst_result bst_endorsement_verify(struct bst_view cert_der, struct bst_view chain,
                                  struct bst_view roots, int64_t now_us,
                                  struct bst_endorsement *ret);
