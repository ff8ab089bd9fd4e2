/* The query of a request target: TS-0009 6.2.2.2.
 *
 * Pairs are split at '&' and '=' and lists at '+' before anything is percent-decoded. */
#include "bind/http/binding_priv.h"

#include "base/time.h"

bst_result bst_http_list_add(struct bst_arena *arena, struct bst_m2m_views *list, struct bst_view v)
{
    if ((list->n & (list->n - 1)) == 0) {
        size_t cap = list->n ? 2 * list->n : 1;
        struct bst_view *grown = bst_arena_alloc(arena, cap * sizeof *grown);
        BST_ENSURE(grown, BST_E_NOMEM);
        if (list->n) {
            memcpy(grown, list->v, list->n * sizeof *grown);
        }
        list->v = grown;
    }
    list->v[list->n++] = v;
    return BST_OK;
}

bst_result bst_http_list_split(struct bst_arena *arena, struct bst_view text, char sep,
                               struct bst_m2m_views *list)
{
    for (bool more = true; more;) {
        struct bst_view part;
        more = bst_view_cut(&text, sep, &part);
        part = bst_view_trim(part);
        if (part.len) {
            BST_TRY(bst_http_list_add(arena, list, part));
        }
    }
    return BST_OK;
}

enum form { FORM_INT, FORM_BOOL, FORM_TIME, FORM_LIST };

#define AT(member) offsetof(struct bst_m2m_request, member)
static const struct parameter {
    const char *name;
    enum form form;
    size_t at;
    uint32_t bit;
} parameters[] = {
    {"rt", FORM_INT, AT(rt), 0},
    {"rp", FORM_TIME, AT(rp), 0},
    {"rcn", FORM_INT, AT(rcn), 0},
    {"da", FORM_BOOL, AT(da), BST_REQ_DA},
    {"drt", FORM_INT, AT(drt), 0},
    {"rids", FORM_LIST, AT(rids), 0},
    {"tids", FORM_LIST, AT(tids), 0},
    {"ltids", FORM_LIST, AT(ltids), 0},
    {"tqi", FORM_BOOL, AT(tqi), BST_REQ_TQI},
    {"asi", FORM_BOOL, AT(asi), BST_REQ_ASI},
    {"auri", FORM_BOOL, AT(auri), BST_REQ_AURI},
    {"sqi", FORM_BOOL, AT(sqi), BST_REQ_SQI},
    {"atrl", FORM_LIST, AT(atrl), 0},
};
#define N_PARAMETERS (sizeof parameters / sizeof parameters[0])

struct reader {
    struct bst_arena *arena;
    int64_t now_us;
    struct bst_m2m_request *req;
    struct bst_m2m_filter_reader filter;
    uint32_t seen; /* parameters, by index */
    bool has_filter;
};

static bst_result bad(struct bst_view name, struct bst_view value, const char *want)
{
    BST_FAIL(BST_E_VALUE, "query: %.*s must be %s, found \"%.*s\"",
             (int)(name.len > 20 ? 20 : name.len), name.ptr, want,
             (int)(value.len > 40 ? 40 : value.len), value.ptr);
}

static bst_result read_bool(struct bst_view name, struct bst_view value, bool *ret)
{
    bool on = bst_view_is(value, "true") || bst_view_is(value, "1");
    if (!on && !bst_view_is(value, "false") && !bst_view_is(value, "0")) {
        return bad(name, value, "true or false");
    }
    *ret = on;
    return BST_OK;
}

static bst_result read_list(struct reader *r, struct bst_view value, struct bst_m2m_views *list)
{
    for (bool more = true; more;) {
        struct bst_view part, plain;
        more = bst_view_cut(&value, '+', &part);
        BST_TRY(bst_http_decode(part, r->arena, &plain));
        BST_TRY(bst_http_list_add(r->arena, list, plain));
    }
    return BST_OK;
}

static bst_result read_parameter(struct reader *r, const struct parameter *p, struct bst_view value)
{
    void *at = (char *)r->req + p->at;
    struct bst_view name = bst_view(p->name), plain;
    struct bst_m2m_time *time = at;
    int64_t number;
    if (p->form == FORM_LIST) {
        return read_list(r, value, at);
    }
    BST_TRY(bst_http_decode(value, r->arena, &plain));
    switch (p->form) {
    case FORM_BOOL:
        r->req->present |= p->bit;
        return read_bool(name, plain, at);
    case FORM_TIME:
        time->text = plain;
        return bst_m2m_time_parse_absrel(plain, r->now_us, &time->us).code
                   ? bad(name, plain, "a timestamp or milliseconds")
                   : BST_OK;
    default:
        /* Absent is 0 or -1: what is present must be neither by chance. */
        if (bst_parse_i64(plain, &number).code || number < 0 || number > 9999 ||
            (number == 0 && p->at != AT(rcn))) {
            return bad(name, plain, "a number in range");
        }
        *(int *)at = (int)number;
        return BST_OK;
    }
}

