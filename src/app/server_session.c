/* Sessions: from a verified handshake to an association, and the durable facts behind it: which
 * credential registered which AE, and which credentials are revoked (TS-0003 8.2.1). */
#include "app/server_priv.h"

#include "obs/log.h"
#include "store/resource.h"
#include "sys/clock.h"

#include <stdio.h>

/* Name spaces in the CSE's store. Keys join two texts by a NUL, which neither contains. */
#define NS_CREDENTIAL_AES "credential-ae" /* credential NUL stem */
#define NS_AE_CREDENTIALS "ae-credential" /* stem NUL credential */
#define NS_CERTIFIED_AES "certified-ae"   /* stem */
#define NS_FORMER_AES "former-ae"         /* stem of an AE that is gone -> its credential */
#define NS_FORMER_OF "former-of"          /* credential -> stem: each keeps its last one */

/* --- bindings ------------------------------------------------------------------------------- */

static void pair_key(struct bst_buf *out, struct bst_view first, struct bst_view second)
{
    bst_buf_addv(out, first);
    bst_buf_addc(out, '\0');
    bst_buf_addv(out, second);
}

void server_bindings_changed(void *ctx)
{
    struct bst_server *server = ctx;
    atomic_fetch_add(&server->bindings, 1);
}

/* Second halves of the keys that begin with `first`. */
struct seconds {
    struct bst_arena *arena;
    struct bst_view prefix;
    struct bst_view items[64];
    size_t n;
    bool failed;
};

static bool collect_second(void *arg, struct bst_view key, struct bst_view value)
{
    struct seconds *s = arg;
    if (!bst_view_starts(key, s->prefix) || s->n >= sizeof s->items / sizeof s->items[0]) {
        return false;
    }
    struct bst_view second = bst_view_from(key, s->prefix.len);
    s->items[s->n] = bst_arena_view(s->arena, second);
    s->failed = s->failed || (second.len && !s->items[s->n].ptr);
    s->n++;
    return true;
}

static bst_result seconds_of(struct bst_store_conn *conn, const char *ns, struct bst_view first,
                             struct bst_arena *arena, struct seconds *ret)
{
    char *prefix = bst_arena_alloc(arena, first.len + 1);
    BST_ENSURE(prefix, BST_E_NOMEM);
    memcpy(prefix, first.ptr, first.len);
    *ret = (struct seconds){.arena = arena, .prefix = bst_view_of(prefix, first.len + 1)};
    BST_TRY(bst_kv_each(conn, ns, ret->prefix, collect_second, ret));
    return ret->failed ? bst_error(BST_E_NOMEM) : BST_OK;
}

/* One credential registers one AE, and one AE belongs to one credential. Sessions that began before
 * another one registered still hold an association without AE, so it is decided here, in the
 * transaction. */
static bst_result only_one(struct bst_store_conn *txn, const char *ns, struct bst_view first,
                           struct bst_view second, struct bst_arena *arena)
{
    struct seconds *known = bst_arena_alloc(arena, sizeof *known);
    BST_ENSURE(known, BST_E_NOMEM);
    BST_TRY(seconds_of(txn, ns, first, arena, known));
    for (size_t i = 0; i < known->n; i++) {
        if (!bst_view_eq(known->items[i], second)) {
            BST_FAIL(BST_E_NOT_AUTHENTICATED, "%.*s is bound to %.*s already", BST_VIEW_ARGS(first),
                     BST_VIEW_ARGS(known->items[i]));
        }
    }
    return BST_OK;
}

/* Identities that were given to somebody by name: whoever has just any key may not take them. */
static bst_result not_given_away(struct bst_server *server, struct bst_store_conn *txn,
                                 struct bst_view stem, struct bst_arena *arena)
{
    struct bst_view value;
    bool certified = false;
    if (bst_view_is(stem, server->config->cse.admin)) {
        BST_FAIL(BST_E_NOT_AUTHENTICATED, "%.*s is the administrator", BST_VIEW_ARGS(stem));
    }
    BST_TRY(bst_kv_get(txn, NS_CERTIFIED_AES, stem, arena, &value, &certified));
    if (certified) {
        BST_FAIL(BST_E_NOT_AUTHENTICATED, "%.*s has an AE-ID certificate, and must show it",
                 BST_VIEW_ARGS(stem));
    }
    return BST_OK;
}

