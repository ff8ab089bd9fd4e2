/* Building: certificates of every flavour, requests, revocation lists (TS-0003 10.1.1, 10.1.4). */
#include "crypto/x509_priv.h"

#include "crypto/rand.h"

#include <openssl/pem.h>
#include <time.h>

/* [TS-0003, 10.1.1.5] no scheme is named for the URI of an AE-ID; this one is emitted. */
#define AE_SCHEME "m2m:"
#define SERIAL_BYTES 16
#define KEY_ID_BYTES 20

BST_OSSL_AUTO(GENERAL_NAME, general_name, GENERAL_NAME_free)
BST_OSSL_AUTO(GENERAL_SUBTREE, subtree, GENERAL_SUBTREE_free)
BST_OSSL_AUTO(OTHERNAME, othername, OTHERNAME_free)
BST_OSSL_AUTO(ASN1_STRING, asn1_string, ASN1_STRING_free)
BST_OSSL_AUTO(ASN1_OBJECT, asn1_object, ASN1_OBJECT_free)
BST_OSSL_AUTO(ASN1_OCTET_STRING, octets, ASN1_OCTET_STRING_free)
BST_OSSL_AUTO(AUTHORITY_KEYID, akid, AUTHORITY_KEYID_free)
BST_OSSL_AUTO(EXTENDED_KEY_USAGE, eku, EXTENDED_KEY_USAGE_free)
BST_OSSL_AUTO(X509_REVOKED, revoked, X509_REVOKED_free)
BST_OSSL_AUTO(ASN1_ENUMERATED, enumerated, ASN1_ENUMERATED_free)

static inline void bst_extensions_free_(STACK_OF(X509_EXTENSION) * *list)
{
    sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
    *list = NULL;
}

/* ---- names ---- */

static bst_result relative_oid(struct bst_view arcs, struct bst_buf *ret)
{
    while (arcs.len) {
        struct bst_view text;
        uint64_t arc;
        bst_view_cut(&arcs, '.', &text);
        BST_TRY(bst_parse_u64(text, &arc));
        uint8_t bytes[10];
        size_t n = 0;
        do {
            bytes[n++] = arc & 0x7f;
            arc >>= 7;
        } while (arc);
        while (n--) {
            bst_buf_addc(ret, (char)(bytes[n] | (n ? 0x80 : 0)));
        }
    }
    return bst_buf_check(ret);
}

/* "<type-id>:<arcs>" */
static bst_result make_othername(struct bst_view name, GENERAL_NAME *out)
{
    struct bst_view arcs = name, head;
    char type_id[BST_CERT_NAME_BYTES];
    if (!bst_view_cut(&arcs, ':', &head)) {
        BST_FAIL(BST_E_VALUE, "device identifier '%.*s' is not <type-id>:<remaining arcs>",
                 BST_VIEW_ARGS(name));
    }
    BST_TRY(bst_view_copy(head, type_id, sizeof type_id));
    bst_auto(buf) content = {0};
    BST_TRY(relative_oid(arcs, &content));
    bst_auto_ossl(othername) OTHERNAME *other = OTHERNAME_new();
    bst_auto_ossl(asn1_object) ASN1_OBJECT *type = OBJ_txt2obj(type_id, 1);
    bst_auto_ossl(asn1_string) ASN1_STRING *value = ASN1_STRING_type_new(BST_TAG_RELATIVE_OID);
    if (!other || !type || !value ||
        ASN1_STRING_set(value, content.ptr ? content.ptr : "", (int)content.len) != 1) {
        return bst_crypto_fail(BST_E_VALUE, "'%s' is no object identifier", type_id);
    }
    ASN1_OBJECT_free(other->type_id);
    other->type_id = bst_steal(&type);
    ASN1_TYPE_set(other->value, BST_TAG_RELATIVE_OID, bst_steal(&value));
    GENERAL_NAME_set0_value(out, GEN_OTHERNAME, bst_steal(&other));
    return BST_OK;
}

