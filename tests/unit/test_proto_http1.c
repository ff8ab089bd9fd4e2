/* The HTTP/1.1 parser and writer. */
#include "support/test.h"

#include "proto/http1/http1.h"

#include <stdio.h>

static const struct bst_http1_limits small = {
    .line_bytes = 64, .head_bytes = 512, .headers = 6, .body_bytes = 128};

/* Feed in pieces of `step` bytes; the event and how many bytes the first message took. */
static enum bst_http1_event feed_in_steps(struct bst_http1_parser *p, struct bst_view data,
                                          size_t step, size_t *ret_used)
{
    enum bst_http1_event event = BST_HTTP1_MORE;
    *ret_used = 0;
    while (event == BST_HTTP1_MORE && *ret_used < data.len) {
        size_t used, left = data.len - *ret_used;
        /* Memory of its own for each piece, so that a view into an old one shows. */
        char *piece = bst_strndup(data.ptr + *ret_used, left < step ? left : step);
        event = bst_http1_feed(p, bst_view_of(piece, left < step ? left : step), &used);
        *ret_used += used;
        if (event == BST_HTTP1_MORE) {
            bst_free(piece);
        } else {
            static char *last;
            bst_free(last);
            last = piece;
        }
    }
    return event;
}

static struct bst_http1_parser *parser(bool responses)
{
    struct bst_http1_parser *p = NULL;
    assert_ok(bst_http1_parser_new(responses, &small, &p));
    assert_non_null(p);
    return p;
}

static void assert_view(struct bst_view v, const char *text)
{
    if (!bst_view_is(v, text)) {
        fail_msg("\"%.*s\" instead of \"%s\"", BST_VIEW_ARGS(v), text);
    }
}

static void a_request_is_read_whatever_the_pieces(void **state)
{
    (void)state;
    const char *text = "POST /cse-in/a?x=1 HTTP/1.1\r\nHost: h\r\nX-M2M-RI:  r1 \r\nEmpty:\r\n"
                       "Content-Length: 5\r\n\r\nhello";
    for (size_t step = 1; step <= strlen(text); step++) {
        struct bst_http1_parser *p = parser(false);
        size_t used;
        assert_int_equal(feed_in_steps(p, bst_view(text), step, &used), BST_HTTP1_MESSAGE);
        assert_int_equal(used, strlen(text));
        const struct bst_http_msg *msg = bst_http1_message(p);
        assert_int_equal(msg->method, BST_HTTP_POST);
        assert_view(msg->target, "/cse-in/a?x=1");
        assert_int_equal(msg->n_headers, 4);
        assert_view(bst_http_header_get(msg, "x-m2m-ri"), "r1");
        assert_view(bst_http_header_get(msg, "EMPTY"), "");
        assert_null(bst_http_header_get(msg, "absent").ptr);
        assert_view(msg->body, "hello");
        assert_true(msg->keep_alive);
        bst_http1_parser_free(&p);
    }
}

static void a_chunked_request_is_read_whatever_the_pieces(void **state)
{
    (void)state;
    const char *text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;a=b\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n";
    for (size_t step = 1; step <= strlen(text); step++) {
        struct bst_http1_parser *p = parser(false);
        size_t used;
        assert_int_equal(feed_in_steps(p, bst_view(text), step, &used), BST_HTTP1_MESSAGE);
        const struct bst_http_msg *msg = bst_http1_message(p);
        assert_view(msg->body, "abcdefg");
        assert_view(bst_http_header_get(msg, "Host"), "h");
        assert_int_equal(msg->n_headers, 2);
        bst_http1_parser_free(&p);
    }
}

