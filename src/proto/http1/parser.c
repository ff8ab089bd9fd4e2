/* Incremental HTTP/1.1 parser on llhttp, with every lenient flag off (RFC 9112).
 *
 * llhttp reports spans of the bytes it is fed. They are kept as offsets from the message's first
 * byte, so that a message that came whole is used in place, and only one that came in pieces is
 * gathered in the parser's own memory. */
#include "proto/http1/http1.h"

#include <llhttp.h>

#define CHUNK_EXTENSION_BYTES 1024

struct span {
    size_t at, len;
};

struct pair {
    struct span name, value;
};

struct bst_http1_parser {
    llhttp_t llhttp;
    const struct bst_http1_limits *limits;
    bool responses, no_body_next;

    const char *base;         /* what llhttp works on */
    size_t before;            /* bytes of the message before `base` */
    struct bst_buf gathered;  /* a message in pieces: the head, and a body of known length */
    bool in_gathered;         /* spans are offsets into it, else into `base` */
    struct bst_buf unchunked; /* a chunked body */

    bool started, head_done, complete, chunked, continue_wanted;
    struct span target, body;
    struct pair *pairs; /* grows to the limit; kept between messages only when small */
    size_t n_pairs, cap_pairs;
    bool value_open;
    size_t trailer_bytes, extension_bytes, hosts, blank_bytes;

    struct bst_http_header *headers; /* of the finished message */
    size_t cap_headers;
    struct bst_http_msg msg;

    int error_status;
    const char *error_text;
};

#define KEPT_PAIRS 16
#define BLANK_BYTES 64

static int refuse(struct bst_http1_parser *p, int status, const char *text)
{
    p->error_status = status;
    p->error_text = text;
    return HPE_USER;
}

static struct bst_http1_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

/* Offset in the message of a byte of the current call. */
static size_t offset_of(const struct bst_http1_parser *p, const char *at)
{
    return p->before + (size_t)(at - p->base);
}

/* The parts of a span come in order and side by side, also across calls. */
static void extend(const struct bst_http1_parser *p, struct span *span, const char *at, size_t len)
{
    if (span->len == 0) {
        span->at = offset_of(p, at);
    }
    span->len += len;
}

static const char *bytes_at(const struct bst_http1_parser *p, size_t offset)
{
    return (p->in_gathered ? p->gathered.ptr : p->base) + offset;
}

static struct bst_view view_of(const struct bst_http1_parser *p, struct span span)
{
    return span.len ? (struct bst_view){bytes_at(p, span.at), span.len} : (struct bst_view){"", 0};
}

static int on_begin(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    p->started = true;
    return 0;
}

static int on_target(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    extend(p, &p->target, at, len);
    return p->target.len > p->limits->line_bytes ? refuse(p, 414, "request target too long") : 0;
}

static int on_status_text(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    extend(p, &p->target, at, len);
    return p->target.len > p->limits->line_bytes ? refuse(p, 431, "status line too long") : 0;
}

static int new_pair(struct bst_http1_parser *p)
{
    if (p->n_pairs >= p->limits->headers) {
        return refuse(p, 431, "too many headers");
    }
    if (p->n_pairs == p->cap_pairs) {
        size_t cap = p->cap_pairs ? p->cap_pairs * 2 : KEPT_PAIRS;
        struct pair *pairs = bst_realloc(p->pairs, cap * sizeof *pairs);
        if (!pairs) {
            return refuse(p, 500, "out of memory");
        }
        p->pairs = pairs;
        p->cap_pairs = cap;
    }
    p->pairs[p->n_pairs++] = (struct pair){0};
    p->value_open = false;
    return 0;
}

/* Fields after a chunked body are counted and dropped (RFC 9110, 6.5.1). */
static int on_trailer(struct bst_http1_parser *p, size_t len)
{
    p->trailer_bytes += len;
    return p->trailer_bytes > p->limits->head_bytes ? refuse(p, 431, "trailers too long") : 0;
}

static int on_name(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    if (p->head_done) {
        return on_trailer(p, len);
    }
    bool fresh = p->n_pairs == 0 || p->value_open;
    if (fresh && new_pair(p) != 0) {
        return HPE_USER;
    }
    extend(p, &p->pairs[p->n_pairs - 1].name, at, len);
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    if (p->head_done) {
        return on_trailer(p, len);
    }
    p->value_open = true;
    extend(p, &p->pairs[p->n_pairs - 1].value, at, len);
    return 0;
}

