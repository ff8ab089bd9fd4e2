/* SNOW 3G of one packet: S1 is an AES round, S2 and the products with alpha are tables (their
 * addresses depend on the state, as in the portable code). */
#include "core5g/air/x86.h"

#include "snow3g_tables.h"

/* The round on four equal columns: its row shift changes nothing. */
AVX2_INLINE uint32_t box1(uint32_t w)
{
    __m128i x = _mm_aesenc_si128(_mm_set1_epi32((int)w), _mm_setzero_si128());
    return (uint32_t)_mm_cvtsi128_si32(x);
}

AVX2_INLINE uint32_t box2(uint32_t w)
{
    return sq_columns[w & 0xff] ^ bst_air_rotl32(sq_columns[w >> 8 & 0xff], 8) ^
           bst_air_rotl32(sq_columns[w >> 16 & 0xff], 16) ^ bst_air_rotl32(sq_columns[w >> 24], 24);
}

AVX2_INLINE uint32_t next_word(struct bst_snow3g *g, unsigned t)
{
    uint32_t s0 = g->s[t & 15], s11 = g->s[(t + 11) & 15];
    uint32_t z = (g->s[(t + 15) & 15] + g->r1) ^ g->r2 ^ s0;
    uint32_t r = g->r2 + (g->r3 ^ g->s[(t + 5) & 15]);
    g->r3 = box2(g->r2);
    g->r2 = box1(g->r1);
    g->r1 = r;
    g->s[t & 15] =
        s0 << 8 ^ times_alpha[s0 >> 24] ^ g->s[(t + 2) & 15] ^ s11 >> 8 ^ over_alpha[s11 & 0xff];
    return z;
}

/* A whole turn of the register. */
AVX2_INLINE void turn(struct bst_snow3g *g, uint32_t z[16])
{
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        z[t] = next_word(g, t);
    }
}

AVX2 static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                             uint8_t *out)
{
    struct bst_snow3g g = stream->of.snow3g;
    uint32_t z[16] = {0};
    for (; len >= 64; len -= 64, in += 64, out += 64) {
        turn(&g, z);
        bst_air_put_words(z, in, out);
    }
    stream->of.snow3g = g;
    bst_wipe(&g, sizeof g);
    bst_wipe(z, sizeof z);
    return len > 0 ? bst_air_snow3g.apply(stream, in, len, out) : BST_OK;
}

static bst_result start(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv)
{
    return bst_air_snow3g.start(stream, key, iv);
}

const struct bst_air_generator bst_air_snow3g_aesni = {.start = start, .apply = apply};
