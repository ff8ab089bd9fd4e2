#include "support/test.h"

#include "crypto/x509.h"
#include "support/hex.h"

#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY INT64_C(86400000000)
#define NOW INT64_C(1790000000000000)
#define SANS(...)                                                                                  \
    (const struct bst_cert_san[])                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define PERMITS(...)                                                                               \
    (const struct bst_cert_permit[])                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A key and its certificate. */
struct party {
    struct evp_pkey_st *key;
    struct x509_st *cert;
};

static void party_clear(struct party *p)
{
    bst_pkey_free(&p->key);
    bst_cert_free(&p->cert);
}
#define AUTO_PARTY __attribute__((cleanup(party_clear))) struct party

static struct bst_cert_spec spec_of(const char *cn, bool ca)
{
    return (struct bst_cert_spec){
        .common_name = bst_view(cn),
        .ca = ca,
        .path_len = -1,
        .not_before_us = NOW - DAY,
        .not_after_us = NOW + 30 * DAY,
    };
}

static struct party issue(const struct bst_cert_spec *spec, const struct party *issuer)
{
    struct party p = {0};
    bst_auto(buf) der = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &p.key));
    assert_ok(bst_cert_issue(spec, p.key, issuer ? issuer->cert : NULL,
                             issuer ? issuer->key : p.key, &der));
    assert_ok(bst_cert_load(bst_buf_view(&der), &p.cert));
    return p;
}

static struct party make_ca(const char *cn, const struct bst_cert_permit *permits, size_t n,
                            const struct party *issuer)
{
    struct bst_cert_spec spec = spec_of(cn, true);
    spec.permits = permits;
    spec.n_permits = n;
    return issue(&spec, issuer);
}

static struct party make_leaf(const struct bst_cert_san *sans, size_t n, const struct party *issuer)
{
    struct bst_cert_spec spec = spec_of("leaf", false);
    spec.sans = sans;
    spec.n_sans = n;
    return issue(&spec, issuer);
}

static struct bst_trust *trust_in(const struct party *ca, enum bst_crl_policy policy)
{
    struct bst_trust *trust = NULL;
    bst_auto(buf) pem = {0};
    assert_ok(bst_trust_new(policy, &trust));
    assert_ok(bst_cert_pem(ca->cert, &pem));
    assert_ok(bst_trust_add_anchors(trust, bst_buf_view(&pem)));
    return trust;
}

static bst_result verify_at(const struct party *ca, const struct party *leaf,
                            enum bst_cert_role role, int64_t now_us)
{
    struct bst_trust *trust = trust_in(ca, BST_CRL_OFF);
    bst_result out = bst_trust_verify(trust, leaf->cert, NULL, role, now_us);
    bst_trust_drop(&trust);
    return out;
}

static bst_result verify(const struct party *ca, const struct party *leaf)
{
    return verify_at(ca, leaf, BST_CERT_ANY_ROLE, NOW);
}

/* ---- names ---- */

