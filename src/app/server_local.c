/* Endpoints for this machine only: /metrics on the loopback, and the admin socket. Both live on the
 * main loop, where a short wait for the store is allowed; longer ones are for the chores. */
#include "app/server_priv.h"

#include "mef/mef.h"
#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>
#include <unistd.h>

/* --- metrics -------------------------------------------------------------------------------- */

enum {
    GAUGE_OPEN,
    GAUGE_IN_WORK,
    GAUGE_ACCEPTED,
    GAUGE_REFUSED_FULL,
    GAUGE_REFUSED_PEER,
    GAUGE_HANDSHAKES,
    GAUGE_BAD_REQUESTS,
    GAUGE_TIMEOUTS,
    GAUGE_CLOSED_REVOKED,
    GAUGE_BYTES_IN,
    GAUGE_BYTES_OUT,
    GAUGE_JOBS,
    GAUGE_FAILED_JOBS,
    GAUGE_BATCHES,
    GAUGE_LARGEST_BATCH,
    GAUGE_CHECKPOINTS,
    GAUGE_WAITING,
    GAUGE_WAL_BYTES,
    GAUGE_WRITABLE,
    GAUGE_KEYS,
    GAUGE_UPTIME,
    GAUGE_LAB,
    GAUGE_COUNT
};

static const struct {
    enum bst_metric_kind kind;
    const char *name, *help;
} gauges[GAUGE_COUNT] = {
    [GAUGE_OPEN] = {BST_METRIC_GAUGE, "bastide_connections", "Open connections."},
    [GAUGE_IN_WORK] = {BST_METRIC_GAUGE, "bastide_requests_in_work", "Requests in work."},
    [GAUGE_ACCEPTED] = {BST_METRIC_COUNTER, "bastide_connections_accepted_total",
                        "Connections accepted."},
    [GAUGE_REFUSED_FULL] = {BST_METRIC_COUNTER, "bastide_connections_refused_full_total",
                            "Connections refused because there were too many."},
    [GAUGE_REFUSED_PEER] = {BST_METRIC_COUNTER, "bastide_connections_refused_peer_total",
                            "Connections refused because one peer had too many."},
    [GAUGE_HANDSHAKES] = {BST_METRIC_COUNTER, "bastide_tls_handshakes_total",
                          "Completed TLS handshakes."},
    [GAUGE_BAD_REQUESTS] = {BST_METRIC_COUNTER, "bastide_http_bad_requests_total",
                            "Messages refused before they became requests."},
    [GAUGE_TIMEOUTS] = {BST_METRIC_COUNTER, "bastide_http_timeouts_total",
                        "Connections closed at a deadline."},
    [GAUGE_CLOSED_REVOKED] = {BST_METRIC_COUNTER, "bastide_sessions_closed_total",
                              "Sessions closed because their credential no longer holds."},
    [GAUGE_BYTES_IN] = {BST_METRIC_COUNTER, "bastide_received_bytes_total", "Bytes received."},
    [GAUGE_BYTES_OUT] = {BST_METRIC_COUNTER, "bastide_sent_bytes_total", "Bytes sent."},
    [GAUGE_JOBS] = {BST_METRIC_COUNTER, "bastide_store_jobs_total", "Units of writing."},
    [GAUGE_FAILED_JOBS] = {BST_METRIC_COUNTER, "bastide_store_failed_jobs_total",
                           "Units of writing that were taken back."},
    [GAUGE_BATCHES] = {BST_METRIC_COUNTER, "bastide_store_commits_total", "Commits."},
    [GAUGE_LARGEST_BATCH] = {BST_METRIC_GAUGE, "bastide_store_largest_commit",
                             "Most units of writing in one commit."},
    [GAUGE_CHECKPOINTS] = {BST_METRIC_COUNTER, "bastide_store_checkpoints_total", "Checkpoints."},
    [GAUGE_WAITING] = {BST_METRIC_GAUGE, "bastide_store_waiting", "Units of writing that wait."},
    [GAUGE_WAL_BYTES] = {BST_METRIC_GAUGE, "bastide_store_wal_bytes",
                         "Size of the write-ahead log."},
    [GAUGE_WRITABLE] = {BST_METRIC_GAUGE, "bastide_store_writable",
                        "1 while the store takes writes; 0 after a failed write or fsync."},
    [GAUGE_KEYS] = {BST_METRIC_GAUGE, "bastide_se_keys", "Keys in the secure environment."},
    [GAUGE_UPTIME] = {BST_METRIC_GAUGE, "bastide_uptime_seconds", "Time since the start."},
    [GAUGE_LAB] = {BST_METRIC_GAUGE, "bastide_lab_mode",
                   "1: originators are taken as written; for laboratories only."},
};

