/* Inside the front of the secure environment: slots and handles, one use of a key, filters. */
#pragma once

#include "base/map.h"
#include "se/backend.h"

#include <pthread.h>
#include <stdatomic.h>

#define BST_SE_FILTERS_MAX 8

struct bst_se_pool; /* async.c */

/* A key: made with one reference by the slot table, plus one for each call under way. */
struct bst_se_entry {
    atomic_uint refs;
    struct bst_se_object *object; /* NULL: label reserved, the backend is still at work */
    bool deleting, changing;
    struct bst_buf public_half; /* once it was read; under the core's lock */
    uint32_t slot;
};

struct bst_se_slot {
    struct bst_se_entry *entry;
    uint32_t generation; /* counts the keys that this slot has held: a stale handle differs */
    uint32_t next_free;
};

struct bst_se_core {
    atomic_uint refs;
    struct bst_se_host host;
    struct bst_se_backend *backend;
    atomic_int state;      /* enum bst_se_state */
    pthread_rwlock_t life; /* held while something is made or kept; exclusively for a new state */
    pthread_rwlock_t lock; /* guards what follows; never held over backend work */
    struct bst_se_slot *slots;
    uint32_t slots_used, slots_cap, first_free; /* free list by index + 1 */
    size_t count;
    struct bst_map labels;                            /* bst_se_name() -> entry */
    struct bst_map owned;                             /* owner -> number of keys, as a pointer */
    struct bst_se_filter filters[BST_SE_FILTERS_MAX]; /* filled before threads start */
    size_t n_filters;
    pthread_mutex_t pool_lock;
    struct bst_se_pool *pool; /* made by the first bst_se_submit() */
};

struct bst_se {
    struct bst_se_core *core;
    char owner[BST_KEY_OWNER_MAX + 1]; /* "": every owner */
};

/* ---- operations ---- */

enum bst_se_op {
    BST_SE_OP_GENERATE,
    BST_SE_OP_IMPORT,
    BST_SE_OP_DERIVED,
    BST_SE_OP_UNWRAPPED,
    BST_SE_OP_PUBLIC,
    BST_SE_OP_SIGN,
    BST_SE_OP_MAC,
    BST_SE_OP_DERIVE,
    BST_SE_OP_SEAL,
    BST_SE_OP_UNSEAL,
    BST_SE_OP_ECIES_OPEN,
    BST_SE_OP_AGREE,
    BST_SE_OP_RUN,
    BST_SE_OP_RELEASE_PSK,
    BST_SE_OP_READ,
    BST_SE_OP_REPLACE,
    BST_SE_OP_WRAP,
    BST_SE_OP_WRAP_UNDER,
    BST_SE_OP_UNWRAP_UNDER,
    BST_SE_OP_CHECK_VALUE,
    BST_SE_OP_ATTEST,
    BST_SE_OP_DELETE,
    BST_SE_OP_RENAME,
    BST_SE_OP_RANDOM,
    BST_SE_OP_HASH,
    BST_SE_OP_COUNTER_GET,
    BST_SE_OP_COUNTER_NEXT,
    BST_SE_OP_COUNTER_REMOVE,
    BST_SE_OP_ACTIVATE,
    BST_SE_OP_BLOCK,
    BST_SE_OP_WIPE,
    BST_SE_OP_PIN_CHANGE,
    BST_SE_OP_COUNT,
};

/* ---- keys.c: slots, labels, counts ---- */

bst_key bst_se_handle_of(const struct bst_se_core *core, uint32_t index);
bool bst_se_owner_sees(const struct bst_se *se, const struct bst_key_attrs *attrs);
/** The entry with a reference. To another owner a key looks absent. */
bst_result bst_se_entry_get(struct bst_se *se, bst_key key, struct bst_se_entry **ret);
void bst_se_entry_drop(struct bst_se_core *core, struct bst_se_entry *entry);
/** Everything that can fail in memory happens here, before the backend makes anything durable. */
bst_result bst_se_entry_reserve(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                                struct bst_se_entry **ret);
void bst_se_entry_unreserve(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                            struct bst_se_entry *entry);
bst_key bst_se_entry_publish(struct bst_se_core *core, struct bst_se_entry *entry,
                             struct bst_se_object *object);
