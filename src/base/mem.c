/* Allocation with fault injection, wiping, secrets in locked memory, arenas. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_long alloc_seen;
static atomic_long alloc_fail_at;

static bool injected_failure(void)
{
    long fail_at = atomic_load_explicit(&alloc_fail_at, memory_order_relaxed);
    if (__builtin_expect(fail_at == 0, 1)) {
        return false;
    }
    return atomic_fetch_add(&alloc_seen, 1) + 1 == fail_at;
}

void *bst_alloc(size_t bytes)
{
    return injected_failure() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *bst_realloc(void *ptr, size_t bytes)
{
    return injected_failure() ? NULL : realloc(ptr, bytes ? bytes : 1);
}

char *bst_strndup(const char *ptr, size_t len)
{
    char *copy = len < SIZE_MAX ? bst_alloc(len + 1) : NULL;
    if (copy && len) {
        memcpy(copy, ptr, len);
    }
    return copy;
}

char *bst_strdup(const char *text)
{
    return bst_strndup(text, strlen(text));
}

void bst_free(void *ptr)
{
    free(ptr);
}

void bst_alloc_fail_at(long n)
{
    atomic_store(&alloc_seen, 0);
    /* Counting needs a number that is never reached. */
    atomic_store(&alloc_fail_at, n);
}

long bst_alloc_count(void)
{
    return atomic_load(&alloc_seen);
}

void bst_wipe(void *ptr, size_t bytes)
{
    if (ptr && bytes) {
        explicit_bzero(ptr, bytes);
    }
}

bool bst_equal_ct(const void *a, const void *b, size_t bytes)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < bytes; i++) {
        diff |= (uint8_t)(x[i] ^ y[i]);
    }
    return diff == 0;
}

/* Secrets live in pages of their own kind: locked and left out of core dumps. Small ones share a
 * pool of slots, so that a server with many keys stays far below RLIMIT_MEMLOCK. */

#define SLOT_BYTES 64
#define POOL_SLOTS 1024

static struct {
    atomic_flag lock;
    uint8_t *pages;
    bool tried;
    uint64_t used[POOL_SLOTS / 64];
} pool = {.lock = ATOMIC_FLAG_INIT};

void *bst_pages_hidden(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    (void)!madvise(pages, bytes, MADV_DONTDUMP);
    return pages;
}

bool bst_pages_lock(void *pages, size_t bytes)
{
    return mlock(pages, bytes) == 0;
}

void bst_pages_free(void *pages, size_t bytes)
{
    munmap(pages, bytes);
}

#define PLACES 4

void bst_pages_hide(void *at, size_t bytes)
{
    static _Thread_local struct {
        uintptr_t begin, end;
    } places[PLACES];
    static _Thread_local unsigned next;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)at & ~(page - 1);
    uintptr_t end = ((uintptr_t)at + bytes + page - 1) & ~(page - 1);
    for (size_t i = 0; i < PLACES; i++) {
        if (begin >= places[i].begin && end <= places[i].end) {
            return;
        }
    }
    uint8_t *pages = (uint8_t *)at - ((uintptr_t)at - begin);
    (void)!madvise(pages, end - begin, MADV_DONTDUMP);
    (void)!mlock(pages, end - begin);
    places[next].begin = begin;
    places[next].end = end;
    next = (next + 1) % PLACES;
}

/* A container may forbid locking; leaving them out of dumps still helps. */
static void *lockable_pages(size_t bytes)
{
    void *pages = bst_pages_hidden(bytes);
    (void)(pages && bst_pages_lock(pages, bytes));
    return pages;
}

static void pool_lock(void)
{
    while (atomic_flag_test_and_set_explicit(&pool.lock, memory_order_acquire)) {
    }
}

static void pool_unlock(void)
{
    atomic_flag_clear_explicit(&pool.lock, memory_order_release);
}

static uint8_t *pool_take(void)
{
    uint8_t *slot = NULL;
    pool_lock();
    if (!pool.tried) {
        pool.tried = true;
        pool.pages = lockable_pages(SLOT_BYTES * POOL_SLOTS);
    }
    for (size_t word = 0; pool.pages && word < POOL_SLOTS / 64; word++) {
        if (pool.used[word] != UINT64_MAX) {
            int bit = __builtin_ctzll(~pool.used[word]);
            pool.used[word] |= UINT64_C(1) << bit;
            slot = pool.pages + (word * 64 + (size_t)bit) * SLOT_BYTES;
            break;
        }
    }
    pool_unlock();
    return slot;
}

