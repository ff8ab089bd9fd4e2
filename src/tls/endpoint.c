/* One connection: records in, OpenSSL driven, plaintext and records out. */
#include "tls/tls_priv.h"

#include <ctype.h>

static void on_info(const SSL *ssl, int where, int value)
{
    struct bst_tls *t = SSL_get_app_data(ssl);
    int alert = value & 0xff;
    if (where & SSL_CB_LOOP) {
        bst_tls_psk_message(t);
    }
    if (!(where & SSL_CB_ALERT) || alert == SSL_AD_CLOSE_NOTIFY || alert == SSL_AD_USER_CANCELLED ||
        alert == SSL_AD_NO_RENEGOTIATION) {
        return;
    }
    if (where & SSL_CB_READ) {
        t->alert_read = alert;
    } else {
        t->alert_sent = alert;
    }
}

static void on_trace(int sent, int version, int content_type, const void *bytes, size_t len,
                     SSL *ssl, void *arg)
{
    struct bst_tls *t = arg;
    t->trace(t->trace_ctx, sent != 0, content_type, bst_view_of(bytes, len));
}

bst_result bst_tls_ssl_begin(struct bst_tls *t, SSL_CTX *ctx)
{
    ERR_clear_error();
    bst_auto_ssl *ssl = SSL_new(ctx);
    BIO *bio = ssl ? bst_tls_wire_bio(&t->wire) : NULL;
    BST_ENSURE(bio, BST_E_NOMEM);
    SSL_set_bio(ssl, bio, bio);
    BST_ENSURE(SSL_set_app_data(ssl, t), BST_E_NOMEM);
    SSL_set_info_callback(ssl, on_info);
    if (t->trace) {
        SSL_set_msg_callback(ssl, on_trace);
        SSL_set_msg_callback_arg(ssl, t);
    }
    if (t->client) {
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    t->ssl = bst_steal(&ssl);
    return BST_OK;
}

/* --- life ---------------------------------------------------------------------------------- */

static void hs_clear(struct bst_tls_hs *hs)
{
    bst_secret_clear(&hs->psk);
    bst_tls_scan_clear(&hs->scan);
    bst_buf_clear(&hs->hold);
}

static bst_result endpoint_new(struct bst_tls **ret)
{
    struct bst_tls *t = bst_alloc(sizeof *t);
    BST_ENSURE(t, BST_E_NOMEM);
    t->alert_sent = t->alert_read = -1;
    struct bst_tls_hs *hs = bst_alloc(sizeof *hs);
    if (!hs) {
        bst_free(t);
    }
    BST_ENSURE(hs, BST_E_NOMEM);
    hs->t = t;
    t->hs = hs;
    *ret = t;
    return BST_OK;
}

static void free_tls(struct bst_tls **t)
{
    bst_tls_free(t);
}
#define bst_auto_tls __attribute__((cleanup(free_tls))) struct bst_tls

bst_result bst_tls_accept(struct bst_tls_server *server, struct bst_view peer, struct bst_tls **ret)
{
    bst_auto_tls *t = NULL;
    BST_TRY(endpoint_new(&t));
    t->epoch = bst_tls_epoch_hold(server);
    t->verifier = &t->epoch->verifier;
    t->address = bst_strndup(peer.ptr, peer.len);
    BST_ENSURE(t->address, BST_E_NOMEM);
    *ret = bst_steal(&t);
    return BST_OK;
}

static bst_result client_new(struct bst_tls_client *client,
                             void (*trace)(void *, bool, int, struct bst_view), void *ctx,
                             struct bst_tls **ret)
{
    bst_auto_tls *t = NULL;
    BST_TRY(endpoint_new(&t));
    t->trace = trace;
    t->trace_ctx = ctx;
    t->client = bst_tls_client_hold(client);
    t->verifier = &client->verifier;
    if (client->server_name) {
        t->server_name = bst_strdup(client->server_name);
        BST_ENSURE(t->server_name, BST_E_NOMEM);
    }
    BST_TRY(bst_tls_ssl_begin(t, client->ctx));
    if (t->server_name && !SSL_set_tlsext_host_name(t->ssl, t->server_name)) {
        return bst_tls_openssl_error("server name");
    }
    SSL_SESSION *session = bst_tls_client_session(client);
    if (session) {
        /* Failing to offer it only costs a full handshake. */
        (void)SSL_set_session(t->ssl, session);
        SSL_SESSION_free(session);
    }
    *ret = bst_steal(&t);
    return BST_OK;
}

/** The ClientHello, or a step elsewhere that leads to it. Takes the endpoint. */
static bst_result first_flight(struct bst_tls **slot, struct bst_tls **ret)
{
    bst_auto_tls *t = bst_steal(slot);
    bst_tls_advance(t);
    if (bst_tls_state(t) == BST_TLS_FAILED) {
        BST_FAIL(t->failure->code, "%s", t->failure->reason);
    }
    *ret = bst_steal(&t);
    return BST_OK;
}

bst_result bst_tls_connect_traced(struct bst_tls_client *client,
                                  void (*trace)(void *, bool, int, struct bst_view), void *ctx,
                                  struct bst_tls **ret)
{
    struct bst_tls *t = NULL;
    BST_TRY(client_new(client, trace, ctx, &t));
    return first_flight(&t, ret);
}

bst_result bst_tls_connect(struct bst_tls_client *client, struct bst_tls **ret)
{
    return bst_tls_connect_traced(client, NULL, NULL, ret);
}

bst_result bst_tls_connect_apart(struct bst_tls_client *client,
                                 void (*post)(void *user, struct bst_tls_letter *letter),
                                 void *user, struct bst_tls **ret)
{
    struct bst_tls *t = NULL;
    BST_TRY(client_new(client, NULL, NULL, &t));
    BST_ENSURE(t, BST_E_INTERNAL);
    bst_tls_may_wait(t, post, user);
    return first_flight(&t, ret);
}

void bst_tls_free(struct bst_tls **slot)
{
    struct bst_tls *t = slot ? *slot : NULL;
    if (!t) {
        return;
    }
    *slot = NULL;
    bst_tls_psk_cancel(t);
    if (t->subject && t->epoch->psk.drop_subject) {
        t->epoch->psk.drop_subject(t->epoch->psk.ctx, t->subject);
    }
    if (!t->away || !bst_tls_abandon(t)) {
        bst_tls_destroy(t);
    }
}

void bst_tls_destroy(struct bst_tls *t)
{
    if (t->ssl && t->state != BST_TLS_FAILED) {
        /* Hanging up does not spoil the ticket that came before (RFC 8446 6.1). */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    bst_tls_ssl_free(&t->ssl);
    if (t->hs) {
        hs_clear(t->hs);
        bst_free(t->hs);
    }
    bst_buf_wipe(&t->plain);
    bst_buf_clear(&t->wire.out);
    bst_cert_names_clear(&t->peer.names);
    bst_tls_failure_free(t->failure);
    bst_free(t->address);
    bst_free(t->server_name);
    bst_free(t->identity_text);
    bst_tls_epoch_drop(&t->epoch);
    bst_tls_client_free(&t->client);
    bst_free(t);
}

/* --- after the handshake ------------------------------------------------------------------- */

/** Decrypt everything in wire.in. */
static bst_result read_records(struct bst_tls *t)
{
    while (t->state == BST_TLS_OPEN) {
        size_t pending = (size_t)SSL_pending(t->ssl), got = 0;
        size_t want = pending ? pending : t->wire.in.len < 512 ? 512 : t->wire.in.len;
        want = want > 16384 ? 16384 : want;
        char *at = bst_buf_reserve(&t->plain, want);
        BST_ENSURE(at, BST_E_NOMEM);
        ERR_clear_error();
        if (SSL_read_ex(t->ssl, at, want, &got)) {
            t->plain.len += got;
            continue;
        }
        switch (SSL_get_error(t->ssl, 0)) {
        case SSL_ERROR_WANT_READ:
            return BST_OK;
        case SSL_ERROR_ZERO_RETURN:
            t->state = BST_TLS_CLOSED;
            return BST_OK;
        default:
            return bst_tls_fail_openssl(t);
        }
    }
    return BST_OK;
}

static bst_result open_input(struct bst_tls *t)
{
    bst_result result = read_records(t);
    if (!t->plain.len) {
        bst_buf_clear(&t->plain); /* an idle connection holds no buffer */
    }
    return result;
}

/** Nothing of the pre-shared key stays behind: in TLS 1.3 OpenSSL keeps it as the session's secret.
 */
static void forget_key(struct bst_tls *t)
{
    static const uint8_t zeros[BST_KEY_VALUE_MAX];
    SSL_SESSION *session = SSL_get_session(t->ssl);
    if (session && t->peer.kind == BST_TLS_AUTH_PSK && SSL_version(t->ssl) >= TLS1_3_VERSION) {
        size_t len = SSL_SESSION_get_master_key(session, NULL, 0);
        (void)SSL_SESSION_set1_master_key(session, zeros, len < sizeof zeros ? len : sizeof zeros);
    }
}

static bst_result handshake_done(struct bst_tls *t)
{
    bst_result filled = bst_tls_peer_fill(t);
    if (bst_failed(filled)) {
        return bst_tls_fail(t, filled.code, SSL_AD_INTERNAL_ERROR, bst_error_text(filled.code), "",
                            "");
    }
    if (t->epoch && t->peer.kind == BST_TLS_AUTH_NONE && !t->epoch->anonymous_clients) {
        return bst_tls_fail(t, BST_E_CREDENTIAL, SSL_AD_CERTIFICATE_REQUIRED,
                            "the peer proved nothing", "TS-0003 8.2.2", "");
    }
    forget_key(t);
    hs_clear(t->hs);
    bst_free(t->hs);
    t->hs = NULL;
    t->state = BST_TLS_OPEN;
    return BST_OK;
}

/* --- the handshake ------------------------------------------------------------------------- */

bst_result bst_tls_step(struct bst_tls *t, bool *ret_done)
{
    ERR_clear_error();
    bst_tls_psk_step(t);
    int done = SSL_do_handshake(t->ssl);
    bst_heap_mark_clear(&t->copies);
    *ret_done = done == 1;
    bool fine = *ret_done || SSL_get_error(t->ssl, done) == SSL_ERROR_WANT_READ;
    return fine ? BST_OK : bst_tls_fail_openssl(t);
}

static bst_result after_step(struct bst_tls *t, bool done)
{
    if (done) {
        BST_TRY(handshake_done(t));
        return open_input(t);
    }
    return BST_OK;
}

/** Of a client any flight may need its key, but that the first one needs no certificate's. */
static bool may_need_key(const struct bst_tls *t, struct bst_view in)
{
    return t->client ? t->client->identity || in.len : t->hs->key_needed;
}

/** Let OpenSSL work on these bytes, here or where a slow key keeps nobody waiting. */
static bst_result drive(struct bst_tls *t, struct bst_view in)
{
    bool done;
    if (bst_tls_slow(t) && may_need_key(t, in)) {
        t->hs->key_needed = false;
        bst_result left = bst_tls_leave(t, in, 0);
        return bst_failed(left) ? bst_tls_fail(t, left.code, SSL_AD_INTERNAL_ERROR,
                                               "the secure environment has too much to do", "",
                                               "try again; a token that is busy all the time "
                                               "needs a faster one beside it")
                                : BST_OK;
    }
    t->wire.in = in;
    BST_TRY(bst_tls_step(t, &done));
    return after_step(t, done);
}

static bool name_acceptable(struct bst_view name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!isalnum((unsigned char)c) && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len <= BST_TLS_NAME_MAX;
}

/** Remember the server name and choose who answers; false when nobody does. */
static bst_result take_server_name(struct bst_tls *t, struct bst_view name, bool *ret_known)
{
    if (name_acceptable(name)) {
        t->server_name = bst_strndup(name.ptr, name.len);
        BST_ENSURE(t->server_name, BST_E_NOMEM);
        for (char *c = t->server_name; *c; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
    }
    t->hs->authority = bst_tls_epoch_authority(t->epoch, bst_view(t->server_name));
    *ret_known = t->hs->authority >= 0;
    return BST_OK;
}

static bst_result first_hello(struct bst_tls *t, const struct bst_tls_hello *hello)
{
    bool known = false;
    t->hs->hello_seen = true;
    BST_TRY(take_server_name(t, hello->server_name, &known));
    if (!known) {
        return bst_tls_fail(t, BST_E_HANDSHAKE, SSL_AD_UNRECOGNIZED_NAME,
                            "no authority here answers for the server name that the peer asks for",
                            "TS-0003 10.2.1", "check the FQDN that the peer has configured");
    }
    if ((hello->client_raw_key_only || hello->server_raw_key_only) && !hello->offers_psk_suites &&
        !hello->psk_identity.len) {
        return bst_tls_fail(t, BST_E_BAD_CERT, SSL_AD_UNSUPPORTED_CERTIFICATE,
                            "the peer offers raw public keys only; they are not supported yet",
                            "TS-0003 10.1.1.2", "give the peer an X.509 certificate or a PSK");
    }
    return bst_tls_ssl_begin(t, t->epoch->authorities[t->hs->authority].ctx);
}

static bst_result on_hello(struct bst_tls *t, struct bst_view body)
{
    struct bst_tls_hello hello;
    bool readable = !bst_failed(bst_tls_hello_read(body, &hello));
    t->hs->key_needed = true;
    if (!t->hs->hello_seen) {
        /* What cannot be read goes to OpenSSL, which finds the right alert for it. */
        BST_TRY(readable ? first_hello(t, &hello)
                         : bst_tls_ssl_begin(t, t->epoch->authorities[0].ctx));
    }
    if (readable && t->epoch->has_psk && t->epoch->tls13 && hello.offers_tls13 &&
        hello.psk_identity.len) {
        bst_tls_psk_ask(t, hello.psk_identity);
    }
    return BST_OK;
}

/** RFC 4279 2-4, RFC 5489 2: only PSK suites carry an identity in this message. */
static bst_result on_key_exchange(struct bst_tls *t, struct bst_view body)
{
    const SSL_CIPHER *cipher = t->ssl ? SSL_get_pending_cipher(t->ssl) : NULL;
    int exchange = cipher ? SSL_CIPHER_get_kx_nid(cipher) : NID_undef;
    struct bst_view identity;
    bool by_psk = exchange == NID_kx_psk || exchange == NID_kx_ecdhe_psk ||
                  exchange == NID_kx_dhe_psk || exchange == NID_kx_rsa_psk;
    if (by_psk && t->epoch->has_psk && !bst_failed(bst_tls_key_exchange_read(body, &identity))) {
        bst_tls_psk_ask(t, identity);
    }
    return BST_OK;
}

static bst_result on_message(void *ctx, uint8_t type, struct bst_view body)
{
    struct bst_tls *t = ctx;
    return type == BST_TLS_MSG_CLIENT_HELLO ? on_hello(t, body) : on_key_exchange(t, body);
}

/** Read one record ahead of OpenSSL. */
static bst_result look_at(struct bst_tls *t, struct bst_view record)
{
    uint8_t type =
        (uint8_t)record.ptr[0]; /* NOLINT(clang-analyzer-core.NullDereference): it has a length */
    if (!t->ssl && type != BST_TLS_REC_HANDSHAKE) {
        return bst_tls_ssl_begin(t, t->epoch->authorities[0].ctx); /* not TLS: OpenSSL refuses it */
    }
    if (type == BST_TLS_REC_CCS && t->ssl && SSL_version(t->ssl) < TLS1_3_VERSION) {
        t->hs->scan.stopped = true;
    }
    return bst_tls_scan_record(&t->hs->scan, record, on_message, t);
}

/** Whole records from the start of `in`, of which hs->scanned bytes were read before.
 * @param ret_used  bytes given to OpenSSL */
static bst_result server_records(struct bst_tls *t, struct bst_view in, size_t *ret_used)
{
    size_t used = 0, scanned = t->hs->scanned;
    bst_result result = BST_OK;
    while (bst_tls_state(t) == BST_TLS_HANDSHAKE && !bst_failed(result)) {
        if (t->ssl && scanned > used) {
            struct bst_view ready = {in.ptr + used, scanned - used};
            used = scanned;
            result = drive(t, ready);
            continue;
        }
        size_t n = bst_tls_record_len(bst_view_from(in, scanned));
        if (!n) {
            break;
        }
        result = look_at(t, (struct bst_view){in.ptr + scanned, n});
        scanned += n;
    }
    if (t->hs) {
        t->hs->scanned = scanned - used;
    }
    *ret_used = used;
    return result;
}

#define HELD_TOO_MUCH "the peer sent too much before its handshake could go on"

/** Records, then what belongs to the data that follow, then what has to wait. */
static bst_result server_bytes(struct bst_tls *t, struct bst_view in)
{
    size_t used;
    BST_TRY(server_records(t, in, &used));
    in = bst_view_from(in, used);
    if (bst_tls_state(t) == BST_TLS_OPEN) {
        t->wire.in = in;
        return open_input(t);
    }
    if (bst_tls_state(t) != BST_TLS_CLOSED && in.len) {
        bst_buf_addv(&t->hs->hold, in);
        return bst_buf_check(&t->hs->hold);
    }
    return BST_OK;
}

static bst_result hold(struct bst_tls *t, struct bst_view in)
{
    struct bst_buf *held = &t->hs->hold;
    if (held->len + in.len > TLS_HOLD_MAX) {
        return bst_error_detailed(BST_E_TOO_LONG, HELD_TOO_MUCH);
    }
    bst_buf_addv(held, in);
    return bst_buf_check(held);
}

static bst_result server_input(struct bst_tls *t, struct bst_view in)
{
    struct bst_tls_hs *hs = t->hs;
    if (!hs->hold.len && t->state == BST_TLS_HANDSHAKE) {
        return server_bytes(t, in);
    }
    bst_result held_now = hold(t, in);
    if (held_now.code == BST_E_TOO_LONG) {
        return bst_tls_fail(t, BST_E_TOO_LONG, SSL_AD_RECORD_OVERFLOW, HELD_TOO_MUCH, "", "");
    }
    BST_TRY(held_now);
    bool ready = t->ssl && hs->scanned;
    if (t->state == BST_TLS_WAIT_KEY ||
        (!ready && !bst_tls_record_len(bst_view_from(bst_buf_view(&hs->hold), hs->scanned)))) {
        return BST_OK; /* nothing to move yet, however small the pieces are */
    }
    struct bst_buf held = hs->hold;
    hs->hold = (struct bst_buf){0};
    bst_result result = server_bytes(t, bst_buf_view(&held));
    bst_buf_clear(&held);
    return result;
}

/** After any input: an error of ours ends the connection too, and a failed one keeps no key. */
static bst_result settle(struct bst_tls *t, bst_result result)
{
    if (t->away) {
        return BST_OK; /* it is settled when it is back */
    }
    t->wire.in = (struct bst_view){0};
    if (bst_failed(result) && t->state != BST_TLS_FAILED) {
        result = bst_tls_fail(t, result.code, SSL_AD_INTERNAL_ERROR, bst_error_text(result.code),
                              "", "");
    }
    if (t->state == BST_TLS_FAILED && t->hs) {
        hs_clear(t->hs);
    }
    return result;
}

void bst_tls_advance(struct bst_tls *t)
{
    (void)settle(t, t->client ? drive(t, (struct bst_view){0})
                              : server_input(t, (struct bst_view){0}));
}

/** Everything that came while it was away. */
static bst_result go_on(struct bst_tls *t, bool done)
{
    if (t->hs->overrun) {
        return bst_tls_fail(t, BST_E_TOO_LONG, SSL_AD_RECORD_OVERFLOW, HELD_TOO_MUCH, "", "");
    }
    if (!done && !t->client) {
        return server_input(t, (struct bst_view){0});
    }
    bst_auto(buf) held = t->hs->hold;
    t->hs->hold = (struct bst_buf){0};
    if (!done) {
        return held.len ? drive(t, bst_buf_view(&held)) : BST_OK;
    }
    BST_TRY(after_step(t, true));
    if (t->state == BST_TLS_OPEN) {
        t->wire.in = bst_buf_view(&held);
        return open_input(t);
    }
    return BST_OK;
}

void bst_tls_returned(struct bst_tls *t, bst_result outcome, bool done)
{
    (void)settle(t, bst_failed(outcome) ? outcome : go_on(t, done)).code;
    if (!t->away && t->progress) {
        t->progress(t->progress_user);
    }
}

/* --- the caller's side --------------------------------------------------------------------- */

bst_result bst_tls_feed(struct bst_tls *t, struct bst_view in)
{
    if (t->away) {
        bst_result held = hold(t, in);
        t->hs->overrun = t->hs->overrun || bst_failed(held);
        return held;
    }
    switch (t->state) {
    case BST_TLS_HANDSHAKE:
    case BST_TLS_WAIT_KEY:
        return settle(t, t->client ? drive(t, in) : server_input(t, in));
    case BST_TLS_OPEN:
        t->wire.in = in;
        return settle(t, open_input(t));
    case BST_TLS_CLOSED:
        return BST_OK; /* nothing counts after close_notify */
    case BST_TLS_FAILED:
        break;
    }
    return bst_error(t->failure->code);
}

bst_result bst_tls_feed_eof(struct bst_tls *t)
{
    if (t->away) {
        return bst_error(BST_E_CLOSED);
    }
    switch (t->state) {
    case BST_TLS_CLOSED:
        return BST_OK;
    case BST_TLS_FAILED:
        return bst_error(t->failure->code);
    case BST_TLS_OPEN:
        return bst_tls_fail(t, BST_E_TRUNCATED, -1,
                            "the connection ended without close_notify: data may be missing",
                            "RFC 8446 6.1", "");
    case BST_TLS_HANDSHAKE:
    case BST_TLS_WAIT_KEY:
        break;
    }
    return bst_tls_fail(t, BST_E_CLOSED, -1, "the peer hung up without a word", "",
                        "the peer's log has the reason");
}

bst_result bst_tls_read(struct bst_tls *t, struct bst_buf *ret)
{
    if (!ret->len && !ret->failed) {
        struct bst_buf empty = *ret;
        *ret = t->plain;
        t->plain = (struct bst_buf){0};
        bst_buf_clear(&empty);
        return BST_OK;
    }
    bst_buf_addv(ret, bst_buf_view(&t->plain));
    BST_TRY(bst_buf_check(ret));
    bst_buf_clear(&t->plain);
    return BST_OK;
}

bst_result bst_tls_write(struct bst_tls *t, struct bst_view plain)
{
    size_t written;
    if (t->away || t->state != BST_TLS_OPEN || t->close_sent) {
        return bst_error(BST_E_CLOSED);
    }
    if (!plain.len) {
        return BST_OK;
    }
    ERR_clear_error();
    if (!SSL_write_ex(t->ssl, plain.ptr, plain.len, &written)) {
        return bst_tls_fail_openssl(t);
    }
    return BST_OK;
}

struct bst_view bst_tls_out(const struct bst_tls *t)
{
    if (t->away) {
        return (struct bst_view){0};
    }
    return bst_view_from(bst_buf_view(&t->wire.out), t->wire.sent);
}

void bst_tls_consumed(struct bst_tls *t, size_t bytes)
{
    struct bst_tls_wire *wire = &t->wire;
    if (t->away) {
        return;
    }
    wire->sent += bytes < wire->out.len - wire->sent ? bytes : wire->out.len - wire->sent;
    if (wire->sent == wire->out.len) {
        /* An idle connection holds no buffer. */
        bst_buf_clear(&wire->out);
        wire->sent = 0;
    }
}

struct bst_buf bst_tls_take_out(struct bst_tls *t)
{
    if (t->away) {
        return (struct bst_buf){0};
    }
    bst_buf_consume(&t->wire.out, t->wire.sent);
    struct bst_buf out = t->wire.out;
    t->wire.out = (struct bst_buf){0};
    t->wire.sent = 0;
    return out;
}

void bst_tls_close(struct bst_tls *t)
{
    bst_tls_psk_cancel(t);
    if (!t->away && !t->close_sent && (t->state == BST_TLS_OPEN || t->state == BST_TLS_CLOSED)) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    t->close_sent = true;
}

enum bst_tls_state bst_tls_state(const struct bst_tls *t)
{
    return t->away ? BST_TLS_WAIT_KEY : t->state;
}

void bst_tls_may_wait(struct bst_tls *t, void (*post)(void *user, struct bst_tls_letter *letter),
                      void *user)
{
    t->post = post;
    t->post_user = user;
}

void bst_tls_on_progress(struct bst_tls *t, void (*progress)(void *user), void *user)
{
    t->progress = progress;
    t->progress_user = user;
}

const struct bst_tls_peer *bst_tls_peer(const struct bst_tls *t)
{
    return t->hs ? NULL : &t->peer;
}
