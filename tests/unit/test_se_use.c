#include "support/test.h"

#include "crypto/aead.h"
#include "crypto/pkey.h"
#include "crypto/x509.h"
#include "se/se.h"
#include "support/hex.h"
#include "support/se_host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct test_host host;

static struct bst_se *open_soft(void)
{
    struct bst_se *se = NULL;
    test_host_init(&host);
    assert_ok(bst_se_open(&host.host, "se:soft", &se));
    return se;
}

static bst_key import_text(struct bst_se *se, const char *label, uint32_t uses, const char *text)
{
    struct bst_key_attrs attrs = {.label = label, .uses = uses};
    bst_auto(secret) value = {0};
    bst_key key = 0;
    assert_ok(bst_secret_copy(&value, text, strlen(text)));
    assert_ok(bst_se_key_import(se, &attrs, &value, &key));
    return key;
}

static bst_key generate(struct bst_se *se, enum bst_key_type type, uint32_t uses)
{
    struct bst_key_attrs attrs = {.type = type, .uses = uses};
    bst_key key = 0;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    return key;
}

/* ---- operations ---- */

static void a_key_makes_macs_as_outside(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = import_text(se, "mac", BST_KEY_USE_MAC, "Jefe");
    const struct bst_view parts[] = {BST_VIEW("what do ya want "), BST_VIEW("for nothing?")};
    uint8_t out[32];
    assert_ok(bst_se_mac(se, key, parts, 2, out));
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void a_derived_key_is_hmac_of_its_parent_and_stays_inside(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key parent = import_text(se, "ke", BST_KEY_USE_DERIVE, "Jefe"), child = 0;
    const struct bst_view parts[] = {BST_VIEW("what do ya want "), BST_VIEW("for nothing?")};
    struct bst_key_attrs attrs = {.label = "km", .uses = BST_KEY_USE_PSK, .suid = 22};
    assert_ok(bst_se_derive(se, parent, parts, 2, &attrs, &child));
    bst_auto(secret) psk = {0};
    assert_ok(bst_se_release_psk(se, child, "test", &psk));
    assert_hex(psk.ptr, psk.len,
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    struct bst_key_info info;
    assert_ok(bst_se_key_info(se, child, &info));
    assert_int_equal(info.attrs.level, 1);
    assert_int_equal(info.attrs.suid, 22);
}

static void an_hkdf_key_is_that_of_rfc_5869(void **state)
{
    AUTO_SE *se = open_soft();
    bst_auto(buf) ikm = test_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
                  salt = test_hex("000102030405060708090a0b0c"),
                  info = test_hex("f0f1f2f3f4f5f6f7f8f9");
    bst_auto(secret) value = {0}, psk = {0};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_DERIVE}, child = {.uses = BST_KEY_USE_PSK};
    bst_key parent = 0, key = 0;
    assert_ok(bst_secret_copy(&value, ikm.ptr, ikm.len));
    assert_ok(bst_se_key_import(se, &attrs, &value, &parent));
    assert_ok(bst_se_hkdf(se, parent, bst_buf_view(&salt), bst_buf_view(&info), &child, &key));
    assert_ok(bst_se_release_psk(se, key, "test", &psk));
    assert_hex(psk.ptr, 32, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

static void an_export_becomes_a_key_and_its_identifier(void **state)
{
    AUTO_SE *se = open_soft();
    uint8_t export48[48], id[16], zeros[48] = {0};
    for (int i = 0; i < 48; i++) {
        export48[i] = (uint8_t)i;
    }
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
    bst_key key = 0;
    assert_ok(bst_se_import_export(se, &attrs, export48, id, &key));
    assert_hex(id, 16, "000102030405060708090a0b0c0d0e0f");
    assert_memory_equal(export48, zeros, 48);
    bst_auto(secret) psk = {0};
    assert_ok(bst_se_release_psk(se, key, "test", &psk));
    assert_hex(psk.ptr, psk.len,
               "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f");
}

static void what_a_key_seals_it_opens_and_nothing_else(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    bst_key other = generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    bst_auto(buf) blob = {0}, out = {0};
    assert_ok(bst_se_seal(se, key, BST_VIEW("a"), BST_VIEW("text"), &blob));
    assert_ok(bst_se_unseal(se, key, BST_VIEW("a"), bst_buf_view(&blob), &out));
    assert_true(bst_view_is(bst_buf_view(&out), "text"));
    assert_err(bst_se_unseal(se, other, BST_VIEW("a"), bst_buf_view(&blob), &out), BST_E_BAD_MAC);
    assert_err(bst_se_unseal(se, key, BST_VIEW("b"), bst_buf_view(&blob), &out), BST_E_BAD_MAC);
}

static void every_type_of_pair_signs_inside(void **state)
{
    AUTO_SE *se = open_soft();
    for (int type = BST_KEY_EC_P256; type <= BST_KEY_ED25519; type++) {
        bst_key key = generate(se, (enum bst_key_type)type, BST_KEY_USE_SIGN);
        enum bst_md md = type == BST_KEY_ED25519 ? BST_MD_NONE : BST_MD_SHA256;
        bst_auto(buf) spki = {0}, signature = {0};
        bst_auto_pkey *public_half = NULL;
        assert_ok(bst_se_key_public(se, key, &spki));
        assert_ok(bst_se_sign(se, key, md, BST_VIEW("message"), &signature));
        assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &public_half));
        assert_ok(bst_pkey_verify(public_half, md, BST_VIEW("message"), bst_buf_view(&signature)));
    }
}

static void an_imported_pair_is_used_and_one_of_another_type_refused(void **state)
{
    AUTO_SE *se = open_soft();
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0}, garbage = {0};
    bst_auto(buf) a = {0}, b = {0};
    bst_key key = 0;
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &der));
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "k"};
    assert_ok(bst_se_key_import(se, &attrs, &der, &key));
    assert_ok(bst_se_key_public(se, key, &a));
    assert_ok(bst_pkey_spki(pkey, &b));
    assert_true(bst_view_eq(bst_buf_view(&a), bst_buf_view(&b)));
    attrs = (struct bst_key_attrs){.type = BST_KEY_EC_P384, .uses = BST_KEY_USE_SIGN, .label = "l"};
    assert_err(bst_se_key_import(se, &attrs, &der, &key), BST_E_BAD_KEY);
    assert_ok(bst_secret_copy(&garbage, "garbage", 7));
    assert_err(bst_se_key_import(se, &attrs, &garbage, &key), BST_E_BAD_KEY);
    /* The failed import has not taken the label. */
    assert_ok(bst_se_key_generate(se, &attrs, &key));
}

