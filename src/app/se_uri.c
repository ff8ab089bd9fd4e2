/* Addresses: attributes before '?' are separated by ';', those behind it by '&' (RFC 7512 2.3). */
#include "app/se_uri.h"

#include <stdlib.h>

/* Attributes whose value is a place in the file system, with what stands before the path. */
static const struct {
    const char *attribute, *prefix;
} places[] = {
    {"dir=", ""},
    {"key=", "file:"},
    {"key=", "passphrase:file:"},
    {"pin-source=", "file:"},
    {"module-path=", ""},
    {"owner-source=", "file:"},
    {"ek-roots=", ""},
    {"test-root=", ""},
};

static void cut_query(const char *uri, struct bst_view *ret_head, struct bst_view *ret_query)
{
    struct bst_view rest = bst_view(uri);
    bst_view_cut(&rest, '?', ret_head);
    *ret_query = rest;
}

struct bst_view bst_se_uri_name(const char *uri)
{
    struct bst_view head, query;
    cut_query(uri, &head, &query);
    return head;
}

/* A relative path of this attribute, below the current folder. */
static bst_result add_attribute(struct bst_view item, bool absolute, struct bst_buf *out)
{
    bst_auto(buf) whole = {0};
    for (size_t i = 0; absolute && i < sizeof places / sizeof places[0]; i++) {
        bst_buf_clear(&whole);
        bst_buf_addf(&whole, "%s%s", places[i].attribute, places[i].prefix);
        BST_TRY(bst_buf_check(&whole));
        struct bst_view head = bst_buf_view(&whole);
        if (!bst_view_starts(item, head) || item.len == head.len || item.ptr[head.len] == '/') {
            continue;
        }
        bst_auto_free char *here = realpath(".", NULL);
        BST_ENSURE(here, BST_E_IO);
        bst_buf_addv(out, head);
        bst_percent_add(out, bst_view(here), "/");
        bst_buf_addc(out, '/');
        bst_buf_addv(out, bst_view_from(item, head.len));
        return bst_buf_check(out);
    }
    bst_buf_addv(out, item);
    return bst_buf_check(out);
}

/* The attributes of a query but one, and then that one anew. */
static bst_result add_query(struct bst_view query, const char *but, bool absolute,
                            struct bst_buf *out)
{
    struct bst_view item;
    char before = '?';
    while (query.len) {
        bst_view_cut(&query, '&', &item);
        if (item.len == 0 || (but && bst_view_starts(item, bst_view(but)))) {
            continue;
        }
        bst_buf_addc(out, before);
        before = '&';
        BST_TRY(add_attribute(item, absolute, out));
    }
    if (but) {
        bst_buf_addf(out, "%c%s", before, but);
    }
    return bst_buf_check(out);
}

bst_result bst_se_uri_settle(const char *uri, const char *pin_file, bool absolute,
                             struct bst_buf *ret)
{
    struct bst_view head, query;
    bool soft = bst_view_starts(bst_view(uri), BST_VIEW("se:"));
    const char *attribute = soft ? "key=" : "pin-source=";
    cut_query(uri, &head, &query);
    bst_buf_addv(ret, head);
    BST_TRY(add_query(query, pin_file ? attribute : NULL, absolute, ret));
    if (pin_file) {
        bst_auto_free char *path = absolute ? realpath(pin_file, NULL) : bst_strdup(pin_file);
        if (!path) {
            BST_FAIL(BST_E_NOT_FOUND, "there is no PIN file %s", pin_file);
        }
        bst_buf_adds(ret, soft ? "passphrase:file:" : "file:");
        bst_percent_add(ret, bst_view(path), "/");
    }
    bst_buf_addc(ret, '\0');
    return bst_buf_check(ret);
}

/* Copy the attributes of one part without object=, whose value goes to `label`. */
static bst_result without_object(struct bst_view part, char separator, struct bst_buf *out,
                                 char label[BST_KEY_LABEL_MAX + 1])
{
    struct bst_view item;
    bool first = true;
    while (part.len) {
        bst_view_cut(&part, separator, &item);
        if (bst_view_starts(item, BST_VIEW("object="))) {
            bst_auto(buf) name = {0};
            BST_TRY(bst_percent_decode(bst_view_from(item, 7), &name));
            BST_TRY(bst_view_copy(bst_buf_view(&name), label, BST_KEY_LABEL_MAX + 1));
            continue;
        }
        if (!first) {
            bst_buf_addc(out, separator);
        }
        bst_buf_addv(out, item);
        first = false;
    }
    return bst_buf_check(out);
}

bst_result bst_se_uri_split(const char *uri, struct bst_buf *ret_uri,
                            char ret_label[BST_KEY_LABEL_MAX + 1])
{
    struct bst_view head, query, scheme;
    bst_auto(buf) attributes = {0};
    cut_query(uri, &head, &query);
    bst_view_cut(&head, ':', &scheme);
    bst_buf_addv(ret_uri, scheme);
    bst_buf_addc(ret_uri, ':');
    BST_TRY(without_object(head, ';', ret_uri, ret_label));
    BST_TRY(without_object(query, '&', &attributes, ret_label));
    if (attributes.len) {
        bst_buf_addc(ret_uri, '?');
        bst_buf_addv(ret_uri, bst_buf_view(&attributes));
    }
    bst_buf_addc(ret_uri, '\0');
    return bst_buf_check(ret_uri);
}
