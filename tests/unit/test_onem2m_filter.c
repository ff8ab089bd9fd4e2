/* Filter criteria: reading, writing, matching. */
#include "support/test.h"

#include "base/time.h"
#include "onem2m/filter.h"

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

static bst_result read_json(const char *text, struct bst_m2m_filter *ret)
{
    yyjson_val *fc;
    assert_ok(bst_json_parse(&arena, bst_view(text), BST_JSON_DEPTH, &fc));
    return bst_m2m_filter_from_json(&arena, fc, ret);
}

/* A little tree: a subject is a row here, its context the index. */
static const struct row {
    int parent, ty;
    const char *ct, *lt, *et;
    int64_t st, size;
    const char *body;
} tree[] = {
    {-1, BST_TY_CB, "20240101T000000", "20240101T000000", NULL, -1, -1,
     "{\"rn\":\"cse-in\",\"lbl\":[\"root\"]}"},
    {0, BST_TY_AE, "20240102T000000", "20240103T000000", "20990101T000000", -1, -1,
     "{\"rn\":\"ae1\",\"api\":\"N.x\",\"rr\":true,\"lbl\":[\"floor1\",\"color:red\"],\"poa\":["
     "\"http://a\",\"mqtt://b\"]}"},
    {1, BST_TY_CNT, "20240103T000000", "20240104T000000", "20300101T000000", 5, -1,
     "{\"rn\":\"c1\",\"cr\":\"CAE-ID7\",\"mni\":10,\"lbl\":[\"temp\",\"color:green\",\"color:"
     "blue\"]}"},
    {2, BST_TY_CIN, "20240104T000000", "20240104T000000", "20300101T000000", 1, 10,
     "{\"rn\":\"i1\",\"con\":\"33.5\",\"cnf\":\"text/plain:0\",\"x\":2.5}"},
    {2, BST_TY_CIN, "20240105T000000", "20240105T000000", "20300101T000000", 2, 200,
     "{\"rn\":\"i2\",\"con\":{\"a\":1},\"cnf\":\"application/json:0\"}"},
    {1, BST_TY_CNT, "20240106T000000", "20240106T000000", NULL, 0, -1, "{\"rn\":\"c2\"}"},
};
#define ROWS (sizeof tree / sizeof tree[0])

static int loads;

static int64_t at(const char *text)
{
    int64_t us = 0;
    if (text) {
        assert_ok(bst_m2m_time_parse(bst_view(text), &us));
    }
    return us;
}

static const struct bst_m2m_subject_ops ops;

static struct bst_m2m_subject subject(size_t i)
{
    const struct row *r = &tree[i];
    return (struct bst_m2m_subject){.ty = r->ty,
                                    .ct_us = at(r->ct),
                                    .lt_us = at(r->lt),
                                    .et_us = at(r->et),
                                    .st = r->st,
                                    .size = r->size,
                                    .ops = &ops,
                                    .ctx = (void *)(uintptr_t)r};
}

static size_t index_of(const struct bst_m2m_subject *s)
{
    return (size_t)((const struct row *)s->ctx - tree);
}

static bst_result load(struct bst_m2m_subject *s)
{
    loads++;
    return bst_json_parse(&arena, bst_view(tree[index_of(s)].body), 8, &s->body);
}

static bst_result parent(struct bst_m2m_subject *s, struct bst_m2m_subject *ret, bool *ret_found)
{
    int up = tree[index_of(s)].parent;
    *ret_found = up >= 0;
    if (up >= 0) {
        *ret = subject((size_t)up);
    }
    return BST_OK;
}

static bst_result child(struct bst_m2m_subject *s, int64_t *cursor, struct bst_m2m_subject *ret,
                        bool *ret_found)
{
    *ret_found = false;
    for (; *cursor < (int64_t)ROWS; ++*cursor) {
        if (tree[*cursor].parent == (int)index_of(s)) {
            *ret = subject((size_t)(*cursor)++);
            *ret_found = true;
            return BST_OK;
        }
    }
    return BST_OK;
}

static const struct bst_m2m_subject_ops ops = {load, parent, child};

