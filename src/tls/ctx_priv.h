/* SSL_CTX of a profile, credential loading, and the BIO that reads a view and fills a buffer. */
#pragma once

#include "tls/profile_priv.h"
#include "tls/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

void bst_tls_ssl_ctx_free(SSL_CTX **ctx);
void bst_tls_ssl_free(SSL **ssl);
#define bst_auto_ssl_ctx __attribute__((cleanup(bst_tls_ssl_ctx_free))) SSL_CTX
#define bst_auto_ssl __attribute__((cleanup(bst_tls_ssl_free))) SSL

/** Context of a profile with the suites of the wanted families.
 * @param ret_groups  the group list that OpenSSL accepted; may be NULL */
bst_result bst_tls_ctx_new(const struct bst_tls_profile *profile, bool psk, bool cert,
                           SSL_CTX **ret, const char **ret_groups);
/** Load chain and key; they must fit. */
bst_result bst_tls_ctx_use(SSL_CTX *ctx, struct bst_se *se, const struct bst_tls_credential *own);
/** BST_E_CRYPTO with OpenSSL's first reason; drains its queue. */
bst_result bst_tls_openssl_error(const char *what);

/** What the BIO of a connection works on. */
struct bst_tls_wire {
    struct bst_view in;
    struct bst_buf out;
    size_t sent; /* of out */
};
/** NULL when memory is out. */
BIO *bst_tls_wire_bio(struct bst_tls_wire *wire);
