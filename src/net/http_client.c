/* HTTP client: calls, and the pools that keep connections for them. */
#include "net/client_priv.h"

/* --- pools --------------------------------------------------------------------------------- */

void bst_client_pool_release(struct bst_client_pool *pool)
{
    if (--pool->refs > 0) {
        return;
    }
    if (!pool->forgotten) {
        bst_map_remove(&pool->client->pools, bst_view_of(pool->key, pool->key_len));
    }
    bst_tls_client_free(&pool->tls);
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
                           struct bst_view key, struct bst_client_pool **ret)
{
    struct bst_client_pool *pool = bst_alloc(sizeof *pool);
    BST_ENSURE(pool, BST_E_NOMEM);
    pool->client = client;
    /* What dials when its owner lets it go ends on its own. */
    pool->tls = target->tls ? bst_tls_client_hold(target->tls) : NULL;
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
        bst_client_pool_release(pool);
        return bst_error(BST_E_NOMEM);
    }
    pool->forgotten = false;
    *ret = pool;
    return BST_OK;
}

/* With a hold for the caller. */
static bst_result pool_hold(struct bst_http_client *client, const struct bst_http_target *target,
                            struct bst_client_pool **ret)
{
    bst_auto(buf) key = {0};
    BST_TRY(make_key(target, &key));
    struct bst_client_pool *pool = bst_map_get(&client->pools, bst_buf_view(&key));
    if (!pool) {
        return pool_new(client, target, bst_buf_view(&key), ret);
    }
    pool->refs++;
    *ret = pool;
    return BST_OK;
}

/* --- calls --------------------------------------------------------------------------------- */

void bst_client_end_call(struct bst_http_call *call, bst_result result,
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
    bst_client_pool_release(call->pool);
    bst_buf_wipe(&call->request);
    bst_free(call);
    if (opened) {
        opened(user, result, endpoint);
    } else {
        done(user, result, response, peer);
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

static void close_idle(struct bst_client_pool *pool)
{
    struct bst_list *next;
    for (struct bst_list *at = pool->conns.next; at != &pool->conns; at = next) {
        struct bst_client_conn *conn = bst_container_of(at, struct bst_client_conn, link);
        next = at->next;
        if (!conn->call) {
            bst_client_close_conn(conn);
        }
    }
}

static struct bst_client_pool *next_pool_of(struct bst_http_client *client,
                                            const struct bst_tls_client *tls)
{
    size_t cursor = 0;
    struct bst_view key;
    void *value;
    while (bst_map_next(&client->pools, &cursor, &key, &value)) {
        struct bst_client_pool *pool = value;
        if (!tls || pool->tls == tls) {
            return pool;
        }
    }
    return NULL;
}

void bst_http_client_forget(struct bst_http_client *client, const struct bst_tls_client *tls)
{
    for (struct bst_client_pool *pool = next_pool_of(client, tls); pool;
         pool = next_pool_of(client, tls)) {
        /* Out of the table: nothing new finds it, what runs ends on its own. */
        bst_map_remove(&client->pools, bst_view_of(pool->key, pool->key_len));
        pool->forgotten = true;
        pool->refs++;
        close_idle(pool);
        bst_client_pool_release(pool);
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
    struct bst_client_conn *conn = call->conn;
    struct bst_client_pool *pool = call->pool;
    bst_result why = bst_error_detailed(BST_E_TIMEOUT, "%s did not answer in time", pool->address);
    pool->refs++;
    if (conn) {
        conn->call = NULL;
        bst_client_close_conn(conn);
    }
    bst_client_end_call(call, why, NULL, NULL, NULL);
    bst_client_serve_waiting(pool);
    bst_client_pool_release(pool);
}

void bst_http_call_cancel(struct bst_http_call *call)
{
    struct bst_client_conn *conn = call->conn;
    struct bst_client_pool *pool = call->pool;
    pool->refs++;
    if (conn) {
        conn->call = NULL;
        bst_client_close_conn(conn);
    }
    bst_client_end_call(call, bst_error_detailed(BST_E_CANCELLED, "the call was given up"), NULL,
                        NULL, NULL);
    bst_client_serve_waiting(pool);
    bst_client_pool_release(pool);
}

static bst_result start(struct bst_http_call *call, const struct bst_http_target *target,
                        int64_t timeout_ms)
{
    struct bst_http_client *client = call->client;
    BST_TRY(pool_hold(client, target, &call->pool));
    bst_timer_init(client->loop, &call->deadline, call_too_long, call);
    bst_timer_init(client->loop, &call->soon, bst_client_show_endpoint, call);
    bst_result result = bst_client_place(call);
    if (bst_failed(result)) {
        bst_client_pool_release(call->pool);
        return result;
    }
    bst_list_append(&client->calls, &call->link);
    bst_timer_start(&call->deadline, timeout_ms > 0 ? timeout_ms : BST_CLIENT_TIMEOUT_MS, 0);
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
