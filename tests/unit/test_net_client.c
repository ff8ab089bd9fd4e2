/* The HTTP client against a peer whose every byte the test decides. */
#include "support/test.h"

#include "base/map.h"
#include "net/http_client.h"

#include <stdio.h>

static struct bst_loop *loop;
static struct bst_http_client *client;
static struct bst_listener *listener;
static struct bst_bound bound;
static char address[BST_INET_TEXT];

/* Connections of the server side, in the order in which they came. */
struct side {
    struct bst_tcp *tcp;
    struct bst_buf in;
    bool ended;
};
static struct side sides[16];
static size_t n_sides;
static const char *automatic; /* what every request is answered with, NULL: nothing */

static void side_data(void *user, struct bst_view data)
{
    struct side *side = user;
    bst_buf_addv(&side->in, data);
    if (automatic) {
        bst_tcp_write(side->tcp, bst_view(automatic));
    }
}
static void side_end(void *user, bst_result why)
{
    (void)bst_failed(why);
    ((struct side *)user)->ended = true;
}
static const struct bst_tcp_events side_events = {side_data, side_end, NULL};

static void on_accept(void *user, struct bst_tcp *tcp)
{
    (void)user;
    struct side *side = &sides[n_sides++];
    *side = (struct side){.tcp = tcp};
    assert_ok(bst_tcp_start(tcp, &side_events, side));
}

/* The end of a call. */
struct outcome {
    int times;
    enum bst_error code;
    int status;
    char body[64], detail[256];
    struct bst_http_call *call;
};

static void note(void *user, bst_result result, const struct bst_http_msg *response,
                 const struct bst_tls_peer *peer)
{
    struct outcome *o = user;
    assert_null(peer);
    o->times++;
    o->code = result.code;
    o->status = response ? response->status : 0;
    snprintf(o->detail, sizeof o->detail, "%s", bst_error_detail());
    if (response) {
        assert_ok(bst_view_copy(response->body, o->body, sizeof o->body));
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

static void calm_down(void)
{
    for (int quiet = 0; quiet < 3;) {
        quiet = bst_loop_run_once(loop, 2) ? 0 : quiet + 1;
    }
}

static bool refuse_all(void *ctx, const struct bst_inet *ip)
{
    (void)ip;
    return !*(const bool *)ctx;
}
static bool refusing;

static int set_up(void **state)
{
    (void)state;
    const struct bst_http_client_config config = {
        .connections = 3,
        .connections_per_target = 2,
        .idle_ms = 10000,
        .message = {.line_bytes = 100, .head_bytes = 1000, .headers = 10, .body_bytes = 50},
        .filter = refuse_all,
        .ctx = &refusing,
    };
    n_sides = 0;
    automatic = NULL;
    refusing = false;
    assert_ok(bst_loop_new(&loop));
    assert_ok(bst_http_client_new(loop, &config, &client));
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    assert_ok(bst_listener_new(loop, &bound.fds[0], on_accept, NULL, &listener));
    bst_inet_format(&bound.ip, true, address);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_alloc_fail_at(0);
    bst_http_client_free(&client);
    bst_listener_free(&listener);
    for (size_t i = 0; i < n_sides; i++) {
        bst_tcp_close(&sides[i].tcp);
        bst_buf_clear(&sides[i].in);
    }
    bst_bound_clear(&bound);
    bst_loop_free(&loop);
    bst_clock_fake_us(0);
    return 0;
}

static struct bst_http_call_spec get(const char *path)
{
    return (struct bst_http_call_spec){
        .target = {.address = address, .host = "cse.example"},
        .method = BST_HTTP_GET,
        .path = bst_view(path),
        .timeout_ms = 5000,
    };
}

static void start(struct outcome *o, const char *path)
{
    const struct bst_http_call_spec spec = get(path);
    *o = (struct outcome){0};
    assert_ok(bst_http_client_call(client, &spec, note, o, &o->call));
    assert_int_equal(o->times, 0);
}

static bool said(const struct side *side, const char *text)
{
    return side->in.len && memmem(side->in.ptr, side->in.len, text, strlen(text)) != NULL;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void a_call_is_sent_and_answered(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct bst_http_header header = {BST_VIEW("X-M2M-RI"), BST_VIEW("r1")};
    struct bst_http_call_spec spec = get("/x");
    spec.method = BST_HTTP_POST;
    spec.headers = &header;
    spec.n_headers = 1;
    spec.body = BST_VIEW("{}");
    automatic = "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nmade";
    assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_NONE);
    assert_int_equal(o.status, 201);
    assert_string_equal(o.body, "made");
    assert_true(said(&sides[0], "POST /x HTTP/1.1\r\nHost: cse.example\r\nContent-Length: 2\r\n"));
    assert_true(said(&sides[0], "X-M2M-RI: r1\r\n\r\n{}"));
}

static void a_connection_is_kept_and_used_again(void **state)
{
    (void)state;
    struct outcome o;
    automatic = OK_ANSWER;
    for (int i = 0; i < 5; i++) {
        start(&o, "/x");
        RUN_UNTIL(o.times);
        assert_int_equal(o.status, 200);
    }
    assert_int_equal(n_sides, 1);
    automatic = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    start(&o, "/x");
    RUN_UNTIL(o.times);
    RUN_UNTIL(sides[0].ended);
    start(&o, "/x");
    RUN_UNTIL(o.times);
    assert_int_equal(n_sides, 2);
}

static void a_kept_connection_ends_when_it_idles_too_long(void **state)
{
    (void)state;
    struct outcome o;
    bst_clock_fake_us(INT64_C(1000000000));
    automatic = OK_ANSWER;
    start(&o, "/x");
    RUN_UNTIL(o.times);
    bst_clock_fake_advance_ms(9900);
    calm_down();
    assert_false(sides[0].ended);
    bst_clock_fake_advance_ms(200);
    RUN_UNTIL(sides[0].ended);
}

static void a_dead_kept_connection_is_replaced_once(void **state)
{
    (void)state;
    struct outcome o;
    automatic = OK_ANSWER;
    start(&o, "/first");
    RUN_UNTIL(o.times);
    automatic = NULL;
    /* The peer closes after it has the request, without a byte of an answer. */
    start(&o, "/second");
    RUN_UNTIL(said(&sides[0], "/second"));
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(n_sides == 2 && said(&sides[1], "/second"));
    assert_int_equal(o.times, 0);
    bst_tcp_close(&sides[1].tcp);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_CLOSED);
    assert_int_equal(n_sides, 2);
}

static void nothing_is_sent_twice_once_an_answer_has_begun(void **state)
{
    (void)state;
    struct outcome o;
    automatic = OK_ANSWER;
    start(&o, "/first");
    RUN_UNTIL(o.times);
    automatic = "HTTP/1.1 2";
    start(&o, "/second");
    RUN_UNTIL(said(&sides[0], "/second"));
    calm_down();
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_CLOSED);
    assert_int_equal(n_sides, 1);
}

