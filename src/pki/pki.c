/* The project's certification authority; its list of revoked numbers is its only changing state. */
#include "pki/pki.h"

#include "base/time.h"
#include "se/se_pkey.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define PATH_BYTES 1024
#define NAME_MAX_BYTES 64
#define CRL_LIFETIME_US (30 * 86400 * BST_US_PER_S)
/* Clocks of devices may be behind. */
#define BACKDATE_US (3600 * BST_US_PER_S)

struct bst_pki {
    struct bst_se *se;
    const struct bst_se_host *host;
    char crt_path[PATH_BYTES], crl_path[PATH_BYTES], label[BST_KEY_LABEL_MAX + 1];
    int64_t crl_lifetime_us;
    struct x509_st *cert;
    struct evp_pkey_st *key; /* inside the secure environment */
    pthread_mutex_t lock;    /* guards the list */
    struct bst_crl crl;
};

static int64_t now_us(const struct bst_pki *pki)
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
    if (len == 0 || len > NAME_MAX_BYTES || strlen(config->dir) > PATH_BYTES - NAME_MAX_BYTES - 8) {
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
    pki->crl_lifetime_us = config->crl_lifetime_us ? config->crl_lifetime_us : CRL_LIFETIME_US;
    snprintf(pki->crt_path, sizeof pki->crt_path, "%s/%s.crt", config->dir, config->name);
    snprintf(pki->crl_path, sizeof pki->crl_path, "%s/%s.crl", config->dir, config->name);
    snprintf(pki->label, sizeof pki->label, "%s%s", config->label ? "" : "pki.",
             config->label ? config->label : config->name);
    pthread_mutex_init(&pki->lock, NULL);
    *ret = pki;
    return BST_OK;
}

void bst_pki_close(struct bst_pki **slot)
{
    struct bst_pki *pki = *slot;
    *slot = NULL;
    if (pki) {
        bst_cert_free(&pki->cert);
        bst_pkey_free(&pki->key);
        bst_crl_clear(&pki->crl);
        pthread_mutex_destroy(&pki->lock);
        bst_free(pki);
    }
}

static bst_result read_file(const struct bst_pki *pki, const char *path, struct bst_buf *ret)
{
    return pki->host->read(pki->host->ctx, path, FILE_BYTES_MAX, ret);
}

static bst_result write_pem(const struct bst_pki *pki, const char *path, const char *what,
                            struct bst_view der)
{
    bst_auto(buf) pem = {0};
    BST_TRY(bst_der_to_pem(what, der, &pem));
    return pki->host->replace(pki->host->ctx, path, bst_buf_view(&pem));
}

/* ---- the list ---- */

/* Sign the entries with the next number and put the list in place; memory follows storage. Lock
 * held. */
static bst_result publish(struct bst_pki *pki, const struct bst_revocation *entries, size_t n)
{
    bst_auto(buf) der = {0};
    bst_auto(crl) crl = {0};
    BST_TRY(bst_crl_build(pki->cert, pki->key, entries, n, pki->crl.number + 1, now_us(pki),
                          now_us(pki) + pki->crl_lifetime_us, &der));
    BST_TRY(bst_crl_parse(bst_buf_view(&der), pki->key, &crl));
    BST_TRY(write_pem(pki, pki->crl_path, "X509 CRL", bst_buf_view(&der)));
    bst_crl_clear(&pki->crl);
    pki->crl = crl;
    crl = (struct bst_crl){0};
    return BST_OK;
}

static bool revoked_already(const struct bst_pki *pki, const char *serial)
{
    for (size_t i = 0; i < pki->crl.n; i++) {
        if (strcmp(pki->crl.entries[i].serial, serial) == 0) {
            return true;
        }
    }
    return false;
}

static bst_result revoke_locked(struct bst_pki *pki, const struct bst_revocation *entry)
{
    if (revoked_already(pki, entry->serial)) {
        return BST_OK;
    }
    size_t n = pki->crl.n;
    struct bst_revocation *entries = bst_alloc((n + 1) * sizeof *entries);
    BST_ENSURE(entries, BST_E_NOMEM);
    if (n) {
        memcpy(entries, pki->crl.entries, n * sizeof *entries);
    }
    entries[n] = *entry;
    bst_result published = publish(pki, entries, n + 1);
    bst_free(entries);
    return published;
}

bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view serial, int reason)
{
    struct bst_revocation entry = {.when_us = now_us(pki), .reason = reason};
    if (reason < 0 || reason > 10 || reason == 7) {
        BST_FAIL(BST_E_VALUE, "%d is no reason for a revocation (RFC 5280 5.3.1)", reason);
    }
    BST_TRY(bst_view_copy(serial, entry.serial, sizeof entry.serial));
    pthread_mutex_lock(&pki->lock);
    bst_result revoked = revoke_locked(pki, &entry);
    pthread_mutex_unlock(&pki->lock);
    return revoked;
}

