/* Checks of a secure environment through its interface only. */
#include "se/selftest.h"

#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "crypto/x509.h"
#include "se/se.h"

#include <stdio.h>

#define SYMMETRIC_USES (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | BST_KEY_USE_SEAL | BST_KEY_USE_PSK)

/* One run: its environment and the prefix of its labels. */
struct run {
    struct bst_se_selftest *test;
    struct bst_se *se;
    char prefix[48];
    unsigned made;
};

/* Delete at the end of a check, whatever became of it. */
struct bst_held_key {
    struct run *run;
    bst_key key;
};
static void bst_held_key_clear(struct bst_held_key *held)
{
    if (held->key) {
        char said[512];
        snprintf(said, sizeof said, "%s", bst_error_detail());
        (void)bst_se_key_delete(held->run->se, held->key).code;
        bst_error_set_detail(said);
    }
}

/* The outcome must be this error. */
static bst_result expect(bst_result got, enum bst_error wanted, const char *what)
{
    if (got.code == wanted) {
        return BST_OK;
    }
    char said[300];
    snprintf(said, sizeof said, "%s", bst_error_detail());
    BST_FAIL(BST_E_INTERNAL, "%s: %s instead of %s %s", what, bst_error_name(got.code),
             bst_error_name(wanted), said);
}

static bst_result same(struct bst_view a, struct bst_view b, const char *what)
{
    if (!bst_view_eq(a, b)) {
        BST_FAIL(BST_E_INTERNAL, "%s: the token computes something else than software does", what);
    }
    return BST_OK;
}

static const char *new_label(struct run *run, char out[64])
{
    snprintf(out, 64, "%.40s%u", run->prefix, ++run->made);
    return out;
}

static bst_result make_as(struct run *run, const struct bst_key_attrs *attrs,
                          struct bst_held_key *ret)
{
    ret->run = run;
    return bst_se_key_generate(run->se, attrs, &ret->key);
}

static bst_result make(struct run *run, enum bst_key_type type, uint32_t uses,
                       struct bst_held_key *ret)
{
    struct bst_key_attrs attrs = {.type = type, .uses = uses};
    return make_as(run, &attrs, ret);
}

static bst_result import(struct run *run, enum bst_key_type type, uint32_t uses,
                         const struct bst_secret *value, struct bst_held_key *ret)
{
    struct bst_key_attrs attrs = {.type = type, .uses = uses};
    ret->run = run;
    return bst_se_key_import(run->se, &attrs, value, &ret->key);
}

static bst_result import_text(struct run *run, uint32_t uses, const char *text,
                              struct bst_held_key *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_copy(&value, text, strlen(text)));
    return import(run, BST_KEY_SYMMETRIC, uses, &value, ret);
}

/* ---- signing ---- */

static bst_result verify_outside(struct run *run, bst_key key, enum bst_md md,
                                 struct bst_view message, struct bst_view signature)
{
    bst_auto(buf) spki = {0};
    bst_auto_pkey *outside = NULL;
    BST_TRY(bst_se_key_public(run->se, key, &spki));
    BST_TRY(bst_pkey_load_public(bst_buf_view(&spki), &outside));
    BST_TRY(bst_pkey_verify(outside, md, message, signature));
    return expect(bst_pkey_verify(outside, md, BST_VIEW("another message"), signature),
                  BST_E_BAD_MAC, "a signature over something else");
}

static bst_result sign_with(struct run *run, bst_key key, enum bst_md md)
{
    bst_auto(buf) signature = {0};
    struct bst_view message = BST_VIEW("a message to sign");
    BST_TRY(bst_se_sign(run->se, key, md, message, &signature));
    return verify_outside(run, key, md, message, bst_buf_view(&signature));
}

/* A dozen signatures, so that r and s with leading zeros or a high bit come along. */
static bst_result sign_all(struct run *run, bst_key key, enum bst_key_type type)
{
    if (type == BST_KEY_ED25519) {
        BST_TRY(sign_with(run, key, BST_MD_NONE));
        bst_auto(buf) none = {0};
        return expect(bst_se_sign(run->se, key, BST_MD_SHA256, BST_VIEW("m"), &none), BST_E_USAGE,
                      "Ed25519 with a hash function");
    }
    for (int i = 0; i < 4; i++) {
        BST_TRY(sign_with(run, key, BST_MD_SHA256));
        BST_TRY(sign_with(run, key, BST_MD_SHA384));
        BST_TRY(sign_with(run, key, BST_MD_SHA512));
    }
    bst_auto(buf) none = {0};
    return expect(bst_se_sign(run->se, key, BST_MD_NONE, BST_VIEW("m"), &none), BST_E_USAGE,
                  "ECDSA without a hash function");
}

static bst_result generated_pair(struct run *run, enum bst_key_type type)
{
    bst_auto(held_key) key = {0};
    BST_TRY(make(run, type, BST_KEY_USE_SIGN, &key));
    return sign_all(run, key.key, type);
}

static bst_result imported_pair(struct run *run, enum bst_key_type type)
{
    static const enum bst_pkey_kind kinds[] = {[BST_KEY_EC_P256] = BST_PKEY_EC_P256,
                                               [BST_KEY_EC_P384] = BST_PKEY_EC_P384,
                                               [BST_KEY_ED25519] = BST_PKEY_ED25519};
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0};
    bst_auto(buf) inside = {0}, outside = {0};
    bst_auto(held_key) key = {0}, other = {0};
    BST_TRY(bst_pkey_generate(kinds[type], &pkey));
    BST_TRY(bst_pkey_private(pkey, &der));
    BST_TRY(import(run, type, BST_KEY_USE_SIGN, &der, &key));
    BST_TRY(bst_se_key_public(run->se, key.key, &inside));
    BST_TRY(bst_pkey_spki(pkey, &outside));
    BST_TRY(same(bst_buf_view(&inside), bst_buf_view(&outside), "public half"));
    enum bst_key_type wrong = type == BST_KEY_EC_P256 ? BST_KEY_EC_P384 : BST_KEY_EC_P256;
    BST_TRY(expect(import(run, wrong, BST_KEY_USE_SIGN, &der, &other), BST_E_BAD_KEY,
                   "importing a pair as one of another type"));
    return sign_all(run, key.key, type);
}