static bst_result make_ia5(int type, struct bst_view prefix, struct bst_view text,
                           GENERAL_NAME *out)
{
    bst_auto(buf) whole = {0};
    bst_buf_addv(&whole, prefix);
    bst_buf_addv(&whole, text);
    BST_TRY(bst_buf_check(&whole));
    bst_auto_ossl(asn1_string) ASN1_STRING *string = ASN1_IA5STRING_new();
    if (!string || ASN1_STRING_set(string, whole.ptr, (int)whole.len) != 1) {
        return bst_error(BST_E_NOMEM);
    }
    GENERAL_NAME_set0_value(out, type, bst_steal(&string));
    return BST_OK;
}

static bst_result check_name_text(struct bst_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '*') {
            BST_FAIL(BST_E_VALUE,
                     "a name for a certificate has a blank, a wildcard or a character "
                     "outside ASCII: '%.*s'",
                     BST_VIEW_ARGS(text));
        }
    }
    if (text.len == 0 || text.len >= BST_CERT_NAME_BYTES - sizeof AE_SCHEME) {
        BST_FAIL(BST_E_VALUE, "a name for a certificate has %zu characters", text.len);
    }
    return BST_OK;
}

/* `constraint`: the form of a permitted subtree, in which an AE-ID is only the host of its URI. */
static bst_result make_name(enum bst_cert_flavour flavour, struct bst_view text, bool constraint,
                            GENERAL_NAME *out)
{
    const struct bst_view none = {0};
    BST_TRY(check_name_text(text));
    switch (flavour) {
    case BST_CERT_AE:
        if (!constraint && !bst_view_starts(text, BST_VIEW("//"))) {
            BST_FAIL(BST_E_VALUE, "'%.*s' is no Absolute AE-ID (//sp/...)", BST_VIEW_ARGS(text));
        }
        return make_ia5(GEN_URI, constraint ? none : BST_VIEW(AE_SCHEME), text, out);
    case BST_CERT_CSE:
    case BST_CERT_FQDN:
        return make_ia5(GEN_DNS, none, text, out);
    case BST_CERT_NODE:
        return make_ia5(GEN_URI, none, text, out);
    case BST_CERT_DEVICE:
        return make_othername(text, out);
    }
    return bst_error(BST_E_USAGE);
}

static bst_result make_sans(const struct bst_cert_spec *spec, GENERAL_NAMES **ret)
{
    bst_auto_ossl(general_names) GENERAL_NAMES *names = GENERAL_NAMES_new();
    BST_ENSURE(names, BST_E_NOMEM);
    for (size_t i = 0; i < spec->n_sans; i++) {
        bst_auto_ossl(general_name) GENERAL_NAME *name = GENERAL_NAME_new();
        BST_ENSURE(name, BST_E_NOMEM);
        BST_TRY(make_name(spec->sans[i].flavour, spec->sans[i].name, false, name));
        BST_ENSURE(sk_GENERAL_NAME_push(names, name), BST_E_NOMEM);
        name = NULL;
    }
    *ret = bst_steal(&names);
    return BST_OK;
}

static bst_result make_constraints(const struct bst_cert_spec *spec, NAME_CONSTRAINTS **ret)
{
    bst_auto_ossl(nc) NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
    BST_ENSURE(nc, BST_E_NOMEM);
    nc->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
    BST_ENSURE(nc->permittedSubtrees, BST_E_NOMEM);
    for (size_t i = 0; i < spec->n_permits; i++) {
        bst_auto_ossl(subtree) GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();
        BST_ENSURE(subtree, BST_E_NOMEM);
        BST_TRY(make_name(spec->permits[i].flavour, spec->permits[i].name, true, subtree->base));
        BST_ENSURE(sk_GENERAL_SUBTREE_push(nc->permittedSubtrees, subtree), BST_E_NOMEM);
        subtree = NULL;
    }
    *ret = bst_steal(&nc);
    return BST_OK;
}

/* ---- extensions ---- */

static bst_result add_ext(STACK_OF(X509_EXTENSION) * *list, int nid, void *value, bool critical)
{
    if (!value || X509V3_add1_i2d(list, nid, value, critical, X509V3_ADD_DEFAULT) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "extension %s cannot be encoded", OBJ_nid2sn(nid));
    }
    return BST_OK;
}

