/* tls: what a peer may send instead of a handshake, or in the middle of one; ends of connections.
 */
#include "support/test.h"

#include "support/tls_world.h"

#include "tls/tls_priv.h"

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"

static struct world w;
static bst_key key;

static int set_up(void **state)
{
    world_init(&w);
    key = world_psk(&w, "0123456789abcdef0123456789abcdef");
    return 0;
}

static int tear_down(void **state)
{
    world_clear(&w);
    return 0;
}

struct stage {
    struct world_source source;
    struct world_pair p;
};

/** A PSK pair that is open, or has not begun when `flights` is 0. */
static void stage_init(struct stage *g, const char *profile, bool shake)
{
    world_source_init(&g->source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, profile, &g->source);
    struct bst_tls_client_config client = world_psk_client(&w, profile, IDENTITY, key);
    g->p = (struct world_pair){0};
    assert_ok(bst_tls_server_new(&server, &g->p.server));
    assert_ok(bst_tls_client_new(&client, &g->p.client));
    assert_ok(bst_tls_accept(g->p.server, BST_VIEW("192.0.2.7:4711"), &g->p.s));
    assert_ok(bst_tls_connect(g->p.client, &g->p.c));
    if (shake) {
        world_shake(g->p.c, g->p.s, 0);
        assert_true(world_talks(g->p.c, g->p.s));
    }
}

static void garbage_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum bst_error code;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: in\r\n\r\n", 28, BST_E_SYNTAX},
        {"\x16\x03\x01\xff\xff", 5, BST_E_HANDSHAKE},
        {"\x17\x03\x03\x00\x01x", 6, BST_E_HANDSHAKE},
        {"\x15\x03\x03\x00\x02\x02\x28", 7, BST_E_HANDSHAKE},
        {"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 11, BST_E_SYNTAX},
        {"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", 11, BST_E_HANDSHAKE},
        {"\x16\x03\x03\x00\x04\x10\x00\x00\x00", 9, BST_E_HANDSHAKE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage g;
        stage_init(&g, "onem2m", false);
        bst_result fed = bst_tls_feed(g.p.s, (struct bst_view){cases[i].bytes, cases[i].len});
        if (!bst_failed(fed)) {
            fed = bst_tls_feed_eof(g.p.s); /* not yet refused: waits for more */
        }
        assert_true(bst_failed(fed));
        assert_int_equal(bst_tls_state(g.p.s), BST_TLS_FAILED);
        assert_true(*bst_tls_failure(g.p.s)->reason);
        assert_true(bst_failed(bst_tls_feed(g.p.s, BST_VIEW("more"))));
        assert_err(bst_tls_write(g.p.s, BST_VIEW("x")), BST_E_CLOSED);
        world_pair_clear(&g.p);
    }
}

static void plain_http_is_named_as_such(void **state)
{
    struct stage g;
    stage_init(&g, "onem2m", false);
    assert_err(bst_tls_feed(g.p.s, BST_VIEW("GET / HTTP/1.1\r\nHost: in\r\n\r\n")), BST_E_SYNTAX);
    assert_non_null(strstr(bst_tls_failure(g.p.s)->reason, "HTTP"));
    assert_string_equal(bst_tls_failure(g.p.s)->step, "hello of the client");
    world_pair_clear(&g.p);
}

static void every_flipped_octet_of_a_handshake_is_survived(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        size_t hello_len = SIZE_MAX;
        for (size_t at = 0; at < hello_len; at++) {
            struct stage g;
            stage_init(&g, profiles[i], false);
            struct bst_buf hello = bst_tls_take_out(g.p.c);
            hello_len = hello.len;
            hello.ptr[at] = (char)(hello.ptr[at] ^ 0xff);
            (void)!bst_failed(bst_tls_feed(g.p.s, bst_buf_view(&hello)));
            world_shake(g.p.c, g.p.s, 0);
            /* The minor version in a record's head is the one octet that means nothing. */
            assert_true(bst_tls_state(g.p.s) != BST_TLS_OPEN ||
                        bst_tls_state(g.p.c) != BST_TLS_OPEN || at == 2);
            bst_buf_clear(&hello);
            world_pair_clear(&g.p);
        }
    }
}

