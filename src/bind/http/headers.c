/* Header lines of both halves: what is written here can not break out of its line. */
#include "bind/http/binding_priv.h"

bool bst_http_is_value(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (((unsigned char)v.ptr[i] < 0x20 && v.ptr[i] != '\t') || v.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

bst_result bst_http_headers_init(struct bst_http_headers *h, size_t cap, struct bst_arena *arena)
{
    *h = (struct bst_http_headers){arena, bst_arena_alloc(arena, cap * sizeof *h->v), 0, cap};
    BST_ENSURE(h->v, BST_E_NOMEM);
    return BST_OK;
}

bst_result bst_http_headers_add(struct bst_http_headers *h, const char *name, struct bst_view value)
{
    if (value.len == 0) {
        return BST_OK;
    }
    if (!bst_http_is_value(value)) {
        BST_FAIL(BST_E_VALUE, "header %s: control characters in its value", name);
    }
    if (BST_BUG(h->n == h->cap)) {
        return bst_error(BST_E_INTERNAL);
    }
    h->v[h->n++] = (struct bst_http_header){bst_view(name), value};
    return BST_OK;
}

bst_result bst_http_headers_number(struct bst_http_headers *h, const char *name, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    for (uint64_t rest = (uint64_t)value; value > 0 && rest; rest /= 10) {
        digits[--at] = (char)('0' + rest % 10);
    }
    if (at == sizeof digits) {
        return BST_OK;
    }
    struct bst_view text = bst_arena_view(h->arena, bst_view_of(digits + at, sizeof digits - at));
    BST_ENSURE(text.ptr, BST_E_NOMEM);
    return bst_http_headers_add(h, name, text);
}

bst_result bst_http_headers_list(struct bst_http_headers *h, const char *name,
                                 const struct bst_m2m_views *list, char sep)
{
    struct bst_buf buf = {0};
    if (list->n == 0) {
        return BST_OK;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (i) {
            bst_buf_addc(&buf, sep);
        }
        bst_buf_addv(&buf, list->v[i]);
    }
    bool good = !bst_buf_check(&buf).code;
    struct bst_view text =
        good ? bst_arena_view(h->arena, bst_buf_view(&buf)) : (struct bst_view){NULL, 0};
    bst_buf_clear(&buf);
    BST_ENSURE(text.ptr, BST_E_NOMEM);
    return bst_http_headers_add(h, name, text);
}
