/* HTTP/1.1 client with kept connections, plain or TLS: one instance per loop. */
#pragma once

#include "proto/http1/http1.h"
#include "sys/tcp.h"

struct bst_tls;
struct bst_tls_client;
struct bst_tls_failure;
struct bst_tls_peer;
struct bst_http_client;
struct bst_http_call;

/** Where to and as whom. What is dialled and who must be there are two things. */
struct bst_http_target {
    const char *address;        /* "127.0.0.1:8443", "name:port", "unix:/path" */
    const char *host;           /* Host header */
    struct bst_tls_client *tls; /* credential, trust and the name that the peer must prove; borrowed
                                   while calls or kept connections use it, until
                                   bst_http_client_forget(); NULL: plain */
};

struct bst_http_client_config {
    size_t connections;              /* in all, 0: 256 */
    size_t connections_per_target;   /* 0: 8; more calls wait for a free one */
    int64_t idle_ms;                 /* a kept connection is closed after this; 0: 30 s */
    struct bst_http1_limits message; /* zero: defaults */
    bst_dial_filter filter;          /* may be NULL */
    /** A handshake failed: which step and side, for the log. May be NULL. */
    void (*on_handshake_failed)(void *ctx, const struct bst_http_target *target,
                                const struct bst_tls_failure *why);
    void *ctx; /* of both */
};

/** One request. Everything is copied. */
struct bst_http_call_spec {
    struct bst_http_target target;
    int method;
    struct bst_view path; /* request target */
    const struct bst_http_header *headers;
    size_t n_headers;
    struct bst_view body;
    int64_t timeout_ms; /* for all of it, 0: 30 s */
    bool once;          /* never repeat it, not even when a kept connection turned out to be dead */
};

/** The end of a call: OK with the response, or BST_E_TIMEOUT, _NOT_REACHABLE, _CLOSED, _TOO_LONG,
 * _SYNTAX, _HANDSHAKE, _DENIED, _CANCELLED with a detail sentence. The response lives for the
 * callback. */
typedef void (*bst_http_call_fn)(void *user, bst_result result, const struct bst_http_msg *response,
                                 const struct bst_tls_peer *peer);

bst_result bst_http_client_new(struct bst_loop *loop, const struct bst_http_client_config *config,
                               struct bst_http_client **ret);
/** Cancels what is running: the callbacks come with BST_E_CANCELLED before this returns. */
void bst_http_client_free(struct bst_http_client **client);
/** Start a call; `done` comes later, exactly once, never inside this function. */
bst_result bst_http_client_call(struct bst_http_client *client,
                                const struct bst_http_call_spec *spec, bst_http_call_fn done,
                                void *user, struct bst_http_call **ret_call);
/** Open a connection, or find a kept one, and show its endpoint (NULL: plain) to `done`: for keys
 * exported from a handshake. The next call to the same target uses that connection. */
typedef void (*bst_http_open_fn)(void *user, bst_result result, struct bst_tls *endpoint);
bst_result bst_http_client_open(struct bst_http_client *client,
                                const struct bst_http_target *target, int64_t timeout_ms,
                                bst_http_open_fn done, void *user, struct bst_http_call **ret_call);
/** End a call early: `done` comes at once with BST_E_CANCELLED. */
void bst_http_call_cancel(struct bst_http_call *call);
/** Close kept connections of a credential that is going away (NULL: all). Calls in work end on
 * their own connection. */
void bst_http_client_forget(struct bst_http_client *client, const struct bst_tls_client *tls);
/** For programs that do one thing at a time: start, drive the loop, copy the response to `arena`.
 */
bst_result bst_http_client_call_blocking(struct bst_http_client *client,
                                         const struct bst_http_call_spec *spec,
                                         struct bst_arena *arena, struct bst_http_msg *ret);
