/* ZUC-128 and ZUC-256 in eight lanes of 32 bits. S1 is the S-box of AES between two linear maps, S0
 * three rounds on nibbles: look-ups of sixteen octets in a register, and no address that depends on
 * a secret. */
#include "core5g/air/x86.h"

#include "vector_tables.h"

#define LANES 8
#define LOW23 0x7fffff

struct lanes {
    __m256i s[16], r1, r2;
};

AVX2_INLINE __m256i of_16(const uint8_t table[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

AVX2_INLINE __m256i rotl(__m256i x, int n)
{
    return _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - n));
}

/* ---- the register ---- */

/* From below 2^32 to 1..2^31-1. */
AVX2_INLINE __m256i fold(__m256i x)
{
    return _mm256_add_epi32(_mm256_and_si256(x, _mm256_set1_epi32(0x7fffffff)),
                            _mm256_srli_epi32(x, 31));
}

/* Each tap is a cell times 2^k, that is its upper k bits, which come in again at the bottom, and
 * the others, which are summed in units of 2^8 to leave room for carries. */
#define UPPER(cell, k) _mm256_srli_epi32(cell, 31 - (k))
#define LOWER(cell, k) _mm256_and_si256(_mm256_slli_epi32(cell, (k)-8), low)

AVX2_INLINE __m256i feedback(const __m256i *s, unsigned t)
{
    const __m256i low = _mm256_set1_epi32(LOW23);
    __m256i s0 = s[t & 15], s4 = s[(t + 4) & 15], s10 = s[(t + 10) & 15];
    __m256i s13 = s[(t + 13) & 15], s15 = s[(t + 15) & 15];
    __m256i upper = _mm256_add_epi32(UPPER(s4, 20), UPPER(s10, 21));
    upper = _mm256_add_epi32(upper, _mm256_and_si256(s0, _mm256_set1_epi32(0xff)));
    upper = _mm256_add_epi32(upper, UPPER(s0, 8));
    upper = _mm256_add_epi32(upper, UPPER(s13, 17));
    __m256i lower = _mm256_add_epi32(LOWER(s4, 20), LOWER(s10, 21));
    lower = _mm256_add_epi32(lower, _mm256_and_si256(s0, low));
    lower = _mm256_add_epi32(lower, _mm256_srli_epi32(s0, 8)); /* s0 counts once more, as it is */
    lower = _mm256_add_epi32(lower, LOWER(s13, 17));
    upper = _mm256_add_epi32(upper, UPPER(s15, 15));
    lower = _mm256_add_epi32(lower, LOWER(s15, 15));
    upper = _mm256_add_epi32(upper, _mm256_srli_epi32(lower, 23));
    return fold(_mm256_add_epi32(upper, _mm256_slli_epi32(_mm256_and_si256(lower, low), 8)));
}

/* ---- the state machine ---- */

AVX2_INLINE __m256i mix(__m256i x, int a, int b, int c, int d)
{
    __m256i y = _mm256_xor_si256(x, _mm256_xor_si256(rotl(x, a), rotl(x, b)));
    return _mm256_xor_si256(y, _mm256_xor_si256(rotl(x, c), rotl(x, d)));
}

AVX2_INLINE __m256i box0(__m256i x)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i a = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble), b = _mm256_and_si256(x, nibble);
    a = _mm256_xor_si256(a, _mm256_shuffle_epi8(of_16(nibbles_zuc_s0), b));
    b = _mm256_xor_si256(b, _mm256_shuffle_epi8(of_16(nibbles_zuc_s0 + 16), a));
    a = _mm256_xor_si256(a, _mm256_shuffle_epi8(of_16(nibbles_zuc_s0 + 32), b));
    /* (a, b) rotated by 5 to the left, that is (b, a) by 1. */
    x = _mm256_or_si256(_mm256_slli_epi16(b, 4), a);
    __m256i top = _mm256_and_si256(_mm256_srli_epi16(x, 7), _mm256_set1_epi8(1));
    return _mm256_or_si256(_mm256_add_epi8(x, x), top);
}

AVX2_INLINE __m256i linear(const uint8_t tables[32], __m256i x)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i low = _mm256_shuffle_epi8(of_16(tables), _mm256_and_si256(x, nibble));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble);
    return _mm256_xor_si256(low, _mm256_shuffle_epi8(of_16(tables + 16), high));
}

