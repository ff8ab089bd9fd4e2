/* tls: certificates of both sides, every flavour and every reason to refuse, SNI, server identity.
 */
#include "support/test.h"

#include "support/tls_world.h"

#include "support/tls_raw.h"
#include "tls/profile_priv.h"
#include "tls/tls_priv.h"

static struct world w;

static int set_up(void **state)
{
    world_init(&w);
    return 0;
}

static int tear_down(void **state)
{
    world_clear(&w);
    return 0;
}

static void every_certificate_suite_opens_and_proves_both_sides(void **state)
{
    static const struct {
        int version;
        const char *cert12, *suites13, *suite;
    } offers[] = {
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", "TLS_AES_128_GCM_SHA256",
         "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256",
         "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_AES_128_GCM_SHA256",
         "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
        {TLS1_3_VERSION, "", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
        {TLS1_3_VERSION, "", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
        {TLS1_3_VERSION, "", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
    };
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        struct world_pair p;
        uint8_t id_s[16], id_c[16];
        struct bst_tls_profile row = *world_profile("onem2m");
        row.min_version = row.max_version = offers[i].version;
        row.cert12 = offers[i].cert12;
        row.suites13 = offers[i].suites13;
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
        client.profile = &row;
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        const struct bst_tls_peer *peer = bst_tls_peer(p.s);
        assert_int_equal(peer->kind, BST_TLS_AUTH_CERT);
        assert_string_equal(peer->suite, offers[i].suite);
        assert_string_equal(peer->group, "X25519");
        assert_string_equal(peer->names.names[0].text, WORLD_CLIENT_AE);
        assert_memory_equal(peer->facts.sha256, w.client.facts.sha256, 32);
        assert_true(bst_view_is(peer->subject_text, WORLD_CLIENT_AE));
        assert_false(peer->resumed);
        assert_int_equal(peer->generation, 1);
        assert_int_equal(bst_tls_peer(p.c)->kind, BST_TLS_AUTH_CERT);
        assert_ok(bst_tls_export_id(p.s, "EXPORTER-oneM2M-Connection", id_s));
        assert_ok(bst_tls_export_id(p.c, "EXPORTER-oneM2M-Connection", id_c));
        assert_memory_equal(id_s, id_c, 16);
        world_pair_clear(&p);
    }
}

static void client_certificates_of_every_flavour_are_accepted(void **state)
{
    static const struct {
        enum bst_cert_flavour flavour;
        const char *name, *text;
    } flavours[] = {
        {BST_CERT_AE, "//acme.example.com/S1", NULL},
        {BST_CERT_CSE, "mn-1.in.acme.example.com", NULL},
        {BST_CERT_NODE, "urn:dev:mac:0024befffe804ff1", NULL},
        {BST_CERT_DEVICE, "1.3.6.1.4.1.99999.1:17.4711", "1.3.6.1.4.1.99999.1.17.4711"},
        {BST_CERT_FQDN, "maf.acme.example.com", NULL},
    };
    for (size_t i = 0; i < sizeof flavours / sizeof flavours[0]; i++) {
        struct world_cert cert = {0};
        struct world_pair p;
        world_issue(&w, &w.ca, BST_CERT_TLS_CLIENT, flavours[i].flavour, flavours[i].name, &cert);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &cert);
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        const struct bst_cert_name *name = &bst_tls_peer(p.s)->names.names[0];
        assert_string_equal(name->text, flavours[i].text ? flavours[i].text : flavours[i].name);
        assert_true(name->flavours & flavours[i].flavour);
        world_pair_clear(&p);
        bst_buf_clear(&cert.chain_pem);
    }
}

/** Shake hands with these; who refuses, why, and with which alert. */
static void expect_refusal(const struct bst_tls_server_config *server,
                           const struct bst_tls_client_config *client, bool by_server,
                           enum bst_error code, int alert)
{
    struct world_pair p;
    world_pair_init(&p, server, client);
    const struct bst_tls_failure *refuses = bst_tls_failure(by_server ? p.s : p.c);
    const struct bst_tls_failure *hears = bst_tls_failure(by_server ? p.c : p.s);
    assert_int_equal(bst_tls_state(by_server ? p.s : p.c), BST_TLS_FAILED);
    assert_int_equal(refuses->side, BST_TLS_SIDE_HERE);
    if (refuses->code != code) {
        fail_msg("%s (%s)", bst_error_name(refuses->code), refuses->reason);
    }
    assert_int_equal(refuses->alert, alert);
    assert_true(*refuses->reason && *refuses->clause && *refuses->remedy);
    assert_int_equal(hears->side, BST_TLS_SIDE_PEER);
    assert_int_equal(hears->alert, alert);
    world_pair_clear(&p);
}

struct validity {
    int64_t from_days, to_days;
    enum bst_error code;
    int alert;
};
static const struct validity validities[] = {
    {-30, -1, BST_E_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED},
    {1, 30, BST_E_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED},
};

static void certificates_outside_their_time_are_refused(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "modern"};
    for (size_t i = 0; i < 4; i++) {
        const struct validity *v = &validities[i / 2];
        struct world_cert client_cert = {0}, server_cert = {0};
        world_issue_at(&w, &w.ca, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE,
                       WORLD_NOW_US + v->from_days * WORLD_DAY_US,
                       WORLD_NOW_US + v->to_days * WORLD_DAY_US, &client_cert);
        world_issue_at(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME,
                       WORLD_NOW_US + v->from_days * WORLD_DAY_US,
                       WORLD_NOW_US + v->to_days * WORLD_DAY_US, &server_cert);
        struct bst_tls_server_config server = world_server_config(&w, profiles[i % 2], NULL);
        struct bst_tls_client_config client = world_cert_client(&w, profiles[i % 2], &client_cert);
        expect_refusal(&server, &client, true, v->code, v->alert);

        struct bst_tls_credential own = {NULL, bst_buf_view(&server_cert.chain_pem),
                                         server_cert.key};
        server.credentials = &own;
        client = world_cert_client(&w, profiles[i % 2], &w.client);
        expect_refusal(&server, &client, false, v->code, v->alert);
        bst_buf_clear(&client_cert.chain_pem);
        bst_buf_clear(&server_cert.chain_pem);
    }
}

