/* A client's profile: a folder that says who it is, whom it talks to, and where its keys are: in a
 * software environment of its own, or in any other by address. Devices, applications and the
 * administrator have one each.
 *
 *     DIR/profile.json   the members below        DIR/se/    keys, unless se_uri is set
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
#define BST_PROFILE_KEY_TLS "tls" /* private key of cert.pem, unless tls_key says another */
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
    char *se_uri;      /* where the keys are, with the place of the PIN; empty: DIR/se */
    char *tls_key;     /* label of the private key; empty: BST_PROFILE_KEY_TLS */
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

/** Open the profile's secure environment; software below the folder is made the first time.
 * @error  of bst_se_open(), with the profile and the environment named */
bst_result bst_profile_se(const struct bst_profile *profile, struct bst_se **ret);
/** Keep a pre-shared key under its identity. */
bst_result bst_profile_add_psk(struct bst_se *se, const char *identity,
                               const struct bst_secret *key, bst_key *ret);
/** Label of a pre-shared key. */
bst_result bst_profile_psk_label(const char *identity, char out[BST_KEY_LABEL_MAX + 1]);
const char *bst_profile_tls_label(const struct bst_profile *profile);
/** Bring the profile's pre-shared keys into another environment, prove that they are the same
 * there, save the profile, then delete them where they were.
 *
 * @param uri  settled (app/se_uri.h)
 * @error BST_E_SE_USAGE  it has a private key, which does not leave the place where it was made,
 *                        and the new environment does not have it */
bst_result bst_profile_move(struct bst_profile *profile, const char *uri);

/** Trust the roots of `pem` in place of those of ca.pem. A root that is new is taken only with a
 * certificate for its key, in `pem` too, that leads to one which is trusted already (RFC 4210 4.4).
 * @error BST_E_BAD_CERT  a root that nobody vouches for, or none at all: nothing changes */
bst_result bst_profile_trust(const struct bst_profile *profile, struct bst_view pem,
                             size_t *ret_new, size_t *ret_all);

enum bst_profile_peer { BST_PROFILE_CSE, BST_PROFILE_MEF };
/** TLS client for one of the two peers, with this profile's credential for it. For kind LAB and the
 * CSE *ret is NULL: plain. */
bst_result bst_profile_tls(const struct bst_profile *profile, struct bst_se *se,
                           enum bst_profile_peer peer, struct bst_tls_client **ret);
