/* Connections: settings, the cache of prepared statements, typed access, and what errors mean. */
#include "store/store_priv.h"

#include "base/map.h"
#include "sys/clock.h"

#include <stdio.h>

/* ---- errors ---- */

static enum bst_error meaning(int rc)
{
    if (rc == SQLITE_IOERR_NOMEM) {
        return BST_E_NOMEM;
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return BST_E_CONFLICT;
    case SQLITE_NOMEM:
        return BST_E_NOMEM;
    case SQLITE_FULL:
        return BST_E_DISK_FULL;
    case SQLITE_IOERR:
        return BST_E_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return BST_E_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BST_E_LOCKED;
    case SQLITE_READONLY:
        return BST_E_READ_ONLY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return BST_E_PERMISSION;
    case SQLITE_CANTOPEN:
        return BST_E_IO;
    case SQLITE_INTERRUPT:
        return BST_E_LIMIT;
    case SQLITE_TOOBIG:
        return BST_E_TOO_LONG;
    default:
        return BST_E_INTERNAL;
    }
}

bst_result sqlite_error(sqlite3 *db, int rc, const char *what)
{
    enum bst_error code = meaning(rc);
    /* The handle's text belongs to its last call only when the codes agree. */
    bool same = db && (sqlite3_errcode(db) & 0xff) == (rc & 0xff);
    BST_FAIL(code, "%s: %s (%d)", what, same ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
}

/* A write or fsync that failed leaves unknown what is on the disk. A failed read, lack of memory or
 * a violated constraint does not. */
static bool ends_writing(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_IOERR:
        return rc != SQLITE_IOERR_NOMEM && rc != SQLITE_IOERR_READ &&
               rc != SQLITE_IOERR_SHORT_READ && rc != SQLITE_IOERR_ACCESS;
    case SQLITE_FULL:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
        return true;
    default:
        return false;
    }
}

bst_result conn_error(struct bst_store_conn *conn, int rc, const char *what)
{
    bst_result r = sqlite_error(conn->db, rc, what);
    if (conn->writer && ends_writing(rc)) {
        store_refuse(conn->store, r.code == BST_E_IO ? BST_E_READ_ONLY : r.code,
                     bst_error_detail());
    }
    return r;
}

/* ---- opening ---- */

static bool out_of_time(const struct bst_store_conn *conn)
{
    return conn->until_us && bst_mono_us() > conn->until_us;
}

static int count_steps(void *arg)
{
    struct bst_store_conn *conn = arg;
    conn->budget -= 1000;
    return conn->budget < 0 || out_of_time(conn) ||
           (conn->bulk && atomic_load(&conn->store->closing));
}

bst_result conn_exec(struct bst_store_conn *conn, const char *sql)
{
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? BST_OK : conn_error(conn, rc, conn->store->config.path);
}

bst_result conn_scalar(struct bst_store_conn *conn, const char *sql, int64_t missing, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, &stmt, NULL);
    int64_t value = missing;
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        value = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : missing;
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    bst_result r = rc == SQLITE_OK ? BST_OK : conn_error(conn, rc, conn->store->config.path);
    sqlite3_finalize(stmt);
    BST_TRY(r);
    *ret = value;
    return BST_OK;
}

/* The file must be in WAL mode: without it, readers and the writer would wait for each other. */
static bst_result enter_wal(struct bst_store_conn *conn)
{
    int64_t is_wal = 0;
    BST_TRY(conn_exec(conn, "PRAGMA page_size=4096"));
    BST_TRY(conn_exec(conn, "PRAGMA journal_mode=WAL"));
    BST_TRY(conn_scalar(conn, "SELECT journal_mode='wal' FROM pragma_journal_mode", 0, &is_wal));
    if (!is_wal) {
        BST_FAIL(BST_E_IO, "%s: the file system does not allow a write-ahead log",
                 conn->store->config.path);
    }
    return BST_OK;
}

