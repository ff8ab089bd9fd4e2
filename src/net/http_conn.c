/* One connection of the server: bytes to requests, the order of answers, and every deadline.
 *
 * Requests of one connection run side by side only when all of them are safe (RFC 9112, 9.3.2); one
 * that changes something waits for those before it, and holds up those after it. */
#include "net/server_priv.h"

#include "sys/clock.h"

#define LINGER_MS 2000
#define LINGER_BYTES ((size_t)256 * 1024)

static const struct bst_http_limits *limits_of(const struct bst_conn *conn)
{
    return &conn->server->shared->limits;
}

static bool is_closed(const struct bst_conn *conn)
{
    return !conn->wire.tcp;
}

/* --- the end ------------------------------------------------------------------------------- */

static void reap(struct bst_task *task)
{
    struct bst_conn *conn = bst_container_of(task, struct bst_conn, reap);
    struct bst_http_server *server = conn->server;
    if (conn->session && server->handler.on_session_end) {
        server->handler.on_session_end(server->handler.ctx, &conn->peer);
    }
    bst_wire_clear(&conn->wire);
    bst_http1_parser_free(&conn->parser);
    bst_buf_wipe(&conn->in);
    bst_free(conn);
    bst_server_release(server);
}

void bst_conn_release(struct bst_conn *conn)
{
    if (--conn->holds == 0) {
        /* Not here: callers further up the stack still look at it. */
        conn->reap.run = reap;
        bst_loop_post(conn->server->loop, &conn->reap);
    }
}

/* Exchanges that no handler has in hands end here; the others when they are answered. */
static void drop_work(struct bst_conn *conn)
{
    struct bst_list *next;
    for (struct bst_list *at = conn->work.next; at != &conn->work; at = next) {
        next = at->next;
        bst_exchange_drop(bst_container_of(at, struct bst_exchange, link));
    }
    conn->blocked = NULL;
}

static void leave(struct bst_conn *conn)
{
    struct bst_http_server *server = conn->server;
    bst_timer_stop(&conn->timer);
    bst_wire_close(&conn->wire);
    bst_list_remove(&conn->link);
    bst_shared_leave(server->shared, &conn->peer.ip);
    bst_count_add(&server->counts.open, (uint64_t)-1);
    drop_work(conn);
    bst_conn_release(conn);
    bst_server_conn_gone(server);
}

void bst_conn_close(struct bst_conn *conn)
{
    if (!is_closed(conn)) {
        leave(conn);
    }
}

/* Say goodbye, but let the peer read what was sent: closing at once would reset the connection and
 * could take the last answer away from it (RFC 9112, 9.6). */
static void linger(struct bst_conn *conn)
{
    if (conn->phase == BST_CONN_LINGER) {
        return;
    }
    bst_wire_shutdown(&conn->wire);
    if (conn->wire.peer_ended && bst_wire_pending(&conn->wire) == 0) {
        bst_conn_close(conn);
        return;
    }
    conn->phase = BST_CONN_LINGER;
    conn->deadline_us = bst_loop_now_us(conn->server->loop) + LINGER_MS * 1000;
    bst_timer_start_at(&conn->timer, conn->deadline_us);
    bst_tcp_pause(conn->wire.tcp, false);
}

/* --- deadlines ----------------------------------------------------------------------------- */

static enum bst_conn_phase phase_of(const struct bst_conn *conn)
{
    if (conn->phase == BST_CONN_LINGER) {
        return BST_CONN_LINGER;
    }
    if (!conn->wire.open) {
        return BST_CONN_HANDSHAKE;
    }
    if (bst_wire_pending(&conn->wire)) {
        return BST_CONN_WRITE;
    }
    if (conn->parser && bst_http1_started(conn->parser)) {
        return bst_http1_in_head(conn->parser) ? BST_CONN_HEAD : BST_CONN_BODY;
    }
    return conn->n_work ? BST_CONN_WORK : BST_CONN_IDLE;
}

static int64_t allowed_ms(const struct bst_conn *conn, enum bst_conn_phase phase)
{
    const struct bst_http_limits *limits = limits_of(conn);
    switch (phase) {
    case BST_CONN_HANDSHAKE:
        return limits->handshake_ms;
    case BST_CONN_IDLE:
        return limits->idle_ms;
    case BST_CONN_HEAD:
        return limits->header_ms;
    case BST_CONN_BODY:
        return limits->body_ms;
    case BST_CONN_WRITE:
        return limits->write_ms;
    case BST_CONN_LINGER:
        return LINGER_MS;
    case BST_CONN_WORK:
        break;
    }
    return 0;
}

