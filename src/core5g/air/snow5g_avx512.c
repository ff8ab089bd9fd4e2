/* SNOW 5G by AES instructions, four packets in the quarters of each register. All that a step does
 * stays within a quarter. No address depends on a secret. */
#include "core5g/air/x86.h"

#define LANES 4
#define STEPS 16

struct lanes {
    __m512i a_low, a_high, b_low, b_high, r1, r2, r3;
};

/* Times alpha or beta in the fields of 2^16. */
AVX512_INLINE __m512i times(__m512i x, __m512i poly)
{
    return _mm512_ternarylogic_epi32(_mm512_slli_epi16(x, 1), _mm512_srai_epi16(x, 15), poly,
                                     0x78); /* first ^ (second & third) */
}

AVX512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

AVX512_INLINE __m512i step(struct lanes *g)
{
    const __m512i alpha = _mm512_set1_epi16(0x4a6d), beta = _mm512_set1_epi16((short)0xcc87);
    const __m512i sigma =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
    const __m512i zero = _mm512_setzero_si512();
    __m512i z = _mm512_xor_si512(_mm512_add_epi16(g->b_high, g->r1), g->r2);
    __m512i mixed = _mm512_add_epi16(_mm512_xor_si512(g->a_high, g->r3), g->r2);
    g->r3 = _mm512_aesenc_epi128(g->r2, zero);
    g->r2 = _mm512_aesenc_epi128(g->r1, zero);
    g->r1 = _mm512_shuffle_epi8(mixed, sigma);
    __m512i a_7 = _mm512_alignr_epi8(g->a_high, g->a_low, 14);
    __m512i a_new = xor3(times(g->a_low, alpha), g->b_low, a_7);
    __m512i b_new = xor3(times(g->b_low, beta), g->a_low, g->b_high);
    g->a_low = g->a_high;
    g->a_high = a_new;
    g->b_low = g->b_high;
    g->b_high = b_new;
    return z;
}

/* IV, then the two halves of the key, a quarter a lane. */
AVX512 static void load(__m512i to[3], const struct bst_air_job *jobs, size_t n)
{
    uint8_t quarters[3][LANES][16] __attribute__((aligned(64))) = {{{0}}};
    for (size_t i = 0; i < n; i++) {
        memcpy(quarters[0][i], jobs[i].iv, 16);
        memcpy(quarters[1][i], jobs[i].key->key.ptr, 16);
        memcpy(quarters[2][i], jobs[i].key->key.ptr + 16, 16);
    }
    for (int i = 0; i < 3; i++) {
        to[i] = _mm512_load_si512(quarters[i]);
    }
    bst_wipe(quarters, sizeof quarters);
}

AVX512 static void start(void *state, const struct bst_air_job *jobs, size_t n)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i in[3];
    load(in, jobs, n);
    struct lanes g = {in[0], in[1], zero, in[2], zero, zero, zero};
    for (int i = 1; i <= STEPS; i++) {
        __m512i z = step(&g);
        g.a_high = _mm512_xor_si512(g.a_high, z);
        if (i == STEPS - 1) {
            g.r1 = _mm512_xor_si512(g.r1, in[1]);
        }
    }
    g.r1 = _mm512_xor_si512(g.r1, in[2]);
    memcpy(state, &g, sizeof g);
    bst_wipe(in, sizeof in);
    bst_wipe(&g, sizeof g);
}

/* From quarters of steps to steps of a lane. */
AVX512_INLINE void transpose(__m512i lane[LANES], const __m512i z[4])
{
    __m512i a = _mm512_shuffle_i32x4(z[0], z[1], 0x44), b = _mm512_shuffle_i32x4(z[2], z[3], 0x44);
    __m512i c = _mm512_shuffle_i32x4(z[0], z[1], 0xee), d = _mm512_shuffle_i32x4(z[2], z[3], 0xee);
    lane[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    lane[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    lane[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    lane[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

AVX512_INLINE void put_lanes(const struct bst_air_job *jobs, size_t n, size_t at,
                             const __m512i z[4])
{
    __m512i lane[LANES];
    transpose(lane, z);
    for (size_t i = 0; i < n; i++) {
        bst_air_put512(&jobs[i], at, lane[i]);
    }
}

AVX512 static void apply(void *state, const struct bst_air_job *jobs, size_t n)
{
    size_t at = 0, longest = bst_air_longest(jobs, n);
    struct lanes g;
    __m512i z[4];
    memcpy(&g, state, sizeof g);
    for (; at + 64 <= longest; at += 64) {
        for (int i = 0; i < 4; i++) {
            z[i] = step(&g);
        }
        put_lanes(jobs, n, at, z);
    }
    if (at < longest) {
        for (size_t i = 0; i < 4; i++) {
            z[i] = 16 * i < longest - at ? step(&g) : _mm512_setzero_si512();
        }
        put_lanes(jobs, n, at, z);
    }
    memcpy(state, &g, sizeof g);
    bst_wipe(&g, sizeof g);
}

const struct bst_air_lanes bst_air_snow5g_avx512 = {LANES, 2, start, apply};
