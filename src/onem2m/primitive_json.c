/* Primitives as JSON objects: TS-0004 8.4. Used where a primitive is the whole message (MQTT,
 * WebSocket, polling channels, ESPrim, <request>) and by tools. */
#include "onem2m/primitive_priv.h"

#include "base/time.h"

static bst_result read_texts(struct bst_arena *arena, yyjson_val *array, struct bst_m2m_views *ret)
{
    size_t n = yyjson_arr_size(array);
    ret->v = bst_arena_alloc(arena, (n ? n : 1) * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        ret->v[ret->n++] = bst_json_view(item);
    }
    return BST_OK;
}

static bst_result read_time(struct bst_arena *arena, yyjson_val *value, int64_t now_us,
                            struct bst_m2m_time *ret)
{
    ret->text = yyjson_is_str(value) ? bst_json_view(value) : bst_json_text(arena, value);
    BST_ENSURE(ret->text.ptr, BST_E_NOMEM);
    return bst_m2m_time_parse_absrel(ret->text, now_us, &ret->us);
}

static bst_result read_response_type(struct bst_arena *arena, yyjson_val *value,
                                     struct bst_m2m_request *req)
{
    req->rt = (int)yyjson_get_sint(bst_json_get(value, "rtv"));
    yyjson_val *targets = bst_json_get(value, "nu");
    return targets ? read_texts(arena, targets, &req->rtu) : BST_OK;
}

struct reader {
    struct bst_arena *arena;
    int64_t now_us;
    struct bst_m2m_request *req;
};

/* RETRIEVE has no content but an attribute list (TS-0004 7.5.2). */
static bst_result read_content(struct reader *r, yyjson_val *value)
{
    yyjson_val *list = bst_json_get(value, "m2m:atrl");
    if (list && r->req->op == BST_OP_RETRIEVE) {
        BST_TRY(bst_m2m_validate_as("m2m:attributeList", list, "pc.m2m:atrl"));
        return read_texts(r->arena, list, &r->req->atrl);
    }
    r->req->pc = value;
    return BST_OK;
}

static bst_result read_param(struct reader *r, const struct bst_m2m_param *p, yyjson_val *value)
{
    void *at = (char *)r->req + p->at;
    switch (p->form) {
    case BST_PARAM_TEXT:
        *(struct bst_view *)at = bst_json_view(value);
        r->req->present |= p->bit;
        return BST_OK;
    case BST_PARAM_INT:
        *(int *)at = (int)yyjson_get_sint(value);
        return BST_OK;
    case BST_PARAM_TIME:
        return read_time(r->arena, value, r->now_us, at);
    case BST_PARAM_BOOL:
        *(bool *)at = yyjson_get_bool(value);
        r->req->present |= p->bit;
        return BST_OK;
    case BST_PARAM_TEXTS:
        return read_texts(r->arena, value, at);
    case BST_PARAM_RT:
        return read_response_type(r->arena, value, r->req);
    case BST_PARAM_FC:
        r->req->present |= p->bit;
        return bst_m2m_filter_from_json(r->arena, value, at);
    default:
        return read_content(r, value);
    }
}

/* Types come from the parameter table; release and resource type have checks with other codes. */
static bst_result check_type(size_t i, yyjson_val *value)
{
    const struct bst_m2m_param *p = &bst_m2m_params[i];
    struct bst_m2m_path here = {NULL, bst_view(p->sn), -1};
    if (p->at == offsetof(struct bst_m2m_request, rvi)) {
        return yyjson_is_str(value)
                   ? BST_OK
                   : bst_m2m_path_fail(BST_E_VALUE, &here, "must be a string, found %s",
                                       bst_json_kind(value));
    }
    if (p->at == offsetof(struct bst_m2m_request, ty)) {
        bool good =
            yyjson_is_uint(value) && yyjson_get_uint(value) > 0 && yyjson_get_uint(value) < 100000;
        return good ? BST_OK
                    : bst_m2m_path_fail(BST_E_VALUE, &here, "must be m2m:resourceType, found %s",
                                        bst_json_kind(value));
    }
    return bst_m2m_check_value(bst_m2m_parameters[i].type, value, &here);
}

