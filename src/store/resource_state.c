/* What the writer keeps beside the tables: ids, the reclaim of detached subtrees, the check. */
#include "store/resource_priv.h"

/* Ids that a crash may skip. */
#define RESERVE_IDS 4096

/* ---- ids ---- */

static bst_result next_id_load(struct bst_store_conn *writer, struct resource_state *state)
{
    static const struct bst_sql sql = {
        "SELECT max(ifnull((SELECT value FROM store_meta WHERE key='next_id'),1),"
        "ifnull((SELECT max(id) FROM resource),0)+1)"};
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    BST_TRY(bst_sql_step(q, &row));
    state->next_id = row ? bst_sql_i64(q, 0) : 1;
    if (state->next_id < 1) {
        BST_FAIL(BST_E_CORRUPT, "the next resource id is %lld", (long long)state->next_id);
    }
    state->reserved = state->reserved_committed = state->next_id;
    return BST_OK;
}

static bst_result next_id_store(struct bst_store_conn *writer, int64_t value)
{
    static const struct bst_sql sql = {"INSERT INTO store_meta(key,value) VALUES('next_id',?)"
                                       " ON CONFLICT(key) DO UPDATE SET value=excluded.value"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, value);
    return bst_sql_exec(&q);
}

/* No later process may give out an id of a row that was committed and then deleted. */
static bst_result reserve_ids(struct bst_store_conn *writer, struct resource_state *state)
{
    if (state->next_id <= state->reserved) {
        return BST_OK;
    }
    BST_TRY(next_id_store(writer, state->next_id + RESERVE_IDS));
    state->reserved = state->next_id + RESERVE_IDS;
    return BST_OK;
}

/* ---- reclaim ---- */

static bst_result next_root(struct bst_store_conn *writer, int64_t *ret_id)
{
    static const struct bst_sql sql = {"SELECT id FROM reclaim LIMIT 1"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    BST_TRY(bst_sql_step(q, &found));
    *ret_id = found ? bst_sql_i64(q, 0) : 0;
    return BST_OK;
}

static bst_result some_children(struct bst_store_conn *writer, int64_t pi, int64_t *ids,
                                unsigned max, unsigned *ret_n)
{
    static const struct bst_sql sql = {"SELECT id FROM resource WHERE pi=? LIMIT ?"};
    bst_auto_query *q = NULL;
    unsigned n = 0;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, pi);
    bst_sql_bind_i64(q, 2, max);
    for (bool row; n < max;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            break;
        }
        ids[n++] = bst_sql_i64(q, 0);
    }
    *ret_n = n;
    return BST_OK;
}

static bst_result root_done(struct bst_store_conn *writer, int64_t id)
{
    static const struct bst_sql sql = {"DELETE FROM reclaim WHERE id=?"};
    bst_auto_query *q = NULL;
    BST_TRY(row_delete(writer, id));
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    return bst_sql_exec(&q);
}

/* A leaf goes; a child with children becomes a root itself. Either way one row's work. */
static bst_result reclaim_child(struct bst_store_conn *writer, int64_t id)
{
    bool children, found;
    BST_TRY(bst_resource_has_child(writer, id, 0, &children));
    return children ? row_detach(writer, id, &found) : row_delete(writer, id);
}

static bst_result reclaim(struct bst_store_conn *writer, void *arg, unsigned rows, bool *ret_more)
{
    int64_t ids[64], root;
    (void)arg;
    for (unsigned left = rows; left > 0;) {
        unsigned n, want = left < 64 ? left : 64;
        BST_TRY(next_root(writer, &root));
        if (!root) {
            *ret_more = false;
            return BST_OK;
        }
        BST_TRY(some_children(writer, root, ids, want, &n));
        for (unsigned i = 0; i < n; i++) {
            BST_TRY(reclaim_child(writer, ids[i]));
        }
        if (n == 0) {
            BST_TRY(root_done(writer, root));
        }
        left -= n ? n : 1;
    }
    *ret_more = true;
    return BST_OK;
}

/* ---- check ---- */

