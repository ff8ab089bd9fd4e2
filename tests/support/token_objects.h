/* How many objects a token holds, counted by its module itself, in a process of its own. */
#pragma once

#include "support/softhsm.h"

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>

static inline CK_RV token_session(CK_FUNCTION_LIST *f, const char *pin, CK_SESSION_HANDLE *ret)
{
    CK_SLOT_ID slots[8];
    CK_ULONG n = 8;
    CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        CK_TOKEN_INFO info;
        union {
            const char *in;
            unsigned char *out;
        } text = {pin}; /* only read */
        rv = f->C_GetTokenInfo(slots[i], &info);
        if (rv == CKR_OK && info.flags & CKF_TOKEN_INITIALIZED) {
            rv = f->C_OpenSession(slots[i], CKF_SERIAL_SESSION, NULL, NULL, ret);
            return rv == CKR_OK ? f->C_Login(*ret, CKU_USER, text.out, strlen(pin)) : rv;
        }
    }
    return rv == CKR_OK ? CKR_TOKEN_NOT_PRESENT : rv;
}

static inline int token_objects_here(const char *path, const char *pin)
{
    void *module = dlopen(path, RTLD_NOW);
    void *symbol = module ? dlsym(module, "C_GetFunctionList") : NULL;
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE found[200];
    CK_ULONG n = 0;
    memcpy(&list, &symbol, sizeof list);
    bool ok = list && list(&f) == CKR_OK && f->C_Initialize(NULL) == CKR_OK &&
              token_session(f, pin, &session) == CKR_OK &&
              f->C_FindObjectsInit(session, NULL, 0) == CKR_OK &&
              f->C_FindObjects(session, found, 200, &n) == CKR_OK;
    return ok ? (int)n : 255;
}

/** At the start of main(): a program is its own counter. */
static inline void token_objects_main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--token-objects") == 0) {
        bool quiet = freopen("/dev/null", "w", stderr);
        _exit(quiet ? token_objects_here(argv[2], SOFTHSM_PIN) : 255);
    }
}

/** Of the first token that is initialised; 255 when they cannot be counted. */
static inline int token_objects(const char *module)
{
    int status = 0;
    pid_t pid;
    union {
        const char *in[4];
        char *out[4];
    } argv = {{"token-objects", "--token-objects", module, NULL}};
    return posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv.out, environ) == 0 &&
                   waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : 255;
}
