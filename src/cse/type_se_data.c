/* <sensitiveDataObject> (TS-0016 7.4): what comes in never comes out in clear. A key of its own,
 * inside, seals it; the sealed text lies in the store, and is nothing once that key is wiped. */
#include "cse/type_se.h"

static bst_result take(struct bst_cse_op *op, struct bst_cse_draft *draft, struct bst_cse_res *at)
{
    struct bst_secure_work work = {
        .kind = BST_SECURE_KEEP, .type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_SEAL};
    struct bst_view data;
    BST_TRY(bst_secure_input(op, BST_SECURE_INPUT_MAX, &data));
    BST_TRY(bst_secure_owner(op, at, &work.owner));
    BST_TRY(bst_secure_new_data_label(op, at, &work.made));
    BST_TRY(bst_secure_run(op, &work));
    bst_cse_members_set_number(&draft->members, "cbs", (int64_t)data.len);
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    BST_TRY(bst_secure_draft(op, draft));
    return take(op, draft, draft->parent);
}

static bst_result keep(struct bst_cse_op *op, struct bst_cse_draft *draft, struct bst_cse_res *res)
{
    (void)draft;
    return bst_secure_keep(op, res->row.id, op->secure->work.made, bst_buf_view(&op->secure->out));
}

static bst_result update(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    BST_TRY(bst_secure_draft(op, draft));
    return bst_json_get(draft->given, "msg") ? take(op, draft, draft->old) : BST_OK;
}

static bst_result updated(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res)
{
    if (!bst_json_get(draft->given, "msg")) {
        return BST_OK;
    }
    BST_TRY(bst_secure_forget(op, res->row.id));
    return keep(op, draft, res);
}

static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    return bst_secure_forget(op, res->row.id);
}

static bst_result read(struct bst_cse_op *op, struct bst_cse_res *res)
{
    bool asked = bst_view_is(op->target.address.attribute, "msg");
    (void)res;
    for (size_t i = 0; i < op->req->atrl.n; i++) {
        asked = asked || bst_view_is(op->req->atrl.v[i], "msg");
    }
    if (asked) {
        BST_FAIL(BST_E_OPERATION, "sensitiveData (msg) is written, never read");
    }
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_sdo = {
    .ty = BST_TY_SDO,
    .governor = BST_GOVERN_INHERIT,
    .create = create,
    .created = keep,
    .update = update,
    .updated = updated,
    .deleted = deleted,
    .read = read,
};
