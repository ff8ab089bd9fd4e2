/* Whose pre-shared key is this? Keys provisioned here are found at once; a Key Identifier of a
 * configured MEF is fetched from it, once for all who wait, while other connections go on. What a
 * MEF does not know is not asked again for a while. TS-0003 8.2.2.1, 8.3.5.2.8, 10.5.
 *
 * Look-ups live on the worker's loop, fetches on the outside loop; the lock guards what both see.
 * What a slow environment does for them, it does on its own threads.
 */
#include "app/server_priv.h"

#include "bind/http/http_binding.h"
#include "obs/log.h"
#include "sec/enrol/mef_client.h"
#include "sec/labels.h"
#include "sec/sec_names.h"
#include "sys/clock.h"
#include "tls/profile.h"

#include <stdio.h>

#define CACHE_MAX 65536
#define MISSING_MAX 65536

/* One handshake that waits. */
struct waiter {
    struct bst_task task;
    struct waiter *next;
    struct bst_server *server;
    struct bst_loop *loop;
    struct bst_tls_lookup *lookup; /* NULL: the connection ended; only its loop looks here */
    bst_key key;
    bst_result result;
    char detail[256];
};

struct mef_peer {
    char *fqdn, *address;
    const char *ca;             /* configured file, or "" */
    struct bst_tls_client *tls; /* made at the first use; outside loop */
};

/* One key being fetched. */
struct flight {
    struct bst_task task;
    struct server_keys *keys;
    struct mef_peer *mef;
    struct bst_mef_client *client;
    struct bst_arena arena;
    char identity[BST_TLS_IDENTITY_MAX + 1];
    char peer[BST_INET_TEXT]; /* who asked first: the fetch counts for that address */
    struct waiter *waiters;
    int64_t start_us;
    struct bst_mef_outcome outcome;
    struct bst_se_call inside; /* takes the key in */
    bst_key key;
};

struct kept {
    bst_key key;
    int64_t until_us;
};

/* A key that goes. */
struct parting {
    struct bst_se_call call;
    bst_key key;
};

struct server_keys {
    struct bst_server *server;
    struct bst_se *se; /* of the state; borrowed */
    pthread_mutex_t lock;
    struct bst_map cache;   /* identity -> struct kept */
    struct bst_map missing; /* identity -> struct kept without key */
    struct bst_map flights; /* identity -> struct flight */
    struct bst_map peers;   /* address -> number of fetches it began, as a pointer */
    struct mef_peer *mefs;
    size_t n_mefs;
};

enum { COUNT_KNOWN, COUNT_FETCHED, COUNT_MISSING, COUNT_REFUSED };

static _Thread_local struct server_worker *this_worker;

void server_keys_thread(struct server_worker *worker)
{
    this_worker = worker;
}

static void count(struct server_keys *keys, unsigned what)
{
    bst_metric_add(keys->server->metrics.key_lookups[what], 1);
}

/* --- what is known -------------------------------------------------------------------------- */

static bst_key find_local(struct server_keys *keys, struct bst_view identity)
{
    char label[BST_KEY_LABEL_MAX + 1];
    bst_key key = 0;
    int len = snprintf(label, sizeof label, SERVER_KPSA_PREFIX "%.*s", BST_VIEW_ARGS(identity));
    if (len < 0 || (size_t)len >= sizeof label ||
        bst_failed(bst_se_key_find_of(keys->server->state->se, "cse", label, &key))) {
        return 0;
    }
    return key;
}

static struct kept *find_kept(struct bst_map *map, struct bst_view identity)
{
    struct kept *kept = bst_map_get(map, identity);
    return kept && kept->until_us > bst_mono_us() ? kept : NULL;
}

static bst_result run_parting(struct bst_se *se, struct bst_se_call *call)
{
    return bst_se_key_delete(se, bst_container_of(call, struct parting, call)->key);
}