static void criteria_select_what_the_clause_says(void **state)
{
    /* Each filter with the rows that it matches, as a bit mask. */
    static const struct {
        const char *fc;
        unsigned rows;
    } rows[] = {
        {"{}", 0x3f},
        {"{\"fu\":1,\"lim\":1,\"lvl\":1,\"ofst\":1}", 0x3f},
        {"{\"ty\":[3]}", 0x24},
        {"{\"ty\":[3,4]}", 0x3c},
        {"{\"crb\":\"20240103T000000\"}", 0x03}, /* ct < crb */
        {"{\"cra\":\"20240103T000000\"}", 0x3c}, /* cra <= ct */
        {"{\"cra\":\"20240103T000000\",\"crb\":\"20240105T000000\"}", 0x0c},
        {"{\"us\":\"20240104T000000\"}", 0x03},
        {"{\"ms\":\"20240105T000000\"}", 0x30},
        {"{\"sts\":2}", 0x28},
        {"{\"stb\":2}", 0x14},
        {"{\"stb\":1,\"sts\":3}", 0x18},
        {"{\"exb\":\"20400101T000000\"}", 0x1c},
        {"{\"exa\":\"20400101T000000\"}", 0x02},
        {"{\"sza\":10}", 0x18},
        {"{\"szb\":200}", 0x08},
        {"{\"sza\":11,\"szb\":201}", 0x10},
        {"{\"lbl\":[\"temp\"]}", 0x04},
        {"{\"lbl\":[\"temp\",\"root\"]}", 0x05},
        {"{\"lbl\":[\"nope\"]}", 0},
        {"{\"lbq\":\"color\"}", 0x06},
        {"{\"cty\":[\"text/plain\"]}", 0x08},
        {"{\"cty\":[\"TEXT/plain\",\"application/json\"]}", 0x18},
        {"{\"atr\":[{\"nm\":\"cr\",\"val\":\"CAE-ID*\"}]}", 0x04},
        {"{\"atr\":[{\"nm\":\"cr\",\"val\":\"*ID7\"}]}", 0x04},
        {"{\"atr\":[{\"nm\":\"cr\",\"val\":\"CAE\"}]}", 0},
        {"{\"atr\":[{\"nm\":\"mni\",\"val\":10}]}", 0x04},
        {"{\"atr\":[{\"nm\":\"mni\",\"val\":\"1*\"}]}", 0x04},
        {"{\"atr\":[{\"nm\":\"rr\",\"val\":true}]}", 0x02},
        {"{\"atr\":[{\"nm\":\"rr\",\"val\":\"false\"}]}", 0},
        {"{\"atr\":[{\"nm\":\"poa\",\"val\":\"mqtt*\"}]}", 0x02},
        {"{\"atr\":[{\"nm\":\"x\",\"val\":\"2.50\"}]}", 0x08},
        {"{\"atr\":[{\"nm\":\"con\",\"val\":\"*\"}]}", 0x08}, /* objects do not match */
        {"{\"atr\":[{\"nm\":\"rn\",\"val\":\"c1\"},{\"nm\":\"rn\",\"val\":\"c2\"}]}",
         0x24}, /* one tag: OR */
        {"{\"chty\":[4]}", 0x04},
        {"{\"chty\":[2]}", 0x01},
        {"{\"clbl\":[\"temp\"]}", 0x02},
        {"{\"catr\":[{\"nm\":\"rn\",\"val\":\"i*\"}]}", 0x04},
        {"{\"pty\":[3]}", 0x18},
        {"{\"palb\":[\"floor1\"]}", 0x24},
        {"{\"patr\":[{\"nm\":\"rn\",\"val\":\"ae1\"}]}", 0x24},
        {"{\"ty\":[3],\"lbl\":[\"temp\"]}", 0x04},
        {"{\"ty\":[3],\"lbl\":[\"temp\"],\"fo\":1}", 0x04},
        {"{\"ty\":[4],\"lbl\":[\"temp\"],\"fo\":2}", 0x1c},
        {"{\"ty\":[3],\"lbl\":[\"temp\",\"root\"],\"fo\":3}", 0x21},
        {"{\"chty\":[4],\"clbl\":[\"temp\"],\"fo\":2}", 0x06},
        {"{\"chty\":[4],\"pty\":[2]}", 0x04},
        {"{\"pty\":[5],\"ty\":[5],\"fo\":2}", 0x03},
        {"{\"cra\":\"20240103T000000\",\"crb\":\"20240105T000000\",\"ty\":[5],\"fo\":2}", 0x0d},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_filter f;
        unsigned got = 0;
        assert_ok(read_json(rows[i].fc, &f));
        for (size_t k = 0; k < ROWS; k++) {
            struct bst_m2m_subject s = subject(k);
            bool match = false;
            assert_ok(bst_m2m_filter_match(&f, &s, &match));
            got |= (unsigned)match << k;
        }
        if (got != rows[i].rows) {
            fail_msg("%s: %02x instead of %02x", rows[i].fc, got, rows[i].rows);
        }
    }
}

