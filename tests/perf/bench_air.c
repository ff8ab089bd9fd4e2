/* Air-interface algorithms on one core: Gbit/s a message of a given length (1500 octets by
 * default), key at hand, a new IV each, beside OpenSSL's AES in counter mode in the same run.
 * Usage: bench_air [OCTETS] */
#include "core5g/air/air.h"
#include "perf.h"

#include <string.h>
#include <time.h>

#define SLICE_NS 20e6
#define SLICES 9
#define LEN_MAX 65536

static uint8_t text[LEN_MAX], out[LEN_MAX];
static const uint8_t key_octets[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other load does not count */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct subject {
    struct bst_air_key key;
    struct bst_ctr bare;
    uint32_t count;
};

static void one(struct subject *s, size_t len)
{
    uint8_t iv[BST_AIR_IV_BYTES] = {0}, tag[BST_AIR_TAG_MAX];
    const struct bst_air_place place = {s->count++, 3, BST_AIR_DOWNLINK};
    if (!s->key.algorithm) {
        memcpy(iv, &place.count, 4);
        must(bst_ctr_start(&s->bare, iv), "OpenSSL");
        must(bst_ctr_apply(&s->bare, text, len, out), "OpenSSL");
        return;
    }
    must(bst_air_iv(&s->key, &place, iv), "iv");
    switch (s->key.algorithm->kind) {
    case BST_AIR_NEA:
        must(bst_air_cipher(&s->key, iv, text, len * 8, out), "cipher");
        return;
    case BST_AIR_NIA:
        must(bst_air_mac(&s->key, iv, text, len * 8, tag), "mac");
        return;
    default:
        must(bst_air_seal(&s->key, iv, bst_view_of(text, 2), bst_view_of(text, len), out, tag),
             "seal");
    }
}

/* Gbit/s: the median of the slices. */
static double rate(struct subject *s, size_t len)
{
    int64_t slices[SLICES];
    for (size_t i = 0; i < SLICES; i++) {
        size_t n = 0;
        double start = now_ns(), end = start;
        for (; end - start < SLICE_NS; n += 32) {
            for (size_t k = 0; k < 32; k++) {
                one(s, len);
            }
            end = now_ns();
        }
        slices[i] = (int64_t)((double)n * (double)len * 8 * 1e6 / (end - start));
    }
    return (double)quantile(slices, SLICES, 0.5) / 1e6;
}

static double bare_rate(size_t key_bytes, size_t len)
{
    struct subject s = {0};
    must(bst_ctr_init(&s.bare, bst_view_of(key_octets, key_bytes)), "OpenSSL");
    double gbits = rate(&s, len);
    bst_ctr_clear(&s.bare);
    return gbits;
}

int main(int argc, char **argv)
{
    const struct bst_air_algorithm *row;
    size_t len = argc > 1 ? strtoul(argv[1], NULL, 10) : 1500;
    if (len == 0 || len > LEN_MAX) {
        fprintf(stderr, "a length from 1 to %d\n", LEN_MAX);
        return 2;
    }
    double bare[2] = {bare_rate(16, len), bare_rate(32, len)};
    printf("%zu octets, Gbit/s: OpenSSL AES-128-CTR %.2f, AES-256-CTR %.2f\n", len, bare[0],
           bare[1]);
    for (size_t i = 0; (row = bst_air_at(i)); i++) {
        struct subject s = {0};
        must(bst_air_key_init(&s.key, row, bst_view_of(key_octets, row->key_bytes), 0), row->name);
        double gbits = rate(&s, len);
        if (row->key_bytes) {
            printf("%s  %-13s %7.3f  %5.1f %% of AES-%d-CTR\n", row->name, row->made_of, gbits,
                   100 * gbits / bare[row->key_bytes == 32], row->key_bytes * 8);
        }
        bst_air_key_clear(&s.key);
    }
    return 0;
}