/* Policies outlive an AE that they name. Who takes its AE-ID next must be who had it. */
static bst_result not_kept_for_another(struct bst_store_conn *txn, struct bst_view cred_id,
                                       struct bst_view stem, struct bst_arena *arena)
{
    struct bst_view former;
    bool found = false;
    BST_TRY(bst_kv_get(txn, NS_FORMER_AES, stem, arena, &former, &found));
    if (found && !bst_view_eq(former, cred_id)) {
        BST_FAIL(BST_E_NOT_AUTHENTICATED,
                 "%.*s was bound to %.*s, for which it is kept: bastide access free %.*s",
                 BST_VIEW_ARGS(stem), BST_VIEW_ARGS(former), BST_VIEW_ARGS(stem));
    }
    return BST_OK;
}

static bst_result forget_former(struct bst_store_conn *txn, struct bst_view stem,
                                struct bst_arena *arena, bool *ret_found)
{
    struct bst_view cred_id;
    BST_TRY(bst_kv_get(txn, NS_FORMER_AES, stem, arena, &cred_id, ret_found));
    if (*ret_found) {
        BST_TRY(bst_kv_delete(txn, NS_FORMER_AES, stem));
        BST_TRY(bst_kv_delete(txn, NS_FORMER_OF, cred_id));
    }
    return BST_OK;
}

/* One for each credential: otherwise it could take name after name away from all others. */
static bst_result keep_for(struct bst_store_conn *txn, struct bst_view cred_id,
                           struct bst_view stem, struct bst_arena *arena)
{
    struct bst_view before;
    bool found = false;
    BST_TRY(bst_kv_get(txn, NS_FORMER_OF, cred_id, arena, &before, &found));
    if (found) {
        BST_TRY(forget_former(txn, before, arena, &found));
    }
    BST_TRY(bst_kv_put(txn, NS_FORMER_AES, stem, cred_id));
    return bst_kv_put(txn, NS_FORMER_OF, cred_id, stem);
}

struct freeing {
    struct bst_view stem;
    bool found;
};

static bst_result free_stem(struct bst_store_conn *txn, void *arg)
{
    struct freeing *f = arg;
    struct bst_arena arena;
    bst_arena_init(&arena, 64 * 1024);
    bst_result r = forget_former(txn, f->stem, &arena, &f->found);
    bst_arena_clear(&arena);
    return r;
}

bst_result server_free_ae(struct bst_server *server, struct bst_view ae_id)
{
    struct bst_entity_id id;
    BST_TRY(bst_entity_parse(&server->self, ae_id, &id));
    struct freeing f = {.stem = bst_entity_last(&id)};
    BST_TRY(bst_store_run(server->store, free_stem, &f));
    if (!f.found) {
        BST_FAIL(BST_E_NOT_FOUND,
                 "%.*s is not kept for anybody; an AE that is registered is deleted first",
                 BST_VIEW_ARGS(f.stem));
    }
    return BST_OK;
}

static bst_result may_bind(struct bst_server *server, struct bst_store_conn *txn,
                           struct bst_view cred_id, struct bst_view stem)
{
    struct bst_arena arena;
    bst_arena_init(&arena, 256 * 1024);
    bst_result r = not_given_away(server, txn, stem, &arena);
    if (!bst_failed(r)) {
        r = only_one(txn, NS_CREDENTIAL_AES, cred_id, stem, &arena);
    }
    if (!bst_failed(r)) {
        r = only_one(txn, NS_AE_CREDENTIALS, stem, cred_id, &arena);
    }
    if (!bst_failed(r)) {
        r = not_kept_for_another(txn, cred_id, stem, &arena);
    }
    bst_arena_clear(&arena);
    return r;
}

