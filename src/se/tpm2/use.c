/* Using keys: inside the TPM, or with a sealed value that comes out for the moment of its use. */
#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/keywrap.h"
#include "crypto/pkey.h"
#include "se/tpm2/tpm2_priv.h"

#define COORDINATE_BYTES 32 /* P-256 */

/* One operation on one key. */
struct operation {
    struct tpm2_object *object;
    const struct bst_view *parts;
    size_t n;
    TPMI_ALG_HASH hash;
    TPMT_SIGNATURE signature;
    TPMS_ECC_POINT point;
    uint8_t *out;
    size_t out_len;
    struct bst_secret *secret;
};

/* ---- sealed values ---- */

static TSS2_RC unseal_call(struct tpm2 *t, void *arg)
{
    struct operation *op = arg;
    TPM2B_SENSITIVE_DATA *data = NULL;
    ESYS_TR key, session;
    TSS2_RC rc = tpm2_load(t, op->object, &key);
    rc = rc ? rc : tpm2_key_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc : Esys_Unseal(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
    if (rc == TSS2_RC_SUCCESS) {
        bst_secret_clear(op->secret);
        rc = tpm2_own(t, bst_secret_copy(op->secret, data->buffer, data->size));
        bst_wipe(data, sizeof *data);
    }
    Esys_Free(data);
    return rc;
}

bst_result tpm2_value(struct tpm2 *t, struct tpm2_object *object, struct bst_secret *ret)
{
    bst_auto(secret) sealed = {0};
    struct operation op = {.object = object, .secret = &sealed};
    BST_TRY(tpm2_run(t, unseal_call, &op, "opening a sealed value"));
    if (object->extra.len) {
        return bst_aead_open_secret(bst_view_of(sealed.ptr, sealed.len),
                                    BST_VIEW("bastide tpm2 value"), object->extra, ret);
    }
    *ret = sealed;
    sealed = (struct bst_secret){0};
    return BST_OK;
}

static bst_result soft_pkey(struct tpm2 *t, struct tpm2_object *object, struct evp_pkey_st **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(tpm2_value(t, object, &value));
    return bst_se_pair_load(&object->base.attrs, &value, ret);
}

/* Only software does it, on a value that may come out. */
static bst_result need_value(const struct tpm2 *t, const struct tpm2_object *object,
                             const char *what)
{
    if (object->form != TPM2_FORM_VALUE) {
        BST_FAIL(BST_E_SE_MECHANISM,
                 "TPM '%s' cannot %s with a key that stays inside; make the key with fallback=soft "
                 "in the address, or in se:soft",
                 t->address.tcti, what);
    }
    return BST_OK;
}

bst_result tpm2_release(struct bst_se_backend *backend, struct bst_se_object *object,
                        struct bst_secret *ret)
{
    BST_TRY(need_value(tpm2_of(backend), tpm2_object_of(object), "release a key"));
    return tpm2_value(tpm2_of(backend), tpm2_object_of(object), ret);
}

/* ---- pairs ---- */

bst_result tpm2_public(struct bst_se_backend *backend, struct bst_se_object *base,
                       struct bst_buf *ret_spki)
{
    struct tpm2_object *object = tpm2_object_of(base);
    bst_auto_pkey *pkey = NULL;
    TPM2B_PUBLIC public;
    if (object->form == TPM2_FORM_VALUE) {
        BST_TRY(soft_pkey(tpm2_of(backend), object, &pkey));
        return bst_pkey_spki(pkey, ret_spki);
    }
    BST_TRY(tpm2_read_public(object->pub, &public));
    return tpm2_spki(&public.publicArea, ret_spki);
}

static TSS2_RC sign_call(struct tpm2 *t, void *arg)
{
    struct operation *op = arg;
    const TPMT_TK_HASHCHECK no_ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_ECDSA,
                                    .details = {.ecdsa = {.hashAlg = op->hash}}};
    TPM2B_DIGEST digest = {.size = (UINT16)op->parts[0].len};
    TPMT_SIGNATURE *signature = NULL;
    ESYS_TR key, session;
    memcpy(digest.buffer, op->parts[0].ptr, op->parts[0].len);
    TSS2_RC rc = tpm2_load(t, op->object, &key);
    rc = rc ? rc : tpm2_key_session(t, 0, &session);
    rc = rc ? rc
            : Esys_Sign(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &scheme,
                        &no_ticket, &signature);
    if (rc == TSS2_RC_SUCCESS) {
        op->signature = *signature;
    }
    Esys_Free(signature);
    return rc;
}

