/* Addresses in numbers, their text, and sockets bound to them. */
#include "sys/tcp_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void bst_inet_format(const struct bst_inet *ip, bool with_port, char out[BST_INET_TEXT])
{
    char text[INET6_ADDRSTRLEN] = "unix";
    if (ip->family) {
        inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, text, sizeof text);
    }
    if (!with_port || !ip->family) {
        snprintf(out, BST_INET_TEXT, "%s", text);
    } else {
        snprintf(out, BST_INET_TEXT, ip->family == 4 ? "%s:%u" : "[%s]:%u", text,
                 (unsigned)ip->port);
    }
}

bst_result bst_address_split(struct bst_view text, struct bst_view *ret_host, uint16_t *ret_port)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    if (colon == 0 || bst_failed(bst_parse_u64(bst_view_from(text, colon), &port)) ||
        port > 65535) {
        BST_FAIL(BST_E_SYNTAX, "%.*s: an address is HOST:PORT, [IPv6]:PORT or unix:PATH",
                 BST_VIEW_ARGS(text));
    }
    struct bst_view host = {text.ptr, colon - 1};
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    *ret_host = bracketed ? (struct bst_view){host.ptr + 1, host.len - 2} : host;
    *ret_port = (uint16_t)port;
    return BST_OK;
}

bst_result bst_inet_parse(struct bst_view text, struct bst_inet *ret)
{
    struct bst_view host;
    struct bst_inet ip = {0};
    char name[INET6_ADDRSTRLEN];
    BST_TRY(bst_address_split(text, &host, &ip.port));
    bool bracketed = text.len && text.ptr[0] == '[';
    BST_TRY(bst_view_copy(host, name, sizeof name));
    if (!bracketed && inet_pton(AF_INET, name, ip.bytes) == 1) {
        ip.family = 4;
    } else if (bracketed && inet_pton(AF_INET6, name, ip.bytes) == 1) {
        ip.family = 6;
    } else {
        BST_FAIL(BST_E_SYNTAX, "%.*s is not a numeric address", BST_VIEW_ARGS(text));
    }
    *ret = ip;
    return BST_OK;
}

/* ::ffff:a.b.c.d names an IPv4 host: judged as that. */
static struct bst_inet unmapped(const struct bst_inet *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct bst_inet v4 = *ip;
    if (ip->family == 6 && memcmp(ip->bytes, mapped, sizeof mapped) == 0) {
        v4.family = 4;
        memcpy(v4.bytes, ip->bytes + 12, 4);
    }
    return v4;
}

bool bst_inet_is_loopback(const struct bst_inet *ip)
{
    static const uint8_t v6[16] = {[15] = 1};
    struct bst_inet a = unmapped(ip);
    return a.family == 4 ? a.bytes[0] == 127 : a.family == 6 && memcmp(a.bytes, v6, sizeof v6) == 0;
}

bool bst_inet_is_local_scope(const struct bst_inet *ip)
{
    static const uint8_t zero[16];
    struct bst_inet a = unmapped(ip);
    if (a.family == 0 || bst_inet_is_loopback(&a)) {
        return true;
    }
    if (a.family == 4) {
        return a.bytes[0] == 0 || a.bytes[0] >= 224 || (a.bytes[0] == 169 && a.bytes[1] == 254);
    }
    return a.bytes[0] == 0xff || (a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80) ||
           memcmp(a.bytes, zero, sizeof zero) == 0;
}

