/* Security association: what a peer proved when it connected, in the terms of the service layer.
 * TS-0003 8.2.1: from a credential to the CSE-ID or the AE-IDs that may use it. */
#pragma once

#include "crypto/x509.h"
#include "sec/ids.h"

enum bst_assoc_kind {
    BST_ASSOC_NONE, /* no credential shown */
    BST_ASSOC_PSK,
    BST_ASSOC_CERT,
    BST_ASSOC_LAB, /* plain connection of a laboratory: everything is taken as written, nothing is
                      proved */
};

/** Which entity the credential stands for. */
enum bst_assoc_role {
    BST_ROLE_UNBOUND, /* not known yet: good for registering an AE, for nothing else */
    BST_ROLE_AE,
    BST_ROLE_CSE,
};

/** Never changed by a request; only bst_association_bind_ae() and its counterpart, called after a
 * registration was made durable or undone, touch it. */
struct bst_association {
    enum bst_assoc_kind kind;
    enum bst_assoc_role role;
    bool proved; /* false for NONE and LAB, always */
    char cred_id[BST_CRED_ID_MAX + 1];
    char *cse_id;  /* absolute, of a CSE */
    char **ae_ids; /* absolute, may hold `*` which stops at '/' */
    size_t n_ae_ids;
    bool assigned; /* ae_ids come from configuration or the certificate, not from a registration */
    char *app_id;  /* App-ID carried by the certificate, else NULL */
    int level;     /* protection level of the peer's key as far as known, 0..3 */
    int64_t expires_us; /* of the credential, 0 none */
    char *subject;      /* for logs: certificate name or key identity */
};

/** A verified handshake, as the TLS layer reports it; borrowed for the call. */
struct bst_assoc_proof {
    enum bst_assoc_kind kind;           /* PSK or CERT; NONE and LAB ignore the rest */
    struct bst_view psk_identity;       /* PSK: as sent */
    const struct bst_cert_names *names; /* CERT: of the verified leaf */
    struct bst_view app_id;             /* App-ID of the certificate, optional */
    struct bst_view subject;            /* for logs */
    int64_t expires_us;                 /* end of the credential, 0 none */
};

/** What is on record for a credential. Filled by the look-up; the strings live until it returns. */
struct bst_assoc_binding {
    enum bst_assoc_role role;
    struct bst_view cse_id;        /* any form */
    const struct bst_view *ae_ids; /* any form */
    size_t n_ae_ids;
    bool assigned;
    int level;
};
struct bst_assoc_bindings {
    /** Find the record of a Credential-ID; *ret_found false when there is none. May allocate from
     * arena. */
    bst_result (*find)(void *ctx, struct bst_view cred_id, struct bst_arena *arena,
                       struct bst_assoc_binding *ret, bool *ret_found);
    void *ctx;
};

/** Build the association of a connection.
 *
 * An AE-ID or CSE-ID certificate carries its own identity; for everything else the Credential-ID is
 * formed and looked up. A credential without a record is good for a first registration. Where a
 * certificate has names of several flavours, AE-ID goes before CSE-ID, Node-ID and device.
 *
 * @param bindings  may be NULL: no records
 * @error BST_E_CREDENTIAL  the name in the certificate or the key identity is not usable
 * @clause TS-0003 V3.18, 8.2.1, 8.2.2
 */
bst_result bst_association_new(const struct bst_self *self, const struct bst_assoc_proof *proof,
                               const struct bst_assoc_bindings *bindings,
                               struct bst_association **ret);
void bst_association_free(struct bst_association **assoc);

/** The credential was used to register this AE; from now on it stands for it. */
bst_result bst_association_bind_ae(struct bst_association *assoc, struct bst_view abs_ae_id);
/** The AE was removed; an assigned id stays. */
void bst_association_unbind_ae(struct bst_association *assoc, struct bst_view abs_ae_id);
/** May this association speak as the AE with that absolute id? */
bool bst_association_allows_ae(const struct bst_association *assoc, struct bst_view abs_ae_id);

/** CSE-ID public domain name to absolute CSE-ID: `<cse>.<domain>` is `//domain/cse`, if domain is
 * ours.
 * @clause TS-0001 V3.36, 6.5.1.1 */
bst_result bst_cse_id_of_domain(const struct bst_self *self, struct bst_view name,
                                struct bst_entity_id *ret);