static void certificates_of_a_foreign_ca_are_refused(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "modern"};
    for (size_t i = 0; i < 2; i++) {
        struct world_cert client_cert = {0}, server_cert = {0};
        world_issue(&w, &w.foreign, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE,
                    &client_cert);
        world_issue(&w, &w.foreign, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME,
                    &server_cert);
        struct bst_tls_server_config server = world_server_config(&w, profiles[i], NULL);
        struct bst_tls_client_config client = world_cert_client(&w, profiles[i], &client_cert);
        expect_refusal(&server, &client, true, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);

        struct bst_tls_credential own = {NULL, bst_buf_view(&server_cert.chain_pem),
                                         server_cert.key};
        server.credentials = &own;
        client = world_cert_client(&w, profiles[i], &w.client);
        expect_refusal(&server, &client, false, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);
        bst_buf_clear(&client_cert.chain_pem);
        bst_buf_clear(&server_cert.chain_pem);
    }
}

static void a_certificate_for_the_other_role_is_refused(void **state)
{
    struct world_cert wrong = {0};
    world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_AE, WORLD_CLIENT_AE, &wrong);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &wrong);
    expect_refusal(&server, &client, true, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);
    bst_buf_clear(&wrong.chain_pem);
}

static void a_client_with_neither_psk_nor_certificate_is_refused(void **state)
{
    for (int tls13 = 0; tls13 < 2; tls13++) {
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        struct bst_tls_client_config client =
            world_cert_client(&w, tls13 ? "modern" : "onem2m-tls12", &w.client);
        client.credential = NULL;
        expect_refusal(&server, &client, true, BST_E_CREDENTIAL,
                       tls13 ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE);
    }
}

static void a_server_for_everybody_does_not_ask(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    server.anonymous_clients = true;
    client.credential = NULL;
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    assert_int_equal(bst_tls_peer(p.s)->kind, BST_TLS_AUTH_NONE);
    world_pair_clear(&p);
}

