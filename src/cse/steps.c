/* The order of checks for a request, written once (TS-0004 7.2.2.2, 7.3.2, 7.3.3).
 *
 * bst_cse_steps() is the list; each step below it is one clause. It runs in a read snapshot for
 * reads and inside the write transaction for everything else. */
#include "cse/nonblocking.h"
#include "cse/type_se.h"

/* ---- Recv-1.0: validity of the request primitive (7.3.2.1) ---- */

static bst_result check_times(struct bst_cse_op *op)
{
    const struct bst_m2m_request *req = op->req;
    if (req->rqet.text.ptr && req->rqet.us <= op->now_us) {
        BST_FAIL(BST_E_TIMEOUT, "Request Expiration Timestamp (rqet) %.*s has passed",
                 BST_VIEW_ARGS(req->rqet.text));
    }
    if (req->rset.text.ptr && req->rset.us <= op->now_us) {
        BST_FAIL(BST_E_TIMEOUT, "Result Expiration Timestamp (rset) %.*s has passed",
                 BST_VIEW_ARGS(req->rset.text));
    }
    if (req->rset.text.ptr && req->rqet.text.ptr && req->rset.us < req->rqet.us) {
        BST_FAIL(BST_E_VALUE, "the result (rset) would expire before the request (rqet)");
    }
    if ((req->rqet.text.ptr && req->oet.us > req->rqet.us) ||
        (req->rset.text.ptr && req->oet.us > req->rset.us)) {
        BST_FAIL(BST_E_VALUE,
                 "Operation Execution Time (oet) lies behind the expiration of the request");
    }
    return BST_OK;
}

static bst_result check_release(const struct bst_m2m_request *req)
{
    bool ours = req->release == BST_RELEASE_2A || req->release == BST_RELEASE_3 ||
                req->release == BST_RELEASE_4;
    if (req->rvi.ptr && !ours) {
        BST_FAIL(BST_E_VERSION,
                 "release %.*s is not among supportedReleaseVersions (srv): 2a, 3, 4",
                 BST_VIEW_ARGS(req->rvi));
    }
    return BST_OK;
}

/* [7.3.2.1] parameters that this CSE does not support */
static bst_result check_supported(const struct bst_m2m_request *req)
{
    static const uint64_t semantic =
        BST_FC_BIT(BST_FC_SMF) | BST_FC_BIT(BST_FC_CFS) | BST_FC_BIT(BST_FC_CFQ);
    if (req->tkns.n || req->tids.n || req->ltids.n) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "tokens (tkns, tids, ltids) are not supported");
    }
    if (req->sqi || req->rcn == BST_RCN_SEMANTIC || (req->fc.present & semantic)) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "semantic and content queries are not supported");
    }
    if (req->rcn == BST_RCN_PERMISSIONS) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "Result Content (rcn) 12, permissions, is not supported");
    }
    if (req->rcn == BST_RCN_ORIGINAL) {
        BST_FAIL(BST_E_VALUE, "Result Content (rcn) 7 is for announced resources only");
    }
    if (req->accept != BST_FORMAT_NONE && req->accept != BST_FORMAT_JSON) {
        BST_FAIL(BST_E_NOT_ACCEPTABLE, "answers can be had in JSON only");
    }
    return BST_OK;
}

static bool has_ae(void *ctx, const struct bst_entity_id *id)
{
    struct bst_cse_op *op = ctx;
    struct bst_row row;
    struct bst_view cse = bst_entity_cse(id);
    if (cse.len && !bst_view_eq(cse, bst_entity_abs(&op->cse->own.id))) {
        return false;
    }
    bst_result r = bst_resource_find_alias(op->conn, bst_entity_last(id), NULL, &row);
    if (bst_failed(r)) {
        op->lookup = r;
        return false;
    }
    return row.ty == BST_TY_AE;
}

static bool has_cse(void *ctx, struct bst_view abs_cse_id)
{
    (void)ctx;
    (void)abs_cse_id;
    return false; /* remoteCSE is not among the supported types: no CSE registers here */
}