static void each_flavour_carries_its_name(void **state)
{
    const struct {
        struct bst_cert_san san;
        const char *name;
    } cases[] = {
        {{BST_CERT_AE, BST_VIEW("//sp.example.com/S123")}, "//sp.example.com/S123"},
        {{BST_CERT_AE, BST_VIEW("//sp.example.com/in/C123")}, "//sp.example.com/in/C123"},
        {{BST_CERT_CSE, BST_VIEW("in.sp.example.com")}, "in.sp.example.com"},
        {{BST_CERT_FQDN, BST_VIEW("mef.example.com")}, "mef.example.com"},
        {{BST_CERT_NODE, BST_VIEW("urn:dev:mac:0024befffe804ff1")}, "urn:dev:mac:0024befffe804ff1"},
        {{BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100.3030.10011")}, "0.2.481.1.100.3030.10011"},
    };
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO_PARTY leaf = make_leaf(&cases[i].san, 1, &ca);
        assert_ok(bst_cert_expect(leaf.cert, cases[i].san.flavour, bst_view(cases[i].name)));
        assert_ok(verify(&ca, &leaf));
        bst_auto(cert_names) names = {0};
        assert_ok(bst_cert_names(leaf.cert, &names));
        assert_int_equal(names.n, 1);
        assert_string_equal(names.names[0].text, cases[i].name);
    }
}

static void another_name_or_flavour_than_expected_is_refused(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY ae = make_leaf(SANS({BST_CERT_AE, BST_VIEW("//sp.example.com/S123")}), 1, &ca);
    AUTO_PARTY cse = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.sp.example.com")}), 1, &ca);
    assert_err(bst_cert_expect(ae.cert, BST_CERT_AE, BST_VIEW("//sp.example.com/S124")),
               BST_E_BAD_CERT);
    assert_err(bst_cert_expect(ae.cert, BST_CERT_AE, BST_VIEW("//sp.example.com/s123")),
               BST_E_BAD_CERT);
    assert_err(bst_cert_expect(ae.cert, BST_CERT_AE, BST_VIEW("S123")), BST_E_BAD_CERT);
    assert_err(bst_cert_expect(ae.cert, BST_CERT_CSE, BST_VIEW("//sp.example.com/S123")),
               BST_E_BAD_CERT);
    assert_non_null(strstr(bst_error_detail(), "//sp.example.com/S123"));
    assert_ok(bst_cert_expect(cse.cert, BST_CERT_CSE, BST_VIEW("IN.sp.example.com")));
    assert_err(bst_cert_expect(cse.cert, BST_CERT_CSE, BST_VIEW("sp.example.com")), BST_E_BAD_CERT);
}

/* A certificate with a subjectAltName that bst_cert_issue() would not make. */
static struct party raw_leaf(int type, const char *text, size_t len, const struct party *ca)
{
    struct party p = make_leaf(NULL, 0, ca);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(string, text, (int)len), 1);
    GENERAL_NAME_set0_value(name, type, string);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(p.cert, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
    assert_true(X509_sign(p.cert, ca->key, EVP_sha256()) > 0);
    bst_auto(buf) der = {0};
    assert_ok(bst_cert_der(p.cert, &der));
    bst_cert_free(&p.cert);
    assert_ok(bst_cert_load(bst_buf_view(&der), &p.cert));
    return p;
}

static void wildcards_nuls_and_what_is_no_name_are_refused(void **state)
{
    static char too_long[BST_CERT_NAME_BYTES + 8];
    memset(too_long, 'a', sizeof too_long);
    memcpy(too_long, "urn:", 4);
    const struct {
        int type;
        const char *text;
        size_t len;
    } cases[] = {
        {GEN_DNS, "*.example.com", 13},
        {GEN_URI, "m2m://sp.example.com/S*", 23},
        {GEN_DNS, "in.example.com\0.evil.com", 24},
        {GEN_DNS, "in..example.com", 15},
        {GEN_DNS, ".example.com", 12},
        {GEN_DNS, "", 0},
        {GEN_DNS, "in example.com", 14},
        {GEN_URI, "no-colon", 8},
        {GEN_URI, "1m:x", 4},
        {GEN_URI, "https://ho~st/", 14},
        {GEN_URI, "urn:\x01", 5},
        {GEN_URI, too_long, sizeof too_long},
    };
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO_PARTY leaf = raw_leaf(cases[i].type, cases[i].text, cases[i].len, &ca);
        bst_auto(cert_names) names = {0};
        assert_err(bst_cert_names(leaf.cert, &names), BST_E_BAD_CERT);
        assert_err(verify(&ca, &leaf), BST_E_BAD_CERT);
    }
}

static void any_scheme_names_an_ae_and_a_host_alone_names_a_function(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY ae = raw_leaf(GEN_URI, "coaps://sp.example.com/S1", 25, &ca);
    assert_ok(bst_cert_expect(ae.cert, BST_CERT_AE, BST_VIEW("//sp.example.com/S1")));
    AUTO_PARTY mef = raw_leaf(GEN_URI, "https://MEF.example.com", 23, &ca);
    assert_ok(bst_cert_expect(mef.cert, BST_CERT_FQDN, BST_VIEW("mef.example.com")));
    assert_err(bst_cert_expect(mef.cert, BST_CERT_AE, BST_VIEW("//MEF.example.com")),
               BST_E_BAD_CERT);
}

