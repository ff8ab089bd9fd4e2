/* Discovery (TS-0004 7.3.3.14, TS-0001 10.2.6): the matches below a resource that the originator
 * may discover, as addresses (m2m:uril) or references (m2m:rrl). What it may not discover is left
 * out, what is below that is not.
 *
 * Labels are found through their index, so that a label in a tree of millions costs what it marks;
 * everything else walks the tree. */
#include "cse/cse_priv.h"

#define LABELS_MAX 8

struct search {
    struct bst_cse_op *op;
    struct bst_cse_res *root;
    struct bst_buf out;
    int64_t seen, offset, limit, put;
    int64_t max_level;
    bool references, full;
};

static bst_result put_match(struct search *s, struct bst_cse_res *res)
{
    if (s->references) {
        return bst_cse_put_reference(s->op, res, &s->out, s->put == 0);
    }
    struct bst_view address;
    BST_TRY(bst_cse_address(s->op, res, &address));
    if (s->put) {
        bst_buf_addc(&s->out, ',');
    }
    bst_buf_add_json(&s->out, address);
    return bst_buf_check(&s->out);
}

static bst_result consider(struct search *s, struct bst_cse_res *res)
{
    struct bst_cse_op *op = s->op;
    bool match, visible = false;
    BST_TRY(bst_cse_match(op, res, &op->req->fc, &match));
    if (match && op->req->fc.arp.len) {
        BST_TRY(bst_cse_apply_path(op, res, op->req->fc.arp, &res));
    }
    if (match && res) {
        BST_TRY(bst_cse_visible(op, res, &visible));
    }
    if (!visible || ++s->seen < s->offset) {
        return BST_OK;
    }
    if (s->put == s->limit) {
        s->full = true;
        op->call->rsp.cnst = 1;
        op->call->rsp.cnot = s->offset + s->put;
        return BST_OK;
    }
    BST_TRY(put_match(s, res));
    s->put++;
    return BST_OK;
}

/* ---- through the tree ---- */

static bst_result visit(struct bst_cse_walk *walk, struct bst_cse_res *res, unsigned level,
                        void *above, void **ret_below)
{
    struct search *s = walk->user;
    bool inactive;
    (void)level;
    (void)above;
    BST_TRY(bst_cse_inactive(walk->op, res, &inactive));
    if (inactive) {
        *ret_below = NULL;
        return BST_OK;
    }
    BST_TRY(consider(s, res));
    walk->stop = s->full;
    return BST_OK;
}

static bst_result through_tree(struct search *s)
{
    struct bst_cse_walk walk = {
        .op = s->op, .visit = visit, .max_level = (unsigned)s->max_level, .user = s};
    return bst_cse_walk(&walk, s->root, s);
}

/* ---- through the labels ---- */

/* Is the resource below the root, within the level, and not in the shadow of an inactive AE? */
static bst_result is_below(struct search *s, struct bst_cse_res *res, bool *ret)
{
    struct bst_cse_res *at = res;
    *ret = false;
    for (int64_t level = 0; at; level++) {
        bool inactive;
        if (at->row.id == s->root->row.id) {
            *ret = level > 0 && level <= s->max_level;
            return BST_OK;
        }
        BST_TRY(bst_cse_inactive(s->op, at, &inactive));
        if (inactive) {
            return BST_OK;
        }
        bst_result r = bst_cse_parent(s->op, at, &at);
        if (r.code == BST_E_NOT_FOUND) {
            return BST_OK; /* on its way out with a removed ancestor */
        }
        BST_TRY(r);
    }
    return BST_OK;
}

struct labelled {
    struct bst_cursor cursor;
    struct bst_row row;
};

