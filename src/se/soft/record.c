/* Objects of the soft backend in memory, and as records of the log. */
#include "se/soft/soft_priv.h"

#include "crypto/aead.h"
#include "crypto/pkey.h"

void bst_soft_put(struct bst_buf *out, uint64_t number, size_t bytes)
{
    while (bytes--) {
        bst_buf_addc(out, (char)(uint8_t)(number >> (8 * bytes)));
    }
}

void bst_soft_put_text(struct bst_buf *out, const char *text)
{
    bst_soft_put(out, strlen(text), 2);
    bst_buf_adds(out, text);
}

bool bst_soft_take(struct bst_view *in, size_t bytes, uint64_t *ret)
{
    if (in->len < bytes) {
        return false;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) {
        number = number << 8 | (uint8_t)in->ptr[i];
    }
    *in = bst_view_from(*in, bytes);
    *ret = number;
    return true;
}

bool bst_soft_take_view(struct bst_view *in, size_t len_bytes, struct bst_view *ret)
{
    uint64_t len;
    if (!bst_soft_take(in, len_bytes, &len) || len > in->len) {
        return false;
    }
    *ret = bst_view_of(in->ptr, (size_t)len);
    *in = bst_view_from(*in, (size_t)len);
    return true;
}

bst_result bst_soft_object_new(const struct bst_key_attrs *attrs, uint64_t generation,
                               struct bst_view blob, struct bst_soft_object **ret)
{
    size_t label = strlen(attrs->label) + 1, owner = strlen(attrs->owner) + 1;
    struct bst_soft_object *object = bst_alloc(sizeof *object + label + owner + blob.len);
    BST_ENSURE(object, BST_E_NOMEM);
    char *at = (char *)(object + 1);
    object->base.attrs = *attrs;
    object->base.attrs.label = memcpy(at, attrs->label, label);
    object->base.attrs.owner = memcpy(at + label, attrs->owner, owner);
    object->blob = bst_view_of(at + label + owner, blob.len);
    memcpy(at + label + owner, blob.ptr, blob.len);
    object->generation = generation;
    *ret = object;
    return BST_OK;
}

void bst_soft_object_free(struct bst_soft_object *object)
{
    if (object) {
        struct evp_pkey_st *pkey = object->pkey;
        bst_wipe((char *)(uintptr_t)object->blob.ptr, object->blob.len);
        bst_pkey_free(&pkey);
        bst_free(object);
    }
}

bst_result bst_soft_binding(const struct bst_key_attrs *attrs, uint64_t generation,
                            struct bst_buf *ret)
{
    bst_buf_adds(ret, "bastide se value");
    bst_soft_put(ret, attrs->type, 1);
    bst_soft_put(ret, attrs->uses, 4);
    bst_soft_put(ret, (uint32_t)attrs->suid, 4);
    bst_soft_put(ret, (uint64_t)attrs->expires_us, 8);
    bst_soft_put(ret, generation, 8);
    bst_soft_put_text(ret, attrs->label);
    bst_soft_put_text(ret, attrs->owner);
    return bst_buf_check(ret);
}

void bst_soft_record_put(const struct bst_soft_object *object, struct bst_buf *ret)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    bst_soft_put(ret, BST_SOFT_PUT, 1);
    bst_soft_put(ret, attrs->type, 1);
    bst_soft_put(ret, attrs->uses, 4);
    bst_soft_put(ret, (uint32_t)attrs->suid, 4);
    bst_soft_put(ret, (uint64_t)attrs->expires_us, 8);
    bst_soft_put(ret, (uint64_t)attrs->level, 1);
    bst_soft_put(ret, object->generation, 8);
    bst_soft_put_text(ret, attrs->label);
    bst_soft_put_text(ret, attrs->owner);
    bst_soft_put(ret, object->blob.len, 2);
    bst_buf_addv(ret, object->blob);
}

void bst_soft_record_note(const struct bst_soft_record *record, struct bst_buf *ret)
{
    bst_soft_put(ret, record->kind, 1);
    bst_soft_put(ret, record->text.len, 2);
    bst_buf_addv(ret, record->text);
    if (record->kind != BST_SOFT_DELETE) {
        bst_soft_put(ret, record->number, 8);
    }
}

static bool take_numbers(struct bst_view *in, struct bst_key_attrs *attrs, uint64_t *generation)
{
    uint64_t type, uses, suid, expires, level;
    if (!bst_soft_take(in, 1, &type) || !bst_soft_take(in, 4, &uses) ||
        !bst_soft_take(in, 4, &suid) || !bst_soft_take(in, 8, &expires) ||
        !bst_soft_take(in, 1, &level) || !bst_soft_take(in, 8, generation) || type > BST_KEY_DATA ||
        level > 3) {
        return false;
    }
    *attrs = (struct bst_key_attrs){
        .type = (enum bst_key_type)type,
        .uses = (uint32_t)uses,
        .suid = (int)(int32_t)(uint32_t)suid,
        .expires_us = (int64_t)expires,
        .persistent = true,
        .level = (int)level,
    };
    return true;
}

static bst_result read_put(struct bst_view in, struct bst_soft_object **ret)
{
    struct bst_key_attrs attrs;
    struct bst_view label, owner, blob;
    uint64_t generation;
    char label_text[BST_KEY_LABEL_MAX + 1], owner_text[BST_KEY_OWNER_MAX + 1];
    BST_ENSURE(take_numbers(&in, &attrs, &generation) && bst_soft_take_view(&in, 2, &label) &&
                   bst_soft_take_view(&in, 2, &owner) && bst_soft_take_view(&in, 2, &blob) &&
                   in.len == 0 && label.len > 0 && blob.len >= BST_AEAD_OVERHEAD,
               BST_E_CORRUPT);
    BST_TRY(bst_view_copy(label, label_text, sizeof label_text));
    BST_TRY(bst_view_copy(owner, owner_text, sizeof owner_text));
    attrs.label = label_text;
    attrs.owner = owner_text;
    return bst_soft_object_new(&attrs, generation, blob, ret);
}

bst_result bst_soft_record_read(struct bst_view in, struct bst_soft_record *ret)
{
    uint64_t kind;
    BST_ENSURE(bst_soft_take(&in, 1, &kind) && kind >= BST_SOFT_PUT && kind <= BST_SOFT_STATE,
               BST_E_CORRUPT);
    *ret = (struct bst_soft_record){.kind = (enum bst_soft_record_kind)kind};
    if (kind == BST_SOFT_PUT) {
        return read_put(in, &ret->object);
    }
    bool named = kind == BST_SOFT_DELETE || kind == BST_SOFT_COUNTER;
    BST_ENSURE(bst_soft_take_view(&in, 2, &ret->text) && (ret->text.len > 0 || !named) &&
                   (kind == BST_SOFT_DELETE || bst_soft_take(&in, 8, &ret->number)) &&
                   in.len == 0 && (kind != BST_SOFT_STATE || ret->number <= BST_SE_BLOCKED),
               BST_E_CORRUPT);
    return BST_OK;
}
