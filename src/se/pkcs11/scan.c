/* What is on the token: finding objects, reading attributes, and all keys at the start. */
#include "se/pkcs11/p11_priv.h"

#include <stdio.h>

#define OBJECTS_MAX 65536
#define ATTRIBUTE_MAX 65536

/* ---- finding ---- */

CK_RV p11_find_all(struct p11_call *call, CK_ATTRIBUTE *template, CK_ULONG n, struct bst_buf *ret)
{
    CK_RV rv = call->f->C_FindObjectsInit(call->session, template, n);
    CK_ULONG got = 1;
    while (rv == CKR_OK && got && ret->len < OBJECTS_MAX * sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE some[32];
        rv = call->f->C_FindObjects(call->session, some, 32, &got);
        if (rv == CKR_OK) {
            bst_buf_add(ret, some, got * sizeof some[0]);
        }
    }
    (void)call->f->C_FindObjectsFinal(call->session);
    return rv == CKR_OK && ret->failed ? CKR_HOST_MEMORY : rv;
}

CK_RV p11_attribute(struct p11_call *call, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                    struct bst_buf *ret)
{
    CK_ATTRIBUTE attribute = {type, NULL, 0};
    CK_RV rv = call->f->C_GetAttributeValue(call->session, object, &attribute, 1);
    if (rv == CKR_ATTRIBUTE_TYPE_INVALID ||
        (rv == CKR_OK &&
         (attribute.ulValueLen == 0 || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION))) {
        return CKR_OK;
    }
    if (rv != CKR_OK || attribute.ulValueLen > ATTRIBUTE_MAX) {
        return rv != CKR_OK ? rv : CKR_BUFFER_TOO_SMALL;
    }
    attribute.pValue = bst_buf_reserve(ret, attribute.ulValueLen);
    if (!attribute.pValue) {
        return CKR_HOST_MEMORY;
    }
    rv = call->f->C_GetAttributeValue(call->session, object, &attribute, 1);
    ret->len += rv == CKR_OK ? attribute.ulValueLen : 0;
    return rv;
}

static bool flag_of(struct p11_call *call, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL flag = CK_FALSE;
    CK_ATTRIBUTE attribute = {type, &flag, sizeof flag};
    return call->f->C_GetAttributeValue(call->session, object, &attribute, 1) == CKR_OK &&
           attribute.ulValueLen == sizeof flag && flag == CK_TRUE;
}

static CK_ULONG number_of(struct p11_call *call, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG number = 0;
    CK_ATTRIBUTE attribute = {type, &number, sizeof number};
    return call->f->C_GetAttributeValue(call->session, object, &attribute, 1) == CKR_OK &&
                   attribute.ulValueLen == sizeof number
               ? number
               : CK_UNAVAILABLE_INFORMATION;
}

/* ---- parts of a key ---- */

static bool is_part(struct p11_call *call, CK_OBJECT_HANDLE handle, enum p11_part part)
{
    CK_ULONG type = part == P11_MAC || part == P11_AES ? number_of(call, handle, CKA_KEY_TYPE) : 0;
    return part == P11_AES ? type == CKK_AES : part == P11_MAC ? type != CKK_AES : true;
}

static CK_RV look_for(struct p11_call *call, struct p11_object *object, enum p11_part part,
                      CK_OBJECT_HANDLE *ret)
{
    static const CK_OBJECT_CLASS classes[P11_PARTS] = {
        CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKO_SECRET_KEY, CKO_DATA, CKO_DATA,
    };
    bool data = part >= P11_VALUE;
    const char *application = part == P11_VALUE ? P11_APP_VALUE : P11_APP_RECORD;
    CK_OBJECT_CLASS class = classes[part];
    char text[32];
    memcpy(text, application, strlen(application) + 1);
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {data ? CKA_OBJECT_ID : CKA_ID, object->id, object->id_len},
        {CKA_APPLICATION, text, strlen(text)},
    };
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, data ? 3 : 2, &found);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof *ret) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found.ptr + at, sizeof handle);
        if (is_part(call, handle, part)) {
            *ret = handle;
            return CKR_OK;
        }
    }
    return rv != CKR_OK ? rv : CKR_OBJECT_HANDLE_INVALID;
}

CK_RV p11_part(struct p11_call *call, struct p11_object *object, enum p11_part part,
               CK_OBJECT_HANDLE *ret)
{
    struct p11 *p = call->p;
    pthread_mutex_lock(&p->lock);
    CK_OBJECT_HANDLE known = object->generation == call->generation ? object->handles[part] : 0;
    pthread_mutex_unlock(&p->lock);
    if (known) {
        *ret = known;
        return CKR_OK;
    }
    CK_RV rv = look_for(call, object, part, ret);
    if (rv == CKR_OK) {
        pthread_mutex_lock(&p->lock);
        if (object->generation != call->generation) {
            memset(object->handles, 0, sizeof object->handles);
            object->generation = call->generation;
        }
        object->handles[part] = *ret;
        pthread_mutex_unlock(&p->lock);
    }
    return rv;
}

