/* Primitives of JOSE over OpenSSL's EVP. */
#include "crypto/jwa.h"

#include "crypto/agree.h"
#include "crypto/crypto_priv.h"
#include "crypto/rand.h"

#include <limits.h>
#include <openssl/ecdsa.h>

BST_OSSL_AUTO(ECDSA_SIG, ecdsa_sig, ECDSA_SIG_free)

/* ---- ES256 ---- */

/* Two numbers side by side to the DER that OpenSSL wants. */
static bst_result to_der(struct bst_view signature, struct bst_buf *ret)
{
    const uint8_t *in = (const uint8_t *)signature.ptr;
    bst_auto_ossl(ecdsa_sig) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(in, BST_ES256_NUMBER_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(in + BST_ES256_NUMBER_BYTES, BST_ES256_NUMBER_BYTES, NULL);
    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return bst_error(BST_E_NOMEM);
    }
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, BST_SIGNATURE_MAX);
    int len = out ? i2d_ECDSA_SIG(sig, &out) : 0;
    BST_ENSURE(len > 0, BST_E_NOMEM);
    ret->len += (size_t)len;
    return BST_OK;
}

bst_result bst_es256_verify(struct bst_view x, struct bst_view y, struct bst_view message,
                            struct bst_view signature)
{
    uint8_t point[1 + 2 * BST_ES256_NUMBER_BYTES] = {4};
    bst_auto_pkey *key = NULL;
    bst_auto(buf) der = {0};
    if (x.len != BST_ES256_NUMBER_BYTES || y.len != BST_ES256_NUMBER_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "coordinates of P-256 have %d bytes", BST_ES256_NUMBER_BYTES);
    }
    if (signature.len != BST_ES256_SIGNATURE_BYTES) {
        BST_FAIL(BST_E_BAD_MAC, "an ES256 signature has %d bytes, this one has %zu",
                 BST_ES256_SIGNATURE_BYTES, signature.len);
    }
    memcpy(point + 1, x.ptr, x.len);
    memcpy(point + 1 + x.len, y.ptr, y.len);
    BST_TRY(bst_p256_public(point, sizeof point, &key));
    BST_TRY(to_der(signature, &der));
    return bst_pkey_verify(key, BST_MD_SHA256, message, bst_buf_view(&der));
}

/* ---- AES-GCM ---- */

static const EVP_CIPHER *gcm_of(size_t key_bytes)
{
    return key_bytes == 16 ? EVP_aes_128_gcm() : key_bytes == 32 ? EVP_aes_256_gcm() : NULL;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, struct bst_view aad, struct bst_view in,
                    const uint8_t tag[BST_GCM_TAG_BYTES], uint8_t *out)
{
    int n = 0;
    union {
        const uint8_t *in;
        void *out;
    } octets = {.in = tag}; /* only read */
    return (aad.len == 0 ||
            EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) == 1) &&
           (in.len == 0 ||
            EVP_DecryptUpdate(ctx, out, &n, (const uint8_t *)in.ptr, (int)in.len) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, BST_GCM_TAG_BYTES, octets.out) == 1 &&
           EVP_DecryptFinal_ex(ctx, out, &n) == 1;
}

bst_result bst_gcm_open(struct bst_view key, const uint8_t nonce[BST_GCM_NONCE_BYTES],
                        struct bst_view aad, struct bst_view in,
                        const uint8_t tag[BST_GCM_TAG_BYTES], struct bst_buf *ret)
{
    const EVP_CIPHER *cipher = gcm_of(key.len);
    BST_TRY(bst_crypto_start());
    if (!cipher) {
        BST_FAIL(BST_E_BAD_KEY, "AES-GCM takes 16 or 32 bytes of key, not %zu", key.len);
    }
    BST_ENSURE(in.len <= INT_MAX && aad.len <= INT_MAX, BST_E_TOO_LONG);
    bst_auto_ossl(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *out = (uint8_t *)bst_buf_reserve(ret, in.len + 1);
    BST_ENSURE(ctx && out, BST_E_NOMEM);
    if (EVP_DecryptInit_ex2(ctx, cipher, (const uint8_t *)key.ptr, nonce, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "AES-GCM cannot start");
    }
    if (!decrypt(ctx, aad, in, tag, out)) {
        /* GCM decrypts before it checks. */
        bst_wipe(out, in.len);
        ERR_clear_error();
        BST_FAIL(BST_E_BAD_MAC, "the tag does not match");
    }
    ret->len += in.len;
    return BST_OK;
}
