/* <accessControlPolicy> (TS-0004 7.4.2): checked by compiling it, in force when the answer is out.
 */
#include "cse/cse_priv.h"

static bst_result check_rules(struct bst_cse_op *op, struct bst_view text, bool self)
{
    const struct bst_acp_source source = {&op->cse->self, BST_VIEW("this policy"), self};
    struct bst_acp_rules *rules = NULL;
    yyjson_val *value;
    BST_TRY(bst_json_parse(op->arena, text, BST_JSON_DEPTH, &value));
    /* [TS-0004 7.4.2.2] selfPrivileges without a rule is a bad request. */
    BST_TRY(bst_acp_compile(&source, value, &rules));
    bst_acp_rules_free(&rules);
    return BST_OK;
}

static bst_result check(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    const struct bst_cse_member *pv = bst_cse_members_find(&draft->members, BST_VIEW("pv"));
    const struct bst_cse_member *pvs = bst_cse_members_find(&draft->members, BST_VIEW("pvs"));
    if (!pv || !pvs) {
        BST_FAIL(BST_E_SYNTAX, "a policy needs both pv and pvs");
    }
    BST_TRY(check_rules(op, pv->text, false));
    return check_rules(op, pvs->text, true);
}

static bst_result changed(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res)
{
    (void)draft;
    (void)res;
    op->policies_changed = true;
    return BST_OK;
}

static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    (void)res;
    op->policies_changed = true;
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_acp = {
    .ty = BST_TY_ACP,
    .governor = BST_GOVERN_SELF,
    .create = check,
    .created = changed,
    .update = check,
    .updated = changed,
    .deleted = deleted,
};
