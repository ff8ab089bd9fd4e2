/* tls: pre-shared keys in TLS 1.2 and 1.3, look-ups that take their time, identities nobody has. */
#include "support/test.h"

#include "support/tls_world.h"

#include "support/tls_raw.h"
#include "tls/profile_priv.h"
#include "tls/tls_priv.h"

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"
#define KEY_TEXT "a pre-shared key of 32 octets!!!"
#define OTHER_TEXT "another key, also of 32 octets!!"
#define LABEL "EXPORTER-oneM2M-Bootstrap"

static struct world w;
static bst_key key, other_key;

static int releases;

static void count_release(void *ctx, const struct bst_se_event *event, bst_result outcome)
{
    releases += event->released;
}

static int set_up(void **state)
{
    world_init(&w);
    key = world_psk(&w, KEY_TEXT);
    other_key = world_psk(&w, OTHER_TEXT);
    struct bst_se_filter counter = {.after = count_release};
    world_ok(bst_se_filter_add(w.se, &counter));
    return 0;
}

static int tear_down(void **state)
{
    world_clear(&w);
    return 0;
}

/* What a client may offer, and what comes of it. */
static const struct {
    int version;
    const char *psk12, *suite;
    bool forward_secret;
} offers[] = {
    {TLS1_2_VERSION, "PSK-AES128-CBC-SHA256", "TLS_PSK_WITH_AES_128_CBC_SHA256", false},
    {TLS1_2_VERSION, "PSK-AES128-GCM-SHA256", "TLS_PSK_WITH_AES_128_GCM_SHA256", false},
    {TLS1_2_VERSION, "ECDHE-PSK-AES128-CBC-SHA256", "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", true},
    {TLS1_2_VERSION, "ECDHE-PSK-CHACHA20-POLY1305", "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
     true},
    {TLS1_3_VERSION, "", "TLS_AES_128_GCM_SHA256", true},
};
#define N_OFFERS (sizeof offers / sizeof offers[0])

static struct bst_tls_profile profile_of(size_t offer)
{
    struct bst_tls_profile row = *world_profile("onem2m");
    row.min_version = row.max_version = offers[offer].version;
    row.psk12 = offers[offer].psk12;
    return row;
}

static void exports_are_equal(const struct world_pair *p)
{
    uint8_t id_s[16], id_c[16], mac_s[32], mac_c[32];
    bst_key key_s, key_c;
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_MAC};
    struct bst_view part = BST_VIEW("same?");
    assert_ok(bst_tls_export_id(p->s, LABEL, id_s));
    assert_ok(bst_tls_export_id(p->c, LABEL, id_c));
    assert_memory_equal(id_s, id_c, 16);
    assert_ok(bst_tls_export_key(p->s, LABEL, w.se, &attrs, &key_s));
    assert_ok(bst_tls_export_key(p->c, LABEL, w.se, &attrs, &key_c));
    assert_ok(bst_se_mac(w.se, key_s, &part, 1, mac_s));
    assert_ok(bst_se_mac(w.se, key_c, &part, 1, mac_c));
    assert_memory_equal(mac_s, mac_c, 32);
}

static void every_psk_suite_opens_and_exports_the_same_key(void **state)
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_source source;
        struct world_pair p;
        int subject;
        world_source_init(&source, IDENTITY, key);
        source.subject = &subject;
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
        struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
        struct bst_tls_profile row = profile_of(i);
        client.profile = &row;
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        const struct bst_tls_peer *peer = bst_tls_peer(p.s);
        assert_int_equal(peer->kind, BST_TLS_AUTH_PSK);
        assert_true(bst_view_is(peer->identity, IDENTITY));
        assert_ptr_equal(peer->subject, &subject);
        assert_string_equal(peer->suite, offers[i].suite);
        assert_string_equal(bst_tls_peer(p.c)->suite, offers[i].suite);
        assert_int_equal(bst_tls_peer(p.c)->kind, BST_TLS_AUTH_PSK);
        assert_int_equal(peer->forward_secret, offers[i].forward_secret);
        assert_true(bst_view_is(peer->server_name, WORLD_SERVER_NAME));
        assert_string_equal(source.last_identity, IDENTITY);
        assert_int_equal(source.asked, 1);
        exports_are_equal(&p);
        world_pair_clear(&p);
        assert_int_equal(source.dropped, 1);
    }
}

