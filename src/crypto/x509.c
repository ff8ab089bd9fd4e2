/* Certificates: load, names by flavour (TS-0003 10.1.1), facts, identifiers (10.1.2). */
#include "crypto/x509.h"

#include "crypto/rand.h"
#include "crypto/x509_priv.h"

#include <ctype.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <time.h>

void bst_cert_free(struct x509_st **cert)
{
    X509_free(*cert);
    *cert = NULL;
}

bool bst_is_pem(struct bst_view text)
{
    return text.len && memmem(text.ptr, text.len, "-----BEGIN ", 11) != NULL;
}

bst_result bst_x509_bio(struct bst_view text, BIO **ret)
{
    BST_TRY(bst_crypto_start());
    if (text.len == 0) {
        BST_FAIL(BST_E_TRUNCATED, "there is nothing in it");
    }
    if (text.len > BST_X509_TEXT_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "%zu bytes are too many", text.len);
    }
    *ret = BIO_new_mem_buf(text.ptr, (int)text.len);
    BST_ENSURE(*ret, BST_E_NOMEM);
    return BST_OK;
}

static X509 *cert_der(struct bst_view der)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    if (cert && at != (const uint8_t *)der.ptr + der.len) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

bst_result bst_cert_load(struct bst_view text, struct x509_st **ret)
{
    bst_auto_ossl(bio) BIO *bio = NULL;
    BST_TRY(bst_x509_bio(text, &bio));
    X509 *cert = bst_is_pem(text) ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : cert_der(text);
    if (!cert) {
        return bst_crypto_fail(BST_E_SYNTAX, "not a certificate in PEM or DER");
    }
    *ret = cert;
    return BST_OK;
}

bst_result bst_cert_load_all(struct bst_view pem,
                             bst_result (*each)(void *ctx, struct x509_st *take_cert), void *ctx,
                             size_t *ret_count)
{
    bst_auto_ossl(bio) BIO *bio = NULL;
    BST_TRY(bst_x509_bio(pem, &bio));
    size_t count = 0;
    X509 *cert;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        BST_TRY(each(ctx, cert));
        count++;
    }
    /* The regular end is "no start line"; a damaged block is something else. */
    if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        return bst_crypto_fail(BST_E_SYNTAX, "certificate %zu of the PEM text is damaged or absent",
                               count + 1);
    }
    ERR_clear_error();
    *ret_count = count;
    return BST_OK;
}

bst_result bst_cert_der(const struct x509_st *cert, struct bst_buf *ret)
{
    int len = i2d_X509(cert, NULL);
    uint8_t *out = len > 0 ? (uint8_t *)bst_buf_reserve(ret, (size_t)len) : NULL;
    if (!out || i2d_X509(cert, &out) != len) {
        return bst_crypto_fail(BST_E_CRYPTO, "certificate cannot be encoded");
    }
    ret->len += (size_t)len;
    return BST_OK;
}

bst_result bst_der_to_pem(const char *name, struct bst_view der, struct bst_buf *ret)
{
    bst_auto(buf) base64 = {0};
    bst_base64_add(&base64, der);
    BST_TRY(bst_buf_check(&base64));
    bst_buf_addf(ret, "-----BEGIN %s-----\n", name);
    for (size_t at = 0; at < base64.len; at += 64) {
        bst_buf_add(ret, base64.ptr + at, base64.len - at < 64 ? base64.len - at : 64);
        bst_buf_addc(ret, '\n');
    }
    bst_buf_addf(ret, "-----END %s-----\n", name);
    return bst_buf_check(ret);
}

bst_result bst_cert_pem(const struct x509_st *cert, struct bst_buf *ret)
{
    bst_auto(buf) der = {0};
    BST_TRY(bst_cert_der(cert, &der));
    return bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), ret);
}

bst_result bst_cert_public_key(const struct x509_st *cert, struct evp_pkey_st **ret)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert);
    if (!pkey) {
        return bst_crypto_fail(BST_E_BAD_KEY, "the certificate's public key is not usable");
    }
    *ret = bst_pkey_hold(pkey);
    return BST_OK;
}

/* ---- names ---- */

