#include "support/test.h"

#include "crypto/pkey.h"
#include "crypto/x509.h"
#include "support/hex.h"

static const enum bst_pkey_kind kinds[] = {BST_PKEY_EC_P256, BST_PKEY_EC_P384, BST_PKEY_ED25519};

static enum bst_md md_of(enum bst_pkey_kind kind)
{
    return kind == BST_PKEY_ED25519 ? BST_MD_NONE : BST_MD_SHA256;
}

static void every_kind_of_key_signs_and_verifies(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        bst_auto_pkey *pkey = NULL, *other = NULL;
        bst_auto(buf) signature = {0};
        assert_ok(bst_pkey_generate(kinds[i], &pkey));
        assert_ok(bst_pkey_generate(kinds[i], &other));
        enum bst_md md = md_of(kinds[i]);
        assert_ok(bst_pkey_sign(pkey, md, BST_VIEW("message"), &signature));
        struct bst_view s = bst_buf_view(&signature);
        assert_ok(bst_pkey_verify(pkey, md, BST_VIEW("message"), s));
        assert_err(bst_pkey_verify(pkey, md, BST_VIEW("messagE"), s), BST_E_BAD_MAC);
        assert_err(bst_pkey_verify(other, md, BST_VIEW("message"), s), BST_E_BAD_MAC);
        assert_err(bst_pkey_verify(pkey, md, BST_VIEW("message"), bst_view_of(s.ptr, s.len - 1)),
                   BST_E_BAD_MAC);
        assert_err(bst_pkey_verify(pkey, md, BST_VIEW("message"), BST_VIEW("")), BST_E_BAD_MAC);
    }
}

static void a_digest_signed_directly_verifies_over_its_message(void **state)
{
    bst_auto_pkey *pkey = NULL;
    uint8_t digest[32], signature[BST_SIGNATURE_MAX];
    size_t len;
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_sha256(BST_VIEW("message"), digest));
    assert_ok(bst_pkey_sign_raw(pkey, BST_MD_SHA256, bst_view_of(digest, 32), signature, &len));
    assert_ok(
        bst_pkey_verify(pkey, BST_MD_SHA256, BST_VIEW("message"), bst_view_of(signature, len)));
    assert_err(bst_pkey_sign_raw(pkey, BST_MD_SHA256, bst_view_of(digest, 31), signature, &len),
               BST_E_USAGE);
}

static void a_hash_that_does_not_fit_the_key_is_refused(void **state)
{
    bst_auto_pkey *ec = NULL, *ed = NULL;
    bst_auto(buf) out = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &ec));
    assert_ok(bst_pkey_generate(BST_PKEY_ED25519, &ed));
    assert_err(bst_pkey_sign(ec, BST_MD_NONE, BST_VIEW("m"), &out), BST_E_USAGE);
    assert_err(bst_pkey_sign(ed, BST_MD_SHA256, BST_VIEW("m"), &out), BST_E_USAGE);
}

/* RFC 8032 7.1, test 2. */
static void ed25519_gives_the_signature_of_rfc_8032(void **state)
{
    bst_auto(buf) pkcs8 =
        test_hex("302e020100300506032b657004220420"
                 "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) signature = {0};
    assert_ok(bst_pkey_load(bst_buf_view(&pkcs8), &pkey));
    assert_ok(bst_pkey_sign(pkey, BST_MD_NONE, BST_VIEW("\x72"), &signature));
    assert_hex(signature.ptr, signature.len,
               "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
               "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

static void keys_travel_as_der_and_pem(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        bst_auto_pkey *pkey = NULL, *back = NULL, *back_pem = NULL, *pub = NULL, *pub_pem = NULL;
        bst_auto(secret) der = {0};
        bst_auto(buf) spki = {0}, again = {0}, pem = {0}, spki_pem = {0};
        assert_ok(bst_pkey_generate(kinds[i], &pkey));
        assert_ok(bst_pkey_private(pkey, &der));
        assert_ok(bst_pkey_spki(pkey, &spki));
        assert_ok(bst_pkey_load(bst_view_of(der.ptr, der.len), &back));
        assert_ok(bst_pkey_spki(back, &again));
        assert_true(bst_view_eq(bst_buf_view(&spki), bst_buf_view(&again)));
        assert_ok(bst_der_to_pem("PRIVATE KEY", bst_view_of(der.ptr, der.len), &pem));
        assert_ok(bst_pkey_load(bst_buf_view(&pem), &back_pem));
        assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &pub));
        assert_ok(bst_der_to_pem("PUBLIC KEY", bst_buf_view(&spki), &spki_pem));
        assert_ok(bst_pkey_load_public(bst_buf_view(&spki_pem), &pub_pem));
        enum bst_pkey_kind kind;
        assert_ok(bst_pkey_kind(pub, &kind));
        assert_int_equal(kind, kinds[i]);
    }
}

