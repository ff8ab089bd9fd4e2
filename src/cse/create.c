/* CREATE: Recv-6.4 (TS-0004 7.3.3.3), Recv-6.5 (7.3.3.5), and the answer by Result Content. */
#include "cse/cse_priv.h"

/* ---- may there be such a resource? ---- */

static bst_result check_type(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_cse_res *parent = op->target.res;
    draft->type = bst_m2m_type_by_ty(op->req->ty);
    draft->rules = bst_cse_type_find(op->req->ty);
    if (!draft->type || (draft->type->flags & BST_TYPE_SECURE && bst_m2m_is_r1(op->req))) {
        BST_FAIL(BST_E_VALUE, "resource type %d is not known", op->req->ty);
    }
    if (!(bst_cse_flags(draft->type) & BST_TYPE_CREATABLE) && !op->call->own) {
        BST_FAIL(BST_E_OPERATION, "a resource of type %s is not created by requests",
                 draft->type->name);
    }
    if (!draft->rules) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED,
                 "this CSE does not support resource type %s: see supportedResourceType (srt)",
                 draft->type->name);
    }
    if (!bst_m2m_child_allowed(parent->type, op->req->ty)) {
        /* [TS-0004 7.4.8.2.1] what cannot be watched has a status of its own */
        BST_FAIL(op->req->ty == BST_TY_SUB ? BST_E_NOT_SUBSCRIBABLE : BST_E_CHILD_TYPE,
                 "a resource of type %s cannot be a child of one of type %s", draft->type->name,
                 parent->type->name);
    }
    return BST_OK;
}

static bst_result take_content(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    const struct bst_cse_content *content = &op->content;
    if (bst_failed(content->check)) {
        BST_FAIL(content->check.code, "%.*s", BST_VIEW_ARGS(content->detail));
    }
    draft->type = content->type;
    draft->given = content->members;
    return BST_OK;
}

/* ---- common attributes ---- */

static bst_result set_expiration(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    if (!(bst_cse_flags(draft->type) & BST_TYPE_EXPIRES)) {
        return BST_OK;
    }
    return bst_cse_expiration(op, bst_json_get(draft->given, "et"), draft->parent, &draft->row.et);
}

bst_result bst_cse_expiration(struct bst_cse_op *op, yyjson_val *given, struct bst_cse_res *parent,
                              int64_t *ret)
{
    const struct bst_cse_config *config = &op->cse->config;
    int64_t et = op->now_us + config->default_life_us;
    if (yyjson_is_str(given)) {
        BST_TRY(bst_m2m_time_parse(bst_json_view(given), &et));
        if (et <= op->now_us) {
            BST_FAIL(BST_E_VALUE, "expirationTime (et) %s lies in the past", yyjson_get_str(given));
        }
    }
    if (et > op->now_us + config->max_life_us) {
        et = op->now_us + config->max_life_us;
    }
    /* [7.3.3.3] no later than that of the parent */
    if (parent && parent->row.et && et > parent->row.et) {
        et = parent->row.et;
    }
    *ret = et;
    return BST_OK;
}

/* [7.3.3.3] creator is asked for by null, and never given. */
static bst_result set_creator(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    yyjson_val *cr = bst_json_get(draft->given, "cr");
    draft->creator = bst_entity_abs(&op->who.id);
    if (!cr) {
        return BST_OK;
    }
    if (!(bst_cse_flags(draft->type) & BST_TYPE_CREATOR) || !yyjson_is_null(cr)) {
        BST_FAIL(BST_E_VALUE, "creator (cr) is set by the CSE: ask for it by null");
    }
    bst_cse_members_set_text(&draft->members, "cr", op->req->fr);
    return BST_OK;
}

bst_result bst_cse_check_acpi(struct bst_cse_op *op, yyjson_val *acpi)
{
    yyjson_val *entry;
    size_t index, count;
    yyjson_arr_foreach(acpi, index, count, entry)
    {
        struct bst_cse_target target;
        struct bst_view id = bst_json_view(entry);
        BST_TRY(bst_cse_target_find(op, id, &target));
        bool local =
            bst_m2m_address_is_local(&target.address, op->cse->self.sp_domain, op->cse->csi);
        if (local && (!target.res || target.virt || target.res->row.ty != BST_TY_ACP)) {
            BST_FAIL(BST_E_VALUE, "accessControlPolicyIDs (acpi) names %.*s, which is no policy",
                     BST_VIEW_ARGS(id));
        }
    }
    return BST_OK;
}

