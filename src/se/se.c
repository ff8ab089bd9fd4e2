/* Front of the secure environment: what may be asked, opening and closing. */
#include "se/se.h"

#include "crypto/agree.h"
#include "se/backend.h"
#include "se/se_priv.h"

#include <stdio.h>

#define BACKENDS_MAX 8

/* ---- backends ---- */

static const struct bst_se_backend_ops *backends[BACKENDS_MAX] = {&bst_se_soft, &bst_se_pkcs11,
                                                                  &bst_se_none, &bst_se_tpm2};

bst_result bst_se_backend_register(const struct bst_se_backend_ops *ops)
{
    for (size_t i = 0; i < BACKENDS_MAX; i++) {
        if (!backends[i] || backends[i] == ops) {
            backends[i] = ops;
            return BST_OK;
        }
    }
    return bst_error(BST_E_LIMIT);
}

static const struct bst_se_backend_ops *backend_of(struct bst_view scheme)
{
    for (size_t i = 0; i < BACKENDS_MAX && backends[i]; i++) {
        if (bst_view_is(scheme, backends[i]->scheme)) {
            return backends[i];
        }
    }
    return NULL;
}

static bst_result find_backend(struct bst_view scheme, const struct bst_se_backend_ops **ret)
{
    *ret = backend_of(scheme);
    if (*ret) {
        return BST_OK;
    }
    char known[128] = "";
    for (size_t i = 0, at = 0; i < BACKENDS_MAX && backends[i]; i++) {
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "",
                               backends[i]->scheme);
    }
    BST_FAIL(BST_E_CONFIG, "no secure environment of kind '%.*s'; there are %s",
             BST_VIEW_ARGS(scheme), known);
}

/* ---- finding and removing ---- */

bst_result bst_se_key_find(struct bst_se *se, const char *label, bst_key *ret)
{
    return bst_se_key_find_of(se, se->owner, label, ret);
}

bst_result bst_se_key_find_of(struct bst_se *se, const char *owner, const char *label, bst_key *ret)
{
    struct bst_se_core *core = se->core;
    const struct bst_key_attrs wanted = {.owner = owner};
    char name[BST_SE_NAME_MAX];
    *ret = 0;
    if (!label || !label[0] || strlen(label) > BST_KEY_LABEL_MAX ||
        strlen(owner) > BST_KEY_OWNER_MAX || !bst_se_owner_sees(se, &wanted)) {
        return BST_OK;
    }
    pthread_rwlock_rdlock(&core->lock);
    struct bst_se_entry *entry = bst_map_get(&core->labels, bst_se_name(label, owner, name));
    if (entry && entry->object && !entry->deleting) {
        *ret = bst_se_handle_of(core, entry->slot);
    }
    pthread_rwlock_unlock(&core->lock);
    return BST_OK;
}

bst_result bst_se_key_info(struct bst_se *se, bst_key key, struct bst_key_info *ret)
{
    struct bst_se_entry *entry = NULL;
    BST_TRY(bst_se_entry_get(se, key, &entry));
    ret->attrs = entry->object->attrs;
    memcpy(ret->label, ret->attrs.label, strlen(ret->attrs.label) + 1);
    memcpy(ret->owner, ret->attrs.owner, strlen(ret->attrs.owner) + 1);
    ret->attrs.label = ret->label;
    ret->attrs.owner = ret->owner;
    bst_se_entry_drop(se->core, entry);
    return BST_OK;
}

bst_result bst_se_key_delete(struct bst_se *se, bst_key key)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_DELETE, NULL, &use));
    return bst_se_use_end(&use, bst_se_entry_remove(use.core, use.entry));
}

bst_result bst_se_key_list(struct bst_se *se,
                           bool (*each)(void *ctx, bst_key key, const struct bst_key_attrs *attrs),
                           void *ctx)
{
    struct bst_se_core *core = se->core;
    pthread_rwlock_rdlock(&core->lock);
    for (uint32_t i = 0; i < core->slots_used; i++) {
        const struct bst_se_entry *entry = core->slots[i].entry;
        if (!entry || entry->deleting || entry->object->attrs.label[0] == '\0' ||
            !bst_se_owner_sees(se, &entry->object->attrs)) {
            continue;
        }
        if (!each(ctx, bst_se_handle_of(core, i), &entry->object->attrs)) {
            break;
        }
    }
    pthread_rwlock_unlock(&core->lock);
    return BST_OK;
}

