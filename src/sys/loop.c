/* A loop around libuv. Each turn: due timers, the mailbox, collected output; then sleep in the
 * kernel; then the sockets' callbacks and the output that they collected. */
#include "sys/timer_priv.h"

#include <signal.h>

static _Thread_local unsigned loops_here; /* that run on this thread, one inside the other */

bool bst_loop_here(void)
{
    return loops_here > 0;
}

static void set_running(struct bst_loop *loop, bool running)
{
    loop->running = running;
    loops_here = running ? loops_here + 1 : loops_here - 1;
}

/* A batch is taken whole and turned round, because senders push at the front. */
static void read_mail(struct bst_loop *loop)
{
    struct bst_task *newest = atomic_exchange_explicit(&loop->mail, NULL, memory_order_acquire);
    struct bst_task *oldest = NULL;
    while (newest) {
        struct bst_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct bst_task *task = oldest;
        oldest = task->next; /* the task may free itself */
        loop->active = true;
        task->run(task);
    }
}

void bst_loop_post(struct bst_loop *loop, struct bst_task *task)
{
    struct bst_task *head = atomic_load_explicit(&loop->mail, memory_order_relaxed);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->mail, &head, task, memory_order_release,
                                                    memory_order_relaxed));
    if (!head) {
        /* Whoever fills the empty box rings; the others' letters are found with the first. */
        uv_async_send(&loop->wake);
    }
}

void bst_loop_at_end(struct bst_loop *loop, struct bst_task *task)
{
    task->next = loop->at_end;
    loop->at_end = task;
}

void bst_loop_at_end_cancel(struct bst_loop *loop, struct bst_task *task)
{
    for (struct bst_task **at = &loop->at_end; *at; at = &(*at)->next) {
        if (*at == task) {
            *at = task->next;
            return;
        }
    }
}

static void end_turn(struct bst_loop *loop)
{
    while (loop->at_end) {
        struct bst_task *task = loop->at_end;
        loop->at_end = task->next;
        task->run(task);
    }
    bst_tcp_flush_all(loop);
}

int64_t bst_loop_now_us(struct bst_loop *loop)
{
    if (!loop->running) {
        return bst_mono_us(); /* between turns nothing says how old a cached time is */
    }
    if (!loop->now_us) {
        loop->now_us = bst_mono_us();
    }
    return loop->now_us;
}

static void turn(struct bst_loop *loop)
{
    loop->now_us = 0;
    bst_timers_run(loop);
    read_mail(loop);
    end_turn(loop);
}

static void nothing(uv_timer_t *timer)
{
    (void)timer; /* waking up is all */
}

static void set_alarm(struct bst_loop *loop)
{
    int64_t due_us = loop->timers ? loop->timers->due_us : 0;
    if (due_us == loop->alarm_due_us &&
        (due_us == 0 || uv_is_active((uv_handle_t *)&loop->alarm))) {
        return;
    }
    loop->alarm_due_us = due_us;
    if (!due_us) {
        uv_timer_stop(&loop->alarm);
        return;
    }
    int64_t wait_us = due_us - bst_loop_now_us(loop);
    uv_timer_start(&loop->alarm, nothing, wait_us > 0 ? (uint64_t)(wait_us + 999) / 1000 : 0, 0);
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct bst_loop *loop = prepare->data;
    turn(loop);
    set_alarm(loop);
    loop->now_us = 0;
}

static void after_sleep(uv_check_t *check)
{
    struct bst_loop *loop = check->data;
    end_turn(loop);
}

static void woken(uv_async_t *wake)
{
    struct bst_loop *loop = wake->data;
    read_mail(loop);
    if (atomic_load(&loop->stopped)) {
        uv_stop(&loop->uv);
    }
}

static void ignore_sigpipe(void)
{
    struct sigaction old;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        (void)signal(SIGPIPE, SIG_IGN);
    }
}

