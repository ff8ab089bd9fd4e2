/* Requests on their way through the MEF: taken apart on the session's loop, done in a job of the
 * store, answered when durable. TS-0003 V3.18, 8.3.5.2. */
#include "mef/mef_priv.h"

#include "base/map.h"
#include "obs/log.h"

#include <stdio.h>

#define DEFAULT_LIFE_US (INT64_C(5) * 365 * 86400 * BST_US_PER_S)

bst_result mef_answer(struct bst_mef_call *call, int rsc, struct bst_buf *content)
{
    call->rsp.rsc = rsc;
    if (content) {
        BST_TRY(bst_buf_check(content));
        call->rsp.pc = bst_arena_view(call->arena, bst_buf_view(content));
        BST_ENSURE(call->rsp.pc.ptr, BST_E_NOMEM);
    }
    return BST_OK;
}

/* ---- operations ---- */

static bst_result base_retrieve(struct bst_mef_call *call)
{
    bst_auto(buf) content = {0};
    bst_mmef_begin(&content, BST_SEC_ROOT_MEF_BASE);
    bst_mmef_add_text(&content, BST_SEC_SN_RESOURCE_ID, BST_VIEW(BST_SEC_BASE_MEF));
    bst_mmef_add_text(&content, BST_SEC_SN_RESOURCE_NAME, BST_VIEW(BST_SEC_BASE_MEF));
    bst_mmef_add_number(&content, BST_SEC_SN_RESOURCE_TYPE, BST_SEC_TY_MEF_BASE);
    bst_mmef_add_text(&content, BST_SEC_SN_FQDN, call->mef->config.fqdn);
    char types[32];
    snprintf(types, sizeof types, "[%d,%d]", BST_SEC_TY_MEF_CLIENT_REG, BST_SEC_TY_SYMM_KEY_REG);
    bst_mmef_add_raw(&content, BST_SEC_SN_SUPPORTED_TYPES, bst_view(types));
    bst_mmef_end(&content);
    return mef_answer(call, BST_RSC_OK, &content);
}

typedef bst_result (*operation)(struct bst_store_conn *conn, struct bst_mef_call *call,
                                const struct mef_client *client);

static operation operation_of(const struct bst_mef_call *call)
{
    bool key = call->work->target == MEF_KEY || call->work->target == MEF_FETCH;
    switch (call->req.op) {
    case BST_OP_CREATE:
        return call->work->ty == BST_SEC_TY_SYMM_KEY_REG ? mef_key_create : mef_reg_create;
    case BST_OP_RETRIEVE:
        return key ? mef_key_retrieve : mef_reg_retrieve;
    case BST_OP_UPDATE:
        return key ? mef_key_update : mef_reg_update;
    default:
        return key ? mef_key_delete : mef_reg_delete;
    }
}

/* The client of the session, as it stands now; and nobody speaks for another. */
static bst_result authenticate(struct bst_store_conn *conn, struct bst_mef_call *call,
                               struct mef_client *client)
{
    bool found;
    BST_TRY(mef_db_client(conn, bst_view(call->session->cred_id), client, &found));
    if (!found || client->revoked) {
        BST_FAIL(found ? BST_E_REVOKED : BST_E_NOT_AUTHENTICATED, "credential %s is %s",
                 call->session->cred_id, found ? "revoked" : "not known here");
    }
    if (strcmp(client->id, call->work->from) != 0) {
        BST_FAIL(BST_E_DENIED, "From is %s, the session belongs to %s", call->work->from,
                 client->id);
    }
    return BST_OK;
}

static bst_result run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct bst_mef_call *call = bst_container_of(job, struct bst_mef_call, job);
    struct mef_client client;
    BST_TRY(authenticate(conn, call, &client));
    if (call->work->target == MEF_BASE && call->req.op == BST_OP_RETRIEVE) {
        return base_retrieve(call);
    }
    return operation_of(call)(conn, call, &client);
}

/* ---- the end ---- */

static const char *op_name(enum bst_m2m_op op)
{
    static const char *const names[] = {"?", "CREATE", "RETRIEVE", "UPDATE", "DELETE", "NOTIFY"};
    return op >= BST_OP_CREATE && op <= BST_OP_NOTIFY ? names[op] : names[0];
}

