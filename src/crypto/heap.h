/* Where OpenSSL keeps key material: locked pages that no core dump shows.
 *
 * OpenSSL copies a pre-shared key into its ordinary heap for as long as a handshake message is
 * worked on, a TLS 1.3 session for longer, and contexts of KDFs, MACs and ciphers hold what they
 * were given. Around such work a thread sets a mark, and what OpenSSL asks for meanwhile lies in
 * pages of our own. Without bst_heap_start() the marks do nothing. */
#pragma once

#include "base/mem.h"

/** Stand between OpenSSL and malloc(), for the whole process and for good.
 *
 * For a program's main(), before anything else; never for a library, whose user may have an
 * allocator there already.
 *
 * @return false: OpenSSL has allocated before, there are no pages, or AddressSanitizer is to see
 *         every block; everything goes on with malloc() */
bool bst_heap_start(void);

/** A thread's mark; they nest. */
struct bst_heap_mark {
    bool set;
};
struct bst_heap_mark bst_heap_enter(void);
void bst_heap_mark_clear(struct bst_heap_mark *mark);
/** Set it to the end of the scope. */
#define BST_HEAP_MARKED                                                                            \
    __attribute__((unused)) bst_auto(heap_mark) heap_mark_of_scope = bst_heap_enter()

/** How full the pages are. */
struct bst_heap_use {
    size_t bytes;        /* in blocks that are out */
    size_t pages_bytes;  /* taken so far, never given back */
    size_t locked_bytes; /* of these; RLIMIT_MEMLOCK may allow less */
    size_t refused;      /* blocks that went to malloc() because the pages were full */
};
struct bst_heap_use bst_heap_use(void);
/** Is this a block in the pages? */
bool bst_heap_owns(const void *ptr);

/* What OpenSSL calls. Tests call them too. */
void *bst_heap_alloc(size_t bytes, const char *file, int line);
void *bst_heap_realloc(void *ptr, size_t bytes, const char *file, int line);
void bst_heap_free(void *ptr, const char *file, int line);
