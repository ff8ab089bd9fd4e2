/* EK certificates: path to a maker's root, and the attributes of the TCG. */
#include "crypto/endorse.h"

#include "crypto/rand.h"
#include "crypto/x509_priv.h"

#include <openssl/pem.h>
#include <stdio.h>

#define OID_MAKER "2.23.133.2.1"
#define OID_MODEL "2.23.133.2.2"
#define OID_ASSERTIONS "2.23.133.2.18"
#define CHAIN_MAX 8
/* TPMSecurityAssertions: ccInfo [3], fipsLevel [4]. */
#define TAG_CC 3
#define TAG_FIPS 4

BST_OSSL_AUTO(X509, cert, X509_free)
BST_OSSL_AUTO(X509_STORE, store, X509_STORE_free)
static inline void bst_x509_stack_free_(STACK_OF(X509) * *list)
{
    sk_X509_pop_free(*list, X509_free);
    *list = NULL;
}

void bst_endorsement_clear(struct bst_endorsement *endorsement)
{
    bst_buf_clear(&endorsement->spki);
}

/* ---- lists of certificates ---- */

static bst_result push(STACK_OF(X509) * list, X509 *take_cert)
{
    if (!sk_X509_push(list, take_cert)) {
        X509_free(take_cert);
        return bst_error(BST_E_NOMEM);
    }
    return BST_OK;
}

static bst_result push_each(void *ctx, struct x509_st *take_cert)
{
    return push(ctx, take_cert);
}

static bst_result read_list(struct bst_view text, STACK_OF(X509) * list)
{
    size_t count;
    if (text.len == 0) {
        return BST_OK;
    }
    if (bst_is_pem(text)) {
        return bst_cert_load_all(text, push_each, list, &count);
    }
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    while (at < end) {
        X509 *cert = d2i_X509(NULL, &at, end - at);
        if (!cert) {
            return bst_crypto_fail(BST_E_SYNTAX, "not a list of certificates in PEM or DER");
        }
        BST_TRY(push(list, cert));
    }
    return BST_OK;
}

/* ---- the path ---- */

static bst_result fill_store(struct bst_view roots, X509_STORE *store)
{
    bst_auto_ossl(x509_stack) STACK_OF(X509) *list = sk_X509_new_null();
    BST_ENSURE(list, BST_E_NOMEM);
    BST_TRY(read_list(roots, list));
    if (sk_X509_num(list) == 0) {
        BST_FAIL(BST_E_BAD_CERT, "there is no root certificate");
    }
    for (int i = 0; i < sk_X509_num(list); i++) {
        BST_ENSURE(X509_STORE_add_cert(store, sk_X509_value(list, i)) == 1, BST_E_NOMEM);
    }
    return BST_OK;
}

static bst_result path_failure(X509_STORE_CTX *ctx)
{
    int error = X509_STORE_CTX_get_error(ctx);
    bool time = error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
    ERR_clear_error();
    BST_FAIL(time ? BST_E_EXPIRED : BST_E_BAD_CERT, "the EK certificate: %s",
             X509_verify_cert_error_string(error));
}

static bst_result verify_path(X509 *cert, STACK_OF(X509) * chain, X509_STORE *store, int64_t now_us)
{
    bst_auto_ossl(store_ctx) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || X509_STORE_CTX_init(ctx, store, cert, chain) != 1) {
        return bst_crypto_fail(BST_E_NOMEM, "verification cannot start");
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST |
                                           (now_us ? 0 : X509_V_FLAG_NO_CHECK_TIME));
    if (now_us) {
        X509_VERIFY_PARAM_set_time(param, (time_t)(now_us / 1000000));
    }
    X509_VERIFY_PARAM_set_auth_level(param, 2); /* 112 bits: no MD5, no SHA-1 */
    X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
    return X509_verify_cert(ctx) == 1 ? BST_OK : path_failure(ctx);
}

/* ---- what it says ---- */

static void entry_text(const X509_NAME *name, const char *oid, char *out, size_t cap)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int at = object ? X509_NAME_get_index_by_OBJ(name, object, -1) : -1;
    const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(name, at);
    const ASN1_STRING *value = entry ? X509_NAME_ENTRY_get_data(entry) : NULL;
    size_t len = value ? (size_t)ASN1_STRING_length(value) : 0;
    const unsigned char *text = value ? ASN1_STRING_get0_data(value) : NULL;
    len = len < cap ? len : cap - 1;
    for (size_t i = 0; i < len; i++) {
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '?';
    }
    out[len] = '\0';
    ASN1_OBJECT_free(object);
}

