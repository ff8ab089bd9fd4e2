/* Making and removing the objects of a key on the token.
 *
 * Uses become attributes that the token enforces: signing and MAC CKA_SIGN, sealing CKA_ENCRYPT and
 * CKA_DECRYPT, agreement CKA_DERIVE; a key is readable only with USE_PSK and leaves wrapped only
 * with USE_WRAP. Derivation is HMAC too, so that a token cannot tell it from a MAC: the front does.
 */
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "se/pkcs11/p11_priv.h"

#define SYMMETRIC_BYTES 32
#define ATTRS_MAX 20

/* ---- templates ---- */

struct template
{
    CK_ATTRIBUTE list[ATTRS_MAX];
    CK_ULONG n;
};

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static void put(struct template *t, CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    union {
        const void *in;
        void *out;
    } any = {value}; /* templates are not written to */
    t->list[t->n++] = (CK_ATTRIBUTE){type, any.out, (CK_ULONG)len};
}

static void put_bool(struct template *t, CK_ATTRIBUTE_TYPE type, bool value)
{
    put(t, type, value ? &yes : &no, sizeof yes);
}

static void put_view(struct template *t, CK_ATTRIBUTE_TYPE type, struct bst_view value)
{
    put(t, type, value.ptr, value.len);
}

static void put_common(struct template *t, const struct p11_object *object, bool private)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    /* The label of a temporary key must not be in the way of one that another program keeps. */
    put_bool(t, CKA_TOKEN, attrs->persistent || object->temporary);
    put_bool(t, CKA_PRIVATE, private);
    put_view(t, CKA_LABEL, bst_view(object->temporary ? P11_APP_TEMPORARY : attrs->label));
}

static void put_id(struct template *t, const struct p11_object *object)
{
    put(t, CKA_ID, object->id, object->id_len);
}

static const CK_OBJECT_CLASS class_private = CKO_PRIVATE_KEY, class_public = CKO_PUBLIC_KEY,
                             class_secret = CKO_SECRET_KEY, class_data = CKO_DATA;
static const CK_KEY_TYPE type_ec = CKK_EC, type_ed = CKK_EC_EDWARDS, type_aes = CKK_AES,
                         type_secret = CKK_GENERIC_SECRET;

static void put_leaving(struct template *t, uint32_t uses)
{
    put_bool(t, CKA_SENSITIVE, !(uses & BST_KEY_USE_PSK));
    put_bool(t, CKA_EXTRACTABLE, uses & (BST_KEY_USE_PSK | BST_KEY_USE_WRAP));
}

static void private_template(struct template *t, const struct p11_object *object)
{
    uint32_t uses = object->base.attrs.uses;
    put_common(t, object, true);
    put_id(t, object);
    put_leaving(t, uses);
    put_bool(t, CKA_SIGN, uses & BST_KEY_USE_SIGN);
    put_bool(t, CKA_DERIVE, uses & BST_KEY_USE_AGREE);
}

static void public_template(struct template *t, const struct p11_object *object)
{
    put_common(t, object, false);
    put_id(t, object);
    put_bool(t, CKA_VERIFY, object->base.attrs.uses & BST_KEY_USE_SIGN);
    put_view(t, CKA_EC_PARAMS, p11_ec_params(object->base.attrs.type));
}

static void secret_template(struct template *t, const struct p11_object *object, bool aes)
{
    uint32_t uses = object->base.attrs.uses;
    put_common(t, object, true);
    put_id(t, object);
    put_leaving(t, uses);
    put(t, CKA_CLASS, &class_secret, sizeof class_secret);
    put(t, CKA_KEY_TYPE, aes ? &type_aes : &type_secret, sizeof type_aes);
    put_bool(t, CKA_SIGN, !aes && (uses & (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE)));
    put_bool(t, CKA_ENCRYPT, aes && (uses & BST_KEY_USE_SEAL));
    put_bool(t, CKA_DECRYPT, aes && (uses & BST_KEY_USE_SEAL));
    put_bool(t, CKA_WRAP, aes && (uses & BST_KEY_USE_KEK));
    put_bool(t, CKA_UNWRAP, aes && (uses & BST_KEY_USE_KEK));
}

/* ---- removing ---- */

static CK_RV destroy_all(struct p11_call *call, CK_ATTRIBUTE *template, CK_ULONG n)
{
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, n, &found);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = call->f->C_DestroyObject(call->session, handle);
        rv = rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
    }
    return rv;
}

