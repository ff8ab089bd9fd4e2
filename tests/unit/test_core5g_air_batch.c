/* Air-interface algorithms in all their implementations: published vectors, and random packets one
 * by one and in batches, against the portable code. */
#include "core5g/air/air.h"
#include "core5g/kat/kat.h"
#include "support/test.h"

#include <pthread.h>
#include <stdio.h>

#define FILE_MAX (64 * 1024)
#define PACKETS 40
#define LEN_MAX 65535
#define MARGIN 100 /* octets behind a packet that stay as they are */

/* ---- packets ---- */

static uint64_t seed;

static uint32_t random_number(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % below);
}

/* One set of packets, with keys of the implementation that was chosen when it was made. */
struct set {
    struct bst_air_key keys[PACKETS];
    struct bst_air_packet packets[PACKETS];
    uint8_t *out[PACKETS], tags[PACKETS][BST_AIR_TAG_MAX];
    size_t n;
};

static uint8_t *text; /* of all packets, at different alignments */

static int make_text(void **state)
{
    text = malloc(LEN_MAX + PACKETS + MARGIN);
    assert_non_null(text);
    for (size_t i = 0; i < LEN_MAX + PACKETS + MARGIN; i++) {
        text[i] = (uint8_t)(i * 167 + (i >> 8) * 59 + 13);
    }
    return 0;
}

static int free_text(void **state)
{
    free(text);
    return 0;
}

/* What a seed gives is the same for every implementation. */
static void make_set(struct set *set, const char *implementation, const char *algorithm, size_t n,
                     const size_t *bits, unsigned tag_bytes)
{
    const struct bst_air_algorithm *row = bst_air_named(bst_view(algorithm));
    *set = (struct set){.n = n};
    assert_non_null(row);
    assert_ok(bst_air_use(bst_view(implementation)));
    seed = 4711 + n;
    for (size_t i = 0; i < n; i++) {
        uint8_t key[32];
        for (size_t k = 0; k < sizeof key; k++) {
            key[k] = (uint8_t)random_number(256);
        }
        assert_ok(
            bst_air_key_init(&set->keys[i], row, bst_view_of(key, row->key_bytes), tag_bytes));
        set->out[i] = calloc(1, LEN_MAX + MARGIN + 64);
        assert_non_null(set->out[i]);
        set->packets[i] =
            (struct bst_air_packet){.key = &set->keys[i],
                                    .place = {random_number(UINT32_MAX), (uint8_t)random_number(32),
                                              random_number(2) ? BST_AIR_DOWNLINK : BST_AIR_UPLINK},
                                    .aad = bst_view_of(text + i, random_number(40)),
                                    .in = text + i,
                                    .bits = bits[i],
                                    .out = set->out[i] + random_number(64),
                                    .tag = set->tags[i]};
    }
    assert_ok(bst_air_use(BST_VIEW("auto")));
}

static void clear_set(struct set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        bst_air_key_clear(&set->keys[i]);
        free(set->out[i]);
    }
}

static void assert_same(const struct set *a, const struct set *b)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct bst_air_packet *p = &a->packets[i], *q = &b->packets[i];
        assert_memory_equal(p->out, q->out, (p->bits + 7) / 8 + MARGIN);
        assert_memory_equal(p->tag, q->tag, BST_AIR_TAG_MAX);
    }
}

/* ---- both ways ---- */

static void protect_singly(struct set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct bst_air_packet *p = &set->packets[i];
        uint8_t iv[BST_AIR_IV_BYTES];
        assert_ok(bst_air_iv(p->key, &p->place, iv));
        switch (p->key->algorithm->kind) {
        case BST_AIR_NEA:
            assert_ok(bst_air_cipher(p->key, iv, p->in, p->bits, p->out));
            break;
        case BST_AIR_NIA:
            assert_ok(bst_air_mac(p->key, iv, p->in, p->bits, p->tag));
            break;
        default:
            assert_ok(
                bst_air_seal(p->key, iv, p->aad, bst_view_of(p->in, p->bits / 8), p->out, p->tag));
        }
    }
}

