/* bastide device: what a device does: enrol at a MEF, register at a CSE, send readings.
 * TS-0003 8.3.2, 8.3.5; TS-0001 10.2.2. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/telemetry.h"

#include "app/se_uri.h"
#include "bind/http/http_binding.h"
#include "sec/enrol/mef_client.h"
#include "sec/sec_names.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tls/tls.h"

#include <stdarg.h>

#define DAY_US (INT64_C(86400) * BST_US_PER_S)

struct device {
    struct cli_call *call;
    struct bst_arena arena;
    struct cli_client client;
};

static bst_result device_open(struct cli_call *call, struct device *ret)
{
    *ret = (struct device){.call = call};
    bst_arena_init(&ret->arena, 64u << 20);
    if (call->n_args != 1) {
        BST_FAIL(BST_E_USAGE, "name the profile folder of the device");
    }
    return cli_client_open_at(call->args[0], cli_value(call, "--se"), cli_value(call, "--pin-file"),
                              &ret->client);
}

static int device_close(struct device *d, bst_result result)
{
    int code =
        bst_failed(result) ? cli_fail(d->call, result, "the device could not go on") : CLI_OK;
    cli_client_close(&d->client);
    bst_arena_clear(&d->arena);
    return code;
}

static void tell(struct device *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Steps are for people; with --json only the result is printed. */
static void tell(struct device *d, const char *format, ...)
{
    if (d->call->json) {
        return;
    }
    va_list args;
    va_start(args, format);
    vfprintf(d->call->out, format, args);
    va_end(args);
    fputc('\n', d->call->out);
}

/* -- enrolment (TS-0003 8.3.4, 8.3.5) */

struct enrolment {
    struct device *d;
    struct bst_mef_client *mef;
    struct bst_tls *endpoint; /* of the MEF handshake: the key is exported from it */
    bool opened;
    bst_result open_result;
};

static void endpoint_opened(void *user, bst_result result, struct bst_tls *endpoint)
{
    struct enrolment *e = user;
    e->open_result = result;
    e->endpoint = endpoint;
    e->opened = true;
}

/* The MEF handshake, before any request: its exporter gives the key later. */
static bst_result open_session(struct enrolment *e)
{
    struct cli_client *client = &e->d->client;
    struct bst_http_target target;
    struct bst_http_call *call;
    BST_TRY(cli_client_target(client, BST_PROFILE_MEF, &target));
    client->why[0] = '\0';
    BST_TRY(bst_http_client_open(client->http, &target, 30000, endpoint_opened, e, &call));
    while (!e->opened) {
        (void)bst_loop_run_once(client->loop, -1);
    }
    if (bst_failed(e->open_result) && client->why[0]) {
        BST_FAIL(e->open_result.code, "%s", client->why);
    }
    return e->open_result;
}

static bst_result mef_exchange(struct enrolment *e, struct bst_m2m_request *req,
                               struct bst_mef_outcome *ret)
{
    struct bst_m2m_response rsp;
    BST_TRY(cli_client_request(&e->d->client, BST_PROFILE_MEF, req, &e->d->arena, &rsp));
    return bst_mef_client_take(e->mef, &rsp, bst_wall_us(), &e->d->arena, ret);
}

static bst_result new_mef_client(struct enrolment *e)
{
    const struct bst_profile *p = &e->d->client.profile;
    struct bst_entity_id id;
    struct bst_mef_client_config config = {
        .self = {bst_view(p->sp_domain), bst_view_from(bst_view(p->cse_id), 1)},
        .mef_fqdn = bst_view(p->mef_fqdn),
        .admin_fqdn = bst_view(p->sp_domain),
    };
    BST_TRY(bst_entity_parse(&config.self, bst_view(p->originator), &id));
    config.client_id = bst_entity_abs(&id);
    return bst_mef_client_new(&config, &e->mef);
}

static bst_result register_client(struct enrolment *e, int64_t expires_us)
{
    struct bst_m2m_request req;
    struct bst_mef_outcome outcome = {0};
    BST_TRY(bst_mef_client_register(e->mef, expires_us, NULL, &e->d->arena, &req));
    bst_result r = mef_exchange(e, &req, &outcome);
    if (r.code == BST_E_ALREADY_REGISTERED) {
        tell(e->d, "registered at %s before", e->d->client.profile.mef_fqdn);
        return BST_OK;
    }
    BST_TRY(r);
    tell(e->d, "registered at %s as %.*s (TS-0003 8.3.5.2.3)", e->d->client.profile.mef_fqdn,
         BST_VIEW_ARGS(outcome.client_id));
    bst_mef_outcome_clear(&outcome);
    return BST_OK;
}

