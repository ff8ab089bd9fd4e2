/* JSON text to values and back: yyjson behind the checks that bytes of a peer need.
 *
 * RFC 8259 leaves duplicate names and nesting open; both are how two readers of one text come to
 * see two texts, so both are refused here, before anything looks at a value. */
#include "codec/json.h"

/* Up to this many members every pair is compared; above, names go through a hash set. */
#define PAIRWISE_MEMBERS 12

static void *arena_malloc(void *ctx, size_t size)
{
    return bst_arena_alloc(ctx, size);
}

static void *arena_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    if (size <= old_size) {
        return ptr;
    }
    void *grown = bst_arena_alloc(ctx, size);
    if (grown && ptr) {
        memcpy(grown, ptr, old_size);
    }
    return grown;
}

static void arena_free(void *ctx, void *ptr)
{
}

yyjson_alc bst_json_allocator(struct bst_arena *arena)
{
    return (yyjson_alc){arena_malloc, arena_realloc, arena_free, arena};
}

yyjson_mut_doc *bst_json_doc(struct bst_arena *arena)
{
    yyjson_alc alc = bst_json_allocator(arena);
    return yyjson_mut_doc_new(&alc);
}

/* yyjson's getters take pointers to non-const and do not write through them. */
static yyjson_val *unconst(const yyjson_val *value)
{
    return (yyjson_val *)(uintptr_t)value;
}

struct checker {
    struct bst_arena *arena;
    const char *base; /* where byte 0 of the text is, for offsets */
    unsigned max_depth;
};

static bst_result duplicate(const struct checker *c, yyjson_val *key)
{
    struct bst_view name = bst_json_view(key);
    BST_FAIL(BST_E_SYNTAX, "JSON: member \"%.*s\" twice in one object, at byte %zu",
             (int)(name.len > 64 ? 64 : name.len), name.ptr, (size_t)(name.ptr - c->base));
}

static bool same_name(yyjson_val *a, yyjson_val *b)
{
    size_t len = yyjson_get_len(a);
    return len == yyjson_get_len(b) && memcmp(yyjson_get_str(a), yyjson_get_str(b), len) == 0;
}

static bst_result check_names_pairwise(const struct checker *c, yyjson_val *object)
{
    yyjson_val *seen[PAIRWISE_MEMBERS];
    size_t n = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        for (size_t i = 0; i < n; i++) {
            if (same_name(seen[i], key)) {
                return duplicate(c, key);
            }
        }
        seen[n++] = key;
    }
    return BST_OK;
}

static bst_result check_names_hashed(const struct checker *c, yyjson_val *object)
{
    size_t cap = 32;
    while (cap < 2 * yyjson_obj_size(object)) {
        cap *= 2;
    }
    yyjson_val **slots = bst_arena_alloc(c->arena, cap * sizeof *slots);
    BST_ENSURE(slots, BST_E_NOMEM);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        size_t at = (size_t)bst_hash(bst_json_view(key)) & (cap - 1);
        for (; slots[at]; at = (at + 1) & (cap - 1)) {
            if (same_name(slots[at], key)) {
                return duplicate(c, key);
            }
        }
        slots[at] = key;
    }
    return BST_OK;
}

static bst_result check_string(const struct checker *c, yyjson_val *value)
{
    struct bst_view text = bst_json_view(value);
    if (text.len && memchr(text.ptr, '\0', text.len)) {
        BST_FAIL(BST_E_SYNTAX, "JSON: U+0000 in the string at byte %zu",
                 (size_t)(text.ptr - c->base));
    }
    return BST_OK;
}

static bst_result check_value(const struct checker *c, yyjson_val *value, unsigned depth);

static bst_result check_object(const struct checker *c, yyjson_val *object, unsigned depth)
{
    BST_TRY(yyjson_obj_size(object) <= PAIRWISE_MEMBERS ? check_names_pairwise(c, object)
                                                        : check_names_hashed(c, object));
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        BST_TRY(check_string(c, key));
        BST_TRY(check_value(c, yyjson_obj_iter_get_val(key), depth));
    }
    return BST_OK;
}

