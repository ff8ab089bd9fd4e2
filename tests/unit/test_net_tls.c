/* HTTP over TLS: server and client of the product against each other. */
#include "support/test.h"

#include "net/http_client.h"
#include "net/http_server.h"
#include "support/tls_world.h"
#include "sys/clock.h"

static struct bst_loop *loop;
static struct world world;
static struct world_source source;
static struct bst_tls_server *tls;
static struct bst_tls_client *psk_client, *cert_client;
static struct bst_http_shared *shared;
static struct bst_http_server *server;
static struct bst_http_client *client;
static struct bst_bound bound;
static char address[BST_INET_TEXT];

static int n_failed, n_client_failed, n_requests;
static char failure[256], last_identity[64], server_key_id[33], client_key_id[33];

static void key_id(struct bst_tls *endpoint, char out[33])
{
    struct bst_buf hex = {0};
    uint8_t id[16];
    assert_ok(bst_tls_export_id(endpoint, "EXPORTER-test", id));
    bst_hex_add(&hex, bst_view_of(id, sizeof id), false);
    assert_ok(bst_view_copy(bst_buf_view(&hex), out, 33));
    bst_buf_clear(&hex);
}

static bst_result on_session(void *ctx, struct bst_net_peer *peer)
{
    (void)ctx;
    assert_non_null(peer->tls);
    snprintf(last_identity, sizeof last_identity, "%.*s", BST_VIEW_ARGS(peer->tls->identity));
    key_id(peer->endpoint, server_key_id);
    return BST_OK;
}

static void on_request(void *ctx, struct bst_http_exchange *x)
{
    (void)ctx;
    n_requests++;
    const char *kind = x->peer->tls->kind == BST_TLS_AUTH_CERT ? "cert" : "psk";
    if (bst_view_is(x->req.target, "/big")) {
        char *big = bst_arena_alloc(x->arena, 900000);
        bst_http_exchange_answer(x, 200, NULL, 0, bst_view_of(big, 900000));
    } else {
        bst_http_exchange_answer(x, 200, NULL, 0, bst_view(kind));
    }
}

static void on_handshake_failed(void *ctx, const struct bst_net_peer *peer,
                                const struct bst_tls_failure *why)
{
    (void)ctx;
    assert_true(peer->address.len > 0);
    snprintf(failure, sizeof failure, "%s", why->reason);
    n_failed++;
}

static void on_client_failed(void *ctx, const struct bst_http_target *target,
                             const struct bst_tls_failure *why)
{
    (void)ctx;
    assert_string_equal(target->address, address);
    assert_true(why->side != BST_TLS_SIDE_NONE);
    n_client_failed++;
}

static const struct bst_http_handler handler = {
    .on_request = on_request,
    .on_session = on_session,
    .on_handshake_failed = on_handshake_failed,
};

static int set_up(void **state)
{
    (void)state;
    n_failed = n_client_failed = n_requests = 0;
    world_init(&world);
    world_source_init(&source, "device-1", world_psk(&world, "0123456789abcdef0123456789abcdef"));
    struct bst_tls_server_config server_config = world_server_config(&world, "onem2m", &source);
    struct bst_tls_client_config with_psk =
        world_psk_client(&world, "onem2m", "device-1", source.key);
    struct bst_tls_client_config with_cert = world_cert_client(&world, "onem2m", &world.client);
    assert_ok(bst_tls_server_new(&server_config, &tls));
    assert_ok(bst_tls_client_new(&with_psk, &psk_client));
    assert_ok(bst_tls_client_new(&with_cert, &cert_client));
    assert_ok(bst_loop_new(&loop));
    const struct bst_http_limits limits = bst_http_limits_default();
    const struct bst_http_client_config config = {.on_handshake_failed = on_client_failed};
    assert_ok(bst_http_shared_new(&limits, &shared));
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    bst_inet_format(&bound.ip, true, address);
    assert_ok(bst_http_server_new(loop, &bound.fds[0], shared, tls, &handler, &server));
    assert_ok(bst_http_client_new(loop, &config, &client));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_http_client_free(&client);
    bst_http_server_free(&server);
    bst_loop_free(&loop);
    bst_http_shared_free(&shared);
    bst_bound_clear(&bound);
    bst_tls_server_free(&tls);
    bst_tls_client_free(&psk_client);
    bst_tls_client_free(&cert_client);
    world_clear(&world);
    bst_clock_fake_us(0);
    return 0;
}

struct outcome {
    int times;
    enum bst_error code;
    char body[16], detail[256];
    size_t body_len;
};

