/* Sensitive data on a token: the octets are a private data object, beside it the record as of a
 * key. Few tokens let the value of an object be set, so that other octets are another object, and
 * then the old one goes: there are always the old octets or the new ones. */
#include "se/pkcs11/p11_priv.h"

struct replacing {
    struct p11_object *fresh;
    const struct bst_secret *value;
};

static CK_RV find_values(struct p11_call *call, struct p11_object *object, struct bst_buf *ret)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    char application[] = P11_APP_VALUE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_APPLICATION, application, sizeof application - 1},
        {CKA_OBJECT_ID, object->id, object->id_len},
    };
    return p11_find_all(call, template, 3, ret);
}

static CK_RV replace_call(struct p11_call *call, void *arg)
{
    const struct replacing *r = arg;
    bst_auto(buf) old = {0};
    CK_RV rv = find_values(call, r->fresh, &old);
    if (rv == CKR_OK && old.len == 0) {
        return CKR_OBJECT_HANDLE_INVALID; /* deleted by another program */
    }
    rv = rv == CKR_OK ? p11_make_value(call, r->fresh, bst_view_of(r->value->ptr, r->value->len))
                      : rv;
    for (size_t at = 0; rv == CKR_OK && at < old.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, old.ptr + at, sizeof handle);
        rv = call->f->C_DestroyObject(call->session, handle);
    }
    return rv;
}

static bst_result set_octets(struct p11 *p, struct p11_object *fresh,
                             const struct p11_object *object, const struct bst_secret *value)
{
    struct replacing r = {fresh, value};
    memcpy(fresh->id, object->id, object->id_len);
    fresh->id_len = object->id_len;
    fresh->soft = true;
    return p11_run(p, replace_call, &r, "replacing data");
}

/* What is not kept goes from the token with the old object: the new one has a data object of its
 * own. */
bst_result p11_replace(struct bst_se_backend *backend, struct bst_se_object *base,
                       const struct bst_secret *value, struct bst_se_object **ret)
{
    struct p11 *p = bst_container_of(backend, struct p11, base);
    const struct p11_object *object = bst_container_of(base, struct p11_object, base);
    struct p11_object *fresh = NULL;
    BST_TRY(p11_object_new(&base->attrs, &fresh));
    bst_result replaced =
        base->attrs.persistent ? set_octets(p, fresh, object, value) : p11_make(p, fresh, value);
    if (bst_failed(replaced)) {
        p11_object_free(fresh);
        return replaced;
    }
    *ret = &fresh->base;
    return BST_OK;
}
