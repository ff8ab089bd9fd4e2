/* Views, growing buffers, numbers and the alphabets that the standards use. */
#pragma once

#include "base/mem.h"

/** View of a string literal. */
#define BST_VIEW(literal) ((struct bst_view){("" literal), sizeof(literal) - 1})
/** printf arguments for "%.*s"; never for a secret. */
#define BST_VIEW_ARGS(v) (int)((v).len > 4096 ? 4096 : (v).len), ((v).ptr ? (v).ptr : "")

static inline struct bst_view bst_view(const char *text)
{
    return (struct bst_view){text, text ? strlen(text) : 0};
}
static inline struct bst_view bst_view_of(const void *ptr, size_t len)
{
    return (struct bst_view){(const char *)ptr, len};
}
static inline bool bst_view_eq(struct bst_view a, struct bst_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool bst_view_is(struct bst_view a, const char *text)
{
    return bst_view_eq(a, bst_view(text));
}
static inline bool bst_view_starts(struct bst_view a, struct bst_view prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}
static inline struct bst_view bst_view_from(struct bst_view v, size_t offset)
{
    return offset >= v.len ? (struct bst_view){v.ptr ? v.ptr + v.len : NULL, 0}
                           : (struct bst_view){v.ptr + offset, v.len - offset};
}
bool bst_view_eq_nocase(struct bst_view a, struct bst_view b); /* ASCII */
int bst_view_cmp(struct bst_view a, struct bst_view b);        /* byte order, as memcmp */
struct bst_view bst_view_trim(struct bst_view v);              /* blanks and tabs at both ends */
/** Split at the first `sep`: the part before goes to ret_head, *rest becomes what follows. False,
 * with everything in ret_head and *rest empty, when there is no separator. */
bool bst_view_cut(struct bst_view *rest, char sep, struct bst_view *ret_head);
/** Copy into a fixed buffer with NUL. BST_E_TOO_LONG when it does not fit, BST_E_SYNTAX for a NUL
 * inside. */
bst_result bst_view_copy(struct bst_view v, char *out, size_t cap);
/** `*` matches any run of characters but those of `stop` ('\0': none stops it). */
bool bst_wildcard_match(struct bst_view pattern, struct bst_view text, char stop);
/** RFC 3629: shortest forms, no surrogates. */
bool bst_utf8_valid(struct bst_view v);

/** Decimal, no sign but '-', no blanks, no overflow. */
bst_result bst_parse_i64(struct bst_view v, int64_t *ret);
bst_result bst_parse_u64(struct bst_view v, uint64_t *ret);
bst_result bst_parse_double(struct bst_view v, double *ret); /* finite; "C" locale */

/* struct bst_buf; a failed append sticks: check once at the end. */

/** Room for `extra` more bytes; returns where they go, NULL on failure (which sticks). */
char *bst_buf_reserve(struct bst_buf *buf, size_t extra);
void bst_buf_add(struct bst_buf *buf, const void *ptr, size_t len);
void bst_buf_addv(struct bst_buf *buf, struct bst_view v);
void bst_buf_adds(struct bst_buf *buf, const char *text);
void bst_buf_addc(struct bst_buf *buf, char c);
void bst_buf_addi(struct bst_buf *buf, int64_t number); /* decimal */
void bst_buf_addf(struct bst_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** JSON string with quotes and escapes; invalid UTF-8 becomes U+FFFD. */
void bst_buf_add_json(struct bst_buf *buf, struct bst_view text);
/** Drop the first `len` bytes. */
void bst_buf_consume(struct bst_buf *buf, size_t len);
bst_result bst_buf_check(const struct bst_buf *buf); /* BST_E_NOMEM when an append failed */
static inline struct bst_view bst_buf_view(const struct bst_buf *buf)
{
    return (struct bst_view){buf->ptr, buf->len};
}
/** NUL-terminated text, owned by the caller; the buffer is empty afterwards. NULL on failure. */
char *bst_buf_take_text(struct bst_buf *buf);

/* Alphabets. Decoders refuse foreign characters, blanks and non-canonical tails. */
void bst_hex_add(struct bst_buf *buf, struct bst_view bytes, bool upper);
bst_result bst_hex_decode(struct bst_view text, void *out, size_t out_len); /* exact length */
void bst_base64_add(struct bst_buf *buf, struct bst_view bytes);            /* RFC 4648 4, padded */
void bst_base64url_add(struct bst_buf *buf, struct bst_view bytes);         /* RFC 4648 5, no pad */
bst_result bst_base64_decode(struct bst_view text, struct bst_buf *ret);
bst_result bst_base64url_decode(struct bst_view text, struct bst_buf *ret);
/** Percent-decoding of RFC 3986 into `ret`; a broken escape or %00 is BST_E_SYNTAX. */
bst_result bst_percent_decode(struct bst_view text, struct bst_buf *ret);
/** Percent-encode all but RFC 3986 unreserved characters and those of `keep`. */
void bst_percent_add(struct bst_buf *buf, struct bst_view text, const char *keep);
/** Damerau-Levenshtein, capped at 9: for "did you mean". */
unsigned bst_edit_distance(struct bst_view a, struct bst_view b);
/** Hash for tables only, keyed once per process against collision floods. */
uint64_t bst_hash(struct bst_view v);
