/* Profiles of clients: one JSON file by a table of members, keys by label, TLS clients from both.
 */
#include "app/profile.h"

#include "app/se_uri.h"
#include "codec/json.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <stdio.h>

#define PROFILE_FILE "profile.json"
#define PROFILE_BYTES_MAX 65536

static const struct {
    const char *name;
    size_t offset;
} members[] = {
#define MEMBER(m)                                                                                  \
    {                                                                                              \
#m, offsetof(struct bst_profile, m)                                                        \
    }
    MEMBER(originator),  MEMBER(sp_domain), MEMBER(cse_id),      MEMBER(cse_name),
    MEMBER(cse_address), MEMBER(cse_fqdn),  MEMBER(cse_psk),     MEMBER(mef_address),
    MEMBER(mef_fqdn),    MEMBER(mef_psk),   MEMBER(tls_profile), MEMBER(se_uri),
    MEMBER(tls_key),
#undef MEMBER
};
#define MEMBERS (sizeof members / sizeof members[0])

static const char *const kind_names[] = {"none", "lab", "psk", "certificate"};

static char **member(const struct bst_profile *profile, size_t i)
{
    return (char **)(void *)((char *)(uintptr_t)profile + members[i].offset);
}

void bst_profile_clear(struct bst_profile *profile)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        bst_free(*member(profile, i));
    }
    bst_free(profile->folder);
    *profile = (struct bst_profile){0};
}

bst_result bst_profile_set(char **field, struct bst_view value)
{
    char *copy = bst_strndup(value.ptr, value.len);
    BST_ENSURE(copy, BST_E_NOMEM);
    bst_free(*field);
    *field = copy;
    return BST_OK;
}

bst_result bst_profile_init(struct bst_profile *ret, const char *folder)
{
    *ret = (struct bst_profile){0};
    bool whole = (ret->folder = bst_strdup(folder)) != NULL;
    for (size_t i = 0; i < MEMBERS; i++) {
        *member(ret, i) = bst_strdup("");
        whole = whole && *member(ret, i);
    }
    if (!whole) {
        bst_profile_clear(ret);
        return bst_error(BST_E_NOMEM);
    }
    return BST_OK;
}

bst_result bst_profile_path(const struct bst_profile *profile, const char *name, char *out,
                            size_t cap)
{
    int len = snprintf(out, cap, "%s/%s", profile->folder, name);
    return len < 0 || (size_t)len >= cap ? bst_error(BST_E_TOO_LONG) : BST_OK;
}

static bst_result read_kind(const yyjson_val *root, enum bst_profile_kind *ret)
{
    struct bst_view text;
    BST_TRY(bst_json_string(root, "kind", &text));
    for (unsigned i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++) {
        if (bst_view_is(text, kind_names[i])) {
            *ret = (enum bst_profile_kind)i;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_VALUE, "kind '%.*s' is none of none, lab, psk, certificate",
             BST_VIEW_ARGS(text));
}

static bst_result read_members(struct bst_view text, struct bst_profile *profile)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    BST_TRY(bst_json_parse(&arena, text, 4, &root));
    BST_TRY(read_kind(root, &profile->kind));
    for (size_t i = 0; i < MEMBERS; i++) {
        struct bst_view value = {"", 0};
        BST_TRY(bst_json_opt_string(root, members[i].name, &value));
        BST_TRY(bst_profile_set(member(profile, i), value));
    }
    return BST_OK;
}

bst_result bst_profile_load(const char *folder, struct bst_profile *ret)
{
    bst_auto(profile) profile = {0};
    bst_auto(buf) text = {0};
    char path[4096];
    BST_TRY(bst_profile_init(&profile, folder));
    BST_TRY(bst_profile_path(&profile, PROFILE_FILE, path, sizeof path));
    bst_result r = bst_file_read(path, PROFILE_BYTES_MAX, &text);
    if (r.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no profile in %s", folder);
    }
    BST_TRY(r);
    r = read_members(bst_buf_view(&text), &profile);
    if (bst_failed(r)) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(r.code, "%s: %s", path, why);
    }
    *ret = profile;
    profile = (struct bst_profile){0};
    return BST_OK;
}

