/* The service layer: a oneM2M common services entity over a store.
 *
 * Requests come in as primitives (onem2m/primitive.h), are checked in the standard's order
 * (TS-0004 7.2.2.2), done in one transaction of the store and answered when that is durable. No
 * sockets, no serialization of primitives here: bind and net do that. */
#pragma once

#include "obs/audit.h"
#include "onem2m/primitive.h"
#include "sec/originator.h"
#include "store/store.h"
#include "sys/loop.h"

struct bst_se;
struct bst_cse;
struct bst_cse_worker;
struct bst_cse_op;

/** What the decision about one access was, kept for the audit trail and for `explain`. */
struct bst_cse_trace {
    bool checked; /* an access decision was needed */
    bool permitted;
    char policy[96];    /* resource ID of the policy that permitted; "" when it was not a policy */
    int rule;           /* index of its rule from 0, -1 none */
    char reason[192];   /* in words: what permitted, or what kept the nearest rule from it */
    char attribute[48]; /* long name of the attribute that decided */
    char clause[48];    /* document and clause */
};

/** One request on its way through the service layer. The caller owns it, zeroed at first, and keeps
 * it, its arena and everything the request points to until done() was called. */
struct bst_cse_call {
    struct bst_arena *arena;
    struct bst_m2m_request req;
    struct bst_association *assoc; /* NULL: no security association; bound to an AE it registers */
    struct bst_view cred_id;       /* where the association may be gone: its credential */
    struct bst_view peer_ip;       /* textual address without port, for access contexts */
    bool own;        /* made by this CSE itself: no originator check, no access decision */
    bool explain;    /* trace permissions too, keep the audit trail out of it */
    bool fanned_out; /* a group member's share of a request: validity was checked once already */
    unsigned fan_level, fan_left; /* groups above this share, and requests that it may become */
    const struct bst_originator
        *proved_as; /* the originator was verified before the association could go */
    void (*done)(
        struct bst_cse_call *call); /* on the worker's loop; may be called before handle returns */
    void *user;

    struct bst_m2m_response rsp; /* out; memory from the arena */
    struct bst_cse_trace trace;  /* out */
    struct bst_cse_op *op;       /* private */
};

/** The kinds of change that others may want to know of (m2m:notificationEventType). */
enum bst_cse_event_kind {
    BST_CSE_EVENT_UPDATE = 1,        /* the resource itself changed */
    BST_CSE_EVENT_DELETE = 2,        /* the resource itself went */
    BST_CSE_EVENT_CHILD_CREATE = 3,  /* `parent` got the resource as a direct child */
    BST_CSE_EVENT_CHILD_DELETE = 4,  /* `parent` lost it */
    BST_CSE_EVENT_MISSING_CHILD = 5, /* <latest> or <oldest> of an empty container was asked for */
};

struct bst_cse_event {
    struct bst_cse_event *next;
    enum bst_cse_event_kind kind;
    int ty;
    int64_t id;                 /* store id of the resource */
    int64_t parent;             /* store id of its parent */
    int64_t creator;            /* principal of who made it, 0 none */
    struct bst_view root;       /* "m2m:cnt" */
    struct bst_view after;      /* members of the representation after the change, without braces */
    struct bst_view before;     /* the same before the change; empty for a create */
    struct bst_view modified;   /* members that an UPDATE changed, deleted ones as null */
    struct bst_view originator; /* who did it; empty for expiry */
};

/** Who takes the events. */
struct bst_cse_events {
    void *ctx;
    /* On the writer's thread, in the transaction, once per write that has events: whatever it
     * writes commits or fails together with the change. A failure fails the request. May be NULL.
     */
    bst_result (*in_transaction)(void *ctx, struct bst_cse_op *op,
                                 const struct bst_cse_event *first);
    /* On the worker's loop after the change is durable. The list dies when it returns. May be NULL.
     */
    void (*committed)(void *ctx, struct bst_cse_op *op, const struct bst_cse_event *first);
};

