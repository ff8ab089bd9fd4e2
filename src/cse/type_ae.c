/* <AE> (TS-0004 7.4.5, TS-0001 10.2.2.2): registration settles the AE-ID-Stem, which becomes the
 * resource ID, and ties the credential to it. */
#include "cse/type_se.h"

#include "crypto/rand.h"

/* The administrator's name has rights before any AE bears it: only who proves it may register it.
 */
static bool is_reserved(struct bst_cse_op *op, struct bst_view stem)
{
    const struct bst_association *assoc = op->call->assoc;
    struct bst_entity_id admin, id;
    if (bst_failed(bst_entity_parse(&op->cse->self, op->cse->config.admin, &admin)) ||
        bst_failed(bst_entity_parse(&op->cse->self, stem, &id)) ||
        !bst_view_eq(bst_entity_abs(&admin), bst_entity_abs(&id))) {
        return false;
    }
    return !(assoc && (assoc->kind == BST_ASSOC_LAB ||
                       bst_association_allows_ae(assoc, bst_entity_abs(&id))));
}

static bool stem_exists(void *ctx, struct bst_view stem)
{
    struct bst_cse_op *op = ctx;
    struct bst_row row;
    if (is_reserved(op, stem)) {
        return true;
    }
    /* A look-up that fails counts as taken: an identity must never be given twice. */
    return bst_failed(bst_resource_find_alias(op->conn, stem, NULL, &row)) || row.id != 0;
}

static bst_result random_bytes(void *ctx, void *out, size_t len)
{
    (void)ctx;
    return bst_random(out, len);
}

void bst_cse_registration(struct bst_cse_op *op, struct bst_ae_registration *ret)
{
    bool whole = op->who.id.len != 0;
    *ret = (struct bst_ae_registration){
        .from = whole ? bst_entity_last(&op->who.id) : op->req->fr,
        .app_id = bst_json_view(bst_json_get(op->content.members, "api")),
        .assoc = op->call->assoc,
    };
}

static bst_result settle_stem(struct bst_cse_op *op, struct bst_view *ret)
{
    struct bst_ae_registration registration;
    const struct bst_stem_policy policy = {
        .prefer_s = false,
        .any_letter = op->call->assoc && op->call->assoc->kind == BST_ASSOC_LAB,
        .exists = stem_exists,
        .random = random_bytes,
        .ctx = op,
    };
    char stem[BST_STEM_MAX + 1];
    bst_cse_registration(op, &registration);
    BST_TRY(bst_registration_stem(&registration, op->granted ? &op->grant : NULL, &policy, stem));
    *ret = bst_arena_view(op->arena, bst_view(stem));
    BST_ENSURE(ret->len, BST_E_NOMEM);
    return BST_OK;
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_entity_id id;
    BST_TRY(settle_stem(op, &draft->alias));
    BST_TRY(bst_entity_parse(&op->cse->self, draft->alias, &id));
    bst_cse_members_set_text(&draft->members, "aei", draft->alias);
    draft->creator = bst_arena_view(op->arena, bst_entity_abs(&id));
    BST_ENSURE(draft->creator.len, BST_E_NOMEM);
    if (!draft->row.name.len) {
        draft->row.name = draft->alias;
    }
    return BST_OK;
}

static bool has_credential(const struct bst_association *assoc)
{
    return assoc && assoc->proved && assoc->cred_id[0];
}

static bst_result created(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res)
{
    const struct bst_cse_config *config = &op->cse->config;
    (void)draft;
    if (!has_credential(op->call->assoc)) {
        return BST_OK;
    }
    op->registered = res->ri;
    return config->bind_credential
               ? config->bind_credential(config->bind_ctx, op->conn, op->call->assoc, res->ri)
               : BST_OK;
}

static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    const struct bst_cse_config *config = &op->cse->config;
    op->deregistered = res->ri;
    BST_TRY(bst_secure_forget_owner(op, res)); /* its <SE> goes with it */
    return config->unbind_credential
               ? config->unbind_credential(config->bind_ctx, op->conn, res->ri)
               : BST_OK;
}

const struct bst_cse_type bst_cse_type_ae = {
    .ty = BST_TY_AE,
    .governor = BST_GOVERN_ACPI,
    .create = create,
    .created = created,
    .deleted = deleted,
};
