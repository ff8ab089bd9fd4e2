/* RFC 5649 on OpenSSL's ciphers. */
#include "crypto/keywrap.h"

#include "crypto/crypto_priv.h"
#include "crypto/rand.h"

#define BLOCK 8

static const EVP_CIPHER *cipher_for(size_t key_bytes)
{
    return key_bytes == 32   ? EVP_aes_256_wrap_pad()
           : key_bytes == 24 ? EVP_aes_192_wrap_pad()
           : key_bytes == 16 ? EVP_aes_128_wrap_pad()
                             : NULL;
}

static bst_result begin(struct bst_view key, bool seal, EVP_CIPHER_CTX **ret)
{
    const EVP_CIPHER *cipher = cipher_for(key.len);
    BST_TRY(bst_crypto_start());
    BST_ENSURE(cipher, BST_E_USAGE);
    BST_HEAP_MARKED;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    BST_ENSURE(ctx, BST_E_NOMEM);
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_CipherInit_ex(ctx, cipher, NULL, (const uint8_t *)key.ptr, NULL, seal) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return bst_crypto_fail(BST_E_CRYPTO, "AES key wrap is not there");
    }
    *ret = ctx;
    return BST_OK;
}

bst_result bst_keywrap(struct bst_view key, struct bst_view in, struct bst_buf *ret)
{
    BST_ENSURE(in.len > 0 && in.len <= BST_KEYWRAP_INPUT_MAX, BST_E_USAGE);
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = NULL;
    BST_TRY(begin(key, true, &ctx));
    int len = 0;
    char *out = bst_buf_reserve(ret, in.len + (size_t)3 * BLOCK);
    BST_ENSURE(out, BST_E_NOMEM);
    if (EVP_CipherUpdate(ctx, (uint8_t *)out, &len, (const uint8_t *)in.ptr, (int)in.len) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES key wrap failed");
    }
    ret->len += (size_t)len;
    return BST_OK;
}

bst_result bst_keyunwrap(struct bst_view key, struct bst_view wrapped, struct bst_secret *ret)
{
    if (wrapped.len < (size_t)2 * BLOCK || wrapped.len % BLOCK != 0 ||
        wrapped.len > BST_KEYWRAP_INPUT_MAX + 2 * BLOCK) {
        BST_FAIL(BST_E_BAD_MAC, "%zu bytes are no wrapped key", wrapped.len);
    }
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = NULL;
    BST_TRY(begin(key, false, &ctx));
    bst_auto(secret) out = {0};
    BST_TRY(bst_secret_init(&out, wrapped.len)); /* OpenSSL writes the padding too */
    int len = 0;
    if (EVP_CipherUpdate(ctx, out.ptr, &len, (const uint8_t *)wrapped.ptr, (int)wrapped.len) != 1) {
        ERR_clear_error();
        BST_FAIL(BST_E_BAD_MAC, "wrong wrapping key, or the wrapped bytes changed");
    }
    return bst_secret_copy(ret, out.ptr, (size_t)len);
}
