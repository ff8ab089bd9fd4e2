/* Labels queries: TS-0004 7.3.3.17.16. */
#include "onem2m/filter.h"

#define EXPRESSIONS_MAX 64
#define VALUES_MAX 64

enum lbq_form { LBQ_KEY, LBQ_NO_KEY, LBQ_IN, LBQ_NOT_IN };

struct lbq_expression {
    enum lbq_form form;
    struct bst_view key;
    struct bst_view *values;
    size_t n_values;
};
struct bst_m2m_lbq {
    struct lbq_expression *expressions;
    size_t n;
};

static bst_result malformed(struct bst_view text)
{
    BST_FAIL(BST_E_VALUE,
             "lbq: \"%.*s\" is no labels expression (key, NT key, key EQ v, key:v, "
             "key NE v, key IN (v,..), key NI (v,..))",
             (int)(text.len > 64 ? 64 : text.len), text.ptr);
}

static bst_result one_value(struct bst_arena *arena, struct bst_view value,
                            struct lbq_expression *e)
{
    e->values = bst_arena_alloc(arena, sizeof *e->values);
    BST_ENSURE(e->values, BST_E_NOMEM);
    e->values[0] = value;
    e->n_values = 1;
    return BST_OK;
}

static bst_result value_set(struct bst_arena *arena, struct bst_view text, struct bst_view whole,
                            struct lbq_expression *e)
{
    if (text.len < 3 || text.ptr[0] != '(' || text.ptr[text.len - 1] != ')') {
        return malformed(whole);
    }
    struct bst_view rest = bst_view_of(text.ptr + 1, text.len - 2);
    e->values = bst_arena_alloc(arena, VALUES_MAX * sizeof *e->values);
    BST_ENSURE(e->values, BST_E_NOMEM);
    for (bool more = true; more;) {
        struct bst_view value;
        more = bst_view_cut(&rest, ',', &value);
        value = bst_view_trim(value);
        if (value.len == 0 || e->n_values == VALUES_MAX) {
            return malformed(whole);
        }
        e->values[e->n_values++] = value;
    }
    return BST_OK;
}

static bst_result with_operator(struct bst_arena *arena, struct bst_view op, struct bst_view value,
                                struct bst_view whole, struct lbq_expression *e)
{
    bool equal = bst_view_is(op, "EQ"), unequal = bst_view_is(op, "NE");
    bool in = bst_view_is(op, "IN"), not_in = bst_view_is(op, "NI");
    if (value.len == 0 || !(equal || unequal || in || not_in)) {
        return malformed(whole);
    }
    e->form = equal || in ? LBQ_IN : LBQ_NOT_IN;
    return in || not_in ? value_set(arena, value, whole, e) : one_value(arena, value, e);
}

static bst_result parse_expression(struct bst_arena *arena, struct bst_view text,
                                   struct lbq_expression *e)
{
    struct bst_view rest = bst_view_trim(text), first, op;
    struct bst_view whole = rest;
    bool more = bst_view_cut(&rest, ' ', &first);
    rest = bst_view_trim(rest);
    if (first.len == 0) {
        return malformed(whole);
    }
    e->key = first;
    if (!more) {
        struct bst_view value = first, key;
        if (!bst_view_cut(&value, ':', &key)) {
            e->form = LBQ_KEY;
            return BST_OK;
        }
        if (key.len == 0 || value.len == 0) {
            return malformed(whole);
        }
        e->form = LBQ_IN;
        e->key = key;
        return one_value(arena, value, e);
    }
    more = bst_view_cut(&rest, ' ', &op);
    if (bst_view_is(first, "NT") && !more) {
        e->form = LBQ_NO_KEY;
        e->key = op;
        return BST_OK;
    }
    return with_operator(arena, op, bst_view_trim(rest), whole, e);
}

/* Cut at the first separator that is not inside parentheses. */
static bool cut_expression(struct bst_view *rest, struct bst_view *ret)
{
    int open = 0;
    for (size_t i = 0; i < rest->len; i++) {
        char c = rest->ptr[i];
        open += c == '(' ? 1 : c == ')' ? -1 : 0;
        if (open == 0 && (c == ',' || c == ';')) {
            *ret = bst_view_of(rest->ptr, i);
            *rest = bst_view_from(*rest, i + 1);
            return true;
        }
    }
    *ret = *rest;
    *rest = bst_view_from(*rest, rest->len);
    return false;
}

bst_result bst_m2m_lbq_parse(struct bst_arena *arena, struct bst_view text,
                             const struct bst_m2m_lbq **ret)
{
    struct bst_m2m_lbq *query = bst_arena_alloc(arena, sizeof *query);
    BST_ENSURE(query, BST_E_NOMEM);
    for (bool more = true; more;) {
        struct bst_view one;
        more = cut_expression(&text, &one);
        if (query->n == EXPRESSIONS_MAX) {
            BST_FAIL(BST_E_TOO_LONG, "lbq: more than %d expressions", EXPRESSIONS_MAX);
        }
        if (query->n == 0 || (query->n & (query->n - 1)) == 0) {
            size_t cap = query->n ? 2 * query->n : 1;
            struct lbq_expression *grown = bst_arena_alloc(arena, cap * sizeof *grown);
            BST_ENSURE(grown, BST_E_NOMEM);
            if (query->n) {
                memcpy(grown, query->expressions, query->n * sizeof *grown);
            }
            query->expressions = grown;
        }
        BST_TRY(parse_expression(arena, one, &query->expressions[query->n]));
        query->n++;
    }
    *ret = query;
    return BST_OK;
}

static bool has_value(const struct lbq_expression *e, struct bst_view value)
{
    for (size_t i = 0; i < e->n_values; i++) {
        if (bst_view_eq(e->values[i], value)) {
            return true;
        }
    }
    return false;
}

static bool match_expression(const struct lbq_expression *e, yyjson_val *labels)
{
    bool key_seen = false, pair_seen = false, value_seen = false;
    yyjson_arr_iter iter;
    if (!yyjson_arr_iter_init(labels, &iter)) {
        return e->form == LBQ_NO_KEY;
    }
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        struct bst_view value = bst_json_view(item), key;
        bool pair = bst_view_cut(&value, ':', &key);
        if (bst_view_eq(key, e->key)) {
            key_seen = true;
            pair_seen |= pair;
            value_seen |= pair && has_value(e, value);
        }
    }
    switch (e->form) {
    case LBQ_KEY:
        return key_seen;
    case LBQ_NO_KEY:
        return !key_seen;
    case LBQ_IN:
        return value_seen;
    default:
        return pair_seen && !value_seen;
    }
}

bool bst_m2m_lbq_match(const struct bst_m2m_lbq *query, yyjson_val *labels)
{
    for (size_t i = 0; i < query->n; i++) {
        if (match_expression(&query->expressions[i], labels)) {
            return true;
        }
    }
    return false;
}
