/* bastide-token: the process of a PKCS#11 module. Its crashes and hangs are its own, and what it
 * reads out of bounds is not the server's memory.
 *
 * It serves whoever started it, over sockets that only that program has, one thread for each; it
 * ends when the control socket does. Modules are loaded through p11-kit, so that its configuration
 * of them holds here too. */
#include "base/mem.h"
#include "se/pkcs11/remote_priv.h"

#include <fcntl.h>
#include <p11-kit/p11-kit.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MODULES_MAX 64
#define SLOTS_MAX P11_LIST_MAX
#define SESSIONS_MAX 256
#define BLOCKS_MAX (P11_SEGMENTS + 8)
#define ALIGNMENT 16

struct module {
    CK_FUNCTION_LIST *f;
    bool one_at_a_time; /* it cannot be called by several threads */
    pthread_mutex_t lock;
};

/* A slot of a module, or a session on one. */
struct place {
    struct module *module;
    CK_ULONG number, slot;
};

static struct module modules[MODULES_MAX];
static size_t n_modules;
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct place slots[SLOTS_MAX], sessions[SESSIONS_MAX];
static size_t n_slots;

/* ---- loading ---- */

static bool add_module(CK_FUNCTION_LIST *f, bool one_at_a_time)
{
    if (n_modules == MODULES_MAX) {
        return false;
    }
    modules[n_modules].f = f;
    modules[n_modules].one_at_a_time = one_at_a_time;
    pthread_mutex_init(&modules[n_modules++].lock, NULL);
    return true;
}

/* [PKCS #11, C_Initialize] a module that cannot lock says CKR_CANT_LOCK, and takes no arguments
 * then. */
static CK_RV load_alone(const char *path)
{
    CK_FUNCTION_LIST *f = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
    CK_RV rv = f ? f->C_Initialize(NULL) : CKR_GENERAL_ERROR;
    if (rv == CKR_OK) {
        add_module(f, true);
    }
    return rv;
}

static CK_RV load_one(const char *path)
{
    CK_FUNCTION_LIST *f = p11_kit_module_load(path, 0);
    CK_RV rv = f ? p11_kit_module_initialize(f) : CKR_GENERAL_ERROR;
    if (rv == CKR_CANT_LOCK || rv == CKR_NEED_TO_CREATE_THREADS) {
        p11_kit_module_release(f);
        return load_alone(path);
    }
    if (rv == CKR_OK) {
        add_module(f, false);
    }
    return rv;
}

/* The name is that of the file, with or without "lib" and its ending, or p11-kit's. */
static bool wanted(CK_FUNCTION_LIST *f, const char *name)
{
    char *file = name[0] ? p11_kit_module_get_filename(f) : NULL;
    char *known = name[0] ? p11_kit_module_get_name(f) : NULL;
    bool fits = !name[0] || (file && strstr(file, name)) || (known && strcmp(known, name) == 0);
    free(file);
    free(known);
    return fits;
}

static CK_RV load_registered(const char *name)
{
    CK_FUNCTION_LIST **all = p11_kit_modules_load_and_initialize(0);
    for (CK_FUNCTION_LIST **f = all; f && *f; f++) {
        if (wanted(*f, name)) {
            add_module(*f, false);
        }
    }
    return n_modules ? CKR_OK : CKR_GENERAL_ERROR;
}

static const char *load(const char *path, const char *name)
{
    static char why[512];
    CK_RV rv = path[0] ? load_one(path) : load_registered(name);
    if (rv == CKR_OK) {
        return "";
    }
    const char *said = p11_kit_message();
    snprintf(why, sizeof why, "%s",
             said      ? said
             : path[0] ? p11_kit_strerror(rv)
                       : "p11-kit finds no PKCS#11 module here; name one with module-path=");
    return why;
}

/* ---- a request ---- */

