/* The project's certification authority; the lists of revoked numbers are its only changing state.
 */
#include "pki/pki_priv.h"

#include <ctype.h>
#include <stdio.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define NAME_MAX_BYTES 64
#define CRL_LIFETIME_US (30 * 86400 * BST_US_PER_S)

int64_t pki_now_us(const struct bst_pki *pki)
{
    return pki->host->wall_us(pki->host->ctx);
}

static bst_result check_config(const struct bst_pki_config *config)
{
    size_t len = strlen(config->name);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)config->name[i];
        if (!(islower(c) || isdigit(c) || c == '-')) {
            len = 0;
        }
    }
    if (len == 0 || len > NAME_MAX_BYTES ||
        strlen(config->dir) > PKI_PATH_BYTES - NAME_MAX_BYTES - 8) {
        BST_FAIL(BST_E_CONFIG, "an authority is named by 1 to %d of a-z, 0-9 and -, in a folder",
                 NAME_MAX_BYTES);
    }
    return BST_OK;
}

static bst_result pki_new(const struct bst_pki_config *config, struct bst_pki **ret)
{
    BST_TRY(check_config(config));
    struct bst_pki *pki = bst_alloc(sizeof *pki);
    BST_ENSURE(pki, BST_E_NOMEM);
    pki->se = config->se;
    pki->host = config->host;
    pki->keys = config->keys;
    pki->crl_lifetime_us = config->crl_lifetime_us ? config->crl_lifetime_us : CRL_LIFETIME_US;
    snprintf(pki->crt_path, sizeof pki->crt_path, "%s/%s.crt", config->dir, config->name);
    snprintf(pki->crl_path, sizeof pki->crl_path, "%s/%s.crl", config->dir, config->name);
    snprintf(pki->chain_path, sizeof pki->chain_path, "%s/%s.chain", config->dir, config->name);
    snprintf(pki->label, sizeof pki->label, "%s%s", config->label ? "" : "pki.",
             config->label ? config->label : config->name);
    pthread_mutex_init(&pki->lock, NULL);
    *ret = pki;
    return BST_OK;
}

void pki_root_clear(struct pki_root *root)
{
    bst_cert_free(&root->cert);
    bst_pkey_free(&root->key);
    bst_pkey_free(&root->public);
    bst_crl_clear(&root->crl);
    bst_buf_clear(&root->crl_pem);
}

void bst_pki_close(struct bst_pki **slot)
{
    struct bst_pki *pki = *slot;
    *slot = NULL;
    if (!pki) {
        return;
    }
    for (size_t i = 0; i < PKI_ROOTS_MAX; i++) {
        pki_root_clear(&pki->roots[i]);
    }
    while (pki->n_crosses > 0) {
        bst_cert_free(&pki->crosses[--pki->n_crosses]);
    }
    pthread_mutex_destroy(&pki->lock);
    bst_free(pki);
}

/* ---- files ---- */

bst_result pki_read(const struct bst_pki *pki, const char *path, struct bst_buf *ret)
{
    return pki->host->read(pki->host->ctx, path, FILE_BYTES_MAX, ret);
}

bst_result pki_replace(const struct bst_pki *pki, const char *path, const struct bst_buf *text)
{
    BST_TRY(bst_buf_check(text));
    return pki->host->replace(pki->host->ctx, path, bst_buf_view(text));
}

bst_result pki_root_set(struct pki_root *root, struct x509_st *take_cert)
{
    struct bst_cert_facts facts;
    root->cert = take_cert;
    BST_TRY(bst_cert_facts(take_cert, &facts));
    memcpy(root->serial, facts.serial, sizeof root->serial);
    return bst_cert_public_key(take_cert, &root->public);
}

bst_result pki_roots_text(const struct pki_root *roots, size_t n, struct bst_buf *ret_pem)
{
    for (size_t i = 0; i < n; i++) {
        BST_TRY(bst_cert_pem(roots[i].cert, ret_pem));
    }
    return bst_buf_check(ret_pem);
}

bst_result pki_crosses_text(struct x509_st *const *crosses, size_t n, struct bst_buf *ret_pem)
{
    for (size_t i = 0; i < n; i++) {
        BST_TRY(bst_cert_pem(crosses[i], ret_pem));
    }
    return bst_buf_check(ret_pem);
}

/* ---- what is told ---- */

bst_result bst_pki_cert(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return pki_roots_text(pki->roots, 1, ret_pem);
}

bst_result bst_pki_roots(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return pki_roots_text(pki->roots, pki->n_roots, ret_pem);
}

size_t bst_pki_former(const struct bst_pki *pki)
{
    return pki->n_roots - 1;
}

