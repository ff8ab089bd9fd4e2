/* Software backend, protection level 1: key values sealed in ordinary memory, opened into locked
 * memory for the moment of their use; persistent ones in the folder's sealed log. */
#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/soft/soft_priv.h"

#include <pthread.h>
#include <stdatomic.h>

#define SOFT_LEVEL 1
#define SYMMETRIC_BYTES 32
/* A log with more dead records than this and than twice the live ones is written anew. */
#define DEAD_RECORDS_MIN 1000
/* Key pairs that stay open between uses; the secure heap has room for handshakes too. */
#define OPEN_PAIRS_MAX 1024

struct soft {
    struct bst_se_backend base;
    struct bst_soft_keys keys;
    bool persistent;
    atomic_uint_least64_t generation;
    atomic_uint open_pairs;
    pthread_mutex_t write; /* guards what follows */
    struct bst_soft_log log;
    struct bst_list objects; /* persistent ones */
    uint64_t live;
};

static struct soft *soft_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct soft, base);
}

static struct bst_soft_object *object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct bst_soft_object, base);
}

/* ---- values ---- */

/* Each value has a key of its own: no number of session keys wears out the folder's. */
static bst_result value_key(const struct soft *soft, uint64_t generation, struct bst_secret *ret)
{
    bst_auto(buf) number = {0};
    bst_soft_put(&number, generation, 8);
    BST_TRY(bst_buf_check(&number));
    const struct bst_view parts[] = {BST_VIEW("bastide se object"), bst_buf_view(&number)};
    bst_auto(secret) key = {0};
    BST_TRY(bst_secret_init(&key, BST_AEAD_KEY_BYTES));
    BST_TRY(bst_hmac_sha256(bst_view_of(soft->keys.value.ptr, soft->keys.value.len), parts, 2,
                            key.ptr));
    *ret = key;
    key = (struct bst_secret){0};
    return BST_OK;
}

static bst_result seal_value(const struct soft *soft, const struct bst_key_attrs *attrs,
                             uint64_t generation, const struct bst_secret *value,
                             struct bst_buf *ret)
{
    bst_auto(secret) key = {0};
    bst_auto(buf) binding = {0};
    BST_TRY(value_key(soft, generation, &key));
    BST_TRY(bst_soft_binding(attrs, generation, &binding));
    return bst_aead_seal(bst_view_of(key.ptr, key.len), bst_buf_view(&binding),
                         bst_view_of(value->ptr, value->len), ret);
}

static bst_result open_value(const struct soft *soft, const struct bst_soft_object *object,
                             struct bst_secret *ret)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    bst_auto(secret) key = {0};
    bst_auto(buf) binding = {0};
    BST_TRY(value_key(soft, object->generation, &key));
    BST_TRY(bst_soft_binding(attrs, object->generation, &binding));
    bst_result opened = bst_aead_open_secret(bst_view_of(key.ptr, key.len), bst_buf_view(&binding),
                                             object->blob, ret);
    if (opened.code == BST_E_BAD_MAC) {
        BST_FAIL(BST_E_CORRUPT,
                 "key '%s' does not belong to its label, owner or use; restore the "
                 "folder from a backup",
                 attrs->label);
    }
    return opened;
}

static enum bst_pkey_kind pkey_kind(enum bst_key_type type)
{
    return type == BST_KEY_EC_P256   ? BST_PKEY_EC_P256
           : type == BST_KEY_EC_P384 ? BST_PKEY_EC_P384
                                     : BST_PKEY_ED25519;
}

static bst_result load_pkey(const struct bst_key_attrs *attrs, const struct bst_secret *value,
                            struct evp_pkey_st **ret)
{
    bst_auto_pkey *pkey = NULL;
    enum bst_pkey_kind kind;
    if (attrs->type == BST_KEY_X25519) {
        return bst_agree_key_load(BST_CURVE_X25519, bst_view_of(value->ptr, value->len), ret);
    }
    BST_TRY(bst_pkey_load(bst_view_of(value->ptr, value->len), &pkey));
    BST_TRY(bst_pkey_kind(pkey, &kind));
    if (kind != pkey_kind(attrs->type)) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is %s, not %s", attrs->label, bst_pkey_kind_name(kind),
                 bst_pkey_kind_name(pkey_kind(attrs->type)));
    }
    *ret = bst_steal(&pkey);
    return BST_OK;
}