/* Deadlines count from the beginning of a phase, not from the last byte: a peer that drips gains
 * nothing. The timer is only moved when it would ring too late. */
static void settle(struct bst_conn *conn)
{
    if (is_closed(conn)) {
        return;
    }
    enum bst_conn_phase phase = phase_of(conn);
    if (phase != conn->phase || conn->n_messages != conn->phase_message) {
        int64_t ms = allowed_ms(conn, phase);
        conn->phase = phase;
        conn->phase_message = conn->n_messages;
        conn->deadline_us = ms ? bst_loop_now_us(conn->server->loop) + ms * 1000 : 0;
    }
    bool late = !conn->timer.armed || conn->timer.due_us > conn->deadline_us;
    if (conn->deadline_us && late) {
        bst_timer_start_at(&conn->timer, conn->deadline_us);
    }
}

static void refuse(struct bst_conn *conn, int status, const char *why);

static void on_deadline(void *user)
{
    struct bst_conn *conn = user;
    if (!conn->deadline_us) {
        return;
    }
    if (phase_of(conn) != conn->phase) {
        settle(conn); /* its output has left in the meantime */
        return;
    }
    if (bst_loop_now_us(conn->server->loop) < conn->deadline_us) {
        bst_timer_start_at(&conn->timer, conn->deadline_us);
        return;
    }
    bool expected = conn->phase == BST_CONN_IDLE || conn->phase == BST_CONN_LINGER;
    bst_count_add(&conn->server->counts.timeouts, !expected);
    switch (conn->phase) {
    case BST_CONN_HEAD:
    case BST_CONN_BODY:
        refuse(conn, 408,
               conn->phase == BST_CONN_HEAD ? "head came too slowly" : "body came too slowly");
        bst_conn_advance(conn);
        break;
    case BST_CONN_IDLE:
        linger(conn);
        break;
    default:
        bst_conn_close(conn);
    }
}

/* --- requests ------------------------------------------------------------------------------ */

static void refuse(struct bst_conn *conn, int status, const char *why)
{
    const struct bst_http_server *server = conn->server;
    conn->closing = true;
    conn->refusal = status;
    bst_count(&conn->server->counts.bad_requests);
    if (server->handler.on_refused) {
        server->handler.on_refused(server->handler.ctx, &conn->peer, status, why);
    }
}

static bool may_take_more(const struct bst_conn *conn)
{
    const struct bst_http_limits *limits = limits_of(conn);
    return !is_closed(conn) && !conn->closing && !conn->blocked && !conn->unsafe_running &&
           conn->n_work < limits->pipelined &&
           bst_wire_pending(&conn->wire) <= limits->pending_bytes;
}

/* How long one connection may take requests that are answered at once while others wait. */
#define TURN_US 5000

static void go_on(struct bst_task *task)
{
    struct bst_conn *conn = bst_container_of(task, struct bst_conn, again);
    conn->posted = false;
    bst_conn_advance(conn);
    bst_conn_release(conn);
}

static void begin_turn(struct bst_conn *conn)
{
    conn->turn_ends_us = bst_mono_us() + TURN_US;
}

/* Its turn is over: the others first. */
static bool turn_is_over(struct bst_conn *conn)
{
    if (!conn->posted && bst_mono_us() > conn->turn_ends_us) {
        conn->posted = true;
        conn->holds++;
        conn->again.run = go_on;
        bst_loop_post(conn->server->loop, &conn->again);
    }
    return conn->posted;
}

static void run_exchange(struct bst_conn *conn, struct bst_exchange *ex)
{
    struct bst_http_server *server = conn->server;
    ex->running = true;
    conn->n_running++;
    conn->unsafe_running = !ex->safe;
    server->handler.on_request(server->handler.ctx, &ex->x);
}

static void run_or_block(struct bst_conn *conn, struct bst_exchange *ex)
{
    if (ex->safe || conn->n_running == 0) {
        run_exchange(conn, ex);
    } else {
        conn->blocked = ex;
    }
}

static void take_request(struct bst_conn *conn)
{
    struct bst_exchange *ex;
    conn->n_messages++;
    bst_count(&conn->server->counts.requests);
    if (bst_failed(bst_exchange_new(conn, &ex))) {
        refuse(conn, 503, "out of memory");
        return;
    }
    if (!ex->keep_alive) {
        conn->closing = true; /* RFC 9112, 9.6: what follows is not processed */
    }
    run_or_block(conn, ex);
}

