/* Attributes being put together: an ordered list of names and JSON texts, joined at the end. */
#include "cse/cse_priv.h"

static struct bst_cse_member *find_member(const struct bst_cse_members *m, struct bst_view name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (bst_view_eq(m->v[i].name, name)) {
            return &m->v[i];
        }
    }
    return NULL;
}

const struct bst_cse_member *bst_cse_members_find(const struct bst_cse_members *m,
                                                  struct bst_view name)
{
    return find_member(m, name);
}

static bool grow(struct bst_cse_members *m)
{
    if (m->n < m->cap) {
        return true;
    }
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct bst_cse_member *v = bst_arena_alloc(m->arena, cap * sizeof *v);
    if (!v) {
        m->failed = true;
        return false;
    }
    if (m->n) {
        memcpy(v, m->v, m->n * sizeof *v);
    }
    m->v = v;
    m->cap = cap;
    return true;
}

void bst_cse_members_set(struct bst_cse_members *m, struct bst_view name, struct bst_view text)
{
    if (!text.ptr) {
        m->failed = true;
        return;
    }
    struct bst_cse_member *found = find_member(m, name);
    if (found) {
        found->text = text;
        return;
    }
    if (grow(m)) {
        m->v[m->n++] = (struct bst_cse_member){name, text};
    }
}

void bst_cse_members_set_text(struct bst_cse_members *m, const char *name, struct bst_view value)
{
    struct bst_buf buf = {0};
    bst_buf_add_json(&buf, value);
    struct bst_view text =
        buf.failed ? (struct bst_view){NULL, 0} : bst_arena_view(m->arena, bst_buf_view(&buf));
    bst_buf_clear(&buf);
    bst_cse_members_set(m, bst_view(name), text);
}

void bst_cse_members_set_number(struct bst_cse_members *m, const char *name, int64_t value)
{
    bst_cse_members_set(m, bst_view(name), bst_arena_printf(m->arena, "%lld", (long long)value));
}

void bst_cse_members_remove(struct bst_cse_members *m, struct bst_view name)
{
    struct bst_cse_member *found = find_member(m, name);
    if (found) {
        size_t index = (size_t)(found - m->v);
        memmove(found, found + 1, (m->n - index - 1) * sizeof *found);
        m->n--;
    }
}

void bst_cse_members_add_json(struct bst_cse_members *m, yyjson_val *object)
{
    yyjson_obj_iter iter;
    if (!yyjson_obj_iter_init(object, &iter)) {
        return;
    }
    for (yyjson_val *key = yyjson_obj_iter_next(&iter); key; key = yyjson_obj_iter_next(&iter)) {
        bst_cse_members_set(m, bst_json_view(key),
                            bst_json_text(m->arena, yyjson_obj_iter_get_val(key)));
    }
}

bst_result bst_cse_members_join(const struct bst_cse_members *m, struct bst_view *ret)
{
    BST_ENSURE(!m->failed, BST_E_NOMEM);
    size_t bytes = 1;
    for (size_t i = 0; i < m->n; i++) {
        bytes += m->v[i].name.len + m->v[i].text.len + 4;
    }
    char *text = bst_arena_alloc(m->arena, bytes);
    BST_ENSURE(text, BST_E_NOMEM);
    size_t at = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (i) {
            text[at++] = ',';
        }
        /* Names come from the tables or passed the validation: no character needs an escape. */
        text[at++] = '"';
        memcpy(text + at, m->v[i].name.ptr, m->v[i].name.len);
        at += m->v[i].name.len;
        text[at++] = '"';
        text[at++] = ':';
        memcpy(text + at, m->v[i].text.ptr, m->v[i].text.len);
        at += m->v[i].text.len;
    }
    *ret = (struct bst_view){text, at};
    return BST_OK;
}
