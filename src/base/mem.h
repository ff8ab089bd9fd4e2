/* Memory: allocation that tests can make fail, cleanup by scope, secrets, request arenas. */
#pragma once

#include "base/result.h"

#include <bastide/mem.h>
#include <stdlib.h>
#include <string.h>

/* All allocation goes through these four, so that fault runs reach every failure path. */

/** Zeroed memory or NULL. */
void *bst_alloc(size_t bytes);
/** As realloc; the old block stays valid when NULL comes back. */
void *bst_realloc(void *ptr, size_t bytes);
/** NUL-terminated copy of `len` bytes, or NULL. */
char *bst_strndup(const char *ptr, size_t len);
char *bst_strdup(const char *text);
void bst_free(void *ptr);
/** Make the n-th allocation from now fail (1 = the next), once; 0 switches it off. For tests. */
void bst_alloc_fail_at(long n);
/** Allocations made since the last bst_alloc_fail_at(), to know where a fault run may end. */
long bst_alloc_count(void);

/** Equal bytes, in time that depends on the length only. */
bool bst_equal_ct(const void *a, const void *b, size_t bytes);

/** Free at the end of the scope: bst_auto_free char *text = ...; */
#define bst_auto_free __attribute__((cleanup(bst_free_ptr_)))
static inline void bst_free_ptr_(void *slot)
{
    void *ptr;
    memcpy(&ptr, slot, sizeof ptr);
    bst_free(ptr);
}

/** bst_auto(type): clear at the end of the scope by bst_<type>_clear(). */
#define bst_auto(type) __attribute__((cleanup(bst_##type##_clear))) struct bst_##type

/** Take a pointer out of its owner, leaving NULL. */
#define bst_steal(slot)                                                                            \
    __extension__({                                                                                \
        __typeof__(*(slot)) *bst_slot_ = (slot);                                                   \
        __typeof__(*(slot)) bst_out_ = *bst_slot_;                                                 \
        *bst_slot_ = NULL;                                                                         \
        bst_out_;                                                                                  \
    })

/** Zeroed pages that no core dump shows, for keys of others than bst_secret, or NULL. */
void *bst_pages_hidden(size_t bytes);
/** Keep them out of swap as well; false where RLIMIT_MEMLOCK does not allow it. */
bool bst_pages_lock(void *pages, size_t bytes);
void bst_pages_free(void *pages, size_t bytes);
/** Do both, for good, to the pages of a place that others have chosen, such as a frame of the
 * stack. A thread that asks for the same places again and again is answered from memory. */
void bst_pages_hide(void *at, size_t bytes);

/** Memory that dies together: everything of one request. Not for threads. */
struct bst_arena {
    struct bst_arena_block *blocks;
    size_t used, total;
    size_t limit; /* bytes in all, 0 = no limit */
};
void bst_arena_init(struct bst_arena *arena, size_t limit_bytes);
void bst_arena_clear(struct bst_arena *arena);
/** Forget everything but keep one block for the next request. */
void bst_arena_reset(struct bst_arena *arena);
/** Zeroed, aligned for any type; NULL when memory or the limit is out. */
void *bst_arena_alloc(struct bst_arena *arena, size_t bytes);
char *bst_arena_strndup(struct bst_arena *arena, const char *ptr, size_t len);
/** NUL-terminated; {NULL, 0} on failure. */
struct bst_view bst_arena_printf(struct bst_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct bst_view bst_arena_view(struct bst_arena *arena, struct bst_view v);
