#include "support/test.h"

#include "crypto/extkey.h"
#include "crypto/rand.h"
#include "crypto/x509.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

/* A key "elsewhere": here it is just another object, which counts what it is asked for. */
struct elsewhere {
    struct evp_pkey_st *pkey;
    atomic_int signatures, released;
    bool refuse, gone;
};

static bst_result elsewhere_sign(void *ctx, enum bst_md md, struct bst_view tbs, uint8_t *out,
                                 size_t *ret_len)
{
    struct elsewhere *e = ctx;
    atomic_fetch_add(&e->signatures, 1);
    if (e->gone) {
        BST_FAIL(BST_E_BUSY, "its token is gone");
    }
    if (e->refuse) {
        BST_FAIL(BST_E_SE_USAGE, "the key is not for this");
    }
    return bst_pkey_sign_raw(e->pkey, md, tbs, out, ret_len);
}

static void elsewhere_release(void *ctx)
{
    atomic_fetch_add(&((struct elsewhere *)ctx)->released, 1);
}

static const struct bst_extkey_ops ops = {elsewhere_sign, elsewhere_release};

static struct evp_pkey_st *make(struct elsewhere *e, enum bst_pkey_kind kind)
{
    *e = (struct elsewhere){0};
    struct evp_pkey_st *ext = NULL;
    bst_auto(buf) spki = {0};
    assert_ok(bst_pkey_generate(kind, &e->pkey));
    assert_ok(bst_pkey_spki(e->pkey, &spki));
    assert_ok(bst_extkey_new(&ops, e, bst_buf_view(&spki), &ext));
    return ext;
}

static void drop(struct elsewhere *e, struct evp_pkey_st **ext)
{
    bst_pkey_free(ext);
    assert_int_equal(e->released, 1);
    bst_pkey_free(&e->pkey);
}

static const enum bst_pkey_kind kinds[] = {BST_PKEY_EC_P256, BST_PKEY_EC_P384, BST_PKEY_ED25519};

static void an_external_key_signs_like_any_other(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct elsewhere e;
        struct evp_pkey_st *ext = make(&e, kinds[i]);
        bst_auto(buf) signature = {0}, spki = {0}, same = {0};
        enum bst_md md = kinds[i] == BST_PKEY_ED25519 ? BST_MD_NONE : BST_MD_SHA384;
        assert_ok(bst_pkey_sign(ext, md, BST_VIEW("message"), &signature));
        assert_int_equal(e.signatures, 1);
        assert_ok(bst_pkey_verify(e.pkey, md, BST_VIEW("message"), bst_buf_view(&signature)));
        assert_ok(bst_pkey_spki(ext, &spki));
        assert_ok(bst_pkey_spki(e.pkey, &same));
        assert_true(bst_view_eq(bst_buf_view(&spki), bst_buf_view(&same)));
        enum bst_pkey_kind kind;
        assert_ok(bst_pkey_kind(ext, &kind));
        assert_int_equal(kind, kinds[i]);
        drop(&e, &ext);
    }
}

static void a_message_in_pieces_is_signed_as_one(void **state)
{
    struct elsewhere e;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[BST_SIGNATURE_MAX];
    size_t len = 0;
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, ext, NULL), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, "mess", 4), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, "age", 3), 1);
    assert_int_equal(EVP_DigestSignFinal(ctx, NULL, &len), 1);
    assert_true(len <= sizeof signature);
    assert_int_equal(EVP_DigestSignFinal(ctx, signature, &len), 1);
    assert_ok(
        bst_pkey_verify(e.pkey, BST_MD_SHA256, BST_VIEW("message"), bst_view_of(signature, len)));
    EVP_MD_CTX_free(ctx);
    drop(&e, &ext);
}

static void its_private_half_does_not_come_out(void **state)
{
    struct elsewhere e;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256);
    bst_auto(secret) out = {0};
    assert_err(bst_pkey_private(ext, &out), BST_E_BAD_KEY);
    drop(&e, &ext);
}

static void a_refusal_reaches_the_caller_in_words(void **state)
{
    struct elsewhere e;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256);
    e.refuse = true;
    bst_auto(buf) signature = {0};
    assert_err(bst_pkey_sign(ext, BST_MD_SHA256, BST_VIEW("m"), &signature), BST_E_CRYPTO);
    assert_non_null(strstr(bst_error_detail(), "the key is not for this"));
    assert_int_equal(signature.len, 0);
    drop(&e, &ext);
}

static void a_key_that_is_gone_for_now_is_busy_and_no_failed_operation(void **state)
{
    struct elsewhere e;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256);
    const struct bst_cert_san san = {BST_CERT_FQDN, BST_VIEW("a.example.com")};
    const struct bst_cert_spec spec = {.sans = &san, .n_sans = 1, .not_after_us = 3600000000};
    bst_auto(buf) der = {0};
    e.gone = true;
    assert_err(bst_cert_issue(&spec, ext, NULL, ext, &der), BST_E_BUSY);
    assert_non_null(strstr(bst_error_detail(), "its token is gone"));
    e.gone = false;
    assert_ok(bst_cert_issue(&spec, ext, NULL, ext, &der));
    drop(&e, &ext);
}

