/* AES-128 over OpenSSL's EVP, without padding. */
#include "crypto/cipher.h"

#include "crypto/crypto_priv.h"

#define CTR_BYTES_MAX ((size_t)1 << 20)
#define CTR_BLOCKS 16

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
    BST_HEAP_MARKED;
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

static uint32_t read_be32(const uint8_t in[4])
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static void write_be32(uint32_t number, uint8_t out[4])
{
    for (int i = 3; i >= 0; i--, number >>= 8) {
        out[i] = (uint8_t)number;
    }
}

/* Block n of the counter. */
static void counter_block(const uint8_t icb[BST_AES_BLOCK_BYTES], uint32_t n,
                          uint8_t out[BST_AES_BLOCK_BYTES])
{
    memcpy(out, icb, 12);
    write_be32(read_be32(icb + 12) + n, out + 12);
}

/* OpenSSL's counter mode carries into the upper 96 bits. Blocks with a counter of our own need no
 * look at where it wraps, so that time does not depend on a counter that is secret. */
bst_result bst_aes128_ctr32(struct bst_view key, const uint8_t icb[BST_AES_BLOCK_BYTES],
                            struct bst_view in, uint8_t *out)
{
    bst_auto(aes) aes = {0};
    uint8_t stream[CTR_BLOCKS * BST_AES_BLOCK_BYTES] = {0};
    uint32_t n = 0;
    BST_ENSURE(in.len <= CTR_BYTES_MAX, BST_E_TOO_LONG);
    BST_TRY(bst_aes_init(&aes, key));
    for (size_t at = 0; at < in.len; at += sizeof stream) {
        size_t take = in.len - at < sizeof stream ? in.len - at : sizeof stream;
        size_t blocks = (take + BST_AES_BLOCK_BYTES - 1) / BST_AES_BLOCK_BYTES;
        for (size_t i = 0; i < blocks; i++) {
            counter_block(icb, n++, stream + i * BST_AES_BLOCK_BYTES);
        }
        BST_TRY(bst_aes_blocks(&aes, stream, stream, blocks));
        for (size_t i = 0; i < take; i++) {
            out[at + i] = (uint8_t)in.ptr[at + i] ^ stream[i];
        }
    }
    bst_wipe(stream, sizeof stream);
    return BST_OK;
}
