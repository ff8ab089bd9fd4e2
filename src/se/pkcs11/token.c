/* The token: finding it, sessions, logging in, and coming back after it was gone.
 *
 * Calls are synchronous: a thread that uses a key waits for the token. That is right for tokens
 * that answer within a handshake's time; the loops of a server wait for each other's sessions at
 * most. A module has a process of its own (remote.h): one that does not answer is ended after a
 * time limit, and started again by a thread of its own, so that only those who were in the middle
 * of a call have waited for it.
 *
 * The PIN is read from its source for each log-in and not kept. A PIN that was refused is not tried
 * again: a wrong file must not lock the token. */
#include "se/pkcs11/p11_priv.h"

#include <stdio.h>

#define SLOTS_MAX 256 /* of a module in a process of its own */

/* ---- modules ---- */

static bst_result load_modules(struct p11 *p)
{
    const struct p11_address *a = &p->address;
    p->all_modules = a->module_path[0] == '\0';
    if (!a->in_process) {
        p->spec = (struct p11_remote_spec){a->module_path, a->module_name, a->timeout_s};
        return p11_remote_new(&p->spec, &p->remote);
    }
    if (p->all_modules) {
        p->modules = p11_kit_modules_load_and_initialize(0);
        if (!p->modules) {
            BST_FAIL(BST_E_CONFIG,
                     "p11-kit finds no PKCS#11 module here; name one with module-path=");
        }
        return BST_OK;
    }
    CK_FUNCTION_LIST *module = p11_kit_module_load(a->module_path, 0);
    CK_RV rv = module ? p11_kit_module_initialize(module) : CKR_GENERAL_ERROR;
    if (rv == CKR_OK) {
        p->modules = bst_alloc(2 * sizeof *p->modules);
        rv = p->modules ? CKR_OK : CKR_HOST_MEMORY;
    }
    if (rv != CKR_OK) {
        const char *why = p11_kit_message();
        bst_result failed =
            bst_error_detailed(BST_E_CONFIG, "the PKCS#11 module %s cannot be started: %s",
                               a->module_path, why ? why : p11_kit_strerror(rv));
        if (module) {
            p11_kit_module_release(module);
        }
        return failed;
    }
    p->modules[0] = module;
    return BST_OK;
}

static void unload_modules(struct p11 *p)
{
    if (p->modules && p->all_modules) {
        p11_kit_modules_finalize_and_release(p->modules);
    } else if (p->modules) {
        p11_kit_module_finalize(p->modules[0]);
        p11_kit_module_release(p->modules[0]);
        bst_free(p->modules);
    }
    p->modules = NULL;
    p11_remote_free(&p->remote);
}

/* module-name= is the file's name, with or without "lib" and its ending. */
static bool module_wanted(const struct p11 *p, CK_FUNCTION_LIST *module)
{
    const char *wanted = p->address.module_name;
    char *file = wanted[0] ? p11_kit_module_get_filename(module) : NULL;
    char *name = wanted[0] ? p11_kit_module_get_name(module) : NULL;
    bool fits = !wanted[0] || (file && strstr(file, wanted)) || (name && strcmp(name, wanted) == 0);
    free(file);
    free(name);
    return fits;
}

/* ---- finding the token ---- */

struct search {
    struct p11 *p;
    size_t found;
    struct bst_buf others; /* names of tokens that do not fit */
};

static void look_at(struct search *s, CK_FUNCTION_LIST *module, CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info;
    if (module->C_GetTokenInfo(slot, &info) != CKR_OK) {
        return;
    }
    if (!p11_address_fits(&s->p->address, &info) || !(info.flags & CKF_TOKEN_INITIALIZED)) {
        bst_buf_addf(&s->others, "%s'%.*s'", s->others.len ? ", " : "",
                     BST_VIEW_ARGS(p11_text(info.label, sizeof info.label)));
        return;
    }
    if (s->found++ == 0) {
        pthread_mutex_lock(&s->p->lock);
        s->p->module = module;
        s->p->slot = slot;
        s->p->info = info;
        pthread_mutex_unlock(&s->p->lock);
    }
}

