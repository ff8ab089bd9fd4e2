/* Key wrap on a token: RFC 5649 by C_WrapKey and C_UnwrapKey. Tokens wrap keys, not text: text is a
 * session key for the moment. */
#include "se/pkcs11/p11_priv.h"

#include "crypto/keywrap.h"
#include "crypto/pkey.h"

#define WRAPPED_MAX (4096 + 16)
#define WHOLE_KEY_BYTES 32 /* that the token keeps as they are, and AES-256 takes */

struct wrapping {
    struct p11 *p;
    struct p11_object *kek, *object;
    enum p11_part part;    /* of the object */
    struct bst_view bytes; /* text to wrap, or what is wrapped */
    struct bst_secret *value;
    CK_ULONG value_len;
    uint8_t out[WRAPPED_MAX];
    CK_ULONG out_len;
};

static struct p11 *p11_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct p11, base);
}

static struct p11_object *object_of(struct bst_se_object *object)
{
    return bst_container_of(object, struct p11_object, base);
}

static unsigned char *bytes_of(struct bst_view view)
{
    union {
        const char *in;
        unsigned char *out;
    } any = {view.ptr}; /* PKCS#11 inputs are not const, but only read */
    return any.out;
}

#define SESSION_KEY_ATTRIBUTES 5

/* A key that lives for one call. */
struct session_key {
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE type;
    CK_BBOOL no, yes;
    CK_ATTRIBUTE list[SESSION_KEY_ATTRIBUTES + 1];
};

static void session_key(struct session_key *k)
{
    *k = (struct session_key){CKO_SECRET_KEY, CKK_GENERIC_SECRET, CK_FALSE, CK_TRUE, {{0}}};
    const CK_ATTRIBUTE list[] = {
        {CKA_CLASS, &k->class, sizeof k->class},   {CKA_KEY_TYPE, &k->type, sizeof k->type},
        {CKA_TOKEN, &k->no, sizeof k->no},         {CKA_SENSITIVE, &k->no, sizeof k->no},
        {CKA_EXTRACTABLE, &k->yes, sizeof k->yes},
    };
    memcpy(k->list, list, sizeof list);
}

/* ---- wrapping ---- */

static CK_RV wrap_handle(struct p11_call *call, struct wrapping *w, CK_OBJECT_HANDLE handle)
{
    CK_MECHANISM mech = {w->p->kwp, NULL, 0};
    CK_OBJECT_HANDLE kek;
    CK_RV rv = p11_part(call, w->kek, P11_AES, &kek);
    w->out_len = sizeof w->out;
    return rv == CKR_OK ? call->f->C_WrapKey(call->session, &mech, kek, handle, w->out, &w->out_len)
                        : rv;
}

static CK_RV wrap_object_call(struct p11_call *call, void *arg)
{
    struct wrapping *w = arg;
    CK_OBJECT_HANDLE handle;
    CK_RV rv = p11_part(call, w->object, w->part, &handle);
    return rv == CKR_OK ? wrap_handle(call, w, handle) : rv;
}

static CK_RV wrap_text_call(struct p11_call *call, void *arg)
{
    struct wrapping *w = arg;
    struct session_key key;
    CK_OBJECT_HANDLE handle;
    session_key(&key);
    key.list[SESSION_KEY_ATTRIBUTES] = (CK_ATTRIBUTE){CKA_VALUE, bytes_of(w->bytes), w->bytes.len};
    CK_RV rv =
        call->f->C_CreateObject(call->session, key.list, SESSION_KEY_ATTRIBUTES + 1, &handle);
    if (rv != CKR_OK) {
        return rv;
    }
    rv = wrap_handle(call, w, handle);
    CK_RV gone = call->f->C_DestroyObject(call->session, handle);
    return rv == CKR_OK ? gone : rv;
}

/* SoftHSM2 and others of before PKCS #11 3.0 fill up to 8 octets with zeros and then wrap: that is
 * RFC 5649 only where there is nothing to fill. What they unwrap is right. */
static bst_result check_length(const struct wrapping *w, bool known, size_t len)
{
    if (w->p->kwp != P11_CKM_KWP && (!known || len % 8)) {
        BST_FAIL(
            BST_E_SE_MECHANISM,
            "token '%s' wraps only symmetric keys of a multiple of 8 octets: it has no wrap of "
            "odd lengths",
            w->p->address.token);
    }
    return BST_OK;
}

