/* The table of air-interface algorithms, how IVs are made, and the checks before each is run. */
#include "core5g/air/air_priv.h"

/* ---- IVs: every mapping from COUNT, BEARER and DIRECTION is here ---- */

/* BEARER, DIRECTION and zeros, as the second word of most 128-bit IVs. */
static uint32_t bearer_word(const struct bst_air_place *place)
{
    return (uint32_t)place->bearer << 27 | (uint32_t)place->direction << 26;
}

/* TS 33.501 D.2.1.1 and D.3.1.1: also the octets that NIA2 puts before the message. */
static void iv_aes128(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    memset(out, 0, 16);
    bst_air_put_be32(out, place->count);
    bst_air_put_be32(out + 4, bearer_word(place));
}

/* NEA1 and NEA3: the same two words twice. */
static void iv_doubled(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    iv_aes128(place, tag_bytes, out);
    memcpy(out + 8, out, 8);
}

/* NIA1 and NIA3: DIRECTION changes the second pair only, in two places. For SNOW 3G this is COUNT
 * and, as FRESH, the bearer. */
static void iv_integrity(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    uint32_t fresh = (uint32_t)place->bearer << 27, direction = place->direction;
    bst_air_put_be32(out, place->count);
    bst_air_put_be32(out + 4, fresh);
    bst_air_put_be32(out + 8, place->count ^ direction << 31);
    bst_air_put_be32(out + 12, fresh ^ direction << 15);
}

/* 256 bits. Octet 0 tells the use; that octet 1 is BEARER and DIRECTION in this order, octets 8 to
 * 11 COUNT and the others 0 is our reading and may be renumbered here. */
static void iv_256(const struct bst_air_place *place, uint8_t octet0, uint8_t out[16])
{
    memset(out, 0, 16);
    out[0] = octet0;
    out[1] = (uint8_t)(place->bearer << 1 | (unsigned)place->direction);
    bst_air_put_be32(out + 8, place->count);
}
static void iv_nea256(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    iv_256(place, 0, out);
}
static void iv_nia256(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    iv_256(place, (uint8_t)(tag_bytes * 8), out);
}
static void iv_nca256(const struct bst_air_place *place, uint8_t tag_bytes, uint8_t out[16])
{
    iv_256(place, (uint8_t)(tag_bytes * 8 + 4), out);
}

/* ---- AES and the null algorithms ---- */

static bst_result aes_start(struct bst_air_stream *stream, struct bst_air_key *key,
                            const uint8_t *iv)
{
    stream->key = key;
    return bst_ctr_start(&key->ctr, iv);
}

static bst_result aes_apply(struct bst_air_stream *stream, const uint8_t *in, size_t len,
                            uint8_t *out)
{
    return bst_ctr_apply(&stream->key->ctr, in, len, out);
}

const struct bst_air_generator bst_air_aes = {.start = aes_start, .apply = aes_apply};

static bst_result null_cipher(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                              size_t len, uint8_t *out)
{
    if (len > 0) {
        memmove(out, in, len);
    }
    return BST_OK;
}

static bst_result null_mac(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                           size_t bits, uint8_t tag[BST_AIR_TAG_MAX])
{
    memset(tag, 0, BST_AIR_TAG_MAX);
    return BST_OK;
}

const struct bst_air_generator *bst_air_generator_of(const struct bst_air_key *key)
{
    return key->implementation->generators[key->algorithm->core];
}

bst_result bst_air_apply_words(bst_air_words *words, struct bst_air_stream *stream,
                               const uint8_t *in, size_t len, uint8_t *out)
{
    uint32_t z[64] = {0}; /* some turns of a register at once */
    while (len > 0) {
        size_t n = len < sizeof z ? len : sizeof z;
        words(stream, z, (n + 3) / 4);
        bst_air_xor_be32(in, z, n, out);
        in += n;
        out += n;
        len -= n;
    }
    bst_wipe(z, sizeof z);
    return BST_OK;
}

bst_result bst_air_keystream(struct bst_air_stream *stream, size_t len, uint8_t *out)
{
    memset(out, 0, len);
    return bst_air_generator_of(stream->key)->apply(stream, out, len, out);
}

static bst_result stream_cipher(struct bst_air_key *key, const uint8_t *iv, const uint8_t *in,
                                size_t len, uint8_t *out)
{
    const struct bst_air_generator *generator = bst_air_generator_of(key);
    struct bst_air_stream stream;
    BST_TRY(generator->start(&stream, key, iv));
    bst_result r = generator->apply(&stream, in, len, out);
    bst_wipe(&stream, sizeof stream);
    return r;
}

/* ---- the table ---- */

/* .cipher, .mac or .aead by kind; key and tag lengths in octets. */
#define NEA .kind = BST_AIR_NEA
#define NIA .kind = BST_AIR_NIA
#define NCA .kind = BST_AIR_NCA
#define TAG(from, to) .tag_min = (from), .tag_max = (to)
#define CORE(which) .core = BST_AIR_##which

