/* X25519 and P-256 over OpenSSL's EVP; raw forms in, wire forms out. */
#include "crypto/agree.h"

#include "crypto/crypto_priv.h"
#include "crypto/pkey_priv.h"
#include "crypto/rand.h"
#include "crypto/sha3.h"

#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <pthread.h>

BST_OSSL_AUTO(BIGNUM, bignum, BN_clear_free)
BST_OSSL_AUTO(EC_GROUP, ec_group, EC_GROUP_free)
BST_OSSL_AUTO(EC_POINT, ec_point, EC_POINT_clear_free)
BST_OSSL_AUTO(OSSL_PARAM_BLD, param_bld, OSSL_PARAM_BLD_free)
BST_OSSL_AUTO(OSSL_PARAM, params, OSSL_PARAM_free)

#define X25519_BYTES 32
#define P256_COMPRESSED_BYTES 33
#define P256_UNCOMPRESSED_BYTES 65

static const struct {
    const char *name, *algorithm;
    size_t point_bytes;
} curves[] = {
    [BST_CURVE_X25519] = {"X25519", "X25519", X25519_BYTES},
    [BST_CURVE_P256] = {"EC P-256", "EC", P256_COMPRESSED_BYTES},
};

size_t bst_curve_point_bytes(enum bst_curve curve)
{
    return curves[curve].point_bytes;
}

const char *bst_curve_name(enum bst_curve curve)
{
    return curves[curve].name;
}

bst_result bst_agree_key_generate(enum bst_curve curve, struct evp_pkey_st **ret)
{
    if (curve == BST_CURVE_P256) {
        return bst_pkey_generate(BST_PKEY_EC_P256, ret);
    }
    BST_TRY(bst_crypto_start());
    *ret = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    return *ret ? BST_OK : bst_crypto_fail(BST_E_CRYPTO, "cannot make a key for X25519");
}

/* ---- raw forms ---- */

/* Raw bytes or hexadecimal digits of one of two sizes; 0 when it is neither. */
static size_t raw_of(struct bst_view text, size_t short_bytes, size_t long_bytes, uint8_t *out)
{
    if (text.len == short_bytes || text.len == long_bytes) {
        memcpy(out, text.ptr, text.len);
        return text.len;
    }
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) {
        text.len--;
    }
    if (text.len != 2 * short_bytes && text.len != 2 * long_bytes) {
        return 0;
    }
    return bst_failed(bst_hex_decode(text, out, text.len / 2)) ? 0 : text.len / 2;
}

/* OpenSSL does not make the public point of a P-256 scalar by itself. */
static bst_result p256_public(const EC_GROUP *group, const BIGNUM *scalar,
                              uint8_t out[P256_UNCOMPRESSED_BYTES])
{
    bst_auto_ossl(ec_point) EC_POINT *point = EC_POINT_new(group);
    if (!point || EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) != 1 ||
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out,
                           P256_UNCOMPRESSED_BYTES, NULL) != P256_UNCOMPRESSED_BYTES) {
        return bst_crypto_fail(BST_E_CRYPTO, "the public half of a P-256 key cannot be computed");
    }
    return BST_OK;
}

static bst_result p256_from_params(const BIGNUM *scalar, const uint8_t *point, size_t point_len,
                                   int selection, struct evp_pkey_st **ret)
{
    bst_auto_ossl(param_bld) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    BST_ENSURE(build && ctx, BST_E_NOMEM);
    bool ok = OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
              OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len) &&
              (!scalar || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar));
    bst_auto_ossl(params) OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(build) : NULL;
    EVP_PKEY *made = NULL;
    if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &made, selection, params) != 1) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the public key is not on the curve P-256");
    }
    *ret = made;
    return BST_OK;
}

bst_result bst_p256_public(const uint8_t *point, size_t len, struct evp_pkey_st **ret)
{
    BST_TRY(bst_crypto_start());
    return p256_from_params(NULL, point, len, EVP_PKEY_PUBLIC_KEY, ret);
}

static bst_result p256_scalar(const uint8_t raw[BST_CURVE_SCALAR_BYTES], struct evp_pkey_st **ret)
{
    bst_auto_ossl(ec_group) EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    bst_auto_ossl(bignum) BIGNUM *scalar = BN_secure_new();
    BST_ENSURE(group && scalar && BN_bin2bn(raw, BST_CURVE_SCALAR_BYTES, scalar), BST_E_NOMEM);
    BN_set_flags(scalar, BN_FLG_CONSTTIME);
    if (BN_is_zero(scalar) || BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0) {
        BST_FAIL(BST_E_BAD_KEY, "a private P-256 key is a number from 1 to n-1");
    }
    uint8_t point[P256_UNCOMPRESSED_BYTES];
    BST_TRY(p256_public(group, scalar, point));
    return p256_from_params(scalar, point, sizeof point, EVP_PKEY_KEYPAIR, ret);
}

