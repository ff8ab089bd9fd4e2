/* An OpenSSL provider for keys that live elsewhere.
 *
 * It sits alone in a library context of its own: in the default one its "EC" would compete with
 * OpenSSL's for every public key that is decoded. OpenSSL takes the signature algorithm from the
 * provider of the key when its own cannot have the key exported, and this one exports public halves
 * only. */
#include "crypto/extkey.h"

#include "crypto/crypto_priv.h"
#include "crypto/extkey_priv.h"
#include "crypto/rand.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdatomic.h>

#define PROVIDER_NAME "bastide"
#define PARAM_KEY                                                                                  \
    "bst-key"                 /* import: address of a struct extkey, of which a reference is taken \
                               */
#define PARAM_SPKI "bst-spki" /* get: DER SubjectPublicKeyInfo */

struct extkey {
    atomic_int refs;
    enum bst_pkey_kind kind;
    const struct bst_extkey_ops *ops;
    void *ctx;
    struct bst_buf spki;
};

static const struct {
    const char *name;
    int bits, security_bits;
    size_t signature_bytes, point_bytes;
    const char *group;
} facts[] = {
    [BST_PKEY_EC_P256] = {"EC", 256, 128, 72, 65, "prime256v1"},
    [BST_PKEY_EC_P384] = {"EC", 384, 192, 104, 97, "secp384r1"},
    [BST_PKEY_ED25519] = {"ED25519", 256, 128, 64, 32, NULL},
};

static struct extkey *extkey_hold(struct extkey *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

static void extkey_drop(struct extkey *key)
{
    if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1) {
        key->ops->release(key->ctx);
        bst_buf_clear(&key->spki);
        bst_free(key);
    }
}

/* The EC point or Ed25519 key is what ends a SubjectPublicKeyInfo. */
static struct bst_view extkey_point(const struct extkey *key)
{
    size_t len = facts[key->kind].point_bytes;
    return bst_view_of(key->spki.ptr + key->spki.len - len, len);
}

/* ---- key management ---- */

/* What OpenSSL calls key data: made empty, then filled by import. */
struct keydata {
    struct extkey *key;
};

static void *keymgmt_new(void *provctx)
{
    return bst_alloc(sizeof(struct keydata));
}

static void keymgmt_free(void *arg)
{
    struct keydata *data = arg;
    if (data) {
        extkey_drop(data->key);
        bst_free(data);
    }
}

static void *keymgmt_dup(const void *arg, int selection)
{
    const struct keydata *from = arg;
    struct keydata *data = bst_alloc(sizeof *data);
    if (data && from->key) {
        data->key = extkey_hold(from->key);
    }
    return data;
}

static int keymgmt_has(const void *arg, int selection)
{
    const struct keydata *data = arg;
    return data && data->key;
}

static int keymgmt_match(const void *arg1, const void *arg2, int selection)
{
    const struct keydata *a = arg1;
    const struct keydata *b = arg2;
    return a->key && b->key &&
           bst_view_eq(bst_buf_view(&a->key->spki), bst_buf_view(&b->key->spki));
}

static int keymgmt_import(void *arg, int selection, const OSSL_PARAM params[])
{
    struct keydata *data = arg;
    struct extkey *key = NULL;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_KEY);
    if (!p || p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != sizeof key || data->key) {
        return 0;
    }
    memcpy(&key, p->data, sizeof key);
    data->key = extkey_hold(key);
    return 1;
}

static const OSSL_PARAM *keymgmt_import_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_octet_string(PARAM_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    return types;
}

static OSSL_PARAM octet_param(const char *name, struct bst_view v)
{
    union {
        const char *in;
        void *out;
    } bytes = {.in = v.ptr}; /* only read, though the type cannot say so */
    return OSSL_PARAM_construct_octet_string(name, bytes.out, v.len);
}

static OSSL_PARAM text_param(const char *name, const char *text)
{
    union {
        const char *in;
        char *out;
    } bytes = {.in = text};
    return OSSL_PARAM_construct_utf8_string(name, bytes.out, 0);
}

