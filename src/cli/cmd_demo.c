/* bastide demo: the main job on real input, in a temporary folder on free ports of the loopback.
 *
 * Every step is a command that a person could type, run in this process; only the server is a
 * process of its own, because it is killed in the end. */
#include "cli/client.h"
#include "cli/demo_keys.h"
#include "cli/demo_listener.h"

#include "crypto/rand.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"

#include <signal.h>
#include <unistd.h>

#define FIRST_BURST "500"

/* The first refusal after the one that was shown last, among records one a line. */
static bool next_denied(struct demo *d, struct bst_view lines, struct bst_arena *arena,
                        yyjson_val **ret)
{
    struct bst_view line;
    while (bst_view_cut(&lines, '\n', &line)) {
        int64_t number = 0;
        if (!bst_failed(bst_json_parse(arena, bst_view_trim(line), BST_JSON_DEPTH, ret)) &&
            bst_view_is(bst_json_view(bst_json_get(*ret, "decision")), "denied") &&
            !bst_failed(bst_json_i64(*ret, "n", &number)) && number > d->audited) {
            d->audited = number;
            return true;
        }
    }
    return false;
}

/* The reason that the peer is not told. It may be written after the peer has its answer. */
static void show_audit(struct demo *d)
{
    struct bst_arena arena;
    yyjson_val *record;
    int status;
    bool found = false;
    bst_arena_init(&arena, 0);
    for (int i = 0; i < 40 && !found; i++) {
        found = RUN("audit", "show", "--state", "@/sp", "--last", "8", "--json") == CLI_OK &&
                d->said && next_denied(d, bst_view(d->said), &arena, &record);
        if (!found && bst_process_wait(&d->server, 25, &status).code != BST_E_TIMEOUT) {
            break;
        }
    }
    if (found) {
        struct bst_view detail = bst_json_view(bst_json_get(record, "detail"));
        struct bst_view clause = bst_json_view(bst_json_get(record, "clause"));
        fprintf(d->call->out, "       audit: %.*s (%.*s)\n", BST_VIEW_ARGS(detail),
                BST_VIEW_ARGS(clause));
    }
    bst_arena_clear(&arena);
}

/* -- the server */

static bool start_server(struct demo *d)
{
    char state[300], log[300];
    snprintf(state, sizeof state, "%s/sp", d->dir);
    snprintf(log, sizeof log, "%s/server.log", d->dir);
    const char *const argv[] = {d->self, "serve", "--state", state, NULL};
    if (bst_failed(bst_process_start(d->self, argv, log, &d->server))) {
        return false;
    }
    for (int i = 0; i < 200; i++) {
        int status;
        if (RUN("request", "retrieve", "--profile", "@/sp/admin", "cse-in") == CLI_OK) {
            return true;
        }
        /* Not ready yet: wait a little, or learn that it has ended. */
        if (bst_process_wait(&d->server, 50, &status).code != BST_E_TIMEOUT) {
            return false;
        }
    }
    return false;
}

static bool port_setting(char out[64], const char *name)
{
    unsigned port;
    bool good = !bst_failed(bst_free_port(&port));
    snprintf(out, 64, "%s=127.0.0.1:%u", name, good ? port : 0);
    return good;
}

static bool set_up(struct demo *d)
{
    char cse[64], mef[64], metrics[64];
    demo_part(d, "1. A service provider: CSE, MEF, project CA, administrator");
    bool ports = port_setting(cse, "cse.listen") && port_setting(mef, "mef.listen") &&
                 port_setting(metrics, "metrics.listen");
    bool good = ports && RUN("init", "--state", "@/sp", "--set", cse, "--set", mef, "--set",
                             metrics) == CLI_OK;
    if (!demo_check(d, good, "TS-0003 8.1.2, 8.3", "bastide init")) {
        return false;
    }
    fprintf(d->call->out, "%s", d->said);
    demo_part(d, "2. One process serves both over HTTPS");
    return demo_check(d, start_server(d), "TS-0003 10.2", "bastide serve, %s, %s", cse, mef);
}

/* -- devices */