/* The last round of AES shifts rows first: octets are put where they come back from. */
AVX2_INLINE __m256i box1(__m256i x)
{
    const __m256i back = _mm256_broadcastsi128_si256(
        _mm_set_epi8(3, 6, 9, 12, 15, 2, 5, 8, 11, 14, 1, 4, 7, 10, 13, 0));
    const __m128i zero = _mm_setzero_si128();
    x = _mm256_shuffle_epi8(linear(nibbles_zuc_s1_in, x), back);
    __m128i low = _mm_aesenclast_si128(_mm256_castsi256_si128(x), zero);
    __m128i high = _mm_aesenclast_si128(_mm256_extracti128_si256(x, 1), zero);
    x = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    return linear(nibbles_zuc_s1_out, x);
}

/* Octets 3 and 1 of a above octets 3 and 1 of b, and octets 2 and 0 above 2 and 0. */
AVX2_INLINE __m256i odd(__m256i a, __m256i b)
{
    const __m256i mask = _mm256_set1_epi16((short)0xff00);
    return _mm256_or_si256(_mm256_and_si256(a, mask), _mm256_srli_epi16(b, 8));
}
AVX2_INLINE __m256i even(__m256i a, __m256i b)
{
    const __m256i mask = _mm256_set1_epi16(0xff);
    return _mm256_or_si256(_mm256_slli_epi16(a, 8), _mm256_and_si256(b, mask));
}

/* S0 takes octets 3 and 1, S1 octets 2 and 0: those of u and v go through one of each. */
AVX2_INLINE void substitute(struct lanes *g, __m256i u, __m256i v)
{
    __m256i a = box0(odd(u, v)), b = box1(even(u, v));
    g->r1 = odd(a, b);
    g->r2 = even(a, b);
}

/* Lower 16 bits of one cell, then the upper 16 (of 31) of the other. */
AVX2_INLINE __m256i low_high(__m256i low, __m256i high)
{
    return _mm256_or_si256(_mm256_slli_epi32(low, 16), _mm256_srli_epi32(high, 15));
}

AVX2_INLINE __m256i swap(__m256i upper, __m256i lower)
{
    return _mm256_or_si256(_mm256_slli_epi32(upper, 16), _mm256_srli_epi32(lower, 16));
}

AVX2_INLINE __m256i clock_machine(struct lanes *g, unsigned t)
{
    const __m256i *s = g->s;
    __m256i x0 = _mm256_blend_epi16(_mm256_slli_epi32(s[(t + 15) & 15], 1), s[(t + 14) & 15], 0x55);
    __m256i x1 = low_high(s[(t + 11) & 15], s[(t + 9) & 15]);
    __m256i x2 = low_high(s[(t + 7) & 15], s[(t + 5) & 15]);
    __m256i w = _mm256_add_epi32(_mm256_xor_si256(x0, g->r1), g->r2);
    __m256i w1 = _mm256_add_epi32(g->r1, x1), w2 = _mm256_xor_si256(g->r2, x2);
    substitute(g, mix(swap(w1, w2), 2, 10, 18, 24), mix(swap(w2, w1), 8, 14, 22, 30));
    return w;
}

AVX2_INLINE __m256i next_word(struct lanes *g, unsigned t)
{
    __m256i x3 = low_high(g->s[(t + 2) & 15], g->s[t & 15]);
    __m256i z = _mm256_xor_si256(clock_machine(g, t), x3);
    g->s[t & 15] = feedback(g->s, t);
    return z;
}

/* The oldest cell is again the first. */
AVX2_INLINE void rotate(struct lanes *g, unsigned n)
{
    __m256i s[16];
    for (unsigned i = 0; i < 16; i++) {
        s[i] = g->s[(i + n) & 15];
    }
    memcpy(g->s, s, sizeof s);
}

/* ---- lanes ---- */

AVX2 static void warm_up(struct lanes *g, unsigned rounds)
{
    struct lanes l = *g;
    l.r1 = l.r2 = _mm256_setzero_si256();
    for (unsigned done = 0; done < rounds; done += 16) {
#pragma GCC unroll 16
        for (unsigned t = 0; t < 16; t++) {
            __m256i w = _mm256_srli_epi32(clock_machine(&l, t), 1);
            l.s[t] = fold(_mm256_add_epi32(feedback(l.s, t), w));
        }
    }
    (void)next_word(&l, 0);
    rotate(&l, 1);
    *g = l;
}

typedef void load_fn(struct bst_zuc *g, const uint8_t *key, const uint8_t *iv);