/* The key of this session goes straight from the TLS exporter into the device's secure environment.
 */
static bst_result keep_key(struct enrolment *e, const struct bst_mef_outcome *outcome)
{
    struct cli_client *client = &e->d->client;
    bst_auto(buf) label = {0};
    bst_key key;
    bst_buf_addf(&label, "%s%s", BST_PROFILE_PSK_PREFIX, outcome->key_id);
    BST_TRY(bst_buf_check(&label));
    const struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC,
                                        .uses = BST_KEY_USE_PSK | BST_KEY_USE_DERIVE,
                                        .suid = BST_SUID_MEF_KEY_SAEF,
                                        .label = label.ptr,
                                        .expires_us = outcome->expires_us,
                                        .persistent = true};
    BST_TRY(bst_tls_export_key(e->endpoint, BST_EXPORTER_ENROLMENT, client->se, &attrs, &key));
    client->profile.kind = BST_PROFILE_PSK;
    BST_TRY(bst_profile_set(&client->profile.cse_psk, bst_view(outcome->key_id)));
    return bst_profile_save(&client->profile);
}

static bst_result register_key(struct enrolment *e, int64_t expires_us)
{
    const struct bst_profile *p = &e->d->client.profile;
    struct bst_view target = bst_arena_printf(&e->d->arena, "//%s%s", p->sp_domain, p->cse_id);
    struct bst_mef_key_wish wish = {.suid = BST_SUID_MEF_KEY_SAEF,
                                    .targets = &target,
                                    .n_targets = 1,
                                    .expires_us = expires_us};
    struct bst_m2m_request req;
    struct bst_mef_outcome outcome = {0};
    BST_ENSURE(target.ptr, BST_E_NOMEM);
    BST_TRY(bst_mef_client_key_register(e->mef, &wish, &e->d->arena, &req));
    BST_TRY(mef_exchange(e, &req, &outcome));
    bst_result r = keep_key(e, &outcome);
    if (!bst_failed(r)) {
        tell(e->d, "key %s for %.*s (SUID %d, TS-0003 8.3.5.2.7, 10.3.1)", outcome.key_id,
             BST_VIEW_ARGS(target), outcome.suid);
    }
    bst_mef_outcome_clear(&outcome);
    return r;
}

static bst_result enrol(struct enrolment *e)
{
    const char *association = cli_value(e->d->call, "--association");
    int64_t days;
    BST_TRY(cli_number(e->d->call, "--days", 365, 1, 3650, &days));
    int64_t expires_us = bst_wall_us() + days * DAY_US;
    bool certificate = association && strcmp(association, "certificate") == 0;
    if (association && !certificate && strcmp(association, "key") != 0) {
        BST_FAIL(BST_E_USAGE, "--association is key or certificate, not '%s'", association);
    }
    BST_TRY(open_session(e));
    tell(e->d, "MEF %s proved itself, and so did this device", e->d->client.profile.mef_fqdn);
    BST_TRY(new_mef_client(e));
    BST_TRY(register_client(e, expires_us));
    if (certificate) {
        e->d->client.profile.kind = BST_PROFILE_CERT;
        return bst_profile_save(&e->d->client.profile);
    }
    return register_key(e, expires_us);
}

/* What was provisioned into another environment goes into the one that is named now, for good. */
static bst_result bring_keys(struct cli_call *call)
{
    const char *se = cli_value(call, "--se");
    bst_auto(profile) profile = {0};
    bst_auto(buf) uri = {0};
    if (!se || call->n_args != 1) {
        return BST_OK;
    }
    BST_TRY(bst_profile_load(call->args[0], &profile));
    BST_TRY(bst_se_uri_settle(se, cli_value(call, "--pin-file"), true, &uri));
    return bst_profile_move(&profile, uri.ptr);
}

