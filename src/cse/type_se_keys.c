/* Whose keys, by which names, for how long (TS-0016 7.4 to 7.6).
 *
 * An <SE> stands for one stakeholder: the CSE, or the AE that it hangs below. A handle "se:LABEL"
 * is a name among this stakeholder's keys and reaches no other. What resources made is recorded in
 * the store together with them:
 *   name space "se"     label -> id of the resource (8 octets), sealed data
 *   name space "se.of"  id of the resource (8 octets), label -> nothing */
#include "cse/type_se.h"

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "obs/log.h"

#include <stdio.h>

#define NS_KEPT "se"
#define NS_OF "se.of"
#define MADE "ts0016:"
#define KEY_PREFIX MADE "key:"
#define DATA_PREFIX MADE "data:"
#define HANDLE "se:"
#define LABEL_MAX 64
/* One resource may have made so many keys. */
#define KEYS_MAX 100

/* ---- stakeholders ---- */

static bst_result environment_of(struct bst_cse_op *op, struct bst_cse_res *res,
                                 struct bst_cse_res **ret)
{
    while (res && res->row.ty != BST_TY_SE) {
        BST_TRY(bst_cse_parent(op, res, &res));
    }
    BST_ENSURE(res, BST_E_INTERNAL);
    *ret = res;
    return BST_OK;
}

bst_result bst_secure_owner_of(struct bst_cse_op *op, struct bst_cse_res *above, const char **ret)
{
    struct bst_view cse = bst_entity_abs(&op->cse->own.id);
    struct bst_view owner = above->row.ty == BST_TY_CB
                                ? bst_arena_view(op->arena, cse)
                                : bst_arena_printf(op->arena, "%.*s/%.*s", BST_VIEW_ARGS(cse),
                                                   BST_VIEW_ARGS(above->ri));
    BST_ENSURE(owner.ptr, BST_E_NOMEM);
    if (owner.len > BST_KEY_OWNER_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "%.*s is too long a name for an owner of keys: %d octets at most",
                 BST_VIEW_ARGS(owner), BST_KEY_OWNER_MAX);
    }
    *ret = owner.ptr;
    return BST_OK;
}

bst_result bst_secure_owner(struct bst_cse_op *op, struct bst_cse_res *res, const char **ret)
{
    struct bst_cse_res *environment, *above;
    BST_TRY(environment_of(op, res, &environment));
    BST_TRY(bst_cse_parent(op, environment, &above));
    return bst_secure_owner_of(op, above, ret);
}

/* ---- handles ---- */

static bool is_name(struct bst_view v)
{
    static const char others[] = "-._";
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!digit && !(i && strchr(others, c))) {
            return false;
        }
    }
    return v.len > 0 && v.len <= LABEL_MAX;
}

static bst_result read_handle(struct bst_view handle, struct bst_view *ret)
{
    *ret = bst_view_from(handle, sizeof HANDLE - 1);
    if (!bst_view_starts(handle, BST_VIEW(HANDLE)) || !is_name(*ret)) {
        BST_FAIL(BST_E_VALUE,
                 "keyData (kDt) is a handle, se:LABEL, with a LABEL of at most %d letters, digits, "
                 "- . and _; key values do not travel here",
                 LABEL_MAX);
    }
    return BST_OK;
}

static bst_result look_up(struct bst_cse_op *op, const char *owner, const char *label,
                          struct bst_key_info *ret, bool *ret_found)
{
    bst_key key = 0;
    *ret_found = false;
    BST_TRY(bst_se_key_find_of(op->cse->config.se, owner, label, &key));
    bst_result r = key ? bst_se_key_info(op->cse->config.se, key, ret) : bst_error(BST_E_NOT_FOUND);
    *ret_found = !bst_failed(r);
    return r.code == BST_E_NOT_FOUND ? BST_OK : r;
}

