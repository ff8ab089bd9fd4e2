/* The state of the HTTP/1.1 parser, between its callbacks and its calls. */
#pragma once

#include "proto/http1/http1.h"

#include <llhttp.h>

/** Header slots that an idle connection keeps. */
#define BST_HTTP1_KEPT_PAIRS 16

struct bst_http1_span {
    size_t at, len;
};

struct bst_http1_pair {
    struct bst_http1_span name, value;
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
    struct bst_http1_span target, body;
    struct bst_http1_pair *pairs; /* grows to the limit; kept between messages only when small */
    size_t n_pairs, cap_pairs;
    bool value_open;
    size_t trailer_bytes, extension_bytes, hosts, blank_bytes;

    struct bst_http_header *headers; /* of the finished message */
    size_t cap_headers;
    struct bst_http_msg msg;

    int error_status;
    const char *error_text;
};

/** Remember why the message is refused; returns what a callback gives llhttp. */
int bst_http1_refuse(struct bst_http1_parser *p, int status, const char *text);
/** The byte of the message at `offset`. */
const char *bst_http1_bytes_at(const struct bst_http1_parser *p, size_t offset);
struct bst_view bst_http1_view_of(const struct bst_http1_parser *p, struct bst_http1_span span);
/** Where the last field of the head ends. */
size_t bst_http1_head_end(const struct bst_http1_parser *p);
extern const llhttp_settings_t bst_http1_settings;
