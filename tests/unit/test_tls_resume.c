/* tls: tickets, what they are bound to, and trust that is replaced while connections run. */
#include "support/test.h"

#include "support/tls_world.h"

#include "tls/tls_priv.h"

static struct world w;
static struct bst_cert_facts asked;
static bool welcome;

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

static bool still_welcome(void *ctx, const struct bst_cert_facts *leaf)
{
    asked = *leaf;
    return welcome;
}

static struct bst_tls_server_config ticket_server(const char *profile)
{
    struct bst_tls_server_config server = world_server_config(&w, profile, NULL);
    server.ticket_lifetime_s = 3600;
    server.resume_allowed = still_welcome;
    welcome = true;
    return server;
}

static struct bst_tls_client_config ticket_client(const char *profile)
{
    struct bst_tls_client_config client = world_cert_client(&w, profile, &w.client);
    client.resume = true;
    return client;
}

static void a_ticket_resumes_once_and_brings_the_proved_names_along(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    assert_false(bst_tls_peer(p.s)->resumed);
    for (int i = 0; i < 3; i++) {
        world_hang_up(&p);
        world_connect(&p);
        assert_true(world_talks(p.c, p.s));
        assert_true(bst_tls_peer(p.s)->resumed);
        assert_true(bst_tls_peer(p.c)->resumed);
        assert_int_equal(bst_tls_peer(p.s)->kind, BST_TLS_AUTH_CERT);
        assert_string_equal(bst_tls_peer(p.s)->names.names[0].text, WORLD_CLIENT_AE);
        assert_memory_equal(asked.sha256, w.client.facts.sha256, 32);
        assert_true(bst_tls_peer(p.s)->forward_secret);
    }
    world_pair_clear(&p);
}

static void resume_again(struct world_pair *p, bool resumed)
{
    world_hang_up(p);
    world_connect(p);
    assert_true(world_talks(p->c, p->s));
    assert_int_equal(bst_tls_peer(p->s)->resumed, resumed);
    assert_int_equal(bst_tls_peer(p->c)->resumed, resumed);
}

static void a_new_generation_voids_the_tickets_and_leaves_running_sessions(void **state)
{
    struct world_pair p, running;
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    resume_again(&p, true);
    running = p;
    p.c = p.s = NULL;
    assert_ok(bst_tls_server_replace(p.server, &server));
    assert_int_equal(bst_tls_server_generation(p.server), 2);
    world_connect(&p);
    assert_true(world_talks(p.c, p.s));
    assert_false(bst_tls_peer(p.s)->resumed);
    assert_int_equal(bst_tls_peer(p.s)->generation, 2);
    assert_int_equal(bst_tls_peer(running.s)->generation, 1);
    assert_true(world_talks(running.c, running.s));
    world_hang_up(&running);
    resume_again(&p, true);
    world_pair_clear(&p);
}

static void a_replacement_that_fails_changes_nothing(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config server = ticket_server("onem2m"), broken;
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    broken = server;
    struct bst_tls_credential wrong = {NULL, bst_buf_view(&w.server.chain_pem), w.client.key};
    broken.credentials = &wrong;
    assert_err(bst_tls_server_replace(p.server, &broken), BST_E_BAD_KEY);
    assert_int_equal(bst_tls_server_generation(p.server), 1);
    resume_again(&p, true);
    world_pair_clear(&p);
}

static void a_credential_that_is_no_longer_welcome_shakes_hands_anew(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    welcome = false;
    resume_again(&p, false);
    world_pair_clear(&p);
}

static void an_expired_client_certificate_does_not_live_on_in_a_ticket(void **state)
{
    struct world_cert brief = {0};
    struct world_pair p;
    world_issue_at(&w, &w.ca, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE,
                   WORLD_NOW_US - WORLD_DAY_US, WORLD_NOW_US + WORLD_DAY_US, &brief);
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &brief);
    client.resume = true;
    world_pair_init(&p, &server, &client);
    resume_again(&p, true);
    world_now_us += 2 * WORLD_DAY_US;
    world_hang_up(&p);
    world_connect(&p);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->code, BST_E_EXPIRED);
    world_now_us = WORLD_NOW_US;
    world_pair_clear(&p);
    bst_buf_clear(&brief.chain_pem);
}

static void an_expired_server_certificate_does_not_live_on_in_a_ticket(void **state)
{
    struct world_cert brief = {0};
    struct world_pair p;
    world_issue_at(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME,
                   WORLD_NOW_US - WORLD_DAY_US, WORLD_NOW_US + WORLD_DAY_US, &brief);
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_credential own = {NULL, bst_buf_view(&brief.chain_pem), brief.key};
    server.credentials = &own;
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    resume_again(&p, true);
    world_now_us += 2 * WORLD_DAY_US;
    world_hang_up(&p);
    world_connect(&p);
    assert_int_equal(bst_tls_state(p.c), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.c)->code, BST_E_EXPIRED);
    world_now_us = WORLD_NOW_US;
    world_pair_clear(&p);
    bst_buf_clear(&brief.chain_pem);
}