static CK_RV look_in(struct search *s, CK_FUNCTION_LIST *module)
{
    CK_ULONG n = 0;
    CK_RV rv = module->C_GetSlotList(CK_TRUE, NULL, &n);
    if (rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
        (void)p11_kit_module_initialize(module);
        rv = module->C_GetSlotList(CK_TRUE, NULL, &n);
    }
    n += 8; /* some may be plugged in meanwhile */
    bst_auto_free CK_SLOT_ID *slots = bst_alloc(n * sizeof *slots);
    if (rv != CKR_OK || !slots) {
        return rv == CKR_OK ? CKR_HOST_MEMORY : rv;
    }
    rv = module->C_GetSlotList(CK_TRUE, slots, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        look_at(s, module, slots[i]);
    }
    return rv;
}

static CK_RV look_in_remote(struct search *s)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG n = SLOTS_MAX;
    CK_RV rv = p11_remote_slots(s->p->remote, slots, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        look_at(s, &p11_remote_functions, slots[i]);
    }
    return rv;
}

static bst_result find_token(struct p11 *p)
{
    struct search s = {.p = p};
    bst_auto(buf) others = {0};
    CK_RV rv = p->remote ? look_in_remote(&s) : CKR_OK;
    for (CK_FUNCTION_LIST **m = p->modules; m && *m; m++) {
        CK_RV got = module_wanted(p, *m) ? look_in(&s, *m) : CKR_OK;
        rv = got != CKR_OK ? got : rv;
    }
    others = s.others;
    if (s.found == 0 && rv != CKR_OK) {
        return p11_fail(p, rv, "looking for it");
    }
    if (s.found == 0) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no token '%s'; there is %.*s", p->address.token,
                 others.len ? (int)(others.len & 0xfff) : 4, others.len ? others.ptr : "none");
    }
    if (s.found > 1) {
        BST_FAIL(BST_E_CONFIG, "%zu tokens fit '%s'; add serial= or token= to the address", s.found,
                 p->address.token);
    }
    return BST_OK;
}

/* ---- logging in ---- */

/* A line end in the file is not part of the PIN. */
static size_t pin_len(const struct bst_secret *pin)
{
    size_t len = pin->len;
    while (len && (pin->ptr[len - 1] == '\n' || pin->ptr[len - 1] == '\r')) {
        len--;
    }
    return len;
}

static bst_result read_pin(const struct p11 *p, struct bst_secret *ret)
{
    if (!p->address.pin_source[0]) {
        BST_FAIL(BST_E_CONFIG,
                 "token '%s' wants a PIN: put it into a file of mode 0600 and add "
                 "pin-source=file:PATH to the address",
                 p->address.token);
    }
    return p->host->secret_read(p->host->ctx, p->address.pin_source, ret);
}

static bst_result pin_may_be_tried(const struct p11 *p)
{
    if (p->pin_refused) {
        BST_FAIL(
            BST_E_SE_PIN,
            "token '%s': the PIN was wrong the last time and is not tried again; correct the file, "
            "then start anew",
            p->address.token);
    }
    if (p->info.flags & CKF_USER_PIN_LOCKED) {
        return p11_fail(p, CKR_PIN_LOCKED, "logging in");
    }
    if (p->info.flags & CKF_USER_PIN_FINAL_TRY) {
        BST_FAIL(
            BST_E_SE_BLOCKED,
            "token '%s': %s, which is not risked here; log in once with the token's own tool, that "
            "resets the counter",
            p->address.token, p11_pin_words(p->info.flags));
    }
    return BST_OK;
}

static bst_result login_failed(struct p11 *p, CK_RV rv)
{
    p->pin_refused = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
                     rv == CKR_PIN_LOCKED || rv == CKR_PIN_EXPIRED;
    bst_result failed = p11_fail(p, rv, "logging in");
    CK_TOKEN_INFO now;
    if (p->pin_refused && p->module->C_GetTokenInfo(p->slot, &now) == CKR_OK &&
        p11_pin_words(now.flags)[0]) {
        char said[512];
        snprintf(said, sizeof said, "%s", bst_error_detail());
        return bst_error_detailed(failed.code, "%s; %s", said, p11_pin_words(now.flags));
    }
    return failed;
}

