/* What the files of the service layer share: the CSE, one operation on its way, resources in
 * memory. */
#pragma once

#include "base/map.h"
#include "cse/cse.h"
#include "onem2m/r1.h"
#include "sec/acp.h"
#include "sec/registration.h"
#include "store/resource.h"

#include <pthread.h>
#include <stdatomic.h>

/** Policies by the text of an acpi entry, compiled. Belongs to one connection; emptied when the
 * generation of all policies moved on. */
struct bst_cse_cache {
    uint64_t generation;
    struct bst_map policies; /* text -> struct bst_cse_policy * */
};
struct bst_cse_policy {
    struct bst_acp_rules *pv, *pvs; /* NULL: missing, grants nothing */
};
void bst_cse_cache_clear(struct bst_cse_cache *cache);

/** Group requests seen lately (TS-0004 7.3.3.2). */
struct bst_cse_seen {
    pthread_mutex_t lock;
    struct bst_map until; /* "gid target" -> struct seen_entry * */
};

struct bst_cse {
    struct bst_cse_config config; /* its texts live in `texts` */
    struct bst_arena texts;
    struct bst_self self;
    struct bst_view csi;     /* "/id-in" */
    struct bst_view base_ri; /* "id-in" */
    struct bst_ri_key ri_key;
    int64_t base_id;
    char admin_policy[BST_RI_LEN + 1]; /* resource ID of the policy that holds for everything */
    struct bst_originator own;         /* this CSE as an originator */
    _Atomic uint64_t generation; /* of all policies: moves before and after each change commits */
    _Atomic bool closing;
    struct bst_cse_cache writer_cache;
    struct bst_cse_seen seen;
    struct bst_metric *requests[6], *denied;
    int se_type, se_level; /* of the secure environment (TS-0016 10.1), where there is one */
    struct bst_view se_id; /* M2M-SE-ID */
};

#define BST_CSE_LONG_READERS 64

struct bst_cse_worker {
    struct bst_cse *cse;
    struct bst_loop *loop;
    struct bst_store_conn *reader;
    struct bst_cse_cache cache;
    struct bst_list waits; /* operations whose time has not come */
    unsigned n_waits;
    size_t in_work; /* operations that are not over, answered ones included */
    size_t later;   /* non-blocking requests among them */
    int64_t long_readers[BST_CSE_LONG_READERS]; /* by From: until when long reads go straight to
                                                   the background */
};

/** A resource in memory. What is found out about it later lives in the same arena. */
struct bst_cse_res {
    struct bst_arena *arena;
    struct bst_row row;              /* name filled in, generated ones included */
    const struct bst_m2m_type *type; /* of the specialization, where there is one */
    const struct bst_cse_type *rules;
    struct bst_view ri;
    struct bst_view stored;     /* row.body without its private head */
    yyjson_val *attrs;          /* `stored` as an object; bst_cse_attrs() */
    struct bst_cse_res *parent; /* bst_cse_parent() */
    struct bst_view path;       /* structured, CSE-relative; bst_cse_path() */
};

/** What To points at. */
struct bst_cse_target {
    struct bst_m2m_address address;
    struct bst_cse_res *res;       /* the instance for <latest> and <oldest> */
    struct bst_cse_res *container; /* of <latest>, <oldest>; owner of another virtual resource */
    enum bst_m2m_virtual virt;
    struct bst_view suffix; /* what follows a fan-out point, no leading slash */
};

/** The resource of a CREATE or UPDATE, checked before the transaction; the verdict waits for its
 * step. */
struct bst_cse_content {
    const struct bst_m2m_type *type;
    yyjson_val *members;
    bst_result check;
    struct bst_view detail;
};

