/* Inside the soft backend: state key, sealed log, records. */
#pragma once

#include "base/map.h"
#include "se/backend.h"

#include <pthread.h>
#include <stdatomic.h>

struct evp_pkey_st;

/* ---- bytes in order, big-endian ---- */

void bst_soft_put(struct bst_buf *out, uint64_t number, size_t bytes);
void bst_soft_put_text(struct bst_buf *out, const char *text);
/** Takes from the front of *in; false when it is too short. */
bool bst_soft_take(struct bst_view *in, size_t bytes, uint64_t *ret);
bool bst_soft_take_view(struct bst_view *in, size_t len_bytes, struct bst_view *ret);

/* ---- keys of a folder ---- */

#define BST_SOFT_UNIQUE_BYTES 33
struct bst_soft_keys {
    struct bst_secret value;            /* seals key values, on storage and in memory */
    struct bst_secret log;              /* seals records */
    struct bst_secret manifest;         /* seals the manifest */
    char unique[BST_SOFT_UNIQUE_BYTES]; /* names the folder, whatever its passphrase */
};
void bst_soft_keys_clear(struct bst_soft_keys *keys);
/** From a random root: nothing is kept. */
bst_result bst_soft_keys_volatile(struct bst_soft_keys *ret);
/** From the folder's state key, which is made when the folder is new.
 * @param source   "file:PATH", "credential:NAME", "passphrase:" and one of these; "" for the
 * default
 * @error BST_E_SE_PIN  the key is not the one of this folder  @error BST_E_SE_BLOCKED  too many
 * wrong passphrases */
bst_result bst_soft_keys_open(const struct bst_se_host *host, const char *dir, const char *source,
                              struct bst_soft_keys *ret);

/** Seal the root of a folder under another passphrase. A wrong old one counts. */
bst_result bst_soft_passphrase_change(const struct bst_se_host *host, const char *dir,
                                      const struct bst_secret *old, const struct bst_secret *fresh);

/* ---- sealed log ----
 *
 * keys.<n>  magic || id[16] || { length(be32) || sealed record }...
 *           A record is bound to the log's form and id, its place and the tag before it.
 * manifest  sealed: which log, how many records, the last tag. Written after each record, so that
 *           what was there once cannot be taken away unnoticed; the log may be ahead of it. */

#define BST_SOFT_PATH_MAX 1024
#define BST_SOFT_ID_BYTES 16
#define BST_SOFT_TAG_BYTES 16

struct bst_soft_log {
    const struct bst_se_host *host;
    const struct bst_soft_keys *keys;
    char dir[BST_SOFT_PATH_MAX - 64];
    uint64_t number, count; /* of the log file, of records in it */
    uint8_t id[BST_SOFT_ID_BYTES], tag[BST_SOFT_TAG_BYTES];
    unsigned form; /* of the file: in the first one labels were unique over all owners */
    bool unsure;   /* of an older form, or with an unknown end: write the log anew first */
};
/** What tells the keys of this log apart. `out` is room for a name. */
struct bst_view bst_soft_log_name(const struct bst_soft_log *log, const struct bst_key_attrs *attrs,
                                  char out[BST_SE_NAME_MAX]);
/** Read and check; `each` gets every record, in order. */
bst_result bst_soft_log_open(struct bst_soft_log *log,
                             bst_result (*each)(void *ctx, struct bst_view record), void *ctx);
/** Durable when it returns success. After a failure the log wants bst_soft_log_rewrite(). */
bst_result bst_soft_log_append(struct bst_soft_log *log, struct bst_view record);
/** Write a new log with the records that `next` gives until it gives an empty one. */
bst_result bst_soft_log_rewrite(struct bst_soft_log *log,
                                bst_result (*next)(void *ctx, struct bst_buf *ret), void *ctx);

/* ---- objects and their records ---- */

