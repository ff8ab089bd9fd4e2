/* A small world for TLS tests: authorities, certificates of every flavour, keys, a clock, an
 * identity source, and a wire between two endpoints. A failure of the set-up itself ends the
 * program. */
#pragma once

#include "base/time.h"
#include "crypto/pkey.h"
#include "crypto/rand.h"
#include "crypto/x509.h"
#include "se/se.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <stdio.h>

#define WORLD_FUNCTION __attribute__((unused)) static
#define world_ok(call)                                                                             \
    do {                                                                                           \
        bst_result world_r_ = (call);                                                              \
        if (bst_failed(world_r_)) {                                                                \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call,                      \
                    bst_error_name(world_r_.code), bst_error_detail());                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* 2026-06-01T00:00:00Z */
#define WORLD_NOW_US (INT64_C(1780272000) * BST_US_PER_S)
#define WORLD_DAY_US (INT64_C(86400) * BST_US_PER_S)
static int64_t world_now_us = WORLD_NOW_US;

WORLD_FUNCTION int64_t world_wall_us(void)
{
    return world_now_us;
}

WORLD_FUNCTION int64_t world_host_wall_us(void *ctx)
{
    return world_now_us;
}

struct world_ca {
    struct evp_pkey_st *key;
    struct x509_st *cert;
    struct bst_buf pem;
};
struct world_cert {
    struct bst_buf chain_pem;
    struct bst_cert_facts facts;
    bst_key key;
};
struct world {
    struct bst_se *se;
    struct world_ca ca, foreign;
    struct bst_trust *trust; /* `ca`, CRLs not asked for */
    struct world_cert server, client;
};

WORLD_FUNCTION void world_pem(const char *name, struct bst_buf *der, struct bst_buf *ret)
{
    world_ok(bst_der_to_pem(name, bst_buf_view(der), ret));
    bst_buf_clear(der);
}

/** @param spec  of the CA; NULL: one without constraints
 *  @param up    the CA above; NULL: self-signed */
WORLD_FUNCTION void world_ca_init(struct world_ca *ca, const char *name, const struct world_ca *up,
                                  const struct bst_cert_spec *spec)
{
    struct bst_cert_spec own = spec ? *spec : (struct bst_cert_spec){0};
    struct bst_buf der = {0};
    own.common_name = bst_view(name);
    own.ca = true;
    own.path_len = -1;
    own.not_before_us = WORLD_NOW_US - 400 * WORLD_DAY_US;
    own.not_after_us = WORLD_NOW_US + 4000 * WORLD_DAY_US;
    world_ok(bst_pkey_generate(BST_PKEY_EC_P256, &ca->key));
    world_ok(bst_cert_issue(&own, ca->key, up ? up->cert : NULL, up ? up->key : ca->key, &der));
    world_ok(bst_cert_load(bst_buf_view(&der), &ca->cert));
    world_pem("CERTIFICATE", &der, &ca->pem);
}

WORLD_FUNCTION void world_ca_clear(struct world_ca *ca)
{
    bst_pkey_free(&ca->key);
    bst_cert_free(&ca->cert);
    bst_buf_clear(&ca->pem);
}

WORLD_FUNCTION bst_key world_signing_key(struct bst_se *se, enum bst_key_type type)
{
    bst_key key;
    struct bst_key_attrs attrs = {.type = type, .uses = BST_KEY_USE_SIGN};
    world_ok(bst_se_key_generate(se, &attrs, &key));
    return key;
}

/** A leaf with one name, valid from `from_us` to `to_us`; chain_pem holds the leaf alone. */
WORLD_FUNCTION void world_issue_at(struct world *w, const struct world_ca *ca,
                                   enum bst_cert_role role, enum bst_cert_flavour flavour,
                                   const char *name, int64_t from_us, int64_t to_us,
                                   struct world_cert *ret)
{
    struct bst_cert_san san = {.flavour = flavour, .name = bst_view(name)};
    struct bst_cert_spec spec = {
        .common_name = bst_view(name),
        .sans = &san,
        .n_sans = 1,
        .path_len = -1,
        .role = role,
        .not_before_us = from_us,
        .not_after_us = to_us,
    };
    struct bst_buf der = {0};
    ret->key = world_signing_key(w->se, BST_KEY_EC_P256);
    bst_auto_pkey *pkey = NULL;
    world_ok(bst_se_pkey(w->se, ret->key, &pkey));
    world_ok(bst_cert_issue(&spec, pkey, ca->cert, ca->key, &der));
    bst_auto_cert *cert = NULL;
    world_ok(bst_cert_load(bst_buf_view(&der), &cert));
    world_ok(bst_cert_facts(cert, &ret->facts));
    world_pem("CERTIFICATE", &der, &ret->chain_pem);
}

WORLD_FUNCTION void world_issue(struct world *w, const struct world_ca *ca, enum bst_cert_role role,
                                enum bst_cert_flavour flavour, const char *name,
                                struct world_cert *ret)
{
    world_issue_at(w, ca, role, flavour, name, WORLD_NOW_US - WORLD_DAY_US,
                   WORLD_NOW_US + 90 * WORLD_DAY_US, ret);
}

WORLD_FUNCTION struct bst_trust *world_trust(const struct world_ca *ca, enum bst_crl_policy policy)
{
    struct bst_trust *trust;
    world_ok(bst_trust_new(policy, &trust));
    world_ok(bst_trust_add_anchors(trust, bst_buf_view(&ca->pem)));
    return trust;
}

WORLD_FUNCTION bst_key world_psk(struct world *w, const char *value)
{
    bst_key key;
    bst_auto(secret) secret = {0};
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_PSK};
    world_ok(bst_secret_copy(&secret, value, strlen(value)));
    world_ok(bst_se_key_import(w->se, &attrs, &secret, &key));
    return key;
}