static void the_server_must_prove_the_configured_name_whatever_was_dialled(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    struct bst_tls_name other = {BST_CERT_FQDN, BST_VIEW("mef.acme.example.com")};
    client.expect = &other;
    expect_refusal(&server, &client, false, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);

    /* One of several is enough; as a CSE-ID, the public domain name has the same form. */
    struct bst_tls_name several[] = {other, {BST_CERT_CSE, BST_VIEW(WORLD_SERVER_NAME)}};
    client.expect = several;
    client.n_expect = 2;
    client.server_name = NULL; /* an address was dialled */
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);

    struct bst_tls_client *none = NULL;
    client.n_expect = 0;
    assert_err(bst_tls_client_new(&client, &none), BST_E_CONFIG);
}

static void an_ae_as_server_proves_its_ae_id(void **state)
{
    struct world_cert ae = {0};
    struct world_pair p;
    world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_AE, "//acme.example.com/Sapp", &ae);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_credential own = {NULL, bst_buf_view(&ae.chain_pem), ae.key};
    server.credentials = &own;
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    struct bst_tls_name right = {BST_CERT_AE, BST_VIEW("//acme.example.com/Sapp")};
    struct bst_tls_name wrong = {BST_CERT_AE, BST_VIEW("//acme.example.com/Sapp2")};
    client.expect = &right;
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
    client.expect = &wrong;
    expect_refusal(&server, &client, false, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);
    bst_buf_clear(&ae.chain_pem);
}

static struct bst_trust *trust_with_crl(enum bst_crl_policy policy, const char *serial,
                                        int64_t next_days)
{
    struct bst_trust *trust = world_trust(&w.ca, policy);
    struct bst_revocation entry = {.when_us = WORLD_NOW_US - WORLD_DAY_US};
    struct bst_buf der = {0};
    if (next_days) {
        snprintf(entry.serial, sizeof entry.serial, "%s", serial ? serial : "");
        world_ok(bst_crl_build(w.ca.cert, w.ca.key, &entry, serial != NULL, 1,
                               WORLD_NOW_US - 10 * WORLD_DAY_US,
                               WORLD_NOW_US + next_days * WORLD_DAY_US, &der));
        world_ok(bst_trust_add_crls(trust, bst_buf_view(&der)));
        bst_buf_clear(&der);
    }
    return trust;
}

static void the_crl_policy_decides_about_revoked_missing_and_stale(void **state)
{
    const struct {
        enum bst_crl_policy policy;
        bool revoked;
        int64_t next_days; /* 0: no CRL */
        bool accepted;
    } cases[] = {
        {BST_CRL_REQUIRE, false, 7, true},
        {BST_CRL_REQUIRE, true, 7, false},
        {BST_CRL_REQUIRE, false, 0, false},
        {BST_CRL_REQUIRE, false, -1, false},
        {BST_CRL_ALLOW_MISSING, false, 0, true},
        {BST_CRL_ALLOW_MISSING, true, 7, false},
        {BST_CRL_ALLOW_MISSING, true, -1, false},
        {BST_CRL_ALLOW_MISSING, false, -1, true},
        {BST_CRL_OFF, true, 7, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bst_trust *trust = trust_with_crl(
            cases[i].policy, cases[i].revoked ? w.client.facts.serial : NULL, cases[i].next_days);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
        server.trust = trust;
        if (cases[i].accepted) {
            struct world_pair p;
            world_pair_init(&p, &server, &client);
            assert_true(world_talks(p.c, p.s));
            world_pair_clear(&p);
        } else {
            expect_refusal(&server, &client, true, BST_E_REVOKED, SSL_AD_CERTIFICATE_REVOKED);
        }
        bst_trust_drop(&trust);
    }
}

static void name_constraints_hold_for_urn_names_and_device_ids_too(void **state)
{
    static const struct {
        enum bst_cert_flavour flavour;
        const char *permit, *inside, *outside;
    } cases[] = {
        {BST_CERT_AE, "acme.example.com", "//acme.example.com/S1", "//evil.example.org/S1"},
        {BST_CERT_NODE, "urn:dev:mac", "urn:dev:mac:0024befffe804ff1",
         "urn:dev:ow:10e2073a01080063"},
        {BST_CERT_DEVICE, "1.3.6.1.4.1.99999.1:17", "1.3.6.1.4.1.99999.1:17.1",
         "1.3.6.1.4.1.99999.1:18.1"},
        {BST_CERT_CSE, "acme.example.com", "in.acme.example.com", "in.evil.example.org"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bst_cert_permit permit = {cases[i].flavour, bst_view(cases[i].permit)};
        struct bst_cert_spec spec = {.permits = &permit, .n_permits = 1};
        struct world_ca sub = {0};
        struct world_cert inside = {0}, outside = {0};
        struct world_pair p;
        world_ca_init(&sub, "Constrained CA", NULL, &spec);
        struct bst_trust *trust = world_trust(&sub, BST_CRL_OFF);
        world_issue(&w, &sub, BST_CERT_TLS_CLIENT, cases[i].flavour, cases[i].inside, &inside);
        world_issue(&w, &sub, BST_CERT_TLS_CLIENT, cases[i].flavour, cases[i].outside, &outside);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        server.trust = trust;
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &inside);
        world_pair_init(&p, &server, &client);
        if (bst_tls_state(p.s) != BST_TLS_OPEN) {
            fail_msg("%s: %s", cases[i].inside, bst_tls_failure(p.s)->reason);
        }
        world_pair_clear(&p);
        client = world_cert_client(&w, "onem2m", &outside);
        expect_refusal(&server, &client, true, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);
        bst_trust_drop(&trust);
        bst_buf_clear(&inside.chain_pem);
        bst_buf_clear(&outside.chain_pem);
        world_ca_clear(&sub);
    }
}

static void a_chain_goes_along_with_its_leaf(void **state)
{
    struct world_ca sub = {0};
    struct world_cert leaf = {0};
    struct world_pair p;
    world_ca_init(&sub, "Intermediate CA", &w.ca, NULL);
    world_issue(&w, &sub, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE, &leaf);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &leaf);
    expect_refusal(&server, &client, true, BST_E_BAD_CERT, SSL_AD_BAD_CERTIFICATE);
    bst_buf_addv(&leaf.chain_pem, bst_buf_view(&sub.pem));
    client = world_cert_client(&w, "onem2m", &leaf);
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
    bst_buf_clear(&leaf.chain_pem);
    world_ca_clear(&sub);
}

