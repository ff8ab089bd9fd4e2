/* Certificates: names by flavour, verification against a trust store, fingerprints.
 *
 * OpenSSL's X509 objects cross the folder border as `struct x509_st`; only crypto and tls look
 * inside. */
#pragma once

#include "crypto/pkey.h"

struct x509_st;       /* X509 */
struct stack_st_X509; /* STACK_OF(X509) */

void bst_cert_free(struct x509_st **cert);
#define bst_auto_cert __attribute__((cleanup(bst_cert_free))) struct x509_st
/** One certificate from DER, or the first from PEM. */
bst_result bst_cert_load(struct bst_view text, struct x509_st **ret);
/** All certificates of a PEM file, in order; each goes to `each`, which takes it.
 * @param ret_count how many, at least one */
bst_result bst_cert_load_all(struct bst_view pem,
                             bst_result (*each)(void *ctx, struct x509_st *take_cert), void *ctx,
                             size_t *ret_count);
bst_result bst_cert_der(const struct x509_st *cert, struct bst_buf *ret);
bst_result bst_cert_pem(const struct x509_st *cert, struct bst_buf *ret);
/** New reference to the certificate's public key. */
bst_result bst_cert_public_key(const struct x509_st *cert, struct evp_pkey_st **ret);

/* ---- names ---- */

/** Certificate flavours of TS-0003 10.1.1. A CSE-ID and an FQDN certificate look alike (dNSName);
 * what is expected of the peer tells them apart. */
enum bst_cert_flavour {
    BST_CERT_AE = 1 << 0,     /* 10.1.1.5: URI, scheme:Absolute-AE-ID */
    BST_CERT_CSE = 1 << 1,    /* 10.1.1.7: dNSName, public domain name of the CSE */
    BST_CERT_NODE = 1 << 2,   /* 10.1.1.8: URI (urn: and others) with the M2M-Node-ID */
    BST_CERT_DEVICE = 1 << 3, /* 10.1.1.4: otherName, hardware instance identifier */
    BST_CERT_FQDN = 1 << 4,   /* 10.1.1.6: dNSName or URI with the FQDN of a MEF or MAF */
};
const char *bst_cert_flavour_name(enum bst_cert_flavour flavour);

#define BST_CERT_NAMES_MAX 32
#define BST_CERT_NAME_BYTES 256

/** One subjectAltName, as text: the name as the flavour compares it. */
struct bst_cert_name {
    unsigned flavours; /* enum bst_cert_flavour bits that this name can stand for */
    char
        text[BST_CERT_NAME_BYTES]; /* AE: "//sp/..."; DNS: lower case; URI whole; device: dotted OID
                                    * "<type-id>.<remaining arcs>", or "<type-id>:<text>" */
};
struct bst_cert_names {
    struct bst_cert_name *names; /* owned */
    size_t n;
};
void bst_cert_names_clear(struct bst_cert_names *names);
/** Names of a certificate. Refuses wildcards, NUL and control characters, more than
 * BST_CERT_NAMES_MAX names and names that are too long; skips name types that no flavour uses.
 * @clause TS-0003 10.1.1 */
bst_result bst_cert_names(const struct x509_st *cert, struct bst_cert_names *ret);
/** Is the name that the flavour calls for there, exactly? BST_E_BAD_CERT with what is there
 * instead. */
bst_result bst_cert_expect(const struct x509_st *cert, enum bst_cert_flavour flavour,
                           struct bst_view name);
/** Issuer and subject have one name: a root, or one that looks like it. */
bool bst_cert_self_issued(const struct x509_st *cert);
/** Certificates of one CA for one key that allow the same: name, key, basic and name constraints.
 */
bool bst_cert_same_authority(const struct x509_st *one, const struct x509_st *other);
/** Common name of the subject, for people; "" when there is none. */
void bst_cert_subject_text(const struct x509_st *cert, char *out, size_t cap);

/* ---- facts ---- */

struct bst_cert_facts {
    int64_t not_before_us, not_after_us; /* wall */
    bool ca;
    char serial[48];                  /* upper-case hex */
    uint8_t sha256[BST_SHA256_BYTES]; /* of the DER certificate */
    uint8_t spki_sha256[BST_SHA256_BYTES];
};
bst_result bst_cert_facts(const struct x509_st *cert, struct bst_cert_facts *ret);

/** Public key identifier, TS-0003 10.1.2 (RFC 6920, sha-256 whole): "sha-256;<base64url>". */
#define BST_KEY_ID_LEN 51
bst_result bst_spki_identifier(struct bst_view spki_der, char out[BST_KEY_ID_LEN + 1]);
/** Match with the algorithm that the trusted identifier names: sha-256, sha-256-128, sha-256-120.
 * @error BST_E_BAD_CERT  another key  @error BST_E_SYNTAX  not such an identifier */
bst_result bst_spki_identifier_match(struct bst_view trusted, struct bst_view spki_der);

/* ---- trust ---- */

enum bst_crl_policy {
    BST_CRL_REQUIRE,       /* every certificate below an anchor needs a current CRL */
    BST_CRL_ALLOW_MISSING, /* a CRL that is there counts, even a stale one; none is no objection */
    BST_CRL_OFF,
};
enum bst_cert_role { BST_CERT_ANY_ROLE, BST_CERT_TLS_CLIENT, BST_CERT_TLS_SERVER };

