/* A handshake told step by step: handshake messages as OpenSSL sees them, then the verdict. */
#include "tls/probe.h"

#include "tls/tls_priv.h"

#define PROBE_TEXT_MAX ((size_t)16 * 1024)

struct bst_tls_probe {
    struct bst_tls *t;
    struct bst_buf steps;
    unsigned sent, received;
};

static const char *message_name(uint8_t type)
{
    switch (type) {
    case SSL3_MT_HELLO_REQUEST:
        return "HelloRequest";
    case SSL3_MT_CLIENT_HELLO:
        return "ClientHello";
    case SSL3_MT_SERVER_HELLO:
        return "ServerHello";
    case SSL3_MT_NEWSESSION_TICKET:
        return "NewSessionTicket";
    case SSL3_MT_ENCRYPTED_EXTENSIONS:
        return "EncryptedExtensions";
    case SSL3_MT_CERTIFICATE:
        return "Certificate";
    case SSL3_MT_SERVER_KEY_EXCHANGE:
        return "ServerKeyExchange";
    case SSL3_MT_CERTIFICATE_REQUEST:
        return "CertificateRequest";
    case SSL3_MT_SERVER_DONE:
        return "ServerHelloDone";
    case SSL3_MT_CERTIFICATE_VERIFY:
        return "CertificateVerify";
    case SSL3_MT_CLIENT_KEY_EXCHANGE:
        return "ClientKeyExchange";
    case SSL3_MT_FINISHED:
        return "Finished";
    default:
        return "another message";
    }
}

/** First certificate of a Certificate message: RFC 5246 7.4.2, RFC 8446 4.4.2. */
static X509 *first_certificate(const struct bst_tls *t, struct bst_view message)
{
    const uint8_t *p = (const uint8_t *)message.ptr + 4;
    size_t left = message.len > 4 ? message.len - 4 : 0;
    size_t skip = SSL_version(t->ssl) >= TLS1_3_VERSION && left ? 1 + (size_t)p[0] : 0;
    if (left < skip + 6) {
        return NULL;
    }
    p += skip + 3;
    size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    if (len > left - skip - 6) {
        return NULL;
    }
    struct x509_st *cert = NULL;
    bst_result loaded = bst_cert_load(bst_view_of(p + 3, len), &cert);
    return bst_failed(loaded) ? NULL : cert;
}

static void tell_names(const X509 *cert, struct bst_buf *out)
{
    bst_auto(cert_names) names = {0};
    if (bst_failed(bst_cert_names(cert, &names))) {
        bst_buf_addf(out, "     names: not acceptable: %s\n", bst_error_detail());
        return;
    }
    for (size_t i = 0; i < names.n; i++) {
        bst_buf_addf(out, "     name %s\n", names.names[i].text);
    }
}

static void tell_certificate(const struct bst_tls *t, struct bst_view message, struct bst_buf *out)
{
    bst_auto_cert *cert = first_certificate(t, message);
    struct bst_cert_facts facts;
    if (!cert || bst_failed(bst_cert_facts(cert, &facts))) {
        bst_buf_adds(out, "     no certificate in it\n");
        return;
    }
    char subject[128], from[BST_RFC3339_LEN + 1], to[BST_RFC3339_LEN + 1];
    bst_cert_subject_text(cert, subject, sizeof subject);
    bst_rfc3339_format(facts.not_before_us, from);
    bst_rfc3339_format(facts.not_after_us, to);
    bst_buf_addf(out, "     subject %s, serial %s\n     valid %s to %s\n", subject, facts.serial,
                 from, to);
    tell_names(cert, out);
}

static void tell_server_hello(struct bst_view message, struct bst_buf *out)
{
    /* legacy version, random, session id, suite: RFC 8446 4.1.3 */
    const uint8_t *p = (const uint8_t *)message.ptr;
    size_t session = message.len > 38 ? p[38] : 0;
    if (message.len >= 38 + 1 + session + 2) {
        bst_buf_addf(out, "     suite 0x%02X%02X\n", p[39 + session], p[40 + session]);
    }
}