/** Attributes being put together: names and JSON texts. */
struct bst_cse_member {
    struct bst_view name, text;
};
struct bst_cse_members {
    struct bst_arena *arena;
    struct bst_cse_member *v;
    size_t n, cap;
    bool failed;
};
void bst_cse_members_set(struct bst_cse_members *m, struct bst_view name, struct bst_view text);
void bst_cse_members_set_text(struct bst_cse_members *m, const char *name, struct bst_view value);
void bst_cse_members_set_number(struct bst_cse_members *m, const char *name, int64_t value);
void bst_cse_members_remove(struct bst_cse_members *m, struct bst_view name);
const struct bst_cse_member *bst_cse_members_find(const struct bst_cse_members *m,
                                                  struct bst_view name);
void bst_cse_members_add_json(struct bst_cse_members *m, yyjson_val *object);
/** "a":1,"b":2 */
bst_result bst_cse_members_join(const struct bst_cse_members *m, struct bst_view *ret);

struct bst_cse_decision_memo {
    uint64_t key;
    uint32_t op;
    bool permit;
};
#define BST_CSE_MEMO 16

/** One operation on one resource. */
struct bst_cse_op {
    struct bst_cse *cse;
    struct bst_cse_worker *worker;
    struct bst_cse_call *call;
    const struct bst_m2m_request *req;
    struct bst_arena *arena;
    struct bst_store_conn *conn;
    struct bst_cse_cache *cache;
    struct bst_cse_cache own_cache; /* on a background thread */
    bool writing, checked;          /* in a transaction; Recv-1.0 is behind us */
    int64_t now_us;
    int rcn;
    struct bst_originator who;
    struct bst_ip ip;
    bst_result lookup; /* of a look-up inside a decision, whose callback cannot fail */
    struct bst_cse_target target;
    struct bst_cse_content content;
    struct bst_registration_grant grant; /* registration of an AE */
    bool granted;
    struct bst_view registered, deregistered; /* stems, for the association when it is durable */
    struct bst_cse_decision_memo memo[BST_CSE_MEMO];
    unsigned memo_next;
    bool policies_changed;
    bool gid_checked;
    bool hand_over;           /* another part goes on with the call: NOTIFY, fan-out, polling */
    bool early;               /* Operation Execution Time lies ahead */
    bool later;               /* and answers before it is done: a non-blocking request */
    bool purging, purge_more; /* this is a slice of a purge */
    struct bst_cse_event *events, **events_tail;
    struct bst_cse_note *notes,
        **notes_tail; /* notifications that leave when the change is durable */
    size_t notes_n, notes_bytes;
    const struct bst_cse_sub *verify; /* a subscription whose targets must agree first (notify.c) */
    bool verified;
    struct bst_cse_secure *secure; /* what the secure environment has to do with it (type_se.h) */
    struct bst_view extra;         /* members that only this answer has */
    struct bst_buf out;            /* content of the answer */
    struct bst_store_job job;
};

/* resource types (types.c, type_*.c) */

/** Who governs a resource (TS-0001 9.6.1.3.2). */
enum bst_cse_governor {
    BST_GOVERN_ACPI,    /* its acpi; without one, its creator */
    BST_GOVERN_PARENT,  /* no acpi by definition: as its parent */
    BST_GOVERN_SELF,    /* its own selfPrivileges */
    BST_GOVERN_INHERIT, /* its acpi; without one, as its parent (TS-0016) */
};

/** A resource in the making or being changed. */
struct bst_cse_draft {
    const struct bst_m2m_type *type;
    const struct bst_cse_type *rules;
    struct bst_cse_res *parent;
    struct bst_cse_res *old; /* UPDATE */
    yyjson_val *given;       /* members of the request */
    struct bst_row row;
    struct bst_cse_members members; /* what becomes the body */
    struct bst_view alias;          /* resource ID that the type brings itself */
    struct bst_view creator;        /* absolute id of who may do everything by default */
    bool labels_changed;
};