bst_result tpm2_sign(struct bst_se_backend *backend, struct bst_se_object *base, enum bst_md md,
                     struct bst_view tbs, uint8_t *out, size_t *ret_len)
{
    struct tpm2_object *object = tpm2_object_of(base);
    bst_auto_pkey *pkey = NULL;
    if (object->form == TPM2_FORM_VALUE) {
        BST_TRY(soft_pkey(tpm2_of(backend), object, &pkey));
        return bst_pkey_sign_raw(pkey, md, tbs, out, ret_len);
    }
    tbs = bst_se_leftmost(base->attrs.type, tbs);
    struct operation op = {.object = object, .parts = &tbs, .n = 1};
    op.hash = tbs.len == BST_SHA256_BYTES ? TPM2_ALG_SHA256 : TPM2_ALG_SHA384;
    BST_TRY(tpm2_run(tpm2_of(backend), sign_call, &op, "signing"));
    return tpm2_ecdsa_der(&op.signature, out, ret_len);
}

static TSS2_RC agree_call(struct tpm2 *t, void *arg)
{
    struct operation *op = arg;
    const TPM2B_ECC_POINT in = {.size = 0, .point = op->point};
    TPM2B_ECC_POINT *z = NULL;
    ESYS_TR key, session;
    TSS2_RC rc = tpm2_load(t, op->object, &key);
    rc = rc ? rc : tpm2_key_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc : Esys_ECDH_ZGen(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &in, &z);
    if (rc == TSS2_RC_SUCCESS) {
        tpm2_widen(&z->point.x, op->secret->len, op->secret->ptr);
        bst_wipe(z, sizeof *z);
    }
    Esys_Free(z);
    return rc;
}

struct agreeing {
    struct tpm2 *t;
    struct tpm2_object *object;
};

/* `point`: 04 || x || y. */
static bst_result agree_with(void *ctx, struct bst_view point, struct bst_secret *ret)
{
    struct agreeing *a = ctx;
    bst_auto(secret) z = {0};
    struct operation op = {.object = a->object, .secret = &z};
    BST_ENSURE(point.len == BST_P256_WIDE_BYTES && a->object->base.attrs.type == BST_KEY_EC_P256,
               BST_E_BAD_KEY);
    op.point.x.size = op.point.y.size = COORDINATE_BYTES;
    memcpy(op.point.x.buffer, point.ptr + 1, COORDINATE_BYTES);
    memcpy(op.point.y.buffer, point.ptr + 1 + COORDINATE_BYTES, COORDINATE_BYTES);
    BST_TRY(bst_secret_init(&z, COORDINATE_BYTES));
    BST_TRY(tpm2_run(a->t, agree_call, &op, "agreeing on a key"));
    *ret = z;
    z = (struct bst_secret){0};
    return BST_OK;
}

bst_result tpm2_ecies_open(struct bst_se_backend *backend, struct bst_se_object *base,
                           struct bst_view info, struct bst_view blob, struct bst_secret *ret)
{
    struct agreeing agreeing = {tpm2_of(backend), tpm2_object_of(base)};
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) spki = {0};
    if (agreeing.object->form == TPM2_FORM_VALUE) {
        BST_TRY(soft_pkey(agreeing.t, agreeing.object, &pkey));
        return bst_ecies_open(pkey, info, blob, ret);
    }
    BST_TRY(tpm2_public(backend, base, &spki));
    return bst_ecies_open_outside(bst_buf_view(&spki), agree_with, &agreeing, info, blob, ret);
}