static bst_result pair_p256(struct run *run)
{
    return generated_pair(run, BST_KEY_EC_P256);
}
static bst_result pair_p384(struct run *run)
{
    return generated_pair(run, BST_KEY_EC_P384);
}
static bst_result pair_ed25519(struct run *run)
{
    return generated_pair(run, BST_KEY_ED25519);
}
static bst_result import_p256(struct run *run)
{
    return imported_pair(run, BST_KEY_EC_P256);
}
static bst_result import_p384(struct run *run)
{
    return imported_pair(run, BST_KEY_EC_P384);
}
static bst_result import_ed25519(struct run *run)
{
    return imported_pair(run, BST_KEY_ED25519);
}

/* ---- MAC and derivation ---- */

/* RFC 4231, test case 2, with its key of four bytes. */
static const uint8_t rfc4231_2[32] = {
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
};
static const struct bst_view rfc4231_parts[] = {
    {"what do ya want ", 16}, {"", 0}, {"for nothing?", 12}};

static bst_result macs(struct run *run)
{
    bst_auto(held_key) key = {0}, made = {0};
    uint8_t out[32], again[32];
    BST_TRY(import_text(run, BST_KEY_USE_MAC, "Jefe", &key));
    BST_TRY(bst_se_mac(run->se, key.key, rfc4231_parts, 3, out));
    BST_TRY(same(bst_view_of(out, 32), bst_view_of(rfc4231_2, 32), "MAC"));
    BST_TRY(make(run, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC, &made));
    BST_TRY(bst_se_mac(run->se, made.key, rfc4231_parts, 3, out));
    BST_TRY(bst_se_mac(run->se, made.key, rfc4231_parts, 3, again));
    BST_TRY(same(bst_view_of(out, 32), bst_view_of(again, 32), "MAC of a key made inside"));
    return bst_se_mac(run->se, made.key, NULL, 0, out);
}

static bst_result derivation(struct run *run)
{
    bst_auto(held_key) parent = {0}, child = {0};
    bst_auto(secret) psk = {0};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK, .suid = 22};
    struct bst_key_info info;
    child.run = run;
    BST_TRY(import_text(run, BST_KEY_USE_DERIVE, "Jefe", &parent));
    BST_TRY(bst_se_derive(run->se, parent.key, rfc4231_parts, 3, &attrs, &child.key));
    BST_TRY(bst_se_release_psk(run->se, child.key, "self-test", &psk));
    BST_TRY(same(bst_view_of(psk.ptr, psk.len), bst_view_of(rfc4231_2, 32), "derived key"));
    BST_TRY(bst_se_key_info(run->se, child.key, &info));
    BST_ENSURE(info.attrs.suid == 22 && info.attrs.level <= 1, BST_E_INTERNAL);
    return BST_OK;
}

static bst_result hkdf(struct run *run)
{
    bst_auto(held_key) parent = {0}, child = {0};
    bst_auto(secret) psk = {0};
    uint8_t outside[32];
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
    struct bst_view ikm = BST_VIEW("input keying material of HKDF...");
    child.run = run;
    BST_TRY(import_text(run, BST_KEY_USE_DERIVE, ikm.ptr, &parent));
    BST_TRY(
        bst_se_hkdf(run->se, parent.key, BST_VIEW("salt"), BST_VIEW("info"), &attrs, &child.key));
    BST_TRY(bst_se_release_psk(run->se, child.key, "self-test", &psk));
    BST_TRY(bst_hkdf_sha256(BST_VIEW("salt"), ikm, BST_VIEW("info"), outside, 32));
    return same(bst_view_of(psk.ptr, psk.len), bst_view_of(outside, 32), "HKDF");
}

static bst_result release(struct run *run)
{
    bst_auto(held_key) key = {0};
    bst_auto(secret) psk = {0};
    BST_TRY(import_text(run, BST_KEY_USE_PSK, "seventeen octets.", &key));
    BST_TRY(bst_se_release_psk(run->se, key.key, "self-test", &psk));
    return same(bst_view_of(psk.ptr, psk.len), BST_VIEW("seventeen octets."), "released key");
}

/* ---- sealing ---- */

static bst_result refused_blobs(struct run *run, bst_key key, struct bst_view blob)
{
    bst_auto(buf) out = {0}, changed = {0};
    BST_TRY(expect(bst_se_unseal(run->se, key, BST_VIEW("b"), blob, &out), BST_E_BAD_MAC,
                   "opening with other associated data"));
    BST_TRY(expect(bst_se_unseal(run->se, key, BST_VIEW("a"), bst_view_of(blob.ptr, 20), &out),
                   BST_E_TRUNCATED, "opening a blob that is cut off"));
    bst_buf_addv(&changed, blob);
    BST_TRY(bst_buf_check(&changed));
    changed.ptr[changed.len - 1] ^= 1;
    BST_TRY(expect(bst_se_unseal(run->se, key, BST_VIEW("a"), bst_buf_view(&changed), &out),
                   BST_E_BAD_MAC, "opening a changed blob"));
    changed.ptr[0] = 9;
    return expect(bst_se_unseal(run->se, key, BST_VIEW("a"), bst_buf_view(&changed), &out),
                  BST_E_VERSION, "opening a blob of another format");
}