static void names_that_cannot_be_issued_are_refused(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    const struct bst_cert_san bad[] = {
        {BST_CERT_AE, BST_VIEW("S123")},
        {BST_CERT_CSE, BST_VIEW("*.example.com")},
        {BST_CERT_CSE, BST_VIEW("")},
        {BST_CERT_DEVICE, BST_VIEW("1.2.3.4")},
        {BST_CERT_DEVICE, BST_VIEW("x:1.2")},
        {BST_CERT_DEVICE, BST_VIEW("1.2:a.b")},
        {BST_CERT_DEVICE, BST_VIEW("1.2:1..2")},
        {BST_CERT_NODE, BST_VIEW("urn:a b")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_cert_spec spec = spec_of("leaf", false);
        spec.sans = &bad[i];
        spec.n_sans = 1;
        bst_auto(buf) der = {0};
        assert_true(bst_failed(bst_cert_issue(&spec, ca.key, ca.cert, ca.key, &der)));
        assert_int_equal(der.len, 0);
    }
}

/* ---- loading ---- */

static void cut_or_lengthened_certificates_do_not_load(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    bst_auto(buf) der = {0};
    struct x509_st *out = NULL;
    assert_ok(bst_cert_der(ca.cert, &der));
    for (size_t len = 0; len < der.len; len++) {
        assert_err(bst_cert_load(bst_view_of(der.ptr, len), &out),
                   len ? BST_E_SYNTAX : BST_E_TRUNCATED);
    }
    bst_buf_addc(&der, 0);
    assert_err(bst_cert_load(bst_buf_view(&der), &out), BST_E_SYNTAX);
    assert_err(bst_cert_load(BST_VIEW("-----BEGIN CERTIFICATE-----\nAA\n"), &out), BST_E_SYNTAX);
}

static bst_result count_cert(void *ctx, struct x509_st *take_cert)
{
    bst_cert_free(&take_cert);
    ++*(int *)ctx;
    return BST_OK;
}

static void a_pem_file_gives_all_its_certificates_or_an_error(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    bst_auto(buf) pem = {0};
    assert_ok(bst_cert_pem(ca.cert, &pem));
    assert_ok(bst_cert_pem(ca.cert, &pem));
    int seen = 0;
    size_t count = 0;
    assert_ok(bst_cert_load_all(bst_buf_view(&pem), count_cert, &seen, &count));
    assert_int_equal(count, 2);
    assert_err(bst_cert_load_all(bst_view_of(pem.ptr, pem.len - 40), count_cert, &seen, &count),
               BST_E_SYNTAX);
    assert_err(bst_cert_load_all(BST_VIEW("nothing"), count_cert, &seen, &count), BST_E_SYNTAX);
}

static void facts_tell_time_serial_and_digests(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    struct bst_cert_facts facts;
    assert_ok(bst_cert_facts(ca.cert, &facts));
    assert_true(facts.ca);
    assert_int_equal(facts.not_before_us, NOW - DAY);
    assert_int_equal(facts.not_after_us, NOW + 30 * DAY);
    assert_int_equal(strlen(facts.serial), 32);
    bst_auto(buf) der = {0};
    uint8_t digest[32];
    assert_ok(bst_cert_der(ca.cert, &der));
    assert_ok(bst_sha256(bst_buf_view(&der), digest));
    assert_memory_equal(digest, facts.sha256, 32);
    char subject[64];
    bst_cert_subject_text(ca.cert, subject, sizeof subject);
    assert_string_equal(subject, "ca");
}

/* ---- public key identifiers ---- */

static void a_public_key_matches_its_identifier_in_every_length(void **state)
{
    uint8_t digest[32];
    struct bst_view spki = BST_VIEW("octets of a public key");
    char id[BST_KEY_ID_LEN + 1];
    assert_ok(bst_spki_identifier(spki, id));
    assert_int_equal(strlen(id), BST_KEY_ID_LEN);
    assert_ok(bst_spki_identifier_match(bst_view(id), spki));
    assert_ok(bst_sha256(spki, digest));
    bst_auto(buf) short128 = {0}, short120 = {0}, uri = {0};
    bst_buf_adds(&short128, "sha-256-128;");
    bst_base64url_add(&short128, bst_view_of(digest, 16));
    bst_buf_adds(&short120, "sha-256-120;");
    bst_base64url_add(&short120, bst_view_of(digest, 15));
    bst_buf_addf(&uri, "ni:///%s", id);
    assert_ok(bst_spki_identifier_match(bst_buf_view(&short128), spki));
    assert_ok(bst_spki_identifier_match(bst_buf_view(&short120), spki));
    assert_ok(bst_spki_identifier_match(bst_buf_view(&uri), spki));
    assert_err(bst_spki_identifier_match(bst_buf_view(&short128), BST_VIEW("another")),
               BST_E_BAD_CERT);
}

static void identifiers_of_wrong_length_or_hash_are_refused(void **state)
{
    const char *const bad[] = {
        "",
        "sha-256",
        "sha-256;",
        "sha-256;AAAA",
        "md5;AAAAAAAAAAAAAAAAAAAAAA",
        "sha-256-32;AAAAAA",
        "sha-256-128;AAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_spki_identifier_match(bst_view(bad[i]), BST_VIEW("k")), BST_E_SYNTAX);
    }
}

/* ---- verification ---- */

static void time_is_the_callers(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &ca);
    assert_ok(verify_at(&ca, &leaf, BST_CERT_ANY_ROLE, NOW));
    assert_err(verify_at(&ca, &leaf, BST_CERT_ANY_ROLE, NOW - 2 * DAY), BST_E_EXPIRED);
    assert_err(verify_at(&ca, &leaf, BST_CERT_ANY_ROLE, NOW + 31 * DAY), BST_E_EXPIRED);
    assert_non_null(strstr(bst_error_detail(), "expired"));
}