/* Keys that resources made, then those that the operator gave the stakeholder. */
static bst_result find_key(struct bst_cse_op *op, const char *owner, struct bst_view name,
                           struct bst_key_info *info, const char **ret_label)
{
    static const char *const prefixes[] = {KEY_PREFIX, ""};
    bool found = false;
    *ret_label = NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && !found; i++) {
        struct bst_view label =
            bst_arena_printf(op->arena, "%s%s:%.*s", prefixes[i], owner, BST_VIEW_ARGS(name));
        BST_ENSURE(label.ptr, BST_E_NOMEM);
        BST_TRY(look_up(op, owner, label.ptr, info, &found));
        *ret_label = found ? label.ptr : NULL;
    }
    return BST_OK;
}

/* Labels of one resource, or of one stakeholder, each with its NUL. */
struct collection {
    struct bst_view prefix;
    size_t skip; /* octets of the key before the label */
    size_t n;
    struct bst_buf labels;
};

static bool collect_one(void *arg, struct bst_view key, struct bst_view value)
{
    struct collection *c = arg;
    (void)value;
    if (!bst_view_starts(key, c->prefix)) {
        return false;
    }
    bst_buf_addv(&c->labels, bst_view_from(key, c->skip));
    bst_buf_addc(&c->labels, '\0');
    c->n++;
    return true;
}

static bst_result collect(struct bst_store_conn *conn, const char *ns, struct collection *c)
{
    BST_TRY(bst_kv_each(conn, ns, c->prefix, collect_one, c));
    return bst_buf_check(&c->labels);
}

/* [7.4] sensitive data that was brought in serves as a key under the name of its resource. */
static bst_result find_data(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view name,
                            struct bst_secure_key *ret)
{
    struct bst_cse_res *environment, *data;
    struct bst_view value;
    bool found = false;
    int64_t size;
    BST_TRY(environment_of(op, res, &environment));
    BST_TRY(bst_cse_child(op, environment, name, &data));
    if (!data || data->row.ty != BST_TY_SDO) {
        return BST_OK;
    }
    struct collection of = {.prefix = bst_view_of(&data->row.id, sizeof data->row.id),
                            .skip = sizeof data->row.id};
    bst_result r = collect(op->conn, NS_OF, &of);
    struct bst_view label = bst_arena_view(op->arena, bst_view(of.labels.len ? of.labels.ptr : ""));
    bst_buf_clear(&of.labels);
    BST_TRY(r);
    BST_TRY(bst_kv_get(op->conn, NS_KEPT, label, op->arena, &value, &found));
    BST_TRY(bst_cse_number(op, data, "cbs", 0, &size));
    if (found && size > 0 && size <= BST_KEY_VALUE_MAX) {
        ret->label = label.ptr;
        ret->sealed = bst_view_from(value, sizeof data->row.id);
        ret->type = BST_KEY_SYMMETRIC;
        ret->uses = BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | (size == 32 ? BST_KEY_USE_SEAL : 0u);
    }
    return BST_OK;
}

void bst_secure_use(struct bst_secure_work *work, const struct bst_secure_key *key, uint32_t needs)
{
    work->owner = key->owner;
    work->label = key->label;
    work->sealed = key->sealed;
    work->needs = needs;
}

static bst_result no_key(struct bst_view handle)
{
    BST_FAIL(BST_E_VALUE,
             "there is no key %.*s here: see generateKey (genk), or ask the operator for one",
             BST_VIEW_ARGS(handle));
}

bst_result bst_secure_key(struct bst_cse_op *op, struct bst_cse_res *res, struct bst_view handle,
                          uint32_t uses, struct bst_secure_key *ret)
{
    struct bst_key_info info;
    struct bst_view name;
    *ret = (struct bst_secure_key){0};
    BST_TRY(read_handle(handle, &name));
    BST_TRY(bst_secure_owner(op, res, &ret->owner));
    BST_TRY(find_key(op, ret->owner, name, &info, &ret->label));
    if (ret->label) {
        ret->type = info.attrs.type;
        ret->uses = info.attrs.uses;
    } else {
        BST_TRY(find_data(op, res, name, ret));
    }
    if (!ret->label) {
        return no_key(handle);
    }
    if ((ret->uses & uses) != uses) {
        BST_FAIL(BST_E_VALUE, "key %.*s was not made for this", BST_VIEW_ARGS(handle));
    }
    return BST_OK;
}

