/* The MEF's own tables: who may come, who is registered, which keys there are. No key bytes here.
 */
#include "mef/mef_priv.h"

static const char *const MIGRATIONS[] = {
    "CREATE TABLE client(cred TEXT PRIMARY KEY, id TEXT NOT NULL, admins TEXT NOT NULL,"
    " revoked INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX client_by_id ON client(id);"
    "CREATE TABLE reg(id TEXT PRIMARY KEY, client TEXT NOT NULL, admin TEXT NOT NULL,"
    " et INTEGER NOT NULL, ct INTEGER NOT NULL, lt INTEGER NOT NULL, labels TEXT) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX reg_by_client ON reg(client, admin);"
    "CREATE INDEX reg_by_et ON reg(et);"
    "CREATE TABLE skr(rel TEXT PRIMARY KEY, source TEXT NOT NULL, admin TEXT NOT NULL,"
    " suid INTEGER NOT NULL, et INTEGER NOT NULL, ct INTEGER NOT NULL, lt INTEGER NOT NULL,"
    " labels TEXT, targets TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX skr_by_source ON skr(source, admin);"
    "CREATE INDEX skr_by_et ON skr(et);",
};
const struct bst_store_schema bst_mef_schema = {
    .name = "mef", .migrations = MIGRATIONS, .n = sizeof MIGRATIONS / sizeof MIGRATIONS[0]};

static bst_result text_column(struct bst_query *q, int column, char *out, size_t cap)
{
    if (bst_failed(bst_view_copy(bst_sql_view(q, column), out, cap))) {
        BST_FAIL(BST_E_CORRUPT, "a record of the MEF holds a text that is too long");
    }
    return BST_OK;
}

static bst_result arena_column(struct bst_query *q, int column, struct bst_arena *arena,
                               struct bst_view *ret)
{
    *ret = bst_arena_view(arena, bst_sql_view(q, column));
    BST_ENSURE(ret->ptr || !ret->len, BST_E_NOMEM);
    return BST_OK;
}

/* ---- client ---- */

bst_result mef_db_client(struct bst_store_conn *conn, struct bst_view cred_id,
                         struct mef_client *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT id, admins, revoked FROM client WHERE cred = ?1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, cred_id);
    BST_TRY(bst_sql_step(q, ret_found));
    if (*ret_found) {
        BST_TRY(text_column(q, 0, ret->id, sizeof ret->id));
        BST_TRY(text_column(q, 1, ret->admins, sizeof ret->admins));
        ret->revoked = bst_sql_i64(q, 2) != 0;
    }
    return BST_OK;
}

bst_result mef_db_client_add(struct bst_store_conn *conn, struct bst_view cred_id,
                             struct bst_view id, struct bst_view admins, int64_t now_us)
{
    static const struct bst_sql sql = {
        "INSERT INTO client(cred, id, admins, revoked, created) VALUES(?1, ?2, ?3, 0, ?4)"};
    struct bst_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, cred_id);
    bst_sql_bind_text(q, 2, id);
    bst_sql_bind_text(q, 3, admins);
    bst_sql_bind_i64(q, 4, now_us);
    return bst_sql_exec(&q);
}

static bst_result exec_text(struct bst_store_conn *conn, const struct bst_sql *sql,
                            struct bst_view text)
{
    struct bst_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, sql, &q));
    bst_sql_bind_text(q, 1, text);
    return bst_sql_exec(&q);
}

bst_result mef_db_client_remove(struct bst_store_conn *conn, struct bst_view cred_id)
{
    static const struct bst_sql sql = {"DELETE FROM client WHERE cred = ?1"};
    return exec_text(conn, &sql, cred_id);
}

bst_result mef_db_client_revoke(struct bst_store_conn *conn, struct bst_view cred_id)
{
    static const struct bst_sql sql = {"UPDATE client SET revoked = 1 WHERE cred = ?1"};
    return exec_text(conn, &sql, cred_id);
}

bst_result mef_db_client_credentials(struct bst_store_conn *conn, struct bst_view id, int64_t *ret)
{
    static const struct bst_sql sql = {"SELECT count(*) FROM client WHERE id = ?1 AND revoked = 0"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, id);
    BST_TRY(bst_sql_step(q, &row));
    *ret = row ? bst_sql_i64(q, 0) : 0;
    return BST_OK;
}