static void sni_selects_the_authority_and_its_identity_source_hears_of_it(void **state)
{
    struct world_source source;
    struct world_cert mef = {0};
    struct world_pair p = {0};
    bst_key key = world_psk(&w, "0123456789abcdef0123456789abcdef");
    world_source_init(&source, "id@mef", key);
    world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, "mef.acme.example.com", &mef);
    struct bst_tls_credential both[] = {
        {NULL, bst_buf_view(&w.server.chain_pem), w.server.key},
        {"mef.acme.example.com", bst_buf_view(&mef.chain_pem), mef.key},
    };
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    server.credentials = both;
    server.n_credentials = 2;
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    struct bst_tls_name expect = {BST_CERT_FQDN, BST_VIEW("mef.acme.example.com")};
    client.expect = &expect;
    client.server_name = "MEF.acme.example.com";
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    assert_true(bst_view_is(bst_tls_peer(p.s)->server_name, "mef.acme.example.com"));
    world_pair_clear(&p);

    struct bst_tls_client_config psk = world_psk_client(&w, "onem2m-tls12", "id@mef", key);
    psk.server_name = "mef.acme.example.com";
    world_pair_init(&p, &server, &psk);
    assert_true(world_talks(p.c, p.s));
    assert_string_equal(source.last_name, "mef.acme.example.com");
    world_pair_clear(&p);

    /* An unknown name gets the default authority, or an alert where that is configured. */
    client = world_cert_client(&w, "onem2m", &w.client);
    client.server_name = "elsewhere.example.org";
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
    server.refuse_unknown_name = true;
    expect_refusal(&server, &client, true, BST_E_HANDSHAKE, SSL_AD_UNRECOGNIZED_NAME);
    bst_buf_clear(&mef.chain_pem);
}

