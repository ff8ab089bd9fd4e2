/* What the resource types of a secure environment share (TS-0016): whose keys, what is done inside,
 * what must be wiped.
 *
 * Nothing slow happens in a transaction. A step that needs the environment says so and fails; what
 * it wants runs on a background thread, and the operation takes all its steps again, with the
 * result at hand. The record of a key commits together with the resource that it belongs to; keys
 * without a record are what a crash left, and go at the next start. */
#pragma once

#include "cse/cse_priv.h"
#include "se/se.h"

/** Octets of one message or of one piece of sensitive data at most. */
#define BST_SECURE_INPUT_MAX (64 * 1024)

enum bst_secure_kind {
    BST_SECURE_NOTHING,
    BST_SECURE_KEEP, /* a new key seals the input */
    BST_SECURE_SEAL,
    BST_SECURE_UNSEAL,
    BST_SECURE_SIGN,
    BST_SECURE_VERIFY,
    BST_SECURE_MAC,
    BST_SECURE_VERIFY_MAC,
    BST_SECURE_GENERATE,
    BST_SECURE_DERIVE,
};

/** What is wanted of the environment. Texts live in the operation's arena. */
struct bst_secure_work {
    enum bst_secure_kind kind;
    const char *owner;          /* whose keys */
    const char *label;          /* of the key that is used, NULL none */
    struct bst_view sealed;     /* not empty: the key is what this one sealed */
    uint32_t needs;             /* uses of such a key */
    const char *made;           /* of the key that is made, NULL none */
    enum bst_key_type type;     /* of the key that is made */
    uint32_t uses;              /* of the key that is made */
    enum bst_md md;             /* of a signature */
    struct bst_view aad;        /* associated data; of a derivation: the information */
    struct bst_view salt;       /* of a derivation */
    struct bst_view data;       /* instead of the input that was taken out of the request */
    struct bst_view signature;  /* to be verified */
    struct bst_view public_key; /* to verify with, DER; empty: that of the key */
};

/** One operation's share of the environment. */
struct bst_cse_secure {
    struct bst_secret input; /* `msg` of the request, decoded; no longer in the request */
    bool has_input;
    bst_result input_error;
    const char *input_problem;
    struct bst_secure_work work; /* wanted, or done */
    bool wanted, done;
    unsigned rounds;
    bst_result outcome;
    char detail[256];
    struct bst_buf out; /* signature, sealed or opened data, public key of what was made */
    bool verified;
    struct bst_buf gone;   /* labels that this run took the records of, each with its NUL */
    struct bst_buf failed; /* labels made for nothing */
};

/* type_se_work.c: from the request to the environment and back */

/** Take sensitive data out of the request, before anything else sees it. On the loop. */
void bst_secure_divert(struct bst_cse_op *op);
/** Does the request carry what must not wait in a store or be multiplied? */
bool bst_secure_has_input(const struct bst_cse_op *op);
/** Does the request ask for what is in its answer only, and must not wait in a store either? */
bool bst_secure_answers_once(const struct bst_cse_op *op);
/** A run begins (again). */
void bst_secure_begin(struct bst_cse_op *op);
/** Did the run end because it waits for the environment? */
bool bst_secure_waits(const struct bst_cse_op *op);
/** Have it done and submit the operation again. On the loop. */
void bst_secure_go(struct bst_cse_op *op);
/** Wipe what must go, then call `end`; at once when there is nothing. On the loop. */
void bst_secure_settle(struct bst_cse_op *op, bst_result result,
                       void (*end)(struct bst_cse_op *op, bst_result result));
/** The same for an operation that nobody waits for. */
void bst_secure_settle_unasked(struct bst_cse_op *op, bst_result result);
/** Delete keys by their labels, each with its NUL; how many went. What cannot go now is logged. */
size_t bst_secure_wipe_keys(struct bst_se *se, const struct bst_buf *labels);
/** At the end of the operation. */
void bst_secure_clear(struct bst_cse_op *op);

/** In a transaction: OK when this very work is done, its result in op->secure; else it is asked
 * for, and the run must end with the error. */
bst_result bst_secure_run(struct bst_cse_op *op, const struct bst_secure_work *work);
/** The input of this request: BST_E_VALUE when there is none or it is not base64. */
bst_result bst_secure_input(struct bst_cse_op *op, size_t max, struct bst_view *ret);

/* type_se_keys.c: whose keys, by which names, for how long */

/** The stakeholder that an <SE>, or a resource below one, stands for. */
bst_result bst_secure_owner(struct bst_cse_op *op, struct bst_cse_res *res, const char **ret);
/** The same from the CSEBase or AE above. */
bst_result bst_secure_owner_of(struct bst_cse_op *op, struct bst_cse_res *above, const char **ret);
struct bst_secure_key {
    const char *owner, *label; /* label in the environment */
    struct bst_view sealed;    /* not empty: sensitive data that serves as a key */
    enum bst_key_type type;
    uint32_t uses;
};
/** A key by its handle "se:LABEL" among those of the stakeholder, for these uses. BST_E_VALUE. */
bst_result bst_secure_key(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view handle,
                          uint32_t uses, struct bst_secure_key *ret);
/** The same for who names it in a request: who may use a function, and so say which key it has,
 * does not thereby get at sensitive data that its own policy keeps from them. */
bst_result bst_secure_named_key(struct bst_cse_op *op, struct bst_cse_res *res,
                                struct bst_view handle, uint32_t uses, struct bst_secure_key *ret);
/** Let `work` be done with this key. */
void bst_secure_use(struct bst_secure_work *work, const struct bst_secure_key *key, uint32_t needs);
/** Label in the environment of a key to be made; `handle` empty: by chance. BST_E_CONFLICT when it
 * is taken. */
bst_result bst_secure_new_label(struct bst_cse_op *op, struct bst_cse_res *res,
                                struct bst_view handle, const char **ret_label);
bst_result bst_secure_new_data_label(struct bst_cse_op *op, struct bst_cse_res *res,
                                     const char **ret_label);
/** "se:LABEL" of a label in the environment. */
struct bst_view bst_secure_handle(struct bst_cse_op *op, const char *label);
/** Record what belongs to a resource; it goes with it. */
bst_result bst_secure_keep(struct bst_cse_op *op, int64_t id, const char *label,
                           struct bst_view sealed);
/** Take the records of a resource, and note the keys for wiping. */
bst_result bst_secure_forget(struct bst_cse_op *op, int64_t id);
/** The same for all that the environment of a CSEBase or AE holds for it. */
bst_result bst_secure_forget_owner(struct bst_cse_op *op, struct bst_cse_res *above);
/** At start: who we are, and away with what a crash left. */
bst_result bst_secure_start(struct bst_cse *cse);

/* type_se.c */

/** What every type of the family begins with: there is an environment, the input goes out, and at
 * creation the creator is recorded. */
bst_result bst_secure_draft(struct bst_cse_op *op, struct bst_cse_draft *draft);
/** BST_E_CONFLICT when the parent has a child of this type. */
bst_result bst_secure_only_one(struct bst_cse_op *op, const struct bst_cse_draft *draft);

/* type_se_func.c */
bool bst_secure_is_function(enum bst_m2m_virtual virt);
/** UPDATE of <encrypt>, <decrypt> or <generateKey>. */
bst_result bst_secure_function(struct bst_cse_op *op);
