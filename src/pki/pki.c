/* The project CA (TS-0003 10.1): key, certificate, list of what was issued and revoked, CRL. The list
 * is one JSON line a certificate, rewritten whole: a CA of a project issues thousands, not millions. */
#include "pki/pki.h"

#include "base/time.h"
#include "codec/json.h"
#include "crypto/rand.h"
#include "se/se_pkey.h"

#include <stdio.h>

#define PKI_YEAR_US (INT64_C(365) * 86400 * BST_US_PER_S)
/* Clocks of devices run behind. */
#define PKI_SKEW_US (INT64_C(300) * BST_US_PER_S)
#define PKI_ENTRIES_MAX 1000000

struct bst_pki {
    struct bst_pki_host host;
    struct bst_se *se;
    struct evp_pkey_st *key;
    struct x509_st *ca;
    struct bst_buf ca_pem;
    struct bst_pki_entry *entries;
    size_t n, cap;
    uint64_t crl_number;
};

static int64_t now_us(const struct bst_pki *pki)
{
    return pki->host.wall_us(pki->host.ctx);
}

/* --- the list ------------------------------------------------------------------------------- */

static void entry_write(const struct bst_pki_entry *e, struct bst_buf *out)
{
    bst_buf_addf(out, "{\"serial\":\"%s\",\"flavour\":%d,\"issued\":%lld,\"ends\":%lld", e->serial,
                 (int)e->flavour, (long long)e->issued_us, (long long)e->not_after_us);
    if (e->revoked_us) {
        bst_buf_addf(out, ",\"revoked\":%lld,\"reason\":%d", (long long)e->revoked_us, e->reason);
    }
    bst_buf_adds(out, ",\"name\":");
    bst_buf_add_json(out, bst_view(e->name));
    bst_buf_adds(out, "}\n");
}

static bst_result index_write(struct bst_pki *pki)
{
    bst_auto(buf) out = {0};
    bst_buf_addf(&out, "{\"crl\":%llu}\n", (unsigned long long)pki->crl_number);
    for (size_t i = 0; i < pki->n; i++) {
        entry_write(&pki->entries[i], &out);
    }
    BST_TRY(bst_buf_check(&out));
    return pki->host.replace(pki->host.ctx, BST_PKI_INDEX_FILE, bst_buf_view(&out));
}

static bst_result entry_add(struct bst_pki *pki, const struct bst_pki_entry *entry)
{
    if (pki->n == pki->cap) {
        size_t cap = pki->cap ? pki->cap * 2 : 16;
        if (cap > PKI_ENTRIES_MAX) {
            BST_FAIL(BST_E_LIMIT, "the CA has issued %zu certificates, which is its limit", pki->n);
        }
        struct bst_pki_entry *entries = bst_realloc(pki->entries, cap * sizeof *entries);
        BST_ENSURE(entries, BST_E_NOMEM);
        pki->entries = entries;
        pki->cap = cap;
    }
    pki->entries[pki->n++] = *entry;
    return BST_OK;
}

static bst_result entry_read(const yyjson_val *line, struct bst_pki_entry *ret)
{
    struct bst_view serial, name;
    int64_t flavour, reason = 0;
    *ret = (struct bst_pki_entry){0};
    BST_TRY(bst_json_string(line, "serial", &serial));
    BST_TRY(bst_json_string(line, "name", &name));
    BST_TRY(bst_json_i64(line, "flavour", &flavour));
    BST_TRY(bst_json_i64(line, "issued", &ret->issued_us));
    BST_TRY(bst_json_i64(line, "ends", &ret->not_after_us));
    BST_TRY(bst_json_opt_i64(line, "revoked", &ret->revoked_us));
    BST_TRY(bst_json_opt_i64(line, "reason", &reason));
    BST_TRY(bst_view_copy(serial, ret->serial, sizeof ret->serial));
    BST_TRY(bst_view_copy(name, ret->name, sizeof ret->name));
    ret->flavour = (enum bst_cert_flavour)flavour;
    ret->reason = (int)reason;
    return BST_OK;
}