struct bst_cse_type {
    int ty;
    enum bst_cse_governor governor;
    uint32_t refused;  /* operations answered 4005, bit = 1 << op */
    uint32_t virtuals; /* virtual children, bit = 1 << enum bst_m2m_virtual */
    /* Each may be NULL. Steps of TS-0004 7.4.x on top of the generic procedures. */
    bst_result (*create)(struct bst_cse_op *op, struct bst_cse_draft *draft); /* Recv-6.4, 6.5 */
    bst_result (*created)(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res);
    bst_result (*update)(struct bst_cse_op *op, struct bst_cse_draft *draft);
    bst_result (*updated)(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res *res);
    bst_result (*before_delete)(struct bst_cse_op *op, struct bst_cse_res *res);
    bst_result (*deleted)(struct bst_cse_op *op, struct bst_cse_res *res);
    bst_result (*read)(struct bst_cse_op *op, struct bst_cse_res *res); /* before a retrieve */
    void (*present)(struct bst_cse_op *op, const struct bst_cse_res *res, struct bst_buf *out);
};
/** NULL when this CSE does not support the type. */
const struct bst_cse_type *bst_cse_type_find(int ty);
const struct bst_cse_type *bst_cse_type_at(size_t i);
/** Flags of a type, for a specialization together with those of what it specializes. */
uint32_t bst_cse_flags(const struct bst_m2m_type *type);
extern const struct bst_cse_type bst_cse_type_acp, bst_cse_type_ae, bst_cse_type_cnt,
    bst_cse_type_cin, bst_cse_type_cb, bst_cse_type_grp, bst_cse_type_pch, bst_cse_type_req,
    bst_cse_type_sub, bst_cse_type_svsn, bst_cse_type_se, bst_cse_type_sdo, bst_cse_type_ciph,
    bst_cse_type_asp, bst_cse_type_sign, bst_cse_type_hash, bst_cse_type_rand, bst_cse_type_iden,
    bst_cse_type_seco, bst_cse_type_coin;

/* target.c */
bst_result bst_cse_target_find(struct bst_cse_op *op, struct bst_view to,
                               struct bst_cse_target *ret);
/** A resource by any local address; *ret NULL when there is none or it is not local. */
bst_result bst_cse_find(struct bst_cse_op *op, struct bst_view address, struct bst_cse_res **ret);
/** Wrap a row; texts must already live in the arena. `parent` may be NULL. */
bst_result bst_cse_res_new(struct bst_cse_op *op, const struct bst_row *row,
                           struct bst_cse_res *parent, struct bst_cse_res **ret);
bst_result bst_cse_res_by_id(struct bst_cse_op *op, int64_t id, struct bst_cse_res **ret);
/** NULL for the CSEBase. */
bst_result bst_cse_parent(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_cse_res **ret);
bst_result bst_cse_path(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret);
bst_result bst_cse_attrs(struct bst_cse_op *op, struct bst_cse_res *res, yyjson_val **ret);
/** One stored attribute, NULL when absent. */
bst_result bst_cse_attr(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                        yyjson_val **ret);
/** A number among the stored attributes; `absent` when there is none. */
bst_result bst_cse_number(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn,
                          int64_t absent, int64_t *ret);
bst_result bst_cse_flag(struct bst_cse_op *op, struct bst_cse_res *res, const char *sn, bool *ret);
/** Direct child by name, generated names included; *ret NULL when there is none. */
bst_result bst_cse_child(struct bst_cse_op *op, struct bst_cse_res *parent, struct bst_view name,
                         struct bst_cse_res **ret);
bst_result bst_cse_instance(struct bst_cse_op *op, struct bst_cse_res *container, bool latest,
                            struct bst_cse_res **ret);

/* access.c */
struct bst_cse_need {
    uint32_t acop; /* one BST_ACOP_ bit */
    int create_ty;
    struct bst_view content_spec;
    bool self;    /* selfPrivileges of the policies that acpi names */
    bool members; /* of a group: membersAccessControlPolicyIDs first, where there are any */
};
bst_result bst_cse_access(struct bst_cse_op *op, struct bst_cse_res *res,
                          const struct bst_cse_need *need, bool *ret_permit);