static void the_standard_profile_and_the_mixed_one_understand_each_other(void **state)
{
    static const char *const pairs[][3] = {
        {"onem2m-tls12", "onem2m-tls12", "TLSv1.2"},
        {"onem2m-tls12", "onem2m", "TLSv1.2"},
        {"onem2m", "onem2m-tls12", "TLSv1.2"},
        {"onem2m", "onem2m", "TLSv1.3"},
        {"modern", "onem2m", "TLSv1.3"},
        {"modern", "modern", "TLSv1.3"},
        {"constrained", "constrained", "TLSv1.2"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct world_source source;
        struct world_pair p;
        world_source_init(&source, IDENTITY, key);
        struct bst_tls_server_config server = world_server_config(&w, pairs[i][0], &source);
        struct bst_tls_client_config client = world_psk_client(&w, pairs[i][1], IDENTITY, key);
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        assert_string_equal(bst_tls_peer(p.c)->version, pairs[i][2]);
        world_pair_clear(&p);
    }
}

static void keys_may_have_other_lengths_than_32_octets(void **state)
{
    static const size_t lengths[] = {16, 64, 256};
    char text[257];
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        struct world_source source;
        struct world_pair p;
        memset(text, 'k', sizeof text);
        text[lengths[i / 2]] = '\0';
        bst_key own = world_psk(&w, text);
        world_source_init(&source, IDENTITY, own);
        const char *profile = i % 2 ? "modern" : "onem2m-tls12";
        struct bst_tls_server_config server = world_server_config(&w, profile, &source);
        struct bst_tls_client_config client = world_psk_client(&w, profile, IDENTITY, own);
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        assert_int_equal(bst_tls_peer(p.s)->kind, BST_TLS_AUTH_PSK);
        assert_int_equal(bst_tls_peer(p.c)->kind, BST_TLS_AUTH_PSK);
        world_pair_clear(&p);
    }
}

/** How OpenSSL refuses a PSK binder: 3.0 by the one, 3.5 by the other, as RFC 8446 4.2.11 asks. */
static bool binder_alert(int alert)
{
    return alert == SSL_AD_ILLEGAL_PARAMETER || alert == SSL_AD_DECRYPT_ERROR;
}

/* What a client can see of a refusal. */
struct sight {
    int alert, flights;
};

static struct sight refused(size_t offer, const char *identity, bst_key with, bool certificates)
{
    struct world_source source;
    struct world_pair p;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    server.n_credentials = certificates;
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", identity, with);
    struct bst_tls_profile row = profile_of(offer);
    client.profile = &row;
    world_pair_init(&p, &server, &client);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_state(p.c), BST_TLS_FAILED);
    const struct bst_tls_failure *theirs = bst_tls_failure(p.c), *ours = bst_tls_failure(p.s);
    assert_int_equal(theirs->side, BST_TLS_SIDE_PEER);
    assert_int_equal(ours->side, BST_TLS_SIDE_HERE);
    assert_int_equal(ours->code, BST_E_CREDENTIAL);
    assert_true(bst_view_is(ours->identity, identity));
    assert_null(bst_tls_peer(p.s));
    struct sight seen = {theirs->alert, p.flights};
    world_pair_clear(&p);
    return seen;
}

static void an_unknown_identity_looks_like_a_wrong_key(void **state)
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        for (int certificates = 0; certificates < 2; certificates++) {
            struct sight wrong = refused(i, IDENTITY, other_key, certificates);
            struct sight unknown = refused(
                i, "FF112233445566778899AABBCCDDEEFF@mef.acme.example.com", key, certificates);
            assert_int_equal(wrong.alert, unknown.alert);
            assert_int_equal(wrong.flights, unknown.flights);
            if (offers[i].version == TLS1_3_VERSION) {
                assert_true(binder_alert(wrong.alert));
            } else {
                assert_int_equal(wrong.alert, SSL_AD_BAD_RECORD_MAC);
            }
        }
    }
}

static void a_failed_look_up_looks_like_a_wrong_key_and_the_log_knows_better(void **state)
{
    struct world_source source;
    struct world_pair p;
    world_source_init(&source, IDENTITY, key);
    source.later = true;
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    world_pair_init(&p, &server, &client);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_WAIT_KEY);
    bst_tls_lookup_done(source.pending,
                        bst_error_detailed(BST_E_TIMEOUT, "the MEF did not answer in 2000 ms"), 0,
                        NULL);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_non_null(strstr(bst_tls_failure(p.s)->reason, "the MEF did not answer"));
    world_shake(p.c, p.s, 0);
    assert_true(binder_alert(bst_tls_failure(p.c)->alert));
    world_pair_clear(&p);
}

