/* The resource tree: its tables, single rows, and their deletion. */
#include "store/resource_priv.h"

static const char *const migrations[] = {
    "CREATE TABLE resource("
    " id INTEGER PRIMARY KEY, pi INTEGER NOT NULL, ty INTEGER NOT NULL, name TEXT,"
    " ct INTEGER NOT NULL, lt INTEGER NOT NULL, et INTEGER NOT NULL, st INTEGER NOT NULL,"
    " cni INTEGER NOT NULL, cbs INTEGER NOT NULL, cr INTEGER NOT NULL, body BLOB NOT NULL);"
    /* Latest and oldest of a type are the ends of a range here; so is a walk over one type. */
    "CREATE INDEX resource_child ON resource(pi, ty);"
    "CREATE UNIQUE INDEX resource_name ON resource(pi, name) WHERE name IS NOT NULL;"
    "CREATE INDEX resource_et ON resource(et) WHERE et > 0;"
    "CREATE TABLE alias(ri TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX alias_id ON alias(id);"
    "CREATE TABLE label_text(lbl INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
    "CREATE TABLE label(lbl INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(lbl, id))"
    " WITHOUT ROWID;"
    "CREATE INDEX label_id ON label(id);"
    "CREATE TABLE principal(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE reclaim(id INTEGER PRIMARY KEY);"
    "CREATE TABLE kv(ns TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY(ns, key)) WITHOUT ROWID;",
};

const struct bst_store_schema bst_resource_schema = {
    .name = "cse",
    .migrations = migrations,
    .n = sizeof migrations / sizeof migrations[0],
    .hooks = &resource_hooks,
};

/* ---- reading ---- */

void row_read(struct bst_store_conn *conn, struct bst_query *q, struct bst_row *ret)
{
    *ret = (struct bst_row){.id = bst_sql_i64(q, 0),
                            .pi = bst_sql_i64(q, 1),
                            .ty = (int32_t)bst_sql_i64(q, 2),
                            .name = bst_sql_view(q, 3),
                            .ct = bst_sql_i64(q, 4),
                            .lt = bst_sql_i64(q, 5),
                            .et = bst_sql_i64(q, 6),
                            .st = bst_sql_i64(q, 7),
                            .cni = bst_sql_i64(q, 8),
                            .cbs = bst_sql_i64(q, 9),
                            .cr = bst_sql_i64(q, 10),
                            .body = bst_sql_view(q, 11)};
    if (bst_store_is_writer(conn)) {
        counters_overlay(conn, ret);
    }
}

static bst_result copy_view(struct bst_arena *arena, struct bst_view v, struct bst_view *ret)
{
    *ret = (struct bst_view){0};
    if (v.len) {
        *ret = bst_arena_view(arena, v);
        BST_ENSURE(ret->ptr, BST_E_NOMEM);
    }
    return BST_OK;
}

bst_result bst_row_copy(const struct bst_row *row, struct bst_arena *arena, struct bst_row *ret)
{
    struct bst_row copy = *row;
    BST_TRY(copy_view(arena, row->name, &copy.name));
    BST_TRY(copy_view(arena, row->body, &copy.body));
    *ret = copy;
    return BST_OK;
}

/* Rows that many requests begin with: containers by name, and their latest instances. */
struct row_key {
    char bytes[128];
    size_t len;
};

/* len 0: too long a name to be worth it. */
static struct row_key row_key(char kind, int64_t pi, int64_t ty, struct bst_view name)
{
    struct row_key key = {.len = 0};
    if (name.len <= sizeof key.bytes - 1 - 2 * sizeof pi) {
        key.bytes[0] = kind;
        memcpy(key.bytes + 1, &pi, sizeof pi);
        memcpy(key.bytes + 1 + sizeof pi, &ty, sizeof ty);
        if (name.len) {
            memcpy(key.bytes + 1 + 2 * sizeof pi, name.ptr, name.len);
        }
        key.len = 1 + 2 * sizeof pi + name.len;
    }
    return key;
}

static bool recall_row(struct bst_store_conn *conn, const struct row_key *key,
                       struct bst_arena *arena, struct bst_row *ret, bst_result *ret_result)
{
    struct bst_view value;
    if (!arena || !key->len || !bst_store_recall(conn, bst_view_of(key->bytes, key->len), &value)) {
        return false;
    }
    struct bst_row row;
    memcpy(&row, value.ptr, sizeof row);
    row.name.ptr = value.ptr + sizeof row;
    row.body.ptr = row.name.ptr + row.name.len;
    *ret_result = bst_row_copy(&row, arena, ret);
    return true;
}

static void remember_row(struct bst_store_conn *conn, const struct row_key *key,
                         struct bst_arena *arena, const struct bst_row *row)
{
    if (arena && key->len && row->id) {
        const struct bst_view parts[] = {bst_view_of(row, sizeof *row), row->name, row->body};
        bst_store_remember(conn, bst_view_of(key->bytes, key->len), parts, 3);
    }
}

