/* Incremental HTTP/1.1 parser on llhttp, with every lenient flag off (RFC 9112).
 *
 * llhttp reports spans of the bytes it is fed. They are kept as offsets from the message's first
 * byte, so that a message that came whole is used in place, and only one that came in pieces is
 * gathered in the parser's own memory. */
#include "proto/http1/parser_priv.h"

#define BLANK_BYTES 64

bst_result bst_http1_parser_new(bool responses, const struct bst_http1_limits *limits,
                                struct bst_http1_parser **ret)
{
    struct bst_http1_parser *p = bst_alloc(sizeof *p);
    BST_ENSURE(p, BST_E_NOMEM);
    p->limits = limits;
    p->responses = responses;
    llhttp_init(&p->llhttp, responses ? HTTP_RESPONSE : HTTP_REQUEST, &bst_http1_settings);
    p->llhttp.data = p;
    *ret = p;
    return BST_OK;
}

void bst_http1_parser_free(struct bst_http1_parser **slot)
{
    struct bst_http1_parser *p = bst_steal(slot);
    if (p) {
        bst_buf_wipe(&p->gathered);
        bst_buf_wipe(&p->unchunked);
        bst_free(p->pairs);
        bst_free(p->headers);
        bst_free(p);
    }
}

/* Forget the last message; an idle connection keeps little. */
static void begin_next(struct bst_http1_parser *p)
{
    if (p->gathered.ptr) {
        bst_buf_wipe(&p->gathered); /* a body may hold a key */
    }
    if (p->unchunked.ptr) {
        bst_buf_wipe(&p->unchunked);
    }
    if (p->cap_pairs > BST_HTTP1_KEPT_PAIRS) {
        bst_free(bst_steal(&p->pairs));
        p->cap_pairs = 0;
    }
    if (p->cap_headers > BST_HTTP1_KEPT_PAIRS) {
        bst_free(bst_steal(&p->headers));
        p->cap_headers = 0;
    }
    p->before = 0;
    p->started = p->head_done = p->complete = p->chunked = false;
    p->continue_wanted = p->value_open = p->in_gathered = false;
    p->target = p->body = (struct bst_http1_span){0};
    p->n_pairs = p->trailer_bytes = p->extension_bytes = p->hosts = p->blank_bytes = 0;
    llhttp_resume(&p->llhttp);
}

static int method_of(int method)
{
    static const uint8_t ours[] = {
        [HTTP_DELETE] = BST_HTTP_DELETE, [HTTP_GET] = BST_HTTP_GET,
        [HTTP_HEAD] = BST_HTTP_HEAD,     [HTTP_POST] = BST_HTTP_POST,
        [HTTP_PUT] = BST_HTTP_PUT,       [HTTP_OPTIONS] = BST_HTTP_OPTIONS,
        [HTTP_PATCH] = BST_HTTP_PATCH,
    };
    bool known = method >= 0 && (size_t)method < sizeof ours && ours[method];
    return known ? ours[method] : BST_HTTP_OTHER;
}

static bool fill_headers(struct bst_http1_parser *p)
{
    if (p->n_pairs > p->cap_headers) {
        struct bst_http_header *headers = bst_realloc(p->headers, p->cap_pairs * sizeof *headers);
        if (!headers) {
            return false;
        }
        p->headers = headers;
        p->cap_headers = p->cap_pairs;
    }
    for (size_t i = 0; i < p->n_pairs; i++) {
        p->headers[i].name = bst_http1_view_of(p, p->pairs[i].name);
        /* The optional blanks before the line's end are not the value's. */
        p->headers[i].value = bst_view_trim(bst_http1_view_of(p, p->pairs[i].value));
    }
    return true;
}

static bool is_interim(const struct bst_http1_parser *p)
{
    return p->responses && p->llhttp.status_code < 200;
}