static void a_key_that_may_not_be_released_fails_the_handshake(void **state)
{
    struct world_source source;
    struct world_pair p;
    bst_key sealed;
    bst_auto(secret) value = {0};
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_MAC};
    assert_ok(bst_secret_copy(&value, KEY_TEXT, strlen(KEY_TEXT)));
    assert_ok(bst_se_key_import(w.se, &attrs, &value, &sealed));
    world_source_init(&source, IDENTITY, sealed);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    world_pair_init(&p, &server, &client);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->code, BST_E_CREDENTIAL);
    world_pair_clear(&p);
}

static void note_progress(void *user)
{
    ++*(int *)user;
}

static void a_handshake_that_waits_for_its_key_waits_alone(void **state)
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_source slow;
        struct world_pair p, others;
        int progress = 0;
        world_source_init(&slow, IDENTITY, key);
        slow.later = true;
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &slow);
        struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
        struct bst_tls_profile row = profile_of(i);
        client.profile = &row;
        world_pair_init(&p, &server, &client);
        bst_tls_on_progress(p.s, note_progress, &progress);
        assert_int_equal(bst_tls_state(p.s), BST_TLS_WAIT_KEY);

        others = (struct world_pair){.server = p.server};
        struct bst_tls_client_config by_cert = world_cert_client(&w, "onem2m", &w.client);
        assert_ok(bst_tls_client_new(&by_cert, &others.client));
        world_connect(&others);
        assert_true(world_talks(others.c, others.s));
        world_hang_up(&others);
        bst_tls_client_free(&others.client);

        world_source_answer(&slow);
        assert_int_equal(progress, 1);
        world_shake(p.c, p.s, 0);
        assert_true(world_talks(p.c, p.s));
        world_pair_clear(&p);
    }
}

static void bytes_that_come_while_the_key_is_looked_up_are_kept_within_a_limit(void **state)
{
    struct world_source slow;
    struct world_pair p;
    static char flood[TLS_HOLD_MAX];
    world_source_init(&slow, IDENTITY, key);
    slow.later = true;
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &slow);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    world_pair_init(&p, &server, &client);
    assert_ok(bst_tls_feed(p.s, BST_VIEW("\x14\x03\x03\x00\x01\x01")));
    assert_int_equal(bst_tls_state(p.s), BST_TLS_WAIT_KEY);
    assert_err(bst_tls_feed(p.s, bst_view_of(flood, sizeof flood)), BST_E_TOO_LONG);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(slow.cancelled, 1);
    world_pair_clear(&p);
    assert_int_equal(slow.cancelled, 1);
}

static void closing_a_waiting_connection_cancels_its_look_up(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct world_source slow;
        struct world_pair p;
        world_source_init(&slow, IDENTITY, key);
        slow.later = true;
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &slow);
        struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
        world_pair_init(&p, &server, &client);
        if (how == 0) {
            bst_tls_close(p.s);
        } else if (how == 1) {
            assert_err(bst_tls_feed_eof(p.s), BST_E_CLOSED);
        }
        world_pair_clear(&p);
        assert_int_equal(slow.cancelled, 1);
    }
}

static void one_byte_at_a_time_is_enough(void **state)
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_source source;
        world_source_init(&source, IDENTITY, key);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
        struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
        struct bst_tls_profile row = profile_of(i);
        client.profile = &row;
        struct world_pair p = {0};
        assert_ok(bst_tls_server_new(&server, &p.server));
        assert_ok(bst_tls_client_new(&client, &p.client));
        assert_ok(bst_tls_accept(p.server, BST_VIEW("x"), &p.s));
        assert_ok(bst_tls_connect(p.client, &p.c));
        world_shake(p.c, p.s, 1);
        assert_true(world_talks(p.c, p.s));
        assert_int_equal(source.asked, 1);
        world_pair_clear(&p);
    }
}

/** Cut each record of `in` into records of one byte. */
static struct bst_buf splinter(struct bst_view in)
{
    struct bst_buf out = {0};
    while (in.len >= 5) {
        size_t body = (size_t)(uint8_t)in.ptr[3] << 8 | (uint8_t)in.ptr[4];
        for (size_t i = 0; i < body; i++) {
            const char head[] = {in.ptr[0], in.ptr[1], in.ptr[2], 0, 1};
            bst_buf_add(&out, head, 5);
            bst_buf_add(&out, in.ptr + 5 + i, 1);
        }
        in = bst_view_from(in, 5 + body);
    }
    return out;
}

