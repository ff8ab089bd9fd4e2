/* The side of the program that uses a token: processes of modules, their lanes, and calls.
 *
 * Numbers of slots and sessions carry which remote is meant and in which life of its process, so
 * that what belonged to an earlier life is refused here and never reaches another session. */
#include "se/pkcs11/remote.h"

#include "base/mem.h"
#include "base/text.h"
#include "se/pkcs11/remote_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REMOTES_MAX 256
#define LANES_MAX 18 /* as many threads as there are sessions, one that connects, one to spare */
#define START_MS 10000
#define HELLO_MAX 1024

struct p11_remote {
    const struct p11_remote_spec *spec;
    unsigned index;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pid_t pid;
    int control;
    uint16_t life; /* counts processes */
    bool hung;
    int lanes[LANES_MAX]; /* free ones */
    size_t n_free, n_lanes;
};

static struct p11_remote *remotes[REMOTES_MAX];
static pthread_mutex_t remotes_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- numbers that say whose they are ---- */

static CK_ULONG number_of(const struct p11_remote *r, uint16_t life, CK_ULONG local)
{
    return (CK_ULONG)(r->index + 1) << 48 | (CK_ULONG)life << 32 | (local & UINT32_MAX);
}

static struct p11_remote *remote_of(CK_ULONG number)
{
    CK_ULONG index = number >> 48;
    pthread_mutex_lock(&remotes_lock);
    struct p11_remote *r = index && index <= REMOTES_MAX ? remotes[index - 1] : NULL;
    pthread_mutex_unlock(&remotes_lock);
    return r;
}

/* ---- life of a process ---- */

static void close_lanes(struct p11_remote *r)
{
    while (r->n_free) {
        close(r->lanes[--r->n_free]);
    }
    r->n_lanes = 0; /* those in use are closed by who uses them */
}

/* Lock held. Killed rather than asked: it may be hung, and a module keeps nothing back that a token
 * would need. Those who wait for an answer see the end of their lane. */