static int keymgmt_export(void *arg, int selection, OSSL_CALLBACK *callback, void *callback_arg)
{
    const struct keydata *data = arg;
    /* To an export of everything the answer is no, or OpenSSL would sign with a public half. */
    const int exportable = OSSL_KEYMGMT_SELECT_PUBLIC_KEY | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS;
    if (!data->key || (selection & ~exportable)) {
        return 0;
    }
    const char *group = facts[data->key->kind].group;
    OSSL_PARAM params[3];
    size_t n = 0;
    if (group) {
        params[n++] = text_param(OSSL_PKEY_PARAM_GROUP_NAME, group);
    }
    if (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) {
        params[n++] = octet_param(OSSL_PKEY_PARAM_PUB_KEY, extkey_point(data->key));
    }
    params[n] = OSSL_PARAM_construct_end();
    return callback(params, callback_arg);
}

static const OSSL_PARAM *keymgmt_export_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    return types;
}

static bool set_text(OSSL_PARAM params[], const char *name, const char *text)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);
    return !p || !text || OSSL_PARAM_set_utf8_string(p, text);
}

static bool set_int(OSSL_PARAM params[], const char *name, int value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);
    return !p || OSSL_PARAM_set_int(p, value);
}

static bool set_octets(OSSL_PARAM params[], const char *name, struct bst_view value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);
    return !p || OSSL_PARAM_set_octet_string(p, value.ptr, value.len);
}

static int keymgmt_get_params(void *arg, OSSL_PARAM params[])
{
    const struct keydata *data = arg;
    if (!data->key) {
        return 0;
    }
    enum bst_pkey_kind kind = data->key->kind;
    bool own_hash = kind == BST_PKEY_ED25519;
    return set_int(params, OSSL_PKEY_PARAM_BITS, facts[kind].bits) &&
           set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, facts[kind].security_bits) &&
           set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, (int)facts[kind].signature_bytes) &&
           set_text(params, OSSL_PKEY_PARAM_GROUP_NAME, facts[kind].group) &&
           set_text(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, own_hash ? NULL : "SHA256") &&
           set_text(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST, own_hash ? "" : NULL) &&
           set_octets(params, OSSL_PKEY_PARAM_PUB_KEY, extkey_point(data->key)) &&
           set_octets(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, extkey_point(data->key)) &&
           set_octets(params, PARAM_SPKI, bst_buf_view(&data->key->spki));
}

static const OSSL_PARAM *keymgmt_gettable(void *provctx)
{
    static const OSSL_PARAM names[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_octet_string(PARAM_SPKI, NULL, 0),
        OSSL_PARAM_END,
    };
    return names;
}

static const char *keymgmt_ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *keymgmt_ed_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ED25519" : NULL;
}

/* ---- signatures ---- */

struct signer {
    struct extkey *key;
    enum bst_md md;
    struct bst_hasher hasher;
};

static void *signer_new(void *provctx, const char *properties)
{
    return bst_alloc(sizeof(struct signer));
}

static void signer_free(void *arg)
{
    struct signer *signer = arg;
    if (signer) {
        extkey_drop(signer->key);
        bst_hasher_clear(&signer->hasher);
        bst_free(signer);
    }
}

/* OpenSSL finishes a copy when the caller may go on with the original. */
static void *signer_dup(void *arg)
{
    const struct signer *from = arg;
    struct signer *signer = bst_alloc(sizeof *signer);
    if (!signer) {
        return NULL;
    }
    signer->md = from->md;
    signer->key = from->key ? extkey_hold(from->key) : NULL;
    signer->hasher.ctx = from->hasher.ctx ? EVP_MD_CTX_new() : NULL;
    if (from->hasher.ctx &&
        (!signer->hasher.ctx || EVP_MD_CTX_copy_ex(signer->hasher.ctx, from->hasher.ctx) != 1)) {
        signer_free(signer);
        return NULL;
    }
    return signer;
}

