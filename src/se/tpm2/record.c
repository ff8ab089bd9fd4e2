/* Objects in memory; head and records of the folder. */
#include "se/tpm2/tpm2_priv.h"

#define MAGIC "BSTTPM1\n"
#define TOMB "BSTTPM0\n"
#define MAGIC_BYTES 8

static struct bst_view keep(char **at, struct bst_view bytes)
{
    struct bst_view kept = {*at, bytes.len};
    if (bytes.len) {
        memcpy(*at, bytes.ptr, bytes.len);
    }
    *at += bytes.len;
    return kept;
}

bst_result tpm2_object_new(const struct bst_key_attrs *attrs, struct bst_view pub,
                           struct bst_view priv, struct bst_view extra, struct tpm2_object **ret)
{
    struct bst_view label = {attrs->label, strlen(attrs->label) + 1},
                    owner = {attrs->owner, strlen(attrs->owner) + 1};
    struct tpm2_object *object =
        bst_alloc(sizeof *object + label.len + owner.len + pub.len + priv.len + extra.len);
    BST_ENSURE(object, BST_E_NOMEM);
    char *at = (char *)(object + 1);
    object->base.attrs = *attrs;
    object->base.attrs.label = keep(&at, label).ptr;
    object->base.attrs.owner = keep(&at, owner).ptr;
    object->pub = keep(&at, pub);
    object->priv = keep(&at, priv);
    object->extra = keep(&at, extra);
    object->tr = ESYS_TR_NONE;
    *ret = object;
    return BST_OK;
}

/* ---- head ---- */

static void put_view(struct bst_buf *out, struct bst_view v)
{
    bst_soft_put(out, v.len, 2);
    bst_buf_addv(out, v);
}

bst_result tpm2_head_put(const struct tpm2_head *head, struct bst_buf *ret)
{
    bst_buf_add(ret, MAGIC, MAGIC_BYTES);
    bst_soft_put(ret, head->pcrs, 4);
    bst_soft_put(ret, head->parent, 4);
    put_view(ret, head->parent_name);
    put_view(ret, head->pub);
    put_view(ret, head->priv);
    return bst_buf_check(ret);
}

bst_result tpm2_head_read(struct bst_view in, struct tpm2_head *ret)
{
    uint64_t pcrs, parent;
    bool magic = bst_view_starts(in, bst_view_of(MAGIC, MAGIC_BYTES));
    in = bst_view_from(in, MAGIC_BYTES);
    BST_ENSURE(magic && bst_soft_take(&in, 4, &pcrs) && bst_soft_take(&in, 4, &parent) &&
                   bst_soft_take_view(&in, 2, &ret->parent_name) &&
                   bst_soft_take_view(&in, 2, &ret->pub) &&
                   bst_soft_take_view(&in, 2, &ret->priv) && in.len == 0 &&
                   ret->parent_name.len > 0 && ret->parent_name.len <= TPM2_NAME_MAX,
               BST_E_CORRUPT);
    ret->pcrs = (uint32_t)pcrs;
    ret->parent = (uint32_t)parent;
    return BST_OK;
}

/* In place of a head, while an empty folder is taken away: what else there is means nothing. */
void tpm2_tomb_put(uint64_t log_number, struct bst_buf *ret)
{
    bst_buf_add(ret, TOMB, MAGIC_BYTES);
    bst_soft_put(ret, log_number, 8);
}

bool tpm2_tomb_read(struct bst_view in, uint64_t *ret_log_number)
{
    bool tomb = bst_view_starts(in, bst_view_of(TOMB, MAGIC_BYTES));
    in = bst_view_from(in, MAGIC_BYTES);
    return tomb && bst_soft_take(&in, 8, ret_log_number) && in.len == 0;
}

/* ---- records: kind || generation || what the kind has ---- */

/* `replaced`: the label that it had before, mostly none. */
static void put_key(const struct tpm2_object *object, struct bst_view replaced, struct bst_buf *ret)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    put_view(ret, replaced);
    bst_soft_put(ret, attrs->type, 1);
    bst_soft_put(ret, attrs->uses, 4);
    bst_soft_put(ret, (uint32_t)attrs->suid, 4);
    bst_soft_put(ret, (uint64_t)attrs->expires_us, 8);
    bst_soft_put(ret, object->form, 1);
    bst_soft_put(ret, object->inside, 1);
    bst_soft_put_text(ret, attrs->label);
    bst_soft_put_text(ret, attrs->owner);
    put_view(ret, object->pub);
    put_view(ret, object->priv);
    put_view(ret, object->extra);
}

