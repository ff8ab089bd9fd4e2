/* <container> (TS-0004 7.4.6, TS-0001 9.6.6): its limits, and what giving way to them means.
 *
 * currentNrOfInstances and currentByteSize are columns whose values the writer holds in memory;
 * they always equal what is there. A limit that is lowered far takes its instances in slices, so
 * that the other writers of the store wait for a slice and never for the whole (purge.c). */
#include "cse/cse_priv.h"

/* Instances that one request removes at most before the rest goes to the background. */
#define EVICT_MAX 256

static void present(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out)
{
    (void)op;
    bst_buf_adds(out, ",\"cni\":");
    bst_buf_addi(out, res->row.cni);
    bst_buf_adds(out, ",\"cbs\":");
    bst_buf_addi(out, res->row.cbs);
}

static bool over(const struct bst_counters *c, int64_t mni, int64_t mbs, int64_t count,
                 int64_t bytes)
{
    return c->cni > 0 && ((mni >= 0 && c->cni + count > mni) || (mbs >= 0 && c->cbs + bytes > mbs));
}

static bst_result drop_oldest(struct bst_cse_op *op, struct bst_cse_res *container,
                              struct bst_counters *counters, bool *ret_dropped)
{
    struct bst_row row;
    BST_TRY(bst_resource_find_oldest(op->conn, container->row.id, BST_TY_CIN, NULL, &row));
    *ret_dropped = row.id != 0;
    if (!row.id) {
        return BST_OK;
    }
    /* [TS-0004 7.4.7.2.1] no notification for instances that give way */
    BST_TRY(bst_resource_delete(op->conn, row.id));
    counters->cni--;
    counters->cbs -= row.cbs;
    return BST_OK;
}

bst_result bst_cse_evict(struct bst_cse_op *op, struct bst_cse_res *container, int64_t extra_count,
                         int64_t extra_bytes, struct bst_counters *counters)
{
    int64_t mni, mbs;
    BST_TRY(bst_cse_number(op, container, "mni", -1, &mni));
    BST_TRY(bst_cse_number(op, container, "mbs", -1, &mbs));
    bool dropped = true;
    for (int i = 0; dropped && over(counters, mni, mbs, extra_count, extra_bytes); i++) {
        if (i == EVICT_MAX) {
            return bst_cse_purge_later(op, container->row.id, 0);
        }
        BST_TRY(drop_oldest(op, container, counters, &dropped));
    }
    return BST_OK;
}

static bool touches_limits(const struct bst_cse_draft *draft)
{
    return bst_json_get(draft->given, "mni") || bst_json_get(draft->given, "mbs");
}

/* [TS-0001 9.6.6] disableRetrieval from true to false deletes all instances. */
static bst_result reopens(struct bst_cse_op *op, struct bst_cse_draft *draft, bool *ret)
{
    bool was = false;
    BST_TRY(bst_cse_flag(op, draft->old, "disr", &was));
    const struct bst_cse_member *now = bst_cse_members_find(&draft->members, BST_VIEW("disr"));
    *ret = was && !(now && bst_view_is(now->text, "true"));
    return BST_OK;
}

static bst_result empty(struct bst_cse_op *op, struct bst_cse_res *res,
                        struct bst_counters *counters)
{
    struct bst_row last;
    bool dropped = true;
    BST_TRY(bst_resource_find_latest(op->conn, res->row.id, BST_TY_CIN, NULL, &last));
    for (int i = 0; dropped; i++) {
        if (i == EVICT_MAX) {
            return bst_cse_purge_later(op, res->row.id, last.id);
        }
        BST_TRY(drop_oldest(op, res, counters, &dropped));
    }
    return BST_OK;
}

static bst_result updated(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res)
{
    bool reopened;
    struct bst_counters counters;
    BST_TRY(reopens(op, draft, &reopened));
    if (!reopened && !touches_limits(draft)) {
        return BST_OK;
    }
    BST_TRY(bst_counters_get(op->conn, res->row.id, &counters));
    if (reopened) {
        BST_TRY(empty(op, res, &counters));
    }
    BST_TRY(bst_cse_evict(op, res, 0, 0, &counters));
    BST_TRY(bst_counters_set(op->conn, res->row.id, &counters));
    res->row.cni = counters.cni;
    res->row.cbs = counters.cbs;
    return BST_OK;
}

const struct bst_cse_type bst_cse_type_cnt = {
    .ty = BST_TY_CNT,
    .governor = BST_GOVERN_ACPI,
    .virtuals = 1u << BST_VIRT_LATEST | 1u << BST_VIRT_OLDEST,
    .updated = updated,
    .present = present,
};
