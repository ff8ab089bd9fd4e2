/* SUPI: text forms and scheme input. */
#include "core5g/suci/supi.h"

#define IMSI_DIGITS_MAX 15

bool bst_digits_only(struct bst_view v, size_t min, size_t max)
{
    if (v.len < min || v.len > max) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool bst_realm_valid(struct bst_view v)
{
    if (v.len == 0 || v.len > BST_NAI_MAX) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        bool edge = i == 0 || i + 1 == v.len || v.ptr[i - 1] == '.' || v.ptr[i + 1] == '.';
        if (!is_alnum(v.ptr[i]) && (edge || (v.ptr[i] != '-' && v.ptr[i] != '.'))) {
            return false;
        }
    }
    return true;
}

bool bst_username_valid(struct bst_view v)
{
    if (v.len == 0 || v.len > BST_NAI_MAX || !bst_utf8_valid(v)) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] == '@' || (unsigned char)v.ptr[i] <= ' ' || v.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bst_result parse_imsi(struct bst_view digits, unsigned mnc_digits, struct bst_supi *ret)
{
    BST_ENSURE(mnc_digits == 2 || mnc_digits == 3, BST_E_USAGE);
    if (!bst_digits_only(digits, 3 + mnc_digits + 1, IMSI_DIGITS_MAX) ||
        digits.len - 3 - mnc_digits > BST_MSIN_MAX) {
        BST_FAIL(BST_E_VALUE,
                 "an IMSI has an MCC of 3, an MNC of 2 or 3 and an MSIN of 1 to %d digits",
                 BST_MSIN_MAX);
    }
    BST_TRY(bst_view_copy(bst_view_of(digits.ptr, 3), ret->mcc, sizeof ret->mcc));
    BST_TRY(bst_view_copy(bst_view_of(digits.ptr + 3, mnc_digits), ret->mnc, sizeof ret->mnc));
    return bst_view_copy(bst_view_from(digits, 3 + mnc_digits), ret->msin, sizeof ret->msin);
}

static bst_result parse_nai(struct bst_view nai, struct bst_supi *ret)
{
    struct bst_view realm = nai, username;
    if (!bst_view_cut(&realm, '@', &username) || nai.len > BST_NAI_MAX ||
        !bst_username_valid(username) || !bst_realm_valid(realm)) {
        BST_FAIL(BST_E_VALUE, "a network access identifier is username@realm, %d octets at most",
                 BST_NAI_MAX);
    }
    BST_TRY(bst_view_copy(username, ret->username, sizeof ret->username));
    return bst_view_copy(realm, ret->realm, sizeof ret->realm);
}

bst_result bst_supi_parse(struct bst_view text, unsigned mnc_digits, struct bst_supi *ret)
{
    struct bst_supi supi = {0};
    if (bst_view_starts(text, BST_VIEW("imsi-"))) {
        BST_TRY(parse_imsi(bst_view_from(text, 5), mnc_digits, &supi));
    } else if (bst_view_starts(text, BST_VIEW("nai-"))) {
        supi.type = BST_SUPI_NAI;
        BST_TRY(parse_nai(bst_view_from(text, 4), &supi));
    } else {
        BST_FAIL(BST_E_SYNTAX, "a SUPI begins with 'imsi-' or 'nai-'");
    }
    *ret = supi;
    return BST_OK;
}

void bst_supi_bare(const struct bst_supi *supi, struct bst_buf *ret)
{
    if (supi->type == BST_SUPI_IMSI) {
        bst_buf_addf(ret, "%s%s%s", supi->mcc, supi->mnc, supi->msin);
    } else {
        bst_buf_addf(ret, "%s@%s", supi->username, supi->realm);
    }
}

void bst_supi_format(const struct bst_supi *supi, struct bst_buf *ret)
{
    bst_buf_adds(ret, supi->type == BST_SUPI_IMSI ? "imsi-" : "nai-");
    bst_supi_bare(supi, ret);
}

/* ---- scheme input ---- */

bst_result bst_supi_scheme_input(const struct bst_supi *supi, struct bst_buf *ret)
{
    if (supi->type == BST_SUPI_NAI) {
        bst_buf_adds(ret, supi->username);
        return bst_buf_check(ret);
    }
    BST_ENSURE(bst_digits_only(bst_view(supi->msin), 1, BST_MSIN_MAX), BST_E_VALUE);
    for (const char *at = supi->msin; *at; at += at[1] ? 2 : 1) {
        unsigned high = at[1] ? (unsigned)(at[1] - '0') : 0xf;
        bst_buf_addc(ret, (char)(high << 4 | (unsigned)(at[0] - '0')));
    }
    return bst_buf_check(ret);
}

static bst_result take_msin(struct bst_view input, struct bst_supi *ret)
{
    char msin[BST_MSIN_MAX + 1] = {0};
    size_t n = 0;
    bool ok = input.len >= 1 && input.len <= BST_MSIN_MAX / 2;
    for (size_t i = 0; ok && i < input.len; i++) {
        unsigned low = (uint8_t)input.ptr[i] & 0xf, high = (uint8_t)input.ptr[i] >> 4;
        bool filler = high == 0xf && i + 1 == input.len;
        ok = low <= 9 && (high <= 9 || filler);
        msin[n++] = (char)('0' + low);
        if (!filler) {
            msin[n++] = (char)('0' + high);
        }
    }
    if (!ok) {
        BST_FAIL(BST_E_VALUE, "the scheme input is no MSIN in packed BCD");
    }
    memcpy(ret->msin, msin, sizeof msin);
    return BST_OK;
}

bst_result bst_supi_take_input(struct bst_view input, struct bst_supi *ret)
{
    if (ret->type == BST_SUPI_IMSI) {
        return take_msin(input, ret);
    }
    if (!bst_username_valid(input) || input.len + 1 + strlen(ret->realm) > BST_NAI_MAX) {
        BST_FAIL(BST_E_VALUE, "the scheme input is no user name");
    }
    return bst_view_copy(input, ret->username, sizeof ret->username);
}
