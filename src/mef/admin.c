/* Administration of the MEF: who may come, who may no longer, what has expired, what a crash left.
 */
#include "mef/mef_priv.h"

#include "base/map.h"
#include "obs/log.h"

#include <stdio.h>

enum { EXPIRE_SLICE = 500 };

/* ---- letting in ---- */

struct provision {
    struct bst_view cred_id, admins;
    char client_id[MEF_ID_MAX + 1];
    int64_t now_us;
};

static bst_result admins_check(struct bst_view admins)
{
    struct bst_view rest = admins, word;
    size_t n = 0;
    for (bool more = true; more;) {
        more = bst_view_cut(&rest, ' ', &word);
        if (word.len && !bst_fqdn_valid(word)) {
            BST_FAIL(BST_E_VALUE, "stakeholder '%.*s' is not a domain name", BST_VIEW_ARGS(word));
        }
        n += word.len > 0;
    }
    if (!n || admins.len >= sizeof((struct mef_client *)0)->admins) {
        BST_FAIL(BST_E_VALUE, "a client needs at least one stakeholder, and not too many");
    }
    return BST_OK;
}

static bst_result provision_run(struct bst_store_conn *conn, void *arg)
{
    const struct provision *p = arg;
    struct mef_client old;
    bool found;
    BST_TRY(mef_db_client(conn, p->cred_id, &old, &found));
    if (found) {
        BST_FAIL(BST_E_EXISTS, "credential %.*s is known already%s", BST_VIEW_ARGS(p->cred_id),
                 old.revoked ? ", and revoked" : "");
    }
    return mef_db_client_add(conn, p->cred_id, bst_view(p->client_id), p->admins, p->now_us);
}

static bst_result provision(struct bst_mef *mef, struct bst_view cred_id,
                            const struct bst_mef_client_info *info)
{
    struct provision p = {.cred_id = cred_id, .admins = info->admins, .now_us = bst_wall_us()};
    BST_TRY(admins_check(info->admins));
    BST_TRY(mef_client_id(mef, info->client_id, p.client_id));
    return bst_store_run(mef->config.store, provision_run, &p);
}

static bst_result kpm_import(struct bst_mef *mef, struct bst_view kpm_id,
                             const struct bst_secret *kpm, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    snprintf(label, sizeof label, MEF_KPM_LABEL "%.*s", BST_VIEW_ARGS(kpm_id));
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC,
                                  .uses = BST_KEY_USE_PSK,
                                  .suid = 10,
                                  .label = label,
                                  .persistent = true};
    return bst_se_key_import(mef->config.se, &attrs, kpm, ret);
}

bst_result bst_mef_provision_psk(struct bst_mef *mef, struct bst_view kpm_id,
                                 const struct bst_secret *kpm,
                                 const struct bst_mef_client_info *info)
{
    struct bst_view relative, fqdn;
    char cred_id[BST_CRED_ID_MAX + 1];
    bst_key key = 0;
    BST_TRY(bst_relative_id_split(kpm_id, &relative, &fqdn));
    if (kpm_id.len > 255 || kpm->len < 16) {
        BST_FAIL(BST_E_VALUE, "a KpmID has at most 255 characters, a Kpm at least 16 octets");
    }
    BST_TRY(bst_cred_id_format(BST_CRED_KPM, kpm_id, cred_id));
    BST_TRY(kpm_import(mef, kpm_id, kpm, &key));
    bst_result r = provision(mef, bst_view(cred_id), info);
    if (bst_failed(r)) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        if (bst_failed(bst_se_key_delete(mef->config.se, key))) {
            bst_log(BST_LOG_WARN, "mef.key_left", "the key of %s stays until the next start",
                    cred_id);
        }
        bst_error_set_detail(why);
    }
    return r;
}

bst_result bst_mef_provision_cert(struct bst_mef *mef, enum bst_cert_flavour flavour,
                                  struct bst_view name, const struct bst_mef_client_info *info)
{
    char cred_id[BST_CRED_ID_MAX + 1];
    BST_TRY(mef_cert_cred_id(mef, flavour, name, cred_id));
    return provision(mef, bst_view(cred_id), info);
}

