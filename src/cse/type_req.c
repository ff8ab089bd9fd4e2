/* <request> (TS-0004 7.4.12): made by the CSE for a non-blocking request, and its originator's. */
#include "cse/cse_priv.h"

enum { STATUS_PENDING = 3, STATUS_FORWARDED = 4, STATUS_PARTIALLY_COMPLETED = 5 };

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_entity_id id;
    if (!op->call->own) {
        BST_FAIL(BST_E_OPERATION, "a <request> is made by the CSE, not by a request");
    }
    BST_TRY(
        bst_entity_parse(&op->cse->self, bst_json_view(bst_json_get(draft->given, "org")), &id));
    draft->creator = bst_arena_view(op->arena, bst_entity_abs(&id));
    BST_ENSURE(draft->creator.ptr, BST_E_NOMEM);
    return BST_OK;
}

/* [7.4.12.2.4] what is under way cannot be called back. */
static bst_result before_delete(struct bst_cse_op *op, struct bst_cse_res *res)
{
    int64_t status;
    BST_TRY(bst_cse_number(op, res, "rs", 0, &status));
    if (!op->call->own && (status == STATUS_PENDING || status == STATUS_FORWARDED ||
                           status == STATUS_PARTIALLY_COMPLETED)) {
        BST_FAIL(BST_E_RECALL, "the request is under way");
    }
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_req = {
    .ty = BST_TY_REQ,
    .governor = BST_GOVERN_ACPI,
    .create = create,
    .before_delete = before_delete,
};
