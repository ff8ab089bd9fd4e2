/* Inside of servers, clients and connections. */
#pragma once

#include "tls/ctx_priv.h"
#include "tls/scan.h"

#include "base/time.h"
#include "crypto/heap.h"

#include <pthread.h>
#include <stdatomic.h>

#define TLS_DUMMY_BYTES 32
/** Bytes kept while a look-up is pending, and of a ClientHello that is not complete. */
#define TLS_HOLD_MAX ((size_t)40 * 1024)

/** The system's clock, where none is given. */
int64_t bst_tls_wall_us(void);

/** What verification needs, on both sides. */
struct bst_tls_verifier {
    struct bst_trust *trust;
    enum bst_cert_role role;
    int64_t (*wall_us)(void);
    const struct bst_tls_name *expect;
    size_t n_expect;
};

/** One generation of a server: credentials and trust; unchanging, counted. */
struct bst_tls_epoch {
    atomic_int holds;
    uint64_t generation;
    struct bst_tls_authority {
        char *name; /* NULL: the default one */
        SSL_CTX *ctx;
    } * authorities;
    size_t n_authorities; /* at least one */
    struct bst_se *se;
    struct bst_se *slow; /* held: where its slow keys are; NULL: all keys are quick */
    struct bst_tls_identity_source psk;
    bool has_psk, tls13, refuse_unknown_name, anonymous_clients;
    struct bst_tls_verifier verifier;
    bool (*resume_allowed)(void *ctx, const struct bst_cert_facts *leaf);
    void *ctx;
    uint8_t dummy_seed[TLS_DUMMY_BYTES];
};
struct bst_tls_epoch *bst_tls_epoch_hold(struct bst_tls_server *server); /* the current one */
void bst_tls_epoch_drop(struct bst_tls_epoch **epoch);
/** Index of the authority for a name as SNI carries it; -1 when it is to be refused. */
int bst_tls_epoch_authority(const struct bst_tls_epoch *epoch, struct bst_view name);

struct bst_tls_client {
    atomic_int holds;
    SSL_CTX *ctx;
    struct bst_se *se;
    struct bst_se *slow; /* as of the server */
    char *identity;      /* NULL: no PSK */
    bst_key psk_key;
    char *server_name;
    struct bst_tls_name *expect; /* values owned */
    size_t n_expect;
    struct bst_tls_verifier verifier;
    bool resume;
    pthread_mutex_t lock;
    SSL_SESSION *session; /* newest ticket, under `lock` */
};
/** Newest session that is still allowed, or NULL; the caller owns it. */
SSL_SESSION *bst_tls_client_session(struct bst_tls_client *client);

/** State of a handshake, gone when it is over. */
struct bst_tls_hs {
    struct bst_tls_lookup lookup; /* first member: the source's pointer leads back here */
    struct bst_tls *t;
    struct bst_tls_scan scan;
    struct bst_buf hold; /* bytes not yet given to OpenSSL */
    size_t scanned;      /* of hold */
    bool overrun;        /* more came than hold takes */
    int authority;
    bool hello_seen;
    bool key_needed;              /* server: a whole ClientHello is next; its answer is signed */
    bool asked, answered, asking; /* asking: inside the source's start() */
    char identity[BST_TLS_IDENTITY_MAX + 1]; /* presented by the client */
    size_t identity_len;
    char note[160];        /* why the identity has no key, for the log */
    struct bst_secret psk; /* empty: unknown identity */
};

