/* The client's half: request primitive to HTTP, HTTP response to primitive (TS-0009 6). */
#include "bind/http/binding_priv.h"

#include "base/time.h"

#define REQUEST_HEADERS 16
#define RETRY_MAX_S 86400

static bst_result add_headers(const struct bst_m2m_request *req, struct bst_http_headers *h)
{
    BST_TRY(bst_http_headers_add(h, "X-M2M-Origin", req->fr));
    BST_TRY(bst_http_headers_add(h, "X-M2M-RI", req->rqi));
    BST_TRY(bst_http_headers_add(h, "X-M2M-RVI", req->rvi));
    BST_TRY(bst_http_headers_add(h, "X-M2M-GID", req->gid));
    BST_TRY(bst_http_headers_add(h, "X-M2M-OT", req->ot.text));
    BST_TRY(bst_http_headers_add(h, "X-M2M-RST", req->rset.text));
    BST_TRY(bst_http_headers_add(h, "X-M2M-RET", req->rqet.text));
    BST_TRY(bst_http_headers_add(h, "X-M2M-OET", req->oet.text));
    BST_TRY(bst_http_headers_add(h, "X-M2M-VSI", req->vsi));
    BST_TRY(bst_http_headers_number(h, "X-M2M-EC", req->ec));
    BST_TRY(bst_http_headers_list(h, "X-M2M-RTU", &req->rtu, '&'));
    BST_TRY(bst_http_headers_list(h, "Authorization", &req->tkns, '+'));
    BST_TRY(bst_http_headers_list(h, "X-M2M-AS", &req->aus, '+'));
    return bst_http_headers_add(h, "Accept", BST_VIEW("application/json"));
}

static bst_result add_content(const struct bst_m2m_request *req, struct bst_http_headers *h,
                              struct bst_view *ret_body)
{
    *ret_body = req->pc_text;
    if (!req->pc_text.len && req->pc) {
        *ret_body = bst_json_text(h->arena, req->pc);
        BST_ENSURE(ret_body->ptr, BST_E_NOMEM);
    }
    if (!ret_body->len) {
        return BST_OK;
    }
    if (req->op != BST_OP_CREATE) {
        return bst_http_headers_add(h, "Content-Type", BST_VIEW("application/json"));
    }
    struct bst_view type = bst_arena_printf(h->arena, "application/json;ty=%d", req->ty);
    BST_ENSURE(type.ptr, BST_E_NOMEM);
    return bst_http_headers_add(h, "Content-Type", type);
}

static int method_of(enum bst_m2m_op op)
{
    switch (op) {
    case BST_OP_RETRIEVE:
        return BST_HTTP_GET;
    case BST_OP_UPDATE:
        return BST_HTTP_PUT;
    case BST_OP_DELETE:
        return BST_HTTP_DELETE;
    default:
        return BST_HTTP_POST;
    }
}

bst_result bst_http_from_request_at(const struct bst_m2m_request *req, struct bst_view path,
                                    struct bst_arena *arena, struct bst_http_msg *ret)
{
    struct bst_http_msg out = {
        .method = method_of(req->op), .target = path, .keep_alive = true, .minor = 1};
    struct bst_http_headers h;
    BST_TRY(bst_http_headers_init(&h, REQUEST_HEADERS, arena));
    BST_TRY(add_headers(req, &h));
    BST_TRY(add_content(req, &h, &out.body));
    out.headers = h.v;
    out.n_headers = h.n;
    *ret = out;
    return BST_OK;
}

bst_result bst_http_from_request(const struct bst_m2m_request *req, struct bst_arena *arena,
                                 struct bst_http_msg *ret)
{
    struct bst_view to = req->to, attribute = to, path;
    struct bst_m2m_request plain = *req;
    struct bst_view one[1];
    /* "to#attribute" goes as atrl= (TS-0009 6.2.2.2). */
    if (bst_view_cut(&attribute, '#', &to)) {
        one[0] = attribute;
        plain.atrl = (struct bst_m2m_views){one, 1};
    }
    BST_TRY(bst_http_address_to_target(to, arena, &path));
    struct bst_buf buf = {0};
    bst_buf_addv(&buf, path);
    bst_http_query_write(&plain, &buf);
    bool good = !bst_buf_check(&buf).code;
    path = bst_arena_view(arena, bst_buf_view(&buf));
    bst_buf_clear(&buf);
    BST_ENSURE(good && path.ptr, BST_E_NOMEM);
    return bst_http_from_request_at(req, path, arena, ret);
}

