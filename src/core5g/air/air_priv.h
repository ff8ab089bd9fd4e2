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
void bst_snow3g_load(struct bst_snow3g *g, const uint8_t key[16], const uint8_t iv[16]);
/** Ready for the first word. */
void bst_snow3g_init(struct bst_snow3g *g, const uint8_t key[16], const uint8_t iv[16]);
void bst_snow3g_words(struct bst_snow3g *g, uint32_t *out, size_t n);

struct bst_zuc {
    uint32_t s[16], u, v; /* R1 and R2 are S(u) and S(v) */
};
/** Key, constants and IV in the register's cells. */
void bst_zuc128_load(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16]);
void bst_zuc256_load(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16]);
/** Ready for the first word. */
void bst_zuc128_init(struct bst_zuc *g, const uint8_t key[16], const uint8_t iv[16]);
void bst_zuc256_init(struct bst_zuc *g, const uint8_t key[32], const uint8_t iv[16]);
void bst_zuc_words(struct bst_zuc *g, uint32_t *out, size_t n);

struct bst_snow5g {
    uint16_t a[16], b[16], r1[8], r2[8], r3[8];
};
void bst_snow5g_init(struct bst_snow5g *g, const uint8_t key[32], const uint8_t iv[16]);

/** A keystream in progress. Lengths are multiples of 16 octets in all calls but a stream's last. */
struct bst_air_stream {
    struct bst_air_key *key;
    union {
        struct bst_snow3g snow3g;
        struct bst_zuc zuc;
        struct bst_snow5g snow5g;
        uint8_t vectors[512];
    } of __attribute__((aligned(64)));
};
struct bst_air_generator {
    bst_result (*start)(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv);
    bst_result (*apply)(struct bst_air_stream *stream, const uint8_t *in, size_t len, uint8_t *out);
};
/** `apply` over a generator of big-endian words. */
typedef void bst_air_words(struct bst_air_stream *stream, uint32_t *out, size_t n);
bst_result bst_air_apply_words(bst_air_words *words, struct bst_air_stream *stream,
                               const uint8_t *in, size_t len, uint8_t *out);
/** The keystream itself. */
bst_result bst_air_keystream(struct bst_air_stream *stream, size_t len, uint8_t *out);
/** That a key is of this kind and a message not too long. */
bst_result bst_air_usable(const struct bst_air_key *key, enum bst_air_kind kind, size_t bytes);
/** The generator that a key's single packets take. */
const struct bst_air_generator *bst_air_generator_of(const struct bst_air_key *key);

extern const struct bst_air_generator bst_air_snow3g, bst_air_zuc128, bst_air_zuc256,
    bst_air_snow5g, bst_air_aes;

/* ---- implementations ---- */

/* Round keys, at most fifteen, then CMAC's subkeys. */
#define BST_AIR_K1_AT (15 * 16)
#define BST_AIR_K2_AT (16 * 16)
#define BST_AIR_SCHEDULE_BYTES (17 * 16)

/** One packet of a batch on its way through an implementation. */
struct bst_air_job {
    struct bst_air_key *key;
    struct bst_air_packet *packet;
    uint8_t iv[BST_AIR_IV_BYTES];
    const uint8_t *in; /* NULL: the keystream itself is wanted */
    uint8_t *out;
    size_t len; /* octets of `in` and `out` */
    uint8_t tag[BST_AIR_TAG_MAX];
};
#define BST_AIR_JOBS_MAX 64
#define BST_AIR_LANES_MAX 16
#define BST_AIR_SUBKEYS 48 /* octets: H, Q and the mask of GCM-SST */
#define BST_AIR_KINDS 3
#define BST_AIR_IDS 7

/** Jobs of one algorithm, BST_AIR_JOBS_MAX at most: of NEA jobs `out` is filled, of NIA jobs `tag`,
 * of NCA jobs either way the packet is served whole, and a wrong tag goes to its result. */
typedef bst_result bst_air_batch(struct bst_air_job *jobs, size_t n, bool open);

/** Keystreams side by side, one lane a job. Lengths are multiples of 16 octets in all calls but a
 * lane's last; all lanes go on by the longest of a call. */
struct bst_air_lanes {
    size_t n;
    size_t least; /* fewer packets are faster one after the other */
    void (*start)(void *state, const struct bst_air_job *jobs, size_t n);
    void (*apply)(void *state, const struct bst_air_job *jobs, size_t n);
};
struct bst_air_lanes_state { /* big enough for each */
    uint8_t octets[2048] __attribute__((aligned(64)));
};

