/* Filter criteria against stored resources (TS-0004 7.3.3.17), and who may see a match. */
#include "cse/cse_priv.h"

struct subject_ctx {
    struct bst_cse_op *op;
    struct bst_cse_res *res;
    bool whole; /* attribute criteria look at columns too */
};

static bst_result subject_make(struct bst_cse_op *op, struct bst_cse_res *res, bool whole,
                               struct bst_m2m_subject *ret);

static bst_result load_whole(struct subject_ctx *ctx, yyjson_val **ret)
{
    struct bst_buf text = {0};
    bst_buf_addc(&text, '{');
    bst_result r = bst_cse_represent(ctx->op, ctx->res, &text);
    bst_buf_addc(&text, '}');
    if (!bst_failed(r)) {
        r = bst_json_parse(ctx->op->arena, bst_buf_view(&text), BST_JSON_DEPTH + 1, ret);
    }
    bst_buf_clear(&text);
    return r;
}

static bst_result subject_load(struct bst_m2m_subject *subject)
{
    struct subject_ctx *ctx = subject->ctx;
    return ctx->whole ? load_whole(ctx, &subject->body)
                      : bst_cse_attrs(ctx->op, ctx->res, &subject->body);
}

static bst_result subject_parent(struct bst_m2m_subject *subject, struct bst_m2m_subject *ret,
                                 bool *ret_found)
{
    struct subject_ctx *ctx = subject->ctx;
    struct bst_cse_res *parent;
    BST_TRY(bst_cse_parent(ctx->op, ctx->res, &parent));
    *ret_found = parent != NULL;
    return parent ? subject_make(ctx->op, parent, ctx->whole, ret) : BST_OK;
}

