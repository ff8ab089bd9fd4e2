/* The connection to the TPM: sessions, the parent of all keys, places for loaded keys, and coming
 * back after it was gone.
 *
 * Everything goes through one session, salted by the EK or by the parent key, so that authorisation
 * values do not travel, secrets travel encrypted, and a changed answer is noticed. */
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

/* Handles of loaded objects and sessions; the library's own names for them overflow an int. */
#define FIRST_TRANSIENT UINT32_C(0x80000000)
#define FIRST_SESSION UINT32_C(0x02000000)

/* ---- what it says of itself ---- */

static void store_property(struct tpm2_facts *facts, const TPMS_TAGGED_PROPERTY *p)
{
    const struct {
        TPM2_PT tag;
        uint32_t *to;
    } kept[] = {
        {TPM2_PT_MANUFACTURER, &facts->manufacturer},
        {TPM2_PT_FIRMWARE_VERSION_1, &facts->firmware[0]},
        {TPM2_PT_FIRMWARE_VERSION_2, &facts->firmware[1]},
        {TPM2_PT_INPUT_BUFFER, &facts->buffer_max},
        {TPM2_PT_NV_BUFFER_MAX, &facts->nv_max},
        {TPM2_PT_LOCKOUT_COUNTER, &facts->fails},
        {TPM2_PT_MAX_AUTH_FAIL, &facts->fails_max},
        {TPM2_PT_LOCKOUT_INTERVAL, &facts->recovery_s},
        {TPM2_PT_LOCKOUT_RECOVERY, &facts->lockout_s},
    };
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i].tag == p->property) {
            *kept[i].to = p->value;
        }
    }
    if (p->property == TPM2_PT_PERMANENT) {
        facts->locked = p->value & TPMA_PERMANENT_INLOCKOUT;
    }
    if (p->property >= TPM2_PT_VENDOR_STRING_1 && p->property <= TPM2_PT_VENDOR_STRING_4) {
        size_t at = 4 * (size_t)(p->property - TPM2_PT_VENDOR_STRING_1);
        for (unsigned i = 0; i < 4; i++) {
            char c = (char)(uint8_t)(p->value >> (24 - 8 * i));
            facts->model[at + i] = c >= 0x20 && c < 0x7f ? c : ' ';
        }
    }
}

static TSS2_RC read_properties(struct tpm2 *t, TPM2_PT first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TSS2_RC rc =
        Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                           TPM2_CAP_TPM_PROPERTIES, first, TPM2_MAX_TPM_PROPERTIES, NULL, &data);
    for (UINT32 i = 0; rc == TSS2_RC_SUCCESS && i < data->data.tpmProperties.count; i++) {
        store_property(&t->facts, &data->data.tpmProperties.tpmProperty[i]);
    }
    Esys_Free(data);
    return rc;
}

static TSS2_RC read_curves(struct tpm2 *t)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TSS2_RC rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    TPM2_CAP_ECC_CURVES, 0, TPM2_MAX_ECC_CURVES, NULL, &data);
    for (UINT32 i = 0; rc == TSS2_RC_SUCCESS && i < data->data.eccCurves.count; i++) {
        t->facts.p384 |= data->data.eccCurves.eccCurves[i] == TPM2_ECC_NIST_P384;
    }
    Esys_Free(data);
    return rc;
}

TSS2_RC tpm2_read_lockout(struct tpm2 *t)
{
    return read_properties(t, TPM2_PT_PERMANENT);
}

static void trim(char *text)
{
    size_t len = strlen(text);
    while (len && text[len - 1] == ' ') {
        text[--len] = '\0';
    }
}

static TSS2_RC read_facts(struct tpm2 *t)
{
    t->facts = (struct tpm2_facts){.buffer_max = 1024, .nv_max = 512};
    TSS2_RC rc = read_properties(t, TPM2_PT_FIXED);
    rc = rc ? rc : read_curves(t);
    rc = rc ? rc : tpm2_read_lockout(t);
    for (unsigned i = 0; i < 4; i++) {
        char c = (char)(uint8_t)(t->facts.manufacturer >> (24 - 8 * i));
        t->facts.maker[i] = c >= 0x20 && c < 0x7f ? c : ' ';
    }
    trim(t->facts.maker);
    trim(t->facts.model);
    return rc;
}

/* ---- sessions ---- */