static bst_result sealing(struct run *run)
{
    bst_auto(held_key) key = {0};
    bst_auto(buf) blob = {0}, empty = {0}, out = {0};
    BST_TRY(make(run, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL, &key));
    BST_TRY(bst_se_seal(run->se, key.key, BST_VIEW("a"), BST_VIEW("sealed text"), &blob));
    BST_TRY(bst_se_unseal(run->se, key.key, BST_VIEW("a"), bst_buf_view(&blob), &out));
    BST_TRY(same(bst_buf_view(&out), BST_VIEW("sealed text"), "sealing"));
    BST_TRY(bst_se_seal(run->se, key.key, BST_VIEW(""), BST_VIEW("x"), &empty));
    out.len = 0;
    BST_TRY(bst_se_unseal(run->se, key.key, BST_VIEW(""), bst_buf_view(&empty), &out));
    BST_TRY(same(bst_buf_view(&out), BST_VIEW("x"), "sealing without associated data"));
    return refused_blobs(run, key.key, bst_buf_view(&blob));
}

static bst_result sealing_outside(struct run *run)
{
    bst_auto(held_key) key = {0};
    bst_auto(secret) value = {0};
    bst_auto(buf) blob = {0}, out = {0};
    BST_TRY(bst_secret_init(&value, BST_AEAD_KEY_BYTES));
    BST_TRY(bst_random(value.ptr, value.len));
    BST_TRY(import(run, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL, &value, &key));
    struct bst_view bytes = bst_view_of(value.ptr, value.len);
    BST_TRY(bst_aead_seal(bytes, BST_VIEW("a"), BST_VIEW("made outside"), &blob));
    BST_TRY(bst_se_unseal(run->se, key.key, BST_VIEW("a"), bst_buf_view(&blob), &out));
    BST_TRY(same(bst_buf_view(&out), BST_VIEW("made outside"), "a blob sealed by software"));
    blob.len = out.len = 0;
    BST_TRY(bst_se_seal(run->se, key.key, BST_VIEW("a"), BST_VIEW("made inside"), &blob));
    BST_TRY(bst_aead_open(bytes, BST_VIEW("a"), bst_buf_view(&blob), &out));
    return same(bst_buf_view(&out), BST_VIEW("made inside"), "a blob sealed inside");
}

static bst_result agreement(struct run *run)
{
    bst_auto(held_key) key = {0};
    bst_auto(buf) spki = {0}, blob = {0};
    bst_auto(secret) out = {0}, none = {0};
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_AGREE, &key));
    BST_TRY(bst_se_key_public(run->se, key.key, &spki));
    BST_TRY(bst_ecies_seal(bst_buf_view(&spki), BST_VIEW("info"), BST_VIEW("file key"), &blob));
    BST_TRY(bst_se_ecies_open(run->se, key.key, BST_VIEW("info"), bst_buf_view(&blob), &out));
    BST_TRY(same(bst_view_of(out.ptr, out.len), BST_VIEW("file key"), "key agreement"));
    BST_TRY(
        expect(bst_se_ecies_open(run->se, key.key, BST_VIEW("other"), bst_buf_view(&blob), &none),
               BST_E_BAD_MAC, "opening for another purpose"));
    blob.ptr[10] ^= 1;
    return expect(bst_se_ecies_open(run->se, key.key, BST_VIEW("info"), bst_buf_view(&blob), &none),
                  BST_E_BAD_KEY, "a point that is not on the curve");
}

/* Shared secrets with a pair that only software has. */
struct far_end {
    enum bst_curve curve;
    uint8_t point[BST_CURVE_POINT_MAX];
    struct bst_secret z;
};
static void bst_far_end_clear(struct far_end *end)
{
    bst_secret_clear(&end->z);
}
#define auto_far_end __attribute__((cleanup(bst_far_end_clear))) struct far_end

static bst_result far_end(struct run *run, bst_key key, enum bst_curve curve, struct far_end *ret)
{
    bst_auto_pkey *outside = NULL;
    bst_auto(buf) spki = {0};
    uint8_t inside[BST_CURVE_POINT_MAX];
    ret->curve = curve;
    BST_TRY(bst_se_key_public(run->se, key, &spki));
    BST_TRY(bst_agree_point_load(curve, bst_buf_view(&spki), inside));
    BST_TRY(bst_agree_key_generate(curve, &outside));
    BST_TRY(bst_agree_key_point(curve, outside, ret->point));
    return bst_agree(curve, outside, bst_view_of(inside, bst_curve_point_bytes(curve)), &ret->z);
}

static struct bst_view far_point(const struct far_end *end)
{
    return bst_view_of(end->point, bst_curve_point_bytes(end->curve));
}

static bst_result agreed_octets(struct run *run, enum bst_key_type type, enum bst_curve curve)
{
    bst_auto(held_key) key = {0};
    auto_far_end far = {0};
    bst_auto(secret) got = {0}, none = {0};
    uint8_t expected[48];
    BST_TRY(make(run, type, BST_KEY_USE_AGREE, &key));
    BST_TRY(far_end(run, key.key, curve, &far));
    BST_TRY(bst_se_agree(run->se, key.key, far_point(&far), BST_VIEW("info"), 48, &got));
    BST_TRY(bst_x963_sha256(bst_view_of(far.z.ptr, far.z.len), BST_VIEW("info"), expected, 48));
    BST_TRY(same(bst_view_of(got.ptr, got.len), bst_view_of(expected, 48), "agreed octets"));
    return expect(bst_se_agree(run->se, key.key, BST_VIEW("x"), BST_VIEW(""), 16, &none),
                  BST_E_BAD_KEY, "agreeing with what is no public key");
}

static bst_result agreed_p256(struct run *run)
{
    return agreed_octets(run, BST_KEY_EC_P256, BST_CURVE_P256);
}
static bst_result agreed_x25519(struct run *run)
{
    return agreed_octets(run, BST_KEY_X25519, BST_CURVE_X25519);
}

