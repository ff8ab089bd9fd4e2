/* Does a resource meet filter criteria? TS-0004 7.3.3.17.
 *
 * The two ends of one interval (createdBefore, createdAfter...) are one condition, as 7.3.3.17.1 to
 * .7 say; every other criterion is one. Conditions are combined by filterOperation. */
#include "onem2m/filter.h"

#include <stdio.h>

#define CHILD_BITS (BST_FC_BIT(BST_FC_CLBL) | BST_FC_BIT(BST_FC_CHTY) | BST_FC_BIT(BST_FC_CATR))
#define PARENT_BITS (BST_FC_BIT(BST_FC_PALB) | BST_FC_BIT(BST_FC_PTY) | BST_FC_BIT(BST_FC_PATR))
#define BODY_BITS                                                                                  \
    (BST_FC_BIT(BST_FC_LBL) | BST_FC_BIT(BST_FC_LBQ) | BST_FC_BIT(BST_FC_CTY) |                    \
     BST_FC_BIT(BST_FC_ATR))
#define HANDLING_BITS                                                                              \
    (BST_FC_BIT(BST_FC_FU) | BST_FC_BIT(BST_FC_LIM) | BST_FC_BIT(BST_FC_FO) |                      \
     BST_FC_BIT(BST_FC_LVL) | BST_FC_BIT(BST_FC_OFST) | BST_FC_BIT(BST_FC_ARP))

unsigned bst_m2m_filter_needs(const struct bst_m2m_filter *f)
{
    return (f->present & BODY_BITS ? BST_FC_NEEDS_BODY : 0) |
           (f->present & PARENT_BITS ? BST_FC_NEEDS_PARENT : 0) |
           (f->present & CHILD_BITS ? BST_FC_NEEDS_CHILDREN : 0);
}

bool bst_m2m_filter_selects(const struct bst_m2m_filter *f)
{
    return (f->present & ~HANDLING_BITS) != 0;
}

static bst_result load(struct bst_m2m_subject *s)
{
    if (!s->loaded && !s->body && s->ops && s->ops->load) {
        BST_TRY(s->ops->load(s));
    }
    s->loaded = true;
    return BST_OK;
}

static bool in_types(const struct bst_m2m_ints *types, int ty)
{
    for (size_t i = 0; i < types->n; i++) {
        if (types->v[i] == ty) {
            return true;
        }
    }
    return false;
}

static bst_result has_label(const struct bst_m2m_views *wanted, struct bst_m2m_subject *s,
                            bool *ret)
{
    BST_TRY(load(s));
    yyjson_arr_iter iter;
    *ret = false;
    if (!yyjson_arr_iter_init(bst_json_get(s->body, "lbl"), &iter)) {
        return BST_OK;
    }
    for (yyjson_val *label; (label = yyjson_arr_iter_next(&iter)) != NULL;) {
        for (size_t i = 0; i < wanted->n; i++) {
            if (bst_view_eq(wanted->v[i], bst_json_view(label))) {
                *ret = true;
                return BST_OK;
            }
        }
    }
    return BST_OK;
}

static bool number_matches(struct bst_view pattern, yyjson_val *value)
{
    double wanted;
    char text[32];
    int n = yyjson_is_uint(value)
                ? snprintf(text, sizeof text, "%llu", (unsigned long long)yyjson_get_uint(value))
            : yyjson_is_sint(value)
                ? snprintf(text, sizeof text, "%lld", (long long)yyjson_get_sint(value))
                : snprintf(text, sizeof text, "%.17g", yyjson_get_real(value));
    if (bst_wildcard_match(pattern, bst_view_of(text, (size_t)n), '\0')) {
        return true;
    }
    return yyjson_is_real(value) && bst_parse_double(pattern, &wanted).code == BST_E_NONE &&
           wanted == yyjson_get_real(value);
}