static int on_value_complete(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    p->value_open = true; /* an empty value has no span */
    return 0;
}

static int on_extension(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    p->extension_bytes += len;
    return p->extension_bytes > CHUNK_EXTENSION_BYTES ? refuse(p, 400, "chunk extensions too long")
                                                      : 0;
}

static int on_chunk(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    /* Each chunk costs a line: a peer that sends many tiny ones is not worth it. */
    p->extension_bytes++;
    size_t allowed = CHUNK_EXTENSION_BYTES + p->unchunked.len / 16;
    return p->extension_bytes > allowed ? refuse(p, 400, "chunks too small") : 0;
}

/* Where the last field of the head ends. */
static size_t head_end(const struct bst_http1_parser *p)
{
    size_t end = p->target.at + p->target.len;
    if (p->n_pairs) {
        const struct pair *last = &p->pairs[p->n_pairs - 1];
        const struct span *span = last->value.len ? &last->value : &last->name;
        end = span->at + span->len;
    }
    return end;
}

static int check_field(struct bst_http1_parser *p, const struct pair *pair)
{
    struct bst_view name = view_of(p, pair->name);
    struct bst_view value = view_of(p, pair->value);
    if (name.len == 4 && bst_view_eq_nocase(name, BST_VIEW("host"))) {
        p->hosts++;
    } else if (name.len == 6 && !p->responses && bst_view_eq_nocase(name, BST_VIEW("expect"))) {
        if (!bst_view_eq_nocase(bst_view_trim(value), BST_VIEW("100-continue"))) {
            return refuse(p, 417, "expectation not supported");
        }
        p->continue_wanted = true;
    } else if (name.len == 17 && bst_view_eq_nocase(name, BST_VIEW("transfer-encoding"))) {
        if (p->chunked) {
            return refuse(p, 400, "more than one transfer coding");
        }
        if (!bst_view_eq_nocase(bst_view_trim(value), BST_VIEW("chunked"))) {
            return refuse(p, 501, "transfer coding not supported");
        }
        p->chunked = true;
    }
    return 0;
}

static int check_head(struct bst_http1_parser *p)
{
    if (p->llhttp.http_major != 1) {
        return refuse(p, 505, "HTTP version not supported");
    }
    if (head_end(p) > p->limits->head_bytes) {
        return refuse(p, 431, "head too long");
    }
    if (p->responses && p->llhttp.status_code == 101) {
        return refuse(p, 400, "switch of protocols that nobody asked for");
    }
    for (size_t i = 0; i < p->n_pairs; i++) {
        if (check_field(p, &p->pairs[i]) != 0) {
            return HPE_USER;
        }
    }
    /* RFC 9112, 3.2: "A server MUST respond with a 400 ... to any HTTP/1.1 request message that
     * lacks a Host header field and to any request message that contains more than one". */
    if (!p->responses && (p->hosts > 1 || (p->hosts == 0 && p->llhttp.http_minor >= 1))) {
        return refuse(p, 400, "exactly one Host header is required");
    }
    /* RFC 9112, 6.1: coding in a version that has none points at a broken or hostile sender. */
    if (p->chunked && p->llhttp.http_minor == 0) {
        return refuse(p, 400, "transfer coding in HTTP/1.0");
    }
    bool has_length = (p->llhttp.flags & F_CONTENT_LENGTH) != 0;
    if (p->chunked && has_length) {
        return refuse(p, 400, "Content-Length together with Transfer-Encoding");
    }
    if (has_length && p->llhttp.content_length > p->limits->body_bytes) {
        return refuse(p, 413, "body too long");
    }
    return 0;
}

static int check_method(struct bst_http1_parser *p)
{
    int method = p->llhttp.method;
    return method == HTTP_CONNECT || method == HTTP_TRACE || method == HTTP_PRI
               ? refuse(p, 501, "method not supported")
               : 0;
}

