/* Assembly of the daemon: what is opened in which order, the loops, and the orderly end. */
#include "app/server_priv.h"

#include "app/issued.h"
#include "app/logging.h"
#include "cse/notify.h"
#include "mef/mef.h"
#include "obs/log.h"
#include "store/resource.h"
#include "sys/clock.h"

#include <signal.h>
#include <stdio.h>

#define SWEEP_MS 1000
#define SETTLE_MS 800
#define MEF_SWEEP_S 60

/* --- opening -------------------------------------------------------------------------------- */

static bst_result names(struct bst_server *server)
{
    const struct bst_config *config = server->config;
    server->self.sp_domain = bst_view(config->sp_domain);
    server->self.cse = bst_view(config->cse.id + 1);
    BST_TRY(bst_state_cse_fqdn(config, server->cse_fqdn));
    return bst_state_mef_fqdn(config, server->mef_fqdn);
}

static bst_result open_store(struct bst_server *server)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(server->state->folder, "store/cse.db", path));
    return bst_store_open(&(struct bst_store_config){.path = path, .schema = &bst_resource_schema},
                          &server->store);
}

static bst_result open_cse(struct bst_server *server)
{
    const struct bst_config *config = server->config;
    bst_auto(buf) id_key = {0};
    struct bst_view poa[64];
    size_t n_poa = 0;
    BST_TRY(bst_state_read(server->state, "store/id.key", &id_key));
    if (id_key.len != 32) {
        BST_FAIL(BST_E_CORRUPT, "store/id.key has not 32 bytes");
    }
    char lab[32];
    if (server->options.lab && server->options.lab_port) {
        snprintf(lab, sizeof lab, "http://127.0.0.1:%u", server->options.lab_port);
        poa[n_poa++] = bst_view(lab);
    }
    for (size_t i = 0; i < config->cse.poa.n && n_poa < sizeof poa / sizeof poa[0]; i++) {
        poa[n_poa++] = bst_view(config->cse.poa.items[i]);
    }
    bst_cse_notify_events(NULL, &server->events);
    return bst_cse_new(
        &(struct bst_cse_config){.store = server->store,
                                 .sp_id = bst_view(config->sp_domain),
                                 .cse_id = bst_view(config->cse.id),
                                 .cse_name = bst_view(config->cse.name),
                                 .admin = bst_view(config->cse.admin),
                                 .poa = poa,
                                 .n_poa = n_poa,
                                 .open_base = server->options.lab,
                                 .open_aes = server->options.lab,
                                 .check_subscription = config->cse.require_subscription,
                                 .ri_key = (const uint8_t *)id_key.ptr,
                                 .default_life_us = config->cse.default_life_s * BST_US_PER_S,
                                 .max_life_us = config->cse.max_life_s * BST_US_PER_S,
                                 .max_results = (uint32_t)config->cse.max_results,
                                 .se = server->state->se,
                                 .audit = server->state->audit,
                                 .events = &server->events,
                                 .bind_credential = server_bind,
                                 .unbind_credential = server_unbind,
                                 .bindings_durable = server_bindings_changed,
                                 .check_credential = server_check_credential,
                                 .bind_ctx = server},
        &server->cse);
}

static bst_result open_all(struct bst_server *server)
{
    BST_TRY(names(server));
    BST_TRY(open_store(server));
    BST_TRY(open_cse(server));
    BST_TRY(server_ca_open(server));
    return server->config->mef.enabled ? server_mef_new(server, &server->mef) : BST_OK;
}

bst_result bst_server_new(const struct bst_server_options *options, struct bst_server **ret)
{
    struct bst_server *server = bst_alloc(sizeof *server);
    BST_ENSURE(server, BST_E_NOMEM);
    server->options = *options;
    server->state = options->state;
    server->config = &options->state->config;
    server->started_us = server->mef_swept_us = bst_mono_us();
    pthread_mutex_init(&server->admin_lock, NULL);
    pthread_mutex_init(&server->unsaved_lock, NULL);
    pthread_mutex_init(&server->places_lock, NULL);
    pthread_mutex_init(&server->chores.lock, NULL);
    pthread_cond_init(&server->chores.wake, NULL);
    server_metrics_init(server);
    server_trust_init(server);
    bst_result r = open_all(server);
    if (bst_failed(r)) {
        bst_server_free(&server);
        return r;
    }
    *ret = server;
    return BST_OK;
}