static void enrol_devices(struct demo *d)
{
    demo_part(d, "3. Enrolment: from a pre-provisioned key, and with a certificate");
    demo_check(d,
               RUN("mef", "provision", "thermo", "--state", "@/sp", "--out", "@/thermo") == CLI_OK,
               "TS-0003 8.3.2.1", "thermo leaves the factory with KpmID and Kpm, no more");
    demo_check(d,
               RUN("mef", "provision", "pump", "--certificate", "--state", "@/sp", "--out",
                   "@/pump") == CLI_OK,
               "TS-0003 8.3.2.2, 10.1.1.5", "pump leaves it with an AE-ID certificate");
    demo_check(d, RUN("request", "retrieve", "--profile", "@/thermo", "cse-in") == CLI_DENIED,
               "TS-0003 8.2.2", "before enrolment thermo has no key for the CSE");
    demo_check(d, RUN("device", "enrol", "@/thermo") == CLI_OK, "TS-0003 8.3.5, 10.3.1",
               "thermo enrols: TLS-PSK with the MEF, key by RFC 5705 export, SUID 22");
    fprintf(d->call->out, "%s", d->said ? d->said : "");
    demo_check(d, RUN("device", "enrol", "@/pump", "--association", "certificate") == CLI_OK,
               "TS-0003 8.3.5.2.3", "pump enrols with its certificate");
}

static void register_devices(struct demo *d)
{
    demo_part(d, "4. Security associations with the CSE, and registration");
    demo_check(
        d, RUN("device", "register", "@/thermo", "--name", "thermo", "--label", "demo") == CLI_OK,
        "TS-0003 8.2.2.1", "thermo: key fetched from the MEF during the handshake");
    demo_check(d, RUN("device", "register", "@/pump", "--name", "pump") == CLI_OK,
               "TS-0003 8.2.2.2", "pump: AE-ID certificate");
    demo_check(
        d,
        RUN("request", "create", "--profile", "@/thermo", "cse-in/thermo", "acp", "rn=readers",
            "pv:={\"acr\":[{\"acor\":[\"Cthermo\"],\"acop\":63},{\"acor\":[\"Capp\"],\"acop\":34}"
            "]}",
            "pvs:={\"acr\":[{\"acor\":[\"Cthermo\"],\"acop\":63}]}") == CLI_OK,
        "TS-0003 7.1", "thermo lets Capp retrieve and discover, nobody else");
}

static void send_telemetry(struct demo *d)
{
    demo_part(d, "5. The machine's own telemetry, each answer durable");
    bool good = RUN("device", "send", "@/thermo", "--name", "thermo", "--acpi",
                    "cse-in/thermo/readers", "--count", FIRST_BURST) == CLI_OK;
    demo_check(d, good, "TS-0001 9.6.7", "%s contentInstances over one kept connection",
               FIRST_BURST);
    fprintf(d->call->out, "       %s", d->said ? d->said : "\n");
}

static bool start_listener(struct demo *d)
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/app", d->dir);
    return !bst_failed(demo_listener_start(folder, &d->listener));
}

static void use_application(struct demo *d)
{
    char since[64] = "cra=", until[64] = "crb=";
    bst_m2m_time_format(bst_wall_us() - 3600 * BST_US_PER_S, since + 4);
    demo_part(d, "6. An application that the policy allows");
    demo_check(d,
               RUN("mef", "provision", "app", "--certificate", "--state", "@/sp", "--out",
                   "@/app") == CLI_OK &&
                   RUN("device", "enrol", "@/app", "--association", "certificate") == CLI_OK,
               "TS-0003 8.3.2.2", "app has an AE-ID certificate");
    if (!demo_check(d, start_listener(d), "TS-0003 8.2.1 SA2",
                    "app listens for notifications over HTTPS")) {
        return;
    }
    demo_check(d,
               RUN("device", "register", "@/app", "--name", "app", "--poa",
                   demo_listener_url(d->listener)) == CLI_OK,
               "TS-0001 10.2.2.2", "app registers with its point of access");
    demo_check(d,
               RUN("request", "create", "--profile", "@/thermo", "cse-in/thermo/load", "sub",
                   "rn=watch", "nu:=[\"/id-in/Capp\"]", "enc:={\"net\":[3]}") == CLI_OK,
               "TS-0004 7.4.8", "a subscription to new load readings; app agreed when asked");
    demo_check(d, RUN("device", "send", "@/thermo", "--name", "thermo", "--count", "40") == CLI_OK,
               "", "40 more readings");
    bst_m2m_time_format(bst_wall_us() + BST_US_PER_S, until + 4);
    bst_result told = demo_listener_wait(d->listener, 8, 10000);
    demo_check(d, !bst_failed(told) && demo_listener_unproved(d->listener) == 0,
               "TS-0004 7.5.1.2.2", "app was notified over HTTPS, the CSE proved itself");
    demo_check(d,
               RUN("request", "retrieve", "--profile", "@/app", "cse-in/thermo/load/la") ==
                       CLI_OK &&
                   demo_said(d, "15m"),
               "TS-0004 7.4.27", "app retrieves the latest reading");
    demo_check(d,
               RUN("request", "discover", "--profile", "@/app", "cse-in", "--filter",
                   "lbl=kind:memory") == CLI_OK &&
                   demo_said(d, "cse-in/thermo/memory"),
               "TS-0004 7.3.3.14", "app discovers by label");
    demo_check(d,
               RUN("request", "discover", "--profile", "@/app", "cse-in/thermo/load", "--filter",
                   "ty=4", "--filter", since, "--filter", until) == CLI_OK &&
                   demo_said(d, "cse-in/thermo/load/"),
               "TS-0004 7.3.3.17", "app reads what lies in a time range");
}

