/* The MEF's HTTPS interface: sessions, requests, and its store. */
#include "app/server_priv.h"

#include "bind/http/http_binding.h"
#include "mef/mef.h"
#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>

struct server_mef {
    struct bst_server *server;
    struct bst_store *store;
    struct bst_se *se; /* sees only the MEF's keys */
    struct bst_mef *core;
};

/* A request; not in the exchange's arena, so that keys in the answer can be wiped after sending. */
struct mef_request {
    struct bst_mef_call call;
    struct bst_arena arena;
    struct bst_http_exchange *x;
    struct server_front *front;
};

/* --- sessions ------------------------------------------------------------------------------- */

static bst_result take_export(void *ctx, const char *label, struct bst_secret *ret)
{
    return bst_tls_export(ctx, label, ret);
}

static bst_result session_who(struct server_front *front, const struct bst_net_peer *peer,
                              struct bst_mef_session *session)
{
    const struct bst_mef *core = front->worker->server->mef->core;
    /* The handshake may have begun under older trust. */
    if (!server_still_trusted(front->worker->server, FRONT_MEF, peer)) {
        BST_FAIL(BST_E_BAD_CERT, "no longer trusted");
    }
    /* Without it two sessions can share a master secret, and with it the exported keys (RFC 7627).
     */
    if (!peer->tls->extended_master_secret) {
        BST_FAIL(BST_E_CREDENTIAL, "the session lacks the extended master secret");
    }
    switch (peer->tls->kind) {
    case BST_TLS_AUTH_PSK:
        return bst_mef_session_psk(session, peer->tls->identity);
    case BST_TLS_AUTH_CERT:
        return bst_mef_session_cert(session, core, &peer->tls->names);
    default:
        BST_FAIL(BST_E_CREDENTIAL, "a MEF client must show a credential");
    }
}

static bst_result on_session(void *ctx, struct bst_net_peer *peer)
{
    struct server_session *session = bst_alloc(sizeof *session);
    BST_ENSURE(session, BST_E_NOMEM);
    session->kind = FRONT_MEF;
    session->peer = peer;
    bst_result r = session_who(ctx, peer, &session->mef);
    if (bst_failed(r)) {
        struct bst_log_field field = {"peer", peer->address};
        bst_log_fields(BST_LOG_INFO, "mef.session_refused", &field, 1, "%s", bst_error_detail());
        bst_free(session);
        return r;
    }
    session->mef.exporter = (struct bst_mef_exporter){peer->endpoint, take_export};
    session->mef.peer = peer->address;
    peer->association = session;
    return BST_OK;
}

static void on_session_end(void *ctx, struct bst_net_peer *peer)
{
    bst_free(peer->association);
    peer->association = NULL;
}

/* --- requests ------------------------------------------------------------------------------- */

static void request_free(struct mef_request *r)
{
    bst_mef_call_wipe(&r->call);
    bst_arena_clear(&r->arena);
    bst_free(r);
}

static void log_request(const struct mef_request *r)
{
    bool good = r->call.rsp.rsc / 1000 == 2;
    char rsc[16];
    snprintf(rsc, sizeof rsc, "%d", r->call.rsp.rsc);
    struct bst_log_field fields[] = {
        {"peer", r->x->peer->address},
        {"credential", bst_view(r->call.session->cred_id)},
        {"to", r->call.req.to},
        {"rsc", bst_view(rsc)},
        {"reason", good ? (struct bst_view){NULL, 0} : r->call.rsp.debug},
    };
    bst_log_fields(BST_LOG_INFO, good ? "mef.done" : "mef.refused", fields, good ? 4 : 5, "%s",
                   bst_m2m_op_name(r->call.req.op));
}

static void finish(struct mef_request *r)
{
    struct server_metrics *metrics = &r->front->worker->server->metrics;
    unsigned cls = r->call.rsp.rsc / 1000 == 2 ? 0 : r->call.rsp.rsc / 1000 == 4 ? 1 : 2;
    bst_metric_add(metrics->mef_requests[cls], 1);
    log_request(r);
    r->front->worker->in_work--;
    /* The content of a key registration may hold a key. */
    bst_wipe((char *)(uintptr_t)r->x->req.body.ptr, r->x->req.body.len);
    server_front_answer(r->x, &r->call.rsp, r->call.req.accept);
    request_free(r);
}

