/* Moves bytes between a socket and a TLS endpoint, and tells the owner what comes of it. */
#include "net/wire.h"

static void push_ciphertext(struct bst_wire *stream)
{
    struct bst_view out = bst_tls_out(stream->tls);
    if (out.len && stream->tcp) {
        bst_tcp_write(stream->tcp, out);
        bst_tls_consumed(stream->tls, out.len);
    }
}

static void tell_end(struct bst_wire *stream, bst_result why)
{
    if (!stream->end_told) {
        stream->end_told = true;
        stream->events->on_end(stream->user, why);
    }
}

static void tell_plaintext(struct bst_wire *stream)
{
    bst_auto(buf) plain = {0};
    bst_result result = bst_tls_read(stream->tls, &plain);
    if (bst_failed(result)) {
        tell_end(stream, result);
    } else if (plain.len) {
        stream->events->on_data(stream->user, bst_buf_view(&plain));
    }
}

static void tell_failure(struct bst_wire *stream)
{
    const struct bst_tls_failure *why = bst_tls_failure(stream->tls);
    enum bst_error code = why->code == BST_E_NONE ? BST_E_HANDSHAKE : why->code;
    bst_tcp_flush(stream->tcp); /* the alert */
    tell_end(stream, bst_error_detailed(code, "%s: %s", why->step ? why->step : "", why->reason));
}

/* After anything that may have moved the endpoint. */
static void look(struct bst_wire *stream)
{
    push_ciphertext(stream);
    enum bst_tls_state state = bst_tls_state(stream->tls);
    bool readable = state == BST_TLS_OPEN || state == BST_TLS_CLOSED;
    if (readable && !stream->open) {
        stream->open = true;
        stream->events->on_open(stream->user);
    }
    if (readable && stream->tcp) {
        tell_plaintext(stream);
    }
    if (!stream->tcp) {
        return;
    }
    if (state == BST_TLS_FAILED) {
        tell_failure(stream);
    } else if (state == BST_TLS_CLOSED) {
        tell_end(stream, BST_OK);
    }
}

static void on_progress(void *user)
{
    struct bst_wire *stream = user;
    if (!stream->feeding && stream->tcp) {
        look(stream);
    }
}

static void on_tcp_data(void *user, struct bst_view data)
{
    struct bst_wire *stream = user;
    if (!stream->tls) {
        stream->events->on_data(stream->user, data);
        return;
    }
    stream->feeding = true;
    /* A failure shows in the state. */
    (void)bst_failed(bst_tls_feed(stream->tls, data));
    stream->feeding = false;
    look(stream);
}

static void on_tcp_end(void *user, bst_result why)
{
    struct bst_wire *stream = user;
    bst_result result = why;
    stream->peer_ended = true;
    /* An end in order may have been told before the connection broke. */
    stream->end_told = stream->end_told && !bst_failed(why);
    if (stream->tls) {
        stream->feeding = true;
        result = bst_tls_feed_eof(stream->tls);
        stream->feeding = false;
        look(stream);
    }
    if (stream->tcp) {
        tell_end(stream, bst_failed(why) ? why : result);
    }
}

static void on_tcp_drained(void *user)
{
    struct bst_wire *stream = user;
    stream->events->on_drained(stream->user);
}

static const struct bst_tcp_events tcp_events = {on_tcp_data, on_tcp_end, on_tcp_drained};

static bst_result start(struct bst_wire *stream, struct bst_tcp **take_tcp,
                        const struct bst_wire_events *events, void *user)
{
    stream->tcp = bst_steal(take_tcp);
    stream->events = events;
    stream->user = user;
    stream->open = !stream->tls;
    if (stream->tls) {
        bst_tls_on_progress(stream->tls, on_progress, stream);
        push_ciphertext(stream); /* a client speaks first */
    }
    return bst_tcp_start(stream->tcp, &tcp_events, stream);
}

bst_result bst_wire_accept(struct bst_wire *stream, struct bst_tcp **take_tcp,
                           struct bst_tls_server *server, struct bst_view peer,
                           const struct bst_wire_events *events, void *user)
{
    *stream = (struct bst_wire){0};
    bst_result result = server ? bst_tls_accept(server, peer, &stream->tls) : BST_OK;
    if (bst_failed(result)) {
        bst_tcp_close(take_tcp);
        return result;
    }
    return start(stream, take_tcp, events, user);
}

bst_result bst_wire_dial(struct bst_wire *stream, struct bst_tcp **take_tcp,
                         struct bst_tls_client *client, const struct bst_wire_events *events,
                         void *user)
{
    *stream = (struct bst_wire){0};
    bst_result result = client ? bst_tls_connect(client, &stream->tls) : BST_OK;
    if (bst_failed(result)) {
        bst_tcp_close(take_tcp);
        return result;
    }
    return start(stream, take_tcp, events, user);
}

struct bst_buf *bst_wire_out(struct bst_wire *stream)
{
    return stream->tls ? &stream->plain_out : bst_tcp_out(stream->tcp);
}

static void encrypt(struct bst_wire *stream)
{
    bool ok = !stream->plain_out.failed &&
              !bst_failed(bst_tls_write(stream->tls, bst_buf_view(&stream->plain_out)));
    bst_buf_clear(&stream->plain_out);
    if (!ok) {
        /* Bytes are missing in the stream: nothing after them may be sent. */
        bst_tcp_out(stream->tcp)->failed = true;
    }
    push_ciphertext(stream);
}

void bst_wire_flush(struct bst_wire *stream, bool now)
{
    if (!stream->tcp) {
        return;
    }
    if (stream->plain_out.len || stream->plain_out.failed) {
        encrypt(stream);
    }
    if (now) {
        bst_tcp_flush(stream->tcp);
    } else {
        bst_tcp_flush_later(stream->tcp);
    }
}

size_t bst_wire_pending(const struct bst_wire *stream)
{
    return stream->tcp ? bst_tcp_pending(stream->tcp) + stream->plain_out.len : 0;
}

void bst_wire_shutdown(struct bst_wire *stream)
{
    if (!stream->tcp) {
        return;
    }
    bst_wire_flush(stream, false);
    if (stream->tls && stream->open) {
        bst_tls_close(stream->tls);
        push_ciphertext(stream);
    }
    bst_tcp_shutdown(stream->tcp);
}

void bst_wire_close(struct bst_wire *stream)
{
    bst_tcp_close(&stream->tcp);
    bst_buf_wipe(&stream->plain_out);
}

void bst_wire_clear(struct bst_wire *stream)
{
    bst_wire_close(stream);
    bst_tls_free(&stream->tls);
}
