/* Any bytes as a JSON request primitive; what is accepted must survive being written and read
 * again. */
#include "onem2m/r1.h"

#define NOW INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void validate(const struct bst_m2m_request *req)
{
    const struct bst_m2m_type *type;
    yyjson_val *members;
    if (!bst_failed(bst_m2m_request_resource(req, &type, &members))) {
        (void)bst_m2m_validate(type, req->op, members).code;
        (void)bst_m2m_r1_validate(type, req->op, members).code;
    }
}

static void again(const struct bst_m2m_request *req, struct bst_arena *arena)
{
    struct bst_buf buf = {0};
    struct bst_m2m_request second;
    yyjson_val *root;
    if (bst_failed(bst_m2m_request_to_json(req, &buf)) ||
        bst_failed(bst_json_parse(arena, bst_buf_view(&buf), BST_JSON_DEPTH + 4, &root)) ||
        bst_failed(bst_m2m_request_from_json(arena, root, NOW, &second)) || second.op != req->op) {
        __builtin_trap();
    }
    bst_buf_clear(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_arena arena;
    struct bst_m2m_request req;
    struct bst_m2m_response rsp;
    yyjson_val *root;
    bst_arena_init(&arena, 1 << 24);
    if (!bst_failed(bst_json_parse(&arena, bst_view_of(data, size), BST_JSON_DEPTH, &root))) {
        if (!bst_failed(bst_m2m_request_from_json(&arena, root, NOW, &req))) {
            validate(&req);
            again(&req, &arena);
        }
        (void)bst_m2m_response_from_json(&arena, root, &rsp).code;
    }
    bst_arena_clear(&arena);
    return 0;
}
