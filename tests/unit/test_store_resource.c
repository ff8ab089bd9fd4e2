/* The CSE's tables: rows, names, counters, walks, deletion, dictionaries. */
#include "support/test.h"

#include "store/resource.h"
#include "support/scratch.h"

struct fixture {
    struct scratch scratch;
    char path[256];
    struct bst_store *store;
    struct bst_store_conn *reader;
    struct bst_arena arena;
    int64_t root;
};

/* Every case runs as a job on the writer: asserting there needs no second stack. cmocka leaves a
 * failed case by longjmp, which must not cross threads, so a job records what it found and the case
 * asserts. */
#define MUST(call) BST_TRY(call)
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            BST_FAIL(BST_E_INTERNAL, "line %d: %s", __LINE__, #cond);                              \
        }                                                                                          \
    } while (0)
#define EXPECT_ERR(call, err) EXPECT((call).code == (err))

static bst_result make(struct bst_store_conn *conn, int64_t pi, int32_t ty, const char *name,
                       int64_t *ret)
{
    struct bst_row row = {.pi = pi,
                          .ty = ty,
                          .name = bst_view(name),
                          .ct = 10,
                          .lt = 10,
                          .body = BST_VIEW("\"a\":1")};
    return bst_resource_insert(conn, &row, ret);
}

static bst_result make_root(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    MUST(make(conn, BST_PI_ROOT, 5, "cse-in", &f->root));
    return bst_alias_set(conn, BST_VIEW("id-in"), f->root);
}

static bst_result open_store(struct fixture *f)
{
    struct bst_store_config config = {.path = f->path, .schema = &bst_resource_schema};
    BST_TRY(bst_store_open(&config, &f->store));
    return bst_store_reader(f->store, &f->reader);
}

static void close_store(struct fixture *f)
{
    bst_store_reader_close(&f->reader);
    bst_store_close(&f->store);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || !scratch_make(&f->scratch)) {
        return -1;
    }
    snprintf(f->path, sizeof f->path, "%s", scratch_path(&f->scratch, "cse.db"));
    *state = f;
    return bst_failed(open_store(f)) || bst_failed(bst_store_run(f->store, make_root, f));
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    bst_arena_clear(&f->arena);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

#define RUN(job) assert_ok(bst_store_run(f->store, job, f))

/* After every job the whole file must be consistent. */
static void assert_consistent(struct fixture *f)
{
    bst_auto(buf) findings = {0};
    bst_result r = bst_store_check(f->store, true, &findings);
    if (bst_failed(r)) {
        fail_msg("%.*s", BST_VIEW_ARGS(bst_buf_view(&findings)));
    }
}

static bool drained(struct fixture *f)
{
    static const struct bst_sql sql = {"SELECT count(*) FROM reclaim"};
    bst_auto_query *q = NULL;
    bool row;
    assert_ok(bst_sql_begin(f->reader, &sql, &q));
    assert_ok(bst_sql_step(q, &row));
    return bst_sql_i64(q, 0) == 0;
}

static int64_t rows_in_all(struct fixture *f)
{
    static const struct bst_sql sql = {"SELECT count(*) FROM resource"};
    bst_auto_query *q = NULL;
    bool row;
    assert_ok(bst_sql_begin(f->reader, &sql, &q));
    assert_ok(bst_sql_step(q, &row));
    return bst_sql_i64(q, 0);
}

static bst_result nothing(struct bst_store_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    return BST_OK;
}

/* Each turn gives the writer the occasion for one more slice of background work. */
static void wait_for_reclaim(struct fixture *f)
{
    while (!drained(f)) {
        RUN(nothing);
    }
}

/* ---- rows ---- */

static bst_result full_row(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row = {.pi = f->root,
                          .ty = 3,
                          .name = BST_VIEW("c"),
                          .ct = 1,
                          .lt = 2,
                          .et = 3,
                          .st = 4,
                          .cni = 5,
                          .cbs = 6,
                          .cr = 0,
                          .body = BST_VIEW("\"x\":\"\xc3\xa9\"")};
    int64_t id;
    return bst_resource_insert(conn, &row, &id);
}

static void a_row_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct bst_row row;
    RUN(full_row);
    assert_ok(bst_resource_find_name(f->reader, f->root, BST_VIEW("c"), &f->arena, &row));
    assert_true(row.id > f->root);
    assert_int_equal(row.pi, f->root);
    assert_int_equal(row.ty, 3);
    assert_int_equal(row.ct, 1);
    assert_int_equal(row.lt, 2);
    assert_int_equal(row.et, 3);
    assert_int_equal(row.st, 4);
    assert_int_equal(row.cni, 5);
    assert_int_equal(row.cbs, 6);
    assert_true(bst_view_is(row.name, "c"));
    assert_true(bst_view_is(row.body, "\"x\":\"\xc3\xa9\""));
    struct bst_row again;
    assert_ok(bst_resource_find(f->reader, row.id, NULL, &again));
    assert_int_equal(again.id, row.id);
    assert_int_equal(again.body.len, 0);
}

