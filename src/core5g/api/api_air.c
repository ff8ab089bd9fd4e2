/* The air interface of the installed library: one message, and many. */
#include "core5g/air/air.h"
#include "core5g/api/api_priv.h"

/* So many packets are turned into the form inside at a time, and so much stays on the stack. */
#define BATCH 128

enum { MESSAGE_MAX = BST_AIR_MESSAGE_MAX };
_Static_assert(BST_CORE5G_MESSAGE_MAX == MESSAGE_MAX, "as long inside");

static const uint8_t nothing; /* what an empty message has for an address */

static bst_result check_octets(struct bst_view in)
{
    BST_ENSURE(in.ptr || in.len == 0, BST_E_USAGE);
    if (in.len > BST_AIR_MESSAGE_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "a message of %zu octets; %zu at most are possible", in.len,
                 BST_AIR_MESSAGE_MAX);
    }
    return BST_OK;
}

static const uint8_t *octets_of(struct bst_view in)
{
    return in.len ? (const uint8_t *)in.ptr : &nothing;
}

static struct bst_air_place place_of(const struct bst_core5g_place *place)
{
    return (struct bst_air_place){place->count, place->bearer,
                                  place->downlink ? BST_AIR_DOWNLINK : BST_AIR_UPLINK};
}

static bst_result key_init(struct bst_air_key *key, const struct bst_air_algorithm *algorithm,
                           struct bst_view value, size_t tag_bytes)
{
    BST_ENSURE(value.ptr || value.len == 0, BST_E_USAGE);
    if (tag_bytes > BST_AIR_TAG_MAX) {
        BST_FAIL(BST_E_VALUE, "a tag has %d octets at most, not %zu", BST_AIR_TAG_MAX, tag_bytes);
    }
    return bst_air_key_init(key, algorithm, value, (unsigned)tag_bytes);
}

/* ---- one message ---- */

/* The null algorithms protect nothing, so that asking for them here is an oversight. */
static bst_result begin(const char *name, enum bst_air_kind kind, struct bst_view value,
                        const struct bst_core5g_place *place, size_t tag_bytes, struct bst_view in,
                        struct bst_air_key *key, uint8_t iv[BST_AIR_IV_BYTES])
{
    BST_ENSURE(name && place, BST_E_USAGE);
    const struct bst_air_algorithm *algorithm = bst_air_named(bst_view(name));
    const struct bst_air_place at = place_of(place);
    if (!algorithm || algorithm->kind != kind || algorithm->id == 0) {
        BST_FAIL(BST_E_VALUE, "'%s' is no algorithm for this", name);
    }
    BST_TRY(check_octets(in));
    BST_TRY(key_init(key, algorithm, value, tag_bytes));
    return bst_air_iv(key, &at, iv);
}

bst_result bst_core5g_cipher(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view in, uint8_t *out)
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES];
    BST_ENSURE(out || in.len == 0, BST_E_USAGE);
    BST_TRY(begin(algorithm, BST_AIR_NEA, key, place, 0, in, &k, iv));
    return in.len ? bst_air_cipher(&k, iv, octets_of(in), in.len * 8, out) : BST_OK;
}

bst_result bst_core5g_mac(const char *algorithm, struct bst_view key,
                          const struct bst_core5g_place *place, struct bst_view in,
                          uint8_t ret_tag[4])
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES];
    BST_ENSURE(ret_tag, BST_E_USAGE);
    BST_TRY(begin(algorithm, BST_AIR_NIA, key, place, 4, in, &k, iv));
    return bst_air_mac(&k, iv, octets_of(in), in.len * 8, ret_tag);
}

bst_result bst_core5g_mac_check(const char *algorithm, struct bst_view key,
                                const struct bst_core5g_place *place, struct bst_view in,
                                const uint8_t tag[4])
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES];
    BST_ENSURE(tag, BST_E_USAGE);
    BST_TRY(begin(algorithm, BST_AIR_NIA, key, place, 4, in, &k, iv));
    return bst_air_check(&k, iv, octets_of(in), in.len * 8, bst_view_of(tag, 4));
}

/* Output of an empty message goes nowhere. */
static uint8_t *room_of(uint8_t *out, uint8_t *none)
{
    return out ? out : none;
}

bst_result bst_core5g_seal(const char *algorithm, struct bst_view key,
                           const struct bst_core5g_place *place, struct bst_view aad,
                           struct bst_view in, size_t tag_bytes, uint8_t *out, uint8_t *ret_tag)
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES], none;
    BST_ENSURE(ret_tag && (out || in.len == 0), BST_E_USAGE);
    BST_TRY(check_octets(aad));
    BST_TRY(begin(algorithm, BST_AIR_NCA, key, place, tag_bytes, in, &k, iv));
    return bst_air_seal(&k, iv, bst_view_of(octets_of(aad), aad.len),
                        bst_view_of(octets_of(in), in.len), room_of(out, &none), ret_tag);
}

