/* What a backend of the secure environment implements: objects and operations, no policy.
 *
 * se.c in front of it keeps handles, labels, owners, usage, expiry and filters. Calls on one
 * backend come from any thread. */
#pragma once

#include "se/se.h"

struct evp_pkey_st;

/** Octets of a value at most. */
static inline size_t bst_key_value_max(const struct bst_key_attrs *attrs)
{
    return attrs->type == BST_KEY_DATA          ? BST_KEY_DATA_MAX
           : attrs->uses == BST_KEY_USE_ROUTINE ? BST_KEY_ROUTINE_VALUE_MAX
                                                : BST_KEY_VALUE_MAX;
}
static inline bool bst_key_is_pair(enum bst_key_type type)
{
    return type != BST_KEY_SYMMETRIC && type != BST_KEY_DATA;
}

/** What tells a key from every other: "label", of one that has an owner "label NUL owner". */
#define BST_SE_NAME_MAX (BST_KEY_LABEL_MAX + 1 + BST_KEY_OWNER_MAX)
struct bst_view bst_se_name(const char *label, const char *owner, char out[BST_SE_NAME_MAX]);

/** Head of every backend's object; the backend allocates it together with what attrs points to. */
struct bst_se_object {
    struct bst_key_attrs attrs;
};

struct bst_se_backend {
    const struct bst_se_backend_ops *ops;
    int level; /* of keys made from now on; 0: that of the table */
    bool slow; /* an operation may take longer than an event loop can wait */
};

/** How a derived key comes about. */
struct bst_se_derivation {
    bool hkdf;                    /* else HMAC-SHA-256(parent, parts) */
    const struct bst_view *parts; /* HKDF: salt, info */
    size_t n;
};

struct bst_se_backend_ops {
    const char *scheme;    /* "soft" in "se:soft?...", "pkcs11" in "pkcs11:..." */
    int level;             /* protection level of its keys */
    enum bst_se_type type; /* 0: software */
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
    /** As bst_pkey_sign_raw(); that hash function and length fit the key is checked already. */
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
    /** Z of ECDH with a public key in wire form; what is derived from it is the front's. May be
     * NULL, and so may run: the operation is then not there. */
    bst_result (*agree)(struct bst_se_backend *backend, struct bst_se_object *object,
                        struct bst_view point, struct bst_secret *ret_z);
    bst_result (*run)(struct bst_se_backend *backend, struct bst_se_object *object,
                      const struct bst_se_routine *routine, void *io);
    bst_result (*release)(struct bst_se_backend *backend, struct bst_se_object *object,
                          struct bst_secret *ret);

    /* ---- each of these may be NULL: BST_E_SE_MECHANISM ---- */

    bst_result (*random)(struct bst_se_backend *backend, uint8_t *out, size_t n);
    /** RFC 5649 by `kek` over the value of `object` (of a pair: DER PKCS#8), or over `text` when
     * `object` is NULL; the format around it is the front's (se/wrap.c). Appends. */
    bst_result (*wrap)(struct bst_se_backend *backend, struct bst_se_object *kek,
                       struct bst_se_object *object, struct bst_view text, struct bst_buf *ret);
    /** The other way: an object, durable if persistent... BST_E_BAD_MAC when it does not open. */
    bst_result (*unwrap)(struct bst_se_backend *backend, struct bst_se_object *kek,
                         struct bst_view wrapped, const struct bst_key_attrs *attrs,
                         struct bst_se_object **ret);
    /** ... or the text. Appends. */
    bst_result (*unwrap_text)(struct bst_se_backend *backend, struct bst_se_object *kek,
                              struct bst_view wrapped, struct bst_buf *ret);
    /** HMAC-SHA-256 by a symmetric key over `text`, whatever its uses; NULL: `mac` does it. */
    bst_result (*check_value)(struct bst_se_backend *backend, struct bst_se_object *object,
                              struct bst_view text, uint8_t out[BST_SHA256_BYTES]);

    /** `name` is at most 64 + 1 + BST_KEY_OWNER_MAX bytes: "NAME" or "NAME@OWNER". */
    bst_result (*counter_get)(struct bst_se_backend *backend, const char *name, uint64_t *ret);
    bst_result (*counter_next)(struct bst_se_backend *backend, const char *name, uint64_t *ret);
    bst_result (*counter_remove)(struct bst_se_backend *backend, const char *name);

    /** As it was kept; NULL: operational. Asked once, after open. */
    enum bst_se_state (*state)(struct bst_se_backend *backend);
    /** Durable when it returns success. */
    bst_result (*set_state)(struct bst_se_backend *backend, enum bst_se_state state,
                            const char *why);
    /** What is left after each object was removed: counters, state. NULL: nothing is. */
    bst_result (*wipe)(struct bst_se_backend *backend);
    bst_result (*pin_change)(struct bst_se_backend *backend, const struct bst_secret *old,
                             const struct bst_secret *fresh);
    bst_result (*attest)(struct bst_se_backend *backend, struct bst_se_object *object,
                         struct bst_view nonce, struct bst_se_attestation *ret);
    /** Pure; found by attestation.kind = scheme. */
    bst_result (*attest_verify)(const struct bst_se_attestation *attestation, struct bst_view nonce,
                                struct bst_view roots, struct bst_se_attested *ret);
    /** The same key, kept, as a new object with another label; the old object stays as it is until
     * it is dropped. Durable when it returns success. */
    bst_result (*rename)(struct bst_se_backend *backend, struct bst_se_object *object,
                         const char *label, struct bst_se_object **ret);
    /** The same for data with another value; in memory only when it is not persistent. */
    bst_result (*replace)(struct bst_se_backend *backend, struct bst_se_object *object,
                          const struct bst_secret *value, struct bst_se_object **ret);
};

/** A private key that software holds: parsed (DER PKCS#8), and of the type that attrs say. */
bst_result bst_se_pair_load(const struct bst_key_attrs *attrs, const struct bst_secret *value,
                            struct evp_pkey_st **ret);
bst_result bst_se_pair_generate(enum bst_key_type type, struct evp_pkey_st **ret);
/** [FIPS 186-5, 6.4.1] of a digest longer than the curve's order the leftmost bits count; not every
 * token shortens by itself, or has the longer hash functions. */
struct bst_view bst_se_leftmost(enum bst_key_type type, struct bst_view tbs);

/** Register a backend; before the first bst_se_open(). se:soft and pkcs11: are always there. */
bst_result bst_se_backend_register(const struct bst_se_backend_ops *ops);
extern const struct bst_se_backend_ops bst_se_soft, bst_se_pkcs11, bst_se_none, bst_se_tpm2;
