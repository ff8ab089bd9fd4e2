/* HTTP/1.1 messages: whatever the pieces, the same messages come out, and what is kept or written
 * again is the same message. */
#include "proto/http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The limit of a head counts what has come, not what belongs to it: out of reach, for that pieces
 * and whole are to give the same. */
static const struct bst_http1_limits limits = {
    .line_bytes = 256, .head_bytes = 1 << 24, .headers = 16, .body_bytes = 4096};

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* A digest of all messages and of how it ended. */
static uint64_t mix(uint64_t sum, struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        sum = (sum ^ (unsigned char)v.ptr[i]) * UINT64_C(1099511628211);
    }
    return (sum ^ v.len) * UINT64_C(1099511628211);
}

static uint64_t mix_message(uint64_t sum, const struct bst_http_msg *msg)
{
    sum = mix(sum ^ (uint64_t)(msg->method * 1000 + msg->status), msg->target);
    for (size_t i = 0; i < msg->n_headers; i++) {
        sum = mix(mix(sum, msg->headers[i].name), msg->headers[i].value);
    }
    return mix(sum + msg->keep_alive, msg->body);
}

/* A message that was accepted can be written again, unless its target or values are outside of what
 * we would send, and never comes out as more than one. */
static void write_again(const struct bst_http_msg *msg)
{
    struct bst_buf out = {0};
    struct bst_http1_parser *p;
    size_t used;
    const struct bst_http1_response r = {.status = 200, .body = msg->body, .keep_alive = true};
    struct bst_http1_response echoing = r;
    echoing.headers = msg->headers;
    echoing.n_headers = msg->n_headers < 4 ? msg->n_headers : 4;
    for (size_t i = 0; i < echoing.n_headers; i++) {
        if (bst_view_eq_nocase(msg->headers[i].name, BST_VIEW("content-length")) ||
            bst_view_eq_nocase(msg->headers[i].name, BST_VIEW("transfer-encoding")) ||
            bst_view_eq_nocase(msg->headers[i].name, BST_VIEW("upgrade"))) {
            echoing.n_headers = 0;
        }
    }
    if (!bst_failed(bst_http1_write_response(&out, &echoing)) &&
        !bst_failed(bst_http1_parser_new(true, &limits, &p))) {
        enum bst_http1_event event = bst_http1_feed(p, bst_buf_view(&out), &used);
        must(event != BST_HTTP1_MESSAGE || used == out.len);
        bst_http1_parser_free(&p);
    }
    bst_buf_clear(&out);
}

static uint64_t run(bool responses, struct bst_view data, size_t step)
{
    struct bst_http1_parser *p;
    uint64_t sum = 0;
    if (bst_failed(bst_http1_parser_new(responses, &limits, &p))) {
        return 0;
    }
    enum bst_http1_event event = BST_HTTP1_MORE;
    while (data.len && event != BST_HTTP1_ERROR) {
        size_t used, len = data.len < step ? data.len : step;
        char *piece = bst_strndup(data.ptr, len);
        event = bst_http1_feed(p, bst_view_of(piece, len), &used);
        must(used <= len && (event != BST_HTTP1_MORE || used == len));
        if (event == BST_HTTP1_MESSAGE) {
            struct bst_arena arena = {0};
            struct bst_http_msg kept;
            sum = mix_message(sum, bst_http1_message(p));
            write_again(bst_http1_message(p));
            must(!bst_failed(bst_http1_keep(p, &arena, &kept)));
            must(mix_message(0, &kept) == mix_message(0, bst_http1_message(p)));
            bst_arena_clear(&arena);
        }
        bst_free(piece);
        data = bst_view_from(data, used);
    }
    if (event == BST_HTTP1_ERROR) {
        must(bst_http1_error_status(p) >= 400 && *bst_http1_error_text(p));
        sum ^= UINT64_C(0x9e3779b97f4a7c15);
    } else if (bst_http1_finish(p) == BST_HTTP1_MESSAGE) {
        sum = mix_message(sum, bst_http1_message(p));
    }
    bst_http1_parser_free(&p);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct bst_view text = bst_view_of(data + 1, size - 1);
    bool responses = data[0] & 1;
    uint64_t whole = run(responses, text, size);
    must(run(responses, text, 1 + data[0] / 2 % 7) == whole);
    return 0;
}
