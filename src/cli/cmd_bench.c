/* bastide bench: a load of many kept connections, over one profile or at any URL, and what came
 * back. */
#include "cli/cli.h"
#include "cli/client.h"

#include "bind/http/http_binding.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/service.h"
#include "tls/profile.h"
#include "tls/tls.h"

#define THREADS_MAX 16
/* Latencies by microseconds: 64 octaves of 16 steps each, so within 6 %. */
#define BUCKETS 1024

struct load {
    struct bst_http_call_spec spec;
    struct bst_view *paths; /* asked in turn */
    size_t n_paths;
    int64_t until_us;
    unsigned connections; /* of one thread */
};

struct lane {
    const struct load *load;
    struct bst_loop *loop;
    struct bst_http_client *http;
    struct bst_thread *thread;
    unsigned open;
    size_t turn;
    uint64_t done, failed, refused;
    uint64_t buckets[BUCKETS];
    char why[256];
    bst_result result;
};

struct shot {
    struct lane *lane;
    int64_t start_us;
};

static size_t bucket_of(int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    if (v < 16) {
        return (size_t)v;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    return (size_t)(octave - 3) * 16 + (size_t)(v >> (octave - 4) & 15);
}

static int64_t bucket_value(size_t bucket)
{
    if (bucket < 16) {
        return (int64_t)bucket;
    }
    size_t octave = bucket / 16 + 3;
    return (int64_t)((16 + bucket % 16) << (octave - 4));
}

static void fire(struct shot *shot);

static void landed(void *user, bst_result result, const struct bst_http_msg *response,
                   const struct bst_tls_peer *peer)
{
    struct shot *shot = user;
    struct lane *lane = shot->lane;
    int64_t now_us = bst_mono_us();
    (void)peer;
    if (bst_failed(result)) {
        lane->failed++;
        snprintf(lane->why, sizeof lane->why, "%s %s", bst_error_text(result.code),
                 bst_error_detail());
    } else if (response->status >= 400) {
        lane->refused++;
        snprintf(lane->why, sizeof lane->why, "HTTP %d %.*s", response->status,
                 (int)(response->body.len < 150 ? response->body.len : 150),
                 response->body.len ? response->body.ptr : "");
    } else {
        lane->done++;
        lane->buckets[bucket_of(now_us - shot->start_us)]++;
    }
    bool hopeless = lane->failed + lane->refused > 100 && lane->done == 0;
    if (now_us >= lane->load->until_us || hopeless) {
        if (--lane->open == 0) {
            bst_loop_stop(lane->loop);
        }
        return;
    }
    fire(shot);
}

static void fire(struct shot *shot)
{
    struct lane *lane = shot->lane;
    struct bst_http_call *call;
    struct bst_http_call_spec spec = lane->load->spec;
    if (lane->load->n_paths) {
        spec.path = lane->load->paths[lane->turn++ % lane->load->n_paths];
    }
    shot->start_us = bst_mono_us();
    bst_result r = bst_http_client_call(lane->http, &spec, landed, shot, &call);
    if (bst_failed(r)) {
        lane->failed++;
        if (--lane->open == 0) {
            bst_loop_stop(lane->loop);
        }
    }
}

static void run_lane(void *arg)
{
    struct lane *lane = arg;
    unsigned n = lane->load->connections;
    struct shot *shots = bst_alloc(n * sizeof *shots);
    if (!shots) {
        lane->result = bst_error(BST_E_NOMEM);
        return;
    }
    lane->open = n;
    for (unsigned i = 0; i < n; i++) {
        shots[i].lane = lane;
        fire(&shots[i]);
    }
    lane->result = bst_loop_run(lane->loop);
    bst_http_client_free(&lane->http);
    bst_free(shots);
}

static bst_result open_lane(struct lane *lane, const struct load *load)
{
    struct bst_http_client_config config = {.connections = load->connections,
                                            .connections_per_target = load->connections};
    lane->load = load;
    BST_TRY(bst_loop_new(&lane->loop));
    return bst_http_client_new(lane->loop, &config, &lane->http);
}

static void close_lane(struct lane *lane)
{
    bst_http_client_free(&lane->http);
    bst_loop_free(&lane->loop);
}

/* -- what is asked */

struct bench {
    struct cli_call *call;
    struct bst_arena arena;
    struct cli_client client;
    struct bst_tls_client *tls;
    struct bst_trust *trust;
    struct load load;
    struct lane lanes[THREADS_MAX];
    int64_t threads, connections, seconds;
};

/* The same request for many addresses: one a line, each in place of TO. */
static bst_result read_targets(struct bench *b, struct bst_m2m_request *req)
{
    bst_auto(buf) text = {0};
    size_t lines = 1;
    BST_TRY(bst_file_read(cli_value(b->call, "--targets"), 64u << 20, &text));
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
    }
    b->load.paths = bst_arena_alloc(&b->arena, lines * sizeof *b->load.paths);
    BST_ENSURE(b->load.paths, BST_E_NOMEM);
    struct bst_view rest = bst_buf_view(&text), line;
    for (bool more = true; more;) {
        struct bst_http_msg msg = {0};
        more = bst_view_cut(&rest, '\n', &line);
        if (line.len) {
            req->to = line;
            BST_TRY(bst_http_from_request(req, &b->arena, &msg));
            b->load.paths[b->load.n_paths] = bst_arena_view(&b->arena, msg.target);
            BST_ENSURE(b->load.paths[b->load.n_paths++].ptr, BST_E_NOMEM);
        }
    }
    return BST_OK;
}

