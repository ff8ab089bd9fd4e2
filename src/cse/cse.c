/* The CSE as an object: configuration, first start, workers, expiry, explanations. */
#include "cse/type_se.h"

#include "obs/metrics.h"
#include "sys/clock.h"

#define YEAR_US (INT64_C(365) * 24 * 3600 * BST_US_PER_S)

static bst_result copy_text(struct bst_cse *cse, struct bst_view in, struct bst_view *ret)
{
    *ret = bst_arena_view(&cse->texts, in);
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result check_config(const struct bst_cse_config *config)
{
    if (!bst_m2m_is_fqdn(config->sp_id)) {
        BST_FAIL(BST_E_CONFIG, "SP-ID '%.*s' is not a domain name", BST_VIEW_ARGS(config->sp_id));
    }
    if (!bst_m2m_is_csi(config->cse_id)) {
        BST_FAIL(BST_E_CONFIG, "CSE-ID '%.*s' is not a slash and one word",
                 BST_VIEW_ARGS(config->cse_id));
    }
    if (!bst_m2m_is_resource_name(config->cse_name)) {
        BST_FAIL(BST_E_CONFIG, "CSE name '%.*s' is not a resource name",
                 BST_VIEW_ARGS(config->cse_name));
    }
    if (!config->admin.len || !config->ri_key) {
        BST_FAIL(BST_E_CONFIG, "the CSE needs an administrator and a key for its identifiers");
    }
    return BST_OK;
}

static bst_result copy_poa(struct bst_cse *cse, const struct bst_cse_config *config)
{
    struct bst_view *poa = bst_arena_alloc(&cse->texts, (config->n_poa + 1) * sizeof *poa);
    BST_ENSURE(poa, BST_E_NOMEM);
    for (size_t i = 0; i < config->n_poa; i++) {
        BST_TRY(copy_text(cse, config->poa[i], &poa[i]));
    }
    cse->config.poa = poa;
    return BST_OK;
}

static void fill_defaults(struct bst_cse_config *config)
{
    config->default_life_us = config->default_life_us ? config->default_life_us : 5 * YEAR_US;
    config->max_life_us = config->max_life_us ? config->max_life_us : 20 * YEAR_US;
    config->max_results = config->max_results ? config->max_results : 5000;
    config->step_budget = config->step_budget ? config->step_budget : 200000;
    config->time_budget_us = config->time_budget_us ? config->time_budget_us : 4000;
}

static bst_result copy_config(struct bst_cse *cse, const struct bst_cse_config *config)
{
    cse->config = *config;
    BST_TRY(copy_text(cse, config->sp_id, &cse->config.sp_id));
    BST_TRY(copy_text(cse, config->cse_id, &cse->config.cse_id));
    BST_TRY(copy_text(cse, config->cse_name, &cse->config.cse_name));
    BST_TRY(copy_text(cse, config->admin, &cse->config.admin));
    BST_TRY(copy_poa(cse, config));
    fill_defaults(&cse->config);
    cse->config.ri_key = NULL;
    cse->csi = cse->config.cse_id;
    cse->base_ri = bst_view_from(cse->csi, 1);
    cse->self = (struct bst_self){cse->config.sp_id, cse->base_ri};
    bst_ri_key_init(&cse->ri_key, config->ri_key);
    BST_TRY(bst_entity_self(&cse->self, &cse->own.id));
    cse->own.proved = true;
    bst_originator_init(&cse->own);
    return BST_OK;
}

static void make_metrics(struct bst_cse *cse)
{
    static const char *const labels[] = {
        [BST_OP_CREATE] = "op=\"create\"", [BST_OP_RETRIEVE] = "op=\"retrieve\"",
        [BST_OP_UPDATE] = "op=\"update\"", [BST_OP_DELETE] = "op=\"delete\"",
        [BST_OP_NOTIFY] = "op=\"notify\"",
    };
    for (int op = BST_OP_CREATE; op <= BST_OP_NOTIFY; op++) {
        cse->requests[op] = bst_metric_get(BST_METRIC_COUNTER, "bastide_cse_requests_total",
                                           "Requests answered by the service layer", labels[op]);
    }
    cse->denied = bst_metric_get(BST_METRIC_COUNTER, "bastide_cse_denied_total",
                                 "Requests that no policy permitted", NULL);
}

static bst_result start(struct bst_cse *cse, const struct bst_cse_config *config)
{
    struct bst_store_conn *reader = NULL;
    BST_TRY(check_config(config));
    BST_TRY(copy_config(cse, config));
    make_metrics(cse);
    BST_TRY(bst_cse_bootstrap(cse));
    BST_TRY(bst_secure_start(cse));
    BST_TRY(bst_store_reader(config->store, &reader));
    bst_result r = bst_cse_purge_resume(cse, reader);
    bst_store_reader_close(&reader);
    return r;
}

bst_result bst_cse_new(const struct bst_cse_config *config, struct bst_cse **ret)
{
    struct bst_cse *cse = bst_alloc(sizeof *cse);
    BST_ENSURE(cse, BST_E_NOMEM);
    bst_arena_init(&cse->texts, 0);
    pthread_mutex_init(&cse->seen.lock, NULL);
    atomic_init(&cse->generation, 1);
    atomic_init(&cse->closing, false);
    bst_result r = start(cse, config);
    if (bst_failed(r)) {
        char detail[256];
        (void)bst_view_copy(bst_view(bst_error_detail()), detail, sizeof detail).code;
        bst_cse_free(&cse);
        return bst_error_detailed(r.code, "%s", detail);
    }
    *ret = cse;
    return BST_OK;
}

static bst_result nothing(struct bst_store_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    return BST_OK;
}

void bst_cse_free(struct bst_cse **slot)
{
    struct bst_cse *cse = bst_steal(slot);
    if (!cse) {
        return;
    }
    atomic_store(&cse->closing, true);
    if (cse->config.store && bst_failed(bst_store_run(cse->config.store, nothing, NULL))) {
        bst_error_set_detail(""); /* a store that refuses writes runs no job of ours any more */
    }
    bst_cse_cache_clear(&cse->writer_cache);
    bst_cse_seen_clear(&cse->seen);
    pthread_mutex_destroy(&cse->seen.lock);
    bst_arena_clear(&cse->texts);
    bst_free(cse);
}

bst_result bst_cse_worker_new(struct bst_cse *cse, struct bst_loop *loop,
                              struct bst_cse_worker **ret)
{
    struct bst_cse_worker *worker = bst_alloc(sizeof *worker);
    BST_ENSURE(worker, BST_E_NOMEM);
    worker->cse = cse;
    worker->loop = loop;
    bst_list_init(&worker->waits);
    bst_result r = bst_store_reader(cse->config.store, &worker->reader);
    if (bst_failed(r)) {
        bst_free(worker);
        return r;
    }
    bst_store_share_views(worker->reader, loop);
    *ret = worker;
    return BST_OK;
}

void bst_cse_worker_free(struct bst_cse_worker **slot)
{
    struct bst_cse_worker *worker = bst_steal(slot);
    if (worker) {
        bst_cse_waits_cancel(worker);
        bst_store_reader_close(&worker->reader);
        bst_cse_cache_clear(&worker->cache);
        bst_free(worker);
    }
}

/* ---- explanations ---- */

static bst_result explain_target(struct bst_cse_op *op, const struct bst_cse_question *question)
{
    static const uint32_t bits[] = {
        [BST_OP_CREATE] = BST_ACOP_CREATE, [BST_OP_RETRIEVE] = BST_ACOP_RETRIEVE,
        [BST_OP_UPDATE] = BST_ACOP_UPDATE, [BST_OP_DELETE] = BST_ACOP_DELETE,
        [BST_OP_NOTIFY] = BST_ACOP_NOTIFY,
    };
    BST_TRY(bst_entity_parse(&op->cse->self, question->originator, &op->who.id));
    op->who.proved = question->proved;
    bst_originator_init(&op->who);
    BST_TRY(bst_cse_target_find(op, question->target, &op->target));
    if (!op->target.res || question->op < BST_OP_CREATE || question->op > BST_OP_NOTIFY) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no %.*s here", BST_VIEW_ARGS(question->target));
    }
    struct bst_cse_need need = {.acop = bits[question->op], .create_ty = question->child_ty};
    if (question->discovery) {
        need.acop = BST_ACOP_DISCOVERY;
    }
    bst_result r = bst_cse_demand(op, op->target.res, &need);
    return r.code == BST_E_DENIED ? BST_OK : r;
}

bst_result bst_cse_explain(struct bst_cse *cse, const struct bst_cse_question *question,
                           struct bst_cse_trace *ret)
{
    struct bst_arena arena;
    struct bst_cse_op op;
    bst_arena_init(&arena, 0);
    struct bst_cse_call call = {.arena = &arena, .explain = true, .peer_ip = question->peer_ip};
    bst_m2m_request_init(&call.req);
    call.req.op = question->op;
    call.req.to = question->target;
    call.req.fr = question->originator;
    bst_cse_op_init(&op, cse, &call);
    op.now_us = question->at_us ? question->at_us : op.now_us;
    bst_result r = bst_store_reader(cse->config.store, &op.conn);
    if (!bst_failed(r)) {
        r = explain_target(&op, question);
    }
    bst_store_reader_close(&op.conn);
    bst_cse_cache_clear(&op.own_cache);
    *ret = call.trace;
    bst_arena_clear(&arena);
    return r;
}
