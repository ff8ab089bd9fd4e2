/* What llhttp calls while it reads a message: spans, limits and refusals (RFC 9112). */
#include "proto/http1/parser_priv.h"

#define CHUNK_EXTENSION_BYTES 1024

int bst_http1_refuse(struct bst_http1_parser *p, int status, const char *text)
{
    p->error_status = status;
    p->error_text = text;
    return HPE_USER;
}

const char *bst_http1_bytes_at(const struct bst_http1_parser *p, size_t offset)
{
    return (p->in_gathered ? p->gathered.ptr : p->base) + offset;
}

struct bst_view bst_http1_view_of(const struct bst_http1_parser *p, struct bst_http1_span span)
{
    return span.len ? (struct bst_view){bst_http1_bytes_at(p, span.at), span.len}
                    : (struct bst_view){"", 0};
}

size_t bst_http1_head_end(const struct bst_http1_parser *p)
{
    size_t end = p->target.at + p->target.len;
    if (p->n_pairs) {
        const struct bst_http1_pair *last = &p->pairs[p->n_pairs - 1];
        const struct bst_http1_span *span = last->value.len ? &last->value : &last->name;
        end = span->at + span->len;
    }
    return end;
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
static void extend(const struct bst_http1_parser *p, struct bst_http1_span *span, const char *at,
                   size_t len)
{
    if (span->len == 0) {
        span->at = offset_of(p, at);
    }
    span->len += len;
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
    return p->target.len > p->limits->line_bytes
               ? bst_http1_refuse(p, 414, "request target too long")
               : 0;
}

static int on_status_text(llhttp_t *llhttp, const char *at, size_t len)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    extend(p, &p->target, at, len);
    return p->target.len > p->limits->line_bytes ? bst_http1_refuse(p, 431, "status line too long")
                                                 : 0;
}

static int new_pair(struct bst_http1_parser *p)
{
    if (p->n_pairs >= p->limits->headers) {
        return bst_http1_refuse(p, 431, "too many headers");
    }
    if (p->n_pairs == p->cap_pairs) {
        size_t cap = p->cap_pairs ? p->cap_pairs * 2 : BST_HTTP1_KEPT_PAIRS;
        struct bst_http1_pair *pairs = bst_realloc(p->pairs, cap * sizeof *pairs);
        if (!pairs) {
            return bst_http1_refuse(p, 500, "out of memory");
        }
        p->pairs = pairs;
        p->cap_pairs = cap;
    }
    p->pairs[p->n_pairs++] = (struct bst_http1_pair){0};
    p->value_open = false;
    return 0;
}

/* Fields after a chunked body are counted and dropped (RFC 9110, 6.5.1). */
static int on_trailer(struct bst_http1_parser *p, size_t len)
{
    p->trailer_bytes += len;
    return p->trailer_bytes > p->limits->head_bytes ? bst_http1_refuse(p, 431, "trailers too long")
                                                    : 0;
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
    return p->extension_bytes > CHUNK_EXTENSION_BYTES
               ? bst_http1_refuse(p, 400, "chunk extensions too long")
               : 0;
}

static int on_chunk(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    /* Each chunk costs a line: a peer that sends many tiny ones is not worth it. */
    p->extension_bytes++;
    size_t allowed = CHUNK_EXTENSION_BYTES + p->unchunked.len / 16;
    return p->extension_bytes > allowed ? bst_http1_refuse(p, 400, "chunks too small") : 0;
}

static int check_field(struct bst_http1_parser *p, const struct bst_http1_pair *pair)
{
    struct bst_view name = bst_http1_view_of(p, pair->name);
    struct bst_view value = bst_http1_view_of(p, pair->value);
    if (name.len == 4 && bst_view_eq_nocase(name, BST_VIEW("host"))) {
        p->hosts++;
    } else if (name.len == 6 && !p->responses && bst_view_eq_nocase(name, BST_VIEW("expect"))) {
        if (!bst_view_eq_nocase(bst_view_trim(value), BST_VIEW("100-continue"))) {
            return bst_http1_refuse(p, 417, "expectation not supported");
        }
        p->continue_wanted = true;
    } else if (name.len == 17 && bst_view_eq_nocase(name, BST_VIEW("transfer-encoding"))) {
        if (p->chunked) {
            return bst_http1_refuse(p, 400, "more than one transfer coding");
        }
        if (!bst_view_eq_nocase(bst_view_trim(value), BST_VIEW("chunked"))) {
            return bst_http1_refuse(p, 501, "transfer coding not supported");
        }
        p->chunked = true;
    }
    return 0;
}

static int check_head(struct bst_http1_parser *p)
{
    if (p->llhttp.http_major != 1) {
        return bst_http1_refuse(p, 505, "HTTP version not supported");
    }
    if (bst_http1_head_end(p) > p->limits->head_bytes) {
        return bst_http1_refuse(p, 431, "head too long");
    }
    if (p->responses && p->llhttp.status_code == 101) {
        return bst_http1_refuse(p, 400, "switch of protocols that nobody asked for");
    }
    for (size_t i = 0; i < p->n_pairs; i++) {
        if (check_field(p, &p->pairs[i]) != 0) {
            return HPE_USER;
        }
    }
    /* RFC 9112, 3.2: "A server MUST respond with a 400 ... to any HTTP/1.1 request message that
     * lacks a Host header field and to any request message that contains more than one". */
    if (!p->responses && (p->hosts > 1 || (p->hosts == 0 && p->llhttp.http_minor >= 1))) {
        return bst_http1_refuse(p, 400, "exactly one Host header is required");
    }
    /* RFC 9112, 6.1: coding in a version that has none points at a broken or hostile sender. */
    if (p->chunked && p->llhttp.http_minor == 0) {
        return bst_http1_refuse(p, 400, "transfer coding in HTTP/1.0");
    }
    bool has_length = (p->llhttp.flags & F_CONTENT_LENGTH) != 0;
    if (p->chunked && has_length) {
        return bst_http1_refuse(p, 400, "Content-Length together with Transfer-Encoding");
    }
    if (has_length && p->llhttp.content_length > p->limits->body_bytes) {
        return bst_http1_refuse(p, 413, "body too long");
    }
    return 0;
}

static int check_method(struct bst_http1_parser *p)
{
    int method = p->llhttp.method;
    return method == HTTP_CONNECT || method == HTTP_TRACE || method == HTTP_PRI
               ? bst_http1_refuse(p, 501, "method not supported")
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
        return p->body.len > p->limits->body_bytes ? bst_http1_refuse(p, 413, "body too long") : 0;
    }
    if (len > p->limits->body_bytes - p->unchunked.len) {
        return bst_http1_refuse(p, 413, "body too long");
    }
    bst_buf_add(&p->unchunked, at, len);
    return p->unchunked.failed ? bst_http1_refuse(p, 500, "out of memory") : 0;
}

static int on_complete(llhttp_t *llhttp)
{
    struct bst_http1_parser *p = parser_of(llhttp);
    p->complete = true;
    return HPE_PAUSED; /* what follows belongs to the next message */
}

const llhttp_settings_t bst_http1_settings = {
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