static void parting_done(struct bst_se_call *call)
{
    bst_free(bst_container_of(call, struct parting, call));
}

/* One that cannot go now stays, without a name, until the environment is closed. */
static void part_with(struct server_keys *keys, bst_key key)
{
    if (!bst_se_slow(keys->se)) {
        (void)bst_se_key_delete(keys->se, key).code;
        return;
    }
    struct parting *parting = bst_alloc(sizeof *parting);
    if (!parting) {
        return;
    }
    parting->key = key;
    parting->call = (struct bst_se_call){.run = run_parting, .done = parting_done};
    if (bst_failed(bst_se_submit(keys->se, &parting->call))) {
        bst_free(parting);
    }
}

/* With the lock. A key that goes is deleted from the secure environment too. */
static void drop_kept(struct server_keys *keys, struct bst_map *map, struct bst_view identity)
{
    struct kept *kept = bst_map_remove(map, identity);
    if (kept && kept->key) {
        part_with(keys, kept->key);
    }
    bst_free(kept);
}

static void drop_ended(struct server_keys *keys, struct bst_map *map, bool all)
{
    size_t cursor = 0;
    struct bst_view identity;
    void *value;
    while (bst_map_next(map, &cursor, &identity, &value)) {
        if (all || ((struct kept *)value)->until_us <= bst_mono_us()) {
            drop_kept(keys, map, identity);
        }
    }
}

/* With the lock. */
static void keep(struct server_keys *keys, struct bst_map *map, size_t max,
                 struct bst_view identity, bst_key key, int64_t life_us)
{
    if (map->count >= max) {
        drop_ended(keys, map, false);
    }
    drop_kept(keys, map, identity);
    struct kept *kept = map->count < max ? bst_alloc(sizeof *kept) : NULL;
    if (!kept || bst_failed(bst_map_set(map, identity, kept, NULL))) {
        bst_free(kept);
        return; /* the key stays unnamed until the environment is closed */
    }
    kept->key = key;
    kept->until_us = bst_mono_us() + life_us;
}

bst_key server_keys_at_hand(struct server_keys *keys, struct bst_view identity)
{
    bst_key key = find_local(keys, identity);
    if (!key) {
        pthread_mutex_lock(&keys->lock);
        const struct kept *kept = find_kept(&keys->cache, identity);
        key = kept ? kept->key : 0;
        pthread_mutex_unlock(&keys->lock);
    }
    return key;
}

void server_keys_forget(struct server_keys *keys, struct bst_view identity)
{
    pthread_mutex_lock(&keys->lock);
    drop_kept(keys, &keys->cache, identity);
    drop_kept(keys, &keys->missing, identity);
    pthread_mutex_unlock(&keys->lock);
}

/* --- waiting -------------------------------------------------------------------------------- */

static uintptr_t peer_lookups(const struct server_keys *keys, const char *peer)
{
    return (uintptr_t)bst_map_get(&keys->peers, bst_view(peer));
}

static void peer_change(struct server_keys *keys, const char *peer, int by)
{
    uintptr_t n = peer_lookups(keys, peer) + (uintptr_t)by;
    if (n == 0) {
        bst_map_remove(&keys->peers, bst_view(peer));
        return;
    }
    /* Without memory the peer's count is too low, never a crash. */
    (void)bst_map_set(&keys->peers, bst_view(peer), (void *)n, NULL).code;
}

/* When the key ends, for the session that it opens; NULL: never. The TLS layer holds it. */
static void *end_of(struct bst_server *server, bst_result result, bst_key key)
{
    struct bst_key_info info;
    if (bst_failed(result) || !key || bst_failed(bst_se_key_info(server->state->se, key, &info)) ||
        !info.attrs.expires_us) {
        return NULL;
    }
    int64_t *end = bst_alloc(sizeof *end);
    if (end) {
        *end = info.attrs.expires_us;
    }
    return end;
}

