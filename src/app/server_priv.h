/* What the parts of the daemon share. */
#pragma once

#include "app/server.h"
#include "cse/cse.h"
#include "cse/notifier.h"
#include "mef/mef.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "obs/metrics.h"
#include "store/store.h"
#include "sys/service.h"
#include "tls/tls.h"

#include <stdatomic.h>

#define SERVER_FRONTS_MAX 32
#define SERVER_FORMER_MAX 4096
#define SERVER_PLACES 2 /* keys of CSE and MEF, by enum bst_state_key */

enum front_kind { FRONT_LAB, FRONT_CSE, FRONT_MEF };

struct server_worker;

/** One listener on one loop. */
struct server_front {
    struct server_worker *worker;
    enum front_kind kind;
    struct bst_http_server *http;
};

/** One loop with everything that belongs to it. */
struct server_worker {
    struct bst_server *server;
    struct bst_loop *loop;
    struct bst_thread *thread;
    struct bst_cse_worker *cse;
    struct bst_store_conn *reader; /* bindings and revocations */
    struct server_front fronts[SERVER_FRONTS_MAX];
    size_t n_fronts;
    size_t draining;
    size_t in_work; /* requests between CSE or MEF and their answers */
    struct bst_task drain;
    struct bst_timer sweep; /* of the first worker */
    bool sweeping;
};

/** The loop that talks to others: notifications, keys from MEFs. */
struct server_outside {
    struct bst_server *server;
    struct bst_loop *loop;
    struct bst_thread *thread;
    struct bst_http_client *guarded; /* dials what the allow list has */
    struct bst_http_client *open;    /* dials names that the list has, and MEFs */
    struct bst_map targets;          /* TLS clients of notifications by what must be proved */
    struct bst_store_conn *reader;   /* which key an AE has */
    bool closing;
};

struct server_metrics {
    struct bst_metric *requests[6][4]; /* operation, class of answer: 2, 4, 5, other */
    struct bst_metric *latency[6];
    struct bst_metric *mef_requests[3];
    struct bst_metric *denials, *handshakes_failed, *sessions, *revoked_sessions;
    struct bst_metric *notify_sent, *notify_failed, *notify_refused;
    struct bst_metric *key_lookups[4]; /* known, fetched, missing, refused */
    struct bst_metric *gauges[24];
};

struct server_keys;
struct server_mef;

/** A piece of work for the thread that may wait. Its storage belongs to the sender until it runs.
 */
struct server_chore {
    struct server_chore *next;
    void (*run)(struct server_chore *chore);
};
struct server_chores {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct server_chore *first, *last;
    struct bst_thread *thread;
    bool ending;
};
/** Work that is due once, however often it is asked for. */
struct server_duty {
    struct server_chore chore;
    atomic_bool waits;
    struct bst_server *server;
    void (*work)(struct bst_server *server);
};

struct bst_server {
    struct bst_state *state;
    const struct bst_config *_Atomic config; /* as it holds now; replaced whole */
    struct bst_config
        *former[SERVER_FORMER_MAX]; /* still looked at by somebody; freed at the end */
    size_t n_former;
    struct bst_server_options options;
    struct bst_self self; /* texts of the configuration */
    char cse_fqdn[256], mef_fqdn[256];

    struct bst_store *store;
    struct bst_cse *cse;
    struct bst_cse_events events;
    struct bst_notifier *notifier;
    struct bst_pki *pki; /* under admin_lock */
    pthread_mutex_t places_lock;
    struct bst_state_place places[SERVER_PLACES]; /* under its lock */
    struct server_mef *mef;
    struct server_keys *keys;

    struct bst_tls_server *cse_tls, *mef_tls;
    struct bst_http_shared *shared;       /* of CSE and MEF */
    struct bst_http_shared *local_shared; /* of metrics and admin */

    struct bst_loop *loop; /* main: signals, metrics, admin, audit, reload */
    struct server_worker *workers;
    size_t n_workers;
    struct server_outside outside;
    struct bst_http_server *metrics_http, *admin_http;
    struct bst_signal *signals[3];
    struct bst_watch *watches[32];
    size_t n_watches;
    struct bst_timer second, crl, ca;
    atomic_int_fast64_t ca_until_us; /* wall; when a former root of the CA ends; 0: none does */
    struct bst_se_call upkeep;
    atomic_bool upkeep_runs;
    int64_t mef_swept_us;
    struct server_metrics metrics;
    struct bst_server_ports ports;
    int64_t started_us;

