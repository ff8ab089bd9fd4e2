/* bastide doctor: what is wrong with a state folder, and which step of a handshake fails. */
#include "cli/common.h"

#include "app/issued.h"
#include "app/profile.h"
#include "cli/client.h"
#include "crypto/x509.h"
#include "sys/clock.h"
#include "sys/loop.h"
#include "sys/tcp.h"
#include "tls/probe.h"
#include "tls/profile.h"

#include <stdarg.h>
#include <stdio.h>

/* --- tls ------------------------------------------------------------------------------------ */

static const struct cli_option tls_options[] = {
    {"--profile", "DIR", "Client profile to show; without it only the server is looked at.", false},
    {"--peer", "WHICH", "cse (default) or mef: which credential of the profile.", false},
    {"--ca", "FILE", "Trusted certificates, where no profile is given.", false},
    {"--name", "NAME", "Name that the server must prove, where no profile is given.", false},
    {"--timeout-ms", "N", "Give up after this (default 10000).", false},
    {0},
};

struct probing {
    struct bst_tls_probe *probe;
    struct bst_tls *tls;
    struct bst_tcp *tcp;
    struct bst_loop *loop;
    struct bst_timer quiet; /* TLS 1.3: a refusal may come after the client is done */
    bst_result result;
    char detail[256];
    bool done;
};

static void probe_end(struct probing *p, bst_result result)
{
    if (!p->done) {
        p->result = result;
        snprintf(p->detail, sizeof p->detail, "%s", bst_error_detail());
    }
    p->done = true;
}

static void probe_flush(struct probing *p)
{
    struct bst_view out = bst_tls_out(p->tls);
    if (out.len) {
        bst_tcp_write(p->tcp, out);
        bst_tls_consumed(p->tls, out.len);
    }
}

static void probe_quiet(void *user)
{
    probe_end(user, BST_OK);
}

static void probe_data(void *user, struct bst_view data)
{
    struct probing *p = user;
    bst_result r = bst_tls_feed(p->tls, data);
    probe_flush(p);
    if (bst_failed(r)) {
        probe_end(p, BST_OK); /* the report tells */
    } else if (bst_tls_state(p->tls) == BST_TLS_OPEN) {
        bst_timer_start(&p->quiet, 300, 0);
    }
}

static void probe_hung_up(void *user, bst_result why)
{
    struct probing *p = user;
    (void)bst_tls_feed_eof(p->tls).code;
    probe_end(p, BST_OK);
}

static const struct bst_tcp_events probe_events = {.on_data = probe_data, .on_end = probe_hung_up};

static void probe_connected(void *user, bst_result result)
{
    struct probing *p = user;
    if (!bst_failed(result)) {
        result = bst_tcp_start(p->tcp, &probe_events, p);
    }
    if (bst_failed(result)) {
        probe_end(p, result);
        return;
    }
    probe_flush(p);
}

static bst_result probe_drive(struct probing *p, const char *address, int64_t timeout_ms)
{
    int64_t until_us = bst_mono_us() + timeout_ms * 1000;
    bst_timer_init(p->loop, &p->quiet, probe_quiet, p);
    BST_TRY(bst_tcp_connect(p->loop, address, timeout_ms, NULL, probe_connected, p, &p->tcp));
    while (!p->done && bst_mono_us() < until_us) {
        bst_loop_run_once(p->loop, 50);
    }
    bst_timer_stop(&p->quiet);
    bst_tcp_close(&p->tcp);
    if (!p->done) {
        BST_FAIL(BST_E_TIMEOUT, "no end after %lld ms: the server accepts but does not go on",
                 (long long)timeout_ms);
    }
    bst_error_set_detail(p->detail);
    return p->result;
}

static bst_result probe_run(struct bst_tls_client *client, const char *address, int64_t timeout_ms,
                            struct bst_buf *report, bool *ret_open)
{
    struct probing p = {0};
    BST_TRY(bst_tls_probe_new(client, &p.probe));
    p.tls = bst_tls_probe_endpoint(p.probe);
    bst_result r = bst_loop_new(&p.loop);
    if (!bst_failed(r)) {
        r = probe_drive(&p, address, timeout_ms);
    }
    bst_loop_free(&p.loop);
    *ret_open = bst_tls_state(p.tls) == BST_TLS_OPEN;
    if (!bst_failed(r)) {
        r = bst_tls_probe_report(p.probe, report);
    }
    bst_tls_probe_free(&p.probe);
    return r;
}

