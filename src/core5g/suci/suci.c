/* SUCI: the text forms, the NAS form, and concealing. */
#include "core5g/suci/suci.h"

#include <stdio.h>

#define PROPRIETARY_MIN 12 /* schemes of the operators, whose output is one label in an NAI */
#define TEXT_MAX 8192      /* the longest output in hexadecimal digits, a realm and the fields */

void bst_suci_clear(struct bst_suci *suci)
{
    bst_buf_clear(&suci->output);
    *suci = (struct bst_suci){0};
}

/* ---- fields that all forms share ---- */

static bst_result field(bool ok, const char *name)
{
    if (!ok) {
        BST_FAIL(BST_E_SYNTAX, "SUCI: the %s is malformed", name);
    }
    return BST_OK;
}

static int hex_digit(struct bst_view v)
{
    static const char digits[] = "0123456789abcdef";
    if (v.len != 1 || v.ptr[0] == '\0') {
        return -1;
    }
    char c = v.ptr[0] >= 'A' && v.ptr[0] <= 'F' ? (char)(v.ptr[0] + 32) : v.ptr[0];
    const char *at = strchr(digits, c);
    return at ? (int)(at - digits) : -1;
}

/* Decimal without leading zeros; -1 when it is not. */
static int small_number(struct bst_view v, int max)
{
    int64_t number;
    if (!bst_digits_only(v, 1, 3) || (v.len > 1 && v.ptr[0] == '0') ||
        bst_failed(bst_parse_i64(v, &number)) || number > max) {
        return -1;
    }
    return (int)number;
}

static bst_result check_scheme(const struct bst_suci *suci)
{
    if (suci->scheme > BST_SUCI_PROFILE_B && suci->scheme < PROPRIETARY_MIN) {
        BST_FAIL(BST_E_VALUE, "SUCI: protection scheme %u is reserved", (unsigned)suci->scheme);
    }
    if (suci->scheme == BST_SUCI_NULL && suci->key_id != 0) {
        BST_FAIL(BST_E_VALUE, "SUCI: the null scheme has key id 0");
    }
    return BST_OK;
}

static bst_result set_scheme(struct bst_suci *suci, struct bst_view scheme, struct bst_view key_id)
{
    int digit = hex_digit(scheme), id = small_number(key_id, BST_SUCI_KEY_ID_MAX);
    BST_TRY(field(digit >= 0, "protection scheme"));
    BST_TRY(field(id >= 0, "key id"));
    suci->scheme = (uint8_t)digit;
    suci->key_id = (uint8_t)id;
    return check_scheme(suci);
}

static bst_result set_routing(struct bst_suci *suci, struct bst_view routing)
{
    BST_TRY(field(bst_digits_only(routing, 1, 4), "routing indicator"));
    return bst_view_copy(routing, suci->routing, sizeof suci->routing);
}

static bst_result add_hex(struct bst_suci *suci, struct bst_view digits, size_t max)
{
    BST_TRY(field(digits.len >= 2 && digits.len % 2 == 0, "scheme output"));
    BST_ENSURE(digits.len / 2 <= max, BST_E_TOO_LONG);
    char *at = bst_buf_reserve(&suci->output, digits.len / 2);
    BST_ENSURE(at, BST_E_NOMEM);
    BST_TRY(field(!bst_failed(bst_hex_decode(digits, at, digits.len / 2)), "scheme output"));
    suci->output.len += digits.len / 2;
    return BST_OK;
}

/* What the null scheme shows is a SUPI like any other. */
static bst_result set_clear_output(struct bst_suci *suci, struct bst_view text)
{
    struct bst_supi supi = {.type = suci->type};
    if (suci->type == BST_SUPI_IMSI) {
        BST_TRY(field(bst_digits_only(text, 1, BST_MSIN_MAX), "MSIN"));
        BST_TRY(bst_view_copy(text, supi.msin, sizeof supi.msin));
    } else {
        BST_TRY(field(bst_username_valid(text), "user name"));
        BST_TRY(bst_view_copy(text, supi.username, sizeof supi.username));
    }
    return bst_supi_scheme_input(&supi, &suci->output);
}

