/* JSON text to values and back. The value API is yyjson's; this header is the only door to it.
 *
 * Reading is strict for bytes of a peer: RFC 8259, UTF-8 checked, no trailing bytes, no duplicate
 * member names, a nesting limit, no U+0000 (texts here end up in C strings and SQL), and an error
 * that names the byte offset. Numbers beyond 64 bits or the range of a double are kept as they were
 * written. */
#pragma once

#include "base/text.h"

#include <yyjson.h>

/** Nesting that is enough for every oneM2M representation, and refuses bombs. */
#define BST_JSON_DEPTH 32

/** Parse untrusted JSON.
 *
 * @param arena      memory of the values; they live as long as it does. `text` may go away
 * @param max_depth  levels of objects and arrays; a bare scalar has depth 0
 * @param ret_root   never NULL on success
 * @error BST_E_SYNTAX    not JSON, a duplicate member name, or U+0000 in a string
 * @error BST_E_ENCODING  not UTF-8
 * @error BST_E_TOO_DEEP  more than max_depth levels
 * @error BST_E_NOMEM     the arena is out of memory or at its limit
 */
bst_result bst_json_parse(struct bst_arena *arena, struct bst_view text, unsigned max_depth,
                          yyjson_val **ret_root);

/** yyjson's allocator over an arena: for documents that are built and die with a request. */
yyjson_alc bst_json_allocator(struct bst_arena *arena);
/** A document to build in; NULL when the arena is out of memory. Never yyjson_mut_doc_free() it. */
yyjson_mut_doc *bst_json_doc(struct bst_arena *arena);

/** Append the compact text of a value. A failed append sticks to `buf`.
 *  BST_E_ENCODING for text that is not UTF-8, BST_E_VALUE for a number that JSON cannot hold. */
bst_result bst_json_write(const yyjson_val *value, struct bst_buf *buf);
bst_result bst_json_write_mut(const yyjson_mut_val *value, struct bst_buf *buf);
/** The compact text in the arena; {NULL, 0} when memory is out. */
struct bst_view bst_json_text(struct bst_arena *arena, const yyjson_val *value);

/** String of a value ({NULL, 0} if it is no string). Lives as long as the value. */
static inline struct bst_view bst_json_view(const yyjson_val *value)
{
    yyjson_val *v = (yyjson_val *)(uintptr_t)value; /* yyjson's getters take no const */
    const char *text = yyjson_get_str(v);
    return bst_view_of(text, text ? yyjson_get_len(v) : 0);
}
/** Member by name, NULL when absent or when `object` is no object. */
yyjson_val *bst_json_get(const yyjson_val *object, const char *name);
yyjson_val *bst_json_getv(const yyjson_val *object, struct bst_view name);
/** What a value is, for an error sentence: "string", "number", "object"... */
const char *bst_json_kind(const yyjson_val *value);

/* Typed members. BST_E_SYNTAX with a sentence naming the member when it is absent, BST_E_VALUE when
 * it has another type. The opt_ twins take an absent or null member as OK and leave *ret alone. */
bst_result bst_json_string(const yyjson_val *object, const char *name, struct bst_view *ret);
bst_result bst_json_i64(const yyjson_val *object, const char *name, int64_t *ret);
bst_result bst_json_bool(const yyjson_val *object, const char *name, bool *ret);
bst_result bst_json_array(const yyjson_val *object, const char *name, yyjson_val **ret);
bst_result bst_json_object(const yyjson_val *object, const char *name, yyjson_val **ret);
bst_result bst_json_opt_string(const yyjson_val *object, const char *name, struct bst_view *ret);
bst_result bst_json_opt_i64(const yyjson_val *object, const char *name, int64_t *ret);
bst_result bst_json_opt_bool(const yyjson_val *object, const char *name, bool *ret);
bst_result bst_json_opt_array(const yyjson_val *object, const char *name, yyjson_val **ret);
bst_result bst_json_opt_object(const yyjson_val *object, const char *name, yyjson_val **ret);
