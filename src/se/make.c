/* Keys come into being: imported, made inside, derived. */
#include "se/se_priv.h"

#define LEVEL_MAX 3

static const uint32_t symmetric_uses = BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | BST_KEY_USE_SEAL |
                                       BST_KEY_USE_PSK | BST_KEY_USE_WRAP | BST_KEY_USE_ROUTINE |
                                       BST_KEY_USE_KEK;

static uint32_t possible_uses(enum bst_key_type type)
{
    switch (type) {
    case BST_KEY_SYMMETRIC:
        return symmetric_uses;
    case BST_KEY_EC_P256:
        return BST_KEY_USE_SIGN | BST_KEY_USE_AGREE | BST_KEY_USE_WRAP;
    case BST_KEY_EC_P384:
    case BST_KEY_ED25519:
        return BST_KEY_USE_SIGN | BST_KEY_USE_WRAP;
    case BST_KEY_X25519:
        return BST_KEY_USE_AGREE | BST_KEY_USE_WRAP;
    case BST_KEY_DATA:
        return BST_KEY_USE_READ;
    }
    return 0;
}

/* A key that wraps and also seals could be made to open what it wrapped. */
static bst_result check_uses(const struct bst_key_attrs *attrs)
{
    if (attrs->uses & ~possible_uses(attrs->type)) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s': its type cannot be used so", attrs->label);
    }
    if ((attrs->uses & BST_KEY_USE_KEK) &&
        (attrs->uses & ~(uint32_t)(BST_KEY_USE_KEK | BST_KEY_USE_WRAP))) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s' is to wrap other keys, and may do nothing else then",
                 attrs->label);
    }
    return BST_OK;
}

int bst_se_level_of(const struct bst_se_backend *backend)
{
    return backend->level ? backend->level : backend->ops->level;
}

static int lower(int a, int b)
{
    return a < b ? a : b;
}

/* Attributes as they will be kept: owner of the view, no NULL text. */
static bst_result complete_attrs(const struct bst_se *se, const struct bst_key_attrs *in, int level,
                                 struct bst_key_attrs *ret)
{
    struct bst_key_attrs attrs = *in;
    attrs.label = in->label ? in->label : "";
    attrs.owner = in->owner && in->owner[0] ? in->owner : se->owner;
    attrs.level = lower(level, bst_se_level_of(se->core->backend));
    if (strlen(attrs.label) > BST_KEY_LABEL_MAX || strlen(attrs.owner) > BST_KEY_OWNER_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "label or owner of a key is too long (%d and %d bytes at most)",
                 BST_KEY_LABEL_MAX, BST_KEY_OWNER_MAX);
    }
    if (se->owner[0] && strcmp(attrs.owner, se->owner) != 0) {
        BST_FAIL(BST_E_DENIED, "'%s' may not make keys of '%s'", se->owner, attrs.owner);
    }
    BST_TRY(check_uses(&attrs));
    if (attrs.persistent && attrs.label[0] == '\0') {
        BST_FAIL(BST_E_USAGE, "a key without a label cannot be kept");
    }
    BST_ENSURE(!attrs.borrowed || (attrs.label[0] == '\0' && !attrs.persistent), BST_E_USAGE);
    *ret = attrs;
    return BST_OK;
}

static bst_result make_reserved(struct bst_se_core *core, const struct bst_se_making *making,
                                const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct bst_se_entry *entry = NULL;
    struct bst_se_object *object = NULL;
    BST_TRY(bst_se_entry_reserve(core, attrs, &entry));
    bst_result made = making->make(making->ctx, core->backend, attrs, &object);
    if (bst_failed(made)) {
        bst_se_entry_unreserve(core, attrs, entry);
        return made;
    }
    *ret = bst_se_entry_publish(core, entry, object);
    return BST_OK;
}

/* Counted before the filters are asked: two that make keys at once do not both get the last. */
static bst_result make_counted(struct bst_se *se, const struct bst_se_making *making,
                               const struct bst_key_attrs *attrs, struct bst_se_use *use,
                               bst_key *ret)
{
    BST_TRY(bst_se_owned_more(se->core, attrs, &use->event.owned));
    bst_result made = bst_se_ask(se, making->op, use);
    if (!bst_failed(made)) {
        made = bst_se_enter(se->core);
    }
    if (!bst_failed(made)) {
        made = bst_se_leave(se->core, make_reserved(se->core, making, attrs, ret));
    }
    if (bst_failed(made)) {
        bst_se_owned_less(se->core, attrs);
    }
    return made;
}

bst_result bst_se_make_key(struct bst_se *se, const struct bst_se_making *making,
                           const struct bst_key_attrs *in, bst_key *ret)
{
    struct bst_key_attrs attrs;
    BST_TRY(complete_attrs(se, in, making->level, &attrs));
    struct bst_se_use use = {
        .core = se->core,
        .event = {.op = bst_se_op_name(making->op),
                  .label = attrs.label,
                  .owner = attrs.owner,
                  .subject = se->owner,
                  .why = "",
                  .suid = attrs.suid,
                  .making = true},
    };
    return bst_se_use_end(&use, make_counted(se, making, &attrs, &use, ret));
}

/* ---- from a value, or from nothing ---- */

static bst_result create(void *ctx, struct bst_se_backend *backend,
                         const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    return backend->ops->create(backend, attrs, ctx, ret);
}

