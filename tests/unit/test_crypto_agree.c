/* crypto: X25519 and P-256 in wire form, X9.63, AES-128 blocks and the 32-bit counter. */
#include "support/test.h"

#include "crypto/agree.h"
#include "crypto/cipher.h"
#include "crypto/sha3.h"
#include "support/hex.h"

#include <pthread.h>

/* RFC 7748 6.1 */
static const char alice[] = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
static const char alice_point[] =
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
static const char bob_point[] = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
static const char alice_bob[] = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

static void x25519_gives_the_published_secret(void **state)
{
    bst_auto_pkey *key = NULL;
    bst_auto(secret) z = {0};
    uint8_t point[BST_CURVE_POINT_MAX], peer[BST_CURVE_POINT_MAX];
    assert_ok(bst_agree_key_load(BST_CURVE_X25519, bst_view(alice), &key));
    assert_ok(bst_agree_key_point(BST_CURVE_X25519, key, point));
    assert_hex(point, 32, alice_point);
    assert_ok(bst_agree_point_load(BST_CURVE_X25519, bst_view(bob_point), peer));
    assert_ok(bst_agree(BST_CURVE_X25519, key, bst_view_of(peer, 32), &z));
    assert_hex(z.ptr, z.len, alice_bob);
}

static void x25519_points_of_low_order_are_refused(void **state)
{
    /* The points whose multiples by the cofactor are the neutral element, RFC 7748 6.1 and 7. */
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    bst_auto_pkey *key = NULL;
    uint8_t out[BST_CURVE_POINT_MAX];
    assert_ok(bst_agree_key_generate(BST_CURVE_X25519, &key));
    for (size_t i = 0; i < sizeof low / sizeof low[0]; i++) {
        bst_auto(secret) z = {0};
        bst_auto(buf) raw = test_hex(low[i]);
        assert_err(bst_agree_point_load(BST_CURVE_X25519, bst_view(low[i]), out), BST_E_BAD_KEY);
        assert_err(bst_agree(BST_CURVE_X25519, key, bst_buf_view(&raw), &z), BST_E_BAD_KEY);
        assert_null(z.ptr);
    }
}

static void p256_points_off_the_curve_or_in_other_forms_are_refused(void **state)
{
    static const char good[] = "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1";
    static const char *const bad[] = {
        "000000000000000000000000000000000000000000000000000000000000000000",
        "0472da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1",
        "0572da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1",
        "020000000000000000000000000000000000000000000000000000000000000001", /* no y for this x */
        "02ffffffff00000001000000000000000000000001000000000000000000000004", /* x = p + 5 */
        "02ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "02",
        "",
    };
    bst_auto_pkey *key = NULL;
    bst_auto(secret) z = {0};
    bst_auto(buf) right = test_hex(good);
    assert_ok(bst_agree_key_generate(BST_CURVE_P256, &key));
    assert_ok(bst_agree(BST_CURVE_P256, key, bst_buf_view(&right), &z));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bst_auto(secret) none = {0};
        bst_auto(buf) raw = test_hex(bad[i]);
        assert_err(bst_agree(BST_CURVE_P256, key, bst_buf_view(&raw), &none), BST_E_BAD_KEY);
    }
}

/* Both sides of exchanges with fresh keys, bad points between them. */
static void *exchange(void *ctx)
{
    static const uint8_t bad[BST_CURVE_POINT_MAX] = {2, [BST_CURVE_POINT_MAX - 1] = 1};
    bool *good = ctx;
    for (int i = 0; *good && i < 60; i++) {
        enum bst_curve curve = i % 2 ? BST_CURVE_X25519 : BST_CURVE_P256;
        size_t len = bst_curve_point_bytes(curve);
        uint8_t a_point[BST_CURVE_POINT_MAX], b_point[BST_CURVE_POINT_MAX];
        bst_auto_pkey *a = NULL, *b = NULL;
        bst_auto(secret) ab = {0}, ba = {0}, none = {0};
        *good = !bst_failed(bst_agree_key_generate(curve, &a)) &&
                !bst_failed(bst_agree_key_generate(curve, &b)) &&
                !bst_failed(bst_agree_key_point(curve, a, a_point)) &&
                !bst_failed(bst_agree_key_point(curve, b, b_point)) &&
                bst_failed(bst_agree(BST_CURVE_P256, a, bst_view_of(bad, sizeof bad), &none)) &&
                !bst_failed(bst_agree(curve, a, bst_view_of(b_point, len), &ab)) &&
                !bst_failed(bst_agree(curve, b, bst_view_of(a_point, len), &ba)) &&
                memcmp(ab.ptr, ba.ptr, ab.len) == 0;
    }
    return NULL;
}

