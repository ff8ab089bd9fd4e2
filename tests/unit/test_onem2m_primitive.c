/* Request and response primitives in JSON, and the checks that every binding shares. */
#include "support/test.h"

#include "onem2m/primitive.h"

#define NOW INT64_C(1700000000000000)

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

static bst_result read_request(const char *text, struct bst_m2m_request *ret)
{
    yyjson_val *root;
    assert_ok(bst_json_parse(&arena, bst_view(text), BST_JSON_DEPTH, &root));
    return bst_m2m_request_from_json(&arena, root, NOW, ret);
}

static void a_create_is_read(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request(
        "{\"op\":1,\"to\":\"cse-in\",\"fr\":\"CAdmin\",\"rqi\":\"r1\",\"rvi\":\"3\",\"ty\":3,"
        "\"rcn\":9,"
        "\"rt\":{\"rtv\":2,\"nu\":[\"http://"
        "x\"]},\"rqet\":\"5000\",\"ot\":\"20231114T221320\",\"ec\":2,"
        "\"da\":true,\"tkns\":[\"a.b.c\"],\"vsi\":\"v\",\"pc\":{\"m2m:cnt\":{\"mni\":1}}}",
        &r));
    assert_int_equal(r.op, BST_OP_CREATE);
    assert_true(bst_view_is(r.fr, "CAdmin"));
    assert_int_equal(r.release, BST_RELEASE_3);
    assert_int_equal(r.rt, BST_RT_NON_BLOCKING_ASYNCH);
    assert_int_equal(r.rtu.n, 1);
    assert_int_equal(r.rqet.us, NOW + 5000000);
    assert_int_equal(r.ot.us, NOW);
    assert_true(r.da && bst_m2m_request_has(&r, BST_REQ_DA) && bst_m2m_request_has(&r, BST_REQ_FR));
    const struct bst_m2m_type *type;
    yyjson_val *members;
    assert_ok(bst_m2m_request_resource(&r, &type, &members));
    assert_int_equal(type->ty, BST_TY_CNT);
    assert_int_equal(yyjson_obj_size(members), 1);
}

static void requests_survive_being_written(void **state)
{
    static const char *const texts[] = {
        "{\"fr\":\"C1\",\"op\":1,\"pc\":{\"m2m:cin\":{\"con\":\"x\"}},\"rqi\":\"1\",\"rvi\":\"3\","
        "\"to\":\"a/b\",\"ty\":4}",
        "{\"atrl\":0,\"op\":2}",
        "{\"asi\":true,\"auri\":false,\"aus\":[\"x\"],\"drt\":2,\"fc\":{\"lbl\":[\"a\"],\"fu\":1,"
        "\"fo\":2},\"fr\":\"C1\",\"gid\":\"g\","
        "\"grtm\":[\"m\"],\"ltids\":[\"l\"],\"op\":2,\"rcn\":6,\"rids\":[\"r@x.com\"],\"rp\":"
        "\"1000\",\"rqi\":\"2\",\"rset\":\"1000\","
        "\"rt\":{\"rtv\":3},\"rvi\":\"2a\",\"tids\":[\"t@x.com\"],\"to\":\"cse-in\",\"tqi\":true}",
        "{\"fr\":\"C1\",\"op\":2,\"pc\":{\"m2m:atrl\":[\"mni\",\"lbl\"]},\"rqi\":\"3\",\"rvi\":"
        "\"4\",\"to\":\"x\"}",
        "{\"fr\":\"C1\",\"op\":4,\"rcn\":0,\"rqi\":\"3\",\"to\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bst_m2m_request r, again;
        struct bst_buf buf = {0}, second = {0};
        if (i == 1) {
            assert_err(read_request(texts[i], &r), BST_E_SYNTAX);
            continue;
        }
        assert_ok(read_request(texts[i], &r));
        assert_ok(bst_m2m_request_to_json(&r, &buf));
        yyjson_val *root;
        assert_ok(bst_json_parse(&arena, bst_buf_view(&buf), BST_JSON_DEPTH, &root));
        assert_ok(bst_m2m_request_from_json(&arena, root, NOW, &again));
        assert_ok(bst_m2m_request_to_json(&again, &second));
        assert_true(bst_view_eq(bst_buf_view(&buf), bst_buf_view(&second)));
        yyjson_val *original;
        assert_ok(bst_json_parse(&arena, bst_view(texts[i]), BST_JSON_DEPTH, &original));
        assert_int_equal(yyjson_obj_size(original), yyjson_obj_size(root));
        bst_buf_clear(&buf);
        bst_buf_clear(&second);
    }
}