static void collect_http(struct bst_server *server, int64_t *v)
{
    struct bst_http_stats s = {0};
    bst_http_shared_stats(server->shared, &s);
    v[GAUGE_OPEN] = (int64_t)s.open;
    v[GAUGE_IN_WORK] = (int64_t)s.in_work;
    v[GAUGE_ACCEPTED] = (int64_t)s.accepted;
    v[GAUGE_REFUSED_FULL] = (int64_t)s.refused_full;
    v[GAUGE_REFUSED_PEER] = (int64_t)s.refused_peer;
    v[GAUGE_HANDSHAKES] = (int64_t)s.handshakes;
    v[GAUGE_BAD_REQUESTS] = (int64_t)s.bad_requests;
    v[GAUGE_TIMEOUTS] = (int64_t)s.timeouts;
    v[GAUGE_CLOSED_REVOKED] = (int64_t)s.closed_revoked;
    v[GAUGE_BYTES_IN] = (int64_t)s.bytes_in;
    v[GAUGE_BYTES_OUT] = (int64_t)s.bytes_out;
}

static void collect_store(struct bst_server *server, int64_t *v)
{
    struct bst_store_stats s = {0};
    bst_store_stats(server->store, &s);
    v[GAUGE_JOBS] = (int64_t)s.jobs;
    v[GAUGE_FAILED_JOBS] = (int64_t)s.failed_jobs;
    v[GAUGE_BATCHES] = (int64_t)s.batches;
    v[GAUGE_LARGEST_BATCH] = (int64_t)s.largest_batch;
    v[GAUGE_CHECKPOINTS] = (int64_t)s.checkpoints;
    v[GAUGE_WAITING] = (int64_t)s.waiting;
    v[GAUGE_WAL_BYTES] = (int64_t)s.wal_bytes;
    v[GAUGE_WRITABLE] = bst_failed(bst_store_writable(server->store)) ? 0 : 1;
}

static void collect(void *ctx)
{
    struct bst_server *server = ctx;
    int64_t v[GAUGE_COUNT] = {0};
    collect_http(server, v);
    collect_store(server, v);
    v[GAUGE_KEYS] = (int64_t)bst_se_key_count(server->state->se);
    v[GAUGE_UPTIME] = (bst_mono_us() - server->started_us) / BST_US_PER_S;
    v[GAUGE_LAB] = server->options.lab;
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        bst_metric_set(server->metrics.gauges[i], v[i]);
    }
}

static struct bst_metric *counter(const char *name, const char *help, const char *labels)
{
    return bst_metric_get(BST_METRIC_COUNTER, name, help, labels);
}

