/* The storage engine under a schema of its own: jobs, batches, readers, migrations, copies. */
#include "support/test.h"

#include "base/map.h"
#include "store/store.h"
#include "support/scratch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static const char *const migrations[] = {
    "CREATE TABLE item(id INTEGER PRIMARY KEY, text TEXT UNIQUE)",
    "ALTER TABLE item ADD COLUMN size INTEGER; UPDATE item SET size=length(text)",
    "CREATE TABLE item(id INTEGER)", /* fails: there is one */
};
static const struct bst_store_schema schema = {.name = "test", .migrations = migrations, .n = 2};

struct fixture {
    struct scratch scratch;
    char path[256];
    struct bst_store *store;
    struct bst_store_conn *reader;
};

static bst_result open_as(struct fixture *f, const struct bst_store_schema *as)
{
    struct bst_store_config config = {.path = f->path, .schema = as};
    return bst_store_open(&config, &f->store);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || !scratch_make(&f->scratch)) {
        return -1;
    }
    snprintf(f->path, sizeof f->path, "%s", scratch_path(&f->scratch, "store.db"));
    *state = f;
    return bst_failed(open_as(f, &schema)) || bst_failed(bst_store_reader(f->store, &f->reader));
}

static void close_store(struct fixture *f)
{
    bst_store_reader_close(&f->reader);
    bst_store_close(&f->store);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static bst_result add(struct bst_store_conn *conn, const char *text)
{
    static const struct bst_sql sql = {"INSERT INTO item(text,size) VALUES(?,?)"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    bst_sql_bind_text(q, 1, bst_view(text));
    bst_sql_bind_i64(q, 2, (int64_t)strlen(text));
    return bst_sql_exec(&q);
}

struct text {
    const char *text;
};

static bst_result add_arg(struct bst_store_conn *conn, void *arg)
{
    return add(conn, ((struct text *)arg)->text);
}

static bst_result store_add(struct bst_store *store, const char *text)
{
    return bst_store_run(store, add_arg, &(struct text){text});
}

static int64_t count(struct bst_store_conn *conn)
{
    static const struct bst_sql sql = {"SELECT count(*) FROM item"};
    struct bst_query *q;
    bool row;
    assert_ok(bst_sql_begin(conn, &sql, &q));
    assert_ok(bst_sql_step(q, &row));
    assert_true(row);
    int64_t n = bst_sql_i64(q, 0);
    bst_sql_end(&q);
    return n;
}

/* ---- jobs ---- */

static void what_a_job_writes_is_there_for_readers(void **state)
{
    struct fixture *f = *state;
    assert_ok(store_add(f->store, "one"));
    assert_int_equal(count(f->reader), 1);
}

static bst_result add_then_fail(struct bst_store_conn *conn, void *arg)
{
    BST_TRY(add_arg(conn, arg));
    BST_FAIL(BST_E_VALUE, "no good: %s", ((struct text *)arg)->text);
}

static void a_failing_job_takes_back_its_changes_and_keeps_its_sentence(void **state)
{
    struct fixture *f = *state;
    assert_err(bst_store_run(f->store, add_then_fail, &(struct text){"bad"}), BST_E_VALUE);
    assert_string_equal(bst_error_detail(), "no good: bad");
    assert_int_equal(count(f->reader), 0);
}

static void a_violated_constraint_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    assert_ok(store_add(f->store, "one"));
    assert_err(store_add(f->store, "one"), BST_E_CONFLICT);
    assert_ok(bst_store_writable(f->store));
}

struct gate {
    struct bst_store_job job;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool entered, open, finished;
};

static bst_result gate_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct gate *g = bst_container_of(job, struct gate, job);
    (void)conn;
    pthread_mutex_lock(&g->lock);
    g->entered = true;
    pthread_cond_broadcast(&g->cond);
    while (!g->open) {
        pthread_cond_wait(&g->cond, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return BST_OK;
}

static void gate_done(struct bst_store_job *job, bst_result result)
{
    struct gate *g = bst_container_of(job, struct gate, job);
    (void)result;
    pthread_mutex_lock(&g->lock);
    g->finished = true;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

/* Hold the writer inside a job, so that what is submitted next makes one batch. */
static void gate_shut(struct gate *g, struct bst_store *store)
{
    *g = (struct gate){.job = {.run = gate_run, .done = gate_done},
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .cond = PTHREAD_COND_INITIALIZER};
    bst_store_submit(store, &g->job);
    pthread_mutex_lock(&g->lock);
    while (!g->entered) {
        pthread_cond_wait(&g->cond, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void gate_lift(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->cond);
    while (!g->finished) {
        pthread_cond_wait(&g->cond, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

#define BATCH 100
struct item_job {
    struct bst_store_job job;
    int number;
    bst_result result;
    atomic_int *order;
    int place;
};

static bst_result item_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct item_job *item = bst_container_of(job, struct item_job, job);
    char text[32];
    snprintf(text, sizeof text, "item-%d", item->number);
    BST_TRY(add(conn, text));
    if (item->number % 3 == 0) {
        BST_FAIL(BST_E_VALUE, "number %d", item->number);
    }
    return BST_OK;
}

static void item_done(struct bst_store_job *job, bst_result result)
{
    struct item_job *item = bst_container_of(job, struct item_job, job);
    item->result = result;
    item->place = atomic_fetch_add(item->order, 1);
}

static void jobs_of_one_batch_fail_alone_and_complete_in_order_on_their_loop(void **state)
{
    struct fixture *f = *state;
    static struct item_job items[BATCH];
    atomic_int order = 0;
    struct bst_loop *loop;
    struct bst_store_stats before, after;
    struct gate gate;
    assert_ok(bst_loop_new(&loop));
    bst_store_stats(f->store, &before);
    gate_shut(&gate, f->store);
    for (int i = 0; i < BATCH; i++) {
        items[i] = (struct item_job){.job = {.run = item_run, .done = item_done, .loop = loop},
                                     .number = i,
                                     .order = &order};
        bst_store_submit(f->store, &items[i].job);
    }
    gate_lift(&gate);
    while (atomic_load(&order) < BATCH) {
        bst_loop_run_once(loop, -1);
    }
    for (int i = 0; i < BATCH; i++) {
        assert_int_equal(items[i].place, i);
        assert_int_equal(items[i].result.code, i % 3 ? BST_E_NONE : BST_E_VALUE);
        assert_true(i % 3 || strncmp(items[i].job.detail, "number ", 7) == 0);
    }
    assert_int_equal(count(f->reader), BATCH - (BATCH + 2) / 3);
    bst_store_stats(f->store, &after);
    assert_true(after.largest_batch >= BATCH);
    assert_true(after.batches - before.batches <= 3);
    bst_loop_free(&loop);
}

static bst_result add_and_leave_open(struct bst_store_conn *conn, void *arg)
{
    static const struct bst_sql sql = {"SELECT id FROM item"};
    struct bst_query *q;
    bool row;
    BST_TRY(add_arg(conn, arg));
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    return bst_sql_step(q, &row);
}

static void a_query_that_a_job_leaves_open_harms_nobody(void **state)
{
    struct fixture *f = *state;
    assert_ok(bst_store_run(f->store, add_and_leave_open, &(struct text){"one"}));
    assert_ok(bst_store_run(f->store, add_and_leave_open, &(struct text){"two"}));
    assert_int_equal(count(f->reader), 2);
}

static void more_jobs_than_the_queue_takes_are_told_busy(void **state)
{
    struct fixture *f = *state;
    struct bst_store_config config = {.schema = &schema, .queue_max = 4};
    static struct item_job items[6];
    atomic_int order = 0;
    struct gate gate;
    close_store(f);
    config.path = f->path;
    assert_ok(bst_store_open(&config, &f->store));
    gate_shut(&gate, f->store);
    for (int i = 0; i < 6; i++) {
        items[i] = (struct item_job){
            .job = {.run = item_run, .done = item_done}, .number = 3 * i + 1, .order = &order};
        bst_store_submit(f->store, &items[i].job);
    }
    assert_int_equal(atomic_load(&order), 2);
    gate_lift(&gate);
    bst_store_close(&f->store);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(items[i].result.code, i < 4 ? BST_E_NONE : BST_E_BUSY);
    }
}

static void closing_runs_what_was_submitted(void **state)
{
    struct fixture *f = *state;
    static struct item_job items[50];
    atomic_int order = 0;
    for (int i = 0; i < 50; i++) {
        items[i] = (struct item_job){
            .job = {.run = item_run, .done = item_done}, .number = 3 * i + 1, .order = &order};
        bst_store_submit(f->store, &items[i].job);
    }
    close_store(f);
    assert_int_equal(atomic_load(&order), 50);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 50);
}

/* ---- queries ---- */

static bst_result add_many(struct bst_store_conn *conn, void *arg)
{
    char text[32];
    (void)arg;
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "many-%d", i);
        BST_TRY(add(conn, text));
    }
    return BST_OK;
}

static void the_same_statement_nests(void **state)
{
    struct fixture *f = *state;
    static const struct bst_sql sql = {
        "SELECT id,text,NULL FROM item WHERE id>? ORDER BY id LIMIT 2"};
    assert_ok(bst_store_run(f->store, add_many, NULL));
    bst_auto_query *outer = NULL, *inner = NULL;
    bool row;
    assert_ok(bst_sql_begin(f->reader, &sql, &outer));
    bst_sql_bind_i64(outer, 1, 0);
    assert_ok(bst_sql_step(outer, &row));
    assert_ok(bst_sql_begin(f->reader, &sql, &inner));
    bst_sql_bind_i64(inner, 1, 10);
    assert_ok(bst_sql_step(inner, &row));
    assert_int_equal(bst_sql_i64(inner, 0), 11);
    assert_ok(bst_sql_step(outer, &row));
    assert_int_equal(bst_sql_i64(outer, 0), 2);
    assert_true(bst_view_is(bst_sql_view(outer, 1), "many-1"));
    assert_true(bst_sql_is_null(outer, 2));
    assert_int_equal(bst_sql_view(outer, 2).len, 0);
    assert_ok(bst_sql_step(outer, &row));
    assert_false(row);
}

static void a_failed_bind_comes_out_of_the_step(void **state)
{
    struct fixture *f = *state;
    static const struct bst_sql sql = {"SELECT ?"};
    bst_auto_query *q = NULL;
    bool row;
    assert_ok(bst_sql_begin(f->reader, &sql, &q));
    bst_sql_bind_i64(q, 2, 1);
    assert_err(bst_sql_step(q, &row), BST_E_INTERNAL);
}

static void a_reader_cannot_write(void **state)
{
    struct fixture *f = *state;
    assert_err(add(f->reader, "x"), BST_E_READ_ONLY);
    assert_ok(bst_store_writable(f->store));
}

static void a_view_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_ok(bst_store_read_begin(f->reader));
    assert_int_equal(count(f->reader), 0);
    assert_ok(store_add(f->store, "one"));
    assert_int_equal(count(f->reader), 0);
    bst_store_read_end(f->reader);
    assert_int_equal(count(f->reader), 1);
}

static const struct bst_sql square = {"SELECT count(*) FROM item a, item b, item c"};

static void a_read_beyond_its_budget_is_cut_off(void **state)
{
    struct fixture *f = *state;
    bst_auto_query *q = NULL;
    bool row;
    assert_ok(bst_store_run(f->store, add_many, NULL));
    bst_store_budget(f->reader, 5000, 0);
    assert_ok(bst_sql_begin(f->reader, &square, &q));
    assert_err(bst_sql_step(q, &row), BST_E_LIMIT);
    bst_sql_end(&q);
    bst_store_budget(f->reader, 0, 0);
    assert_int_equal(count(f->reader), 300);
}

struct bulk_job {
    struct bst_store_job job;
    int64_t n;
    bool done;
};

static bst_result bulk_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct bulk_job *b = bst_container_of(job, struct bulk_job, job);
    b->n = count(conn);
    return bst_store_is_writer(conn) ? bst_error(BST_E_INTERNAL) : BST_OK;
}

static void bulk_done(struct bst_store_job *job, bst_result result)
{
    struct bulk_job *b = bst_container_of(job, struct bulk_job, job);
    b->done = !bst_failed(result);
}

static void a_long_read_runs_aside_even_while_the_writer_is_held(void **state)
{
    struct fixture *f = *state;
    struct bst_loop *loop;
    struct gate gate;
    assert_ok(bst_loop_new(&loop));
    assert_ok(bst_store_run(f->store, add_many, NULL));
    struct bulk_job b = {.job = {.run = bulk_run, .done = bulk_done, .loop = loop}};
    gate_shut(&gate, f->store);
    bst_store_bulk(f->store, &b.job);
    while (!b.done) {
        bst_loop_run_once(loop, -1);
    }
    assert_int_equal(b.n, 300);
    gate_lift(&gate);
    bst_loop_free(&loop);
}

struct endless_job {
    struct bst_store_job job;
    atomic_bool *begun;
    bst_result result;
};

static bst_result endless_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    static const struct bst_sql sql = {
        "SELECT count(*) FROM item a, item b, item c, item d, item e, item f"};
    struct endless_job *endless = bst_container_of(job, struct endless_job, job);
    bst_auto_query *q = NULL;
    bool row;
    atomic_store(endless->begun, true);
    BST_TRY(bst_sql_begin(conn, &sql, &q));
    return bst_sql_step(q, &row);
}

