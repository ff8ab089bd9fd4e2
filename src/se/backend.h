/* What a backend of the secure environment implements: objects and operations, no policy.
 *
 * se.c in front of it keeps handles, labels, owners, usage, expiry and filters. Calls on one
 * backend come from any thread. */
#pragma once

#include "se/se.h"

/** Head of every backend's object; the backend allocates it together with what attrs points to. */
struct bst_se_object {
    struct bst_key_attrs attrs;
};

struct bst_se_backend {
    const struct bst_se_backend_ops *ops;
    int level; /* of keys made from now on; 0: that of the table */
};

/** How a derived key comes about. */
struct bst_se_derivation {
    bool hkdf;                    /* else HMAC-SHA-256(parent, parts) */
    const struct bst_view *parts; /* HKDF: salt, info */
    size_t n;
};

struct bst_se_backend_ops {
    const char *scheme; /* "soft" in "se:soft?...", "pkcs11" in "pkcs11:..." */
    int level;          /* protection level of its keys */
    /** @param query what follows the '?', or all after "pkcs11:"; may be empty
     *  @param found  called for every persistent object, which it takes even when it fails */
    bst_result (*open)(const struct bst_se_host *host, struct bst_view query,
                       bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                       struct bst_se_backend **ret);
    /** Name, evidence and what is missing; kind and level are filled in already. May be NULL. */
    void (*about)(struct bst_se_backend *backend, struct bst_se_about *ret);
    /** After all its objects were dropped. */
    void (*close)(struct bst_se_backend *backend);
    /** Make an object from a value, or a new one when `value` is NULL. Durable if persistent. */
    bst_result (*create)(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                         const struct bst_secret *value, struct bst_se_object **ret);
    bst_result (*derive)(struct bst_se_backend *backend, struct bst_se_object *parent,
                         const struct bst_se_derivation *derivation,
                         const struct bst_key_attrs *attrs, struct bst_se_object **ret);
    /** Take a persistent object off storage; the object itself stays until drop. */
    bst_result (*remove)(struct bst_se_backend *backend, struct bst_se_object *object);
    /** Free the object in memory. */
    void (*drop)(struct bst_se_backend *backend, struct bst_se_object *object);

    bst_result (*public_key)(struct bst_se_backend *backend, struct bst_se_object *object,
                             struct bst_buf *ret_spki);
    /** As bst_pkey_sign_raw(). */
    bst_result (*sign)(struct bst_se_backend *backend, struct bst_se_object *object, enum bst_md md,
                       struct bst_view tbs, uint8_t *out, size_t *ret_len);
    bst_result (*mac)(struct bst_se_backend *backend, struct bst_se_object *object,
                      const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES]);
    bst_result (*seal)(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_view aad, struct bst_view in, struct bst_buf *ret);
    bst_result (*unseal)(struct bst_se_backend *backend, struct bst_se_object *object,
                         struct bst_view aad, struct bst_view blob, struct bst_buf *ret);
    bst_result (*ecies_open)(struct bst_se_backend *backend, struct bst_se_object *object,
                             struct bst_view info, struct bst_view blob, struct bst_secret *ret);
    /** May be NULL, and so may run: the operation is then not there. */
    bst_result (*agree)(struct bst_se_backend *backend, struct bst_se_object *object,
                        struct bst_view point, struct bst_view info, size_t len,
                        struct bst_secret *ret);
    bst_result (*run)(struct bst_se_backend *backend, struct bst_se_object *object,
                      const struct bst_se_routine *routine, void *io);
    bst_result (*release)(struct bst_se_backend *backend, struct bst_se_object *object,
                          struct bst_secret *ret);
};

/** Register a backend; before the first bst_se_open(). se:soft and pkcs11: are always there. */
bst_result bst_se_backend_register(const struct bst_se_backend_ops *ops);
extern const struct bst_se_backend_ops bst_se_soft, bst_se_pkcs11;