static void an_unknown_or_only_namesake_issuer_is_refused(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY namesake = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &namesake);
    assert_err(verify(&ca, &leaf), BST_E_BAD_CERT);
}

static void a_leaf_cannot_issue(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY middle = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &ca);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("mn.example.com")}), 1, &middle);
    struct bst_trust *trust = trust_in(&ca, BST_CRL_OFF);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, middle.cert);
    assert_err(bst_trust_verify(trust, leaf.cert, chain, BST_CERT_ANY_ROLE, NOW), BST_E_BAD_CERT);
    sk_X509_free(chain);
    bst_trust_drop(&trust);
}

static void an_intermediate_comes_from_the_peer_or_from_configuration(void **state)
{
    AUTO_PARTY root = make_ca("root", NULL, 0, NULL);
    AUTO_PARTY middle = make_ca("middle", NULL, 0, &root);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &middle);
    struct bst_trust *trust = trust_in(&root, BST_CRL_OFF);
    assert_err(bst_trust_verify(trust, leaf.cert, NULL, BST_CERT_ANY_ROLE, NOW), BST_E_BAD_CERT);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, middle.cert);
    assert_ok(bst_trust_verify(trust, leaf.cert, chain, BST_CERT_ANY_ROLE, NOW));
    sk_X509_free(chain);
    bst_auto(buf) pem = {0};
    assert_ok(bst_cert_pem(middle.cert, &pem));
    assert_ok(bst_trust_add_intermediates(trust, bst_buf_view(&pem)));
    assert_ok(bst_trust_verify(trust, leaf.cert, NULL, BST_CERT_ANY_ROLE, NOW));
    bst_trust_drop(&trust);
    assert_ok(verify(&middle, &leaf)); /* an intermediate as anchor */
}

static void a_client_certificate_is_none_for_a_server(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    struct bst_cert_spec spec = spec_of("client", false);
    spec.role = BST_CERT_TLS_CLIENT;
    AUTO_PARTY leaf = issue(&spec, &ca);
    assert_ok(verify_at(&ca, &leaf, BST_CERT_TLS_CLIENT, NOW));
    assert_err(verify_at(&ca, &leaf, BST_CERT_TLS_SERVER, NOW), BST_E_BAD_CERT);
}

