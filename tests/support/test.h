/* What every unit test includes first: cmocka and assertions on results. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/result.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        bst_result test_r_ = (call);                                                               \
        if (bst_failed(test_r_)) {                                                                 \
            fail_msg("%s: %s: %s", #call, bst_error_name(test_r_.code), bst_error_detail());       \
        }                                                                                          \
    } while (0)

#define assert_err(call, expected)                                                                 \
    do {                                                                                           \
        bst_result test_r_ = (call);                                                               \
        if (test_r_.code != (expected)) {                                                          \
            fail_msg("%s: %s instead of %s: %s", #call, bst_error_name(test_r_.code),              \
                     bst_error_name(expected), bst_error_detail());                                \
        }                                                                                          \
    } while (0)

/** Go on only when nothing is missing; what is goes on record. */
static inline void skip_without(const char *missing)
{
    if (missing) {
        print_message("[  SKIP    ] %s\n", missing);
        skip();
    }
}