TSS2_RC tpm2_start_session(struct tpm2 *t, ESYS_TR salt, TPM2_SE type, ESYS_TR *ret)
{
    const TPMT_SYM_DEF aes = {
        .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
    return Esys_StartAuthSession(t->esys, salt, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 ESYS_TR_NONE, NULL, type, &aes, TPM2_ALG_SHA256, ret);
}

static TSS2_RC hiding(struct tpm2 *t, ESYS_TR session, TPMA_SESSION hide)
{
    return Esys_TRSess_SetAttributes(t->esys, session, hide | TPMA_SESSION_CONTINUESESSION,
                                     TPM2_HIDE_IN | TPM2_HIDE_OUT | TPMA_SESSION_CONTINUESESSION);
}

TSS2_RC tpm2_session(struct tpm2 *t, TPMA_SESSION hide, ESYS_TR *ret)
{
    *ret = t->session;
    return hiding(t, t->session, hide);
}

TPML_PCR_SELECTION tpm2_pcr_selection(uint32_t pcrs)
{
    TPML_PCR_SELECTION selection = {.count = 1};
    TPMS_PCR_SELECTION *bank = &selection.pcrSelections[0];
    bank->hash = TPM2_ALG_SHA256;
    bank->sizeofSelect = 3;
    for (unsigned i = 0; i < 3; i++) {
        bank->pcrSelect[i] = (BYTE)(pcrs >> (8 * i));
    }
    return selection;
}

/* The policy: these PCRs as they are now, and the authorisation value all the same. */
static TSS2_RC meet_policy(struct tpm2 *t)
{
    const TPM2B_DIGEST current = {.size = 0};
    TPML_PCR_SELECTION pcrs = tpm2_pcr_selection(t->address.pcrs);
    TSS2_RC rc = Esys_PolicyRestart(t->esys, t->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE);
    rc = rc ? rc
            : Esys_PolicyPCR(t->esys, t->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &current,
                             &pcrs);
    return rc ? rc
              : Esys_PolicyAuthValue(t->esys, t->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE);
}

TSS2_RC tpm2_key_session(struct tpm2 *t, TPMA_SESSION hide, ESYS_TR *ret)
{
    if (t->policy == ESYS_TR_NONE) {
        return tpm2_session(t, hide, ret);
    }
    *ret = t->policy;
    TSS2_RC rc = meet_policy(t);
    return rc ? rc : hiding(t, t->policy, hide);
}

TSS2_RC tpm2_policy_digest(struct tpm2 *t, TPM2B_DIGEST *ret)
{
    TPM2B_DIGEST *digest = NULL;
    ret->size = 0;
    if (t->policy == ESYS_TR_NONE) {
        return TSS2_RC_SUCCESS;
    }
    TSS2_RC rc = meet_policy(t);
    rc = rc ? rc
            : Esys_PolicyGetDigest(t->esys, t->policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   &digest);
    if (rc == TSS2_RC_SUCCESS) {
        *ret = *digest;
    }
    Esys_Free(digest);
    return rc;
}

/* ---- the parent of all keys ---- */

bst_result tpm2_auth_of(struct bst_view text, TPM2B_AUTH *ret)
{
    ret->size = (UINT16)(text.len <= TPM2_AUTH_BYTES ? text.len : BST_SHA256_BYTES);
    if (text.len > TPM2_AUTH_BYTES) {
        BST_TRY(bst_sha256(text, ret->buffer));
        ret->buffer[BST_SHA256_BYTES - 1] |= 1; /* a TPM drops zeros at the end */
        return BST_OK;
    }
    if (text.len) {
        memcpy(ret->buffer, text.ptr, text.len);
    }
    return BST_OK;
}

bst_result tpm2_read_auth(const struct tpm2 *t, const char *source, TPM2B_AUTH *ret)
{
    bst_auto(secret) text = {0};
    ret->size = 0;
    if (source[0] == '\0') {
        return BST_OK;
    }
    BST_TRY(t->host->secret_read(t->host->ctx, source, &text));
    size_t len = text.len;
    while (len && (text.ptr[len - 1] == '\n' || text.ptr[len - 1] == '\r')) {
        len--;
    }
    return tpm2_auth_of(bst_view_of(text.ptr, len), ret);
}

TSS2_RC tpm2_owner_auth(struct tpm2 *t)
{
    TPM2B_AUTH auth;
    TSS2_RC rc = tpm2_own(t, tpm2_read_auth(t, t->address.owner_source, &auth));
    rc = rc ? rc : Esys_TR_SetAuth(t->esys, ESYS_TR_RH_OWNER, &auth);
    bst_wipe(&auth, sizeof auth);
    return rc;
}

static TSS2_RC make_parent(struct tpm2 *t, ESYS_TR session)
{
    const TPM2B_SENSITIVE_CREATE nothing = {.size = 0};
    const TPM2B_DATA no_data = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    TPM2B_PUBLIC template = tpm2_storage_template();
    TSS2_RC rc = tpm2_owner_auth(t);
    return rc ? rc
              : Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                   &nothing, &template, &no_data, &no_pcrs, &t->parent, NULL, NULL,
                                   NULL, NULL);
}

