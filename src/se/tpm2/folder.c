/* The folder: a sealed log of keys, counters and state, and an NV counter that says which log is
 * the newest.
 *
 * Every record has a number, one more than the one before; when it is durable, the NV counter
 * follows. A folder whose last number is below the counter was put back from a copy. One that is a
 * single number above was left by a crash between the two. */
#include "se/tpm2/tpm2_priv.h"

#include <inttypes.h>
#include <stdio.h>

/* A log with more dead records than this and than twice the live ones is written anew. */
#define DEAD_RECORDS_MIN 1000
#define MANIFEST_BYTES_MAX 4096

bst_result tpm2_folder_need(const struct tpm2 *t, const char *what)
{
    if (!t->address.dir[0]) {
        BST_FAIL(BST_E_CONFIG, "%s is to be kept, but tpm2: without dir= keeps nothing", what);
    }
    return BST_OK;
}

/* ---- writing; with the lock ---- */

static bst_result read_pin(const struct tpm2 *t, TPM2B_AUTH *ret)
{
    BST_TRY(tpm2_read_auth(t, t->address.pin_source, ret));
    if (t->address.pin_source[0] && ret->size == 0) {
        BST_FAIL(BST_E_SE_PIN, "there is no PIN in %s", t->address.pin_source);
    }
    return BST_OK;
}

static bst_result no_record(void *ctx, struct bst_view record)
{
    return bst_error(BST_E_CORRUPT); /* a new folder has none */
}

static void set_log(struct tpm2 *t)
{
    t->folder.log.host = t->host;
    t->folder.log.keys = &t->folder.keys;
    memcpy(t->folder.log.dir, t->address.dir, sizeof t->address.dir);
}

static bst_result store_head(struct tpm2 *t)
{
    TPM2B_AUTH pin = {.size = 0};
    bst_result stored = read_pin(t, &pin);
    if (!bst_failed(stored)) {
        stored = tpm2_root_store(t, &pin);
    }
    bst_wipe(&pin, sizeof pin);
    return stored;
}

/* With the first thing to keep. */
static bst_result make_folder(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    if (!f->index) {
        BST_TRY(tpm2_nv_make(t, &f->index, &f->first));
    }
    /* No counter of this TPM ever was above, of earlier folders neither. */
    f->generation = f->floor = f->first;
    set_log(t);
    bst_result made = store_head(t);
    if (!bst_failed(made)) {
        made = bst_soft_log_open(&f->log, no_record, NULL);
    }
    if (bst_failed(made)) {
        char path[BST_SOFT_PATH_MAX], said[512];
        snprintf(said, sizeof said, "%s", bst_error_detail());
        tpm2_head_path(t, path);
        bool gone = !bst_failed(t->host->remove(t->host->ctx, path));
        if (gone && !bst_failed(tpm2_nv_remove(t, f->index))) {
            f->index = 0; /* else the next attempt takes it */
        }
        bst_error_set_detail(said);
        return made;
    }
    f->there = true;
    return BST_OK;
}

/* The records of a new log: a mark, state, counters, keys. */
struct walk {
    struct tpm2 *t;
    struct bst_list *at;
    unsigned step;
};

static bool next_of(struct walk *walk, struct bst_list *head)
{
    walk->at = walk->at ? walk->at->next : head->next;
    if (walk->at == head) {
        walk->at = NULL;
        walk->step++;
        return false;
    }
    return true;
}

static bst_result next_record(void *ctx, struct bst_buf *ret)
{
    struct walk *walk = ctx;
    struct tpm2_folder *f = &walk->t->folder;
    struct tpm2_record record = {.generation = f->generation, .kind = TPM2_RECORD_MARK};
    if (walk->step == 0) {
        walk->step++;
    } else if (walk->step == 1) {
        walk->step++;
        record.kind = TPM2_RECORD_STATE;
        record.state = f->state;
        record.name = bst_view(f->why);
    } else if (walk->step == 2) {
        walk->step++;
        record.kind = TPM2_RECORD_COUNTER_GONE;
        record.base = f->floor;
    } else if (walk->step == 3 && next_of(walk, &f->counters)) {
        struct tpm2_counter *counter = bst_container_of(walk->at, struct tpm2_counter, link);
        record.kind = TPM2_RECORD_COUNTER;
        record.index = counter->index;
        record.base = counter->base;
        record.name = bst_view(counter->name);
    } else if (walk->step == 4 && next_of(walk, &f->objects)) {
        record.kind = TPM2_RECORD_KEY;
        record.object = bst_container_of(walk->at, struct tpm2_object, link);
    } else {
        return BST_OK;
    }
    tpm2_record_put(&record, ret);
    return BST_OK;
}