size_t bst_se_key_count(struct bst_se *se)
{
    struct bst_se_core *core = se->core;
    pthread_rwlock_rdlock(&core->lock);
    size_t count =
        se->owner[0] ? (uintptr_t)bst_map_get(&core->owned, bst_view(se->owner)) : core->count;
    pthread_rwlock_unlock(&core->lock);
    return count;
}

/* ---- using ---- */

static bst_result read_public(const struct bst_se_use *use, struct bst_buf *ret)
{
    if (!bst_key_is_pair(use->entry->object->attrs.type)) {
        BST_FAIL(BST_E_BAD_KEY, "a symmetric key has no public half");
    }
    return BST_SE_BACKEND(*use, public_key), ret);
}

/* A token is asked once: whoever comes later, an event loop perhaps, does not wait for it. */
static bst_result public_half(const struct bst_se_use *use, struct bst_buf *ret)
{
    struct bst_buf *kept = &use->entry->public_half;
    bst_auto(buf) fresh = {0};
    pthread_rwlock_rdlock(&use->core->lock);
    bool known = kept->len > 0;
    bst_buf_addv(ret, bst_buf_view(kept));
    pthread_rwlock_unlock(&use->core->lock);
    if (known) {
        return bst_buf_check(ret);
    }
    BST_TRY(read_public(use, &fresh));
    bst_buf_addv(ret, bst_buf_view(&fresh));
    pthread_rwlock_wrlock(&use->core->lock);
    if (!kept->len) {
        *kept = fresh;
        fresh = (struct bst_buf){0};
    }
    pthread_rwlock_unlock(&use->core->lock);
    return bst_buf_check(ret);
}

bst_result bst_se_key_public(struct bst_se *se, bst_key key, struct bst_buf *ret_spki_der)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_PUBLIC, NULL, &use));
    return bst_se_use_end(&use, public_half(&use, ret_spki_der));
}

#define CHECK_TEXT "bastide key check value"

static bst_result check_digest(const struct bst_se_use *use, uint8_t out[BST_SHA256_BYTES])
{
    const struct bst_se_backend_ops *ops = use->core->backend->ops;
    if (!bst_key_is_pair(use->entry->object->attrs.type)) {
        const struct bst_view text = BST_VIEW(CHECK_TEXT);
        return ops->check_value ? BST_SE_BACKEND(*use, check_value), text, out)
                                : BST_SE_BACKEND(*use, mac), &text, 1, out);
    }
    bst_auto(buf) spki = {0};
    BST_TRY(public_half(use, &spki));
    return bst_sha256(bst_buf_view(&spki), out);
}

bst_result bst_se_check_value(struct bst_se *se, bst_key key, uint8_t out[BST_SE_CHECK_BYTES])
{
    struct bst_se_use use;
    uint8_t digest[BST_SHA256_BYTES];
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_CHECK_VALUE, NULL, &use));
    BST_TRY(bst_se_use_end(&use, check_digest(&use, digest)));
    memcpy(out, digest, BST_SE_CHECK_BYTES);
    return BST_OK;
}

static bst_result check_digest_for(enum bst_key_type type, enum bst_md md, struct bst_view tbs)
{
    bool ed = type == BST_KEY_ED25519;
    if (ed != (md == BST_MD_NONE)) {
        BST_FAIL(BST_E_USAGE,
                 ed ? "Ed25519 signs without a hash function" : "ECDSA needs a hash function");
    }
    BST_ENSURE(ed || tbs.len == bst_md_bytes(md), BST_E_USAGE);
    return BST_OK;
}

static bst_result sign(struct bst_se_use *use, enum bst_md md, struct bst_view tbs, uint8_t *out,
                       size_t *ret_len)
{
    BST_TRY(check_digest_for(use->entry->object->attrs.type, md, tbs));
    return BST_SE_BACKEND(*use, sign), md, tbs, out, ret_len);
}

