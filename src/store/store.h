/* The storage engine: one SQLite file, one writer thread with group commit, readers per thread.
 *
 * The SQL that callers write stays in the subset of the design (no triggers, no sequences), so that
 * another backend can carry it. What a schema means lives above: src/store/resource.h for the CSE.
 */
#pragma once

#include "base/text.h"
#include "sys/loop.h"

struct bst_store;
/** A connection: the writer's own (inside a job) or a reader. Used by one thread at a time. */
struct bst_store_conn;

/** What a schema adds to the writer; any member may be NULL. All run on the writer thread. */
struct bst_store_hooks {
    /** After the migrations, before the first job. */
    bst_result (*open)(struct bst_store_conn *writer, void **ret_state);
    /** Last chance to write at an orderly close, in a transaction of its own. */
    bst_result (*closing)(struct bst_store_conn *writer, void *state);
    void (*close)(void *state);
    /** A job ended; `kept` false: its changes were taken back, take back what memory holds of them.
     */
    void (*job_end)(void *state, bool kept);
    /** Before COMMIT: write what was collected over the batch. */
    bst_result (*flush)(struct bst_store_conn *writer, void *state);
    void (*batch_end)(void *state, bool committed);
    /** One slice of background work, at most about `rows` rows; *ret_more: there is more to do. */
    bst_result (*idle)(struct bst_store_conn *writer, void *state, unsigned rows, bool *ret_more);
    /** Consistency beyond SQLite's own: one line per finding. */
    bst_result (*check)(struct bst_store_conn *reader, bool full, struct bst_buf *findings);
};

/** Numbered migrations: the n-th text brings version n-1 to n, in one transaction. Only append. */
struct bst_store_schema {
    const char *name; /* a file of another name is refused */
    const char *const *migrations;
    size_t n;
    const struct bst_store_hooks *hooks;
};

struct bst_store_config {
    const char *path; /* its folder exists and is private to the process (see bst_store_open) */
    const struct bst_store_schema *schema;
    unsigned batch_max;      /* jobs in one commit, 0 = 1024 */
    unsigned queue_max;      /* waiting jobs before BST_E_BUSY, 0 = 65536 */
    unsigned bulk_threads;   /* 0 = 2 */
    unsigned cache_kib;      /* page cache of the writer, 0 = 8192; readers take a quarter each */
    unsigned checkpoint_kib; /* WAL size that starts a checkpoint, 0 = 8192 */
    const char *vfs;         /* SQLite VFS, NULL = the system's; for tests */
};

/** Open or create, migrate, start the writer.
 *
 * File modes follow the process' umask; exclusive use of the file is the caller's matter (lock the
 * folder).
 *
 * @error BST_E_VERSION  the file was written by a newer Bastide
 * @error BST_E_CONFIG   the file belongs to another schema
 * @error BST_E_CORRUPT  not a database, or damaged
 */
bst_result bst_store_open(const struct bst_store_config *config, struct bst_store **ret);
/** Run what was submitted, checkpoint, close. Close the readers first. Accepts NULL. */
void bst_store_close(struct bst_store **store);

/** A reader of its own; one per thread. It sees what is committed. */
bst_result bst_store_reader(struct bst_store *store, struct bst_store_conn **ret);
void bst_store_reader_close(struct bst_store_conn **conn);
/** For a reader that belongs to the thread of `loop`: views that begin in the same turn of the loop
 * are one view, unless something was committed in between. Saves most of what a short view costs.
 */
void bst_store_share_views(struct bst_store_conn *reader, struct bst_loop *loop);
/** One consistent view over several queries: it shows everything whose `done` was called before.
 * Keep it short: it holds back the checkpoint. */
bst_result bst_store_read_begin(struct bst_store_conn *reader);
void bst_store_read_end(struct bst_store_conn *reader);
/** From now on, queries of this reader together may take that many virtual machine steps (about
 * 20M/s) and, with what is done between them, that much time; then bst_sql_step() gives
 * BST_E_LIMIT, and the caller hands the work to bst_store_bulk(). 0: no limit. */
void bst_store_budget(struct bst_store_conn *reader, int64_t steps, int64_t us);

/** A unit of writing: runs once on the writer thread, all or nothing, together with its neighbours.
 *
 * Zero it, fill in `run`, `done` and `loop`, embed it in what it needs. It belongs to the store
 * from bst_store_submit() until `done` is called, which may free it. */
