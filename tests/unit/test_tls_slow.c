/* tls: keys of a slow secure environment: the handshake waits, its thread does not. */
#include "support/test.h"

#include "support/slow_se.h"
#include "support/tls_world.h"
#include "tls/profile_priv.h"
#include "tls/tls_priv.h"

#include <pthread.h>

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"
#define KEY_TEXT "a pre-shared key of 32 octets!!!"

static struct bst_se_host host;

/* ---- letters: carried to this thread when it looks for them ---- */

static struct {
    struct bst_tls_letter *letters[16];
    int n;
} box; /* under the gate's lock */

static void post(void *user, struct bst_tls_letter *letter)
{
    pthread_mutex_lock(&slow_gate.lock);
    box.letters[box.n++] = letter;
    pthread_cond_broadcast(&slow_gate.changed);
    pthread_mutex_unlock(&slow_gate.lock);
}

static struct bst_tls_letter *take_letter(void)
{
    slow_await(&box.n, 1);
    pthread_mutex_lock(&slow_gate.lock);
    struct bst_tls_letter *letter = box.letters[0];
    box.n--;
    memmove(box.letters, box.letters + 1, (size_t)box.n * sizeof box.letters[0]);
    pthread_mutex_unlock(&slow_gate.lock);
    return letter;
}

static void read_letter(void)
{
    struct bst_tls_letter *letter = take_letter();
    letter->run(letter);
}

/* ---- the world, with one server key in the slow environment ---- */

static struct world w;
static struct world slow; /* the same authorities, keys elsewhere */
static struct bst_tls_server_config slow_server;
static struct bst_tls_client_config plain_client;
static int progressed;

static void count_progress(void *user)
{
    progressed++;
}

static int set_up(void **state)
{
    world_init(&w);
    host.wall_us = world_host_wall_us;
    slow = w;
    slow.server = slow.client = (struct world_cert){0};
    slow_reset();
    box.n = progressed = 0;
    world_ok(bst_se_open(&host, "slow:", &slow.se));
    world_issue(&slow, &w.ca, BST_CERT_TLS_SERVER, BST_CERT_FQDN, WORLD_SERVER_NAME, &slow.server);
    world_issue(&slow, &w.ca, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE, &slow.client);
    slow_server = world_server_config(&slow, "onem2m", NULL);
    plain_client = world_cert_client(&w, "onem2m", &w.client);
    slow_reset();
    return 0;
}

static int tear_down(void **state)
{
    bst_se_settle(slow.se);
    bst_buf_clear(&slow.server.chain_pem);
    bst_buf_clear(&slow.client.chain_pem);
    bst_se_close(&slow.se);
    world_clear(&w);
    return 0;
}

static void begin(struct world_pair *p, const struct bst_tls_server_config *server,
                  const struct bst_tls_client_config *client)
{
    *p = (struct world_pair){0};
    world_ok(bst_tls_server_new(server, &p->server));
    world_ok(bst_tls_client_new(client, &p->client));
    world_ok(bst_tls_accept(p->server, BST_VIEW("192.0.2.7:4711"), &p->s));
    world_ok(bst_tls_connect(p->client, &p->c));
    bst_tls_may_wait(p->s, post, NULL);
    bst_tls_may_wait(p->c, post, NULL);
    bst_tls_on_progress(p->s, count_progress, NULL);
    bst_tls_on_progress(p->c, count_progress, NULL);
}

static bool waits(const struct bst_tls *t)
{
    return bst_tls_state(t) == BST_TLS_WAIT_KEY;
}

/* Carry bytes, and letters to whoever waits for one. */
static void shake(struct world_pair *p)
{
    for (int i = 0; i < 20; i++) {
        world_shake(p->c, p->s, 0);
        if (!waits(p->c) && !waits(p->s)) {
            return;
        }
        read_letter();
    }
    fail_msg("the handshake does not end");
}

static struct bst_tls_profile only(int version)
{
    struct bst_tls_profile row = *world_profile("onem2m");
    row.min_version = row.max_version = version;
    return row;
}

/* ---- cases ---- */

static void a_server_with_a_slow_key_serves_others_meanwhile(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct world_pair p, other;
        struct bst_tls_profile row = only(versions[i]);
        struct bst_tls_client_config client = plain_client;
        client.profile = &row;
        begin(&p, &slow_server, &client);
        slow_shut(true);
        slow_gate.inside = 0;
        world_carry(p.c, p.s, 0);
        assert_true(waits(p.s));
        slow_await(&slow_gate.inside, 1); /* it is signing */
        assert_true(waits(p.s));
        assert_int_equal(bst_tls_out(p.s).len, 0);
        assert_null(bst_tls_peer(p.s));
        /* On the same thread, with quick keys. */
        struct bst_tls_server_config quick = world_server_config(&w, "onem2m", NULL);
        world_pair_init(&other, &quick, &plain_client);
        assert_true(world_talks(other.c, other.s));
        world_pair_clear(&other);
        slow_shut(false);
        shake(&p);
        assert_true(world_talks(p.c, p.s));
        assert_true(progressed > 0);
        assert_int_equal(bst_tls_peer(p.s)->kind, BST_TLS_AUTH_CERT);
        world_pair_clear(&p);
        slow_server = world_server_config(&slow, "onem2m", NULL);
    }
}