static bst_result finding(struct bst_store_conn *reader, const struct bst_sql *sql,
                          const char *what, struct bst_buf *findings)
{
    bst_auto_query *q = NULL;
    bool row;
    BST_TRY(bst_sql_begin(reader, sql, &q));
    BST_TRY(bst_sql_step(q, &row));
    if (row && bst_sql_i64(q, 0) > 0) {
        bst_buf_addf(findings, "%lld %s, the first is %lld\n", (long long)bst_sql_i64(q, 0), what,
                     (long long)bst_sql_i64(q, 1));
    }
    return BST_OK;
}

static bst_result check(struct bst_store_conn *reader, bool full, struct bst_buf *findings)
{
    static const struct bst_sql ids = {"SELECT count(*),min(id) FROM resource WHERE id<1 OR id>="
                                       "(SELECT value FROM store_meta WHERE key='next_id')"};
    static const struct bst_sql detached = {
        "SELECT count(*),min(id) FROM resource WHERE pi<0 AND id NOT IN (SELECT id FROM reclaim)"};
    static const struct bst_sql orphans = {
        "SELECT count(*),min(c.id) FROM resource c WHERE c.pi>0"
        " AND NOT EXISTS(SELECT 1 FROM resource p WHERE p.id=c.pi)"};
    static const struct bst_sql aliases = {
        "SELECT count(*),min(id) FROM alias WHERE id NOT IN (SELECT id FROM resource)"};
    static const struct bst_sql labels = {
        "SELECT count(*),min(id) FROM label WHERE id NOT IN (SELECT id FROM resource)"
        " OR lbl NOT IN (SELECT lbl FROM label_text)"};
    static const struct bst_sql creators = {"SELECT count(*),min(id) FROM resource WHERE cr<>0 AND "
                                            "cr NOT IN (SELECT id FROM principal)"};
    BST_TRY(finding(reader, &ids, "resources with an id that was never given out", findings));
    BST_TRY(finding(reader, &detached, "detached resources that nothing will reclaim", findings));
    if (full) {
        BST_TRY(finding(reader, &orphans, "resources without a parent", findings));
        BST_TRY(finding(reader, &aliases, "identifiers of resources that do not exist", findings));
        BST_TRY(finding(reader, &labels, "labels without resource or text", findings));
        BST_TRY(finding(reader, &creators, "resources with an unknown creator", findings));
    }
    return BST_OK;
}

/* ---- hooks ---- */

static void state_free(void *arg)
{
    struct resource_state *state = arg;
    counters_clear(state);
    principals_clear(state);
    bst_free(state);
}

static bst_result state_open(struct bst_store_conn *writer, void **ret_state)
{
    struct resource_state *state = bst_alloc(sizeof *state);
    BST_ENSURE(state, BST_E_NOMEM);
    pthread_rwlock_init(&state->principals_lock, NULL);
    bst_result r = next_id_load(writer, state);
    if (bst_failed(r)) {
        state_free(state);
        return r;
    }
    state->job = 1;
    *ret_state = state;
    return BST_OK;
}

static bst_result state_closing(struct bst_store_conn *writer, void *arg)
{
    struct resource_state *state = arg;
    return state->reserved == state->next_id ? BST_OK : next_id_store(writer, state->next_id);
}

static void state_job_end(void *arg, bool kept)
{
    counters_job_end(arg, kept);
}

static bst_result state_flush(struct bst_store_conn *writer, void *arg)
{
    BST_TRY(counters_flush(writer, arg));
    return reserve_ids(writer, arg);
}

static void state_batch_end(void *arg, bool committed)
{
    struct resource_state *state = arg;
    counters_batch_end(state, committed);
    if (committed) {
        state->reserved_committed = state->reserved;
    } else {
        state->reserved = state->reserved_committed;
    }
    state->new_principals = false;
}

const struct bst_store_hooks resource_hooks = {
    .open = state_open,
    .closing = state_closing,
    .close = state_free,
    .job_end = state_job_end,
    .flush = state_flush,
    .batch_end = state_batch_end,
    .idle = reclaim,
    .check = check,
};