static int on_head_complete(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    if (check_head(p) != 0 || (!p->responses && check_method(p) != 0)) {
        return -1;
    }
    p->head_done = true;
    llhttp->upgrade = 0; /* no upgrade is offered: the message is like any other */
    bool no_body = p->responses && p->no_body_next;
    return no_body ? 1 : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    if (!p->chunked) {
        extend(p, &p->body, at, len);
        return p->body.len > p->limits->body_bytes ? refuse(p, 413, "body too long") : 0;
    }
    if (len > p->limits->body_bytes - p->unchunked.len) {
        return refuse(p, 413, "body too long");
    }
    bst_buf_add(&p->unchunked, at, len);
    return p->unchunked.failed ? refuse(p, 500, "out of memory") : 0;
}

static int on_complete(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    p->complete = true;
    return HPE_PAUSED; /* what follows belongs to the next message */
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_target,
    .on_status = on_status_text,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_chunk_header = on_chunk,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

bst_result bst_http1_parser_new(bool responses, const struct bst_http1_limits *limits,
                                struct bst_http1_parser **ret)
{
    struct bst_http1_parser *p = bst_alloc(sizeof *p);
    BST_ENSURE(p, BST_E_NOMEM);
    p->limits = limits;
    p->responses = responses;
    llhttp_init(&p->llhttp, responses ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    p->llhttp.data = p;
    *ret = p;
    return BST_OK;
}

void bst_http1_parser_free(struct bst_http1_parser **slot)
{
    struct bst_http1_parser *p = bst_steal(slot);
    if (p) {
        bst_buf_clear(&p->gathered);
        bst_buf_clear(&p->unchunked);
        bst_free(p->pairs);
        bst_free(p->headers);
        bst_free(p);
    }
}

/* Forget the last message; an idle connection keeps little. */
static void begin_next(struct bst_http1_parser *p)
{
    if (p->gathered.ptr) {
        bst_buf_clear(&p->gathered);
    }
    if (p->unchunked.ptr) {
        bst_buf_clear(&p->unchunked);
    }
    if (p->cap_pairs > KEPT_PAIRS) {
        bst_free(bst_steal(&p->pairs));
        p->cap_pairs = 0;
    }
    if (p->cap_headers > KEPT_PAIRS) {
        bst_free(bst_steal(&p->headers));
        p->cap_headers = 0;
    }
    p->before = 0;
    p->started = p->head_done = p->complete = p->chunked = false;
    p->continue_wanted = p->value_open = p->in_gathered = false;
    p->target = p->body = (struct span){0};
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
        p->headers[i].name = view_of(p, p->pairs[i].name);
        /* The optional blanks before the line's end are not the value's. */
        p->headers[i].value = bst_view_trim(view_of(p, p->pairs[i].value));
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
        refuse(p, 500, "out of memory");
        return BST_HTTP1_ERROR;
    }
    p->msg = (struct bst_http_msg){
        .method = p->responses ? 0 : method_of(p->llhttp.method),
        .status = p->responses ? p->llhttp.status_code : 0,
        .target = p->responses ? (struct bst_view){"", 0} : view_of(p, p->target),
        .headers = p->headers,
        .n_headers = p->n_pairs,
        .body = p->chunked ? bst_buf_view(&p->unchunked) : view_of(p, p->body),
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
    char first = *bytes_at(p, 0);
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
        refuse(p, starts_like_method(p) ? 501 : 400, "unknown method");
        break;
    case HPE_INVALID_VERSION: /* also what is wrong right after a good one */
        refuse(p, p->llhttp.http_major == 1 && p->llhttp.http_minor <= 1 ? 400 : 505,
               "HTTP version not supported");
        break;
    case HPE_PAUSED_H2_UPGRADE:
        refuse(p, 505, "HTTP version not supported");
        break;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        refuse(p, 400, "Content-Length twice or with Transfer-Encoding");
        break;
    default:
        refuse(p, 400, reason && *reason ? reason : "malformed message");
    }
    return BST_HTTP1_ERROR;
}

static enum bst_http1_event no_memory(struct bst_http1_parser *p)
{
    refuse(p, 500, "out of memory");
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
    if (!raw_bytes_needed(p) && p->gathered.len > head_end(p)) {
        p->gathered.len = head_end(p);
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
        refuse(p, 431, "head too long");
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
        refuse(p, 400, "empty lines without a message");
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
    const char *from = bytes_at(p, 0);
    size_t len = p->chunked ? head_end(p) : p->body.len ? p->body.at + p->body.len : head_end(p);
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
