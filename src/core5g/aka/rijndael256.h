/* Rijndael with a block and a key of 256 bits, the kernel of MILENAGE-256 (TS 35.234). */
#pragma once

#include <stdint.h>

#define BST_RIJNDAEL_BYTES 32
#define BST_RIJNDAEL_ROUNDS 14

struct bst_rijndael256 {
    uint8_t round_keys[BST_RIJNDAEL_ROUNDS + 1][BST_RIJNDAEL_BYTES];
};
/** Wipe the schedule after use. */
void bst_rijndael256_init(struct bst_rijndael256 *cipher, const uint8_t key[BST_RIJNDAEL_BYTES]);
/** Encrypt one block; `in` and `out` may be the same. No table is indexed by secret bytes. */
void bst_rijndael256_block(const struct bst_rijndael256 *cipher,
                           const uint8_t in[BST_RIJNDAEL_BYTES], uint8_t out[BST_RIJNDAEL_BYTES]);
