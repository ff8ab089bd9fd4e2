/* Why a connection failed, in words: which side, at which step, what to do.
 *
 * Three sources: our own decision, an alert of the peer, OpenSSL's reason. */
#include "tls/tls_priv.h"

struct explanation {
    int id; /* alert or OpenSSL reason */
    enum bst_error code;
    const char *reason, *clause, *remedy;
};

#define COMPARE_SUITES                                                                             \
    "compare the TLS profiles of both sides; a PSK needs a PSK suite, a certificate an "           \
    "ECDHE_ECDSA one"
#define COMPARE_KEYS                                                                               \
    "check on both sides that the identity names the same key; enrol again if in doubt"

/* Alerts that the peer sends: what it means there (RFC 8446 6.2). */
static const struct explanation alerts[] = {
    {SSL_AD_BAD_RECORD_MAC, BST_E_CREDENTIAL,
     "the peer cannot read our messages: it has another key for this PSK identity, or none",
     "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_AD_DECRYPT_ERROR, BST_E_CREDENTIAL,
     "the peer found a key proof wrong: it has another key for this PSK identity, or none; or a "
     "signature of ours does not match our certificate",
     "TS-0003 8.2.2", COMPARE_KEYS},
    {SSL_AD_ILLEGAL_PARAMETER, BST_E_CREDENTIAL,
     "the peer refused a parameter; with a PSK in TLS 1.3: it has another key for this identity, "
     "or "
     "none",
     "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_AD_UNKNOWN_PSK_IDENTITY, BST_E_CREDENTIAL, "the peer does not know this PSK identity",
     "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_AD_HANDSHAKE_FAILURE, BST_E_HANDSHAKE, "the peer found nothing acceptable in our offer",
     "TS-0003 10.2", COMPARE_SUITES},
    {SSL_AD_INSUFFICIENT_SECURITY, BST_E_HANDSHAKE, "the peer asks for stronger parameters",
     "TS-0003 10.2", COMPARE_SUITES},
    {SSL_AD_PROTOCOL_VERSION, BST_E_HANDSHAKE, "the peer does not speak our TLS versions",
     "TS-0003 10.2.1", "choose a profile with a version that the peer has"},
    {SSL_AD_CERTIFICATE_EXPIRED, BST_E_EXPIRED, "the peer says that our certificate has expired",
     "TS-0003 8.1.2.2", "renew our certificate; compare the clocks"},
    {SSL_AD_CERTIFICATE_REVOKED, BST_E_REVOKED,
     "the peer says that our certificate is revoked, or that it lacks a current CRL",
     "TS-0003 8.1.2.2", "ask the peer's operator; enrol again"},
    {SSL_AD_UNKNOWN_CA, BST_E_BAD_CERT, "the peer does not trust the CA of our certificate",
     "TS-0003 8.1.2.2", "give the peer our CA as trust anchor, or send the missing intermediates"},
    {SSL_AD_BAD_CERTIFICATE, BST_E_BAD_CERT, "the peer refused our certificate", "TS-0003 8.1.2.2",
     "the peer's log has the reason: CA, name, name constraint or purpose"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, BST_E_BAD_CERT,
     "the peer does not take this kind of certificate", "TS-0003 10.1.1",
     "use an X.509 certificate with an EC P-256 key"},
    {SSL_AD_CERTIFICATE_UNKNOWN, BST_E_BAD_CERT, "the peer refused our certificate",
     "TS-0003 8.1.2.2", "the peer's log has the reason"},
    {SSL_AD_CERTIFICATE_REQUIRED, BST_E_CREDENTIAL, "the peer asks for a certificate, or for a PSK",
     "TS-0003 8.2.2", "configure a credential for this peer"},
    {SSL_AD_UNRECOGNIZED_NAME, BST_E_HANDSHAKE, "the peer does not answer for this server name",
     "TS-0003 10.2.1", "check the FQDN that is configured for the peer"},
    {SSL_AD_ACCESS_DENIED, BST_E_DENIED, "the peer denies access", "", ""},
    {SSL_AD_INTERNAL_ERROR, BST_E_HANDSHAKE, "the peer has an internal error", "",
     "the peer's log has the reason"},
};

