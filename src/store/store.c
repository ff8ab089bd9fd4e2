/* Opening with migrations, closing, the check, the copy and the generation. */
#include "store/store_priv.h"

#include <stdio.h>

/* ---- the file's own facts ---- */

static const char CREATE_META[] =
    "CREATE TABLE IF NOT EXISTS store_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID";

/** An empty file may become ours; one with tables of somebody else may not. */
static bst_result claim(struct bst_store *store, struct bst_store_conn *conn)
{
    const char *name = store->config.schema->name;
    int64_t tables = 0, ours = 0;
    BST_TRY(conn_scalar(conn, "SELECT count(*) FROM sqlite_schema", 0, &tables));
    BST_TRY(
        conn_scalar(conn, "SELECT count(*) FROM sqlite_schema WHERE name='store_meta'", 0, &ours));
    if (tables && !ours) {
        BST_FAIL(BST_E_CONFIG, "%s is a database of another program", store->config.path);
    }
    static const struct bst_sql get = {"SELECT value FROM store_meta WHERE key='schema'"};
    static const struct bst_sql put = {
        "INSERT INTO store_meta(key,value) VALUES('schema',?),('version',0),('generation',1)"};
    BST_TRY(conn_exec(conn, "BEGIN IMMEDIATE"));
    BST_TRY(conn_exec(conn, CREATE_META));
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(conn, &get, &q));
    BST_TRY(bst_sql_step(q, &found));
    if (found && !bst_view_is(bst_sql_view(q, 0), name)) {
        BST_FAIL(BST_E_CONFIG, "%s holds data of kind '%.*s', not '%s'", store->config.path,
                 BST_VIEW_ARGS(bst_sql_view(q, 0)), name);
    }
    bst_sql_end(&q);
    if (!found) {
        BST_TRY(bst_sql_begin(conn, &put, &q));
        bst_sql_bind_text(q, 1, bst_view(name));
        BST_TRY(bst_sql_exec(&q));
    }
    return conn_exec(conn, "COMMIT");
}

static bst_result migrate_to(struct bst_store *store, struct bst_store_conn *conn, size_t version)
{
    char set[96];
    snprintf(set, sizeof set, "UPDATE store_meta SET value=%zu WHERE key='version'", version);
    BST_TRY(conn_exec(conn, "BEGIN IMMEDIATE"));
    BST_TRY(conn_exec(conn, store->config.schema->migrations[version - 1]));
    BST_TRY(conn_exec(conn, set));
    return conn_exec(conn, "COMMIT");
}

static bst_result migrate(struct bst_store *store)
{
    struct bst_store_conn *conn = store->writer;
    int64_t version = 0, newest = (int64_t)store->config.schema->n;
    BST_TRY(claim(store, conn));
    BST_TRY(conn_scalar(conn, "SELECT value FROM store_meta WHERE key='version'", -1, &version));
    if (version > newest) {
        BST_FAIL(BST_E_VERSION,
                 "%s has schema version %lld, this program knows %lld: use the newer program, or "
                 "restore "
                 "a backup that the older one made",
                 store->config.path, (long long)version, (long long)newest);
    }
    if (version < 0) {
        BST_FAIL(BST_E_CORRUPT, "%s has no schema version", store->config.path);
    }
    while (version < newest) {
        bst_result r = migrate_to(store, conn, (size_t)++version);
        if (bst_failed(r)) {
            BST_FAIL(r.code, "migration %lld: %s", (long long)version, bst_error_detail());
        }
    }
    return BST_OK;
}

/* ---- open and close ---- */

