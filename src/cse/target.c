/* From addresses to resources: all forms of TS-0001 7.2 and 9.3.1, virtual children, parents,
 * paths.
 *
 * A structured address is walked from the CSEBase by name, an unstructured one is an alias or a
 * store id under the key of the CSE. Nothing is cached between operations: each sees its own
 * snapshot. */
#include "cse/cse_priv.h"

/* Rows of the types with specializations begin with this member, which no answer shows. */
#define PRIVATE_HEAD "\"_root\":\""

static const struct bst_m2m_type *type_of_row(const struct bst_row *row,
                                              struct bst_view *ret_stored)
{
    *ret_stored = row->body;
    if (!bst_view_starts(row->body, BST_VIEW(PRIVATE_HEAD))) {
        return bst_m2m_type_by_ty(row->ty);
    }
    struct bst_view rest = bst_view_from(row->body, sizeof PRIVATE_HEAD - 1), root;
    bst_view_cut(&rest, '"', &root);
    *ret_stored = rest.len && rest.ptr[0] == ',' ? bst_view_from(rest, 1) : rest;
    const struct bst_m2m_type *type = bst_m2m_type_by_root(root);
    return type ? type : bst_m2m_type_by_ty(row->ty);
}

struct bst_view bst_cse_root(const struct bst_cse_res *res)
{
    if (bst_view_starts(res->row.body, BST_VIEW(PRIVATE_HEAD))) {
        struct bst_view rest = bst_view_from(res->row.body, sizeof PRIVATE_HEAD - 1), root;
        bst_view_cut(&rest, '"', &root);
        return root;
    }
    return bst_view(res->type->root);
}

static bst_result set_ri(struct bst_cse_op *op, struct bst_cse_res *res)
{
    if (res->row.ty == BST_TY_CB) {
        res->ri = op->cse->base_ri;
        return BST_OK;
    }
    if (res->row.ty == BST_TY_AE) {
        BST_TRY(bst_alias_of(op->conn, res->row.id, op->arena, &res->ri));
        if (res->ri.len) {
            return BST_OK;
        }
    }
    char *text = bst_arena_alloc(op->arena, BST_RI_LEN + 1);
    BST_ENSURE(text, BST_E_NOMEM);
    bst_ri_format(&op->cse->ri_key, res->row.id, text);
    res->ri = (struct bst_view){text, BST_RI_LEN};
    return BST_OK;
}

bst_result bst_cse_res_new(struct bst_cse_op *op, const struct bst_row *row,
                           struct bst_cse_res *parent, struct bst_cse_res **ret)
{
    struct bst_cse_res *res = bst_arena_alloc(op->arena, sizeof *res);
    BST_ENSURE(res, BST_E_NOMEM);
    res->arena = op->arena;
    res->row = *row;
    res->parent = parent;
    res->type = type_of_row(row, &res->stored);
    res->rules = bst_cse_type_find(row->ty);
    if (!res->type || !res->rules) {
        BST_FAIL(BST_E_CORRUPT, "the store holds a resource of the unknown type %d", row->ty);
    }
    BST_TRY(set_ri(op, res));
    if (!res->row.name.len) {
        res->row.name = res->ri;
    }
    *ret = res;
    return BST_OK;
}

bst_result bst_cse_res_by_id(struct bst_cse_op *op, int64_t id, struct bst_cse_res **ret)
{
    struct bst_row row;
    *ret = NULL;
    BST_TRY(bst_resource_find(op->conn, id, op->arena, &row));
    return row.id ? bst_cse_res_new(op, &row, NULL, ret) : BST_OK;
}

bst_result bst_cse_parent(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_cse_res **ret)
{
    if (!res->parent && res->row.pi != BST_PI_ROOT) {
        struct bst_arena *arena = op->arena;
        op->arena = res->arena;
        bst_result r = bst_cse_res_by_id(op, res->row.pi, &res->parent);
        op->arena = arena;
        BST_TRY(r);
        if (!res->parent) {
            BST_FAIL(BST_E_NOT_FOUND, "the resource was removed together with its parent");
        }
    }
    *ret = res->parent;
    return BST_OK;
}

bst_result bst_cse_path(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret)
{
    if (!res->path.len) {
        struct bst_cse_res *parent;
        BST_TRY(bst_cse_parent(op, res, &parent));
        if (!parent) {
            res->path = op->cse->config.cse_name;
        } else {
            struct bst_view above;
            BST_TRY(bst_cse_path(op, parent, &above));
            res->path = bst_arena_printf(res->arena, "%.*s/%.*s", BST_VIEW_ARGS(above),
                                         BST_VIEW_ARGS(res->row.name));
        }
        BST_ENSURE(res->path.len, BST_E_NOMEM);
    }
    *ret = res->path;
    return BST_OK;
}