static void a_call_that_must_not_be_repeated_is_not(void **state)
{
    (void)state;
    struct outcome o;
    automatic = OK_ANSWER;
    start(&o, "/first");
    RUN_UNTIL(o.times);
    automatic = NULL;
    struct bst_http_call_spec spec = get("/second");
    spec.once = true;
    o = (struct outcome){0};
    assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
    RUN_UNTIL(said(&sides[0], "/second"));
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_CLOSED);
    assert_int_equal(n_sides, 1);
}

static void a_fresh_connection_that_is_closed_is_an_error_at_once(void **state)
{
    (void)state;
    struct outcome o;
    start(&o, "/x");
    RUN_UNTIL(n_sides == 1 && said(&sides[0], "/x"));
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_CLOSED);
    assert_int_equal(n_sides, 1);
}

static void calls_wait_for_a_free_connection(void **state)
{
    (void)state;
    struct outcome o[5];
    for (size_t i = 0; i < 5; i++) {
        start(&o[i], "/x");
    }
    RUN_UNTIL(n_sides == 2 && said(&sides[0], "/x") && said(&sides[1], "/x"));
    calm_down();
    assert_int_equal(n_sides, 2);
    automatic = OK_ANSWER;
    bst_tcp_write(sides[1].tcp, BST_VIEW(OK_ANSWER));
    RUN_UNTIL(o[1].times && o[2].times && o[3].times && o[4].times);
    assert_int_equal(o[0].times, 0);
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(o[0].times);
    assert_int_equal(o[0].code, BST_E_CLOSED);
}

static void a_deadline_covers_all_of_a_call(void **state)
{
    (void)state;
    struct outcome o;
    bst_clock_fake_us(INT64_C(1000000000));
    start(&o, "/x");
    RUN_UNTIL(n_sides == 1 && said(&sides[0], "/x"));
    for (int s = 0; s < 4; s++) {
        bst_clock_fake_advance_ms(1000);
        bst_tcp_write(sides[0].tcp, s ? BST_VIEW("a") : BST_VIEW("HTTP/1.1 200 OK\r\nA: "));
        calm_down();
        assert_int_equal(o.times, 0);
    }
    bst_clock_fake_advance_ms(1100);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_TIMEOUT);
    assert_non_null(strstr(o.detail, address));
    RUN_UNTIL(sides[0].ended);
}

