/* bastide config: check, show, reference. */
#include "cli/common.h"

static const struct cli_option set_options[] = {
    {"--set", "NAME=VALUE", "Set one option, as on the command line of serve.", true},
    {0},
};
static const struct cli_option show_options[] = {
    {"--origin", NULL, "Say where each value comes from.", false},
    {"--set", "NAME=VALUE", "Set one option, as on the command line of serve.", true},
    {0},
};

static int check(struct cli_call *call)
{
    bst_auto(config) config = {0};
    struct cli_sets sets;
    cli_state_options(call, NULL, 0, &sets);
    if (call->n_args > 1) {
        return cli_usage(call, "only one file at a time");
    }
    if (call->n_args == 1) {
        sets.options.config_file = call->args[0];
    }
    bst_result r = bst_state_config(&sets.options, &config);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the configuration is not right");
    }
    const char *file = config.file ? config.file : "";
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_adds(&out, "{\"ok\":true,\"file\":");
        bst_buf_add_json(&out, bst_view(file));
        bst_buf_adds(&out, "}");
        cli_print(call, &out);
    } else {
        fprintf(call->out, "%s: right\n", file[0] ? file : "defaults (there is no file)");
    }
    return CLI_OK;
}

static int show(struct cli_call *call)
{
    bst_auto(config) config = {0};
    bst_auto(buf) out = {0};
    struct cli_sets sets;
    cli_state_options(call, NULL, 0, &sets);
    bst_result r = bst_state_config(&sets.options, &config);
    if (!bst_failed(r)) {
        r = call->json ? bst_config_show_json(&config, &out)
                       : bst_config_show(&config, cli_has(call, "--origin"), &out);
    }
    if (bst_failed(r)) {
        return cli_fail(call, r, "the configuration is not right");
    }
    cli_print(call, &out);
    return CLI_OK;
}

static int reference(struct cli_call *call)
{
    bst_auto(buf) out = {0};
    bst_result r = bst_config_reference(&out);
    if (bst_failed(r)) {
        return cli_fail(call, r, "nothing was printed");
    }
    fwrite(out.ptr, 1, out.len, call->out);
    return CLI_OK;
}

static const struct cli_command words[] = {
    {
        .name = "check",
        .args = "[FILE]",
        .summary = "Check a configuration, without starting anything",
        .options = set_options,
        .example = "bastide config check /etc/bastide/bastide.yaml",
        .run = check,
    },
    {
        .name = "show",
        .args = "",
        .summary = "Show the values that hold",
        .options = show_options,
        .example = "bastide config show --origin --state /var/lib/bastide",
        .run = show,
    },
    {
        .name = "reference",
        .args = "",
        .summary = "Print the description of every option, in Markdown",
        .example = "bastide config reference > configuration.md",
        .run = reference,
    },
    {0},
};

const struct cli_command cmd_config = {
    .name = "config",
    .args = "",
    .summary = "Check, show and explain the configuration",
    .words = words,
};
