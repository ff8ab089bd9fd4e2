/* What the files of crypto share: algorithms fetched once, OpenSSL's errors made into a sentence.
 */
#pragma once

#include "crypto/digest.h"
#include "crypto/heap.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* Fetching by name costs more than hashing a block: once for the whole process. */
struct bst_crypto {
    EVP_MD *md[BST_MD_SHA512 + 1];
    EVP_CIPHER *gcm, *aes_ecb; /* AES-256-GCM; AES-128 */
    EVP_MAC_CTX *hmac_sha256;  /* template: digest set, no key; duplicated for each use */
    EVP_KDF *hkdf;
};
/** BST_E_CRYPTO when OpenSSL lacks an algorithm. */
bst_result bst_crypto_get(const struct bst_crypto **ret);

/** Fail with a sentence and what OpenSSL's error queue says; the queue is empty afterwards. */
bst_result bst_crypto_fail(enum bst_error code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define BST_OSSL_AUTO(type, name, free_function)                                                   \
    static inline void bst_##name##_free_(type **slot)                                             \
    {                                                                                              \
        free_function(*slot);                                                                      \
        *slot = NULL;                                                                              \
    }
BST_OSSL_AUTO(EVP_MD_CTX, md_ctx, EVP_MD_CTX_free)
BST_OSSL_AUTO(EVP_CIPHER_CTX, cipher_ctx, EVP_CIPHER_CTX_free)
BST_OSSL_AUTO(EVP_PKEY_CTX, pkey_ctx, EVP_PKEY_CTX_free)
BST_OSSL_AUTO(EVP_PKEY, pkey, EVP_PKEY_free)
#define bst_auto_ossl(name) __attribute__((cleanup(bst_##name##_free_)))
