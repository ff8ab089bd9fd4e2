/* Hashes, HMAC-SHA-256 and HKDF-SHA-256 over OpenSSL's EVP. */
#include "crypto/digest.h"

#include "crypto/crypto_priv.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

BST_OSSL_AUTO(EVP_MAC_CTX, mac_ctx, EVP_MAC_CTX_free)
BST_OSSL_AUTO(EVP_KDF_CTX, kdf_ctx, EVP_KDF_CTX_free)

size_t bst_md_bytes(enum bst_md md)
{
    switch (md) {
    case BST_MD_SHA256:
        return BST_SHA256_BYTES;
    case BST_MD_SHA384:
        return BST_SHA384_BYTES;
    case BST_MD_SHA512:
        return BST_MD_MAX_BYTES;
    case BST_MD_NONE:
        break;
    }
    return 0;
}

bst_result bst_hasher_init(struct bst_hasher *hasher, enum bst_md md)
{
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    BST_ENSURE(bst_md_bytes(md) > 0, BST_E_USAGE);
    bst_auto_ossl(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    if (EVP_DigestInit_ex2(ctx, crypto->md[md], NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "hash cannot start");
    }
    hasher->ctx = bst_steal(&ctx);
    return BST_OK;
}

bst_result bst_hasher_update(struct bst_hasher *hasher, struct bst_view in)
{
    if (in.len && EVP_DigestUpdate(hasher->ctx, in.ptr, in.len) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "hash cannot go on");
    }
    return BST_OK;
}

bst_result bst_hasher_final(struct bst_hasher *hasher, uint8_t *out)
{
    if (EVP_DigestFinal_ex(hasher->ctx, out, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "hash cannot end");
    }
    bst_hasher_clear(hasher);
    return BST_OK;
}

void bst_hasher_clear(struct bst_hasher *hasher)
{
    EVP_MD_CTX_free(hasher->ctx);
    hasher->ctx = NULL;
}

bst_result bst_hasher_again(struct bst_hasher *hasher, const struct bst_view *parts, size_t n,
                            uint8_t *out)
{
    bool ok = EVP_DigestInit_ex2(hasher->ctx, NULL, NULL) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 || EVP_DigestUpdate(hasher->ctx, parts[i].ptr, parts[i].len) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(hasher->ctx, out, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "hash failed");
    }
    return BST_OK;
}

bst_result bst_digest(enum bst_md md, const struct bst_view *parts, size_t n, uint8_t *out)
{
    bst_auto(hasher) hasher = {0};
    BST_TRY(bst_hasher_init(&hasher, md));
    for (size_t i = 0; i < n; i++) {
        BST_TRY(bst_hasher_update(&hasher, parts[i]));
    }
    return bst_hasher_final(&hasher, out);
}

bst_result bst_sha256(struct bst_view in, uint8_t out[BST_SHA256_BYTES])
{
    return bst_digest(BST_MD_SHA256, &in, 1, out);
}

bst_result bst_sha384(struct bst_view in, uint8_t out[BST_SHA384_BYTES])
{
    return bst_digest(BST_MD_SHA384, &in, 1, out);
}

bst_result bst_hmac_sha256(struct bst_view key, const struct bst_view *parts, size_t n,
                           uint8_t out[BST_SHA256_BYTES])
{
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    BST_HEAP_MARKED;
    bst_auto_ossl(mac_ctx) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(crypto->hmac_sha256);
    BST_ENSURE(ctx, BST_E_NOMEM);
    /* A NULL key would mean "the one set before": an empty key is still a key. */
    const void *bytes = key.len ? key.ptr : "";
    bool ok = EVP_MAC_init(ctx, bytes, key.len, NULL) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 ||
             EVP_MAC_update(ctx, (const uint8_t *)parts[i].ptr, parts[i].len) == 1;
    }
    size_t len = 0;
    if (!ok || EVP_MAC_final(ctx, out, &len, BST_SHA256_BYTES) != 1 || len != BST_SHA256_BYTES) {
        return bst_crypto_fail(BST_E_CRYPTO, "HMAC-SHA-256 failed");
    }
    return BST_OK;
}

/* ---- HMAC with a key that stays ---- */

#define HMAC_BLOCK_BYTES 64
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