static void audit(const struct bst_mef_call *call, bst_result result)
{
    bool failed = bst_failed(result);
    struct bst_audit_event event = {
        .event = failed ? "mef.refused" : "mef.done",
        .subject = call->req.fr,
        .credential = bst_view(call->session->cred_id),
        .peer = call->session->peer,
        .op = bst_view(op_name(call->req.op)),
        .target = call->req.to,
        .decision = failed ? BST_VIEW("denied") : BST_VIEW("allowed"),
        .clause = BST_VIEW("TS-0003 8.3.5.2"),
        .detail = failed ? bst_view(bst_error_detail()) : (struct bst_view){NULL, 0},
        .rsc = failed ? bst_error_rsc(result.code) : call->rsp.rsc,
    };
    if (bst_failed(bst_audit_write(call->mef->config.audit, &event))) {
        bst_log(BST_LOG_ERROR, "mef.audit_failed", "the audit trail does not take records");
    }
}

/* The older retrieval has an error body of its own. */
static void fetch_failed(struct bst_mef_call *call)
{
    bst_auto(buf) content = {0};
    bst_buf_adds(&content, "{\"" BST_SEC_FETCH_STATUS "\":false,\"" BST_SEC_FETCH_ERROR "\":");
    bst_buf_add_json(&content, call->rsp.debug);
    bst_buf_addc(&content, '}');
    call->rsp.pc = bst_buf_check(&content).code == BST_E_NONE
                       ? bst_arena_view(call->arena, bst_buf_view(&content))
                       : call->rsp.pc;
}

static void answer_failure(struct bst_mef_call *call, bst_result result)
{
    audit(call, result);
    bst_mef_call_wipe(call);
    call->rsp.content_location = (struct bst_view){NULL, 0};
    bst_m2m_response_fail(&call->rsp, result, call->arena);
    if (call->work && call->work->target == MEF_FETCH) {
        fetch_failed(call);
    }
}

static void finish(struct bst_mef_call *call)
{
    struct mef_work *work = call->work;
    call->session->users--;
    if (work) {
        bst_secret_clear(&work->value);
        /* A refused key went again: the session may offer it once more. */
        bool refused = work->exported && !bst_m2m_rsc_is_success(call->rsp.rsc);
        call->session->exported = call->session->exported && !refused;
    }
    call->done(call);
}

static void finish_task(struct bst_task *task)
{
    finish(bst_container_of(task, struct bst_mef_call, task));
}

/* From a thread of the store or of the environment. */
static void go_home(struct bst_mef_call *call)
{
    if (call->loop) {
        call->task.run = finish_task;
        bst_loop_post(call->loop, &call->task);
    } else {
        finish(call);
    }
}

/* ---- what the environment does for a request ---- */

/* On a worker thread of a slow environment; `then` is called there, too. */
static bst_result go_inside(struct bst_mef_call *call,
                            bst_result (*step)(struct bst_se *se, struct bst_se_call *inside),
                            void (*then)(struct bst_se_call *inside))
{
    call->work->inside = (struct bst_se_call){.run = step, .done = then};
    return bst_se_submit(call->mef->config.se, &call->work->inside);
}

static struct bst_mef_call *call_of(struct bst_se_call *inside)
{
    return bst_container_of(inside, struct mef_work, inside)->call;
}

static void drop_key(struct bst_mef *mef, const char *relative_id)
{
    if (bst_failed(mef_key_drop(mef, relative_id))) {
        /* It is unreachable without its record; the next start removes it. */
        bst_log(BST_LOG_WARN, "mef.key_left", "key %s could not be removed: %s", relative_id,
                bst_error_detail());
    }
}

static void tell(struct bst_mef_call *call, bst_result result)
{
    if (bst_failed(result)) {
        answer_failure(call, result);
    } else {
        audit(call, result);
    }
}

/* After the transaction: the key for its target; keys follow their records. */
static void follow_up(struct bst_mef_call *call)
{
    const struct mef_work *work = call->work;
    if (work->wanted) {
        tell(call, mef_key_release(call));
    }
    for (const struct mef_gone *gone = work->gone; gone; gone = gone->next) {
        drop_key(call->mef, gone->relative_id);
    }
}

static bst_result run_follow_up(struct bst_se *se, struct bst_se_call *inside)
{
    follow_up(call_of(inside));
    return BST_OK;
}

static void follow_up_done(struct bst_se_call *inside)
{
    go_home(call_of(inside));
}

