/* The server's half: HTTP request to primitive, response primitive to HTTP (TS-0009 6). */
#include "bind/http/binding_priv.h"

#include "base/time.h"

enum header {
    H_ORIGIN,
    H_RI,
    H_RVI,
    H_GID,
    H_RTU,
    H_OT,
    H_RST,
    H_RET,
    H_OET,
    H_EC,
    H_VSI,
    H_AS,
    H_CONTENT_TYPE,
    H_ACCEPT,
    H_AUTHORIZATION,
    H_COUNT
};
static const char *const header_names[H_COUNT] = {
    [H_ORIGIN] = "X-M2M-Origin",
    [H_RI] = "X-M2M-RI",
    [H_RVI] = "X-M2M-RVI",
    [H_GID] = "X-M2M-GID",
    [H_RTU] = "X-M2M-RTU",
    [H_OT] = "X-M2M-OT",
    [H_RST] = "X-M2M-RST",
    [H_RET] = "X-M2M-RET",
    [H_OET] = "X-M2M-OET",
    [H_EC] = "X-M2M-EC",
    [H_VSI] = "X-M2M-VSI",
    [H_AS] = "X-M2M-AS",
    [H_CONTENT_TYPE] = "Content-Type",
    [H_ACCEPT] = "Accept",
    [H_AUTHORIZATION] = "Authorization",
};

struct headers {
    struct bst_view v[H_COUNT]; /* ptr NULL: absent */
};

static int header_index(struct bst_view name)
{
    for (int i = 0; i < H_COUNT; i++) {
        if (bst_view_eq_nocase(name, bst_view(header_names[i]))) {
            return i;
        }
    }
    return -1;
}

static bst_result check_header(int i, struct bst_view value)
{
    if (!bst_http_is_value(value)) {
        BST_FAIL(BST_E_SYNTAX, "header %s: control characters", header_names[i]);
    }
    if (!bst_utf8_valid(value)) {
        BST_FAIL(BST_E_ENCODING, "header %s: not UTF-8", header_names[i]);
    }
    return BST_OK;
}

/* An empty value is as good as none. */
static bst_result collect(const struct bst_http_msg *in, struct bst_arena *arena,
                          struct headers *ret)
{
    for (size_t n = 0; n < in->n_headers; n++) {
        int i = header_index(in->headers[n].name);
        struct bst_view value = bst_view_trim(in->headers[n].value);
        if (i < 0 || value.len == 0) {
            continue;
        }
        BST_TRY(check_header(i, value));
        if (!ret->v[i].ptr) {
            ret->v[i] = value;
        } else if (i == H_ACCEPT) {
            ret->v[i] = bst_arena_printf(arena, "%.*s,%.*s", BST_VIEW_ARGS(ret->v[i]),
                                         BST_VIEW_ARGS(value));
            BST_ENSURE(ret->v[i].ptr, BST_E_NOMEM);
        } else {
            BST_FAIL(BST_E_SYNTAX, "header %s: given twice", header_names[i]);
        }
    }
    return BST_OK;
}

static bst_result read_time(const struct headers *h, enum header i, int64_t now_us,
                            struct bst_m2m_time *ret)
{
    struct bst_view text = h->v[i];
    if (!text.ptr) {
        return BST_OK;
    }
    ret->text = text;
    bst_result result = i == H_OT ? bst_m2m_time_parse(text, &ret->us)
                                  : bst_m2m_time_parse_absrel(text, now_us, &ret->us);
    if (bst_failed(result)) {
        BST_FAIL(BST_E_VALUE, "header %s: must be %s, found \"%.*s\"", header_names[i],
                 i == H_OT ? "a timestamp" : "a timestamp or milliseconds",
                 (int)(text.len > 40 ? 40 : text.len), text.ptr);
    }
    return BST_OK;
}