static void a_wrapped_primitive_is_taken_too(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request(
        "{\"m2m:rqp\":{\"op\":2,\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\"}}", &r));
    assert_int_equal(r.op, BST_OP_RETRIEVE);
}

/* A request that is right, changed in one place. */
#define BASE(op) "\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":" op
#define CREATE BASE("1") ",\"ty\":3,\"pc\":{\"m2m:cnt\":{}}"

static void what_an_operation_must_and_must_not_have(void **state)
{
    static const struct {
        const char *text;
        enum bst_error code;
        const char *sentence;
    } rows[] = {
        {"{" CREATE "}", BST_E_NONE, ""},
        {"{" BASE("2") "}", BST_E_NONE, ""},
        {"{" BASE("3") ",\"pc\":{\"m2m:cnt\":{}}}", BST_E_NONE, ""},
        {"{" BASE("4") "}", BST_E_NONE, ""},
        {"{" BASE("5") ",\"pc\":{\"m2m:sgn\":{}}}", BST_E_NONE, ""},
        {"{" BASE("1") ",\"ty\":2,\"pc\":{\"m2m:ae\":{}}}", BST_E_NONE, ""},
        {"{\"to\":\"x\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":1,\"ty\":2,\"pc\":{\"m2m:ae\":{}}}",
         BST_E_NONE, ""},
        {"{\"to\":\"x\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":1,\"ty\":30001,\"pc\":{\"sec:x\":{}}}",
         BST_E_NONE, ""},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"op\":2}", BST_E_NONE, ""},
        {"{\"to\":\"x\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":1,\"ty\":3,\"pc\":{\"m2m:cnt\":{}}}",
         BST_E_SYNTAX, "From"},
        {"{\"to\":\"x\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":2}", BST_E_SYNTAX, "From"},
        {"{\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":2}", BST_E_SYNTAX,
         "to (To) is missing"},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rvi\":\"3\",\"op\":2}", BST_E_SYNTAX,
         "rqi (Request Identifier) is missing"},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"3\"}", BST_E_VALUE, "op"},
        {"{" BASE("6") "}", BST_E_VALUE, "op"},
        {"{" BASE("0") "}", BST_E_VALUE, "op"},
        {"{" BASE("\"2\"") "}", BST_E_VALUE, "op"},
        {"{" BASE("1") ",\"pc\":{\"m2m:cnt\":{}}}", BST_E_SYNTAX, "ty (Resource Type) is missing"},
        {"{" BASE("1") ",\"ty\":3}", BST_E_SYNTAX, "pc (Content) is missing"},
        {"{" BASE("1") ",\"ty\":33,\"pc\":{\"m2m:cnt\":{}}}", BST_E_VALUE, "33 is unknown"},
        {"{" BASE("1") ",\"ty\":4,\"pc\":{\"m2m:cnt\":{}}}", BST_E_VALUE,
         "not a resource of type 4"},
        {"{" BASE("1") ",\"ty\":3,\"pc\":{\"m2m:zzz\":{}}}", BST_E_VALUE, "no resource type"},
        {"{" BASE("1") ",\"ty\":3,\"pc\":{}}", BST_E_SYNTAX, "an empty object"},
        {"{" BASE("1") ",\"ty\":3,\"pc\":{\"m2m:cnt\":{},\"a\":1}}", BST_E_SYNTAX,
         "an object with more"},
        {"{" BASE("1") ",\"ty\":3,\"pc\":\"x\"}", BST_E_SYNTAX, "found string"},
        {"{" BASE("1") ",\"ty\":28,\"pc\":{\"cod:lamp\":{}}}", BST_E_NONE, ""},
        {"{" CREATE ",\"fc\":{\"fu\":1}}", BST_E_SYNTAX,
         "fc (Filter Criteria) must not be present in a CREATE"},
        {"{" CREATE ",\"drt\":1}", BST_E_SYNTAX, "drt"},
        {"{" BASE("2") ",\"ty\":3}", BST_E_SYNTAX,
         "ty (Resource Type) must not be present in a RETRIEVE"},
        {"{" BASE("3") "}", BST_E_SYNTAX, "pc"},
        {"{" BASE("4") ",\"pc\":{\"a\":1}}", BST_E_SYNTAX, "pc"},
        {"{" BASE("4") ",\"drt\":1}", BST_E_SYNTAX, "drt"},
        {"{" BASE("4") ",\"fc\":{\"fu\":1}}", BST_E_VALUE, "RETRIEVE only"},
        {"{" BASE("5") "}", BST_E_SYNTAX, "pc"},
        {"{" BASE("5") ",\"pc\":{\"m2m:sgn\":{}},\"rcn\":1}", BST_E_SYNTAX, "rcn"},
        {"{" BASE("5") ",\"pc\":{\"m2m:sgn\":{}},\"fc\":{}}", BST_E_SYNTAX, "fc"},
        {"{" BASE("2") ",\"drt\":3}", BST_E_VALUE, "drt"},
        {"{" BASE("2") ",\"ec\":5}", BST_E_VALUE, "ec"},
        {"{" BASE("2") ",\"ec\":100}", BST_E_NONE, ""},
        {"{" BASE("2") ",\"rt\":3}", BST_E_VALUE, "rt"},
        {"{" BASE("2") ",\"rt\":{\"rtv\":6}}", BST_E_VALUE, "rt.rtv"},
        {"{" BASE("2") ",\"rt\":{}}", BST_E_SYNTAX, "rtv"},
        {"{" BASE("2") ",\"rqet\":\"soon\"}", BST_E_VALUE, "rqet"},
        {"{" BASE("2") ",\"rqet\":5000}", BST_E_NONE, ""},
        {"{" BASE("2") ",\"ot\":\"5000\"}", BST_E_VALUE, "ot"},
        {"{" BASE("2") ",\"sqi\":true}", BST_E_NOT_IMPLEMENTED, "sqi"},
        {"{" BASE("2") ",\"rids\":[\"norole\"]}", BST_E_VALUE, "rids"},
        {"{" BASE("2") ",\"tids\":[\"notoken\"]}", BST_E_VALUE, "tids"},
        {"{" BASE("2") ",\"tkns\":[\"a.b\"]}", BST_E_VALUE, "tkns"},
        {"{" BASE("2") ",\"tkns\":\"a.b.c\"}", BST_E_VALUE, "tkns"},
        {"{" BASE("2") ",\"foo\":1}", BST_E_SYNTAX, "\"foo\" is no request parameter"},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"a b\",\"rvi\":\"3\",\"op\":2}", BST_E_VALUE, "rqi"},
        {"{\"to\":\"x\",\"fr\":\"C 1\",\"rqi\":\"1\",\"rvi\":\"3\",\"op\":2}", BST_E_VALUE, "fr"},
        {"{\"to\":\"x\",\"fr\":7,\"rqi\":\"1\",\"rvi\":\"3\",\"op\":2}", BST_E_VALUE, "fr"},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"99\",\"op\":2}", BST_E_VERSION, "99"},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":\"\",\"op\":2}", BST_E_VERSION, ""},
        {"{\"to\":\"x\",\"fr\":\"C1\",\"rqi\":\"1\",\"rvi\":3,\"op\":2}", BST_E_VALUE, "rvi"},
        {"[]", BST_E_SYNTAX, "must be an object"},
        {"{\"m2m:rqp\":7}", BST_E_SYNTAX, "must be an object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_request r;
        bst_result got = read_request(rows[i].text, &r);
        if (got.code != rows[i].code ||
            (got.code && !strstr(bst_error_detail(), rows[i].sentence))) {
            fail_msg("%s: %s %s", rows[i].text, bst_error_name(got.code), bst_error_detail());
        }
    }
}

