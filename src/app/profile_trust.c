/* A profile learns the roots that follow those it trusts: a root is taken only when one that is
 * trusted has signed a certificate for its key. */
#include "app/profile.h"

#include "crypto/x509.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <stdio.h>

#define ROOTS_MAX 32
#define TRUST_BYTES_MAX ((size_t)1 << 20)

struct learning {
    struct bst_trust *trust; /* what the profile has */
    struct x509_st *certs[ROOTS_MAX];
    size_t n;
    struct bst_buf kept; /* the new ca.pem */
    size_t n_kept, n_new;
};

static void learning_clear(struct learning *l)
{
    while (l->n > 0) {
        bst_cert_free(&l->certs[--l->n]);
    }
    bst_trust_drop(&l->trust);
    bst_buf_clear(&l->kept);
}

static bst_result take_cert(void *ctx, struct x509_st *take_cert)
{
    struct learning *l = ctx;
    if (l->n == ROOTS_MAX) {
        bst_cert_free(&take_cert);
        BST_FAIL(BST_E_TOO_LONG, "more than %d certificates", ROOTS_MAX);
    }
    l->certs[l->n++] = take_cert;
    return BST_OK;
}

static bool same_der(const struct x509_st *one, const struct x509_st *other)
{
    bst_auto(buf) a = {0}, b = {0};
    return !bst_failed(bst_cert_der(one, &a)) && !bst_failed(bst_cert_der(other, &b)) &&
           bst_view_eq(bst_buf_view(&a), bst_buf_view(&b));
}

static bool is_known(const struct learning *l, const struct x509_st *root)
{
    struct x509_st *anchor;
    for (size_t i = 0; (anchor = bst_trust_anchor(l->trust, i)) != NULL; i++) {
        if (same_der(anchor, root)) {
            return true;
        }
    }
    return false;
}

/* Somebody who is trusted has let this CA do all that its root says it may. */
static bool is_proved(const struct learning *l, const struct x509_st *root)
{
    for (size_t i = 0; i < l->n; i++) {
        struct x509_st *cross = l->certs[i];
        if (!bst_cert_self_issued(cross) && bst_cert_same_authority(cross, root) &&
            !bst_failed(
                bst_trust_verify(l->trust, cross, NULL, BST_CERT_ANY_ROLE, bst_wall_us()))) {
            return true;
        }
    }
    return false;
}

static bst_result judge(struct learning *l, const struct x509_st *root)
{
    char name[128];
    bool known = is_known(l, root);
    if (!known && !is_proved(l, root)) {
        bst_cert_subject_text(root, name, sizeof name);
        BST_FAIL(BST_E_BAD_CERT,
                 "the root '%s' is not vouched for by one that the profile trusts: the file needs "
                 "the certificate that the former root signed for it (pki/ca.chain)",
                 name);
    }
    l->n_kept++;
    l->n_new += !known;
    return bst_cert_pem(root, &l->kept);
}

static bst_result learn(struct learning *l, struct bst_view pem)
{
    bst_auto(buf) between = {0};
    size_t count;
    BST_TRY(bst_cert_load_all(pem, take_cert, l, &count));
    /* What leads from root to root may stand in any order; a root on the way would end it. */
    for (size_t i = 0; i < l->n; i++) {
        if (!bst_cert_self_issued(l->certs[i])) {
            BST_TRY(bst_cert_pem(l->certs[i], &between));
        }
    }
    if (between.len) {
        BST_TRY(bst_trust_add_intermediates(l->trust, bst_buf_view(&between)));
    }
    for (size_t i = 0; i < l->n; i++) {
        if (bst_cert_self_issued(l->certs[i])) {
            BST_TRY(judge(l, l->certs[i]));
        }
    }
    if (l->n_kept == 0) {
        BST_FAIL(BST_E_BAD_CERT, "there is no root in it: nothing would be trusted any more");
    }
    return BST_OK;
}

static bst_result learn_file(struct learning *l, const struct bst_profile *profile,
                             struct bst_view pem)
{
    bst_auto(buf) known = {0};
    char path[4096];
    BST_TRY(bst_profile_path(profile, "ca.pem", path, sizeof path));
    BST_TRY(bst_file_read(path, TRUST_BYTES_MAX, &known));
    BST_TRY(bst_trust_new(BST_CRL_OFF, &l->trust));
    BST_TRY(bst_trust_add_anchors(l->trust, bst_buf_view(&known)));
    BST_TRY(learn(l, pem));
    return bst_file_write_atomic(path, bst_buf_view(&l->kept), 0644);
}

bst_result bst_profile_trust(const struct bst_profile *profile, struct bst_view pem,
                             size_t *ret_new, size_t *ret_all)
{
    struct learning l = {0};
    bst_result r = learn_file(&l, profile, pem);
    *ret_new = l.n_new;
    *ret_all = l.n_kept;
    learning_clear(&l);
    return r;
}