static void a_client_with_a_slow_key_waits_alone(void **state)
{
    struct world_pair p;
    struct bst_tls_server_config quick = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&slow, "onem2m", &slow.client);
    begin(&p, &quick, &client);
    slow_shut(true);
    slow_gate.inside = 0;
    world_carry(p.c, p.s, 0);
    world_carry(p.s, p.c, 0);
    assert_true(waits(p.c));
    slow_await(&slow_gate.inside, 1);
    slow_shut(false);
    shake(&p);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
}

static void a_slow_pre_shared_key_is_released_elsewhere(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        for (int later = 0; later < 2; later++) {
            struct world_pair p;
            struct world_source source;
            int subject;
            world_source_init(&source, IDENTITY, world_psk(&slow, KEY_TEXT));
            source.later = later;
            source.subject = &subject;
            struct bst_tls_server_config server = world_server_config(&slow, "onem2m", &source);
            struct bst_tls_client_config client =
                world_psk_client(&w, "onem2m", IDENTITY, world_psk(&w, KEY_TEXT));
            struct bst_tls_profile row = only(versions[i]);
            client.profile = &row;
            begin(&p, &server, &client);
            slow_shut(true);
            slow_gate.inside = 0;
            world_carry(p.c, p.s, 0);
            if (versions[i] == TLS1_2_VERSION) {
                read_letter(); /* the hello could have needed a signature */
                world_shake(p.c, p.s, 0);
            }
            if (later) {
                assert_non_null(source.pending);
                world_source_answer(&source);
            }
            slow_await(&slow_gate.inside, 1);
            assert_true(waits(p.s));
            slow_shut(false);
            shake(&p);
            assert_true(world_talks(p.c, p.s));
            assert_ptr_equal(bst_tls_peer(p.s)->subject, &subject);
            world_pair_clear(&p);
            assert_int_equal(source.dropped, 1);
        }
    }
}

/* TLS 1.3 binds the key in the first flight, TLS 1.2 takes it in the second. */
static void a_client_whose_pre_shared_key_is_slow_waits_alone(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct world_pair p = {0};
        struct world_source source;
        int subject;
        world_source_init(&source, IDENTITY, world_psk(&w, KEY_TEXT));
        source.subject = &subject;
        struct bst_tls_server_config server = world_server_config(&w, "onem2m", &source);
        struct bst_tls_client_config client =
            world_psk_client(&slow, "onem2m", IDENTITY, world_psk(&slow, KEY_TEXT));
        struct bst_tls_profile row = only(versions[i]);
        client.profile = &row;
        world_ok(bst_tls_server_new(&server, &p.server));
        world_ok(bst_tls_client_new(&client, &p.client));
        world_ok(bst_tls_accept(p.server, BST_VIEW("192.0.2.7:4711"), &p.s));
        slow_shut(true);
        slow_gate.inside = 0;
        world_ok(bst_tls_connect_apart(p.client, post, NULL, &p.c));
        bst_tls_on_progress(p.c, count_progress, NULL);
        if (versions[i] == TLS1_2_VERSION) {
            read_letter(); /* of the hello, which could have needed the key */
            world_carry(p.c, p.s, 0);
            world_carry(p.s, p.c, 0);
        }
        slow_await(&slow_gate.inside, 1);
        assert_true(waits(p.c));
        assert_int_equal(bst_tls_out(p.c).len, 0);
        slow_shut(false);
        shake(&p);
        assert_true(world_talks(p.c, p.s));
        world_pair_clear(&p);
    }
}

static void read_letters_of(struct world_pair *p)
{
    while (waits(p->c) || waits(p->s)) {
        read_letter();
    }
}

static void bytes_that_come_in_small_pieces_while_it_waits_are_kept(void **state)
{
    struct world_pair p;
    struct bst_tls_client_config client = world_cert_client(&slow, "onem2m", &slow.client);
    begin(&p, &slow_server, &client);
    for (int i = 0; i < 40 && bst_tls_state(p.s) != BST_TLS_OPEN; i++) {
        world_carry(p.c, p.s, 7);
        read_letters_of(&p);
        world_carry(p.s, p.c, 5);
        read_letters_of(&p);
    }
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
}

static void an_endpoint_may_be_freed_while_its_key_works(void **state)
{
    struct world_pair p;
    begin(&p, &slow_server, &plain_client);
    slow_shut(true);
    slow_gate.inside = slow_gate.passed = 0;
    world_carry(p.c, p.s, 0);
    slow_await(&slow_gate.inside, 1);
    world_pair_clear(&p); /* before the letter: the worker clears up */
    slow_shut(false);
    slow_await(&slow_gate.passed, 1);
    begin(&p, &slow_server, &plain_client);
    world_carry(p.c, p.s, 0);
    struct bst_tls_letter *letter = take_letter();
    world_pair_clear(&p); /* after it: the letter clears up */
    letter->run(letter);
    assert_int_equal(progressed, 0);
    assert_int_equal(box.n, 0);
}