bst_result bst_profile_save(const struct bst_profile *profile)
{
    bst_auto(buf) out = {0};
    char path[4096];
    bst_buf_addf(&out, "{\n  \"kind\": \"%s\"", kind_names[profile->kind]);
    for (size_t i = 0; i < MEMBERS; i++) {
        bst_buf_addf(&out, ",\n  \"%s\": ", members[i].name);
        bst_buf_add_json(&out, bst_view(*member(profile, i)));
    }
    bst_buf_adds(&out, "\n}\n");
    BST_TRY(bst_buf_check(&out));
    BST_TRY(bst_dir_make(profile->folder, 0700));
    BST_TRY(bst_profile_path(profile, PROFILE_FILE, path, sizeof path));
    return bst_file_write_atomic(path, bst_buf_view(&out), 0600);
}

static int64_t se_clock(void *ctx)
{
    return bst_wall_us();
}

/* Where the keys are: the place of the profile, or below its folder. */
static bst_result open_own(const struct bst_profile *profile, const struct bst_se_host *host,
                           struct bst_se **ret)
{
    char folder[4096];
    bst_auto(buf) uri = {0};
    BST_TRY(bst_profile_path(profile, "se", folder, sizeof folder));
    BST_TRY(bst_dir_make(folder, 0700));
    bst_buf_adds(&uri, "se:soft?dir=");
    bst_percent_add(&uri, bst_view(folder), "/");
    bst_buf_addc(&uri, '\0');
    BST_TRY(bst_buf_check(&uri));
    return bst_se_open(host, uri.ptr, ret);
}

bst_result bst_profile_se(const struct bst_profile *profile, struct bst_se **ret)
{
    struct bst_se_host host;
    bst_se_host_file(&host, se_clock);
    if (!profile->se_uri[0]) {
        return open_own(profile, &host, ret);
    }
    bst_result r = bst_se_open(&host, profile->se_uri, ret);
    if (bst_failed(r)) {
        char why[400];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(r.code, "the keys of %s are in %.*s, which cannot be used: %s", profile->folder,
                 BST_VIEW_ARGS(bst_se_uri_name(profile->se_uri)),
                 why[0] ? why : bst_error_text(r.code));
    }
    return BST_OK;
}

const char *bst_profile_tls_label(const struct bst_profile *profile)
{
    return profile->tls_key[0] ? profile->tls_key : BST_PROFILE_KEY_TLS;
}

bst_result bst_profile_psk_label(const char *identity, char out[BST_KEY_LABEL_MAX + 1])
{
    int len = snprintf(out, BST_KEY_LABEL_MAX + 1, "%s%s", BST_PROFILE_PSK_PREFIX, identity);
    if (len < 0 || len > BST_KEY_LABEL_MAX || strlen(identity) > BST_TLS_IDENTITY_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "a key identity has at most %d octets", BST_TLS_IDENTITY_MAX);
    }
    return BST_OK;
}

bst_result bst_profile_add_psk(struct bst_se *se, const char *identity,
                               const struct bst_secret *key, bst_key *ret)
{
    char label[BST_KEY_LABEL_MAX + 1];
    BST_TRY(bst_profile_psk_label(identity, label));
    return bst_se_key_import(se,
                             &(struct bst_key_attrs){.type = BST_KEY_SYMMETRIC,
                                                     .uses = BST_KEY_USE_PSK | BST_KEY_USE_DERIVE,
                                                     .label = label,
                                                     .persistent = true},
                             key, ret);
}

static bst_result find_key(struct bst_se *se, const char *label, bst_key *ret)
{
    BST_TRY(bst_se_key_find(se, label, ret));
    if (!*ret) {
        struct bst_se_about about;
        bst_se_about(se, &about);
        BST_FAIL(BST_E_NOT_FOUND, "the profile's environment (%s%s%s) has no key '%s'", about.kind,
                 about.name[0] ? " " : "", about.name, label);
    }
    return BST_OK;
}

static bst_result psk_client(struct bst_se *se, const char *identity,
                             struct bst_tls_client_config *config)
{
    char label[BST_KEY_LABEL_MAX + 1];
    BST_TRY(bst_profile_psk_label(identity, label));
    config->psk_identity = bst_view(identity);
    return find_key(se, label, &config->psk_key);
}