static void what_is_not_there_has_id_zero(void **state)
{
    struct fixture *f = *state;
    struct bst_row row = {.id = 9};
    bool found;
    assert_ok(bst_resource_find(f->reader, 999, &f->arena, &row));
    assert_int_equal(row.id, 0);
    assert_ok(bst_resource_find_name(f->reader, f->root, BST_VIEW("none"), &f->arena, &row));
    assert_int_equal(row.id, 0);
    assert_ok(bst_resource_find_alias(f->reader, BST_VIEW("none"), &f->arena, &row));
    assert_int_equal(row.id, 0);
    assert_ok(bst_resource_find_latest(f->reader, f->root, 4, &f->arena, &row));
    assert_int_equal(row.id, 0);
    assert_ok(bst_resource_attached(f->reader, 999, &found));
    assert_false(found);
}

static bst_result twice_the_name(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t id;
    MUST(make(conn, f->root, 3, "c", &id));
    EXPECT_ERR(make(conn, f->root, 2, "c", &id), BST_E_CONFLICT);
    EXPECT(strstr(bst_error_detail(), "'c'"));
    MUST(make(conn, id, 3, "c", &id));
    MUST(make(conn, f->root, 3, "", &id));
    return make(conn, f->root, 3, "", &id);
}

static void siblings_have_different_names_and_generated_ones_none(void **state)
{
    struct fixture *f = *state;
    RUN(twice_the_name);
    assert_consistent(f);
}

static bst_result ends_of_a_type(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t c, first, other, last;
    struct bst_row row;
    MUST(make(conn, f->root, 3, "c", &c));
    MUST(make(conn, c, 4, "", &first));
    MUST(make(conn, c, 4, "", &other));
    MUST(make(conn, c, 4, "", &last));
    MUST(make(conn, c, 23, "sub", &other));
    MUST(bst_resource_find_latest(conn, c, 4, NULL, &row));
    EXPECT(row.id == last);
    MUST(bst_resource_find_oldest(conn, c, 4, NULL, &row));
    EXPECT(row.id == first);
    bool has;
    MUST(bst_resource_has_child(conn, c, 23, &has));
    EXPECT(has);
    MUST(bst_resource_has_child(conn, c, 3, &has));
    EXPECT(!has);
    MUST(bst_resource_has_child(conn, last, 0, &has));
    EXPECT(!has);
    int64_t n;
    MUST(bst_resource_count(conn, c, 4, 100, &n));
    EXPECT(n == 3);
    MUST(bst_resource_count(conn, c, 0, 100, &n));
    EXPECT(n == 4);
    MUST(bst_resource_count(conn, c, 0, 2, &n));
    EXPECT(n == 2);
    return BST_OK;
}

static void latest_and_oldest_are_the_ends_of_the_type(void **state)
{
    struct fixture *f = *state;
    RUN(ends_of_a_type);
}

static bst_result update_row(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row, now;
    int64_t id;
    MUST(make(conn, f->root, 3, "c", &id));
    MUST(bst_resource_find(conn, id, &f->arena, &row));
    row.lt = 77;
    row.et = 88;
    row.st = 1;
    row.name = BST_VIEW("ignored");
    row.body = BST_VIEW("\"b\":2");
    MUST(bst_resource_update(conn, &row));
    MUST(bst_resource_find(conn, id, &f->arena, &now));
    EXPECT(now.lt == 77 && now.et == 88 && now.st == 1 && bst_view_is(now.body, "\"b\":2"));
    EXPECT(bst_view_is(now.name, "c") && now.ct == 10);
    row.id = 12345;
    EXPECT_ERR(bst_resource_update(conn, &row), BST_E_NOT_FOUND);
    return BST_OK;
}

static void an_update_replaces_what_may_change(void **state)
{
    struct fixture *f = *state;
    RUN(update_row);
}

static void writing_through_a_reader_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bst_row row = {.pi = f->root, .ty = 3};
    struct bst_counters counters = {0};
    int64_t id;
    assert_err(bst_resource_insert(f->reader, &row, &id), BST_E_USAGE);
    assert_err(bst_resource_update(f->reader, &row), BST_E_USAGE);
    assert_err(bst_resource_delete(f->reader, f->root), BST_E_USAGE);
    assert_err(bst_resource_detach(f->reader, f->root), BST_E_USAGE);
    assert_err(bst_counters_get(f->reader, f->root, &counters), BST_E_USAGE);
    assert_err(bst_alias_set(f->reader, BST_VIEW("a"), f->root), BST_E_USAGE);
    assert_err(bst_labels_set(f->reader, f->root, NULL, 0), BST_E_USAGE);
    assert_err(bst_kv_put(f->reader, "n", BST_VIEW("k"), BST_VIEW("v")), BST_E_READ_ONLY);
}

/* ---- ids ---- */

static bst_result delete_highest(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t id, next;
    MUST(make(conn, f->root, 3, "c", &id));
    MUST(bst_resource_delete(conn, id));
    MUST(make(conn, f->root, 3, "c", &next));
    EXPECT(next > id);
    f->root = next;
    return bst_resource_delete(conn, next);
}

static bst_result insert_one(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t id;
    MUST(make(conn, BST_PI_ROOT, 3, "", &id));
    EXPECT(id == f->root + 1);
    return BST_OK;
}

