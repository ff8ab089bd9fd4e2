/* TLS endpoints without I/O: bytes in, bytes out, one owner and one thread each.
 *
 *     feed(ciphertext) -> handshake, then read(plaintext)      write(plaintext) -> out(ciphertext)
 *
 * A server or a client (the shared part: credentials, trust, profile) is used by all threads; an
 * endpoint (one connection) belongs to one. TS-0003 8.2, 8.3.2, 10.2. */
#pragma once

#include "base/text.h"
#include "crypto/x509.h"
#include "se/se.h"

struct bst_tls;         /* one connection */
struct bst_tls_server;  /* what all connections of a listener share; counted */
struct bst_tls_client;  /* what all connections with one credential to one peer share; counted */
struct bst_tls_profile; /* profile.h: versions, suites, groups, signature algorithms, level */

/** The longest PSK identity that OpenSSL carries in both versions, in octets. */
#define BST_TLS_IDENTITY_MAX 256
/** Names in SNI and certificates. */
#define BST_TLS_NAME_MAX 255

/** Use before any other cryptographic call of the process: the system's openssl.cnf stays unread.
 * Called by every constructor below; harmless more than once. */
bst_result bst_tls_init(void);

/* --- who holds which PSK ------------------------------------------------------------------- */

/** One question "whose key is this?"; valid until answered or cancelled. */
struct bst_tls_lookup {
    struct bst_view identity; /* UTF-8 without control characters, 1..BST_TLS_IDENTITY_MAX octets */
    struct bst_view server_name; /* the authority that SNI selected; empty: the default one */
    struct bst_view peer;        /* address as given to bst_tls_accept(), for limits and logs */
    void *user;                  /* for the source */
};

/** Answers PSK identities, at once or later; the handshake waits, nothing else does. */
struct bst_tls_identity_source {
    /** Ends in one bst_tls_lookup_done(), from inside this call or later on the endpoint's thread.
     */
    void (*start)(void *ctx, struct bst_tls_lookup *lookup);
    /** The connection ended first: forget `lookup`, do not answer. */
    void (*cancel)(void *ctx, struct bst_tls_lookup *lookup);
    /** The endpoint no longer needs `subject`; may be NULL. */
    void (*drop_subject)(void *ctx, void *subject);
    void *ctx;
};
/** @param key      symmetric key with BST_KEY_USE_PSK; 0: nobody has this identity (or the look-up
 *                  failed, which a peer cannot tell apart; give the reason in `result` for the log)
 *  @param subject  what the source knows about the holder, returned in bst_tls_peer; may be NULL */
void bst_tls_lookup_done(struct bst_tls_lookup *lookup, bst_result result, bst_key key,
                         void *subject);

/* --- credentials and trust ----------------------------------------------------------------- */

/** An own certificate; SNI selects it when a server has several. */
struct bst_tls_credential {
    const char *server_name;   /* FQDN it answers for; NULL for the default one, or for a client */
    struct bst_view chain_pem; /* leaf first, then intermediates */
    bst_key key;               /* private key of the leaf */
    struct bst_se *se;         /* that holds it; NULL: the environment of the configuration */
};

/** A name that the peer's certificate must prove: one of the flavours of TS-0003 10.1.1. */
struct bst_tls_name {
    enum bst_cert_flavour flavour;
    struct bst_view value; /* CSE: public domain name; AE: "//sp/S1"; FQDN: host name */
};

struct bst_tls_server_config {
    const struct bst_tls_profile *profile;
    struct bst_se *se;
    const struct bst_tls_identity_source *psk;    /* NULL: no PSK; copied */
    const struct bst_tls_credential *credentials; /* copied */
    size_t n_credentials;                         /* 0: PSK only */
    struct bst_trust *trust;                      /* for client certificates; held; NULL: refused */
    bool refuse_unknown_name; /* SNI that no credential answers for: alert instead of the default */
    bool anonymous_clients;   /* do not ask for client certificates: metrics, consoles */
    uint32_t ticket_lifetime_s; /* 0: no tickets. Only certificate sessions get them */
    int64_t (*wall_us)(void);   /* NULL: the system's */
    /** Asked when a ticket would resume: is this leaf still welcome? NULL: yes. Any thread. */
    bool (*resume_allowed)(void *ctx, const struct bst_cert_facts *leaf);
    void *ctx;
};
/** Everything is checked here: keys that fit their certificates, names, chain, lengths. */
bst_result bst_tls_server_new(const struct bst_tls_server_config *config,
                              struct bst_tls_server **ret);
