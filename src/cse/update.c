/* UPDATE: Recv-6.4 (TS-0004 7.3.3.4), Recv-6.5 (7.3.3.7), and the answer by Result Content. */
#include "cse/cse_priv.h"

/* Children looked at, newest first, for one that would outlive its parent. */
#define CHILDREN_LOOKED_AT 1000

static bst_result check_content(struct bst_cse_op *op, struct bst_cse_res *old)
{
    const struct bst_cse_content *content = &op->content;
    if (bst_failed(content->check)) {
        BST_FAIL(content->check.code, "%.*s", BST_VIEW_ARGS(content->detail));
    }
    if (content->type != old->type) {
        BST_FAIL(BST_E_VALUE, "the content is a %s, the target a %s", content->type->root,
                 old->type->root);
    }
    /* [1:9.6.1.3.2] acpi is changed by a request of its own. */
    if (bst_json_get(content->members, "acpi") && yyjson_obj_size(content->members) > 1) {
        BST_FAIL(BST_E_VALUE,
                 "accessControlPolicyIDs (acpi) must be the only attribute of an UPDATE");
    }
    return BST_OK;
}

/* [7.3.3.4] an expirationTime before that of a child is a bad request. */
static bst_result check_children(struct bst_cse_op *op, const struct bst_cse_draft *draft)
{
    struct bst_cursor cursor;
    struct bst_row row = {0};
    BST_TRY(bst_children_open_desc(op->conn, draft->row.id, 0, (struct bst_place){0},
                                   CHILDREN_LOOKED_AT, &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    bool later = false;
    while (!bst_failed(r) && row.id && !later) {
        later = row.et > draft->row.et;
        r = bst_cursor_next(&cursor, &row);
    }
    bst_cursor_clear(&cursor);
    BST_TRY(r);
    if (later) {
        BST_FAIL(BST_E_VALUE,
                 "expirationTime (et) lies before that of a child: shorten that first");
    }
    return BST_OK;
}

static bst_result set_expiration(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    yyjson_val *et = bst_json_get(draft->given, "et");
    if (!et) {
        return BST_OK;
    }
    struct bst_cse_res *parent;
    BST_TRY(bst_cse_parent(op, draft->old, &parent));
    BST_TRY(bst_cse_expiration(op, et, parent, &draft->row.et));
    return draft->row.et < draft->old->row.et ? check_children(op, draft) : BST_OK;
}

static bst_result merge(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    yyjson_val *attrs;
    yyjson_obj_iter iter;
    BST_TRY(bst_cse_attrs(op, draft->old, &attrs));
    bst_cse_members_add_json(&draft->members, attrs);
    yyjson_obj_iter_init(draft->given, &iter);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct bst_view name = bst_json_view(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (yyjson_is_null(value)) {
            bst_cse_members_remove(&draft->members, name);
        } else if (!bst_view_is(name, "et")) {
            bst_cse_members_set(&draft->members, name, bst_json_text(op->arena, value));
        }
    }
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

/* Counters of a container live with the writer: the row goes back with their values of now. */
static bst_result refresh_counters(struct bst_cse_op *op, struct bst_row *row)
{
    struct bst_counters counters;
    BST_TRY(bst_counters_get(op->conn, row->id, &counters));
    row->cni = counters.cni;
    row->cbs = counters.cbs;
    row->st = counters.st;
    return BST_OK;
}

static bst_result begin_draft(struct bst_cse_op *op, struct bst_cse_res *old,
                              struct bst_cse_draft *draft)
{
    draft->type = old->type;
    draft->rules = old->rules;
    draft->old = old;
    draft->given = op->content.members;
    draft->members.arena = op->arena;
    if (old->row.ty == BST_TY_CNT) {
        BST_TRY(refresh_counters(op, &old->row));
    }
    draft->row = old->row;
    draft->labels_changed = bst_json_get(draft->given, "lbl") != NULL;
    BST_TRY(bst_cse_parent(op, old, &draft->parent));
    BST_TRY(set_expiration(op, draft));
    BST_TRY(bst_cse_check_acpi(op, bst_json_get(draft->given, "acpi")));
    return merge(op, draft);
}

static bst_result store(struct bst_cse_op *op, struct bst_cse_draft *draft,
                        struct bst_cse_res **ret)
{
    struct bst_row *row = &draft->row;
    row->lt = op->now_us;
    if (bst_cse_flags(draft->type) & BST_TYPE_STATE_TAG) {
        row->st++;
    }
    BST_TRY(bst_cse_body(op, draft->type, bst_cse_root(draft->old), &draft->members, &row->body));
    BST_TRY(bst_resource_update(op->conn, row));
    if (draft->labels_changed) {
        BST_TRY(bst_cse_set_labels(op, row->id, bst_json_get(draft->given, "lbl")));
    }
    return bst_cse_res_new(op, row, draft->parent, ret);
}

bst_result bst_cse_touch_parent(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_cse_res *parent;
    BST_TRY(bst_cse_parent(op, res, &parent));
    if (!parent || parent->row.ty != BST_TY_CNT) {
        return BST_OK;
    }
    struct bst_counters counters;
    BST_TRY(bst_counters_get(op->conn, parent->row.id, &counters));
    counters.st++;
    return bst_counters_set(op->conn, parent->row.id, &counters);
}

static bst_result add_event(struct bst_cse_op *op, struct bst_cse_res *old, struct bst_cse_res *res)
{
    if (!op->cse->config.events) {
        return BST_OK;
    }
    struct bst_buf text = op->out; /* both writers below append to op->out */
    op->out = (struct bst_buf){0};
    struct bst_view before = {0}, modified = {0};
    bst_result r = bst_cse_represent(op, old, &op->out);
    if (!bst_failed(r)) {
        before = bst_arena_view(op->arena, bst_buf_view(&op->out));
        op->out.len = 0;
        r = bst_cse_put_modified(op, old, res, false);
    }
    if (!bst_failed(r)) {
        modified = bst_arena_view(op->arena, bst_buf_view(&op->out));
        r = before.ptr && modified.ptr ? BST_OK : bst_error(BST_E_NOMEM);
    }
    bst_buf_clear(&op->out);
    op->out = text;
    BST_TRY(r);
    return bst_cse_event_add(op, BST_CSE_EVENT_UPDATE, res, before, modified);
}

static bst_result answer(struct bst_cse_op *op, struct bst_cse_res *old, struct bst_cse_res *res)
{
    switch (op->rcn) {
    case BST_RCN_NOTHING:
        return BST_OK;
    case BST_RCN_MODIFIED:
        return bst_cse_put_modified(op, old, res, true);
    default:
        return bst_cse_put_resource(op, res, NULL, 0);
    }
}

bst_result bst_cse_update(struct bst_cse_op *op)
{
    struct bst_cse_draft draft = {0};
    struct bst_cse_res *old = op->target.res, *res;
    BST_TRY(check_content(op, old));
    BST_TRY(begin_draft(op, old, &draft));
    if (draft.rules->update) {
        BST_TRY(draft.rules->update(op, &draft));
    }
    BST_TRY(store(op, &draft, &res));
    if (draft.rules->updated) {
        BST_TRY(draft.rules->updated(op, &draft, res));
    }
    BST_TRY(bst_cse_touch_parent(op, res));
    BST_TRY(add_event(op, old, res));
    return answer(op, old, res);
}
