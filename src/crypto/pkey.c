/* EVP_PKEY: load, make, export, sign, verify, agree. Only EC P-256, P-384 and Ed25519. */
#include "crypto/pkey.h"

#include "crypto/crypto_priv.h"
#include "crypto/extkey_priv.h"
#include "crypto/pkey_priv.h"
#include "crypto/rand.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

BST_OSSL_AUTO(BIO, bio, BIO_free_all)
BST_OSSL_AUTO(PKCS8_PRIV_KEY_INFO, pkcs8, PKCS8_PRIV_KEY_INFO_free)

#define KEY_TEXT_MAX 65536

static const struct {
    const char *name, *algorithm, *group;
} kinds[] = {
    [BST_PKEY_EC_P256] = {"EC P-256", "EC", "prime256v1"},
    [BST_PKEY_EC_P384] = {"EC P-384", "EC", "secp384r1"},
    [BST_PKEY_ED25519] = {"Ed25519", "ED25519", NULL},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

void bst_pkey_free(struct evp_pkey_st **pkey)
{
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
}

struct evp_pkey_st *bst_pkey_hold(struct evp_pkey_st *pkey)
{
    EVP_PKEY_up_ref(pkey);
    return pkey;
}

const char *bst_pkey_kind_name(enum bst_pkey_kind kind)
{
    return (unsigned)kind < KINDS ? kinds[kind].name : "?";
}

bst_result bst_pkey_kind(const struct evp_pkey_st *pkey, enum bst_pkey_kind *ret)
{
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        *ret = BST_PKEY_ED25519;
        return BST_OK;
    }
    char group[64] = "";
    size_t len = 0;
    if (EVP_PKEY_is_a(pkey, "EC") &&
        EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) == 1) {
        for (unsigned kind = BST_PKEY_EC_P256; kind <= BST_PKEY_EC_P384; kind++) {
            if (strcmp(group, kinds[kind].group) == 0) {
                *ret = (enum bst_pkey_kind)kind;
                return BST_OK;
            }
        }
    }
    ERR_clear_error();
    const char *name = EVP_PKEY_get0_type_name(pkey);
    BST_FAIL(BST_E_BAD_KEY, "a key of type %s %s; use EC P-256, EC P-384 or Ed25519",
             name ? name : "?", group);
}

bst_result bst_pkey_generate(enum bst_pkey_kind kind, struct evp_pkey_st **ret)
{
    BST_TRY(bst_crypto_start());
    BST_ENSURE((unsigned)kind < KINDS, BST_E_USAGE);
    EVP_PKEY *pkey = kinds[kind].group
                         ? EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].algorithm, kinds[kind].group)
                         : EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].algorithm);
    if (!pkey) {
        return bst_crypto_fail(BST_E_CRYPTO, "cannot make a key of type %s", kinds[kind].name);
    }
    *ret = pkey;
    return BST_OK;
}

static bool is_pem(struct bst_view text)
{
    return memmem(text.ptr, text.len, "-----BEGIN ", 11) != NULL;
}

/* An encrypted key must not make a server ask its terminal. */
static int no_passphrase(char *buf, int size, int writing, void *user)
{
    return -1;
}

static EVP_PKEY *private_der(struct bst_view der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    bst_auto_ossl(pkcs8) PKCS8_PRIV_KEY_INFO *info =
        d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    return info && at == (const uint8_t *)der.ptr + der.len ? EVP_PKCS82PKEY(info) : NULL;
}