static const struct bst_air_algorithm algorithms[] = {
    {"NEA0", NEA, .id = 0, .made_of = "null", .iv = iv_aes128, .cipher = null_cipher},
    {"NEA1", NEA, .id = 1, .made_of = "SNOW 3G", .key_bytes = 16, CORE(SNOW3G), .iv = iv_doubled,
     .cipher = stream_cipher},
    {"NEA2", NEA, .id = 2, .made_of = "AES-128-CTR", .key_bytes = 16, CORE(AES), .iv = iv_aes128,
     .cipher = stream_cipher},
    {"NEA3", NEA, .id = 3, .made_of = "ZUC-128", .key_bytes = 16, CORE(ZUC128), .iv = iv_doubled,
     .cipher = stream_cipher},
    {"NEA4", NEA, .id = 4, .made_of = "SNOW 5G", .key_bytes = 32, .experimental = true,
     CORE(SNOW5G), .iv = iv_nea256, .cipher = stream_cipher},
    {"NEA5", NEA, .id = 5, .made_of = "AES-256-CTR", .key_bytes = 32, .experimental = true,
     CORE(AES), .iv = iv_nea256, .cipher = stream_cipher},
    {"NEA6", NEA, .id = 6, .made_of = "ZUC-256", .key_bytes = 32, .experimental = true,
     CORE(ZUC256), .iv = iv_nea256, .cipher = stream_cipher},
    {"NIA0", NIA, .id = 0, .made_of = "null", TAG(4, 4), .iv = iv_aes128, .mac = null_mac},
    {"NIA1", NIA, .id = 1, .made_of = "SNOW 3G", .key_bytes = 16, TAG(4, 4), CORE(SNOW3G),
     .iv = iv_integrity, .mac = bst_air_nia1},
    {"NIA2", NIA, .id = 2, .made_of = "AES-128-CMAC", .key_bytes = 16, TAG(4, 4), CORE(AES),
     .iv = iv_aes128, .mac = bst_air_nia2},
    {"NIA3", NIA, .id = 3, .made_of = "ZUC-128", .key_bytes = 16, TAG(4, 4), CORE(ZUC128),
     .iv = iv_integrity, .mac = bst_air_nia3},
    {"NIA4", NIA, .id = 4, .made_of = "SNOW 5G", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(SNOW5G), .iv = iv_nia256, .mac = bst_air_sst_mac},
    {"NIA5", NIA, .id = 5, .made_of = "AES-256", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(AES), .iv = iv_nia256, .mac = bst_air_sst_mac},
    {"NIA6", NIA, .id = 6, .made_of = "ZUC-256", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(ZUC256), .iv = iv_nia256, .mac = bst_air_sst_mac},
    {"NCA4", NCA, .id = 4, .made_of = "SNOW 5G", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(SNOW5G), .iv = iv_nca256, .aead = bst_air_sst_aead},
    {"NCA5", NCA, .id = 5, .made_of = "AES-256", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(AES), .iv = iv_nca256, .aead = bst_air_sst_aead},
    {"NCA6", NCA, .id = 6, .made_of = "ZUC-256", .key_bytes = 32, TAG(4, 16), .experimental = true,
     CORE(ZUC256), .iv = iv_nca256, .aead = bst_air_sst_aead},
};

const struct bst_air_algorithm *bst_air_at(size_t n)
{
    return n < sizeof algorithms / sizeof algorithms[0] ? &algorithms[n] : NULL;
}

const struct bst_air_algorithm *bst_air_find(enum bst_air_kind kind, uint8_t id)
{
    const struct bst_air_algorithm *row;
    for (size_t i = 0; (row = bst_air_at(i)) && (row->kind != kind || row->id != id); i++) {
    }
    return row;
}

const struct bst_air_algorithm *bst_air_named(struct bst_view name)
{
    const struct bst_air_algorithm *row;
    for (size_t i = 0; (row = bst_air_at(i)) && !bst_view_eq_nocase(name, bst_view(row->name));
         i++) {
    }
    return row;
}

/* ---- keys ---- */

static bst_result init_aes(struct bst_air_key *key, struct bst_view value)
{
    BST_TRY(bst_ctr_init(&key->ctr, value));
    if (key->algorithm->mac == bst_air_nia2) {
        BST_TRY(bst_cmac_init(&key->cmac, value));
    }
    if (key->implementation->aes_schedule) {
        BST_TRY(bst_secret_init(&key->schedule, BST_AIR_SCHEDULE_BYTES));
        key->implementation->aes_schedule((const uint8_t *)value.ptr, value.len, key->schedule.ptr);
    }
    return BST_OK;
}