bst_result server_bind(void *ctx, struct bst_store_conn *txn, const struct bst_association *assoc,
                       struct bst_view stem)
{
    bst_auto(buf) forward = {0};
    bst_auto(buf) back = {0};
    if (!assoc || !assoc->proved || assoc->assigned || !assoc->cred_id[0]) {
        return BST_OK;
    }
    BST_TRY(may_bind(ctx, txn, bst_view(assoc->cred_id), stem));
    pair_key(&forward, bst_view(assoc->cred_id), stem);
    pair_key(&back, stem, bst_view(assoc->cred_id));
    BST_TRY(bst_buf_check(&forward));
    BST_TRY(bst_buf_check(&back));
    BST_TRY(bst_kv_put(txn, NS_CREDENTIAL_AES, bst_buf_view(&forward), BST_VIEW("")));
    return bst_kv_put(txn, NS_AE_CREDENTIALS, bst_buf_view(&back), BST_VIEW(""));
}

static bst_result write_certified(struct bst_store_conn *txn, void *arg)
{
    const struct bst_view *stem = arg;
    return bst_kv_put(txn, NS_CERTIFIED_AES, *stem, BST_VIEW(""));
}

bst_result server_certified(struct bst_server *server, struct bst_view ae_id)
{
    struct bst_entity_id id;
    BST_TRY(bst_entity_parse(&server->self, ae_id, &id));
    struct bst_view stem = bst_entity_last(&id);
    return bst_store_run(server->store, write_certified, &stem);
}

static bst_result unbind_all(struct bst_store_conn *txn, struct bst_view stem,
                             struct bst_arena *arena)
{
    struct seconds credentials;
    BST_TRY(seconds_of(txn, NS_AE_CREDENTIALS, stem, arena, &credentials));
    for (size_t i = 0; i < credentials.n; i++) {
        bst_auto(buf) forward = {0};
        bst_auto(buf) back = {0};
        pair_key(&forward, credentials.items[i], stem);
        pair_key(&back, stem, credentials.items[i]);
        BST_TRY(bst_buf_check(&forward));
        BST_TRY(bst_buf_check(&back));
        BST_TRY(bst_kv_delete(txn, NS_CREDENTIAL_AES, bst_buf_view(&forward)));
        BST_TRY(bst_kv_delete(txn, NS_AE_CREDENTIALS, bst_buf_view(&back)));
        BST_TRY(keep_for(txn, credentials.items[i], stem, arena));
    }
    return BST_OK;
}

bst_result server_unbind(void *ctx, struct bst_store_conn *txn, struct bst_view stem)
{
    struct bst_arena arena;
    bst_arena_init(&arena, 256 * 1024);
    bst_result r = unbind_all(txn, stem, &arena);
    bst_arena_clear(&arena);
    return r;
}

bst_result server_psk_of_ae(struct bst_store_conn *conn, struct bst_view ae_id_stem,
                            struct bst_arena *arena, struct bst_view *ret)
{
    struct seconds *credentials = bst_arena_alloc(arena, sizeof *credentials);
    *ret = (struct bst_view){0};
    BST_ENSURE(credentials, BST_E_NOMEM);
    BST_TRY(seconds_of(conn, NS_AE_CREDENTIALS, ae_id_stem, arena, credentials));
    for (size_t i = 0; i < credentials->n; i++) {
        bst_auto(buf) identity = {0};
        enum bst_cred_type type;
        BST_TRY(bst_cred_id_parse(credentials->items[i], &type, &identity));
        if (type == BST_CRED_KPSA) {
            *ret = bst_arena_view(arena, bst_buf_view(&identity));
            BST_ENSURE(ret->ptr, BST_E_NOMEM);
            return BST_OK;
        }
    }
    return BST_OK;
}