/* ---- shutting out ---- */

struct revocation {
    struct bst_view cred_id;
    struct bst_arena arena;
    struct mef_gone *gone;
};

static bst_result revoke_run(struct bst_store_conn *conn, void *arg)
{
    struct revocation *r = arg;
    struct mef_client client;
    bool found;
    int64_t others;
    BST_TRY(mef_db_client(conn, r->cred_id, &client, &found));
    if (!found) {
        BST_FAIL(BST_E_NOT_FOUND, "no credential %.*s", BST_VIEW_ARGS(r->cred_id));
    }
    BST_TRY(mef_db_client_revoke(conn, r->cred_id));
    BST_TRY(mef_db_client_credentials(conn, bst_view(client.id), &others));
    return others ? BST_OK : mef_db_client_clear(conn, bst_view(client.id), &r->arena, &r->gone);
}

static bst_result drop_all(struct bst_mef *mef, const struct mef_gone *gone)
{
    for (; gone; gone = gone->next) {
        BST_TRY(mef_key_drop(mef, gone->relative_id));
    }
    return BST_OK;
}

static bst_result kpm_drop(struct bst_mef *mef, struct bst_view cred_id)
{
    enum bst_cred_type type;
    bst_auto(buf) value = {0};
    bst_key key = 0;
    BST_TRY(bst_cred_id_parse(cred_id, &type, &value));
    if (type == BST_CRED_KPM) {
        BST_TRY(bst_mef_psk_key(mef, bst_buf_view(&value), &key));
    }
    return key ? bst_se_key_delete(mef->config.se, key) : BST_OK;
}

bst_result bst_mef_revoke(struct bst_mef *mef, struct bst_view cred_id)
{
    struct revocation rev = {.cred_id = cred_id};
    bst_arena_init(&rev.arena, 0);
    bst_result r = bst_store_run(mef->config.store, revoke_run, &rev);
    r = bst_failed(r) ? r : kpm_drop(mef, cred_id);
    r = bst_failed(r) ? r : drop_all(mef, rev.gone);
    bst_arena_clear(&rev.arena);
    return r;
}

/* ---- lists ---- */

struct listing {
    void (*each_client)(void *ctx, const struct bst_mef_client_info *info);
    void (*each_key)(void *ctx, const struct bst_mef_key_info *info);
    void *ctx;
};

static bst_result list_run(struct bst_store_conn *conn, void *arg)
{
    const struct listing *l = arg;
    return l->each_client ? mef_db_clients(conn, l->each_client, l->ctx)
                          : mef_db_keys(conn, l->each_key, l->ctx);
}

bst_result bst_mef_clients(struct bst_mef *mef,
                           void (*each)(void *ctx, const struct bst_mef_client_info *info),
                           void *ctx)
{
    struct listing l = {.each_client = each, .ctx = ctx};
    return bst_store_run(mef->config.store, list_run, &l);
}

bst_result bst_mef_keys(struct bst_mef *mef,
                        void (*each)(void *ctx, const struct bst_mef_key_info *info), void *ctx)
{
    struct listing l = {.each_key = each, .ctx = ctx};
    return bst_store_run(mef->config.store, list_run, &l);
}

/* ---- expiry ---- */

struct sweep {
    struct bst_arena arena;
    struct mef_gone *gone;
    int64_t now_us;
    unsigned removed;
};

static bst_result sweep_run(struct bst_store_conn *conn, void *arg)
{
    struct sweep *s = arg;
    return mef_db_expire(conn, s->now_us, EXPIRE_SLICE, &s->arena, &s->gone, &s->removed);
}

bst_result bst_mef_sweep(struct bst_mef *mef, unsigned *ret_removed)
{
    struct sweep s = {.now_us = bst_wall_us()};
    bst_arena_init(&s.arena, 0);
    bst_result r = bst_store_run(mef->config.store, sweep_run, &s);
    r = bst_failed(r) ? r : drop_all(mef, s.gone);
    bst_arena_clear(&s.arena);
    if (!bst_failed(r)) {
        *ret_removed = s.removed;
    }
    return r;
}

/* ---- after a crash ---- */

