/* Every label and derivation formula of TS-0003 10.3, each once. Keys stay inside `se`. */
#pragma once

#include "se/se.h"

/* RFC 5705 export, no context, 48 octets: identifier in the first 16, key in the last 32 (10.3.1).
 */
#define BST_EXPORTER_ENROLMENT "EXPORTER-oneM2M-Bootstrap"
#define BST_EXPORTER_CONNECTION "EXPORTER-oneM2M-Connection"
#define BST_EXPORTER_ESCERTKE "EXPORTER-oneM2M-ESCertKE"
enum { BST_EXPORT_LEN = 48, BST_EXPORT_ID_LEN = 16, BST_EXPORT_KEY_LEN = 32 };

/** RelativeKeID or RelativeKeyID: upper-case hexBinary of the exported identifier. */
#define BST_RELATIVE_ID_LEN 32
void bst_relative_key_id(const uint8_t id[BST_EXPORT_ID_LEN], char ret[BST_RELATIVE_ID_LEN + 1]);
/** KeID and Key Identifier: hexBinary(id) "@" FQDN (10.3.4, 10.3.5). */
#define BST_KEY_ID_MAX (BST_RELATIVE_ID_LEN + 1 + 253)
bst_result bst_key_id(struct bst_view relative_id, struct bst_view fqdn,
                      char ret[BST_KEY_ID_MAX + 1]);

/** Km = HMAC-SHA-256(Ke, label || MAF-ID), 10.3.2. Ids are ASCII, where NFKC changes nothing. */
bst_result bst_derive_km(struct bst_se *se, bst_key ke, struct bst_view maf_id,
                         const struct bst_key_attrs *attrs, bst_key *ret);
/** Kpsa = HMAC-SHA-256(Ke, label || Enrolee-B-ID), 10.3.3. */
bst_result bst_derive_kpsa(struct bst_se *se, bst_key ke, struct bst_view enrolee_b_id,
                           const struct bst_key_attrs *attrs, bst_key *ret);
/** Usage-constrained key = HMAC-SHA-256(Ke, label || SUID in decimal ||
 * Enrolment-Target-ID), 10.3.7. */
bst_result bst_derive_usage(struct bst_se *se, bst_key ke, int suid, struct bst_view target_fqdn,
                            const struct bst_key_attrs *attrs, bst_key *ret);
