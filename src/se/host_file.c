/* A host over ordinary files: replaced whole by rename, appended with fdatasync, secrets of mode
 * 0600. */
#include "se/se.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST_PATH_MAX 1100
#define SECRET_BYTES_MAX 4096

static bst_result failed(const char *what, const char *path)
{
    int error = errno;
    enum bst_error code = error == ENOENT                                       ? BST_E_NOT_FOUND
                          : error == EEXIST                                     ? BST_E_EXISTS
                          : error == ENOSPC || error == EDQUOT                  ? BST_E_DISK_FULL
                          : error == EROFS                                      ? BST_E_READ_ONLY
                          : error == EACCES || error == EPERM || error == ELOOP ? BST_E_PERMISSION
                                                                                : BST_E_IO;
    BST_FAIL(code, "cannot %s %s: %s", what, path, strerror(error));
}

static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}
#define AUTO_FD __attribute__((cleanup(close_fd))) int

/* A new name is durable when its folder is. */
static bst_result sync_folder(const char *path)
{
    char folder[HOST_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    AUTO_FD fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return failed("make durable the folder", folder);
    }
    return BST_OK;
}

static bst_result make_folder(const char *path)
{
    char folder[HOST_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) {
        return BST_OK;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (mkdir(folder, 0700) == 0) {
        return sync_folder(folder);
    }
    return errno == EEXIST ? BST_OK : failed("make the folder", folder);
}

static bst_result write_all(int fd, struct bst_view bytes, const char *path)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return failed("write", path);
        }
        bytes = bst_view_from(bytes, (size_t)n);
    }
    return BST_OK;
}

static bst_result host_read(void *ctx, const char *path, size_t max, struct bst_buf *ret)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return failed("read", path);
    }
    if (!S_ISREG(st.st_mode) || (uintmax_t)st.st_size > max) {
        BST_FAIL(BST_E_TOO_LONG, "%s is no ordinary file or larger than %zu bytes", path, max);
    }
    size_t want = (size_t)st.st_size;
    char *out = bst_buf_reserve(ret, want ? want : 1);
    BST_ENSURE(out, BST_E_NOMEM);
    size_t got = 0;
    while (got < want) {
        ssize_t n = read(fd, out + got, want - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return failed("read", path);
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    ret->len += got;
    return BST_OK;
}

/* Written beside, durable, then put in place. */
static bst_result write_beside(const char *path, struct bst_view bytes, char *tmp, size_t cap)
{
    snprintf(tmp, cap, "%s.new", path);
    if (unlink(tmp) != 0 && errno != ENOENT) {
        return failed("remove", tmp);
    }
    AUTO_FD fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return failed("write", tmp);
    }
    BST_TRY(write_all(fd, bytes, tmp));
    return fsync(fd) == 0 ? BST_OK : failed("make durable", tmp);
}

static bst_result host_replace(void *ctx, const char *path, struct bst_view bytes)
{
    char tmp[HOST_PATH_MAX];
    BST_TRY(make_folder(path));
    BST_TRY(write_beside(path, bytes, tmp, sizeof tmp));
    if (rename(tmp, path) != 0) {
        return failed("put in place", path);
    }
    return sync_folder(path);
}

static bst_result host_append(void *ctx, const char *path, struct bst_view bytes)
{
    AUTO_FD fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return failed("append to", path);
    }
    BST_TRY(write_all(fd, bytes, path));
    return fdatasync(fd) == 0 ? BST_OK : failed("make durable", path);
}

static bst_result host_remove(void *ctx, const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? BST_OK : failed("remove", path);
}

/* Where a source is: the credential folder of the service manager, or the path that it names. */
static bst_result secret_path(const char *source, char out[HOST_PATH_MAX])
{
    const char *name = strchr(source, ':');
    name = name ? name + 1 : source;
    int len = -1;
    if (strncmp(source, "file:", 5) == 0) {
        len = snprintf(out, HOST_PATH_MAX, "%s", name);
    } else if (strncmp(source, "credential:", 11) == 0) {
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        if (!folder || strchr(name, '/')) {
            BST_FAIL(BST_E_CONFIG,
                     "%s: the service manager has given no credentials (LoadCredential=)", source);
        }
        len = snprintf(out, HOST_PATH_MAX, "%s/%s", folder, name);
    }
    if (len <= 0 || len >= HOST_PATH_MAX - 8) {
        BST_FAIL(BST_E_CONFIG, "'%s' is no source of a secret (file:PATH or credential:NAME)",
                 source);
    }
    return BST_OK;
}

static bst_result check_private(const struct stat *st, const char *path)
{
    if (!S_ISREG(st->st_mode) || (st->st_mode & 077) ||
        (st->st_uid != geteuid() && st->st_uid != 0)) {
        BST_FAIL(BST_E_PERMISSION,
                 "%s can be read by others; make it its owner's alone (chmod 600 %s)", path, path);
    }
    if (st->st_size <= 0 || st->st_size > SECRET_BYTES_MAX) {
        BST_FAIL(BST_E_BAD_KEY, "%s has %lld bytes; 1 to %d are possible", path,
                 (long long)st->st_size, SECRET_BYTES_MAX);
    }
    return BST_OK;
}

static bst_result host_secret_read(void *ctx, const char *source, struct bst_secret *ret)
{
    char path[HOST_PATH_MAX];
    BST_TRY(secret_path(source, path));
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return failed("read", path);
    }
    BST_TRY(check_private(&st, path));
    bst_auto(secret) secret = {0};
    BST_TRY(bst_secret_init(&secret, (size_t)st.st_size));
    ssize_t n = read(fd, secret.ptr, secret.len);
    if (n != (ssize_t)secret.len) {
        return failed("read", path);
    }
    *ret = secret;
    secret = (struct bst_secret){0};
    return BST_OK;
}

static bst_result host_secret_write(void *ctx, const char *source, const struct bst_secret *secret)
{
    char path[HOST_PATH_MAX], tmp[HOST_PATH_MAX];
    BST_TRY(secret_path(source, path));
    BST_TRY(make_folder(path));
    BST_TRY(write_beside(path, bst_view_of(secret->ptr, secret->len), tmp, sizeof tmp));
    /* A link, unlike a rename, does not replace what is there. */
    bool linked = link(tmp, path) == 0;
    bst_result placed = linked ? BST_OK : failed("put in place", path);
    unlink(tmp);
    BST_TRY(placed);
    return sync_folder(path);
}

void bst_se_host_file(struct bst_se_host *ret, int64_t (*wall_us)(void *ctx))
{
    *ret = (struct bst_se_host){
        .read = host_read,
        .replace = host_replace,
        .append = host_append,
        .remove = host_remove,
        .secret_read = host_secret_read,
        .secret_write = host_secret_write,
        .wall_us = wall_us,
    };
}
