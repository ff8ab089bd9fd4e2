/* Certificates, CAs and CRLs of the listeners, the configuration, and their replacement while
 * running: on SIGHUP, when a file changes, and when the own CRL is renewed. */
#include "app/issued.h"
#include "app/logging.h"
#include "app/server_priv.h"

#include "obs/log.h"
#include "sys/clock.h"
#include "tls/profile.h"

#include <stdio.h>

static enum bst_crl_policy crl_policy(const struct bst_config *config)
{
    if (strcmp(config->tls.crl_policy, "none") == 0) {
        return BST_CRL_OFF;
    }
    return strcmp(config->tls.crl_policy, "required") == 0 ? BST_CRL_REQUIRE
                                                           : BST_CRL_ALLOW_MISSING;
}

static bst_result add_file(struct bst_server *server, const char *name, struct bst_trust *trust,
                           bst_result (*add)(struct bst_trust *trust, struct bst_view text))
{
    bst_auto(buf) text = {0};
    bst_result r = bst_state_read(server->state, name, &text);
    if (!bst_failed(r)) {
        r = add(trust, bst_buf_view(&text));
    }
    if (bst_failed(r)) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        BST_FAIL(r.code, "%s: %s", name, why[0] ? why : bst_error_text(r.code));
    }
    return BST_OK;
}

static bst_result load_files(struct bst_server *server, struct bst_trust *trust)
{
    const struct bst_config *config = server->config;
    for (size_t i = 0; i < config->tls.ca.n; i++) {
        BST_TRY(add_file(server, config->tls.ca.items[i], trust, bst_trust_add_anchors));
    }
    for (size_t i = 0; i < config->tls.crl.n; i++) {
        BST_TRY(add_file(server, config->tls.crl.items[i], trust, bst_trust_add_crls));
    }
    return BST_OK;
}

bst_result server_trust_load(struct bst_server *server, struct bst_trust **ret)
{
    struct bst_trust *trust;
    BST_TRY(bst_trust_new(crl_policy(server->config), &trust));
    bst_result r = load_files(server, trust);
    if (bst_failed(r)) {
        bst_trust_drop(&trust);
        return r;
    }
    *ret = trust;
    return BST_OK;
}

/* Before there is TLS here, as in a laboratory server, a key is looked for where it lies. */
static bst_result hold_place(struct bst_server *server, enum bst_state_key which,
                             struct bst_state_place *ret)
{
    bst_result r = BST_OK;
    pthread_mutex_lock(&server->places_lock);
    *ret = server->places[which];
    bool open = ret->se != NULL;
    if (open) {
        r = bst_se_hold(server->places[which].se, &ret->se);
    }
    pthread_mutex_unlock(&server->places_lock);
    return open ? r : bst_state_place(server->state, server->config, which, false, ret);
}

static bst_result credential(struct bst_server *server, enum bst_state_key which, const char *file,
                             struct bst_buf *pem, struct bst_tls_credential *ret)
{
    struct bst_state_place place;
    bst_result r = bst_state_read(server->state, file, pem);
    if (bst_failed(r)) {
        BST_FAIL(r.code, "certificate %s: %s", file, bst_error_text(r.code));
    }
    *ret = (struct bst_tls_credential){.chain_pem = bst_buf_view(pem)};
    BST_TRY(hold_place(server, which, &place));
    r = bst_state_place_key(&place, ret->chain_pem, &ret->key);
    if (bst_failed(r)) {
        char why[256];
        snprintf(why, sizeof why, "%s", bst_error_detail());
        bst_state_place_clear(&place);
        BST_FAIL(r.code, "certificate %s: %s", file, why);
    }
    ret->se = place.se;
    return BST_OK;
}

bst_result server_own_credential(struct bst_server *server, struct bst_buf *pem,
                                 struct bst_tls_credential *ret)
{
    return credential(server, BST_STATE_KEY_CSE, server->config->cse.certificate, pem, ret);
}

