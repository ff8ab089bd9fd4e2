/* PKCS#11 backend: keys on a token, reached through p11-kit.
 *
 * A session key (not persistent) is a session object of the token: it goes when the token does. */
#include "crypto/aead.h"
#include "crypto/agree.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/pkcs11/p11_priv.h"

#include <stdio.h>

#define GCM_NONCE_BYTES 12
#define GCM_TAG_BYTES 16
#define BLOB_VERSION 1
#define BLOB_MAX (1 << 24)
#define P256_POINT_BYTES 65

static struct p11 *p11_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct p11, base);
}

static struct p11_object *object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct p11_object, base);
}

/* One operation on one key. */
struct operation {
    struct p11_object *object;
    CK_MECHANISM mech;
    const struct bst_view *parts;
    size_t n;
    uint8_t *out;
    CK_ULONG out_len;
    struct bst_buf *ret;
    struct bst_secret *secret;
    enum p11_part part;
};

/* ---- bytes of a key ---- */

#define USUAL_VALUE_BYTES 64

/* Most keys are short enough for the first question; a longer one says how long it is. */
static CK_RV read_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    CK_ATTRIBUTE value = {CKA_VALUE, NULL, USUAL_VALUE_BYTES};
    CK_RV rv = p11_part(call, op->object, op->part, &handle);
    for (int attempt = 0; rv == CKR_OK && attempt < 2; attempt++) {
        bst_secret_clear(op->secret);
        if (bst_failed(bst_secret_init(op->secret, value.ulValueLen))) {
            return CKR_HOST_MEMORY;
        }
        value.pValue = op->secret->ptr;
        rv = call->f->C_GetAttributeValue(call->session, handle, &value, 1);
        if (rv == CKR_OK) {
            op->out_len = value.ulValueLen;
            return CKR_OK;
        }
        if (rv == CKR_BUFFER_TOO_SMALL && attempt == 0) {
            value = (CK_ATTRIBUTE){CKA_VALUE, NULL, 0};
            rv = call->f->C_GetAttributeValue(call->session, handle, &value, 1);
        }
        rv = rv == CKR_OK && value.ulValueLen > 4096 ? CKR_BUFFER_TOO_SMALL : rv;
    }
    return rv;
}

bst_result p11_value(struct p11 *p, struct p11_object *object, struct bst_secret *ret)
{
    bst_auto(secret) value = {0};
    uint32_t uses = object->base.attrs.uses;
    bool plain = (uses & (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE)) ||
                 !(uses & (BST_KEY_USE_SEAL | BST_KEY_USE_KEK));
    struct operation op = {.object = object, .secret = &value};
    if (object->value.ptr) {
        return bst_secret_copy(ret, object->value.ptr, object->value.len);
    }
    op.part = object->soft ? P11_VALUE : plain ? P11_MAC : P11_AES;
    BST_TRY(p11_run(p, read_call, &op, "reading a key"));
    bool symmetric = object->base.attrs.type == BST_KEY_SYMMETRIC;
    BST_ENSURE(op.out_len <= value.len && (!symmetric || object->value_len <= op.out_len),
               BST_E_CORRUPT);
    return bst_secret_copy(ret, value.ptr, symmetric ? object->value_len : op.out_len);
}

static bst_result soft_pkey(struct p11 *p, struct p11_object *object, struct evp_pkey_st **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(p11_value(p, object, &value));
    return bst_se_pair_load(&object->base.attrs, &value, ret);
}

/* ---- public half ---- */

static CK_RV point_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    op->ret->len = 0;
    CK_RV rv = p11_part(call, op->object, P11_PUBLIC, &handle);
    if (rv == CKR_OBJECT_HANDLE_INVALID) { /* some tokens keep it with the private half */
        rv = p11_part(call, op->object, P11_PRIVATE, &handle);
    }
    return rv == CKR_OK ? p11_attribute(call, handle, CKA_EC_POINT, op->ret) : rv;
}

