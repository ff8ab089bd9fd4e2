/* What the files of administrative commands share. */
#pragma once

#include "app/issued.h"
#include "app/server_priv.h"
#include "codec/json.h"
#include "mef/mef.h"

/** One command being carried out. */
struct admin {
    struct bst_server *server;
    struct bst_arena arena;
    yyjson_val *args;
    struct bst_buf *out;
};

/** Append a member to a JSON object that is being written. */
void admin_member(struct bst_buf *out, const char *name, struct bst_view value);
/** The same for a time; 0 is left out. */
void admin_member_time(struct bst_buf *out, const char *name, int64_t wall_us);
/** What was done, on the audit trail. */
bst_result admin_record(struct admin *a, const char *event, struct bst_view credential,
                        struct bst_view target, struct bst_view detail);
bst_result admin_read_reason(struct admin *a, struct bst_view *credential, struct bst_view *reason);
/** "key": hexadecimal, 16 to 64 bytes. */
bst_result admin_read_key(struct admin *a, struct bst_secret *ret);
bst_result admin_parse_flavour(struct bst_view text, enum bst_cert_flavour *ret);
/** Handshakes may have a key of this Credential-ID in memory. */
void admin_forget_key(struct bst_server *server, struct bst_view credential);

/* admin_credentials.c: project CA and MEF */
bst_result admin_certify(struct admin *a);
bst_result admin_certificates(struct admin *a);
bst_result admin_revoke_certificate(struct admin *a);
bst_result admin_mef_provision(struct admin *a);
bst_result admin_mef_provision_cert(struct admin *a);
bst_result admin_mef_clients(struct admin *a);
bst_result admin_mef_keys(struct admin *a);
bst_result admin_mef_revoke(struct admin *a);

/* admin_keys.c */
bst_result admin_key_rotate(struct admin *a);

/* admin_ca.c */
bst_result admin_ca_rotate(struct admin *a);
bst_result admin_ca_retire(struct admin *a);
