/* The schema of the CSE: the resource tree, its ids, names, labels, principals, and small durable
 * facts.
 *
 * Rows hold as columns what is searched, sorted or counted; everything else is JSON members in
 * `body`. Functions that write run inside a job (on the writer's connection); the others on any
 * connection. On the writer they see the batch's own changes. "find" gives id 0 when there is
 * nothing. */
#pragma once

#include "store/store.h"

/** Give this to bst_store_open(). */
extern const struct bst_store_schema bst_resource_schema;

/** Parent of the CSEBase. */
#define BST_PI_ROOT INT64_C(0)
/** Parent of a row that has left the tree and waits for reclaim. */
#define BST_PI_DETACHED INT64_C(-1)

struct bst_row {
    int64_t id;           /* 0: no row */
    int64_t pi;           /* id of the parent */
    int32_t ty;           /* resourceType, > 0 */
    struct bst_view name; /* empty: generated, derived from the id by the caller */
    int64_t ct, lt, et;   /* creationTime, lastModifiedTime, expirationTime in us, 0 none */
    int64_t st;           /* stateTag */
    int64_t cni, cbs;     /* of a container; for a contentInstance cbs is its contentSize */
    int64_t cr;           /* creator: a principal's id, 0 none */
    struct bst_view body; /* JSON members without braces, may be empty */
};

/** Copy what the row borrows (name, body) into the arena. */
bst_result bst_row_copy(const struct bst_row *row, struct bst_arena *arena, struct bst_row *ret);

/* Single rows. `arena` takes name and body; NULL: leave both empty. Rows that have been detached
 * themselves are not found; for their descendants see bst_resource_attached(). */
bst_result bst_resource_find(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                             struct bst_row *ret);
bst_result bst_resource_find_name(struct bst_store_conn *conn, int64_t pi, struct bst_view name,
                                  struct bst_arena *arena, struct bst_row *ret);
bst_result bst_resource_find_alias(struct bst_store_conn *conn, struct bst_view ri,
                                   struct bst_arena *arena, struct bst_row *ret);
/** Newest or oldest child of a type: the highest or lowest id. */
bst_result bst_resource_find_latest(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                    struct bst_arena *arena, struct bst_row *ret);
bst_result bst_resource_find_oldest(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                    struct bst_arena *arena, struct bst_row *ret);
/** Does the row exist and does its chain of parents reach the CSEBase? A detached subtree lives on
 * in the tables until it is reclaimed: ask this whenever a row was found by id or label, not by
 * path. */
bst_result bst_resource_attached(struct bst_store_conn *conn, int64_t id, bool *ret);
/** The same for a row that was just found. */
bst_result bst_resource_row_attached(struct bst_store_conn *conn, const struct bst_row *row,
                                     bool *ret);
/** Any child (ty 0) or one of the type? */
bst_result bst_resource_has_child(struct bst_store_conn *conn, int64_t pi, int32_t ty, bool *ret);
/** Children, of the type unless 0, counting no further than `max`. */
bst_result bst_resource_count(struct bst_store_conn *conn, int64_t pi, int32_t ty, int64_t max,
                              int64_t *ret);

/** Insert; the id is assigned, never reused, greater than every earlier one. `row->id` is ignored.
 * @error BST_E_CONFLICT  a sibling has the name */
bst_result bst_resource_insert(struct bst_store_conn *writer, const struct bst_row *row,
                               int64_t *ret_id);
/** Replace lt, et, st, cni, cbs, cr and body of row->id; pi, ty, name and ct never change.
 * NOT_FOUND when gone. */
bst_result bst_resource_update(struct bst_store_conn *writer, const struct bst_row *row);
/** Delete one row that has no children, with its alias and labels. NOT_FOUND when gone, CONFLICT
 * with children. */
bst_result bst_resource_delete(struct bst_store_conn *writer, int64_t id);
/** Take a row and everything below out of the tree at once, whatever its size; space comes back in
 * the background. Name and alias of the row itself are free again immediately. NOT_FOUND when gone.
 */
bst_result bst_resource_detach(struct bst_store_conn *writer, int64_t id);

/** What changes with every child of a busy container; kept in memory and written once per batch. */
struct bst_counters {
    int64_t cni, cbs, st, lt;
};
/** NOT_FOUND when there is no such row. Writer only; readers find them in the row. */
bst_result bst_counters_get(struct bst_store_conn *writer, int64_t id, struct bst_counters *ret);
bst_result bst_counters_set(struct bst_store_conn *writer, int64_t id,
                            const struct bst_counters *value);

