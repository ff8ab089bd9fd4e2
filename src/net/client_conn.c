/* Connections of the HTTP client: dialling, one call at a time, rest, and the end. */
#include "net/client_priv.h"

static void reap(struct bst_task *task)
{
    struct bst_client_conn *conn = bst_container_of(task, struct bst_client_conn, reap);
    bst_wire_clear(&conn->wire);
    bst_http1_parser_free(&conn->parser);
    bst_free(conn);
}

void bst_client_close_conn(struct bst_client_conn *conn)
{
    if (conn->closed) {
        return;
    }
    struct bst_client_pool *pool = conn->pool;
    conn->closed = true;
    bst_timer_stop(&conn->idle);
    bst_tcp_close(&conn->dialled);
    bst_wire_close(&conn->wire);
    bst_list_remove(&conn->link);
    pool->n_conns--;
    conn->client->n_conns--;
    /* Its memory may still be looked at further up the stack. */
    conn->reap.run = reap;
    bst_loop_post(conn->client->loop, &conn->reap);
    bst_client_pool_release(pool);
}

/* The connection broke. A kept one may have been closed by the peer while the call was on its way;
 * when no byte of an answer came, the call gets one more try on a connection of its own. */
static void conn_failed(struct bst_client_conn *conn, bst_result why)
{
    struct bst_http_call *call = conn->call;
    struct bst_client_pool *pool = conn->pool;
    bool again = call && conn->reused && !conn->answer_begun && !call->once && !call->retried &&
                 !call->opened && !conn->client->ending;
    conn->call = NULL;
    pool->refs++;
    bst_client_close_conn(conn);
    if (again) {
        call->conn = NULL;
        call->retried = true;
        why = bst_client_place(call);
        again = !bst_failed(why);
    }
    if (call && !again) {
        bst_client_end_call(call, why, NULL, NULL, NULL);
    }
    bst_client_serve_waiting(pool);
    bst_client_pool_release(pool);
}

static void idle_too_long(void *user)
{
    bst_client_close_conn(user);
}

static void send_call(struct bst_client_conn *conn, struct bst_http_call *call)
{
    bst_timer_stop(&conn->idle);
    conn->call = call;
    conn->answer_begun = false;
    call->conn = conn;
    if (call->opened) {
        bst_timer_start(&call->soon, 0, 0);
        return;
    }
    if (call->head) {
        bst_http1_expect_no_body(conn->parser);
    }
    bst_buf_addv(bst_wire_out(&conn->wire), bst_buf_view(&call->request));
    bst_wire_flush(&conn->wire, false);
}

/* The connection is free: the next call, or a rest. */
static void conn_free_again(struct bst_client_conn *conn)
{
    struct bst_client_pool *pool = conn->pool;
    conn->call = NULL;
    conn->reused = true;
    if (!bst_list_empty(&pool->waiting) && !conn->client->ending) {
        struct bst_http_call *next =
            bst_container_of(pool->waiting.next, struct bst_http_call, wait_link);
        bst_list_remove(&next->wait_link);
        send_call(conn, next);
        return;
    }
    if (pool->forgotten || conn->client->ending) {
        bst_client_close_conn(conn);
        return;
    }
    bst_list_remove(&conn->link);
    bst_list_append(&pool->conns, &conn->link);
    bst_timer_start(&conn->idle, conn->client->config.idle_ms, 0);
}

void bst_client_show_endpoint(void *user)
{
    struct bst_http_call *call = user;
    struct bst_client_conn *conn = call->conn;
    struct bst_tls *endpoint = conn->wire.tls;
    conn_free_again(conn);
    bst_client_end_call(call, BST_OK, NULL, NULL, endpoint);
}

static void answered(struct bst_client_conn *conn, bool reusable)
{
    struct bst_http_call *call = conn->call;
    const struct bst_http_msg *msg = bst_http1_message(conn->parser);
    const struct bst_tls_peer *peer = conn->wire.tls ? bst_tls_peer(conn->wire.tls) : NULL;
    if (reusable && msg->keep_alive) {
        conn_free_again(conn);
        bst_client_end_call(call, BST_OK, msg, peer, NULL);
        return;
    }
    struct bst_client_pool *pool = conn->pool;
    pool->refs++;
    conn->call = NULL;
    bst_client_close_conn(conn);
    bst_client_end_call(call, BST_OK, msg, peer, NULL);
    bst_client_serve_waiting(pool);
    bst_client_pool_release(pool);
}

static bst_result parse_error(const struct bst_client_conn *conn)
{
    int status = bst_http1_error_status(conn->parser);
    bool too_long = status == 413 || status == 414 || status == 431;
    BST_FAIL(status == 500 ? BST_E_NOMEM
             : too_long    ? BST_E_TOO_LONG
                           : BST_E_SYNTAX,
             "response of %s: %s", conn->pool->address, bst_http1_error_text(conn->parser));
}

static void on_data(void *user, struct bst_view data)
{
    struct bst_client_conn *conn = user;
    size_t used;
    if (!conn->call) {
        bst_client_close_conn(conn); /* nobody asked */
        return;
    }
    conn->answer_begun = true;
    switch (bst_http1_feed(conn->parser, data, &used)) {
    case BST_HTTP1_MESSAGE:
        answered(conn, used == data.len);
        break;
    case BST_HTTP1_ERROR:
        conn_failed(conn, parse_error(conn));
        break;
    case BST_HTTP1_MORE:
        break;
    }
}

