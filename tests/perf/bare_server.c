/* The bare stack: the same network, TLS, HTTP, JSON and store as the CSE, on as many loops, and no
 * CSE between. A POST is parsed and becomes one durable row; a GET gets the same bytes always. What
 * the CSE loses against this is the CSE's own.
 *
 *     bare_server STATE ADDRESS THREADS
 *
 * STATE comes from bastide init and lends its certificates; clients prove themselves as they do to
 * the CSE, so that the same profile asks both. Runs until SIGTERM. */
#include "app/state.h"
#include "base/map.h"
#include "codec/json.h"
#include "net/http_server.h"
#include "perf/perf.h"
#include "store/resource.h"
#include "sys/clock.h"
#include "sys/service.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <signal.h>

enum { MAX_THREADS = 64, CONTAINER_TY = 3, INSTANCE_TY = 4 };

struct worker {
    struct bst_loop *loop;
    struct bst_http_server *server;
    struct bst_thread *thread;
};

static struct worker workers[MAX_THREADS];
static size_t n_workers;
static struct bst_store *store;
static int64_t container;

/* As long as what the CSE answers to a small contentInstance. */
static const char answer[] =
    "{\"m2m:cin\":{\"rn\":\"bvcoaeeokpslp\",\"ty\":4,\"ri\":\"bvcoaeeokpslp\",\"pi\":"
    "\"id3fb3tt2kn6r\","
    "\"ct\":\"20261123T040111,128592\",\"lt\":\"20261123T040111,128592\","
    "\"et\":\"20311122T040111,120742\",\"st\":1,\"cs\":4,\"con\":\"21.5\"}}";

/* One POST on its way to the store; in the exchange's arena. */
struct post {
    struct bst_store_job job;
    struct bst_http_exchange *x;
    struct bst_row row;
};

static void respond(struct bst_http_exchange *x, int status)
{
    const struct bst_http_header headers[] = {
        {BST_VIEW("X-M2M-RSC"), BST_VIEW("2001")},
        {BST_VIEW("X-M2M-RI"), BST_VIEW("bench")},
        {BST_VIEW("X-M2M-RVI"), BST_VIEW("3")},
        {BST_VIEW("Content-Location"), BST_VIEW("/~/id-in/bvcoaeeokpslp")},
        {BST_VIEW("Content-Type"), BST_VIEW("application/json")},
    };
    struct bst_view body =
        status < 300 ? bst_view_of(answer, sizeof answer - 1) : (struct bst_view){0};
    bst_http_exchange_answer(x, status, headers, sizeof headers / sizeof headers[0], body);
}

static bst_result insert(struct bst_store_conn *conn, struct bst_store_job *job)
{
    struct post *post = bst_container_of(job, struct post, job);
    return bst_resource_insert(conn, &post->row, &post->row.id);
}

static void inserted(struct bst_store_job *job, bst_result result)
{
    respond(bst_container_of(job, struct post, job)->x, bst_failed(result) ? 500 : 201);
}

/* Members without braces, as the CSE keeps them. */
static bst_result read_body(struct bst_http_exchange *x, struct bst_row *row)
{
    yyjson_val *root, *cin;
    BST_TRY(bst_json_parse(x->arena, x->req.body, BST_JSON_DEPTH, &root));
    BST_TRY(bst_json_object(root, "m2m:cin", &cin));
    struct bst_view text = bst_json_text(x->arena, cin);
    BST_ENSURE(text.len >= 2, BST_E_NOMEM);
    *row = (struct bst_row){.pi = container,
                            .ty = INSTANCE_TY,
                            .cbs = (int64_t)text.len,
                            .body = {text.ptr + 1, text.len - 2}};
    row->ct = row->lt = bst_wall_us();
    return BST_OK;
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    struct post *post = bst_arena_alloc(x->arena, sizeof *post);
    (void)ctx;
    if (x->req.method == BST_HTTP_GET) {
        respond(x, 200);
        return;
    }
    if (!post || bst_failed(read_body(x, &post->row))) {
        respond(x, 400);
        return;
    }
    post->x = x;
    post->job =
        (struct bst_store_job){.loop = bst_http_exchange_loop(x), .run = insert, .done = inserted};
    bst_store_submit(store, &post->job);
}

static void serve(void *arg)
{
    struct worker *worker = arg;
    must(bst_loop_run(worker->loop), "loop");
    bst_http_server_free(&worker->server);
}