AVX2 static void start(struct lanes *g, const struct bst_air_job *jobs, size_t n, load_fn *load,
                       unsigned rounds)
{
    uint32_t cells[16][LANES] __attribute__((aligned(32))) = {{0}};
    for (size_t i = 0; i < n; i++) {
        struct bst_zuc one;
        load(&one, jobs[i].key->key.ptr, jobs[i].iv);
        for (size_t cell = 0; cell < 16; cell++) {
            cells[cell][i] = one.s[cell];
        }
        bst_wipe(&one, sizeof one);
    }
    memcpy(g->s, cells, sizeof g->s);
    bst_wipe(cells, sizeof cells);
    warm_up(g, rounds);
}

static void start128(void *state, const struct bst_air_job *jobs, size_t n)
{
    start(state, jobs, n, bst_zuc128_load, 32);
}

static void start256(void *state, const struct bst_air_job *jobs, size_t n)
{
    start(state, jobs, n, bst_zuc256_load, 48);
}

/* z[4 * i + j] gets words 4 * i to 4 * i + 3 of lanes j and j + 4. */
AVX2_INLINE void transpose_quads(__m256i z[16])
{
    for (int i = 0; i < 16; i += 4) {
        __m256i a = _mm256_unpacklo_epi32(z[i], z[i + 1]);
        __m256i b = _mm256_unpackhi_epi32(z[i], z[i + 1]);
        __m256i c = _mm256_unpacklo_epi32(z[i + 2], z[i + 3]);
        __m256i d = _mm256_unpackhi_epi32(z[i + 2], z[i + 3]);
        z[i] = _mm256_unpacklo_epi64(a, c);
        z[i + 1] = _mm256_unpackhi_epi64(a, c);
        z[i + 2] = _mm256_unpacklo_epi64(b, d);
        z[i + 3] = _mm256_unpackhi_epi64(b, d);
    }
}

AVX2_INLINE void put(const struct bst_air_job *job, size_t at, const uint32_t words[16])
{
    if (job->len <= at) {
        return;
    }
    if (job->len - at >= 64 && job->in) {
        bst_air_put_words(words, job->in + at, job->out + at);
        return;
    }
    size_t len = job->len - at < 64 ? job->len - at : 64;
    uint8_t text[64] = {0};
    if (job->in) {
        memcpy(text, job->in + at, len);
    }
    bst_air_put_words(words, text, text);
    memcpy(job->out + at, text, len);
}

AVX2_INLINE void put_lanes(__m256i z[16], uint32_t words[LANES][16], const struct bst_air_job *jobs,
                           size_t n, size_t at)
{
    transpose_quads(z);
    for (size_t quad = 0; quad < 4; quad++) {
        for (size_t j = 0; j < 4; j++) {
            __m256i both = z[4 * quad + j];
            _mm_storeu_si128((__m128i *)(void *)(words[j] + 4 * quad),
                             _mm256_castsi256_si128(both));
            _mm_storeu_si128((__m128i *)(void *)(words[j + 4] + 4 * quad),
                             _mm256_extracti128_si256(both, 1));
        }
    }
    for (size_t i = 0; i < n; i++) {
        put(&jobs[i], at, words[i]);
    }
}

/* A whole turn of the register: the places are constants and nothing rotates. */
AVX2 static void turn(struct lanes *g, __m256i z[16])
{
    struct lanes l = *g;
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        z[t] = next_word(&l, t);
    }
    *g = l;
}

AVX2 static void some_words(struct lanes *g, __m256i z[16], unsigned n)
{
    for (unsigned t = 0; t < 16; t++) {
        z[t] = t < n ? next_word(g, t) : _mm256_setzero_si256();
    }
    rotate(g, n);
}

AVX2 static void apply(void *state, const struct bst_air_job *jobs, size_t n)
{
    __m256i z[16];
    uint32_t words[LANES][16];
    size_t longest = bst_air_longest(jobs, n);
    for (size_t at = 0; at < longest; at += 64) {
        if (at + 64 <= longest || longest % 16) { /* whole, or the end of all lanes */
            turn(state, z);
        } else {
            some_words(state, z, (unsigned)(longest - at) / 4);
        }
        put_lanes(z, words, jobs, n, at);
    }
    bst_wipe(z, sizeof z);
    bst_wipe(words, sizeof words);
}

const struct bst_air_lanes bst_air_zuc128_avx2 = {LANES, 3, start128, apply};
const struct bst_air_lanes bst_air_zuc256_avx2 = {LANES, 3, start256, apply};