static void a_key_that_fails_ends_the_handshake_in_words(void **state)
{
    struct world_pair p;
    begin(&p, &slow_server, &plain_client);
    slow_break(true);
    world_carry(p.c, p.s, 0);
    assert_int_equal(bst_tls_failure(p.s)->side, BST_TLS_SIDE_NONE);
    read_letter();
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->side, BST_TLS_SIDE_HERE);
    world_pair_clear(&p);
}

static bst_result run_gate(struct bst_se *se, struct bst_se_call *call)
{
    return slow_pass("test");
}

static int calls_done;

static void count_done(struct bst_se_call *call)
{
    pthread_mutex_lock(&slow_gate.lock);
    calls_done++;
    pthread_cond_broadcast(&slow_gate.changed);
    pthread_mutex_unlock(&slow_gate.lock);
}

#define WORKERS 4 /* of src/se/async.c */

/* Queue calls until there is no room; returns how many there are. */
static int crowd(struct bst_se_call *calls, int n, int max)
{
    calls[n] = (struct bst_se_call){.run = run_gate, .done = count_done};
    while (n < max - 1 && !bst_failed(bst_se_submit(slow.se, &calls[n]))) {
        n++;
        calls[n] = (struct bst_se_call){.run = run_gate, .done = count_done};
    }
    return n;
}

static void a_crowded_environment_refuses_a_handshake_as_busy(void **state)
{
    static struct bst_se_call calls[400];
    struct world_pair p;
    begin(&p, &slow_server, &plain_client);
    slow_shut(true);
    slow_gate.inside = 0;
    calls_done = 0;
    int n = crowd(calls, 0, 400);
    slow_await(&slow_gate.inside, WORKERS); /* they have made room */
    n = crowd(calls, n, 400);
    world_carry(p.c, p.s, 0);
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->code, BST_E_BUSY);
    world_hang_up(&p);
    slow_shut(false);
    slow_await(&calls_done, n);
    world_ok(bst_tls_accept(p.server, BST_VIEW("192.0.2.7:4711"), &p.s));
    world_ok(bst_tls_connect(p.client, &p.c));
    bst_tls_may_wait(p.s, post, NULL);
    shake(&p);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
}

static void who_sends_too_much_while_it_waits_is_refused(void **state)
{
    static char noise[60 * 1024];
    struct world_pair p;
    begin(&p, &slow_server, &plain_client);
    slow_shut(true);
    world_carry(p.c, p.s, 0);
    assert_err(bst_tls_feed(p.s, bst_view_of(noise, sizeof noise)), BST_E_TOO_LONG);
    slow_shut(false);
    read_letter();
    assert_int_equal(bst_tls_state(p.s), BST_TLS_FAILED);
    assert_int_equal(bst_tls_failure(p.s)->code, BST_E_TOO_LONG);
    world_pair_clear(&p);
}

static void make_client(void *arg)
{
    struct bst_tls_client_config config = world_cert_client(arg, "onem2m", &slow.client);
    struct bst_tls_client *client = NULL;
    world_ok(bst_tls_client_new(&config, &client));
    bst_tls_client_free(&client);
}

static void read_public(void *arg)
{
    bst_auto(buf) spki = {0};
    world_ok(bst_se_key_public(slow.se, *(bst_key *)arg, &spki));
    assert_true(spki.len > 0);
}

/* Who makes a context asks for the public half: the first one waits, and it is the start. */
static void a_public_half_is_asked_for_once(void **state)
{
    const struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    bst_key key;
    world_ok(bst_se_key_generate(slow.se, &attrs, &key));
    slow_reset();
    read_public(&key);
    assert_int_equal(slow_number(&slow_gate.inside), 1);
    slow_on_loop(read_public, &key);
    slow_on_loop(make_client, &slow); /* its key signed a certificate before */
    assert_int_equal(slow_number(&slow_gate.inside), 1);
    slow_no_loop_waited();
}

static void who_has_no_thread_to_come_back_to_waits_itself(void **state)
{
    struct world_pair p;
    world_pair_init(&p, &slow_server, &plain_client);
    assert_true(world_talks(p.c, p.s));
    assert_true(slow_gate.passed > 0);
    world_pair_clear(&p);
}

int main(void)
{
    world_ok(slow_register());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_with_a_slow_key_serves_others_meanwhile, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_client_with_a_slow_key_waits_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_whose_pre_shared_key_is_slow_waits_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_slow_pre_shared_key_is_released_elsewhere, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_come_in_small_pieces_while_it_waits_are_kept,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_endpoint_may_be_freed_while_its_key_works, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_fails_ends_the_handshake_in_words, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_crowded_environment_refuses_a_handshake_as_busy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_sends_too_much_while_it_waits_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_public_half_is_asked_for_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_has_no_thread_to_come_back_to_waits_itself, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