/** Replace credentials and trust for connections to come; their generation grows by one. Running
 * ones stay until closed (bst_tls_peer.generation tells which); tickets of before are void. Any
 * thread. On failure the old configuration stays. */
bst_result bst_tls_server_replace(struct bst_tls_server *server,
                                  const struct bst_tls_server_config *config);
uint64_t bst_tls_server_generation(struct bst_tls_server *server);
/** Give up the hold; connections keep theirs. */
void bst_tls_server_free(struct bst_tls_server **server);

struct bst_tls_client_config {
    const struct bst_tls_profile *profile;
    struct bst_se *se;
    /* Either a PSK ... */
    struct bst_view psk_identity; /* copied; longer than BST_TLS_IDENTITY_MAX is refused */
    bst_key psk_key;              /* released once a handshake */
    /* ... or a certificate, or neither (server authentication only) */
    const struct bst_tls_credential *credential;
    struct bst_trust *trust; /* for the server's certificate; held; NULL: only PSK works */
    const char *server_name; /* sent as SNI; NULL: none (an address was dialled) */
    const struct bst_tls_name
        *expect;              /* one of these must be proved, apart from what was dialled */
    size_t n_expect;          /* 0 is refused unless a PSK is used */
    bool resume;              /* keep the newest ticket for the next connection */
    int64_t (*wall_us)(void); /* NULL: the system's */
};
bst_result bst_tls_client_new(const struct bst_tls_client_config *config,
                              struct bst_tls_client **ret);
void bst_tls_client_free(struct bst_tls_client **client);
/** One more owner, who also calls bst_tls_client_free(). @thread any */
struct bst_tls_client *bst_tls_client_hold(struct bst_tls_client *client);

/* --- one connection ------------------------------------------------------------------------ */

enum bst_tls_state {
    BST_TLS_HANDSHAKE, /* needs more bytes of the peer */
    BST_TLS_WAIT_KEY,  /* waits for the identity source or the secure environment; fed bytes are
                          kept, within a limit */
    BST_TLS_OPEN,
    BST_TLS_CLOSED, /* close_notify came; what was read before is still there to read */
    BST_TLS_FAILED, /* bst_tls_failure() tells; send what bst_tls_out() holds (the alert), then
                       close */
};

/** @param peer  address as text, for the look-up and for logs; copied */
bst_result bst_tls_accept(struct bst_tls_server *server, struct bst_view peer,
                          struct bst_tls **ret);
/** The ClientHello is ready in bst_tls_out() on return. */
bst_result bst_tls_connect(struct bst_tls_client *client, struct bst_tls **ret);
struct bst_tls_letter;
/** The same for a thread that must not wait: bst_tls_may_wait() from the first flight on. Where
 * that takes a key of a slow secure environment (a PSK of TLS 1.3), it comes with the first
 * progress. */
bst_result bst_tls_connect_apart(struct bst_tls_client *client,
                                 void (*post)(void *user, struct bst_tls_letter *letter),
                                 void *user, struct bst_tls **ret);
/** Called when an answer of the identity source, or of a slow secure environment, moved the
 * connection: look at state, out and read. */
void bst_tls_on_progress(struct bst_tls *t, void (*progress)(void *user), void *user);
/** A message to the endpoint's thread; `room` is for whoever carries it. */
struct bst_tls_letter {
    void *room[4];
    void (*run)(struct bst_tls_letter *letter);
};
/** Let steps of the handshake that a slow secure environment (bst_se_slow()) takes part in run on
 * its worker threads; without this they keep the caller waiting.
 *
 * @param post  carries a letter to the endpoint's thread, which calls `run`; from any thread, but
 *              never after bst_tls_free() has returned. Letters on the way then still arrive. */
void bst_tls_may_wait(struct bst_tls *t, void (*post)(void *user, struct bst_tls_letter *letter),
                      void *user);
/** Cancels a pending look-up, wipes, frees; a step that runs on a worker is not waited for. NULL is
 * fine. */
void bst_tls_free(struct bst_tls **t);

enum bst_tls_state bst_tls_state(const struct bst_tls *t);
/** Bytes from the peer; all are used or kept. Fails (BST_E_HANDSHAKE, BST_E_SYNTAX, ...) when the
 * connection does: the state is then BST_TLS_FAILED. */
