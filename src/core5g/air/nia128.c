/* 128-NIA1, NIA2 and NIA3 (TS 33.501 D.3): a tag of 32 bits over any number of bits. */
#include "core5g/air/air_priv.h"

#define HEADER_BYTES 8
#define KEPT 16 /* octets of keystream that the next round begins with */

/* In the field of x^64 + x^4 + x^3 + x + 1. */
static uint64_t multiply64(uint64_t a, uint64_t b)
{
    uint64_t low = bst_air_clmul_low(a, b);
    uint64_t high = bst_air_clmul_high(a, b);
    uint64_t over = high >> 63 ^ high >> 61 ^ high >> 60;
    high ^= over; /* what the first fold pushes beyond x^63 folds once more */
    return low ^ high ^ high << 1 ^ high << 3 ^ high << 4;
}

uint32_t bst_air_nia1_value(uint64_t p, uint64_t q, const uint8_t *in, size_t bits)
{
    uint64_t eval = 0;
    size_t left = bits;
    for (; left >= 64; left -= 64, in += 8) {
        eval = multiply64(eval ^ bst_air_be64(in), p);
    }
    if (left > 0) {
        eval = multiply64(eval ^ bst_air_tail(in, left), p);
    }
    return (uint32_t)(multiply64(eval ^ bits, q) >> 32);
}

void bst_air_nia1_tag(const struct bst_air_key *key, const uint8_t z[BST_AIR_NIA1_WORDS * 4],
                      const uint8_t *in, size_t bits, uint8_t tag[BST_AIR_TAG_MAX])
{
    uint32_t value =
        key->implementation->nia1_value(bst_air_be64(z), bst_air_be64(z + 8), in, bits);
    bst_air_put_be32(tag, value ^ bst_air_be32(z + 16));
}

bst_result bst_air_nia1(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    uint8_t z[BST_AIR_NIA1_WORDS * 4];
    BST_TRY(bst_air_generator_of(key)->start(&stream, key, iv));
    BST_TRY(bst_air_keystream(&stream, sizeof z, z));
    bst_air_nia1_tag(key, z, in, bits, tag);
    bst_wipe(&stream, sizeof stream);
    bst_wipe(z, sizeof z);
    return BST_OK;
}

/* Doubling in CMAC's field (RFC 4493 2.3). */
void bst_air_twice(uint8_t v[16])
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
    bst_air_twice(k1);
    memcpy(k2, k1, 16);
    bst_air_twice(k2);
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

uint32_t bst_air_nia3_sum(const uint8_t *in, const uint8_t *z, size_t words)
{
    uint32_t sum = 0, before = words ? bst_air_be32(z) : 0;
    for (size_t i = 0; i < words; i++) {
        uint32_t next = bst_air_be32(z + 4 * i + 4);
        sum ^= windows(bst_air_be32(in + 4 * i), before, next);
        before = next;
    }
    return sum;
}

void bst_air_nia3_begin(struct bst_air_nia3 *run, const uint8_t *in, size_t bits)
{
    run->in = in;
    run->bits = bits;
    run->made = run->have = 0;
    run->total = 4 * ((bits + 31) / 32 + 2);
    run->sum = 0;
}

size_t bst_air_nia3_wants(const struct bst_air_nia3 *run)
{
    size_t room = sizeof run->z - run->have, left = run->total - run->made;
    return left < room ? left : room;
}

/* The rest of the message, then what begins at LENGTH, then the last word. */
static void finish(struct bst_air_nia3 *run, const struct bst_air_implementation *with)
{
    size_t n = run->bits / 32, tail = run->bits % 32;
    const uint8_t *z = run->z + 4 * n;
    run->sum ^= with->nia3_sum(run->in, run->z, n);
    uint64_t two = bst_air_be64(z);
    if (tail) {
        uint32_t last = (uint32_t)(bst_air_tail(run->in + 4 * n, tail) >> 32);
        run->sum ^= windows(last, (uint32_t)(two >> 32), (uint32_t)two);
    }
    run->sum ^= (uint32_t)(two >> (32 - tail)) ^ bst_air_be32(z + (tail ? 8 : 4));
}

void bst_air_nia3_go_on(struct bst_air_nia3 *run, const struct bst_air_implementation *with,
                        size_t len)
{
    run->made += len;
    run->have += len;
    if (run->made == run->total) {
        finish(run, with);
        return;
    }
    size_t used = run->have - KEPT;
    run->sum ^= with->nia3_sum(run->in, run->z, used / 4);
    run->in += used;
    run->bits -= used * 8;
    memcpy(run->z, run->z + used, KEPT);
    run->have = KEPT;
}

void bst_air_nia3_tag(const struct bst_air_nia3 *run, uint8_t tag[BST_AIR_TAG_MAX])
{
    bst_air_put_be32(tag, run->sum);
}

bst_result bst_air_nia3(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in, size_t bits,
                        uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    struct bst_air_nia3 run;
    BST_TRY(bst_air_generator_of(key)->start(&stream, key, iv));
    bst_air_nia3_begin(&run, in, bits);
    while (run.made < run.total) {
        size_t n = bst_air_nia3_wants(&run);
        BST_TRY(bst_air_keystream(&stream, n, run.z + run.have));
        bst_air_nia3_go_on(&run, key->implementation, n);
    }
    bst_air_nia3_tag(&run, tag);
    bst_wipe(&stream, sizeof stream);
    bst_wipe(&run, sizeof run);
    return BST_OK;
}
