#include "support/test.h"

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "support/hex.h"

static void sha2_gives_the_values_of_fips_180(void **state)
{
    uint8_t out[BST_MD_MAX_BYTES];
    assert_ok(bst_sha256(BST_VIEW("abc"), out));
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(bst_sha384(BST_VIEW("abc"), out));
    assert_hex(out, 48,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
               "8086072ba1e7cc2358baeca134c825a7");
    assert_ok(bst_sha256(BST_VIEW(""), out));
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_digest_of_parts_is_the_digest_of_the_whole(void **state)
{
    const struct bst_view parts[] = {BST_VIEW("a"), BST_VIEW(""), BST_VIEW("bc")};
    uint8_t whole[64], split[64];
    const struct bst_view abc = BST_VIEW("abc");
    for (unsigned md = BST_MD_SHA256; md <= BST_MD_SHA512; md++) {
        assert_ok(bst_digest((enum bst_md)md, &abc, 1, whole));
        assert_ok(bst_digest((enum bst_md)md, parts, 3, split));
        assert_memory_equal(whole, split, bst_md_bytes((enum bst_md)md));
    }
}

static void no_hash_is_refused_where_one_is_needed(void **state)
{
    uint8_t out[64];
    const struct bst_view abc = BST_VIEW("abc");
    assert_err(bst_digest(BST_MD_NONE, &abc, 1, out), BST_E_USAGE);
}

struct hmac_case {
    const char *key, *data, *mac; /* hexadecimal */
};

/* RFC 4231, cases 1, 2, 3, 4, 6 and 7. */
static const struct hmac_case rfc4231[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "ddd"
     "dddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
     "dcd"
     "cdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void hmac_gives_the_values_of_rfc_4231(void **state)
{
    for (size_t i = 0; i < sizeof rfc4231 / sizeof rfc4231[0]; i++) {
        bst_auto(buf) key = test_hex(rfc4231[i].key), data = test_hex(rfc4231[i].data);
        const struct bst_view part = bst_buf_view(&data);
        uint8_t out[32];
        assert_ok(bst_hmac_sha256(bst_buf_view(&key), &part, 1, out));
        assert_hex(out, 32, rfc4231[i].mac);
    }
}

static void hmac_hashes_a_key_longer_than_a_block(void **state)
{
    char key[131];
    memset(key, 0xaa, sizeof key);
    uint8_t out[32];
    const struct bst_view data = BST_VIEW("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_ok(bst_hmac_sha256(bst_view_of(key, sizeof key), &data, 1, out));
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hmac_over_parts_is_hmac_over_the_whole(void **state)
{
    const struct bst_view parts[] = {BST_VIEW("what do ya want "), BST_VIEW(""),
                                     BST_VIEW("for nothing?")};
    uint8_t out[32];
    assert_ok(bst_hmac_sha256(BST_VIEW("Jefe"), parts, 3, out));
    assert_hex(out, 32, rfc4231[1].mac);
}

static void hmac_takes_an_empty_key_and_remembers_none(void **state)
{
    uint8_t first[32], out[32];
    const struct bst_view data = BST_VIEW("x");
    assert_ok(bst_hmac_sha256(BST_VIEW(""), &data, 1, first));
    assert_ok(bst_hmac_sha256(BST_VIEW("other"), &data, 1, out));
    assert_memory_not_equal(first, out, 32);
    assert_ok(bst_hmac_sha256(BST_VIEW(""), &data, 1, out));
    assert_memory_equal(first, out, 32);
}

struct hkdf_case {
    const char *ikm, *salt, *info, *okm;
};

/* RFC 5869 A.1, A.2, A.3. */
static const struct hkdf_case rfc5869[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
     "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2"
     "e2f"
     "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8"
     "e8f"
     "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcddd"
     "edf"
     "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590"
     "e09"
     "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void a_key_that_stays_gives_the_same_codes(void **state)
{
    static const uint8_t bytes[200] = {3, 1, 4, 1, 5, 9, 2, 6};
    bst_auto(hmac) hmac = {0};
    assert_ok(bst_hmac_init(&hmac));
    for (size_t key_len = 0; key_len <= 130; key_len++) {
        struct bst_view key = bst_view_of(bytes, key_len);
        assert_ok(bst_hmac_key(&hmac, key));
        for (size_t len = 0; len < 140; len += 35) {
            const struct bst_view parts[] = {bst_view_of(bytes, len), BST_VIEW(""),
                                             bst_view_of(bytes + 7, 3)};
            uint8_t once[BST_SHA256_BYTES], again[BST_SHA256_BYTES];
            assert_ok(bst_hmac_sha256(key, parts, 3, once));
            assert_ok(bst_hmac_run(&hmac, parts, 3, again));
            assert_memory_equal(once, again, sizeof once);
        }
    }
}

static void a_hash_can_be_begun_again(void **state)
{
    bst_auto(hasher) hasher = {0};
    assert_ok(bst_hasher_init(&hasher, BST_MD_SHA256));
    for (int i = 0; i < 3; i++) {
        const struct bst_view parts[] = {BST_VIEW("some"), BST_VIEW(""), BST_VIEW(" text")};
        uint8_t once[BST_SHA256_BYTES], again[BST_SHA256_BYTES];
        assert_ok(bst_digest(BST_MD_SHA256, parts, 3, once));
        assert_ok(bst_hasher_again(&hasher, parts, 3, again));
        assert_memory_equal(once, again, sizeof once);
    }
}

static void hkdf_gives_the_values_of_rfc_5869(void **state)
{
    for (size_t i = 0; i < sizeof rfc5869 / sizeof rfc5869[0]; i++) {
        bst_auto(buf) ikm = test_hex(rfc5869[i].ikm), salt = test_hex(rfc5869[i].salt),
                      info = test_hex(rfc5869[i].info);
        uint8_t out[82];
        size_t len = strlen(rfc5869[i].okm) / 2;
        assert_ok(bst_hkdf_sha256(bst_buf_view(&salt), bst_buf_view(&ikm), bst_buf_view(&info), out,
                                  len));
        assert_hex(out, len, rfc5869[i].okm);
    }
}

static void hkdf_refuses_more_than_255_blocks(void **state)
{
    static uint8_t out[256 * 32];
    assert_err(bst_hkdf_sha256(BST_VIEW(""), BST_VIEW("k"), BST_VIEW(""), out, 255 * 32 + 1),
               BST_E_USAGE);
    assert_ok(bst_hkdf_sha256(BST_VIEW(""), BST_VIEW("k"), BST_VIEW(""), out, 255 * 32));
}

static void random_bytes_differ_each_time(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    assert_ok(bst_random(a, sizeof a));
    assert_ok(bst_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha2_gives_the_values_of_fips_180),
        cmocka_unit_test(a_digest_of_parts_is_the_digest_of_the_whole),
        cmocka_unit_test(no_hash_is_refused_where_one_is_needed),
        cmocka_unit_test(hmac_gives_the_values_of_rfc_4231),
        cmocka_unit_test(hmac_hashes_a_key_longer_than_a_block),
        cmocka_unit_test(hmac_over_parts_is_hmac_over_the_whole),
        cmocka_unit_test(hmac_takes_an_empty_key_and_remembers_none),
        cmocka_unit_test(a_key_that_stays_gives_the_same_codes),
        cmocka_unit_test(a_hash_can_be_begun_again),
        cmocka_unit_test(hkdf_gives_the_values_of_rfc_5869),
        cmocka_unit_test(hkdf_refuses_more_than_255_blocks),
        cmocka_unit_test(random_bytes_differ_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