struct request {
    struct p11_head head;
    struct iovec part[P11_SEGMENTS];
    unsigned at; /* next segment */
    struct p11_arg args[P11_ARGS];
    CK_MECHANISM mech;
    union {
        CK_GCM_PARAMS gcm;
        CK_ECDH1_DERIVE_PARAMS ecdh;
    } params;
    CK_ATTRIBUTE lists[2][P11_ATTRIBUTES_MAX];
    CK_ULONG lens[P11_ATTRIBUTES_MAX]; /* of attributes that were read */
    CK_ULONG numbers[P11_ARGS];
    unsigned n_lists;
    struct iovec blocks[BLOCKS_MAX]; /* wiped and freed in the end */
    unsigned n_blocks;
    struct module *module;
    CK_ULONG slot;
};

static void *block(struct request *r, size_t len)
{
    if (r->n_blocks == BLOCKS_MAX || len > P11_MESSAGE_MAX) {
        return NULL;
    }
    void *ptr = bst_alloc(len + 1);
    if (ptr) {
        r->blocks[r->n_blocks++] = (struct iovec){ptr, len};
    }
    return ptr;
}

static void clear_request(struct request *r)
{
    for (unsigned i = 0; i < r->n_blocks; i++) {
        bst_wipe(r->blocks[i].iov_base, r->blocks[i].iov_len);
        bst_free(r->blocks[i].iov_base);
    }
}