static bst_result set_up(struct bst_store_conn *conn)
{
    const struct bst_store_config *config = &conn->store->config;
    char sql[512];
    unsigned kib = conn->writer ? config->cache_kib : config->cache_kib / 4;
    sqlite3_busy_timeout(conn->db, 5000);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* Closing must never write: after a failed fsync a checkpoint would build on what may be lost.
     */
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (conn->writer) {
        BST_TRY(enter_wal(conn));
    }
    snprintf(
        sql, sizeof sql,
        "PRAGMA synchronous=FULL; PRAGMA cache_size=-%u; PRAGMA mmap_size=0;"
        "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
        "PRAGMA wal_autocheckpoint=0; PRAGMA secure_delete=FAST; PRAGMA journal_size_limit=%llu;"
        "PRAGMA query_only=%d",
        kib, (unsigned long long)config->checkpoint_kib * 1024 * 4, !conn->writer);
    BST_TRY(conn_exec(conn, sql));
    return BST_OK;
}

bst_result conn_open(struct bst_store *store, enum conn_kind kind, struct bst_store_conn **ret)
{
    struct bst_store_conn *conn = bst_alloc(sizeof *conn);
    BST_ENSURE(conn, BST_E_NOMEM);
    conn->store = store;
    conn->writer = kind == CONN_WRITER;
    conn->bulk = kind == CONN_BULK;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (conn->writer ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(store->config.path, &conn->db, flags, store->config.vfs);
    bst_result r = rc == SQLITE_OK ? set_up(conn) : sqlite_error(conn->db, rc, store->config.path);
    if (bst_failed(r)) {
        conn_close(&conn);
        return r;
    }
    bst_store_budget(conn, 0, 0);
    *ret = conn;
    return BST_OK;
}

void conn_close(struct bst_store_conn **slot)
{
    struct bst_store_conn *conn = bst_steal(slot);
    if (!conn) {
        return;
    }
    if (conn->turns) {
        bst_loop_at_end_cancel(conn->turns, &conn->turn_end);
    }
    for (size_t i = 0; i < STORE_BUCKETS; i++) {
        while (conn->buckets[i]) {
            struct bst_query *q = conn->buckets[i];
            conn->buckets[i] = q->next;
            sqlite3_finalize(q->stmt);
            bst_free(q);
        }
    }
    memo_free(&conn->memo);
    sqlite3_finalize(conn->open_savepoint);
    sqlite3_close_v2(conn->db);
    bst_free(conn);
}

void conn_reset(struct bst_store_conn *conn)
{
    for (size_t i = 0; conn->in_use && i < STORE_BUCKETS; i++) {
        for (struct bst_query *q = conn->buckets[i]; q; q = q->next) {
            struct bst_query *left = q;
            bst_sql_end(&left);
        }
    }
    bst_store_read_end(conn);
    bst_store_budget(conn, 0, 0);
}

/* ---- readers ---- */

bst_result bst_store_reader(struct bst_store *store, struct bst_store_conn **ret)
{
    return conn_open(store, CONN_READER, ret);
}

void bst_store_reader_close(struct bst_store_conn **conn)
{
    conn_close(conn);
}

/* ---- views ---- */

static bst_result run_fixed(struct bst_store_conn *conn, const struct bst_sql *sql)
{
    struct bst_query *q;
    BST_TRY(bst_sql_begin(conn, sql, &q));
    return bst_sql_exec(&q);
}

static void close_view(struct bst_store_conn *reader)
{
    static const struct bst_sql rollback = {"ROLLBACK"};
    if (!reader->view_open) {
        return;
    }
    reader->view_open = false;
    /* Nothing was written: whether it commits or rolls back is the same. */
    if (bst_failed(run_fixed(reader, &rollback)) && !sqlite3_get_autocommit(reader->db)) {
        sqlite3_exec(reader->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

static void turn_ended(struct bst_task *task)
{
    struct bst_store_conn *reader = bst_container_of(task, struct bst_store_conn, turn_end);
    reader->turn_ends = false;
    if (!reader->in_view) {
        close_view(reader);
    }
}

void bst_store_share_views(struct bst_store_conn *reader, struct bst_loop *loop)
{
    reader->turns = loop;
    reader->turn_end.run = turn_ended;
    reader->memo = memo_new();
}

static bst_result open_view(struct bst_store_conn *reader, uint64_t commits)
{
    static const struct bst_sql begin = {"BEGIN"};
    close_view(reader);
    BST_TRY(run_fixed(reader, &begin));
    reader->view_open = true;
    reader->view_commits = commits;
    return BST_OK;
}

bst_result bst_store_read_begin(struct bst_store_conn *reader)
{
    BST_ENSURE(!reader->writer && !reader->in_view, BST_E_USAGE);
    /* Before the view, so that the view shows them all. */
    uint64_t commits = atomic_load(&reader->store->commits);
    if (!reader->view_open || reader->view_commits != commits) {
        BST_TRY(open_view(reader, commits));
    }
    if (reader->turns && !reader->turn_ends) {
        bst_loop_at_end(reader->turns, &reader->turn_end);
        reader->turn_ends = true;
    }
    reader->in_view = true;
    return BST_OK;
}

void bst_store_read_end(struct bst_store_conn *reader)
{
    if (reader->in_view) {
        reader->in_view = false;
        if (!reader->turn_ends) {
            close_view(reader);
        }
    }
}

void bst_store_budget(struct bst_store_conn *reader, int64_t steps, int64_t us)
{
    /* An interrupted writer would lose its whole batch. */
    bool limited = (steps > 0 || us > 0 || reader->bulk) && !reader->writer;
    reader->until_us = us > 0 && !reader->writer ? bst_mono_us() + us : 0;
    reader->budget = steps > 0 ? steps : INT64_MAX;
    if (limited != reader->limited) {
        sqlite3_progress_handler(reader->db, 1000, limited ? count_steps : NULL, reader);
        reader->limited = limited;
    }
}

bst_result bst_store_conn_writable(struct bst_store_conn *writer)
{
    BST_ENSURE(writer->writer, BST_E_USAGE);
    return bst_store_writable(writer->store);
}

bool bst_store_is_writer(const struct bst_store_conn *conn)
{
    return conn->writer;
}

void *bst_store_state(const struct bst_store_conn *conn)
{
    return conn->store->state;
}

/* ---- statements ---- */

static struct bst_query **bucket(struct bst_store_conn *conn, const struct bst_sql *sql)
{
    return &conn->buckets[((uintptr_t)sql >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 57];
}

/* Changes wait for the first statement that writes: many jobs find out before it that they fail. */
static bst_result before_write(struct bst_store_conn *conn)
{
    if (!conn->in_job || conn->savepoint) {
        return BST_OK;
    }
    BST_TRY(bst_store_writable(conn->store));
    int rc = SQLITE_OK;
    if (!conn->open_savepoint) {
        rc = sqlite3_prepare_v3(conn->db, "SAVEPOINT job", -1, SQLITE_PREPARE_PERSISTENT,
                                &conn->open_savepoint, NULL);
    }
    if (rc == SQLITE_OK) {
        (void)sqlite3_step(conn->open_savepoint);
        rc = sqlite3_reset(conn->open_savepoint);
    }
    if (rc != SQLITE_OK) {
        return conn_error(conn, rc, "savepoint");
    }
    conn->savepoint = true;
    return BST_OK;
}

/* NULL on failure, and why unless memory ran out. */
static struct bst_query *prepare(struct bst_store_conn *conn, const struct bst_sql *sql,
                                 bst_result *ret_why)
{
    struct bst_query *q = bst_alloc(sizeof *q);
    if (!q) {
        return NULL;
    }
    int rc = sqlite3_prepare_v3(conn->db, sql->text, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (rc != SQLITE_OK) {
        bst_free(q);
        *ret_why = conn_error(conn, rc, sql->text);
        return NULL;
    }
    struct bst_query **head = bucket(conn, sql);
    q->conn = conn;
    q->sql = sql;
    q->next = *head;
    *head = q;
    return q;
}

bst_result bst_sql_begin(struct bst_store_conn *conn, const struct bst_sql *sql,
                         struct bst_query **ret)
{
    struct bst_query *q = *bucket(conn, sql);
    while (q && (q->sql != sql || q->in_use)) {
        q = q->next;
    }
    if (!q) {
        bst_result why = BST_OK;
        q = prepare(conn, sql, &why);
        BST_TRY(why);
        BST_ENSURE(q, BST_E_NOMEM);
    }
    if (conn->view_open && !conn->in_view && conn->in_use == 0) {
        close_view(conn); /* who asks without a view wants what is committed now */
    }
    if (conn->writer && !conn->savepoint && !sqlite3_stmt_readonly(q->stmt)) {
        BST_TRY(before_write(conn));
    }
    q->bind_rc = SQLITE_OK;
    q->in_use = true;
    conn->in_use++;
    *ret = q;
    return BST_OK;
}

static void bound(struct bst_query *q, int rc)
{
    if (rc != SQLITE_OK && q->bind_rc == SQLITE_OK) {
        q->bind_rc = rc;
    }
}

void bst_sql_bind_i64(struct bst_query *q, int index, int64_t value)
{
    bound(q, sqlite3_bind_int64(q->stmt, index, value));
}

void bst_sql_bind_text(struct bst_query *q, int index, struct bst_view text)
{
    bound(q, sqlite3_bind_text64(q->stmt, index, text.ptr ? text.ptr : "", text.len, SQLITE_STATIC,
                                 SQLITE_UTF8));
}

void bst_sql_bind_blob(struct bst_query *q, int index, struct bst_view bytes)
{
    bound(q, sqlite3_bind_blob64(q->stmt, index, bytes.ptr ? bytes.ptr : "", bytes.len,
                                 SQLITE_STATIC));
}

void bst_sql_bind_null(struct bst_query *q, int index)
{
    bound(q, sqlite3_bind_null(q->stmt, index));
}

bst_result bst_sql_step(struct bst_query *q, bool *ret_row)
{
    if (q->bind_rc != SQLITE_OK) {
        return conn_error(q->conn, q->bind_rc, q->sql->text);
    }
    /* Work between short queries never meets the handler that counts the steps of long ones. */
    bool late = q->conn->until_us && ++q->conn->ticks % 16 == 0 && out_of_time(q->conn);
    int rc = late ? SQLITE_INTERRUPT : sqlite3_step(q->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return conn_error(q->conn, rc, q->sql->text);
    }
    *ret_row = rc == SQLITE_ROW;
    return BST_OK;
}

int64_t bst_sql_i64(struct bst_query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

struct bst_view bst_sql_view(struct bst_query *q, int column)
{
    const void *ptr = sqlite3_column_blob(q->stmt, column);
    int len = ptr ? sqlite3_column_bytes(q->stmt, column) : 0;
    return bst_view_of(ptr, (size_t)len);
}

bool bst_sql_is_null(struct bst_query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

void bst_sql_end(struct bst_query **slot)
{
    struct bst_query *q = *slot;
    *slot = NULL;
    if (!q || !q->in_use) {
        return;
    }
    sqlite3_reset(q->stmt);
    sqlite3_clear_bindings(q->stmt); /* they borrow bytes that may be gone by the next use */
    q->in_use = false;
    q->conn->in_use--;
}

bst_result bst_sql_exec(struct bst_query **slot)
{
    bool row;
    bst_result r = bst_sql_step(*slot, &row);
    bst_sql_end(slot);
    return r;
}

int64_t bst_sql_changes(struct bst_store_conn *conn)
{
    return sqlite3_changes64(conn->db);
}