static bst_result add_basic(const struct bst_cert_spec *spec, STACK_OF(X509_EXTENSION) * *list)
{
    bst_auto_ossl(bc) BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    BST_ENSURE(bc, BST_E_NOMEM);
    bc->ca = spec->ca ? 0xff : 0;
    if (spec->ca && spec->path_len >= 0) {
        bc->pathlen = ASN1_INTEGER_new();
        BST_ENSURE(bc->pathlen && ASN1_INTEGER_set(bc->pathlen, spec->path_len) == 1, BST_E_NOMEM);
    }
    return add_ext(list, NID_basic_constraints, bc, true);
}

/* Bit numbers of RFC 5280 4.2.1.3. */
static bst_result add_key_usage(const struct bst_cert_spec *spec, STACK_OF(X509_EXTENSION) * *list)
{
    bst_auto_ossl(asn1_string) ASN1_STRING *bits = ASN1_BIT_STRING_new();
    BST_ENSURE(bits, BST_E_NOMEM);
    bool ok = ASN1_BIT_STRING_set_bit(bits, 0, 1) == 1; /* digitalSignature */
    if (spec->ca) {
        ok = ok && ASN1_BIT_STRING_set_bit(bits, 5, 1) == 1 && /* keyCertSign */
             ASN1_BIT_STRING_set_bit(bits, 6, 1) == 1;         /* cRLSign */
    }
    BST_ENSURE(ok, BST_E_NOMEM);
    return add_ext(list, NID_key_usage, bits, true);
}

static bst_result add_role(const struct bst_cert_spec *spec, STACK_OF(X509_EXTENSION) * *list)
{
    bst_auto_ossl(eku) EXTENDED_KEY_USAGE *eku = EXTENDED_KEY_USAGE_new();
    BST_ENSURE(eku, BST_E_NOMEM);
    if (spec->role != BST_CERT_TLS_CLIENT) {
        BST_ENSURE(sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)), BST_E_NOMEM);
    }
    if (spec->role != BST_CERT_TLS_SERVER) {
        BST_ENSURE(sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_client_auth)), BST_E_NOMEM);
    }
    return add_ext(list, NID_ext_key_usage, eku, false);
}

/* RFC 7093: 160 bits of SHA-256. */
static bst_result key_id(const EVP_PKEY *pkey, ASN1_OCTET_STRING **ret)
{
    bst_auto(buf) spki = {0};
    uint8_t digest[BST_SHA256_BYTES];
    BST_TRY(bst_pkey_spki(pkey, &spki));
    BST_TRY(bst_sha256(bst_buf_view(&spki), digest));
    bst_auto_ossl(octets) ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    BST_ENSURE(id && ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1, BST_E_NOMEM);
    *ret = bst_steal(&id);
    return BST_OK;
}

static bst_result add_subject_key_id(const EVP_PKEY *subject, STACK_OF(X509_EXTENSION) * *list)
{
    bst_auto_ossl(octets) ASN1_OCTET_STRING *id = NULL;
    BST_TRY(key_id(subject, &id));
    return add_ext(list, NID_subject_key_identifier, id, false);
}

/* The issuer's own identifier where it has one, else what this file would have given it. */
static bst_result add_issuer_key_id(const X509 *issuer, const EVP_PKEY *issuer_key,
                                    STACK_OF(X509_EXTENSION) * *list)
{
    bst_auto_ossl(akid) AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
    BST_ENSURE(akid, BST_E_NOMEM);
    if (issuer) {
        akid->keyid = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL);
    }
    if (!akid->keyid) {
        BST_TRY(key_id(issuer_key, &akid->keyid));
    }
    return add_ext(list, NID_authority_key_identifier, akid, false);
}

static bst_result add_sans(const struct bst_cert_spec *spec, STACK_OF(X509_EXTENSION) * *list)
{
    if (spec->n_sans == 0) {
        return BST_OK;
    }
    bst_auto_ossl(general_names) GENERAL_NAMES *names = NULL;
    BST_TRY(make_sans(spec, &names));
    return add_ext(list, NID_subject_alt_name, names, spec->common_name.len == 0);
}