static void threads_and_bad_points_do_not_disturb_each_other(void **state)
{
    pthread_t threads[4];
    bool good[4];
    for (size_t i = 0; i < 4; i++) {
        good[i] = true;
        assert_int_equal(pthread_create(&threads[i], NULL, exchange, &good[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(good[i]);
    }
}

static void x963_with_sha3_is_its_definition(void **state)
{
    static const uint8_t z[32] = {7};
    uint8_t out[40], block[32];
    const struct bst_view one[] = {bst_view_of(z, 32), BST_VIEW("\0\0\0\1"), BST_VIEW("info")};
    const struct bst_view two[] = {bst_view_of(z, 32), BST_VIEW("\0\0\0\2"), BST_VIEW("info")};
    assert_ok(bst_x963_sha3_256(bst_view_of(z, 32), BST_VIEW("info"), out, sizeof out));
    assert_ok(bst_sha3_256(one, 3, block));
    assert_memory_equal(out, block, 32);
    assert_ok(bst_sha3_256(two, 3, block));
    assert_memory_equal(out + 32, block, 8);
    assert_err(bst_x963_sha3_256(bst_view_of(z, 32), BST_VIEW(""), out, 255 * 32 + 1), BST_E_USAGE);
}

static void private_keys_outside_the_group_are_refused(void **state)
{
    bst_auto_pkey *key = NULL;
    assert_err(bst_agree_key_load(
                   BST_CURVE_P256,
                   BST_VIEW("0000000000000000000000000000000000000000000000000000000000000000"),
                   &key),
               BST_E_BAD_KEY);
    assert_err(bst_agree_key_load(
                   BST_CURVE_P256,
                   BST_VIEW("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
                   &key),
               BST_E_BAD_KEY);
    assert_err(bst_agree_key_load(BST_CURVE_P256, BST_VIEW("c53c22208b61"), &key), BST_E_BAD_KEY);
    assert_err(bst_agree_key_load(BST_CURVE_X25519, BST_VIEW(""), &key), BST_E_TRUNCATED);
    assert_null(key);
}

static void keys_survive_der_and_belong_to_one_curve(void **state)
{
    for (int curve = BST_CURVE_X25519; curve <= BST_CURVE_P256; curve++) {
        bst_auto_pkey *key = NULL, *again = NULL, *other = NULL;
        bst_auto(secret) der = {0};
        bst_auto(buf) spki = {0};
        uint8_t a[BST_CURVE_POINT_MAX], b[BST_CURVE_POINT_MAX];
        size_t len = bst_curve_point_bytes((enum bst_curve)curve);
        assert_ok(bst_agree_key_generate((enum bst_curve)curve, &key));
        assert_ok(bst_pkey_private(key, &der));
        assert_ok(bst_agree_key_load((enum bst_curve)curve, bst_view_of(der.ptr, der.len), &again));
        assert_ok(bst_agree_key_point((enum bst_curve)curve, again, a));
        assert_ok(bst_pkey_spki(key, &spki));
        assert_ok(bst_agree_point_load((enum bst_curve)curve, bst_buf_view(&spki), b));
        assert_memory_equal(a, b, len);
        assert_err(
            bst_agree_key_load((enum bst_curve) !curve, bst_view_of(der.ptr, der.len), &other),
            BST_E_BAD_KEY);
    }
}

static void aes_encrypts_the_published_block(void **state)
{
    /* FIPS 197 C.1 */
    bst_auto(buf) key = test_hex("000102030405060708090a0b0c0d0e0f");
    bst_auto(buf) in = test_hex("00112233445566778899aabbccddeeff");
    bst_auto(aes) aes = {0};
    uint8_t out[16];
    assert_ok(bst_aes_init(&aes, bst_buf_view(&key)));
    assert_ok(bst_aes_blocks(&aes, (const uint8_t *)in.ptr, out, 1));
    assert_hex(out, 16, "69c4e0d86a7b0430d8cdb78070b4c55a");
    bst_aes_clear(&aes);
    assert_err(bst_aes_init(&aes, BST_VIEW("short")), BST_E_BAD_KEY);
}

static void the_counter_wraps_in_its_last_32_bits_only(void **state)
{
    bst_auto(buf) key = test_hex("2b7e151628aed2a6abf7158809cf4f3c");
    bst_auto(buf) icb = test_hex("f0f1f2f3f4f5f6f7f8f9fafbffffffff");
    bst_auto(buf) next = test_hex("f0f1f2f3f4f5f6f7f8f9fafb00000000");
    bst_auto(aes) aes = {0};
    uint8_t zeros[40] = {0}, out[40], want[48];
    assert_ok(bst_aes_init(&aes, bst_buf_view(&key)));
    assert_ok(bst_aes_blocks(&aes, (const uint8_t *)icb.ptr, want, 1));
    assert_ok(bst_aes_blocks(&aes, (const uint8_t *)next.ptr, want + 16, 1));
    next.ptr[15] = 1;
    assert_ok(bst_aes_blocks(&aes, (const uint8_t *)next.ptr, want + 32, 1));
    assert_ok(bst_aes128_ctr32(bst_buf_view(&key), (const uint8_t *)icb.ptr,
                               bst_view_of(zeros, sizeof zeros), out));
    assert_memory_equal(out, want, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_gives_the_published_secret),
        cmocka_unit_test(x25519_points_of_low_order_are_refused),
        cmocka_unit_test(p256_points_off_the_curve_or_in_other_forms_are_refused),
        cmocka_unit_test(threads_and_bad_points_do_not_disturb_each_other),
        cmocka_unit_test(x963_with_sha3_is_its_definition),
        cmocka_unit_test(private_keys_outside_the_group_are_refused),
        cmocka_unit_test(keys_survive_der_and_belong_to_one_curve),
        cmocka_unit_test(aes_encrypts_the_published_block),
        cmocka_unit_test(the_counter_wraps_in_its_last_32_bits_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