bst_result bst_pki_root(const struct bst_pki *pki, size_t index, struct bst_cert_facts *ret,
                        bool *ret_key)
{
    BST_ENSURE(index < pki->n_roots, BST_E_NOT_FOUND);
    *ret_key = pki->roots[index].key != NULL;
    return bst_cert_facts(pki->roots[index].cert, ret);
}

/* ---- making and opening ---- */

static bst_result find_or_make_key(struct bst_pki *pki)
{
    bst_key key = 0;
    BST_TRY(bst_se_key_find(pki->se, pki->label, &key));
    if (!key) {
        struct bst_key_attrs attrs = {
            .type = BST_KEY_EC_P256,
            .uses = BST_KEY_USE_SIGN,
            .label = pki->label,
            .persistent = true,
        };
        BST_TRY(bst_se_key_generate(pki->se, &attrs, &key));
    }
    return bst_se_pkey(pki->se, key, &pki->roots[0].key);
}

static bst_result ensure_absent(const struct bst_pki *pki)
{
    bst_auto(buf) there = {0};
    bst_result got = pki_read(pki, pki->crt_path, &there);
    if (got.code == BST_E_NOT_FOUND) {
        return BST_OK;
    }
    BST_TRY(got);
    BST_FAIL(BST_E_EXISTS, "there is an authority already: %s", pki->crt_path);
}

/* The list comes first: where there is a certificate there is a list, and one that is missing later
 * was taken away. */
static bst_result make_authority(struct bst_pki *pki, const struct bst_cert_spec *spec,
                                 const struct bst_pki *parent)
{
    struct pki_root *root = &pki->roots[0];
    const struct pki_root *by = parent ? &parent->roots[0] : root;
    bst_auto(buf) der = {0}, pem = {0};
    struct x509_st *cert = NULL;
    BST_TRY(ensure_absent(pki));
    BST_TRY(find_or_make_key(pki));
    BST_TRY(bst_cert_issue(spec, root->key, by->cert, by->key, &der));
    BST_TRY(bst_cert_load(bst_buf_view(&der), &cert));
    pki->n_roots = 1;
    BST_TRY(pki_root_set(root, cert));
    BST_TRY(bst_pki_crl_renew(pki));
    BST_TRY(pki_roots_text(root, 1, &pem));
    return pki_replace(pki, pki->crt_path, &pem);
}

bst_result bst_pki_create(const struct bst_pki_config *config, struct bst_view common_name,
                          const struct bst_cert_permit *permits, size_t n_permits,
                          struct bst_pki *parent, int64_t lifetime_us, struct bst_pki **ret)
{
    __attribute__((cleanup(bst_pki_close))) struct bst_pki *pki = NULL;
    BST_TRY(pki_new(config, &pki));
    struct bst_cert_spec spec = {
        .common_name = common_name,
        .ca = true,
        .path_len = -1,
        .not_before_us = pki_now_us(pki) - PKI_BACKDATE_US,
        .not_after_us = pki_now_us(pki) + lifetime_us,
        .permits = permits,
        .n_permits = n_permits,
    };
    BST_TRY(make_authority(pki, &spec, parent));
    *ret = bst_steal(&pki);
    return BST_OK;
}

static bst_result find_key(struct bst_pki *pki, const struct pki_root *root, struct bst_se **ret_se,
                           bst_key *ret)
{
    bst_auto(buf) pem = {0};
    if (pki->keys) {
        BST_TRY(pki_roots_text(root, 1, &pem));
        return pki->keys->find(pki->keys->ctx, bst_buf_view(&pem), ret_se, ret);
    }
    *ret_se = pki->se;
    BST_TRY(bst_se_key_find(pki->se, pki->label, ret));
    return *ret ? BST_OK : bst_error(BST_E_NOT_FOUND);
}

static bst_result open_key(struct bst_pki *pki, struct pki_root *root)
{
    struct bst_se *se = NULL;
    bst_key key = 0;
    bst_auto(buf) inside = {0}, outside = {0};
    bst_result found = find_key(pki, root, &se, &key);
    if (found.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "the key '%s' of %s is not in the secure environment; restore it from "
                 "a backup",
                 pki->label, pki->crt_path);
    }
    if (!bst_failed(found)) {
        BST_TRY(bst_se_pkey(se, key, &root->key));
        BST_TRY(bst_pkey_spki(root->key, &inside));
        BST_TRY(bst_pkey_spki(root->public, &outside));
    }
    if (found.code == BST_E_BAD_KEY ||
        !bst_view_eq(bst_buf_view(&inside), bst_buf_view(&outside))) {
        bst_pkey_free(&root->key);
        BST_FAIL(BST_E_CORRUPT, "%s is not of the key '%s'", pki->crt_path, pki->label);
    }
    return found;
}

