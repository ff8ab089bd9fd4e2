/* Messages: looking at them and writing them. */
#include "proto/http1/http1.h"

static const char *const methods[] = {
    [BST_HTTP_GET] = "GET",     [BST_HTTP_HEAD] = "HEAD",     [BST_HTTP_POST] = "POST",
    [BST_HTTP_PUT] = "PUT",     [BST_HTTP_DELETE] = "DELETE", [BST_HTTP_OPTIONS] = "OPTIONS",
    [BST_HTTP_PATCH] = "PATCH",
};

const char *bst_http_method_name(int method)
{
    bool known = method > 0 && (size_t)method < sizeof methods / sizeof methods[0];
    return known ? methods[method] : "?";
}

struct bst_view bst_http_header_get(const struct bst_http_msg *msg, const char *name)
{
    struct bst_view wanted = bst_view(name);
    for (size_t i = 0; i < msg->n_headers; i++) {
        if (bst_view_eq_nocase(msg->headers[i].name, wanted)) {
            return msg->headers[i].value;
        }
    }
    return (struct bst_view){0};
}

size_t bst_http_header_count(const struct bst_http_msg *msg, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < msg->n_headers; i++) {
        n += bst_view_eq_nocase(msg->headers[i].name, bst_view(name));
    }
    return n;
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct bst_view v)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr(others, c))) {
            return false;
        }
    }
    return v.len > 0;
}

/* RFC 9110, 5.5: no control but the tab. */
static bool is_field_value(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_target(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if (c <= 0x20 || c == 0x7f) {
            return false;
        }
    }
    return v.len > 0;
}

static bst_result check_headers(const struct bst_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_token(headers[i].name) || !is_field_value(headers[i].value)) {
            BST_FAIL(BST_E_VALUE, "header %zu has characters that HTTP does not allow", i + 1);
        }
    }
    return BST_OK;
}

static void add_headers(struct bst_buf *out, const struct bst_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = headers[i].name.len + headers[i].value.len + 4;
        char *at = bst_buf_reserve(out, len);
        if (!at) {
            return;
        }
        memcpy(at, headers[i].name.ptr, headers[i].name.len);
        at += headers[i].name.len;
        memcpy(at, ": ", 2);
        if (headers[i].value.len) {
            memcpy(at + 2, headers[i].value.ptr, headers[i].value.len);
        }
        memcpy(at + 2 + headers[i].value.len, "\r\n", 2);
        out->len += len;
    }
}

static void add_length(struct bst_buf *out, size_t bytes)
{
    bst_buf_addv(out, BST_VIEW("Content-Length: "));
    bst_buf_addi(out, (int64_t)bytes);
    bst_buf_addv(out, BST_VIEW("\r\n"));
}

/* Nothing of a message that could not be written whole. */
static bst_result written(struct bst_buf *out, size_t start)
{
    if (out->failed) {
        out->len = start;
    }
    return bst_buf_check(out);
}

bst_result bst_http1_write_response(struct bst_buf *out, const struct bst_http1_response *r)
{
    BST_TRY(check_headers(r->headers, r->n_headers));
    size_t start = out->len;
    bst_buf_reserve(out, 256 + r->body.len);
    bst_buf_addv(out, BST_VIEW("HTTP/1.1 "));
    bst_buf_addi(out, r->status);
    /* TS-0009, 6.3.3: no reason phrase; RFC 9112, 4: the blank before it stays. */
    bst_buf_addv(out, BST_VIEW(" \r\n"));
    /* RFC 9110, 8.6: no Content-Length in a 1xx or 204; RFC 9112, 6.3: a 304 has no body. */
    bool bodyless = r->status < 200 || r->status == 204 || r->status == 304;
    if (!bodyless) {
        add_length(out, r->body.len);
    }
    if (!r->keep_alive) {
        bst_buf_addv(out, BST_VIEW("Connection: close\r\n"));
    }
    if (r->date.len) {
        add_headers(out, &(struct bst_http_header){BST_VIEW("Date"), r->date}, 1);
    }
    add_headers(out, r->headers, r->n_headers);
    bst_buf_addv(out, BST_VIEW("\r\n"));
    if (!bodyless && !r->body_omitted) {
        bst_buf_addv(out, r->body);
    }
    return written(out, start);
}

bst_result bst_http1_write_request(struct bst_buf *out, int method, struct bst_view target,
                                   struct bst_view host, const struct bst_http_header *headers,
                                   size_t n, struct bst_view body, bool keep_alive)
{
    BST_TRY(check_headers(headers, n));
    if (method <= 0 || method >= BST_HTTP_OTHER || !is_target(target) || !is_target(host)) {
        BST_FAIL(BST_E_VALUE, "request target or host has characters that HTTP does not allow");
    }
    size_t start = out->len;
    bst_buf_reserve(out, 256 + target.len + body.len);
    bst_buf_adds(out, methods[method]);
    bst_buf_addc(out, ' ');
    bst_buf_addv(out, target);
    bst_buf_addv(out, BST_VIEW(" HTTP/1.1\r\nHost: "));
    bst_buf_addv(out, host);
    bst_buf_addv(out, BST_VIEW("\r\n"));
    if (body.len || method == BST_HTTP_POST || method == BST_HTTP_PUT || method == BST_HTTP_PATCH) {
        add_length(out, body.len);
    }
    if (!keep_alive) {
        bst_buf_addv(out, BST_VIEW("Connection: close\r\n"));
    }
    add_headers(out, headers, n);
    bst_buf_addv(out, BST_VIEW("\r\n"));
    bst_buf_addv(out, body);
    return written(out, start);
}
