/* A client profile: the key is made in the profile's own secure environment or goes straight into
 * it, and its counterpart to MEF or CA. TS-0003 8.3.2.1 (pre-provisioned key), 8.3.2.2
 * (certificate). */
#include "cli/provision.h"

#include "app/backup.h"
#include "app/profile.h"
#include "app/se_uri.h"
#include "crypto/rand.h"
#include "sec/registration.h"

#include <stdio.h>

struct provision {
    const struct cli_call *call;
    const struct cli_provision *wish;
    struct bst_profile profile;
    struct bst_se *se;
    char ae_id[BST_ENTITY_ID_MAX + 1]; /* absolute */
    bool begun;                        /* the folder is ours to remove */
    bst_key made;
};

/* A running server may have been given any free port. */
static bst_result real_port(const char *list, char **field)
{
    struct bst_view rest = bst_view(list), first;
    if (rest.len == 0) {
        return BST_OK;
    }
    bst_view_cut(&rest, ' ', &first);
    first = bst_view_from(first, strlen("https://"));
    size_t colon = first.len;
    while (colon > 0 && first.ptr[colon - 1] != ':') {
        colon--;
    }
    char address[300];
    size_t host = strlen(*field);
    while (host > 0 && (*field)[host - 1] != ':') {
        host--;
    }
    snprintf(address, sizeof address, "%.*s%.*s", (int)host, *field,
             BST_VIEW_ARGS(bst_view_from(first, colon)));
    return bst_profile_set(field, bst_view(address));
}

static bst_result real_ports(struct provision *p)
{
    bst_auto(buf) text = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(p->call->state, "run/ports.json", path));
    bst_result r = bst_file_read(path, 65536, &text);
    if (r.code == BST_E_NOT_FOUND) {
        return BST_OK;
    }
    BST_TRY(r);
    BST_TRY(bst_json_parse(&arena, bst_buf_view(&text), 3, &root));
    BST_TRY(real_port(cli_text(root, "cse"), &p->profile.cse_address));
    return real_port(cli_text(root, "mef"), &p->profile.mef_address);
}

static bst_result name_it(struct provision *p, const struct bst_config *config)
{
    char stem[BST_STEM_MAX + 1];
    struct bst_entity_id id;
    struct bst_self self = {bst_view(config->sp_domain), bst_view(config->cse.id + 1)};
    int len = p->wish->stem ? snprintf(stem, sizeof stem, "%s", p->wish->stem)
                            : snprintf(stem, sizeof stem, "C%s", p->wish->name);
    if (len < 2 || (size_t)len >= sizeof stem || (stem[0] != 'C' && stem[0] != 'S')) {
        BST_FAIL(BST_E_VALUE, "an AE-ID-Stem begins with C or S and has at most %d characters",
                 BST_STEM_MAX);
    }
    BST_TRY(bst_entity_parse(&self, bst_view(stem), &id));
    BST_TRY(bst_view_copy(bst_entity_abs(&id), p->ae_id, sizeof p->ae_id));
    return bst_profile_set(&p->profile.originator, bst_view(stem));
}

/* An environment may serve several profiles: the label of each one's private key is its own. */
static bst_result place_keys(struct provision *p)
{
    bst_auto(buf) uri = {0};
    bst_auto(buf) label = {0};
    if (!p->wish->se) {
        return BST_OK;
    }
    BST_TRY(bst_se_uri_settle(p->wish->se, p->wish->pin_file, true, &uri));
    BST_TRY(bst_profile_set(&p->profile.se_uri, bst_view(uri.ptr)));
    bst_buf_addf(&label, "%s.%s", BST_PROFILE_KEY_TLS, p->profile.originator);
    BST_TRY(bst_buf_check(&label));
    return bst_profile_set(&p->profile.tls_key, bst_buf_view(&label));
}

static bst_result describe(struct provision *p)
{
    struct cli_sets sets;
    bst_auto(config) config = {0};
    cli_state_options(p->call, NULL, 0, &sets);
    BST_TRY(bst_state_config(&sets.options, &config));
    BST_TRY(bst_profile_init(&p->profile, p->wish->folder));
    BST_TRY(bst_state_profile_peers(&config, &p->profile));
    BST_TRY(real_ports(p));
    BST_TRY(name_it(p, &config));
    return place_keys(p);
}

static bst_result ask(struct provision *p, const char *op, struct bst_buf *args,
                      struct bst_arena *arena, yyjson_val **ret)
{
    bst_auto(buf) text = {0};
    bst_result r = cli_admin(p->call, op, args, arena, &text, ret);
    bst_buf_wipe(args);
    return r;
}