static bst_result agreed_key(struct run *run)
{
    bst_auto(held_key) key = {0}, child = {.run = run};
    auto_far_end far = {0};
    bst_auto(secret) psk = {0};
    uint8_t expected[32];
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_AGREE, &key));
    BST_TRY(far_end(run, key.key, BST_CURVE_P256, &far));
    BST_TRY(bst_se_agree_key(run->se, key.key, far_point(&far), BST_VIEW("salt"), BST_VIEW("info"),
                             &attrs, &child.key));
    BST_TRY(bst_se_release_psk(run->se, child.key, "self-test", &psk));
    BST_TRY(bst_hkdf_sha256(BST_VIEW("salt"), bst_view_of(far.z.ptr, far.z.len), BST_VIEW("info"),
                            expected, sizeof expected));
    return same(bst_view_of(psk.ptr, psk.len), bst_view_of(expected, 32), "agreed key");
}

/* ---- random octets, counters ---- */

static bst_result random_octets(struct run *run)
{
    uint8_t a[32] = {0}, b[32] = {0};
    BST_TRY(bst_se_random(run->se, a, sizeof a));
    BST_TRY(bst_se_random(run->se, b, sizeof b));
    if (bst_equal_ct(a, b, sizeof a)) {
        BST_FAIL(BST_E_INTERNAL, "the same random octets came twice");
    }
    return BST_OK;
}

static bst_result reopen(struct run *run);

static bst_result counted(struct run *run, const char *name)
{
    uint64_t first, second, kept;
    BST_TRY(bst_se_counter_next(run->se, name, &first));
    BST_TRY(bst_se_counter_next(run->se, name, &second));
    BST_TRY(reopen(run));
    BST_TRY(bst_se_counter_get(run->se, name, &kept));
    if (second <= first || kept != second) {
        BST_FAIL(BST_E_INTERNAL, "a counter stands at %llu after %llu and %llu",
                 (unsigned long long)kept, (unsigned long long)first, (unsigned long long)second);
    }
    return BST_OK;
}

static bst_result counters(struct run *run)
{
    char name[64];
    bst_result done = counted(run, new_label(run, name));
    char said[512];
    snprintf(said, sizeof said, "%s", bst_error_detail());
    if (done.code != BST_E_SE_MECHANISM && done.code != BST_E_CONFIG && run->se) {
        bst_result removed = bst_se_counter_remove(run->se, name);
        if (!bst_failed(done)) {
            return removed;
        }
    }
    bst_error_set_detail(said);
    return done;
}

/* ---- keys that travel ---- */

static bst_result equal_values(struct run *run, bst_key a, bst_key b)
{
    uint8_t one[BST_SE_CHECK_BYTES], two[BST_SE_CHECK_BYTES];
    BST_TRY(bst_se_check_value(run->se, a, one));
    BST_TRY(bst_se_check_value(run->se, b, two));
    return same(bst_view_of(one, sizeof one), bst_view_of(two, sizeof two), "check value");
}

static bst_result travelled(struct run *run, bst_key kek, bst_key key, struct bst_held_key *ret)
{
    bst_auto(buf) blob = {0};
    bst_auto(held_key) none = {.run = run};
    struct bst_key_attrs attrs = {0};
    ret->run = run;
    BST_TRY(bst_se_wrap(run->se, kek, key, &blob));
    BST_TRY(bst_se_unwrap(run->se, kek, bst_buf_view(&blob), &attrs, &ret->key));
    blob.ptr[blob.len - 1] ^= 1;
    return expect(bst_se_unwrap(run->se, kek, bst_buf_view(&blob), &attrs, &none.key),
                  BST_E_BAD_MAC, "unwrapping what was changed");
}

static bst_result wrapped_secret(struct run *run)
{
    bst_auto(held_key) kek = {0}, key = {0}, back = {0};
    bst_auto(secret) psk = {0};
    BST_TRY(make(run, BST_KEY_SYMMETRIC, BST_KEY_USE_KEK, &kek));
    BST_TRY(import_text(run, BST_KEY_USE_PSK | BST_KEY_USE_WRAP, "nineteen octets....", &key));
    BST_TRY(travelled(run, kek.key, key.key, &back));
    BST_TRY(bst_se_release_psk(run->se, back.key, "self-test", &psk));
    BST_TRY(same(bst_view_of(psk.ptr, psk.len), BST_VIEW("nineteen octets...."), "unwrapped key"));
    return equal_values(run, key.key, back.key);
}

static bst_result wrapped_pair(struct run *run)
{
    bst_auto(held_key) kek = {0}, key = {0}, back = {0};
    BST_TRY(make(run, BST_KEY_SYMMETRIC, BST_KEY_USE_KEK, &kek));
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_SIGN | BST_KEY_USE_WRAP, &key));
    BST_TRY(travelled(run, kek.key, key.key, &back));
    BST_TRY(equal_values(run, key.key, back.key));
    return sign_with(run, back.key, BST_MD_SHA256);
}

/* As software computes it: two environments prove to each other that they hold one key. */
static bst_result check_values(struct run *run)
{
    bst_auto(held_key) key = {0};
    uint8_t inside[BST_SE_CHECK_BYTES], outside[BST_SHA256_BYTES];
    const struct bst_view text = BST_VIEW("bastide key check value");
    BST_TRY(import_text(run, BST_KEY_USE_PSK, "sixteen octets..", &key));
    BST_TRY(bst_se_check_value(run->se, key.key, inside));
    BST_TRY(bst_hmac_sha256(BST_VIEW("sixteen octets.."), &text, 1, outside));
    return same(bst_view_of(inside, sizeof inside), bst_view_of(outside, sizeof inside),
                "check value");
}

/* ---- what is not allowed ---- */