static bst_result login(struct p11 *p, CK_SESSION_HANDLE session)
{
    if (!(p->info.flags & CKF_LOGIN_REQUIRED)) {
        return BST_OK;
    }
    CK_SESSION_INFO now;
    if (p->module->C_GetSessionInfo(session, &now) == CKR_OK &&
        (now.state == CKS_RW_USER_FUNCTIONS || now.state == CKS_RO_USER_FUNCTIONS)) {
        return BST_OK; /* by somebody else in this process */
    }
    bst_auto(secret) pin = {0};
    bool at_token = p->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH;
    BST_TRY(pin_may_be_tried(p));
    if (!at_token) {
        BST_TRY(read_pin(p, &pin));
    }
    CK_RV rv = p->module->C_Login(session, CKU_USER, at_token ? NULL : pin.ptr,
                                  at_token ? 0 : (CK_ULONG)pin_len(&pin));
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? BST_OK : login_failed(p, rv);
}

/* ---- connecting ---- */

static bool has(const struct p11 *p, CK_MECHANISM_TYPE type, CK_FLAGS needs)
{
    CK_MECHANISM_INFO info;
    return p->module->C_GetMechanismInfo(p->slot, type, &info) == CKR_OK &&
           (info.flags & needs) == needs;
}

#define PROBE "bastide probe"

/* What an earlier probe left that was cut off. */
static CK_RV remove_probes(struct p11_call *call)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    char label[] = PROBE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_LABEL, label, sizeof label - 1},
    };
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, 2, &found);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = call->f->C_DestroyObject(call->session, handle);
    }
    return rv;
}

static CK_RV make_probe(struct p11_call *call, bool kept, CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    char label[] = PROBE, value[] = "32 octets that are no key at all";
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, kept ? &yes : &no, sizeof no},
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_SIGN, &yes, sizeof yes},
        {CKA_LABEL, label, sizeof label - 1},
        {CKA_VALUE, value, sizeof value - 1},
    };
    return call->f->C_CreateObject(call->session, template, sizeof template / sizeof template[0],
                                   ret);
}

/* A token that cannot make secret keys may refuse them too, or take them and give them to whoever
 * asks, as tpm2-pkcs11 1.9.1 does. It is asked with something that is no key. */
static bool keeps_secrets(struct p11 *p, CK_SESSION_HANDLE session)
{
    struct p11_call call = {.p = p, .f = p->module, .session = session};
    CK_OBJECT_HANDLE handle;
    char out[64];
    CK_ATTRIBUTE value = {CKA_VALUE, out, sizeof out};
    if (remove_probes(&call) != CKR_OK || (make_probe(&call, false, &handle) != CKR_OK &&
                                           make_probe(&call, true, &handle) != CKR_OK)) {
        return false;
    }
    bool kept = p->module->C_GetAttributeValue(session, handle, &value, 1) != CKR_OK;
    return p->module->C_DestroyObject(session, handle) == CKR_OK && kept;
}

/* Others may ask meanwhile: what the token can do changes at once. Tokens before PKCS #11 3.0 have
 * RFC 5649 under the number next to it. */
static void learn_abilities(struct p11 *p, CK_SESSION_HANDLE session)
{
    unsigned can = 0;
    CK_FLAGS wraps = p11_mechs[P11_KWP].needs;
    for (unsigned i = 0; i < P11_SECRETS; i++) {
        can |= has(p, p11_mechs[i].type, p11_mechs[i].needs) ? 1u << i : 0;
    }
    can |= can >> P11_SECRET_GEN & 1 || keeps_secrets(p, session) ? 1u << P11_SECRETS : 0;
    can &= can >> P11_SECRETS & 1 ? ~0u : ~(1u << P11_HMAC); /* with which key? */
    bool old_number = !(can >> P11_KWP & 1) && has(p, CKM_AES_KEY_WRAP_PAD, wraps);
    atomic_store(&p->kwp, old_number ? CKM_AES_KEY_WRAP_PAD : P11_CKM_KWP);
    atomic_store(&p->can, old_number ? can | 1u << P11_KWP : can);
}

