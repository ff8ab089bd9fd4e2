/* From a call to its answer: which thread does what.
 *
 * A read runs on the worker's loop over one snapshot of its reader; when it takes too many steps it
 * is taken back and run again on a background thread. Everything else is a job of the writer. */
#include "cse/cse_priv.h"

#include "cse/fanout.h"
#include "cse/nonblocking.h"
#include "cse/notify.h"
#include "cse/type_se.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"

#include <stdio.h>

void bst_cse_op_init(struct bst_cse_op *op, struct bst_cse *cse, struct bst_cse_call *call)
{
    *op = (struct bst_cse_op){
        .cse = cse,
        .call = call,
        .req = &call->req,
        .arena = call->arena,
        .cache = &op->own_cache,
        .now_us = bst_wall_us(),
        .rcn = bst_m2m_request_rcn(&call->req),
    };
    call->op = op;
    if (call->peer_ip.len && bst_failed(bst_ip_parse(call->peer_ip, &op->ip))) {
        op->ip = (struct bst_ip){0};
    }
}

/* Names of policies are the originators': those of no policy are remembered too. */
#define CACHED_POLICIES 20000

/* Everything that a run leaves behind, so that it can be run again. */
static void use_cache(struct bst_cse_op *op, struct bst_cse_cache *cache)
{
    uint64_t generation = atomic_load(&op->cse->generation);
    op->cache = cache;
    if (cache->generation != generation || cache->policies.count > CACHED_POLICIES) {
        bst_cse_cache_clear(cache);
        cache->generation = generation;
    }
}

static void begin_run(struct bst_cse_op *op, struct bst_store_conn *conn,
                      struct bst_cse_cache *cache)
{
    op->conn = conn;
    use_cache(op, cache);
    op->now_us = bst_wall_us();
    op->target = (struct bst_cse_target){0};
    op->events = NULL;
    op->events_tail = NULL;
    op->notes = NULL;
    op->verify = NULL;
    op->granted = op->policies_changed = op->hand_over = op->later = op->early = false;
    op->registered = op->deregistered = (struct bst_view){0};
    op->lookup = BST_OK;
    bst_secure_begin(op);
    memset(op->memo, 0, sizeof op->memo);
    bst_buf_clear(&op->out);
    op->call->rsp = (struct bst_m2m_response){0};
    op->call->trace = (struct bst_cse_trace){.rule = -1};
}

/* ---- the answer ---- */

static void fill_success(struct bst_cse_op *op)
{
    struct bst_m2m_response *rsp = &op->call->rsp;
    if (!rsp->rsc) {
        rsp->rsc = bst_m2m_rsc_success((int)op->req->op);
    }
    if (op->out.len) {
        rsp->pc = bst_arena_view(op->arena, bst_buf_view(&op->out));
        if (!rsp->pc.ptr) {
            bst_m2m_response_fail(rsp, bst_error(BST_E_NOMEM), op->arena);
        }
    }
}

/* The whole sentence is for log and audit; peers get what their class allows. */
static void keep_reason(struct bst_cse_op *op, bst_result result)
{
    struct bst_cse_trace *trace = &op->call->trace;
    bool who = result.code == BST_E_NOT_AUTHENTICATED || result.code == BST_E_ASSOCIATION_REQUIRED;
    if (!trace->checked) {
        snprintf(trace->reason, sizeof trace->reason, "%s", bst_error_detail());
        snprintf(trace->clause, sizeof trace->clause, "%s",
                 who ? "TS-0004 7.3.2.1, TS-0003 7.2.1" : "");
    }
}

static void fill_failure(struct bst_cse_op *op, bst_result result)
{
    struct bst_m2m_response *rsp = &op->call->rsp;
    keep_reason(op, result);
    *rsp = (struct bst_m2m_response){0};
    bst_m2m_response_fail(rsp, result, op->arena);
    if (bst_error_rsc(result.code) == BST_RSC_INTERNAL_SERVER_ERROR) {
        bst_log(BST_LOG_WARN, "cse.request_failed", "%s %.*s from %.*s: %s: %s",
                bst_m2m_op_name(op->req->op), BST_VIEW_ARGS(op->req->to),
                BST_VIEW_ARGS(op->req->fr), bst_error_name(result.code), bst_error_detail());
    }
}