static void pipelined_requests_come_one_by_one(void **state)
{
    (void)state;
    const char *text =
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"
        "ok\r\nGET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for (size_t step = 1; step <= strlen(text); step++) {
        struct bst_http1_parser *p = parser(false);
        struct bst_view rest = bst_view(text);
        const char *targets[] = {"/1", "/2", "/3"};
        for (int i = 0; i < 3; i++) {
            size_t used;
            assert_int_equal(feed_in_steps(p, rest, step, &used), BST_HTTP1_MESSAGE);
            assert_view(bst_http1_message(p)->target, targets[i]);
            assert_int_equal(bst_http1_message(p)->keep_alive, i < 2);
            rest = bst_view_from(rest, used);
        }
        assert_int_equal(rest.len, 0);
        bst_http1_parser_free(&p);
    }
}

static void a_kept_message_outlives_its_bytes(void **state)
{
    (void)state;
    char text[] = "PUT /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 3\r\n\r\nxyz";
    for (size_t step = 1; step <= strlen(text); step += 7) {
        struct bst_http1_parser *p = parser(false);
        struct bst_arena arena = {0};
        struct bst_http_msg msg;
        size_t used;
        assert_int_equal(feed_in_steps(p, bst_view(text), step, &used), BST_HTTP1_MESSAGE);
        assert_ok(bst_http1_keep(p, &arena, &msg));
        bst_http1_parser_free(&p);
        assert_view(msg.target, "/x");
        assert_view(msg.body, "xyz");
        assert_view(bst_http_header_get(&msg, "a"), "b");
        bst_arena_clear(&arena);
    }
}

