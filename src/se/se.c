/* Front of the secure environment: handles, labels, owners, usage, expiry and filters.
 *
 * The order for every use of a key: does it exist for this owner, may it be used so, is it still
 * valid, do the filters agree, then the backend. Filters hear of refusals too. */
#include "se/se.h"

#include "base/map.h"
#include "se/backend.h"
#include "se/se_priv.h"

#include <pthread.h>
#include <stdatomic.h>

#define FILTERS_MAX 8
#define BACKENDS_MAX 8
#define SLOTS_MAX (UINT32_C(1) << 30)

/* A key: made with one reference by the slot table, plus one for each call under way. */
struct entry {
    atomic_uint refs;
    struct bst_se_object *object; /* NULL: label reserved, the backend is still at work */
    bool deleting;
    uint32_t slot;
};

struct slot {
    struct entry *entry;
    uint32_t generation; /* counts the keys that this slot has held: a stale handle differs */
    uint32_t next_free;
};

struct core {
    atomic_uint refs;
    struct bst_se_host host;
    struct bst_se_backend *backend;
    pthread_rwlock_t lock; /* guards what follows; never held over backend work */
    struct slot *slots;
    uint32_t slots_used, slots_cap, first_free; /* free list by index + 1 */
    size_t count;
    struct bst_map labels;                     /* label -> entry */
    struct bst_se_filter filters[FILTERS_MAX]; /* filled before threads start */
    size_t n_filters;
};

struct bst_se {
    struct core *core;
    char owner[BST_KEY_OWNER_MAX + 1]; /* "": every owner */
};

/* ---- backends ---- */

static const struct bst_se_backend_ops *backends[BACKENDS_MAX] = {&bst_se_soft, &bst_se_pkcs11};

bst_result bst_se_backend_register(const struct bst_se_backend_ops *ops)
{
    for (size_t i = 0; i < BACKENDS_MAX; i++) {
        if (!backends[i] || backends[i] == ops) {
            backends[i] = ops;
            return BST_OK;
        }
    }
    return bst_error(BST_E_LIMIT);
}

static bst_result find_backend(struct bst_view scheme, const struct bst_se_backend_ops **ret)
{
    for (size_t i = 0; i < BACKENDS_MAX && backends[i]; i++) {
        if (bst_view_is(scheme, backends[i]->scheme)) {
            *ret = backends[i];
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_CONFIG, "no secure environment of kind '%.*s'; there is se:soft and pkcs11:",
             BST_VIEW_ARGS(scheme));
}

/* ---- entries and handles ---- */

static void entry_drop(struct core *core, struct entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) {
        if (entry->object) {
            core->backend->ops->drop(core->backend, entry->object);
        }
        bst_free(entry);
    }
}

static bst_key handle_of(const struct core *core, uint32_t index)
{
    return (uint64_t)core->slots[index].generation << 32 | (index + 1);
}

/* Lock held for writing. The slot is empty until its entry is put there. */
static bst_result slot_take(struct core *core, uint32_t *ret)
{
    if (core->first_free) {
        *ret = core->first_free - 1;
        core->first_free = core->slots[*ret].next_free;
        return BST_OK;
    }
    if (core->slots_used == core->slots_cap) {
        uint32_t cap = core->slots_cap ? core->slots_cap * 2 : 64;
        BST_ENSURE(cap <= SLOTS_MAX, BST_E_LIMIT);
        struct slot *slots = bst_realloc(core->slots, cap * sizeof *slots);
        BST_ENSURE(slots, BST_E_NOMEM);
        core->slots = slots;
        core->slots_cap = cap;
    }
    *ret = core->slots_used++;
    core->slots[*ret] = (struct slot){.generation = 1};
    return BST_OK;
}

static void slot_give(struct core *core, uint32_t index)
{
    struct slot *slot = &core->slots[index];
    slot->entry = NULL;
    slot->generation++;
    slot->next_free = core->first_free;
    core->first_free = index + 1;
}

