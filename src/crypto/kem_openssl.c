/* ML-KEM-768 by OpenSSL, from release 3.5. */
#include "crypto/crypto_priv.h"
#include "crypto/kem_priv.h"
#include "crypto/rand.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#define NAME "ML-KEM-768"

/* OpenSSL's parameter type is not const although these are only read. */
static OSSL_PARAM octets(const char *name, const uint8_t *bytes, size_t len)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, len);
}

static bst_result make_key(const char *form, int selection, const uint8_t *bytes, size_t len,
                           EVP_PKEY **ret)
{
    OSSL_PARAM params[] = {octets(form, bytes, len), OSSL_PARAM_construct_end()};
    BST_TRY(bst_crypto_start());
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, NAME, NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, ret, selection, params) != 1) {
        return bst_crypto_fail(BST_E_BAD_KEY, "OpenSSL does not take this key of " NAME);
    }
    return BST_OK;
}

static bst_result keygen(const uint8_t seed[BST_KEM_SEED_BYTES], uint8_t ek[BST_KEM_EK_BYTES],
                         uint8_t dk[BST_KEM_DK_BYTES])
{
    bst_auto_ossl(pkey) EVP_PKEY *key = NULL;
    size_t ek_len = 0, dk_len = 0;
    BST_TRY(make_key("seed", EVP_PKEY_KEYPAIR, seed, BST_KEM_SEED_BYTES, &key));
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, ek, BST_KEM_EK_BYTES,
                                        &ek_len) != 1 ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PRIV_KEY, dk, BST_KEM_DK_BYTES,
                                        &dk_len) != 1 ||
        ek_len != BST_KEM_EK_BYTES || dk_len != BST_KEM_DK_BYTES) {
        return bst_crypto_fail(BST_E_CRYPTO, "a key of " NAME " cannot be read");
    }
    return BST_OK;
}

static bst_result encapsulate(const uint8_t ek[BST_KEM_EK_BYTES],
                              const uint8_t m[BST_KEM_RANDOM_BYTES],
                              uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES])
{
    bst_auto_ossl(pkey) EVP_PKEY *key = NULL;
    const OSSL_PARAM params[] = {octets("ikme", m, BST_KEM_RANDOM_BYTES),
                                 OSSL_PARAM_construct_end()};
    size_t ciphertext_len = BST_KEM_CIPHERTEXT_BYTES, shared_len = BST_KEM_SHARED_BYTES;
    BST_TRY(make_key(OSSL_PKEY_PARAM_PUB_KEY, EVP_PKEY_PUBLIC_KEY, ek, BST_KEM_EK_BYTES, &key));
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!ctx || EVP_PKEY_encapsulate_init(ctx, params) != 1 ||
        EVP_PKEY_encapsulate(ctx, ciphertext, &ciphertext_len, shared, &shared_len) != 1 ||
        ciphertext_len != BST_KEM_CIPHERTEXT_BYTES || shared_len != BST_KEM_SHARED_BYTES) {
        return bst_crypto_fail(BST_E_CRYPTO, NAME " cannot encapsulate");
    }
    return BST_OK;
}

static bst_result decapsulate(const uint8_t dk[BST_KEM_DK_BYTES],
                              const uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES])
{
    bst_auto_ossl(pkey) EVP_PKEY *key = NULL;
    size_t len = BST_KEM_SHARED_BYTES;
    BST_TRY(make_key(OSSL_PKEY_PARAM_PRIV_KEY, EVP_PKEY_KEYPAIR, dk, BST_KEM_DK_BYTES, &key));
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!ctx || EVP_PKEY_decapsulate_init(ctx, NULL) != 1 ||
        EVP_PKEY_decapsulate(ctx, shared, &len, ciphertext, BST_KEM_CIPHERTEXT_BYTES) != 1 ||
        len != BST_KEM_SHARED_BYTES) {
        return bst_crypto_fail(BST_E_CRYPTO, NAME " cannot decapsulate");
    }
    return BST_OK;
}

const struct bst_kem_backend bst_kem_backend = {"OpenSSL", keygen, encapsulate, decapsulate};
