/* One key of the authority after another: the new root, what the old one signs for it, and the end
 * of former ones. */
#include "pki/pki_priv.h"

static bool same_key(const struct x509_st *cert, const struct evp_pkey_st *key)
{
    bst_auto_pkey *named = NULL;
    bst_auto(buf) one = {0}, other = {0};
    return !bst_failed(bst_cert_public_key(cert, &named)) &&
           !bst_failed(bst_pkey_spki(named, &one)) && !bst_failed(bst_pkey_spki(key, &other)) &&
           bst_view_eq(bst_buf_view(&one), bst_buf_view(&other));
}

/* ---- what leads from root to root ---- */

static bst_result take_cross(void *ctx, struct x509_st *take_cert)
{
    struct bst_pki *pki = ctx;
    size_t i = pki->n_crosses;
    /* A gap ends the way: what comes behind it leads nowhere. */
    if (i + 1 < pki->n_roots && same_key(take_cert, pki->roots[i].public)) {
        pki->crosses[pki->n_crosses++] = take_cert;
        return BST_OK;
    }
    bst_cert_free(&take_cert);
    return BST_OK;
}

bst_result pki_crosses_open(struct bst_pki *pki)
{
    bst_auto(buf) pem = {0};
    size_t count;
    bst_result got = pki_read(pki, pki->chain_path, &pem);
    if (got.code == BST_E_NOT_FOUND || (!bst_failed(got) && pem.len == 0)) {
        return BST_OK;
    }
    BST_TRY(got);
    return bst_cert_load_all(bst_buf_view(&pem), take_cross, pki, &count);
}

bst_result bst_pki_chain(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return pki_crosses_text(pki->crosses, pki->n_crosses, ret_pem);
}

/* ---- succession ---- */

struct succession {
    struct bst_pki *pki;
    struct bst_cert_spec spec;
    struct evp_pkey_st *key;
    struct pki_root root;
    struct x509_st *cross;
};

static void succession_clear(struct succession *s)
{
    bst_cert_free(&s->cross);
    bst_pkey_free(&s->key);
    pki_root_clear(&s->root);
}

static bst_result check_new(const struct succession *s)
{
    const struct bst_pki *pki = s->pki;
    if (pki->n_roots == PKI_ROOTS_MAX) {
        BST_FAIL(BST_E_LIMIT, "%d former roots are trusted already: retire them first",
                 BST_PKI_FORMER_MAX);
    }
    for (size_t i = 0; i < pki->n_roots; i++) {
        if (same_key(pki->roots[i].cert, s->key)) {
            BST_FAIL(BST_E_EXISTS, "the new key of the CA is one that it has or had");
        }
    }
    return BST_OK;
}

static bst_result certify(struct succession *s, struct pki_root *by, struct x509_st **ret)
{
    bst_auto(buf) der = {0};
    BST_TRY(bst_cert_issue(&s->spec, s->key, by ? by->cert : NULL, by ? by->key : s->key, &der));
    return bst_cert_load(bst_buf_view(&der), ret);
}

static bst_result make_root(struct succession *s)
{
    struct pki_root *before = &s->pki->roots[0];
    struct x509_st *cert = NULL;
    struct bst_cert_facts facts;
    BST_TRY(certify(s, NULL, &cert));
    BST_TRY(pki_root_set(&s->root, cert));
    s->root.key = bst_steal(&s->key);
    BST_TRY(pki_list_sign(s->pki, &s->root, NULL, 0));
    BST_TRY(bst_cert_facts(before->cert, &facts));
    if (s->spec.not_after_us > facts.not_after_us) {
        s->spec.not_after_us = facts.not_after_us;
    }
    s->key = s->root.key;
    bst_result crossed = certify(s, before, &s->cross);
    s->key = NULL;
    return crossed;
}

static bst_result write_chain(struct succession *s)
{
    struct bst_pki *pki = s->pki;
    bst_auto(buf) text = {0};
    BST_TRY(pki_crosses_text(&s->cross, 1, &text));
    BST_TRY(pki_crosses_text(pki->crosses, pki->n_crosses, &text));
    return pki_replace(pki, pki->chain_path, &text);
}

static bst_result write_lists(struct succession *s)
{
    struct bst_pki *pki = s->pki;
    bst_auto(buf) text = {0};
    bst_buf_addv(&text, bst_buf_view(&s->root.crl_pem));
    for (size_t i = 0; i < pki->n_roots; i++) {
        bst_buf_addv(&text, bst_buf_view(&pki->roots[i].crl_pem));
    }
    return pki_replace(pki, pki->crl_path, &text);
}

static bst_result write_roots(struct succession *s)
{
    struct bst_pki *pki = s->pki;
    bst_auto(buf) text = {0};
    BST_TRY(pki_roots_text(&s->root, 1, &text));
    BST_TRY(pki_roots_text(pki->roots, pki->n_roots, &text));
    return pki_replace(pki, pki->crt_path, &text);
}

/* Chain and lists first: they say nothing until the root is there. */
static bst_result succeed(struct succession *s)
{
    BST_TRY(check_new(s));
    BST_TRY(make_root(s));
    BST_TRY(write_chain(s));
    BST_TRY(write_lists(s));
    return write_roots(s);
}

bst_result bst_pki_succeed(struct bst_pki *pki, const struct bst_pki_successor *next)
{
    struct succession s = {.pki = pki};
    s.spec = (struct bst_cert_spec){
        .common_name = next->common_name,
        .ca = true,
        .path_len = -1,
        .not_before_us = pki_now_us(pki) - PKI_BACKDATE_US,
        .not_after_us = pki_now_us(pki) + next->lifetime_us,
        .permits = next->permits,
        .n_permits = next->n_permits,
    };
    BST_TRY(bst_se_pkey(next->se, next->key, &s.key));
    pthread_mutex_lock(&pki->lock);
    bst_result done = succeed(&s);
    pthread_mutex_unlock(&pki->lock);
    succession_clear(&s);
    return done;
}

/* ---- the end of former roots ---- */

static bst_result retire(struct bst_pki *pki, size_t n_roots)
{
    bst_auto(buf) chain = {0}, roots = {0};
    size_t n = pki->n_crosses < n_roots - 1 ? pki->n_crosses : n_roots - 1;
    BST_TRY(pki_crosses_text(pki->crosses, n, &chain));
    BST_TRY(pki_roots_text(pki->roots, n_roots, &roots));
    BST_TRY(pki_replace(pki, pki->chain_path, &chain));
    BST_TRY(pki_replace(pki, pki->crt_path, &roots));
    return pki_lists_write(pki, pki->roots, n_roots);
}

bst_result bst_pki_retire(struct bst_pki *pki, size_t keep)
{
    if (keep + 1 >= pki->n_roots) {
        return BST_OK;
    }
    pthread_mutex_lock(&pki->lock);
    bst_result done = retire(pki, keep + 1);
    pthread_mutex_unlock(&pki->lock);
    return done;
}
