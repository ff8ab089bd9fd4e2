/* What the files of stream sockets share. */
#pragma once

#include "sys/loop_priv.h"
#include "sys/tcp.h"

struct sockaddr_un;

struct bst_tcp_dial;

struct bst_tcp {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct bst_loop *loop;
    const struct bst_tcp_events *events;
    void *user;
    struct bst_buf out;            /* collected, not yet given to the kernel */
    struct bst_tcp_write *writing; /* what the kernel did not take at once */
    struct bst_tcp_dial *dial;
    struct bst_list flush;
    struct bst_inet peer;
    bool unix_socket, started, paused, ended, broken, shut, closed, reopening;
};

socklen_t bst_inet_to_sockaddr(const struct bst_inet *ip, struct sockaddr_storage *ret);
struct bst_inet bst_inet_of_sockaddr(const struct sockaddr *addr);
bst_result bst_unix_sockaddr(const char *path, struct sockaddr_un *ret);
/** The path of "unix:/path", else NULL. */
const char *bst_unix_path(const char *address);
bst_result bst_address_split(struct bst_view text, struct bst_view *ret_host, uint16_t *ret_port);

/** A connection without a socket yet. */
bst_result bst_tcp_new(struct bst_loop *loop, bool unix_socket, struct bst_tcp **ret);
void bst_tcp_init_handle(struct bst_tcp *tcp);
/** End of a connection's memory, after libuv let go of it. */
void bst_tcp_free(uv_handle_t *handle);
/** The dial lost its connection. */
void bst_tcp_dial_abandon(struct bst_tcp *tcp);
void bst_tcp_dial_free(struct bst_tcp *tcp);
