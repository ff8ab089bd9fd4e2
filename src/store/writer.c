/* The writer thread: group commit, one savepoint a job, completions; and the bulk readers.
 *
 * A batch is whatever waits when the writer looks. Jobs that arrive while it waits for the disk
 * make the next batch, so the more waiters there are, the fewer fsyncs each of them costs. */
#include "store/store_priv.h"

#include "base/map.h"
#include "obs/log.h"
#include "sys/service.h"

#include <stdio.h>

/* Background rows in a batch that others wait for, and in one that nobody waits for. Whoever had an
 * answer may come back any moment and finds the writer in the middle of a batch: some time must
 * pass. */
#define IDLE_ROWS_BUSY 48
#define IDLE_ROWS_ALONE 1024
#define ALONE_AFTER_US 50000

static const struct bst_sql SQL_BEGIN = {"BEGIN"};
static const struct bst_sql SQL_COMMIT = {"COMMIT"};
static const struct bst_sql SQL_ROLLBACK = {"ROLLBACK"};
static const struct bst_sql SQL_RELEASE = {"RELEASE job"};
static const struct bst_sql SQL_ROLLBACK_TO = {"ROLLBACK TO job"};

static bst_result run_sql(struct bst_store_conn *conn, const struct bst_sql *sql)
{
    struct bst_query *q;
    BST_TRY(bst_sql_begin(conn, sql, &q));
    return bst_sql_exec(&q);
}

/* ---- refusing writes ---- */

void store_refuse(struct bst_store *store, enum bst_error why, const char *text)
{
    pthread_mutex_lock(&store->lock);
    bool first = atomic_load(&store->refused) == BST_E_NONE;
    if (first) {
        snprintf(store->refused_text, sizeof store->refused_text, "%s", text);
        atomic_store(&store->refused, (int)why);
    }
    pthread_mutex_unlock(&store->lock);
    if (first && store->writer_started) {
        bst_log(BST_LOG_ERROR, "store.refused",
                "%s; writes are refused until the store is opened again, reads go on", text);
    }
}

bst_result bst_store_writable(struct bst_store *store)
{
    enum bst_error why = (enum bst_error)atomic_load(&store->refused);
    if (__builtin_expect(why == BST_E_NONE, 1)) {
        return BST_OK;
    }
    char text[sizeof store->refused_text];
    pthread_mutex_lock(&store->lock);
    memcpy(text, store->refused_text, sizeof text);
    pthread_mutex_unlock(&store->lock);
    BST_FAIL(why, "storage refuses writes until it is opened again: %s", text);
}

/* ---- jobs and their completion ---- */

static void set_result(struct bst_store_job *job, bst_result r)
{
    job->result = r;
    job->detail[0] = '\0';
    if (bst_failed(r)) {
        snprintf(job->detail, sizeof job->detail, "%s", bst_error_detail());
    }
}

static void deliver(struct bst_store_job *job)
{
    if (job->done) {
        bst_error_set_detail(job->detail);
        job->done(job, job->result);
    }
}

static void deliver_task(struct bst_task *task)
{
    deliver(bst_container_of(task, struct bst_store_job, task));
}

static void complete(struct bst_store_job *job)
{
    if (!job->loop) {
        deliver(job);
        return;
    }
    job->task.run = deliver_task;
    bst_loop_post(job->loop, &job->task);
}

static void refuse_job(struct bst_store_job *job, enum bst_error why, const char *text)
{
    set_result(job, bst_error_detailed(why, "%s", text));
    complete(job);
}

static void enqueue(struct job_queue *queue, struct bst_store_job *job)
{
    job->next = NULL;
    *(queue->head ? queue->tail : &queue->head) = job;
    queue->tail = &job->next;
    queue->count++;
}

static void submit(struct bst_store *store, struct bst_store_job *job, struct job_queue *queue,
                   pthread_cond_t *wake)
{
    pthread_mutex_lock(&store->lock);
    bool closing = store->closing, full = queue->count >= store->config.queue_max;
    if (!closing && !full) {
        enqueue(queue, job);
        if (queue == &store->bulk_queue || store->sleeping) {
            pthread_cond_signal(wake);
        }
    }
    pthread_mutex_unlock(&store->lock);
    if (closing) {
        refuse_job(job, BST_E_CLOSED, "the store is closing");
    } else if (full) {
        refuse_job(job, BST_E_BUSY, "too many requests wait for the store");
    }
}

void bst_store_submit(struct bst_store *store, struct bst_store_job *job)
{
    submit(store, job, &store->queue, &store->work);
}

