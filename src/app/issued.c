/* The CA's record: JSON lines that are only ever added, one for an issue, one for a revocation. */
#include "app/issued.h"

#include "app/ca_keys.h"
#include "app/state_priv.h"

#include "base/time.h"
#include "codec/json.h"
#include "sys/clock.h"

#include <stdio.h>

#define RECORD_FILE "pki/issued.jsonl"
#define RECORD_BYTES_MAX ((size_t)256 << 20)
/* The server signs a new list each day, so that one week covers a long absence. */
#define CRL_LIFE_US (INT64_C(7) * 86400 * BST_US_PER_S)

struct opening {
    struct ca_keys keys;
    char dir[BST_PATH_MAX];
    struct bst_pki_keys source;
    struct bst_state_place place; /* borrowed */
    struct bst_pki_config config;
};

static bst_result find_key(void *ctx, struct bst_view cert, struct bst_se **ret_se, bst_key *ret)
{
    struct bst_state_place place;
    BST_TRY(ca_keys_find(ctx, cert, &place, ret, NULL));
    *ret_se = place.se;
    return BST_OK;
}

static bst_result opening_of(struct bst_state *state, const struct bst_config *config, bool anew,
                             struct opening *ret)
{
    *ret = (struct opening){.keys = {.state = state, .config = config, .anew = anew}};
    ret->source = (struct bst_pki_keys){&ret->keys, find_key};
    BST_TRY(bst_state_path(state->folder, "pki", ret->dir));
    ret->config = (struct bst_pki_config){.host = &state->file_host,
                                          .dir = ret->dir,
                                          .name = "ca",
                                          .label = "pki.ca",
                                          .crl_lifetime_us = CRL_LIFE_US};
    return ca_record_read(state, &ret->keys.record);
}

static bst_result open_at(struct bst_state *state, const struct bst_config *config, bool anew,
                          struct bst_pki **ret)
{
    struct opening opening;
    bst_result r = opening_of(state, config, anew, &opening);
    if (!bst_failed(r)) {
        opening.config.keys = &opening.source;
        r = bst_pki_open(&opening.config, ret);
    }
    ca_record_clear(&opening.keys.record);
    return r;
}

static bst_result open_key(struct bst_state *state, const struct bst_config *config,
                           struct bst_pki **ret)
{
    bst_result r = open_at(state, config, false, ret);
    return r.code == BST_E_CORRUPT ? open_at(state, config, true, ret) : r;
}

bst_result bst_ca_open(struct bst_state *state, struct bst_pki **ret)
{
    return open_key(state, &state->config, ret);
}

bst_result bst_ca_reopen(struct bst_state *state, const struct bst_config *config,
                         struct bst_pki **pki)
{
    struct bst_pki *fresh = NULL;
    BST_TRY(open_key(state, config, &fresh));
    bst_pki_close(pki);
    *pki = fresh;
    return BST_OK;
}

bst_result bst_ca_name(const struct bst_state *state, const char *suffix, char out[65])
{
    /* X.520: a common name has at most 64 characters. */
    int room = 64 - (int)strlen("Bastide project CA of ") - (int)strlen(suffix);
    BST_ENSURE(room > 0, BST_E_TOO_LONG);
    snprintf(out, 65, "Bastide project CA of %.*s%s", room, state->config.sp_domain, suffix);
    return BST_OK;
}

size_t bst_ca_permits(const struct bst_state *state, struct bst_cert_permit out[BST_CA_PERMITS])
{
    struct bst_view domain = bst_view(state->config.sp_domain);
    const struct bst_cert_permit permits[BST_CA_PERMITS] = {
        {BST_CERT_CSE, domain}, {BST_CERT_AE, domain}, {BST_CERT_NODE, BST_VIEW("urn:")}};
    memcpy(out, permits, sizeof permits);
    return BST_CA_PERMITS;
}