/* -- what must fail */

static bst_result forge_key(struct demo *d)
{
    char thermo[300], forger[300];
    struct bst_profile profile;
    struct bst_se *se = NULL;
    bst_auto(secret) wrong = {0};
    bst_key key;
    snprintf(thermo, sizeof thermo, "%s/thermo", d->dir);
    snprintf(forger, sizeof forger, "%s/forger", d->dir);
    BST_TRY(bst_profile_load(thermo, &profile));
    char *folder = bst_strdup(forger);
    BST_ENSURE(folder, BST_E_NOMEM);
    bst_free(profile.folder);
    profile.folder = folder;
    bst_result r = bst_profile_save(&profile);
    if (!bst_failed(r)) {
        r = bst_secret_init(&wrong, 32);
    }
    if (!bst_failed(r)) {
        r = bst_random(wrong.ptr, wrong.len);
    }
    if (!bst_failed(r)) {
        r = bst_profile_se(&profile, &se);
    }
    if (!bst_failed(r)) {
        r = bst_profile_add_psk(se, profile.cse_psk, &wrong, &key);
    }
    bst_se_close(&se);
    bst_profile_clear(&profile);
    return r;
}

static bst_result copy_file(struct demo *d, const char *from, const char *to)
{
    char source[400], target[400];
    bst_auto(buf) content = {0};
    snprintf(source, sizeof source, "%s/%s", d->dir, from);
    snprintf(target, sizeof target, "%s/%s", d->dir, to);
    BST_TRY(bst_file_read(source, 1 << 20, &content));
    return bst_file_write_atomic(target, bst_buf_view(&content), 0600);
}

/* A certificate for the same AE-ID from another provider's CA, shown to this provider's CSE. */
static bool make_foreign(struct demo *d)
{
    return RUN("init", "--state", "@/other", "--set", "cse.listen=127.0.0.1:1", "--set",
               "mef.listen=127.0.0.1:2") == CLI_OK &&
           RUN("mef", "provision", "pump", "--certificate", "--state", "@/other", "--out",
               "@/foreign") == CLI_OK &&
           !bst_failed(copy_file(d, "pump/profile.json", "foreign/profile.json")) &&
           !bst_failed(copy_file(d, "pump/ca.pem", "foreign/ca.pem"));
}

static bool make_expired(struct demo *d)
{
    return RUN("mef", "provision", "late", "--certificate", "--state", "@/sp", "--out", "@/late",
               "--valid-from", "20200101T000000", "--valid-until", "20210101T000000") == CLI_OK &&
           !bst_failed(copy_file(d, "pump/profile.json", "late/profile.json"));
}

