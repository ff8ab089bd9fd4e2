/* Secure environments, key files and printing for bastide suci and bastide aka. */
#include "cli/core5g.h"

#include "sys/file.h"

#define OTHERS_MAY_READ 0044

bst_result cli_5g_open(const char *folder, struct bst_se **ret)
{
    bst_auto(buf) path = {0}, uri = {0};
    if (!folder) {
        return cli_se_open("se:soft", NULL, ret);
    }
    bst_buf_addf(&path, "%s/se", folder);
    bst_buf_addc(&path, '\0');
    BST_TRY(bst_buf_check(&path));
    BST_TRY(bst_dir_make(path.ptr, 0700));
    bst_buf_adds(&uri, "se:soft?dir=");
    bst_percent_add(&uri, bst_view(path.ptr), "/");
    bst_buf_addc(&uri, '\0');
    BST_TRY(bst_buf_check(&uri));
    return cli_se_open(uri.ptr, NULL, ret);
}

bool cli_5g_named(const struct cli_call *call)
{
    return cli_has(call, "--se") || cli_has(call, "--profile");
}

bst_result cli_5g_open_named(const struct cli_call *call, const char *what, struct bst_se **ret)
{
    const char *uri = cli_value(call, "--se"), *folder = cli_value(call, "--profile");
    const char *pin_file = cli_value(call, "--pin-file");
    if (pin_file && !uri) {
        BST_FAIL(BST_E_USAGE, "--pin-file belongs to --se URI");
    }
    if (!uri && !folder) {
        BST_FAIL(BST_E_USAGE, "--profile DIR or --se URI is missing: where %s are", what);
    }
    return uri ? cli_se_open(uri, pin_file, ret) : cli_5g_open(folder, ret);
}

bst_result cli_5g_read_key(const struct cli_call *call, const char *path, size_t max,
                           struct bst_buf *ret)
{
    unsigned mode = 0;
    BST_TRY(bst_file_read(path, max, ret));
    if (!bst_failed(bst_file_mode(path, &mode)) && (mode & OTHERS_MAY_READ)) {
        fprintf(call->err, "bastide: warning: others may read %s; chmod 600 it\n", path);
    }
    return BST_OK;
}

bst_result cli_5g_octets(const struct cli_call *call, const char *name, uint8_t *out, size_t len)
{
    const char *text = cli_value(call, name);
    if (!text || bst_failed(bst_hex_decode(bst_view(text), out, len))) {
        BST_FAIL(BST_E_USAGE, "%s wants %zu hexadecimal digits", name, 2 * len);
    }
    return BST_OK;
}

static void add_field(struct bst_buf *out, const struct cli_5g_field *field, bool json)
{
    bst_auto(buf) text = {0};
    if (field->octets) {
        bst_hex_add(&text, bst_view_of(field->octets, field->len), false);
    } else {
        bst_buf_adds(&text, field->text);
    }
    if (json) {
        bst_buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", field->name);
        if (field->number) {
            bst_buf_addv(out, bst_buf_view(&text));
        } else {
            bst_buf_add_json(out, bst_buf_view(&text));
        }
    } else {
        bst_buf_addf(out, "%-10s ", field->name);
        bst_buf_addv(out, bst_buf_view(&text));
        bst_buf_addc(out, '\n');
    }
    bst_buf_wipe(&text);
}

void cli_5g_print(const struct cli_call *call, const struct cli_5g_field *fields, size_t n)
{
    bst_auto(buf) out = {0};
    bst_buf_adds(&out, call->json ? "{" : "");
    for (size_t i = 0; i < n; i++) {
        add_field(&out, &fields[i], call->json);
    }
    bst_buf_adds(&out, call->json ? "}\n" : "");
    fwrite(out.ptr, 1, out.len, call->out);
    bst_buf_wipe(&out);
}
