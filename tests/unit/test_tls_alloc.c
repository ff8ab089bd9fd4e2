/* tls: every allocation fails once, those inside of OpenSSL too; nothing breaks, nothing opens
 * wrongly. */
#include "support/test.h"

#include "support/tls_world.h"

#include <openssl/crypto.h>

#define IDENTITY "00112233445566778899AABBCCDDEEFF@mef.acme.example.com"

static struct world w;
static bst_key key;

static void *ssl_alloc(size_t bytes, const char *file, int line)
{
    return bst_alloc(bytes);
}

static void *ssl_realloc(void *ptr, size_t bytes, const char *file, int line)
{
    return bst_realloc(ptr, bytes);
}

static void ssl_free(void *ptr, const char *file, int line)
{
    bst_free(ptr);
}

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

/** Connections with the n-th allocation failing, until n is beyond the last one. */
static void each_fails_once(const struct bst_tls_server_config *server,
                            const struct bst_tls_client_config *client, enum bst_tls_auth kind)
{
    struct world_pair p = {0};
    assert_ok(bst_tls_server_new(server, &p.server));
    assert_ok(bst_tls_client_new(client, &p.client));
    world_connect(&p); /* what is made once and kept is made now */
    assert_true(world_talks(p.c, p.s));
    world_hang_up(&p);
    bool beyond = false;
    for (long n = 1; n < 20000 && !beyond; n += 3) {
        bst_alloc_fail_at(n);
        bst_result made = bst_tls_accept(p.server, BST_VIEW("x"), &p.s);
        made = bst_failed(made) ? made : bst_tls_connect(p.client, &p.c);
        if (!bst_failed(made)) {
            world_shake(p.c, p.s, 0);
        }
        beyond = bst_alloc_count() < n;
        bst_alloc_fail_at(0);
        if (p.s && bst_tls_state(p.s) == BST_TLS_OPEN) {
            assert_int_equal(bst_tls_peer(p.s)->kind, kind);
        }
        if (beyond) {
            assert_true(world_talks(p.c, p.s));
        }
        world_hang_up(&p);
    }
    assert_true(beyond);
    world_connect(&p);
    assert_true(world_talks(p.c, p.s));
    world_pair_clear(&p);
}

static void handshakes_by_psk_survive(void **state)
{
    static const char *const profiles[] = {"onem2m-tls12", "onem2m"};
    for (size_t i = 0; i < 2; i++) {
        struct world_source source;
        world_source_init(&source, IDENTITY, key);
        struct bst_tls_server_config server = world_server_config(&w, profiles[i], &source);
        struct bst_tls_client_config client = world_psk_client(&w, profiles[i], IDENTITY, key);
        each_fails_once(&server, &client, BST_TLS_AUTH_PSK);
    }
}

static void handshakes_by_certificate_survive(void **state)
{
    struct bst_tls_server_config server = world_server_config(&w, "onem2m", NULL);
    struct bst_tls_client_config client = world_cert_client(&w, "onem2m", &w.client);
    each_fails_once(&server, &client, BST_TLS_AUTH_CERT);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(ssl_alloc, ssl_realloc, ssl_free)) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes_by_psk_survive),
        cmocka_unit_test(handshakes_by_certificate_survive),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
