/* A non-blocking request goes on without its connection: the request is kept in memory of its own,
 * a <request> shows how it stands, and the result is put there when it is known. */
#include "cse/nonblocking.h"

#include "cse/notify.h"
#include "cse/type_se.h"
#include "obs/log.h"

enum { STATUS_COMPLETED = 1, STATUS_FAILED = 2, STATUS_PENDING = 3 };

/* How long a result stays that nobody said anything about (Result Persistence). */
#define PERSISTENCE_US (INT64_C(600) * BST_US_PER_S)
/* And at most: it costs no privilege to leave one. */
#define PERSISTENCE_MAX_US (INT64_C(86400) * BST_US_PER_S)
/* Requests that go on without a connection, on one loop. */
#define LATER_MAX 1000

struct later {
    struct bst_cse_worker *worker;
    struct bst_arena arena;
    struct bst_cse_op *asked; /* waits for the address; NULL once answered */
    struct bst_cse_call keep; /* CREATE and UPDATE of the <request> */
    struct bst_cse_call call; /* the request itself */
    struct bst_originator who;
    struct bst_view rqi;
    struct bst_view ri; /* of the <request> */
};

static void later_free(struct later *l)
{
    l->worker->later--;
    bst_arena_clear(&l->arena);
    bst_free(l);
}

bool bst_cse_wants_later(const struct bst_cse_op *op)
{
    int rt = op->req->rt;
    /* flexBlocking leaves the choice to the CSE: it blocks. Registrations are always blocking. */
    return !op->call->own && !op->call->fanned_out && !bst_cse_is_registration(op) &&
           (rt == BST_RT_NON_BLOCKING_SYNCH || rt == BST_RT_NON_BLOCKING_ASYNCH ||
            rt == BST_RT_NO_RESPONSE);
}

/* -- the <request> (TS-0004 7.3.2.2) */

static void own_request(struct later *l, enum bst_m2m_op op, struct bst_view to)
{
    struct bst_m2m_request *req = &l->keep.req;
    l->keep = (struct bst_cse_call){.arena = &l->arena, .own = true};
    bst_m2m_request_init(req);
    req->op = op;
    req->to = to;
    req->rqi = l->rqi;
    req->rvi = BST_VIEW("3");
    req->release = BST_RELEASE_3;
}

/* Parameters that have attributes of their own; the others are metaInformation. */
static bool is_meta(struct bst_view name)
{
    static const char *const own[] = {"op", "to", "fr", "rqi", "pc"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (bst_view_is(name, own[i])) {
            return false;
        }
    }
    return true;
}

static bst_result add_meta(yyjson_val *primitive, struct bst_buf *out)
{
    size_t i, max;
    yyjson_val *key, *value;
    bool first = true;
    bst_buf_adds(out, ",\"mi\":{");
    yyjson_obj_foreach(primitive, i, max, key, value)
    {
        if (is_meta(bst_json_view(key))) {
            bst_buf_adds(out, first ? "" : ",");
            bst_buf_add_json(out, bst_json_view(key));
            bst_buf_addc(out, ':');
            BST_TRY(bst_json_write(value, out));
            first = false;
        }
    }
    bst_buf_addc(out, '}');
    return BST_OK;
}

static bst_result request_content(struct later *l, yyjson_val *primitive, struct bst_buf *out)
{
    const struct bst_m2m_request *req = &l->call.req;
    char et[BST_M2M_TIME_LEN + 1];
    int64_t now_us = bst_wall_us(), until_us = now_us + PERSISTENCE_US;
    if (req->rp.text.ptr) {
        until_us =
            req->rp.us < now_us + PERSISTENCE_MAX_US ? req->rp.us : now_us + PERSISTENCE_MAX_US;
    }
    bst_m2m_time_format(until_us, et);
    bst_buf_addf(out, "{\"m2m:req\":{\"et\":\"%s\",\"op\":%d,\"tg\":", et, (int)req->op);
    bst_buf_add_json(out, req->to);
    bst_buf_adds(out, ",\"org\":");
    bst_buf_add_json(out, bst_entity_sp_relative(&l->who.id));
    bst_buf_adds(out, ",\"rid\":");
    bst_buf_add_json(out, req->rqi);
    BST_TRY(add_meta(primitive, out));
    yyjson_val *pc = bst_json_get(primitive, "pc");
    if (pc) {
        bst_buf_adds(out, ",\"pc\":");
        BST_TRY(bst_json_write(pc, out));
    }
    bst_buf_addf(out, ",\"rs\":%d,\"ors\":{\"rsc\":%d,\"rqi\":", STATUS_PENDING, BST_RSC_ACCEPTED);
    bst_buf_add_json(out, req->rqi);
    bst_buf_adds(out, "}}}");
    return bst_buf_check(out);
}