static bst_result index_line(struct bst_pki *pki, struct bst_view line, struct bst_arena *arena)
{
    yyjson_val *root;
    struct bst_pki_entry entry;
    BST_TRY(bst_json_parse(arena, line, 4, &root));
    if (bst_json_get(root, "crl")) {
        int64_t number;
        BST_TRY(bst_json_i64(root, "crl", &number));
        pki->crl_number = (uint64_t)number;
        return BST_OK;
    }
    BST_TRY(entry_read(root, &entry));
    return entry_add(pki, &entry);
}

static bst_result index_read(struct bst_pki *pki)
{
    bst_auto(buf) text = {0};
    BST_TRY(pki->host.read(pki->host.ctx, BST_PKI_INDEX_FILE, &text));
    struct bst_view rest = bst_buf_view(&text), line;
    bst_auto(arena) arena = {0};
    for (unsigned number = 1; bst_view_cut(&rest, '\n', &line); number++) {
        bst_arena_reset(&arena);
        bst_result r = index_line(pki, line, &arena);
        if (bst_failed(r)) {
            BST_FAIL(BST_E_CORRUPT, "%s line %u: %s", BST_PKI_INDEX_FILE, number,
                     bst_error_text(r.code));
        }
    }
    return BST_OK;
}

size_t bst_pki_count(const struct bst_pki *pki)
{
    return pki->n;
}

const struct bst_pki_entry *bst_pki_entry_at(const struct bst_pki *pki, size_t i)
{
    return i < pki->n ? &pki->entries[i] : NULL;
}

/* --- CRL ------------------------------------------------------------------------------------ */

static bst_result crl_write(struct bst_pki *pki)
{
    bst_auto(buf) der = {0};
    bst_auto(buf) pem = {0};
    size_t n = 0;
    bst_auto_free struct bst_revocation *revoked = bst_alloc(pki->n * sizeof *revoked);
    BST_ENSURE(revoked, BST_E_NOMEM);
    int64_t now = now_us(pki);
    for (size_t i = 0; i < pki->n; i++) {
        const struct bst_pki_entry *e = &pki->entries[i];
        /* RFC 5280 3.3: an entry stays until the certificate has ended. */
        if (e->revoked_us && e->not_after_us > now) {
            snprintf(revoked[n].serial, sizeof revoked[n].serial, "%s", e->serial);
            revoked[n].when_us = e->revoked_us;
            revoked[n].reason = e->reason;
            n++;
        }
    }
    BST_TRY(bst_crl_build(pki->ca, pki->key, revoked, n, pki->crl_number, now - PKI_SKEW_US,
                          now + BST_PKI_CRL_LIFE_US, &der));
    BST_TRY(bst_der_to_pem("X509 CRL", bst_buf_view(&der), &pem));
    return pki->host.replace(pki->host.ctx, BST_PKI_CRL_FILE, bst_buf_view(&pem));
}

bst_result bst_pki_renew_crl(struct bst_pki *pki)
{
    pki->crl_number++;
    BST_TRY(index_write(pki));
    return crl_write(pki);
}

/* A common name may stand for many certificates: all of them go. */
static bool names_it(const struct bst_pki_entry *e, struct bst_view text)
{
    return bst_view_eq_nocase(bst_view(e->serial), text) || bst_view_is(text, e->name);
}

bst_result bst_pki_revoke(struct bst_pki *pki, struct bst_view serial_or_name, int reason,
                          size_t *ret_count)
{
    size_t found = 0, count = 0;
    for (size_t i = 0; i < pki->n; i++) {
        struct bst_pki_entry *e = &pki->entries[i];
        if (!names_it(e, serial_or_name)) {
            continue;
        }
        found++;
        if (!e->revoked_us) {
            e->revoked_us = now_us(pki);
            e->reason = reason;
            count++;
        }
    }
    if (found == 0) {
        BST_FAIL(BST_E_NOT_FOUND, "the CA issued no certificate with serial or name '%.*s'",
                 BST_VIEW_ARGS(serial_or_name));
    }
    BST_TRY(bst_pki_renew_crl(pki));
    *ret_count = count;
    return BST_OK;
}

