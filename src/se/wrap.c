/* Keys that travel: RFC 5649 around the value, and its attributes bound to it.
 *
 * magic[8] || type(1) uses(4) suid(4) expires(8) level(1) owner(2 + n) || wrapped(2 + n) || tag
 *
 * The tag is RFC 5649 by the same key over SHA-256(label || all before), with zeros up to 256
 * octets. That takes nothing of a token but wrapping, and key wrap is authenticated. No key of that
 * wrapped length is wrapped: who may import and wrap a key of his choice gets no tag by it, and a
 * tag does not serve as a key. */
#include "se/se_priv.h"
#include "se/soft/soft_priv.h"

#define MAGIC "BSTKW1\r\n"
#define MAGIC_BYTES 8
#define TAG_LABEL "bastide wrapped key"
#define WRAPPED_MAX 4096
#define TAG_TEXT_BYTES 256
#define TAG_BYTES (TAG_TEXT_BYTES + 8) /* RFC 5649 */

/* ---- form ---- */

static void put_bytes(struct bst_buf *out, struct bst_view bytes)
{
    bst_soft_put(out, bytes.len, 2);
    bst_buf_addv(out, bytes);
}

static void put_head(const struct bst_key_attrs *attrs, struct bst_buf *out)
{
    bst_buf_add(out, MAGIC, MAGIC_BYTES);
    bst_soft_put(out, attrs->type, 1);
    bst_soft_put(out, attrs->uses, 4);
    bst_soft_put(out, (uint32_t)attrs->suid, 4);
    bst_soft_put(out, (uint64_t)attrs->expires_us, 8);
    bst_soft_put(out, (uint64_t)attrs->level, 1);
    put_bytes(out, bst_view(attrs->owner));
}

struct wrapped {
    struct bst_key_attrs attrs; /* without texts */
    struct bst_view owner, value, bound, tag;
};

static bool take_numbers(struct bst_view *in, struct bst_key_attrs *ret)
{
    uint64_t type, uses, suid, expires, level;
    if (!bst_soft_take(in, 1, &type) || !bst_soft_take(in, 4, &uses) ||
        !bst_soft_take(in, 4, &suid) || !bst_soft_take(in, 8, &expires) ||
        !bst_soft_take(in, 1, &level) || type > BST_KEY_X25519 || level > 3) {
        return false;
    }
    *ret = (struct bst_key_attrs){
        .type = (enum bst_key_type)type,
        .uses = (uint32_t)uses,
        .suid = (int)(int32_t)(uint32_t)suid,
        .expires_us = (int64_t)expires,
        .level = (int)level,
    };
    return true;
}

static bst_result parse(struct bst_view blob, struct wrapped *ret)
{
    struct bst_view in = bst_view_from(blob, MAGIC_BYTES);
    if (!bst_view_starts(blob, bst_view_of(MAGIC, MAGIC_BYTES))) {
        BST_FAIL(BST_E_VERSION, "this is no wrapped key of a form that is known here");
    }
    if (!take_numbers(&in, &ret->attrs) || !bst_soft_take_view(&in, 2, &ret->owner) ||
        ret->owner.len > BST_KEY_OWNER_MAX || !bst_soft_take_view(&in, 2, &ret->value) ||
        ret->value.len > WRAPPED_MAX || ret->value.len == TAG_BYTES || in.len != TAG_BYTES) {
        BST_FAIL(BST_E_TRUNCATED, "the wrapped key is cut off or damaged");
    }
    ret->tag = in;
    ret->bound = bst_view_of(blob.ptr, (size_t)(in.ptr - blob.ptr));
    return BST_OK;
}

static bst_result tag_text(struct bst_view bound, uint8_t out[TAG_TEXT_BYTES])
{
    const struct bst_view parts[] = {BST_VIEW(TAG_LABEL), bound};
    memset(out, 0, TAG_TEXT_BYTES);
    return bst_digest(BST_MD_SHA256, parts, 2, out);
}

/* ---- wrapping ---- */

/* The level of a key would not be true any more after it was wrapped under a weaker one. */
static bst_result check_levels(const struct bst_key_attrs *kek, const struct bst_key_attrs *attrs)
{
    if (kek->level < attrs->level) {
        BST_FAIL(BST_E_SE_USAGE,
                 "key '%s' has protection level %d, its wrapping key only %d; take one that was "
                 "made at the same level",
                 attrs->label, attrs->level, kek->level);
    }
    return BST_OK;
}