static bst_result take_members(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    yyjson_obj_iter iter;
    yyjson_obj_iter_init(draft->given, &iter);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct bst_view name = bst_json_view(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (bst_view_is(name, "rn")) {
            draft->row.name = bst_json_view(value);
        } else if (!bst_view_is(name, "et") && !bst_view_is(name, "cr") && !yyjson_is_null(value)) {
            bst_cse_members_set(&draft->members, name, bst_json_text(op->arena, value));
        }
    }
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

static bst_result begin_draft(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    draft->parent = op->target.res;
    draft->members.arena = op->arena;
    draft->row.pi = draft->parent->row.id;
    draft->row.ty = op->req->ty;
    draft->row.ct = draft->row.lt = op->now_us;
    draft->labels_changed = bst_json_get(draft->given, "lbl") != NULL;
    BST_TRY(take_members(op, draft));
    BST_TRY(set_expiration(op, draft));
    BST_TRY(set_creator(op, draft));
    return bst_cse_check_acpi(op, bst_json_get(draft->given, "acpi"));
}

/* ---- into the store ---- */

static bst_result check_name(struct bst_cse_op *op, const struct bst_cse_draft *draft)
{
    struct bst_view name = draft->row.name;
    if (!name.len || !draft->parent) {
        return BST_OK;
    }
    if (draft->parent->rules->virtuals & (1u << bst_m2m_virtual_of(name)) &&
        bst_m2m_virtual_of(name) != BST_VIRT_NONE) {
        BST_FAIL(BST_E_CONFLICT, "%.*s is the name of a virtual resource here",
                 BST_VIEW_ARGS(name));
    }
    /* A sibling without a name of its own may be known by this one. */
    if (name.len == BST_RI_LEN) {
        struct bst_cse_res *sibling;
        BST_TRY(bst_cse_child(op, draft->parent, name, &sibling));
        BST_ENSURE(!sibling, BST_E_CONFLICT);
    }
    return BST_OK;
}

bst_result bst_cse_set_labels(struct bst_cse_op *op, int64_t id, yyjson_val *labels)
{
    size_t n = yyjson_arr_size(labels), index, count;
    struct bst_view *texts = bst_arena_alloc(op->arena, (n + 1) * sizeof *texts);
    yyjson_val *label;
    BST_ENSURE(texts, BST_E_NOMEM);
    yyjson_arr_foreach(labels, index, count, label)
    {
        texts[index] = bst_json_view(label);
    }
    return bst_labels_set(op->conn, id, texts, n);
}

/* The body of a specialization starts with its root, which no table leads back to. */
bst_result bst_cse_body(struct bst_cse_op *op, const struct bst_m2m_type *type,
                        struct bst_view root, const struct bst_cse_members *members,
                        struct bst_view *ret)
{
    BST_TRY(bst_cse_members_join(members, ret));
    if (!(bst_cse_flags(type) & BST_TYPE_SPECIALIZED)) {
        return BST_OK;
    }
    *ret = bst_arena_printf(op->arena, "\"_root\":\"%.*s\"%s%.*s", BST_VIEW_ARGS(root),
                            ret->len ? "," : "", (int)ret->len, ret->ptr);
    BST_ENSURE(ret->len, BST_E_NOMEM);
    return BST_OK;
}

static struct bst_view given_root(struct bst_cse_op *op, const struct bst_cse_draft *draft)
{
    yyjson_obj_iter iter;
    if (op->req->pc && yyjson_obj_iter_init(op->req->pc, &iter)) {
        yyjson_val *key = yyjson_obj_iter_next(&iter);
        if (key) {
            return bst_json_view(key);
        }
    }
    return bst_view(draft->type->root);
}

bst_result bst_cse_insert(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res **ret)
{
    struct bst_row *row = &draft->row;
    BST_TRY(check_name(op, draft));
    BST_TRY(bst_principal_id(op->conn, draft->creator, &row->cr));
    BST_TRY(bst_cse_body(op, draft->type, given_root(op, draft), &draft->members, &row->body));
    bst_result r = bst_resource_insert(op->conn, row, &row->id);
    if (r.code == BST_E_CONFLICT) {
        BST_FAIL(BST_E_CONFLICT, "there is a resource named %.*s (rn) here already",
                 BST_VIEW_ARGS(row->name));
    }
    BST_TRY(r);
    if (draft->alias.len) {
        BST_TRY(bst_alias_set(op->conn, draft->alias, row->id));
    }
    if (draft->labels_changed) {
        BST_TRY(bst_cse_set_labels(op, row->id, bst_json_get(draft->given, "lbl")));
    }
    return bst_cse_res_new(op, row, draft->parent, ret);
}

/* ---- the answer ---- */

static bst_result put_address(struct bst_cse_op *op, struct bst_cse_res *res, bool with_resource)
{
    struct bst_view path;
    BST_TRY(bst_cse_path(op, res, &path));
    op->call->rsp.content_location = path; /* [TS-0009 6.4.4] when the content tells the address */
    if (!with_resource) {
        bst_buf_adds(&op->out, "{\"m2m:uri\":");
        bst_buf_add_json(&op->out, path);
        bst_buf_addc(&op->out, '}');
        return bst_buf_check(&op->out);
    }
    bst_buf_adds(&op->out, "{\"m2m:rce\":{\"uri\":");
    bst_buf_add_json(&op->out, path);
    size_t at = op->out.len;
    BST_TRY(bst_cse_put_resource(op, res, NULL, 0));
    op->out.ptr[at] = ','; /* its opening brace becomes the separator, its closing one stays */
    bst_buf_addc(&op->out, '}');
    return bst_buf_check(&op->out);
}

static bst_result answer(struct bst_cse_op *op, struct bst_cse_res *res)
{
    switch (op->rcn) {
    case BST_RCN_NOTHING:
        return BST_OK;
    case BST_RCN_ADDRESS:
        return put_address(op, res, false);
    case BST_RCN_ADDRESS_ATTRIBUTES:
        return put_address(op, res, true);
    case BST_RCN_MODIFIED:
        return bst_cse_put_modified(op, NULL, res, true);
    default:
        return bst_cse_put_resource(op, res, NULL, 0);
    }
}

bst_result bst_cse_create(struct bst_cse_op *op)
{
    struct bst_cse_draft draft = {0};
    struct bst_cse_res *res;
    BST_TRY(check_type(op, &draft));
    BST_TRY(take_content(op, &draft));
    BST_TRY(begin_draft(op, &draft));
    if (draft.rules->create) {
        BST_TRY(draft.rules->create(op, &draft));
    }
    BST_TRY(bst_cse_insert(op, &draft, &res));
    if (draft.rules->created) {
        BST_TRY(draft.rules->created(op, &draft, res));
    }
    BST_TRY(bst_cse_event_add(op, BST_CSE_EVENT_CHILD_CREATE, res, (struct bst_view){0},
                              (struct bst_view){0}));
    return answer(op, res);
}