static void cut_long_or_foreign_key_texts_are_refused_in_words(void **state)
{
    bst_auto_pkey *pkey = NULL, *out = NULL;
    bst_auto(secret) der = {0};
    bst_auto(buf) spki = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &der));
    assert_ok(bst_pkey_spki(pkey, &spki));
    for (size_t len = 1; len < der.len; len++) {
        assert_err(bst_pkey_load(bst_view_of(der.ptr, len), &out), BST_E_BAD_KEY);
    }
    assert_err(bst_pkey_load(BST_VIEW(""), &out), BST_E_TRUNCATED);
    bst_buf_addc(&spki, 0);
    assert_err(bst_pkey_load_public(bst_buf_view(&spki), &out), BST_E_BAD_KEY);
    static char large[70000];
    assert_err(bst_pkey_load(bst_view_of(large, sizeof large), &out), BST_E_TOO_LONG);
    assert_err(
        bst_pkey_load(BST_VIEW("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                      &out),
        BST_E_BAD_KEY);
    assert_non_null(strstr(bst_error_detail(), "private key"));
    assert_null(out);
}

static void a_key_of_another_curve_is_refused(void **state)
{
    /* SubjectPublicKeyInfo on secp256k1 with the base point. */
    bst_auto(buf) spki =
        test_hex("3056301006072a8648ce3d020106052b8104000a03420004"
                 "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
                 "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    bst_auto_pkey *out = NULL;
    assert_err(bst_pkey_load_public(bst_buf_view(&spki), &out), BST_E_BAD_KEY);
    assert_non_null(strstr(bst_error_detail(), "secp256k1"));
}

static void two_parties_agree_on_the_same_secret(void **state)
{
    bst_auto_pkey *a = NULL, *b = NULL, *ed = NULL;
    bst_auto(buf) a_spki = {0}, b_spki = {0}, ed_spki = {0};
    bst_auto(secret) ab = {0}, ba = {0}, none = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &a));
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &b));
    assert_ok(bst_pkey_generate(BST_PKEY_ED25519, &ed));
    assert_ok(bst_pkey_spki(a, &a_spki));
    assert_ok(bst_pkey_spki(b, &b_spki));
    assert_ok(bst_pkey_spki(ed, &ed_spki));
    assert_ok(bst_pkey_agree(a, bst_buf_view(&b_spki), &ab));
    assert_ok(bst_pkey_agree(b, bst_buf_view(&a_spki), &ba));
    assert_int_equal(ab.len, 32);
    assert_memory_equal(ab.ptr, ba.ptr, 32);
    assert_err(bst_pkey_agree(a, bst_buf_view(&ed_spki), &none), BST_E_BAD_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_key_signs_and_verifies),
        cmocka_unit_test(a_digest_signed_directly_verifies_over_its_message),
        cmocka_unit_test(a_hash_that_does_not_fit_the_key_is_refused),
        cmocka_unit_test(ed25519_gives_the_signature_of_rfc_8032),
        cmocka_unit_test(keys_travel_as_der_and_pem),
        cmocka_unit_test(cut_long_or_foreign_key_texts_are_refused_in_words),
        cmocka_unit_test(a_key_of_another_curve_is_refused),
        cmocka_unit_test(two_parties_agree_on_the_same_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
