/* Timers: a pairing heap whose nodes are the owners' own memory, so that starting one cannot fail
 * and stopping one leaves nothing behind. */
#include "sys/timer_priv.h"

static struct bst_timer *merge(struct bst_timer *a, struct bst_timer *b)
{
    if (b->due_us < a->due_us) {
        struct bst_timer *swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (a->child) {
        a->child->back = b;
    }
    b->back = a;
    a->child = b;
    return a;
}

/* Pair the siblings from the left, then merge the pairs from the right. */
static struct bst_timer *merge_siblings(struct bst_timer *first)
{
    struct bst_timer *pairs = NULL;
    while (first) {
        struct bst_timer *a = first;
        struct bst_timer *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = NULL;
        if (b) {
            b->sibling = NULL;
            a = merge(a, b);
        }
        a->sibling = pairs;
        pairs = a;
    }
    struct bst_timer *root = pairs;
    if (root) {
        pairs = root->sibling;
        root->sibling = NULL;
    }
    while (pairs) {
        struct bst_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = merge(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_remove(struct bst_timer **root, struct bst_timer *timer)
{
    struct bst_timer *rest = merge_siblings(timer->child);
    if (timer == *root) {
        *root = rest;
    } else {
        if (timer->back->child == timer) {
            timer->back->child = timer->sibling;
        } else {
            timer->back->sibling = timer->sibling;
        }
        if (timer->sibling) {
            timer->sibling->back = timer->back;
        }
        *root = rest ? merge(*root, rest) : *root;
    }
    if (*root) {
        (*root)->back = NULL;
    }
    timer->child = timer->sibling = timer->back = NULL;
}

void bst_timer_init(struct bst_loop *loop, struct bst_timer *timer, void (*run)(void *user),
                    void *user)
{
    *timer = (struct bst_timer){.loop = loop, .run = run, .user = user};
}

static void arm(struct bst_timer *timer, int64_t due_us)
{
    struct bst_loop *loop = timer->loop;
    timer->due_us = due_us;
    timer->armed = true;
    timer->round = loop->timer_round;
    loop->timers = loop->timers ? merge(loop->timers, timer) : timer;
}

void bst_timer_start_at(struct bst_timer *timer, int64_t due_us)
{
    bst_timer_stop(timer);
    arm(timer, due_us);
}

void bst_timer_start(struct bst_timer *timer, int64_t after_ms, int64_t repeat_ms)
{
    bst_timer_start_at(timer, bst_loop_now_us(timer->loop) + after_ms * 1000);
    timer->repeat_us = repeat_ms * 1000;
}

void bst_timer_stop(struct bst_timer *timer)
{
    if (timer->armed) {
        timer->armed = false;
        timer->repeat_us = 0;
        heap_remove(&timer->loop->timers, timer);
    }
}

void bst_timers_run(struct bst_loop *loop)
{
    int64_t now_us = bst_loop_now_us(loop);
    loop->timer_round++;
    while (loop->timers && loop->timers->due_us <= now_us) {
        struct bst_timer *timer = loop->timers;
        if (timer->round == loop->timer_round) {
            break; /* started in this turn: it must not keep the loop from its sockets */
        }
        heap_remove(&loop->timers, timer);
        timer->armed = false;
        if (timer->repeat_us > 0) {
            arm(timer, now_us + timer->repeat_us);
        }
        loop->active = true;
        timer->run(timer->user);
    }
}