static bool md_by_name(const char *name, enum bst_md *ret)
{
    const struct bst_crypto *crypto;
    if (bst_failed(bst_crypto_get(&crypto))) {
        return false;
    }
    for (unsigned md = BST_MD_SHA256; md <= BST_MD_SHA512; md++) {
        if (EVP_MD_is_a(crypto->md[md], name)) {
            *ret = (enum bst_md)md;
            return true;
        }
    }
    return false;
}

static int signer_set_params(void *arg, const OSSL_PARAM params[])
{
    struct signer *signer = arg;
    const OSSL_PARAM *p =
        params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST) : NULL;
    const char *name = NULL;
    return !p || (OSSL_PARAM_get_utf8_string_ptr(p, &name) && md_by_name(name, &signer->md));
}

static const OSSL_PARAM *signer_settable(void *ctx, void *provctx)
{
    static const OSSL_PARAM names[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return names;
}

/* AlgorithmIdentifier in DER: ecdsa-with-SHA256/384/512 of RFC 5758, Ed25519 of RFC 8410. */
static struct bst_view algorithm_id(const struct signer *signer)
{
    static const uint8_t ecdsa[][12] = {
        [BST_MD_SHA256] = {0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2},
        [BST_MD_SHA384] = {0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3},
        [BST_MD_SHA512] = {0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4},
    };
    static const uint8_t ed25519[] = {0x30, 5, 6, 3, 0x2b, 0x65, 0x70};
    return signer->md == BST_MD_NONE ? bst_view_of(ed25519, sizeof ed25519)
                                     : bst_view_of(ecdsa[signer->md], sizeof ecdsa[0]);
}

static int signer_get_params(void *arg, OSSL_PARAM params[])
{
    static const char *const md_names[] = {"", "SHA256", "SHA384", "SHA512"};
    const struct signer *signer = arg;
    return set_octets(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID, algorithm_id(signer)) &&
           set_text(params, OSSL_SIGNATURE_PARAM_DIGEST, md_names[signer->md]);
}

static const OSSL_PARAM *signer_gettable(void *ctx, void *provctx)
{
    static const OSSL_PARAM names[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return names;
}

static bool take_key(struct signer *signer, const struct keydata *data)
{
    if (data && data->key) {
        extkey_drop(signer->key);
        signer->key = extkey_hold(data->key);
    }
    return signer->key != NULL;
}

static int signer_init(void *arg, void *data, const OSSL_PARAM params[])
{
    struct signer *signer = arg;
    if (!take_key(signer, data)) {
        return 0;
    }
    signer->md = signer->key->kind == BST_PKEY_ED25519 ? BST_MD_NONE : BST_MD_SHA256;
    return signer_set_params(signer, params);
}

static int signer_digest_init(void *arg, const char *md_name, void *data, const OSSL_PARAM params[])
{
    struct signer *signer = arg;
    if (!signer_init(signer, data, NULL)) {
        return 0;
    }
    bool named = md_name && md_name[0];
    if (signer->key->kind == BST_PKEY_ED25519) {
        return !named;
    }
    if ((named && !md_by_name(md_name, &signer->md)) || !signer_set_params(signer, params)) {
        return 0;
    }
    bst_hasher_clear(&signer->hasher);
    return !bst_failed(bst_hasher_init(&signer->hasher, signer->md));
}

/* With no room given OpenSSL asks for the size. */
static int signer_raw(struct signer *signer, uint8_t *out, size_t *ret_len, size_t cap,
                      struct bst_view tbs)
{
    size_t most = facts[signer->key->kind].signature_bytes;
    if (!out) {
        *ret_len = most;
        return 1;
    }
    uint8_t signature[BST_SIGNATURE_MAX];
    size_t len = 0;
    bst_result signed_ = signer->key->ops->sign(signer->key->ctx, signer->md, tbs, signature, &len);
    if (bst_failed(signed_)) {
        ERR_raise_data(ERR_LIB_USER, (int)signed_.code, "%s: %s", bst_error_text(signed_.code),
                       bst_error_detail());
        return 0;
    }
    if (len > cap) {
        return 0;
    }
    memcpy(out, signature, len);
    *ret_len = len;
    return 1;
}

static int signer_sign(void *arg, uint8_t *out, size_t *ret_len, size_t cap, const uint8_t *tbs,
                       size_t tbs_len)
{
    struct signer *signer = arg;
    if (!signer->key || (signer->md != BST_MD_NONE && tbs_len != bst_md_bytes(signer->md))) {
        return 0;
    }
    return signer_raw(signer, out, ret_len, cap, bst_view_of(tbs, tbs_len));
}

static int signer_update(void *arg, const uint8_t *in, size_t len)
{
    struct signer *signer = arg;
    return signer->hasher.ctx &&
           !bst_failed(bst_hasher_update(&signer->hasher, bst_view_of(in, len)));
}

static int signer_final(void *arg, uint8_t *out, size_t *ret_len, size_t cap)
{
    struct signer *signer = arg;
    uint8_t digest[BST_MD_MAX_BYTES];
    if (!out) {
        return signer_raw(signer, NULL, ret_len, 0, (struct bst_view){0});
    }
    if (!signer->hasher.ctx || bst_failed(bst_hasher_final(&signer->hasher, digest))) {
        return 0;
    }
    return signer_raw(signer, out, ret_len, cap, bst_view_of(digest, bst_md_bytes(signer->md)));
}

/* Whole message at once. */
static int signer_digest_sign(void *arg, uint8_t *out, size_t *ret_len, size_t cap,
                              const uint8_t *in, size_t len)
{
    struct signer *signer = arg;
    if (!signer->key) {
        return 0;
    }
    if (!out || signer->md == BST_MD_NONE) {
        return signer_raw(signer, out, ret_len, cap, bst_view_of(in, len));
    }
    return signer_update(signer, in, len) && signer_final(signer, out, ret_len, cap);
}

/* ---- the provider ---- */

#define FN(id, function)                                                                           \
    {                                                                                              \
        id, (void (*)(void))(function)                                                             \
    }
#define KEYMGMT_COMMON                                                                             \
    FN(OSSL_FUNC_KEYMGMT_NEW, keymgmt_new), FN(OSSL_FUNC_KEYMGMT_FREE, keymgmt_free),              \
        FN(OSSL_FUNC_KEYMGMT_DUP, keymgmt_dup), FN(OSSL_FUNC_KEYMGMT_HAS, keymgmt_has),            \
        FN(OSSL_FUNC_KEYMGMT_MATCH, keymgmt_match), FN(OSSL_FUNC_KEYMGMT_IMPORT, keymgmt_import),  \
        FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keymgmt_import_types),                                  \
        FN(OSSL_FUNC_KEYMGMT_EXPORT, keymgmt_export),                                              \
        FN(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, keymgmt_export_types),                                  \
        FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, keymgmt_get_params),                                      \
        FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keymgmt_gettable)

