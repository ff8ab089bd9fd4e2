/* Connected stream sockets. Output is collected per connection and goes out in one write; what the
 * kernel does not take is handed to libuv whole, so that at most one such write is under way. */
#include "sys/tcp_priv.h"

#include <sys/socket.h>
#include <unistd.h>

struct bst_tcp_write {
    uv_write_t req;
    struct bst_tcp *tcp;
    struct bst_buf buf;
};

void bst_tcp_init_handle(struct bst_tcp *tcp)
{
    if (tcp->unix_socket) {
        uv_pipe_init(&tcp->loop->uv, &tcp->uv.pipe, 0);
    } else {
        uv_tcp_init(&tcp->loop->uv, &tcp->uv.tcp);
    }
    tcp->uv.handle.data = tcp;
}

bst_result bst_tcp_new(struct bst_loop *loop, bool unix_socket, struct bst_tcp **ret)
{
    struct bst_tcp *tcp = bst_alloc(sizeof *tcp);
    BST_ENSURE(tcp, BST_E_NOMEM);
    tcp->loop = loop;
    tcp->unix_socket = unix_socket;
    bst_tcp_init_handle(tcp);
    *ret = tcp;
    return BST_OK;
}

static int descriptor(const struct bst_tcp *tcp)
{
    uv_os_fd_t fd = -1;
    return uv_fileno(&tcp->uv.handle, &fd) == 0 ? fd : -1;
}

bst_result bst_tcp_adopt(struct bst_loop *loop, int *take_fd, struct bst_tcp **ret)
{
    int fd = *take_fd;
    *take_fd = -1;
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    (void)getpeername(fd, (struct sockaddr *)&addr, &len);
    struct bst_tcp *tcp;
    bst_result result = bst_tcp_new(loop, addr.ss_family == AF_UNIX, &tcp);
    if (bst_failed(result)) {
        close(fd);
        return result;
    }
    int status = tcp->unix_socket ? uv_pipe_open(&tcp->uv.pipe, fd) : uv_tcp_open(&tcp->uv.tcp, fd);
    if (status < 0) {
        close(fd);
        bst_tcp_close(&tcp);
        return bst_uv_error(status, "taking over a socket", NULL);
    }
    tcp->peer = bst_inet_of_sockaddr((struct sockaddr *)&addr);
    *ret = tcp;
    return BST_OK;
}

static void give_memory(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    const struct bst_tcp *tcp = handle->data;
    *ret = uv_buf_init(tcp->loop->read_buffer, BST_READ_BYTES);
}

static void end_of_input(struct bst_tcp *tcp, int status)
{
    uv_read_stop(&tcp->uv.stream);
    tcp->ended = true;
    if (status == UV_EOF) {
        tcp->events->on_end(tcp->user, BST_OK);
        return;
    }
    tcp->events->on_end(tcp->user, bst_uv_error(status, "reading from the peer", NULL));
}

static void have_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct bst_tcp *tcp = stream->data;
    tcp->loop->active = true;
    if (n > 0) {
        tcp->events->on_data(tcp->user, bst_view_of(buf->base, (size_t)n));
        bst_wipe(buf->base, (size_t)n); /* the loop's; an administrator's key came in clear */
    } else if (n < 0) {
        end_of_input(tcp, (int)n);
    }
}

bst_result bst_tcp_start(struct bst_tcp *tcp, const struct bst_tcp_events *events, void *user)
{
    tcp->events = events;
    tcp->user = user;
    tcp->started = true;
    int status = uv_read_start(&tcp->uv.stream, give_memory, have_read);
    return status < 0 ? bst_uv_error(status, "reading from the peer", NULL) : BST_OK;
}

void bst_tcp_pause(struct bst_tcp *tcp, bool pause)
{
    if (tcp->closed || tcp->ended || tcp->paused == pause) {
        return;
    }
    tcp->paused = pause;
    if (pause) {
        uv_read_stop(&tcp->uv.stream);
    } else {
        uv_read_start(&tcp->uv.stream, give_memory, have_read);
    }
}

struct bst_buf *bst_tcp_out(struct bst_tcp *tcp)
{
    struct bst_loop *loop = tcp->loop;
    if (!tcp->out.ptr && loop->n_spares) {
        tcp->out = loop->spares[--loop->n_spares];
    }
    return &tcp->out;
}

static void drop_buffer(struct bst_loop *loop, struct bst_buf *buf)
{
    if (buf->ptr && buf->cap <= BST_SPARE_BYTES && loop->n_spares < BST_SPARES && !buf->failed) {
        buf->len = 0;
        loop->spares[loop->n_spares++] = *buf;
        *buf = (struct bst_buf){0};
    } else {
        bst_buf_clear(buf);
    }
}

static void put_on_flush_list(struct bst_tcp *tcp)
{
    if (!tcp->flush.next) {
        bst_list_append(&tcp->loop->flush, &tcp->flush);
    }
}

/* Told later from the loop: the owner is in the middle of something now. */
static void break_later(struct bst_tcp *tcp)
{
    drop_buffer(tcp->loop, &tcp->out);
    if (!tcp->broken) {
        tcp->broken = true;
        put_on_flush_list(tcp);
    }
}

