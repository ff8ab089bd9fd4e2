/* Notifications to many subscribers: how many a second, and how long after the create.
 *
 *     fanout PROFILE CONTAINER SUBSCRIBERS SECONDS IN-WORK
 *
 * Makes subscriptions whose targets are one HTTP server in this process, then creates instances, so
 * many in work at a time; an instance is done when every subscriber has its notification. */
#include "cli/client.h"
#include "net/http_server.h"
#include "perf/perf.h"
#include "sys/clock.h"
#include "sys/service.h"

#include <pthread.h>

enum { MAX_CREATES = 200000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t sent_us[MAX_CREATES];
    uint32_t arrived[MAX_CREATES];
    size_t created, done, notifications;
    int64_t *latency_us;
    size_t subscribers, cap;
} fan = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The create's number is its content: "con":"n<number>". */
static long number_of(struct bst_view body)
{
    static const char mark[] = "\"con\":\"n";
    const char *at = memmem(body.ptr, body.len, mark, sizeof mark - 1);
    return at ? strtol(at + sizeof mark - 1, NULL, 10) : -1;
}

static void count(long number)
{
    int64_t now_us = bst_mono_us();
    pthread_mutex_lock(&fan.lock);
    if (number >= 0 && number < MAX_CREATES && fan.notifications < fan.cap) {
        fan.latency_us[fan.notifications++] = now_us - fan.sent_us[number];
        if (++fan.arrived[number] == fan.subscribers) {
            fan.done++;
            pthread_cond_signal(&fan.changed);
        }
    }
    pthread_mutex_unlock(&fan.lock);
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    const struct bst_http_header headers[] = {
        {BST_VIEW("X-M2M-RSC"), BST_VIEW("2000")},
        {BST_VIEW("X-M2M-RI"), bst_http_header_get(&x->req, "X-M2M-RI")},
        {BST_VIEW("X-M2M-RVI"), BST_VIEW("3")},
    };
    (void)ctx;
    count(number_of(x->req.body));
    bst_http_exchange_answer(x, 200, headers, 3, (struct bst_view){0});
}

static void serve(void *arg)
{
    must(bst_loop_run(arg), "loop");
}

static void ask(struct cli_client *client, const char *to, int ty, const char *content)
{
    struct bst_m2m_request req;
    struct bst_m2m_response rsp;
    struct bst_arena arena;
    bst_arena_init(&arena, 0);
    bst_m2m_request_init(&req);
    req.op = BST_OP_CREATE;
    req.to = bst_view(to);
    req.ty = ty;
    req.rcn = BST_RCN_NOTHING;
    req.pc_text = bst_view(content);
    must(bst_json_parse(&arena, req.pc_text, BST_JSON_DEPTH, &req.pc), content);
    must(cli_client_request(client, BST_PROFILE_CSE, &req, &arena, &rsp), to);
    must(cli_client_status(&rsp), to);
    bst_arena_clear(&arena);
}

static void subscribe(struct cli_client *client, const char *to, uint16_t port)
{
    char content[256];
    for (size_t i = 0; i < fan.subscribers; i++) {
        snprintf(content, sizeof content,
                 "{\"m2m:sub\":{\"enc\":{\"net\":[3]},\"nct\":1,\"nu\":[\"http://127.0.0.1:%u/n/"
                 "%zu\"]}}",
                 (unsigned)port, i);
        ask(client, to, BST_TY_SUB, content);
    }
}

/* Wait until less than `in_work` instances are on their way; false after ten seconds. */
static bool wait_for(size_t in_work)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    int rc = 0;
    pthread_mutex_lock(&fan.lock);
    while (fan.created - fan.done >= in_work && rc == 0) {
        rc = pthread_cond_timedwait(&fan.changed, &fan.lock, &until);
    }
    pthread_mutex_unlock(&fan.lock);
    return rc == 0;
}

static void create(struct cli_client *client, const char *to)
{
    char content[64];
    pthread_mutex_lock(&fan.lock);
    size_t n = fan.created++;
    fan.sent_us[n] = bst_mono_us();
    pthread_mutex_unlock(&fan.lock);
    snprintf(content, sizeof content, "{\"m2m:cin\":{\"con\":\"n%zu\"}}", n);
    ask(client, to, BST_TY_CIN, content);
}

static bool run(struct cli_client *client, const char *to, uint64_t seconds, uint64_t in_work)
{
    int64_t start_us = bst_mono_us(), end_us = start_us + (int64_t)seconds * BST_US_PER_S;
    while (bst_mono_us() < end_us && fan.created < MAX_CREATES) {
        create(client, to);
        if (!wait_for(in_work)) {
            return false;
        }
    }
    bool whole = wait_for(1);
    double s = (double)(bst_mono_us() - start_us) / 1e6;
    pthread_mutex_lock(&fan.lock);
    printf("notifications %zu per_second %.0f p50_us %lld p99_us %lld missing %zu\n",
           fan.notifications, (double)fan.notifications / s,
           (long long)quantile(fan.latency_us, fan.notifications, 0.5),
           (long long)quantile(fan.latency_us, fan.notifications, 0.99),
           fan.created * fan.subscribers - fan.notifications);
    pthread_mutex_unlock(&fan.lock);
    return whole;
}

int main(int argc, char **argv)
{
    static const struct bst_http_handler handler = {.on_request = on_request};
    struct bst_http_limits limits = bst_http_limits_default();
    uint64_t subscribers, seconds, in_work;
    if (argc != 6 || bst_failed(bst_parse_u64(bst_view(argv[3]), &subscribers)) ||
        bst_failed(bst_parse_u64(bst_view(argv[4]), &seconds)) ||
        bst_failed(bst_parse_u64(bst_view(argv[5]), &in_work)) || subscribers < 1 || in_work < 1) {
        fprintf(stderr, "usage: %s PROFILE CONTAINER SUBSCRIBERS SECONDS IN-WORK\n", argv[0]);
        return 2;
    }
    struct bst_bound bound;
    struct bst_loop *loop;
    struct bst_http_shared *shared;
    struct bst_http_server *server;
    struct bst_thread *thread;
    struct cli_client client;
    fan.subscribers = subscribers;
    fan.cap = 20000000;
    fan.latency_us = malloc(fan.cap * sizeof *fan.latency_us);
    limits.connections_per_peer = 0;
    must(fan.latency_us ? BST_OK : bst_error(BST_E_NOMEM), "memory");
    must(bst_bind("127.0.0.1:0", 1, &bound), "bind");
    must(bst_loop_new(&loop), "loop");
    must(bst_http_shared_new(&limits, &shared), "limits");
    must(bst_http_server_new(loop, &bound.fds[0], shared, NULL, &handler, &server), "server");
    must(bst_thread_start("subscribers", serve, loop, &thread), "thread");
    must(cli_client_open(argv[1], &client), argv[1]);
    subscribe(&client, argv[2], bound.ip.port);
    bool whole = run(&client, argv[2], seconds, in_work);
    cli_client_close(&client);
    bst_loop_stop(loop);
    bst_thread_join(&thread);
    bst_http_server_free(&server);
    bst_loop_free(&loop);
    bst_http_shared_free(&shared);
    bst_bound_clear(&bound);
    free(fan.latency_us);
    return !whole;
}