static struct party signed_again(struct party p, const struct party *ca, const EVP_MD *md)
{
    assert_true(X509_sign(p.cert, ca->key, md) > 0);
    bst_auto(buf) der = {0};
    assert_ok(bst_cert_der(p.cert, &der));
    bst_cert_free(&p.cert);
    assert_ok(bst_cert_load(bst_buf_view(&der), &p.cert));
    return p;
}

static void sha1_signatures_are_refused_below_and_as_anchors(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    struct bst_cert_spec spec = spec_of("leaf", false);
    AUTO_PARTY leaf = signed_again(issue(&spec, &ca), &ca, EVP_sha1());
    assert_err(verify(&ca, &leaf), BST_E_BAD_CERT);
    AUTO_PARTY other = make_ca("ca", NULL, 0, NULL);
    struct party weak = signed_again(other, &other, EVP_sha1());
    other.cert = weak.cert;
    struct bst_trust *trust = NULL;
    bst_auto(buf) pem = {0};
    assert_ok(bst_trust_new(BST_CRL_OFF, &trust));
    assert_ok(bst_cert_pem(other.cert, &pem));
    assert_err(bst_trust_add_anchors(trust, bst_buf_view(&pem)), BST_E_BAD_CERT);
    assert_non_null(strstr(bst_error_detail(), "SHA1"));
    bst_trust_drop(&trust);
}

static void a_certificate_without_digital_signature_is_refused(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    struct bst_cert_spec spec = spec_of("leaf", false);
    AUTO_PARTY leaf = issue(&spec, &ca);
    X509_EXTENSION_free(
        X509_delete_ext(leaf.cert, X509_get_ext_by_NID(leaf.cert, NID_key_usage, -1)));
    leaf = signed_again(leaf, &ca, EVP_sha256());
    assert_err(verify(&ca, &leaf), BST_E_BAD_CERT);
    assert_non_null(strstr(bst_error_detail(), "digitalSignature"));
}

/* ---- name constraints ---- */

struct constraint_case {
    struct bst_cert_permit permit;
    struct bst_cert_san inside, outside;
};

static const struct constraint_case constraint_cases[] = {
    {{BST_CERT_CSE, {"sp.example.com", 14}},
     {BST_CERT_CSE, {"in.sp.example.com", 17}},
     {BST_CERT_CSE, {"in.other.com", 12}}},
    {{BST_CERT_AE, {"sp.example.com", 14}},
     {BST_CERT_AE, {"//sp.example.com/S1", 19}},
     {BST_CERT_AE, {"//sp.other.com/S1", 17}}},
    {{BST_CERT_AE, {".example.com", 12}},
     {BST_CERT_AE, {"//sp.example.com/S1", 19}},
     {BST_CERT_AE, {"//example.com/S1", 16}}},
    /* OpenSSL's error 51 */
    {{BST_CERT_DEVICE, {"0.2.481.1:100", 13}},
     {BST_CERT_DEVICE, {"0.2.481.1:100.3030", 18}},
     {BST_CERT_DEVICE, {"0.2.481.1:1003.30", 17}}},
    {{BST_CERT_DEVICE, {"0.2.481.1:", 10}},
     {BST_CERT_DEVICE, {"0.2.481.1:7", 11}},
     {BST_CERT_DEVICE, {"0.2.481.2:7", 11}}},
    /* OpenSSL's error 53 */
    {{BST_CERT_NODE, {"urn:dev:mac", 11}},
     {BST_CERT_NODE, {"urn:dev:mac:0024be", 18}},
     {BST_CERT_NODE, {"urn:dev:macro:0024be", 20}}},
};

static void a_ca_names_only_what_it_is_permitted(void **state)
{
    for (size_t i = 0; i < sizeof constraint_cases / sizeof constraint_cases[0]; i++) {
        const struct constraint_case *c = &constraint_cases[i];
        AUTO_PARTY ca = make_ca("ca", &c->permit, 1, NULL);
        AUTO_PARTY inside = make_leaf(&c->inside, 1, &ca), outside = make_leaf(&c->outside, 1, &ca);
        assert_ok(verify(&ca, &inside));
        assert_err(verify(&ca, &outside), BST_E_BAD_CERT);
    }
}