/* A oneM2M request as a profile: created once, sent over and over. */
static bst_result ask_cse(struct bench *b)
{
    struct bst_m2m_request req;
    struct bst_http_msg msg = {0};
    const char *content = cli_value(b->call, "--content");
    const char *profile = cli_value(b->call, "--profile"), *lab = cli_value(b->call, "--lab");
    const char *as = cli_value(b->call, "--as");
    if (!profile == !lab) {
        BST_FAIL(BST_E_USAGE,
                 "say who asks: --profile DIR, --lab PORT with --as ORIGINATOR, or --url");
    }
    BST_TRY(profile ? cli_client_open(profile, &b->client)
                    : cli_client_open_lab(lab, as ? as : "", &b->client));
    BST_TRY(cli_client_target(&b->client, BST_PROFILE_CSE, &b->load.spec.target));
    bst_m2m_request_init(&req);
    req.op = content ? BST_OP_CREATE : BST_OP_RETRIEVE;
    req.to = bst_view(b->call->args[0]);
    req.fr = bst_view(as ? as : b->client.profile.originator);
    req.present = BST_REQ_FR;
    req.rqi = BST_VIEW("bench");
    req.rvi = BST_VIEW("3");
    req.release = BST_RELEASE_3;
    if (content) {
        bst_auto(buf) text = {0};
        bst_buf_adds(&text, "{\"m2m:cin\":{\"con\":");
        bst_buf_add_json(&text, bst_view(content));
        bst_buf_adds(&text, "}}");
        BST_TRY(bst_buf_check(&text));
        req.ty = BST_TY_CIN;
        req.pc_text = bst_arena_view(&b->arena, bst_buf_view(&text));
        BST_ENSURE(req.pc_text.ptr, BST_E_NOMEM);
        BST_TRY(bst_json_parse(&b->arena, req.pc_text, BST_JSON_DEPTH, &req.pc));
    }
    BST_TRY(bst_http_from_request(&req, &b->arena, &msg));
    b->load.spec.method = msg.method;
    b->load.spec.path = msg.target;
    b->load.spec.headers = msg.headers;
    b->load.spec.n_headers = msg.n_headers;
    b->load.spec.body = msg.body;
    return cli_value(b->call, "--targets") ? read_targets(b, &req) : BST_OK;
}

static bst_result open_tls(struct bench *b, const struct bst_http_url *url)
{
    const char *ca = cli_value(b->call, "--trust");
    bst_auto(buf) pem = {0};
    if (!ca) {
        BST_FAIL(BST_E_USAGE, "an https URL needs --trust FILE");
    }
    BST_TRY(bst_file_read(ca, 1 << 20, &pem));
    BST_TRY(bst_trust_new(BST_CRL_OFF, &b->trust));
    BST_TRY(bst_trust_add_anchors(b->trust, bst_buf_view(&pem)));
    const char *name = cli_value(b->call, "--name");
    struct bst_view expected = name ? bst_view(name) : url->host;
    const struct bst_tls_name expect = {BST_CERT_FQDN, expected};
    const struct bst_tls_client_config config = {.profile =
                                                     bst_tls_profile_find(BST_VIEW("modern")),
                                                 .trust = b->trust,
                                                 .server_name = name,
                                                 .expect = &expect,
                                                 .n_expect = 1};
    return bst_tls_client_new(&config, &b->tls);
}

/* Any server: the same bytes over the same client, for side-by-side figures. */
static bst_result ask_url(struct bench *b, const char *text)
{
    struct bst_http_url url;
    const char *body = cli_value(b->call, "--content");
    BST_TRY(bst_http_url_parse(bst_view(text), &b->arena, &url));
    if (url.tls) {
        BST_TRY(open_tls(b, &url));
    }
    struct bst_view address =
        bst_arena_printf(&b->arena, "%.*s:%u", BST_VIEW_ARGS(url.host), url.port);
    BST_ENSURE(address.ptr, BST_E_NOMEM);
    b->load.spec.target = (struct bst_http_target){address.ptr, address.ptr, b->tls};
    b->load.spec.method = body ? BST_HTTP_POST : BST_HTTP_GET;
    b->load.spec.path = url.path;
    b->load.spec.body = body ? bst_view(body) : (struct bst_view){0};
    return BST_OK;
}

