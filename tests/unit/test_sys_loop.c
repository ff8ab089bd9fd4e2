/* Loops: mailbox, timers, clocks, signals, watched files, threads. */
#include "support/test.h"

#include "base/map.h"
#include "support/scratch.h"
#include "sys/file.h"
#include "sys/service.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static struct bst_loop *loop;

static int set_up(void **state)
{
    (void)state;
    assert_ok(bst_loop_new(&loop));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_loop_free(&loop);
    bst_clock_fake_us(0);
    return 0;
}

struct letter {
    struct bst_task task;
    int number;
};

static int order[4096], n_order;

static void note_letter(struct bst_task *task)
{
    order[n_order++ % 4096] = bst_container_of(task, struct letter, task)->number;
}

static void letters_are_read_in_the_order_of_posting(void **state)
{
    (void)state;
    struct letter letters[10];
    n_order = 0;
    for (int i = 0; i < 10; i++) {
        letters[i] = (struct letter){.task.run = note_letter, .number = i};
        bst_loop_post(loop, &letters[i].task);
    }
    assert_true(bst_loop_run_once(loop, 0));
    assert_int_equal(n_order, 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(order[i], i);
    }
    assert_false(bst_loop_run_once(loop, 0));
}

static struct letter last;

static void note_and_ask_for_the_end(struct bst_task *task)
{
    note_letter(task);
    bst_loop_at_end(loop, &last.task);
}

static void the_end_of_a_turn_comes_once_and_after_its_letters(void **state)
{
    (void)state;
    struct letter first = {.task.run = note_and_ask_for_the_end, .number = 1};
    struct letter second = {.task.run = note_letter, .number = 2};
    struct letter taken_back = {.task.run = note_letter, .number = 9};
    last = (struct letter){.task.run = note_letter, .number = 3};
    n_order = 0;
    bst_loop_post(loop, &first.task);
    bst_loop_post(loop, &second.task);
    bst_loop_at_end(loop, &taken_back.task);
    bst_loop_at_end_cancel(loop, &taken_back.task);
    bst_loop_at_end_cancel(loop, &taken_back.task);
    (void)bst_loop_run_once(loop, 0);
    (void)bst_loop_run_once(loop, 0);
    assert_int_equal(n_order, 3);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 3);
}

#define SENDERS 4
#define EACH 1000
static struct letter sent[SENDERS][EACH];
static int last_of[SENDERS];
static atomic_int received;

static void check_letter(struct bst_task *task)
{
    int number = bst_container_of(task, struct letter, task)->number;
    int sender = number / EACH;
    assert_int_equal(number % EACH, last_of[sender]);
    last_of[sender]++;
    if (++received == SENDERS * EACH) {
        bst_loop_stop(loop);
    }
}

static void send_all(void *arg)
{
    int sender = *(const int *)arg;
    for (int i = 0; i < EACH; i++) {
        sent[sender][i] = (struct letter){.task.run = check_letter, .number = sender * EACH + i};
        bst_loop_post(loop, &sent[sender][i].task);
    }
}

static void every_thread_may_post_and_its_order_holds(void **state)
{
    (void)state;
    struct bst_thread *threads[SENDERS];
    int numbers[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        assert_ok(bst_thread_start("sender", send_all, &numbers[i], &threads[i]));
    }
    assert_ok(bst_loop_run(loop));
    for (int i = 0; i < SENDERS; i++) {
        bst_thread_join(&threads[i]);
        assert_int_equal(last_of[i], EACH);
    }
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
    (void)state;
    bst_loop_stop(loop);
    assert_ok(bst_loop_run(loop));
}

static void letters_left_at_the_end_are_still_read(void **state)
{
    (void)state;
    struct letter letter = {.task.run = note_letter, .number = 7};
    n_order = 0;
    bst_loop_post(loop, &letter.task);
    bst_loop_free(&loop);
    assert_int_equal(n_order, 1);
}

struct ticker {
    struct bst_timer timer;
    int number, count;
};

static void tick(void *user)
{
    struct ticker *ticker = user;
    ticker->count++;
    order[n_order++ % 4096] = ticker->number;
}

