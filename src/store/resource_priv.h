/* What the files of the CSE schema share. */
#pragma once

#include "base/map.h"
#include "store/resource.h"

#include <pthread.h>

/* In the order that row_read() expects. */
#define ROW_COLUMNS "id,pi,ty,name,ct,lt,et,st,cni,cbs,cr,body"

/** Counters of one row, as the current batch has them. */
struct counter {
    int64_t id; /* 0: free slot */
    struct bst_counters value;
    uint64_t job; /* the job that last changed it: its old state is in the undo list already */
    bool present, dirty;
};

/** Beside the tables: writer thread only, but for the principals. */
struct resource_state {
    struct counter *counters; /* open addressing, power of two */
    size_t counters_cap, counters_used;
    int64_t *dirty; /* ids that flush has to look at */
    size_t n_dirty, dirty_cap;
    struct counter *undo;
    size_t n_undo, undo_cap;
    uint64_t job;

    int64_t next_id;
    int64_t reserved, reserved_committed; /* ids below are never given out by a later process */

    bool new_principals; /* in this batch: what the writer reads may be taken back */
    pthread_rwlock_t principals_lock;
    struct bst_map principal_ids, principal_names; /* name -> id, id -> name */
};

extern const struct bst_store_hooks resource_hooks;

/* counters.c */
void counters_job_end(struct resource_state *state, bool kept);
void counters_batch_end(struct resource_state *state, bool committed);
bst_result counters_flush(struct bst_store_conn *writer, struct resource_state *state);
void counters_clear(struct resource_state *state);
/* resource_words.c */
void principals_clear(struct resource_state *state);

/** The row under the cursor, borrowed; counters of the running batch included. */
void row_read(struct bst_store_conn *conn, struct bst_query *q, struct bst_row *ret);

/** Let the running batch's counters show. */
void counters_overlay(struct bst_store_conn *conn, struct bst_row *row);
/** The row was written with these counters, or (NULL) is gone. */
bst_result counters_written(struct bst_store_conn *writer, int64_t id,
                            const struct bst_counters *value);

/** Delete one row with all that hangs on it; no questions asked. */
bst_result row_delete(struct bst_store_conn *writer, int64_t id);
bst_result labels_clear(struct bst_store_conn *writer, int64_t id);
/** Take a row out of the tree and queue it for reclaim; *ret_found false when it is not in the
 * tree. */
bst_result row_detach(struct bst_store_conn *writer, int64_t id, bool *ret_found);
