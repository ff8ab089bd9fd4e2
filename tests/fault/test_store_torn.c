/* Power failures and failing disks under the store: what was acknowledged stays, nothing is half
 * there.
 *
 * A workload of jobs runs on the disk of vfs_torn.c until the power goes at some operation,
 * whichever it is: inside a write, a commit, a checkpoint, a migration, a recovery. Then the store
 * is opened again on what is left. BST_TORN_SEEDS sets how many times (default 300). */
#include "support/test.h"

#include "base/map.h"
#include "fault/vfs_torn.h"
#include "obs/log.h"
#include "store/resource.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>

#define JOBS 60
#define FILE_NAME "torn.db"

struct fact {
    struct bst_store_job job;
    int number;
    struct world *world;
};

struct world {
    struct bst_store *store;
    int64_t container;
    uint64_t seed;
    unsigned checkpoint_kib;
    struct fact facts[JOBS];
    atomic_bool acknowledged[JOBS];
    atomic_int errors, answered;
    enum bst_error last_error;
};

static struct world world;

static uint64_t chance(uint64_t *seed)
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static bst_result open_store(void)
{
    struct bst_store_config config = {.path = FILE_NAME,
                                      .schema = &bst_resource_schema,
                                      .vfs = TORN_VFS,
                                      .checkpoint_kib = world.checkpoint_kib,
                                      .cache_kib = 256,
                                      .bulk_threads = 1};
    return bst_store_open(&config, &world.store);
}

/* ---- the workload ---- */

static bst_result find_or_make_container(struct bst_store_conn *conn, void *arg)
{
    struct bst_row row;
    (void)arg;
    BST_TRY(bst_resource_find_alias(conn, BST_VIEW("box"), NULL, &row));
    if (row.id) {
        world.container = row.id;
        return BST_OK;
    }
    row = (struct bst_row){.ty = 3, .name = BST_VIEW("box"), .ct = 1, .lt = 1};
    BST_TRY(bst_resource_insert(conn, &row, &world.container));
    return bst_alias_set(conn, BST_VIEW("box"), world.container);
}

/* Some body whose content follows from the number. */
static struct bst_view body_of(int number)
{
    static _Thread_local char body[9000];
    uint64_t seed = (uint64_t)number;
    size_t len = chance(&seed) % sizeof body;
    memset(body, 'a' + number % 26, len);
    return bst_view_of(body, len);
}

static struct bst_view key_of(const int *number)
{
    return bst_view_of(number, sizeof *number);
}

/* A subtree that comes in one job and goes in the next. */
static bst_result churn(struct bst_store_conn *conn, int number)
{
    struct bst_row row;
    int64_t top, id;
    BST_TRY(bst_resource_find_name(conn, BST_PI_ROOT, BST_VIEW("churn"), NULL, &row));
    if (row.id) {
        return bst_resource_detach(conn, row.id);
    }
    row = (struct bst_row){.ty = 2, .name = BST_VIEW("churn"), .ct = number};
    BST_TRY(bst_resource_insert(conn, &row, &top));
    for (int i = 0; i < 40; i++) {
        row = (struct bst_row){.pi = top, .ty = 3, .ct = number, .body = BST_VIEW("\"x\":1")};
        BST_TRY(bst_resource_insert(conn, &row, &id));
        top = i == 20 ? id : top;
    }
    return BST_OK;
}

/* Row, counters, label, fact: all of them or none. */
static bst_result fact_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct fact *fact = bst_container_of(job, struct fact, job);
    struct bst_view body = body_of(fact->number), label = BST_VIEW("fact");
    struct bst_counters c;
    int64_t id;
    BST_TRY(bst_counters_get(conn, world.container, &c));
    struct bst_row row = {.pi = world.container,
                          .ty = 4,
                          .ct = fact->number + 1,
                          .cbs = (int64_t)body.len,
                          .body = body};
    BST_TRY(bst_resource_insert(conn, &row, &id));
    c.cni++;
    c.cbs += (int64_t)body.len;
    BST_TRY(bst_counters_set(conn, world.container, &c));
    BST_TRY(bst_labels_set(conn, id, &label, 1));
    if (fact->number % 5 == 3) {
        BST_TRY(churn(conn, fact->number));
    }
    BST_TRY(bst_kv_add(conn, "fact", key_of(&fact->number), body));
    return fact->number % 7 == 6 ? bst_error(BST_E_VALUE) : BST_OK;
}