static bst_result public_key(struct bst_se_backend *backend, struct bst_se_object *base,
                             struct bst_buf *ret_spki)
{
    struct p11_object *object = object_of(base);
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) point = {0};
    if (object->soft) {
        BST_TRY(soft_pkey(p11_of(backend), object, &pkey));
        return bst_pkey_spki(pkey, ret_spki);
    }
    struct operation op = {.object = object, .ret = &point};
    BST_TRY(p11_run(p11_of(backend), point_call, &op, "reading a public key"));
    if (point.len == 0) {
        BST_FAIL(BST_E_BAD_KEY,
                 "token '%s' keeps no public half beside key '%s'; store it there with "
                 "the same CKA_ID",
                 p11_of(backend)->address.token, base->attrs.label);
    }
    return p11_spki(base->attrs.type, bst_buf_view(&point), ret_spki);
}

/* ---- signing ---- */

static unsigned char *bytes_of(struct bst_view view)
{
    union {
        const char *in;
        unsigned char *out;
    } any = {view.ptr}; /* PKCS#11 inputs are not const, but only read */
    return any.out;
}

static CK_RV sign_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    op->out_len = 112;
    CK_RV rv = p11_part(call, op->object, P11_PRIVATE, &handle);
    rv = rv == CKR_OK ? call->f->C_SignInit(call->session, &op->mech, handle) : rv;
    return rv == CKR_OK ? call->f->C_Sign(call->session, bytes_of(op->parts[0]), op->parts[0].len,
                                          op->out, &op->out_len)
                        : rv;
}

static bst_result sign(struct bst_se_backend *backend, struct bst_se_object *base, enum bst_md md,
                       struct bst_view tbs, uint8_t *out, size_t *ret_len)
{
    struct p11_object *object = object_of(base);
    bst_auto_pkey *pkey = NULL;
    uint8_t raw[112];
    bool ed = base->attrs.type == BST_KEY_ED25519;
    if (object->soft) {
        BST_TRY(soft_pkey(p11_of(backend), object, &pkey));
        return bst_pkey_sign_raw(pkey, md, tbs, out, ret_len);
    }
    tbs = bst_se_leftmost(base->attrs.type, tbs);
    struct operation op = {.object = object, .parts = &tbs, .n = 1, .out = raw};
    op.mech.mechanism = p11_mechs[ed ? P11_EDDSA : P11_ECDSA].type;
    BST_TRY(p11_run(p11_of(backend), sign_call, &op, "signing"));
    if (!ed) {
        return p11_ecdsa_der(bst_view_of(raw, op.out_len), out, ret_len);
    }
    BST_ENSURE(op.out_len == 64, BST_E_SE_TOKEN);
    memcpy(out, raw, 64);
    *ret_len = 64;
    return BST_OK;
}

/* ---- MAC and derivation ---- */

static CK_RV mac_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    CK_RV rv = p11_part(call, op->object, P11_MAC, &handle);
    rv = rv == CKR_OK ? call->f->C_SignInit(call->session, &op->mech, handle) : rv;
    op->out_len = BST_SHA256_BYTES;
    if (rv == CKR_OK && op->n == 1) {
        return call->f->C_Sign(call->session, bytes_of(op->parts[0]), op->parts[0].len, op->out,
                               &op->out_len);
    }
    for (size_t i = 0; rv == CKR_OK && i < op->n; i++) {
        if (op->parts[i].len) {
            rv = call->f->C_SignUpdate(call->session, bytes_of(op->parts[i]), op->parts[i].len);
        }
    }
    return rv == CKR_OK ? call->f->C_SignFinal(call->session, op->out, &op->out_len) : rv;
}

static bst_result mac(struct bst_se_backend *backend, struct bst_se_object *base,
                      const struct bst_view *parts, size_t n, uint8_t out[BST_SHA256_BYTES])
{
    struct p11_object *object = object_of(base);
    bst_auto(secret) value = {0};
    if (object->soft) {
        BST_TRY(p11_value(p11_of(backend), object, &value));
        return bst_hmac_sha256(bst_view_of(value.ptr, value.len), parts, n, out);
    }
    struct operation op = {.object = object, .parts = parts, .n = n, .out = out};
    op.mech.mechanism = p11_mechs[P11_HMAC].type;
    BST_TRY(p11_run(p11_of(backend), mac_call, &op, "making a MAC"));
    BST_ENSURE(op.out_len == BST_SHA256_BYTES, BST_E_SE_TOKEN);
    return BST_OK;
}

