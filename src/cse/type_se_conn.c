/* <secureConnection> and <connectionInstance> (TS-0016 7.6): keys for connections, made inside.
 * Each instance has one of its own, derived from that of the connection; both go by handle only.
 * The environment is no end point of connections itself. */
#include "cse/type_se.h"

/* Cipher suites that a derived key serves (TS-0003 10.2). */
static const char *const suites[] = {
    "TLS_PSK_WITH_AES_128_CCM_8",
    "TLS_PSK_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
};

/* Instances of one connection at most, and where nothing was said. */
#define INSTANCES_MAX 100

static bst_result each_instance(struct bst_cse_op *op, int64_t id,
                                bst_result (*each)(struct bst_cse_op *op, int64_t id),
                                int64_t *ret_n)
{
    int64_t ids[INSTANCES_MAX];
    size_t n = 0;
    struct bst_cursor cursor;
    struct bst_row row = {0};
    /* Subscriptions may stand between them. */
    BST_TRY(bst_children_open_desc(op->conn, id, BST_TY_COIN, (struct bst_place){0}, INSTANCES_MAX,
                                   &cursor));
    bst_result r = bst_cursor_next(&cursor, &row);
    while (!bst_failed(r) && row.id && n < INSTANCES_MAX) {
        ids[n++] = row.id;
        r = bst_cursor_next(&cursor, &row);
    }
    bst_cursor_clear(&cursor);
    for (size_t i = 0; each && i < n && !bst_failed(r); i++) {
        r = each(op, ids[i]);
    }
    *ret_n = (int64_t)n;
    return r;
}

/* ---- <secureConnection> ---- */

static bst_result first_suite(yyjson_val *list, struct bst_view *ret)
{
    yyjson_val *entry;
    size_t index, count;
    yyjson_arr_foreach(list, index, count, entry)
    {
        for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
            if (yyjson_equals_str(entry, suites[i])) {
                *ret = bst_view(suites[i]);
                return BST_OK;
            }
        }
    }
    BST_FAIL(BST_E_VALUE, "cipherSuite (aCS) names none that is supported, as %s", suites[0]);
}

static bst_result check_connection(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    enum { KEY_MATERIAL = 1 };
    yyjson_val *type = bst_json_get(draft->given, "cnT"), *key = bst_json_get(draft->given, "kDt"),
               *list = bst_json_get(draft->given, "aCS"), *mni = bst_json_get(draft->given, "mni");
    struct bst_cse_res *at = draft->old ? draft->old : draft->parent;
    struct bst_secure_key found;
    struct bst_view suite;
    BST_TRY(bst_secure_draft(op, draft));
    if (type && yyjson_get_sint(type) != KEY_MATERIAL) {
        BST_FAIL(BST_E_VALUE, "connectionType (cnT) %lld is not supported; there is 1",
                 (long long)yyjson_get_sint(type));
    }
    if (yyjson_is_int(mni) && yyjson_get_sint(mni) > INSTANCES_MAX) {
        BST_FAIL(BST_E_VALUE, "maxNrOfInstances (mni) can be %d at most", INSTANCES_MAX);
    }
    if (yyjson_is_arr(list)) {
        BST_TRY(first_suite(list, &suite));
    }
    return yyjson_is_str(key)
               ? bst_secure_named_key(op, at, bst_json_view(key), BST_KEY_USE_DERIVE, &found)
               : BST_OK;
}

static void present_connection(struct bst_cse_op *op, const struct bst_cse_res *res,
                               struct bst_buf *out)
{
    int64_t n = 0;
    if (!bst_failed(each_instance(op, res->row.id, NULL, &n))) {
        bst_buf_adds(out, ",\"cni\":");
        bst_buf_addi(out, n);
    }
}

static bst_result delete_connection(struct bst_cse_op *op, struct bst_cse_res *res)
{
    int64_t n;
    BST_TRY(each_instance(op, res->row.id, bst_secure_forget, &n));
    return bst_secure_forget(op, res->row.id);
}

const struct bst_cse_type bst_cse_type_seco = {
    .ty = BST_TY_SECO,
    .governor = BST_GOVERN_INHERIT,
    .virtuals = 1u << BST_VIRT_GENERATE_KEY,
    .create = check_connection,
    .update = check_connection,
    .deleted = delete_connection,
    .present = present_connection,
};

/* ---- <connectionInstance> ---- */