void bst_store_bulk(struct bst_store *store, struct bst_store_job *job)
{
    submit(store, job, &store->bulk_queue, &store->bulk_work);
}

struct waiter {
    struct bst_store_job job;
    bst_result (*run)(struct bst_store_conn *conn, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
};

static bst_result waiter_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct waiter *w = bst_container_of(job, struct waiter, job);
    return w->run(conn, w->arg);
}

static void waiter_done(struct bst_store_job *job, bst_result result)
{
    struct waiter *w = bst_container_of(job, struct waiter, job);
    (void)result;
    pthread_mutex_lock(&w->lock);
    w->finished = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

bst_result bst_store_run(struct bst_store *store,
                         bst_result (*run)(struct bst_store_conn *conn, void *arg), void *arg)
{
    if (BST_BUG(pthread_equal(pthread_self(), store->writer_thread))) {
        return bst_error(BST_E_USAGE);
    }
    struct waiter w = {.job = {.run = waiter_run, .done = waiter_done},
                       .run = run,
                       .arg = arg,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .done = PTHREAD_COND_INITIALIZER};
    bst_store_submit(store, &w.job);
    pthread_mutex_lock(&w.lock);
    while (!w.finished) {
        pthread_cond_wait(&w.done, &w.lock);
    }
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.done);
    pthread_mutex_destroy(&w.lock);
    bst_error_set_detail(w.job.detail);
    return w.job.result;
}

/* ---- a batch ---- */

/* End a job's savepoint, keeping its changes or not. A failure here leaves the job half done: the
 * whole transaction has to go. */
static bst_result end_savepoint(struct bst_store_conn *conn, bool keep)
{
    if (!conn->savepoint) {
        return BST_OK;
    }
    conn->savepoint = false;
    if (!keep) {
        BST_TRY(run_sql(conn, &SQL_ROLLBACK_TO));
    }
    return run_sql(conn, &SQL_RELEASE);
}

/* Some failures (no memory, no space) make SQLite roll back everything since BEGIN. */
static bool transaction_gone(struct bst_store_conn *conn)
{
    return sqlite3_get_autocommit(conn->db);
}

/* Run one job inside the open transaction; a failure of the return value means the transaction. */
static bst_result run_job(struct bst_store *store, struct bst_store_job *job)
{
    struct bst_store_conn *conn = store->writer;
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    conn->in_job = true;
    set_result(job, job->run(conn, job));
    conn_reset(conn);
    conn->in_job = false;
    bool keep = !bst_failed(job->result);
    if (transaction_gone(conn)) {
        conn->savepoint = false;
        if (keep) {
            /* The job swallowed the error that cost it its transaction. */
            set_result(job, bst_error_detailed(BST_E_IO, "the transaction was lost"));
        }
        bst_error_set_detail(job->detail);
        return job->result;
    }
    bst_result r = end_savepoint(conn, keep);
    if (bst_failed(r)) {
        set_result(job, r);
        return r;
    }
    if (hooks && hooks->job_end) {
        hooks->job_end(store->state, keep);
    }
    return BST_OK;
}

/* A slice of the schema's own work, as a job of its own. */
static bst_result run_idle(struct bst_store *store, unsigned rows)
{
    struct bst_store_conn *conn = store->writer;
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    if (!store->idle_wanted || !hooks || !hooks->idle || atomic_load(&store->refused)) {
        store->idle_wanted = false;
        return BST_OK;
    }
    bool more = false;
    conn->in_job = true;
    bst_result r = hooks->idle(conn, store->state, rows, &more);
    conn_reset(conn);
    conn->in_job = false;
    store->idle_wanted = more && !bst_failed(r);
    if (bst_failed(r)) {
        bst_log(BST_LOG_WARN, "store.background", "background work stops: %s: %s",
                bst_error_text(r.code), bst_error_detail());
    }
    if (transaction_gone(conn)) {
        conn->savepoint = false;
        return bst_failed(r) ? r : bst_error_detailed(BST_E_IO, "the transaction was lost");
    }
    BST_TRY(end_savepoint(conn, !bst_failed(r)));
    if (hooks->job_end) {
        hooks->job_end(store->state, !bst_failed(r));
    }
    return BST_OK;
}

static bst_result commit(struct bst_store *store, bool refused_before)
{
    struct bst_store_conn *conn = store->writer;
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    if (!refused_before) {
        /* A write failed on the way, whatever the job made of it. (Refused from the start, there is
         * nothing in this transaction but reads.) */
        BST_TRY(bst_store_writable(store));
    }
    if (hooks && hooks->flush) {
        BST_TRY(hooks->flush(conn, store->state));
    }
    int64_t before_us = bst_mono_us();
    bst_result r = run_sql(conn, &SQL_COMMIT);
    atomic_fetch_add(&store->stats.commit_us, (uint64_t)(bst_mono_us() - before_us));
    return r;
}

