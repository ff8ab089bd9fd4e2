/* A host for secure environments in memory: files, secrets and a clock that a test moves.
 *
 * Writes can be made to fail, or to crash: a crash leaves part of an append, and after it nothing
 * more reaches the files. */
#pragma once

#include "se/se.h"
#include "support/test.h"

#define TEST_HOST_WALL_US INT64_C(1790000000000000)

/* Plain malloc: runs with failing allocations fail the code under test, not its world. */
struct test_file {
    struct test_file *next;
    char path[128];
    char *ptr;
    size_t len, cap;
};

struct test_host {
    struct bst_se_host host;
    struct test_file *files;
    int64_t wall_us;
    long writes;   /* that changed a file, since the start */
    long fail_at;  /* this one fails and changes nothing; 0 never */
    long crash_at; /* this one is cut off, and everything after it */
};

static inline struct test_file *test_file(const struct test_host *h, const char *path)
{
    struct test_file *file = h->files;
    while (file && strcmp(file->path, path) != 0) {
        file = file->next;
    }
    return file;
}

static inline void test_file_add(struct test_file *file, struct bst_view bytes)
{
    if (file->len + bytes.len >= file->cap) {
        file->cap = 2 * (file->len + bytes.len + 1);
        file->ptr = realloc(file->ptr, file->cap);
    }
    if (bytes.len) {
        memcpy(file->ptr + file->len, bytes.ptr, bytes.len);
    }
    file->len += bytes.len;
}

static inline void test_file_set(struct test_host *h, const char *path, struct bst_view bytes)
{
    struct test_file *file = test_file(h, path);
    if (!file) {
        file = calloc(1, sizeof *file);
        strcpy(file->path, path);
        file->next = h->files;
        h->files = file;
    }
    file->len = 0;
    test_file_add(file, bytes);
}

static inline void test_file_remove(struct test_host *h, const char *path)
{
    struct test_file **at = &h->files;
    while (*at && strcmp((*at)->path, path) != 0) {
        at = &(*at)->next;
    }
    struct test_file *file = *at;
    if (file) {
        *at = file->next;
        free(file->ptr);
        free(file);
    }
}

static inline bst_result test_host_read(void *ctx, const char *path, size_t max,
                                        struct bst_buf *ret)
{
    struct test_host *h = ctx;
    struct test_file *file = test_file(h, path);
    if (!file) {
        BST_FAIL(BST_E_NOT_FOUND, "no %s", path);
    }
    BST_ENSURE(file->len <= max, BST_E_TOO_LONG);
    bst_buf_add(ret, file->ptr, file->len);
    return bst_buf_check(ret);
}

/* Counts a write; a share of it that still happens, in percent. */
static inline int test_host_share(struct test_host *h)
{
    h->writes++;
    if (h->crash_at && h->writes >= h->crash_at) {
        return h->writes == h->crash_at ? 50 : 0;
    }
    return h->writes == h->fail_at ? 0 : 100;
}

static inline bst_result test_host_replace(void *ctx, const char *path, struct bst_view bytes)
{
    struct test_host *h = ctx;
    if (test_host_share(h) < 100) {
        BST_FAIL(BST_E_DISK_FULL, "no room for %s", path);
    }
    test_file_set(h, path, bytes);
    return BST_OK;
}

static inline bst_result test_host_append(void *ctx, const char *path, struct bst_view bytes)
{
    struct test_host *h = ctx;
    struct test_file *file = test_file(h, path);
    int share = test_host_share(h);
    BST_ENSURE(file, BST_E_NOT_FOUND);
    test_file_add(file, bst_view_of(bytes.ptr, bytes.len * (size_t)share / 100));
    if (share < 100) {
        BST_FAIL(BST_E_DISK_FULL, "no room for %s", path);
    }
    return BST_OK;
}

static inline bst_result test_host_remove(void *ctx, const char *path)
{
    struct test_host *h = ctx;
    if (test_host_share(h) < 100) {
        BST_FAIL(BST_E_IO, "cannot remove %s", path);
    }
    test_file_remove(h, path);
    return BST_OK;
}

static inline bst_result test_host_secret_read(void *ctx, const char *source,
                                               struct bst_secret *ret)
{
    struct test_file *file = test_file(ctx, source);
    if (!file) {
        BST_FAIL(BST_E_NOT_FOUND, "no %s", source);
    }
    return bst_secret_copy(ret, file->ptr, file->len);
}

static inline bst_result test_host_secret_write(void *ctx, const char *source,
                                                const struct bst_secret *secret)
{
    struct test_host *h = ctx;
    BST_ENSURE(!test_file(h, source), BST_E_EXISTS);
    return test_host_replace(ctx, source, bst_view_of(secret->ptr, secret->len));
}

static inline int64_t test_host_wall_us(void *ctx)
{
    return ((struct test_host *)ctx)->wall_us;
}

static inline void test_host_init(struct test_host *h)
{
    *h = (struct test_host){.wall_us = TEST_HOST_WALL_US};
    h->host = (struct bst_se_host){
        .ctx = h,
        .read = test_host_read,
        .replace = test_host_replace,
        .append = test_host_append,
        .remove = test_host_remove,
        .secret_read = test_host_secret_read,
        .secret_write = test_host_secret_write,
        .wall_us = test_host_wall_us,
    };
}

static inline void test_host_clear(struct test_host *h)
{
    while (h->files) {
        test_file_remove(h, h->files->path);
    }
}

/** The same files in a second host. */
static inline void test_host_copy(const struct test_host *from, struct test_host *to)
{
    test_host_init(to);
    for (const struct test_file *file = from->files; file; file = file->next) {
        test_file_set(to, file->path, bst_view_of(file->ptr, file->len));
    }
}
#define AUTO_HOST __attribute__((cleanup(test_host_clear))) struct test_host
