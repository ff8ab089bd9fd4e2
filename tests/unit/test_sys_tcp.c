/* Sockets: addresses, listeners, dialling, output that has to wait. */
#include "support/test.h"

#include "support/scratch.h"
#include "sys/tcp.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bst_loop *loop;
static struct bst_listener *listener;

/* One end of a connection, with all that happened to it. */
struct end {
    struct bst_tcp *tcp;
    struct bst_buf in;
    int ends, drains, connects;
    bst_result last_end, connected;
};
static struct end server, client;

static void on_data(void *user, struct bst_view data)
{
    bst_buf_addv(&((struct end *)user)->in, data);
}
static void on_end(void *user, bst_result why)
{
    struct end *end = user;
    end->ends++;
    end->last_end = why;
}
static void on_drained(void *user)
{
    ((struct end *)user)->drains++;
}
static const struct bst_tcp_events events = {on_data, on_end, on_drained};

static void on_accept(void *user, struct bst_tcp *tcp)
{
    struct end *end = user;
    bst_tcp_close(&end->tcp); /* only the latest counts */
    end->tcp = tcp;
    assert_ok(bst_tcp_start(tcp, &events, end));
}
static void on_connect(void *user, bst_result result)
{
    struct end *end = user;
    end->connects++;
    end->connected = result;
    if (!bst_failed(result)) {
        assert_ok(bst_tcp_start(end->tcp, &events, end));
    }
}

static int set_up(void **state)
{
    (void)state;
    server = client = (struct end){0};
    assert_ok(bst_loop_new(&loop));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_listener_free(&listener);
    bst_tcp_close(&server.tcp);
    bst_tcp_close(&client.tcp);
    bst_buf_clear(&server.in);
    bst_buf_clear(&client.in);
    bst_loop_free(&loop);
    bst_clock_fake_us(0);
    return 0;
}

#define RUN_UNTIL(cond)                                                                            \
    do {                                                                                           \
        for (int turns_ = 0; !(cond); turns_++) {                                                  \
            assert_true(turns_ < 10000);                                                           \
            bst_loop_run_once(loop, 1000);                                                         \
        }                                                                                          \
    } while (0)

static void connect_to(const struct bst_inet *ip)
{
    char address[BST_INET_TEXT];
    bst_inet_format(ip, true, address);
    assert_ok(bst_tcp_connect(loop, address, 5000, NULL, on_connect, &client, &client.tcp));
}

static void connect_pair(void)
{
    struct bst_bound bound;
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    assert_ok(bst_listener_new(loop, &bound.fds[0], on_accept, &server, &listener));
    assert_int_equal(bound.fds[0], -1);
    connect_to(&bound.ip);
    RUN_UNTIL(server.tcp && client.connects);
    assert_ok(client.connected);
    bst_bound_clear(&bound);
}

static void bytes_go_both_ways_and_peers_are_known(void **state)
{
    (void)state;
    connect_pair();
    bst_tcp_write(client.tcp, BST_VIEW("ping"));
    bst_tcp_write(client.tcp, BST_VIEW("-pong"));
    RUN_UNTIL(server.in.len == 9);
    assert_true(bst_view_is(bst_buf_view(&server.in), "ping-pong"));
    bst_tcp_write(server.tcp, BST_VIEW("back"));
    RUN_UNTIL(client.in.len == 4);
    char text[BST_INET_TEXT];
    bst_inet_format(bst_tcp_peer(server.tcp), false, text);
    assert_string_equal(text, "127.0.0.1");
    assert_true(bst_tcp_peer(server.tcp)->port > 0);
    assert_int_equal(bst_tcp_peer_uid(server.tcp), -1);
    assert_ptr_equal(bst_tcp_loop(server.tcp), loop);
    bst_listener_free(&listener);
    bst_listener_free(&listener);
}

