/* One use of a key, and what filters hear of it.
 *
 * The order: does the key exist for this owner, may it be used so, is it still valid, is the
 * environment blocked, do the filters agree, then the backend. Filters hear of refusals too. */
#include "se/se_priv.h"

/* What each operation is called, and what it needs. */
static const struct {
    const char *name;
    uint32_t needs; /* enum bst_key_use */
    bool released;
    bool while_blocked;
} operations[BST_SE_OP_COUNT] = {
    [BST_SE_OP_GENERATE] = {"generate"},
    [BST_SE_OP_IMPORT] = {"import"},
    [BST_SE_OP_DERIVED] = {"derived"},
    [BST_SE_OP_UNWRAPPED] = {"unwrapped"},
    [BST_SE_OP_PUBLIC] = {"public"},
    [BST_SE_OP_SIGN] = {"sign", BST_KEY_USE_SIGN},
    [BST_SE_OP_MAC] = {"mac", BST_KEY_USE_MAC},
    [BST_SE_OP_DERIVE] = {"derive", BST_KEY_USE_DERIVE},
    [BST_SE_OP_SEAL] = {"seal", BST_KEY_USE_SEAL},
    [BST_SE_OP_UNSEAL] = {"unseal", BST_KEY_USE_SEAL},
    [BST_SE_OP_ECIES_OPEN] = {"ecies_open", BST_KEY_USE_AGREE},
    [BST_SE_OP_AGREE] = {"agree", BST_KEY_USE_AGREE},
    [BST_SE_OP_RUN] = {"run", BST_KEY_USE_ROUTINE},
    [BST_SE_OP_RELEASE_PSK] = {"release_psk", BST_KEY_USE_PSK, .released = true},
    [BST_SE_OP_READ] = {"read", BST_KEY_USE_READ, .released = true},
    [BST_SE_OP_REPLACE] = {"replace"},
    [BST_SE_OP_WRAP] = {"wrap", BST_KEY_USE_WRAP},
    [BST_SE_OP_WRAP_UNDER] = {"wrap_under", BST_KEY_USE_KEK},
    [BST_SE_OP_UNWRAP_UNDER] = {"unwrap_under", BST_KEY_USE_KEK},
    [BST_SE_OP_CHECK_VALUE] = {"check_value"},
    [BST_SE_OP_ATTEST] = {"attest"},
    [BST_SE_OP_DELETE] = {"delete", .while_blocked = true},
    [BST_SE_OP_RENAME] = {"rename"},
    [BST_SE_OP_RANDOM] = {"random"},
    [BST_SE_OP_HASH] = {"hash"},
    [BST_SE_OP_COUNTER_GET] = {"counter_get"},
    [BST_SE_OP_COUNTER_NEXT] = {"counter_next"},
    [BST_SE_OP_COUNTER_REMOVE] = {"counter_remove"},
    [BST_SE_OP_ACTIVATE] = {"activate"},
    [BST_SE_OP_BLOCK] = {"block", .while_blocked = true},
    [BST_SE_OP_WIPE] = {"wipe", .while_blocked = true},
    [BST_SE_OP_PIN_CHANGE] = {"pin_change"},
};

const char *bst_se_op_name(size_t i)
{
    return i < BST_SE_OP_COUNT ? operations[i].name : NULL;
}

/* ---- filters ---- */

static bst_result ask_filters(struct bst_se_use *use)
{
    const struct bst_se_core *core = use->core;
    for (size_t i = core->n_filters; i-- > 0;) {
        if (core->filters[i].before) {
            BST_TRY(core->filters[i].before(core->filters[i].ctx, &use->event));
        }
        use->agreed |= UINT32_C(1) << i;
    }
    return BST_OK;
}

/* The sentence of a failure outlives the filters, which may write their own. */
static void tell_filters(struct bst_se_use *use, bst_result outcome)
{
    const struct bst_se_core *core = use->core;
    if (core->n_filters == 0) {
        return;
    }
    char detail[512];
    size_t len = strlen(bst_error_detail());
    memcpy(detail, bst_error_detail(), len < sizeof detail ? len + 1 : sizeof detail);
    detail[sizeof detail - 1] = '\0';
    for (size_t i = core->n_filters; i-- > 0;) {
        use->event.agreed = (use->agreed >> i & 1) != 0;
        if (core->filters[i].after) {
            core->filters[i].after(core->filters[i].ctx, &use->event, outcome);
        }
    }
    bst_error_set_detail(detail);
}

