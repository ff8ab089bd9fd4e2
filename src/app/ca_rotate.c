/* A new root for the project CA: key, certificates, labels; and the end of former ones. */
#include "app/ca_rotate.h"

#include "base/map.h"
#include "crypto/digest.h"
#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>

/* --- beginning ------------------------------------------------------------------------------ */

void bst_ca_rotation_clear(struct bst_ca_rotation *r)
{
    ca_record_clear(&r->keys.record);
    bst_free(r->address);
    r->address = NULL;
}

static bst_result find_present(struct bst_ca_rotation *r, struct bst_pki *pki)
{
    bst_auto(buf) pem = {0};
    const char *address;
    BST_TRY(bst_pki_cert(pki, &pem));
    BST_TRY(ca_keys_find(&r->keys, bst_buf_view(&pem), &r->before, &r->before_key, &address));
    r->address = bst_strdup(address);
    return r->address ? BST_OK : bst_error(BST_E_NOMEM);
}

/* A key that is in use but still called LABEL.next is of a rotation that was cut short. */
static bst_result is_unfinished(const struct bst_ca_rotation *r, bool *ret)
{
    struct bst_key_info info;
    char next[BST_KEY_LABEL_MAX + 8];
    BST_TRY(bst_se_key_info(r->before.se, r->before_key, &info));
    snprintf(next, sizeof next, "%s.next", r->before.label);
    *ret = strcmp(info.label, next) == 0;
    return BST_OK;
}

static bst_result take_up(struct bst_ca_rotation *r)
{
    r->resumed = true;
    r->rotation = (struct bst_rotation){.se = r->before.se, .fresh = r->before_key};
    memcpy(r->rotation.label, r->before.label, sizeof r->rotation.label);
    return bst_se_key_find(r->before.se, r->before.label, &r->rotation.old);
}

static bst_result make_key(struct bst_ca_rotation *r, const char *to)
{
    struct bst_state_place place = r->before;
    struct bst_key_info info;
    BST_TRY(bst_se_key_info(r->before.se, r->before_key, &info));
    r->moved = to && strcmp(to, r->address) != 0;
    if (r->moved) {
        BST_TRY(ca_keys_place(&r->keys, to, &place));
        BST_TRY(ca_record_add_place(&r->keys.record, r->address));
        bst_free(r->address);
        r->address = bst_strdup(to);
        BST_ENSURE(r->address, BST_E_NOMEM);
    }
    const struct bst_key_attrs attrs = {.type = info.attrs.type, .uses = BST_KEY_USE_SIGN};
    return bst_rotation_begin_with(place.se, place.label, &attrs, &r->rotation);
}

/* --- the root ------------------------------------------------------------------------------- */

static int64_t until_of(const struct ca_record *record, const char *serial)
{
    for (size_t i = 0; i < record->n_former; i++) {
        if (strcmp(record->former[i].serial, serial) == 0) {
            return record->former[i].until_us;
        }
    }
    return 0;
}

/* Only roots that are still trusted have an end. */
static bst_result note_former(struct ca_record *record, const struct bst_pki *pki, int64_t until_us)
{
    struct ca_former kept[BST_PKI_FORMER_MAX];
    struct bst_cert_facts facts;
    size_t n = 0;
    bool has_key;
    for (size_t i = 0; i <= bst_pki_former(pki) && n < BST_PKI_FORMER_MAX; i++) {
        BST_TRY(bst_pki_root(pki, i, &facts, &has_key));
        kept[n].until_us = i ? until_of(record, facts.serial) : until_us;
        memcpy(kept[n++].serial, facts.serial, sizeof kept[0].serial);
    }
    memcpy(record->former, kept, n * sizeof kept[0]);
    record->n_former = n;
    return BST_OK;
}

/* No two roots have one name, so that lists and issuers are told apart by it. */
static bst_result root_name(const struct bst_ca_rotation *r, char out[65])
{
    bst_auto(buf) spki = {0};
    uint8_t digest[BST_SHA256_BYTES];
    char suffix[16];
    BST_TRY(bst_se_key_public(r->rotation.se, r->rotation.fresh, &spki));
    BST_TRY(bst_sha256(bst_buf_view(&spki), digest));
    snprintf(suffix, sizeof suffix, " %02x%02x%02x%02x", digest[0], digest[1], digest[2],
             digest[3]);
    return bst_ca_name(r->state, suffix, out);
}