/* -- the result */

static bst_result result_text(struct later *l, struct bst_buf *out)
{
    struct bst_m2m_response rsp = l->call.rsp;
    struct bst_buf content = {0};
    rsp.rqi = l->call.req.rqi;
    rsp.fr = l->worker->cse->csi;
    rsp.to = l->call.req.fr;
    bst_result r = BST_OK;
    if (rsp.pc.len || rsp.rsc >= 4000) {
        r = bst_m2m_response_content(&rsp, &content);
        rsp.pc = bst_buf_view(&content);
    }
    if (!bst_failed(r)) {
        r = bst_m2m_response_to_json(&rsp, out);
    }
    bst_buf_clear(&content);
    return r;
}

/* [7.5.1.2.5] notification targets of the request, else the originator. */
static void tell(struct later *l, struct bst_view result)
{
    const struct bst_cse_events *events = l->worker->cse->config.events;
    const struct bst_m2m_views *targets = &l->call.req.rtu;
    bst_auto(buf) pc = {0};
    if (l->call.req.rt != BST_RT_NON_BLOCKING_ASYNCH || !events || !events->ctx) {
        return;
    }
    bst_buf_addf(&pc, "{\"m2m:rsp\":%.*s}", (int)result.len, result.ptr);
    struct bst_view originator = bst_entity_sp_relative(&l->who.id);
    for (size_t i = 0; i < (targets->n ? targets->n : 1); i++) {
        struct bst_notify_letter letter = {.target = targets->n ? targets->v[i] : originator,
                                           .fr = l->worker->cse->csi,
                                           .pc = bst_buf_view(&pc)};
        if (bst_failed(bst_buf_check(&pc)) || bst_failed(bst_notifier_post(events->ctx, &letter))) {
            bst_log(BST_LOG_WARN, "request.result_untold", "result of %.*s: %s",
                    BST_VIEW_ARGS(l->call.req.rqi), bst_error_detail());
        }
    }
}

static void result_kept(struct bst_cse_call *keep)
{
    struct later *l = bst_container_of(keep, struct later, keep);
    if (keep->rsp.rsc >= 4000) {
        bst_log(BST_LOG_INFO, "request.gone", "the <request> of %.*s is gone: %.*s",
                BST_VIEW_ARGS(l->call.req.rqi), BST_VIEW_ARGS(keep->rsp.debug));
    }
    later_free(l);
}

static bst_result keep_result(struct later *l, struct bst_view result)
{
    bst_auto(buf) text = {0};
    int status = l->call.rsp.rsc >= 4000 ? STATUS_FAILED : STATUS_COMPLETED;
    bst_buf_addf(&text, "{\"m2m:req\":{\"rs\":%d,\"ors\":%.*s}}", status, (int)result.len,
                 result.ptr);
    BST_TRY(bst_buf_check(&text));
    own_request(l, BST_OP_UPDATE, l->ri);
    return bst_json_parse(&l->arena, bst_buf_view(&text), 2 * BST_JSON_DEPTH, &l->keep.req.pc);
}

static void done(struct bst_cse_call *call)
{
    struct later *l = bst_container_of(call, struct later, call);
    bst_auto(buf) text = {0};
    if (!l->ri.len) {
        later_free(l); /* no response is wanted, nothing is kept */
        return;
    }
    bst_result r = result_text(l, &text);
    if (!bst_failed(r)) {
        tell(l, bst_buf_view(&text));
        r = keep_result(l, bst_buf_view(&text));
    }
    if (bst_failed(r)) {
        bst_log(BST_LOG_ERROR, "request.result_lost", "result of %.*s: %s",
                BST_VIEW_ARGS(l->call.req.rqi), bst_error_detail());
        later_free(l);
        return;
    }
    l->keep.done = result_kept;
    bst_cse_handle(l->worker, &l->keep);
}

/* -- the beginning */

