/* A key gets another label. Its handle stays valid at every moment: the slot goes from the old
 * object to the new one at once, and calls under way end on the old. */
#include "se/se_priv.h"

/* Lock held. Not while it is deleted, and only one caller at a time. */
static bst_result claim_locked(struct bst_se_core *core, struct bst_se_entry *entry,
                               const char *label, struct bst_se_entry *fresh)
{
    if (entry->deleting || entry->renaming) {
        BST_FAIL(BST_E_NOT_FOUND, "the key is gone");
    }
    if (bst_map_get(&core->labels, bst_view(label))) {
        BST_FAIL(BST_E_EXISTS, "there is a key '%s' already", label);
    }
    BST_TRY(bst_map_set(&core->labels, bst_view(label), fresh, NULL));
    entry->renaming = true;
    fresh->slot = entry->slot;
    return BST_OK;
}

static bst_result claim(struct bst_se_core *core, struct bst_se_entry *entry, const char *label,
                        struct bst_se_entry **ret)
{
    struct bst_se_entry *fresh = bst_alloc(sizeof *fresh);
    BST_ENSURE(fresh, BST_E_NOMEM);
    atomic_init(&fresh->refs, 1);
    pthread_rwlock_wrlock(&core->lock);
    bst_result claimed = claim_locked(core, entry, label, fresh);
    pthread_rwlock_unlock(&core->lock);
    if (bst_failed(claimed)) {
        bst_free(fresh);
        return claimed;
    }
    *ret = fresh;
    return BST_OK;
}

static void unclaim(struct bst_se_core *core, struct bst_se_entry *entry, const char *label,
                    struct bst_se_entry *fresh)
{
    pthread_rwlock_wrlock(&core->lock);
    bst_map_remove(&core->labels, bst_view(label));
    entry->renaming = false;
    pthread_rwlock_unlock(&core->lock);
    bst_free(fresh);
}

static void go_over(struct bst_se_core *core, struct bst_se_entry *entry,
                    struct bst_se_entry *fresh, struct bst_se_object *object)
{
    pthread_rwlock_wrlock(&core->lock);
    fresh->object = object;
    core->slots[entry->slot].entry = fresh;
    bst_map_remove(&core->labels, bst_view(entry->object->attrs.label));
    pthread_rwlock_unlock(&core->lock);
    bst_se_entry_drop(core, entry); /* the slot's reference */
}

static bst_result rename_claimed(struct bst_se_use *use, const char *label)
{
    struct bst_se_core *core = use->core;
    struct bst_se_entry *fresh = NULL;
    struct bst_se_object *object = NULL;
    BST_TRY(claim(core, use->entry, label, &fresh));
    bst_result renamed =
        core->backend->ops->rename(core->backend, use->entry->object, label, &object);
    if (bst_failed(renamed)) {
        unclaim(core, use->entry, label, fresh);
        return renamed;
    }
    go_over(core, use->entry, fresh, object);
    return BST_OK;
}

static bst_result check_label(const struct bst_se_use *use, const char *label)
{
    size_t len = strlen(label);
    if (len == 0 || len > BST_KEY_LABEL_MAX) {
        BST_FAIL(BST_E_VALUE, "a label has 1 to %d bytes", BST_KEY_LABEL_MAX);
    }
    if (!use->entry->object->attrs.persistent) {
        BST_FAIL(BST_E_USAGE, "key '%s' is not kept, so its label is not either",
                 use->entry->object->attrs.label);
    }
    return use->core->backend->ops->rename ? BST_OK
                                           : bst_se_cannot(use->core, "give a key another label");
}

bst_result bst_se_key_rename(struct bst_se *se, bst_key key, const char *label)
{
    struct bst_se_use use = {0};
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_RENAME, NULL, &use));
    bst_result renamed = check_label(&use, label);
    if (!bst_failed(renamed)) {
        renamed = rename_claimed(&use, label);
    }
    return bst_se_use_end(&use, renamed);
}
