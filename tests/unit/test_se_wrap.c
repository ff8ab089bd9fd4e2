#include "support/test.h"

#include "crypto/agree.h"
#include "crypto/pkey.h"
#include "se/se.h"
#include "support/hex.h"
#include "support/se_host.h"

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct test_host host;

static struct bst_se *open_as(const char *uri)
{
    struct bst_se *se = NULL;
    test_host_init(&host);
    assert_ok(bst_se_open(&host.host, uri, &se));
    return se;
}

static bst_key import_kek(struct bst_se *se, const char *text)
{
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_KEK};
    bst_auto(secret) value = {0};
    bst_key key = 0;
    assert_ok(bst_secret_copy(&value, text, strlen(text)));
    assert_ok(bst_se_key_import(se, &attrs, &value, &key));
    return key;
}

#define KEK "thirty-two octets of wrapping..."
#define OTHER_KEK "thirty-two octets of another one"

static bst_key make(struct bst_se *se, enum bst_key_type type, uint32_t uses)
{
    struct bst_key_attrs attrs = {.type = type,
                                  .uses = uses,
                                  .suid = 22,
                                  .owner = "mef",
                                  .expires_us = TEST_HOST_WALL_US + 5};
    bst_key key = 0;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    return key;
}

static void same_value(struct bst_se *a, bst_key x, struct bst_se *b, bst_key y, bool same)
{
    uint8_t one[BST_SE_CHECK_BYTES], two[BST_SE_CHECK_BYTES];
    assert_ok(bst_se_check_value(a, x, one));
    assert_ok(bst_se_check_value(b, y, two));
    assert_int_equal(memcmp(one, two, sizeof one) == 0, same);
}

/* ---- wrapping ---- */

static void a_key_of_every_type_travels_with_its_attributes(void **state)
{
    AUTO_SE *from = open_as("se:soft"), *to = NULL;
    assert_ok(bst_se_open(&host.host, "se:soft", &to));
    static const uint32_t uses[] = {
        [BST_KEY_SYMMETRIC] = BST_KEY_USE_MAC, [BST_KEY_EC_P256] = BST_KEY_USE_SIGN,
        [BST_KEY_EC_P384] = BST_KEY_USE_SIGN,  [BST_KEY_ED25519] = BST_KEY_USE_SIGN,
        [BST_KEY_X25519] = BST_KEY_USE_AGREE,
    };
    bst_key sender = import_kek(from, KEK), receiver = import_kek(to, KEK);
    for (int type = BST_KEY_SYMMETRIC; type <= BST_KEY_X25519; type++) {
        bst_key key = make(from, (enum bst_key_type)type, uses[type] | BST_KEY_USE_WRAP), got = 0;
        bst_auto(buf) blob = {0};
        struct bst_key_info info;
        struct bst_key_attrs attrs = {.label = type == BST_KEY_X25519 ? "named" : NULL};
        assert_ok(bst_se_wrap(from, sender, key, &blob));
        assert_ok(bst_se_unwrap(to, receiver, bst_buf_view(&blob), &attrs, &got));
        assert_ok(bst_se_key_info(to, got, &info));
        assert_int_equal(info.attrs.type, type);
        assert_int_equal(info.attrs.uses, uses[type] | BST_KEY_USE_WRAP);
        assert_int_equal(info.attrs.suid, 22);
        assert_int_equal(info.attrs.expires_us, TEST_HOST_WALL_US + 5);
        assert_string_equal(info.owner, "mef");
        same_value(from, key, to, got, true);
        same_value(from, key, to, receiver, false);
    }
    bst_key found = 0;
    assert_ok(bst_se_key_find_of(to, "mef", "named", &found));
    assert_true(found != 0);
}

static void uses_become_fewer_but_never_more(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK), got = 0;
    bst_key key = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_PSK | BST_KEY_USE_WRAP);
    bst_auto(buf) blob = {0};
    struct bst_key_info info;
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC | BST_KEY_USE_DERIVE};
    assert_ok(bst_se_wrap(se, kek, key, &blob));
    assert_ok(bst_se_unwrap(se, kek, bst_buf_view(&blob), &attrs, &got));
    assert_ok(bst_se_key_info(se, got, &info));
    assert_int_equal(info.attrs.uses, BST_KEY_USE_MAC);
}