static void what_was_encrypted_to_a_key_opens_inside(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = generate(se, BST_KEY_EC_P256, BST_KEY_USE_AGREE);
    bst_auto(buf) spki = {0}, blob = {0};
    bst_auto(secret) out = {0};
    assert_ok(bst_se_key_public(se, key, &spki));
    assert_ok(bst_ecies_seal(bst_buf_view(&spki), BST_VIEW("backup"), BST_VIEW("file key"), &blob));
    assert_ok(bst_se_ecies_open(se, key, BST_VIEW("backup"), bst_buf_view(&blob), &out));
    assert_memory_equal(out.ptr, "file key", 8);
}

static void an_inside_key_signs_a_certificate(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = generate(se, BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_auto_pkey *pkey = NULL, *public_half = NULL;
    bst_auto(buf) der = {0}, signature = {0}, spki = {0};
    assert_ok(bst_se_pkey(se, key, &pkey));
    struct bst_cert_spec spec = {.common_name = BST_VIEW("ca"),
                                 .ca = true,
                                 .path_len = -1,
                                 .not_before_us = TEST_HOST_WALL_US,
                                 .not_after_us =
                                     TEST_HOST_WALL_US + BST_KEY_LABEL_MAX * INT64_C(1000000)};
    assert_ok(bst_cert_issue(&spec, pkey, NULL, pkey, &der));
    assert_ok(bst_pkey_sign(pkey, BST_MD_SHA256, BST_VIEW("m"), &signature));
    assert_ok(bst_se_key_public(se, key, &spki));
    assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &public_half));
    assert_ok(bst_pkey_verify(public_half, BST_MD_SHA256, BST_VIEW("m"), bst_buf_view(&signature)));
    /* The key object outlives the environment's handle, not the key. */
    assert_ok(bst_se_key_delete(se, key));
    assert_err(bst_pkey_sign(pkey, BST_MD_SHA256, BST_VIEW("m"), &signature), BST_E_CRYPTO);
    assert_non_null(strstr(bst_error_detail(), "gone"));
}

/* ---- what is not allowed ---- */