static void end_transaction(struct bst_store *store, bool committed)
{
    struct bst_store_conn *conn = store->writer;
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    if (!committed) {
        char detail[sizeof store->refused_text];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        conn_reset(conn);
        conn->savepoint = false;
        if (!transaction_gone(conn) && bst_failed(run_sql(conn, &SQL_ROLLBACK))) {
            sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
        }
        bst_error_set_detail(detail);
    }
    if (hooks && hooks->batch_end) {
        hooks->batch_end(store->state, committed);
    }
}

/* With the lock: the first `max` jobs of the queue, or NULL. */
static struct bst_store_job *dequeue(struct bst_store *store, unsigned max)
{
    struct job_queue *queue = &store->queue;
    struct bst_store_job *head = queue->head, *last = NULL;
    for (unsigned n = 0; queue->head && n < max; n++) {
        last = queue->head;
        queue->head = last->next;
        queue->count--;
    }
    if (last) {
        last->next = NULL;
    }
    return last ? head : NULL;
}

/* What came while the batch ran goes with it: a commit costs the same for all. */
static struct bst_store_job *late_comers(struct bst_store *store, unsigned n)
{
    if (n >= store->config.batch_max) {
        return NULL;
    }
    pthread_mutex_lock(&store->lock);
    struct bst_store_job *head = dequeue(store, store->config.batch_max - n);
    pthread_mutex_unlock(&store->lock);
    return head;
}

/* Run jobs from `job` on in one transaction, as many as its fate allows, and tell their owners.
 * Returns the first that has not run. */
static struct bst_store_job *run_transaction(struct bst_store *store, struct bst_store_job *first,
                                             unsigned idle_rows)
{
    struct bst_store_job *job = first;
    bool refused_before = atomic_load(&store->refused);
    bst_result r = run_sql(store->writer, &SQL_BEGIN);
    if (bst_failed(r) && job) {
        /* Not even begun: the one at the head pays, so that the others get their try. */
        set_result(job, r);
        job = job->next;
    }
    unsigned n = 0;
    while (job && !bst_failed(r)) {
        r = run_job(store, job);
        n++;
        if (!job->next && !bst_failed(r)) {
            job->next = late_comers(store, n);
        }
        job = job->next;
    }
    if (!bst_failed(r)) {
        r = run_idle(store, idle_rows);
    }
    if (!bst_failed(r)) {
        r = commit(store, refused_before);
    }
    atomic_fetch_add(&store->commits, 1);
    end_transaction(store, !bst_failed(r));
    store->idle_wanted =
        store->idle_wanted && !bst_failed(r); /* it starts again with its next cause */
    atomic_fetch_add(&store->stats.jobs, n);
    atomic_fetch_add(&store->stats.batches, 1);
    if (n > atomic_load(&store->stats.largest_batch)) {
        atomic_store(&store->stats.largest_batch, n);
    }
    char why[sizeof first->detail];
    snprintf(why, sizeof why, "%s", bst_failed(r) ? bst_error_detail() : "");
    while (first != job) {
        struct bst_store_job *next = first->next;
        if (bst_failed(r) && !bst_failed(first->result)) {
            bst_error_set_detail(why);
            set_result(first, r);
        }
        if (bst_failed(first->result)) {
            atomic_fetch_add(&store->stats.failed_jobs, 1);
        }
        complete(first);
        first = next;
    }
    return job;
}

/* ---- the threads ---- */

static struct bst_store_job *take(struct bst_store *store, bool *ret_end)
{
    pthread_mutex_lock(&store->lock);
    while (!store->queue.head && !store->closing && !store->idle_wanted) {
        store->sleeping = true;
        pthread_cond_wait(&store->work, &store->lock);
        store->sleeping = false;
    }
    struct bst_store_job *head = dequeue(store, store->config.batch_max);
    *ret_end = !head && store->closing;
    pthread_mutex_unlock(&store->lock);
    return head;
}

static bst_result run_closing(struct bst_store *store)
{
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    if (!hooks || !hooks->closing || atomic_load(&store->refused)) {
        return BST_OK;
    }
    bst_result r = run_sql(store->writer, &SQL_BEGIN);
    r = bst_failed(r) ? r : hooks->closing(store->writer, store->state);
    r = bst_failed(r) ? r : run_sql(store->writer, &SQL_COMMIT);
    end_transaction(store, !bst_failed(r));
    return r;
}