static int run_enrol(struct cli_call *call)
{
    struct device d = {.call = call};
    struct enrolment e = {.d = &d};
    bst_result r = bring_keys(call);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the keys cannot be brought into the environment");
    }
    r = device_open(call, &d);
    if (!bst_failed(r)) {
        r = enrol(&e);
    }
    if (!bst_failed(r) && call->json) {
        fprintf(call->out, "{\"enrolled\":true,\"association\":\"%s\",\"identity\":\"%s\"}\n",
                d.client.profile.kind == BST_PROFILE_PSK ? "key" : "certificate",
                d.client.profile.cse_psk);
    }
    bst_mef_client_free(&e.mef);
    return device_close(&d, r);
}

/* -- resources */

/* Send a CREATE; *ret_there: it was there before, which is fine for a device that starts again. */
static bst_result create(struct device *d, const char *to, int ty, struct bst_view content,
                         bool *ret_there, struct bst_m2m_response *ret)
{
    struct bst_m2m_request req;
    bst_m2m_request_init(&req);
    req.op = BST_OP_CREATE;
    req.to = bst_view(to);
    req.ty = ty;
    req.pc_text = content;
    BST_TRY(bst_json_parse(&d->arena, content, BST_JSON_DEPTH, &req.pc));
    BST_TRY(cli_client_request(&d->client, BST_PROFILE_CSE, &req, &d->arena, ret));
    bool there =
        ret->rsc == BST_RSC_CONFLICT || ret->rsc == BST_RSC_ORIGINATOR_HAS_ALREADY_REGISTERED;
    if (ret_there) {
        *ret_there = there;
    }
    return there && ret_there ? BST_OK : cli_client_status(ret);
}

static bst_result take_ae_id(struct device *d, const struct bst_m2m_response *rsp)
{
    yyjson_val *pc;
    struct bst_view id;
    BST_TRY(bst_json_parse(&d->arena, rsp->pc, BST_JSON_DEPTH, &pc));
    BST_TRY(bst_json_string(bst_json_get(pc, "m2m:ae"), "aei", &id));
    BST_TRY(bst_profile_set(&d->client.profile.originator, id));
    return bst_profile_save(&d->client.profile);
}

static bst_result register_ae(struct device *d)
{
    const char *name = cli_value(d->call, "--name"), *app = cli_value(d->call, "--app-id");
    const char *poa = cli_value(d->call, "--poa");
    bst_auto(buf) content = {0};
    struct bst_m2m_response rsp;
    bool there;
    bst_buf_adds(&content, "{\"m2m:ae\":{\"api\":");
    bst_buf_add_json(&content, bst_view(app ? app : "N.bastide.device"));
    bst_buf_addf(&content, ",\"rr\":%s,\"srv\":[\"3\"]", poa ? "true" : "false");
    if (name) {
        bst_buf_adds(&content, ",\"rn\":");
        bst_buf_add_json(&content, bst_view(name));
    }
    for (size_t i = 0; cli_value_at(d->call, "--label", i); i++) {
        bst_buf_adds(&content, i ? "," : ",\"lbl\":[");
        bst_buf_add_json(&content, bst_view(cli_value_at(d->call, "--label", i)));
    }
    bst_buf_adds(&content, cli_has(d->call, "--label") ? "]" : "");
    if (poa) {
        bst_buf_adds(&content, ",\"poa\":[");
        bst_buf_add_json(&content, bst_view(poa));
        bst_buf_addc(&content, ']');
    }
    bst_buf_adds(&content, "}}");
    BST_TRY(bst_buf_check(&content));
    BST_TRY(create(d, d->client.profile.cse_name, BST_TY_AE, bst_buf_view(&content), &there, &rsp));
    if (there) {
        tell(d, "registered before as %s", d->client.profile.originator);
        return BST_OK;
    }
    BST_TRY(take_ae_id(d, &rsp));
    tell(d, "registered as %s (TS-0001 10.2.2.2)", d->client.profile.originator);
    return BST_OK;
}

static int run_register(struct cli_call *call)
{
    struct device d;
    bst_result r = device_open(call, &d);
    if (!bst_failed(r)) {
        r = register_ae(&d);
    }
    if (!bst_failed(r) && call->json) {
        fprintf(call->out, "{\"ae\":\"%s\"}\n", d.client.profile.originator);
    }
    return device_close(&d, r);
}

