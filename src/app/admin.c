/* Administrative commands, one table: through the admin socket of a running server, or directly on a
 * stopped one. Arguments and answers are JSON objects. Every change is on the audit trail. */
#include "app/server_priv.h"

#include "app/backup.h"
#include "app/issued.h"
#include "codec/json.h"
#include "mef/mef.h"
#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>
#include <unistd.h>

#define ADMIN_ARENA ((size_t)8 << 20)
#define ADMIN_DEPTH 8
#define CERTIFICATE_LIFE_US (INT64_C(366) * 86400 * BST_US_PER_S)

struct admin {
    struct bst_server *server;
    struct bst_arena arena;
    yyjson_val *args;
    struct bst_buf *out;
};

static void member(struct bst_buf *out, const char *name, struct bst_view value)
{
    char last = out->len ? out->ptr[out->len - 1] : '{';
    bst_buf_addf(out, "%s\"%s\":", last == '{' ? "" : ",", name);
    bst_buf_add_json(out, value);
}

static void member_time(struct bst_buf *out, const char *name, int64_t wall_us)
{
    char when[BST_RFC3339_LEN + 1];
    if (wall_us) {
        bst_rfc3339_format(wall_us, when);
        member(out, name, bst_view(when));
    }
}

static bst_result record(struct admin *a, const char *event, struct bst_view credential,
                         struct bst_view target, struct bst_view detail)
{
    struct bst_audit_event e = {
        .event = event, .subject = BST_VIEW("administrator"), .credential = credential,
        .target = target, .decision = BST_VIEW("done"), .detail = detail,
    };
    return bst_audit_write(a->server->state->audit, &e);
}

/* --- what is going on ----------------------------------------------------------------------- */