static bool owner_sees(const struct bst_se *se, const struct bst_key_attrs *attrs)
{
    return se->owner[0] == '\0' || strcmp(se->owner, attrs->owner) == 0;
}

/* Lock held. */
static struct entry *entry_at(const struct core *core, bst_key key)
{
    uint64_t index = (key & UINT32_MAX) - 1;
    if (key == 0 || index >= core->slots_used) {
        return NULL;
    }
    const struct slot *slot = &core->slots[index];
    return slot->generation == key >> 32 ? slot->entry : NULL;
}

/* The entry with a reference. To another owner a key looks absent. */
static bst_result entry_get(struct bst_se *se, bst_key key, struct entry **ret)
{
    struct core *core = se->core;
    pthread_rwlock_rdlock(&core->lock);
    struct entry *entry = entry_at(core, key);
    bool usable =
        entry && entry->object && !entry->deleting && owner_sees(se, &entry->object->attrs);
    if (usable) {
        atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&core->lock);
    if (!usable) {
        BST_FAIL(BST_E_NOT_FOUND, "the key is gone");
    }
    *ret = entry;
    return BST_OK;
}

/* ---- one use of a key ---- */

struct use {
    struct core *core;
    struct entry *entry;
    struct bst_se_event event;
};

static bst_result ask_filters(const struct core *core, const struct bst_se_event *event)
{
    for (size_t i = core->n_filters; i-- > 0;) {
        if (core->filters[i].before) {
            BST_TRY(core->filters[i].before(core->filters[i].ctx, event));
        }
    }
    return BST_OK;
}

/* The sentence of a failure outlives the filters, which may write their own. */
static void tell_filters(const struct core *core, const struct bst_se_event *event,
                         bst_result outcome)
{
    if (core->n_filters == 0) {
        return;
    }
    char detail[512];
    size_t len = strlen(bst_error_detail());
    memcpy(detail, bst_error_detail(), len < sizeof detail ? len + 1 : sizeof detail);
    detail[sizeof detail - 1] = '\0';
    for (size_t i = core->n_filters; i-- > 0;) {
        if (core->filters[i].after) {
            core->filters[i].after(core->filters[i].ctx, event, outcome);
        }
    }
    bst_error_set_detail(detail);
}

static const char *use_name(uint32_t use)
{
    static const struct {
        uint32_t use;
        const char *name;
    } names[] = {
        {BST_KEY_USE_MAC, "MAC"},
        {BST_KEY_USE_DERIVE, "derivation"},
        {BST_KEY_USE_SIGN, "signing"},
        {BST_KEY_USE_SEAL, "sealing"},
        {BST_KEY_USE_PSK, "release to a handshake"},
        {BST_KEY_USE_AGREE, "key agreement"},
        {BST_KEY_USE_WRAP, "wrapping"},
        {BST_KEY_USE_ROUTINE, "an algorithm inside"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].use == use) {
            return names[i].name;
        }
    }
    return "this";
}

static bst_result check_use(const struct use *use, uint32_t needed)
{
    const struct bst_key_attrs *attrs = &use->entry->object->attrs;
    if ((attrs->uses & needed) != needed) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s' may not be used for %s", attrs->label, use_name(needed));
    }
    if (needed && attrs->expires_us &&
        use->core->host.wall_us(use->core->host.ctx) >= attrs->expires_us) {
        BST_FAIL(BST_E_EXPIRED, "key '%s' has expired", attrs->label);
    }
    return ask_filters(use->core, &use->event);
}

/* End of a use: filters hear the outcome, the reference goes. */
static bst_result use_end(struct use *use, bst_result outcome)
{
    tell_filters(use->core, &use->event, outcome);
    entry_drop(use->core, use->entry);
    return outcome;
}

/* On failure the use has ended. */
static bst_result use_begin(struct bst_se *se, bst_key key, uint32_t needed, const char *op,
                            struct use *ret)
{
    struct use use = {.core = se->core,
                      .event = {.op = op, .why = ret->event.why ? ret->event.why : ""}};
    BST_TRY(entry_get(se, key, &use.entry));
    const struct bst_key_attrs *attrs = &use.entry->object->attrs;
    use.event.label = attrs->label;
    use.event.owner = attrs->owner;
    use.event.suid = attrs->suid;
    use.event.released = needed == BST_KEY_USE_PSK;
    bst_result allowed = check_use(&use, needed);
    if (bst_failed(allowed)) {
        return use_end(&use, allowed);
    }
    *ret = use;
    return BST_OK;
}

