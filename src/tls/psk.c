/* Pre-shared keys: RFC 4279 and RFC 5489 in TLS 1.2, RFC 8446 4.2.11 in TLS 1.3.
 *
 * By the time OpenSSL asks, the answer is there: endpoint.c held the message back. An identity that
 * nobody has goes on with a key that only this process can compute, and so fails as a wrong key. */
#include "tls/tls_priv.h"

#include "base/map.h"
#include "crypto/digest.h"

static const uint8_t aes_128_gcm_sha256[2] = {0x13, 0x01};

static bool identity_is(const struct bst_tls_hs *hs, struct bst_view identity)
{
    return bst_view_eq(bst_view_of(hs->identity, hs->identity_len), identity);
}

/** The key of an identity, or one that fits nothing. */
static bst_result key_for(struct bst_tls *t, struct bst_view identity, struct bst_secret *ret)
{
    struct bst_tls_hs *hs = t->hs;
    if (hs->psk.len && identity_is(hs, identity)) {
        return bst_secret_copy(ret, hs->psk.ptr, hs->psk.len);
    }
    BST_TRY(bst_secret_init(ret, TLS_DUMMY_BYTES));
    return bst_hmac_sha256(bst_view_of(t->epoch->dummy_seed, TLS_DUMMY_BYTES), &identity, 1,
                           ret->ptr);
}

static SSL_SESSION *session_of_key(SSL *ssl, const struct bst_secret *psk)
{
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
    if (session && cipher && SSL_SESSION_set1_master_key(session, psk->ptr, psk->len) &&
        SSL_SESSION_set_cipher(session, cipher) &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION)) {
        return session;
    }
    SSL_SESSION_free(session);
    return NULL;
}

/* From the moment that OpenSSL has a key of ours until it goes on to its next message, what it
 * allocates may be a copy: the premaster secret and the inputs of its KDFs, the session. TLS 1.2
 * takes the key on the stack first. */
static void begin_copies(struct bst_tls *t)
{
    if (!t->copies.set) {
        t->copies = bst_heap_enter();
    }
}

void bst_tls_psk_step(struct bst_tls *t)
{
    if (t->client && t->client->identity) {
        begin_copies(t); /* a TLS 1.3 client copies its session again with the answer */
    }
}

void bst_tls_psk_message(struct bst_tls *t)
{
    if (!t->client) {
        bst_heap_mark_clear(&t->copies);
    }
}

/** TLS 1.3, server. No session without an error sends OpenSSL on to its tickets. */
static int find_session(SSL *ssl, const unsigned char *bytes, size_t len, SSL_SESSION **ret)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    struct bst_view identity = bst_view_of(bytes, len);
    *ret = NULL;
    if (!t->hs || !bst_tls_identity_is_text(identity)) {
        return 1;
    }
    bst_auto(secret) psk = {0};
    if (bst_failed(key_for(t, identity, &psk))) {
        return 0;
    }
    /* Resuming costs as much as the PSK itself and would outlive the key. */
    SSL_set_num_tickets(ssl, 0);
    begin_copies(t);
    *ret = session_of_key(ssl, &psk);
    return *ret != NULL;
}

/** TLS 1.2, server: the number of key bytes, 0 fails the handshake. */
static unsigned int server_key(SSL *ssl, const char *identity, unsigned char *out, unsigned int cap)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    if (!t->hs || !identity || SSL_version(ssl) >= TLS1_3_VERSION) {
        return 0;
    }
    bst_auto(secret) psk = {0};
    if (bst_failed(key_for(t, bst_view(identity), &psk)) || psk.len > cap) {
        return 0;
    }
    begin_copies(t);
    bst_pages_hide(out, cap);
    memcpy(out, psk.ptr, psk.len);
    return (unsigned int)psk.len;
}

void bst_tls_psk_server(SSL_CTX *ctx)
{
    SSL_CTX_set_psk_find_session_callback(ctx, find_session);
    SSL_CTX_set_psk_server_callback(ctx, server_key);
}

/** Client: one release a handshake, however often OpenSSL asks. */
static bool client_release(struct bst_tls *t)
{
    struct bst_tls_hs *hs = t->hs;
    if (!hs || hs->psk.len) {
        return hs != NULL;
    }
    char why[BST_TLS_NAME_MAX + 32];
    snprintf(why, sizeof why, "tls handshake with %s",
             t->server_name ? t->server_name : "a server");
    bst_result released = bst_se_release_psk(t->client->se, t->client->psk_key, why, &hs->psk);
    if (bst_failed(released)) {
        snprintf(hs->note, sizeof hs->note, "own PSK not usable: %.120s", bst_error_detail());
    }
    return !bst_failed(released);
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **ret_id, size_t *ret_len,
                       SSL_SESSION **ret)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    *ret = NULL;
    if (md && !EVP_MD_is_a(md, "SHA256")) {
        return 1;
    }
    if (!client_release(t)) {
        return 0;
    }
    begin_copies(t);
    *ret = session_of_key(ssl, &t->hs->psk);
    *ret_id = (const unsigned char *)t->client->identity;
    *ret_len = strlen(t->client->identity);
    return *ret != NULL;
}