static void a_message_may_be_spread_over_many_records(void **state)
{
    struct world_source source;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_pair p = {0};
        struct bst_tls_profile row = profile_of(i);
        client.profile = &row;
        source.asked = 0;
        assert_ok(bst_tls_server_new(&server, &p.server));
        assert_ok(bst_tls_client_new(&client, &p.client));
        assert_ok(bst_tls_accept(p.server, BST_VIEW("x"), &p.s));
        assert_ok(bst_tls_connect(p.client, &p.c));
        struct bst_buf hello = splinter(bst_tls_out(p.c));
        bst_tls_consumed(p.c, SIZE_MAX);
        assert_ok(bst_tls_feed(p.s, bst_buf_view(&hello)));
        bst_buf_clear(&hello);
        world_carry(p.s, p.c, 0);
        if (offers[i].version == TLS1_2_VERSION) {
            /* ClientKeyExchange alone is in clear; it is the first record of this flight. */
            struct bst_view flight = bst_tls_out(p.c);
            size_t first = 5 + ((size_t)(uint8_t)flight.ptr[3] << 8 | (uint8_t)flight.ptr[4]);
            struct bst_buf exchange = splinter((struct bst_view){flight.ptr, first});
            assert_ok(bst_tls_feed(p.s, bst_buf_view(&exchange)));
            bst_buf_clear(&exchange);
            bst_tls_consumed(p.c, first);
        }
        world_shake(p.c, p.s, 0);
        assert_true(world_talks(p.c, p.s));
        assert_int_equal(source.asked, 1);
        world_pair_clear(&p);
    }
}

static void a_hello_retry_keeps_the_first_identity(void **state)
{
    struct world_source source;
    struct world_pair p;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    struct bst_tls_profile only_p384 = *world_profile("onem2m"), row = *world_profile("onem2m");
    only_p384.groups = "P-384";
    row.min_version = TLS1_3_VERSION;
    server.profile = &only_p384;
    client.profile = &row;
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    assert_string_equal(bst_tls_peer(p.s)->group, "secp384r1");
    assert_int_equal(source.asked, 1);
    world_pair_clear(&p);
}

static void identities_beyond_256_octets_are_refused_when_they_are_configured(void **state)
{
    char identity[300];
    struct bst_tls_client *refused_client = NULL;
    memset(identity, 'a', sizeof identity);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", "", key);
    client.psk_identity = bst_view_of(identity, BST_TLS_IDENTITY_MAX + 1);
    assert_err(bst_tls_client_new(&client, &refused_client), BST_E_TOO_LONG);
    assert_non_null(strstr(bst_error_detail(), "257 octets"));
    client.psk_identity = BST_VIEW("tab\tinside");
    assert_err(bst_tls_client_new(&client, &refused_client), BST_E_ENCODING);
    assert_null(refused_client);

    identity[BST_TLS_IDENTITY_MAX] = '\0';
    for (int tls13 = 0; tls13 < 2; tls13++) {
        struct world_source source;
        struct world_pair p;
        world_source_init(&source, identity, key);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
        client = world_psk_client(&w, tls13 ? "onem2m" : "onem2m-tls12", identity, key);
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        world_pair_clear(&p);
    }
}

static char raw_identity[300];

static int raw_use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                           SSL_SESSION **ret)
{
    static const uint8_t suite[] = {0x13, 0x01};
    *ret = SSL_SESSION_new();
    SSL_SESSION_set1_master_key(*ret, (const uint8_t *)KEY_TEXT, strlen(KEY_TEXT));
    SSL_SESSION_set_cipher(*ret, SSL_CIPHER_find(ssl, suite));
    SSL_SESSION_set_protocol_version(*ret, TLS1_3_VERSION);
    *id = (const unsigned char *)raw_identity;
    *len = strlen(raw_identity);
    return 1;
}

static unsigned int raw_client_key(SSL *ssl, const char *hint, char *identity, unsigned int cap,
                                   unsigned char *out, unsigned int out_cap)
{
    snprintf(identity, cap, "%s", raw_identity);
    memcpy(out, KEY_TEXT, strlen(KEY_TEXT));
    return (unsigned int)strlen(KEY_TEXT);
}