static void result_content_goes_with_the_operation(void **state)
{
    /* TS-0001 table 8.1.2-1: allowed rcn of C, R, U, D and of a discovery. */
    static const char create[] = "{" CREATE ",\"rcn\":%d}";
    static const char retrieve[] = "{" BASE("2") ",\"rcn\":%d}";
    static const char update[] = "{" BASE("3") ",\"pc\":{\"m2m:cnt\":{}},\"rcn\":%d}";
    static const char delete[] = "{" BASE("4") ",\"rcn\":%d}";
    static const char discover[] = "{" BASE("2") ",\"fc\":{\"fu\":1},\"rcn\":%d}";
    static const char *const columns[] = {create, retrieve, update, delete, discover};
    static const unsigned allowed[] = {0x20f, 0x11f2, 0x203, 0x173, 0x840};
    for (size_t c = 0; c < 5; c++) {
        for (int rcn = 0; rcn <= 14; rcn++) {
            struct bst_m2m_request r;
            char text[300];
            snprintf(text, sizeof text, columns[c], rcn);
            bst_result got = read_request(text, &r);
            bool good = allowed[c] & (1u << rcn);
            enum bst_error want = rcn == 10 && c == 1 ? BST_E_NOT_IMPLEMENTED
                                  : good              ? BST_E_NONE
                                                      : BST_E_VALUE;
            if (got.code != want) {
                fail_msg("%s: %s", text, bst_error_name(got.code));
            }
        }
    }
}