/* One row or none, from a query with its parameters bound. */
static bst_result read_one(struct bst_store_conn *conn, struct bst_query *q,
                           struct bst_arena *arena, struct bst_row *ret)
{
    bool found;
    struct bst_row row;
    BST_TRY(bst_sql_step(q, &found));
    if (!found) {
        *ret = (struct bst_row){0};
        return BST_OK;
    }
    row_read(conn, q, &row);
    if (arena) {
        return bst_row_copy(&row, arena, ret);
    }
    row.name = row.body = (struct bst_view){0};
    *ret = row;
    return BST_OK;
}

bst_result bst_resource_find(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                             struct bst_row *ret)
{
    static const struct bst_sql sql = {"SELECT " ROW_COLUMNS " FROM resource WHERE id=? AND pi>=0"};
    const struct row_key key = row_key('i', id, 0, (struct bst_view){NULL, 0});
    bst_auto_query *q = NULL;
    bst_result r;
    if (recall_row(conn, &key, arena, ret, &r)) {
        return r;
    }
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    BST_TRY(read_one(conn, q, arena, ret));
    remember_row(conn, &key, arena, ret);
    return BST_OK;
}

bst_result bst_resource_find_name(struct bst_store_conn *conn, int64_t pi, struct bst_view name,
                                  struct bst_arena *arena, struct bst_row *ret)
{
    static const struct bst_sql sql = {"SELECT " ROW_COLUMNS
                                       " FROM resource WHERE pi=? AND name=?"};
    const struct row_key key = row_key('n', pi, 0, name);
    bst_auto_query *q = NULL;
    bst_result r;
    if (recall_row(conn, &key, arena, ret, &r)) {
        return r;
    }
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, pi);
    bst_sql_bind_text(q, 2, name);
    BST_TRY(read_one(conn, q, arena, ret));
    remember_row(conn, &key, arena, ret);
    return BST_OK;
}

bst_result bst_resource_find_alias(struct bst_store_conn *conn, struct bst_view ri,
                                   struct bst_arena *arena, struct bst_row *ret)
{
    static const struct bst_sql sql = {"SELECT " ROW_COLUMNS
                                       " FROM resource WHERE id=(SELECT id FROM alias WHERE ri=?)"
                                       " AND pi>=0"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, ri);
    return read_one(conn, q, arena, ret);
}

static bst_result find_end(struct bst_store_conn *conn, const struct bst_sql *sql, char kind,
                           int64_t pi, int32_t ty, struct bst_arena *arena, struct bst_row *ret)
{
    const struct row_key key = row_key(kind, pi, ty, (struct bst_view){NULL, 0});
    bst_auto_query *q = NULL;
    bst_result r;
    if (recall_row(conn, &key, arena, ret, &r)) {
        return r;
    }
    BST_TRY(bst_sql_begin(conn, sql, &q));
    bst_sql_bind_i64(q, 1, pi);
    bst_sql_bind_i64(q, 2, ty);
    BST_TRY(read_one(conn, q, arena, ret));
    remember_row(conn, &key, arena, ret);
    return BST_OK;
}

bst_result bst_resource_find_latest(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                    struct bst_arena *arena, struct bst_row *ret)
{
    static const struct bst_sql sql = {
        "SELECT " ROW_COLUMNS " FROM resource WHERE pi=? AND ty=? ORDER BY id DESC LIMIT 1"};
    return find_end(conn, &sql, 'l', pi, ty, arena, ret);
}

bst_result bst_resource_find_oldest(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                    struct bst_arena *arena, struct bst_row *ret)
{
    static const struct bst_sql sql = {"SELECT " ROW_COLUMNS
                                       " FROM resource WHERE pi=? AND ty=? ORDER BY id LIMIT 1"};
    return find_end(conn, &sql, 'o', pi, ty, arena, ret);
}

/* Deeper than any tree that the CSE lets grow. */
#define CLIMB_MAX 1000

static bst_result nothing_detached(struct bst_store_conn *conn, bool *ret)
{
    static const struct bst_sql sql = {"SELECT 1 FROM reclaim LIMIT 1"};
    static const struct bst_view key = {"d", 1};
    struct bst_view value;
    bst_auto_query *q = NULL;
    bool any;
    if (bst_store_recall(conn, key, &value)) {
        *ret = value.ptr[0] == '0';
        return BST_OK;
    }
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    BST_TRY(bst_sql_step(q, &any));
    bst_store_remember(conn, key, &(struct bst_view){any ? "1" : "0", 1}, 1);
    *ret = !any;
    return BST_OK;
}

