/* crypto: ML-KEM-768 keys and ciphertexts from outside, SHA3-256, KMAC256. */
#include "support/test.h"

#include "crypto/kem.h"
#include "crypto/sha3.h"
#include "support/hex.h"

static const uint8_t seed[BST_KEM_SEED_BYTES] = {1, 2, 3};
static uint8_t ek[BST_KEM_EK_BYTES];
static struct bst_secret dk;

static int setup(void **state)
{
    if (bst_kem_provider()) {
        assert_ok(bst_kem_keygen(bst_view_of(seed, sizeof seed), ek, &dk));
    }
    return 0;
}

static int teardown(void **state)
{
    bst_secret_clear(&dk);
    return 0;
}

#define NEED_PROVIDER()                                                                            \
    do {                                                                                           \
        if (!bst_kem_provider()) {                                                                 \
            print_message("SKIP no ML-KEM in this build\n");                                       \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static struct bst_view dk_view(void)
{
    return bst_view_of(dk.ptr, dk.len);
}

static void what_is_encapsulated_is_decapsulated(void **state)
{
    uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES], a[32], b[32], c[32];
    NEED_PROVIDER();
    assert_ok(bst_kem_encapsulate(bst_view_of(ek, sizeof ek), BST_VIEW(""), ciphertext, a));
    assert_ok(bst_kem_decapsulate(dk_view(), bst_view_of(ciphertext, sizeof ciphertext), b));
    assert_memory_equal(a, b, 32);
    ciphertext[7] ^= 1;
    assert_ok(bst_kem_decapsulate(dk_view(), bst_view_of(ciphertext, sizeof ciphertext), b));
    assert_memory_not_equal(a, b, 32);
    assert_ok(bst_kem_decapsulate(dk_view(), bst_view_of(ciphertext, sizeof ciphertext), c));
    assert_memory_equal(b, c, 32); /* implicit rejection is a function of key and ciphertext */
    assert_ok(bst_kem_encapsulate(bst_view_of(ek, sizeof ek), BST_VIEW(""), ciphertext, b));
    assert_memory_not_equal(a, b, 32);
}

static void private_keys_come_as_seed_or_expanded(void **state)
{
    bst_auto(secret) from_seed = {0}, from_expanded = {0};
    NEED_PROVIDER();
    assert_ok(bst_kem_dk_load(bst_view_of(seed, sizeof seed), &from_seed));
    assert_ok(bst_kem_dk_load(dk_view(), &from_expanded));
    assert_memory_equal(from_seed.ptr, dk.ptr, dk.len);
    assert_memory_equal(from_expanded.ptr, dk.ptr, dk.len);
    assert_memory_equal(bst_kem_ek_of(dk_view()).ptr, ek, sizeof ek);
}

static void damaged_private_keys_are_refused(void **state)
{
    bst_auto(secret) out = {0};
    char longer[BST_KEM_DK_BYTES + 1] = {0};
    NEED_PROVIDER();
    static const size_t places[] = {1152, 1500, 2335, 2336, 2367}; /* ek, and its hash */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        dk.ptr[places[i]] ^= 1;
        assert_err(bst_kem_dk_load(dk_view(), &out), BST_E_BAD_KEY);
        dk.ptr[places[i]] ^= 1;
    }
    memcpy(longer, dk.ptr, dk.len);
    static const size_t lengths[] = {
        0, 1, 32, 63, 65, 1184, BST_KEM_DK_BYTES - 1, BST_KEM_DK_BYTES + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        assert_err(bst_kem_dk_load(bst_view_of(longer, lengths[i]), &out), BST_E_BAD_KEY);
    }
    assert_null(out.ptr);
}