#define BACKEND(use, op) (use).core->backend->ops->op((use).core->backend, (use).entry->object

/* ---- making keys ---- */

static const uint32_t symmetric_uses = BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | BST_KEY_USE_SEAL |
                                       BST_KEY_USE_PSK | BST_KEY_USE_WRAP | BST_KEY_USE_ROUTINE;

static uint32_t possible_uses(enum bst_key_type type)
{
    switch (type) {
    case BST_KEY_SYMMETRIC:
        return symmetric_uses;
    case BST_KEY_EC_P256:
        return BST_KEY_USE_SIGN | BST_KEY_USE_AGREE;
    case BST_KEY_EC_P384:
    case BST_KEY_ED25519:
        return BST_KEY_USE_SIGN;
    case BST_KEY_X25519:
        return BST_KEY_USE_AGREE;
    }
    return 0;
}

static int level_of(const struct bst_se_backend *backend)
{
    return backend->level ? backend->level : backend->ops->level;
}

/* Attributes as they will be kept: owner of the view, no NULL text. */
static bst_result complete_attrs(const struct bst_se *se, const struct bst_key_attrs *in,
                                 struct bst_key_attrs *ret)
{
    struct bst_key_attrs attrs = *in;
    attrs.label = in->label ? in->label : "";
    attrs.owner = in->owner && in->owner[0] ? in->owner : se->owner;
    attrs.level = level_of(se->core->backend);
    if (strlen(attrs.label) > BST_KEY_LABEL_MAX || strlen(attrs.owner) > BST_KEY_OWNER_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "label or owner of a key is too long (%d and %d bytes at most)",
                 BST_KEY_LABEL_MAX, BST_KEY_OWNER_MAX);
    }
    if (se->owner[0] && strcmp(attrs.owner, se->owner) != 0) {
        BST_FAIL(BST_E_DENIED, "'%s' may not make keys of '%s'", se->owner, attrs.owner);
    }
    if (attrs.uses & ~possible_uses(attrs.type)) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s': its type cannot be used so", attrs.label);
    }
    if (attrs.persistent && attrs.label[0] == '\0') {
        BST_FAIL(BST_E_USAGE, "a key without a label cannot be kept");
    }
    *ret = attrs;
    return BST_OK;
}

static bst_result reserve_label(struct core *core, const char *label, struct entry *entry)
{
    if (label[0] == '\0') {
        return BST_OK;
    }
    if (bst_map_get(&core->labels, bst_view(label))) {
        BST_FAIL(BST_E_EXISTS, "there is a key '%s' already", label);
    }
    return bst_map_set(&core->labels, bst_view(label), entry, NULL);
}

static bst_result reserve_locked(struct core *core, const char *label, struct entry *entry)
{
    BST_TRY(slot_take(core, &entry->slot));
    bst_result reserved = reserve_label(core, label, entry);
    if (bst_failed(reserved)) {
        slot_give(core, entry->slot);
    }
    return reserved;
}

/* Everything that can fail in memory happens before the backend makes anything durable. */
static bst_result entry_reserve(struct core *core, const char *label, struct entry **ret)
{
    struct entry *entry = bst_alloc(sizeof *entry);
    BST_ENSURE(entry, BST_E_NOMEM);
    atomic_init(&entry->refs, 1);
    pthread_rwlock_wrlock(&core->lock);
    bst_result reserved = reserve_locked(core, label, entry);
    pthread_rwlock_unlock(&core->lock);
    if (bst_failed(reserved)) {
        bst_free(entry);
        return reserved;
    }
    *ret = entry;
    return BST_OK;
}