static void deny(struct demo *d)
{
    char hours[160];
    struct bst_calendar now;
    bst_calendar_of(bst_wall_us(), &now);
    snprintf(hours, sizeof hours,
             "pv:={\"acr\":[{\"acor\":[\"Cthermo\"],\"acop\":63},{\"acor\":[\"Capp\"],\"acop\":63,"
             "\"acco\":[{\"actw\":[\"* * %d * * * *\"]}]}]}",
             (now.hour + 12) % 24);
    demo_part(d, "8. What must fail, fails; the peer learns the class, the audit trail the reason");
    demo_check(d,
               RUN("request", "retrieve", "--profile", "@/thermo", "--as", "Cpump",
                   "cse-in/pump") == CLI_DENIED &&
                   demo_said(d, "4106"),
               "TS-0003 7.2.1", "thermo claims to be Cpump: 4106 ORIGINATOR_NOT_AUTHENTICATED");
    show_audit(d);
    bool stranger =
        RUN("mef", "provision", "stranger", "--certificate", "--state", "@/sp", "--out",
            "@/stranger") == CLI_OK &&
        RUN("device", "enrol", "@/stranger", "--association", "certificate") == CLI_OK &&
        RUN("device", "register", "@/stranger", "--name", "stranger") == CLI_OK;
    demo_check(d,
               stranger &&
                   RUN("request", "retrieve", "--profile", "@/stranger", "cse-in/thermo/load/la") ==
                       CLI_DENIED &&
                   demo_said(d, "4103"),
               "TS-0003 7.1",
               "an application outside the policy: 4103 ORIGINATOR_HAS_NO_PRIVILEGE");
    show_audit(d);
    demo_check(d,
               !bst_failed(forge_key(d)) &&
                   RUN("request", "retrieve", "--profile", "@/forger", "cse-in") == CLI_DENIED,
               "TS-0003 8.2.2.1", "a wrong key behind thermo's identity: handshake refused");
    show_audit(d);
    demo_check(d,
               make_expired(d) &&
                   RUN("request", "retrieve", "--profile", "@/late", "cse-in") == CLI_DENIED,
               "TS-0003 8.1.2.2", "an expired certificate: handshake refused");
    show_audit(d);
    demo_check(d,
               make_foreign(d) &&
                   RUN("request", "retrieve", "--profile", "@/foreign", "cse-in") == CLI_DENIED,
               "TS-0003 8.1.2.2", "a certificate from a foreign CA: handshake refused");
    show_audit(d);
    bool window =
        RUN("request", "create", "--profile", "@/thermo", "cse-in/thermo", "acp", "rn=nights",
            hours, "pvs:={\"acr\":[{\"acor\":[\"Cthermo\"],\"acop\":63}]}") == CLI_OK &&
        RUN("request", "create", "--profile", "@/thermo", "cse-in/thermo", "cnt", "rn=nightly",
            "acpi:=[\"cse-in/thermo/nights\"]") == CLI_OK;
    demo_check(d,
               window &&
                   RUN("request", "retrieve", "--profile", "@/app", "cse-in/thermo/nightly") ==
                       CLI_DENIED &&
                   demo_said(d, "4103"),
               "TS-0003 7.1.4", "app outside the policy's time window: 4103");
    show_audit(d);
}

/* -- the crash */

static size_t count_lines(const struct bst_buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        n += text->ptr[i] == '\n';
    }
    return n;
}

/* Every acknowledged reading, by its resource ID, over one kept connection. */
static bst_result all_there(struct demo *d, const struct bst_buf *receipts, size_t *ret_found)
{
    char folder[300];
    struct cli_client client;
    struct bst_arena arena;
    struct bst_view line, rest = bst_buf_view(receipts);
    snprintf(folder, sizeof folder, "%s/thermo", d->dir);
    BST_TRY(cli_client_open(folder, &client));
    bst_arena_init(&arena, 0);
    bst_result r = BST_OK;
    *ret_found = 0;
    while (!bst_failed(r) && bst_view_cut(&rest, '\n', &line)) {
        struct bst_m2m_request req;
        struct bst_m2m_response rsp;
        bst_m2m_request_init(&req);
        req.op = BST_OP_RETRIEVE;
        req.to = line;
        r = cli_client_request(&client, BST_PROFILE_CSE, &req, &arena, &rsp);
        if (!bst_failed(r)) {
            r = cli_client_status(&rsp);
        }
        *ret_found += !bst_failed(r);
        bst_arena_reset(&arena);
    }
    bst_arena_clear(&arena);
    cli_client_close(&client);
    return r;
}

