/* Software backend: the folder, its sealed log, opening and closing. */
#include "se/soft/soft_priv.h"

#include <stdio.h>

#define SOFT_LEVEL 1
/* A log with more dead records than this and than twice the live ones is written anew. */
#define DEAD_RECORDS_MIN 1000

static struct bst_soft *soft_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct bst_soft, base);
}

static struct bst_soft_object *object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct bst_soft_object, base);
}

/* ---- storage ---- */

/* Walks what is live for a new log: objects, then counters and state. */
struct live_walk {
    const struct bst_soft *soft;
    const struct bst_list *at;
    size_t cursor;
};

static bst_result next_live(void *ctx, struct bst_buf *ret)
{
    struct live_walk *walk = ctx;
    if (walk->at != &walk->soft->objects) {
        bst_soft_record_put(
            bst_container_of((void *)(uintptr_t)walk->at, struct bst_soft_object, link), ret);
        walk->at = walk->at->next;
    } else {
        bst_soft_life_record(walk->soft, &walk->cursor, ret);
    }
    return BST_OK;
}

bst_result bst_soft_rewrite(struct bst_soft *soft)
{
    struct live_walk walk = {soft, soft->objects.next, 0};
    return bst_soft_log_rewrite(&soft->log, next_live, &walk);
}

/* After a failed write the end of the log is not known, so a new one comes first. A log that is
 * only long may stay long when there is no room to shorten it. */
static bst_result tidy_log(struct bst_soft *soft)
{
    uint64_t live = soft->live + soft->counters.count + 2;
    uint64_t dead = soft->log.count > live ? soft->log.count - live : 0;
    if (soft->log.unsure) {
        return bst_soft_rewrite(soft);
    }
    if (dead > DEAD_RECORDS_MIN && dead > 2 * live) {
        soft->log.unsure = bst_failed(bst_soft_rewrite(soft));
    }
    return BST_OK;
}

bst_result bst_soft_write(struct bst_soft *soft, struct bst_buf *record)
{
    BST_TRY(bst_buf_check(record));
    BST_TRY(tidy_log(soft));
    return bst_soft_log_append(&soft->log, bst_buf_view(record));
}

bst_result bst_soft_store(struct bst_soft *soft, struct bst_soft_object *object,
                          struct bst_soft_object *old)
{
    if (!soft->persistent) {
        BST_FAIL(BST_E_CONFIG, "key '%s' is to be kept, but %s", object->base.attrs.label,
                 soft->plain ? "none: keeps nothing" : "se:soft without dir= keeps nothing");
    }
    bst_auto(buf) record = {0};
    bst_soft_record_put(object, &record);
    pthread_mutex_lock(&soft->write);
    bst_result stored = bst_soft_write(soft, &record);
    if (!bst_failed(stored)) {
        bst_list_append(&soft->objects, &object->link);
        soft->live += old ? 0 : 1;
        if (old) {
            bst_list_remove(&old->link);
        }
    }
    pthread_mutex_unlock(&soft->write);
    return stored;
}

bst_result bst_soft_remove(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct bst_soft *soft = soft_of(backend);
    struct bst_soft_object *object = object_of(base);
    char name[BST_SE_NAME_MAX];
    const struct bst_soft_record gone = {
        .kind = BST_SOFT_DELETE, .text = bst_se_name(base->attrs.label, base->attrs.owner, name)};
    bst_auto(buf) record = {0};
    bst_soft_record_note(&gone, &record);
    pthread_mutex_lock(&soft->write);
    bst_result stored = bst_soft_write(soft, &record);
    if (!bst_failed(stored)) {
        bst_list_remove(&object->link);
        soft->live--;
    }
    pthread_mutex_unlock(&soft->write);
    return stored;
}

/* The front drops only what is removed or, at the end, when nobody writes any more. */
void bst_soft_drop(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct bst_soft_object *object = object_of(base);
    bst_list_remove(&object->link);
    if (backend && object->pkey) {
        atomic_fetch_sub(&soft_of(backend)->open_pairs, 1);
    }
    bst_soft_object_free(object);
}

/* ---- opening ---- */

struct address {
    char dir[BST_SOFT_PATH_MAX - 64];
    char key[BST_SOFT_PATH_MAX];
};

static bst_result copy_value(struct bst_view name, struct bst_view value, char *out, size_t cap)
{
    bst_auto(buf) text = {0};
    if (bst_failed(bst_percent_decode(value, &text)) ||
        bst_failed(bst_view_copy(bst_buf_view(&text), out, cap)) || text.len == 0) {
        BST_FAIL(BST_E_CONFIG,
                 "the value of %.*s= in the address of the secure environment is empty, "
                 "too long or wrongly escaped",
                 BST_VIEW_ARGS(name));
    }
    return BST_OK;
}

static bst_result parse_address(struct bst_view query, struct address *ret)
{
    while (query.len) {
        struct bst_view value, name;
        bst_view_cut(&query, '&', &value);
        bst_view_cut(&value, '=', &name);
        if (bst_view_is(name, "dir")) {
            BST_TRY(copy_value(name, value, ret->dir, sizeof ret->dir));
        } else if (bst_view_is(name, "key")) {
            BST_TRY(copy_value(name, value, ret->key, sizeof ret->key));
        } else {
            BST_FAIL(BST_E_CONFIG,
                     "se:soft has no '%.*s'; it has dir= and key=", BST_VIEW_ARGS(name));
        }
    }
    if (ret->key[0] && !ret->dir[0]) {
        BST_FAIL(BST_E_CONFIG, "se:soft with key= needs dir= too");
    }
    return BST_OK;
}

