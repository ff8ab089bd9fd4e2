/* The write-ahead log: when it is copied back, and what an earlier process left in it. */
#include "store/store_priv.h"

#include "obs/log.h"

#include <stdio.h>

/* A reader that never pauses keeps the log from starting over. When it has grown this many times
 * over, the writer waits for a gap between readers, for at most this long. */
#define OVERGROWN 16
#define GAP_WAIT_MS 20

static int due_pages(const struct bst_store *store)
{
    int64_t pages = (int64_t)store->config.checkpoint_kib * 1024 / store->page_bytes;
    return pages < 1 ? 1 : pages > 1 << 30 ? 1 << 30 : (int)pages;
}

static int note_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct bst_store *store = arg;
    (void)db;
    (void)name;
    if (pages < store->wal_pages) {
        /* The log has started over. */
        store->checkpoint_at = due_pages(store);
    }
    store->wal_pages = pages;
    return SQLITE_OK;
}

void wal_watch(struct bst_store *store)
{
    store->checkpoint_at = due_pages(store);
    sqlite3_wal_hook(store->writer->db, note_commit, store);
}

void wal_checkpoint_if_due(struct bst_store *store)
{
    atomic_store(&store->stats.wal_bytes, (uint64_t)store->wal_pages * (unsigned)store->page_bytes);
    if (store->wal_pages < store->checkpoint_at || atomic_load(&store->refused)) {
        return;
    }
    struct bst_store_conn *conn = store->writer;
    int due = due_pages(store), in_log = 0, copied = 0;
    bool overgrown = store->wal_pages / OVERGROWN >= due;
    if (overgrown) {
        sqlite3_busy_timeout(conn->db, GAP_WAIT_MS);
    }
    int rc = sqlite3_wal_checkpoint_v2(
        conn->db, NULL, overgrown ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &in_log,
        &copied);
    if (overgrown) {
        sqlite3_busy_timeout(conn->db, 5000);
    }
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) {
        bst_result r = conn_error(conn, rc, "checkpoint");
        if (!atomic_load(&store->refused)) {
            bst_log(BST_LOG_WARN, "store.checkpoint", "%s: %s", bst_error_text(r.code),
                    bst_error_detail());
        }
    }
    atomic_fetch_add(&store->stats.checkpoints, 1);
    /* Lowered when the log starts over; if readers hold it back, the next try comes later. */
    store->checkpoint_at = store->wal_pages + due;
}

void wal_checkpoint_last(struct bst_store *store)
{
    if (atomic_load(&store->refused)) {
        return;
    }
    int rc =
        sqlite3_wal_checkpoint_v2(store->writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK) {
        bst_result r = sqlite_error(store->writer->db, rc, "checkpoint at the close");
        bst_log(BST_LOG_WARN, "store.checkpoint", "%s: %s", bst_error_text(r.code),
                bst_error_detail());
    }
}

/* ---- what an earlier process left ---- */

struct vfs_file {
    sqlite3_vfs *vfs;
    sqlite3_file *file; /* NULL: not open */
    const char *name;
};

static void vfs_file_close(struct vfs_file *f)
{
    if (f->file && f->file->pMethods) {
        f->file->pMethods->xClose(f->file);
    }
    bst_free(f->file);
    sqlite3_free_filename(f->name);
}

static bst_result vfs_file_open(struct vfs_file *f, const char *path, int flags)
{
    f->file = bst_alloc((size_t)f->vfs->szOsFile);
    f->name = sqlite3_create_filename(path, "", "", 0, NULL);
    BST_ENSURE(f->file && f->name, BST_E_NOMEM);
    int rc = f->vfs->xOpen(f->vfs, f->name, f->file, flags | SQLITE_OPEN_READWRITE, NULL);
    return rc == SQLITE_OK ? BST_OK : sqlite_error(NULL, rc, path);
}

