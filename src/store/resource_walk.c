/* Walks over many rows. Every order is one that an index already has: no walk sorts. */
#include "store/resource_priv.h"

bst_result bst_cursor_next(struct bst_cursor *cursor, struct bst_row *ret)
{
    while (cursor->query) {
        bool row, wanted = true;
        BST_TRY(bst_sql_step(cursor->query, &row));
        if (!row) {
            bst_sql_end(&cursor->query);
            break;
        }
        row_read(cursor->conn, cursor->query, ret);
        if (cursor->attached_only) {
            BST_TRY(bst_resource_attached(cursor->conn, ret->id, &wanted));
        }
        if (wanted) {
            return BST_OK;
        }
    }
    *ret = (struct bst_row){0};
    return BST_OK;
}

void bst_cursor_clear(struct bst_cursor *cursor)
{
    bst_sql_end(&cursor->query);
    *cursor = (struct bst_cursor){0};
}

static int64_t limit_of(int64_t limit)
{
    return limit > 0 ? limit : -1;
}

static bst_result children_open(struct bst_store_conn *conn, const struct bst_sql *typed,
                                const struct bst_sql *any, int64_t pi, int32_t ty,
                                struct bst_place place, int64_t limit, struct bst_cursor *ret)
{
    struct bst_query *q;
    BST_TRY(bst_sql_begin(conn, ty ? typed : any, &q));
    bst_sql_bind_i64(q, 1, pi);
    bst_sql_bind_i64(q, 2, ty ? ty : place.ty);
    bst_sql_bind_i64(q, 3, place.id);
    bst_sql_bind_i64(q, 4, limit_of(limit));
    *ret = (struct bst_cursor){.conn = conn, .query = q};
    return BST_OK;
}

bst_result bst_children_open(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                             struct bst_place after, int64_t limit, struct bst_cursor *ret)
{
    static const struct bst_sql typed = {
        "SELECT " ROW_COLUMNS
        " FROM resource WHERE pi=?1 AND ty=?2 AND id>?3 ORDER BY id LIMIT ?4"};
    static const struct bst_sql any = {
        "SELECT " ROW_COLUMNS
        " FROM resource WHERE pi=?1 AND (ty,id)>(?2,?3) ORDER BY ty,id LIMIT ?4"};
    return children_open(conn, &typed, &any, pi, ty, after, limit, ret);
}

bst_result bst_children_open_desc(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                  struct bst_place before, int64_t limit, struct bst_cursor *ret)
{
    static const struct bst_sql typed = {
        "SELECT " ROW_COLUMNS
        " FROM resource WHERE pi=?1 AND ty=?2 AND id<?3 ORDER BY id DESC LIMIT ?4"};
    static const struct bst_sql any = {
        "SELECT " ROW_COLUMNS
        " FROM resource WHERE pi=?1 AND (ty,id)<(?2,?3) ORDER BY ty DESC,id DESC LIMIT ?4"};
    if (before.id == 0) {
        before = (struct bst_place){INT32_MAX, INT64_MAX};
    }
    return children_open(conn, &typed, &any, pi, ty, before, limit, ret);
}

bst_result bst_labelled_open(struct bst_store_conn *conn, struct bst_view label, int64_t after_id,
                             int64_t limit, struct bst_cursor *ret)
{
    static const struct bst_sql sql = {
        "SELECT r.id,pi,ty,name,ct,lt,et,st,cni,cbs,cr,body FROM label l JOIN resource r ON "
        "r.id=l.id"
        " WHERE l.lbl=(SELECT lbl FROM label_text WHERE text=?1) AND l.id>?2 AND r.pi>=0"
        " ORDER BY l.id LIMIT ?3"};
    struct bst_query *q;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, label);
    bst_sql_bind_i64(q, 2, after_id);
    bst_sql_bind_i64(q, 3, limit_of(limit));
    *ret = (struct bst_cursor){.conn = conn, .query = q};
    return BST_OK;
}

bst_result bst_expired_open(struct bst_store_conn *conn, int64_t now_us, int64_t limit,
                            struct bst_cursor *ret)
{
    static const struct bst_sql sql = {"SELECT " ROW_COLUMNS
                                       " FROM resource WHERE et>0 AND et<?1 ORDER BY et LIMIT ?2"};
    struct bst_query *q;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, now_us);
    bst_sql_bind_i64(q, 2, limit_of(limit));
    *ret = (struct bst_cursor){.conn = conn, .query = q, .attached_only = true};
    return BST_OK;
}