/* Keys before the record, so that what is left after a fault is still known. */
CK_RV p11_unmake(struct p11_call *call, struct p11_object *object)
{
    const CK_OBJECT_CLASS *const classes[] = {&class_private, &class_public, &class_secret};
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < 3 && rv == CKR_OK; i++) {
        struct template t = {.n = 0};
        put(&t, CKA_CLASS, classes[i], sizeof class_data);
        put_id(&t, object);
        rv = destroy_all(call, t.list, t.n);
    }
    const char *const applications[] = {
        P11_APP_VALUE,
        object->temporary ? P11_APP_TEMPORARY : P11_APP_RECORD,
    };
    for (size_t i = 0; i < 2 && rv == CKR_OK; i++) {
        struct template t = {.n = 0};
        put(&t, CKA_CLASS, &class_data, sizeof class_data);
        put_view(&t, CKA_APPLICATION, bst_view(applications[i]));
        put_view(&t, CKA_OBJECT_ID, bst_view_of(object->id, object->id_len));
        rv = destroy_all(call, t.list, t.n);
    }
    return rv;
}

/* ---- making ---- */

struct making {
    struct p11 *p;
    struct p11_object *object;
    const struct bst_secret
        *value;             /* symmetric bytes (padded for HMAC), scalar, or bytes to keep */
    struct bst_view point;  /* public half of an imported pair, DER OCTET STRING */
    struct p11_object *kek; /* or it comes wrapped under this one */
    struct bst_view wrapped;
};

/* Nobody else knows the object yet: its handles need no lock. */
static void remember(const struct p11_call *call, struct p11_object *object)
{
    if (object->generation != call->generation) {
        memset(object->handles, 0, sizeof object->handles);
        object->generation = call->generation;
    }
}

static CK_RV created(struct p11_call *call, struct p11_object *object, enum p11_part part,
                     struct template *t)
{
    remember(call, object);
    return call->f->C_CreateObject(call->session, t->list, t->n, &object->handles[part]);
}

static CK_RV make_data(struct p11_call *call, struct p11_object *object, enum p11_part part,
                       const char *application, struct bst_view value)
{
    struct template t = {.n = 0};
    put_common(&t, object, true);
    put(&t, CKA_CLASS, &class_data, sizeof class_data);
    put_bool(&t, CKA_MODIFIABLE, part == P11_VALUE && object->base.attrs.type == BST_KEY_DATA);
    put_view(&t, CKA_APPLICATION, bst_view(application));
    put_view(&t, CKA_OBJECT_ID, bst_view_of(object->id, object->id_len));
    put_view(&t, CKA_VALUE, value);
    return created(call, object, part, &t);
}

CK_RV p11_make_value(struct p11_call *call, struct p11_object *object, struct bst_view value)
{
    return make_data(call, object, P11_VALUE, P11_APP_VALUE, value);
}

static CK_RV generate_pair(struct p11_call *call, struct p11_object *object)
{
    struct template pub = {.n = 0}, priv = {.n = 0};
    bool ed = object->base.attrs.type == BST_KEY_ED25519;
    CK_MECHANISM mech = {p11_mechs[ed ? P11_ED_GEN : P11_EC_GEN].type, NULL, 0};
    public_template(&pub, object);
    private_template(&priv, object);
    remember(call, object);
    return call->f->C_GenerateKeyPair(call->session, &mech, pub.list, pub.n, priv.list, priv.n,
                                      &object->handles[P11_PUBLIC], &object->handles[P11_PRIVATE]);
}

static CK_RV import_pair(struct p11_call *call, struct making *m)
{
    struct template pub = {.n = 0}, priv = {.n = 0};
    struct p11_object *object = m->object;
    const CK_KEY_TYPE *type = object->base.attrs.type == BST_KEY_ED25519 ? &type_ed : &type_ec;
    private_template(&priv, object);
    put(&priv, CKA_CLASS, &class_private, sizeof class_private);
    put(&priv, CKA_KEY_TYPE, type, sizeof *type);
    put_view(&priv, CKA_EC_PARAMS, p11_ec_params(object->base.attrs.type));
    put(&priv, CKA_VALUE, m->value->ptr, m->value->len);
    CK_RV rv = created(call, object, P11_PRIVATE, &priv);
    if (rv != CKR_OK) {
        return rv;
    }
    public_template(&pub, object);
    put(&pub, CKA_CLASS, &class_public, sizeof class_public);
    put(&pub, CKA_KEY_TYPE, type, sizeof *type);
    put_view(&pub, CKA_EC_POINT, m->point);
    return created(call, object, P11_PUBLIC, &pub);
}