void server_metrics_init(struct bst_server *server)
{
    static const char *const classes[] = {"2xxx", "4xxx", "5xxx", "other"};
    static const char *const lookups[] = {"known", "fetched", "missing", "refused"};
    struct server_metrics *m = &server->metrics;
    char labels[96];
    for (unsigned op = 0; op < 6; op++) {
        const char *name = op ? bst_m2m_op_name((enum bst_m2m_op)op) : "malformed";
        for (unsigned c = 0; c < 4; c++) {
            snprintf(labels, sizeof labels, "operation=\"%s\",answer=\"%s\"", name, classes[c]);
            m->requests[op][c] = counter("bastide_requests_total", "Requests to the CSE.", labels);
        }
        snprintf(labels, sizeof labels, "operation=\"%s\"", name);
        m->latency[op] = bst_metric_get(BST_METRIC_HISTOGRAM, "bastide_request_seconds",
                                        "Time from a request to its answer.", labels);
    }
    for (unsigned c = 0; c < 3; c++) {
        snprintf(labels, sizeof labels, "answer=\"%s\"", classes[c]);
        m->mef_requests[c] = counter("bastide_mef_requests_total", "Requests to the MEF.", labels);
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(labels, sizeof labels, "result=\"%s\"", lookups[i]);
        m->key_lookups[i] =
            counter("bastide_key_lookups_total", "Look-ups of pre-shared keys.", labels);
    }
    m->denials = counter("bastide_denials_total", "Requests that were denied.", NULL);
    m->handshakes_failed =
        counter("bastide_tls_handshakes_failed_total", "Failed TLS handshakes.", NULL);
    m->sessions = counter("bastide_sessions_total", "Security associations.", NULL);
    m->notify_sent =
        counter("bastide_notifications_total", "Attempts to notify.", "result=\"sent\"");
    m->notify_failed =
        counter("bastide_notifications_total", "Attempts to notify.", "result=\"failed\"");
    m->notify_refused =
        counter("bastide_notifications_total", "Attempts to notify.", "result=\"refused\"");
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        m->gauges[i] = bst_metric_get(gauges[i].kind, gauges[i].name, gauges[i].help, NULL);
    }
}

static void answer_text(struct bst_http_exchange *x, int status, const char *type,
                        struct bst_view body)
{
    struct bst_http_header header = {BST_VIEW("Content-Type"), bst_view(type)};
    bst_http_exchange_answer(x, status, &header, 1, body);
}

static void metrics_request(void *ctx, struct bst_http_exchange *x)
{
    bst_auto(buf) text = {0};
    if (!bst_view_is(x->req.target, "/metrics")) {
        answer_text(x, 404, "text/plain", BST_VIEW("see /metrics\n"));
        return;
    }
    if (x->req.method != BST_HTTP_GET && x->req.method != BST_HTTP_HEAD) {
        answer_text(x, 405, "text/plain", BST_VIEW("GET only\n"));
        return;
    }
    if (bst_failed(bst_metrics_expose(&text))) {
        answer_text(x, 500, "text/plain", BST_VIEW("out of memory\n"));
        return;
    }
    answer_text(x, 200, BST_METRICS_CONTENT_TYPE, bst_buf_view(&text));
}

/* --- admin ---------------------------------------------------------------------------------- */

static bool is_listed(const struct bst_config_texts *users, int64_t uid)
{
    for (size_t i = 0; i < users->n; i++) {
        int64_t listed;
        if (!bst_failed(bst_parse_i64(bst_view(users->items[i]), &listed)) && listed == uid) {
            return true;
        }
    }
    return false;
}

static bst_result admin_session(void *ctx, struct bst_net_peer *peer)
{
    struct bst_server *server = ctx;
    if (peer->uid == 0 || peer->uid == (int64_t)geteuid() ||
        (peer->uid > 0 && is_listed(&server->config->admin.users, peer->uid))) {
        return BST_OK;
    }
    bst_log(BST_LOG_WARN, "admin.refused", "user %lld may not use the admin socket",
            (long long)peer->uid);
    return bst_error(BST_E_DENIED);
}

/* One command; it may be carried out on another thread than that of its connection. */
struct admin_work {
    struct server_chore chore;
    struct bst_task back;
    struct bst_server *server;
    struct bst_http_exchange *x;
    struct bst_buf out;
    bool failed;
};

static void admin_answer(struct admin_work *w)
{
    answer_text(w->x, w->failed ? 400 : 200, "application/json", bst_buf_view(&w->out));
    bst_buf_wipe(&w->out);
    bst_free(w);
}