struct reconciliation {
    struct bst_mef *mef;
    struct bst_map labels; /* of keys in `se` that belong to the MEF; the value is not NULL */
    bool failed;
    struct bst_arena arena;
    struct mef_gone *lost; /* records without a key */
};

static bool is_ours(const char *label)
{
    return strncmp(label, MEF_KEY_LABEL, sizeof MEF_KEY_LABEL - 1) == 0 ||
           strncmp(label, MEF_KPM_LABEL, sizeof MEF_KPM_LABEL - 1) == 0;
}

static bool note_label(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct reconciliation *rec = ctx;
    if (attrs->label && is_ours(attrs->label)) {
        rec->failed = bst_failed(bst_map_set(&rec->labels, bst_view(attrs->label), rec, NULL));
    }
    return !rec->failed;
}

/* A record has its key: that key stays. */
static void note_key(void *ctx, const struct bst_mef_key_info *info)
{
    struct reconciliation *rec = ctx;
    struct bst_view label =
        bst_arena_printf(&rec->arena, MEF_KEY_LABEL "%.*s", BST_VIEW_ARGS(info->relative_id));
    struct mef_gone *lost = bst_arena_alloc(&rec->arena, sizeof *lost);
    if (!label.ptr || !lost) {
        rec->failed = true;
    } else if (!bst_map_remove(&rec->labels, label) &&
               !bst_failed(
                   bst_view_copy(info->relative_id, lost->relative_id, sizeof lost->relative_id))) {
        lost->next = rec->lost;
        rec->lost = lost;
    }
}

static void note_client(void *ctx, const struct bst_mef_client_info *info)
{
    struct reconciliation *rec = ctx;
    enum bst_cred_type type;
    bst_auto(buf) kpm_id = {0};
    if (info->revoked || bst_failed(bst_cred_id_parse(info->cred_id, &type, &kpm_id)) ||
        type != BST_CRED_KPM) {
        return;
    }
    struct bst_view label =
        bst_arena_printf(&rec->arena, MEF_KPM_LABEL "%.*s", BST_VIEW_ARGS(bst_buf_view(&kpm_id)));
    rec->failed = rec->failed || !label.ptr;
    if (label.ptr) {
        bst_map_remove(&rec->labels, label);
    }
}

static bst_result reconcile_run(struct bst_store_conn *conn, void *arg)
{
    struct reconciliation *rec = arg;
    BST_TRY(mef_db_keys(conn, note_key, rec));
    BST_TRY(mef_db_clients(conn, note_client, rec));
    BST_ENSURE(!rec->failed, BST_E_NOMEM);
    for (const struct mef_gone *lost = rec->lost; lost; lost = lost->next) {
        BST_TRY(mef_db_key_remove(conn, bst_view(lost->relative_id)));
    }
    return BST_OK;
}

/* Keys that no record names any more. */
static bst_result drop_orphans(struct reconciliation *rec)
{
    size_t cursor = 0;
    struct bst_view label;
    void *value;
    while (bst_map_next(&rec->labels, &cursor, &label, &value)) {
        char text[BST_KEY_LABEL_MAX + 1];
        bst_key key = 0;
        BST_TRY(bst_view_copy(label, text, sizeof text));
        BST_TRY(bst_se_key_find(rec->mef->config.se, text, &key));
        if (key) {
            bst_log(BST_LOG_WARN, "mef.orphan_removed", "key %s had no record", text);
            BST_TRY(bst_se_key_delete(rec->mef->config.se, key));
        }
    }
    return BST_OK;
}

bst_result mef_reconcile(struct bst_mef *mef)
{
    struct reconciliation rec = {.mef = mef};
    bst_arena_init(&rec.arena, 0);
    bst_result r = bst_se_key_list(mef->config.se, note_label, &rec);
    r = bst_failed(r) || !rec.failed ? r : bst_error(BST_E_NOMEM);
    r = bst_failed(r) ? r : bst_store_run(mef->config.store, reconcile_run, &rec);
    r = bst_failed(r) ? r : drop_orphans(&rec);
    bst_map_clear(&rec.labels);
    bst_arena_clear(&rec.arena);
    return r;
}