static void waiter_run(struct bst_task *task)
{
    struct waiter *w = bst_container_of(task, struct waiter, task);
    if (w->lookup) {
        w->lookup->user = NULL;
        bst_error_set_detail(w->detail);
        bst_tls_lookup_done(w->lookup, w->result, w->key, end_of(w->server, w->result, w->key));
    }
    bst_free(w);
}

static void flight_free(struct flight *f)
{
    bst_mef_client_free(&f->client);
    bst_arena_clear(&f->arena);
    bst_free(f);
}

/* The end of a fetch: all who wait hear of it on their own loops. */
static void flight_end(struct flight *f, bst_result result, bst_key key, int64_t life_us)
{
    struct server_keys *keys = f->keys;
    struct bst_view identity = bst_view(f->identity);
    char detail[256];
    snprintf(detail, sizeof detail, "%s", bst_failed(result) ? bst_error_detail() : "");
    pthread_mutex_lock(&keys->lock);
    bst_map_remove(&keys->flights, identity);
    if (!bst_failed(result)) {
        keep(keys, &keys->cache, CACHE_MAX, identity, key, life_us);
    } else if (bst_error_class(result.code) != BST_CLASS_IO &&
               bst_error_class(result.code) != BST_CLASS_BUSY) {
        keep(keys, &keys->missing, MISSING_MAX, identity, 0,
             keys->server->config->enrolment.missing_s * BST_US_PER_S);
    }
    struct waiter *waiters = f->waiters;
    peer_change(keys, f->peer, -1);
    pthread_mutex_unlock(&keys->lock);
    while (waiters) {
        struct waiter *w = waiters;
        waiters = w->next;
        w->result = result;
        w->key = key;
        snprintf(w->detail, sizeof w->detail, "%s", detail);
        w->task.run = waiter_run;
        if (atomic_load(&keys->server->workers_gone)) {
            bst_free(w);
        } else {
            bst_loop_post(w->loop, &w->task);
        }
    }
    count(keys, bst_failed(result) ? COUNT_MISSING : COUNT_FETCHED);
    flight_free(f);
}

/* --- fetching: the outside loop ------------------------------------------------------------- */

static bst_result mef_trust(struct bst_server *server, const struct mef_peer *mef,
                            struct bst_trust **ret)
{
    if (mef->ca[0] == '\0') {
        return server_trust_load(server, ret);
    }
    bst_auto(buf) pem = {0};
    struct bst_trust *trust;
    BST_TRY(bst_state_read(server->state, mef->ca, &pem));
    BST_TRY(bst_trust_new(BST_CRL_ALLOW_MISSING, &trust));
    bst_result r = bst_trust_add_anchors(trust, bst_buf_view(&pem));
    if (bst_failed(r)) {
        bst_trust_drop(&trust);
        return r;
    }
    *ret = trust;
    return BST_OK;
}

static bst_result mef_connect(struct bst_server *server, struct mef_peer *mef)
{
    struct bst_trust *trust;
    struct bst_tls_credential own;
    bst_auto(buf) pem = {0};
    struct bst_tls_name expect = {BST_CERT_FQDN, bst_view(mef->fqdn)};
    if (mef->tls) {
        return BST_OK;
    }
    BST_TRY(mef_trust(server, mef, &trust));
    bst_result r = server_own_credential(server, &pem, &own);
    if (bst_failed(r)) {
        bst_trust_drop(&trust);
        return r;
    }
    r = bst_tls_client_new(&(struct bst_tls_client_config){.profile = bst_tls_profile_find(bst_view(
                                                               server->config->tls.mef_profile)),
                                                           .se = server->state->se,
                                                           .credential = &own,
                                                           .trust = trust,
                                                           .server_name = mef->fqdn,
                                                           .expect = &expect,
                                                           .n_expect = 1,
                                                           .wall_us = bst_wall_us},
                           &mef->tls);
    bst_se_close(&own.se);
    bst_trust_drop(&trust);
    return r;
}