/* OpenSSL's reasons on our side. */
static const struct explanation reasons[] = {
    {SSL_R_BINDER_DOES_NOT_VERIFY, BST_E_CREDENTIAL,
     "the peer has another key for this PSK identity", "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, BST_E_CREDENTIAL,
     "the peer's messages cannot be decrypted; with a PSK: it has another key for this identity",
     "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_R_DIGEST_CHECK_FAILED, BST_E_CREDENTIAL, "the peer's Finished message does not match",
     "TS-0003 8.2.2.1", COMPARE_KEYS},
    {SSL_R_NO_SHARED_CIPHER, BST_E_HANDSHAKE, "no cipher suite in common", "TS-0003 10.2",
     COMPARE_SUITES},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, BST_E_HANDSHAKE,
     "no credential of ours fits what the peer offers", "TS-0003 10.2", COMPARE_SUITES},
    {SSL_R_NO_SUITABLE_KEY_SHARE, BST_E_HANDSHAKE, "no key exchange group in common",
     "TS-0003 10.2", "the peer needs P-256"},
    {SSL_R_UNSUPPORTED_PROTOCOL, BST_E_HANDSHAKE, "no TLS version in common", "TS-0003 10.2.1",
     "the peer needs the versions of our profile"},
    {SSL_R_WRONG_VERSION_NUMBER, BST_E_SYNTAX, "what came is not TLS", "TS-0003 10.2.1",
     "check the port and that the peer speaks TLS"},
    {SSL_R_HTTP_REQUEST, BST_E_SYNTAX, "a plain HTTP request came to a TLS port", "TS-0003 10.2.1",
     "use https in the peer's address"},
    {SSL_R_HTTPS_PROXY_REQUEST, BST_E_SYNTAX, "a proxy request came to a TLS port", "", ""},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, BST_E_CREDENTIAL,
     "the peer presented neither a PSK nor a certificate", "TS-0003 8.2.2",
     "configure a credential on the peer"},
    {SSL_R_DATA_LENGTH_TOO_LONG, BST_E_TOO_LONG, "the PSK identity is longer than 256 octets", "",
     "use a shorter FQDN in key identifiers"},
    {SSL_R_BAD_SIGNATURE, BST_E_CREDENTIAL, "the peer's signature does not match its certificate",
     "TS-0003 8.2.2.2", "the peer's private key belongs to another certificate"},
    {SSL_R_UNSOLICITED_EXTENSION, BST_E_SYNTAX, "the peer answered what was not asked", "", ""},
};

static const struct explanation *explain(const struct explanation *table, size_t n, int id)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].id == id) {
            return &table[i];
        }
    }
    return NULL;
}
#define EXPLAIN(table, id) explain((table), sizeof(table) / sizeof(table)[0], (id))

static const char *remedy_of_cert(enum bst_error code)
{
    switch (code) {
    case BST_E_EXPIRED:
        return "renew the peer's certificate; compare the clocks";
    case BST_E_REVOKED:
        return "renew the CRL if it is stale; otherwise the peer has to enrol again";
    default:
        return "compare the peer's certificate with the configured trust anchors and names";
    }
}

static const char *step_of(const struct bst_tls *t)
{
    if (!t->ssl) {
        return "hello";
    }
    switch (SSL_get_state(t->ssl)) {
    case TLS_ST_BEFORE:
    case TLS_ST_CW_CLNT_HELLO:
    case TLS_ST_SR_CLNT_HELLO:
        return "hello of the client";
    case TLS_ST_CR_SRVR_HELLO:
    case TLS_ST_SW_SRVR_HELLO:
    case TLS_ST_CR_ENCRYPTED_EXTENSIONS:
    case TLS_ST_SW_ENCRYPTED_EXTENSIONS:
    case TLS_ST_CR_CERT_REQ:
    case TLS_ST_SW_CERT_REQ:
    case TLS_ST_SW_SRVR_DONE:
    case TLS_ST_CR_SRVR_DONE:
        return "hello of the server";
    case TLS_ST_CR_CERT:
    case TLS_ST_CR_CERT_VRFY:
    case TLS_ST_SW_CERT:
    case TLS_ST_SW_CERT_VRFY:
        return "certificate of the server";
    case TLS_ST_SR_CERT:
    case TLS_ST_SR_CERT_VRFY:
    case TLS_ST_CW_CERT:
    case TLS_ST_CW_CERT_VRFY:
        return "certificate of the client";
    case TLS_ST_CR_KEY_EXCH:
    case TLS_ST_SW_KEY_EXCH:
    case TLS_ST_SR_KEY_EXCH:
    case TLS_ST_CW_KEY_EXCH:
        return "key exchange";
    case TLS_ST_OK:
        return "data";
    default:
        return "finished";
    }
}

static struct bst_view presented_identity(const struct bst_tls *t)
{
    if (t->identity_text) {
        return bst_view(t->identity_text);
    }
    return t->hs && t->epoch ? bst_view_of(t->hs->identity, t->hs->identity_len)
                             : (struct bst_view){0};
}

/* The last resort when there is no memory for a description. */
static struct bst_tls_failure no_memory = {
    .side = BST_TLS_SIDE_HERE,
    .code = BST_E_NOMEM,
    .step = "any",
    .reason = "out of memory",
    .clause = "",
    .remedy = "",
    .alert = -1,
};

void bst_tls_failure_free(struct bst_tls_failure *failure)
{
    if (failure != &no_memory) {
        bst_free(failure);
    }
}

static struct bst_tls_failure *failure_begin(struct bst_tls *t)
{
    bst_tls_psk_cancel(t);
    struct bst_tls_failure *f = bst_alloc(sizeof *f);
    t->state = BST_TLS_FAILED;
    t->failure = f ? f : &no_memory;
    if (!f) {
        return NULL;
    }
    *f = (struct bst_tls_failure){
        .step = step_of(t),
        .clause = "",
        .remedy = "",
        .alert = -1,
        .identity = presented_identity(t),
        .server_name = bst_view(t->server_name),
    };
    return f;
}