struct bst_cse_config {
    struct bst_store *store;    /* opened with the schema of store/resource.h; borrowed */
    struct bst_view sp_id;      /* "acme.example.com" */
    struct bst_view cse_id;     /* "/id-in" */
    struct bst_view cse_name;   /* "cse-in" */
    struct bst_view admin;      /* originator with full rights by the first policy, "CAdmin" */
    struct bst_view const *poa; /* points of access of the CSEBase */
    size_t n_poa;
    bool open_base; /* first start: the CSEBase's policy lets anyone retrieve, discover, create */
    bool check_subscription; /* AE registration asks the service subscription (TS-0004 7.3.2.7) */
    bool open_aes;    /* serve AEs without an association: field domain only (TS-0003 6.1.2.2.1) */
    bool strict_stem; /* refuse From of a registree AE in other than stem form (TS-0004 7.3.2.1) */
    const uint8_t *ri_key;   /* 32 bytes of the state folder; they fix the resource IDs for ever */
    int64_t default_life_us; /* expirationTime where the originator gave none, 0: 5 years */
    int64_t max_life_us;     /* longest expirationTime granted, 0: 20 years */
    uint32_t max_results;    /* resources in one answer, 0: 5000 */
    /* What a read may take on the worker's loop before it goes to a background thread. */
    int64_t step_budget;     /* store steps, 0: 200000 (some 10 ms) */
    int64_t time_budget_us;  /* 0: 4000 */
    struct bst_se *se;       /* the secure environment that <SE> stands for; NULL: none. Borrowed */
    struct bst_audit *audit; /* may be NULL; borrowed */
    const struct bst_cse_events *events; /* may be NULL; borrowed */
    /* In the transaction that created an AE: bind the credential of the association to its AE-ID.
     */
    bst_result (*bind_credential)(void *ctx, struct bst_store_conn *txn,
                                  const struct bst_association *assoc, struct bst_view ae_id_stem);
    /* In the transaction that removed an AE. */
    bst_result (*unbind_credential)(void *ctx, struct bst_store_conn *txn,
                                    struct bst_view ae_id_stem);
    /* What one of these two wrote is durable now; the one notice of it, before the answer. May be
     * NULL.
     * @thread a loop */
    void (*bindings_durable)(void *ctx);
    /* A request that waited for its time begins: does its credential still hold? BST_E_REVOKED if
     * not. May be NULL. */
    bst_result (*check_credential)(void *ctx, struct bst_store_conn *conn, struct bst_view cred_id);
    void *bind_ctx;
};

/** Open the service layer on a store; the first time, create the CSEBase and its policies.
 *
 * Texts of the configuration are copied. A store that belongs to another CSE-ID is refused.
 * @error BST_E_CONFIG  an identifier does not have its form, or the store belongs to another CSE
 * @thread one, at start
 */
bst_result bst_cse_new(const struct bst_cse_config *config, struct bst_cse **ret);
/** All workers must be gone. */
void bst_cse_free(struct bst_cse **cse);

/** One worker per loop: its own reader on the store. */
bst_result bst_cse_worker_new(struct bst_cse *cse, struct bst_loop *loop,
                              struct bst_cse_worker **ret);
void bst_cse_worker_free(struct bst_cse_worker **worker);
/** Before bst_cse_worker_free(): end what waits for its time. False while operations are under way,
 * also such whose call was answered already: run the loop on and ask again.
 * @thread the worker's loop, or any after that has ended */
bool bst_cse_worker_settle(struct bst_cse_worker *worker);

/** Take a request from outside through all steps of TS-0004 7.2.2.2.
 *
 * Reads are answered at once unless they take more than step_budget or time_budget_us; writes when
 * they are durable. done() is always called exactly once.
 * @thread the worker's loop
 */
void bst_cse_handle(struct bst_cse_worker *worker, struct bst_cse_call *call);

/** What would be decided if this originator asked for this now; nothing is done.
 *
 * @param op         operation; BST_OP_RETRIEVE with `discovery` for discovery
 * @param child_ty   resource type of a CREATE, else 0
 * @param proved     whether the originator is to count as authenticated
 * @error BST_E_NOT_FOUND  no such target
 * @thread any but the store's writer; blocks
 */
struct bst_cse_question {
    struct bst_view originator, target;
    enum bst_m2m_op op;
    bool discovery, proved;
    int child_ty;
    struct bst_view peer_ip;
    int64_t at_us; /* moment to decide for, 0: now */
};
bst_result bst_cse_explain(struct bst_cse *cse, const struct bst_cse_question *question,
                           struct bst_cse_trace *ret);

/** Remove what has expired by now, with its descendants, a slice at a time; the owner calls it
 * every second or so and keeps one sweep at a time. `done`, on the worker's loop, says how many the
 * last slice removed; NULL is fine. */
void bst_cse_sweep(struct bst_cse_worker *worker, void (*done)(void *ctx, unsigned removed),
                   void *ctx);
