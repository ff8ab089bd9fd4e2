/* The project CA as the daemon and init use it: what it issued is on record by name, so that it can
 * be found again for revocation. */
#pragma once

#include "app/state.h"

#define BST_CA_FILE "pki/ca.crt"
#define BST_CRL_FILE "pki/ca.crl"

/** Open the project CA; BST_E_NOT_FOUND when the state has none. */
bst_result bst_ca_open(struct bst_state *state, struct bst_pki **ret);
/** Open it once more, with its key where this configuration has it; the one before, which may be
 * NULL, is closed when that succeeds. */
bst_result bst_ca_reopen(struct bst_state *state, const struct bst_config *config,
                         struct bst_pki **pki);
/** Make it; its names are bound to the SP domain. */
bst_result bst_ca_create(struct bst_state *state, struct bst_pki **ret);
#define CA_LIFE_US (INT64_C(10) * 365 * 86400 * BST_US_PER_S)
/** Its name for people, which ends with `suffix`. */
bst_result bst_ca_name(const struct bst_state *state, const char *suffix, char out[65]);
#define BST_CA_PERMITS 3
/** What it may certify: names of other domains are not ours. */
size_t bst_ca_permits(const struct bst_state *state, struct bst_cert_permit out[BST_CA_PERMITS]);

struct bst_ca_order {
    enum bst_cert_flavour flavour;
    struct bst_view name;
    struct bst_view common_name; /* empty: the name */
    enum bst_cert_role role;
    int64_t begin_us; /* 0: now */
    int64_t lifetime_us;
};
/** Issue, and put it on record before it is returned. `spki` is DER or PEM; appends PEM: the
 * certificate, and behind it what leads to former roots that are still trusted. */
bst_result bst_ca_issue(struct bst_state *state, struct bst_pki *pki,
                        const struct bst_ca_order *order, struct bst_view spki,
                        struct bst_buf *ret_pem);

struct bst_issued {
    char serial[48];
    char issuer[48]; /* serial number of the root; "" in old records */
    char name[BST_CERT_NAME_BYTES];
    enum bst_cert_flavour flavour;
    int64_t ends_us, revoked_us; /* revoked 0: good */
};
/** All that was issued, oldest first; the array is the caller's to bst_free(). */
bst_result bst_ca_list(const struct bst_state *state, struct bst_issued **ret, size_t *ret_n);
/** Revoke by serial number or by name (all that carry it). *ret_n: how many.
 * @error BST_E_NOT_FOUND  the CA issued no such certificate */
bst_result bst_ca_revoke(struct bst_state *state, struct bst_pki *pki, struct bst_view which,
                         int reason, size_t *ret_n);