static void ids_are_never_used_again_and_an_orderly_close_skips_none(void **state)
{
    struct fixture *f = *state;
    RUN(delete_highest);
    close_store(f);
    assert_ok(open_store(f));
    RUN(insert_one);
    assert_consistent(f);
}

static void resource_identifiers_hide_the_order_and_come_back(void **state)
{
    (void)state;
    struct bst_ri_key key, other;
    uint8_t bytes[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    char a[BST_RI_LEN + 1], b[BST_RI_LEN + 1];
    int64_t id;
    bst_ri_key_init(&key, bytes);
    bytes[31] = 1;
    bst_ri_key_init(&other, bytes);
    int64_t samples[] = {1, 2, 3, 1000, INT64_C(1) << 40, INT64_MAX};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        bst_ri_format(&key, samples[i], a);
        bst_ri_format(&other, samples[i], b);
        assert_int_equal(strlen(a), BST_RI_LEN);
        assert_string_not_equal(a, b);
        assert_ok(bst_ri_parse(&key, bst_view(a), &id));
        assert_int_equal(id, samples[i]);
    }
    bst_ri_format(&key, 1, a);
    bst_ri_format(&key, 2, b);
    int same = 0;
    for (int i = 0; i < BST_RI_LEN; i++) {
        same += a[i] == b[i];
    }
    assert_true(same < 6);
}

static void a_resource_identifier_has_one_spelling(void **state)
{
    (void)state;
    struct bst_ri_key key;
    uint8_t bytes[32] = {7};
    char ri[BST_RI_LEN + 2];
    int64_t id;
    bst_ri_key_init(&key, bytes);
    bst_ri_format(&key, 42, ri);
    assert_err(bst_ri_parse(&key, bst_view_of(ri, BST_RI_LEN - 1), &id), BST_E_SYNTAX);
    assert_err(bst_ri_parse(&key, BST_VIEW(""), &id), BST_E_SYNTAX);
    ri[BST_RI_LEN] = 'a';
    assert_err(bst_ri_parse(&key, bst_view_of(ri, BST_RI_LEN + 1), &id), BST_E_SYNTAX);
    const char wrong[] = {'A', '0', '1', '8', '9', '=', ' ', '\0', '\x80'};
    for (size_t i = 0; i < sizeof wrong; i++) {
        bst_ri_format(&key, 42, ri);
        ri[i] = wrong[i];
        assert_err(bst_ri_parse(&key, bst_view_of(ri, BST_RI_LEN), &id), BST_E_SYNTAX);
    }
    bst_ri_format(&key, 42, ri);
    ri[0] = 'q'; /* the 65th bit */
    assert_err(bst_ri_parse(&key, bst_view(ri), &id), BST_E_SYNTAX);
}

/* ---- counters ---- */

static bst_result bump(struct bst_store_conn *conn, int64_t id, int64_t by)
{
    struct bst_counters c;
    BST_TRY(bst_counters_get(conn, id, &c));
    c.cni += by;
    c.cbs += 10 * by;
    c.st++;
    c.lt = 99;
    return bst_counters_set(conn, id, &c);
}

static bst_result bump_root(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row;
    MUST(bump(conn, f->root, 2));
    MUST(bst_resource_find(conn, f->root, NULL, &row));
    EXPECT(row.cni == 2 && row.cbs == 20 && row.st == 1 && row.lt == 99);
    return BST_OK;
}

static bst_result bump_and_fail(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    MUST(bump(conn, f->root, 100));
    return bst_error(BST_E_VALUE);
}

static bst_result counters_are_two(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_counters c;
    MUST(bst_counters_get(conn, f->root, &c));
    EXPECT(c.cni == 2 && c.cbs == 20 && c.st == 1);
    return BST_OK;
}

static void counters_show_in_the_batch_are_durable_and_roll_back(void **state)
{
    struct fixture *f = *state;
    struct bst_row row;
    RUN(bump_root);
    assert_err(bst_store_run(f->store, bump_and_fail, f), BST_E_VALUE);
    RUN(counters_are_two);
    assert_ok(bst_resource_find(f->reader, f->root, NULL, &row));
    assert_int_equal(row.cni, 2);
    assert_int_equal(row.lt, 99);
}

static bst_result make_bump_and_fail(struct bst_store_conn *conn, void *arg)
{
    int64_t id;
    struct fixture *f = arg;
    MUST(make(conn, f->root, 3, "c", &id));
    MUST(bump(conn, id, 1));
    f->root = id;
    return bst_error(BST_E_VALUE);
}

static bst_result counters_are_gone(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_counters c;
    EXPECT_ERR(bst_counters_get(conn, f->root, &c), BST_E_NOT_FOUND);
    EXPECT_ERR(bst_counters_set(conn, f->root, &c), BST_E_NOT_FOUND);
    return BST_OK;
}

static void counters_of_a_row_that_never_came_to_be_are_not_found(void **state)
{
    struct fixture *f = *state;
    assert_err(bst_store_run(f->store, make_bump_and_fail, f), BST_E_VALUE);
    RUN(counters_are_gone);
}