bst_result bst_uv_error(int status, const char *what, const char *subject)
{
    static const struct {
        int status;
        enum bst_error code;
    } codes[] = {
        {UV_ECONNREFUSED, BST_E_NOT_REACHABLE},
        {UV_EHOSTUNREACH, BST_E_NOT_REACHABLE},
        {UV_ENETUNREACH, BST_E_NOT_REACHABLE},
        {UV_ENOENT, BST_E_NOT_REACHABLE},
        {UV_EAI_NONAME, BST_E_NOT_REACHABLE},
        {UV_EAI_AGAIN, BST_E_NOT_REACHABLE},
        {UV_EAI_FAIL, BST_E_NOT_REACHABLE},
        {UV_EAI_NODATA, BST_E_NOT_REACHABLE},
        {UV_ECONNRESET, BST_E_CLOSED},
        {UV_EPIPE, BST_E_CLOSED},
        {UV_ECONNABORTED, BST_E_CLOSED},
        {UV_EOF, BST_E_CLOSED},
        {UV_ETIMEDOUT, BST_E_TIMEOUT},
        {UV_ECANCELED, BST_E_CANCELLED},
        {UV_EADDRINUSE, BST_E_EXISTS},
        {UV_EACCES, BST_E_PERMISSION},
        {UV_EPERM, BST_E_PERMISSION},
        {UV_ENOMEM, BST_E_NOMEM},
        {UV_EMFILE, BST_E_LIMIT},
        {UV_ENFILE, BST_E_LIMIT},
    };
    enum bst_error code = BST_E_IO;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].status == status) {
            code = codes[i].code;
        }
    }
    char reason[128];
    uv_strerror_r(status, reason, sizeof reason);
    BST_FAIL(code, "%s%s%s: %s", what, subject ? " " : "", subject ? subject : "", reason);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_own_handles(struct bst_loop *loop)
{
    close_handle((uv_handle_t *)&loop->wake);
    close_handle((uv_handle_t *)&loop->prepare);
    close_handle((uv_handle_t *)&loop->check);
    close_handle((uv_handle_t *)&loop->alarm);
    close_handle((uv_handle_t *)&loop->patience);
}

/* A handle whose owner forgot it: better lost memory than a loop that never ends. */
static void close_forgotten(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (BST_BUG(!uv_is_closing(handle))) {
        close_handle(handle);
    }
}

static void init_handles(struct bst_loop *loop)
{
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_timer_init(&loop->uv, &loop->patience);
    loop->prepare.data = loop->check.data = loop->wake.data = loop;
    uv_prepare_start(&loop->prepare, before_sleep);
    uv_check_start(&loop->check, after_sleep);
}

bst_result bst_loop_new(struct bst_loop **ret)
{
    ignore_sigpipe();
    bst_auto_free struct bst_loop *loop = bst_alloc(sizeof *loop);
    bst_auto_free char *read_buffer = bst_alloc(BST_READ_BYTES);
    BST_ENSURE(loop && read_buffer, BST_E_NOMEM);
    int status = uv_loop_init(&loop->uv);
    if (status < 0) {
        return bst_uv_error(status, "making an event loop", NULL);
    }
    status = uv_async_init(&loop->uv, &loop->wake, woken);
    if (status < 0) {
        uv_loop_close(&loop->uv);
        return bst_uv_error(status, "making an event loop", NULL);
    }
    init_handles(loop);
    bst_list_init(&loop->flush);
    loop->read_buffer = bst_steal(&read_buffer);
    *ret = bst_steal(&loop);
    return BST_OK;
}

void bst_loop_free(struct bst_loop **slot)
{
    struct bst_loop *loop = bst_steal(slot);
    if (!loop) {
        return;
    }
    while (atomic_load(&loop->mail)) {
        turn(loop);
    }
    close_own_handles(loop);
    uv_walk(&loop->uv, close_forgotten, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    (void)BST_BUG(uv_loop_close(&loop->uv) != 0);
    for (size_t i = 0; i < loop->n_spares; i++) {
        bst_buf_clear(&loop->spares[i]);
    }
    bst_free(loop->read_buffer);
    bst_free(loop);
}

bst_result bst_loop_run(struct bst_loop *loop)
{
    set_running(loop, true);
    while (!atomic_exchange(&loop->stopped, false)) {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    set_running(loop, false);
    return BST_OK;
}

void bst_loop_stop(struct bst_loop *loop)
{
    atomic_store(&loop->stopped, true);
    uv_async_send(&loop->wake);
}

bool bst_loop_run_once(struct bst_loop *loop, int64_t max_wait_ms)
{
    /* The patience is real time, also when the clock that deadlines see stands still. */
    uint64_t give_up_ns = uv_hrtime() + (uint64_t)(max_wait_ms > 0 ? max_wait_ms : 0) * 1000000;
    loop->active = false;
    set_running(loop, true);
    do {
        turn(loop);
        bool wait = !loop->active && max_wait_ms != 0;
        if (wait && max_wait_ms > 0) {
            uint64_t now_ns = uv_hrtime();
            uint64_t left_ms = give_up_ns > now_ns ? (give_up_ns - now_ns + 999999) / 1000000 : 0;
            uv_update_time(&loop->uv);
            uv_timer_start(&loop->patience, nothing, left_ms, 0);
        }
        uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        uv_timer_stop(&loop->patience);
        turn(loop);
    } while (!loop->active && max_wait_ms != 0 && !atomic_load(&loop->stopped) &&
             (max_wait_ms < 0 || uv_hrtime() < give_up_ns));
    set_running(loop, false);
    return loop->active;
}
