/* Slots and handles, labels, and how many keys each owner has. */
#include "se/se_priv.h"

#define SLOTS_MAX (UINT32_C(1) << 30)

void bst_se_entry_drop(struct bst_se_core *core, struct bst_se_entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) {
        if (entry->object) {
            core->backend->ops->drop(core->backend, entry->object);
        }
        bst_buf_clear(&entry->public_half);
        bst_free(entry);
    }
}

bst_key bst_se_handle_of(const struct bst_se_core *core, uint32_t index)
{
    return (uint64_t)core->slots[index].generation << 32 | (index + 1);
}

/* Lock held for writing. The slot is empty until its entry is put there. */
static bst_result slot_take(struct bst_se_core *core, uint32_t *ret)
{
    if (core->first_free) {
        *ret = core->first_free - 1;
        core->first_free = core->slots[*ret].next_free;
        return BST_OK;
    }
    if (core->slots_used == core->slots_cap) {
        uint32_t cap = core->slots_cap ? core->slots_cap * 2 : 64;
        BST_ENSURE(cap <= SLOTS_MAX, BST_E_LIMIT);
        struct bst_se_slot *slots = bst_realloc(core->slots, cap * sizeof *slots);
        BST_ENSURE(slots, BST_E_NOMEM);
        core->slots = slots;
        core->slots_cap = cap;
    }
    *ret = core->slots_used++;
    core->slots[*ret] = (struct bst_se_slot){.generation = 1};
    return BST_OK;
}

static void slot_give(struct bst_se_core *core, uint32_t index)
{
    struct bst_se_slot *slot = &core->slots[index];
    slot->entry = NULL;
    slot->generation++;
    slot->next_free = core->first_free;
    core->first_free = index + 1;
}

bool bst_se_owner_sees(const struct bst_se *se, const struct bst_key_attrs *attrs)
{
    return se->owner[0] == '\0' || strcmp(se->owner, attrs->owner) == 0;
}

/* Lock held. */
static struct bst_se_entry *entry_at(const struct bst_se_core *core, bst_key key)
{
    uint64_t index = (key & UINT32_MAX) - 1;
    if (key == 0 || index >= core->slots_used) {
        return NULL;
    }
    const struct bst_se_slot *slot = &core->slots[index];
    return slot->generation == key >> 32 ? slot->entry : NULL;
}

