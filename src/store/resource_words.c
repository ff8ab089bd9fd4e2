/* Dictionaries: labels and the names of originators are stored once and referred to by number. */
#include "store/resource_priv.h"

/* ---- labels ---- */

static bst_result label_number(struct bst_store_conn *writer, struct bst_view text, int64_t *ret)
{
    /* The update changes nothing; it makes RETURNING speak for a known text, too. */
    static const struct bst_sql sql = {"INSERT INTO label_text(text) VALUES(?1)"
                                       " ON CONFLICT(text) DO UPDATE SET text=?1 RETURNING lbl"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_text(q, 1, text);
    BST_TRY(bst_sql_step(q, &row));
    BST_ENSURE(row, BST_E_CORRUPT);
    *ret = bst_sql_i64(q, 0);
    return BST_OK;
}

static bst_result label_remove(struct bst_store_conn *writer, int64_t lbl, int64_t id)
{
    static const struct bst_sql unlink = {"DELETE FROM label WHERE lbl=? AND id=?"};
    static const struct bst_sql forget = {
        "DELETE FROM label_text WHERE lbl=?1 AND NOT EXISTS(SELECT 1 FROM label WHERE lbl=?1)"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &unlink, &q));
    bst_sql_bind_i64(q, 1, lbl);
    bst_sql_bind_i64(q, 2, id);
    BST_TRY(bst_sql_exec(&q));
    BST_TRY(bst_sql_begin(writer, &forget, &q));
    bst_sql_bind_i64(q, 1, lbl);
    return bst_sql_exec(&q);
}

bst_result labels_clear(struct bst_store_conn *writer, int64_t id)
{
    static const struct bst_sql sql = {"SELECT lbl FROM label WHERE id=? LIMIT 1"};
    for (bool row;;) {
        bst_auto_query *q = NULL;
        BST_TRY(bst_sql_begin(writer, &sql, &q));
        bst_sql_bind_i64(q, 1, id);
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        int64_t lbl = bst_sql_i64(q, 0);
        bst_sql_end(&q);
        BST_TRY(label_remove(writer, lbl, id));
    }
}

bst_result bst_labels_set(struct bst_store_conn *writer, int64_t id, const struct bst_view *labels,
                          size_t n)
{
    static const struct bst_sql sql = {
        "INSERT INTO label(lbl,id) VALUES(?,?) ON CONFLICT DO NOTHING"};
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    BST_TRY(labels_clear(writer, id));
    for (size_t i = 0; i < n; i++) {
        int64_t lbl = 0;
        bst_auto_query *q = NULL;
        BST_TRY(label_number(writer, labels[i], &lbl));
        BST_TRY(bst_sql_begin(writer, &sql, &q));
        bst_sql_bind_i64(q, 1, lbl);
        bst_sql_bind_i64(q, 2, id);
        BST_TRY(bst_sql_exec(&q));
    }
    return BST_OK;
}

/* ---- principals ---- */

/* Names are never removed, so what is committed once stays true: any thread may keep it. */
#define KEEP_PRINCIPALS 16384

static struct bst_view id_key(const int64_t *id)
{
    return bst_view_of(id, sizeof *id);
}

static void forget_principals(struct resource_state *state)
{
    size_t cursor = 0;
    struct bst_view key;
    void *name;
    while (bst_map_next(&state->principal_names, &cursor, &key, &name)) {
        bst_free(name);
    }
    bst_map_clear(&state->principal_names);
    bst_map_clear(&state->principal_ids);
}

void principals_clear(struct resource_state *state)
{
    forget_principals(state);
    pthread_rwlock_destroy(&state->principals_lock);
}

/* Without memory it is simply not remembered. */
static void remember(struct bst_store_conn *conn, struct bst_view name, int64_t id)
{
    struct resource_state *state = bst_store_state(conn);
    if (bst_store_is_writer(conn) && state->new_principals) {
        return;
    }
    char *copy = bst_strndup(name.ptr, name.len);
    void *old = NULL;
    pthread_rwlock_wrlock(&state->principals_lock);
    if (state->principal_names.count >= KEEP_PRINCIPALS) {
        forget_principals(state);
    }
    if (copy && !bst_failed(bst_map_set(&state->principal_names, id_key(&id), copy, &old))) {
        copy = NULL;
        (void)bst_failed(bst_map_set(&state->principal_ids, name, (void *)(intptr_t)id, NULL));
    }
    pthread_rwlock_unlock(&state->principals_lock);
    bst_free(old);
    bst_free(copy);
}

static int64_t known_id(struct resource_state *state, struct bst_view name)
{
    pthread_rwlock_rdlock(&state->principals_lock);
    int64_t id = (int64_t)(intptr_t)bst_map_get(&state->principal_ids, name);
    pthread_rwlock_unlock(&state->principals_lock);
    return id;
}

static bst_result select_id(struct bst_store_conn *conn, struct bst_view name, int64_t *ret)
{
    static const struct bst_sql sql = {"SELECT id FROM principal WHERE name=?"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, name);
    BST_TRY(bst_sql_step(q, &found));
    *ret = found ? bst_sql_i64(q, 0) : 0;
    return BST_OK;
}

static bst_result add_principal(struct bst_store_conn *writer, struct bst_view name, int64_t *ret)
{
    static const struct bst_sql sql = {"INSERT INTO principal(name) VALUES(?) RETURNING id"};
    struct resource_state *state = bst_store_state(writer);
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_text(q, 1, name);
    state->new_principals = true;
    BST_TRY(bst_sql_step(q, &row));
    BST_ENSURE(row, BST_E_CORRUPT);
    *ret = bst_sql_i64(q, 0);
    return BST_OK;
}

bst_result bst_principal_id(struct bst_store_conn *conn, struct bst_view name, int64_t *ret)
{
    int64_t id = known_id(bst_store_state(conn), name);
    if (!id) {
        BST_TRY(select_id(conn, name, &id));
        if (id) {
            remember(conn, name, id);
        } else if (bst_store_is_writer(conn)) {
            BST_TRY(add_principal(conn, name, &id));
        }
    }
    *ret = id;
    return BST_OK;
}

static bst_result known_name(struct resource_state *state, int64_t id, struct bst_arena *arena,
                             struct bst_view *ret, bool *ret_found)
{
    pthread_rwlock_rdlock(&state->principals_lock);
    const char *name = bst_map_get(&state->principal_names, id_key(&id));
    struct bst_view copy = name ? bst_arena_view(arena, bst_view(name)) : (struct bst_view){0};
    pthread_rwlock_unlock(&state->principals_lock);
    BST_ENSURE(!name || copy.ptr, BST_E_NOMEM);
    *ret = copy;
    *ret_found = name;
    return BST_OK;
}

bst_result bst_principal_name(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                              struct bst_view *ret)
{
    static const struct bst_sql sql = {"SELECT name FROM principal WHERE id=?"};
    struct bst_view name = {0};
    bool found = false;
    BST_TRY(known_name(bst_store_state(conn), id, arena, &name, &found));
    if (found) {
        *ret = name;
        return BST_OK;
    }
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    BST_TRY(bst_sql_step(q, &found));
    name = (struct bst_view){0};
    if (found) {
        name = bst_arena_view(arena, bst_sql_view(q, 0));
        BST_ENSURE(name.ptr, BST_E_NOMEM);
        remember(conn, name, id);
    }
    *ret = name;
    return BST_OK;
}