bst_result bst_cse_attrs(struct bst_cse_op *op, struct bst_cse_res *res, yyjson_val **ret)
{
    if (!res->attrs) {
        size_t len = res->stored.len;
        char *text = bst_arena_alloc(res->arena, len + 2);
        BST_ENSURE(text, BST_E_NOMEM);
        text[0] = '{';
        if (len) {
            memcpy(text + 1, res->stored.ptr, len);
        }
        text[len + 1] = '}';
        bst_result r = bst_json_parse(res->arena, (struct bst_view){text, len + 2},
                                      BST_JSON_DEPTH + 1, &res->attrs);
        if (bst_failed(r)) {
            res->attrs = NULL;
            BST_ENSURE(r.code != BST_E_NOMEM, BST_E_NOMEM);
            BST_FAIL(BST_E_CORRUPT, "the stored attributes of %.*s cannot be read",
                     BST_VIEW_ARGS(res->ri));
        }
    }
    *ret = res->attrs;
    return BST_OK;
}

bst_result bst_cse_attr(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                        yyjson_val **ret)
{
    yyjson_val *attrs;
    BST_TRY(bst_cse_attrs(op, res, &attrs));
    *ret = bst_json_get(attrs, sn);
    return BST_OK;
}

bst_result bst_cse_number(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                          int64_t absent, int64_t *ret)
{
    yyjson_val *value;
    BST_TRY(bst_cse_attr(op, res, sn, &value));
    *ret = yyjson_is_int(value) ? yyjson_get_sint(value) : absent;
    return BST_OK;
}

bst_result bst_cse_flag(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn, bool *ret)
{
    yyjson_val *value;
    BST_TRY(bst_cse_attr(op, res, sn, &value));
    *ret = yyjson_is_true(value);
    return BST_OK;
}

/* A resource without a name of its own is known by its resource ID. */
static bst_result child_by_generated_name(struct bst_cse_op *op, struct bst_cse_res *parent,
                                          struct bst_view name, struct bst_row *ret)
{
    int64_t id;
    *ret = (struct bst_row){0};
    if (name.len != BST_RI_LEN || bst_failed(bst_ri_parse(&op->cse->ri_key, name, &id))) {
        return BST_OK;
    }
    BST_TRY(bst_resource_find(op->conn, id, op->arena, ret));
    if (ret->id && (ret->pi != parent->row.id || ret->name.len)) {
        ret->id = 0;
    }
    return BST_OK;
}

bst_result bst_cse_child(struct bst_cse_op *op, struct bst_cse_res *parent, struct bst_view name,
                         struct bst_cse_res **ret)
{
    struct bst_row row;
    *ret = NULL;
    BST_TRY(bst_resource_find_name(op->conn, parent->row.id, name, op->arena, &row));
    if (!row.id) {
        BST_TRY(child_by_generated_name(op, parent, name, &row));
    }
    return row.id ? bst_cse_res_new(op, &row, parent, ret) : BST_OK;
}

bst_result bst_cse_instance(struct bst_cse_op *op, struct bst_cse_res *container, bool latest,
                            struct bst_cse_res **ret)
{
    struct bst_row row;
    *ret = NULL;
    if (latest) {
        BST_TRY(bst_resource_find_latest(op->conn, container->row.id, BST_TY_CIN, op->arena, &row));
    } else {
        BST_TRY(bst_resource_find_oldest(op->conn, container->row.id, BST_TY_CIN, op->arena, &row));
    }
    return row.id ? bst_cse_res_new(op, &row, container, ret) : BST_OK;
}

/* The CSEBase's row hardly ever matters, so it is read only when it is the target or asked for. */
static bst_result base(struct bst_cse_op *op, struct bst_cse_res **ret)
{
    BST_TRY(bst_cse_res_by_id(op, op->cse->base_id, ret));
    BST_ENSURE(*ret, BST_E_CORRUPT);
    return BST_OK;
}

static bst_result by_unstructured(struct bst_cse_op *op, struct bst_view ri,
                                  struct bst_cse_res **ret)
{
    struct bst_row row = {0};
    int64_t id;
    *ret = NULL;
    if (ri.len == BST_RI_LEN && !bst_view_eq(ri, op->cse->base_ri) &&
        !bst_failed(bst_ri_parse(&op->cse->ri_key, ri, &id))) {
        bool attached = false;
        BST_TRY(bst_resource_find(op->conn, id, op->arena, &row));
        if (row.id && row.ty != BST_TY_AE) { /* an AE answers to its AE-ID-Stem */
            BST_TRY(bst_resource_row_attached(op->conn, &row, &attached));
        }
        row.id = attached ? row.id : 0;
    }
    if (!row.id) {
        BST_TRY(bst_resource_find_alias(op->conn, ri, op->arena, &row));
    }
    return row.id ? bst_cse_res_new(op, &row, NULL, ret) : BST_OK;
}