static bst_result labelled_row(struct search *s, const struct bst_row *row)
{
    struct bst_arena scratch, *outer = s->op->arena;
    struct bst_cse_res *res;
    bool below = false;
    bst_arena_init(&scratch, 0);
    s->op->arena = &scratch;
    bst_result r = bst_cse_res_new(s->op, row, NULL, &res);
    r = bst_failed(r) ? r : is_below(s, res, &below);
    if (!bst_failed(r) && below) {
        r = consider(s, res);
    }
    s->op->arena = outer;
    bst_arena_clear(&scratch);
    return r;
}

/* The lists of several labels are merged by id, so that each resource comes once. */
static bst_result merge(struct search *s, struct labelled *lists, size_t n)
{
    while (!s->full) {
        int64_t lowest = 0;
        struct labelled *pick = NULL;
        for (size_t i = 0; i < n; i++) {
            if (lists[i].row.id && (!pick || lists[i].row.id < lowest)) {
                pick = &lists[i];
                lowest = pick->row.id;
            }
        }
        if (!pick) {
            return BST_OK;
        }
        BST_TRY(labelled_row(s, &pick->row));
        for (size_t i = 0; i < n; i++) {
            if (lists[i].row.id == lowest) {
                BST_TRY(bst_cursor_next(&lists[i].cursor, &lists[i].row));
            }
        }
    }
    return BST_OK;
}

static bst_result through_labels(struct search *s)
{
    const struct bst_m2m_views *labels = &s->op->req->fc.lbl;
    struct labelled lists[LABELS_MAX] = {0};
    bst_result r = BST_OK;
    for (size_t i = 0; i < labels->n && !bst_failed(r); i++) {
        r = bst_labelled_open(s->op->conn, labels->v[i], 0, 0, &lists[i].cursor);
        r = bst_failed(r) ? r : bst_cursor_next(&lists[i].cursor, &lists[i].row);
    }
    r = bst_failed(r) ? r : merge(s, lists, labels->n);
    for (size_t i = 0; i < LABELS_MAX; i++) {
        bst_cursor_clear(&lists[i].cursor);
    }
    return r;
}

/* Labels narrow a search when every match must carry one, and none is a pattern. */
static bool labels_lead(const struct bst_m2m_filter *fc)
{
    if (fc->fo == BST_FO_OR || fc->fo == BST_FO_XOR || !fc->lbl.n || fc->lbl.n > LABELS_MAX) {
        return false;
    }
    for (size_t i = 0; i < fc->lbl.n; i++) {
        if (memchr(fc->lbl.v[i].ptr, '*', fc->lbl.v[i].len)) {
            return false;
        }
    }
    return true;
}

/* ---- both ---- */

static void begin(struct search *s, struct bst_cse_op *op, struct bst_cse_res *root)
{
    const struct bst_m2m_filter *fc = &op->req->fc;
    *s = (struct search){.op = op, .root = root};
    s->references = op->rcn == BST_RCN_CHILD_REFS;
    s->offset = bst_m2m_filter_has(fc, BST_FC_OFST) ? fc->ofst : 1;
    s->limit = op->cse->config.max_results;
    if (bst_m2m_filter_has(fc, BST_FC_LIM) && fc->lim < s->limit) {
        s->limit = fc->lim;
    }
    s->max_level = BST_ADDR_SEGMENTS;
    if (bst_m2m_filter_has(fc, BST_FC_LVL) && fc->lvl < s->max_level) {
        s->max_level = fc->lvl;
    }
}

bst_result bst_cse_discover(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct search s;
    struct bst_view path;
    begin(&s, op, res);
    BST_TRY(bst_cse_path(op, res, &path));
    bst_result r = labels_lead(&op->req->fc) ? through_labels(&s) : through_tree(&s);
    if (!bst_failed(r)) {
        bst_buf_adds(&op->out, s.references ? "{\"m2m:rrl\":{\"rrf\":[" : "{\"m2m:uril\":[");
        bst_buf_addv(&op->out, bst_buf_view(&s.out));
        bst_buf_adds(&op->out, s.references ? "]}}" : "]}");
        r = bst_buf_check(&op->out);
    }
    bst_buf_clear(&s.out);
    return r;
}