static bst_key entry_publish(struct core *core, struct entry *entry, struct bst_se_object *object)
{
    pthread_rwlock_wrlock(&core->lock);
    entry->object = object;
    core->slots[entry->slot].entry = entry;
    core->count++;
    bst_key key = handle_of(core, entry->slot);
    pthread_rwlock_unlock(&core->lock);
    return key;
}

static void entry_unreserve(struct core *core, const char *label, struct entry *entry)
{
    pthread_rwlock_wrlock(&core->lock);
    if (label[0]) {
        bst_map_remove(&core->labels, bst_view(label));
    }
    slot_give(core, entry->slot);
    pthread_rwlock_unlock(&core->lock);
    bst_free(entry);
}

/* A new key: from a value, from a derivation, or made by the backend when both are NULL. */
struct making {
    const char *op;
    const struct bst_secret *value;
    const struct bst_se_derivation *derivation;
    struct bst_se_object *parent;
};

static bst_result backend_make(struct core *core, const struct making *making,
                               const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    const struct bst_se_backend_ops *ops = core->backend->ops;
    return making->derivation
               ? ops->derive(core->backend, making->parent, making->derivation, attrs, ret)
               : ops->create(core->backend, attrs, making->value, ret);
}

static bst_result make_reserved(struct core *core, const struct making *making,
                                const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct entry *entry = NULL;
    struct bst_se_object *object = NULL;
    BST_TRY(entry_reserve(core, attrs->label, &entry));
    bst_result made = backend_make(core, making, attrs, &object);
    if (bst_failed(made)) {
        entry_unreserve(core, attrs->label, entry);
        return made;
    }
    *ret = entry_publish(core, entry, object);
    return BST_OK;
}

static bst_result make_key(struct bst_se *se, const struct making *making,
                           const struct bst_key_attrs *in, bst_key *ret)
{
    struct bst_key_attrs attrs;
    BST_TRY(complete_attrs(se, in, &attrs));
    if (making->parent && making->parent->attrs.level < attrs.level) {
        attrs.level = making->parent->attrs.level;
    }
    struct bst_se_event event = {
        .op = making->op,
        .label = attrs.label,
        .owner = attrs.owner,
        .why = "",
        .suid = attrs.suid,
    };
    bst_result made = ask_filters(se->core, &event);
    if (!bst_failed(made)) {
        made = make_reserved(se->core, making, &attrs, ret);
    }
    tell_filters(se->core, &event, made);
    return made;
}

bst_result bst_se_key_import(struct bst_se *se, const struct bst_key_attrs *attrs,
                             const struct bst_secret *value, bst_key *ret)
{
    struct making making = {.op = "import", .value = value};
    BST_ENSURE(value && value->len > 0, BST_E_USAGE);
    return make_key(se, &making, attrs, ret);
}

bst_result bst_se_key_generate(struct bst_se *se, const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct making making = {.op = "generate"};
    return make_key(se, &making, attrs, ret);
}