/** Anchors, CRLs and policy. Filled by one thread, then read by many; replaced whole. */
struct bst_trust;
bst_result bst_trust_new(enum bst_crl_policy crl_policy, struct bst_trust **ret);
struct bst_trust *bst_trust_hold(struct bst_trust *trust);
void bst_trust_drop(struct bst_trust **trust);
/** All certificates of a PEM or DER text become anchors: roots, intermediate CAs, or a leaf that is
 * trusted for itself only. Refuses MD5, SHA-1 and keys other than EC P-256, P-384 and Ed25519. */
bst_result bst_trust_add_anchors(struct bst_trust *trust, struct bst_view text);
/** PEM (several) or DER. Its signature is checked when a chain uses it. */
bst_result bst_trust_add_crls(struct bst_trust *trust, struct bst_view text);
/** Intermediates that peers may leave out. */
bst_result bst_trust_add_intermediates(struct bst_trust *trust, struct bst_view text);
size_t bst_trust_anchor_count(const struct bst_trust *trust);
/** Borrowed; NULL past the end. For the list of acceptable CAs in a handshake. */
struct x509_st *bst_trust_anchor(const struct bst_trust *trust, size_t index);

/** Verify a chain at a given time.
 *
 * RFC 5280 6.1 by OpenSSL; the name constraints that it cannot judge (otherName, urn: URIs) by our
 * own code, exactly when it says so. Signatures with MD5 or SHA-1 and keys other than EC P-256,
 * P-384 and Ed25519 are refused.
 *
 * @param chain       untrusted intermediates, may be NULL
 * @param now_us      wall time
 * @error BST_E_BAD_CERT  no path, constraint, purpose, weak signature: the detail says which
 * certificate
 * @error BST_E_EXPIRED   not valid at this time
 * @error BST_E_REVOKED   revoked, or no current CRL although the policy requires one
 * @clause TS-0003 8.1.2.2 */
bst_result bst_trust_verify(const struct bst_trust *trust, struct x509_st *leaf,
                            struct stack_st_X509 *chain, enum bst_cert_role role, int64_t now_us);

/* ---- building ---- */

struct bst_cert_san {
    enum bst_cert_flavour flavour;
    struct bst_view name; /* AE: Absolute AE-ID "//sp/S1" (m2m: is put before it); CSE, FQDN: domain
                           * name; NODE: URI; DEVICE: "<type-id>:<remaining arcs>", both dotted */
};
/** One permitted subtree. CSE, FQDN: domain "example.com" and what is below it. AE: host of the
 * URI, exact, or ".example.com" for what is below. NODE: URI prefix "urn:dev:mac". DEVICE:
 * "<type-id>:" or
 * "<type-id>:<leading arcs>". */
struct bst_cert_permit {
    enum bst_cert_flavour flavour;
    struct bst_view name;
};
struct bst_cert_spec {
    struct bst_view common_name;
    const struct bst_cert_san *sans;
    size_t n_sans;
    bool ca;
    int path_len;            /* of a CA, -1 = no limit */
    enum bst_cert_role role; /* extended key usage; ANY_ROLE: both */
    int64_t not_before_us, not_after_us;
    const struct bst_cert_permit *permits; /* of a CA: names outside are refused below it */
    size_t n_permits;
};
/** Issue a certificate; serial: 16 random bytes. Appends DER.
 * @param issuer      NULL: self-signed
 * @param issuer_key  may be an external key */
bst_result bst_cert_issue(const struct bst_cert_spec *spec, struct evp_pkey_st *subject_key,
                          const struct x509_st *issuer, struct evp_pkey_st *issuer_key,
                          struct bst_buf *ret_der);
bst_result bst_der_to_pem(const char *name, struct bst_view der, struct bst_buf *ret);

struct bst_csr {
    struct evp_pkey_st *key;
    struct bst_cert_names names;
    char subject[BST_CERT_NAME_BYTES];
};
/** DER certificate request with subjectAltName in the extension request (TS-0003 10.1.4). */
bst_result bst_csr_build(const struct bst_cert_spec *spec, struct evp_pkey_st *key,
                         struct bst_buf *ret_der);
/** Parse DER or PEM and check the signature of the request. */
bst_result bst_csr_parse(struct bst_view text, struct bst_csr *ret);
void bst_csr_clear(struct bst_csr *csr);

struct bst_revocation {
    char serial[48]; /* upper-case hex */
    int64_t when_us;
    int reason; /* RFC 5280 5.3.1; 0 unspecified */
};
/** Sign a CRL; appends DER. */
bst_result bst_crl_build(const struct x509_st *issuer, struct evp_pkey_st *issuer_key,
                         const struct bst_revocation *entries, size_t n, uint64_t number,
                         int64_t this_us, int64_t next_us, struct bst_buf *ret_der);
/** What a CRL says, DER or PEM; entries are freed by bst_crl_clear(). The signature is checked with
 * `issuer_key` when that is given. */
struct bst_crl {
    struct bst_revocation *entries;
    size_t n;
    uint64_t number;
    int64_t this_us, next_us; /* next 0: not stated */
};
bst_result bst_crl_parse(struct bst_view text, struct evp_pkey_st *issuer_key, struct bst_crl *ret);
void bst_crl_clear(struct bst_crl *crl);