/* Every operation on a key that may be used for everything else. */
static bst_result try_use(struct bst_se *se, bst_key key, uint32_t use)
{
    uint8_t mac[32];
    const struct bst_view part = BST_VIEW("x");
    bst_auto(buf) out = {0};
    bst_auto(secret) secret = {0};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    bst_key child;
    switch (use) {
    case BST_KEY_USE_MAC:
        return bst_se_mac(se, key, &part, 1, mac);
    case BST_KEY_USE_DERIVE:
        return bst_se_derive(se, key, &part, 1, &attrs, &child);
    case BST_KEY_USE_SIGN:
        return bst_se_sign(se, key, BST_MD_SHA256, part, &out);
    case BST_KEY_USE_SEAL:
        return bst_se_seal(se, key, part, part, &out);
    case BST_KEY_USE_PSK:
        return bst_se_release_psk(se, key, "test", &secret);
    default:
        return bst_se_ecies_open(se, key, part, part, &secret);
    }
}

static const struct {
    enum bst_key_type type;
    uint32_t uses;
} key_types[] = {
    {BST_KEY_SYMMETRIC,
     BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | BST_KEY_USE_SEAL | BST_KEY_USE_PSK | BST_KEY_USE_WRAP},
    {BST_KEY_EC_P256, BST_KEY_USE_SIGN | BST_KEY_USE_AGREE},
};

static void each_use_is_refused_without_its_permission(void **state)
{
    AUTO_SE *se = open_soft();
    for (uint32_t use = 1; use <= BST_KEY_USE_AGREE; use <<= 1) {
        for (size_t i = 0; i < 2; i++) {
            bst_key key = generate(se, key_types[i].type, key_types[i].uses & ~use);
            assert_err(try_use(se, key, use), BST_E_SE_USAGE);
        }
    }
    bst_key key = generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_DERIVE);
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    assert_ok(bst_se_hkdf(se, key, BST_VIEW(""), BST_VIEW(""), &attrs, &key));
    assert_err(bst_se_hkdf(se, key, BST_VIEW(""), BST_VIEW(""), &attrs, &key), BST_E_SE_USAGE);
    bst_auto(buf) out = {0};
    assert_err(bst_se_unseal(se, key, BST_VIEW(""), BST_VIEW(""), &out), BST_E_SE_USAGE);
}

static void each_use_is_allowed_with_it(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key symmetric = generate(se, BST_KEY_SYMMETRIC, key_types[0].uses);
    bst_key pair = generate(se, BST_KEY_EC_P256, key_types[1].uses);
    assert_ok(try_use(se, symmetric, BST_KEY_USE_MAC));
    assert_ok(try_use(se, symmetric, BST_KEY_USE_DERIVE));
    assert_ok(try_use(se, symmetric, BST_KEY_USE_SEAL));
    assert_ok(try_use(se, symmetric, BST_KEY_USE_PSK));
    assert_ok(try_use(se, pair, BST_KEY_USE_SIGN));
    assert_err(try_use(se, pair, BST_KEY_USE_AGREE), BST_E_TRUNCATED); /* allowed, but no blob */
}

static void a_type_cannot_be_given_a_use_that_it_has_not(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = 0;
    struct bst_key_attrs bad[] = {
        {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_SIGN},
        {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_PSK},
        {.type = BST_KEY_ED25519, .uses = BST_KEY_USE_AGREE},
        {.type = BST_KEY_SYMMETRIC, .uses = 1u << 20},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_se_key_generate(se, &bad[i], &key), BST_E_SE_USAGE);
    }
}

static void an_expired_key_is_refused_for_every_use(void **state)
{
    AUTO_SE *se = open_soft();
    struct bst_key_attrs attrs = {.uses = key_types[0].uses, .expires_us = TEST_HOST_WALL_US + 1};
    bst_key key = 0;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    assert_ok(try_use(se, key, BST_KEY_USE_PSK));
    host.wall_us++;
    assert_err(try_use(se, key, BST_KEY_USE_PSK), BST_E_EXPIRED);
    assert_err(try_use(se, key, BST_KEY_USE_MAC), BST_E_EXPIRED);
    assert_err(try_use(se, key, BST_KEY_USE_DERIVE), BST_E_EXPIRED);
    assert_err(try_use(se, key, BST_KEY_USE_SEAL), BST_E_EXPIRED);
    assert_ok(bst_se_key_delete(se, key));
}

