/* Error names, classes and the thread's last sentence; see include/bastide/errors.def. */
#include "base/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    const char *text;
    enum bst_class cls;
    int rsc;
} errors[BST_E_COUNT] = {
    [BST_E_NONE] = {"OK", "success", BST_CLASS_OK, 2000},
#define BST_ERROR(n, c, r, t) [BST_E_##n] = {#n, t, BST_CLASS_##c, r},
#include <bastide/errors.def>
#undef BST_ERROR
};

static const char *const class_names[] = {
    [BST_CLASS_OK] = "ok",
    [BST_CLASS_USAGE] = "usage",
    [BST_CLASS_INPUT] = "input",
    [BST_CLASS_AUTH] = "auth",
    [BST_CLASS_DENIED] = "denied",
    [BST_CLASS_NOT_FOUND] = "not found",
    [BST_CLASS_CONFLICT] = "conflict",
    [BST_CLASS_LIMIT] = "limit",
    [BST_CLASS_BUSY] = "busy",
    [BST_CLASS_IO] = "io",
    [BST_CLASS_CRYPTO] = "crypto",
    [BST_CLASS_BACKEND] = "backend",
    [BST_CLASS_INTERNAL] = "internal",
};

static _Thread_local char detail[512];

void (*bst_bug_hook)(const char *file, int line, const char *what);

static bool known(enum bst_error code)
{
    return (unsigned)code < BST_E_COUNT;
}

const char *bst_error_name(enum bst_error code)
{
    return known(code) ? errors[code].name : "?";
}

const char *bst_error_text(enum bst_error code)
{
    return known(code) ? errors[code].text : "unknown error";
}

enum bst_class bst_error_class(enum bst_error code)
{
    return known(code) ? errors[code].cls : BST_CLASS_INTERNAL;
}

const char *bst_class_name(enum bst_class cls)
{
    return (unsigned)cls < sizeof class_names / sizeof class_names[0] ? class_names[cls] : "?";
}

int bst_error_rsc(enum bst_error code)
{
    return known(code) ? errors[code].rsc : 5000;
}

const char *bst_error_detail(void)
{
    return detail;
}

void bst_error_set_detail(const char *text)
{
    snprintf(detail, sizeof detail, "%s", text);
}

bst_result bst_error(enum bst_error code)
{
    detail[0] = '\0';
    return (bst_result){code};
}

bst_result bst_error_detailed(enum bst_error code, const char *format, ...)
{
    /* The old sentence may be among the arguments: write aside first. */
    char text[sizeof detail];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bst_error_set_detail(text);
    return (bst_result){code};
}

void bst_bug(const char *file, int line, const char *what)
{
    if (bst_bug_hook) {
        bst_bug_hook(file, line, what);
    } else {
        fprintf(stderr, "bug: %s:%d: %s\n", file, line, what);
    }
#ifdef BST_TEST_BUILD
    abort();
#endif
}