static const struct {
    const char *what, *text;
    int status;
} refused[] = {
    {"length with chunked",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"chunked with length",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
    {"two lengths",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", 400},
    {"signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400},
    {"negative length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc", 400},
    {"length out of range",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
    {"two codings",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n",
     400},
    {"foreign coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
     501},
    {"hidden coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 0},
    {"chunked in 1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"bare LF after line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
    {"bare LF after header", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
    {"bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
    {"bare CR", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
    {"folded header", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400},
    {"folded by tab", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", 400},
    {"blank before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
    {"no colon", "GET / HTTP/1.1\r\nHost: h\r\nfoo\r\n\r\n", 400},
    {"control in value", "GET / HTTP/1.1\r\nHost: h\r\nA: b\001\r\n\r\n", 400},
    {"blank in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"HTTP/0.9", "GET /\r\n\r\n", 505},
    {"HTTP/2 by number", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
    {"HTTP/9", "GET / HTTP/9.9\r\nHost: h\r\n\r\n", 505},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"other protocol", "GET / ICE/1.0\r\nHost: h\r\n\r\n", 400},
    {"unknown method", "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"connect", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"trace", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"TLS on a plain port", "\026\003\001\002\000\001", 400},
    {"long target",
     "GET /0123456789012345678901234567890123456789012345678901234567890123456789 HTTP/1.1\r\n",
     414},
    {"many headers",
     "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n\r\n", 431},
    {"long body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 129\r\n\r\n", 413},
    {"long chunk",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "81\r\n012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
     "7890123456789"
     "01234567890123456789012345678\r\n",
     413},
    {"bad chunk size", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     400},
    {"signed chunk size", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
     400},
    {"blank chunk size",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n", 400},
    {"huge chunk size",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
    {"chunk without its end",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
    {"foreign expectation",
     "POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417},
};

static void what_must_be_refused_is_refused_whatever_the_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct bst_view text = bst_view(refused[i].text);
        text.len = text.len && text.ptr[0] == '\026' ? 6 : text.len;
        for (size_t step = 1; step <= text.len; step += step < 4 ? 1 : text.len - 4) {
            struct bst_http1_parser *p = parser(false);
            size_t used;
            enum bst_http1_event event = feed_in_steps(p, text, step, &used);
            int status = bst_http1_error_status(p);
            bool expected = refused[i].status ? status == refused[i].status : status >= 400;
            if (event != BST_HTTP1_ERROR || !expected) {
                fail_msg("%s in steps of %zu: event %d, status %d (%s)", refused[i].what, step,
                         event, status, bst_http1_error_text(p));
            }
            assert_int_equal(bst_http1_feed(p, BST_VIEW("GET / HTTP/1.1\r\n"), &used),
                             BST_HTTP1_ERROR);
            bst_http1_parser_free(&p);
        }
    }
}

static void a_nul_is_refused_anywhere_in_the_head(void **state)
{
    (void)state;
    char text[] = "GET /abc HTTP/1.1\r\nHost: h\r\nAb: cd\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char kept = text[i];
        size_t used;
        struct bst_http1_parser *p = parser(false);
        text[i] = '\0';
        assert_int_equal(feed_in_steps(p, bst_view_of(text, sizeof text - 1), 64, &used),
                         BST_HTTP1_ERROR);
        text[i] = kept;
        bst_http1_parser_free(&p);
    }
}

static void a_head_without_end_is_refused(void **state)
{
    (void)state;
    struct bst_http1_parser *p = parser(false);
    size_t used;
    assert_int_equal(bst_http1_feed(p, BST_VIEW("GET / HTTP/1.1\r\nHost: h\r\nA: "), &used),
                     BST_HTTP1_MORE);
    enum bst_http1_event event = BST_HTTP1_MORE;
    size_t fed = 0;
    while (event == BST_HTTP1_MORE && fed < 2000) {
        event = bst_http1_feed(p, BST_VIEW("aaaaaaaaaaaaaaaa"), &used);
        fed += 16;
    }
    assert_int_equal(event, BST_HTTP1_ERROR);
    assert_int_equal(bst_http1_error_status(p), 431);
    assert_true(fed < 600);
    bst_http1_parser_free(&p);
}

static void empty_lines_and_chunk_extensions_have_an_end(void **state)
{
    (void)state;
    struct bst_http1_parser *p = parser(false);
    size_t used;
    enum bst_http1_event event = BST_HTTP1_MORE;
    for (int i = 0; i < 100 && event == BST_HTTP1_MORE; i++) {
        event = bst_http1_feed(p, BST_VIEW("\r\n"), &used);
    }
    assert_int_equal(event, BST_HTTP1_ERROR);
    bst_http1_parser_free(&p);
    p = parser(false);
    event = bst_http1_feed(
        p, BST_VIEW("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;"), &used);
    for (int i = 0; i < 1000 && event == BST_HTTP1_MORE; i++) {
        event = bst_http1_feed(p, BST_VIEW("aaaa"), &used);
    }
    assert_int_equal(event, BST_HTTP1_ERROR);
    assert_int_equal(bst_http1_error_status(p), 400);
    bst_http1_parser_free(&p);
}

static void an_upgrade_is_ignored_and_1_0_closes(void **state)
{
    (void)state;
    struct bst_http1_parser *p = parser(false);
    size_t used;
    struct bst_view text =
        BST_VIEW("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_int_equal(bst_http1_feed(p, text, &used), BST_HTTP1_MESSAGE);
    assert_int_equal(used, text.len);
    assert_int_equal(bst_http1_feed(p, BST_VIEW("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"), &used),
                     BST_HTTP1_MESSAGE);
    assert_int_equal(bst_http1_feed(p, BST_VIEW("GET / HTTP/1.0\r\n\r\n"), &used),
                     BST_HTTP1_MESSAGE);
    assert_false(bst_http1_message(p)->keep_alive);
    bst_http1_parser_free(&p);
    p = parser(false);
    assert_int_equal(
        bst_http1_feed(p, BST_VIEW("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &used),
        BST_HTTP1_MESSAGE);
    assert_true(bst_http1_message(p)->keep_alive);
    bst_http1_parser_free(&p);
}

static void a_body_may_wait_for_100_continue(void **state)
{
    (void)state;
    struct bst_http1_parser *p = parser(false);
    size_t used;
    assert_int_equal(
        bst_http1_feed(p,
                       BST_VIEW("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                                "Content-Length: 2\r\n\r\n"),
                       &used),
        BST_HTTP1_MORE);
    assert_true(bst_http1_wants_continue(p));
    assert_false(bst_http1_wants_continue(p));
    assert_true(bst_http1_started(p));
    assert_false(bst_http1_in_head(p));
    assert_int_equal(bst_http1_feed(p, BST_VIEW("ok"), &used), BST_HTTP1_MESSAGE);
    bst_http1_parser_free(&p);
}

static void responses_end_by_length_chunk_or_connection(void **state)
{
    (void)state;
    size_t used;
    struct bst_http1_parser *p = parser(true);
    struct bst_view text = BST_VIEW("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 "
                                    "Created\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 "
                                    "No Content\r\n\r\n");
    assert_int_equal(bst_http1_feed(p, text, &used), BST_HTTP1_MESSAGE);
    assert_int_equal(bst_http1_message(p)->status, 201);
    assert_view(bst_http1_message(p)->body, "ok");
    assert_int_equal(bst_http1_feed(p, bst_view_from(text, used), &used), BST_HTTP1_MESSAGE);
    assert_int_equal(bst_http1_message(p)->status, 204);
    bst_http1_expect_no_body(p);
    assert_int_equal(
        bst_http1_feed(p, BST_VIEW("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"), &used),
        BST_HTTP1_MESSAGE);
    assert_int_equal(bst_http1_feed(p, BST_VIEW("HTTP/1.1 200 OK\r\n\r\nuntil"), &used),
                     BST_HTTP1_MORE);
    assert_int_equal(bst_http1_feed(p, BST_VIEW(" the end"), &used), BST_HTTP1_MORE);
    assert_int_equal(bst_http1_finish(p), BST_HTTP1_MESSAGE);
    assert_view(bst_http1_message(p)->body, "until the end");
    assert_false(bst_http1_message(p)->keep_alive);
    bst_http1_parser_free(&p);
}

static void a_response_that_is_cut_off_or_too_long_is_refused(void **state)
{
    (void)state;
    size_t used;
    struct bst_http1_parser *p = parser(true);
    assert_int_equal(
        bst_http1_feed(p, BST_VIEW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), &used),
        BST_HTTP1_MORE);
    assert_int_equal(bst_http1_finish(p), BST_HTTP1_ERROR);
    bst_http1_parser_free(&p);
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        p = parser(true);
        if (bst_http1_feed(p, bst_view(bad[i]), &used) != BST_HTTP1_ERROR) {
            fail_msg("not refused: %s", bad[i]);
        }
        bst_http1_parser_free(&p);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct bst_buf out = {0};
    struct bst_http_header headers[] = {{BST_VIEW("X-M2M-RI"), BST_VIEW("r\xc3\xa9")},
                                        {BST_VIEW("X-Empty"), BST_VIEW("")}};
    assert_ok(bst_http1_write_request(&out, BST_HTTP_POST, BST_VIEW("/a"), BST_VIEW("h:1"), headers,
                                      2, BST_VIEW("{}"), true));
    struct bst_http1_parser *p = parser(false);
    size_t used;
    assert_int_equal(bst_http1_feed(p, bst_buf_view(&out), &used), BST_HTTP1_MESSAGE);
    assert_int_equal(used, out.len);
    assert_view(bst_http_header_get(bst_http1_message(p), "host"), "h:1");
    assert_view(bst_http_header_get(bst_http1_message(p), "x-m2m-ri"), "r\xc3\xa9");
    assert_view(bst_http1_message(p)->body, "{}");
    bst_http1_parser_free(&p);
    out.len = 0;
    const struct bst_http1_response r = {
        .status = 403, .headers = headers, .n_headers = 2, .body = BST_VIEW("no")};
    assert_ok(bst_http1_write_response(&out, &r));
    assert_true(bst_view_starts(bst_buf_view(&out), BST_VIEW("HTTP/1.1 403 \r\n")));
    p = parser(true);
    assert_int_equal(bst_http1_feed(p, bst_buf_view(&out), &used), BST_HTTP1_MESSAGE);
    assert_int_equal(bst_http1_message(p)->status, 403);
    assert_false(bst_http1_message(p)->keep_alive);
    bst_http1_parser_free(&p);
    bst_buf_clear(&out);
}

static void nothing_that_could_split_a_message_is_written(void **state)
{
    (void)state;
    static const struct bst_http_header bad[] = {
        {{"A", 1}, {"b\r\nC: d", 7}}, {{"A", 1}, {"b\nC", 3}},  {{"A", 1}, {"b\rC", 3}},
        {{"A", 1}, {"b\0C", 3}},      {{"A\r\n", 3}, {"b", 1}}, {{"A b", 3}, {"b", 1}},
        {{"A:", 2}, {"b", 1}},        {{"", 0}, {"b", 1}},      {{"A\0", 2}, {"b", 1}},
        {{"A", 1}, {"b\x7f", 2}},
    };
    struct bst_buf out = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct bst_http1_response r = {.status = 200, .headers = &bad[i], .n_headers = 1};
        assert_err(bst_http1_write_response(&out, &r), BST_E_VALUE);
        assert_err(bst_http1_write_request(&out, BST_HTTP_GET, BST_VIEW("/"), BST_VIEW("h"),
                                           &bad[i], 1, BST_VIEW(""), true),
                   BST_E_VALUE);
        assert_int_equal(out.len, 0);
    }
    struct bst_view targets[] = {BST_VIEW("/a b"), BST_VIEW("/a\r\nX: y"), BST_VIEW(""),
                                 bst_view_of("/\0", 2)};
    for (size_t i = 0; i < 4; i++) {
        assert_err(bst_http1_write_request(&out, BST_HTTP_GET, targets[i], BST_VIEW("h"), NULL, 0,
                                           BST_VIEW(""), true),
                   BST_E_VALUE);
        assert_err(bst_http1_write_request(&out, BST_HTTP_GET, BST_VIEW("/"), targets[i], NULL, 0,
                                           BST_VIEW(""), true),
                   BST_E_VALUE);
    }
    assert_err(bst_http1_write_request(&out, BST_HTTP_OTHER, BST_VIEW("/"), BST_VIEW("h"), NULL, 0,
                                       BST_VIEW(""), true),
               BST_E_VALUE);
    bst_buf_clear(&out);
}

static void memory_that_runs_out_is_an_error_and_no_crash(void **state)
{
    (void)state;
    const char *text =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    bool done = false;
    for (long n = 1; !done; n++) {
        struct bst_http1_parser *p = NULL;
        bst_alloc_fail_at(n);
        bst_result result = bst_http1_parser_new(false, &small, &p);
        enum bst_http1_event event = BST_HTTP1_MORE;
        for (size_t i = 0; !bst_failed(result) && event == BST_HTTP1_MORE && i < strlen(text);
             i++) {
            size_t used;
            event = bst_http1_feed(p, bst_view_of(text + i, 1), &used);
        }
        done = bst_alloc_count() < n;
        bst_alloc_fail_at(0);
        assert_int_equal(done, event == BST_HTTP1_MESSAGE);
        assert_true(done || bst_failed(result) || bst_http1_error_status(p) == 500);
        bst_http1_parser_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_whatever_the_pieces),
        cmocka_unit_test(a_chunked_request_is_read_whatever_the_pieces),
        cmocka_unit_test(pipelined_requests_come_one_by_one),
        cmocka_unit_test(a_kept_message_outlives_its_bytes),
        cmocka_unit_test(what_must_be_refused_is_refused_whatever_the_pieces),
        cmocka_unit_test(a_nul_is_refused_anywhere_in_the_head),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(empty_lines_and_chunk_extensions_have_an_end),
        cmocka_unit_test(an_upgrade_is_ignored_and_1_0_closes),
        cmocka_unit_test(a_body_may_wait_for_100_continue),
        cmocka_unit_test(responses_end_by_length_chunk_or_connection),
        cmocka_unit_test(a_response_that_is_cut_off_or_too_long_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(nothing_that_could_split_a_message_is_written),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
