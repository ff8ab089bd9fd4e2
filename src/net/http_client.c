/* HTTP client: calls, the connections they travel on, and the pools that keep connections.
 *
 * A pool is everything to one address, under one Host, with one credential. A connection carries
 * one call at a time. */
#include "net/http_client.h"
#include "base/map.h"
#include "net/stream.h"

#define DEFAULT_TIMEOUT_MS 30000

struct pool {
    struct bst_http_client *client;
    char *address, *host, *key;
    size_t key_len;
    struct bst_tls_client *tls;
    struct bst_list conns;   /* all of them; idle ones in the order of their last use */
    struct bst_list waiting; /* calls without a connection */
    size_t n_conns, refs;    /* refs: connections and calls */
    bool forgotten;
};

struct bst_http_client {
    struct bst_loop *loop;
    struct bst_http_client_config config;
    struct bst_map pools;
    size_t n_conns;
    struct bst_list calls;
    bool ending;
};

struct conn {
    struct bst_list link; /* of the pool */
    struct pool *pool;
    struct bst_http_client *client;
    struct bst_tcp *dialled; /* until it is connected */
    struct bst_wire stream;
    struct bst_http1_parser *parser;
    struct bst_http_call *call; /* NULL: idle */
    struct bst_timer idle;
    struct bst_task reap;
    bool ready, reused, answer_begun, closed;
};

struct bst_http_call {
    struct bst_list link;      /* of the client */
    struct bst_list wait_link; /* of the pool while it waits */
    struct bst_http_client *client;
    struct pool *pool;
    struct conn *conn;
    struct bst_buf request;
    bst_http_call_fn done;
    bst_http_open_fn opened; /* no request: only the connection is wanted */
    void *user;
    struct bst_timer deadline;
    struct bst_timer soon;
    bool head, once, retried;
};

/* --- pools --------------------------------------------------------------------------------- */

static void pool_release(struct pool *pool)
{
    if (--pool->refs > 0) {
        return;
    }
    if (!pool->forgotten) {
        bst_map_remove(&pool->client->pools, bst_view_of(pool->key, pool->key_len));
    }
    bst_free(pool->address);
    bst_free(pool->host);
    bst_free(pool->key);
    bst_free(pool);
}

static bst_result make_key(const struct bst_http_target *target, struct bst_buf *ret)
{
    bst_buf_add(ret, &target->tls, sizeof target->tls);
    bst_buf_adds(ret, target->address);
    bst_buf_addc(ret, '\0');
    bst_buf_adds(ret, target->host);
    return bst_buf_check(ret);
}

static bst_result pool_new(struct bst_http_client *client, const struct bst_http_target *target,
                           struct bst_view key, struct pool **ret)
{
    struct pool *pool = bst_alloc(sizeof *pool);
    BST_ENSURE(pool, BST_E_NOMEM);
    pool->client = client;
    pool->tls = target->tls;
    pool->refs = 1;
    pool->forgotten = true; /* not in the table yet */
    pool->address = bst_strdup(target->address);
    pool->host = bst_strdup(target->host);
    pool->key = bst_strndup(key.ptr, key.len);
    pool->key_len = key.len;
    bst_list_init(&pool->conns);
    bst_list_init(&pool->waiting);
    bool ok = pool->address && pool->host && pool->key &&
              !bst_failed(bst_map_set(&client->pools, key, pool, NULL));
    if (!ok) {
        pool_release(pool);
        return bst_error(BST_E_NOMEM);
    }
    pool->forgotten = false;
    *ret = pool;
    return BST_OK;
}

/* With a hold for the caller. */
static bst_result pool_hold(struct bst_http_client *client, const struct bst_http_target *target,
                            struct pool **ret)
{
    bst_auto(buf) key = {0};
    BST_TRY(make_key(target, &key));
    struct pool *pool = bst_map_get(&client->pools, bst_buf_view(&key));
    if (!pool) {
        return pool_new(client, target, bst_buf_view(&key), ret);
    }
    pool->refs++;
    *ret = pool;
    return BST_OK;
}

/* --- calls --------------------------------------------------------------------------------- */

static void end_call(struct bst_http_call *call, bst_result result,
                     const struct bst_http_msg *response, const struct bst_tls_peer *peer,
                     struct bst_tls *endpoint)
{
    bst_timer_stop(&call->deadline);
    bst_timer_stop(&call->soon);
    bst_list_remove(&call->link);
    bst_list_remove(&call->wait_link);
    bst_http_call_fn done = call->done;
    bst_http_open_fn opened = call->opened;
    void *user = call->user;
    pool_release(call->pool);
    bst_buf_wipe(&call->request);
    bst_free(call);
    if (opened) {
        opened(user, result, endpoint);
    } else {
        done(user, result, response, peer);
    }
}

