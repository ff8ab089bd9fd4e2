/* SNOW 3G in sixteen lanes of 32 bits. The S-box of AES is an inversion (GFNI), S_Q a table in
 * registers, products with alpha and its inverse are bit matrices: no address depends on a secret.
 */
#include "core5g/air/x86.h"

#include "vector_tables.h"

#define LANES 16
#define ROUNDS 32

struct lanes {
    __m512i s[16], r1, r2, r3;
};

struct constants {
    __m512i aes, twice, sq[4], sq_double, spread_top, spread_bottom, back, times, over;
};

/* Octet `which` of each word: first those of eight words four times, then those of the others; so
 * each output octet of a product has qwords, hence a matrix, of its own. */
AVX512_INLINE __m512i spread(unsigned which)
{
    uint8_t at[64];
    for (unsigned i = 0; i < 64; i++) {
        at[i] = (uint8_t)(4 * (i / 32 * 8 + i % 8) + which);
    }
    return _mm512_loadu_si512(at);
}

/* From there to octet j of each word. */
AVX512_INLINE __m512i gather_back(void)
{
    uint8_t at[64];
    for (unsigned i = 0; i < 64; i++) {
        unsigned word = i / 4, j = i % 4;
        at[i] = (uint8_t)(word / 8 * 32 + 8 * j + word % 8);
    }
    return _mm512_loadu_si512(at);
}

AVX512_INLINE __m512i matrices(const uint64_t four[4])
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)four));
}

AVX512_INLINE struct constants constants(void)
{
    struct constants c = {
        .aes = _mm512_set1_epi64((long long)0xf1e3c78f1f3e7cf8),
        .twice = _mm512_set1_epi8(2),
        .sq_double = _mm512_set1_epi64((long long)gfni_snow3g_double[0]),
        .spread_top = spread(3),
        .spread_bottom = spread(0),
        .back = gather_back(),
        .times = matrices(gfni_times_alpha),
        .over = matrices(gfni_over_alpha),
    };
    for (int i = 0; i < 4; i++) {
        c.sq[i] = _mm512_loadu_si512(gfni_snow3g_sq + 64 * i);
    }
    return c;
}

AVX512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

/* S1: the S-box of AES and its column mix. */
AVX512_INLINE __m512i box1(const struct constants *c, __m512i x)
{
    x = _mm512_gf2p8affineinv_epi64_epi8(x, c->aes, 0x63);
    __m512i right = _mm512_ror_epi32(x, 8), pair = _mm512_xor_si512(x, right);
    return xor3(_mm512_gf2p8mul_epi8(pair, c->twice), right, _mm512_ror_epi32(pair, 16));
}

/* S2: S_Q and the same mix in another field. */
AVX512_INLINE __m512i box2(const struct constants *c, __m512i x)
{
    __m512i low = _mm512_permutex2var_epi8(c->sq[0], x, c->sq[1]);
    __m512i high = _mm512_permutex2var_epi8(c->sq[2], x, c->sq[3]);
    x = _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
    __m512i right = _mm512_ror_epi32(x, 8), pair = _mm512_xor_si512(x, right);
    return xor3(_mm512_gf2p8affine_epi64_epi8(pair, c->sq_double, 0), right,
                _mm512_ror_epi32(pair, 16));
}

/* The word that leaves the state machine; `t` is where s0 is kept. */
AVX512_INLINE __m512i clock_machine(const struct constants *c, struct lanes *g, unsigned t)
{
    __m512i f = _mm512_xor_si512(_mm512_add_epi32(g->s[(t + 15) & 15], g->r1), g->r2);
    __m512i r = _mm512_add_epi32(g->r2, _mm512_xor_si512(g->r3, g->s[(t + 5) & 15]));
    g->r3 = box2(c, g->r2);
    g->r2 = box1(c, g->r1);
    g->r1 = r;
    return f;
}

/* The new word takes the place of s0. */
AVX512_INLINE void clock_register(const struct constants *c, struct lanes *g, unsigned t,
                                  __m512i extra)
{
    __m512i s0 = g->s[t & 15], s11 = g->s[(t + 11) & 15];
    __m512i top = _mm512_permutexvar_epi8(c->spread_top, s0);
    __m512i bottom = _mm512_permutexvar_epi8(c->spread_bottom, s11);
    __m512i products = _mm512_xor_si512(_mm512_gf2p8affine_epi64_epi8(top, c->times, 0),
                                        _mm512_gf2p8affine_epi64_epi8(bottom, c->over, 0));
    products = _mm512_permutexvar_epi8(c->back, products);
    __m512i shifted = xor3(_mm512_slli_epi32(s0, 8), _mm512_srli_epi32(s11, 8), extra);
    g->s[t & 15] = xor3(shifted, g->s[(t + 2) & 15], products);
}

AVX512_INLINE __m512i next_word(const struct constants *c, struct lanes *g, unsigned t)
{
    __m512i z = _mm512_xor_si512(clock_machine(c, g, t), g->s[t & 15]);
    clock_register(c, g, t, _mm512_setzero_si512());
    return z;
}

AVX512 static void rotate(struct lanes *g, unsigned n)
{
    __m512i s[16];
    for (unsigned i = 0; i < 16; i++) {
        s[i] = g->s[(i + n) & 15];
    }
    memcpy(g->s, s, sizeof s);
}

AVX512 static void warm_up(struct lanes *g)
{
    const struct constants c = constants();
    struct lanes l = *g;
    l.r1 = l.r2 = l.r3 = _mm512_setzero_si512();
    for (unsigned done = 0; done < ROUNDS; done += 16) {
#pragma GCC unroll 16
        for (unsigned t = 0; t < 16; t++) {
            clock_register(&c, &l, t, clock_machine(&c, &l, t));
        }
    }
    (void)next_word(&c, &l, 0);
    rotate(&l, 1);
    *g = l;
}

AVX512 static void start(void *state, const struct bst_air_job *jobs, size_t n)
{
    struct lanes *g = state;
    uint32_t cells[16][LANES] __attribute__((aligned(64))) = {{0}};
    for (size_t i = 0; i < n; i++) {
        struct bst_snow3g one;
        bst_snow3g_load(&one, jobs[i].key->key.ptr, jobs[i].iv);
        for (size_t cell = 0; cell < 16; cell++) {
            cells[cell][i] = one.s[cell];
        }
        bst_wipe(&one, sizeof one);
    }
    memcpy(g->s, cells, sizeof g->s);
    bst_wipe(cells, sizeof cells);
    warm_up(g);
}

/* A whole turn of the register: the places are constants and nothing rotates. */
AVX512 static void turn(void *state, __m512i z[16])
{
    const struct constants c = constants();
    struct lanes *g = state, l = *g;
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        z[t] = next_word(&c, &l, t);
    }
    *g = l;
}

AVX512 static void some_words(void *state, __m512i z[16], unsigned n)
{
    const struct constants c = constants();
    struct lanes *g = state;
    for (unsigned t = 0; t < 16; t++) {
        z[t] = t < n ? next_word(&c, g, t) : _mm512_setzero_si512();
    }
    rotate(g, n);
}

static void apply(void *state, const struct bst_air_job *jobs, size_t n)
{
    static const struct bst_air_steps512 steps = {turn, some_words};
    bst_air_apply_lanes512(state, &steps, jobs, n);
}

const struct bst_air_lanes bst_air_snow3g_avx512 = {LANES, 2, start, apply};
