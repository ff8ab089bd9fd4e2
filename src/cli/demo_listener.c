/* Notifications over HTTPS, both sides proved: the CSE by its certificate, this AE by its own. */
#include "cli/demo_listener.h"

#include "codec/json.h"
#include "net/http_server.h"
#include "sys/file.h"
#include "sys/service.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

struct demo_listener {
    struct bst_profile profile;
    struct bst_se *se;
    struct bst_trust *trust;
    struct bst_tls_server *tls;
    struct bst_loop *loop;
    struct bst_thread *thread;
    struct bst_http_shared *shared;
    struct bst_http_server *server;
    struct bst_http_handler handler;
    struct bst_http_limits limits;
    char url[96];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned events, unproved;
};

static bool is_event(struct bst_http_exchange *x)
{
    yyjson_val *root;
    return !bst_failed(bst_json_parse(x->arena, x->req.body, BST_JSON_DEPTH, &root)) &&
           bst_json_get(bst_json_get(root, "m2m:sgn"), "nev");
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    struct demo_listener *l = ctx;
    const struct bst_http_header headers[] = {
        {BST_VIEW("X-M2M-RSC"), BST_VIEW("2000")},
        {BST_VIEW("X-M2M-RVI"), BST_VIEW("3")},
        {BST_VIEW("X-M2M-RI"), bst_http_header_get(&x->req, "x-m2m-ri")},
    };
    bool event = is_event(x);
    bool proved = x->peer->tls && x->peer->tls->kind == BST_TLS_AUTH_CERT;
    pthread_mutex_lock(&l->lock);
    l->events += event;
    l->unproved += !proved;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    bst_http_exchange_answer(x, 200, headers, 3, (struct bst_view){0});
}

static bst_result open_tls(struct demo_listener *l)
{
    char path[4096];
    bst_auto(buf) ca = {0}, chain = {0};
    bst_key key;
    BST_TRY(bst_profile_path(&l->profile, "ca.pem", path, sizeof path));
    BST_TRY(bst_file_read(path, 1 << 20, &ca));
    BST_TRY(bst_profile_path(&l->profile, "cert.pem", path, sizeof path));
    BST_TRY(bst_file_read(path, 1 << 20, &chain));
    BST_TRY(bst_trust_new(BST_CRL_OFF, &l->trust));
    BST_TRY(bst_trust_add_anchors(l->trust, bst_buf_view(&ca)));
    BST_TRY(bst_se_key_find(l->se, BST_PROFILE_KEY_TLS, &key));
    const struct bst_tls_credential credential = {.chain_pem = bst_buf_view(&chain), .key = key};
    const struct bst_tls_server_config config = {.profile =
                                                     bst_tls_profile_find(BST_VIEW("onem2m")),
                                                 .se = l->se,
                                                 .credentials = &credential,
                                                 .n_credentials = 1,
                                                 .trust = l->trust};
    return bst_tls_server_new(&config, &l->tls);
}

static bst_result open_server(struct demo_listener *l)
{
    struct bst_bound bound = {0};
    BST_TRY(bst_loop_new(&l->loop));
    BST_TRY(bst_bind("127.0.0.1:0", 1, &bound));
    snprintf(l->url, sizeof l->url, "https://127.0.0.1:%u/notify", bound.ip.port);
    l->limits = bst_http_limits_default();
    l->handler = (struct bst_http_handler){.on_request = on_request, .ctx = l};
    bst_result r = bst_http_shared_new(&l->limits, &l->shared);
    if (!bst_failed(r)) {
        r = bst_http_server_new(l->loop, &bound.fds[0], l->shared, l->tls, &l->handler, &l->server);
    }
    bst_bound_clear(&bound);
    return r;
}

static void run(void *arg)
{
    struct demo_listener *l = arg;
    (void)bst_failed(bst_loop_run(l->loop));
    bst_http_server_free(&l->server);
}

bst_result demo_listener_start(const char *profile_folder, struct demo_listener **ret)
{
    struct demo_listener *l = bst_alloc(sizeof *l);
    BST_ENSURE(l, BST_E_NOMEM);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    bst_result r = bst_profile_load(profile_folder, &l->profile);
    if (!bst_failed(r)) {
        r = bst_profile_se(&l->profile, &l->se);
    }
    if (!bst_failed(r)) {
        r = open_tls(l);
    }
    if (!bst_failed(r)) {
        r = open_server(l);
    }
    if (!bst_failed(r)) {
        r = bst_thread_start("listener", run, l, &l->thread);
    }
    if (bst_failed(r)) {
        demo_listener_stop(&l);
        return r;
    }
    *ret = l;
    return BST_OK;
}

void demo_listener_stop(struct demo_listener **listener)
{
    struct demo_listener *l = *listener;
    if (!l) {
        return;
    }
    *listener = NULL;
    if (l->thread) {
        bst_loop_stop(l->loop);
        bst_thread_join(&l->thread);
    }
    bst_http_server_free(&l->server);
    bst_http_shared_free(&l->shared);
    bst_loop_free(&l->loop);
    bst_tls_server_free(&l->tls);
    bst_trust_drop(&l->trust);
    bst_se_close(&l->se);
    bst_profile_clear(&l->profile);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    bst_free(l);
}

const char *demo_listener_url(const struct demo_listener *listener)
{
    return listener->url;
}

bst_result demo_listener_wait(struct demo_listener *l, unsigned count, int64_t timeout_ms)
{
    int64_t until_us = bst_wall_us() + timeout_ms * 1000;
    struct timespec until = {.tv_sec = until_us / BST_US_PER_S,
                             .tv_nsec = until_us % BST_US_PER_S * 1000};
    int e = 0;
    pthread_mutex_lock(&l->lock);
    while (l->events < count && e == 0) {
        e = pthread_cond_timedwait(&l->changed, &l->lock, &until);
    }
    unsigned got = l->events;
    pthread_mutex_unlock(&l->lock);
    if (got < count) {
        BST_FAIL(BST_E_TIMEOUT, "%u of %u notifications came", got, count);
    }
    return BST_OK;
}

unsigned demo_listener_unproved(struct demo_listener *l)
{
    pthread_mutex_lock(&l->lock);
    unsigned n = l->unproved;
    pthread_mutex_unlock(&l->lock);
    return n;
}