static bst_result read_answer(struct flight *f, const struct bst_http_msg *response)
{
    struct bst_m2m_response rsp = {0};
    BST_TRY(bst_http_to_response(response, &f->arena, &rsp));
    bst_result r = bst_mef_client_take(f->client, &rsp, bst_wall_us(), &f->arena, &f->outcome);
    if (rsp.pc.ptr) {
        bst_wipe((char *)(uintptr_t)rsp.pc.ptr, rsp.pc.len);
    }
    return r;
}

static bst_result take_in(struct bst_se *se, struct flight *f)
{
    return bst_se_key_import(se,
                             &(struct bst_key_attrs){.type = BST_KEY_SYMMETRIC,
                                                     .uses = BST_KEY_USE_PSK,
                                                     .suid = f->outcome.suid,
                                                     .owner = "cse",
                                                     .expires_us = f->outcome.expires_us},
                             &f->outcome.value, &f->key);
}

static int64_t life_of(const struct flight *f)
{
    int64_t life_us = f->keys->server->config->enrolment.keep_s * BST_US_PER_S;
    int64_t rest_us = f->outcome.expires_us - bst_wall_us();
    return f->outcome.expires_us && rest_us < life_us ? rest_us : life_us;
}

static void fetched(struct flight *f, bst_result result)
{
    char took[32];
    snprintf(took, sizeof took, "%lld", (long long)((bst_mono_us() - f->start_us) / 1000));
    struct bst_log_field fields[] = {{"identity", bst_view(f->identity)},
                                     {"mef", bst_view(f->mef->fqdn)},
                                     {"ms", bst_view(took)}};
    bst_log_fields(bst_failed(result) ? BST_LOG_WARN : BST_LOG_INFO, "key.fetched", fields, 3, "%s",
                   bst_failed(result) ? bst_error_detail() : "the key was fetched from its MEF");
    int64_t life_us = life_of(f);
    bst_mef_outcome_clear(&f->outcome);
    flight_end(f, result, f->key, life_us);
}

static bst_result run_taking_in(struct bst_se *se, struct bst_se_call *call)
{
    return take_in(se, bst_container_of(call, struct flight, inside));
}

static void taken_in(struct bst_se_call *call)
{
    fetched(bst_container_of(call, struct flight, inside), call->outcome);
}

static void on_answer(void *user, bst_result result, const struct bst_http_msg *response,
                      const struct bst_tls_peer *peer)
{
    struct flight *f = user;
    struct bst_se *se = f->keys->se;
    if (!bst_failed(result)) {
        result = read_answer(f, response);
    }
    if (!bst_failed(result) && bst_se_slow(se)) {
        f->inside = (struct bst_se_call){.run = run_taking_in, .done = taken_in};
        result = bst_se_submit(se, &f->inside);
        if (!bst_failed(result)) {
            return;
        }
    } else if (!bst_failed(result)) {
        result = take_in(se, f);
    }
    fetched(f, result);
}

static bst_result fetch(struct flight *f)
{
    struct bst_server *server = f->keys->server;
    struct bst_m2m_request req;
    struct bst_http_msg msg = {0};
    struct bst_http_call *call;
    struct bst_entity_id self;
    struct bst_view rest = bst_view(f->identity), relative;
    BST_TRY(mef_connect(server, f->mef));
    BST_TRY(bst_entity_self(&server->self, &self));
    BST_TRY(
        bst_mef_client_new(&(struct bst_mef_client_config){.self = server->self,
                                                           .client_id = bst_entity_abs(&self),
                                                           .mef_fqdn = bst_view(f->mef->fqdn),
                                                           .admin_fqdn = server->self.sp_domain},
                           &f->client));
    bst_view_cut(&rest, '@', &relative);
    /* SUID 22: a key for security associations, nothing else (TS-0003 12.3.2.3). */
    BST_TRY(
        bst_mef_client_key_retrieve(f->client, relative, BST_SUID_MEF_KEY_SAEF, &f->arena, &req));
    BST_TRY(bst_http_from_request(&req, &f->arena, &msg));
    struct bst_http_call_spec spec = {
        .target = {.address = f->mef->address, .host = f->mef->fqdn, .tls = f->mef->tls},
        .method = msg.method,
        .path = msg.target,
        .headers = msg.headers,
        .n_headers = msg.n_headers,
        .body = msg.body,
        .timeout_ms = server->config->enrolment.lookup_ms,
    };
    return bst_http_client_call(server->outside.open, &spec, on_answer, f, &call);
}

