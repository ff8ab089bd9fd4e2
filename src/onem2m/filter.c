/* Reading and writing filter criteria: TS-0004 6.3.5.8, 7.3.3.17. */
#include "onem2m/filter.h"

#include "base/time.h"
#include "onem2m/address.h"
#include "onem2m/tables_priv.h"

enum form { FORM_TIME, FORM_INT, FORM_ENUM, FORM_TEXT, FORM_TEXTS, FORM_TYPES, FORM_ATTRS };

#define AT(member) offsetof(struct bst_m2m_filter, member)
static const struct criterion {
    const char *name;
    enum form form;
    size_t at;
    int64_t low, high;
} criteria[BST_FC_COUNT] = {
    [BST_FC_CRB] = {"crb", FORM_TIME, AT(crb_us)},
    [BST_FC_CRA] = {"cra", FORM_TIME, AT(cra_us)},
    [BST_FC_MS] = {"ms", FORM_TIME, AT(ms_us)},
    [BST_FC_US] = {"us", FORM_TIME, AT(us_us)},
    [BST_FC_STS] = {"sts", FORM_INT, AT(sts), 1, INT64_MAX},
    [BST_FC_STB] = {"stb", FORM_INT, AT(stb), 0, INT64_MAX},
    [BST_FC_EXB] = {"exb", FORM_TIME, AT(exb_us)},
    [BST_FC_EXA] = {"exa", FORM_TIME, AT(exa_us)},
    [BST_FC_LBL] = {"lbl", FORM_TEXTS, AT(lbl)},
    [BST_FC_CLBL] = {"clbl", FORM_TEXTS, AT(clbl)},
    [BST_FC_PALB] = {"palb", FORM_TEXTS, AT(palb)},
    [BST_FC_LBQ] = {"lbq", FORM_TEXT, AT(lbq_text)},
    [BST_FC_TY] = {"ty", FORM_TYPES, AT(ty)},
    [BST_FC_CHTY] = {"chty", FORM_TYPES, AT(chty)},
    [BST_FC_PTY] = {"pty", FORM_TYPES, AT(pty)},
    [BST_FC_SZA] = {"sza", FORM_INT, AT(sza), 0, INT64_MAX},
    [BST_FC_SZB] = {"szb", FORM_INT, AT(szb), 1, INT64_MAX},
    [BST_FC_CTY] = {"cty", FORM_TEXTS, AT(cty)},
    [BST_FC_ATR] = {"atr", FORM_ATTRS, AT(atr)},
    [BST_FC_CATR] = {"catr", FORM_ATTRS, AT(catr)},
    [BST_FC_PATR] = {"patr", FORM_ATTRS, AT(patr)},
    [BST_FC_FU] = {"fu", FORM_ENUM, AT(fu), BST_FU_DISCOVERY, BST_FU_IPE},
    [BST_FC_LIM] = {"lim", FORM_INT, AT(lim), 0, INT64_MAX},
    [BST_FC_SMF] = {"smf", FORM_TEXTS, AT(smf)},
    [BST_FC_FO] = {"fo", FORM_ENUM, AT(fo), BST_FO_AND, BST_FO_XOR},
    [BST_FC_CFS] = {"cfs", FORM_ENUM, AT(cfs), 1, 1},
    [BST_FC_CFQ] = {"cfq", FORM_TEXT, AT(cfq)},
    [BST_FC_LVL] = {"lvl", FORM_INT, AT(lvl), 1, INT64_MAX},
    [BST_FC_OFST] = {"ofst", FORM_INT, AT(ofst), 1, INT64_MAX},
    [BST_FC_ARP] = {"arp", FORM_TEXT, AT(arp)},
};

static int find(struct bst_view name)
{
    if (name.len < 2 || name.len > 4) {
        return -1;
    }
    for (int i = 0; i < BST_FC_COUNT; i++) {
        if (bst_view_is(name, criteria[i].name)) {
            return i;
        }
    }
    return -1;
}

static void *field(struct bst_m2m_filter *f, const struct criterion *c)
{
    return (char *)f + c->at;
}

static const void *const_field(const struct bst_m2m_filter *f, const struct criterion *c)
{
    return (const char *)f + c->at;
}

/* Room for one more element of an array that doubles; NULL when memory is out. */
static void *grow(struct bst_arena *arena, void *v, size_t n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0) {
        return v;
    }
    void *grown = bst_arena_alloc(arena, (n ? 2 * n : 1) * size);
    if (grown && n) {
        memcpy(grown, v, n * size);
    }
    return grown;
}

