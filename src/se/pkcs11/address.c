/* Address of a token, RFC 7512. The PIN is in a file or a service credential, never in the address.
 */
#include "se/pkcs11/p11_priv.h"

#include <p11-kit/uri.h>

#include <stdio.h>

static bst_result copy_text(const char *from, char *out, size_t cap, const char *what)
{
    if (!from) {
        return BST_OK;
    }
    if (strlen(from) >= cap) {
        BST_FAIL(BST_E_CONFIG, "%s in the address of a token is too long", what);
    }
    memcpy(out, from, strlen(from) + 1);
    return BST_OK;
}

/* [RFC 7512, 2.4] "pin-source" is a file URI, a bare path, or a command after '|', which is not
 * run. */
static bst_result read_pin_source(const char *source, char *out, size_t cap)
{
    if (!source) {
        return BST_OK;
    }
    const char *path = strncmp(source, "file://", 7) == 0 ? source + 7
                       : strncmp(source, "file:", 5) == 0 ? source + 5
                       : source[0] == '/'                 ? source
                                                          : NULL;
    if (strncmp(source, "credential:", 11) == 0) {
        return copy_text(source, out, cap, "pin-source=");
    }
    if (!path || !path[0] || (strncmp(source, "file://", 7) == 0 && path[0] != '/')) {
        BST_FAIL(BST_E_CONFIG,
                 "pin-source= of a token is file:PATH or credential:NAME, not '%.40s'", source);
    }
    if (strlen(path) + 6 > cap) {
        BST_FAIL(BST_E_CONFIG, "pin-source= in the address of a token is too long");
    }
    snprintf(out, cap, "file:%s", path);
    return BST_OK;
}

static bst_result read_fallback(P11KitUri *uri, bool *ret)
{
    const char *fallback = p11_kit_uri_get_vendor_query(uri, "fallback");
    if (fallback && strcmp(fallback, "soft") != 0 && strcmp(fallback, "none") != 0) {
        BST_FAIL(BST_E_CONFIG, "fallback= of a token is soft or none");
    }
    *ret = fallback && strcmp(fallback, "soft") == 0;
    return BST_OK;
}

static bool yes_or_no(P11KitUri *uri, const char *name, bool *ret)
{
    const char *said = p11_kit_uri_get_vendor_query(uri, name);
    *ret = said && strcmp(said, "yes") == 0;
    return !said || *ret || strcmp(said, "no") == 0;
}

static bst_result read_process(P11KitUri *uri, struct p11_address *ret)
{
    const char *seconds = p11_kit_uri_get_vendor_query(uri, "timeout");
    int64_t timeout = P11_TIMEOUT_S;
    if (!yes_or_no(uri, "in-process", &ret->in_process)) {
        BST_FAIL(BST_E_CONFIG, "in-process= of a token is yes or no");
    }
    if (seconds &&
        (bst_failed(bst_parse_i64(bst_view(seconds), &timeout)) || timeout < 1 || timeout > 600)) {
        BST_FAIL(BST_E_CONFIG, "timeout= of a token is a number of seconds from 1 to 600");
    }
    ret->timeout_s = (int)timeout;
    return BST_OK;
}

static void name_token(P11KitUri *uri, char *out, size_t cap)
{
    const CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(uri);
    struct bst_view label = p11_text(info->label, sizeof info->label),
                    serial = p11_text(info->serialNumber, sizeof info->serialNumber);
    bool blank = label.len == 0 || (uint8_t)label.ptr[0] == 0xff;
    bool number = serial.len && (uint8_t)serial.ptr[0] != 0xff;
    if (blank) {
        label = number ? serial : BST_VIEW("any");
    }
    snprintf(out, cap, "%.*s", BST_VIEW_ARGS(label));
}

static bst_result read_parts(P11KitUri *uri, struct p11_address *ret)
{
    if (p11_kit_uri_any_unrecognized(uri)) {
        BST_FAIL(BST_E_CONFIG,
                 "the address of the token has a part that RFC 7512 does not know; an "
                 "example is pkcs11:token=NAME?pin-source=file:/etc/bastide/pin");
    }
    if (p11_kit_uri_get_pin_value(uri)) {
        BST_FAIL(BST_E_CONFIG,
                 "pin-value= would show the PIN to everybody on this machine; put it into "
                 "a file of mode 0600 and name that: pin-source=file:PATH");
    }
    name_token(uri, ret->token, sizeof ret->token);
    BST_TRY(copy_text(p11_kit_uri_get_module_path(uri), ret->module_path, sizeof ret->module_path,
                      "module-path="));
    BST_TRY(copy_text(p11_kit_uri_get_module_name(uri), ret->module_name, sizeof ret->module_name,
                      "module-name="));
    BST_TRY(
        read_pin_source(p11_kit_uri_get_pin_source(uri), ret->pin_source, sizeof ret->pin_source));
    BST_TRY(read_process(uri, ret));
    return read_fallback(uri, &ret->fallback);
}

bst_result p11_address_parse(struct bst_view text, struct p11_address *ret)
{
    bst_auto(buf) whole = {0};
    bst_buf_adds(&whole, "pkcs11:");
    bst_buf_addv(&whole, text);
    bst_auto_free char *copy = bst_buf_take_text(&whole);
    P11KitUri *uri = p11_kit_uri_new();
    struct p11_address address = {.uri = uri};
    bst_result parsed = copy && uri ? BST_OK : bst_error(BST_E_NOMEM);
    if (!bst_failed(parsed) &&
        p11_kit_uri_parse(copy, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK) {
        parsed =
            bst_error_detailed(BST_E_CONFIG,
                               "'pkcs11:%.*s' is no address of a token (RFC 7512); an example is "
                               "pkcs11:token=NAME?pin-source=file:/etc/bastide/pin",
                               BST_VIEW_ARGS(text));
    }
    if (!bst_failed(parsed)) {
        parsed = read_parts(uri, &address);
    }
    if (bst_failed(parsed)) {
        p11_address_clear(&address);
        return parsed;
    }
    *ret = address;
    return BST_OK;
}

void p11_address_clear(struct p11_address *address)
{
    p11_kit_uri_free(address->uri);
    address->uri = NULL;
}

bool p11_address_fits(const struct p11_address *address, const CK_TOKEN_INFO *info)
{
    return p11_kit_uri_match_token_info(address->uri, info) == 1;
}
