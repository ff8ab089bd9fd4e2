/* SNOW 3G (TS 35.216): an LFSR of sixteen 32-bit words and a state machine of three. */
#include "core5g/air/air_priv.h"

#include "aes_columns.h"
#include "snow3g_tables.h"

#define ROUNDS 32

/* An S-box and a column mix; rotations of one table give the four positions. */
static inline uint32_t substitute(const uint32_t table[256], uint32_t w)
{
    return table[w & 0xff] ^ bst_air_rotl32(table[w >> 8 & 0xff], 8) ^
           bst_air_rotl32(table[w >> 16 & 0xff], 16) ^ bst_air_rotl32(table[w >> 24], 24);
}

/* The word that leaves the state machine; `t` is where s0 is kept. */
static inline uint32_t clock_machine(struct bst_snow3g *g, unsigned t)
{
    uint32_t f = (g->s[(t + 15) & 15] + g->r1) ^ g->r2;
    uint32_t r = g->r2 + (g->r3 ^ g->s[(t + 5) & 15]);
    g->r3 = substitute(sq_columns, g->r2);
    g->r2 = substitute(aes_columns, g->r1);
    g->r1 = r;
    return f;
}

/* The new word takes the place of s0, so that nothing is moved. */
static inline void clock_register(struct bst_snow3g *g, unsigned t, uint32_t extra)
{
    uint32_t s0 = g->s[t & 15], s11 = g->s[(t + 11) & 15];
    g->s[t & 15] = s0 << 8 ^ times_alpha[s0 >> 24] ^ g->s[(t + 2) & 15] ^ s11 >> 8 ^
                   over_alpha[s11 & 0xff] ^ extra;
}

static inline uint32_t next_word(struct bst_snow3g *g, unsigned t)
{
    uint32_t z = clock_machine(g, t) ^ g->s[t & 15];
    clock_register(g, t, 0);
    return z;
}

/* After `n` steps the oldest cell is again the first. */
static void rotate(uint32_t s[16], unsigned n)
{
    uint32_t old[16];
    memcpy(old, s, sizeof old);
    for (unsigned i = 0; i < 16; i++) {
        s[i] = old[(i + n) & 15];
    }
}

void bst_snow3g_load(struct bst_snow3g *g, const uint8_t key[16], const uint8_t iv[16])
{
    uint32_t k[4], v[4];
    for (unsigned i = 0; i < 4; i++) {
        k[i] = bst_air_be32(key + 12 - 4 * i);
        v[i] = bst_air_be32(iv + 12 - 4 * i);
    }
    for (unsigned i = 0; i < 4; i++) {
        g->s[i] = g->s[i + 8] = ~k[i];
        g->s[i + 4] = g->s[i + 12] = k[i];
    }
    g->s[15] ^= v[0];
    g->s[12] ^= v[1];
    g->s[10] ^= v[2];
    g->s[9] ^= v[3];
    g->r1 = g->r2 = g->r3 = 0;
    bst_wipe(k, sizeof k);
}

void bst_snow3g_init(struct bst_snow3g *g, const uint8_t key[16], const uint8_t iv[16])
{
    bst_snow3g_load(g, key, iv);
    for (unsigned t = 0; t < ROUNDS; t++) {
        clock_register(g, t, clock_machine(g, t));
    }
    /* The first word of the running generator is thrown away. */
    (void)next_word(g, 0);
    rotate(g->s, 1);
}

/* A whole turn of the register: the places are constants and nothing rotates. */
static void turn(struct bst_snow3g *g, uint32_t out[16])
{
    struct bst_snow3g l = *g;
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        out[t] = next_word(&l, t);
    }
    *g = l;
}

void bst_snow3g_words(struct bst_snow3g *g, uint32_t *out, size_t n)
{
    for (; n >= 16; n -= 16, out += 16) {
        turn(g, out);
    }
    for (unsigned t = 0; t < n; t++) {
        out[t] = next_word(g, t);
    }
    rotate(g->s, (unsigned)n);
}

static bst_result start(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv)
{
    stream->key = key;
    bst_snow3g_init(&stream->of.snow3g, key->key.ptr, iv);
    return BST_OK;
}

static void words(struct bst_air_stream *stream, uint32_t *out, size_t n)
{
    bst_snow3g_words(&stream->of.snow3g, out, n);
}

static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out)
{
    return bst_air_apply_words(words, stream, in, len, out);
}

const struct bst_air_generator bst_air_snow3g = {.start = start, .apply = apply};