socklen_t bst_inet_to_sockaddr(const struct bst_inet *ip, struct sockaddr_storage *ret)
{
    *ret = (struct sockaddr_storage){0};
    if (ip->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(ip->port);
        memcpy(&in->sin_addr, ip->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(ip->port);
    memcpy(&in6->sin6_addr, ip->bytes, 16);
    return sizeof *in6;
}

struct bst_inet bst_inet_of_sockaddr(const struct sockaddr *addr)
{
    struct bst_inet ip = {0};
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
        ip.family = 4;
        ip.port = ntohs(in->sin_port);
        memcpy(ip.bytes, &in->sin_addr, 4);
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        ip.family = 6;
        ip.port = ntohs(in6->sin6_port);
        memcpy(ip.bytes, &in6->sin6_addr, 16);
    }
    return ip;
}

static bst_result sys_error(const char *what, const char *subject)
{
    return bst_uv_error(-errno, what, subject);
}

static int stream_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* One socket on `ip`; port 0 becomes the real one. Accepted sockets inherit TCP_NODELAY. */
static bst_result bind_one(struct bst_inet *ip, bool share, const char *address, int *ret_fd)
{
    int on = 1;
    struct sockaddr_storage addr;
    socklen_t len = bst_inet_to_sockaddr(ip, &addr);
    int fd = stream_socket(addr.ss_family);
    if (fd < 0) {
        return sys_error("making a socket for", address);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (ip->family == 6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    bool ok = !share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
    ok = ok && bind(fd, (struct sockaddr *)&addr, len) == 0;
    len = sizeof addr;
    if (!ok || getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        bst_result failed = sys_error("listening on", address);
        close(fd);
        return failed;
    }
    *ip = bst_inet_of_sockaddr((struct sockaddr *)&addr);
    *ret_fd = fd;
    return BST_OK;
}

static bst_result bind_tcp(const char *address, struct bst_bound *bound)
{
    int probe = -1;
    BST_TRY(bst_inet_parse(bst_view(address), &bound->ip));
    BST_TRY(bind_one(&bound->ip, false, address, &probe));
    close(probe);
    for (size_t i = 0; i < bound->n; i++) {
        BST_TRY(bind_one(&bound->ip, true, address, &bound->fds[i]));
    }
    return BST_OK;
}

bst_result bst_unix_sockaddr(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (bst_failed(bst_view_copy(bst_view(path), ret->sun_path, sizeof ret->sun_path))) {
        BST_FAIL(BST_E_TOO_LONG, "%s: a unix socket's path has at most %zu characters", path,
                 sizeof ret->sun_path - 1);
    }
    return BST_OK;
}

/* A socket file that nobody answers is left over from a process that died. */
static bst_result remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0) {
        return BST_OK;
    }
    if (!S_ISSOCK(st.st_mode)) {
        BST_FAIL(BST_E_EXISTS, "%s exists and is not a socket", addr->sun_path);
    }
    int fd = stream_socket(AF_UNIX);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    if (!refused) {
        BST_FAIL(BST_E_EXISTS, "%s is served by another process", addr->sun_path);
    }
    (void)!unlink(addr->sun_path);
    return BST_OK;
}

static bst_result bind_unix(const char *path, struct bst_bound *bound)
{
    struct sockaddr_un addr;
    BST_TRY(bst_unix_sockaddr(path, &addr));
    BST_TRY(remove_stale(&addr));
    int *fd = &bound->fds[0];
    *fd = stream_socket(AF_UNIX);
    /* Nobody can connect before listen(), so that the mode is in force from the first moment. */
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        chmod(path, 0600) != 0) {
        return sys_error("listening on", path);
    }
    for (size_t i = 1; i < bound->n; i++) {
        bound->fds[i] = dup(*fd);
        if (bound->fds[i] < 0) {
            return sys_error("listening on", path);
        }
    }
    return BST_OK;
}

bst_result bst_bind(const char *address, size_t n, struct bst_bound *ret)
{
    struct bst_bound bound = {.fds = bst_alloc(n * sizeof(int)), .n = n};
    BST_ENSURE(bound.fds, BST_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        bound.fds[i] = -1;
    }
    const char *path = bst_unix_path(address);
    bst_result result = path ? bind_unix(path, &bound) : bind_tcp(address, &bound);
    if (bst_failed(result)) {
        bst_bound_clear(&bound);
        return result;
    }
    *ret = bound;
    return BST_OK;
}

void bst_socket_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void bst_bound_clear(struct bst_bound *bound)
{
    for (size_t i = 0; bound && bound->fds && i < bound->n; i++) {
        bst_socket_close(&bound->fds[i]);
    }
    if (bound) {
        bst_free(bound->fds);
        *bound = (struct bst_bound){0};
    }
}

const char *bst_unix_path(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}