static void learn_name(struct p11 *p)
{
    const CK_TOKEN_INFO *i = &p->info;
    CK_SLOT_INFO slot;
    if (p->module->C_GetSlotInfo(p->slot, &slot) != CKR_OK) {
        slot.flags = 0;
    }
    pthread_mutex_lock(&p->lock);
    snprintf(p->name, sizeof p->name, "%.*s, %.*s %.*s, serial number %.*s",
             BST_VIEW_ARGS(p11_text(i->label, sizeof i->label)),
             BST_VIEW_ARGS(p11_text(i->manufacturerID, sizeof i->manufacturerID)),
             BST_VIEW_ARGS(p11_text(i->model, sizeof i->model)),
             BST_VIEW_ARGS(p11_text(i->serialNumber, sizeof i->serialNumber)));
    /* Another token under the same name may only lower the level of keys made from now on. */
    int level = p11_level(&slot, i, p->evidence, sizeof p->evidence);
    p->base.level = p->base.level && p->base.level < level ? p->base.level : level;
    pthread_mutex_unlock(&p->lock);
}

static size_t sessions_of(const CK_TOKEN_INFO *info)
{
    CK_ULONG max = info->ulMaxRwSessionCount;
    return max == CK_UNAVAILABLE_INFORMATION || max == CK_EFFECTIVELY_INFINITE ||
                   max > P11_SESSIONS_MAX
               ? P11_SESSIONS_MAX
               : max;
}

static CK_RV open_session(const struct p11 *p, CK_SESSION_HANDLE *ret)
{
    return p->module->C_OpenSession(p->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, ret);
}

/* Nobody else uses the token meanwhile. */
static bst_result connect(struct p11 *p)
{
    if (p->remote) { /* a new process forgets whatever was wrong with the old one */
        BST_TRY(p11_remote_start(p->remote));
    } else if (p->module) {
        (void)p->module->C_CloseAllSessions(p->slot);
    }
    BST_TRY(find_token(p));
    BST_ENSURE(p->module, BST_E_INTERNAL);
    CK_SESSION_HANDLE session;
    CK_RV rv = open_session(p, &session);
    if (rv != CKR_OK) {
        return p11_fail(p, rv, "opening a session");
    }
    bst_result in = login(p, session);
    if (bst_failed(in)) {
        (void)p->module->C_CloseSession(session);
        return in;
    }
    learn_abilities(p, session);
    learn_name(p);
    p->sessions[0] = session;
    return BST_OK;
}

/* Lock held; given back while the token is at work. */
static bst_result connect_unlocked(struct p11 *p)
{
    p->connecting = true;
    pthread_mutex_unlock(&p->lock);
    bst_result connected = connect(p);
    pthread_mutex_lock(&p->lock);
    p->connecting = false;
    p->up = !bst_failed(connected);
    p->idle = p->open = p->up;
    p->max = sessions_of(&p->info) ? sessions_of(&p->info) : 1;
    p->generation++;
    p->next_try_us = p->host->wall_us(p->host->ctx) + P11_RETRY_US;
    pthread_cond_broadcast(&p->changed);
    return connected;
}

/* What was found and started once may be so again. */
static bst_result gone(struct p11 *p, bst_result why)
{
    char said[512];
    bool absent = why.code == BST_E_NOT_FOUND ||
                  (p->remote && (why.code == BST_E_CONFIG || why.code == BST_E_IO));
    snprintf(said, sizeof said, "%s", bst_error_detail());
    return absent ? bst_error_detailed(BST_E_BUSY,
                                       "%s; it was here before: the next use tries again", said)
                  : why;
}

