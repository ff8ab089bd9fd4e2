/* RETRIEVE: Recv-6.5 (TS-0004 7.3.3.6, 7.3.3.14), whole, in part, with children, or discovery. */
#include "cse/cse_priv.h"

/* [7.3.3.6] attributes by name; one that the type does not have is a bad request. */
static bst_result check_names(struct bst_cse_op *op, struct bst_cse_res *res,
                              const struct bst_m2m_views *names)
{
    (void)op;
    for (size_t i = 0; i < names->n; i++) {
        if (!bst_m2m_attr_find(res->type, names->v[i])) {
            BST_FAIL(BST_E_VALUE, "a resource of type %s has no attribute %.*s", res->type->name,
                     BST_VIEW_ARGS(names->v[i]));
        }
    }
    return BST_OK;
}

static bst_result one_attribute(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_view name = op->target.address.attribute;
    const struct bst_m2m_views names = {&name, 1};
    BST_TRY(check_names(op, res, &names));
    BST_TRY(bst_cse_put_resource(op, res, &name, 1));
    struct bst_view empty = BST_VIEW(":{}}");
    if (op->out.len >= empty.len &&
        memcmp(op->out.ptr + op->out.len - empty.len, empty.ptr, empty.len) == 0) {
        op->out.len = 0;
        BST_FAIL(BST_E_NOT_FOUND, "the resource has no %.*s now", BST_VIEW_ARGS(name));
    }
    return BST_OK;
}

bst_result bst_cse_retrieve(struct bst_cse_op *op)
{
    struct bst_cse_res *res = op->target.res;
    if (bst_cse_is_discovery(op)) {
        return bst_cse_discover(op, res);
    }
    if (res->rules->read) {
        BST_TRY(res->rules->read(op, res));
    }
    if (op->target.address.attribute.len) {
        return one_attribute(op, res);
    }
    if (op->rcn == BST_RCN_ATTRIBUTES) {
        BST_TRY(check_names(op, res, &op->req->atrl));
        return bst_cse_put_resource(op, res, op->req->atrl.v, op->req->atrl.n);
    }
    return bst_cse_put_children(op, res);
}