static bst_result read_number(const struct bst_http_msg *in, const char *name, int64_t least,
                              int64_t most, int64_t *ret)
{
    struct bst_view text = bst_view_trim(bst_http_header_get(in, name));
    int64_t number;
    if (text.len == 0) {
        return BST_OK;
    }
    if (bst_parse_i64(text, &number).code || number < least || number > most) {
        BST_FAIL(BST_E_VALUE, "response header %s: not a number in range", name);
    }
    *ret = number;
    return BST_OK;
}

static bst_result read_numbers(const struct bst_http_msg *in, struct bst_m2m_response *rsp)
{
    int64_t rsc = bst_m2m_rsc_from_http(in->status), ec = 0, cnst = 0;
    BST_TRY(read_number(in, "X-M2M-RSC", 1000, 9999, &rsc));
    BST_TRY(read_number(in, "X-M2M-EC", 1, 999, &ec));
    BST_TRY(read_number(in, "X-M2M-CTS", 1, 2, &cnst));
    BST_TRY(read_number(in, "X-M2M-CTO", 0, INT64_MAX, &rsp->cnot));
    rsp->rsc = (int)rsc;
    rsp->ec = (int)ec;
    rsp->cnst = (int)cnst;
    return BST_OK;
}

/* RFC 9110 10.2.3. A date is not looked at: clocks of devices are not what it takes. */
static unsigned read_retry(const struct bst_http_msg *in)
{
    struct bst_view text = bst_view_trim(bst_http_header_get(in, "Retry-After"));
    uint64_t seconds;
    if (in->status != BST_M2M_BUSY_HTTP) {
        return 0;
    }
    if (text.len == 0 || bst_failed(bst_parse_u64(text, &seconds)) || seconds == 0) {
        return bst_m2m_retry_s(BST_E_BUSY);
    }
    return seconds < RETRY_MAX_S ? (unsigned)seconds : RETRY_MAX_S;
}

static struct bst_view text_header(const struct bst_http_msg *in, const char *name)
{
    struct bst_view text = bst_view_trim(bst_http_header_get(in, name));
    return text.len ? text : (struct bst_view){NULL, 0};
}

/* A path of our binding back to an address; anything else is kept as it came. */
static struct bst_view read_location(const struct bst_http_msg *in, struct bst_arena *arena)
{
    struct bst_view text = text_header(in, "Content-Location"), to;
    if (text.len == 0 || text.ptr[0] != '/' || bst_http_target_to_address(text, arena, &to).code) {
        return text;
    }
    return to;
}

static bst_result read_body(const struct bst_http_msg *in, struct bst_arena *arena,
                            struct bst_m2m_response *rsp)
{
    struct bst_http_media media;
    yyjson_val *content;
    if (in->body.len == 0) {
        return BST_OK;
    }
    /* Proxies answer errors in HTML; their status is all that counts. */
    if (bst_http_media_parse(bst_http_header_get(in, "Content-Type"), &media).code) {
        if (rsp->rsc >= 4000) {
            return BST_OK;
        }
        BST_FAIL(BST_E_MEDIA_TYPE, "response: the content is not JSON");
    }
    BST_TRY(bst_json_parse(arena, in->body, BST_JSON_DEPTH, &content));
    rsp->pc = in->body;
    rsp->debug = bst_json_view(bst_json_get(content, "m2m:dbg"));
    return BST_OK;
}

bst_result bst_http_to_response(const struct bst_http_msg *in, struct bst_arena *arena,
                                struct bst_m2m_response *ret)
{
    struct bst_m2m_response rsp = {0};
    BST_TRY(read_numbers(in, &rsp));
    rsp.retry_s = read_retry(in);
    rsp.rqi = text_header(in, "X-M2M-RI");
    rsp.fr = text_header(in, "X-M2M-Origin");
    rsp.rvi = text_header(in, "X-M2M-RVI");
    rsp.vsi = text_header(in, "X-M2M-VSI");
    rsp.ot = text_header(in, "X-M2M-OT");
    rsp.rset = text_header(in, "X-M2M-RST");
    rsp.asri = bst_view_is(text_header(in, "X-M2M-ASRI"), "true");
    rsp.content_location = read_location(in, arena);
    struct bst_view ati = text_header(in, "X-M2M-ATI");
    if (ati.len) {
        BST_TRY(bst_http_list_split(arena, ati, '+', &rsp.ati));
    }
    BST_TRY(read_body(in, arena, &rsp));
    *ret = rsp;
    return BST_OK;
}