static void an_answer_that_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum bst_error code;
    } cases[] = {
        {"SSH-2.0-x\r\n", BST_E_SYNTAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         BST_E_SYNTAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n", BST_E_TOO_LONG},
        {"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", BST_E_SYNTAX},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", BST_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome o;
        automatic = cases[i].text;
        start(&o, "/x");
        RUN_UNTIL(o.times);
        assert_int_equal(o.code, cases[i].code);
    }
}

static void an_answer_may_end_with_the_connection_and_a_cut_off_one_may_not(void **state)
{
    (void)state;
    struct outcome o;
    start(&o, "/x");
    RUN_UNTIL(n_sides == 1 && said(&sides[0], "/x"));
    bst_tcp_write(sides[0].tcp, BST_VIEW("HTTP/1.1 200 OK\r\n\r\nall of it"));
    calm_down();
    bst_tcp_close(&sides[0].tcp);
    RUN_UNTIL(o.times);
    assert_string_equal(o.body, "all of it");
    start(&o, "/x");
    RUN_UNTIL(n_sides == 2 && said(&sides[1], "/x"));
    bst_tcp_write(sides[1].tcp, BST_VIEW("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    calm_down();
    bst_tcp_close(&sides[1].tcp);
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_CLOSED);
}

static void bytes_that_nobody_asked_for_end_the_connection(void **state)
{
    (void)state;
    struct outcome o;
    automatic = OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    start(&o, "/x");
    RUN_UNTIL(o.times);
    RUN_UNTIL(sides[0].ended);
    automatic = OK_ANSWER;
    start(&o, "/y");
    RUN_UNTIL(o.times);
    assert_string_equal(o.body, "ok");
    bst_tcp_write(sides[1].tcp, BST_VIEW(OK_ANSWER));
    RUN_UNTIL(sides[1].ended);
    assert_int_equal(o.times, 1);
}

static void a_head_call_has_no_body(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct bst_http_call_spec spec = get("/x");
    spec.method = BST_HTTP_HEAD;
    automatic = "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n";
    for (int i = 1; i < 4; i++) {
        assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
        RUN_UNTIL(o.times == i);
        assert_int_equal(o.status, 200);
    }
    assert_int_equal(n_sides, 1);
}

static void a_call_that_cannot_be_written_or_dialled_fails(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct bst_http_call_spec spec = get("/a b");
    assert_err(bst_http_client_call(client, &spec, note, &o, NULL), BST_E_VALUE);
    spec = get("/a\r\nX: y");
    assert_err(bst_http_client_call(client, &spec, note, &o, NULL), BST_E_VALUE);
    spec = get("/x");
    spec.target.address = "no port";
    assert_err(bst_http_client_call(client, &spec, note, &o, NULL), BST_E_SYNTAX);
    spec = get("/x");
    refusing = true;
    assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
    RUN_UNTIL(o.times == 1);
    assert_int_equal(o.code, BST_E_DENIED);
    refusing = false;
    bst_listener_free(&listener);
    calm_down();
    assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
    RUN_UNTIL(o.times == 2);
    assert_int_equal(o.code, BST_E_NOT_REACHABLE);
}

static void a_call_can_be_given_up(void **state)
{
    (void)state;
    struct outcome o[3];
    for (size_t i = 0; i < 3; i++) {
        start(&o[i], "/x");
    }
    RUN_UNTIL(n_sides == 2);
    bst_http_call_cancel(o[2].call);
    bst_http_call_cancel(o[0].call);
    assert_int_equal(o[0].code, BST_E_CANCELLED);
    assert_int_equal(o[2].times, 1);
    assert_int_equal(o[1].times, 0);
    bst_http_client_free(&client);
    assert_int_equal(o[1].code, BST_E_CANCELLED);
}

static int opened;

static void note_open(void *user, bst_result result, struct bst_tls *endpoint)
{
    assert_ok(result);
    assert_null(endpoint);
    (void)user;
    opened++;
}

static void an_opened_connection_serves_the_next_call(void **state)
{
    (void)state;
    struct outcome o;
    const struct bst_http_target target = {.address = address, .host = "cse.example"};
    opened = 0;
    assert_ok(bst_http_client_open(client, &target, 5000, note_open, NULL, NULL));
    RUN_UNTIL(opened);
    assert_int_equal(sides[0].in.len, 0);
    automatic = OK_ANSWER;
    start(&o, "/x");
    RUN_UNTIL(o.times);
    assert_ok(bst_http_client_open(client, &target, 5000, note_open, NULL, NULL));
    RUN_UNTIL(opened == 2);
    assert_int_equal(n_sides, 1);
}

static void a_forgotten_credential_closes_its_kept_connections(void **state)
{
    (void)state;
    struct outcome o, running;
    automatic = OK_ANSWER;
    start(&o, "/x");
    RUN_UNTIL(o.times);
    bst_http_client_forget(client, NULL);
    RUN_UNTIL(sides[0].ended);
    automatic = NULL;
    start(&running, "/y");
    RUN_UNTIL(n_sides == 2 && said(&sides[1], "/y"));
    bst_http_client_forget(client, NULL);
    bst_tcp_write(sides[1].tcp, BST_VIEW(OK_ANSWER));
    RUN_UNTIL(running.times);
    assert_int_equal(running.status, 200);
    RUN_UNTIL(sides[1].ended);
}

static void an_idle_connection_gives_way_to_another_target(void **state)
{
    (void)state;
    struct outcome o = {0};
    static const char *const hosts[] = {"a", "b", "c", "d", "e"};
    automatic = OK_ANSWER;
    for (int i = 0; i < 5; i++) {
        struct bst_http_call_spec spec = get("/x");
        spec.target.host = hosts[i];
        assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
        RUN_UNTIL(o.times == i + 1);
    }
    calm_down();
    size_t open = 0;
    for (size_t i = 0; i < n_sides; i++) {
        open += !sides[i].ended;
    }
    assert_int_equal(open, 3);
}

static void the_blocking_form_copies_the_answer(void **state)
{
    (void)state;
    struct bst_arena arena = {0};
    struct bst_http_msg msg;
    struct bst_http_call_spec spec = get("/x");
    automatic = "HTTP/1.1 200 OK\r\nX-M2M-RSC: 2000\r\nContent-Length: 2\r\n\r\nok";
    assert_ok(bst_http_client_call_blocking(client, &spec, &arena, &msg));
    assert_true(bst_view_is(bst_http_header_get(&msg, "x-m2m-rsc"), "2000"));
    assert_true(bst_view_is(msg.body, "ok"));
    automatic = "nonsense\r\n\r\n";
    assert_err(bst_http_client_call_blocking(client, &spec, &arena, &msg), BST_E_SYNTAX);
    bst_arena_clear(&arena);
}

static void the_nth_allocation_may_fail_and_every_call_ends(void **state)
{
    (void)state;
    automatic = OK_ANSWER;
    for (long n = 1; n < 40; n++) {
        struct outcome o = {0};
        struct bst_http_call_spec spec = get("/x");
        bst_alloc_fail_at(n);
        bst_result result = bst_http_client_call(client, &spec, note, &o, NULL);
        for (int turn = 0; turn < 20 && !bst_failed(result) && !o.times; turn++) {
            bst_loop_run_once(loop, 1);
        }
        bst_alloc_fail_at(0);
        if (!bst_failed(result)) {
            RUN_UNTIL(o.times);
            assert_int_equal(o.times, 1);
        }
        bst_http_client_forget(client, NULL);
        calm_down();
        for (size_t i = 0; i < n_sides; i++) {
            bst_tcp_close(&sides[i].tcp);
            bst_buf_clear(&sides[i].in);
        }
        n_sides = 0;
    }
}

int main(void)
{
#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(a_call_is_sent_and_answered),
        CLIENT_TEST(a_connection_is_kept_and_used_again),
        CLIENT_TEST(a_kept_connection_ends_when_it_idles_too_long),
        CLIENT_TEST(a_dead_kept_connection_is_replaced_once),
        CLIENT_TEST(nothing_is_sent_twice_once_an_answer_has_begun),
        CLIENT_TEST(a_call_that_must_not_be_repeated_is_not),
        CLIENT_TEST(a_fresh_connection_that_is_closed_is_an_error_at_once),
        CLIENT_TEST(calls_wait_for_a_free_connection),
        CLIENT_TEST(a_deadline_covers_all_of_a_call),
        CLIENT_TEST(an_answer_that_is_none_is_refused),
        CLIENT_TEST(an_answer_may_end_with_the_connection_and_a_cut_off_one_may_not),
        CLIENT_TEST(bytes_that_nobody_asked_for_end_the_connection),
        CLIENT_TEST(a_head_call_has_no_body),
        CLIENT_TEST(a_call_that_cannot_be_written_or_dialled_fails),
        CLIENT_TEST(a_call_can_be_given_up),
        CLIENT_TEST(an_opened_connection_serves_the_next_call),
        CLIENT_TEST(a_forgotten_credential_closes_its_kept_connections),
        CLIENT_TEST(an_idle_connection_gives_way_to_another_target),
        CLIENT_TEST(the_blocking_form_copies_the_answer),
        CLIENT_TEST(the_nth_allocation_may_fail_and_every_call_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