static void on_message(void *ctx, bool sent, int content_type, struct bst_view message)
{
    struct bst_tls_probe *probe = ctx;
    struct bst_buf *out = &probe->steps;
    const char *arrow = sent ? "->" : "<-";
    if (out->len > PROBE_TEXT_MAX || !message.len) {
        return;
    }
    if (content_type == SSL3_RT_ALERT && message.len == 2) {
        bst_buf_addf(out, "  %s Alert: %s\n", arrow,
                     SSL_alert_desc_string_long((uint8_t)message.ptr[1]));
        return;
    }
    if (content_type != SSL3_RT_HANDSHAKE) {
        return;
    }
    uint8_t type = (uint8_t)message.ptr[0];
    bst_buf_addf(out, "  %s %s, %zu octets\n", arrow, message_name(type), message.len);
    if (type == SSL3_MT_CERTIFICATE) {
        tell_certificate(probe->t, message, out);
    } else if (type == SSL3_MT_SERVER_HELLO) {
        tell_server_hello(message, out);
    }
    *(sent ? &probe->sent : &probe->received) += 1;
}

bst_result bst_tls_probe_new(struct bst_tls_client *client, struct bst_tls_probe **ret)
{
    struct bst_tls_probe *probe = bst_alloc(sizeof *probe);
    BST_ENSURE(probe, BST_E_NOMEM);
    bst_result begun = bst_tls_connect_traced(client, on_message, probe, &probe->t);
    if (bst_failed(begun)) {
        bst_tls_probe_free(&probe);
        return begun;
    }
    *ret = probe;
    return BST_OK;
}

void bst_tls_probe_free(struct bst_tls_probe **slot)
{
    struct bst_tls_probe *probe = slot ? *slot : NULL;
    if (probe) {
        bst_tls_free(&probe->t);
        bst_buf_clear(&probe->steps);
        bst_free(probe);
        *slot = NULL;
    }
}

struct bst_tls *bst_tls_probe_endpoint(struct bst_tls_probe *probe)
{
    return probe->t;
}

static void tell_agreement(const struct bst_tls_peer *peer, struct bst_buf *out)
{
    bst_buf_addf(out, "agreed: %s, %s%s%s, %s\n", peer->version, peer->suite,
                 *peer->group ? ", group " : "", peer->group,
                 peer->forward_secret ? "forward secret" : "no forward secrecy");
    if (peer->kind == BST_TLS_AUTH_PSK) {
        bst_buf_addf(out, "both sides have the key of the PSK identity %.*s\n",
                     BST_VIEW_ARGS(peer->identity));
    } else if (peer->kind == BST_TLS_AUTH_CERT) {
        bst_buf_addf(out, "the server proved to be %.*s\n", BST_VIEW_ARGS(peer->subject_text));
    }
    bst_buf_addf(out, "keys can be exported (RFC 5705, RFC 7627): %s\n",
                 peer->extended_master_secret ? "yes" : "no");
}

static void tell_failure(const struct bst_tls_failure *f, struct bst_buf *out)
{
    bst_buf_addf(out, "failed at step \"%s\"; refused by %s\nreason: %s\n", f->step,
                 f->side == BST_TLS_SIDE_PEER ? "the peer" : "this side", f->reason);
    if (*f->clause) {
        bst_buf_addf(out, "clause: %s\n", f->clause);
    }
    if (*f->remedy) {
        bst_buf_addf(out, "remedy: %s\n", f->remedy);
    }
}

bst_result bst_tls_probe_report(struct bst_tls_probe *probe, struct bst_buf *ret)
{
    const struct bst_tls *t = probe->t;
    bst_buf_addv(ret, bst_buf_view(&probe->steps));
    if (t->state == BST_TLS_FAILED) {
        tell_failure(t->failure, ret);
    } else if (bst_tls_peer(t)) {
        tell_agreement(bst_tls_peer(t), ret);
    } else {
        bst_buf_addf(ret, "not finished: %u messages sent, %u received, waiting for the peer\n",
                     probe->sent, probe->received);
    }
    return bst_buf_check(ret);
}
