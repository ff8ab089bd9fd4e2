/* What the files of the HTTP client share. */
#pragma once

#include "base/map.h"
#include "net/http_client.h"
#include "net/wire.h"

/** Of a call that names none, and of every dial. */
#define BST_CLIENT_TIMEOUT_MS 30000

/** Everything to one address, under one Host, with one credential. */
struct bst_client_pool {
    struct bst_http_client *client;
    char *address, *host, *key;
    size_t key_len;
    struct bst_tls_client *tls;
    struct bst_list conns;   /* all of them; idle ones in the order of their last use */
    struct bst_list waiting; /* calls without a connection */
    size_t n_conns, refs;    /* refs: connections and calls */
    bool forgotten;
};

struct bst_http_client {
    struct bst_loop *loop;
    struct bst_http_client_config config;
    struct bst_map pools;
    size_t n_conns;
    struct bst_list calls;
    bool ending;
};

struct bst_client_conn {
    struct bst_list link; /* of the pool */
    struct bst_client_pool *pool;
    struct bst_http_client *client;
    struct bst_tcp *dialled; /* until it is connected */
    struct bst_wire wire;
    struct bst_http1_parser *parser;
    struct bst_http_call *call; /* NULL: idle */
    struct bst_timer idle;
    struct bst_task reap;
    bool ready, reused, answer_begun, closed;
};

struct bst_http_call {
    struct bst_list link;      /* of the client */
    struct bst_list wait_link; /* of the pool while it waits */
    struct bst_http_client *client;
    struct bst_client_pool *pool;
    struct bst_client_conn *conn;
    struct bst_buf request;
    bst_http_call_fn done;
    bst_http_open_fn opened; /* no request: only the connection is wanted */
    void *user;
    struct bst_timer deadline;
    struct bst_timer soon;
    bool head, once, retried;
};

void bst_client_pool_release(struct bst_client_pool *pool);
/** Tell the owner how the call ended, and free it. */
void bst_client_end_call(struct bst_http_call *call, bst_result result,
                         const struct bst_http_msg *response, const struct bst_tls_peer *peer,
                         struct bst_tls *endpoint);
/** Give a call a connection: an idle one, a new one, or a place in the queue for one. */
bst_result bst_client_place(struct bst_http_call *call);
/** A connection is gone: there may be room for a call that waits. */
void bst_client_serve_waiting(struct bst_client_pool *pool);
void bst_client_close_conn(struct bst_client_conn *conn);
/** For a call that only wanted the connection: it is there. */
void bst_client_show_endpoint(void *call);