/* --- connections --------------------------------------------------------------------------- */

static void reap(struct bst_task *task)
{
    struct conn *conn = bst_container_of(task, struct conn, reap);
    bst_wire_clear(&conn->stream);
    bst_http1_parser_free(&conn->parser);
    bst_free(conn);
}

static void serve_waiting(struct pool *pool);

static void close_conn(struct conn *conn)
{
    if (conn->closed) {
        return;
    }
    struct pool *pool = conn->pool;
    conn->closed = true;
    bst_timer_stop(&conn->idle);
    bst_tcp_close(&conn->dialled);
    bst_wire_close(&conn->stream);
    bst_list_remove(&conn->link);
    pool->n_conns--;
    conn->client->n_conns--;
    /* Its memory may still be looked at further up the stack. */
    conn->reap.run = reap;
    bst_loop_post(conn->client->loop, &conn->reap);
    pool_release(pool);
}

static bst_result place(struct bst_http_call *call);

/* The connection broke. A kept one may have been closed by the peer while the call was on its way;
 * when no byte of an answer came, the call gets one more try on a connection of its own. */
static void conn_failed(struct conn *conn, bst_result why)
{
    struct bst_http_call *call = conn->call;
    struct pool *pool = conn->pool;
    bool again = call && conn->reused && !conn->answer_begun && !call->once && !call->retried &&
                 !call->opened && !conn->client->ending;
    conn->call = NULL;
    pool->refs++;
    close_conn(conn);
    if (again) {
        call->conn = NULL;
        call->retried = true;
        why = place(call);
        again = !bst_failed(why);
    }
    if (call && !again) {
        end_call(call, why, NULL, NULL, NULL);
    }
    serve_waiting(pool);
    pool_release(pool);
}

static void idle_too_long(void *user)
{
    close_conn(user);
}

static void send_call(struct conn *conn, struct bst_http_call *call)
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
    bst_buf_addv(bst_wire_out(&conn->stream), bst_buf_view(&call->request));
    bst_wire_flush(&conn->stream, false);
}

/* The connection is free: the next call, or a rest. */
static void conn_free_again(struct conn *conn)
{
    struct pool *pool = conn->pool;
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
        close_conn(conn);
        return;
    }
    bst_list_remove(&conn->link);
    bst_list_append(&pool->conns, &conn->link);
    bst_timer_start(&conn->idle, conn->client->config.idle_ms, 0);
}

static void show_endpoint(void *user)
{
    struct bst_http_call *call = user;
    struct conn *conn = call->conn;
    struct bst_tls *endpoint = conn->stream.tls;
    conn_free_again(conn);
    end_call(call, BST_OK, NULL, NULL, endpoint);
}

static void answered(struct conn *conn, bool reusable)
{
    struct bst_http_call *call = conn->call;
    const struct bst_http_msg *msg = bst_http1_message(conn->parser);
    const struct bst_tls_peer *peer = conn->stream.tls ? bst_tls_peer(conn->stream.tls) : NULL;
    if (reusable && msg->keep_alive) {
        conn_free_again(conn);
        end_call(call, BST_OK, msg, peer, NULL);
        return;
    }
    struct pool *pool = conn->pool;
    pool->refs++;
    conn->call = NULL;
    close_conn(conn);
    end_call(call, BST_OK, msg, peer, NULL);
    serve_waiting(pool);
    pool_release(pool);
}