static enum bst_http1_event finish_message(struct bst_http1_parser *p)
{
    if (!fill_headers(p)) {
        bst_http1_refuse(p, 500, "out of memory");
        return BST_HTTP1_ERROR;
    }
    p->msg = (struct bst_http_msg){
        .method = p->responses ? 0 : method_of(p->llhttp.method),
        .status = p->responses ? p->llhttp.status_code : 0,
        .target = p->responses ? (struct bst_view){"", 0} : bst_http1_view_of(p, p->target),
        .headers = p->headers,
        .n_headers = p->n_pairs,
        .body = p->chunked ? bst_buf_view(&p->unchunked) : bst_http1_view_of(p, p->body),
        .keep_alive = llhttp_should_keep_alive(&p->llhttp) != 0,
        .minor = p->llhttp.http_minor,
    };
    p->no_body_next = p->no_body_next && is_interim(p);
    return BST_HTTP1_MESSAGE;
}

/* RFC 9110, 9.1: an unknown method is 501; what cannot be a method at all is a malformed message.
 */
static bool starts_like_method(const struct bst_http1_parser *p)
{
    char first = *bst_http1_bytes_at(p, 0);
    return first >= 'A' && first <= 'Z';
}

static enum bst_http1_event failed(struct bst_http1_parser *p, llhttp_errno_t error)
{
    if (p->error_status) {
        return BST_HTTP1_ERROR; /* a callback refused it */
    }
    const char *reason = llhttp_get_error_reason(&p->llhttp);
    switch (error) {
    case HPE_INVALID_METHOD:
        bst_http1_refuse(p, starts_like_method(p) ? 501 : 400, "unknown method");
        break;
    case HPE_INVALID_VERSION: /* also what is wrong right after a good one */
        bst_http1_refuse(p, p->llhttp.http_major == 1 && p->llhttp.http_minor <= 1 ? 400 : 505,
                         "HTTP version not supported");
        break;
    case HPE_PAUSED_H2_UPGRADE:
        bst_http1_refuse(p, 505, "HTTP version not supported");
        break;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        bst_http1_refuse(p, 400, "Content-Length twice or with Transfer-Encoding");
        break;
    default:
        bst_http1_refuse(p, 400, reason && *reason ? reason : "malformed message");
    }
    return BST_HTTP1_ERROR;
}

static enum bst_http1_event no_memory(struct bst_http1_parser *p)
{
    bst_http1_refuse(p, 500, "out of memory");
    return BST_HTTP1_ERROR;
}

/* A chunked body is collected apart, so that its raw bytes need not be kept. */
static bool raw_bytes_needed(const struct bst_http1_parser *p)
{
    return !(p->chunked && p->head_done);
}

/* Point llhttp at the bytes: in place, or behind the pieces that came before. */
static bool take_in(struct bst_http1_parser *p, struct bst_view data)
{
    p->base = data.ptr;
    if (p->in_gathered && raw_bytes_needed(p)) {
        p->before = p->gathered.len;
        bst_buf_addv(&p->gathered, data);
        p->base = p->gathered.ptr + p->before;
    }
    return !p->gathered.failed;
}

/* The message goes on: keep what its spans point at. */
static bool keep_piece(struct bst_http1_parser *p, struct bst_view data)
{
    if (!p->in_gathered) {
        p->in_gathered = true;
        bst_buf_addv(&p->gathered, data);
    }
    if (!raw_bytes_needed(p) && p->gathered.len > bst_http1_head_end(p)) {
        p->gathered.len = bst_http1_head_end(p);
    }
    return !p->gathered.failed;
}

static enum bst_http1_event go_on_later(struct bst_http1_parser *p, struct bst_view data)
{
    if (!p->started) {
        return BST_HTTP1_MORE; /* nothing but empty lines */
    }
    if (!keep_piece(p, data)) {
        return no_memory(p);
    }
    if (!p->head_done && p->gathered.len > p->limits->head_bytes) {
        bst_http1_refuse(p, 431, "head too long");
        return BST_HTTP1_ERROR;
    }
    return BST_HTTP1_MORE;
}

/* Empty lines before a message are skipped (RFC 9112, 2.2), but not without end. */
static bool too_many_blanks(struct bst_http1_parser *p, struct bst_view data)
{
    for (size_t i = 0; i < data.len && (data.ptr[i] == '\r' || data.ptr[i] == '\n'); i++) {
        p->blank_bytes++;
    }
    return p->blank_bytes > BLANK_BYTES;
}

