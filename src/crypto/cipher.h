/* AES-128 as a block function and in counter mode, for standards that build on the bare cipher. */
#pragma once

#include "base/text.h"

#define BST_AES_BLOCK_BYTES 16
#define BST_AES128_KEY_BYTES 16

/** A key whose schedule is made once. clear() is harmless at any time. One thread at a time. */
struct bst_aes {
    void *ctx;
};
/** @error BST_E_BAD_KEY  the key does not have 16 bytes */
bst_result bst_aes_init(struct bst_aes *aes, struct bst_view key);
/** Encrypt `n` blocks, each by itself; `in` and `out` may be the same. */
bst_result bst_aes_blocks(struct bst_aes *aes, const uint8_t *in, uint8_t *out, size_t n);
void bst_aes_clear(struct bst_aes *aes);

/** Counter mode with the standard increment of the last 32 bits (NIST SP 800-38A B.1, m = 32): what
 * is before them never changes. Encrypts and decrypts; `in` and `out` may be the same.
 * @error BST_E_TOO_LONG  more than 2^20 bytes */
bst_result bst_aes128_ctr32(struct bst_view key, const uint8_t icb[BST_AES_BLOCK_BYTES],
                            struct bst_view in, uint8_t *out);