/* [TCG EK Credential Profile, 3.2.9] the chip is described in the subject alternative name. */
static void read_description(const X509 *cert, struct bst_endorsement *ret)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DIRNAME) {
            entry_text(name->d.directoryName, OID_MAKER, ret->maker, sizeof ret->maker);
            entry_text(name->d.directoryName, OID_MODEL, ret->model, sizeof ret->model);
        }
    }
    GENERAL_NAMES_free(names);
}

struct element {
    int tag, class;
    struct bst_view content;
};

/* One element off the front of DER. */
static bool take_element(struct bst_view *in, struct element *ret)
{
    const unsigned char *at = (const unsigned char *)in->ptr;
    long len = 0;
    if (in->len == 0 || ASN1_get_object(&at, &len, &ret->tag, &ret->class, (long)in->len) & 0x81) {
        ERR_clear_error();
        return false;
    }
    ret->content = bst_view_of(at, (size_t)len);
    *in = bst_view_from(*in, (size_t)((const char *)at - in->ptr) + (size_t)len);
    return true;
}

static bool is_assertions(struct bst_view oid)
{
    static const char assertions[] = "\x67\x81\x05\x02\x12"; /* OID_ASSERTIONS */
    return bst_view_eq(oid, bst_view_of(assertions, sizeof assertions - 1));
}

/* SET { SEQUENCE { ... [3] ccInfo, [4] fipsLevel ... } } */
static bool states_evaluation(struct bst_view set)
{
    struct element list, one;
    if (!take_element(&set, &list)) {
        return false;
    }
    while (take_element(&list.content, &one)) {
        if (one.class == V_ASN1_CONTEXT_SPECIFIC && (one.tag == TAG_CC || one.tag == TAG_FIPS)) {
            return true;
        }
    }
    return false;
}

/* [RFC 5280, 4.2.1.8] SubjectDirectoryAttributes: SEQUENCE { SEQUENCE { OID, SET }... } */
static bool is_evaluated(const X509 *cert)
{
    int at = X509_get_ext_by_NID(cert, NID_subject_directory_attributes, -1);
    X509_EXTENSION *extension = at < 0 ? NULL : X509_get_ext(cert, at);
    const ASN1_OCTET_STRING *data = extension ? X509_EXTENSION_get_data(extension) : NULL;
    struct bst_view in =
        data ? bst_view_of(ASN1_STRING_get0_data(data), (size_t)ASN1_STRING_length(data))
             : (struct bst_view){0};
    struct element all, attribute, oid, set;
    if (!take_element(&in, &all)) {
        return false;
    }
    while (take_element(&all.content, &attribute)) {
        if (take_element(&attribute.content, &oid) && is_assertions(oid.content) &&
            take_element(&attribute.content, &set) && states_evaluation(set.content)) {
            return true;
        }
    }
    return false;
}

static bst_result read_spki(const X509 *cert, struct bst_buf *ret)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert);
    int len = pkey ? i2d_PUBKEY(pkey, NULL) : -1;
    uint8_t *out = len > 0 ? (uint8_t *)bst_buf_reserve(ret, (size_t)len) : NULL;
    if (!out || i2d_PUBKEY(pkey, &out) != len) {
        return bst_crypto_fail(BST_E_BAD_CERT, "the EK certificate's key is not usable");
    }
    ret->len += (size_t)len;
    return BST_OK;
}

bst_result bst_endorsement_verify(struct bst_view cert_der, struct bst_view chain,
                                  struct bst_view roots, int64_t now_us,
                                  struct bst_endorsement *ret)
{
    BST_TRY(bst_crypto_start());
    bst_auto_ossl(cert) X509 *cert = NULL;
    bst_auto_ossl(store) X509_STORE *store = X509_STORE_new();
    bst_auto_ossl(x509_stack) STACK_OF(X509) *list = sk_X509_new_null();
    bst_auto(endorsement) found = {.evaluated = false};
    BST_ENSURE(store && list, BST_E_NOMEM);
    BST_TRY(bst_cert_load(cert_der, &cert));
    BST_TRY(fill_store(roots, store));
    BST_TRY(read_list(chain, list));
    BST_TRY(verify_path(cert, list, store, now_us));
    BST_TRY(read_spki(cert, &found.spki));
    read_description(cert, &found);
    found.evaluated = is_evaluated(cert);
    bst_x509_name_text(X509_get_issuer_name(cert), found.issuer, sizeof found.issuer);
    *ret = found;
    found = (struct bst_endorsement){.evaluated = false};
    return BST_OK;
}