static void any_changed_bit_of_a_wrapped_key_is_noticed(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK), got = 0;
    bst_key key = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_WRAP);
    bst_auto(buf) blob = {0};
    struct bst_key_attrs attrs = {0};
    assert_ok(bst_se_wrap(se, kek, key, &blob));
    for (size_t bit = 0; bit < blob.len * 8; bit++) {
        blob.ptr[bit / 8] ^= (char)(1 << bit % 8);
        bst_result opened = bst_se_unwrap(se, kek, bst_buf_view(&blob), &attrs, &got);
        assert_true(opened.code == BST_E_BAD_MAC || opened.code == BST_E_VERSION ||
                    opened.code == BST_E_TRUNCATED);
        blob.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < blob.len; len++) {
        assert_true(bst_failed(bst_se_unwrap(se, kek, bst_view_of(blob.ptr, len), &attrs, &got)));
    }
    assert_ok(bst_se_unwrap(se, kek, bst_buf_view(&blob), &attrs, &got));
}

static void attributes_of_one_key_do_not_serve_another(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK), got = 0;
    bst_key weak = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_WRAP);
    bst_key strong = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_PSK | BST_KEY_USE_WRAP);
    bst_auto(buf) a = {0}, b = {0}, mixed = {0};
    assert_ok(bst_se_wrap(se, kek, weak, &a));
    assert_ok(bst_se_wrap(se, kek, strong, &b));
    assert_int_equal(a.len, b.len);
    /* Head of the one that may be released, value and tag of the other. */
    size_t head = 8 + 1 + 4 + 4 + 8 + 1 + 2 + 3;
    bst_buf_add(&mixed, b.ptr, head);
    bst_buf_add(&mixed, a.ptr + head, a.len - head);
    assert_err(bst_se_unwrap(se, kek, bst_buf_view(&mixed), &(struct bst_key_attrs){0}, &got),
               BST_E_BAD_MAC);
}

/* A key of the length of a tag's text, chosen and wrapped, would be a tag over what one likes. */
static void a_key_that_looks_like_a_tag_is_not_wrapped(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK);
    static const size_t lengths[] = {248, 249, 256};
    for (size_t i = 0; i < 3; i++) {
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC | BST_KEY_USE_WRAP};
        bst_auto(secret) value = {0};
        bst_auto(buf) blob = {0};
        bst_key key = 0;
        char octets[256] = {1};
        assert_ok(bst_secret_copy(&value, octets, lengths[i]));
        assert_ok(bst_se_key_import(se, &attrs, &value, &key));
        bst_result r = bst_se_wrap(se, kek, key, &blob);
        assert_int_equal(r.code, lengths[i] < 249 ? BST_E_NONE : BST_E_TOO_LONG);
    }
}

static void another_wrapping_key_opens_nothing(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK), other = import_kek(se, OTHER_KEK), got = 0;
    bst_key key = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_WRAP);
    bst_auto(buf) blob = {0};
    assert_ok(bst_se_wrap(se, kek, key, &blob));
    assert_err(bst_se_unwrap(se, other, bst_buf_view(&blob), &(struct bst_key_attrs){0}, &got),
               BST_E_BAD_MAC);
}

static void a_key_that_may_not_leave_stays(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key kek = import_kek(se, KEK), got = 0;
    bst_key stays = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC);
    bst_key leaves = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL | BST_KEY_USE_WRAP);
    bst_auto(buf) blob = {0};
    assert_err(bst_se_wrap(se, kek, stays, &blob), BST_E_SE_USAGE);
    assert_err(bst_se_wrap(se, leaves, leaves, &blob), BST_E_SE_USAGE); /* does not wrap */
    assert_err(bst_se_unwrap(se, leaves, BST_VIEW("x"), &(struct bst_key_attrs){0}, &got),
               BST_E_SE_USAGE);
    assert_int_equal(blob.len, 0);
    host.wall_us += 10;
    assert_err(bst_se_wrap(se, kek, leaves, &blob), BST_E_EXPIRED);
}

static void a_key_that_wraps_does_nothing_else(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    bst_key key = 0;
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_KEK | BST_KEY_USE_SEAL};
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_SE_USAGE);
    attrs.uses = BST_KEY_USE_KEK | BST_KEY_USE_WRAP;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    bst_auto(secret) value = {0};
    assert_ok(bst_secret_copy(&value, "too short", 9));
    assert_err(bst_se_key_import(se, &attrs, &value, &key), BST_E_BAD_KEY);
}