static TSS2_RC find_parent(struct tpm2 *t, ESYS_TR session)
{
    return t->address.parent ? Esys_TR_FromTPMPublic(t->esys, t->address.parent, session,
                                                     ESYS_TR_NONE, ESYS_TR_NONE, &t->parent)
                             : make_parent(t, session);
}

/* A TPM that was replaced or cleared has another primary key, and none of ours. */
static TSS2_RC check_parent(struct tpm2 *t)
{
    TPM2B_NAME *name = NULL;
    TSS2_RC rc = Esys_TR_GetName(t->esys, t->parent, &name);
    if (rc == TSS2_RC_SUCCESS && t->parent_name_len == 0) {
        t->parent_name_len = name->size <= TPM2_NAME_MAX ? name->size : 0;
        memcpy(t->parent_name, name->name, t->parent_name_len);
    }
    if (rc == TSS2_RC_SUCCESS && !bst_view_eq(bst_view_of(name->name, name->size),
                                              bst_view_of(t->parent_name, t->parent_name_len))) {
        rc =
            tpm2_own(t, bst_error_detailed(BST_E_CORRUPT,
                                           "TPM '%s' is not the one that the keys were made in, or "
                                           "its owner hierarchy was cleared since; they cannot be "
                                           "used here",
                                           t->address.tcti));
    }
    Esys_Free(name);
    return rc;
}

/* Keys were made in the belief that it is what it proved to be. */
static TSS2_RC check_level(struct tpm2 *t)
{
    if (!t->was_up || t->level >= t->base.level) {
        return TSS2_RC_SUCCESS;
    }
    return tpm2_own(t, bst_error_detailed(BST_E_SE_TOKEN,
                                          "TPM '%s' no longer proves what it proved before: %s",
                                          t->address.tcti, t->evidence));
}

/* Without a proof by the EK the parent key salts the session, and is itself asked for through a
 * session without a salt: then nobody listens in unless he also speaks. */
static TSS2_RC begin(struct tpm2 *t)
{
    ESYS_TR first = ESYS_TR_NONE;
    TSS2_RC rc = tpm2_prove(t, &t->session);
    rc = rc ? rc : check_level(t);
    if (rc == TSS2_RC_SUCCESS && t->session == ESYS_TR_NONE) {
        rc = tpm2_start_session(t, ESYS_TR_NONE, TPM2_SE_HMAC, &first);
    }
    ESYS_TR session = first != ESYS_TR_NONE ? first : t->session;
    rc = rc ? rc : hiding(t, session, TPM2_HIDE_OUT);
    rc = rc ? rc : find_parent(t, session);
    rc = rc ? rc : check_parent(t);
    tpm2_flush(t, &first);
    if (rc == TSS2_RC_SUCCESS && t->session == ESYS_TR_NONE) {
        rc = tpm2_start_session(t, t->parent, TPM2_SE_HMAC, &t->session);
    }
    if (rc == TSS2_RC_SUCCESS && t->address.pcrs) {
        rc = tpm2_start_session(t, t->parent, TPM2_SE_POLICY, &t->policy);
    }
    return rc;
}

/* ---- connecting ---- */

void tpm2_flush(struct tpm2 *t, ESYS_TR *tr)
{
    if (*tr != ESYS_TR_NONE) {
        (void)Esys_FlushContext(t->esys, *tr);
        *tr = ESYS_TR_NONE;
    }
}

