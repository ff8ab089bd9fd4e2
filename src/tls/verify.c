/* Whether the peer's certificate is accepted, and what it proves. TS-0003 8.1.2.2, 10.1.1. */
#include "tls/tls_priv.h"

static bst_result expected_name(const struct bst_tls_verifier *verifier, X509 *leaf)
{
    for (size_t i = 0; i < verifier->n_expect; i++) {
        bst_result found =
            bst_cert_expect(leaf, verifier->expect[i].flavour, verifier->expect[i].value);
        if (!bst_failed(found) || i + 1 == verifier->n_expect) {
            return found;
        }
    }
    return BST_OK;
}

bst_result bst_tls_verify_leaf(const struct bst_tls_verifier *verifier, X509 *leaf,
                               STACK_OF(X509) * chain)
{
    if (!verifier->trust) {
        BST_FAIL(BST_E_BAD_CERT,
                 "no trust anchor is configured, certificates are not accepted here");
    }
    BST_TRY(bst_trust_verify(verifier->trust, leaf, chain, verifier->role, verifier->wall_us()));
    BST_TRY(expected_name(verifier, leaf));
    bst_auto(cert_names) names = {0};
    return bst_cert_names(leaf, &names);
}

/** The class goes to the peer, as the alert that OpenSSL makes of this; the reason stays here. */
static int alert_class(enum bst_error code)
{
    switch (code) {
    case BST_E_EXPIRED:
        return X509_V_ERR_CERT_HAS_EXPIRED;
    case BST_E_REVOKED:
        return X509_V_ERR_CERT_REVOKED;
    case BST_E_NOMEM:
        return X509_V_ERR_OUT_OF_MEM;
    default:
        return X509_V_ERR_CERT_REJECTED;
    }
}

int bst_tls_verify_cb(X509_STORE_CTX *store_ctx, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct bst_tls *t = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store_ctx);
    char subject[128];
    bst_cert_subject_text(leaf, subject, sizeof subject);
    bst_free(t->identity_text);
    t->identity_text = bst_strdup(subject);
    t->verify = bst_tls_verify_leaf(t->verifier, leaf, X509_STORE_CTX_get0_untrusted(store_ctx));
    if (bst_failed(t->verify)) {
        snprintf(t->verify_detail, sizeof t->verify_detail, "%s", bst_error_detail());
        X509_STORE_CTX_set_error(store_ctx, alert_class(t->verify.code));
        return 0;
    }
    X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
    return 1;
}

/** Key exchange group; OpenSSL knows it for ECDHE and TLS 1.3 only. */
static void fill_group(struct bst_tls *t, bool has_exchange)
{
    long nid = has_exchange ? SSL_get_negotiated_group(t->ssl) : 0;
    const char *name = NULL;
    if (nid & TLSEXT_nid_unknown) {
        name = SSL_group_to_name(t->ssl, (int)nid);
    } else if (nid) {
        name = OBJ_nid2sn((int)nid);
    }
    snprintf(t->group, sizeof t->group, "%s", name ? name : "");
    t->peer.group = t->group;
}

static void fill_session(struct bst_tls *t)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    bool tls13 = SSL_version(t->ssl) >= TLS1_3_VERSION;
    int exchange = cipher ? SSL_CIPHER_get_kx_nid(cipher) : NID_undef;
    t->peer.version = SSL_get_version(t->ssl);
    t->peer.suite = cipher ? SSL_CIPHER_standard_name(cipher) : "";
    t->peer.forward_secret = tls13 || (exchange != NID_kx_psk && exchange != NID_kx_rsa);
    t->peer.extended_master_secret = tls13 || SSL_get_extms_support(t->ssl) == 1;
    t->peer.server_name = bst_view(t->server_name);
    t->peer.generation = t->epoch ? t->epoch->generation : 0;
    fill_group(t, t->peer.forward_secret);
}

static bst_result fill_certificate(struct bst_tls *t, X509 *leaf)
{
    BST_TRY(bst_cert_names(leaf, &t->peer.names));
    BST_TRY(bst_cert_facts(leaf, &t->peer.facts));
    if (!t->identity_text) {
        char subject[128];
        bst_cert_subject_text(leaf, subject, sizeof subject);
        t->identity_text = bst_strdup(subject);
        BST_ENSURE(t->identity_text, BST_E_NOMEM);
    }
    t->peer.kind = BST_TLS_AUTH_CERT;
    t->peer.subject_text = bst_view(t->identity_text);
    return BST_OK;
}

/** Did the PSK of this handshake, and nothing else, authenticate the session?
 *
 * In TLS 1.3 a hello may carry an identity and a ticket; which one was taken shows in the secret
 * that the session began with, not in what was offered or asked for. */
static bool by_psk(const struct bst_tls *t)
{
    const struct bst_secret *psk = &t->hs->psk;
    if (!psk->len) {
        return false;
    }
    if (SSL_version(t->ssl) < TLS1_3_VERSION) {
        return SSL_CIPHER_get_auth_nid(SSL_get_current_cipher(t->ssl)) == NID_auth_psk;
    }
    uint8_t secret[BST_KEY_VALUE_MAX];
    size_t len = SSL_SESSION_get_master_key(SSL_get_session(t->ssl), secret, sizeof secret);
    bool same = len == psk->len && bst_equal_ct(secret, psk->ptr, len);
    bst_wipe(secret, sizeof secret);
    return same && SSL_session_reused(t->ssl);
}

static bst_result fill_psk(struct bst_tls *t)
{
    const char *identity = t->client ? t->client->identity : t->hs->identity;
    bst_free(t->identity_text);
    t->identity_text = bst_strdup(identity);
    BST_ENSURE(t->identity_text, BST_E_NOMEM);
    t->peer.kind = BST_TLS_AUTH_PSK;
    t->peer.identity = bst_view(t->identity_text);
    t->peer.subject = t->subject;
    return BST_OK;
}

bst_result bst_tls_peer_fill(struct bst_tls *t)
{
    fill_session(t);
    bool psk = by_psk(t);
    t->peer.resumed = SSL_session_reused(t->ssl) && !psk;
    if (psk) {
        return fill_psk(t);
    }
    X509 *leaf = SSL_get0_peer_certificate(t->ssl);
    return leaf ? fill_certificate(t, leaf) : BST_OK;
}

bool bst_tls_still_trusted(const struct bst_tls *t, struct bst_tls_server *server)
{
    if (t->state != BST_TLS_OPEN || t->peer.kind != BST_TLS_AUTH_CERT) {
        return t->state == BST_TLS_OPEN;
    }
    struct bst_tls_epoch *epoch = bst_tls_epoch_hold(server);
    X509 *leaf = SSL_get0_peer_certificate(t->ssl);
    bool trusted = t->peer.generation == epoch->generation ||
                   (leaf && !bst_failed(bst_tls_verify_leaf(&epoch->verifier, leaf,
                                                            SSL_get_peer_cert_chain(t->ssl))));
    ERR_clear_error();
    bst_tls_epoch_drop(&epoch);
    return trusted;
}