/** As above, as a step: BST_E_DENIED with a sentence for the peer, and the trace and audit filled.
 */
bst_result bst_cse_demand(struct bst_cse_op *op, struct bst_cse_res *res,
                          const struct bst_cse_need *need);
/** May somebody who is not the originator of `op` read it, were they connected from anywhere? */
bst_result bst_cse_access_of(struct bst_cse_op *op, struct bst_cse_res *res,
                             const struct bst_originator *who, bool *ret_permit);
/** All policies may have changed: readers and writer compile anew. */
void bst_cse_policies_moved(struct bst_cse *cse);
/** After the commit: credentials have been bound to AEs or are free of them, if it was one of
 * these.
 */
void bst_cse_bindings_durable(const struct bst_cse_op *op, bst_result result);

/* present.c */
/** Members of the full representation, without braces. */
bst_result bst_cse_represent(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_buf *out);
/** The same as this originator gets it: what Release 1 did not know is left out, and with n only
 * the attributes of `only` are shown. */
bst_result bst_cse_show(struct bst_cse_op *op, struct bst_cse_res *res, const struct bst_view *only,
                        size_t n, struct bst_buf *out);
/** {"m2m:xxx":{...}} with the attributes of `only`, or all when n is 0. */
bst_result bst_cse_put_resource(struct bst_cse_op *op, struct bst_cse_res *res,
                                const struct bst_view *only, size_t n);
bst_result bst_cse_put_modified(struct bst_cse_op *op, struct bst_cse_res *before,
                                struct bst_cse_res *after, bool against_request);
/** Address in the form that drt asks for. */
bst_result bst_cse_address(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view *ret);
struct bst_view bst_cse_root(const struct bst_cse_res *res);

/* filter.c */
bst_result bst_cse_match(struct bst_cse_op *op, struct bst_cse_res *res,
                         const struct bst_m2m_filter *filter, bool *ret);
/** The resource that applyRelativePath leads to from a match; *ret NULL when there is none. */
bst_result bst_cse_apply_path(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view path,
                              struct bst_cse_res **ret);
/** May the originator see it, as a match of a retrieve with children or of a discovery? */
bst_result bst_cse_visible(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret);
/** An <AE> whose registrationStatus is INACTIVE: discovery passes by it and what is below. */
bst_result bst_cse_inactive(struct bst_cse_op *op, struct bst_cse_res *res, bool *ret);
bool bst_cse_may_have_children(const struct bst_cse_res *res);

/* tree.c, discover.c */
bst_result bst_cse_put_children(struct bst_cse_op *op, struct bst_cse_res *res);
bst_result bst_cse_discover(struct bst_cse_op *op, struct bst_cse_res *res);
/** {"nm":..,"typ":..,"val":..} of a resource, with a comma before when it is not the first. */
bst_result bst_cse_put_reference(struct bst_cse_op *op, struct bst_cse_res *res,
                                 struct bst_buf *out, bool first);

/** Descendants in depth-first order, children by type and age. `visit` gives in *ret_below what the
 * visits below get as `above` (it starts as `above`), NULL to pass by what is below; it ends the
 * walk by walk->stop. A resource dies when its visit and those below it are done. */
struct bst_cse_walk {
    struct bst_cse_op *op;
    bst_result (*visit)(struct bst_cse_walk *walk, struct bst_cse_res *res, unsigned level,
                        void *above, void **ret_below);
    unsigned max_level;
    bool stop;
    unsigned visited;
    void *user;
};
bst_result bst_cse_walk(struct bst_cse_walk *walk, struct bst_cse_res *root, void *above);

/* the operations, Recv-6.4 and 6.5 */
bst_result bst_cse_create(struct bst_cse_op *op);
bst_result bst_cse_retrieve(struct bst_cse_op *op);
bst_result bst_cse_update(struct bst_cse_op *op);
bst_result bst_cse_delete(struct bst_cse_op *op);
/** Remove a resource with all that hangs below; the parent's counters and the events follow. */
bst_result bst_cse_remove(struct bst_cse_op *op, struct bst_cse_res *res);
/** expirationTime: as given (NULL: by policy), in the future, within policy and the parent's. */
bst_result bst_cse_expiration(struct bst_cse_op *op, yyjson_val *given, struct bst_cse_res *parent,
                              int64_t *ret);