static bool has_virtual(const struct bst_cse_res *res, enum bst_m2m_virtual virt)
{
    return virt != BST_VIRT_NONE && (res->rules->virtuals & (1u << virt)) != 0;
}

static struct bst_view suffix_from(const struct bst_m2m_address *a, size_t segment)
{
    if (segment >= a->n_seg) {
        return (struct bst_view){NULL, 0};
    }
    const char *end = a->rest.ptr + a->rest.len;
    return (struct bst_view){a->seg[segment].ptr, (size_t)(end - a->seg[segment].ptr)};
}

/* The virtual child of `res` at `segment`, with what follows it. */
static bst_result enter_virtual(struct bst_cse_op *op, struct bst_cse_res *res, size_t segment,
                                struct bst_cse_target *ret)
{
    const struct bst_m2m_address *a = &ret->address;
    ret->virt = bst_m2m_virtual_of(a->seg[segment]);
    ret->container = res;
    ret->suffix = suffix_from(a, segment + 1);
    if (ret->virt != BST_VIRT_LATEST && ret->virt != BST_VIRT_OLDEST) {
        ret->res = ret->virt == BST_VIRT_FANOUT || !ret->suffix.len ? res : NULL;
        return BST_OK;
    }
    if (ret->suffix.len) {
        ret->container = NULL; /* nothing lives below an instance that is named by position */
        return BST_OK;
    }
    return bst_cse_instance(op, res, ret->virt == BST_VIRT_LATEST, &ret->res);
}

static bst_result walk(struct bst_cse_op *op, struct bst_cse_res *from, size_t segment, bool names,
                       struct bst_cse_target *ret)
{
    const struct bst_m2m_address *a = &ret->address;
    struct bst_cse_res *at = from;
    for (; at && segment < a->n_seg; segment++) {
        if (has_virtual(at, bst_m2m_virtual_of(a->seg[segment]))) {
            return enter_virtual(op, at, segment, ret);
        }
        struct bst_cse_res *next = NULL;
        if (names) {
            BST_TRY(bst_cse_child(op, at, a->seg[segment], &next));
        }
        at = next;
    }
    ret->res = at;
    return BST_OK;
}

static bool names_base(const struct bst_cse_op *op, const struct bst_m2m_address *a)
{
    return bst_view_eq(a->seg[0], op->cse->config.cse_name) || bst_view_is(a->seg[0], "-");
}

static bst_result walk_structured(struct bst_cse_op *op, struct bst_cse_target *ret)
{
    if (ret->address.n_seg < 2) {
        return base(op, &ret->res);
    }
    /* A stand-in for the CSEBase: its id is known and its own row rarely needed. */
    struct bst_cse_res *root = bst_arena_alloc(op->arena, sizeof *root);
    BST_ENSURE(root, BST_E_NOMEM);
    root->arena = op->arena;
    root->row.id = op->cse->base_id;
    root->rules = &bst_cse_type_cb;
    BST_TRY(walk(op, root, 1, true, ret));
    if (ret->res && ret->res->parent == root) {
        ret->res->parent = NULL;
    }
    for (struct bst_cse_res *r = ret->container ? ret->container : ret->res; r; r = r->parent) {
        if (r->parent == root) {
            r->parent = NULL;
        }
    }
    return BST_OK;
}

bst_result bst_cse_target_find(struct bst_cse_op *op, struct bst_view to,
                               struct bst_cse_target *ret)
{
    *ret = (struct bst_cse_target){0};
    BST_TRY(bst_m2m_address_parse(to, &ret->address));
    if (!bst_m2m_address_is_local(&ret->address, op->cse->self.sp_domain, op->cse->csi)) {
        return BST_OK;
    }
    if (ret->address.n_seg == 0) {
        return base(op, &ret->res);
    }
    if (names_base(op, &ret->address)) {
        return walk_structured(op, ret);
    }
    struct bst_cse_res *first;
    BST_TRY(by_unstructured(op, ret->address.seg[0], &first));
    return walk(op, first, 1, false, ret);
}

bst_result bst_cse_find(struct bst_cse_op *op, struct bst_view address, struct bst_cse_res **ret)
{
    struct bst_cse_target target;
    *ret = NULL;
    bst_result r = bst_cse_target_find(op, address, &target);
    if (r.code == BST_E_SYNTAX || r.code == BST_E_TOO_LONG || r.code == BST_E_TOO_DEEP) {
        return BST_OK;
    }
    BST_TRY(r);
    *ret = target.virt == BST_VIRT_NONE ? target.res : NULL;
    return BST_OK;
}