static bst_result update_over_counters(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row;
    MUST(bump(conn, f->root, 2));
    MUST(bst_resource_find(conn, f->root, &f->arena, &row));
    row.st = 50;
    MUST(bst_resource_update(conn, &row));
    MUST(bump(conn, f->root, 1));
    MUST(bst_resource_find(conn, f->root, &f->arena, &row));
    EXPECT(row.cni == 3 && row.st == 51);
    return BST_OK;
}

static bst_result update_and_fail(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row;
    MUST(bump(conn, f->root, 5));
    MUST(bst_resource_find(conn, f->root, &f->arena, &row));
    MUST(bst_resource_update(conn, &row));
    MUST(bst_resource_detach(conn, f->root));
    return bst_error(BST_E_VALUE);
}

static void rows_and_counters_agree_whatever_order_they_change_in(void **state)
{
    struct fixture *f = *state;
    struct bst_row row;
    RUN(update_over_counters);
    assert_err(bst_store_run(f->store, update_and_fail, f), BST_E_VALUE);
    assert_ok(bst_resource_find(f->reader, f->root, NULL, &row));
    assert_int_equal(row.cni, 3);
    assert_int_equal(row.st, 51);
}

static bst_result bump_many(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 5000; i++) {
        int64_t id;
        MUST(make(conn, f->root, 3, "", &id));
        MUST(bump(conn, id, i));
    }
    return BST_OK;
}

static bst_result many_are_right(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    bst_auto(cursor) cursor = {0};
    struct bst_row row;
    MUST(bst_children_open(conn, f->root, 3, (struct bst_place){0}, 0, &cursor));
    for (int i = 0; i < 5000; i++) {
        MUST(bst_cursor_next(&cursor, &row));
        EXPECT(row.id && row.cni == i);
    }
    MUST(bst_cursor_next(&cursor, &row));
    EXPECT(row.id == 0);
    return BST_OK;
}

static void many_counters_at_once_are_kept_apart(void **state)
{
    struct fixture *f = *state;
    RUN(bump_many);
    RUN(many_are_right);
    assert_ok(many_are_right(f->reader, f));
}

/* ---- walks ---- */

static bst_result make_children(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    static const int32_t types[] = {4, 3, 4, 23, 3, 4};
    for (size_t i = 0; i < 6; i++) {
        int64_t id;
        MUST(make(conn, f->root, types[i], "", &id));
    }
    return BST_OK;
}

/* The walk as text: type:distance of the id from the root's. */
static const char *walk(struct fixture *f, bool desc, int32_t ty, struct bst_place from,
                        int64_t limit)
{
    static char text[256];
    struct bst_cursor cursor = {0};
    struct bst_row row;
    size_t at = 0;
    assert_ok((desc ? bst_children_open_desc : bst_children_open)(f->reader, f->root, ty, from,
                                                                  limit, &cursor));
    text[0] = '\0';
    do {
        assert_ok(bst_cursor_next(&cursor, &row));
        if (row.id) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%d:%d ", (int)row.ty,
                                   (int)(row.id - f->root));
        }
    } while (row.id);
    bst_cursor_clear(&cursor);
    return text;
}

static void children_come_by_type_and_age_and_the_walk_can_go_on(void **state)
{
    struct fixture *f = *state;
    struct bst_place start = {0}, place;
    RUN(make_children);
    assert_string_equal(walk(f, false, 0, start, 0), "3:2 3:5 4:1 4:3 4:6 23:4 ");
    assert_string_equal(walk(f, true, 0, start, 0), "23:4 4:6 4:3 4:1 3:5 3:2 ");
    assert_string_equal(walk(f, false, 4, start, 2), "4:1 4:3 ");
    assert_string_equal(walk(f, true, 4, start, 2), "4:6 4:3 ");
    place = (struct bst_place){4, f->root + 3};
    assert_string_equal(walk(f, false, 0, place, 0), "4:6 23:4 ");
    assert_string_equal(walk(f, true, 0, place, 0), "4:1 3:5 3:2 ");
    assert_string_equal(walk(f, false, 4, place, 0), "4:6 ");
    assert_string_equal(walk(f, true, 4, place, 0), "4:1 ");
    assert_string_equal(walk(f, false, 2, start, 0), "");
}

static void assert_ok_step(struct bst_query *q, bool *ret_row)
{
    assert_ok(bst_sql_step(q, ret_row));
}

static void no_walk_sorts(void **state)
{
    struct fixture *f = *state;
    static const struct bst_sql plans[] = {
        {"EXPLAIN QUERY PLAN SELECT body FROM resource WHERE pi=1 AND (ty,id)>(2,3) ORDER BY "
         "ty,id"},
        {"EXPLAIN QUERY PLAN SELECT body FROM resource WHERE pi=1 AND (ty,id)<(2,3) ORDER BY ty "
         "DESC,id DESC"},
        {"EXPLAIN QUERY PLAN SELECT body FROM resource WHERE pi=1 AND ty=2 AND id>3 ORDER BY id"},
        {"EXPLAIN QUERY PLAN SELECT body FROM resource WHERE et>0 AND et<5 ORDER BY et"},
        {"EXPLAIN QUERY PLAN SELECT body FROM resource WHERE pi=1 AND name='x'"},
        {"EXPLAIN QUERY PLAN SELECT body FROM label l JOIN resource r ON r.id=l.id"
         " WHERE l.lbl=(SELECT lbl FROM label_text WHERE text='x') AND l.id>2 AND r.pi>=0 ORDER BY "
         "l.id"},
    };
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        bst_auto_query *q = NULL;
        bool row = true;
        assert_ok(bst_sql_begin(f->reader, &plans[i], &q));
        for (assert_ok_step(q, &row); row; assert_ok_step(q, &row)) {
            char line[256] = {0};
            struct bst_view plan = bst_sql_view(q, 3);
            memcpy(line, plan.ptr, plan.len < 255 ? plan.len : 255);
            if (strstr(line, "TEMP B-TREE") || strncmp(line, "SCAN", 4) == 0) {
                fail_msg("%s: %s", plans[i].text, line);
            }
        }
    }
}