static void an_owner_sees_only_its_own_keys(void **state)
{
    AUTO_SE *se = open_soft();
    AUTO_SE *alice = NULL, *bob = NULL;
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    bst_key key = import_text(alice, "alice.key", BST_KEY_USE_PSK, "secret of alice"), found = 0;
    struct bst_key_info info;
    bst_auto(secret) psk = {0};
    assert_ok(bst_se_key_find(bob, "alice.key", &found));
    assert_int_equal(found, 0);
    assert_err(bst_se_key_info(bob, key, &info), BST_E_NOT_FOUND);
    assert_err(bst_se_release_psk(bob, key, "test", &psk), BST_E_NOT_FOUND);
    assert_err(bst_se_key_delete(bob, key), BST_E_NOT_FOUND);
    assert_int_equal(bst_se_key_count(bob), 0);
    assert_int_equal(bst_se_key_count(alice), 1);
    assert_int_equal(bst_se_key_count(se), 1);
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .owner = "alice"};
    assert_err(bst_se_key_generate(bob, &attrs, &found), BST_E_DENIED);
    AUTO_SE *more = NULL;
    assert_err(bst_se_for_owner(bob, "alice", &more), BST_E_DENIED);
    assert_ok(bst_se_key_find(se, "alice.key", &found));
    assert_int_equal(found, 0); /* among those of nobody */
    assert_ok(bst_se_key_find_of(se, "alice", "alice.key", &found));
    assert_int_equal(found, key);
    assert_ok(bst_se_key_find_of(bob, "alice", "alice.key", &found));
    assert_int_equal(found, 0);
    assert_ok(bst_se_key_info(alice, key, &info));
    assert_string_equal(info.attrs.owner, "alice");
}

static void a_label_of_one_owner_says_nothing_to_another(void **state)
{
    AUTO_SE *se = open_soft();
    AUTO_SE *alice = NULL, *bob = NULL;
    bst_key keys[4] = {0}, found = 0;
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    keys[0] = import_text(alice, "tls", BST_KEY_USE_MAC, "alice");
    keys[1] = import_text(bob, "tls", BST_KEY_USE_MAC, "bob");
    keys[2] = import_text(se, "tls", BST_KEY_USE_MAC, "nobody");
    struct bst_se *const views[] = {alice, bob, se};
    for (size_t i = 0; i < 3; i++) {
        struct bst_key_attrs again = {.label = "tls", .uses = BST_KEY_USE_MAC};
        assert_ok(bst_se_key_find(views[i], "tls", &found));
        assert_int_equal(found, keys[i]);
        assert_err(bst_se_key_generate(views[i], &again, &keys[3]), BST_E_EXISTS);
    }
    /* The view that sees all names an owner. */
    struct bst_key_attrs hers = {.label = "tls", .owner = "alice", .uses = BST_KEY_USE_MAC};
    assert_err(bst_se_key_generate(se, &hers, &keys[3]), BST_E_EXISTS);
    assert_ok(bst_se_key_delete(alice, keys[0]));
    assert_ok(bst_se_key_find(bob, "tls", &found));
    assert_int_equal(found, keys[1]);
    assert_ok(bst_se_key_generate(se, &hers, &keys[3]));
    assert_ok(bst_se_key_find(alice, "tls", &found));
    assert_int_equal(found, keys[3]);
    assert_int_equal(bst_se_key_count(se), 3);
}

/* ---- data ---- */

static bst_key put(struct bst_se *se, const char *label, const char *text)
{
    const struct bst_key_attrs attrs = {
        .type = BST_KEY_DATA, .uses = BST_KEY_USE_READ, .label = label, .suid = 22};
    bst_auto(secret) value = {0};
    bst_key key = 0;
    assert_ok(bst_secret_copy(&value, text, strlen(text)));
    assert_ok(bst_se_key_import(se, &attrs, &value, &key));
    return key;
}

static bool reads(struct bst_se *se, bst_key key, const char *text)
{
    bst_auto(secret) value = {0};
    assert_ok(bst_se_data_read(se, key, "test", &value));
    return bst_view_is(bst_view_of(value.ptr, value.len), text);
}

static bst_result replace(struct bst_se *se, bst_key key, const char *text, size_t len)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_init(&value, len));
    memcpy(value.ptr, text, strlen(text) < len ? strlen(text) : len);
    return bst_se_data_replace(se, key, &value);
}

static void data_is_kept_read_replaced_and_removed(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = put(se, "note", "octets of a note"), found = 0;
    struct bst_key_info info;
    assert_true(reads(se, key, "octets of a note"));
    assert_ok(replace(se, key, "others", 6));
    assert_true(reads(se, key, "others"));
    assert_ok(bst_se_key_find(se, "note", &found));
    assert_int_equal(found, key);
    assert_ok(bst_se_key_info(se, key, &info));
    assert_int_equal(info.attrs.type, BST_KEY_DATA);
    assert_int_equal(info.attrs.suid, 22);
    bst_key nameless = put(se, NULL, "no name");
    assert_ok(replace(se, nameless, "another", 7));
    assert_true(reads(se, nameless, "another"));
    assert_ok(bst_se_key_delete(se, key));
    assert_err(replace(se, key, "late", 4), BST_E_NOT_FOUND);
    assert_int_equal(bst_se_key_count(se), 1);
}