static void timers_ring_in_the_order_of_their_time(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct ticker tickers[N];
    bst_clock_fake_us(1000000);
    n_order = 0;
    for (int i = 0; i < N; i++) {
        int after_ms = 1 + i * 7919 % N;
        tickers[i].number = after_ms;
        bst_timer_init(loop, &tickers[i].timer, tick, &tickers[i]);
        bst_timer_start(&tickers[i].timer, after_ms, 0);
    }
    for (int i = 0; i < N; i += 3) {
        bst_timer_stop(&tickers[i].timer);
        bst_timer_stop(&tickers[i].timer);
    }
    assert_false(bst_loop_run_once(loop, 0));
    bst_clock_fake_advance_ms(N / 2);
    assert_true(bst_loop_run_once(loop, 0));
    bst_clock_fake_advance_ms(N);
    assert_true(bst_loop_run_once(loop, 0));
    assert_int_equal(n_order, N - (N + 2) / 3);
    for (int i = 1; i < n_order; i++) {
        assert_true(order[i - 1] < order[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(tickers[i].count, i % 3 != 0);
    }
}

static void a_timer_repeats_until_it_is_stopped(void **state)
{
    (void)state;
    struct ticker ticker = {0};
    bst_clock_fake_us(1000000);
    bst_timer_init(loop, &ticker.timer, tick, &ticker);
    bst_timer_start(&ticker.timer, 10, 10);
    for (int i = 0; i < 5; i++) {
        bst_clock_fake_advance_ms(10);
        bst_loop_run_once(loop, 0);
    }
    assert_int_equal(ticker.count, 5);
    bst_timer_stop(&ticker.timer);
    bst_clock_fake_advance_ms(100);
    assert_false(bst_loop_run_once(loop, 0));
}

static void restart(void *user)
{
    struct ticker *ticker = user;
    ticker->count++;
    bst_timer_start(&ticker->timer, 0, 0);
}

static void a_timer_that_restarts_itself_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct ticker ticker = {0};
    bst_timer_init(loop, &ticker.timer, restart, &ticker);
    bst_timer_start(&ticker.timer, 0, 0);
    for (int i = 0; i < 3; i++) {
        bst_loop_run_once(loop, 1000);
    }
    assert_true(ticker.count >= 3);
    bst_timer_stop(&ticker.timer);
}

static void run_once_gives_up_in_time(void **state)
{
    (void)state;
    struct ticker ticker = {0};
    bst_timer_init(loop, &ticker.timer, tick, &ticker);
    bst_timer_start(&ticker.timer, 3600000, 0);
    assert_false(bst_loop_run_once(loop, 2));
    bst_timer_start(&ticker.timer, 1, 0);
    assert_true(bst_loop_run_once(loop, 10000));
    assert_int_equal(ticker.count, 1);
}

static int seen_signal;
static void note_signal(void *user, int signum)
{
    (void)user;
    seen_signal = signum;
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct bst_signal *sig;
    assert_ok(bst_signal_new(loop, SIGUSR1, note_signal, NULL, &sig));
    raise(SIGUSR1);
    assert_true(bst_loop_run_once(loop, 5000));
    assert_int_equal(seen_signal, SIGUSR1);
    bst_signal_free(&sig);
    bst_signal_free(&sig);
}

static void note_change(void *user)
{
    ++*(int *)user;
}

static void a_replaced_file_is_noticed_once(void **state)
{
    (void)state;
    struct scratch dir;
    assert_true(scratch_make(&dir));
    char path[300], other[300];
    snprintf(path, sizeof path, "%s/watched", dir.dir);
    snprintf(other, sizeof other, "%s/other", dir.dir);
    int changes = 0;
    struct bst_watch *watch;
    assert_ok(bst_file_write_atomic(path, BST_VIEW("1"), 0600));
    assert_ok(bst_watch_new(loop, path, note_change, &changes, &watch));
    assert_ok(bst_file_write_atomic(path, BST_VIEW("2"), 0600));
    assert_ok(bst_file_write_atomic(path, BST_VIEW("3"), 0600));
    for (int i = 0; i < 50 && !changes; i++) {
        bst_loop_run_once(loop, 100);
    }
    assert_int_equal(changes, 1);
    assert_ok(bst_file_write_atomic(other, BST_VIEW("4"), 0600));
    assert_false(bst_loop_run_once(loop, 300));
    assert_int_equal(changes, 1);
    bst_watch_free(&watch);
    scratch_remove(&dir);
}

static void a_stopped_clock_stands_and_moves_on_demand(void **state)
{
    (void)state;
    bst_clock_fake_us(5000000);
    assert_int_equal(bst_wall_us(), 5000000);
    assert_int_equal(bst_mono_us(), 5000000);
    bst_clock_fake_advance_ms(2);
    assert_int_equal(bst_wall_us(), 5002000);
    bst_clock_fake_us(0);
    assert_true(bst_wall_us() > INT64_C(1700000000000000));
    assert_true(bst_cpu_count() >= 1);
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    (void)state;
    struct bst_signal *sig;
    struct bst_watch *watch;
    struct bst_loop *other = NULL;
    for (long n = 1; n <= 2; n++) {
        bst_alloc_fail_at(n);
        assert_err(bst_loop_new(&other), BST_E_NOMEM);
    }
    bst_alloc_fail_at(1);
    assert_err(bst_signal_new(loop, SIGUSR1, note_signal, NULL, &sig), BST_E_NOMEM);
    for (long n = 1; n <= 3; n++) {
        bst_alloc_fail_at(n);
        assert_err(bst_watch_new(loop, "/tmp/x", note_change, NULL, &watch), BST_E_NOMEM);
    }
    bst_alloc_fail_at(0);
    assert_err(bst_watch_new(loop, "/nonexistent/x", note_change, NULL, &watch),
               BST_E_NOT_REACHABLE);
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(letters_are_read_in_the_order_of_posting),
        LOOP_TEST(the_end_of_a_turn_comes_once_and_after_its_letters),
        LOOP_TEST(every_thread_may_post_and_its_order_holds),
        LOOP_TEST(a_stop_before_the_run_is_not_lost),
        LOOP_TEST(letters_left_at_the_end_are_still_read),
        LOOP_TEST(timers_ring_in_the_order_of_their_time),
        LOOP_TEST(a_timer_repeats_until_it_is_stopped),
        LOOP_TEST(a_timer_that_restarts_itself_does_not_hold_up_the_loop),
        LOOP_TEST(run_once_gives_up_in_time),
        LOOP_TEST(signals_arrive_on_the_loop),
        LOOP_TEST(a_replaced_file_is_noticed_once),
        LOOP_TEST(a_stopped_clock_stands_and_moves_on_demand),
        LOOP_TEST(memory_that_runs_out_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