/* On a thread of the store, when the transaction is durable or taken back. */
static void done(struct bst_store_job *job, bst_result result)
{
    struct bst_mef_call *call = bst_container_of(job, struct bst_mef_call, job);
    struct mef_work *work = call->work;
    if (bst_failed(result)) {
        work->wanted = NULL;
        work->gone = work->made ? &work->own : NULL;
    }
    if (!work->wanted) {
        tell(call, result);
    }
    if ((work->wanted || work->gone) && bst_se_slow(call->mef->config.se) &&
        !bst_failed(go_inside(call, run_follow_up, follow_up_done))) {
        return;
    }
    /* A crowded environment keeps this thread waiting, which is no loop. */
    follow_up(call);
    go_home(call);
}

/* ---- the beginning ---- */

static void to_store(struct bst_mef_call *call)
{
    call->job.run = run;
    call->job.done = done;
    if (call->req.op == BST_OP_RETRIEVE) {
        bst_store_bulk(call->mef->config.store, &call->job);
    } else {
        bst_store_submit(call->mef->config.store, &call->job);
    }
}

static bst_result run_making(struct bst_se *se, struct bst_se_call *inside)
{
    return mef_key_make(call_of(inside));
}

static void making_done(struct bst_se_call *inside)
{
    struct bst_mef_call *call = call_of(inside);
    if (bst_failed(inside->outcome)) {
        answer_failure(call, inside->outcome);
        go_home(call);
    } else {
        to_store(call);
    }
}

/* *ret_inside: the request goes on when its key is made. */
static bst_result begin(struct bst_mef *mef, struct bst_mef_call *call, bool *ret_inside)
{
    struct mef_work *work = bst_arena_alloc(call->arena, sizeof *work);
    BST_ENSURE(work, BST_E_NOMEM);
    call->work = work;
    work->call = call;
    work->now_us = bst_wall_us();
    if (!call->session->cred_id[0]) {
        BST_FAIL(BST_E_ASSOCIATION_REQUIRED, "the session has no authenticated client");
    }
    BST_TRY(mef_parse(mef, call, work));
    if (call->req.op != BST_OP_CREATE || work->ty != BST_SEC_TY_SYMM_KEY_REG) {
        return BST_OK;
    }
    BST_TRY(mef_key_take(call));
    *ret_inside = bst_se_slow(mef->config.se);
    return *ret_inside ? go_inside(call, run_making, making_done) : mef_key_make(call);
}

void bst_mef_handle(struct bst_mef *mef, struct bst_mef_call *call)
{
    bool inside = false;
    call->mef = mef;
    call->session->users++;
    call->rsp.rqi = call->req.rqi;
    call->rsp.rvi = call->req.rvi;
    bst_result r = begin(mef, call, &inside);
    if (bst_failed(r)) {
        answer_failure(call, r);
        finish(call);
    } else if (!inside) {
        to_store(call);
    }
}

void bst_mef_call_wipe(struct bst_mef_call *call)
{
    if (call->rsp.pc.len) {
        bst_wipe((void *)(uintptr_t)call->rsp.pc.ptr, call->rsp.pc.len);
        call->rsp.pc = (struct bst_view){NULL, 0};
    }
}

/* ---- life ---- */

static bst_result copy_config(struct bst_mef *mef, const struct bst_mef_config *from)
{
    mef->config = *from;
    struct bst_view *const texts[] = {&mef->config.fqdn, &mef->config.self.sp_domain,
                                      &mef->config.self.cse};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = bst_arena_view(&mef->texts, *texts[i]);
        BST_ENSURE(texts[i]->ptr, BST_E_NOMEM);
    }
    mef->config.max_life_us = from->max_life_us > 0 ? from->max_life_us : DEFAULT_LIFE_US;
    return BST_OK;
}

bst_result bst_mef_new(const struct bst_mef_config *config, struct bst_mef **ret)
{
    if (!bst_fqdn_valid(config->fqdn) || !bst_fqdn_valid(config->self.sp_domain)) {
        BST_FAIL(BST_E_CONFIG, "the MEF needs an FQDN and a service provider domain");
    }
    struct bst_mef *mef = bst_alloc(sizeof *mef);
    BST_ENSURE(mef, BST_E_NOMEM);
    bst_arena_init(&mef->texts, 0);
    bst_result r = copy_config(mef, config);
    r = bst_failed(r) ? r : mef_reconcile(mef);
    if (bst_failed(r)) {
        bst_mef_free(&mef);
        return r;
    }
    *ret = mef;
    return BST_OK;
}

void bst_mef_free(struct bst_mef **mef)
{
    if (*mef) {
        bst_arena_clear(&(*mef)->texts);
        bst_free(*mef);
        *mef = NULL;
    }
}