/* Z with a public key in wire form. */
bst_result tpm2_agree(struct bst_se_backend *backend, struct bst_se_object *base,
                      struct bst_view point, struct bst_secret *ret_z)
{
    struct agreeing agreeing = {tpm2_of(backend), tpm2_object_of(base)};
    bst_auto_pkey *pkey = NULL;
    uint8_t wide[BST_P256_WIDE_BYTES];
    enum bst_curve curve = base->attrs.type == BST_KEY_X25519 ? BST_CURVE_X25519 : BST_CURVE_P256;
    if (agreeing.object->form == TPM2_FORM_VALUE) {
        BST_TRY(soft_pkey(agreeing.t, agreeing.object, &pkey));
        return bst_agree(curve, pkey, point, ret_z);
    }
    if (point.len != bst_curve_point_bytes(curve)) {
        BST_FAIL(BST_E_BAD_KEY, "not a public key of %s in its wire form", bst_curve_name(curve));
    }
    BST_TRY(bst_agree_point_wide(point, wide));
    return agree_with(&agreeing, bst_view_of(wide, sizeof wide), ret_z);
}

/* ---- MAC ---- */

static size_t total(const struct operation *op)
{
    size_t len = 0;
    for (size_t i = 0; i < op->n; i++) {
        len += op->parts[i].len;
    }
    return len;
}

static TSS2_RC keep_digest(struct operation *op, TSS2_RC rc, TPM2B_DIGEST *digest)
{
    if (rc == TSS2_RC_SUCCESS) {
        op->out_len = digest->size;
        memcpy(op->out, digest->buffer,
               digest->size < BST_SHA256_BYTES ? digest->size : BST_SHA256_BYTES);
        bst_wipe(digest, sizeof *digest);
    }
    Esys_Free(digest);
    return rc;
}

/* What fits is one command. */
static TSS2_RC short_mac(struct tpm2 *t, struct operation *op, ESYS_TR key)
{
    TPM2B_MAX_BUFFER buffer = {.size = 0};
    TPM2B_DIGEST *digest = NULL;
    ESYS_TR session;
    for (size_t i = 0; i < op->n; i++) {
        if (op->parts[i].len) {
            memcpy(buffer.buffer + buffer.size, op->parts[i].ptr, op->parts[i].len);
            buffer.size = (UINT16)(buffer.size + op->parts[i].len);
        }
    }
    TSS2_RC rc = tpm2_key_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc
            : Esys_HMAC(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &buffer, TPM2_ALG_SHA256,
                        &digest);
    return keep_digest(op, rc, digest);
}

static TSS2_RC feed(struct tpm2 *t, ESYS_TR sequence, struct bst_view part)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;
    while (part.len && rc == TSS2_RC_SUCCESS) {
        TPM2B_MAX_BUFFER buffer = {.size = 0};
        ESYS_TR session;
        size_t max =
            t->facts.buffer_max < sizeof buffer.buffer ? t->facts.buffer_max : sizeof buffer.buffer;
        buffer.size = (UINT16)(part.len < max ? part.len : max);
        memcpy(buffer.buffer, part.ptr, buffer.size);
        part = bst_view_from(part, buffer.size);
        rc = tpm2_session(t, 0, &session);
        rc = rc ? rc
                : Esys_SequenceUpdate(t->esys, sequence, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                      &buffer);
    }
    return rc;
}