static bst_result check_originator(struct bst_cse_op *op)
{
    const struct bst_registrations registrations = {has_ae, has_cse, op};
    const struct bst_originator_check check = {
        .self = &op->cse->self,
        .assoc = op->call->assoc,
        .registrations = &registrations,
        .from = op->req->fr,
        .has_from = bst_m2m_request_has(op->req, BST_REQ_FR),
        .creates_ae = bst_cse_is_registration(op),
        .stem_only = op->cse->config.strict_stem,
        .open_aes = op->cse->config.open_aes,
    };
    if (op->call->own) {
        op->who = op->cse->own;
        return BST_OK;
    }
    if (op->call->proved_as) {
        op->who = *op->call->proved_as;
        return BST_OK;
    }
    bst_result r = bst_originator_verify(&check, &op->who);
    BST_TRY(op->lookup);
    return r;
}

static bst_result check_validity(struct bst_cse_op *op)
{
    BST_TRY(check_times(op));
    BST_TRY(check_originator(op));
    if (op->call->own) {
        return BST_OK;
    }
    BST_TRY(check_release(op->req));
    BST_TRY(bst_m2m_request_check(op->req));
    return check_supported(op->req);
}

/* ---- Recv-6.0.1, 6.0.2 ---- */

bool bst_cse_is_registration(const struct bst_cse_op *op)
{
    return op->req->op == BST_OP_CREATE && op->req->ty == BST_TY_AE && !op->call->own;
}

static bst_result check_subscription(struct bst_cse_op *op)
{
    return bst_cse_is_registration(op) ? bst_cse_check_subscription(op) : BST_OK;
}

/* ---- Recv-6.1: are we the hosting CSE? (7.3.2.8) ---- */

static bst_result check_hosting(struct bst_cse_op *op)
{
    BST_TRY(bst_cse_target_find(op, op->req->to, &op->target));
    if (bst_m2m_address_is_local(&op->target.address, op->cse->self.sp_domain, op->cse->csi)) {
        return BST_OK;
    }
    if (bst_cse_is_registration(op)) {
        BST_FAIL(BST_E_SYNTAX, "an AE registers at its own CSE: To names another one");
    }
    BST_FAIL(BST_E_NOT_FOUND,
             "%.*s is hosted elsewhere, and no CSE is registered here to forward to",
             BST_VIEW_ARGS(op->req->to));
}

/* ---- Recv-6.2: existence (7.3.3.1) ---- */

static bool by_position(const struct bst_cse_target *target)
{
    return target->virt == BST_VIRT_LATEST || target->virt == BST_VIRT_OLDEST;
}

/* [7.4.27.2, 7.4.28.2] <latest> and <oldest> are retrieved and deleted, nothing else */
static bst_result check_virtual(struct bst_cse_op *op)
{
    enum bst_m2m_op what = op->req->op;
    if (by_position(&op->target) && what != BST_OP_RETRIEVE && what != BST_OP_DELETE) {
        bool watch = what == BST_OP_CREATE && op->req->ty == BST_TY_SUB;
        BST_FAIL(watch ? BST_E_NOT_SUBSCRIBABLE : BST_E_OPERATION,
                 "%s is not possible on <latest> and <oldest>: address the container",
                 bst_m2m_op_name(what));
    }
    /* [TS-0016 7.5.1] what is there to be run is run by an UPDATE with its input */
    if (bst_secure_is_function(op->target.virt) && what != BST_OP_UPDATE) {
        BST_FAIL(BST_E_OPERATION, "%s is not possible on a function: UPDATE runs it",
                 bst_m2m_op_name(what));
    }
    return BST_OK;
}

/* Release 1 had no secure environment: to such a request there is nothing. */
static bool unknown_to_release_1(const struct bst_cse_op *op)
{
    const struct bst_cse_res *res = op->target.res;
    return res && (res->type->flags & BST_TYPE_SECURE) && bst_m2m_is_r1(op->req) && !op->call->own;
}

static bst_result missing(struct bst_cse_op *op)
{
    struct bst_cse_res *container = op->target.container;
    bool asks = container && by_position(&op->target) && op->req->op == BST_OP_RETRIEVE;
    if (asks) {
        /* Only who may read the container sets off its notifications. */
        const struct bst_cse_need need = {.acop = BST_ACOP_RETRIEVE};
        BST_TRY(bst_cse_access(op, container, &need, &asks));
    }
    if (asks) {
        BST_TRY(bst_cse_event_add(op, BST_CSE_EVENT_MISSING_CHILD, container, (struct bst_view){0},
                                  (struct bst_view){0}));
    }
    BST_FAIL(BST_E_NOT_FOUND, container ? "%.*s: the container is empty" : "there is no %.*s here",
             BST_VIEW_ARGS(op->req->to));
}