static void constraints_bind_through_an_intermediate(void **state)
{
    AUTO_PARTY root =
        make_ca("root", PERMITS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100")}), 1, NULL);
    AUTO_PARTY middle = make_ca("middle", NULL, 0, &root);
    AUTO_PARTY good = make_leaf(SANS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:100.1")}), 1, &middle);
    AUTO_PARTY bad = make_leaf(SANS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:101.1")}), 1, &middle);
    struct bst_trust *trust = trust_in(&root, BST_CRL_OFF);
    bst_auto(buf) pem = {0};
    assert_ok(bst_cert_pem(middle.cert, &pem));
    assert_ok(bst_trust_add_intermediates(trust, bst_buf_view(&pem)));
    assert_ok(bst_trust_verify(trust, good.cert, NULL, BST_CERT_ANY_ROLE, NOW));
    assert_err(bst_trust_verify(trust, bad.cert, NULL, BST_CERT_ANY_ROLE, NOW), BST_E_BAD_CERT);
    bst_trust_drop(&trust);
}

static void a_permitted_device_name_does_not_hide_a_forbidden_domain(void **state)
{
    AUTO_PARTY ca = make_ca("ca",
                            PERMITS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:")},
                                    {BST_CERT_CSE, BST_VIEW("sp.example.com")}),
                            2, NULL);
    AUTO_PARTY good = make_leaf(SANS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:5")},
                                     {BST_CERT_CSE, BST_VIEW("in.sp.example.com")}),
                                2, &ca);
    AUTO_PARTY bad = make_leaf(
        SANS({BST_CERT_DEVICE, BST_VIEW("0.2.481.1:5")}, {BST_CERT_CSE, BST_VIEW("in.other.com")}),
        2, &ca);
    AUTO_PARTY bad_first = make_leaf(
        SANS({BST_CERT_CSE, BST_VIEW("in.other.com")}, {BST_CERT_DEVICE, BST_VIEW("0.2.481.1:5")}),
        2, &ca);
    assert_ok(verify(&ca, &good));
    assert_err(verify(&ca, &bad), BST_E_BAD_CERT);
    assert_err(verify(&ca, &bad_first), BST_E_BAD_CERT);
}

static void a_host_constraint_alone_refuses_names_without_host(void **state)
{
    AUTO_PARTY ca = make_ca("ca", PERMITS({BST_CERT_AE, BST_VIEW("sp.example.com")}), 1, NULL);
    AUTO_PARTY node = make_leaf(SANS({BST_CERT_NODE, BST_VIEW("urn:dev:mac:1")}), 1, &ca);
    assert_err(verify(&ca, &node), BST_E_BAD_CERT);
    AUTO_PARTY both = make_ca("ca",
                              PERMITS({BST_CERT_AE, BST_VIEW("sp.example.com")},
                                      {BST_CERT_NODE, BST_VIEW("urn:dev:mac:")}),
                              2, NULL);
    AUTO_PARTY node2 = make_leaf(SANS({BST_CERT_NODE, BST_VIEW("urn:dev:mac:1")}), 1, &both);
    AUTO_PARTY ae2 = make_leaf(SANS({BST_CERT_AE, BST_VIEW("//sp.example.com/S1")}), 1, &both);
    AUTO_PARTY ae3 = make_leaf(SANS({BST_CERT_AE, BST_VIEW("//other.com/S1")}), 1, &both);
    assert_ok(verify(&both, &node2));
    assert_ok(verify(&both, &ae2));
    assert_err(verify(&both, &ae3), BST_E_BAD_CERT);
}

/* ---- revocation ---- */

static void add_crl(struct bst_trust *trust, const struct party *ca, const struct party *revoked,
                    int64_t next_us)
{
    struct bst_revocation entry = {.when_us = NOW - DAY, .reason = 1};
    if (revoked) {
        struct bst_cert_facts facts;
        assert_ok(bst_cert_facts(revoked->cert, &facts));
        memcpy(entry.serial, facts.serial, sizeof entry.serial);
    }
    bst_auto(buf) der = {0}, pem = {0};
    assert_ok(
        bst_crl_build(ca->cert, ca->key, &entry, revoked ? 1 : 0, 1, NOW - 2 * DAY, next_us, &der));
    assert_ok(bst_der_to_pem("X509 CRL", bst_buf_view(&der), &pem));
    assert_ok(bst_trust_add_crls(trust, bst_buf_view(&pem)));
}

enum crl_state { NO_CRL, CURRENT_CRL, STALE_CRL, REVOKING_CRL, STALE_REVOKING_CRL };

static bst_result verify_with_crl(enum bst_crl_policy policy, enum crl_state crl)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &ca);
    struct bst_trust *trust = trust_in(&ca, policy);
    bool stale = crl == STALE_CRL || crl == STALE_REVOKING_CRL;
    bool revoking = crl == REVOKING_CRL || crl == STALE_REVOKING_CRL;
    if (crl != NO_CRL) {
        add_crl(trust, &ca, revoking ? &leaf : NULL, stale ? NOW - DAY / 2 : NOW + DAY);
    }
    bst_result out = bst_trust_verify(trust, leaf.cert, NULL, BST_CERT_TLS_CLIENT, NOW);
    bst_trust_drop(&trust);
    return out;
}

