/* JSON of peers: what is accepted, what is refused and with which sentence. */
#include "support/test.h"

#include "codec/json.h"

static struct bst_arena arena;

static int setup(void **state)
{
    bst_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    bst_arena_clear(&arena);
    return 0;
}

static bst_result parse(const char *text, yyjson_val **ret)
{
    return bst_json_parse(&arena, bst_view(text), BST_JSON_DEPTH, ret);
}

static void a_document_is_read_and_written_back(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"m2m:cin\":{\"con\":\"21.5\",\"cnf\":\"text/plain:0\"}}",
        "[1,-2,3.5,true,false,null]",
        "{\"a\":{\"b\":[{\"c\":\"\\u20ac\"}]}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        yyjson_val *root;
        struct bst_buf buf = {0};
        assert_ok(parse(texts[i], &root));
        assert_ok(bst_json_write(root, &buf));
        yyjson_val *again;
        assert_ok(bst_json_parse(&arena, bst_buf_view(&buf), BST_JSON_DEPTH, &again));
        assert_true(yyjson_equals(root, again));
        bst_buf_clear(&buf);
    }
}

static void numbers_beyond_64_bits_keep_their_digits(void **state)
{
    yyjson_val *root;
    struct bst_buf buf = {0};
    const char *text = "[123456789012345678901234567890,1e999]";
    assert_ok(parse(text, &root));
    assert_ok(bst_json_write(root, &buf));
    assert_true(bst_view_is(bst_buf_view(&buf), text));
    assert_string_equal(bst_json_kind(yyjson_arr_get(root, 0)), "number");
    bst_buf_clear(&buf);
}

static void what_is_no_json_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum bst_error code;
        const char *sentence;
    } cases[] = {
        {"", BST_E_SYNTAX, "empty"},
        {" ", BST_E_SYNTAX, "byte"},
        {"{", BST_E_SYNTAX, "byte 1"},
        {"{\"a\":1", BST_E_SYNTAX, "byte 6"},
        {"{\"a\":1}x", BST_E_SYNTAX, "byte 7"},
        {"{\"a\":1}{}", BST_E_SYNTAX, "byte 7"},
        {"{\"a\":1,}", BST_E_SYNTAX, "byte"},
        {"{'a':1}", BST_E_SYNTAX, "byte"},
        {"[1 2]", BST_E_SYNTAX, "byte"},
        {"nul", BST_E_SYNTAX, "byte"},
        {"NaN", BST_E_SYNTAX, "byte"},
        {"01", BST_E_SYNTAX, "byte"},
        {"\"a\tb\"", BST_E_SYNTAX, "byte"},
        {"\"\\ud800\"", BST_E_SYNTAX, "byte"},
        {"/* c */1", BST_E_SYNTAX, "byte"},
        {"\"\xff\"", BST_E_ENCODING, "UTF-8"},
        {"\"\xc0\xaf\"", BST_E_ENCODING, "UTF-8"},
        {"\"\xed\xa0\x80\"", BST_E_ENCODING, "UTF-8"},
        {"\"a\\u0000b\"", BST_E_SYNTAX, "U+0000"},
        {"{\"a\\u0000\":1}", BST_E_SYNTAX, "U+0000"},
        {"{\"a\":1,\"a\":2}", BST_E_SYNTAX, "\"a\" twice"},
        {"{\"a\":1,\"\\u0061\":2}", BST_E_SYNTAX, "\"a\" twice"},
        {"{\"x\":[{\"b\":1,\"c\":2,\"b\":3}]}", BST_E_SYNTAX,
         "\"b\" twice in one object, at byte 20"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        yyjson_val *root;
        bst_result r = parse(cases[i].text, &root);
        if (r.code != cases[i].code || !strstr(bst_error_detail(), cases[i].sentence)) {
            fail_msg("%s: %s %s", cases[i].text, bst_error_name(r.code), bst_error_detail());
        }
    }
}

static void bytes_after_a_nul_do_not_hide(void **state)
{
    yyjson_val *root;
    assert_err(bst_json_parse(&arena, bst_view_of("{}\0x", 4), 4, &root), BST_E_SYNTAX);
    assert_err(bst_json_parse(&arena, bst_view_of("\"a\0b\"", 5), 4, &root), BST_E_SYNTAX);
}

static void nesting_ends_at_the_limit(void **state)
{
    char text[400];
    for (unsigned depth = 1; depth <= 100; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        yyjson_val *root;
        bst_result r = bst_json_parse(&arena, bst_view_of(text, 2 * depth), BST_JSON_DEPTH, &root);
        assert_int_equal(r.code, depth <= BST_JSON_DEPTH ? BST_E_NONE : BST_E_TOO_DEEP);
    }
    yyjson_val *root;
    assert_ok(bst_json_parse(&arena, BST_VIEW("7"), 0, &root));
    assert_err(bst_json_parse(&arena, BST_VIEW("[]"), 0, &root), BST_E_TOO_DEEP);
}

static void a_bomb_of_a_million_brackets_is_just_an_error(void **state)
{
    struct bst_buf buf = {0};
    memset(bst_buf_reserve(&buf, 1000000), '[', 1000000);
    buf.len = 1000000;
    yyjson_val *root;
    assert_true(bst_failed(bst_json_parse(&arena, bst_buf_view(&buf), 32, &root)));
    bst_buf_clear(&buf);
}