bst_result bst_hmac_init(struct bst_hmac *hmac)
{
    bst_hmac_clear(hmac);
    hmac->inner = EVP_MD_CTX_new();
    hmac->outer = EVP_MD_CTX_new();
    hmac->work = EVP_MD_CTX_new();
    if (!hmac->inner || !hmac->outer || !hmac->work) {
        bst_hmac_clear(hmac);
        return bst_error(BST_E_NOMEM);
    }
    return BST_OK;
}

static bool absorb_pad(const struct bst_crypto *crypto, EVP_MD_CTX *ctx,
                       uint8_t block[HMAC_BLOCK_BYTES], uint8_t pad)
{
    for (size_t i = 0; i < HMAC_BLOCK_BYTES; i++) {
        block[i] ^= pad;
    }
    return EVP_DigestInit_ex2(ctx, crypto->md[BST_MD_SHA256], NULL) == 1 &&
           EVP_DigestUpdate(ctx, block, HMAC_BLOCK_BYTES) == 1;
}

/* [RFC 2104, 2] K is filled up with zeros to one block, or hashed when it is longer. OpenSSL's own
 * HMAC hashes both blocks again for each message that comes with a new context: copies of the two
 * states cost half as much. */
bst_result bst_hmac_key(struct bst_hmac *hmac, struct bst_view key)
{
    const struct bst_crypto *crypto;
    uint8_t block[HMAC_BLOCK_BYTES] = {0};
    BST_HEAP_MARKED;
    BST_TRY(bst_crypto_get(&crypto));
    if (key.len > sizeof block) {
        BST_TRY(bst_sha256(key, block));
    } else if (key.len) {
        memcpy(block, key.ptr, key.len);
    }
    bool ok = absorb_pad(crypto, hmac->inner, block, INNER_PAD) &&
              absorb_pad(crypto, hmac->outer, block, INNER_PAD ^ OUTER_PAD);
    bst_wipe(block, sizeof block);
    hmac->key_bytes = key.len;
    return ok ? BST_OK : bst_crypto_fail(BST_E_CRYPTO, "HMAC-SHA-256 cannot start");
}

bst_result bst_hmac_run(struct bst_hmac *hmac, const struct bst_view *parts, size_t n,
                        uint8_t out[BST_SHA256_BYTES])
{
    uint8_t digest[BST_SHA256_BYTES];
    bool ok = EVP_MD_CTX_copy_ex(hmac->work, hmac->inner) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 || EVP_DigestUpdate(hmac->work, parts[i].ptr, parts[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(hmac->work, digest, NULL) == 1 &&
         EVP_MD_CTX_copy_ex(hmac->work, hmac->outer) == 1 &&
         EVP_DigestUpdate(hmac->work, digest, sizeof digest) == 1 &&
         EVP_DigestFinal_ex(hmac->work, out, NULL) == 1;
    bst_wipe(digest, sizeof digest);
    return ok ? BST_OK : bst_crypto_fail(BST_E_CRYPTO, "HMAC-SHA-256 failed");
}

void bst_hmac_clear(struct bst_hmac *hmac)
{
    EVP_MD_CTX_free(hmac->inner); /* which wipes the state */
    EVP_MD_CTX_free(hmac->outer);
    EVP_MD_CTX_free(hmac->work);
    *hmac = (struct bst_hmac){0};
}

static OSSL_PARAM octets(const char *name, struct bst_view v)
{
    /* OpenSSL's parameter type is not const although these are only read. */
    union {
        const char *in;
        void *out;
    } bytes = {.in = v.len ? v.ptr : ""};
    return OSSL_PARAM_construct_octet_string(name, bytes.out, v.len);
}

bst_result bst_hkdf_sha256(struct bst_view salt, struct bst_view ikm, struct bst_view info,
                           uint8_t *out, size_t out_len)
{
    static const char zeros[BST_SHA256_BYTES];
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    BST_ENSURE(out_len > 0 && out_len <= 255 * BST_SHA256_BYTES, BST_E_USAGE);
    BST_HEAP_MARKED;
    bst_auto_ossl(kdf_ctx) EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(crypto->hkdf);
    BST_ENSURE(ctx, BST_E_NOMEM);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        octets(OSSL_KDF_PARAM_KEY, ikm),
        octets(OSSL_KDF_PARAM_SALT, salt.len ? salt : bst_view_of(zeros, sizeof zeros)),
        octets(OSSL_KDF_PARAM_INFO, info),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_KDF_derive(ctx, out, out_len, params) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "HKDF-SHA-256 failed");
    }
    return BST_OK;
}
