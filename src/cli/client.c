/* Profile, TLS and HTTP binding put together for a command that waits for its answer. */
#include "cli/client.h"

#include "app/se_uri.h"
#include "bind/http/http_binding.h"
#include "sys/clock.h"
#include "tls/tls.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* What was answered as busy was not done: it is asked for again, after as long as the answer says.
 */
#define BUSY_TRIES 4
#define BUSY_WAIT_MAX_S 5

static void handshake_failed(void *ctx, const struct bst_http_target *target,
                             const struct bst_tls_failure *why)
{
    struct cli_client *client = ctx;
    snprintf(client->why, sizeof client->why, "%s: %s refused the handshake at %s: %s%s%s",
             target->address, why->side == BST_TLS_SIDE_HERE ? "this side" : "the other side",
             why->step, why->reason, why->remedy[0] ? "; " : "", why->remedy);
}

static bst_result open_http(struct cli_client *client)
{
    struct bst_http_client_config config = {.on_handshake_failed = handshake_failed, .ctx = client};
    BST_TRY(bst_loop_new(&client->loop));
    return bst_http_client_new(client->loop, &config, &client->http);
}

static bst_result take_place(struct bst_profile *profile, const char *se, const char *pin_file)
{
    bst_auto(buf) uri = {0};
    if (!se && !pin_file) {
        return BST_OK;
    }
    if (!se && !profile->se_uri[0]) {
        BST_FAIL(BST_E_USAGE,
                 "the keys of %s are in its own folder, which has no PIN: leave --pin-file out, or "
                 "name another environment with --se",
                 profile->folder);
    }
    BST_TRY(bst_se_uri_settle(se ? se : profile->se_uri, pin_file, true, &uri));
    return bst_profile_set(&profile->se_uri, bst_view(uri.ptr));
}

bst_result cli_client_open_at(const char *folder, const char *se, const char *pin_file,
                              struct cli_client *ret)
{
    *ret = (struct cli_client){0};
    BST_TRY(bst_profile_load(folder, &ret->profile));
    bst_result r = take_place(&ret->profile, se, pin_file);
    if (!bst_failed(r)) {
        r = bst_profile_se(&ret->profile, &ret->se);
    }
    if (!bst_failed(r)) {
        r = open_http(ret);
    }
    if (bst_failed(r)) {
        cli_client_close(ret);
    }
    return r;
}

bst_result cli_client_open(const char *folder, struct cli_client *ret)
{
    return cli_client_open_at(folder, NULL, NULL, ret);
}

static bst_result fill_lab(const char *port, const char *originator, struct bst_profile *profile)
{
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%.8s", port);
    BST_TRY(bst_profile_init(profile, ""));
    profile->kind = BST_PROFILE_LAB;
    BST_TRY(bst_profile_set(&profile->cse_address, bst_view(address)));
    return bst_profile_set(&profile->originator, bst_view(originator));
}

bst_result cli_client_open_lab(const char *port, const char *originator, struct cli_client *ret)
{
    *ret = (struct cli_client){0};
    bst_result r = fill_lab(port, originator, &ret->profile);
    if (!bst_failed(r)) {
        r = open_http(ret);
    }
    if (bst_failed(r)) {
        cli_client_close(ret);
    }
    return r;
}

void cli_client_close(struct cli_client *client)
{
    bst_http_client_free(&client->http);
    for (size_t i = 0; i < 2; i++) {
        bst_tls_client_free(&client->tls[i]);
    }
    bst_loop_free(&client->loop);
    bst_se_close(&client->se);
    bst_profile_clear(&client->profile);
}

bst_result cli_client_target(struct cli_client *client, enum bst_profile_peer peer,
                             struct bst_http_target *ret)
{
    const struct bst_profile *p = &client->profile;
    bool mef = peer == BST_PROFILE_MEF;
    const char *address = mef ? p->mef_address : p->cse_address;
    const char *name = mef ? p->mef_fqdn : p->cse_fqdn;
    if (!address[0]) {
        BST_FAIL(BST_E_CONFIG, "the profile %s has no address of %s", p->folder,
                 mef ? "a MEF (mef_address)" : "a CSE (cse_address)");
    }
    if (!mef && p->kind == BST_PROFILE_NONE) {
        BST_FAIL(BST_E_CREDENTIAL,
                 "%s has no key for the CSE yet: run 'bastide device enrol %s' first", p->folder,
                 p->folder);
    }
    if (!client->tls[peer] && (mef || p->kind != BST_PROFILE_LAB)) {
        BST_TRY(bst_profile_tls(p, client->se, peer, &client->tls[peer]));
    }
    *ret = (struct bst_http_target){address, name[0] ? name : address, client->tls[peer]};
    return BST_OK;
}

