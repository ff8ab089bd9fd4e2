/* What concerns the whole token: random octets, PIN, and the state of our life cycle, which is a
 * data object on the token like the records of keys. */
#include "se/pkcs11/p11_priv.h"

static struct p11 *p11_of(struct bst_se_backend *backend)
{
    return bst_container_of(backend, struct p11, base);
}

struct life {
    uint8_t *out;
    size_t n;
    const struct bst_secret *old, *fresh;
    CK_FLAGS flags;
    uint8_t state;
    const char *why;
};

static CK_RV random_call(struct p11_call *call, void *arg)
{
    struct life *life = arg;
    return call->f->C_GenerateRandom(call->session, life->out, life->n);
}

bst_result p11_random(struct bst_se_backend *backend, uint8_t *out, size_t n)
{
    struct life life = {.out = out, .n = n};
    return n ? p11_run(p11_of(backend), random_call, &life, "making random octets") : BST_OK;
}

static CK_RV flags_call(struct p11_call *call, void *arg)
{
    struct life *life = arg;
    CK_TOKEN_INFO now = {.flags = 0};
    CK_RV rv = call->f->C_GetTokenInfo(call->p->slot, &now);
    life->flags = now.flags;
    return rv;
}

static CK_RV pin_call(struct p11_call *call, void *arg)
{
    const struct life *life = arg;
    return call->f->C_SetPIN(call->session, life->old->ptr, life->old->len, life->fresh->ptr,
                             life->fresh->len);
}

/* A wrong old PIN counts as a try on the token: one that is near its end is not risked. */
bst_result p11_pin_change(struct bst_se_backend *backend, const struct bst_secret *old,
                          const struct bst_secret *fresh)
{
    struct p11 *p = p11_of(backend);
    struct life life = {.old = old, .fresh = fresh};
    BST_TRY(p11_run(p, flags_call, &life, "asking for the state of its PIN"));
    if (life.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) {
        BST_FAIL(BST_E_SE_BLOCKED, "token '%s': %s; see to it with the token's own tool",
                 p->address.token, p11_pin_words(life.flags));
    }
    return p11_run(p, pin_call, &life, "changing the PIN");
}

/* ---- state ---- */

static CK_RV find_state(struct p11_call *call, struct bst_buf *found)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    char application[] = P11_APP_STATE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_APPLICATION, application, sizeof application - 1},
    };
    return p11_find_all(call, template, 2, found);
}

/* What the object holds; none is personalisation. Should a fault have left two, the greater one
 * counts. */
static const uint8_t state_octets[] = {
    [BST_SE_PERSONALISATION] = 0,
    [BST_SE_OPERATIONAL] = 1,
    [BST_SE_BLOCKED] = 2,
};

static CK_RV state_call(struct p11_call *call, void *arg)
{
    struct life *life = arg;
    bst_auto(buf) found = {0};
    CK_RV rv = find_state(call, &found);
    life->state = 0;
    for (size_t at = 0; rv == CKR_OK && at < found.len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        bst_auto(buf) value = {0};
        memcpy(&handle, found.ptr + at, sizeof handle);
        rv = p11_attribute(call, handle, CKA_VALUE, &value);
        if (rv == CKR_OK && value.len && (uint8_t)value.ptr[0] > life->state) {
            life->state = (uint8_t)value.ptr[0];
        }
    }
    return rv;
}

enum bst_se_state p11_state(struct bst_se_backend *backend)
{
    struct life life = {0};
    bst_result read = p11_run(p11_of(backend), state_call, &life, "reading its state");
    for (unsigned i = 0; !bst_failed(read) && i < sizeof state_octets; i++) {
        if (state_octets[i] == life.state) {
            return (enum bst_se_state)i;
        }
    }
    return BST_SE_BLOCKED; /* what cannot be read is not opened */
}

static CK_RV remove_states(struct p11_call *call, const struct bst_buf *found)
{
    CK_RV rv = CKR_OK;
    for (size_t at = 0; rv == CKR_OK && at < found->len; at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE handle;
        memcpy(&handle, found->ptr + at, sizeof handle);
        rv = call->f->C_DestroyObject(call->session, handle);
    }
    return rv;
}

/* The new one comes first: a fault in between leaves the further of both. */
static CK_RV set_state_call(struct p11_call *call, void *arg)
{
    struct life *life = arg;
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    char application[] = P11_APP_STATE;
    bst_auto(buf) found = {0}, label = {0};
    CK_OBJECT_HANDLE handle;
    bst_buf_adds(&label, life->why);
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, sizeof yes},
        {CKA_PRIVATE, &yes, sizeof yes},   {CKA_APPLICATION, application, sizeof application - 1},
        {CKA_LABEL, label.ptr, label.len}, {CKA_VALUE, &life->state, sizeof life->state},
    };
    CK_RV rv = bst_failed(bst_buf_check(&label)) ? CKR_HOST_MEMORY : find_state(call, &found);
    if (rv == CKR_OK && life->state != state_octets[BST_SE_PERSONALISATION]) {
        rv = call->f->C_CreateObject(call->session, template, 6, &handle);
    }
    return rv == CKR_OK ? remove_states(call, &found) : rv;
}

bst_result p11_set_state(struct bst_se_backend *backend, enum bst_se_state state, const char *why)
{
    struct life life = {.state = state_octets[state], .why = why};
    return p11_run(p11_of(backend), set_state_call, &life, "keeping its state");
}