static bst_result parse_error(const struct conn *conn)
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
    struct conn *conn = user;
    size_t used;
    if (!conn->call) {
        close_conn(conn); /* nobody asked */
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

static void report_handshake(const struct conn *conn)
{
    const struct bst_http_client_config *config = &conn->client->config;
    const struct pool *pool = conn->pool;
    if (config->on_handshake_failed) {
        const struct bst_http_target target = {pool->address, pool->host, pool->tls};
        config->on_handshake_failed(config->ctx, &target, bst_tls_failure(conn->stream.tls));
    }
}

/* In TLS 1.3 a server judges the client's certificate after the client's side is done, so that its alert
 * comes in place of the first answer. */
static bool refused_by_tls(const struct conn *conn)
{
    return conn->stream.tls && (!conn->stream.open || (bst_tls_state(conn->stream.tls) == BST_TLS_FAILED &&
                                                       !conn->answer_begun));
}

static void on_end(void *user, bst_result why)
{
    struct conn *conn = user;
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
    struct conn *conn = user;
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
    struct conn *conn = user;
    if (!bst_failed(result)) {
        result = bst_wire_dial(&conn->stream, &conn->dialled, conn->pool->tls, &events, conn);
    }
    if (bst_failed(result)) {
        conn_failed(conn, result);
    } else if (!conn->stream.tls) {
        on_open(conn);
    }
}

static bool may_dial(void *user, const struct bst_inet *ip)
{
    const struct conn *conn = user;
    const struct bst_http_client_config *config = &conn->client->config;
    return !config->filter || config->filter(config->ctx, ip);
}

static bst_result dial(struct bst_http_call *call)
{
    struct bst_http_client *client = call->client;
    struct pool *pool = call->pool;
    struct conn *conn = bst_alloc(sizeof *conn);
    BST_ENSURE(conn, BST_E_NOMEM);
    conn->client = client;
    conn->pool = pool;
    bst_timer_init(client->loop, &conn->idle, idle_too_long, conn);
    bst_result result = bst_http1_parser_new(true, &client->config.message, &conn->parser);
    if (!bst_failed(result)) {
        result = bst_tcp_connect(client->loop, pool->address, DEFAULT_TIMEOUT_MS, may_dial,
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
static struct conn *idle_conn(const struct pool *pool)
{
    for (struct bst_list *at = pool->conns.prev; at != &pool->conns; at = at->prev) {
        struct conn *conn = bst_container_of(at, struct conn, link);
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
        struct conn *conn = idle_conn(value);
        if (conn) {
            close_conn(conn);
            return;
        }
    }
}

static bst_result place(struct bst_http_call *call)
{
    struct bst_http_client *client = call->client;
    struct pool *pool = call->pool;
    struct conn *conn = call->retried ? NULL : idle_conn(pool);
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

/* A connection is gone: there may be room for one that waits. */
static void serve_waiting(struct pool *pool)
{
    while (!bst_list_empty(&pool->waiting) && !pool->client->ending &&
           pool->n_conns < pool->client->config.connections_per_target) {
        struct bst_http_call *call =
            bst_container_of(pool->waiting.next, struct bst_http_call, wait_link);
        bst_list_remove(&call->wait_link);
        bst_result result = place(call);
        if (bst_failed(result)) {
            end_call(call, result, NULL, NULL, NULL);
        } else if (call->wait_link.next) {
            return; /* the whole client is full */
        }
    }
}

/* --- the client ---------------------------------------------------------------------------- */

bst_result bst_http_client_new(struct bst_loop *loop, const struct bst_http_client_config *config,
                               struct bst_http_client **ret)
{
    struct bst_http_client *client = bst_alloc(sizeof *client);
    BST_ENSURE(client, BST_E_NOMEM);
    client->loop = loop;
    client->config = config ? *config : (struct bst_http_client_config){0};
    struct bst_http_client_config *c = &client->config;
    c->connections = c->connections ? c->connections : 256;
    c->connections_per_target = c->connections_per_target ? c->connections_per_target : 8;
    c->idle_ms = c->idle_ms ? c->idle_ms : 30000;
    c->message = c->message.head_bytes ? c->message : BST_HTTP1_LIMITS_DEFAULT;
    bst_list_init(&client->calls);
    *ret = client;
    return BST_OK;
}

static void close_idle(struct pool *pool)
{
    struct bst_list *next;
    for (struct bst_list *at = pool->conns.next; at != &pool->conns; at = next) {
        struct conn *conn = bst_container_of(at, struct conn, link);
        next = at->next;
        if (!conn->call) {
            close_conn(conn);
        }
    }
}

static struct pool *next_pool_of(struct bst_http_client *client, const struct bst_tls_client *tls)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&client->pools, &cursor, &key, &value)) {
        struct pool *pool = value;
        if (!tls || pool->tls == tls) {
            return pool;
        }
    }
    return NULL;
}

void bst_http_client_forget(struct bst_http_client *client, const struct bst_tls_client *tls)
{
    for (struct pool *pool = next_pool_of(client, tls); pool; pool = next_pool_of(client, tls)) {
        /* Out of the table: nothing new finds it, what runs ends on its own. */
        bst_map_remove(&client->pools, bst_view_of(pool->key, pool->key_len));
        pool->forgotten = true;
        pool->refs++;
        close_idle(pool);
        pool_release(pool);
    }
}

void bst_http_client_free(struct bst_http_client **slot)
{
    struct bst_http_client *client = bst_steal(slot);
    if (!client) {
        return;
    }
    client->ending = true;
    while (!bst_list_empty(&client->calls)) {
        bst_http_call_cancel(bst_container_of(client->calls.next, struct bst_http_call, link));
    }
    bst_http_client_forget(client, NULL);
    bst_map_clear(&client->pools);
    bst_free(client);
}

static void call_too_long(void *user)
{
    struct bst_http_call *call = user;
    struct conn *conn = call->conn;
    struct pool *pool = call->pool;
    bst_result why = bst_error_detailed(BST_E_TIMEOUT, "%s did not answer in time", pool->address);
    pool->refs++;
    if (conn) {
        conn->call = NULL;
        close_conn(conn);
    }
    end_call(call, why, NULL, NULL, NULL);
    serve_waiting(pool);
    pool_release(pool);
}

void bst_http_call_cancel(struct bst_http_call *call)
{
    struct conn *conn = call->conn;
    struct pool *pool = call->pool;
    pool->refs++;
    if (conn) {
        conn->call = NULL;
        close_conn(conn);
    }
    end_call(call, bst_error_detailed(BST_E_CANCELLED, "the call was given up"), NULL, NULL, NULL);
    serve_waiting(pool);
    pool_release(pool);
}

static bst_result start(struct bst_http_call *call, const struct bst_http_target *target,
                        int64_t timeout_ms)
{
    struct bst_http_client *client = call->client;
    BST_TRY(pool_hold(client, target, &call->pool));
    bst_timer_init(client->loop, &call->deadline, call_too_long, call);
    bst_timer_init(client->loop, &call->soon, show_endpoint, call);
    bst_result result = place(call);
    if (bst_failed(result)) {
        pool_release(call->pool);
        return result;
    }
    bst_list_append(&client->calls, &call->link);
    bst_timer_start(&call->deadline, timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS, 0);
    return BST_OK;
}

static bst_result start_or_free(struct bst_http_call *call, const struct bst_http_target *target,
                                int64_t timeout_ms, struct bst_http_call **ret)
{
    bst_result result = start(call, target, timeout_ms);
    if (bst_failed(result)) {
        bst_buf_wipe(&call->request);
        bst_free(call);
        return result;
    }
    if (ret) {
        *ret = call;
    }
    return BST_OK;
}

bst_result bst_http_client_call(struct bst_http_client *client,
                                const struct bst_http_call_spec *spec, bst_http_call_fn done,
                                void *user, struct bst_http_call **ret_call)
{
    bst_auto(buf) request = {0};
    BST_TRY(bst_http1_write_request(&request, spec->method, spec->path, bst_view(spec->target.host),
                                    spec->headers, spec->n_headers, spec->body, true));
    struct bst_http_call *call = bst_alloc(sizeof *call);
    BST_ENSURE(call, BST_E_NOMEM);
    call->client = client;
    call->done = done;
    call->user = user;
    call->head = spec->method == BST_HTTP_HEAD;
    call->once = spec->once;
    call->request = request;
    request = (struct bst_buf){0};
    return start_or_free(call, &spec->target, spec->timeout_ms, ret_call);
}

bst_result bst_http_client_open(struct bst_http_client *client,
                                const struct bst_http_target *target, int64_t timeout_ms,
                                bst_http_open_fn done, void *user, struct bst_http_call **ret_call)
{
    struct bst_http_call *call = bst_alloc(sizeof *call);
    BST_ENSURE(call, BST_E_NOMEM);
    call->client = client;
    call->opened = done;
    call->user = user;
    return start_or_free(call, target, timeout_ms, ret_call);
}

/* --- one thing at a time ------------------------------------------------------------------- */

struct wait {
    struct bst_arena *arena;
    struct bst_http_msg msg;
    bst_result result;
    bool over;
};

static bst_result copy_message(struct bst_arena *arena, const struct bst_http_msg *msg,
                               struct bst_http_msg *ret)
{
    struct bst_http_header *headers =
        bst_arena_alloc(arena, (msg->n_headers + 1) * sizeof *headers);
    BST_ENSURE(headers, BST_E_NOMEM);
    *ret = *msg;
    ret->headers = headers;
    ret->target = BST_VIEW("");
    ret->body = bst_arena_view(arena, msg->body);
    bool ok = ret->body.ptr != NULL;
    for (size_t i = 0; ok && i < msg->n_headers; i++) {
        headers[i].name = bst_arena_view(arena, msg->headers[i].name);
        headers[i].value = bst_arena_view(arena, msg->headers[i].value);
        ok = headers[i].name.ptr && headers[i].value.ptr;
    }
    return ok ? BST_OK : bst_error(BST_E_NOMEM);
}

static void note_end(void *user, bst_result result, const struct bst_http_msg *response,
                     const struct bst_tls_peer *peer)
{
    struct wait *wait = user;
    (void)peer;
    wait->over = true;
    wait->result = bst_failed(result) ? result : copy_message(wait->arena, response, &wait->msg);
}

bst_result bst_http_client_call_blocking(struct bst_http_client *client,
                                         const struct bst_http_call_spec *spec,
                                         struct bst_arena *arena, struct bst_http_msg *ret)
{
    struct wait wait = {.arena = arena};
    BST_TRY(bst_http_client_call(client, spec, note_end, &wait, NULL));
    while (!wait.over) {
        bst_loop_run_once(client->loop, -1);
    }
    if (!bst_failed(wait.result)) {
        *ret = wait.msg;
    }
    return wait.result;
}
