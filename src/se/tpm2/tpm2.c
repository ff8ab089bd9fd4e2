/* TPM 2.0 backend: keys in a TPM, reached through tpm2-tss. */
#include "se/tpm2/tpm2_priv.h"

#include <stdio.h>

bst_result tpm2_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                       const struct bst_secret *value, struct bst_se_object **ret)
{
    struct tpm2 *t = tpm2_of(backend);
    struct tpm2_object *object = NULL;
    if (attrs->persistent) {
        BST_TRY(tpm2_folder_need(t, attrs->label));
    }
    BST_TRY(tpm2_make(t, attrs, value, &object));
    bst_result kept = attrs->persistent ? tpm2_folder_add(t, object) : BST_OK;
    if (bst_failed(kept)) {
        bst_free(object);
        return kept;
    }
    *ret = &object->base;
    return BST_OK;
}

static bst_result rename_object(struct bst_se_backend *backend, struct bst_se_object *base,
                                const char *label, struct bst_se_object **ret)
{
    struct tpm2 *t = tpm2_of(backend);
    struct tpm2_object *object = tpm2_object_of(base), *renamed = NULL;
    struct bst_key_attrs attrs = base->attrs;
    attrs.label = label;
    BST_TRY(tpm2_object_new(&attrs, object->pub, object->priv, object->extra, &renamed));
    renamed->form = object->form;
    renamed->inside = object->inside;
    bst_result kept = attrs.persistent ? tpm2_folder_change(t, object, renamed) : BST_OK;
    if (bst_failed(kept)) {
        bst_free(renamed);
        return kept;
    }
    *ret = &renamed->base;
    return BST_OK;
}

static bst_result replace_value(struct bst_se_backend *backend, struct bst_se_object *base,
                                const struct bst_secret *value, struct bst_se_object **ret)
{
    struct tpm2 *t = tpm2_of(backend);
    struct tpm2_object *fresh = NULL;
    BST_TRY(tpm2_make(t, &base->attrs, value, &fresh));
    bst_result kept =
        base->attrs.persistent ? tpm2_folder_change(t, tpm2_object_of(base), fresh) : BST_OK;
    if (bst_failed(kept)) {
        bst_free(fresh);
        return kept;
    }
    *ret = &fresh->base;
    return BST_OK;
}

static bst_result remove_object(struct bst_se_backend *backend, struct bst_se_object *object)
{
    return tpm2_folder_remove(tpm2_of(backend), tpm2_object_of(object));
}

/* The front drops only what is removed or, at the end, when nobody writes any more. */
static void drop(struct bst_se_backend *backend, struct bst_se_object *base)
{
    struct tpm2_object *object = tpm2_object_of(base);
    bst_list_remove(&object->link);
    if (backend) {
        tpm2_let_go(tpm2_of(backend), object);
    }
    bst_free(object);
}

/* Names the TPM by its primary key, which differs in each. */
static void put_unique(const struct tpm2 *t, char *out, size_t cap)
{
    bst_auto(buf) hex = {0};
    size_t len = t->parent_name_len > 18 ? 16 : 0;
    bst_hex_add(&hex, bst_view_of(t->parent_name + 2, len), false);
    snprintf(out, cap, "%.*s", BST_VIEW_ARGS(bst_buf_view(&hex)));
}

static void about(struct bst_se_backend *backend, struct bst_se_about *ret)
{
    struct tpm2 *t = tpm2_of(backend);
    pthread_mutex_lock(&t->lock);
    struct tpm2_facts facts = t->facts;
    snprintf(ret->evidence, sizeof ret->evidence, "%s", t->evidence);
    pthread_mutex_unlock(&t->lock);
    snprintf(ret->name, sizeof ret->name, "%s %s, firmware %u.%u.%u.%u, at %.80s", facts.maker,
             facts.model, facts.firmware[0] >> 16, facts.firmware[0] & 0xffff,
             facts.firmware[1] >> 16, facts.firmware[1] & 0xffff, t->address.tcti);
    snprintf(ret->lacks, sizeof ret->lacks,
             "%sEd25519, X25519, AES-GCM, HKDF, AES key wrap with padding%s",
             facts.p384 ? "" : "EC P-384, ", t->address.fallback ? " (by software)" : "");
    tpm2_lockout_words(&facts, ret->pin, sizeof ret->pin);
    put_unique(t, ret->unique, sizeof ret->unique);
}

static void close_tpm(struct bst_se_backend *backend)
{
    struct tpm2 *t = tpm2_of(backend);
    tpm2_folder_close(t);
    tpm2_close_device(t);
    bst_secret_clear(&t->auth);
    bst_secret_clear(&t->nv_auth);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->write);
    bst_free(t);
}

/* The objects found so far are the front's to drop; they must not lead back here. */
static void forget_objects(struct tpm2 *t)
{
    while (!bst_list_empty(&t->folder.objects)) {
        bst_list_remove(t->folder.objects.next);
    }
}

static bst_result open_tpm(const struct bst_se_host *host, struct bst_view text,
                           bst_result (*found)(void *ctx, struct bst_se_object *take), void *ctx,
                           struct bst_se_backend **ret)
{
    struct tpm2_address address;
    BST_TRY(tpm2_address_parse(text, &address));
    struct tpm2 *t = bst_alloc(sizeof *t);
    BST_ENSURE(t, BST_E_NOMEM);
    t->base.ops = &bst_se_tpm2;
    t->base.level = 1;
    t->base.slow = true;
    t->host = host;
    t->address = address;
    t->folder.state = BST_SE_PERSONALISATION;
    bst_list_init(&t->loaded);
    bst_list_init(&t->folder.objects);
    bst_list_init(&t->folder.counters);
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->write, NULL);
    bst_result opened = tpm2_folder_open(t, found, ctx);
    if (bst_failed(opened)) {
        forget_objects(t);
        close_tpm(&t->base);
        return opened;
    }
    *ret = &t->base;
    return BST_OK;
}

const struct bst_se_backend_ops bst_se_tpm2 = {
    .scheme = "tpm2",
    .level = 1,
    .type = BST_SE_TPM,
    .open = open_tpm,
    .close = close_tpm,
    .about = about,
    .create = tpm2_create,
    .derive = tpm2_derive,
    .remove = remove_object,
    .drop = drop,
    .public_key = tpm2_public,
    .sign = tpm2_sign,
    .mac = tpm2_mac,
    .seal = tpm2_seal,
    .unseal = tpm2_unseal,
    .ecies_open = tpm2_ecies_open,
    .agree = tpm2_agree,
    .run = tpm2_run_routine,
    .release = tpm2_release,
    .random = tpm2_random,
    .wrap = tpm2_wrap,
    .unwrap = tpm2_unwrap,
    .unwrap_text = tpm2_unwrap_text,
    .counter_get = tpm2_counter_get,
    .counter_next = tpm2_counter_next,
    .counter_remove = tpm2_counter_remove,
    .state = tpm2_state,
    .set_state = tpm2_set_state,
    .wipe = tpm2_wipe,
    .pin_change = tpm2_pin_change,
    .attest = tpm2_attest,
    .attest_verify = tpm2_attest_verify,
    .rename = rename_object,
    .replace = replace_value,
};
