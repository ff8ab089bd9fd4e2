/* Counters of busy containers: changed in memory by each job, written once per batch.
 *
 * A job that fails takes its changes back through the undo list; a batch that fails empties the
 * table, because then the rows on disk are right again. */
#include "store/resource_priv.h"

/* A table that has grown beyond this starts over after the batch. */
#define KEEP_COUNTERS 4096

/* Room for one more element of an array; false without memory. */
static bool room(void *slot, size_t *cap, size_t n, size_t bytes)
{
    void *array;
    memcpy(&array, slot, sizeof array);
    if (n < *cap) {
        return true;
    }
    size_t larger = *cap ? *cap * 2 : 64;
    array = bst_realloc(array, larger * bytes);
    if (!array) {
        return false;
    }
    memcpy(slot, &array, sizeof array);
    *cap = larger;
    return true;
}

static struct counter *slot_of(struct counter *table, size_t cap, int64_t id)
{
    size_t i = ((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (cap - 1);
    while (table[i].id && table[i].id != id) {
        i = (i + 1) & (cap - 1);
    }
    return &table[i];
}

/* The entry, or NULL when there is none or it is marked absent. */
static struct counter *find(const struct resource_state *state, int64_t id)
{
    if (!state->counters_used) {
        return NULL;
    }
    struct counter *c = slot_of(state->counters, state->counters_cap, id);
    return c->id && c->present ? c : NULL;
}

static bool grow(struct resource_state *state)
{
    size_t cap = state->counters_cap ? state->counters_cap * 2 : 256;
    struct counter *table = bst_alloc(cap * sizeof *table);
    if (!table) {
        return false;
    }
    for (size_t i = 0; i < state->counters_cap; i++) {
        if (state->counters[i].id) {
            *slot_of(table, cap, state->counters[i].id) = state->counters[i];
        }
    }
    bst_free(state->counters);
    state->counters = table;
    state->counters_cap = cap;
    return true;
}

/* Set or (NULL) forget an entry, keeping its state before this job for the undo. */
static bst_result change(struct resource_state *state, int64_t id, const struct bst_counters *value,
                         bool dirty)
{
    bool space = room(&state->undo, &state->undo_cap, state->n_undo, sizeof *state->undo) &&
                 room(&state->dirty, &state->dirty_cap, state->n_dirty, sizeof *state->dirty) &&
                 (state->counters_used * 2 < state->counters_cap || grow(state));
    BST_ENSURE(space, BST_E_NOMEM);
    struct counter *c = slot_of(state->counters, state->counters_cap, id);
    if (!c->id) {
        *c = (struct counter){.id = id};
        state->counters_used++;
    }
    if (c->job != state->job) {
        state->undo[state->n_undo++] = *c;
        c->job = state->job;
    }
    if (dirty && !c->dirty) {
        state->dirty[state->n_dirty++] = id;
    }
    c->present = value;
    c->dirty = dirty;
    c->value = value ? *value : (struct bst_counters){0};
    return BST_OK;
}

void counters_job_end(struct resource_state *state, bool kept)
{
    /* What was dirty before the job is still in the list: only the flush takes anything out. */
    while (!kept && state->n_undo) {
        struct counter old = state->undo[--state->n_undo];
        *slot_of(state->counters, state->counters_cap, old.id) = old;
    }
    state->n_undo = 0;
    state->job++;
}

void counters_batch_end(struct resource_state *state, bool committed)
{
    state->n_dirty = state->n_undo = 0;
    state->job++;
    if (state->counters_used && (!committed || state->counters_used > KEEP_COUNTERS)) {
        memset(state->counters, 0, state->counters_cap * sizeof *state->counters);
        state->counters_used = 0;
    }
}

void counters_clear(struct resource_state *state)
{
    bst_free(state->counters);
    bst_free(state->dirty);
    bst_free(state->undo);
}

static bst_result write_one(struct bst_store_conn *writer, const struct counter *c)
{
    static const struct bst_sql sql = {"UPDATE resource SET cni=?2,cbs=?3,st=?4,lt=?5 WHERE id=?1"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, c->id);
    bst_sql_bind_i64(q, 2, c->value.cni);
    bst_sql_bind_i64(q, 3, c->value.cbs);
    bst_sql_bind_i64(q, 4, c->value.st);
    bst_sql_bind_i64(q, 5, c->value.lt);
    return bst_sql_exec(&q);
}

bst_result counters_flush(struct bst_store_conn *writer, struct resource_state *state)
{
    for (size_t i = 0; i < state->n_dirty; i++) {
        struct counter *c = find(state, state->dirty[i]);
        if (c && c->dirty) {
            BST_TRY(write_one(writer, c));
            c->dirty = false;
        }
    }
    state->n_dirty = 0;
    return BST_OK;
}

void counters_overlay(struct bst_store_conn *conn, struct bst_row *row)
{
    const struct counter *c = find(bst_store_state(conn), row->id);
    if (c && c->dirty) {
        row->cni = c->value.cni;
        row->cbs = c->value.cbs;
        row->st = c->value.st;
        row->lt = c->value.lt;
    }
}

bst_result counters_written(struct bst_store_conn *writer, int64_t id,
                            const struct bst_counters *value)
{
    struct resource_state *state = bst_store_state(writer);
    return find(state, id) ? change(state, id, value, false) : BST_OK;
}

static bst_result load(struct bst_store_conn *writer, int64_t id, struct bst_counters *ret)
{
    static const struct bst_sql sql = {"SELECT cni,cbs,st,lt FROM resource WHERE id=? AND pi>=0"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(writer, &sql, &q));
    bst_sql_bind_i64(q, 1, id);
    BST_TRY(bst_sql_step(q, &found));
    BST_ENSURE(found, BST_E_NOT_FOUND);
    *ret = (struct bst_counters){bst_sql_i64(q, 0), bst_sql_i64(q, 1), bst_sql_i64(q, 2),
                                 bst_sql_i64(q, 3)};
    return change(bst_store_state(writer), id, ret, false);
}

bst_result bst_counters_get(struct bst_store_conn *writer, int64_t id, struct bst_counters *ret)
{
    BST_ENSURE(bst_store_is_writer(writer), BST_E_USAGE);
    const struct counter *c = find(bst_store_state(writer), id);
    if (!c) {
        return load(writer, id, ret);
    }
    *ret = c->value;
    return BST_OK;
}

bst_result bst_counters_set(struct bst_store_conn *writer, int64_t id,
                            const struct bst_counters *value)
{
    struct bst_counters before;
    BST_TRY(bst_counters_get(writer, id, &before));
    BST_TRY(bst_store_conn_writable(writer));
    return change(bst_store_state(writer), id, value, true);
}
