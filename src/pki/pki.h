/* A small certification authority for a project: its key in the secure environment, its certificate
 * and revocation list as two files. For `bastide init`, tests and small deployments; not a public
 * CA. */
#pragma once

#include "crypto/x509.h"
#include "se/se.h"

struct bst_pki;

struct bst_pki_config {
    struct bst_se *se;              /* borrowed; outlives the authority */
    const struct bst_se_host *host; /* reads and replaces the files; clock */
    const char *dir;                /* <dir>/<name>.crt and <dir>/<name>.crl, both PEM */
    const char *name;               /* [a-z0-9-] */
    const char *label;              /* of the key; NULL: "pki.<name>" */
    int64_t crl_lifetime_us;        /* until a new list is due; 0: 30 days */
};

/** Make a new authority with an EC P-256 key.
 *
 * After a crash half-way the same call goes on; an authority that is complete is BST_E_EXISTS.
 * @param permits  what its certificates may name [TS-0003, 8.1.2.2]; none: everything
 * @param parent   signs its certificate; NULL: self-signed */
bst_result bst_pki_create(const struct bst_pki_config *config, struct bst_view common_name,
                          const struct bst_cert_permit *permits, size_t n_permits,
                          struct bst_pki *parent, int64_t lifetime_us, struct bst_pki **ret);
/** @error BST_E_NOT_FOUND  there is none of this name
 *  @error BST_E_CORRUPT    certificate, key and list do not belong together */
bst_result bst_pki_open(const struct bst_pki_config *config, struct bst_pki **ret);
void bst_pki_close(struct bst_pki **pki);

/** PEM, appended. */
bst_result bst_pki_cert(struct bst_pki *pki, struct bst_buf *ret_pem);
bst_result bst_pki_crl(struct bst_pki *pki, struct bst_buf *ret_pem);

struct bst_pki_order {
    struct bst_view common_name;      /* for people; may be empty */
    const struct bst_cert_san *names; /* what the certificate says */
    size_t n_names;
    enum bst_cert_role role;
    int64_t begin_us;    /* 0: now */
    int64_t lifetime_us; /* from then on; ends with the authority's own certificate at the latest */
};
/** Certificate for a public key (DER SubjectPublicKeyInfo or PEM). Appends PEM.
 * The caller has decided that the key's holder is entitled to the names. @thread any */
bst_result bst_pki_issue(struct bst_pki *pki, const struct bst_pki_order *order,
                         struct bst_view public_key, struct bst_buf *ret_pem);
/** Certificate for a request: its key, and the names of `order`. Every name that the request asks
 * for must be among them.
 * @error BST_E_DENIED   the request asks for another name
 * @error BST_E_BAD_MAC  not signed by its own key */
bst_result bst_pki_issue_csr(struct bst_pki *pki, const struct bst_pki_order *order,
                             struct bst_view csr, struct bst_buf *ret_pem);
/** Revoke by serial number (upper-case hex); the new list is durable when this returns success.
 * A number that is revoked already stays as it is. @param reason RFC 5280 5.3.1 */
bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view serial, int reason);
/** Sign the list anew, before it is due. */
bst_result bst_pki_crl_renew(struct bst_pki *pki);