static bst_result profile_client(const struct cli_call *call, const char *folder,
                                 struct bst_se **se, struct bst_tls_client **ret)
{
    bst_auto(profile) profile = {0};
    const char *peer = cli_value(call, "--peer");
    BST_TRY(bst_profile_load(folder, &profile));
    BST_TRY(bst_profile_se(&profile, se));
    return bst_profile_tls(
        &profile, *se, peer && strcmp(peer, "mef") == 0 ? BST_PROFILE_MEF : BST_PROFILE_CSE, ret);
}

/* Without a credential: how far the server goes with a stranger. */
static bst_result plain_client(const struct cli_call *call, const char *host, struct bst_se **se,
                               struct bst_tls_client **ret)
{
    struct bst_se_host se_host;
    struct bst_trust *trust;
    bst_auto(buf) pem = {0};
    const char *ca = cli_value(call, "--ca"), *name = cli_value(call, "--name");
    name = name ? name : host;
    bst_se_host_file(&se_host, NULL);
    BST_TRY(bst_se_open(&se_host, "se:soft", se));
    BST_TRY(bst_trust_new(BST_CRL_ALLOW_MISSING, &trust));
    bst_result r = BST_OK;
    if (ca) {
        r = bst_file_read(ca, 1 << 20, &pem);
        r = bst_failed(r) ? r : bst_trust_add_anchors(trust, bst_buf_view(&pem));
    }
    struct bst_tls_name expect = {BST_CERT_FQDN, bst_view(name)};
    if (!bst_failed(r)) {
        r = bst_tls_client_new(
            &(struct bst_tls_client_config){.profile = bst_tls_profile_find(BST_VIEW("onem2m")),
                                            .se = *se,
                                            .trust = trust,
                                            .server_name = name,
                                            .expect = &expect,
                                            .n_expect = 1,
                                            .wall_us = bst_wall_us},
            ret);
    }
    bst_trust_drop(&trust);
    return r;
}

static void print_probe(struct cli_call *call, const struct bst_buf *report, bool open)
{
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_addf(&out, "{\"agreed\":%s,\"report\":", open ? "true" : "false");
        bst_buf_add_json(&out, bst_buf_view(report));
        bst_buf_addc(&out, '}');
        cli_print(call, &out);
    } else {
        fwrite(report->ptr, 1, report->len, call->out);
    }
}

static int doctor_tls(struct cli_call *call)
{
    bst_auto(buf) report = {0};
    struct bst_se *se = NULL;
    struct bst_tls_client *client = NULL;
    char host[300];
    int64_t timeout_ms;
    bool open = false;
    if (call->n_args != 1 || !strrchr(call->args[0], ':')) {
        return cli_usage(call, "HOST:PORT is needed");
    }
    if (bst_failed(cli_number(call, "--timeout-ms", 10000, 100, 600000, &timeout_ms))) {
        return cli_usage(call, "%s", bst_error_detail());
    }
    snprintf(host, sizeof host, "%.*s", (int)(strrchr(call->args[0], ':') - call->args[0]),
             call->args[0]);
    const char *folder = cli_value(call, "--profile");
    bst_result r = folder ? profile_client(call, folder, &se, &client)
                          : plain_client(call, host, &se, &client);
    if (!bst_failed(r)) {
        r = probe_run(client, call->args[0], timeout_ms, &report, &open);
    }
    bst_tls_client_free(&client);
    bst_se_close(&se);
    if (bst_failed(r)) {
        return cli_fail(call, r, call->args[0]);
    }
    print_probe(call, &report, open);
    return open ? CLI_OK : CLI_FAILED;
}

/* --- state ---------------------------------------------------------------------------------- */

struct checkup {
    struct cli_call *call;
    struct bst_buf json;
    unsigned bad;
};

static void finding(struct checkup *c, bool good, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void finding(struct checkup *c, bool good, const char *what, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    c->bad += !good;
    if (c->call->json) {
        bst_buf_addf(&c->json, "%s{\"check\":\"%s\",\"good\":%s,\"text\":", c->json.len ? "," : "",
                     what, good ? "true" : "false");
        bst_buf_add_json(&c->json, bst_view(text));
        bst_buf_addc(&c->json, '}');
    } else {
        fprintf(c->call->out, "%-4s %-14s %s\n", good ? "ok" : "BAD", what, text);
    }
}

static const char *why(bst_result r)
{
    return bst_error_detail()[0] ? bst_error_detail() : bst_error_text(r.code);
}

static bool check_config(struct checkup *c, struct bst_config *config)
{
    struct cli_sets sets;
    cli_state_options(c->call, NULL, 0, &sets);
    bst_result r = bst_state_config(&sets.options, config);
    finding(c, !bst_failed(r), "configuration", "%s",
            bst_failed(r)  ? why(r)
            : config->file ? config->file
                           : "defaults");
    return !bst_failed(r);
}

static void check_modes(struct checkup *c)
{
    static const char *const secret[] = {"se", "se/state.key", "store", "store/id.key", "admin"};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        char path[BST_PATH_MAX];
        unsigned mode;
        if (!bst_failed(bst_state_path(c->call->state, secret[i], path)) &&
            !bst_failed(bst_file_mode(path, &mode)) && (mode & 077)) {
            finding(c, false, "permissions", "others may use %s (mode %o)", path, mode);
        }
    }
}

