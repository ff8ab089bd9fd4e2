/* ZUC-128 (TS 35.222) and ZUC-256 (TS 35.246): one core, an LFSR over the prime field of 2^31 - 1
 * and a state machine of two words, loaded in two ways. */
#include "core5g/air/air_priv.h"

#include "zuc_tables.h"

#define P31 UINT32_C(0x7fffffff)

/* Congruent and from 1 to 2^31 - 1: a sum of cells, of which none is 0, is never 0. */
static inline uint32_t reduce(uint64_t sum)
{
    sum = (sum & P31) + (sum >> 31);
    return (uint32_t)((sum & P31) + (sum >> 31));
}

/* `t` is where s0 is kept; the new cell takes its place. */
static inline void clock_register(struct bst_zuc *g, unsigned t, uint32_t extra)
{
    const uint32_t *s = g->s;
    uint64_t sum = (uint64_t)s[(t + 15) & 15] << 15;
    sum += (uint64_t)s[(t + 13) & 15] << 17;
    sum += (uint64_t)s[(t + 10) & 15] << 21;
    sum += (uint64_t)s[(t + 4) & 15] << 20;
    sum += ((uint64_t)s[t & 15] << 8) + s[t & 15] + extra;
    g->s[t & 15] = reduce(sum);
}

static inline uint32_t substitute(uint32_t w)
{
    return (uint32_t)zuc_s0[w >> 24] << 24 | (uint32_t)zuc_s1[w >> 16 & 0xff] << 16 |
           (uint32_t)zuc_s0[w >> 8 & 0xff] << 8 | zuc_s1[w & 0xff];
}

static inline uint32_t mix1(uint32_t w)
{
    return w ^ bst_air_rotl32(w, 2) ^ bst_air_rotl32(w, 10) ^ bst_air_rotl32(w, 18) ^
           bst_air_rotl32(w, 24);
}
static inline uint32_t mix2(uint32_t w)
{
    return w ^ bst_air_rotl32(w, 8) ^ bst_air_rotl32(w, 14) ^ bst_air_rotl32(w, 22) ^
           bst_air_rotl32(w, 30);
}

/* Two halves of cells: the upper 16 bits of one, the lower 16 of the other. */
static inline uint32_t high_low(uint32_t high, uint32_t low)
{
    return (high & 0x7fff8000) << 1 | (low & 0xffff);
}
static inline uint32_t low_high(uint32_t low, uint32_t high)
{
    return low << 16 | high >> 15;
}

static inline uint32_t clock_machine(struct bst_zuc *g, unsigned t)
{
    const uint32_t *s = g->s;
    uint32_t x0 = high_low(s[(t + 15) & 15], s[(t + 14) & 15]);
    uint32_t x1 = low_high(s[(t + 11) & 15], s[(t + 9) & 15]);
    uint32_t x2 = low_high(s[(t + 7) & 15], s[(t + 5) & 15]);
    uint32_t w = (x0 ^ g->r1) + g->r2;
    uint32_t w1 = g->r1 + x1, w2 = g->r2 ^ x2;
    g->r1 = substitute(mix1(w1 << 16 | w2 >> 16));
    g->r2 = substitute(mix2(w2 << 16 | w1 >> 16));
    return w;
}

static inline uint32_t next_word(struct bst_zuc *g, unsigned t)
{
    uint32_t x3 = low_high(g->s[(t + 2) & 15], g->s[t & 15]);
    uint32_t z = clock_machine(g, t) ^ x3;
    clock_register(g, t, 0);
    return z;
}

static void rotate(uint32_t s[16])
{
    uint32_t first = s[0];
    memmove(s, s + 1, 15 * sizeof s[0]);
    s[15] = first;
}

static void warm_up(struct bst_zuc *g, unsigned rounds)
{
    g->r1 = g->r2 = 0;
    for (unsigned t = 0; t < rounds; t++) { /* a multiple of 16 */
        clock_register(g, t, clock_machine(g, t) >> 1);
    }
    (void)next_word(g, 0); /* thrown away */
    rotate(g->s);
}

void bst_zuc128_init(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16])
{
    static const uint16_t d[16] = {0x44d7, 0x26bc, 0x626b, 0x135e, 0x5789, 0x35e2, 0x7135, 0x09af,
                                   0x4d78, 0x2f13, 0x6bc4, 0x1af1, 0x5e26, 0x3c4d, 0x789a, 0x47ac};
    for (unsigned i = 0; i < 16; i++) {
        g->s[i] = (uint32_t)key[i] << 23 | (uint32_t)d[i] << 8 | iv[i];
    }
    warm_up(g, 32);
}

/* The loading for an IV of 128 bits; that for 25 octets has other constants. */
void bst_zuc256_init(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16])
{
    static const uint8_t d[16] = {0x64, 0x43, 0x7b, 0x2a, 0x11, 0x05, 0x51, 0x42,
                                  0x1a, 0x31, 0x18, 0x66, 0x14, 0x2e, 0x01, 0x5c};
    for (unsigned i = 0; i < 16; i++) {
        uint32_t x = i < 7 ? key[16 + i] : i < 15 ? iv[i - 7] : key[23];
        uint32_t y = i < 7 ? key[24 + i] : i < 15 ? iv[i + 1] : key[31];
        g->s[i] = (uint32_t)key[i] << 23 | (uint32_t)d[i] << 16 | x << 8 | y;
    }
    warm_up(g, 48);
}

/* A whole turn of the register: the places are constants and nothing rotates. */
static void turn(struct bst_zuc *g, uint32_t out[16])
{
    struct bst_zuc l = *g;
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        out[t] = next_word(&l, t);
    }
    *g = l;
}

void bst_zuc_words(struct bst_zuc *g, uint32_t *out, size_t n)
{
    for (; n >= 16; n -= 16, out += 16) {
        turn(g, out);
    }
    for (; n > 0; n--) {
        *out++ = next_word(g, 0);
        rotate(g->s);
    }
}

static bst_result start128(struct bst_air_stream *stream, struct bst_air_key *key,
                           const uint8_t *iv)
{
    bst_zuc128_init(&stream->of.zuc, key->key.ptr, iv);
    return BST_OK;
}

static bst_result start256(struct bst_air_stream *stream, struct bst_air_key *key,
                           const uint8_t *iv)
{
    bst_zuc256_init(&stream->of.zuc, key->key.ptr, iv);
    return BST_OK;
}

static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out)
{
    uint32_t z[16] = {0};
    while (len > 0) {
        size_t n = len < sizeof z ? len : sizeof z;
        bst_zuc_words(&stream->of.zuc, z, (n + 3) / 4);
        bst_air_xor_be32(in, z, n, out);
        in += n;
        out += n;
        len -= n;
    }
    bst_wipe(z, sizeof z);
    return BST_OK;
}

const struct bst_air_generator bst_air_zuc128 = {.start = start128, .apply = apply};
const struct bst_air_generator bst_air_zuc256 = {.start = start256, .apply = apply};