static void note(void *user, bst_result result, const struct bst_http_msg *response,
                 const struct bst_tls_peer *peer)
{
    struct outcome *o = user;
    o->times++;
    o->code = result.code;
    snprintf(o->detail, sizeof o->detail, "%s", bst_error_detail());
    if (response) {
        assert_non_null(peer);
        o->body_len = response->body.len;
        snprintf(o->body, sizeof o->body, "%.*s", (int)(o->body_len < 15 ? o->body_len : 15),
                 response->body.ptr);
    }
}

#define RUN_UNTIL(cond)                                                                            \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(cond)) {                                                                          \
            if (++turns_ > 5000) {                                                                 \
                fail_msg("never happened: %s", #cond);                                             \
            }                                                                                      \
            bst_loop_run_once(loop, 20);                                                           \
        }                                                                                          \
    } while (0)

static void start(struct outcome *o, struct bst_tls_client *as, const char *path)
{
    const struct bst_http_call_spec spec = {
        .target = {.address = address, .host = WORLD_SERVER_NAME, .tls = as},
        .method = BST_HTTP_GET,
        .path = bst_view(path),
        .timeout_ms = 60000,
    };
    *o = (struct outcome){0};
    assert_ok(bst_http_client_call(client, &spec, note, o, NULL));
}

static struct bst_http_stats stats(void)
{
    struct bst_http_stats s;
    bst_http_shared_stats(shared, &s);
    return s;
}

static void both_kinds_of_credential_are_served_and_known(void **state)
{
    (void)state;
    struct outcome o;
    start(&o, psk_client, "/");
    RUN_UNTIL(o.times);
    assert_int_equal(o.code, BST_E_NONE);
    assert_string_equal(o.body, "psk");
    assert_string_equal(last_identity, "device-1");
    start(&o, cert_client, "/");
    RUN_UNTIL(o.times);
    assert_string_equal(o.body, "cert");
    assert_int_equal(stats().handshakes, 2);
    assert_int_equal(stats().open, 2);
    start(&o, cert_client, "/big");
    RUN_UNTIL(o.times);
    assert_int_equal(o.body_len, 900000);
    assert_int_equal(stats().handshakes, 2);
}

static void a_handshake_that_waits_for_a_key_waits_alone(void **state)
{
    (void)state;
    struct outcome slow, quick;
    source.later = true;
    start(&slow, psk_client, "/");
    RUN_UNTIL(source.pending);
    for (int i = 0; i < 5; i++) {
        start(&quick, cert_client, "/");
        RUN_UNTIL(quick.times);
        assert_string_equal(quick.body, "cert");
    }
    assert_int_equal(slow.times, 0);
    world_source_answer(&source);
    RUN_UNTIL(slow.times);
    assert_string_equal(slow.body, "psk");
}

static void a_wrong_key_is_reported_on_both_sides(void **state)
{
    (void)state;
    struct outcome o;
    struct bst_tls_client *wrong;
    struct bst_tls_client_config config = world_psk_client(
        &world, "onem2m", "device-1", world_psk(&world, "another-value-another-value-anot"));
    assert_ok(bst_tls_client_new(&config, &wrong));
    start(&o, wrong, "/");
    RUN_UNTIL(o.times && n_failed);
    assert_true(o.code != BST_E_NONE && o.detail[0]);
    assert_true(failure[0]);
    assert_int_equal(n_client_failed, 1);
    assert_int_equal(n_requests, 0);
    assert_int_equal(stats().handshakes_failed, 1);
    bst_http_client_forget(client, wrong);
    bst_tls_client_free(&wrong);
}

static void a_certificate_that_is_refused_after_the_handshake_is_a_failed_handshake(void **state)
{
    (void)state;
    /* In TLS 1.3 the alert comes in place of the first answer. */
    struct outcome o;
    struct world_cert foreign = {0};
    struct bst_tls_client *stranger;
    world_issue(&world, &world.foreign, BST_CERT_TLS_CLIENT, BST_CERT_AE, WORLD_CLIENT_AE,
                &foreign);
    struct bst_tls_client_config config = world_cert_client(&world, "onem2m", &foreign);
    assert_ok(bst_tls_client_new(&config, &stranger));
    start(&o, stranger, "/");
    RUN_UNTIL(o.times && n_failed);
    assert_true(o.code != BST_E_NONE && o.code != BST_E_CLOSED);
    assert_true(o.detail[0]);
    assert_int_equal(n_client_failed, 1);
    assert_int_equal(n_failed, 1);
    assert_int_equal(n_requests, 0);
    assert_int_equal(stats().accepted, 1);
    bst_http_client_forget(client, stranger);
    bst_tls_client_free(&stranger);
    bst_buf_clear(&foreign.chain_pem);
}

