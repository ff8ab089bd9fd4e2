/* tls: against the openssl command, both ways, over a socket in a temporary folder. */
#include "support/test.h"

#include "support/tls_world.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"
#define KEY_TEXT "0123456789abcdef0123456789abcdef"
#define KEY_HEX "3031323334353637383961626364656630313233343536373839616263646566"

static struct world w;
static char folder[] = "/tmp/bastide-tls-XXXXXX";
static char socket_path[64], ca_path[64], cert_path[64], key_path[64];
static struct evp_pkey_st *outer_key;

static void write_file(char path[64], const char *name, struct bst_view bytes)
{
    snprintf(path, 64, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    fclose(file);
}

/** A certificate whose key is outside: for the openssl command. */
static void outer_credential(void)
{
    struct bst_cert_san sans[] = {
        {.flavour = BST_CERT_FQDN, .name = BST_VIEW(WORLD_SERVER_NAME)},
    };
    struct bst_cert_spec spec = {
        .common_name = BST_VIEW("openssl"),
        .sans = sans,
        .n_sans = 1,
        .path_len = -1,
        .role = BST_CERT_ANY_ROLE,
        .not_before_us = WORLD_NOW_US - WORLD_DAY_US,
        .not_after_us = WORLD_NOW_US + WORLD_DAY_US,
    };
    struct bst_buf der = {0}, pem = {0};
    bst_auto(secret) private_key = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &outer_key));
    assert_ok(bst_cert_issue(&spec, outer_key, w.ca.cert, w.ca.key, &der));
    world_pem("CERTIFICATE", &der, &pem);
    write_file(cert_path, "cert.pem", bst_buf_view(&pem));
    bst_buf_clear(&pem);
    assert_ok(bst_pkey_private(outer_key, &private_key));
    bst_buf_add(&der, private_key.ptr, private_key.len);
    world_pem("PRIVATE KEY", &der, &pem);
    write_file(key_path, "key.pem", bst_buf_view(&pem));
    bst_buf_clear(&pem);
}

static int set_up(void **state)
{
    world_init(&w);
    assert_non_null(mkdtemp(folder));
    snprintf(socket_path, sizeof socket_path, "%s/s", folder);
    write_file(ca_path, "ca.pem", bst_buf_view(&w.ca.pem));
    outer_credential();
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int tear_down(void **state)
{
    unlink(socket_path);
    unlink(ca_path);
    unlink(cert_path);
    unlink(key_path);
    rmdir(folder);
    bst_pkey_free(&outer_key);
    world_clear(&w);
    return 0;
}

static bool no_openssl(void)
{
    return system("openssl version >/dev/null 2>&1") != 0;
}

/** Run openssl with `input` on its standard input, which stays open. */
static pid_t run_openssl(const char *const argv[], int *ret_input)
{
    int input[2];
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(input[0], 0);
        dup2(null, 1);
        dup2(null, 2);
        char *args[32] = {0};
        for (size_t i = 0; argv[i] && i < 31; i++) {
            args[i] = bst_strdup(argv[i]);
        }
        execvp("openssl", args);
        _exit(127);
    }
    close(input[0]);
    *ret_input = input[1];
    return pid;
}

static void put_down(pid_t pid, int input)
{
    close(input);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(socket_path);
}

static struct sockaddr_un address(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, socket_path, strlen(socket_path) + 1);
    return a;
}

static bool send_out(struct bst_tls *t, int fd)
{
    struct bst_buf out = bst_tls_take_out(t);
    bool ok = out.len == 0 || write(fd, out.ptr, out.len) == (ssize_t)out.len;
    bst_buf_clear(&out);
    return ok;
}

/** Carry bytes until the handshake is over and, when `say` is given, that line has come in. */
static void converse(struct bst_tls *t, int fd, const char *expect)
{
    struct bst_buf got = {0};
    char bytes[4096];
    bool heard = false;
    while (!heard && bst_tls_state(t) != BST_TLS_FAILED) {
        assert_true(send_out(t, fd));
        if (!expect && bst_tls_state(t) == BST_TLS_OPEN) {
            break;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0) {
            break;
        }
        (void)!bst_failed(bst_tls_feed(t, bst_view_of(bytes, (size_t)n)));
        assert_ok(bst_tls_read(t, &got));
        heard = expect && got.len >= strlen(expect) && memcmp(got.ptr, expect, strlen(expect)) == 0;
    }
    (void)send_out(t, fd);
    bst_buf_clear(&got);
    if (bst_tls_state(t) == BST_TLS_FAILED) {
        fail_msg("%s", bst_tls_failure(t)->reason);
    }
    assert_true(heard || !expect);
    assert_int_equal(bst_tls_state(t), BST_TLS_OPEN);
}

