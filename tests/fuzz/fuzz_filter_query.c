/* Any bytes as the query of a request target, and as a labels query; an accepted filter is matched
 * and written back. */
#include "bind/http/http_binding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void labels(struct bst_view text, struct bst_arena *arena)
{
    const struct bst_m2m_lbq *query;
    yyjson_val *list;
    if (!bst_failed(bst_m2m_lbq_parse(arena, text, &query)) &&
        !bst_failed(bst_json_parse(arena, BST_VIEW("[\"a\",\"color:red\",7]"), 4, &list))) {
        (void)bst_m2m_lbq_match(query, list);
    }
}

static void match(const struct bst_m2m_filter *f, struct bst_arena *arena)
{
    struct bst_m2m_subject s = {.ty = 3, .ct_us = 5, .lt_us = 6, .st = 1, .size = -1};
    struct bst_buf buf = {0};
    bool yes;
    if (!bst_failed(bst_json_parse(
            arena, BST_VIEW("{\"rn\":\"a\",\"lbl\":[\"a\"],\"mni\":5,\"x\":1.5,\"rr\":true}"), 4,
            &s.body))) {
        (void)bst_m2m_filter_match(f, &s, &yes).code;
    }
    bst_m2m_filter_to_query(f, &buf);
    bst_buf_clear(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bst_http_header headers[] = {{BST_VIEW("X-M2M-Origin"), BST_VIEW("C1")},
                                              {BST_VIEW("X-M2M-RI"), BST_VIEW("1")}};
    struct bst_arena arena;
    struct bst_m2m_request req;
    bst_arena_init(&arena, 1 << 22);
    struct bst_view text = bst_view_of(data, size);
    struct bst_view target = bst_arena_printf(&arena, "/x?%.*s", BST_VIEW_ARGS(text));
    struct bst_http_msg msg = {
        .method = BST_HTTP_GET, .target = target, .headers = headers, .n_headers = 2};
    if (target.ptr && !bst_failed(bst_http_to_request(&msg, 1, &arena, &req))) {
        match(&req.fc, &arena);
    }
    labels(text, &arena);
    bst_arena_clear(&arena);
    return 0;
}