static void unload(struct tpm2 *t, struct tpm2_object *object, bool flush)
{
    bst_list_remove(&object->loaded);
    if (flush) {
        tpm2_flush(t, &object->tr);
    }
    object->tr = ESYS_TR_NONE;
}

static struct tpm2_object *longest_unused(struct tpm2 *t)
{
    return bst_list_empty(&t->loaded)
               ? NULL
               : bst_container_of(t->loaded.next, struct tpm2_object, loaded);
}

/* A TPM that is still there gets its places back. */
static void disconnect(struct tpm2 *t, bool still_there)
{
    for (struct tpm2_object *o = longest_unused(t); o; o = longest_unused(t)) {
        unload(t, o, still_there);
    }
    if (still_there) {
        tpm2_flush(t, &t->policy);
        tpm2_flush(t, &t->session);
        if (!t->address.parent) {
            tpm2_flush(t, &t->parent);
        }
    }
    t->policy = t->session = t->parent = ESYS_TR_NONE;
    if (t->esys) {
        Esys_Finalize(&t->esys);
    }
    if (t->tcti) {
        Tss2_TctiLdr_Finalize(&t->tcti);
    }
    t->up = false;
}

/* What a program left behind that was killed. A resource manager shows nobody else's handles, and
 * without one there is nobody else. */
static TSS2_RC sweep_range(struct tpm2 *t, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TSS2_RC rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, NULL, &data);
    for (UINT32 i = 0; rc == TSS2_RC_SUCCESS && i < data->data.handles.count; i++) {
        ESYS_TR tr = ESYS_TR_NONE;
        rc = Esys_TR_FromTPMPublic(t->esys, data->data.handles.handle[i], ESYS_TR_NONE,
                                   ESYS_TR_NONE, ESYS_TR_NONE, &tr);
        tpm2_flush(t, &tr);
    }
    Esys_Free(data);
    return rc;
}

static TSS2_RC sweep(struct tpm2 *t)
{
    TSS2_RC rc = sweep_range(t, FIRST_TRANSIENT);
    return rc ? rc : sweep_range(t, FIRST_SESSION);
}

static TSS2_RC begin_with_place(struct tpm2 *t)
{
    TSS2_RC rc = begin(t);
    if (tpm2_loss(rc) != TPM2_NO_PLACE) {
        return rc;
    }
    tpm2_flush(t, &t->policy);
    tpm2_flush(t, &t->session);
    t->parent = ESYS_TR_NONE;
    rc = sweep(t);
    return rc ? rc : begin(t);
}

static TSS2_RC start_up(struct tpm2 *t)
{
    TSS2_RC rc = Esys_Startup(t->esys, TPM2_SU_CLEAR);
    return tpm2_bare(rc) == TPM2_RC_INITIALIZE ? TSS2_RC_SUCCESS : rc; /* it was started before */
}

static TSS2_RC connect_tpm(struct tpm2 *t, bool again)
{
    t->policy = t->session = t->parent = ESYS_TR_NONE;
    TSS2_RC rc = Tss2_TctiLdr_Initialize(t->address.tcti, &t->tcti);
    rc = rc ? rc : Esys_Initialize(&t->esys, t->tcti, NULL);
    rc = rc ? rc : start_up(t);
    rc = rc ? rc : read_facts(t);
    rc = rc || !again ? rc : sweep(t); /* of what we had there ourselves */
    rc = rc ? rc : begin_with_place(t);
    t->up = rc == TSS2_RC_SUCCESS;
    if (rc) {
        disconnect(t, t->esys && tpm2_loss(rc) != TPM2_GONE);
    }
    return rc;
}

/* The library writes what it meets to stderr unless told otherwise; an operator who looks for a
 * fault may tell it. */
static void quiet(void)
{
    (void)setenv("TSS2_LOG", "all+NONE", 0);
}

bst_result tpm2_open_device(struct tpm2 *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, quiet);
    pthread_mutex_lock(&t->lock);
    TSS2_RC rc = connect_tpm(t, false);
    if (rc == TSS2_RC_SUCCESS) {
        t->base.level = t->level;
        t->was_up = true;
    }
    pthread_mutex_unlock(&t->lock);
    return rc ? tpm2_fail(t, rc, "connecting") : BST_OK;
}

void tpm2_close_device(struct tpm2 *t)
{
    pthread_mutex_lock(&t->lock);
    disconnect(t, t->up);
    pthread_mutex_unlock(&t->lock);
}