static unsigned int client_key(SSL *ssl, const char *hint, char *identity,
                               unsigned int identity_cap, unsigned char *out, unsigned int cap)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    size_t len = strlen(t->client->identity);
    if (len > identity_cap || !client_release(t) || t->hs->psk.len > cap) {
        return 0;
    }
    memcpy(identity, t->client->identity, len);
    if (len < identity_cap) {
        identity[len] = '\0';
    }
    begin_copies(t);
    bst_pages_hide(out, cap);
    memcpy(out, t->hs->psk.ptr, t->hs->psk.len);
    return (unsigned int)t->hs->psk.len;
}

void bst_tls_psk_client(SSL_CTX *ctx)
{
    SSL_CTX_set_psk_use_session_callback(ctx, use_session);
    SSL_CTX_set_psk_client_callback(ctx, client_key);
}

void bst_tls_psk_ask(struct bst_tls *t, struct bst_view identity)
{
    struct bst_tls_hs *hs = t->hs;
    if (hs->asked) {
        return; /* a second ClientHello: what is not the first identity gets a dummy key */
    }
    hs->asked = true;
    if (identity.len > BST_TLS_IDENTITY_MAX || !bst_tls_identity_is_text(identity)) {
        snprintf(hs->note, sizeof hs->note,
                 identity.len > BST_TLS_IDENTITY_MAX
                     ? "the PSK identity has %zu octets, at most 256 are possible"
                     : "the PSK identity of %zu octets is not text",
                 identity.len);
        hs->answered = true;
        return;
    }
    memcpy(hs->identity, identity.ptr, identity.len);
    hs->identity_len = identity.len;
    hs->lookup.identity = bst_view_of(hs->identity, hs->identity_len);
    const char *name = t->epoch->authorities[hs->authority].name;
    hs->lookup.server_name = bst_view(name);
    hs->lookup.peer = bst_view(t->address);
    t->state = BST_TLS_WAIT_KEY;
    hs->asking = true;
    t->epoch->psk.start(t->epoch->psk.ctx, &hs->lookup);
    hs->asking = false;
}

void bst_tls_psk_take(struct bst_tls *t, bst_result result, bst_key key)
{
    struct bst_tls_hs *hs = t->hs;
    if (!bst_failed(result) && key) {
        char why[80];
        snprintf(why, sizeof why, "tls handshake with %.48s", t->address);
        result = bst_se_release_psk(t->epoch->se, key, why, &hs->psk);
    }
    if (bst_failed(result)) {
        const char *detail = bst_error_detail();
        snprintf(hs->note, sizeof hs->note, "no key for the PSK identity: %.120s",
                 *detail ? detail : bst_error_text(result.code));
    } else if (!key) {
        snprintf(hs->note, sizeof hs->note, "nobody has this PSK identity");
    }
}

void bst_tls_lookup_done(struct bst_tls_lookup *lookup, bst_result result, bst_key key,
                         void *subject)
{
    struct bst_tls_hs *hs = bst_container_of(lookup, struct bst_tls_hs, lookup);
    struct bst_tls *t = hs->t;
    if (BST_BUG(hs->answered || t->state != BST_TLS_WAIT_KEY)) {
        return;
    }
    hs->answered = true;
    t->subject = subject;
    t->state = BST_TLS_HANDSHAKE;
    if (!bst_failed(result) && key && bst_tls_slow(t) && bst_se_slow(t->epoch->se)) {
        result = bst_tls_leave(t, (struct bst_view){0}, key);
        if (!bst_failed(result)) {
            return;
        }
    }
    bst_tls_psk_take(t, result, key);
    if (!hs->asking) {
        bst_tls_advance(t);
        if (t->progress) {
            t->progress(t->progress_user);
        }
    }
}

void bst_tls_psk_cancel(struct bst_tls *t)
{
    if (t->hs && t->hs->asked && !t->hs->answered) {
        t->hs->answered = true;
        t->epoch->psk.cancel(t->epoch->psk.ctx, &t->hs->lookup);
    }
}