static bst_result parent_of(struct bst_store_conn *conn, int64_t id, bool *ret_found,
                            int64_t *ret_pi)
{
    static const struct bst_sql sql = {"SELECT pi FROM resource WHERE id=?"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    BST_TRY(bst_sql_step(q, ret_found));
    *ret_pi = *ret_found ? bst_sql_i64(q, 0) : BST_PI_DETACHED;
    return BST_OK;
}

/* Do the parents of `id`, beginning with `at`, reach the CSEBase? */
static bst_result climb(struct bst_store_conn *conn, int64_t id, int64_t at, bool *ret)
{
    bool found = true, whole;
    BST_TRY(nothing_detached(conn, &whole));
    for (int depth = 0; found && !whole && at > BST_PI_ROOT; depth++) {
        if (depth == CLIMB_MAX) {
            BST_FAIL(BST_E_CORRUPT, "resource %lld has no end of parents", (long long)id);
        }
        BST_TRY(parent_of(conn, at, &found, &at));
    }
    *ret = found && at >= BST_PI_ROOT;
    return BST_OK;
}

bst_result bst_resource_attached(struct bst_store_conn *conn, int64_t id, bool *ret)
{
    bool found;
    int64_t pi;
    *ret = false;
    BST_TRY(parent_of(conn, id, &found, &pi));
    return found ? climb(conn, id, pi, ret) : BST_OK;
}

bst_result bst_resource_row_attached(struct bst_store_conn *conn, const struct bst_row *row,
                                     bool *ret)
{
    return climb(conn, row->id, row->pi, ret);
}

bst_result bst_resource_has_child(struct bst_store_conn *conn, int64_t pi, int32_t ty, bool *ret)
{
    static const struct bst_sql any = {"SELECT 1 FROM resource WHERE pi=? LIMIT 1"};
    static const struct bst_sql typed = {"SELECT 1 FROM resource WHERE pi=? AND ty=? LIMIT 1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, ty ? &typed : &any, &q));
    bst_sql_bind_i64(q, 1, pi);
    if (ty) {
        bst_sql_bind_i64(q, 2, ty);
    }
    return bst_sql_step(q, ret);
}

bst_result bst_resource_count(struct bst_store_conn *conn, int64_t pi, int32_t ty, int64_t max,
                              int64_t *ret)
{
    static const struct bst_sql sql = {"SELECT count(*) FROM (SELECT 1 FROM resource WHERE pi=?1"
                                       " AND ty>=?2 AND ty<=?3 LIMIT ?4)"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, pi);
    bst_sql_bind_i64(q, 2, ty ? ty : INT32_MIN);
    bst_sql_bind_i64(q, 3, ty ? ty : INT32_MAX);
    bst_sql_bind_i64(q, 4, max);
    BST_TRY(bst_sql_step(q, &row));
    *ret = row ? bst_sql_i64(q, 0) : 0;
    return BST_OK;
}

/* ---- writing ---- */

static struct resource_state *state_of(struct bst_store_conn *conn)
{
    return bst_store_state(conn);
}

bst_result bst_resource_insert(struct bst_store_conn *writer, const struct bst_row *row,
                               int64_t *ret_id)
{
    static const struct bst_sql sql = {"INSERT INTO resource(" ROW_COLUMNS
                                       ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"};
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    int64_t id = state_of(writer)->next_id++;
    bst_sql_bind_i64(q, 1, id);
    bst_sql_bind_i64(q, 2, row->pi);
    bst_sql_bind_i64(q, 3, row->ty);
    if (row->name.len) {
        bst_sql_bind_text(q, 4, row->name);
    }
    bst_sql_bind_i64(q, 5, row->ct);
    bst_sql_bind_i64(q, 6, row->lt);
    bst_sql_bind_i64(q, 7, row->et);
    bst_sql_bind_i64(q, 8, row->st);
    bst_sql_bind_i64(q, 9, row->cni);
    bst_sql_bind_i64(q, 10, row->cbs);
    bst_sql_bind_i64(q, 11, row->cr);
    bst_sql_bind_blob(q, 12, row->body);
    bst_result r = bst_sql_exec(&q);
    if (r.code == BST_E_CONFLICT) {
        BST_FAIL(BST_E_CONFLICT, "a sibling has the name '%.*s'", BST_VIEW_ARGS(row->name));
    }
    BST_TRY(r);
    *ret_id = id;
    return BST_OK;
}

bst_result bst_resource_update(struct bst_store_conn *writer, const struct bst_row *row)
{
    static const struct bst_sql sql = {
        "UPDATE resource SET lt=?2,et=?3,st=?4,cni=?5,cbs=?6,cr=?7,body=?8"
        " WHERE id=?1 AND pi>=0"};
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, row->id);
    bst_sql_bind_i64(q, 2, row->lt);
    bst_sql_bind_i64(q, 3, row->et);
    bst_sql_bind_i64(q, 4, row->st);
    bst_sql_bind_i64(q, 5, row->cni);
    bst_sql_bind_i64(q, 6, row->cbs);
    bst_sql_bind_i64(q, 7, row->cr);
    bst_sql_bind_blob(q, 8, row->body);
    BST_TRY(bst_sql_exec(&q));
    BST_ENSURE(bst_sql_changes(writer) == 1, BST_E_NOT_FOUND);
    struct bst_counters written = {row->cni, row->cbs, row->st, row->lt};
    return counters_written(writer, row->id, &written);
}

static bst_result run_by_id(struct bst_store_conn *writer, const struct bst_sql *sql, int64_t id)
{
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, sql, &q));
    bst_sql_bind_i64(q, 1, id);
    return bst_sql_exec(&q);
}