/* ---- calls ---- */

static bst_result reconnect(struct tpm2 *t, int64_t now)
{
    TSS2_RC rc = connect_tpm(t, true);
    if (rc) {
        t->next_try_us = now + TPM2_RETRY_US;
        return tpm2_fail(t, rc, "connecting");
    }
    return BST_OK;
}

static bst_result ensure_up(struct tpm2 *t)
{
    int64_t now = t->host->wall_us(t->host->ctx);
    if (t->up) {
        return BST_OK;
    }
    if (now < t->next_try_us) {
        BST_FAIL(BST_E_BUSY, "TPM '%s' is gone; it is looked for again within a second",
                 t->address.tcti);
    }
    return reconnect(t, now);
}

static bool make_place(struct tpm2 *t)
{
    struct tpm2_object *object = longest_unused(t);
    if (object) {
        unload(t, object, true);
    }
    return object != NULL;
}

/* After a wrong try the words say how many are left. */
static bst_result fail_with_facts(struct tpm2 *t, TSS2_RC rc, const char *what)
{
    TSS2_RC bare = tpm2_bare(rc);
    if (bare == TPM2_RC_AUTH_FAIL || bare == TPM2_RC_LOCKOUT) {
        (void)tpm2_read_lockout(t);
    }
    return tpm2_fail(t, rc, what);
}

static bst_result call_again(struct tpm2 *t, TSS2_RC (*run)(struct tpm2 *t, void *arg), void *arg,
                             const char *what)
{
    bool again = false;
    for (;;) {
        TSS2_RC rc = run(t, arg);
        enum tpm2_loss loss = tpm2_loss(rc);
        if (rc == TSS2_RC_SUCCESS) {
            return BST_OK;
        }
        if (loss == TPM2_NO_PLACE && make_place(t)) {
            continue;
        }
        if (loss == TPM2_STILL_THERE || again) {
            return fail_with_facts(t, rc, what);
        }
        again = true;
        disconnect(t, loss == TPM2_NO_PLACE);
        BST_TRY(reconnect(t, t->host->wall_us(t->host->ctx)));
    }
}

bst_result tpm2_run(struct tpm2 *t, TSS2_RC (*run)(struct tpm2 *t, void *arg), void *arg,
                    const char *what)
{
    pthread_mutex_lock(&t->lock);
    bst_result r = ensure_up(t);
    if (!bst_failed(r)) {
        r = call_again(t, run, arg, what);
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

void tpm2_let_go(struct tpm2 *t, struct tpm2_object *object)
{
    pthread_mutex_lock(&t->lock);
    if (object->loaded.next) {
        unload(t, object, t->up);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- loading ---- */

TSS2_RC tpm2_load_blobs(struct tpm2 *t, struct bst_view pub, struct bst_view priv,
                        const struct bst_secret *auth, ESYS_TR *ret)
{
    TPM2B_PUBLIC public = {.size = 0};
    TPM2B_PRIVATE private = {.size = 0};
    TPM2B_AUTH value = {.size = 0};
    ESYS_TR session;
    size_t at = 0;
    TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal((const uint8_t *)pub.ptr, pub.len, &at, &public);
    at = 0;
    rc = rc ? rc
            : Tss2_MU_TPM2B_PRIVATE_Unmarshal((const uint8_t *)priv.ptr, priv.len, &at, &private);
    rc = rc ? rc : tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_Load(t->esys, t->parent, session, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public,
                        ret);
    if (rc || !auth) {
        return rc;
    }
    value.size = (UINT16)auth->len;
    memcpy(value.buffer, auth->ptr, auth->len);
    rc = Esys_TR_SetAuth(t->esys, *ret, &value);
    bst_wipe(&value, sizeof value);
    return rc;
}

TSS2_RC tpm2_load(struct tpm2 *t, struct tpm2_object *object, ESYS_TR *ret)
{
    TSS2_RC rc = TSS2_RC_SUCCESS;
    if (!object->loaded.next) {
        rc = tpm2_load_blobs(t, object->pub, object->priv, &t->auth, &object->tr);
    }
    if (rc == TSS2_RC_SUCCESS) {
        bst_list_remove(&object->loaded);
        bst_list_append(&t->loaded, &object->loaded);
        *ret = object->tr;
    }
    return rc;
}