static TSS2_RC long_mac(struct tpm2 *t, struct operation *op, ESYS_TR key)
{
    const TPM2B_AUTH no_auth = {.size = 0};
    const TPM2B_MAX_BUFFER nothing = {.size = 0};
    TPM2B_DIGEST *digest = NULL;
    ESYS_TR session, sequence = ESYS_TR_NONE;
    TSS2_RC rc = tpm2_key_session(t, 0, &session);
    rc = rc ? rc
            : Esys_HMAC_Start(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &no_auth,
                              TPM2_ALG_SHA256, &sequence);
    for (size_t i = 0; rc == TSS2_RC_SUCCESS && i < op->n; i++) {
        rc = feed(t, sequence, op->parts[i]);
    }
    rc = rc ? rc : tpm2_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc
            : Esys_SequenceComplete(t->esys, sequence, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &nothing, ESYS_TR_RH_NULL, &digest, NULL);
    if (rc) {
        tpm2_flush(t, &sequence);
    }
    return keep_digest(op, rc, digest);
}

static TSS2_RC mac_call(struct tpm2 *t, void *arg)
{
    struct operation *op = arg;
    size_t max =
        t->facts.buffer_max < TPM2_MAX_DIGEST_BUFFER ? t->facts.buffer_max : TPM2_MAX_DIGEST_BUFFER;
    ESYS_TR key;
    TSS2_RC rc = tpm2_load(t, op->object, &key);
    return rc ? rc : total(op) <= max ? short_mac(t, op, key) : long_mac(t, op, key);
}

bst_result tpm2_mac(struct bst_se_backend *backend, struct bst_se_object *base,
                    const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES])
{
    struct tpm2 *t = tpm2_of(backend);
    struct tpm2_object *object = tpm2_object_of(base);
    bst_auto(secret) value = {0};
    if (object->form == TPM2_FORM_VALUE) {
        BST_TRY(tpm2_value(t, object, &value));
        return bst_hmac_sha256(bst_view_of(value.ptr, value.len), parts, n, out);
    }
    struct operation op = {.object = object, .parts = parts, .n = n, .out = out};
    BST_TRY(tpm2_run(t, mac_call, &op, "making a MAC"));
    BST_ENSURE(op.out_len == BST_SHA256_BYTES, BST_E_SE_TOKEN);
    return BST_OK;
}

/* ---- derivation ---- */

/* HKDF takes the key as a message of its first HMAC, which no TPM does. */
static bst_result hkdf(struct tpm2 *t, struct tpm2_object *parent,
                       const struct bst_se_derivation *derivation, struct bst_secret *value)
{
    bst_auto(secret) from = {0};
    if (parent->form != TPM2_FORM_VALUE) {
        BST_FAIL(BST_E_SE_MECHANISM, "TPM '%s' derives by HMAC only; keep keys for HKDF in se:soft",
                 t->address.tcti);
    }
    BST_TRY(tpm2_value(t, parent, &from));
    return bst_hkdf_sha256(derivation->parts[0], bst_view_of(from.ptr, from.len),
                           derivation->parts[1], value->ptr, value->len);
}

/* The TPM's HMAC comes out of it and goes in again as a key: the level of such a key is 1. */
bst_result tpm2_derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                       const struct bst_se_derivation *derivation,
                       const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_init(&value, BST_SHA256_BYTES));
    BST_TRY(derivation->hkdf
                ? hkdf(tpm2_of(backend), tpm2_object_of(parent), derivation, &value)
                : tpm2_mac(backend, parent, derivation->parts, derivation->n, value.ptr));
    return tpm2_create(backend, attrs, &value, ret);
}

/* ---- what only software does ---- */

bst_result tpm2_seal(struct bst_se_backend *backend, struct bst_se_object *object,
                     struct bst_view aad, struct bst_view in, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(need_value(tpm2_of(backend), tpm2_object_of(object), "seal"));
    BST_TRY(tpm2_value(tpm2_of(backend), tpm2_object_of(object), &value));
    return bst_aead_seal(bst_view_of(value.ptr, value.len), aad, in, ret);
}

