/* Home network keys in the secure environment, and opening SUCIs with them. */
#include "core5g/suci/sidf.h"

#include "obs/log.h"

#include <stdio.h>

#define LABEL_PREFIX "suci.hn."

const char *bst_hn_state_name(enum bst_hn_state state)
{
    static const char *const names[] = {"pending", "active", "accept-only", "expired"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

/* ---- labels ---- */

static void label_of(const struct bst_hn_wish *wish, const struct bst_suci_scheme *scheme,
                     char out[BST_KEY_LABEL_MAX + 1])
{
    snprintf(out, BST_KEY_LABEL_MAX + 1, LABEL_PREFIX "%u.%s.%lld", (unsigned)wish->id,
             scheme->name, (long long)wish->from_us);
}

static bool read_label(const struct bst_key_attrs *attrs, struct bst_hn_key *ret)
{
    struct bst_view rest = bst_view(attrs->label), id_text, name;
    uint64_t id;
    if (!bst_view_starts(rest, BST_VIEW(LABEL_PREFIX))) {
        return false;
    }
    rest = bst_view_from(rest, sizeof LABEL_PREFIX - 1);
    if (!bst_view_cut(&rest, '.', &id_text) || !bst_view_cut(&rest, '.', &name)) {
        return false;
    }
    const struct bst_suci_scheme *scheme = bst_suci_scheme_named(name);
    if (!scheme || scheme->key_type != attrs->type || bst_failed(bst_parse_u64(id_text, &id)) ||
        id > BST_SUCI_KEY_ID_MAX || bst_failed(bst_parse_i64(rest, &ret->from_us))) {
        return false;
    }
    ret->id = (uint8_t)id;
    ret->scheme = scheme->id;
    ret->until_us = attrs->expires_us;
    return true;
}

/* ---- the table ---- */

static bool collect(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct bst_sidf *sidf = ctx;
    struct bst_hn_key row = {.key = key, .level = attrs->level};
    if (read_label(attrs, &row) && sidf->n < BST_HN_KEYS_MAX) {
        sidf->keys[sidf->n++] = row;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    return ((const struct bst_hn_key *)a)->id - ((const struct bst_hn_key *)b)->id;
}

static bool valid_at(const struct bst_hn_key *key, int64_t now_us)
{
    return key->from_us <= now_us && (!key->until_us || now_us < key->until_us);
}

/* The newest of a scheme that is valid now. */
static struct bst_hn_key *newest(struct bst_sidf *sidf, uint8_t scheme, int64_t now_us)
{
    struct bst_hn_key *best = NULL;
    for (size_t i = 0; i < sidf->n; i++) {
        struct bst_hn_key *key = &sidf->keys[i];
        if (key->scheme == scheme && valid_at(key, now_us) &&
            (!best || key->from_us > best->from_us ||
             (key->from_us == best->from_us && key->id > best->id))) {
            best = key;
        }
    }
    return best;
}

static void set_states(struct bst_sidf *sidf, int64_t now_us)
{
    for (size_t i = 0; i < sidf->n; i++) {
        struct bst_hn_key *key = &sidf->keys[i];
        key->state = key->from_us > now_us                      ? BST_HN_PENDING
                     : !valid_at(key, now_us)                   ? BST_HN_EXPIRED
                     : key == newest(sidf, key->scheme, now_us) ? BST_HN_ACTIVE
                                                                : BST_HN_ACCEPT_ONLY;
    }
}

static bst_result read_public_halves(struct bst_sidf *sidf)
{
    for (size_t i = 0; i < sidf->n; i++) {
        struct bst_hn_key *key = &sidf->keys[i];
        const struct bst_suci_scheme *scheme = bst_suci_scheme(key->scheme);
        BST_TRY(scheme->public_of(scheme, sidf->se, key->key, key->public_key));
    }
    return BST_OK;
}

bst_result bst_sidf_init(struct bst_sidf *sidf, struct bst_se *se, int64_t (*wall_us)(void))
{
    *sidf = (struct bst_sidf){.se = se, .wall_us = wall_us};
    BST_TRY(bst_se_key_list(se, collect, sidf));
    qsort(sidf->keys, sidf->n, sizeof sidf->keys[0], by_id);
    set_states(sidf, wall_us());
    return read_public_halves(sidf);
}

const struct bst_hn_key *bst_sidf_active(const struct bst_sidf *sidf, uint8_t scheme)
{
    for (size_t i = 0; i < sidf->n; i++) {
        if (sidf->keys[i].scheme == scheme && sidf->keys[i].state == BST_HN_ACTIVE) {
            return &sidf->keys[i];
        }
    }
    return NULL;
}

/* ---- changing keys ---- */

struct id_search {
    uint8_t id;
    bst_key found;
};

static bool match_id(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct id_search *search = ctx;
    struct bst_hn_key row = {0};
    if (read_label(attrs, &row) && row.id == search->id) {
        search->found = key;
    }
    return search->found == 0;
}

static bst_result find_id(struct bst_se *se, uint8_t id, bst_key *ret)
{
    struct id_search search = {.id = id};
    BST_TRY(bst_se_key_list(se, match_id, &search));
    *ret = search.found;
    return BST_OK;
}

static bst_result check_wish(struct bst_se *se, const struct bst_hn_wish *wish)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(wish->scheme);
    bst_key other;
    if (!scheme || !scheme->keyed) {
        BST_FAIL(BST_E_VALUE,
                 "home network keys are for schemes that have keys, which the null scheme has not");
    }
    if (wish->id > BST_SUCI_KEY_ID_MAX) {
        BST_FAIL(BST_E_VALUE, "a key id is a number from 0 to %d", BST_SUCI_KEY_ID_MAX);
    }
    if (wish->until_us && wish->until_us <= wish->from_us) {
        BST_FAIL(BST_E_VALUE, "the validity of the key ends before it begins");
    }
    BST_TRY(find_id(se, wish->id, &other));
    if (other) {
        BST_FAIL(BST_E_EXISTS,
                 "there is a home network key with id %u already; take another id, or "
                 "revoke the old key",
                 (unsigned)wish->id);
    }
    return BST_OK;
}

static bst_result make_key(struct bst_se *se, const struct bst_hn_wish *wish,
                           const struct bst_suci_scheme *scheme)
{
    char label[BST_KEY_LABEL_MAX + 1];
    bst_key key;
    label_of(wish, scheme, label);
    const struct bst_key_attrs attrs = {
        .type = scheme->key_type,
        .uses = scheme->key_uses,
        .label = label,
        .expires_us = wish->until_us,
        .persistent = !wish->temporary,
    };
    if (wish->private_key.len == 0 && scheme->made_inside) {
        return bst_se_key_generate(se, &attrs, &key);
    }
    bst_auto(secret) value = {0};
    BST_TRY(scheme->read_private(scheme, wish->private_key, &value));
    return bst_se_key_import(se, &attrs, &value, &key);
}

/* An environment knows types of keys; what that means for a scheme is known here. */
bst_result bst_hn_key_add(struct bst_se *se, const struct bst_hn_wish *wish)
{
    char why[256];
    BST_TRY(check_wish(se, wish));
    const struct bst_suci_scheme *scheme = bst_suci_scheme(wish->scheme);
    bst_result made = make_key(se, wish, scheme);
    if (made.code == BST_E_SE_MECHANISM) {
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(
            made.code, "this environment cannot hold a key of scheme %s: %s%s", scheme->name, why,
            scheme->id == BST_SUCI_PROFILE_B ? "" : "; scheme B is P-256, which most tokens have");
    }
    return made;
}

bst_result bst_hn_key_remove(struct bst_se *se, uint8_t id)
{
    bst_key key;
    BST_TRY(find_id(se, id, &key));
    if (!key) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no home network key with id %u", (unsigned)id);
    }
    return bst_se_key_delete(se, key);
}

/* ---- opening ---- */

static bst_result find_key(const struct bst_sidf *sidf, const struct bst_suci *suci, bst_key *ret)
{
    for (size_t i = 0; i < sidf->n; i++) {
        const struct bst_hn_key *key = &sidf->keys[i];
        if (key->id == suci->key_id && key->scheme == suci->scheme) {
            if (!valid_at(key, sidf->wall_us())) {
                BST_FAIL(BST_E_EXPIRED, "key %u is not valid now", (unsigned)key->id);
            }
            *ret = key->key;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_NOT_FOUND, "there is no key %u for scheme %u", (unsigned)suci->key_id,
             (unsigned)suci->scheme);
}

static bst_result open_output(const struct bst_sidf *sidf, const struct bst_suci *suci,
                              struct bst_buf *ret)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(suci->scheme);
    bst_key key = 0;
    if (!scheme) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "scheme %u is not part of this build",
                 (unsigned)suci->scheme);
    }
    if (scheme->keyed) {
        BST_TRY(find_key(sidf, suci, &key));
    } else if (!sidf->allow_null) {
        BST_FAIL(BST_E_DENIED, "the null scheme is not allowed here");
    }
    return scheme->reveal(scheme, sidf->se, key, bst_buf_view(&suci->output), ret);
}

