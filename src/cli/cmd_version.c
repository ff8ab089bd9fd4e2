/* bastide version: what this binary is, and what it can print about itself. */
#include "cli/cli.h"

static const struct cli_option given_options[] = {
    {"--man", NULL, "Print the man page (mdoc).", false},
    {"--completion", NULL, "Print completion for bash.", false},
    {0},
};

static int print_made(struct cli_call *call, bst_result (*make)(struct bst_buf *ret))
{
    bst_auto(buf) out = {0};
    bst_result r = make(&out);
    if (bst_failed(r)) {
        return cli_fail(call, r, "nothing was printed");
    }
    fwrite(out.ptr, 1, out.len, call->out);
    return CLI_OK;
}

static int run(struct cli_call *call)
{
    if (cli_has(call, "--man")) {
        return print_made(call, cli_man_page);
    }
    if (cli_has(call, "--completion")) {
        return print_made(call, cli_completion);
    }
    fprintf(call->out,
            call->json ? "{\"version\":\"%s\",\"releases\":[\"2a\",\"3\",\"4\"]}\n"
                       : "bastide %s (oneM2M releases 2a, 3, 4)\n",
            BST_VERSION);
    return CLI_OK;
}

const struct cli_command cmd_version = {
    .name = "version",
    .args = "",
    .summary = "Show the version, the man page or shell completion",
    .options = given_options,
    .example = "bastide version\nbastide version --completion > /etc/bash_completion.d/bastide",
    .run = run,
};