const char *bst_cert_flavour_name(enum bst_cert_flavour flavour)
{
    switch (flavour) {
    case BST_CERT_AE:
        return "AE-ID";
    case BST_CERT_CSE:
        return "CSE-ID";
    case BST_CERT_NODE:
        return "Node-ID";
    case BST_CERT_DEVICE:
        return "device";
    case BST_CERT_FQDN:
        return "FQDN";
    }
    return "?";
}

void bst_cert_names_clear(struct bst_cert_names *names)
{
    bst_free(names->names);
    *names = (struct bst_cert_names){0};
}

static struct bst_view asn1_view(const ASN1_STRING *string)
{
    return bst_view_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

/* [TS-0003, 10.1.1.5 to 10.1.1.8] these certificates "shall not include wildcards". */
static bst_result check_text(struct bst_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '*') {
            BST_FAIL(BST_E_BAD_CERT, "the certificate has a wildcard in its names");
        }
        if (c <= ' ' || c > '~') {
            BST_FAIL(BST_E_BAD_CERT, "byte 0x%02x in a name of the certificate", c);
        }
    }
    if (text.len == 0 || text.len >= BST_CERT_NAME_BYTES) {
        BST_FAIL(BST_E_BAD_CERT, "a name of the certificate has %zu bytes, 1 to %d are possible",
                 text.len, BST_CERT_NAME_BYTES - 1);
    }
    return BST_OK;
}

static bool domain_char(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_';
}

static bool is_domain(struct bst_view text)
{
    size_t label = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '.' ? label == 0 : !domain_char(c)) {
            return false;
        }
        label = c == '.' ? 0 : label + 1;
        if (label > 63) {
            return false;
        }
    }
    return label > 0 && text.len <= 253;
}

static bst_result dns_name(struct bst_view text, struct bst_cert_name *ret)
{
    BST_TRY(check_text(text));
    if (!is_domain(text)) {
        BST_FAIL(BST_E_BAD_CERT, "'%.*s' is no domain name", BST_VIEW_ARGS(text));
    }
    ret->flavours = BST_CERT_CSE | BST_CERT_FQDN | BST_CERT_NODE;
    for (size_t i = 0; i < text.len; i++) {
        ret->text[i] = (char)tolower((unsigned char)text.ptr[i]);
    }
    return BST_OK;
}

static bool is_scheme(struct bst_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!isalpha(c) && (i == 0 || !(isdigit(c) || c == '+' || c == '-' || c == '.'))) {
            return false;
        }
    }
    return text.len > 0;
}

/* The text names no scheme for the "full URI representation of the AE-ID": any is accepted, and
 * what follows its colon is the Absolute AE-ID. A URI that is a host only may be an FQDN
 * (10.1.1.6); one without authority (urn:) names a node. */
static bst_result uri_name(struct bst_view text, struct bst_cert_name *ret)
{
    BST_TRY(check_text(text));
    struct bst_view rest = text, scheme;
    if (!bst_view_cut(&rest, ':', &scheme) || !is_scheme(scheme)) {
        BST_FAIL(BST_E_BAD_CERT, "'%.*s' is no URI", BST_VIEW_ARGS(text));
    }
    if (!bst_view_starts(rest, BST_VIEW("//"))) {
        ret->flavours = BST_CERT_NODE;
        return bst_view_copy(text, ret->text, sizeof ret->text);
    }
    struct bst_view path = bst_view_from(rest, 2), host;
    bst_view_cut(&path, '/', &host);
    if (path.len > 0) {
        ret->flavours = BST_CERT_AE;
        return bst_view_copy(rest, ret->text, sizeof ret->text);
    }
    if (!is_domain(host)) {
        BST_FAIL(BST_E_BAD_CERT, "'%.*s' has no domain name", BST_VIEW_ARGS(text));
    }
    BST_TRY(dns_name(host, ret));
    ret->flavours = BST_CERT_FQDN;
    return BST_OK;
}