static void one_side_may_end_while_the_other_goes_on(void **state)
{
    (void)state;
    connect_pair();
    bst_tcp_write(client.tcp, BST_VIEW("last words"));
    bst_tcp_shutdown(client.tcp);
    RUN_UNTIL(server.ends);
    assert_ok(server.last_end);
    assert_int_equal(server.in.len, 10);
    bst_tcp_write(server.tcp, BST_VIEW("answer"));
    RUN_UNTIL(client.in.len == 6);
    assert_int_equal(client.ends, 0);
    bst_tcp_close(&server.tcp);
    RUN_UNTIL(client.ends);
    bst_listener_free(&listener);
}

static void output_waits_for_a_slow_reader_and_arrives_whole(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    connect_pair();
    bst_tcp_pause(client.tcp, true);
    char *big = bst_buf_reserve(bst_tcp_out(server.tcp), BYTES);
    for (int i = 0; i < BYTES; i++) {
        big[i] = (char)(i % 251);
    }
    bst_tcp_out(server.tcp)->len = BYTES;
    bst_tcp_flush(server.tcp);
    assert_true(bst_tcp_pending(server.tcp) > 0);
    bst_tcp_write(server.tcp, BST_VIEW("tail"));
    bst_tcp_shutdown(server.tcp);
    bst_loop_run_once(loop, 0);
    assert_int_equal(server.drains, 0);
    bst_tcp_pause(client.tcp, false);
    RUN_UNTIL(client.ends);
    assert_int_equal(client.in.len, BYTES + 4);
    assert_int_equal((unsigned char)client.in.ptr[BYTES - 1], (BYTES - 1) % 251);
    assert_int_equal(server.drains, 1);
    assert_int_equal(bst_tcp_pending(server.tcp), 0);
    bst_listener_free(&listener);
}

static void a_peer_that_vanished_is_told_once(void **state)
{
    (void)state;
    connect_pair();
    bst_tcp_write(server.tcp, BST_VIEW("unread: closing will reset"));
    RUN_UNTIL(client.in.len);
    bst_tcp_close(&client.tcp);
    RUN_UNTIL(server.ends == 1);
    for (int i = 0; i < 20 && !bst_failed(server.last_end); i++) {
        bst_tcp_write(server.tcp, BST_VIEW("anybody there?"));
        bst_loop_run_once(loop, 20);
    }
    assert_true(bst_failed(server.last_end));
    int ends = server.ends;
    bst_tcp_write(server.tcp, BST_VIEW("still?"));
    bst_loop_run_once(loop, 0);
    assert_int_equal(server.ends, ends);
    bst_listener_free(&listener);
}

static void a_port_that_somebody_has_is_an_error(void **state)
{
    (void)state;
    struct bst_bound bound, second;
    char address[BST_INET_TEXT];
    assert_ok(bst_bind("127.0.0.1:0", 3, &bound));
    assert_int_equal(bound.n, 3);
    assert_true(bound.ip.port > 0);
    assert_ok(bst_listener_new(loop, &bound.fds[0], on_accept, &server, &listener));
    bst_inet_format(&bound.ip, true, address);
    assert_err(bst_bind(address, 1, &second), BST_E_EXISTS);
    assert_non_null(strstr(bst_error_detail(), address));
    bst_listener_free(&listener);
    bst_bound_clear(&bound);
    bst_bound_clear(&bound);
}

static void an_address_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "127.0.0.1", "127.0.0.1:",  "127.0.0.1:x",  "127.0.0.1:65536",
        "::1:1", "[::1]",     "300.0.0.1:1", "127.0.0.1:-1", "[127.0.0.1]:1"};
    struct bst_inet ip;
    struct bst_bound bound;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(bst_failed(bst_inet_parse(bst_view(bad[i]), &ip)));
        assert_true(bst_failed(bst_bind(bad[i], 1, &bound)));
    }
    assert_err(bst_inet_parse(BST_VIEW("localhost:80"), &ip), BST_E_SYNTAX);
}