/* Write every byte of the file again, as it reads. */
static int rewrite(sqlite3_file *file, char *block, int block_bytes)
{
    sqlite3_int64 size = 0;
    int rc = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += block_bytes) {
        int len = size - at < block_bytes ? (int)(size - at) : block_bytes;
        rc = file->pMethods->xRead(file, block, len, at);
        rc = rc == SQLITE_OK ? file->pMethods->xWrite(file, block, len, at) : rc;
    }
    return rc == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : rc;
}

static bst_result rewrite_wal(sqlite3_vfs *vfs, const char *path)
{
    enum { BLOCK = 64 * 1024 }; /* SQLite's own files take less than 128 KiB at a time */
    bst_auto_free char *block = bst_alloc(BLOCK);
    BST_ENSURE(block, BST_E_NOMEM);
    struct vfs_file wal = {.vfs = vfs};
    bst_result r = vfs_file_open(&wal, path, SQLITE_OPEN_WAL);
    if (!bst_failed(r)) {
        int rc = rewrite(wal.file, block, BLOCK);
        r = rc == SQLITE_OK ? BST_OK : sqlite_error(NULL, rc, path);
    }
    vfs_file_close(&wal);
    return r;
}

/* Alone on the file: every open connection in WAL mode holds a shared lock on it. */
static bst_result rewrite_alone(sqlite3_vfs *vfs, const char *path, const char *wal_path)
{
    struct vfs_file db = {.vfs = vfs};
    bst_result r = vfs_file_open(&db, path, SQLITE_OPEN_MAIN_DB);
    if (!bst_failed(r)) {
        const sqlite3_io_methods *io = db.file->pMethods;
        int rc = io->xLock(db.file, SQLITE_LOCK_SHARED);
        rc = rc == SQLITE_OK ? io->xLock(db.file, SQLITE_LOCK_EXCLUSIVE) : rc;
        if ((rc & 0xff) == SQLITE_BUSY) {
            r = bst_error_detailed(BST_E_LOCKED, "%s is in use", path);
        } else {
            r = rc == SQLITE_OK ? rewrite_wal(vfs, wal_path) : sqlite_error(NULL, rc, path);
        }
        io->xUnlock(db.file, SQLITE_LOCK_NONE);
    }
    vfs_file_close(&db);
    return r;
}

/* After a failed fsync the kernel may hold pages that it believes to be clean and that never
 * reached the disk. An earlier process that stopped for this reason left them in the log; building
 * on them would put acknowledged commits behind a gap. Writing them once more makes them dirty, and
 * the fsync that follows is then a first one. */
bst_result wal_settle(const struct bst_store_config *config)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(config->vfs);
    if (!vfs) {
        BST_FAIL(BST_E_CONFIG, "no SQLite VFS %s", config->vfs ? config->vfs : "at all");
    }
    struct bst_buf text = {0};
    bst_buf_addf(&text, "%s-wal", config->path);
    bst_auto_free char *wal_path = bst_buf_take_text(&text);
    bst_auto_free char *full = bst_alloc((size_t)vfs->mxPathname + 1);
    bst_auto_free char *full_wal = bst_alloc((size_t)vfs->mxPathname + 1);
    BST_ENSURE(wal_path && full && full_wal, BST_E_NOMEM);
    int there = 0;
    int rc = vfs->xFullPathname(vfs, config->path, vfs->mxPathname, full);
    rc = (rc & 0xff) == SQLITE_OK ? vfs->xFullPathname(vfs, wal_path, vfs->mxPathname, full_wal)
                                  : rc;
    /* A symbolic link on the way is told by SQLITE_OK_SYMLINK. */
    rc = (rc & 0xff) == SQLITE_OK ? vfs->xAccess(vfs, full_wal, SQLITE_ACCESS_EXISTS, &there) : rc;
    if ((rc & 0xff) != SQLITE_OK) {
        return sqlite_error(NULL, rc, config->path);
    }
    return there ? rewrite_alone(vfs, full, full_wal) : BST_OK;
}