void bst_server_free(struct bst_server **slot)
{
    struct bst_server *server = *slot;
    if (!server) {
        return;
    }
    char detail[512];
    snprintf(detail, sizeof detail, "%s", bst_error_detail());
    if (server->unfinished) {
        /* The stores end in order; what waited for them is never called. */
        server_mef_end_store(server->mef);
        bst_error_set_detail(detail);
        return;
    }
    server_mef_free(&server->mef);
    bst_cse_free(&server->cse);
    bst_store_close(&server->store);
    bst_pki_close(&server->pki);
    while (server->n_former > 0) {
        struct bst_config *config = server->former[--server->n_former];
        bst_config_clear(config);
        bst_free(config);
    }
    pthread_mutex_destroy(&server->admin_lock);
    pthread_mutex_destroy(&server->unsaved_lock);
    bst_map_clear(&server->unsaved_revocations);
    pthread_mutex_destroy(&server->places_lock);
    pthread_mutex_destroy(&server->chores.lock);
    pthread_cond_destroy(&server->chores.wake);
    bst_free(server);
    *slot = NULL;
    bst_error_set_detail(detail);
}

/* --- workers -------------------------------------------------------------------------------- */

static void swept(void *ctx, unsigned removed)
{
    struct server_worker *worker = ctx;
    worker->sweeping = false;
    if (removed) {
        bst_log(BST_LOG_DEBUG, "store.expired", "%u resources expired", removed);
    }
}

static void sweep(void *user)
{
    struct server_worker *worker = user;
    if (!worker->sweeping) {
        worker->sweeping = true;
        bst_cse_sweep(worker->cse, swept, worker);
    }
}

/* After its thread has ended. */
static void worker_clear(struct server_worker *worker)
{
    bst_cse_worker_free(&worker->cse);
    bst_store_reader_close(&worker->reader);
    bst_loop_free(&worker->loop);
}

static void worker_thread(void *arg)
{
    struct server_worker *worker = arg;
    server_keys_thread(worker);
    if (worker == worker->server->workers) {
        bst_timer_init(worker->loop, &worker->sweep, sweep, worker);
        bst_timer_start(&worker->sweep, SWEEP_MS, SWEEP_MS);
    }
    if (bst_failed(bst_loop_run(worker->loop))) {
        bst_log(BST_LOG_ERROR, "loop.failed", "a loop ended: %s", bst_error_detail());
    }
    for (size_t i = 0; i < worker->n_fronts; i++) {
        bst_http_server_free(&worker->fronts[i].http);
    }
}

static void front_drained(void *ctx)
{
    struct server_worker *worker = ctx;
    if (--worker->draining == 0) {
        bst_loop_stop(worker->loop);
    }
}

static void worker_drain(struct bst_task *task)
{
    struct server_worker *worker = bst_container_of(task, struct server_worker, drain);
    bst_timer_stop(&worker->sweep);
    worker->draining = worker->n_fronts;
    if (worker->n_fronts == 0) {
        bst_loop_stop(worker->loop);
    }
    for (size_t i = 0; i < worker->n_fronts; i++) {
        bst_http_server_drain(worker->fronts[i].http, front_drained, worker);
    }
}

static bst_result workers_new(struct bst_server *server)
{
    size_t n = server->config->workers ? (size_t)server->config->workers : bst_cpu_count();
    server->workers = bst_alloc(n * sizeof *server->workers);
    BST_ENSURE(server->workers, BST_E_NOMEM);
    for (; server->n_workers < n; server->n_workers++) {
        struct server_worker *worker = &server->workers[server->n_workers];
        worker->server = server;
        worker->drain.run = worker_drain;
        BST_TRY(bst_loop_new(&worker->loop));
        BST_TRY(bst_cse_worker_new(server->cse, worker->loop, &worker->cse));
        BST_TRY(bst_store_reader(server->store, &worker->reader));
    }
    return BST_OK;
}

