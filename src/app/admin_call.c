/* The other end of the admin socket: ask the running server, or do it here when none runs. */
#include "app/server_priv.h"

#include "codec/json.h"

#include <stdio.h>

static enum bst_error error_of(struct bst_view name)
{
    for (unsigned i = 0; i < BST_E_COUNT; i++) {
        if (bst_view_is(name, bst_error_name((enum bst_error)i))) {
            return (enum bst_error)i;
        }
    }
    return BST_E_INTERNAL;
}

static bst_result take_answer(struct bst_arena *arena, const struct bst_http_msg *answer,
                              struct bst_buf *ret)
{
    if (answer->status == 200) {
        bst_buf_addv(ret, answer->body);
        return bst_buf_check(ret);
    }
    yyjson_val *root;
    struct bst_view error = {0}, detail = {0};
    BST_TRY(bst_json_parse(arena, answer->body, 4, &root));
    BST_TRY(bst_json_string(root, "error", &error));
    BST_TRY(bst_json_string(root, "detail", &detail));
    BST_FAIL(error_of(error), "%.*s", BST_VIEW_ARGS(detail));
}

static bst_result ask(struct bst_loop *loop, const char *address, const char *op,
                      struct bst_view args, struct bst_buf *ret)
{
    struct bst_http_client *client;
    struct bst_http_msg answer = {0};
    struct bst_arena arena;
    char path[64];
    int len = snprintf(path, sizeof path, "/%s", op);
    struct bst_http_header header = {BST_VIEW("Content-Type"), BST_VIEW("application/json")};
    struct bst_http_call_spec spec = {
        .target = {.address = address, .host = "admin"},
        .method = BST_HTTP_POST,
        .path = bst_view_of(path, (size_t)len),
        .headers = &header,
        .n_headers = 1,
        .body = args,
        .timeout_ms = 600000,
        .once = true,
    };
    BST_TRY(
        bst_http_client_new(loop,
                            &(struct bst_http_client_config){.message = {.line_bytes = 8192,
                                                                         .head_bytes = 16384,
                                                                         .headers = 64,
                                                                         .body_bytes = 64 << 20}},
                            &client));
    bst_arena_init(&arena, 0);
    bst_result r = bst_http_client_call_blocking(client, &spec, &arena, &answer);
    if (!bst_failed(r)) {
        r = take_answer(&arena, &answer, ret);
    }
    bst_http_client_free(&client);
    bst_arena_clear(&arena);
    return r;
}

static bst_result ask_running(const struct bst_state_options *options, const char *op,
                              struct bst_view args, struct bst_buf *ret)
{
    bst_auto(config) config = {0};
    struct bst_loop *loop;
    char path[BST_PATH_MAX], address[BST_PATH_MAX + 8];
    BST_TRY(bst_state_config(options, &config));
    BST_TRY(bst_state_path(options->folder, config.admin.socket, path));
    snprintf(address, sizeof address, "unix:%s", path);
    BST_TRY(bst_loop_new(&loop));
    bst_result r = ask(loop, address, op, args, ret);
    bst_loop_free(&loop);
    return r;
}

bst_result bst_admin_call(const struct bst_state_options *options, const char *op,
                          struct bst_view args, struct bst_buf *ret)
{
    struct bst_state *state = NULL;
    struct bst_server *server = NULL;
    bst_result r = bst_state_open(options, &state);
    if (r.code == BST_E_LOCKED) {
        return ask_running(options, op, args, ret);
    }
    BST_TRY(r);
    struct bst_server_options server_options = {.state = state};
    r = bst_server_new(&server_options, &server);
    if (!bst_failed(r)) {
        r = bst_admin_run(server, bst_view(op), args, ret);
    }
    bst_server_free(&server);
    bst_state_close(&state);
    return r;
}
