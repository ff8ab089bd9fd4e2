/* <pollingChannel> and its <pollingChannelURI> (TS-0004 7.4.21, 7.4.22): a mailbox that only its
 * owner opens. The requests that wait in it are the notifier's. */
#include "cse/notify.h"

/* [7.4.21.2] the originator must be the AE that the channel belongs to, whatever policies say. */
static bst_result demand_owner(struct bst_cse_op *op, const struct bst_cse_res *ae)
{
    if (op->call->own || bst_view_eq(ae->ri, bst_entity_last(&op->who.id))) {
        return BST_OK;
    }
    BST_FAIL(BST_E_DENIED, "a polling channel is for the AE that it belongs to");
}

static bst_result demand_channel_owner(struct bst_cse_op *op, struct bst_cse_res *channel)
{
    struct bst_cse_res *ae;
    BST_TRY(bst_cse_parent(op, channel, &ae));
    return demand_owner(op, ae);
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_row row;
    BST_TRY(demand_owner(op, draft->parent));
    BST_TRY(bst_resource_find_latest(op->conn, draft->parent->row.id, BST_TY_PCH, NULL, &row));
    if (row.id) {
        BST_FAIL(BST_E_CONFLICT, "this AE has a polling channel already: one is all it can have");
    }
    return BST_OK;
}

static bst_result update(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    return demand_channel_owner(op, draft->old);
}

const struct bst_cse_type bst_cse_type_pch = {
    .ty = BST_TY_PCH,
    .governor = BST_GOVERN_PARENT,
    .virtuals = 1u << BST_VIRT_POLLING_URI,
    .create = create,
    .update = update,
    .before_delete = demand_channel_owner,
    .read = demand_channel_owner,
};

/* -- <pollingChannelURI> */

/* How long a poll waits that says nothing about it. */
#define POLL_US (INT64_C(20) * BST_US_PER_S)
/* And how long at most: a poll keeps its connection's memory even when the peer has gone. */
#define POLL_MAX_US (INT64_C(600) * BST_US_PER_S)

struct poll {
    struct bst_notify_poll poll;
    struct bst_cse_op *op;
};

static void poll_done(struct bst_notify_poll *poll, bst_result result, struct bst_view request)
{
    struct poll *p = bst_container_of(poll, struct poll, poll);
    struct bst_cse_op *op = p->op;
    if (result.code == BST_E_TIMEOUT) {
        result = bst_error_detailed(BST_E_TIMEOUT, "no request came for this AE in time");
    } else if (!bst_failed(result)) {
        bst_buf_adds(&op->out, "{\"m2m:rqp\":");
        bst_buf_addv(&op->out, request);
        bst_buf_addc(&op->out, '}');
        result = bst_buf_check(&op->out);
    }
    bst_cse_finish(op, result);
}

static bst_result start_poll(struct bst_cse_op *op, struct bst_notifier *notifier)
{
    const struct bst_m2m_request *req = op->req;
    struct poll *p = bst_arena_alloc(op->arena, sizeof *p);
    BST_ENSURE(p, BST_E_NOMEM);
    int64_t wait_us = req->rqet.text.ptr ? req->rqet.us - op->now_us : POLL_US;
    wait_us = wait_us < POLL_MAX_US ? wait_us : POLL_MAX_US;
    p->op = op;
    p->poll.channel = op->target.res->row.id;
    p->poll.until_us = bst_mono_us() + wait_us;
    p->poll.loop = op->worker->loop;
    p->poll.done = poll_done;
    bst_notifier_poll(notifier, &p->poll);
    return BST_OK;
}

/* [7.4.22.2.5] the answer to a request that was polled comes as a NOTIFY with a response primitive.
 */
static bst_result take_answer(struct bst_cse_op *op, struct bst_notifier *notifier)
{
    yyjson_val *rsp = bst_json_get(op->req->pc, "m2m:rsp");
    struct bst_m2m_response answer;
    if (!rsp) {
        BST_FAIL(BST_E_SYNTAX, "a NOTIFY to pollingChannelURI carries m2m:rsp");
    }
    BST_TRY(bst_m2m_response_from_json(op->arena, rsp, &answer));
    BST_TRY(bst_notifier_response(notifier, op->target.res->row.id, answer.rqi, answer.rsc));
    bst_cse_finish(op, BST_OK);
    return BST_OK;
}

bst_result bst_cse_polling_uri(struct bst_cse_op *op)
{
    const struct bst_cse_events *events = op->cse->config.events;
    struct bst_notifier *notifier = events ? events->ctx : NULL;
    if (op->req->op != BST_OP_RETRIEVE && op->req->op != BST_OP_NOTIFY) {
        BST_FAIL(BST_E_OPERATION, "%s is not possible on <pollingChannelURI>",
                 bst_m2m_op_name(op->req->op));
    }
    BST_TRY(demand_channel_owner(op, op->target.res));
    if (!notifier) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "this CSE delivers no notifications");
    }
    return op->req->op == BST_OP_RETRIEVE ? start_poll(op, notifier) : take_answer(op, notifier);
}