static bst_result find_profile(const char *name, const struct bst_tls_profile **ret)
{
    *ret = bst_tls_profile_find(bst_view(name));
    if (!*ret) {
        BST_FAIL(BST_E_CONFIG, "there is no TLS profile '%s'", name);
    }
    return BST_OK;
}

/* A ticket may not outlive the welcome of its certificate. */
static bool resume_allowed(void *ctx, const struct bst_cert_facts *leaf)
{
    return leaf->not_after_us > bst_wall_us();
}

static bst_result apply(struct bst_tls_server **slot, const struct bst_tls_server_config *config)
{
    return *slot ? bst_tls_server_replace(*slot, config) : bst_tls_server_new(config, slot);
}

static bst_result apply_cse(struct bst_server *server, struct bst_trust *trust)
{
    bst_auto(buf) pem = {0};
    struct bst_tls_credential own;
    const struct bst_tls_profile *profile;
    struct bst_tls_identity_source psk = server_keys_source(server);
    BST_TRY(find_profile(server->config->tls.profile, &profile));
    BST_TRY(server_own_credential(server, &pem, &own));
    own.server_name = server->cse_fqdn;
    bst_result r = apply(
        &server->cse_tls,
        &(struct bst_tls_server_config){.profile = profile,
                                        .se = server->state->se,
                                        .psk = &psk,
                                        .credentials = &own,
                                        .n_credentials = 1,
                                        .trust = trust,
                                        .ticket_lifetime_s = (uint32_t)server->config->tls.ticket_s,
                                        .wall_us = bst_wall_us,
                                        .resume_allowed = resume_allowed,
                                        .ctx = server});
    bst_se_close(&own.se);
    return r;
}

static bst_result apply_mef(struct bst_server *server, struct bst_trust *trust)
{
    bst_auto(buf) pem = {0};
    struct bst_tls_credential own;
    const struct bst_tls_profile *profile;
    struct bst_tls_identity_source psk = server_mef_source(server);
    if (!server->config->mef.enabled) {
        return BST_OK;
    }
    BST_TRY(find_profile(server->config->tls.mef_profile, &profile));
    BST_TRY(credential(server, BST_STATE_KEY_MEF, server->config->mef.certificate, &pem, &own));
    own.server_name = server->mef_fqdn;
    /* No tickets: every enrolment has its own export (TS-0003 10.3.1). */
    bst_result r = apply(&server->mef_tls, &(struct bst_tls_server_config){.profile = profile,
                                                                           .se = server->state->se,
                                                                           .psk = &psk,
                                                                           .credentials = &own,
                                                                           .n_credentials = 1,
                                                                           .trust = trust,
                                                                           .wall_us = bst_wall_us});
    bst_se_close(&own.se);
    return r;
}

static bst_result load_files_and_keys(struct bst_server *server)
{
    struct bst_trust *trust;
    BST_TRY(server_trust_load(server, &trust));
    bst_result r = apply_cse(server, trust);
    if (!bst_failed(r)) {
        r = apply_mef(server, trust);
    }
    bst_trust_drop(&trust);
    return r;
}

/* --- where the own keys are ----------------------------------------------------------------- */

struct places {
    struct bst_state_place of[SERVER_PLACES];
};

static void places_clear(struct places *places)
{
    for (size_t i = 0; i < SERVER_PLACES; i++) {
        bst_state_place_clear(&places->of[i]);
    }
}

static bst_result place_open(struct bst_server *server, enum bst_state_key which,
                             struct bst_state_place *ret)
{
    const struct bst_config *config = server->config;
    bst_auto(buf) pem = {0};
    if (which == BST_STATE_KEY_MEF && !config->mef.enabled) {
        return BST_OK;
    }
    const char *file =
        which == BST_STATE_KEY_MEF ? config->mef.certificate : config->cse.certificate;
    return bst_failed(bst_state_read(server->state, file, &pem))
               ? bst_state_place(server->state, config, which, false, ret)
               : bst_state_place_of(server->state, config, which, bst_buf_view(&pem), ret);
}

