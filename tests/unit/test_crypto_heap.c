/* crypto: key material of OpenSSL in locked pages, and that none of it is anywhere else. */
#include "support/test.h"

#include "support/tls_world.h"

#include "crypto/aead.h"
#include "crypto/heap.h"
#include "tls/tls_priv.h"

#include <openssl/crypto.h>
#include <pthread.h>

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"
#define KEY_TEXT "a pre-shared key of 32 octets!!!"
#define KEY_BYTES 32
#define BLOCK_MAX 4096
#define WATCHED_MAX 65536
#define FRAMES_BYTES ((size_t)48 << 10)
#define COPIES_MAX 64

/* --- what OpenSSL has on the ordinary heap and on the stack, looked through at each of its calls -
 */

static struct {
    bool on, all_open; /* all_open: as if there were no pages */
    const char *stack; /* from there on it is the test's own */
    struct {
        const char *ptr;
        size_t bytes;
    } blocks[WATCHED_MAX];
    size_t n, on_heap, calls;
    const char *on_stack[COPIES_MAX];
    size_t n_on_stack;
    struct bst_view needle;
} watch;

static void look_at_stack(void)
{
    const char *at = __builtin_frame_address(0);
    size_t len = (size_t)(watch.stack - at);
    assert_true(at < watch.stack && len < FRAMES_BYTES);
    while ((at = memmem(at, (size_t)(watch.stack - at), watch.needle.ptr, watch.needle.len))) {
        if (watch.n_on_stack < COPIES_MAX) {
            watch.on_stack[watch.n_on_stack++] = at;
        }
        at++;
    }
}

static void look(void)
{
    watch.calls++;
    for (size_t i = 0; i < watch.n; i++) {
        watch.on_heap += memmem(watch.blocks[i].ptr, watch.blocks[i].bytes, watch.needle.ptr,
                                watch.needle.len) != NULL;
    }
    look_at_stack();
}

static void *noted(void *ptr, size_t bytes)
{
    if (watch.on && ptr && !bst_heap_owns(ptr)) {
        assert_true(watch.n < WATCHED_MAX);
        watch.blocks[watch.n].ptr = ptr;
        watch.blocks[watch.n++].bytes = bytes;
        memset(ptr, 0, bytes); /* what malloc() gives again is nobody's copy */
    }
    return ptr;
}

static void forget(const void *ptr)
{
    for (size_t i = 0; i < watch.n; i++) {
        if (watch.blocks[i].ptr == ptr) {
            watch.blocks[i] = watch.blocks[--watch.n];
            return;
        }
    }
}

static void *watched_alloc(size_t bytes, const char *file, int line)
{
    if (watch.on) {
        look();
    }
    return noted(watch.all_open ? malloc(bytes) : bst_heap_alloc(bytes, file, line), bytes);
}

static void watched_free(void *ptr, const char *file, int line)
{
    if (watch.on) {
        look();
        forget(ptr);
    }
    bst_heap_free(ptr, file, line);
}

static void *watched_realloc(void *ptr, size_t bytes, const char *file, int line)
{
    if (!watch.on) {
        return bst_heap_realloc(ptr, bytes, file, line);
    }
    look();
    forget(ptr);
    void *to = watch.all_open ? realloc(ptr, bytes) : bst_heap_realloc(ptr, bytes, file, line);
    if (to && !bst_heap_owns(to)) {
        watch.blocks[watch.n].ptr = to;
        watch.blocks[watch.n++].bytes = bytes;
    }
    return to;
}

/** Blocks of this call only: those from before it were looked through as they came. */
static void watched(void (*run)(void *arg), void *arg, struct bst_view needle)
{
    watch.n = watch.on_heap = watch.n_on_stack = watch.calls = 0;
    watch.needle = needle;
    watch.stack = __builtin_frame_address(0);
    watch.on = true;
    run(arg);
    watch.on = false;
    assert_true(watch.calls > 4);
}

/** Is the page locked, or left out of dumps? */
static bool is_hidden(const char *at)
{
    char line[512];
    bool inside = false, hidden = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            inside = (uintptr_t)at >= begin && (uintptr_t)at < end;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            hidden = strstr(line, " dd") || strstr(line, " lo");
        }
    }
    fclose(f);
    return hidden;
}

static size_t open_frames(void)
{
    size_t n = 0;
    for (size_t i = 0; i < watch.n_on_stack; i++) {
        n += !is_hidden(watch.on_stack[i]);
    }
    return n;
}

static int set_up(void **state)
{
    /* The second call wins, as nothing was allocated in between. */
    if (!bst_heap_start() ||
        CRYPTO_set_mem_functions(watched_alloc, watched_realloc, watched_free) != 1) {
        printf("SKIP: OpenSSL's memory is not ours to give here (AddressSanitizer)\n");
        exit(77);
    }
    return 0;
}