    pthread_mutex_t admin_lock; /* of what changes keys, certificates and configuration */
    struct server_chores chores;
    struct server_duty reload, renew_crl, end_former;
    atomic_uint_fast64_t bindings; /* grows when a credential's bindings or revocation changed */
    pthread_mutex_t unsaved_lock;
    struct bst_map unsaved_revocations; /* the store could not take them; until the process ends */
    atomic_bool workers_gone;
    bool unfinished; /* requests outlived the end of the loops */
};

/* server_front.c: requests of the CSE's interfaces */
extern const struct bst_http_handler server_cse_handler;
void server_front_answer(struct bst_http_exchange *x, const struct bst_m2m_response *rsp,
                         enum bst_m2m_format accept);

/* server_session.c: who is on the other side */
#define SESSION_RETIRED_MAX 8
struct server_session {
    enum front_kind kind;
    struct bst_mef_session mef; /* FRONT_MEF; the rest is of the others */
    struct bst_association *assoc;
    struct bst_association *retired[SESSION_RETIRED_MAX]; /* still used by requests in work */
    size_t n_retired;
    struct bst_net_peer *peer;
    uint64_t bindings; /* generation at which the association was built */
    size_t in_work;
};
bst_result server_session_begin(struct server_front *front, struct bst_net_peer *peer);
void server_session_end(struct bst_net_peer *peer);
/** The association, as the bindings are now. */
struct bst_association *server_session_association(struct server_front *front,
                                                   struct server_session *session);
/** One log line and one audit record for a handshake that failed. */
void server_handshake_failed(void *ctx, const struct bst_net_peer *peer,
                             const struct bst_tls_failure *why);
/** Callbacks for the CSE: what credential registered which AE. */
bst_result server_bind(void *ctx, struct bst_store_conn *txn, const struct bst_association *assoc,
                       struct bst_view ae_id_stem);
/* An AE-ID certificate is issued: no other kind of credential may register that AE from now on. */
bst_result server_certified(struct bst_server *server, struct bst_view ae_id);
bst_result server_unbind(void *ctx, struct bst_store_conn *txn, struct bst_view ae_id_stem);
/** Let any credential register an AE-ID that is kept for the one which had it. */
bst_result server_free_ae(struct bst_server *server, struct bst_view ae_id);
bst_result server_check_credential(void *ctx, struct bst_store_conn *conn, struct bst_view cred_id);
/** Name space in the CSE's store: credential -> "<time> <reason>". */
#define SERVER_NS_REVOKED "revoked"
/** *ret_reason is "" when the credential is good. */
bst_result server_revocation(struct bst_server *server, struct bst_store_conn *conn,
                             struct bst_view cred_id, char *ret_reason, size_t cap);
/** Forbid a credential from now on and close its sessions. Blocks. */
bst_result server_revoke(struct bst_server *server, struct bst_view cred_id,
                         struct bst_view reason);
bst_result server_unrevoke(struct bst_server *server, struct bst_view cred_id);
/** Close every session of a Credential-ID, at the CSE and at the MEF. */
bst_result server_close_credential(struct bst_server *server, struct bst_view cred_id);
/** A change of bindings or revocations is committed: sessions look again before their next request.
 * Called after the commit, so that what they see then is the change. @param ctx  the server */
void server_bindings_changed(void *ctx);
/** The PSK identity with which an AE was registered; empty when it was a certificate. */
bst_result server_psk_of_ae(struct bst_store_conn *conn, struct bst_view ae_id_stem,
                            struct bst_arena *arena, struct bst_view *ret);

/* server_keys.c: whose pre-shared key is this? */
bst_result server_keys_new(struct bst_server *server, struct server_keys **ret);
void server_keys_free(struct server_keys **keys);
/** For the CSE's TLS endpoints. */
struct bst_tls_identity_source server_keys_source(struct bst_server *server);
/** The key of an identity, as far as it is at hand; 0 when a MEF would have to be asked. @thread
 * any */