static void report_handshake(const struct bst_client_conn *conn)
{
    const struct bst_http_client_config *config = &conn->client->config;
    const struct bst_client_pool *pool = conn->pool;
    if (config->on_handshake_failed) {
        const struct bst_http_target target = {pool->address, pool->host, pool->tls};
        config->on_handshake_failed(config->ctx, &target, bst_tls_failure(conn->wire.tls));
    }
}

/* In TLS 1.3 a server judges the client's certificate after the client's side is done, so that its
 * alert comes in place of the first answer. */
static bool refused_by_tls(const struct bst_client_conn *conn)
{
    return conn->wire.tls &&
           (!conn->wire.open ||
            (bst_tls_state(conn->wire.tls) == BST_TLS_FAILED && !conn->answer_begun));
}

static void on_end(void *user, bst_result why)
{
    struct bst_client_conn *conn = user;
    if (refused_by_tls(conn)) {
        /* The hook may use the thread's sentence for itself. */
        char detail[256];
        (void)bst_failed(bst_view_copy(bst_view(bst_error_detail()), detail, sizeof detail));
        report_handshake(conn);
        bst_error_set_detail(detail);
        conn_failed(conn, bst_failed(why) ? why : bst_error(BST_E_HANDSHAKE));
        return;
    }
    bool ends_answer = !bst_failed(why) && conn->call && conn->answer_begun;
    if (ends_answer && bst_http1_finish(conn->parser) == BST_HTTP1_MESSAGE) {
        answered(conn, false);
        return;
    }
    conn_failed(conn,
                bst_error_detailed(BST_E_CLOSED, "%s closed the connection before it answered",
                                   conn->pool->address));
}

static void on_open(void *user)
{
    struct bst_client_conn *conn = user;
    conn->ready = true;
    send_call(conn, conn->call);
}

static void on_drained(void *user)
{
    (void)user; /* a request is written in one piece, whatever it takes */
}

static const struct bst_wire_events events = {on_open, on_data, on_end, on_drained};

static void on_connect(void *user, bst_result result)
{
    struct bst_client_conn *conn = user;
    if (!bst_failed(result)) {
        result = bst_wire_dial(&conn->wire, &conn->dialled, conn->pool->tls, &events, conn);
    }
    if (bst_failed(result)) {
        conn_failed(conn, result);
    } else if (!conn->wire.tls) {
        on_open(conn);
    }
}

static bool may_dial(void *user, const struct bst_inet *ip)
{
    const struct bst_client_conn *conn = user;
    const struct bst_http_client_config *config = &conn->client->config;
    return !config->filter || config->filter(config->ctx, ip);
}

static bst_result dial(struct bst_http_call *call)
{
    struct bst_http_client *client = call->client;
    struct bst_client_pool *pool = call->pool;
    struct bst_client_conn *conn = bst_alloc(sizeof *conn);
    BST_ENSURE(conn, BST_E_NOMEM);
    conn->client = client;
    conn->pool = pool;
    bst_timer_init(client->loop, &conn->idle, idle_too_long, conn);
    bst_result result = bst_http1_parser_new(true, &client->config.message, &conn->parser);
    if (!bst_failed(result)) {
        result = bst_tcp_connect(client->loop, pool->address, BST_CLIENT_TIMEOUT_MS, may_dial,
                                 on_connect, conn, &conn->dialled);
    }
    if (bst_failed(result)) {
        bst_http1_parser_free(&conn->parser);
        bst_free(conn);
        return result;
    }
    conn->call = call;
    call->conn = conn;
    pool->refs++;
    pool->n_conns++;
    client->n_conns++;
    bst_list_append(&pool->conns, &conn->link);
    return BST_OK;
}

/* The one used last: it is the least likely to have been closed by the peer. */
static struct bst_client_conn *idle_conn(const struct bst_client_pool *pool)
{
    for (struct bst_list *at = pool->conns.prev; at != &pool->conns; at = at->prev) {
        struct bst_client_conn *conn = bst_container_of(at, struct bst_client_conn, link);
        if (conn->ready && !conn->call) {
            return conn;
        }
    }
    return NULL;
}

/* Room for one more connection: an idle one of another pool gives way. */
static void make_room(struct bst_http_client *client)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&client->pools, &cursor, &key, &value)) {
        struct bst_client_conn *conn = idle_conn(value);
        if (conn) {
            bst_client_close_conn(conn);
            return;
        }
    }
}

bst_result bst_client_place(struct bst_http_call *call)
{
    struct bst_http_client *client = call->client;
    struct bst_client_pool *pool = call->pool;
    struct bst_client_conn *conn = call->retried ? NULL : idle_conn(pool);
    if (conn) {
        send_call(conn, call);
        return BST_OK;
    }
    if (pool->n_conns < client->config.connections_per_target) {
        if (client->n_conns >= client->config.connections) {
            make_room(client);
        }
        if (client->n_conns < client->config.connections) {
            return dial(call);
        }
    }
    bst_list_append(&pool->waiting, &call->wait_link);
    return BST_OK;
}

void bst_client_serve_waiting(struct bst_client_pool *pool)
{
    while (!bst_list_empty(&pool->waiting) && !pool->client->ending &&
           pool->n_conns < pool->client->config.connections_per_target) {
        struct bst_http_call *call =
            bst_container_of(pool->waiting.next, struct bst_http_call, wait_link);
        bst_list_remove(&call->wait_link);
        bst_result result = bst_client_place(call);
        if (bst_failed(result)) {
            bst_client_end_call(call, result, NULL, NULL, NULL);
        } else if (call->wait_link.next) {
            return; /* the whole client is full */
        }
    }
}