static void data_is_no_key_and_a_key_no_data(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key data = put(se, "note", "0123456789abcdef0123456789abcdef"), key = 0;
    key = import_text(se, "key", BST_KEY_USE_MAC | BST_KEY_USE_PSK, "a key");
    bst_auto(secret) out = {0};
    bst_auto(buf) buf = {0};
    uint8_t mac[32];
    assert_err(bst_se_data_read(se, key, "test", &out), BST_E_SE_USAGE);
    assert_err(replace(se, key, "b key", 5), BST_E_SE_USAGE);
    assert_err(bst_se_release_psk(se, data, "test", &out), BST_E_SE_USAGE);
    assert_err(bst_se_mac(se, data, NULL, 0, mac), BST_E_SE_USAGE);
    assert_err(bst_se_sign(se, data, BST_MD_SHA256, BST_VIEW("m"), &buf), BST_E_SE_USAGE);
    assert_err(bst_se_seal(se, data, BST_VIEW(""), BST_VIEW(""), &buf), BST_E_SE_USAGE);
    assert_err(bst_se_key_public(se, data, &buf), BST_E_BAD_KEY);
    struct bst_key_attrs attrs = {.type = BST_KEY_DATA, .uses = BST_KEY_USE_READ};
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_USAGE);
    attrs.uses |= BST_KEY_USE_PSK;
    assert_ok(bst_secret_copy(&out, "x", 1));
    assert_err(bst_se_key_import(se, &attrs, &out, &key), BST_E_SE_USAGE);
    attrs = (struct bst_key_attrs){.uses = BST_KEY_USE_READ};
    assert_err(bst_se_key_import(se, &attrs, &out, &key), BST_E_SE_USAGE);
}

static void data_has_a_length_an_end_and_an_owner(void **state)
{
    AUTO_SE *se = open_soft();
    AUTO_SE *alice = NULL, *bob = NULL;
    bst_auto(secret) value = {0};
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    bst_key key = put(alice, "note", "hers"), late = 0;
    assert_err(bst_se_data_read(bob, key, "test", &value), BST_E_NOT_FOUND);
    assert_err(replace(bob, key, "his", 3), BST_E_NOT_FOUND);
    assert_ok(replace(alice, key, "longest", BST_KEY_DATA_MAX));
    assert_err(replace(alice, key, "longer", BST_KEY_DATA_MAX + 1), BST_E_TOO_LONG);
    assert_ok(bst_se_data_read(alice, key, "test", &value));
    assert_int_equal(value.len, BST_KEY_DATA_MAX);
    struct bst_key_attrs attrs = {
        .type = BST_KEY_DATA, .uses = BST_KEY_USE_READ, .expires_us = TEST_HOST_WALL_US + 1};
    assert_ok(bst_se_key_import(se, &attrs, &value, &late));
    bst_secret_clear(&value);
    assert_ok(bst_se_data_read(se, late, "test", &value));
    host.wall_us++;
    bst_secret_clear(&value);
    assert_err(bst_se_data_read(se, late, "test", &value), BST_E_EXPIRED);
}

static void a_digest_is_that_of_the_standard(void **state)
{
    AUTO_SE *se = open_soft();
    uint8_t out[64];
    assert_ok(bst_se_hash(se, BST_MD_SHA256, BST_VIEW("abc"), out));
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(bst_se_hash(se, BST_MD_SHA384, BST_VIEW("abc"), out));
    assert_hex(out, 48,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
               "8086072ba1e7cc2358baeca134c825a7");
    assert_ok(bst_se_hash(se, BST_MD_SHA512, BST_VIEW("abc"), out));
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    assert_err(bst_se_hash(se, BST_MD_NONE, BST_VIEW("abc"), out), BST_E_USAGE);
}

static void a_label_names_one_key_until_it_is_deleted(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = import_text(se, "one", BST_KEY_USE_MAC, "1"), found = 0;
    struct bst_key_attrs attrs = {.label = "one", .uses = BST_KEY_USE_MAC};
    assert_err(bst_se_key_generate(se, &attrs, &found), BST_E_EXISTS);
    assert_ok(bst_se_key_delete(se, key));
    assert_ok(bst_se_key_find(se, "one", &found));
    assert_int_equal(found, 0);
    bst_key again = import_text(se, "one", BST_KEY_USE_MAC, "2");
    assert_int_not_equal(again, key);
    assert_err(bst_se_key_delete(se, key), BST_E_NOT_FOUND); /* stale, though its slot is in use */
    assert_int_equal(bst_se_key_count(se), 1);
}