static bst_result run_status(struct admin *a)
{
    struct bst_server *server = a->server;
    const struct bst_server_ports *p = &server->ports;
    struct bst_http_stats s = {0};
    if (server->shared) {
        bst_http_shared_stats(server->shared, &s);
    }
    bst_buf_addf(a->out, "{\"running\":%s,\"pid\":%d,\"lab\":%s,\"uptime\":%lld,\"connections\":%llu",
                 server->loop ? "true" : "false", (int)getpid(), server->options.lab ? "true" : "false",
                 (long long)((bst_mono_us() - server->started_us) / BST_US_PER_S),
                 (unsigned long long)s.open);
    member(a->out, "cse", bst_view(p->cse));
    member(a->out, "mef", bst_view(p->mef));
    member(a->out, "metrics", bst_view(p->metrics));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* --- access --------------------------------------------------------------------------------- */

static bst_result parse_op(struct bst_view text, struct bst_cse_question *q)
{
    static const struct {
        const char *name;
        enum bst_m2m_op op;
        bool discovery;
    } ops[] = {
        {"create", BST_OP_CREATE, false}, {"retrieve", BST_OP_RETRIEVE, false},
        {"update", BST_OP_UPDATE, false}, {"delete", BST_OP_DELETE, false},
        {"notify", BST_OP_NOTIFY, false}, {"discover", BST_OP_RETRIEVE, true},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (bst_view_is(text, ops[i].name)) {
            q->op = ops[i].op;
            q->discovery = ops[i].discovery;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "'%.*s' is none of create, retrieve, update, delete, notify, discover",
             BST_VIEW_ARGS(text));
}

static bst_result read_question(struct admin *a, struct bst_cse_question *q)
{
    struct bst_view op = {0}, at = {0};
    int64_t ty = 0;
    BST_TRY(bst_json_string(a->args, "as", &q->originator));
    BST_TRY(bst_json_string(a->args, "target", &q->target));
    BST_TRY(bst_json_string(a->args, "op", &op));
    BST_TRY(parse_op(op, q));
    BST_TRY(bst_json_opt_i64(a->args, "ty", &ty));
    BST_TRY(bst_json_opt_bool(a->args, "proved", &q->proved));
    BST_TRY(bst_json_opt_string(a->args, "ip", &q->peer_ip));
    BST_TRY(bst_json_opt_string(a->args, "at", &at));
    q->child_ty = (int)ty;
    return at.len ? bst_rfc3339_parse(at, &q->at_us) : BST_OK;
}

static bst_result run_explain(struct admin *a)
{
    struct bst_cse_question q = {.proved = true};
    struct bst_cse_trace trace = {0};
    BST_TRY(read_question(a, &q));
    BST_TRY(bst_cse_explain(a->server->cse, &q, &trace));
    bst_buf_addf(a->out, "{\"permitted\":%s", trace.permitted ? "true" : "false");
    if (trace.policy[0]) {
        member(a->out, "policy", bst_view(trace.policy));
    }
    if (trace.rule >= 0) {
        bst_buf_addf(a->out, ",\"rule\":%d", trace.rule);
    }
    member(a->out, "attribute", bst_view(trace.attribute));
    member(a->out, "reason", bst_view(trace.reason));
    member(a->out, "clause", bst_view(trace.clause));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* People write a Credential-ID as it reads, "33-//domain/cse/Cpump"; its form escapes the slashes. */
static bst_result read_credential(struct admin *a, struct bst_view *ret)
{
    char normal[BST_CRED_ID_MAX + 1];
    struct bst_view written, value, head;
    bst_auto(buf) plain = {0};
    enum bst_cred_type type;
    int64_t number;
    BST_TRY(bst_json_string(a->args, "credential", &written));
    *ret = written;
    if (!bst_failed(bst_cred_id_parse(written, &type, &plain))) {
        return BST_OK;
    }
    value = written;
    if (!bst_view_cut(&value, '-', &head) || head.len != 2 || bst_failed(bst_parse_i64(head, &number)) ||
        number < 10) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not a Credential-ID, such as 12-KEY-ID@MEF or 33-//domain/AE",
                 BST_VIEW_ARGS(written));
    }
    BST_TRY(bst_cred_id_format((enum bst_cred_type)number, value, normal));
    *ret = bst_arena_view(&a->arena, bst_view(normal));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result read_reason(struct admin *a, struct bst_view *credential, struct bst_view *reason)
{
    *reason = BST_VIEW("no reason given");
    BST_TRY(read_credential(a, credential));
    return bst_json_opt_string(a->args, "reason", reason);
}

/* A key of a security association is cached where handshakes look. */
static void forget_key(struct bst_server *server, struct bst_view credential)
{
    enum bst_cred_type type;
    bst_auto(buf) value = {0};
    if (server->keys && !bst_failed(bst_cred_id_parse(credential, &type, &value)) &&
        type == BST_CRED_KPSA) {
        server_keys_forget(server->keys, bst_buf_view(&value));
    }
}

static bst_result run_revoke(struct admin *a)
{
    struct bst_view credential, reason;
    BST_TRY(read_reason(a, &credential, &reason));
    forget_key(a->server, credential);
    BST_TRY(server_revoke(a->server, credential, reason));
    BST_TRY(record(a, "credential.revoked", credential, (struct bst_view){0}, reason));
    bst_buf_adds(a->out, "{\"revoked\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result run_unrevoke(struct admin *a)
{
    struct bst_view credential, reason;
    BST_TRY(read_reason(a, &credential, &reason));
    BST_TRY(server_unrevoke(a->server, credential));
    BST_TRY(record(a, "credential.restored", credential, (struct bst_view){0}, reason));
    bst_buf_adds(a->out, "{\"restored\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* A hexadecimal key, wiped by the caller. */
static bst_result read_key(struct admin *a, struct bst_secret *ret)
{
    struct bst_view hex;
    BST_TRY(bst_json_string(a->args, "key", &hex));
    if (hex.len < 32 || hex.len > 128 || hex.len % 2) {
        BST_FAIL(BST_E_VALUE, "a key has 16 to 64 bytes, in hexadecimal");
    }
    BST_TRY(bst_secret_init(ret, hex.len / 2));
    bst_result r = bst_hex_decode(hex, ret->ptr, ret->len);
    if (bst_failed(r)) {
        bst_secret_clear(ret);
        BST_FAIL(BST_E_VALUE, "the key is not hexadecimal");
    }
    return BST_OK;
}

static bst_result import_kpsa(struct admin *a, struct bst_view id, const struct bst_secret *key)
{
    char label[BST_KEY_LABEL_MAX + 1];
    bst_key handle;
    int len = snprintf(label, sizeof label, SERVER_KPSA_PREFIX "%.*s", BST_VIEW_ARGS(id));
    if (len < 0 || (size_t)len >= sizeof label || id.len > BST_TLS_IDENTITY_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "a key identity has at most %d octets", BST_TLS_IDENTITY_MAX);
    }
    return bst_se_key_import(a->server->state->se,
                             &(struct bst_key_attrs){.type = BST_KEY_SYMMETRIC,
                                                     .uses = BST_KEY_USE_PSK,
                                                     .label = label,
                                                     .owner = "cse",
                                                     .persistent = true},
                             key, &handle);
}

/* TS-0003 8.2.2.1: a key provisioned for the association itself, without a MEF. */
static bst_result run_kpsa_add(struct admin *a)
{
    struct bst_view id, relative, fqdn;
    bst_auto(secret) key = {0};
    BST_TRY(bst_json_string(a->args, "id", &id));
    BST_TRY(bst_relative_id_split(id, &relative, &fqdn));
    BST_TRY(read_key(a, &key));
    BST_TRY(import_kpsa(a, id, &key));
    BST_TRY(record(a, "credential.added", id, (struct bst_view){0}, BST_VIEW("provisioned key")));
    bst_buf_adds(a->out, "{\"added\":");
    bst_buf_add_json(a->out, id);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* --- certificates --------------------------------------------------------------------------- */

static bst_result need_pki(struct admin *a)
{
    if (!a->server->pki) {
        BST_FAIL(BST_E_NOT_FOUND, "this state folder has no project CA");
    }
    return BST_OK;
}

static bst_result parse_flavour(struct bst_view text, enum bst_cert_flavour *ret)
{
    static const enum bst_cert_flavour all[] = {BST_CERT_AE, BST_CERT_CSE, BST_CERT_NODE,
                                                BST_CERT_DEVICE, BST_CERT_FQDN};
    static const char *const names[] = {"ae", "cse", "node", "device", "fqdn"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (bst_view_is(text, names[i])) {
            *ret = all[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "flavour '%.*s' is none of ae, cse, node, device, fqdn", BST_VIEW_ARGS(text));
}

static bst_result read_order(struct admin *a, struct bst_ca_order *order)
{
    struct bst_view flavour = BST_VIEW("ae");
    struct bst_view from = {0}, until = {0};
    int64_t ends_us;
    *order = (struct bst_ca_order){.role = BST_CERT_ANY_ROLE};
    BST_TRY(bst_json_string(a->args, "name", &order->name));
    BST_TRY(bst_json_opt_string(a->args, "flavour", &flavour));
    BST_TRY(bst_json_opt_string(a->args, "from", &from));
    BST_TRY(bst_json_opt_string(a->args, "until", &until));
    BST_TRY(parse_flavour(flavour, &order->flavour));
    if (from.len) {
        BST_TRY(bst_m2m_time_parse(from, &order->begin_us));
    }
    ends_us = bst_wall_us() + CERTIFICATE_LIFE_US;
    if (until.len) {
        BST_TRY(bst_m2m_time_parse(until, &ends_us));
    }
    order->lifetime_us = ends_us - (order->begin_us ? order->begin_us : bst_wall_us());
    if (order->lifetime_us <= 0 || order->lifetime_us > 10 * CERTIFICATE_LIFE_US) {
        BST_FAIL(BST_E_VALUE, "a certificate ends after it begins, and within ten years");
    }
    return BST_OK;
}

/* Certify a public key that the caller holds; the private one never comes here. */
static bst_result run_certify(struct admin *a)
{
    struct bst_ca_order order;
    struct bst_view spki64;
    bst_auto(buf) spki = {0};
    bst_auto(buf) pem = {0};
    bst_auto(buf) ca = {0};
    BST_TRY(need_pki(a));
    BST_TRY(read_order(a, &order));
    BST_TRY(bst_json_string(a->args, "spki", &spki64));
    BST_TRY(bst_base64_decode(spki64, &spki));
    if (order.flavour == BST_CERT_AE) {
        BST_TRY(server_certified(a->server, order.name));
    }
    BST_TRY(bst_ca_issue(a->server->state, a->server->pki, &order, bst_buf_view(&spki), &pem));
    BST_TRY(bst_pki_cert(a->server->pki, &ca));
    BST_TRY(record(a, "certificate.issued", order.name, (struct bst_view){0}, (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    member(a->out, "certificate", bst_buf_view(&pem));
    member(a->out, "ca", bst_buf_view(&ca));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result run_certificates(struct admin *a)
{
    bst_auto_free struct bst_issued *items = NULL;
    size_t n;
    BST_TRY(need_pki(a));
    BST_TRY(bst_ca_list(a->server->state, &items, &n));
    bst_buf_adds(a->out, "{\"certificates\":[");
    for (size_t i = 0; i < n; i++) {
        bst_buf_adds(a->out, i ? ",{" : "{");
        member(a->out, "serial", bst_view(items[i].serial));
        member(a->out, "name", bst_view(items[i].name));
        member(a->out, "flavour", bst_view(bst_cert_flavour_name(items[i].flavour)));
        member_time(a->out, "ends", items[i].ends_us);
        member_time(a->out, "revoked", items[i].revoked_us);
        bst_buf_addc(a->out, '}');
    }
    bst_buf_adds(a->out, "]}");
    return BST_OK;
}

static bst_result run_revoke_certificate(struct admin *a)
{
    struct bst_view which;
    int64_t reason = 0;
    size_t count;
    BST_TRY(need_pki(a));
    BST_TRY(bst_json_string(a->args, "which", &which));
    BST_TRY(bst_json_opt_i64(a->args, "reason", &reason));
    BST_TRY(bst_ca_revoke(a->server->state, a->server->pki, which, (int)reason, &count));
    BST_TRY(record(a, "certificate.revoked", which, (struct bst_view){0}, (struct bst_view){0}));
    /* Sessions of what is on the new list end. */
    BST_TRY(server_reload(a->server));
    bst_buf_addf(a->out, "{\"revoked\":%zu}", count);
    return BST_OK;
}

/* --- MEF ------------------------------------------------------------------------------------ */

static bst_result need_mef(struct admin *a, struct bst_mef **ret)
{
    *ret = server_mef_core(a->server->mef);
    if (!*ret) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no MEF here (mef.enabled is false)");
    }
    return BST_OK;
}

static bst_result read_client(struct admin *a, struct bst_mef_client_info *info)
{
    *info = (struct bst_mef_client_info){.admins = a->server->self.sp_domain};
    BST_TRY(bst_json_string(a->args, "client", &info->client_id));
    return bst_json_opt_string(a->args, "admins", &info->admins);
}

static bst_result run_mef_provision(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_mef_client_info info;
    struct bst_view id;
    bst_auto(secret) key = {0};
    BST_TRY(need_mef(a, &mef));
    BST_TRY(read_client(a, &info));
    BST_TRY(bst_json_string(a->args, "id", &id));
    BST_TRY(read_key(a, &key));
    BST_TRY(bst_mef_provision_psk(mef, id, &key, &info));
    BST_TRY(record(a, "mef.provisioned", id, info.client_id, (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    member(a->out, "id", id);
    member(a->out, "fqdn", bst_view(a->server->mef_fqdn));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result run_mef_provision_cert(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_mef_client_info info;
    struct bst_view name, flavour = BST_VIEW("ae");
    enum bst_cert_flavour kind;
    BST_TRY(need_mef(a, &mef));
    BST_TRY(read_client(a, &info));
    BST_TRY(bst_json_string(a->args, "name", &name));
    BST_TRY(bst_json_opt_string(a->args, "flavour", &flavour));
    BST_TRY(parse_flavour(flavour, &kind));
    BST_TRY(bst_mef_provision_cert(mef, kind, name, &info));
    BST_TRY(record(a, "mef.provisioned", name, info.client_id, (struct bst_view){0}));
    bst_buf_adds(a->out, "{\"name\":");
    bst_buf_add_json(a->out, name);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static void add_client(void *ctx, const struct bst_mef_client_info *info)
{
    struct bst_buf *out = ctx;
    bst_buf_adds(out, out->ptr[out->len - 1] == '[' ? "{" : ",{");
    member(out, "credential", info->cred_id);
    member(out, "client", info->client_id);
    member(out, "admins", info->admins);
    member_time(out, "made", info->created_us);
    bst_buf_addf(out, ",\"revoked\":%s}", info->revoked ? "true" : "false");
}

static bst_result run_mef_clients(struct admin *a)
{
    struct bst_mef *mef;
    BST_TRY(need_mef(a, &mef));
    bst_buf_adds(a->out, "{\"clients\":[");
    BST_TRY(bst_buf_check(a->out));
    BST_TRY(bst_mef_clients(mef, add_client, a->out));
    bst_buf_adds(a->out, "]}");
    return BST_OK;
}

static void add_key(void *ctx, const struct bst_mef_key_info *info)
{
    struct bst_buf *out = ctx;
    bst_buf_adds(out, out->ptr[out->len - 1] == '[' ? "{" : ",{");
    member(out, "key", info->relative_id);
    member(out, "source", info->source_id);
    member(out, "admin", info->admin);
    bst_buf_addf(out, ",\"suid\":%d,\"targets\":", info->suid);
    bst_buf_addv(out, info->targets.len ? info->targets : BST_VIEW("[]"));
    member_time(out, "made", info->created_us);
    member_time(out, "ends", info->expires_us);
    bst_buf_addc(out, '}');
}

static bst_result run_mef_keys(struct admin *a)
{
    struct bst_mef *mef;
    BST_TRY(need_mef(a, &mef));
    bst_buf_adds(a->out, "{\"keys\":[");
    BST_TRY(bst_buf_check(a->out));
    BST_TRY(bst_mef_keys(mef, add_key, a->out));
    bst_buf_adds(a->out, "]}");
    return BST_OK;
}

/* Identities of the keys that a client has registered. */
struct source_keys {
    struct admin *admin;
    struct bst_view credential, client;
    struct source_key {
        struct source_key *next;
        struct bst_view id;
    } *first;
    size_t n;
    bool failed;
};

static void find_client(void *ctx, const struct bst_mef_client_info *info)
{
    struct source_keys *s = ctx;
    if (bst_view_eq(info->cred_id, s->credential)) {
        s->client = bst_arena_view(&s->admin->arena, info->client_id);
    }
}

static void collect_key(void *ctx, const struct bst_mef_key_info *info)
{
    struct source_keys *s = ctx;
    if (!bst_view_eq(info->source_id, s->client)) {
        return;
    }
    struct source_key *key = bst_arena_alloc(&s->admin->arena, sizeof *key);
    if (key) {
        key->id = bst_arena_printf(&s->admin->arena, "%.*s@%s", BST_VIEW_ARGS(info->relative_id),
                                   s->admin->server->mef_fqdn);
    }
    if (!key || !key->id.ptr) {
        s->failed = true;
        return;
    }
    key->next = s->first;
    s->first = key;
    s->n++;
}

/* The keys that a revoked client made end with it: at the MEF, and in the CSE's associations. */
static bst_result run_mef_revoke(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_view credential, reason;
    BST_TRY(need_mef(a, &mef));
    BST_TRY(read_reason(a, &credential, &reason));
    struct source_keys *s = bst_arena_alloc(&a->arena, sizeof *s);
    BST_ENSURE(s, BST_E_NOMEM);
    s->admin = a;
    s->credential = credential;
    BST_TRY(bst_mef_clients(mef, find_client, s));
    BST_TRY(bst_mef_keys(mef, collect_key, s));
    BST_TRY(bst_mef_revoke(mef, credential));
    for (const struct source_key *key = s->first; key; key = key->next) {
        char cred_id[BST_CRED_ID_MAX + 1];
        BST_TRY(bst_cred_id_format(BST_CRED_KPSA, key->id, cred_id));
        forget_key(a->server, bst_view(cred_id));
        BST_TRY(server_revoke(a->server, bst_view(cred_id), reason));
    }
    BST_TRY(server_close_credential(a->server, credential));
    BST_TRY(record(a, "mef.revoked", credential, s->client, reason));
    if (s->failed) {
        BST_FAIL(BST_E_NOMEM, "the client is revoked, but some of its keys could not be listed");
    }
    bst_buf_adds(a->out, "{\"revoked\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addf(a->out, ",\"keys\":%zu}", s->n);
    return BST_OK;
}

/* --- upkeep --------------------------------------------------------------------------------- */

static bst_result run_reload(struct admin *a)
{
    BST_TRY(server_reload(a->server));
    bst_buf_adds(a->out, "{\"reloaded\":true}");
    return BST_OK;
}

static bst_result check_store(struct admin *a, const char *name, struct bst_store *store, bool full)
{
    bst_auto(buf) findings = {0};
    bst_result r = bst_store_check(store, full, &findings);
    if (r.code == BST_E_CORRUPT) {
        member(a->out, name, bst_buf_view(&findings));
        return BST_OK;
    }
    BST_TRY(r);
    member(a->out, name, BST_VIEW("whole"));
    return BST_OK;
}

static bst_result run_check(struct admin *a)
{
    bool full = false;
    BST_TRY(bst_json_opt_bool(a->args, "full", &full));
    bst_buf_addc(a->out, '{');
    BST_TRY(check_store(a, "cse", a->server->store, full));
    if (a->server->mef) {
        BST_TRY(check_store(a, "mef", server_mef_store(a->server->mef), full));
    }
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result read_generation(struct bst_store *store, int64_t *ret)
{
    struct bst_store_conn *reader;
    BST_TRY(bst_store_reader(store, &reader));
    bst_result r = bst_store_generation(reader, ret);
    bst_store_reader_close(&reader);
    return r;
}

static bst_result run_snapshot(struct admin *a)
{
    char folder[BST_PATH_MAX];
    int64_t generation;
    BST_TRY(read_generation(a->server->store, &generation));
    BST_TRY(server_snapshot(a->server, folder));
    BST_TRY(record(a, "state.snapshot", (struct bst_view){0}, bst_view(folder), (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    member(a->out, "folder", bst_view(folder));
    bst_buf_addf(a->out, ",\"generation\":%lld}", (long long)generation);
    return BST_OK;
}

/* --- the table ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bst_result (*run)(struct admin *a);
} operations[] = {
    {"status", run_status},
    {"explain", run_explain},
    {"revoke", run_revoke},
    {"unrevoke", run_unrevoke},
    {"kpsa-add", run_kpsa_add},
    {"certify", run_certify},
    {"certificates", run_certificates},
    {"revoke-certificate", run_revoke_certificate},
    {"mef-provision", run_mef_provision},
    {"mef-provision-certificate", run_mef_provision_cert},
    {"mef-clients", run_mef_clients},
    {"mef-keys", run_mef_keys},
    {"mef-revoke", run_mef_revoke},
    {"reload", run_reload},
    {"check", run_check},
    {"snapshot", run_snapshot},
};

static bst_result run_with_args(struct admin *a, size_t row, struct bst_view args)
{
    BST_TRY(bst_json_parse(&a->arena, args.len ? args : BST_VIEW("{}"), ADMIN_DEPTH, &a->args));
    BST_TRY(operations[row].run(a));
    return bst_buf_check(a->out);
}

bst_result bst_admin_run(struct bst_server *server, struct bst_view op, struct bst_view args,
                         struct bst_buf *ret)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (!bst_view_is(op, operations[i].name)) {
            continue;
        }
        struct admin a = {.server = server, .out = ret};
        bst_arena_init(&a.arena, ADMIN_ARENA);
        pthread_mutex_lock(&server->admin_lock);
        bst_result r = run_with_args(&a, i, args);
        pthread_mutex_unlock(&server->admin_lock);
        bst_arena_clear(&a.arena);
        return r;
    }
    BST_FAIL(BST_E_NOT_FOUND, "there is no administrative command '%.*s'", BST_VIEW_ARGS(op));
}

/* --- the other end of the socket ------------------------------------------------------------ */

static enum bst_error error_of(struct bst_view name)
{
    for (unsigned i = 0; i < BST_E_COUNT; i++) {
        if (bst_view_is(name, bst_error_name((enum bst_error)i))) {
            return (enum bst_error)i;
        }
    }
    return BST_E_INTERNAL;
}

static bst_result take_answer(struct bst_arena *arena, const struct bst_http_msg *answer,
                              struct bst_buf *ret)
{
    if (answer->status == 200) {
        bst_buf_addv(ret, answer->body);
        return bst_buf_check(ret);
    }
    yyjson_val *root;
    struct bst_view error = {0}, detail = {0};
    BST_TRY(bst_json_parse(arena, answer->body, 4, &root));
    BST_TRY(bst_json_string(root, "error", &error));
    BST_TRY(bst_json_string(root, "detail", &detail));
    BST_FAIL(error_of(error), "%.*s", BST_VIEW_ARGS(detail));
}

static bst_result ask(struct bst_loop *loop, const char *address, const char *op, struct bst_view args,
                      struct bst_buf *ret)
{
    struct bst_http_client *client;
    struct bst_http_msg answer = {0};
    struct bst_arena arena;
    char path[64];
    int len = snprintf(path, sizeof path, "/%s", op);
    struct bst_http_header header = {BST_VIEW("Content-Type"), BST_VIEW("application/json")};
    struct bst_http_call_spec spec = {
        .target = {.address = address, .host = "admin"}, .method = BST_HTTP_POST,
        .path = bst_view_of(path, (size_t)len), .headers = &header, .n_headers = 1, .body = args,
        .timeout_ms = 600000, .once = true,
    };
    BST_TRY(bst_http_client_new(
        loop,
        &(struct bst_http_client_config){
            .message = {.line_bytes = 8192, .head_bytes = 16384, .headers = 64, .body_bytes = 64 << 20}},
        &client));
    bst_arena_init(&arena, 0);
    bst_result r = bst_http_client_call_blocking(client, &spec, &arena, &answer);
    if (!bst_failed(r)) {
        r = take_answer(&arena, &answer, ret);
    }
    bst_http_client_free(&client);
    bst_arena_clear(&arena);
    return r;
}

static bst_result ask_running(const struct bst_state_options *options, const char *op,
                              struct bst_view args, struct bst_buf *ret)
{
    bst_auto(config) config = {0};
    struct bst_loop *loop;
    char path[BST_PATH_MAX], address[BST_PATH_MAX + 8];
    BST_TRY(bst_state_config(options, &config));
    BST_TRY(bst_state_path(options->folder, config.admin.socket, path));
    snprintf(address, sizeof address, "unix:%s", path);
    BST_TRY(bst_loop_new(&loop));
    bst_result r = ask(loop, address, op, args, ret);
    bst_loop_free(&loop);
    return r;
}

bst_result bst_admin_call(const struct bst_state_options *options, const char *op,
                          struct bst_view args, struct bst_buf *ret)
{
    struct bst_state *state = NULL;
    struct bst_server *server = NULL;
    bst_result r = bst_state_open(options, &state);
    if (r.code == BST_E_LOCKED) {
        return ask_running(options, op, args, ret);
    }
    BST_TRY(r);
    struct bst_server_options server_options = {.state = state};
    r = bst_server_new(&server_options, &server);
    if (!bst_failed(r)) {
        r = bst_admin_run(server, bst_view(op), args, ret);
    }
    bst_server_free(&server);
    bst_state_close(&state);
    return r;
}