static bool wants_aes(uint32_t uses)
{
    return uses & (BST_KEY_USE_SEAL | BST_KEY_USE_KEK);
}

static bool wants_secret(uint32_t uses)
{
    return !wants_aes(uses) || (uses & (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE));
}

static CK_RV generate_secret(struct p11_call *call, struct p11_object *object)
{
    struct template t = {.n = 0};
    CK_ULONG len = SYMMETRIC_BYTES;
    bool aes = wants_aes(object->base.attrs.uses);
    CK_MECHANISM mech = {p11_mechs[aes ? P11_AES_GEN : P11_SECRET_GEN].type, NULL, 0};
    secret_template(&t, object, aes);
    put(&t, CKA_VALUE_LEN, &len, sizeof len);
    remember(call, object);
    return call->f->C_GenerateKey(call->session, &mech, t.list, t.n,
                                  &object->handles[aes ? P11_AES : P11_MAC]);
}

static CK_RV unwrapped(struct p11_call *call, struct making *m, enum p11_part part,
                       struct template *t)
{
    CK_MECHANISM mech = {m->p->kwp, NULL, 0};
    CK_OBJECT_HANDLE kek;
    union {
        const char *in;
        unsigned char *out;
    } wrapped = {m->wrapped.ptr}; /* only read */
    CK_RV rv = p11_part(call, m->kek, P11_AES, &kek);
    remember(call, m->object);
    return rv == CKR_OK
               ? call->f->C_UnwrapKey(call->session, &mech, kek, wrapped.out, m->wrapped.len,
                                      t->list, t->n, &m->object->handles[part])
               : rv;
}

/* A key that both seals and makes MACs is two objects with one value: PKCS#11 keys have one type.
 */
static CK_RV import_secret(struct p11_call *call, struct making *m)
{
    uint32_t uses = m->object->base.attrs.uses;
    CK_RV rv = CKR_OK;
    for (int aes = 0; aes <= 1 && rv == CKR_OK; aes++) {
        if (aes ? wants_aes(uses) : wants_secret(uses)) {
            struct template t = {.n = 0};
            enum p11_part part = aes ? P11_AES : P11_MAC;
            secret_template(&t, m->object, aes);
            if (m->kek) {
                rv = unwrapped(call, m, part, &t);
                continue;
            }
            put(&t, CKA_VALUE, m->value->ptr, m->value->len);
            rv = created(call, m->object, part, &t);
        }
    }
    return rv;
}

static CK_RV make_key(struct p11_call *call, struct making *m)
{
    struct p11_object *object = m->object;
    if (object->soft) {
        return make_data(call, object, P11_VALUE, P11_APP_VALUE,
                         bst_view_of(m->value->ptr, m->value->len));
    }
    if (object->base.attrs.type == BST_KEY_SYMMETRIC) {
        return m->value || m->kek ? import_secret(call, m) : generate_secret(call, object);
    }
    return m->value ? import_pair(call, m) : generate_pair(call, object);
}

/* Records of a name that has no key: what a fault in the middle left behind. */
static CK_RV forget_records(struct p11_call *call, const struct p11_object *object)
{
    struct template t = {.n = 0};
    bst_auto(buf) found = {0};
    put(&t, CKA_CLASS, &class_data, sizeof class_data);
    put_view(&t, CKA_APPLICATION, bst_view(P11_APP_RECORD));
    put_view(&t, CKA_LABEL, bst_view(object->base.attrs.label));
    CK_RV rv = p11_find_all(call, t.list, t.n, &found);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        bool others;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = p11_record_of_other(call, handle, object->base.attrs.owner, &others);
        rv = rv == CKR_OK && !others ? call->f->C_DestroyObject(call->session, handle) : rv;
        rv = rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
    }
    return rv;
}

static CK_RV make_record(struct p11_call *call, struct p11_object *object)
{
    bst_auto(buf) record = {0};
    if (bst_failed(p11_record_put(object, &record))) {
        return CKR_HOST_MEMORY;
    }
    CK_RV rv = forget_records(call, object);
    return rv == CKR_OK ? make_data(call, object, P11_RECORD, P11_APP_RECORD, bst_buf_view(&record))
                        : rv;
}

