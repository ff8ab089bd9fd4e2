/* Where the keys of the process itself are: each has an address of its own, or that of the state.
 */
#include "app/se_uri.h"
#include "app/state_priv.h"

#include "crypto/x509.h"

#include <stdio.h>

/* Keys of one label and its suffixes that are looked at. */
#define CANDIDATES_MAX 64

void bst_state_place_clear(struct bst_state_place *place)
{
    bst_se_close(&place->se);
}

static const char *label_of(enum bst_state_key which)
{
    static const char *const labels[BST_STATE_KEYS] = {"cse.tls", "mef.tls", "pki.ca"};
    return labels[which];
}

const char *state_key_address(const struct bst_config *config, enum bst_state_key which)
{
    const char *const own[BST_STATE_KEYS] = {config->cse.key_uri, config->mef.key_uri,
                                             config->pki.ca_uri};
    return own[which][0] ? own[which] : config->se.uri;
}

/* A folder of software or of a TPM has one writer: it is never opened twice. A token may be, to see
 * what other programs did on it. */
static bool is_shared(const struct bst_state *state, const char *uri, bool anew)
{
    bool token = bst_view_starts(bst_view(uri), BST_VIEW("pkcs11:"));
    return uri[0] == '\0' || (strcmp(uri, state->config.se.uri) == 0 && !(token && anew));
}

static bst_result open_filtered(const struct bst_state *state, const char *uri, struct bst_se **ret)
{
    struct bst_se *se = NULL;
    BST_TRY(bst_se_open(&state->file_host, uri, &se));
    bst_result added = state_filters_add(state, se);
    if (bst_failed(added)) {
        bst_se_close(&se);
        return added;
    }
    *ret = se;
    return BST_OK;
}

bst_result state_place_at(const struct bst_state *state, const char *address,
                          enum bst_state_key which, bool anew, struct bst_state_place *ret)
{
    struct bst_state_place place = {0};
    bst_auto(buf) uri = {0};
    snprintf(place.label, sizeof place.label, "%s", label_of(which));
    if (is_shared(state, address, anew)) {
        BST_TRY(bst_se_hold(state->se, &place.se));
    } else {
        BST_TRY(bst_se_uri_split(address, &uri, place.label));
        BST_TRY(is_shared(state, uri.ptr, anew) ? bst_se_hold(state->se, &place.se)
                                                : open_filtered(state, uri.ptr, &place.se));
    }
    *ret = place;
    return BST_OK;
}

bst_result bst_state_place(const struct bst_state *state, const struct bst_config *config,
                           enum bst_state_key which, bool anew, struct bst_state_place *ret)
{
    return state_place_at(state, state_key_address(config, which), which, anew, ret);
}

/* --- the key of a certificate --------------------------------------------------------------- */

struct candidates {
    const char *label;
    size_t len;
    bst_key keys[CANDIDATES_MAX];
    size_t n;
};

/* "LABEL.1" and the like; the key under the label itself is looked at first. */
static bool collect(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct candidates *c = ctx;
    if (strncmp(attrs->label, c->label, c->len) == 0 && attrs->label[c->len] == '.' &&
        attrs->owner[0] == '\0' && (attrs->uses & BST_KEY_USE_SIGN) && c->n < CANDIDATES_MAX) {
        c->keys[c->n++] = key;
    }
    return true;
}

static bst_result certified_spki(struct bst_view pem, struct bst_buf *ret)
{
    bst_auto_cert *cert = NULL;
    bst_auto_pkey *key = NULL;
    BST_TRY(bst_cert_load(pem, &cert));
    BST_TRY(bst_cert_public_key(cert, &key));
    return bst_pkey_spki(key, ret);
}

bst_result bst_state_place_key(const struct bst_state_place *place, struct bst_view pem,
                               bst_key *ret)
{
    struct candidates c = {.label = place->label, .len = strlen(place->label)};
    bst_auto(buf) wanted = {0};
    BST_TRY(certified_spki(pem, &wanted));
    BST_TRY(bst_se_key_find(place->se, place->label, &c.keys[0]));
    c.n = c.keys[0] ? 1 : 0;
    BST_TRY(bst_se_key_list(place->se, collect, &c));
    for (size_t i = 0; i < c.n; i++) {
        bst_auto(buf) spki = {0};
        BST_TRY(bst_se_key_public(place->se, c.keys[i], &spki));
        if (bst_view_eq(bst_buf_view(&spki), bst_buf_view(&wanted))) {
            *ret = c.keys[i];
            return BST_OK;
        }
    }
    if (c.n == 0) {
        BST_FAIL(BST_E_NOT_FOUND, "the secure environment has no key '%s'", place->label);
    }
    BST_FAIL(BST_E_BAD_KEY,
             "no key '%s' belongs to the certificate: give the key that it was issued for, or "
             "have a new one issued ('bastide key rotate')",
             place->label);
}

bst_result bst_state_place_of(const struct bst_state *state, const struct bst_config *config,
                              enum bst_state_key which, struct bst_view pem,
                              struct bst_state_place *ret)
{
    bst_key key;
    BST_TRY(bst_state_place(state, config, which, false, ret));
    bst_result r = bst_state_place_key(ret, pem, &key);
    if (r.code != BST_E_NOT_FOUND && r.code != BST_E_BAD_KEY) {
        return BST_OK; /* whatever else is wrong is told by whoever uses it */
    }
    bst_state_place_clear(ret);
    return bst_state_place(state, config, which, true, ret);
}
