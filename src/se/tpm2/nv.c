/* Counters in the TPM's non-volatile memory. They go up only, over everything that is restored from
 * a copy; a new one begins above all that ever were. Their authorisation value follows from the
 * root of the folder, so that nobody else can put a counter of his own in their place. */
#include "crypto/rand.h"
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

/* Handles for owners are 0x01800000 to 0x01bfffff [TCG Registry of Reserved TPM 2.0 Handles]; we
 * look for free ones in a part of that. */
#define FIRST_INDEX UINT32_C(0x01842000)
#define INDEX_MASK UINT32_C(0x1fff)
#define TRIES 16
#define ATTRIBUTES                                                                                 \
    (TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA |                                        \
     ((TPMA_NV)TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT))

struct counting {
    uint32_t index;
    bool advance;
    uint64_t target, value;
};

static void put_auth(const struct tpm2 *t, TPM2B_AUTH *ret)
{
    ret->size = (UINT16)t->nv_auth.len;
    memcpy(ret->buffer, t->nv_auth.ptr, t->nv_auth.len);
}

/* Somebody with the owner's authorisation can take an index away, or make another one of the same
 * number. */
static TSS2_RC not_ours(struct tpm2 *t, TSS2_RC rc, uint32_t index)
{
    TSS2_RC bare = tpm2_bare(rc);
    if (bare != TPM2_RC_HANDLE && bare != TPM2_RC_BAD_AUTH && bare != TPM2_RC_AUTH_FAIL &&
        bare != TPM2_RC_NV_AUTHORIZATION) {
        return rc;
    }
    return tpm2_own(t, bst_error_detailed(BST_E_NOT_FOUND,
                                          "TPM '%s': the counter at NV index 0x%08x is gone, or is "
                                          "not the one that was made for these keys",
                                          t->address.tcti, index));
}

static TSS2_RC open_index(struct tpm2 *t, uint32_t index, ESYS_TR *ret)
{
    TPM2B_AUTH auth = {.size = 0};
    ESYS_TR session;
    TSS2_RC rc = tpm2_session(t, TPM2_HIDE_OUT, &session);
    rc = rc ? rc : Esys_TR_FromTPMPublic(t->esys, index, session, ESYS_TR_NONE, ESYS_TR_NONE, ret);
    put_auth(t, &auth);
    rc = rc ? rc : Esys_TR_SetAuth(t->esys, *ret, &auth);
    bst_wipe(&auth, sizeof auth);
    return rc;
}

static TSS2_RC read_value(struct tpm2 *t, ESYS_TR nv, uint64_t *ret)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    uint64_t value = 0;
    ESYS_TR session;
    TSS2_RC rc = tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_NV_Read(t->esys, nv, nv, session, ESYS_TR_NONE, ESYS_TR_NONE, sizeof value, 0,
                           &data);
    for (UINT16 i = 0; rc == TSS2_RC_SUCCESS && i < data->size; i++) {
        value = value << 8 | data->buffer[i];
    }
    Esys_Free(data);
    *ret = value;
    return rc;
}

static TSS2_RC advance(struct tpm2 *t, ESYS_TR nv)
{
    ESYS_TR session;
    TSS2_RC rc = tpm2_session(t, 0, &session);
    return rc ? rc : Esys_NV_Increment(t->esys, nv, nv, session, ESYS_TR_NONE, ESYS_TR_NONE);
}

static TSS2_RC count_call(struct tpm2 *t, void *arg)
{
    struct counting *c = arg;
    ESYS_TR nv = ESYS_TR_NONE;
    TSS2_RC rc = open_index(t, c->index, &nv);
    rc = rc ? rc : read_value(t, nv, &c->value);
    if (rc == TSS2_RC_SUCCESS && c->advance && (!c->target || c->value < c->target)) {
        rc = advance(t, nv);
        rc = rc ? rc : read_value(t, nv, &c->value);
    }
    if (nv != ESYS_TR_NONE) {
        (void)Esys_TR_Close(t->esys, &nv);
    }
    return rc ? not_ours(t, rc, c->index) : rc;
}