static void workers_stop(struct bst_server *server)
{
    for (size_t i = 0; i < server->n_workers; i++) {
        if (server->workers[i].thread) {
            bst_loop_post(server->workers[i].loop, &server->workers[i].drain);
        }
    }
    for (size_t i = 0; i < server->n_workers; i++) {
        bst_thread_join(&server->workers[i].thread);
        /* Where no thread ran, its servers are still there. */
        for (size_t f = 0; f < server->workers[i].n_fronts; f++) {
            bst_http_server_free(&server->workers[i].fronts[f].http);
        }
    }
    atomic_store(&server->workers_gone, true);
}

/* Requests whose connection was closed hard still come back from the store. Their loops must not go
 * before; what does not come back in time keeps its memory until the process ends. */
static bool workers_settle(struct bst_server *server)
{
    int64_t until_us = bst_mono_us() + SETTLE_MS * 1000;
    for (;;) {
        bool busy = false;
        for (size_t i = 0; i < server->n_workers; i++) {
            struct server_worker *worker = &server->workers[i];
            bool cse_busy = worker->cse && !bst_cse_worker_settle(worker->cse);
            if (worker->loop && (worker->in_work > 0 || worker->sweeping || cse_busy)) {
                bst_loop_run_once(worker->loop, 5);
                busy = true;
            }
        }
        if (!busy) {
            return true;
        }
        if (bst_mono_us() > until_us) {
            return false;
        }
    }
}

static void workers_free(struct bst_server *server)
{
    if (!workers_settle(server)) {
        bst_log(BST_LOG_WARN, "server.unfinished", "some requests did not end in time");
        server->unfinished = true;
        return;
    }
    for (size_t i = 0; i < server->n_workers; i++) {
        worker_clear(&server->workers[i]);
    }
    bst_free(server->workers);
    server->workers = NULL;
    server->n_workers = 0;
}

/* --- listeners ------------------------------------------------------------------------------ */

static bst_result add_front(struct server_worker *worker, enum front_kind kind, int *take_fd)
{
    struct bst_server *server = worker->server;
    if (worker->n_fronts == SERVER_FRONTS_MAX) {
        BST_FAIL(BST_E_CONFIG, "more than %d addresses to listen on", SERVER_FRONTS_MAX);
    }
    struct server_front *front = &worker->fronts[worker->n_fronts];
    front->worker = worker;
    front->kind = kind;
    struct bst_http_handler handler = kind == FRONT_MEF ? server_mef_handler : server_cse_handler;
    handler.ctx = front;
    struct bst_tls_server *tls = kind == FRONT_LAB   ? NULL
                                 : kind == FRONT_MEF ? server->mef_tls
                                                     : server->cse_tls;
    BST_TRY(
        bst_http_server_new(worker->loop, take_fd, server->shared, tls, &handler, &front->http));
    worker->n_fronts++;
    return BST_OK;
}

static void add_port(char *list, size_t cap, const char *scheme, const struct bst_inet *ip)
{
    char address[BST_INET_TEXT];
    size_t len = strlen(list);
    bst_inet_format(ip, true, address);
    snprintf(list + len, cap - len, "%s%s://%s", len ? " " : "", scheme, address);
}

/* Sockets bound before the loops know them: ports are known before keys and TLS are made. */
struct listening {
    struct bst_bound bound;
    enum front_kind kind;
};

struct listeners {
    struct listening items[SERVER_FRONTS_MAX];
    size_t n;
};

static bst_result bind_one(struct bst_server *server, struct listeners *all, const char *address,
                           enum front_kind kind)
{
    if (all->n == SERVER_FRONTS_MAX) {
        BST_FAIL(BST_E_CONFIG, "more than %d addresses to listen on", SERVER_FRONTS_MAX);
    }
    struct listening *l = &all->items[all->n];
    l->kind = kind;
    BST_TRY(bst_bind(address, server->n_workers, &l->bound));
    all->n++;
    struct bst_server_ports *ports = &server->ports;
    switch (kind) {
    case FRONT_LAB:
        add_port(ports->lab, sizeof ports->lab, "http", &l->bound.ip);
        break;
    case FRONT_CSE:
        add_port(ports->cse, sizeof ports->cse, "https", &l->bound.ip);
        break;
    case FRONT_MEF:
        add_port(ports->mef, sizeof ports->mef, "https", &l->bound.ip);
        break;
    }
    return BST_OK;
}

