/* The protection schemes of TS 33.501 Annex C: null, and ECIES in profiles A and B; and the table
 * of all schemes.
 *
 * Output of a profile: ephemeral public key || ciphertext || first 8 octets of HMAC-SHA-256. */
#include "core5g/suci/suci_priv.h"

#include "crypto/cipher.h"
#include "crypto/kem.h"

#define ENC_AT 0
#define ICB_AT 16
#define MAC_AT 32
#define MAC_KEY_BYTES 32

bst_result bst_suci_key_data(enum bst_curve curve, struct evp_pkey_st *key, struct bst_view point,
                             struct bst_view ephemeral_point, struct bst_secret *ret_z,
                             struct bst_secret *ret_data)
{
    bst_auto(secret) z = {0}, data = {0};
    BST_TRY(bst_agree(curve, key, point, &z));
    BST_TRY(bst_secret_init(&data, BST_SUCI_KEY_DATA_BYTES));
    /* SharedInfo1 is the ephemeral public key in the octets that are sent. */
    BST_TRY(bst_x963_sha256(bst_view_of(z.ptr, z.len), ephemeral_point, data.ptr, data.len));
    *ret_z = z;
    *ret_data = data;
    z = data = (struct bst_secret){0};
    return BST_OK;
}

/* ---- ciphertext and tag ---- */

bst_result bst_suci_seal(const struct bst_suci_suite *suite, const struct bst_secret *data,
                         struct bst_view head, struct bst_view input, struct bst_buf *ret)
{
    uint8_t tag[BST_SUCI_TAG_BYTES], ciphertext[BST_NAI_MAX];
    BST_ENSURE(input.len >= 1 && input.len <= sizeof ciphertext, BST_E_TOO_LONG);
    BST_TRY(suite->crypt(data, input, ciphertext));
    BST_TRY(suite->tag(data, bst_view_of(ciphertext, input.len), tag));
    bst_buf_addv(ret, head);
    bst_buf_add(ret, ciphertext, input.len);
    bst_buf_add(ret, tag, sizeof tag);
    return bst_buf_check(ret);
}

/* The tag is checked before anything is decrypted. */
bst_result bst_suci_open(const struct bst_suci_suite *suite, const struct bst_secret *data,
                         struct bst_view sealed, struct bst_buf *ret)
{
    uint8_t tag[BST_SUCI_TAG_BYTES], input[BST_NAI_MAX];
    BST_ENSURE(sealed.len > sizeof tag && sealed.len - sizeof tag <= sizeof input, BST_E_VALUE);
    struct bst_view ciphertext = bst_view_of(sealed.ptr, sealed.len - sizeof tag);
    BST_TRY(suite->tag(data, ciphertext, tag));
    if (!bst_equal_ct(tag, ciphertext.ptr + ciphertext.len, sizeof tag)) {
        BST_FAIL(BST_E_BAD_MAC, "the tag does not match");
    }
    BST_TRY(suite->crypt(data, ciphertext, input));
    bst_buf_add(ret, input, ciphertext.len);
    bst_wipe(input, sizeof input);
    return bst_buf_check(ret);
}

bst_result bst_suci_check_length(const struct bst_suci_scheme *scheme, struct bst_view output)
{
    if (output.len <= scheme->overhead || output.len > scheme->overhead + BST_NAI_MAX) {
        BST_FAIL(BST_E_VALUE, "%zu octets are no output of scheme %s", output.len, scheme->name);
    }
    return BST_OK;
}

/* ---- profiles A and B ---- */

static bst_result ecies_crypt(const struct bst_secret *data, struct bst_view in, uint8_t *out)
{
    return bst_aes128_ctr32(bst_view_of(data->ptr + ENC_AT, BST_AES128_KEY_BYTES),
                            data->ptr + ICB_AT, in, out);
}

static bst_result ecies_tag(const struct bst_secret *data, struct bst_view ciphertext,
                            uint8_t out[BST_SUCI_TAG_BYTES])
{
    uint8_t full[BST_SHA256_BYTES];
    BST_TRY(bst_hmac_sha256(bst_view_of(data->ptr + MAC_AT, MAC_KEY_BYTES), &ciphertext, 1, full));
    memcpy(out, full, BST_SUCI_TAG_BYTES);
    return BST_OK;
}

static const struct bst_suci_suite ecies_suite = {ecies_crypt, ecies_tag};

static bst_result ecies_conceal(const struct bst_suci_scheme *scheme, struct bst_view public_key,
                                struct evp_pkey_st *ephemeral, struct bst_view input,
                                struct bst_buf *ret)
{
    uint8_t raw[BST_CURVE_POINT_MAX];
    bst_auto_pkey *pair = ephemeral ? bst_pkey_hold(ephemeral) : NULL;
    bst_auto(secret) z = {0}, data = {0};
    if (!pair) {
        BST_TRY(bst_agree_key_generate(scheme->curve, &pair));
    }
    BST_TRY(bst_agree_key_point(scheme->curve, pair, raw));
    struct bst_view point = bst_view_of(raw, bst_curve_point_bytes(scheme->curve));
    BST_TRY(bst_suci_key_data(scheme->curve, pair, public_key, point, &z, &data));
    return bst_suci_seal(&ecies_suite, &data, point, input, ret);
}