/* X.690 8.20: base-128 arcs, shortest form. */
static bst_result relative_oid_text(struct bst_view content, struct bst_buf *ret)
{
    uint64_t arc = 0;
    bool inside = false;
    for (size_t i = 0; i < content.len; i++) {
        uint8_t byte = (uint8_t)content.ptr[i];
        if ((!inside && byte == 0x80) || arc >> 56) {
            BST_FAIL(BST_E_BAD_CERT, "an arc of a device identifier is padded or too large");
        }
        arc = arc << 7 | (byte & 0x7f);
        inside = byte & 0x80;
        if (!inside) {
            bst_buf_addf(ret, ".%llu", (unsigned long long)arc);
            arc = 0;
        }
    }
    if (inside) {
        BST_FAIL(BST_E_BAD_CERT, "the last arc of a device identifier is cut off");
    }
    return bst_buf_check(ret);
}

static bool dotted(struct bst_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit((unsigned char)text.ptr[i]) && text.ptr[i] != '.') {
            return false;
        }
    }
    return text.len > 0;
}

/* [TS-0003, 10.1.1.4.1] type-id is the device indication arc, value the remaining arcs. The ASN.1
 * type of the value is not stated: RELATIVE-OID is emitted, and text or OBJECT IDENTIFIER also
 * read. */
static bst_result other_value_text(const ASN1_TYPE *value, struct bst_buf *ret)
{
    char oid[BST_CERT_NAME_BYTES];
    switch (value->type) {
    case BST_TAG_RELATIVE_OID:
        return relative_oid_text(asn1_view(value->value.asn1_string), ret);
    case V_ASN1_OBJECT: {
        int len = OBJ_obj2txt(oid, sizeof oid, value->value.object, 1);
        BST_ENSURE(len > 0 && (size_t)len < sizeof oid, BST_E_BAD_CERT);
        bst_buf_addf(ret, ".%s", oid);
        return bst_buf_check(ret);
    }
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING: {
        struct bst_view text = asn1_view(value->value.asn1_string);
        BST_TRY(check_text(text));
        bst_buf_addc(ret, dotted(text) ? '.' : ':');
        bst_buf_addv(ret, text);
        return bst_buf_check(ret);
    }
    default:
        BST_FAIL(BST_E_BAD_CERT, "an otherName of the certificate has a value of ASN.1 type %d",
                 value->type);
    }
}

bst_result bst_other_name_text(const OTHERNAME *other, char *out, size_t cap)
{
    char type_id[BST_CERT_NAME_BYTES];
    int len = OBJ_obj2txt(type_id, sizeof type_id, other->type_id, 1);
    if (len <= 0 || (size_t)len >= sizeof type_id || !other->value) {
        BST_FAIL(BST_E_BAD_CERT, "an otherName of the certificate has no usable type");
    }
    bst_auto(buf) text = {0};
    bst_buf_adds(&text, type_id);
    BST_TRY(other_value_text(other->value, &text));
    if (bst_failed(bst_view_copy(bst_buf_view(&text), out, cap))) {
        BST_FAIL(BST_E_BAD_CERT, "an otherName of the certificate is too long");
    }
    return BST_OK;
}

static bst_result other_name(const OTHERNAME *other, struct bst_cert_name *ret)
{
    ret->flavours = BST_CERT_DEVICE | BST_CERT_NODE;
    return bst_other_name_text(other, ret->text, sizeof ret->text);
}

/* Leaves flavours at 0 for a type of name that no flavour uses. */
static bst_result one_name(const GENERAL_NAME *san, struct bst_cert_name *ret)
{
    switch (san->type) {
    case GEN_DNS:
        return dns_name(asn1_view(san->d.dNSName), ret);
    case GEN_URI:
        return uri_name(asn1_view(san->d.uniformResourceIdentifier), ret);
    case GEN_OTHERNAME:
        return other_name(san->d.otherName, ret);
    default:
        return BST_OK;
    }
}

bst_result bst_names_of(const GENERAL_NAMES *sans, struct bst_cert_names *ret)
{
    int count = sans ? sk_GENERAL_NAME_num(sans) : 0;
    if (count > BST_CERT_NAMES_MAX) {
        BST_FAIL(BST_E_BAD_CERT, "%d names in a certificate; %d are allowed", count,
                 BST_CERT_NAMES_MAX);
    }
    bst_auto(cert_names) names = {bst_alloc((size_t)count * sizeof(struct bst_cert_name)), 0};
    BST_ENSURE(names.names, BST_E_NOMEM);
    for (int i = 0; i < count; i++) {
        struct bst_cert_name *name = &names.names[names.n];
        BST_TRY(one_name(sk_GENERAL_NAME_value(sans, i), name));
        names.n += name->flavours != 0;
    }
    *ret = names;
    names = (struct bst_cert_names){0};
    return BST_OK;
}