static void every_cut_of_a_handshake_ends_in_words(void **state)
{
    size_t hello_len = SIZE_MAX;
    for (size_t n = 0; n < hello_len; n++) {
        struct stage g;
        stage_init(&g, "onem2m", false);
        struct bst_view hello = bst_tls_out(g.p.c);
        hello_len = hello.len;
        assert_ok(bst_tls_feed(g.p.s, (struct bst_view){hello.ptr, n}));
        assert_err(bst_tls_feed_eof(g.p.s), BST_E_CLOSED);
        assert_int_equal(bst_tls_failure(g.p.s)->side, BST_TLS_SIDE_PEER);
        assert_err(bst_tls_feed_eof(g.p.s), BST_E_CLOSED);
        world_pair_clear(&g.p);
    }
}

static void a_hello_without_end_is_cut_off(void **state)
{
    struct stage g;
    static const char head[] = "\x16\x03\x01\x40\x00\x01\xff\xff\xff";
    static char body[16384];
    stage_init(&g, "onem2m", false);
    bst_result fed = bst_tls_feed(g.p.s, BST_VIEW("\x16\x03\x01\x00\x04\x01\xff\xff\xff"));
    memcpy(body, head, 5);
    for (int i = 0; i < 100 && !bst_failed(fed); i++) {
        fed = bst_tls_feed(g.p.s, BST_VIEW("\x16\x03\x01\x40\x00"));
        fed = bst_failed(fed) ? fed : bst_tls_feed(g.p.s, bst_view_of(body, sizeof body));
    }
    assert_int_equal(fed.code, BST_E_TOO_LONG);
    world_pair_clear(&g.p);
}

static void close_notify_tells_an_end_from_a_cut(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        struct stage g;
        stage_init(&g, profiles[i], true);
        assert_ok(bst_tls_write(g.p.c, BST_VIEW("last words")));
        bst_tls_close(g.p.c);
        assert_err(bst_tls_write(g.p.c, BST_VIEW("x")), BST_E_CLOSED);
        world_carry(g.p.c, g.p.s, 0);
        assert_int_equal(bst_tls_state(g.p.s), BST_TLS_CLOSED);
        struct bst_buf got = {0};
        assert_ok(bst_tls_read(g.p.s, &got));
        assert_true(bst_view_is(bst_buf_view(&got), "last words"));
        bst_buf_clear(&got);
        assert_ok(bst_tls_feed_eof(g.p.s));
        bst_tls_close(g.p.s);
        world_carry(g.p.s, g.p.c, 0);
        assert_int_equal(bst_tls_state(g.p.c), BST_TLS_CLOSED);
        bst_tls_close(g.p.c);
        assert_int_equal(bst_tls_out(g.p.c).len, 0);
        world_pair_clear(&g.p);

        stage_init(&g, profiles[i], true);
        assert_err(bst_tls_feed_eof(g.p.s), BST_E_TRUNCATED);
        assert_non_null(strstr(bst_tls_failure(g.p.s)->reason, "close_notify"));
        world_pair_clear(&g.p);
    }
}

static void changed_data_end_the_connection(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        struct stage g;
        stage_init(&g, profiles[i], true);
        assert_ok(bst_tls_write(g.p.c, BST_VIEW("some data")));
        struct bst_buf out = bst_tls_take_out(g.p.c);
        out.ptr[out.len - 1] ^= 1;
        assert_true(bst_failed(bst_tls_feed(g.p.s, bst_buf_view(&out))));
        bst_buf_clear(&out);
        assert_string_equal(bst_tls_failure(g.p.s)->step, "data");
        assert_int_equal(bst_tls_failure(g.p.s)->alert, SSL_AD_BAD_RECORD_MAC);
        struct bst_buf got = {0};
        assert_ok(bst_tls_read(g.p.s, &got));
        assert_int_equal(got.len, 0);
        world_carry(g.p.s, g.p.c, 0);
        assert_int_equal(bst_tls_failure(g.p.c)->side, BST_TLS_SIDE_PEER);
        world_pair_clear(&g.p);
    }
}