static bst_result x25519_scalar(const uint8_t raw[BST_CURVE_SCALAR_BYTES], struct evp_pkey_st **ret)
{
    *ret = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, raw, BST_CURVE_SCALAR_BYTES);
    return *ret ? BST_OK : bst_crypto_fail(BST_E_BAD_KEY, "not a private X25519 key");
}

static bst_result check_curve(enum bst_curve curve, const struct evp_pkey_st *key)
{
    enum bst_pkey_kind kind = {0};
    bool fits = curve == BST_CURVE_X25519
                    ? EVP_PKEY_is_a(key, "X25519") == 1
                    : !bst_failed(bst_pkey_kind(key, &kind)) && kind == BST_PKEY_EC_P256;
    if (!fits) {
        const char *name = EVP_PKEY_get0_type_name(key);
        BST_FAIL(BST_E_BAD_KEY, "the key is for %s, not for %s", name ? name : "?",
                 curves[curve].name);
    }
    return BST_OK;
}

bst_result bst_agree_key_load(enum bst_curve curve, struct bst_view text, struct evp_pkey_st **ret)
{
    BST_TRY(bst_crypto_start());
    bst_auto(secret) raw = {0};
    BST_TRY(bst_secret_init(&raw, BST_CURVE_SCALAR_BYTES));
    if (raw_of(text, BST_CURVE_SCALAR_BYTES, BST_CURVE_SCALAR_BYTES, raw.ptr)) {
        return curve == BST_CURVE_P256 ? p256_scalar(raw.ptr, ret) : x25519_scalar(raw.ptr, ret);
    }
    bst_auto_pkey *key = NULL;
    BST_TRY(bst_pkey_load_unchecked(text, &key));
    BST_TRY(check_curve(curve, key));
    *ret = bst_steal(&key);
    return BST_OK;
}

bst_result bst_agree_key_point(enum bst_curve curve, const struct evp_pkey_st *key,
                               uint8_t out[BST_CURVE_POINT_MAX])
{
    uint8_t raw[P256_UNCOMPRESSED_BYTES];
    size_t len = 0;
    BST_TRY(check_curve(curve, key));
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, raw, sizeof raw, &len) != 1) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the public half of the key cannot be read");
    }
    if (curve == BST_CURVE_P256 && len == P256_UNCOMPRESSED_BYTES) {
        raw[0] = raw[P256_UNCOMPRESSED_BYTES - 1] & 1 ? 3 : 2;
        len = P256_COMPRESSED_BYTES;
    }
    BST_ENSURE(len == curves[curve].point_bytes, BST_E_BAD_KEY);
    memcpy(out, raw, len);
    return BST_OK;
}

/* ---- keys of a peer ---- */

/* One public key of each curve a thread: to put another point into it costs far less than to make a
 * new one. */
struct peers {
    EVP_PKEY *of[2];
};

static pthread_key_t peers_key;
static pthread_once_t peers_once = PTHREAD_ONCE_INIT;
static bool peers_ready;

static void peers_free(void *slot)
{
    struct peers *peers = slot;
    EVP_PKEY_free(peers->of[BST_CURVE_X25519]);
    EVP_PKEY_free(peers->of[BST_CURVE_P256]);
    bst_free(peers);
}

static void peers_start(void)
{
    peers_ready = pthread_key_create(&peers_key, peers_free) == 0;
}

static struct peers *peers_here(void)
{
    pthread_once(&peers_once, peers_start);
    struct peers *peers = peers_ready ? pthread_getspecific(peers_key) : NULL;
    if (peers_ready && !peers) {
        peers = bst_alloc(sizeof *peers);
        if (peers && pthread_setspecific(peers_key, peers) != 0) {
            bst_free(bst_steal(&peers));
        }
    }
    return peers;
}

static EVP_PKEY *new_peer(enum bst_curve curve, const uint8_t *point, size_t len)
{
    EVP_PKEY *made = NULL;
    if (curve == BST_CURVE_P256) {
        return bst_failed(p256_from_params(NULL, point, len, EVP_PKEY_PUBLIC_KEY, &made)) ? NULL
                                                                                          : made;
    }
    return EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, point, len);
}

/* The decoder checks that x is below the prime and that the point is on the curve; the group has no
 * smaller subgroup, so more is not to be checked. */
static bst_result peer_key(enum bst_curve curve, const uint8_t *point, size_t len,
                           struct evp_pkey_st **ret)
{
    struct peers *peers = peers_here();
    BST_ENSURE(peers, BST_E_NOMEM);
    EVP_PKEY **slot = &peers->of[curve];
    bool set = *slot ? EVP_PKEY_set1_encoded_public_key(*slot, point, len) == 1
                     : (*slot = new_peer(curve, point, len)) != NULL;
    if (!set) {
        return bst_crypto_fail(BST_E_BAD_KEY, "not a public key of %s", curves[curve].name);
    }
    *ret = bst_pkey_hold(*slot);
    return BST_OK;
}

