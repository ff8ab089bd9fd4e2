/* A small certification authority for a project: its key in the secure environment, its certificate
 * and revocation list as two files. For `bastide init`, tests and small deployments; not a public
 * CA. */
#pragma once

#include "crypto/x509.h"
#include "se/se.h"

struct bst_pki;

/** Where the keys of an authority are that has changed its key. */
struct bst_pki_keys {
    void *ctx;
    /** The key of a certificate (PEM); *ret_se is borrowed for the call. */
    bst_result (*find)(void *ctx, struct bst_view cert, struct bst_se **ret_se, bst_key *ret);
};

struct bst_pki_config {
    struct bst_se *se;               /* borrowed; outlives the authority */
    const struct bst_se_host *host;  /* reads and replaces the files; clock */
    const char *dir;                 /* <dir>/<name>.crt, .crl and .chain, all PEM */
    const char *name;                /* [a-z0-9-] */
    const char *label;               /* of the key; NULL: "pki.<name>" */
    const struct bst_pki_keys *keys; /* asked while it is opened; NULL: `label` in `se` */
    int64_t crl_lifetime_us;         /* until a new list is due; 0: 30 days */
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

/* ---- one key after another ---- */

/* After a change of keys the former root stays trusted for a while, signs its own list, and has
 * signed a certificate for the new key: who knows only the former root comes to the new one by it
 * (RFC 4210 4.4). The first certificate of <name>.crt is the present one. */
#define BST_PKI_FORMER_MAX 4

/** All roots that are trusted, the present one first. PEM, appended. */
bst_result bst_pki_roots(struct bst_pki *pki, struct bst_buf *ret_pem);
/** What goes behind a certificate, so that former roots are enough. PEM, appended; may be empty. */
bst_result bst_pki_chain(struct bst_pki *pki, struct bst_buf *ret_pem);
/** How many former roots are trusted. */
size_t bst_pki_former(const struct bst_pki *pki);
/** Root 0 is the present one, 1 the one before it. *ret_key: its key is at hand. */
bst_result bst_pki_root(const struct bst_pki *pki, size_t index, struct bst_cert_facts *ret,
                        bool *ret_key);

struct bst_pki_successor {
    struct bst_se *se;
    bst_key key;
    struct bst_view common_name; /* another than before */
    const struct bst_cert_permit *permits;
    size_t n_permits;
    int64_t lifetime_us;
};
/** Put a new key in the place of the present one, in the files; open the authority anew to use it.
 *
 * The last of three files decides: a crash before it leaves the authority as it was.
 * @error BST_E_LIMIT   too many former roots: retire some
 * @error BST_E_EXISTS  the key is one of the authority already */
bst_result bst_pki_succeed(struct bst_pki *pki, const struct bst_pki_successor *next);
/** Trust only the latest `keep` former roots; in the files, as above. */
bst_result bst_pki_retire(struct bst_pki *pki, size_t keep);

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
 * A number that is revoked already stays as it is.
 * @param issuer  serial number of the root that issued it; empty: unknown, on every list
 * @param reason  RFC 5280 5.3.1
 * @error BST_E_BUSY  the key of that root is not at hand */
bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view issuer, struct bst_view serial,
                          int reason);
/** Sign the lists anew, before they are due. What can be signed is, also when this fails. */
bst_result bst_pki_crl_renew(struct bst_pki *pki);