static void shut_when_written(struct bst_tcp *tcp)
{
    if (tcp->shut && !tcp->writing && !tcp->out.len && !tcp->closed) {
        (void)shutdown(descriptor(tcp), SHUT_WR);
    }
}

static void have_written(uv_write_t *req, int status)
{
    struct bst_tcp_write *w = req->data;
    struct bst_tcp *tcp = w->tcp;
    bst_buf_clear(&w->buf);
    bst_free(w);
    tcp->writing = NULL;
    tcp->loop->active = true;
    if (tcp->closed) {
        return;
    }
    if (status < 0) {
        break_later(tcp);
        return;
    }
    bst_tcp_flush(tcp);
    if (!tcp->writing && !tcp->broken && tcp->started && tcp->events->on_drained) {
        tcp->events->on_drained(tcp->user);
    }
}

static void write_rest(struct bst_tcp *tcp)
{
    struct bst_tcp_write *w = bst_alloc(sizeof *w);
    if (!w) {
        break_later(tcp);
        return;
    }
    w->req.data = w;
    w->tcp = tcp;
    w->buf = tcp->out;
    tcp->out = (struct bst_buf){0};
    tcp->writing = w;
    uv_buf_t buf = uv_buf_init(w->buf.ptr, (unsigned)w->buf.len);
    if (uv_write(&w->req, &tcp->uv.stream, &buf, 1, have_written) < 0) {
        tcp->writing = NULL;
        bst_buf_clear(&w->buf);
        bst_free(w);
        break_later(tcp);
    }
}

void bst_tcp_flush(struct bst_tcp *tcp)
{
    if (tcp->out.failed) {
        break_later(tcp);
    }
    if (tcp->closed || tcp->broken || tcp->writing || !tcp->out.len) {
        return;
    }
    uv_buf_t buf = uv_buf_init(tcp->out.ptr, (unsigned)tcp->out.len);
    int n = uv_try_write(&tcp->uv.stream, &buf, 1);
    if (n == (int)tcp->out.len) {
        drop_buffer(tcp->loop, &tcp->out);
        shut_when_written(tcp);
    } else if (n >= 0 || n == UV_EAGAIN) {
        bst_buf_consume(&tcp->out, n > 0 ? (size_t)n : 0);
        write_rest(tcp);
    } else {
        break_later(tcp);
    }
}

void bst_tcp_flush_later(struct bst_tcp *tcp)
{
    if (tcp->broken) {
        drop_buffer(tcp->loop, &tcp->out);
    } else if (!tcp->closed) {
        put_on_flush_list(tcp);
    }
}

static void tell_broken(struct bst_tcp *tcp)
{
    uv_read_stop(&tcp->uv.stream);
    tcp->ended = true;
    tcp->loop->active = true;
    if (tcp->started) {
        bst_result why = bst_error_detailed(BST_E_CLOSED, "the peer does not take any more bytes");
        tcp->events->on_end(tcp->user, why);
    }
}

void bst_tcp_flush_all(struct bst_loop *loop)
{
    /* A list of its own: what is added while it is worked on belongs to the next turn. */
    struct bst_list now;
    if (bst_list_empty(&loop->flush)) {
        return;
    }
    now = loop->flush;
    now.next->prev = now.prev->next = &now;
    bst_list_init(&loop->flush);
    while (!bst_list_empty(&now)) {
        struct bst_tcp *tcp = bst_container_of(now.next, struct bst_tcp, flush);
        bst_list_remove(&tcp->flush);
        if (!tcp->broken) {
            bst_tcp_flush(tcp);
        } else {
            tell_broken(tcp);
        }
    }
}

void bst_tcp_write(struct bst_tcp *tcp, struct bst_view data)
{
    bst_buf_addv(bst_tcp_out(tcp), data);
    bst_tcp_flush_later(tcp);
}

size_t bst_tcp_pending(const struct bst_tcp *tcp)
{
    return tcp->out.len + (tcp->writing ? tcp->writing->buf.len : 0);
}

void bst_tcp_shutdown(struct bst_tcp *tcp)
{
    tcp->shut = true;
    bst_tcp_flush(tcp);
    shut_when_written(tcp);
}

void bst_tcp_free(uv_handle_t *handle)
{
    struct bst_tcp *tcp = handle->data;
    bst_tcp_dial_free(tcp);
    bst_free(tcp);
}

void bst_tcp_close(struct bst_tcp **slot)
{
    struct bst_tcp *tcp = bst_steal(slot);
    if (!tcp) {
        return;
    }
    tcp->closed = true;
    bst_list_remove(&tcp->flush);
    drop_buffer(tcp->loop, &tcp->out);
    bst_tcp_dial_abandon(tcp);
    if (!tcp->reopening) {
        uv_close(&tcp->uv.handle, bst_tcp_free);
    }
}

struct bst_loop *bst_tcp_loop(const struct bst_tcp *tcp)
{
    return tcp->loop;
}

const struct bst_inet *bst_tcp_peer(const struct bst_tcp *tcp)
{
    return &tcp->peer;
}

int64_t bst_tcp_peer_uid(const struct bst_tcp *tcp)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (!tcp->unix_socket ||
        getsockopt(descriptor(tcp), SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return -1;
    }
    return cred.uid;
}