static bst_result bad_value(const struct criterion *c, struct bst_view value, const char *want)
{
    BST_FAIL(BST_E_VALUE, "filter criterion %s: must be %s, found \"%.*s\"", c->name, want,
             (int)(value.len > 40 ? 40 : value.len), value.ptr);
}

static bst_result read_int(const struct criterion *c, struct bst_view value, int64_t *ret)
{
    int64_t n;
    if (bst_parse_i64(value, &n).code || n < c->low || n > c->high) {
        return bad_value(c, value, c->low ? "a positive number in range" : "a number from 0");
    }
    *ret = n;
    return BST_OK;
}

static bst_result add_text(struct bst_m2m_filter_reader *r, const struct criterion *c,
                           struct bst_view value)
{
    struct bst_m2m_views *list = field(r->filter, c);
    if (value.len == 0) {
        return bad_value(c, value, "a text");
    }
    list->v = grow(r->arena, list->v, list->n, sizeof *list->v);
    BST_ENSURE(list->v, BST_E_NOMEM);
    list->v[list->n++] = value;
    return BST_OK;
}

static bst_result add_type(struct bst_m2m_filter_reader *r, const struct criterion *c,
                           struct bst_view value)
{
    struct bst_m2m_ints *list = field(r->filter, c);
    int64_t ty;
    if (bst_parse_i64(value, &ty).code || ty < 1 || ty > INT16_MAX ||
        !bst_m2m_type_by_ty((int)ty)) {
        return bad_value(c, value, "a resource type number");
    }
    list->v = grow(r->arena, list->v, list->n, sizeof *list->v);
    BST_ENSURE(list->v, BST_E_NOMEM);
    list->v[list->n++] = (int)ty;
    return BST_OK;
}

static bst_result set_one(struct bst_m2m_filter_reader *r, const struct criterion *c,
                          struct bst_view value)
{
    void *to = field(r->filter, c);
    int64_t number = 0;
    switch (c->form) {
    case FORM_TIME:
        return bst_m2m_time_parse(value, to).code ? bad_value(c, value, "a timestamp") : BST_OK;
    case FORM_INT:
        return read_int(c, value, to);
    case FORM_ENUM:
        BST_TRY(read_int(c, value, &number));
        *(int *)to = (int)number;
        return BST_OK;
    default:
        if (value.len == 0) {
            return bad_value(c, value, "a text");
        }
        *(struct bst_view *)to = value;
        return BST_OK;
    }
}

static bool is_list(const struct criterion *c)
{
    return c->form == FORM_TEXTS || c->form == FORM_TYPES || c->form == FORM_ATTRS;
}

bool bst_m2m_filter_is_list(struct bst_view name)
{
    int which = find(name);
    return which >= 0 && is_list(&criteria[which]);
}

bst_result bst_m2m_filter_add(struct bst_m2m_filter_reader *r, struct bst_view name,
                              struct bst_view value, bool *ret_taken)
{
    int which = find(name);
    if (which < 0 || criteria[which].form == FORM_ATTRS) {
        *ret_taken = false;
        return BST_OK;
    }
    const struct criterion *c = &criteria[which];
    if (!is_list(c) && bst_m2m_filter_has(r->filter, (enum bst_m2m_criterion)which)) {
        BST_FAIL(BST_E_SYNTAX, "filter criterion %s: given twice", c->name);
    }
    BST_TRY(c->form == FORM_TEXTS   ? add_text(r, c, value)
            : c->form == FORM_TYPES ? add_type(r, c, value)
                                    : set_one(r, c, value));
    r->filter->present |= BST_FC_BIT(which);
    *ret_taken = true;
    return BST_OK;
}

/* TS-0004 7.3.3.17.9: these have criteria of their own. */
static bool has_own_criterion(struct bst_view sn)
{
    static const char *const names[] = {"ct", "lt", "st", "et", "lbl", "ty", "cs", "cnf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bst_view_is(sn, names[i])) {
            return true;
        }
    }
    return false;
}