static bst_result add_constraints(const struct bst_cert_spec *spec,
                                  STACK_OF(X509_EXTENSION) * *list)
{
    if (!spec->ca || spec->n_permits == 0) {
        return BST_OK;
    }
    bst_auto_ossl(nc) NAME_CONSTRAINTS *nc = NULL;
    BST_TRY(make_constraints(spec, &nc));
    return add_ext(list, NID_name_constraints, nc, true);
}

static bst_result cert_extensions(const struct bst_cert_spec *spec, const EVP_PKEY *subject,
                                  const X509 *issuer, const EVP_PKEY *issuer_key,
                                  STACK_OF(X509_EXTENSION) * *list)
{
    BST_TRY(add_basic(spec, list));
    BST_TRY(add_key_usage(spec, list));
    if (!spec->ca) {
        BST_TRY(add_role(spec, list));
    }
    BST_TRY(add_subject_key_id(subject, list));
    BST_TRY(add_issuer_key_id(issuer, issuer_key, list));
    BST_TRY(add_sans(spec, list));
    return add_constraints(spec, list);
}

/* ---- certificates ---- */

static bst_result set_subject(X509_NAME *name, struct bst_view common_name)
{
    if (common_name.len && X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                      (const uint8_t *)common_name.ptr,
                                                      (int)common_name.len, -1, 0) != 1) {
        return bst_crypto_fail(BST_E_VALUE,
                               "the common name is not possible (64 characters at most)");
    }
    return BST_OK;
}

static bst_result set_time(ASN1_TIME *time, int64_t wall_us)
{
    if (!ASN1_TIME_set(time, (time_t)(wall_us / 1000000))) {
        return bst_crypto_fail(BST_E_VALUE, "time out of range");
    }
    return BST_OK;
}

static bst_result set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    BST_TRY(bst_random(bytes, sizeof bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, always the same length */
    bst_auto_ossl(bn) BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    BST_ENSURE(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)), BST_E_NOMEM);
    return BST_OK;
}

/* The library's public key object of a key that may be external. */
static bst_result public_twin(const EVP_PKEY *pkey, EVP_PKEY **ret)
{
    bst_auto(buf) spki = {0};
    BST_TRY(bst_pkey_spki(pkey, &spki));
    return bst_pkey_load_public(bst_buf_view(&spki), ret);
}

static bst_result signing_md(EVP_PKEY *key, const EVP_MD **ret)
{
    const struct bst_crypto *crypto;
    enum bst_pkey_kind kind;
    BST_TRY(bst_crypto_get(&crypto));
    BST_TRY(bst_pkey_kind(key, &kind));
    *ret = kind == BST_PKEY_ED25519   ? NULL
           : kind == BST_PKEY_EC_P384 ? crypto->md[BST_MD_SHA384]
                                      : crypto->md[BST_MD_SHA256];
    return BST_OK;
}

static bst_result fill_cert(X509 *cert, const struct bst_cert_spec *spec, const EVP_PKEY *subject,
                            const X509 *issuer, const EVP_PKEY *issuer_key)
{
    bst_auto_pkey *twin = NULL;
    BST_TRY(public_twin(subject, &twin));
    BST_TRY(set_serial(cert));
    BST_TRY(set_subject(X509_get_subject_name(cert), spec->common_name));
    BST_TRY(set_time(X509_getm_notBefore(cert), spec->not_before_us));
    BST_TRY(set_time(X509_getm_notAfter(cert), spec->not_after_us));
    const X509_NAME *issuer_name = X509_get_subject_name(issuer ? issuer : cert);
    if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, twin) != 1 ||
        X509_set_issuer_name(cert, issuer_name) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "certificate cannot be built");
    }
    __attribute__((cleanup(bst_extensions_free_))) STACK_OF(X509_EXTENSION) *list = NULL;
    BST_TRY(cert_extensions(spec, subject, issuer, issuer_key, &list));
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        BST_ENSURE(X509_add_ext(cert, sk_X509_EXTENSION_value(list, i), -1) == 1, BST_E_NOMEM);
    }
    return BST_OK;
}

