/* What the files of air share: keystream generators, octet order, carry-less multiplication. */
#pragma once

#include "core5g/air/air.h"

/* Secret-dependent look-ups: the S-boxes of SNOW 3G, SNOW 5G and ZUC are defined as permutations of
 * an octet of secret state. In portable C at usable speed they are tables, whose lines an attacker
 * on the same core might watch. Everything else here (multiplications, bit selection, tag
 * comparison) has neither secret-dependent branches nor addresses, but for SNOW 3G's tables of
 * products with alpha, which take octets of the same state. AES is OpenSSL's. */

struct bst_snow3g {
    uint32_t s[16], r1, r2, r3;
};
/** Key and IV in the order of UEA2: the first word is k3 and IV3. */
void bst_snow3g_init(struct bst_snow3g *g, const uint8_t key[16], const uint8_t iv[16]);
void bst_snow3g_words(struct bst_snow3g *g, uint32_t *out, size_t n);

struct bst_zuc {
    uint32_t s[16], r1, r2;
};
void bst_zuc128_init(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16]);
void bst_zuc256_init(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16]);
void bst_zuc_words(struct bst_zuc *g, uint32_t *out, size_t n);

struct bst_snow5g {
    uint16_t a[16], b[16], r1[8], r2[8], r3[8];
};
void bst_snow5g_init(struct bst_snow5g *g, const uint8_t key[32], const uint8_t iv[16]);

/** A keystream in progress. Lengths are multiples of 16 octets in all calls but a stream's last. */
struct bst_air_stream {
    struct bst_ctr *ctr; /* AES */
    union {
        struct bst_snow3g snow3g;
        struct bst_zuc zuc;
        struct bst_snow5g snow5g;
    } of;
};
struct bst_air_generator {
    bst_result (*start)(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv);
    bst_result (*apply)(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out);
    bool subkeys_apart; /* GCM-SST's first blocks come from an IV with a flag of its own */
};
extern const struct bst_air_generator bst_air_snow3g, bst_air_zuc128, bst_air_zuc256,
    bst_air_snow5g, bst_air_aes;

/* nia128.c: the integrity algorithms with a construction of their own. */
bst_result bst_air_nia1(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_nia2(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_nia3(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
/* gcm_sst.c: NIA and NCA 4-6. */
bst_result bst_air_sst_mac(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                           size_t bits, uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_sst_aead(struct bst_air_key *key, const uint8_t *iv, bool seal,
                            struct bst_view aad, struct bst_view in, uint8_t *out,
                            uint8_t tag[BST_AIR_TAG_MAX]);

/* Octet order. */
static inline uint32_t bst_air_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void bst_air_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}
/** Combine `len` octets with keystream words, most significant octet first. */
static inline void bst_air_xor_be32(const uint8_t *in, const uint32_t *z, size_t len, uint8_t *out)
{
    size_t i = 0;
    for (; i + 4 <= len; i += 4) {
        bst_air_put_be32(out + i, bst_air_be32(in + i) ^ z[i / 4]);
    }
    for (; i < len; i++) {
        out[i] = in[i] ^ (uint8_t)(z[i / 4] >> (24 - 8 * (i % 4)));
    }
}
static inline uint64_t bst_air_be64(const uint8_t *p)
{
    return (uint64_t)bst_air_be32(p) << 32 | bst_air_be32(p + 4);
}
static inline uint64_t bst_air_le64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}
static inline void bst_air_put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8) {
        p[i] = (uint8_t)v;
    }
}
static inline uint32_t bst_air_rotl32(uint32_t v, unsigned n)
{
    return v << (n & 31) | v >> (-n & 31);
}

/** Low 64 bits of the carry-less product. Ordinary multiplications of operands with holes of three
 * zero bits, into which carries go: constant time wherever the multiplier is. */
static inline uint64_t bst_air_clmul_low(uint64_t x, uint64_t y)
{
    const uint64_t m0 = 0x1111111111111111, m1 = m0 << 1, m2 = m0 << 2, m3 = m0 << 3;
    uint64_t x0 = x & m0, x1 = x & m1, x2 = x & m2, x3 = x & m3;
    uint64_t y0 = y & m0, y1 = y & m1, y2 = y & m2, y3 = y & m3;
    uint64_t z0 = (x0 * y0) ^ (x1 * y3) ^ (x2 * y2) ^ (x3 * y1);
    uint64_t z1 = (x0 * y1) ^ (x1 * y0) ^ (x2 * y3) ^ (x3 * y2);
    uint64_t z2 = (x0 * y2) ^ (x1 * y1) ^ (x2 * y0) ^ (x3 * y3);
    uint64_t z3 = (x0 * y3) ^ (x1 * y2) ^ (x2 * y1) ^ (x3 * y0);
    return (z0 & m0) | (z1 & m1) | (z2 & m2) | (z3 & m3);
}
/** Bits in reverse order. */
static inline uint64_t bst_air_reverse64(uint64_t x)
{
    x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
    x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
    x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
    return __builtin_bswap64(x);
}
/** High 64 bits of the carry-less product: the low ones of the mirrored operands, mirrored. */
static inline uint64_t bst_air_clmul_high(uint64_t x, uint64_t y)
{
    return bst_air_reverse64(bst_air_clmul_low(bst_air_reverse64(x), bst_air_reverse64(y))) >> 1;
}