static bst_result alias_clear(struct bst_store_conn *writer, int64_t id)
{
    static const struct bst_sql sql = {"DELETE FROM alias WHERE id=?"};
    return run_by_id(writer, &sql, id);
}

bst_result row_delete(struct bst_store_conn *writer, int64_t id)
{
    static const struct bst_sql sql = {"DELETE FROM resource WHERE id=?"};
    BST_TRY(alias_clear(writer, id));
    BST_TRY(labels_clear(writer, id));
    BST_TRY(run_by_id(writer, &sql, id));
    return counters_written(writer, id, NULL);
}

static bst_result in_tree(struct bst_store_conn *conn, int64_t id)
{
    bool found;
    int64_t pi;
    BST_TRY(parent_of(conn, id, &found, &pi));
    BST_ENSURE(found && pi >= BST_PI_ROOT, BST_E_NOT_FOUND);
    return BST_OK;
}

bst_result bst_resource_delete(struct bst_store_conn *writer, int64_t id)
{
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    bool children;
    BST_TRY(in_tree(writer, id));
    BST_TRY(bst_resource_has_child(writer, id, 0, &children));
    BST_ENSURE(!children, BST_E_CONFLICT);
    return row_delete(writer, id);
}

bst_result row_detach(struct bst_store_conn *writer, int64_t id, bool *ret_found)
{
    static const struct bst_sql leave = {
        "UPDATE resource SET pi=-1,name=NULL,et=0 WHERE id=? AND pi>=0"};
    static const struct bst_sql queue = {"INSERT INTO reclaim(id) VALUES(?)"};
    BST_TRY(run_by_id(writer, &leave, id));
    *ret_found = bst_sql_changes(writer) == 1;
    if (!*ret_found) {
        return BST_OK;
    }
    BST_TRY(run_by_id(writer, &queue, id));
    BST_TRY(alias_clear(writer, id));
    BST_TRY(labels_clear(writer, id));
    return counters_written(writer, id, NULL);
}

bst_result bst_resource_detach(struct bst_store_conn *writer, int64_t id)
{
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    bool children, found;
    BST_TRY(bst_resource_has_child(writer, id, 0, &children));
    if (!children) {
        return bst_resource_delete(writer, id);
    }
    BST_TRY(row_detach(writer, id, &found));
    BST_ENSURE(found, BST_E_NOT_FOUND);
    bst_store_wake_idle(writer);
    return BST_OK;
}

/* ---- ids that resources bring themselves ---- */

bst_result bst_alias_set(struct bst_store_conn *writer, struct bst_view ri, int64_t id)
{
    static const struct bst_sql owner = {"SELECT id FROM alias WHERE ri=?"};
    static const struct bst_sql put = {"INSERT INTO alias(ri,id) VALUES(?,?)"
                                       " ON CONFLICT(ri) DO UPDATE SET id=excluded.id"};
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    bst_auto_query *q = NULL;
    bool taken;
    BST_TRY(bst_sql_begin(writer, &owner, &q));
    bst_sql_bind_text(q, 1, ri);
    BST_TRY(bst_sql_step(q, &taken));
    if (taken && bst_sql_i64(q, 0) != id) {
        /* Somebody below a deleted resource, not yet reclaimed, no longer counts. */
        BST_TRY(bst_resource_attached(writer, bst_sql_i64(q, 0), &taken));
        if (taken) {
            BST_FAIL(BST_E_CONFLICT, "the identifier '%.*s' is taken", BST_VIEW_ARGS(ri));
        }
    }
    bst_sql_end(&q);
    BST_TRY(bst_sql_begin(writer, &put, &q));
    bst_sql_bind_text(q, 1, ri);
    bst_sql_bind_i64(q, 2, id);
    return bst_sql_exec(&q);
}

bst_result bst_alias_of(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                        struct bst_view *ret)
{
    static const struct bst_sql sql = {"SELECT ri FROM alias WHERE id=?"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    BST_TRY(bst_sql_step(q, &found));
    return copy_view(arena, found ? bst_sql_view(q, 0) : (struct bst_view){0}, ret);
}