static bst_result make_expiring(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t parent, id;
    MUST(make(conn, f->root, 3, "gone", &parent));
    for (int i = 0; i < 6; i++) {
        struct bst_row row = {
            .pi = i == 1 ? parent : f->root, .ty = 4, .et = i == 5 ? 0 : 100 - 10 * i};
        MUST(bst_resource_insert(conn, &row, &id));
    }
    return bst_resource_detach(conn, parent);
}

static void expired_rows_come_soonest_first_and_only_from_the_tree(void **state)
{
    struct fixture *f = *state;
    struct bst_cursor cursor = {0};
    struct bst_row row;
    RUN(make_expiring);
    assert_ok(bst_expired_open(f->reader, 100, 0, &cursor));
    for (int64_t et = 60; et <= 80; et += 10) {
        assert_ok(bst_cursor_next(&cursor, &row));
        assert_int_equal(row.et, et);
    }
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_int_equal(row.id, 0);
    bst_cursor_clear(&cursor);
}

/* ---- deletion ---- */

static bst_result delete_rules(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t c, i;
    MUST(make(conn, f->root, 3, "c", &c));
    MUST(make(conn, c, 4, "", &i));
    EXPECT_ERR(bst_resource_delete(conn, c), BST_E_CONFLICT);
    MUST(bst_resource_delete(conn, i));
    MUST(bst_resource_delete(conn, c));
    EXPECT_ERR(bst_resource_delete(conn, c), BST_E_NOT_FOUND);
    EXPECT_ERR(bst_resource_detach(conn, c), BST_E_NOT_FOUND);
    return BST_OK;
}

static void a_row_goes_only_without_children_and_only_once(void **state)
{
    struct fixture *f = *state;
    RUN(delete_rules);
    assert_consistent(f);
}

#define WIDE 3000
static bst_result make_tree(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_view label = BST_VIEW("blue");
    int64_t ae, c, i;
    MUST(make(conn, f->root, 2, "ae", &ae));
    MUST(bst_alias_set(conn, BST_VIEW("Cae"), ae));
    for (int n = 0; n < 4; n++) {
        MUST(make(conn, ae, 3, n ? "" : "c", &c));
        MUST(bst_alias_set(conn, n ? BST_VIEW("deep") : BST_VIEW("deeper"), c));
        for (int k = 0; k < WIDE / 4; k++) {
            MUST(make(conn, c, 4, "", &i));
            MUST(bst_labels_set(conn, i, &label, 1));
        }
        ae = c;
        if (n == 1) {
            break;
        }
    }
    return BST_OK;
}

static bst_result detach_ae(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row ae, row, c;
    bool attached;
    MUST(bst_resource_find_alias(conn, BST_VIEW("Cae"), &f->arena, &ae));
    MUST(bst_resource_find_name(conn, ae.id, BST_VIEW("c"), &f->arena, &c));
    MUST(bst_resource_attached(conn, c.id, &attached));
    EXPECT(attached);
    MUST(bst_resource_detach(conn, ae.id));
    MUST(bst_resource_find(conn, ae.id, NULL, &row));
    EXPECT(row.id == 0);
    MUST(bst_resource_find_alias(conn, BST_VIEW("Cae"), NULL, &row));
    EXPECT(row.id == 0);
    MUST(bst_resource_find_name(conn, f->root, BST_VIEW("ae"), NULL, &row));
    EXPECT(row.id == 0);
    MUST(bst_resource_attached(conn, c.id, &attached));
    EXPECT(!attached);
    EXPECT_ERR(bst_resource_update(conn, &ae), BST_E_NOT_FOUND);
    /* Name and identifiers are free again, those from below, too. */
    MUST(make(conn, f->root, 2, "ae", &ae.id));
    MUST(bst_alias_set(conn, BST_VIEW("Cae"), ae.id));
    EXPECT_ERR(bst_alias_set(conn, BST_VIEW("Cae"), f->root), BST_E_CONFLICT);
    return bst_alias_set(conn, BST_VIEW("deeper"), ae.id);
}