bst_result bst_secure_named_key(struct bst_cse_op *op, struct bst_cse_res *res,
                                struct bst_view handle, uint32_t uses, struct bst_secure_key *ret)
{
    const struct bst_cse_need need = {.acop = BST_ACOP_RETRIEVE};
    struct bst_cse_res *environment, *data;
    bool permit = false;
    BST_TRY(bst_secure_key(op, res, handle, uses, ret));
    if (!ret->sealed.len) {
        return BST_OK;
    }
    BST_TRY(environment_of(op, res, &environment));
    BST_TRY(bst_cse_child(op, environment, bst_view_from(handle, sizeof HANDLE - 1), &data));
    if (data) {
        BST_TRY(bst_cse_access(op, data, &need, &permit));
    }
    return permit ? BST_OK : no_key(handle);
}

static bst_result chance(struct bst_cse_op *op, struct bst_view *ret)
{
    uint8_t bytes[12];
    struct bst_buf text = {0};
    BST_TRY(bst_random(bytes, sizeof bytes));
    bst_hex_add(&text, bst_view_of(bytes, sizeof bytes), false);
    *ret = bst_arena_view(op->arena, bst_buf_view(&text));
    bst_buf_clear(&text);
    BST_ENSURE(ret->len, BST_E_NOMEM);
    return BST_OK;
}

/* The run that goes on finds the name that the one before chose. */
static const char *chosen(const struct bst_cse_op *op)
{
    const struct bst_cse_secure *s = op->secure;
    return s && s->done ? s->work.made : NULL;
}

bst_result bst_secure_new_label(struct bst_cse_op *op, struct bst_cse_res *res,
                                struct bst_view handle, const char **ret_label)
{
    struct bst_key_info info;
    struct bst_view name;
    const char *owner, *taken;
    if (!handle.len && chosen(op)) {
        *ret_label = chosen(op);
        return BST_OK;
    }
    BST_TRY(handle.len ? read_handle(handle, &name) : chance(op, &name));
    BST_TRY(bst_secure_owner(op, res, &owner));
    struct bst_view label =
        bst_arena_printf(op->arena, KEY_PREFIX "%s:%.*s", owner, BST_VIEW_ARGS(name));
    BST_ENSURE(label.ptr, BST_E_NOMEM);
    BST_TRY(find_key(op, owner, name, &info, &taken));
    if (taken && !(chosen(op) && strcmp(chosen(op), label.ptr) == 0)) {
        BST_FAIL(BST_E_CONFLICT, "there is a key %.*s already", BST_VIEW_ARGS(handle));
    }
    *ret_label = label.ptr;
    return BST_OK;
}

bst_result bst_secure_new_data_label(struct bst_cse_op *op, struct bst_cse_res *res,
                                     const char **ret_label)
{
    struct bst_view name;
    const char *owner;
    if (chosen(op)) {
        *ret_label = chosen(op);
        return BST_OK;
    }
    BST_TRY(chance(op, &name));
    BST_TRY(bst_secure_owner(op, res, &owner));
    struct bst_view label =
        bst_arena_printf(op->arena, DATA_PREFIX "%s:%.*s", owner, BST_VIEW_ARGS(name));
    BST_ENSURE(label.ptr, BST_E_NOMEM);
    *ret_label = label.ptr;
    return BST_OK;
}

struct bst_view bst_secure_handle(struct bst_cse_op *op, const char *label)
{
    const char *colon = strrchr(label, ':');
    return bst_arena_printf(op->arena, HANDLE "%s", colon ? colon + 1 : label);
}

/* ---- records ---- */

static bst_result of_key(struct bst_cse_op *op, int64_t id, const char *label, struct bst_view *ret)
{
    size_t len = strlen(label);
    char *text = bst_arena_alloc(op->arena, sizeof id + len);
    BST_ENSURE(text, BST_E_NOMEM);
    memcpy(text, &id, sizeof id);
    memcpy(text + sizeof id, label, len);
    *ret = bst_view_of(text, sizeof id + len);
    return BST_OK;
}