/* --- making, opening ------------------------------------------------------------------------ */

static bst_result ca_certificate(const struct bst_pki_host *host, struct bst_se *se, bst_key key,
                                 const struct bst_cert_spec *spec)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) der = {0};
    bst_auto(buf) pem = {0};
    BST_TRY(bst_se_pkey(se, key, &pkey));
    BST_TRY(bst_cert_issue(spec, pkey, NULL, pkey, &der));
    BST_TRY(bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), &pem));
    return host->replace(host->ctx, BST_PKI_CA_FILE, bst_buf_view(&pem));
}

static bst_result begin_lists(const struct bst_pki_host *host, struct bst_se *se)
{
    BST_TRY(host->replace(host->ctx, BST_PKI_INDEX_FILE, BST_VIEW("{\"crl\":0}\n")));
    struct bst_pki *pki = NULL;
    BST_TRY(bst_pki_open(host, se, &pki));
    bst_result r = bst_pki_renew_crl(pki);
    bst_pki_close(&pki);
    return r;
}

bst_result bst_pki_create(const struct bst_pki_host *host, struct bst_se *se, struct bst_view name,
                          struct bst_view domain, int64_t life_us)
{
    bst_key key;
    BST_TRY(bst_se_key_find(se, BST_PKI_KEY_LABEL, &key));
    if (key) {
        BST_FAIL(BST_E_EXISTS, "there is a CA key already");
    }
    BST_TRY(bst_se_key_generate(se,
                                &(struct bst_key_attrs){.type = BST_KEY_EC_P256,
                                                        .uses = BST_KEY_USE_SIGN,
                                                        .label = BST_PKI_KEY_LABEL,
                                                        .persistent = true},
                                &key));
    int64_t now = host->wall_us(host->ctx);
    /* Names of other domains are not ours to certify. */
    const struct bst_cert_permit permits[] = {
        {BST_CERT_CSE, domain}, {BST_CERT_AE, domain}, {BST_CERT_NODE, BST_VIEW("urn:")}};
    struct bst_cert_spec spec = {
        .common_name = name, .ca = true, .path_len = 0, .not_before_us = now - PKI_SKEW_US,
        .not_after_us = now + life_us, .permits = permits, .n_permits = domain.len ? 3 : 0,
    };
    BST_TRY(ca_certificate(host, se, key, &spec));
    return begin_lists(host, se);
}

static bst_result open_parts(struct bst_pki *pki)
{
    bst_key key;
    BST_TRY(bst_se_key_find(pki->se, BST_PKI_KEY_LABEL, &key));
    if (!key) {
        BST_FAIL(BST_E_NOT_FOUND, "the secure environment has no CA key '%s'", BST_PKI_KEY_LABEL);
    }
    BST_TRY(bst_se_pkey(pki->se, key, &pki->key));
    BST_TRY(pki->host.read(pki->host.ctx, BST_PKI_CA_FILE, &pki->ca_pem));
    BST_TRY(bst_cert_load(bst_buf_view(&pki->ca_pem), &pki->ca));
    return index_read(pki);
}

bst_result bst_pki_open(const struct bst_pki_host *host, struct bst_se *se, struct bst_pki **ret)
{
    struct bst_pki *pki = bst_alloc(sizeof *pki);
    BST_ENSURE(pki, BST_E_NOMEM);
    pki->host = *host;
    pki->se = se;
    bst_result r = open_parts(pki);
    if (bst_failed(r)) {
        bst_pki_close(&pki);
        return r;
    }
    *ret = pki;
    return BST_OK;
}