static const struct bst_m2m_param *find(struct bst_view sn, size_t *ret_index)
{
    for (size_t i = 0; i < bst_m2m_n_params; i++) {
        if (bst_view_is(sn, bst_m2m_params[i].sn)) {
            *ret_index = i;
            return &bst_m2m_params[i];
        }
    }
    return NULL;
}

static bst_result read_all(struct reader *r, yyjson_val *object)
{
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct bst_view sn = bst_json_view(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        size_t i = 0;
        const struct bst_m2m_param *p = find(sn, &i);
        if (!p) {
            BST_FAIL(BST_E_SYNTAX, "\"%.*s\" is no request parameter",
                     (int)(sn.len > 40 ? 40 : sn.len), sn.ptr);
        }
        BST_TRY(check_type(i, value));
        BST_TRY(read_param(r, p, value));
    }
    return BST_OK;
}

static bst_result unwrap(yyjson_val *root, const char *wrapper, yyjson_val **ret)
{
    yyjson_val *inner = bst_json_get(root, wrapper);
    *ret = inner ? inner : root;
    if (!yyjson_is_obj(*ret)) {
        BST_FAIL(BST_E_SYNTAX, "a primitive must be an object, found %s", bst_json_kind(*ret));
    }
    return BST_OK;
}

bst_result bst_m2m_request_from_json(struct bst_arena *arena, yyjson_val *root, int64_t now_us,
                                     struct bst_m2m_request *ret)
{
    yyjson_val *object;
    struct bst_m2m_request req;
    bst_m2m_request_init(&req);
    BST_TRY(unwrap(root, "m2m:rqp", &object));
    struct reader r = {arena, now_us, &req};
    /* What the content means depends on the operation: read that first. */
    req.op = (enum bst_m2m_op)yyjson_get_sint(bst_json_get(object, "op"));
    BST_TRY(read_all(&r, object));
    req.release = bst_m2m_release_of(req.rvi);
    BST_TRY(bst_m2m_request_check(&req));
    *ret = req;
    return BST_OK;
}

/* Writing. `first` keeps the commas. */

static void key(struct bst_buf *buf, bool *first, const char *sn)
{
    bst_buf_addf(buf, "%s\"%s\":", *first ? "" : ",", sn);
    *first = false;
}

static void write_texts(struct bst_buf *buf, const struct bst_m2m_views *list)
{
    bst_buf_addc(buf, '[');
    for (size_t i = 0; i < list->n; i++) {
        bst_buf_adds(buf, i ? "," : "");
        bst_buf_add_json(buf, list->v[i]);
    }
    bst_buf_addc(buf, ']');
}

static void write_response_type(const struct bst_m2m_request *req, struct bst_buf *buf)
{
    bst_buf_addf(buf, "{\"rtv\":%d", req->rt);
    if (req->rtu.n) {
        bst_buf_adds(buf, ",\"nu\":");
        write_texts(buf, &req->rtu);
    }
    bst_buf_addc(buf, '}');
}

static bst_result write_filter(const struct bst_m2m_filter *f, struct bst_buf *buf)
{
    struct bst_arena arena;
    bst_arena_init(&arena, 0);
    yyjson_mut_doc *doc = bst_json_doc(&arena);
    yyjson_mut_val *value = doc ? bst_m2m_filter_to_json(f, doc) : NULL;
    bst_result result = value ? bst_json_write_mut(value, buf) : bst_error(BST_E_NOMEM);
    bst_arena_clear(&arena);
    return result;
}

static bst_result write_content(const struct bst_m2m_request *req, struct bst_buf *buf)
{
    if (req->pc) {
        return bst_json_write(req->pc, buf);
    }
    if (req->pc_text.len) {
        bst_buf_addv(buf, req->pc_text);
        return BST_OK;
    }
    bst_buf_adds(buf, "{\"m2m:atrl\":");
    write_texts(buf, &req->atrl);
    bst_buf_addc(buf, '}');
    return BST_OK;
}

