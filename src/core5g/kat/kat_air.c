/* Vectors of the air interface, and of the generators of SNOW 3G and ZUC alone. */
#include "core5g/air/air_priv.h"
#include "core5g/kat/kat_priv.h"

#define KEYSTREAM_WORDS 2500

/* ---- what a vector says ---- */

struct message {
    struct bst_air_key key;
    uint8_t iv[BST_AIR_IV_BYTES];
    struct bst_view text;
    size_t bits;
    uint8_t *out; /* as long as text */
};

static bst_result read_key(const struct kat *kat, struct message *m)
{
    const struct bst_air_algorithm *algorithm = bst_air_named(bst_view(kat->family));
    struct bst_view key;
    int64_t tag_bits = 0;
    BST_ENSURE(algorithm, BST_E_INTERNAL);
    BST_TRY(kat_octets(kat, "key", &key));
    if (kat_has(kat, "tag_bits")) {
        BST_TRY(kat_number(kat, "tag_bits", BST_AIR_TAG_MAX * 8, &tag_bits));
    }
    if (tag_bits % 8) {
        BST_FAIL(BST_E_VALUE, "field 'tag_bits' is not a multiple of 8");
    }
    return bst_air_key_init(&m->key, algorithm, key, (unsigned)tag_bits / 8);
}

static bst_result read_place(const struct kat *kat, struct message *m)
{
    uint8_t count[4];
    int64_t bearer, direction;
    BST_TRY(kat_fixed(kat, "count", count, sizeof count));
    BST_TRY(kat_number(kat, "bearer", BST_AIR_BEARER_MAX, &bearer));
    BST_TRY(kat_number(kat, "direction", 1, &direction));
    const struct bst_air_place place = {bst_air_be32(count), (uint8_t)bearer,
                                        direction ? BST_AIR_DOWNLINK : BST_AIR_UPLINK};
    return bst_air_iv(&m->key, &place, m->iv);
}

/* With 128 bits the IV is made of COUNT, BEARER and DIRECTION; with 256 bits it is given. */
static bst_result read_message(const struct kat *kat, struct message *m)
{
    int64_t bits;
    BST_TRY(read_key(kat, m));
    BST_TRY(kat_octets(kat, "message", &m->text));
    if (kat_has(kat, "iv")) {
        BST_TRY(kat_fixed(kat, "iv", m->iv, sizeof m->iv));
        bits = (int64_t)m->text.len * 8;
    } else {
        BST_TRY(read_place(kat, m));
        BST_TRY(kat_number(kat, "bit_length", KAT_OCTETS_MAX * 8, &bits));
    }
    m->bits = (size_t)bits;
    if ((m->bits + 7) / 8 != m->text.len) {
        BST_FAIL(BST_E_VALUE, "field 'message' has %zu octets, not %zu bits", m->text.len, m->bits);
    }
    m->out = bst_arena_alloc(kat->arena, m->text.len + 1);
    BST_ENSURE(m->out, BST_E_NOMEM);
    return BST_OK;
}

/* A missing answer is a vector that tests nothing. */
static bst_result need(const struct kat *kat, const char *name)
{
    if (!kat_has(kat, name)) {
        BST_FAIL(BST_E_SYNTAX, "field '%s' is missing", name);
    }
    return BST_OK;
}

/* ---- the three kinds ---- */

#define COPIES 5 /* enough for what is computed side by side */

/* The same once more as packets of a batch; `out` and `tag` get what the last one gave. */
static bst_result run_batch(struct kat *kat, struct message *m, struct bst_view aad,
                            uint8_t tag[BST_AIR_TAG_MAX])
{
    struct bst_air_packet packets[COPIES];
    uint8_t tags[COPIES][BST_AIR_TAG_MAX] = {{0}};
    for (size_t i = 0; i < COPIES; i++) {
        uint8_t *out = bst_arena_alloc(kat->arena, m->text.len + 1);
        BST_ENSURE(out, BST_E_NOMEM);
        packets[i] = (struct bst_air_packet){.key = &m->key,
                                             .iv = m->iv,
                                             .aad = aad,
                                             .in = (const uint8_t *)m->text.ptr,
                                             .bits = m->bits,
                                             .out = i < COPIES - 1 ? out : m->out,
                                             .tag = i < COPIES - 1 ? tags[i] : tag};
    }
    size_t failed = bst_air_protect_batch(packets, COPIES);
    return failed ? packets[0].result : BST_OK;
}