static void fact_done(struct bst_store_job *job, bst_result result)
{
    struct fact *fact = bst_container_of(job, struct fact, job);
    if (!bst_failed(result)) {
        atomic_store(&world.acknowledged[fact->number], true);
    } else if (result.code != BST_E_VALUE) {
        atomic_fetch_add(&world.errors, 1);
        world.last_error = result.code;
    }
    atomic_fetch_add(&world.answered, 1);
}

static bst_result nothing(struct bst_store_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    return BST_OK;
}

/* Bursts of different sizes: batches of one and of many. */
static void run_facts(int from, int to)
{
    uint64_t seed = world.seed;
    for (int i = from; i < to; i++) {
        world.facts[i] = (struct fact){.job = {.run = fact_run, .done = fact_done}, .number = i};
        bst_store_submit(world.store, &world.facts[i].job);
        if (chance(&seed) % 4 == 0) {
            (void)bst_failed(bst_store_run(world.store, nothing, NULL));
        }
    }
    (void)bst_failed(bst_store_run(world.store, nothing, NULL));
}

static void start_world(uint64_t seed)
{
    torn_reset();
    memset(&world, 0, sizeof world);
    world.seed = seed;
    /* Mostly a log of a few pages: checkpoints are then as frequent as commits. */
    world.checkpoint_kib = seed % 4 ? 48 : 4096;
}

/* False when the power went before anything was ready. */
static bool run_until_dark(int from, int to)
{
    if (bst_failed(open_store())) {
        return false;
    }
    bool ready = !bst_failed(bst_store_run(world.store, find_or_make_container, NULL));
    if (ready) {
        run_facts(from, to);
    }
    bst_store_close(&world.store);
    return ready;
}

/* ---- what must hold afterwards ---- */

struct found {
    bool row[JOBS], fact[JOBS];
    int64_t rows, bytes;
};

static bool note_fact(void *arg, struct bst_view key, struct bst_view value)
{
    struct found *found = arg;
    int number = -1;
    memcpy(&number, key.ptr, key.len == sizeof number ? sizeof number : 0);
    assert_in_range(number, 0, JOBS - 1);
    assert_true(bst_view_eq(value, body_of(number)));
    found->fact[number] = true;
    return true;
}

static void note_rows(struct bst_store_conn *reader, struct found *found, int64_t container)
{
    bst_auto(cursor) cursor = {0};
    struct bst_row row;
    assert_ok(bst_children_open(reader, container, 4, (struct bst_place){0}, 0, &cursor));
    for (;;) {
        assert_ok(bst_cursor_next(&cursor, &row));
        if (!row.id) {
            return;
        }
        assert_in_range(row.ct, 1, JOBS);
        assert_false(found->row[row.ct - 1]);
        assert_true(bst_view_eq(row.body, body_of((int)row.ct - 1)));
        found->row[row.ct - 1] = true;
        found->rows++;
        found->bytes += (int64_t)row.body.len;
    }
}

static void assert_whole(void)
{
    struct bst_store_conn *reader;
    struct found found = {0};
    struct bst_row box;
    bst_auto(buf) findings = {0};
    if (bst_failed(bst_store_check(world.store, true, &findings))) {
        fail_msg("seed %llu: %.*s", (unsigned long long)world.seed,
                 BST_VIEW_ARGS(bst_buf_view(&findings)));
    }
    assert_ok(bst_store_reader(world.store, &reader));
    assert_ok(bst_resource_find_alias(reader, BST_VIEW("box"), NULL, &box));
    if (box.id) {
        note_rows(reader, &found, box.id);
    }
    assert_ok(bst_kv_each(reader, "fact", BST_VIEW(""), note_fact, &found));
    assert_int_equal(box.cni, found.rows);
    assert_int_equal(box.cbs, found.bytes);
    for (int i = 0; i < JOBS; i++) {
        if (atomic_load(&world.acknowledged[i]) && !found.row[i]) {
            fail_msg("seed %llu: acknowledged job %d is gone", (unsigned long long)world.seed, i);
        }
        assert_int_equal(found.row[i], found.fact[i]);
        assert_false(found.row[i] && i % 7 == 6);
    }
    bst_store_reader_close(&reader);
}

static long seeds_wanted(void)
{
    const char *text = getenv("BST_TORN_SEEDS");
    return text ? atol(text) : 300;
}

