/* Media types: TS-0004 6.7, TS-0009 6.4.2, 6.4.3. */
#include "bind/http/binding_priv.h"

static bool ends_with(struct bst_view v, const char *tail)
{
    size_t len = strlen(tail);
    return v.len >= len && bst_view_eq_nocase(bst_view_from(v, v.len - len), bst_view(tail));
}

/* Format of a type that can carry primitive content; NONE for a foreign one. */
static enum bst_m2m_format format_of(struct bst_view type)
{
    static const char *const vendor[] = {"res", "ntfy", "preq", "prsp", "attrs"};
    struct bst_view rest = type, head;
    if (bst_view_eq_nocase(type, BST_VIEW("application/json"))) {
        return BST_FORMAT_JSON;
    }
    if (bst_view_eq_nocase(type, BST_VIEW("application/xml"))) {
        return BST_FORMAT_XML;
    }
    if (bst_view_eq_nocase(type, BST_VIEW("application/cbor"))) {
        return BST_FORMAT_CBOR;
    }
    static const size_t prefix = sizeof "application/vnd.onem2m-" - 1;
    if (type.len <= prefix ||
        !bst_view_eq_nocase(bst_view_of(type.ptr, prefix), BST_VIEW("application/vnd.onem2m-"))) {
        return BST_FORMAT_NONE;
    }
    rest = bst_view_from(type, prefix);
    bst_view_cut(&rest, '+', &head);
    for (size_t i = 0; i < sizeof vendor / sizeof vendor[0]; i++) {
        if (bst_view_eq_nocase(head, bst_view(vendor[i]))) {
            return ends_with(type, "+json")   ? BST_FORMAT_JSON
                   : ends_with(type, "+xml")  ? BST_FORMAT_XML
                   : ends_with(type, "+cbor") ? BST_FORMAT_CBOR
                                              : BST_FORMAT_NONE;
        }
    }
    return BST_FORMAT_NONE;
}

static bst_result read_ty(struct bst_view value, int *ret)
{
    int64_t ty;
    if (bst_parse_i64(value, &ty).code || ty < 1 || ty > 99999) {
        BST_FAIL(BST_E_VALUE, "Content-Type: ty must be a resource type number, found \"%.*s\"",
                 (int)(value.len > 20 ? 20 : value.len), value.ptr);
    }
    *ret = (int)ty;
    return BST_OK;
}

bst_result bst_http_media_parse(struct bst_view value, struct bst_http_media *ret)
{
    struct bst_http_media media = {BST_FORMAT_NONE, 0};
    struct bst_view rest = value, type;
    bool more = bst_view_cut(&rest, ';', &type);
    type = bst_view_trim(type);
    media.format = format_of(type);
    while (more) {
        struct bst_view param, name;
        more = bst_view_cut(&rest, ';', &param);
        param = bst_view_trim(param);
        if (bst_view_cut(&param, '=', &name) && bst_view_eq_nocase(name, BST_VIEW("ty"))) {
            BST_TRY(read_ty(param, &media.ty));
        }
    }
    if (media.format == BST_FORMAT_XML || media.format == BST_FORMAT_CBOR) {
        BST_FAIL(BST_E_MEDIA_TYPE, "Content-Type: %s is not supported here, send JSON",
                 media.format == BST_FORMAT_XML ? "XML" : "CBOR");
    }
    if (media.format == BST_FORMAT_NONE) {
        BST_FAIL(BST_E_MEDIA_TYPE, "Content-Type: \"%.*s\" is no media type of oneM2M",
                 (int)(type.len > 60 ? 60 : type.len), type.ptr);
    }
    *ret = media;
    return BST_OK;
}

/* RFC 9110 12.4.2: "q=0" says no. */
static bool refused(struct bst_view params)
{
    for (bool more = params.len > 0; more;) {
        struct bst_view param, name;
        double weight;
        more = bst_view_cut(&params, ';', &param);
        param = bst_view_trim(param);
        if (bst_view_cut(&param, '=', &name) && bst_view_eq_nocase(name, BST_VIEW("q"))) {
            return bst_parse_double(param, &weight).code == BST_E_NONE && weight <= 0;
        }
    }
    return false;
}

bst_result bst_http_accept_parse(struct bst_view value, enum bst_m2m_format *ret)
{
    struct bst_view rest = value;
    for (bool more = true; more;) {
        struct bst_view item, type;
        more = bst_view_cut(&rest, ',', &item);
        bst_view_cut(&item, ';', &type);
        type = bst_view_trim(type);
        bool any = bst_view_is(type, "*/*") || bst_view_eq_nocase(type, BST_VIEW("application/*"));
        if ((any || format_of(type) == BST_FORMAT_JSON) && !refused(item)) {
            *ret = BST_FORMAT_JSON;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_NOT_ACCEPTABLE, "Accept: only JSON can be produced (application/json)");
}
