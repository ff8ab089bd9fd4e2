/* The HTTP server on the loopback, against a peer that sends what it likes. */
#include "support/test.h"

#include "base/map.h"
#include "net/http_server.h"
#include "support/scratch.h"
#include "sys/clock.h"
#include "sys/service.h"

#include <stdatomic.h>

static struct bst_loop *loop;
static struct bst_http_shared *shared;
static struct bst_http_server *server;
static struct bst_bound bound;
static char address[300];

/* Exchanges that the handler keeps until the test answers them. */
static struct bst_http_exchange *held[64];
static size_t n_held;
static int n_requests, n_long, n_sessions, n_ended, last_refusal, n_refused;
static bool session_refused, drained;

static void answer_text(struct bst_http_exchange *x, const char *text)
{
    static const struct bst_http_header type = {{"Content-Type", 12}, {"text/plain", 10}};
    bst_http_exchange_answer(x, 200, &type, 1, bst_view(text));
}

/* "/now..." is answered in the call with its target, everything else is held. */
static void on_request(void *ctx, struct bst_http_exchange *x)
{
    (void)ctx;
    n_requests++;
    if (bst_view_starts(x->req.target, BST_VIEW("/echo"))) {
        bst_http_exchange_answer(x, 200, NULL, 0, x->req.body);
    } else if (bst_view_starts(x->req.target, BST_VIEW("/now"))) {
        bst_http_exchange_answer(x, 200, NULL, 0, x->req.target);
    } else if (bst_view_is(x->req.target, "/long")) {
        bst_clock_fake_advance_ms(6);
        n_long++;
        answer_text(x, "long");
    } else if (bst_view_is(x->req.target, "/split")) {
        const struct bst_http_header evil = {BST_VIEW("X"), BST_VIEW("a\r\nSet-Cookie: b")};
        bst_http_exchange_answer(x, 200, &evil, 1, BST_VIEW("secret"));
    } else if (bst_view_is(x->req.target, "/last")) {
        bst_http_exchange_close_after(x);
        answer_text(x, "bye");
    } else if (bst_view_is(x->req.target, "/big")) {
        char *big = bst_arena_alloc(x->arena, 8 << 20);
        assert_non_null(big);
        bst_http_exchange_answer(x, 200, NULL, 0, bst_view_of(big, 8 << 20));
    } else {
        held[n_held++] = x;
    }
}

static bst_result on_session(void *ctx, struct bst_net_peer *peer)
{
    (void)ctx;
    BST_ENSURE(!session_refused, BST_E_DENIED);
    peer->association = (void *)(uintptr_t)++n_sessions;
    return BST_OK;
}

static void on_session_end(void *ctx, struct bst_net_peer *peer)
{
    (void)ctx;
    assert_non_null(peer->association);
    n_ended++;
}

static void on_refused(void *ctx, const struct bst_net_peer *peer, int status, const char *why)
{
    (void)ctx;
    assert_true(peer->address.len > 0 && *why);
    last_refusal = status;
    n_refused++;
}

static const struct bst_http_handler handler = {
    .on_request = on_request,
    .on_session = on_session,
    .on_session_end = on_session_end,
    .on_refused = on_refused,
};

/* The other side: raw bytes. */
struct raw {
    struct bst_tcp *tcp;
    struct bst_buf in;
    bool connected, ended;
};
static struct raw raws[40];

static void raw_data(void *user, struct bst_view data)
{
    bst_buf_addv(&((struct raw *)user)->in, data);
}
static void raw_end(void *user, bst_result why)
{
    (void)bst_failed(why);
    ((struct raw *)user)->ended = true;
}
static const struct bst_tcp_events raw_events = {raw_data, raw_end, NULL};
static void raw_connected(void *user, bst_result result)
{
    struct raw *raw = user;
    raw->connected = !bst_failed(result);
    raw->ended = !raw->connected;
    if (raw->connected) {
        assert_ok(bst_tcp_start(raw->tcp, &raw_events, raw));
    }
}

#define RUN_UNTIL(cond)                                                                            \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(cond)) {                                                                          \
            if (++turns_ > 5000) {                                                                 \
                fail_msg("never happened: %s", #cond);                                             \
            }                                                                                      \
            bst_loop_run_once(loop, 20);                                                           \
        }                                                                                          \
    } while (0)

