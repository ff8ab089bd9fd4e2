/* Slabs of locked pages between OpenSSL and malloc().
 *
 * A block knows its size by the slab that it lies in, and whether it is one of ours by its address.
 * Threads are spread over a few lanes, each with free lists of its own; a block goes back to the
 * lane that it came from, whoever frees it. What is free is all zeros but for the link of its list.
 */
#include "crypto/heap.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define REGION_BYTES ((size_t)64 << 20)
#define SLAB_BYTES ((size_t)16 << 10)
#define SLABS (REGION_BYTES / SLAB_BYTES)
/* The rest of a usual RLIMIT_MEMLOCK of 8 MiB is for secrets and OpenSSL's secure heap. */
#define LOCK_BYTES_MAX ((size_t)4 << 20)
#define LANES 4
#define CLASSES 7
#define SMALLEST_BYTES ((size_t)64)
#define LARGEST_BYTES (SMALLEST_BYTES << (CLASSES - 1)) /* 4 KiB: records are no key material */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EVERY_BLOCK_IS_WATCHED true
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define EVERY_BLOCK_IS_WATCHED true
#endif
#ifndef EVERY_BLOCK_IS_WATCHED
#define EVERY_BLOCK_IS_WATCHED false
#endif

struct block {
    struct block *next;
};

struct slab {
    uint8_t lane, size_class;
};

/* Lines of their own, so that lanes do not slow each other down. What is done under the lock takes
 * nanoseconds, but for a new slab. */
struct lane {
    _Alignas(64) atomic_flag lock;
    struct block *free[CLASSES];
    size_t bytes;
};

static struct lane lanes[LANES]; /* ATOMIC_FLAG_INIT is all zeros in gcc and clang */
static struct slab slabs[SLABS];
static uint8_t *region; /* NULL: not started */
static pthread_mutex_t grow_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t n_slabs, n_locked; /* under grow_lock */
static atomic_size_t n_refused;
static atomic_uint n_threads;
static _Thread_local unsigned own_lane; /* counted from 1 */
/* The model of a program's own variables, as every allocation looks at it. */
static __attribute__((tls_model("initial-exec"))) _Thread_local unsigned marks;

static void lane_lock(struct lane *lane)
{
    while (atomic_flag_test_and_set_explicit(&lane->lock, memory_order_acquire)) {
        sched_yield(); /* its holder may have lost the core */
    }
}

static void lane_unlock(struct lane *lane)
{
    atomic_flag_clear_explicit(&lane->lock, memory_order_release);
}

/* All of OpenSSL's blocks come by here, most of them malloc's. */
static inline bool is_ours(const void *ptr)
{
    return __builtin_expect((uintptr_t)ptr - (uintptr_t)region < REGION_BYTES, 0);
}

bool bst_heap_owns(const void *ptr)
{
    return region && is_ours(ptr);
}

static const struct slab *slab_of(const void *ptr)
{
    return &slabs[((uintptr_t)ptr - (uintptr_t)region) / SLAB_BYTES];
}

static size_t class_bytes(unsigned size_class)
{
    return SMALLEST_BYTES << size_class;
}

static unsigned class_for(size_t bytes)
{
    return bytes <= SMALLEST_BYTES ? 0
                                   : 64 - (unsigned)__builtin_clzll((bytes - 1) / SMALLEST_BYTES);
}

/** Zeroed pages for blocks of one size, or NULL when all are taken. */
static uint8_t *slab_new(unsigned lane, unsigned size_class)
{
    uint8_t *pages = NULL;
    pthread_mutex_lock(&grow_lock);
    if (n_slabs < SLABS) {
        pages = region + n_slabs * SLAB_BYTES;
        slabs[n_slabs++] = (struct slab){(uint8_t)lane, (uint8_t)size_class};
        n_locked +=
            n_locked < LOCK_BYTES_MAX / SLAB_BYTES && bst_pages_lock(pages, SLAB_BYTES) ? 1 : 0;
    }
    pthread_mutex_unlock(&grow_lock);
    return pages;
}

static void push(struct lane *lane, unsigned size_class, void *ptr)
{
    struct block *block = ptr;
    block->next = lane->free[size_class];
    lane->free[size_class] = block;
}

static struct block *pop(struct lane *lane, unsigned size_class)
{
    struct block *block = lane->free[size_class];
    if (block) {
        lane->free[size_class] = block->next;
        block->next = NULL;
    }
    return block;
}