/* Where the life cycle is kept, private keys are brought in before it goes on (annex L). */
static bst_result check_import(const struct bst_se *se, const struct bst_key_attrs *attrs)
{
    if (bst_key_is_pair(attrs->type) && se->core->backend->ops->state &&
        atomic_load(&se->core->state) == BST_SE_OPERATIONAL) {
        BST_FAIL(BST_E_SE_USAGE,
                 "private keys are brought in during personalisation, which is over; make key "
                 "'%s' inside, or unwrap it",
                 attrs->label ? attrs->label : "");
    }
    return BST_OK;
}

bst_result bst_se_check_data(const struct bst_key_attrs *attrs, const struct bst_secret *value)
{
    if (value->len == 0 || value->len > BST_KEY_DATA_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "data '%s' has %zu bytes; 1 to %d are possible",
                 attrs->label ? attrs->label : "", value->len, BST_KEY_DATA_MAX);
    }
    return BST_OK;
}

bst_result bst_se_key_import(struct bst_se *se, const struct bst_key_attrs *attrs,
                             const struct bst_secret *value, bst_key *ret)
{
    BST_ENSURE(value && value->len > 0, BST_E_USAGE);
    BST_TRY(check_import(se, attrs));
    BST_TRY(attrs->type == BST_KEY_DATA ? bst_se_check_data(attrs, value) : BST_OK);
    struct bst_se_making making = {BST_SE_OP_IMPORT, LEVEL_MAX, create, (void *)(uintptr_t)value};
    return bst_se_make_key(se, &making, attrs, ret);
}

bst_result bst_se_key_generate(struct bst_se *se, const struct bst_key_attrs *attrs, bst_key *ret)
{
    BST_ENSURE(attrs->type != BST_KEY_DATA, BST_E_USAGE);
    struct bst_se_making making = {BST_SE_OP_GENERATE, LEVEL_MAX, create, NULL};
    return bst_se_make_key(se, &making, attrs, ret);
}

/* [TS-0003, 10.3.1] "the 32 least significant bytes" are the key, "the 16 most significant bytes"
 * its relative identifier; most significant is what comes first. */
bst_result bst_se_import_export(struct bst_se *se, const struct bst_key_attrs *attrs,
                                uint8_t export48[48], uint8_t ret_id[16], bst_key *ret)
{
    bst_auto(secret) value = {0};
    uint8_t id[16];
    memcpy(id, export48, sizeof id);
    bst_result copied = bst_secret_copy(&value, export48 + sizeof id, 32);
    bst_wipe(export48, 48);
    BST_TRY(copied);
    BST_TRY(bst_se_key_import(se, attrs, &value, ret));
    memcpy(ret_id, id, sizeof id);
    return BST_OK;
}

/* ---- from another key ---- */

struct deriving {
    struct bst_se_object *parent;
    const struct bst_se_derivation *derivation;
};

static bst_result derive_make(void *ctx, struct bst_se_backend *backend,
                              const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    const struct deriving *deriving = ctx;
    return backend->ops->derive(backend, deriving->parent, deriving->derivation, attrs, ret);
}

static bst_result derive(struct bst_se *se, bst_key parent,
                         const struct bst_se_derivation *derivation,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct bst_se_use use;
    BST_ENSURE(attrs->type == BST_KEY_SYMMETRIC, BST_E_USAGE);
    BST_TRY(bst_se_use_begin(se, parent, BST_SE_OP_DERIVE, NULL, &use));
    struct deriving deriving = {use.entry->object, derivation};
    struct bst_se_making making = {BST_SE_OP_DERIVED, use.entry->object->attrs.level, derive_make,
                                   &deriving};
    return bst_se_use_end(&use, bst_se_make_key(se, &making, attrs, ret));
}

bst_result bst_se_derive(struct bst_se *se, bst_key parent, const struct bst_view *parts, size_t n,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct bst_se_derivation derivation = {.parts = parts, .n = n};
    return derive(se, parent, &derivation, attrs, ret);
}

bst_result bst_se_hkdf(struct bst_se *se, bst_key parent, struct bst_view salt,
                       struct bst_view info, const struct bst_key_attrs *attrs, bst_key *ret)
{
    const struct bst_view parts[] = {salt, info};
    struct bst_se_derivation derivation = {.hkdf = true, .parts = parts, .n = 2};
    return derive(se, parent, &derivation, attrs, ret);
}

struct agreeing {
    struct bst_se_object *own;
    struct bst_view point, salt, info;
};

static bst_result agree_make(void *ctx, struct bst_se_backend *backend,
                             const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    const struct agreeing *a = ctx;
    bst_auto(secret) z = {0}, value = {0};
    BST_TRY(backend->ops->agree(backend, a->own, a->point, &z));
    BST_TRY(bst_secret_init(&value, BST_SHA256_BYTES));
    BST_TRY(bst_hkdf_sha256(a->salt, bst_view_of(z.ptr, z.len), a->info, value.ptr, value.len));
    return backend->ops->create(backend, attrs, &value, ret);
}

bst_result bst_se_agree_key(struct bst_se *se, bst_key key, struct bst_view point,
                            struct bst_view salt, struct bst_view info,
                            const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct bst_se_use use;
    BST_ENSURE(attrs->type == BST_KEY_SYMMETRIC, BST_E_USAGE);
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_AGREE, NULL, &use));
    if (!use.core->backend->ops->agree) {
        return bst_se_use_end(&use, bst_se_cannot(use.core, "ECDH with HKDF"));
    }
    struct agreeing agreeing = {use.entry->object, point, salt, info};
    struct bst_se_making making = {BST_SE_OP_DERIVED, use.entry->object->attrs.level, agree_make,
                                   &agreeing};
    return bst_se_use_end(&use, bst_se_make_key(se, &making, attrs, ret));
}
