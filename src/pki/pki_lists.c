/* The lists of revoked numbers, one for each root, in one file. */
#include "pki/pki_priv.h"

#define LIST_BEGIN BST_VIEW("-----BEGIN X509 CRL-----")

bst_result pki_list_sign(const struct bst_pki *pki, struct pki_root *root,
                         const struct bst_revocation *entries, size_t n)
{
    bst_auto(buf) der = {0}, pem = {0};
    bst_auto(crl) crl = {0};
    if (!root->key) {
        BST_FAIL(BST_E_BUSY, "the key of a former root is not at hand: its list stays as it is");
    }
    BST_TRY(bst_crl_build(root->cert, root->key, entries, n, root->crl.number + 1, pki_now_us(pki),
                          pki_now_us(pki) + pki->crl_lifetime_us, &der));
    BST_TRY(bst_crl_parse(bst_buf_view(&der), root->public, &crl));
    BST_TRY(bst_der_to_pem("X509 CRL", bst_buf_view(&der), &pem));
    bst_crl_clear(&root->crl);
    bst_buf_clear(&root->crl_pem);
    root->crl = crl;
    root->crl_pem = pem;
    crl = (struct bst_crl){0};
    pem = (struct bst_buf){0};
    return BST_OK;
}

bst_result pki_lists_write(const struct bst_pki *pki, const struct pki_root *roots, size_t n)
{
    bst_auto(buf) all = {0};
    for (size_t i = 0; i < n; i++) {
        bst_buf_addv(&all, bst_buf_view(&roots[i].crl_pem));
    }
    return pki_replace(pki, pki->crl_path, &all);
}

/* ---- revoking ---- */

static bool revoked_already(const struct pki_root *root, const char *serial)
{
    for (size_t i = 0; i < root->crl.n; i++) {
        if (strcmp(root->crl.entries[i].serial, serial) == 0) {
            return true;
        }
    }
    return false;
}

static bst_result add_entry(struct bst_pki *pki, struct pki_root *root,
                            const struct bst_revocation *entry)
{
    if (revoked_already(root, entry->serial)) {
        return BST_OK;
    }
    size_t n = root->crl.n;
    struct bst_revocation *entries = bst_alloc((n + 1) * sizeof *entries);
    BST_ENSURE(entries, BST_E_NOMEM);
    if (n) {
        memcpy(entries, root->crl.entries, n * sizeof *entries);
    }
    entries[n] = *entry;
    bst_result added = pki_list_sign(pki, root, entries, n + 1);
    bst_free(entries);
    return added;
}

/* What is in memory follows the file: after a failure it is read anew. */
static bst_result write_or_undo(struct bst_pki *pki, bst_result changed)
{
    if (!bst_failed(changed)) {
        changed = pki_lists_write(pki, pki->roots, pki->n_roots);
    }
    if (bst_failed(changed)) {
        char detail[256];
        (void)bst_view_copy(bst_view(bst_error_detail()), detail, sizeof detail).code;
        (void)pki_lists_open(pki).code;
        bst_error_set_detail(detail);
    }
    return changed;
}

static bst_result revoke_locked(struct bst_pki *pki, struct bst_view issuer,
                                const struct bst_revocation *entry)
{
    bst_result done = BST_OK;
    bool found = false;
    for (size_t i = 0; i < pki->n_roots && !bst_failed(done); i++) {
        if (issuer.len == 0 || bst_view_is(issuer, pki->roots[i].serial)) {
            found = true;
            done = add_entry(pki, &pki->roots[i], entry);
        }
    }
    /* What a root issued that is trusted no more is not accepted anyway. */
    return found ? write_or_undo(pki, done) : BST_OK;
}

bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view issuer, struct bst_view serial,
                          int reason)
{
    struct bst_revocation entry = {.when_us = pki_now_us(pki), .reason = reason};
    if (reason < 0 || reason > 10 || reason == 7) {
        BST_FAIL(BST_E_VALUE, "%d is no reason for a revocation (RFC 5280 5.3.1)", reason);
    }
    BST_TRY(bst_view_copy(serial, entry.serial, sizeof entry.serial));
    pthread_mutex_lock(&pki->lock);
    bst_result revoked = revoke_locked(pki, issuer, &entry);
    pthread_mutex_unlock(&pki->lock);
    return revoked;
}

static bst_result renew_locked(struct bst_pki *pki)
{
    bst_result first = BST_OK;
    for (size_t i = 0; i < pki->n_roots; i++) {
        struct pki_root *root = &pki->roots[i];
        bst_result r = pki_list_sign(pki, root, root->crl.entries, root->crl.n);
        first = bst_failed(first) ? first : r;
    }
    BST_TRY(pki_lists_write(pki, pki->roots, pki->n_roots));
    return first;
}

bst_result bst_pki_crl_renew(struct bst_pki *pki)
{
    pthread_mutex_lock(&pki->lock);
    bst_result renewed = renew_locked(pki);
    pthread_mutex_unlock(&pki->lock);
    return renewed;
}

bst_result bst_pki_crl(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return pki_read(pki, pki->crl_path, ret_pem);
}

/* ---- opening ---- */

/* The next list of a file; what is before it does not matter. */
static bool cut_list(struct bst_view *rest, struct bst_view *ret)
{
    const char *begin =
        rest->ptr ? memmem(rest->ptr, rest->len, LIST_BEGIN.ptr, LIST_BEGIN.len) : NULL;
    if (!begin) {
        return false;
    }
    struct bst_view list = bst_view_from(*rest, (size_t)(begin - rest->ptr));
    struct bst_view behind = bst_view_from(list, LIST_BEGIN.len);
    const char *next =
        behind.ptr ? memmem(behind.ptr, behind.len, LIST_BEGIN.ptr, LIST_BEGIN.len) : NULL;
    size_t len = next ? (size_t)(next - list.ptr) : list.len;
    *ret = bst_view_of(list.ptr, len);
    *rest = bst_view_from(list, len);
    return true;
}

/* The list that this root signed. Another may be of a change of keys that was cut short. */
static bst_result open_list(struct bst_pki *pki, struct pki_root *root, struct bst_view text)
{
    struct bst_view list;
    while (cut_list(&text, &list)) {
        bst_auto(crl) crl = {0};
        if (bst_failed(bst_crl_parse(list, root->public, &crl))) {
            continue;
        }
        bst_crl_clear(&root->crl);
        bst_buf_clear(&root->crl_pem);
        root->crl = crl;
        crl = (struct bst_crl){0};
        bst_buf_addv(&root->crl_pem, list);
        return bst_buf_check(&root->crl_pem);
    }
    BST_FAIL(BST_E_CORRUPT, "%s is damaged or of another authority; restore it from a backup",
             pki->crl_path);
}

bst_result pki_lists_open(struct bst_pki *pki)
{
    bst_auto(buf) pem = {0};
    bst_result got = pki_read(pki, pki->crl_path, &pem);
    if (got.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s is missing; restore it from a backup, or what was revoked counts "
                 "again",
                 pki->crl_path);
    }
    BST_TRY(got);
    for (size_t i = 0; i < pki->n_roots; i++) {
        BST_TRY(open_list(pki, &pki->roots[i], bst_buf_view(&pem)));
    }
    return BST_OK;
}