void bst_pki_close(struct bst_pki **pki)
{
    if (!*pki) {
        return;
    }
    bst_pkey_free(&(*pki)->key);
    bst_cert_free(&(*pki)->ca);
    bst_buf_clear(&(*pki)->ca_pem);
    bst_free((*pki)->entries);
    bst_free(*pki);
    *pki = NULL;
}

struct bst_view bst_pki_ca_pem(const struct bst_pki *pki)
{
    return bst_buf_view(&pki->ca_pem);
}

/* --- issuing -------------------------------------------------------------------------------- */

/* On record before it is out: a certificate that nobody can revoke must not exist. */
static bst_result record(struct bst_pki *pki, const struct bst_pki_order *order,
                         struct bst_view der)
{
    bst_auto_cert *cert = NULL;
    struct bst_cert_facts facts;
    struct bst_pki_entry entry = {.flavour = order->flavour, .issued_us = now_us(pki)};
    BST_TRY(bst_cert_load(der, &cert));
    BST_TRY(bst_cert_facts(cert, &facts));
    snprintf(entry.serial, sizeof entry.serial, "%s", facts.serial);
    entry.not_after_us = facts.not_after_us;
    BST_TRY(bst_view_copy(order->name, entry.name, sizeof entry.name));
    BST_TRY(entry_add(pki, &entry));
    bst_result r = index_write(pki);
    if (bst_failed(r)) {
        pki->n--;
    }
    return r;
}

static bst_result issue(struct bst_pki *pki, const struct bst_pki_order *order,
                        struct evp_pkey_st *subject, struct bst_buf *ret_pem)
{
    bst_auto(buf) der = {0};
    struct bst_cert_san san = {.flavour = order->flavour, .name = order->name};
    struct bst_cert_spec spec = {
        .common_name = order->common_name, .sans = &san, .n_sans = 1, .role = order->role,
        .not_before_us = order->not_before_us ? order->not_before_us : now_us(pki) - PKI_SKEW_US,
        .not_after_us = order->not_after_us ? order->not_after_us : now_us(pki) + PKI_YEAR_US,
    };
    BST_TRY(bst_cert_issue(&spec, subject, pki->ca, pki->key, &der));
    BST_TRY(record(pki, order, bst_buf_view(&der)));
    return bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), ret_pem);
}

bst_result bst_pki_issue(struct bst_pki *pki, const struct bst_pki_order *order,
                         struct bst_view spki_der, struct bst_buf *ret_pem)
{
    bst_auto_pkey *subject = NULL;
    BST_TRY(bst_pkey_load_public(spki_der, &subject));
    return issue(pki, order, subject, ret_pem);
}

/* The first name of a flavour that the request itself asks for. */
static bst_result name_of_request(const struct bst_csr *csr, struct bst_pki_order *order)
{
    static const enum bst_cert_flavour tried[] = {BST_CERT_AE, BST_CERT_CSE, BST_CERT_NODE};
    for (size_t f = 0; f < sizeof tried / sizeof tried[0]; f++) {
        for (size_t i = 0; i < csr->names.n; i++) {
            if (csr->names.names[i].flavours & tried[f]) {
                order->flavour = tried[f];
                order->name = bst_view(csr->names.names[i].text);
                return BST_OK;
            }
        }
    }
    BST_FAIL(BST_E_VALUE, "the certificate request has no name that a flavour of TS-0003 10.1.1 uses");
}

bst_result bst_pki_issue_csr(struct bst_pki *pki, const struct bst_pki_order *order,
                             struct bst_view csr_text, struct bst_buf *ret_pem)
{
    struct bst_csr csr = {0};
    struct bst_pki_order named = *order;
    BST_TRY(bst_csr_parse(csr_text, &csr));
    bst_result r = named.name.len ? BST_OK : name_of_request(&csr, &named);
    if (!bst_failed(r)) {
        r = issue(pki, &named, csr.key, ret_pem);
    }
    bst_csr_clear(&csr);
    return r;
}