static bst_result write_param(const struct bst_m2m_request *req, const struct bst_m2m_param *p,
                              struct bst_buf *buf)
{
    const void *at = (const char *)req + p->at;
    switch (p->form) {
    case BST_PARAM_TEXT:
        bst_buf_add_json(buf, *(const struct bst_view *)at);
        return BST_OK;
    case BST_PARAM_INT:
        bst_buf_addi(buf, *(const int *)at);
        return BST_OK;
    case BST_PARAM_TIME:
        bst_buf_add_json(buf, ((const struct bst_m2m_time *)at)->text);
        return BST_OK;
    case BST_PARAM_BOOL:
        bst_buf_adds(buf, *(const bool *)at ? "true" : "false");
        return BST_OK;
    case BST_PARAM_TEXTS:
        write_texts(buf, at);
        return BST_OK;
    case BST_PARAM_RT:
        write_response_type(req, buf);
        return BST_OK;
    case BST_PARAM_FC:
        return write_filter(at, buf);
    default:
        return write_content(req, buf);
    }
}

bst_result bst_m2m_request_to_json(const struct bst_m2m_request *req, struct bst_buf *ret)
{
    bool first = true;
    bst_buf_addc(ret, '{');
    for (size_t i = 0; i < bst_m2m_n_params; i++) {
        if (bst_m2m_param_present(req, &bst_m2m_params[i])) {
            key(ret, &first, bst_m2m_params[i].sn);
            BST_TRY(write_param(req, &bst_m2m_params[i], ret));
        }
    }
    bst_buf_addc(ret, '}');
    return bst_buf_check(ret);
}

/* Responses: few members, written and read one by one. */

static bst_result read_assigned(struct bst_arena *arena, yyjson_val *object,
                                struct bst_m2m_views *ret)
{
    yyjson_val *list = bst_json_get(bst_json_get(object, "ati"), "ltia");
    size_t n = yyjson_arr_size(list);
    if (n == 0) {
        return BST_OK;
    }
    ret->v = bst_arena_alloc(arena, n * sizeof *ret->v);
    BST_ENSURE(ret->v, BST_E_NOMEM);
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter)) != NULL;) {
        struct bst_view lti, tkid;
        BST_TRY(bst_json_string(item, "lti", &lti));
        BST_TRY(bst_json_string(item, "tkid", &tkid));
        ret->v[ret->n] =
            bst_arena_printf(arena, "%.*s:%.*s", BST_VIEW_ARGS(lti), BST_VIEW_ARGS(tkid));
        BST_ENSURE(ret->v[ret->n].ptr, BST_E_NOMEM);
        ret->n++;
    }
    return BST_OK;
}

static bst_result read_time_text(struct bst_arena *arena, yyjson_val *object, const char *name,
                                 struct bst_view *ret)
{
    struct bst_m2m_time time = {0};
    yyjson_val *value = bst_json_get(object, name);
    if (value) {
        BST_TRY(read_time(arena, value, 1, &time));
        *ret = time.text;
    }
    return BST_OK;
}

static bst_result read_response_numbers(yyjson_val *object, struct bst_m2m_response *rsp)
{
    int64_t rsc = 0, ec = 0, cnst = 0;
    BST_TRY(bst_json_i64(object, "rsc", &rsc));
    BST_TRY(bst_json_opt_i64(object, "ec", &ec));
    BST_TRY(bst_json_opt_i64(object, "cnst", &cnst));
    BST_TRY(bst_json_opt_i64(object, "cnot", &rsp->cnot));
    BST_TRY(bst_json_opt_bool(object, "asri", &rsp->asri));
    if (rsc < 1000 || rsc > 6999 || ec < 0 || ec > 999 || cnst < 0 || cnst > 2 || rsp->cnot < 0) {
        BST_FAIL(BST_E_VALUE, "response primitive: rsc, ec, cnst or cnot out of range");
    }
    rsp->rsc = (int)rsc;
    rsp->ec = (int)ec;
    rsp->cnst = (int)cnst;
    return BST_OK;
}