static void a_missing_or_stale_crl_fails_closed_when_required(void **state)
{
    assert_ok(verify_with_crl(BST_CRL_REQUIRE, CURRENT_CRL));
    assert_err(verify_with_crl(BST_CRL_REQUIRE, NO_CRL), BST_E_REVOKED);
    assert_non_null(strstr(bst_error_detail(), "required by policy"));
    assert_err(verify_with_crl(BST_CRL_REQUIRE, STALE_CRL), BST_E_REVOKED);
    assert_err(verify_with_crl(BST_CRL_REQUIRE, REVOKING_CRL), BST_E_REVOKED);
}

static void a_crl_that_may_be_missing_still_revokes(void **state)
{
    assert_ok(verify_with_crl(BST_CRL_ALLOW_MISSING, NO_CRL));
    assert_ok(verify_with_crl(BST_CRL_ALLOW_MISSING, CURRENT_CRL));
    assert_ok(verify_with_crl(BST_CRL_ALLOW_MISSING, STALE_CRL));
    assert_err(verify_with_crl(BST_CRL_ALLOW_MISSING, REVOKING_CRL), BST_E_REVOKED);
    assert_err(verify_with_crl(BST_CRL_ALLOW_MISSING, STALE_REVOKING_CRL), BST_E_REVOKED);
}

static void without_revocation_checking_a_crl_says_nothing(void **state)
{
    assert_ok(verify_with_crl(BST_CRL_OFF, NO_CRL));
    assert_ok(verify_with_crl(BST_CRL_OFF, REVOKING_CRL));
}

static void a_crl_of_a_namesake_does_not_count(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL), namesake = make_ca("ca", NULL, 0, NULL);
    AUTO_PARTY leaf = make_leaf(SANS({BST_CERT_CSE, BST_VIEW("in.example.com")}), 1, &ca);
    struct bst_trust *trust = trust_in(&ca, BST_CRL_REQUIRE);
    add_crl(trust, &namesake, NULL, NOW + DAY);
    assert_true(bst_failed(bst_trust_verify(trust, leaf.cert, NULL, BST_CERT_ANY_ROLE, NOW)));
    bst_trust_drop(&trust);
}

static void a_crl_reads_back_and_only_of_its_issuer(void **state)
{
    AUTO_PARTY ca = make_ca("ca", NULL, 0, NULL), other = make_ca("other", NULL, 0, NULL);
    const struct bst_revocation entries[] = {
        {"01AB", NOW - DAY, 1},
        {"7F000000000000000000000000000001", NOW, 0},
    };
    bst_auto(buf) der = {0};
    bst_auto(crl) crl = {0};
    assert_ok(bst_crl_build(ca.cert, ca.key, entries, 2, 42, NOW, NOW + DAY, &der));
    assert_ok(bst_crl_parse(bst_buf_view(&der), ca.key, &crl));
    assert_int_equal(crl.n, 2);
    assert_int_equal(crl.number, 42);
    assert_int_equal(crl.next_us, NOW + DAY);
    assert_string_equal(crl.entries[0].serial, "01AB");
    assert_int_equal(crl.entries[0].reason, 1);
    assert_int_equal(crl.entries[1].when_us, NOW);
    bst_auto(crl) not = {0};
    assert_err(bst_crl_parse(bst_buf_view(&der), other.key, &not ), BST_E_BAD_MAC);
    assert_err(bst_crl_parse(bst_view_of(der.ptr, der.len - 1), ca.key, &not ), BST_E_SYNTAX);
    const struct bst_revocation bad = {"no hex", NOW, 0};
    assert_err(bst_crl_build(ca.cert, ca.key, &bad, 1, 1, NOW, NOW + DAY, &der), BST_E_VALUE);
}