static bst_result rewrite(struct tpm2 *t)
{
    struct walk walk = {.t = t};
    return bst_soft_log_rewrite(&t->folder.log, next_record, &walk);
}

/* After a failed write the end of the log is not known, so a new one comes first. A log that is
 * only long may stay long when there is no room to shorten it. */
static bst_result tidy_log(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    if (f->log.unsure) {
        return rewrite(t);
    }
    if (f->log.count > f->live + DEAD_RECORDS_MIN && f->log.count > 3 * f->live) {
        f->log.unsure = bst_failed(rewrite(t));
    }
    return BST_OK;
}

static bst_result other_counter(const struct tpm2 *t, uint64_t value)
{
    BST_FAIL(BST_E_CORRUPT,
             "TPM '%s': its counter for %s stands at %" PRIu64 " where the folder is at %" PRIu64
             "%s",
             t->address.tcti, t->address.dir, value, t->folder.generation,
             value > t->folder.generation
                 ? ": the folder was put back from an older copy; bring back the newest one"
                 : ": the TPM itself was put back to an older state");
}

/* The NV counter comes to where the folder is. */
static bst_result follow(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    uint64_t value = 0;
    if (!f->behind) {
        return BST_OK;
    }
    BST_TRY(tpm2_nv_next(t, f->index, f->generation, &value));
    if (value != f->generation) {
        return other_counter(t, value);
    }
    f->behind = false;
    return BST_OK;
}

/* A second program that writes the folder is found out before either spoils it. */
static bst_result still_ours(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    uint64_t value = 0;
    if (f->behind) {
        return follow(t);
    }
    BST_TRY(tpm2_nv_get(t, f->index, &value));
    if (value != f->generation) {
        BST_FAIL(BST_E_LOCKED,
                 "another program has changed the keys in %s since they were opened here; a folder "
                 "has one writer: open it anew",
                 t->address.dir);
    }
    return BST_OK;
}

bst_result tpm2_folder_make(struct tpm2 *t)
{
    return t->folder.there ? BST_OK : make_folder(t);
}

bst_result tpm2_folder_write(struct tpm2 *t, struct tpm2_record *record)
{
    struct tpm2_folder *f = &t->folder;
    bst_auto(buf) bytes = {0};
    BST_TRY(tpm2_folder_make(t));
    BST_TRY(still_ours(t));
    BST_TRY(tidy_log(t));
    record->generation = f->generation + 1;
    tpm2_record_put(record, &bytes);
    BST_TRY(bst_buf_check(&bytes));
    BST_TRY(bst_soft_log_append(&f->log, bst_buf_view(&bytes)));
    f->generation++;
    f->behind = true;
    /* It is kept now. A TPM that went away meanwhile is told before the next record. */
    (void)follow(t).code;
    return BST_OK;
}

bst_result tpm2_folder_add(struct tpm2 *t, struct tpm2_object *object)
{
    struct tpm2_record record = {.kind = TPM2_RECORD_KEY, .object = object};
    BST_TRY(tpm2_folder_need(t, object->base.attrs.label));
    pthread_mutex_lock(&t->write);
    bst_result stored = tpm2_folder_write(t, &record);
    if (!bst_failed(stored)) {
        bst_list_append(&t->folder.objects, &object->link);
        t->folder.live++;
    }
    pthread_mutex_unlock(&t->write);
    return stored;
}

static struct bst_view name_of(const struct tpm2_object *object, char out[BST_SE_NAME_MAX])
{
    return bst_se_name(object->base.attrs.label, object->base.attrs.owner, out);
}

