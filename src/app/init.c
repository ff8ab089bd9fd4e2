/* Making a state folder: keys, project CA, certificates of CSE and MEF, the administrator's
 * profile, configuration. The marker file comes last: what has none was not finished. */
#include "app/issued.h"
#include "app/profile.h"
#include "app/state_priv.h"

#include "crypto/rand.h"
#include "sys/clock.h"

#include <stdio.h>
#include <sys/stat.h>

/* Certificates of this machine's own servers and administrator. */
#define CERTIFICATE_LIFE_US (INT64_C(730) * 86400 * BST_US_PER_S)

static void tell(const struct bst_init_report *report, const char *what, const char *where)
{
    if (report && report->step) {
        report->step(report->ctx, what, where);
    }
}

static bst_result make_key(struct bst_se *se, const char *label, bst_key *ret)
{
    return bst_se_key_generate(
        se,
        &(struct bst_key_attrs){
            .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = label, .persistent = true},
        ret);
}

static bst_result make_audit_key(struct bst_state *state)
{
    bst_auto(buf) spki = {0};
    bst_auto(buf) pem = {0};
    char path[BST_PATH_MAX];
    BST_TRY(make_key(state->se, "audit.sign", &state->audit_key));
    BST_TRY(bst_se_key_public(state->se, state->audit_key, &spki));
    BST_TRY(bst_der_to_pem("PUBLIC KEY", bst_buf_view(&spki), &pem));
    BST_TRY(bst_state_path(state->folder, "audit.pub", path));
    return bst_file_write_atomic(path, bst_buf_view(&pem), 0644);
}

/* Secret so that resource identifiers do not tell how many there are. */
static bst_result make_id_key(struct bst_state *state)
{
    char path[BST_PATH_MAX];
    uint8_t bytes[32];
    BST_TRY(bst_random(bytes, sizeof bytes));
    BST_TRY(bst_state_path(state->folder, "store/id.key", path));
    return bst_file_write_atomic(path, bst_view_of(bytes, sizeof bytes), 0600);
}

static bst_result make_folders(const char *folder)
{
    static const char *const names[] = {"", "se", "store", "pki", "run"};
    char path[BST_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        BST_TRY(bst_state_path(folder, names[i], path));
        BST_TRY(bst_dir_make(path, 0700));
    }
    return BST_OK;
}

/* The key of a server where it shall be: one that is there already, by its maker's tools, is taken.
 */
static bst_result server_public(struct bst_state *state, enum bst_state_key which,
                                struct bst_buf *ret_spki)
{
    struct bst_state_place place;
    bst_key key = 0;
    BST_TRY(bst_state_place(state, &state->config, which, false, &place));
    bst_result r = bst_se_key_find(place.se, place.label, &key);
    if (!bst_failed(r) && !key) {
        r = make_key(place.se, place.label, &key);
    }
    if (!bst_failed(r)) {
        r = bst_se_key_public(place.se, key, ret_spki);
    }
    bst_state_place_clear(&place);
    return r;
}

static bst_result make_server(struct bst_state *state, struct bst_pki *pki,
                              enum bst_state_key which, const char *fqdn,
                              enum bst_cert_flavour flavour, const char *file)
{
    bst_auto(buf) spki = {0};
    bst_auto(buf) pem = {0};
    char path[BST_PATH_MAX];
    BST_TRY(server_public(state, which, &spki));
    /* A CSE is a client too: towards MEFs, other CSEs, and targets of notifications. */
    struct bst_ca_order order = {.flavour = flavour,
                                 .name = bst_view(fqdn),
                                 .role = BST_CERT_ANY_ROLE,
                                 .lifetime_us = CERTIFICATE_LIFE_US};
    BST_TRY(bst_ca_issue(state, pki, &order, bst_buf_view(&spki), &pem));
    BST_TRY(bst_state_path(state->folder, file, path));
    return bst_file_write_atomic(path, bst_buf_view(&pem), 0644);
}

