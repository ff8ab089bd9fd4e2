/* 128-NIA1, NIA2 and NIA3 (TS 33.501 D.3): a tag of 32 bits over any number of bits. */
#include "core5g/air/air_priv.h"

#define HEADER_BYTES 8
#define ZUC_BATCH 16

/* The last octets of a message as a big-endian number of 64 bits, bits behind the end cleared. */
static uint64_t tail_of(const uint8_t *in, size_t bits)
{
    uint8_t last[8] = {0};
    memcpy(last, in, (bits + 7) / 8);
    return bst_air_be64(last) & ~(UINT64_MAX >> bits);
}

/* In the field of x^64 + x^4 + x^3 + x + 1. */
static uint64_t multiply64(uint64_t a, uint64_t b)
{
    uint64_t low = bst_air_clmul_low(a, b);
    uint64_t high = bst_air_clmul_high(a, b);
    uint64_t over = high >> 63 ^ high >> 61 ^ high >> 60;
    high ^= over; /* what the first fold pushes beyond x^63 folds once more */
    return low ^ high ^ high << 1 ^ high << 3 ^ high << 4;
}

bst_result bst_air_nia1(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_snow3g g;
    uint32_t z[5];
    bst_snow3g_init(&g, key->key.ptr, iv);
    bst_snow3g_words(&g, z, 5);
    uint64_t p = (uint64_t)z[0] << 32 | z[1], q = (uint64_t)z[2] << 32 | z[3], eval = 0;
    size_t left = bits;
    for (; left >= 64; left -= 64, in += 8) {
        eval = multiply64(eval ^ bst_air_be64(in), p);
    }
    if (left > 0) {
        eval = multiply64(eval ^ tail_of(in, left), p);
    }
    eval = multiply64(eval ^ bits, q);
    bst_air_put_be32(tag, (uint32_t)(eval >> 32) ^ z[4]);
    bst_wipe(&g, sizeof g);
    bst_wipe(z, sizeof z);
    return BST_OK;
}

/* Doubling in CMAC's field (RFC 4493 2.3). */
static void twice(uint8_t v[16])
{
    uint8_t carry = (uint8_t) - (v[0] >> 7);
    for (int i = 0; i < 15; i++) {
        v[i] = (uint8_t)(v[i] << 1 | v[i + 1] >> 7);
    }
    v[15] = (uint8_t)(v[15] << 1 ^ (carry & 0x87));
}

/* CMAC takes octets here. A message that ends inside one is padded by ourselves, to whole blocks,
 * and the last is changed by K1 xor K2: the K1 that CMAC adds to a complete block then makes it the
 * K2 of a padded one. */
static bst_result pad_bits(struct bst_air_key *key, uint8_t block[16], const uint8_t *in,
                           size_t bits, size_t used)
{
    uint8_t k1[16] = {0}, k2[16];
    BST_TRY(bst_ctr_start(&key->ctr, k1));
    BST_TRY(bst_ctr_apply(&key->ctr, k1, 16, k1));
    twice(k1);
    memcpy(k2, k1, 16);
    twice(k2);
    memcpy(block + used, in, (bits + 7) / 8);
    size_t last = used + bits / 8;
    block[last] = (uint8_t)((block[last] & ~(0xff >> bits % 8)) | 0x80 >> bits % 8);
    for (unsigned i = 0; i < 16; i++) {
        block[i] ^= k1[i] ^ k2[i];
    }
    bst_wipe(k1, sizeof k1);
    bst_wipe(k2, sizeof k2);
    return BST_OK;
}

bst_result bst_air_nia2(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX])
{
    uint8_t last[16] = {0};
    struct bst_view parts[3] = {bst_view_of(iv, HEADER_BYTES), bst_view_of(in, bits / 8)};
    size_t n = 2;
    if (bits % 8) {
        /* Header and message count together, so the last block may begin in the header. */
        size_t total = HEADER_BYTES * 8 + bits, whole = total / 128 * 16;
        size_t header = whole ? HEADER_BYTES : 0, body = whole ? whole - HEADER_BYTES : 0;
        memcpy(last, iv, HEADER_BYTES - header);
        BST_TRY(pad_bits(key, last, in + body, bits - body * 8, HEADER_BYTES - header));
        parts[0].len = header;
        parts[1].len = body;
        parts[2] = bst_view_of(last, sizeof last);
        n = 3;
    }
    bst_result r = bst_cmac_run(&key->cmac, parts, n, tag);
    bst_wipe(last, sizeof last);
    return r;
}

/* The keystream from each set bit on, 32 bits of it, added up: the upper half of a carry-less
 * product of the message's bits in reverse with two words of keystream. */
static uint32_t windows(uint32_t message, uint32_t z0, uint32_t z1)
{
    uint64_t reversed = bst_air_reverse64(message) >> 32;
    return (uint32_t)(bst_air_clmul_low(reversed, (uint64_t)z0 << 32 | z1) >> 32);
}

bst_result bst_air_nia3(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_zuc g;
    uint32_t z[ZUC_BATCH + 2], sum = 0;
    bst_zuc128_init(&g, key->key.ptr, iv);
    bst_zuc_words(&g, z, 1);
    size_t left = bits;
    for (; left >= ZUC_BATCH * 32; left -= ZUC_BATCH * 32, in += ZUC_BATCH * 4) {
        bst_zuc_words(&g, z + 1, ZUC_BATCH);
        for (unsigned i = 0; i < ZUC_BATCH; i++) {
            sum ^= windows(bst_air_be32(in + 4 * (size_t)i), z[i], z[i + 1]);
        }
        z[0] = z[ZUC_BATCH];
    }
    size_t n = left / 32, tail = left % 32, more = tail ? 1 : 0;
    bst_zuc_words(&g, z + 1, n + more + 1);
    for (size_t i = 0; i < n; i++) {
        sum ^= windows(bst_air_be32(in + 4 * i), z[i], z[i + 1]);
    }
    if (tail) {
        sum ^= windows((uint32_t)(tail_of(in + 4 * n, tail) >> 32), z[n], z[n + 1]);
    }
    sum ^= (uint32_t)(((uint64_t)z[n] << 32 | z[n + 1]) >> (32 - tail)); /* at LENGTH */
    sum ^= z[n + more + 1];                                              /* the last word */
    bst_air_put_be32(tag, sum);
    bst_wipe(&g, sizeof g);
    bst_wipe(z, sizeof z);
    return BST_OK;
}