bst_key server_keys_at_hand(struct server_keys *keys, struct bst_view identity);
/** Forget keys fetched for an identity. */
void server_keys_forget(struct server_keys *keys, struct bst_view identity);
/** Say which worker this thread is. */
void server_keys_thread(struct server_worker *worker);
/** Trust has changed: connect to MEFs anew. Outside loop. */
void server_keys_reconnect(struct server_keys *keys);
#define SERVER_KPSA_PREFIX "kpsa." /* label of a key that was provisioned here */

/* server_outside.c: notifications and the client loop */
bst_result server_outside_start(struct bst_server *server);
void server_outside_stop(struct bst_server *server);
/** TLS clients of notifications are made anew: trust has changed. @thread any */
void server_outside_forget(struct bst_server *server);
bool server_notify_allows_ip(const struct bst_config_texts *allow, const struct bst_inet *ip);
bool server_notify_allows_name(const struct bst_config_texts *allow, struct bst_view host);

/* server_trust.c: certificates, CAs, CRLs, and their replacement */
void server_trust_init(struct bst_server *server);
bst_result server_trust_start(struct bst_server *server);
void server_trust_stop(struct bst_server *server);
/** Read them anew; on failure the old ones stay. Under admin_lock; blocks on files and tokens. */
bst_result server_reload(struct bst_server *server);
/** The same soon, on the thread that may wait. */
void server_reload_later(struct bst_server *server);
/** Would the session's certificate be accepted now? @thread the session's loop */
bool server_still_trusted(struct bst_server *server, enum front_kind kind,
                          const struct bst_net_peer *peer);
bst_result server_trust_load(struct bst_server *server, struct bst_trust **ret);
/** The CSE's own certificate, for its role as a client. `pem` owns the chain's text. */
bst_result server_own_credential(struct bst_server *server, struct bst_buf *pem,
                                 struct bst_tls_credential *ret);

/* server_ca.c: the project CA while the server runs. Under admin_lock */
/** Open it from where its key is now. While a token is gone, what is open stays and all else goes
 * on. */
bst_result server_ca_open(struct bst_server *server);
/** `pki` is there afterwards. @error BST_E_NOT_FOUND there is no CA  @error BST_E_BUSY its token is
 * gone */
bst_result server_ca_need(struct bst_server *server);
/** Own certificates follow the CA: CSE, MEF and the administrator's profile. */
bst_result server_ca_settle(struct bst_server *server);
/** Trust only the latest `keep` former roots, and go over to that. */
bst_result server_ca_retire(struct bst_server *server, size_t keep);
/** Former roots whose time has come are retired; those of later are waited for. */
bst_result server_ca_watch(struct bst_server *server);

/* server_chores.c: a thread that may wait on behalf of the main loop */
bst_result server_chores_start(struct bst_server *server);
/** What waits is done first. */
void server_chores_stop(struct bst_server *server);
/** Without the thread it is done at once. */
void server_chore_post(struct bst_server *server, struct server_chore *chore);
/** @param duty_work  under admin_lock */
void server_duty_init(struct bst_server *server, struct server_duty *duty,
                      void (*duty_work)(struct bst_server *server));
/** Not twice when it waits already. */
void server_duty_post(struct server_duty *duty);

/* server_local.c: metrics and admin endpoints */
bst_result server_local_start(struct bst_server *server);
void server_local_stop(struct bst_server *server);
void server_metrics_init(struct bst_server *server);
/** Whether an administrative command may keep its thread waiting. */
bool server_admin_waits(struct bst_view op);

/* server_mef.c */
bst_result server_mef_new(struct bst_server *server, struct server_mef **ret);
void server_mef_free(struct server_mef **mef);
extern const struct bst_http_handler server_mef_handler;
struct bst_tls_identity_source server_mef_source(struct bst_server *server);
/** End its store, with the requests that outlived the loops. */
void server_mef_end_store(struct server_mef *mef);
struct bst_mef *server_mef_core(struct server_mef *mef); /* NULL when there is none */
struct bst_store *server_mef_store(struct server_mef *mef);