static bst_result make_servers(struct bst_state *state, struct bst_pki *pki,
                               const struct bst_init_report *report)
{
    char fqdn[256];
    BST_TRY(bst_state_cse_fqdn(&state->config, fqdn));
    BST_TRY(make_server(state, pki, BST_STATE_KEY_CSE, fqdn, BST_CERT_CSE,
                        state->config.cse.certificate));
    tell(report, "CSE certificate", state->config.cse.certificate);
    BST_TRY(bst_state_mef_fqdn(&state->config, fqdn));
    BST_TRY(make_server(state, pki, BST_STATE_KEY_MEF, fqdn, BST_CERT_FQDN,
                        state->config.mef.certificate));
    tell(report, "MEF certificate", state->config.mef.certificate);
    return BST_OK;
}

/* Where a client on this machine reaches a listener. */
static bst_result dial_address(const struct bst_config_texts *listen, const char *fqdn, int port,
                               char **field)
{
    char text[300];
    const char *address = listen->n ? listen->items[0] : "";
    if (strncmp(address, "0.0.0.0:", 8) == 0) {
        snprintf(text, sizeof text, "127.0.0.1:%s", address + 8);
    } else if (strncmp(address, "[::]:", 5) == 0) {
        snprintf(text, sizeof text, "[::1]:%s", address + 5);
    } else if (address[0]) {
        snprintf(text, sizeof text, "%s", address);
    } else {
        snprintf(text, sizeof text, "%s:%d", fqdn, port);
    }
    return bst_profile_set(field, bst_view(text));
}

bst_result bst_state_profile_peers(const struct bst_config *config, struct bst_profile *ret)
{
    char fqdn[256];
    BST_TRY(bst_profile_set(&ret->sp_domain, bst_view(config->sp_domain)));
    BST_TRY(bst_profile_set(&ret->cse_id, bst_view(config->cse.id)));
    BST_TRY(bst_profile_set(&ret->cse_name, bst_view(config->cse.name)));
    BST_TRY(bst_state_cse_fqdn(config, fqdn));
    BST_TRY(bst_profile_set(&ret->cse_fqdn, bst_view(fqdn)));
    BST_TRY(dial_address(&config->cse.listen, fqdn, 8443, &ret->cse_address));
    BST_TRY(bst_state_mef_fqdn(config, fqdn));
    BST_TRY(bst_profile_set(&ret->mef_fqdn, bst_view(fqdn)));
    return dial_address(&config->mef.listen, fqdn, 8453, &ret->mef_address);
}

/* The administrator is an AE with a certificate, like everyone else. */
static bst_result admin_certificate(struct bst_state *state, struct bst_pki *pki, struct bst_se *se,
                                    struct bst_buf *ret_pem)
{
    bst_key key;
    bst_auto(buf) spki = {0};
    char name[512];
    const struct bst_config *config = &state->config;
    snprintf(name, sizeof name, "//%s%s%s%s", config->sp_domain,
             config->cse.admin[0] == 'S' ? "" : config->cse.id, "/", config->cse.admin);
    BST_TRY(make_key(se, BST_PROFILE_KEY_TLS, &key));
    BST_TRY(bst_se_key_public(se, key, &spki));
    struct bst_ca_order order = {.common_name = bst_view(config->cse.admin),
                                 .flavour = BST_CERT_AE,
                                 .name = bst_view(name),
                                 .role = BST_CERT_ANY_ROLE,
                                 .lifetime_us = CERTIFICATE_LIFE_US};
    return bst_ca_issue(state, pki, &order, bst_buf_view(&spki), ret_pem);
}

static bst_result admin_files(struct bst_state *state, struct bst_pki *pki,
                              const struct bst_profile *profile)
{
    struct bst_se *se = NULL;
    bst_auto(buf) pem = {0};
    char path[BST_PATH_MAX];
    BST_TRY(bst_profile_se(profile, &se));
    bst_result r = admin_certificate(state, pki, se, &pem);
    bst_se_close(&se);
    BST_TRY(r);
    BST_TRY(bst_profile_path(profile, "cert.pem", path, sizeof path));
    BST_TRY(bst_file_write_atomic(path, bst_buf_view(&pem), 0644));
    BST_TRY(bst_profile_path(profile, "ca.pem", path, sizeof path));
    bst_auto(buf) ca = {0};
    BST_TRY(bst_pki_cert(pki, &ca));
    return bst_file_write_atomic(path, bst_buf_view(&ca), 0644);
}