static bst_result create_at(struct bst_state *state, struct opening *opening, struct bst_pki **ret)
{
    struct bst_cert_permit permits[BST_CA_PERMITS];
    char name[65];
    size_t n = bst_ca_permits(state, permits);
    BST_TRY(bst_ca_name(state, "", name));
    BST_TRY(ca_keys_place(&opening->keys, state_key_address(&state->config, BST_STATE_KEY_CA),
                          &opening->place));
    opening->config.se = opening->place.se;
    opening->config.label = opening->place.label;
    return bst_pki_create(&opening->config, bst_view(name), permits, n, NULL, CA_LIFE_US, ret);
}

bst_result bst_ca_create(struct bst_state *state, struct bst_pki **ret)
{
    struct opening opening;
    BST_TRY(opening_of(state, &state->config, false, &opening));
    bst_result r = create_at(state, &opening, ret);
    ca_record_clear(&opening.keys.record);
    return r;
}

static bst_result record(const struct bst_state *state, const struct bst_buf *line)
{
    char path[BST_PATH_MAX];
    struct bst_append file = {.fd = -1};
    BST_TRY(bst_buf_check(line));
    BST_TRY(bst_state_path(state->folder, RECORD_FILE, path));
    BST_TRY(bst_append_open(path, 0600, &file));
    bst_result r = bst_append_write(&file, bst_buf_view(line));
    if (!bst_failed(r)) {
        r = bst_append_sync(&file);
    }
    bst_append_clear(&file);
    return r;
}

static bst_result record_issue(const struct bst_state *state, const struct bst_pki *pki,
                               const struct bst_ca_order *order, struct bst_view pem)
{
    bst_auto_cert *cert = NULL;
    bst_auto(buf) line = {0};
    struct bst_cert_facts facts, root;
    bool has_key;
    BST_TRY(bst_cert_load(pem, &cert));
    BST_TRY(bst_cert_facts(cert, &facts));
    BST_TRY(bst_pki_root(pki, 0, &root, &has_key));
    bst_buf_addf(&line, "{\"serial\":\"%s\",\"ca\":\"%s\",\"flavour\":%d,\"ends\":%lld,\"name\":",
                 facts.serial, root.serial, (int)order->flavour, (long long)facts.not_after_us);
    bst_buf_add_json(&line, order->name);
    bst_buf_adds(&line, "}\n");
    return record(state, &line);
}

bst_result bst_ca_issue(struct bst_state *state, struct bst_pki *pki,
                        const struct bst_ca_order *order, struct bst_view spki,
                        struct bst_buf *ret_pem)
{
    bst_auto(buf) pem = {0};
    struct bst_cert_san san = {.flavour = order->flavour, .name = order->name};
    struct bst_view name = order->common_name.len ? order->common_name : order->name;
    struct bst_pki_order made = {
        /* X.520: a common name has at most 64 characters; the name that counts is the other one. */
        .common_name = name.len > 64 ? BST_VIEW("") : name,
        .names = &san,
        .n_names = 1,
        .role = order->role,
        .begin_us = order->begin_us,
        .lifetime_us = order->lifetime_us,
    };
    if (order->name.len >= BST_CERT_NAME_BYTES) {
        BST_FAIL(BST_E_TOO_LONG, "a name in a certificate has at most %d characters",
                 BST_CERT_NAME_BYTES - 1);
    }
    BST_TRY(bst_pki_issue(pki, &made, spki, &pem));
    /* What nobody could revoke must not leave. */
    BST_TRY(record_issue(state, pki, order, bst_buf_view(&pem)));
    bst_buf_addv(ret_pem, bst_buf_view(&pem));
    return bst_pki_chain(pki, ret_pem);
}

/* --- reading -------------------------------------------------------------------------------- */

struct listing {
    struct bst_issued *items;
    size_t n, cap;
};

static bst_result add_item(struct listing *l, const struct bst_issued *item)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        struct bst_issued *items = bst_realloc(l->items, cap * sizeof *items);
        BST_ENSURE(items, BST_E_NOMEM);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = *item;
    return BST_OK;
}

static void mark_revoked(struct listing *l, struct bst_view serial, int64_t when_us)
{
    for (size_t i = 0; i < l->n; i++) {
        if (bst_view_is(serial, l->items[i].serial) && !l->items[i].revoked_us) {
            l->items[i].revoked_us = when_us;
        }
    }
}

