/* The loop that talks to others: notifications over HTTP and HTTPS behind an allow list, and the
 * client side that fetches keys from MEFs. A slow target holds up nothing but itself.
 *
 * TS-0003 8.2.2.2: as a client the CSE proves itself, and the target must prove the AE or host of
 * its point of access. */
#include "app/server_priv.h"

#include "bind/http/http_binding.h"
#include "obs/log.h"
#include "sec/ids.h"
#include "sys/clock.h"
#include "tls/profile.h"

#include <stdio.h>

#define TARGETS_MAX 1024

/* --- allow list ----------------------------------------------------------------------------- */

/* "10.1.0.0/16" or "::1/128": does it hold `ip`? False for what is a name. */
static bool cidr_holds(struct bst_view entry, const struct bst_inet *ip)
{
    struct bst_view bits_text = entry, address;
    struct bst_inet net;
    uint64_t bits;
    char text[80];
    bool has_bits = bst_view_cut(&bits_text, '/', &address);
    bool v6 = memchr(address.ptr, ':', address.len) != NULL;
    int len = snprintf(text, sizeof text, v6 ? "[%.*s]:0" : "%.*s:0", BST_VIEW_ARGS(address));
    if (len < 0 || (size_t)len >= sizeof text ||
        bst_failed(bst_inet_parse(bst_view_of(text, (size_t)len), &net)) ||
        net.family != ip->family) {
        return false;
    }
    uint64_t max = net.family == 4 ? 32 : 128;
    if (!has_bits) {
        bits = max;
    } else if (bst_failed(bst_parse_u64(bits_text, &bits)) || bits > max) {
        return false;
    }
    size_t whole = (size_t)bits / 8, rest = (size_t)bits % 8;
    if (memcmp(net.bytes, ip->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((net.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

bool server_notify_allows_ip(const struct bst_config_texts *allow, const struct bst_inet *ip)
{
    for (size_t i = 0; i < allow->n; i++) {
        struct bst_view entry = bst_view(allow->items[i]);
        if (bst_view_is(entry, "*") &&
            !(bst_inet_is_local_scope(ip) && !bst_inet_is_loopback(ip))) {
            return true;
        }
        if (cidr_holds(entry, ip)) {
            return true;
        }
    }
    return false;
}

bool server_notify_allows_name(const struct bst_config_texts *allow, struct bst_view host)
{
    for (size_t i = 0; i < allow->n; i++) {
        struct bst_view entry = bst_view(allow->items[i]);
        if (!bst_view_is(entry, "*") && bst_view_eq_nocase(entry, host)) {
            return true;
        }
    }
    return false;
}

/* What is really dialled is judged, after the name was resolved. */
static bool dial_filter(void *user, const struct bst_inet *ip)
{
    struct bst_server *server = user;
    return server_notify_allows_ip(&server->config->notify.allow, ip);
}

/* --- TLS towards targets -------------------------------------------------------------------- */

/* [TS-0003 8.2.1] the second association, from the CSE to the AE, uses the credentials of the
 * first. */
struct proof {
    struct bst_view must_prove; /* absolute AE-ID, or the host of the URL */
    bool is_ae;
    struct bst_view host;
    struct bst_view identity; /* of the key that the AE registered with; empty: certificates */
    bst_key key;
};

static bst_result find_proof(struct bst_server *server, const struct bst_notify_attempt *attempt,
                             const struct bst_http_url *url, struct bst_arena *arena,
                             struct proof *ret)
{
    struct bst_entity_id id;
    *ret = (struct proof){.must_prove = attempt->target_id.len ? attempt->target_id : url->host,
                          .is_ae = attempt->target_id.len > 0,
                          .host = url->host};
    if (!ret->is_ae) {
        return BST_OK;
    }
    BST_TRY(bst_entity_parse(&server->self, attempt->target_id, &id));
    BST_TRY(server_psk_of_ae(server->outside.reader, bst_entity_last(&id), arena, &ret->identity));
    ret->key = ret->identity.len ? server_keys_at_hand(server->keys, ret->identity) : 0;
    if (!ret->key) {
        ret->identity = (struct bst_view){0}; /* the AE must then show a certificate */
    }
    return BST_OK;
}

static bst_result new_target(struct bst_server *server, const struct proof *proof,
                             struct bst_tls_client **ret)
{
    struct bst_view must_prove = proof->must_prove, host = proof->host;
    bool is_ae = proof->is_ae;
    struct bst_trust *trust;
    struct bst_tls_credential own;
    bst_auto(buf) pem = {0};
    char name[256];
    struct bst_tls_name expect[2] = {{is_ae ? BST_CERT_AE : BST_CERT_FQDN, must_prove},
                                     {BST_CERT_CSE, must_prove}};
    BST_TRY(bst_view_copy(host, name, sizeof name));
    BST_TRY(server_trust_load(server, &trust));
    bst_result r = server_own_credential(server, &pem, &own);
    if (bst_failed(r)) {
        bst_trust_drop(&trust);
        return r;
    }
    struct bst_tls_client_config config = {
        .profile = bst_tls_profile_find(bst_view(server->config->tls.profile)),
        .se = server->state->se,
        .credential = &own,
        .trust = trust,
        .server_name = bst_fqdn_valid(host) ? name : NULL,
        .expect = expect,
        .n_expect = is_ae ? 1 : 2,
        .resume = true,
        .wall_us = bst_wall_us,
    };
    if (proof->key) {
        config.credential = NULL;
        config.psk_identity = proof->identity;
        config.psk_key = proof->key;
        config.n_expect = 0;
    }
    r = bst_tls_client_new(&config, ret);
    bst_se_close(&own.se);
    bst_trust_drop(&trust);
    return r;
}

static void clear_targets(struct server_outside *outside)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&outside->targets, &cursor, &key, &value)) {
        struct bst_tls_client *client = value;
        if (outside->guarded) {
            bst_http_client_forget(outside->guarded, client);
            bst_http_client_forget(outside->open, client);
        }
        bst_map_remove(&outside->targets, key);
        bst_tls_client_free(&client);
    }
}

/* One TLS client for each thing that must be proved; on the outside loop. */
static bst_result target_client(struct bst_server *server, const struct bst_notify_attempt *attempt,
                                const struct bst_http_url *url, struct bst_arena *arena,
                                struct bst_tls_client **ret)
{
    struct server_outside *outside = &server->outside;
    struct proof proof;
    bst_auto(buf) key = {0};
    BST_TRY(find_proof(server, attempt, url, arena, &proof));
    bst_buf_addf(&key, "%.*s %.*s %llu", BST_VIEW_ARGS(proof.must_prove), BST_VIEW_ARGS(url->host),
                 (unsigned long long)proof.key);
    BST_TRY(bst_buf_check(&key));
    *ret = bst_map_get(&outside->targets, bst_buf_view(&key));
    if (*ret) {
        return BST_OK;
    }
    if (outside->targets.count >= TARGETS_MAX) {
        clear_targets(outside);
    }
    struct bst_tls_client *client;
    BST_TRY(new_target(server, &proof, &client));
    bst_result r = bst_map_set(&outside->targets, bst_buf_view(&key), client, NULL);
    if (bst_failed(r)) {
        bst_tls_client_free(&client);
        return r;
    }
    *ret = client;
    return BST_OK;
}

/* --- sending -------------------------------------------------------------------------------- */

struct sending {
    struct bst_server *server;
    struct bst_notify_attempt *attempt;
    struct bst_arena arena;
};

static void sending_end(struct sending *s, bst_result result, int rsc)
{
    struct server_metrics *metrics = &s->server->metrics;
    bst_metric_add(result.code == BST_E_NONE         ? metrics->notify_sent
                   : result.code == BST_E_PERMISSION ? metrics->notify_refused
                                                     : metrics->notify_failed,
                   1);
    if (bst_failed(result)) {
        struct bst_log_field field = {"url", s->attempt->url};
        bst_log_fields(BST_LOG_INFO, "notify.failed", &field, 1, "%s: %s",
                       bst_error_text(result.code), bst_error_detail());
    }
    struct bst_notify_attempt *attempt = s->attempt;
    bst_arena_clear(&s->arena);
    bst_free(s);
    bst_notify_sent(attempt, result, rsc);
}

static void on_answer(void *user, bst_result result, const struct bst_http_msg *response,
                      const struct bst_tls_peer *peer)
{
    struct sending *s = user;
    struct bst_m2m_response rsp = {0};
    if (result.code == BST_E_DENIED) {
        bst_error_set_detail("the address is not in notify.allow");
        sending_end(s, (bst_result){BST_E_PERMISSION}, 0);
        return;
    }
    if (!bst_failed(result)) {
        result = bst_http_to_response(response, &s->arena, &rsp);
    }
    if (!bst_failed(result) && rsp.rqi.len && !bst_view_eq(rsp.rqi, s->attempt->req.rqi)) {
        result = bst_error_detailed(BST_E_SYNTAX, "the answer is one to another request");
    }
    if (!bst_failed(result) && rsp.retry_s) {
        s->attempt->retry_ms = (int64_t)rsp.retry_s * 1000;
        result = bst_error_detailed(BST_E_BUSY, "the target is busy");
    }
    sending_end(s, result, rsp.rsc);
}

static bst_result start_call(struct sending *s)
{
    struct bst_server *server = s->server;
    struct bst_http_url url;
    struct bst_http_msg msg = {0};
    struct bst_tls_client *tls = NULL;
    struct bst_http_call *call;
    char address[300], host[300];
    BST_TRY(bst_http_url_parse(s->attempt->url, &s->arena, &url));
    bool named = server_notify_allows_name(&server->config->notify.allow, url.host);
    if (bst_view_is(url.host, "unix")) {
        BST_FAIL(BST_E_PERMISSION, "a host of this name would be dialled as a local socket");
    }
    if (url.tls) {
        BST_TRY(target_client(server, s->attempt, &url, &s->arena, &tls));
    }
    BST_TRY(bst_http_from_request_at(&s->attempt->req, url.path, &s->arena, &msg));
    bool v6 = memchr(url.host.ptr, ':', url.host.len) != NULL;
    snprintf(address, sizeof address, v6 ? "[%.*s]:%u" : "%.*s:%u", BST_VIEW_ARGS(url.host),
             (unsigned)url.port);
    BST_TRY(bst_view_copy(url.authority, host, sizeof host));
    struct bst_http_call_spec spec = {
        .target = {.address = address, .host = host, .tls = tls},
        .method = msg.method,
        .path = msg.target,
        .headers = msg.headers,
        .n_headers = msg.n_headers,
        .body = msg.body,
        .timeout_ms = s->attempt->timeout_ms,
    };
    return bst_http_client_call(named ? server->outside.open : server->outside.guarded, &spec,
                                on_answer, s, &call);
}

static void transport_send(void *ctx, struct bst_notify_attempt *attempt)
{
    struct bst_server *server = ctx;
    if (server->outside.closing) {
        bst_notify_sent(attempt, bst_error(BST_E_CANCELLED), 0);
        return;
    }
    struct sending *s = bst_alloc(sizeof *s);
    if (!s) {
        bst_notify_sent(attempt, bst_error(BST_E_NOMEM), 0);
        return;
    }
    s->server = server;
    s->attempt = attempt;
    bst_arena_init(&s->arena, 16u << 20);
    bst_result r = start_call(s);
    if (bst_failed(r)) {
        sending_end(s, r, 0);
    }
}

/* --- the loop ------------------------------------------------------------------------------- */

struct forget_task {
    struct bst_task task;
    struct bst_server *server;
};

static void forget_now(struct bst_task *task)
{
    struct forget_task *f = bst_container_of(task, struct forget_task, task);
    clear_targets(&f->server->outside);
    server_keys_reconnect(f->server->keys);
    bst_free(f);
}

void server_outside_forget(struct bst_server *server)
{
    struct forget_task *f = server->outside.loop ? bst_alloc(sizeof *f) : NULL;
    if (f) {
        f->task.run = forget_now;
        f->server = server;
        bst_loop_post(server->outside.loop, &f->task);
    }
}

/* Calls under way end first, and tell the notifier: it must still be there. */
static void close_outside(struct server_outside *outside)
{
    outside->closing = true;
    bst_http_client_free(&outside->guarded);
    bst_http_client_free(&outside->open);
    bst_notifier_free(&outside->server->notifier);
    clear_targets(outside);
    bst_map_clear(&outside->targets);
    bst_store_reader_close(&outside->reader);
}

static void outside_thread(void *arg)
{
    struct server_outside *outside = arg;
    if (bst_failed(bst_loop_run(outside->loop))) {
        bst_log(BST_LOG_ERROR, "loop.failed", "the client loop ended: %s", bst_error_detail());
    }
    close_outside(outside);
}

static bst_result make(struct bst_server *server)
{
    struct server_outside *outside = &server->outside;
    const struct bst_config *config = server->config;
    outside->server = server;
    BST_TRY(bst_loop_new(&outside->loop));
    BST_TRY(bst_store_reader(server->store, &outside->reader));
    BST_TRY(bst_http_client_new(
        outside->loop, &(struct bst_http_client_config){.filter = dial_filter, .ctx = server},
        &outside->guarded));
    BST_TRY(
        bst_http_client_new(outside->loop, &(struct bst_http_client_config){0}, &outside->open));
    struct bst_notify_transport transport = {transport_send, server};
    struct bst_notify_limits limits = {.per_target = (unsigned)config->notify.queue,
                                       .tries = (unsigned)config->notify.attempts,
                                       .timeout_ms = config->notify.timeout_ms};
    BST_TRY(bst_notifier_new(server->cse, outside->loop, &transport, &limits, &server->notifier));
    server->events.ctx = server->notifier;
    return BST_OK;
}

bst_result server_outside_start(struct bst_server *server)
{
    BST_TRY(make(server));
    return bst_thread_start("outside", outside_thread, &server->outside, &server->outside.thread);
}

void server_outside_stop(struct bst_server *server)
{
    struct server_outside *outside = &server->outside;
    if (outside->thread) {
        bst_loop_stop(outside->loop);
        bst_thread_join(&outside->thread);
    } else {
        close_outside(outside);
    }
    bst_loop_free(&outside->loop);
    server->events.ctx = NULL;
}