static bst_result try_use(struct run *run, bst_key key, uint32_t use)
{
    uint8_t mac[32];
    const struct bst_view part = BST_VIEW("x");
    bst_auto(buf) out = {0};
    bst_auto(secret) secret = {0};
    bst_auto(held_key) child = {.run = run};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    switch (use) {
    case BST_KEY_USE_MAC:
        return bst_se_mac(run->se, key, &part, 1, mac);
    case BST_KEY_USE_DERIVE:
        return bst_se_derive(run->se, key, &part, 1, &attrs, &child.key);
    case BST_KEY_USE_SIGN:
        return bst_se_sign(run->se, key, BST_MD_SHA256, part, &out);
    case BST_KEY_USE_SEAL:
        return bst_se_seal(run->se, key, part, part, &out);
    case BST_KEY_USE_PSK:
        return bst_se_release_psk(run->se, key, "self-test", &secret);
    default:
        return bst_se_ecies_open(run->se, key, part, part, &secret);
    }
}

/* Of a use that no key here has there is nothing to refuse. */
static bst_result denied_use(struct run *run, uint32_t use, unsigned *refused)
{
    bool pair = use == BST_KEY_USE_SIGN || use == BST_KEY_USE_AGREE;
    enum bst_key_type type = pair ? BST_KEY_EC_P256 : BST_KEY_SYMMETRIC;
    uint32_t all = pair ? BST_KEY_USE_SIGN | BST_KEY_USE_AGREE : SYMMETRIC_USES;
    uint32_t least = (pair ? BST_KEY_USE_SIGN : BST_KEY_USE_PSK) & ~use;
    bst_auto(held_key) key = {0};
    bst_result made = make(run, type, all & ~use, &key);
    if (made.code == BST_E_SE_MECHANISM && least) { /* as much of it as there can be */
        made = make(run, type, least, &key);
    }
    if (made.code == BST_E_SE_MECHANISM && *refused) {
        return BST_OK;
    }
    BST_TRY(made);
    ++*refused;
    return expect(try_use(run, key.key, use), BST_E_SE_USAGE, "a use that the key does not have");
}

static bst_result usage(struct run *run)
{
    static const uint32_t uses[] = {BST_KEY_USE_AGREE,  BST_KEY_USE_SIGN, BST_KEY_USE_MAC,
                                    BST_KEY_USE_DERIVE, BST_KEY_USE_SEAL, BST_KEY_USE_PSK};
    unsigned refused = 0;
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        BST_TRY(denied_use(run, uses[i], &refused));
    }
    return BST_OK;
}

static bst_result expiry(struct run *run)
{
    int64_t now = run->test->host->wall_us(run->test->host->ctx);
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .expires_us = now - 1};
    bst_auto(held_key) old = {0}, later = {0};
    BST_TRY(make_as(run, &attrs, &old));
    BST_TRY(expect(try_use(run, old.key, BST_KEY_USE_SIGN), BST_E_EXPIRED, "a key after its time"));
    attrs.expires_us = now + INT64_C(3600000000);
    BST_TRY(make_as(run, &attrs, &later));
    return try_use(run, later.key, BST_KEY_USE_SIGN);
}

static bst_result owners_apart(struct run *run, struct bst_se *alice, struct bst_se *bob)
{
    char label[64];
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = new_label(run, label)};
    bst_auto(held_key) key = {.run = run};
    bst_auto(buf) out = {0};
    bst_key found = 0;
    struct bst_key_info info;
    BST_TRY(bst_se_key_generate(alice, &attrs, &key.key));
    BST_TRY(bst_se_key_find(bob, label, &found));
    BST_ENSURE(found == 0, BST_E_INTERNAL);
    BST_TRY(expect(bst_se_key_info(bob, key.key, &info), BST_E_NOT_FOUND, "another owner's key"));
    BST_TRY(expect(bst_se_sign(bob, key.key, BST_MD_SHA256, BST_VIEW("m"), &out), BST_E_NOT_FOUND,
                   "signing with another owner's key"));
    BST_TRY(
        expect(bst_se_key_delete(bob, key.key), BST_E_NOT_FOUND, "deleting another owner's key"));
    BST_TRY(bst_se_key_find(alice, label, &found));
    BST_ENSURE(found == key.key, BST_E_INTERNAL);
    return BST_OK;
}

/* A label that is taken would show that somebody else has a key. Both are kept, where that can be.
 */
static bst_result labels_apart(struct run *run, struct bst_se *alice, struct bst_se *bob)
{
    char label[64];
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256,
                                  .uses = BST_KEY_USE_SIGN,
                                  .label = new_label(run, label),
                                  .persistent = true};
    bst_auto(held_key) hers = {.run = run}, his = {.run = run};
    bst_key found = 0;
    bst_result kept = bst_se_key_generate(alice, &attrs, &hers.key);
    attrs.persistent = kept.code != BST_E_CONFIG;
    BST_TRY(attrs.persistent ? kept : bst_se_key_generate(alice, &attrs, &hers.key));
    BST_TRY(bst_se_key_generate(bob, &attrs, &his.key));
    BST_TRY(expect(bst_se_key_generate(bob, &attrs, &found), BST_E_EXISTS, "a label of one's own"));
    BST_TRY(bst_se_key_delete(alice, hers.key));
    hers.key = 0;
    BST_TRY(bst_se_key_find(alice, label, &found));
    BST_ENSURE(found == 0, BST_E_INTERNAL);
    BST_TRY(bst_se_key_find(bob, label, &found));
    BST_ENSURE(found == his.key, BST_E_INTERNAL);
    return sign_with(run, his.key, BST_MD_SHA256);
}