static void fill_common(struct bst_cse_op *op)
{
    struct bst_m2m_response *rsp = &op->call->rsp;
    rsp->rqi = op->req->rqi;
    rsp->rvi = op->req->rvi;
    rsp->vsi = op->req->vsi;
    char *now = bst_arena_alloc(op->arena, BST_M2M_TIME_LEN + 1);
    if (now) {
        bst_m2m_time_format(bst_wall_us(), now);
        rsp->ot = bst_view_of(now, BST_M2M_TIME_LEN);
    }
    if (!op->req->rvi.ptr) {
        rsp->rsc = bst_m2m_r1_rsc(rsp->rsc);
    }
}

void bst_cse_bindings_durable(const struct bst_cse_op *op, bst_result result)
{
    const struct bst_cse_config *config = &op->cse->config;
    bool changed = op->registered.len || op->deregistered.len;
    if (!bst_failed(result) && changed && config->bindings_durable) {
        config->bindings_durable(config->bind_ctx);
    }
}

static void settle_association(struct bst_cse_op *op)
{
    struct bst_association *assoc = op->call->assoc;
    struct bst_entity_id id;
    if (!assoc) {
        return;
    }
    if (op->registered.len && !bst_failed(bst_entity_parse(&op->cse->self, op->registered, &id)) &&
        bst_failed(bst_association_bind_ae(assoc, bst_entity_abs(&id)))) {
        bst_log(BST_LOG_ERROR, "cse.bind_failed", "AE %.*s must connect again: %s",
                BST_VIEW_ARGS(op->registered), bst_error_detail());
    }
    if (op->deregistered.len &&
        !bst_failed(bst_entity_parse(&op->cse->self, op->deregistered, &id))) {
        bst_association_unbind_ae(assoc, bst_entity_abs(&id));
    }
}

static void announce_events(struct bst_cse_op *op)
{
    const struct bst_cse_events *events = op->cse->config.events;
    if (events && events->committed && op->events) {
        events->committed(events->ctx, op, op->events);
    }
}

static void complete(struct bst_cse_op *op)
{
    struct bst_cse_call *call = op->call;
    fill_common(op);
    bst_metric_add(op->cse->requests[op->req->op], 1);
    bst_secure_clear(op);
    bst_buf_clear(&op->out);
    bst_cse_cache_clear(&op->own_cache);
    call->op = NULL;
    op->worker->in_work--;
    call->done(call);
}

void bst_cse_finish(struct bst_cse_op *op, bst_result result)
{
    if (bst_failed(result)) {
        fill_failure(op, result);
        if (!op->writing) {
            announce_events(op); /* what a read missed */
        }
    } else {
        fill_success(op);
        settle_association(op);
        announce_events(op);
    }
    complete(op);
}

/* ---- parts that others go on with ---- */

static void hand_over(struct bst_cse_op *op)
{
    op->hand_over = op->writing = false;
    op->conn = op->worker->reader;
    use_cache(op, &op->worker->cache);
    bst_result r = op->early                                 ? bst_cse_wait(op)
                   : op->later                               ? bst_cse_do_later(op)
                   : op->target.virt == BST_VIRT_FANOUT      ? bst_cse_fanout(op)
                   : op->target.virt == BST_VIRT_POLLING_URI ? bst_cse_polling_uri(op)
                                                             : bst_cse_notify_forward(op);
    if (bst_failed(r)) {
        bst_cse_finish(op, r);
    }
}

static void end_run(struct bst_cse_op *op, bst_result result)
{
    if (!bst_failed(result) && op->hand_over) {
        hand_over(op);
    } else {
        bst_cse_finish(op, result);
    }
}

/* ---- reads ---- */

static bst_result run_bulk(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct bst_cse_op *op = bst_container_of(job, struct bst_cse_op, job);
    begin_run(op, conn, &op->own_cache);
    BST_TRY(bst_store_read_begin(conn));
    bst_result r = bst_cse_steps(op);
    bst_store_read_end(conn);
    return r;
}

static void done_bulk(struct bst_store_job *job, bst_result result)
{
    end_run(bst_container_of(job, struct bst_cse_op, job), result);
}

static void go_on_in_background(struct bst_cse_op *op)
{
    op->job = (struct bst_store_job){.loop = op->worker->loop, .run = run_bulk, .done = done_bulk};
    bst_store_bulk(op->cse->config.store, &op->job);
}

