/* What computes ML-KEM-768 for kem.c; the build compiles one of kem_openssl.c, kem_pqclean.c and
 * kem_none.c. Lengths are checked before. */
#pragma once

#include "crypto/kem.h"

struct bst_kem_backend {
    const char *name; /* NULL: there is none */
    bst_result (*keygen)(const uint8_t seed[BST_KEM_SEED_BYTES], uint8_t ek[BST_KEM_EK_BYTES],
                         uint8_t dk[BST_KEM_DK_BYTES]);
    bst_result (*encapsulate)(const uint8_t ek[BST_KEM_EK_BYTES],
                              const uint8_t m[BST_KEM_RANDOM_BYTES],
                              uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES]);
    bst_result (*decapsulate)(const uint8_t dk[BST_KEM_DK_BYTES],
                              const uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES],
                              uint8_t shared[BST_KEM_SHARED_BYTES]);
};
extern const struct bst_kem_backend bst_kem_backend;