static void acknowledged_jobs_survive_a_power_failure_anywhere(void **state)
{
    (void)state;
    struct torn_faults none = {0};
    start_world(1);
    torn_arm(&none);
    assert_true(run_until_dark(0, JOBS / 2));
    long operations = torn_operations();
    int lost = 0, kept = 0;
    for (long s = 1; s <= seeds_wanted(); s++) {
        uint64_t seed = (uint64_t)s;
        start_world(seed);
        struct torn_faults dark = {.power_off_at =
                                       1 + (long)(chance(&seed) % (uint64_t)operations)};
        torn_arm(&dark);
        run_until_dark(0, JOBS / 2);
        torn_power_on(chance(&seed));
        if (s % 3 == 0) {
            /* And once more, during the recovery or soon after. */
            dark.power_off_at = 1 + (long)(chance(&seed) % 40);
            torn_arm(&dark);
            run_until_dark(JOBS / 2, JOBS / 2 + 5);
            torn_power_on(chance(&seed));
        }
        assert_ok(open_store());
        assert_whole();
        assert_ok(bst_store_run(world.store, find_or_make_container, NULL));
        run_facts(JOBS - 10, JOBS);
        assert_whole();
        bst_store_close(&world.store);
        for (int i = 0; i < JOBS / 2; i++) {
            kept += atomic_load(&world.acknowledged[i]);
            lost += !atomic_load(&world.acknowledged[i]);
        }
    }
    print_message("%ld power failures in %ld operations: %d jobs acknowledged before, %d not\n",
                  seeds_wanted(), operations, kept, lost);
    assert_true(kept > 0 && lost > 0);
}

/* ---- failing writes and syncs ---- */

static void assert_refused_and_readable(void)
{
    struct bst_store_conn *reader;
    struct bst_row box;
    bst_result r = bst_store_writable(world.store);
    assert_true(r.code == BST_E_READ_ONLY || r.code == BST_E_DISK_FULL);
    assert_non_null(strstr(bst_error_detail(), "refuses writes"));
    int before = atomic_load(&world.errors);
    run_facts(JOBS - 3, JOBS);
    assert_true(atomic_load(&world.errors) > before);
    assert_true(world.last_error == BST_E_READ_ONLY || world.last_error == BST_E_DISK_FULL);
    assert_ok(bst_store_reader(world.store, &reader));
    assert_ok(bst_resource_find_alias(reader, BST_VIEW("box"), NULL, &box));
    assert_true(box.id > 0);
    bst_store_reader_close(&reader);
    assert_ok(bst_store_run(world.store, nothing, NULL));
}

/* One run with one fault. Returns false when the fault lay behind the end of the work. */
static bool run_with_fault(const struct torn_faults *fault, uint64_t seed)
{
    struct torn_faults none = {0};
    start_world(seed);
    assert_ok(open_store());
    assert_ok(bst_store_run(world.store, find_or_make_container, NULL));
    torn_arm(fault);
    run_facts(0, JOBS / 2);
    bool met = bst_failed(bst_store_writable(world.store));
    if (met) {
        long syncs = torn_syncs(), writes = torn_writes();
        assert_refused_and_readable();
        bst_store_close(&world.store);
        /* Not even the close tries again. */
        assert_int_equal(torn_syncs(), syncs);
        assert_int_equal(torn_writes(), writes);
    } else {
        torn_arm(&none);
        assert_int_equal(atomic_load(&world.errors), 0);
        bst_store_close(&world.store);
    }
    torn_arm(&none);
    return met;
}

static void reopen_and_lose_power(uint64_t seed)
{
    /* The same machine goes on: what it believes to be on the disk need not be there. Without a
     * checkpoint that would cover it, the new commits follow it in the log. */
    world.checkpoint_kib = seed % 3 ? 1 << 20 : 48;
    assert_ok(open_store());
    assert_whole();
    assert_ok(bst_store_run(world.store, find_or_make_container, NULL));
    run_facts(JOBS / 2, JOBS - 10);
    struct torn_faults dark = {.power_off_at = 1};
    torn_arm(&dark);
    bst_store_close(&world.store);
    torn_power_on(seed);
    assert_ok(open_store());
    assert_whole();
    bst_store_close(&world.store);
}

static void a_failed_fsync_ends_writing_and_is_never_retried(void **state)
{
    (void)state;
    long failed = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        for (long n = 1; n < 200; n++) {
            struct torn_faults fault = {.sync_fails_at = n};
            if (!run_with_fault(&fault, seed)) {
                break;
            }
            failed++;
            reopen_and_lose_power(seed * 100 + (uint64_t)n);
        }
    }
    print_message("%ld syncs failed, one in each run\n", failed);
    assert_true(failed > 50);
}