/* Proof of equality, whatever the uses: by the token if it may, else over bytes that may leave. */
static bst_result check_value(struct bst_se_backend *backend, struct bst_se_object *base,
                              struct bst_view text, uint8_t out[BST_SHA256_BYTES])
{
    bst_auto(secret) value = {0};
    if (!(base->attrs.uses & BST_KEY_USE_PSK)) {
        return mac(backend, base, &text, 1, out);
    }
    BST_TRY(p11_value(p11_of(backend), object_of(base), &value));
    return bst_hmac_sha256(bst_view_of(value.ptr, value.len), &text, 1, out);
}

static bst_result create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                         const struct bst_secret *value, struct bst_se_object **ret)
{
    struct p11 *p = p11_of(backend);
    struct p11_object *object = NULL;
    if (attrs->persistent) {
        BST_TRY(p11_label_free(p, attrs));
    }
    BST_TRY(p11_object_new(attrs, &object));
    bst_result made = p11_make(p, object, value);
    if (bst_failed(made)) {
        p11_object_free(object);
        return made;
    }
    *ret = &object->base;
    return BST_OK;
}

/* HKDF takes the key as a message of its first HMAC, which only CKM_HKDF_DERIVE could do inside. */
static bst_result hkdf(struct p11 *p, struct p11_object *parent,
                       const struct bst_se_derivation *derivation, struct bst_secret *value)
{
    bst_auto(secret) from = {0};
    if (!parent->soft && !(parent->base.attrs.uses & BST_KEY_USE_PSK)) {
        BST_FAIL(
            BST_E_SE_MECHANISM,
            "token '%s' has no HKDF that is used here, it derives by HMAC; keep keys for HKDF in "
            "se:soft",
            p->address.token);
    }
    BST_TRY(p11_value(p, parent, &from));
    return bst_hkdf_sha256(derivation->parts[0], bst_view_of(from.ptr, from.len),
                           derivation->parts[1], value->ptr, value->len);
}

/* A token's HMAC comes out of it and goes in again as a key: the level of such a key is 1. */
static bst_result derive(struct bst_se_backend *backend, struct bst_se_object *parent,
                         const struct bst_se_derivation *derivation,
                         const struct bst_key_attrs *attrs, struct bst_se_object **ret)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_init(&value, BST_SHA256_BYTES));
    BST_TRY(derivation->hkdf ? hkdf(p11_of(backend), object_of(parent), derivation, &value)
                             : mac(backend, parent, derivation->parts, derivation->n, value.ptr));
    return create(backend, attrs, &value, ret);
}

/* ---- sealing: version(1) || nonce[12] || ciphertext || tag[16], as crypto/aead.h ---- */

static CK_RV seal_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    struct bst_view in = op->parts[0];
    op->out_len = in.len + GCM_TAG_BYTES;
    CK_RV rv = p11_part(call, op->object, P11_AES, &handle);
    rv = rv == CKR_OK ? call->f->C_EncryptInit(call->session, &op->mech, handle) : rv;
    return rv == CKR_OK
               ? call->f->C_Encrypt(call->session, bytes_of(in), in.len, op->out, &op->out_len)
               : rv;
}

static CK_RV unseal_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle;
    struct bst_view in = op->parts[0];
    op->out_len = in.len;
    CK_RV rv = p11_part(call, op->object, P11_AES, &handle);
    rv = rv == CKR_OK ? call->f->C_DecryptInit(call->session, &op->mech, handle) : rv;
    if (rv != CKR_OK) {
        return rv;
    }
    rv = call->f->C_Decrypt(call->session, bytes_of(in), in.len, op->out, &op->out_len);
    /* A tag that does not fit has no return value of its own, and tokens differ in what they say.
     */
    return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_DATA_INVALID
               ? CKR_ENCRYPTED_DATA_INVALID
               : rv;
}

static CK_GCM_PARAMS gcm(const char *nonce, struct bst_view aad)
{
    return (CK_GCM_PARAMS){
        .pIv = bytes_of(bst_view_of(nonce, GCM_NONCE_BYTES)),
        .ulIvLen = GCM_NONCE_BYTES,
        .ulIvBits = 8 * GCM_NONCE_BYTES,
        .pAAD = aad.len ? bytes_of(aad) : NULL,
        .ulAADLen = (CK_ULONG)aad.len,
        .ulTagBits = 8 * GCM_TAG_BYTES,
    };
}

