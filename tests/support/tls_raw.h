/* A peer that is plain OpenSSL, for what our own endpoint never does. Include after tls_world.h. */
#pragma once

#include <openssl/ssl.h>

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int done; /* last result of SSL_do_handshake */
};

WORLD_FUNCTION void raw_init(struct raw *r, int min, int max)
{
    *r = (struct raw){.ctx = SSL_CTX_new(TLS_method())};
    SSL_CTX_set_min_proto_version(r->ctx, min);
    SSL_CTX_set_max_proto_version(r->ctx, max);
    SSL_CTX_set_verify(r->ctx, SSL_VERIFY_NONE, NULL);
}

WORLD_FUNCTION void raw_start(struct raw *r, bool client)
{
    r->ssl = SSL_new(r->ctx);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    SSL_set_bio(r->ssl, r->in, r->out);
    if (client) {
        SSL_set_connect_state(r->ssl);
    } else {
        SSL_set_accept_state(r->ssl);
    }
}

WORLD_FUNCTION bool raw_carry(struct raw *r, struct bst_tls *t)
{
    char *bytes;
    long n = BIO_get_mem_data(r->out, &bytes);
    bool moved = n > 0;
    if (moved) {
        bst_result fed = bst_tls_feed(t, (struct bst_view){bytes, (size_t)n});
        (void)fed;
        (void)BIO_reset(r->out);
    }
    struct bst_view back = bst_tls_out(t);
    if (back.len) {
        BIO_write(r->in, back.ptr, (int)back.len);
        bst_tls_consumed(t, back.len);
    }
    return moved || back.len;
}

WORLD_FUNCTION void raw_shake(struct raw *r, struct bst_tls *t)
{
    do {
        r->done = SSL_do_handshake(r->ssl);
    } while (raw_carry(r, t));
    r->done = SSL_do_handshake(r->ssl);
}

WORLD_FUNCTION void raw_clear(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    *r = (struct raw){0};
}