static bst_result take_line(struct listing *l, struct bst_arena *arena, struct bst_view line)
{
    yyjson_val *root;
    struct bst_view serial, name = {0}, issuer = {0};
    struct bst_issued item = {0};
    int64_t flavour = 0, revoked = 0;
    BST_TRY(bst_json_parse(arena, line, 3, &root));
    BST_TRY(bst_json_string(root, "serial", &serial));
    BST_TRY(bst_json_opt_i64(root, "revoked", &revoked));
    if (revoked) {
        mark_revoked(l, serial, revoked);
        return BST_OK;
    }
    BST_TRY(bst_json_string(root, "name", &name));
    BST_TRY(bst_json_i64(root, "flavour", &flavour));
    BST_TRY(bst_json_i64(root, "ends", &item.ends_us));
    BST_TRY(bst_json_opt_string(root, "ca", &issuer));
    BST_TRY(bst_view_copy(serial, item.serial, sizeof item.serial));
    BST_TRY(bst_view_copy(issuer, item.issuer, sizeof item.issuer));
    BST_TRY(bst_view_copy(name, item.name, sizeof item.name));
    item.flavour = (enum bst_cert_flavour)flavour;
    return add_item(l, &item);
}

static bst_result read_lines(const struct bst_state *state, struct listing *l)
{
    bst_auto(buf) text = {0};
    bst_auto(arena) arena = {0};
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(state->folder, RECORD_FILE, path));
    bst_result r = bst_file_read(path, RECORD_BYTES_MAX, &text);
    if (r.code == BST_E_NOT_FOUND) {
        return BST_OK;
    }
    BST_TRY(r);
    struct bst_view rest = bst_buf_view(&text), line;
    for (unsigned number = 1; bst_view_cut(&rest, '\n', &line); number++) {
        bst_arena_reset(&arena);
        r = take_line(l, &arena, line);
        if (bst_failed(r)) {
            BST_FAIL(BST_E_CORRUPT, "%s line %u is not one of ours", RECORD_FILE, number);
        }
    }
    return BST_OK;
}

bst_result bst_ca_list(const struct bst_state *state, struct bst_issued **ret, size_t *ret_n)
{
    struct listing l = {0};
    bst_result r = read_lines(state, &l);
    if (bst_failed(r)) {
        bst_free(l.items);
        return r;
    }
    *ret = l.items;
    *ret_n = l.n;
    return BST_OK;
}

/* --- revoking ------------------------------------------------------------------------------- */

static bst_result revoke_one(struct bst_state *state, struct bst_pki *pki,
                             const struct bst_issued *item, int reason)
{
    bst_auto(buf) line = {0};
    BST_TRY(bst_pki_revoke(pki, bst_view(item->issuer), bst_view(item->serial), reason));
    bst_buf_addf(&line, "{\"serial\":\"%s\",\"revoked\":%lld,\"reason\":%d}\n", item->serial,
                 (long long)bst_wall_us(), reason);
    return record(state, &line);
}

bst_result bst_ca_revoke(struct bst_state *state, struct bst_pki *pki, struct bst_view which,
                         int reason, size_t *ret_n)
{
    bst_auto_free struct bst_issued *items = NULL;
    size_t n, known = 0, revoked = 0;
    BST_TRY(bst_ca_list(state, &items, &n));
    for (size_t i = 0; i < n; i++) {
        if (!bst_view_eq_nocase(bst_view(items[i].serial), which) &&
            !bst_view_is(which, items[i].name)) {
            continue;
        }
        known++;
        if (!items[i].revoked_us) {
            BST_TRY(revoke_one(state, pki, &items[i], reason));
            revoked++;
        }
    }
    if (known == 0) {
        BST_FAIL(BST_E_NOT_FOUND, "the CA issued no certificate with serial number or name '%.*s'",
                 BST_VIEW_ARGS(which));
    }
    *ret_n = revoked;
    return BST_OK;
}
