/* Requests of the CSE's HTTP interfaces: from the message to the primitive, through the CSE, back.
 */
#include "app/server_priv.h"

#include "bind/http/http_binding.h"
#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>

/* A request on its way; in the exchange's arena. */
struct request {
    struct bst_cse_call call;
    struct bst_http_exchange *x;
    struct server_front *front;
    struct server_session *session;
};

void server_front_answer(struct bst_http_exchange *x, const struct bst_m2m_response *rsp,
                         enum bst_m2m_format accept)
{
    struct bst_http_msg msg = {0};
    bst_result r = bst_http_from_response(rsp, accept, x->arena, &msg);
    if (bst_failed(r)) {
        bst_log(BST_LOG_ERROR, "http.answer_failed",
                "an answer with status %d could not be written: %s", rsp->rsc, bst_error_detail());
        bst_http_exchange_answer(x, 500, NULL, 0, (struct bst_view){0});
        return;
    }
    bst_http_exchange_answer(x, msg.status, msg.headers, msg.n_headers, msg.body);
}

static unsigned answer_class(int rsc)
{
    switch (rsc / 1000) {
    case 1:
    case 2:
        return 0;
    case 4:
        return 1;
    case 5:
        return 2;
    default:
        return 3;
    }
}

static void count(struct bst_server *server, const struct request *r)
{
    unsigned op = (unsigned)r->call.req.op <= 5 ? (unsigned)r->call.req.op : 0;
    bst_metric_add(server->metrics.requests[op][answer_class(r->call.rsp.rsc)], 1);
    bst_metric_observe_us(server->metrics.latency[op], bst_mono_us() - r->x->start_us);
}

static bool is_denial(int rsc)
{
    switch (rsc) {
    case BST_RSC_ORIGINATOR_HAS_NO_PRIVILEGE:
    case 4101:
    case 4106:
    case 4107:
    case 4126:
    case 4128:
    case 5105:
    case 5205:
        return true;
    default:
        return false;
    }
}

/* Where a refusal comes from. */
static const char *refusal_clause(const struct request *r)
{
    if (r->call.trace.clause[0]) {
        return r->call.trace.clause;
    }
    switch (r->call.rsp.rsc) {
    case 4106:
    case 4107:
        return "TS-0003 7.2.1";
    case 4117:
        return "TS-0001 10.2.2.2";
    case 4126:
    case 4128:
        return "TS-0004 7.3.2.7";
    default:
        return "TS-0004 7.2.2.2";
    }
}

/* The access decision writes its own record, with the policy; these are refused before it. */
static void audit_refusal(const struct request *r, struct bst_view reason)
{
    const struct bst_cse_call *call = &r->call;
    if (call->trace.checked) {
        return;
    }
    const struct bst_association *assoc = call->assoc;
    struct bst_audit_event event = {
        .event = "request.refused",
        .subject = call->req.fr,
        .credential = assoc ? bst_view(assoc->cred_id) : (struct bst_view){0},
        .peer = r->x->peer->address,
        .op = bst_view(bst_m2m_op_name(call->req.op)),
        .target = call->req.to,
        .decision = BST_VIEW("denied"),
        .detail = reason,
        .clause = bst_view(refusal_clause(r)),
        .rsc = call->rsp.rsc,
    };
    if (bst_failed(bst_audit_write(r->front->worker->server->state->audit, &event))) {
        bst_log(BST_LOG_ERROR, "audit.write_failed", "a refusal was not recorded: %s",
                bst_error_detail());
    }
}

static void log_request(const struct request *r, struct bst_view reason)
{
    bool denied = is_denial(r->call.rsp.rsc);
    enum bst_log_level level = denied                        ? BST_LOG_INFO
                               : r->call.rsp.rsc / 1000 == 5 ? BST_LOG_WARN
                                                             : BST_LOG_DEBUG;
    if (!bst_log_enabled(level)) {
        return;
    }
    char rsc[16];
    snprintf(rsc, sizeof rsc, "%d", r->call.rsp.rsc);
    struct bst_log_field fields[] = {
        {"peer", r->x->peer->address},
        {"from", r->call.req.fr},
        {"to", r->call.req.to},
        {"rsc", bst_view(rsc)},
        {"reason", reason},
        {"clause", bst_view(refusal_clause(r))},
    };
    bst_log_fields(level,
                   denied                    ? "request.denied"
                   : r->call.rsp.rsc >= 4000 ? "request.failed"
                                             : "request.done",
                   fields, r->call.rsp.rsc >= 4000 ? 6 : 4, "%s", bst_m2m_op_name(r->call.req.op));
}

static void finish(struct request *r)
{
    struct bst_server *server = r->front->worker->server;
    char why[512];
    /* What the peer is told is less than what the operator should know. */
    snprintf(why, sizeof why, "%s", bst_error_detail());
    struct bst_view reason = !r->call.trace.permitted && r->call.trace.reason[0]
                                 ? bst_view(r->call.trace.reason)
                             : why[0] ? bst_view(why)
                                      : r->call.rsp.debug;
    count(server, r);
    if (is_denial(r->call.rsp.rsc)) {
        bst_metric_add(server->metrics.denials, 1);
        audit_refusal(r, reason);
    }
    log_request(r, reason);
    r->session->in_work--;
    r->front->worker->in_work--;
    server_front_answer(r->x, &r->call.rsp, r->call.req.accept);
}

static void call_done(struct bst_cse_call *call)
{
    finish(call->user);
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    struct server_front *front = ctx;
    struct request *r = bst_arena_alloc(x->arena, sizeof *r);
    if (!r) {
        bst_http_exchange_answer(x, 500, NULL, 0, (struct bst_view){0});
        return;
    }
    r->x = x;
    r->front = front;
    r->session = x->peer->association;
    r->session->in_work++;
    front->worker->in_work++;
    r->call.arena = x->arena;
    r->call.user = r;
    r->call.done = call_done;
    r->call.peer_ip = x->peer->host;
    bst_result result = bst_http_to_request(&x->req, bst_wall_us(), x->arena, &r->call.req);
    if (bst_failed(result)) {
        bst_http_reject(&x->req, result, x->arena, &r->call.rsp);
        finish(r);
        return;
    }
    r->call.assoc = server_session_association(front, r->session);
    bst_cse_handle(front->worker->cse, &r->call);
}

static bst_result on_session(void *ctx, struct bst_net_peer *peer)
{
    return server_session_begin(ctx, peer);
}

static void on_session_end(void *ctx, struct bst_net_peer *peer)
{
    server_session_end(peer);
}

static void on_refused(void *ctx, const struct bst_net_peer *peer, int status, const char *why)
{
    struct bst_log_field field = {"peer", peer->address};
    bst_log_fields(BST_LOG_INFO, "http.refused", &field, 1, "%d: %s", status, why);
}

const struct bst_http_handler server_cse_handler = {
    .on_request = on_request,
    .on_session = on_session,
    .on_session_end = on_session_end,
    .on_handshake_failed = server_handshake_failed,
    .on_refused = on_refused,
};