static bst_result seal(struct bst_se_backend *backend, struct bst_se_object *base,
                       struct bst_view aad, struct bst_view in, struct bst_buf *ret)
{
    struct p11_object *object = object_of(base);
    bst_auto(secret) value = {0};
    char nonce[GCM_NONCE_BYTES];
    BST_ENSURE(in.len <= BLOB_MAX, BST_E_TOO_LONG);
    if (object->soft) {
        BST_TRY(p11_value(p11_of(backend), object, &value));
        return bst_aead_seal(bst_view_of(value.ptr, value.len), aad, in, ret);
    }
    BST_TRY(bst_random(nonce, sizeof nonce));
    bst_auto(buf) out = {0};
    CK_GCM_PARAMS params = gcm(nonce, aad);
    struct operation op = {.object = object, .parts = &in, .n = 1};
    op.mech = (CK_MECHANISM){p11_mechs[P11_GCM].type, &params, sizeof params};
    op.out = (uint8_t *)bst_buf_reserve(&out, in.len + GCM_TAG_BYTES);
    BST_ENSURE(op.out, BST_E_NOMEM);
    BST_TRY(p11_run(p11_of(backend), seal_call, &op, "sealing"));
    BST_ENSURE(op.out_len == in.len + GCM_TAG_BYTES, BST_E_SE_TOKEN);
    bst_buf_addc(ret, BLOB_VERSION);
    bst_buf_add(ret, nonce, sizeof nonce);
    bst_buf_add(ret, op.out, op.out_len);
    return bst_buf_check(ret);
}

static bst_result check_blob(struct bst_view blob)
{
    BST_ENSURE(blob.len >= BST_AEAD_OVERHEAD, BST_E_TRUNCATED);
    BST_ENSURE(blob.ptr[0] == BLOB_VERSION, BST_E_VERSION);
    BST_ENSURE(blob.len <= BLOB_MAX + BST_AEAD_OVERHEAD, BST_E_TOO_LONG);
    return BST_OK;
}

static bst_result unseal(struct bst_se_backend *backend, struct bst_se_object *base,
                         struct bst_view aad, struct bst_view blob, struct bst_buf *ret)
{
    struct p11_object *object = object_of(base);
    bst_auto(secret) value = {0};
    BST_TRY(check_blob(blob));
    if (object->soft) {
        BST_TRY(p11_value(p11_of(backend), object, &value));
        return bst_aead_open(bst_view_of(value.ptr, value.len), aad, blob, ret);
    }
    bst_auto(secret) out = {0};
    CK_GCM_PARAMS params = gcm(blob.ptr + 1, aad);
    struct bst_view in = bst_view_from(blob, 1 + GCM_NONCE_BYTES);
    struct operation op = {.object = object, .parts = &in, .n = 1};
    op.mech = (CK_MECHANISM){p11_mechs[P11_GCM].type, &params, sizeof params};
    BST_TRY(bst_secret_init(&out, in.len));
    op.out = out.ptr;
    BST_TRY(p11_run(p11_of(backend), unseal_call, &op, "opening a sealed object"));
    BST_ENSURE(op.out_len == in.len - GCM_TAG_BYTES, BST_E_SE_TOKEN);
    bst_buf_add(ret, out.ptr, op.out_len);
    return bst_buf_check(ret);
}

/* ---- agreement ---- */

static CK_RV agree_call(struct p11_call *call, void *arg)
{
    struct operation *op = arg;
    CK_OBJECT_HANDLE handle, z;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG len = 32;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},   {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &no, sizeof no},         {CKA_SENSITIVE, &no, sizeof no},
        {CKA_EXTRACTABLE, &yes, sizeof yes}, {CKA_VALUE_LEN, &len, sizeof len},
    };
    CK_RV rv = p11_part(call, op->object, P11_PRIVATE, &handle);
    rv =
        rv == CKR_OK ? call->f->C_DeriveKey(call->session, &op->mech, handle, template, 6, &z) : rv;
    if (rv != CKR_OK) {
        return rv;
    }
    CK_ATTRIBUTE value = {CKA_VALUE, op->secret->ptr, op->secret->len};
    rv = call->f->C_GetAttributeValue(call->session, z, &value, 1);
    CK_RV gone = call->f->C_DestroyObject(call->session, z);
    return rv == CKR_OK && value.ulValueLen != op->secret->len ? CKR_KEY_SIZE_RANGE
           : rv == CKR_OK                                      ? gone
                                                               : rv;
}

struct agreeing {
    struct p11 *p;
    struct p11_object *object;
};