static bool value_matches(struct bst_view pattern, yyjson_val *value)
{
    if (yyjson_is_str(value)) {
        return bst_wildcard_match(pattern, bst_json_view(value), '\0');
    }
    if (yyjson_is_bool(value)) {
        bool on = yyjson_get_bool(value);
        return bst_view_is(pattern, on ? "true" : "false") ||
               bst_view_is(pattern, on ? "1" : "0") || bst_view_is(pattern, "*");
    }
    if (yyjson_is_raw(value)) {
        return bst_wildcard_match(pattern,
                                  bst_view_of(yyjson_get_raw(value), yyjson_get_len(value)), '\0');
    }
    if (yyjson_is_num(value)) {
        return number_matches(pattern, value);
    }
    yyjson_arr_iter iter;
    if (!yyjson_arr_iter_init(value, &iter)) {
        return false;
    }
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        if (!yyjson_is_ctn(item) && value_matches(pattern, item)) {
            return true;
        }
    }
    return false;
}

static bst_result has_attribute(const struct bst_m2m_attr_matches *wanted,
                                struct bst_m2m_subject *s, bool *ret)
{
    BST_TRY(load(s));
    *ret = false;
    for (size_t i = 0; i < wanted->n && !*ret; i++) {
        yyjson_val *value = bst_json_getv(s->body, wanted->v[i].nm);
        *ret = value && value_matches(wanted->v[i].val, value);
    }
    return BST_OK;
}

/* The media type before the ':' of contentInfo (TS-0004 7.3.3.17.8). */
static bst_result has_media(const struct bst_m2m_views *wanted, struct bst_m2m_subject *s,
                            bool *ret)
{
    BST_TRY(load(s));
    struct bst_view whole = bst_json_view(bst_json_get(s->body, "cnf")), rest = whole, media;
    *ret = false;
    bst_view_cut(&rest, ':', &media);
    for (size_t i = 0; i < wanted->n && media.len; i++) {
        /* The typeOfContent part; who writes the whole contentInfo means that. */
        *ret |= bst_view_eq_nocase(wanted->v[i], media) || bst_view_eq(wanted->v[i], whole);
    }
    return BST_OK;
}

/* How the conditions met so far combine; stops early when the outcome is fixed. */
struct combiner {
    enum bst_m2m_fo fo;
    bool result, any, done;
};

static void combine(struct combiner *c, bool met)
{
    switch (c->fo) {
    case BST_FO_OR:
        c->result = c->any ? c->result || met : met;
        c->done = c->result;
        break;
    case BST_FO_XOR:
        c->result = c->any ? c->result != met : met;
        break;
    default:
        c->result = c->any ? c->result && met : met;
        c->done = !c->result;
        break;
    }
    c->any = true;
}

/* below: exclusive upper end; from: inclusive lower end. `value` < `least` means the resource has
 * no such attribute, which meets nothing. */
static void interval(struct combiner *c, const struct bst_m2m_filter *f,
                     enum bst_m2m_criterion below_bit, int64_t below,
                     enum bst_m2m_criterion from_bit, int64_t from, int64_t value, int64_t least)
{
    bool has_below = bst_m2m_filter_has(f, below_bit), has_from = bst_m2m_filter_has(f, from_bit);
    if (!c->done && (has_below || has_from)) {
        combine(c, value >= least && (!has_below || value < below) && (!has_from || from <= value));
    }
}

static void columns(struct combiner *c, const struct bst_m2m_filter *f,
                    const struct bst_m2m_subject *s)
{
    interval(c, f, BST_FC_CRB, f->crb_us, BST_FC_CRA, f->cra_us, s->ct_us, 1);
    interval(c, f, BST_FC_US, f->us_us, BST_FC_MS, f->ms_us, s->lt_us, 1);
    interval(c, f, BST_FC_STS, f->sts, BST_FC_STB, f->stb, s->st, 0);
    interval(c, f, BST_FC_EXB, f->exb_us, BST_FC_EXA, f->exa_us, s->et_us, 1);
    interval(c, f, BST_FC_SZB, f->szb, BST_FC_SZA, f->sza, s->size, 0);
    if (!c->done && bst_m2m_filter_has(f, BST_FC_TY)) {
        combine(c, in_types(&f->ty, s->ty));
    }
}

/* A condition on the body, if it is asked for and still matters. */
#define CONDITION(c, f, bit, call)                                                                 \
    do {                                                                                           \
        if (!(c)->done && bst_m2m_filter_has((f), (bit))) {                                        \
            bool met_ = false;                                                                     \
            BST_TRY(call);                                                                         \
            combine((c), met_);                                                                    \
        }                                                                                          \
    } while (0)

