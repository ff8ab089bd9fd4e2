/* What several commands need. */
#pragma once

#include "app/server.h"
#include "cli/cli.h"

#define CLI_SETS_MAX 64

/** Options for opening a state, with --set of the command line and more of the caller. */
struct cli_sets {
    struct bst_state_options options;
    const char *sets[CLI_SETS_MAX];
};
void cli_state_options(const struct cli_call *call, const char *const *more, size_t n_more,
                       struct cli_sets *ret);
/** Print text that is JSON already: as it is with --json, else by `plain`. */
void cli_print(const struct cli_call *call, const struct bst_buf *json);