/* What was protected opens again in place, but for a packet whose tag is changed. */
static void open_again(struct set *set)
{
    const enum bst_air_kind kind = set->keys[0].algorithm->kind;
    const size_t bad = set->n / 2;
    uint8_t before = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct bst_air_packet *p = &set->packets[i];
        p->in = kind == BST_AIR_NIA ? p->in : p->out;
    }
    before = set->packets[bad].out[0];
    set->tags[bad][1] ^= 0x10;
    assert_int_equal(bst_air_open_batch(set->packets, set->n), kind == BST_AIR_NEA ? 0 : 1);
    for (size_t i = 0; i < set->n; i++) {
        struct bst_air_packet *p = &set->packets[i];
        size_t whole = p->bits / 8;
        if (kind != BST_AIR_NEA && i == bad) {
            assert_int_equal(p->result.code, BST_E_BAD_MAC);
            assert_int_equal(p->out[0], before);
            continue;
        }
        assert_int_equal(p->result.code, BST_E_NONE);
        if (kind != BST_AIR_NIA) {
            assert_memory_equal(p->out, text + i, whole);
        }
    }
}

static void compare(const char *implementation, const char *algorithm, size_t n, const size_t *bits,
                    unsigned tag_bytes)
{
    struct set portable, single, batch;
    make_set(&portable, "portable", algorithm, n, bits, tag_bytes);
    make_set(&single, implementation, algorithm, n, bits, tag_bytes);
    make_set(&batch, implementation, algorithm, n, bits, tag_bytes);
    protect_singly(&portable);
    protect_singly(&single);
    assert_int_equal(bst_air_protect_batch(batch.packets, n), 0);
    assert_same(&portable, &single);
    assert_same(&portable, &batch);
    open_again(&batch);
    clear_set(&portable);
    clear_set(&single);
    clear_set(&batch);
}

/* Whole octets for the algorithms that take nothing else. */
static void compare_all(size_t n, const size_t *bits, unsigned tag_bytes)
{
    const struct bst_air_algorithm *row;
    const char *implementation;
    for (size_t i = 0; (implementation = bst_air_implementation_at(i)); i++) {
        for (size_t r = 0; (row = bst_air_at(r)); r++) {
            size_t lengths[PACKETS];
            bool whole = row->key_bytes == 32 && row->kind != BST_AIR_NEA;
            for (size_t k = 0; k < n; k++) {
                lengths[k] = whole ? bits[k] / 8 * 8 : bits[k];
            }
            compare(implementation, row->name, n, lengths, row->tag_max > 4 ? tag_bytes : 0);
        }
    }
}

/* ---- cases ---- */

static void packets_of_random_lengths_agree_with_portable(void **state)
{
    static const size_t counts[] = {1, 2, 3, 15, 16, 17, PACKETS};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        size_t bits[PACKETS];
        seed = c;
        for (size_t i = 0; i < counts[c]; i++) {
            bits[i] = random_number(1U << (4 + random_number(11)));
        }
        compare_all(counts[c], bits, 4 + (unsigned)c * 2);
    }
}

static void packets_of_one_length_agree_with_portable(void **state)
{
    static const size_t octets[] = {1, 15, 16, 17, 47, 48, 49, 63, 64, 65, 127, 128, 1500};
    for (size_t c = 0; c < sizeof octets / sizeof octets[0]; c++) {
        size_t bits[17];
        for (size_t i = 0; i < 17; i++) {
            bits[i] = octets[c] * 8;
        }
        compare_all(17, bits, 16);
    }
}

static void empty_single_bit_and_very_long_packets_agree_with_portable(void **state)
{
    static const size_t bits[] = {0,     1,     7,     8,     9,     31,       32,          33,
                                  63,    64,    65,    127,   128,   129,      511,         512,
                                  65504, 65505, 65512, 72000, 72008, 8 * 9000, 8UL * 65535, 0};
    compare_all(sizeof bits / sizeof bits[0], bits, 8);
}

static void every_bit_length_agrees_with_portable(void **state)
{
    static const char *const names[] = {"NEA1", "NEA2", "NEA3", "NIA1", "NIA2", "NIA3"};
    const char *implementation;
    for (size_t i = 0; (implementation = bst_air_implementation_at(i)); i++) {
        for (size_t first = 0; first < 560; first += PACKETS) {
            size_t bits[PACKETS];
            for (size_t k = 0; k < PACKETS; k++) {
                bits[k] = first + k;
            }
            for (size_t a = 0; a < 6; a++) {
                compare(implementation, names[a], PACKETS, bits, 0);
            }
        }
    }
}