static void a_detached_subtree_is_gone_at_once_and_its_rows_follow(void **state)
{
    struct fixture *f = *state;
    struct bst_row row;
    RUN(make_tree);
    int64_t before = rows_in_all(f);
    assert_true(before > WIDE / 2);
    RUN(detach_ae);
    wait_for_reclaim(f);
    assert_int_equal(rows_in_all(f), 2);
    assert_consistent(f);
    assert_ok(bst_resource_find_alias(f->reader, BST_VIEW("deeper"), NULL, &row));
    assert_int_equal(row.ty, 2);
    struct bst_cursor cursor = {0};
    assert_ok(bst_labelled_open(f->reader, BST_VIEW("blue"), 0, 0, &cursor));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_int_equal(row.id, 0);
    bst_cursor_clear(&cursor);
}

static bst_result detach_root(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    return bst_resource_detach(conn, f->root);
}

static void a_reclaim_goes_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    RUN(make_tree);
    RUN(detach_root);
    close_store(f);
    assert_ok(open_store(f));
    wait_for_reclaim(f);
    assert_int_equal(rows_in_all(f), 0);
    assert_consistent(f);
}

static bst_result detach_root_and_fail(struct bst_store_conn *conn, void *arg)
{
    MUST(detach_root(conn, arg));
    return bst_error(BST_E_VALUE);
}

static void a_detach_that_is_taken_back_leaves_the_tree(void **state)
{
    struct fixture *f = *state;
    struct bst_row row;
    RUN(make_tree);
    int64_t before = rows_in_all(f);
    assert_err(bst_store_run(f->store, detach_root_and_fail, f), BST_E_VALUE);
    RUN(nothing);
    assert_int_equal(rows_in_all(f), before);
    assert_ok(bst_resource_find_alias(f->reader, BST_VIEW("id-in"), NULL, &row));
    assert_int_equal(row.id, f->root);
}

/* ---- words ---- */

static bst_result set_labels(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t a, b;
    struct bst_view two[] = {BST_VIEW("red"), BST_VIEW("green"), BST_VIEW("red")};
    MUST(make(conn, f->root, 3, "a", &a));
    MUST(make(conn, f->root, 3, "b", &b));
    MUST(bst_labels_set(conn, a, two, 3));
    MUST(bst_labels_set(conn, b, two, 1));
    MUST(bst_labels_set(conn, b, two + 1, 1));
    return BST_OK;
}

static void rows_are_found_by_the_labels_they_have_now(void **state)
{
    struct fixture *f = *state;
    struct bst_cursor cursor = {0};
    struct bst_row row;
    RUN(set_labels);
    assert_ok(bst_labelled_open(f->reader, BST_VIEW("red"), 0, 0, &cursor));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_true(bst_view_is(row.name, "a"));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_int_equal(row.id, 0);
    bst_cursor_clear(&cursor);
    assert_ok(bst_labelled_open(f->reader, BST_VIEW("green"), 0, 1, &cursor));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_true(bst_view_is(row.name, "a"));
    int64_t first = row.id;
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_int_equal(row.id, 0);
    bst_cursor_clear(&cursor);
    assert_ok(bst_labelled_open(f->reader, BST_VIEW("green"), first, 1, &cursor));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_true(bst_view_is(row.name, "b"));
    bst_cursor_clear(&cursor);
    assert_ok(bst_labelled_open(f->reader, BST_VIEW("none"), 0, 0, &cursor));
    assert_ok(bst_cursor_next(&cursor, &row));
    assert_int_equal(row.id, 0);
    bst_cursor_clear(&cursor);
    assert_consistent(f);
}

static bst_result add_principal_and_fail(struct bst_store_conn *conn, void *arg)
{
    int64_t id, again;
    (void)arg;
    MUST(bst_principal_id(conn, BST_VIEW("Cghost"), &id));
    MUST(bst_principal_id(conn, BST_VIEW("Cghost"), &again));
    EXPECT(id > 0 && id == again);
    return bst_error(BST_E_VALUE);
}

static bst_result add_principal(struct bst_store_conn *conn, void *arg)
{
    int64_t id;
    (void)arg;
    MUST(bst_principal_id(conn, BST_VIEW("Calice"), &id));
    EXPECT(id > 0);
    return BST_OK;
}

static void principals_have_lasting_numbers(void **state)
{
    struct fixture *f = *state;
    int64_t id, again;
    struct bst_view name;
    assert_ok(bst_principal_id(f->reader, BST_VIEW("Calice"), &id));
    assert_int_equal(id, 0);
    assert_err(bst_store_run(f->store, add_principal_and_fail, f), BST_E_VALUE);
    RUN(add_principal);
    assert_ok(bst_principal_id(f->reader, BST_VIEW("Cghost"), &id));
    assert_int_equal(id, 0);
    assert_ok(bst_principal_id(f->reader, BST_VIEW("Calice"), &id));
    assert_true(id > 0);
    for (int i = 0; i < 2; i++) {
        assert_ok(bst_principal_name(f->reader, id, &f->arena, &name));
        assert_true(bst_view_is(name, "Calice"));
    }
    assert_ok(bst_principal_name(f->reader, 999, &f->arena, &name));
    assert_int_equal(name.len, 0);
    close_store(f);
    assert_ok(open_store(f));
    assert_ok(bst_principal_id(f->reader, BST_VIEW("Calice"), &again));
    assert_int_equal(id, again);
}

