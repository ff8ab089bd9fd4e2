/* The state folder: where everything lies, and what the folders below need from the outside. */
#pragma once

#include "app/config.h"
#include "obs/audit.h"
#include "pki/pki.h"
#include "se/se.h"
#include "sys/file.h"

#include <pthread.h>

#define BST_PATH_MAX 4096
#define BST_CA_ENVS_MAX 8

/** The keys of the process itself that may live in environments of their own. */
enum bst_state_key { BST_STATE_KEY_CSE, BST_STATE_KEY_MEF, BST_STATE_KEY_CA, BST_STATE_KEYS };
struct bst_state_place {
    struct bst_se *se; /* owned */
    char label[BST_KEY_LABEL_MAX + 1];
};

/** An opened state folder: locked, configured, with its keys. */
struct bst_state {
    char *folder;
    struct bst_config config;
    struct bst_lock lock;
    struct bst_se *se;
    struct bst_ca_env {
        char *address;
        struct bst_state_place place;
    } ca_envs[BST_CA_ENVS_MAX]; /* of the project CA's keys (app/ca_keys.h) */
    size_t n_ca_envs;
    struct bst_audit *audit;
    struct bst_se_trail *trail;       /* the same, for the filters of environments */
    struct bst_audit_host audit_host; /* ctx is this state: it may not move */
    struct bst_se_host file_host;     /* of se and pki */
    bst_key audit_key;
    struct bst_append audit_file;
    char audit_file_name[32];
    pthread_mutex_t audit_lock;
};

struct bst_state_options {
    const char *folder;
    const char *config_file; /* NULL: the folder's, else /etc/bastide/bastide.yaml, else defaults */
    const char *const *sets; /* "name=value" of the command line */
    size_t n_sets;
};

/** Read the configuration that holds for a state folder. */
bst_result bst_state_config(const struct bst_state_options *options, struct bst_config *ret);
/** Lock, configure, open keys and audit trail.
 *
 * @error BST_E_NOT_FOUND  not initialised: 'bastide init'
 * @error BST_E_LOCKED     a server runs on it
 */
bst_result bst_state_open(const struct bst_state_options *options, struct bst_state **ret);
void bst_state_close(struct bst_state **state);
/** True when the folder was initialised. */
bool bst_state_exists(const char *folder);
/** Path of a configured file: as it is when absolute, else below the folder. */
bst_result bst_state_path(const char *folder, const char *name, char out[BST_PATH_MAX]);
/** Read a file of the state, at most 1 MiB. */
bst_result bst_state_read(const struct bst_state *state, const char *name, struct bst_buf *ret);
/** The audit trail's files and keys, read-only, for verification while a server runs. */
bst_result bst_state_verify_audit(const struct bst_state_options *options,
                                  struct bst_audit_report *ret);
void bst_state_place_clear(struct bst_state_place *place);
/** Where a key is by this configuration; the state's own environment is shared.
 * @param anew  open a token once more, to see what other programs did on it */
bst_result bst_state_place(const struct bst_state *state, const struct bst_config *config,
                           enum bst_state_key which, bool anew, struct bst_state_place *ret);
/** The same for the key of a certificate: opened anew when the key is not seen otherwise. */
bst_result bst_state_place_of(const struct bst_state *state, const struct bst_config *config,
                              enum bst_state_key which, struct bst_view pem,
                              struct bst_state_place *ret);
/** The key of a certificate: the one with the place's label, or with that label and a suffix, whose
 * public half is the certificate's. A rotation has both while it lasts.
 * @error BST_E_NOT_FOUND  no such label  @error BST_E_BAD_KEY  none fits the certificate */
bst_result bst_state_place_key(const struct bst_state_place *place, struct bst_view pem,
                               bst_key *ret);

/** Names that follow from others when they are not given. */
bst_result bst_state_cse_fqdn(const struct bst_config *config, char out[256]);
bst_result bst_state_mef_fqdn(const struct bst_config *config, char out[256]);

/** What bastide init made, for people. */
struct bst_init_report {
    void (*step)(void *ctx, const char *what, const char *where);
    void *ctx;
};
/** Make a state folder: keys, project CA, certificates of CSE and MEF, admin profile,
 * configuration.
 *
 * @error BST_E_EXISTS  the folder was initialised before
 */
bst_result bst_state_init(const struct bst_state_options *options,
                          const struct bst_init_report *report);
struct bst_profile;
/** Fill in whom a client of this state talks to. */
bst_result bst_state_profile_peers(const struct bst_config *config, struct bst_profile *ret);