static bst_result ecies_reveal(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                               struct bst_view output, struct bst_buf *ret)
{
    bst_auto(secret) data = {0};
    BST_TRY(bst_suci_check_length(scheme, output));
    struct bst_view point = bst_view_of(output.ptr, bst_curve_point_bytes(scheme->curve));
    BST_TRY(bst_se_agree(se, key, point, point, BST_SUCI_KEY_DATA_BYTES, &data));
    return bst_suci_open(&ecies_suite, &data, bst_view_from(output, point.len), ret);
}

static bst_result ecies_read_public(const struct bst_suci_scheme *scheme, struct bst_view text,
                                    uint8_t out[BST_SUCI_PUBLIC_MAX])
{
    return bst_agree_point_load(scheme->curve, text, out);
}

static bst_result ecies_read_private(const struct bst_suci_scheme *scheme, struct bst_view text,
                                     struct bst_secret *ret)
{
    bst_auto_pkey *pair = NULL;
    BST_TRY(bst_agree_key_load(scheme->curve, text, &pair));
    return bst_pkey_private(pair, ret);
}

static bst_result ecies_public_of(const struct bst_suci_scheme *scheme, struct bst_se *se,
                                  bst_key key, uint8_t out[BST_SUCI_PUBLIC_MAX])
{
    bst_auto(buf) spki = {0};
    BST_TRY(bst_se_key_public(se, key, &spki));
    return bst_agree_point_load(scheme->curve, bst_buf_view(&spki), out);
}

/* ---- the null scheme ---- */

static bst_result null_conceal(const struct bst_suci_scheme *scheme, struct bst_view public_key,
                               struct evp_pkey_st *ephemeral, struct bst_view input,
                               struct bst_buf *ret)
{
    bst_buf_addv(ret, input);
    return bst_buf_check(ret);
}

static bst_result null_reveal(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                              struct bst_view output, struct bst_buf *ret)
{
    bst_buf_addv(ret, output);
    return bst_buf_check(ret);
}

/* ---- the table ---- */

#define ECIES                                                                                      \
    .keyed = true, .ecies = true, .key_uses = BST_KEY_USE_AGREE, .made_inside = true,              \
    .conceal = ecies_conceal, .reveal = ecies_reveal, .read_public = ecies_read_public,            \
    .read_private = ecies_read_private, .public_of = ecies_public_of
/* No environment knows ML-KEM: the key is a value that a routine inside works with. */
#define POST_QUANTUM                                                                               \
    .keyed = true, .key_type = BST_KEY_SYMMETRIC, .key_uses = BST_KEY_USE_ROUTINE,                 \
    .conceal = bst_suci_pq_conceal, .reveal = bst_suci_pq_reveal,                                  \
    .read_public = bst_suci_pq_read_public, .read_private = bst_suci_pq_read_private,              \
    .public_of = bst_suci_pq_public_of

static const struct bst_suci_scheme schemes[] = {
    {
        .id = BST_SUCI_NULL,
        .name = "null",
        .conceal = null_conceal,
        .reveal = null_reveal,
    },
    {
        .id = BST_SUCI_PROFILE_A,
        .name = "A",
        .curve = BST_CURVE_X25519,
        .key_type = BST_KEY_X25519,
        .public_bytes = 32,
        .overhead = 32 + BST_SUCI_TAG_BYTES,
        ECIES,
    },
    {
        .id = BST_SUCI_PROFILE_B,
        .name = "B",
        .curve = BST_CURVE_P256,
        .key_type = BST_KEY_EC_P256,
        .public_bytes = 33,
        .overhead = 33 + BST_SUCI_TAG_BYTES,
        ECIES,
    },
    {
        .id = BST_SUCI_MLKEM768,
        .name = "mlkem768",
        .public_bytes = BST_KEM_EK_BYTES,
        .overhead = BST_KEM_CIPHERTEXT_BYTES + BST_SUCI_TAG_BYTES,
        POST_QUANTUM,
    },
    {
        .id = BST_SUCI_X25519_MLKEM768,
        .name = "x25519-mlkem768",
        .hybrid = true,
        .curve = BST_CURVE_X25519,
        .public_bytes = BST_KEM_EK_BYTES + 32,
        .overhead = BST_KEM_CIPHERTEXT_BYTES + 32 + BST_SUCI_TAG_BYTES,
        POST_QUANTUM,
    },
};

const struct bst_suci_scheme *bst_suci_scheme_at(size_t n)
{
    return n < sizeof schemes / sizeof schemes[0] ? &schemes[n] : NULL;
}

const struct bst_suci_scheme *bst_suci_scheme(uint8_t id)
{
    const struct bst_suci_scheme *scheme;
    for (size_t i = 0; (scheme = bst_suci_scheme_at(i)) && scheme->id != id; i++) {
    }
    return scheme;
}

const struct bst_suci_scheme *bst_suci_scheme_named(struct bst_view name)
{
    const struct bst_suci_scheme *scheme;
    for (size_t i = 0; (scheme = bst_suci_scheme_at(i)) && !bst_view_is(name, scheme->name); i++) {
    }
    return scheme;
}