static bst_result owners(struct run *run)
{
    struct bst_se *alice = NULL, *bob = NULL;
    BST_TRY(bst_se_for_owner(run->se, "self-test alice", &alice));
    bst_result done = bst_se_for_owner(run->se, "self-test bob", &bob);
    if (!bst_failed(done)) {
        done = owners_apart(run, alice, bob);
    }
    if (!bst_failed(done)) {
        done = labels_apart(run, alice, bob);
    }
    bst_se_close(&alice);
    bst_se_close(&bob);
    return done;
}

static bst_result labels(struct run *run)
{
    char label[64];
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = new_label(run, label)};
    bst_auto(held_key) key = {0}, again = {0};
    bst_auto(buf) out = {0};
    bst_key found = 0;
    BST_TRY(make_as(run, &attrs, &key));
    BST_TRY(expect(make_as(run, &attrs, &again), BST_E_EXISTS, "a second key with the same label"));
    BST_TRY(bst_se_key_delete(run->se, key.key));
    bst_key gone = key.key;
    key.key = 0;
    BST_TRY(bst_se_key_find(run->se, label, &found));
    BST_ENSURE(found == 0, BST_E_INTERNAL);
    BST_TRY(expect(bst_se_sign(run->se, gone, BST_MD_SHA256, BST_VIEW("m"), &out), BST_E_NOT_FOUND,
                   "signing with a deleted key"));
    return make_as(run, &attrs, &again);
}

/* ---- across a restart ---- */

static bool lists(const char *list, struct bst_view name)
{
    struct bst_view rest = bst_view(list), word;
    bool more = true;
    while (more) {
        more = bst_view_cut(&rest, ',', &word);
        if (bst_view_eq(bst_view_trim(word), name)) {
            return true;
        }
    }
    return false;
}

/* Some of what an environment lacks it learns by being asked for it, and forgets when it is closed.
 */
static void note_lacks(struct run *run)
{
    struct bst_se_about now;
    struct bst_view rest, word;
    char *lacks = run->test->about.lacks;
    bst_se_about(run->se, &now);
    rest = bst_view(now.lacks);
    while (rest.len) {
        (void)bst_view_cut(&rest, ',', &word);
        word = bst_view_trim(word);
        size_t len = strlen(lacks);
        if (!lists(lacks, word)) {
            snprintf(lacks + len, sizeof run->test->about.lacks - len, "%s%.*s", len ? ", " : "",
                     BST_VIEW_ARGS(word));
        }
    }
}

static bst_result reopen(struct run *run)
{
    note_lacks(run);
    bst_se_close(&run->se);
    return bst_se_open(run->test->host, run->test->uri, &run->se);
}

static bst_result find(struct run *run, const char *label, bst_key *ret)
{
    BST_TRY(bst_se_key_find(run->se, label, ret));
    if (!*ret) {
        BST_FAIL(BST_E_INTERNAL, "a kept key is not there after opening again");
    }
    return BST_OK;
}

#define KEEPER "self-test"

static bst_result find_owned(struct run *run, const char *label, bst_key *ret)
{
    return bst_se_key_find_of(run->se, KEEPER, label, ret);
}

static bst_result pair_stayed(struct run *run, const struct bst_key_attrs *was)
{
    bst_auto(held_key) key = {.run = run};
    struct bst_key_info info;
    BST_TRY(find_owned(run, was->label, &key.key));
    if (!key.key) {
        BST_FAIL(BST_E_INTERNAL, "a kept key is not there after opening again");
    }
    BST_TRY(bst_se_key_info(run->se, key.key, &info));
    BST_ENSURE(info.attrs.suid == was->suid && info.attrs.expires_us == was->expires_us &&
                   info.attrs.uses == was->uses && info.attrs.type == was->type &&
                   info.attrs.level <= run->test->about.level &&
                   strcmp(info.owner, was->owner) == 0,
               BST_E_INTERNAL);
    return sign_with(run, key.key, BST_MD_SHA256);
}

static bst_result is_gone(struct run *run, const char *label)
{
    bst_key key = 0;
    BST_TRY(find_owned(run, label, &key));
    return key ? bst_error_detailed(BST_E_INTERNAL, "a deleted key is back after opening again")
               : BST_OK;
}

static bst_result kept_pair(struct run *run)
{
    char label[64];
    bst_key key = 0;
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256,
        .uses = BST_KEY_USE_SIGN,
        .label = new_label(run, label),
        .owner = KEEPER,
        .suid = 12,
        .expires_us = run->test->host->wall_us(run->test->host->ctx) + INT64_C(3600000000),
        .persistent = true,
    };
    BST_TRY(bst_se_key_generate(run->se, &attrs, &key));
    BST_TRY(reopen(run));
    BST_TRY(pair_stayed(run, &attrs));
    BST_TRY(reopen(run));
    return is_gone(run, label);
}

static bst_result secret_stayed(struct run *run, const char *label, struct bst_view tag)
{
    bst_auto(held_key) key = {.run = run};
    uint8_t mac[32];
    BST_TRY(find(run, label, &key.key));
    BST_TRY(bst_se_mac(run->se, key.key, rfc4231_parts, 3, mac));
    return same(bst_view_of(mac, 32), tag, "MAC after opening again");
}

static bst_result kept_secret(struct run *run)
{
    char label[64];
    uint8_t mac[32];
    bst_key key = 0;
    struct bst_key_attrs attrs = {
        .uses = BST_KEY_USE_MAC, .label = new_label(run, label), .persistent = true};
    BST_TRY(bst_se_key_generate(run->se, &attrs, &key));
    BST_TRY(bst_se_mac(run->se, key, rfc4231_parts, 3, mac));
    BST_TRY(reopen(run));
    BST_TRY(secret_stayed(run, label, bst_view_of(mac, 32)));
    BST_TRY(reopen(run));
    BST_TRY(bst_se_key_find(run->se, label, &key));
    return key ? bst_error_detailed(BST_E_INTERNAL, "a deleted key is back after opening again")
               : BST_OK;
}