static CK_RV make_temporary_record(struct p11_call *call, struct p11_object *object)
{
    bst_auto(buf) record = {0};
    return bst_failed(p11_temporary_record(&record))
               ? CKR_HOST_MEMORY
               : make_data(call, object, P11_RECORD, P11_APP_TEMPORARY, bst_buf_view(&record));
}

/* The record comes first: a key that nobody knows of is worse than a record without a key, which is
 * taken away when its label is used again. */
static CK_RV make_call(struct p11_call *call, void *arg)
{
    struct making *m = arg;
    CK_RV rv = call->attempt ? p11_unmake(call, m->object) : CKR_OK;
    if (rv == CKR_OK && m->object->base.attrs.persistent) {
        rv = make_record(call, m->object);
    }
    if (rv == CKR_OK && m->object->temporary) {
        rv = make_temporary_record(call, m->object);
    }
    if (rv == CKR_OK) {
        rv = make_key(call, m);
    }
    if (rv != CKR_OK && !p11_rv_gone(rv)) {
        (void)p11_unmake(call, m->object);
    }
    return rv;
}

/* ---- what the token gets to see ---- */

static bst_result need_pair(const struct p11 *p, const struct bst_key_attrs *attrs, bool made)
{
    bool ed = attrs->type == BST_KEY_ED25519;
    if (attrs->type > BST_KEY_ED25519) {
        BST_FAIL(BST_E_SE_MECHANISM,
                 "a PKCS#11 token is not used for X25519; use se:soft, or fallback=soft in the "
                 "address");
    }
    if (made) {
        BST_TRY(p11_need(p, ed ? P11_ED_GEN : P11_EC_GEN, "make such a pair"));
    }
    if (attrs->uses & BST_KEY_USE_SIGN) {
        BST_TRY(p11_need(p, ed ? P11_EDDSA : P11_ECDSA, "sign so"));
    }
    return attrs->uses & BST_KEY_USE_AGREE ? p11_need(p, P11_ECDH, "agree on keys") : BST_OK;
}

static bst_result need_secret(const struct p11 *p, const struct bst_key_attrs *attrs)
{
    if (attrs->uses & (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE)) {
        BST_TRY(p11_need(p, P11_HMAC, "make MACs or derive keys"));
    }
    if (attrs->uses & ~(uint32_t)(BST_KEY_USE_MAC | BST_KEY_USE_DERIVE | BST_KEY_USE_SEAL |
                                  BST_KEY_USE_PSK | BST_KEY_USE_WRAP | BST_KEY_USE_KEK)) {
        BST_FAIL(BST_E_SE_MECHANISM,
                 "a PKCS#11 token runs no algorithms of ours over its keys; use "
                 "se:soft, or fallback=soft in the address");
    }
    if (attrs->uses & BST_KEY_USE_KEK) {
        BST_TRY(p11_need(p, P11_KWP, "wrap keys"));
    }
    if (attrs->uses & BST_KEY_USE_SEAL) {
        BST_TRY(p11_need(p, P11_GCM, "seal"));
    }
    return p11_need(p, P11_SECRETS, "keep such a key");
}

/* A token without session keys has temporary ones (temporary.c). */
static bst_result run_making_call(struct making *m, const char *what)
{
    struct p11 *p = m->p;
    struct p11_object *object = m->object;
    bool kept = object->base.attrs.persistent;
    object->temporary = !kept && atomic_load(&p->keeps_all);
    bst_result made = p11_run(p, make_call, m, what);
    if (made.code != BST_E_SE_MECHANISM || kept || object->temporary) {
        return made;
    }
    object->temporary = true;
    made = p11_run(p, make_call, m, what);
    if (!bst_failed(made)) {
        atomic_store(&p->keeps_all, true);
    }
    return made;
}

static bst_result run_making(struct making *m)
{
    return run_making_call(m, m->value ? "importing a key" : "making a key");
}

/* Software needs the token only to keep its bytes. */
static bst_result keep_soft(struct making *m, const struct bst_secret *bytes)
{
    struct p11_object *object = m->object;
    if (!object->base.attrs.persistent) {
        return bst_secret_copy(&object->value, bytes->ptr, bytes->len);
    }
    m->value = bytes;
    bst_result r = run_making(m);
    m->value = NULL;
    return r;
}