static bst_result find_binding(void *ctx, struct bst_view cred_id, struct bst_arena *arena,
                               struct bst_assoc_binding *ret, bool *ret_found)
{
    const struct server_worker *worker = ctx;
    struct seconds *stems = bst_arena_alloc(arena, sizeof *stems);
    BST_ENSURE(stems, BST_E_NOMEM);
    BST_TRY(seconds_of(worker->reader, NS_CREDENTIAL_AES, cred_id, arena, stems));
    *ret_found = stems->n > 0;
    *ret = (struct bst_assoc_binding){
        .role = BST_ROLE_AE, .ae_ids = stems->items, .n_ae_ids = stems->n, .level = 1};
    return BST_OK;
}

/* --- revocation ----------------------------------------------------------------------------- */

static bool is_unsaved(struct bst_server *server, struct bst_view cred_id)
{
    pthread_mutex_lock(&server->unsaved_lock);
    bool found = bst_map_get(&server->unsaved_revocations, cred_id) != NULL;
    pthread_mutex_unlock(&server->unsaved_lock);
    return found;
}

/* Whoever stole a credential must not gain from a full disk. */
static bst_result keep_unsaved(struct bst_server *server, struct bst_view cred_id)
{
    pthread_mutex_lock(&server->unsaved_lock);
    bst_result r = bst_map_set(&server->unsaved_revocations, cred_id, server, NULL);
    pthread_mutex_unlock(&server->unsaved_lock);
    return r;
}

static void forget_unsaved(struct bst_server *server, struct bst_view cred_id)
{
    pthread_mutex_lock(&server->unsaved_lock);
    (void)bst_map_remove(&server->unsaved_revocations, cred_id);
    pthread_mutex_unlock(&server->unsaved_lock);
}

bst_result server_revocation(struct bst_server *server, struct bst_store_conn *conn,
                             struct bst_view cred_id, char *ret_reason, size_t cap)
{
    struct bst_arena arena;
    struct bst_view value;
    bool found = false;
    ret_reason[0] = '\0';
    if (is_unsaved(server, cred_id)) {
        snprintf(ret_reason, cap, "revoked until restart");
        return BST_OK;
    }
    bst_arena_init(&arena, 64 * 1024);
    bst_result r = bst_kv_get(conn, SERVER_NS_REVOKED, cred_id, &arena, &value, &found);
    if (!bst_failed(r) && found) {
        snprintf(ret_reason, cap, "%.*s", BST_VIEW_ARGS(value));
    }
    bst_arena_clear(&arena);
    return r;
}

bst_result server_check_credential(void *ctx, struct bst_store_conn *conn, struct bst_view cred_id)
{
    char reason[256];
    BST_TRY(server_revocation(ctx, conn, cred_id, reason, sizeof reason));
    if (reason[0]) {
        BST_FAIL(BST_E_REVOKED, "the credential %.*s is revoked", BST_VIEW_ARGS(cred_id));
    }
    return BST_OK;
}

struct revocation {
    struct bst_view cred_id;
    struct bst_view value; /* empty: take it back */
};

static bst_result write_revocation(struct bst_store_conn *conn, void *arg)
{
    const struct revocation *r = arg;
    return r->value.len ? bst_kv_put(conn, SERVER_NS_REVOKED, r->cred_id, r->value)
                        : bst_kv_delete(conn, SERVER_NS_REVOKED, r->cred_id);
}

static bool session_has_credential(void *ctx, const struct bst_net_peer *peer)
{
    const struct server_session *session = peer->association;
    if (!session) {
        return false;
    }
    const char *cred_id = session->kind == FRONT_MEF ? session->mef.cred_id
                          : session->assoc           ? session->assoc->cred_id
                                                     : "";
    return strcmp(cred_id, ctx) == 0;
}

bst_result server_close_credential(struct bst_server *server, struct bst_view cred_id)
{
    if (!server->shared) {
        return BST_OK;
    }
    char *copy = bst_strndup(cred_id.ptr, cred_id.len);
    BST_ENSURE(copy, BST_E_NOMEM);
    return bst_http_close_where(server->shared, session_has_credential, bst_free, copy);
}