static void no_handle_names_a_key_that_is_not_there(void **state)
{
    AUTO_SE *se = open_soft();
    generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    const bst_key bad[] = {0,         1, 2, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(2) << 32 | 1,
                           UINT32_MAX};
    uint8_t out[32];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_se_mac(se, bad[i], NULL, 0, out), BST_E_NOT_FOUND);
    }
}

static void attributes_that_make_no_sense_are_refused(void **state)
{
    AUTO_SE *se = open_soft();
    char label[BST_KEY_LABEL_MAX + 2];
    memset(label, 'a', sizeof label - 1);
    label[sizeof label - 1] = '\0';
    bst_key key = 0;
    struct bst_key_attrs attrs = {.label = label, .uses = BST_KEY_USE_MAC};
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_TOO_LONG);
    label[BST_KEY_LABEL_MAX] = '\0';
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    attrs = (struct bst_key_attrs){.persistent = true, .uses = BST_KEY_USE_MAC};
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_USAGE);
    attrs.label = "kept";
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_CONFIG);
    bst_auto(secret) value = {0};
    assert_ok(bst_secret_init(&value, BST_KEY_VALUE_MAX + 1));
    attrs = (struct bst_key_attrs){.uses = BST_KEY_USE_MAC};
    assert_err(bst_se_key_import(se, &attrs, &value, &key), BST_E_TOO_LONG);
    attrs.uses = BST_KEY_USE_SEAL;
    value.len = 31;
    assert_err(bst_se_key_import(se, &attrs, &value, &key), BST_E_BAD_KEY);
    value.len = BST_KEY_VALUE_MAX + 1;
    bst_auto(buf) out = {0};
    key = generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    assert_err(bst_se_key_public(se, key, &out), BST_E_BAD_KEY);
}

static void addresses_that_name_nothing_are_refused_in_words(void **state)
{
    struct bst_se *se = NULL;
    test_host_init(&host);
    const char *const bad[] = {"",
                               "soft",
                               "se:hard",
                               "se:soft?folder=x",
                               "se:soft?key=file:x",
                               "se:soft?dir=",
                               "se:soft?dir=%zz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_se_open(&host.host, bad[i], &se), BST_E_CONFIG);
        assert_true(strlen(bst_error_detail()) > 10);
        assert_null(se);
    }
}

/* ---- filters ---- */

struct witness {
    int before, after;
    char last[64];
    enum bst_error outcome;
    bool released;
    const char *refuse; /* operation */
};

static bst_result witness_before(void *ctx, const struct bst_se_event *event)
{
    struct witness *w = ctx;
    w->before++;
    if (w->refuse && strcmp(w->refuse, event->op) == 0) {
        BST_FAIL(BST_E_SE_BLOCKED, "refused for a test");
    }
    return BST_OK;
}

static void witness_after(void *ctx, const struct bst_se_event *event, bst_result outcome)
{
    struct witness *w = ctx;
    w->after++;
    w->outcome = outcome.code;
    w->released = event->released;
    snprintf(w->last, sizeof w->last, "%s %s %s", event->op, event->label, event->why);
    (void)bst_error_detailed(BST_E_IO, "the audit trail says something of its own").code;
}

static void a_filter_hears_each_release_with_its_reason(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = import_text(se, "psk", BST_KEY_USE_PSK, "secret"),
            other = import_text(se, "mac", BST_KEY_USE_MAC, "secret");
    struct witness w = {0};
    struct bst_se_filter filter = {&w, witness_before, witness_after};
    assert_ok(bst_se_filter_add(se, &filter));
    bst_auto(secret) psk = {0};
    assert_ok(bst_se_release_psk(se, key, "handshake with ae-1", &psk));
    assert_string_equal(w.last, "release_psk psk handshake with ae-1");
    assert_true(w.released);
    assert_int_equal(w.outcome, BST_E_NONE);
    bst_auto(secret) none = {0};
    assert_err(bst_se_release_psk(se, other, "handshake", &none), BST_E_SE_USAGE);
    assert_int_equal(w.outcome, BST_E_SE_USAGE);
    assert_non_null(strstr(bst_error_detail(), "release to a handshake"));
}

