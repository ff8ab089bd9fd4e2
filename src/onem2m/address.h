/* oneM2M addresses and the syntax of identifiers (TS-0001 7.1, 7.2; TS-0004 6.2.3, 6.2.4). */
#pragma once

#include "onem2m/types.h"

enum bst_m2m_scope { BST_ADDR_CSE_RELATIVE, BST_ADDR_SP_RELATIVE, BST_ADDR_ABSOLUTE };

/** Path segments of one address at most. */
#define BST_ADDR_SEGMENTS 48
/** Bytes of one address, and of one segment, at most. */
#define BST_ADDR_MAX 2048
#define BST_NAME_MAX 255

/** A parsed To, split but not looked up. Views point into the text that was parsed. */
struct bst_m2m_address {
    enum bst_m2m_scope scope;
    struct bst_view sp;   /* absolute: FQDN without slashes; compare by bst_view_eq_nocase() */
    struct bst_view cse;  /* absolute, SP-relative: CSE-ID without its slash ("id-in") */
    struct bst_view rest; /* what follows, no leading slash; "" means the CSE itself */
    struct bst_view seg[BST_ADDR_SEGMENTS]; /* `rest` split at the slashes */
    size_t n_seg;
    enum bst_m2m_virtual virt; /* of the last segment, if there are two or more */
    struct bst_view attribute; /* after '#': one attribute of a partial retrieve; else empty */
};

/** Split a To parameter.
 *
 * Refuses empty and dot segments, control characters, blanks, '%' and '\\', so no later step can
 * read another path than the one that was checked.
 * @error BST_E_SYNTAX, BST_E_TOO_LONG, BST_E_TOO_DEEP
 */
bst_result bst_m2m_address_parse(struct bst_view to, struct bst_m2m_address *ret);
/** True when the address belongs to this CSE. `csi` is SP-relative ("/id-in"), `sp` an FQDN. */
bool bst_m2m_address_is_local(const struct bst_m2m_address *a, struct bst_view sp,
                              struct bst_view csi);
/** Resource segments without a virtual tail. */
static inline size_t bst_m2m_address_depth(const struct bst_m2m_address *a)
{
    return a->n_seg - (a->virt != BST_VIRT_NONE);
}

/* Identifier syntax: true when well formed (TS-0001 7.2; TS-0004 6.3.3). */
bool bst_m2m_is_resource_name(struct bst_view v); /* alphanumeric, then also - . _ */
bool bst_m2m_is_ae_stem(struct bst_view v);       /* C... or S... */
bool bst_m2m_is_csi(struct bst_view v);           /* SP-relative CSE-ID: "/id-in" */
bool bst_m2m_is_sp_id(struct bst_view v);         /* "//acme.example.com" */
bool bst_m2m_is_app_id(struct bst_view v);        /* R..., r... or N... */
bool bst_m2m_is_id(struct bst_view v);            /* any m2m:ID: a valid address without '#' */
bool bst_m2m_is_request_id(struct bst_view v);
bool bst_m2m_is_role_id(struct bst_view v);       /* <role>@<issuer> */
bool bst_m2m_is_token_id(struct bst_view v);      /* <token>@<issuer> */
bool bst_m2m_is_credential_id(struct bst_view v); /* <2 digits type>-<rest>, TS-0004 6.3.3 */
bool bst_m2m_is_fqdn(struct bst_view v);
bool bst_m2m_is_ncname(struct bst_view v);

/** An originator taken apart. */
enum bst_m2m_id_kind { BST_ID_NONE, BST_ID_AE, BST_ID_CSE, BST_ID_OTHER };
struct bst_m2m_originator {
    enum bst_m2m_id_kind kind;
    enum bst_m2m_scope scope;
    struct bst_view sp;   /* absolute only */
    struct bst_view cse;  /* the CSE's id, or the registrar of a C-type AE; without slash */
    struct bst_view stem; /* AE: the AE-ID-Stem */
};
/** AE-ID (stem, SP-relative, absolute) or CSE-ID; BST_E_SYNTAX when the text cannot be either. */
bst_result bst_m2m_originator_parse(struct bst_view fr, struct bst_m2m_originator *ret);