static void flight_run(struct bst_task *task)
{
    struct flight *f = bst_container_of(task, struct flight, task);
    if (!f->keys->server->outside.open) {
        flight_end(f, bst_error(BST_E_CANCELLED), 0, 0); /* the process ends */
        return;
    }
    bst_result r = fetch(f);
    if (bst_failed(r)) {
        bst_log(BST_LOG_ERROR, "key.fetch_failed", "the MEF %s cannot be asked: %s", f->mef->fqdn,
                bst_error_detail());
        flight_end(f, r, 0, 0);
    }
}

/* --- look-ups: the workers' loops ----------------------------------------------------------- */

/* A MEF takes its key identifiers in small letters too. Here one key has one name: another spelling
 * would be another Credential-ID, one that no binding and no revocation knows. */
static bool is_other_spelling(struct bst_view relative)
{
    uint8_t raw[BST_EXPORT_ID_LEN];
    char canonical[BST_RELATIVE_ID_LEN + 1];
    if (bst_failed(bst_hex_decode(relative, raw, sizeof raw))) {
        return false;
    }
    bst_relative_key_id(raw, canonical);
    return !bst_view_is(relative, canonical);
}

static struct mef_peer *find_mef(struct server_keys *keys, struct bst_view fqdn)
{
    for (size_t i = 0; i < keys->n_mefs; i++) {
        if (bst_view_is(fqdn, keys->mefs[i].fqdn)) {
            return &keys->mefs[i];
        }
    }
    return NULL;
}

static void peer_host(struct bst_view peer, char out[BST_INET_TEXT])
{
    size_t len = peer.len;
    for (size_t i = peer.len; i > 0; i--) {
        if (peer.ptr[i - 1] == ':') {
            len = i - 1;
            break;
        }
    }
    snprintf(out, BST_INET_TEXT, "%.*s", (int)(len < BST_INET_TEXT ? len : BST_INET_TEXT - 1),
             peer.ptr ? peer.ptr : "");
}

static struct flight *flight_new(struct server_keys *keys, struct mef_peer *mef,
                                 struct bst_view identity)
{
    struct flight *f = bst_alloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    f->keys = keys;
    f->mef = mef;
    f->start_us = bst_mono_us();
    f->task.run = flight_run;
    bst_arena_init(&f->arena, 1u << 20);
    if (bst_failed(bst_view_copy(identity, f->identity, sizeof f->identity)) ||
        bst_failed(bst_map_set(&keys->flights, identity, f, NULL))) {
        flight_free(f);
        return NULL;
    }
    return f;
}

/* With the lock: a new fetch, if there are not too many in all and for this address. */
static bst_result begin_flight(struct server_keys *keys, const struct bst_tls_lookup *lookup,
                               struct mef_peer *mef, struct flight **ret)
{
    const struct bst_config *config = keys->server->config;
    char peer[BST_INET_TEXT];
    peer_host(lookup->peer, peer);
    if (keys->flights.count >= (size_t)config->enrolment.lookups ||
        peer_lookups(keys, peer) >= (uintptr_t)config->enrolment.lookups_per_peer) {
        BST_FAIL(BST_E_BUSY, "too many keys are being fetched");
    }
    struct flight *f = flight_new(keys, mef, lookup->identity);
    BST_ENSURE(f, BST_E_NOMEM);
    snprintf(f->peer, sizeof f->peer, "%s", peer);
    peer_change(keys, peer, 1);
    *ret = f;
    return BST_OK;
}

