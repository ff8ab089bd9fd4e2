/* The protection schemes of TS 33.501 Annex C: null, and ECIES in profiles A and B.
 *
 * Output of a profile: ephemeral public key || ciphertext || first 8 octets of HMAC-SHA-256. */
#include "core5g/suci/suci.h"

#include "crypto/cipher.h"

#define TAG_BYTES 8
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

static bst_result tag_of(const struct bst_secret *data, struct bst_view ciphertext,
                         uint8_t out[BST_SHA256_BYTES])
{
    return bst_hmac_sha256(bst_view_of(data->ptr + MAC_AT, MAC_KEY_BYTES), &ciphertext, 1, out);
}

static bst_result crypt(const struct bst_secret *data, struct bst_view in, uint8_t *out)
{
    return bst_aes128_ctr32(bst_view_of(data->ptr + ENC_AT, BST_AES128_KEY_BYTES),
                            data->ptr + ICB_AT, in, out);
}

static bst_result seal(const struct bst_secret *data, struct bst_view point, struct bst_view input,
                       struct bst_buf *ret)
{
    uint8_t tag[BST_SHA256_BYTES], ciphertext[BST_NAI_MAX];
    BST_ENSURE(input.len >= 1 && input.len <= sizeof ciphertext, BST_E_TOO_LONG);
    BST_TRY(crypt(data, input, ciphertext));
    BST_TRY(tag_of(data, bst_view_of(ciphertext, input.len), tag));
    bst_buf_addv(ret, point);
    bst_buf_add(ret, ciphertext, input.len);
    bst_buf_add(ret, tag, TAG_BYTES);
    return bst_buf_check(ret);
}

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
    return seal(&data, point, input, ret);
}

/* The tag is checked before anything is decrypted. */
static bst_result ecies_reveal(const struct bst_suci_scheme *scheme, struct bst_se *se, bst_key key,
                               struct bst_view output, struct bst_buf *ret)
{
    const size_t point_bytes = bst_curve_point_bytes(scheme->curve);
    uint8_t tag[BST_SHA256_BYTES], input[BST_NAI_MAX];
    if (output.len <= scheme->overhead || output.len > scheme->overhead + sizeof input) {
        BST_FAIL(BST_E_VALUE, "%zu octets are no output of profile %s", output.len, scheme->name);
    }
    struct bst_view point = bst_view_of(output.ptr, point_bytes);
    struct bst_view ciphertext =
        bst_view_of(output.ptr + point_bytes, output.len - scheme->overhead);
    bst_auto(secret) data = {0};
    BST_TRY(bst_se_agree(se, key, point, point, BST_SUCI_KEY_DATA_BYTES, &data));
    BST_TRY(tag_of(&data, ciphertext, tag));
    if (!bst_equal_ct(tag, ciphertext.ptr + ciphertext.len, TAG_BYTES)) {
        BST_FAIL(BST_E_BAD_MAC, "the tag does not match");
    }
    BST_TRY(crypt(&data, ciphertext, input));
    bst_buf_add(ret, input, ciphertext.len);
    return bst_buf_check(ret);
}

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
        .keyed = true,
        .curve = BST_CURVE_X25519,
        .key_type = BST_KEY_X25519,
        .overhead = 32 + TAG_BYTES,
        .conceal = ecies_conceal,
        .reveal = ecies_reveal,
    },
    {
        .id = BST_SUCI_PROFILE_B,
        .name = "B",
        .keyed = true,
        .curve = BST_CURVE_P256,
        .key_type = BST_KEY_EC_P256,
        .overhead = 33 + TAG_BYTES,
        .conceal = ecies_conceal,
        .reveal = ecies_reveal,
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