/* ---- requests ---- */

static void a_request_carries_key_and_name_and_is_signed(void **state)
{
    bst_auto_pkey *key = NULL;
    bst_auto(buf) der = {0};
    struct bst_cert_spec spec = {
        .sans = SANS({BST_CERT_AE, BST_VIEW("//sp.example.com/S1")}),
        .n_sans = 1,
    };
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &key));
    assert_ok(bst_csr_build(&spec, key, &der));
    bst_auto(csr) csr = {0};
    assert_ok(bst_csr_parse(bst_buf_view(&der), &csr));
    assert_int_equal(csr.names.n, 1);
    assert_string_equal(csr.names.names[0].text, "//sp.example.com/S1");
    bst_auto(buf) a = {0}, b = {0};
    assert_ok(bst_pkey_spki(key, &a));
    assert_ok(bst_pkey_spki(csr.key, &b));
    assert_true(bst_view_eq(bst_buf_view(&a), bst_buf_view(&b)));
    for (size_t i = 0; i < der.len; i++) {
        bst_auto(csr) not = {0};
        der.ptr[i] ^= 0x20;
        assert_true(bst_failed(bst_csr_parse(bst_buf_view(&der), &not )));
        der.ptr[i] ^= 0x20;
        assert_true(bst_failed(bst_csr_parse(bst_view_of(der.ptr, i), &not )));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flavour_carries_its_name),
        cmocka_unit_test(another_name_or_flavour_than_expected_is_refused),
        cmocka_unit_test(wildcards_nuls_and_what_is_no_name_are_refused),
        cmocka_unit_test(any_scheme_names_an_ae_and_a_host_alone_names_a_function),
        cmocka_unit_test(names_that_cannot_be_issued_are_refused),
        cmocka_unit_test(cut_or_lengthened_certificates_do_not_load),
        cmocka_unit_test(a_pem_file_gives_all_its_certificates_or_an_error),
        cmocka_unit_test(facts_tell_time_serial_and_digests),
        cmocka_unit_test(a_public_key_matches_its_identifier_in_every_length),
        cmocka_unit_test(identifiers_of_wrong_length_or_hash_are_refused),
        cmocka_unit_test(time_is_the_callers),
        cmocka_unit_test(an_unknown_or_only_namesake_issuer_is_refused),
        cmocka_unit_test(a_leaf_cannot_issue),
        cmocka_unit_test(an_intermediate_comes_from_the_peer_or_from_configuration),
        cmocka_unit_test(a_client_certificate_is_none_for_a_server),
        cmocka_unit_test(sha1_signatures_are_refused_below_and_as_anchors),
        cmocka_unit_test(a_certificate_without_digital_signature_is_refused),
        cmocka_unit_test(a_ca_names_only_what_it_is_permitted),
        cmocka_unit_test(constraints_bind_through_an_intermediate),
        cmocka_unit_test(a_permitted_device_name_does_not_hide_a_forbidden_domain),
        cmocka_unit_test(a_host_constraint_alone_refuses_names_without_host),
        cmocka_unit_test(a_missing_or_stale_crl_fails_closed_when_required),
        cmocka_unit_test(a_crl_that_may_be_missing_still_revokes),
        cmocka_unit_test(without_revocation_checking_a_crl_says_nothing),
        cmocka_unit_test(a_crl_of_a_namesake_does_not_count),
        cmocka_unit_test(a_crl_reads_back_and_only_of_its_issuer),
        cmocka_unit_test(a_request_carries_key_and_name_and_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