static bst_result run_read(struct bst_cse_op *op)
{
    struct bst_cse_worker *worker = op->worker;
    begin_run(op, worker->reader, &worker->cache);
    bst_store_budget(worker->reader, op->cse->config.step_budget, op->cse->config.time_budget_us);
    BST_TRY(bst_store_read_begin(worker->reader));
    bst_result r = bst_cse_steps(op);
    bst_store_read_end(worker->reader);
    bst_store_budget(worker->reader, 0, 0);
    return r;
}

/* Only these can be long. */
static bool reads_many(const struct bst_cse_op *op)
{
    return bst_cse_is_discovery(op) ||
           (op->req->op == BST_OP_RETRIEVE && op->rcn != BST_RCN_ATTRIBUTES);
}

#define LONG_READER_US BST_US_PER_S

/* Who asked for a long read lately will do it again: each try here would cost the others on this
 * loop the whole budget. Two names in one place only send each other's reads to the background. */
static int64_t *long_reader(struct bst_cse_op *op)
{
    struct bst_cse_worker *worker = op->worker;
    return &worker->long_readers[bst_hash(op->req->fr) % BST_CSE_LONG_READERS];
}

static void read_now(struct bst_cse_op *op)
{
    int64_t now = bst_loop_now_us(op->worker->loop), *until = long_reader(op);
    if (reads_many(op) && *until > now) {
        go_on_in_background(op);
        return;
    }
    bst_result r = run_read(op);
    if (r.code == BST_E_LIMIT) {
        *until = now + LONG_READER_US;
        go_on_in_background(op);
    } else {
        end_run(op, r);
    }
}

/* ---- writes ---- */

static bst_result tell_in_transaction(struct bst_cse_op *op)
{
    const struct bst_cse_events *events = op->cse->config.events;
    if (events && events->in_transaction && op->events) {
        return events->in_transaction(events->ctx, op, op->events);
    }
    return BST_OK;
}

static bst_result run_write(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct bst_cse_op *op = bst_container_of(job, struct bst_cse_op, job);
    begin_run(op, conn, &op->cse->writer_cache);
    bst_result r = bst_cse_steps(op);
    if (!bst_failed(r)) {
        r = tell_in_transaction(op);
    }
    if (op->policies_changed) {
        bst_cse_policies_moved(op->cse); /* for the next job of this batch */
    }
    return r;
}

static void done_write(struct bst_store_job *job, bst_result result)
{
    struct bst_cse_op *op = bst_container_of(job, struct bst_cse_op, job);
    if (op->policies_changed) {
        bst_cse_policies_moved(op->cse); /* durable now: readers look again, before the answer */
    }
    bst_cse_bindings_durable(op, result);
    if (bst_failed(result) && op->verify) {
        bst_cse_notify_verify(op);
        return;
    }
    if (bst_failed(result) && bst_secure_waits(op)) {
        bst_secure_go(op);
        return;
    }
    bst_secure_settle(op, result, end_run);
}

void bst_cse_submit(struct bst_cse_op *op)
{
    op->job =
        (struct bst_store_job){.loop = op->worker->loop, .run = run_write, .done = done_write};
    op->writing = true;
    bst_store_submit(op->cse->config.store, &op->job);
}

/* ---- in ---- */

static struct bst_cse_op *op_new(struct bst_cse_worker *worker, struct bst_cse_call *call)
{
    struct bst_cse_op *op = bst_arena_alloc(call->arena, sizeof *op);
    if (!op) {
        bst_m2m_response_fail(&call->rsp, bst_error(BST_E_NOMEM), call->arena);
        call->rsp.rqi = call->req.rqi;
        call->done(call);
        return NULL;
    }
    bst_cse_op_init(op, worker->cse, call);
    op->worker = worker;
    worker->in_work++;
    return op;
}

bool bst_cse_worker_settle(struct bst_cse_worker *worker)
{
    bst_cse_waits_cancel(worker);
    return worker->in_work == 0;
}

void bst_cse_start(struct bst_cse_op *op)
{
    if (op->req->op == BST_OP_RETRIEVE || op->req->op == BST_OP_NOTIFY) {
        read_now(op);
    } else {
        bst_cse_submit(op);
    }
}

void bst_cse_handle(struct bst_cse_worker *worker, struct bst_cse_call *call)
{
    struct bst_cse_op *op = op_new(worker, call);
    if (!op) {
        return;
    }
    bst_secure_divert(op);
    bst_cse_prepare(op);
    bst_cse_start(op);
}
