/* Stream sockets, TCP and unix: listeners, accepted and dialled connections.
 *
 * Addresses are text: "127.0.0.1:8443", "[::1]:0", "unix:/path". A connection belongs to one loop
 * and everything here runs on that loop's thread. */
#pragma once

#include "sys/loop.h"

struct bst_tcp;
struct bst_listener;

/** An endpoint in numbers. */
struct bst_inet {
    uint8_t bytes[16]; /* IPv4 uses the first four */
    uint16_t port;
    uint8_t family; /* 4, 6, or 0 for a unix socket */
};
#define BST_INET_TEXT 64
/** "127.0.0.1:8443", "[::1]:8443" or "unix"; without the port when `with_port` is false. */
void bst_inet_format(const struct bst_inet *ip, bool with_port, char out[BST_INET_TEXT]);
/** Numeric "host:port" only; BST_E_SYNTAX for a name. */
bst_result bst_inet_parse(struct bst_view text, struct bst_inet *ret);
bool bst_inet_is_loopback(const struct bst_inet *ip);
/** Loopback, link-local, unspecified or multicast: nowhere that a stranger may send us. */
bool bst_inet_is_local_scope(const struct bst_inet *ip);

/** Sockets bound to one address, one for each loop. */
struct bst_bound {
    int *fds; /* taken by bst_listener_new(), which leaves -1 */
    size_t n;
    struct bst_inet ip; /* with the real port */
};
/** Bind `n` sockets that share one port.
 *
 * Sharing (SO_REUSEPORT) would let two servers run on one port without a word, so that a plain bind
 * comes first: a port that somebody has is BST_E_EXISTS.
 * For "unix:/path" a stale socket file is replaced, a live one is BST_E_EXISTS, the mode is 0600
 * and all `n` sockets are the same one. */
bst_result bst_bind(const char *address, size_t n, struct bst_bound *ret);
void bst_bound_clear(struct bst_bound *bound);
/** Close a descriptor that was taken and is not needed; leaves -1. */
void bst_socket_close(int *fd);

/** A connection came in; the callee owns it and starts it, or closes it. */
typedef void (*bst_accept_fn)(void *user, struct bst_tcp *tcp);
/** Serve one of the bound sockets; takes the descriptor, also on failure. */
bst_result bst_listener_new(struct bst_loop *loop, int *take_fd, bst_accept_fn accept, void *user,
                            struct bst_listener **ret);
void bst_listener_free(struct bst_listener **listener);

struct bst_tcp_events {
    /** Bytes came; the view lives for the call. */
    void (*on_data)(void *user, struct bst_view data);
    /** No more bytes will come: OK when the peer ended its side in order, else what broke. The
     * connection can still be written to in the first case. */
    void (*on_end)(void *user, bst_result why);
    /** All that was written is in the kernel's hands. May be NULL. */
    void (*on_drained)(void *user);
};

/** May this address be dialled? False ends the attempt with BST_E_DENIED. */
typedef bool (*bst_dial_filter)(void *user, const struct bst_inet *ip);

/** Dial. `on_connect` comes later and exactly once, unless bst_tcp_close() comes before; a name in
 * place of a number is resolved first, and `filter` (may be NULL) judges what is really dialled.
 * BST_E_TIMEOUT after `timeout_ms`. */
bst_result bst_tcp_connect(struct bst_loop *loop, const char *address, int64_t timeout_ms,
                           bst_dial_filter filter,
                           void (*on_connect)(void *user, bst_result result), void *user,
                           struct bst_tcp **ret);
/** Take over a connected socket: socket activation, tests. Takes the descriptor, also on failure.
 */
bst_result bst_tcp_adopt(struct bst_loop *loop, int *take_fd, struct bst_tcp **ret);

/** Begin to read. `events` is borrowed for the connection's life. */
bst_result bst_tcp_start(struct bst_tcp *tcp, const struct bst_tcp_events *events, void *user);
/** Stop or go on reading, against a peer that is faster than we are. */
void bst_tcp_pause(struct bst_tcp *tcp, bool pause);
/** Where output is collected: append, then bst_tcp_flush() or bst_tcp_flush_later(). */
struct bst_buf *bst_tcp_out(struct bst_tcp *tcp);
/** Hand what was collected to the kernel now. */
void bst_tcp_flush(struct bst_tcp *tcp);
/** The same at the end of this turn of the loop, together with whatever is added until then. */
void bst_tcp_flush_later(struct bst_tcp *tcp);
/** Append a copy and flush later. */
void bst_tcp_write(struct bst_tcp *tcp, struct bst_view data);
/** Bytes that the kernel has not taken yet. */
size_t bst_tcp_pending(const struct bst_tcp *tcp);
/** End our side once everything is written. */
void bst_tcp_shutdown(struct bst_tcp *tcp);
/** Close now; unwritten bytes are dropped and no callback comes any more. Safe inside callbacks. */
void bst_tcp_close(struct bst_tcp **tcp);
struct bst_loop *bst_tcp_loop(const struct bst_tcp *tcp);
const struct bst_inet *bst_tcp_peer(const struct bst_tcp *tcp);
/** User id behind a unix socket; -1 for TCP. */
int64_t bst_tcp_peer_uid(const struct bst_tcp *tcp);
