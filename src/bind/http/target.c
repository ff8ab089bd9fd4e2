/* Request targets and addresses: TS-0009 6.2.2.1; URLs of points of access. */
#include "bind/http/binding_priv.h"

bst_result bst_http_decode(struct bst_view text, struct bst_arena *arena, struct bst_view *ret)
{
    if (!text.len || !memchr(text.ptr, '%', text.len)) {
        *ret = text;
        return BST_OK;
    }
    bst_auto(buf) buf = {0};
    bst_result decoded = bst_percent_decode(text, &buf);
    if (decoded.code == BST_E_SYNTAX) {
        BST_FAIL(BST_E_SYNTAX, "request target: broken percent escape");
    }
    BST_TRY(decoded);
    if (!bst_utf8_valid(bst_buf_view(&buf))) {
        BST_FAIL(BST_E_ENCODING, "request target: not UTF-8 behind the escapes");
    }
    *ret = bst_arena_view(arena, bst_buf_view(&buf));
    BST_ENSURE(ret->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result add_segment(struct bst_view seg, struct bst_arena *arena, struct bst_buf *buf)
{
    struct bst_view plain;
    BST_TRY(bst_http_decode(seg, arena, &plain));
    if (plain.len && (memchr(plain.ptr, '/', plain.len) || memchr(plain.ptr, '%', plain.len))) {
        BST_FAIL(BST_E_SYNTAX, "request target: an escaped '/' or '%%' is not allowed in a path");
    }
    bst_buf_addv(buf, plain);
    return BST_OK;
}

/* Split first, decode after: an escaped slash is no slash. */
static bst_result decode_path(struct bst_view path, struct bst_arena *arena, struct bst_buf *buf)
{
    for (bool more = true; more;) {
        struct bst_view seg;
        more = bst_view_cut(&path, '/', &seg);
        BST_TRY(add_segment(seg, arena, buf));
        if (more) {
            bst_buf_addc(buf, '/');
        }
    }
    return bst_buf_check(buf);
}

/* "~" and "_" in front are the marks of a scope, whether escaped or not (RFC 3986 6.2.2.2), and no
 * resource has such a name: an address that begins with one would be read as another on its way. */
static bool reads_as_scope(struct bst_view address)
{
    struct bst_view rest = address, first;
    bst_view_cut(&rest, '/', &first);
    return bst_view_is(first, "~") || bst_view_is(first, "_");
}

bst_result bst_http_target_to_address(struct bst_view path, struct bst_arena *arena,
                                      struct bst_view *ret_to)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        BST_FAIL(BST_E_SYNTAX, "request target: must begin with '/'");
    }
    if (bst_view_is(path, "/~") || bst_view_is(path, "/_")) {
        BST_FAIL(BST_E_SYNTAX, "request target: no CSE-ID behind \"%s\"",
                 path.ptr[1] == '~' ? "/~" : "/_");
    }
    struct bst_buf buf = {0};
    struct bst_view to = bst_view_from(path, 1);
    if (bst_view_starts(path, BST_VIEW("/~/"))) {
        to = bst_view_from(path, 2);
    } else if (bst_view_starts(path, BST_VIEW("/_/"))) {
        bst_buf_addc(&buf, '/');
        to = bst_view_from(path, 2);
    }
    if (buf.len == 0 && !memchr(path.ptr, '%', path.len)) {
        *ret_to = to;
        return BST_OK;
    }
    bst_result result = decode_path(to, arena, &buf);
    if (!bst_failed(result) && reads_as_scope(bst_buf_view(&buf))) {
        bst_buf_clear(&buf);
        BST_FAIL(BST_E_SYNTAX, "request target: '~' and '_' stand for a scope, write them plainly");
    }
    if (!bst_failed(result)) {
        *ret_to = bst_arena_view(arena, bst_buf_view(&buf));
        result = ret_to->ptr ? BST_OK : bst_error(BST_E_NOMEM);
    }
    bst_buf_clear(&buf);
    return result;
}

static void encode_address(struct bst_view to, struct bst_buf *buf)
{
    if (bst_view_starts(to, BST_VIEW("//"))) {
        bst_buf_adds(buf, "/_");
        to = bst_view_from(to, 1);
    } else if (bst_view_starts(to, BST_VIEW("/"))) {
        bst_buf_adds(buf, "/~");
    } else {
        bst_buf_addc(buf, '/');
    }
    bst_percent_add(buf, to, "/@:!$&'()*+,;=");
}

