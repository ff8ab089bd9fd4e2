/* A PKCS#11 module that passes everything on to another one, until a test wants a fault.
 *
 * The module is loaded by path like any other; a test finds its controls by dlsym(). */
#pragma once

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

struct faulty_p11 {
    long calls;   /* into functions that may fail, since the test set it to 0 */
    long fail_at; /* this call fails with `rv`; 0: none */
    CK_RV rv;
    bool lost;                 /* sessions are lost at that call too */
    bool away;                 /* the token is not there at all */
    CK_FLAGS flags;            /* added to the token's */
    CK_FLAGS slot_flags;       /* added to the slot's */
    const char *maker, *model; /* that the token claims to be; NULL: its own */
    CK_RV login;               /* what C_Login answers; 0: what the token answers */
    long logins;               /* calls of C_Login */
    CK_MECHANISM_TYPE hidden;  /* mechanism that the token seems not to have; 0: none */
    bool kept_only;            /* it makes and takes no objects of a session */
    bool shows;                /* it gives out the value of secret keys that it must not */
};
/* In another process the struct is out of reach: a file says at which call that process ends by
 * itself, or hangs when the number is negative. It is read when the module is loaded. */
#define FAULTY_P11_END "FAULTY_P11_END"
/* Set: `kept_only` from the start, for the same reason. */
#define FAULTY_P11_KEPT_ONLY "FAULTY_P11_KEPT_ONLY"
/* Name of the struct in the module, and of the environment variable with the module behind it. */
#define FAULTY_P11_SYMBOL "faulty_p11"
#define FAULTY_P11_BEHIND "FAULTY_P11_BEHIND"