/* -- trust */

static bst_result trust_roots(struct device *d)
{
    const char *file = cli_value(d->call, "--ca");
    const struct bst_profile *profile = &d->client.profile;
    bst_auto(buf) pem = {0};
    size_t n_new, n_all;
    if (!file) {
        BST_FAIL(BST_E_USAGE, "--ca FILE is missing: the roots to be trusted");
    }
    BST_TRY(bst_file_read(file, 1 << 20, &pem));
    BST_TRY(bst_profile_trust(profile, bst_buf_view(&pem), &n_new, &n_all));
    tell(d, "%zu root%s trusted, %zu of them new: %s/ca.pem", n_all, n_all == 1 ? "" : "s", n_new,
         profile->folder);
    if (d->call->json) {
        fprintf(d->call->out, "{\"trusted\":%zu,\"new\":%zu}\n", n_all, n_new);
    }
    return BST_OK;
}

static int run_trust(struct cli_call *call)
{
    struct device d;
    bst_result r = device_open(call, &d);
    return device_close(&d, bst_failed(r) ? r : trust_roots(&d));
}

/* -- telemetry */

struct sending {
    struct device *d;
    char parent[512];
    bool absent[16]; /* kinds that this machine does not have */
    uint64_t sent;
    FILE *receipts;
};

static bst_result ensure_container(struct sending *s, const char *kind)
{
    bst_auto(buf) content = {0};
    struct bst_m2m_response rsp;
    const char *acpi = cli_value(s->d->call, "--acpi");
    bool there;
    bst_buf_addf(&content, "{\"m2m:cnt\":{\"rn\":\"%s\",\"lbl\":[\"telemetry\",\"kind:%s\"]", kind,
                 kind);
    if (acpi) {
        bst_buf_adds(&content, ",\"acpi\":[");
        bst_buf_add_json(&content, bst_view(acpi));
        bst_buf_addc(&content, ']');
    }
    bst_buf_adds(&content, "}}");
    BST_TRY(bst_buf_check(&content));
    return create(s->d, s->parent, BST_TY_CNT, bst_buf_view(&content), &there, &rsp);
}

static bst_result send_reading(struct sending *s, size_t kind)
{
    bst_auto(buf) reading = {0}, content = {0};
    struct bst_m2m_response rsp;
    char to[640];
    bst_result r = cli_telemetry_read(kind, &reading);
    if (r.code == BST_E_NOT_FOUND) {
        s->absent[kind] = true;
        return BST_OK;
    }
    BST_TRY(r);
    snprintf(to, sizeof to, "%s/%s", s->parent, cli_telemetry_kind(kind));
    bst_buf_adds(&content, "{\"m2m:cin\":{\"cnf\":\"application/json:0\",\"con\":");
    bst_buf_add_json(&content, bst_buf_view(&reading));
    bst_buf_adds(&content, "}}");
    BST_TRY(bst_buf_check(&content));
    BST_TRY(create(s->d, to, BST_TY_CIN, bst_buf_view(&content), NULL, &rsp));
    s->sent++;
    if (s->receipts) {
        yyjson_val *pc;
        BST_TRY(bst_json_parse(&s->d->arena, rsp.pc, BST_JSON_DEPTH, &pc));
        struct bst_view ri = bst_json_view(bst_json_get(bst_json_get(pc, "m2m:cin"), "ri"));
        fprintf(s->receipts, "%.*s\n", BST_VIEW_ARGS(ri));
        fflush(s->receipts);
    }
    bst_arena_reset(&s->d->arena);
    return BST_OK;
}

static bst_result settle_parent(struct sending *s)
{
    const struct bst_profile *p = &s->d->client.profile;
    const char *name = cli_value(s->d->call, "--name");
    if (!p->originator[0]) {
        BST_FAIL(BST_E_CONFIG, "not registered yet: run 'bastide device register %s' first",
                 p->folder);
    }
    snprintf(s->parent, sizeof s->parent, "%s%s%s", name ? p->cse_name : "", name ? "/" : "",
             name ? name : p->originator);
    for (size_t kind = 0; cli_telemetry_kind(kind); kind++) {
        BST_TRY(ensure_container(s, cli_telemetry_kind(kind)));
    }
    return BST_OK;
}