/** Under the lane's lock. */
static void refill(unsigned lane, unsigned size_class)
{
    uint8_t *pages = slab_new(lane, size_class);
    for (size_t at = SLAB_BYTES; pages && at > 0; at -= class_bytes(size_class)) {
        push(&lanes[lane], size_class, pages + at - class_bytes(size_class));
    }
}

static unsigned lane_of_thread(void)
{
    if (!own_lane) {
        own_lane = atomic_fetch_add(&n_threads, 1) % LANES + 1;
    }
    return own_lane - 1;
}

/** NULL when the region is full. */
static void *take(size_t bytes)
{
    unsigned number = lane_of_thread(), size_class = class_for(bytes);
    struct lane *lane = &lanes[number];
    lane_lock(lane);
    if (!lane->free[size_class]) {
        refill(number, size_class);
    }
    struct block *block = pop(lane, size_class);
    lane->bytes += block ? class_bytes(size_class) : 0;
    lane_unlock(lane);
    if (!block) {
        atomic_fetch_add(&n_refused, 1);
    }
    return block;
}

static __attribute__((noinline)) void give(void *ptr)
{
    struct slab slab = *slab_of(ptr);
    struct lane *lane = &lanes[slab.lane];
    bst_wipe(ptr, class_bytes(slab.size_class));
    lane_lock(lane);
    push(lane, slab.size_class, ptr);
    lane->bytes -= class_bytes(slab.size_class);
    lane_unlock(lane);
}

static __attribute__((noinline)) void *take_or_malloc(size_t bytes)
{
    void *ptr = bytes <= LARGEST_BYTES ? take(bytes) : NULL;
    return ptr ? ptr : malloc(bytes);
}

void *bst_heap_alloc(size_t bytes, const char *file, int line)
{
    if (!bytes) {
        return NULL;
    }
    return __builtin_expect(marks, 0) ? take_or_malloc(bytes) : malloc(bytes);
}

void bst_heap_free(void *ptr, const char *file, int line)
{
    if (is_ours(ptr)) {
        give(ptr);
    } else {
        free(ptr);
    }
}

/** What was key material stays it, and a block that grows under a mark becomes it. */
static void *move(void *ptr, size_t room, size_t bytes)
{
    void *to = take_or_malloc(bytes);
    if (to) {
        memcpy(to, ptr, room < bytes ? room : bytes);
        bst_wipe(ptr, room);
        bst_heap_free(ptr, NULL, 0);
    }
    return to;
}

void *bst_heap_realloc(void *ptr, size_t bytes, const char *file, int line)
{
    if (!ptr) {
        return bst_heap_alloc(bytes, file, line);
    }
    if (!bytes) {
        bst_heap_free(ptr, file, line);
        return NULL;
    }
    if (is_ours(ptr)) {
        size_t room = class_bytes(slab_of(ptr)->size_class);
        return bytes <= room ? ptr : move(ptr, room, bytes);
    }
    return marks && bytes <= LARGEST_BYTES ? move(ptr, malloc_usable_size(ptr), bytes)
                                           : realloc(ptr, bytes);
}

bool bst_heap_start(void)
{
    if (EVERY_BLOCK_IS_WATCHED || region) {
        return region != NULL;
    }
    uint8_t *pages = bst_pages_hidden(REGION_BYTES);
    if (pages && CRYPTO_set_mem_functions(bst_heap_alloc, bst_heap_realloc, bst_heap_free) != 1) {
        bst_pages_free(pages, REGION_BYTES);
        pages = NULL;
    }
    region = pages;
    return region != NULL;
}

struct bst_heap_mark bst_heap_enter(void)
{
    marks++;
    return (struct bst_heap_mark){true};
}

void bst_heap_mark_clear(struct bst_heap_mark *mark)
{
    if (mark->set) {
        marks--;
        mark->set = false;
    }
}

struct bst_heap_use bst_heap_use(void)
{
    struct bst_heap_use use = {.refused = atomic_load(&n_refused)};
    for (size_t i = 0; i < LANES; i++) {
        lane_lock(&lanes[i]);
        use.bytes += lanes[i].bytes;
        lane_unlock(&lanes[i]);
    }
    pthread_mutex_lock(&grow_lock);
    use.pages_bytes = n_slabs * SLAB_BYTES;
    use.locked_bytes = n_locked * SLAB_BYTES;
    pthread_mutex_unlock(&grow_lock);
    return use;
}