bst_result bst_secure_keep(struct bst_cse_op *op, int64_t id, const char *label,
                           struct bst_view sealed)
{
    struct bst_view of;
    struct collection made = {.prefix = bst_view_of(&id, sizeof id), .skip = sizeof id};
    bst_result r = collect(op->conn, NS_OF, &made);
    bst_buf_clear(&made.labels);
    BST_TRY(r);
    if (made.n >= KEYS_MAX) {
        BST_FAIL(BST_E_CONTENTS, "this resource made %d keys already: use another one", KEYS_MAX);
    }
    char *value = bst_arena_alloc(op->arena, sizeof id + sealed.len);
    BST_ENSURE(value, BST_E_NOMEM);
    memcpy(value, &id, sizeof id);
    if (sealed.len) {
        memcpy(value + sizeof id, sealed.ptr, sealed.len);
    }
    BST_TRY(of_key(op, id, label, &of));
    BST_TRY(bst_kv_put(op->conn, NS_OF, of, (struct bst_view){"", 0}));
    return bst_kv_put(op->conn, NS_KEPT, bst_view(label),
                      bst_view_of(value, sizeof id + sealed.len));
}

static bst_result forget_one(struct bst_cse_op *op, const char *label)
{
    struct bst_view value, of;
    bool found;
    int64_t id;
    BST_TRY(bst_kv_get(op->conn, NS_KEPT, bst_view(label), op->arena, &value, &found));
    if (!found || value.len < sizeof id) {
        return BST_OK;
    }
    memcpy(&id, value.ptr, sizeof id);
    BST_TRY(of_key(op, id, label, &of));
    BST_TRY(bst_kv_delete(op->conn, NS_OF, of));
    return bst_kv_delete(op->conn, NS_KEPT, bst_view(label));
}

static bst_result forget_all(struct bst_cse_op *op, const struct bst_buf *labels)
{
    if (labels->len && !op->secure) {
        op->secure = bst_arena_alloc(op->arena, sizeof *op->secure);
        BST_ENSURE(op->secure, BST_E_NOMEM);
    }
    for (size_t at = 0; at < labels->len; at += strlen(labels->ptr + at) + 1) {
        BST_TRY(forget_one(op, labels->ptr + at));
    }
    if (labels->len) {
        bst_buf_addv(&op->secure->gone, bst_buf_view(labels));
        BST_TRY(bst_buf_check(&op->secure->gone));
    }
    return BST_OK;
}

static bst_result forget(struct bst_cse_op *op, const char *ns, struct collection *c)
{
    bst_result r = collect(op->conn, ns, c);
    r = bst_failed(r) ? r : forget_all(op, &c->labels);
    bst_buf_clear(&c->labels);
    return r;
}

bst_result bst_secure_forget(struct bst_cse_op *op, int64_t id)
{
    struct collection c = {.prefix = bst_view_of(&id, sizeof id), .skip = sizeof id};
    return op->cse->config.se ? forget(op, NS_OF, &c) : BST_OK;
}

bst_result bst_secure_forget_owner(struct bst_cse_op *op, struct bst_cse_res *above)
{
    static const char *const prefixes[] = {KEY_PREFIX, DATA_PREFIX};
    const char *owner;
    if (!op->cse->config.se) {
        return BST_OK;
    }
    if (bst_failed(bst_secure_owner_of(op, above, &owner))) {
        return BST_OK; /* too long a name ever to have owned a key */
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        struct collection c = {.prefix = bst_arena_printf(op->arena, "%s%s:", prefixes[i], owner)};
        BST_ENSURE(c.prefix.ptr, BST_E_NOMEM);
        BST_TRY(forget(op, NS_KEPT, &c));
    }
    return BST_OK;
}

/* ---- at start ---- */