static const OSSL_DISPATCH ec_keymgmt[] = {
    KEYMGMT_COMMON,
    FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_ec_operation),
    {0, NULL},
};
static const OSSL_DISPATCH ed_keymgmt[] = {
    KEYMGMT_COMMON,
    FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_ed_operation),
    {0, NULL},
};
static const OSSL_DISPATCH ec_signature[] = {
    FN(OSSL_FUNC_SIGNATURE_NEWCTX, signer_new),
    FN(OSSL_FUNC_SIGNATURE_FREECTX, signer_free),
    FN(OSSL_FUNC_SIGNATURE_DUPCTX, signer_dup),
    FN(OSSL_FUNC_SIGNATURE_SIGN_INIT, signer_init),
    FN(OSSL_FUNC_SIGNATURE_SIGN, signer_sign),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signer_digest_init),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, signer_update),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, signer_final),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signer_digest_sign),
    FN(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, signer_get_params),
    FN(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signer_gettable),
    FN(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signer_set_params),
    FN(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signer_settable),
    {0, NULL},
};
static const OSSL_DISPATCH ed_signature[] = {
    FN(OSSL_FUNC_SIGNATURE_NEWCTX, signer_new),
    FN(OSSL_FUNC_SIGNATURE_FREECTX, signer_free),
    FN(OSSL_FUNC_SIGNATURE_DUPCTX, signer_dup),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signer_digest_init),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signer_digest_sign),
    FN(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, signer_get_params),
    FN(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, signer_gettable),
    {0, NULL},
};

