/* Keyed AES contexts over OpenSSL: the key schedule is made at init, a message costs a new IV only.
 */
#include "crypto/aes_ctx.h"

#include "crypto/crypto_priv.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

bst_result bst_ctr_init(struct bst_ctr *ctr, struct bst_view key)
{
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    if (key.len != 16 && key.len != 32) {
        BST_FAIL(BST_E_BAD_KEY, "counter mode takes 16 or 32 bytes of key, not %zu", key.len);
    }
    BST_HEAP_MARKED;
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    const EVP_CIPHER *cipher = key.len == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr();
    if (EVP_EncryptInit_ex2(ctx, cipher, (const uint8_t *)key.ptr, NULL, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES in counter mode cannot start");
    }
    bst_ctr_clear(ctr);
    ctr->ctx = bst_steal(&ctx);
    return BST_OK;
}

bst_result bst_ctr_start(struct bst_ctr *ctr, const uint8_t block[16])
{
    if (EVP_EncryptInit_ex2(ctr->ctx, NULL, NULL, block, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES in counter mode cannot start");
    }
    return BST_OK;
}

bst_result bst_ctr_apply(struct bst_ctr *ctr, const uint8_t *in, size_t len, uint8_t *out)
{
    int done = 0;
    BST_ENSURE(len <= INT32_MAX, BST_E_TOO_LONG);
    if (len == 0) {
        return BST_OK;
    }
    if (EVP_EncryptUpdate(ctr->ctx, out, &done, in, (int)len) != 1 || (size_t)done != len) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES in counter mode failed");
    }
    return BST_OK;
}

void bst_ctr_clear(struct bst_ctr *ctr)
{
    EVP_CIPHER_CTX_free(ctr->ctx);
    ctr->ctx = NULL;
}

bst_result bst_cmac_init(struct bst_cmac *cmac, struct bst_view key)
{
    const struct bst_crypto *crypto;
    BST_TRY(bst_crypto_get(&crypto));
    if (key.len != 16) {
        BST_FAIL(BST_E_BAD_KEY, "AES-128-CMAC takes 16 bytes of key, not %zu", key.len);
    }
    BST_HEAP_MARKED;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds its own reference */
    char name[] = "AES-128-CBC";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, name, 0),
        OSSL_PARAM_construct_end(),
    };
    if (!ctx || EVP_MAC_init(ctx, (const uint8_t *)key.ptr, key.len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return bst_crypto_fail(BST_E_CRYPTO, "AES-CMAC cannot start");
    }
    bst_cmac_clear(cmac);
    cmac->ctx = ctx;
    return BST_OK;
}

bst_result bst_cmac_run(struct bst_cmac *cmac, const struct bst_view *parts, size_t n,
                        uint8_t out[16])
{
    size_t len = 0;
    int good = EVP_MAC_init(cmac->ctx, NULL, 0, NULL); /* the key of before */
    for (size_t i = 0; i < n && good == 1; i++) {
        if (parts[i].len > 0) {
            good = EVP_MAC_update(cmac->ctx, (const uint8_t *)parts[i].ptr, parts[i].len);
        }
    }
    if (good != 1 || EVP_MAC_final(cmac->ctx, out, &len, 16) != 1 || len != 16) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-CMAC failed");
    }
    return BST_OK;
}

void bst_cmac_clear(struct bst_cmac *cmac)
{
    EVP_MAC_CTX_free(cmac->ctx);
    cmac->ctx = NULL;
}
