/* Post-quantum protection schemes: ML-KEM-768 alone, and together with X25519.
 *
 * No standard fixes them yet (TR 33.703 studies them). Output: c || ciphertext || tag, and for the
 * hybrid c || ephemeral X25519 key || ciphertext || tag; what comes before the ciphertext is
 * SharedInfo1. Key data: ANSI X9.63 with SHA3-256 over the shared secret, for the hybrid over
 * SHA3-256(ML-KEM secret || X25519 secret): 32 octets for AES-256-CTR from a counter of zero, which
 * is safe because no key is used twice, and 32 for KMAC256 with the customisation "SUCI-MAC".
 *
 * A home network key is ML-KEM's, followed by X25519's 32 octets in a hybrid. */
#include "core5g/suci/suci_priv.h"

#include "crypto/aes_ctx.h"
#include "crypto/kem.h"
#include "crypto/rand.h"
#include "crypto/sha3.h"

#include <ctype.h>

#define X25519_BYTES 32
#define ENC_BYTES 32
#define DATA_BYTES 64
#define FILE_KEY_MAX (BST_KEM_DK_BYTES + X25519_BYTES)

/* ---- key data to ciphertext and tag ---- */

static bst_result pq_crypt(const struct bst_secret *data, struct bst_view in, uint8_t *out)
{
    static const uint8_t zero[16];
    bst_auto(ctr) ctr = {0};
    BST_TRY(bst_ctr_init(&ctr, bst_view_of(data->ptr, ENC_BYTES)));
    BST_TRY(bst_ctr_start(&ctr, zero));
    return bst_ctr_apply(&ctr, (const uint8_t *)in.ptr, in.len, out);
}

static bst_result pq_tag(const struct bst_secret *data, struct bst_view ciphertext,
                         uint8_t out[BST_SUCI_TAG_BYTES])
{
    return bst_kmac256(bst_view_of(data->ptr + ENC_BYTES, data->len - ENC_BYTES),
                       BST_VIEW("SUCI-MAC"), ciphertext, out, BST_SUCI_TAG_BYTES);
}

static const struct bst_suci_suite suite = {pq_crypt, pq_tag};

static size_t head_bytes(const struct bst_suci_scheme *scheme)
{
    return scheme->overhead - BST_SUCI_TAG_BYTES;
}

/* ---- shared secret to key data ---- */

/* Both secrets of one exchange; the second is not there without X25519. */
struct secrets {
    uint8_t kem[BST_KEM_SHARED_BYTES];
    struct bst_secret z;
};
static inline void bst_secrets_clear(struct secrets *s)
{
    bst_wipe(s->kem, sizeof s->kem);
    bst_secret_clear(&s->z);
}
#define AUTO_SECRETS __attribute__((cleanup(bst_secrets_clear))) struct secrets

static bst_result key_data(const struct bst_suci_scheme *scheme, const struct secrets *s,
                           struct bst_view head, struct bst_secret *ret)
{
    const struct bst_view both[] = {bst_view_of(s->kem, sizeof s->kem),
                                    bst_view_of(s->z.ptr, s->z.len)};
    bst_auto(secret) combined = {0}, data = {0};
    BST_TRY(bst_secret_init(&data, DATA_BYTES));
    if (scheme->hybrid) {
        BST_TRY(bst_secret_init(&combined, BST_SHA3_256_BYTES));
        BST_TRY(bst_sha3_256(both, 2, combined.ptr));
    } else {
        BST_TRY(bst_secret_copy(&combined, s->kem, sizeof s->kem));
    }
    BST_TRY(bst_x963_sha3_256(bst_view_of(combined.ptr, combined.len), head, data.ptr, data.len));
    *ret = data;
    data = (struct bst_secret){0};
    return BST_OK;
}

/* ---- device side ---- */

static bst_result ephemeral_x25519(struct bst_view home, uint8_t out[X25519_BYTES],
                                   struct bst_secret *ret_z)
{
    bst_auto_pkey *pair = NULL;
    uint8_t point[BST_CURVE_POINT_MAX];
    BST_TRY(bst_agree_key_generate(BST_CURVE_X25519, &pair));
    BST_TRY(bst_agree_key_point(BST_CURVE_X25519, pair, point));
    memcpy(out, point, X25519_BYTES);
    return bst_agree(BST_CURVE_X25519, pair, home, ret_z);
}

