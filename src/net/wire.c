/* Moves bytes between a socket and a TLS endpoint, and tells the owner what comes of it. */
#include "net/wire.h"

#include "base/map.h"

static void push_ciphertext(struct bst_wire *wire)
{
    struct bst_view out = bst_tls_out(wire->tls);
    if (out.len && wire->tcp) {
        bst_tcp_write(wire->tcp, out);
        bst_tls_consumed(wire->tls, out.len);
    }
}

static void tell_end(struct bst_wire *wire, bst_result why)
{
    if (!wire->end_told) {
        wire->end_told = true;
        wire->events->on_end(wire->user, why);
    }
}

static void tell_plaintext(struct bst_wire *wire)
{
    bst_auto(buf) plain = {0};
    bst_result result = bst_tls_read(wire->tls, &plain);
    if (bst_failed(result)) {
        tell_end(wire, result);
    } else if (plain.len) {
        wire->events->on_data(wire->user, bst_buf_view(&plain));
        bst_wipe(plain.ptr, plain.len); /* keys travel in bodies: TS-0003 8.3.5 */
    }
}

static void tell_failure(struct bst_wire *wire)
{
    const struct bst_tls_failure *why = bst_tls_failure(wire->tls);
    enum bst_error code = why->code == BST_E_NONE ? BST_E_HANDSHAKE : why->code;
    bst_tcp_flush(wire->tcp); /* the alert */
    tell_end(wire, bst_error_detailed(code, "%s: %s", why->step ? why->step : "", why->reason));
}

/* After anything that may have moved the endpoint. */
static void look(struct bst_wire *wire)
{
    push_ciphertext(wire);
    enum bst_tls_state state = bst_tls_state(wire->tls);
    bool readable = state == BST_TLS_OPEN || state == BST_TLS_CLOSED;
    if (readable && !wire->open) {
        wire->open = true;
        wire->events->on_open(wire->user);
    }
    if (readable && wire->tcp) {
        tell_plaintext(wire);
    }
    if (!wire->tcp) {
        return;
    }
    if (state == BST_TLS_FAILED) {
        tell_failure(wire);
    } else if (state == BST_TLS_CLOSED) {
        tell_end(wire, BST_OK);
    }
}

static void on_progress(void *user)
{
    struct bst_wire *wire = user;
    if (!wire->feeding && wire->tcp) {
        look(wire);
    }
}

static void on_tcp_data(void *user, struct bst_view data)
{
    struct bst_wire *wire = user;
    if (!wire->tls) {
        wire->events->on_data(wire->user, data);
        return;
    }
    wire->feeding = true;
    /* A failure shows in the state. */
    (void)bst_failed(bst_tls_feed(wire->tls, data));
    wire->feeding = false;
    look(wire);
}

static void on_tcp_end(void *user, bst_result why)
{
    struct bst_wire *wire = user;
    bst_result result = why;
    wire->peer_ended = true;
    /* An end in order may have been told before the connection broke. */
    wire->end_told = wire->end_told && !bst_failed(why);
    if (wire->tls) {
        wire->feeding = true;
        result = bst_tls_feed_eof(wire->tls);
        wire->feeding = false;
        look(wire);
    }
    if (wire->tcp) {
        tell_end(wire, bst_failed(why) ? why : result);
    }
}

static void on_tcp_drained(void *user)
{
    struct bst_wire *wire = user;
    wire->events->on_drained(wire->user);
}

static const struct bst_tcp_events tcp_events = {on_tcp_data, on_tcp_end, on_tcp_drained};

/* A letter to an endpoint is one to its loop. */
_Static_assert(sizeof(struct bst_task) <= sizeof(((struct bst_tls_letter *)0)->room),
               "a task fits into a letter");

static void deliver(struct bst_task *task)
{
    struct bst_tls_letter *letter = bst_container_of((void *)task, struct bst_tls_letter, room);
    letter->run(letter);
}

static void carry(void *user, struct bst_tls_letter *letter)
{
    struct bst_loop *loop = user;
    struct bst_task *task = (struct bst_task *)(void *)letter->room;
    task->run = deliver;
    bst_loop_post(loop, task);
}

static bst_result start(struct bst_wire *wire, struct bst_tcp **take_tcp,
                        const struct bst_wire_events *events, void *user)
{
    wire->tcp = bst_steal(take_tcp);
    wire->events = events;
    wire->user = user;
    wire->open = !wire->tls;
    if (wire->tls) {
        bst_tls_on_progress(wire->tls, on_progress, wire);
        push_ciphertext(wire); /* a client speaks first */
    }
    return bst_tcp_start(wire->tcp, &tcp_events, wire);
}

bst_result bst_wire_accept(struct bst_wire *wire, struct bst_tcp **take_tcp,
                           struct bst_tls_server *server, struct bst_view peer,
                           const struct bst_wire_events *events, void *user)
{
    *wire = (struct bst_wire){0};
    bst_result result = server ? bst_tls_accept(server, peer, &wire->tls) : BST_OK;
    if (bst_failed(result)) {
        bst_tcp_close(take_tcp);
        return result;
    }
    if (wire->tls) {
        bst_tls_may_wait(wire->tls, carry, bst_tcp_loop(*take_tcp));
    }
    return start(wire, take_tcp, events, user);
}

bst_result bst_wire_dial(struct bst_wire *wire, struct bst_tcp **take_tcp,
                         struct bst_tls_client *client, const struct bst_wire_events *events,
                         void *user)
{
    *wire = (struct bst_wire){0};
    bst_result result =
        client ? bst_tls_connect_apart(client, carry, bst_tcp_loop(*take_tcp), &wire->tls) : BST_OK;
    if (bst_failed(result)) {
        bst_tcp_close(take_tcp);
        return result;
    }
    return start(wire, take_tcp, events, user);
}

struct bst_buf *bst_wire_out(struct bst_wire *wire)
{
    return wire->tls ? &wire->plain_out : bst_tcp_out(wire->tcp);
}

static void encrypt(struct bst_wire *wire)
{
    bool ok = !wire->plain_out.failed &&
              !bst_failed(bst_tls_write(wire->tls, bst_buf_view(&wire->plain_out)));
    bst_wipe(wire->plain_out.ptr, wire->plain_out.len);
    bst_buf_clear(&wire->plain_out);
    if (!ok) {
        /* Bytes are missing in the stream: nothing after them may be sent. */
        bst_tcp_out(wire->tcp)->failed = true;
    }
    push_ciphertext(wire);
}

void bst_wire_flush(struct bst_wire *wire, bool now)
{
    if (!wire->tcp) {
        return;
    }
    if (wire->plain_out.len || wire->plain_out.failed) {
        encrypt(wire);
    }
    if (now) {
        bst_tcp_flush(wire->tcp);
    } else {
        bst_tcp_flush_later(wire->tcp);
    }
}

size_t bst_wire_pending(const struct bst_wire *wire)
{
    return wire->tcp ? bst_tcp_pending(wire->tcp) + wire->plain_out.len : 0;
}

void bst_wire_shutdown(struct bst_wire *wire)
{
    if (!wire->tcp) {
        return;
    }
    bst_wire_flush(wire, false);
    if (wire->tls && wire->open) {
        bst_tls_close(wire->tls);
        push_ciphertext(wire);
    }
    bst_tcp_shutdown(wire->tcp);
}

void bst_wire_close(struct bst_wire *wire)
{
    bst_tcp_close(&wire->tcp);
    bst_buf_wipe(&wire->plain_out);
}

void bst_wire_clear(struct bst_wire *wire)
{
    bst_wire_close(wire);
    bst_tls_free(&wire->tls);
}