bst_result bst_m2m_filter_add_attr(struct bst_m2m_filter_reader *r, enum bst_m2m_criterion which,
                                   struct bst_view nm, struct bst_view val)
{
    const struct criterion *c = &criteria[which];
    if (BST_BUG(c->form != FORM_ATTRS)) {
        return bst_error(BST_E_INTERNAL);
    }
    if (!bst_m2m_is_ncname(nm)) {
        return bad_value(c, nm, "an attribute name");
    }
    if (has_own_criterion(nm)) {
        BST_FAIL(BST_E_VALUE, "filter criterion %s: \"%.*s\" has a criterion of its own", c->name,
                 BST_VIEW_ARGS(nm));
    }
    struct bst_m2m_attr_matches *list = field(r->filter, c);
    list->v = grow(r->arena, list->v, list->n, sizeof *list->v);
    BST_ENSURE(list->v, BST_E_NOMEM);
    list->v[list->n++] = (struct bst_m2m_attr_match){nm, val};
    r->filter->present |= BST_FC_BIT(which);
    return BST_OK;
}

bst_result bst_m2m_filter_finish(struct bst_m2m_filter_reader *r)
{
    struct bst_m2m_filter *f = r->filter;
    if (!bst_m2m_filter_has(f, BST_FC_FO)) {
        f->fo = BST_FO_AND;
    }
    if (bst_m2m_filter_has(f, BST_FC_CFS) != bst_m2m_filter_has(f, BST_FC_CFQ)) {
        BST_FAIL(BST_E_SYNTAX, "filter criteria cfs and cfq come together");
    }
    if (f->present & (BST_FC_BIT(BST_FC_SMF) | BST_FC_BIT(BST_FC_CFS))) {
        BST_FAIL(BST_E_NOT_IMPLEMENTED, "filter criterion %s is not supported",
                 f->present & BST_FC_BIT(BST_FC_SMF) ? "smf" : "cfs");
    }
    if (bst_m2m_filter_has(f, BST_FC_LBQ)) {
        BST_TRY(bst_m2m_lbq_parse(r->arena, f->lbq_text, &f->lbq));
    }
    return BST_OK;
}

/* A JSON value in the text form that the criteria are read from. */
static struct bst_view value_text(struct bst_arena *arena, yyjson_val *value)
{
    return yyjson_is_str(value) ? bst_json_view(value) : bst_json_text(arena, value);
}

static bst_result add_json_attrs(struct bst_m2m_filter_reader *r, int which, yyjson_val *list)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        struct bst_view val = value_text(r->arena, bst_json_get(item, "val"));
        BST_TRY(bst_m2m_filter_add_attr(r, (enum bst_m2m_criterion)which,
                                        bst_json_view(bst_json_get(item, "nm")), val));
    }
    return BST_OK;
}

static bst_result add_json(struct bst_m2m_filter_reader *r, struct bst_view name, yyjson_val *value)
{
    bool taken;
    if (!yyjson_is_arr(value)) {
        return bst_m2m_filter_add(r, name, value_text(r->arena, value), &taken);
    }
    int which = find(name);
    if (which >= 0 && criteria[which].form == FORM_ATTRS) {
        return add_json_attrs(r, which, value);
    }
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        BST_TRY(bst_m2m_filter_add(r, name, value_text(r->arena, item), &taken));
    }
    return BST_OK;
}

bst_result bst_m2m_filter_from_json(struct bst_arena *arena, yyjson_val *fc,
                                    struct bst_m2m_filter *ret)
{
    /* The data type table knows the members and their types; what is left is to read them. */
    BST_TRY(bst_m2m_validate_as("m2m:filterCriteria", fc, "fc"));
    struct bst_m2m_filter filter = {0};
    struct bst_m2m_filter_reader reader = {arena, &filter};
    yyjson_obj_iter iter = yyjson_obj_iter_with(fc);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        BST_TRY(add_json(&reader, bst_json_view(key), yyjson_obj_iter_get_val(key)));
    }
    BST_TRY(bst_m2m_filter_finish(&reader));
    *ret = filter;
    return BST_OK;
}

static yyjson_mut_val *text_val(yyjson_mut_doc *doc, struct bst_view v)
{
    return yyjson_mut_strncpy(doc, v.ptr ? v.ptr : "", v.len);
}

static yyjson_mut_val *time_val(yyjson_mut_doc *doc, int64_t us)
{
    char text[BST_M2M_TIME_LEN + 1];
    bst_m2m_time_format(us, text);
    return yyjson_mut_strcpy(doc, text);
}

static yyjson_mut_val *attrs_val(yyjson_mut_doc *doc, const struct bst_m2m_attr_matches *list)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    for (size_t i = 0; i < list->n; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, array);
        if (!yyjson_mut_obj_add_val(doc, item, "nm", text_val(doc, list->v[i].nm)) ||
            !yyjson_mut_obj_add_val(doc, item, "val", text_val(doc, list->v[i].val))) {
            return NULL;
        }
    }
    return array;
}

