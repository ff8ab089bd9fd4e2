#include "support/test.h"

#include "pki/pki.h"
#include "support/se_host.h"

#define YEAR (INT64_C(365) * 86400000000)
#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se
#define AUTO_PKI __attribute__((cleanup(bst_pki_close))) struct bst_pki

struct world {
    struct test_host host;
    struct bst_se *se;
    struct bst_pki_config config;
    struct evp_pkey_st *key; /* of who wants a certificate */
    struct bst_buf spki;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    test_host_init(&w->host);
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=d", &w->se));
    w->config =
        (struct bst_pki_config){.se = w->se, .host = &w->host.host, .dir = "p", .name = "root"};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &w->key));
    assert_ok(bst_pkey_spki(w->key, &w->spki));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    bst_se_close(&w->se);
    bst_pkey_free(&w->key);
    bst_buf_clear(&w->spki);
    test_host_clear(&w->host);
    free(w);
    return 0;
}

static struct bst_pki *create(struct world *w)
{
    struct bst_pki *pki = NULL;
    assert_ok(bst_pki_create(&w->config, BST_VIEW("Bastide test"), NULL, 0, NULL, YEAR, &pki));
    return pki;
}

/* A certificate of the authority, checked against it with its list. */
static bst_result check(struct world *w, struct bst_pki *pki, struct bst_view pem,
                        enum bst_cert_flavour flavour, const char *name)
{
    bst_auto(buf) ca = {0}, crl = {0};
    bst_auto_cert *cert = NULL;
    struct bst_trust *trust = NULL;
    BST_TRY(bst_pki_cert(pki, &ca));
    BST_TRY(bst_pki_crl(pki, &crl));
    BST_TRY(bst_cert_load(pem, &cert));
    BST_TRY(bst_cert_expect(cert, flavour, bst_view(name)));
    BST_TRY(bst_trust_new(BST_CRL_REQUIRE, &trust));
    bst_result out = bst_trust_add_anchors(trust, bst_buf_view(&ca));
    if (!bst_failed(out)) {
        out = bst_trust_add_crls(trust, bst_buf_view(&crl));
    }
    if (!bst_failed(out)) {
        out = bst_trust_verify(trust, cert, NULL, BST_CERT_TLS_CLIENT, w->host.wall_us);
    }
    bst_trust_drop(&trust);
    return out;
}

static struct bst_pki_order order_of(const struct bst_cert_san *san)
{
    return (struct bst_pki_order){.names = san, .n_names = 1, .lifetime_us = YEAR / 12};
}

static void certificates_of_every_flavour_are_issued_and_verify(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct {
        struct bst_cert_san san;
        const char *name;
    } cases[] = {
        {{BST_CERT_AE, BST_VIEW("//sp.example.com/S1")}, "//sp.example.com/S1"},
        {{BST_CERT_CSE, BST_VIEW("in.sp.example.com")}, "in.sp.example.com"},
        {{BST_CERT_NODE, BST_VIEW("urn:dev:mac:0024be")}, "urn:dev:mac:0024be"},
        {{BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100.5")}, "0.2.481.1.100.5"},
        {{BST_CERT_FQDN, BST_VIEW("mef.example.com")}, "mef.example.com"},
    };
    for (size_t i = 0; i < 5; i++) {
        bst_auto(buf) pem = {0};
        struct bst_pki_order order = order_of(&cases[i].san);
        assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &pem));
        assert_ok(check(w, pki, bst_buf_view(&pem), cases[i].san.flavour, cases[i].name));
    }
}

