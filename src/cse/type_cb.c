/* <CSEBase> (TS-0004 7.4.3): what it says about this CSE is computed, never stored, so that it
 * follows the configuration; only its policies and labels are rows of the store. */
#include "cse/cse_priv.h"

/* In ascending order, whatever the order of the table. */
static bool is_supported(const struct bst_cse_op *op, const struct bst_m2m_type *type)
{
    bool secure = (type->flags & BST_TYPE_SECURE) != 0;
    return bst_cse_type_find(type->ty) &&
           !(secure && (!op->cse->config.se || bst_m2m_is_r1(op->req)));
}

static void add_supported(const struct bst_cse_op *op, struct bst_buf *out)
{
    const struct bst_m2m_type *type;
    int last = 0;
    bst_buf_adds(out, ",\"srt\":[");
    for (size_t i = 0; (type = bst_m2m_type_at(i)) != NULL; i++) {
        if (type->ty > last && is_supported(op, type)) {
            bst_buf_adds(out, last ? "," : "");
            bst_buf_addi(out, type->ty);
            last = type->ty;
        }
    }
    bst_buf_addc(out, ']');
}

static void add_poa(const struct bst_cse *cse, struct bst_buf *out)
{
    bst_buf_adds(out, ",\"poa\":[");
    for (size_t i = 0; i < cse->config.n_poa; i++) {
        if (i) {
            bst_buf_addc(out, ',');
        }
        bst_buf_add_json(out, cse->config.poa[i]);
    }
    bst_buf_addc(out, ']');
}

static void present(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out)
{
    (void)res;
    bst_buf_adds(out, ",\"cst\":1,\"csi\":");
    bst_buf_add_json(out, op->cse->csi);
    add_supported(op, out);
    add_poa(op->cse, out);
    if (op->req->release >= BST_RELEASE_4) {
        char now[BST_M2M_TIME_LEN +
                 1]; /* currentTime, TS-0001 9.6.3; TS-0004 has it from Release 4 */
        bst_m2m_time_format(op->now_us, now);
        bst_buf_addf(out, ",\"ctm\":\"%s\"", now);
    }
    bst_buf_adds(out, ",\"srv\":[\"2a\",\"3\",\"4\"],\"csz\":[\"json\"]");
}

const struct bst_cse_type bst_cse_type_cb = {
    .ty = BST_TY_CB,
    .governor = BST_GOVERN_ACPI,
    /* [TS-0004 7.4.3.2] not to be created, updated or deleted by a request */
    .refused = 1u << BST_OP_UPDATE | 1u << BST_OP_DELETE,
    .present = present,
};