/* Most tokens take the point bare, as the standard says; some only in its DER OCTET STRING. */
static bst_result agree_with(void *ctx, struct bst_view point, struct bst_secret *ret)
{
    struct agreeing *a = ctx;
    bst_auto(secret) z = {0};
    uint8_t wrapped[2 + P256_POINT_BYTES] = {4, P256_POINT_BYTES};
    BST_ENSURE(point.len == P256_POINT_BYTES, BST_E_BAD_KEY);
    memcpy(wrapped + 2, point.ptr, point.len);
    CK_ECDH1_DERIVE_PARAMS params = {
        .kdf = CKD_NULL, .ulPublicDataLen = P256_POINT_BYTES, .pPublicData = bytes_of(point)};
    BST_TRY(bst_secret_init(&z, 32));
    struct operation op = {.object = a->object, .secret = &z};
    op.mech = (CK_MECHANISM){p11_mechs[P11_ECDH].type, &params, sizeof params};
    bst_result agreed = p11_run(a->p, agree_call, &op, "agreeing on a key");
    if (bst_failed(agreed) && agreed.code != BST_E_BUSY && agreed.code != BST_E_NOT_FOUND) {
        params.ulPublicDataLen = sizeof wrapped;
        params.pPublicData = wrapped;
        agreed = p11_run(a->p, agree_call, &op, "agreeing on a key");
    }
    BST_TRY(agreed);
    *ret = z;
    z = (struct bst_secret){0};
    return BST_OK;
}

static bst_result ecies_open(struct bst_se_backend *backend, struct bst_se_object *base,
                             struct bst_view info, struct bst_view blob, struct bst_secret *ret)
{
    struct agreeing agreeing = {p11_of(backend), object_of(base)};
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) spki = {0};
    if (agreeing.object->soft) {
        BST_TRY(soft_pkey(agreeing.p, agreeing.object, &pkey));
        return bst_ecies_open(pkey, info, blob, ret);
    }
    BST_TRY(public_key(backend, base, &spki));
    return bst_ecies_open_outside(bst_buf_view(&spki), agree_with, &agreeing, info, blob, ret);
}

/* Z with the key of a peer, in any form of a point. */
static bst_result agree(struct bst_se_backend *backend, struct bst_se_object *base,
                        struct bst_view point, struct bst_secret *ret_z)
{
    struct agreeing agreeing = {p11_of(backend), object_of(base)};
    uint8_t wide[BST_P256_WIDE_BYTES], narrow[BST_CURVE_POINT_MAX];
    bst_auto_pkey *pkey = NULL;
    if (agreeing.object->soft) {
        enum bst_curve curve =
            base->attrs.type == BST_KEY_X25519 ? BST_CURVE_X25519 : BST_CURVE_P256;
        BST_TRY(bst_agree_point_load(curve, point, narrow));
        BST_TRY(soft_pkey(agreeing.p, agreeing.object, &pkey));
        return bst_agree(curve, pkey, bst_view_of(narrow, bst_curve_point_bytes(curve)), ret_z);
    }
    BST_TRY(bst_agree_point_wide(point, wide));
    return agree_with(&agreeing, bst_view_of(wide, sizeof wide), ret_z);
}

/* ---- what only software does ---- */

static bst_result run(struct bst_se_backend *backend, struct bst_se_object *base,
                      const struct bst_se_routine *routine, void *io)
{
    bst_auto(secret) value = {0};
    if (!object_of(base)->soft) {
        BST_FAIL(BST_E_SE_MECHANISM,
                 "a token cannot run %s; make the key with fallback=soft in the "
                 "address, or in se:soft",
                 routine->name);
    }
    BST_TRY(p11_value(p11_of(backend), object_of(base), &value));
    return routine->run(bst_view_of(value.ptr, value.len), io);
}

static bst_result release(struct bst_se_backend *backend, struct bst_se_object *base,
                          struct bst_secret *ret)
{
    return p11_value(p11_of(backend), object_of(base), ret);
}

/* ---- removing, opening, closing ---- */

static CK_RV remove_call(struct p11_call *call, void *arg)
{
    return p11_unmake(call, arg);
}

static bst_result remove_object(struct bst_se_backend *backend, struct bst_se_object *base)
{
    return p11_run(p11_of(backend), remove_call, object_of(base), "deleting a key");
}

