/* Open connections, ask one thing on each, say so, and hold them until standard input ends.
 *
 *     hold PROFILE ADDRESS CONNECTIONS */
#include "bind/http/http_binding.h"
#include "cli/client.h"
#include "perf/perf.h"

#include <unistd.h>

/* Handshakes at a time. A call that finds no free connection opens one, hence a client for each
 * round. */
enum { AT_ONCE = 50, MAX_ROUNDS = 2000 };

struct holding {
    struct cli_client client;
    struct bst_http_client *rounds[MAX_ROUNDS];
    struct bst_http_call_spec spec;
    size_t opened, failed;
};

static void answered(void *user, bst_result result, const struct bst_http_msg *response,
                     const struct bst_tls_peer *peer)
{
    struct holding *h = user;
    (void)peer;
    h->opened++;
    if (bst_failed(result) || response->status >= 400) {
        h->failed++;
        fprintf(stderr, "hold: %s %s\n", bst_error_text(result.code), bst_error_detail());
    }
}

static void open_round(struct holding *h, struct bst_http_client **http, size_t n)
{
    const struct bst_http_client_config config = {
        .connections = n, .connections_per_target = n, .idle_ms = 600000};
    struct bst_http_call *call;
    size_t until = h->opened + n;
    must(bst_http_client_new(h->client.loop, &config, http), "client");
    for (size_t i = 0; i < n; i++) {
        must(bst_http_client_call(*http, &h->spec, answered, h, &call), "call");
    }
    while (h->opened < until) {
        (void)bst_loop_run_once(h->client.loop, -1);
    }
}

static void fill_spec(struct holding *h, const char *address, struct bst_arena *arena)
{
    struct bst_m2m_request req;
    struct bst_http_msg msg = {0};
    bst_m2m_request_init(&req);
    req.op = BST_OP_RETRIEVE;
    req.to = bst_view(address);
    req.fr = bst_view(h->client.profile.originator);
    req.present = BST_REQ_FR;
    req.rqi = BST_VIEW("hold");
    req.rvi = BST_VIEW("3");
    req.release = BST_RELEASE_3;
    must(bst_http_from_request(&req, arena, &msg), "request");
    h->spec = (struct bst_http_call_spec){.method = msg.method,
                                          .path = msg.target,
                                          .headers = msg.headers,
                                          .n_headers = msg.n_headers,
                                          .timeout_ms = 60000};
    must(cli_client_target(&h->client, BST_PROFILE_CSE, &h->spec.target), "target");
}

int main(int argc, char **argv)
{
    static struct holding h;
    struct bst_arena arena;
    uint64_t n;
    char byte;
    if (argc != 4 || bst_failed(bst_parse_u64(bst_view(argv[3]), &n)) || n < 1 ||
        n > AT_ONCE * MAX_ROUNDS) {
        fprintf(stderr, "usage: %s PROFILE ADDRESS CONNECTIONS\n", argv[0]);
        return 2;
    }
    bst_arena_init(&arena, 0);
    must(cli_client_open(argv[1], &h.client), argv[1]);
    fill_spec(&h, argv[2], &arena);
    for (size_t round = 0; h.opened < n; round++) {
        open_round(&h, &h.rounds[round], n - h.opened < AT_ONCE ? n - h.opened : AT_ONCE);
    }
    printf("%zu connections, %zu failed\n", h.opened, h.failed);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    for (size_t round = 0; round < MAX_ROUNDS; round++) {
        bst_http_client_free(&h.rounds[round]);
    }
    cli_client_close(&h.client);
    bst_arena_clear(&arena);
    return h.failed > 0;
}
