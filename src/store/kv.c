/* Small durable facts: one table, a name space and a key. */
#include "store/resource.h"

static bst_result begin(struct bst_store_conn *conn, const struct bst_sql *sql, const char *ns,
                        struct bst_view key, struct bst_query **ret)
{
    BST_TRY(bst_sql_begin(conn, sql, ret));
    bst_sql_bind_text(*ret, 1, bst_view(ns));
    bst_sql_bind_blob(*ret, 2, key);
    return BST_OK;
}

bst_result bst_kv_get(struct bst_store_conn *conn, const char *ns, struct bst_view key,
                      struct bst_arena *arena, struct bst_view *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT value FROM kv WHERE ns=? AND key=?"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(begin(conn, &sql, ns, key, &q));
    BST_TRY(bst_sql_step(q, &found));
    struct bst_view value = {0};
    if (found) {
        value = bst_arena_view(arena, bst_sql_view(q, 0));
        BST_ENSURE(value.ptr, BST_E_NOMEM);
    }
    *ret = value;
    *ret_found = found;
    return BST_OK;
}

bst_result bst_kv_put(struct bst_store_conn *writer, const char *ns, struct bst_view key,
                      struct bst_view value)
{
    static const struct bst_sql sql = {"INSERT INTO kv(ns,key,value) VALUES(?,?,?)"
                                       " ON CONFLICT(ns,key) DO UPDATE SET value=excluded.value"};
    bst_auto_query *q = NULL;
    BST_TRY(begin(writer, &sql, ns, key, &q));
    bst_sql_bind_blob(q, 3, value);
    return bst_sql_exec(&q);
}

bst_result bst_kv_add(struct bst_store_conn *writer, const char *ns, struct bst_view key,
                      struct bst_view value)
{
    static const struct bst_sql sql = {"INSERT INTO kv(ns,key,value) VALUES(?,?,?)"
                                       " ON CONFLICT(ns,key) DO NOTHING"};
    bst_auto_query *q = NULL;
    BST_TRY(begin(writer, &sql, ns, key, &q));
    bst_sql_bind_blob(q, 3, value);
    BST_TRY(bst_sql_exec(&q));
    BST_ENSURE(bst_sql_changes(writer) == 1, BST_E_EXISTS);
    return BST_OK;
}

bst_result bst_kv_delete(struct bst_store_conn *writer, const char *ns, struct bst_view key)
{
    static const struct bst_sql sql = {"DELETE FROM kv WHERE ns=? AND key=?"};
    bst_auto_query *q = NULL;
    BST_TRY(begin(writer, &sql, ns, key, &q));
    return bst_sql_exec(&q);
}

bst_result bst_kv_each(struct bst_store_conn *conn, const char *ns, struct bst_view after,
                       bool (*each)(void *arg, struct bst_view key, struct bst_view value),
                       void *arg)
{
    static const struct bst_sql sql = {
        "SELECT key,value FROM kv WHERE ns=? AND key>? ORDER BY key"};
    bst_auto_query *q = NULL;
    BST_TRY(begin(conn, &sql, ns, after, &q));
    for (bool row;;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row || !each(arg, bst_sql_view(q, 0), bst_sql_view(q, 1))) {
            return BST_OK;
        }
    }
}
