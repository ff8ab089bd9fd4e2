/* bastide init: make a state folder. */
#include "cli/common.h"

static const struct cli_option given_options[] = {
    {"--domain", "DOMAIN", "Domain of the M2M service provider (default acme.example.com).", false},
    {"--set", "NAME=VALUE", "Set an option; it goes into the configuration file that is made.",
     true},
    {0},
};

struct steps {
    const struct cli_call *call;
    struct bst_buf json;
};

static void step(void *ctx, const char *what, const char *where)
{
    struct steps *s = ctx;
    if (s->call->json) {
        bst_buf_addf(&s->json, "%s", s->json.len ? "," : "");
        bst_buf_add_json(&s->json, bst_view(what));
        bst_buf_addc(&s->json, ':');
        bst_buf_add_json(&s->json, bst_view(where));
    } else {
        fprintf(s->call->out, "%-40s %s\n", what, where);
    }
}

static int run(struct cli_call *call)
{
    struct cli_sets sets;
    char domain[300];
    const char *more[1] = {domain};
    const char *given = cli_value(call, "--domain");
    snprintf(domain, sizeof domain, "sp-domain=%s", given ? given : "");
    cli_state_options(call, more, given ? 1 : 0, &sets);
    struct steps s = {.call = call};
    struct bst_init_report report = {step, &s};
    bst_result r = bst_state_init(&sets.options, &report);
    if (bst_failed(r)) {
        bst_buf_clear(&s.json);
        return cli_fail(call, r, "the state folder was not made");
    }
    if (call->json) {
        fprintf(call->out, "{%.*s}\n", BST_VIEW_ARGS(bst_buf_view(&s.json)));
    } else {
        fprintf(call->out, "\nNext: bastide serve --state %s\n", call->state);
    }
    bst_buf_clear(&s.json);
    return CLI_OK;
}

const struct cli_command cmd_init = {
    .name = "init",
    .args = "",
    .summary = "Make a state folder: keys, project CA, certificates, administrator, configuration",
    .text =
        "The folder gets a software secure environment, the key of the project CA (P-256) in it, "
        "certificates for the CSE and the MEF, a profile for the administrator in DIR/admin, and "
        "a configuration file. Nothing is overwritten.",
    .options = given_options,
    .example = "bastide init --state /var/lib/bastide --domain example.com",
    .run = run,
};