static void endless_done(struct bst_store_job *job, bst_result result)
{
    bst_container_of(job, struct endless_job, job)->result = result;
}

static void closing_cuts_off_long_reads(void **state)
{
    struct fixture *f = *state;
    static struct endless_job jobs[5];
    atomic_bool begun = false;
    assert_ok(bst_store_run(f->store, add_many, NULL));
    for (int i = 0; i < 5; i++) {
        jobs[i] = (struct endless_job){.job = {.run = endless_run, .done = endless_done},
                                       .begun = &begun};
        bst_store_bulk(f->store, &jobs[i].job);
    }
    while (!atomic_load(&begun)) {
        sched_yield();
    }
    close_store(f);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(jobs[i].result.code, BST_E_CLOSED);
    }
}

/* ---- the file ---- */

static void migrations_run_once_and_carry_the_data(void **state)
{
    struct fixture *f = *state;
    struct bst_store_schema one = schema;
    one.n = 1;
    close_store(f);
    unlink(f->path);
    assert_ok(open_as(f, &one));
    assert_ok(bst_store_reader(f->store, &f->reader));
    close_store(f);
    assert_ok(open_as(f, &schema));
    assert_ok(store_add(f->store, "one"));
    close_store(f);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 1);
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bst_store_schema one = schema;
    one.n = 1;
    close_store(f);
    assert_err(open_as(f, &one), BST_E_VERSION);
    assert_non_null(strstr(bst_error_detail(), "schema version 2, this program knows 1"));
    assert_null(f->store);
}

