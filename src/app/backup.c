/* Backups: taking a consistent copy of the state, and putting one back.
 *
 * A snapshot holds: state.json, bastide.yaml, audit.pub, store/{cse.db, mef.db, id.key}, se/, pki/,
 * admin/. The audit trail stays: it tells what happened, whatever is restored. */
#include "app/backup.h"

#include "app/server_priv.h"
#include "obs/log.h"
#include "store/resource.h"
#include "sys/clock.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#define SNAPSHOT_FILE_MAX ((size_t)1 << 30)

static const char *const single_files[] = {"bastide.yaml", "audit.pub", "store/id.key",
                                           "state.json"};
static const char *const folders[] = {"pki", "admin", "admin/se"};

/* --- folders -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    return remove(path);
}

static bst_result remove_tree(const char *path)
{
    if (bst_file_exists(path) &&
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
        BST_FAIL(BST_E_IO, "%s could not be removed", path);
    }
    return BST_OK;
}

bst_result bst_snapshot_remove(const char *folder)
{
    return remove_tree(folder);
}

/* --- copying -------------------------------------------------------------------------------- */

struct copying {
    const char *from, *to; /* state folder and snapshot */
    const char *folder;    /* being listed */
};

static bst_result copy_file(const char *from, const char *to, const char *name)
{
    bst_auto(buf) content = {0};
    char source[BST_PATH_MAX], target[BST_PATH_MAX];
    BST_TRY(bst_state_path(from, name, source));
    BST_TRY(bst_state_path(to, name, target));
    bst_result r = bst_file_read(source, SNAPSHOT_FILE_MAX, &content);
    if (!bst_failed(r)) {
        r = bst_file_write_atomic(target, bst_buf_view(&content), 0600);
    }
    bst_buf_wipe(&content);
    return r;
}

static bst_result copy_listed(void *user, const char *name)
{
    const struct copying *c = user;
    char relative[BST_PATH_MAX];
    int len = snprintf(relative, sizeof relative, "%s/%s", c->folder, name);
    BST_ENSURE(len > 0 && (size_t)len < sizeof relative, BST_E_TOO_LONG);
    bst_result r = copy_file(c->from, c->to, relative);
    /* A folder inside, or a file that went meanwhile. */
    return r.code == BST_E_IO || r.code == BST_E_NOT_FOUND ? BST_OK : r;
}

static bst_result copy_folder(const char *from, const char *to, const char *folder)
{
    char source[BST_PATH_MAX], target[BST_PATH_MAX];
    BST_TRY(bst_state_path(from, folder, source));
    BST_TRY(bst_state_path(to, folder, target));
    if (!bst_file_exists(source)) {
        return BST_OK;
    }
    BST_TRY(bst_dir_make(target, 0700));
    struct copying c = {from, to, folder};
    return bst_dir_list(source, copy_listed, &c);
}

static bst_result copy_single_files(const char *from, const char *to)
{
    for (size_t i = 0; i < sizeof single_files / sizeof single_files[0]; i++) {
        bst_result r = copy_file(from, to, single_files[i]);
        if (bst_failed(r) && r.code != BST_E_NOT_FOUND) {
            return r;
        }
    }
    return BST_OK;
}

static bst_result copy_store(struct bst_store *store, const char *to, const char *name)
{
    char target[BST_PATH_MAX];
    BST_TRY(bst_state_path(to, name, target));
    return bst_store_snapshot(store, target, NULL, NULL);
}

/* The secure environment may be written to meanwhile: an unchanged manifest says that it was not.
 */
static bst_result copy_keys(const char *from, const char *to)
{
    char manifest[BST_PATH_MAX];
    BST_TRY(bst_state_path(from, "se/manifest", manifest));
    for (int attempt = 0; attempt < 100; attempt++) {
        bst_auto(buf) before = {0};
        bst_auto(buf) after = {0};
        char copied[BST_PATH_MAX];
        BST_TRY(bst_state_path(to, "se", copied));
        BST_TRY(remove_tree(copied));
        BST_TRY(bst_file_read(manifest, SNAPSHOT_FILE_MAX, &before));
        BST_TRY(copy_folder(from, to, "se"));
        BST_TRY(bst_file_read(manifest, SNAPSHOT_FILE_MAX, &after));
        BST_TRY(bst_state_path(to, "se/manifest", copied));
        if (bst_view_eq(bst_buf_view(&before), bst_buf_view(&after))) {
            return bst_file_write_atomic(copied, bst_buf_view(&before), 0600);
        }
    }
    BST_FAIL(BST_E_BUSY, "the secure environment changes too fast to be copied");
}

/* Keys on a token stay there: what can leave it is the business of its own tools. Those of a TPM
 * are of use in that TPM only. */
static bst_result keys_elsewhere(const char *uri)
{
    if (strncmp(uri, "pkcs11:", 7) != 0 && strncmp(uri, "tpm2:", 5) != 0) {
        BST_FAIL(BST_E_CONFIG,
                 "se.uri puts the keys outside the state folder: a backup would miss them");
    }
    return BST_OK;
}

static bst_result fill(struct bst_server *server, const char *to)
{
    const char *from = server->state->folder;
    char path[BST_PATH_MAX];
    BST_TRY(bst_state_path(to, "store", path));
    BST_TRY(bst_dir_make(path, 0700));
    BST_TRY(copy_store(server->store, to, "store/cse.db"));
    if (server->mef) {
        BST_TRY(copy_store(server_mef_store(server->mef), to, "store/mef.db"));
    }
    BST_TRY(copy_single_files(from, to));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        BST_TRY(copy_folder(from, to, folders[i]));
    }
    /* Keys after the stores: a key without a record is removed at the next start, a record without
     * its key would be a loss. */
    return server->state->config.se.uri[0] ? keys_elsewhere(server->state->config.se.uri)
                                           : copy_keys(from, to);
}

bst_result server_snapshot(struct bst_server *server, char ret_folder[BST_PATH_MAX])
{
    char name[64], folder[BST_PATH_MAX];
    snprintf(name, sizeof name, "run/snapshot-%lld", (long long)bst_wall_us());
    BST_TRY(bst_state_path(server->state->folder, name, folder));
    BST_TRY(bst_dir_make(folder, 0700));
    bst_result r = fill(server, folder);
    if (bst_failed(r)) {
        char detail[256];
        snprintf(detail, sizeof detail, "%s", bst_error_detail());
        (void)remove_tree(folder).code;
        bst_error_set_detail(detail);
        return r;
    }
    snprintf(ret_folder, BST_PATH_MAX, "%s", folder);
    return BST_OK;
}