static bst_result places_open(struct bst_server *server, struct places *ret)
{
    struct places places = {0};
    bst_result r = BST_OK;
    for (size_t i = 0; i < SERVER_PLACES && !bst_failed(r); i++) {
        r = place_open(server, (enum bst_state_key)i, &places.of[i]);
    }
    if (bst_failed(r)) {
        places_clear(&places);
        return r;
    }
    *ret = places;
    return BST_OK;
}

static void places_swap(struct bst_server *server, struct places *places)
{
    pthread_mutex_lock(&server->places_lock);
    struct places former;
    memcpy(former.of, server->places, sizeof former.of);
    memcpy(server->places, places->of, sizeof former.of);
    pthread_mutex_unlock(&server->places_lock);
    *places = former;
}

/* Keys of connections under way stay open until these end. */
static bst_result load(struct bst_server *server)
{
    struct places places;
    BST_TRY(places_open(server, &places));
    places_swap(server, &places);
    bst_result r = load_files_and_keys(server);
    if (bst_failed(r)) {
        places_swap(server, &places);
    }
    places_clear(&places);
    return r;
}

bool server_still_trusted(struct bst_server *server, enum front_kind kind,
                          const struct bst_net_peer *peer)
{
    struct bst_tls_server *tls = kind == FRONT_MEF ? server->mef_tls : server->cse_tls;
    return !peer->tls || !tls || bst_tls_still_trusted(peer->endpoint, tls);
}

/* Sessions that would not be accepted any more. All others go on. */
static bool is_out(void *ctx, const struct bst_net_peer *peer)
{
    const struct server_session *session = peer->association;
    return session && !server_still_trusted(ctx, session->kind, peer);
}

/* The old one may be in somebody's hands: it stays until the end. */
static bst_result take_config(struct bst_server *server, const struct bst_config *fresh)
{
    struct bst_config *kept = bst_alloc(sizeof *kept);
    BST_ENSURE(kept, BST_E_NOMEM);
    *kept = *fresh;
    server->former[server->n_former++] = kept;
    server->config = kept;
    return BST_OK;
}

static bst_result reload_config(struct bst_server *server)
{
    bst_auto(config) fresh = {0};
    bst_auto(buf) waiting = {0};
    if (!server->options.configuration || server->n_former == SERVER_FORMER_MAX) {
        return BST_OK;
    }
    BST_TRY(bst_state_config(server->options.configuration, &fresh));
    BST_TRY(bst_config_merge(server->config, &fresh, &waiting));
    BST_TRY(bst_logging_start(&fresh, server->options.verbose));
    BST_TRY(take_config(server, &fresh));
    fresh = (struct bst_config){0};
    if (waiting.len) {
        bst_log(BST_LOG_WARN, "config.needs_restart",
                "changed, but in force only after a restart: %.*s",
                BST_VIEW_ARGS(bst_buf_view(&waiting)));
    }
    return BST_OK;
}

static bst_result reload_all(struct bst_server *server)
{
    BST_TRY(reload_config(server));
    BST_TRY(server_ca_open(server));
    return server->cse_tls ? load(server) : BST_OK; /* a laboratory server has no TLS */
}

bst_result server_reload(struct bst_server *server)
{
    if (!server->loop) {
        return BST_OK; /* a stopped one reads everything at its start */
    }
    bst_result r = reload_all(server);
    if (bst_failed(r)) {
        bst_log(BST_LOG_ERROR, "server.reload_failed", "what is in use stays: %s",
                bst_error_detail());
        return r;
    }
    BST_TRY(bst_http_close_where(server->shared, is_out, NULL, server));
    server_outside_forget(server);
    bst_log(BST_LOG_INFO, "server.reloaded",
            "configuration, certificates, CAs and CRLs were read anew");
    struct bst_audit_event event = {.event = "server.reloaded", .decision = BST_VIEW("done")};
    return bst_audit_write(server->state->audit, &event);
}

