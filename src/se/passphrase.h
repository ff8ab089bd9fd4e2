/* A key from a passphrase: Argon2id (RFC 9106). */
#pragma once

#include "base/text.h"

#define BST_PASSPHRASE_SALT_BYTES 16
struct bst_passphrase_cost {
    uint32_t passes, kib, lanes;
};
/** RFC 9106 4, second recommended choice, on one lane. */
#define BST_PASSPHRASE_COST ((struct bst_passphrase_cost){.passes = 3, .kib = 65536, .lanes = 1})

/** 32 bytes. The cost may be somebody else's: what would take minutes or all memory is refused.
 * @error BST_E_VALUE  such a cost  @error BST_E_SE_PIN  fewer than eight bytes of passphrase */
bst_result bst_passphrase_key(const struct bst_secret *passphrase,
                              const struct bst_passphrase_cost *cost,
                              const uint8_t salt[BST_PASSPHRASE_SALT_BYTES],
                              struct bst_secret *ret);
