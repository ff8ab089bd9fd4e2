/* bastide restore: put a backup in the place of the present state, after saying what that undoes.
 */
#include "app/backup.h"
#include "base/time.h"
#include "cli/common.h"
#include "cli/passphrase.h"

#include <stdio.h>
#include <unistd.h>

static const struct cli_option given_options[] = {
    {"--identity", "FILE", "Private key of the recipient (PEM), mode 0600.", false},
    {"--passphrase-file", "FILE",
     "File with the passphrase, mode 0600; without it it is asked for.", false},
    {"--yes", NULL, "Do it without asking.", false},
    {0},
};

static bst_result load_identity(const char *file, struct evp_pkey_st **ret)
{
    unsigned mode;
    bst_auto(buf) text = {0};
    BST_TRY(bst_file_mode(file, &mode));
    if (mode & 077) {
        BST_FAIL(BST_E_PERMISSION, "others may read %s: chmod 600 %s", file, file);
    }
    bst_result r = bst_file_read(file, 65536, &text);
    if (!bst_failed(r)) {
        r = bst_pkey_load(bst_buf_view(&text), ret);
    }
    bst_buf_wipe(&text);
    return r;
}

static bst_result unpack(struct cli_call *call, const char *file, const char *folder)
{
    struct bst_backup_info info;
    bst_auto_pkey *identity = NULL;
    bst_auto(secret) passphrase = {0};
    struct bst_backup_key key = {0};
    BST_TRY(bst_backup_info(file, &info));
    if (info.by_passphrase) {
        BST_TRY(cli_passphrase(cli_value(call, "--passphrase-file"), false, &passphrase));
        key.passphrase = &passphrase;
    } else {
        const char *identity_file = cli_value(call, "--identity");
        if (!identity_file) {
            BST_FAIL(BST_E_USAGE,
                     "this backup is for a recipient: give its private key with --identity");
        }
        BST_TRY(load_identity(identity_file, &identity));
        key.recipient = identity;
    }
    return bst_backup_unpack(file, &key, folder);
}

static bool agreed(struct cli_call *call)
{
    char answer[16] = "";
    if (cli_has(call, "--yes")) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        fprintf(call->err, "nothing was changed; --yes does it\n");
        return false;
    }
    fprintf(call->err, "Put this backup in the place of %s? Type yes: ", call->state);
    return fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0;
}

static void tell(struct cli_call *call, const char *file, const struct bst_buf *undone,
                 const char *kept)
{
    struct bst_backup_info info = {0};
    if (bst_failed(bst_backup_info(file, &info))) {
        return;
    }
    if (call->json) {
        bst_auto(buf) out = {0};
        bst_buf_addf(&out, "{\"generation\":%lld,\"undone\":", (long long)info.generation);
        bst_buf_add_json(&out, bst_buf_view(undone));
        bst_buf_adds(&out, ",\"kept\":");
        bst_buf_add_json(&out, bst_view(kept));
        bst_buf_addc(&out, '}');
        cli_print(call, &out);
        return;
    }
    if (kept[0]) {
        fprintf(call->out, "restored; the state before is in %s\n", kept);
        return;
    }
    char when[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(info.made_us, when);
    fprintf(call->out, "backup of %s, generation %lld\n%.*s", when, (long long)info.generation,
            BST_VIEW_ARGS(undone->len ? bst_buf_view(undone) : BST_VIEW("it undoes nothing\n")));
}

/* With the state folder locked. */
static int restore(struct cli_call *call, const char *file)
{
    bst_auto(buf) undone = {0};
    char unpacked[BST_PATH_MAX], kept[BST_PATH_MAX] = "";
    bst_result r = bst_state_path(call->state, "restore-unpacked", unpacked);
    if (!bst_failed(r)) {
        r = bst_snapshot_remove(unpacked);
    }
    if (!bst_failed(r)) {
        r = unpack(call, file, unpacked);
    }
    if (!bst_failed(r)) {
        r = bst_backup_undo(call->state, unpacked, &undone);
    }
    if (!bst_failed(r) && !call->json) {
        tell(call, file, &undone, "");
    }
    bool go = !bst_failed(r) && agreed(call);
    if (go) {
        r = bst_backup_replace(call->state, unpacked, kept);
    }
    int code = bst_failed(r) ? cli_fail(call, r, "not restored") : go ? CLI_OK : CLI_CONFLICT;
    if (code == CLI_OK) {
        tell(call, file, &undone, kept);
    }
    if (bst_failed(bst_snapshot_remove(unpacked))) {
        fprintf(call->err, "%s could not be removed: it holds keys\n", unpacked);
    }
    return code;
}

static int run(struct cli_call *call)
{
    struct bst_lock lock = {.fd = -1};
    char path[BST_PATH_MAX];
    if (call->n_args != 1) {
        return cli_usage(call, "name the backup");
    }
    bst_result r = bst_dir_make(call->state, 0700);
    if (!bst_failed(r)) {
        r = bst_state_path(call->state, "lock", path);
    }
    if (!bst_failed(r)) {
        r = bst_lock_take(path, &lock);
    }
    if (bst_failed(r)) {
        return cli_fail(call, r, "the server must not run while its state is replaced");
    }
    int code = restore(call, call->args[0]);
    bst_lock_clear(&lock);
    return code;
}

const struct cli_command cmd_restore = {
    .name = "restore",
    .args = "FILE",
    .summary = "Put a backup in the place of the state of a stopped server",
    .text =
        "First says what that would undo: revocations that the backup does not know, resources "
        "made "
        "since, counters. Then asks, unless --yes is given. The state before is kept aside in the "
        "folder. The generation number is raised above both.",
    .options = given_options,
    .example = "bastide restore --state /var/lib/bastide --identity backup.key bastide.backup",
    .run = run,
};
