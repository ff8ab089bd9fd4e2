/* What several commands need. */
#include "cli/common.h"

#include "app/se_uri.h"
#include "sys/clock.h"

void cli_state_options(const struct cli_call *call, const char *const *more, size_t n_more,
                       struct cli_sets *ret)
{
    size_t n = 0;
    const char *set;
    for (size_t i = 0; (set = cli_value_at(call, "--set", i)) && n < CLI_SETS_MAX - n_more; i++) {
        ret->sets[n++] = set;
    }
    for (size_t i = 0; i < n_more; i++) {
        ret->sets[n++] = more[i];
    }
    ret->options = (struct bst_state_options){
        .folder = call->state, .config_file = call->config, .sets = ret->sets, .n_sets = n};
}

static int64_t se_wall(void *ctx)
{
    return bst_wall_us();
}

void cli_se_host(struct bst_se_host *ret)
{
    bst_se_host_file(ret, se_wall);
}

bst_result cli_se_open(const char *uri, const char *pin_file, struct bst_se **ret)
{
    struct bst_se_host host;
    bst_auto(buf) settled = {0};
    cli_se_host(&host);
    BST_TRY(bst_se_uri_settle(uri, pin_file, false, &settled));
    return bst_se_open(&host, settled.ptr, ret);
}

void cli_print(const struct cli_call *call, const struct bst_buf *json)
{
    fwrite(json->ptr, 1, json->len, call->out);
    if (json->len == 0 || json->ptr[json->len - 1] != '\n') {
        fputc('\n', call->out);
    }
}

void cli_arg(struct bst_buf *args, const char *name, const char *value)
{
    if (value) {
        bst_buf_addf(args, "%s\"%s\":", args->len ? "," : "", name);
        bst_buf_add_json(args, bst_view(value));
    }
}

const char *cli_text(const yyjson_val *object, const char *name)
{
    const char *text = yyjson_get_str(bst_json_get(object, name));
    return text ? text : "";
}

bst_result cli_admin(const struct cli_call *call, const char *op, const struct bst_buf *args,
                     struct bst_arena *arena, struct bst_buf *ret_text, yyjson_val **ret)
{
    struct cli_sets sets;
    bst_auto(buf) object = {0};
    cli_state_options(call, NULL, 0, &sets);
    bst_buf_addc(&object, '{');
    bst_buf_addv(&object, bst_buf_view(args));
    bst_buf_addc(&object, '}');
    BST_TRY(bst_buf_check(&object));
    bst_result r = bst_admin_call(&sets.options, op, bst_buf_view(&object), ret_text);
    bst_buf_wipe(&object);
    BST_TRY(r);
    return bst_json_parse(arena, bst_buf_view(ret_text), 8, ret);
}

int cli_admin_print(struct cli_call *call, const char *op, struct bst_buf *args,
                    void (*plain)(struct cli_call *call, yyjson_val *answer))
{
    bst_auto(arena) arena = {0};
    bst_auto(buf) text = {0};
    yyjson_val *answer;
    bst_result r = cli_admin(call, op, args, &arena, &text, &answer);
    bst_buf_wipe(args);
    if (bst_failed(r)) {
        return cli_fail(call, r, "not done");
    }
    if (call->json) {
        cli_print(call, &text);
    } else {
        plain(call, answer);
    }
    return CLI_OK;
}