static struct bst_view read_vectors(const char *name, char buffer[FILE_MAX])
{
    char path[512];
    const char *source = getenv("BST_SOURCE");
    snprintf(path, sizeof path, "%s/tests/vectors/5g/%s.json", source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        fail_msg("%s cannot be opened", path);
        return (struct bst_view){0};
    }
    size_t len = fread(buffer, 1, FILE_MAX, file);
    (void)fclose(file);
    return bst_view_of(buffer, len);
}

static void say(void *ctx, const char *file, const char *vector, const char *why)
{
    print_message("%s: %s: %s: %s\n", (const char *)ctx, file, vector, why);
}

static void every_implementation_gives_the_published_vectors(void **state)
{
    static const char *const files[] = {"nea1", "nea2", "nea3", "nia1", "nia2",
                                        "nia3", "nea4", "nea5", "nea6", "nia4",
                                        "nia5", "nia6", "nca4", "nca5", "nca6"};
    static char buffer[FILE_MAX];
    const char *name;
    for (size_t i = 0; (name = bst_air_implementation_at(i)); i++) {
        assert_ok(bst_air_use(bst_view(name)));
        for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
            char who[32];
            snprintf(who, sizeof who, "%s", name);
            struct bst_kat_tally tally = {.on_failed = say, .ctx = who};
            assert_ok(bst_kat_run(files[f], read_vectors(files[f], buffer), &tally));
            assert_int_equal(tally.failed, 0);
            assert_true(tally.passed >= 4);
        }
    }
    assert_ok(bst_air_use(BST_VIEW("auto")));
}

static void counters_that_carry_agree_with_portable(void **state)
{
    uint8_t iv[BST_AIR_IV_BYTES], a[400], b[400];
    const struct bst_air_algorithm *row = bst_air_named(BST_VIEW("NEA5"));
    const char *name;
    memset(iv, 0xff, sizeof iv);
    iv[15] = 0xfa;
    for (size_t i = 0; (name = bst_air_implementation_at(i)); i++) {
        bst_auto(air_key) portable = {0}, key = {0};
        assert_ok(bst_air_use(BST_VIEW("portable")));
        assert_ok(bst_air_key_init(&portable, row, bst_view_of(text, 32), 0));
        assert_ok(bst_air_use(bst_view(name)));
        assert_ok(bst_air_key_init(&key, row, bst_view_of(text, 32), 0));
        assert_ok(bst_air_cipher(&portable, iv, text, sizeof a * 8, a));
        assert_ok(bst_air_cipher(&key, iv, text, sizeof b * 8, b));
        assert_memory_equal(a, b, sizeof a);
    }
    assert_ok(bst_air_use(BST_VIEW("auto")));
}

static void a_packet_that_cannot_be_done_fails_alone(void **state)
{
    static const size_t bits[] = {800, 800, 800, 800};
    const char *name;
    for (size_t i = 0; (name = bst_air_implementation_at(i)); i++) {
        struct set good, set;
        make_set(&good, "portable", "NIA4", 4, bits, 16);
        make_set(&set, name, "NIA4", 4, bits, 16);
        protect_singly(&good);
        set.packets[0].place.bearer = BST_AIR_BEARER_MAX + 1;
        set.packets[1].bits = 801;
        set.packets[2].bits = (BST_AIR_MESSAGE_MAX + 1) * 8;
        struct bst_air_key none = {0};
        struct bst_air_packet keyless = {.key = &none, .iv = text, .in = text, .bits = 8};
        assert_int_equal(bst_air_protect_batch(&keyless, 1), 1);
        assert_int_equal(keyless.result.code, BST_E_USAGE);
        assert_int_equal(bst_air_protect_batch(set.packets, 4), 3);
        assert_int_equal(set.packets[0].result.code, BST_E_VALUE);
        assert_int_equal(set.packets[1].result.code, BST_E_VALUE);
        assert_int_equal(set.packets[2].result.code, BST_E_TOO_LONG);
        assert_int_equal(set.packets[3].result.code, BST_E_NONE);
        assert_memory_equal(set.tags[3], good.tags[3], 16);
        clear_set(&good);
        clear_set(&set);
    }
}