static EVP_PKEY *private_pem(struct bst_view pem)
{
    bst_auto_ossl(bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    return bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
}

static EVP_PKEY *public_der(struct bst_view der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (pkey && at != (const uint8_t *)der.ptr + der.len) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey;
}

static EVP_PKEY *public_pem(struct bst_view pem)
{
    bst_auto_ossl(bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    return bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
}

static bst_result load(struct bst_view text, EVP_PKEY *(*pem)(struct bst_view),
                       EVP_PKEY *(*der)(struct bst_view), const char *what,
                       struct evp_pkey_st **ret)
{
    BST_TRY(bst_crypto_start());
    if (text.len == 0) {
        BST_FAIL(BST_E_TRUNCATED, "the %s key is empty", what);
    }
    if (text.len > KEY_TEXT_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "%zu bytes are too many for a %s key", text.len, what);
    }
    bst_auto_pkey *pkey = is_pem(text) ? pem(text) : der(text);
    if (!pkey) {
        return bst_crypto_fail(BST_E_BAD_KEY, "not a %s key in PEM or DER (or it is encrypted)",
                               what);
    }
    *ret = bst_steal(&pkey);
    return BST_OK;
}

bst_result bst_pkey_load_unchecked(struct bst_view text, struct evp_pkey_st **ret)
{
    BST_HEAP_MARKED; /* OpenSSL's parsers make copies */
    return load(text, private_pem, private_der, "private", ret);
}

bst_result bst_pkey_load_public_unchecked(struct bst_view text, struct evp_pkey_st **ret)
{
    return load(text, public_pem, public_der, "public", ret);
}

static bst_result keep_known(struct evp_pkey_st **take_pkey, struct evp_pkey_st **ret)
{
    enum bst_pkey_kind kind;
    BST_TRY(bst_pkey_kind(*take_pkey, &kind));
    *ret = bst_steal(take_pkey);
    return BST_OK;
}

bst_result bst_pkey_load(struct bst_view text, struct evp_pkey_st **ret)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_pkey_load_unchecked(text, &pkey));
    return keep_known(&pkey, ret);
}

bst_result bst_pkey_load_public(struct bst_view text, struct evp_pkey_st **ret)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_pkey_load_public_unchecked(text, &pkey));
    return keep_known(&pkey, ret);
}

bst_result bst_pkey_spki(const struct evp_pkey_st *pkey, struct bst_buf *ret)
{
    if (bst_extkey_is(pkey)) {
        return bst_extkey_spki(pkey, ret);
    }
    int len = i2d_PUBKEY(pkey, NULL);
    uint8_t *out = len > 0 ? (uint8_t *)bst_buf_reserve(ret, (size_t)len) : NULL;
    BST_TRY(bst_buf_check(ret));
    if (!out || i2d_PUBKEY(pkey, &out) != len) {
        return bst_crypto_fail(BST_E_BAD_KEY, "public key cannot be encoded");
    }
    ret->len += (size_t)len;
    return BST_OK;
}

bst_result bst_pkey_private(const struct evp_pkey_st *pkey, struct bst_secret *ret)
{
    if (bst_extkey_is(pkey)) {
        BST_FAIL(BST_E_BAD_KEY, "the private half of this key is in a secure environment");
    }
    BST_HEAP_MARKED;
    bst_auto_ossl(pkcs8) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    if (len <= 0) {
        return bst_crypto_fail(BST_E_BAD_KEY, "private key cannot be encoded");
    }
    bst_auto(secret) secret = {0};
    BST_TRY(bst_secret_init(&secret, (size_t)len));
    uint8_t *out = secret.ptr;
    if (i2d_PKCS8_PRIV_KEY_INFO(info, &out) != len) {
        return bst_crypto_fail(BST_E_BAD_KEY, "private key cannot be encoded");
    }
    *ret = secret;
    secret = (struct bst_secret){0};
    return BST_OK;
}

static const char *md_name(enum bst_md md)
{
    static const char *const names[] = {NULL, "SHA256", "SHA384", "SHA512"};
    return (unsigned)md < sizeof names / sizeof names[0] ? names[md] : NULL;
}

