/* Record of a key: what PKCS#11 has no attribute for. */
#include "se/pkcs11/p11_priv.h"
#include "se/soft/soft_priv.h"

#define RECORD_VERSION 1

bst_result p11_object_new(const struct bst_key_attrs *attrs, struct p11_object **ret)
{
    size_t label = strlen(attrs->label) + 1, owner = strlen(attrs->owner) + 1;
    struct p11_object *object = bst_alloc(sizeof *object + label + owner);
    BST_ENSURE(object, BST_E_NOMEM);
    char *at = (char *)(object + 1);
    object->base.attrs = *attrs;
    object->base.attrs.label = memcpy(at, attrs->label, label);
    object->base.attrs.owner = memcpy(at + label, attrs->owner, owner);
    *ret = object;
    return BST_OK;
}

void p11_object_free(struct p11_object *object)
{
    if (object) {
        bst_secret_clear(&object->value);
        bst_free(object);
    }
}

bst_result p11_record_put(const struct p11_object *object, struct bst_buf *ret)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    bst_soft_put(ret, RECORD_VERSION, 1);
    bst_soft_put(ret, object->id_len, 1);
    bst_buf_add(ret, object->id, object->id_len);
    bst_soft_put(ret, attrs->type, 1);
    bst_soft_put(ret, attrs->uses, 4);
    bst_soft_put(ret, (uint32_t)attrs->suid, 4);
    bst_soft_put(ret, (uint64_t)attrs->expires_us, 8);
    bst_soft_put(ret, (uint64_t)attrs->level, 1);
    bst_soft_put(ret, object->soft, 1);
    bst_soft_put(ret, object->value_len, 2);
    bst_soft_put_text(ret, attrs->label);
    bst_soft_put_text(ret, attrs->owner);
    return bst_buf_check(ret);
}

struct fields {
    uint64_t version, type, uses, suid, expires, level, soft, value_len;
    struct bst_view id, label, owner;
};

static bool take_fields(struct bst_view in, struct fields *f)
{
    return bst_soft_take(&in, 1, &f->version) && f->version == RECORD_VERSION &&
           bst_soft_take_view(&in, 1, &f->id) && bst_soft_take(&in, 1, &f->type) &&
           bst_soft_take(&in, 4, &f->uses) && bst_soft_take(&in, 4, &f->suid) &&
           bst_soft_take(&in, 8, &f->expires) && bst_soft_take(&in, 1, &f->level) &&
           bst_soft_take(&in, 1, &f->soft) && bst_soft_take(&in, 2, &f->value_len) &&
           bst_soft_take_view(&in, 2, &f->label) && bst_soft_take_view(&in, 2, &f->owner) &&
           in.len == 0 && f->id.len > 0 && f->id.len <= P11_ID_MAX && f->type <= BST_KEY_DATA &&
           f->level <= 3 && f->value_len <= BST_KEY_ROUTINE_VALUE_MAX && f->label.len > 0;
}

bst_result p11_record_read(struct bst_view record, struct p11_object **ret)
{
    struct fields f;
    char label[BST_KEY_LABEL_MAX + 1], owner[BST_KEY_OWNER_MAX + 1];
    BST_ENSURE(take_fields(record, &f), BST_E_CORRUPT);
    BST_TRY(bst_view_copy(f.label, label, sizeof label));
    BST_TRY(bst_view_copy(f.owner, owner, sizeof owner));
    struct bst_key_attrs attrs = {
        .type = (enum bst_key_type)f.type,
        .uses = (uint32_t)f.uses,
        .suid = (int)(int32_t)(uint32_t)f.suid,
        .label = label,
        .owner = owner,
        .expires_us = (int64_t)f.expires,
        .persistent = true,
        .level = (int)f.level,
    };
    struct p11_object *object = NULL;
    BST_TRY(p11_object_new(&attrs, &object));
    memcpy(object->id, f.id.ptr, f.id.len);
    object->id_len = f.id.len;
    object->value_len = (size_t)f.value_len;
    object->soft = f.soft != 0;
    *ret = object;
    return BST_OK;
}