static bst_result make_root(struct bst_ca_rotation *r, int64_t until_us, struct bst_pki *pki)
{
    struct bst_cert_permit permits[BST_CA_PERMITS];
    char name[65];
    BST_TRY(root_name(r, name));
    BST_TRY(note_former(&r->keys.record, pki, until_us));
    BST_TRY(ca_record_add_place(&r->keys.record, r->address));
    BST_TRY(ca_record_write(r->state, &r->keys.record));
    struct bst_pki_successor next = {.se = r->rotation.se,
                                     .key = r->rotation.fresh,
                                     .common_name = bst_view(name),
                                     .permits = permits,
                                     .n_permits = bst_ca_permits(r->state, permits),
                                     .lifetime_us = CA_LIFE_US};
    return bst_pki_succeed(pki, &next);
}

static bst_result rotate(struct bst_ca_rotation *r, const char *to, int64_t until_us,
                         struct bst_pki **pki)
{
    bool unfinished;
    BST_TRY(ca_record_read(r->state, &r->keys.record));
    BST_TRY(find_present(r, *pki));
    BST_TRY(is_unfinished(r, &unfinished));
    if (unfinished) {
        return take_up(r);
    }
    BST_TRY(make_key(r, to));
    BST_TRY(make_root(r, until_us, *pki));
    return bst_ca_reopen(r->state, r->config, pki);
}

bst_result bst_ca_rotate(struct bst_state *state, const struct bst_config *config, const char *to,
                         int64_t until_us, struct bst_pki **pki, struct bst_ca_rotation *ret)
{
    *ret = (struct bst_ca_rotation){
        .state = state, .config = config, .keys = {.state = state, .config = config}};
    bst_result r = rotate(ret, to, until_us, pki);
    if (bst_failed(r)) {
        bst_ca_rotation_clear(ret);
    }
    return r;
}

/* Labels are for people: keys are found by their certificates. */
bst_result bst_ca_rotate_end(struct bst_ca_rotation *r)
{
    BST_TRY(bst_rotation_end(&r->rotation, false));
    if (!r->moved) {
        return BST_OK;
    }
    struct bst_rotation left = {.se = r->before.se, .old = r->before_key};
    memcpy(left.label, r->before.label, sizeof left.label);
    if (bst_failed(bst_rotation_put_by(&left))) {
        bst_log(BST_LOG_WARN, "ca.label", "the former key of the CA keeps its label: %s",
                bst_error_detail());
        return BST_OK;
    }
    memcpy(r->rotation.kept, left.kept, sizeof left.kept);
    return BST_OK;
}

/* --- certificates of the process itself ----------------------------------------------------- */

static const struct bst_issued *find_issued(const struct bst_issued *items, size_t n,
                                            const char *serial)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(items[i].serial, serial) == 0) {
            return &items[i];
        }
    }
    return NULL;
}

/* The same name and key under the present root. */
static bst_result issue_again(struct bst_state *state, struct bst_pki *pki,
                              const struct x509_st *cert, const struct bst_issued *item,
                              struct bst_view common_name, int64_t lifetime_us,
                              struct bst_buf *ret_pem)
{
    bst_auto_pkey *key = NULL;
    bst_auto(buf) spki = {0};
    struct bst_ca_order order = {.flavour = item->flavour,
                                 .name = bst_view(item->name),
                                 .common_name = common_name,
                                 .role = BST_CERT_ANY_ROLE,
                                 .lifetime_us = lifetime_us};
    BST_TRY(bst_cert_public_key(cert, &key));
    BST_TRY(bst_pkey_spki(key, &spki));
    return bst_ca_issue(state, pki, &order, bst_buf_view(&spki), ret_pem);
}

static bst_result own_text(struct bst_state *state, struct bst_pki *pki, struct bst_view pem,
                           struct bst_view common_name, int64_t lifetime_us, struct bst_buf *ret)
{
    bst_auto_cert *cert = NULL;
    bst_auto_free struct bst_issued *items = NULL;
    struct bst_cert_facts facts, root;
    bool has_key;
    size_t n;
    BST_TRY(bst_cert_load(pem, &cert));
    BST_TRY(bst_cert_facts(cert, &facts));
    BST_TRY(bst_ca_list(state, &items, &n));
    const struct bst_issued *item = find_issued(items, n, facts.serial);
    if (!item) {
        return BST_OK;
    }
    BST_TRY(bst_pki_root(pki, 0, &root, &has_key));
    bool present = item->issuer[0] ? strcmp(item->issuer, root.serial) == 0 : !bst_pki_former(pki);
    if (!present) {
        return issue_again(state, pki, cert, item, common_name, lifetime_us, ret);
    }
    BST_TRY(bst_cert_pem(cert, ret));
    return bst_pki_chain(pki, ret);
}