bst_result tpm2_folder_change(struct tpm2 *t, struct tpm2_object *object, struct tpm2_object *fresh)
{
    char name[BST_SE_NAME_MAX];
    struct tpm2_record record = {
        .kind = TPM2_RECORD_KEY, .name = name_of(object, name), .object = fresh};
    pthread_mutex_lock(&t->write);
    bst_result stored = tpm2_folder_write(t, &record);
    if (!bst_failed(stored)) {
        bst_list_remove(&object->link);
        bst_list_append(&t->folder.objects, &fresh->link);
    }
    pthread_mutex_unlock(&t->write);
    return stored;
}

bst_result tpm2_folder_remove(struct tpm2 *t, struct tpm2_object *object)
{
    char name[BST_SE_NAME_MAX];
    struct tpm2_record record = {.kind = TPM2_RECORD_DELETE, .name = name_of(object, name)};
    pthread_mutex_lock(&t->write);
    bst_result stored = tpm2_folder_write(t, &record);
    if (!bst_failed(stored)) {
        bst_list_remove(&object->link);
        t->folder.live--;
    }
    pthread_mutex_unlock(&t->write);
    return stored;
}

/* ---- life cycle ---- */

enum bst_se_state tpm2_state(struct bst_se_backend *backend)
{
    return tpm2_of(backend)->folder.state;
}

static void take_state(struct tpm2 *t, enum bst_se_state state, struct bst_view why)
{
    t->folder.state = state;
    snprintf(t->folder.why, sizeof t->folder.why, "%.*s", BST_VIEW_ARGS(why));
}

bst_result tpm2_set_state(struct bst_se_backend *backend, enum bst_se_state state, const char *why)
{
    struct tpm2 *t = tpm2_of(backend);
    struct bst_view reason = bst_view(why);
    reason.len = reason.len < sizeof t->folder.why ? reason.len : sizeof t->folder.why - 1;
    struct tpm2_record record = {.kind = TPM2_RECORD_STATE, .state = state, .name = reason};
    pthread_mutex_lock(&t->write);
    bst_result stored = t->address.dir[0] ? tpm2_folder_write(t, &record) : BST_OK;
    if (!bst_failed(stored)) {
        take_state(t, state, reason);
    }
    pthread_mutex_unlock(&t->write);
    return stored;
}

static struct tpm2_counter *any_counter(struct tpm2 *t)
{
    struct bst_list *head = &t->folder.counters;
    return bst_list_empty(head) ? NULL : bst_container_of(head->next, struct tpm2_counter, link);
}

static bst_result wipe_locked(struct tpm2 *t)
{
    for (struct tpm2_counter *c = any_counter(t); c; c = any_counter(t)) {
        struct tpm2_record record = {.kind = TPM2_RECORD_COUNTER_GONE, .name = bst_view(c->name)};
        BST_TRY(tpm2_folder_write(t, &record));
        uint32_t index = c->index;
        tpm2_counter_forget(t, c);
        BST_TRY(tpm2_nv_remove(t, index));
    }
    if (!t->folder.there) {
        return BST_OK;
    }
    struct tpm2_record mark = {.kind = TPM2_RECORD_MARK};
    BST_TRY(tpm2_folder_write(t, &mark));
    return rewrite(t); /* what was deleted is not to be found on storage any more */
}

bst_result tpm2_wipe(struct bst_se_backend *backend)
{
    struct tpm2 *t = tpm2_of(backend);
    pthread_mutex_lock(&t->write);
    bst_result wiped = wipe_locked(t);
    pthread_mutex_unlock(&t->write);
    return wiped;
}

/* The old PIN is proved to the TPM; then the same root is sealed under the new one. */
static bst_result change_pin(struct tpm2 *t, const TPM2B_AUTH *old, const TPM2B_AUTH *fresh)
{
    bst_auto(buf) bytes = {0};
    struct tpm2_head head;
    if (!t->folder.there) {
        BST_FAIL(BST_E_NOT_FOUND,
                 "no key is kept in %s yet, and so no PIN; the first key takes "
                 "that of pin-source=",
                 t->address.dir);
    }
    BST_TRY(tpm2_head_load(t, &bytes, &head));
    BST_TRY(tpm2_root_open(t, &head, old));
    return tpm2_root_store(t, fresh);
}