static bst_result derive(struct bst_se *se, bst_key parent,
                         const struct bst_se_derivation *derivation,
                         const struct bst_key_attrs *attrs, bst_key *ret)
{
    struct use use = {0};
    BST_ENSURE(attrs->type == BST_KEY_SYMMETRIC, BST_E_USAGE);
    BST_TRY(use_begin(se, parent, BST_KEY_USE_DERIVE, "derive", &use));
    struct making making = {
        .op = "derived",
        .derivation = derivation,
        .parent = use.entry->object,
    };
    return use_end(&use, make_key(se, &making, attrs, ret));
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

/* ---- finding and removing ---- */

bst_result bst_se_key_find(struct bst_se *se, const char *label, bst_key *ret)
{
    struct core *core = se->core;
    *ret = 0;
    pthread_rwlock_rdlock(&core->lock);
    struct entry *entry = label && label[0] ? bst_map_get(&core->labels, bst_view(label)) : NULL;
    if (entry && entry->object && !entry->deleting && owner_sees(se, &entry->object->attrs)) {
        *ret = handle_of(core, entry->slot);
    }
    pthread_rwlock_unlock(&core->lock);
    return BST_OK;
}

bst_result bst_se_key_info(struct bst_se *se, bst_key key, struct bst_key_info *ret)
{
    struct entry *entry = NULL;
    BST_TRY(entry_get(se, key, &entry));
    ret->attrs = entry->object->attrs;
    memcpy(ret->label, ret->attrs.label, strlen(ret->attrs.label) + 1);
    memcpy(ret->owner, ret->attrs.owner, strlen(ret->attrs.owner) + 1);
    ret->attrs.label = ret->label;
    ret->attrs.owner = ret->owner;
    entry_drop(se->core, entry);
    return BST_OK;
}

/* Only one caller gets to remove a key. */
static bst_result claim_removal(struct core *core, struct entry *entry)
{
    pthread_rwlock_wrlock(&core->lock);
    bool first = !entry->deleting;
    entry->deleting = true;
    pthread_rwlock_unlock(&core->lock);
    if (!first) {
        BST_FAIL(BST_E_NOT_FOUND, "the key is gone");
    }
    return BST_OK;
}

static bst_result remove_claimed(struct core *core, struct entry *entry)
{
    const struct bst_key_attrs *attrs = &entry->object->attrs;
    bst_result removed =
        attrs->persistent ? core->backend->ops->remove(core->backend, entry->object) : BST_OK;
    pthread_rwlock_wrlock(&core->lock);
    if (bst_failed(removed)) {
        entry->deleting = false; /* still there, and still usable */
        pthread_rwlock_unlock(&core->lock);
        return removed;
    }
    if (attrs->label[0]) {
        bst_map_remove(&core->labels, bst_view(attrs->label));
    }
    slot_give(core, entry->slot);
    core->count--;
    pthread_rwlock_unlock(&core->lock);
    entry_drop(core, entry); /* the slot's reference */
    return BST_OK;
}

bst_result bst_se_key_delete(struct bst_se *se, bst_key key)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, 0, "delete", &use));
    bst_result removed = claim_removal(use.core, use.entry);
    if (!bst_failed(removed)) {
        removed = remove_claimed(use.core, use.entry);
    }
    return use_end(&use, removed);
}

bst_result bst_se_key_list(struct bst_se *se,
                           bool (*each)(void *ctx, bst_key key, const struct bst_key_attrs *attrs),
                           void *ctx)
{
    struct core *core = se->core;
    pthread_rwlock_rdlock(&core->lock);
    for (uint32_t i = 0; i < core->slots_used; i++) {
        const struct entry *entry = core->slots[i].entry;
        if (!entry || entry->deleting || entry->object->attrs.label[0] == '\0' ||
            !owner_sees(se, &entry->object->attrs)) {
            continue;
        }
        if (!each(ctx, handle_of(core, i), &entry->object->attrs)) {
            break;
        }
    }
    pthread_rwlock_unlock(&core->lock);
    return BST_OK;
}

size_t bst_se_key_count(struct bst_se *se)
{
    pthread_rwlock_rdlock(&se->core->lock);
    size_t count = se->core->count;
    pthread_rwlock_unlock(&se->core->lock);
    return count;
}

/* ---- using ---- */

bst_result bst_se_key_public(struct bst_se *se, bst_key key, struct bst_buf *ret_spki_der)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, 0, "public", &use));
    if (use.entry->object->attrs.type == BST_KEY_SYMMETRIC) {
        return use_end(&use,
                       bst_error_detailed(BST_E_BAD_KEY, "a symmetric key has no public half"));
    }
    return use_end(&use, BACKEND(use, public_key), ret_spki_der));
}

bst_result bst_se_sign_raw(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view tbs,
                           uint8_t *out, size_t *ret_len)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_SIGN, "sign", &use));
    return use_end(&use, BACKEND(use, sign), md, tbs, out, ret_len));
}