/* The handles of a session key are known from its making; with the connection they are gone. */
static CK_RV let_go_call(struct p11_call *call, void *arg)
{
    struct p11_object *object = arg;
    for (unsigned i = 0; object->generation == call->generation && i < P11_PARTS; i++) {
        if (object->handles[i]) {
            (void)call->f->C_DestroyObject(call->session, object->handles[i]);
        }
    }
    return CKR_OK;
}

/* A session key takes a place on the token until it is let go. A token that is gone has let go. */
static void drop(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct p11_object *object = object_of(base);
    bool on_token = backend && !base->attrs.persistent && !object->value.ptr;
    if (on_token && object->temporary) {
        p11_temporary_let_go(p11_of(backend), object);
    } else if (on_token && p11_is_up(p11_of(backend))) {
        (void)p11_run(p11_of(backend), let_go_call, object, "letting go of a key").code;
    }
    p11_object_free(object);
}

static void about(struct bst_se_backend *backend, struct bst_se_about *ret)
{
    struct p11 *p = p11_of(backend);
    bst_auto(buf) lacks = {0};
    snprintf(ret->kind, sizeof ret->kind, "pkcs11");
    pthread_mutex_lock(&p->lock);
    snprintf(ret->name, sizeof ret->name, "%s", p->name);
    snprintf(ret->evidence, sizeof ret->evidence, "%s", p->evidence);
    snprintf(ret->pin, sizeof ret->pin, "%s", p11_pin_words(p->info.flags));
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < P11_MECHS; i++) {
        if (!p11_can(p, (enum p11_mech)i)) {
            bst_buf_addf(&lacks, "%s, ", p11_mechs[i].name);
        }
    }
    bst_buf_addf(&lacks, "%s%s%sHKDF, X25519, counters",
                 atomic_load(&p->kwp) == P11_CKM_KWP ? "" : "wrap of odd lengths, ",
                 atomic_load(&p->keeps_all) ? "session keys, " : "",
                 atomic_load(&p->takes_none) ? "import of pairs, " : "");
    snprintf(ret->lacks, sizeof ret->lacks, "%.*s", BST_VIEW_ARGS(bst_buf_view(&lacks)));
}

static void close_token(struct bst_se_backend *backend)
{
    struct p11 *p = p11_of(backend);
    p11_token_close(p);
    p11_address_clear(&p->address);
    bst_buf_clear(&p->left);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    bst_free(p);
}

static bst_result open_token(const struct bst_se_host *host, struct bst_view text,
                             bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                             struct bst_se_backend **ret)
{
    struct p11_address address;
    BST_TRY(p11_address_parse(text, &address));
    struct p11 *p = bst_alloc(sizeof *p);
    if (!p) {
        p11_address_clear(&address);
        return bst_error(BST_E_NOMEM);
    }
    p->base.ops = &bst_se_pkcs11;
    p->base.slow = true;
    p->host = host;
    p->address = address;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    bst_result opened = p11_token_open(p);
    if (!bst_failed(opened)) {
        opened = p11_scan(p, found, ctx);
    }
    if (bst_failed(opened)) {
        close_token(&p->base);
        return opened;
    }
    *ret = &p->base;
    return BST_OK;
}

static bst_result rename_object(struct bst_se_backend *backend, struct bst_se_object *object,
                                const char *label, struct bst_se_object **ret)
{
    struct p11_object *fresh = NULL;
    BST_TRY(p11_rename(p11_of(backend), object_of(object), label, &fresh));
    *ret = &fresh->base;
    return BST_OK;
}

const struct bst_se_backend_ops bst_se_pkcs11 = {
    .scheme = "pkcs11",
    .level = 1,
    .open = open_token,
    .close = close_token,
    .about = about,
    .create = create,
    .derive = derive,
    .remove = remove_object,
    .drop = drop,
    .public_key = public_key,
    .sign = sign,
    .mac = mac,
    .seal = seal,
    .unseal = unseal,
    .ecies_open = ecies_open,
    .agree = agree,
    .run = run,
    .release = release,
    .random = p11_random,
    .wrap = p11_wrap,
    .unwrap = p11_unwrap,
    .unwrap_text = p11_unwrap_text,
    .check_value = check_value,
    .state = p11_state,
    .set_state = p11_set_state,
    .wipe = p11_wipe,
    .pin_change = p11_pin_change,
    .rename = rename_object,
    .replace = p11_replace,
};