struct bst_soft_object {
    struct bst_se_object base;
    struct bst_list link;               /* among the persistent ones */
    uint64_t generation;                /* of the value: no two are the same in one folder */
    _Atomic(struct evp_pkey_st *) pkey; /* asymmetric: opened at first use */
    struct bst_view blob;               /* sealed value */
    /* label, owner and blob follow */
};
/** Copies everything; `attrs` with label and owner. */
bst_result bst_soft_object_new(const struct bst_key_attrs *attrs, uint64_t generation,
                               struct bst_view blob, struct bst_soft_object **ret);
void bst_soft_object_free(struct bst_soft_object *object);
/** What a sealed value is bound to. */
bst_result bst_soft_binding(const struct bst_key_attrs *attrs, uint64_t generation,
                            struct bst_buf *ret);
/** What a record says. */
struct bst_soft_record {
    enum bst_soft_record_kind {
        BST_SOFT_PUT = 1,
        BST_SOFT_DELETE = 2,
        BST_SOFT_COUNTER = 3,         /* stands at `number` */
        BST_SOFT_COUNTER_REMOVED = 4, /* stood there; "": the highest that any removed one had */
        BST_SOFT_STATE = 5,           /* enum bst_se_state in `number`, the reason in `text` */
    } kind;
    struct bst_soft_object *object; /* PUT: made by reading */
    struct bst_view text;           /* what the log calls it; in the record */
    uint64_t number;
};
void bst_soft_record_put(const struct bst_soft_object *object, struct bst_buf *ret);
/** Every kind but PUT. */
void bst_soft_record_note(const struct bst_soft_record *record, struct bst_buf *ret);
bst_result bst_soft_record_read(struct bst_view in, struct bst_soft_record *ret);

/* ---- the backend ---- */

struct bst_soft_counter {
    uint64_t value;
};

struct bst_soft {
    struct bst_se_backend base;
    struct bst_soft_keys keys;
    bool plain; /* values are not sealed */
    bool persistent;
    atomic_uint_least64_t generation;
    atomic_uint open_pairs;
    pthread_mutex_t write; /* guards what follows */
    struct bst_soft_log log;
    struct bst_list objects; /* persistent ones */
    uint64_t live;
    struct bst_map counters; /* name -> struct bst_soft_counter */
    uint64_t floor;          /* no removed counter was above */
    enum bst_se_state state;
    char why[128]; /* it came to this */
};

/** Keep an object. @param old  is not kept any more by the same record; has the same name, or NULL
 */
bst_result bst_soft_store(struct bst_soft *soft, struct bst_soft_object *object,
                          struct bst_soft_object *old);
/** A record that is durable when it returns success; with the lock. */
bst_result bst_soft_write(struct bst_soft *soft, struct bst_buf *record);
/** Write the log anew, dead records left out; with the lock. */
bst_result bst_soft_rewrite(struct bst_soft *soft);
/** What a record of the log does to counters and state. */
bst_result bst_soft_life_read(struct bst_soft *soft, const struct bst_soft_record *record);
/** The n-th record that says how counters and state stand; false behind the last one. */
bool bst_soft_life_record(const struct bst_soft *soft, size_t *cursor, struct bst_buf *ret);
void bst_soft_life_clear(struct bst_soft *soft);
/** A backend that keeps nothing; its values sealed unless `plain`. */
bst_result bst_soft_new(const struct bst_se_backend_ops *ops, bool plain, struct bst_soft **ret);

void bst_soft_close(struct bst_se_backend *backend);
bst_result bst_soft_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                           const struct bst_secret *value, struct bst_se_object **ret);
bst_result bst_soft_derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                           const struct bst_se_derivation *derivation,
                           const struct bst_key_attrs *attrs, struct bst_se_object **ret);
bst_result bst_soft_remove(struct bst_se_backend *backend, struct bst_se_object *object);
void bst_soft_drop(struct bst_se_backend *backend, struct bst_se_object *object);
bst_result bst_soft_public(struct bst_se_backend *backend, struct bst_se_object *object,
                           struct bst_buf *ret_spki);