static void scopes_of_addresses_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, local;
    } cases[] = {
        {"127.0.0.1:1", true, true},
        {"127.9.9.9:1", true, true},
        {"[::1]:1", true, true},
        {"[::ffff:127.0.0.1]:1", true, true},
        {"0.0.0.0:1", false, true},
        {"169.254.1.1:1", false, true},
        {"[fe80::1]:1", false, true},
        {"[ff02::1]:1", false, true},
        {"[::]:1", false, true},
        {"224.0.0.1:1", false, true},
        {"255.255.255.255:1", false, true},
        {"10.0.0.1:1", false, false},
        {"192.0.2.1:1", false, false},
        {"[2001:db8::1]:1", false, false},
        {"[::ffff:169.254.169.254]:80", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bst_inet ip;
        char text[BST_INET_TEXT];
        assert_ok(bst_inet_parse(bst_view(cases[i].text), &ip));
        assert_int_equal(bst_inet_is_loopback(&ip), cases[i].loopback);
        assert_int_equal(bst_inet_is_local_scope(&ip), cases[i].local);
        bst_inet_format(&ip, true, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void nobody_there_is_not_reachable(void **state)
{
    (void)state;
    struct bst_bound bound;
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    struct bst_inet ip = bound.ip;
    bst_bound_clear(&bound);
    connect_to(&ip);
    assert_int_equal(client.connects, 0);
    RUN_UNTIL(client.connects);
    assert_int_equal(client.connected.code, BST_E_NOT_REACHABLE);
}

static bool refuse_all(void *user, const struct bst_inet *ip)
{
    (void)user;
    return !bst_inet_is_loopback(ip);
}

static void what_the_filter_refuses_is_not_dialled(void **state)
{
    (void)state;
    assert_ok(
        bst_tcp_connect(loop, "127.0.0.1:9", 5000, refuse_all, on_connect, &client, &client.tcp));
    RUN_UNTIL(client.connects);
    assert_int_equal(client.connected.code, BST_E_DENIED);
}

static void a_name_is_resolved_and_every_address_tried(void **state)
{
    (void)state;
    struct bst_bound bound;
    char address[64];
    /* The host's table may give ::1 first, where nobody listens. */
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    assert_ok(bst_listener_new(loop, &bound.fds[0], on_accept, &server, &listener));
    snprintf(address, sizeof address, "localhost:%u", (unsigned)bound.ip.port);
    assert_ok(bst_tcp_connect(loop, address, 5000, NULL, on_connect, &client, &client.tcp));
    RUN_UNTIL(client.connects);
    assert_ok(client.connected);
    bst_bound_clear(&bound);
    bst_listener_free(&listener);
}

static void a_dial_ends_at_its_deadline(void **state)
{
    (void)state;
    /* A listener whose queue is full does not answer. */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct bst_bound bound;
    assert_ok(bst_bind("127.0.0.1:0", 1, &bound));
    assert_true(fd >= 0);
    bst_clock_fake_us(1000000);
    connect_to(&bound.ip); /* bound but not listening: refused, unless the deadline is first */
    bst_clock_fake_advance_ms(6000);
    RUN_UNTIL(client.connects);
    assert_true(client.connected.code == BST_E_TIMEOUT ||
                client.connected.code == BST_E_NOT_REACHABLE);
    close(fd);
    bst_bound_clear(&bound);
}

static void a_dial_may_be_given_up_at_any_moment(void **state)
{
    (void)state;
    for (int turns = 0; turns < 4; turns++) {
        assert_ok(bst_tcp_connect(loop, turns % 2 ? "localhost:1" : "127.0.0.1:1", 5000, NULL,
                                  on_connect, &client, &client.tcp));
        for (int i = 0; i < turns && !client.connects; i++) {
            bst_loop_run_once(loop, 0);
        }
        int connects = client.connects;
        bst_tcp_close(&client.tcp);
        bst_loop_run_once(loop, 20);
        assert_int_equal(client.connects, connects);
        client.connects = 0;
    }
}

static void unix_sockets_carry_the_user_and_replace_stale_files(void **state)
{
    (void)state;
    struct scratch dir;
    assert_true(scratch_make(&dir));
    char address[320];
    struct bst_bound bound, second;
    struct stat st;
    snprintf(address, sizeof address, "unix:%s/s", dir.dir);
    assert_ok(bst_bind(address, 2, &bound));
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    bst_bound_clear(&bound);
    assert_ok(bst_bind(address, 1, &bound)); /* the file is left from before */
    assert_ok(bst_listener_new(loop, &bound.fds[0], on_accept, &server, &listener));
    assert_err(bst_bind(address, 1, &second), BST_E_EXISTS);
    assert_ok(bst_tcp_connect(loop, address, 5000, NULL, on_connect, &client, &client.tcp));
    RUN_UNTIL(server.tcp && client.connects);
    bst_tcp_write(client.tcp, BST_VIEW("hello"));
    RUN_UNTIL(server.in.len == 5);
    assert_int_equal(bst_tcp_peer_uid(server.tcp), getuid());
    bst_listener_free(&listener);
    bst_bound_clear(&bound);
    snprintf(address, sizeof address, "unix:/%0120d", 1);
    assert_err(bst_bind(address, 1, &second), BST_E_TOO_LONG);
    scratch_remove(&dir);
}

static void a_connected_socket_can_be_taken_over(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_ok(bst_tcp_adopt(loop, &fds[0], &server.tcp));
    assert_ok(bst_tcp_start(server.tcp, &events, &server));
    assert_int_equal(write(fds[1], "abc", 3), 3);
    RUN_UNTIL(server.in.len == 3);
    close(fds[1]);
    RUN_UNTIL(server.ends);
    int bad = dup(0);
    close(bad);
    assert_true(bst_failed(bst_tcp_adopt(loop, &bad, &client.tcp)));
}

static void memory_that_runs_out_ends_what_needed_it(void **state)
{
    (void)state;
    struct bst_bound bound;
    bst_alloc_fail_at(1);
    assert_err(bst_bind("127.0.0.1:0", 1, &bound), BST_E_NOMEM);
    bst_alloc_fail_at(0);
    assert_ok(bst_bind("127.0.0.1:0", 2, &bound));
    bst_alloc_fail_at(1);
    assert_err(bst_listener_new(loop, &bound.fds[0], on_accept, &server, &listener), BST_E_NOMEM);
    assert_int_equal(bound.fds[0], -1);
    for (long n = 1; n <= 2; n++) {
        bst_alloc_fail_at(n);
        assert_err(bst_tcp_connect(loop, "127.0.0.1:1", 1, NULL, on_connect, &client, &client.tcp),
                   BST_E_NOMEM);
    }
    bst_alloc_fail_at(0);
    assert_ok(bst_listener_new(loop, &bound.fds[1], on_accept, &server, &listener));
    connect_to(&bound.ip);
    bst_alloc_fail_at(1); /* the accepted side: taken in a second attempt */
    RUN_UNTIL(server.tcp && client.connects);
    bst_alloc_fail_at(1);
    bst_tcp_write(client.tcp, BST_VIEW("lost"));
    RUN_UNTIL(client.ends);
    bst_alloc_fail_at(0);
    assert_true(bst_failed(client.last_end));
    bst_listener_free(&listener);
    bst_bound_clear(&bound);
}

int main(void)
{
#define TCP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TCP_TEST(bytes_go_both_ways_and_peers_are_known),
        TCP_TEST(one_side_may_end_while_the_other_goes_on),
        TCP_TEST(output_waits_for_a_slow_reader_and_arrives_whole),
        TCP_TEST(a_peer_that_vanished_is_told_once),
        TCP_TEST(a_port_that_somebody_has_is_an_error),
        TCP_TEST(an_address_that_is_none_is_refused),
        TCP_TEST(scopes_of_addresses_are_told_apart),
        TCP_TEST(nobody_there_is_not_reachable),
        TCP_TEST(what_the_filter_refuses_is_not_dialled),
        TCP_TEST(a_name_is_resolved_and_every_address_tried),
        TCP_TEST(a_dial_ends_at_its_deadline),
        TCP_TEST(a_dial_may_be_given_up_at_any_moment),
        TCP_TEST(unix_sockets_carry_the_user_and_replace_stale_files),
        TCP_TEST(a_connected_socket_can_be_taken_over),
        TCP_TEST(memory_that_runs_out_ends_what_needed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