static void a_failing_migration_leaves_the_version_before_it(void **state)
{
    struct fixture *f = *state;
    struct bst_store_schema three = schema;
    three.n = 3;
    close_store(f);
    assert_true(bst_failed(open_as(f, &three)));
    assert_non_null(strstr(bst_error_detail(), "migration 3"));
    assert_ok(open_as(f, &schema));
}

static void another_kind_of_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bst_store_schema other = schema;
    other.name = "other";
    close_store(f);
    assert_err(open_as(f, &other), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "'test', not 'other'"));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 5000; i++) {
        fputs("not a database ", file);
    }
    fclose(file);
    assert_err(open_as(f, &schema), BST_E_CORRUPT);
}

static void a_missing_folder_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct bst_store_config config = {.path = "/nonexistent/folder/store.db", .schema = &schema};
    struct bst_store *store = NULL;
    (void)f;
    assert_err(bst_store_open(&config, &store), BST_E_IO);
    assert_null(store);
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) {
        assert_int_equal(fwrite(block, 1, n, out), n);
    }
    fclose(in);
    fclose(out);
}

static void a_killed_process_leaves_a_log_that_the_next_one_takes_over(void **state)
{
    struct fixture *f = *state;
    char log[300], copy[256], copy_log[300];
    assert_ok(bst_store_run(f->store, add_many, NULL));
    snprintf(log, sizeof log, "%s-wal", f->path);
    snprintf(copy, sizeof copy, "%s", scratch_path(&f->scratch, "killed.db"));
    snprintf(copy_log, sizeof copy_log, "%s-wal", copy);
    copy_file(f->path, copy);
    copy_file(log, copy_log);
    close_store(f);
    snprintf(f->path, sizeof f->path, "%s", copy);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 300);
    assert_ok(store_add(f->store, "one"));
    close_store(f);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 301);
}