/* Let everything happen that does not need more time or input. */
static void calm_down(void)
{
    for (int quiet = 0; quiet < 3;) {
        quiet = bst_loop_run_once(loop, 2) ? 0 : quiet + 1;
    }
}

static struct raw *dial(size_t i)
{
    struct raw *raw = &raws[i];
    bst_tcp_close(&raw->tcp);
    bst_buf_clear(&raw->in);
    *raw = (struct raw){0};
    assert_ok(bst_tcp_connect(loop, address, 60000, NULL, raw_connected, raw, &raw->tcp));
    RUN_UNTIL(raw->connected);
    return raw;
}

static void say(struct raw *raw, const char *text)
{
    bst_tcp_write(raw->tcp, bst_view(text));
    calm_down();
}

static size_t count(const struct raw *raw, const char *text)
{
    size_t n = 0, len = strlen(text);
    for (size_t i = 0; i + len <= raw->in.len; i++) {
        n += memcmp(raw->in.ptr + i, text, len) == 0;
    }
    return n;
}

static bool got(const struct raw *raw, const char *text)
{
    return count(raw, text) > 0;
}

static void assert_order(const struct raw *raw, const char *first, const char *second)
{
    assert_true(raw->in.len > 0);
    const char *a = memmem(raw->in.ptr, raw->in.len, first, strlen(first));
    const char *b = memmem(raw->in.ptr, raw->in.len, second, strlen(second));
    assert_true(a && b && a < b);
}

static struct bst_http_stats stats(void)
{
    struct bst_http_stats s;
    bst_http_shared_stats(shared, &s);
    return s;
}

static void start_with(const struct bst_http_limits *limits, const char *where)
{
    assert_ok(bst_http_shared_new(limits, &shared));
    assert_ok(bst_bind(where, 1, &bound));
    if (bound.ip.family) {
        bst_inet_format(&bound.ip, true, address);
    } else {
        snprintf(address, sizeof address, "%s", where);
    }
    assert_ok(bst_http_server_new(loop, &bound.fds[0], shared, NULL, &handler, &server));
}

static int set_up_loop(void **state)
{
    (void)state;
    n_held = 0;
    n_requests = n_sessions = n_ended = last_refusal = n_refused = 0;
    session_refused = drained = false;
    assert_ok(bst_loop_new(&loop));
    return 0;
}

static int set_up(void **state)
{
    set_up_loop(state);
    struct bst_http_limits limits = bst_http_limits_default();
    start_with(&limits, "127.0.0.1:0");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_alloc_fail_at(0);
    for (size_t i = 0; i < sizeof raws / sizeof raws[0]; i++) {
        bst_tcp_close(&raws[i].tcp);
        bst_buf_clear(&raws[i].in);
    }
    bst_http_server_free(&server);
    for (size_t i = 0; i < n_held; i++) {
        if (held[i]) {
            answer_text(held[i], "too late");
        }
    }
    bst_loop_free(&loop);
    bst_http_shared_free(&shared);
    bst_bound_clear(&bound);
    bst_clock_fake_us(0);
    assert_int_equal(n_sessions, n_ended);
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, len, body)                                                                      \
    "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " len "\r\n\r\n" body

