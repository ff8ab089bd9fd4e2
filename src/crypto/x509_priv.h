/* X.509 pieces that several files of crypto need. */
#pragma once

#include "crypto/crypto_priv.h"
#include "crypto/x509.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define BST_X509_TEXT_MAX ((size_t)1 << 20)
/* Universal tag of RELATIVE-OID, which OpenSSL has no name for. */
#define BST_TAG_RELATIVE_OID 13

BST_OSSL_AUTO(BIO, bio, BIO_free_all)
BST_OSSL_AUTO(X509_CRL, crl, X509_CRL_free)
BST_OSSL_AUTO(X509_REQ, req, X509_REQ_free)
BST_OSSL_AUTO(ASN1_INTEGER, asn1_integer, ASN1_INTEGER_free)
BST_OSSL_AUTO(ASN1_TIME, asn1_time, ASN1_TIME_free)
BST_OSSL_AUTO(BIGNUM, bn, BN_free)
BST_OSSL_AUTO(NAME_CONSTRAINTS, nc, NAME_CONSTRAINTS_free)
BST_OSSL_AUTO(BASIC_CONSTRAINTS, bc, BASIC_CONSTRAINTS_free)
BST_OSSL_AUTO(X509_STORE_CTX, store_ctx, X509_STORE_CTX_free)
static inline void bst_x509_list_free_(STACK_OF(X509) * *list)
{
    sk_X509_free(*list); /* the list, not its members */
    *list = NULL;
}
static inline void bst_general_names_free_(GENERAL_NAMES **names)
{
    GENERAL_NAMES_free(*names);
    *names = NULL;
}

bool bst_is_pem(struct bst_view text);
bst_result bst_x509_bio(struct bst_view text, BIO **ret);
/** Names of a subjectAltName, which may be NULL. */
bst_result bst_names_of(const GENERAL_NAMES *sans, struct bst_cert_names *ret);
/** "<type-id>.<arcs>" or "<type-id>:<text>". */
bst_result bst_other_name_text(const OTHERNAME *other, char *out, size_t cap);
/** Wall time of an ASN.1 time. */
bst_result bst_asn1_time_us(const ASN1_TIME *time, int64_t *ret);
bst_result bst_asn1_serial_text(const ASN1_INTEGER *serial, char *out, size_t cap);
void bst_x509_name_text(const X509_NAME *name, char *out, size_t cap);

/** Name constraints of the whole chain: otherName and URI by our own rules; everything else too, by
 * OpenSSL, when `all` (it stopped at a name that it cannot judge). */
bst_result bst_constraints_check(STACK_OF(X509) * chain, bool all);