bst_result bst_core5g_unseal(const char *algorithm, struct bst_view key,
                             const struct bst_core5g_place *place, struct bst_view aad,
                             struct bst_view in, struct bst_view tag, uint8_t *out)
{
    bst_auto(air_key) k = {0};
    uint8_t iv[BST_AIR_IV_BYTES], none;
    BST_ENSURE(tag.ptr && tag.len && (out || in.len == 0), BST_E_USAGE);
    BST_TRY(check_octets(aad));
    BST_TRY(begin(algorithm, BST_AIR_NCA, key, place, tag.len, in, &k, iv));
    return bst_air_open(&k, iv, bst_view_of(octets_of(aad), aad.len),
                        bst_view_of(octets_of(in), in.len), tag, room_of(out, &none));
}

/* ---- many ---- */

struct bst_core5g_air_key {
    struct bst_air_key key;
};

bst_result bst_core5g_air_key_new(const char *algorithm, struct bst_view key, size_t tag_bytes,
                                  struct bst_core5g_air_key **ret)
{
    BST_ENSURE(algorithm && ret, BST_E_USAGE);
    const struct bst_air_algorithm *row = bst_air_named(bst_view(algorithm));
    if (!row) {
        BST_FAIL(BST_E_VALUE, "there is no algorithm '%s'", algorithm);
    }
    bst_auto_free struct bst_core5g_air_key *made = bst_alloc(sizeof *made);
    BST_ENSURE(made, BST_E_NOMEM);
    BST_TRY(key_init(&made->key, row, key, tag_bytes));
    *ret = bst_steal(&made);
    return BST_OK;
}

void bst_core5g_air_key_free(struct bst_core5g_air_key **slot)
{
    struct bst_core5g_air_key *key = slot ? bst_steal(slot) : NULL;
    if (key) {
        bst_air_key_clear(&key->key);
        bst_free(key);
    }
}

static bst_result check_packet(const struct bst_core5g_packet *p)
{
    BST_ENSURE(p->key && (p->in || p->bits == 0) && (p->aad.ptr || p->aad.len == 0), BST_E_USAGE);
    const enum bst_air_kind kind = p->key->key.algorithm->kind;
    BST_ENSURE(p->out || p->bits == 0 || kind == BST_AIR_NIA, BST_E_USAGE);
    BST_ENSURE(p->tag || kind == BST_AIR_NEA, BST_E_USAGE);
    BST_ENSURE(p->bits <= BST_AIR_MESSAGE_MAX * 8, BST_E_TOO_LONG);
    return BST_OK;
}

static size_t run_batch(struct bst_core5g_packet *packets, size_t n,
                        size_t (*run)(struct bst_air_packet *packets, size_t n))
{
    struct bst_air_packet inside[BATCH];
    struct bst_core5g_packet *of[BATCH];
    uint8_t none;
    size_t ready = 0;
    for (size_t i = 0; i < n; i++) {
        struct bst_core5g_packet *p = &packets[i];
        p->result = check_packet(p);
        if (bst_failed(p->result)) {
            continue;
        }
        of[ready] = p;
        inside[ready++] = (struct bst_air_packet){
            .key = &p->key->key,
            .place = place_of(&p->place),
            .iv = p->iv,
            .aad = p->aad,
            .in = p->bits ? p->in : &nothing,
            .bits = p->bits,
            .out = room_of(p->out, &none),
            .tag = p->tag,
        };
    }
    size_t failed = n - ready + run(inside, ready);
    for (size_t i = 0; i < ready; i++) {
        of[i]->result = inside[i].result;
    }
    return failed;
}

static size_t in_batches(struct bst_core5g_packet *packets, size_t n,
                         size_t (*run)(struct bst_air_packet *packets, size_t n))
{
    size_t failed = 0;
    for (size_t some; packets && n > 0; n -= some, packets += some) {
        some = n < BATCH ? n : BATCH;
        failed += run_batch(packets, some, run);
    }
    return failed;
}

size_t bst_core5g_protect(struct bst_core5g_packet *packets, size_t n)
{
    return in_batches(packets, n, bst_air_protect_batch);
}

size_t bst_core5g_unprotect(struct bst_core5g_packet *packets, size_t n)
{
    return in_batches(packets, n, bst_air_open_batch);
}