/* Objects by name while the log is read: a later record may delete or replace an earlier one. */
struct reading {
    struct bst_soft *soft;
    struct bst_map by_name;
    uint64_t next_generation;
};

static bst_result read_object(struct reading *reading, struct bst_soft_object *object)
{
    void *old = NULL;
    char name[BST_SE_NAME_MAX];
    bst_result kept = bst_map_set(&reading->by_name,
                                  bst_soft_log_name(&reading->soft->log, &object->base.attrs, name),
                                  object, &old);
    if (bst_failed(kept)) {
        bst_soft_object_free(object);
        return kept;
    }
    bst_soft_object_free(old);
    if (object->generation >= reading->next_generation) {
        reading->next_generation = object->generation + 1;
    }
    return BST_OK;
}

static bst_result read_record(void *ctx, struct bst_view in)
{
    struct reading *reading = ctx;
    struct bst_soft_record record;
    BST_TRY(bst_soft_record_read(in, &record));
    switch (record.kind) {
    case BST_SOFT_PUT:
        return read_object(reading, record.object);
    case BST_SOFT_DELETE:
        bst_soft_object_free(bst_map_remove(&reading->by_name, record.text));
        return BST_OK;
    default:
        return bst_soft_life_read(reading->soft, &record);
    }
}

static bst_result hand_over(struct bst_soft *soft, struct reading *reading,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    while (bst_map_next(&reading->by_name, &cursor, &name, &value)) {
        struct bst_soft_object *object = value;
        bst_map_remove(&reading->by_name, name);
        bst_list_append(&soft->objects, &object->link);
        soft->live++;
        BST_TRY(found(ctx, &object->base));
    }
    return BST_OK;
}

static void reading_clear(struct reading *reading)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    while (bst_map_next(&reading->by_name, &cursor, &name, &value)) {
        bst_soft_object_free(value);
    }
    bst_map_clear(&reading->by_name);
}

static bst_result read_folder(struct bst_soft *soft, const struct bst_se_host *host,
                              const struct address *address,
                              bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    BST_TRY(bst_soft_keys_open(host, address->dir, address->key, &soft->keys));
    soft->persistent = true;
    soft->log.host = host;
    soft->log.keys = &soft->keys;
    memcpy(soft->log.dir, address->dir, sizeof address->dir);
    struct reading reading = {.soft = soft, .next_generation = 1};
    bst_result read = bst_soft_log_open(&soft->log, read_record, &reading);
    if (!bst_failed(read)) {
        read = hand_over(soft, &reading, found, ctx);
    }
    /* Values in memory only use numbers that no record has; those of records go on after them. */
    atomic_store(&soft->generation, reading.next_generation);
    reading_clear(&reading);
    return read;
}

void bst_soft_close(struct bst_se_backend *backend)
{
    struct bst_soft *soft = soft_of(backend);
    bst_soft_keys_clear(&soft->keys);
    bst_soft_life_clear(soft);
    pthread_mutex_destroy(&soft->write);
    bst_free(soft);
}

bst_result bst_soft_new(const struct bst_se_backend_ops *ops, bool plain, struct bst_soft **ret)
{
    struct bst_soft *soft = bst_alloc(sizeof *soft);
    BST_ENSURE(soft, BST_E_NOMEM);
    soft->base.ops = ops;
    soft->plain = plain;
    soft->state = BST_SE_PERSONALISATION;
    pthread_mutex_init(&soft->write, NULL);
    bst_list_init(&soft->objects);
    *ret = soft;
    return BST_OK;
}

static bst_result soft_open(const struct bst_se_host *host, struct bst_view query,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                            struct bst_se_backend **ret)
{
    struct address address = {0};
    BST_TRY(parse_address(query, &address));
    struct bst_soft *soft = NULL;
    BST_TRY(bst_soft_new(&bst_se_soft, false, &soft));
    bst_result opened = address.dir[0] ? read_folder(soft, host, &address, found, ctx)
                                       : bst_soft_keys_volatile(&soft->keys);
    if (bst_failed(opened)) {
        /* The objects found so far are the front's to drop; they must not lead back here. */
        while (!bst_list_empty(&soft->objects)) {
            bst_list_remove(soft->objects.next);
        }
        bst_soft_close(&soft->base);
        return opened;
    }
    *ret = &soft->base;
    return BST_OK;
}

static void soft_about(struct bst_se_backend *backend, struct bst_se_about *ret)
{
    const struct bst_soft *soft = soft_of(backend);
    snprintf(ret->evidence, sizeof ret->evidence, "software on this machine");
    snprintf(ret->unique, sizeof ret->unique, "%s", soft->persistent ? soft->keys.unique : "");
}

static bst_result soft_pin_change(struct bst_se_backend *backend, const struct bst_secret *old,
                                  const struct bst_secret *fresh)
{
    struct bst_soft *soft = soft_of(backend);
    if (!soft->persistent) {
        BST_FAIL(BST_E_SE_MECHANISM, "se:soft without dir= has no passphrase");
    }
    pthread_mutex_lock(&soft->write);
    bst_result changed = bst_soft_passphrase_change(soft->log.host, soft->log.dir, old, fresh);
    pthread_mutex_unlock(&soft->write);
    return changed;
}

const struct bst_se_backend_ops bst_se_soft = {
    .scheme = "soft",
    .level = SOFT_LEVEL,
    .open = soft_open,
    .about = soft_about,
    .pin_change = soft_pin_change,
    BST_SOFT_OPERATIONS,
};