/* Children of any type one after the other; the cursor is the place behind the last one. */
static bst_result next_child(struct subject_ctx *ctx, struct bst_place *place, struct bst_row *ret)
{
    struct bst_cursor cursor;
    struct bst_row row = {0};
    *ret = row;
    BST_TRY(bst_children_open(ctx->op->conn, ctx->res->row.id, 0, *place, 1, &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    if (!bst_failed(r) && row.id) {
        *place = (struct bst_place){row.ty, row.id};
        r = bst_row_copy(&row, ctx->op->arena, ret);
    }
    bst_cursor_clear(&cursor);
    return r;
}

static bst_result subject_child(struct bst_m2m_subject *subject, int64_t *cursor,
                                struct bst_m2m_subject *ret, bool *ret_found)
{
    struct subject_ctx *ctx = subject->ctx;
    struct bst_place place = {0};
    struct bst_row row;
    struct bst_cse_res *child;
    if (*cursor) {
        /* The type of the row behind which to go on is not in the cursor: ask for it. */
        BST_TRY(bst_resource_find(ctx->op->conn, *cursor, NULL, &row));
        place = (struct bst_place){row.ty, *cursor};
    }
    BST_TRY(next_child(ctx, &place, &row));
    *ret_found = row.id != 0;
    if (!row.id) {
        return BST_OK;
    }
    *cursor = row.id;
    BST_TRY(bst_cse_res_new(ctx->op, &row, ctx->res, &child));
    return subject_make(ctx->op, child, ctx->whole, ret);
}

static const struct bst_m2m_subject_ops subject_ops = {subject_load, subject_parent, subject_child};

static bst_result subject_make(struct bst_cse_op *op, struct bst_cse_res *res, bool whole,
                               struct bst_m2m_subject *ret)
{
    struct subject_ctx *ctx = bst_arena_alloc(op->arena, sizeof *ctx);
    BST_ENSURE(ctx, BST_E_NOMEM);
    *ctx = (struct subject_ctx){op, res, whole};
    *ret = (struct bst_m2m_subject){
        .ty = res->row.ty,
        .ct_us = res->row.ct,
        .lt_us = res->row.lt,
        .et_us = res->row.et,
        .st = bst_cse_flags(res->type) & BST_TYPE_STATE_TAG ? res->row.st : -1,
        .size = res->row.ty == BST_TY_CIN ? res->row.cbs : -1,
        .ops = &subject_ops,
        .ctx = ctx,
    };
    return BST_OK;
}

bst_result bst_cse_match(struct bst_cse_op *op, struct bst_cse_res *res,
                         const struct bst_m2m_filter *filter, bool *ret)
{
    static const uint64_t columns =
        BST_FC_BIT(BST_FC_ATR) | BST_FC_BIT(BST_FC_CATR) | BST_FC_BIT(BST_FC_PATR);
    struct bst_m2m_subject subject;
    *ret = true;
    if (!bst_m2m_filter_selects(filter)) {
        return BST_OK;
    }
    BST_TRY(subject_make(op, res, (filter->present & columns) != 0, &subject));
    return bst_m2m_filter_match(filter, &subject, ret);
}

static bst_result step_down(struct bst_cse_op *op, struct bst_cse_res *at, struct bst_view name,
                            struct bst_cse_res **ret)
{
    enum bst_m2m_virtual virt = bst_m2m_virtual_of(name);
    if (bst_view_is(name, "LATEST")) {
        virt = BST_VIRT_LATEST; /* as the standard's own example writes it */
    }
    if ((virt == BST_VIRT_LATEST || virt == BST_VIRT_OLDEST) &&
        at->rules->virtuals & (1u << virt)) {
        return bst_cse_instance(op, at, virt == BST_VIRT_LATEST, ret);
    }
    return bst_cse_child(op, at, name, ret);
}

bst_result bst_cse_apply_path(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view path,
                              struct bst_cse_res **ret)
{
    struct bst_cse_res *at = res;
    bool more = path.len != 0;
    while (at && more) {
        struct bst_view segment;
        more = bst_view_cut(&path, '/', &segment);
        if (bst_view_is(segment, "..")) {
            BST_TRY(bst_cse_parent(op, at, &at));
        } else if (segment.len && !bst_view_is(segment, ".")) {
            BST_TRY(step_down(op, at, segment, &at));
        }
    }
    *ret = at;
    return BST_OK;
}

/* [7.4.7.2.2] instances of a container with disableRetrieval are not shown. */
static bst_result is_closed(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret)
{
    struct bst_cse_res *container;
    *ret = false;
    if (res->row.ty != BST_TY_CIN || bst_cse_is_discovery(op)) {
        return BST_OK;
    }
    BST_TRY(bst_cse_parent(op, res, &container));
    return container ? bst_cse_flag(op, container, "disr", ret) : BST_OK;
}

bst_result bst_cse_visible(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret)
{
    bool closed;
    const struct bst_cse_need need = {.acop = bst_cse_is_discovery(op) ? BST_ACOP_DISCOVERY
                                                                       : BST_ACOP_RETRIEVE};
    *ret = false;
    if (res->type->flags & BST_TYPE_SECURE && bst_m2m_is_r1(op->req)) {
        return BST_OK; /* Release 1 had no secure environment */
    }
    BST_TRY(is_closed(op, res, &closed));
    return closed ? BST_OK : bst_cse_access(op, res, &need, ret);
}

bst_result bst_cse_inactive(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret)
{
    enum { ACTIVE = 1, INACTIVE = 2 };
    int64_t status = ACTIVE;
    if (res->row.ty == BST_TY_AE) {
        BST_TRY(bst_cse_number(op, res, "regs", ACTIVE, &status));
    }
    *ret = status == INACTIVE;
    return BST_OK;
}

bool bst_cse_may_have_children(const struct bst_cse_res *res)
{
    for (uint16_t i = 0; i < res->type->n_children; i++) {
        if (bst_cse_type_find(res->type->children[i])) {
            return true;
        }
    }
    return false;
}

/* Rows that the answer to a DELETE looks at: the other writers wait meanwhile. */
#define WRITER_ROWS 10000

/* Each level has its own memory, given back row by row, so that a walk over a million resources
 * needs no more than one over a few. */
static bst_result walk_level(struct bst_cse_walk *walk, struct bst_cse_res *parent, unsigned level,
                             void *above);

static bst_result walk_row(struct bst_cse_walk *walk, const struct bst_row *row,
                           struct bst_cse_res *parent, unsigned level, void *above)
{
    struct bst_cse_res *res;
    void *below = above;
    if (walk->op->writing && ++walk->visited > WRITER_ROWS) {
        walk->stop = true;
        walk->op->call->rsp.cnst = 1;
        return BST_OK;
    }
    BST_TRY(bst_cse_res_new(walk->op, row, parent, &res));
    BST_TRY(walk->visit(walk, res, level, above, &below));
    if (below && !walk->stop && level < walk->max_level && bst_cse_may_have_children(res)) {
        return walk_level(walk, res, level + 1, below);
    }
    return BST_OK;
}

static bst_result walk_level(struct bst_cse_walk *walk, struct bst_cse_res *parent, unsigned level,
                             void *above)
{
    struct bst_arena scratch, *outer = walk->op->arena;
    struct bst_cursor cursor;
    struct bst_row row = {0};
    bst_arena_init(&scratch, 0);
    BST_TRY(
        bst_children_open(walk->op->conn, parent->row.id, 0, (struct bst_place){0}, 0, &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    while (!bst_failed(r) && row.id && !walk->stop) {
        walk->op->arena = &scratch;
        r = walk_row(walk, &row, parent, level, above);
        walk->op->arena = outer;
        bst_arena_reset(&scratch);
        if (!bst_failed(r) && !walk->stop) {
            r = bst_cursor_next(&cursor, &row);
        }
    }
    bst_cursor_clear(&cursor);
    bst_arena_clear(&scratch);
    return r;
}

bst_result bst_cse_walk(struct bst_cse_walk *walk, struct bst_cse_res *root, void *above)
{
    return walk->max_level ? walk_level(walk, root, 1, above) : BST_OK;
}
