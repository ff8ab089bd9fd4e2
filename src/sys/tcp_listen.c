/* Listeners. */
#include "sys/tcp_priv.h"

#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define RETRY_MS 100

struct bst_listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct bst_loop *loop;
    bst_accept_fn accept;
    void *user;
    struct bst_timer retry;
    bool unix_socket;
};

static void learn_peer(struct bst_tcp *tcp)
{
    struct sockaddr_storage addr = {0};
    int len = sizeof addr;
    if (!tcp->unix_socket &&
        uv_tcp_getpeername(&tcp->uv.tcp, (struct sockaddr *)&addr, &len) == 0) {
        tcp->peer = bst_inet_of_sockaddr((struct sockaddr *)&addr);
    }
}

static void take_one(void *user)
{
    struct bst_listener *listener = user;
    struct bst_tcp *tcp;
    if (bst_failed(bst_tcp_new(listener->loop, listener->unix_socket, &tcp))) {
        /* libuv holds the connection and takes no other until it is fetched. */
        bst_timer_start(&listener->retry, RETRY_MS, 0);
        return;
    }
    if (uv_accept(&listener->uv.stream, &tcp->uv.stream) < 0) {
        bst_tcp_close(&tcp);
        return;
    }
    learn_peer(tcp);
    listener->loop->active = true;
    listener->accept(listener->user, tcp);
}

static void somebody_came(uv_stream_t *stream, int status)
{
    if (status >= 0) {
        take_one(stream->data);
    }
}

static void free_listener(uv_handle_t *handle)
{
    bst_free(handle->data);
}

static int open_listener(struct bst_listener *listener, int fd)
{
    if (listener->unix_socket) {
        uv_pipe_init(&listener->loop->uv, &listener->uv.pipe, 0);
    } else {
        uv_tcp_init(&listener->loop->uv, &listener->uv.tcp);
    }
    listener->uv.handle.data = listener;
    int status = listener->unix_socket ? uv_pipe_open(&listener->uv.pipe, fd)
                                       : uv_tcp_open(&listener->uv.tcp, fd);
    if (status < 0) {
        close(fd);
        return status;
    }
    return uv_listen(&listener->uv.stream, BACKLOG, somebody_came);
}

bst_result bst_listener_new(struct bst_loop *loop, int *take_fd, bst_accept_fn accept, void *user,
                            struct bst_listener **ret)
{
    int fd = *take_fd;
    *take_fd = -1;
    struct bst_listener *listener = bst_alloc(sizeof *listener);
    if (!listener) {
        close(fd);
        return bst_error(BST_E_NOMEM);
    }
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    (void)getsockname(fd, (struct sockaddr *)&addr, &len);
    listener->unix_socket = addr.ss_family == AF_UNIX;
    listener->loop = loop;
    listener->accept = accept;
    listener->user = user;
    bst_timer_init(loop, &listener->retry, take_one, listener);
    int status = open_listener(listener, fd);
    if (status < 0) {
        uv_close(&listener->uv.handle, free_listener);
        return bst_uv_error(status, "listening", NULL);
    }
    *ret = listener;
    return BST_OK;
}

void bst_listener_free(struct bst_listener **slot)
{
    struct bst_listener *listener = bst_steal(slot);
    if (listener) {
        bst_timer_stop(&listener->retry);
        uv_close(&listener->uv.handle, free_listener);
    }
}