/** Local entries of an acpi must be policies. NULL is fine. */
bst_result bst_cse_check_acpi(struct bst_cse_op *op, yyjson_val *acpi);
bst_result bst_cse_set_labels(struct bst_cse_op *op, int64_t id, yyjson_val *labels);
bst_result bst_cse_body(struct bst_cse_op *op, const struct bst_m2m_type *type,
                        struct bst_view root, const struct bst_cse_members *members,
                        struct bst_view *ret);
/** stateTag of a container counts changes of its children too (TS-0001 10.1.4). */
bst_result bst_cse_touch_parent(struct bst_cse_op *op, struct bst_cse_res *res);
/** Insert a finished draft: name, identifiers, labels, creator. */
bst_result bst_cse_insert(struct bst_cse_op *op, struct bst_cse_draft *draft,
                          struct bst_cse_res **ret);
/** Remove oldest instances until mni and mbs hold with `extra` bytes more in one instance more. */
bst_result bst_cse_evict(struct bst_cse_op *op, struct bst_cse_res *container, int64_t extra_count,
                         int64_t extra_bytes, struct bst_counters *counters);

/* purge.c */
/** Go on removing oldest instances after this job: up to a store id, or 0: until the limits hold.
 */
bst_result bst_cse_purge_later(struct bst_cse_op *op, int64_t container, int64_t up_to);
bst_result bst_cse_purge_resume(struct bst_cse *cse, struct bst_store_conn *reader);

/* steps.c */
bst_result bst_cse_steps(struct bst_cse_op *op);
bool bst_cse_is_registration(const struct bst_cse_op *op);
bool bst_cse_is_discovery(const struct bst_cse_op *op);
/** On the loop's thread: parse and validate what needs no store. */
void bst_cse_prepare(struct bst_cse_op *op);

/* wait.c */
/** Run the operation again when its Operation Execution Time has come. On the worker's loop. */
bst_result bst_cse_wait(struct bst_cse_op *op);
/** End all waiting operations with BST_E_CANCELLED. */
void bst_cse_waits_cancel(struct bst_cse_worker *worker);
/** Run an operation from its first step. On the worker's loop. */
void bst_cse_start(struct bst_cse_op *op);

/* register.c */
bst_result bst_cse_check_subscription(struct bst_cse_op *op);
void bst_cse_registration(struct bst_cse_op *op, struct bst_ae_registration *ret);

/* events.c */
bst_result bst_cse_event_add(struct bst_cse_op *op, enum bst_cse_event_kind kind,
                             struct bst_cse_res *res, struct bst_view before,
                             struct bst_view modified);

/* seen.c */
bst_result bst_cse_seen_check(struct bst_cse *cse, struct bst_view gid, struct bst_view target,
                              int64_t now_us, int64_t until_us);
void bst_cse_seen_clear(struct bst_cse_seen *seen);

/* handle.c, bootstrap.c */
/** Queue the write of an operation again, from its first step. On the worker's loop. */
void bst_cse_submit(struct bst_cse_op *op);
/** End an operation: events, answer, done(). On the worker's loop. */
void bst_cse_finish(struct bst_cse_op *op, bst_result result);
/** Queue the write job of a checked operation (again). */
void bst_cse_submit(struct bst_cse_op *op);
/** Answer the call; the operation is over. On the worker's loop. */
void bst_cse_finish(struct bst_cse_op *op, bst_result result);
void bst_cse_op_init(struct bst_cse_op *op, struct bst_cse *cse, struct bst_cse_call *call);
bst_result bst_cse_bootstrap(struct bst_cse *cse);