bst_result tpm2_nv_get(struct tpm2 *t, uint32_t index, uint64_t *ret)
{
    struct counting c = {.index = index};
    BST_TRY(tpm2_run(t, count_call, &c, "reading a counter"));
    *ret = c.value;
    return BST_OK;
}

bst_result tpm2_nv_next(struct tpm2 *t, uint32_t index, uint64_t target, uint64_t *ret)
{
    struct counting c = {.index = index, .advance = true, .target = target};
    BST_TRY(tpm2_run(t, count_call, &c, "advancing a counter"));
    *ret = c.value;
    return BST_OK;
}

/* ---- making and removing ---- */

static TSS2_RC define(struct tpm2 *t, uint32_t index, ESYS_TR *ret)
{
    const TPM2B_NV_PUBLIC public = {.nvPublic = {.nvIndex = index,
                                                 .nameAlg = TPM2_ALG_SHA256,
                                                 .attributes = ATTRIBUTES,
                                                 .dataSize = sizeof(uint64_t)}};
    TPM2B_AUTH auth = {.size = 0};
    ESYS_TR session;
    TSS2_RC rc = tpm2_owner_auth(t);
    rc = rc ? rc : tpm2_session(t, TPM2_HIDE_IN, &session);
    put_auth(t, &auth);
    rc = rc ? rc
            : Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                  &auth, &public, ret);
    bst_wipe(&auth, sizeof auth);
    return rc;
}

static TSS2_RC make_call(struct tpm2 *t, void *arg)
{
    struct counting *c = arg;
    ESYS_TR nv = ESYS_TR_NONE;
    TSS2_RC rc = define(t, c->index, &nv);
    rc = rc ? rc : advance(t, nv);
    rc = rc ? rc : read_value(t, nv, &c->value);
    if (nv != ESYS_TR_NONE) {
        (void)Esys_TR_Close(t->esys, &nv);
    }
    return rc;
}

bst_result tpm2_nv_make(struct tpm2 *t, uint32_t *ret_index, uint64_t *ret_value)
{
    bst_result made = BST_OK;
    for (int i = 0; i < TRIES; i++) {
        uint8_t random[2];
        BST_TRY(bst_random(random, sizeof random));
        struct counting c = {.index = FIRST_INDEX |
                                      (((uint32_t)random[0] << 8 | random[1]) & INDEX_MASK)};
        made = tpm2_run(t, make_call, &c, "making a counter");
        if (!bst_failed(made)) {
            *ret_index = c.index;
            *ret_value = c.value;
        }
        if (made.code != BST_E_EXISTS) {
            break;
        }
    }
    return made;
}

static TSS2_RC remove_call(struct tpm2 *t, void *arg)
{
    const uint32_t *index = arg;
    ESYS_TR nv = ESYS_TR_NONE, session;
    TSS2_RC rc = open_index(t, *index, &nv);
    if (tpm2_bare(rc) == TPM2_RC_HANDLE) {
        return TSS2_RC_SUCCESS; /* it is gone already */
    }
    rc = rc ? rc : tpm2_owner_auth(t);
    rc = rc ? rc : tpm2_session(t, 0, &session);
    rc = rc ? rc
            : Esys_NV_UndefineSpace(t->esys, ESYS_TR_RH_OWNER, nv, session, ESYS_TR_NONE,
                                    ESYS_TR_NONE);
    if (rc && nv != ESYS_TR_NONE) {
        (void)Esys_TR_Close(t->esys, &nv);
    }
    return rc;
}

bst_result tpm2_nv_remove(struct tpm2 *t, uint32_t index)
{
    return tpm2_run(t, remove_call, &index, "removing a counter");
}

/* ---- counters by name ---- */

static struct tpm2_counter *counter_at(struct tpm2 *t, const char *name)
{
    struct bst_list *head = &t->folder.counters;
    for (struct bst_list *at = head->next; at != head; at = at->next) {
        struct tpm2_counter *counter = bst_container_of(at, struct tpm2_counter, link);
        if (strcmp(counter->name, name) == 0) {
            return counter;
        }
    }
    return NULL;
}