static bst_result make_admin(struct bst_state *state, struct bst_pki *pki)
{
    bst_auto(profile) profile = {0};
    char folder[BST_PATH_MAX];
    BST_TRY(bst_state_path(state->folder, "admin", folder));
    BST_TRY(bst_profile_init(&profile, folder));
    profile.kind = BST_PROFILE_CERT;
    BST_TRY(bst_profile_set(&profile.originator, bst_view(state->config.cse.admin)));
    BST_TRY(bst_state_profile_peers(&state->config, &profile));
    BST_TRY(bst_profile_save(&profile));
    return admin_files(state, pki, &profile);
}

static bst_result make_ca(struct bst_state *state, const struct bst_init_report *report)
{
    struct bst_pki *pki = NULL;
    BST_TRY(bst_ca_create(state, &pki));
    tell(report, "project CA", BST_CA_FILE);
    bst_result r = make_servers(state, pki, report);
    if (!bst_failed(r)) {
        r = make_admin(state, pki);
    }
    bst_pki_close(&pki);
    BST_TRY(r);
    tell(report, "administrator's profile", "admin");
    return BST_OK;
}

static bst_result make_config(struct bst_state *state, const struct bst_init_report *report)
{
    bst_auto(buf) text = {0};
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(state->folder, STATE_CONFIG_FILE, path));
    if (bst_file_exists(path)) {
        return BST_OK;
    }
    bst_buf_adds(&text,
                 "# Configuration of Bastide; 'bastide config reference' explains every option.\n"
                 "# What is not here has its default.\n");
    BST_TRY(bst_config_write_changed(&state->config, &text));
    BST_TRY(bst_file_write_atomic(path, bst_buf_view(&text), 0600));
    tell(report, "configuration", path);
    return BST_OK;
}

static bst_result make_marker(struct bst_state *state)
{
    bst_auto(buf) text = {0};
    char path[BST_PATH_MAX], when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(bst_wall_us(), when);
    bst_buf_addf(&text, "{\"bastide\": 1, \"made\": \"%s\"}\n", when);
    BST_TRY(bst_buf_check(&text));
    BST_TRY(bst_state_path(state->folder, STATE_MARKER_FILE, path));
    return bst_file_write_atomic(path, bst_buf_view(&text), 0600);
}

static bst_result init_parts(struct bst_state *state, const struct bst_state_options *options,
                             const struct bst_init_report *report)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_config(options, &state->config));
    BST_TRY(bst_state_path(state->folder, "se", path));
    if (bst_file_exists(path)) {
        BST_FAIL(BST_E_EXISTS,
                 "%s holds an initialisation that did not finish; remove the folder first",
                 state->folder);
    }
    BST_TRY(make_folders(state->folder));
    tell(report, "state folder", state->folder);
    BST_TRY(bst_state_path(state->folder, "lock", path));
    BST_TRY(bst_lock_take(path, &state->lock));
    BST_TRY(state_se_open(state));
    if (state->config.se.uri[0]) {
        tell(report, "secure environment", state->config.se.uri);
    } else {
        tell(report, "secure environment (software), sealed by", state->config.se.state_key);
    }
    BST_TRY(make_audit_key(state));
    BST_TRY(make_id_key(state));
    BST_TRY(make_ca(state, report));
    BST_TRY(make_config(state, report));
    return make_marker(state);
}

bst_result bst_state_init(const struct bst_state_options *options,
                          const struct bst_init_report *report)
{
    if (bst_state_exists(options->folder)) {
        BST_FAIL(BST_E_EXISTS, "%s was initialised before; to begin anew, move it away first",
                 options->folder);
    }
    umask(0077);
    struct bst_state *state = state_new(options->folder);
    BST_ENSURE(state, BST_E_NOMEM);
    bst_result r = init_parts(state, options, report);
    bst_state_close(&state);
    return r;
}