static void a_log_without_its_database_is_an_error(void **state)
{
    struct fixture *f = *state;
    char log[300];
    close_store(f);
    unlink(f->path);
    snprintf(log, sizeof log, "%s-wal", f->path);
    FILE *file = fopen(log, "w");
    assert_non_null(file);
    fputs("log", file);
    fclose(file);
    assert_err(open_as(f, &schema), BST_E_IO);
}

static void damage_is_found_by_the_check(void **state)
{
    struct fixture *f = *state;
    bst_auto(buf) findings = {0};
    assert_ok(bst_store_run(f->store, add_many, NULL));
    assert_ok(bst_store_check(f->store, true, &findings));
    assert_int_equal(findings.len, 0);
    close_store(f);
    FILE *file = fopen(f->path, "r+");
    assert_non_null(file);
    fseek(file, 4096 * 3 + 8, SEEK_SET);
    for (int i = 0; i < 512; i++) {
        fputc(0xa5, file);
    }
    fclose(file);
    bst_result r = open_as(f, &schema);
    if (!bst_failed(r)) {
        assert_err(bst_store_check(f->store, true, &findings), BST_E_CORRUPT);
        assert_true(findings.len > 0);
    } else {
        assert_int_equal(r.code, BST_E_CORRUPT);
    }
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static bool at_once(void *arg)
{
    (void)arg;
    return true;
}

static void a_copy_is_a_store_and_never_overwrites(void **state)
{
    struct fixture *f = *state;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", scratch_path(&f->scratch, "copy.db"));
    assert_ok(bst_store_run(f->store, add_many, NULL));
    assert_ok(bst_store_snapshot(f->store, copy, never, NULL));
    assert_err(bst_store_snapshot(f->store, copy, NULL, NULL), BST_E_EXISTS);
    assert_ok(store_add(f->store, "later"));
    close_store(f);
    snprintf(f->path, sizeof f->path, "%s", copy);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 300);
}