bst_result bst_cert_issue(const struct bst_cert_spec *spec, struct evp_pkey_st *subject_key,
                          const struct x509_st *issuer, struct evp_pkey_st *issuer_key,
                          struct bst_buf *ret_der)
{
    BST_TRY(bst_crypto_start());
    if (spec->not_after_us <= spec->not_before_us) {
        BST_FAIL(BST_E_VALUE, "the certificate would end before it begins");
    }
    bst_auto_cert *cert = X509_new();
    BST_ENSURE(cert, BST_E_NOMEM);
    BST_TRY(fill_cert(cert, spec, subject_key, issuer, issuer_key));
    const EVP_MD *md;
    BST_TRY(signing_md(issuer_key, &md));
    if (X509_sign(cert, issuer_key, md) == 0) {
        return bst_crypto_fail(BST_E_CRYPTO, "the certificate cannot be signed");
    }
    return bst_cert_der(cert, ret_der);
}

/* ---- requests ---- */

bst_result bst_csr_build(const struct bst_cert_spec *spec, struct evp_pkey_st *key,
                         struct bst_buf *ret_der)
{
    BST_TRY(bst_crypto_start());
    bst_auto_ossl(req) X509_REQ *req = X509_REQ_new();
    bst_auto_pkey *twin = NULL;
    BST_TRY(public_twin(key, &twin));
    BST_ENSURE(req && X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
                   X509_REQ_set_pubkey(req, twin) == 1,
               BST_E_NOMEM);
    BST_TRY(set_subject(X509_REQ_get_subject_name(req), spec->common_name));
    __attribute__((cleanup(bst_extensions_free_))) STACK_OF(X509_EXTENSION) *list = NULL;
    BST_TRY(add_sans(spec, &list));
    const EVP_MD *md;
    BST_TRY(signing_md(key, &md));
    if ((list && X509_REQ_add_extensions(req, list) != 1) || X509_REQ_sign(req, key, md) == 0) {
        return bst_crypto_fail(BST_E_CRYPTO, "the certificate request cannot be signed");
    }
    int len = i2d_X509_REQ(req, NULL);
    uint8_t *out = len > 0 ? (uint8_t *)bst_buf_reserve(ret_der, (size_t)len) : NULL;
    BST_ENSURE(out && i2d_X509_REQ(req, &out) == len, BST_E_NOMEM);
    ret_der->len += (size_t)len;
    return BST_OK;
}

static X509_REQ *req_der(struct bst_view der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.len);
    if (req && at != (const uint8_t *)der.ptr + der.len) {
        X509_REQ_free(req);
        req = NULL;
    }
    return req;
}

static bst_result req_names(X509_REQ *req, struct bst_cert_names *ret)
{
    __attribute__((cleanup(bst_extensions_free_))) STACK_OF(X509_EXTENSION) *list =
        X509_REQ_get_extensions(req);
    int critical = -1;
    bst_auto_ossl(general_names) GENERAL_NAMES *sans =
        list ? X509V3_get_d2i(list, NID_subject_alt_name, &critical, NULL) : NULL;
    if (!sans && critical != -1) {
        return bst_crypto_fail(BST_E_BAD_CERT, "the subjectAltName of the request is damaged");
    }
    return bst_names_of(sans, ret);
}

bst_result bst_csr_parse(struct bst_view text, struct bst_csr *ret)
{
    bst_auto_ossl(bio) BIO *bio = NULL;
    BST_TRY(bst_x509_bio(text, &bio));
    bst_auto_ossl(req) X509_REQ *req =
        bst_is_pem(text) ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : req_der(text);
    if (!req) {
        return bst_crypto_fail(BST_E_SYNTAX, "not a certificate request in PEM or DER");
    }
    EVP_PKEY *pkey = X509_REQ_get0_pubkey(req);
    enum bst_pkey_kind kind;
    if (!pkey) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the public key of the request is not usable");
    }
    BST_TRY(bst_pkey_kind(pkey, &kind));
    if (X509_REQ_verify(req, pkey) != 1) {
        return bst_crypto_fail(BST_E_BAD_MAC, "the request is not signed by the key that it names");
    }
    bst_auto(csr) csr = {0};
    BST_TRY(req_names(req, &csr.names));
    bst_x509_name_text(X509_REQ_get_subject_name(req), csr.subject, sizeof csr.subject);
    csr.key = bst_pkey_hold(pkey);
    *ret = csr;
    csr = (struct bst_csr){0};
    return BST_OK;
}