bst_result bst_se_sign(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view message,
                       struct bst_buf *ret_signature)
{
    uint8_t digest[BST_MD_MAX_BYTES], signature[112];
    size_t len = 0;
    struct bst_view tbs = message;
    if (md != BST_MD_NONE) {
        BST_TRY(bst_digest(md, &message, 1, digest));
        tbs = bst_view_of(digest, bst_md_bytes(md));
    }
    BST_TRY(bst_se_sign_raw(se, key, md, tbs, signature, &len));
    bst_buf_add(ret_signature, signature, len);
    return bst_buf_check(ret_signature);
}

bst_result bst_se_mac(struct bst_se *se, bst_key key, const struct bst_view *parts, size_t n,
                      uint8_t out[BST_SHA256_BYTES])
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_MAC, "mac", &use));
    return use_end(&use, BACKEND(use, mac), parts, n, out));
}

bst_result bst_se_seal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view in,
                       struct bst_buf *ret)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_SEAL, "seal", &use));
    return use_end(&use, BACKEND(use, seal), aad, in, ret));
}

bst_result bst_se_unseal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view blob,
                         struct bst_buf *ret)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_SEAL, "unseal", &use));
    return use_end(&use, BACKEND(use, unseal), aad, blob, ret));
}

bst_result bst_se_ecies_open(struct bst_se *se, bst_key key, struct bst_view info,
                             struct bst_view blob, struct bst_secret *ret)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_AGREE, "ecies_open", &use));
    return use_end(&use, BACKEND(use, ecies_open), info, blob, ret));
}

bst_result bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point, struct bst_view info,
                        size_t len, struct bst_secret *ret)
{
    struct use use = {0};
    BST_TRY(use_begin(se, key, BST_KEY_USE_AGREE, "agree", &use));
    return use_end(&use, use.core->backend->ops->agree ? BACKEND(use, agree), point, info, len, ret)
                   : bst_error(BST_E_NOT_IMPLEMENTED));
}

bst_result bst_se_run(struct bst_se *se, bst_key key, const struct bst_se_routine *routine,
                      void *io)
{
    struct use use = {.event = {.why = routine->name}};
    BST_TRY(use_begin(se, key, BST_KEY_USE_ROUTINE, "run", &use));
    return use_end(&use, use.core->backend->ops->run ? BACKEND(use, run), routine, io)
                   : bst_error(BST_E_NOT_IMPLEMENTED));
}

bst_result bst_se_release_psk(struct bst_se *se, bst_key key, const char *why,
                              struct bst_secret *ret)
{
    struct use use = {.event = {.why = why}};
    BST_TRY(use_begin(se, key, BST_KEY_USE_PSK, "release_psk", &use));
    return use_end(&use, BACKEND(use, release), ret));
}

/* ---- opening and closing ---- */