/* Ed25519 hashes by itself, ECDSA does not. */
static bst_result check_md(const struct evp_pkey_st *pkey, enum bst_md md)
{
    bool own_hash = EVP_PKEY_is_a(pkey, "ED25519");
    if (own_hash != (md_name(md) == NULL)) {
        BST_FAIL(BST_E_USAGE, own_hash ? "Ed25519 signs without a hash function"
                                       : "ECDSA needs a hash function");
    }
    return BST_OK;
}

bst_result bst_pkey_sign(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view message,
                         struct bst_buf *ret_signature)
{
    BST_TRY(check_md(pkey, md));
    bst_auto_ossl(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret_signature, BST_SIGNATURE_MAX);
    BST_ENSURE(ctx && out, BST_E_NOMEM);
    size_t len = BST_SIGNATURE_MAX;
    if (EVP_DigestSignInit_ex(ctx, NULL, md_name(md), NULL, NULL, pkey, NULL) != 1 ||
        EVP_DigestSign(ctx, out, &len, (const uint8_t *)message.ptr, message.len) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "signing failed");
    }
    ret_signature->len += len;
    return BST_OK;
}

bst_result bst_pkey_verify(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view message,
                           struct bst_view signature)
{
    BST_TRY(check_md(pkey, md));
    bst_auto_ossl(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    if (EVP_DigestVerifyInit_ex(ctx, NULL, md_name(md), NULL, NULL, pkey, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "verification cannot start");
    }
    if (EVP_DigestVerify(ctx, (const uint8_t *)signature.ptr, signature.len,
                         (const uint8_t *)message.ptr, message.len) != 1) {
        ERR_clear_error();
        BST_FAIL(BST_E_BAD_MAC, "the signature is not of this key over this message");
    }
    return BST_OK;
}

static bst_result sign_digest(EVP_PKEY *pkey, enum bst_md md, struct bst_view tbs, uint8_t *out,
                              size_t *len)
{
    BST_ENSURE(tbs.len == bst_md_bytes(md), BST_E_USAGE);
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    BST_ENSURE(ctx, BST_E_NOMEM);
    if (EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_sign(ctx, out, len, (const uint8_t *)tbs.ptr, tbs.len) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "ECDSA signing failed");
    }
    return BST_OK;
}

bst_result bst_pkey_sign_raw(struct evp_pkey_st *pkey, enum bst_md md, struct bst_view tbs,
                             uint8_t *out, size_t *ret_len)
{
    BST_TRY(check_md(pkey, md));
    size_t len = BST_SIGNATURE_MAX;
    if (md != BST_MD_NONE) {
        BST_TRY(sign_digest(pkey, md, tbs, out, &len));
    } else {
        bst_auto_ossl(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        BST_ENSURE(ctx, BST_E_NOMEM);
        if (EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) != 1 ||
            EVP_DigestSign(ctx, out, &len, (const uint8_t *)tbs.ptr, tbs.len) != 1) {
            return bst_crypto_fail(BST_E_CRYPTO, "Ed25519 signing failed");
        }
    }
    *ret_len = len;
    return BST_OK;
}

bst_result bst_pkey_agree(struct evp_pkey_st *pkey, struct bst_view peer_spki,
                          struct bst_secret *ret)
{
    bst_auto_pkey *peer = NULL;
    BST_TRY(bst_pkey_load_public(peer_spki, &peer));
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    BST_ENSURE(ctx, BST_E_NOMEM);
    size_t len = 0;
    /* set_peer checks that the point is on the curve. */
    if (EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
        EVP_PKEY_derive(ctx, NULL, &len) != 1) {
        return bst_crypto_fail(BST_E_BAD_KEY, "key agreement with this public key is not possible");
    }
    bst_auto(secret) secret = {0};
    BST_TRY(bst_secret_init(&secret, len));
    if (EVP_PKEY_derive(ctx, secret.ptr, &len) != 1 || len != secret.len) {
        return bst_crypto_fail(BST_E_CRYPTO, "key agreement failed");
    }
    *ret = secret;
    secret = (struct bst_secret){0};
    return BST_OK;
}
