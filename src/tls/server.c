/* What the connections of a listener share, in generations that are replaced whole. */
#include "tls/tls_priv.h"

#include "crypto/digest.h"
#include "crypto/rand.h"

#include <time.h>

struct bst_tls_server {
    pthread_mutex_t lock;
    struct bst_tls_epoch *current; /* under `lock` */
};

int64_t bst_tls_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* house: ok, sys is a layer above */
    return (int64_t)now.tv_sec * BST_US_PER_S + now.tv_nsec / 1000;
}

/* --- tickets ------------------------------------------------------------------------------- */

/* Each SSL_CTX has ticket keys of its own, made at random: a ticket of another authority or
 * generation cannot be read. The generation inside says it once more. */

static int ticket_make(SSL *ssl, void *arg)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &t->epoch->generation,
                                           sizeof t->epoch->generation);
}

/** May this session go on? Its certificate is judged as if it came now. */
static bool ticket_allowed(struct bst_tls *t, SSL_SESSION *session)
{
    const struct bst_tls_epoch *epoch = t->epoch;
    void *data;
    size_t len;
    if (!SSL_SESSION_get0_ticket_appdata(session, &data, &len) || len != sizeof epoch->generation ||
        memcmp(data, &epoch->generation, len) != 0) { /* house: ok, a number that is no secret */
        return false;
    }
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (!leaf) {
        return epoch->anonymous_clients;
    }
    struct bst_cert_facts facts;
    return !bst_failed(bst_tls_verify_leaf(&epoch->verifier, leaf, NULL)) &&
           !bst_failed(bst_cert_facts(leaf, &facts)) &&
           (!epoch->resume_allowed || epoch->resume_allowed(epoch->ctx, &facts));
}

static SSL_TICKET_RETURN ticket_take(SSL *ssl, SSL_SESSION *session, const unsigned char *key_name,
                                     size_t key_name_len, SSL_TICKET_STATUS status, void *arg)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    bool allowed = ticket_allowed(t, session);
    ERR_clear_error();
    return allowed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
}

/** Tickets exist in TLS 1.3 only: those of 1.2 travel in clear and undo forward secrecy. */
static int before_certificate(SSL *ssl, void *arg)
{
    if (SSL_version(ssl) < TLS1_3_VERSION) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
    }
    return 1;
}

static bst_result set_tickets(SSL_CTX *ctx, uint32_t lifetime_s)
{
    if (!lifetime_s) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return BST_OK;
    }
    SSL_CTX_set_timeout(ctx, (long)lifetime_s);
    SSL_CTX_set_cert_cb(ctx, before_certificate, NULL);
    if (!SSL_CTX_set_num_tickets(ctx, 1) ||
        !SSL_CTX_set_session_ticket_cb(ctx, ticket_make, ticket_take, NULL)) {
        return bst_tls_openssl_error("session tickets");
    }
    return BST_OK;
}

/* --- authorities --------------------------------------------------------------------------- */

/** The name was chosen before OpenSSL began; here it is only acknowledged. */
static int acknowledge_name(SSL *ssl, int *alert, void *arg)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    if (!t->server_name || !bst_view_eq_nocase(bst_view(name), bst_view(t->server_name))) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/** Names of the anchors: a client with several certificates chooses by them. */
static bst_result announce_anchors(SSL_CTX *ctx, const struct bst_trust *trust)
{
    for (size_t i = 0; trust && i < bst_trust_anchor_count(trust) && i < 32; i++) {
        if (SSL_CTX_add_client_CA(ctx, bst_trust_anchor(trust, i)) != 1) {
            return bst_tls_openssl_error("list of acceptable CAs");
        }
    }
    return BST_OK;
}

/** Sessions of one authority and generation are none of another's. */
static bst_result set_session_context(SSL_CTX *ctx, const struct bst_tls_epoch *epoch,
                                      const char *name)
{
    uint8_t id[BST_SHA256_BYTES];
    struct bst_view parts[] = {
        bst_view_of(&epoch->generation, sizeof epoch->generation),
        bst_view(name),
    };
    BST_TRY(bst_digest(BST_MD_SHA256, parts, 2, id));
    if (SSL_CTX_set_session_id_context(ctx, id, sizeof id) != 1) {
        return bst_tls_openssl_error("session context");
    }
    return BST_OK;
}

