/* What several commands need. */
#include "cli/common.h"

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

void cli_print(const struct cli_call *call, const struct bst_buf *json)
{
    fwrite(json->ptr, 1, json->len, call->out);
    if (json->len == 0 || json->ptr[json->len - 1] != '\n') {
        fputc('\n', call->out);
    }
}