/* The handle stays, and storage knows the new label only. */
static bst_result renaming(struct run *run)
{
    char before[64], after[64];
    bst_auto(held_key) key = {.run = run};
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256,
                                  .uses = BST_KEY_USE_SIGN,
                                  .label = new_label(run, before),
                                  .persistent = true};
    bst_key found = 0;
    new_label(run, after);
    BST_TRY(bst_se_key_generate(run->se, &attrs, &key.key));
    BST_TRY(bst_se_key_rename(run->se, key.key, after));
    BST_TRY(
        expect(bst_se_key_rename(run->se, key.key, after), BST_E_EXISTS, "a label that is taken"));
    BST_TRY(sign_with(run, key.key, BST_MD_SHA256));
    key.key = 0;
    BST_TRY(reopen(run));
    BST_TRY(find(run, after, &key.key));
    BST_TRY(sign_with(run, key.key, BST_MD_SHA256));
    BST_TRY(bst_se_key_find(run->se, before, &found));
    return found ? bst_error_detailed(BST_E_INTERNAL, "the old label is back after opening again")
                 : BST_OK;
}

/* ---- data ---- */

static bst_result put_data(struct run *run, const struct bst_key_attrs *attrs,
                           struct bst_held_key *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_copy(&value, "octets to keep", 14));
    ret->run = run;
    return bst_se_key_import(run->se, attrs, &value, &ret->key);
}

static bst_result read_data(struct run *run, bst_key key, struct bst_view wanted)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_se_data_read(run->se, key, "self-test", &value));
    return same(bst_view_of(value.ptr, value.len), wanted, "data");
}

/* The longest, whose place on a token is the least certain. */
static bst_result replace_data(struct run *run, bst_key key, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_init(&value, BST_KEY_DATA_MAX));
    memset(value.ptr, 'd', value.len);
    bst_buf_add(ret, value.ptr, value.len);
    BST_TRY(bst_se_data_replace(run->se, key, &value));
    return read_data(run, key, bst_buf_view(ret));
}

static bst_result data_is_no_key(struct run *run, bst_key key)
{
    bst_auto(secret) psk = {0};
    bst_auto(buf) out = {0};
    uint8_t mac[BST_SHA256_BYTES];
    BST_TRY(expect(bst_se_release_psk(run->se, key, "self-test", &psk), BST_E_SE_USAGE,
                   "data as a pre-shared key"));
    BST_TRY(expect(bst_se_mac(run->se, key, NULL, 0, mac), BST_E_SE_USAGE, "a MAC by data"));
    return expect(bst_se_sign(run->se, key, BST_MD_SHA256, BST_VIEW("m"), &out), BST_E_SE_USAGE,
                  "a signature by data");
}

static bst_result data_passing(struct run *run)
{
    const struct bst_key_attrs attrs = {.type = BST_KEY_DATA, .uses = BST_KEY_USE_READ};
    bst_auto(held_key) held = {0}, key = {0};
    bst_auto(buf) text = {0};
    bst_auto(secret) value = {0};
    BST_TRY(put_data(run, &attrs, &held));
    BST_TRY(read_data(run, held.key, BST_VIEW("octets to keep")));
    BST_TRY(data_is_no_key(run, held.key));
    BST_TRY(replace_data(run, held.key, &text));
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_SIGN, &key));
    BST_TRY(bst_secret_copy(&value, "x", 1));
    BST_TRY(expect(bst_se_data_replace(run->se, key.key, &value), BST_E_SE_USAGE,
                   "another value for a key"));
    return expect(bst_se_data_read(run->se, key.key, "self-test", &value), BST_E_SE_USAGE,
                  "reading a key");
}

static bst_result data_kept(struct run *run)
{
    char label[64];
    const struct bst_key_attrs attrs = {
        .type = BST_KEY_DATA,
        .uses = BST_KEY_USE_READ,
        .label = new_label(run, label),
        .owner = KEEPER,
        .suid = 12,
        .persistent = true,
    };
    bst_auto(held_key) held = {0}, again = {0};
    bst_auto(buf) text = {0};
    struct bst_key_info info;
    BST_TRY(put_data(run, &attrs, &held));
    BST_TRY(expect(put_data(run, &attrs, &again), BST_E_EXISTS, "data with the same label"));
    BST_TRY(replace_data(run, held.key, &text));
    held.key = 0;
    BST_TRY(reopen(run));
    BST_TRY(find_owned(run, label, &held.key));
    BST_TRY(bst_se_key_info(run->se, held.key, &info));
    BST_ENSURE(info.attrs.type == BST_KEY_DATA && info.attrs.suid == 12, BST_E_INTERNAL);
    BST_TRY(read_data(run, held.key, bst_buf_view(&text)));
    BST_TRY(bst_se_key_delete(run->se, held.key));
    held.key = 0;
    BST_TRY(reopen(run));
    return is_gone(run, label);
}

/* ---- with the rest of the world ---- */

static bst_result key_object(struct run *run)
{
    bst_auto(held_key) key = {0};
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) der = {0};
    struct bst_csr csr = {0};
    struct bst_cert_san san = {BST_CERT_FQDN, BST_VIEW("selftest.example.com")};
    struct bst_cert_spec spec = {.common_name = BST_VIEW("self-test"), .sans = &san, .n_sans = 1};
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_SIGN, &key));
    BST_TRY(bst_se_pkey(run->se, key.key, &pkey));
    BST_TRY(bst_csr_build(&spec, pkey, &der));
    bst_result parsed = bst_csr_parse(bst_buf_view(&der), &csr);
    bst_csr_clear(&csr);
    return parsed;
}