/* Keep a reference in the object, if there is room for one more. */
static void keep_open(struct soft *soft, struct bst_soft_object *object, struct evp_pkey_st *pkey)
{
    struct evp_pkey_st *none = NULL;
    if (atomic_fetch_add(&soft->open_pairs, 1) < OPEN_PAIRS_MAX &&
        atomic_compare_exchange_strong(&object->pkey, &none, pkey)) {
        bst_pkey_hold(pkey);
    } else {
        atomic_fetch_sub(&soft->open_pairs, 1); /* no room, or another thread was first */
    }
}

/* Parsing a private key costs more than signing: it stays open, its scalar in OpenSSL's secure
 * heap. */
static bst_result pkey_of(struct soft *soft, struct bst_soft_object *object,
                          struct evp_pkey_st **ret)
{
    struct evp_pkey_st *pkey = atomic_load_explicit(&object->pkey, memory_order_acquire);
    if (pkey) {
        *ret = bst_pkey_hold(pkey);
        return BST_OK;
    }
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft, object, &value));
    BST_TRY(load_pkey(&object->base.attrs, &value, ret));
    keep_open(soft, object, *ret);
    return BST_OK;
}

/* ---- storage ---- */

/* Walks the live objects for a new log. */
struct live_walk {
    struct bst_list *head, *at;
};

static bst_result next_live(void *ctx, struct bst_buf *ret)
{
    struct live_walk *walk = ctx;
    walk->at = walk->at->next;
    if (walk->at != walk->head) {
        bst_soft_record_put(bst_container_of(walk->at, struct bst_soft_object, link), ret);
    }
    return BST_OK;
}

/* After a failed write the end of the log is not known, so a new one comes first. A log that is
 * only long may stay long when there is no room to shorten it. */
static bst_result tidy_log(struct soft *soft)
{
    uint64_t dead = soft->log.count - soft->live;
    struct live_walk walk = {&soft->objects, &soft->objects};
    if (soft->log.unsure) {
        return bst_soft_log_rewrite(&soft->log, next_live, &walk);
    }
    if (dead > DEAD_RECORDS_MIN && dead > 2 * soft->live) {
        soft->log.unsure = bst_failed(bst_soft_log_rewrite(&soft->log, next_live, &walk));
    }
    return BST_OK;
}

static bst_result write_record(struct soft *soft, struct bst_buf *record)
{
    BST_TRY(bst_buf_check(record));
    BST_TRY(tidy_log(soft));
    return bst_soft_log_append(&soft->log, bst_buf_view(record));
}

static bst_result store_object(struct soft *soft, struct bst_soft_object *object)
{
    if (!soft->persistent) {
        BST_FAIL(BST_E_CONFIG, "key '%s' is to be kept, but se:soft without dir= keeps nothing",
                 object->base.attrs.label);
    }
    bst_auto(buf) record = {0};
    bst_soft_record_put(object, &record);
    pthread_mutex_lock(&soft->write);
    bst_result stored = write_record(soft, &record);
    if (!bst_failed(stored)) {
        bst_list_append(&soft->objects, &object->link);
        soft->live++;
    }
    pthread_mutex_unlock(&soft->write);
    return stored;
}

static bst_result soft_remove(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct soft *soft = soft_of(backend);
    struct bst_soft_object *object = object_of(base);
    bst_auto(buf) record = {0};
    bst_soft_record_delete(base->attrs.label, &record);
    pthread_mutex_lock(&soft->write);
    bst_result stored = write_record(soft, &record);
    if (!bst_failed(stored)) {
        bst_list_remove(&object->link);
        soft->live--;
    }
    pthread_mutex_unlock(&soft->write);
    return stored;
}

/* The front drops only what is removed or, at the end, when nobody writes any more. */
static void soft_drop(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct bst_soft_object *object = object_of(base);
    bst_list_remove(&object->link);
    if (backend && object->pkey) {
        atomic_fetch_sub(&soft_of(backend)->open_pairs, 1);
    }
    bst_soft_object_free(object);
}

/* ---- making ---- */

static bst_result keep_value(struct soft *soft, const struct bst_key_attrs *attrs,
                             const struct bst_secret *value, struct evp_pkey_st *pkey,
                             struct bst_se_object **ret)
{
    bst_auto(buf) blob = {0};
    uint64_t generation = atomic_fetch_add(&soft->generation, 1);
    BST_TRY(seal_value(soft, attrs, generation, value, &blob));
    struct bst_soft_object *object = NULL;
    BST_TRY(bst_soft_object_new(attrs, generation, bst_buf_view(&blob), &object));
    bst_result stored = attrs->persistent ? store_object(soft, object) : BST_OK;
    if (bst_failed(stored)) {
        bst_soft_object_free(object);
        return stored;
    }
    if (pkey) {
        keep_open(soft, object, pkey);
    }
    *ret = &object->base;
    return BST_OK;
}