static void absent_result_content_has_a_default(void **state)
{
    struct bst_m2m_request r;
    assert_ok(read_request("{" CREATE "}", &r));
    assert_int_equal(bst_m2m_request_rcn(&r), BST_RCN_ATTRIBUTES);
    assert_ok(read_request("{" BASE("4") "}", &r));
    assert_int_equal(bst_m2m_request_rcn(&r), BST_RCN_NOTHING);
    assert_ok(read_request("{" BASE("2") ",\"fc\":{\"fu\":1}}", &r));
    assert_int_equal(bst_m2m_request_rcn(&r), BST_RCN_ABSENT);
    assert_ok(read_request("{" BASE("2") ",\"fc\":{\"lim\":1}}", &r));
    assert_int_equal(bst_m2m_request_rcn(&r), BST_RCN_ATTRIBUTES);
    assert_ok(read_request("{" BASE("4") ",\"rcn\":1}", &r));
    assert_int_equal(bst_m2m_request_rcn(&r), BST_RCN_ATTRIBUTES);
}

static void releases_are_known_by_their_text(void **state)
{
    static const struct {
        const char *text;
        enum bst_m2m_release release;
    } rows[] = {{"1", BST_RELEASE_1},        {"2", BST_RELEASE_2},       {"2a", BST_RELEASE_2A},
                {"3", BST_RELEASE_3},        {"4", BST_RELEASE_4},       {"5", BST_RELEASE_5},
                {"2A", BST_RELEASE_UNKNOWN}, {"6", BST_RELEASE_UNKNOWN}, {"", BST_RELEASE_UNKNOWN},
                {"3 ", BST_RELEASE_UNKNOWN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(bst_m2m_release_of(bst_view(rows[i].text)), rows[i].release);
    }
    assert_int_equal(bst_m2m_release_of((struct bst_view){NULL, 0}), BST_RELEASE_NONE);
}

static void responses_survive_being_written(void **state)
{
    static const char *const texts[] = {
        "{\"rsc\":2000,\"rqi\":\"1\",\"rvi\":\"3\",\"pc\":{\"m2m:uril\":[\"a\",\"b\"]}}",
        "{\"rsc\":2001,\"rqi\":\"1\",\"to\":\"C1\",\"fr\":\"/"
        "id-in\",\"ot\":\"20200101T000000\",\"rset\":\"1000\",\"vsi\":\"v\",\"ec\":2,"
        "\"cnst\":1,\"cnot\":7,\"ati\":{\"ltia\":[{\"lti\":\"a\",\"tkid\":\"t@x.com\"}]},\"asri\":"
        "true}",
        "{\"rsc\":4004,\"rqi\":\"1\",\"pc\":{\"m2m:dbg\":\"not \\\"there\\\"\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        yyjson_val *root, *again;
        struct bst_m2m_response rsp;
        struct bst_buf buf = {0};
        assert_ok(bst_json_parse(&arena, bst_view(texts[i]), 9, &root));
        assert_ok(bst_m2m_response_from_json(&arena, root, &rsp));
        assert_ok(bst_m2m_response_to_json(&rsp, &buf));
        assert_ok(bst_json_parse(&arena, bst_buf_view(&buf), 9, &again));
        assert_true(yyjson_equals(root, again));
        bst_buf_clear(&buf);
    }
    static const char *const bad[] = {"[]",
                                      "{}",
                                      "{\"rsc\":2000}",
                                      "{\"rsc\":\"2000\",\"rqi\":\"1\"}",
                                      "{\"rsc\":1,\"rqi\":\"1\"}",
                                      "{\"rsc\":2000,\"rqi\":1}",
                                      "{\"rsc\":2000,\"rqi\":\"1\",\"cnst\":9}",
                                      "{\"rsc\":2000,\"rqi\":\"1\",\"ati\":{\"ltia\":[{}]}}",
                                      "{\"rsc\":2000,\"rqi\":\"1\",\"rset\":\"x\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yyjson_val *root;
        struct bst_m2m_response rsp;
        assert_ok(bst_json_parse(&arena, bst_view(bad[i]), 9, &root));
        assert_true(bst_failed(bst_m2m_response_from_json(&arena, root, &rsp)));
    }
}

static void peers_are_told_what_was_wrong_with_their_input_only(void **state)
{
    static const struct {
        enum bst_error code;
        int rsc;
        bool told;
    } rows[] = {
        {BST_E_SYNTAX, 4000, true},   {BST_E_NOT_FOUND, 4004, true},
        {BST_E_CONFLICT, 4105, true}, {BST_E_TOO_LONG, 4000, true},
        {BST_E_DENIED, 4103, false},  {BST_E_NOT_AUTHENTICATED, 4106, false},
        {BST_E_IO, 5000, false},      {BST_E_INTERNAL, 5000, false},
        {BST_E_CRYPTO, 5000, false},  {BST_E_CONFIG, 5000, false},
        {BST_E_NOMEM, 5000, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_response rsp = {0};
        struct bst_buf buf = {0};
        bst_m2m_response_fail(&rsp, bst_error_detailed(rows[i].code, "the whole reason"), &arena);
        assert_int_equal(rsp.rsc, rows[i].rsc);
        assert_ok(bst_m2m_response_content(&rsp, &buf));
        assert_int_equal(memmem(buf.ptr, buf.len, "the whole reason", 16) != NULL, rows[i].told);
        assert_true(bst_view_starts(bst_buf_view(&buf), BST_VIEW("{\"m2m:dbg\":\"")));
        bst_buf_clear(&buf);
    }
}

static void failing_allocations_are_reported(void **state)
{
    const char *text = "{" CREATE ",\"tkns\":[\"a.b.c\"],\"rt\":{\"rtv\":2,\"nu\":[\"x\"]}}";
    yyjson_val *root;
    assert_ok(bst_json_parse(&arena, bst_view(text), 9, &root));
    for (long n = 1; n < 6; n++) {
        struct bst_arena fresh;
        struct bst_m2m_request r;
        bst_arena_init(&fresh, 0);
        bst_alloc_fail_at(n);
        bst_result got = bst_m2m_request_from_json(&fresh, root, NOW, &r);
        bst_alloc_fail_at(0);
        assert_true(got.code == BST_E_NONE || got.code == BST_E_NOMEM);
        bst_arena_clear(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_create_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_survive_being_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrapped_primitive_is_taken_too, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_operation_must_and_must_not_have, setup, teardown),
        cmocka_unit_test_setup_teardown(result_content_goes_with_the_operation, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_result_content_has_a_default, setup, teardown),
        cmocka_unit_test_setup_teardown(releases_are_known_by_their_text, setup, teardown),
        cmocka_unit_test_setup_teardown(responses_survive_being_written, setup, teardown),
        cmocka_unit_test_setup_teardown(peers_are_told_what_was_wrong_with_their_input_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(failing_allocations_are_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
