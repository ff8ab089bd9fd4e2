/* <contentInstance> (TS-0004 7.4.7): written once, counted by its container, never changed. */
#include "cse/cse_priv.h"

static void present(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out)
{
    (void)op;
    bst_buf_adds(out, ",\"cs\":");
    bst_buf_addi(out, res->row.cbs);
}

/* [TS-0004 7.4.7.2.1] the size in bytes of the content attribute: of the text itself, without
 * quotes and escapes; of other JSON, of its serialization. */
static bst_result content_size(const struct bst_cse_draft *draft, int64_t *ret)
{
    yyjson_val *con = bst_json_get(draft->given, "con");
    if (yyjson_is_str(con)) {
        *ret = (int64_t)yyjson_get_len(con);
        return BST_OK;
    }
    const struct bst_cse_member *member = bst_cse_members_find(&draft->members, BST_VIEW("con"));
    *ret = member ? (int64_t)member->text.len : 0;
    return BST_OK;
}

static bst_result check_size(struct bst_cse_op *op, struct bst_cse_res *container, int64_t size)
{
    int64_t mbs, mni;
    BST_TRY(bst_cse_number(op, container, "mbs", -1, &mbs));
    BST_TRY(bst_cse_number(op, container, "mni", -1, &mni));
    if (mbs >= 0 && size > mbs) {
        BST_FAIL(BST_E_NOT_ACCEPTABLE,
                 "content (con) has %lld bytes, the container takes %lld (mbs)", (long long)size,
                 (long long)mbs);
    }
    if (mni == 0) {
        BST_FAIL(BST_E_NOT_ACCEPTABLE,
                 "the container keeps no instances: maxNrOfInstances (mni) is 0");
    }
    return BST_OK;
}

/* [TS-0004 7.4.7.2.1] expirationTime no later than maxInstanceAge allows. */
static bst_result limit_age(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    int64_t mia;
    BST_TRY(bst_cse_number(op, draft->parent, "mia", -1, &mia));
    if (mia >= 0 && mia < INT64_MAX / BST_US_PER_S - draft->row.ct / BST_US_PER_S - 1) {
        int64_t latest = draft->row.ct + mia * BST_US_PER_S;
        if (!draft->row.et || draft->row.et > latest) {
            draft->row.et = latest;
        }
    }
    return BST_OK;
}

static bst_result create(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_counters counters;
    int64_t size;
    BST_TRY(content_size(draft, &size));
    BST_TRY(check_size(op, draft->parent, size));
    BST_TRY(limit_age(op, draft));
    BST_TRY(bst_counters_get(op->conn, draft->parent->row.id, &counters));
    BST_TRY(bst_cse_evict(op, draft->parent, 1, size, &counters));
    counters.cni++;
    counters.cbs += size;
    counters.st++;
    counters.lt = op->now_us;
    draft->row.cbs = size;
    draft->row.st = counters.st;
    return bst_counters_set(op->conn, draft->parent->row.id, &counters);
}

static bst_result refuse_when_disabled(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_cse_res *container;
    bool disabled = false;
    BST_TRY(bst_cse_parent(op, res, &container));
    if (container) {
        BST_TRY(bst_cse_flag(op, container, "disr", &disabled));
    }
    if (disabled) {
        BST_FAIL(BST_E_OPERATION,
                 "disableRetrieval (disr) of the container is true: its instances are closed");
    }
    return BST_OK;
}

static bst_result deleted(struct bst_cse_op *op, struct bst_cse_res *res)
{
    struct bst_counters counters;
    BST_TRY(bst_counters_get(op->conn, res->row.pi, &counters));
    counters.cni--;
    counters.cbs -= res->row.cbs;
    counters.st++;
    counters.lt = op->now_us;
    return bst_counters_set(op->conn, res->row.pi, &counters);
}

const struct bst_cse_type bst_cse_type_cin = {
    .ty = BST_TY_CIN,
    .governor = BST_GOVERN_PARENT,
    .refused = 1u << BST_OP_UPDATE, /* [TS-0004 7.4.7.2.3] */
    .create = create,
    .before_delete = refuse_when_disabled,
    .deleted = deleted,
    .read = refuse_when_disabled,
    .present = present,
};
