/* SHA3-256 and KMAC256 over OpenSSL's EVP. */
#include "crypto/sha3.h"

#include "crypto/crypto_priv.h"
#include "crypto/rand.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

BST_OSSL_AUTO(EVP_MD, md, EVP_MD_free)

bst_result bst_sha3_256(const struct bst_view *parts, size_t n, uint8_t out[BST_SHA3_256_BYTES])
{
    BST_TRY(bst_crypto_start());
    bst_auto_ossl(md) EVP_MD *md = EVP_MD_fetch(NULL, "SHA3-256", NULL);
    bst_auto_ossl(md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
    for (size_t i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1) {
        return bst_crypto_fail(BST_E_CRYPTO, "SHA3-256 failed");
    }
    return BST_OK;
}

bst_result bst_kmac256(struct bst_view key, struct bst_view customisation, struct bst_view in,
                       uint8_t *out, size_t len)
{
    size_t made = 0;
    BST_TRY(bst_crypto_start());
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_CUSTOM,
                                          (void *)(uintptr_t)customisation.ptr, customisation.len),
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &len),
        OSSL_PARAM_construct_end(),
    };
    if (!EVP_Q_mac(NULL, "KMAC256", NULL, NULL, params, key.ptr, key.len, (const uint8_t *)in.ptr,
                   in.len, out, len, &made) ||
        made != len) {
        return bst_crypto_fail(BST_E_CRYPTO, "KMAC256 failed");
    }
    return BST_OK;
}
