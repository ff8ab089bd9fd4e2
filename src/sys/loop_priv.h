/* What the files of sys share about a loop. */
#pragma once

#include "base/map.h"
#include "sys/loop.h"

#include <stdatomic.h>
#include <uv.h>

#define BST_READ_BYTES 65536
#define BST_SPARE_BYTES 16384
#define BST_SPARES 32

struct bst_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t alarm;                /* the next timer */
    uv_timer_t patience;             /* of run_once */
    _Atomic(struct bst_task *) mail; /* newest first */
    struct bst_task *at_end;         /* of this turn */
    atomic_bool stopped;
    struct bst_timer *timers;
    uint32_t timer_round;
    int64_t alarm_due_us;
    int64_t now_us; /* 0: not read in this turn yet */
    bool running;
    bool active;           /* something was handled */
    struct bst_list flush; /* connections with collected output */
    char *read_buffer;     /* one for all connections: they have no own while idle */
    struct bst_buf spares[BST_SPARES];
    size_t n_spares;
};

/** Write out what connections have collected in this turn. */
void bst_tcp_flush_all(struct bst_loop *loop);
/** Error of libuv as ours, with a sentence. */
bst_result bst_uv_error(int status, const char *what, const char *subject);