static bst_result set_output(struct bst_suci *suci, struct bst_view text)
{
    return suci->scheme == BST_SUCI_NULL ? set_clear_output(suci, text)
                                         : add_hex(suci, text, BST_SUCI_OUTPUT_MAX);
}

static bst_result set_plmn(struct bst_suci *suci, struct bst_view mcc, struct bst_view mnc)
{
    BST_TRY(field(bst_digits_only(mcc, 3, 3), "MCC"));
    BST_TRY(field(bst_digits_only(mnc, 2, 3), "MNC"));
    BST_TRY(bst_view_copy(mcc, suci->mcc, sizeof suci->mcc));
    return bst_view_copy(mnc, suci->mnc, sizeof suci->mnc);
}

static bst_result set_realm(struct bst_suci *suci, struct bst_view realm)
{
    BST_TRY(field(bst_realm_valid(realm), "realm"));
    return bst_view_copy(realm, suci->realm, sizeof suci->realm);
}

/* ---- suci-0-mcc-mnc-rid-scheme-key-output ---- */

/* Routing indicator, scheme and key id; false when `rest` does not begin with them. */
static bool cut_middle(struct bst_view *rest, struct bst_view ret[3])
{
    for (int i = 0; i < 3; i++) {
        if (!bst_view_cut(rest, '-', &ret[i])) {
            return false;
        }
    }
    return true;
}

static bst_result set_rest(struct bst_suci *suci, const struct bst_view middle[3],
                           struct bst_view output)
{
    BST_TRY(set_routing(suci, middle[0]));
    BST_TRY(set_scheme(suci, middle[1], middle[2]));
    return set_output(suci, output);
}

static bst_result parse_imsi(struct bst_view rest, struct bst_suci *suci)
{
    struct bst_view mcc, mnc, middle[3];
    BST_TRY(field(bst_view_cut(&rest, '-', &mcc) && bst_view_cut(&rest, '-', &mnc) &&
                      cut_middle(&rest, middle),
                  "number of fields"));
    BST_TRY(set_plmn(suci, mcc, mnc));
    return set_rest(suci, middle, rest);
}

/* Could the fields after a realm begin here? */
static bool fields_fit(const struct bst_view middle[3])
{
    int scheme = hex_digit(middle[1]);
    int id = small_number(middle[2], BST_SUCI_KEY_ID_MAX);
    return bst_digits_only(middle[0], 1, 4) && scheme >= 0 && id >= 0 && (scheme || id == 0);
}

/* A realm and a user name may hold hyphens themselves: every cut is tried, and only one may fit. */
static bst_result parse_nai(struct bst_view text, struct bst_suci *suci)
{
    struct bst_view realm = {0}, output = {0}, middle[3] = {{0}};
    unsigned readings = 0;
    for (size_t i = 1; i < text.len && i <= BST_NAI_MAX && readings < 2; i++) {
        struct bst_view rest = bst_view_from(text, i + 1), fields[3];
        if (text.ptr[i] == '-' && bst_realm_valid(bst_view_of(text.ptr, i)) &&
            cut_middle(&rest, fields) && fields_fit(fields)) {
            readings++;
            realm = bst_view_of(text.ptr, i);
            output = rest;
            memcpy(middle, fields, sizeof middle);
        }
    }
    if (readings != 1) {
        BST_FAIL(BST_E_SYNTAX, readings ? "SUCI: more than one reading is possible"
                                        : "SUCI: realm and fields are malformed");
    }
    BST_TRY(set_realm(suci, realm));
    return set_rest(suci, middle, output);
}

static bst_result parse_sbi(struct bst_view text, struct bst_suci *suci)
{
    struct bst_view type;
    BST_TRY(field(bst_view_cut(&text, '-', &type) && type.len == 1, "SUPI type"));
    switch (type.ptr[0]) {
    case '0':
        return parse_imsi(text, suci);
    case '1':
        suci->type = BST_SUPI_NAI;
        return parse_nai(text, suci);
    default:
        BST_FAIL(BST_E_VALUE, "SUCI: only SUPI types 0 (IMSI) and 1 (NAI) are supported");
    }
}

/* ---- type1.rid0.schid1.hnkey27.ecckey...cip...mac...@realm ---- */