static void requests_are_answered_on_a_connection_that_stays(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    for (int i = 0; i < 3; i++) {
        say(raw, GET("/now/1"));
    }
    assert_int_equal(count(raw, "HTTP/1.1 200 \r\n"), 3);
    assert_int_equal(count(raw, "\r\nDate: "), 3);
    assert_int_equal(count(raw, "Content-Length: 6\r\n"), 3);
    assert_false(raw->ended);
    say(raw, POST("/echo", "5", "hello"));
    assert_true(got(raw, "\r\n\r\nhello"));
    say(raw, "HEAD /now/head HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(got(raw, "Content-Length: 9\r\n"));
    assert_false(got(raw, "/now/head"));
    assert_int_equal(stats().requests, 5);
    assert_int_equal(stats().responses_by_class[2], 5);
    assert_int_equal(stats().open, 1);
    assert_int_equal(stats().in_work, 0);
    say(raw, "GET /now/2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_true(got(raw, "Connection: close\r\n"));
    assert_true(raw->ended);
}

static void answers_may_come_later_and_keep_their_order(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/a") GET("/b") GET("/now/c"));
    assert_int_equal(n_held, 2);
    assert_int_equal(raw->in.len, 0);
    answer_text(held[1], "answer-b");
    calm_down();
    assert_int_equal(raw->in.len, 0);
    answer_text(held[0], "answer-a");
    calm_down();
    n_held = 0;
    assert_order(raw, "answer-a", "answer-b");
    assert_order(raw, "answer-b", "/now/c");
}

static void a_request_that_changes_something_runs_alone(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/a") POST("/b", "1", "x") GET("/c") GET("/d"));
    assert_int_equal(n_held, 1);
    answer_text(held[0], "answer-a");
    calm_down();
    assert_int_equal(n_held, 2);
    assert_int_equal(held[1]->req.method, BST_HTTP_POST);
    answer_text(held[1], "answer-b");
    calm_down();
    assert_int_equal(n_held, 4);
    answer_text(held[3], "answer-d");
    answer_text(held[2], "answer-c");
    calm_down();
    n_held = 0;
    assert_order(raw, "answer-b", "answer-c");
    assert_order(raw, "answer-c", "answer-d");
    say(raw, GET("/now"));
    assert_int_equal(count(raw, " 200 \r\n"), 5);
}

static void a_long_pipeline_is_held_back_and_none_is_lost(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    enum { N = 2000 };
    for (int i = 0; i < N; i++) {
        bst_tcp_write(raw->tcp,
                      i % 10 == 9 ? BST_VIEW(POST("/echo", "3", "abc")) : BST_VIEW(GET("/now/x")));
    }
    RUN_UNTIL(count(raw, " 200 \r\n") == N);
    assert_int_equal(n_requests, N);
    for (int i = 0; i < 100; i++) {
        bst_tcp_write(raw->tcp, BST_VIEW(GET("/held")));
    }
    calm_down();
    assert_int_equal(n_held, bst_http_limits_default().pipelined);
    for (size_t i = 0; i < n_held; i++) {
        struct bst_http_exchange *x = held[i];
        held[i] = NULL;
        n_held = i + 1 < n_held ? n_held : n_held;
        answer_text(x, "late");
        calm_down();
        if (n_held > 60) {
            break;
        }
    }
    assert_true(count(raw, "late") > bst_http_limits_default().pipelined);
}

static void requests_that_take_long_let_other_connections_have_their_turn(void **state)
{
    (void)state;
    enum { N = 200 };
    struct raw *greedy = dial(0), *other = dial(1);
    n_long = 0;
    bst_clock_fake_us(bst_mono_us()); /* deadlines are in its time */
    for (int i = 0; i < N; i++) {
        bst_tcp_write(greedy->tcp, BST_VIEW(GET("/long")));
    }
    RUN_UNTIL(n_long > 0);
    bst_tcp_write(other->tcp, BST_VIEW(GET("/now")));
    RUN_UNTIL(count(other, " 200 \r\n") == 1);
    assert_true(n_long < N / 2);
    RUN_UNTIL(count(greedy, " 200 \r\n") == N);
    bst_clock_fake_us(0);
}

static void output_that_nobody_reads_stops_the_reading(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    bst_tcp_pause(raw->tcp, true);
    for (int i = 0; i < 10; i++) {
        bst_tcp_write(raw->tcp, BST_VIEW(GET("/big")));
    }
    calm_down();
    assert_true(n_requests < 10);
    bst_tcp_pause(raw->tcp, false);
    RUN_UNTIL(n_requests == 10 && raw->in.len > (size_t)80 << 20);
}

static void what_cannot_be_a_request_is_refused_and_closed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"garbage\r\n\r\n", "HTTP/1.1 400 "},
        {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 501 "},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
        {"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
         "HTTP/1.1 400 "},
        {"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", "HTTP/1.1 413 "},
        {"GET /now HTTP/1.1\nHost: h\n\n", "HTTP/1.1 400 "},
        {"GET /now HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw *raw = dial(0);
        n_requests = 0;
        say(raw, cases[i].text);
        RUN_UNTIL(raw->ended);
        if (!got(raw, cases[i].status) || !got(raw, "Connection: close\r\n")) {
            fail_msg("%s: %.*s", cases[i].text, BST_VIEW_ARGS(bst_buf_view(&raw->in)));
        }
        say(raw, GET("/now/smuggled"));
        assert_int_equal(n_requests, 0);
    }
    assert_int_equal(stats().bad_requests, sizeof cases / sizeof cases[0]);
    assert_int_equal(n_refused, sizeof cases / sizeof cases[0]);
}

static void a_refusal_waits_for_the_answers_before_it(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/a") "garbage\r\n\r\n");
    assert_int_equal(raw->in.len, 0);
    answer_text(held[0], "answer-a");
    calm_down();
    n_held = 0;
    assert_order(raw, "answer-a", "HTTP/1.1 400 ");
    assert_true(raw->ended);
}

static void an_answer_cannot_smuggle_headers(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/split"));
    assert_true(got(raw, "HTTP/1.1 500 "));
    assert_false(got(raw, "Set-Cookie"));
    assert_false(got(raw, "secret"));
}

static void a_handler_may_end_the_connection(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/last") GET("/now"));
    assert_true(got(raw, "bye") && raw->ended);
    assert_int_equal(count(raw, " 200 \r\n"), 1);
}

static void a_body_is_asked_for_when_the_client_waits(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_true(got(raw, "HTTP/1.1 100 Continue\r\n\r\n"));
    say(raw, "ok");
    assert_true(got(raw, "\r\n\r\nok"));
    raw = dial(1);
    say(raw, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
             "9999999\r\n\r\n");
    assert_false(got(raw, "100 Continue"));
    assert_true(got(raw, "HTTP/1.1 413 "));
}

static void a_head_or_body_that_drips_is_cut_off(void **state)
{
    (void)state;
    bst_clock_fake_us(INT64_C(1000000000));
    struct raw *head = dial(0), *body = dial(1), *idle = dial(2);
    say(head, "GET /now HTT");
    say(body, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
    say(idle, GET("/now"));
    for (int s = 0; s < 9; s++) {
        bst_clock_fake_advance_ms(1000);
        say(head, s == 0 ? "P/1.1\r\nA: " : "a");
        say(body, "b");
    }
    assert_false(head->ended || body->ended);
    bst_clock_fake_advance_ms(1100);
    say(head, "a");
    assert_true(got(head, "HTTP/1.1 408 ") && head->ended);
    for (int s = 0; s < 20; s++) {
        bst_clock_fake_advance_ms(1000);
        say(body, "b");
    }
    assert_true(got(body, "HTTP/1.1 408 ") && body->ended);
    assert_false(idle->ended);
    bst_clock_fake_advance_ms(25000);
    say(idle, GET("/now"));
    assert_int_equal(count(idle, " 200 \r\n"), 2);
    bst_clock_fake_advance_ms(59000);
    calm_down();
    assert_false(idle->ended);
    bst_clock_fake_advance_ms(2000);
    calm_down();
    assert_true(idle->ended);
    assert_false(got(idle, "408"));
    assert_int_equal(stats().timeouts, 2);
}

static void a_slow_handler_has_time_and_a_slow_reader_has_not(void **state)
{
    (void)state;
    bst_clock_fake_us(INT64_C(1000000000));
    struct raw *waiting = dial(0), *reader = dial(1);
    say(waiting, GET("/held"));
    bst_tcp_pause(reader->tcp, true);
    bst_tcp_write(reader->tcp, BST_VIEW(GET("/big")));
    calm_down();
    assert_int_equal(stats().open, 2);
    bst_clock_fake_advance_ms(600000);
    calm_down();
    assert_int_equal(stats().open, 1);
    answer_text(held[0], "at last");
    n_held = 0;
    calm_down();
    assert_true(got(waiting, "at last"));
    assert_false(waiting->ended);
}

static void a_peer_that_ended_its_side_still_gets_its_answer(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    bst_tcp_write(raw->tcp, BST_VIEW(GET("/a") GET("/now/b")));
    bst_tcp_shutdown(raw->tcp);
    calm_down();
    assert_int_equal(n_held, 1);
    answer_text(held[0], "answer-a");
    n_held = 0;
    calm_down();
    assert_true(got(raw, "answer-a") && got(raw, "/now/b"));
    assert_true(raw->ended);
    assert_int_equal(stats().open, 0);
}

static void an_answer_after_the_peer_left_does_no_harm(void **state)
{
    (void)state;
    struct raw *raw = dial(0);
    say(raw, GET("/a") GET("/b") POST("/c", "0", ""));
    assert_int_equal(n_held, 2);
    answer_text(held[1], "b");
    bst_tcp_close(&raw->tcp);
    calm_down();
    /* Half-closed until it is written to: the first answer finds out. */
    assert_int_equal(n_ended, 0);
    assert_true(held[0]->peer->association != NULL);
    answer_text(held[0], "a");
    assert_int_equal(n_held, 3);
    calm_down();
    answer_text(held[2], "c");
    n_held = 0;
    calm_down();
    assert_int_equal(stats().in_work, 0);
    assert_int_equal(n_ended, 1);
}

static void connections_are_limited_in_all_and_per_peer(void **state)
{
    (void)state;
    struct bst_http_limits limits = bst_http_limits_default();
    limits.connections = 8;
    limits.connections_per_peer = 5;
    start_with(&limits, "127.0.0.1:0");
    for (size_t i = 0; i < 7; i++) {
        dial(i);
    }
    calm_down();
    assert_int_equal(stats().open, 5);
    assert_int_equal(stats().refused_peer, 2);
    assert_true(raws[5].ended && raws[6].ended && !raws[4].ended);
    bst_tcp_close(&raws[0].tcp);
    calm_down();
    struct raw *raw = dial(7);
    say(raw, GET("/now"));
    assert_true(got(raw, " 200 \r\n"));
    assert_int_equal(stats().open, 5);
}

static void a_flood_of_connections_leaves_service_to_the_others(void **state)
{
    (void)state;
    struct bst_http_limits limits = bst_http_limits_default();
    limits.connections = 16;
    start_with(&limits, "127.0.0.1:0");
    for (size_t i = 0; i < 30; i++) {
        dial(i);
    }
    calm_down();
    assert_int_equal(stats().open, 16);
    assert_int_equal(stats().refused_full, 14);
    say(&raws[3], GET("/now"));
    assert_true(got(&raws[3], " 200 \r\n"));
}

static void a_session_can_be_refused(void **state)
{
    (void)state;
    session_refused = true;
    struct raw *raw = dial(0);
    RUN_UNTIL(raw->ended);
    assert_int_equal(raw->in.len, 0);
    assert_int_equal(stats().open, 0);
}

static bool is_second(void *ctx, const struct bst_net_peer *peer)
{
    (void)ctx;
    return peer->association == (void *)2;
}

static void note_done(void *ctx)
{
    *(bool *)ctx = true;
}

static void sessions_of_a_revoked_credential_are_closed(void **state)
{
    (void)state;
    bool done = false;
    for (size_t i = 0; i < 3; i++) {
        say(dial(i), i == 1 ? GET("/held") : GET("/now"));
    }
    assert_ok(bst_http_close_where(shared, is_second, note_done, &done));
    calm_down();
    assert_true(done);
    assert_true(raws[1].ended);
    assert_false(raws[0].ended || raws[2].ended);
    assert_int_equal(stats().closed_revoked, 1);
    assert_int_equal(n_ended, 0); /* the handler still has the exchange */
    answer_text(held[0], "too late");
    n_held = 0;
    calm_down();
    assert_int_equal(n_ended, 1);
    bst_alloc_fail_at(1);
    assert_err(bst_http_close_where(shared, is_second, note_done, &done), BST_E_NOMEM);
}

static void a_drain_lets_running_requests_end(void **state)
{
    (void)state;
    struct raw *idle = dial(0), *busy = dial(1), *partial = dial(2);
    say(idle, GET("/now"));
    say(busy, GET("/held"));
    say(partial, "GET /now/partial HT");
    bst_http_server_drain(server, note_done, &drained);
    calm_down();
    assert_true(idle->ended);
    assert_false(busy->ended || partial->ended || drained);
    assert_ok(bst_tcp_connect(loop, address, 1000, NULL, raw_connected, &raws[3], &raws[3].tcp));
    RUN_UNTIL(raws[3].ended);
    answer_text(held[0], "done");
    n_held = 0;
    say(partial, "TP/1.1\r\nHost: h\r\n\r\n");
    assert_true(got(busy, "Connection: close\r\n") && got(busy, "done") && busy->ended);
    assert_true(got(partial, "/now/partial") && partial->ended);
    for (size_t i = 0; i < 4; i++) {
        bst_tcp_close(&raws[i].tcp);
    }
    RUN_UNTIL(drained);
}

static void a_drain_ends_at_its_deadline(void **state)
{
    (void)state;
    bst_clock_fake_us(INT64_C(1000000000));
    struct raw *busy = dial(0);
    say(busy, GET("/held"));
    bst_http_server_drain(server, note_done, &drained);
    bst_clock_fake_advance_ms(4900);
    calm_down();
    assert_false(drained);
    bst_clock_fake_advance_ms(200);
    RUN_UNTIL(drained);
    RUN_UNTIL(busy->ended);
}

static void a_unix_socket_serves_and_knows_the_user(void **state)
{
    (void)state;
    struct scratch dir;
    assert_true(scratch_make(&dir));
    struct bst_http_limits limits = bst_http_limits_default();
    char where[300];
    snprintf(where, sizeof where, "unix:%s", scratch_path(&dir, "admin"));
    start_with(&limits, where);
    struct raw *raw = dial(0);
    say(raw, GET("/held"));
    assert_int_equal(held[0]->peer->uid, getuid());
    assert_true(bst_view_is(held[0]->peer->address, "unix"));
    answer_text(held[0], "hello");
    n_held = 0;
    calm_down();
    assert_true(got(raw, "hello"));
    scratch_remove(&dir);
}

static void the_nth_allocation_may_fail_and_service_goes_on(void **state)
{
    (void)state;
    for (long n = 1; n < 40; n++) {
        struct raw *raw = dial(0);
        bst_alloc_fail_at(n);
        bst_tcp_write(raw->tcp, BST_VIEW(GET("/now/a") POST("/echo", "3", "abc") GET("/held")));
        for (int turn = 0; turn < 10; turn++) {
            bst_loop_run_once(loop, 1);
        }
        bst_alloc_fail_at(0);
        calm_down();
        if (n_held) {
            bst_alloc_fail_at(1);
            answer_text(held[0], "later");
            bst_alloc_fail_at(0);
            n_held = 0;
        }
        raw = dial(1);
        say(raw, GET("/now/b"));
        assert_true(got(raw, "/now/b"));
        bst_tcp_close(&raws[0].tcp);
        calm_down();
        assert_int_equal(stats().open, 1);
        assert_int_equal(stats().in_work, 0);
    }
    for (long n = 1; n <= 2; n++) {
        struct bst_http_server *other = NULL;
        struct bst_bound more;
        assert_ok(bst_bind("127.0.0.1:0", 1, &more));
        bst_alloc_fail_at(n);
        assert_err(bst_http_server_new(loop, &more.fds[0], shared, NULL, &handler, &other),
                   BST_E_NOMEM);
        bst_alloc_fail_at(0);
        assert_int_equal(more.fds[0], -1);
        bst_bound_clear(&more);
    }
}

/* --- many loops ---------------------------------------------------------------------------- */

enum { LOOPS = 3, CLIENTS = 24, ROUNDS = 50 };

struct worker {
    struct bst_loop *loop;
    struct bst_http_server *server;
    struct bst_thread *thread;
    struct bst_task stop;
};
static atomic_int served;

static void serve_count(void *ctx, struct bst_http_exchange *x)
{
    (void)ctx;
    atomic_fetch_add(&served, 1);
    bst_http_exchange_answer(x, 200, NULL, 0, BST_VIEW("ok"));
}

static void worker_main(void *arg)
{
    struct worker *w = arg;
    (void)bst_failed(bst_loop_run(w->loop));
    bst_http_server_free(&w->server);
    bst_loop_free(&w->loop);
}

static bool never(void *ctx, const struct bst_net_peer *peer)
{
    (void)ctx;
    return peer->session_id == 0;
}

static void note_closed(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void several_loops_share_a_port_and_their_counts(void **state)
{
    (void)state;
    static const struct bst_http_handler counting = {.on_request = serve_count};
    struct worker workers[LOOPS] = {0};
    struct bst_http_limits limits = bst_http_limits_default();
    atomic_int closings = 0;
    served = 0;
    assert_ok(bst_http_shared_new(&limits, &shared));
    assert_ok(bst_bind("127.0.0.1:0", LOOPS, &bound));
    bst_inet_format(&bound.ip, true, address);
    for (int i = 0; i < LOOPS; i++) {
        assert_ok(bst_loop_new(&workers[i].loop));
        assert_ok(bst_http_server_new(workers[i].loop, &bound.fds[i], shared, NULL, &counting,
                                      &workers[i].server));
        assert_ok(bst_thread_start("loop", worker_main, &workers[i], &workers[i].thread));
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        dial(i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            bst_tcp_write(raws[i].tcp, BST_VIEW(GET("/")));
        }
        assert_ok(bst_http_close_where(shared, never, note_closed, &closings));
        (void)stats();
        for (size_t i = 0; i < CLIENTS; i++) {
            RUN_UNTIL(count(&raws[i], " 200 \r\n") == (size_t)round + 1);
        }
    }
    assert_int_equal(served, CLIENTS * ROUNDS);
    assert_int_equal(stats().requests, CLIENTS * ROUNDS);
    assert_int_equal(stats().open, CLIENTS);
    for (int i = 0; i < LOOPS; i++) {
        bst_loop_stop(workers[i].loop);
        bst_thread_join(&workers[i].thread);
    }
    assert_int_equal(closings, ROUNDS);
    assert_int_equal(stats().requests, CLIENTS * ROUNDS);
    assert_int_equal(stats().open, 0);
    bool done = false;
    assert_ok(bst_http_close_where(shared, never, note_done, &done));
    assert_true(done);
}

int main(void)
{
#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_loop, tear_down)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(requests_are_answered_on_a_connection_that_stays),
        SERVER_TEST(answers_may_come_later_and_keep_their_order),
        SERVER_TEST(a_request_that_changes_something_runs_alone),
        SERVER_TEST(a_long_pipeline_is_held_back_and_none_is_lost),
        SERVER_TEST(requests_that_take_long_let_other_connections_have_their_turn),
        SERVER_TEST(output_that_nobody_reads_stops_the_reading),
        SERVER_TEST(what_cannot_be_a_request_is_refused_and_closed),
        SERVER_TEST(a_refusal_waits_for_the_answers_before_it),
        SERVER_TEST(an_answer_cannot_smuggle_headers),
        SERVER_TEST(a_handler_may_end_the_connection),
        SERVER_TEST(a_body_is_asked_for_when_the_client_waits),
        SERVER_TEST(a_head_or_body_that_drips_is_cut_off),
        SERVER_TEST(a_slow_handler_has_time_and_a_slow_reader_has_not),
        SERVER_TEST(a_peer_that_ended_its_side_still_gets_its_answer),
        SERVER_TEST(an_answer_after_the_peer_left_does_no_harm),
        LOOP_TEST(connections_are_limited_in_all_and_per_peer),
        LOOP_TEST(a_flood_of_connections_leaves_service_to_the_others),
        SERVER_TEST(a_session_can_be_refused),
        SERVER_TEST(sessions_of_a_revoked_credential_are_closed),
        SERVER_TEST(a_drain_lets_running_requests_end),
        SERVER_TEST(a_drain_ends_at_its_deadline),
        LOOP_TEST(a_unix_socket_serves_and_knows_the_user),
        SERVER_TEST(the_nth_allocation_may_fail_and_service_goes_on),
        LOOP_TEST(several_loops_share_a_port_and_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
