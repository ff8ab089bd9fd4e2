/* Delivery of notifications: an ordered, bounded queue per target, retries with back-off, and the
 * mailboxes of polling channels. Everything runs on one loop of its own, so that a slow target
 * never holds up a request. TS-0004 7.5.1.2; TS-0001 9.6.21, 9.6.22 (polling). */
#pragma once

#include "base/map.h"
#include "onem2m/primitive.h"
#include "sys/loop.h"

struct bst_cse;
struct bst_notifier;

/** One NOTIFY on its way to one point of access. */
struct bst_notify_attempt {
    struct bst_view url; /* http or https */
    struct bst_view
        target_id; /* absolute AE-ID or CSE-ID that must be proved; empty: the host of `url` */
    struct bst_m2m_request req; /* content in pc_text */
    int64_t timeout_ms;
    int64_t retry_ms; /* set by the transport: the target does not want another try before; 0 */
    void *user;       /* the transport's */
};
/** How requests leave the process; filled in by the daemon. */
struct bst_notify_transport {
    /** Send, and end it by exactly one bst_notify_sent(), now or later, on the notifier's loop. The
     * attempt stays valid until then.
     * BST_E_PERMISSION: an address that policy forbids; BST_E_NOT_REACHABLE: try again later. */
    void (*send)(void *ctx, struct bst_notify_attempt *attempt);
    void *ctx;
};
/** @param rsc  of the answer, when result is OK */
void bst_notify_sent(struct bst_notify_attempt *attempt, bst_result result, int rsc);

struct bst_notify_limits {
    unsigned per_target; /* waiting requests of one target, 0: 1000; the oldest give way */
    unsigned in_all;     /* 0: 100000 */
    unsigned tries;      /* 0: 5 */
    int64_t first_retry_ms, longest_retry_ms; /* 0: 500, 30000 */
    int64_t timeout_ms;                       /* of one attempt, 0: 10000 */
};

/** What to deliver; texts are copied. */
struct bst_notify_letter {
    struct bst_view target; /* URL, or address of an AE, a CSE or a group */
    struct bst_view fr;
    struct bst_view pc; /* content with its root member */
    int ec;          /* Event Category, 0 none; 4 (latest) replaces what waits with the same key */
    int64_t key;     /* what `ec` 4 compares: the subscription */
    bool once;       /* no retry, and an answer is awaited also over a polling channel */
    unsigned groups; /* that it went through on its way from the first target */
    /** How it ended, on `loop`; may be NULL. `rsc` when the target answered. */
    void (*done)(void *ctx, bst_result result, int rsc);
    void *ctx;
    struct bst_loop *loop;
};

/** @param loop  of a thread of its own; the notifier opens its own reader on the store of `cse`
 *  @thread the loop's, or before it runs */
bst_result bst_notifier_new(struct bst_cse *cse, struct bst_loop *loop,
                            const struct bst_notify_transport *transport,
                            const struct bst_notify_limits *limits, struct bst_notifier **ret);
/** What still waits is dropped, `done` told BST_E_CANCELLED. On the loop's thread, or after it
 * ended. */
void bst_notifier_free(struct bst_notifier **notifier);
/** Queue a letter. BST_E_NOMEM, or BST_E_LIMIT when too much waits. @thread any */
bst_result bst_notifier_post(struct bst_notifier *notifier, const struct bst_notify_letter *letter);

/** A RETRIEVE of pollingChannelURI that waits for a request. */
struct bst_notify_poll {
    int64_t channel;  /* store id of the pollingChannel */
    int64_t until_us; /* monotonic */
    struct bst_loop *loop;
    /** On `loop`: the request primitive as JSON (valid during the call), or BST_E_TIMEOUT. */
    void (*done)(struct bst_notify_poll *poll, bst_result result, struct bst_view request);
    void *user;
    /* private */
    struct bst_task task;
    struct bst_list link;
    struct bst_notifier *notifier;
    struct bst_buf text;
    bst_result result;
    struct bst_timer timer;
};
/** @thread any; `poll` stays the caller's and must live until `done` */
void bst_notifier_poll(struct bst_notifier *notifier, struct bst_notify_poll *poll);
/** The owner of a channel answered a request that it had polled. Unknown ones are ignored. @thread
 * any */
bst_result bst_notifier_response(struct bst_notifier *notifier, int64_t channel,
                                 struct bst_view rqi, int rsc);
