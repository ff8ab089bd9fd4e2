/* What the files of the HTTP server share. */
#pragma once

#include "base/map.h"
#include "net/http_server.h"
#include "net/wire.h"

#include <pthread.h>
#include <stdatomic.h>

/** Counted by one thread, read by any. */
struct bst_http_counts {
    _Atomic uint64_t accepted, refused_full, refused_peer, handshakes, handshakes_failed, requests;
    _Atomic uint64_t responses_by_class[6], bad_requests, timeouts, closed_revoked;
    _Atomic uint64_t bytes_in, bytes_out, open, in_work;
};
static inline void bst_count_add(_Atomic uint64_t *count, uint64_t n)
{
    /* One writer: no locked instruction needed. */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void bst_count(_Atomic uint64_t *count)
{
    bst_count_add(count, 1);
}

struct bst_http_shared {
    struct bst_http_limits limits;
    pthread_mutex_t lock;
    struct bst_list servers;
    struct bst_map peers; /* address -> number of connections */
    size_t connections;
    struct bst_http_stats retired; /* of servers that are gone */
    _Atomic uint64_t last_session;
};

struct bst_http_server {
    struct bst_list link; /* of shared->servers */
    struct bst_loop *loop;
    struct bst_http_shared *shared;
    struct bst_tls_server *tls;
    struct bst_http_handler handler;
    struct bst_listener *listener;
    struct bst_list conns;
    struct bst_http_counts counts;
    struct bst_exchange *spare; /* finished exchanges, each with an arena block */
    size_t n_spare;
    size_t holds; /* the owner's, one a connection, one a letter under way */
    int64_t date_s;
    char date[96];
    bool draining, gone;
    struct bst_timer drain_timer;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

enum bst_conn_phase {
    BST_CONN_HANDSHAKE,
    BST_CONN_IDLE,
    BST_CONN_HEAD,
    BST_CONN_BODY,
    BST_CONN_WORK, /* the handler's time */
    BST_CONN_WRITE,
    BST_CONN_LINGER, /* all is said; the peer may still read */
};

struct bst_conn {
    struct bst_http_server *server;
    struct bst_list link; /* of server->conns while the socket is open */
    struct bst_wire wire;
    struct bst_http1_parser *parser;
    struct bst_buf in;    /* came while no more requests could be taken */
    struct bst_list work; /* exchanges in the order of their requests */
    size_t n_work, n_running;
    bool unsafe_running;
    struct bst_exchange *blocked; /* the last one: waits until the others are answered */
    struct bst_net_peer peer;
    char address[BST_INET_TEXT], host[BST_INET_TEXT];
    struct bst_timer timer;
    enum bst_conn_phase phase;
    uint64_t phase_message; /* n_messages when the phase began */
    uint64_t n_messages;
    int64_t deadline_us;
    size_t lingered_bytes;
    int refusal;  /* status to answer when all work is done; then close */
    size_t holds; /* the socket, one an exchange */
    struct bst_task reap, again;
    int64_t turn_ends_us; /* while taking requests */
    bool session, closing, peer_ended, busy, posted;
};

struct bst_exchange {
    struct bst_http_exchange x; /* first: what the handler sees */
    struct bst_arena arena;
    struct bst_conn *conn;
    struct bst_http_server *server;
    struct bst_list link;
    struct bst_view body; /* of the request, to be wiped */
    struct bst_buf out;   /* answered before its turn */
    struct bst_exchange *next_spare;
    bool running, answered, safe, head, keep_alive;
};

/** Count a connection in; BST_E_LIMIT or BST_E_BUSY (the peer's own limit). */
bst_result bst_shared_enter(struct bst_http_shared *shared, const struct bst_inet *ip);
void bst_shared_leave(struct bst_http_shared *shared, const struct bst_inet *ip);
void bst_shared_add(struct bst_http_shared *shared, struct bst_http_server *server);
void bst_shared_remove(struct bst_http_shared *shared, struct bst_http_server *server);

/** Free the server with the last hold. */
void bst_server_release(struct bst_http_server *server);
/** A connection left the server: it may be drained now. */
void bst_server_conn_gone(struct bst_http_server *server);
struct bst_view bst_server_date(struct bst_http_server *server);

/** Begin with a connection that came in; takes `tcp`. */
void bst_conn_accept(struct bst_http_server *server, struct bst_tcp *tcp);
void bst_conn_close(struct bst_conn *conn);
/** Close when nothing is under way, else after what is. */
void bst_conn_drain(struct bst_conn *conn);
/** One exchange less; the memory goes with the last hold. */
void bst_conn_release(struct bst_conn *conn);
/** After an answer, or when output has drained: go on with what waits. */
void bst_conn_advance(struct bst_conn *conn);

/** A request is in the parser: make it an exchange at the end of the connection's work. */
bst_result bst_exchange_new(struct bst_conn *conn, struct bst_exchange **ret);
/** The peer is gone: the exchange goes too, unless a handler has it. */
void bst_exchange_drop(struct bst_exchange *ex);
/** Write what was answered ahead of its turn and now has it. */
void bst_exchange_write_ready(struct bst_conn *conn);
/** Answer without an exchange: a request that never became one. */
void bst_exchange_refuse(struct bst_conn *conn, int status);
