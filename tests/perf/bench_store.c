/* Durable contentInstance rows a second: the store with 64 waiters on two loops, and, in the same
 * run on the same disk, SQLite driven by hand with the same rows in transactions of 64. Then how
 * long one waiter waits for a row while a large subtree is reclaimed.
 *
 * usage: bench_store [SECONDS [WAITERS [FOLDER [ROWS]]]]      (3, 64, the current folder, 200000)
 */
#include "base/map.h"
#include "store/resource.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOOPS 2

static const char body[] = "\"cs\":24,\"cnf\":\"application/"
                           "json:0\",\"con\":\"{\\\"t\\\":21.5,\\\"h\\\":0.41,\\\"n\\\":7}\"";

static void stop_if(bst_result r, const char *what)
{
    if (bst_failed(r)) {
        fprintf(stderr, "%s: %s: %s\n", what, bst_error_name(r.code), bst_error_detail());
        exit(1);
    }
}

static void remove_files(const char *path)
{
    char name[512];
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

/* ---- the store ---- */

struct bench {
    struct bst_store *store;
    struct bst_loop *loops[LOOPS];
    int64_t container;
    atomic_long rows, flying;
    atomic_bool stop;
};

struct waiter {
    struct bst_store_job job;
    struct bench *bench;
    int64_t id;
};

static bst_result create_instance(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct waiter *w = bst_container_of(job, struct waiter, job);
    struct bst_counters c;
    BST_TRY(bst_counters_get(conn, w->bench->container, &c));
    c.cni++;
    c.cbs += 24;
    c.st++;
    c.lt = bst_wall_us();
    struct bst_row row = {.pi = w->bench->container,
                          .ty = 4,
                          .ct = c.lt,
                          .lt = c.lt,
                          .st = c.st,
                          .cbs = 24,
                          .cr = 1,
                          .body = bst_view_of(body, sizeof body - 1)};
    BST_TRY(bst_resource_insert(conn, &row, &w->id));
    return bst_counters_set(conn, w->bench->container, &c);
}

static void created(struct bst_store_job *job, bst_result result)
{
    struct waiter *w = bst_container_of(job, struct waiter, job);
    stop_if(result, "create");
    atomic_fetch_add(&w->bench->rows, 1);
    if (atomic_load(&w->bench->stop)) {
        atomic_fetch_sub(&w->bench->flying, 1);
        return;
    }
    bst_store_submit(w->bench->store, job);
}

static bst_result create_container(struct bst_store_conn *conn, void *arg)
{
    struct bench *bench = arg;
    struct bst_row row = {.ty = 3, .name = BST_VIEW("telemetry"), .ct = 1, .lt = 1};
    return bst_resource_insert(conn, &row, &bench->container);
}

static void *serve(void *loop)
{
    stop_if(bst_loop_run(loop), "loop");
    return NULL;
}

static double run_store(const char *path, int seconds, int waiters)
{
    struct bench bench = {0};
    struct bst_store_config config = {.path = path, .schema = &bst_resource_schema};
    pthread_t threads[LOOPS];
    stop_if(bst_store_open(&config, &bench.store), "open");
    stop_if(bst_store_run(bench.store, create_container, &bench), "container");
    for (int i = 0; i < LOOPS; i++) {
        stop_if(bst_loop_new(&bench.loops[i]), "loop");
        pthread_create(&threads[i], NULL, serve, bench.loops[i]);
    }
    struct waiter *all = calloc((size_t)waiters, sizeof *all);
    atomic_store(&bench.flying, waiters);
    int64_t start = bst_mono_us();
    for (int i = 0; i < waiters; i++) {
        all[i].bench = &bench;
        all[i].job.loop = bench.loops[i % LOOPS];
        all[i].job.run = create_instance;
        all[i].job.done = created;
        bst_store_submit(bench.store, &all[i].job);
    }
    sleep((unsigned)seconds);
    double rate = (double)atomic_load(&bench.rows) * 1e6 / (double)(bst_mono_us() - start);
    atomic_store(&bench.stop, true);
    while (atomic_load(&bench.flying)) {
        usleep(1000);
    }
    struct bst_store_stats stats;
    bst_store_stats(bench.store, &stats);
    printf("  batches of %.1f rows, %.2f ms a commit, %llu checkpoints\n",
           (double)stats.jobs / (double)stats.batches,
           (double)stats.commit_us / 1e3 / (double)stats.batches,
           (unsigned long long)stats.checkpoints);
    for (int i = 0; i < LOOPS; i++) {
        bst_loop_stop(bench.loops[i]);
        pthread_join(threads[i], NULL);
        bst_loop_free(&bench.loops[i]);
    }
    bst_store_close(&bench.store);
    free(all);
    return rate;
}

/* ---- while a subtree goes ---- */

struct large {
    struct bench bench;
    int64_t top, left;
    bool done;
};

static bst_result fill(struct bst_store_conn *conn, void *arg)
{
    struct large *large = arg;
    struct bst_row row = {.ty = 3, .name = BST_VIEW("large"), .ct = 1, .lt = 1};
    if (!large->top) {
        BST_TRY(bst_resource_insert(conn, &row, &large->top));
    }
    row = (struct bst_row){
        .pi = large->top, .ty = 4, .ct = 1, .body = bst_view_of(body, sizeof body - 1)};
    for (int i = 0; i < 10000 && large->left > 0; i++, large->left--) {
        int64_t id;
        BST_TRY(bst_resource_insert(conn, &row, &id));
    }
    return BST_OK;
}

static bst_result detach(struct bst_store_conn *conn, void *arg)
{
    return bst_resource_detach(conn, ((struct large *)arg)->top);
}

static bst_result create_one(struct bst_store_conn *conn, void *arg)
{
    static const struct bst_sql sql = {"SELECT 1 FROM reclaim"};
    struct large *large = arg;
    struct waiter w = {.bench = &large->bench};
    bst_auto_query *q = NULL;
    bool more;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    BST_TRY(bst_sql_step(q, &more));
    large->done = !more;
    return create_instance(conn, &w.job);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void run_reclaim(const char *path, int64_t rows)
{
    enum { MAX = 1000000 };
    struct large large = {.left = rows};
    struct bst_store_config config = {.path = path, .schema = &bst_resource_schema};
    int64_t *waits = calloc(MAX, sizeof *waits), start;
    size_t n = 0;
    stop_if(bst_store_open(&config, &large.bench.store), "open");
    stop_if(bst_store_run(large.bench.store, create_container, &large.bench), "container");
    while (large.left > 0) {
        stop_if(bst_store_run(large.bench.store, fill, &large), "fill");
    }
    start = bst_mono_us();
    stop_if(bst_store_run(large.bench.store, detach, &large), "detach");
    printf("detach of %lld rows: %.2f ms\n", (long long)rows,
           (double)(bst_mono_us() - start) / 1e3);
    int64_t all = bst_mono_us();
    while (!large.done && n < MAX) {
        start = bst_mono_us();
        stop_if(bst_store_run(large.bench.store, create_one, &large), "create");
        waits[n++] = bst_mono_us() - start;
    }
    qsort(waits, n, sizeof *waits, by_size);
    printf("  reclaimed in %.1f s; %zu rows of another waiter meanwhile: median %.2f, p99 %.2f, "
           "worst %.2f ms\n",
           (double)(bst_mono_us() - all) / 1e6, n, (double)waits[n / 2] / 1e3,
           (double)waits[n * 99 / 100] / 1e3, (double)waits[n - 1] / 1e3);
    bst_store_close(&large.bench.store);
    free(waits);
}

/* ---- SQLite by hand ---- */

static void sql_ok(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

static void run_one(sqlite3 *db, sqlite3_stmt *stmt)
{
    sql_ok(db, sqlite3_step(stmt));
    sql_ok(db, sqlite3_reset(stmt));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    sql_ok(db, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL));
    return stmt;
}

static double run_by_hand(const char *path, int seconds, int batch)
{
    sqlite3 *db;
    sql_ok(NULL, sqlite3_open(path, &db));
    sql_ok(db, sqlite3_exec(db,
                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                            "PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=2048",
                            NULL, NULL, NULL));
    for (size_t i = 0; i < bst_resource_schema.n; i++) {
        sql_ok(db, sqlite3_exec(db, bst_resource_schema.migrations[i], NULL, NULL, NULL));
    }
    sql_ok(db, sqlite3_exec(db, "INSERT INTO resource VALUES(1,0,3,'telemetry',1,1,0,0,0,0,0,x'')",
                            NULL, NULL, NULL));
    sqlite3_stmt *begin = prepare(db, "BEGIN"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *insert = prepare(db, "INSERT INTO resource VALUES(?,1,4,NULL,?,?,0,?,0,24,1,?)");
    sqlite3_stmt *count = prepare(db, "UPDATE resource SET cni=?,cbs=?,st=?,lt=? WHERE id=1");
    int64_t rows = 0, start = bst_mono_us(), end = start + seconds * BST_US_PER_S, now = start;
    while (now < end) {
        run_one(db, begin);
        for (int i = 0; i < batch; i++) {
            now = bst_wall_us();
            rows++;
            sqlite3_bind_int64(insert, 1, rows + 1);
            sqlite3_bind_int64(insert, 2, now);
            sqlite3_bind_int64(insert, 3, now);
            sqlite3_bind_int64(insert, 4, rows);
            sqlite3_bind_blob(insert, 5, body, sizeof body - 1, SQLITE_STATIC);
            run_one(db, insert);
        }
        sqlite3_bind_int64(count, 1, rows);
        sqlite3_bind_int64(count, 2, rows * 24);
        sqlite3_bind_int64(count, 3, rows);
        sqlite3_bind_int64(count, 4, now);
        run_one(db, count);
        run_one(db, commit);
        now = bst_mono_us();
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(insert);
    sqlite3_finalize(count);
    sqlite3_close(db);
    return (double)rows * 1e6 / (double)(now - start);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 3, waiters = argc > 2 ? atoi(argv[2]) : 64;
    char path[400];
    snprintf(path, sizeof path, "%s/bench_store.db", argc > 3 ? argv[3] : ".");
    remove_files(path);
    double by_hand = run_by_hand(path, seconds, waiters);
    printf("SQLite by hand, %d rows a commit: %.0f rows/s\n", waiters, by_hand);
    remove_files(path);
    double store = run_store(path, seconds, waiters);
    printf("store, %d waiters on %d loops: %.0f rows/s, ratio %.2f\n", waiters, LOOPS, store,
           store / by_hand);
    remove_files(path);
    run_reclaim(path, argc > 4 ? atoll(argv[4]) : 200000);
    remove_files(path);
    return 0;
}
