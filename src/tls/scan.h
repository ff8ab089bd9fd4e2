/* Reads the handshake messages that a client sends in clear, ahead of OpenSSL: who asks for what
 * (SNI, raw public keys) and which PSK identity is presented, so that its key can be fetched before
 * OpenSSL needs it. Judges nothing: what cannot be read here is left for OpenSSL to refuse. */
#pragma once

#include "base/text.h"

#define BST_TLS_RECORD_HEAD 5
#define BST_TLS_RECORD_MAX (16384 + 2048) /* body of a record, RFC 5246 6.2.3 */
#define BST_TLS_HELLO_MAX 16384

enum {
    BST_TLS_REC_CCS = 20,
    BST_TLS_REC_ALERT = 21,
    BST_TLS_REC_HANDSHAKE = 22,
    BST_TLS_REC_DATA = 23,
};
enum { BST_TLS_MSG_CLIENT_HELLO = 1, BST_TLS_MSG_CLIENT_KEY_EXCHANGE = 16 };

/** Bytes of the record at the start of `in`, head included; 0 while it is incomplete. A head that
 * is no TLS record's gives everything there is, for OpenSSL to refuse. */
size_t bst_tls_record_len(struct bst_view in);

/** Reassembles messages from records; only the two kinds above are kept. */
struct bst_tls_scan {
    uint8_t head[4];
    size_t head_len;
    size_t left; /* of the current message's body */
    bool keep;
    struct bst_buf body;
    bool stopped; /* nothing in clear comes any more */
};
void bst_tls_scan_clear(struct bst_tls_scan *scan);
/** Take a whole record; `message` gets each complete message of the two kinds (borrowed).
 * @error BST_E_NOMEM */
bst_result bst_tls_scan_record(struct bst_tls_scan *scan, struct bst_view record,
                               bst_result (*message)(void *ctx, uint8_t type, struct bst_view body),
                               void *ctx);

/** What matters of a ClientHello; views into it. */
struct bst_tls_hello {
    struct bst_view server_name;
    struct bst_view psk_identity; /* first identity of pre_shared_key that reads as text */
    bool offers_tls13;
    bool offers_psk_suites;   /* TLS 1.2 suites whose key exchange uses a PSK */
    bool client_raw_key_only; /* RFC 7250: no X.509 among the certificate types */
    bool server_raw_key_only;
};
bst_result bst_tls_hello_read(struct bst_view body, struct bst_tls_hello *ret);
/** Identity in a ClientKeyExchange of any PSK suite: RFC 4279 2-4, RFC 5489 2. */
bst_result bst_tls_key_exchange_read(struct bst_view body, struct bst_view *ret_identity);
/** Text as oneM2M key identifiers are, of any length; a session ticket never looks like this. */
bool bst_tls_identity_is_text(struct bst_view identity);