/* [7.2.1] M2M-SE-ID: the kind of environment, then what tells it from others. */
static bst_result identify(struct bst_cse *cse)
{
    enum { SECURE_ELEMENT = 2, SOFTWARE = 4 };
    struct bst_se_about about;
    uint8_t digest[BST_SHA256_BYTES];
    struct bst_buf id = {0};
    bst_se_about(cse->config.se, &about);
    const struct bst_view parts[] = {bst_entity_abs(&cse->own.id), bst_view(about.kind),
                                     bst_view(about.name)};
    BST_TRY(bst_digest(BST_MD_SHA256, parts, 3, digest));
    cse->se_type = about.level >= 2 ? SECURE_ELEMENT : SOFTWARE;
    cse->se_level = about.level;
    bst_buf_addf(&id, "%d-", cse->se_type);
    bst_hex_add(&id, bst_view_of(digest, 8), false);
    cse->se_id = bst_arena_view(&cse->texts, bst_buf_view(&id));
    bst_buf_clear(&id);
    BST_ENSURE(cse->se_id.len, BST_E_NOMEM);
    return BST_OK;
}

struct sweep {
    struct bst_cse *cse;
    struct bst_view own[2]; /* prefixes of labels that resources of this CSE gave */
    struct bst_buf labels;  /* found inside */
    struct bst_buf lost;    /* of these, without a record */
};

/* Of this CSE or one of its AEs: a token may hold the keys of another CSE, too. */
static bool is_ours(const struct sweep *s, struct bst_view label)
{
    for (size_t i = 0; i < 2; i++) {
        size_t len = s->own[i].len;
        if (bst_view_starts(label, s->own[i]) && label.len > len &&
            (label.ptr[len] == '/' || label.ptr[len] == ':')) {
            return true;
        }
    }
    return false;
}

static bool note_label(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct sweep *s = ctx;
    struct bst_view label = bst_view(attrs->label);
    (void)key;
    if (is_ours(s, label)) {
        bst_buf_add(&s->labels, label.ptr, label.len + 1);
    }
    return !s->labels.failed;
}

static bst_result compare(struct bst_store_conn *conn, void *arg)
{
    struct sweep *s = arg;
    struct bst_arena arena;
    bst_result r = BST_OK;
    bst_arena_init(&arena, 0);
    for (size_t at = 0; at < s->labels.len && !bst_failed(r);) {
        struct bst_view label = bst_view(s->labels.ptr + at), value;
        bool found = true;
        r = bst_kv_get(conn, NS_KEPT, label, &arena, &value, &found);
        if (!found) {
            bst_buf_add(&s->lost, label.ptr, label.len + 1);
        }
        bst_arena_reset(&arena);
        at += label.len + 1;
    }
    bst_arena_clear(&arena);
    return bst_failed(r) ? r : bst_buf_check(&s->lost);
}

static void report(size_t n)
{
    if (n) {
        bst_log(BST_LOG_INFO, "cse.keys_swept", "%zu keys without a resource were wiped", n);
    }
}

/* What stands between an environment and a commit when the power goes: keys, or data, that no
 * resource knows. */
static bst_result sweep(struct bst_cse *cse)
{
    struct sweep s = {.cse = cse};
    struct bst_arena arena;
    struct bst_view own = bst_entity_abs(&cse->own.id);
    size_t n = 0;
    bst_arena_init(&arena, 0);
    s.own[0] = bst_arena_printf(&arena, KEY_PREFIX "%.*s", BST_VIEW_ARGS(own));
    s.own[1] = bst_arena_printf(&arena, DATA_PREFIX "%.*s", BST_VIEW_ARGS(own));
    bst_result r = s.own[0].ptr && s.own[1].ptr ? bst_se_key_list(cse->config.se, note_label, &s)
                                                : bst_error(BST_E_NOMEM);
    r = bst_failed(r) ? r : bst_buf_check(&s.labels);
    r = bst_failed(r) ? r : bst_store_run(cse->config.store, compare, &s);
    if (!bst_failed(r)) {
        n = bst_secure_wipe_keys(cse->config.se, &s.lost);
    }
    report(n);
    bst_buf_clear(&s.labels);
    bst_buf_clear(&s.lost);
    bst_arena_clear(&arena);
    return r;
}

bst_result bst_secure_start(struct bst_cse *cse)
{
    if (!cse->config.se) {
        return BST_OK;
    }
    BST_TRY(identify(cse));
    return sweep(cse);
}