/* Segments begin where any value may: modules read numbers in place. */
static bool receive_request(int fd, struct request *r)
{
    struct p11_limit none = {0};
    size_t total = 0;
    if (!p11_receive(fd, &r->head, sizeof r->head, &none) ||
        r->head.function >= P11_FUNCTION_COUNT ||
        !p11_head_good(&r->head, r->head.function, &total)) {
        return false;
    }
    uint8_t *to = block(r, total + (size_t)ALIGNMENT * P11_SEGMENTS);
    for (unsigned i = 0; to && i < r->head.n; i++) {
        r->part[i] = (struct iovec){to, r->head.len[i]};
        to += (r->head.len[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    struct iovec parts[P11_SEGMENTS];
    memcpy(parts, r->part, sizeof parts);
    return to && p11_receive_parts(fd, parts, r->head.n, &none);
}

static bool next_part(struct request *r, struct iovec *ret)
{
    if (r->at == r->head.n) {
        return false;
    }
    *ret = r->part[r->at++];
    return true;
}

/* `n` numbers, or as many as there are when it is 0. */
static bool next_numbers(struct request *r, size_t n, CK_ULONG **ret, size_t *ret_n)
{
    struct iovec part;
    if (!next_part(r, &part) || part.iov_len % sizeof(CK_ULONG) ||
        (n && part.iov_len != n * sizeof(CK_ULONG))) {
        return false;
    }
    *ret = part.iov_base;
    *ret_n = part.iov_len / sizeof(CK_ULONG);
    return true;
}

static bool next_number(struct request *r, CK_ULONG *ret)
{
    CK_ULONG *number;
    size_t n;
    bool there = next_numbers(r, 1, &number, &n);
    *ret = there ? *number : 0;
    return there;
}

static bool read_mechanism(struct request *r, struct p11_arg *arg)
{
    CK_ULONG *numbers;
    size_t n;
    struct iovec first, second;
    if (!next_numbers(r, 3, &numbers, &n) || !next_part(r, &first) || !next_part(r, &second)) {
        return false;
    }
    r->mech = (CK_MECHANISM){numbers[0], first.iov_len ? first.iov_base : NULL, first.iov_len};
    if (numbers[0] == CKM_AES_GCM) {
        r->params.gcm = (CK_GCM_PARAMS){
            .pIv = first.iov_base,
            .ulIvLen = first.iov_len,
            .ulIvBits = numbers[1],
            .pAAD = second.iov_len ? second.iov_base : NULL,
            .ulAADLen = second.iov_len,
            .ulTagBits = numbers[2],
        };
        r->mech = (CK_MECHANISM){numbers[0], &r->params.gcm, sizeof r->params.gcm};
    } else if (numbers[0] == CKM_ECDH1_DERIVE) {
        r->params.ecdh = (CK_ECDH1_DERIVE_PARAMS){
            .kdf = numbers[1],
            .pPublicData = first.iov_base,
            .ulPublicDataLen = first.iov_len,
            .pSharedData = second.iov_len ? second.iov_base : NULL,
            .ulSharedDataLen = second.iov_len,
        };
        r->mech = (CK_MECHANISM){numbers[0], &r->params.ecdh, sizeof r->params.ecdh};
    }
    arg->ptr = &r->mech;
    return true;
}

static bool read_attribute(struct request *r, const CK_ULONG pair[2], bool to_read,
                           CK_ATTRIBUTE *ret)
{
    struct iovec value = {NULL, pair[1]};
    bool sizes_only = to_read && pair[1] == CK_UNAVAILABLE_INFORMATION;
    if (sizes_only) {
        value.iov_len = 0;
    } else if (to_read) {
        value.iov_base = block(r, pair[1]);
    } else if (!next_part(r, &value) || value.iov_len != pair[1]) {
        return false;
    }
    *ret = (CK_ATTRIBUTE){pair[0], value.iov_base, value.iov_len};
    return value.iov_base || sizes_only;
}

static bool read_template(struct request *r, bool to_read, struct p11_arg *arg)
{
    CK_ULONG *pairs;
    size_t n;
    if (!next_numbers(r, 0, &pairs, &n) || n % 2 || n / 2 > P11_ATTRIBUTES_MAX || r->n_lists == 2) {
        return false;
    }
    CK_ATTRIBUTE *list = r->lists[r->n_lists++];
    for (size_t i = 0; i < n / 2; i++) {
        if (!read_attribute(r, pairs + 2 * i, to_read, &list[i])) {
            return false;
        }
    }
    *arg = (struct p11_arg){n / 2, list};
    return true;
}

static bool read_room(struct request *r, size_t unit, struct p11_arg *arg)
{
    CK_ULONG room;
    if (!next_number(r, &room) || room > P11_MESSAGE_MAX / unit) {
        return false;
    }
    *arg = (struct p11_arg){room, block(r, room * unit)};
    return arg->ptr;
}

static bool read_arg(struct request *r, char letter, size_t i)
{
    struct p11_arg *arg = &r->args[i];
    struct iovec part;
    switch (letter) {
    case 'b':
        if (!next_part(r, &part)) {
            return false;
        }
        *arg = (struct p11_arg){part.iov_len, part.iov_base};
        return true;
    case 'm':
        return read_mechanism(r, arg);
    case 't':
    case 'A':
        return read_template(r, letter == 'A', arg);
    case 'B':
    case 'V':
        return read_room(r, letter == 'V' ? sizeof(CK_ULONG) : 1, arg);
    case 'N':
    case 'S':
        *arg = (struct p11_arg){1, &r->numbers[i]};
        return true;
    case 'I':
        *arg = (struct p11_arg){0, block(r, sizeof(CK_TOKEN_INFO))};
        return arg->ptr;
    default:
        return next_number(r, &arg->n);
    }
}

/* ---- places ---- */

/* In place of our number that of the module. False: there is no such slot or session. */
static bool find_place(struct request *r, const char *letters)
{
    bool by_slot = letters[0] == 'l';
    CK_ULONG index = r->args[0].n;
    pthread_mutex_lock(&places_lock);
    const struct place *place = by_slot                ? index < n_slots ? &slots[index] : NULL
                                : index < SESSIONS_MAX ? &sessions[index]
                                                       : NULL;
    bool there = place && place->module;
    if (there) {
        r->module = place->module;
        r->args[0].n = place->number;
        r->slot = by_slot ? place->number : place->slot;
    }
    pthread_mutex_unlock(&places_lock);
    return there;
}

static bool add_slot(struct module *module, CK_SLOT_ID slot, CK_ULONG *ret)
{
    size_t i = 0;
    pthread_mutex_lock(&places_lock);
    while (i < n_slots && (slots[i].module != module || slots[i].number != slot)) {
        i++;
    }
    if (i == n_slots && i < SLOTS_MAX) {
        slots[n_slots++] = (struct place){module, slot, slot};
    }
    bool room = i < n_slots;
    pthread_mutex_unlock(&places_lock);
    *ret = i;
    return room;
}

static bool add_session(const struct request *r, CK_SESSION_HANDLE session, CK_ULONG *ret)
{
    size_t i = 0;
    pthread_mutex_lock(&places_lock);
    while (i < SESSIONS_MAX && sessions[i].module) {
        i++;
    }
    if (i < SESSIONS_MAX) {
        sessions[i] = (struct place){r->module, session, r->slot};
    }
    pthread_mutex_unlock(&places_lock);
    *ret = i;
    return i < SESSIONS_MAX;
}

/* One session of a module, or all on a slot. */
static void forget_sessions(const struct module *module, CK_ULONG number, bool of_slot)
{
    pthread_mutex_lock(&places_lock);
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct place *s = &sessions[i];
        if (s->module == module && (of_slot ? s->slot : s->number) == number) {
            *s = (struct place){0};
        }
    }
    pthread_mutex_unlock(&places_lock);
}

/* ---- the functions ---- */

static CK_RV slots_of(struct module *module, struct p11_arg *list, CK_ULONG room)
{
    CK_SLOT_ID found[P11_LIST_MAX];
    CK_ULONG n = P11_LIST_MAX;
    CK_RV rv = module->f->C_GetSlotList(CK_TRUE, found, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n && list->n < room; i++) {
        CK_ULONG index;
        if (add_slot(module, found[i], &index)) {
            ((CK_ULONG *)list->ptr)[list->n++] = index;
        }
    }
    return rv;
}

/* One module that works is enough. */
static CK_RV serve_C_GetSlotList(struct request *r, struct p11_arg *a)
{
    CK_RV rv = CKR_OK;
    CK_ULONG room = a[0].n;
    bool worked = false;
    a[0].n = 0;
    for (size_t i = 0; i < n_modules; i++) {
        CK_RV got = slots_of(&modules[i], &a[0], room);
        worked = worked || got == CKR_OK;
        rv = got == CKR_OK ? rv : got;
    }
    return worked ? CKR_OK : rv;
}

static CK_RV serve_C_GetSlotInfo(struct request *r, struct p11_arg *a)
{
    a[1].n = sizeof(CK_SLOT_INFO);
    return r->module->f->C_GetSlotInfo(a[0].n, a[1].ptr);
}

static CK_RV serve_C_GetTokenInfo(struct request *r, struct p11_arg *a)
{
    a[1].n = sizeof(CK_TOKEN_INFO);
    return r->module->f->C_GetTokenInfo(a[0].n, a[1].ptr);
}

static CK_RV serve_C_GetMechanismInfo(struct request *r, struct p11_arg *a)
{
    a[2].n = sizeof(CK_MECHANISM_INFO);
    return r->module->f->C_GetMechanismInfo(a[0].n, a[1].n, a[2].ptr);
}

static CK_RV serve_C_OpenSession(struct request *r, struct p11_arg *a)
{
    CK_SESSION_HANDLE session;
    CK_RV rv = r->module->f->C_OpenSession(a[0].n, a[1].n, NULL, NULL, &session);
    if (rv == CKR_OK && !add_session(r, session, a[2].ptr)) {
        (void)r->module->f->C_CloseSession(session);
        rv = CKR_SESSION_COUNT;
    }
    return rv;
}

static CK_RV serve_C_CloseSession(struct request *r, struct p11_arg *a)
{
    forget_sessions(r->module, a[0].n, false);
    return r->module->f->C_CloseSession(a[0].n);
}

static CK_RV serve_C_CloseAllSessions(struct request *r, struct p11_arg *a)
{
    forget_sessions(r->module, a[0].n, true);
    return r->module->f->C_CloseAllSessions(a[0].n);
}

static CK_RV serve_C_GetSessionInfo(struct request *r, struct p11_arg *a)
{
    a[1].n = sizeof(CK_SESSION_INFO);
    return r->module->f->C_GetSessionInfo(a[0].n, a[1].ptr);
}

static CK_RV serve_C_GetAttributeValue(struct request *r, struct p11_arg *a)
{
    return r->module->f->C_GetAttributeValue(a[0].n, a[1].n, a[2].ptr, a[2].n);
}

static CK_RV serve_C_FindObjects(struct request *r, struct p11_arg *a)
{
    return r->module->f->C_FindObjects(a[0].n, a[1].ptr, a[1].n, &a[1].n);
}

/* An empty PIN is that of a token with a keyboard of its own. */
static CK_RV serve_C_Login(struct request *r, struct p11_arg *a)
{
    return r->module->f->C_Login(a[0].n, a[1].n, a[2].n ? a[2].ptr : NULL, a[2].n);
}

#define SERVE(name, ...)                                                                           \
    static CK_RV serve_##name(struct request *r, struct p11_arg *a)                                \
    {                                                                                              \
        return r->module->f->name(__VA_ARGS__);                                                    \
    }

SERVE(C_SetPIN, a[0].n, a[1].ptr, a[1].n, a[2].ptr, a[2].n)
SERVE(C_CreateObject, a[0].n, a[1].ptr, a[1].n, a[2].ptr)
SERVE(C_DestroyObject, a[0].n, a[1].n)
SERVE(C_SetAttributeValue, a[0].n, a[1].n, a[2].ptr, a[2].n)
SERVE(C_FindObjectsInit, a[0].n, a[1].ptr, a[1].n)
SERVE(C_FindObjectsFinal, a[0].n)
SERVE(C_SignInit, a[0].n, a[1].ptr, a[2].n)
SERVE(C_SignUpdate, a[0].n, a[1].ptr, a[1].n)
SERVE(C_SignFinal, a[0].n, a[1].ptr, &a[1].n)
SERVE(C_GenerateKey, a[0].n, a[1].ptr, a[2].ptr, a[2].n, a[3].ptr)
SERVE(C_GenerateKeyPair, a[0].n, a[1].ptr, a[2].ptr, a[2].n, a[3].ptr, a[3].n, a[4].ptr, a[5].ptr)
SERVE(C_WrapKey, a[0].n, a[1].ptr, a[2].n, a[3].n, a[4].ptr, &a[4].n)
SERVE(C_UnwrapKey, a[0].n, a[1].ptr, a[2].n, a[3].ptr, a[3].n, a[4].ptr, a[4].n, a[5].ptr)
SERVE(C_DeriveKey, a[0].n, a[1].ptr, a[2].n, a[3].ptr, a[3].n, a[4].ptr)
SERVE(C_GenerateRandom, a[0].n, a[1].ptr, a[1].n)

#define ONCE(name)                                                                                 \
    static CK_RV serve_##name##Once(struct request *r, struct p11_arg *a)                          \
    {                                                                                              \
        CK_RV rv = r->module->f->C_##name##Init(a[0].n, a[1].ptr, a[2].n);                         \
        return rv == CKR_OK ? r->module->f->C_##name(a[0].n, a[3].ptr, a[3].n, a[4].ptr, &a[4].n)  \
                            : rv;                                                                  \
    }

ONCE(Sign)
ONCE(Encrypt)
ONCE(Decrypt)

#define SERVE_(name, args) [P11_FN_##name] = serve_##name,
static CK_RV (*const serve[P11_FUNCTION_COUNT])(struct request *r,
                                                struct p11_arg *a) = {P11_FUNCTIONS(SERVE_)};

static CK_RV run(struct request *r, const char *letters)
{
    for (size_t i = 0; letters[i]; i++) {
        if (!read_arg(r, letters[i], i)) {
            return CKR_ARGUMENTS_BAD;
        }
    }
    if ((letters[0] == 's' || letters[0] == 'l') && !find_place(r, letters)) {
        return letters[0] == 's' ? CKR_SESSION_HANDLE_INVALID : CKR_SLOT_ID_INVALID;
    }
    bool alone = r->module && r->module->one_at_a_time;
    if (alone) {
        pthread_mutex_lock(&r->module->lock);
    }
    CK_RV rv = serve[r->head.function](r, r->args);
    if (alone) {
        pthread_mutex_unlock(&r->module->lock);
    }
    return rv;
}

/* ---- the answer ---- */

static bool add_attributes(struct p11_message *m, struct request *r, const struct p11_arg *arg)
{
    const CK_ATTRIBUTE *list = arg->ptr;
    for (CK_ULONG i = 0; i < arg->n; i++) {
        r->lens[i] = list[i].ulValueLen;
    }
    bool good = p11_message_add(m, r->lens, arg->n * sizeof r->lens[0]);
    for (CK_ULONG i = 0; good && i < arg->n; i++) {
        bool value = list[i].pValue && list[i].ulValueLen != CK_UNAVAILABLE_INFORMATION;
        good = p11_message_add(m, list[i].pValue, value ? list[i].ulValueLen : 0);
    }
    return good;
}

static bool add_result(struct p11_message *m, struct request *r, char letter,
                       const struct p11_arg *arg)
{
    switch (letter) {
    case 'A':
        return add_attributes(m, r, arg);
    case 'B':
    case 'I':
        return p11_message_add(m, arg->ptr, arg->n);
    case 'V':
    case 'N':
    case 'S':
        return p11_message_add(m, arg->ptr, arg->n * sizeof(CK_ULONG));
    default:
        return true;
    }
}

static bool answer(int fd, struct request *r, const char *letters, CK_RV rv)
{
    struct p11_message m;
    struct p11_limit none = {0};
    bool good = true;
    p11_message_start(&m, r->head.function);
    (void)p11_message_add(&m, &rv, sizeof rv);
    for (size_t i = 0; rv == CKR_OK && good && letters[i]; i++) {
        good = add_result(&m, r, letters[i], &r->args[i]);
    }
    return good && p11_message_send(fd, &m, &none);
}

static void *serve_lane(void *arg)
{
    int fd = (int)(intptr_t)arg;
    bool good = true;
    while (good) {
        struct request *r = bst_alloc(sizeof *r);
        good = r && receive_request(fd, r);
        if (good) {
            const char *letters = p11_function_args[r->head.function];
            good = answer(fd, r, letters, run(r, letters));
        }
        if (r) {
            clear_request(r);
        }
        bst_free(r);
    }
    close(fd);
    return NULL;
}

/* ---- the process ---- */

/* -1: the end of who started us. */
static int receive_lane(void)
{
    char byte;
    struct iovec part = {&byte, 1};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int fd = -1;
    if (recvmsg(P11_CONTROL_FD, &message, MSG_CMSG_CLOEXEC) == 1) {
        const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof fd)) {
            memcpy(&fd, CMSG_DATA(head), sizeof fd);
        }
    }
    return fd;
}

static bool say_hello(const char *why)
{
    struct p11_message m;
    struct p11_limit none = {0};
    p11_message_start(&m, P11_FUNCTION_COUNT);
    (void)p11_message_add(&m, why, strlen(why));
    return p11_message_send(P11_CONTROL_FD, &m, &none);
}

/* No dumps, no debugger, no files of others; a signal to the whole group is for who started us. */
static void settle(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    const struct rlimit none = {0, 0};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)close_range(P11_CONTROL_FD + 1, ~0U, 0);
    (void)fcntl(P11_CONTROL_FD, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
    int type;
    socklen_t len = sizeof type;
    if (argc != 3 || getsockopt(P11_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
        fputs("bastide-token runs a PKCS#11 module for bastide, which starts it by itself\n",
              stderr);
        return 2;
    }
    settle();
    const char *why = load(argv[1], argv[2]);
    if (!say_hello(why) || why[0]) {
        _exit(1);
    }
    for (int fd = receive_lane(); fd >= 0; fd = receive_lane()) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve_lane, (void *)(intptr_t)fd) != 0) {
            _exit(1);
        }
        pthread_detach(thread);
    }
    _exit(0); /* modules may be at work still: nothing of them is torn down */
}