static bool take_prefix(struct bst_view *rest, struct bst_view prefix)
{
    if (!bst_view_starts(*rest, prefix)) {
        return false;
    }
    *rest = bst_view_from(*rest, prefix.len);
    return true;
}

/* "<name><value>." at the front. */
static bool take_label(struct bst_view *rest, struct bst_view name, struct bst_view *ret)
{
    return take_prefix(rest, name) && bst_view_cut(rest, '.', ret);
}

static bst_result parse_ecies_labels(struct bst_view rest, struct bst_suci *suci)
{
    struct bst_view key, ciphertext;
    BST_TRY(field(take_label(&rest, BST_VIEW("ecckey"), &key), "ecckey label"));
    BST_TRY(field(take_label(&rest, BST_VIEW("cip"), &ciphertext), "cip label"));
    BST_TRY(field(take_prefix(&rest, BST_VIEW("mac")), "mac label"));
    const struct bst_suci_scheme *scheme = bst_suci_scheme(suci->scheme);
    BST_TRY(field(scheme && scheme->ecies, "protection scheme"));
    BST_TRY(field(key.len == 2 * bst_curve_point_bytes(scheme->curve) && rest.len == 16,
                  "length of ecckey or mac"));
    BST_TRY(add_hex(suci, key, BST_CURVE_POINT_MAX));
    BST_TRY(add_hex(suci, ciphertext, BST_NAI_MAX));
    return add_hex(suci, rest, 8);
}

static bst_result parse_nai_form(struct bst_view text, struct bst_suci *suci)
{
    struct bst_view realm = text, rest, routing, scheme, key_id = BST_VIEW("0");
    suci->type = BST_SUPI_NAI;
    BST_TRY(field(bst_view_cut(&realm, '@', &rest), "realm"));
    BST_TRY(set_realm(suci, realm));
    BST_TRY(field(take_prefix(&rest, BST_VIEW("type1.")), "SUPI type"));
    BST_TRY(field(take_label(&rest, BST_VIEW("rid"), &routing), "rid label"));
    BST_TRY(set_routing(suci, routing));
    BST_TRY(field(take_label(&rest, BST_VIEW("schid"), &scheme), "schid label"));
    if (bst_view_is(scheme, "0")) {
        BST_TRY(field(take_prefix(&rest, BST_VIEW("userid")), "userid label"));
        BST_TRY(set_scheme(suci, scheme, key_id));
        return set_output(suci, rest);
    }
    BST_TRY(field(take_label(&rest, BST_VIEW("hnkey"), &key_id), "hnkey label"));
    BST_TRY(set_scheme(suci, scheme, key_id));
    if (suci->scheme < PROPRIETARY_MIN) {
        return parse_ecies_labels(rest, suci);
    }
    BST_TRY(field(take_prefix(&rest, BST_VIEW("out")), "out label"));
    return add_hex(suci, rest, BST_SUCI_OUTPUT_MAX);
}

/* ---- both ---- */

bst_result bst_suci_parse(struct bst_view text, struct bst_suci *ret)
{
    bst_auto(suci) suci = {0};
    if (text.len > TEXT_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "SUCI: %zu characters", text.len);
    }
    if (bst_view_starts(text, BST_VIEW("suci-"))) {
        BST_TRY(parse_sbi(bst_view_from(text, 5), &suci));
    } else if (bst_view_starts(text, BST_VIEW("type"))) {
        BST_TRY(parse_nai_form(text, &suci));
    } else {
        BST_FAIL(BST_E_SYNTAX, "a SUCI begins with 'suci-' or 'type1.'");
    }
    *ret = suci;
    suci = (struct bst_suci){0};
    return BST_OK;
}

static bst_result add_clear_output(const struct bst_suci *suci, struct bst_buf *ret)
{
    struct bst_supi supi = {.type = suci->type};
    BST_TRY(bst_supi_take_input(bst_buf_view(&suci->output), &supi));
    bst_buf_adds(ret, suci->type == BST_SUPI_IMSI ? supi.msin : supi.username);
    return bst_buf_check(ret);
}