static void packets_of_several_algorithms_go_together(void **state)
{
    static const char *const names[] = {"NEA1", "NEA1", "NIA2", "NCA4", "NEA6", "NEA0", "NIA3"};
    static const size_t bits[] = {1200};
    struct bst_air_packet packets[7];
    struct set sets[7], alone[7];
    for (size_t i = 0; i < 7; i++) {
        make_set(&sets[i], "auto", names[i], 1, bits, 0);
        make_set(&alone[i], "portable", names[i], 1, bits, 0);
        protect_singly(&alone[i]);
        packets[i] = sets[i].packets[0];
    }
    assert_int_equal(bst_air_protect_batch(packets, 7), 0);
    for (size_t i = 0; i < 7; i++) {
        assert_same(&sets[i], &alone[i]);
        clear_set(&sets[i]);
        clear_set(&alone[i]);
    }
    assert_int_equal(bst_air_protect_batch(packets, 0), 0);
}

static void *in_a_thread(void *arg)
{
    struct set *set = arg;
    for (size_t i = 0; i < 200; i++) {
        if (bst_air_protect_batch(set->packets, set->n) != 0) {
            return set;
        }
    }
    return NULL;
}

static void threads_do_batches_at_the_same_time(void **state)
{
    static const char *const names[] = {"NEA1", "NIA2", "NIA3"};
    static const size_t bits[20] = {800, 8, 16, 1600, 99, 12000, 12000, 3, 4, 5,
                                    800, 8, 16, 1600, 99, 1200,  1200,  3, 4, 5};
    const char *name;
    for (size_t i = 0; (name = bst_air_implementation_at(i)); i++) {
        struct set sets[3], portable[3];
        pthread_t threads[3];
        for (size_t t = 0; t < 3; t++) {
            make_set(&sets[t], name, names[t], 20, bits, 0);
            make_set(&portable[t], "portable", names[t], 20, bits, 0);
            protect_singly(&portable[t]);
            assert_int_equal(pthread_create(&threads[t], NULL, in_a_thread, &sets[t]), 0);
        }
        for (size_t t = 0; t < 3; t++) {
            void *failed;
            assert_int_equal(pthread_join(threads[t], &failed), 0);
            assert_null(failed);
            assert_same(&sets[t], &portable[t]);
            clear_set(&sets[t]);
            clear_set(&portable[t]);
        }
    }
}

static void implementations_are_listed_and_chosen_by_name(void **state)
{
    const struct bst_air_algorithm *row = bst_air_named(BST_VIEW("NEA3"));
    const char *name;
    assert_string_equal(bst_air_implementation_at(0), "portable");
    for (size_t i = 0; (name = bst_air_implementation_at(i)); i++) {
        bst_auto(air_key) key = {0};
        assert_ok(bst_air_use(bst_view(name)));
        assert_ok(bst_air_key_init(&key, row, bst_view_of(text, 16), 0));
        const char *used = bst_air_used(&key, true);
        assert_true(!strcmp(used, name) || !strcmp(used, "portable"));
        print_message("%s: NEA3 batches by %s\n", name, used);
    }
    assert_err(bst_air_use(BST_VIEW("abacus")), BST_E_NOT_FOUND);
    assert_err(bst_air_use(BST_VIEW("")), BST_E_NOT_FOUND);
    assert_ok(bst_air_use(BST_VIEW("auto")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_random_lengths_agree_with_portable),
        cmocka_unit_test(packets_of_one_length_agree_with_portable),
        cmocka_unit_test(empty_single_bit_and_very_long_packets_agree_with_portable),
        cmocka_unit_test(every_bit_length_agrees_with_portable),
        cmocka_unit_test(every_implementation_gives_the_published_vectors),
        cmocka_unit_test(counters_that_carry_agree_with_portable),
        cmocka_unit_test(a_packet_that_cannot_be_done_fails_alone),
        cmocka_unit_test(packets_of_several_algorithms_go_together),
        cmocka_unit_test(threads_do_batches_at_the_same_time),
        cmocka_unit_test(implementations_are_listed_and_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, make_text, free_text);
}
