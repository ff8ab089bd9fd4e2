/* A token of tpm2-pkcs11 on a software TPM of its own, for a test program. The module leaves keys
 * loaded, so that a resource manager (tpm2-abrmd, on a message bus of its own) is in front. */
#pragma once

#include "support/swtpm.h"

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>

struct tpm2_pkcs11 {
    struct swtpm tpm;
    pid_t bus, broker; /* 0: not running */
    struct scratch store;
    char module[128], pin[256];
};

static inline const char *tpm2_pkcs11_module(void)
{
    static const char *const places[] = {
        "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
        "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1",
        "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
        "/usr/lib64/pkcs11/libtpm2_pkcs11.so",
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}

static inline CK_RV tpm2_pkcs11_token(CK_FUNCTION_LIST *f, const char *label)
{
    unsigned char name[32], so[] = "31415926", user[] = SOFTHSM_PIN;
    CK_SLOT_ID slots[8];
    CK_ULONG n = 8;
    CK_SESSION_HANDLE session;
    memset(name, ' ', sizeof name);
    memcpy(name, label, strlen(label));
    CK_RV rv = f->C_GetSlotList(CK_FALSE, slots, &n);
    rv = rv == CKR_OK && n == 0 ? CKR_SLOT_ID_INVALID : rv;
    rv = rv == CKR_OK ? f->C_InitToken(slots[0], so, sizeof so - 1, name) : rv;
    rv = rv == CKR_OK
             ? f->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session)
             : rv;
    rv = rv == CKR_OK ? f->C_Login(session, CKU_SO, so, sizeof so - 1) : rv;
    return rv == CKR_OK ? f->C_InitPIN(session, user, sizeof user - 1) : rv;
}

static inline bool tpm2_pkcs11_init_here(const char *path, const char *label)
{
    void *module = dlopen(path, RTLD_NOW);
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    if (module) {
        void *symbol = dlsym(module, "C_GetFunctionList");
        memcpy(&list, &symbol, sizeof list);
    }
    bool ok = list && list(&f) == CKR_OK && f->C_Initialize(NULL) == CKR_OK;
    if (ok) {
        ok = tpm2_pkcs11_token(f, label) == CKR_OK;
        f->C_Finalize(NULL);
    }
    return ok;
}

/* As its own tool does it; in a process of its own, because the way to the resource manager starts
 * threads. The resource manager may not be ready at once. */
static inline bool tpm2_pkcs11_init(const char *path, const char *label)
{
    int status = -1;
    for (int i = 0; i < 100 && status != 0; i++) {
        poll(NULL, 0, i ? 100 : 0);
        pid_t pid = fork();
        if (pid == 0) {
            bool quiet = freopen("/dev/null", "w", stderr);
            _exit(quiet && tpm2_pkcs11_init_here(path, label) ? 0 : 1);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid) {
            return false;
        }
    }
    return status == 0;
}

static inline pid_t tpm2_pkcs11_run(const char *const argv[])
{
    pid_t pid = 0;
    char *args[16] = {0};
    posix_spawn_file_actions_t quiet;
    for (size_t i = 0; argv[i] && i < 15; i++) {
        args[i] = strdup(argv[i]);
    }
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    bool ran = posix_spawnp(&pid, args[0], &quiet, NULL, args, environ) == 0;
    posix_spawn_file_actions_destroy(&quiet);
    for (size_t i = 0; i < 15; i++) {
        free(args[i]);
    }
    return ran ? pid : 0;
}

static inline void tpm2_pkcs11_end(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static inline bool tpm2_pkcs11_broker(struct tpm2_pkcs11 *token)
{
    char address[300], at[330], tcti[40];
    snprintf(address, sizeof address, "unix:path=%s", scratch_path(&token->store, "bus"));
    snprintf(at, sizeof at, "--address=%s", address);
    snprintf(tcti, sizeof tcti, "--tcti=swtpm:port=%u", token->tpm.port);
    const char *const bus[] = {"dbus-daemon", "--session", "--nofork", at, NULL};
    const char *const broker[] = {"tpm2-abrmd",           "--session", "--allow-root", tcti,
                                  "--max-transients=100", NULL};
    token->bus = tpm2_pkcs11_run(bus);
    for (int i = 0; i < 100 && access(token->store.path, F_OK) != 0; i++) {
        poll(NULL, 0, 50);
    }
    bool ok = token->bus && setenv("DBUS_SESSION_BUS_ADDRESS", address, 1) == 0;
    token->broker = ok ? tpm2_pkcs11_run(broker) : 0;
    return token->broker > 0;
}

static inline void tpm2_pkcs11_remove(struct tpm2_pkcs11 *token)
{
    tpm2_pkcs11_end(&token->broker);
    tpm2_pkcs11_end(&token->bus);
    swtpm_remove(&token->tpm);
    if (token->store.dir[0]) {
        scratch_remove(&token->store);
    }
    token->store.dir[0] = '\0';
}

/** False, with the reason, when there is none here. */
static inline bool tpm2_pkcs11_make(struct tpm2_pkcs11 *token, const char *label,
                                    const char **ret_why)
{
    memset(token, 0, sizeof *token);
    *ret_why = "tpm2-pkcs11 is not installed (package libtpm2-pkcs11-1)";
    if (!tpm2_pkcs11_module() || !swtpm_make(&token->tpm, ret_why)) {
        return false;
    }
    bool ok = scratch_make(&token->store) &&
              setenv("TPM2_PKCS11_STORE", token->store.dir, 1) == 0 &&
              setenv("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session", 1) == 0 &&
              setenv("TSS2_LOG", "all+NONE", 0) == 0;
    snprintf(token->module, sizeof token->module, "%s", tpm2_pkcs11_module());
    snprintf(token->pin, sizeof token->pin, "%s", scratch_path(&token->store, "pin"));
    ok = ok && softhsm_put(token->pin, SOFTHSM_PIN "\n");
    *ret_why = "there is no resource manager for a TPM (packages tpm2-abrmd, "
               "libtss2-tcti-tabrmd0, dbus-daemon)";
    if (ok && tpm2_pkcs11_broker(token)) {
        *ret_why = "tpm2-pkcs11 could not make a token";
        ok = tpm2_pkcs11_init(token->module, label);
    } else {
        ok = false;
    }
    if (!ok) {
        tpm2_pkcs11_remove(token);
    }
    return ok;
}