static bst_result run_cipher(struct kat *kat, struct message *m)
{
    const uint8_t *in = (const uint8_t *)m->text.ptr;
    BST_TRY(need(kat, "ciphertext"));
    BST_TRY(bst_air_cipher(&m->key, m->iv, in, m->bits, m->out));
    BST_TRY(kat_answer(kat, "ciphertext", m->out, m->text.len));
    BST_TRY(run_batch(kat, m, (struct bst_view){0}, NULL));
    BST_TRY(kat_answer(kat, "ciphertext", m->out, m->text.len));
    BST_TRY(bst_air_cipher(&m->key, m->iv, m->out, m->bits, m->out));
    return kat_answer(kat, "message", m->out, m->text.len);
}

static bst_result refused(bst_result r, const char *what)
{
    if (r.code != BST_E_BAD_MAC) {
        BST_FAIL(BST_E_VALUE, "%s is not refused", what);
    }
    return BST_OK;
}

static bst_result run_mac(struct kat *kat, struct message *m, const char *name)
{
    const uint8_t *in = (const uint8_t *)m->text.ptr;
    uint8_t tag[BST_AIR_TAG_MAX];
    BST_TRY(need(kat, name));
    BST_TRY(bst_air_mac(&m->key, m->iv, in, m->bits, tag));
    BST_TRY(kat_answer(kat, name, tag, m->key.tag_bytes));
    BST_TRY(run_batch(kat, m, (struct bst_view){0}, tag));
    BST_TRY(kat_answer(kat, name, tag, m->key.tag_bytes));
    BST_TRY(bst_air_check(&m->key, m->iv, in, m->bits, bst_view_of(tag, m->key.tag_bytes)));
    for (unsigned bit = 0; bit < m->key.tag_bytes * 8U; bit++) {
        tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
        BST_TRY(
            refused(bst_air_check(&m->key, m->iv, in, m->bits, bst_view_of(tag, m->key.tag_bytes)),
                    "a changed tag"));
        tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return BST_OK;
}

/* Every single changed bit of the tag is refused, and nothing comes out. */
static bst_result open_changed(struct message *m, struct bst_view aad, struct bst_view sealed,
                               uint8_t tag[BST_AIR_TAG_MAX], uint8_t *out)
{
    memset(out, 0, sealed.len);
    for (unsigned bit = 0; bit < m->key.tag_bytes * 8U; bit++) {
        tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
        BST_TRY(refused(
            bst_air_open(&m->key, m->iv, aad, sealed, bst_view_of(tag, m->key.tag_bytes), out),
            "a changed tag"));
        tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t i = 0; i < sealed.len; i++) {
        if (out[i]) {
            BST_FAIL(BST_E_VALUE, "plaintext comes out with a wrong tag");
        }
    }
    return BST_OK;
}

static bst_result run_aead(struct kat *kat, struct message *m)
{
    uint8_t tag[BST_AIR_TAG_MAX];
    struct bst_view aad, sealed = bst_view_of(m->out, m->text.len);
    uint8_t *opened = bst_arena_alloc(kat->arena, m->text.len + 1);
    BST_ENSURE(opened, BST_E_NOMEM);
    BST_TRY(need(kat, "ciphertext"));
    BST_TRY(need(kat, "tag"));
    BST_TRY(kat_octets(kat, "aad", &aad));
    BST_TRY(bst_air_seal(&m->key, m->iv, aad, m->text, m->out, tag));
    BST_TRY(kat_answer(kat, "ciphertext", m->out, m->text.len));
    BST_TRY(kat_answer(kat, "tag", tag, m->key.tag_bytes));
    BST_TRY(run_batch(kat, m, aad, tag));
    BST_TRY(kat_answer(kat, "ciphertext", m->out, m->text.len));
    BST_TRY(kat_answer(kat, "tag", tag, m->key.tag_bytes));
    BST_TRY(open_changed(m, aad, sealed, tag, opened));
    BST_TRY(bst_air_open(&m->key, m->iv, aad, sealed, bst_view_of(tag, m->key.tag_bytes), opened));
    return kat_answer(kat, "message", opened, m->text.len);
}

static bst_result run(struct kat *kat, struct message *m)
{
    BST_TRY(read_message(kat, m));
    switch (m->key.algorithm->kind) {
    case BST_AIR_NEA:
        return run_cipher(kat, m);
    case BST_AIR_NIA:
        return run_mac(kat, m, kat_has(kat, "tag_bits") ? "tag" : "mac");
    default:
        BST_TRY(need(kat, "tag_bits"));
        return run_aead(kat, m);
    }
}

bst_result kat_air(struct kat *kat)
{
    struct message m = {0};
    bst_result r = run(kat, &m);
    bst_air_key_clear(&m.key);
    return r;
}

/* ---- keystream ---- */

static bst_result answer_at(struct kat *kat, const char *name, const uint8_t *octets, size_t len)
{
    return kat_has(kat, name) ? kat_answer(kat, name, octets, len) : BST_OK;
}

/* Words as octets; the answer tells how many of them it wants. */
static bst_result answer_keystream(struct kat *kat, const uint32_t words[KEYSTREAM_WORDS])
{
    uint8_t octets[KEYSTREAM_WORDS * 4];
    for (size_t i = 0; i < KEYSTREAM_WORDS; i++) {
        bst_air_put_be32(octets + 4 * i, words[i]);
    }
    if (kat_has(kat, "keystream")) {
        struct bst_view wanted;
        BST_TRY(kat_sized(kat, "keystream", 4, sizeof octets, &wanted));
        return kat_answer(kat, "keystream", octets, wanted.len);
    }
    BST_TRY(answer_at(kat, "keystream_first8", octets, 8));
    BST_TRY(answer_at(kat, "keystream_first12", octets, 12));
    BST_TRY(answer_at(kat, "keystream_octets_7996_7999", octets + 7996, 4));
    return answer_at(kat, "keystream_octets_9996_9999", octets + 9996, 4);
}

/* From the generator's order of words to that of UEA2. */
static bst_result read_words(const struct kat *kat, const char *name, uint8_t out[16])
{
    uint8_t words[16];
    BST_TRY(kat_fixed(kat, name, words, sizeof words));
    for (size_t i = 0; i < 4; i++) {
        memcpy(out + 4 * i, words + 12 - 4 * i, 4);
    }
    return BST_OK;
}

bst_result kat_snow3g(struct kat *kat)
{
    uint8_t key[16], iv[16];
    uint32_t words[KEYSTREAM_WORDS];
    struct bst_snow3g g;
    BST_TRY(read_words(kat, "key_words_k0_k1_k2_k3", key));
    BST_TRY(read_words(kat, "iv_words_iv0_iv1_iv2_iv3", iv));
    bst_snow3g_init(&g, key, iv);
    bst_snow3g_words(&g, words, KEYSTREAM_WORDS);
    return answer_keystream(kat, words);
}

bst_result kat_zuc128(struct kat *kat)
{
    uint8_t key[16], iv[16];
    uint32_t words[KEYSTREAM_WORDS];
    struct bst_zuc g;
    BST_TRY(kat_fixed(kat, "key", key, sizeof key));
    BST_TRY(kat_fixed(kat, "iv", iv, sizeof iv));
    bst_zuc128_init(&g, key, iv);
    bst_zuc_words(&g, words, KEYSTREAM_WORDS);
    return answer_keystream(kat, words);
}