bst_result server_revoke(struct bst_server *server, struct bst_view cred_id, struct bst_view reason)
{
    bst_auto(buf) value = {0};
    char when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(bst_wall_us(), when);
    bst_buf_addf(&value, "%s %.*s", when, BST_VIEW_ARGS(reason));
    BST_TRY(bst_buf_check(&value));
    struct revocation r = {cred_id, bst_buf_view(&value)};
    bst_result saved = bst_store_run(server->store, write_revocation, &r);
    if (bst_failed(saved)) {
        BST_TRY(keep_unsaved(server, cred_id));
    }
    server_bindings_changed(server);
    BST_TRY(server_close_credential(server, cred_id));
    if (bst_failed(saved)) {
        BST_FAIL(
            saved.code,
            "refused from now on, but only until the server ends, for the revocation cannot be "
            "saved (%s): mend that, restart, and revoke again",
            bst_error_name(saved.code));
    }
    return BST_OK;
}

bst_result server_unrevoke(struct bst_server *server, struct bst_view cred_id)
{
    struct revocation r = {cred_id, {0}};
    BST_TRY(bst_store_run(server->store, write_revocation, &r));
    forget_unsaved(server, cred_id);
    server_bindings_changed(server);
    return BST_OK;
}

/* --- sessions ------------------------------------------------------------------------------- */

static bst_result build(struct server_front *front, const struct bst_net_peer *peer,
                        struct bst_association **ret)
{
    struct bst_server *server = front->worker->server;
    struct bst_assoc_bindings bindings = {find_binding, front->worker};
    struct bst_assoc_proof proof = {.kind = BST_ASSOC_LAB};
    if (front->kind != FRONT_LAB) {
        const struct bst_tls_peer *tls = peer->tls;
        proof.kind = tls->kind == BST_TLS_AUTH_PSK    ? BST_ASSOC_PSK
                     : tls->kind == BST_TLS_AUTH_CERT ? BST_ASSOC_CERT
                                                      : BST_ASSOC_NONE;
        proof.psk_identity = tls->identity;
        proof.names = &tls->names;
        proof.subject = tls->kind == BST_TLS_AUTH_PSK ? tls->identity : tls->subject_text;
        const int64_t *key_end = tls->subject; /* server_keys.c */
        proof.expires_us = tls->kind == BST_TLS_AUTH_CERT ? tls->facts.not_after_us
                           : key_end                      ? *key_end
                                                          : 0;
    }
    return bst_association_new(&server->self, &proof, &bindings, ret);
}

static bst_result refuse_revoked(struct server_front *front, const struct bst_net_peer *peer,
                                 const struct bst_association *assoc)
{
    char reason[256];
    if (!assoc->cred_id[0]) {
        return BST_OK;
    }
    BST_TRY(server_revocation(front->worker->server, front->worker->reader,
                              bst_view(assoc->cred_id), reason, sizeof reason));
    if (!reason[0]) {
        return BST_OK;
    }
    struct bst_log_field fields[] = {{"peer", peer->address},
                                     {"credential", bst_view(assoc->cred_id)},
                                     {"reason", bst_view(reason)}};
    bst_log_fields(BST_LOG_WARN, "session.revoked", fields, 3, "a revoked credential was refused");
    struct bst_audit_event event = {
        .event = "session.refused",
        .subject = bst_view(assoc->subject ? assoc->subject : ""),
        .credential = bst_view(assoc->cred_id),
        .peer = peer->address,
        .decision = BST_VIEW("denied"),
        .rule = BST_VIEW("credential is revoked"),
        .detail = bst_view(reason),
        .clause = BST_VIEW("TS-0003 8.2.1"),
    };
    BST_TRY(bst_audit_write(front->worker->server->state->audit, &event));
    BST_FAIL(BST_E_REVOKED, "the credential %s is revoked", assoc->cred_id);
}

