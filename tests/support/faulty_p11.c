#include "support/faulty_p11.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((visibility("default"))) struct faulty_p11 faulty_p11;

static CK_FUNCTION_LIST *behind;
static CK_SLOT_ID slot;

static long end_at; /* 0: never */

static void read_end(void)
{
    const char *path = getenv(FAULTY_P11_END);
    FILE *file = path ? fopen(path, "r") : NULL;
    char text[32] = "";
    if (file) {
        if (!fgets(text, sizeof text, file)) {
            text[0] = '\0';
        }
        fclose(file);
    }
    end_at = strtol(text, NULL, 10);
}

static void end_or_hang(void)
{
    static long calls;
    long n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (n == end_at) {
        kill(getpid(), SIGKILL);
    }
    while (n == -end_at) {
        pause();
    }
}

static CK_RV fault(void)
{
    struct faulty_p11 *f = &faulty_p11;
    end_or_hang();
    if (f->away) {
        return CKR_TOKEN_NOT_PRESENT;
    }
    if (++f->calls != f->fail_at) {
        return CKR_OK;
    }
    if (f->lost) {
        behind->C_CloseAllSessions(slot);
    }
    return f->rv;
}

#define PASS(name, params, args)                                                                   \
    CK_RV name params                                                                              \
    {                                                                                              \
        CK_RV rv = fault();                                                                        \
        return rv == CKR_OK ? behind->name args : rv;                                              \
    }

typedef CK_SESSION_HANDLE S;
typedef CK_OBJECT_HANDLE O;
typedef CK_ATTRIBUTE *A;
typedef CK_MECHANISM *M;
typedef unsigned char *B;
typedef CK_ULONG U;

PASS(C_SignInit, (S s, M m, O o), (s, m, o))
PASS(C_Sign, (S s, B d, U n, B o, U *l), (s, d, n, o, l))
PASS(C_SignUpdate, (S s, B d, U n), (s, d, n))
PASS(C_SignFinal, (S s, B o, U *l), (s, o, l))
PASS(C_EncryptInit, (S s, M m, O o), (s, m, o))
PASS(C_Encrypt, (S s, B d, U n, B o, U *l), (s, d, n, o, l))
PASS(C_DecryptInit, (S s, M m, O o), (s, m, o))
PASS(C_Decrypt, (S s, B d, U n, B o, U *l), (s, d, n, o, l))
PASS(C_DeriveKey, (S s, M m, O o, A a, U n, O *r), (s, m, o, a, n, r))
PASS(C_WrapKey, (S s, M m, O k, O o, B b, U *l), (s, m, k, o, b, l))
PASS(C_GenerateRandom, (S s, B b, U n), (s, b, n))
PASS(C_SetAttributeValue, (S s, O o, A a, U n), (s, o, a, n))
PASS(C_DestroyObject, (S s, O o), (s, o))
PASS(C_FindObjectsInit, (S s, A a, U n), (s, a, n))
PASS(C_FindObjects, (S s, O *o, U n, U *r), (s, o, n, r))
PASS(C_OpenSession, (CK_SLOT_ID i, CK_FLAGS f, void *a, CK_NOTIFY n, S *r), (i, f, a, n, r))

/* As tpm2-pkcs11 answers. */
static CK_RV fault_of(const CK_ATTRIBUTE *a, U n)
{
    CK_RV rv = fault();
    for (U i = 0; rv == CKR_OK && faulty_p11.kept_only && i < n; i++) {
        if (a[i].type == CKA_TOKEN && *(const CK_BBOOL *)a[i].pValue == CK_FALSE) {
            rv = CKR_ATTRIBUTE_VALUE_INVALID;
        }
    }
    return rv;
}

#define MAKE(name, params, args)                                                                   \
    CK_RV name params                                                                              \
    {                                                                                              \
        CK_RV rv = fault_of(a, n);                                                                 \
        return rv == CKR_OK ? behind->name args : rv;                                              \
    }

MAKE(C_GenerateKey, (S s, M m, A a, U n, O *r), (s, m, a, n, r))
MAKE(C_GenerateKeyPair, (S s, M m, A a, U n, A b, U k, O *p, O *q), (s, m, a, n, b, k, p, q))
MAKE(C_UnwrapKey, (S s, M m, O k, B b, U l, A a, U n, O *r), (s, m, k, b, l, a, n, r))
MAKE(C_CreateObject, (S s, A a, U n, O *r), (s, a, n, r))

