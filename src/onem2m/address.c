/* Addresses and identifiers: TS-0001 7.1, 7.2; TS-0004 6.2.3, 6.2.4, 6.3.3.
 *
 * One place decides what a path is. Nothing that another layer could read differently gets through:
 * no empty or dot segments, no '%', no backslash, no control characters. */
#include "onem2m/address.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 3986 2.3 */
static bool is_unreserved(char c)
{
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_name_char(char c)
{
    return is_alnum(c) || c == '-' || c == '.' || c == '_';
}

static bool all(struct bst_view v, bool (*good)(char))
{
    for (size_t i = 0; i < v.len; i++) {
        if (!good(v.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* Identifiers in use hold more than unreserved characters (node ids, "urn:..."), so a segment only
 * excludes what has a meaning in some address or what cannot be seen. */
static bool is_segment_char(char c)
{
    return (unsigned char)c > 0x20 && c != 0x7f && c != '/' && c != '\\' && c != '%' && c != '?' &&
           c != '#' && c != '"' && c != '<' && c != '>' && c != '|' && c != '^' && c != '`' &&
           c != '{' && c != '}';
}

static bst_result check_segment(struct bst_view seg)
{
    if (seg.len == 0) {
        BST_FAIL(BST_E_SYNTAX, "address: empty path segment");
    }
    if (seg.len > BST_NAME_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "address: a path segment is longer than %d bytes", BST_NAME_MAX);
    }
    if (bst_view_is(seg, ".") || bst_view_is(seg, "..")) {
        BST_FAIL(BST_E_SYNTAX, "address: dot segments are not allowed");
    }
    if (!all(seg, is_segment_char)) {
        BST_FAIL(BST_E_SYNTAX, "address: a character that is not allowed in \"%.*s\"",
                 (int)(seg.len > 64 ? 64 : seg.len), seg.ptr);
    }
    return BST_OK;
}

static bst_result split(struct bst_view rest, struct bst_m2m_address *a)
{
    /* One slash at the end is tolerated: TS-0009 table 6.2.2.1-1 prints one. */
    if (rest.len && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    a->rest = rest;
    bool more = rest.len > 0;
    while (more) {
        struct bst_view seg;
        more = bst_view_cut(&rest, '/', &seg);
        BST_TRY(check_segment(seg));
        if (a->n_seg == BST_ADDR_SEGMENTS) {
            BST_FAIL(BST_E_TOO_DEEP, "address: more than %d path segments", BST_ADDR_SEGMENTS);
        }
        a->seg[a->n_seg++] = seg;
    }
    if (a->n_seg > 1) {
        a->virt = bst_m2m_virtual_of(a->seg[a->n_seg - 1]);
    }
    return BST_OK;
}

static bst_result take_attribute(struct bst_view *to, struct bst_m2m_address *a)
{
    struct bst_view rest = *to, head;
    if (!bst_view_cut(&rest, '#', &head)) {
        return BST_OK;
    }
    if (!bst_m2m_is_ncname(rest)) {
        BST_FAIL(BST_E_SYNTAX, "address: what follows '#' is no attribute name");
    }
    *to = head;
    a->attribute = rest;
    return BST_OK;
}

static bst_result take_cse(struct bst_view *rest, struct bst_m2m_address *a)
{
    bst_view_cut(rest, '/', &a->cse);
    return check_segment(a->cse);
}

bst_result bst_m2m_address_parse(struct bst_view to, struct bst_m2m_address *ret)
{
    struct bst_m2m_address a;
    memset(&a, 0, offsetof(struct bst_m2m_address, seg));
    a.n_seg = 0;
    a.virt = BST_VIRT_NONE;
    a.attribute = (struct bst_view){NULL, 0};
    if (to.len == 0) {
        BST_FAIL(BST_E_SYNTAX, "address: empty");
    }
    if (to.len > BST_ADDR_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "address: longer than %d bytes", BST_ADDR_MAX);
    }
    if (!bst_utf8_valid(to)) {
        BST_FAIL(BST_E_SYNTAX, "address: not UTF-8");
    }
    BST_TRY(take_attribute(&to, &a));
    if (bst_view_starts(to, BST_VIEW("//"))) {
        a.scope = BST_ADDR_ABSOLUTE;
        to = bst_view_from(to, 2);
        bst_view_cut(&to, '/', &a.sp);
        if (!bst_m2m_is_fqdn(a.sp)) {
            BST_FAIL(BST_E_SYNTAX, "address: no service provider domain after \"//\"");
        }
        BST_TRY(take_cse(&to, &a));
    } else if (bst_view_starts(to, BST_VIEW("/"))) {
        a.scope = BST_ADDR_SP_RELATIVE;
        to = bst_view_from(to, 1);
        BST_TRY(take_cse(&to, &a));
    } else if (to.len == 0) {
        BST_FAIL(BST_E_SYNTAX, "address: no resource before '#'");
    }
    BST_TRY(split(to, &a));
    if (a.scope == BST_ADDR_CSE_RELATIVE && a.n_seg == 0) {
        BST_FAIL(BST_E_SYNTAX, "address: empty");
    }
    memcpy(ret, &a, offsetof(struct bst_m2m_address, seg));
    memcpy(ret->seg, a.seg, a.n_seg * sizeof a.seg[0]);
    ret->n_seg = a.n_seg;
    ret->virt = a.virt;
    ret->attribute = a.attribute;
    return BST_OK;
}

bool bst_m2m_address_is_local(const struct bst_m2m_address *a, struct bst_view sp,
                              struct bst_view csi)
{
    if (a->scope == BST_ADDR_CSE_RELATIVE) {
        return true;
    }
    if (!bst_view_eq(a->cse, bst_view_from(csi, 1))) {
        return false;
    }
    return a->scope == BST_ADDR_SP_RELATIVE || bst_view_eq_nocase(a->sp, sp);
}

bool bst_m2m_is_resource_name(struct bst_view v)
{
    return v.len > 0 && v.len <= BST_NAME_MAX && is_alnum(v.ptr[0]) && all(v, is_name_char);
}

bool bst_m2m_is_fqdn(struct bst_view v)
{
    bool label = false;
    if (v.len == 0 || v.len > 253) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        if (c == '.' ? !label : !(is_alnum(c) || c == '-' || c == '_')) {
            return false;
        }
        label = c != '.';
    }
    return label && v.ptr[0] != '-';
}

/* The ASCII part of xs:NCName is all that short names and token ids use. */
bool bst_m2m_is_ncname(struct bst_view v)
{
    if (v.len == 0 || v.len > BST_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool start = (is_alnum(c) && !is_digit(c)) || c == '_' || (unsigned char)c >= 0x80;
        if (!start && (i == 0 || !(is_digit(c) || c == '-' || c == '.'))) {
            return false;
        }
    }
    return true;
}

/* TS-0001 7.2: one segment that starts with C (unique at its registrar) or S (in the SP domain). */
bool bst_m2m_is_ae_stem(struct bst_view v)
{
    return v.len >= 2 && v.len <= BST_NAME_MAX && (v.ptr[0] == 'C' || v.ptr[0] == 'S') &&
           all(v, is_unreserved);
}

bool bst_m2m_is_csi(struct bst_view v)
{
    struct bst_view id = bst_view_from(v, 1);
    return v.len >= 2 && v.len <= BST_NAME_MAX && v.ptr[0] == '/' && all(id, is_unreserved) &&
           !bst_view_is(id, ".") && !bst_view_is(id, "..") && !bst_view_is(id, "~") &&
           !bst_view_is(id, "_");
}

bool bst_m2m_is_sp_id(struct bst_view v)
{
    return bst_view_starts(v, BST_VIEW("//")) && bst_m2m_is_fqdn(bst_view_from(v, 2));
}

bool bst_m2m_is_app_id(struct bst_view v)
{
    return v.len >= 2 && v.len <= BST_NAME_MAX &&
           (v.ptr[0] == 'N' || v.ptr[0] == 'R' || v.ptr[0] == 'r') && all(v, is_segment_char);
}

bool bst_m2m_is_id(struct bst_view v)
{
    struct bst_m2m_address a;
    if (bst_m2m_is_sp_id(v)) {
        return true;
    }
    return bst_m2m_address_parse(v, &a).code == BST_E_NONE && a.attribute.len == 0;
}

static bool is_visible(char c)
{
    return (unsigned char)c > 0x20 && c != 0x7f;
}

bool bst_m2m_is_request_id(struct bst_view v)
{
    return v.len > 0 && v.len <= BST_NAME_MAX && all(v, is_visible);
}

static bool is_issuer_relative(char c)
{
    return is_alnum(c) || c == '.' || c == '_' || c == '-';
}

static bool is_issued_id(struct bst_view v)
{
    struct bst_view rest = v, name;
    if (!bst_view_cut(&rest, '@', &name)) {
        return false;
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] >= 'A' && rest.ptr[i] <= 'Z') {
            return false; /* TS-0004 6.3.3: the FQDN in all lower case */
        }
    }
    return name.len > 0 && name.len <= BST_NAME_MAX && all(name, is_issuer_relative) &&
           bst_m2m_is_fqdn(rest);
}

bool bst_m2m_is_role_id(struct bst_view v)
{
    return is_issued_id(v);
}

bool bst_m2m_is_token_id(struct bst_view v)
{
    return is_issued_id(v);
}

bool bst_m2m_is_credential_id(struct bst_view v)
{
    return v.len > 3 && v.len <= BST_NAME_MAX && is_digit(v.ptr[0]) && is_digit(v.ptr[1]) &&
           v.ptr[2] == '-' && all(bst_view_from(v, 3), is_visible);
}

static bst_result no_originator(struct bst_view fr)
{
    BST_FAIL(BST_E_SYNTAX, "originator \"%.*s\" is neither an AE-ID nor a CSE-ID",
             (int)(fr.len > 64 ? 64 : fr.len), fr.ptr);
}

bst_result bst_m2m_originator_parse(struct bst_view fr, struct bst_m2m_originator *ret)
{
    struct bst_m2m_address a;
    BST_TRY(bst_m2m_address_parse(fr, &a));
    if (a.attribute.len || a.n_seg > 1) {
        return no_originator(fr);
    }
    struct bst_m2m_originator o = {BST_ID_OTHER, a.scope, a.sp, a.cse, {NULL, 0}};
    if (a.n_seg == 1) {
        o.stem = a.seg[0];
        o.kind = bst_m2m_is_ae_stem(o.stem) ? BST_ID_AE : BST_ID_OTHER;
    } else if (o.cse.len > 1 && o.cse.ptr[0] == 'S') {
        /* "/S..." is an AE-ID unique in the SP domain (TS-0001 7.1.2); a CSE-ID may begin so, too:
         * the caller that knows its CSEs decides, this is the default. */
        o.kind = BST_ID_AE;
        o.stem = o.cse;
        o.cse = (struct bst_view){NULL, 0};
    } else {
        o.kind = BST_ID_CSE;
    }
    *ret = o;
    return BST_OK;
}
