#include "support/test.h"

#include "base/map.h"
#include "se/se.h"
#include "support/se_host.h"

#include <pthread.h>
#include <stdatomic.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct test_host host;

/* A gate that workers wait at until the test opens it. */
static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int done, inside;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void gate_shut(void)
{
    gate.open = false;
    gate.done = gate.inside = 0;
}

static void gate_open(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_wait(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void count_done(struct bst_se_call *call)
{
    pthread_mutex_lock(&gate.lock);
    gate.done++;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void await(const int *number, int value)
{
    pthread_mutex_lock(&gate.lock);
    while (*number < value) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static struct bst_se *open_soft(void)
{
    struct bst_se *se = NULL;
    test_host_init(&host);
    assert_ok(bst_se_open(&host.host, "se:soft", &se));
    gate_shut();
    return se;
}

/* One MAC, by a key that is there or not. */
struct mac_call {
    struct bst_se_call call;
    bst_key key;
    uint8_t out[32];
    pthread_t ran_on;
};

static bst_result run_mac(struct bst_se *se, struct bst_se_call *call)
{
    struct mac_call *mac = bst_container_of(call, struct mac_call, call);
    mac->ran_on = pthread_self();
    gate_wait();
    return bst_se_mac(se, mac->key, NULL, 0, mac->out);
}

static bst_key make_mac_key(struct bst_se *se)
{
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    bst_key key = 0;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    return key;
}

static void a_call_runs_elsewhere_and_gives_what_the_plain_one_gives(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = make_mac_key(se);
    uint8_t expected[32];
    assert_ok(bst_se_mac(se, key, NULL, 0, expected));
    struct mac_call good = {.call = {run_mac, count_done}, .key = key};
    struct mac_call bad = {.call = {run_mac, count_done}, .key = key + 1};
    assert_ok(bst_se_submit(se, &good.call));
    assert_ok(bst_se_submit(se, &bad.call));
    assert_int_equal(gate.done, 0); /* this thread went on */
    gate_open();
    await(&gate.done, 2);
    assert_ok(good.call.outcome);
    assert_memory_equal(good.out, expected, sizeof expected);
    assert_false(pthread_equal(good.ran_on, pthread_self()));
    assert_int_equal(bad.call.outcome.code, BST_E_NOT_FOUND);
    assert_non_null(strstr(bad.call.detail, "gone"));
}

#define MANY 400

static void a_full_queue_says_busy_and_loses_nothing(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = make_mac_key(se);
    static struct mac_call calls[MANY];
    int taken = 0;
    bst_result last = BST_OK;
    memset(calls, 0, sizeof calls);
    while (taken < MANY) {
        calls[taken] = (struct mac_call){.call = {run_mac, count_done}, .key = key};
        last = bst_se_submit(se, &calls[taken].call);
        if (bst_failed(last)) {
            break;
        }
        taken++;
    }
    assert_int_equal(last.code, BST_E_BUSY);
    assert_true(taken >= 256);
    assert_null(calls[taken].call.se);
    gate_open();
    await(&gate.done, taken);
    for (int i = 0; i < taken; i++) {
        assert_ok(calls[i].call.outcome);
    }
    /* And there is room again. */
    assert_ok(bst_se_submit(se, &calls[taken].call));
    await(&gate.done, taken + 1);
}

static void slow_calls_do_not_wait_for_each_other(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = make_mac_key(se);
    struct mac_call calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = (struct mac_call){.call = {run_mac, count_done}, .key = key};
        assert_ok(bst_se_submit(se, &calls[i].call));
    }
    await(&gate.inside, 3); /* all are in the middle of it at once */
    gate_open();
    await(&gate.done, 3);
}

static void closing_waits_for_what_was_submitted(void **state)
{
    struct bst_se *se = open_soft();
    bst_key key = make_mac_key(se);
    struct mac_call call = {.call = {run_mac, count_done}, .key = key};
    assert_ok(bst_se_submit(se, &call.call));
    bst_se_close(&se); /* the call holds the environment: it goes with it, on the worker */
    gate_open();
    await(&gate.done, 1);
    assert_ok(call.call.outcome);
}

/* The last view is closed by the very call that runs. */
struct closing_call {
    struct bst_se_call call;
    struct bst_se *view;
};

static bst_result run_close(struct bst_se *se, struct bst_se_call *call)
{
    struct closing_call *closing = bst_container_of(call, struct closing_call, call);
    gate_wait();
    bst_se_close(&closing->view);
    return BST_OK;
}

static void settling_waits_for_what_was_submitted(void **state)
{
    AUTO_SE *se = open_soft();
    bst_se_settle(se); /* nothing to wait for */
    bst_key key = make_mac_key(se);
    struct mac_call calls[20];
    gate_open();
    for (int i = 0; i < 20; i++) {
        calls[i] = (struct mac_call){.call = {run_mac, count_done}, .key = key};
        assert_ok(bst_se_submit(se, &calls[i].call));
    }
    bst_se_settle(se);
    assert_int_equal(gate.done, 20);
}

static void a_worker_may_close_the_last_view(void **state)
{
    for (int i = 0; i < 50; i++) {
        struct bst_se *se = open_soft();
        struct closing_call call = {.call = {run_close, count_done}, .view = se};
        assert_ok(bst_se_submit(se, &call.call));
        gate_open();
        await(&gate.done, 1);
    }
}

/* A call that frees itself, as callers of an event loop do. */
static void free_done(struct bst_se_call *call)
{
    bst_free(call);
    count_done(NULL);
}

static bst_result run_nothing(struct bst_se *se, struct bst_se_call *call)
{
    return BST_OK;
}

static void a_call_may_be_freed_when_it_is_done(void **state)
{
    AUTO_SE *se = open_soft();
    for (int i = 0; i < 100; i++) {
        struct bst_se_call *call = bst_alloc(sizeof *call);
        assert_non_null(call);
        *call = (struct bst_se_call){run_nothing, free_done};
        assert_ok(bst_se_submit(se, call));
    }
    await(&gate.done, 100);
}

static void owners_stay_apart_on_workers_too(void **state)
{
    AUTO_SE *se = open_soft(), *alice = NULL, *bob = NULL;
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    struct mac_call hers = {.call = {run_mac, count_done}, .key = make_mac_key(alice)};
    struct mac_call his = {.call = {run_mac, count_done}, .key = hers.key};
    assert_ok(bst_se_submit(alice, &hers.call));
    assert_ok(bst_se_submit(bob, &his.call));
    gate_open();
    await(&gate.done, 2);
    assert_ok(hers.call.outcome);
    assert_int_equal(his.call.outcome.code, BST_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_elsewhere_and_gives_what_the_plain_one_gives),
        cmocka_unit_test(a_full_queue_says_busy_and_loses_nothing),
        cmocka_unit_test(slow_calls_do_not_wait_for_each_other),
        cmocka_unit_test(closing_waits_for_what_was_submitted),
        cmocka_unit_test(settling_waits_for_what_was_submitted),
        cmocka_unit_test(a_worker_may_close_the_last_view),
        cmocka_unit_test(a_call_may_be_freed_when_it_is_done),
        cmocka_unit_test(owners_stay_apart_on_workers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