static void a_filter_can_refuse_and_faults_can_be_put_in(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = import_text(se, "psk", BST_KEY_USE_PSK, "secret");
    struct witness outer = {0}, inner = {.refuse = "import"};
    struct bst_se_filter first = {&inner, witness_before, witness_after};
    struct bst_se_filter second = {&outer, witness_before, witness_after};
    assert_ok(bst_se_filter_add(se, &first));
    assert_ok(bst_se_filter_add(se, &second));
    struct bst_key_attrs attrs = {.label = "new", .uses = BST_KEY_USE_MAC};
    bst_auto(secret) value = {0}, psk = {0};
    assert_ok(bst_secret_copy(&value, "v", 1));
    assert_err(bst_se_key_import(se, &attrs, &value, &key), BST_E_SE_BLOCKED);
    assert_int_equal(outer.outcome, BST_E_SE_BLOCKED);
    inner.refuse = "release_psk";
    assert_err(bst_se_release_psk(se, key, "x", &psk), BST_E_SE_BLOCKED);
    assert_null(psk.ptr);
    inner.refuse = NULL;
    assert_ok(bst_se_release_psk(se, key, "x", &psk));
}

/* ---- memory and threads ---- */

static bst_result whole_life(struct bst_se *se)
{
    struct bst_key_attrs attrs = {.label = "life", .uses = BST_KEY_USE_DERIVE},
                         child_attrs = {.label = "child",
                                        .uses = BST_KEY_USE_PSK | BST_KEY_USE_SEAL};
    bst_auto(secret) value = {0}, psk = {0};
    bst_auto(buf) blob = {0};
    bst_key key = 0, child = 0;
    const struct bst_view part = BST_VIEW("label");
    BST_TRY(bst_secret_copy(&value, "value", 5));
    bst_result out = bst_se_key_import(se, &attrs, &value, &key);
    if (!bst_failed(out)) {
        out = bst_se_derive(se, key, &part, 1, &child_attrs, &child);
    }
    if (!bst_failed(out)) {
        out = bst_se_release_psk(se, child, "test", &psk);
    }
    if (!bst_failed(out)) {
        out = bst_se_seal(se, child, part, part, &blob);
    }
    bst_alloc_fail_at(0);
    if (key) {
        assert_ok(bst_se_key_delete(se, key));
    }
    if (child) {
        assert_ok(bst_se_key_delete(se, child));
    }
    return out;
}

static void any_allocation_may_fail_and_nothing_is_left_behind(void **state)
{
    AUTO_SE *se = open_soft();
    assert_ok(whole_life(se));
    for (long n = 1;; n++) {
        bst_alloc_fail_at(n);
        bst_result out = whole_life(se);
        bst_alloc_fail_at(0);
        assert_int_equal(bst_se_key_count(se), 0);
        if (!bst_failed(out)) {
            assert_true(n > 8);
            break;
        }
        assert_int_equal(out.code, BST_E_NOMEM);
    }
}

static void many_session_keys_do_not_use_up_locked_memory(void **state)
{
    AUTO_SE *se = open_soft();
    enum { KEYS = 20000 };
    static bst_key keys[KEYS];
    for (int i = 0; i < KEYS; i++) {
        keys[i] = generate(se, BST_KEY_SYMMETRIC, BST_KEY_USE_PSK);
    }
    FILE *status = fopen("/proc/self/status", "re");
    char line[128];
    long locked_kib = -1;
    while (status && fgets(line, sizeof line, status)) {
        sscanf(line, "VmLck: %ld", &locked_kib);
    }
    fclose(status);
    assert_true(locked_kib < 2048);
    assert_ok(try_use(se, keys[KEYS - 1], BST_KEY_USE_PSK));
    for (int i = 0; i < KEYS; i++) {
        assert_ok(bst_se_key_delete(se, keys[i]));
    }
}

static void more_pairs_than_stay_open_are_all_usable(void **state)
{
    AUTO_SE *se = open_soft();
    enum { PAIRS = 1100 };
    static bst_key keys[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        keys[i] = generate(se, BST_KEY_ED25519, BST_KEY_USE_SIGN);
    }
    for (int i = 0; i < PAIRS; i += 100) {
        bst_auto(buf) signature = {0};
        assert_ok(bst_se_sign(se, keys[PAIRS - 1 - i], BST_MD_NONE, BST_VIEW("m"), &signature));
        assert_ok(bst_se_key_delete(se, keys[i]));
    }
}

struct crowd {
    struct bst_se *se;
    bst_key shared;
    struct evp_pkey_st *pkey;
    atomic_int failed;
};