static void an_identity_beyond_256_octets_is_no_question_for_the_source(void **state)
{
    struct world_source source;
    struct bst_tls_server *server = NULL;
    struct bst_tls *t = NULL;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", &source);
    assert_ok(bst_tls_server_new(&config, &server));
    assert_ok(bst_tls_accept(server, BST_VIEW("x"), &t));
    struct raw raw;
    raw_init(&raw, TLS1_3_VERSION, TLS1_3_VERSION);
    memset(raw_identity, 'b', sizeof raw_identity - 1);
    SSL_CTX_set_psk_use_session_callback(raw.ctx, raw_use_session);
    raw_start(&raw, true);
    raw_shake(&raw, t);
    assert_int_equal(raw.done, -1);
    assert_int_equal(source.asked, 0);
    assert_non_null(strstr(bst_tls_failure(t)->reason, "299 octets"));
    assert_true(binder_alert(bst_tls_failure(t)->alert));
    raw_clear(&raw);
    bst_tls_free(&t);
    bst_tls_server_free(&server);
}

static void without_extended_master_secret_nothing_is_exported(void **state)
{
    struct world_source source;
    struct bst_tls_server *server = NULL;
    struct bst_tls *t = NULL;
    uint8_t id[16];
    bst_key exported = 0;
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_MAC};
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", &source);
    assert_ok(bst_tls_server_new(&config, &server));
    assert_ok(bst_tls_accept(server, BST_VIEW("x"), &t));
    struct raw raw;
    raw_init(&raw, TLS1_2_VERSION, TLS1_2_VERSION);
    SSL_CTX_set_options(raw.ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    snprintf(raw_identity, sizeof raw_identity, "%s", IDENTITY);
    SSL_CTX_set_psk_client_callback(raw.ctx, raw_client_key);
    raw_start(&raw, true);
    assert_err(bst_tls_export_id(t, LABEL, id), BST_E_HANDSHAKE);
    raw_shake(&raw, t);
    assert_int_equal(bst_tls_state(t), BST_TLS_OPEN);
    assert_false(bst_tls_peer(t)->extended_master_secret);
    assert_err(bst_tls_export_id(t, LABEL, id), BST_E_HANDSHAKE);
    assert_err(bst_tls_export_key(t, LABEL, w.se, &attrs, &exported), BST_E_HANDSHAKE);
    assert_non_null(strstr(bst_error_detail(), "7627"));
    raw_clear(&raw);
    bst_tls_free(&t);
    bst_tls_server_free(&server);
}

static void renegotiation_is_refused_and_the_session_goes_on(void **state)
{
    struct world_source source;
    struct bst_tls_server *server = NULL;
    struct bst_tls *t = NULL;
    char got[8];
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", &source);
    assert_ok(bst_tls_server_new(&config, &server));
    assert_ok(bst_tls_accept(server, BST_VIEW("x"), &t));
    struct raw raw;
    raw_init(&raw, TLS1_2_VERSION, TLS1_2_VERSION);
    snprintf(raw_identity, sizeof raw_identity, "%s", IDENTITY);
    SSL_CTX_set_psk_client_callback(raw.ctx, raw_client_key);
    raw_start(&raw, true);
    raw_shake(&raw, t);
    assert_int_equal(raw.done, 1);
    assert_int_equal(SSL_renegotiate(raw.ssl), 1);
    assert_int_equal(SSL_do_handshake(raw.ssl), -1);
    raw_carry(&raw, t);
    assert_int_equal(bst_tls_state(t), BST_TLS_OPEN);
    assert_int_equal(source.asked, 1);
    assert_int_equal(SSL_read(raw.ssl, got, sizeof got), -1);
    unsigned long error = ERR_get_error();
    assert_int_equal(ERR_GET_REASON(error), SSL_R_NO_RENEGOTIATION);
    assert_ok(bst_tls_write(t, BST_VIEW("still here")));
    raw_clear(&raw);
    bst_tls_free(&t);
    bst_tls_server_free(&server);
}

static void the_key_is_gone_after_the_handshake(void **state)
{
    struct world_source source;
    struct world_pair p;
    uint8_t secret[48];
    static const uint8_t zeros[32];
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "modern", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "modern", IDENTITY, key);
    world_pair_init(&p, &server, &client);
    struct bst_tls *ends[] = {p.s, p.c};
    for (int i = 0; i < 2; i++) {
        assert_null(ends[i]->hs);
        size_t n = SSL_SESSION_get_master_key(SSL_get_session(ends[i]->ssl), secret, sizeof secret);
        assert_int_equal(n, 32);
        assert_memory_equal(secret, zeros, 32);
    }
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
}