static void maybe_continue(struct bst_conn *conn)
{
    /* Between the answers to others it would be taken for one of them. */
    if (bst_http1_wants_continue(conn->parser) && conn->n_work == 0) {
        bst_buf_addv(bst_wire_out(&conn->wire), BST_VIEW("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

/* Take requests out of `data` as long as more may be taken; returns what is left. */
static struct bst_view consume(struct bst_conn *conn, struct bst_view data)
{
    while (data.len && may_take_more(conn) && !turn_is_over(conn)) {
        size_t used;
        enum bst_http1_event event = bst_http1_feed(conn->parser, data, &used);
        data = bst_view_from(data, used);
        if (event == BST_HTTP1_MESSAGE) {
            take_request(conn);
        } else if (event == BST_HTTP1_ERROR) {
            refuse(conn, bst_http1_error_status(conn->parser), bst_http1_error_text(conn->parser));
        } else {
            maybe_continue(conn);
        }
    }
    return data;
}

static bool keep_for_later(struct bst_conn *conn, struct bst_view data)
{
    bst_buf_addv(&conn->in, data);
    return !conn->in.failed;
}

/* Bytes that came while others had to be finished first. */
static void consume_kept(struct bst_conn *conn)
{
    bst_auto(buf) kept = conn->in;
    conn->in = (struct bst_buf){0};
    struct bst_view left = consume(conn, bst_buf_view(&kept));
    if (!is_closed(conn) && !conn->closing && left.len && !keep_for_later(conn, left)) {
        bst_conn_close(conn);
    }
}

/* Everything that may have become possible, in order; then output and deadlines. */
void bst_conn_advance(struct bst_conn *conn)
{
    if (conn->busy || is_closed(conn)) {
        return;
    }
    conn->busy = true;
    bst_exchange_write_ready(conn);
    if (conn->blocked && conn->n_running == 0) {
        struct bst_exchange *ex = conn->blocked;
        conn->blocked = NULL;
        run_exchange(conn, ex);
    }
    begin_turn(conn);
    while (conn->in.len && may_take_more(conn) && !conn->posted) {
        consume_kept(conn);
    }
    conn->busy = false;
    if (is_closed(conn)) {
        return;
    }
    bool all_answered = conn->n_work == 0;
    if (conn->refusal && all_answered) {
        bst_exchange_refuse(conn, conn->refusal);
        conn->refusal = 0;
    }
    /* While more answers may follow in this turn, one write is to carry them all. */
    bst_wire_flush(&conn->wire, all_answered);
    bool no_more = conn->closing || (conn->peer_ended && conn->in.len == 0);
    if (all_answered && no_more) {
        linger(conn);
    }
    if (is_closed(conn)) {
        return;
    }
    if (conn->phase != BST_CONN_LINGER) {
        bst_tcp_pause(conn->wire.tcp, conn->in.len > 0 || conn->closing);
    }
    settle(conn);
}

static void on_data(void *user, struct bst_view data)
{
    struct bst_conn *conn = user;
    bst_count_add(&conn->server->counts.bytes_in, data.len);
    if (conn->phase == BST_CONN_LINGER || conn->closing) {
        conn->lingered_bytes += data.len;
        if (conn->lingered_bytes > LINGER_BYTES) {
            bst_conn_close(conn);
        }
        return;
    }
    if (!conn->parser &&
        bst_failed(bst_http1_parser_new(false, &limits_of(conn)->message, &conn->parser))) {
        bst_conn_close(conn);
        return;
    }
    conn->busy = true;
    begin_turn(conn);
    bool kept = true;
    if (conn->in.len) {
        kept = keep_for_later(conn, data);
    } else {
        struct bst_view left = consume(conn, data);
        kept = is_closed(conn) || conn->closing || !left.len || keep_for_later(conn, left);
    }
    conn->busy = false;
    if (!kept) {
        bst_conn_close(conn);
        return;
    }
    bst_conn_advance(conn);
}

/* --- the transport ------------------------------------------------------------------------- */

static bst_result begin_session(struct bst_conn *conn)
{
    const struct bst_http_handler *handler = &conn->server->handler;
    if (conn->wire.tls) {
        conn->peer.endpoint = conn->wire.tls;
        conn->peer.tls = bst_tls_peer(conn->wire.tls);
    }
    if (handler->on_session) {
        BST_TRY(handler->on_session(handler->ctx, &conn->peer));
    }
    conn->session = true;
    return BST_OK;
}

static void on_open(void *user)
{
    struct bst_conn *conn = user;
    bst_count(&conn->server->counts.handshakes);
    if (bst_failed(begin_session(conn))) {
        bst_conn_close(conn);
        return;
    }
    settle(conn);
}

static void report_handshake(struct bst_conn *conn)
{
    const struct bst_http_handler *handler = &conn->server->handler;
    bst_count(&conn->server->counts.handshakes_failed);
    if (handler->on_handshake_failed) {
        handler->on_handshake_failed(handler->ctx, &conn->peer, bst_tls_failure(conn->wire.tls));
    }
}

static void on_end(void *user, bst_result why)
{
    struct bst_conn *conn = user;
    if (!conn->wire.open && conn->wire.tls) {
        report_handshake(conn);
        linger(conn); /* the alert */
        return;
    }
    if (bst_failed(why) || conn->phase == BST_CONN_LINGER) {
        bst_conn_close(conn);
        return;
    }
    /* It may have ended its side and still wait for answers. */
    conn->peer_ended = true;
    if (conn->n_work == 0 && conn->in.len == 0 && bst_wire_pending(&conn->wire) == 0) {
        bst_conn_close(conn);
        return;
    }
    bst_conn_advance(conn);
}

static void on_drained(void *user)
{
    struct bst_conn *conn = user;
    if (conn->phase == BST_CONN_LINGER && conn->wire.peer_ended) {
        bst_conn_close(conn);
        return;
    }
    bst_conn_advance(conn);
}

static const struct bst_wire_events events = {on_open, on_data, on_end, on_drained};

void bst_conn_drain(struct bst_conn *conn)
{
    bool quiet = conn->n_work == 0 && conn->in.len == 0 && bst_wire_pending(&conn->wire) == 0 &&
                 !(conn->parser && bst_http1_started(conn->parser));
    if (!conn->wire.open) {
        bst_conn_close(conn);
    } else if (quiet) {
        linger(conn);
    }
    /* Otherwise the next answer says that it is the last. */
}

static void set_up_peer(struct bst_conn *conn, const struct bst_tcp *tcp)
{
    struct bst_net_peer *peer = &conn->peer;
    peer->ip = *bst_tcp_peer(tcp);
    peer->uid = bst_tcp_peer_uid(tcp);
    peer->session_id = atomic_fetch_add(&conn->server->shared->last_session, 1) + 1;
    bst_inet_format(&peer->ip, true, conn->address);
    bst_inet_format(&peer->ip, false, conn->host);
    peer->address = bst_view(conn->address);
    peer->host = bst_view(conn->host);
}

static struct bst_conn *new_conn(struct bst_http_server *server, const struct bst_tcp *tcp)
{
    struct bst_conn *conn = bst_alloc(sizeof *conn);
    if (conn) {
        conn->server = server;
        conn->holds = 1;
        bst_list_init(&conn->work);
        bst_timer_init(server->loop, &conn->timer, on_deadline, conn);
        set_up_peer(conn, tcp);
    }
    return conn;
}

static void enter_server(struct bst_conn *conn)
{
    struct bst_http_server *server = conn->server;
    bst_list_append(&server->conns, &conn->link);
    pthread_mutex_lock(&server->shared->lock);
    server->holds++;
    pthread_mutex_unlock(&server->shared->lock);
    bst_count(&server->counts.accepted);
    bst_count(&server->counts.open);
}

static bool admit(struct bst_http_server *server, const struct bst_inet *ip)
{
    bst_result result = bst_shared_enter(server->shared, ip);
    if (bst_failed(result)) {
        bst_count(result.code == BST_E_BUSY ? &server->counts.refused_peer
                                            : &server->counts.refused_full);
    }
    return !bst_failed(result);
}

void bst_conn_accept(struct bst_http_server *server, struct bst_tcp *tcp)
{
    struct bst_inet ip = *bst_tcp_peer(tcp);
    if (!admit(server, &ip)) {
        bst_tcp_close(&tcp);
        return;
    }
    struct bst_conn *conn = new_conn(server, tcp);
    if (!conn) {
        bst_shared_leave(server->shared, &ip);
        bst_tcp_close(&tcp);
        return;
    }
    enter_server(conn);
    bst_result result =
        bst_wire_accept(&conn->wire, &tcp, server->tls, conn->peer.address, &events, conn);
    if (!bst_failed(result) && !conn->wire.tls) {
        result = begin_session(conn);
    }
    conn->phase = BST_CONN_WORK; /* none of those that begin now */
    if (bst_failed(result)) {
        leave(conn);
    } else {
        settle(conn);
    }
}