static bst_result bind_all(struct bst_server *server, struct listeners *all)
{
    const struct bst_config *config = server->config;
    if (server->options.lab) {
        char address[32];
        snprintf(address, sizeof address, "127.0.0.1:%u", server->options.lab_port);
        return bind_one(server, all, address, FRONT_LAB);
    }
    for (size_t i = 0; i < config->cse.listen.n; i++) {
        BST_TRY(bind_one(server, all, config->cse.listen.items[i], FRONT_CSE));
    }
    for (size_t i = 0; config->mef.enabled && i < config->mef.listen.n; i++) {
        BST_TRY(bind_one(server, all, config->mef.listen.items[i], FRONT_MEF));
    }
    return BST_OK;
}

static bst_result serve_all(struct bst_server *server, struct listeners *all)
{
    for (size_t i = 0; i < all->n; i++) {
        for (size_t w = 0; w < server->n_workers; w++) {
            BST_TRY(
                add_front(&server->workers[w], all->items[i].kind, &all->items[i].bound.fds[w]));
        }
    }
    return BST_OK;
}

static bst_result shared_new(struct bst_server *server)
{
    const struct bst_config *config = server->config;
    struct bst_http_limits limits = bst_http_limits_default();
    limits.connections = (size_t)config->http.connections;
    limits.connections_per_peer = (size_t)config->http.connections_per_peer;
    limits.message = BST_HTTP1_LIMITS_DEFAULT;
    limits.message.body_bytes = (size_t)config->http.body_bytes;
    limits.message.head_bytes = (size_t)config->http.header_bytes;
    limits.handshake_ms = config->http.handshake_ms;
    limits.header_ms = config->http.header_ms;
    limits.body_ms = config->http.body_ms;
    limits.idle_ms = config->http.idle_ms;
    limits.drain_ms = config->http.drain_ms;
    return bst_http_shared_new(&limits, &server->shared);
}

/* --- the main loop -------------------------------------------------------------------------- */

static void on_signal(void *user, int signum)
{
    struct bst_server *server = user;
    if (signum == SIGHUP) {
        server_reload_later(server);
        return;
    }
    bst_log(BST_LOG_INFO, "server.stopping", "signal %d: no new connections, requests in work end",
            signum);
    bst_service_notify("STOPPING=1");
    bst_loop_stop(server->loop);
}

static void sweep_mef(struct bst_server *server)
{
    struct bst_mef *mef = server_mef_core(server->mef);
    int64_t now_us = bst_mono_us();
    unsigned removed;
    if (!mef || now_us - server->mef_swept_us < MEF_SWEEP_S * BST_US_PER_S) {
        return;
    }
    server->mef_swept_us = now_us;
    if (bst_failed(bst_mef_sweep(mef, &removed))) {
        bst_log(BST_LOG_ERROR, "mef.sweep_failed", "expired keys could not be removed: %s",
                bst_error_detail());
    }
}

static void keep_up(struct bst_server *server)
{
    if (bst_failed(bst_audit_flush(server->state->audit))) {
        bst_log(BST_LOG_ERROR, "audit.flush_failed", "the audit trail could not be written: %s",
                bst_error_detail());
    }
    sweep_mef(server);
}

static bst_result run_upkeep(struct bst_se *se, struct bst_se_call *call)
{
    keep_up(bst_container_of(call, struct bst_server, upkeep));
    return BST_OK;
}

static void upkeep_done(struct bst_se_call *call)
{
    atomic_store(&bst_container_of(call, struct bst_server, upkeep)->upkeep_runs, false);
}

/* The trail is signed, and keys are removed, where a slow environment keeps no loop waiting. What
 * is not done in time is done a second later. */
static void every_second(void *user)
{
    struct bst_server *server = user;
    if (!bst_se_slow(server->state->se)) {
        keep_up(server);
    } else if (!atomic_exchange(&server->upkeep_runs, true)) {
        server->upkeep = (struct bst_se_call){.run = run_upkeep, .done = upkeep_done};
        if (bst_failed(bst_se_submit(server->state->se, &server->upkeep))) {
            atomic_store(&server->upkeep_runs, false);
        }
    }
}

