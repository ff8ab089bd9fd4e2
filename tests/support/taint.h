/* Secrets marked for valgrind: it reports every branch and every address that depends on one. */
#pragma once

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define TAINT_POSSIBLE 1
#else
#define TAINT_POSSIBLE 0
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_GET_VBITS(p, bits, n) ((void)(p), (void)(bits), (void)(n))
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void taint(const void *bytes, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes, len);
}

/** From here on it is public. */
static inline void declassify(const void *bytes, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, len);
}

/** Does any bit of it depend on a secret? */
static inline bool tainted(const void *bytes, size_t len)
{
    uint8_t bits[256] = {0};
    bool any = false;
    len = len < sizeof bits ? len : sizeof bits;
    (void)VALGRIND_GET_VBITS(bytes, bits, len);
    for (size_t i = 0; i < len; i++) {
        any = any || bits[i];
    }
    return any;
}