static bst_result create_symmetric(struct soft *soft, const struct bst_key_attrs *attrs,
                                   const struct bst_secret *value, struct bst_se_object **ret)
{
    bst_auto(secret) made = {0};
    if (!value) {
        BST_TRY(bst_secret_init(&made, SYMMETRIC_BYTES));
        BST_TRY(bst_random(made.ptr, made.len));
        value = &made;
    }
    if (value->len > BST_KEY_VALUE_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "key '%s' has %zu bytes, %d at most are possible", attrs->label,
                 value->len, BST_KEY_VALUE_MAX);
    }
    if ((attrs->uses & BST_KEY_USE_SEAL) && value->len != BST_AEAD_KEY_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is for sealing and must have %d bytes", attrs->label,
                 BST_AEAD_KEY_BYTES);
    }
    return keep_value(soft, attrs, value, NULL, ret);
}

static bst_result create_pair(struct soft *soft, const struct bst_key_attrs *attrs,
                              const struct bst_secret *value, struct bst_se_object **ret)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0};
    if (value) {
        BST_TRY(load_pkey(attrs, value, &pkey));
    } else if (attrs->type == BST_KEY_X25519) {
        BST_TRY(bst_agree_key_generate(BST_CURVE_X25519, &pkey));
    } else {
        BST_TRY(bst_pkey_generate(pkey_kind(attrs->type), &pkey));
    }
    BST_TRY(bst_pkey_private(pkey, &der));
    return keep_value(soft, attrs, &der, pkey, ret);
}

static bst_result soft_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                              const struct bst_secret *value, struct bst_se_object **ret)
{
    return attrs->type == BST_KEY_SYMMETRIC ? create_symmetric(soft_of(backend), attrs, value, ret)
                                            : create_pair(soft_of(backend), attrs, value, ret);
}

static bst_result soft_derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                              const struct bst_se_derivation *derivation,
                              const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    struct soft *soft = soft_of(backend);
    bst_auto(secret) from = {0}, value = {0};
    BST_TRY(open_value(soft, object_of(parent), &from));
    BST_TRY(bst_secret_init(&value, SYMMETRIC_BYTES));
    struct bst_view key = bst_view_of(from.ptr, from.len);
    BST_TRY(derivation->hkdf ? bst_hkdf_sha256(derivation->parts[0], key, derivation->parts[1],
                                               value.ptr, value.len)
                             : bst_hmac_sha256(key, derivation->parts, derivation->n, value.ptr));
    return create_symmetric(soft, attrs, &value, ret);
}

/* ---- using ---- */

static bst_result soft_public(struct bst_se_backend *backend, struct bst_se_object *object,
                              struct bst_buf *ret_spki)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_pkey_spki(pkey, ret_spki);
}

static bst_result soft_sign(struct bst_se_backend *backend, struct bst_se_object *object,
                            enum bst_md md, struct bst_view tbs, uint8_t *out, size_t *ret_len)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_pkey_sign_raw(pkey, md, tbs, out, ret_len);
}

static bst_result soft_mac(struct bst_se_backend *backend, struct bst_se_object *object,
                           const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES])
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_hmac_sha256(bst_view_of(value.ptr, value.len), parts, n, out);
}

static bst_result soft_seal(struct bst_se_backend *backend, struct bst_se_object *object,
                            struct bst_view aad, struct bst_view in, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_aead_seal(bst_view_of(value.ptr, value.len), aad, in, ret);
}

static bst_result soft_unseal(struct bst_se_backend *backend, struct bst_se_object *object,
                              struct bst_view aad, struct bst_view blob, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_aead_open(bst_view_of(value.ptr, value.len), aad, blob, ret);
}

static bst_result soft_ecies_open(struct bst_se_backend *backend, struct bst_se_object *object,
                                  struct bst_view info, struct bst_view blob,
                                  struct bst_secret *ret)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_ecies_open(pkey, info, blob, ret);
}

static bst_result soft_agree(struct bst_se_backend *backend, struct bst_se_object *object,
                             struct bst_view point, struct bst_view info, size_t len,
                             struct bst_secret *ret)
{
    enum bst_curve curve = object->attrs.type == BST_KEY_X25519 ? BST_CURVE_X25519 : BST_CURVE_P256;
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) z = {0}, derived = {0};
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    BST_TRY(bst_agree(curve, pkey, point, &z));
    BST_TRY(bst_secret_init(&derived, len));
    BST_TRY(bst_x963_sha256(bst_view_of(z.ptr, z.len), info, derived.ptr, derived.len));
    *ret = derived;
    derived = (struct bst_secret){0};
    return BST_OK;
}

