/* Any bytes as an address, an identifier, a URL. An address that passes holds no trick. */
#include "bind/http/http_binding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_tricks(const struct bst_m2m_address *a)
{
    for (size_t i = 0; i < a->n_seg; i++) {
        struct bst_view seg = a->seg[i];
        if (seg.len == 0 || bst_view_is(seg, "..") || bst_view_is(seg, ".") ||
            memchr(seg.ptr, '/', seg.len) || memchr(seg.ptr, '%', seg.len) ||
            memchr(seg.ptr, '\0', seg.len)) {
            __builtin_trap();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bst_arena arena;
    struct bst_m2m_address a;
    struct bst_m2m_originator o;
    struct bst_http_url url;
    struct bst_view text = bst_view_of(data, size), to, path;
    bst_arena_init(&arena, 1 << 20);
    if (!bst_failed(bst_m2m_address_parse(text, &a))) {
        no_tricks(&a);
        (void)bst_m2m_address_is_local(&a, BST_VIEW("sp.com"), BST_VIEW("/id-in"));
    }
    (void)bst_m2m_originator_parse(text, &o).code;
    (void)(bst_m2m_is_resource_name(text) || bst_m2m_is_app_id(text) || bst_m2m_is_role_id(text) ||
           bst_m2m_is_credential_id(text) || bst_m2m_is_csi(text) || bst_m2m_is_sp_id(text));
    (void)bst_http_url_parse(text, &arena, &url).code;
    if (!bst_failed(bst_http_target_to_address(text, &arena, &to)) &&
        !bst_failed(bst_m2m_address_parse(to, &a)) && a.attribute.len == 0) {
        struct bst_view back;
        no_tricks(&a);
        if (bst_failed(bst_http_address_to_target(to, &arena, &path)) ||
            bst_failed(bst_http_target_to_address(path, &arena, &back)) || !bst_view_eq(back, to)) {
            __builtin_trap();
        }
    }
    bst_arena_clear(&arena);
    return 0;
}