/* ca.pem into `trust`; a profile of a pre-shared key may go without. */
static bst_result load_trust(const struct bst_profile *profile, struct bst_trust **ret)
{
    bst_auto(buf) pem = {0};
    char path[4096];
    BST_TRY(bst_profile_path(profile, "ca.pem", path, sizeof path));
    bst_result r = bst_file_read(path, PROFILE_BYTES_MAX, &pem);
    if (r.code == BST_E_NOT_FOUND) {
        *ret = NULL;
        return BST_OK;
    }
    BST_TRY(r);
    struct bst_trust *trust;
    BST_TRY(bst_trust_new(BST_CRL_ALLOW_MISSING, &trust));
    r = bst_trust_add_anchors(trust, bst_buf_view(&pem));
    if (bst_failed(r)) {
        bst_trust_drop(&trust);
        return r;
    }
    *ret = trust;
    return BST_OK;
}

static bst_result cert_client(const struct bst_profile *profile, struct bst_se *se,
                              struct bst_tls_credential *credential, struct bst_buf *pem)
{
    char path[4096];
    BST_TRY(bst_profile_path(profile, "cert.pem", path, sizeof path));
    BST_TRY(bst_file_read(path, PROFILE_BYTES_MAX, pem));
    credential->chain_pem = bst_buf_view(pem);
    return find_key(se, bst_profile_tls_label(profile), &credential->key);
}

static const char *tls_profile_name(const struct bst_profile *profile, enum bst_profile_peer peer)
{
    if (peer == BST_PROFILE_MEF) {
        return "onem2m-tls12";
    }
    return profile->tls_profile[0] ? profile->tls_profile : "onem2m";
}

static bst_result tls_client(const struct bst_profile *profile, struct bst_se *se,
                             enum bst_profile_peer peer, struct bst_trust *trust,
                             struct bst_tls_client **ret)
{
    bool mef = peer == BST_PROFILE_MEF;
    const char *fqdn = mef ? profile->mef_fqdn : profile->cse_fqdn;
    const char *psk = mef ? profile->mef_psk : profile->cse_psk;
    struct bst_tls_name expect = {mef ? BST_CERT_FQDN : BST_CERT_CSE, bst_view(fqdn)};
    struct bst_tls_credential credential = {0};
    bst_auto(buf) pem = {0};
    struct bst_tls_client_config config = {
        .profile = bst_tls_profile_find(bst_view(tls_profile_name(profile, peer))),
        .se = se,
        .trust = trust,
        .server_name = fqdn[0] ? fqdn : NULL,
        .expect = &expect,
        .n_expect = fqdn[0] ? 1 : 0,
        .resume = true,
        .wall_us = bst_wall_us,
    };
    if (!config.profile) {
        BST_FAIL(BST_E_CONFIG, "there is no TLS profile '%s'", tls_profile_name(profile, peer));
    }
    if (psk[0] && (mef || profile->kind == BST_PROFILE_PSK)) {
        BST_TRY(psk_client(se, psk, &config));
    } else {
        BST_TRY(cert_client(profile, se, &credential, &pem));
        config.credential = &credential;
    }
    return bst_tls_client_new(&config, ret);
}

bst_result bst_profile_tls(const struct bst_profile *profile, struct bst_se *se,
                           enum bst_profile_peer peer, struct bst_tls_client **ret)
{
    *ret = NULL;
    if (peer == BST_PROFILE_CSE && profile->kind == BST_PROFILE_LAB) {
        return BST_OK;
    }
    if (peer == BST_PROFILE_CSE && profile->kind == BST_PROFILE_NONE) {
        BST_FAIL(BST_E_CREDENTIAL,
                 "this profile has no credential for the CSE yet: enrol it first, "
                 "as with 'bastide device enrol --profile %s'",
                 profile->folder);
    }
    struct bst_trust *trust;
    BST_TRY(load_trust(profile, &trust));
    bst_result r = tls_client(profile, se, peer, trust, ret);
    bst_trust_drop(&trust);
    return r;
}