static void on_signal(void *user, int signum)
{
    (void)signum;
    bst_loop_stop(user);
}

static bst_result make_container(struct bst_store_conn *conn, void *arg)
{
    (void)arg;
    struct bst_row row = {.ty = CONTAINER_TY, .name = BST_VIEW("c"), .ct = 1, .lt = 1};
    return bst_resource_insert(conn, &row, &container);
}

static void open_store(const char *folder)
{
    char path[BST_PATH_MAX];
    must(bst_state_path(folder, "store/bare.db", path), "path");
    must(bst_store_open(&(struct bst_store_config){.path = path, .schema = &bst_resource_schema},
                        &store),
         "store");
    must(bst_store_run(store, make_container, NULL), "container");
}

static struct bst_tls_server *tls_server(struct bst_state *state)
{
    struct bst_tls_server *tls;
    struct bst_trust *trust;
    bst_auto(buf) chain = {0}, ca = {0}, crl = {0};
    struct bst_tls_credential own = {0};
    must(bst_state_read(state, "pki/cse.pem", &chain), "pki/cse.pem");
    must(bst_state_read(state, "pki/ca.crt", &ca), "pki/ca.crt");
    must(bst_state_read(state, "pki/ca.crl", &crl), "pki/ca.crl");
    must(bst_se_key_find(state->se, "cse.tls", &own.key), "key");
    own.chain_pem = bst_buf_view(&chain);
    must(bst_trust_new(BST_CRL_REQUIRE, &trust), "trust");
    must(bst_trust_add_anchors(trust, bst_buf_view(&ca)), "anchors");
    must(bst_trust_add_crls(trust, bst_buf_view(&crl)), "lists");
    const struct bst_tls_server_config config = {.profile =
                                                     bst_tls_profile_find(BST_VIEW("onem2m")),
                                                 .se = state->se,
                                                 .credentials = &own,
                                                 .n_credentials = 1,
                                                 .trust = trust,
                                                 .ticket_lifetime_s = 3600,
                                                 .wall_us = bst_wall_us};
    must(bst_tls_server_new(&config, &tls), "TLS");
    bst_trust_drop(&trust);
    return tls;
}

static void run(struct bst_loop *loop)
{
    for (size_t i = 0; i < n_workers; i++) {
        must(bst_thread_start("serve", serve, &workers[i], &workers[i].thread), "thread");
    }
    puts("ready");
    fflush(stdout);
    must(bst_loop_run(loop), "loop");
    for (size_t i = 0; i < n_workers; i++) {
        bst_loop_stop(workers[i].loop);
        bst_thread_join(&workers[i].thread);
    }
}

int main(int argc, char **argv)
{
    static const struct bst_http_handler handler = {.on_request = on_request};
    uint64_t threads = 0;
    if (argc != 4 || bst_failed(bst_parse_u64(bst_view(argv[3]), &threads)) || threads < 1 ||
        threads > MAX_THREADS) {
        fprintf(stderr, "usage: %s STATE ADDRESS THREADS\n", argv[0]);
        return 2;
    }
    struct bst_state *state;
    struct bst_bound bound;
    struct bst_http_shared *shared;
    struct bst_loop *loop;
    struct bst_signal *term;
    struct bst_http_limits limits = bst_http_limits_default();
    limits.connections_per_peer = 0;
    must(bst_state_open(&(struct bst_state_options){.folder = argv[1]}, &state), "state");
    open_store(argv[1]);
    struct bst_tls_server *tls = tls_server(state);
    must(bst_http_shared_new(&limits, &shared), "limits");
    must(bst_bind(argv[2], threads, &bound), "bind");
    must(bst_loop_new(&loop), "loop");
    must(bst_signal_new(loop, SIGTERM, on_signal, loop, &term), "signal");
    for (n_workers = 0; n_workers < threads; n_workers++) {
        struct worker *worker = &workers[n_workers];
        must(bst_loop_new(&worker->loop), "loop");
        must(bst_http_server_new(worker->loop, &bound.fds[n_workers], shared, tls, &handler,
                                 &worker->server),
             "server");
    }
    run(loop);
    bst_store_close(&store);
    for (size_t i = 0; i < n_workers; i++) {
        bst_loop_free(&workers[i].loop);
    }
    bst_signal_free(&term);
    bst_loop_free(&loop);
    bst_bound_clear(&bound);
    bst_http_shared_free(&shared);
    bst_tls_server_free(&tls);
    bst_state_close(&state);
    return 0;
}