bst_result bst_tls_feed(struct bst_tls *t, struct bst_view cipher_in);
/** The transport ended. BST_E_TRUNCATED when no close_notify came before. */
bst_result bst_tls_feed_eof(struct bst_tls *t);
/** Append all decrypted bytes to `ret` (an empty buffer is exchanged instead of copied). */
bst_result bst_tls_read(struct bst_tls *t, struct bst_buf *ret);
/** Encrypt all of `plain`; only in BST_TLS_OPEN, else BST_E_CLOSED. */
bst_result bst_tls_write(struct bst_tls *t, struct bst_view plain);
/** Ciphertext to send, borrowed until the next call on `t`. */
struct bst_view bst_tls_out(const struct bst_tls *t);
void bst_tls_consumed(struct bst_tls *t, size_t bytes);
/** All ciphertext to send as an owned buffer; empty when there is none. */
struct bst_buf bst_tls_take_out(struct bst_tls *t);
/** Queue close_notify (once); reading stays possible. */
void bst_tls_close(struct bst_tls *t);

/* --- what was agreed ----------------------------------------------------------------------- */

enum bst_tls_auth { BST_TLS_AUTH_NONE, BST_TLS_AUTH_PSK, BST_TLS_AUTH_CERT };

/** The peer, as proved; filled when the state is BST_TLS_OPEN, lives as long as the endpoint. */
struct bst_tls_peer {
    enum bst_tls_auth kind;
    struct bst_view identity;     /* PSK: the identity; else empty */
    void *subject;                /* PSK: from the identity source */
    struct bst_cert_names names;  /* CERT: subject alternative names of the verified leaf */
    struct bst_view subject_text; /* CERT: subject in one line, for logs */
    struct bst_cert_facts facts;  /* CERT: serial, fingerprint, validity */
    struct bst_view server_name;  /* SNI as it came (or was sent), lower case; empty if none */
    const char *version;          /* "TLSv1.3" */
    const char *suite;            /* IANA name */
    const char *group;            /* key exchange group, "" when there was none (plain PSK) */
    bool forward_secret;
    bool resumed;
    bool extended_master_secret; /* or TLS 1.3, which has the property by design */
    uint64_t generation;         /* of the server's credentials and trust */
};
/** NULL before BST_TLS_OPEN. */
const struct bst_tls_peer *bst_tls_peer(const struct bst_tls *t);

/** Would the peer's certificate be accepted now, by the server's current trust? True for a session
 * without certificate. @thread the endpoint's loop */
bool bst_tls_still_trusted(const struct bst_tls *t, struct bst_tls_server *server);

/** The 48 octets of TS-0003 10.3.1 by RFC 5705 without context: id = the first 16 octets.
 * For naming the key before bst_tls_export_key() stores it.
 * @error BST_E_HANDSHAKE  not open, or TLS 1.2 without extended master secret (RFC 7627) */
bst_result bst_tls_export_id(struct bst_tls *t, const char *label, uint8_t ret_id[16]);
/** All 48 octets, for bst_se_import_export() on a thread that may wait for it. */
bst_result bst_tls_export(struct bst_tls *t, const char *label, struct bst_secret *ret);
/** The last 32 octets straight into `se` under `attrs`. One export per label and session is the
 * caller's rule. */
bst_result bst_tls_export_key(struct bst_tls *t, const char *label, struct bst_se *se,
                              const struct bst_key_attrs *attrs, bst_key *ret);

/* --- why it failed ------------------------------------------------------------------------- */

enum bst_tls_side { BST_TLS_SIDE_NONE, BST_TLS_SIDE_HERE, BST_TLS_SIDE_PEER };

struct bst_tls_failure {
    enum bst_tls_side side; /* who refused: we, or the peer (it sent an alert or hung up) */
    enum bst_error code;
    const char *step;         /* "hello", "key look-up", "certificate of the peer", ... */
    char reason[256];         /* in words */
    const char *clause;       /* "" when none applies */
    const char *remedy;       /* what to do, "" when unknown */
    int alert;                /* TLS alert sent or received, -1 none */
    struct bst_view identity; /* PSK identity or certificate subject that the peer presented */
    struct bst_view server_name;
};
/** Meaningful in BST_TLS_FAILED; side is NONE otherwise. Strings live as long as the endpoint. */
const struct bst_tls_failure *bst_tls_failure(const struct bst_tls *t);
