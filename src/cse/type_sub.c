/* <subscription> (TS-0004 7.4.8): what may be watched, how, and whether the targets agree. */
#include "cse/notify.h"

/* Table 9.6.8-4 of TS-0001: bits of the event types with which a content type may stand. */
static const struct {
    int nct;
    uint32_t nets;
} contents[] = {
    {1, BST_NET_BIT(1) | BST_NET_BIT(2) | BST_NET_BIT(3) | BST_NET_BIT(4) | BST_NET_BIT(5)},
    {2, BST_NET_BIT(1)},
    {3, BST_NET_BIT(1) | BST_NET_BIT(2) | BST_NET_BIT(3) | BST_NET_BIT(4) | BST_NET_BIT(5)},
};

/* Each is asked at creation and told of each event. */
#define TARGETS_MAX 100

#define SUPPORTED_NETS                                                                             \
    (BST_NET_BIT(1) | BST_NET_BIT(2) | BST_NET_BIT(3) | BST_NET_BIT(4) | BST_NET_BIT(5))

/* What parts of Bastide do not do yet is refused, not ignored. */
static bst_result check_supported(yyjson_val *attrs, const struct bst_cse_sub *sub)
{
    static const char *const later[] = {"bn", "rl"};
    static const char *const later_criteria[] = {"om", "md"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (bst_json_get(attrs, later[i])) {
            BST_FAIL(BST_E_NOT_IMPLEMENTED, "attribute %s of a subscription is not supported",
                     later[i]);
        }
    }
    for (size_t i = 0; i < sizeof later_criteria / sizeof later_criteria[0]; i++) {
        if (bst_json_get(bst_json_get(attrs, "enc"), later_criteria[i])) {
            BST_FAIL(BST_E_NOT_IMPLEMENTED, "criterion enc/%s is not supported", later_criteria[i]);
        }
    }
    if (sub->net & ~SUPPORTED_NETS) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "enc/net: event types 1 to 5 are supported");
    }
    return BST_OK;
}

static bst_result check_content_type(const struct bst_cse_sub *sub)
{
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        if (contents[i].nct == sub->nct) {
            if (sub->net & ~contents[i].nets) {
                BST_FAIL(BST_E_VALUE, "nct %d does not go with every event type of enc/net",
                         sub->nct);
            }
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "nct %d does not go with the event types 1 to 5", sub->nct);
}

static bst_result check_criteria(const struct bst_cse_draft *draft, const struct bst_cse_sub *sub)
{
    for (size_t i = 0; i < sub->chty.n; i++) {
        if (!bst_m2m_child_allowed(draft->parent->type, sub->chty.v[i])) {
            BST_FAIL(BST_E_VALUE, "enc/chty: %d is no child type of a %s", sub->chty.v[i],
                     draft->parent->type->name);
        }
    }
    if ((sub->net & BST_NET_BIT(BST_CSE_EVENT_MISSING_CHILD)) &&
        draft->parent->row.ty != BST_TY_CNT) {
        BST_FAIL(BST_E_VALUE, "enc/net 5 is for containers, not for a %s",
                 draft->parent->type->name);
    }
    return BST_OK;
}

static bool http_url(struct bst_view v)
{
    return bst_view_starts(v, BST_VIEW("http://")) || bst_view_starts(v, BST_VIEW("https://"));
}

static bst_result check_target(struct bst_view target)
{
    if (bst_cse_is_url(target) ? http_url(target) : bst_m2m_is_id(target)) {
        return BST_OK;
    }
    BST_FAIL(BST_E_VALUE, "nu: %.*s is neither an http or https URI nor a resource ID",
             BST_VIEW_ARGS(target));
}

/* Is the target the originator, who need not be asked? */
static bst_result is_originator(struct bst_cse_op *op, struct bst_view target, bool *ret)
{
    struct bst_entity_id id;
    struct bst_cse_res *res;
    *ret = false;
    if (bst_cse_is_url(target)) {
        return BST_OK;
    }
    if (!bst_failed(bst_entity_parse(&op->cse->self, target, &id)) &&
        bst_view_eq(bst_entity_abs(&id), bst_entity_abs(&op->who.id))) {
        *ret = true;
        return BST_OK;
    }
    BST_TRY(bst_cse_find(op, target, &res));
    *ret = res && res->row.ty == BST_TY_AE && bst_view_eq(res->ri, bst_entity_last(&op->who.id));
    return BST_OK;
}

static bool held(const struct bst_m2m_views *list, struct bst_view v)
{
    for (size_t i = 0; i < list->n; i++) {
        if (bst_view_eq(list->v[i], v)) {
            return true;
        }
    }
    return false;
}

