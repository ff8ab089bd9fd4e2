/* From events to notifications: which subscriptions an event concerns, and what each target is
 * told. TS-0004 7.4.8, 7.5.1.2.2 to 7.5.1.2.4; TS-0001 9.6.8. */
#pragma once

#include "cse/cse_priv.h"
#include "cse/notifier.h"

/** m2m:notificationEventType as bits: 1 << number. */
#define BST_NET_BIT(net) (1u << (net))

/** A <subscription>, read. Lives in the arena of its operation. */
struct bst_cse_sub {
    struct bst_m2m_views nu;
    uint32_t net; /* BST_NET_BIT; update of the resource when nothing is said */
    int nct;      /* m2m:notificationContentType, 0 absent */
    int ec;       /* Event Category, 0 none; latestNotify makes it 4 */
    struct bst_m2m_ints chty;
    struct bst_m2m_views atr;
    struct bst_m2m_filter conditions; /* the ten that filterOperation joins */
    int64_t exc;                      /* 0 absent */
    struct bst_view su;
    /* of a creation under way */
    struct bst_view sur;          /* address that targets are told */
    struct bst_m2m_views unasked; /* targets that have to agree */
};

/** A notification that leaves when the change is durable. */
struct bst_cse_note {
    struct bst_cse_note *next;
    struct bst_view target, pc;
    int ec;
    int64_t key;
};

/** Read the stored attributes, or those of a representation. @error BST_E_VALUE names the attribute
 */
bst_result bst_cse_sub_read(struct bst_arena *arena, yyjson_val *attrs, struct bst_cse_sub *ret);
/** Send events to a notifier: goes into bst_cse_config.events. */
void bst_cse_notify_events(struct bst_notifier *notifier, struct bst_cse_events *ret);
/** Ask the targets of op->verify, then go on with the operation (TS-0004 7.5.1.2.3).
 * BST_E_SUBSCRIPTION_VERIFICATION ends it when one refuses or cannot be reached. */
void bst_cse_notify_verify(struct bst_cse_op *op);

/** Pass a NOTIFY on to the AE that it addresses, after the access decision (TS-0004 7.3.3.9); on
 * success the operation is finished by bst_cse_finish() with the AE's status. On the worker's loop.
 * @error BST_E_NOT_REACHABLE  no AE, or notifications are not delivered here */
bst_result bst_cse_notify_forward(struct bst_cse_op *op);

/** URI scheme and "://" in front: a notification target that is no resource ID. */
bool bst_cse_is_url(struct bst_view v);

/** RETRIEVE and NOTIFY of a <pollingChannelURI> (TS-0004 7.4.22), after the existence check: on
 * success the operation is finished by bst_cse_finish(), now or later. On the worker's loop. */
bst_result bst_cse_polling_uri(struct bst_cse_op *op);