static void raw_public_keys_are_refused_in_clear_words(void **state)
{
    /* A ClientHello for TLS 1.2 with one ECDSA suite and client_certificate_type RawPublicKey only.
     */
    static const char hello[] =
        "\x16\x03\x01\x00\x37\x01\x00\x00\x33\x03\x03"
        "0123456789abcdef0123456789abcdef"
        "\x00\x00\x02\xc0\x2b\x01\x00\x00\x08\x00\x13\x00\x02\x01\x02\x00\x00";
    char fixed[sizeof hello];
    struct bst_tls_server *server = NULL;
    struct bst_tls *t = NULL;
    memcpy(fixed, hello, sizeof hello);
    /* lengths by the size of the literal: record, message, extensions (the last two octets go) */
    size_t len = sizeof hello - 1 - 2;
    fixed[4] = (char)(len - 5);
    fixed[8] = (char)(len - 9);
    fixed[len - 7] = 6;
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", NULL);
    assert_ok(bst_tls_server_new(&config, &server));
    assert_ok(bst_tls_accept(server, BST_VIEW("x"), &t));
    assert_err(bst_tls_feed(t, (struct bst_view){fixed, len}), BST_E_BAD_CERT);
    assert_non_null(strstr(bst_tls_failure(t)->reason, "raw public keys"));
    assert_true(bst_view_eq(bst_tls_out(t), BST_VIEW("\x15\x03\x03\x00\x02\x02\x2b")));
    bst_tls_free(&t);
    bst_tls_server_free(&server);
}

static void a_key_that_does_not_fit_its_certificate_is_refused_at_start(void **state)
{
    struct bst_tls_server *server = NULL;
    struct bst_tls_client *client = NULL;
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_credential wrong = {NULL, bst_buf_view(&w.server.chain_pem), w.client.key};
    config.credentials = &wrong;
    assert_err(bst_tls_server_new(&config, &server), BST_E_BAD_KEY);
    struct bst_tls_client_config cc = world_cert_client(&w, "onem2m", &w.client);
    cc.credential = &wrong;
    assert_err(bst_tls_client_new(&cc, &client), BST_E_BAD_KEY);
    wrong.chain_pem = BST_VIEW("no certificate at all");
    assert_true(bst_failed(bst_tls_server_new(&config, &server)));
    config.n_credentials = 0;
    assert_err(bst_tls_server_new(&config, &server), BST_E_CONFIG);
    assert_null(server);
    assert_null(client);
}

static void a_private_key_that_is_gone_fails_in_words(void **state)
{
    struct world_cert brief = {0};
    struct world_pair p = {0};
    world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME, &brief);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_credential own = {NULL, bst_buf_view(&brief.chain_pem), brief.key};
    server.credentials = &own;
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    assert_ok(bst_tls_server_new(&server, &p.server));
    assert_ok(bst_tls_client_new(&client, &p.client));
    assert_ok(bst_se_key_delete(w.se, brief.key));
    world_connect(&p);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->code, BST_E_BAD_KEY);
    assert_non_null(strstr(bst_tls_failure(p.s)->reason, "own private key"));
    assert_int_equal(bst_tls_failure(p.c)->alert, SSL_AD_INTERNAL_ERROR);
    world_pair_clear(&p);
    bst_buf_clear(&brief.chain_pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_certificate_suite_opens_and_proves_both_sides),
        cmocka_unit_test(client_certificates_of_every_flavour_are_accepted),
        cmocka_unit_test(certificates_outside_their_time_are_refused),
        cmocka_unit_test(certificates_of_a_foreign_ca_are_refused),
        cmocka_unit_test(a_certificate_for_the_other_role_is_refused),
        cmocka_unit_test(a_client_with_neither_psk_nor_certificate_is_refused),
        cmocka_unit_test(a_server_for_everybody_does_not_ask),
        cmocka_unit_test(the_server_must_prove_the_configured_name_whatever_was_dialled),
        cmocka_unit_test(an_ae_as_server_proves_its_ae_id),
        cmocka_unit_test(the_crl_policy_decides_about_revoked_missing_and_stale),
        cmocka_unit_test(name_constraints_hold_for_urn_names_and_device_ids_too),
        cmocka_unit_test(a_chain_goes_along_with_its_leaf),
        cmocka_unit_test(sni_selects_the_authority_and_its_identity_source_hears_of_it),
        cmocka_unit_test(raw_public_keys_are_refused_in_clear_words),
        cmocka_unit_test(a_key_that_does_not_fit_its_certificate_is_refused_at_start),
        cmocka_unit_test(a_private_key_that_is_gone_fails_in_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
