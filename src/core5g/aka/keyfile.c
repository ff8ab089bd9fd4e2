/* Reading a subscriber's key file; no member is unknown, no copy of a key stays behind. */
#include "core5g/aka/keyfile.h"

#include "codec/json.h"

/* Text of a key is wiped in the arena, where nobody else refers to it. */
static bst_result take_octets(const yyjson_val *root, const char *name, size_t min, size_t max,
                              uint8_t *out, size_t *ret_len)
{
    struct bst_view text;
    BST_TRY(bst_json_string(root, name, &text));
    size_t len = text.len / 2;
    bool ok = text.len % 2 == 0 && len >= min && len <= max &&
              !bst_failed(bst_hex_decode(text, out, len));
    bst_wipe((void *)(uintptr_t)text.ptr, text.len);
    if (!ok) {
        BST_FAIL(BST_E_VALUE, "'%s' is not %zu to %zu octets in hexadecimal", name, min, max);
    }
    *ret_len = len;
    return BST_OK;
}

static bst_result take_length(const yyjson_val *root, const char *name, uint8_t *ret)
{
    int64_t number = *ret;
    BST_TRY(bst_json_opt_i64(root, name, &number));
    if (number < 0 || number > BST_AKA_KECCAK_MAX) {
        BST_FAIL(BST_E_VALUE, "'%s' is out of range", name);
    }
    *ret = (uint8_t)number;
    return BST_OK;
}

static bst_result refuse_unknown(const yyjson_val *root)
{
    static const char *const known[] = {"algorithm", "k",          "opc",
                                        "op",        "iterations", "mac_bytes",
                                        "res_bytes", "ck_bytes",   "ik_bytes"};
    yyjson_obj_iter iter = yyjson_obj_iter_with((yyjson_val *)(uintptr_t)root);
    for (yyjson_val *name; (name = yyjson_obj_iter_next(&iter));) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            found = found || bst_view_is(bst_json_view(name), known[i]);
        }
        if (!found) {
            BST_FAIL(BST_E_VALUE, "there is no member '%.*s'", BST_VIEW_ARGS(bst_json_view(name)));
        }
    }
    return BST_OK;
}

static bst_result read_choices(const yyjson_val *root, const struct bst_aka_algorithm **ret,
                               struct bst_aka_keys *keys)
{
    struct bst_view name;
    BST_TRY(bst_json_string(root, "algorithm", &name));
    *ret = bst_aka_algorithm_named(name);
    if (!*ret) {
        BST_FAIL(BST_E_VALUE, "'algorithm' is milenage, tuak or milenage256, not '%.*s'",
                 BST_VIEW_ARGS(name));
    }
    *keys = (*ret)->usual;
    BST_TRY(take_length(root, "iterations", &keys->iterations));
    BST_TRY(take_length(root, "mac_bytes", &keys->mac_bytes));
    BST_TRY(take_length(root, "res_bytes", &keys->res_bytes));
    BST_TRY(take_length(root, "ck_bytes", &keys->ck_bytes));
    return take_length(root, "ik_bytes", &keys->ik_bytes);
}

static bst_result read_keys(const yyjson_val *root, struct bst_aka_keys *keys)
{
    const struct bst_aka_algorithm *algorithm = NULL;
    uint8_t op[32];
    size_t len;
    BST_TRY(refuse_unknown(root));
    BST_TRY(read_choices(root, &algorithm, keys));
    BST_TRY(take_octets(root, "k", 16, 32, keys->k, &len));
    keys->k_bytes = (uint8_t)len;
    BST_TRY(algorithm->check(keys));
    if (bst_json_get(root, "opc")) {
        BST_ENSURE(!bst_json_get(root, "op"), BST_E_VALUE);
        return take_octets(root, "opc", algorithm->op_bytes, algorithm->op_bytes, keys->opc, &len);
    }
    BST_TRY(take_octets(root, "op", algorithm->op_bytes, algorithm->op_bytes, op, &len));
    bst_result made = algorithm->opc(keys, op, keys->opc);
    bst_wipe(op, sizeof op);
    return made;
}

bst_result bst_aka_keyfile_parse(struct bst_view text, struct bst_aka_keys *ret)
{
    bst_auto(arena) arena = {0};
    struct bst_aka_keys keys = {0};
    yyjson_val *root = NULL;
    BST_ENSURE(text.len <= BST_AKA_KEYFILE_MAX, BST_E_TOO_LONG);
    BST_TRY(bst_json_parse(&arena, text, 1, &root));
    if (!yyjson_is_obj(root)) {
        BST_FAIL(BST_E_VALUE, "a key file holds one JSON object");
    }
    bst_result read = read_keys(root, &keys);
    if (!bst_failed(read)) {
        *ret = keys;
    }
    bst_aka_keys_clear(&keys);
    return read;
}
