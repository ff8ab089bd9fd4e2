/* Signals, watched files, threads and the service manager. */
#include "sys/service.h"

#include "sys/loop_priv.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GIVE_WAY_NICE 10

struct bst_signal {
    uv_signal_t uv;
    struct bst_loop *loop;
    void (*run)(void *user, int signum);
    void *user;
};

static void free_data(uv_handle_t *handle)
{
    bst_free(handle->data);
}

static void signal_came(uv_signal_t *uv, int signum)
{
    struct bst_signal *sig = uv->data;
    sig->loop->active = true;
    sig->run(sig->user, signum);
}

bst_result bst_signal_new(struct bst_loop *loop, int signum, void (*run)(void *user, int signum),
                          void *user, struct bst_signal **ret)
{
    struct bst_signal *sig = bst_alloc(sizeof *sig);
    BST_ENSURE(sig, BST_E_NOMEM);
    *sig = (struct bst_signal){.loop = loop, .run = run, .user = user};
    int status = uv_signal_init(&loop->uv, &sig->uv);
    if (status < 0) {
        bst_free(sig);
        return bst_uv_error(status, "watching a signal", NULL);
    }
    sig->uv.data = sig;
    status = uv_signal_start(&sig->uv, signal_came, signum);
    if (status < 0) {
        uv_close((uv_handle_t *)&sig->uv, free_data);
        return bst_uv_error(status, "watching a signal", NULL);
    }
    *ret = sig;
    return BST_OK;
}

void bst_signal_free(struct bst_signal **slot)
{
    struct bst_signal *sig = bst_steal(slot);
    if (sig) {
        uv_close((uv_handle_t *)&sig->uv, free_data);
    }
}

#define SETTLE_MS 200

struct bst_watch {
    uv_fs_event_t uv;
    struct bst_loop *loop;
    void (*run)(void *user);
    void *user;
    char *name; /* the file's, in its folder */
    struct bst_timer settle;
};

static void free_watch(uv_handle_t *handle)
{
    struct bst_watch *watch = handle->data;
    bst_free(watch->name);
    bst_free(watch);
}

static void folder_changed(uv_fs_event_t *uv, const char *name, int events, int status)
{
    struct bst_watch *watch = uv->data;
    (void)events;
    if (status >= 0 && (!name || strcmp(name, watch->name) == 0)) {
        bst_timer_start(&watch->settle, SETTLE_MS, 0);
    }
}

static void settled(void *user)
{
    struct bst_watch *watch = user;
    watch->run(watch->user);
}

bst_result bst_watch_new(struct bst_loop *loop, const char *path, void (*run)(void *user),
                         void *user, struct bst_watch **ret)
{
    const char *slash = strrchr(path, '/');
    bst_auto_free char *folder =
        slash ? bst_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : bst_strdup(".");
    bst_auto_free char *name = bst_strdup(slash ? slash + 1 : path);
    bst_auto_free struct bst_watch *watch = bst_alloc(sizeof *watch);
    BST_ENSURE(folder && name && watch, BST_E_NOMEM);
    *watch = (struct bst_watch){.loop = loop, .run = run, .user = user};
    bst_timer_init(loop, &watch->settle, settled, watch);
    int status = uv_fs_event_init(&loop->uv, &watch->uv);
    if (status < 0) {
        return bst_uv_error(status, "watching", path);
    }
    watch->uv.data = watch;
    watch->name = bst_steal(&name);
    status = uv_fs_event_start(&watch->uv, folder_changed, folder, 0);
    if (status < 0) {
        uv_close((uv_handle_t *)&watch->uv, free_watch);
        watch = NULL;
        return bst_uv_error(status, "watching", path);
    }
    *ret = bst_steal(&watch);
    return BST_OK;
}

void bst_watch_free(struct bst_watch **slot)
{
    struct bst_watch *watch = bst_steal(slot);
    if (watch) {
        bst_timer_stop(&watch->settle);
        uv_close((uv_handle_t *)&watch->uv, free_watch);
    }
}

struct bst_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[16]; /* the kernel's limit */
};

static void *thread_main(void *arg)
{
    const struct bst_thread *thread = arg;
    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->arg);
    return NULL;
}

bst_result bst_thread_start(const char *name, void (*run)(void *arg), void *arg,
                            struct bst_thread **ret)
{
    struct bst_thread *thread = bst_alloc(sizeof *thread);
    BST_ENSURE(thread, BST_E_NOMEM);
    thread->run = run;
    thread->arg = arg;
    strncpy(thread->name, name, sizeof thread->name - 1);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        bst_free(thread);
        return bst_uv_error(-error, "starting the thread", name);
    }
    *ret = thread;
    return BST_OK;
}

void bst_thread_join(struct bst_thread **slot)
{
    struct bst_thread *thread = bst_steal(slot);
    if (thread) {
        pthread_join(thread->id, NULL);
        bst_free(thread);
    }
}

void bst_thread_give_way(void)
{
    /* On Linux a nice value belongs to a thread; without the right to it nothing changes. */
    (void)setpriority(PRIO_PROCESS, 0, GIVE_WAY_NICE);
}

unsigned bst_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (unsigned)n : 1;
}

void bst_service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof addr.sun_path) {
        return;
    }
    size_t len = strlen(path);
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@') {
        addr.sun_path[0] = '\0'; /* abstract name */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, addr_len);
        close(fd);
    }
}

size_t bst_service_sockets(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    uint64_t for_pid = 0, n = 0;
    bool ours = pid && count && !bst_failed(bst_parse_u64(bst_view(pid), &for_pid)) &&
                !bst_failed(bst_parse_u64(bst_view(count), &n)) && for_pid == (uint64_t)getpid();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return ours && n < 64 ? (size_t)n : 0;
}

bst_result bst_service_harden(void)
{
    bool ok =
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    if (!ok) {
        BST_FAIL(BST_E_PERMISSION, "the kernel refuses no-new-privileges or no-dump");
    }
    return BST_OK;
}