static void a_revoked_certificate_stays_revoked_after_a_restart(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct bst_cert_san san = {BST_CERT_CSE, BST_VIEW("in.example.com")};
    struct bst_pki_order order = order_of(&san);
    bst_auto(buf) pem = {0}, other = {0};
    bst_auto_cert *cert = NULL;
    struct bst_cert_facts facts;
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &pem));
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &other));
    assert_ok(bst_cert_load(bst_buf_view(&pem), &cert));
    assert_ok(bst_cert_facts(cert, &facts));
    assert_ok(bst_pki_revoke(pki, (struct bst_view){0}, bst_view(facts.serial), 1));
    assert_ok(bst_pki_revoke(pki, (struct bst_view){0}, bst_view(facts.serial), 1));
    bst_pki_close(&pki);
    assert_ok(bst_pki_open(&w->config, &pki));
    assert_err(check(w, pki, bst_buf_view(&pem), BST_CERT_CSE, "in.example.com"), BST_E_REVOKED);
    assert_ok(check(w, pki, bst_buf_view(&other), BST_CERT_CSE, "in.example.com"));
    assert_err(bst_pki_revoke(pki, (struct bst_view){0}, BST_VIEW("not hex"), 1), BST_E_VALUE);
    assert_err(bst_pki_revoke(pki, (struct bst_view){0}, BST_VIEW("01"), 7), BST_E_VALUE);
}

static void a_list_that_is_due_is_renewed_with_what_it_holds(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct bst_cert_san san = {BST_CERT_CSE, BST_VIEW("in.example.com")};
    struct bst_pki_order order = {.names = &san, .n_names = 1, .lifetime_us = YEAR / 2};
    bst_auto(buf) pem = {0};
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &pem));
    assert_ok(bst_pki_revoke(pki, (struct bst_view){0}, BST_VIEW("0A"), 0));
    w->host.wall_us += YEAR / 6;
    assert_err(check(w, pki, bst_buf_view(&pem), BST_CERT_CSE, "in.example.com"), BST_E_REVOKED);
    assert_ok(bst_pki_crl_renew(pki));
    assert_ok(check(w, pki, bst_buf_view(&pem), BST_CERT_CSE, "in.example.com"));
    bst_auto(buf) list = {0};
    bst_auto(crl) crl = {0};
    assert_ok(bst_pki_crl(pki, &list));
    assert_ok(bst_crl_parse(bst_buf_view(&list), NULL, &crl));
    assert_int_equal(crl.n, 1);
    assert_int_equal(crl.number, 3);
}

static void a_request_gets_only_names_that_its_sender_may_have(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct bst_cert_san allowed = {BST_CERT_AE, BST_VIEW("//sp.example.com/S1")},
                              other = {BST_CERT_AE, BST_VIEW("//sp.example.com/S2")};
    struct bst_pki_order order = order_of(&allowed);
    struct bst_cert_spec good = {.sans = &allowed, .n_sans = 1},
                         bad = {.sans = &other, .n_sans = 1};
    bst_auto(buf) csr = {0}, bad_csr = {0}, pem = {0};
    assert_ok(bst_csr_build(&good, w->key, &csr));
    assert_ok(bst_csr_build(&bad, w->key, &bad_csr));
    assert_ok(bst_pki_issue_csr(pki, &order, bst_buf_view(&csr), &pem));
    assert_ok(check(w, pki, bst_buf_view(&pem), BST_CERT_AE, "//sp.example.com/S1"));
    assert_err(bst_pki_issue_csr(pki, &order, bst_buf_view(&bad_csr), &pem), BST_E_DENIED);
    csr.ptr[csr.len - 1] ^= 1;
    assert_true(bst_failed(bst_pki_issue_csr(pki, &order, bst_buf_view(&csr), &pem)));
    struct bst_pki_order nameless = {.lifetime_us = YEAR};
    assert_err(bst_pki_issue(pki, &nameless, bst_buf_view(&w->spki), &pem), BST_E_VALUE);
}

static void a_certificate_ends_with_its_authority(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    const struct bst_cert_san san = {BST_CERT_CSE, BST_VIEW("in.example.com")};
    struct bst_pki_order order = {.names = &san, .n_names = 1, .lifetime_us = 10 * YEAR};
    bst_auto(buf) pem = {0};
    bst_auto_cert *cert = NULL;
    struct bst_cert_facts facts;
    assert_ok(bst_pki_issue(pki, &order, bst_buf_view(&w->spki), &pem));
    assert_ok(bst_cert_load(bst_buf_view(&pem), &cert));
    assert_ok(bst_cert_facts(cert, &facts));
    assert_int_equal(facts.not_after_us, TEST_HOST_WALL_US + YEAR);
}