static bst_result check_state(const struct bst_se_core *core)
{
    if (atomic_load(&core->state) == BST_SE_BLOCKED) {
        BST_FAIL(BST_E_SE_BLOCKED,
                 "the secure environment is blocked; wiping it makes it usable again, without its "
                 "keys");
    }
    return BST_OK;
}

bst_result bst_se_ask(struct bst_se *se, enum bst_se_op op, struct bst_se_use *use)
{
    use->core = se->core;
    use->event.op = operations[op].name;
    use->event.subject = se->owner;
    BST_TRY(operations[op].while_blocked ? BST_OK : check_state(se->core));
    return ask_filters(use);
}

bst_result bst_se_enter(struct bst_se_core *core)
{
    pthread_rwlock_rdlock(&core->life);
    bst_result open = check_state(core);
    return bst_failed(open) ? bst_se_leave(core, open) : BST_OK;
}

bst_result bst_se_leave(struct bst_se_core *core, bst_result outcome)
{
    pthread_rwlock_unlock(&core->life);
    return outcome;
}

bst_result bst_se_use_end(struct bst_se_use *use, bst_result outcome)
{
    tell_filters(use, outcome);
    if (use->entry) {
        bst_se_entry_drop(use->core, use->entry);
    }
    return outcome;
}

bst_result bst_se_act_begin(struct bst_se *se, enum bst_se_op op, const char *label,
                            const char *why, struct bst_se_use *ret)
{
    *ret = (struct bst_se_use){
        .event = {.label = label, .owner = se->owner, .why = why ? why : ""},
    };
    bst_result asked = bst_se_ask(se, op, ret);
    return bst_failed(asked) ? bst_se_use_end(ret, asked) : BST_OK;
}

/* ---- keys ---- */

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
        {BST_KEY_USE_WRAP, "leaving wrapped"},
        {BST_KEY_USE_ROUTINE, "an algorithm inside"},
        {BST_KEY_USE_KEK, "wrapping other keys"},
        {BST_KEY_USE_READ, "reading"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].use == use) {
            return names[i].name;
        }
    }
    return "this";
}

static bst_result check_use(const struct bst_se_use *use, uint32_t needed)
{
    const struct bst_key_attrs *attrs = &use->entry->object->attrs;
    if ((attrs->uses & needed) != needed) {
        BST_FAIL(BST_E_SE_USAGE, "key '%s' may not be used for %s", attrs->label, use_name(needed));
    }
    if (needed && attrs->expires_us &&
        use->core->host.wall_us(use->core->host.ctx) >= attrs->expires_us) {
        BST_FAIL(BST_E_EXPIRED, "key '%s' has expired", attrs->label);
    }
    return BST_OK;
}

bst_result bst_se_use_begin(struct bst_se *se, bst_key key, enum bst_se_op op, const char *why,
                            struct bst_se_use *ret)
{
    struct bst_se_use use = {.core = se->core};
    BST_TRY(bst_se_entry_get(se, key, &use.entry));
    const struct bst_key_attrs *attrs = &use.entry->object->attrs;
    use.event = (struct bst_se_event){
        .op = operations[op].name,
        .label = attrs->label,
        .owner = attrs->owner,
        .subject = se->owner,
        .why = why ? why : "",
        .suid = attrs->suid,
        .released = operations[op].released,
    };
    bst_result allowed = check_use(&use, operations[op].needs);
    if (!bst_failed(allowed)) {
        allowed = bst_se_ask(se, op, &use);
    }
    if (bst_failed(allowed)) {
        return bst_se_use_end(&use, allowed);
    }
    *ret = use;
    return BST_OK;
}

bst_result bst_se_cannot(const struct bst_se_core *core, const char *what)
{
    BST_FAIL(BST_E_SE_MECHANISM, "a secure environment of kind %s cannot do this: %s",
             core->backend->ops->scheme, what);
}