/** One key more of its owner, and how many that makes; a borrowed one counts for nobody: 0. */
bst_result bst_se_owned_more(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                             size_t *ret);
void bst_se_owned_less(struct bst_se_core *core, const struct bst_key_attrs *attrs);
/** Off storage and out of sight; the entry itself stays until its last reference goes. */
bst_result bst_se_entry_remove(struct bst_se_core *core, struct bst_se_entry *entry);
/** Any entry, with a reference; NULL: there is none. */
struct bst_se_entry *bst_se_entry_any(struct bst_se_core *core);

/* ---- use.c: one use, through the filters ---- */

struct bst_se_use {
    struct bst_se_core *core;
    struct bst_se_entry *entry; /* NULL: an operation without a key */
    struct bst_se_event event;
    uint32_t agreed; /* filters that agreed, a bit each */
};
/** Ask the filters and the life cycle; `event` has everything but the name of the operation. The
 * end is told even when this fails. */
bst_result bst_se_ask(struct bst_se *se, enum bst_se_op op, struct bst_se_use *use);
/** Before something is made or kept: BST_E_SE_BLOCKED, or until bst_se_leave() no wiping and no
 * other state comes in between. */
bst_result bst_se_enter(struct bst_se_core *core);
bst_result bst_se_leave(struct bst_se_core *core, bst_result outcome);
/** End: filters hear the outcome, the reference goes. */
bst_result bst_se_use_end(struct bst_se_use *use, bst_result outcome);
/** A key for an operation; on failure the use has ended. */
bst_result bst_se_use_begin(struct bst_se *se, bst_key key, enum bst_se_op op, const char *why,
                            struct bst_se_use *ret);
/** Something without a key. */
bst_result bst_se_act_begin(struct bst_se *se, enum bst_se_op op, const char *label,
                            const char *why, struct bst_se_use *ret);
/** BST_E_SE_MECHANISM in words. */
bst_result bst_se_cannot(const struct bst_se_core *core, const char *what);

/** Call a backend operation of a use; the rest of the arguments and the ')' follow. */
#define BST_SE_BACKEND(use, op)                                                                    \
    (use).core->backend->ops->op((use).core->backend, (use).entry->object
/** The same where the backend may not have it. */
#define BST_SE_OPTIONAL(use, op, what, ...)                                                        \
    ((use).core->backend->ops->op ? (use).core->backend->ops->op((use).core->backend, __VA_ARGS__) \
                                  : bst_se_cannot((use).core, what))

/* ---- make.c ---- */

/** A new key: by `make` from `ctx`, its level not above `level`. */
struct bst_se_making {
    enum bst_se_op op;
    int level; /* upper bound; 3: none */
    bst_result (*make)(void *ctx, struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                       struct bst_se_object **ret);
    void *ctx;
};
bst_result bst_se_make_key(struct bst_se *se, const struct bst_se_making *making,
                           const struct bst_key_attrs *attrs, bst_key *ret);
int bst_se_level_of(const struct bst_se_backend *backend);
/** Octets that data may have. */
bst_result bst_se_check_data(const struct bst_key_attrs *attrs, const struct bst_secret *value);

/* ---- se.c ---- */

/** As bst_se_sign() over a digest (ECDSA) or a message (Ed25519). */
bst_result bst_se_sign_raw(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view tbs,
                           uint8_t *out, size_t *ret_len);

/* ---- async.c ---- */

/** Workers end when nothing is left to do; harmless on one of them. */
void bst_se_pool_end(struct bst_se_pool *pool);
