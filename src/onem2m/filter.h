/* Filter criteria (TS-0004 6.3.5.8, 7.3.3.17): reading them and matching resources against them. */
#pragma once

#include "onem2m/types.h"

/** The criteria, as bit numbers of bst_m2m_filter.present. */
enum bst_m2m_criterion {
    BST_FC_CRB,
    BST_FC_CRA,
    BST_FC_MS,
    BST_FC_US,
    BST_FC_STS,
    BST_FC_STB,
    BST_FC_EXB,
    BST_FC_EXA,
    BST_FC_LBL,
    BST_FC_CLBL,
    BST_FC_PALB,
    BST_FC_LBQ,
    BST_FC_TY,
    BST_FC_CHTY,
    BST_FC_PTY,
    BST_FC_SZA,
    BST_FC_SZB,
    BST_FC_CTY,
    BST_FC_ATR,
    BST_FC_CATR,
    BST_FC_PATR,
    BST_FC_FU,
    BST_FC_LIM,
    BST_FC_SMF,
    BST_FC_FO,
    BST_FC_CFS,
    BST_FC_CFQ,
    BST_FC_LVL,
    BST_FC_OFST,
    BST_FC_ARP,
    BST_FC_COUNT
};
#define BST_FC_BIT(criterion) (UINT64_C(1) << (criterion))

/** m2m:filterOperation; XOR is of later releases. */
enum bst_m2m_fo { BST_FO_AND = 1, BST_FO_OR = 2, BST_FO_XOR = 3 };
/** m2m:filterUsage. */
enum bst_m2m_fu { BST_FU_NONE = 0, BST_FU_DISCOVERY = 1, BST_FU_CONDITIONAL = 2, BST_FU_IPE = 3 };

struct bst_m2m_views {
    struct bst_view *v;
    size_t n;
};
struct bst_m2m_ints {
    int *v;
    size_t n;
};
/** m2m:attribute: short name and the value as text, where '*' is a wildcard. */
struct bst_m2m_attr_match {
    struct bst_view nm, val;
};
struct bst_m2m_attr_matches {
    struct bst_m2m_attr_match *v;
    size_t n;
};
struct bst_m2m_lbq; /* compiled labels query */

struct bst_m2m_filter {
    uint64_t present;                                     /* BST_FC_BIT */
    int64_t crb_us, cra_us, ms_us, us_us, exb_us, exa_us; /* wall times */
    int64_t sts, stb, sza, szb, lim, lvl, ofst;
    int fu; /* enum bst_m2m_fu */
    int fo; /* enum bst_m2m_fo, AND when absent */
    int cfs;
    struct bst_m2m_views lbl, clbl, palb, cty, smf;
    struct bst_m2m_ints ty, chty, pty;
    struct bst_m2m_attr_matches atr, catr, patr;
    struct bst_view lbq_text, cfq, arp;
    const struct bst_m2m_lbq *lbq;
};
static inline bool bst_m2m_filter_has(const struct bst_m2m_filter *f, enum bst_m2m_criterion c)
{
    return (f->present & BST_FC_BIT(c)) != 0;
}

/** Reads one filter from name/value pairs, as queries carry them. */
struct bst_m2m_filter_reader {
    struct bst_arena *arena;
    struct bst_m2m_filter *filter; /* zeroed by the caller */
};
/** One decoded query pair, one value of it when it is a list. *ret_taken says whether the name is
 * that of a criterion at all; attribute criteria have no name of their own in a query, see
 * bst_m2m_filter_add_attr(). @error BST_E_VALUE, BST_E_SYNTAX (a single criterion twice) */
bst_result bst_m2m_filter_add(struct bst_m2m_filter_reader *r, struct bst_view name,
                              struct bst_view value, bool *ret_taken);
/** @param which  BST_FC_ATR, BST_FC_CATR or BST_FC_PATR */
bst_result bst_m2m_filter_add_attr(struct bst_m2m_filter_reader *r, enum bst_m2m_criterion which,
                                   struct bst_view nm, struct bst_view val);
/** After the last pair: combinations that TS-0004 7.3.3.17 rules out, and 5001 for semantic and
 * content queries, which nothing here evaluates. */
bst_result bst_m2m_filter_finish(struct bst_m2m_filter_reader *r);
/** True for the name of a criterion whose values a query joins with '+'. */
bool bst_m2m_filter_is_list(struct bst_view name);
/** From the fc member of a JSON primitive; finished. */
bst_result bst_m2m_filter_from_json(struct bst_arena *arena, yyjson_val *fc,
                                    struct bst_m2m_filter *ret);
/** Back to a JSON object in `doc`; NULL when memory is out. */
yyjson_mut_val *bst_m2m_filter_to_json(const struct bst_m2m_filter *f, yyjson_mut_doc *doc);
/** Append as a query, "&name=value", percent-encoded (for the client half). */
void bst_m2m_filter_to_query(const struct bst_m2m_filter *f, struct bst_buf *buf);

/** What a caller must be able to supply for bst_m2m_filter_match(). */
enum { BST_FC_NEEDS_BODY = 1, BST_FC_NEEDS_PARENT = 2, BST_FC_NEEDS_CHILDREN = 4 };
unsigned bst_m2m_filter_needs(const struct bst_m2m_filter *f);
/** True when a criterion is present that selects resources (not only fu, lim, lvl, ofst, fo, arp).
 */
bool bst_m2m_filter_selects(const struct bst_m2m_filter *f);

/** A resource as the filter sees it: the columns, and the rest on demand. */
struct bst_m2m_subject {
    int ty;
    int64_t ct_us, lt_us, et_us; /* 0 = the resource has none */
    int64_t st, size;            /* -1 = the resource has none; size: contentSize */
    const struct bst_m2m_subject_ops *ops;
    void *ctx;        /* for the ops */
    yyjson_val *body; /* object of all other attributes, also rn, ri, pi, cr; once loaded */
    bool loaded;      /* set by the match */
};
struct bst_m2m_subject_ops {
    /* Set subject->body (NULL stays "no attributes"). Called at most once a match. */
    bst_result (*load)(struct bst_m2m_subject *subject);
    /* The parent; *ret_found false for the CSEBase. */
    bst_result (*parent)(struct bst_m2m_subject *subject, struct bst_m2m_subject *ret,
                         bool *ret_found);
    /* The next direct child; *cursor starts at 0; *ret_found false at the end. */
    bst_result (*child)(struct bst_m2m_subject *subject, int64_t *cursor,
                        struct bst_m2m_subject *ret, bool *ret_found);
};

/** Does the resource meet the criteria? Several values of one criterion are OR, criteria are
 * combined by fo. A filter without selecting criteria matches everything. Errors come from the ops.
 */
bst_result bst_m2m_filter_match(const struct bst_m2m_filter *f, struct bst_m2m_subject *subject,
                                bool *ret_match);

/** Compile a labels query (TS-0004 7.3.3.17.16): expressions separated by ',' or ';' outside
 * parentheses [our choice, the clause names no separator], of which one must match. */
bst_result bst_m2m_lbq_parse(struct bst_arena *arena, struct bst_view text,
                             const struct bst_m2m_lbq **ret);
/** Evaluate over a labels array; NULL = no labels. */
bool bst_m2m_lbq_match(const struct bst_m2m_lbq *query, yyjson_val *labels);