static bst_result soft_run(struct bst_se_backend *backend, struct bst_se_object *object,
                           const struct bst_se_routine *routine, void *io)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return routine->run(bst_view_of(value.ptr, value.len), io);
}

static bst_result soft_release(struct bst_se_backend *backend, struct bst_se_object *object,
                               struct bst_secret *ret)
{
    return open_value(soft_of(backend), object_of(object), ret);
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

/* Objects by label while the log is read: a later record may delete an earlier one. */
struct reading {
    struct bst_map by_label;
    uint64_t next_generation;
};

static bst_result read_record(void *ctx, struct bst_view record)
{
    struct reading *reading = ctx;
    struct bst_soft_object *object = NULL;
    struct bst_view label;
    BST_TRY(bst_soft_record_read(record, &object, &label));
    if (!object) {
        bst_soft_object_free(bst_map_remove(&reading->by_label, label));
        return BST_OK;
    }
    void *old = NULL;
    bst_result kept =
        bst_map_set(&reading->by_label, bst_view(object->base.attrs.label), object, &old);
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

static bst_result hand_over(struct soft *soft, struct reading *reading,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    size_t cursor = 0;
    struct bst_view label;
    void *value;
    while (bst_map_next(&reading->by_label, &cursor, &label, &value)) {
        struct bst_soft_object *object = value;
        bst_map_remove(&reading->by_label, label);
        bst_list_append(&soft->objects, &object->link);
        soft->live++;
        BST_TRY(found(ctx, &object->base));
    }
    return BST_OK;
}

static void reading_clear(struct reading *reading)
{
    size_t cursor = 0;
    struct bst_view label;
    void *value;
    while (bst_map_next(&reading->by_label, &cursor, &label, &value)) {
        bst_soft_object_free(value);
    }
    bst_map_clear(&reading->by_label);
}

static bst_result read_folder(struct soft *soft, const struct bst_se_host *host,
                              const struct address *address,
                              bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx)
{
    BST_TRY(bst_soft_keys_open(host, address->dir, address->key, &soft->keys));
    soft->persistent = true;
    soft->log.host = host;
    soft->log.keys = &soft->keys;
    memcpy(soft->log.dir, address->dir, sizeof address->dir);
    struct reading reading = {.next_generation = 1};
    bst_result read = bst_soft_log_open(&soft->log, read_record, &reading);
    if (!bst_failed(read)) {
        read = hand_over(soft, &reading, found, ctx);
    }
    /* Values in memory only use numbers that no record has; those of records go on after them. */
    atomic_store(&soft->generation, reading.next_generation);
    reading_clear(&reading);
    return read;
}

static void soft_close(struct bst_se_backend *backend)
{
    struct soft *soft = soft_of(backend);
    bst_soft_keys_clear(&soft->keys);
    pthread_mutex_destroy(&soft->write);
    bst_free(soft);
}

static bst_result soft_open(const struct bst_se_host *host, struct bst_view query,
                            bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                            struct bst_se_backend **ret)
{
    struct address address = {0};
    BST_TRY(parse_address(query, &address));
    struct soft *soft = bst_alloc(sizeof *soft);
    BST_ENSURE(soft, BST_E_NOMEM);
    soft->base.ops = &bst_se_soft;
    pthread_mutex_init(&soft->write, NULL);
    bst_list_init(&soft->objects);
    bst_result opened = address.dir[0] ? read_folder(soft, host, &address, found, ctx)
                                       : bst_soft_keys_volatile(&soft->keys);
    if (bst_failed(opened)) {
        /* The objects found so far are the front's to drop; they must not lead back here. */
        while (!bst_list_empty(&soft->objects)) {
            bst_list_remove(soft->objects.next);
        }
        soft_close(&soft->base);
        return opened;
    }
    *ret = &soft->base;
    return BST_OK;
}

const struct bst_se_backend_ops bst_se_soft = {
    .scheme = "soft",
    .level = SOFT_LEVEL,
    .open = soft_open,
    .close = soft_close,
    .create = soft_create,
    .derive = soft_derive,
    .remove = soft_remove,
    .drop = soft_drop,
    .public_key = soft_public,
    .sign = soft_sign,
    .mac = soft_mac,
    .seal = soft_seal,
    .unseal = soft_unseal,
    .ecies_open = soft_ecies_open,
    .agree = soft_agree,
    .run = soft_run,
    .release = soft_release,
};
