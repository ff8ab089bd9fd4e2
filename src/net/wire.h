/* A byte stream to a peer: a socket, with TLS over it or not. */
#pragma once

#include "sys/tcp.h"
#include "tls/tls.h"

struct bst_wire_events {
    /** The handshake is done. Not for plain streams, which are open from the start. */
    void (*on_open)(void *user);
    /** Plaintext; the view lives for the call. */
    void (*on_data)(void *user, struct bst_view data);
    /** No more will come: OK for an end in order (ours may go on), else what broke; with
     * BST_E_HANDSHAKE and the like, bst_tls_failure() knows more. */
    void (*on_end)(void *user, bst_result why);
    /** Everything was taken by the kernel after some of it had to wait. */
    void (*on_drained)(void *user);
};

/** Part of its owner, whose memory must outlive the callback that closes it. */
struct bst_wire {
    struct bst_tcp *tcp; /* NULL: closed */
    struct bst_tls *tls; /* NULL: plain; stays until bst_wire_clear() */
    struct bst_buf plain_out;
    const struct bst_wire_events *events;
    void *user;
    bool open, feeding, end_told;
    bool peer_ended; /* the socket has no more to read */
};

/** Serve a connection that came in; takes `tcp`, also on failure. */
bst_result bst_wire_accept(struct bst_wire *wire, struct bst_tcp **take_tcp,
                           struct bst_tls_server *server, struct bst_view peer,
                           const struct bst_wire_events *events, void *user);
/** Talk on a connection that was dialled; takes `tcp`, also on failure. */
bst_result bst_wire_dial(struct bst_wire *wire, struct bst_tcp **take_tcp,
                         struct bst_tls_client *client, const struct bst_wire_events *events,
                         void *user);
/** Where plaintext to send is collected; then bst_wire_flush(). */
struct bst_buf *bst_wire_out(struct bst_wire *wire);
/** Encrypt what was collected; it leaves at the end of the loop's turn, or `now`. */
void bst_wire_flush(struct bst_wire *wire, bool now);
/** Bytes that the kernel has not taken yet. */
size_t bst_wire_pending(const struct bst_wire *wire);
/** Say goodbye once all is written. */
void bst_wire_shutdown(struct bst_wire *wire);
/** Close the socket; no callback comes any more. */
void bst_wire_close(struct bst_wire *wire);
/** Close, and free the TLS endpoint with all that was known about the peer. */
void bst_wire_clear(struct bst_wire *wire);