bst_result tpm2_pin_change(struct bst_se_backend *backend, const struct bst_secret *old,
                           const struct bst_secret *fresh)
{
    struct tpm2 *t = tpm2_of(backend);
    TPM2B_AUTH from = {.size = 0}, to = {.size = 0};
    BST_TRY(tpm2_folder_need(t, "a PIN"));
    pthread_mutex_lock(&t->write);
    bst_result r = tpm2_auth_of(bst_view_of(old->ptr, old->len), &from);
    r = bst_failed(r) ? r : tpm2_auth_of(bst_view_of(fresh->ptr, fresh->len), &to);
    r = bst_failed(r) ? r : change_pin(t, &from, &to);
    pthread_mutex_unlock(&t->write);
    bst_wipe(&from, sizeof from);
    bst_wipe(&to, sizeof to);
    return r;
}

/* ---- reading ---- */

/* Objects by name while the log is read: a later record may delete an earlier one. */
struct reading {
    struct tpm2 *t;
    struct bst_map by_name;
};

static void forget_counter(struct tpm2 *t, struct bst_view name)
{
    struct bst_list *head = &t->folder.counters;
    for (struct bst_list *at = head->next; at != head; at = at->next) {
        struct tpm2_counter *counter = bst_container_of(at, struct tpm2_counter, link);
        if (bst_view_is(name, counter->name)) {
            tpm2_counter_forget(t, counter);
            return;
        }
    }
}

static bst_result read_key(struct reading *reading, struct bst_view replaced,
                           struct tpm2_object *object)
{
    void *old = NULL;
    char name[BST_SE_NAME_MAX];
    bst_free(bst_map_remove(&reading->by_name, replaced));
    bst_result kept = bst_map_set(
        &reading->by_name, bst_soft_log_name(&reading->t->folder.log, &object->base.attrs, name),
        object, &old);
    bst_free(bst_failed(kept) ? object : old);
    return kept;
}

static bst_result read_record(void *ctx, struct bst_view bytes)
{
    struct reading *reading = ctx;
    struct tpm2_folder *f = &reading->t->folder;
    struct tpm2_record record;
    BST_TRY(tpm2_record_read(bytes, &record));
    f->generation = record.generation;
    switch (record.kind) {
    case TPM2_RECORD_KEY:
        return read_key(reading, record.name, record.object);
    case TPM2_RECORD_DELETE:
        bst_free(bst_map_remove(&reading->by_name, record.name));
        return BST_OK;
    case TPM2_RECORD_COUNTER:
        return tpm2_counter_new(reading->t, record.name, record.index, record.base);
    case TPM2_RECORD_COUNTER_GONE:
        forget_counter(reading->t, record.name);
        f->floor = record.base > f->floor ? record.base : f->floor;
        return BST_OK;
    case TPM2_RECORD_STATE:
        take_state(reading->t, record.state, record.name);
        return BST_OK;
    case TPM2_RECORD_MARK:
        return BST_OK;
    }
    return bst_error(BST_E_CORRUPT);
}

static bst_result hand_over(struct tpm2 *t, struct reading *reading,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    size_t cursor = 0;
    struct bst_view name;
    void *value;
    while (bst_map_next(&reading->by_name, &cursor, &name, &value)) {
        struct tpm2_object *object = value;
        bst_map_remove(&reading->by_name, name);
        object->base.attrs.level = object->inside ? t->base.level : 1;
        bst_list_append(&t->folder.objects, &object->link);
        t->folder.live++;
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
        bst_free(value);
    }
    bst_map_clear(&reading->by_name);
}

/* ---- is it the newest? ---- */

static bst_result check_generation(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    uint64_t value = 0;
    BST_TRY(tpm2_nv_get(t, f->index, &value));
    if (value != f->generation && value + 1 != f->generation) {
        return other_counter(t, value);
    }
    f->behind = value != f->generation;
    return follow(t);
}

static bst_result read_folder(struct tpm2 *t,
                              bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    struct reading reading = {.t = t};
    t->folder.generation = t->folder.floor = t->folder.first;
    set_log(t);
    bst_result read = bst_soft_log_open(&t->folder.log, read_record, &reading);
    if (!bst_failed(read)) {
        read = check_generation(t);
    }
    if (!bst_failed(read)) {
        read = hand_over(t, &reading, found, ctx);
    }
    t->folder.there = !bst_failed(read); /* else nothing of it is touched */
    reading_clear(&reading);
    return read;
}