static yyjson_mut_val *list_val(yyjson_mut_doc *doc, const struct criterion *c, const void *from)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    const struct bst_m2m_views *texts = from;
    const struct bst_m2m_ints *types = from;
    for (size_t i = 0; c->form == FORM_TEXTS && i < texts->n; i++) {
        if (!yyjson_mut_arr_append(array, text_val(doc, texts->v[i]))) {
            return NULL;
        }
    }
    for (size_t i = 0; c->form == FORM_TYPES && i < types->n; i++) {
        if (!yyjson_mut_arr_add_int(doc, array, types->v[i])) {
            return NULL;
        }
    }
    return array;
}

static yyjson_mut_val *criterion_val(yyjson_mut_doc *doc, const struct criterion *c,
                                     const struct bst_m2m_filter *f)
{
    const void *from = const_field(f, c);
    switch (c->form) {
    case FORM_TIME:
        return time_val(doc, *(const int64_t *)from);
    case FORM_INT:
        return yyjson_mut_sint(doc, *(const int64_t *)from);
    case FORM_ENUM:
        return yyjson_mut_sint(doc, *(const int *)from);
    case FORM_TEXT:
        return text_val(doc, *(const struct bst_view *)from);
    case FORM_ATTRS:
        return attrs_val(doc, from);
    default:
        return list_val(doc, c, from);
    }
}

yyjson_mut_val *bst_m2m_filter_to_json(const struct bst_m2m_filter *f, yyjson_mut_doc *doc)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    for (int i = 0; i < BST_FC_COUNT; i++) {
        if (bst_m2m_filter_has(f, (enum bst_m2m_criterion)i) &&
            !yyjson_mut_obj_add_val(doc, object, criteria[i].name,
                                    criterion_val(doc, &criteria[i], f))) {
            return NULL;
        }
    }
    return object;
}

static void query_list(struct bst_buf *buf, const struct criterion *c, const void *from)
{
    const struct bst_m2m_views *texts = from;
    const struct bst_m2m_ints *types = from;
    bst_buf_addf(buf, "&%s=", c->name);
    for (size_t i = 0; c->form == FORM_TEXTS && i < texts->n; i++) {
        bst_buf_adds(buf, i ? "+" : "");
        bst_percent_add(buf, texts->v[i], ":/");
    }
    for (size_t i = 0; c->form == FORM_TYPES && i < types->n; i++) {
        bst_buf_addf(buf, "%s%d", i ? "+" : "", types->v[i]);
    }
}

/* TS-0009 6.2.2.2: the attribute's own name, behind "c." or "p." for child and parent. */
static void query_attrs(struct bst_buf *buf, int which, const struct bst_m2m_attr_matches *list)
{
    for (size_t i = 0; i < list->n; i++) {
        bst_buf_adds(buf, which == BST_FC_CATR ? "&c." : which == BST_FC_PATR ? "&p." : "&");
        bst_percent_add(buf, list->v[i].nm, "");
        bst_buf_addc(buf, '=');
        bst_percent_add(buf, list->v[i].val, ":/*");
    }
}

static void query_one(struct bst_buf *buf, const struct criterion *c, const void *from)
{
    char time[BST_M2M_TIME_LEN + 1];
    bst_buf_addf(buf, "&%s=", c->name);
    switch (c->form) {
    case FORM_TIME:
        bst_m2m_time_format(*(const int64_t *)from, time);
        bst_buf_adds(buf, time);
        return;
    case FORM_INT:
        bst_buf_addi(buf, *(const int64_t *)from);
        return;
    case FORM_ENUM:
        bst_buf_addi(buf, *(const int *)from);
        return;
    default:
        bst_percent_add(buf, *(const struct bst_view *)from, ":/");
        return;
    }
}

void bst_m2m_filter_to_query(const struct bst_m2m_filter *f, struct bst_buf *buf)
{
    for (int i = 0; i < BST_FC_COUNT; i++) {
        const struct criterion *c = &criteria[i];
        if (!bst_m2m_filter_has(f, (enum bst_m2m_criterion)i)) {
            continue;
        }
        if (c->form == FORM_ATTRS) {
            query_attrs(buf, i, const_field(f, c));
        } else if (is_list(c)) {
            query_list(buf, c, const_field(f, c));
        } else {
            query_one(buf, c, const_field(f, c));
        }
    }
}