static bst_result write_file(struct provision *p, const char *name, const char *text)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_profile_path(&p->profile, name, path, sizeof path));
    return bst_file_write_atomic(path, bst_view(text), 0644);
}

static bst_result copy_ca(struct provision *p)
{
    bst_auto(buf) pem = {0};
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(p->call->state, "pki/ca.crt", path));
    BST_TRY(bst_file_read(path, 1 << 20, &pem));
    BST_TRY(bst_profile_path(&p->profile, "ca.pem", path, sizeof path));
    return bst_file_write_atomic(path, bst_buf_view(&pem), 0644);
}

static bst_result with_key(struct provision *p)
{
    bst_auto(secret) key = {0};
    bst_auto(buf) args = {0};
    bst_auto(buf) id = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    BST_TRY(bst_secret_init(&key, 32));
    BST_TRY(bst_random(key.ptr, key.len));
    bst_buf_addf(&id, "%s@%s", p->wish->name, p->profile.mef_fqdn);
    BST_TRY(bst_buf_check(&id));
    BST_TRY(bst_profile_set(&p->profile.mef_psk, bst_buf_view(&id)));
    BST_TRY(bst_profile_add_psk(p->se, p->profile.mef_psk, &key, &p->made));
    cli_arg(&args, "id", p->profile.mef_psk);
    cli_arg(&args, "client", p->ae_id);
    bst_buf_adds(&args, ",\"key\":\"");
    bst_hex_add(&args, bst_view_of(key.ptr, key.len), false);
    bst_buf_addc(&args, '"');
    p->profile.kind = BST_PROFILE_NONE;
    BST_TRY(copy_ca(p));
    return ask(p, "mef-provision", &args, &arena, &answer);
}

static bst_result certify(struct provision *p)
{
    bst_auto(buf) spki = {0};
    bst_auto(buf) spki64 = {0};
    bst_auto(buf) args = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    BST_TRY(bst_se_key_generate(p->se,
                                &(struct bst_key_attrs){.type = BST_KEY_EC_P256,
                                                        .uses = BST_KEY_USE_SIGN,
                                                        .label = bst_profile_tls_label(&p->profile),
                                                        .persistent = true},
                                &p->made));
    BST_TRY(bst_se_key_public(p->se, p->made, &spki));
    bst_base64_add(&spki64, bst_buf_view(&spki));
    bst_buf_addc(&spki64, '\0');
    BST_TRY(bst_buf_check(&spki64));
    cli_arg(&args, "name", p->ae_id);
    cli_arg(&args, "flavour", "ae");
    cli_arg(&args, "from", p->wish->from);
    cli_arg(&args, "until", p->wish->until);
    cli_arg(&args, "spki", spki64.ptr);
    BST_TRY(ask(p, "certify", &args, &arena, &answer));
    BST_TRY(write_file(p, "cert.pem", cli_text(answer, "certificate")));
    return write_file(p, "ca.pem", cli_text(answer, "ca"));
}

static bst_result with_certificate(struct provision *p)
{
    bst_auto(buf) args = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    p->profile.kind = BST_PROFILE_CERT;
    BST_TRY(certify(p));
    if (!p->wish->enrol) {
        return BST_OK;
    }
    cli_arg(&args, "name", p->ae_id);
    cli_arg(&args, "flavour", "ae");
    cli_arg(&args, "client", p->ae_id);
    bst_result r = ask(p, "mef-provision-certificate", &args, &arena, &answer);
    return r.code == BST_E_EXISTS ? BST_OK : r;
}

static bst_result make(struct provision *p)
{
    BST_TRY(describe(p));
    if (bst_file_exists(p->wish->folder)) {
        BST_FAIL(BST_E_EXISTS, "%s is there already", p->wish->folder);
    }
    p->begun = true;
    BST_TRY(bst_dir_make(p->wish->folder, 0700));
    BST_TRY(bst_profile_se(&p->profile, &p->se));
    BST_TRY(p->wish->certificate ? with_certificate(p) : with_key(p));
    return bst_profile_save(&p->profile);
}

/* Nothing is left of a profile that was not made, neither here nor in its environment. */
static void undo(struct provision *p)
{
    char detail[400];
    snprintf(detail, sizeof detail, "%s", bst_error_detail());
    if (p->made) {
        (void)bst_se_key_delete(p->se, p->made).code;
    }
    (void)bst_snapshot_remove(p->wish->folder).code;
    bst_error_set_detail(detail);
}

bst_result cli_provision(const struct cli_call *call, const struct cli_provision *wish)
{
    struct provision p = {.call = call, .wish = wish};
    bst_result r = make(&p);
    if (bst_failed(r) && p.begun) {
        undo(&p);
    }
    bst_se_close(&p.se);
    bst_profile_clear(&p.profile);
    return r;
}
