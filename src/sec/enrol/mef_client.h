/* MEF client: the procedures of TS-0003 8.3.5.2 as a state machine without I/O.
 *
 * A call fills a request to send; bst_mef_client_take() judges the answer. One exchange at a time.
 * The caller owns transport and session: everything goes through a TLS session with the MEF whose
 * FQDN was verified. Used by devices (register, make keys) and by CSEs (retrieve keys). */
#pragma once

#include "onem2m/primitive.h"
#include "se/se.h"
#include "sec/ids.h"
#include "sec/labels.h"

struct bst_mef_client;

enum bst_mef_procedure {
    BST_MEF_NONE,
    BST_MEF_REGISTER,       /* 8.3.5.2.3 */
    BST_MEF_CONFIGURATION,  /* 8.3.5.2.4, as a retrieve of the registration */
    BST_MEF_UPDATE,         /* 8.3.5.2.5 */
    BST_MEF_DEREGISTER,     /* 8.3.5.2.6 */
    BST_MEF_KEY_REGISTER,   /* 8.3.5.2.7 */
    BST_MEF_KEY_RETRIEVE,   /* 8.3.5.2.8 */
    BST_MEF_KEY_UPDATE,     /* 8.3.5.2.9 */
    BST_MEF_KEY_DEREGISTER, /* 8.3.5.2.10 */
};

/** MEF Client Registration Configuration (8.3.7.2); copied. */
struct bst_mef_client_config {
    struct bst_self self;      /* what short ids are relative to */
    struct bst_view client_id; /* own absolute AE-ID, CSE-ID or Node-ID */
    struct bst_view mef_fqdn;
    struct bst_view admin_fqdn; /* the stakeholder in whose name the MEF acts */
    bool allow_changed_targets; /* accept targetIDs that the MEF replaced */
};
bst_result bst_mef_client_new(const struct bst_mef_client_config *config,
                              struct bst_mef_client **ret);
void bst_mef_client_free(struct bst_mef_client **client);

/** Go on with a registration made in an earlier run. */
bst_result bst_mef_client_resume(struct bst_mef_client *client, struct bst_view reg_id);
/** MEFClientRegID, empty when not registered. */
struct bst_view bst_mef_client_reg_id(const struct bst_mef_client *client);
enum bst_mef_procedure bst_mef_client_pending(const struct bst_mef_client *client);
/** Forget the exchange under way: its session was lost. */
void bst_mef_client_cancel(struct bst_mef_client *client);

/* Requests. All memory comes from `arena` and lives as long as it does; X-M2M-RI is fresh.
 * @error BST_E_USAGE     an exchange is under way, or the procedure needs a registration
 * @error BST_E_VALUE     what was asked for cannot be right (SUID, targets, times) */

/** Register with the MEF; labels may be empty. */
bst_result bst_mef_client_register(struct bst_mef_client *client, int64_t expires_us,
                                   const struct bst_m2m_views *labels, struct bst_arena *arena,
                                   struct bst_m2m_request *ret);
bst_result bst_mef_client_configuration(struct bst_mef_client *client, struct bst_arena *arena,
                                        struct bst_m2m_request *ret);
/** At least one of the two: expires_us 0 and labels NULL are left out. */
bst_result bst_mef_client_update(struct bst_mef_client *client, int64_t expires_us,
                                 const struct bst_m2m_views *labels, struct bst_arena *arena,
                                 struct bst_m2m_request *ret);
bst_result bst_mef_client_deregister(struct bst_mef_client *client, struct bst_arena *arena,
                                     struct bst_m2m_request *ret);

/** What key to register (8.3.7.3). */
struct bst_mef_key_wish {
    int suid;                       /* 21..25 */
    const struct bst_view *targets; /* absolute ids; one, but for ESData keys */
    size_t n_targets;
    int64_t expires_us;
    const struct bst_m2m_views *labels;
    /* A key made here is sent in the request; NULL: both sides take it from the TLS exporter. */
    const struct bst_secret *value;
};
/** With `value`, the request's content holds the key: wipe arena and message after sending. */
bst_result bst_mef_client_key_register(struct bst_mef_client *client,
                                       const struct bst_mef_key_wish *wish, struct bst_arena *arena,
                                       struct bst_m2m_request *ret);
/** Fetch a key that names this client as a target; needs no registration.
 * @param suid  what the key is going to be used for: another SUID in the answer is refused */
bst_result bst_mef_client_key_retrieve(struct bst_mef_client *client,
                                       struct bst_view relative_key_id, int suid,
                                       struct bst_arena *arena, struct bst_m2m_request *ret);
bst_result bst_mef_client_key_update(struct bst_mef_client *client, struct bst_view relative_key_id,
                                     const struct bst_mef_key_wish *wish, struct bst_arena *arena,
                                     struct bst_m2m_request *ret);
bst_result bst_mef_client_key_deregister(struct bst_mef_client *client,
                                         struct bst_view relative_key_id, struct bst_arena *arena,
                                         struct bst_m2m_request *ret);

/** What an answer said; texts live in the arena of the answer. */
struct bst_mef_outcome {
    enum bst_mef_procedure procedure;
    struct bst_view reg_id;          /* REGISTER */
    struct bst_view client_id;       /* REGISTER: who the MEF takes us for */
    struct bst_view relative_key_id; /* KEY_REGISTER, KEY_RETRIEVE */
    char key_id[BST_KEY_ID_MAX + 1]; /* the same with "@FQDN": the PSK identity */
    struct bst_view source_id;       /* KEY_RETRIEVE: who registered the key */
    int suid;
    int64_t expires_us;
    struct bst_m2m_views targets;
    bool from_exporter;      /* KEY_REGISTER: now take the key from the session */
    struct bst_secret value; /* KEY_RETRIEVE; clear it */
};
void bst_mef_outcome_clear(struct bst_mef_outcome *outcome);

/** Judge the answer to the request under way; the exchange is over whatever comes out.
 *
 * @error of the MEF's status code, its debug text in the detail: BST_E_DENIED, BST_E_NOT_FOUND,
 *        BST_E_ALREADY_REGISTERED, BST_E_CONFLICT, BST_E_CONTENTS, BST_E_VALUE...
 * @error BST_E_CREDENTIAL  the answer contradicts the request: other client, stakeholder, SUID or
 * targets
 * @error BST_E_EXPIRED     an expiration that is not in the future
 * @error BST_E_SYNTAX      not an answer of this procedure
 * @clause TS-0003 V3.18, 8.3.5.2.3 to 8.3.5.2.10, 8.3.9.9.2
 */
bst_result bst_mef_client_take(struct bst_mef_client *client, const struct bst_m2m_response *rsp,
                               int64_t now_us, struct bst_arena *arena,
                               struct bst_mef_outcome *ret);