/* Criteria that make an operation on the target itself conditional. With filterUsage 2 all of them
 * do; without, those on the target's own times, state and size, as the standard's example has it,
 * while the others select among its children. Our reading: 7.3.3.1 and 7.3.3.17 leave it open. */
static bool is_conditional(const struct bst_cse_op *op)
{
    static const uint64_t own = BST_FC_BIT(BST_FC_CRB) | BST_FC_BIT(BST_FC_CRA) |
                                BST_FC_BIT(BST_FC_MS) | BST_FC_BIT(BST_FC_US) |
                                BST_FC_BIT(BST_FC_STS) | BST_FC_BIT(BST_FC_STB) |
                                BST_FC_BIT(BST_FC_EXB) | BST_FC_BIT(BST_FC_EXA) |
                                BST_FC_BIT(BST_FC_SZA) | BST_FC_BIT(BST_FC_SZB);
    const struct bst_m2m_filter *fc = &op->req->fc;
    bool children = op->req->op == BST_OP_RETRIEVE &&
                    (op->rcn == BST_RCN_ATTRIBUTES_CHILDREN || op->rcn == BST_RCN_CHILDREN ||
                     op->rcn == BST_RCN_ATTRIBUTES_CHILD_REFS || op->rcn == BST_RCN_CHILD_REFS);
    if (bst_cse_is_discovery(op) || children || !bst_m2m_filter_selects(fc)) {
        return false;
    }
    return fc->fu == BST_FU_CONDITIONAL || (fc->present & own) != 0;
}

/* Checked once the originator is known to have access: whether an attribute has a value is nothing
 * to tell the others. To those who have, the answer is that of 7.3.3.1. */
static bst_result check_condition(struct bst_cse_op *op)
{
    bool match = true;
    if (is_conditional(op)) {
        BST_TRY(bst_cse_match(op, op->target.res, &op->req->fc, &match));
    }
    if (!match) {
        BST_FAIL(BST_E_NOT_FOUND, "%.*s does not meet the filter criteria",
                 BST_VIEW_ARGS(op->req->to));
    }
    return BST_OK;
}

static bst_result check_existence(struct bst_cse_op *op)
{
    if (unknown_to_release_1(op)) {
        op->target = (struct bst_cse_target){0};
    }
    BST_TRY(check_virtual(op));
    if (!op->target.res) {
        return missing(op);
    }
    if (op->target.address.attribute.len && op->req->op != BST_OP_RETRIEVE) {
        BST_FAIL(BST_E_SYNTAX, "only a RETRIEVE may name an attribute in To");
    }
    return BST_OK;
}

/* What the type refuses whoever asks ("Primitive specific operation on Recv-1.0" of 7.4.x). */
static bst_result check_operation(struct bst_cse_op *op)
{
    const struct bst_cse_type *rules = op->target.res->rules;
    if (rules->refused & (1u << op->req->op)) {
        BST_FAIL(BST_E_OPERATION, "%s is not possible on a resource of type %s",
                 bst_m2m_op_name(op->req->op), op->target.res->type->name);
    }
    return BST_OK;
}

/* ---- Recv-6.2.1: group requests (7.3.3.2) ---- */

#define SEEN_US (INT64_C(60) * BST_US_PER_S)

static bst_result check_group_request(struct bst_cse_op *op)
{
    const struct bst_m2m_request *req = op->req;
    if (!req->gid.len || op->gid_checked) {
        return BST_OK;
    }
    op->gid_checked = true;
    int64_t until = req->rqet.text.ptr ? req->rqet.us : op->now_us + SEEN_US;
    struct bst_view target = op->target.virt == BST_VIRT_NONE ? op->target.res->ri : req->to;
    return bst_cse_seen_check(op->cse, req->gid, target, op->now_us, until);
}

/* ---- Recv-6.3: authorization (7.3.3.15) ---- */

bool bst_cse_is_discovery(const struct bst_cse_op *op)
{
    int fu = op->req->fc.fu;
    return op->req->op == BST_OP_RETRIEVE && (fu == BST_FU_DISCOVERY || fu == BST_FU_IPE);
}

/* [1:9.6.1.3.2] a change of acpi is governed by selfPrivileges and comes alone. */
static bool changes_policies(const struct bst_cse_op *op)
{
    return op->req->op == BST_OP_UPDATE && bst_json_get(op->content.members, "acpi") &&
           yyjson_obj_size(op->content.members) == 1;
}