static void a_body_is_loaded_once_and_only_when_needed(void **state)
{
    struct bst_m2m_filter f;
    bool match;
    struct bst_m2m_subject s = subject(2);
    assert_ok(read_json("{\"ty\":[4],\"lbl\":[\"temp\"],\"lbq\":\"temp\"}", &f));
    loads = 0;
    assert_ok(bst_m2m_filter_match(&f, &s, &match));
    assert_int_equal(loads, 0); /* the type decided */
    assert_ok(read_json("{\"ty\":[3],\"lbl\":[\"temp\"],\"lbq\":\"temp\"}", &f));
    assert_ok(bst_m2m_filter_match(&f, &s, &match));
    assert_true(match);
    assert_int_equal(loads, 1);
    assert_int_equal(bst_m2m_filter_needs(&f), BST_FC_NEEDS_BODY);
    assert_true(bst_m2m_filter_selects(&f));
    assert_ok(read_json("{\"lvl\":1,\"fu\":1,\"arp\":\"x\"}", &f));
    assert_false(bst_m2m_filter_selects(&f));
    assert_int_equal(bst_m2m_filter_needs(&f), 0);
    assert_ok(read_json("{\"chty\":[1],\"palb\":[\"x\"]}", &f));
    assert_int_equal(bst_m2m_filter_needs(&f), BST_FC_NEEDS_PARENT | BST_FC_NEEDS_CHILDREN);
}