static bst_result read_times(const struct headers *h, int64_t now_us, struct bst_m2m_request *req)
{
    BST_TRY(read_time(h, H_OT, now_us, &req->ot));
    BST_TRY(read_time(h, H_RST, now_us, &req->rset));
    BST_TRY(read_time(h, H_RET, now_us, &req->rqet));
    return read_time(h, H_OET, now_us, &req->oet);
}

static bst_result read_event_category(const struct headers *h, struct bst_m2m_request *req)
{
    int64_t ec = 0;
    if (h->v[H_EC].ptr && (bst_parse_i64(h->v[H_EC], &ec).code || ec < 1 || ec > 999)) {
        BST_FAIL(BST_E_VALUE, "header X-M2M-EC: must be a number, 2 to 4 or 100 to 999");
    }
    req->ec = (int)ec;
    return BST_OK;
}

/* TS-0009 6.4.19: tokens joined with '+'. A scheme of plain HTTP authentication is not a token. */
static bst_result read_tokens(const struct headers *h, struct bst_arena *arena,
                              struct bst_m2m_request *req)
{
    struct bst_view value = h->v[H_AUTHORIZATION], scheme = value, rest = value;
    if (!value.ptr) {
        return BST_OK;
    }
    if (bst_view_cut(&rest, ' ', &scheme) && !memchr(scheme.ptr, '.', scheme.len)) {
        return BST_OK;
    }
    return bst_http_list_split(arena, value, '+', &req->tkns);
}

static bst_result read_headers(const struct headers *h, struct bst_arena *arena, int64_t now_us,
                               struct bst_m2m_request *req)
{
    req->fr = h->v[H_ORIGIN];
    req->present |= req->fr.ptr ? BST_REQ_FR : 0;
    req->rqi = h->v[H_RI];
    req->rvi = h->v[H_RVI];
    req->release = bst_m2m_release_of(req->rvi);
    req->gid = h->v[H_GID];
    req->vsi = h->v[H_VSI];
    BST_TRY(read_times(h, now_us, req));
    BST_TRY(read_event_category(h, req));
    BST_TRY(read_tokens(h, arena, req));
    if (h->v[H_RTU].ptr) {
        BST_TRY(bst_http_list_split(arena, h->v[H_RTU], '&', &req->rtu));
    }
    if (h->v[H_AS].ptr) {
        BST_TRY(bst_http_list_split(arena, h->v[H_AS], '+', &req->aus));
    }
    return h->v[H_ACCEPT].ptr ? bst_http_accept_parse(h->v[H_ACCEPT], &req->accept) : BST_OK;
}

static bst_result read_operation(const struct bst_http_msg *in, int ty, struct bst_m2m_request *req)
{
    switch (in->method) {
    case BST_HTTP_GET:
        req->op = BST_OP_RETRIEVE;
        return BST_OK;
    case BST_HTTP_PUT:
        req->op = BST_OP_UPDATE;
        return BST_OK;
    case BST_HTTP_DELETE:
        req->op = BST_OP_DELETE;
        return BST_OK;
    case BST_HTTP_POST:
        /* TS-0009 6.2.1: a resource type in the Content-Type tells a CREATE from a NOTIFY. */
        req->op = ty ? BST_OP_CREATE : BST_OP_NOTIFY;
        return BST_OK;
    default:
        BST_FAIL(BST_E_OPERATION, "HTTP method %s stands for no operation of oneM2M",
                 bst_http_method_name(in->method));
    }
}

/* A resource without its type is a CREATE that lost it, not a notification. */
static bst_result check_notification(const struct bst_m2m_request *req)
{
    if (req->op != BST_OP_NOTIFY || !yyjson_is_obj(req->pc)) {
        return BST_OK;
    }
    yyjson_obj_iter iter = yyjson_obj_iter_with(req->pc);
    yyjson_val *root = yyjson_obj_iter_next(&iter);
    if (root && bst_m2m_type_by_root(bst_json_view(root))) {
        BST_FAIL(BST_E_SYNTAX, "Content-Type: ty= (the resource type) is missing in a CREATE");
    }
    return BST_OK;
}