void tpm2_record_put(const struct tpm2_record *record, struct bst_buf *ret)
{
    bst_soft_put(ret, record->kind, 1);
    bst_soft_put(ret, record->generation, 8);
    switch (record->kind) {
    case TPM2_RECORD_KEY:
        put_key(record->object, record->name, ret);
        break;
    case TPM2_RECORD_COUNTER:
        bst_soft_put(ret, record->index, 4);
        bst_soft_put(ret, record->base, 8);
        put_view(ret, record->name);
        break;
    case TPM2_RECORD_STATE:
        bst_soft_put(ret, record->state, 1);
        put_view(ret, record->name);
        break;
    case TPM2_RECORD_COUNTER_GONE:
        bst_soft_put(ret, record->base, 8);
        put_view(ret, record->name);
        break;
    case TPM2_RECORD_DELETE:
        put_view(ret, record->name);
        break;
    case TPM2_RECORD_MARK:
        break;
    }
}

struct key_fields {
    uint64_t type, uses, suid, expires, form, inside;
    struct bst_view label, owner, pub, priv, extra;
};

static bool take_key(struct bst_view *in, struct key_fields *f)
{
    return bst_soft_take(in, 1, &f->type) && bst_soft_take(in, 4, &f->uses) &&
           bst_soft_take(in, 4, &f->suid) && bst_soft_take(in, 8, &f->expires) &&
           bst_soft_take(in, 1, &f->form) && bst_soft_take(in, 1, &f->inside) &&
           bst_soft_take_view(in, 2, &f->label) && bst_soft_take_view(in, 2, &f->owner) &&
           bst_soft_take_view(in, 2, &f->pub) && bst_soft_take_view(in, 2, &f->priv) &&
           bst_soft_take_view(in, 2, &f->extra) && in->len == 0 && f->type <= BST_KEY_DATA &&
           f->form >= TPM2_FORM_KEY && f->form <= TPM2_FORM_VALUE && f->label.len > 0;
}

static bst_result read_key(struct bst_view in, struct bst_view *ret_replaced,
                           struct tpm2_object **ret)
{
    struct key_fields f;
    char label[BST_KEY_LABEL_MAX + 1], owner[BST_KEY_OWNER_MAX + 1];
    BST_ENSURE(bst_soft_take_view(&in, 2, ret_replaced) && take_key(&in, &f), BST_E_CORRUPT);
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
        .level = 1,
    };
    BST_TRY(tpm2_object_new(&attrs, f.pub, f.priv, f.extra, ret));
    (*ret)->form = (enum tpm2_form)f.form;
    (*ret)->inside = f.inside != 0;
    return BST_OK;
}

static bool take_rest(struct bst_view in, struct tpm2_record *ret)
{
    uint64_t index = 0, state = 0;
    switch (ret->kind) {
    case TPM2_RECORD_COUNTER:
        if (!bst_soft_take(&in, 4, &index) || !bst_soft_take(&in, 8, &ret->base)) {
            return false;
        }
        break;
    case TPM2_RECORD_COUNTER_GONE:
        if (!bst_soft_take(&in, 8, &ret->base)) {
            return false;
        }
        break;
    case TPM2_RECORD_STATE:
        if (!bst_soft_take(&in, 1, &state) || state > BST_SE_BLOCKED) {
            return false;
        }
        break;
    default:
        break;
    }
    ret->index = (uint32_t)index;
    ret->state = (enum bst_se_state)state;
    return (ret->kind == TPM2_RECORD_MARK || bst_soft_take_view(&in, 2, &ret->name)) && in.len == 0;
}

bst_result tpm2_record_read(struct bst_view in, struct tpm2_record *ret)
{
    uint64_t kind;
    *ret = (struct tpm2_record){.kind = TPM2_RECORD_MARK};
    BST_ENSURE(bst_soft_take(&in, 1, &kind) && bst_soft_take(&in, 8, &ret->generation) &&
                   kind >= TPM2_RECORD_KEY && kind <= TPM2_RECORD_MARK,
               BST_E_CORRUPT);
    ret->kind = (enum tpm2_record_kind)kind;
    if (ret->kind == TPM2_RECORD_KEY) {
        return read_key(in, &ret->name, &ret->object);
    }
    BST_ENSURE(take_rest(in, ret), BST_E_CORRUPT);
    return BST_OK;
}
