/* A client's profile: a folder that says who it is, whom it talks to, and holds its keys in a
 * secure environment of its own. Devices, applications and the administrator have one each.
 *
 *     DIR/profile.json   the members below        DIR/se/    keys
 *     DIR/ca.pem         trusted certificates     DIR/cert.pem  own certificate, if there is one */
#pragma once

#include "se/se.h"

struct bst_tls_client;

enum bst_profile_kind {
    BST_PROFILE_NONE, /* nothing yet that a CSE would accept: to be enrolled */
    BST_PROFILE_LAB,  /* plain HTTP to a laboratory server */
    BST_PROFILE_PSK,
    BST_PROFILE_CERT,
};

/** Labels in the profile's secure environment. */
#define BST_PROFILE_KEY_TLS "tls" /* private key of cert.pem */
/** and "psk." followed by the identity, for every pre-shared key */
#define BST_PROFILE_PSK_PREFIX "psk."

/** All texts are owned and never NULL; empty: not known (yet). */
struct bst_profile {
    char *folder;
    enum bst_profile_kind kind; /* towards the CSE */
    char *originator;           /* AE-ID-Stem, or From of an entity; empty until registered */
    char *sp_domain;            /* "acme.example.com" */
    char *cse_id;               /* "/id-in" */
    char *cse_name;             /* "cse-in" */
    char *cse_address;          /* what is dialled */
    char *cse_fqdn;             /* what its certificate must prove */
    char *cse_psk;              /* KpsaID or Key Identifier, kind PSK */
    char *mef_address;
    char *mef_fqdn;
    char *mef_psk;     /* KpmID, for enrolment by pre-provisioned key; empty: by certificate */
    char *tls_profile; /* towards the CSE; empty: the default */
};
void bst_profile_clear(struct bst_profile *profile);
/** All texts empty. The folder need not exist. */
bst_result bst_profile_init(struct bst_profile *ret, const char *folder);
bst_result bst_profile_set(char **field, struct bst_view value);
bst_result bst_profile_load(const char *folder, struct bst_profile *ret);
/** Makes the folder (0700) when it is not there. */
bst_result bst_profile_save(const struct bst_profile *profile);
/** Path of a file in the folder. */
bst_result bst_profile_path(const struct bst_profile *profile, const char *name, char *out,
                            size_t cap);

/** Open (and the first time make) the profile's secure environment. */
bst_result bst_profile_se(const struct bst_profile *profile, struct bst_se **ret);
/** Keep a pre-shared key under its identity. */
bst_result bst_profile_add_psk(struct bst_se *se, const char *identity,
                               const struct bst_secret *key);

enum bst_profile_peer { BST_PROFILE_CSE, BST_PROFILE_MEF };
/** TLS client for one of the two peers, with this profile's credential for it. For kind LAB and the
 * CSE *ret is NULL: plain. */
bst_result bst_profile_tls(const struct bst_profile *profile, struct bst_se *se,
                           enum bst_profile_peer peer, struct bst_tls_client **ret);
