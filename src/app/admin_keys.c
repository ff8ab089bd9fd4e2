/* The administrative command that gives the server a new key: made inside, certified by the project
 * CA, in use without a restart. */
#include "app/admin_priv.h"

#include "app/rotate.h"

#define CERTIFICATE_LIFE_US (INT64_C(730) * 86400 * BST_US_PER_S)

struct rotating {
    struct admin *a;
    enum bst_state_key which;
    const char *file, *fqdn;
    enum bst_cert_flavour flavour;
    bool drop;
    struct bst_rotation rotation;
};

static bst_result read_which(struct admin *a, struct rotating *r)
{
    const struct bst_server *server = a->server;
    const struct bst_config *config = server->config;
    const struct rotating rows[] = {
        {a, BST_STATE_KEY_CSE, config->cse.certificate, server->cse_fqdn, BST_CERT_CSE, false, {0}},
        {a,
         BST_STATE_KEY_MEF,
         config->mef.certificate,
         server->mef_fqdn,
         BST_CERT_FQDN,
         false,
         {0}},
    };
    struct bst_view label;
    BST_TRY(bst_json_string(a->args, "label", &label));
    *r = rows[bst_view_is(label, "mef.tls")];
    if (!bst_view_is(label, "cse.tls") && !bst_view_is(label, "mef.tls")) {
        BST_FAIL(BST_E_VALUE,
                 "the server's own keys that can be rotated are cse.tls and mef.tls, not '%.*s'",
                 BST_VIEW_ARGS(label));
    }
    return bst_json_opt_bool(a->args, "drop", &r->drop);
}

/* A certificate of somebody else's CA is not replaced by one of ours. */
static bst_result need_own_certificate(const struct rotating *r)
{
    struct bst_server *server = r->a->server;
    bst_auto(buf) pem = {0};
    bst_auto_cert *cert = NULL;
    bst_auto_free struct bst_issued *items = NULL;
    struct bst_cert_facts facts;
    size_t n;
    BST_TRY(server_ca_need(server));
    BST_TRY(bst_state_read(server->state, r->file, &pem));
    BST_TRY(bst_cert_load(bst_buf_view(&pem), &cert));
    BST_TRY(bst_cert_facts(cert, &facts));
    BST_TRY(bst_ca_list(server->state, &items, &n));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(items[i].serial, facts.serial) == 0) {
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_DENIED,
             "%s was not issued by the project CA: make a key beside it with 'bastide key generate "
             "URI LABEL.2', have 'bastide key csr' signed, put the certificate in place and reload",
             r->file);
}

static bst_result certify_fresh(struct rotating *r, struct bst_se *se)
{
    struct bst_server *server = r->a->server;
    bst_auto(buf) spki = {0};
    bst_auto(buf) pem = {0};
    char path[BST_PATH_MAX];
    struct bst_ca_order order = {.flavour = r->flavour,
                                 .name = bst_view(r->fqdn),
                                 .role = BST_CERT_ANY_ROLE,
                                 .lifetime_us = CERTIFICATE_LIFE_US};
    BST_TRY(bst_se_key_public(se, r->rotation.fresh, &spki));
    BST_TRY(bst_ca_issue(server->state, server->pki, &order, bst_buf_view(&spki), &pem));
    BST_TRY(bst_state_path(server->state->folder, r->file, path));
    return bst_file_write_atomic(path, bst_buf_view(&pem), 0644);
}

/* The certificate is in use before the labels change: there is no moment without a key for it. */
static bst_result rotate_in(struct rotating *r, const struct bst_state_place *place)
{
    BST_TRY(bst_rotation_begin(place->se, place->label, 0, &r->rotation));
    BST_TRY(certify_fresh(r, place->se));
    BST_TRY(server_reload(r->a->server));
    BST_TRY(bst_rotation_end(&r->rotation, r->drop));
    return server_reload(r->a->server);
}

bst_result admin_key_rotate(struct admin *a)
{
    struct rotating r;
    struct bst_state_place place;
    BST_TRY(read_which(a, &r));
    BST_TRY(need_own_certificate(&r));
    BST_TRY(bst_state_place(a->server->state, a->server->config, r.which, false, &place));
    bst_result done = rotate_in(&r, &place);
    bst_state_place_clear(&place);
    BST_TRY(done);
    BST_TRY(admin_record(a, "key.rotated", bst_view(r.rotation.label), bst_view(r.fqdn),
                         bst_view(r.rotation.kept)));
    bst_buf_addc(a->out, '{');
    admin_member(a->out, "rotated", bst_view(r.rotation.label));
    admin_member(a->out, "kept", bst_view(r.rotation.kept));
    admin_member(a->out, "certificate", bst_view(r.file));
    bst_buf_addc(a->out, '}');
    return BST_OK;
}