static bst_result make_pair(struct making *m, const struct bst_secret *value)
{
    enum bst_key_type type = m->object->base.attrs.type;
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) scalar = {0};
    bst_auto(buf) spki = {0}, point = {0};
    if (!value) {
        return run_making(m);
    }
    BST_TRY(bst_se_pair_load(&m->object->base.attrs, value, &pkey));
    BST_TRY(bst_pkey_scalar(pkey, &scalar));
    BST_TRY(bst_pkey_spki(pkey, &spki));
    struct bst_view raw = p11_spki_point(type, bst_buf_view(&spki));
    bst_buf_addc(&point, 4);
    bst_buf_addc(&point, (char)raw.len);
    bst_buf_addv(&point, raw);
    BST_TRY(bst_buf_check(&point));
    m->value = &scalar;
    m->point = bst_buf_view(&point);
    bst_result made = run_making(m);
    if (made.code != BST_E_SE_MECHANISM) {
        return made;
    }
    atomic_store(&m->p->takes_none, true);
    BST_FAIL(BST_E_SE_MECHANISM, "token '%s' does not take this pair: it has no import of pairs%s",
             m->p->address.token, p11_fallback_words(m->p));
}

static bst_result check_secret(const struct bst_key_attrs *attrs, const struct bst_secret *value)
{
    size_t max = bst_key_value_max(attrs);
    if (value->len > max) {
        BST_FAIL(BST_E_TOO_LONG, "key '%s' has %zu bytes, %zu at most are possible", attrs->label,
                 value->len, max);
    }
    if (wants_aes(attrs->uses) && value->len != SYMMETRIC_BYTES) {
        BST_FAIL(BST_E_BAD_KEY, "key '%s' is for AES-256 and must have %d bytes", attrs->label,
                 SYMMETRIC_BYTES);
    }
    return BST_OK;
}

/* HMAC pads its key with zeros up to 64 bytes, so that zeros at the end change nothing; many tokens
 * take no HMAC key below 32 bytes. */
static bst_result make_secret(struct making *m, const struct bst_secret *value)
{
    const struct bst_key_attrs *attrs = &m->object->base.attrs;
    bst_auto(secret) bytes = {0};
    bool two = wants_aes(attrs->uses) && wants_secret(attrs->uses);
    enum p11_mech generate = wants_aes(attrs->uses) ? P11_AES_GEN : P11_SECRET_GEN;
    m->object->value_len = value ? value->len : SYMMETRIC_BYTES;
    if (!value && !two && p11_can(m->p, generate)) {
        return run_making(m);
    }
    if (value) {
        BST_TRY(check_secret(attrs, value));
    }
    BST_TRY(bst_secret_init(&bytes,
                            value && value->len > SYMMETRIC_BYTES ? value->len : SYMMETRIC_BYTES));
    if (value) {
        memcpy(bytes.ptr, value->ptr, value->len);
    } else {
        BST_TRY(bst_random(bytes.ptr, bytes.len));
    }
    m->object->base.attrs.level = 1; /* its bytes were in this program */
    m->value = &bytes;
    return run_making(m);
}

/* The bytes of a key that software will work with. */
static bst_result make_soft(struct making *m, const struct bst_secret *value)
{
    const struct bst_key_attrs *attrs = &m->object->base.attrs;
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) bytes = {0};
    m->object->soft = true;
    m->object->base.attrs.level = 1;
    if (bst_key_is_pair(attrs->type)) {
        BST_TRY(value ? bst_se_pair_load(attrs, value, &pkey)
                      : bst_se_pair_generate(attrs->type, &pkey));
        BST_TRY(bst_pkey_private(pkey, &bytes));
        return keep_soft(m, &bytes);
    }
    if (value) {
        BST_TRY(check_secret(attrs, value));
        BST_TRY(bst_secret_copy(&bytes, value->ptr, value->len));
    } else {
        BST_TRY(bst_secret_init(&bytes, SYMMETRIC_BYTES));
        BST_TRY(bst_random(bytes.ptr, bytes.len));
    }
    m->object->value_len = attrs->type == BST_KEY_SYMMETRIC ? bytes.len : 0;
    return keep_soft(m, &bytes);
}