static bst_result reveal(const struct bst_sidf *sidf, const struct bst_suci *suci,
                         struct bst_supi *ret)
{
    struct bst_supi supi = {.type = suci->type};
    bst_auto(buf) input = {0};
    memcpy(supi.mcc, suci->mcc, sizeof supi.mcc);
    memcpy(supi.mnc, suci->mnc, sizeof supi.mnc);
    memcpy(supi.realm, suci->realm, sizeof supi.realm);
    bst_result opened = open_output(sidf, suci, &input);
    if (!bst_failed(opened)) {
        opened = bst_supi_take_input(bst_buf_view(&input), &supi);
    }
    bst_buf_wipe(&input);
    BST_TRY(opened);
    *ret = supi;
    return BST_OK;
}

/* An environment that is gone says nothing about the SUCI. */
static bool is_absence(bst_result r)
{
    enum bst_class cls = bst_error_class(r.code);
    return cls == BST_CLASS_BUSY || cls == BST_CLASS_IO || r.code == BST_E_SE_BLOCKED;
}

bst_result bst_sidf_reveal(const struct bst_sidf *sidf, const struct bst_suci *suci,
                           struct bst_supi *ret)
{
    bst_result opened = reveal(sidf, suci, ret);
    if (is_absence(opened)) {
        return opened;
    }
    if (bst_failed(opened)) {
        bst_log(BST_LOG_INFO, "suci.refused", "%s: %s", bst_error_name(opened.code),
                bst_error_detail());
        BST_FAIL(BST_E_CREDENTIAL, "the SUCI does not open");
    }
    return BST_OK;
}
