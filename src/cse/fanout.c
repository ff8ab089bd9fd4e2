/* <fanOutPoint> (TS-0004 7.4.14): one request becomes one for each member, each through all steps
 * on its own; their answers come back as one. */
#include "cse/fanout.h"

#include "cse/type_se.h"

#include "crypto/rand.h"

#include <stdio.h>

/* Groups may stand in groups, and a member may lead back to its own group by another name: what one
 * request becomes ends here. */
#define FAN_LEVELS 3
#define FAN_SHARES 10000u
#define SHARE_BYTES ((size_t)16 << 20)
#define ANSWER_BYTES ((size_t)32 << 20)

/* A member's share; its own memory, because writes run on another thread. */
struct share {
    struct bst_cse_call call;
    struct bst_arena arena; /* gone when the share is answered */
    struct fanout *of;
    struct bst_view member;
    struct bst_buf answer;
    int rsc;
};

struct fanout {
    struct bst_cse_op *op;
    struct share *shares;
    size_t wanted, n, open, answer_bytes;
    char gid[40];
};

static void fanout_free(struct fanout *f)
{
    for (size_t i = 0; i < f->n; i++) {
        bst_arena_clear(&f->shares[i].arena);
        bst_buf_clear(&f->shares[i].answer);
    }
    bst_free(f->shares);
    bst_free(f);
}

/* -- aggregation (7.4.14.2.5) */

static void add_share(const struct share *share, struct bst_buf *out)
{
    const struct bst_m2m_response *rsp = &share->call.rsp;
    bst_buf_addf(out, "{\"rsc\":%d,\"rqi\":", rsp->rsc);
    bst_buf_add_json(out, share->call.req.rqi);
    bst_buf_adds(out, ",\"rvi\":");
    bst_buf_add_json(out, rsp->rvi.ptr ? rsp->rvi : BST_VIEW("3"));
    bst_buf_adds(out, ",\"fr\":");
    bst_buf_add_json(out, share->member);
    bst_buf_adds(out, ",\"to\":");
    bst_buf_add_json(out, share->call.req.fr);
    if (rsp->pc.len || (rsp->rsc >= 4000 && rsp->debug.len)) {
        bst_buf_adds(out, ",\"pc\":");
        if (bst_failed(bst_m2m_response_content(rsp, out))) {
            out->failed = true;
        }
    }
    bst_buf_addc(out, '}');
}

static bst_result aggregate(struct fanout *f)
{
    struct bst_buf *out = &f->op->out;
    bst_buf_adds(out, "{\"m2m:agr\":{\"m2m:rsp\":[");
    for (size_t i = 0; i < f->n; i++) {
        if (i) {
            bst_buf_addc(out, ',');
        }
        bst_buf_addv(out, bst_buf_view(&f->shares[i].answer));
        out->failed = out->failed || f->shares[i].answer.failed;
        bst_buf_clear(&f->shares[i].answer);
    }
    bst_buf_adds(out, "]}}");
    return bst_buf_check(out);
}

/* -- members that were deleted leave the group (7.4.14.3.5) */

struct clean_up {
    struct bst_cse_call call;
    struct bst_arena arena;
};

static void clean_up_done(struct bst_cse_call *call)
{
    struct clean_up *c = bst_container_of(call, struct clean_up, call);
    bst_arena_clear(&c->arena);
    bst_free(c);
}

/* Shares mostly stand in the order of the members: *hint is where the next one is likely. */
static bool was_deleted(const struct fanout *f, struct bst_view member, size_t *hint)
{
    for (size_t k = 0; k < f->n; k++) {
        size_t i = (*hint + k) % f->n;
        if (bst_view_eq(f->shares[i].member, member)) {
            *hint = i + 1;
            return f->shares[i].rsc == BST_RSC_DELETED;
        }
    }
    return false;
}

