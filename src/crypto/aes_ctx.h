/* AES with a key whose schedule is made once and used for many messages: counter mode and CMAC. */
#pragma once

#include "base/text.h"

/** AES-128 or AES-256 in counter mode (NIST SP 800-38A), the counter being all 16 bytes. One thread
 * at a time; clear() is harmless at any time. */
struct bst_ctr {
    void *ctx;
};
/** @error BST_E_BAD_KEY  neither 16 nor 32 bytes */
bst_result bst_ctr_init(struct bst_ctr *ctr, struct bst_view key);
/** Begin a message at its first counter block. */
bst_result bst_ctr_start(struct bst_ctr *ctr, const uint8_t block[16]);
/** Go on with the message; `in` and `out` may be the same. */
bst_result bst_ctr_apply(struct bst_ctr *ctr, const uint8_t *in, size_t len, uint8_t *out);
void bst_ctr_clear(struct bst_ctr *ctr);

/** CMAC with AES-128 (RFC 4493, NIST SP 800-38B). One thread at a time. */
struct bst_cmac {
    void *ctx;
};
/** @error BST_E_BAD_KEY  not 16 bytes */
bst_result bst_cmac_init(struct bst_cmac *cmac, struct bst_view key);
/** Over the parts one after the other. */
bst_result bst_cmac_run(struct bst_cmac *cmac, const struct bst_view *parts, size_t n,
                        uint8_t out[16]);
void bst_cmac_clear(struct bst_cmac *cmac);