bst_result server_session_begin(struct server_front *front, struct bst_net_peer *peer)
{
    struct bst_server *server = front->worker->server;
    struct server_session *session = bst_alloc(sizeof *session);
    BST_ENSURE(session, BST_E_NOMEM);
    session->peer = peer;
    session->kind = front->kind;
    session->bindings = atomic_load(&server->bindings);
    /* The handshake may have begun under older trust. */
    bst_result r = server_still_trusted(server, front->kind, peer)
                       ? build(front, peer, &session->assoc)
                       : bst_error_detailed(BST_E_BAD_CERT, "no longer trusted");
    if (!bst_failed(r)) {
        r = refuse_revoked(front, peer, session->assoc);
    }
    if (bst_failed(r)) {
        bst_association_free(&session->assoc);
        bst_free(session);
        struct bst_log_field field = {"peer", peer->address};
        bst_log_fields(BST_LOG_INFO, "session.refused", &field, 1, "%s", bst_error_detail());
        return r;
    }
    peer->association = session;
    bst_metric_add(server->metrics.sessions, 1);
    return BST_OK;
}

static void free_retired(struct server_session *session)
{
    while (session->n_retired > 0) {
        bst_association_free(&session->retired[--session->n_retired]);
    }
}

void server_session_end(struct bst_net_peer *peer)
{
    struct server_session *session = peer->association;
    peer->association = NULL;
    if (session) {
        free_retired(session);
        bst_association_free(&session->assoc);
        bst_free(session);
    }
}

struct bst_association *server_session_association(struct server_front *front,
                                                   struct server_session *session)
{
    uint64_t now = atomic_load(&front->worker->server->bindings);
    if (session->in_work <= 1) {
        free_retired(session);
    }
    if (session->assoc->expires_us && session->assoc->expires_us <= bst_wall_us()) {
        return NULL; /* the credential ended while its session was open */
    }
    if (session->kind == FRONT_LAB || session->bindings == now) {
        return session->assoc;
    }
    struct bst_association *fresh;
    if (session->n_retired == SESSION_RETIRED_MAX ||
        bst_failed(build(front, session->peer, &fresh))) {
        return NULL; /* rather no association than one that may no longer hold */
    }
    /* Requests in work hold the old one. */
    session->retired[session->n_retired++] = session->assoc;
    session->assoc = fresh;
    session->bindings = now;
    return fresh;
}

void server_handshake_failed(void *ctx, const struct bst_net_peer *peer,
                             const struct bst_tls_failure *why)
{
    struct server_front *front = ctx;
    bst_metric_add(front->worker->server->metrics.handshakes_failed, 1);
    struct bst_log_field fields[] = {
        {"peer", peer->address},
        {"side", bst_view(why->side == BST_TLS_SIDE_PEER ? "peer" : "here")},
        {"step", bst_view(why->step ? why->step : "")},
        {"identity", why->identity},
        {"server_name", why->server_name},
        {"reason", bst_view(why->reason)},
        {"clause", bst_view(why->clause ? why->clause : "")},
        {"remedy", bst_view(why->remedy ? why->remedy : "")},
    };
    bst_log_fields(BST_LOG_INFO, "tls.handshake_failed", fields, sizeof fields / sizeof fields[0],
                   "handshake failed");
    struct bst_audit_event event = {
        .event = "handshake.failed",
        .credential = why->identity,
        .peer = peer->address,
        .op = bst_view(why->step ? why->step : ""),
        .target = why->server_name,
        .decision = BST_VIEW("denied"),
        .rule = bst_view(why->remedy ? why->remedy : ""),
        .clause = bst_view(why->clause ? why->clause : ""),
        .detail = bst_view(why->reason),
    };
    if (bst_failed(bst_audit_write(front->worker->server->state->audit, &event))) {
        bst_log(BST_LOG_ERROR, "audit.write_failed", "a failed handshake was not recorded: %s",
                bst_error_detail());
    }
}