bst_result tpm2_unseal(struct bst_se_backend *backend, struct bst_se_object *object,
                       struct bst_view aad, struct bst_view blob, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(need_value(tpm2_of(backend), tpm2_object_of(object), "open"));
    BST_TRY(tpm2_value(tpm2_of(backend), tpm2_object_of(object), &value));
    return bst_aead_open(bst_view_of(value.ptr, value.len), aad, blob, ret);
}

bst_result tpm2_run_routine(struct bst_se_backend *backend, struct bst_se_object *object,
                            const struct bst_se_routine *routine, void *io)
{
    bst_auto(secret) value = {0};
    BST_TRY(need_value(tpm2_of(backend), tpm2_object_of(object), routine->name));
    BST_TRY(tpm2_value(tpm2_of(backend), tpm2_object_of(object), &value));
    return routine->run(bst_view_of(value.ptr, value.len), io);
}

bst_result tpm2_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                     struct bst_se_object *object, struct bst_view text, struct bst_buf *ret)
{
    struct tpm2 *t = tpm2_of(backend);
    bst_auto(secret) key = {0}, value = {0};
    BST_TRY(need_value(t, tpm2_object_of(kek), "wrap"));
    BST_TRY(tpm2_value(t, tpm2_object_of(kek), &key));
    if (object) {
        BST_TRY(need_value(t, tpm2_object_of(object), "give out"));
        BST_TRY(tpm2_value(t, tpm2_object_of(object), &value));
        text = bst_view_of(value.ptr, value.len);
    }
    return bst_keywrap(bst_view_of(key.ptr, key.len), text, ret);
}

static bst_result unwrapped(struct bst_se_backend *backend, struct bst_se_object *kek,
                            struct bst_view wrapped, struct bst_secret *ret)
{
    bst_auto(secret) key = {0};
    BST_TRY(need_value(tpm2_of(backend), tpm2_object_of(kek), "unwrap"));
    BST_TRY(tpm2_value(tpm2_of(backend), tpm2_object_of(kek), &key));
    return bst_keyunwrap(bst_view_of(key.ptr, key.len), wrapped, ret);
}

bst_result tpm2_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                       struct bst_view wrapped, const struct bst_key_attrs *attrs,
                       struct bst_se_object **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(unwrapped(backend, kek, wrapped, &value));
    return tpm2_create(backend, attrs, &value, ret);
}

bst_result tpm2_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                            struct bst_view wrapped, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(unwrapped(backend, kek, wrapped, &value));
    bst_buf_add(ret, value.ptr, value.len);
    return bst_buf_check(ret);
}

/* ---- random ---- */

struct drawing {
    uint8_t *out;
    size_t n;
};

static TSS2_RC random_call(struct tpm2 *t, void *arg)
{
    struct drawing *d = arg;
    TSS2_RC rc = TSS2_RC_SUCCESS;
    for (size_t at = 0; at < d->n && rc == TSS2_RC_SUCCESS;) {
        TPM2B_DIGEST *bytes = NULL;
        ESYS_TR session;
        size_t want = d->n - at < 32 ? d->n - at : 32;
        rc = tpm2_session(t, TPM2_HIDE_OUT, &session);
        rc =
            rc ? rc
               : Esys_GetRandom(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)want, &bytes);
        if (rc == TSS2_RC_SUCCESS && bytes->size > 0 && bytes->size <= want) {
            memcpy(d->out + at, bytes->buffer, bytes->size);
            at += bytes->size;
        } else if (rc == TSS2_RC_SUCCESS) {
            rc = tpm2_own(t, bst_error(BST_E_SE_TOKEN));
        }
        Esys_Free(bytes);
    }
    return rc;
}

bst_result tpm2_random(struct bst_se_backend *backend, uint8_t *out, size_t n)
{
    struct drawing drawing = {out, n};
    return tpm2_run(tpm2_of(backend), random_call, &drawing, "drawing random bytes");
}