static bst_result wrap(struct bst_se_core *core, struct bst_se_object *kek,
                       struct bst_se_object *object, struct bst_buf *ret)
{
    struct bst_se_backend *backend = core->backend;
    bst_auto(buf) blob = {0}, value = {0};
    uint8_t text[TAG_TEXT_BYTES];
    BST_TRY(check_levels(&kek->attrs, &object->attrs));
    BST_TRY(backend->ops->wrap(backend, kek, object, (struct bst_view){0}, &value));
    if (value.len == TAG_BYTES) {
        BST_FAIL(BST_E_TOO_LONG, "keys of %d to %d octets cannot be wrapped", TAG_TEXT_BYTES - 7,
                 TAG_TEXT_BYTES);
    }
    put_head(&object->attrs, &blob);
    put_bytes(&blob, bst_buf_view(&value));
    BST_TRY(bst_buf_check(&blob));
    BST_TRY(tag_text(bst_buf_view(&blob), text));
    BST_TRY(backend->ops->wrap(backend, kek, NULL, bst_view_of(text, sizeof text), &blob));
    bst_buf_addv(ret, bst_buf_view(&blob));
    return bst_buf_check(ret);
}

static bst_result wrap_under(struct bst_se *se, bst_key wrapping, struct bst_se_object *object,
                             struct bst_buf *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, wrapping, BST_SE_OP_WRAP_UNDER, NULL, &use));
    return bst_se_use_end(&use, use.core->backend->ops->wrap
                                    ? wrap(use.core, use.entry->object, object, ret)
                                    : bst_se_cannot(use.core, "key wrap"));
}

bst_result bst_se_wrap(struct bst_se *se, bst_key wrapping, bst_key key, struct bst_buf *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_WRAP, NULL, &use));
    return bst_se_use_end(&use, wrap_under(se, wrapping, use.entry->object, ret));
}

/* ---- unwrapping ---- */

struct unwrapping {
    struct bst_se_object *kek;
    const struct wrapped *wrapped;
};

static bst_result unwrap_make(void *ctx, struct bst_se_backend *backend,
                              const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    const struct unwrapping *u = ctx;
    return backend->ops->unwrap(backend, u->kek, u->wrapped->value, attrs, ret);
}

static bst_result check_tag(struct bst_se_backend *backend, struct bst_se_object *kek,
                            const struct wrapped *wrapped)
{
    bst_auto(buf) bound = {0};
    uint8_t text[TAG_TEXT_BYTES];
    BST_TRY(tag_text(wrapped->bound, text));
    bst_result opened = backend->ops->unwrap_text(backend, kek, wrapped->tag, &bound);
    if (opened.code == BST_E_BAD_MAC ||
        (!bst_failed(opened) &&
         (bound.len != sizeof text || !bst_equal_ct(bound.ptr, text, sizeof text)))) {
        BST_FAIL(BST_E_BAD_MAC, "the wrapped key was changed, or wrapped under another key");
    }
    return opened;
}

/* What the caller adds: a name, and that it is kept. Uses only become fewer. */
static bst_result unwrap(struct bst_se *se, struct bst_se_object *kek, struct bst_view blob,
                         const struct bst_key_attrs *in, bst_key *ret)
{
    struct wrapped wrapped;
    char owner[BST_KEY_OWNER_MAX + 1];
    BST_TRY(parse(blob, &wrapped));
    BST_TRY(check_tag(se->core->backend, kek, &wrapped));
    BST_TRY(bst_view_copy(wrapped.owner, owner, sizeof owner));
    if (se->owner[0] && strcmp(owner, se->owner) != 0) {
        BST_FAIL(BST_E_DENIED, "the wrapped key is not one of '%s'", se->owner);
    }
    struct bst_key_attrs attrs = wrapped.attrs;
    attrs.owner = owner;
    attrs.label = in->label;
    attrs.persistent = in->persistent;
    attrs.uses = in->uses ? in->uses & attrs.uses : attrs.uses;
    int level = attrs.level < kek->attrs.level ? attrs.level : kek->attrs.level;
    struct unwrapping unwrapping = {kek, &wrapped};
    struct bst_se_making making = {BST_SE_OP_UNWRAPPED, level, unwrap_make, &unwrapping};
    return bst_se_make_key(se, &making, &attrs, ret);
}

bst_result bst_se_unwrap(struct bst_se *se, bst_key wrapping, struct bst_view blob,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, wrapping, BST_SE_OP_UNWRAP_UNDER, NULL, &use));
    const struct bst_se_backend_ops *ops = use.core->backend->ops;
    return bst_se_use_end(&use, ops->unwrap && ops->unwrap_text
                                    ? unwrap(se, use.entry->object, blob, attrs, ret)
                                    : bst_se_cannot(use.core, "key wrap"));
}
