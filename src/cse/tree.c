/* Result Content 4, 5, 6 and 8: what is below a resource, nested or as references (TS-0001 8.1.2,
 * TS-0004 7.5.2, 8.4).
 *
 * limit counts resources, offset counts direct children, and a direct child comes with everything
 * that is to be shown below it or not at all. A match whose parents are not matches themselves
 * hangs on its nearest ancestor that is shown: parents come before their children, and nothing
 * unasked is shown. */
#include "cse/cse_priv.h"

struct node {
    struct node *next, *first, **tail;
    struct bst_view root, text;
    bool done;
};

struct tree {
    struct bst_arena *arena; /* of the operation: nodes outlive the walk */
    struct node top;
    struct bst_buf refs;
    bool nested, references;
    size_t kept, n_refs;                 /* resources and references kept so far */
    size_t branch;                       /* resources in the direct child at hand */
    size_t branch_refs, branch_refs_len; /* references before it, to fall back to */
    struct node **branch_tail;
    int64_t offset, limit, direct; /* direct: 1-based number of the child at hand */
    bool partial;
};

static void node_init(struct node *node)
{
    node->tail = &node->first;
}

static bst_result add_node(struct bst_cse_walk *walk, struct bst_cse_res *res, struct node *above,
                           struct node **ret)
{
    struct tree *tree = walk->user;
    struct bst_buf text = {0};
    struct node *node = bst_arena_alloc(tree->arena, sizeof *node);
    BST_ENSURE(node, BST_E_NOMEM);
    node_init(node);
    bst_result r = bst_cse_show(walk->op, res, NULL, 0, &text);
    if (!bst_failed(r)) {
        node->text = bst_arena_view(tree->arena, bst_buf_view(&text));
        node->root = bst_arena_view(tree->arena, bst_cse_root(res));
        r = node->text.ptr && node->root.ptr ? BST_OK : bst_error(BST_E_NOMEM);
    }
    bst_buf_clear(&text);
    BST_TRY(r);
    *above->tail = node;
    above->tail = &node->next;
    *ret = node;
    return BST_OK;
}

bst_result bst_cse_put_reference(struct bst_cse_op *op, struct bst_cse_res *res,
                                 struct bst_buf *out, bool first)
{
    struct bst_view address;
    BST_TRY(bst_cse_address(op, res, &address));
    bst_buf_adds(out, first ? "{\"nm\":" : ",{\"nm\":");
    bst_buf_add_json(out, res->row.name);
    bst_buf_adds(out, ",\"typ\":");
    bst_buf_addi(out, res->row.ty);
    bst_buf_adds(out, ",\"val\":");
    bst_buf_add_json(out, address);
    bst_buf_addc(out, '}');
    return bst_buf_check(out);
}

/* The direct child before this one is complete: keep it, or take it back when it exceeds. */
static void close_branch(struct bst_cse_walk *walk)
{
    struct tree *tree = walk->user;
    if (!tree->branch) {
        return;
    }
    tree->direct++;
    bool skip = tree->direct < tree->offset;
    bool exceeds = !skip && (int64_t)(tree->kept + tree->branch) > tree->limit;
    if (skip || exceeds) {
        *tree->branch_tail = NULL;
        tree->top.tail = tree->branch_tail;
        tree->n_refs = tree->branch_refs;
        tree->refs.len = tree->branch_refs_len;
    } else {
        tree->kept += tree->branch;
    }
    if (exceeds) {
        tree->partial = true;
        walk->stop = true;
        walk->op->call->rsp.cnst = 1;
        walk->op->call->rsp.cnot = tree->direct;
    }
    tree->branch = 0;
}

static void open_branch(struct tree *tree)
{
    tree->branch_tail = tree->top.tail;
    tree->branch_refs = tree->n_refs;
    tree->branch_refs_len = tree->refs.len;
}

static bst_result keep(struct bst_cse_walk *walk, struct bst_cse_res *res, struct node *above,
                       void **ret_below)
{
    struct tree *tree = walk->user;
    tree->branch++;
    if (tree->direct + 1 < tree->offset) {
        return BST_OK; /* only counted: the answer starts with a later child */
    }
    if ((int64_t)tree->branch > tree->limit) {
        walk->stop = true; /* closes the branch as one that exceeds */
        return BST_OK;
    }
    if (tree->references) {
        return bst_cse_put_reference(walk->op, res, &tree->refs, tree->n_refs++ == 0);
    }
    struct node *node = NULL;
    BST_TRY(add_node(walk, res, above, &node));
    *ret_below = node;
    return BST_OK;
}