/* With the lock: wait for a key that is being fetched, or have it fetched. Those who wait for one
 * fetch are limited by the limits of connections. */
static bst_result join(struct server_keys *keys, struct bst_tls_lookup *lookup,
                       struct mef_peer *mef)
{
    struct flight *f = bst_map_get(&keys->flights, lookup->identity);
    bool fresh = !f;
    struct waiter *w = bst_alloc(sizeof *w);
    BST_ENSURE(w, BST_E_NOMEM);
    bst_result r = fresh ? begin_flight(keys, lookup, mef, &f) : BST_OK;
    if (bst_failed(r)) {
        bst_free(w);
        return r;
    }
    w->server = keys->server;
    w->loop = this_worker->loop;
    w->lookup = lookup;
    w->next = f->waiters;
    f->waiters = w;
    lookup->user = w;
    if (fresh) {
        bst_loop_post(keys->server->outside.loop, &f->task);
    }
    return BST_OK;
}

/* *ret_pending: the answer comes later. */
static bst_result look_up(struct server_keys *keys, struct bst_tls_lookup *lookup, bst_key *ret_key,
                          bool *ret_pending)
{
    struct bst_view relative, fqdn;
    *ret_key = find_local(keys, lookup->identity);
    if (*ret_key) {
        return BST_OK;
    }
    struct kept *kept = find_kept(&keys->cache, lookup->identity);
    if (kept) {
        *ret_key = kept->key;
        return BST_OK;
    }
    if (find_kept(&keys->missing, lookup->identity)) {
        BST_FAIL(BST_E_NOT_FOUND, "its MEF did not know this key a moment ago");
    }
    if (bst_failed(bst_relative_id_split(lookup->identity, &relative, &fqdn))) {
        BST_FAIL(BST_E_NOT_FOUND, "no such key here, and the identity names no MEF");
    }
    if (is_other_spelling(relative)) {
        BST_FAIL(BST_E_NOT_FOUND, "key identifiers of a MEF are written in capital letters");
    }
    struct mef_peer *mef = find_mef(keys, fqdn);
    if (!mef) {
        BST_FAIL(BST_E_NOT_FOUND, "no such key here, and %.*s is not a configured MEF",
                 BST_VIEW_ARGS(fqdn));
    }
    *ret_pending = true;
    return join(keys, lookup, mef);
}

static void source_start(void *ctx, struct bst_tls_lookup *lookup)
{
    struct bst_server *server = ctx;
    bst_key key = 0;
    bool pending = false;
    lookup->user = NULL;
    pthread_mutex_lock(&server->keys->lock);
    bst_result r = look_up(server->keys, lookup, &key, &pending);
    pthread_mutex_unlock(&server->keys->lock);
    if (pending && !bst_failed(r)) {
        return;
    }
    count(server->keys, !bst_failed(r) ? COUNT_KNOWN : pending ? COUNT_REFUSED : COUNT_MISSING);
    bst_tls_lookup_done(lookup, r, key, end_of(server, r, key));
}

static void source_cancel(void *ctx, struct bst_tls_lookup *lookup)
{
    struct waiter *w = lookup->user;
    if (w) {
        w->lookup = NULL;
    }
}

static void source_drop(void *ctx, void *subject)
{
    bst_free(subject);
}

struct bst_tls_identity_source server_keys_source(struct bst_server *server)
{
    return (struct bst_tls_identity_source){
        .start = source_start, .cancel = source_cancel, .drop_subject = source_drop, .ctx = server};
}

/* --- life ----------------------------------------------------------------------------------- */