static void end_process(struct p11_remote *r)
{
    if (r->control >= 0) {
        close(r->control);
    }
    r->control = -1;
    close_lanes(r);
    if (r->pid > 0) {
        (void)kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    r->pid = 0;
}

bst_result p11_remote_new(const struct p11_remote_spec *spec, struct p11_remote **ret)
{
    struct p11_remote *r = bst_alloc(sizeof *r);
    BST_ENSURE(r, BST_E_NOMEM);
    r->spec = spec;
    r->control = -1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    pthread_mutex_lock(&remotes_lock);
    while (r->index < REMOTES_MAX && remotes[r->index]) {
        r->index++;
    }
    bool room = r->index < REMOTES_MAX;
    if (room) {
        remotes[r->index] = r;
    }
    pthread_mutex_unlock(&remotes_lock);
    if (!room) {
        p11_remote_free(&r);
        BST_FAIL(BST_E_LIMIT, "more than %d PKCS#11 modules at a time", REMOTES_MAX);
    }
    *ret = r;
    return BST_OK;
}

void p11_remote_free(struct p11_remote **slot)
{
    struct p11_remote *r = *slot;
    *slot = NULL;
    if (!r) {
        return;
    }
    pthread_mutex_lock(&remotes_lock);
    if (r->index < REMOTES_MAX && remotes[r->index] == r) {
        remotes[r->index] = NULL;
    }
    pthread_mutex_unlock(&remotes_lock);
    end_process(r);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    bst_free(r);
}

/* ---- starting ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* Beside the running program, as in a build folder, or where it was installed. The variable is for
 * programs that are elsewhere. */
static bst_result find_program(char *out, size_t cap)
{
    const char *named = secure_getenv("BASTIDE_TOKEN_PROGRAM");
    if (named && named[0]) {
        return bst_view_copy(bst_view(named), out, cap);
    }
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    size_t at = slash ? (size_t)(slash + 1 - out) : 0;
    snprintf(out + at, cap - at, "bastide-token");
    if (slash && is_program(out)) {
        return BST_OK;
    }
    snprintf(out, cap, "%s/bastide-token", BST_LIBEXEC);
    if (!is_program(out)) {
        BST_FAIL(BST_E_CONFIG,
                 "%s, which runs PKCS#11 modules, is not there; install it, name it in "
                 "BASTIDE_TOKEN_PROGRAM, or add in-process=yes to the address of the token",
                 out);
    }
    return BST_OK;
}

extern char **environ;

/* Our signals are not its own: it ends when its control socket does. */
static int spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int e = posix_spawnattr_setsigmask(attributes, &none);
    e = e ? e : posix_spawnattr_setsigdefault(attributes, &all);
    return e ? e
             : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const char *program, const struct p11_remote_spec *spec, int control, pid_t *ret)
{
    union {
        const char *in[4];
        char *out[4];
    } argv = {{"bastide-token", spec->module_path, spec->module_name, NULL}};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int e = posix_spawn_file_actions_init(&actions);
    if (e) {
        return e;
    }
    e = posix_spawnattr_init(&attributes);
    if (!e) {
        e = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
        e = e ? e : posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
        e = e ? e : posix_spawn_file_actions_adddup2(&actions, control, P11_CONTROL_FD);
        e = e ? e : spawn_attributes(&attributes);
        e = e ? e : posix_spawn(ret, program, &actions, &attributes, argv.out, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Its first word: the module is ready, or why it is not. */
static bst_result hear_hello(struct p11_remote *r)
{
    struct p11_head head = {0};
    char text[HELLO_MAX + 1] = "";
    size_t total = 0;
    struct p11_limit limit = p11_limit_in(START_MS);
    const char *module = r->spec->module_path[0] ? r->spec->module_path : "that p11-kit names";
    bool heard = p11_receive(r->control, &head, sizeof head, &limit) &&
                 p11_head_good(&head, P11_FUNCTION_COUNT, &total) && total <= HELLO_MAX &&
                 p11_receive(r->control, text, total, &limit);
    if (!heard) {
        r->hung = limit.late;
        BST_FAIL(BST_E_BUSY, "the PKCS#11 module %s %s", module,
                 limit.late ? "does not answer while it starts" : "ended while it started");
    }
    if (text[0]) {
        BST_FAIL(BST_E_CONFIG, "the PKCS#11 module %s cannot be started: %s", module, text);
    }
    return BST_OK;
}

static bst_result start_locked(struct p11_remote *r)
{
    char program[1024];
    int ends[2];
    end_process(r);
    BST_TRY(find_program(program, sizeof program));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        BST_FAIL(BST_E_IO, "no sockets for the PKCS#11 module: %s", strerror(errno));
    }
    r->control = ends[0];
    r->life++;
    int e = spawn(program, r->spec, ends[1], &r->pid);
    close(ends[1]);
    if (e) {
        r->pid = 0;
        end_process(r);
        BST_FAIL(BST_E_IO, "%s cannot be started: %s", program, strerror(e));
    }
    bst_result heard = hear_hello(r);
    if (bst_failed(heard)) {
        end_process(r);
    }
    return heard;
}

bst_result p11_remote_start(struct p11_remote *r)
{
    pthread_mutex_lock(&r->lock);
    r->hung = false;
    bst_result started = start_locked(r);
    pthread_mutex_unlock(&r->lock);
    return started;
}

bool p11_remote_hung(struct p11_remote *r)
{
    pthread_mutex_lock(&r->lock);
    bool hung = r->hung;
    pthread_mutex_unlock(&r->lock);
    return hung;
}

int p11_remote_pid(struct p11_remote *r)
{
    pthread_mutex_lock(&r->lock);
    int pid = r->pid;
    pthread_mutex_unlock(&r->lock);
    return pid;
}

/* ---- lanes ---- */

/* Lock held. Its other end goes to the process through the control socket. */
static int new_lane(struct p11_remote *r)
{
    int ends[2];
    char byte = 'L';
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    if (r->control < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    control.head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &ends[1], sizeof(int));
    bool given = sendmsg(r->control, &message, MSG_NOSIGNAL) == 1;
    close(ends[1]);
    if (!given) {
        close(ends[0]);
        return -1;
    }
    r->n_lanes++;
    return ends[0];
}

/* -1: the process is not there any more. */
static int take_lane(struct p11_remote *r, uint16_t life)
{
    int fd = -1;
    pthread_mutex_lock(&r->lock);
    while (r->pid && r->life == life && !r->n_free && r->n_lanes == LANES_MAX) {
        pthread_cond_wait(&r->changed, &r->lock);
    }
    if (r->pid && r->life == life) {
        fd = r->n_free ? r->lanes[--r->n_free] : new_lane(r);
    }
    pthread_mutex_unlock(&r->lock);
    return fd;
}

static void give_lane(struct p11_remote *r, uint16_t life, int fd, bool good, bool late)
{
    pthread_mutex_lock(&r->lock);
    bool same = r->life == life && r->pid;
    if (same && good) {
        r->lanes[r->n_free++] = fd;
    } else {
        close(fd);
        r->n_lanes -= same;
    }
    if (same && !good) {
        r->hung = late;
        end_process(r);
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* ---- one call ---- */

static CK_ULONG *number(struct p11_exchange *x, CK_ULONG value)
{
    if (x->n_numbers == P11_NUMBERS_MAX) {
        x->bad = true;
        return &x->numbers[0];
    }
    x->numbers[x->n_numbers] = value;
    return &x->numbers[x->n_numbers++];
}

static void send_part(struct p11_exchange *x, const void *ptr, size_t len)
{
    x->bad = !p11_message_add(&x->out, ptr, len) || x->bad;
}

static void send_number(struct p11_exchange *x, CK_ULONG value)
{
    send_part(x, number(x, value), sizeof value);
}

static void want_part(struct p11_exchange *x, void *ptr, size_t len, bool exact)
{
    if (x->n_want == P11_SEGMENTS) {
        x->bad = true;
        return;
    }
    x->exact[x->n_want] = exact;
    x->want[x->n_want++] = (struct iovec){ptr, len};
}

/* Parameters of the mechanisms that the backend uses. */
static void send_mechanism(struct p11_exchange *x, const CK_MECHANISM *mech)
{
    struct bst_view first = {0}, second = {0};
    CK_ULONG *numbers = number(x, mech->mechanism);
    CK_ULONG *a = number(x, 0), *b = number(x, 0);
    if (mech->mechanism == CKM_AES_GCM && mech->ulParameterLen == sizeof(CK_GCM_PARAMS)) {
        const CK_GCM_PARAMS *p = mech->pParameter;
        first = bst_view_of(p->pIv, p->ulIvLen);
        second = bst_view_of(p->pAAD, p->ulAADLen);
        *a = p->ulIvBits;
        *b = p->ulTagBits;
    } else if (mech->mechanism == CKM_ECDH1_DERIVE &&
               mech->ulParameterLen == sizeof(CK_ECDH1_DERIVE_PARAMS)) {
        const CK_ECDH1_DERIVE_PARAMS *p = mech->pParameter;
        first = bst_view_of(p->pPublicData, p->ulPublicDataLen);
        second = bst_view_of(p->pSharedData, p->ulSharedDataLen);
        *a = p->kdf;
    } else {
        first = bst_view_of(mech->pParameter, mech->ulParameterLen);
    }
    send_part(x, numbers, 3 * sizeof *numbers);
    send_part(x, first.ptr, first.len);
    send_part(x, second.ptr, second.len);
}

/* Types and lengths, then the values. To read: what there is room for. */
static void send_template(struct p11_exchange *x, const CK_ATTRIBUTE *list, CK_ULONG n, bool values)
{
    CK_ULONG *pairs = &x->numbers[x->n_numbers];
    if (n > P11_ATTRIBUTES_MAX || x->n_numbers + 2 * n > P11_NUMBERS_MAX) {
        x->bad = true;
        return;
    }
    for (CK_ULONG i = 0; i < n; i++) {
        (void)number(x, list[i].type);
        (void)number(x, values || list[i].pValue ? list[i].ulValueLen : CK_UNAVAILABLE_INFORMATION);
    }
    send_part(x, pairs, 2 * n * sizeof *pairs);
    for (CK_ULONG i = 0; values && i < n; i++) {
        send_part(x, list[i].pValue, list[i].ulValueLen);
    }
}

static void want_attributes(struct p11_exchange *x, CK_ATTRIBUTE *list, CK_ULONG n)
{
    CK_ULONG *lens = &x->numbers[x->n_numbers];
    for (CK_ULONG i = 0; i < n; i++) {
        (void)number(x, 0);
    }
    want_part(x, lens, n * sizeof *lens, true);
    for (CK_ULONG i = 0; i < n; i++) {
        want_part(x, list[i].pValue, list[i].pValue ? list[i].ulValueLen : 0, false);
    }
}

static void pack(struct p11_exchange *x)
{
    want_part(x, &x->rv, sizeof x->rv, true);
    for (size_t i = 0; x->letters[i]; i++) {
        struct p11_arg *arg = &x->args[i];
        switch (x->letters[i]) {
        case 'b':
            send_part(x, arg->ptr, arg->n);
            break;
        case 'm':
            send_mechanism(x, arg->ptr);
            break;
        case 't':
            send_template(x, arg->ptr, arg->n, true);
            break;
        case 'A':
            send_template(x, arg->ptr, arg->n, false);
            want_attributes(x, arg->ptr, arg->n);
            break;
        case 'B':
        case 'V':
            send_number(x, arg->n);
            want_part(x, arg->ptr, arg->n * (x->letters[i] == 'V' ? sizeof(CK_ULONG) : 1), false);
            break;
        case 'N':
        case 'S':
            want_part(x, arg->ptr, sizeof(CK_ULONG), true);
            break;
        case 'I':
            want_part(x, arg->ptr, arg->n, true);
            break;
        default: /* l s n */
            send_number(x, arg->n);
            break;
        }
    }
}

/* The answer fits into what is wanted. A failure has no results. */
static bool fit(struct p11_exchange *x, const struct p11_head *head)
{
    if (head->n != x->n_want && head->n != 1) {
        return false;
    }
    for (unsigned i = 0; i < head->n; i++) {
        if (head->len[i] > x->want[i].iov_len ||
            (x->exact[i] && head->len[i] != x->want[i].iov_len)) {
            return false;
        }
        x->want[i].iov_len = head->len[i];
    }
    return true;
}

static bool converse(int fd, struct p11_exchange *x, struct p11_limit *limit)
{
    struct p11_head head = {0};
    struct iovec parts[P11_SEGMENTS];
    size_t total = 0;
    if (!p11_message_send(fd, &x->out, limit) || !p11_receive(fd, &head, sizeof head, limit) ||
        !p11_head_good(&head, x->out.head.function, &total) || !fit(x, &head)) {
        return false;
    }
    memcpy(parts, x->want, sizeof parts);
    return p11_receive_parts(fd, parts, head.n, limit) && (head.n == x->n_want || x->rv != CKR_OK);
}

/* Lengths of what was read. False when they contradict what was sent. */
static bool unpack_attributes(struct p11_exchange *x, unsigned at, CK_ATTRIBUTE *list, CK_ULONG n)
{
    const CK_ULONG *lens = x->want[at].iov_base;
    for (CK_ULONG i = 0; i < n; i++) {
        if (list[i].pValue && lens[i] != x->want[at + 1 + i].iov_len) {
            return false;
        }
        list[i].ulValueLen = lens[i];
    }
    return true;
}

static bool unpack(struct p11_exchange *x)
{
    unsigned at = 1;
    bool good = true;
    for (size_t i = 0; x->letters[i] && good; i++) {
        struct p11_arg *arg = &x->args[i];
        if (x->letters[i] == 'A') {
            good = unpack_attributes(x, at, arg->ptr, arg->n);
            at += 1 + (unsigned)arg->n;
        } else if (x->letters[i] == 'B' || x->letters[i] == 'V') {
            size_t unit = x->letters[i] == 'V' ? sizeof(CK_ULONG) : 1;
            good = x->want[at].iov_len % unit == 0;
            arg->n = x->want[at++].iov_len / unit;
        } else if (strchr("NSI", x->letters[i])) {
            at++;
        }
    }
    return good;
}

bool p11_exchange_pack(struct p11_exchange *x, enum p11_function function, struct p11_arg *args)
{
    x->letters = p11_function_args[function];
    x->args = args;
    x->n_want = 0;
    x->n_numbers = 0;
    x->bad = false;
    p11_message_start(&x->out, function);
    pack(x);
    return !x->bad;
}

bool p11_exchange_run(struct p11_exchange *x, int fd, struct p11_limit *limit)
{
    return converse(fd, x, limit) && (x->rv != CKR_OK || unpack(x));
}

static CK_RV call_remote(struct p11_remote *r, uint16_t life, enum p11_function function,
                         struct p11_arg *args)
{
    struct p11_exchange x;
    if (!p11_exchange_pack(&x, function, args)) {
        return CKR_ARGUMENTS_BAD;
    }
    int fd = take_lane(r, life);
    if (fd < 0) {
        return P11_RV_ENDED;
    }
    struct p11_limit limit = p11_limit_in(r->spec->timeout_s * 1000);
    bool good = p11_exchange_run(&x, fd, &limit);
    give_lane(r, life, fd, good, limit.late);
    return good ? x.rv : limit.late ? P11_RV_HUNG : P11_RV_ENDED;
}

/* `args[0]` is the slot or session. */
static CK_RV call(enum p11_function function, CK_RV unknown, struct p11_arg *args)
{
    struct p11_remote *r = remote_of(args[0].n);
    uint16_t life = (uint16_t)(args[0].n >> 32 & UINT16_MAX);
    args[0].n &= UINT32_MAX;
    return r ? call_remote(r, life, function, args) : unknown;
}

/* ---- the functions ---- */

CK_RV p11_remote_slots(struct p11_remote *r, CK_SLOT_ID *slots, CK_ULONG *n)
{
    struct p11_arg args[] = {{*n, slots}};
    pthread_mutex_lock(&r->lock);
    uint16_t life = r->life;
    pthread_mutex_unlock(&r->lock);
    CK_RV rv = call_remote(r, life, P11_FN_C_GetSlotList, args);
    *n = rv == CKR_OK ? args[0].n : 0;
    for (CK_ULONG i = 0; i < *n; i++) {
        slots[i] = number_of(r, life, slots[i]);
    }
    return rv;
}

#define BY_SLOT(name, ...)                                                                         \
    call(P11_FN_##name, CKR_SLOT_ID_INVALID, (struct p11_arg[]){{slot, NULL}, __VA_ARGS__})
#define BY_SESSION(name, ...)                                                                      \
    call(P11_FN_##name, CKR_SESSION_HANDLE_INVALID,                                                \
         (struct p11_arg[]){{session, NULL}, __VA_ARGS__})
#define NUMBER(n)                                                                                  \
    {                                                                                              \
        (n), NULL                                                                                  \
    }
#define RECORD(p)                                                                                  \
    {                                                                                              \
        sizeof *(p), (p)                                                                           \
    }
#define RESULT(p)                                                                                  \
    {                                                                                              \
        1, (p)                                                                                     \
    }
#define BYTES(p, n)                                                                                \
    {                                                                                              \
        (n), (p)                                                                                   \
    }

typedef CK_SESSION_HANDLE S;
typedef CK_OBJECT_HANDLE O;
typedef CK_ATTRIBUTE *A;
typedef CK_MECHANISM *M;
typedef unsigned char *B;
typedef CK_ULONG U;

static CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    return BY_SLOT(C_GetSlotInfo, RECORD(info));
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    return BY_SLOT(C_GetTokenInfo, RECORD(info));
}

static CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    return BY_SLOT(C_GetMechanismInfo, NUMBER(type), RECORD(info));
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE *ret)
{
    CK_RV rv = BY_SLOT(C_OpenSession, NUMBER(flags), RESULT(ret));
    if (rv == CKR_OK) {
        *ret = (slot & ~(CK_ULONG)UINT32_MAX) | (*ret & UINT32_MAX);
    }
    return rv;
}

static CK_RV close_session(S session)
{
    return call(P11_FN_C_CloseSession, CKR_SESSION_HANDLE_INVALID,
                &(struct p11_arg){session, NULL});
}

static CK_RV close_all_sessions(CK_SLOT_ID slot)
{
    return call(P11_FN_C_CloseAllSessions, CKR_SLOT_ID_INVALID, &(struct p11_arg){slot, NULL});
}

static CK_RV get_session_info(S session, CK_SESSION_INFO *info)
{
    return BY_SESSION(C_GetSessionInfo, RECORD(info));
}

static CK_RV login(S session, CK_USER_TYPE user, B pin, U n)
{
    return BY_SESSION(C_Login, NUMBER(user), BYTES(pin, n));
}

static CK_RV set_pin(S session, B old, U old_len, B pin, U len)
{
    return BY_SESSION(C_SetPIN, BYTES(old, old_len), BYTES(pin, len));
}

static CK_RV create_object(S session, A list, U n, O *ret)
{
    return BY_SESSION(C_CreateObject, BYTES(list, n), RESULT(ret));
}

static CK_RV destroy_object(S session, O object)
{
    return BY_SESSION(C_DestroyObject, NUMBER(object));
}

static CK_RV get_attribute_value(S session, O object, A list, U n)
{
    return BY_SESSION(C_GetAttributeValue, NUMBER(object), BYTES(list, n));
}

static CK_RV set_attribute_value(S session, O object, A list, U n)
{
    return BY_SESSION(C_SetAttributeValue, NUMBER(object), BYTES(list, n));
}

static CK_RV find_objects_init(S session, A list, U n)
{
    return BY_SESSION(C_FindObjectsInit, BYTES(list, n));
}

static CK_RV find_objects(S session, O *ret, U max, U *ret_n)
{
    struct p11_arg args[] = {{session, NULL}, {max, ret}};
    CK_RV rv = call(P11_FN_C_FindObjects, CKR_SESSION_HANDLE_INVALID, args);
    *ret_n = rv == CKR_OK ? args[1].n : 0;
    return rv;
}

static CK_RV find_objects_final(S session)
{
    return call(P11_FN_C_FindObjectsFinal, CKR_SESSION_HANDLE_INVALID,
                &(struct p11_arg){session, NULL});
}

/* The length that came back is the caller's. */
static CK_RV bytes_out(enum p11_function function, struct p11_arg *args, size_t out, U *len)
{
    args[out].n = *len;
    CK_RV rv = call(function, CKR_SESSION_HANDLE_INVALID, args);
    *len = rv == CKR_OK ? args[out].n : *len;
    return rv;
}

/* An operation that was begun here and not told of yet: most end with the next call, and then both
 * are one message. A caller works through an operation on one thread, with its parameters in place.
 */
static _Thread_local struct {
    S session;
    M mech;
    O key;
} begun;

static CK_RV begin(S session, M mech, O key)
{
    begun.session = session;
    begun.mech = mech;
    begun.key = key;
    return CKR_OK;
}

static CK_RV once(enum p11_function function, S session, B in, U n, B out, U *len)
{
    struct p11_arg args[] = {
        {session, NULL}, {0, begun.mech}, {begun.key, NULL}, {n, in}, {0, out}};
    if (begun.session != session) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    begun.session = 0;
    return bytes_out(function, args, 4, len);
}

static CK_RV encrypt(S session, B in, U n, B out, U *len)
{
    return once(P11_FN_EncryptOnce, session, in, n, out, len);
}

static CK_RV decrypt(S session, B in, U n, B out, U *len)
{
    return once(P11_FN_DecryptOnce, session, in, n, out, len);
}

static CK_RV sign(S session, B in, U n, B out, U *len)
{
    return once(P11_FN_SignOnce, session, in, n, out, len);
}

/* In parts after all. */
static CK_RV sign_in_parts(S session)
{
    if (begun.session != session) {
        return CKR_OK;
    }
    begun.session = 0;
    return BY_SESSION(C_SignInit, BYTES(begun.mech, 0), NUMBER(begun.key));
}

static CK_RV sign_update(S session, B in, U n)
{
    CK_RV rv = sign_in_parts(session);
    return rv == CKR_OK ? BY_SESSION(C_SignUpdate, BYTES(in, n)) : rv;
}

static CK_RV sign_final(S session, B out, U *len)
{
    struct p11_arg args[] = {{session, NULL}, {0, out}};
    CK_RV rv = sign_in_parts(session);
    return rv == CKR_OK ? bytes_out(P11_FN_C_SignFinal, args, 1, len) : rv;
}

static CK_RV generate_key(S session, M mech, A list, U n, O *ret)
{
    return BY_SESSION(C_GenerateKey, BYTES(mech, 0), BYTES(list, n), RESULT(ret));
}

static CK_RV generate_key_pair(S session, M mech, A pub, U n_pub, A priv, U n_priv, O *ret_pub,
                               O *ret_priv)
{
    return BY_SESSION(C_GenerateKeyPair, BYTES(mech, 0), BYTES(pub, n_pub), BYTES(priv, n_priv),
                      RESULT(ret_pub), RESULT(ret_priv));
}

static CK_RV wrap_key(S session, M mech, O wrapping, O key, B out, U *len)
{
    struct p11_arg args[] = {
        {session, NULL}, {0, mech}, {wrapping, NULL}, {key, NULL}, {0, out},
    };
    return bytes_out(P11_FN_C_WrapKey, args, 4, len);
}

static CK_RV unwrap_key(S session, M mech, O wrapping, B in, U len, A list, U n, O *ret)
{
    return BY_SESSION(C_UnwrapKey, BYTES(mech, 0), NUMBER(wrapping), BYTES(in, len), BYTES(list, n),
                      RESULT(ret));
}

static CK_RV derive_key(S session, M mech, O base, A list, U n, O *ret)
{
    return BY_SESSION(C_DeriveKey, BYTES(mech, 0), NUMBER(base), BYTES(list, n), RESULT(ret));
}

static CK_RV generate_random(S session, B out, U n)
{
    U len = n;
    struct p11_arg args[] = {{session, NULL}, {n, out}};
    CK_RV rv = bytes_out(P11_FN_C_GenerateRandom, args, 1, &len);
    return rv == CKR_OK && len != n ? CKR_DEVICE_ERROR : rv;
}

CK_FUNCTION_LIST p11_remote_functions = {
    .version = {2, 40},
    .C_GetSlotInfo = get_slot_info,
    .C_GetTokenInfo = get_token_info,
    .C_GetMechanismInfo = get_mechanism_info,
    .C_OpenSession = open_session,
    .C_CloseSession = close_session,
    .C_CloseAllSessions = close_all_sessions,
    .C_GetSessionInfo = get_session_info,
    .C_Login = login,
    .C_SetPIN = set_pin,
    .C_CreateObject = create_object,
    .C_DestroyObject = destroy_object,
    .C_GetAttributeValue = get_attribute_value,
    .C_SetAttributeValue = set_attribute_value,
    .C_FindObjectsInit = find_objects_init,
    .C_FindObjects = find_objects,
    .C_FindObjectsFinal = find_objects_final,
    .C_EncryptInit = begin,
    .C_Encrypt = encrypt,
    .C_DecryptInit = begin,
    .C_Decrypt = decrypt,
    .C_SignInit = begin,
    .C_Sign = sign,
    .C_SignUpdate = sign_update,
    .C_SignFinal = sign_final,
    .C_GenerateKey = generate_key,
    .C_GenerateKeyPair = generate_key_pair,
    .C_WrapKey = wrap_key,
    .C_UnwrapKey = unwrap_key,
    .C_DeriveKey = derive_key,
    .C_GenerateRandom = generate_random,
};
