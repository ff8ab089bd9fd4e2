/* Calls that nobody waits for: worker threads of one environment and a bounded queue before them.
 *
 * Each queued call holds the environment, so the queue is empty when the last view is closed. That
 * may happen on a worker itself: such a worker ends on its own, the others are joined. */
#include "se/se_priv.h"

#include <stdio.h>

#define WORKERS 4
#define QUEUE_MAX 256

struct bst_se_pool {
    atomic_uint refs; /* the environment, and a worker that outlives it */
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    struct bst_se_call *first, *last;
    size_t waiting, running;
    bool ending;
    pthread_t threads[WORKERS];
    size_t n_threads;
};

static void pool_drop(struct bst_se_pool *pool)
{
    if (atomic_fetch_sub(&pool->refs, 1) == 1) {
        pthread_cond_destroy(&pool->work);
        pthread_cond_destroy(&pool->idle);
        pthread_mutex_destroy(&pool->lock);
        bst_free(pool);
    }
}

static struct bst_se_call *next_call(struct bst_se_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending) {
        pthread_cond_wait(&pool->work, &pool->lock);
    }
    struct bst_se_call *call = pool->first;
    if (call) {
        pool->first = call->next;
        pool->waiting--;
        pool->running++;
    }
    pthread_mutex_unlock(&pool->lock);
    return call;
}

/* `done` may free the call. */
static void run_call(struct bst_se_call *call)
{
    struct bst_se *se = call->se;
    call->outcome = call->run(se, call);
    snprintf(call->detail, sizeof call->detail, "%s",
             bst_failed(call->outcome) ? bst_error_detail() : "");
    call->done(call);
    bst_se_close(&se);
}

static void call_ended(struct bst_se_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    if (pool->running + pool->waiting == 0) {
        pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void *worker(void *arg)
{
    struct bst_se_pool *pool = arg;
    for (struct bst_se_call *call = next_call(pool); call; call = next_call(pool)) {
        run_call(call);
        call_ended(pool);
    }
    pool_drop(pool);
    return NULL;
}

/* With the lock. One more, unless one has nothing to do or there are enough; one is enough to go on
 * with. */
static bst_result add_worker(struct bst_se_pool *pool)
{
    if (pool->n_threads == WORKERS || pool->n_threads > pool->waiting + pool->running) {
        return BST_OK;
    }
    atomic_fetch_add(&pool->refs, 1);
    if (pthread_create(&pool->threads[pool->n_threads], NULL, worker, pool) != 0) {
        atomic_fetch_sub(&pool->refs, 1);
        if (pool->n_threads == 0) {
            BST_FAIL(BST_E_BUSY, "no thread could be started for the secure environment");
        }
        return BST_OK;
    }
    pool->n_threads++;
    return BST_OK;
}

static bst_result pool_of(struct bst_se_core *core, struct bst_se_pool **ret)
{
    pthread_mutex_lock(&core->pool_lock);
    if (!core->pool) {
        core->pool = bst_alloc(sizeof *core->pool);
        if (core->pool) {
            atomic_init(&core->pool->refs, 1);
            pthread_mutex_init(&core->pool->lock, NULL);
            pthread_cond_init(&core->pool->work, NULL);
            pthread_cond_init(&core->pool->idle, NULL);
        }
    }
    *ret = core->pool;
    pthread_mutex_unlock(&core->pool_lock);
    BST_ENSURE(*ret, BST_E_NOMEM);
    return BST_OK;
}

static bst_result enqueue(struct bst_se_pool *pool, struct bst_se_call *call)
{
    if (pool->waiting >= QUEUE_MAX) {
        BST_FAIL(BST_E_BUSY, "%d calls wait for the secure environment already", QUEUE_MAX);
    }
    BST_TRY(add_worker(pool));
    call->next = NULL;
    if (pool->first) {
        pool->last->next = call;
    } else {
        pool->first = call;
    }
    pool->last = call;
    pool->waiting++;
    pthread_cond_signal(&pool->work);
    return BST_OK;
}

bst_result bst_se_submit(struct bst_se *se, struct bst_se_call *call)
{
    struct bst_se_pool *pool;
    BST_TRY(pool_of(se->core, &pool));
    BST_TRY(bst_se_hold(se, &call->se));
    pthread_mutex_lock(&pool->lock);
    bst_result queued = enqueue(pool, call);
    pthread_mutex_unlock(&pool->lock);
    if (bst_failed(queued)) {
        bst_se_close(&call->se);
    }
    return queued;
}

void bst_se_settle(struct bst_se *se)
{
    pthread_mutex_lock(&se->core->pool_lock);
    struct bst_se_pool *pool = se->core->pool;
    pthread_mutex_unlock(&se->core->pool_lock);
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->running + pool->waiting > 0) {
        pthread_cond_wait(&pool->idle, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

void bst_se_pool_end(struct bst_se_pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++) {
        if (pthread_equal(pool->threads[i], pthread_self())) {
            pthread_detach(pool->threads[i]);
        } else {
            pthread_join(pool->threads[i], NULL);
        }
    }
    pool_drop(pool);
}