struct bst_tls {
    SSL *ssl;                    /* NULL: server that waits for a whole ClientHello */
    struct bst_tls_epoch *epoch; /* server */
    struct bst_tls_client *client;
    const struct bst_tls_verifier *verifier;
    enum bst_tls_state state;
    bool close_sent;
    struct bst_tls_wire wire;
    struct bst_buf plain;
    struct bst_tls_hs *hs;       /* NULL after the handshake */
    struct bst_heap_mark copies; /* set while OpenSSL works with a PSK, on the thread of the step */
    char *address, *server_name;
    void *subject;
    char *identity_text; /* PSK identity or certificate subject of the peer */
    struct bst_tls_peer peer;
    char group[32];
    int alert_sent, alert_read; /* fatal ones, -1 none */
    bst_result verify;          /* outcome of our check of the peer's certificate */
    char verify_detail[256];
    struct bst_tls_failure *failure;
    void (*progress)(void *user);
    void *progress_user;
    void (*post)(void *user, struct bst_tls_letter *letter);
    void *post_user;
    struct bst_tls_away *away; /* a step runs on a worker, which has all of this but the hold */
    void (*trace)(void *ctx, bool sent, int content_type, struct bst_view message);
    void *trace_ctx;
};

/* endpoint */
bst_result bst_tls_ssl_begin(struct bst_tls *t, SSL_CTX *ctx);
void bst_tls_advance(struct bst_tls *t);
bst_result bst_tls_connect_traced(struct bst_tls_client *client,
                                  void (*trace)(void *, bool, int, struct bst_view), void *ctx,
                                  struct bst_tls **ret);

/** The end, when nothing runs elsewhere. */
void bst_tls_destroy(struct bst_tls *t);
/** Let OpenSSL work on wire.in. On any thread. */
bst_result bst_tls_step(struct bst_tls *t, bool *ret_done);
/** Go on after a step that ran elsewhere. */
void bst_tls_returned(struct bst_tls *t, bst_result outcome, bool done);

/* away.c: steps of the handshake on a worker thread of a slow secure environment */

/** Of the credentials, or of the environment of the PSKs, the first slow one; held. */
bst_result bst_tls_slow_of(struct bst_se *se, bool psk,
                           const struct bst_tls_credential *credentials, size_t n,
                           struct bst_se **ret);
/** Where the endpoint's steps have to run; NULL: here. */
struct bst_se *bst_tls_slow(const struct bst_tls *t);
/** Work on these bytes, or release the key, elsewhere. @error BST_E_BUSY */
bst_result bst_tls_leave(struct bst_tls *t, struct bst_view in, bst_key release);
/** True: the worker, or the letter on its way, will destroy the endpoint. */
bool bst_tls_abandon(struct bst_tls *t);

/* psk.c: callbacks, and the question to the identity source */
void bst_tls_psk_server(SSL_CTX *ctx);
void bst_tls_psk_client(SSL_CTX *ctx);
/** A step begins: OpenSSL may copy a key. */
void bst_tls_psk_step(struct bst_tls *t);
/** OpenSSL goes on to the next message: it has used the key that it asked for. */
void bst_tls_psk_message(struct bst_tls *t);
/** Ask, unless asked before; the state is BST_TLS_WAIT_KEY while the answer is out. */
void bst_tls_psk_ask(struct bst_tls *t, struct bst_view identity);
void bst_tls_psk_cancel(struct bst_tls *t);
/** Release the key of an answer. On any thread. */
void bst_tls_psk_take(struct bst_tls *t, bst_result result, bst_key key);

/* verify.c */
int bst_tls_verify_cb(X509_STORE_CTX *store_ctx, void *arg);
bst_result bst_tls_verify_leaf(const struct bst_tls_verifier *verifier, X509 *leaf,
                               STACK_OF(X509) * chain);
bst_result bst_tls_peer_fill(struct bst_tls *t);

/* failure.c */
/** Enter BST_TLS_FAILED with a reason found by us, and an alert to send when it is not -1. */
bst_result bst_tls_fail(struct bst_tls *t, enum bst_error code, int alert, const char *reason,
                        const char *clause, const char *remedy);
/** Enter BST_TLS_FAILED with what OpenSSL says. */
bst_result bst_tls_fail_openssl(struct bst_tls *t);
void bst_tls_failure_free(struct bst_tls_failure *failure);
