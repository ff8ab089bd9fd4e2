/* bastide serve: the daemon. */
#include "cli/cli.h"

#include "app/logging.h"
#include "app/server.h"
#include "cli/common.h"
#include "obs/log.h"
#include "sys/service.h"

static const struct cli_option given_options[] = {
    {"--lab", "PORT",
     "Laboratory: plain HTTP on 127.0.0.1:PORT only (0: any port), originators taken as written. "
     "The "
     "state folder is made when it is empty.",
     false},
    {"--set", "NAME=VALUE", "Set one option of the configuration.", true},
    {0},
};

static void ready(void *ctx, const struct bst_server_ports *ports)
{
    const struct cli_call *call = ctx;
    if (call->json) {
        fprintf(call->out,
                "{\"ready\":true,\"cse\":\"%s\",\"mef\":\"%s\",\"lab\":\"%s\",\"metrics\":\"%s\","
                "\"admin\":\"%s\"}\n",
                ports->cse, ports->mef, ports->lab, ports->metrics, ports->admin);
    } else if (ports->lab[0]) {
        fprintf(call->out,
                "LABORATORY MODE: originators are taken as written, nothing is proved.\n"
                "CSE      %s\nmetrics  %s\nready\n",
                ports->lab, ports->metrics);
    } else {
        fprintf(call->out, "CSE      %s\nMEF      %s\nmetrics  %s\nadmin    %s\nready\n",
                ports->cse, ports->mef[0] ? ports->mef : "none", ports->metrics, ports->admin);
    }
    fflush(call->out);
}

/* The fixed facts of a laboratory, whatever a configuration says. */
static const char *const lab_sets[] = {
    "sp-domain=acme.example.com", "cse.id=/id-in",     "cse.name=cse-in",
    "cse.admin=CAdmin",           "mef.enabled=false", "metrics.listen=127.0.0.1:0"};

static bst_result lab_state(const struct bst_state_options *options)
{
    return bst_state_exists(options->folder) ? BST_OK : bst_state_init(options, NULL);
}

static bst_result serve(const struct cli_call *call, const struct bst_server_options *options)
{
    struct bst_server *server = NULL;
    BST_TRY(bst_logging_start(&options->state->config, call->verbose));
    bst_result hard = bst_service_harden();
    if (bst_failed(hard)) {
        bst_log(BST_LOG_WARN, "server.not_hardened", "%s", bst_error_detail());
    }
    BST_TRY(bst_server_new(options, &server));
    bst_result r = bst_server_run(server, ready, (void *)(uintptr_t)call);
    bst_server_free(&server);
    return r;
}

static int run(struct cli_call *call)
{
    struct cli_sets sets;
    int64_t port;
    bst_result r = cli_number(call, "--lab", 0, 0, 65535, &port);
    if (bst_failed(r)) {
        return cli_usage(call, "%s", bst_error_detail());
    }
    bool lab = cli_has(call, "--lab");
    cli_state_options(call, lab ? lab_sets : NULL, lab ? sizeof lab_sets / sizeof lab_sets[0] : 0,
                      &sets);
    if (lab) {
        r = lab_state(&sets.options);
        if (bst_failed(r)) {
            return cli_fail(call, r, "the state folder could not be made");
        }
    }
    struct bst_state *state = NULL;
    r = bst_state_open(&sets.options, &state);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the state folder could not be opened");
    }
    struct bst_server_options options = {.state = state,
                                         .configuration = &sets.options,
                                         .verbose = call->verbose,
                                         .lab = lab,
                                         .lab_port = (unsigned)port};
    r = serve(call, &options);
    int code = bst_failed(r) ? cli_fail(call, r, "the server ended") : CLI_OK;
    bst_state_close(&state);
    return code;
}

const struct cli_command cmd_serve = {
    .name = "serve",
    .args = "",
    .summary = "Serve CSE and MEF until SIGTERM",
    .text =
        "Prints the addresses and the line 'ready' once it answers. SIGHUP reads certificates, CAs "
        "and revocation lists anew, and so does a change of their files. SIGTERM lets requests in "
        "work end, within five seconds.\n\n"
        "With --lab everything is fixed for test suites: CSE-ID /id-in, CSE name cse-in, "
        "administrator CAdmin, SP domain acme.example.com; a request without X-M2M-RVI is one of "
        "Release 1.",
    .options = given_options,
    .example = "bastide serve --state /var/lib/bastide\nbastide serve --state /tmp/lab --lab 8080",
    .run = run,
};