static void *writer_main(void *arg)
{
    struct bst_store *store = arg;
    int64_t last_job_us = 0;
    pthread_setname_np(pthread_self(), "store-writer");
    for (;;) {
        bool end;
        struct bst_store_job *job = take(store, &end);
        if (end) {
            break;
        }
        int64_t now_us = bst_mono_us();
        last_job_us = job ? now_us : last_job_us;
        unsigned idle_rows =
            now_us - last_job_us < ALONE_AFTER_US ? IDLE_ROWS_BUSY : IDLE_ROWS_ALONE;
        do {
            job = run_transaction(store, job, idle_rows);
        } while (job);
        wal_checkpoint_if_due(store);
    }
    if (bst_failed(run_closing(store))) {
        bst_log(BST_LOG_WARN, "store.close", "%s", bst_error_detail());
    }
    wal_checkpoint_last(store);
    return NULL;
}

/* A close does not wait for long reads: they lose nothing. */
static void run_bulk(struct bst_store_conn *conn, struct bst_store_job *job)
{
    const char *closing = "the store is closing";
    if (atomic_load(&conn->store->closing)) {
        refuse_job(job, BST_E_CLOSED, closing);
        return;
    }
    set_result(job, job->run(conn, job));
    conn_reset(conn);
    if (job->result.code == BST_E_LIMIT && atomic_load(&conn->store->closing)) {
        set_result(job, bst_error_detailed(BST_E_CLOSED, "%s", closing));
    }
    complete(job);
}

static void *bulk_main(void *arg)
{
    struct bst_store_conn *conn = arg;
    struct bst_store *store = conn->store;
    pthread_setname_np(pthread_self(), "store-bulk");
    bst_thread_give_way();
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (!store->bulk_queue.head && !store->closing) {
            pthread_cond_wait(&store->bulk_work, &store->lock);
        }
        struct bst_store_job *job = store->bulk_queue.head;
        if (!job) {
            break;
        }
        store->bulk_queue.head = job->next;
        store->bulk_queue.count--;
        pthread_mutex_unlock(&store->lock);
        run_bulk(conn, job);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    conn_close(&conn);
    return NULL;
}

static bst_result start_bulk(struct bst_store *store)
{
    struct bst_store_conn *conn;
    BST_TRY(conn_open(store, CONN_BULK, &conn));
    if (pthread_create(&store->bulk[store->bulk_started], NULL, bulk_main, conn) != 0) {
        conn_close(&conn);
        BST_FAIL(BST_E_LIMIT, "cannot start a thread for the store");
    }
    store->bulk_started++;
    return BST_OK;
}

bst_result writer_start(struct bst_store *store)
{
    store->bulk = bst_alloc(store->config.bulk_threads * sizeof *store->bulk);
    BST_ENSURE(store->bulk, BST_E_NOMEM);
    store->idle_wanted = true; /* what an earlier process left */
    if (pthread_create(&store->writer_thread, NULL, writer_main, store) != 0) {
        BST_FAIL(BST_E_LIMIT, "cannot start a thread for the store");
    }
    store->writer_started = true;
    while (store->bulk_started < store->config.bulk_threads) {
        BST_TRY(start_bulk(store));
    }
    return BST_OK;
}

void writer_stop(struct bst_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_cond_broadcast(&store->work);
    pthread_cond_broadcast(&store->bulk_work);
    pthread_mutex_unlock(&store->lock);
    for (unsigned i = 0; i < store->bulk_started; i++) {
        pthread_join(store->bulk[i], NULL);
    }
    if (store->writer_started) {
        pthread_join(store->writer_thread, NULL);
    }
    bst_free(store->bulk);
}

void bst_store_wake_idle(struct bst_store_conn *writer)
{
    if (writer->writer) {
        writer->store->idle_wanted = true;
    }
}

void bst_store_stats(struct bst_store *store, struct bst_store_stats *ret)
{
    pthread_mutex_lock(&store->lock);
    uint64_t waiting = store->queue.count;
    pthread_mutex_unlock(&store->lock);
    *ret = (struct bst_store_stats){.jobs = atomic_load(&store->stats.jobs),
                                    .failed_jobs = atomic_load(&store->stats.failed_jobs),
                                    .batches = atomic_load(&store->stats.batches),
                                    .largest_batch = atomic_load(&store->stats.largest_batch),
                                    .checkpoints = atomic_load(&store->stats.checkpoints),
                                    .waiting = waiting,
                                    .wal_bytes = atomic_load(&store->stats.wal_bytes),
                                    .commit_us = atomic_load(&store->stats.commit_us)};
}
