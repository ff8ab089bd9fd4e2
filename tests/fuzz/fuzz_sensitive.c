/* Any bytes as a JSON request primitive: sensitive data of a secure environment's resources has
 * left it before anything else looks at it, decoded or refused, and everything else is as it was.
 */
#include "cse/type_se.h"

#define NOW INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static yyjson_val *content_of(const struct bst_m2m_request *req, yyjson_val **ret_root)
{
    yyjson_obj_iter iter;
    if (!req->pc || !yyjson_obj_iter_init(req->pc, &iter)) {
        return NULL;
    }
    *ret_root = yyjson_obj_iter_next(&iter);
    return *ret_root ? yyjson_obj_iter_get_val(*ret_root) : NULL;
}

static bool concerns(const struct bst_m2m_request *req, const yyjson_val *root)
{
    const struct bst_m2m_type *type = bst_m2m_type_by_root(bst_json_view(root));
    return type && (type->flags & BST_TYPE_SECURE) &&
           (req->op == BST_OP_CREATE || req->op == BST_OP_UPDATE);
}

static void check(struct bst_cse_op *op, yyjson_val *msg, size_t members)
{
    yyjson_val *root, *content = content_of(op->req, &root);
    struct bst_view taken;
    bool scalar = msg && !yyjson_is_ctn(msg) && !yyjson_is_null(msg);
    if (yyjson_obj_size(content) != members || bst_secure_has_input(op) != (msg != NULL) ||
        (scalar && !yyjson_equals_str(msg, "AAAA"))) {
        __builtin_trap();
    }
    bst_result r = bst_secure_input(op, BST_SECURE_INPUT_MAX, &taken);
    if (!bst_failed(r) && taken.len > BST_SECURE_INPUT_MAX) {
        __builtin_trap();
    }
}

static void divert(struct bst_arena *arena, struct bst_m2m_request *req)
{
    struct bst_cse_op op = {.req = req, .arena = arena};
    yyjson_val *root = NULL, *content = content_of(req, &root);
    bool concerned = root && concerns(req, root);
    yyjson_val *msg = concerned ? bst_json_get(content, "msg") : NULL;
    size_t members = yyjson_obj_size(content);
    bst_secure_divert(&op);
    check(&op, msg, members);
    bst_secure_clear(&op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_arena arena;
    struct bst_m2m_request req;
    yyjson_val *root;
    bst_arena_init(&arena, 1 << 24);
    if (!bst_failed(bst_json_parse(&arena, bst_view_of(data, size), BST_JSON_DEPTH, &root)) &&
        !bst_failed(bst_m2m_request_from_json(&arena, root, NOW, &req))) {
        divert(&arena, &req);
    }
    bst_arena_clear(&arena);
    return 0;
}
