/* AES-128 over OpenSSL's EVP, without padding. */
#include "crypto/cipher.h"

#include "crypto/crypto_priv.h"

#define CTR_BYTES_MAX ((size_t)1 << 20)

static bst_result start(struct bst_view key, const struct bst_crypto **ret)
{
    if (key.len != BST_AES128_KEY_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "an AES-128 key has 16 bytes, this one has %zu", key.len);
    }
    return bst_crypto_get(ret);
}

bst_result bst_aes_init(struct bst_aes *aes, struct bst_view key)
{
    const struct bst_crypto *crypto;
    BST_TRY(start(key, &crypto));
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    if (EVP_EncryptInit_ex2(ctx, crypto->aes_ecb, (const uint8_t *)key.ptr, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(ctx, 0) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-128 cannot start");
    }
    aes->ctx = bst_steal(&ctx);
    return BST_OK;
}

bst_result bst_aes_blocks(struct bst_aes *aes, const uint8_t *in, uint8_t *out, size_t n)
{
    int len = 0, wanted = (int)(n * BST_AES_BLOCK_BYTES);
    BST_ENSURE(n <= 1024, BST_E_TOO_LONG);
    if (EVP_EncryptUpdate(aes->ctx, out, &len, in, wanted) != 1 || len != wanted) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-128 failed");
    }
    return BST_OK;
}

void bst_aes_clear(struct bst_aes *aes)
{
    EVP_CIPHER_CTX_free(aes->ctx);
    aes->ctx = NULL;
}

static bst_result ctr(const EVP_CIPHER *cipher, struct bst_view key,
                      const uint8_t iv[BST_AES_BLOCK_BYTES], struct bst_view in, uint8_t *out)
{
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    int len = 0;
    if (EVP_EncryptInit_ex2(ctx, cipher, (const uint8_t *)key.ptr, iv, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, out, &len, (const uint8_t *)in.ptr, (int)in.len) != 1 ||
        (size_t)len != in.len) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-128 in counter mode failed");
    }
    return BST_OK;
}

bst_result bst_aes128_ctr32(struct bst_view key, const uint8_t icb[BST_AES_BLOCK_BYTES],
                            struct bst_view in, uint8_t *out)
{
    const struct bst_crypto *crypto;
    BST_TRY(start(key, &crypto));
    BST_ENSURE(in.len <= CTR_BYTES_MAX, BST_E_TOO_LONG);
    if (in.len == 0) {
        return BST_OK;
    }
    uint32_t first =
        (uint32_t)icb[12] << 24 | (uint32_t)icb[13] << 16 | (uint32_t)icb[14] << 8 | icb[15];
    uint64_t before_wrap = ((UINT64_C(1) << 32) - first) * BST_AES_BLOCK_BYTES;
    if (in.len <= before_wrap) {
        return ctr(crypto->aes_ctr, key, icb, in, out);
    }
    /* OpenSSL carries into the upper 96 bits: go on from a counter of zero by ourselves. */
    uint8_t wrapped[BST_AES_BLOCK_BYTES] = {0};
    memcpy(wrapped, icb, 12);
    BST_TRY(ctr(crypto->aes_ctr, key, icb, bst_view_of(in.ptr, before_wrap), out));
    return ctr(crypto->aes_ctr, key, wrapped, bst_view_from(in, before_wrap), out + before_wrap);
}