static void a_ticket_of_one_authority_is_none_for_another(void **state)
{
    struct world_cert mef = {0};
    struct world_pair p;
    world_issue(&w, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, "mef.acme.example.com", &mef);
    struct bst_tls_credential both[] = {
        {NULL, bst_buf_view(&w.server.chain_pem), w.server.key},
        {"mef.acme.example.com", bst_buf_view(&mef.chain_pem), mef.key},
    };
    struct bst_tls_server_config server = ticket_server("onem2m");
    server.credentials = both;
    server.n_credentials = 2;
    struct bst_tls_client_config client = ticket_client("onem2m");
    struct bst_tls_name names[] = {{BST_CERT_FQDN, BST_VIEW(WORLD_SERVER_NAME)},
                                   {BST_CERT_FQDN, BST_VIEW("mef.acme.example.com")}};
    client.expect = names;
    client.n_expect = 2;
    world_pair_init(&p, &server, &client);
    resume_again(&p, true);
    world_hang_up(&p);
    /* The ticket of the one is offered to the other. */
    struct bst_tls_client *first = p.client;
    client.server_name = "mef.acme.example.com";
    assert_ok(bst_tls_client_new(&client, &p.client));
    p.client->session = first->session;
    first->session = NULL;
    world_connect(&p);
    assert_true(world_talks(p.c, p.s));
    assert_false(bst_tls_peer(p.s)->resumed);
    bst_tls_client_free(&first);
    world_pair_clear(&p);
    bst_buf_clear(&mef.chain_pem);
}

static void tls12_and_psk_sessions_get_no_tickets(void **state)
{
    struct world_source source;
    struct world_pair p;
    bst_key key = world_psk(&w, "0123456789abcdef0123456789abcdef");
    world_source_init(&source, "id@mef", key);
    struct bst_tls_server_config server = ticket_server("onem2m");
    server.psk = &source.table;
    struct bst_tls_client_config client = ticket_client("onem2m-tls12");
    world_pair_init(&p, &server, &client);
    resume_again(&p, false);
    world_pair_clear(&p);

    struct bst_tls_client_config psk = world_psk_client(&w, "modern", "id@mef", key);
    psk.resume = true;
    world_pair_init(&p, &server, &psk);
    resume_again(&p, false);
    assert_int_equal(source.asked, 2);
    world_pair_clear(&p);
}

static void a_revoked_psk_is_refused_at_the_next_handshake(void **state)
{
    struct world_source source;
    struct world_pair p;
    bst_key key = world_psk(&w, "0123456789abcdef0123456789abcdef");
    world_source_init(&source, "id@mef", key);
    struct bst_tls_server_config server = ticket_server("onem2m");
    server.psk = &source.table;
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m", "id@mef", key);
    world_pair_init(&p, &server, &client);
    assert_true(world_talks(p.c, p.s));
    source.identity = "nobody";
    world_hang_up(&p);
    world_connect(&p);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    world_pair_clear(&p);
}

static void an_identity_offered_beside_a_ticket_proves_nothing(void **state)
{
    struct world_pair p;
    struct world_source source;
    world_source_init(&source, "victim@mef", world_psk(&w, "0123456789abcdef0123456789abcdef"));
    struct bst_tls_server_config server = ticket_server("modern");
    server.psk = &source.table;
    struct bst_tls_client_config client = ticket_client("modern");
    world_pair_init(&p, &server, &client);
    world_hang_up(&p);
    assert_ok(bst_tls_accept(p.server, BST_VIEW("x"), &p.s));
    assert_ok(bst_tls_connect(p.client, &p.c));
    world_carry(p.c, p.s, 0);
    /* As after a hello that names the victim first, with a suite that its PSK does not fit. */
    struct bst_tls_hs *hs = p.s->hs;
    hs->identity_len = strlen(strcpy(hs->identity, "victim@mef"));
    assert_ok(bst_secret_copy(&hs->psk, "0123456789abcdef0123456789abcdef", 32));
    world_shake(p.c, p.s, 0);
    assert_true(world_talks(p.c, p.s));
    assert_int_equal(bst_tls_peer(p.s)->kind, BST_TLS_AUTH_CERT);
    assert_int_equal(bst_tls_peer(p.s)->identity.len, 0);
    assert_true(bst_tls_peer(p.s)->resumed);
    world_pair_clear(&p);
}

struct replacer {
    struct bst_tls_server *server;
    const struct bst_tls_server_config *config;
};

static void *replace_many_times(void *arg)
{
    const struct replacer *r = arg;
    for (int i = 0; i < 30; i++) {
        world_ok(bst_tls_server_replace(r->server, r->config));
    }
    return NULL;
}

static void connections_go_on_while_another_thread_replaces_the_trust(void **state)
{
    struct world_pair p;
    pthread_t thread;
    struct bst_tls_server_config server = ticket_server("onem2m");
    struct bst_tls_client_config client = ticket_client("onem2m");
    world_pair_init(&p, &server, &client);
    struct replacer replacer = {p.server, &server};
    assert_int_equal(pthread_create(&thread, NULL, replace_many_times, &replacer), 0);
    for (int i = 0; i < 30; i++) {
        world_hang_up(&p);
        world_connect(&p);
        assert_true(world_talks(p.c, p.s));
    }
    pthread_join(thread, NULL);
    assert_int_equal(bst_tls_server_generation(p.server), 31);
    world_pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_resumes_once_and_brings_the_proved_names_along),
        cmocka_unit_test(a_new_generation_voids_the_tickets_and_leaves_running_sessions),
        cmocka_unit_test(a_replacement_that_fails_changes_nothing),
        cmocka_unit_test(a_credential_that_is_no_longer_welcome_shakes_hands_anew),
        cmocka_unit_test(an_expired_client_certificate_does_not_live_on_in_a_ticket),
        cmocka_unit_test(an_expired_server_certificate_does_not_live_on_in_a_ticket),
        cmocka_unit_test(a_ticket_of_one_authority_is_none_for_another),
        cmocka_unit_test(tls12_and_psk_sessions_get_no_tickets),
        cmocka_unit_test(a_revoked_psk_is_refused_at_the_next_handshake),
        cmocka_unit_test(an_identity_offered_beside_a_ticket_proves_nothing),
        cmocka_unit_test(connections_go_on_while_another_thread_replaces_the_trust),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
