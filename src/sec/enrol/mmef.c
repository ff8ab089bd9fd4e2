/* Representations of the interface Mmef. */
#include "sec/enrol/mmef.h"

#include "base/time.h"
#include "se/se.h"
#include "sec/sec_names.h"

enum { KEY_MIN = 16, LIST_MAX = 256 };

void bst_mmef_begin(struct bst_buf *out, const char *root)
{
    bst_buf_addf(out, "{\"%s\":{", root);
}

static void name_add(struct bst_buf *out, const char *name)
{
    if (out->len && out->ptr[out->len - 1] != '{') {
        bst_buf_addc(out, ',');
    }
    bst_buf_addf(out, "\"%s\":", name);
}

void bst_mmef_add_text(struct bst_buf *out, const char *name, struct bst_view value)
{
    if (value.len) {
        name_add(out, name);
        bst_buf_add_json(out, value);
    }
}

void bst_mmef_add_number(struct bst_buf *out, const char *name, int64_t value)
{
    name_add(out, name);
    bst_buf_addi(out, value);
}

void bst_mmef_add_time(struct bst_buf *out, const char *name, int64_t us)
{
    char text[BST_M2M_TIME_LEN + 1];
    if (us > 0) {
        bst_m2m_time_format(us, text);
        bst_mmef_add_text(out, name, bst_view(text));
    }
}

void bst_mmef_add_list(struct bst_buf *out, const char *name, const struct bst_m2m_views *list)
{
    if (!list) {
        return;
    }
    name_add(out, name);
    bst_buf_addc(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        bst_buf_adds(out, i ? "," : "");
        bst_buf_add_json(out, list->v[i]);
    }
    bst_buf_addc(out, ']');
}

void bst_mmef_add_raw(struct bst_buf *out, const char *name, struct bst_view json)
{
    if (json.len) {
        name_add(out, name);
        bst_buf_addv(out, json);
    }
}

void bst_mmef_add_key(struct bst_buf *out, const struct bst_secret *value)
{
    /* Room first: growing would leave copies of the key behind. */
    if (!bst_buf_reserve(out, value->len * 2 + 64)) {
        return;
    }
    name_add(out, BST_SEC_SN_KEY_VALUE);
    bst_buf_addc(out, '"');
    bst_base64_add(out, bst_view_of(value->ptr, value->len));
    bst_buf_addc(out, '"');
}

void bst_mmef_end(struct bst_buf *out)
{
    bst_buf_adds(out, "}}");
}

bst_result bst_mmef_list(yyjson_val *members, const char *name, struct bst_arena *arena,
                         struct bst_m2m_views *ret)
{
    yyjson_val *list = NULL;
    BST_TRY(bst_json_opt_array(members, name, &list));
    size_t n = yyjson_arr_size(list);
    if (n > LIST_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "%s has more than %d entries", name, LIST_MAX);
    }
    struct bst_view *views = bst_arena_alloc(arena, (n + 1) * sizeof *views);
    BST_ENSURE(views, BST_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        views[i] = bst_json_view(yyjson_arr_get(list, i));
        if (!views[i].len) {
            BST_FAIL(BST_E_VALUE, "%s holds something else than texts", name);
        }
    }
    *ret = (struct bst_m2m_views){views, n};
    return BST_OK;
}

bst_result bst_mmef_answer_parse(struct bst_view pc, const char *root, struct bst_arena *arena,
                                 struct bst_mmef_answer *ret)
{
    struct bst_mmef_answer a = {0};
    yyjson_val *doc, *members = NULL;
    struct bst_view et = {NULL, 0};
    BST_TRY(bst_json_parse(arena, pc, BST_JSON_DEPTH, &doc));
    BST_TRY(bst_json_object(doc, root, &members));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_RESOURCE_ID, &a.id));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_CREATOR, &a.creator));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_ADMIN_FQDN, &a.admin));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_KEY_VALUE, &a.key));
    BST_TRY(bst_json_opt_string(members, BST_SEC_SN_EXPIRATION_TIME, &et));
    BST_TRY(bst_json_opt_i64(members, BST_SEC_SN_SUID, &a.suid));
    BST_TRY(bst_mmef_list(members, BST_SEC_SN_TARGET_IDS, arena, &a.targets));
    if (et.len) {
        BST_TRY(bst_m2m_time_parse(et, &a.expires_us));
        a.has_expires = true;
    }
    *ret = a;
    return BST_OK;
}

void bst_mmef_answer_wipe(struct bst_mmef_answer *answer)
{
    if (answer->key.len) {
        bst_wipe((void *)(uintptr_t)answer->key.ptr, answer->key.len);
        answer->key.len = 0;
    }
}

bst_result bst_mmef_key_value(struct bst_view base64, struct bst_secret *ret)
{
    struct bst_buf raw = {0};
    bst_result r = bst_base64_decode(base64, &raw);
    if (!bst_failed(r) && (raw.len < KEY_MIN || raw.len > BST_KEY_VALUE_MAX)) {
        r = bst_error_detailed(BST_E_VALUE, "keyValue has %zu octets, not %d to %d", raw.len,
                               KEY_MIN, BST_KEY_VALUE_MAX);
    } else if (!bst_failed(r)) {
        r = bst_secret_copy(ret, raw.ptr, raw.len);
    }
    bst_buf_wipe(&raw);
    return r;
}