static void large_data_pass_in_any_pieces(void **state)
{
    static const size_t chunks[] = {0, 1, 7, 4096, 16389};
    struct bst_buf sent = {0}, got = {0};
    for (int i = 0; i < 100000; i++) {
        bst_buf_addc(&sent, (char)(i * 31 >> 3));
    }
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct stage g;
        stage_init(&g, "onem2m", true);
        assert_ok(bst_tls_write(g.p.c, bst_buf_view(&sent)));
        assert_ok(bst_tls_write(g.p.c, (struct bst_view){0}));
        world_carry(g.p.c, g.p.s, chunks[i]);
        got.len = 0;
        assert_ok(bst_tls_read(g.p.s, &got));
        assert_true(bst_view_eq(bst_buf_view(&got), bst_buf_view(&sent)));
        /* appended to what a caller has not yet used */
        assert_ok(bst_tls_write(g.p.c, BST_VIEW("tail")));
        world_carry(g.p.c, g.p.s, 0);
        assert_ok(bst_tls_read(g.p.s, &got));
        assert_int_equal(got.len, sent.len + 4);
        world_pair_clear(&g.p);
    }
    bst_buf_clear(&sent);
    bst_buf_clear(&got);
}

static void data_that_come_with_the_last_flight_are_not_lost(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        struct stage g;
        stage_init(&g, profiles[i], false);
        while (bst_tls_state(g.p.c) == BST_TLS_HANDSHAKE) {
            world_carry(g.p.c, g.p.s, 0);
            world_carry(g.p.s, g.p.c, 0);
        }
        assert_ok(bst_tls_write(g.p.c, BST_VIEW("early bird")));
        world_carry(g.p.c, g.p.s, 0);
        struct bst_buf got = {0};
        assert_ok(bst_tls_read(g.p.s, &got));
        assert_true(bst_view_is(bst_buf_view(&got), "early bird"));
        bst_buf_clear(&got);
        world_pair_clear(&g.p);
    }
}

static void output_is_consumed_in_parts(void **state)
{
    struct stage g;
    stage_init(&g, "onem2m", true);
    assert_ok(bst_tls_write(g.p.c, BST_VIEW("ping")));
    size_t all = bst_tls_out(g.p.c).len;
    while (bst_tls_out(g.p.c).len) {
        assert_ok(bst_tls_feed(g.p.s, (struct bst_view){bst_tls_out(g.p.c).ptr, 1}));
        bst_tls_consumed(g.p.c, 1);
        all--;
    }
    assert_int_equal(all, 0);
    struct bst_buf got = {0}, none = bst_tls_take_out(g.p.c);
    assert_int_equal(none.len, 0);
    assert_ok(bst_tls_read(g.p.s, &got));
    assert_true(bst_view_is(bst_buf_view(&got), "ping"));
    bst_buf_clear(&got);
    world_pair_clear(&g.p);
}

static void versions_that_do_not_meet_are_explained(void **state)
{
    struct world_source source;
    struct world_pair p;
    world_source_init(&source, IDENTITY, key);
    struct bst_tls_server_config server = world_server_config(&w, "modern", &source);
    struct bst_tls_client_config client = world_psk_client(&w, "onem2m-tls12", IDENTITY, key);
    world_pair_init(&p, &server, &client);
    assert_non_null(strstr(bst_tls_failure(p.s)->reason, "no TLS version in common"));
    assert_non_null(strstr(bst_tls_failure(p.c)->reason, "does not speak our TLS versions"));
    world_pair_clear(&p);

    server = world_server_config(&w, "constrained", &source);
    world_pair_init(&p, &server, &client);
    assert_non_null(strstr(bst_tls_failure(p.s)->reason, "no cipher suite in common"));
    world_pair_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_refused_with_a_reason),
        cmocka_unit_test(plain_http_is_named_as_such),
        cmocka_unit_test(every_flipped_octet_of_a_handshake_is_survived),
        cmocka_unit_test(every_cut_of_a_handshake_ends_in_words),
        cmocka_unit_test(a_hello_without_end_is_cut_off),
        cmocka_unit_test(close_notify_tells_an_end_from_a_cut),
        cmocka_unit_test(changed_data_end_the_connection),
        cmocka_unit_test(large_data_pass_in_any_pieces),
        cmocka_unit_test(data_that_come_with_the_last_flight_are_not_lost),
        cmocka_unit_test(output_is_consumed_in_parts),
        cmocka_unit_test(versions_that_do_not_meet_are_explained),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
