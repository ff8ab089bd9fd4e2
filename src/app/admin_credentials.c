/* Administrative commands about certificates of the project CA and about the MEF's clients and
 * keys. */
#include "app/admin_priv.h"

#include "sys/clock.h"

#define CERTIFICATE_LIFE_US (INT64_C(366) * 86400 * BST_US_PER_S)

/* --- certificates --------------------------------------------------------------------------- */

bst_result admin_parse_flavour(struct bst_view text, enum bst_cert_flavour *ret)
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
    BST_FAIL(BST_E_VALUE, "flavour '%.*s' is none of ae, cse, node, device, fqdn",
             BST_VIEW_ARGS(text));
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
    BST_TRY(admin_parse_flavour(flavour, &order->flavour));
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
bst_result admin_certify(struct admin *a)
{
    struct bst_ca_order order;
    struct bst_view spki64;
    bst_auto(buf) spki = {0};
    bst_auto(buf) pem = {0};
    bst_auto(buf) ca = {0};
    BST_TRY(server_ca_need(a->server));
    BST_TRY(read_order(a, &order));
    BST_TRY(bst_json_string(a->args, "spki", &spki64));
    BST_TRY(bst_base64_decode(spki64, &spki));
    if (order.flavour == BST_CERT_AE) {
        BST_TRY(server_certified(a->server, order.name));
    }
    BST_TRY(bst_ca_issue(a->server->state, a->server->pki, &order, bst_buf_view(&spki), &pem));
    BST_TRY(bst_pki_roots(a->server->pki, &ca));
    BST_TRY(admin_record(a, "certificate.issued", order.name, (struct bst_view){0},
                         (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    admin_member(a->out, "certificate", bst_buf_view(&pem));
    admin_member(a->out, "ca", bst_buf_view(&ca));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

bst_result admin_certificates(struct admin *a)
{
    bst_auto_free struct bst_issued *items = NULL;
    size_t n;
    BST_TRY(bst_ca_list(a->server->state, &items, &n));
    bst_buf_adds(a->out, "{\"certificates\":[");
    for (size_t i = 0; i < n; i++) {
        bst_buf_adds(a->out, i ? ",{" : "{");
        admin_member(a->out, "serial", bst_view(items[i].serial));
        admin_member(a->out, "issuer", bst_view(items[i].issuer));
        admin_member(a->out, "name", bst_view(items[i].name));
        admin_member(a->out, "flavour", bst_view(bst_cert_flavour_name(items[i].flavour)));
        admin_member_time(a->out, "ends", items[i].ends_us);
        admin_member_time(a->out, "revoked", items[i].revoked_us);
        bst_buf_addc(a->out, '}');
    }
    bst_buf_adds(a->out, "]}");
    return BST_OK;
}

bst_result admin_revoke_certificate(struct admin *a)
{
    struct bst_view which;
    int64_t reason = 0;
    size_t count;
    BST_TRY(server_ca_need(a->server));
    BST_TRY(bst_json_string(a->args, "which", &which));
    BST_TRY(bst_json_opt_i64(a->args, "reason", &reason));
    BST_TRY(bst_ca_revoke(a->server->state, a->server->pki, which, (int)reason, &count));
    BST_TRY(
        admin_record(a, "certificate.revoked", which, (struct bst_view){0}, (struct bst_view){0}));
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

bst_result admin_mef_provision(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_mef_client_info info;
    struct bst_view id;
    bst_auto(secret) key = {0};
    BST_TRY(need_mef(a, &mef));
    BST_TRY(read_client(a, &info));
    BST_TRY(bst_json_string(a->args, "id", &id));
    BST_TRY(admin_read_key(a, &key));
    BST_TRY(bst_mef_provision_psk(mef, id, &key, &info));
    BST_TRY(admin_record(a, "mef.provisioned", id, info.client_id, (struct bst_view){0}));
    bst_buf_addc(a->out, '{');
    admin_member(a->out, "id", id);
    admin_member(a->out, "fqdn", bst_view(a->server->mef_fqdn));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

bst_result admin_mef_provision_cert(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_mef_client_info info;
    struct bst_view name, flavour = BST_VIEW("ae");
    enum bst_cert_flavour kind;
    BST_TRY(need_mef(a, &mef));
    BST_TRY(read_client(a, &info));
    BST_TRY(bst_json_string(a->args, "name", &name));
    BST_TRY(bst_json_opt_string(a->args, "flavour", &flavour));
    BST_TRY(admin_parse_flavour(flavour, &kind));
    BST_TRY(bst_mef_provision_cert(mef, kind, name, &info));
    BST_TRY(admin_record(a, "mef.provisioned", name, info.client_id, (struct bst_view){0}));
    bst_buf_adds(a->out, "{\"name\":");
    bst_buf_add_json(a->out, name);
    bst_buf_addc(a->out, '}');
    return BST_OK;
}

static void add_client(void *ctx, const struct bst_mef_client_info *info)
{
    struct bst_buf *out = ctx;
    bst_buf_adds(out, out->ptr[out->len - 1] == '[' ? "{" : ",{");
    admin_member(out, "credential", info->cred_id);
    admin_member(out, "client", info->client_id);
    admin_member(out, "admins", info->admins);
    admin_member_time(out, "made", info->created_us);
    bst_buf_addf(out, ",\"revoked\":%s}", info->revoked ? "true" : "false");
}

bst_result admin_mef_clients(struct admin *a)
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
    admin_member(out, "key", info->relative_id);
    admin_member(out, "source", info->source_id);
    admin_member(out, "admin", info->admin);
    bst_buf_addf(out, ",\"suid\":%d,\"targets\":", info->suid);
    bst_buf_addv(out, info->targets.len ? info->targets : BST_VIEW("[]"));
    admin_member_time(out, "made", info->created_us);
    admin_member_time(out, "ends", info->expires_us);
    bst_buf_addc(out, '}');
}

bst_result admin_mef_keys(struct admin *a)
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
    } * first;
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
bst_result admin_mef_revoke(struct admin *a)
{
    struct bst_mef *mef;
    struct bst_view credential, reason;
    BST_TRY(need_mef(a, &mef));
    BST_TRY(admin_read_reason(a, &credential, &reason));
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
        admin_forget_key(a->server, bst_view(cred_id));
        BST_TRY(server_revoke(a->server, bst_view(cred_id), reason));
    }
    BST_TRY(server_close_credential(a->server, credential));
    BST_TRY(admin_record(a, "mef.revoked", credential, s->client, reason));
    if (s->failed) {
        BST_FAIL(BST_E_NOMEM, "the client is revoked, but some of its keys could not be listed");
    }
    bst_buf_adds(a->out, "{\"revoked\":");
    bst_buf_add_json(a->out, credential);
    bst_buf_addf(a->out, ",\"keys\":%zu}", s->n);
    return BST_OK;
}