static bst_result check_array(const struct checker *c, yyjson_val *array, unsigned depth)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        BST_TRY(check_value(c, item, depth));
    }
    return BST_OK;
}

/* Recursion ends at max_depth, before it can hurt. */
static bst_result check_value(const struct checker *c, yyjson_val *value, unsigned depth)
{
    if (yyjson_is_str(value)) {
        return check_string(c, value);
    }
    if (!yyjson_is_ctn(value)) {
        return BST_OK;
    }
    if (depth >= c->max_depth) {
        BST_FAIL(BST_E_TOO_DEEP, "JSON: nested deeper than %u levels", c->max_depth);
    }
    return yyjson_is_obj(value) ? check_object(c, value, depth + 1)
                                : check_array(c, value, depth + 1);
}

static bst_result read_error(struct bst_view text, const yyjson_read_err *err)
{
    if (err->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return bst_error(BST_E_NOMEM);
    }
    if (!bst_utf8_valid(text)) {
        BST_FAIL(BST_E_ENCODING, "JSON: not UTF-8, near byte %zu", err->pos);
    }
    BST_FAIL(BST_E_SYNTAX, "JSON: %s at byte %zu", err->msg, err->pos);
}

bst_result bst_json_parse(struct bst_arena *arena, struct bst_view text, unsigned max_depth,
                          yyjson_val **ret_root)
{
    if (text.len == 0) {
        BST_FAIL(BST_E_SYNTAX, "JSON: empty text");
    }
    yyjson_alc alc = bst_json_allocator(arena);
    yyjson_read_err err = {0};
    /* Without the INSITU flag yyjson copies the text and does not write to it. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len,
                                       YYJSON_READ_BIGNUM_AS_RAW, &alc, &err);
    if (!doc) {
        return read_error(text, &err);
    }
    struct checker c = {arena, doc->str_pool, max_depth};
    BST_TRY(check_value(&c, yyjson_doc_get_root(doc), 0));
    *ret_root = yyjson_doc_get_root(doc);
    return BST_OK;
}

/* yyjson writes into one block that it grows: let that block be the free end of the buffer. */

static void *buf_malloc(void *ctx, size_t size)
{
    return bst_buf_reserve(ctx, size);
}

static void *buf_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    return size <= old_size ? ptr : bst_buf_reserve(ctx, size);
}

static bst_result write_done(struct bst_buf *buf, const char *text, size_t len,
                             const yyjson_write_err *err)
{
    if (text) {
        buf->len += len;
        return BST_OK;
    }
    if (err->code == YYJSON_WRITE_ERROR_INVALID_STRING) {
        BST_FAIL(BST_E_ENCODING, "JSON: text is not UTF-8");
    }
    if (err->code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION) {
        return bst_error(BST_E_NOMEM);
    }
    BST_FAIL(BST_E_VALUE, "JSON: %s", err->msg);
}

bst_result bst_json_write(const yyjson_val *value, struct bst_buf *buf)
{
    yyjson_alc alc = {buf_malloc, buf_realloc, arena_free, buf};
    yyjson_write_err err = {0};
    size_t len = 0;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &alc, &len, &err);
    return write_done(buf, text, len, &err);
}

bst_result bst_json_write_mut(const yyjson_mut_val *value, struct bst_buf *buf)
{
    yyjson_alc alc = {buf_malloc, buf_realloc, arena_free, buf};
    yyjson_write_err err = {0};
    size_t len = 0;
    char *text = yyjson_mut_val_write_opts(value, YYJSON_WRITE_NOFLAG, &alc, &len, &err);
    return write_done(buf, text, len, &err);
}

struct bst_view bst_json_text(struct bst_arena *arena, const yyjson_val *value)
{
    yyjson_alc alc = bst_json_allocator(arena);
    size_t len = 0;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    return bst_view_of(text, text ? len : 0);
}

yyjson_val *bst_json_getv(const yyjson_val *object, struct bst_view name)
{
    return yyjson_obj_getn(unconst(object), name.ptr, name.len);
}