bst_result mef_db_clients(struct bst_store_conn *conn,
                          void (*each)(void *ctx, const struct bst_mef_client_info *info),
                          void *ctx)
{
    static const struct bst_sql sql = {
        "SELECT cred, id, admins, revoked, created FROM client ORDER BY cred"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    for (;;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        struct bst_mef_client_info info = {.cred_id = bst_sql_view(q, 0),
                                           .client_id = bst_sql_view(q, 1),
                                           .admins = bst_sql_view(q, 2),
                                           .revoked = bst_sql_i64(q, 3) != 0,
                                           .created_us = bst_sql_i64(q, 4)};
        each(ctx, &info);
    }
}

/* ---- reg ---- */

#define REG_COLUMNS "id, client, admin, et, ct, lt, labels"

static bst_result reg_read(struct bst_query *q, struct bst_arena *arena, struct mef_reg_row *ret)
{
    BST_TRY(text_column(q, 0, ret->id, sizeof ret->id));
    BST_TRY(text_column(q, 1, ret->client, sizeof ret->client));
    BST_TRY(text_column(q, 2, ret->admin, sizeof ret->admin));
    ret->et = bst_sql_i64(q, 3);
    ret->ct = bst_sql_i64(q, 4);
    ret->lt = bst_sql_i64(q, 5);
    return arena_column(q, 6, arena, &ret->labels);
}

bst_result mef_db_reg(struct bst_store_conn *conn, struct bst_view id, struct bst_arena *arena,
                      struct mef_reg_row *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT " REG_COLUMNS " FROM reg WHERE id = ?1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, id);
    BST_TRY(bst_sql_step(q, ret_found));
    return *ret_found ? reg_read(q, arena, ret) : BST_OK;
}

bst_result mef_db_reg_of(struct bst_store_conn *conn, struct bst_view client, struct bst_view admin,
                         struct bst_arena *arena, struct mef_reg_row *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT " REG_COLUMNS
                                       " FROM reg WHERE client = ?1 AND admin = ?2"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, client);
    bst_sql_bind_text(q, 2, admin);
    BST_TRY(bst_sql_step(q, ret_found));
    return *ret_found ? reg_read(q, arena, ret) : BST_OK;
}

static void bind_opt(struct bst_query *q, int index, struct bst_view text)
{
    if (text.len) {
        bst_sql_bind_text(q, index, text);
    } else {
        bst_sql_bind_null(q, index);
    }
}

bst_result mef_db_reg_put(struct bst_store_conn *conn, const struct mef_reg_row *row)
{
    static const struct bst_sql sql = {"INSERT OR REPLACE INTO reg(" REG_COLUMNS
                                       ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"};
    struct bst_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, bst_view(row->id));
    bst_sql_bind_text(q, 2, bst_view(row->client));
    bst_sql_bind_text(q, 3, bst_view(row->admin));
    bst_sql_bind_i64(q, 4, row->et);
    bst_sql_bind_i64(q, 5, row->ct);
    bst_sql_bind_i64(q, 6, row->lt);
    bind_opt(q, 7, row->labels);
    return bst_sql_exec(&q);
}

/* Remember the keys that a query lists. Ends the query. */
static bst_result collect(struct bst_query **slot, struct bst_arena *arena, struct mef_gone **gone,
                          unsigned *n)
{
    bst_auto_query *q = bst_steal(slot);
    for (;;) {
        bool row;
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        struct mef_gone *item = bst_arena_alloc(arena, sizeof *item);
        BST_ENSURE(item, BST_E_NOMEM);
        BST_TRY(text_column(q, 0, item->relative_id, sizeof item->relative_id));
        item->next = *gone;
        *gone = item;
        ++*n;
    }
}

static bst_result keys_remove(struct bst_store_conn *conn, struct bst_view source,
                              struct bst_view admin, struct bst_arena *arena,
                              struct mef_gone **gone)
{
    static const struct bst_sql list = {"SELECT rel FROM skr WHERE source = ?1 AND admin = ?2"};
    static const struct bst_sql remove = {"DELETE FROM skr WHERE source = ?1 AND admin = ?2"};
    struct bst_query *q = NULL;
    unsigned n = 0;
    BST_TRY(bst_sql_begin(conn, &list, &q));
    bst_sql_bind_text(q, 1, source);
    bst_sql_bind_text(q, 2, admin);
    BST_TRY(collect(&q, arena, gone, &n));
    BST_TRY(bst_sql_begin(conn, &remove, &q));
    bst_sql_bind_text(q, 1, source);
    bst_sql_bind_text(q, 2, admin);
    return bst_sql_exec(&q);
}

bst_result mef_db_reg_remove(struct bst_store_conn *conn, const struct mef_reg_row *row,
                             struct bst_arena *arena, struct mef_gone **gone)
{
    static const struct bst_sql sql = {"DELETE FROM reg WHERE id = ?1"};
    BST_TRY(keys_remove(conn, bst_view(row->client), bst_view(row->admin), arena, gone));
    return exec_text(conn, &sql, bst_view(row->id));
}

bst_result mef_db_client_clear(struct bst_store_conn *conn, struct bst_view client,
                               struct bst_arena *arena, struct mef_gone **gone)
{
    static const struct bst_sql list = {"SELECT rel FROM skr WHERE source = ?1"};
    static const struct bst_sql keys = {"DELETE FROM skr WHERE source = ?1"};
    static const struct bst_sql regs = {"DELETE FROM reg WHERE client = ?1"};
    struct bst_query *q = NULL;
    unsigned n = 0;
    BST_TRY(bst_sql_begin(conn, &list, &q));
    bst_sql_bind_text(q, 1, client);
    BST_TRY(collect(&q, arena, gone, &n));
    BST_TRY(exec_text(conn, &keys, client));
    return exec_text(conn, &regs, client);
}

