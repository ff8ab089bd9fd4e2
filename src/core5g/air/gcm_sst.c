/* GCM-SST, the mode of NIA and NCA 4-6: two polynomial evaluations under subkeys that are taken
 * from the keystream of each message (TS 35.240 to TS 35.248; POLYVAL as in RFC 8452). */
#include "core5g/air/air_priv.h"

#define BLOCK 16

/* An element of POLYVAL's field, x^0 in the lowest bit. */
struct element {
    uint64_t low, high;
};

static struct element from_octets(const uint8_t p[BLOCK])
{
    return (struct element){bst_air_le64(p), bst_air_le64(p + 8)};
}

/* a * b * x^-128 (RFC 8452 3), by Karatsuba on halves. */
static struct element dot(struct element a, struct element b)
{
    uint64_t am = a.low ^ a.high, bm = b.low ^ b.high;
    uint64_t v0 = bst_air_clmul_low(a.low, b.low), l1 = bst_air_clmul_high(a.low, b.low);
    uint64_t h0 = bst_air_clmul_low(a.high, b.high), v3 = bst_air_clmul_high(a.high, b.high);
    uint64_t v1 = bst_air_clmul_low(am, bm) ^ v0 ^ h0 ^ l1;
    uint64_t v2 = bst_air_clmul_high(am, bm) ^ l1 ^ v3 ^ h0;
    /* Multiples of x^128 + x^127 + x^126 + x^121 + 1 clear the lower half from below. */
    v1 ^= v0 << 63 ^ v0 << 62 ^ v0 << 57;
    v2 ^= v0 ^ v0 >> 1 ^ v0 >> 2 ^ v0 >> 7;
    v2 ^= v1 << 63 ^ v1 << 62 ^ v1 << 57;
    v3 ^= v1 ^ v1 >> 1 ^ v1 >> 2 ^ v1 >> 7;
    return (struct element){v2, v3};
}

static struct element add(struct element a, struct element b)
{
    return (struct element){a.low ^ b.low, a.high ^ b.high};
}

/* One more byte string, filled up with zeros to whole blocks. */
static struct element absorb(struct element sum, struct element h, struct bst_view in)
{
    const uint8_t *p = (const uint8_t *)in.ptr;
    size_t left = in.len;
    for (; left >= BLOCK; left -= BLOCK, p += BLOCK) {
        sum = dot(add(sum, from_octets(p)), h);
    }
    if (left > 0) {
        uint8_t last[BLOCK] = {0};
        memcpy(last, p, left);
        sum = dot(add(sum, from_octets(last)), h);
    }
    return sum;
}

struct subkeys {
    struct element h, q, mask;
};

/* The first three blocks of keystream; afterwards the stream stands at the payload's first octet.
 */
static bst_result begin(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv,
                        struct subkeys *ret)
{
    const struct bst_air_generator *generator = key->algorithm->generator;
    uint8_t first[BST_AIR_IV_BYTES], z[3 * BLOCK] = {0};
    memcpy(first, iv, sizeof first);
    if (generator->subkeys_apart) {
        if (first[0] & 0x01) {
            BST_FAIL(BST_E_VALUE, "this IV would cipher the payload with the subkeys");
        }
        first[0] |= 0x01;
    }
    BST_TRY(generator->start(stream, key, first));
    BST_TRY(generator->apply(stream, z, sizeof z, z));
    *ret = (struct subkeys){from_octets(z), from_octets(z + BLOCK), from_octets(z + 2 * BLOCK)};
    bst_wipe(z, sizeof z);
    /* Then the payload's counter begins at 0 too: the flag keeps the two apart. */
    return generator->subkeys_apart ? generator->start(stream, key, iv) : BST_OK;
}

static void make_tag(const struct subkeys *keys, struct bst_view aad, struct bst_view ciphertext,
                     uint8_t tag[BST_AIR_TAG_MAX])
{
    struct element sum = absorb((struct element){0}, keys->h, aad);
    sum = absorb(sum, keys->h, ciphertext);
    sum = add(sum, (struct element){(uint64_t)ciphertext.len * 8, (uint64_t)aad.len * 8});
    sum = add(dot(sum, keys->q), keys->mask);
    bst_air_put_le64(tag, sum.low);
    bst_air_put_le64(tag + 8, sum.high);
}

bst_result bst_air_sst_mac(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                           size_t bits, uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    struct subkeys keys;
    if (bits % 8) {
        BST_FAIL(BST_E_VALUE, "%s takes whole octets, not %zu bits", key->algorithm->name, bits);
    }
    bst_result r = begin(&stream, key, iv, &keys);
    if (!bst_failed(r)) {
        make_tag(&keys, bst_view_of(in, bits / 8), (struct bst_view){0}, tag); /* no ciphertext */
    }
    bst_wipe(&keys, sizeof keys);
    bst_wipe(&stream, sizeof stream);
    return r;
}

static bst_result run(struct bst_air_key *key, struct bst_air_stream *stream,
                      const struct subkeys *keys, bool seal, struct bst_view aad,
                      struct bst_view in, uint8_t *out, uint8_t tag[BST_AIR_TAG_MAX])
{
    const struct bst_air_generator *generator = key->algorithm->generator;
    if (!seal) {
        uint8_t right[BST_AIR_TAG_MAX];
        make_tag(keys, aad, in, right);
        bool good = bst_equal_ct(right, tag, key->tag_bytes);
        bst_wipe(right, sizeof right);
        BST_ENSURE(good, BST_E_BAD_MAC);
    }
    BST_TRY(generator->apply(stream, (const uint8_t *)in.ptr, in.len, out));
    if (seal) {
        make_tag(keys, aad, bst_view_of(out, in.len), tag);
    }
    return BST_OK;
}

bst_result bst_air_sst_aead(struct bst_air_key *key, const uint8_t *iv, bool seal,
                            struct bst_view aad, struct bst_view in, uint8_t *out,
                            uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    struct subkeys keys;
    bst_result r = begin(&stream, key, iv, &keys);
    if (!bst_failed(r)) {
        r = run(key, &stream, &keys, seal, aad, in, out, tag);
    }
    bst_wipe(&keys, sizeof keys);
    bst_wipe(&stream, sizeof stream);
    return r;
}