static bst_result send_all(struct sending *s)
{
    int64_t count;
    size_t kind = 0, missing = 0;
    BST_TRY(cli_number(s->d->call, "--count", 500, 1, 100000000, &count));
    BST_TRY(settle_parent(s));
    while (s->sent < (uint64_t)count) {
        if (!s->absent[kind]) {
            BST_TRY(send_reading(s, kind));
            missing = s->absent[kind] ? missing + 1 : missing;
            cli_progress(s->d->call, "readings", s->sent, (uint64_t)count);
        }
        kind = cli_telemetry_kind(kind + 1) ? kind + 1 : 0;
        if (kind == 0 && missing && s->sent == 0) {
            BST_FAIL(BST_E_NOT_FOUND, "this machine has no readings under /proc and /sys");
        }
    }
    return BST_OK;
}

static int run_send(struct cli_call *call)
{
    struct device d;
    struct sending s = {.d = &d};
    const char *receipts = cli_value(call, "--receipts");
    int64_t start_us = bst_mono_us();
    bst_result r = device_open(call, &d);
    if (!bst_failed(r) && receipts && !(s.receipts = fopen(receipts, "we"))) {
        r = bst_error_detailed(BST_E_IO, "%s cannot be written", receipts);
    }
    if (!bst_failed(r)) {
        r = send_all(&s);
    }
    if (s.receipts) {
        fclose(s.receipts);
    }
    int64_t ms = (bst_mono_us() - start_us) / 1000;
    if (!bst_failed(r) && call->json) {
        fprintf(call->out, "{\"sent\":%llu,\"ms\":%lld}\n", (unsigned long long)s.sent,
                (long long)ms);
    } else if (!bst_failed(r)) {
        tell(&d, "%llu readings sent in %lld ms, each one durable", (unsigned long long)s.sent,
             (long long)ms);
    }
    return device_close(&d, r);
}

/* -- what it knows */

/* The key that proves the device: to the CSE when it is enrolled, else to the MEF. A laboratory
 * profile has none. */
static bst_result identity_key(const struct device *d, struct bst_key_info *ret)
{
    const struct bst_profile *p = &d->client.profile;
    char label[BST_KEY_LABEL_MAX + 1];
    const char *psk = p->kind == BST_PROFILE_PSK ? p->cse_psk : p->mef_psk;
    bst_key key = 0;
    if (p->kind == BST_PROFILE_CERT || !psk[0]) {
        BST_TRY(bst_view_copy(bst_view(bst_profile_tls_label(p)), label, sizeof label));
    } else {
        BST_TRY(bst_profile_psk_label(psk, label));
    }
    BST_TRY(bst_se_key_find(d->client.se, label, &key));
    return key ? bst_se_key_info(d->client.se, key, ret) : BST_OK;
}

static void show_plain(struct device *d, const char *kind, const struct bst_se_about *about,
                       const struct bst_key_info *key)
{
    const struct bst_profile *p = &d->client.profile;
    FILE *out = d->call->out;
    fprintf(out, "originator   %s\nassociation  %s %s\nCSE          %s%s at %s\n", p->originator,
            kind, p->cse_psk, p->cse_fqdn, p->cse_id, p->cse_address);
    fprintf(out, "MEF          %s at %s\n", p->mef_fqdn, p->mef_address);
    fprintf(out, "keys         %s%s%s: %s\n", about->kind, about->name[0] ? " " : "", about->name,
            about->evidence);
    if (key->label[0]) {
        fprintf(out, "identity     key '%s', protection level %d\n", key->label, key->attrs.level);
    }
}

static bst_result show_json(struct device *d, const char *kind, const struct bst_se_about *about,
                            const struct bst_key_info *key)
{
    const struct bst_profile *p = &d->client.profile;
    const struct {
        const char *name, *value;
    } texts[] = {
        {"originator", p->originator}, {"association", kind},         {"identity", p->cse_psk},
        {"cse", p->cse_address},       {"mef", p->mef_address},       {"se", about->kind},
        {"token", about->name},        {"evidence", about->evidence}, {"key", key->label}};
    bst_auto(buf) out = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bst_buf_addf(&out, "%s\"%s\":", i ? "," : "{", texts[i].name);
        bst_buf_add_json(&out, bst_view(texts[i].value));
    }
    bst_buf_addf(&out, ",\"level\":%d}\n", key->attrs.level);
    BST_TRY(bst_buf_check(&out));
    fwrite(out.ptr, 1, out.len, d->call->out);
    return BST_OK;
}