bst_result p11_make(struct p11 *p, struct p11_object *object, const struct bst_secret *value)
{
    const struct bst_key_attrs *attrs = &object->base.attrs;
    struct making m = {.p = p, .object = object};
    bool symmetric = attrs->type == BST_KEY_SYMMETRIC;
    BST_TRY(bst_random(object->id, P11_ID_BYTES));
    object->id_len = P11_ID_BYTES;
    if (value || (attrs->uses & (BST_KEY_USE_PSK | BST_KEY_USE_WRAP))) {
        object->base.attrs.level = 1; /* its bytes were in this program, or may come here */
    }
    if (attrs->type == BST_KEY_DATA) {
        return make_soft(&m, value);
    }
    bst_result able = symmetric ? need_secret(p, attrs) : need_pair(p, attrs, !value);
    if (p->address.fallback && attrs->uses & BST_KEY_USE_WRAP && !bst_failed(able)) {
        able = p11_need(p, P11_KWP, "wrap keys");
    }
    if (!bst_failed(able)) {
        able = symmetric ? make_secret(&m, value) : make_pair(&m, value);
    }
    if (able.code != BST_E_SE_MECHANISM || !p->address.fallback) {
        return able;
    }
    m = (struct making){.p = p, .object = object}; /* what it has, it may not have for this key */
    object->temporary = false;
    return make_soft(&m, value);
}

bst_result p11_make_unwrapped(struct p11 *p, struct p11_object *object, struct p11_object *kek,
                              struct bst_view wrapped)
{
    struct making m = {.p = p, .object = object, .kek = kek, .wrapped = wrapped};
    BST_TRY(bst_random(object->id, P11_ID_BYTES));
    object->id_len = P11_ID_BYTES;
    if (object->base.attrs.uses & (BST_KEY_USE_PSK | BST_KEY_USE_WRAP)) {
        object->base.attrs.level = 1; /* its bytes may come here */
    }
    BST_TRY(need_secret(p, &object->base.attrs));
    return run_making_call(&m, "unwrapping a key");
}

/* ---- another label ---- */

struct renaming {
    struct p11_object *fresh; /* with the new label and the old id */
    const struct p11_object *old;
};

static CK_RV set_label(struct p11_call *call, struct p11_object *object, enum p11_part part)
{
    struct template t = {.n = 0};
    CK_OBJECT_HANDLE handle;
    CK_RV rv = p11_part(call, object, part, &handle);
    if (rv == CKR_OBJECT_HANDLE_INVALID) {
        return CKR_OK; /* a key has not all parts */
    }
    put_view(&t, CKA_LABEL, bst_view(object->base.attrs.label));
    return rv == CKR_OK ? call->f->C_SetAttributeValue(call->session, handle, t.list, t.n) : rv;
}

/* The new record comes first: with two of one id the key is known by one of them, and its own label
 * may be either. Another attempt sets that right. */
static CK_RV rename_call(struct p11_call *call, void *arg)
{
    static const enum p11_part pair[] = {P11_PRIVATE, P11_PUBLIC}, secret[] = {P11_MAC, P11_AES};
    const struct renaming *r = arg;
    const enum p11_part *parts = r->fresh->base.attrs.type == BST_KEY_SYMMETRIC ? secret : pair;
    CK_RV rv = make_record(call, r->fresh);
    for (size_t i = 0; i < 2 && rv == CKR_OK; i++) {
        rv = set_label(call, r->fresh, parts[i]);
    }
    return rv == CKR_OK ? forget_records(call, r->old) : rv;
}

bst_result p11_rename(struct p11 *p, struct p11_object *object, const char *label,
                      struct p11_object **ret)
{
    struct bst_key_attrs attrs = object->base.attrs;
    struct p11_object *fresh = NULL;
    if (object->soft) {
        BST_FAIL(BST_E_SE_MECHANISM,
                 "key '%s' is bytes in a data object, whose label stays; make a new one beside it",
                 attrs.label);
    }
    attrs.label = label;
    BST_TRY(p11_object_new(&attrs, &fresh));
    memcpy(fresh->id, object->id, object->id_len);
    fresh->id_len = object->id_len;
    fresh->value_len = object->value_len;
    struct renaming r = {fresh, object};
    bst_result renamed = p11_run(p, rename_call, &r, "giving a key another label");
    if (bst_failed(renamed)) {
        p11_object_free(fresh);
        return renamed;
    }
    *ret = fresh;
    return BST_OK;
}