bst_result tpm2_counter_new(struct tpm2 *t, struct bst_view name, uint32_t index, uint64_t base)
{
    struct tpm2_counter *counter = bst_alloc(sizeof *counter + name.len + 1);
    BST_ENSURE(counter, BST_E_NOMEM);
    if (name.len) {
        memcpy(counter->name, name.ptr, name.len);
    }
    counter->index = index;
    counter->base = base;
    bst_list_append(&t->folder.counters, &counter->link);
    t->folder.live++;
    return BST_OK;
}

void tpm2_counter_forget(struct tpm2 *t, struct tpm2_counter *counter)
{
    bst_list_remove(&counter->link);
    t->folder.live--;
    bst_free(counter);
}

/* It begins where the highest removed one ended. */
static bst_result make_counter(struct tpm2 *t, const char *name, struct tpm2_counter **ret)
{
    struct tpm2_record record = {.kind = TPM2_RECORD_COUNTER, .name = bst_view(name)};
    uint64_t value = 0;
    BST_TRY(tpm2_nv_make(t, &record.index, &value));
    record.base = value - t->folder.floor;
    bst_result kept = tpm2_folder_write(t, &record);
    if (!bst_failed(kept)) {
        kept = tpm2_counter_new(t, bst_view(name), record.index, record.base);
    }
    if (bst_failed(kept)) {
        char said[512];
        snprintf(said, sizeof said, "%s", bst_error_detail());
        (void)tpm2_nv_remove(t, record.index).code;
        bst_error_set_detail(said);
        return kept;
    }
    *ret = counter_at(t, name);
    return BST_OK;
}

static bst_result get_locked(struct tpm2 *t, const char *name, uint64_t *ret)
{
    BST_TRY(tpm2_folder_make(t));
    const struct tpm2_counter *counter = counter_at(t, name);
    if (!counter) {
        *ret = t->folder.floor;
        return BST_OK;
    }
    BST_TRY(tpm2_nv_get(t, counter->index, ret));
    *ret -= counter->base;
    return BST_OK;
}

static bst_result next_locked(struct tpm2 *t, const char *name, uint64_t *ret)
{
    BST_TRY(tpm2_folder_make(t));
    struct tpm2_counter *counter = counter_at(t, name);
    if (!counter) {
        BST_TRY(make_counter(t, name, &counter));
    }
    BST_TRY(tpm2_nv_next(t, counter->index, 0, ret));
    *ret -= counter->base;
    return BST_OK;
}

/* The record goes first: an index without a record is lost, a record without an index a fault. */
static bst_result remove_locked(struct tpm2 *t, const char *name)
{
    struct tpm2_counter *counter = counter_at(t, name);
    struct tpm2_record record = {.kind = TPM2_RECORD_COUNTER_GONE, .name = bst_view(name)};
    if (!counter) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no counter '%s'", name);
    }
    BST_TRY(get_locked(t, name, &record.base));
    BST_TRY(tpm2_folder_write(t, &record));
    t->folder.floor = record.base > t->folder.floor ? record.base : t->folder.floor;
    bst_result removed = tpm2_nv_remove(t, counter->index);
    tpm2_counter_forget(t, counter);
    return removed;
}

bst_result tpm2_counter_get(struct bst_se_backend *backend, const char *name, uint64_t *ret)
{
    struct tpm2 *t = tpm2_of(backend);
    BST_TRY(tpm2_folder_need(t, "a counter"));
    pthread_mutex_lock(&t->write);
    bst_result r = get_locked(t, name, ret);
    pthread_mutex_unlock(&t->write);
    return r;
}

bst_result tpm2_counter_next(struct bst_se_backend *backend, const char *name, uint64_t *ret)
{
    struct tpm2 *t = tpm2_of(backend);
    BST_TRY(tpm2_folder_need(t, "a counter"));
    pthread_mutex_lock(&t->write);
    bst_result r = next_locked(t, name, ret);
    pthread_mutex_unlock(&t->write);
    return r;
}

bst_result tpm2_counter_remove(struct bst_se_backend *backend, const char *name)
{
    struct tpm2 *t = tpm2_of(backend);
    BST_TRY(tpm2_folder_need(t, "a counter"));
    pthread_mutex_lock(&t->write);
    bst_result r = remove_locked(t, name);
    pthread_mutex_unlock(&t->write);
    return r;
}