static bst_result labels_query(const struct bst_m2m_filter *f, struct bst_m2m_subject *s, bool *ret)
{
    BST_TRY(load(s));
    *ret = f->lbq && bst_m2m_lbq_match(f->lbq, bst_json_get(s->body, "lbl"));
    return BST_OK;
}

static bst_result body(struct combiner *c, const struct bst_m2m_filter *f,
                       struct bst_m2m_subject *s)
{
    CONDITION(c, f, BST_FC_LBL, has_label(&f->lbl, s, &met_));
    CONDITION(c, f, BST_FC_LBQ, labels_query(f, s, &met_));
    CONDITION(c, f, BST_FC_CTY, has_media(&f->cty, s, &met_));
    CONDITION(c, f, BST_FC_ATR, has_attribute(&f->atr, s, &met_));
    return BST_OK;
}

static bst_result parent(struct combiner *c, const struct bst_m2m_filter *f,
                         struct bst_m2m_subject *s)
{
    struct bst_m2m_subject up = {0};
    bool found = false;
    if (s->ops && s->ops->parent) {
        BST_TRY(s->ops->parent(s, &up, &found));
    }
    CONDITION(c, f, BST_FC_PALB, found ? has_label(&f->palb, &up, &met_) : BST_OK);
    CONDITION(c, f, BST_FC_PATR, found ? has_attribute(&f->patr, &up, &met_) : BST_OK);
    if (!c->done && bst_m2m_filter_has(f, BST_FC_PTY)) {
        combine(c, found && in_types(&f->pty, up.ty));
    }
    return BST_OK;
}

/* What some child has met; each condition may be met by another child. */
static bst_result look_at_child(const struct bst_m2m_filter *f, struct bst_m2m_subject *child,
                                uint64_t *met)
{
    uint64_t open = f->present & CHILD_BITS & ~*met;
    bool yes = false;
    if (open & BST_FC_BIT(BST_FC_CHTY) && in_types(&f->chty, child->ty)) {
        *met |= BST_FC_BIT(BST_FC_CHTY);
    }
    if (open & BST_FC_BIT(BST_FC_CLBL)) {
        BST_TRY(has_label(&f->clbl, child, &yes));
        *met |= yes ? BST_FC_BIT(BST_FC_CLBL) : 0;
    }
    if (open & BST_FC_BIT(BST_FC_CATR)) {
        BST_TRY(has_attribute(&f->catr, child, &yes));
        *met |= yes ? BST_FC_BIT(BST_FC_CATR) : 0;
    }
    return BST_OK;
}

static bst_result children(struct combiner *c, const struct bst_m2m_filter *f,
                           struct bst_m2m_subject *s)
{
    uint64_t met = 0;
    int64_t cursor = 0;
    bool found = s->ops && s->ops->child;
    while (found && met != (f->present & CHILD_BITS)) {
        struct bst_m2m_subject child = {0};
        BST_TRY(s->ops->child(s, &cursor, &child, &found));
        if (found) {
            BST_TRY(look_at_child(f, &child, &met));
        }
    }
    for (int i = 0; i < BST_FC_COUNT; i++) {
        if (f->present & CHILD_BITS & BST_FC_BIT(i)) {
            combine(c, (met & BST_FC_BIT(i)) != 0);
        }
    }
    return BST_OK;
}

bst_result bst_m2m_filter_match(const struct bst_m2m_filter *f, struct bst_m2m_subject *subject,
                                bool *ret_match)
{
    struct combiner c = {f->fo ? (enum bst_m2m_fo)f->fo : BST_FO_AND, true, false, false};
    columns(&c, f, subject);
    if (!c.done && f->present & BODY_BITS) {
        BST_TRY(body(&c, f, subject));
    }
    if (!c.done && f->present & PARENT_BITS) {
        BST_TRY(parent(&c, f, subject));
    }
    if (!c.done && f->present & CHILD_BITS) {
        BST_TRY(children(&c, f, subject));
    }
    *ret_match = c.result;
    return BST_OK;
}