static enum bst_http1_event feed_once(struct bst_http1_parser *p, struct bst_view data,
                                      size_t *ret_used)
{
    if (p->complete) {
        begin_next(p);
    }
    if (!p->started && too_many_blanks(p, data)) {
        bst_http1_refuse(p, 400, "empty lines without a message");
        return BST_HTTP1_ERROR;
    }
    if (!take_in(p, data)) {
        return no_memory(p);
    }
    llhttp_errno_t error = llhttp_execute(&p->llhttp, p->base, data.len);
    if (error == HPE_PAUSED && p->complete) {
        *ret_used = (size_t)(llhttp_get_error_pos(&p->llhttp) - p->base);
        return finish_message(p);
    }
    if (error != HPE_OK) {
        return failed(p, error);
    }
    *ret_used = data.len;
    return go_on_later(p, data);
}

enum bst_http1_event bst_http1_feed(struct bst_http1_parser *p, struct bst_view data,
                                    size_t *ret_used)
{
    size_t total = 0, used = 0;
    enum bst_http1_event event = p->error_status ? BST_HTTP1_ERROR : BST_HTTP1_MORE;
    while (event == BST_HTTP1_MORE && total < data.len) {
        event = feed_once(p, bst_view_from(data, total), &used);
        total += event == BST_HTTP1_ERROR ? 0 : used;
        /* RFC 9110, 15.2: any number of interim responses before the final one. */
        event = event == BST_HTTP1_MESSAGE && is_interim(p) ? BST_HTTP1_MORE : event;
    }
    *ret_used = total;
    return event;
}

enum bst_http1_event bst_http1_finish(struct bst_http1_parser *p)
{
    if (p->error_status) {
        return BST_HTTP1_ERROR;
    }
    if (!bst_http1_started(p)) {
        return BST_HTTP1_MORE;
    }
    llhttp_errno_t error = llhttp_finish(&p->llhttp);
    if (p->complete) {
        return finish_message(p);
    }
    return failed(p, error == HPE_OK ? HPE_INVALID_EOF_STATE : error);
}

const struct bst_http_msg *bst_http1_message(const struct bst_http1_parser *p)
{
    return &p->msg;
}

static struct bst_view moved(struct bst_view v, const char *from, const char *to)
{
    return v.len ? (struct bst_view){to + (v.ptr - from), v.len} : (struct bst_view){"", 0};
}

bst_result bst_http1_keep(const struct bst_http1_parser *p, struct bst_arena *arena,
                          struct bst_http_msg *ret)
{
    const char *from = bst_http1_bytes_at(p, 0);
    size_t len = p->chunked    ? bst_http1_head_end(p)
                 : p->body.len ? p->body.at + p->body.len
                               : bst_http1_head_end(p);
    char *to = bst_arena_strndup(arena, from, len);
    struct bst_http_header *headers = bst_arena_alloc(arena, (p->n_pairs + 1) * sizeof *headers);
    BST_ENSURE(to && headers, BST_E_NOMEM);
    struct bst_http_msg msg = p->msg;
    for (size_t i = 0; i < p->n_pairs; i++) {
        headers[i].name = moved(p->msg.headers[i].name, from, to);
        headers[i].value = moved(p->msg.headers[i].value, from, to);
    }
    msg.headers = headers;
    msg.target = moved(p->msg.target, from, to);
    msg.body = p->chunked ? bst_arena_view(arena, p->msg.body) : moved(p->msg.body, from, to);
    BST_ENSURE(msg.body.ptr, BST_E_NOMEM);
    *ret = msg;
    return BST_OK;
}

bool bst_http1_started(const struct bst_http1_parser *p)
{
    return p->started && !p->complete;
}

bool bst_http1_in_head(const struct bst_http1_parser *p)
{
    return bst_http1_started(p) && !p->head_done;
}

bool bst_http1_wants_continue(struct bst_http1_parser *p)
{
    bool wants =
        p->continue_wanted && p->head_done && !p->complete && !p->body.len && !p->unchunked.len;
    p->continue_wanted = p->continue_wanted && !wants;
    return wants;
}

void bst_http1_expect_no_body(struct bst_http1_parser *p)
{
    p->no_body_next = true;
}

int bst_http1_error_status(const struct bst_http1_parser *p)
{
    return p->error_status;
}

const char *bst_http1_error_text(const struct bst_http1_parser *p)
{
    return p->error_text ? p->error_text : "";
}