#define WORLD_SERVER_NAME "in.acme.example.com"
#define WORLD_CLIENT_AE "//acme.example.com/Sdevice1"

WORLD_FUNCTION void world_init(struct world *w)
{
    static struct bst_se_host host;
    *w = (struct world){0};
    world_now_us = WORLD_NOW_US;
    host.wall_us = world_host_wall_us;
    world_ok(bst_tls_init());
    world_ok(bst_se_open(&host, "se:soft", &w->se));
    world_ca_init(&w->ca, "Test CA", NULL, NULL);
    world_ca_init(&w->foreign, "Foreign CA", NULL, NULL);
    w->trust = world_trust(&w->ca, BST_CRL_OFF);
    world_issue(w, &w->ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME, &w->server);
    world_issue(w, &w->ca, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE, &w->client);
}

WORLD_FUNCTION void world_clear(struct world *w)
{
    bst_trust_drop(&w->trust);
    bst_buf_clear(&w->server.chain_pem);
    bst_buf_clear(&w->client.chain_pem);
    world_ca_clear(&w->ca);
    world_ca_clear(&w->foreign);
    bst_se_close(&w->se);
}

/* --- an identity source that answers at once, or when it is told to -------------------------- */

struct world_source {
    struct bst_tls_identity_source table;
    const char *identity; /* the only one known */
    bst_key key;
    void *subject;
    bool later;
    struct bst_tls_lookup *pending;
    int asked, cancelled, dropped;
    char last_identity[BST_TLS_IDENTITY_MAX + 1], last_name[64];
};

WORLD_FUNCTION void world_source_answer(struct world_source *s)
{
    struct bst_tls_lookup *lookup = s->pending;
    bool known = bst_view_is(lookup->identity, s->identity);
    s->pending = NULL;
    bst_tls_lookup_done(lookup, BST_OK, known ? s->key : 0, known ? s->subject : NULL);
}

WORLD_FUNCTION void world_source_start(void *ctx, struct bst_tls_lookup *lookup)
{
    struct world_source *s = ctx;
    s->asked++;
    s->pending = lookup;
    snprintf(s->last_identity, sizeof s->last_identity, "%.*s", BST_VIEW_ARGS(lookup->identity));
    snprintf(s->last_name, sizeof s->last_name, "%.*s", BST_VIEW_ARGS(lookup->server_name));
    if (!s->later) {
        world_source_answer(s);
    }
}

WORLD_FUNCTION void world_source_cancel(void *ctx, struct bst_tls_lookup *lookup)
{
    struct world_source *s = ctx;
    s->cancelled += s->pending == lookup;
    s->pending = NULL;
}

WORLD_FUNCTION void world_source_drop(void *ctx, void *subject)
{
    ((struct world_source *)ctx)->dropped++;
}

WORLD_FUNCTION void world_source_init(struct world_source *s, const char *identity, bst_key key)
{
    *s = (struct world_source){.identity = identity, .key = key};
    s->table = (struct bst_tls_identity_source){world_source_start, world_source_cancel,
                                                world_source_drop, s};
}

/* --- a wire ----------------------------------------------------------------------------------- */

/** Carry what one endpoint has to send to the other, `chunk` bytes at a time (0: all at once).
 * Counts flights: a run of bytes in one direction. */