static bst_result main_loop_new(struct bst_server *server)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    BST_TRY(bst_loop_new(&server->loop));
    for (size_t i = 0; i < 3; i++) {
        BST_TRY(bst_signal_new(server->loop, signals[i], on_signal, server, &server->signals[i]));
    }
    bst_timer_init(server->loop, &server->second, every_second, server);
    bst_timer_start(&server->second, 1000, 1000);
    return BST_OK;
}

static void announce(const struct bst_server *server)
{
    if (server->options.lab) {
        bst_log(BST_LOG_WARN, "server.lab",
                "LABORATORY MODE on %s: anyone on this machine may claim to be anyone, nothing is "
                "proved. Never use it with data that matters.",
                server->ports.lab);
        return;
    }
    bst_log(BST_LOG_INFO, "server.ready", "CSE on %s, MEF on %s", server->ports.cse,
            server->ports.mef[0] ? server->ports.mef : "none");
}

static bst_result write_ports(struct bst_server *server)
{
    bst_auto(buf) out = {0};
    char path[BST_PATH_MAX];
    const struct bst_server_ports *p = &server->ports;
    bst_buf_addf(&out, "{\"cse\":\"%s\",\"mef\":\"%s\",\"lab\":\"%s\",\"metrics\":\"%s\"}\n",
                 p->cse, p->mef, p->lab, p->metrics);
    BST_TRY(bst_buf_check(&out));
    BST_TRY(bst_state_path(server->state->folder, "run/ports.json", path));
    return bst_file_write_atomic(path, bst_buf_view(&out), 0600);
}

static bst_result start_threads(struct bst_server *server)
{
    for (size_t i = 0; i < server->n_workers; i++) {
        char name[16];
        snprintf(name, sizeof name, "worker-%u", (unsigned)i % 1000);
        BST_TRY(
            bst_thread_start(name, worker_thread, &server->workers[i], &server->workers[i].thread));
    }
    return BST_OK;
}

static bst_result start(struct bst_server *server, struct listeners *all)
{
    BST_TRY(main_loop_new(server));
    BST_TRY(shared_new(server));
    BST_TRY(workers_new(server));
    BST_TRY(bind_all(server, all));
    BST_TRY(server_keys_new(server, &server->keys));
    BST_TRY(server_local_start(server));
    if (!server->options.lab) {
        BST_TRY(server_trust_start(server));
    }
    BST_TRY(serve_all(server, all));
    BST_TRY(server_outside_start(server));
    BST_TRY(start_threads(server));
    BST_TRY(server_chores_start(server));
    return write_ports(server);
}

static void stop(struct bst_server *server)
{
    server_chores_stop(server);
    workers_stop(server);
    server_outside_stop(server);
    bst_se_settle(server->state->se); /* its answers go to the loops of workers */
    workers_free(server);
    server_local_stop(server);
    server_keys_free(&server->keys);
    server_trust_stop(server);
    bst_timer_stop(&server->second);
    for (size_t i = 0; i < 3; i++) {
        bst_signal_free(&server->signals[i]);
    }
    bst_loop_free(&server->loop);
    if (!server->unfinished) {
        bst_http_shared_free(&server->shared);
    }
    bst_http_shared_free(&server->local_shared);
}

bst_result bst_server_run(struct bst_server *server,
                          void (*ready)(void *ctx, const struct bst_server_ports *ports), void *ctx)
{
    struct listeners all = {.n = 0};
    bst_result r = start(server, &all);
    for (size_t i = 0; i < all.n; i++) {
        bst_bound_clear(&all.items[i].bound);
    }
    if (!bst_failed(r)) {
        announce(server);
        bst_service_notify("READY=1");
        if (ready) {
            ready(ctx, &server->ports);
        }
        r = bst_loop_run(server->loop);
    }
    char detail[512];
    snprintf(detail, sizeof detail, "%s", bst_error_detail());
    stop(server);
    bst_error_set_detail(detail);
    return r;
}