/** What exists in more than one form; what a row leaves empty portable does. */
struct bst_air_implementation {
    const char *name;
    bool (*usable)(void);
    const struct bst_air_generator *generators[BST_AIR_CORES];
    const struct bst_air_lanes *lanes[BST_AIR_CORES];
    bst_air_batch *batch[BST_AIR_KINDS][BST_AIR_IDS]; /* NULL: one packet after the other */
    /* Round keys in the order of FIPS 197, then CMAC's two subkeys. */
    void (*aes_schedule)(const uint8_t *key, size_t bytes, uint8_t out[BST_AIR_SCHEDULE_BYTES]);
    /* Upper half of the value of UIA2's polynomial. */
    uint32_t (*nia1_value)(uint64_t p, uint64_t q, const uint8_t *in, size_t bits);
    /* Sum of the keystream from each set bit on, over whole words of 32 bits. */
    uint32_t (*nia3_sum)(const uint8_t *in, const uint8_t *z, size_t words);
    /* GCM-SST's tag from its three subkeys. */
    void (*sst_tag)(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                    struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX]);
};
extern const struct bst_air_lanes bst_air_zuc128_avx512, bst_air_zuc256_avx512,
    bst_air_snow3g_avx512, bst_air_snow5g_avx512, bst_air_zuc128_avx2, bst_air_zuc256_avx2;
extern const struct bst_air_implementation bst_air_portable, bst_air_avx2, bst_air_avx512,
    bst_air_ipsec_mb;
/** What new keys get; all is there but lanes, batch and aes_schedule. */
const struct bst_air_implementation *bst_air_implementation(void);

/* nia128.c */
/** Doubling in CMAC's field (RFC 4493 2.3). */
void bst_air_twice(uint8_t v[16]);
#define BST_AIR_NIA1_WORDS 5
/** The tag from the words of keystream. */
void bst_air_nia1_tag(const struct bst_air_key *key, const uint8_t z[BST_AIR_NIA1_WORDS * 4],
                      const uint8_t *in, size_t bits, uint8_t tag[BST_AIR_TAG_MAX]);
/** NIA3 on its way: keystream is wanted until `made` is `total`. */
struct bst_air_nia3 {
    const uint8_t *in;
    size_t bits, made, total, have;
    uint32_t sum;
    uint8_t z[97 * 16]; /* enough at once for a PDU of 1500 octets */
};
void bst_air_nia3_begin(struct bst_air_nia3 *run, const uint8_t *in, size_t bits);
/** Octets of keystream that z + have takes now. */
size_t bst_air_nia3_wants(const struct bst_air_nia3 *run);
/** After so many were put there. */
void bst_air_nia3_go_on(struct bst_air_nia3 *run, const struct bst_air_implementation *with,
                        size_t len);
void bst_air_nia3_tag(const struct bst_air_nia3 *run, uint8_t tag[BST_AIR_TAG_MAX]);
uint32_t bst_air_nia1_value(uint64_t p, uint64_t q, const uint8_t *in, size_t bits);
uint32_t bst_air_nia3_sum(const uint8_t *in, const uint8_t *z, size_t words);
/* gcm_sst.c */
void bst_air_sst_tag(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                     struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX]);

void bst_air_aes_schedule_x86(const uint8_t *key, size_t bytes,
                              uint8_t out[BST_AIR_SCHEDULE_BYTES]);
/* batch.c: one job as a batch function leaves it. */
bst_result bst_air_serve_single(struct bst_air_job *job, bool open);
/* batch.c: what lanes of keystream make of the algorithms. */
bst_air_batch bst_air_lanes_cipher, bst_air_lanes_nia1, bst_air_lanes_nia3, bst_air_lanes_sst;

/* nia128.c: the integrity algorithms with a construction of their own. */
bst_result bst_air_nia1(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_nia2(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_nia3(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX]);
/* gcm_sst.c: NIA and NCA 4-6. */
/** @error BST_E_VALUE  the message ends inside an octet */
bst_result bst_air_sst_whole(const struct bst_air_key *key, size_t bits);
bst_result bst_air_sst_mac(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                           size_t bits, uint8_t tag[BST_AIR_TAG_MAX]);
bst_result bst_air_sst_aead(struct bst_air_key *key, const uint8_t *iv, bool seal,
                            struct bst_view aad, struct bst_view in, uint8_t *out,
                            uint8_t tag[BST_AIR_TAG_MAX]);

static inline size_t bst_air_octets(size_t bits)
{
    return bits / 8 + (bits % 8 ? 1 : 0);
}

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
/** The last octets of a message, up to 64 bits, as a number; bits behind the end are cleared. */
static inline uint64_t bst_air_tail(const uint8_t *in, size_t bits)
{
    uint8_t last[8] = {0};
    memcpy(last, in, bst_air_octets(bits));
    return bst_air_be64(last) & ~(UINT64_MAX >> bits);
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