#define PROPERTIES "provider=" PROVIDER_NAME

static const OSSL_ALGORITHM keymgmts[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_keymgmt, "EC key elsewhere"},
    {"ED25519:1.3.101.112", PROPERTIES, ed_keymgmt, "Ed25519 key elsewhere"},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM signatures[] = {
    {"ECDSA", PROPERTIES, ec_signature, "ECDSA elsewhere"},
    {"ED25519:1.3.101.112", PROPERTIES, ed_signature, "Ed25519 elsewhere"},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *provider_query(void *provctx, int operation, int *no_cache)
{
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return keymgmts;
    case OSSL_OP_SIGNATURE:
        return signatures;
    default:
        return NULL;
    }
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **provctx)
{
    static const OSSL_DISPATCH functions[] = {
        FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
        {0, NULL},
    };
    static char context;
    *out = functions;
    *provctx = &context;
    return 1;
}

static OSSL_LIB_CTX *ext_libctx;
static pthread_once_t ext_once = PTHREAD_ONCE_INIT;

static void ext_start(void)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    if (libctx && OSSL_PROVIDER_add_builtin(libctx, PROVIDER_NAME, provider_init) == 1 &&
        OSSL_PROVIDER_load(libctx, PROVIDER_NAME)) {
        ext_libctx = libctx;
    } else {
        OSSL_LIB_CTX_free(libctx);
    }
}

bool bst_extkey_is(const struct evp_pkey_st *pkey)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(pkey);
    return provider && strcmp(OSSL_PROVIDER_get0_name(provider), PROVIDER_NAME) == 0;
}

bst_result bst_extkey_spki(const struct evp_pkey_st *pkey, struct bst_buf *ret)
{
    uint8_t spki[256];
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(pkey, PARAM_SPKI, spki, sizeof spki, &len) != 1) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the external key has no public half");
    }
    bst_buf_add(ret, spki, len);
    return bst_buf_check(ret);
}

static bst_result make_pkey(struct extkey *key, struct evp_pkey_st **ret)
{
    BST_TRY(bst_crypto_start());
    pthread_once(&ext_once, ext_start);
    if (!ext_libctx) {
        return bst_crypto_fail(BST_E_CRYPTO, "OpenSSL refuses the provider for external keys");
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(PARAM_KEY, &key, sizeof key),
        OSSL_PARAM_construct_end(),
    };
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(ext_libctx, facts[key->kind].name, NULL);
    EVP_PKEY *pkey = NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "OpenSSL refuses the external key");
    }
    *ret = pkey;
    return BST_OK;
}

bst_result bst_extkey_new(const struct bst_extkey_ops *ops, void *ctx, struct bst_view spki_der,
                          struct evp_pkey_st **ret)
{
    struct extkey *key = bst_alloc(sizeof *key);
    if (!key) {
        ops->release(ctx);
        return bst_error(BST_E_NOMEM);
    }
    *key = (struct extkey){.refs = 1, .ops = ops, .ctx = ctx};
    bst_buf_addv(&key->spki, spki_der);
    bst_auto_pkey *public_half = NULL;
    bst_result made = bst_buf_check(&key->spki);
    if (!bst_failed(made)) {
        made = bst_pkey_load_public(spki_der, &public_half);
    }
    if (!bst_failed(made)) {
        made = bst_pkey_kind(public_half, &key->kind);
    }
    if (!bst_failed(made) && key->spki.len < facts[key->kind].point_bytes + 12) {
        made = bst_error_detailed(BST_E_BAD_KEY, "the public key is not in the uncompressed form");
    }
    if (!bst_failed(made)) {
        made = make_pkey(key, ret);
    }
    extkey_drop(key);
    return made;
}
