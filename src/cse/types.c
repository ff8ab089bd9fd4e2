/* The resource types that this CSE supports, and who governs each (TS-0001 9.6.1.3.2).
 *
 * A type that needs no procedure of its own has its line here and nothing else; the others have a
 * file of their own, type_<name>.c. supportedResourceType of the CSEBase is read from this table.
 */
#include "cse/cse_priv.h"

static const struct bst_cse_type plain[] = {
    {.ty = BST_TY_MSSP, .governor = BST_GOVERN_ACPI},
    {.ty = BST_TY_ASAR, .governor = BST_GOVERN_ACPI},
    {.ty = BST_TY_NOD, .governor = BST_GOVERN_ACPI},
    {.ty = 13,
     .governor = BST_GOVERN_ACPI}, /* mgmtObj: the data; no management protocol behind it */
};

static const struct bst_cse_type *const special[] = {
    &bst_cse_type_acp,  &bst_cse_type_ae,   &bst_cse_type_cnt,  &bst_cse_type_cin,
    &bst_cse_type_cb,   &bst_cse_type_grp,  &bst_cse_type_svsn, &bst_cse_type_sub,
    &bst_cse_type_pch,  &bst_cse_type_req,  &bst_cse_type_se,   &bst_cse_type_sdo,
    &bst_cse_type_ciph, &bst_cse_type_asp,  &bst_cse_type_sign, &bst_cse_type_hash,
    &bst_cse_type_rand, &bst_cse_type_iden, &bst_cse_type_seco, &bst_cse_type_coin,
};

#define N_SPECIAL (sizeof special / sizeof special[0])
#define N_PLAIN (sizeof plain / sizeof plain[0])

const struct bst_cse_type *bst_cse_type_at(size_t i)
{
    if (i < N_SPECIAL) {
        return special[i];
    }
    return i - N_SPECIAL < N_PLAIN ? &plain[i - N_SPECIAL] : NULL;
}

const struct bst_cse_type *bst_cse_type_find(int ty)
{
    const struct bst_cse_type *type;
    for (size_t i = 0; (type = bst_cse_type_at(i)) != NULL; i++) {
        if (type->ty == ty) {
            return type;
        }
    }
    return NULL;
}

uint32_t bst_cse_flags(const struct bst_m2m_type *type)
{
    const struct bst_m2m_type *generic = bst_m2m_type_by_ty(type->ty);
    return type->flags | (generic ? generic->flags : 0);
}
