/* Argon2id with limits. */
#include "se/passphrase.h"

#include <argon2.h>

#define PASSES_MAX 64
#define KIB_MAX (1024 * 1024)
#define LANES_MAX 16
#define PASSPHRASE_MIN 8
#define KEY_BYTES 32

bst_result bst_passphrase_key(const struct bst_secret *passphrase,
                              const struct bst_passphrase_cost *cost,
                              const uint8_t salt[BST_PASSPHRASE_SALT_BYTES], struct bst_secret *ret)
{
    bst_auto(secret) key = {0};
    if (cost->passes < 1 || cost->passes > PASSES_MAX || cost->kib < 8 || cost->kib > KIB_MAX ||
        cost->lanes < 1 || cost->lanes > LANES_MAX) {
        BST_FAIL(BST_E_VALUE, "the cost of the passphrase's key is out of bounds");
    }
    if (passphrase->len < PASSPHRASE_MIN) {
        BST_FAIL(BST_E_SE_PIN, "a passphrase has at least %d characters", PASSPHRASE_MIN);
    }
    BST_TRY(bst_secret_init(&key, KEY_BYTES));
    int outcome =
        argon2id_hash_raw(cost->passes, cost->kib, cost->lanes, passphrase->ptr, passphrase->len,
                          salt, BST_PASSPHRASE_SALT_BYTES, key.ptr, key.len);
    if (outcome != ARGON2_OK) {
        BST_FAIL(outcome == ARGON2_MEMORY_ALLOCATION_ERROR ? BST_E_NOMEM : BST_E_CRYPTO,
                 "Argon2id: %s", argon2_error_message(outcome));
    }
    *ret = key;
    key = (struct bst_secret){0};
    return BST_OK;
}
