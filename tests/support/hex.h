/* Byte strings of published vectors, written in hexadecimal. */
#pragma once

#include "base/text.h"
#include "support/test.h"

/** Bytes of a hexadecimal text; freed by bst_buf_clear(). */
static inline struct bst_buf test_hex(const char *text)
{
    struct bst_buf out = {0};
    size_t len = strlen(text) / 2;
    char *at = bst_buf_reserve(&out, len ? len : 1);
    assert_non_null(at);
    assert_ok(bst_hex_decode(bst_view(text), at, len));
    out.len = len;
    return out;
}

static inline void assert_hex(const void *bytes, size_t len, const char *expected)
{
    bst_auto(buf) text = {0};
    bst_hex_add(&text, bst_view_of(bytes, len), false);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}