static bst_result fill_request(struct cli_client *client, struct bst_m2m_request *req,
                               struct bst_arena *arena)
{
    if (!req->rqi.len) {
        req->rqi = bst_arena_printf(arena, "%lld-%lld-%llu", (long long)getpid(),
                                    (long long)(bst_wall_us() / 1000),
                                    (unsigned long long)++client->serial);
        BST_ENSURE(req->rqi.ptr, BST_E_NOMEM);
    }
    if (!bst_m2m_request_has(req, BST_REQ_FR) && client->profile.originator[0]) {
        req->fr = bst_view(client->profile.originator);
        req->present |= BST_REQ_FR;
    }
    if (!req->rvi.ptr) {
        req->rvi = BST_VIEW("3");
        req->release = BST_RELEASE_3;
    }
    return BST_OK;
}

static bst_result call_once(struct cli_client *client, const struct bst_http_call_spec *spec,
                            struct bst_arena *arena, struct bst_m2m_response *ret)
{
    struct bst_http_msg answer;
    client->why[0] = '\0';
    bst_result r = bst_http_client_call_blocking(client->http, spec, arena, &answer);
    if (bst_failed(r) && client->why[0]) {
        BST_FAIL(r.code, "%s", client->why);
    }
    BST_TRY(r);
    return bst_http_to_response(&answer, arena, ret);
}

/* As long as it asks for, up to a bound: a person waits. */
static void wait_for(unsigned seconds)
{
    struct timespec left = {.tv_sec = seconds < BUSY_WAIT_MAX_S ? seconds : BUSY_WAIT_MAX_S};
    while (nanosleep(&left, &left) != 0) {
    }
}

bst_result cli_client_request(struct cli_client *client, enum bst_profile_peer peer,
                              struct bst_m2m_request *req, struct bst_arena *arena,
                              struct bst_m2m_response *ret)
{
    struct bst_http_call_spec spec = {.timeout_ms = 30000};
    struct bst_http_msg msg = {0};
    BST_TRY(cli_client_target(client, peer, &spec.target));
    BST_TRY(fill_request(client, req, arena));
    BST_TRY(bst_m2m_request_check(req));
    BST_TRY(bst_http_from_request(req, arena, &msg));
    spec.method = msg.method;
    spec.path = msg.target;
    spec.headers = msg.headers;
    spec.n_headers = msg.n_headers;
    spec.body = msg.body;
    BST_TRY(call_once(client, &spec, arena, ret));
    for (int again = 0; ret->retry_s && again < BUSY_TRIES; again++) {
        wait_for(ret->retry_s);
        BST_TRY(call_once(client, &spec, arena, ret));
    }
    return BST_OK;
}

/* Several errors share a status: those of input come first, a peer's 4000 is no wrong usage of
 * ours. */
static enum bst_error error_of(int rsc)
{
    for (int code = BST_E_SYNTAX; code < BST_E_COUNT; code++) {
        if (bst_error_rsc((enum bst_error)code) == rsc) {
            return (enum bst_error)code;
        }
    }
    return rsc == bst_error_rsc(BST_E_NOT_IMPLEMENTED) ? BST_E_NOT_IMPLEMENTED : BST_E_INTERNAL;
}

bst_result cli_client_status(const struct bst_m2m_response *rsp)
{
    if (rsp->rsc < 4000) {
        return BST_OK;
    }
    if (rsp->retry_s) {
        BST_FAIL(BST_E_BUSY, "%d %s: the other side is busy; try again in %u s", rsp->rsc,
                 bst_m2m_rsc_name(rsp->rsc), rsp->retry_s);
    }
    BST_FAIL(error_of(rsp->rsc), "%d %s: %.*s", rsp->rsc, bst_m2m_rsc_name(rsp->rsc),
             BST_VIEW_ARGS(rsp->debug));
}