static void a_failed_write_ends_writing_and_loses_nothing(void **state)
{
    (void)state;
    long n = 1;
    for (; n < 2000; n += 1 + n / 16) {
        struct torn_faults fault = {.write_fails_at = n,
                                    .write_error = n % 2 ? SQLITE_FULL : SQLITE_IOERR_WRITE};
        if (!run_with_fault(&fault, (uint64_t)n)) {
            break;
        }
        reopen_and_lose_power((uint64_t)n);
    }
    assert_true(n > 30);
}

/* ---- failing allocations ---- */

/* Memory is back: so is everything else. */
static void assert_recovered(void)
{
    bst_alloc_fail_at(0);
    if (atomic_load(&world.errors)) {
        assert_int_equal(world.last_error, BST_E_NOMEM);
    }
    assert_ok(bst_store_writable(world.store));
    assert_ok(bst_store_run(world.store, find_or_make_container, NULL));
    run_facts(JOBS - 5, JOBS);
    assert_whole();
    bst_store_close(&world.store);
}

static void lack_of_memory_while_opening_is_told_and_passes(void **state)
{
    (void)state;
    long failed = 0;
    for (long n = 1; n < 2000; n += 1 + n / 64) {
        start_world((uint64_t)n);
        bst_alloc_fail_at(n);
        bst_result opened = open_store();
        if (bst_failed(opened)) {
            failed++;
            assert_int_equal(opened.code, BST_E_NOMEM);
            bst_alloc_fail_at(0);
            assert_ok(open_store());
        }
        assert_recovered();
    }
    print_message("%ld opens met a failing allocation\n", failed);
    assert_true(failed > 50);
}

static void lack_of_memory_fails_jobs_and_nothing_else(void **state)
{
    (void)state;
    long failed = 0;
    for (long n = 1; n < 3000; n += 1 + n / 64) {
        start_world((uint64_t)n);
        assert_ok(open_store());
        bst_alloc_fail_at(n);
        if (!bst_failed(bst_store_run(world.store, find_or_make_container, NULL))) {
            run_facts(0, 20);
        }
        failed += atomic_load(&world.errors) > 0;
        assert_recovered();
    }
    print_message("%ld workloads met a failing allocation\n", failed);
    assert_true(failed > 50);
}

/* SQLite's own allocations fail with ours. */
struct block {
    _Alignas(16) size_t bytes;
};

static void *sql_malloc(int bytes)
{
    struct block *b = bst_alloc(sizeof *b + (size_t)bytes);
    if (!b) {
        return NULL;
    }
    b->bytes = (size_t)bytes;
    return b + 1;
}

static void sql_free(void *ptr)
{
    bst_free(ptr ? (struct block *)ptr - 1 : NULL);
}

static void *sql_realloc(void *ptr, int bytes)
{
    struct block *b = ptr ? (struct block *)ptr - 1 : NULL;
    b = bst_realloc(b, sizeof *b + (size_t)bytes);
    if (!b) {
        return NULL;
    }
    b->bytes = (size_t)bytes;
    return b + 1;
}

static int sql_size(void *ptr)
{
    return ptr ? (int)((struct block *)ptr - 1)->bytes : 0;
}

static int sql_roundup(int bytes)
{
    return (bytes + 7) & ~7;
}

static int sql_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sql_shutdown(void *arg)
{
    (void)arg;
}

static void no_log(void *ctx, enum bst_log_level level, struct bst_view line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

int main(void)
{
    struct bst_log_setup quiet = {.write = no_log};
    static const sqlite3_mem_methods memory = {.xMalloc = sql_malloc,
                                               .xFree = sql_free,
                                               .xRealloc = sql_realloc,
                                               .xSize = sql_size,
                                               .xRoundup = sql_roundup,
                                               .xInit = sql_init,
                                               .xShutdown = sql_shutdown};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    torn_register();
    bst_log_configure(&quiet);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_jobs_survive_a_power_failure_anywhere),
        cmocka_unit_test(a_failed_fsync_ends_writing_and_is_never_retried),
        cmocka_unit_test(a_failed_write_ends_writing_and_loses_nothing),
        cmocka_unit_test(lack_of_memory_while_opening_is_told_and_passes),
        cmocka_unit_test(lack_of_memory_fails_jobs_and_nothing_else),
    };
    int failed = cmocka_run_group_tests_name("store_torn", tests, NULL, NULL);
    torn_reset();
    return failed;
}