static void coefficients_at_or_above_the_modulus_are_refused(void **state)
{
    uint8_t bad[BST_KEM_EK_BYTES], ciphertext[BST_KEM_CIPHERTEXT_BYTES], shared[32];
    NEED_PROVIDER();
    for (size_t at = 0; at < 1152; at += 383) {
        memcpy(bad, ek, sizeof bad);
        size_t triple = at / 3 * 3;
        bad[triple] = 0x01; /* 3329 = 0xd01, as first and as second of two */
        bad[triple + 1] = at % 2 ? 0x0d : 0x10;
        bad[triple + 2] = at % 2 ? 0 : 0xd0;
        assert_err(bst_kem_ek_check(bst_view_of(bad, sizeof bad)), BST_E_BAD_KEY);
        assert_err(
            bst_kem_encapsulate(bst_view_of(bad, sizeof bad), BST_VIEW(""), ciphertext, shared),
            BST_E_BAD_KEY);
    }
    memset(bad, 0, sizeof bad);
    bad[1] = 0x0d; /* 3328 = 0xd00 */
    assert_ok(bst_kem_ek_check(bst_view_of(bad, sizeof bad)));
    assert_err(bst_kem_ek_check(bst_view_of(bad, sizeof bad - 1)), BST_E_BAD_KEY);
    assert_err(bst_kem_ek_check(BST_VIEW("")), BST_E_BAD_KEY);
}

static void lengths_are_checked(void **state)
{
    uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES + 1] = {0}, shared[32];
    bst_auto(secret) out = {0};
    NEED_PROVIDER();
    struct bst_view text = bst_view_of(ciphertext, sizeof ciphertext);
    assert_err(bst_kem_decapsulate(dk_view(), text, shared), BST_E_VALUE);
    assert_err(bst_kem_decapsulate(dk_view(), BST_VIEW(""), shared), BST_E_VALUE);
    text.len = BST_KEM_CIPHERTEXT_BYTES;
    assert_err(bst_kem_decapsulate(bst_view_of(dk.ptr, dk.len - 1), text, shared), BST_E_BAD_KEY);
    assert_err(bst_kem_keygen(bst_view_of(seed, 63), ek, &out), BST_E_BAD_KEY);
    assert_err(bst_kem_encapsulate(bst_view_of(ek, sizeof ek), BST_VIEW("x"), ciphertext, shared),
               BST_E_VALUE);
}

static void without_a_provider_every_call_says_so(void **state)
{
    uint8_t ciphertext[BST_KEM_CIPHERTEXT_BYTES] = {0}, shared[32];
    bst_auto(secret) out = {0};
    if (bst_kem_provider()) {
        return;
    }
    assert_err(bst_kem_keygen(bst_view_of(seed, sizeof seed), ek, &out), BST_E_NOT_IMPLEMENTED);
    assert_non_null(strstr(bst_error_detail(), "OpenSSL 3.5"));
    assert_err(bst_kem_dk_load(bst_view_of(seed, sizeof seed), &out), BST_E_NOT_IMPLEMENTED);
    assert_err(bst_kem_encapsulate(bst_view_of(ek, sizeof ek), BST_VIEW(""), ciphertext, shared),
               BST_E_NOT_IMPLEMENTED);
    assert_err(bst_kem_decapsulate(BST_VIEW(""), BST_VIEW(""), shared), BST_E_NOT_IMPLEMENTED);
}

static void sha3_and_kmac_give_the_published_values(void **state)
{
    uint8_t out[64];
    /* FIPS 202: SHA3-256 of nothing, and of "abc" in two parts */
    assert_ok(bst_sha3_256(NULL, 0, out));
    assert_hex(out, 32, "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
    const struct bst_view parts[] = {BST_VIEW("a"), BST_VIEW("bc")};
    assert_ok(bst_sha3_256(parts, 2, out));
    assert_hex(out, 32, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    /* NIST's sample 4 of KMAC256 */
    bst_auto(buf) key =
        test_hex("404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f");
    assert_ok(bst_kmac256(bst_buf_view(&key), BST_VIEW("My Tagged Application"),
                          bst_view_of("\0\1\2\3", 4), out, sizeof out));
    assert_hex(out, 64,
               "20c570c31346f703c9ac36c61c03cb64c3970d0cfc787e9b79599d273a68d2f7"
               "f69d4cc3de9d104a351689f27cf6f5951f0103f33f4f24871024d9c27773a8dd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encapsulated_is_decapsulated),
        cmocka_unit_test(private_keys_come_as_seed_or_expanded),
        cmocka_unit_test(damaged_private_keys_are_refused),
        cmocka_unit_test(coefficients_at_or_above_the_modulus_are_refused),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(without_a_provider_every_call_says_so),
        cmocka_unit_test(sha3_and_kmac_give_the_published_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