static bst_result open_root(struct tpm2 *t, const struct tpm2_head *head)
{
    TPM2B_AUTH pin = {.size = 0};
    bst_result opened = read_pin(t, &pin);
    if (!bst_failed(opened)) {
        opened = tpm2_root_open(t, head, &pin);
    }
    bst_wipe(&pin, sizeof pin);
    return opened;
}

/* What the folder was made with holds, unless the address says something else. */
static bst_result agree_with_address(struct tpm2 *t, const struct tpm2_head *head)
{
    struct tpm2_address *a = &t->address;
    if ((a->pcrs && a->pcrs != head->pcrs) || (a->parent && a->parent != head->parent)) {
        BST_FAIL(BST_E_CONFIG,
                 "the keys in %s were made with another pcrs= or parent= than the address has",
                 a->dir);
    }
    a->pcrs = head->pcrs;
    a->parent = head->parent;
    if (head->parent_name.len) {
        memcpy(t->parent_name, head->parent_name.ptr, head->parent_name.len);
    }
    t->parent_name_len = head->parent_name.len;
    return BST_OK;
}

/* Without a head the folder must be new, or a new one would hide the old keys. */
static bst_result ensure_new(const struct tpm2 *t)
{
    char path[BST_SOFT_PATH_MAX];
    bst_auto(buf) unused = {0};
    snprintf(path, sizeof path, "%s/manifest", t->address.dir);
    if (t->host->read(t->host->ctx, path, MANIFEST_BYTES_MAX, &unused).code != BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s/tpm is missing although there are keys; restore the folder from a backup",
                 t->address.dir);
    }
    return BST_OK;
}

bst_result tpm2_folder_open(struct tpm2 *t,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    bst_auto(buf) bytes = {0};
    struct tpm2_head head = {0};
    bst_result got =
        t->address.dir[0] ? tpm2_head_load(t, &bytes, &head) : bst_error(BST_E_NOT_FOUND);
    if (got.code == BST_E_NOT_FOUND) {
        BST_TRY(t->address.dir[0] ? ensure_new(t) : BST_OK);
        BST_TRY(tpm2_root_new(t));
        return tpm2_open_device(t);
    }
    BST_TRY(got);
    BST_TRY(agree_with_address(t, &head));
    BST_TRY(tpm2_open_device(t));
    BST_TRY(open_root(t, &head));
    return read_folder(t, found, ctx);
}

/* ---- closing ---- */

/* Log before head: where one that cannot be removed stays, the tomb says that it means nothing. */
void tpm2_folder_bury(const struct tpm2 *t, uint64_t log_number)
{
    const struct bst_se_host *host = t->host;
    char path[BST_SOFT_PATH_MAX];
    snprintf(path, sizeof path, "%s/keys.%" PRIu64, t->address.dir, log_number);
    bool gone = !bst_failed(host->remove(host->ctx, path));
    snprintf(path, sizeof path, "%s/manifest", t->address.dir);
    gone = !bst_failed(host->remove(host->ctx, path)) && gone;
    if (gone) {
        tpm2_head_path(t, path);
        (void)host->remove(host->ctx, path).code;
    }
}

static void remove_folder(struct tpm2 *t)
{
    bst_auto(buf) tomb = {0};
    char path[BST_SOFT_PATH_MAX];
    tpm2_head_path(t, path);
    tpm2_tomb_put(t->folder.log.number, &tomb);
    if (bst_failed(bst_buf_check(&tomb)) ||
        bst_failed(t->host->replace(t->host->ctx, path, bst_buf_view(&tomb)))) {
        return;
    }
    (void)tpm2_nv_remove(t, t->folder.index).code;
    tpm2_folder_bury(t, t->folder.log.number);
}

void tpm2_folder_close(struct tpm2 *t)
{
    struct tpm2_folder *f = &t->folder;
    if (f->there && f->live == 0 && f->state == BST_SE_PERSONALISATION && t->up) {
        remove_folder(t);
    }
    for (struct tpm2_counter *c = any_counter(t); c; c = any_counter(t)) {
        tpm2_counter_forget(t, c);
    }
    bst_secret_clear(&f->root);
    bst_soft_keys_clear(&f->keys);
}
