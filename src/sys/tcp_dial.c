/* Dialling: resolve if it is a name, try what came back in order, all under one deadline. */
#include "sys/tcp_priv.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAX_IPS 6

struct bst_tcp_dial {
    struct bst_tcp *tcp; /* NULL: given up while a name was being resolved */
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    bool resolving;
    struct bst_timer deadline, begin;
    bst_dial_filter filter;
    void (*on_connect)(void *user, bst_result result);
    void *user;
    struct bst_inet ips[MAX_IPS];
    size_t n_ips, at;
    int last_status;
    char address[256];
};

static void finish(struct bst_tcp_dial *dial, bst_result result)
{
    bst_timer_stop(&dial->deadline);
    dial->tcp->loop->active = true;
    if (dial->on_connect) {
        void (*on_connect)(void *, bst_result) = dial->on_connect;
        dial->on_connect = NULL;
        on_connect(dial->user, result);
    }
}

static void give_up(void *user)
{
    struct bst_tcp_dial *dial = user;
    finish(dial, bst_error_detailed(BST_E_TIMEOUT, "no connection to %s in time", dial->address));
}

static void try_next(struct bst_tcp_dial *dial);

static void reopen(uv_handle_t *handle)
{
    struct bst_tcp *tcp = handle->data;
    tcp->reopening = false;
    if (tcp->closed) {
        bst_tcp_free(handle);
        return;
    }
    bst_tcp_init_handle(tcp);
    if (tcp->dial->on_connect) {
        try_next(tcp->dial);
    }
}

static void connected(uv_connect_t *req, int status)
{
    struct bst_tcp_dial *dial = req->data;
    struct bst_tcp *tcp = dial->tcp;
    if (!tcp || tcp->closed || !dial->on_connect) {
        return;
    }
    if (status >= 0) {
        finish(dial, BST_OK);
        return;
    }
    dial->last_status = status;
    if (dial->at < dial->n_ips) {
        /* A socket that failed to connect is of no more use. */
        tcp->reopening = true;
        uv_close(&tcp->uv.handle, reopen);
        return;
    }
    finish(dial, bst_uv_error(status, "connecting to", dial->address));
}

static int connect_to(struct bst_tcp_dial *dial, const struct bst_inet *ip)
{
    struct sockaddr_storage addr;
    bst_inet_to_sockaddr(ip, &addr);
    dial->tcp->peer = *ip;
    int status =
        uv_tcp_connect(&dial->connect, &dial->tcp->uv.tcp, (struct sockaddr *)&addr, connected);
    if (status == 0) {
        uv_tcp_nodelay(&dial->tcp->uv.tcp, 1);
    }
    return status;
}

static void try_next(struct bst_tcp_dial *dial)
{
    bool denied = false;
    while (dial->at < dial->n_ips) {
        const struct bst_inet *ip = &dial->ips[dial->at++];
        if (dial->filter && !dial->filter(dial->user, ip)) {
            denied = true;
            continue;
        }
        dial->last_status = connect_to(dial, ip);
        if (dial->last_status == 0) {
            return;
        }
    }
    if (denied && dial->last_status == 0) {
        finish(dial, bst_error_detailed(BST_E_DENIED, "%s may not be dialled", dial->address));
        return;
    }
    finish(dial, bst_uv_error(dial->last_status ? dial->last_status : UV_EAI_NONAME,
                              "connecting to", dial->address));
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct bst_tcp_dial *dial = req->data;
    dial->resolving = false;
    if (!dial->tcp) {
        bst_free(dial);
    } else if (dial->on_connect) {
        for (struct addrinfo *ai = list; ai && dial->n_ips < MAX_IPS; ai = ai->ai_next) {
            struct bst_inet ip = bst_inet_of_sockaddr(ai->ai_addr);
            if (ip.family) {
                dial->ips[dial->n_ips++] = ip;
            }
        }
        dial->last_status = status;
        try_next(dial);
    }
    uv_freeaddrinfo(list);
}

static bst_result start_resolving(struct bst_tcp_dial *dial)
{
    struct bst_view host;
    uint16_t port;
    char name[256], service[8];
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    BST_TRY(bst_address_split(bst_view(dial->address), &host, &port));
    BST_TRY(bst_view_copy(host, name, sizeof name));
    snprintf(service, sizeof service, "%u", (unsigned)port);
    dial->resolve.data = dial;
    int status =
        uv_getaddrinfo(&dial->tcp->loop->uv, &dial->resolve, resolved, name, service, &hints);
    if (status < 0) {
        return bst_uv_error(status, "resolving", dial->address);
    }
    dial->resolving = true;
    return BST_OK;
}

/* What needs no resolving starts in the loop's next turn, so that the callback never comes early.
 */
static void start_later(void *user)
{
    struct bst_tcp_dial *dial = user;
    const char *path = bst_unix_path(dial->address);
    if (path) {
        uv_pipe_connect(&dial->connect, &dial->tcp->uv.pipe, path, connected);
    } else {
        try_next(dial);
    }
}

static bst_result start(struct bst_tcp_dial *dial, int64_t timeout_ms)
{
    struct bst_loop *loop = dial->tcp->loop;
    const char *path = bst_unix_path(dial->address);
    struct sockaddr_un un;
    bst_timer_init(loop, &dial->deadline, give_up, dial);
    bst_timer_init(loop, &dial->begin, start_later, dial);
    bool numeric = path || !bst_failed(bst_inet_parse(bst_view(dial->address), &dial->ips[0]));
    if (path) {
        BST_TRY(bst_unix_sockaddr(path, &un));
    } else if (numeric) {
        dial->n_ips = 1;
    } else {
        BST_TRY(start_resolving(dial));
    }
    if (numeric) {
        bst_timer_start(&dial->begin, 0, 0);
    }
    bst_timer_start(&dial->deadline, timeout_ms, 0);
    return BST_OK;
}

bst_result bst_tcp_connect(struct bst_loop *loop, const char *address, int64_t timeout_ms,
                           bst_dial_filter filter,
                           void (*on_connect)(void *user, bst_result result), void *user,
                           struct bst_tcp **ret)
{
    struct bst_tcp *tcp;
    struct bst_tcp_dial *dial = bst_alloc(sizeof *dial);
    BST_ENSURE(dial, BST_E_NOMEM);
    dial->filter = filter;
    dial->on_connect = on_connect;
    dial->user = user;
    dial->connect.data = dial;
    bst_result result = bst_view_copy(bst_view(address), dial->address, sizeof dial->address);
    if (!bst_failed(result)) {
        result = bst_tcp_new(loop, bst_unix_path(address) != NULL, &tcp);
    }
    if (bst_failed(result)) {
        bst_free(dial);
        return result;
    }
    tcp->dial = dial;
    dial->tcp = tcp;
    result = start(dial, timeout_ms);
    if (bst_failed(result)) {
        bst_tcp_close(&tcp);
        return result;
    }
    *ret = tcp;
    return BST_OK;
}

void bst_tcp_dial_abandon(struct bst_tcp *tcp)
{
    struct bst_tcp_dial *dial = tcp->dial;
    if (!dial) {
        return;
    }
    bst_timer_stop(&dial->deadline);
    bst_timer_stop(&dial->begin);
    dial->on_connect = NULL;
    if (dial->resolving) {
        /* Its thread may be in the middle: the end of the look-up frees it. */
        dial->tcp = NULL;
        tcp->dial = NULL;
        uv_cancel((uv_req_t *)&dial->resolve);
    }
}

void bst_tcp_dial_free(struct bst_tcp *tcp)
{
    bst_free(tcp->dial);
    tcp->dial = NULL;
}