bst_result bst_m2m_response_from_json(struct bst_arena *arena, yyjson_val *root,
                                      struct bst_m2m_response *ret)
{
    yyjson_val *object;
    struct bst_m2m_response rsp = {0};
    BST_TRY(unwrap(root, "m2m:rsp", &object));
    BST_TRY(read_response_numbers(object, &rsp));
    BST_TRY(bst_json_string(object, "rqi", &rsp.rqi));
    BST_TRY(bst_json_opt_string(object, "to", &rsp.to));
    BST_TRY(bst_json_opt_string(object, "fr", &rsp.fr));
    BST_TRY(bst_json_opt_string(object, "rvi", &rsp.rvi));
    BST_TRY(bst_json_opt_string(object, "vsi", &rsp.vsi));
    BST_TRY(read_time_text(arena, object, "ot", &rsp.ot));
    BST_TRY(read_time_text(arena, object, "rset", &rsp.rset));
    BST_TRY(read_assigned(arena, object, &rsp.ati));
    yyjson_val *content = bst_json_get(object, "pc");
    if (content && !yyjson_is_null(content)) {
        rsp.pc = bst_json_text(arena, content);
        BST_ENSURE(rsp.pc.ptr, BST_E_NOMEM);
        rsp.debug = bst_json_view(bst_json_get(content, "m2m:dbg"));
    }
    *ret = rsp;
    return BST_OK;
}

static void write_text(struct bst_buf *buf, bool *first, const char *sn, struct bst_view value)
{
    if (value.ptr) {
        key(buf, first, sn);
        bst_buf_add_json(buf, value);
    }
}

static void write_assigned(struct bst_buf *buf, const struct bst_m2m_views *list)
{
    bst_buf_adds(buf, "{\"ltia\":[");
    for (size_t i = 0; i < list->n; i++) {
        struct bst_view tkid = list->v[i], lti;
        bst_view_cut(&tkid, ':', &lti);
        bst_buf_adds(buf, i ? ",{\"lti\":" : "{\"lti\":");
        bst_buf_add_json(buf, lti);
        bst_buf_adds(buf, ",\"tkid\":");
        bst_buf_add_json(buf, tkid);
        bst_buf_addc(buf, '}');
    }
    bst_buf_adds(buf, "]}");
}

static void write_number(struct bst_buf *buf, bool *first, const char *sn, int64_t value)
{
    if (value) {
        key(buf, first, sn);
        bst_buf_addi(buf, value);
    }
}

bst_result bst_m2m_response_to_json(const struct bst_m2m_response *rsp, struct bst_buf *ret)
{
    bool first = true;
    bst_buf_addc(ret, '{');
    write_number(ret, &first, "rsc", rsp->rsc);
    write_text(ret, &first, "rqi", rsp->rqi);
    write_text(ret, &first, "to", rsp->to);
    write_text(ret, &first, "fr", rsp->fr);
    write_text(ret, &first, "ot", rsp->ot);
    write_text(ret, &first, "rset", rsp->rset);
    write_text(ret, &first, "rvi", rsp->rvi);
    write_text(ret, &first, "vsi", rsp->vsi);
    write_number(ret, &first, "ec", rsp->ec);
    write_number(ret, &first, "cnst", rsp->cnst);
    write_number(ret, &first, "cnot", rsp->cnot);
    if (rsp->ati.n) {
        key(ret, &first, "ati");
        write_assigned(ret, &rsp->ati);
    }
    if (rsp->asri) {
        key(ret, &first, "asri");
        bst_buf_adds(ret, "true");
    }
    if (rsp->pc.len || (rsp->rsc >= 4000 && rsp->debug.len)) {
        key(ret, &first, "pc");
        BST_TRY(bst_m2m_response_content(rsp, ret));
    }
    bst_buf_addc(ret, '}');
    return bst_buf_check(ret);
}