static bst_result check_count(struct bst_cse_op *op, struct bst_cse_res *connection)
{
    int64_t n, mni;
    BST_TRY(bst_cse_number(op, connection, "mni", INSTANCES_MAX, &mni));
    BST_TRY(each_instance(op, connection->row.id, NULL, &n));
    if (n >= mni) {
        BST_FAIL(BST_E_CONTENTS,
                 "the connection has %lld instances, as many as it may (mni): delete one",
                 (long long)n);
    }
    return BST_OK;
}

static bst_result salt_of(struct bst_cse_op *op, struct bst_cse_res *connection,
                          struct bst_view *ret)
{
    yyjson_val *information;
    bst_auto(buf) bytes = {0};
    BST_TRY(bst_cse_attr(op, connection, "kInf", &information));
    *ret = (struct bst_view){0};
    if (information) {
        BST_TRY(bst_base64_decode(bst_json_view(information), &bytes));
        *ret = bst_arena_view(op->arena, bst_buf_view(&bytes));
        BST_ENSURE(ret->ptr, BST_E_NOMEM);
    }
    return BST_OK;
}

/* The information of the derivation: what for, with whom, and which. */
static bst_result information_of(struct bst_cse_op *op, const struct bst_cse_draft *draft,
                                 const char *label, struct bst_view *ret)
{
    static const char purpose[] = "TS-0016 connectionInstance"; /* with its NUL */
    struct bst_buf text = {0};
    bst_buf_add(&text, purpose, sizeof purpose);
    bst_buf_addv(&text, bst_json_view(bst_json_get(draft->given, "dst")));
    bst_buf_addc(&text, '\0');
    bst_buf_adds(&text, label);
    *ret = bst_arena_view(op->arena, bst_buf_view(&text));
    bst_buf_clear(&text);
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result derive(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    struct bst_cse_res *connection = draft->parent;
    struct bst_secure_key key;
    struct bst_secure_work work = {
        .kind = BST_SECURE_DERIVE,
        .type = BST_KEY_SYMMETRIC,
        .uses = BST_KEY_USE_SEAL | BST_KEY_USE_MAC | BST_KEY_USE_DERIVE,
    };
    yyjson_val *handle;
    BST_TRY(bst_cse_attr(op, connection, "kDt", &handle));
    if (!handle) {
        BST_FAIL(BST_E_VALUE, "the secureConnection has no key: UPDATE its keyData (kDt) or "
                              "generateKey (genk)");
    }
    BST_TRY(bst_secure_key(op, connection, bst_json_view(handle), BST_KEY_USE_DERIVE, &key));
    bst_secure_use(&work, &key, BST_KEY_USE_DERIVE);
    BST_TRY(bst_secure_new_label(op, connection, (struct bst_view){0}, &work.made));
    BST_TRY(salt_of(op, connection, &work.salt));
    BST_TRY(information_of(op, draft, work.made, &work.aad));
    BST_TRY(bst_secure_run(op, &work));
    struct bst_view negotiated = bst_secure_handle(op, work.made);
    BST_ENSURE(negotiated.ptr, BST_E_NOMEM);
    bst_cse_members_set_text(&draft->members, "ngK", negotiated);
    return BST_OK;
}

static bst_result create_instance(struct bst_cse_op *op, struct bst_cse_draft *draft)
{
    yyjson_val *list;
    struct bst_view suite;
    BST_TRY(bst_secure_draft(op, draft));
    BST_TRY(check_count(op, draft->parent));
    BST_TRY(bst_cse_attr(op, draft->parent, "aCS", &list));
    if (list) {
        BST_TRY(first_suite(list, &suite));
        bst_cse_members_set_text(&draft->members, "ngCS", suite);
    }
    BST_TRY(derive(op, draft));
    BST_ENSURE(!draft->members.failed, BST_E_NOMEM);
    return BST_OK;
}

static bst_result keep_instance(struct bst_cse_op *op, struct bst_cse_draft *draft,
                                struct bst_cse_res *res)
{
    (void)draft;
    return bst_secure_keep(op, res->row.id, op->secure->work.made, (struct bst_view){0});
}

static bst_result delete_instance(struct bst_cse_op *op, struct bst_cse_res *res)
{
    return bst_secure_forget(op, res->row.id);
}

const struct bst_cse_type bst_cse_type_coin = {
    .ty = BST_TY_COIN,
    .governor = BST_GOVERN_INHERIT,
    .create = create_instance,
    .created = keep_instance,
    .deleted = delete_instance,
};