static void a_handshake_that_takes_too_long_is_cut_off(void **state)
{
    (void)state;
    struct outcome o;
    bst_clock_fake_us(INT64_C(1000000000));
    source.later = true;
    start(&o, psk_client, "/");
    RUN_UNTIL(source.pending);
    bst_clock_fake_advance_ms(9000);
    bst_loop_run_once(loop, 1);
    assert_int_equal(stats().open, 1);
    bst_clock_fake_advance_ms(2000);
    RUN_UNTIL(o.times);
    assert_int_equal(source.cancelled, 1);
    assert_int_equal(stats().open, 0);
    assert_int_equal(stats().timeouts, 1);
    assert_true(o.code != BST_E_NONE);
}

static bool is_device(void *ctx, const struct bst_net_peer *peer)
{
    return peer->tls && bst_view_is(peer->tls->identity, ctx);
}

static void sessions_of_a_revoked_credential_are_closed(void **state)
{
    (void)state;
    static char device[] = "device-1";
    struct outcome o;
    start(&o, psk_client, "/");
    RUN_UNTIL(o.times);
    start(&o, cert_client, "/");
    RUN_UNTIL(o.times);
    assert_ok(bst_http_close_where(shared, is_device, NULL, device));
    RUN_UNTIL(stats().open == 1);
    assert_int_equal(stats().closed_revoked, 1);
    source.identity = "nobody";
    start(&o, psk_client, "/");
    RUN_UNTIL(o.times);
    assert_true(o.code != BST_E_NONE);
    start(&o, cert_client, "/");
    RUN_UNTIL(o.times);
    assert_string_equal(o.body, "cert");
}

static bool opened;

static void note_endpoint(void *user, bst_result result, struct bst_tls *endpoint)
{
    assert_ok(result);
    key_id(endpoint, client_key_id);
    (void)user;
    opened = true;
}

static void both_sides_export_the_same_key_before_the_first_request(void **state)
{
    (void)state;
    struct outcome o;
    const struct bst_http_target target = {address, WORLD_SERVER_NAME, psk_client};
    assert_ok(bst_http_client_open(client, &target, 60000, note_endpoint, NULL, NULL));
    RUN_UNTIL(opened);
    start(&o, psk_client, "/");
    RUN_UNTIL(o.times);
    assert_string_equal(client_key_id, server_key_id);
    assert_int_equal(stats().handshakes, 1);
}

static void plain_bytes_on_a_tls_port_are_refused(void **state)
{
    (void)state;
    struct outcome o;
    const struct bst_http_call_spec spec = {.target = {.address = address, .host = "x"},
                                            .method = BST_HTTP_GET,
                                            .path = BST_VIEW("/"),
                                            .timeout_ms = 60000};
    o = (struct outcome){0};
    assert_ok(bst_http_client_call(client, &spec, note, &o, NULL));
    RUN_UNTIL(o.times && n_failed);
    assert_true(o.code != BST_E_NONE);
    assert_int_equal(n_requests, 0);
}

static void the_nth_allocation_may_fail_and_service_goes_on(void **state)
{
    (void)state;
    struct outcome o;
    for (long n = 1; n < 60; n += 3) {
        const struct bst_http_call_spec spec = {
            .target = {.address = address, .host = WORLD_SERVER_NAME, .tls = cert_client},
            .method = BST_HTTP_GET,
            .path = BST_VIEW("/"),
            .timeout_ms = 60000,
        };
        bst_alloc_fail_at(n);
        o = (struct outcome){0};
        bst_result result = bst_http_client_call(client, &spec, note, &o, NULL);
        for (int turn = 0; turn < 50 && !bst_failed(result) && !o.times; turn++) {
            bst_loop_run_once(loop, 1);
        }
        bst_alloc_fail_at(0);
        if (!bst_failed(result)) {
            RUN_UNTIL(o.times);
        }
        bst_http_client_forget(client, NULL);
    }
    start(&o, psk_client, "/");
    RUN_UNTIL(o.times);
    assert_string_equal(o.body, "psk");
}

int main(void)
{
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TLS_TEST(both_kinds_of_credential_are_served_and_known),
        TLS_TEST(a_handshake_that_waits_for_a_key_waits_alone),
        TLS_TEST(a_wrong_key_is_reported_on_both_sides),
        TLS_TEST(a_certificate_that_is_refused_after_the_handshake_is_a_failed_handshake),
        TLS_TEST(a_handshake_that_takes_too_long_is_cut_off),
        TLS_TEST(sessions_of_a_revoked_credential_are_closed),
        TLS_TEST(both_sides_export_the_same_key_before_the_first_request),
        TLS_TEST(plain_bytes_on_a_tls_port_are_refused),
        TLS_TEST(the_nth_allocation_may_fail_and_service_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
