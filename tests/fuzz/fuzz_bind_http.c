/* Any bytes through the HTTP parser and the binding, as a server sees them: what is accepted is
 * sent on as a client would and read again; what is refused is answered. */
#include "bind/http/http_binding.h"

#define NOW INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_on(const struct bst_m2m_request *req, struct bst_arena *arena)
{
    struct bst_http_msg wire;
    struct bst_m2m_request second;
    if (!bst_failed(bst_http_from_request(req, arena, &wire)) &&
        !bst_failed(bst_http_to_request(&wire, NOW, arena, &second)) && second.op != req->op) {
        __builtin_trap();
    }
}

static void answer(const struct bst_m2m_response *rsp, struct bst_arena *arena)
{
    struct bst_http_msg out;
    struct bst_m2m_response back;
    struct bst_buf buf = {0};
    if (!bst_failed(bst_http_from_response(rsp, BST_FORMAT_JSON, arena, &out))) {
        struct bst_http1_response r = {.status = out.status,
                                       .headers = out.headers,
                                       .n_headers = out.n_headers,
                                       .body = out.body,
                                       .keep_alive = true};
        if (bst_failed(bst_http1_write_response(&buf, &r))) {
            __builtin_trap();
        }
        (void)bst_http_to_response(&out, arena, &back).code;
    }
    bst_buf_clear(&buf);
}

static void take(const struct bst_http_msg *msg)
{
    struct bst_arena arena;
    struct bst_m2m_request req;
    struct bst_m2m_response rsp = {.rsc = BST_RSC_OK};
    bst_arena_init(&arena, 1 << 24);
    bst_result result = bst_http_to_request(msg, NOW, &arena, &req);
    if (bst_failed(result)) {
        bst_http_reject(msg, result, &arena, &rsp);
    } else {
        rsp.rqi = req.rqi;
        send_on(&req, &arena);
    }
    answer(&rsp, &arena);
    bst_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_http1_limits limits = BST_HTTP1_LIMITS_DEFAULT;
    struct bst_http1_parser *parser = NULL;
    struct bst_view rest = bst_view_of(data, size);
    if (bst_failed(bst_http1_parser_new(false, &limits, &parser))) {
        return 0;
    }
    for (bool more = true; more && rest.len;) {
        size_t used = 0;
        more = bst_http1_feed(parser, rest, &used) == BST_HTTP1_MESSAGE;
        if (more) {
            take(bst_http1_message(parser));
        }
        rest = bst_view_from(rest, used);
    }
    bst_http1_parser_free(&parser);
    return 0;
}
