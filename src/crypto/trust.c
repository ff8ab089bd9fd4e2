/* Trust store: anchors, CRLs and their policy; verification of a chain at a given time. */
#include "crypto/x509_priv.h"

#include "crypto/rand.h"

#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdio.h>

struct bst_trust {
    atomic_int refs;
    enum bst_crl_policy crl_policy;
    X509_STORE *store;
    STACK_OF(X509) * anchors, *intermediates;
};

bst_result bst_trust_new(enum bst_crl_policy crl_policy, struct bst_trust **ret)
{
    BST_TRY(bst_crypto_start());
    struct bst_trust *trust = bst_alloc(sizeof *trust);
    BST_ENSURE(trust, BST_E_NOMEM);
    *trust = (struct bst_trust){
        .refs = 1,
        .crl_policy = crl_policy,
        .store = X509_STORE_new(),
        .anchors = sk_X509_new_null(),
        .intermediates = sk_X509_new_null(),
    };
    if (!trust->store || !trust->anchors || !trust->intermediates) {
        bst_trust_drop(&trust);
        return bst_error(BST_E_NOMEM);
    }
    *ret = trust;
    return BST_OK;
}

struct bst_trust *bst_trust_hold(struct bst_trust *trust)
{
    atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    return trust;
}

void bst_trust_drop(struct bst_trust **slot)
{
    struct bst_trust *trust = *slot;
    *slot = NULL;
    if (trust && atomic_fetch_sub_explicit(&trust->refs, 1, memory_order_acq_rel) == 1) {
        X509_STORE_free(trust->store);
        sk_X509_pop_free(trust->anchors, X509_free);
        sk_X509_pop_free(trust->intermediates, X509_free);
        bst_free(trust);
    }
}

/* ---- filling ---- */

/* The profile of 10.1.1.1 knows P-256 with SHA-256; the stronger siblings are let through. */
static bst_result check_algorithms(X509 *cert)
{
    char subject[96];
    bst_cert_subject_text(cert, subject, sizeof subject);
    EVP_PKEY *pkey = X509_get0_pubkey(cert);
    enum bst_pkey_kind kind;
    if (!pkey || bst_failed(bst_pkey_kind(pkey, &kind))) {
        return bst_crypto_fail(BST_E_BAD_CERT,
                               "certificate '%s' has a key other than EC P-256, P-384 and Ed25519",
                               subject);
    }
    int md = NID_undef;
    X509_get_signature_info(cert, &md, NULL, NULL, NULL);
    if (md == NID_md5 || md == NID_sha1 || md == NID_md5_sha1 || md == NID_md4 || md == NID_md2) {
        BST_FAIL(BST_E_BAD_CERT, "certificate '%s' is signed with %s", subject, OBJ_nid2sn(md));
    }
    return BST_OK;
}

static bst_result add_anchor(void *ctx, struct x509_st *take_cert)
{
    struct bst_trust *trust = ctx;
    bst_auto_cert *cert = take_cert;
    BST_TRY(check_algorithms(cert));
    if (X509_STORE_add_cert(trust->store, cert) != 1 || !sk_X509_push(trust->anchors, cert)) {
        return bst_crypto_fail(BST_E_NOMEM, "trust anchor not added");
    }
    cert = NULL;
    return BST_OK;
}

static bst_result add_intermediate(void *ctx, struct x509_st *take_cert)
{
    struct bst_trust *trust = ctx;
    bst_auto_cert *cert = take_cert;
    BST_TRY(check_algorithms(cert));
    BST_ENSURE(sk_X509_push(trust->intermediates, cert), BST_E_NOMEM);
    cert = NULL;
    return BST_OK;
}

static bst_result add_certs(struct bst_trust *trust, struct bst_view text,
                            bst_result (*add)(void *ctx, struct x509_st *take_cert))
{
    if (bst_is_pem(text)) {
        size_t count;
        return bst_cert_load_all(text, add, trust, &count);
    }
    X509 *cert = NULL;
    BST_TRY(bst_cert_load(text, &cert));
    return add(trust, cert);
}

bst_result bst_trust_add_anchors(struct bst_trust *trust, struct bst_view text)
{
    return add_certs(trust, text, add_anchor);
}

bst_result bst_trust_add_intermediates(struct bst_trust *trust, struct bst_view text)
{
    return add_certs(trust, text, add_intermediate);
}

static bst_result add_crl(struct bst_trust *trust, X509_CRL *crl)
{
    int md = NID_undef;
    OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &md, NULL);
    if (md == NID_md5 || md == NID_sha1) {
        BST_FAIL(BST_E_BAD_CERT, "the CRL is signed with %s", OBJ_nid2sn(md));
    }
    if (X509_STORE_add_crl(trust->store, crl) != 1) {
        return bst_crypto_fail(BST_E_NOMEM, "CRL not added");
    }
    return BST_OK;
}

bst_result bst_trust_add_crls(struct bst_trust *trust, struct bst_view text)
{
    bst_auto_ossl(bio) BIO *bio = NULL;
    BST_TRY(bst_x509_bio(text, &bio));
    bool pem = bst_is_pem(text);
    size_t count = 0;
    for (;;) {
        bst_auto_ossl(crl) X509_CRL *crl =
            pem ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : d2i_X509_CRL_bio(bio, NULL);
        if (!crl) {
            break;
        }
        BST_TRY(add_crl(trust, crl));
        count++;
        if (!pem) {
            break;
        }
    }
    if (count == 0) {
        return bst_crypto_fail(BST_E_SYNTAX, "not a CRL in PEM or DER");
    }
    ERR_clear_error();
    return BST_OK;
}

size_t bst_trust_anchor_count(const struct bst_trust *trust)
{
    return (size_t)sk_X509_num(trust->anchors);
}