struct bst_store_job {
    struct bst_task task;       /* private */
    struct bst_store_job *next; /* private */
    struct bst_loop *loop;      /* where `done` runs; NULL: on the writer (or bulk) thread */
    /** A failure takes back what this job wrote, and nothing else. */
    bst_result (*run)(struct bst_store_conn *conn, struct bst_store_job *job);
    /** Success means: on stable storage. The thread's error detail is set from `detail`. May be
     * NULL. */
    void (*done)(struct bst_store_job *job, bst_result result);
    bst_result result;
    char detail[256];
};
/** Queue a job; completions arrive in the order of submission per loop. @thread any */
void bst_store_submit(struct bst_store *store, struct bst_store_job *job);
/** Submit and wait. Not from the writer thread or from inside a job. */
bst_result bst_store_run(struct bst_store *store,
                         bst_result (*run)(struct bst_store_conn *conn, void *arg), void *arg);
/** A long read on a background thread with a reader of its own. A close cuts it off: BST_E_CLOSED.
 * @thread any */
void bst_store_bulk(struct bst_store *store, struct bst_store_job *job);
/** Tell the writer that its `idle` hook has work. Called inside a job. */
void bst_store_wake_idle(struct bst_store_conn *writer);

/** OK, or why writes are refused until the file is opened anew (after a failed write or fsync).
 * @thread any */
bst_result bst_store_writable(struct bst_store *store);

struct bst_store_stats {
    uint64_t jobs, failed_jobs, batches, largest_batch, checkpoints, waiting, wal_bytes;
    uint64_t commit_us; /* time spent in COMMIT, in all */
};
void bst_store_stats(struct bst_store *store, struct bst_store_stats *ret);

/** Look for damage; findings are lines of text. `full` also compares every index with its table.
 * BST_E_CORRUPT when there is a finding. Works while writes are refused. @thread any, blocks */
bst_result bst_store_check(struct bst_store *store, bool full, struct bst_buf *findings);
/** Consistent copy into a new file, durable on return, while writers go on; BST_E_EXISTS when the
 * file exists. `cancel` may be NULL; it is asked between slices. @thread any, blocks */
bst_result bst_store_snapshot(struct bst_store *store, const char *path, bool (*cancel)(void *arg),
                              void *arg);
/** Starts at 1; a restore raises it, so that what was handed out under an older one can be told
 * apart. */
bst_result bst_store_generation(struct bst_store_conn *conn, int64_t *ret);
/** Inside a job; never lowers it. */
bst_result bst_store_raise_generation(struct bst_store_conn *writer, int64_t at_least);

/* SQL. Statements are prepared once per connection; the address of the struct is the key. */

struct bst_sql {
    const char *text;
};
/** A statement in use. */
struct bst_query;

/** Take the statement; the same one may be taken again while in use (nested walks).
 * A statement that writes, on a store that refuses writes: BST_E_READ_ONLY, DISK_FULL or CORRUPT.
 */
bst_result bst_sql_begin(struct bst_store_conn *conn, const struct bst_sql *sql,
                         struct bst_query **ret);
/* Parameters from 1. A failed bind sticks and comes out of the first step. Bytes are borrowed until
 * the end. */
void bst_sql_bind_i64(struct bst_query *q, int index, int64_t value);
void bst_sql_bind_text(struct bst_query *q, int index, struct bst_view text);
void bst_sql_bind_blob(struct bst_query *q, int index, struct bst_view bytes);
void bst_sql_bind_null(struct bst_query *q, int index);
/** *ret_row: there is a row to read. After a false the statement may be stepped no more. */
bst_result bst_sql_step(struct bst_query *q, bool *ret_row);
/* Columns from 0; views hold until the next step or the end. A NULL is 0 or an empty view. */
int64_t bst_sql_i64(struct bst_query *q, int column);
struct bst_view bst_sql_view(struct bst_query *q, int column);
bool bst_sql_is_null(struct bst_query *q, int column);
/** Give the statement back. Accepts NULL and leaves NULL. */
void bst_sql_end(struct bst_query **q);
#define bst_auto_query __attribute__((cleanup(bst_sql_end))) struct bst_query
/** Step once, expect no row, end. */
bst_result bst_sql_exec(struct bst_query **q);
/** Rows changed by the last statement that ended. */
int64_t bst_sql_changes(struct bst_store_conn *conn);

/* For modules that read the same rows over and over in shared views. */
/** The value remembered under `key`, valid until the next remember; false when there is none that
 * the query itself would give now. */
bool bst_store_recall(struct bst_store_conn *reader, struct bst_view key, struct bst_view *ret);
/** Keep the parts, joined, until something is committed. Does nothing for other readers and
 * writers. */
void bst_store_remember(struct bst_store_conn *reader, struct bst_view key,
                        const struct bst_view *parts, size_t n);

/* For modules that keep state beside a schema (src/store/resource.c). */
/** Inside a job, before a change in memory: OK, or why writes are refused. */
bst_result bst_store_conn_writable(struct bst_store_conn *writer);
bool bst_store_is_writer(const struct bst_store_conn *conn);
void *bst_store_state(const struct bst_store_conn *conn); /* what hooks->open gave */
