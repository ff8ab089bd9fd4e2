/* The project CA: issues certificates of the flavours of TS-0003 10.1.1, revokes them, keeps the
 * list of both and signs the CRL. Its key stays in the secure environment. */
#pragma once

#include "crypto/x509.h"
#include "se/se.h"

/** Where the CA keeps its files; filled from above. Names are plain file names. */
struct bst_pki_host {
    void *ctx;
    bst_result (*read)(void *ctx, const char *name, struct bst_buf *ret); /* BST_E_NOT_FOUND */
    bst_result (*replace)(void *ctx, const char *name, struct bst_view bytes); /* atomic, durable */
    int64_t (*wall_us)(void *ctx);
};

#define BST_PKI_CA_FILE "ca.pem"
#define BST_PKI_CRL_FILE "ca.crl"
#define BST_PKI_INDEX_FILE "index.jsonl"
#define BST_PKI_KEY_LABEL "pki.ca"

struct bst_pki;

/** Make the CA: a P-256 key in `se`, a self-signed certificate, an empty CRL.
 *
 * @param name      common name
 * @param domain    the CA is constrained to dNSNames and URIs below it; empty: no constraint
 * @error BST_E_EXISTS  there is a CA already
 */
bst_result bst_pki_create(const struct bst_pki_host *host, struct bst_se *se, struct bst_view name,
                          struct bst_view domain, int64_t life_us);
/** @param host  copied; `se` is borrowed. Not for several threads at once. */
bst_result bst_pki_open(const struct bst_pki_host *host, struct bst_se *se, struct bst_pki **ret);
void bst_pki_close(struct bst_pki **pki);
/** Borrowed PEM of the CA. */
struct bst_view bst_pki_ca_pem(const struct bst_pki *pki);

struct bst_pki_order {
    struct bst_view common_name;
    enum bst_cert_flavour flavour;
    struct bst_view name;
    enum bst_cert_role role;
    int64_t not_before_us, not_after_us; /* 0: now, and a year from then */
};
/** Issue a certificate for a public key (DER SubjectPublicKeyInfo); recorded before it is returned. */
bst_result bst_pki_issue(struct bst_pki *pki, const struct bst_pki_order *order,
                         struct bst_view spki_der, struct bst_buf *ret_pem);
/** The same for a certificate request, whose names count unless the order gives one. */
bst_result bst_pki_issue_csr(struct bst_pki *pki, const struct bst_pki_order *order,
                             struct bst_view csr, struct bst_buf *ret_pem);

/** One certificate in the list. */
struct bst_pki_entry {
    char serial[48];
    char name[BST_CERT_NAME_BYTES];
    enum bst_cert_flavour flavour;
    int64_t issued_us, not_after_us;
    int64_t revoked_us; /* 0: good */
    int reason;
};
size_t bst_pki_count(const struct bst_pki *pki);
const struct bst_pki_entry *bst_pki_entry_at(const struct bst_pki *pki, size_t i);

/** Revoke by serial number (upper-case hex) or by name (all that carry it); writes the list and a
 * new CRL. *ret_count: how many became revoked.
 * @error BST_E_NOT_FOUND  the CA issued no such certificate */
bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view serial_or_name, int reason,
                          size_t *ret_count);
/** Sign a new CRL: before the old one ends. */
bst_result bst_pki_renew_crl(struct bst_pki *pki);
/** Validity of a CRL. */
#define BST_PKI_CRL_LIFE_US (INT64_C(7) * 86400 * 1000000)
