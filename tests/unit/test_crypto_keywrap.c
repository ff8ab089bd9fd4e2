#include "support/test.h"

#include "crypto/keywrap.h"
#include "support/hex.h"

/* RFC 5649 6, and vectors of another implementation (pyca/cryptography) for 256-bit keys. */
static const struct {
    const char *key, *in, *wrapped;
} vectors[] = {
    {"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738",
     "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
    {"5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369",
     "afbeb0f07dfbf5419200f2ccb50bb24f"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "0102030405060708090a0b0c0d0e0f1011121314",
     "3b51a4e8e9072e05e109019c842e1a0887970ff719cee45ea1d8922097e5bcba"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "c783bf3f6ee99c48dabbc410e284c52cbf758578989de18a3294c9a4d197c8a26270488b1ce98016"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "07",
     "05c33b9331bde81e4ce5a37a9b9757f5"},
};

static void published_vectors_wrap_and_unwrap(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        bst_auto(buf) key = test_hex(vectors[i].key), in = test_hex(vectors[i].in), out = {0};
        bst_auto(secret) back = {0};
        assert_ok(bst_keywrap(bst_buf_view(&key), bst_buf_view(&in), &out));
        assert_hex(out.ptr, out.len, vectors[i].wrapped);
        assert_ok(bst_keyunwrap(bst_buf_view(&key), bst_buf_view(&out), &back));
        assert_true(bst_view_eq(bst_view_of(back.ptr, back.len), bst_buf_view(&in)));
    }
}

static void any_changed_bit_is_noticed(void **state)
{
    bst_auto(buf) key = test_hex(vectors[3].key), out = test_hex(vectors[3].wrapped);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        bst_auto(secret) back = {0};
        out.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_err(bst_keyunwrap(bst_buf_view(&key), bst_buf_view(&out), &back), BST_E_BAD_MAC);
        assert_null(back.ptr);
        out.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void a_length_that_no_wrapped_key_has_is_refused(void **state)
{
    bst_auto(buf) key = test_hex(vectors[3].key), out = test_hex(vectors[3].wrapped);
    for (size_t len = 0; len < out.len; len++) {
        bst_auto(secret) back = {0};
        assert_err(bst_keyunwrap(bst_buf_view(&key), bst_view_of(out.ptr, len), &back),
                   BST_E_BAD_MAC);
    }
}

static void wrong_keys_and_empty_input_are_refused(void **state)
{
    bst_auto(buf) out = {0};
    assert_err(bst_keywrap(BST_VIEW("short"), BST_VIEW("x"), &out), BST_E_USAGE);
    assert_err(bst_keywrap(BST_VIEW("sixteen octets.."), BST_VIEW(""), &out), BST_E_USAGE);
    assert_ok(bst_keywrap(BST_VIEW("sixteen octets.."), BST_VIEW("x"), &out));
    bst_auto(secret) back = {0};
    assert_err(bst_keyunwrap(BST_VIEW("sixteen octets.;"), bst_buf_view(&out), &back),
               BST_E_BAD_MAC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_wrap_and_unwrap),
        cmocka_unit_test(any_changed_bit_is_noticed),
        cmocka_unit_test(a_length_that_no_wrapped_key_has_is_refused),
        cmocka_unit_test(wrong_keys_and_empty_input_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