bst_result bst_suci_format(const struct bst_suci *suci, struct bst_buf *ret)
{
    if (suci->type == BST_SUPI_IMSI) {
        bst_buf_addf(ret, "suci-0-%s-%s-", suci->mcc, suci->mnc);
    } else {
        bst_buf_addf(ret, "suci-1-%s-", suci->realm);
    }
    bst_buf_addf(ret, "%s-%x-%u-", suci->routing, (unsigned)suci->scheme, (unsigned)suci->key_id);
    if (suci->scheme == BST_SUCI_NULL) {
        return add_clear_output(suci, ret);
    }
    bst_hex_add(ret, bst_buf_view(&suci->output), false);
    return bst_buf_check(ret);
}

static bst_result add_ecies_labels(const struct bst_suci *suci, struct bst_buf *ret)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(suci->scheme);
    struct bst_view out = bst_buf_view(&suci->output);
    BST_ENSURE(scheme && scheme->ecies, BST_E_USAGE);
    size_t point = bst_curve_point_bytes(scheme->curve);
    BST_ENSURE(out.len > scheme->overhead, BST_E_VALUE);
    bst_buf_adds(ret, "ecckey");
    bst_hex_add(ret, bst_view_of(out.ptr, point), false);
    bst_buf_adds(ret, ".cip");
    bst_hex_add(ret, bst_view_of(out.ptr + point, out.len - scheme->overhead), false);
    bst_buf_adds(ret, ".mac");
    bst_hex_add(ret, bst_view_from(out, out.len - 8), false);
    return BST_OK;
}

static bst_result add_labels(const struct bst_suci *suci, struct bst_buf *ret)
{
    if (suci->scheme == BST_SUCI_NULL) {
        bst_buf_adds(ret, "userid");
        return add_clear_output(suci, ret);
    }
    bst_buf_addf(ret, "hnkey%u.", (unsigned)suci->key_id);
    if (suci->scheme < PROPRIETARY_MIN) {
        return add_ecies_labels(suci, ret);
    }
    bst_buf_adds(ret, "out");
    bst_hex_add(ret, bst_buf_view(&suci->output), false);
    return BST_OK;
}

bst_result bst_suci_format_nai(const struct bst_suci *suci, struct bst_buf *ret)
{
    BST_ENSURE(suci->type == BST_SUPI_NAI, BST_E_USAGE);
    bst_buf_addf(ret, "type1.rid%s.schid%x.", suci->routing, (unsigned)suci->scheme);
    BST_TRY(add_labels(suci, ret));
    bst_buf_addf(ret, "@%s", suci->realm);
    return bst_buf_check(ret);
}

/* ---- 5GS mobile identity ---- */

#define NAS_IMSI 0x01
#define NAS_NAI 0x11
#define NAS_IMSI_HEAD_BYTES 8

/* Digits from nibbles, low first, up to the first filler; only fillers may follow it. */
static bool nibbles(const uint8_t *in, size_t octets, size_t min, char *out)
{
    size_t n = 0;
    bool ended = false;
    for (size_t i = 0; i < 2 * octets; i++) {
        unsigned nibble = i % 2 ? in[i / 2] >> 4 : in[i / 2] & 0xf;
        if (nibble != 0xf && (ended || nibble > 9)) {
            return false;
        }
        if (nibble == 0xf) {
            ended = true;
        } else {
            out[n++] = (char)('0' + nibble);
        }
    }
    out[n] = '\0';
    return n >= min;
}

static bst_result nas_imsi(const uint8_t *in, size_t len, struct bst_suci *suci)
{
    /* MCC 2 1, MNC 3 MCC 3, MNC 2 1: put into the order of the digits first. */
    BST_ENSURE(len > NAS_IMSI_HEAD_BYTES, BST_E_TRUNCATED);
    const uint8_t plmn[3] = {in[1], (uint8_t)((in[2] & 0xf) | (in[3] & 0xf) << 4),
                             (uint8_t)(in[3] >> 4 | (in[2] & 0xf0))};
    char digits[7];
    BST_TRY(field(nibbles(plmn, 3, 5, digits), "MCC or MNC"));
    BST_TRY(field(nibbles(in + 4, 2, 1, suci->routing), "routing indicator"));
    BST_TRY(field(in[6] <= 0xf, "protection scheme"));
    BST_TRY(field(in[7] <= BST_SUCI_KEY_ID_MAX, "key id"));
    memcpy(suci->mcc, digits, 3);
    memcpy(suci->mnc, digits + 3, strlen(digits) - 3);
    suci->scheme = in[6];
    suci->key_id = in[7];
    BST_TRY(check_scheme(suci));
    BST_ENSURE(len - NAS_IMSI_HEAD_BYTES <= BST_SUCI_OUTPUT_MAX, BST_E_TOO_LONG);
    bst_buf_add(&suci->output, in + NAS_IMSI_HEAD_BYTES, len - NAS_IMSI_HEAD_BYTES);
    return bst_buf_check(&suci->output);
}

