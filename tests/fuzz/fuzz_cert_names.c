/* Certificates, requests, revocation lists and subjectAltNames from anybody. */
#include "crypto/rand.h"
#include "crypto/x509.h"
#include "crypto/x509_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_certificate(struct bst_view in)
{
    bst_auto_cert *cert = NULL;
    bst_auto(cert_names) names = {0};
    struct bst_cert_facts facts;
    struct bst_trust *trust = NULL;
    char subject[32];
    if (bst_failed(bst_cert_load(in, &cert))) {
        return;
    }
    bst_cert_subject_text(cert, subject, sizeof subject);
    (void)bst_cert_names(cert, &names).code;
    (void)bst_cert_facts(cert, &facts).code;
    (void)bst_cert_expect(cert, BST_CERT_DEVICE, BST_VIEW("1.2.3")).code;
    if (!bst_failed(bst_trust_new(BST_CRL_REQUIRE, &trust))) {
        (void)bst_trust_add_anchors(trust, in).code;
        (void)bst_trust_verify(trust, cert, NULL, BST_CERT_TLS_SERVER, 1).code;
        bst_trust_drop(&trust);
    }
}

/* The names alone, which random changes of a certificate seldom reach. */
static void read_names(struct bst_view in)
{
    const uint8_t *at = (const uint8_t *)in.ptr;
    bst_auto(cert_names) names = {0};
    bst_auto_ossl(general_names) GENERAL_NAMES *sans = d2i_GENERAL_NAMES(NULL, &at, (long)in.len);
    if (sans) {
        (void)bst_names_of(sans, &names).code;
        for (size_t i = 0; i < names.n; i++) {
            if (!memchr(names.names[i].text, '\0', BST_CERT_NAME_BYTES) ||
                strchr(names.names[i].text, '*')) {
                __builtin_trap();
            }
        }
    }
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || bst_failed(bst_crypto_start())) {
        return 0;
    }
    struct bst_view in = bst_view_of(data + 1, size - 1);
    bst_auto(csr) csr = {0};
    bst_auto(crl) crl = {0};
    switch (data[0] % 4) {
    case 0:
        read_certificate(in);
        break;
    case 1:
        read_names(in);
        break;
    case 2:
        (void)bst_csr_parse(in, &csr).code;
        break;
    default:
        (void)bst_crl_parse(in, NULL, &crl).code;
        (void)bst_spki_identifier_match(in, in).code;
    }
    return 0;
}