static void configure_sqlite(void)
{
    /* Statistics cost a process-wide lock at every allocation. Refused when SQLite is already in
     * use. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bst_result own_config(struct bst_store *store, const struct bst_store_config *config)
{
    struct bst_store_config *own = &store->config;
    *own = *config;
    store->path = bst_strdup(config->path);
    store->vfs = config->vfs ? bst_strdup(config->vfs) : NULL;
    own->path = store->path;
    own->vfs = store->vfs;
    own->batch_max = config->batch_max ? config->batch_max : 1024;
    own->queue_max = config->queue_max ? config->queue_max : 65536;
    own->bulk_threads = config->bulk_threads ? config->bulk_threads : 2;
    own->cache_kib = config->cache_kib ? config->cache_kib : 8192;
    own->checkpoint_kib = config->checkpoint_kib ? config->checkpoint_kib : 8192;
    BST_ENSURE(own->path && (own->vfs || !config->vfs), BST_E_NOMEM);
    return BST_OK;
}

static bst_result open_writer(struct bst_store *store)
{
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    int64_t page_bytes = 0;
    BST_TRY(wal_settle(&store->config));
    BST_TRY(conn_open(store, CONN_WRITER, &store->writer));
    BST_TRY(conn_scalar(store->writer, "PRAGMA page_size", 4096, &page_bytes));
    store->page_bytes = page_bytes > 0 ? (int)page_bytes : 4096;
    wal_watch(store);
    BST_TRY(migrate(store));
    if (hooks && hooks->open) {
        BST_TRY(hooks->open(store->writer, &store->state));
    }
    return BST_OK;
}

bst_result bst_store_open(const struct bst_store_config *config, struct bst_store **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_sqlite);
    struct bst_store *store = bst_alloc(sizeof *store);
    BST_ENSURE(store, BST_E_NOMEM);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->work, NULL);
    pthread_cond_init(&store->bulk_work, NULL);
    bst_result r = own_config(store, config);
    r = bst_failed(r) ? r : open_writer(store);
    r = bst_failed(r) ? r : writer_start(store);
    if (bst_failed(r)) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        bst_store_close(&store);
        bst_error_set_detail(detail);
        return r;
    }
    *ret = store;
    return BST_OK;
}

void bst_store_close(struct bst_store **slot)
{
    struct bst_store *store = bst_steal(slot);
    if (!store) {
        return;
    }
    writer_stop(store);
    conn_close(&store->writer);
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    if (hooks && hooks->close && store->state) {
        hooks->close(store->state);
    }
    pthread_cond_destroy(&store->bulk_work);
    pthread_cond_destroy(&store->work);
    pthread_mutex_destroy(&store->lock);
    bst_free(store->path);
    bst_free(store->vfs);
    bst_free(store);
}

/* ---- check ---- */

static bst_result sqlite_findings(struct bst_store_conn *conn, bool full, struct bst_buf *findings)
{
    static const struct bst_sql quick_check = {"PRAGMA quick_check"};
    static const struct bst_sql full_check = {"PRAGMA integrity_check"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(conn, full ? &full_check : &quick_check, &q));
    for (bool row;;) {
        BST_TRY(bst_sql_step(q, &row));
        if (!row) {
            return BST_OK;
        }
        struct bst_view line = bst_sql_view(q, 0);
        if (!bst_view_is(line, "ok")) {
            bst_buf_addv(findings, line);
            bst_buf_addc(findings, '\n');
        }
    }
}

bst_result bst_store_check(struct bst_store *store, bool full, struct bst_buf *findings)
{
    const struct bst_store_hooks *hooks = store->config.schema->hooks;
    struct bst_store_conn *conn = NULL;
    size_t before = findings->len;
    BST_TRY(conn_open(store, CONN_READER, &conn));
    bst_result r = sqlite_findings(conn, full, findings);
    if (!bst_failed(r) && findings->len == before && hooks && hooks->check) {
        r = hooks->check(conn, full, findings);
    }
    conn_close(&conn);
    if (r.code == BST_E_CORRUPT) {
        bst_buf_adds(findings, bst_error_detail());
        bst_buf_addc(findings, '\n');
    } else {
        BST_TRY(r);
    }
    BST_TRY(bst_buf_check(findings));
    if (findings->len > before) {
        struct bst_view rest = bst_view_from(bst_buf_view(findings), before), first;
        bst_view_cut(&rest, '\n', &first);
        BST_FAIL(BST_E_CORRUPT, "%s: %.*s", store->config.path, BST_VIEW_ARGS(first));
    }
    return BST_OK;
}

/* ---- copy ---- */

#define SNAPSHOT_PAGES 256

/* The source keeps one read transaction: commits of the writer neither show nor start the copy
 * over. */
static bst_result copy_pages(struct bst_store_conn *from, sqlite3 *to, bool (*cancel)(void *arg),
                             void *arg)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from->db, "main");
    if (!backup) {
        return sqlite_error(to, sqlite3_extended_errcode(to), "copy");
    }
    int rc = SQLITE_OK;
    bool cancelled = false;
    while (rc == SQLITE_OK && !cancelled) {
        rc = sqlite3_backup_step(backup, SNAPSHOT_PAGES);
        cancelled = rc == SQLITE_OK && cancel && cancel(arg);
    }
    int end = sqlite3_backup_finish(backup);
    rc = rc == SQLITE_DONE ? end : rc;
    if (cancelled) {
        return bst_error(BST_E_CANCELLED);
    }
    return rc == SQLITE_OK ? BST_OK : sqlite_error(to, rc, "copy");
}

static bst_result copy_to(struct bst_store *store, sqlite3 *to, bool (*cancel)(void *arg),
                          void *arg)
{
    struct bst_store_conn *from = NULL;
    int64_t ignored;
    BST_TRY(conn_open(store, CONN_READER, &from));
    bst_result r = bst_store_read_begin(from);
    r = bst_failed(r) ? r : conn_scalar(from, "SELECT count(*) FROM store_meta", 0, &ignored);
    r = bst_failed(r) ? r : copy_pages(from, to, cancel, arg);
    conn_reset(from);
    conn_close(&from);
    return r;
}

bst_result bst_store_snapshot(struct bst_store *store, const char *path, bool (*cancel)(void *arg),
                              void *arg)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(store->config.vfs);
    int there = 0;
    if (vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there) {
        BST_FAIL(BST_E_EXISTS, "%s exists already", path);
    }
    sqlite3 *to = NULL;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &to, flags, store->config.vfs);
    rc = rc == SQLITE_OK ? sqlite3_exec(to, "PRAGMA synchronous=FULL", NULL, NULL, NULL) : rc;
    bst_result r = rc == SQLITE_OK ? copy_to(store, to, cancel, arg) : sqlite_error(to, rc, path);
    sqlite3_close_v2(to);
    if (bst_failed(r)) {
        /* Half a copy is worse than none. */
        vfs->xDelete(vfs, path, 0);
    }
    return r;
}

/* ---- generation ---- */

bst_result bst_store_generation(struct bst_store_conn *conn, int64_t *ret)
{
    static const struct bst_sql get = {"SELECT value FROM store_meta WHERE key='generation'"};
    bst_auto_query *q = NULL;
    bool found;
    BST_TRY(bst_sql_begin(conn, &get, &q));
    BST_TRY(bst_sql_step(q, &found));
    *ret = found ? bst_sql_i64(q, 0) : 1;
    return BST_OK;
}

bst_result bst_store_raise_generation(struct bst_store_conn *writer, int64_t at_least)
{
    static const struct bst_sql raise = {
        "UPDATE store_meta SET value=max(value,?1) WHERE key='generation'"};
    bst_auto_query *q = NULL;
    BST_TRY(bst_sql_begin(writer, &raise, &q));
    bst_sql_bind_i64(q, 1, at_least);
    return bst_sql_exec(&q);
}
