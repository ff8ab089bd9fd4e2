/* From words side by side to the octets of each packet. */
#include "core5g/air/x86.h"

/* Pairs of words, then of pairs: z[4 * i + j] gets words 4 * i to 4 * i + 3 of lanes j, j + 4, ...
 */
AVX512_INLINE void transpose_quads(__m512i z[16])
{
    for (int i = 0; i < 16; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(z[i], z[i + 1]);
        __m512i b = _mm512_unpackhi_epi32(z[i], z[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(z[i + 2], z[i + 3]);
        __m512i d = _mm512_unpackhi_epi32(z[i + 2], z[i + 3]);
        z[i] = _mm512_unpacklo_epi64(a, c);
        z[i + 1] = _mm512_unpackhi_epi64(a, c);
        z[i + 2] = _mm512_unpacklo_epi64(b, d);
        z[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
}

/* Then quads: lane[i] gets all sixteen words of lane i. */
AVX512_INLINE void transpose(__m512i lane[16], __m512i z[16])
{
    transpose_quads(z);
    for (int j = 0; j < 4; j++) {
        __m512i a = _mm512_shuffle_i32x4(z[j], z[j + 4], 0x44);
        __m512i b = _mm512_shuffle_i32x4(z[j + 8], z[j + 12], 0x44);
        __m512i c = _mm512_shuffle_i32x4(z[j], z[j + 4], 0xee);
        __m512i d = _mm512_shuffle_i32x4(z[j + 8], z[j + 12], 0xee);
        lane[j] = _mm512_shuffle_i32x4(a, b, 0x88);
        lane[j + 4] = _mm512_shuffle_i32x4(a, b, 0xdd);
        lane[j + 8] = _mm512_shuffle_i32x4(c, d, 0x88);
        lane[j + 12] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

AVX512 void bst_air_put_lanes512(const __m512i words[16], const struct bst_air_job *jobs, size_t n,
                                 size_t at)
{
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    __m512i z[16], lane[16];
    for (int i = 0; i < 16; i++) {
        z[i] = words[i];
    }
    transpose(lane, z);
    for (size_t i = 0; i < n; i++) {
        bst_air_put512(&jobs[i], at, _mm512_shuffle_epi8(lane[i], big_endian));
    }
}

AVX512 void bst_air_apply_lanes512(void *state, const struct bst_air_steps512 *steps,
                                   const struct bst_air_job *jobs, size_t n)
{
    __m512i z[16];
    size_t at = 0, longest = bst_air_longest(jobs, n);
    for (; at + 64 <= longest; at += 64) {
        steps->turn(state, z);
        bst_air_put_lanes512(z, jobs, n, at);
    }
    if (at < longest) {
        if (longest % 16) { /* the end of all lanes: it does not matter where the register stands */
            steps->turn(state, z);
        } else {
            steps->some_words(state, z, (unsigned)(longest - at) / 4);
        }
        bst_air_put_lanes512(z, jobs, n, at);
    }
    bst_wipe(z, sizeof z);
}