bst_result bst_cert_names(const struct x509_st *cert, struct bst_cert_names *ret)
{
    int critical = 0;
    bst_auto_ossl(general_names) GENERAL_NAMES *sans =
        X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    /* -1: there is none; anything else without names is damaged or there twice. */
    if (!sans && critical != -1) {
        return bst_crypto_fail(BST_E_BAD_CERT, "the subjectAltName of the certificate is damaged");
    }
    return bst_names_of(sans, ret);
}

static void list_names(const struct bst_cert_names *names, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < names->n && used < cap - 1; i++) {
        int len = snprintf(out + used, cap - used, "%s%s", i ? ", " : "", names->names[i].text);
        used = len < 0 || (size_t)len >= cap - used ? cap - 1 : used + (size_t)len;
    }
}

bst_result bst_cert_expect(const struct x509_st *cert, enum bst_cert_flavour flavour,
                           struct bst_view name)
{
    bst_auto(cert_names) names = {0};
    BST_TRY(bst_cert_names(cert, &names));
    bool domain = flavour == BST_CERT_CSE || flavour == BST_CERT_FQDN;
    for (size_t i = 0; i < names.n; i++) {
        struct bst_view there = bst_view(names.names[i].text);
        if ((names.names[i].flavours & flavour) &&
            (domain ? bst_view_eq_nocase(there, name) : bst_view_eq(there, name))) {
            return BST_OK;
        }
    }
    char present[192];
    list_names(&names, present, sizeof present);
    BST_FAIL(BST_E_BAD_CERT, "the certificate does not name %s '%.*s'; it names: %s",
             bst_cert_flavour_name(flavour), BST_VIEW_ARGS(name), names.n ? present : "nothing");
}

void bst_x509_name_text(const X509_NAME *name, char *out, size_t cap)
{
    out[0] = '\0';
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(name, at);
    uint8_t *text = NULL;
    int len = entry ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : -1;
    if (len >= 0) {
        snprintf(out, cap, "%.*s", len, (char *)text);
    }
    OPENSSL_free(text);
    ERR_clear_error();
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
}

void bst_cert_subject_text(const struct x509_st *cert, char *out, size_t cap)
{
    bst_x509_name_text(X509_get_subject_name(cert), out, cap);
}

bool bst_cert_self_issued(const struct x509_st *cert)
{
    return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

static bool same_extension(const X509 *one, const X509 *other, int nid)
{
    int i = X509_get_ext_by_NID(one, nid, -1), j = X509_get_ext_by_NID(other, nid, -1);
    if (i < 0 || j < 0) {
        return i < 0 && j < 0;
    }
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(one, i)),
                                 X509_EXTENSION_get_data(X509_get_ext(other, j))) == 0;
}

bool bst_cert_same_authority(const struct x509_st *one, const struct x509_st *other)
{
    struct bst_cert_facts a, b;
    return !bst_failed(bst_cert_facts(one, &a)) && !bst_failed(bst_cert_facts(other, &b)) && a.ca &&
           b.ca && bst_equal_ct(a.spki_sha256, b.spki_sha256, sizeof a.spki_sha256) &&
           X509_NAME_cmp(X509_get_subject_name(one), X509_get_subject_name(other)) == 0 &&
           same_extension(one, other, NID_basic_constraints) &&
           same_extension(one, other, NID_name_constraints);
}

/* ---- facts ---- */

bst_result bst_asn1_time_us(const ASN1_TIME *time, int64_t *ret)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) {
        return bst_crypto_fail(BST_E_BAD_CERT, "a time in the certificate is malformed");
    }
    *ret = (int64_t)timegm(&tm) * 1000000;
    return BST_OK;
}

