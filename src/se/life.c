/* Counters, life cycle, PIN and attestation. */
#include "se/se_priv.h"

#include <ctype.h>
#include <stdio.h>

#define COUNTER_NAME_MAX 64

/* ---- counters ---- */

/* As the backend knows it: '@' cannot stand in a name, so no two owners share a counter. */
static bst_result counter_name(const struct bst_se *se, const char *name,
                               char out[COUNTER_NAME_MAX + BST_KEY_OWNER_MAX + 2])
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= COUNTER_NAME_MAX;
    for (size_t i = 0; good && i < len; i++) {
        good = isalnum((unsigned char)name[i]) || strchr(".-_", name[i]);
    }
    if (!good) {
        BST_FAIL(BST_E_VALUE, "a counter is named by 1 to %d letters, digits, '.', '-' and '_'",
                 COUNTER_NAME_MAX);
    }
    snprintf(out, COUNTER_NAME_MAX + BST_KEY_OWNER_MAX + 2, "%s%s%s", name, se->owner[0] ? "@" : "",
             se->owner);
    return BST_OK;
}

#define COUNTERS "counters"

bst_result bst_se_counter_get(struct bst_se *se, const char *name, uint64_t *ret)
{
    struct bst_se_use use;
    char full[COUNTER_NAME_MAX + BST_KEY_OWNER_MAX + 2];
    BST_TRY(counter_name(se, name, full));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_COUNTER_GET, name, NULL, &use));
    return bst_se_use_end(&use, BST_SE_OPTIONAL(use, counter_get, COUNTERS, full, ret));
}

bst_result bst_se_counter_next(struct bst_se *se, const char *name, uint64_t *ret)
{
    struct bst_se_use use;
    char full[COUNTER_NAME_MAX + BST_KEY_OWNER_MAX + 2];
    BST_TRY(counter_name(se, name, full));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_COUNTER_NEXT, name, NULL, &use));
    bst_result next = bst_se_enter(se->core);
    if (!bst_failed(next)) {
        next = bst_se_leave(se->core, BST_SE_OPTIONAL(use, counter_next, COUNTERS, full, ret));
    }
    return bst_se_use_end(&use, next);
}

bst_result bst_se_counter_remove(struct bst_se *se, const char *name)
{
    struct bst_se_use use;
    char full[COUNTER_NAME_MAX + BST_KEY_OWNER_MAX + 2];
    BST_TRY(counter_name(se, name, full));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_COUNTER_REMOVE, name, NULL, &use));
    bst_result removed = bst_se_enter(se->core);
    if (!bst_failed(removed)) {
        removed = bst_se_leave(se->core, BST_SE_OPTIONAL(use, counter_remove, COUNTERS, full));
    }
    return bst_se_use_end(&use, removed);
}

/* ---- life cycle ---- */

enum bst_se_state bst_se_state(struct bst_se *se)
{
    return (enum bst_se_state)atomic_load(&se->core->state);
}

static bst_result sees_all(const struct bst_se *se)
{
    if (se->owner[0]) {
        BST_FAIL(BST_E_DENIED, "'%s' may not change the whole secure environment", se->owner);
    }
    return BST_OK;
}

/* Nobody is making or keeping anything. */
static bst_result set_state(struct bst_se_core *core, enum bst_se_state state, const char *why)
{
    const struct bst_se_backend_ops *ops = core->backend->ops;
    if (!ops->set_state) {
        return bst_se_cannot(core, "keep a state of its life cycle");
    }
    BST_TRY(ops->set_state(core->backend, state, why));
    atomic_store(&core->state, (int)state);
    return BST_OK;
}

/* What was blocked since the filters were asked stays blocked. */
static bst_result move_to(struct bst_se_core *core, enum bst_se_state state, const char *why)
{
    pthread_rwlock_wrlock(&core->life);
    bool blocked = atomic_load(&core->state) == BST_SE_BLOCKED;
    bst_result moved = blocked && state != BST_SE_BLOCKED ? bst_error(BST_E_SE_BLOCKED)
                                                          : set_state(core, state, why);
    pthread_rwlock_unlock(&core->life);
    return moved;
}

bst_result bst_se_activate(struct bst_se *se)
{
    struct bst_se_use use;
    BST_TRY(sees_all(se));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_ACTIVATE, "", NULL, &use));
    return bst_se_use_end(&use, move_to(se->core, BST_SE_OPERATIONAL, ""));
}

bst_result bst_se_block(struct bst_se *se, const char *why)
{
    struct bst_se_use use;
    BST_TRY(sees_all(se));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_BLOCK, "", why, &use));
    return bst_se_use_end(&use, move_to(se->core, BST_SE_BLOCKED, use.event.why));
}

static bst_result remove_all(struct bst_se_core *core)
{
    for (;;) {
        struct bst_se_entry *entry = bst_se_entry_any(core);
        if (!entry) {
            return BST_OK;
        }
        bst_result removed = bst_se_entry_remove(core, entry);
        bst_se_entry_drop(core, entry);
        if (bst_failed(removed) && removed.code != BST_E_NOT_FOUND) {
            return removed; /* NOT_FOUND: somebody else deleted it meanwhile */
        }
    }
}

static bst_result wipe_alone(struct bst_se_core *core)
{
    const struct bst_se_backend_ops *ops = core->backend->ops;
    int before = atomic_exchange(&core->state, BST_SE_BLOCKED);
    bst_result wiped = remove_all(core);
    if (!bst_failed(wiped) && ops->wipe) {
        wiped = ops->wipe(core->backend);
    }
    if (bst_failed(wiped) || !ops->set_state) {
        atomic_store(&core->state, before);
        return wiped;
    }
    return set_state(core, BST_SE_PERSONALISATION, "");
}

/* Who makes a key has ended before it begins or is refused: none is made behind its back. */
static bst_result wipe(struct bst_se_core *core)
{
    pthread_rwlock_wrlock(&core->life);
    bst_result wiped = wipe_alone(core);
    pthread_rwlock_unlock(&core->life);
    return wiped;
}

bst_result bst_se_wipe(struct bst_se *se)
{
    struct bst_se_use use;
    BST_TRY(sees_all(se));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_WIPE, "", NULL, &use));
    return bst_se_use_end(&use, wipe(se->core));
}

bst_result bst_se_pin_change(struct bst_se *se, const struct bst_secret *old,
                             const struct bst_secret *fresh)
{
    struct bst_se_use use;
    BST_TRY(sees_all(se));
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_PIN_CHANGE, "", NULL, &use));
    return bst_se_use_end(&use, BST_SE_OPTIONAL(use, pin_change, "change of the PIN", old, fresh));
}

/* ---- attestation ---- */

void bst_se_attestation_clear(struct bst_se_attestation *attestation)
{
    bst_buf_clear(&attestation->statement);
    bst_buf_clear(&attestation->signature);
    bst_buf_clear(&attestation->object);
    bst_buf_clear(&attestation->signer);
    bst_buf_clear(&attestation->chain);
}

void bst_se_attested_clear(struct bst_se_attested *attested)
{
    bst_buf_clear(&attested->spki);
}

bst_result bst_se_attest(struct bst_se *se, bst_key key, struct bst_view nonce,
                         struct bst_se_attestation *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_ATTEST, NULL, &use));
    return bst_se_use_end(
        &use, BST_SE_OPTIONAL(use, attest, "attestation", use.entry->object, nonce, ret));
}