static bst_result aliases(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_view ri;
    struct bst_row row;
    int64_t id;
    MUST(bst_alias_of(conn, f->root, &f->arena, &ri));
    EXPECT(bst_view_is(ri, "id-in"));
    MUST(make(conn, f->root, 3, "", &id));
    MUST(bst_alias_of(conn, id, &f->arena, &ri));
    EXPECT(ri.len == 0);
    EXPECT_ERR(bst_alias_set(conn, BST_VIEW("id-in"), id), BST_E_CONFLICT);
    MUST(bst_resource_find_alias(conn, BST_VIEW("id-in"), NULL, &row));
    EXPECT(row.id == f->root);
    return BST_OK;
}

static void an_alias_belongs_to_one_row(void **state)
{
    struct fixture *f = *state;
    RUN(aliases);
}

struct kv_walk {
    char text[64];
    int stop_after;
};

static bool kv_note(void *arg, struct bst_view key, struct bst_view value)
{
    struct kv_walk *w = arg;
    size_t at = strlen(w->text);
    snprintf(w->text + at, sizeof w->text - at, "%.*s=%.*s ", BST_VIEW_ARGS(key),
             BST_VIEW_ARGS(value));
    return --w->stop_after != 0;
}

static bst_result kv_job(struct bst_store_conn *conn, void *arg)
{
    (void)arg;
    MUST(bst_kv_put(conn, "one", BST_VIEW("b"), BST_VIEW("2")));
    MUST(bst_kv_put(conn, "one", BST_VIEW("a"), BST_VIEW("1")));
    MUST(bst_kv_put(conn, "one", BST_VIEW("b"), BST_VIEW("3")));
    MUST(bst_kv_put(conn, "two", BST_VIEW("a"), BST_VIEW("")));
    MUST(bst_kv_add(conn, "two", BST_VIEW("n"), bst_view_of("x\0y", 3)));
    EXPECT_ERR(bst_kv_add(conn, "two", BST_VIEW("n"), BST_VIEW("z")), BST_E_EXISTS);
    MUST(bst_kv_put(conn, "one", BST_VIEW("c"), BST_VIEW("4")));
    MUST(bst_kv_delete(conn, "one", BST_VIEW("c")));
    return bst_kv_delete(conn, "one", BST_VIEW("c"));
}

static void small_facts_are_kept_by_name_space_and_key(void **state)
{
    struct fixture *f = *state;
    struct bst_view value;
    bool found;
    RUN(kv_job);
    assert_ok(bst_kv_get(f->reader, "one", BST_VIEW("b"), &f->arena, &value, &found));
    assert_true(found && bst_view_is(value, "3"));
    assert_ok(bst_kv_get(f->reader, "two", BST_VIEW("a"), &f->arena, &value, &found));
    assert_true(found && value.len == 0);
    assert_ok(bst_kv_get(f->reader, "two", BST_VIEW("n"), &f->arena, &value, &found));
    assert_true(found && value.len == 3 && memcmp(value.ptr, "x\0y", 3) == 0);
    assert_ok(bst_kv_get(f->reader, "one", BST_VIEW("c"), &f->arena, &value, &found));
    assert_false(found);
    struct kv_walk all = {0}, one = {.stop_after = 1}, rest = {0};
    assert_ok(bst_kv_each(f->reader, "one", BST_VIEW(""), kv_note, &all));
    assert_string_equal(all.text, "a=1 b=3 ");
    assert_ok(bst_kv_each(f->reader, "one", BST_VIEW(""), kv_note, &one));
    assert_string_equal(one.text, "a=1 ");
    assert_ok(bst_kv_each(f->reader, "one", BST_VIEW("a"), kv_note, &rest));
    assert_string_equal(rest.text, "b=3 ");
}

/* ---- views shared by what happens in one turn of a loop ---- */

static bst_result add_container(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t id;
    return make(conn, f->root, 3, "shared", &id);
}

static bst_result add_instance(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    int64_t id;
    return make(conn, f->root, 4, NULL, &id);
}

static bst_result drop_container(struct bst_store_conn *conn, void *arg)
{
    struct fixture *f = arg;
    struct bst_row row;
    BST_TRY(bst_resource_find_name(conn, f->root, BST_VIEW("shared"), NULL, &row));
    return bst_resource_detach(conn, row.id);
}

/* As a request does it: a view, two questions. */
static void look(struct fixture *f, bool *ret_named, int64_t *ret_latest)
{
    struct bst_row named, latest;
    assert_ok(bst_store_read_begin(f->reader));
    assert_ok(bst_resource_find_name(f->reader, f->root, BST_VIEW("shared"), &f->arena, &named));
    assert_ok(bst_resource_find_latest(f->reader, f->root, 4, &f->arena, &latest));
    bst_store_read_end(f->reader);
    if (named.id) {
        assert_string_equal(bst_arena_printf(&f->arena, "%.*s", BST_VIEW_ARGS(named.body)).ptr,
                            "\"a\":1");
        assert_true(bst_view_is(named.name, "shared"));
    }
    *ret_named = named.id != 0;
    *ret_latest = latest.id;
}

