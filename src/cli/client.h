/* A oneM2M client for commands: one profile, one kept connection, one request at a time. */
#pragma once

#include "app/profile.h"
#include "net/http_client.h"
#include "onem2m/primitive.h"

struct cli_client {
    struct bst_profile profile;
    struct bst_se *se;
    struct bst_loop *loop;
    struct bst_http_client *http;
    struct bst_tls_client *tls[2]; /* by enum bst_profile_peer */
    uint64_t serial;
    char why[512]; /* the last failed handshake in words: step, side, reason, remedy */
};

/** Open a profile folder. @error BST_E_NOT_FOUND no profile there */
bst_result cli_client_open(const char *folder, struct cli_client *ret);
/** The same with the keys at another address, or the PIN in another file; both may be NULL. The
 * profile has them from then on, if it is saved. */
bst_result cli_client_open_at(const char *folder, const char *se, const char *pin_file,
                              struct cli_client *ret);
/** A laboratory server on the loopback: no folder, plain HTTP, `originator` as written. */
bst_result cli_client_open_lab(const char *port, const char *originator, struct cli_client *ret);
void cli_client_close(struct cli_client *client);
/** Where a peer is dialled, as this profile; TLS clients are made on first use. */
bst_result cli_client_target(struct cli_client *client, enum bst_profile_peer peer,
                             struct bst_http_target *ret);

/** Send a request and wait. From, Request Identifier and release are filled in where they are
 * absent. An answer of any status is success here; look at ret->rsc.
 * @param arena  takes the answer
 * @error BST_E_HANDSHAKE, BST_E_NOT_REACHABLE, BST_E_TIMEOUT... with a sentence */
bst_result cli_client_request(struct cli_client *client, enum bst_profile_peer peer,
                              struct bst_m2m_request *req, struct bst_arena *arena,
                              struct bst_m2m_response *ret);
/** The error that a status stands for, with the debug text as its sentence; BST_OK below 4000. */
bst_result cli_client_status(const struct bst_m2m_response *rsp);