static bool pool_give(uint8_t *slot)
{
    if (!pool.pages || slot < pool.pages || slot >= pool.pages + SLOT_BYTES * POOL_SLOTS) {
        return false;
    }
    size_t index = (size_t)(slot - pool.pages) / SLOT_BYTES;
    pool_lock();
    pool.used[index / 64] &= ~(UINT64_C(1) << (index % 64));
    pool_unlock();
    return true;
}

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

bst_result bst_secret_init(struct bst_secret *secret, size_t bytes)
{
    BST_ENSURE(bytes <= (size_t)1 << 20, BST_E_TOO_LONG);
    BST_ENSURE(!injected_failure(), BST_E_NOMEM);
    uint8_t *ptr = bytes <= SLOT_BYTES ? pool_take() : NULL;
    if (!ptr) {
        /* Tells itself from a pool slot by its address. */
        ptr = lockable_pages(whole_pages(bytes ? bytes : 1));
    }
    BST_ENSURE(ptr, BST_E_NOMEM);
    *secret = (struct bst_secret){ptr, bytes};
    return BST_OK;
}

bst_result bst_secret_copy(struct bst_secret *ret, const void *bytes, size_t len)
{
    BST_TRY(bst_secret_init(ret, len));
    if (len) {
        memcpy(ret->ptr, bytes, len);
    }
    return BST_OK;
}

void bst_secret_clear(struct bst_secret *secret)
{
    if (!secret || !secret->ptr) {
        return;
    }
    bst_wipe(secret->ptr, secret->len);
    if (!pool_give(secret->ptr)) {
        munmap(secret->ptr, whole_pages(secret->len ? secret->len : 1));
    }
    *secret = (struct bst_secret){0};
}

struct bst_arena_block {
    struct bst_arena_block *next;
    size_t bytes;
    _Alignas(16) char data[];
};

#define ARENA_BLOCK 4000
#define ARENA_KEEP (4 * ARENA_BLOCK)

void bst_arena_init(struct bst_arena *arena, size_t limit_bytes)
{
    *arena = (struct bst_arena){.limit = limit_bytes};
}

void bst_arena_clear(struct bst_arena *arena)
{
    struct bst_arena_block *block = arena->blocks;
    while (block) {
        struct bst_arena_block *next = block->next;
        bst_free(block);
        block = next;
    }
    bst_arena_init(arena, arena->limit);
}

void bst_arena_reset(struct bst_arena *arena)
{
    struct bst_arena_block *best = NULL, *block = arena->blocks;
    while (block) {
        struct bst_arena_block *next = block->next, *worse = block;
        if (block->bytes <= ARENA_KEEP && (!best || block->bytes > best->bytes)) {
            worse = best;
            best = block;
        }
        bst_free(worse);
        block = next;
    }
    if (best) {
        best->next = NULL;
    }
    arena->blocks = best;
    arena->used = 0;
    arena->total = best ? best->bytes : 0;
}

/* Blocks grow, so that requests of usual size soon fit into the one that is kept. */
static size_t block_room(const struct bst_arena *arena, size_t bytes)
{
    size_t room = arena->blocks ? arena->blocks->bytes * 2 : ARENA_BLOCK;
    room = room > ARENA_KEEP ? ARENA_KEEP : room;
    if (arena->limit && arena->total + room > arena->limit) {
        room = ARENA_BLOCK;
    }
    return bytes > room ? bytes : room;
}

void *bst_arena_alloc(struct bst_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    if (!arena->blocks || arena->blocks->bytes - arena->used < bytes) {
        size_t room = block_room(arena, bytes);
        if (arena->limit && arena->total + room > arena->limit) {
            return NULL;
        }
        if (injected_failure()) {
            return NULL;
        }
        struct bst_arena_block *block = malloc(sizeof *block + room);
        if (!block) {
            return NULL;
        }
        block->bytes = room;
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
        arena->total += room;
    }
    void *ptr = arena->blocks->data + arena->used;
    arena->used += bytes;
    return memset(ptr, 0, bytes);
}

char *bst_arena_strndup(struct bst_arena *arena, const char *ptr, size_t len)
{
    char *copy = len < SIZE_MAX ? bst_arena_alloc(arena, len + 1) : NULL;
    if (copy && len) {
        memcpy(copy, ptr, len);
    }
    return copy;
}

struct bst_view bst_arena_view(struct bst_arena *arena, struct bst_view v)
{
    char *copy = bst_arena_strndup(arena, v.ptr, v.len);
    return (struct bst_view){copy, copy ? v.len : 0};
}

struct bst_view bst_arena_printf(struct bst_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : bst_arena_alloc(arena, (size_t)len + 1);
    if (!text) {
        return (struct bst_view){0};
    }
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return (struct bst_view){text, (size_t)len};
}