bst_result bst_suci_parse_nas(struct bst_view octets, struct bst_suci *ret)
{
    bst_auto(suci) suci = {0};
    const uint8_t *in = (const uint8_t *)octets.ptr;
    if (octets.len == 0) {
        BST_FAIL(BST_E_TRUNCATED, "the mobile identity is empty");
    }
    if (in[0] == NAS_IMSI) {
        BST_TRY(nas_imsi(in, octets.len, &suci));
    } else if (in[0] == NAS_NAI) {
        BST_ENSURE(octets.len <= TEXT_MAX, BST_E_TOO_LONG);
        BST_TRY(parse_nai_form(bst_view_from(octets, 1), &suci));
    } else {
        BST_FAIL(BST_E_VALUE, "the mobile identity is no SUCI of an IMSI or NAI");
    }
    *ret = suci;
    suci = (struct bst_suci){0};
    return BST_OK;
}

static unsigned nibble_at(const char *digits, size_t at)
{
    return at < strlen(digits) ? (unsigned)(digits[at] - '0') : 0xf;
}

bst_result bst_suci_format_nas(const struct bst_suci *suci, struct bst_buf *ret)
{
    if (suci->type == BST_SUPI_NAI) {
        bst_buf_addc(ret, NAS_NAI);
        return bst_suci_format_nai(suci, ret);
    }
    const uint8_t head[NAS_IMSI_HEAD_BYTES] = {
        NAS_IMSI,
        (uint8_t)(nibble_at(suci->mcc, 1) << 4 | nibble_at(suci->mcc, 0)),
        (uint8_t)(nibble_at(suci->mnc, 2) << 4 | nibble_at(suci->mcc, 2)),
        (uint8_t)(nibble_at(suci->mnc, 1) << 4 | nibble_at(suci->mnc, 0)),
        (uint8_t)(nibble_at(suci->routing, 1) << 4 | nibble_at(suci->routing, 0)),
        (uint8_t)(nibble_at(suci->routing, 3) << 4 | nibble_at(suci->routing, 2)),
        suci->scheme,
        suci->key_id,
    };
    bst_buf_add(ret, head, sizeof head);
    bst_buf_addv(ret, bst_buf_view(&suci->output));
    return bst_buf_check(ret);
}

/* ---- concealing ---- */

bst_result bst_suci_conceal(const struct bst_supi *supi, const struct bst_suci_home *home,
                            struct bst_suci *ret)
{
    const struct bst_suci_scheme *scheme = bst_suci_scheme(home->scheme);
    bst_auto(suci) suci = {.type = supi->type, .scheme = home->scheme, .key_id = home->key_id};
    bst_auto(buf) input = {0};
    if (!scheme) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "protection scheme %u is not part of this build",
                 (unsigned)home->scheme);
    }
    BST_ENSURE(home->key_id <= BST_SUCI_KEY_ID_MAX, BST_E_VALUE);
    BST_TRY(check_scheme(&suci));
    BST_TRY(set_routing(&suci, bst_view(home->routing[0] ? home->routing : "0")));
    BST_TRY(supi->type == BST_SUPI_IMSI ? set_plmn(&suci, bst_view(supi->mcc), bst_view(supi->mnc))
                                        : set_realm(&suci, bst_view(supi->realm)));
    BST_TRY(bst_supi_scheme_input(supi, &input));
    bst_result sealed = scheme->conceal(scheme, bst_view_of(home->public_key, scheme->public_bytes),
                                        NULL, bst_buf_view(&input), &suci.output);
    bst_buf_wipe(&input);
    BST_TRY(sealed);
    *ret = suci;
    suci = (struct bst_suci){0};
    return BST_OK;
}