bst_result bst_pki_crl_renew(struct bst_pki *pki)
{
    pthread_mutex_lock(&pki->lock);
    bst_result renewed = publish(pki, pki->crl.entries, pki->crl.n);
    pthread_mutex_unlock(&pki->lock);
    return renewed;
}

bst_result bst_pki_crl(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return read_file(pki, pki->crl_path, ret_pem);
}

bst_result bst_pki_cert(struct bst_pki *pki, struct bst_buf *ret_pem)
{
    return bst_cert_pem(pki->cert, ret_pem);
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
    return bst_se_pkey(pki->se, key, &pki->key);
}

static bst_result ensure_absent(const struct bst_pki *pki)
{
    bst_auto(buf) there = {0};
    bst_result got = read_file(pki, pki->crt_path, &there);
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
    bst_auto(buf) der = {0};
    BST_TRY(ensure_absent(pki));
    BST_TRY(find_or_make_key(pki));
    BST_TRY(bst_cert_issue(spec, pki->key, parent ? parent->cert : NULL,
                           parent ? parent->key : pki->key, &der));
    BST_TRY(bst_cert_load(bst_buf_view(&der), &pki->cert));
    BST_TRY(bst_pki_crl_renew(pki));
    return write_pem(pki, pki->crt_path, "CERTIFICATE", bst_buf_view(&der));
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
        .not_before_us = now_us(pki) - BACKDATE_US,
        .not_after_us = now_us(pki) + lifetime_us,
        .permits = permits,
        .n_permits = n_permits,
    };
    BST_TRY(make_authority(pki, &spec, parent));
    *ret = bst_steal(&pki);
    return BST_OK;
}

static bst_result open_key(struct bst_pki *pki)
{
    bst_key key = 0;
    BST_TRY(bst_se_key_find(pki->se, pki->label, &key));
    if (!key) {
        BST_FAIL(BST_E_CORRUPT,
                 "the key '%s' of %s is not in the secure environment; restore it from "
                 "a backup",
                 pki->label, pki->crt_path);
    }
    bst_auto(buf) inside = {0}, outside = {0};
    bst_auto_pkey *named = NULL;
    BST_TRY(bst_se_pkey(pki->se, key, &pki->key));
    BST_TRY(bst_cert_public_key(pki->cert, &named));
    BST_TRY(bst_pkey_spki(pki->key, &inside));
    BST_TRY(bst_pkey_spki(named, &outside));
    if (!bst_view_eq(bst_buf_view(&inside), bst_buf_view(&outside))) {
        BST_FAIL(BST_E_CORRUPT, "%s is not of the key '%s'", pki->crt_path, pki->label);
    }
    return BST_OK;
}

static bst_result open_crl(struct bst_pki *pki)
{
    bst_auto(buf) pem = {0};
    bst_result got = read_file(pki, pki->crl_path, &pem);
    if (got.code == BST_E_NOT_FOUND) {
        BST_FAIL(BST_E_CORRUPT,
                 "%s is missing; restore it from a backup, or what was revoked counts "
                 "again",
                 pki->crl_path);
    }
    BST_TRY(got);
    if (bst_failed(bst_crl_parse(bst_buf_view(&pem), pki->key, &pki->crl))) {
        BST_FAIL(BST_E_CORRUPT, "%s is damaged or of another authority; restore it from a backup",
                 pki->crl_path);
    }
    return BST_OK;
}

bst_result bst_pki_open(const struct bst_pki_config *config, struct bst_pki **ret)
{
    __attribute__((cleanup(bst_pki_close))) struct bst_pki *pki = NULL;
    bst_auto(buf) pem = {0};
    BST_TRY(pki_new(config, &pki));
    BST_TRY(read_file(pki, pki->crt_path, &pem));
    BST_TRY(bst_cert_load(bst_buf_view(&pem), &pki->cert));
    BST_TRY(open_key(pki));
    BST_TRY(open_crl(pki));
    *ret = bst_steal(&pki);
    return BST_OK;
}

/* ---- issuing ---- */

static bst_result issue(struct bst_pki *pki, const struct bst_pki_order *order,
                        struct evp_pkey_st *subject, struct bst_buf *ret_pem)
{
    struct bst_cert_facts own;
    BST_TRY(bst_cert_facts(pki->cert, &own));
    struct bst_cert_spec spec = {
        .common_name = order->common_name,
        .sans = order->names,
        .n_sans = order->n_names,
        .role = order->role,
        .not_before_us = order->begin_us ? order->begin_us : now_us(pki) - BACKDATE_US,
    };
    spec.not_after_us = (order->begin_us ? order->begin_us : now_us(pki)) + order->lifetime_us;
    if (order->n_names == 0) {
        BST_FAIL(BST_E_VALUE, "a certificate without a name proves nothing");
    }
    if (spec.not_after_us > own.not_after_us) {
        spec.not_after_us = own.not_after_us;
    }
    bst_auto(buf) der = {0};
    BST_TRY(bst_cert_issue(&spec, subject, pki->cert, pki->key, &der));
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
