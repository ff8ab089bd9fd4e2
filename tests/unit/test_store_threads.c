/* Many threads at one store: submitters with loops of their own, readers, and somebody who copies.
 */
#include "support/test.h"

#include "base/map.h"
#include "store/resource.h"
#include "support/scratch.h"

#include <pthread.h>
#include <stdatomic.h>

#define SUBMITTERS 4
#define READERS 2
#define FLYING 8
#define JOBS_EACH 400

struct shared {
    struct scratch scratch;
    struct bst_store *store;
    int64_t box;
    atomic_int submitters_left, failures;
};

struct submitter {
    struct shared *shared;
    struct bst_loop *loop;
    int number, submitted, answered;
    pthread_t thread;
};

struct add_job {
    struct bst_store_job job;
    struct submitter *owner;
    int number;
};

static bst_result make_box(struct bst_store_conn *conn, void *arg)
{
    struct shared *shared = arg;
    struct bst_row row = {.ty = 3, .name = BST_VIEW("box"), .ct = 1};
    return bst_resource_insert(conn, &row, &shared->box);
}

static bst_result add_run(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct add_job *add = bst_container_of(job, struct add_job, job);
    int64_t box = add->owner->shared->box, id;
    struct bst_counters c;
    char name[32];
    snprintf(name, sizeof name, "Cperson-%d-%d", add->owner->number, add->number % 10);
    struct bst_row row = {.pi = box, .ty = 4, .ct = 1, .cbs = 1};
    BST_TRY(bst_principal_id(conn, bst_view(name), &row.cr));
    BST_TRY(bst_resource_insert(conn, &row, &id));
    BST_TRY(bst_counters_get(conn, box, &c));
    c.cni++;
    BST_TRY(bst_counters_set(conn, box, &c));
    return add->number % 5 == 4 ? bst_error(BST_E_VALUE) : BST_OK;
}

static void add_done(struct bst_store_job *job, bst_result result);

static void add_next(struct add_job *add)
{
    add->number = add->owner->submitted++;
    add->job.loop = add->owner->loop;
    add->job.run = add_run;
    add->job.done = add_done;
    bst_store_submit(add->owner->shared->store, &add->job);
}

static void add_done(struct bst_store_job *job, bst_result result)
{
    struct add_job *add = bst_container_of(job, struct add_job, job);
    if (result.code != (add->number % 5 == 4 ? BST_E_VALUE : BST_E_NONE)) {
        atomic_fetch_add(&add->owner->shared->failures, 1);
    }
    add->owner->answered++;
    if (add->owner->submitted < JOBS_EACH) {
        add_next(add);
    }
}

/* cmocka's assertions belong to the main thread: the others count. */
static void *submit_all(void *arg)
{
    struct submitter *s = arg;
    struct add_job jobs[FLYING] = {0};
    for (int i = 0; i < FLYING; i++) {
        jobs[i].owner = s;
        add_next(&jobs[i]);
    }
    while (s->answered < JOBS_EACH) {
        bst_loop_run_once(s->loop, -1);
    }
    atomic_fetch_sub(&s->shared->submitters_left, 1);
    return NULL;
}

/* In one view, the container's counter is the number of its children, whatever is being added. */
static bst_result read_once(struct bst_store_conn *reader, struct shared *shared,
                            struct bst_arena *arena)
{
    struct bst_row box, last;
    struct bst_view name;
    int64_t n, id;
    BST_TRY(bst_store_read_begin(reader));
    BST_TRY(bst_resource_find(reader, shared->box, NULL, &box));
    BST_TRY(bst_resource_count(reader, shared->box, 4, INT64_MAX, &n));
    BST_TRY(bst_resource_find_latest(reader, shared->box, 4, NULL, &last));
    bst_store_read_end(reader);
    BST_ENSURE(box.cni == n && (n == 0) == (last.id == 0), BST_E_CORRUPT);
    if (last.id) {
        BST_TRY(bst_principal_name(reader, last.cr, arena, &name));
        BST_TRY(bst_principal_id(reader, name, &id));
        BST_ENSURE(id == last.cr, BST_E_CORRUPT);
    }
    return BST_OK;
}

static void *read_on(void *arg)
{
    struct shared *shared = arg;
    struct bst_store_conn *reader;
    struct bst_arena arena = {0};
    if (bst_failed(bst_store_reader(shared->store, &reader))) {
        atomic_fetch_add(&shared->failures, 1);
        return NULL;
    }
    while (atomic_load(&shared->submitters_left)) {
        if (bst_failed(read_once(reader, shared, &arena))) {
            atomic_fetch_add(&shared->failures, 1);
        }
        bst_arena_reset(&arena);
    }
    bst_arena_clear(&arena);
    bst_store_reader_close(&reader);
    return NULL;
}

static void submitters_and_readers_get_along(void **state)
{
    static struct shared shared;
    static struct submitter submitters[SUBMITTERS];
    pthread_t readers[READERS];
    bst_auto(buf) findings = {0};
    struct bst_store_stats stats;
    (void)state;
    assert_true(scratch_make(&shared.scratch));
    char path[256], copy[256];
    snprintf(path, sizeof path, "%s", scratch_path(&shared.scratch, "cse.db"));
    snprintf(copy, sizeof copy, "%s", scratch_path(&shared.scratch, "copy.db"));
    struct bst_store_config config = {
        .path = path, .schema = &bst_resource_schema, .checkpoint_kib = 256};
    assert_ok(bst_store_open(&config, &shared.store));
    assert_ok(bst_store_run(shared.store, make_box, &shared));
    atomic_store(&shared.submitters_left, SUBMITTERS);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){.shared = &shared, .number = i};
        assert_ok(bst_loop_new(&submitters[i].loop));
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]),
                         0);
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    }
    assert_ok(bst_store_snapshot(shared.store, copy, NULL, NULL));
    bst_store_stats(shared.store, &stats);
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(submitters[i].thread, NULL);
        bst_loop_free(&submitters[i].loop);
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&shared.failures), 0);
    assert_ok(bst_store_check(shared.store, true, &findings));
    bst_store_stats(shared.store, &stats);
    assert_true(stats.jobs > SUBMITTERS * JOBS_EACH);
    assert_int_equal(stats.failed_jobs, SUBMITTERS * JOBS_EACH / 5);
    bst_store_close(&shared.store);
    scratch_remove(&shared.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submitters_and_readers_get_along),
    };
    return cmocka_run_group_tests_name("store_threads", tests, NULL, NULL);
}