void bst_csr_clear(struct bst_csr *csr)
{
    bst_pkey_free(&csr->key);
    bst_cert_names_clear(&csr->names);
}

/* ---- revocation lists ---- */

static bst_result add_reason(X509_REVOKED *revoked, int reason)
{
    if (reason == 0) {
        return BST_OK; /* RFC 5280 5.3.1: leave out "unspecified" */
    }
    bst_auto_ossl(enumerated) ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    BST_ENSURE(value && ASN1_ENUMERATED_set(value, reason) == 1 &&
                   X509_REVOKED_add1_ext_i2d(revoked, NID_crl_reason, value, 0, 0) == 1,
               BST_E_NOMEM);
    return BST_OK;
}

static bst_result add_entry(X509_CRL *crl, const struct bst_revocation *entry)
{
    BIGNUM *raw = NULL;
    if (BN_hex2bn(&raw, entry->serial) == 0 || entry->serial[BN_num_bytes(raw) * 2] != '\0') {
        BN_free(raw);
        BST_FAIL(BST_E_VALUE, "'%.47s' is no serial number", entry->serial);
    }
    bst_auto_ossl(bn) BIGNUM *number = raw;
    bst_auto_ossl(asn1_integer) ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(number, NULL);
    bst_auto_ossl(asn1_time) ASN1_TIME *when = ASN1_TIME_new();
    bst_auto_ossl(revoked) X509_REVOKED *revoked = X509_REVOKED_new();
    BST_ENSURE(serial && when && revoked, BST_E_NOMEM);
    BST_TRY(set_time(when, entry->when_us));
    BST_ENSURE(X509_REVOKED_set_serialNumber(revoked, serial) == 1 &&
                   X509_REVOKED_set_revocationDate(revoked, when) == 1,
               BST_E_NOMEM);
    BST_TRY(add_reason(revoked, entry->reason));
    BST_ENSURE(X509_CRL_add0_revoked(crl, revoked) == 1, BST_E_NOMEM);
    revoked = NULL;
    return BST_OK;
}

static bst_result crl_extensions(X509_CRL *crl, const X509 *issuer, const EVP_PKEY *issuer_key,
                                 uint64_t number)
{
    bst_auto_ossl(asn1_integer) ASN1_INTEGER *value = ASN1_INTEGER_new();
    BST_ENSURE(value && ASN1_INTEGER_set_uint64(value, number) == 1 &&
                   X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1,
               BST_E_NOMEM);
    __attribute__((cleanup(bst_extensions_free_))) STACK_OF(X509_EXTENSION) *list = NULL;
    BST_TRY(add_issuer_key_id(issuer, issuer_key, &list));
    BST_ENSURE(X509_CRL_add_ext(crl, sk_X509_EXTENSION_value(list, 0), -1) == 1, BST_E_NOMEM);
    return BST_OK;
}

static bst_result crl_times(X509_CRL *crl, int64_t this_us, int64_t next_us)
{
    bst_auto_ossl(asn1_time) ASN1_TIME *when = ASN1_TIME_new();
    BST_ENSURE(when, BST_E_NOMEM);
    BST_TRY(set_time(when, this_us));
    BST_ENSURE(X509_CRL_set1_lastUpdate(crl, when) == 1, BST_E_NOMEM);
    BST_TRY(set_time(when, next_us));
    BST_ENSURE(X509_CRL_set1_nextUpdate(crl, when) == 1, BST_E_NOMEM);
    return BST_OK;
}