/* The entry with a reference. To another owner a key looks absent. */
bst_result bst_se_entry_get(struct bst_se *se, bst_key key, struct bst_se_entry **ret)
{
    struct bst_se_core *core = se->core;
    pthread_rwlock_rdlock(&core->lock);
    struct bst_se_entry *entry = entry_at(core, key);
    bool usable =
        entry && entry->object && !entry->deleting && bst_se_owner_sees(se, &entry->object->attrs);
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

struct bst_view bst_se_name(const char *label, const char *owner, char out[BST_SE_NAME_MAX])
{
    size_t label_len = strlen(label), owner_len = strlen(owner);
    memcpy(out, label, label_len);
    if (owner_len) {
        out[label_len] = '\0';
        memcpy(out + label_len + 1, owner, owner_len);
    }
    return bst_view_of(out, label_len + (owner_len ? 1 + owner_len : 0));
}

static bst_result reserve_label(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                                struct bst_se_entry *entry)
{
    char name[BST_SE_NAME_MAX];
    if (attrs->label[0] == '\0') {
        return BST_OK;
    }
    struct bst_view own = bst_se_name(attrs->label, attrs->owner, name);
    if (bst_map_get(&core->labels, own)) {
        BST_FAIL(BST_E_EXISTS, "there is a key '%s' already", attrs->label);
    }
    return bst_map_set(&core->labels, own, entry, NULL);
}

static void free_label(struct bst_se_core *core, const struct bst_key_attrs *attrs)
{
    char name[BST_SE_NAME_MAX];
    if (attrs->label[0]) {
        bst_map_remove(&core->labels, bst_se_name(attrs->label, attrs->owner, name));
    }
}

static bst_result reserve_locked(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                                 struct bst_se_entry *entry)
{
    BST_TRY(slot_take(core, &entry->slot));
    bst_result reserved = reserve_label(core, attrs, entry);
    if (bst_failed(reserved)) {
        slot_give(core, entry->slot);
    }
    return reserved;
}

/* Everything that can fail in memory happens before the backend makes anything durable. */
bst_result bst_se_entry_reserve(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                                struct bst_se_entry **ret)
{
    struct bst_se_entry *entry = bst_alloc(sizeof *entry);
    BST_ENSURE(entry, BST_E_NOMEM);
    atomic_init(&entry->refs, 1);
    pthread_rwlock_wrlock(&core->lock);
    bst_result reserved = reserve_locked(core, attrs, entry);
    pthread_rwlock_unlock(&core->lock);
    if (bst_failed(reserved)) {
        bst_free(entry);
        return reserved;
    }
    *ret = entry;
    return BST_OK;
}

bst_key bst_se_entry_publish(struct bst_se_core *core, struct bst_se_entry *entry,
                             struct bst_se_object *object)
{
    pthread_rwlock_wrlock(&core->lock);
    entry->object = object;
    core->slots[entry->slot].entry = entry;
    core->count++;
    bst_key key = bst_se_handle_of(core, entry->slot);
    pthread_rwlock_unlock(&core->lock);
    return key;
}

void bst_se_entry_unreserve(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                            struct bst_se_entry *entry)
{
    pthread_rwlock_wrlock(&core->lock);
    free_label(core, attrs);
    slot_give(core, entry->slot);
    pthread_rwlock_unlock(&core->lock);
    bst_free(entry);
}

/* ---- keys of an owner ---- */

bst_result bst_se_owned_more(struct bst_se_core *core, const struct bst_key_attrs *attrs,
                             size_t *ret)
{
    struct bst_view owner = bst_view(attrs->owner);
    *ret = 0;
    if (attrs->borrowed) {
        return BST_OK;
    }
    pthread_rwlock_wrlock(&core->lock);
    uintptr_t n = (uintptr_t)bst_map_get(&core->owned, owner) + 1;
    bst_result set = bst_map_set(&core->owned, owner, (void *)n, NULL);
    pthread_rwlock_unlock(&core->lock);
    *ret = n;
    return set;
}

/* Lock held. A name that is there already needs no memory. */
static void owned_less_locked(struct bst_se_core *core, const struct bst_key_attrs *attrs)
{
    struct bst_view owner = bst_view(attrs->owner);
    if (attrs->borrowed) {
        return;
    }
    uintptr_t n = (uintptr_t)bst_map_get(&core->owned, owner) - 1;
    if (n == 0) {
        bst_map_remove(&core->owned, owner);
    } else {
        (void)bst_map_set(&core->owned, owner, (void *)n, NULL).code;
    }
}

void bst_se_owned_less(struct bst_se_core *core, const struct bst_key_attrs *attrs)
{
    pthread_rwlock_wrlock(&core->lock);
    owned_less_locked(core, attrs);
    pthread_rwlock_unlock(&core->lock);
}

/* ---- removing ---- */

/* Only one caller gets to remove a key. */
static bst_result claim_removal(struct bst_se_core *core, struct bst_se_entry *entry)
{
    pthread_rwlock_wrlock(&core->lock);
    bool first = !entry->deleting && !entry->changing;
    entry->deleting = entry->deleting || first;
    pthread_rwlock_unlock(&core->lock);
    if (!first) {
        BST_FAIL(BST_E_NOT_FOUND, "the key is gone");
    }
    return BST_OK;
}

static bst_result remove_claimed(struct bst_se_core *core, struct bst_se_entry *entry)
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
    free_label(core, attrs);
    owned_less_locked(core, attrs);
    slot_give(core, entry->slot);
    core->count--;
    pthread_rwlock_unlock(&core->lock);
    bst_se_entry_drop(core, entry); /* the slot's reference */
    return BST_OK;
}

bst_result bst_se_entry_remove(struct bst_se_core *core, struct bst_se_entry *entry)
{
    BST_TRY(claim_removal(core, entry));
    return remove_claimed(core, entry);
}

struct bst_se_entry *bst_se_entry_any(struct bst_se_core *core)
{
    struct bst_se_entry *found = NULL;
    pthread_rwlock_rdlock(&core->lock);
    for (uint32_t i = 0; i < core->slots_used && !found; i++) {
        struct bst_se_entry *entry = core->slots[i].entry;
        found = entry && !entry->deleting ? entry : NULL;
    }
    if (found) {
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&core->lock);
    return found;
}