static void a_shared_view_shows_all_that_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct bst_loop *loop;
    bool named;
    int64_t first, second, again;
    assert_ok(bst_loop_new(&loop));
    bst_store_share_views(f->reader, loop);
    look(f, &named, &first);
    assert_false(named);
    assert_int_equal(first, 0);
    RUN(add_container);
    RUN(add_instance);
    look(f, &named, &first);
    assert_true(named);
    assert_true(first > 0);
    look(f, &named, &again);
    assert_true(named);
    assert_int_equal(again, first);
    RUN(add_instance);
    look(f, &named, &second);
    assert_true(second > first);
    RUN(drop_container);
    look(f, &named, &again);
    assert_false(named);
    assert_int_equal(again, second);
    bst_store_reader_close(&f->reader);
    bst_loop_free(&loop);
}

static void a_question_without_a_view_sees_what_is_committed_now(void **state)
{
    struct fixture *f = *state;
    struct bst_loop *loop;
    struct bst_row row;
    bool named;
    int64_t latest;
    assert_ok(bst_loop_new(&loop));
    bst_store_share_views(f->reader, loop);
    look(f, &named, &latest);
    RUN(add_container);
    assert_ok(bst_resource_find_name(f->reader, f->root, BST_VIEW("shared"), NULL, &row));
    assert_true(row.id > 0);
    bst_store_reader_close(&f->reader);
    bst_loop_free(&loop);
}

static void a_shared_view_ends_with_the_turn(void **state)
{
    struct fixture *f = *state;
    struct bst_loop *loop;
    bool named;
    int64_t latest;
    struct bst_store_stats stats;
    assert_ok(bst_loop_new(&loop));
    bst_store_share_views(f->reader, loop);
    for (int i = 0; i < 3; i++) {
        look(f, &named, &latest);
        (void)bst_loop_run_once(loop, 0);
        RUN(add_instance);
    }
    bst_store_stats(f->store, &stats);
    assert_true(stats.batches >= 3);
    look(f, &named, &latest);
    bst_store_reader_close(&f->reader); /* with a view that waits for the end of its turn */
    (void)bst_loop_run_once(loop, 0);
    bst_loop_free(&loop);
}

static void memory_for_remembered_rows_may_be_missing(void **state)
{
    struct fixture *f = *state;
    struct bst_loop *loop;
    bool named;
    int64_t latest, again;
    assert_ok(bst_loop_new(&loop));
    bst_alloc_fail_at(1);
    bst_store_share_views(f->reader, loop);
    bst_alloc_fail_at(0);
    RUN(add_container);
    RUN(add_instance);
    look(f, &named, &latest);
    look(f, &named, &again);
    assert_true(named);
    assert_int_equal(again, latest);
    bst_store_reader_close(&f->reader);
    bst_loop_free(&loop);
}

/* ---- what only the check sees ---- */

static bst_result orphan(struct bst_store_conn *conn, void *arg)
{
    int64_t id;
    (void)arg;
    return make(conn, 4711, 3, "", &id);
}

static void the_check_finds_a_row_without_parent(void **state)
{
    struct fixture *f = *state;
    bst_auto(buf) findings = {0};
    RUN(orphan);
    assert_ok(bst_store_check(f->store, false, &findings));
    assert_err(bst_store_check(f->store, true, &findings), BST_E_CORRUPT);
    assert_non_null(strstr(bst_error_detail(), "1 resources without a parent"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_row_comes_back_as_it_went_in),
        CASE(what_is_not_there_has_id_zero),
        CASE(siblings_have_different_names_and_generated_ones_none),
        CASE(latest_and_oldest_are_the_ends_of_the_type),
        CASE(an_update_replaces_what_may_change),
        CASE(writing_through_a_reader_is_refused),
        CASE(ids_are_never_used_again_and_an_orderly_close_skips_none),
        CASE(resource_identifiers_hide_the_order_and_come_back),
        CASE(a_resource_identifier_has_one_spelling),
        CASE(counters_show_in_the_batch_are_durable_and_roll_back),
        CASE(counters_of_a_row_that_never_came_to_be_are_not_found),
        CASE(rows_and_counters_agree_whatever_order_they_change_in),
        CASE(many_counters_at_once_are_kept_apart),
        CASE(children_come_by_type_and_age_and_the_walk_can_go_on),
        CASE(no_walk_sorts),
        CASE(expired_rows_come_soonest_first_and_only_from_the_tree),
        CASE(a_row_goes_only_without_children_and_only_once),
        CASE(a_detached_subtree_is_gone_at_once_and_its_rows_follow),
        CASE(a_reclaim_goes_on_after_a_restart),
        CASE(a_detach_that_is_taken_back_leaves_the_tree),
        CASE(rows_are_found_by_the_labels_they_have_now),
        CASE(principals_have_lasting_numbers),
        CASE(an_alias_belongs_to_one_row),
        CASE(small_facts_are_kept_by_name_space_and_key),
        CASE(a_shared_view_shows_all_that_was_acknowledged),
        CASE(a_question_without_a_view_sees_what_is_committed_now),
        CASE(a_shared_view_ends_with_the_turn),
        CASE(memory_for_remembered_rows_may_be_missing),
        CASE(the_check_finds_a_row_without_parent),
    };
    return cmocka_run_group_tests_name("store_resource", tests, NULL, NULL);
}