static bst_result add_mef(struct server_keys *keys, const char *fqdn, const char *address,
                          const char *ca)
{
    struct mef_peer *mef = &keys->mefs[keys->n_mefs];
    char dialled[300];
    snprintf(dialled, sizeof dialled, address[0] ? "%s" : "%s:8453", address[0] ? address : fqdn);
    *mef = (struct mef_peer){.fqdn = bst_strdup(fqdn), .address = bst_strdup(dialled), .ca = ca};
    keys->n_mefs++;
    return mef->fqdn && mef->address ? BST_OK : bst_error(BST_E_NOMEM);
}

static bst_result add_mefs(struct server_keys *keys)
{
    const struct bst_config *config = keys->server->config;
    keys->mefs = bst_alloc((config->enrolment.n_servers + 1) * sizeof *keys->mefs);
    BST_ENSURE(keys->mefs, BST_E_NOMEM);
    if (config->mef.enabled && keys->server->ports.mef[0]) {
        /* Our own MEF is asked like any other, through its interface. */
        struct bst_view rest = bst_view(keys->server->ports.mef), first;
        char dialled[BST_PATH_MAX];
        bst_view_cut(&rest, ' ', &first);
        first = bst_view_from(first, strlen("https://"));
        if (bst_view_starts(first, BST_VIEW("0.0.0.0:"))) {
            snprintf(dialled, sizeof dialled, "127.0.0.1:%.*s",
                     BST_VIEW_ARGS(bst_view_from(first, 8)));
        } else if (bst_view_starts(first, BST_VIEW("[::]:"))) {
            snprintf(dialled, sizeof dialled, "[::1]:%.*s", BST_VIEW_ARGS(bst_view_from(first, 5)));
        } else {
            snprintf(dialled, sizeof dialled, "%.*s", BST_VIEW_ARGS(first));
        }
        BST_TRY(add_mef(keys, keys->server->mef_fqdn, dialled, ""));
    }
    for (size_t i = 0; i < config->enrolment.n_servers; i++) {
        const struct bst_config_mef *mef = &config->enrolment.servers[i];
        BST_TRY(add_mef(keys, mef->fqdn, mef->address, mef->ca));
    }
    return BST_OK;
}

bst_result server_keys_new(struct bst_server *server, struct server_keys **ret)
{
    struct server_keys *keys = bst_alloc(sizeof *keys);
    BST_ENSURE(keys, BST_E_NOMEM);
    keys->server = server;
    keys->se = server->state->se;
    pthread_mutex_init(&keys->lock, NULL);
    bst_result r = add_mefs(keys);
    if (bst_failed(r)) {
        server_keys_free(&keys);
        return r;
    }
    *ret = keys;
    return BST_OK;
}

void server_keys_reconnect(struct server_keys *keys)
{
    for (size_t i = 0; i < keys->n_mefs; i++) {
        if (keys->mefs[i].tls) {
            if (keys->server->outside.open) {
                bst_http_client_forget(keys->server->outside.open, keys->mefs[i].tls);
            }
            bst_tls_client_free(&keys->mefs[i].tls);
        }
    }
}

void server_keys_free(struct server_keys **slot)
{
    struct server_keys *keys = *slot;
    if (!keys) {
        return;
    }
    drop_ended(keys, &keys->cache, true);
    drop_ended(keys, &keys->missing, true);
    bst_map_clear(&keys->cache);
    bst_map_clear(&keys->missing);
    bst_map_clear(&keys->flights);
    bst_map_clear(&keys->peers);
    for (size_t i = 0; i < keys->n_mefs; i++) {
        bst_free(keys->mefs[i].fqdn);
        bst_free(keys->mefs[i].address);
        bst_tls_client_free(&keys->mefs[i].tls);
    }
    bst_free(keys->mefs);
    pthread_mutex_destroy(&keys->lock);
    bst_free(keys);
    *slot = NULL;
}