bst_result bst_asn1_serial_text(const ASN1_INTEGER *serial, char *out, size_t cap)
{
    struct bst_view bytes = asn1_view(serial);
    bst_auto(buf) hex = {0};
    bst_hex_add(&hex, bytes, true);
    BST_TRY(bst_buf_check(&hex));
    if (bytes.len == 0 || bytes.len > 20 ||
        bst_failed(bst_view_copy(bst_buf_view(&hex), out, cap))) {
        BST_FAIL(BST_E_BAD_CERT, "a serial number of %zu bytes", bytes.len);
    }
    return BST_OK;
}

bst_result bst_cert_facts(const struct x509_st *cert, struct bst_cert_facts *ret)
{
    struct bst_cert_facts facts = {0};
    BST_TRY(bst_asn1_time_us(X509_get0_notBefore(cert), &facts.not_before_us));
    BST_TRY(bst_asn1_time_us(X509_get0_notAfter(cert), &facts.not_after_us));
    BST_TRY(bst_asn1_serial_text(X509_get0_serialNumber(cert), facts.serial, sizeof facts.serial));
    bst_auto_ossl(bc) BASIC_CONSTRAINTS *bc =
        X509_get_ext_d2i(cert, NID_basic_constraints, NULL, NULL);
    facts.ca = bc && bc->ca;
    bst_auto(buf) der = {0}, spki = {0};
    BST_TRY(bst_cert_der(cert, &der));
    BST_TRY(bst_sha256(bst_buf_view(&der), facts.sha256));
    bst_auto_pkey *pkey = NULL;
    BST_TRY(bst_cert_public_key(cert, &pkey));
    BST_TRY(bst_pkey_spki(pkey, &spki));
    BST_TRY(bst_sha256(bst_buf_view(&spki), facts.spki_sha256));
    *ret = facts;
    return BST_OK;
}

/* ---- public key identifiers ---- */

static const struct {
    struct bst_view name;
    size_t bytes;
} identifier_forms[] = {
    {{"sha-256", 7}, 32},
    {{"sha-256-128", 11}, 16},
    {{"sha-256-120", 11}, 15},
};

bst_result bst_spki_identifier(struct bst_view spki_der, char out[BST_KEY_ID_LEN + 1])
{
    uint8_t digest[BST_SHA256_BYTES];
    BST_TRY(bst_sha256(spki_der, digest));
    bst_auto(buf) text = {0};
    bst_buf_adds(&text, "sha-256;");
    bst_base64url_add(&text, bst_view_of(digest, sizeof digest));
    BST_TRY(bst_buf_check(&text));
    return bst_view_copy(bst_buf_view(&text), out, BST_KEY_ID_LEN + 1);
}

/* [TS-0003, 10.1.2] the digest is computed "using the hash algorithm identified in the trusted
 * public key identifier" and the values are compared. */
static bst_result match_form(struct bst_view value, size_t bytes, struct bst_view spki_der)
{
    bst_auto(buf) trusted = {0};
    if (bst_failed(bst_base64url_decode(value, &trusted)) || trusted.len != bytes) {
        BST_FAIL(BST_E_SYNTAX, "a public key identifier of this form has %zu bytes in base64url",
                 bytes);
    }
    uint8_t digest[BST_SHA256_BYTES];
    BST_TRY(bst_sha256(spki_der, digest));
    if (!bst_equal_ct(digest, trusted.ptr, bytes)) {
        BST_FAIL(BST_E_BAD_CERT, "the peer's public key is not the trusted one");
    }
    return BST_OK;
}

bst_result bst_spki_identifier_match(struct bst_view trusted, struct bst_view spki_der)
{
    struct bst_view value = trusted, form;
    if (bst_view_starts(value, BST_VIEW("ni:///"))) {
        value = bst_view_from(value, 6);
    }
    if (bst_view_cut(&value, ';', &form)) {
        for (size_t i = 0; i < sizeof identifier_forms / sizeof identifier_forms[0]; i++) {
            if (bst_view_eq(form, identifier_forms[i].name)) {
                return match_form(value, identifier_forms[i].bytes, spki_der);
            }
        }
    }
    BST_FAIL(BST_E_SYNTAX, "'%.*s' is no public key identifier (sha-256;<base64url>)",
             BST_VIEW_ARGS(trusted));
}
