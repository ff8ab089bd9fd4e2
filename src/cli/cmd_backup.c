/* bastide backup: one encrypted file from a running or stopped server. */
#include "app/backup.h"
#include "cli/common.h"
#include "cli/passphrase.h"

#include <stdio.h>

static const struct cli_option given_options[] = {
    {"--recipient", "FILE", "Public key (PEM, EC P-256) of who may open it.", false},
    {"--passphrase-file", "FILE",
     "File with a passphrase, mode 0600; without it and without a recipient "
     "it is asked for.",
     false},
    {0},
};

static bst_result take_snapshot(struct cli_call *call, char folder[BST_PATH_MAX],
                                int64_t *ret_generation)
{
    bst_auto(buf) args = {0};
    bst_auto(buf) text = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    struct bst_view where;
    BST_TRY(cli_admin(call, "snapshot", &args, &arena, &text, &answer));
    BST_TRY(bst_json_string(answer, "folder", &where));
    BST_TRY(bst_json_i64(answer, "generation", ret_generation));
    return bst_view_copy(where, folder, BST_PATH_MAX);
}

static bst_result pack(struct cli_call *call, const char *file, const struct bst_backup_lock *lock)
{
    char folder[BST_PATH_MAX];
    int64_t generation;
    BST_TRY(take_snapshot(call, folder, &generation));
    bst_result r = bst_backup_pack(folder, file, lock, generation);
    bst_result removed = bst_snapshot_remove(folder);
    return bst_failed(r) ? r : removed;
}

static bst_result backup(struct cli_call *call, const char *file)
{
    bst_auto(buf) recipient = {0};
    bst_auto(secret) passphrase = {0};
    struct bst_backup_lock lock = {0};
    const char *recipient_file = cli_value(call, "--recipient");
    if (bst_file_exists(file)) {
        BST_FAIL(BST_E_EXISTS, "%s is there already", file);
    }
    if (recipient_file) {
        BST_TRY(bst_file_read(recipient_file, 65536, &recipient));
        lock.recipient = bst_buf_view(&recipient);
    } else {
        BST_TRY(cli_passphrase(cli_value(call, "--passphrase-file"), true, &passphrase));
        lock.passphrase = &passphrase;
    }
    return pack(call, file, &lock);
}

static int run(struct cli_call *call)
{
    if (call->n_args != 1) {
        return cli_usage(call, "name the file to write");
    }
    if (cli_has(call, "--recipient") && cli_has(call, "--passphrase-file")) {
        return cli_usage(call, "either a recipient or a passphrase");
    }
    bst_result r = backup(call, call->args[0]);
    if (bst_failed(r)) {
        return cli_fail(call, r, "no backup was written");
    }
    struct bst_backup_info info;
    r = bst_backup_info(call->args[0], &info);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the backup cannot be read back");
    }
    fprintf(call->out,
            call->json ? "{\"file\":\"%s\",\"generation\":%lld}\n" : "%s: generation %lld\n",
            call->args[0], (long long)info.generation);
    return CLI_OK;
}

const struct cli_command cmd_backup = {
    .name = "backup",
    .args = "FILE",
    .summary = "Copy the state of a running or stopped server into one encrypted file",
    .text = "The file holds resources, keys, certificates, configuration and the administrator's "
            "profile, "
            "but not the audit trail. It is encrypted to a recipient's public key, or under a "
            "passphrase (Argon2id), never under the state key. The server goes on meanwhile.\n\n"
            "A key pair for backups: openssl genpkey -algorithm EC -pkeyopt "
            "ec_paramgen_curve:P-256 -out backup.key, and openssl pkey -in backup.key -pubout -out "
            "backup.pub. Keep backup.key elsewhere.",
    .options = given_options,
    .example = "bastide backup --state /var/lib/bastide --recipient backup.pub bastide.backup",
    .run = run,
};
