/* <SE> (TS-0016 7.3): what is behind it, and whose keys hang below it. One stands below the CSEBase
 * from the first start; an AE may have one of its own on the same environment, with keys of its
 * own. */
#include "cse/type_se.h"

static void add_supported(struct bst_buf *out)
{
    const struct bst_m2m_type *type;
    bool first = true;
    bst_buf_adds(out, ",\"srt\":[");
    for (size_t i = 0; (type = bst_m2m_type_at(i)) != NULL; i++) {
        if ((type->flags & BST_TYPE_SECURE) && type->ty != BST_TY_SE &&
            bst_cse_type_find(type->ty)) {
            bst_buf_adds(out, first ? "" : ",");
            bst_buf_addi(out, type->ty);
            first = false;
        }
    }
    bst_buf_addc(out, ']');
}

/* [7.3.0] the CSE or AE that it serves */
static void add_host(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out)
{
    struct bst_cse_res *above = res->parent;
    if (res->row.pi == op->cse->base_id) {
        bst_buf_adds(out, ",\"hcl\":");
        bst_buf_add_json(out, op->cse->csi);
        return;
    }
    if (!above && (bst_failed(bst_cse_res_by_id(op, res->row.pi, &above)) || !above)) {
        return; /* gone meanwhile */
    }
    bst_buf_adds(out, ",\"hal\":[");
    bst_buf_add_json(out, above->ri);
    bst_buf_addc(out, ']');
}

static void present(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out)
{
    if (op->cse->config.se) {
        bst_buf_addf(out, ",\"seT\":%d,\"seL\":%d,\"sID\":", op->cse->se_type, op->cse->se_level);
        bst_buf_add_json(out, op->cse->se_id);
    }
    add_supported(out);
    add_host(op, res, out);
}

bst_result bst_secure_draft(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    if (!op->cse->config.se) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "this CSE has no secure environment");
    }
    bst_cse_members_remove(&draft->members, BST_VIEW("msg"));
    if (!draft->old) { /* [7.4.1] the creator is always recorded */
        bst_cse_members_set_text(&draft->members, "cr", op->req->fr);
    }
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

bst_result bst_secure_only_one(struct bst_cse_op *op, const struct bst_cse_draft *draft)
{
    struct bst_row row;
    BST_TRY(bst_resource_find_latest(op->conn, draft->parent->row.id, draft->row.ty, NULL, &row));
    if (row.id) {
        BST_FAIL(BST_E_CONFLICT, "there is a resource of type %s here already: one is possible",
                 draft->type->name);
    }
    return BST_OK;
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    const char *owner;
    BST_TRY(bst_secure_draft(op, draft));
    BST_TRY(bst_secure_only_one(op, draft));
    return bst_secure_owner_of(op, draft->parent, &owner); /* it must be able to own keys */
}

/* The CSE's own lives as long as the CSE. */
static bst_result update(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    if (draft->row.pi == op->cse->base_id && bst_json_get(draft->given, "et")) {
        BST_FAIL(BST_E_OPERATION, "the secure environment of the CSE itself does not expire");
    }
    return BST_OK;
}

static bst_result before_delete(struct bst_cse_op *op, struct bst_cse_res *res)
{
    if (res->row.pi == op->cse->base_id) {
        BST_FAIL(BST_E_OPERATION, "the secure environment of the CSE itself is not deleted");
    }
    return BST_OK;
}

static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_cse_res *above;
    BST_TRY(bst_cse_parent(op, res, &above));
    return bst_secure_forget_owner(op, above);
}

const struct bst_cse_type bst_cse_type_se = {
    .ty = BST_TY_SE,
    .governor = BST_GOVERN_INHERIT,
    .create = create,
    .update = update,
    .before_delete = before_delete,
    .deleted = deleted,
    .present = present,
};
