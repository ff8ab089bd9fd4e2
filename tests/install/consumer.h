/* Between the files of a program of somebody else. */
#pragma once

#include <bastide/core5g.h>

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

static inline unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static inline struct bst_view from_hex(const char *digits, uint8_t *out)
{
    size_t n = strlen(digits) / 2;
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint8_t)(digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]));
    }
    return octets(out, n);
}

static inline int same(const void *got, const char *digits)
{
    uint8_t want[256];
    return memcmp(got, want, from_hex(digits, want).len) == 0;
}

struct known_air {
    const char *algorithm;
    struct bst_view key;
    struct bst_core5g_place place;
    const uint8_t *iv;
    struct bst_view aad;
    const uint8_t *in;
    size_t bits;
    const uint8_t *out;
    struct bst_view tag;
};

void check_air(void);
void check_pdcp(void);
