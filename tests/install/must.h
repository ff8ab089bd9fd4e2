/* For a program of somebody else: what must hold, and what must fail. */
#pragma once

#include <bastide/result.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "consumer: %s: %s\n", what, bst_error_detail());
        exit(1);
    }
}
#define OK(call) must((call).code == BST_E_NONE, #call)
#define FAILS(call, error) must((call).code == (error), #call)

static inline struct bst_view octets(const void *ptr, size_t len)
{
    struct bst_view v;
    v.ptr = (const char *)ptr;
    v.len = len;
    return v;
}

static inline struct bst_view text(const char *from)
{
    return octets(from, strlen(from));
}
