/* Software backend, protection level 1: key values sealed in ordinary memory, opened into locked
 * memory for the moment of their use. What `none:` keeps is not sealed, everything else is alike.
 */
#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/keywrap.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/soft/soft_priv.h"

#define SYMMETRIC_BYTES 32
/* Key pairs that stay open between uses; the secure heap has room for handshakes too. */
#define OPEN_PAIRS_MAX 1024

static struct bst_soft *soft_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct bst_soft, base);
}

static struct bst_soft_object *object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct bst_soft_object, base);
}

/* ---- values ---- */

/* Each value has a key of its own: no number of session keys wears out the folder's. */
static bst_result value_key(const struct bst_soft *soft, uint64_t generation,
                            struct bst_secret *ret)
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

static bst_result seal_value(const struct bst_soft *soft, const struct bst_key_attrs *attrs,
                             uint64_t generation, const struct bst_secret *value,
                             struct bst_buf *ret)
{
    if (soft->plain) {
        bst_buf_add(ret, value->ptr, value->len);
        return bst_buf_check(ret);
    }
    bst_auto(secret) key = {0};
    bst_auto(buf) binding = {0};
    BST_TRY(value_key(soft, generation, &key));
    BST_TRY(bst_soft_binding(attrs, generation, &binding));
    return bst_aead_seal(bst_view_of(key.ptr, key.len), bst_buf_view(&binding),
                         bst_view_of(value->ptr, value->len), ret);
}

static bst_result open_value(const struct bst_soft *soft, const struct bst_soft_object *object,
                             struct bst_secret *ret)
{
    if (soft->plain) {
        return bst_secret_copy(ret, object->blob.ptr, object->blob.len);
    }
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

/* Keep a reference in the object, if there is room for one more. */
static void keep_open(struct bst_soft *soft, struct bst_soft_object *object,
                      struct evp_pkey_st *pkey)
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
static bst_result pkey_of(struct bst_soft *soft, struct bst_soft_object *object,
                          struct evp_pkey_st **ret)
{
    struct evp_pkey_st *pkey = atomic_load_explicit(&object->pkey, memory_order_acquire);
    if (pkey) {
        *ret = bst_pkey_hold(pkey);
        return BST_OK;
    }
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft, object, &value));
    BST_TRY(bst_se_pair_load(&object->base.attrs, &value, ret));
    keep_open(soft, object, *ret);
    return BST_OK;
}

/* ---- making ---- */

static bst_result keep_value(struct bst_soft *soft, const struct bst_key_attrs *attrs,
                             const struct bst_secret *value, struct bst_soft_object *old,
                             struct bst_soft_object **ret)
{
    bst_auto(buf) blob = {0};
    uint64_t generation = atomic_fetch_add(&soft->generation, 1);
    BST_TRY(seal_value(soft, attrs, generation, value, &blob));
    struct bst_soft_object *object = NULL;
    BST_TRY(bst_soft_object_new(attrs, generation, bst_buf_view(&blob), &object));
    bst_result stored = attrs->persistent ? bst_soft_store(soft, object, old) : BST_OK;
    if (bst_failed(stored)) {
        bst_soft_object_free(object);
        return stored;
    }
    *ret = object;
    return BST_OK;
}

static bst_result create_octets(struct bst_soft *soft, const struct bst_key_attrs *attrs,
                                const struct bst_secret *value, struct bst_se_object **ret)
{
    struct bst_soft_object *object = NULL;
    bst_auto(secret) made = {0};
    if (!value) {
        BST_TRY(bst_secret_init(&made, SYMMETRIC_BYTES));
        BST_TRY(bst_random(made.ptr, made.len));
        value = &made;
    }
    if (value->len > bst_key_value_max(attrs)) {
        BST_FAIL(BST_E_TOO_LONG, "key '%s' has %zu bytes, %zu at most are possible", attrs->label,
                 value->len, bst_key_value_max(attrs));
    }
    if ((attrs->uses & (BST_KEY_USE_SEAL | BST_KEY_USE_KEK)) && value->len != BST_AEAD_KEY_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is for %s and must have %d bytes", attrs->label,
                 attrs->uses & BST_KEY_USE_KEK ? "wrapping" : "sealing", BST_AEAD_KEY_BYTES);
    }
    BST_TRY(keep_value(soft, attrs, value, NULL, &object));
    *ret = &object->base;
    return BST_OK;
}

static bst_result create_pair(struct bst_soft *soft, const struct bst_key_attrs *attrs,
                              const struct bst_secret *value, struct bst_se_object **ret)
{
    struct bst_soft_object *object = NULL;
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0};
    BST_TRY(value ? bst_se_pair_load(attrs, value, &pkey)
                  : bst_se_pair_generate(attrs->type, &pkey));
    BST_TRY(bst_pkey_private(pkey, &der));
    BST_TRY(keep_value(soft, attrs, &der, NULL, &object));
    keep_open(soft, object, pkey);
    *ret = &object->base;
    return BST_OK;
}

bst_result bst_soft_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                           const struct bst_secret *value, struct bst_se_object **ret)
{
    return bst_key_is_pair(attrs->type) ? create_pair(soft_of(backend), attrs, value, ret)
                                        : create_octets(soft_of(backend), attrs, value, ret);
}

/* One record puts the new octets in the place of the old ones. */
bst_result bst_soft_replace(struct bst_se_backend *backend, struct bst_se_object *base,
                            const struct bst_secret *value, struct bst_se_object **ret)
{
    struct bst_soft_object *object = NULL;
    BST_TRY(keep_value(soft_of(backend), &base->attrs, value, object_of(base), &object));
    *ret = &object->base;
    return BST_OK;
}