static bst_result add_large(struct bst_store_conn *conn, void *arg)
{
    static char text[4000];
    int n = *(int *)arg;
    for (int i = 0; i < n; i++) {
        memset(text, 'x', sizeof text - 1);
        snprintf(text, sizeof text, "%08d", i);
        text[8] = 'x';
        BST_TRY(add(conn, text));
    }
    return BST_OK;
}

static void a_cancelled_copy_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    int rows = 2000;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", scratch_path(&f->scratch, "copy.db"));
    assert_ok(bst_store_run(f->store, add_large, &rows));
    assert_err(bst_store_snapshot(f->store, copy, at_once, NULL), BST_E_CANCELLED);
    assert_int_equal(access(copy, F_OK), -1);
}

struct busy_copy {
    struct bst_store *store;
    int slices;
};

static bool write_between(void *arg)
{
    struct busy_copy *b = arg;
    char text[32];
    snprintf(text, sizeof text, "between-%d", b->slices++);
    return bst_failed(store_add(b->store, text));
}

static void a_copy_goes_on_while_others_write(void **state)
{
    struct fixture *f = *state;
    int rows = 2000;
    char copy[256];
    struct busy_copy busy = {.store = f->store};
    snprintf(copy, sizeof copy, "%s", scratch_path(&f->scratch, "copy.db"));
    assert_ok(bst_store_run(f->store, add_large, &rows));
    assert_ok(bst_store_snapshot(f->store, copy, write_between, &busy));
    assert_true(busy.slices > 3);
    assert_int_equal(count(f->reader), 2000 + busy.slices);
    close_store(f);
    snprintf(f->path, sizeof f->path, "%s", copy);
    assert_ok(open_as(f, &schema));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_int_equal(count(f->reader), 2000);
}

static void the_log_is_copied_back_and_starts_over(void **state)
{
    struct fixture *f = *state;
    struct bst_store_stats stats;
    int rows = 20;
    struct bst_store_config config = {.path = f->path, .schema = &schema, .checkpoint_kib = 64};
    close_store(f);
    unlink(f->path);
    assert_ok(bst_store_open(&config, &f->store));
    for (int i = 0; i < 40; i++) {
        bst_result r = bst_store_run(f->store, add_large, &rows);
        assert_true(i == 0 ? !bst_failed(r) : r.code == BST_E_CONFLICT);
        char text[16];
        snprintf(text, sizeof text, "n%d", i);
        assert_ok(store_add(f->store, text));
    }
    bst_store_stats(f->store, &stats);
    assert_true(stats.checkpoints >= 1);
    assert_true(stats.wal_bytes < 40 * 4 * 4096);
}