bst_result bst_se_sign_raw(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view tbs,
                           uint8_t *out, size_t *ret_len)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_SIGN, NULL, &use));
    return bst_se_use_end(&use, sign(&use, md, tbs, out, ret_len));
}

bst_result bst_se_sign(struct bst_se *se, bst_key key, enum bst_md md, struct bst_view message,
                       struct bst_buf *ret_signature)
{
    uint8_t digest[BST_MD_MAX_BYTES], signature[112];
    size_t len = 0;
    struct bst_view tbs = message;
    if (md != BST_MD_NONE) {
        BST_TRY(bst_digest(md, &message, 1, digest));
        tbs = bst_view_of(digest, bst_md_bytes(md));
    }
    BST_TRY(bst_se_sign_raw(se, key, md, tbs, signature, &len));
    bst_buf_add(ret_signature, signature, len);
    return bst_buf_check(ret_signature);
}

bst_result bst_se_mac(struct bst_se *se, bst_key key, const struct bst_view *parts, size_t n,
                      uint8_t out[BST_SHA256_BYTES])
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_MAC, NULL, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, mac), parts, n, out));
}

bst_result bst_se_seal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view in,
                       struct bst_buf *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_SEAL, NULL, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, seal), aad, in, ret));
}

bst_result bst_se_unseal(struct bst_se *se, bst_key key, struct bst_view aad, struct bst_view blob,
                         struct bst_buf *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_UNSEAL, NULL, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, unseal), aad, blob, ret));
}

bst_result bst_se_ecies_open(struct bst_se *se, bst_key key, struct bst_view info,
                             struct bst_view blob, struct bst_secret *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_ECIES_OPEN, NULL, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, ecies_open), info, blob, ret));
}

static bst_result agree(struct bst_se_use *use, struct bst_view point, struct bst_view info,
                        size_t len, struct bst_secret *ret)
{
    bst_auto(secret) z = {0}, derived = {0};
    BST_TRY(BST_SE_OPTIONAL(*use, agree, "ECDH", use->entry->object, point, &z));
    BST_TRY(bst_secret_init(&derived, len));
    BST_TRY(bst_x963_sha256(bst_view_of(z.ptr, z.len), info, derived.ptr, derived.len));
    *ret = derived;
    derived = (struct bst_secret){0};
    return BST_OK;
}

bst_result bst_se_agree(struct bst_se *se, bst_key key, struct bst_view point, struct bst_view info,
                        size_t len, struct bst_secret *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_AGREE, NULL, &use));
    return bst_se_use_end(&use, agree(&use, point, info, len, ret));
}

bst_result bst_se_run(struct bst_se *se, bst_key key, const struct bst_se_routine *routine,
                      void *io)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_RUN, routine->name, &use));
    return bst_se_use_end(&use,
                          BST_SE_OPTIONAL(use, run, routine->name, use.entry->object, routine, io));
}

bst_result bst_se_release_psk(struct bst_se *se, bst_key key, const char *why,
                              struct bst_secret *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_RELEASE_PSK, why, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, release), ret));
}

bst_result bst_se_data_read(struct bst_se *se, bst_key key, const char *why, struct bst_secret *ret)
{
    struct bst_se_use use;
    BST_TRY(bst_se_use_begin(se, key, BST_SE_OP_READ, why, &use));
    return bst_se_use_end(&use, BST_SE_BACKEND(use, release), ret));
}

bst_result bst_se_hash(struct bst_se *se, enum bst_md md, struct bst_view message, uint8_t *out)
{
    struct bst_se_use use;
    BST_ENSURE(md != BST_MD_NONE, BST_E_USAGE);
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_HASH, "", NULL, &use));
    return bst_se_use_end(&use, bst_digest(md, &message, 1, out));
}

