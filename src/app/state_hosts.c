/* The files, clock, digest and keys that the audit trail, the secure environment and the CA ask
 * for. */
#include "app/state_priv.h"

#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"

#include <stdio.h>

#define AUDIT_FILE_MAX ((size_t)2 << 30)

/* --- what the audit trail needs ------------------------------------------------------------- */

static bst_result audit_sha256(void *ctx, const struct bst_view *parts, size_t n,
                               uint8_t out[BST_AUDIT_HASH_LEN])
{
    return bst_digest(BST_MD_SHA256, parts, n, out);
}

static bst_result audit_sign(void *ctx, struct bst_view message, struct bst_buf *ret)
{
    const struct bst_state *state = ctx;
    return bst_se_sign(state->se, state->audit_key, BST_MD_SHA256, message, ret);
}

static bst_result audit_check(void *ctx, struct bst_view message, struct bst_view signature)
{
    const struct bst_state *state = ctx;
    bst_auto_pkey *key = NULL;
    bst_auto(buf) spki = {0};
    BST_TRY(bst_state_read(state, "audit.pub", &spki));
    BST_TRY(bst_pkey_load_public(bst_buf_view(&spki), &key));
    return bst_pkey_verify(key, BST_MD_SHA256, message, signature);
}

/* The head stands apart from the records. */
static bst_result audit_path(const struct bst_state *state, const char *name,
                             char out[BST_PATH_MAX])
{
    char folder[BST_PATH_MAX];
    bool head = strcmp(name, BST_AUDIT_HEAD) == 0;
    BST_TRY(bst_state_path(state->folder,
                           head ? state->config.audit.head_folder : state->config.audit.folder,
                           folder));
    return bst_state_path(folder, name, out);
}

/* Called with the lock: the file that is being written stays open. */
static bst_result audit_file_open(struct bst_state *state, const char *name)
{
    char path[BST_PATH_MAX];
    if (strcmp(state->audit_file_name, name) == 0) {
        return BST_OK;
    }
    bst_append_clear(&state->audit_file);
    state->audit_file_name[0] = '\0';
    BST_TRY(audit_path(state, name, path));
    BST_TRY(bst_append_open(path, 0600, &state->audit_file));
    snprintf(state->audit_file_name, sizeof state->audit_file_name, "%s", name);
    return BST_OK;
}

static bst_result audit_append(void *ctx, const char *name, struct bst_view bytes)
{
    struct bst_state *state = ctx;
    pthread_mutex_lock(&state->audit_lock);
    bst_result r = audit_file_open(state, name);
    if (!bst_failed(r)) {
        r = bst_append_write(&state->audit_file, bytes);
    }
    pthread_mutex_unlock(&state->audit_lock);
    return r;
}

static bst_result audit_sync(void *ctx, const char *name)
{
    struct bst_state *state = ctx;
    struct bst_append file = {.fd = -1};
    char path[BST_PATH_MAX];
    BST_TRY(audit_path(state, name, path));
    /* A descriptor of its own: writers do not wait for the disk. */
    BST_TRY(bst_append_open(path, 0600, &file));
    bst_result r = bst_append_sync(&file);
    bst_append_clear(&file);
    return r;
}

static bst_result audit_read(void *ctx, const char *name, struct bst_buf *ret)
{
    char path[BST_PATH_MAX];
    BST_TRY(audit_path(ctx, name, path));
    return bst_file_read(path, AUDIT_FILE_MAX, ret);
}

static bst_result audit_replace(void *ctx, const char *name, struct bst_view bytes)
{
    char path[BST_PATH_MAX];
    BST_TRY(audit_path(ctx, name, path));
    return bst_file_write_atomic(path, bytes, 0600);
}

static bst_result audit_remove(void *ctx, const char *name)
{
    char path[BST_PATH_MAX];
    BST_TRY(audit_path(ctx, name, path));
    return bst_file_remove(path);
}

static bst_result audit_key_find(struct bst_state *state)
{
    BST_TRY(bst_se_key_find(state->se, "audit.sign", &state->audit_key));
    if (!state->audit_key) {
        BST_FAIL(BST_E_NOT_FOUND, "the secure environment has no key 'audit.sign'");
    }
    return BST_OK;
}

bst_result state_audit_open(struct bst_state *state)
{
    char path[BST_PATH_MAX];
    const struct bst_config *config = &state->config;
    BST_TRY(audit_key_find(state));
    BST_TRY(bst_state_path(state->folder, config->audit.folder, path));
    BST_TRY(bst_dir_make(path, 0700));
    BST_TRY(bst_state_path(state->folder, config->audit.head_folder, path));
    BST_TRY(bst_dir_make(path, 0700));
    return bst_audit_open(
        &(struct bst_audit_config){.host = &state->audit_host,
                                   .file_bytes = (size_t)config->audit.file_bytes,
                                   .keep_files = (unsigned)config->audit.keep_files,
                                   .merge_us = config->audit.merge_s * BST_US_PER_S},
        &state->audit);
}

void state_hosts_fill(struct bst_state *state)
{
    state->audit_host = (struct bst_audit_host){
        .ctx = state,
        .wall_us = state_wall,
        .sha256 = audit_sha256,
        .sign = audit_sign,
        .check = audit_check,
        .append = audit_append,
        .sync = audit_sync,
        .read = audit_read,
        .replace = audit_replace,
        .remove = audit_remove,
    };
    bst_se_host_file(&state->file_host, state_wall);
}