bst_result bst_ca_renew_own(struct bst_state *state, struct bst_pki *pki, const char *file,
                            struct bst_view common_name, int64_t lifetime_us, bool *ret_ours)
{
    bst_auto(buf) pem = {0}, text = {0};
    char path[BST_PATH_MAX];
    *ret_ours = false;
    bst_result r = bst_state_read(state, file, &pem);
    if (r.code == BST_E_NOT_FOUND) {
        return BST_OK;
    }
    BST_TRY(r);
    BST_TRY(own_text(state, pki, bst_buf_view(&pem), common_name, lifetime_us, &text));
    *ret_ours = text.len > 0;
    if (!*ret_ours || bst_view_eq(bst_buf_view(&pem), bst_buf_view(&text))) {
        return BST_OK;
    }
    BST_TRY(bst_state_path(state->folder, file, path));
    return bst_file_write_atomic(path, bst_buf_view(&text), 0644);
}

/* --- the end of former roots ---------------------------------------------------------------- */

bst_result bst_ca_due(const struct bst_state *state, const struct bst_pki *pki, int64_t now_us,
                      size_t *ret_keep, int64_t *ret_next)
{
    struct ca_record record;
    struct bst_cert_facts facts;
    bool has_key;
    *ret_keep = bst_pki_former(pki);
    *ret_next = 0;
    BST_TRY(ca_record_read(state, &record));
    for (size_t i = 1; i <= *ret_keep; i++) {
        int64_t until_us = bst_failed(bst_pki_root(pki, i, &facts, &has_key))
                               ? 0
                               : until_of(&record, facts.serial);
        if (until_us && until_us <= now_us) {
            *ret_keep = i - 1; /* with those before it: they are known through it only */
        } else if (until_us && (!*ret_next || until_us < *ret_next)) {
            *ret_next = until_us;
        }
    }
    ca_record_clear(&record);
    return BST_OK;
}

/* The number of the root that issued it; more than there are: one that was retired before. "" is of
 * a record from before roots had successors: then it is the oldest. */
static bst_result issuer_index(const struct bst_pki *pki, const char *issuer, size_t *ret)
{
    struct bst_cert_facts facts;
    bool has_key;
    for (*ret = 0; *ret <= bst_pki_former(pki); ++*ret) {
        BST_TRY(bst_pki_root(pki, *ret, &facts, &has_key));
        if (strcmp(facts.serial, issuer) == 0) {
            return BST_OK;
        }
    }
    *ret -= !issuer[0];
    return BST_OK;
}

static bst_result count_left(const struct bst_pki *pki, const struct bst_issued *items, size_t n,
                             size_t keep, struct bst_map *replaced, size_t *ret)
{
    int64_t now = bst_wall_us();
    for (size_t i = n; i-- > 0;) {
        struct bst_view name = bst_view(items[i].name);
        size_t by;
        if (items[i].revoked_us || items[i].ends_us <= now || bst_map_get(replaced, name)) {
            continue;
        }
        BST_TRY(issuer_index(pki, items[i].issuer, &by));
        if (by <= keep) {
            BST_TRY(bst_map_set(replaced, name, replaced, NULL));
        }
        *ret += by > keep && by <= bst_pki_former(pki);
    }
    return BST_OK;
}

bst_result bst_ca_count_left(const struct bst_state *state, const struct bst_pki *pki, size_t keep,
                             size_t *ret)
{
    bst_auto_free struct bst_issued *items = NULL;
    struct bst_map replaced = {0};
    size_t n;
    *ret = 0;
    BST_TRY(bst_ca_list(state, &items, &n));
    bst_result r = count_left(pki, items, n, keep, &replaced, ret);
    bst_map_clear(&replaced);
    return r;
}

/* Places of keys that are not needed any more are forgotten. */
static bst_result forget_places(struct bst_state *state, const struct bst_config *config,
                                struct bst_pki *pki)
{
    struct ca_keys keys = {.state = state, .config = config};
    struct bst_state_place place;
    struct ca_record record = {0};
    bst_auto(buf) pem = {0};
    const char *address;
    bst_key key;
    if (bst_pki_former(pki)) {
        return BST_OK;
    }
    BST_TRY(bst_pki_cert(pki, &pem));
    BST_TRY(ca_record_read(state, &keys.record));
    bst_result r = ca_keys_find(&keys, bst_buf_view(&pem), &place, &key, &address);
    if (!bst_failed(r)) {
        r = ca_record_add_place(&record, address);
    }
    if (!bst_failed(r)) {
        r = ca_record_write(state, &record);
    }
    ca_record_clear(&record);
    ca_record_clear(&keys.record);
    return r;
}

bst_result bst_ca_retire(struct bst_state *state, const struct bst_config *config, size_t keep,
                         struct bst_pki **pki)
{
    BST_TRY(bst_pki_retire(*pki, keep));
    BST_TRY(bst_ca_reopen(state, config, pki));
    return forget_places(state, config, *pki);
}