static bst_result failure_end(struct bst_tls *t)
{
    const struct bst_tls_failure *f = t->failure;
    BST_FAIL(f->code, "TLS with %s failed at \"%s\": %s", t->address ? t->address : "the peer",
             f->step, f->reason);
}

static void describe(struct bst_tls_failure *f, enum bst_tls_side side, enum bst_error code,
                     const char *reason, const char *clause, const char *remedy)
{
    f->side = side;
    f->code = code;
    f->clause = clause;
    f->remedy = remedy;
    snprintf(f->reason, sizeof f->reason, "%s", reason);
}

/** A plaintext alert: before OpenSSL has begun. */
static void queue_alert(struct bst_tls *t, int alert)
{
    const uint8_t record[] = {BST_TLS_REC_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, (uint8_t)alert};
    bst_buf_add(&t->wire.out, record, sizeof record);
}

bst_result bst_tls_fail(struct bst_tls *t, enum bst_error code, int alert, const char *reason,
                        const char *clause, const char *remedy)
{
    struct bst_tls_failure *f = failure_begin(t);
    if (f) {
        describe(f, alert < 0 ? BST_TLS_SIDE_PEER : BST_TLS_SIDE_HERE, code, reason, clause,
                 remedy);
        f->alert = alert;
        if (alert >= 0 && !t->ssl) {
            queue_alert(t, alert);
        }
    }
    return failure_end(t);
}

static void describe_alert(struct bst_tls_failure *f, int alert)
{
    const struct explanation *e = EXPLAIN(alerts, alert);
    f->alert = alert;
    if (e) {
        describe(f, BST_TLS_SIDE_PEER, e->code, e->reason, e->clause, e->remedy);
        return;
    }
    char words[96];
    snprintf(words, sizeof words, "the peer sent the alert \"%s\"",
             SSL_alert_desc_string_long(alert));
    describe(f, BST_TLS_SIDE_PEER, BST_E_HANDSHAKE, words, "", "the peer's log has the reason");
}

/* What OpenSSL's queue says. */
struct queue_told {
    const struct explanation *known; /* first SSL reason that the table has */
    bool no_memory;
    char own[160];     /* our sentence, when a key of the secure environment failed */
    const char *first; /* OpenSSL's words for the first entry */
};

/** Read the queue; it is empty afterwards. */
static void read_queue(struct queue_told *told)
{
    const char *data;
    int flags;
    unsigned long error;
    *told = (struct queue_told){.first = ERR_reason_error_string(ERR_peek_error())};
    while ((error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        told->no_memory = told->no_memory || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
        if (ERR_GET_LIB(error) == ERR_LIB_USER && (flags & ERR_TXT_STRING) && !*told->own) {
            snprintf(told->own, sizeof told->own, "own private key: %.120s", data);
        } else if (!told->known && ERR_GET_LIB(error) == ERR_LIB_SSL) {
            told->known = EXPLAIN(reasons, ERR_GET_REASON(error));
        }
    }
}

static void describe_queue(struct bst_tls_failure *f)
{
    struct queue_told told;
    read_queue(&told);
    if (told.no_memory) {
        describe(f, BST_TLS_SIDE_HERE, BST_E_NOMEM, "out of memory", "", "");
    } else if (*told.own) {
        describe(f, BST_TLS_SIDE_HERE, BST_E_BAD_KEY, told.own, "",
                 "look at the key in the secure environment");
    } else if (told.known) {
        describe(f, BST_TLS_SIDE_HERE, told.known->code, told.known->reason, told.known->clause,
                 told.known->remedy);
    } else {
        describe(f, BST_TLS_SIDE_HERE, BST_E_HANDSHAKE,
                 told.first ? told.first : "OpenSSL gives no reason", "", "");
    }
}

bst_result bst_tls_fail_openssl(struct bst_tls *t)
{
    struct bst_tls_failure *f = failure_begin(t);
    if (!f) {
        ERR_clear_error();
        return failure_end(t);
    }
    if (t->alert_read >= 0) {
        ERR_clear_error();
        describe_alert(f, t->alert_read);
        return failure_end(t);
    }
    f->alert = t->alert_sent;
    if (t->wire.out.failed) {
        describe(f, BST_TLS_SIDE_HERE, BST_E_NOMEM, "out of memory", "", "");
    } else if (bst_failed(t->verify)) {
        describe(f, BST_TLS_SIDE_HERE, t->verify.code, t->verify_detail, "TS-0003 8.1.2.2",
                 remedy_of_cert(t->verify.code));
    } else {
        describe_queue(f);
    }
    ERR_clear_error();
    if (t->hs && *t->hs->note && !bst_failed(t->verify)) {
        describe(f, BST_TLS_SIDE_HERE, BST_E_CREDENTIAL, t->hs->note, "TS-0003 8.2.2.1",
                 COMPARE_KEYS);
    }
    return failure_end(t);
}

const struct bst_tls_failure *bst_tls_failure(const struct bst_tls *t)
{
    static const struct bst_tls_failure none = {
        .step = "", .clause = "", .remedy = "", .alert = -1};
    return !t->away && t->failure ? t->failure : &none;
}
