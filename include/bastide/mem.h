/* Byte strings and secrets that calls give out and take. */
#pragma once

#include <bastide/result.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Growing buffer, also the owner of any byte string; all zeros is an empty one. A failed append
 * sticks: check once at the end. */
struct bst_buf {
    char *ptr;
    size_t len, cap;
    bool failed;
};
void bst_buf_clear(struct bst_buf *buf);
void bst_buf_wipe(struct bst_buf *buf); /* clear, for what may be secret */

/** Key bytes: locked memory, wiped on clear, no print and no ==. All zeros is an empty one. */
struct bst_secret {
    uint8_t *ptr;
    size_t len;
};
bst_result bst_secret_init(struct bst_secret *secret, size_t bytes); /* zeroed */
bst_result bst_secret_copy(struct bst_secret *ret, const void *bytes, size_t len);
void bst_secret_clear(struct bst_secret *secret);

/** Overwrite with zeros in a way that the compiler keeps. */
void bst_wipe(void *ptr, size_t bytes);

/** Hash functions that Bastide signs and digests with; NONE where the scheme hashes by itself. */
enum bst_md { BST_MD_NONE, BST_MD_SHA256, BST_MD_SHA384, BST_MD_SHA512 };

#define BST_SHA256_BYTES 32
#define BST_SHA384_BYTES 48
#define BST_MD_MAX_BYTES 64

#ifdef __cplusplus
}
#endif