static bst_result show(struct device *d)
{
    static const char *const kinds[] = {"none yet", "laboratory", "key", "certificate"};
    const char *kind = kinds[d->client.profile.kind];
    struct bst_se_about about;
    struct bst_key_info key = {0};
    bst_se_about(d->client.se, &about);
    BST_TRY(identity_key(d, &key));
    if (d->call->json) {
        return show_json(d, kind, &about, &key);
    }
    show_plain(d, kind, &about, &key);
    return BST_OK;
}

static int run_show(struct cli_call *call)
{
    struct device d;
    bst_result r = device_open(call, &d);
    return device_close(&d, bst_failed(r) ? r : show(&d));
}

#define PLACE_OPTIONS                                                                              \
    {"--se", "URI", "Environment that holds the keys from now on, such as pkcs11:token=NAME.",     \
     false},                                                                                       \
    {                                                                                              \
        "--pin-file", "FILE", "File of mode 0600 with the PIN (software: passphrase) of it.",      \
            false                                                                                  \
    }

static const struct cli_option enrol_options[] = {
    PLACE_OPTIONS,
    {"--days", "N", "How long key and registration are asked for; without it 365.", false},
    {"--association", "KIND",
     "Towards the CSE: key (registered at the MEF, the default) or certificate (the device's own).",
     false},
    {0}};
static const struct cli_option register_options[] = {
    PLACE_OPTIONS,
    {"--name", "NAME", "Resource name of the AE.", false},
    {"--app-id", "ID", "App-ID, which starts with R, r or N; without it N.bastide.device.", false},
    {"--poa", "URL", "Point of access: the AE can be reached there.", false},
    {"--label", "TEXT", "Label of the AE.", true},
    {0}};
static const struct cli_option send_options[] = {
    PLACE_OPTIONS,
    {"--count", "N", "How many readings; without it 500.", false},
    {"--name", "NAME", "Resource name of the AE, for structured addresses.", false},
    {"--acpi", "ID", "Policy of the containers that are made.", false},
    {"--receipts", "FILE", "Write the resource ID of each acknowledged reading there.", false},
    {0}};
static const struct cli_option show_options[] = {PLACE_OPTIONS, {0}};
static const struct cli_option trust_options[] = {
    PLACE_OPTIONS,
    {"--ca", "FILE", "The roots, and what former ones signed for them: pki/ca.crt and ca.chain.",
     false},
    {0}};

static const struct cli_command words[] = {
    {"enrol", "DIR",
     "Enrol at the MEF: prove the pre-provisioned credential, get a key for the CSE",
     "The key is exported from the TLS session with the MEF on both sides and never sent. With "
     "--se "
     "the pre-provisioned key moves into that environment first, and all that follow are kept "
     "there.",
     enrol_options,
     "bastide device enrol hut\nbastide device enrol hut --se pkcs11:token=hut --pin-file pin",
     run_enrol, NULL},
    {"register", "DIR", "Register the AE at the CSE", NULL, register_options,
     "bastide device register hut --name hut", run_register, NULL},
    {"send", "DIR", "Send this machine's telemetry as contentInstances",
     "Load, memory, disk, network counters and temperatures, read from /proc and /sys. Each answer "
     "means\n"
     "that the reading is on stable storage.",
     send_options, "bastide device send hut --name hut --count 500", run_send, NULL},
    {"show", "DIR", "Show what a profile knows, and where its keys are", NULL, show_options,
     "bastide device show hut", run_show, NULL},
    {"trust", "DIR", "Trust the roots of a CA that has a new key",
     "A root is taken only when one that the profile trusts has signed a certificate for its key; "
     "roots that are not in the file are trusted no more.",
     trust_options,
     "cat st/pki/ca.crt st/pki/ca.chain > roots.pem\nbastide device trust hut --ca roots.pem",
     run_trust, NULL},
    {0},
};

const struct cli_command cmd_device = {
    "device", "", "Be a device: enrol, register, send", NULL, NULL, NULL, NULL, words};