static void check_certificate(struct checkup *c, const char *name)
{
    bst_auto(buf) pem = {0};
    bst_auto_cert *cert = NULL;
    struct bst_cert_facts facts;
    char path[BST_PATH_MAX], ends[BST_RFC3339_LEN + 1];
    bst_result r = bst_state_path(c->call->state, name, path);
    r = bst_failed(r) ? r : bst_file_read(path, 1 << 20, &pem);
    r = bst_failed(r) ? r : bst_cert_load(bst_buf_view(&pem), &cert);
    r = bst_failed(r) ? r : bst_cert_facts(cert, &facts);
    if (bst_failed(r)) {
        finding(c, false, "certificate", "%s: %s", name, why(r));
        return;
    }
    bst_rfc3339_format(facts.not_after_us, ends);
    int64_t days = (facts.not_after_us - bst_wall_us()) / (86400 * BST_US_PER_S);
    finding(c, days >= 14, "certificate", "%s ends %s, in %lld days", name, ends, (long long)days);
}

static void check_audit(struct checkup *c)
{
    struct cli_sets sets;
    struct bst_audit_report report;
    cli_state_options(c->call, NULL, 0, &sets);
    bst_result r = bst_state_verify_audit(&sets.options, &report);
    bool good = !bst_failed(r) && !report.reason[0];
    finding(c, good, "audit trail", "%s", bst_failed(r) ? why(r) : good ? "whole" : report.reason);
}

static void check_through_admin(struct checkup *c)
{
    bst_auto(buf) args = {0};
    bst_auto(buf) text = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    bst_result r = cli_admin(c->call, "check", &args, &arena, &text, &answer);
    if (bst_failed(r)) {
        finding(c, false, "store", "%s", why(r));
        return;
    }
    yyjson_obj_iter iter;
    yyjson_obj_iter_init(answer, &iter);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter));) {
        const char *found = yyjson_get_str(yyjson_obj_iter_get_val(key));
        finding(c, found && strcmp(found, "whole") == 0, "store", "%s: %s", yyjson_get_str(key),
                found ? found : "?");
    }
}

static int doctor_state(struct cli_call *call)
{
    struct checkup c = {.call = call};
    bst_auto(config) config = {0};
    if (!bst_state_exists(call->state)) {
        finding(&c, false, "state folder", "%s was not initialised; 'bastide init' does it",
                call->state);
    } else if (check_config(&c, &config)) {
        check_modes(&c);
        check_certificate(&c, config.cse.certificate);
        check_certificate(&c, config.mef.certificate);
        for (size_t i = 0; i < config.tls.ca.n; i++) {
            check_certificate(&c, config.tls.ca.items[i]);
        }
        check_audit(&c);
        check_through_admin(&c);
    }
    if (call->json) {
        fprintf(call->out, "{\"bad\":%u,\"findings\":[%.*s]}\n", c.bad, (int)c.json.len,
                c.json.ptr ? c.json.ptr : "");
    }
    bst_buf_clear(&c.json);
    return c.bad ? CLI_FAILED : CLI_OK;
}

static const struct cli_command words[] = {
    {
        .name = "tls",
        .args = "HOST:PORT",
        .summary = "Go through a handshake and say which step fails, and for which side",
        .options = tls_options,
        .example = "bastide doctor tls 127.0.0.1:8443 --profile ./thermo\n"
                   "bastide doctor tls cse.example.com:8443 --ca ca.pem",
        .run = doctor_tls,
    },
    {
        .name = "state",
        .args = "",
        .summary = "Check configuration, permissions, certificates, audit trail and stores",
        .example = "bastide doctor state --state /var/lib/bastide",
        .run = doctor_state,
    },
    {0},
};

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .args = "",
    .summary = "Find out what is wrong with a handshake or with a state folder",
    .words = words,
};
