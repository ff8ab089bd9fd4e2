/* SNOW 5G of one packet by AES instructions. No address depends on a secret. */
#include "core5g/air/x86.h"

#define STEPS 16

struct snow5g {
    __m128i a_low, a_high, b_low, b_high, r1, r2, r3;
};

AVX2_INLINE __m128i octets(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

/* Times alpha or beta in the fields of 2^16. */
AVX2_INLINE __m128i times(__m128i x, __m128i poly)
{
    return _mm_xor_si128(_mm_slli_epi16(x, 1), _mm_and_si128(_mm_srai_epi16(x, 15), poly));
}

AVX2_INLINE __m128i step(struct snow5g *g)
{
    const __m128i alpha = _mm_set1_epi16(0x4a6d), beta = _mm_set1_epi16((short)0xcc87);
    const __m128i sigma = _mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m128i zero = _mm_setzero_si128();
    __m128i z = _mm_xor_si128(_mm_add_epi16(g->b_high, g->r1), g->r2);
    __m128i mixed = _mm_add_epi16(_mm_xor_si128(g->a_high, g->r3), g->r2);
    g->r3 = _mm_aesenc_si128(g->r2, zero);
    g->r2 = _mm_aesenc_si128(g->r1, zero);
    g->r1 = _mm_shuffle_epi8(mixed, sigma);
    __m128i a_7 = _mm_alignr_epi8(g->a_high, g->a_low, 14);
    __m128i a_new = _mm_xor_si128(times(g->a_low, alpha), _mm_xor_si128(g->b_low, a_7));
    __m128i b_new = _mm_xor_si128(times(g->b_low, beta), _mm_xor_si128(g->a_low, g->b_high));
    g->a_low = g->a_high;
    g->a_high = a_new;
    g->b_low = g->b_high;
    g->b_high = b_new;
    return z;
}

AVX2 static bst_result start(struct bst_air_stream *stream, struct bst_air_key *key,
                             const uint8_t *iv)
{
    const __m128i zero = _mm_setzero_si128(), k0 = octets(key->key.ptr);
    const __m128i k1 = octets(key->key.ptr + 16);
    struct snow5g g = {octets(iv), k0, zero, k1, zero, zero, zero};
    stream->key = key;
    for (int i = 1; i <= STEPS; i++) {
        __m128i z = step(&g);
        g.a_high = _mm_xor_si128(g.a_high, z);
        if (i == STEPS - 1) {
            g.r1 = _mm_xor_si128(g.r1, k0);
        }
    }
    g.r1 = _mm_xor_si128(g.r1, k1);
    memcpy(stream->of.vectors, &g, sizeof g);
    return BST_OK;
}

AVX2_INLINE void put(uint8_t *to, __m128i x)
{
    _mm_storeu_si128((__m128i *)(void *)to, x);
}

AVX2 static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                             uint8_t *out)
{
    struct snow5g g;
    memcpy(&g, stream->of.vectors, sizeof g);
    for (; len >= 16; len -= 16, in += 16, out += 16) {
        put(out, _mm_xor_si128(octets(in), step(&g)));
    }
    if (len > 0) {
        uint8_t last[16] = {0};
        memcpy(last, in, len);
        put(last, _mm_xor_si128(octets(last), step(&g)));
        memcpy(out, last, len);
        bst_wipe(last, sizeof last);
    }
    memcpy(stream->of.vectors, &g, sizeof g);
    return BST_OK;
}

const struct bst_air_generator bst_air_snow5g_aesni = {.start = start, .apply = apply};