bst_result bst_suci_pq_conceal(const struct bst_suci_scheme *scheme, struct bst_view public_key,
                               struct evp_pkey_st *ephemeral, struct bst_view input,
                               struct bst_buf *ret)
{
    uint8_t head[BST_KEM_CIPHERTEXT_BYTES + X25519_BYTES];
    AUTO_SECRETS secrets = {0};
    bst_auto(secret) data = {0};
    BST_ENSURE(public_key.len == scheme->public_bytes && !ephemeral, BST_E_USAGE);
    BST_TRY(bst_kem_encapsulate(bst_view_of(public_key.ptr, BST_KEM_EK_BYTES), BST_VIEW(""), head,
                                secrets.kem));
    if (scheme->hybrid) {
        BST_TRY(ephemeral_x25519(bst_view_from(public_key, BST_KEM_EK_BYTES),
                                 head + BST_KEM_CIPHERTEXT_BYTES, &secrets.z));
    }
    struct bst_view sent = bst_view_of(head, head_bytes(scheme));
    BST_TRY(key_data(scheme, &secrets, sent, &data));
    return bst_suci_seal(&suite, &data, sent, input, ret);
}

/* ---- home network side, inside the secure environment ---- */

struct reveal_io {
    const struct bst_suci_scheme *scheme;
    struct bst_view head;
    struct bst_secret data; /* out */
};

static bst_result load_x25519(struct bst_view key, struct evp_pkey_st **ret)
{
    return bst_agree_key_load(BST_CURVE_X25519, bst_view_from(key, BST_KEM_DK_BYTES), ret);
}

static bst_result check_value(const struct bst_suci_scheme *scheme, struct bst_view key)
{
    BST_ENSURE(key.len == (size_t)BST_KEM_DK_BYTES + (scheme->hybrid ? X25519_BYTES : 0),
               BST_E_BAD_KEY);
    return BST_OK;
}

/* A ciphertext that was changed gives another secret, so that only the tag tells: as a wrong tag
 * does. */
static bst_result run_reveal(struct bst_view key, void *ctx)
{
    struct reveal_io *io = ctx;
    AUTO_SECRETS secrets = {0};
    bst_auto_pkey *pair = NULL;
    BST_TRY(check_value(io->scheme, key));
    BST_TRY(bst_kem_decapsulate(bst_view_of(key.ptr, BST_KEM_DK_BYTES),
                                bst_view_of(io->head.ptr, BST_KEM_CIPHERTEXT_BYTES), secrets.kem));
    if (io->scheme->hybrid) {
        BST_TRY(load_x25519(key, &pair));
        BST_TRY(bst_agree(BST_CURVE_X25519, pair, bst_view_from(io->head, BST_KEM_CIPHERTEXT_BYTES),
                          &secrets.z));
    }
    return key_data(io->scheme, &secrets, io->head, &io->data);
}

bst_result bst_suci_pq_reveal(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                              struct bst_view output, struct bst_buf *ret)
{
    static const struct bst_se_routine routine = {"SUCI key data", run_reveal};
    BST_TRY(bst_suci_check_length(scheme, output));
    struct reveal_io io = {.scheme = scheme, .head = bst_view_of(output.ptr, head_bytes(scheme))};
    bst_result opened = bst_se_run(se, key, &routine, &io);
    if (!bst_failed(opened)) {
        opened = bst_suci_open(&suite, &io.data, bst_view_from(output, io.head.len), ret);
    }
    bst_secret_clear(&io.data);
    return opened;
}

/* ---- home network keys ---- */

/* Raw bytes, or hexadecimal digits with a line end. */
static bst_result raw_of(struct bst_view text, struct bst_secret *ret)
{
    struct bst_view digits = text;
    bst_auto(secret) raw = {0};
    while (digits.len && isspace((unsigned char)digits.ptr[digits.len - 1])) {
        digits.len--;
    }
    if (text.len > 2 * FILE_KEY_MAX + 2) {
        BST_FAIL(BST_E_TOO_LONG, "%zu octets are too many for a key of ML-KEM-768", text.len);
    }
    BST_TRY(bst_secret_init(&raw, digits.len / 2 + 1));
    bool hex = digits.len && !bst_failed(bst_hex_decode(digits, raw.ptr, digits.len / 2));
    if (!hex) {
        return bst_secret_copy(ret, text.ptr, text.len);
    }
    return bst_secret_copy(ret, raw.ptr, digits.len / 2);
}