static void crash(struct demo *d)
{
    char thermo[300], receipts[300], log[300];
    bst_auto(buf) text = {0};
    struct bst_process device = {0};
    int status;
    size_t found = 0;
    snprintf(thermo, sizeof thermo, "%s/thermo", d->dir);
    snprintf(receipts, sizeof receipts, "%s/receipts", d->dir);
    snprintf(log, sizeof log, "%s/device.log", d->dir);
    const char *const argv[] = {d->self,   "device",  "send",       thermo,   "--name", "thermo",
                                "--count", "1000000", "--receipts", receipts, NULL};
    demo_part(d, "9. The power fails");
    bool started = !bst_failed(bst_process_start(d->self, argv, log, &device));
    for (int i = 0; started && i < 400 && count_lines(&text) < 300; i++) {
        if (bst_process_wait(&device, 25, &status).code != BST_E_TIMEOUT) {
            break;
        }
        bst_buf_clear(&text);
        (void)bst_failed(bst_file_read(receipts, 64 << 20, &text));
    }
    bool killed = !bst_failed(bst_process_signal(&d->server, SIGKILL)) &&
                  !bst_failed(bst_process_wait(&d->server, 5000, &status));
    bool ended = device.pid == 0 || !bst_failed(bst_process_wait(&device, 40000, &status));
    demo_check(d, started && killed && ended, "",
               "the server is killed with SIGKILL in the middle of a burst");
    bst_buf_clear(&text);
    (void)bst_failed(bst_file_read(receipts, 64 << 20, &text));
    size_t acknowledged = count_lines(&text);
    demo_check(d, start_server(d), "", "and started again on the same state");
    bst_result r = all_there(d, &text, &found);
    demo_check(d, !bst_failed(r) && acknowledged >= 300 && found == acknowledged, "TS-0004 7.3.3.5",
               "all %zu acknowledged readings are there (%zu found), no new enrolment",
               acknowledged, found);
    demo_check(d, RUN("request", "retrieve", "--profile", "@/pump", "cse-in/pump") == CLI_OK,
               "TS-0003 8.2.2.2", "pump's certificate and registration still hold");
    demo_check(d, RUN("audit", "verify", "--state", "@/sp") == CLI_OK, "",
               "the audit trail's chain and signatures hold");
}

static void stop_server(struct demo *d)
{
    int status = -1;
    if (!d->server.pid) {
        return;
    }
    demo_part(d, "10. In order");
    bool ended = !bst_failed(bst_process_signal(&d->server, SIGTERM)) &&
                 !bst_failed(bst_process_wait(&d->server, 6000, &status));
    demo_check(d, ended && status == 0, "", "SIGTERM ends the server within 5 s");
    if (!ended) {
        (void)bst_failed(bst_process_signal(&d->server, SIGKILL));
        (void)bst_failed(bst_process_wait(&d->server, 5000, &status));
    }
}

static int run_provider(struct cli_call *call)
{
    struct demo demo, *d = &demo;
    if (!demo_begin(d, call, ", on free ports of the loopback")) {
        return CLI_IO;
    }
    demo_keys_prepare(d);
    if (set_up(d)) {
        enrol_devices(d);
        register_devices(d);
        send_telemetry(d);
        use_application(d);
        demo_keys(d);
        deny(d);
        crash(d);
    }
    demo_listener_stop(&d->listener);
    stop_server(d);
    return demo_end(d);
}

static int run_demo(struct cli_call *call)
{
    if (call->n_args == 0) {
        return run_provider(call);
    }
    if (call->n_args == 1 && strcmp(call->args[0], "5g") == 0) {
        return demo_5g(call);
    }
    return cli_usage(call, "the demos are: none named, and 5g");
}

static const struct cli_option options[] = {{"--keep", NULL, "Keep the folder for a look.", false},
                                            {0}};

const struct cli_command cmd_demo = {
    .name = "demo",
    .args = "[5g]",
    .summary = "Show the main job on real input: enrol, prove, send, allow, deny, crash, go on",
    .text =
        "Runs in a temporary folder on free ports of the loopback and ends with the count of "
        "what passed. One step has a device's keys in software, on a token (SoftHSM2) and in a TPM "
        "(swtpm), where these are installed.\n\n"
        "5g shows a software USIM that conceals its identity, authenticates and sends data over "
        "a protected air interface, with a sniffer's view of each step, and what an attacker "
        "tries in vain. It needs no network.",
    .options = options,
    .example = "bastide demo\nbastide demo 5g",
    .run = run_demo,
};