/* All members but those that went: the request may have been for some of them only. */
static bst_result fill_clean_up(struct fanout *f, struct clean_up *c)
{
    bst_auto(buf) text = {0};
    bool first = true;
    size_t i, max, hint = 0;
    yyjson_val *mid, *entry;
    BST_TRY(bst_cse_attr(f->op, f->op->target.res, "mid", &mid));
    bst_buf_adds(&text, "{\"m2m:grp\":{\"mid\":[");
    yyjson_arr_foreach(mid, i, max, entry)
    {
        if (!was_deleted(f, bst_json_view(entry), &hint)) {
            if (!first) {
                bst_buf_addc(&text, ',');
            }
            bst_buf_add_json(&text, bst_json_view(entry));
            first = false;
        }
    }
    bst_buf_adds(&text, "]}}");
    BST_TRY(bst_buf_check(&text));
    struct bst_m2m_request *req = &c->call.req;
    bst_m2m_request_init(req);
    req->op = BST_OP_UPDATE;
    req->to = bst_arena_view(&c->arena, f->op->target.res->ri);
    req->rqi = BST_VIEW("group-clean-up");
    req->rvi = BST_VIEW("3");
    req->release = BST_RELEASE_3;
    req->rcn = BST_RCN_NOTHING;
    BST_ENSURE(req->to.ptr, BST_E_NOMEM);
    return bst_json_parse(&c->arena, bst_buf_view(&text), BST_JSON_DEPTH, &req->pc);
}

static void forget_deleted(struct fanout *f)
{
    size_t deleted = 0;
    for (size_t i = 0; i < f->n; i++) {
        deleted += f->shares[i].rsc == BST_RSC_DELETED;
    }
    if (f->op->req->op != BST_OP_DELETE || f->op->target.suffix.len || !deleted) {
        return;
    }
    struct clean_up *c = bst_alloc(sizeof *c);
    if (!c) {
        return;
    }
    bst_arena_init(&c->arena, 0);
    c->call.arena = &c->arena;
    c->call.own = true;
    c->call.done = clean_up_done;
    if (bst_failed(fill_clean_up(f, c))) {
        clean_up_done(&c->call);
        return;
    }
    bst_cse_handle(f->op->worker, &c->call);
}

static void fanout_end(struct fanout *f)
{
    struct bst_cse_op *op = f->op;
    bst_result result = aggregate(f);
    op->call->rsp.rsc = BST_RSC_OK; /* whatever the operation was (7.4.14.2.5) */
    forget_deleted(f);
    fanout_free(f);
    bst_cse_finish(op, result);
}

/* Only the text of the answer stays, so that many members with much to say take turns in memory. */
static void share_done(struct bst_cse_call *call)
{
    struct share *share = bst_container_of(call, struct share, call);
    struct fanout *f = share->of;
    if (call->rsp.pc.len > ANSWER_BYTES - f->answer_bytes) {
        call->rsp.rsc = BST_RSC_INTERNAL_SERVER_ERROR;
        call->rsp.pc = (struct bst_view){0};
        call->rsp.debug = BST_VIEW("the members answered more than one answer can hold");
    }
    share->rsc = call->rsp.rsc;
    add_share(share, &share->answer);
    f->answer_bytes += share->answer.len < ANSWER_BYTES - f->answer_bytes
                           ? share->answer.len
                           : ANSWER_BYTES - f->answer_bytes;
    bst_arena_clear(&share->arena);
    if (--f->open == 0) {
        fanout_end(f);
    }
}

/* -- the requests (7.4.14.2.4) */

static unsigned budget_of(const struct bst_cse_op *op)
{
    return op->call->fan_level ? op->call->fan_left : FAN_SHARES;
}

static bst_result check_size(const struct bst_cse_op *op, size_t members)
{
    if (bst_cse_is_registration(op)) {
        BST_FAIL(BST_E_OPERATION, "an AE registers by a request of its own, not through a group");
    }
    if (op->call->fan_level >= FAN_LEVELS) {
        BST_FAIL(BST_E_TOO_DEEP, "groups within groups: at most %d levels are followed",
                 FAN_LEVELS);
    }
    if (members > budget_of(op)) {
        BST_FAIL(BST_E_MAX_MEMBERS, "a request to a group becomes at most %u requests", FAN_SHARES);
    }
    return BST_OK;
}

static bst_result fill_share(struct fanout *f, struct share *share, struct bst_view member)
{
    struct bst_cse_op *op = f->op;
    bst_arena_init(&share->arena, SHARE_BYTES);
    share->of = f;
    share->call.arena = &share->arena;
    share->call.req = *op->req;
    share->call.assoc = op->call->assoc;
    /* The originator was verified. Shares run beside each other, and one that removes the AE
     * changes the association: the others must not look there. */
    share->call.proved_as = &op->who;
    share->call.peer_ip = op->call->peer_ip;
    share->call.own = op->call->own;
    share->call.fanned_out = true;
    share->call.fan_level = op->call->fan_level + 1;
    share->call.fan_left = (budget_of(op) - (unsigned)f->wanted) / (unsigned)f->wanted;
    share->call.done = share_done;
    share->member = member; /* of the group's row or the request, which live as long */
    struct bst_view suffix = op->target.suffix;
    share->call.req.to = bst_arena_printf(&share->arena, "%.*s%s%.*s", BST_VIEW_ARGS(member),
                                          suffix.len ? "/" : "", BST_VIEW_ARGS(suffix));
    share->call.req.gid = op->req->gid.len ? op->req->gid : bst_view(f->gid);
    share->call.req.grtm = (struct bst_m2m_views){0};
    BST_ENSURE(share->call.req.to.ptr, BST_E_NOMEM);
    return BST_OK;
}