static void the_wrapped_key_of_another_owner_is_refused(void **state)
{
    AUTO_SE *se = open_as("se:soft"), *bob = NULL;
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    bst_key key = make(se, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_WRAP), got = 0;
    bst_key kek = import_kek(se, KEK), his = import_kek(bob, KEK);
    bst_auto(buf) blob = {0};
    assert_ok(bst_se_wrap(se, kek, key, &blob));
    assert_err(bst_se_unwrap(bob, his, bst_buf_view(&blob), &(struct bst_key_attrs){0}, &got),
               BST_E_DENIED);
    assert_err(bst_se_wrap(bob, his, key, &blob), BST_E_NOT_FOUND);
}

static void a_key_does_not_rise_by_travelling(void **state)
{
    AUTO_SE *none = open_as("none:"), *soft = NULL;
    assert_ok(bst_se_open(&host.host, "se:soft", &soft));
    bst_key key = make(none, BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_WRAP), got = 0;
    bst_key out = import_kek(none, KEK), in = import_kek(soft, KEK);
    bst_auto(buf) blob = {0};
    struct bst_key_info info;
    assert_ok(bst_se_wrap(none, out, key, &blob));
    assert_ok(bst_se_unwrap(soft, in, bst_buf_view(&blob), &(struct bst_key_attrs){0}, &got));
    assert_ok(bst_se_key_info(soft, got, &info));
    assert_int_equal(info.attrs.level, 0);
}

/* ---- agreement ---- */

static void both_ends_of_an_agreement_derive_the_same_key(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    static const struct {
        enum bst_key_type type;
        enum bst_curve curve;
    } kinds[] = {{BST_KEY_EC_P256, BST_CURVE_P256}, {BST_KEY_X25519, BST_CURVE_X25519}};
    for (size_t i = 0; i < 2; i++) {
        bst_key a = make(se, kinds[i].type, BST_KEY_USE_AGREE), key = 0, other = 0;
        bst_auto(buf) spki = {0};
        bst_auto_pkey *outside = NULL;
        bst_auto(secret) z = {0}, psk = {0};
        uint8_t mine[BST_CURVE_POINT_MAX], theirs[BST_CURVE_POINT_MAX], expected[32];
        struct bst_view point = bst_view_of(theirs, bst_curve_point_bytes(kinds[i].curve));
        assert_ok(bst_se_key_public(se, a, &spki));
        assert_ok(bst_agree_point_load(kinds[i].curve, bst_buf_view(&spki), mine));
        assert_ok(bst_agree_key_generate(kinds[i].curve, &outside));
        assert_ok(bst_agree_key_point(kinds[i].curve, outside, theirs));
        assert_ok(bst_agree(kinds[i].curve, outside, bst_view_of(mine, point.len), &z));
        assert_ok(bst_hkdf_sha256(BST_VIEW("salt"), bst_view_of(z.ptr, z.len), BST_VIEW("info"),
                                  expected, sizeof expected));
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK};
        assert_ok(bst_se_agree_key(se, a, point, BST_VIEW("salt"), BST_VIEW("info"), &attrs, &key));
        assert_ok(bst_se_release_psk(se, key, "test", &psk));
        assert_memory_equal(psk.ptr, expected, 32);
        assert_err(bst_se_agree_key(se, a, BST_VIEW("no point"), BST_VIEW(""), BST_VIEW(""), &attrs,
                                    &other),
                   BST_E_BAD_KEY);
        assert_err(bst_se_agree_key(se, key, point, BST_VIEW(""), BST_VIEW(""), &attrs, &other),
                   BST_E_SE_USAGE);
    }
}

static void random_octets_differ(void **state)
{
    AUTO_SE *se = open_as("se:soft");
    uint8_t a[32] = {0}, b[32] = {0};
    assert_ok(bst_se_random(se, a, sizeof a));
    assert_ok(bst_se_random(se, b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_of_every_type_travels_with_its_attributes),
        cmocka_unit_test(uses_become_fewer_but_never_more),
        cmocka_unit_test(any_changed_bit_of_a_wrapped_key_is_noticed),
        cmocka_unit_test(attributes_of_one_key_do_not_serve_another),
        cmocka_unit_test(a_key_that_looks_like_a_tag_is_not_wrapped),
        cmocka_unit_test(another_wrapping_key_opens_nothing),
        cmocka_unit_test(a_key_that_may_not_leave_stays),
        cmocka_unit_test(a_key_that_wraps_does_nothing_else),
        cmocka_unit_test(the_wrapped_key_of_another_owner_is_refused),
        cmocka_unit_test(a_key_does_not_rise_by_travelling),
        cmocka_unit_test(both_ends_of_an_agreement_derive_the_same_key),
        cmocka_unit_test(random_octets_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
