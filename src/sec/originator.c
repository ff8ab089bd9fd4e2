/* Originator verification. The order of the checks is that of TS-0004 V3.32, 7.3.2.1; only this
 * file has it. TS-0003 V3.18, 7.2.1: From is what the security association stands for, or the
 * request ends. */
#include "sec/originator.h"

void bst_originator_init(struct bst_originator *o)
{
    o->hash = bst_hash(bst_entity_abs(&o->id));
    o->sp_hash = bst_hash(bst_entity_sp(&o->id));
}

static bool is_ae(const struct bst_entity_id *id)
{
    return id->kind == BST_ENTITY_AE_S || id->kind == BST_ENTITY_AE_C;
}

static bst_result not_authenticated(const struct bst_originator_check *check, const char *why)
{
    BST_FAIL(BST_E_NOT_AUTHENTICATED, "From '%.*s': %s", BST_VIEW_ARGS(check->from), why);
}

/* [TS-0004, 7.3.2.1] within an association of an AE whose AE-IDs are known */
static bst_result within_ae(const struct bst_originator_check *check, struct bst_originator *o)
{
    if (o->id.kind == BST_ENTITY_CSE) {
        return not_authenticated(check, "a CSE-ID, but the credential belongs to an AE");
    }
    if (!bst_association_allows_ae(check->assoc, bst_entity_abs(&o->id))) {
        return not_authenticated(check, "not an AE-ID that the credential stands for");
    }
    o->proved = true;
    return BST_OK;
}

/* A credential that stands for nobody yet can do one thing: register an AE. */
static bst_result within_unbound(const struct bst_originator_check *check,
                                 const struct bst_originator *o)
{
    struct bst_view cse = bst_entity_cse(&o->id);
    struct bst_entity_id self;
    if (!check->creates_ae) {
        return not_authenticated(check, "the credential is not bound to an AE yet, register first");
    }
    BST_TRY(bst_entity_self(check->self, &self));
    if (!bst_view_eq_nocase(bst_entity_sp(&o->id), check->self->sp_domain) ||
        (cse.len && !bst_view_eq(cse, bst_entity_abs(&self)))) {
        return not_authenticated(check, "an AE of another CSE cannot register here");
    }
    return BST_OK;
}

static bool registree_cse(const struct bst_originator_check *check, struct bst_view abs_cse_id)
{
    const struct bst_registrations *r = check->registrations;
    return abs_cse_id.len && r && r->has_cse && r->has_cse(r->ctx, abs_cse_id);
}

static bool registered_ae(const struct bst_originator_check *check, const struct bst_entity_id *id)
{
    const struct bst_registrations *r = check->registrations;
    return r && r->has_ae && r->has_ae(r->ctx, id);
}

/* [TS-0004, 7.3.2.1] within an association of a CSE: it may forward for others, but not speak as
 * somebody who has an association with us of their own. */
static bst_result within_cse(const struct bst_originator_check *check, struct bst_originator *o)
{
    struct bst_view own = bst_view(check->assoc->cse_id), abs = bst_entity_abs(&o->id);
    if (bst_view_eq(abs, own)) {
        o->proved = true;
        return BST_OK;
    }
    struct bst_view cse = bst_entity_cse(&o->id);
    struct bst_entity_id self;
    BST_TRY(bst_entity_self(check->self, &self));
    if (bst_view_eq(abs, bst_entity_abs(&self))) {
        return not_authenticated(check, "the CSE-ID of this CSE itself");
    }
    if (bst_view_eq(cse, bst_entity_abs(&self))) {
        /* Registered or not: nobody else can vouch for a name that this CSE gives, and policies may
         * know it already. */
        return not_authenticated(check,
                                 "an AE-ID of this CSE, but the credential belongs to another");
    }
    if (o->id.kind == BST_ENTITY_CSE && registree_cse(check, abs)) {
        return not_authenticated(check, "another CSE that is registered here");
    }
    if (o->id.kind == BST_ENTITY_AE_C && o->id.form == BST_FORM_STEM) {
        return not_authenticated(check,
                                 "a CSE-relative AE-ID, but the credential belongs to a CSE");
    }
    if (o->id.kind == BST_ENTITY_AE_C && !bst_view_eq(cse, own) && registree_cse(check, cse)) {
        return not_authenticated(check, "an AE of another CSE that is registered here");
    }
    if (registered_ae(check, &o->id)) {
        return not_authenticated(check, "an AE that is registered here itself");
    }
    o->forwarded = true;
    return BST_OK;
}