static bst_result visit(struct bst_cse_walk *walk, struct bst_cse_res *res, unsigned level,
                        void *above, void **ret_below)
{
    struct tree *tree = walk->user;
    struct bst_cse_op *op = walk->op;
    bool match, visible = false;
    if (level == 1) {
        close_branch(walk);
        if (walk->stop) {
            return BST_OK;
        }
        open_branch(tree);
    }
    BST_TRY(bst_cse_match(op, res, &op->req->fc, &match));
    if (!match) {
        return BST_OK;
    }
    struct bst_cse_res *shown = res;
    if (op->req->fc.arp.len) {
        BST_TRY(bst_cse_apply_path(op, res, op->req->fc.arp, &shown));
    }
    if (shown) {
        BST_TRY(bst_cse_visible(op, shown, &visible));
    }
    return visible ? keep(walk, shown, above, ret_below) : BST_OK;
}

/* [TS-0004 8.4.2] children of one type form an array under the name of the type. */
static void put_nodes(struct bst_buf *out, struct node *parent, bool comma)
{
    for (struct node *lead = parent->first; lead; lead = lead->next) {
        if (lead->done) {
            continue;
        }
        if (comma) {
            bst_buf_addc(out, ',');
        }
        comma = true;
        bst_buf_add_json(out, lead->root);
        bst_buf_adds(out, ":[");
        for (struct node *node = lead; node; node = node->next) {
            if (node->done || !bst_view_eq(node->root, lead->root)) {
                continue;
            }
            node->done = true;
            bst_buf_adds(out, node == lead ? "{" : ",{");
            bst_buf_addv(out, node->text);
            put_nodes(out, node, node->text.len != 0);
            bst_buf_addc(out, '}');
        }
        bst_buf_addc(out, ']');
    }
}

static bst_result collect(struct bst_cse_op *op, struct bst_cse_res *res, struct tree *tree)
{
    const struct bst_m2m_filter *fc = &op->req->fc;
    struct bst_cse_walk walk = {.op = op, .visit = visit, .user = tree};
    struct bst_view path;
    walk.max_level = bst_m2m_filter_has(fc, BST_FC_LVL)
                         ? (fc->lvl > BST_ADDR_SEGMENTS ? BST_ADDR_SEGMENTS : (unsigned)fc->lvl)
                         : BST_ADDR_SEGMENTS;
    tree->arena = op->arena;
    tree->offset = bst_m2m_filter_has(fc, BST_FC_OFST) ? fc->ofst : 1;
    tree->limit = op->cse->config.max_results;
    if (bst_m2m_filter_has(fc, BST_FC_LIM) && fc->lim < tree->limit) {
        tree->limit = fc->lim;
    }
    node_init(&tree->top);
    open_branch(tree);
    BST_TRY(bst_cse_path(op, res, &path));
    BST_TRY(bst_cse_walk(&walk, res, &tree->top));
    close_branch(&walk);
    return BST_OK;
}

static bst_result put_members(struct bst_cse_op *op, struct bst_cse_res *res, bool attributes)
{
    bst_buf_addc(&op->out, '{');
    bst_buf_add_json(&op->out, bst_cse_root(res));
    bst_buf_adds(&op->out, ":{");
    return attributes ? bst_cse_show(op, res, NULL, 0, &op->out) : BST_OK;
}

static bst_result put(struct bst_cse_op *op, struct bst_cse_res *res, struct tree *tree)
{
    bool attributes =
        op->rcn == BST_RCN_ATTRIBUTES_CHILDREN || op->rcn == BST_RCN_ATTRIBUTES_CHILD_REFS;
    if (op->rcn == BST_RCN_CHILD_REFS) {
        /* TS-0004 7.5.2 leaves open which root a plain retrieve has here: the list of references.
         */
        bst_buf_adds(&op->out, "{\"m2m:rrl\":{\"rrf\":[");
        bst_buf_addv(&op->out, bst_buf_view(&tree->refs));
        bst_buf_adds(&op->out, "]}}");
        return bst_buf_check(&op->out);
    }
    BST_TRY(put_members(op, res, attributes));
    if (tree->nested) {
        put_nodes(&op->out, &tree->top, attributes);
    } else {
        bst_buf_adds(&op->out, ",\"ch\":[");
        bst_buf_addv(&op->out, bst_buf_view(&tree->refs));
        bst_buf_addc(&op->out, ']');
    }
    bst_buf_adds(&op->out, "}}");
    return bst_buf_check(&op->out);
}

bst_result bst_cse_put_children(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct tree tree = {0};
    tree.nested = op->rcn == BST_RCN_ATTRIBUTES_CHILDREN || op->rcn == BST_RCN_CHILDREN;
    tree.references = !tree.nested;
    bst_result r = collect(op, res, &tree);
    if (!bst_failed(r)) {
        r = put(op, res, &tree);
    }
    bst_buf_clear(&tree.refs);
    return r;
}
