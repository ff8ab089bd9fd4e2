/* Inside the soft backend: state key, sealed log, records. */
#pragma once

#include "base/map.h"
#include "se/backend.h"

struct evp_pkey_st;

/* ---- bytes in order, big-endian ---- */

void bst_soft_put(struct bst_buf *out, uint64_t number, size_t bytes);
void bst_soft_put_text(struct bst_buf *out, const char *text);
/** Takes from the front of *in; false when it is too short. */
bool bst_soft_take(struct bst_view *in, size_t bytes, uint64_t *ret);
bool bst_soft_take_view(struct bst_view *in, size_t len_bytes, struct bst_view *ret);

/* ---- keys of a folder ---- */

struct bst_soft_keys {
    struct bst_secret value;    /* seals key values, on storage and in memory */
    struct bst_secret log;      /* seals records */
    struct bst_secret manifest; /* seals the manifest */
};
void bst_soft_keys_clear(struct bst_soft_keys *keys);
/** From a random root: nothing is kept. */
bst_result bst_soft_keys_volatile(struct bst_soft_keys *ret);
/** From the folder's state key, which is made when the folder is new.
 * @param source   "file:PATH", "credential:NAME", "passphrase:" and one of these; "" for the
 * default
 * @error BST_E_SE_PIN  the key is not the one of this folder */
bst_result bst_soft_keys_open(const struct bst_se_host *host, const char *dir, const char *source,
                              struct bst_soft_keys *ret);

/* ---- sealed log ----
 *
 * keys.<n>  magic || id[16] || { length(be32) || sealed record }...
 *           A record is bound to the log's id, its place and the tag before it.
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
    bool unsure; /* what follows the last good record is not known: write the log anew first */
};
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
void bst_soft_record_put(const struct bst_soft_object *object, struct bst_buf *ret);
void bst_soft_record_delete(const char *label, struct bst_buf *ret);
/** @param ret_object  made for a kept key, NULL for a deletion
 *  @param ret_label   label of what is deleted, in the record */
bst_result bst_soft_record_read(struct bst_view record, struct bst_soft_object **ret_object,
                                struct bst_view *ret_label);