static void admin_run(struct admin_work *w)
{
    const struct bst_http_msg *req = &w->x->req;
    bst_result r = bst_admin_run(w->server, bst_view_from(req->target, 1), req->body, &w->out);
    w->failed = bst_failed(r);
    if (w->failed) {
        bst_buf_wipe(&w->out);
        bst_buf_addf(&w->out, "{\"error\":\"%s\",\"detail\":", bst_error_name(r.code));
        bst_buf_add_json(&w->out, bst_view(bst_error_detail()));
        bst_buf_addc(&w->out, '}');
    }
    /* Arguments may hold a key that is being provisioned. */
    bst_wipe((char *)(uintptr_t)req->body.ptr, req->body.len);
}

static void admin_back(struct bst_task *task)
{
    admin_answer(bst_container_of(task, struct admin_work, back));
}

static void admin_chore(struct server_chore *chore)
{
    struct admin_work *w = bst_container_of(chore, struct admin_work, chore);
    admin_run(w);
    bst_loop_post(w->server->loop, &w->back);
}

static void admin_request(void *ctx, struct bst_http_exchange *x)
{
    if (x->req.method != BST_HTTP_POST || !bst_view_starts(x->req.target, BST_VIEW("/"))) {
        answer_text(x, 405, "text/plain", BST_VIEW("POST /OPERATION only\n"));
        return;
    }
    struct admin_work *w = bst_alloc(sizeof *w);
    if (!w) {
        answer_text(x, 500, "text/plain", BST_VIEW("out of memory\n"));
        return;
    }
    *w = (struct admin_work){
        .chore = {.run = admin_chore}, .back = {.run = admin_back}, .server = ctx, .x = x};
    if (server_admin_waits(bst_view_from(x->req.target, 1))) {
        server_chore_post(ctx, &w->chore);
    } else {
        admin_run(w);
        admin_answer(w);
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static bst_result listen_one(struct bst_server *server, const char *address,
                             const struct bst_http_handler *handler, struct bst_http_server **slot,
                             struct bst_inet *ret)
{
    struct bst_bound bound;
    BST_TRY(bst_bind(address, 1, &bound));
    *ret = bound.ip;
    bst_result r =
        bst_http_server_new(server->loop, &bound.fds[0], server->local_shared, NULL, handler, slot);
    bst_bound_clear(&bound);
    return r;
}

static bst_result metrics_start(struct bst_server *server)
{
    struct bst_http_handler handler = {.on_request = metrics_request, .ctx = server};
    struct bst_inet ip;
    char address[BST_INET_TEXT];
    if (server->config->metrics.listen[0] == '\0') {
        return BST_OK;
    }
    BST_TRY(
        listen_one(server, server->config->metrics.listen, &handler, &server->metrics_http, &ip));
    bst_inet_format(&ip, true, address);
    snprintf(server->ports.metrics, sizeof server->ports.metrics, "http://%.40s/metrics", address);
    return BST_OK;
}

static bst_result admin_start(struct bst_server *server)
{
    struct bst_http_handler handler = {
        .on_request = admin_request, .on_session = admin_session, .ctx = server};
    struct bst_inet ip;
    char path[BST_PATH_MAX], address[BST_PATH_MAX + 8];
    BST_TRY(bst_state_path(server->state->folder, server->config->admin.socket, path));
    snprintf(address, sizeof address, "unix:%s", path);
    BST_TRY(listen_one(server, address, &handler, &server->admin_http, &ip));
    snprintf(server->ports.admin, sizeof server->ports.admin, "%s", path);
    return BST_OK;
}

bst_result server_local_start(struct bst_server *server)
{
    struct bst_http_limits limits = bst_http_limits_default();
    limits.connections = 64;
    limits.connections_per_peer = 0;
    BST_TRY(bst_http_shared_new(&limits, &server->local_shared));
    BST_TRY(metrics_start(server));
    BST_TRY(admin_start(server));
    return bst_metrics_on_collect(collect, server);
}

void server_local_stop(struct bst_server *server)
{
    bst_metrics_off_collect(server);
    bst_http_server_free(&server->metrics_http);
    bst_http_server_free(&server->admin_http);
}
