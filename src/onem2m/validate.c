/* Representations of CREATE and UPDATE against the attribute tables: TS-0004 7.3.3.3, 7.3.3.4. */
#include "onem2m/r1.h"
#include "onem2m/tables_priv.h"

/* Known optional attributes and members that nothing here acts on yet. A request that asks for them
 * is told so with 5001 instead of being accepted and ignored. */
static const char *const unsupported[] = {
    "asp.iV", /* the secure environment makes nonces itself: one used twice breaks GCM */
    "asp.nc",   "coin.oD", /* the secure environment is no end point of connections */
    "sub.acrs",            /* cross-resource subscriptions */
    "sub.bn",              /* batch notifications */
    "sub.psn",             /* notifications of the past */
};

bool bst_m2m_attr_supported(const struct bst_m2m_type *type, const struct bst_m2m_attr *attr)
{
    size_t len = strlen(type->sn);
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        const char *name = unsupported[i];
        if (strncmp(name, type->sn, len) == 0 && name[len] == '.' &&
            strcmp(name + len + 1, attr->sn) == 0) {
            return false;
        }
    }
    return true;
}

static const char *nearest(const struct bst_m2m_type *type, struct bst_view sn)
{
    const char *best = NULL;
    unsigned distance = 2;
    for (size_t i = 0; i < type->n_attrs; i++) {
        unsigned d = bst_edit_distance(sn, bst_view(type->attrs[i].sn));
        bool long_name = bst_view_is(sn, bst_m2m_attr_name(&type->attrs[i]));
        if (long_name || d < distance) {
            distance = long_name ? 0 : d;
            best = type->attrs[i].sn;
        }
    }
    return best;
}

static bst_result unknown(const struct bst_m2m_type *type, const struct bst_m2m_path *path)
{
    const char *near = nearest(type, path->name);
    return bst_m2m_path_fail(BST_E_SYNTAX, path, "<%s> has no such attribute%s%s%s", type->name,
                             near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* null asks for removal (TS-0004 7.3.3.4), so only in UPDATE and only what may be absent. The one
 * exception: creator is asked for by a null at CREATE (TS-0001 9.6.1.3.2). */
static bst_result check_null(enum bst_m2m_op op, const struct bst_m2m_attr *attr,
                             const struct bst_m2m_path *path)
{
    if (op == BST_OP_CREATE) {
        return strcmp(attr->sn, "cr") == 0
                   ? BST_OK
                   : bst_m2m_path_fail(BST_E_VALUE, path, "null is not allowed at creation");
    }
    /* TS-0001 9.6.1.3.2: null for expirationTime lets the hosting CSE choose a new one. */
    if ((attr->flags & BST_ATTR_REQUIRED) && strcmp(attr->sn, "et") != 0) {
        return bst_m2m_path_fail(BST_E_VALUE, path, "(%s) has multiplicity 1, cannot be removed",
                                 bst_m2m_attr_name(attr));
    }
    return BST_OK;
}

static bst_result check_attr(const struct bst_m2m_type *type, enum bst_m2m_op op,
                             const struct bst_m2m_attr *attr, yyjson_val *value,
                             const struct bst_m2m_path *path)
{
    uint8_t opt = op == BST_OP_CREATE ? attr->create : attr->update;
    if (opt == BST_OPT_NP) {
        return bst_m2m_path_fail(BST_E_SYNTAX, path, "(%s) must not be present in a %s",
                                 bst_m2m_attr_name(attr), bst_m2m_op_name(op));
    }
    if (yyjson_is_null(value)) {
        return check_null(op, attr, path);
    }
    if (op == BST_OP_CREATE && strcmp(attr->sn, "cr") == 0) {
        return bst_m2m_path_fail(BST_E_VALUE, path,
                                 "creator is set by the CSE: send null to ask for it");
    }
    BST_TRY(bst_m2m_check_value(attr->type, value, path));
    if (!bst_m2m_attr_supported(type, attr)) {
        return bst_m2m_path_fail(BST_E_NOT_IMPLEMENTED, path, "(%s) is not supported",
                                 bst_m2m_attr_name(attr));
    }
    return BST_OK;
}

static bst_result check_missing(const struct bst_m2m_type *type, enum bst_m2m_op op, uint64_t seen,
                                bool release_1)
{
    uint64_t missing =
        (op == BST_OP_CREATE ? type->create_mandatory : type->update_mandatory) & ~seen;
    while (missing) {
        const struct bst_m2m_attr *attr = &type->attrs[__builtin_ctzll(missing)];
        if (!release_1 || !bst_m2m_r1_optional(type->ty, bst_view(attr->sn))) {
            BST_FAIL(BST_E_SYNTAX, "%s: mandatory attribute \"%s\" (%s) is missing", type->root,
                     attr->sn, bst_m2m_attr_name(attr));
        }
        missing &= missing - 1;
    }
    return BST_OK;
}

static bst_result validate(const struct bst_m2m_type *type, enum bst_m2m_op op, yyjson_val *members,
                           bool release_1)
{
    struct bst_m2m_path root = {NULL, bst_view(type->root), -1};
    if (!yyjson_is_obj(members)) {
        return bst_m2m_path_fail(BST_E_SYNTAX, &root, "must be an object, found %s",
                                 bst_json_kind(members));
    }
    uint64_t seen = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(members);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct bst_m2m_path here = {&root, bst_json_view(key), -1};
        const struct bst_m2m_attr *attr = bst_m2m_attr_find(type, here.name);
        if (!attr) {
            if (type->flags & BST_TYPE_SPECIALIZED) {
                continue;
            }
            return unknown(type, &here);
        }
        BST_TRY(check_attr(type, op, attr, yyjson_obj_iter_get_val(key), &here));
        seen |= UINT64_C(1) << attr->index;
    }
    return check_missing(type, op, seen, release_1);
}

bst_result bst_m2m_validate(const struct bst_m2m_type *type, enum bst_m2m_op op,
                            yyjson_val *members)
{
    return validate(type, op, members, false);
}

bst_result bst_m2m_r1_validate(const struct bst_m2m_type *type, enum bst_m2m_op op,
                               yyjson_val *members)
{
    return validate(type, op, members, true);
}

bst_result bst_m2m_validate_as(const char *type_name, yyjson_val *value, const char *path)
{
    int type = bst_m2m_datatype_by_name(bst_view(type_name));
    if (BST_BUG(type < 0)) {
        return bst_error(BST_E_INTERNAL);
    }
    struct bst_m2m_path here = {NULL, bst_view(path), -1};
    return bst_m2m_check_value((uint16_t)type, value, &here);
}
