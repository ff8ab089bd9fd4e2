/* Files. Every write, sync and rename goes through one counter, so that fault runs reach each. */
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long ops_seen, ops_fail_at;

void bst_file_fail_at(long n)
{
    atomic_store(&ops_seen, 0);
    atomic_store(&ops_fail_at, n);
}

long bst_file_count(void)
{
    return atomic_load(&ops_seen);
}

static bool injected_failure(void)
{
    long fail_at = atomic_load_explicit(&ops_fail_at, memory_order_relaxed);
    if (fail_at == 0 || atomic_fetch_add(&ops_seen, 1) + 1 != fail_at) {
        return false;
    }
    errno = EIO;
    return true;
}

static bst_result file_error(const char *what, const char *path)
{
    int error = errno;
    enum bst_error code = error == ENOENT || error == ENOTDIR  ? BST_E_NOT_FOUND
                          : error == EACCES || error == EPERM  ? BST_E_PERMISSION
                          : error == EROFS                     ? BST_E_READ_ONLY
                          : error == ENOSPC || error == EDQUOT ? BST_E_DISK_FULL
                          : error == EEXIST                    ? BST_E_EXISTS
                          : error == ENOMEM                    ? BST_E_NOMEM
                                                               : BST_E_IO;
    char reason[128];
    BST_FAIL(code, "%s %s: %s", what, path, strerror_r(error, reason, sizeof reason));
}

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
#define auto_fd __attribute__((cleanup(close_fd))) int

bst_result bst_file_read(const char *path, size_t cap_bytes, struct bst_buf *ret)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return file_error("reading", path);
    }
    if (S_ISDIR(st.st_mode)) {
        BST_FAIL(BST_E_IO, "reading %s: it is a folder", path);
    }
    bst_auto(buf) content = {0};
    for (;;) {
        char *at = bst_buf_reserve(&content, 4096);
        BST_ENSURE(at, BST_E_NOMEM);
        ssize_t n = read(fd, at, content.cap - content.len);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return file_error("reading", path);
        }
        content.len += n > 0 ? (size_t)n : 0;
        if (content.len > cap_bytes) {
            BST_FAIL(BST_E_TOO_LONG, "%s has more than %zu bytes", path, cap_bytes);
        }
    }
    *ret = content;
    content = (struct bst_buf){0};
    return BST_OK;
}

static bool write_all(int fd, struct bst_view data)
{
    if (injected_failure()) {
        return false;
    }
    while (data.len) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        data = bst_view_from(data, (size_t)n);
    }
    return true;
}

static bool sync_fd(int fd)
{
    return !injected_failure() && fsync(fd) == 0;
}

/* The entry itself is durable only when its folder is. */
static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    bst_auto_free char *folder =
        slash ? bst_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : bst_strdup(".");
    if (!folder) {
        errno = ENOMEM;
        return false;
    }
    auto_fd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && sync_fd(fd);
}

static bst_result write_aside(const char *aside, const char *path, struct bst_view content,
                              unsigned mode)
{
    auto_fd fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    /* fchmod: the mode that was asked for, whatever the umask is. */
    bool ok = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, content) && sync_fd(fd);
    ok = ok && !injected_failure() && rename(aside, path) == 0;
    return ok ? BST_OK : file_error("writing", path);
}

bst_result bst_file_write_atomic(const char *path, struct bst_view content, unsigned mode)
{
    bst_auto(buf) name = {0};
    bst_buf_addf(&name, "%s.%d.tmp", path, (int)getpid());
    bst_auto_free char *aside = bst_buf_take_text(&name);
    BST_ENSURE(aside, BST_E_NOMEM);
    bst_result result = write_aside(aside, path, content, mode);
    if (bst_failed(result)) {
        (void)!unlink(aside);
        return result;
    }
    return sync_folder_of(path) ? BST_OK : file_error("syncing the folder of", path);
}

static bst_result make_one(const char *path, unsigned mode)
{
    struct stat st;
    if (mkdir(path, mode) == 0) {
        return BST_OK;
    }
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return BST_OK;
    }
    return file_error("making the folder", path);
}

bst_result bst_dir_make(const char *path, unsigned mode)
{
    bst_auto_free char *part = bst_strdup(path);
    BST_ENSURE(part, BST_E_NOMEM);
    for (char *slash = strchr(part + (*part == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        BST_TRY(make_one(part, mode));
        *slash = '/';
    }
    return make_one(path, mode);
}

bst_result bst_file_remove(const char *path)
{
    if (injected_failure() || unlink(path) != 0) {
        return file_error("removing", path);
    }
    return sync_folder_of(path) ? BST_OK : file_error("syncing the folder of", path);
}

bool bst_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bst_result bst_file_mode(const char *path, unsigned *ret)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return file_error("looking at", path);
    }
    *ret = st.st_mode & 07777;
    return BST_OK;
}

bst_result bst_dir_list(const char *path, bst_result (*each)(void *user, const char *name),
                        void *user)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        return file_error("listing", path);
    }
    bst_result result = BST_OK;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (!bst_failed(result) && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            result = each(user, name);
        }
        bst_free(entries[i]);
    }
    bst_free(entries);
    return result;
}

bst_result bst_append_open(const char *path, unsigned mode, struct bst_append *ret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        bst_result result = file_error("opening", path);
        close_fd(&fd);
        return result;
    }
    *ret = (struct bst_append){.fd = fd, .size_bytes = st.st_size};
    return BST_OK;
}

bst_result bst_append_write(struct bst_append *file, struct bst_view data)
{
    if (!write_all(file->fd, data)) {
        bst_result result = file_error("appending to", "a file");
        (void)!ftruncate(file->fd, file->size_bytes);
        return result;
    }
    file->size_bytes += (int64_t)data.len;
    return BST_OK;
}

bst_result bst_append_sync(struct bst_append *file)
{
    return !injected_failure() && fdatasync(file->fd) == 0 ? BST_OK
                                                           : file_error("syncing", "a file");
}

void bst_append_clear(struct bst_append *file)
{
    if (file) {
        close_fd(&file->fd);
        file->fd = -1;
    }
}

bst_result bst_lock_take(const char *path, struct bst_lock *ret)
{
    char holder[16] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return file_error("locking", path);
    }
    /* Of the open file, not of the process: a second opening in this process is refused too. */
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
        close(fd);
        struct bst_view pid = bst_view_trim(bst_view_of(holder, n > 0 ? (size_t)n : 0));
        while (pid.len && pid.ptr[pid.len - 1] == '\n') {
            pid.len--;
        }
        BST_FAIL(BST_E_LOCKED, "%s is held by process %.*s", path, BST_VIEW_ARGS(pid));
    }
    int len = snprintf(holder, sizeof holder, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)len, 0) != len) {
        bst_result result = file_error("locking", path);
        close(fd);
        return result;
    }
    *ret = (struct bst_lock){.fd = fd};
    return BST_OK;
}

void bst_lock_clear(struct bst_lock *lock)
{
    if (lock) {
        close_fd(&lock->fd);
        lock->fd = -1;
    }
}