static bst_result prepare(struct bench *b)
{
    const char *url = cli_value(b->call, "--url");
    BST_TRY(cli_number(b->call, "--threads", 1, 1, THREADS_MAX, &b->threads));
    BST_TRY(cli_number(b->call, "--connections", 64, 1, 4096, &b->connections));
    BST_TRY(cli_number(b->call, "--seconds", 5, 1, 600, &b->seconds));
    if (!url && b->call->n_args != 1) {
        BST_FAIL(BST_E_USAGE, "say what is asked for: an address, or --url");
    }
    BST_TRY(url ? ask_url(b, url) : ask_cse(b));
    b->load.spec.timeout_ms = 30000;
    b->load.connections = (unsigned)((b->connections + b->threads - 1) / b->threads);
    for (int64_t i = 0; i < b->threads; i++) {
        BST_TRY(open_lane(&b->lanes[i], &b->load));
    }
    return BST_OK;
}

static bst_result shoot(struct bench *b)
{
    b->load.until_us = bst_mono_us() + b->seconds * BST_US_PER_S;
    for (int64_t i = 0; i < b->threads; i++) {
        BST_TRY(bst_thread_start("bench", run_lane, &b->lanes[i], &b->lanes[i].thread));
    }
    for (int64_t i = 0; i < b->threads; i++) {
        bst_thread_join(&b->lanes[i].thread);
        BST_TRY(b->lanes[i].result);
    }
    return BST_OK;
}

static int64_t quantile(const uint64_t *buckets, uint64_t total, double q)
{
    uint64_t rank = (uint64_t)((double)total * q), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (seen > rank) {
            return bucket_value(i);
        }
    }
    return 0;
}

static bst_result report(struct bench *b, int64_t elapsed_us)
{
    uint64_t buckets[BUCKETS] = {0}, done = 0, failed = 0, refused = 0;
    const char *why = "";
    for (int64_t i = 0; i < b->threads; i++) {
        done += b->lanes[i].done;
        failed += b->lanes[i].failed;
        refused += b->lanes[i].refused;
        why = b->lanes[i].why[0] ? b->lanes[i].why : why;
        for (size_t k = 0; k < BUCKETS; k++) {
            buckets[k] += b->lanes[i].buckets[k];
        }
    }
    double rate = (double)done * 1e6 / (double)elapsed_us;
    long long p50 = quantile(buckets, done, 0.5), p99 = quantile(buckets, done, 0.99);
    if (b->call->json) {
        fprintf(b->call->out,
                "{\"requests\":%llu,\"per_second\":%.1f,\"p50_us\":%lld,\"p99_us\":%lld,"
                "\"refused\":%llu,\"failed\":%llu}\n",
                (unsigned long long)done, rate, p50, p99, (unsigned long long)refused,
                (unsigned long long)failed);
    } else {
        fprintf(b->call->out, "%.0f requests/s over %lld connections, p50 %lld us, p99 %lld us\n",
                rate, (long long)b->connections, p50, p99);
    }
    if (failed + refused) {
        BST_FAIL(BST_E_IO, "%llu requests failed, %llu were refused: %s",
                 (unsigned long long)failed, (unsigned long long)refused, why);
    }
    return BST_OK;
}

static int run_bench(struct cli_call *call)
{
    struct bench *b = bst_alloc(sizeof *b);
    if (!b) {
        return cli_fail(call, bst_error(BST_E_NOMEM), "the load could not be made");
    }
    b->call = call;
    bst_arena_init(&b->arena, 0);
    bst_result r = prepare(b);
    int64_t start_us = bst_mono_us();
    if (!bst_failed(r)) {
        r = shoot(b);
    }
    if (!bst_failed(r)) {
        r = report(b, bst_mono_us() - start_us);
    }
    int code = bst_failed(r) ? cli_fail(call, r, "the load could not be made") : CLI_OK;
    for (int64_t i = 0; i < b->threads; i++) {
        close_lane(&b->lanes[i]);
    }
    bst_tls_client_free(&b->tls);
    bst_trust_drop(&b->trust);
    cli_client_close(&b->client);
    bst_arena_clear(&b->arena);
    bst_free(b);
    return code;
}

static const struct cli_option options[] = {
    {"--profile", "DIR", "Ask as this profile.", false},
    {"--lab", "PORT", "Ask a laboratory server on the loopback.", false},
    {"--as", "ID", "Originator (From); without it the profile's.", false},
    {"--content", "TEXT", "Create contentInstances with this content; without it, retrieve.",
     false},
    {"--targets", "FILE", "Addresses in place of TO, one a line, asked in turn.", false},
    {"--url", "URL", "Ask any HTTP server instead, with POST when there is --content.", false},
    {"--trust", "FILE", "Anchors for an https URL.", false},
    {"--name", "FQDN",
     "Name that the server of an https URL must prove; without it the URL's host.", false},
    {"--connections", "N", "Kept connections in all; without it 64.", false},
    {"--threads", "N", "Threads that make the load; without it 1.", false},
    {"--seconds", "N", "How long; without it 5.", false},
    {0}};

const struct cli_command cmd_bench = {
    "bench",   "[TO]",  "Load a server and say how many requests it answers, and how fast",
    NULL,      options, "bastide bench --profile hut cse-in/hut/load --content 21.5",
    run_bench, NULL};
