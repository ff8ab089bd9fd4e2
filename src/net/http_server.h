/* HTTP/1.1 server over TCP, unix sockets and TLS: one instance per loop, joined by a shared part.
 */
#pragma once

#include "proto/http1/http1.h"
#include "sys/tcp.h"

struct bst_tls;
struct bst_tls_server;
struct bst_tls_peer;
struct bst_tls_failure;
struct bst_http_server;
struct bst_http_shared;

struct bst_http_limits {
    size_t connections;          /* whole process */
    size_t connections_per_peer; /* whole process; an IPv4 address or an IPv6 /64; 0: no limit */
    size_t pipelined;            /* safe requests of one connection in work at once */
    size_t pending_bytes;        /* unsent answer bytes above which a connection is not read */
    struct bst_http1_limits message;
    int64_t handshake_ms, header_ms, body_ms, idle_ms, write_ms; /* absolute, from their start */
    int64_t drain_ms;
};
/** 4096 connections, 256 a peer, 4 pipelined, 10 s handshake and header, 30 s body and write,
 * 60 s idle, 5 s drain. */
struct bst_http_limits bst_http_limits_default(void);

/** Who is on the other side; lives as long as the connection or any of its exchanges. */
struct bst_net_peer {
    struct bst_view address; /* "ip:port" or "unix" */
    struct bst_view host;    /* the same without the port */
    struct bst_inet ip;
    int64_t uid;                    /* behind a unix socket, else -1 */
    const struct bst_tls_peer *tls; /* NULL: plain */
    struct bst_tls *endpoint;       /* for key export; NULL: plain */
    uint64_t session_id;            /* unique in the process */
    void *association;              /* the owner of on_session() sets and frees it */
};

/** One request on its way to an answer. Everything here lives until bst_http_exchange_answer(). */
struct bst_http_exchange {
    struct bst_http_msg req;
    struct bst_arena *arena; /* for whatever the request needs */
    struct bst_net_peer *peer;
    int64_t start_us; /* monotonic */
    void *user;       /* the handler's */
};

struct bst_http_handler {
    /** Answer now or later, on this loop; every exchange must be answered exactly once. */
    void (*on_request)(void *ctx, struct bst_http_exchange *x);
    /** The peer is known (after the handshake): a failure closes the connection. May be NULL. */
    bst_result (*on_session)(void *ctx, struct bst_net_peer *peer);
    /** The connection and all its exchanges are over. Comes once for each good on_session. */
    void (*on_session_end)(void *ctx, struct bst_net_peer *peer);
    /** A handshake failed, for the one log line it deserves. May be NULL. */
    void (*on_handshake_failed)(void *ctx, const struct bst_net_peer *peer,
                                const struct bst_tls_failure *why);
    /** A request was refused before it became one. May be NULL. */
    void (*on_refused)(void *ctx, const struct bst_net_peer *peer, int status, const char *why);
    void *ctx;
};

struct bst_http_stats {
    uint64_t accepted, refused_full, refused_peer; /* connections */
    uint64_t handshakes, handshakes_failed;
    uint64_t requests, responses_by_class[6]; /* [2] = 2xx */
    uint64_t bad_requests, timeouts, closed_revoked;
    uint64_t bytes_in, bytes_out;
    uint64_t open, in_work; /* now */
};

/** What the instances of one process share: limits and counts. */
bst_result bst_http_shared_new(const struct bst_http_limits *limits, struct bst_http_shared **ret);
/** After the last instance is gone. */
void bst_http_shared_free(struct bst_http_shared **shared);
/** Sum over all instances, living and gone. From any thread. */
void bst_http_shared_stats(struct bst_http_shared *shared, struct bst_http_stats *ret);
/** Close every session that `match` names, on all loops: a credential was revoked.
 *
 * From any thread; returns at once. `match` runs on each loop's thread, then `done` (may be NULL)
 * once on the last of them, when `ctx` may go. Without any instance `done` runs in the call. */
bst_result bst_http_close_where(struct bst_http_shared *shared,
                                bool (*match)(void *ctx, const struct bst_net_peer *peer),
                                void (*done)(void *ctx), void *ctx);

/** Serve one bound socket on one loop; takes the descriptor, also on failure. `tls` NULL: plain.
 * `tls` and `handler->ctx` are borrowed for the server's life. */
bst_result bst_http_server_new(struct bst_loop *loop, int *take_fd, struct bst_http_shared *shared,
                               struct bst_tls_server *tls, const struct bst_http_handler *handler,
                               struct bst_http_server **ret);
/** Stop accepting, close idle connections, let running requests end, then call `done`; what is left
 * after drain_ms is closed hard. On the loop's thread, once. */
void bst_http_server_drain(struct bst_http_server *server, void (*done)(void *ctx), void *ctx);
/** Close everything now. On the loop's thread. Exchanges not answered yet may still be answered
 * while the loop lives; the memory goes with the last of them. */
void bst_http_server_free(struct bst_http_server **server);

/** Answer an exchange; it and its arena are gone afterwards. A peer that left does no harm.
 * Date and Content-Length are added; a header that cannot be sent turns the answer into a 500. */
void bst_http_exchange_answer(struct bst_http_exchange *x, int status,
                              const struct bst_http_header *headers, size_t n,
                              struct bst_view body);
/** Close the connection after this answer. */
void bst_http_exchange_close_after(struct bst_http_exchange *x);
struct bst_loop *bst_http_exchange_loop(const struct bst_http_exchange *x);