static bool listed(yyjson_val *mid, struct bst_view id)
{
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(mid, i, max, entry)
    {
        if (bst_view_eq(bst_json_view(entry), id)) {
            return true;
        }
    }
    return false;
}

/* Group Request Target Members narrow the fan-out to some of the members. */
static bst_result choose(struct bst_cse_op *op, yyjson_val *mid, struct bst_m2m_views *ret)
{
    size_t i, max;
    yyjson_val *entry;
    const struct bst_m2m_views *wanted = &op->req->grtm;
    for (size_t k = 0; k < wanted->n; k++) {
        if (!listed(mid, wanted->v[k])) {
            BST_FAIL(BST_E_VALUE, "Group Request Target Members (grtm): %.*s is no member",
                     BST_VIEW_ARGS(wanted->v[k]));
        }
    }
    if (wanted->n) {
        *ret = *wanted;
        return BST_OK;
    }
    ret->v = bst_arena_alloc(op->arena, (yyjson_arr_size(mid) + 1) * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_foreach(mid, i, max, entry)
    {
        ret->v[ret->n++] = bst_json_view(entry);
    }
    if (!ret->n) {
        BST_FAIL(BST_E_NO_MEMBERS, "the group has no members");
    }
    return BST_OK;
}

/* [7.4.14.3] membersAccessControlPolicyIDs decide, else the group's own policies. */
static bst_result check_access(struct bst_cse_op *op)
{
    static const uint32_t bits[] = {
        [BST_OP_CREATE] = BST_ACOP_CREATE, [BST_OP_RETRIEVE] = BST_ACOP_RETRIEVE,
        [BST_OP_UPDATE] = BST_ACOP_UPDATE, [BST_OP_DELETE] = BST_ACOP_DELETE,
        [BST_OP_NOTIFY] = BST_ACOP_NOTIFY,
    };
    const struct bst_cse_need need = {
        .acop = bits[op->req->op], .create_ty = op->req->ty, .members = true};
    return bst_cse_demand(op, op->target.res, &need);
}

static bst_result make_gid(struct fanout *f)
{
    uint8_t random[16];
    bst_auto(buf) hex = {0};
    BST_TRY(bst_random(random, sizeof random));
    bst_hex_add(&hex, bst_view_of(random, sizeof random), false);
    BST_TRY(bst_buf_check(&hex));
    return bst_view_copy(bst_buf_view(&hex), f->gid, sizeof f->gid);
}

static bst_result fill(struct fanout *f, const struct bst_m2m_views *members)
{
    BST_TRY(make_gid(f));
    f->wanted = members->n;
    f->shares = bst_alloc(members->n * sizeof *f->shares);
    BST_ENSURE(f->shares, BST_E_NOMEM);
    while (f->n < members->n) {
        size_t i = f->n++;
        BST_TRY(fill_share(f, &f->shares[i], members->v[i]));
    }
    return BST_OK;
}

bst_result bst_cse_fanout(struct bst_cse_op *op)
{
    struct bst_m2m_views members = {0};
    yyjson_val *mid;
    BST_TRY(check_access(op));
    if (bst_secure_has_input(op)) {
        BST_FAIL(BST_E_OPERATION, "sensitive data is for one resource at a time");
    }
    BST_TRY(bst_cse_attr(op, op->target.res, "mid", &mid));
    BST_TRY(choose(op, mid, &members));
    BST_TRY(check_size(op, members.n));
    struct fanout *f = bst_alloc(sizeof *f);
    BST_ENSURE(f, BST_E_NOMEM);
    f->op = op;
    bst_result r = fill(f, &members);
    if (bst_failed(r)) {
        fanout_free(f);
        return r;
    }
    /* One more than there are members, so that answers in between do not end it. */
    f->open = f->n + 1;
    struct bst_cse_worker *worker = op->worker;
    for (size_t i = 0; i < f->n; i++) {
        bst_cse_handle(worker, &f->shares[i].call);
    }
    if (--f->open == 0) {
        fanout_end(f);
    }
    return BST_OK;
}