static bst_result wrap_text(struct wrapping *w, struct bst_view text)
{
    BST_TRY(check_length(w, true, text.len));
    w->bytes = text;
    return p11_run(w->p, wrap_text_call, w, "wrapping a key");
}

/* What the token has in another form than it came: pads of short keys, keys in data objects. */
static bool by_value(const struct p11_object *object)
{
    bool symmetric = object->base.attrs.type == BST_KEY_SYMMETRIC;
    return object->soft || (symmetric && object->value_len < WHOLE_KEY_BYTES);
}

static bst_result wrap_object(struct wrapping *w)
{
    uint32_t uses = w->object->base.attrs.uses;
    bst_auto(secret) value = {0};
    if (by_value(w->object)) {
        BST_TRY(p11_value(w->p, w->object, &value));
        return wrap_text(w, bst_view_of(value.ptr, value.len));
    }
    BST_TRY(check_length(w, w->object->base.attrs.type == BST_KEY_SYMMETRIC, w->object->value_len));
    bool aes = (uses & (BST_KEY_USE_SEAL | BST_KEY_USE_KEK)) &&
               !(uses & (BST_KEY_USE_MAC | BST_KEY_USE_DERIVE));
    w->part = w->object->base.attrs.type != BST_KEY_SYMMETRIC ? P11_PRIVATE
              : aes                                           ? P11_AES
                                                              : P11_MAC;
    return p11_run(w->p, wrap_object_call, w, "wrapping a key");
}

/* A wrapping key that software works with wraps what can be read. */
static bst_result wrap_soft(const struct wrapping *w, struct p11_object *object,
                            struct bst_view text, struct bst_buf *ret)
{
    bst_auto(secret) kek = {0}, value = {0};
    BST_TRY(p11_value(w->p, w->kek, &kek));
    if (object) {
        BST_TRY(p11_value(w->p, object, &value));
        text = bst_view_of(value.ptr, value.len);
    }
    return bst_keywrap(bst_view_of(kek.ptr, kek.len), text, ret);
}

static bst_result unwrap_soft(const struct wrapping *w, struct bst_view wrapped,
                              struct bst_secret *ret)
{
    bst_auto(secret) kek = {0};
    BST_TRY(p11_value(w->p, w->kek, &kek));
    return bst_keyunwrap(bst_view_of(kek.ptr, kek.len), wrapped, ret);
}

bst_result p11_wrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                    struct bst_se_object *object, struct bst_view text, struct bst_buf *ret)
{
    struct wrapping w = {.p = p11_of(backend), .kek = object_of(kek)};
    if (w.kek->soft) {
        return wrap_soft(&w, object ? object_of(object) : NULL, text, ret);
    }
    BST_TRY(p11_need(w.p, P11_KWP, "wrap keys"));
    if (object) {
        w.object = object_of(object);
        BST_TRY(wrap_object(&w));
    } else {
        BST_TRY(wrap_text(&w, text));
    }
    bst_buf_add(ret, w.out, w.out_len);
    return bst_buf_check(ret);
}

/* ---- unwrapping ---- */

/* Its length, which does not always have an attribute of its own, and the bytes if they are wanted.
 */
static CK_RV read_session_key(struct p11_call *call, struct wrapping *w, CK_OBJECT_HANDLE handle)
{
    CK_ATTRIBUTE value = {CKA_VALUE, NULL, 0};
    CK_RV rv = call->f->C_GetAttributeValue(call->session, handle, &value, 1);
    if (rv != CKR_OK || value.ulValueLen > WRAPPED_MAX) {
        return rv != CKR_OK ? rv : CKR_BUFFER_TOO_SMALL;
    }
    w->value_len = value.ulValueLen;
    if (!w->value) {
        return CKR_OK;
    }
    bst_secret_clear(w->value);
    if (bst_failed(bst_secret_init(w->value, value.ulValueLen))) {
        return CKR_HOST_MEMORY;
    }
    value.pValue = w->value->ptr;
    return call->f->C_GetAttributeValue(call->session, handle, &value, 1);
}