bst_result bst_se_random(struct bst_se *se, uint8_t *out, size_t n)
{
    struct bst_se_use use;
    BST_TRY(bst_se_act_begin(se, BST_SE_OP_RANDOM, "", NULL, &use));
    return bst_se_use_end(&use, BST_SE_OPTIONAL(use, random, "random octets", out, n));
}

/* ---- opening and closing ---- */

static void drop_filters(struct bst_se_core *core)
{
    while (core->n_filters > 0) {
        const struct bst_se_filter *filter = &core->filters[--core->n_filters];
        if (filter->drop) {
            filter->drop(filter->ctx);
        }
    }
}

static void core_drop(struct bst_se_core *core)
{
    if (atomic_fetch_sub_explicit(&core->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    bst_se_pool_end(core->pool);
    drop_filters(core);
    for (uint32_t i = 0; i < core->slots_used; i++) {
        if (core->slots[i].entry) {
            bst_se_entry_drop(core, core->slots[i].entry);
        }
    }
    if (core->backend) {
        core->backend->ops->close(core->backend);
    }
    bst_free(core->slots);
    bst_map_clear(&core->labels);
    bst_map_clear(&core->owned);
    pthread_mutex_destroy(&core->pool_lock);
    pthread_rwlock_destroy(&core->lock);
    pthread_rwlock_destroy(&core->life);
    bst_free(core);
}

/* While opening, objects arrive before the backend itself does. */
struct opening {
    struct bst_se_core *core;
    const struct bst_se_backend_ops *ops;
};

static bst_result found(void *ctx, struct bst_se_object *take)
{
    struct opening *opening = ctx;
    struct bst_se_entry *entry = NULL;
    size_t owned;
    bst_result reserved = bst_se_entry_reserve(opening->core, &take->attrs, &entry);
    if (!bst_failed(reserved)) {
        reserved = bst_se_owned_more(opening->core, &take->attrs, &owned);
        if (bst_failed(reserved)) {
            bst_se_entry_unreserve(opening->core, &take->attrs, entry);
        }
    }
    if (bst_failed(reserved)) {
        opening->ops->drop(NULL, take);
        return reserved;
    }
    bst_se_entry_publish(opening->core, entry, take);
    return BST_OK;
}

/* A backend that fails to open leaves the objects that it had found. */
static void drop_found(struct bst_se_core *core, const struct bst_se_backend_ops *ops)
{
    for (uint32_t i = 0; i < core->slots_used; i++) {
        if (core->slots[i].entry) {
            ops->drop(NULL, core->slots[i].entry->object);
            bst_free(bst_steal(&core->slots[i].entry));
        }
    }
}

/* Who waits to wipe or block comes before who makes the next key. */
static void locks_init(struct bst_se_core *core)
{
    pthread_rwlockattr_t first;
    pthread_rwlockattr_init(&first);
    pthread_rwlockattr_setkind_np(&first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&core->life, &first);
    pthread_rwlockattr_destroy(&first);
    pthread_rwlock_init(&core->lock, NULL);
    pthread_mutex_init(&core->pool_lock, NULL);
}

static bst_result core_open(const struct bst_se_host *host, const struct bst_se_backend_ops *ops,
                            struct bst_view query, struct bst_se_core **ret)
{
    struct bst_se_core *core = bst_alloc(sizeof *core);
    BST_ENSURE(core, BST_E_NOMEM);
    atomic_init(&core->refs, 1);
    core->host = *host;
    locks_init(core);
    struct opening opening = {core, ops};
    bst_result opened = ops->open(&core->host, query, found, &opening, &core->backend);
    if (bst_failed(opened)) {
        drop_found(core, ops);
        core_drop(core);
        return opened;
    }
    atomic_init(&core->state, ops->state ? ops->state(core->backend) : BST_SE_OPERATIONAL);
    *ret = core;
    return BST_OK;
}

/* "se:KIND?QUERY", or "KIND:..." of a backend, as RFC 7512 has it for "pkcs11:". */
static bst_result read_uri(const char *uri, const struct bst_se_backend_ops **ret,
                           struct bst_view *ret_query)
{
    struct bst_view rest = bst_view(uri), kind;
    bool own = bst_view_starts(rest, BST_VIEW("se:"));
    if (own) {
        rest = bst_view_from(rest, 3);
    }
    if (!bst_view_cut(&rest, own ? '?' : ':', &kind) && !own) {
        BST_FAIL(BST_E_CONFIG,
                 "'%s' is no secure environment; examples are se:soft?dir=keys and "
                 "pkcs11:token=NAME?pin-source=file:PATH",
                 uri);
    }
    *ret_query = rest;
    return find_backend(kind, ret);
}

bst_result bst_se_open(const struct bst_se_host *host, const char *uri, struct bst_se **ret)
{
    const struct bst_se_backend_ops *ops = NULL;
    struct bst_view query = {0};
    BST_TRY(read_uri(uri, &ops, &query));
    struct bst_se *se = bst_alloc(sizeof *se);
    BST_ENSURE(se, BST_E_NOMEM);
    bst_result opened = core_open(host, ops, query, &se->core);
    if (bst_failed(opened)) {
        bst_free(se);
        return opened;
    }
    *ret = se;
    return BST_OK;
}

void bst_se_close(struct bst_se **slot)
{
    struct bst_se *se = *slot;
    *slot = NULL;
    if (se) {
        core_drop(se->core);
        bst_free(se);
    }
}

bst_result bst_se_hold(struct bst_se *se, struct bst_se **ret)
{
    struct bst_se *view = bst_alloc(sizeof *view);
    BST_ENSURE(view, BST_E_NOMEM);
    *view = *se;
    atomic_fetch_add_explicit(&se->core->refs, 1, memory_order_relaxed);
    *ret = view;
    return BST_OK;
}

bst_result bst_se_for_owner(struct bst_se *se, const char *owner, struct bst_se **ret)
{
    size_t len = owner ? strlen(owner) : 0;
    BST_ENSURE(len > 0 && len <= BST_KEY_OWNER_MAX, BST_E_USAGE);
    if (se->owner[0] && strcmp(se->owner, owner) != 0) {
        BST_FAIL(BST_E_DENIED, "'%s' may not act for '%s'", se->owner, owner);
    }
    BST_TRY(bst_se_hold(se, ret));
    memcpy((*ret)->owner, owner, len + 1);
    return BST_OK;
}

bst_result bst_se_filter_add(struct bst_se *se, const struct bst_se_filter *filter)
{
    struct bst_se_core *core = se->core;
    if (core->n_filters == BST_SE_FILTERS_MAX) {
        if (filter->drop) {
            filter->drop(filter->ctx);
        }
        return bst_error(BST_E_LIMIT);
    }
    core->filters[core->n_filters++] = *filter;
    return BST_OK;
}

void bst_se_about(struct bst_se *se, struct bst_se_about *ret)
{
    const struct bst_se_backend *backend = se->core->backend;
    *ret = (struct bst_se_about){
        .level = bst_se_level_of(backend),
        .type = backend->ops->type ? backend->ops->type : BST_SE_SOFTWARE,
        .slow = backend->slow,
        .state = bst_se_state(se),
    };
    memcpy(ret->kind, backend->ops->scheme, strlen(backend->ops->scheme) + 1);
    if (backend->ops->about) {
        backend->ops->about(se->core->backend, ret);
    } else {
        memcpy(ret->evidence, "software on this machine", sizeof "software on this machine");
    }
    if (ret->unique[0]) {
        snprintf(ret->se_id, sizeof ret->se_id, "%d%s", ret->type, ret->unique);
    }
}

bool bst_se_slow(struct bst_se *se)
{
    return se->core->backend->slow;
}

bst_result bst_se_attest_verify(const struct bst_se_attestation *attestation, struct bst_view nonce,
                                struct bst_view roots, struct bst_se_attested *ret)
{
    const struct bst_se_backend_ops *ops = backend_of(bst_view(attestation->kind));
    if (!ops || !ops->attest_verify) {
        BST_FAIL(BST_E_SE_MECHANISM, "attestations of kind '%s' cannot be checked here",
                 attestation->kind);
    }
    return ops->attest_verify(attestation, nonce, roots, ret);
}