static bst_result take_ri(struct later *l)
{
    yyjson_val *pc;
    BST_TRY(bst_json_parse(&l->arena, l->keep.rsp.pc, 2 * BST_JSON_DEPTH, &pc));
    l->ri = bst_json_view(bst_json_get(bst_json_get(pc, "m2m:req"), "ri"));
    BST_ENSURE(l->ri.len, BST_E_INTERNAL);
    return BST_OK;
}

static void answer(struct later *l)
{
    struct bst_cse_op *op = l->asked;
    bool asynch = op->req->rt == BST_RT_NON_BLOCKING_ASYNCH;
    struct bst_m2m_response *rsp = &op->call->rsp;
    l->asked = NULL;
    rsp->rsc = asynch ? BST_RSC_ACCEPTED_NON_BLOCKING_ASYNCH : BST_RSC_ACCEPTED_NON_BLOCKING_SYNCH;
    rsp->content_location = bst_arena_view(op->arena, l->ri);
    bst_buf_adds(&op->out, "{\"m2m:uri\":");
    bst_buf_add_json(&op->out, l->ri);
    bst_buf_addc(&op->out, '}');
    bst_cse_finish(op, bst_buf_check(&op->out));
}

static void kept(struct bst_cse_call *keep)
{
    struct later *l = bst_container_of(keep, struct later, keep);
    if (keep->rsp.rsc >= 4000 || bst_failed(take_ri(l))) {
        bst_cse_finish(l->asked,
                       bst_error_detailed(BST_E_INTERNAL, "the request could not be kept"));
        later_free(l);
        return;
    }
    answer(l);
    bst_cse_handle(l->worker, &l->call);
}

/* A copy of the request that needs nothing of the original: through its own JSON form. */
static bst_result copy_request(struct later *l, const struct bst_m2m_request *req,
                               yyjson_val **ret_json)
{
    bst_auto(buf) text = {0};
    BST_TRY(bst_m2m_request_to_json(req, &text));
    BST_TRY(bst_json_parse(&l->arena, bst_buf_view(&text), 2 * BST_JSON_DEPTH, ret_json));
    return bst_m2m_request_from_json(&l->arena, *ret_json, bst_wall_us(), &l->call.req);
}

static bst_result prepare(struct later *l, struct bst_cse_op *op)
{
    bst_auto(buf) text = {0};
    yyjson_val *primitive;
    l->call = (struct bst_cse_call){.arena = &l->arena, .fanned_out = true, .done = done};
    BST_TRY(copy_request(l, op->req, &primitive));
    l->rqi = l->call.req.rqi;
    l->call.peer_ip = bst_arena_view(&l->arena, op->call->peer_ip);
    l->call.proved_as = &l->who;
    if (op->call->assoc) {
        l->call.cred_id = bst_arena_view(&l->arena, bst_view(op->call->assoc->cred_id));
    }
    BST_TRY(request_content(l, primitive, &text));
    own_request(l, BST_OP_CREATE, op->cse->base_ri);
    l->keep.req.ty = BST_TY_REQ;
    l->keep.done = kept;
    return bst_json_parse(&l->arena, bst_buf_view(&text), 2 * BST_JSON_DEPTH, &l->keep.req.pc);
}

bst_result bst_cse_do_later(struct bst_cse_op *op)
{
    if (bst_secure_has_input(op) || bst_secure_answers_once(op)) {
        BST_FAIL(BST_E_OPERATION, "sensitive data does not wait in a <request>: send this blocking "
                                  "(rt 3)");
    }
    if (op->worker->later >= LATER_MAX) {
        BST_FAIL(BST_E_BUSY, "too many non-blocking requests are under way: ask again, or block");
    }
    struct later *l = bst_alloc(sizeof *l);
    BST_ENSURE(l, BST_E_NOMEM);
    bst_arena_init(&l->arena, 0);
    l->worker = op->worker;
    l->worker->later++;
    l->who = op->who;
    l->asked = op;
    bst_result r = prepare(l, op);
    if (bst_failed(r)) {
        later_free(l);
        return r;
    }
    if (op->req->rt == BST_RT_NO_RESPONSE) {
        struct bst_cse_worker *worker = l->worker;
        op->call->rsp.rsc = BST_RSC_ACCEPTED;
        bst_cse_finish(op, BST_OK);
        bst_cse_handle(worker, &l->call);
        return BST_OK;
    }
    bst_cse_handle(l->worker, &l->keep);
    return BST_OK;
}