static bst_result levels(struct run *run)
{
    bst_auto(held_key) made = {0}, brought = {0};
    struct bst_key_info info;
    BST_TRY(make(run, BST_KEY_EC_P256, BST_KEY_USE_SIGN, &made));
    BST_TRY(bst_se_key_info(run->se, made.key, &info));
    BST_ENSURE(info.attrs.level <= run->test->about.level, BST_E_INTERNAL);
    bst_result imported = import_text(run, BST_KEY_USE_PSK, "sixteen octets..", &brought);
    if (imported.code == BST_E_SE_MECHANISM) {
        return BST_OK; /* there are no keys that were outside */
    }
    BST_TRY(imported);
    BST_TRY(bst_se_key_info(run->se, brought.key, &info));
    if (info.attrs.level > 1) {
        BST_FAIL(BST_E_INTERNAL, "a key that was outside is said to have level %d",
                 info.attrs.level);
    }
    return BST_OK;
}

static const struct {
    const char *name;
    bst_result (*run)(struct run *run);
} checks[] = {
    {"make an EC P-256 pair and sign (ECDSA)", pair_p256},
    {"make an EC P-384 pair and sign (ECDSA)", pair_p384},
    {"make an Ed25519 pair and sign (EdDSA)", pair_ed25519},
    {"import an EC P-256 pair", import_p256},
    {"import an EC P-384 pair", import_p384},
    {"import an Ed25519 pair", import_ed25519},
    {"authenticate messages (HMAC-SHA-256)", macs},
    {"derive keys (HMAC-SHA-256)", derivation},
    {"derive keys (HKDF-SHA-256)", hkdf},
    {"release a pre-shared key to a handshake", release},
    {"seal and open (AES-256-GCM)", sealing},
    {"seal and open as software does", sealing_outside},
    {"agree on a key (ECDH P-256)", agreement},
    {"agree on octets (ECDH P-256, X9.63)", agreed_p256},
    {"agree on octets (X25519, X9.63)", agreed_x25519},
    {"agree on a key inside (ECDH P-256, HKDF)", agreed_key},
    {"give random octets", random_octets},
    {"count up, and keep the count", counters},
    {"wrap a secret key and unwrap it (RFC 5649)", wrapped_secret},
    {"wrap an EC P-256 pair and unwrap it (RFC 5649)", wrapped_pair},
    {"prove equality of keys (check value)", check_values},
    {"refuse every use that a key does not have", usage},
    {"refuse keys after their time", expiry},
    {"keep owners apart", owners},
    {"find keys by their labels", labels},
    {"keep pairs over opening again", kept_pair},
    {"keep secret keys over opening again", kept_secret},
    {"give a kept key another label", renaming},
    {"hold data, and take it for no key", data_passing},
    {"keep data over opening again", data_kept},
    {"sign a certificate request as an OpenSSL key", key_object},
    {"tell the protection level of each key", levels},
};

/* ---- the run ---- */

struct leftover {
    const char *prefix;
    bst_key key;
};

static bool is_leftover(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct leftover *l = ctx;
    bool ours = strncmp(attrs->label, l->prefix, strlen(l->prefix)) == 0;
    l->key = ours ? key : 0;
    return !ours;
}

/* A failed check may have left keys. */
static bst_result clean_up(struct run *run)
{
    for (unsigned i = 0; i <= run->made; i++) {
        struct leftover l = {.prefix = run->prefix};
        BST_TRY(bst_se_key_list(run->se, is_leftover, &l));
        if (!l.key) {
            return BST_OK;
        }
        BST_TRY(bst_se_key_delete(run->se, l.key));
    }
    return BST_OK;
}

static void tell(struct bst_se_selftest *test, const char *name, bst_result outcome)
{
    /* CONFIG: the address leaves it out, as se:soft without a folder does. */
    bool cannot = outcome.code == BST_E_SE_MECHANISM || outcome.code == BST_E_CONFIG;
    enum bst_se_verdict verdict = cannot                ? BST_SE_CANNOT
                                  : bst_failed(outcome) ? BST_SE_FAILED
                                                        : BST_SE_PASSED;
    char detail[512] = "";
    if (bst_failed(outcome)) {
        snprintf(detail, sizeof detail, "%s",
                 bst_error_detail()[0] ? bst_error_detail() : bst_error_text(outcome.code));
    }
    test->passed += verdict == BST_SE_PASSED;
    test->failed += verdict == BST_SE_FAILED;
    test->cannot += verdict == BST_SE_CANNOT;
    test->each(test->ctx, name, verdict, detail);
}

static bst_result name_run(struct run *run)
{
    uint8_t random[8];
    bst_auto(buf) hex = {0};
    BST_TRY(bst_random(random, sizeof random));
    bst_hex_add(&hex, bst_view_of(random, sizeof random), false);
    BST_TRY(bst_buf_check(&hex));
    snprintf(run->prefix, sizeof run->prefix, "selftest.%.*s.", BST_VIEW_ARGS(bst_buf_view(&hex)));
    return BST_OK;
}

static bst_result still_open(struct run *run)
{
    return run->se ? BST_OK : bst_se_open(run->test->host, run->test->uri, &run->se);
}

bst_result bst_se_selftest(struct bst_se_selftest *test)
{
    struct run run = {.test = test};
    test->passed = test->failed = test->cannot = 0;
    BST_TRY(name_run(&run));
    BST_TRY(bst_se_open(test->host, test->uri, &run.se));
    bst_se_about(run.se, &test->about);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        bst_result ready = still_open(&run);
        tell(test, checks[i].name, bst_failed(ready) ? ready : checks[i].run(&run));
    }
    bst_result clean = still_open(&run);
    tell(test, "leave nothing behind", bst_failed(clean) ? clean : clean_up(&run));
    if (run.se) {
        note_lacks(&run);
    }
    bst_se_close(&run.se);
    return BST_OK;
}