/* Walks. Do not change rows of the walk on the same connection while it is open: collect ids first.
 */

struct bst_cursor {
    struct bst_store_conn *conn; /* private, all of it */
    struct bst_query *query;
    bool attached_only;
};
/** Next row, valid until the next call; id 0 at the end. */
bst_result bst_cursor_next(struct bst_cursor *cursor, struct bst_row *ret);
void bst_cursor_clear(struct bst_cursor *cursor); /* accepts a zeroed one */

/** Where a walk over children goes on: behind the row of this type and id. Zero: from the start. */
struct bst_place {
    int32_t ty;
    int64_t id;
};
/** Children in the order (ty, id); of one type when `ty` is not 0, then simply oldest first. limit
 * 0: all. */
bst_result bst_children_open(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                             struct bst_place after, int64_t limit, struct bst_cursor *ret);
/** The same backwards, newest first; `before` zero: from the end. */
bst_result bst_children_open_desc(struct bst_store_conn *conn, int64_t pi, int32_t ty,
                                  struct bst_place before, int64_t limit, struct bst_cursor *ret);
/** Rows that carry a label, by id, behind `after_id`. May hold detached rows' descendants. */
bst_result bst_labelled_open(struct bst_store_conn *conn, struct bst_view label, int64_t after_id,
                             int64_t limit, struct bst_cursor *ret);
/** Rows whose et lies before `now_us`, soonest first; attached ones only. */
bst_result bst_expired_open(struct bst_store_conn *conn, int64_t now_us, int64_t limit,
                            struct bst_cursor *ret);

/** Ids that resources bring themselves (CSEBase, AE, ...). BST_E_CONFLICT when somebody in the tree
 * has it. */
bst_result bst_alias_set(struct bst_store_conn *writer, struct bst_view ri, int64_t id);
/** Empty view when the row has none. */
bst_result bst_alias_of(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                        struct bst_view *ret);

/** Replace the labels of a row; doubles count once. */
bst_result bst_labels_set(struct bst_store_conn *writer, int64_t id, const struct bst_view *labels,
                          size_t n);

/** Small numbers for the names of originators. On the writer an unknown name gets one; on a reader
 * 0. */
bst_result bst_principal_id(struct bst_store_conn *conn, struct bst_view name, int64_t *ret);
/** Empty view for an unknown id. */
bst_result bst_principal_name(struct bst_store_conn *conn, int64_t id, struct bst_arena *arena,
                              struct bst_view *ret);

/* Small durable facts by name space and key: bindings, pending notifications, generations. */

/** Empty view with *ret_found false when there is none. */
bst_result bst_kv_get(struct bst_store_conn *conn, const char *ns, struct bst_view key,
                      struct bst_arena *arena, struct bst_view *ret, bool *ret_found);
bst_result bst_kv_put(struct bst_store_conn *writer, const char *ns, struct bst_view key,
                      struct bst_view value);
/** Put only where nothing is. BST_E_EXISTS otherwise. */
bst_result bst_kv_add(struct bst_store_conn *writer, const char *ns, struct bst_view key,
                      struct bst_view value);
/** OK also when there was none. */
bst_result bst_kv_delete(struct bst_store_conn *writer, const char *ns, struct bst_view key);
/** Entries in key order behind `after` (empty: from the start). `each` returns false to stop. Views
 * are valid during the call; `each` must not change the name space. */
bst_result bst_kv_each(struct bst_store_conn *conn, const char *ns, struct bst_view after,
                       bool (*each)(void *arg, struct bst_view key, struct bst_view value),
                       void *arg);

/* Resource identifiers (ri): the id under a keyed permutation, in base32. This hides how many
 * resources there are from whoever sees a few; it is not a cryptographic primitive and protects
 * nothing by itself: access is decided by policies, never by knowing an ri. */

#define BST_RI_LEN 13
struct bst_ri_key {
    uint32_t round[8];
};
/** From 32 secret bytes of the state folder; the same bytes give the same ids for ever. */
void bst_ri_key_init(struct bst_ri_key *key, const uint8_t bytes[32]);
/** a-z2-7, with NUL. */
void bst_ri_format(const struct bst_ri_key *key, int64_t id, char out[BST_RI_LEN + 1]);
/** BST_E_SYNTAX for anything that bst_ri_format() cannot have written. */
bst_result bst_ri_parse(const struct bst_ri_key *key, struct bst_view text, int64_t *ret_id);
