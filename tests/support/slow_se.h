/* A secure environment that takes its time: software behind a gate, "slow:" in place of "se:soft?".
 *
 * Its operations wait while the gate is shut, fail while it is broken, and count who makes an event
 * loop wait for them: on the thread of a running loop nothing is waited for, so that the test ends
 * and tells. */
#pragma once

#include "se/backend.h"
#include "support/test.h"
#include "sys/loop.h"

#include <pthread.h>
#include <stdio.h>

static struct slow_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut, broken;
    int inside, passed;
    int on_loops;   /* operations that a loop waited for */
    char where[64]; /* the first of them */
} slow_gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void slow_reset(void)
{
    pthread_mutex_lock(&slow_gate.lock);
    slow_gate.shut = slow_gate.broken = false;
    slow_gate.inside = slow_gate.passed = slow_gate.on_loops = 0;
    slow_gate.where[0] = '\0';
    pthread_mutex_unlock(&slow_gate.lock);
}

static inline void slow_shut(bool shut)
{
    pthread_mutex_lock(&slow_gate.lock);
    slow_gate.shut = shut;
    pthread_cond_broadcast(&slow_gate.changed);
    pthread_mutex_unlock(&slow_gate.lock);
}

static inline void slow_break(bool broken)
{
    pthread_mutex_lock(&slow_gate.lock);
    slow_gate.broken = broken;
    pthread_mutex_unlock(&slow_gate.lock);
}

/* Until one of the gate's numbers, or one that changes with its condition, is there. */
static inline void slow_await(const int *number, int value)
{
    pthread_mutex_lock(&slow_gate.lock);
    while (*number < value) {
        pthread_cond_wait(&slow_gate.changed, &slow_gate.lock);
    }
    pthread_mutex_unlock(&slow_gate.lock);
}

static inline int slow_number(const int *number)
{
    pthread_mutex_lock(&slow_gate.lock);
    int value = *number;
    pthread_mutex_unlock(&slow_gate.lock);
    return value;
}

static inline void slow_no_loop_waited(void)
{
    if (slow_number(&slow_gate.on_loops)) {
        fail_msg("a loop waited %d times, first for: %s", slow_gate.on_loops, slow_gate.where);
    }
}

/** One operation. */
static inline bst_result slow_pass(const char *op)
{
    bool here = bst_loop_here();
    pthread_mutex_lock(&slow_gate.lock);
    if (here && slow_gate.on_loops++ == 0) {
        snprintf(slow_gate.where, sizeof slow_gate.where, "%s", op);
    }
    slow_gate.inside++;
    pthread_cond_broadcast(&slow_gate.changed);
    while (slow_gate.shut && !here) {
        pthread_cond_wait(&slow_gate.changed, &slow_gate.lock);
    }
    slow_gate.passed++;
    pthread_cond_broadcast(&slow_gate.changed);
    bool broken = slow_gate.broken;
    pthread_mutex_unlock(&slow_gate.lock);
    return broken ? bst_error_detailed(BST_E_SE_TOKEN, "the token was pulled out") : BST_OK;
}

/* ---- the backend ---- */

#define SLOW_OP(op, params, ...)                                                                   \
    static inline bst_result slow_##op params                                                      \
    {                                                                                              \
        BST_TRY(slow_pass(#op));                                                                   \
        return bst_se_soft.op(__VA_ARGS__);                                                        \
    }
SLOW_OP(create,
        (struct bst_se_backend * b, const struct bst_key_attrs *attrs,
         const struct bst_secret *value, struct bst_se_object **ret),
        b, attrs, value, ret)
SLOW_OP(derive,
        (struct bst_se_backend * b, struct bst_se_object *parent,
         const struct bst_se_derivation *derivation, const struct bst_key_attrs *attrs,
         struct bst_se_object **ret),
        b, parent, derivation, attrs, ret)
SLOW_OP(remove, (struct bst_se_backend * b, struct bst_se_object *o), b, o)
SLOW_OP(public_key, (struct bst_se_backend * b, struct bst_se_object *o, struct bst_buf *ret), b, o,
        ret)
SLOW_OP(sign,
        (struct bst_se_backend * b, struct bst_se_object *o, enum bst_md md, struct bst_view tbs,
         uint8_t *out, size_t *ret_len),
        b, o, md, tbs, out, ret_len)
SLOW_OP(mac,
        (struct bst_se_backend * b, struct bst_se_object *o, const struct bst_view *parts, size_t n,
         uint8_t out[BST_SHA256_BYTES]),
        b, o, parts, n, out)
SLOW_OP(seal,
        (struct bst_se_backend * b, struct bst_se_object *o, struct bst_view aad,
         struct bst_view in, struct bst_buf *ret),
        b, o, aad, in, ret)
SLOW_OP(unseal,
        (struct bst_se_backend * b, struct bst_se_object *o, struct bst_view aad,
         struct bst_view blob, struct bst_buf *ret),
        b, o, aad, blob, ret)
SLOW_OP(release, (struct bst_se_backend * b, struct bst_se_object *o, struct bst_secret *ret), b, o,
        ret)

/* A key that is not kept takes a place on a token until it is dropped. */
static inline void slow_drop(struct bst_se_backend *b, struct bst_se_object *o)
{
    if (b && !o->attrs.persistent) {
        (void)slow_pass("drop").code;
    }
    bst_se_soft.drop(b, o);
}

static struct bst_se_backend_ops slow_ops;

static inline bst_result slow_open(const struct bst_se_host *host, struct bst_view query,
                                   bst_result (*found)(void *ctx, struct bst_se_object *take),
                                   void *ctx, struct bst_se_backend **ret)
{
    BST_TRY(bst_se_soft.open(host, query, found, ctx, ret));
    (*ret)->ops = &slow_ops;
    (*ret)->slow = true;
    return BST_OK;
}

/** Before the first environment is opened. */
static inline bst_result slow_register(void)
{
    slow_ops = bst_se_soft;
    slow_ops.scheme = "slow";
    slow_ops.open = slow_open;
    slow_ops.create = slow_create;
    slow_ops.derive = slow_derive;
    slow_ops.remove = slow_remove;
    slow_ops.drop = slow_drop;
    slow_ops.public_key = slow_public_key;
    slow_ops.sign = slow_sign;
    slow_ops.mac = slow_mac;
    slow_ops.seal = slow_seal;
    slow_ops.unseal = slow_unseal;
    slow_ops.release = slow_release;
    return bst_se_backend_register(&slow_ops);
}

/* ---- code that runs on a loop ---- */

struct slow_turn {
    struct bst_task task;
    void (*run)(void *arg);
    void *arg;
};

static inline void slow_turn_run(struct bst_task *task)
{
    struct slow_turn *turn = (struct slow_turn *)(void *)task;
    turn->run(turn->arg);
}

/** Run it as a callback of a loop. */
static inline void slow_on_loop(void (*run)(void *arg), void *arg)
{
    struct slow_turn turn = {.task.run = slow_turn_run, .run = run, .arg = arg};
    struct bst_loop *loop = NULL;
    assert_ok(bst_loop_new(&loop));
    bst_loop_post(loop, &turn.task);
    while (bst_loop_run_once(loop, 0)) {
    }
    bst_loop_free(&loop);
}
