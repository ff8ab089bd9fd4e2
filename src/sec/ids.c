/* Normal form of entity ids and Credential-IDs.
 * TS-0001 V3.36, 7.2 (identifier formats); TS-0003 V3.18, 10.4, 10.5, 12.2. */
#include "sec/ids.h"

#include <stdio.h>

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool label_valid(struct bst_view label)
{
    if (!label.len || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = lower(label.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

bool bst_fqdn_valid(struct bst_view name)
{
    if (!name.len || name.len > 253) {
        return false;
    }
    struct bst_view rest = name, label;
    bool more = true;
    while (more) {
        more = bst_view_cut(&rest, '.', &label);
        if (!label_valid(label)) {
            return false;
        }
    }
    return true;
}

/* What an id was made of, before it is put together again. */
struct parts {
    struct bst_view sp, cse, last; /* cse empty: none */
};

static bool segment_valid(struct bst_view segment, bool pattern)
{
    for (size_t i = 0; i < segment.len; i++) {
        if (!is_unreserved(segment.ptr[i]) && !(pattern && segment.ptr[i] == '*')) {
            return false;
        }
    }
    /* "." and ".." would read as path steps, "-" is the short name of a CSEBase. */
    return segment.len && !bst_view_is(segment, ".") && !bst_view_is(segment, "..") &&
           !bst_view_is(segment, "-");
}

static bool domain_valid(struct bst_view name, bool pattern)
{
    if (!pattern || !name.len || !memchr(name.ptr, '*', name.len)) {
        return bst_fqdn_valid(name);
    }
    return name.len <= 253 && segment_valid(name, true);
}

static bst_result split(const struct bst_self *self, struct bst_view text, bool pattern,
                        struct parts *ret, enum bst_entity_form *ret_form)
{
    struct bst_view rest = text, first;
    *ret_form = BST_FORM_STEM;
    ret->sp = self->sp_domain;
    ret->cse = (struct bst_view){NULL, 0};
    if (bst_view_starts(text, BST_VIEW("//"))) {
        *ret_form = BST_FORM_ABSOLUTE;
        rest = bst_view_from(text, 2);
        if (!bst_view_cut(&rest, '/', &ret->sp) || !domain_valid(ret->sp, pattern)) {
            BST_FAIL(BST_E_SYNTAX, "'%.*s' is not an absolute entity identifier",
                     BST_VIEW_ARGS(text));
        }
    } else if (bst_view_starts(text, BST_VIEW("/"))) {
        *ret_form = BST_FORM_SP_RELATIVE;
        rest = bst_view_from(text, 1);
    }
    if (bst_view_cut(&rest, '/', &first)) {
        ret->cse = first;
        ret->last = rest;
    } else {
        ret->last = first;
    }
    bool two = ret->cse.len > 0;
    if (!segment_valid(ret->last, pattern) || (first.len == 0) ||
        (two && (*ret_form == BST_FORM_STEM || !segment_valid(ret->cse, pattern)))) {
        BST_FAIL(BST_E_SYNTAX, "'%.*s' is neither an AE-ID nor a CSE-ID", BST_VIEW_ARGS(text));
    }
    return BST_OK;
}

static enum bst_entity_kind kind_of(const struct bst_self *self, const struct parts *p,
                                    enum bst_entity_form form)
{
    if (form == BST_FORM_STEM || p->cse.len) {
        return p->last.ptr[0] == 'C'   ? BST_ENTITY_AE_C
               : p->last.ptr[0] == 'S' ? BST_ENTITY_AE_S
                                       : BST_ENTITY_UNKNOWN;
    }
    if (bst_view_eq(p->last, self->cse)) {
        return BST_ENTITY_CSE;
    }
    return p->last.ptr[0] == 'S' ? BST_ENTITY_AE_S : BST_ENTITY_CSE;
}

static bst_result join(const struct parts *p, struct bst_entity_id *id)
{
    size_t len = 2 + p->sp.len + 1 + (p->cse.len ? p->cse.len + 1 : 0) + p->last.len;
    if (len > BST_ENTITY_ID_MAX) {
        BST_FAIL(BST_E_TOO_LONG, "an identifier of %zu characters is too long", len);
    }
    char *out = id->abs;
    *out++ = '/';
    *out++ = '/';
    for (size_t i = 0; i < p->sp.len; i++) {
        *out++ = lower(p->sp.ptr[i]); /* domain names compare without case, the rest with it */
    }
    *out++ = '/';
    if (p->cse.len) {
        memcpy(out, p->cse.ptr, p->cse.len);
        out += p->cse.len;
        *out++ = '/';
    }
    memcpy(out, p->last.ptr, p->last.len);
    id->len = (uint16_t)len;
    id->abs[len] = '\0';
    id->sp_len = (uint16_t)p->sp.len;
    id->cse_len = (uint16_t)(p->cse.len                   ? p->cse.len
                             : id->kind == BST_ENTITY_CSE ? p->last.len
                                                          : 0);
    id->last = (uint16_t)(len - p->last.len);
    return BST_OK;
}

static bst_result parse(const struct bst_self *self, struct bst_view text, bool pattern,
                        struct bst_entity_id *ret)
{
    struct parts p;
    struct bst_entity_id id = {0};
    BST_TRY(split(self, text, pattern, &p, &id.form));
    id.kind = kind_of(self, &p, id.form);
    if (id.form == BST_FORM_STEM && id.kind != BST_ENTITY_AE_S) {
        p.cse = self->cse; /* the registrar's id goes before every other stem */
    } else if (id.kind == BST_ENTITY_AE_S && bst_view_eq(p.cse, self->cse) &&
               bst_view_eq_nocase(p.sp, self->sp_domain)) {
        p.cse.len = 0;
    } else if (id.kind == BST_ENTITY_AE_S && p.cse.len) {
        id.kind = BST_ENTITY_UNKNOWN; /* S stems have no CSE part: not a form of the standard */
    }
    BST_TRY(join(&p, &id));
    *ret = id;
    return BST_OK;
}

bst_result bst_entity_parse(const struct bst_self *self, struct bst_view text,
                            struct bst_entity_id *ret)
{
    return parse(self, text, false, ret);
}

bst_result bst_entity_pattern(const struct bst_self *self, struct bst_view text,
                              struct bst_entity_id ret[2], size_t *ret_n)
{
    BST_TRY(parse(self, text, true, &ret[0]));
    *ret_n = 1;
    if (ret[0].form == BST_FORM_STEM && text.ptr[0] == '*') {
        /* The first letter is open, so the AE may belong to the domain or to this CSE. */
        struct parts p = {self->sp_domain, {NULL, 0}, text};
        ret[1] = ret[0];
        BST_TRY(join(&p, &ret[1]));
        *ret_n = 2;
    }
    return BST_OK;
}

bool bst_entity_matches(const struct bst_entity_id *pattern, const struct bst_entity_id *id)
{
    return (pattern->form != BST_FORM_STEM || id->kind != BST_ENTITY_CSE) &&
           bst_wildcard_match(bst_entity_abs(pattern), bst_entity_abs(id), '/');
}

bst_result bst_entity_self(const struct bst_self *self, struct bst_entity_id *ret)
{
    struct parts p = {self->sp_domain, {NULL, 0}, self->cse};
    struct bst_entity_id id = {.kind = BST_ENTITY_CSE, .form = BST_FORM_ABSOLUTE};
    BST_TRY(join(&p, &id));
    *ret = id;
    return BST_OK;
}

struct bst_view bst_entity_cse(const struct bst_entity_id *id)
{
    return (struct bst_view){id->abs, id->cse_len ? (size_t)id->sp_len + 3 + id->cse_len : 0};
}

bst_result bst_relative_id_split(struct bst_view text, struct bst_view *ret_relative,
                                 struct bst_view *ret_fqdn)
{
    struct bst_view rest = text, relative;
    bool has_at = bst_view_cut(&rest, '@', &relative);
    bool ok =
        has_at && relative.len && relative.len <= BST_RELATIVE_PART_MAX && bst_fqdn_valid(rest);
    for (size_t i = 0; ok && i < relative.len; i++) {
        ok = is_unreserved(relative.ptr[i]) && relative.ptr[i] != '~';
    }
    if (!ok) {
        BST_FAIL(BST_E_SYNTAX, "'%.*s' does not have the form <relative id>@<FQDN>",
                 BST_VIEW_ARGS(text));
    }
    *ret_relative = relative;
    *ret_fqdn = rest;
    return BST_OK;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_escape(struct bst_view v, size_t i)
{
    return v.ptr[i] == '_' && i + 2 < v.len && hex_value(v.ptr[i + 1]) >= 0 &&
           hex_value(v.ptr[i + 2]) >= 0;
}

bst_result bst_cred_id_format(enum bst_cred_type type, struct bst_view value,
                              char ret[BST_CRED_ID_MAX + 1])
{
    char out[BST_CRED_ID_MAX + 1];
    size_t len = (size_t)snprintf(out, sizeof out, "%d-", (int)type);
    BST_ENSURE(value.len, BST_E_SYNTAX);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        /* An underscore that would read as an escape is escaped itself: no two values meet. */
        bool plain = c == '@' || (is_unreserved(c) && c != '~' && !is_escape(value, i));
        if (len + (plain ? 1 : 3) > BST_CRED_ID_MAX) {
            BST_FAIL(BST_E_TOO_LONG, "the Credential-ID would exceed %d characters",
                     BST_CRED_ID_MAX);
        }
        if (plain) {
            out[len++] = c;
        } else {
            len += (size_t)snprintf(out + len, sizeof out - len, "_%02x", (unsigned)(uint8_t)c);
        }
    }
    memcpy(ret, out, len);
    ret[len] = '\0';
    return BST_OK;
}

bst_result bst_cred_id_parse(struct bst_view cred_id, enum bst_cred_type *ret_type,
                             struct bst_buf *ret_value)
{
    struct bst_view rest = cred_id, head;
    int64_t type;
    if (!bst_view_cut(&rest, '-', &head) || bst_failed(bst_parse_i64(head, &type)) || type < 10 ||
        type > 99 || head.len != 2 || !rest.len) {
        BST_FAIL(BST_E_SYNTAX, "'%.*s' is not a Credential-ID", BST_VIEW_ARGS(cred_id));
    }
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];
        BST_ENSURE(c == '@' || (is_unreserved(c) && c != '~'), BST_E_SYNTAX);
        if (is_escape(rest, i)) {
            c = (char)(hex_value(rest.ptr[i + 1]) * 16 + hex_value(rest.ptr[i + 2]));
            i += 2;
        }
        bst_buf_addc(ret_value, c);
    }
    *ret_type = (enum bst_cred_type)type;
    return bst_buf_check(ret_value);
}