static void duplicates_are_found_in_large_objects(void **state)
{
    for (int n = 1; n < 3000; n = n * 3 + 1) {
        struct bst_buf buf = {0};
        bst_buf_addc(&buf, '{');
        for (int i = 0; i < n; i++) {
            bst_buf_addf(&buf, "%s\"m%d\":%d", i ? "," : "", i, i);
        }
        yyjson_val *root;
        bst_buf_addc(&buf, '}');
        assert_ok(bst_json_parse(&arena, bst_buf_view(&buf), 4, &root));
        assert_int_equal(yyjson_obj_size(root), n);
        buf.len--;
        bst_buf_addf(&buf, ",\"m%d\":0}", n / 2);
        assert_err(bst_json_parse(&arena, bst_buf_view(&buf), 4, &root), BST_E_SYNTAX);
        bst_buf_clear(&buf);
    }
}

static void an_arena_at_its_limit_is_an_error(void **state)
{
    struct bst_arena small;
    bst_arena_init(&small, 64);
    yyjson_val *root;
    assert_err(bst_json_parse(&small, BST_VIEW("{\"a\":[1,2,3,4,5,6,7,8,9,10]}"), 4, &root),
               BST_E_NOMEM);
    bst_arena_clear(&small);
}

static void members_are_fetched_with_their_type(void **state)
{
    yyjson_val *o, *v;
    struct bst_view text = {0};
    int64_t n = 0;
    bool b = false;
    assert_ok(parse("{\"s\":\"x\",\"n\":-5,\"b\":true,\"a\":[1],\"o\":{},\"z\":null,\"big\":"
                    "18446744073709551615,\"d\":1.5}",
                    &o));
    assert_ok(bst_json_string(o, "s", &text));
    assert_true(bst_view_is(text, "x"));
    assert_ok(bst_json_i64(o, "n", &n));
    assert_int_equal(n, -5);
    assert_ok(bst_json_bool(o, "b", &b));
    assert_true(b);
    assert_ok(bst_json_array(o, "a", &v));
    assert_ok(bst_json_object(o, "o", &v));
    assert_err(bst_json_string(o, "n", &text), BST_E_VALUE);
    assert_err(bst_json_i64(o, "s", &n), BST_E_VALUE);
    assert_err(bst_json_i64(o, "d", &n), BST_E_VALUE);
    assert_err(bst_json_i64(o, "big", &n), BST_E_VALUE);
    assert_err(bst_json_bool(o, "n", &b), BST_E_VALUE);
    assert_err(bst_json_array(o, "o", &v), BST_E_VALUE);
    assert_err(bst_json_object(o, "a", &v), BST_E_VALUE);
    assert_err(bst_json_string(o, "none", &text), BST_E_SYNTAX);
    assert_non_null(strstr(bst_error_detail(), "none"));
    assert_ok(bst_json_opt_string(o, "none", &text));
    assert_ok(bst_json_opt_i64(o, "z", &n));
    assert_int_equal(n, -5);
    assert_err(bst_json_opt_bool(o, "s", &b), BST_E_VALUE);
    assert_err(bst_json_opt_array(o, "s", &v), BST_E_VALUE);
    assert_err(bst_json_opt_object(o, "s", &v), BST_E_VALUE);
    assert_err(bst_json_opt_i64(o, "s", &n), BST_E_VALUE);
    assert_null(bst_json_get(NULL, "x"));
}

static void documents_are_built_in_an_arena(void **state)
{
    yyjson_mut_doc *doc = bst_json_doc(&arena);
    assert_non_null(doc);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    char name[300][8];
    for (int i = 0; i < 300; i++) {
        snprintf(name[i], sizeof name[i], "k%d", i);
        yyjson_mut_obj_add_int(doc, o, name[i], i);
    }
    struct bst_buf buf = {0};
    bst_buf_adds(&buf, "before ");
    assert_ok(bst_json_write_mut(o, &buf));
    assert_true(bst_view_starts(bst_buf_view(&buf), BST_VIEW("before {\"k0\":0,")));
    assert_int_equal(buf.ptr[buf.len - 1], '}');
    bst_buf_clear(&buf);
}

static void text_that_is_not_utf8_is_not_written(void **state)
{
    yyjson_mut_doc *doc = bst_json_doc(&arena);
    struct bst_buf buf = {0};
    bst_buf_adds(&buf, "x");
    assert_err(bst_json_write_mut(yyjson_mut_str(doc, "\xff"), &buf), BST_E_ENCODING);
    assert_int_equal(buf.len, 1);
    bst_buf_clear(&buf);
}

static void allocation_failures_come_back_as_errors(void **state)
{
    yyjson_val *root;
    for (long n = 1; n < 4; n++) {
        struct bst_arena fresh;
        bst_arena_init(&fresh, 0);
        bst_alloc_fail_at(n);
        bst_result r = bst_json_parse(&fresh, BST_VIEW("{\"a\":[1,2]}"), 4, &root);
        bst_alloc_fail_at(0);
        assert_true(r.code == BST_E_NONE || r.code == BST_E_NOMEM);
        bst_arena_clear(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_document_is_read_and_written_back, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_beyond_64_bits_keep_their_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_json_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_after_a_nul_do_not_hide, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_ends_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bomb_of_a_million_brackets_is_just_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(duplicates_are_found_in_large_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(an_arena_at_its_limit_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(members_are_fetched_with_their_type, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_are_built_in_an_arena, setup, teardown),
        cmocka_unit_test_setup_teardown(text_that_is_not_utf8_is_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(allocation_failures_come_back_as_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
