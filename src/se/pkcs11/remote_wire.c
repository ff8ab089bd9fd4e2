/* Messages to and from the process of a module; both ends use this. */
#include "se/pkcs11/remote_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define P11_ARGS_(name, args) [P11_FN_##name] = (args),
const char *const p11_function_args[P11_FUNCTION_COUNT] = {P11_FUNCTIONS(P11_ARGS_)};

void p11_message_start(struct p11_message *m, unsigned function)
{
    memset(&m->head, 0, sizeof m->head);
    m->head.magic = P11_MAGIC;
    m->head.function = (uint16_t)function;
    m->part[0] = (struct iovec){&m->head, sizeof m->head};
}

bool p11_message_add(struct p11_message *m, const void *ptr, size_t len)
{
    union {
        const void *in;
        void *out;
    } any = {ptr}; /* what is sent is only read */
    if (m->head.n == P11_SEGMENTS || len > P11_MESSAGE_MAX) {
        return false;
    }
    m->head.len[m->head.n++] = (uint32_t)len;
    m->part[m->head.n] = (struct iovec){any.out, len};
    return true;
}

static int64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* house: ok, no wall time */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct p11_limit p11_limit_in(int milliseconds)
{
    return (struct p11_limit){.until_us = monotonic_us() + (int64_t)milliseconds * 1000};
}

/* Until the socket can go on. */
static bool await(int fd, bool out, struct p11_limit *limit)
{
    int64_t left_us = limit->until_us - monotonic_us();
    struct pollfd one = {.fd = fd, .events = out ? POLLOUT : POLLIN};
    int ready = left_us > 0 ? poll(&one, 1, (int)(left_us / 1000 + 1)) : 0;
    limit->late = ready == 0;
    return ready > 0 || (ready < 0 && errno == EINTR);
}

/* After a transfer that moved nothing: may it be tried again? */
static bool again(int fd, ssize_t moved, bool out, struct p11_limit *limit)
{
    if (moved == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        return moved < 0 && errno == EINTR;
    }
    return await(fd, out, limit);
}

/* What is left after `moved` bytes. */
static void advance(struct iovec **parts, size_t *n, size_t moved)
{
    while (*n && moved >= (*parts)->iov_len) {
        moved -= (*parts)->iov_len;
        (*parts)++;
        (*n)--;
    }
    if (*n) {
        (*parts)->iov_base = (uint8_t *)(*parts)->iov_base + moved;
        (*parts)->iov_len -= moved;
    }
}

static bool in_time(struct p11_limit *limit)
{
    limit->late = limit->until_us && monotonic_us() >= limit->until_us;
    return !limit->late;
}

static bool move_all(int fd, struct iovec *parts, size_t n, bool out, struct p11_limit *limit)
{
    int flags = limit->until_us ? MSG_DONTWAIT : 0;
    advance(&parts, &n, 0);
    while (n) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
        ssize_t moved =
            out ? sendmsg(fd, &message, flags | MSG_NOSIGNAL) : recvmsg(fd, &message, flags);
        if (moved > 0) {
            advance(&parts, &n, (size_t)moved);
        }
        if (moved > 0 ? n && !in_time(limit) : !again(fd, moved, out, limit)) {
            return false;
        }
    }
    return true;
}

bool p11_message_send(int fd, struct p11_message *m, struct p11_limit *limit)
{
    return move_all(fd, m->part, m->head.n + 1u, true, limit);
}

bool p11_receive(int fd, void *out, size_t len, struct p11_limit *limit)
{
    struct iovec part = {out, len};
    return move_all(fd, &part, 1, false, limit);
}

bool p11_receive_parts(int fd, struct iovec *parts, size_t n, struct p11_limit *limit)
{
    return move_all(fd, parts, n, false, limit);
}

bool p11_head_good(const struct p11_head *head, unsigned function, size_t *ret_total)
{
    size_t total = 0;
    if (head->magic != P11_MAGIC || head->function != function || head->n > P11_SEGMENTS) {
        return false;
    }
    for (unsigned i = 0; i < head->n; i++) {
        total += head->len[i];
    }
    *ret_total = total;
    return total <= P11_MESSAGE_MAX;
}
