/* Library start, SSL_CTX from a profile row, credentials, the memory BIO. */
#include "tls/ctx_priv.h"

#include "crypto/rand.h"
#include "se/se.h"

#include <pthread.h>

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *wire_method;

static int wire_read(BIO *bio, char *out, size_t len, size_t *ret_len)
{
    struct bst_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!wire->in.len) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t n = len < wire->in.len ? len : wire->in.len;
    memcpy(out, wire->in.ptr, n);
    wire->in = bst_view_from(wire->in, n);
    *ret_len = n;
    return 1;
}

static int wire_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
    struct bst_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    bst_buf_add(&wire->out, bytes, len);
    if (wire->out.failed) {
        return 0;
    }
    *ret_len = len;
    return 1;
}

static long wire_ctrl(BIO *bio, int command, long number, void *ptr)
{
    return command == BIO_CTRL_FLUSH;
}

static void init_library(void)
{
    /* The system's openssl.cnf may change suites and levels: what a profile says must hold. */
    if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL)) {
        return;
    }
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bastide wire");
    if (!method || !BIO_meth_set_read_ex(method, wire_read) ||
        !BIO_meth_set_write_ex(method, wire_write) || !BIO_meth_set_ctrl(method, wire_ctrl)) {
        BIO_meth_free(method);
        return;
    }
    wire_method = method;
}

bst_result bst_tls_init(void)
{
    BST_TRY(bst_crypto_start());
    pthread_once(&init_once, init_library);
    if (!wire_method) {
        BST_FAIL(BST_E_CRYPTO, "OpenSSL does not start");
    }
    return BST_OK;
}

BIO *bst_tls_wire_bio(struct bst_tls_wire *wire)
{
    BIO *bio = BIO_new(wire_method);
    if (bio) {
        BIO_set_data(bio, wire);
        BIO_set_init(bio, 1);
    }
    return bio;
}

void bst_tls_ssl_ctx_free(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
    *ctx = NULL;
}

void bst_tls_ssl_free(SSL **ssl)
{
    SSL_free(*ssl);
    *ssl = NULL;
}

bst_result bst_tls_openssl_error(const char *what)
{
    char text[160];
    unsigned long error = ERR_peek_error();
    ERR_error_string_n(error, text, sizeof text);
    ERR_clear_error();
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
        return bst_error(BST_E_NOMEM);
    }
    BST_FAIL(BST_E_CRYPTO, "%s: %s", what, error ? text : "no reason given by OpenSSL");
}

static bool set_suites(SSL_CTX *ctx, const struct bst_tls_profile *profile, bool psk, bool cert)
{
    char list[512];
    const char *psk12 = psk ? profile->psk12 : "", *cert12 = cert ? profile->cert12 : "";
    snprintf(list, sizeof list, "%s%s%s", psk12, *psk12 && *cert12 ? ":" : "", cert12);
    if (*list && !SSL_CTX_set_cipher_list(ctx, list)) {
        return false;
    }
    return SSL_CTX_set_ciphersuites(ctx, profile->suites13) == 1;
}

/* OpenSSL's macros for these two drop a const: they get a copy. */
static bool set_list(SSL_CTX *ctx, int command, const char *list)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", list);
    return SSL_CTX_ctrl(ctx, command, 0, copy) == 1;
}

static const char *set_groups(SSL_CTX *ctx, const struct bst_tls_profile *profile)
{
    if (set_list(ctx, SSL_CTRL_SET_GROUPS_LIST, profile->groups)) {
        return profile->groups;
    }
    ERR_clear_error();
    if (profile->groups_older && set_list(ctx, SSL_CTRL_SET_GROUPS_LIST, profile->groups_older)) {
        return profile->groups_older;
    }
    return NULL;
}

bst_result bst_tls_ctx_new(const struct bst_tls_profile *profile, bool psk, bool cert,
                           SSL_CTX **ret, const char **ret_groups)
{
    BST_TRY(bst_tls_init());
    ERR_clear_error();
    bst_auto_ssl_ctx *ctx = SSL_CTX_new(TLS_method());
    if (!ctx) {
        return bst_tls_openssl_error("TLS context");
    }
    SSL_CTX_set_security_level(ctx, profile->level);
    SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    const char *groups = set_groups(ctx, profile);
    if (!groups || !set_suites(ctx, profile, psk, cert) ||
        !set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, profile->sigalgs) ||
        !SSL_CTX_set_min_proto_version(ctx, profile->min_version) ||
        !SSL_CTX_set_max_proto_version(ctx, profile->max_version)) {
        return bst_tls_openssl_error(profile->name);
    }
    if (ret_groups) {
        *ret_groups = groups;
    }
    *ret = bst_steal(&ctx);
    return BST_OK;
}

static bst_result take_chain_cert(void *ctx_ptr, struct x509_st *take_cert)
{
    SSL_CTX *ctx = ctx_ptr;
    bool leaf = SSL_CTX_get0_certificate(ctx) == NULL;
    int ok = leaf ? SSL_CTX_use_certificate(ctx, take_cert)
                  : (int)SSL_CTX_add1_chain_cert(ctx, take_cert);
    bst_cert_free(&take_cert);
    return ok == 1 ? BST_OK : bst_tls_openssl_error(leaf ? "own certificate" : "own chain");
}

bst_result bst_tls_ctx_use(SSL_CTX *ctx, struct bst_se *se, const struct bst_tls_credential *own)
{
    size_t count;
    ERR_clear_error();
    BST_TRY(bst_cert_load_all(own->chain_pem, take_chain_cert, ctx, &count));
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_se_pkey(own->se ? own->se : se, own->key, &pkey));
    if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1) {
        ERR_clear_error();
        BST_FAIL(BST_E_BAD_KEY,
                 "the private key does not belong to the certificate of %s: give the "
                 "key that the certificate was issued for",
                 own->server_name ? own->server_name : "this endpoint");
    }
    return BST_OK;
}
