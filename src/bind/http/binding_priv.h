/* Shared by the halves of the HTTP binding. */
#pragma once

#include "bind/http/http_binding.h"

/** Parts of a media type header: "application/json;ty=3". */
struct bst_http_media {
    enum bst_m2m_format format;
    int ty; /* 0 absent */
};
/** @error BST_E_MEDIA_TYPE, BST_E_VALUE for a broken ty */
bst_result bst_http_media_parse(struct bst_view value, struct bst_http_media *ret);
/** What an Accept header allows; BST_E_NOT_ACCEPTABLE when nothing of it can be produced. */
bst_result bst_http_accept_parse(struct bst_view value, enum bst_m2m_format *ret);

/** Percent-decoded text in the arena, or the view itself when there is nothing to decode. */
bst_result bst_http_decode(struct bst_view text, struct bst_arena *arena, struct bst_view *ret);
/** Read the query of a request target into the request. */
bst_result bst_http_query_read(struct bst_view query, struct bst_arena *arena, int64_t now_us,
                               struct bst_m2m_request *req);
/** Append "?name=value&..." of a request; nothing when there is none. */
void bst_http_query_write(const struct bst_m2m_request *req, struct bst_buf *buf);
/** Append to a list of texts in the arena. */
bst_result bst_http_list_add(struct bst_arena *arena, struct bst_m2m_views *list,
                             struct bst_view v);
/** Split at `sep`, trim blanks, append each part that is not empty. */
bst_result bst_http_list_split(struct bst_arena *arena, struct bst_view text, char sep,
                               struct bst_m2m_views *list);

/** Header lines being collected; room is the caller's. Empty values are left out. */
struct bst_http_headers {
    struct bst_arena *arena;
    struct bst_http_header *v;
    size_t n, cap;
};
bst_result bst_http_headers_init(struct bst_http_headers *h, size_t cap, struct bst_arena *arena);
/** BST_E_VALUE for a value with control characters: it would start another header. */
bst_result bst_http_headers_add(struct bst_http_headers *h, const char *name,
                                struct bst_view value);
bst_result bst_http_headers_number(struct bst_http_headers *h, const char *name, int64_t value);
bst_result bst_http_headers_list(struct bst_http_headers *h, const char *name,
                                 const struct bst_m2m_views *list, char sep);
/** No control characters but the tab. */
bool bst_http_is_value(struct bst_view v);