static void each_side_has_its_key_released_once(void **state)
{
    for (size_t i = 0; i < N_OFFERS; i++) {
        struct world_source source;
        struct world_pair p;
        world_source_init(&source, IDENTITY, key);
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
        struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
        struct bst_tls_profile row = profile_of(i), only_p384 = *world_profile("onem2m");
        only_p384.groups = "P-384"; /* in TLS 1.3 the client has to send two hellos */
        client.profile = &row;
        server.profile = &only_p384;
        releases = 0;
        world_pair_init(&p, &server, &client);
        assert_true(world_talks(p.c, p.s));
        assert_int_equal(releases, 2);
        world_pair_clear(&p);
    }
}

static void a_psk_server_without_certificate_refuses_a_certificate_client(void **state)
{
    struct world_source source;
    struct world_pair p;
    world_source_init(&source, IDENTITY, key);
    for (int tls13 = 0; tls13 < 2; tls13++) {
        struct bst_tls_server_config server =
            world_server_config(&w, tls13 ? "onem2m" : "onem2m-tls12", &source);
        server.n_credentials = 0;
        struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
        world_pair_init(&p, &server, &client);
        assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
        assert_int_equal(bst_tls_failure(p.c)->side, BST_TLS_SIDE_PEER);
        assert_int_equal(source.asked, 0);
        world_pair_clear(&p);
    }
}

static void a_psk_client_takes_no_certificate_instead(void **state)
{
    struct world_pair p;
    for (int tls13 = 0; tls13 < 2; tls13++) {
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
        server.anonymous_clients = true;
        struct bst_tls_client_config client =
            world_psk_client(&w, tls13 ? "modern" : "onem2m-tls12", IDENTITY, key);
        client.trust = w.trust;
        world_pair_init(&p, &server, &client);
        assert_int_equal(bst_tls_state(p.c), BST_TLS_FAILED);
        world_pair_clear(&p);
    }
}

static void each_failing_allocation_is_survived(void **state)
{
    struct world_source source;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", IDENTITY, key);
    bool all = false;
    for (long n = 1; n < 200 && !all; n++) {
        struct world_pair p = {0};
        bst_alloc_fail_at(n);
        bst_result made = bst_tls_server_new(&server, &p.server);
        made = bst_failed(made) ? made : bst_tls_client_new(&client, &p.client);
        made = bst_failed(made) ? made : bst_tls_accept(p.server, BST_VIEW("x"), &p.s);
        made = bst_failed(made) ? made : bst_tls_connect(p.client, &p.c);
        if (!bst_failed(made)) {
            world_shake(p.c, p.s, 0);
            bool open = bst_tls_state(p.s) == BST_TLS_OPEN && bst_tls_state(p.c) == BST_TLS_OPEN;
            all = bst_alloc_count() < n && open;
        }
        bst_alloc_fail_at(0);
        world_pair_clear(&p);
    }
    assert_true(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_psk_suite_opens_and_exports_the_same_key),
        cmocka_unit_test(the_standard_profile_and_the_mixed_one_understand_each_other),
        cmocka_unit_test(keys_may_have_other_lengths_than_32_octets),
        cmocka_unit_test(an_unknown_identity_looks_like_a_wrong_key),
        cmocka_unit_test(a_failed_look_up_looks_like_a_wrong_key_and_the_log_knows_better),
        cmocka_unit_test(a_key_that_may_not_be_released_fails_the_handshake),
        cmocka_unit_test(a_handshake_that_waits_for_its_key_waits_alone),
        cmocka_unit_test(bytes_that_come_while_the_key_is_looked_up_are_kept_within_a_limit),
        cmocka_unit_test(closing_a_waiting_connection_cancels_its_look_up),
        cmocka_unit_test(one_byte_at_a_time_is_enough),
        cmocka_unit_test(a_message_may_be_spread_over_many_records),
        cmocka_unit_test(a_hello_retry_keeps_the_first_identity),
        cmocka_unit_test(identities_beyond_256_octets_are_refused_when_they_are_configured),
        cmocka_unit_test(an_identity_beyond_256_octets_is_no_question_for_the_source),
        cmocka_unit_test(without_extended_master_secret_nothing_is_exported),
        cmocka_unit_test(renegotiation_is_refused_and_the_session_goes_on),
        cmocka_unit_test(the_key_is_gone_after_the_handshake),
        cmocka_unit_test(each_side_has_its_key_released_once),
        cmocka_unit_test(a_psk_server_without_certificate_refuses_a_certificate_client),
        cmocka_unit_test(a_psk_client_takes_no_certificate_instead),
        cmocka_unit_test(each_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