static bst_result authority_init(const struct bst_tls_server_config *config,
                                 struct bst_tls_epoch *epoch, const struct bst_tls_credential *own,
                                 struct bst_tls_authority *ret)
{
    const char *name = own ? own->server_name : NULL;
    if (name) {
        if (!*name || strlen(name) > BST_TLS_NAME_MAX) {
            BST_FAIL(BST_E_CONFIG, "server name \"%.300s\": 1 to 255 characters are possible",
                     name);
        }
        ret->name = bst_strdup(name);
        BST_ENSURE(ret->name, BST_E_NOMEM);
    }
    BST_TRY(bst_tls_ctx_new(config->profile, epoch->has_psk, own != NULL, &ret->ctx, NULL));
    if (own) {
        BST_TRY(bst_tls_ctx_use(ret->ctx, config->se, own));
    }
    if (epoch->has_psk) {
        bst_tls_psk_server(ret->ctx);
    }
    if (!config->anonymous_clients) {
        SSL_CTX_set_verify(ret->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        BST_TRY(announce_anchors(ret->ctx, config->trust));
    }
    SSL_CTX_set_cert_verify_callback(ret->ctx, bst_tls_verify_cb, NULL);
    SSL_CTX_set_tlsext_servername_callback(ret->ctx, acknowledge_name);
    BST_TRY(set_session_context(ret->ctx, epoch, name));
    return set_tickets(ret->ctx, config->ticket_lifetime_s);
}

int bst_tls_epoch_authority(const struct bst_tls_epoch *epoch, struct bst_view name)
{
    int fallback = 0;
    for (size_t i = 0; i < epoch->n_authorities; i++) {
        const char *own = epoch->authorities[i].name;
        if (!own) {
            fallback = (int)i;
        } else if (bst_view_eq_nocase(bst_view(own), name)) {
            return (int)i;
        }
    }
    return epoch->refuse_unknown_name && name.len ? -1 : fallback;
}

/* --- generations --------------------------------------------------------------------------- */

void bst_tls_epoch_drop(struct bst_tls_epoch **slot)
{
    struct bst_tls_epoch *epoch = *slot;
    *slot = NULL;
    if (!epoch || atomic_fetch_sub(&epoch->holds, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < epoch->n_authorities; i++) {
        bst_tls_ssl_ctx_free(&epoch->authorities[i].ctx);
        bst_free(epoch->authorities[i].name);
    }
    bst_free(epoch->authorities);
    bst_se_close(&epoch->slow);
    bst_trust_drop(&epoch->verifier.trust);
    bst_wipe(epoch->dummy_seed, sizeof epoch->dummy_seed);
    bst_free(epoch);
}
#define bst_auto_epoch __attribute__((cleanup(bst_tls_epoch_drop))) struct bst_tls_epoch

static bst_result epoch_fill(const struct bst_tls_server_config *config,
                             struct bst_tls_epoch *epoch)
{
    size_t n = config->n_credentials ? config->n_credentials : 1;
    epoch->authorities = bst_alloc(n * sizeof *epoch->authorities);
    BST_ENSURE(epoch->authorities, BST_E_NOMEM);
    epoch->n_authorities = n;
    for (size_t i = 0; i < n; i++) {
        const struct bst_tls_credential *own =
            config->n_credentials ? &config->credentials[i] : NULL;
        BST_TRY(authority_init(config, epoch, own, &epoch->authorities[i]));
    }
    return BST_OK;
}

static bst_result epoch_new(const struct bst_tls_server_config *config, uint64_t generation,
                            struct bst_tls_epoch **ret)
{
    if (!config->psk && !config->n_credentials) {
        BST_FAIL(BST_E_CONFIG, "a TLS server needs a certificate or an identity source for PSKs");
    }
    bst_auto_epoch *epoch = bst_alloc(sizeof *epoch);
    BST_ENSURE(epoch, BST_E_NOMEM);
    atomic_init(&epoch->holds, 1);
    epoch->generation = generation;
    epoch->se = config->se;
    epoch->has_psk = config->psk != NULL;
    if (config->psk) {
        epoch->psk = *config->psk;
    }
    epoch->tls13 = config->profile->max_version >= TLS1_3_VERSION;
    epoch->refuse_unknown_name = config->refuse_unknown_name;
    epoch->anonymous_clients = config->anonymous_clients;
    epoch->resume_allowed = config->resume_allowed;
    epoch->ctx = config->ctx;
    epoch->verifier = (struct bst_tls_verifier){
        .trust = config->trust ? bst_trust_hold(config->trust) : NULL,
        .role = BST_CERT_TLS_CLIENT,
        .wall_us = config->wall_us ? config->wall_us : bst_tls_wall_us,
    };
    BST_TRY(bst_random(epoch->dummy_seed, sizeof epoch->dummy_seed));
    BST_TRY(bst_tls_slow_of(config->se, config->psk != NULL, config->credentials,
                            config->n_credentials, &epoch->slow));
    BST_TRY(epoch_fill(config, epoch));
    *ret = bst_steal(&epoch);
    return BST_OK;
}

struct bst_tls_epoch *bst_tls_epoch_hold(struct bst_tls_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct bst_tls_epoch *epoch = server->current;
    atomic_fetch_add(&epoch->holds, 1);
    pthread_mutex_unlock(&server->lock);
    return epoch;
}

bst_result bst_tls_server_new(const struct bst_tls_server_config *config,
                              struct bst_tls_server **ret)
{
    struct bst_tls_server *server = bst_alloc(sizeof *server);
    BST_ENSURE(server, BST_E_NOMEM);
    bst_result made = epoch_new(config, 1, &server->current);
    if (bst_failed(made)) {
        bst_free(server);
        return made;
    }
    pthread_mutex_init(&server->lock, NULL);
    *ret = server;
    return BST_OK;
}

bst_result bst_tls_server_replace(struct bst_tls_server *server,
                                  const struct bst_tls_server_config *config)
{
    bst_auto_epoch *next = NULL;
    /* Two replacements at once may both build; the numbers still only grow. */
    BST_TRY(epoch_new(config, bst_tls_server_generation(server) + 1, &next));
    pthread_mutex_lock(&server->lock);
    struct bst_tls_epoch *old = server->current;
    server->current = next;
    pthread_mutex_unlock(&server->lock);
    next = old;
    return BST_OK;
}

uint64_t bst_tls_server_generation(struct bst_tls_server *server)
{
    pthread_mutex_lock(&server->lock);
    uint64_t generation = server->current->generation;
    pthread_mutex_unlock(&server->lock);
    return generation;
}

void bst_tls_server_free(struct bst_tls_server **slot)
{
    struct bst_tls_server *server = slot ? *slot : NULL;
    if (server) {
        bst_tls_epoch_drop(&server->current);
        pthread_mutex_destroy(&server->lock);
        bst_free(server);
        *slot = NULL;
    }
}