CK_RV C_GetAttributeValue(S s, O o, A a, U n)
{
    CK_RV rv = fault();
    rv = rv == CKR_OK ? behind->C_GetAttributeValue(s, o, a, n) : rv;
    if (rv == CKR_ATTRIBUTE_SENSITIVE && faulty_p11.shows && n == 1 && a->pValue) {
        a->ulValueLen = 32;
        memset(a->pValue, 0, 32);
        rv = CKR_OK;
    }
    return rv;
}

CK_RV C_GetSlotList(unsigned char present, CK_SLOT_ID *list, U *n)
{
    if (faulty_p11.away) {
        *n = 0;
        return CKR_OK;
    }
    CK_RV rv = behind->C_GetSlotList(present, list, n);
    if (rv == CKR_OK && list && *n) {
        slot = list[0];
    }
    return rv;
}

static void claim(unsigned char *field, size_t len, const char *text)
{
    memset(field, ' ', len);
    memcpy(field, text, strlen(text));
}

CK_RV C_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
    CK_RV rv = behind->C_GetTokenInfo(id, info);
    info->flags |= faulty_p11.flags;
    if (faulty_p11.maker) {
        claim(info->manufacturerID, sizeof info->manufacturerID, faulty_p11.maker);
        claim(info->model, sizeof info->model, faulty_p11.model);
    }
    return rv;
}

CK_RV C_GetSlotInfo(CK_SLOT_ID id, CK_SLOT_INFO *info)
{
    CK_RV rv = behind->C_GetSlotInfo(id, info);
    info->flags |= faulty_p11.slot_flags;
    return rv;
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    return faulty_p11.hidden && type == faulty_p11.hidden
               ? CKR_MECHANISM_INVALID
               : behind->C_GetMechanismInfo(id, type, info);
}

CK_RV C_Login(S s, CK_USER_TYPE user, B pin, U n)
{
    faulty_p11.logins++;
    return faulty_p11.login ? faulty_p11.login : behind->C_Login(s, user, pin, n);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    static CK_FUNCTION_LIST own;
    const char *path = getenv(FAULTY_P11_BEHIND);
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    CK_C_GetFunctionList get = NULL;
    void *symbol = module ? dlsym(module, "C_GetFunctionList") : NULL;
    memcpy(&get, &symbol, sizeof get); /* ISO C has no conversion between the two */
    if (!get || get(&behind) != CKR_OK) {
        return CKR_GENERAL_ERROR;
    }
    read_end();
    faulty_p11.kept_only = faulty_p11.kept_only || getenv(FAULTY_P11_KEPT_ONLY);
    own = *behind;
    own.C_GetFunctionList = C_GetFunctionList;
    own.C_SignInit = C_SignInit;
    own.C_Sign = C_Sign;
    own.C_SignUpdate = C_SignUpdate;
    own.C_SignFinal = C_SignFinal;
    own.C_EncryptInit = C_EncryptInit;
    own.C_Encrypt = C_Encrypt;
    own.C_DecryptInit = C_DecryptInit;
    own.C_Decrypt = C_Decrypt;
    own.C_DeriveKey = C_DeriveKey;
    own.C_GenerateKey = C_GenerateKey;
    own.C_GenerateKeyPair = C_GenerateKeyPair;
    own.C_WrapKey = C_WrapKey;
    own.C_UnwrapKey = C_UnwrapKey;
    own.C_GenerateRandom = C_GenerateRandom;
    own.C_SetAttributeValue = C_SetAttributeValue;
    own.C_CreateObject = C_CreateObject;
    own.C_DestroyObject = C_DestroyObject;
    own.C_GetAttributeValue = C_GetAttributeValue;
    own.C_FindObjectsInit = C_FindObjectsInit;
    own.C_FindObjects = C_FindObjects;
    own.C_OpenSession = C_OpenSession;
    own.C_GetSlotList = C_GetSlotList;
    own.C_GetTokenInfo = C_GetTokenInfo;
    own.C_GetSlotInfo = C_GetSlotInfo;
    own.C_GetMechanismInfo = C_GetMechanismInfo;
    own.C_Login = C_Login;
    *list = &own;
    return CKR_OK;
}