static bst_result read_attribute_list(struct bst_arena *arena, struct bst_m2m_request *req)
{
    yyjson_val *list = bst_json_get(req->pc, "m2m:atrl");
    if (!list || req->op != BST_OP_RETRIEVE) {
        return BST_OK;
    }
    BST_TRY(bst_m2m_validate_as("m2m:attributeList", list, "m2m:atrl"));
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *name; (name = yyjson_arr_iter_next(&iter)) != NULL;) {
        BST_TRY(bst_http_list_add(arena, &req->atrl, bst_json_view(name)));
    }
    req->pc = NULL;
    return BST_OK;
}

static bst_result read_body(const struct bst_http_msg *in, struct bst_arena *arena,
                            struct bst_m2m_request *req)
{
    if (in->body.len == 0) {
        return BST_OK;
    }
    BST_TRY(bst_json_parse(arena, in->body, BST_JSON_DEPTH, &req->pc));
    req->pc_text = in->body;
    BST_TRY(read_attribute_list(arena, req));
    return check_notification(req);
}

/* RFC 9112 3.2.2: servers accept the absolute form, too. */
static struct bst_view origin_form(struct bst_view target)
{
    size_t skip = bst_view_starts(target, BST_VIEW("http://"))    ? 7
                  : bst_view_starts(target, BST_VIEW("https://")) ? 8
                                                                  : 0;
    if (skip == 0) {
        return target;
    }
    const char *slash = memchr(target.ptr + skip, '/', target.len - skip);
    return slash ? bst_view_from(target, (size_t)(slash - target.ptr)) : BST_VIEW("/");
}

static bst_result read_target(const struct bst_http_msg *in, struct bst_arena *arena,
                              int64_t now_us, struct bst_m2m_request *req)
{
    struct bst_m2m_address address;
    struct bst_view query = origin_form(in->target), path;
    bst_view_cut(&query, '?', &path);
    BST_TRY(bst_http_target_to_address(path, arena, &req->to));
    if (req->op == BST_OP_NOTIFY && bst_view_is(path, "/")) {
        req->to = path; /* a notification to "http://host/": the path says nothing */
    } else {
        BST_TRY(bst_m2m_address_parse(req->to, &address));
        if (address.attribute.len) {
            BST_FAIL(BST_E_SYNTAX, "request target: '#' is not allowed, use atrl=");
        }
    }
    return bst_http_query_read(query, arena, now_us, req);
}

bst_result bst_http_to_request(const struct bst_http_msg *in, int64_t now_us,
                               struct bst_arena *arena, struct bst_m2m_request *ret)
{
    struct headers h = {0};
    struct bst_http_media media = {0};
    struct bst_m2m_request req;
    bst_m2m_request_init(&req);
    BST_TRY(collect(in, arena, &h));
    BST_TRY(read_headers(&h, arena, now_us, &req));
    bool has_body = in->body.len > 0;
    if (h.v[H_CONTENT_TYPE].ptr && (has_body || in->method == BST_HTTP_POST)) {
        BST_TRY(bst_http_media_parse(h.v[H_CONTENT_TYPE], &media));
    } else if (has_body) {
        BST_FAIL(BST_E_MEDIA_TYPE, "header Content-Type is missing");
    }
    req.ty = media.ty;
    BST_TRY(read_operation(in, media.ty, &req));
    BST_TRY(read_target(in, arena, now_us, &req));
    BST_TRY(read_body(in, arena, &req));
    BST_TRY(bst_m2m_request_check(&req));
    *ret = req;
    return BST_OK;
}

