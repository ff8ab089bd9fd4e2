/* What only the storage engine sees. */
#pragma once

#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define STORE_BUCKETS 128

struct bst_query {
    struct bst_query *next; /* same bucket */
    struct bst_store_conn *conn;
    const struct bst_sql *sql;
    sqlite3_stmt *stmt;
    int bind_rc;
    bool in_use;
};

struct bst_store_conn {
    struct bst_store *store;
    sqlite3 *db;
    struct bst_query *buckets[STORE_BUCKETS];
    unsigned in_use;       /* queries taken and not yet given back */
    int64_t budget;        /* steps left, when limited */
    int64_t until_us;      /* monotonic; 0: not limited in time */
    unsigned ticks;        /* of bst_sql_step(): the clock is read at some of them */
    bool limited, in_view; /* readers */
    bool view_open;        /* SQLite's view, which may outlive ours until the end of the turn */
    uint64_t view_commits; /* it shows at least these */
    struct bst_loop *turns;
    struct bst_task turn_end;
    bool turn_ends; /* turn_end waits */
    struct store_memo *memo;
    bool bulk; /* gives up when the store closes */
    bool writer, in_job, savepoint;
    sqlite3_stmt *open_savepoint;
};

/* A job list with its own end. */
struct job_queue {
    struct bst_store_job *head, **tail;
    unsigned count;
};

struct bst_store {
    struct bst_store_config config; /* with the defaults filled in */
    char *path, *vfs;               /* what config points to */
    struct bst_store_conn *writer;
    void *state; /* of the schema's hooks */

    pthread_mutex_t lock; /* queues, sleeping, closing, refused_text */
    pthread_cond_t work, bulk_work;
    struct job_queue queue, bulk_queue;
    bool sleeping;
    atomic_bool closing;
    bool writer_started;
    pthread_t writer_thread;
    pthread_t *bulk;
    unsigned bulk_started;

    /* Writes are refused: an enum bst_error, and why. Never taken back. */
    atomic_int refused;
    char refused_text[256];

    atomic_uint_fast64_t commits; /* grows between a commit and its completions */

    /* Writer thread only. */
    bool idle_wanted;
    int wal_pages, checkpoint_at;
    int page_bytes;

    struct {
        atomic_uint_fast64_t jobs, failed_jobs, batches, largest_batch, checkpoints, wal_bytes,
            commit_us;
    } stats;
};

/* conn.c */

enum conn_kind { CONN_WRITER, CONN_READER, CONN_BULK };
bst_result conn_open(struct bst_store *store, enum conn_kind kind, struct bst_store_conn **ret);
void conn_close(struct bst_store_conn **conn);
/** Give every query back and end the view: a finished or failed user left them. */
void conn_reset(struct bst_store_conn *conn);
/** An SQLite result code as ours; on the writer, a failed write ends all writing. */
bst_result conn_error(struct bst_store_conn *conn, int rc, const char *what);
/** The same for a bare handle, without consequences. */
bst_result sqlite_error(sqlite3 *db, int rc, const char *what);
/** Run fixed SQL without rows. */
bst_result conn_exec(struct bst_store_conn *conn, const char *sql);
/** One integer from fixed SQL; `missing` when there is no row. */
bst_result conn_scalar(struct bst_store_conn *conn, const char *sql, int64_t missing, int64_t *ret);

/* memo.c */

/** NULL when memory is out: then nothing is remembered. */
struct store_memo *memo_new(void);
void memo_free(struct store_memo **memo);

/* writer.c */

bst_result writer_start(struct bst_store *store);
void writer_stop(struct bst_store *store);
/** Refuse writes from now on; the first reason stays. */
void store_refuse(struct bst_store *store, enum bst_error why, const char *text);

/* wal.c */

/** Make what an earlier process left in the WAL durable for certain, before it is built upon. */
bst_result wal_settle(const struct bst_store_config *config);
/** Follow the size of the log from now on. */
void wal_watch(struct bst_store *store);
void wal_checkpoint_if_due(struct bst_store *store);
/** At an orderly close. */
void wal_checkpoint_last(struct bst_store *store);
