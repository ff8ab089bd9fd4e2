/* HTTP/1.1 messages (RFC 9112) without I/O: an incremental strict parser and a writer. */
#pragma once

#include "base/text.h"

enum bst_http_method {
    BST_HTTP_GET = 1,
    BST_HTTP_HEAD,
    BST_HTTP_POST,
    BST_HTTP_PUT,
    BST_HTTP_DELETE,
    BST_HTTP_OPTIONS,
    BST_HTTP_PATCH,
    BST_HTTP_OTHER, /* known to HTTP, not to us */
};
const char *bst_http_method_name(int method);

struct bst_http_header {
    struct bst_view name, value;
};

/** One message. Requests have `method` and `target`, responses `status`. */
struct bst_http_msg {
    int method;
    int status;
    struct bst_view target;
    const struct bst_http_header *headers;
    size_t n_headers;
    struct bst_view body;
    bool keep_alive;
    int minor; /* HTTP/1.<minor> */
};

/** First header of that name in any case; {NULL, 0} when there is none. */
struct bst_view bst_http_header_get(const struct bst_http_msg *msg, const char *name);
size_t bst_http_header_count(const struct bst_http_msg *msg, const char *name);

struct bst_http1_limits {
    size_t line_bytes; /* request target, or status text */
    size_t head_bytes; /* from the first octet to the empty line, trailers included */
    size_t headers;    /* their number */
    size_t body_bytes;
};
#define BST_HTTP1_LIMITS_DEFAULT                                                                   \
    ((struct bst_http1_limits){                                                                    \
        .line_bytes = 8192, .head_bytes = 16384, .headers = 64, .body_bytes = 1 << 20})

enum bst_http1_event {
    BST_HTTP1_MORE,    /* the message goes on in bytes that have not come yet */
    BST_HTTP1_MESSAGE, /* a whole message is there */
    BST_HTTP1_ERROR,   /* refused; answer `status` if it is a request, and close */
};

struct bst_http1_parser;
/** Parser of one connection. `limits` is borrowed for its life. */
bst_result bst_http1_parser_new(bool responses, const struct bst_http1_limits *limits,
                                struct bst_http1_parser **ret);
void bst_http1_parser_free(struct bst_http1_parser **parser);

/** Take bytes until a message is complete or they are used up.
 *
 * The message is looked at with bst_http1_message() or bst_http1_keep() before the next call and
 * before the bytes go away: a message that came in one piece is not copied.
 * @param ret_used   how many bytes were taken; the rest belongs to the next message
 */
enum bst_http1_event bst_http1_feed(struct bst_http1_parser *parser, struct bst_view data,
                                    size_t *ret_used);
/** The peer ended its side: completes a response that ends with the connection. */
enum bst_http1_event bst_http1_finish(struct bst_http1_parser *parser);
/** Views into the fed bytes or the parser's own memory. */
const struct bst_http_msg *bst_http1_message(const struct bst_http1_parser *parser);
/** The same message with all bytes and headers in `arena`. */
bst_result bst_http1_keep(const struct bst_http1_parser *parser, struct bst_arena *arena,
                          struct bst_http_msg *ret);
/** True when some bytes of an unfinished message are there. */
bool bst_http1_started(const struct bst_http1_parser *parser);
/** True while the head is not complete. */
bool bst_http1_in_head(const struct bst_http1_parser *parser);
/** True once for a request that waits for "100 Continue" before it sends its body. */
bool bst_http1_wants_continue(struct bst_http1_parser *parser);
/** The next response answers a HEAD request and so has no body. */
void bst_http1_expect_no_body(struct bst_http1_parser *parser);
/** After BST_HTTP1_ERROR: the status to answer (400, 413, 414, 417, 431, 501, 505, 500). */
int bst_http1_error_status(const struct bst_http1_parser *parser);
/** After BST_HTTP1_ERROR: why, in words, never with bytes of the peer. */
const char *bst_http1_error_text(const struct bst_http1_parser *parser);

struct bst_http1_response {
    int status;
    const struct bst_http_header *headers;
    size_t n_headers;
    struct bst_view body;
    struct bst_view date; /* value of the Date header; empty: none */
    bool keep_alive;
    bool body_omitted; /* the answer to a HEAD request: length, but no bytes */
};
/** Append a whole response. Content-Length and Connection are written here, `headers` has the rest.
 *
 * Nothing is appended on failure: BST_E_VALUE for a name or value that would break the message (CR,
 * LF, NUL and other controls), so that echoed text can not smuggle headers.
 */
bst_result bst_http1_write_response(struct bst_buf *out, const struct bst_http1_response *response);
/** Append a whole request; `host` becomes the Host header. */
bst_result bst_http1_write_request(struct bst_buf *out, int method, struct bst_view target,
                                   struct bst_view host, const struct bst_http_header *headers,
                                   size_t n, struct bst_view body, bool keep_alive);