static bst_result derive(EVP_PKEY *key, EVP_PKEY *peer, struct bst_secret *ret)
{
    static const uint8_t zeros[BST_CURVE_SCALAR_BYTES];
    bst_auto_ossl(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bst_auto(secret) z = {0};
    BST_ENSURE(ctx, BST_E_NOMEM);
    BST_TRY(bst_secret_init(&z, BST_CURVE_SCALAR_BYTES));
    size_t len = z.len;
    if (EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1 ||
        EVP_PKEY_derive(ctx, z.ptr, &len) != 1 || len != z.len ||
        bst_equal_ct(z.ptr, zeros, sizeof zeros)) {
        return bst_crypto_fail(BST_E_BAD_KEY, "key agreement with this public key is not possible");
    }
    *ret = z;
    z = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_agree(enum bst_curve curve, struct evp_pkey_st *key, struct bst_view point,
                     struct bst_secret *ret)
{
    if (point.len != curves[curve].point_bytes ||
        (curve == BST_CURVE_P256 && point.ptr[0] != 2 && point.ptr[0] != 3)) {
        BST_FAIL(BST_E_BAD_KEY, "not a public key of %s in its wire form", curves[curve].name);
    }
    bst_auto_pkey *peer = NULL;
    BST_TRY(peer_key(curve, (const uint8_t *)point.ptr, point.len, &peer));
    return derive(key, peer, ret);
}

/* A point of low order gives a zero with every key: one exchange tells. */
static bst_result refuse_low_order(enum bst_curve curve, const uint8_t *point)
{
    bst_auto_pkey *probe = NULL;
    bst_auto(secret) z = {0};
    BST_TRY(bst_agree_key_generate(curve, &probe));
    return bst_agree(curve, probe, bst_view_of(point, curves[curve].point_bytes), &z);
}

bst_result bst_agree_point_load(enum bst_curve curve, struct bst_view text,
                                uint8_t out[BST_CURVE_POINT_MAX])
{
    BST_TRY(bst_crypto_start());
    uint8_t raw[P256_UNCOMPRESSED_BYTES] = {0}, point[BST_CURVE_POINT_MAX] = {0};
    size_t len = raw_of(text, curves[curve].point_bytes,
                        curve == BST_CURVE_P256 ? P256_UNCOMPRESSED_BYTES : X25519_BYTES, raw);
    bst_auto_pkey *key = NULL;
    if (len) {
        BST_TRY(peer_key(curve, raw, len, &key));
    } else {
        BST_TRY(bst_pkey_load_public_unchecked(text, &key));
    }
    BST_TRY(bst_agree_key_point(curve, key, point));
    BST_TRY(refuse_low_order(curve, point));
    memcpy(out, point, curves[curve].point_bytes);
    return BST_OK;
}

static bst_result put_coordinate(const EVP_PKEY *key, const char *name, uint8_t *out)
{
    bst_auto_ossl(bignum) BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1 ||
        BN_bn2binpad(number, out, BST_CURVE_SCALAR_BYTES) != BST_CURVE_SCALAR_BYTES) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the public key cannot be read");
    }
    return BST_OK;
}

bst_result bst_agree_point_wide(struct bst_view text, uint8_t out[BST_P256_WIDE_BYTES])
{
    uint8_t wire[BST_CURVE_POINT_MAX];
    bst_auto_pkey *key = NULL;
    BST_TRY(bst_agree_point_load(BST_CURVE_P256, text, wire));
    BST_TRY(peer_key(BST_CURVE_P256, wire, sizeof wire, &key));
    out[0] = 4;
    BST_TRY(put_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, out + 1));
    return put_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, out + 1 + BST_CURVE_SCALAR_BYTES);
}

/* ---- key derivation ---- */

/* Every hash function that the standards use here gives as many bytes. */
#define X963_BLOCK_BYTES BST_SHA256_BYTES

static bst_result sha256(const struct bst_view *parts, size_t n, uint8_t *out)
{
    return bst_digest(BST_MD_SHA256, parts, n, out);
}

static bst_result x963(bst_result (*hash)(const struct bst_view *parts, size_t n, uint8_t *out),
                       struct bst_view z, struct bst_view info, uint8_t *out, size_t out_len)
{
    uint8_t block[X963_BLOCK_BYTES];
    BST_ENSURE(out_len <= 255 * sizeof block, BST_E_USAGE);
    for (uint32_t number = 1; out_len; number++) {
        const uint8_t counter[4] = {0, 0, 0, (uint8_t)number};
        const struct bst_view parts[] = {z, bst_view_of(counter, sizeof counter), info};
        BST_TRY(hash(parts, 3, block));
        size_t take = out_len < sizeof block ? out_len : sizeof block;
        memcpy(out, block, take);
        out += take;
        out_len -= take;
    }
    bst_wipe(block, sizeof block);
    return BST_OK;
}

bst_result bst_x963_sha256(struct bst_view z, struct bst_view info, uint8_t *out, size_t out_len)
{
    return x963(sha256, z, info, out, out_len);
}

bst_result bst_x963_sha3_256(struct bst_view z, struct bst_view info, uint8_t *out, size_t out_len)
{
    return x963(bst_sha3_256, z, info, out, out_len);
}