/* ---- the scan at the start ---- */

struct scan {
    struct p11 *p;
    struct bst_map by_id, by_name; /* objects; by_name knows those that were accepted */
    struct bst_map temporary;      /* by id: those that are in use by whoever made them */
    struct bst_buf list;           /* struct p11_object *, in order */
};

static CK_RV read_record(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle)
{
    bst_auto(buf) value = {0};
    struct p11_object *object = NULL;
    CK_RV rv = p11_attribute(call, handle, CKA_VALUE, &value);
    if (rv != CKR_OK || bst_failed(p11_record_read(bst_buf_view(&value), &object))) {
        return rv; /* what is no record of ours is not ours to judge: its key is read as a foreign
                      one */
    }
    void *old = NULL;
    if (bst_failed(bst_map_set(&s->by_id, bst_view_of(object->id, object->id_len), object, &old))) {
        old = object;
        rv = CKR_HOST_MEMORY;
    }
    bst_free(old);
    return rv;
}

static CK_RV each_of(struct scan *s, struct p11_call *call, CK_OBJECT_CLASS class,
                     const char *application,
                     CK_RV (*each)(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle))
{
    char text[32] = "";
    snprintf(text, sizeof text, "%s", application);
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_APPLICATION, text, strlen(text)},
    };
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, text[0] ? 2 : 1, &found);
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = each(s, call, handle);
    }
    return rv;
}

/* Uses of a key that another program made, as far as its attributes allow them. */
static uint32_t foreign_uses(struct p11_call *call, CK_OBJECT_HANDLE handle, enum bst_key_type type,
                             bool aes)
{
    uint32_t uses = 0;
    bool signs = flag_of(call, handle, CKA_SIGN);
    if (type != BST_KEY_SYMMETRIC) {
        uses |= signs ? BST_KEY_USE_SIGN : 0;
        uses |=
            type == BST_KEY_EC_P256 && flag_of(call, handle, CKA_DERIVE) ? BST_KEY_USE_AGREE : 0;
    } else if (aes) {
        uses |= flag_of(call, handle, CKA_ENCRYPT) && flag_of(call, handle, CKA_DECRYPT)
                    ? BST_KEY_USE_SEAL
                    : 0;
    } else {
        uses |= signs ? BST_KEY_USE_MAC | BST_KEY_USE_DERIVE : 0;
    }
    return uses;
}

static bool key_type_of(struct p11_call *call, CK_OBJECT_HANDLE handle, bool secret, bool *ret_aes,
                        enum bst_key_type *ret)
{
    CK_ULONG type = number_of(call, handle, CKA_KEY_TYPE);
    bst_auto(buf) params = {0};
    *ret_aes = secret && type == CKK_AES;
    if (secret) {
        *ret = BST_KEY_SYMMETRIC;
        return type == CKK_GENERIC_SECRET ||
               (type == CKK_AES && number_of(call, handle, CKA_VALUE_LEN) == 32);
    }
    return (type == CKK_EC || type == CKK_EC_EDWARDS) &&
           p11_attribute(call, handle, CKA_EC_PARAMS, &params) == CKR_OK &&
           p11_ec_type(bst_buf_view(&params), ret);
}

/* A label that is empty, too long or taken is completed by the key's CKA_ID. */
static bool foreign_label(const struct scan *s, struct bst_view label, struct bst_view id,
                          char out[BST_KEY_LABEL_MAX + 1])
{
    bst_auto(buf) text = {0};
    if (label.len == 0 || label.len > BST_KEY_LABEL_MAX - 2 * P11_ID_MAX - 1 ||
        memchr(label.ptr, 0, label.len)) {
        label = BST_VIEW("key");
    }
    bst_buf_addv(&text, label);
    if (bst_map_get(&s->by_name, label) || bst_view_is(label, "key")) {
        bst_buf_addc(&text, ':');
        bst_hex_add(&text, id, false);
    }
    return !bst_failed(bst_view_copy(bst_buf_view(&text), out, BST_KEY_LABEL_MAX + 1));
}

