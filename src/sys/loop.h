/* Event loops: one per thread, with a mailbox that any thread may post to, and timers. */
#pragma once

#include "sys/clock.h"

struct bst_loop;

/** A letter for a loop's mailbox; its storage belongs to the sender until it has run. */
struct bst_task {
    struct bst_task *next;
    void (*run)(struct bst_task *task);
};

/** Make a loop. SIGPIPE is ignored in the process from then on, where nobody handles it. */
bst_result bst_loop_new(struct bst_loop **ret);
/** Run what is still in the mailbox and end. Everything that was opened on the loop is closed. */
void bst_loop_free(struct bst_loop **loop);
/** Serve until bst_loop_stop(). */
bst_result bst_loop_run(struct bst_loop *loop);
/** From any thread; sticks until a run sees it. */
void bst_loop_stop(struct bst_loop *loop);
/** Wait for events at most `max_wait_ms` (-1: as long as it takes, 0: not at all) and handle them.
 * True when anything was handled. For clients and tests that drive a loop by hand. */
bool bst_loop_run_once(struct bst_loop *loop, int64_t max_wait_ms);
/** True inside a callback of a loop of this thread: nothing may wait here. */
bool bst_loop_here(void);
/** Run `task` on the loop's thread, in the order of posting. From any thread. */
void bst_loop_post(struct bst_loop *loop, struct bst_task *task);
/** Run `task` once at the end of this turn, before its output is written. On the loop's thread; a
 * task waits in one list only. */
void bst_loop_at_end(struct bst_loop *loop, struct bst_task *task);
/** Take it back; nothing happens when it does not wait. */
void bst_loop_at_end_cancel(struct bst_loop *loop, struct bst_task *task);
/** Monotonic time as of this turn of the loop: cheap, and equal for all that happens in the turn.
 */
int64_t bst_loop_now_us(struct bst_loop *loop);

/** Wakes its owner once or again and again. Storage is the owner's: after bst_timer_stop() it may
 * go at once. Zeroed is stopped. */
struct bst_timer {
    struct bst_loop *loop;
    void (*run)(void *user);
    void *user;
    int64_t due_us, repeat_us;                /* monotonic */
    struct bst_timer *child, *sibling, *back; /* pairing heap */
    uint32_t round;
    bool armed;
};
void bst_timer_init(struct bst_loop *loop, struct bst_timer *timer, void (*run)(void *user),
                    void *user);
/** Start, or start again. `repeat_ms` 0: once. */
void bst_timer_start(struct bst_timer *timer, int64_t after_ms, int64_t repeat_ms);
/** Start for a monotonic moment, once. */
void bst_timer_start_at(struct bst_timer *timer, int64_t due_us);
void bst_timer_stop(struct bst_timer *timer);
