/* Results, error codes and borrowed byte ranges: what every public function of Bastide speaks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__clang__)
#define BST_NODISCARD __attribute__((warn_unused_result))
#else
#define BST_NODISCARD
#endif

/** What a caller can do about an error. */
enum bst_class {
    BST_CLASS_OK,
    BST_CLASS_USAGE,     /* the call itself was wrong */
    BST_CLASS_INPUT,     /* what was sent, read or configured is wrong */
    BST_CLASS_AUTH,      /* who it is was not proved */
    BST_CLASS_DENIED,    /* proved, but not allowed */
    BST_CLASS_NOT_FOUND, /* nothing there */
    BST_CLASS_CONFLICT,  /* something is in the way */
    BST_CLASS_LIMIT,     /* too much */
    BST_CLASS_BUSY,      /* try again later */
    BST_CLASS_IO,        /* disk or network */
    BST_CLASS_CRYPTO,    /* a key, a tag or a primitive */
    BST_CLASS_BACKEND,   /* a token or another service */
    BST_CLASS_INTERNAL,  /* a defect of Bastide */
};

/** Every error, BST_E_<NAME>; 0 is success. The table is errors.def. */
enum bst_error {
    BST_E_NONE = 0,
#define BST_ERROR(name, cls, rsc, text) BST_E_##name,
#include <bastide/errors.def>
#undef BST_ERROR
    BST_E_COUNT
};

/** Outcome of a call. A value of this type must not be dropped. */
struct BST_NODISCARD bst_result {
    enum bst_error code;
};
typedef struct bst_result bst_result;

#ifdef __cplusplus
#define BST_OK (bst_result{BST_E_NONE})
#else
#define BST_OK ((struct bst_result){BST_E_NONE})
#endif

/** A range of bytes that somebody else owns. Text is UTF-8, without a closing NUL. */
struct bst_view {
    const char *ptr;
    size_t len;
};

/** Short upper-case name of an error ("NOT_FOUND"), "?" for an unknown one. */
const char *bst_error_name(enum bst_error code);
/** One line in plain words. */
const char *bst_error_text(enum bst_error code);
/** Class of an error. */
enum bst_class bst_error_class(enum bst_error code);
/** Name of a class in lower case ("not found"). */
const char *bst_class_name(enum bst_class cls);
/** The oneM2M response status code (TS-0004 6.6.3) of an error; 2000 for success. */
int bst_error_rsc(enum bst_error code);
/** The sentence that the last BST_FAIL of this thread wrote, "" if there is none. Copy it to keep
 * it. */
const char *bst_error_detail(void);

#ifdef __cplusplus
}
#endif