/* --- watching ------------------------------------------------------------------------------- */

static void reload_now(struct bst_server *server)
{
    (void)server_reload(server).code; /* it logs why not */
}

void server_reload_later(struct bst_server *server)
{
    server_duty_post(&server->reload);
}

static void on_change(void *user)
{
    server_reload_later(user);
}

static bst_result watch_path(struct bst_server *server, const char *path)
{
    if (server->n_watches >= sizeof server->watches / sizeof server->watches[0]) {
        return BST_OK; /* SIGHUP still works */
    }
    BST_TRY(
        bst_watch_new(server->loop, path, on_change, server, &server->watches[server->n_watches]));
    server->n_watches++;
    return BST_OK;
}

static bst_result watch(struct bst_server *server, const char *name)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(server->state->folder, name, path));
    return watch_path(server, path);
}

static void renew_crl_now(struct bst_server *server)
{
    bst_result r = server_ca_need(server);
    if (!bst_failed(r)) {
        r = bst_pki_crl_renew(server->pki);
    }
    if (bst_failed(r) && r.code != BST_E_NOT_FOUND) {
        bst_log(BST_LOG_ERROR, "pki.crl_failed", "no new CRL could be signed: %s",
                bst_error_detail());
    }
}

/* The own CRL ends after a week: sign a new one each day. */
static void renew_crl(void *user)
{
    struct bst_server *server = user;
    server_duty_post(&server->renew_crl);
}

static void end_former_now(struct bst_server *server)
{
    if (bst_failed(server_ca_watch(server))) {
        bst_log(BST_LOG_ERROR, "ca.retire_failed", "a former root of the CA stays trusted: %s",
                bst_error_detail());
    }
}

/* A former root of the CA ends at the time that was stated. */
static void end_former(void *user)
{
    struct bst_server *server = user;
    int64_t until_us = atomic_load(&server->ca_until_us);
    if (until_us && until_us <= bst_wall_us()) {
        server_duty_post(&server->end_former);
    }
}

void server_trust_init(struct bst_server *server)
{
    server_duty_init(server, &server->reload, reload_now);
    server_duty_init(server, &server->renew_crl, renew_crl_now);
    server_duty_init(server, &server->end_former, end_former_now);
}

bst_result server_trust_start(struct bst_server *server)
{
    const struct bst_config *config = server->config;
    BST_TRY(load(server));
    BST_TRY(server_ca_watch(server));
    if (config->file) {
        BST_TRY(watch_path(server, config->file));
    }
    BST_TRY(watch(server, config->cse.certificate));
    BST_TRY(watch(server, config->mef.certificate));
    for (size_t i = 0; i < config->tls.ca.n; i++) {
        BST_TRY(watch(server, config->tls.ca.items[i]));
    }
    for (size_t i = 0; i < config->tls.crl.n; i++) {
        BST_TRY(watch(server, config->tls.crl.items[i]));
    }
    bst_timer_init(server->loop, &server->crl, renew_crl, server);
    bst_timer_start(&server->crl, INT64_C(86400000), INT64_C(86400000));
    bst_timer_init(server->loop, &server->ca, end_former, server);
    bst_timer_start(&server->ca, 1000, 1000);
    return BST_OK;
}

void server_trust_stop(struct bst_server *server)
{
    bst_timer_stop(&server->crl);
    bst_timer_stop(&server->ca);
    while (server->n_watches > 0) {
        bst_watch_free(&server->watches[--server->n_watches]);
    }
    bst_tls_server_free(&server->cse_tls);
    bst_tls_server_free(&server->mef_tls);
    struct places none = {0};
    places_swap(server, &none);
    places_clear(&none);
}