bst_result bst_crl_build(const struct x509_st *issuer, struct evp_pkey_st *issuer_key,
                         const struct bst_revocation *entries, size_t n, uint64_t number,
                         int64_t this_us, int64_t next_us, struct bst_buf *ret_der)
{
    BST_TRY(bst_crypto_start());
    bst_auto_ossl(crl) X509_CRL *crl = X509_CRL_new();
    BST_ENSURE(crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                   X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) == 1,
               BST_E_NOMEM);
    BST_TRY(crl_times(crl, this_us, next_us));
    for (size_t i = 0; i < n; i++) {
        BST_TRY(add_entry(crl, &entries[i]));
    }
    BST_TRY(crl_extensions(crl, issuer, issuer_key, number));
    const EVP_MD *md;
    BST_TRY(signing_md(issuer_key, &md));
    X509_CRL_sort(crl);
    if (X509_CRL_sign(crl, issuer_key, md) == 0) {
        return bst_crypto_fail(BST_E_CRYPTO, "the CRL cannot be signed");
    }
    int len = i2d_X509_CRL(crl, NULL);
    uint8_t *out = len > 0 ? (uint8_t *)bst_buf_reserve(ret_der, (size_t)len) : NULL;
    BST_ENSURE(out && i2d_X509_CRL(crl, &out) == len, BST_E_NOMEM);
    ret_der->len += (size_t)len;
    return BST_OK;
}

void bst_crl_clear(struct bst_crl *crl)
{
    bst_free(crl->entries);
    *crl = (struct bst_crl){0};
}

static bst_result read_entry(const X509_REVOKED *revoked, struct bst_revocation *ret)
{
    BST_TRY(bst_asn1_serial_text(X509_REVOKED_get0_serialNumber(revoked), ret->serial,
                                 sizeof ret->serial));
    BST_TRY(bst_asn1_time_us(X509_REVOKED_get0_revocationDate(revoked), &ret->when_us));
    bst_auto_ossl(enumerated) ASN1_ENUMERATED *reason =
        X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
    ret->reason = reason ? (int)ASN1_ENUMERATED_get(reason) : 0;
    return BST_OK;
}

static bst_result read_crl(X509_CRL *crl, struct bst_crl *ret)
{
    STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
    int n = list ? sk_X509_REVOKED_num(list) : 0;
    ret->entries = bst_alloc((size_t)n * sizeof *ret->entries);
    BST_ENSURE(ret->entries, BST_E_NOMEM);
    for (; ret->n < (size_t)n; ret->n++) {
        BST_TRY(read_entry(sk_X509_REVOKED_value(list, (int)ret->n), &ret->entries[ret->n]));
    }
    bst_auto_ossl(asn1_integer) ASN1_INTEGER *number =
        X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    if (number && ASN1_INTEGER_get_uint64(&ret->number, number) != 1) {
        return bst_crypto_fail(BST_E_VALUE, "the number of the CRL is too large");
    }
    BST_TRY(bst_asn1_time_us(X509_CRL_get0_lastUpdate(crl), &ret->this_us));
    return X509_CRL_get0_nextUpdate(crl)
               ? bst_asn1_time_us(X509_CRL_get0_nextUpdate(crl), &ret->next_us)
               : BST_OK;
}

bst_result bst_crl_parse(struct bst_view text, struct evp_pkey_st *issuer_key, struct bst_crl *ret)
{
    bst_auto_ossl(bio) BIO *bio = NULL;
    BST_TRY(bst_x509_bio(text, &bio));
    bst_auto_ossl(crl) X509_CRL *crl = bst_is_pem(text)
                                           ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)
                                           : d2i_X509_CRL_bio(bio, NULL);
    if (!crl) {
        return bst_crypto_fail(BST_E_SYNTAX, "not a CRL in PEM or DER");
    }
    bst_auto_pkey *twin = NULL;
    if (issuer_key) {
        BST_TRY(public_twin(issuer_key, &twin));
    }
    if (twin && X509_CRL_verify(crl, twin) != 1) {
        return bst_crypto_fail(BST_E_BAD_MAC, "the CRL is not signed by its issuer");
    }
    bst_auto(crl) out = {0};
    BST_TRY(read_crl(crl, &out));
    *ret = out;
    out = (struct bst_crl){0};
    return BST_OK;
}