static struct bst_view content_specialization(struct bst_cse_op *op)
{
    yyjson_val *cnd = bst_json_get(op->content.members, "cnd");
    yyjson_val *mgd = bst_json_get(op->content.members, "mgd");
    if (yyjson_is_str(cnd)) {
        return bst_json_view(cnd);
    }
    return yyjson_is_int(mgd) ? bst_json_text(op->arena, mgd) : (struct bst_view){0};
}

static bst_result check_authorization(struct bst_cse_op *op)
{
    static const uint32_t bits[] = {
        [BST_OP_CREATE] = BST_ACOP_CREATE, [BST_OP_RETRIEVE] = BST_ACOP_RETRIEVE,
        [BST_OP_UPDATE] = BST_ACOP_UPDATE, [BST_OP_DELETE] = BST_ACOP_DELETE,
        [BST_OP_NOTIFY] = BST_ACOP_NOTIFY,
    };
    if (bst_cse_is_registration(op) || bst_cse_is_discovery(op)) {
        return BST_OK; /* [7.4.5.2.1] skipped; [7.3.3.14] per resource found */
    }
    struct bst_cse_need need = {.acop = bits[op->req->op], .self = changes_policies(op)};
    if (op->req->op == BST_OP_CREATE) {
        need.create_ty = op->req->ty;
        need.content_spec = content_specialization(op);
    }
    return bst_cse_demand(op, op->target.res, &need);
}

/* ---- Recv-6.4, 6.5: the operation ---- */

static bst_result perform(struct bst_cse_op *op)
{
    if (bst_secure_is_function(op->target.virt)) {
        return bst_secure_function(op);
    }
    switch (op->req->op) {
    case BST_OP_CREATE:
        return bst_cse_create(op);
    case BST_OP_RETRIEVE:
        return bst_cse_retrieve(op);
    case BST_OP_UPDATE:
        return bst_cse_update(op);
    case BST_OP_DELETE:
        return bst_cse_delete(op);
    case BST_OP_NOTIFY:
        op->hand_over = true; /* goes on to the entity: notify.c */
        return BST_OK;
    case BST_OP_NONE:
        break;
    }
    BST_FAIL(BST_E_SYNTAX, "the request has no operation");
}

bst_result bst_cse_steps(struct bst_cse_op *op)
{
    BST_TRY(check_validity(op));   /* Recv-1.0 */
    if (bst_cse_wants_later(op)) { /* Recv-2.0 */
        op->hand_over = op->later = true;
        return BST_OK;
    }
    if (op->req->oet.text.ptr && op->req->oet.us > op->now_us && !op->call->own) {
        op->hand_over = op->early = true; /* [7.3.3.5] shall not be performed before that time */
        return BST_OK;
    }
    BST_TRY(check_subscription(op));  /* Recv-6.0.2 */
    BST_TRY(check_hosting(op));       /* Recv-6.1 */
    BST_TRY(check_existence(op));     /* Recv-6.2 */
    BST_TRY(check_group_request(op)); /* Recv-6.2.1 */
    if (op->target.virt == BST_VIRT_FANOUT || op->target.virt == BST_VIRT_POLLING_URI) {
        op->hand_over =
            true; /* members answer, each through these steps; mailboxes have their own */
        return BST_OK;
    }
    BST_TRY(check_operation(op));
    BST_TRY(check_authorization(op)); /* Recv-6.3 */
    BST_TRY(check_condition(op));     /* the conditional part of Recv-6.2 */
    return perform(op);               /* Recv-6.4, 6.5 */
}

/* ---- before the transaction ---- */

void bst_cse_prepare(struct bst_cse_op *op)
{
    struct bst_cse_content *content = &op->content;
    bool resource = op->req->op == BST_OP_CREATE || op->req->op == BST_OP_UPDATE;
    if (!resource) {
        return;
    }
    content->check = bst_m2m_request_resource(op->req, &content->type, &content->members);
    if (!bst_failed(content->check) && !op->call->own) {
        content->check = bst_m2m_is_r1(op->req)
                             ? bst_m2m_r1_validate(content->type, op->req->op, content->members)
                             : bst_m2m_validate(content->type, op->req->op, content->members);
    }
    if (bst_failed(content->check)) {
        content->detail = bst_arena_view(op->arena, bst_view(bst_error_detail()));
    }
}