bst_result bst_soft_sign(struct bst_se_backend *backend, struct bst_se_object *object,
                         enum bst_md md, struct bst_view tbs, uint8_t *out, size_t *ret_len);
bst_result bst_soft_mac(struct bst_se_backend *backend, struct bst_se_object *object,
                        const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES]);
bst_result bst_soft_seal(struct bst_se_backend *backend, struct bst_se_object *object,
                         struct bst_view aad, struct bst_view in, struct bst_buf *ret);
bst_result bst_soft_unseal(struct bst_se_backend *backend, struct bst_se_object *object,
                           struct bst_view aad, struct bst_view blob, struct bst_buf *ret);
bst_result bst_soft_ecies_open(struct bst_se_backend *backend, struct bst_se_object *object,
                               struct bst_view info, struct bst_view blob, struct bst_secret *ret);
bst_result bst_soft_agree(struct bst_se_backend *backend, struct bst_se_object *object,
                          struct bst_view point, struct bst_secret *ret_z);
bst_result bst_soft_run(struct bst_se_backend *backend, struct bst_se_object *object,
                        const struct bst_se_routine *routine, void *io);
bst_result bst_soft_release(struct bst_se_backend *backend, struct bst_se_object *object,
                            struct bst_secret *ret);
bst_result bst_soft_random(struct bst_se_backend *backend, uint8_t *out, size_t n);
bst_result bst_soft_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                         struct bst_se_object *object, struct bst_view text, struct bst_buf *ret);
bst_result bst_soft_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                           struct bst_view wrapped, const struct bst_key_attrs *attrs,
                           struct bst_se_object **ret);
bst_result bst_soft_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                                struct bst_view wrapped, struct bst_buf *ret);
bst_result bst_soft_counter_get(struct bst_se_backend *backend, const char *name, uint64_t *ret);
bst_result bst_soft_counter_next(struct bst_se_backend *backend, const char *name, uint64_t *ret);
bst_result bst_soft_counter_remove(struct bst_se_backend *backend, const char *name);
enum bst_se_state bst_soft_state(struct bst_se_backend *backend);
bst_result bst_soft_set_state(struct bst_se_backend *backend, enum bst_se_state state,
                              const char *why);
bst_result bst_soft_wipe(struct bst_se_backend *backend);

bst_result bst_soft_rename(struct bst_se_backend *backend, struct bst_se_object *object,
                           const char *label, struct bst_se_object **ret);
bst_result bst_soft_replace(struct bst_se_backend *backend, struct bst_se_object *object,
                            const struct bst_secret *value, struct bst_se_object **ret);

/** Everything that does not depend on how a backend is opened. */
#define BST_SOFT_OPERATIONS                                                                        \
    .close = bst_soft_close, .create = bst_soft_create, .derive = bst_soft_derive,                 \
    .remove = bst_soft_remove, .drop = bst_soft_drop, .public_key = bst_soft_public,               \
    .sign = bst_soft_sign, .mac = bst_soft_mac, .seal = bst_soft_seal, .unseal = bst_soft_unseal,  \
    .ecies_open = bst_soft_ecies_open, .agree = bst_soft_agree, .run = bst_soft_run,               \
    .release = bst_soft_release, .random = bst_soft_random, .wrap = bst_soft_wrap,                 \
    .unwrap = bst_soft_unwrap, .unwrap_text = bst_soft_unwrap_text,                                \
    .counter_get = bst_soft_counter_get, .counter_next = bst_soft_counter_next,                    \
    .counter_remove = bst_soft_counter_remove, .state = bst_soft_state,                            \
    .set_state = bst_soft_set_state, .wipe = bst_soft_wipe, .rename = bst_soft_rename,             \
    .replace = bst_soft_replace
