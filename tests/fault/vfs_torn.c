/* See vfs_torn.h. One lock for everything: the disk is slow only in the model. */
#include "fault/vfs_torn.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define SHM_SLOTS 8

/* ---- the disk ---- */

struct bytes {
    unsigned char *ptr;
    sqlite3_int64 len;
};

struct op {
    struct op *next;
    sqlite3_int64 at;
    int len;             /* -1: truncation to `at` */
    bool believed_clean; /* its fsync failed */
    unsigned char data[];
};

struct node {
    struct node *next;
    char *name; /* NULL: temporary, never on the disk */
    struct bytes visible, durable;
    bool exists, exists_durably;
    struct op *pending, **pending_tail;
    /* Locks and shared memory belong to running processes. */
    struct handle *handles;
    void *shm[256];
    int n_shm;
    int shm_shared[SHM_SLOTS];
    bool shm_exclusive[SHM_SLOTS];
};

struct handle {
    sqlite3_file base;
    struct node *node;
    struct handle *next;
    int lock;
    unsigned shm_shared, shm_exclusive; /* own slots */
    bool delete_on_close, sync_folder, mapped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *disk;
static struct torn_faults faults;
static long operations, writes, syncs;
static bool off;

static void resize(struct bytes *b, sqlite3_int64 len)
{
    size_t before = (size_t)b->len, after = (size_t)len;
    b->ptr = realloc(b->ptr, after + 1);
    if (!b->ptr || after > SIZE_MAX / 2) {
        abort();
    }
    if (after > before) {
        memset(b->ptr + before, 0, after - before);
    }
    b->len = len;
}

static void put(struct bytes *b, const void *data, int len, sqlite3_int64 at)
{
    if (len == 0) {
        return;
    }
    if (at + len > b->len) {
        resize(b, at + len);
    }
    memcpy(b->ptr + at, data, (size_t)len);
}

static void append_op(struct node *n, const void *data, int len, sqlite3_int64 at)
{
    struct op *op = malloc(sizeof *op + (size_t)(len > 0 ? len : 0));
    if (!op) {
        abort();
    }
    *op = (struct op){.at = at, .len = len};
    if (len > 0) {
        memcpy(op->data, data, (size_t)len);
    }
    if (!n->pending) {
        n->pending_tail = &n->pending;
    }
    *n->pending_tail = op;
    n->pending_tail = &op->next;
}

static void drop_ops(struct node *n)
{
    while (n->pending) {
        struct op *op = n->pending;
        n->pending = op->next;
        free(op);
    }
}

static struct node *find_node(const char *name)
{
    for (struct node *n = disk; n; n = n->next) {
        if (n->name && name && strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

static struct node *make_node(const char *name)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n) {
        abort();
    }
    n->name = name ? strdup(name) : NULL;
    n->next = disk;
    disk = n;
    return n;
}

/* ---- counting towards a fault ---- */

static bool power_off_now(void)
{
    operations++;
    if (!off && faults.power_off_at && operations >= faults.power_off_at) {
        off = true;
    }
    return off;
}

static int write_fault(void)
{
    if (power_off_now()) {
        return SQLITE_IOERR_WRITE;
    }
    return ++writes == faults.write_fails_at ? faults.write_error : SQLITE_OK;
}

/* ---- the file ---- */

static int torn_close(sqlite3_file *file)
{
    struct handle *h = (struct handle *)(void *)file;
    pthread_mutex_lock(&lock);
    struct handle **at = &h->node->handles;
    while (*at && *at != h) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = h->next;
    }
    if (h->delete_on_close) {
        h->node->exists = false;
    }
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int torn_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    struct node *n = ((struct handle *)(void *)file)->node;
    pthread_mutex_lock(&lock);
    sqlite3_int64 have = at < n->visible.len ? n->visible.len - at : 0;
    int part = have < len ? (int)have : len;
    if (part) {
        memcpy(out, n->visible.ptr + at, (size_t)part);
    }
    pthread_mutex_unlock(&lock);
    if (part < len) {
        memset((char *)out + part, 0, (size_t)(len - part));
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int torn_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct node *n = ((struct handle *)(void *)file)->node;
    pthread_mutex_lock(&lock);
    bool was_on = !off;
    int rc = write_fault();
    if (rc == SQLITE_OK || (was_on && off)) {
        /* The write that the power failure met may be on its way. */
        append_op(n, data, len, at);
        put(&n->visible, data, len, at);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int torn_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    struct node *n = ((struct handle *)(void *)file)->node;
    pthread_mutex_lock(&lock);
    int rc = write_fault();
    if (rc == SQLITE_OK) {
        append_op(n, NULL, -1, len);
        resize(&n->visible, len);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* A later write to the same place: the earlier one can reach the disk only with these bytes in it.
 */
static void supersede(struct op *old, const struct op *op)
{
    sqlite3_int64 from = old->at > op->at ? old->at : op->at;
    sqlite3_int64 to =
        old->at + old->len < op->at + op->len ? old->at + old->len : op->at + op->len;
    if (op->len < 0) {
        sqlite3_int64 left = op->at > old->at ? op->at - old->at : 0;
        old->len = left < old->len ? (int)left : old->len;
    } else if (from < to) {
        memcpy(old->data + (from - old->at), op->data + (from - op->at), (size_t)(to - from));
    }
}

static void sync_folder(void)
{
    for (struct node *n = disk; n; n = n->next) {
        n->exists_durably = n->exists;
        if (!n->exists) {
            drop_ops(n);
            n->durable.len = 0;
        }
    }
}

static void make_durable(struct handle *h)
{
    struct node *n = h->node;
    struct op **at = &n->pending;
    while (*at) {
        struct op *op = *at;
        if (op->believed_clean) {
            at = &op->next;
            continue;
        }
        for (struct op *old = n->pending; old != op; old = old->next) {
            supersede(old, op);
        }
        if (op->len < 0) {
            resize(&n->durable, op->at);
        } else {
            put(&n->durable, op->data, op->len, op->at);
        }
        *at = op->next;
        free(op);
    }
    n->pending_tail = at;
    n->exists_durably = n->exists;
    /* As the unix VFS does, the first sync of a new journal or log syncs the folder, too. */
    if (h->sync_folder) {
        h->sync_folder = false;
        sync_folder();
    }
}

static int torn_sync(sqlite3_file *file, int flags)
{
    struct handle *h = (struct handle *)(void *)file;
    int rc = SQLITE_OK;
    (void)flags;
    pthread_mutex_lock(&lock);
    if (power_off_now()) {
        rc = SQLITE_IOERR_FSYNC;
    } else if (++syncs == faults.sync_fails_at) {
        for (struct op *op = h->node->pending; op; op = op->next) {
            /* Sizes are the journal's business, and that goes on. */
            op->believed_clean = op->len >= 0;
        }
        rc = SQLITE_IOERR_FSYNC;
    } else {
        make_durable(h);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int torn_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    pthread_mutex_lock(&lock);
    *ret = ((struct handle *)(void *)file)->node->visible.len;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static bool may_lock(const struct handle *h, int level)
{
    for (const struct handle *other = h->node->handles; other; other = other->next) {
        if (other == h) {
            continue;
        }
        int least = level == SQLITE_LOCK_SHARED     ? SQLITE_LOCK_PENDING
                    : level == SQLITE_LOCK_RESERVED ? SQLITE_LOCK_RESERVED
                                                    : SQLITE_LOCK_SHARED;
        if (other->lock >= least) {
            return false;
        }
    }
    return true;
}

static int torn_lock(sqlite3_file *file, int level)
{
    struct handle *h = (struct handle *)(void *)file;
    pthread_mutex_lock(&lock);
    bool fine = h->lock >= level || may_lock(h, level);
    if (fine && h->lock < level) {
        h->lock = level;
    }
    pthread_mutex_unlock(&lock);
    return fine ? SQLITE_OK : SQLITE_BUSY;
}

static int torn_unlock(sqlite3_file *file, int level)
{
    struct handle *h = (struct handle *)(void *)file;
    pthread_mutex_lock(&lock);
    h->lock = level < h->lock ? level : h->lock;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int torn_reserved(sqlite3_file *file, int *ret)
{
    struct handle *h = (struct handle *)(void *)file;
    pthread_mutex_lock(&lock);
    *ret = 0;
    for (const struct handle *other = h->node->handles; other; other = other->next) {
        *ret |= other->lock >= SQLITE_LOCK_RESERVED;
    }
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int torn_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int torn_sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

static int torn_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory ---- */

/* Whoever comes first finds the memory empty: what was in it is not to be trusted. */
static void first_mapping(struct handle *h)
{
    bool mapped = false;
    for (const struct handle *other = h->node->handles; other; other = other->next) {
        mapped = mapped || other->mapped;
    }
    if (!mapped) {
        while (h->node->n_shm) {
            free(h->node->shm[--h->node->n_shm]);
        }
    }
    h->mapped = true;
}

static int torn_shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **ret)
{
    struct handle *h = (struct handle *)(void *)file;
    struct node *n = h->node;
    int rc = SQLITE_OK;
    pthread_mutex_lock(&lock);
    first_mapping(h);
    *ret = NULL;
    if (region >= 256) {
        rc = SQLITE_IOERR_SHMMAP;
    }
    while (rc == SQLITE_OK && extend && n->n_shm <= region) {
        n->shm[n->n_shm] = calloc(1, (size_t)bytes);
        if (!n->shm[n->n_shm++]) {
            abort();
        }
    }
    if (rc == SQLITE_OK && region < n->n_shm) {
        *ret = n->shm[region];
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static bool shm_free(const struct handle *h, int slot, bool exclusive)
{
    const struct node *n = h->node;
    unsigned bit = 1u << slot;
    bool others_share = n->shm_shared[slot] > ((h->shm_shared & bit) ? 1 : 0);
    bool other_excludes = n->shm_exclusive[slot] && !(h->shm_exclusive & bit);
    return !other_excludes && !(exclusive && others_share);
}

static void shm_change(struct handle *h, int slot, int flags)
{
    struct node *n = h->node;
    unsigned bit = 1u << slot;
    if (flags & SQLITE_SHM_UNLOCK) {
        n->shm_shared[slot] -= (h->shm_shared & bit) ? 1 : 0;
        n->shm_exclusive[slot] = n->shm_exclusive[slot] && !(h->shm_exclusive & bit);
        h->shm_shared &= ~bit;
        h->shm_exclusive &= ~bit;
    } else if (flags & SQLITE_SHM_SHARED) {
        n->shm_shared[slot] += (h->shm_shared & bit) ? 0 : 1;
        h->shm_shared |= bit;
    } else {
        n->shm_exclusive[slot] = true;
        h->shm_exclusive |= bit;
    }
}

static int torn_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct handle *h = (struct handle *)(void *)file;
    bool fine = true;
    pthread_mutex_lock(&lock);
    for (int i = offset; (flags & SQLITE_SHM_LOCK) && i < offset + n; i++) {
        fine = fine && shm_free(h, i, flags & SQLITE_SHM_EXCLUSIVE);
    }
    for (int i = offset; fine && i < offset + n; i++) {
        shm_change(h, i, flags);
    }
    pthread_mutex_unlock(&lock);
    return fine ? SQLITE_OK : SQLITE_BUSY;
}

static void torn_shm_barrier(sqlite3_file *file)
{
    (void)file;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
}

static int torn_shm_unmap(sqlite3_file *file, int delete)
{
    (void)file;
    (void)delete;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = torn_close,
    .xRead = torn_read,
    .xWrite = torn_write,
    .xTruncate = torn_truncate,
    .xSync = torn_sync,
    .xFileSize = torn_size,
    .xLock = torn_lock,
    .xUnlock = torn_unlock,
    .xCheckReservedLock = torn_reserved,
    .xFileControl = torn_control,
    .xSectorSize = torn_sector,
    .xDeviceCharacteristics = torn_device,
    .xShmMap = torn_shm_map,
    .xShmLock = torn_shm_lock,
    .xShmBarrier = torn_shm_barrier,
    .xShmUnmap = torn_shm_unmap,
};

/* ---- the file system ---- */

static int torn_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct handle *h = (struct handle *)(void *)file;
    (void)vfs;
    memset(h, 0, sizeof *h);
    pthread_mutex_lock(&lock);
    struct node *n = find_node(name);
    if (!(flags & SQLITE_OPEN_CREATE) && (!n || !n->exists)) {
        pthread_mutex_unlock(&lock);
        return SQLITE_CANTOPEN;
    }
    n = n ? n : make_node(name);
    h->sync_folder = !n->exists && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
    n->exists = true;
    h->node = n;
    h->next = n->handles;
    h->delete_on_close = flags & SQLITE_OPEN_DELETEONCLOSE;
    n->handles = h;
    pthread_mutex_unlock(&lock);
    h->base.pMethods = &methods;
    if (ret_flags) {
        *ret_flags = flags;
    }
    return SQLITE_OK;
}

static int torn_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    int rc = SQLITE_OK;
    (void)vfs;
    pthread_mutex_lock(&lock);
    struct node *n = find_node(name);
    if (!n || !n->exists) {
        rc = SQLITE_IOERR_DELETE_NOENT;
    } else if (power_off_now()) {
        rc = SQLITE_IOERR_DELETE;
    } else {
        n->exists = false;
        append_op(n, NULL, -1, 0);
        resize(&n->visible, 0);
        if (sync_dir) {
            sync_folder();
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int torn_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    (void)flags;
    pthread_mutex_lock(&lock);
    const struct node *n = find_node(name);
    /* As the unix VFS: an empty file counts as none. */
    *ret = n && n->exists && (flags != SQLITE_ACCESS_EXISTS || n->visible.len > 0);
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int torn_full_name(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
    (void)vfs;
    sqlite3_snprintf(cap, out, "%s", name);
    return SQLITE_OK;
}

void torn_register(void)
{
    static sqlite3_vfs vfs;
    sqlite3_initialize();
    if (sqlite3_vfs_find(TORN_VFS)) {
        return;
    }
    vfs = *sqlite3_vfs_find(NULL);
    vfs.pNext = NULL;
    vfs.zName = TORN_VFS;
    vfs.szOsFile = sizeof(struct handle);
    vfs.xOpen = torn_open;
    vfs.xDelete = torn_delete;
    vfs.xAccess = torn_access;
    vfs.xFullPathname = torn_full_name;
    sqlite3_vfs_register(&vfs, 0);
}

/* ---- faults and power ---- */

static void forget_processes(struct node *n)
{
    while (n->n_shm) {
        free(n->shm[--n->n_shm]);
    }
    memset(n->shm_shared, 0, sizeof n->shm_shared);
    memset(n->shm_exclusive, 0, sizeof n->shm_exclusive);
    n->handles = NULL;
}

void torn_reset(void)
{
    pthread_mutex_lock(&lock);
    while (disk) {
        struct node *n = disk;
        disk = n->next;
        forget_processes(n);
        drop_ops(n);
        free(n->visible.ptr);
        free(n->durable.ptr);
        free(n->name);
        free(n);
    }
    faults = (struct torn_faults){0};
    off = false;
    pthread_mutex_unlock(&lock);
}

void torn_arm(const struct torn_faults *wanted)
{
    pthread_mutex_lock(&lock);
    faults = *wanted;
    operations = writes = syncs = 0;
    pthread_mutex_unlock(&lock);
}

static long counted(const long *counter)
{
    pthread_mutex_lock(&lock);
    long n = *counter;
    pthread_mutex_unlock(&lock);
    return n;
}

long torn_operations(void)
{
    return counted(&operations);
}

long torn_writes(void)
{
    return counted(&writes);
}

long torn_syncs(void)
{
    return counted(&syncs);
}

bool torn_is_off(void)
{
    pthread_mutex_lock(&lock);
    bool is = off;
    pthread_mutex_unlock(&lock);
    return is;
}

static uint64_t chance(uint64_t *seed)
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Some sectors of a write reach the disk, others do not. */
static void tear(struct node *n, const struct op *op, uint64_t *seed)
{
    for (int done = 0; done < op->len;) {
        int len = SECTOR - (int)((op->at + done) % SECTOR);
        len = len < op->len - done ? len : op->len - done;
        if (chance(seed) & 1) {
            put(&n->durable, op->data + done, len, op->at + done);
        }
        done += len;
    }
}

static void settle(struct node *n, uint64_t *seed)
{
    /* One mood for each file: all lost, all there, or a mixture. */
    uint64_t mood = chance(seed) % 4;
    for (const struct op *op = n->pending; op; op = op->next) {
        uint64_t fate = mood == 0 ? 0 : mood == 1 ? 1 : chance(seed) % 3;
        if (fate == 1 && op->len >= 0) {
            put(&n->durable, op->data, op->len, op->at);
        } else if (fate == 1) {
            resize(&n->durable, op->at);
        } else if (fate == 2) {
            tear(n, op, seed);
        }
    }
    drop_ops(n);
    if (n->exists != n->exists_durably) {
        n->exists_durably = chance(seed) & 1;
    }
}

void torn_power_on(uint64_t seed)
{
    pthread_mutex_lock(&lock);
    for (struct node *n = disk; n; n = n->next) {
        settle(n, &seed);
        forget_processes(n);
        n->exists = n->exists_durably && n->name;
        resize(&n->durable, n->exists ? n->durable.len : 0);
        resize(&n->visible, 0);
        put(&n->visible, n->durable.ptr, (int)n->durable.len, 0);
    }
    faults = (struct torn_faults){0};
    off = false;
    pthread_mutex_unlock(&lock);
}
