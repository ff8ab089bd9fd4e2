/* Exchanges: from the request in the parser to the answer in its turn. */
#include "net/server_priv.h"

#define SPARE_EXCHANGES 64
#define ARENA_BYTES ((size_t)64 << 20)

static bool is_safe(int method)
{
    return method == BST_HTTP_GET || method == BST_HTTP_HEAD || method == BST_HTTP_OPTIONS;
}

static struct bst_exchange *take_spare(struct bst_http_server *server)
{
    struct bst_exchange *ex = server->spare;
    if (!ex) {
        ex = bst_alloc(sizeof *ex);
        if (ex) {
            bst_arena_init(&ex->arena, ARENA_BYTES);
        }
        return ex;
    }
    server->spare = ex->next_spare;
    server->n_spare--;
    struct bst_arena arena = ex->arena;
    *ex = (struct bst_exchange){.arena = arena};
    return ex;
}

static void free_exchange(struct bst_exchange *ex)
{
    struct bst_http_server *server = ex->server;
    /* A body may hold a key (TS-0003 8.3.5); the copy is ours, only its view is const. */
    bst_wipe((void *)(uintptr_t)ex->body.ptr, ex->body.len);
    bst_buf_wipe(&ex->out);
    if (server->n_spare < SPARE_EXCHANGES && !server->gone) {
        bst_arena_reset(&ex->arena);
        ex->next_spare = server->spare;
        server->spare = ex;
        server->n_spare++;
        return;
    }
    bst_arena_clear(&ex->arena);
    bst_free(ex);
}

bst_result bst_exchange_new(struct bst_conn *conn, struct bst_exchange **ret)
{
    struct bst_exchange *ex = take_spare(conn->server);
    BST_ENSURE(ex, BST_E_NOMEM);
    ex->server = conn->server;
    bst_result result = bst_http1_keep(conn->parser, &ex->arena, &ex->x.req);
    if (bst_failed(result)) {
        free_exchange(ex);
        return result;
    }
    ex->conn = conn;
    ex->body = ex->x.req.body;
    ex->safe = is_safe(ex->x.req.method);
    ex->head = ex->x.req.method == BST_HTTP_HEAD;
    ex->keep_alive = ex->x.req.keep_alive;
    ex->x.arena = &ex->arena;
    ex->x.peer = &conn->peer;
    ex->x.start_us = bst_loop_now_us(conn->server->loop);
    bst_list_append(&conn->work, &ex->link);
    conn->n_work++;
    conn->holds++;
    bst_count(&conn->server->counts.in_work);
    *ret = ex;
    return BST_OK;
}

static void count_answer(struct bst_http_server *server, int status)
{
    int cls = status / 100;
    bst_count(&server->counts.responses_by_class[cls >= 1 && cls <= 5 ? cls : 0]);
}

static void write_response(struct bst_http_server *server, struct bst_buf *out,
                           const struct bst_http1_response *response)
{
    struct bst_http1_response r = *response;
    size_t before = out->len;
    r.date = bst_server_date(server);
    if (bst_failed(bst_http1_write_response(out, &r)) && !out->failed) {
        r = (struct bst_http1_response){.status = 500, .date = r.date, .keep_alive = r.keep_alive};
        (void)bst_failed(bst_http1_write_response(out, &r));
    }
    count_answer(server, r.status);
    bst_count_add(&server->counts.bytes_out, out->len - before);
}

/* An exchange whose answer is written, or whose peer is gone. */
static void retire(struct bst_exchange *ex)
{
    struct bst_conn *conn = ex->conn;
    bst_list_remove(&ex->link);
    conn->n_work--;
    bst_count_add(&ex->server->counts.in_work, (uint64_t)-1);
    free_exchange(ex);
    bst_conn_release(conn);
}

void bst_exchange_drop(struct bst_exchange *ex)
{
    if (ex->answered || !ex->running) {
        retire(ex);
    }
}

void bst_exchange_write_ready(struct bst_conn *conn)
{
    while (!bst_list_empty(&conn->work)) {
        struct bst_exchange *ex = bst_container_of(conn->work.next, struct bst_exchange, link);
        if (!ex->answered) {
            return;
        }
        struct bst_buf *out = bst_wire_out(&conn->wire);
        if (ex->out.failed) {
            out->failed = true;
        }
        bst_buf_addv(out, bst_buf_view(&ex->out));
        retire(ex);
    }
}

void bst_exchange_refuse(struct bst_conn *conn, int status)
{
    const struct bst_http1_response r = {.status = status};
    write_response(conn->server, bst_wire_out(&conn->wire), &r);
}

void bst_http_exchange_answer(struct bst_http_exchange *x, int status,
                              const struct bst_http_header *headers, size_t n, struct bst_view body)
{
    struct bst_exchange *ex = bst_container_of(x, struct bst_exchange, x);
    struct bst_conn *conn = ex->conn;
    conn->n_running--;
    conn->unsafe_running = conn->unsafe_running && ex->safe;
    if (!conn->wire.tcp) {
        count_answer(ex->server, status);
        retire(ex);
        return;
    }
    bool its_turn = conn->work.next == &ex->link;
    if (ex->server->draining && conn->work.prev == &ex->link) {
        ex->keep_alive = false;
    }
    conn->closing = conn->closing || !ex->keep_alive;
    const struct bst_http1_response r = {
        .status = status,
        .headers = headers,
        .n_headers = n,
        .body = body,
        .keep_alive = ex->keep_alive,
        .body_omitted = ex->head,
    };
    ex->answered = true;
    write_response(ex->server, its_turn ? bst_wire_out(&conn->wire) : &ex->out, &r);
    if (its_turn) {
        retire(ex);
    }
    bst_conn_advance(conn);
}

void bst_http_exchange_close_after(struct bst_http_exchange *x)
{
    bst_container_of(x, struct bst_exchange, x)->keep_alive = false;
}

struct bst_loop *bst_http_exchange_loop(const struct bst_http_exchange *x)
{
    return ((const struct bst_exchange *)(const void *)x)->server->loop;
}
