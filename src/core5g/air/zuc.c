/* ZUC-128 (TS 35.222) and ZUC-256 (TS 35.246): one core, an LFSR over the prime field of 2^31 - 1
 * and a state machine of two words, loaded in two ways. */
#include "core5g/air/zuc_core.h"

void bst_zuc128_load(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16])
{
    static const uint16_t d[16] = {0x44d7, 0x26bc, 0x626b, 0x135e, 0x5789, 0x35e2, 0x7135, 0x09af,
                                   0x4d78, 0x2f13, 0x6bc4, 0x1af1, 0x5e26, 0x3c4d, 0x789a, 0x47ac};
    for (unsigned i = 0; i < 16; i++) {
        g->s[i] = (uint32_t)key[i] << 23 | (uint32_t)d[i] << 8 | iv[i];
    }
}

/* The loading for an IV of 128 bits; that for 25 octets has other constants. */
void bst_zuc256_load(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16])
{
    static const uint8_t d[16] = {0x64, 0x43, 0x7b, 0x2a, 0x11, 0x05, 0x51, 0x42,
                                  0x1a, 0x31, 0x18, 0x66, 0x14, 0x2e, 0x01, 0x5c};
    for (unsigned i = 0; i < 16; i++) {
        uint32_t x = i < 7 ? key[16 + i] : i < 15 ? iv[i - 7] : key[23];
        uint32_t y = i < 7 ? key[24 + i] : i < 15 ? iv[i + 1] : key[31];
        g->s[i] = (uint32_t)key[i] << 23 | (uint32_t)d[i] << 16 | x << 8 | y;
    }
}

void bst_zuc128_init(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16])
{
    bst_zuc128_load(g, key, iv);
    zuc_warm_up(g, 32);
}

void bst_zuc256_init(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16])
{
    bst_zuc256_load(g, key, iv);
    zuc_warm_up(g, 48);
}

/* A whole turn of the register: the places are constants and nothing rotates. */
static void turn(struct bst_zuc *g, uint32_t out[16])
{
    struct bst_zuc l = *g;
#pragma GCC unroll 16
    for (unsigned t = 0; t < 16; t++) {
        out[t] = zuc_next_word(&l, t);
    }
    *g = l;
}

void bst_zuc_words(struct bst_zuc *g, uint32_t *out, size_t n)
{
    for (; n >= 16; n -= 16, out += 16) {
        turn(g, out);
    }
    for (unsigned t = 0; t < n; t++) {
        out[t] = zuc_next_word(g, t);
    }
    zuc_rotate(g->s, (unsigned)n);
}

static bst_result start128(struct bst_air_stream *stream, struct bst_air_key *key,
                           const uint8_t *iv)
{
    stream->key = key;
    bst_zuc128_init(&stream->of.zuc, key->key.ptr, iv);
    return BST_OK;
}

static bst_result start256(struct bst_air_stream *stream, struct bst_air_key *key,
                           const uint8_t *iv)
{
    stream->key = key;
    bst_zuc256_init(&stream->of.zuc, key->key.ptr, iv);
    return BST_OK;
}

static void words(struct bst_air_stream *stream, uint32_t *out, size_t n)
{
    bst_zuc_words(&stream->of.zuc, out, n);
}

static bst_result apply(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out)
{
    return bst_air_apply_words(words, stream, in, len, out);
}

const struct bst_air_generator bst_air_zuc128 = {.start = start128, .apply = apply};
const struct bst_air_generator bst_air_zuc256 = {.start = start256, .apply = apply};