static void *connect_aside(void *arg)
{
    struct p11 *p = arg;
    pthread_mutex_lock(&p->lock);
    (void)connect_unlocked(p).code; /* if it failed, the next use tries again */
    p->aside = false;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Lock held. A module that hung may do so again: whoever asks meanwhile is not made to wait. */
static bst_result reconnect_aside(struct p11 *p)
{
    pthread_t thread;
    if (!p->connecting && !p->busy && p->host->wall_us(p->host->ctx) >= p->next_try_us) {
        p->connecting = p->aside = true;
        if (pthread_create(&thread, NULL, connect_aside, p) == 0) {
            pthread_detach(thread);
        } else {
            p->connecting = p->aside = false;
        }
    }
    BST_FAIL(BST_E_BUSY, "token '%s' did not answer in time; its module is being started anew",
             p->address.token);
}

static bst_result reconnect(struct p11 *p)
{
    if (p->host->wall_us(p->host->ctx) < p->next_try_us) {
        BST_FAIL(BST_E_BUSY, "token '%s' is gone; it is looked for once a second",
                 p->address.token);
    }
    bst_result connected = connect_unlocked(p);
    return bst_failed(connected) ? gone(p, connected) : BST_OK;
}

/* ---- sessions ---- */

bool p11_is_up(struct p11 *p)
{
    pthread_mutex_lock(&p->lock);
    bool up = p->up;
    pthread_mutex_unlock(&p->lock);
    return up;
}

/* Lock held. A token may have fewer sessions than it says: then those that are there must do. */
static CK_RV one_more_session(struct p11 *p, CK_SESSION_HANDLE *ret)
{
    p->open++;
    p->busy++;
    pthread_mutex_unlock(&p->lock);
    CK_RV rv = open_session(p, ret);
    pthread_mutex_lock(&p->lock);
    if (rv != CKR_OK) {
        p->open--;
        p->busy--;
        pthread_cond_broadcast(&p->changed);
    }
    if (rv == CKR_SESSION_COUNT && p->open > 0) {
        p->max = p->open;
    }
    return rv;
}

/* Lock held. True with a session, or with *ret_failed set; false: ask again. */
static bool try_take(struct p11 *p, CK_SESSION_HANDLE *ret, bst_result *ret_failed)
{
    CK_RV rv = CKR_SESSION_COUNT;
    if (p->aside || (!p->up && !p->connecting && p->remote && p11_remote_hung(p->remote))) {
        *ret_failed = reconnect_aside(p);
        return true;
    }
    if (p->connecting || (!p->up && p->busy)) {
        pthread_cond_wait(&p->changed, &p->lock);
        return false;
    }
    if (!p->up) {
        *ret_failed = reconnect(p);
        return bst_failed(*ret_failed);
    }
    if (p->idle) {
        *ret = p->sessions[--p->idle];
        p->busy++;
        return true;
    }
    if (p->open < p->max) {
        rv = one_more_session(p, ret);
    }
    if (rv == CKR_OK) {
        return true;
    }
    if (p11_rv_gone(rv)) {
        p->up = false;
    } else if (rv == CKR_SESSION_COUNT && p->open > 0) {
        if (p->up && !p->idle && p->open >= p->max) {
            pthread_cond_wait(&p->changed, &p->lock);
        }
    } else {
        *ret_failed = p11_fail(p, rv, "opening a session");
        return true;
    }
    return false;
}

static bst_result take(struct p11 *p, struct p11_call *ret)
{
    bst_result failed = BST_OK;
    pthread_mutex_lock(&p->lock);
    while (!try_take(p, &ret->session, &failed)) {
    }
    if (!bst_failed(failed)) { /* who holds a session keeps the module from being changed */
        ret->f = p->module;
        ret->generation = p->generation;
    }
    pthread_mutex_unlock(&p->lock);
    return failed;
}

/* Lost sessions are replaced at once; a module that crashes is started once a second. */
static void give(struct p11 *p, const struct p11_call *call, CK_RV rv)
{
    pthread_mutex_lock(&p->lock);
    p->busy--;
    if (p11_rv_gone(rv)) {
        p->up = false;
        p->next_try_us = rv == P11_RV_ENDED || rv == P11_RV_HUNG ? p->next_try_us : 0;
    }
    if (p->up) {
        p->sessions[p->idle++] = call->session;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

bst_result p11_run(struct p11 *p, CK_RV (*run)(struct p11_call *call, void *arg), void *arg,
                   const char *what)
{
    CK_RV rv = CKR_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        struct p11_call call = {.p = p, .attempt = attempt};
        BST_TRY(take(p, &call));
        rv = run(&call, arg);
        give(p, &call, rv);
        if (rv == CKR_OK) {
            return BST_OK;
        }
        if (!p11_rv_gone(rv)) {
            break;
        }
    }
    return p11_fail(p, rv, what);
}

/* ---- opening and closing ---- */

bst_result p11_token_open(struct p11 *p)
{
    BST_TRY(load_modules(p));
    pthread_mutex_lock(&p->lock);
    bst_result connected = connect_unlocked(p);
    pthread_mutex_unlock(&p->lock);
    return connected;
}

void p11_token_close(struct p11 *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->connecting) {
        pthread_cond_wait(&p->changed, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    if (p->module) {
        (void)p->module->C_CloseAllSessions(p->slot);
    }
    unload_modules(p);
}