/* --- the allocator -------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *at, size_t bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < bytes; i++) {
        any |= at[i];
    }
    return any == 0;
}

static void only_marked_requests_get_hidden_pages(void **state)
{
    void *open = bst_heap_alloc(100, NULL, 0);
    assert_non_null(open);
    assert_false(bst_heap_owns(open));
    struct bst_heap_mark outer = bst_heap_enter(), inner = bst_heap_enter();
    bst_heap_mark_clear(&inner);
    bst_heap_mark_clear(&inner); /* once is enough */
    void *ours = bst_heap_alloc(100, NULL, 0);
    bst_heap_mark_clear(&outer);
    assert_true(bst_heap_owns(ours));
    assert_true(is_hidden(ours));
    assert_false(is_hidden(open));
    void *after = bst_heap_alloc(100, NULL, 0);
    assert_false(bst_heap_owns(after));
    bst_heap_free(open, NULL, 0);
    bst_heap_free(ours, NULL, 0);
    bst_heap_free(after, NULL, 0);
    bst_heap_free(NULL, NULL, 0);
    assert_null(bst_heap_alloc(0, NULL, 0));
}

static void a_block_of_any_size_is_aligned_and_all_its_own(void **state)
{
    BST_HEAP_MARKED;
    size_t before = bst_heap_use().bytes;
    uint8_t *blocks[2 * 150];
    size_t n = 0;
    for (size_t bytes = 1; bytes <= BLOCK_MAX + 300; bytes += 31) {
        for (int twice = 0; twice < 2; twice++) {
            uint8_t *at = bst_heap_alloc(bytes, NULL, 0);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % 16, 0);
            assert_int_equal(bst_heap_owns(at), bytes <= BLOCK_MAX);
            memset(at, (int)(n % 251) + 1, bytes);
            blocks[n++] = at;
        }
    }
    assert_true(bst_heap_use().bytes > before);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 1 + i / 2 * 31;
        for (size_t k = 0; k < bytes; k++) {
            assert_int_equal(blocks[i][k], i % 251 + 1);
        }
        bst_heap_free(blocks[i], NULL, 0);
    }
    assert_int_equal(bst_heap_use().bytes, before);
}

static void a_freed_block_is_wiped(void **state)
{
    BST_HEAP_MARKED;
    for (size_t bytes = 16; bytes <= BLOCK_MAX; bytes *= 2) {
        uint8_t *at = bst_heap_alloc(bytes, NULL, 0);
        memset(at, 0xa5, bytes);
        bst_heap_free(at, NULL, 0);
        /* The pages stay; the first word is the link of the free list. */
        assert_true(all_zero(at + sizeof(void *), bytes - sizeof(void *)));
        uint8_t *again = bst_heap_alloc(bytes, NULL, 0);
        assert_ptr_equal(again, at);
        assert_true(all_zero(again, bytes));
        bst_heap_free(again, NULL, 0);
    }
}

static void a_block_that_changes_its_size_keeps_what_is_in_it(void **state)
{
    char *open = bst_heap_realloc(NULL, 40, NULL, 0);
    strcpy(open, "from outside");
    BST_HEAP_MARKED;
    char *ours = bst_heap_realloc(open, 90, NULL, 0);
    assert_true(bst_heap_owns(ours));
    assert_string_equal(ours, "from outside");
    char *same = bst_heap_realloc(ours, 120, NULL, 0);
    assert_ptr_equal(same, ours); /* it has the room */
    char *moved = bst_heap_realloc(same, 3000, NULL, 0);
    assert_true(bst_heap_owns(moved));
    assert_string_equal(moved, "from outside");
    assert_true(all_zero((uint8_t *)ours + sizeof(void *), 120 - sizeof(void *)));
    char *out = bst_heap_realloc(moved, BLOCK_MAX + 1, NULL, 0);
    assert_false(bst_heap_owns(out));
    assert_string_equal(out, "from outside");
    assert_true(all_zero((uint8_t *)moved + sizeof(void *), 3000 - sizeof(void *)));
    char *larger = bst_heap_realloc(out, (size_t)10 * BLOCK_MAX, NULL, 0);
    assert_false(bst_heap_owns(larger));
    assert_string_equal(larger, "from outside");
    assert_null(bst_heap_realloc(larger, 0, NULL, 0));
}

