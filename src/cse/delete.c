/* DELETE: Recv-6.5 (TS-0004 7.3.3.8), for requests and for what expires. */
#include "cse/cse_priv.h"

bst_result bst_cse_remove(struct bst_cse_op *op, struct bst_cse_res *res)
{
    const struct bst_view none = {0};
    BST_TRY(bst_cse_event_add(op, BST_CSE_EVENT_DELETE, res, none, none));
    BST_TRY(bst_cse_event_add(op, BST_CSE_EVENT_CHILD_DELETE, res, none, none));
    bool has_children = true;
    BST_TRY(bst_resource_has_child(op->conn, res->row.id, 0, &has_children));
    if (has_children) {
        BST_TRY(bst_resource_detach(op->conn, res->row.id));
        op->policies_changed = true; /* there may be policies below */
    } else {
        BST_TRY(bst_resource_delete(op->conn, res->row.id));
    }
    if (res->row.ty != BST_TY_CIN) {
        BST_TRY(bst_cse_touch_parent(op, res));
    }
    return res->rules->deleted ? res->rules->deleted(op, res) : BST_OK;
}

/* [1:8.1.2] what a DELETE shows is what there was. */
static bst_result answer(struct bst_cse_op *op, struct bst_cse_res *res)
{
    switch (op->rcn) {
    case BST_RCN_NOTHING:
        return BST_OK;
    case BST_RCN_ATTRIBUTES:
        return bst_cse_put_resource(op, res, NULL, 0);
    default:
        return bst_cse_put_children(op, res);
    }
}

bst_result bst_cse_delete(struct bst_cse_op *op)
{
    struct bst_cse_res *res = op->target.res;
    if (res->rules->before_delete) {
        BST_TRY(res->rules->before_delete(op, res));
    }
    BST_TRY(answer(op, res));
    return bst_cse_remove(op, res);
}
