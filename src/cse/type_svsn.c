/* <serviceSubscribedNode> (TS-0004 7.4.20): rules are linked for a CSE, so there must be one. */
#include "cse/cse_priv.h"

static bst_result check(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    (void)op;
    if (bst_cse_members_find(&draft->members, BST_VIEW("rlk")) &&
        !bst_cse_members_find(&draft->members, BST_VIEW("csi"))) {
        BST_FAIL(BST_E_VALUE, "ruleLinks (rlk) need a CSE-ID (csi) in the same resource");
    }
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_svsn = {
    .ty = BST_TY_SVSN,
    .governor = BST_GOVERN_ACPI,
    .create = check,
    .update = check,
};