static CK_RV foreign_key(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle,
                         bool secret, struct bst_view id, struct p11_object **ret)
{
    bst_auto(buf) label = {0};
    char text[BST_KEY_LABEL_MAX + 1];
    struct bst_key_attrs attrs = {.owner = "", .persistent = true, .level = s->p->base.level};
    bool aes;
    CK_RV rv = p11_attribute(call, handle, CKA_LABEL, &label);
    if (rv != CKR_OK || id.len == 0 || id.len > P11_ID_MAX ||
        !key_type_of(call, handle, secret, &aes, &attrs.type) ||
        !foreign_label(s, bst_buf_view(&label), id, text)) {
        return rv; /* a key of a type that we have no use for, or without CKA_ID */
    }
    attrs.uses = foreign_uses(call, handle, attrs.type, aes);
    attrs.label = text;
    if (bst_failed(p11_object_new(&attrs, ret))) {
        return CKR_HOST_MEMORY;
    }
    memcpy((*ret)->id, id.ptr, id.len);
    (*ret)->id_len = id.len;
    (*ret)->value_len = secret ? number_of(call, handle, CKA_VALUE_LEN) : 0;
    return CKR_OK;
}

/* [TS-0003, 6.3.1] A level is what protects the key: one that was outside once, or may be read, has
 * the level of the host. */
static void limit_level(struct p11_call *call, CK_OBJECT_HANDLE handle, struct bst_key_attrs *attrs)
{
    bool inside = flag_of(call, handle, CKA_LOCAL) &&
                  flag_of(call, handle, CKA_NEVER_EXTRACTABLE) &&
                  flag_of(call, handle, CKA_ALWAYS_SENSITIVE);
    int most = inside ? call->p->base.level : 1;
    attrs->level = attrs->level < most ? attrs->level : most;
}

static CK_RV accept(struct scan *s, struct p11_object *object)
{
    char text[BST_SE_NAME_MAX];
    struct bst_view name = bst_se_name(object->base.attrs.label, object->base.attrs.owner, text);
    bool known = bst_map_get(&s->by_name, name) != NULL;
    if (known || bst_failed(bst_map_set(&s->by_name, name, object, NULL))) {
        bst_free(object); /* two records with one name: the first counts */
        return known ? CKR_OK : CKR_HOST_MEMORY;
    }
    bst_buf_add(&s->list, &object, sizeof object);
    return bst_failed(bst_buf_check(&s->list)) ? CKR_HOST_MEMORY : CKR_OK;
}

static bool accepted(const struct scan *s, struct bst_view id)
{
    for (size_t at = 0; at < s->list.len; at += sizeof(struct p11_object *)) {
        struct p11_object *object;
        memcpy(&object, s->list.ptr + at, sizeof object);
        if (bst_view_eq(id, bst_view_of(object->id, object->id_len))) {
            return true;
        }
    }
    return false;
}

static CK_RV take_key(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle, bool secret)
{
    bst_auto(buf) id = {0};
    struct p11_object *object = NULL;
    CK_RV rv = p11_attribute(call, handle, CKA_ID, &id);
    if (rv != CKR_OK || !flag_of(call, handle, CKA_TOKEN) || accepted(s, bst_buf_view(&id)) ||
        bst_map_get(&s->temporary, bst_buf_view(&id))) {
        return rv;
    }
    object = bst_map_remove(&s->by_id, bst_buf_view(&id));
    if (!object) {
        rv = foreign_key(s, call, handle, secret, bst_buf_view(&id), &object);
    }
    if (rv != CKR_OK || !object) {
        return rv;
    }
    limit_level(call, handle, &object->base.attrs);
    return accept(s, object);
}

static CK_RV take_pair(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle)
{
    return take_key(s, call, handle, false);
}

static CK_RV take_secret(struct scan *s, struct p11_call *call, CK_OBJECT_HANDLE handle)
{
    return take_key(s, call, handle, true);
}

/* Keys whose bytes are in a data object have no key object. */
static CK_RV take_values(struct scan *s)
{
    size_t cursor = 0;
    struct bst_view id;
    void *value;
    CK_RV rv = CKR_OK;
    while (rv == CKR_OK && bst_map_next(&s->by_id, &cursor, &id, &value)) {
        struct p11_object *object = value;
        if (object->soft) {
            bst_map_remove(&s->by_id, id);
            object->base.attrs.level = 1;
            rv = accept(s, object);
        }
    }
    return rv;
}

static void scan_reset(struct scan *s)
{
    size_t cursor = 0;
    struct bst_view id;
    void *value;
    while (bst_map_next(&s->by_id, &cursor, &id, &value)) {
        bst_free(value); /* a record without a key */
    }
    for (size_t at = 0; at < s->list.len; at += sizeof(struct p11_object *)) {
        struct p11_object *object;
        memcpy(&object, s->list.ptr + at, sizeof object);
        bst_free(object);
    }
    bst_map_clear(&s->by_id);
    bst_map_clear(&s->temporary);
    bst_map_clear(&s->by_name);
    bst_buf_clear(&s->list);
}

