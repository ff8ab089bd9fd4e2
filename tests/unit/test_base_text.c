/* base/text: views, wildcards, numbers, alphabets. */
#include "support/test.h"

#include "base/text.h"

static void wildcards_do_not_cross_the_stop_character(void **state)
{
    const struct {
        const char *pattern, *text;
        char stop;
        bool match;
    } cases[] = {
        {"/id-in/C*", "/id-in/C123", '/', true},
        {"/id-in/*", "/id-in/a/b", '/', false},
        {"*", "a/b", '\0', true},
        {"*", "a/b", '/', false},
        {"a*b*c", "aXXbYYc", '/', true},
        {"a*b*c", "aXXbYY", '/', false},
        {"*/x/*", "a/x/b", '/', true},
        {"**", "", '/', true},
        {"", "", '/', true},
        {"", "a", '/', false},
        {"*x/*y", "ax/bx/cy", '/', false},
        {"S*", "S", '/', true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (bst_wildcard_match(bst_view(cases[i].pattern), bst_view(cases[i].text),
                               cases[i].stop) != cases[i].match) {
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
        }
    }
}

static void integers_refuse_overflow_and_foreign_characters(void **state)
{
    int64_t n;
    assert_ok(bst_parse_i64(bst_view("-9223372036854775808"), &n));
    assert_true(n == INT64_MIN);
    assert_err(bst_parse_i64(bst_view("9223372036854775808"), &n), BST_E_VALUE);
    assert_err(bst_parse_i64(bst_view("+1"), &n), BST_E_SYNTAX);
    assert_err(bst_parse_i64(bst_view(""), &n), BST_E_SYNTAX);
    assert_err(bst_parse_i64(bst_view("-"), &n), BST_E_SYNTAX);
    assert_err(bst_parse_i64(bst_view("1 "), &n), BST_E_SYNTAX);
    double d;
    assert_ok(bst_parse_double(bst_view("-12.5e1"), &d));
    assert_true(d == -125.0);
    assert_err(bst_parse_double(bst_view("nan"), &d), BST_E_SYNTAX);
    assert_err(bst_parse_double(bst_view("0x10"), &d), BST_E_SYNTAX);
    assert_err(bst_parse_double(bst_view("1e999"), &d), BST_E_SYNTAX);
}

static void base64_decodes_only_its_canonical_form(void **state)
{
    bst_auto(buf) buf = {0};
    assert_ok(bst_base64_decode(bst_view("aGVsbG8="), &buf));
    assert_true(bst_view_is(bst_buf_view(&buf), "hello"));
    buf.len = 0;
    assert_err(bst_base64_decode(bst_view("aGVsbG9="), &buf), BST_E_SYNTAX);
    assert_err(bst_base64_decode(bst_view("aGVsbG8"), &buf), BST_E_SYNTAX);
    assert_err(bst_base64url_decode(bst_view("a"), &buf), BST_E_SYNTAX);
    buf.len = 0;
    assert_ok(bst_base64url_decode(bst_view("-_8"), &buf));
    assert_memory_equal(buf.ptr, "\xfb\xff", 2);
    buf.len = 0;
    bst_base64_add(&buf, bst_view("hello"));
    assert_true(bst_view_is(bst_buf_view(&buf), "aGVsbG8="));
}

static void utf8_refuses_overlong_surrogate_and_truncated_forms(void **state)
{
    assert_true(bst_utf8_valid(bst_view("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")));
    assert_false(bst_utf8_valid(bst_view("\xc0\x80")));
    assert_false(bst_utf8_valid(bst_view("\xed\xa0\x80")));
    assert_false(bst_utf8_valid(bst_view("\xf4\x90\x80\x80")));
    assert_false(bst_utf8_valid(bst_view("\xe2\x82")));
}

static void percent_decoding_refuses_nul_and_broken_escapes(void **state)
{
    bst_auto(buf) buf = {0};
    assert_ok(bst_percent_decode(bst_view("a%2Fb"), &buf));
    assert_true(bst_view_is(bst_buf_view(&buf), "a/b"));
    assert_err(bst_percent_decode(bst_view("%00"), &buf), BST_E_SYNTAX);
    assert_err(bst_percent_decode(bst_view("%4"), &buf), BST_E_SYNTAX);
    assert_err(bst_percent_decode(bst_view("%zz"), &buf), BST_E_SYNTAX);
}

static void json_strings_escape_controls_and_mend_invalid_text(void **state)
{
    bst_auto(buf) buf = {0};
    bst_buf_add_json(&buf, bst_view("a\"\\\n\x01z"));
    assert_true(bst_view_is(bst_buf_view(&buf), "\"a\\\"\\\\\\n\\u0001z\""));
    buf.len = 0;
    bst_buf_add_json(&buf, bst_view("a\xff"));
    assert_true(bst_view_is(bst_buf_view(&buf), "\"a\\ufffd\""));
}

static void a_failed_append_sticks_and_loses_nothing(void **state)
{
    bst_auto(buf) buf = {0};
    bst_buf_adds(&buf, "kept");
    bst_alloc_fail_at(1);
    assert_null(bst_buf_reserve(&buf, 1000));
    bst_alloc_fail_at(0);
    bst_buf_adds(&buf, "lost");
    assert_err(bst_buf_check(&buf), BST_E_NOMEM);
    assert_true(bst_view_is(bst_buf_view(&buf), "kept"));
}

static void secrets_are_zeroed_and_reusable(void **state)
{
    struct bst_secret many[1100] = {{0}};
    for (size_t i = 0; i < 1100; i++) {
        assert_ok(bst_secret_copy(&many[i], "0123456789abcdef0123456789abcdef", 32));
    }
    for (size_t i = 0; i < 1100; i++) {
        bst_secret_clear(&many[i]);
        assert_null(many[i].ptr);
    }
    bst_auto(secret) fresh = {0};
    assert_ok(bst_secret_init(&fresh, 64));
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(fresh.ptr[i], 0);
    }
}

static void edit_distance_counts_swaps_once(void **state)
{
    assert_int_equal(bst_edit_distance(bst_view("listen"), bst_view("litsen")), 1);
    assert_int_equal(bst_edit_distance(bst_view("port"), bst_view("ports")), 1);
    assert_int_equal(bst_edit_distance(bst_view(""), bst_view("abc")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_do_not_cross_the_stop_character),
        cmocka_unit_test(integers_refuse_overflow_and_foreign_characters),
        cmocka_unit_test(base64_decodes_only_its_canonical_form),
        cmocka_unit_test(utf8_refuses_overlong_surrogate_and_truncated_forms),
        cmocka_unit_test(percent_decoding_refuses_nul_and_broken_escapes),
        cmocka_unit_test(json_strings_escape_controls_and_mend_invalid_text),
        cmocka_unit_test(a_failed_append_sticks_and_loses_nothing),
        cmocka_unit_test(secrets_are_zeroed_and_reusable),
        cmocka_unit_test(edit_distance_counts_swaps_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