static void a_public_half_of_no_known_kind_is_refused_and_released(void **state)
{
    struct elsewhere e = {0};
    struct evp_pkey_st *ext = NULL;
    assert_err(bst_extkey_new(&ops, &e, BST_VIEW("no key"), &ext), BST_E_BAD_KEY);
    assert_int_equal(e.released, 1);
}

/* ---- in TLS ---- */

static X509 *self_signed(struct evp_pkey_st *key)
{
    const struct bst_cert_san san = {BST_CERT_CSE, BST_VIEW("in.example.com")};
    struct bst_cert_spec spec = {
        .common_name = BST_VIEW("in"),
        .sans = &san,
        .n_sans = 1,
        .not_before_us = INT64_C(1700000000000000),
        .not_after_us = INT64_C(4000000000000000),
    };
    bst_auto(buf) der = {0};
    X509 *cert = NULL;
    assert_ok(bst_cert_issue(&spec, key, NULL, key, &der));
    assert_ok(bst_cert_load(bst_buf_view(&der), &cert));
    return cert;
}

static SSL_CTX *server_context(const SSL_METHOD *method, struct evp_pkey_st *key, X509 *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
    return ctx;
}

static bool handshake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, int version)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a = NULL, *b = NULL;
    BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    SSL_set_min_proto_version(client, version);
    SSL_set_max_proto_version(client, version);
    SSL_set_mtu(server, 1400); /* of DTLS; a BIO pair has none to ask for */
    SSL_set_mtu(client, 1400);
    int done = 0;
    for (int i = 0; i < 20 && !done; i++) {
        int c = SSL_do_handshake(client), s = SSL_do_handshake(server);
        done = c == 1 && s == 1;
    }
    SSL_free(server);
    SSL_free(client);
    return done;
}

static void a_tls_server_proves_itself_with_an_external_key(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct elsewhere e;
        struct evp_pkey_st *ext = make(&e, kinds[i]);
        X509 *cert = self_signed(ext);
        SSL_CTX *server = server_context(TLS_server_method(), ext, cert),
                *client = SSL_CTX_new(TLS_client_method());
        int before = e.signatures;
        assert_true(handshake(server, client, TLS1_2_VERSION));
        assert_true(handshake(server, client, TLS1_3_VERSION));
        assert_int_equal(e.signatures, before + 2);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
        bst_cert_free(&cert);
        drop(&e, &ext);
    }
}

/* OpenSSL has no Ed25519 in DTLS 1.2. */
static void so_does_a_dtls_server_unless_the_key_refuses(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        struct elsewhere e;
        struct evp_pkey_st *ext = make(&e, kinds[i]);
        X509 *cert = self_signed(ext);
        SSL_CTX *server = server_context(DTLS_server_method(), ext, cert),
                *client = SSL_CTX_new(DTLS_client_method());
        SSL_CTX_set_options(server, SSL_OP_NO_QUERY_MTU);
        SSL_CTX_set_options(client, SSL_OP_NO_QUERY_MTU);
        int before = e.signatures;
        assert_true(handshake(server, client, DTLS1_2_VERSION));
        assert_int_equal(e.signatures, before + 1);
        e.refuse = true;
        assert_false(handshake(server, client, DTLS1_2_VERSION));
        assert_int_equal(e.signatures, before + 2);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
        bst_cert_free(&cert);
        drop(&e, &ext);
    }
}

static void a_certificate_of_another_key_is_noticed(void **state)
{
    struct elsewhere e, other;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256), *wrong = make(&other, BST_PKEY_EC_P256);
    X509 *cert = self_signed(ext);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_not_equal(SSL_CTX_use_PrivateKey(ctx, wrong), 1);
    SSL_CTX_free(ctx);
    bst_cert_free(&cert);
    drop(&e, &ext);
    drop(&other, &wrong);
}

struct crowd {
    SSL_CTX *server;
    atomic_int failed;
};

static void *many_handshakes(void *arg)
{
    struct crowd *crowd = arg;
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    for (int i = 0; i < 25; i++) {
        if (!handshake(crowd->server, client, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION)) {
            atomic_fetch_add(&crowd->failed, 1);
        }
    }
    SSL_CTX_free(client);
    return NULL;
}

static void handshakes_on_several_threads_share_one_key(void **state)
{
    struct elsewhere e;
    struct evp_pkey_st *ext = make(&e, BST_PKEY_EC_P256);
    X509 *cert = self_signed(ext);
    struct crowd crowd = {.server = server_context(TLS_server_method(), ext, cert)};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, many_handshakes, &crowd);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(crowd.failed, 0);
    SSL_CTX_free(crowd.server);
    bst_cert_free(&cert);
    drop(&e, &ext);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_external_key_signs_like_any_other),
        cmocka_unit_test(a_message_in_pieces_is_signed_as_one),
        cmocka_unit_test(its_private_half_does_not_come_out),
        cmocka_unit_test(a_refusal_reaches_the_caller_in_words),
        cmocka_unit_test(a_key_that_is_gone_for_now_is_busy_and_no_failed_operation),
        cmocka_unit_test(a_public_half_of_no_known_kind_is_refused_and_released),
        cmocka_unit_test(a_tls_server_proves_itself_with_an_external_key),
        cmocka_unit_test(so_does_a_dtls_server_unless_the_key_refuses),
        cmocka_unit_test(a_certificate_of_another_key_is_noticed),
        cmocka_unit_test(handshakes_on_several_threads_share_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
