/* Making and passing on errors: the only macros of Bastide with control flow. */
#pragma once

#include <bastide/result.h>
#include <stdbool.h>

static inline bool bst_failed(bst_result r)
{
    return r.code != BST_E_NONE;
}

/** Pass a failure up, else go on. */
#define BST_TRY(call)                                                                              \
    do {                                                                                           \
        bst_result bst_try_r_ = (call);                                                            \
        if (__builtin_expect(bst_try_r_.code != BST_E_NONE, 0)) {                                  \
            return bst_try_r_;                                                                     \
        }                                                                                          \
    } while (0)

/** Return the error unless the condition holds. The value is spelled out, so that an analyser sees
 * that what follows has the condition. */
#define BST_ENSURE(cond, err)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            (void)bst_error(err);                                                                  \
            return (bst_result){(err)};                                                            \
        }                                                                                          \
    } while (0)

/** Return the error with a sentence: what, where, what to do. Never a secret. */
#define BST_FAIL(err, ...)                                                                         \
    do {                                                                                           \
        const enum bst_error bst_fail_code_ = (err);                                               \
        (void)bst_error_detailed(bst_fail_code_, __VA_ARGS__);                                     \
        return (bst_result){bst_fail_code_};                                                       \
    } while (0)

/** True when a value made in this process is impossible: logged, counted; aborts in test builds
 * only. Never for content of a peer, a file, a configuration or a database. */
#define BST_BUG(cond) (__builtin_expect(!!(cond), 0) && (bst_bug(__FILE__, __LINE__, #cond), true))

/** An error without a sentence: clears the thread's detail. */
bst_result bst_error(enum bst_error code);
bst_result bst_error_detailed(enum bst_error code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Replace the thread's detail, for a failure that crossed a thread together with its text. */
void bst_error_set_detail(const char *text);
void bst_bug(const char *file, int line, const char *what);
/** Called by bst_bug(); obs installs its log here. */
extern void (*bst_bug_hook)(const char *file, int line, const char *what);