static void call_done(struct bst_mef_call *call)
{
    finish(call->user);
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    struct server_front *front = ctx;
    struct mef_request *r = bst_alloc(sizeof *r);
    if (!r) {
        bst_http_exchange_answer(x, 500, NULL, 0, (struct bst_view){0});
        return;
    }
    bst_arena_init(&r->arena, 4u << 20);
    r->x = x;
    r->front = front;
    front->worker->in_work++;
    r->call.arena = &r->arena;
    r->call.session = &((struct server_session *)x->peer->association)->mef;
    r->call.loop = front->worker->loop;
    r->call.done = call_done;
    r->call.user = r;
    bst_result result = bst_http_to_request(&x->req, bst_wall_us(), &r->arena, &r->call.req);
    if (bst_failed(result)) {
        bst_http_reject(&x->req, result, &r->arena, &r->call.rsp);
        finish(r);
        return;
    }
    bst_mef_handle(front->worker->server->mef->core, &r->call);
}

const struct bst_http_handler server_mef_handler = {
    .on_request = on_request,
    .on_session = on_session,
    .on_session_end = on_session_end,
    .on_handshake_failed = server_handshake_failed,
};

/* --- whose key is this? --------------------------------------------------------------------- */

static void source_start(void *ctx, struct bst_tls_lookup *lookup)
{
    struct bst_server *server = ctx;
    bst_key key = 0;
    bst_result r = bst_mef_psk_key(server->mef->core, lookup->identity, &key);
    if (!bst_failed(r) && !key) {
        r = bst_error_detailed(BST_E_NOT_FOUND, "no client with this KpmID was provisioned");
    }
    bst_tls_lookup_done(lookup, r, key, NULL);
}

static void source_cancel(void *ctx, struct bst_tls_lookup *lookup)
{
}

struct bst_tls_identity_source server_mef_source(struct bst_server *server)
{
    return (struct bst_tls_identity_source){
        .start = source_start, .cancel = source_cancel, .ctx = server};
}

/* --- life ----------------------------------------------------------------------------------- */

/* The CSE fetches keys by its certificate, like any target. */
static bst_result provision_own_cse(struct server_mef *mef)
{
    struct bst_server *server = mef->server;
    struct bst_entity_id self;
    BST_TRY(bst_entity_self(&server->self, &self));
    struct bst_mef_client_info info = {.client_id = bst_entity_abs(&self),
                                       .admins = server->self.sp_domain};
    bst_result r =
        bst_mef_provision_cert(mef->core, BST_CERT_CSE, bst_view(server->cse_fqdn), &info);
    return r.code == BST_E_EXISTS ? BST_OK : r;
}

static bst_result open_parts(struct server_mef *mef)
{
    struct bst_server *server = mef->server;
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(server->state->folder, "store/mef.db", path));
    BST_TRY(bst_store_open(
        &(struct bst_store_config){.path = path, .schema = &bst_mef_schema, .cache_kib = 2048},
        &mef->store));
    BST_TRY(bst_se_for_owner(server->state->se, "mef", &mef->se));
    BST_TRY(bst_mef_new(&(struct bst_mef_config){.store = mef->store,
                                                 .se = mef->se,
                                                 .audit = server->state->audit,
                                                 .fqdn = bst_view(server->mef_fqdn),
                                                 .self = server->self},
                        &mef->core));
    return provision_own_cse(mef);
}

bst_result server_mef_new(struct bst_server *server, struct server_mef **ret)
{
    struct server_mef *mef = bst_alloc(sizeof *mef);
    BST_ENSURE(mef, BST_E_NOMEM);
    mef->server = server;
    bst_result r = open_parts(mef);
    if (bst_failed(r)) {
        server_mef_free(&mef);
        return r;
    }
    *ret = mef;
    return BST_OK;
}

void server_mef_free(struct server_mef **slot)
{
    struct server_mef *mef = *slot;
    if (!mef) {
        return;
    }
    bst_mef_free(&mef->core);
    bst_store_close(&mef->store);
    bst_se_close(&mef->se);
    bst_free(mef);
    *slot = NULL;
}

void server_mef_end_store(struct server_mef *mef)
{
    if (mef) {
        bst_se_settle(mef->se); /* what it does goes on in the store */
        bst_store_close(&mef->store);
    }
}

struct bst_mef *server_mef_core(struct server_mef *mef)
{
    return mef ? mef->core : NULL;
}

struct bst_store *server_mef_store(struct server_mef *mef)
{
    return mef ? mef->store : NULL;
}