struct x509_st *bst_trust_anchor(const struct bst_trust *trust, size_t index)
{
    return index < bst_trust_anchor_count(trust) ? sk_X509_value(trust->anchors, (int)index) : NULL;
}

/* ---- verifying ---- */

struct verification {
    enum bst_crl_policy crl_policy;
    bool constraints_left; /* OpenSSL met names that it cannot judge */
};

static bool crl_absent_or_stale(int error)
{
    return error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_CRL_HAS_EXPIRED ||
           error == X509_V_ERR_CRL_NOT_YET_VALID;
}

static bool is_anchor(X509_STORE_CTX *ctx)
{
    return X509_STORE_CTX_get_error_depth(ctx) == sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;
}

static int judge(int ok, X509_STORE_CTX *ctx)
{
    struct verification *v = X509_STORE_CTX_get_app_data(ctx);
    int error = X509_STORE_CTX_get_error(ctx);
    if (ok) {
        return 1;
    }
    if (error == X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE ||
        error == X509_V_ERR_UNSUPPORTED_NAME_SYNTAX) {
        v->constraints_left = true;
        return 1;
    }
    /* An anchor is trusted by configuration, not by a CRL that its own issuer would have to give.
     */
    return crl_absent_or_stale(error) && (v->crl_policy == BST_CRL_ALLOW_MISSING || is_anchor(ctx));
}

static enum bst_error verify_error_code(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return BST_E_EXPIRED;
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return BST_E_REVOKED;
    default:
        return BST_E_BAD_CERT;
    }
}

static bst_result verify_failure(X509_STORE_CTX *ctx)
{
    int error = X509_STORE_CTX_get_error(ctx);
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    char subject[96] = "";
    if (cert) {
        bst_cert_subject_text(cert, subject, sizeof subject);
    }
    ERR_clear_error();
    BST_FAIL(verify_error_code(error), "certificate '%s' (number %d of its chain): %s%s", subject,
             X509_STORE_CTX_get_error_depth(ctx) + 1, X509_verify_cert_error_string(error),
             crl_absent_or_stale(error) ? "; a current CRL of its issuer is required by policy"
                                        : "");
}

/* [TS-0003, 10.1.1.1] "The key usage extension shall be included and shall indicate at least
 * digitalSignature." */
static bst_result check_leaf(X509 *leaf)
{
    uint32_t usage = X509_get_key_usage(leaf);
    if (usage == UINT32_MAX || !(usage & KU_DIGITAL_SIGNATURE)) {
        BST_FAIL(BST_E_BAD_CERT, "the certificate's key usage does not include digitalSignature");
    }
    bst_auto(cert_names) names = {0};
    return bst_cert_names(leaf, &names);
}

static bst_result check_chain(STACK_OF(X509) * chain, bool constraints_left)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        BST_TRY(check_algorithms(sk_X509_value(chain, i)));
    }
    return bst_constraints_check(chain, constraints_left);
}

static void set_params(X509_STORE_CTX *ctx, const struct bst_trust *trust, enum bst_cert_role role,
                       int64_t now_us)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    /* Anchors are configured, so an intermediate CA may be one. */
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST;
    if (trust->crl_policy != BST_CRL_OFF) {
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    }
    X509_VERIFY_PARAM_set_flags(param, flags);
    X509_VERIFY_PARAM_set_time(param, (time_t)(now_us / 1000000));
    X509_VERIFY_PARAM_set_auth_level(param, 2); /* 112 bits: no MD5, no SHA-1 */
    X509_VERIFY_PARAM_set_depth(param, 8);
    /* A common name is no name here. */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    static const int purposes[] = {
        [BST_CERT_ANY_ROLE] = 0,
        [BST_CERT_TLS_CLIENT] = X509_PURPOSE_SSL_CLIENT,
        [BST_CERT_TLS_SERVER] = X509_PURPOSE_SSL_SERVER,
    };
    if (purposes[role]) {
        X509_VERIFY_PARAM_set_purpose(param, purposes[role]);
    }
}

static bst_result run(const struct bst_trust *trust, X509 *leaf, STACK_OF(X509) * untrusted,
                      enum bst_cert_role role, int64_t now_us)
{
    bst_auto_ossl(store_ctx) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || X509_STORE_CTX_init(ctx, trust->store, leaf, untrusted) != 1) {
        return bst_crypto_fail(BST_E_NOMEM, "verification cannot start");
    }
    struct verification v = {.crl_policy = trust->crl_policy};
    set_params(ctx, trust, role, now_us);
    X509_STORE_CTX_set_app_data(ctx, &v);
    X509_STORE_CTX_set_verify_cb(ctx, judge);
    if (X509_verify_cert(ctx) != 1) {
        return verify_failure(ctx);
    }
    ERR_clear_error();
    return check_chain(X509_STORE_CTX_get0_chain(ctx), v.constraints_left);
}

bst_result bst_trust_verify(const struct bst_trust *trust, struct x509_st *leaf,
                            struct stack_st_X509 *chain, enum bst_cert_role role, int64_t now_us)
{
    BST_TRY(check_leaf(leaf));
    if (sk_X509_num(trust->intermediates) == 0) {
        return run(trust, leaf, chain, role, now_us);
    }
    bst_auto_ossl(x509_list) STACK_OF(X509) *all = chain ? sk_X509_dup(chain) : sk_X509_new_null();
    BST_ENSURE(all, BST_E_NOMEM);
    for (int i = 0; i < sk_X509_num(trust->intermediates); i++) {
        BST_ENSURE(sk_X509_push(all, sk_X509_value(trust->intermediates, i)), BST_E_NOMEM);
    }
    return run(trust, leaf, all, role, now_us);
}
