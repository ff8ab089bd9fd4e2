/* One HTTP server on one loop: its listener, its connections as a whole, and its end. */
#include "net/server_priv.h"

#include <stdio.h>

static void on_accept(void *user, struct bst_tcp *tcp)
{
    bst_conn_accept(user, tcp);
}

static void drain_too_long(void *user)
{
    struct bst_http_server *server = user;
    while (!bst_list_empty(&server->conns)) {
        bst_conn_close(bst_container_of(server->conns.next, struct bst_conn, link));
    }
}

bst_result bst_http_server_new(struct bst_loop *loop, int *take_fd, struct bst_http_shared *shared,
                               struct bst_tls_server *tls, const struct bst_http_handler *handler,
                               struct bst_http_server **ret)
{
    struct bst_http_server *server = bst_alloc(sizeof *server);
    if (!server) {
        bst_socket_close(take_fd); /* ours in any case */
        return bst_error(BST_E_NOMEM);
    }
    server->loop = loop;
    server->shared = shared;
    server->tls = tls;
    server->handler = *handler;
    server->holds = 1;
    bst_list_init(&server->conns);
    bst_timer_init(loop, &server->drain_timer, drain_too_long, server);
    bst_result result = bst_listener_new(loop, take_fd, on_accept, server, &server->listener);
    if (bst_failed(result)) {
        bst_free(server);
        return result;
    }
    bst_shared_add(shared, server);
    *ret = server;
    return BST_OK;
}

static void report_drained(struct bst_http_server *server)
{
    void (*drained)(void *) = server->drained;
    server->drained = NULL;
    bst_timer_stop(&server->drain_timer);
    if (drained) {
        drained(server->drained_ctx);
    }
}

void bst_server_conn_gone(struct bst_http_server *server)
{
    if (server->draining && bst_list_empty(&server->conns)) {
        report_drained(server);
    }
}

void bst_http_server_drain(struct bst_http_server *server, void (*done)(void *ctx), void *ctx)
{
    server->draining = true;
    server->drained = done;
    server->drained_ctx = ctx;
    bst_listener_free(&server->listener);
    struct bst_list *next;
    for (struct bst_list *at = server->conns.next; at != &server->conns; at = next) {
        next = at->next;
        bst_conn_drain(bst_container_of(at, struct bst_conn, link));
    }
    if (bst_list_empty(&server->conns)) {
        report_drained(server);
    } else if (server->drained) {
        bst_timer_start(&server->drain_timer, server->shared->limits.drain_ms, 0);
    }
}

void bst_server_release(struct bst_http_server *server)
{
    pthread_mutex_lock(&server->shared->lock);
    bool last = --server->holds == 0;
    pthread_mutex_unlock(&server->shared->lock);
    if (!last) {
        return;
    }
    while (server->spare) {
        struct bst_exchange *ex = server->spare;
        server->spare = ex->next_spare;
        bst_arena_clear(&ex->arena);
        bst_free(ex);
    }
    bst_free(server);
}

void bst_http_server_free(struct bst_http_server **slot)
{
    struct bst_http_server *server = bst_steal(slot);
    if (!server) {
        return;
    }
    server->drained = NULL;
    bst_listener_free(&server->listener);
    drain_too_long(server);
    bst_timer_stop(&server->drain_timer);
    bst_shared_remove(server->shared, server);
    server->gone = true;
    bst_server_release(server);
}

/* RFC 9110, 5.6.7; made once a second. */
struct bst_view bst_server_date(struct bst_http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t wall_us = bst_wall_us();
    if (wall_us / BST_US_PER_S != server->date_s) {
        struct bst_calendar c;
        bst_calendar_of(wall_us, &c);
        server->date_s = wall_us / BST_US_PER_S;
        snprintf(server->date, sizeof server->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 days + 3 * c.weekday, c.day, months + 3 * (c.month - 1), c.year, c.hour, c.minute,
                 c.second);
    }
    return bst_view(server->date);
}
