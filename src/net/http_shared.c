/* What the loops of a process share about connections: limits, counts, and closing by predicate. */
#include "net/server_priv.h"

struct bst_http_limits bst_http_limits_default(void)
{
    return (struct bst_http_limits){
        .connections = 4096,
        .connections_per_peer = 256,
        .pipelined = 4, /* each may be a long answer in memory */
        .pending_bytes = 256 * 1024,
        .message = BST_HTTP1_LIMITS_DEFAULT,
        .handshake_ms = 10000,
        .header_ms = 10000,
        .body_ms = 30000,
        .idle_ms = 60000,
        .write_ms = 30000,
        .drain_ms = 5000,
    };
}

bst_result bst_http_shared_new(const struct bst_http_limits *limits, struct bst_http_shared **ret)
{
    struct bst_http_shared *shared = bst_alloc(sizeof *shared);
    BST_ENSURE(shared, BST_E_NOMEM);
    shared->limits = *limits;
    pthread_mutex_init(&shared->lock, NULL);
    bst_list_init(&shared->servers);
    *ret = shared;
    return BST_OK;
}

void bst_http_shared_free(struct bst_http_shared **slot)
{
    struct bst_http_shared *shared = bst_steal(slot);
    if (shared) {
        bst_map_clear(&shared->peers);
        pthread_mutex_destroy(&shared->lock);
        bst_free(shared);
    }
}

/* A peer is an IPv4 address or the network that one IPv6 host has to itself. */
static struct bst_view peer_key(const struct bst_inet *ip)
{
    return bst_view_of(ip->bytes, ip->family == 4 ? 4 : 8);
}

static bst_result enter_peer(struct bst_http_shared *shared, const struct bst_inet *ip)
{
    size_t limit = shared->limits.connections_per_peer;
    if (!limit || !ip->family) {
        return BST_OK;
    }
    uintptr_t now = (uintptr_t)bst_map_get(&shared->peers, peer_key(ip));
    BST_ENSURE(now < limit, BST_E_BUSY);
    return bst_map_set(&shared->peers, peer_key(ip), (void *)(now + 1), NULL);
}

static void leave_peer(struct bst_http_shared *shared, const struct bst_inet *ip)
{
    if (!shared->limits.connections_per_peer || !ip->family) {
        return;
    }
    uintptr_t now = (uintptr_t)bst_map_get(&shared->peers, peer_key(ip));
    if (now <= 1) {
        bst_map_remove(&shared->peers, peer_key(ip));
    } else {
        (void)BST_BUG(
            bst_failed(bst_map_set(&shared->peers, peer_key(ip), (void *)(now - 1), NULL)));
    }
}

bst_result bst_shared_enter(struct bst_http_shared *shared, const struct bst_inet *ip)
{
    pthread_mutex_lock(&shared->lock);
    bst_result result = shared->connections < shared->limits.connections ? enter_peer(shared, ip)
                                                                         : bst_error(BST_E_LIMIT);
    shared->connections += !bst_failed(result);
    pthread_mutex_unlock(&shared->lock);
    return result;
}

void bst_shared_leave(struct bst_http_shared *shared, const struct bst_inet *ip)
{
    pthread_mutex_lock(&shared->lock);
    leave_peer(shared, ip);
    shared->connections--;
    pthread_mutex_unlock(&shared->lock);
}

void bst_shared_add(struct bst_http_shared *shared, struct bst_http_server *server)
{
    pthread_mutex_lock(&shared->lock);
    bst_list_append(&shared->servers, &server->link);
    pthread_mutex_unlock(&shared->lock);
}

#define ADD(field) sum->field += atomic_load_explicit(&counts->field, memory_order_relaxed)
static void add_counts(struct bst_http_stats *sum, const struct bst_http_counts *counts)
{
    ADD(accepted);
    ADD(refused_full);
    ADD(refused_peer);
    ADD(handshakes);
    ADD(handshakes_failed);
    ADD(requests);
    for (size_t i = 0; i < 6; i++) {
        ADD(responses_by_class[i]);
    }
    ADD(bad_requests);
    ADD(timeouts);
    ADD(closed_revoked);
    ADD(bytes_in);
    ADD(bytes_out);
    ADD(open);
    ADD(in_work);
}
#undef ADD

void bst_shared_remove(struct bst_http_shared *shared, struct bst_http_server *server)
{
    pthread_mutex_lock(&shared->lock);
    bst_list_remove(&server->link);
    add_counts(&shared->retired, &server->counts);
    pthread_mutex_unlock(&shared->lock);
}

void bst_http_shared_stats(struct bst_http_shared *shared, struct bst_http_stats *ret)
{
    pthread_mutex_lock(&shared->lock);
    *ret = shared->retired;
    for (struct bst_list *at = shared->servers.next; at != &shared->servers; at = at->next) {
        add_counts(ret, &bst_container_of(at, struct bst_http_server, link)->counts);
    }
    pthread_mutex_unlock(&shared->lock);
}

/* One letter to each loop; whoever works off the last one reports. */
struct closing {
    bool (*match)(void *ctx, const struct bst_net_peer *peer);
    void (*done)(void *ctx);
    void *ctx;
    atomic_size_t left;
    struct letter {
        struct bst_task task;
        struct closing *closing;
        struct bst_http_server *server;
    } letters[];
};

static void close_matching(struct bst_http_server *server, const struct closing *closing)
{
    struct bst_list *next;
    for (struct bst_list *at = server->conns.next; at != &server->conns; at = next) {
        struct bst_conn *conn = bst_container_of(at, struct bst_conn, link);
        next = at->next;
        if (conn->session && closing->match(closing->ctx, &conn->peer)) {
            bst_count(&server->counts.closed_revoked);
            bst_conn_close(conn);
        }
    }
}

static void finish_letter(struct closing *closing)
{
    if (atomic_fetch_sub(&closing->left, 1) == 1) {
        if (closing->done) {
            closing->done(closing->ctx);
        }
        bst_free(closing);
    }
}

static void read_letter(struct bst_task *task)
{
    struct letter *letter = bst_container_of(task, struct letter, task);
    struct bst_http_server *server = letter->server;
    if (!server->gone) {
        close_matching(server, letter->closing);
    }
    finish_letter(letter->closing);
    bst_server_release(server);
}

static void post_letters(struct bst_http_shared *shared, struct closing *closing)
{
    size_t i = 0;
    for (struct bst_list *at = shared->servers.next; at != &shared->servers; at = at->next) {
        struct letter *letter = &closing->letters[i++];
        letter->server = bst_container_of(at, struct bst_http_server, link);
        letter->closing = closing;
        letter->task.run = read_letter;
        letter->server->holds++;
        bst_loop_post(letter->server->loop, &letter->task);
    }
}

bst_result bst_http_close_where(struct bst_http_shared *shared,
                                bool (*match)(void *ctx, const struct bst_net_peer *peer),
                                void (*done)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&shared->lock);
    size_t n = 0;
    for (struct bst_list *at = shared->servers.next; at != &shared->servers; at = at->next) {
        n++;
    }
    struct closing *closing = bst_alloc(sizeof *closing + n * sizeof closing->letters[0]);
    if (closing) {
        closing->match = match;
        closing->done = done;
        closing->ctx = ctx;
        atomic_init(&closing->left, n + 1);
        post_letters(shared, closing);
    }
    pthread_mutex_unlock(&shared->lock);
    BST_ENSURE(closing, BST_E_NOMEM);
    finish_letter(closing);
    return BST_OK;
}