void bst_http_reject(const struct bst_http_msg *in, bst_result failure, struct bst_arena *arena,
                     struct bst_m2m_response *ret)
{
    struct bst_m2m_response rsp = {0};
    bst_m2m_response_fail(&rsp, failure, arena);
    struct bst_view rqi = bst_view_trim(bst_http_header_get(in, header_names[H_RI]));
    struct bst_view rvi = bst_view_trim(bst_http_header_get(in, header_names[H_RVI]));
    if (bst_m2m_is_request_id(rqi) && bst_utf8_valid(rqi)) {
        rsp.rqi = rqi;
    }
    enum bst_m2m_release release = bst_m2m_release_of(rvi);
    if (release != BST_RELEASE_UNKNOWN && release != BST_RELEASE_NONE) {
        rsp.rvi = rvi;
    }
    *ret = rsp;
}

/* Response to HTTP. */

#define RESPONSE_HEADERS 20

static bst_result add_rare(const struct bst_m2m_response *rsp, struct bst_http_headers *h)
{
    BST_TRY(bst_http_headers_add(h, "X-M2M-OT", rsp->ot));
    BST_TRY(bst_http_headers_add(h, "X-M2M-RST", rsp->rset));
    BST_TRY(bst_http_headers_add(h, "X-M2M-VSI", rsp->vsi));
    BST_TRY(bst_http_headers_number(h, "X-M2M-EC", rsp->ec));
    BST_TRY(bst_http_headers_number(h, "X-M2M-CTS", rsp->cnst));
    BST_TRY(bst_http_headers_number(h, "X-M2M-CTO", rsp->cnot));
    BST_TRY(bst_http_headers_list(h, "X-M2M-ATI", &rsp->ati, '+'));
    return rsp->asri ? bst_http_headers_add(h, "X-M2M-ASRI", BST_VIEW("true")) : BST_OK;
}

static bst_result add_content(const struct bst_m2m_response *rsp, struct bst_http_headers *h,
                              struct bst_view *ret_body)
{
    *ret_body = rsp->pc;
    if (!rsp->pc.len && rsp->rsc >= 4000 && rsp->debug.len) {
        struct bst_buf buf = {0};
        bst_result result = bst_m2m_response_content(rsp, &buf);
        *ret_body = bst_arena_view(h->arena, bst_buf_view(&buf));
        bst_buf_clear(&buf);
        BST_TRY(result);
        BST_ENSURE(ret_body->ptr, BST_E_NOMEM);
    }
    return ret_body->len ? bst_http_headers_add(h, "Content-Type", BST_VIEW("application/json"))
                         : BST_OK;
}

static bst_result add_location(const struct bst_m2m_response *rsp, struct bst_http_headers *h)
{
    struct bst_view path;
    if (!rsp->content_location.len) {
        return BST_OK;
    }
    BST_TRY(bst_http_address_to_target(rsp->content_location, h->arena, &path));
    return bst_http_headers_add(h, "Content-Location", path);
}

bst_result bst_http_from_response(const struct bst_m2m_response *rsp, enum bst_m2m_format accept,
                                  struct bst_arena *arena, struct bst_http_msg *ret)
{
    struct bst_http_msg out = {.status =
                                   rsp->retry_s ? BST_M2M_BUSY_HTTP : bst_m2m_rsc_http(rsp->rsc),
                               .keep_alive = true,
                               .minor = 1};
    struct bst_http_headers h;
    BST_TRY(bst_http_headers_init(&h, RESPONSE_HEADERS, arena));
    BST_TRY(bst_http_headers_number(&h, "X-M2M-RSC", rsp->rsc));
    BST_TRY(bst_http_headers_add(&h, "X-M2M-RI", rsp->rqi));
    BST_TRY(bst_http_headers_add(&h, "X-M2M-RVI", rsp->rvi));
    BST_TRY(bst_http_headers_add(&h, "X-M2M-Origin", rsp->fr));
    BST_TRY(bst_http_headers_number(&h, "Retry-After", rsp->retry_s));
    BST_TRY(add_rare(rsp, &h));
    BST_TRY(add_location(rsp, &h));
    BST_TRY(add_content(rsp, &h, &out.body));
    out.headers = h.v;
    out.n_headers = h.n;
    *ret = out;
    return BST_OK;
}