yyjson_val *bst_json_get(const yyjson_val *object, const char *name)
{
    return bst_json_getv(object, bst_view(name));
}

const char *bst_json_kind(const yyjson_val *value)
{
    yyjson_val *v = unconst(value);
    if (yyjson_is_bool(v)) {
        return "boolean";
    }
    if (yyjson_is_num(v) || yyjson_is_raw(v)) {
        return "number";
    }
    if (yyjson_is_null(v)) {
        return "null";
    }
    if (yyjson_is_str(v)) {
        return "string";
    }
    return yyjson_is_obj(v) ? "object" : yyjson_is_arr(v) ? "array" : "nothing";
}

static bst_result missing(const char *name)
{
    BST_FAIL(BST_E_SYNTAX, "member \"%s\" is missing", name);
}

static bst_result wrong_kind(const char *name, const char *want, const yyjson_val *found)
{
    BST_FAIL(BST_E_VALUE, "member \"%s\" must be %s, found %s", name, want, bst_json_kind(found));
}

static bool absent(const yyjson_val *object, const char *name)
{
    yyjson_val *value = bst_json_get(object, name);
    return !value || yyjson_is_null(value);
}

bst_result bst_json_string(const yyjson_val *object, const char *name, struct bst_view *ret)
{
    yyjson_val *value = bst_json_get(object, name);
    if (!value) {
        return missing(name);
    }
    if (!yyjson_is_str(value)) {
        return wrong_kind(name, "a string", value);
    }
    *ret = bst_json_view(value);
    return BST_OK;
}

bst_result bst_json_i64(const yyjson_val *object, const char *name, int64_t *ret)
{
    yyjson_val *value = bst_json_get(object, name);
    if (!value) {
        return missing(name);
    }
    if (!yyjson_is_int(value)) {
        return wrong_kind(name, "an integer", value);
    }
    if (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX) {
        BST_FAIL(BST_E_VALUE, "member \"%s\" is too large", name);
    }
    *ret = yyjson_get_sint(value);
    return BST_OK;
}

bst_result bst_json_bool(const yyjson_val *object, const char *name, bool *ret)
{
    yyjson_val *value = bst_json_get(object, name);
    if (!value) {
        return missing(name);
    }
    if (!yyjson_is_bool(value)) {
        return wrong_kind(name, "true or false", value);
    }
    *ret = yyjson_get_bool(value);
    return BST_OK;
}

bst_result bst_json_array(const yyjson_val *object, const char *name, yyjson_val **ret)
{
    yyjson_val *value = bst_json_get(object, name);
    if (!value) {
        return missing(name);
    }
    if (!yyjson_is_arr(value)) {
        return wrong_kind(name, "an array", value);
    }
    *ret = value;
    return BST_OK;
}

bst_result bst_json_object(const yyjson_val *object, const char *name, yyjson_val **ret)
{
    yyjson_val *value = bst_json_get(object, name);
    if (!value) {
        return missing(name);
    }
    if (!yyjson_is_obj(value)) {
        return wrong_kind(name, "an object", value);
    }
    *ret = value;
    return BST_OK;
}

bst_result bst_json_opt_string(const yyjson_val *object, const char *name, struct bst_view *ret)
{
    return absent(object, name) ? BST_OK : bst_json_string(object, name, ret);
}

bst_result bst_json_opt_i64(const yyjson_val *object, const char *name, int64_t *ret)
{
    return absent(object, name) ? BST_OK : bst_json_i64(object, name, ret);
}

bst_result bst_json_opt_bool(const yyjson_val *object, const char *name, bool *ret)
{
    return absent(object, name) ? BST_OK : bst_json_bool(object, name, ret);
}

bst_result bst_json_opt_array(const yyjson_val *object, const char *name, yyjson_val **ret)
{
    return absent(object, name) ? BST_OK : bst_json_array(object, name, ret);
}

bst_result bst_json_opt_object(const yyjson_val *object, const char *name, yyjson_val **ret)
{
    return absent(object, name) ? BST_OK : bst_json_object(object, name, ret);
}