/* A former root is trusted without its key; only its list is not signed any more. */
static bst_result open_keys(struct bst_pki *pki)
{
    for (size_t i = 1; i < pki->n_roots; i++) {
        (void)open_key(pki, &pki->roots[i]).code;
    }
    return open_key(pki, &pki->roots[0]);
}

static bst_result take_root(void *ctx, struct x509_st *take_cert)
{
    struct bst_pki *pki = ctx;
    if (pki->n_roots == PKI_ROOTS_MAX) {
        bst_cert_free(&take_cert);
        BST_FAIL(BST_E_CORRUPT, "%s has more than %d certificates", pki->crt_path, PKI_ROOTS_MAX);
    }
    return pki_root_set(&pki->roots[pki->n_roots++], take_cert);
}

bst_result bst_pki_open(const struct bst_pki_config *config, struct bst_pki **ret)
{
    __attribute__((cleanup(bst_pki_close))) struct bst_pki *pki = NULL;
    bst_auto(buf) pem = {0};
    size_t count;
    BST_TRY(pki_new(config, &pki));
    BST_TRY(pki_read(pki, pki->crt_path, &pem));
    BST_TRY(bst_cert_load_all(bst_buf_view(&pem), take_root, pki, &count));
    BST_TRY(open_keys(pki));
    BST_TRY(pki_lists_open(pki));
    BST_TRY(pki_crosses_open(pki));
    pki->keys = NULL; /* its context is the caller's */
    *ret = bst_steal(&pki);
    return BST_OK;
}

/* ---- issuing ---- */

static bst_result issue(struct bst_pki *pki, const struct bst_pki_order *order,
                        struct evp_pkey_st *subject, struct bst_buf *ret_pem)
{
    struct bst_cert_facts own;
    BST_TRY(bst_cert_facts(pki->roots[0].cert, &own));
    struct bst_cert_spec spec = {
        .common_name = order->common_name,
        .sans = order->names,
        .n_sans = order->n_names,
        .role = order->role,
        .not_before_us = order->begin_us ? order->begin_us : pki_now_us(pki) - PKI_BACKDATE_US,
    };
    spec.not_after_us = (order->begin_us ? order->begin_us : pki_now_us(pki)) + order->lifetime_us;
    if (order->n_names == 0) {
        BST_FAIL(BST_E_VALUE, "a certificate without a name proves nothing");
    }
    if (spec.not_after_us > own.not_after_us) {
        spec.not_after_us = own.not_after_us;
    }
    bst_auto(buf) der = {0};
    BST_TRY(bst_cert_issue(&spec, subject, pki->roots[0].cert, pki->roots[0].key, &der));
    return bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), ret_pem);
}

bst_result bst_pki_issue(struct bst_pki *pki, const struct bst_pki_order *order,
                         struct bst_view public_key, struct bst_buf *ret_pem)
{
    bst_auto_pkey *subject = NULL;
    BST_TRY(bst_pkey_load_public(public_key, &subject));
    return issue(pki, order, subject, ret_pem);
}

/* A device identifier is ordered as "<type-id>:<arcs>" and read back dotted throughout. */
static bool same_name(const struct bst_cert_san *san, const struct bst_cert_name *name)
{
    struct bst_view text = bst_view(name->text);
    if (!(name->flavours & san->flavour) || text.len != san->name.len) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = san->name.ptr[i];
        bool separator = san->flavour == BST_CERT_DEVICE && c == ':' && text.ptr[i] == '.';
        bool domain = san->flavour == BST_CERT_CSE || san->flavour == BST_CERT_FQDN;
        char folded = domain ? (char)tolower((unsigned char)c) : c;
        if (text.ptr[i] != folded && !separator) {
            return false;
        }
    }
    return true;
}

static bool ordered(const struct bst_pki_order *order, const struct bst_cert_name *name)
{
    for (size_t i = 0; i < order->n_names; i++) {
        if (same_name(&order->names[i], name)) {
            return true;
        }
    }
    return false;
}

bst_result bst_pki_issue_csr(struct bst_pki *pki, const struct bst_pki_order *order,
                             struct bst_view text, struct bst_buf *ret_pem)
{
    bst_auto(csr) csr = {0};
    BST_TRY(bst_csr_parse(text, &csr));
    for (size_t i = 0; i < csr.names.n; i++) {
        if (!ordered(order, &csr.names.names[i])) {
            BST_FAIL(BST_E_DENIED,
                     "the request asks for the name '%s', which its sender may not have",
                     csr.names.names[i].text);
        }
    }
    return issue(pki, order, csr.key, ret_pem);
}
