/* Opening a state folder: lock, configuration, keys, audit trail. Files have mode 0600, folders
 * 0700. */
#include "app/ca_keys.h"
#include "app/state_priv.h"

#include "se/filters.h"
#include "sys/clock.h"

#include <stdio.h>
#include <sys/stat.h>

#define STATE_FILE_MAX ((size_t)1 << 20)
#define CONFIG_SYSTEM "/etc/bastide/bastide.yaml"

bst_result bst_state_path(const char *folder, const char *name, char out[BST_PATH_MAX])
{
    int len = name[0] == '/' ? snprintf(out, BST_PATH_MAX, "%s", name)
                             : snprintf(out, BST_PATH_MAX, "%s/%s", folder, name);
    if (len < 0 || len >= BST_PATH_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "the path of %s below %s is too long", name, folder);
    }
    return BST_OK;
}

bool bst_state_exists(const char *folder)
{
    char path[BST_PATH_MAX];
    return !bst_failed(bst_state_path(folder, STATE_MARKER_FILE, path)) && bst_file_exists(path);
}

bst_result bst_state_read(const struct bst_state *state, const char *name, struct bst_buf *ret)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(state->folder, name, path));
    return bst_file_read(path, STATE_FILE_MAX, ret);
}

bst_result bst_state_cse_fqdn(const struct bst_config *config, char out[256])
{
    /* TS-0001 6.5.1.1: the CSE-ID's public domain name is below that of the service provider. */
    int len = config->cse.fqdn[0]
                  ? snprintf(out, 256, "%s", config->cse.fqdn)
                  : snprintf(out, 256, "%s.%s", config->cse.id + 1, config->sp_domain);
    return len < 256 ? BST_OK : bst_error_detailed(BST_E_TOO_LONG, "the CSE's name is too long");
}

bst_result bst_state_mef_fqdn(const struct bst_config *config, char out[256])
{
    int len = config->mef.fqdn[0] ? snprintf(out, 256, "%s", config->mef.fqdn)
                                  : snprintf(out, 256, "mef.%s", config->sp_domain);
    return len < 256 ? BST_OK : bst_error_detailed(BST_E_TOO_LONG, "the MEF's name is too long");
}

/* --- configuration -------------------------------------------------------------------------- */

static bst_result find_config(const struct bst_state_options *options, char out[BST_PATH_MAX])
{
    if (options->config_file) {
        return snprintf(out, BST_PATH_MAX, "%s", options->config_file) < BST_PATH_MAX
                   ? BST_OK
                   : bst_error(BST_E_TOO_LONG);
    }
    BST_TRY(bst_state_path(options->folder, STATE_CONFIG_FILE, out));
    if (!bst_file_exists(out)) {
        snprintf(out, BST_PATH_MAX, "%s", bst_file_exists(CONFIG_SYSTEM) ? CONFIG_SYSTEM : "");
    }
    return BST_OK;
}

bst_result bst_state_config(const struct bst_state_options *options, struct bst_config *ret)
{
    bst_auto(config) config = {0};
    bst_auto(buf) text = {0};
    char path[BST_PATH_MAX];
    BST_TRY(find_config(options, path));
    if (path[0]) {
        BST_TRY(bst_file_read(path, STATE_FILE_MAX, &text));
        BST_TRY(bst_config_read(bst_buf_view(&text), path, &config));
    } else {
        BST_TRY(bst_config_init(&config));
    }
    for (size_t i = 0; i < options->n_sets; i++) {
        BST_TRY(bst_config_set(&config, bst_view(options->sets[i])));
    }
    BST_TRY(bst_config_check(&config));
    *ret = config;
    config = (struct bst_config){0};
    return BST_OK;
}

int64_t state_wall(void *ctx)
{
    return bst_wall_us();
}

/* --- opening -------------------------------------------------------------------------------- */

bst_result state_se_open(struct bst_state *state)
{
    const char *key = state->config.se.state_key;
    if (state->config.se.uri[0]) {
        return bst_se_open(&state->file_host, state->config.se.uri, &state->se);
    }
    char folder[BST_PATH_MAX], file[BST_PATH_MAX], uri[2 * BST_PATH_MAX + 64];
    BST_TRY(bst_state_path(state->folder, "se", folder));
    BST_TRY(bst_dir_make(folder, 0700));
    if (strncmp(key, "file:", 5) == 0) {
        BST_TRY(bst_state_path(state->folder, key + 5, file));
        snprintf(uri, sizeof uri, "se:soft?dir=%s&key=file:%s", folder, file);
    } else {
        snprintf(uri, sizeof uri, "se:soft?dir=%s&key=%s", folder, key);
    }
    return bst_se_open(&state->file_host, uri, &state->se);
}

static bst_result open_parts(struct bst_state *state, const struct bst_state_options *options)
{
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_config(options, &state->config));
    BST_TRY(bst_state_path(state->folder, "lock", path));
    BST_TRY(bst_lock_take(path, &state->lock));
    BST_TRY(state_se_open(state));
    BST_TRY(state_audit_open(state));
    BST_TRY(bst_se_trail_new(state->audit, &state->trail));
    return state_filters_add(state, state->se);
}

struct bst_state *state_new(const char *folder)
{
    struct bst_state *state = bst_alloc(sizeof *state);
    if (!state || !(state->folder = bst_strdup(folder))) {
        bst_free(state);
        return NULL;
    }
    state->lock.fd = -1;
    state->audit_file.fd = -1;
    pthread_mutex_init(&state->audit_lock, NULL);
    state_hosts_fill(state);
    return state;
}

bst_result bst_state_open(const struct bst_state_options *options, struct bst_state **ret)
{
    if (!bst_state_exists(options->folder)) {
        BST_FAIL(BST_E_NOT_FOUND,
                 "%s is not a state folder of Bastide; 'bastide init --state %s' makes "
                 "one",
                 options->folder, options->folder);
    }
    umask(0077);
    struct bst_state *state = state_new(options->folder);
    BST_ENSURE(state, BST_E_NOMEM);
    bst_result r = open_parts(state, options);
    if (bst_failed(r)) {
        bst_state_close(&state);
        return r;
    }
    *ret = state;
    return BST_OK;
}

void bst_state_close(struct bst_state **slot)
{
    struct bst_state *state = *slot;
    if (!state) {
        return;
    }
    char detail[512];
    snprintf(detail, sizeof detail, "%s", bst_error_detail());
    if (state->se) {
        bst_se_settle(state->se); /* handshakes that were given up may still be signing */
    }
    bst_se_trail_close(&state->trail);
    bst_audit_close(&state->audit);
    bst_append_clear(&state->audit_file);
    ca_keys_close(state);
    bst_se_close(&state->se);
    bst_lock_clear(&state->lock);
    bst_config_clear(&state->config);
    pthread_mutex_destroy(&state->audit_lock);
    bst_free(state->folder);
    bst_free(state);
    *slot = NULL;
    bst_error_set_detail(detail);
}

bst_result bst_state_verify_audit(const struct bst_state_options *options,
                                  struct bst_audit_report *ret)
{
    struct bst_state *state = state_new(options->folder);
    BST_ENSURE(state, BST_E_NOMEM);
    bst_result r = bst_state_config(options, &state->config);
    if (!bst_failed(r)) {
        r = bst_audit_verify(&state->audit_host, ret);
    }
    bst_state_close(&state);
    return r;
}