static void core_drop(struct core *core)
{
    if (atomic_fetch_sub_explicit(&core->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < core->slots_used; i++) {
        if (core->slots[i].entry) {
            entry_drop(core, core->slots[i].entry);
        }
    }
    if (core->backend) {
        core->backend->ops->close(core->backend);
    }
    bst_free(core->slots);
    bst_map_clear(&core->labels);
    pthread_rwlock_destroy(&core->lock);
    bst_free(core);
}

/* While opening, objects arrive before the backend itself does. */
struct opening {
    struct core *core;
    const struct bst_se_backend_ops *ops;
};

static bst_result found(void *ctx, struct bst_se_object *take)
{
    struct opening *opening = ctx;
    struct entry *entry = NULL;
    bst_result reserved = entry_reserve(opening->core, take->attrs.label, &entry);
    if (bst_failed(reserved)) {
        opening->ops->drop(NULL, take);
        return reserved;
    }
    entry_publish(opening->core, entry, take);
    return BST_OK;
}

/* A backend that fails to open leaves the objects that it had found. */
static void drop_found(struct core *core, const struct bst_se_backend_ops *ops)
{
    for (uint32_t i = 0; i < core->slots_used; i++) {
        if (core->slots[i].entry) {
            ops->drop(NULL, core->slots[i].entry->object);
            bst_free(bst_steal(&core->slots[i].entry));
        }
    }
}

static bst_result core_open(const struct bst_se_host *host, const struct bst_se_backend_ops *ops,
                            struct bst_view query, struct core **ret)
{
    struct core *core = bst_alloc(sizeof *core);
    BST_ENSURE(core, BST_E_NOMEM);
    atomic_init(&core->refs, 1);
    core->host = *host;
    pthread_rwlock_init(&core->lock, NULL);
    struct opening opening = {core, ops};
    bst_result opened = ops->open(&core->host, query, found, &opening, &core->backend);
    if (bst_failed(opened)) {
        drop_found(core, ops);
        core_drop(core);
        return opened;
    }
    *ret = core;
    return BST_OK;
}

/* "se:KIND?QUERY", or "pkcs11:..." as RFC 7512 has it. */
static bst_result read_uri(const char *uri, const struct bst_se_backend_ops **ret,
                           struct bst_view *ret_query)
{
    struct bst_view rest = bst_view(uri), kind;
    if (bst_view_starts(rest, BST_VIEW("pkcs11:"))) {
        bst_view_cut(&rest, ':', &kind);
        *ret_query = rest;
        return find_backend(kind, ret);
    }
    if (!bst_view_starts(rest, BST_VIEW("se:"))) {
        BST_FAIL(BST_E_CONFIG,
                 "'%s' is no secure environment; examples are se:soft?dir=keys and "
                 "pkcs11:token=NAME?pin-source=file:PATH",
                 uri);
    }
    rest = bst_view_from(rest, 3);
    bst_view_cut(&rest, '?', &kind);
    *ret_query = rest;
    return find_backend(kind, ret);
}

bst_result bst_se_open(const struct bst_se_host *host, const char *uri, struct bst_se **ret)
{
    const struct bst_se_backend_ops *ops = NULL;
    struct bst_view query = {0};
    BST_TRY(read_uri(uri, &ops, &query));
    struct bst_se *se = bst_alloc(sizeof *se);
    BST_ENSURE(se, BST_E_NOMEM);
    bst_result opened = core_open(host, ops, query, &se->core);
    if (bst_failed(opened)) {
        bst_free(se);
        return opened;
    }
    *ret = se;
    return BST_OK;
}

void bst_se_close(struct bst_se **slot)
{
    struct bst_se *se = *slot;
    *slot = NULL;
    if (se) {
        core_drop(se->core);
        bst_free(se);
    }
}

bst_result bst_se_hold(struct bst_se *se, struct bst_se **ret)
{
    struct bst_se *view = bst_alloc(sizeof *view);
    BST_ENSURE(view, BST_E_NOMEM);
    *view = *se;
    atomic_fetch_add_explicit(&se->core->refs, 1, memory_order_relaxed);
    *ret = view;
    return BST_OK;
}

bst_result bst_se_for_owner(struct bst_se *se, const char *owner, struct bst_se **ret)
{
    size_t len = owner ? strlen(owner) : 0;
    BST_ENSURE(len > 0 && len <= BST_KEY_OWNER_MAX, BST_E_USAGE);
    if (se->owner[0] && strcmp(se->owner, owner) != 0) {
        BST_FAIL(BST_E_DENIED, "'%s' may not act for '%s'", se->owner, owner);
    }
    BST_TRY(bst_se_hold(se, ret));
    memcpy((*ret)->owner, owner, len + 1);
    return BST_OK;
}

bst_result bst_se_filter_add(struct bst_se *se, const struct bst_se_filter *filter)
{
    struct core *core = se->core;
    BST_ENSURE(core->n_filters < FILTERS_MAX, BST_E_LIMIT);
    core->filters[core->n_filters++] = *filter;
    return BST_OK;
}

void bst_se_about(struct bst_se *se, struct bst_se_about *ret)
{
    const struct bst_se_backend *backend = se->core->backend;
    *ret = (struct bst_se_about){.level = level_of(backend)};
    memcpy(ret->kind, backend->ops->scheme, strlen(backend->ops->scheme) + 1);
    if (backend->ops->about) {
        backend->ops->about(se->core->backend, ret);
    } else {
        memcpy(ret->evidence, "software on this machine", sizeof "software on this machine");
    }
}
