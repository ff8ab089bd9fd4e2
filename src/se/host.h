/* What a secure environment needs from the outside: durable blobs, secrets at start, a clock. */
#pragma once

#include "base/text.h"

/** Filled by the program; every call may come from any thread, writes are serialised by the caller.
 */
struct bst_se_host {
    void *ctx;
    /** Whole blob, appended. BST_E_NOT_FOUND when there is none, BST_E_TOO_LONG above `max`. */
    bst_result (*read)(void *ctx, const char *path, size_t max, struct bst_buf *ret);
    /** Old or new, never half; durable when it returns success. */
    bst_result (*replace)(void *ctx, const char *path, struct bst_view bytes);
    /** Durable when it returns success; a crash may leave a part at the end. */
    bst_result (*append)(void *ctx, const char *path, struct bst_view bytes);
    /** Success when it is already gone. */
    bst_result (*remove)(void *ctx, const char *path);
    /** Secret bytes of "file:PATH" (readable by its owner only) or "credential:NAME". */
    bst_result (*secret_read)(void *ctx, const char *source, struct bst_secret *ret);
    /** Keep a new secret, mode 0600, durable; BST_E_EXISTS rather than overwrite. */
    bst_result (*secret_write)(void *ctx, const char *source, const struct bst_secret *secret);
    /** Wall time in microseconds. */
    int64_t (*wall_us)(void *ctx);
};

/** A host over ordinary files. `wall_us` is the clock; ctx is unused. */
void bst_se_host_file(struct bst_se_host *ret, int64_t (*wall_us)(void *ctx));
