/* Backup of a state folder: one file, encrypted to a recipient's key or under a passphrase, never
 * under the state key. What a restore would undo is told before it is done. */
#pragma once

#include "app/server.h"
#include "crypto/pkey.h"

/** Copy a consistent state into a new folder below run/. Writers go on meanwhile.
 * @param ret_folder  absolute or as the state folder was given; the caller removes it */
bst_result server_snapshot(struct bst_server *server, char ret_folder[BST_PATH_MAX]);
/** Remove a snapshot folder. */
bst_result bst_snapshot_remove(const char *folder);

/** Who can open it: exactly one. */
struct bst_backup_lock {
    struct bst_view recipient; /* public key, PEM or DER SubjectPublicKeyInfo, EC P-256 */
    const struct bst_secret *passphrase;
};
/** Pack a folder (recursively) into one encrypted file, durable on return.
 * @param generation  of the store; shown in clear, so that old backups can be told apart */
bst_result bst_backup_pack(const char *folder, const char *file, const struct bst_backup_lock *lock,
                           int64_t generation);

struct bst_backup_key {
    struct evp_pkey_st *recipient; /* private half */
    const struct bst_secret *passphrase;
};
struct bst_backup_info {
    int64_t generation, made_us;
    bool by_passphrase;
};
/** What the head of a backup says, without a key. */
bst_result bst_backup_info(const char *file, struct bst_backup_info *ret);
/** Unpack into a new folder. Nothing is left of it on failure.
 * @error BST_E_SE_PIN   wrong key or passphrase
 * @error BST_E_CORRUPT  changed or cut off */
bst_result bst_backup_unpack(const char *file, const struct bst_backup_key *key,
                             const char *folder);

/** What going from the present state to an older one would undo: one line each; empty: nothing.
 * Works on folders, the present one not in use. */
bst_result bst_backup_undo(const char *present, const char *older, struct bst_buf *ret_lines);
/** Replace the state of a folder by an unpacked one and raise the generation. The old state is kept
 * aside under the returned name. */
bst_result bst_backup_replace(const char *folder, const char *unpacked,
                              char ret_kept[BST_PATH_MAX]);
