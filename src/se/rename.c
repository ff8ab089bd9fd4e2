/* A key gets another label, data other octets. The handle stays valid at every moment: the slot
 * goes from the old object to the new one at once, and calls under way end on the old. */
#include "se/se_priv.h"

/* What changes. */
struct change {
    struct bst_se_use *use;
    const char *label;              /* NULL: stays */
    const struct bst_secret *value; /* NULL: stays */
    struct bst_se_entry *fresh;
};

static struct bst_view name_of(const struct change *change, const char *label,
                               char out[BST_SE_NAME_MAX])
{
    return bst_se_name(label, change->use->entry->object->attrs.owner, out);
}

/* Lock held. Not while it is deleted, and only one caller at a time. */
static bst_result claim_locked(const struct change *change)
{
    struct bst_se_core *core = change->use->core;
    struct bst_se_entry *entry = change->use->entry;
    char name[BST_SE_NAME_MAX];
    if (entry->deleting || entry->changing) {
        BST_FAIL(BST_E_NOT_FOUND, "the key is gone");
    }
    if (change->label) {
        struct bst_view own = name_of(change, change->label, name);
        if (bst_map_get(&core->labels, own)) {
            BST_FAIL(BST_E_EXISTS, "there is a key '%s' already", change->label);
        }
        BST_TRY(bst_map_set(&core->labels, own, change->fresh, NULL));
    }
    entry->changing = true;
    change->fresh->slot = entry->slot;
    return BST_OK;
}

static bst_result claim(struct change *change)
{
    struct bst_se_core *core = change->use->core;
    change->fresh = bst_alloc(sizeof *change->fresh);
    BST_ENSURE(change->fresh, BST_E_NOMEM);
    atomic_init(&change->fresh->refs, 1);
    pthread_rwlock_wrlock(&core->lock);
    bst_result claimed = claim_locked(change);
    pthread_rwlock_unlock(&core->lock);
    if (bst_failed(claimed)) {
        bst_free(change->fresh);
    }
    return claimed;
}

static void unclaim(struct change *change)
{
    struct bst_se_core *core = change->use->core;
    char name[BST_SE_NAME_MAX];
    pthread_rwlock_wrlock(&core->lock);
    if (change->label) {
        bst_map_remove(&core->labels, name_of(change, change->label, name));
    }
    change->use->entry->changing = false;
    pthread_rwlock_unlock(&core->lock);
    bst_free(change->fresh);
}

/* A name that is there already takes another entry without memory. */
static void go_over(struct change *change, struct bst_se_object *object)
{
    struct bst_se_core *core = change->use->core;
    struct bst_se_entry *entry = change->use->entry;
    char name[BST_SE_NAME_MAX];
    struct bst_view old = name_of(change, entry->object->attrs.label, name);
    pthread_rwlock_wrlock(&core->lock);
    change->fresh->object = object;
    core->slots[entry->slot].entry = change->fresh;
    if (change->label) {
        bst_map_remove(&core->labels, old);
        change->fresh->public_half = entry->public_half; /* the same key: it is not asked again */
        entry->public_half = (struct bst_buf){0};
    } else if (entry->object->attrs.label[0]) {
        (void)bst_map_set(&core->labels, old, change->fresh, NULL).code;
    }
    pthread_rwlock_unlock(&core->lock);
    bst_se_entry_drop(core, entry); /* the slot's reference */
}

static bst_result make_fresh(const struct change *change, struct bst_se_object **ret)
{
    struct bst_se_backend *backend = change->use->core->backend;
    struct bst_se_object *object = change->use->entry->object;
    return change->label ? backend->ops->rename(backend, object, change->label, ret)
                         : backend->ops->replace(backend, object, change->value, ret);
}

static bst_result change_entered(struct change *change)
{
    struct bst_se_object *object = NULL;
    BST_TRY(claim(change));
    bst_result made = make_fresh(change, &object);
    if (bst_failed(made)) {
        unclaim(change);
        return made;
    }
    go_over(change, object);
    return BST_OK;
}

static bst_result run(struct change *change)
{
    BST_TRY(bst_se_enter(change->use->core));
    return bst_se_leave(change->use->core, change_entered(change));
}

/* ---- another label ---- */

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
    struct change change = {.use = &use, .label = label};
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_RENAME, NULL, &use));
    bst_result renamed = check_label(&use, label);
    return bst_se_use_end(&use, bst_failed(renamed) ? renamed : run(&change));
}

/* ---- other octets ---- */

static bst_result check_value(const struct bst_se_use *use, const struct bst_secret *value)
{
    const struct bst_key_attrs *attrs = &use->entry->object->attrs;
    if (attrs->type != BST_KEY_DATA) {
        BST_FAIL(BST_E_SE_USAGE, "'%s' is a key: its value does not change; make a new key",
                 attrs->label);
    }
    BST_TRY(bst_se_check_data(attrs, value));
    return use->core->backend->ops->replace ? BST_OK : bst_se_cannot(use->core, "replace data");
}

bst_result bst_se_data_replace(struct bst_se *se, bst_key key, const struct bst_secret *value)
{
    struct bst_se_use use = {0};
    struct change change = {.use = &use, .value = value};
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_REPLACE, NULL, &use));
    bst_result good = check_value(&use, value);
    return bst_se_use_end(&use, bst_failed(good) ? good : run(&change));
}