static CK_RV scan_call(struct p11_call *call, void *arg)
{
    struct scan *s = arg;
    scan_reset(s);
    CK_RV rv = p11_temporaries(call, false, &s->temporary);
    rv = rv == CKR_OK ? each_of(s, call, CKO_DATA, P11_APP_RECORD, read_record) : rv;
    rv = rv == CKR_OK ? each_of(s, call, CKO_PRIVATE_KEY, "", take_pair) : rv;
    rv = rv == CKR_OK ? each_of(s, call, CKO_SECRET_KEY, "", take_secret) : rv;
    return rv == CKR_OK ? take_values(s) : rv;
}

bst_result p11_scan(struct p11 *p, bst_result (*found)(void *ctx, struct bst_se_object *take),
                    void *ctx)
{
    struct scan s = {.p = p};
    bst_result result = p11_run(p, scan_call, &s, "reading its keys");
    size_t at = 0;
    for (; !bst_failed(result) && at < s.list.len; at += sizeof(struct p11_object *)) {
        struct p11_object *object;
        memcpy(&object, s.list.ptr + at, sizeof object);
        result = found(ctx, &object->base);
    }
    bst_buf_consume(&s.list, at < s.list.len ? at : s.list.len);
    scan_reset(&s);
    return result;
}

/* ---- labels ---- */

CK_RV p11_record_of_other(struct p11_call *call, CK_OBJECT_HANDLE record, const char *owner,
                          bool *ret)
{
    bst_auto(buf) value = {0};
    struct p11_object *object = NULL;
    CK_RV rv = p11_attribute(call, record, CKA_VALUE, &value);
    *ret = rv == CKR_OK && !bst_failed(p11_record_read(bst_buf_view(&value), &object)) &&
           strcmp(object->base.attrs.owner, owner) != 0;
    bst_free(object);
    return rv;
}

struct label_search {
    const struct bst_key_attrs *attrs;
    bool taken;
};

static CK_RV find_records(struct p11_call *call, struct bst_view id, struct bst_buf *ret)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    char application[] = P11_APP_RECORD, bytes[P11_ID_MAX];
    size_t len = id.len < sizeof bytes ? id.len : sizeof bytes;
    memcpy(bytes, id.ptr, len);
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_APPLICATION, application, sizeof application - 1},
        {CKA_OBJECT_ID, bytes, len},
    };
    return p11_find_all(call, template, 3, ret);
}

/* A key without a record has no owner. */
static CK_RV is_taken(struct p11_call *call, const struct label_search *l, CK_OBJECT_HANDLE handle,
                      bool data, bool *ret)
{
    bst_auto(buf) id = {0}, records = {0};
    CK_OBJECT_HANDLE record;
    bool others = l->attrs->owner[0] != '\0';
    CK_RV rv = p11_attribute(call, handle, data ? CKA_OBJECT_ID : CKA_ID, &id);
    rv = rv == CKR_OK && id.len ? find_records(call, bst_buf_view(&id), &records) : rv;
    if (rv == CKR_OK && records.len) {
        memcpy(&record, records.ptr, sizeof record);
        rv = p11_record_of_other(call, record, l->attrs->owner, &others);
    }
    *ret = !others;
    return rv;
}

static CK_RV label_class(struct p11_call *call, struct label_search *l, CK_OBJECT_CLASS class,
                         const char *application)
{
    char text[BST_KEY_LABEL_MAX + 1], app[32];
    snprintf(text, sizeof text, "%s", l->attrs->label);
    snprintf(app, sizeof app, "%s", application);
    CK_BBOOL on_token = CK_TRUE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_LABEL, text, strlen(text)},
        {CKA_TOKEN, &on_token, sizeof on_token},
        {CKA_APPLICATION, app, strlen(app)},
    };
    bst_auto(buf) found = {0};
    CK_RV rv = p11_find_all(call, template, app[0] ? 4 : 3, &found);
    for (size_t at = 0; rv == CKR_OK && !l->taken && at < found.len;
         at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = is_taken(call, l, handle, class == CKO_DATA, &l->taken);
    }
    return rv;
}

static CK_RV label_call(struct p11_call *call, void *arg)
{
    struct label_search *l = arg;
    CK_RV rv = label_class(call, l, CKO_PRIVATE_KEY, "");
    rv = rv == CKR_OK ? label_class(call, l, CKO_SECRET_KEY, "") : rv;
    return rv == CKR_OK ? label_class(call, l, CKO_DATA, P11_APP_VALUE) : rv;
}

bst_result p11_label_free(struct p11 *p, const struct bst_key_attrs *attrs)
{
    struct label_search l = {.attrs = attrs};
    BST_TRY(p11_run(p, label_call, &l, "looking for a label"));
    if (l.taken) {
        BST_FAIL(BST_E_EXISTS,
                 "token '%s' has a key '%s' already, made by another program meanwhile",
                 p->address.token, attrs->label);
    }
    return BST_OK;
}
