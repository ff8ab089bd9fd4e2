/* ML-KEM-768 by PQClean's portable code, which tools/bootstrap fetches where OpenSSL is older than
 * 3.5. */
#include "crypto/kem_priv.h"
#include "crypto/rand.h"

#include <pqclean/kem.h>

/* The library's own wish for randomness; what is called here takes its randomness as input. */
int PQCLEAN_randombytes(uint8_t *out, size_t len);
int PQCLEAN_randombytes(uint8_t *out, size_t len)
{
    return bst_failed(bst_random(out, len)) ? -1 : 0;
}

static bst_result keygen(const uint8_t seed[BST_KEM_SEED_BYTES], uint8_t ek[BST_KEM_EK_BYTES],
                         uint8_t dk[BST_KEM_DK_BYTES])
{
    BST_ENSURE(PQCLEAN_MLKEM768_CLEAN_crypto_kem_keypair_derand(ek, dk, seed) == 0, BST_E_CRYPTO);
    return BST_OK;
}

static bst_result encapsulate(const uint8_t ek[BST_KEM_EK_BYTES],
                              const uint8_t m[BST_KEM_RANDOM_BYTES],
                              uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES])
{
    BST_ENSURE(PQCLEAN_MLKEM768_CLEAN_crypto_kem_enc_derand(ciphertext, shared, ek, m) == 0,
               BST_E_CRYPTO);
    return BST_OK;
}

static bst_result decapsulate(const uint8_t dk[BST_KEM_DK_BYTES],
                              const uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES])
{
    BST_ENSURE(PQCLEAN_MLKEM768_CLEAN_crypto_kem_dec(shared, ciphertext, dk) == 0, BST_E_CRYPTO);
    return BST_OK;
}

const struct bst_kem_backend bst_kem_backend = {"PQClean", keygen, encapsulate, decapsulate};
