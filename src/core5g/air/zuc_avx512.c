/* ZUC-128 and ZUC-256 in sixteen lanes of 32 bits. S1 is an inversion between two linear maps
 * (GFNI), S0 a table in registers: neither has an address that depends on a secret. */
#include "core5g/air/x86.h"

#include "vector_tables.h"

#define LANES 16
#define LOW23 0x7fffff

struct lanes {
    __m512i s[16], r1, r2;
};

struct constants {
    __m512i p31, low16, high16, s0[4], s1_in, s1_out, odd;
};

AVX512_INLINE struct constants constants(void)
{
    struct constants c = {
        .p31 = _mm512_set1_epi32(0x7fffffff),
        .low16 = _mm512_set1_epi32(0xffff),
        .s1_in = _mm512_set1_epi64((long long)gfni_zuc_s1[0]),
        .s1_out = _mm512_set1_epi64((long long)gfni_zuc_s1[1]),
        .odd = _mm512_set1_epi16((short)0xff00),
    };
    for (int i = 0; i < 4; i++) {
        c.s0[i] = _mm512_loadu_si512(gfni_zuc_s0 + 64 * i);
    }
    return c;
}

/* mask ? a : b, bit by bit */
AVX512_INLINE __m512i choose(__m512i mask, __m512i a, __m512i b)
{
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

AVX512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

/* From below 2^32 to 1..2^31-1. */
AVX512_INLINE __m512i fold(const struct constants *c, __m512i x)
{
    return _mm512_add_epi32(_mm512_and_si512(x, c->p31), _mm512_srli_epi32(x, 31));
}

/* The sum of the register's taps: each is a cell times 2^k, that is its upper k bits, which come in
 * again at the bottom, and the others, which are summed in units of 2^8 to leave room for carries.
 */
#define UPPER(cell, k) _mm512_srli_epi32(cell, 31 - (k))
#define LOWER(cell, k) _mm512_and_si512(_mm512_slli_epi32(cell, (k)-8), low)

AVX512_INLINE __m512i feedback(const struct constants *c, const __m512i *s, unsigned t)
{
    const __m512i low = _mm512_set1_epi32(LOW23);
    __m512i s0 = s[t & 15], s4 = s[(t + 4) & 15], s10 = s[(t + 10) & 15];
    __m512i s13 = s[(t + 13) & 15], s15 = s[(t + 15) & 15];
    __m512i upper = _mm512_add_epi32(UPPER(s4, 20), UPPER(s10, 21));
    upper = _mm512_add_epi32(upper, _mm512_and_si512(s0, _mm512_set1_epi32(0xff)));
    upper = _mm512_add_epi32(upper, UPPER(s0, 8));
    upper = _mm512_add_epi32(upper, UPPER(s13, 17));
    __m512i lower = _mm512_add_epi32(LOWER(s4, 20), LOWER(s10, 21));
    lower = _mm512_add_epi32(lower, _mm512_and_si512(s0, low));
    lower = _mm512_add_epi32(lower, _mm512_srli_epi32(s0, 8)); /* s0 counts once more, as it is */
    lower = _mm512_add_epi32(lower, LOWER(s13, 17));
    /* s15 is the newest and comes last. */
    upper = _mm512_add_epi32(upper, UPPER(s15, 15));
    lower = _mm512_add_epi32(lower, LOWER(s15, 15));
    upper = _mm512_add_epi32(upper, _mm512_srli_epi32(lower, 23));
    return fold(c, _mm512_add_epi32(upper, _mm512_slli_epi32(_mm512_and_si512(lower, low), 8)));
}

AVX512_INLINE __m512i mix1(__m512i x)
{
    __m512i y = xor3(x, _mm512_rol_epi32(x, 2), _mm512_rol_epi32(x, 10));
    return xor3(y, _mm512_rol_epi32(x, 18), _mm512_rol_epi32(x, 24));
}

AVX512_INLINE __m512i mix2(__m512i x)
{
    __m512i y = xor3(x, _mm512_rol_epi32(x, 8), _mm512_rol_epi32(x, 14));
    return xor3(y, _mm512_rol_epi32(x, 22), _mm512_rol_epi32(x, 30));
}

AVX512_INLINE __m512i box0(const struct constants *c, __m512i x)
{
    __m512i low = _mm512_permutex2var_epi8(c->s0[0], x, c->s0[1]);
    __m512i high = _mm512_permutex2var_epi8(c->s0[2], x, c->s0[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}

AVX512_INLINE __m512i box1(const struct constants *c, __m512i x)
{
    x = _mm512_gf2p8affine_epi64_epi8(x, c->s1_in, 0);
    return _mm512_gf2p8affineinv_epi64_epi8(x, c->s1_out, 0x55);
}

/* S0 takes octets 3 and 1, S1 octets 2 and 0: those of u and v go through one of each. */
AVX512_INLINE void substitute(const struct constants *c, struct lanes *g, __m512i u, __m512i v)
{
    __m512i a = box0(c, choose(c->odd, u, _mm512_srli_epi16(v, 8)));
    __m512i b = box1(c, choose(c->odd, _mm512_slli_epi16(u, 8), v));
    g->r1 = choose(c->odd, a, _mm512_srli_epi16(b, 8));
    g->r2 = choose(c->odd, _mm512_slli_epi16(a, 8), b);
}

/* Lower 16 bits of one cell, then the upper 16 (of 31) of the other. */
AVX512_INLINE __m512i low_high(__m512i low, __m512i high)
{
    return _mm512_shldi_epi32(low, _mm512_slli_epi32(high, 1), 16);
}

AVX512_INLINE __m512i clock_machine(const struct constants *c, struct lanes *g, unsigned t)
{
    const __m512i *s = g->s;
    __m512i x0 = choose(c->low16, s[(t + 14) & 15], _mm512_slli_epi32(s[(t + 15) & 15], 1));
    __m512i x1 = low_high(s[(t + 11) & 15], s[(t + 9) & 15]);
    __m512i x2 = low_high(s[(t + 7) & 15], s[(t + 5) & 15]);
    __m512i w = _mm512_add_epi32(_mm512_xor_si512(x0, g->r1), g->r2);
    __m512i w1 = _mm512_add_epi32(g->r1, x1), w2 = _mm512_xor_si512(g->r2, x2);
    substitute(c, g, mix1(_mm512_shldi_epi32(w1, w2, 16)), mix2(_mm512_shldi_epi32(w2, w1, 16)));
    return w;
}

AVX512_INLINE __m512i next_word(const struct constants *c, struct lanes *g, unsigned t)
{
    __m512i x3 = low_high(g->s[(t + 2) & 15], g->s[t & 15]);
    __m512i z = _mm512_xor_si512(clock_machine(c, g, t), x3);
    g->s[t & 15] = feedback(c, g->s, t);
    return z;
}

/* The oldest cell is again the first. */
AVX512_INLINE void rotate(struct lanes *g, unsigned n)
{
    __m512i s[16];
    for (unsigned i = 0; i < 16; i++) {
        s[i] = g->s[(i + n) & 15];
    }
    memcpy(g->s, s, sizeof s);
}

AVX512 static void warm_up(struct lanes *g, unsigned rounds)
{
    const struct constants c = constants();
    struct lanes l = *g;
    l.r1 = l.r2 = _mm512_setzero_si512();
    for (unsigned done = 0; done < rounds; done += 16) {
#pragma GCC unroll 16
        for (unsigned t = 0; t < 16; t++) {
            __m512i w = _mm512_srli_epi32(clock_machine(&c, &l, t), 1);
            l.s[t] = fold(&c, _mm512_add_epi32(feedback(&c, l.s, t), w));
        }
    }
    (void)next_word(&c, &l, 0);
    rotate(&l, 1);
    *g = l;
}

AVX512 static void load(struct lanes *g, const struct bst_zuc *from, size_t n)
{
    uint32_t cells[16][LANES] __attribute__((aligned(64))) = {{0}};
    for (size_t i = 0; i < n; i++) {
        for (size_t cell = 0; cell < 16; cell++) {
            cells[cell][i] = from[i].s[cell];
        }
    }
    memcpy(g->s, cells, sizeof g->s);
    bst_wipe(cells, sizeof cells);
}

AVX512 static void start128(void *state, const struct bst_air_job *jobs, size_t n)
{
    struct bst_zuc lanes[LANES];
    for (size_t i = 0; i < n; i++) {
        bst_zuc128_load(&lanes[i], jobs[i].key->key.ptr, jobs[i].iv);
    }
    load(state, lanes, n);
    warm_up(state, 32);
    bst_wipe(lanes, sizeof lanes);
}

AVX512 static void start256(void *state, const struct bst_air_job *jobs, size_t n)
{
    struct bst_zuc lanes[LANES];
    for (size_t i = 0; i < n; i++) {
        bst_zuc256_load(&lanes[i], jobs[i].key->key.ptr, jobs[i].iv);
    }
    load(state, lanes, n);
    warm_up(state, 48);
    bst_wipe(lanes, sizeof lanes);
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

const struct bst_air_lanes bst_air_zuc128_avx512 = {LANES, 3, start128, apply};
const struct bst_air_lanes bst_air_zuc256_avx512 = {LANES, 3, start256, apply};
