/* The project CA while the server runs: own certificates follow its root, and former roots end at
 * their time. */
#include "app/ca_rotate.h"
#include "app/server_priv.h"

#include "obs/log.h"
#include "sys/clock.h"

#include <stdio.h>

#define CERTIFICATE_LIFE_US (INT64_C(730) * 86400 * BST_US_PER_S)

bst_result server_ca_open(struct bst_server *server)
{
    bst_result r = bst_ca_reopen(server->state, server->config, &server->pki);
    if (bst_error_class(r.code) == BST_CLASS_BUSY) {
        bst_log(BST_LOG_WARN, "ca.gone", "until it is back, the project CA cannot sign: %s",
                bst_error_detail());
        return BST_OK;
    }
    /* A server may live without a CA of its own. */
    return r.code == BST_E_NOT_FOUND && !server->pki ? BST_OK : r;
}

bst_result server_ca_need(struct bst_server *server)
{
    bst_result r =
        server->pki ? BST_OK : bst_ca_reopen(server->state, server->config, &server->pki);
    if (r.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_NOT_FOUND, "this state folder has no project CA");
    }
    return r;
}

/* The administrator's profile on this machine trusts what everybody is told to trust. */
static bst_result settle_admin(struct bst_server *server)
{
    bst_auto(buf) roots = {0};
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(server->state->folder, "admin/ca.pem", path));
    if (!bst_file_exists(path)) {
        return BST_OK;
    }
    BST_TRY(bst_pki_roots(server->pki, &roots));
    return bst_file_write_atomic(path, bst_buf_view(&roots), 0644);
}

bst_result server_ca_settle(struct bst_server *server)
{
    const struct bst_config *config = server->config;
    const struct {
        const char *file;
        struct bst_view common_name;
    } own[] = {{config->cse.certificate, {0}},
               {config->mef.certificate, {0}},
               {"admin/cert.pem", bst_view(config->cse.admin)}};
    bool ours;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        BST_TRY(bst_ca_renew_own(server->state, server->pki, own[i].file, own[i].common_name,
                                 CERTIFICATE_LIFE_US, &ours));
        if (!ours) {
            bst_log(BST_LOG_WARN, "ca.foreign",
                    "%s is not of the project CA: it stays as it is, whoever issued it",
                    own[i].file);
        }
    }
    return settle_admin(server);
}

static bst_result retire(struct bst_server *server, size_t keep)
{
    size_t n = bst_pki_former(server->pki);
    char detail[64];
    /* No own certificate is of a root that goes; then none leads to it. */
    BST_TRY(server_ca_settle(server));
    BST_TRY(bst_ca_retire(server->state, server->config, keep, &server->pki));
    BST_TRY(server_ca_settle(server));
    snprintf(detail, sizeof detail, "%zu former roots", n - keep);
    struct bst_audit_event event = {.event = "ca.retired",
                                    .subject = BST_VIEW("administrator"),
                                    .target = BST_VIEW(BST_CA_FILE),
                                    .decision = BST_VIEW("done"),
                                    .detail = bst_view(detail)};
    return bst_audit_write(server->state->audit, &event);
}

bst_result server_ca_retire(struct bst_server *server, size_t keep)
{
    BST_TRY(retire(server, keep));
    BST_TRY(server_reload(server));
    return server_ca_watch(server);
}

bst_result server_ca_watch(struct bst_server *server)
{
    size_t keep;
    int64_t next;
    if (!server->pki) {
        return BST_OK;
    }
    BST_TRY(bst_ca_due(server->state, server->pki, bst_wall_us(), &keep, &next));
    atomic_store(&server->ca_until_us, next);
    return keep < bst_pki_former(server->pki) ? server_ca_retire(server, keep) : BST_OK;
}