WORLD_FUNCTION bool world_carry(struct bst_tls *from, struct bst_tls *to, size_t chunk)
{
    struct bst_buf out = bst_tls_take_out(from);
    size_t at = 0;
    while (at < out.len) {
        size_t n = chunk && chunk < out.len - at ? chunk : out.len - at;
        bst_result fed = bst_tls_feed(to, (struct bst_view){out.ptr + at, n});
        (void)fed;
        at += n;
    }
    bool moved = out.len > 0;
    bst_buf_clear(&out);
    return moved;
}

/** Until both are silent; returns the number of flights. */
WORLD_FUNCTION int world_shake(struct bst_tls *client, struct bst_tls *server, size_t chunk)
{
    int flights = 0;
    bool moved = true;
    while (moved) {
        moved = world_carry(client, server, chunk);
        flights += moved;
        bool back = world_carry(server, client, chunk);
        flights += back;
        moved = moved || back;
    }
    return flights;
}

/* --- a server, a client, and one connection between them -------------------------------------- */

struct world_pair {
    struct bst_tls_server *server;
    struct bst_tls_client *client;
    struct bst_tls *s, *c;
    int flights;
};

WORLD_FUNCTION const struct bst_tls_profile *world_profile(const char *name)
{
    return bst_tls_profile_find(bst_view(name));
}

/** Connect a new pair of endpoints and shake hands. */
WORLD_FUNCTION void world_connect(struct world_pair *p)
{
    world_ok(bst_tls_accept(p->server, BST_VIEW("192.0.2.7:4711"), &p->s));
    world_ok(bst_tls_connect(p->client, &p->c));
    p->flights = world_shake(p->c, p->s, 0);
}

WORLD_FUNCTION void world_pair_init(struct world_pair *p,
                                    const struct bst_tls_server_config *server,
                                    const struct bst_tls_client_config *client)
{
    *p = (struct world_pair){0};
    world_ok(bst_tls_server_new(server, &p->server));
    world_ok(bst_tls_client_new(client, &p->client));
    world_connect(p);
}

WORLD_FUNCTION void world_hang_up(struct world_pair *p)
{
    bst_tls_free(&p->c);
    bst_tls_free(&p->s);
}

WORLD_FUNCTION void world_pair_clear(struct world_pair *p)
{
    world_hang_up(p);
    bst_tls_server_free(&p->server);
    bst_tls_client_free(&p->client);
}

/** Both open, and a message gets through each way. */
WORLD_FUNCTION bool world_talks(struct bst_tls *a, struct bst_tls *b)
{
    struct bst_tls *ends[2] = {a, b};
    bool ok = bst_tls_state(a) == BST_TLS_OPEN && bst_tls_state(b) == BST_TLS_OPEN;
    for (int i = 0; ok && i < 2; i++) {
        struct bst_buf got = {0};
        ok = !bst_failed(bst_tls_write(ends[i], BST_VIEW("ping"))) &&
             world_carry(ends[i], ends[!i], 0) && !bst_failed(bst_tls_read(ends[!i], &got)) &&
             bst_view_is(bst_buf_view(&got), "ping");
        bst_buf_clear(&got);
    }
    return ok;
}

WORLD_FUNCTION struct bst_tls_server_config
world_server_config(struct world *w, const char *profile, struct world_source *source)
{
    static struct bst_tls_credential own;
    own = (struct bst_tls_credential){NULL, bst_buf_view(&w->server.chain_pem), w->server.key};
    return (struct bst_tls_server_config){
        .profile = world_profile(profile),
        .se = w->se,
        .psk = source ? &source->table : NULL,
        .credentials = &own,
        .n_credentials = 1,
        .trust = w->trust,
        .wall_us = world_wall_us,
    };
}

WORLD_FUNCTION struct bst_tls_client_config world_psk_client(struct world *w, const char *profile,
                                                             const char *identity, bst_key key)
{
    return (struct bst_tls_client_config){
        .profile = world_profile(profile),
        .se = w->se,
        .psk_identity = bst_view(identity),
        .psk_key = key,
        .server_name = WORLD_SERVER_NAME,
        .wall_us = world_wall_us,
    };
}

WORLD_FUNCTION struct bst_tls_client_config world_cert_client(struct world *w, const char *profile,
                                                              const struct world_cert *cert)
{
    static struct bst_tls_credential own;
    static struct bst_tls_name expect;
    own = (struct bst_tls_credential){NULL, bst_buf_view(&cert->chain_pem), cert->key};
    expect = (struct bst_tls_name){BST_CERT_FQDN, bst_view(WORLD_SERVER_NAME)};
    return (struct bst_tls_client_config){
        .profile = world_profile(profile),
        .se = w->se,
        .credential = &own,
        .trust = w->trust,
        .server_name = WORLD_SERVER_NAME,
        .expect = &expect,
        .n_expect = 1,
        .wall_us = world_wall_us,
    };
}
