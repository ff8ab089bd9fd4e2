/* Expiry (TS-0001 9.6.1.3.2): what has expired goes like after a DELETE, events and counters
 * included. */
#include "cse/type_se.h"

#include "obs/log.h"
#include "sys/clock.h"

#define SLICE 64

struct sweep {
    struct bst_store_job job;
    struct bst_cse_worker *worker;
    void (*done)(void *ctx, unsigned removed);
    void *ctx;
    unsigned removed;
    bool more;
    struct bst_arena arena;
    struct bst_cse_call call;
    struct bst_cse_op op;
};

static bst_result collect(struct bst_cse_op *op, int64_t ids[SLICE], size_t *ret_n)
{
    struct bst_cursor cursor;
    struct bst_row row = {0};
    size_t n = 0;
    BST_TRY(bst_expired_open(op->conn, op->now_us, SLICE, &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    while (!bst_failed(r) && row.id && n < SLICE) {
        ids[n++] = row.id;
        r = bst_cursor_next(&cursor, &row);
    }
    bst_cursor_clear(&cursor);
    *ret_n = n;
    return r;
}

static bst_result remove_one(struct bst_cse_op *op, int64_t id, unsigned *removed)
{
    struct bst_cse_res *res, *parent;
    bool attached;
    /* It may have gone together with its parent a moment ago. */
    BST_TRY(bst_resource_attached(op->conn, id, &attached));
    if (!attached) {
        return BST_OK;
    }
    BST_TRY(bst_cse_res_by_id(op, id, &res));
    if (!res || res->row.ty == BST_TY_CB) {
        return BST_OK;
    }
    BST_TRY(bst_cse_parent(op, res, &parent));
    BST_TRY(bst_cse_remove(op, res));
    (*removed)++;
    return BST_OK;
}

static bst_result run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct sweep *sweep = bst_container_of(job, struct sweep, job);
    struct bst_cse_op *op = &sweep->op;
    const struct bst_cse_events *events = op->cse->config.events;
    int64_t ids[SLICE];
    size_t n;
    op->conn = conn;
    op->cache = &op->cse->writer_cache;
    BST_TRY(collect(op, ids, &n));
    for (size_t i = 0; i < n; i++) {
        BST_TRY(remove_one(op, ids[i], &sweep->removed));
    }
    sweep->more = n == SLICE;
    if (op->policies_changed) {
        bst_cse_policies_moved(op->cse);
    }
    return events && events->in_transaction && op->events
               ? events->in_transaction(events->ctx, op, op->events)
               : BST_OK;
}

static void done(struct bst_store_job *job, bst_result result)
{
    struct sweep *sweep = bst_container_of(job, struct sweep, job);
    struct bst_cse_op *op = &sweep->op;
    const struct bst_cse_events *events = op->cse->config.events;
    struct bst_cse_worker *worker = sweep->worker;
    bool more = sweep->more && !bst_failed(result);
    void (*tell)(void *ctx, unsigned removed) = sweep->done;
    void *ctx = sweep->ctx;
    unsigned removed = bst_failed(result) ? 0 : sweep->removed;
    bst_secure_settle_unasked(op, result);
    if (bst_failed(result)) {
        bst_log(BST_LOG_WARN, "cse.sweep_failed", "expired resources stay for now: %s",
                bst_error_detail());
    } else if (events && events->committed && op->events) {
        events->committed(events->ctx, op, op->events);
    }
    bst_cse_bindings_durable(op, result);
    if (op->policies_changed) {
        bst_cse_policies_moved(op->cse);
    }
    bst_secure_clear(op);
    bst_arena_clear(&sweep->arena);
    bst_free(sweep);
    if (more) {
        bst_cse_sweep(worker, tell, ctx);
    } else if (tell) {
        tell(ctx, removed);
    }
}

void bst_cse_sweep(struct bst_cse_worker *worker, void (*tell)(void *ctx, unsigned removed),
                   void *ctx)
{
    struct sweep *sweep = bst_alloc(sizeof *sweep);
    if (!sweep) {
        if (tell) {
            tell(ctx, 0);
        }
        return;
    }
    bst_arena_init(&sweep->arena, 0);
    sweep->worker = worker;
    sweep->done = tell;
    sweep->ctx = ctx;
    sweep->call = (struct bst_cse_call){.arena = &sweep->arena, .own = true};
    bst_cse_op_init(&sweep->op, worker->cse, &sweep->call);
    sweep->op.worker = worker;
    sweep->op.writing = true;
    sweep->job = (struct bst_store_job){.loop = worker->loop, .run = run, .done = done};
    bst_store_submit(worker->cse->config.store, &sweep->job);
}
