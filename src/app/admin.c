/* Administrative commands, one table: through the admin socket of a running server, or directly on
 * a stopped one. Arguments and answers are JSON objects. Every change is on the audit trail. */
#include "app/admin_priv.h"

#include "app/backup.h"
#include "sys/clock.h"

#include <stdio.h>
#include <unistd.h>

#define ADMIN_ARENA ((size_t)8 << 20)
#define ADMIN_DEPTH 8

void admin_member(struct bst_buf *out, const char *name, struct bst_view value)
{
    char last = out->len ? out->ptr[out->len - 1] : '{';
    bst_buf_addf(out, "%s\"%s\":", last == '{' ? "" : ",", name);
    bst_buf_add_json(out, value);
}

void admin_member_time(struct bst_buf *out, const char *name, int64_t wall_us)
{
    char when[BST_RFC3339_LEN + 1];
    if (wall_us) {
        bst_rfc3339_format(wall_us, when);
        admin_member(out, name, bst_view(when));
    }
}

bst_result admin_record(struct admin *a, const char *event, struct bst_view credential,
                        struct bst_view target, struct bst_view detail)
{
    struct bst_audit_event e = {
        .event = event,
        .subject = BST_VIEW("administrator"),
        .credential = credential,
        .target = target,
        .decision = BST_VIEW("done"),
        .detail = detail,
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
    bst_buf_addf(
        a->out, "{\"running\":%s,\"pid\":%d,\"lab\":%s,\"uptime\":%lld,\"connections\":%llu",
        server->loop ? "true" : "false", (int)getpid(), server->options.lab ? "true" : "false",
        (long long)((bst_mono_us() - server->started_us) / BST_US_PER_S),
        (unsigned long long)s.open);
    admin_member(a->out, "cse", bst_view(p->cse));
    admin_member(a->out, "mef", bst_view(p->mef));
    admin_member(a->out, "metrics", bst_view(p->metrics));
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
        admin_member(a->out, "policy", bst_view(trace.policy));
    }
    if (trace.rule >= 0) {
        bst_buf_addf(a->out, ",\"rule\":%d", trace.rule);
    }
    admin_member(a->out, "attribute", bst_view(trace.attribute));
    admin_member(a->out, "reason", bst_view(trace.reason));
    admin_member(a->out, "clause", bst_view(trace.clause));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* People write a Credential-ID as it reads, "33-//domain/cse/Cpump"; its form escapes the slashes.
 */
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
    if (!bst_view_cut(&value, '-', &head) || head.len != 2 ||
        bst_failed(bst_parse_i64(head, &number)) || number < 10) {
        BST_FAIL(BST_E_VALUE,
                 "'%.*s' is not a Credential-ID, such as 12-KEY-ID@MEF or 33-//domain/AE",
                 BST_VIEW_ARGS(written));
    }
    BST_TRY(bst_cred_id_format((enum bst_cred_type)number, value, normal));
    *ret = bst_arena_view(&a->arena, bst_view(normal));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

bst_result admin_read_reason(struct admin *a, struct bst_view *credential, struct bst_view *reason)
{
    *reason = BST_VIEW("no reason given");
    BST_TRY(read_credential(a, credential));
    return bst_json_opt_string(a->args, "reason", reason);
}

/* A key of a security association is cached where handshakes look. */
void admin_forget_key(struct bst_server *server, struct bst_view credential)
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
    BST_TRY(admin_read_reason(a, &credential, &reason));
    admin_forget_key(a->server, credential);
    BST_TRY(server_revoke(a->server, credential, reason));
    BST_TRY(admin_record(a, "credential.revoked", credential, (struct bst_view){0}, reason));
    bst_buf_adds(a->out, "{\"revoked\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result run_unrevoke(struct admin *a)
{
    struct bst_view credential, reason;
    BST_TRY(admin_read_reason(a, &credential, &reason));
    BST_TRY(server_unrevoke(a->server, credential));
    BST_TRY(admin_record(a, "credential.restored", credential, (struct bst_view){0}, reason));
    bst_buf_adds(a->out, "{\"restored\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static bst_result run_free_ae(struct admin *a)
{
    struct bst_view ae_id;
    BST_TRY(bst_json_string(a->args, "ae", &ae_id));
    BST_TRY(server_free_ae(a->server, ae_id));
    BST_TRY(admin_record(a, "ae.freed", (struct bst_view){0}, ae_id, (struct bst_view){0}));
    bst_buf_adds(a->out, "{\"freed\":");
    bst_buf_add_json(a->out, ae_id);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

/* A hexadecimal key, wiped by the caller. */
bst_result admin_read_key(struct admin *a, struct bst_secret *ret)
{
    struct bst_view hex;
    BST_TRY(bst_json_string(a->args, "key", &hex));
    if (hex.len < 32 || hex.len > 128 || hex.len % 2) {
        BST_FAIL(BST_E_VALUE, "a key has 16 to 64 bytes, in hexadecimal");
    }
    BST_TRY(bst_secret_init(ret, hex.len / 2));
    bst_result r = bst_hex_decode(hex, ret->ptr, ret->len);
    bst_wipe((void *)(uintptr_t)hex.ptr, hex.len); /* the text of this request, not shared */
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
    BST_TRY(admin_read_key(a, &key));
    BST_TRY(import_kpsa(a, id, &key));
    BST_TRY(
        admin_record(a, "credential.added", id, (struct bst_view){0}, BST_VIEW("provisioned key")));
    bst_buf_adds(a->out, "{\"added\":");
    bst_buf_add_json(a->out, id);
    bst_buf_addc(a->out, '}');
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
        admin_member(a->out, name, bst_buf_view(&findings));
        return BST_OK;
    }
    BST_TRY(r);
    admin_member(a->out, name, BST_VIEW("whole"));
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
    BST_TRY(admin_record(a, "state.snapshot", (struct bst_view){0}, bst_view(folder),
                         (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    admin_member(a->out, "folder", bst_view(folder));
    bst_buf_addf(a->out, ",\"generation\":%lld}", (long long)generation);
    return BST_OK;
}

/* --- the table ------------------------------------------------------------------------------ */

/* What uses keys or reads a whole store may wait; only one of these runs at a time. */
static const struct {
    const char *name;
    bst_result (*run)(struct admin *a);
    bool waits;
} operations[] = {
    {"status", run_status, false},
    {"explain", run_explain, false},
    {"revoke", run_revoke, true},
    {"unrevoke", run_unrevoke, false},
    {"free-ae", run_free_ae, false},
    {"kpsa-add", run_kpsa_add, true},
    {"certify", admin_certify, true},
    {"certificates", admin_certificates, true},
    {"revoke-certificate", admin_revoke_certificate, true},
    {"mef-provision", admin_mef_provision, true},
    {"mef-provision-certificate", admin_mef_provision_cert, true},
    {"mef-clients", admin_mef_clients, false},
    {"mef-keys", admin_mef_keys, false},
    {"mef-revoke", admin_mef_revoke, true},
    {"key-rotate", admin_key_rotate, true},
    {"ca-rotate", admin_ca_rotate, true},
    {"ca-retire", admin_ca_retire, true},
    {"reload", run_reload, true},
    {"check", run_check, true},
    {"snapshot", run_snapshot, true},
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

static size_t find_operation(struct bst_view op)
{
    size_t row = 0;
    while (row < OPERATIONS && !bst_view_is(op, operations[row].name)) {
        row++;
    }
    return row;
}

bool server_admin_waits(struct bst_view op)
{
    size_t row = find_operation(op);
    return row < OPERATIONS && operations[row].waits;
}

static bst_result run_with_args(struct admin *a, size_t row, struct bst_view args)
{
    BST_TRY(bst_json_parse(&a->arena, args.len ? args : BST_VIEW("{}"), ADMIN_DEPTH, &a->args));
    BST_TRY(operations[row].run(a));
    return bst_buf_check(a->out);
}

bst_result bst_admin_run(struct bst_server *server, struct bst_view op, struct bst_view args,
                         struct bst_buf *ret)
{
    struct admin a = {.server = server, .out = ret};
    size_t row = find_operation(op);
    if (row == OPERATIONS) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no administrative command '%.*s'", BST_VIEW_ARGS(op));
    }
    bst_arena_init(&a.arena, ADMIN_ARENA);
    if (operations[row].waits) {
        pthread_mutex_lock(&server->admin_lock);
    }
    bst_result r = run_with_args(&a, row, args);
    if (operations[row].waits) {
        pthread_mutex_unlock(&server->admin_lock);
    }
    bst_arena_clear(&a.arena);
    return r;
}