bst_result bst_http_address_to_target(struct bst_view to, struct bst_arena *arena,
                                      struct bst_view *ret_path)
{
    struct bst_buf buf = {0};
    if (reads_as_scope(to)) {
        BST_FAIL(BST_E_SYNTAX, "address: no resource of a CSE is named \"~\" or \"_\"");
    }
    encode_address(to, &buf);
    *ret_path = bst_buf_check(&buf).code ? (struct bst_view){NULL, 0}
                                         : bst_arena_view(arena, bst_buf_view(&buf));
    bst_buf_clear(&buf);
    BST_ENSURE(ret_path->ptr, BST_E_NOMEM);
    return BST_OK;
}

static bst_result no_url(struct bst_view url, const char *why)
{
    BST_FAIL(BST_E_SYNTAX, "\"%.*s\" is no usable URL: %s", (int)(url.len > 80 ? 80 : url.len),
             url.ptr, why);
}

static bool no_controls(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if ((unsigned char)v.ptr[i] <= 0x20 || (unsigned char)v.ptr[i] >= 0x7f ||
            v.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

static bst_result read_authority(struct bst_view url, struct bst_http_url *u)
{
    struct bst_view rest = u->authority;
    uint64_t port = u->tls ? 443 : 80;
    if (rest.len == 0 || memchr(rest.ptr, '@', rest.len)) {
        return no_url(url, "no host, or a user name in it");
    }
    bool has_port;
    if (rest.ptr[0] == '[') {
        rest = bst_view_from(rest, 1);
        if (!bst_view_cut(&rest, ']', &u->host) || (rest.len && rest.ptr[0] != ':')) {
            return no_url(url, "broken IPv6 address");
        }
        has_port = rest.len > 0;
        rest = bst_view_from(rest, 1);
    } else {
        has_port = bst_view_cut(&rest, ':', &u->host);
    }
    if (has_port && (bst_parse_u64(rest, &port).code || port == 0 || port > 65535)) {
        return no_url(url, "broken port");
    }
    if (u->host.len == 0) {
        return no_url(url, "no host");
    }
    u->port = (uint16_t)port;
    return BST_OK;
}

static enum bst_m2m_format ct_of(struct bst_view value)
{
    return bst_view_is(value, "json")   ? BST_FORMAT_JSON
           : bst_view_is(value, "xml")  ? BST_FORMAT_XML
           : bst_view_is(value, "cbor") ? BST_FORMAT_CBOR
                                        : BST_FORMAT_NONE;
}

/* Take `ct=` out of the query; the rest stays. */
static bst_result take_ct(struct bst_view path, struct bst_arena *arena, struct bst_http_url *u)
{
    struct bst_view query = path, base;
    bool more = bst_view_cut(&query, '?', &base), found = false;
    struct bst_buf buf = {0};
    bst_buf_addv(&buf, base.len ? base : BST_VIEW("/"));
    for (char sep = '?'; more;) {
        struct bst_view pair;
        more = bst_view_cut(&query, '&', &pair);
        if (bst_view_starts(pair, BST_VIEW("ct=")) && ct_of(bst_view_from(pair, 3))) {
            u->ct = ct_of(bst_view_from(pair, 3));
            found = true;
            continue;
        }
        bst_buf_addc(&buf, sep);
        bst_buf_addv(&buf, pair);
        sep = '&';
    }
    bool good = !bst_buf_check(&buf).code;
    u->path = found || base.len == 0 ? bst_arena_view(arena, bst_buf_view(&buf)) : path;
    bst_buf_clear(&buf);
    BST_ENSURE(good && u->path.ptr, BST_E_NOMEM);
    return BST_OK;
}

bst_result bst_http_url_parse(struct bst_view url, struct bst_arena *arena,
                              struct bst_http_url *ret)
{
    struct bst_http_url u = {0};
    struct bst_view rest = url, scheme, fragment;
    if (url.len > BST_ADDR_MAX || !no_controls(url)) {
        return no_url(url, "too long, or characters that do not belong there");
    }
    if (!bst_view_cut(&rest, ':', &scheme) || !bst_view_starts(rest, BST_VIEW("//"))) {
        return no_url(url, "no scheme");
    }
    u.tls = bst_view_eq_nocase(scheme, BST_VIEW("https"));
    if (!u.tls && !bst_view_eq_nocase(scheme, BST_VIEW("http"))) {
        BST_FAIL(BST_E_VALUE, "\"%.*s\": only http and https are supported",
                 (int)(url.len > 80 ? 80 : url.len), url.ptr);
    }
    rest = bst_view_from(rest, 2);
    bst_view_cut(&rest, '#', &fragment);
    size_t end = 0;
    while (end < fragment.len && fragment.ptr[end] != '/' && fragment.ptr[end] != '?') {
        end++;
    }
    u.authority = bst_view_of(fragment.ptr, end);
    BST_TRY(read_authority(url, &u));
    BST_TRY(take_ct(bst_view_from(fragment, end), arena, &u));
    *ret = u;
    return BST_OK;
}
