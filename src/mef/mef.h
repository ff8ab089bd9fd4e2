/* M2M Enrolment Function: clients register, leave keys, fetch the keys that are meant for them.
 *
 * TS-0003 8.3.5; the interface Mmef of TS-0032 as far as sec/sec_names.h knows it. The keys are in
 * `se` under the label "mef.key.<RelativeKeyID>", the database holds what is known about them.
 * Clients are known by their Credential-ID (TS-0003 10.4): "10-<KpmID>" for a pre-provisioned key.
 */
#pragma once

#include "crypto/x509.h"
#include "obs/audit.h"
#include "onem2m/primitive.h"
#include "se/se.h"
#include "sec/ids.h"
#include "store/store.h"
#include "sys/loop.h"

/** Schema of the MEF's own store file. */
extern const struct bst_store_schema bst_mef_schema;

struct bst_mef;

struct bst_mef_config {
    struct bst_store *store; /* opened with bst_mef_schema; borrowed */
    struct bst_se *se;       /* best a view of one owner, bst_se_for_owner(); borrowed */
    struct bst_audit *audit; /* may be NULL; borrowed */
    struct bst_view fqdn;    /* of this MEF; copied, as the rest */
    struct bst_self self;    /* SP domain and CSE that short ids are relative to */
    int64_t max_life_us;     /* of registrations and keys, 0: 5 years */
};
/** Open; keys without a record and records without a key, left by a crash, are removed.
 * @error BST_E_CONFIG  fqdn or domain do not have their form  @thread one, at start; blocks */
bst_result bst_mef_new(const struct bst_mef_config *config, struct bst_mef **ret);
/** No call may be under way. */
void bst_mef_free(struct bst_mef **mef);

/* ---- sessions: who is it ---- */

/** Takes keys from the TLS session (RFC 5705). */
struct bst_mef_exporter {
    void *ctx;
    /** All 48 octets: the identifier, then the key. Called on the session's loop. */
    bst_result (*take)(void *ctx, const char *label, struct bst_secret *ret);
};
/** One TLS session; embed it where the connection lives. Used on the connection's loop only. */
struct bst_mef_session {
    char cred_id[BST_CRED_ID_MAX + 1]; /* "": nothing was proved, everything is refused */
    struct bst_mef_exporter exporter;  /* `take` NULL: no export from this session */
    struct bst_view peer;              /* address, for the audit trail; borrowed */
    bool exported;                     /* the session's one exported key is taken */
    unsigned users;                    /* calls under way */
};
/** A session after a PSK handshake. @error BST_E_CREDENTIAL no such form of identity */
bst_result bst_mef_session_psk(struct bst_mef_session *session, struct bst_view kpm_id);
/** A session after a certificate handshake: AE-ID, CSE-ID or FQDN, Node-ID, device name, in this
 * order. */
bst_result bst_mef_session_cert(struct bst_mef_session *session, const struct bst_mef *mef,
                                const struct bst_cert_names *names);
/** The key for a TLS-PSK handshake; 0 when the identity is unknown or revoked. @thread any */
bst_result bst_mef_psk_key(struct bst_mef *mef, struct bst_view kpm_id, bst_key *ret);

/* ---- requests ---- */

/** One request. Zeroed by the caller, who keeps it, its arena, the session and everything that the
 * request points to until done(). */
struct bst_mef_call {
    struct bst_arena *arena;
    struct bst_m2m_request req;
    struct bst_mef_session *session;
    struct bst_loop *loop; /* where done() runs; NULL: on a thread of the store */
    void (*done)(struct bst_mef_call *call);
    void *user;
    struct bst_m2m_response rsp; /* out; memory of the arena. After sending: bst_mef_call_wipe() */
    /* private */
    struct bst_mef *mef;
    struct bst_store_job job;
    struct bst_task task;
    struct mef_work *work;
};
/** Answer a request; done() is called exactly once, perhaps before this returns. What a slow
 * environment (bst_se_slow()) has to do for it runs on its worker threads.
 * @thread the loop of the session */
void bst_mef_handle(struct bst_mef *mef, struct bst_mef_call *call);
/** Wipe what of the answer is secret (a retrieved key) from the arena. */
void bst_mef_call_wipe(struct bst_mef_call *call);

/** Delete what has expired, keys included. The owner calls it every minute or so. @thread any but
 * the store's; blocks */
bst_result bst_mef_sweep(struct bst_mef *mef, unsigned *ret_removed);

/* ---- administration; all of it blocks and may come from any thread ---- */

struct bst_mef_client_info {
    struct bst_view cred_id;
    struct bst_view client_id; /* any form of AE-ID or CSE-ID, a Node-ID, or an FQDN (of a MAF) */
    struct bst_view admins; /* adminFQDNs that the client may register for, separated by blanks */
    bool revoked;           /* out */
    int64_t created_us;     /* out */
};
/** Let a client in that proves itself with a pre-provisioned key; cred_id of `info` is not used.
 * @error BST_E_EXISTS  the KpmID is known, revoked ones included */
bst_result bst_mef_provision_psk(struct bst_mef *mef, struct bst_view kpm_id,
                                 const struct bst_secret *kpm,
                                 const struct bst_mef_client_info *info);
/** Let a client in that proves itself with a certificate of that name. */
bst_result bst_mef_provision_cert(struct bst_mef *mef, enum bst_cert_flavour flavour,
                                  struct bst_view name, const struct bst_mef_client_info *info);
/** Shut a credential out: its key, registrations and registered keys go. The caller then closes the
 * sessions of that Credential-ID. @error BST_E_NOT_FOUND */
bst_result bst_mef_revoke(struct bst_mef *mef, struct bst_view cred_id);
bst_result bst_mef_clients(struct bst_mef *mef,
                           void (*each)(void *ctx, const struct bst_mef_client_info *info),
                           void *ctx);
struct bst_mef_key_info {
    struct bst_view relative_id, source_id, admin, targets; /* targets: JSON list */
    int suid;
    int64_t created_us, expires_us;
};
bst_result bst_mef_keys(struct bst_mef *mef,
                        void (*each)(void *ctx, const struct bst_mef_key_info *info), void *ctx);
