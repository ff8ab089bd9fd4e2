/* Files: whole reads with a cap, durable replacement, durable appending, and the lock of a folder.
 */
#pragma once

#include "base/text.h"

/** Read a whole file. BST_E_NOT_FOUND, BST_E_PERMISSION, BST_E_TOO_LONG (more than `cap_bytes`). */
bst_result bst_file_read(const char *path, size_t cap_bytes, struct bst_buf *ret);
/** Replace a file so that after a crash either the old or the new content is there.
 * Written aside, synced, renamed, folder synced. */
bst_result bst_file_write_atomic(const char *path, struct bst_view content, unsigned mode);
/** Make a folder and its parents; one that exists is fine and keeps its mode. */
bst_result bst_dir_make(const char *path, unsigned mode);
/** BST_E_NOT_FOUND when there is nothing; the removal is durable. */
bst_result bst_file_remove(const char *path);
bool bst_file_exists(const char *path);
/** Permission bits of a file (07777), for warnings about secrets that others can read. */
bst_result bst_file_mode(const char *path, unsigned *ret);
/** Names in a folder, without "." and "..", in byte order; a failure of `each` ends the walk. */
bst_result bst_dir_list(const char *path, bst_result (*each)(void *user, const char *name),
                        void *user);

/** A file that only grows. */
struct bst_append {
    int fd; /* -1 when closed */
    int64_t size_bytes;
};
bst_result bst_append_open(const char *path, unsigned mode, struct bst_append *ret);
/** All or nothing as far as the kernel allows: a short write is cut off again. */
bst_result bst_append_write(struct bst_append *file, struct bst_view data);
bst_result bst_append_sync(struct bst_append *file);
void bst_append_clear(struct bst_append *file);

/** Exclusive use of a state folder. */
struct bst_lock {
    int fd; /* -1 when not held */
};
/** BST_E_LOCKED names the process that holds it. Ends with the process in any case. */
bst_result bst_lock_take(const char *path, struct bst_lock *ret);
void bst_lock_clear(struct bst_lock *lock);

/** Make the n-th write, sync or rename from now fail with BST_E_IO, once; 0 = off. For tests. */
void bst_file_fail_at(long n);
/** Operations counted since the last bst_file_fail_at(). */
long bst_file_count(void);