static bst_result read_criterion(struct reader *r, struct bst_view name, struct bst_view value,
                                 bool *ret_taken)
{
    bool list = bst_m2m_filter_is_list(name);
    for (bool more = true; more;) {
        struct bst_view part = value, plain;
        more = list && bst_view_cut(&value, '+', &part);
        BST_TRY(bst_http_decode(part, r->arena, &plain));
        BST_TRY(bst_m2m_filter_add(&r->filter, name, plain, ret_taken));
        if (!*ret_taken) {
            return BST_OK;
        }
    }
    r->has_filter = true;
    return BST_OK;
}

/* TS-0009 6.2.2.2: an attribute criterion is spelt as the attribute's short name, behind "c." or
 * "p." for that of a child or of the parent. */
static bst_result read_attribute(struct reader *r, struct bst_view name, struct bst_view value)
{
    enum bst_m2m_criterion which = BST_FC_ATR;
    struct bst_view sn = name, plain;
    if (bst_view_starts(name, BST_VIEW("c.")) || bst_view_starts(name, BST_VIEW("p."))) {
        which = name.ptr[0] == 'c' ? BST_FC_CATR : BST_FC_PATR;
        sn = bst_view_from(name, 2);
    }
    if (!bst_m2m_long_name(sn)) {
        BST_FAIL(BST_E_SYNTAX, "query: \"%.*s\" is neither a parameter nor an attribute",
                 (int)(name.len > 40 ? 40 : name.len), name.ptr);
    }
    BST_TRY(bst_http_decode(value, r->arena, &plain));
    BST_TRY(bst_m2m_filter_add_attr(&r->filter, which, sn, plain));
    r->has_filter = true;
    return BST_OK;
}

static bst_result read_pair(struct reader *r, struct bst_view pair)
{
    struct bst_view value = pair, name;
    bool taken = false;
    if (!bst_view_cut(&value, '=', &name)) {
        BST_FAIL(BST_E_SYNTAX, "query: \"%.*s\" has no '='", (int)(pair.len > 40 ? 40 : pair.len),
                 pair.ptr);
    }
    for (size_t i = 0; i < N_PARAMETERS; i++) {
        if (!bst_view_is(name, parameters[i].name)) {
            continue;
        }
        if (r->seen & (1u << i) && parameters[i].form != FORM_LIST) {
            BST_FAIL(BST_E_SYNTAX, "query: %s given twice", parameters[i].name);
        }
        r->seen |= 1u << i;
        return read_parameter(r, &parameters[i], value);
    }
    BST_TRY(read_criterion(r, name, value, &taken));
    return taken ? BST_OK : read_attribute(r, name, value);
}

bst_result bst_http_query_read(struct bst_view query, struct bst_arena *arena, int64_t now_us,
                               struct bst_m2m_request *req)
{
    struct reader r = {arena, now_us, req, {arena, &req->fc}, 0, false};
    for (bool more = query.len > 0; more;) {
        struct bst_view pair;
        more = bst_view_cut(&query, '&', &pair);
        if (pair.len) {
            BST_TRY(read_pair(&r, pair));
        }
    }
    if (r.has_filter) {
        req->present |= BST_REQ_FC;
        BST_TRY(bst_m2m_filter_finish(&r.filter));
    }
    return BST_OK;
}

static void write_list(const char *name, const struct bst_m2m_views *list, struct bst_buf *buf)
{
    bst_buf_addf(buf, "&%s=", name);
    for (size_t i = 0; i < list->n; i++) {
        bst_buf_adds(buf, i ? "+" : "");
        bst_percent_add(buf, list->v[i], "@:");
    }
}

static void write_parameter(const struct bst_m2m_request *req, const struct parameter *p,
                            struct bst_buf *buf)
{
    const void *at = (const char *)req + p->at;
    int number = p->form == FORM_INT ? *(const int *)at : 0;
    switch (p->form) {
    case FORM_INT:
        if (p->at == AT(rcn) ? number != BST_RCN_ABSENT : number != 0) {
            bst_buf_addf(buf, "&%s=%d", p->name, number);
        }
        return;
    case FORM_BOOL:
        if (req->present & p->bit) {
            bst_buf_addf(buf, "&%s=%s", p->name, *(const bool *)at ? "true" : "false");
        }
        return;
    case FORM_TIME:
        if (((const struct bst_m2m_time *)at)->text.ptr) {
            bst_buf_addf(buf, "&%s=", p->name);
            bst_percent_add(buf, ((const struct bst_m2m_time *)at)->text, ",");
        }
        return;
    default:
        if (((const struct bst_m2m_views *)at)->n) {
            write_list(p->name, at, buf);
        }
    }
}

void bst_http_query_write(const struct bst_m2m_request *req, struct bst_buf *buf)
{
    size_t start = buf->len;
    for (size_t i = 0; i < N_PARAMETERS; i++) {
        write_parameter(req, &parameters[i], buf);
    }
    if (bst_m2m_request_has(req, BST_REQ_FC)) {
        bst_m2m_filter_to_query(&req->fc, buf);
    }
    if (!buf->failed && buf->len > start) {
        buf->ptr[start] = '?';
    }
}
