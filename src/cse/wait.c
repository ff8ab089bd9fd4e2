/* Operation Execution Time (TS-0001 8.1.2): an operation waits on its worker's loop, bounded in
 * number, and takes all steps anew when the time has come. */
#include "cse/cse_priv.h"

#define WAITS_MAX 1000

struct wait {
    struct bst_list link; /* in bst_cse_worker.waits; first member */
    struct bst_timer timer;
    struct bst_cse_op *op;
};

static struct bst_cse_op *wait_end(struct wait *wait)
{
    struct bst_cse_op *op = wait->op;
    bst_timer_stop(&wait->timer);
    bst_list_remove(&wait->link);
    op->worker->n_waits--;
    bst_free(wait);
    return op;
}

/* The credential may have been revoked in the meantime, which ends sessions but not what waits. */
static bst_result check_credential(const struct bst_cse_op *op)
{
    const struct bst_cse_config *config = &op->cse->config;
    const struct bst_association *assoc = op->call->assoc;
    struct bst_view cred_id = assoc ? bst_view(assoc->cred_id) : op->call->cred_id;
    return config->check_credential && cred_id.len
               ? config->check_credential(config->bind_ctx, op->worker->reader, cred_id)
               : BST_OK;
}

static void time_has_come(void *user)
{
    struct bst_cse_op *op = wait_end(user);
    bst_result r = check_credential(op);
    if (bst_failed(r)) {
        bst_cse_finish(op, r);
        return;
    }
    bst_cse_start(op);
}

bst_result bst_cse_wait(struct bst_cse_op *op)
{
    struct bst_cse_worker *worker = op->worker;
    if (worker->n_waits >= WAITS_MAX) {
        BST_FAIL(BST_E_BUSY, "%u requests wait for their Operation Execution Time already",
                 WAITS_MAX);
    }
    struct wait *wait = bst_alloc(sizeof *wait);
    BST_ENSURE(wait, BST_E_NOMEM);
    wait->op = op;
    bst_list_append(&worker->waits, &wait->link);
    worker->n_waits++;
    bst_timer_init(worker->loop, &wait->timer, time_has_come, wait);
    bst_timer_start(&wait->timer, (op->req->oet.us - op->now_us) / 1000 + 1, 0);
    return BST_OK;
}

void bst_cse_waits_cancel(struct bst_cse_worker *worker)
{
    while (!bst_list_empty(&worker->waits)) {
        struct wait *wait = bst_container_of(worker->waits.next, struct wait, link);
        bst_cse_finish(wait_end(wait), bst_error(BST_E_CANCELLED));
    }
}
