/* The network stack alone: an HTTP server whose handler answers the same bytes to everything.
 *
 *     bench_http ADDRESS THREADS BYTES plain|tls
 *
 * Runs until SIGTERM or SIGINT, then prints what it counted. What a service loses against this
 * number is the service's own. */
#include "net/http_server.h"
#include "support/tls_world.h"
#include "sys/clock.h"
#include "sys/service.h"

#include <signal.h>

enum { MAX_THREADS = 64 };

struct worker {
    struct bst_loop *loop;
    struct bst_http_server *server;
    struct bst_thread *thread;
};

static struct worker workers[MAX_THREADS];
static size_t n_workers;
static struct bst_view content;

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    static const struct bst_http_header headers[] = {
        {{"Content-Type", 12}, {"application/json", 16}}, {{"X-M2M-RSC", 9}, {"2000", 4}}};
    (void)ctx;
    bst_http_exchange_answer(x, 200, headers, 2, content);
}

static void serve(void *arg)
{
    struct worker *worker = arg;
    world_ok(bst_loop_run(worker->loop));
    bst_http_server_free(&worker->server);
    bst_loop_free(&worker->loop);
}

static struct bst_tls_server *tls_server(struct world *world)
{
    struct bst_tls_server *tls;
    world_init(world);
    struct bst_tls_server_config config = world_server_config(world, "onem2m", NULL);
    config.anonymous_clients = true;
    config.ticket_lifetime_s = 3600;
    world_ok(bst_tls_server_new(&config, &tls));
    return tls;
}

static void on_signal(void *user, int signum)
{
    (void)signum;
    for (size_t i = 0; i < n_workers; i++) {
        bst_loop_stop(workers[i].loop);
    }
    bst_loop_stop(user);
}

static void run(struct bst_http_shared *shared, struct bst_bound *bound, struct bst_tls_server *tls)
{
    static const struct bst_http_handler handler = {.on_request = on_request};
    struct bst_loop *loop;
    struct bst_signal *term, *intr;
    world_ok(bst_loop_new(&loop));
    world_ok(bst_signal_new(loop, SIGTERM, on_signal, loop, &term));
    world_ok(bst_signal_new(loop, SIGINT, on_signal, loop, &intr));
    for (size_t i = 0; i < n_workers; i++) {
        struct worker *worker = &workers[i];
        world_ok(bst_loop_new(&worker->loop));
        world_ok(bst_http_server_new(worker->loop, &bound->fds[i], shared, tls, &handler,
                                     &worker->server));
        world_ok(bst_thread_start("serve", serve, worker, &worker->thread));
    }
    world_ok(bst_loop_run(loop));
    for (size_t i = 0; i < n_workers; i++) {
        bst_thread_join(&workers[i].thread);
    }
    bst_signal_free(&term);
    bst_signal_free(&intr);
    bst_loop_free(&loop);
}

int main(int argc, char **argv)
{
    uint64_t threads = 0, bytes = 0;
    if (argc != 5 || bst_failed(bst_parse_u64(bst_view(argv[2]), &threads)) || threads < 1 ||
        threads > MAX_THREADS || bst_failed(bst_parse_u64(bst_view(argv[3]), &bytes))) {
        fprintf(stderr, "usage: %s ADDRESS THREADS BYTES plain|tls\n", argv[0]);
        return 2;
    }
    struct world world;
    struct bst_bound bound;
    struct bst_http_shared *shared;
    struct bst_tls_server *tls = strcmp(argv[4], "tls") == 0 ? tls_server(&world) : NULL;
    struct bst_http_limits limits = bst_http_limits_default();
    bst_auto_free char *body = bst_alloc(bytes);
    limits.connections_per_peer = 0;
    memset(body, 'x', bytes);
    content = bst_view_of(body, bytes);
    n_workers = threads;
    world_ok(bst_http_shared_new(&limits, &shared));
    world_ok(bst_bind(argv[1], threads, &bound));
    run(shared, &bound, tls);
    struct bst_http_stats stats;
    bst_http_shared_stats(shared, &stats);
    printf("connections %llu requests %llu handshakes %llu bytes %llu\n",
           (unsigned long long)stats.accepted, (unsigned long long)stats.requests,
           (unsigned long long)stats.handshakes, (unsigned long long)stats.bytes_out);
    bst_bound_clear(&bound);
    bst_http_shared_free(&shared);
    if (tls) {
        bst_tls_server_free(&tls);
        world_clear(&world);
    }
    return 0;
}