bst_result bst_suci_pq_read_public(const struct bst_suci_scheme *scheme, struct bst_view text,
                                   uint8_t out[BST_SUCI_PUBLIC_MAX])
{
    uint8_t point[BST_CURVE_POINT_MAX];
    bst_auto(secret) raw = {0};
    BST_TRY(raw_of(text, &raw));
    if (raw.len != scheme->public_bytes) {
        BST_FAIL(BST_E_BAD_KEY, "a public key of %s has %zu octets, this one has %zu", scheme->name,
                 scheme->public_bytes, raw.len);
    }
    BST_TRY(bst_kem_ek_check(bst_view_of(raw.ptr, BST_KEM_EK_BYTES)));
    if (scheme->hybrid) {
        BST_TRY(bst_agree_point_load(BST_CURVE_X25519,
                                     bst_view_of(raw.ptr + BST_KEM_EK_BYTES, X25519_BYTES), point));
    }
    memcpy(out, raw.ptr, raw.len);
    return BST_OK;
}

static bst_result new_seed(const struct bst_suci_scheme *scheme, struct bst_secret *ret)
{
    bst_auto(secret) seed = {0};
    BST_TRY(bst_secret_init(&seed, BST_KEM_SEED_BYTES + (scheme->hybrid ? X25519_BYTES : 0u)));
    BST_TRY(bst_random(seed.ptr, seed.len));
    *ret = seed;
    seed = (struct bst_secret){0};
    return BST_OK;
}

/* A seed or an expanded key, and in a hybrid the scalar: to an expanded key and the scalar. */
static bst_result expand(const struct bst_suci_scheme *scheme, struct bst_view raw,
                         struct bst_secret *ret)
{
    const size_t scalar = scheme->hybrid ? X25519_BYTES : 0;
    bst_auto(secret) dk = {0}, value = {0};
    if (raw.len < scalar) {
        BST_FAIL(BST_E_BAD_KEY, "the private key is cut off");
    }
    BST_TRY(bst_kem_dk_load(bst_view_of(raw.ptr, raw.len - scalar), &dk));
    BST_TRY(bst_secret_init(&value, dk.len + scalar));
    memcpy(value.ptr, dk.ptr, dk.len);
    memcpy(value.ptr + dk.len, raw.ptr + raw.len - scalar, scalar);
    *ret = value;
    value = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_suci_pq_read_private(const struct bst_suci_scheme *scheme, struct bst_view text,
                                    struct bst_secret *ret)
{
    bst_auto(secret) raw = {0};
    BST_TRY(text.len ? raw_of(text, &raw) : new_seed(scheme, &raw));
    return expand(scheme, bst_view_of(raw.ptr, raw.len), ret);
}

struct public_io {
    const struct bst_suci_scheme *scheme;
    uint8_t *out;
};

static bst_result run_public(struct bst_view key, void *ctx)
{
    const struct public_io *io = ctx;
    uint8_t point[BST_CURVE_POINT_MAX];
    bst_auto_pkey *pair = NULL;
    BST_TRY(check_value(io->scheme, key));
    memcpy(io->out, bst_kem_ek_of(key).ptr, BST_KEM_EK_BYTES);
    if (io->scheme->hybrid) {
        BST_TRY(load_x25519(key, &pair));
        BST_TRY(bst_agree_key_point(BST_CURVE_X25519, pair, point));
        memcpy(io->out + BST_KEM_EK_BYTES, point, X25519_BYTES);
    }
    return BST_OK;
}

bst_result bst_suci_pq_public_of(const struct bst_suci_scheme *scheme, struct bst_se *se,
                                 bst_key key, uint8_t out[BST_SUCI_PUBLIC_MAX])
{
    static const struct bst_se_routine routine = {"SUCI public key", run_public};
    struct public_io io = {scheme, out};
    return bst_se_run(se, key, &routine, &io);
}
