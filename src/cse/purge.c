/* Many instances of one container, removed in slices on the writer while others go on.
 *
 * What is still to do stands in the store (name space "purge"), so that a restart continues it. */
#include "cse/cse_priv.h"

#include "obs/log.h"

#define SLICE 256
#define NS "purge"

struct purge_job {
    struct bst_store_job job;
    struct bst_cse *cse;
    int64_t container, up_to; /* up_to 0: until the limits hold */
    bool more;
};

static void submit(struct bst_cse *cse, int64_t container, int64_t up_to);

static struct bst_view key_of(const int64_t *container)
{
    return bst_view_of(container, sizeof *container);
}

static bst_result slice(struct bst_cse_op *op, struct purge_job *p)
{
    struct bst_cse_res *container;
    struct bst_counters counters;
    struct bst_row oldest = {0};
    struct bst_view record;
    bool wanted;
    p->more = false;
    /* No record: the request that asked for this was taken back. */
    BST_TRY(bst_kv_get(op->conn, NS, key_of(&p->container), op->arena, &record, &wanted));
    BST_TRY(bst_cse_res_by_id(op, p->container, &container));
    if (!wanted || !container) {
        return BST_OK;
    }
    BST_TRY(bst_counters_get(op->conn, p->container, &counters));
    for (int i = 0; p->up_to && i < SLICE; i++) {
        BST_TRY(bst_resource_find_oldest(op->conn, p->container, BST_TY_CIN, NULL, &oldest));
        if (!oldest.id || oldest.id > p->up_to) {
            break;
        }
        BST_TRY(bst_resource_delete(op->conn, oldest.id));
        counters.cni--;
        counters.cbs -= oldest.cbs;
        p->more = i == SLICE - 1;
    }
    if (!p->up_to) {
        op->purging = true;
        BST_TRY(bst_cse_evict(op, container, 0, 0, &counters));
        p->more = op->purge_more;
    }
    return bst_counters_set(op->conn, p->container, &counters);
}

static bst_result run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct purge_job *p = bst_container_of(job, struct purge_job, job);
    struct bst_arena arena;
    bst_arena_init(&arena, 0);
    struct bst_cse_call call = {.arena = &arena, .own = true};
    struct bst_cse_op op = {0};
    bst_cse_op_init(&op, p->cse, &call);
    op.conn = conn;
    op.writing = true;
    bst_result r = slice(&op, p);
    if (!bst_failed(r) && !p->more) {
        r = bst_kv_delete(conn, NS, key_of(&p->container));
    }
    bst_arena_clear(&arena);
    return r;
}

static void done(struct bst_store_job *job, bst_result result)
{
    struct purge_job *p = bst_container_of(job, struct purge_job, job);
    if (bst_failed(result)) {
        bst_log(BST_LOG_WARN, "cse.purge_failed", "surplus instances stay for now: %s",
                bst_error_detail());
    } else if (p->more) {
        submit(p->cse, p->container, p->up_to);
    }
    bst_free(p);
}

static void submit(struct bst_cse *cse, int64_t container, int64_t up_to)
{
    struct purge_job *p = bst_alloc(sizeof *p);
    if (!p || atomic_load(&cse->closing)) {
        bst_free(p);
        return; /* the record in the store starts it again */
    }
    p->cse = cse;
    p->container = container;
    p->up_to = up_to;
    p->job.run = run;
    p->job.done = done;
    bst_store_submit(cse->config.store, &p->job);
}

bst_result bst_cse_purge_later(struct bst_cse_op *op, int64_t container, int64_t up_to)
{
    if (op->purging) {
        op->purge_more = true;
        return BST_OK;
    }
    struct bst_view value = bst_arena_printf(op->arena, "%lld", (long long)up_to);
    BST_ENSURE(value.len, BST_E_NOMEM);
    BST_TRY(bst_kv_put(op->conn, NS, key_of(&container), value));
    /* Queued behind this job: it finds the record when the change was kept, and none otherwise. */
    submit(op->cse, container, up_to);
    return BST_OK;
}

struct resumption {
    struct bst_cse *cse;
};

static bool resume_one(void *arg, struct bst_view key, struct bst_view value)
{
    struct resumption *resumption = arg;
    int64_t container, up_to;
    if (key.len == sizeof container && !bst_failed(bst_parse_i64(value, &up_to))) {
        memcpy(&container, key.ptr, sizeof container);
        submit(resumption->cse, container, up_to);
    }
    return true;
}

bst_result bst_cse_purge_resume(struct bst_cse *cse, struct bst_store_conn *reader)
{
    struct resumption resumption = {cse};
    return bst_kv_each(reader, NS, (struct bst_view){0}, resume_one, &resumption);
}