static void what_was_key_material_stays_it_without_a_mark(void **state)
{
    char *ours;
    {
        BST_HEAP_MARKED;
        ours = bst_heap_alloc(64, NULL, 0);
    }
    strcpy(ours, "key");
    ours = bst_heap_realloc(ours, 1000, NULL, 0);
    assert_true(bst_heap_owns(ours));
    assert_string_equal(ours, "key");
    bst_heap_free(ours, NULL, 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define THREADS 8
#define TURNS 20000
#define SHELF 64

static struct {
    pthread_mutex_t lock;
    uint8_t *ptr;
    size_t bytes;
} shelf[SHELF] = {{.lock = PTHREAD_MUTEX_INITIALIZER}};
static atomic_int torn;

static bool is_filled(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] != (uint8_t)bytes) {
            return false;
        }
    }
    return true;
}

static void *swap_blocks(void *arg)
{
    unsigned seed = *(const unsigned *)arg;
    BST_HEAP_MARKED;
    for (int i = 0; i < TURNS; i++) {
        size_t bytes = 1 + (unsigned)rand_r(&seed) % 700, place = (unsigned)rand_r(&seed) % SHELF;
        uint8_t *at = bst_heap_alloc(bytes, NULL, 0);
        memset(at, (int)bytes, bytes);
        pthread_mutex_lock(&shelf[place].lock);
        uint8_t *old = shelf[place].ptr;
        size_t old_bytes = shelf[place].bytes;
        shelf[place].ptr = at;
        shelf[place].bytes = bytes;
        pthread_mutex_unlock(&shelf[place].lock);
        torn += old && !is_filled(old, old_bytes);
        bst_heap_free(old, NULL, 0); /* mostly another thread's */
    }
    return NULL;
}

static void threads_free_each_others_blocks(void **state)
{
    size_t before = bst_heap_use().bytes;
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    for (size_t i = 0; i < SHELF; i++) {
        pthread_mutex_init(&shelf[i].lock, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, swap_blocks, &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < SHELF; i++) {
        bst_heap_free(shelf[i].ptr, NULL, 0);
    }
    assert_int_equal(torn, 0);
    assert_int_equal(bst_heap_use().bytes, before);
}

static void *has_no_mark(void *ret)
{
    void *ptr = bst_heap_alloc(50, NULL, 0);
    *(bool *)ret = !bst_heap_owns(ptr);
    bst_heap_free(ptr, NULL, 0);
    return NULL;
}

static void a_mark_is_of_one_thread(void **state)
{
    pthread_t thread;
    bool open = false;
    BST_HEAP_MARKED;
    assert_int_equal(pthread_create(&thread, NULL, has_no_mark, &open), 0);
    pthread_join(thread, NULL);
    assert_true(open);
}

/* --- no copies -------------------------------------------------------------------------------- */

static struct world w;
static bst_key psk;

static const struct {
    int version;
    const char *psk12;
} offers[] = {
    {TLS1_2_VERSION, "PSK-AES128-CBC-SHA256"},
    {TLS1_2_VERSION, "ECDHE-PSK-AES128-CBC-SHA256"},
    {TLS1_3_VERSION, ""},
};
#define N_OFFERS (sizeof offers / sizeof offers[0])

struct shaking {
    struct bst_tls_server_config server;
    struct bst_tls_client_config client;
};

static void shake(void *arg)
{
    const struct shaking *s = arg;
    struct world_pair p;
    world_pair_init(&p, &s->server, &s->client);
    bool talks = world_talks(p.c, p.s);
    world_pair_clear(&p);
    assert_true(talks);
}

static void each_psk_handshake(void (*then)(int version))
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_source source;
        struct bst_tls_profile row = *world_profile("onem2m");
        row.min_version = row.max_version = offers[i].version;
        row.psk12 = offers[i].psk12;
        world_source_init(&source, IDENTITY, psk);
        struct shaking s = {world_server_config(&w, "onem2m", &source),
                            world_psk_client(&w, "onem2m", IDENTITY, psk)};
        s.client.profile = &row;
        watched(shake, &s, BST_VIEW(KEY_TEXT));
        then(offers[i].version);
    }
}

static void nothing_was_seen(int version)
{
    assert_int_equal(watch.on_heap, 0);
    assert_int_equal(open_frames(), 0);
    /* TLS 1.2 takes it on the stack, in pages that are hidden: the search sees frames too. */
    assert_true(version != TLS1_2_VERSION || watch.n_on_stack > 0);
}

static void it_was_seen(int version)
{
    assert_true(watch.on_heap > 0);
}

static void no_call_of_openssl_in_a_psk_handshake_sees_a_copy_in_open_memory(void **state)
{
    world_init(&w);
    psk = world_psk(&w, KEY_TEXT);
    each_psk_handshake(nothing_was_seen);
}

static void without_the_pages_the_same_search_finds_copies(void **state)
{
    watch.all_open = true;
    each_psk_handshake(it_was_seen);
    watch.all_open = false;
}