/* As for sealed data, tokens differ in how they say that it does not open. */
static CK_RV normalised(CK_RV rv)
{
    return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_DATA_INVALID ||
                   rv == CKR_ENCRYPTED_DATA_INVALID
               ? CKR_WRAPPED_KEY_INVALID
               : rv;
}

static CK_RV unwrap_call(struct p11_call *call, void *arg)
{
    struct wrapping *w = arg;
    struct session_key key;
    CK_OBJECT_HANDLE kek, handle;
    CK_MECHANISM mech = {w->p->kwp, NULL, 0};
    session_key(&key);
    CK_RV rv = p11_part(call, w->kek, P11_AES, &kek);
    rv = rv == CKR_OK ? normalised(call->f->C_UnwrapKey(call->session, &mech, kek,
                                                        bytes_of(w->bytes), w->bytes.len, key.list,
                                                        SESSION_KEY_ATTRIBUTES, &handle))
                      : rv;
    if (rv != CKR_OK) {
        return rv;
    }
    rv = read_session_key(call, w, handle);
    CK_RV gone = call->f->C_DestroyObject(call->session, handle);
    return rv == CKR_OK ? gone : rv;
}

/* The bytes, or with no `value` their number only. */
static bst_result open_wrapped(struct wrapping *w, struct bst_view wrapped)
{
    if (w->kek->soft && w->value) {
        return unwrap_soft(w, wrapped, w->value);
    }
    BST_TRY(p11_need(w->p, P11_KWP, "unwrap keys"));
    if (wrapped.len < 16 || wrapped.len > WRAPPED_MAX || wrapped.len % 8) {
        BST_FAIL(BST_E_BAD_MAC, "the wrapped key is cut off");
    }
    w->bytes = wrapped;
    return p11_run(w->p, unwrap_call, w, "unwrapping a key");
}

bst_result p11_unwrap_text(struct bst_se_backend *backend, struct bst_se_object *kek,
                           struct bst_view wrapped, struct bst_buf *ret)
{
    bst_auto(secret) value = {0};
    struct wrapping w = {.p = p11_of(backend), .kek = object_of(kek), .value = &value};
    BST_TRY(open_wrapped(&w, wrapped));
    bst_buf_add(ret, value.ptr, value.len);
    return bst_buf_check(ret);
}

/* A token gives no public half with a private key that it unwraps: the pair is imported, at the
 * level of imported keys. So is a key that the token keeps in another form. */
static bst_result import_wrapped(struct wrapping *w, struct bst_view wrapped,
                                 struct p11_object *object)
{
    bst_auto(secret) value = {0};
    struct wrapping own = {.p = w->p, .kek = w->kek, .value = &value};
    BST_TRY(open_wrapped(&own, wrapped));
    return p11_make(w->p, object, &value);
}

static bst_result make_wrapped(struct wrapping *w, struct bst_view wrapped,
                               struct p11_object *object)
{
    if (w->kek->soft || object->base.attrs.type != BST_KEY_SYMMETRIC) {
        return import_wrapped(w, wrapped, object);
    }
    BST_TRY(open_wrapped(w, wrapped));
    if (w->value_len != WHOLE_KEY_BYTES) {
        return import_wrapped(w, wrapped, object);
    }
    object->value_len = w->value_len;
    bst_result made = p11_make_unwrapped(w->p, object, w->kek, wrapped);
    return made.code == BST_E_SE_MECHANISM ? import_wrapped(w, wrapped, object) : made;
}

bst_result p11_unwrap(struct bst_se_backend *backend, struct bst_se_object *kek,
                      struct bst_view wrapped, const struct bst_key_attrs *attrs,
                      struct bst_se_object **ret)
{
    struct wrapping w = {.p = p11_of(backend), .kek = object_of(kek)};
    struct p11_object *object = NULL;
    if (attrs->persistent) {
        BST_TRY(p11_label_free(w.p, attrs));
    }
    BST_TRY(p11_object_new(attrs, &object));
    bst_result made = make_wrapped(&w, wrapped, object);
    if (bst_failed(made)) {
        p11_object_free(object);
        return made;
    }
    *ret = &object->base;
    return BST_OK;
}
