/* A token of tpm2-pkcs11 on a software TPM of its own, for a test program. */
#pragma once

#include "support/swtpm.h"

#include <p11-kit/pkcs11.h>

#include <dlfcn.h>

struct tpm2_pkcs11 {
    struct swtpm tpm;
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

/* As its own tool does it, but in one connection: swtpm has no resource manager in front. */
static inline bool tpm2_pkcs11_init(const char *path, const char *label)
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

static inline void tpm2_pkcs11_remove(struct tpm2_pkcs11 *token)
{
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
    char tcti[40];
    memset(token, 0, sizeof *token);
    *ret_why = "tpm2-pkcs11 is not installed (package libtpm2-pkcs11-1)";
    if (!tpm2_pkcs11_module() || !swtpm_make(&token->tpm, ret_why)) {
        return false;
    }
    *ret_why = "tpm2-pkcs11 could not make a token";
    snprintf(token->module, sizeof token->module, "%s", tpm2_pkcs11_module());
    snprintf(tcti, sizeof tcti, "swtpm:port=%u", token->tpm.port);
    bool ok = scratch_make(&token->store) &&
              setenv("TPM2_PKCS11_STORE", token->store.dir, 1) == 0 &&
              setenv("TPM2_PKCS11_TCTI", tcti, 1) == 0 && setenv("TSS2_LOG", "all+NONE", 0) == 0;
    snprintf(token->pin, sizeof token->pin, "%s", scratch_path(&token->store, "pin"));
    ok = ok && softhsm_put(token->pin, SOFTHSM_PIN "\n") && tpm2_pkcs11_init(token->module, label);
    if (!ok) {
        tpm2_pkcs11_remove(token);
    }
    return ok;
}