/* Targets that did not stand there before and are not the originator. */
static bst_result targets_to_ask(struct bst_cse_op *op, const struct bst_m2m_views *before,
                                 struct bst_cse_sub *sub)
{
    sub->unasked.v = bst_arena_alloc(op->arena, (sub->nu.n + 1) * sizeof *sub->unasked.v);
    BST_ENSURE(sub->unasked.v, BST_E_NOMEM);
    for (size_t i = 0; i < sub->nu.n; i++) {
        bool own;
        BST_TRY(check_target(sub->nu.v[i]));
        BST_TRY(is_originator(op, sub->nu.v[i], &own));
        if (!own && !held(before, sub->nu.v[i]) && !held(&sub->unasked, sub->nu.v[i])) {
            sub->unasked.v[sub->unasked.n++] = sub->nu.v[i];
        }
    }
    return BST_OK;
}

static bst_result read_draft(struct bst_cse_op *op, struct bst_cse_draft *draft,
                             yyjson_val **ret_attrs, struct bst_cse_sub **ret)
{
    struct bst_view joined;
    BST_TRY(bst_cse_members_join(&draft->members, &joined));
    struct bst_view text = bst_arena_printf(op->arena, "{%.*s}", (int)joined.len, joined.ptr);
    *ret = bst_arena_alloc(op->arena, sizeof **ret);
    BST_ENSURE(text.ptr && *ret, BST_E_NOMEM);
    BST_TRY(bst_json_parse(op->arena, text, BST_JSON_DEPTH, ret_attrs));
    return bst_cse_sub_read(op->arena, *ret_attrs, *ret);
}

/* The address that the targets are told. A resource that gets its name later has only its place
 * yet. */
static bst_result settle_address(struct bst_cse_op *op, struct bst_cse_draft *draft,
                                 struct bst_cse_sub *sub)
{
    struct bst_view parent, name = draft->row.name;
    BST_TRY(bst_cse_path(op, draft->parent, &parent));
    sub->sur = bst_arena_printf(op->arena, "%.*s/%.*s%s%.*s", BST_VIEW_ARGS(op->cse->csi),
                                BST_VIEW_ARGS(parent), name.len ? "/" : "", BST_VIEW_ARGS(name));
    BST_ENSURE(sub->sur.ptr, BST_E_NOMEM);
    return BST_OK;
}

/* Stop here, roll back, ask the targets, and come again. */
static bst_result ask_first(struct bst_cse_op *op, struct bst_cse_draft *draft,
                            struct bst_cse_sub *sub)
{
    if (op->verified || sub->unasked.n == 0 || op->call->own) {
        return BST_OK;
    }
    BST_TRY(settle_address(op, draft, sub));
    op->verify = sub;
    BST_FAIL(BST_E_SUBSCRIPTION_VERIFICATION, "the notification targets are asked first");
}

static bst_result check(struct bst_cse_op *op, struct bst_cse_draft *draft,
                        const struct bst_m2m_views *before)
{
    struct bst_cse_sub *sub;
    yyjson_val *attrs;
    BST_TRY(read_draft(op, draft, &attrs, &sub));
    BST_TRY(check_supported(attrs, sub));
    if (sub->nu.n == 0) {
        BST_FAIL(BST_E_VALUE, "nu must name at least one notification target");
    }
    if (sub->nu.n > TARGETS_MAX) {
        BST_FAIL(BST_E_NOT_ACCEPTABLE, "nu names more than %d notification targets: use a group",
                 TARGETS_MAX);
    }
    if (!sub->nct) {
        sub->nct = 1;
        bst_cse_members_set_number(&draft->members, "nct", sub->nct);
    }
    BST_TRY(check_content_type(sub));
    BST_TRY(check_criteria(draft, sub));
    BST_TRY(targets_to_ask(op, before, sub));
    return ask_first(op, draft, sub);
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    const struct bst_m2m_views none = {0};
    /* [7.4.8.2.1, Recv-6.3] who watches a resource must be allowed to read it */
    const struct bst_cse_need need = {.acop = BST_ACOP_RETRIEVE};
    BST_TRY(bst_cse_demand(op, draft->parent, &need));
    return check(op, draft, &none);
}

static bst_result update(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_cse_sub old;
    yyjson_val *attrs;
    BST_TRY(bst_cse_attrs(op, draft->old, &attrs));
    BST_TRY(bst_cse_sub_read(op->arena, attrs, &old));
    return check(op, draft, &old.nu);
}

const struct bst_cse_type bst_cse_type_sub = {
    .ty = BST_TY_SUB,
    .governor = BST_GOVERN_ACPI,
    .create = create,
    .update = update,
};