static void bad_criteria_are_refused(void **state)
{
    static const struct {
        const char *fc;
        enum bst_error code;
    } rows[] = {
        {"[]", BST_E_VALUE},
        {"{\"zz\":1}", BST_E_SYNTAX},
        {"{\"ty\":3}", BST_E_VALUE},
        {"{\"ty\":[\"3\"]}", BST_E_VALUE},
        {"{\"ty\":[77]}", BST_E_VALUE},
        {"{\"ty\":[-1]}", BST_E_VALUE},
        {"{\"crb\":\"x\"}", BST_E_VALUE},
        {"{\"crb\":5}", BST_E_VALUE},
        {"{\"sts\":0}", BST_E_VALUE},
        {"{\"stb\":-1}", BST_E_VALUE},
        {"{\"szb\":0}", BST_E_VALUE},
        {"{\"lvl\":0}", BST_E_VALUE},
        {"{\"ofst\":0}", BST_E_VALUE},
        {"{\"lim\":\"5\"}", BST_E_VALUE},
        {"{\"fu\":4}", BST_E_VALUE},
        {"{\"fo\":4}", BST_E_VALUE},
        {"{\"fo\":0}", BST_E_VALUE},
        {"{\"lbl\":\"x\"}", BST_E_VALUE},
        {"{\"lbl\":[]}", BST_E_VALUE},
        {"{\"atr\":{\"nm\":\"a\",\"val\":1}}", BST_E_VALUE},
        {"{\"atr\":[{\"nm\":\"a\"}]}", BST_E_SYNTAX},
        {"{\"atr\":[{\"nm\":\"ct\",\"val\":1}]}", BST_E_VALUE},
        {"{\"atr\":[{\"nm\":\"lbl\",\"val\":1}]}", BST_E_VALUE},
        {"{\"cfs\":1}", BST_E_SYNTAX},
        {"{\"cfq\":\"$.a\"}", BST_E_SYNTAX},
        {"{\"cfs\":1,\"cfq\":\"$.a\"}", BST_E_NOT_IMPLEMENTED},
        {"{\"smf\":[\"SELECT\"]}", BST_E_NOT_IMPLEMENTED},
        {"{\"lbq\":\"a EQ\"}", BST_E_VALUE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_filter f;
        bst_result r = read_json(rows[i].fc, &f);
        if (r.code != rows[i].code) {
            fail_msg("%s: %s %s", rows[i].fc, bst_error_name(r.code), bst_error_detail());
        }
    }
}

static void query_pairs_fill_the_same_filter(void **state)
{
    struct bst_m2m_filter f = {0};
    struct bst_m2m_filter_reader r = {&arena, &f};
    bool taken;
    assert_ok(bst_m2m_filter_add(&r, BST_VIEW("ty"), BST_VIEW("3"), &taken));
    assert_ok(bst_m2m_filter_add(&r, BST_VIEW("ty"), BST_VIEW("4"), &taken));
    assert_ok(bst_m2m_filter_add(&r, BST_VIEW("lim"), BST_VIEW("5"), &taken));
    assert_true(taken);
    assert_err(bst_m2m_filter_add(&r, BST_VIEW("lim"), BST_VIEW("6"), &taken), BST_E_SYNTAX);
    assert_ok(bst_m2m_filter_add(&r, BST_VIEW("rcn"), BST_VIEW("6"), &taken));
    assert_false(taken);
    assert_ok(bst_m2m_filter_add(&r, BST_VIEW("atr"), BST_VIEW("6"), &taken));
    assert_false(taken);
    assert_ok(bst_m2m_filter_add_attr(&r, BST_FC_PATR, BST_VIEW("rn"), BST_VIEW("x")));
    assert_err(bst_m2m_filter_add_attr(&r, BST_FC_ATR, BST_VIEW("1x"), BST_VIEW("x")), BST_E_VALUE);
    assert_err(bst_m2m_filter_add(&r, BST_VIEW("lbl"), BST_VIEW(""), &taken), BST_E_VALUE);
    assert_err(bst_m2m_filter_add(&r, BST_VIEW("crb"), BST_VIEW("0"), &taken), BST_E_VALUE);
    assert_ok(bst_m2m_filter_finish(&r));
    assert_int_equal(f.ty.n, 2);
    assert_int_equal(f.ty.v[1], 4);
    assert_int_equal(f.lim, 5);
    assert_int_equal(f.fo, BST_FO_AND);
    assert_true(bst_m2m_filter_is_list(BST_VIEW("lbl")));
    assert_false(bst_m2m_filter_is_list(BST_VIEW("lim")));
    assert_false(bst_m2m_filter_is_list(BST_VIEW("nope")));
}

static void a_filter_survives_being_written(void **state)
{
    struct bst_m2m_filter f, again;
    assert_ok(read_json("{\"crb\":\"20240103T000000,000000\",\"lbl\":[\"a\",\"b "
                        "c&d+e\"],\"ty\":[3,4],\"fu\":1,\"lim\":7,"
                        "\"atr\":[{\"nm\":\"cr\",\"val\":\"C*\"}],\"lbq\":\"a EQ "
                        "b\",\"fo\":3,\"catr\":[{\"nm\":\"rn\",\"val\":\"x\"}]}",
                        &f));
    yyjson_mut_doc *doc = bst_json_doc(&arena);
    struct bst_buf json = {0}, query = {0};
    assert_ok(bst_json_write_mut(bst_m2m_filter_to_json(&f, doc), &json));
    bst_auto_free char *text = bst_buf_take_text(&json);
    assert_ok(read_json(text, &again));
    assert_int_equal(again.present, f.present);
    assert_int_equal(again.crb_us, f.crb_us);
    assert_true(bst_view_is(again.lbl.v[1], "b c&d+e"));
    assert_true(bst_view_is(again.atr.v[0].val, "C*"));
    bst_m2m_filter_to_query(&f, &query);
    assert_ok(bst_buf_check(&query));
    assert_non_null(memmem(query.ptr, query.len, "&lbl=a+b%20c%26d%2Be", 20));
    assert_non_null(memmem(query.ptr, query.len, "&ty=3+4", 7));
    assert_non_null(memmem(query.ptr, query.len, "&cr=C*", 6));
    assert_non_null(memmem(query.ptr, query.len, "&c.rn=x", 7));
    bst_buf_clear(&query);
    bst_buf_clear(&json);
}

static void labels_queries_follow_the_clause(void **state)
{
    static const struct {
        const char *query, *labels;
        bool match;
    } rows[] = {
        {"color", "[\"color\"]", true},
        {"color", "[\"color:red\"]", true},
        {"color", "[\"colors\"]", false},
        {"NT color", "[\"size:1\"]", true},
        {"NT color", "[\"color:red\"]", false},
        {"NT color", "null", true},
        {"color EQ red", "[\"color:red\"]", true},
        {"color EQ red", "[\"color:blue\",\"color:red\"]", true},
        {"color EQ red", "[\"color\"]", false},
        {"color:red", "[\"color:red\"]", true},
        {"color:red", "[\"color\"]", false},
        {"color EQ dark red", "[\"color:dark red\"]", true},
        {"color NE red", "[\"color:blue\"]", true},
        {"color NE red", "[\"color:blue\",\"color:red\"]", false},
        {"color NE red", "[\"size:1\"]", false},
        {"color NE red", "[\"color\"]", false},
        {"color IN (red, green)", "[\"color:green\"]", true},
        {"color IN (red,green)", "[\"color:blue\"]", false},
        {"color NI (red, green)", "[\"color:yellow\"]", true},
        {"color NI (red, green)", "[\"color:red\",\"color:yellow\"]", false},
        {"color NI (red)", "[\"x\"]", false},
        {"a,b", "[\"b\"]", true},
        {"a;color IN (x,y)", "[\"color:y\"]", true},
        {"color", "null", false},
        {"color", "[1]", false},
        {"NT", "[\"NT\"]", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bst_m2m_lbq *q;
        yyjson_val *labels;
        assert_ok(bst_m2m_lbq_parse(&arena, bst_view(rows[i].query), &q));
        assert_ok(bst_json_parse(&arena, bst_view(rows[i].labels), 4, &labels));
        if (bst_m2m_lbq_match(q, labels) != rows[i].match) {
            fail_msg("%s on %s", rows[i].query, rows[i].labels);
        }
    }
    static const char *const bad[] = {"",       " ",      ",",       "a,",     "a EQ",
                                      "a XX b", "a IN b", "a IN ()", "a IN (", "a IN (x,)",
                                      ":x",     "x:",     "NT a b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct bst_m2m_lbq *q;
        bst_result r = bst_m2m_lbq_parse(&arena, bst_view(bad[i]), &q);
        if (r.code != BST_E_VALUE) {
            fail_msg("\"%s\": %s", bad[i], bst_error_name(r.code));
        }
    }
}

static void too_many_expressions_are_refused(void **state)
{
    struct bst_buf buf = {0};
    const struct bst_m2m_lbq *q;
    for (int i = 0; i < 64; i++) {
        bst_buf_adds(&buf, i ? ",k" : "k");
    }
    assert_ok(bst_m2m_lbq_parse(&arena, bst_buf_view(&buf), &q));
    bst_buf_adds(&buf, ",k");
    assert_err(bst_m2m_lbq_parse(&arena, bst_buf_view(&buf), &q), BST_E_TOO_LONG);
    bst_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(criteria_select_what_the_clause_says, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_is_loaded_once_and_only_when_needed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bad_criteria_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(query_pairs_fill_the_same_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(a_filter_survives_being_written, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_queries_follow_the_clause, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_expressions_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