static void *crowd_member(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 200; i++) {
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
        bst_key key = 0;
        bst_auto(secret) psk = {0};
        bst_auto(buf) signature = {0};
        bool ok = !bst_failed(bst_se_key_generate(crowd->se, &attrs, &key)) &&
                  !bst_failed(bst_se_release_psk(crowd->se, key, "t", &psk)) &&
                  !bst_failed(bst_se_key_delete(crowd->se, key)) &&
                  !bst_failed(bst_se_sign(crowd->se, crowd->shared, BST_MD_SHA256, BST_VIEW("m"),
                                          &signature)) &&
                  !bst_failed(bst_pkey_sign(crowd->pkey, BST_MD_SHA256, BST_VIEW("m"), &signature));
        atomic_fetch_add(&crowd->failed, !ok);
    }
    return NULL;
}

static void several_threads_use_one_environment(void **state)
{
    AUTO_SE *se = open_soft();
    struct crowd crowd = {.se = se, .shared = generate(se, BST_KEY_EC_P256, BST_KEY_USE_SIGN)};
    assert_ok(bst_se_pkey(se, crowd.shared, &crowd.pkey));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, crowd_member, &crowd);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(crowd.failed, 0);
    assert_int_equal(bst_se_key_count(se), 1);
    bst_pkey_free(&crowd.pkey);
}

static void a_key_object_keeps_the_environment_that_it_needs(void **state)
{
    struct bst_se *se = open_soft();
    bst_key key = generate(se, BST_KEY_EC_P256, BST_KEY_USE_SIGN);
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) signature = {0};
    assert_ok(bst_se_pkey(se, key, &pkey));
    bst_se_close(&se);
    assert_ok(bst_pkey_sign(pkey, BST_MD_SHA256, BST_VIEW("m"), &signature));
}

static void a_key_that_may_not_sign_is_no_key_object(void **state)
{
    AUTO_SE *se = open_soft();
    bst_auto_pkey *pkey = NULL;
    bst_key key = generate(se, BST_KEY_EC_P256, BST_KEY_USE_AGREE);
    assert_err(bst_se_pkey(se, key, &pkey), BST_E_SE_USAGE);
    assert_null(pkey);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_makes_macs_as_outside),
        cmocka_unit_test(a_derived_key_is_hmac_of_its_parent_and_stays_inside),
        cmocka_unit_test(an_hkdf_key_is_that_of_rfc_5869),
        cmocka_unit_test(an_export_becomes_a_key_and_its_identifier),
        cmocka_unit_test(what_a_key_seals_it_opens_and_nothing_else),
        cmocka_unit_test(every_type_of_pair_signs_inside),
        cmocka_unit_test(an_imported_pair_is_used_and_one_of_another_type_refused),
        cmocka_unit_test(what_was_encrypted_to_a_key_opens_inside),
        cmocka_unit_test(an_inside_key_signs_a_certificate),
        cmocka_unit_test(each_use_is_refused_without_its_permission),
        cmocka_unit_test(each_use_is_allowed_with_it),
        cmocka_unit_test(a_type_cannot_be_given_a_use_that_it_has_not),
        cmocka_unit_test(an_expired_key_is_refused_for_every_use),
        cmocka_unit_test(an_owner_sees_only_its_own_keys),
        cmocka_unit_test(a_label_of_one_owner_says_nothing_to_another),
        cmocka_unit_test(data_is_kept_read_replaced_and_removed),
        cmocka_unit_test(data_is_no_key_and_a_key_no_data),
        cmocka_unit_test(data_has_a_length_an_end_and_an_owner),
        cmocka_unit_test(a_digest_is_that_of_the_standard),
        cmocka_unit_test(a_label_names_one_key_until_it_is_deleted),
        cmocka_unit_test(no_handle_names_a_key_that_is_not_there),
        cmocka_unit_test(attributes_that_make_no_sense_are_refused),
        cmocka_unit_test(addresses_that_name_nothing_are_refused_in_words),
        cmocka_unit_test(a_filter_hears_each_release_with_its_reason),
        cmocka_unit_test(a_filter_can_refuse_and_faults_can_be_put_in),
        cmocka_unit_test(any_allocation_may_fail_and_nothing_is_left_behind),
        cmocka_unit_test(many_session_keys_do_not_use_up_locked_memory),
        cmocka_unit_test(more_pairs_than_stay_open_are_all_usable),
        cmocka_unit_test(several_threads_use_one_environment),
        cmocka_unit_test(a_key_object_keeps_the_environment_that_it_needs),
        cmocka_unit_test(a_key_that_may_not_sign_is_no_key_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
