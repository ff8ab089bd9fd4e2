/* What the connections with one credential to one peer share. */
#include "tls/tls_priv.h"

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct bst_tls_client *client = ((struct bst_tls *)SSL_get_app_data(ssl))->client;
    if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
        return 0;
    }
    pthread_mutex_lock(&client->lock);
    SSL_SESSION *old = client->session;
    client->session = session;
    pthread_mutex_unlock(&client->lock);
    SSL_SESSION_free(old);
    return 1;
}

SSL_SESSION *bst_tls_client_session(struct bst_tls_client *client)
{
    /* A ticket is used once (RFC 8446 C.4). */
    pthread_mutex_lock(&client->lock);
    SSL_SESSION *session = client->session;
    client->session = NULL;
    pthread_mutex_unlock(&client->lock);
    X509 *leaf = session ? SSL_SESSION_get0_peer(session) : NULL;
    /* The server's certificate is judged as if it came now. */
    if (leaf && SSL_SESSION_is_resumable(session) &&
        !bst_failed(bst_tls_verify_leaf(&client->verifier, leaf, NULL))) {
        return session;
    }
    SSL_SESSION_free(session);
    return NULL;
}

static bst_result check_config(const struct bst_tls_client_config *config)
{
    bool psk = config->psk_identity.len > 0;
    if (config->psk_identity.len > BST_TLS_IDENTITY_MAX) {
        BST_FAIL(BST_E_TOO_LONG,
                 "the PSK identity has %zu octets, TLS here carries at most %d: use a "
                 "shorter FQDN in the key identifier",
                 config->psk_identity.len, BST_TLS_IDENTITY_MAX);
    }
    if (psk && !bst_tls_identity_is_text(config->psk_identity)) {
        BST_FAIL(BST_E_ENCODING, "the PSK identity is not UTF-8 text without control characters");
    }
    if (psk && config->credential) {
        BST_FAIL(BST_E_CONFIG, "a client uses a PSK or a certificate, not both at once");
    }
    if (!psk && !config->n_expect) {
        BST_FAIL(BST_E_CONFIG,
                 "which name must the server prove? Configure its FQDN or CSE-ID name");
    }
    if (config->server_name &&
        (!*config->server_name || strlen(config->server_name) > BST_TLS_NAME_MAX)) {
        BST_FAIL(BST_E_CONFIG, "server name \"%.300s\": 1 to 255 characters are possible",
                 config->server_name);
    }
    return BST_OK;
}

static bst_result copy_expected(const struct bst_tls_client_config *config,
                                struct bst_tls_client *client)
{
    client->expect = bst_alloc((config->n_expect + 1) * sizeof *client->expect);
    BST_ENSURE(client->expect, BST_E_NOMEM);
    for (size_t i = 0; i < config->n_expect; i++) {
        struct bst_view value = config->expect[i].value;
        char *copy = bst_strndup(value.ptr, value.len);
        BST_ENSURE(copy, BST_E_NOMEM);
        client->expect[i] = (struct bst_tls_name){config->expect[i].flavour, {copy, value.len}};
        client->n_expect++;
    }
    return BST_OK;
}

static bst_result copy_texts(const struct bst_tls_client_config *config,
                             struct bst_tls_client *client)
{
    if (config->psk_identity.len) {
        client->identity = bst_strndup(config->psk_identity.ptr, config->psk_identity.len);
        BST_ENSURE(client->identity, BST_E_NOMEM);
    }
    if (config->server_name) {
        client->server_name = bst_strdup(config->server_name);
        BST_ENSURE(client->server_name, BST_E_NOMEM);
    }
    return copy_expected(config, client);
}

static bst_result make_context(const struct bst_tls_client_config *config,
                               struct bst_tls_client *client)
{
    bool psk = client->identity != NULL;
    BST_TRY(bst_tls_ctx_new(config->profile, psk, !psk, &client->ctx, NULL));
    if (config->credential) {
        BST_TRY(bst_tls_ctx_use(client->ctx, config->se, config->credential));
    }
    if (psk) {
        bst_tls_psk_client(client->ctx);
    }
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(client->ctx, bst_tls_verify_cb, NULL);
    if (client->resume) {
        SSL_CTX_set_session_cache_mode(client->ctx,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(client->ctx, keep_ticket);
    }
    return BST_OK;
}

static bst_result client_fill(const struct bst_tls_client_config *config,
                              struct bst_tls_client *client)
{
    client->se = config->se;
    client->psk_key = config->psk_key;
    client->resume = config->resume && !config->psk_identity.len;
    BST_TRY(copy_texts(config, client));
    BST_TRY(bst_tls_slow_of(config->se, client->identity != NULL, config->credential,
                            config->credential ? 1 : 0, &client->slow));
    client->verifier = (struct bst_tls_verifier){
        /* With a PSK the server proves itself by the key alone. */
        .trust = config->trust && !client->identity ? bst_trust_hold(config->trust) : NULL,
        .role = BST_CERT_TLS_SERVER,
        .wall_us = config->wall_us ? config->wall_us : bst_tls_wall_us,
        .expect = client->expect,
        .n_expect = client->n_expect,
    };
    return make_context(config, client);
}

bst_result bst_tls_client_new(const struct bst_tls_client_config *config,
                              struct bst_tls_client **ret)
{
    BST_TRY(check_config(config));
    struct bst_tls_client *client = bst_alloc(sizeof *client);
    BST_ENSURE(client, BST_E_NOMEM);
    atomic_init(&client->holds, 1);
    pthread_mutex_init(&client->lock, NULL);
    bst_result filled = client_fill(config, client);
    if (bst_failed(filled)) {
        bst_tls_client_free(&client);
        return filled;
    }
    *ret = client;
    return BST_OK;
}

struct bst_tls_client *bst_tls_client_hold(struct bst_tls_client *client)
{
    atomic_fetch_add(&client->holds, 1);
    return client;
}

void bst_tls_client_free(struct bst_tls_client **slot)
{
    struct bst_tls_client *client = slot ? *slot : NULL;
    if (!client) {
        return;
    }
    *slot = NULL;
    if (atomic_fetch_sub(&client->holds, 1) != 1) {
        return;
    }
    SSL_SESSION_free(client->session);
    bst_tls_ssl_ctx_free(&client->ctx);
    for (size_t i = 0; i < client->n_expect; i++) {
        char *owned;
        memcpy(&owned, &client->expect[i].value.ptr, sizeof owned);
        bst_free(owned);
    }
    bst_free(client->expect);
    bst_se_close(&client->slow);
    bst_trust_drop(&client->verifier.trust);
    bst_free(client->identity);
    bst_free(client->server_name);
    pthread_mutex_destroy(&client->lock);
    bst_free(client);
}
