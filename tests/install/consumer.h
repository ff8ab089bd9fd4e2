/* Between the files of a program of somebody else. */
#pragma once

#include <bastide/core5g.h>

#include "must.h"

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