/* [TS-0004, 7.3.2.1] outside an association */
static bst_result outside(const struct bst_originator_check *check, const struct bst_originator *o)
{
    if (o->id.kind == BST_ENTITY_CSE) {
        BST_FAIL(BST_E_ASSOCIATION_REQUIRED,
                 "From '%.*s' is a CSE: it needs a security association",
                 BST_VIEW_ARGS(check->from));
    }
    if (!check->creates_ae && !registered_ae(check, &o->id)) {
        return not_authenticated(check,
                                 "no security association, and no such AE is registered here");
    }
    if (!check->open_aes) {
        /* [TS-0003, 6.1.2.2.1] mandatory between the field domain and an IN-CSE */
        BST_FAIL(BST_E_ASSOCIATION_REQUIRED, "AEs need a security association here");
    }
    return BST_OK;
}

static bool wants_a_stem(const struct bst_originator_check *check)
{
    return check->creates_ae && (!check->has_from || !check->from.len ||
                                 bst_view_is(check->from, "S") || bst_view_is(check->from, "C"));
}

static bool is_taken_as_written(const struct bst_originator_check *check)
{
    return check->assoc && check->assoc->kind == BST_ASSOC_LAB;
}

static bst_result verify_stemless(const struct bst_originator_check *check)
{
    if (is_taken_as_written(check) || (check->assoc && check->assoc->proved)) {
        return check->assoc->role == BST_ROLE_CSE
                   ? not_authenticated(check, "an AE registers through its own association")
                   : BST_OK;
    }
    BST_ENSURE(check->open_aes, BST_E_ASSOCIATION_REQUIRED);
    return BST_OK;
}

static bst_result verify_id(const struct bst_originator_check *check, struct bst_originator *o)
{
    if (is_taken_as_written(check)) {
        return BST_OK;
    }
    if (!check->assoc || !check->assoc->proved) {
        return outside(check, o);
    }
    switch (check->assoc->role) {
    case BST_ROLE_AE:
        return within_ae(check, o);
    case BST_ROLE_CSE:
        return within_cse(check, o);
    case BST_ROLE_UNBOUND:
        break;
    }
    return within_unbound(check, o);
}

bst_result bst_originator_verify(const struct bst_originator_check *check,
                                 struct bst_originator *ret)
{
    struct bst_originator o = {0};
    if (wants_a_stem(check)) {
        BST_TRY(verify_stemless(check));
        *ret = o;
        return BST_OK;
    }
    if (!check->has_from || !check->from.len) {
        BST_FAIL(BST_E_SYNTAX,
                 "From is missing; only a request to register an AE may leave it out");
    }
    BST_TRY(bst_entity_parse(check->self, check->from, &o.id));
    bool registree_ae = check->assoc && check->assoc->proved && check->assoc->role != BST_ROLE_CSE;
    if (check->stem_only && registree_ae && is_ae(&o.id) && o.id.form != BST_FORM_STEM) {
        BST_FAIL(BST_E_SYNTAX, "From '%.*s': an AE writes its AE-ID-Stem, '%.*s'",
                 BST_VIEW_ARGS(check->from), BST_VIEW_ARGS(bst_entity_last(&o.id)));
    }
    BST_TRY(verify_id(check, &o));
    bst_originator_init(&o);
    *ret = o;
    return BST_OK;
}