static void serve_openssl(const char *const argv[], enum bst_tls_auth kind, const char *version)
{
    struct world_source source;
    struct bst_tls_server *server;
    struct bst_tls *t;
    int input;
    world_source_init(&source, IDENTITY, world_psk(&w, KEY_TEXT));
    struct bst_tls_server_config config = world_server_config(&w, "onem2m", &source);
    config.ticket_lifetime_s = 600;
    assert_ok(bst_tls_server_new(&config, &server));
    assert_ok(bst_tls_accept(server, BST_VIEW("unix"), &t));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = address();
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    pid_t pid = run_openssl(argv, &input);
    assert_int_equal(write(input, "hello\n", 6), 6);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    int fd = accept(listener, NULL, NULL);
    converse(t, fd, "hello\n");
    assert_int_equal(bst_tls_peer(t)->kind, kind);
    assert_string_equal(bst_tls_peer(t)->version, version);
    close(fd);
    close(listener);
    put_down(pid, input);
    bst_tls_free(&t);
    bst_tls_server_free(&server);
}

static void openssl_clients_are_served(void **state)
{
    if (no_openssl()) {
        print_message("SKIP: no openssl command\n");
        skip();
    }
    for (int tls13 = 0; tls13 < 2; tls13++) {
        const char *version = tls13 ? "-tls1_3" : "-tls1_2";
        const char *const psk[] = {"openssl", "s_client",      "-unix",  socket_path, "-psk",
                                   KEY_HEX,   "-psk_identity", IDENTITY, "-quiet",    version,
                                   NULL};
        serve_openssl(psk, BST_TLS_AUTH_PSK, tls13 ? "TLSv1.3" : "TLSv1.2");
        const char *const cert[] = {"openssl", "s_client", "-unix",  socket_path, "-cert",
                                    cert_path, "-key",     key_path, "-CAfile",   ca_path,
                                    "-quiet",  version,    NULL};
        serve_openssl(cert, BST_TLS_AUTH_CERT, tls13 ? "TLSv1.3" : "TLSv1.2");
    }
}

static int connect_when_ready(void)
{
    struct sockaddr_un a = address();
    for (int tries = 0; tries < 400; tries++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
            return fd;
        }
        close(fd);
        poll(NULL, 0, 25); /* the command needs a moment to listen */
    }
    return -1;
}

static void ask_openssl(const char *const argv[], const struct bst_tls_client_config *config,
                        const char *version)
{
    struct bst_tls_client *client;
    struct bst_tls *t;
    int input;
    assert_ok(bst_tls_client_new(config, &client));
    assert_ok(bst_tls_connect(client, &t));
    pid_t pid = run_openssl(argv, &input);
    int fd = connect_when_ready();
    assert_true(fd >= 0);
    converse(t, fd, NULL);
    assert_string_equal(bst_tls_peer(t)->version, version);
    close(fd);
    put_down(pid, input);
    bst_tls_free(&t);
    bst_tls_client_free(&client);
}

static void openssl_servers_are_understood(void **state)
{
    if (no_openssl()) {
        print_message("SKIP: no openssl command\n");
        skip();
    }
    for (int tls13 = 0; tls13 < 2; tls13++) {
        const char *version = tls13 ? "-tls1_3" : "-tls1_2", *name = tls13 ? "TLSv1.3" : "TLSv1.2";
        const char *const psk[] = {"openssl", "s_server", "-unix", socket_path,
                                   "-nocert", "-psk",     KEY_HEX, "-psk_identity",
                                   IDENTITY,  "-quiet",   version, NULL};
        struct bst_tls_client_config by_psk =
            world_psk_client(&w, "onem2m", IDENTITY, world_psk(&w, KEY_TEXT));
        ask_openssl(psk, &by_psk, name);
        const char *const cert[] = {"openssl", "s_server", "-unix",  socket_path, "-cert",
                                    cert_path, "-key",     key_path, "-CAfile",   ca_path,
                                    "-quiet",  version,    NULL};
        struct bst_tls_client_config by_cert = world_cert_client(&w, "onem2m", &w.client);
        ask_openssl(cert, &by_cert, name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_clients_are_served),
        cmocka_unit_test(openssl_servers_are_understood),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