static void psk_handshakes_leave_no_block_behind(void **state)
{
    each_psk_handshake(nothing_was_seen); /* what is fetched once is there */
    size_t before = bst_heap_use().bytes;
    each_psk_handshake(nothing_was_seen);
    assert_int_equal(bst_heap_use().bytes, before);
}

static void derive(void *arg)
{
    uint8_t out[32];
    struct bst_view key = BST_VIEW(KEY_TEXT), part = BST_VIEW("part");
    struct bst_buf sealed = {0};
    assert_ok(bst_hkdf_sha256(part, key, part, out, sizeof out));
    assert_ok(bst_hmac_sha256(key, &part, 1, out));
    assert_ok(bst_aead_seal(key, part, part, &sealed));
    bst_buf_clear(&sealed);
}

static void derivations_and_seals_leave_no_copy_either(void **state)
{
    /* FIPS 197, 5.2: the third and fourth round key of AES-256 are of its first expansion; the key
     * itself begins the schedule. */
    watched(derive, NULL, BST_VIEW(KEY_TEXT));
    assert_int_equal(watch.on_heap, 0);
    watch.all_open = true;
    watched(derive, NULL, BST_VIEW(KEY_TEXT));
    watch.all_open = false;
    assert_true(watch.on_heap > 0);
}

static bst_result load_and_sign(const struct bst_secret *der, struct bst_buf *ret)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_pkey_load(bst_view_of(der->ptr, der->len), &pkey));
    return bst_pkey_sign(pkey, BST_MD_SHA256, BST_VIEW("message"), ret);
}

static void use_pair(void *arg)
{
    bst_auto(buf) signature = {0};
    assert_ok(load_and_sign(arg, &signature));
}

static void a_private_key_is_opened_and_used_without_a_copy(void **state)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0}, scalar = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &der));
    assert_ok(bst_pkey_scalar(pkey, &scalar));
    struct bst_view half = bst_view_of(scalar.ptr + 8, 16);
    watched(use_pair, &der, half);
    assert_int_equal(watch.on_heap, 0);
    watch.all_open = true;
    watched(use_pair, &der, half);
    watch.all_open = false;
    assert_true(watch.on_heap > 0);
    world_clear(&w);
}

/* --- a full region; last, as it fills it ------------------------------------------------------ */

static void when_the_pages_are_full_malloc_goes_on(void **state)
{
    enum { MANY = 20000 };
    static void *blocks[MANY];
    BST_HEAP_MARKED;
    size_t inside = 0;
    assert_int_equal(bst_heap_use().refused, 0);
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = bst_heap_alloc(BLOCK_MAX, NULL, 0);
        assert_non_null(blocks[i]);
        inside += bst_heap_owns(blocks[i]);
    }
    struct bst_heap_use use = bst_heap_use();
    assert_true(inside > 1000 && inside < MANY);
    assert_int_equal(use.refused, MANY - inside);
    assert_true(use.bytes >= inside * BLOCK_MAX);
    assert_true(use.locked_bytes <= use.pages_bytes && use.locked_bytes <= (size_t)4 << 20);
    char *grown = bst_heap_realloc(blocks[0], 2 * BLOCK_MAX, NULL, 0);
    assert_non_null(grown);
    blocks[0] = grown;
    for (size_t i = 0; i < MANY; i++) {
        bst_heap_free(blocks[i], NULL, 0);
    }
    void *again = bst_heap_alloc(BLOCK_MAX, NULL, 0);
    assert_true(bst_heap_owns(again));
    bst_heap_free(again, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_marked_requests_get_hidden_pages),
        cmocka_unit_test(a_block_of_any_size_is_aligned_and_all_its_own),
        cmocka_unit_test(a_freed_block_is_wiped),
        cmocka_unit_test(a_block_that_changes_its_size_keeps_what_is_in_it),
        cmocka_unit_test(what_was_key_material_stays_it_without_a_mark),
        cmocka_unit_test(threads_free_each_others_blocks),
        cmocka_unit_test(a_mark_is_of_one_thread),
        cmocka_unit_test(no_call_of_openssl_in_a_psk_handshake_sees_a_copy_in_open_memory),
        cmocka_unit_test(without_the_pages_the_same_search_finds_copies),
        cmocka_unit_test(psk_handshakes_leave_no_block_behind),
        cmocka_unit_test(derivations_and_seals_leave_no_copy_either),
        cmocka_unit_test(a_private_key_is_opened_and_used_without_a_copy),
        cmocka_unit_test(when_the_pages_are_full_malloc_goes_on),
    };
    return cmocka_run_group_tests_name("crypto_heap", tests, set_up, NULL);
}