static void a_constrained_authority_under_another_verifies_what_it_may_name(void **state)
{
    struct world *w = *state;
    AUTO_PKI *root = create(w);
    AUTO_PKI *sub = NULL;
    const struct bst_cert_permit permit = {BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100")};
    w->config.name = "devices";
    assert_ok(bst_pki_create(&w->config, BST_VIEW("devices"), &permit, 1, root, YEAR, &sub));
    const struct bst_cert_san in = {BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100.1")},
                              out = {BST_CERT_DEVICE, BST_VIEW("0.2.481.1:200.1")};
    struct bst_pki_order good = order_of(&in), bad = order_of(&out);
    bst_auto(buf) pem = {0}, bad_pem = {0};
    assert_ok(bst_pki_issue(sub, &good, bst_buf_view(&w->spki), &pem));
    assert_ok(bst_pki_issue(sub, &bad, bst_buf_view(&w->spki), &bad_pem));
    assert_ok(check(w, sub, bst_buf_view(&pem), BST_CERT_DEVICE, "0.2.481.1.100.1"));
    assert_err(check(w, sub, bst_buf_view(&bad_pem), BST_CERT_DEVICE, "0.2.481.1.200.1"),
               BST_E_BAD_CERT);
}

static void an_authority_is_made_once_and_a_half_made_one_completed(void **state)
{
    struct world *w = *state;
    long n = 1;
    for (;; n++) {
        struct test_host *h = &w->host;
        struct bst_pki *pki = NULL;
        h->fail_at = h->writes + n;
        bst_result made = bst_pki_create(&w->config, BST_VIEW("ca"), NULL, 0, NULL, YEAR, &pki);
        h->fail_at = 0;
        bst_pki_close(&pki);
        if (!bst_failed(made)) {
            break;
        }
        assert_err(bst_pki_open(&w->config, &pki), BST_E_NOT_FOUND);
    }
    assert_true(n > 2);
    struct bst_pki *pki = NULL;
    assert_err(bst_pki_create(&w->config, BST_VIEW("ca"), NULL, 0, NULL, YEAR, &pki), BST_E_EXISTS);
    w->config.name = "../x";
    assert_err(bst_pki_create(&w->config, BST_VIEW("ca"), NULL, 0, NULL, YEAR, &pki), BST_E_CONFIG);
}

static void parts_that_do_not_belong_together_do_not_open(void **state)
{
    struct world *w = *state;
    AUTO_PKI *pki = create(w);
    AUTO_PKI *again = NULL;
    bst_auto(buf) crt = {0}, crl = {0};
    assert_ok(bst_pki_cert(pki, &crt));
    assert_ok(bst_pki_crl(pki, &crl));
    test_file_remove(&w->host, "p/root.crl");
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
    test_file_set(&w->host, "p/root.crl", BST_VIEW("damaged"));
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
    test_file_set(&w->host, "p/root.crl", bst_buf_view(&crl));
    w->config.name = "other";
    AUTO_PKI *other = create(w);
    bst_auto(buf) foreign = {0};
    assert_ok(bst_pki_cert(other, &foreign));
    w->config.name = "root";
    test_file_set(&w->host, "p/root.crt", bst_buf_view(&foreign));
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
    test_file_set(&w->host, "p/root.crt", bst_buf_view(&crt));
    assert_ok(bst_pki_open(&w->config, &again));
    bst_pki_close(&again);
    bst_key key = 0;
    assert_ok(bst_se_key_find(w->se, "pki.root", &key));
    assert_ok(bst_se_key_delete(w->se, key));
    assert_err(bst_pki_open(&w->config, &again), BST_E_CORRUPT);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(certificates_of_every_flavour_are_issued_and_verify),
        WITH_WORLD(a_revoked_certificate_stays_revoked_after_a_restart),
        WITH_WORLD(a_list_that_is_due_is_renewed_with_what_it_holds),
        WITH_WORLD(a_request_gets_only_names_that_its_sender_may_have),
        WITH_WORLD(a_certificate_ends_with_its_authority),
        WITH_WORLD(a_constrained_authority_under_another_verifies_what_it_may_name),
        WITH_WORLD(an_authority_is_made_once_and_a_half_made_one_completed),
        WITH_WORLD(parts_that_do_not_belong_together_do_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