static void a_reader_that_held_the_log_back_costs_only_space(void **state)
{
    struct fixture *f = *state;
    struct bst_store_stats held, after;
    struct bst_store_config config = {.path = f->path, .schema = &schema, .checkpoint_kib = 16};
    char text[32];
    close_store(f);
    assert_ok(bst_store_open(&config, &f->store));
    assert_ok(bst_store_reader(f->store, &f->reader));
    assert_ok(bst_store_read_begin(f->reader));
    assert_int_equal(count(f->reader), 0);
    for (int i = 0; i < 120; i++) {
        snprintf(text, sizeof text, "held-%d", i);
        assert_ok(store_add(f->store, text));
    }
    bst_store_stats(f->store, &held);
    assert_true(held.wal_bytes > 16 * 16 * 1024);
    assert_int_equal(count(f->reader), 0);
    bst_store_read_end(f->reader);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "after-%d", i);
        assert_ok(store_add(f->store, text));
    }
    bst_store_stats(f->store, &after);
    assert_true(after.wal_bytes < 16 * 16 * 1024);
    assert_int_equal(count(f->reader), 140);
}

static bst_result raise(struct bst_store_conn *conn, void *arg)
{
    return bst_store_raise_generation(conn, *(int64_t *)arg);
}

static void the_generation_only_rises(void **state)
{
    struct fixture *f = *state;
    int64_t generation = 0, seven = 7, three = 3;
    assert_ok(bst_store_generation(f->reader, &generation));
    assert_int_equal(generation, 1);
    assert_ok(bst_store_run(f->store, raise, &seven));
    assert_ok(bst_store_run(f->store, raise, &three));
    assert_ok(bst_store_generation(f->reader, &generation));
    assert_int_equal(generation, 7);
}

static void a_second_opening_of_the_file_with_a_log_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bst_store_config config = {.path = f->path, .schema = &schema};
    struct bst_store *second = NULL;
    assert_ok(store_add(f->store, "one"));
    assert_err(bst_store_open(&config, &second), BST_E_LOCKED);
    assert_null(second);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_a_job_writes_is_there_for_readers),
        CASE(a_failing_job_takes_back_its_changes_and_keeps_its_sentence),
        CASE(a_violated_constraint_is_a_conflict),
        CASE(jobs_of_one_batch_fail_alone_and_complete_in_order_on_their_loop),
        CASE(a_query_that_a_job_leaves_open_harms_nobody),
        CASE(more_jobs_than_the_queue_takes_are_told_busy),
        CASE(closing_runs_what_was_submitted),
        CASE(the_same_statement_nests),
        CASE(a_failed_bind_comes_out_of_the_step),
        CASE(a_reader_cannot_write),
        CASE(a_view_stays_as_it_was),
        CASE(a_read_beyond_its_budget_is_cut_off),
        CASE(a_long_read_runs_aside_even_while_the_writer_is_held),
        CASE(closing_cuts_off_long_reads),
        CASE(migrations_run_once_and_carry_the_data),
        CASE(a_newer_schema_is_refused),
        CASE(a_failing_migration_leaves_the_version_before_it),
        CASE(another_kind_of_file_is_refused),
        CASE(a_file_that_is_no_database_is_refused),
        CASE(a_missing_folder_is_an_error),
        CASE(a_killed_process_leaves_a_log_that_the_next_one_takes_over),
        CASE(a_log_without_its_database_is_an_error),
        CASE(damage_is_found_by_the_check),
        CASE(a_copy_is_a_store_and_never_overwrites),
        CASE(a_cancelled_copy_leaves_no_file),
        CASE(a_copy_goes_on_while_others_write),
        CASE(the_log_is_copied_back_and_starts_over),
        CASE(a_reader_that_held_the_log_back_costs_only_space),
        CASE(the_generation_only_rises),
        CASE(a_second_opening_of_the_file_with_a_log_is_refused),
    };
    return cmocka_run_group_tests_name("store_engine", tests, NULL, NULL);
}
