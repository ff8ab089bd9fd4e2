/* Identifiers of entities: one normal form, the absolute id, so that comparing is comparing bytes.
 * TS-0001 7.2: CSE-ID, AE-ID-Stem, SP-relative and absolute forms; TS-0003 10.4, 12.2:
 * Credential-ID. */
#pragma once

#include "base/text.h"

/** Who we are: what a relative identifier is relative to. */
struct bst_self {
    struct bst_view sp_domain; /* "acme.example.com", without the slashes */
    struct bst_view cse;       /* "id-in", without the slash */
};

enum bst_entity_kind {
    BST_ENTITY_UNKNOWN, /* well formed, but neither S nor C stem nor CSE-ID */
    BST_ENTITY_CSE,     /* a CSE-ID; "/Sxyz" alone reads as an AE-ID */
    BST_ENTITY_AE_S,    /* stem assigned by the service provider */
    BST_ENTITY_AE_C,    /* stem assigned by the registrar */
    BST_ENTITY_NODE,
};

/** How it was written. */
enum bst_entity_form { BST_FORM_STEM, BST_FORM_SP_RELATIVE, BST_FORM_ABSOLUTE };

#define BST_ENTITY_ID_MAX 383 /* 253 of a domain, and two segments of 63, with their slashes */

/** An entity id in its normal form. The views point into `abs`. */
struct bst_entity_id {
    char abs[BST_ENTITY_ID_MAX + 1]; /* //sp/cse, //sp/Sstem or //sp/cse/Cstem */
    uint16_t len;
    uint16_t sp_len;  /* of the domain, which starts at abs + 2 */
    uint16_t cse_len; /* of the CSE part, 0 for an S-type AE-ID; starts after the domain's slash */
    uint16_t last;    /* where the last segment starts */
    enum bst_entity_kind kind;
    enum bst_entity_form form;
};

static inline struct bst_view bst_entity_abs(const struct bst_entity_id *id)
{
    return (struct bst_view){id->abs, id->len};
}
static inline struct bst_view bst_entity_sp(const struct bst_entity_id *id)
{
    return (struct bst_view){id->abs + 2, id->sp_len};
}
/** "/cse/Cstem", "/Sstem" or "/cse". */
static inline struct bst_view bst_entity_sp_relative(const struct bst_entity_id *id)
{
    return (struct bst_view){id->abs + 2 + id->sp_len, (size_t)id->len - 2 - id->sp_len};
}
/** Stem of an AE-ID; the CSE-ID without its slash. */
static inline struct bst_view bst_entity_last(const struct bst_entity_id *id)
{
    return (struct bst_view){id->abs + id->last, (size_t)id->len - id->last};
}
/** "//sp/cse" of a C-type AE-ID or of a CSE; empty for an S-type AE-ID. */
struct bst_view bst_entity_cse(const struct bst_entity_id *id);

/** Bring an id to its normal form.
 *
 * A bare word is a stem: S... belongs to the domain, everything else to this CSE. "/<this
 * CSE>/S..." is the same AE as "/S...".
 *
 * @error BST_E_SYNTAX    other than unreserved characters, empty segments, too many segments
 * @error BST_E_TOO_LONG  longer than BST_ENTITY_ID_MAX in its normal form
 * @clause TS-0001 7.2
 */
bst_result bst_entity_parse(const struct bst_self *self, struct bst_view text,
                            struct bst_entity_id *ret);

/** As bst_entity_parse() with `*` allowed everywhere. A stem that starts with `*` stands for stems
 * of the domain and of this CSE: then there are two patterns. */
bst_result bst_entity_pattern(const struct bst_self *self, struct bst_view text,
                              struct bst_entity_id ret[2], size_t *ret_n);
/** `*` ends at a slash; a pattern written as a stem never matches a CSE-ID. */
bool bst_entity_matches(const struct bst_entity_id *pattern, const struct bst_entity_id *id);

/** The absolute CSE-ID of this CSE. */
bst_result bst_entity_self(const struct bst_self *self, struct bst_entity_id *ret);

/** Labels of letters, digits and inner hyphens, joined by dots; 1..253 octets. */
bool bst_fqdn_valid(struct bst_view name);
#define BST_RELATIVE_PART_MAX 128
/** `<[A-Za-z0-9._-]+>@<FQDN>`: KpsaID, KmID, KpmID, Key Identifier, Role-ID. Views into `text`. */
bst_result bst_relative_id_split(struct bst_view text, struct bst_view *ret_relative,
                                 struct bst_view *ret_fqdn);

/* sec:credIDTypeID, TS-0003 12.3.2.1 */
enum bst_cred_type {
    BST_CRED_KPM = 10,
    BST_CRED_KM = 11,
    BST_CRED_KPSA = 12,
    BST_CRED_RAW_KEY = 30,
    BST_CRED_DEVICE_CERT = 31,
    BST_CRED_CSE_CERT = 32,
    BST_CRED_AE_CERT = 33,
    BST_CRED_NODE_CERT = 34,
};
#define BST_CRED_ID_MAX 319

/** Form `<type>-<value>`. Octets outside the alphabet of 10.4 become `_xx`, and so does a `_` that
 * would read as such an escape: two values never share a Credential-ID, and plain ones stay as they
 * are. */
bst_result bst_cred_id_format(enum bst_cred_type type, struct bst_view value,
                              char ret[BST_CRED_ID_MAX + 1]);
/** Back to type and value. */
bst_result bst_cred_id_parse(struct bst_view cred_id, enum bst_cred_type *ret_type,
                             struct bst_buf *ret_value);
