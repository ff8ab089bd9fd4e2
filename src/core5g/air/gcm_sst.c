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

void bst_air_sst_tag(const uint8_t subkeys[BST_AIR_SUBKEYS], struct bst_view aad,
                     struct bst_view ciphertext, uint8_t tag[BST_AIR_TAG_MAX])
{
    struct element h = from_octets(subkeys), q = from_octets(subkeys + BLOCK);
    struct element sum = absorb((struct element){0}, h, aad);
    sum = absorb(sum, h, ciphertext);
    sum = add(sum, (struct element){(uint64_t)ciphertext.len * 8, (uint64_t)aad.len * 8});
    sum = add(dot(sum, q), from_octets(subkeys + 2 * BLOCK));
    bst_air_put_le64(tag, sum.low);
    bst_air_put_le64(tag + 8, sum.high);
}

/* The first three blocks of keystream; afterwards the stream stands at the payload's first octet.
 * With AES the payload's counter begins at 0 too, and a flag in the IV keeps the two apart. */
static bst_result begin(struct bst_air_stream *stream, struct bst_air_key *key, const uint8_t *iv,
                        uint8_t subkeys[BST_AIR_SUBKEYS])
{
    const struct bst_air_generator *generator = bst_air_generator_of(key);
    const bool apart = key->algorithm->core == BST_AIR_AES;
    uint8_t first[BST_AIR_IV_BYTES];
    memcpy(first, iv, sizeof first);
    if (apart && first[0] & 0x01) {
        BST_FAIL(BST_E_VALUE, "this IV would cipher the payload with the subkeys");
    }
    first[0] |= apart ? 0x01 : 0;
    BST_TRY(generator->start(stream, key, first));
    BST_TRY(bst_air_keystream(stream, BST_AIR_SUBKEYS, subkeys));
    return apart ? generator->start(stream, key, iv) : BST_OK;
}

bst_result bst_air_sst_mac(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                           size_t bits, uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    uint8_t subkeys[BST_AIR_SUBKEYS];
    BST_TRY(bst_air_sst_whole(key, bits));
    bst_result r = begin(&stream, key, iv, subkeys);
    if (!bst_failed(r)) {
        /* The message is what is authenticated; there is no ciphertext. */
        key->implementation->sst_tag(subkeys, bst_view_of(in, bits / 8), (struct bst_view){0}, tag);
    }
    bst_wipe(subkeys, sizeof subkeys);
    bst_wipe(&stream, sizeof stream);
    return r;
}

bst_result bst_air_sst_whole(const struct bst_air_key *key, size_t bits)
{
    if (bits % 8) {
        BST_FAIL(BST_E_VALUE, "%s takes whole octets, not %zu bits", key->algorithm->name, bits);
    }
    return BST_OK;
}

static bst_result run(struct bst_air_key *key, struct bst_air_stream *stream,
                      const uint8_t subkeys[BST_AIR_SUBKEYS], bool seal, struct bst_view aad,
                      struct bst_view in, uint8_t *out, uint8_t tag[BST_AIR_TAG_MAX])
{
    const struct bst_air_implementation *with = key->implementation;
    if (!seal) {
        uint8_t right[BST_AIR_TAG_MAX];
        with->sst_tag(subkeys, aad, in, right);
        bool good = bst_equal_ct(right, tag, key->tag_bytes);
        bst_wipe(right, sizeof right);
        BST_ENSURE(good, BST_E_BAD_MAC);
    }
    BST_TRY(bst_air_generator_of(key)->apply(stream, (const uint8_t *)in.ptr, in.len, out));
    if (seal) {
        with->sst_tag(subkeys, aad, bst_view_of(out, in.len), tag);
    }
    return BST_OK;
}

bst_result bst_air_sst_aead(struct bst_air_key *key, const uint8_t *iv, bool seal,
                            struct bst_view aad, struct bst_view in, uint8_t *out,
                            uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_stream stream;
    uint8_t subkeys[BST_AIR_SUBKEYS];
    bst_result r = begin(&stream, key, iv, subkeys);
    if (!bst_failed(r)) {
        r = run(key, &stream, subkeys, seal, aad, in, out, tag);
    }
    bst_wipe(subkeys, sizeof subkeys);
    bst_wipe(&stream, sizeof stream);
    return r;
}