bst_result bst_air_key_init(struct bst_air_key *key, const struct bst_air_algorithm *algorithm,
                            struct bst_view value, unsigned tag_bytes)
{
    bst_auto(air_key) made = {.algorithm = algorithm};
    if (algorithm->key_bytes && value.len != algorithm->key_bytes) {
        BST_FAIL(BST_E_BAD_KEY, "%s takes a key of %u octets, this one has %zu", algorithm->name,
                 algorithm->key_bytes, value.len);
    }
    if (tag_bytes && (tag_bytes < algorithm->tag_min || tag_bytes > algorithm->tag_max)) {
        BST_FAIL(BST_E_VALUE, "%s has no tag of %u octets", algorithm->name, tag_bytes);
    }
    made.tag_bytes = (uint8_t)(tag_bytes ? tag_bytes : algorithm->tag_min);
    made.implementation = bst_air_implementation();
    if (algorithm->core == BST_AIR_AES) {
        BST_TRY(init_aes(&made, value));
    } else if (algorithm->key_bytes) {
        BST_TRY(bst_secret_copy(&made.key, value.ptr, value.len));
    }
    *key = made;
    made = (struct bst_air_key){0};
    return BST_OK;
}

void bst_air_key_clear(struct bst_air_key *key)
{
    bst_secret_clear(&key->key);
    bst_secret_clear(&key->schedule);
    bst_ctr_clear(&key->ctr);
    bst_cmac_clear(&key->cmac);
    key->algorithm = NULL;
}

/* ---- operations ---- */

bst_result bst_air_usable(const struct bst_air_key *key, enum bst_air_kind kind, size_t bytes)
{
    if (!key->algorithm || key->algorithm->kind != kind) {
        BST_FAIL(BST_E_USAGE, "%s cannot do this",
                 key->algorithm ? key->algorithm->name : "no key");
    }
    if (bytes > BST_AIR_MESSAGE_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "a message of %zu octets", bytes);
    }
    return BST_OK;
}

bst_result bst_air_iv(const struct bst_air_key *key, const struct bst_air_place *place,
                      uint8_t out[BST_AIR_IV_BYTES])
{
    BST_ENSURE(key->algorithm, BST_E_USAGE);
    if (place->bearer > BST_AIR_BEARER_MAX || (unsigned)place->direction > BST_AIR_DOWNLINK) {
        BST_FAIL(BST_E_VALUE, "bearer %u, direction %u: a bearer has 5 bits, a direction 1",
                 place->bearer, (unsigned)place->direction);
    }
    key->algorithm->iv(place, key->tag_bytes, out);
    return BST_OK;
}

bst_result bst_air_cipher(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                          const uint8_t *in, size_t bits, uint8_t *out)
{
    size_t len = bst_air_octets(bits);
    BST_TRY(bst_air_usable(key, BST_AIR_NEA, len));
    BST_TRY(key->algorithm->cipher(key, iv, in, len, out));
    if (bits % 8) {
        out[len - 1] &= (uint8_t) ~(0xff >> bits % 8);
    }
    return BST_OK;
}

bst_result bst_air_mac(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                       const uint8_t *in, size_t bits, uint8_t *tag)
{
    uint8_t full[BST_AIR_TAG_MAX];
    BST_TRY(bst_air_usable(key, BST_AIR_NIA, bst_air_octets(bits)));
    BST_TRY(key->algorithm->mac(key, iv, in, bits, full));
    memcpy(tag, full, key->tag_bytes);
    bst_wipe(full, sizeof full);
    return BST_OK;
}

bst_result bst_air_check(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                         const uint8_t *in, size_t bits, struct bst_view tag)
{
    uint8_t right[BST_AIR_TAG_MAX];
    BST_TRY(bst_air_mac(key, iv, in, bits, right));
    bool good = tag.len == key->tag_bytes && bst_equal_ct(right, tag.ptr, tag.len);
    bst_wipe(right, sizeof right);
    BST_ENSURE(good, BST_E_BAD_MAC);
    return BST_OK;
}

bst_result bst_air_seal(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                        struct bst_view aad, struct bst_view in, uint8_t *out, uint8_t *tag)
{
    uint8_t full[BST_AIR_TAG_MAX];
    BST_TRY(bst_air_usable(key, BST_AIR_NCA, in.len > aad.len ? in.len : aad.len));
    BST_TRY(key->algorithm->aead(key, iv, true, aad, in, out, full));
    memcpy(tag, full, key->tag_bytes);
    bst_wipe(full, sizeof full);
    return BST_OK;
}

bst_result bst_air_open(struct bst_air_key *key, const uint8_t iv[BST_AIR_IV_BYTES],
                        struct bst_view aad, struct bst_view in, struct bst_view tag, uint8_t *out)
{
    uint8_t given[BST_AIR_TAG_MAX] = {0};
    BST_TRY(bst_air_usable(key, BST_AIR_NCA, in.len > aad.len ? in.len : aad.len));
    BST_ENSURE(tag.len == key->tag_bytes, BST_E_BAD_MAC);
    memcpy(given, tag.ptr, tag.len);
    return key->algorithm->aead(key, iv, false, aad, in, out, given);
}