bst_result bst_soft_derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                           const struct bst_se_derivation *derivation,
                           const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    struct bst_soft *soft = soft_of(backend);
    bst_auto(secret) from = {0}, value = {0};
    BST_TRY(open_value(soft, object_of(parent), &from));
    BST_TRY(bst_secret_init(&value, SYMMETRIC_BYTES));
    struct bst_view key = bst_view_of(from.ptr, from.len);
    BST_TRY(derivation->hkdf ? bst_hkdf_sha256(derivation->parts[0], key, derivation->parts[1],
                                               value.ptr, value.len)
                             : bst_hmac_sha256(key, derivation->parts, derivation->n, value.ptr));
    return create_octets(soft, attrs, &value, ret);
}

/* ---- using ---- */

bst_result bst_soft_public(struct bst_se_backend *backend, struct bst_se_object *object,
                           struct bst_buf *ret_spki)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_pkey_spki(pkey, ret_spki);
}

bst_result bst_soft_sign(struct bst_se_backend *backend, struct bst_se_object *object,
                         enum bst_md md, struct bst_view tbs, uint8_t *out, size_t *ret_len)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_pkey_sign_raw(pkey, md, tbs, out, ret_len);
}

bst_result bst_soft_mac(struct bst_se_backend *backend, struct bst_se_object *object,
                        const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES])
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_hmac_sha256(bst_view_of(value.ptr, value.len), parts, n, out);
}

bst_result bst_soft_seal(struct bst_se_backend *backend, struct bst_se_object *object,
                         struct bst_view aad, struct bst_view in, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_aead_seal(bst_view_of(value.ptr, value.len), aad, in, ret);
}

bst_result bst_soft_unseal(struct bst_se_backend *backend, struct bst_se_object *object,
                           struct bst_view aad, struct bst_view blob, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return bst_aead_open(bst_view_of(value.ptr, value.len), aad, blob, ret);
}

bst_result bst_soft_ecies_open(struct bst_se_backend *backend, struct bst_se_object *object,
                               struct bst_view info, struct bst_view blob, struct bst_secret *ret)
{
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_ecies_open(pkey, info, blob, ret);
}

bst_result bst_soft_agree(struct bst_se_backend *backend, struct bst_se_object *object,
                          struct bst_view point, struct bst_secret *ret_z)
{
    enum bst_curve curve = object->attrs.type == BST_KEY_X25519 ? BST_CURVE_X25519 : BST_CURVE_P256;
    bst_auto_pkey *pkey = NULL;
    BST_TRY(pkey_of(soft_of(backend), object_of(object), &pkey));
    return bst_agree(curve, pkey, point, ret_z);
}

bst_result bst_soft_run(struct bst_se_backend *backend, struct bst_se_object *object,
                        const struct bst_se_routine *routine, void *io)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    return routine->run(bst_view_of(value.ptr, value.len), io);
}

bst_result bst_soft_release(struct bst_se_backend *backend, struct bst_se_object *object,
                            struct bst_secret *ret)
{
    return open_value(soft_of(backend), object_of(object), ret);
}

bst_result bst_soft_random(struct bst_se_backend *backend, uint8_t *out, size_t n)
{
    return bst_random(out, n);
}

/* ---- wrapping ---- */

bst_result bst_soft_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                         struct bst_se_object *object, struct bst_view text, struct bst_buf *ret)
{
    bst_auto(secret) key = {0}, value = {0};
    BST_TRY(open_value(soft_of(backend), object_of(kek), &key));
    if (object) {
        BST_TRY(open_value(soft_of(backend), object_of(object), &value));
        text = bst_view_of(value.ptr, value.len);
    }
    return bst_keywrap(bst_view_of(key.ptr, key.len), text, ret);
}

static bst_result open_wrapped(struct bst_soft *soft, struct bst_se_object *kek,
                               struct bst_view wrapped, struct bst_secret *ret)
{
    bst_auto(secret) key = {0};
    BST_TRY(open_value(soft, object_of(kek), &key));
    return bst_keyunwrap(bst_view_of(key.ptr, key.len), wrapped, ret);
}

bst_result bst_soft_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                           struct bst_view wrapped, const struct bst_key_attrs *attrs,
                           struct bst_se_object **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_wrapped(soft_of(backend), kek, wrapped, &value));
    return bst_soft_create(backend, attrs, &value, ret);
}

bst_result bst_soft_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                                struct bst_view wrapped, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(open_wrapped(soft_of(backend), kek, wrapped, &value));
    bst_buf_add(ret, value.ptr, value.len);
    return bst_buf_check(ret);
}

/* The value is sealed to its label, so it is sealed anew. A crash in between leaves it under both
 * labels. */
bst_result bst_soft_rename(struct bst_se_backend *backend, struct bst_se_object *object,
                           const char *label, struct bst_se_object **ret)
{
    bst_auto(secret) value = {0};
    struct bst_key_attrs attrs = object->attrs;
    struct bst_se_object *fresh = NULL;
    attrs.label = label;
    BST_TRY(open_value(soft_of(backend), object_of(object), &value));
    BST_TRY(bst_soft_create(backend, &attrs, &value, &fresh));
    bst_result removed = bst_soft_remove(backend, object);
    if (bst_failed(removed)) {
        (void)bst_soft_remove(backend, fresh).code;
        bst_soft_drop(backend, fresh);
        return removed;
    }
    *ret = fresh;
    return BST_OK;
}