/* ---- skr ---- */

#define KEY_COLUMNS "rel, source, admin, suid, et, ct, lt, labels, targets"

bst_result mef_db_key(struct bst_store_conn *conn, struct bst_view relative_id,
                      struct bst_arena *arena, struct mef_key_row *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT " KEY_COLUMNS " FROM skr WHERE rel = ?1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, relative_id);
    BST_TRY(bst_sql_step(q, ret_found));
    if (!*ret_found) {
        return BST_OK;
    }
    BST_TRY(text_column(q, 0, ret->relative_id, sizeof ret->relative_id));
    BST_TRY(text_column(q, 1, ret->source, sizeof ret->source));
    BST_TRY(text_column(q, 2, ret->admin, sizeof ret->admin));
    ret->suid = bst_sql_i64(q, 3);
    ret->et = bst_sql_i64(q, 4);
    ret->ct = bst_sql_i64(q, 5);
    ret->lt = bst_sql_i64(q, 6);
    BST_TRY(arena_column(q, 7, arena, &ret->labels));
    return arena_column(q, 8, arena, &ret->targets);
}

bst_result mef_db_key_put(struct bst_store_conn *conn, const struct mef_key_row *row)
{
    static const struct bst_sql sql = {
        "INSERT INTO skr(" KEY_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT(rel) DO UPDATE SET et = excluded.et, lt = excluded.lt,"
        " labels = excluded.labels, targets = excluded.targets"};
    struct bst_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, bst_view(row->relative_id));
    bst_sql_bind_text(q, 2, bst_view(row->source));
    bst_sql_bind_text(q, 3, bst_view(row->admin));
    bst_sql_bind_i64(q, 4, row->suid);
    bst_sql_bind_i64(q, 5, row->et);
    bst_sql_bind_i64(q, 6, row->ct);
    bst_sql_bind_i64(q, 7, row->lt);
    bind_opt(q, 8, row->labels);
    bst_sql_bind_text(q, 9, row->targets);
    return bst_sql_exec(&q);
}

bst_result mef_db_key_remove(struct bst_store_conn *conn, struct bst_view relative_id)
{
    static const struct bst_sql sql = {"DELETE FROM skr WHERE rel = ?1"};
    return exec_text(conn, &sql, relative_id);
}

bst_result mef_db_keys(struct bst_store_conn *conn,
                       void (*each)(void *ctx, const struct bst_mef_key_info *info), void *ctx)
{
    static const struct bst_sql sql = {"SELECT " KEY_COLUMNS " FROM skr ORDER BY rel"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    for (;;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        struct bst_mef_key_info info = {.relative_id = bst_sql_view(q, 0),
                                        .source_id = bst_sql_view(q, 1),
                                        .admin = bst_sql_view(q, 2),
                                        .suid = (int)bst_sql_i64(q, 3),
                                        .expires_us = bst_sql_i64(q, 4),
                                        .created_us = bst_sql_i64(q, 5),
                                        .targets = bst_sql_view(q, 8)};
        each(ctx, &info);
    }
}

/* ---- expiry ---- */

static bst_result expired_reg(struct bst_store_conn *conn, int64_t now_us, struct bst_arena *arena,
                              struct mef_reg_row *ret, bool *ret_found)
{
    static const struct bst_sql sql = {"SELECT " REG_COLUMNS
                                       " FROM reg WHERE et <= ?1 ORDER BY et LIMIT 1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, now_us);
    BST_TRY(bst_sql_step(q, ret_found));
    return *ret_found ? reg_read(q, arena, ret) : BST_OK;
}

static bst_result expired_keys(struct bst_store_conn *conn, int64_t now_us, int limit,
                               struct bst_arena *arena, struct mef_gone **gone, unsigned *n)
{
    static const struct bst_sql sql = {"SELECT rel FROM skr WHERE et <= ?1 ORDER BY et LIMIT ?2"};
    struct bst_query *q = NULL;
    struct mef_gone *found = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, now_us);
    bst_sql_bind_i64(q, 2, limit);
    BST_TRY(collect(&q, arena, &found, n));
    while (found) {
        struct mef_gone *item = found;
        found = item->next;
        BST_TRY(mef_db_key_remove(conn, bst_view(item->relative_id)));
        item->next = *gone;
        *gone = item;
    }
    return BST_OK;
}

bst_result mef_db_expire(struct bst_store_conn *conn, int64_t now_us, int limit,
                         struct bst_arena *arena, struct mef_gone **gone, unsigned *ret_removed)
{
    unsigned n = 0;
    for (bool found = true; found && (int)n < limit;) {
        struct mef_reg_row row;
        BST_TRY(expired_reg(conn, now_us, arena, &row, &found));
        if (found) {
            BST_TRY(mef_db_reg_remove(conn, &row, arena, gone));
            n++;
        }
    }
    BST_TRY(expired_keys(conn, now_us, limit, arena, gone, &n));
    *ret_removed = n;
    return BST_OK;
}
