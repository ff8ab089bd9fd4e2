/* bastide key: rotation, the end of an environment, and proof of where a key lives. */
#include "cli/cmd_key_priv.h"

#include "app/rotate.h"
#include "app/se_uri.h"
#include "cli/passphrase.h"
#include "crypto/x509.h"

#define STATEMENT_MAX ((size_t)1 << 20)

/* ---- rotate ---- */

static void print_rotated(struct cli_call *call, yyjson_val *answer)
{
    const char *kept = cli_text(answer, "kept");
    fprintf(call->out, "%s is a new key, certified in %s and in use; the old one is %s%s\n",
            cli_text(answer, "rotated"), cli_text(answer, "certificate"),
            kept[0] ? "kept as " : "deleted", kept);
}

static void print_ca(struct cli_call *call, yyjson_val *answer)
{
    const char *until = cli_text(answer, "until");
    bool resumed = false;
    if (!bst_failed(bst_json_opt_bool(answer, "resumed", &resumed)) && resumed) {
        fprintf(call->out, "a rotation that was cut short is ended; no other began\n");
    }
    fprintf(call->out,
            "%s is a new key; its root is the first in %s, and certificates are issued by it\n"
            "the former root is trusted %s%s; its key is kept as %s and signs its list of revoked "
            "certificates\n",
            cli_text(answer, "rotated"), cli_text(answer, "certificate"),
            until[0] ? "until " : "until 'bastide key rotate pki.ca --retire'", until,
            cli_text(answer, "kept"));
}

static void print_retired(struct cli_call *call, yyjson_val *answer)
{
    int64_t n = 0;
    (void)bst_json_opt_i64(answer, "retired", &n).code;
    fprintf(call->out, "%lld former root%s of the project CA: certificates of it are refused\n",
            (long long)n, n == 1 ? "" : "s");
}

static int retire_ca(struct cli_call *call)
{
    bst_auto(buf) args = {0};
    bst_buf_addf(&args, "\"sure\":%s", cli_has(call, "--yes") ? "true" : "false");
    return cli_admin_print(call, "ca-retire", &args, print_retired);
}

/* The project CA gets a new root beside the new key. */
static int rotate_ca(struct cli_call *call)
{
    const char *to = cli_value(call, "--to"), *until = cli_value(call, "--until");
    bst_auto(buf) args = {0}, address = {0};
    if (cli_has(call, "--drop")) {
        return cli_usage(call, "the former key of the CA signs its list of revoked certificates "
                               "until --retire; delete it after that");
    }
    if (cli_has(call, "--retire")) {
        return retire_ca(call);
    }
    if (to) {
        bst_result r = bst_se_uri_settle(to, cli_value(call, "--pin-file"), true, &address);
        if (bst_failed(r)) {
            return cli_fail(call, r, "the project CA has no new key");
        }
        cli_arg(&args, "to", address.ptr);
    }
    cli_arg(&args, "until", until);
    return cli_admin_print(call, "ca-rotate", &args, print_ca);
}

/* The server's own: certified anew and switched to without a restart. */
static int rotate_server(struct cli_call *call)
{
    if (strcmp(call->args[0], "pki.ca") == 0) {
        return rotate_ca(call);
    }
    bst_auto(buf) args = {0};
    cli_arg(&args, "label", call->args[0]);
    bst_buf_addf(&args, ",\"drop\":%s", cli_has(call, "--drop") ? "true" : "false");
    return cli_admin_print(call, "key-rotate", &args, print_rotated);
}

static bst_result rotate_in(struct cli_call *call, struct bst_se *se)
{
    struct bst_rotation rotation;
    struct bst_key_attrs attrs;
    BST_TRY(key_attrs_read(call, call->args[1], NULL, &attrs));
    BST_TRY(bst_rotation_begin(se, call->args[1], attrs.expires_us, &rotation));
    BST_TRY(bst_rotation_end(&rotation, cli_has(call, "--drop")));
    if (call->json) {
        bst_auto(buf) out = {0};
        cli_arg(&out, "rotated", rotation.label);
        cli_arg(&out, "kept", rotation.kept);
        BST_TRY(bst_buf_check(&out));
        fprintf(call->out, "{%.*s}\n", BST_VIEW_ARGS(bst_buf_view(&out)));
        return BST_OK;
    }
    fprintf(call->out, "the old key is %s%s; the new one:\n",
            rotation.kept[0] ? "kept as " : "deleted", rotation.kept);
    return key_print(call, se, rotation.fresh);
}

/* The line of keys is its owner's. One that is between its two renamings has LABEL.next only. */
static bst_result rotate(struct cli_call *call, struct bst_se *se)
{
    struct bst_key_info info = {0};
    struct bst_se *view;
    bst_key key;
    const char *owner = cli_value(call, "--owner");
    if (!bst_failed(key_find(call, se, &key))) {
        BST_TRY(bst_se_key_info(se, key, &info));
        owner = info.owner;
    }
    if (!owner || !owner[0]) {
        return rotate_in(call, se);
    }
    BST_TRY(bst_se_for_owner(se, owner, &view));
    bst_result r = rotate_in(call, view);
    bst_se_close(&view);
    return r;
}

int key_rotate(struct cli_call *call)
{
    if (!key_args_given(call)) {
        return cli_usage(call, "name URI LABEL, or cse.tls, mef.tls or pki.ca alone");
    }
    return call->n_args == 1 ? rotate_server(call)
                             : key_with_se(call, "the key was not rotated", rotate);
}

/* ---- block and wipe ---- */

static bst_result say(struct cli_call *call, const char *member, const char *words)
{
    if (call->json) {
        fprintf(call->out, "{\"%s\":true}\n", member);
    } else {
        fprintf(call->out, "%s\n", words);
    }
    return BST_OK;
}

static bst_result block(struct cli_call *call, struct bst_se *se)
{
    const char *why = cli_value(call, "--reason");
    BST_TRY(bst_se_block(se, why ? why : "no reason given"));
    return say(call, "blocked",
               "blocked: no key in it can be used any more, only wiping ends that");
}

static bst_result wipe(struct cli_call *call, struct bst_se *se)
{
    BST_TRY(bst_se_wipe(se));
    return say(call, "wiped", "wiped: every key in it is gone");
}

static bst_result activate(struct cli_call *call, struct bst_se *se)
{
    BST_TRY(bst_se_activate(se));
    return say(call, "activated", "operational: private keys are made inside from now on");
}

static bst_result change_pin(struct cli_call *call, struct bst_se *se)
{
    const char *old_file = cli_value(call, "--pin-file"), *new_file = cli_value(call, "--new-file");
    bst_auto(secret) old = {0}, fresh = {0};
    if (!old_file || !new_file) {
        BST_FAIL(BST_E_USAGE, "name both files: --pin-file OLD --new-file NEW");
    }
    BST_TRY(cli_passphrase(old_file, false, &old));
    BST_TRY(cli_passphrase(new_file, false, &fresh));
    BST_TRY(bst_se_pin_change(se, &old, &fresh));
    return say(call, "changed", "changed: the new one holds from now on");
}

int key_pin(struct cli_call *call)
{
    return key_with_se(call, "the PIN was not changed", change_pin);
}

/* What cannot be undone is said twice. */
static int confirmed(struct cli_call *call, const char *what,
                     bst_result (*run)(struct cli_call *call, struct bst_se *se))
{
    if (!cli_has(call, "--yes")) {
        return cli_usage(call, "this cannot be undone: add --yes if you mean it");
    }
    return key_with_se(call, what, run);
}

int key_block(struct cli_call *call)
{
    return confirmed(call, "the environment was not blocked", block);
}

int key_activate(struct cli_call *call)
{
    return confirmed(call, "the environment was not activated", activate);
}

int key_wipe(struct cli_call *call)
{
    return confirmed(call, "the environment was not wiped", wipe);
}

/* ---- attest and verify ---- */

/* Members of the file of an attestation, base64. */
static const struct {
    const char *name;
    size_t offset;
} parts[] = {
    {"statement", offsetof(struct bst_se_attestation, statement)},
    {"signature", offsetof(struct bst_se_attestation, signature)},
    {"object", offsetof(struct bst_se_attestation, object)},
    {"signer", offsetof(struct bst_se_attestation, signer)},
    {"chain", offsetof(struct bst_se_attestation, chain)},
};
#define PARTS (sizeof parts / sizeof parts[0])

static struct bst_buf *part(struct bst_se_attestation *attestation, size_t i)
{
    return (struct bst_buf *)(void *)((char *)attestation + parts[i].offset);
}

static bst_result read_nonce(const struct cli_call *call, struct bst_buf *ret)
{
    const char *hex = cli_value(call, "--nonce");
    struct bst_view digits = bst_view(hex ? hex : "");
    char *to = bst_buf_reserve(ret, digits.len / 2 + 1);
    BST_ENSURE(to, BST_E_NOMEM);
    if (digits.len < 16 || digits.len > 128 || digits.len % 2 ||
        bst_failed(bst_hex_decode(digits, (uint8_t *)to, digits.len / 2))) {
        BST_FAIL(BST_E_USAGE,
                 "--nonce is 8 to 64 bytes in hexadecimal, made by whoever wants the proof");
    }
    ret->len += digits.len / 2;
    return BST_OK;
}

static bst_result write_attestation(struct cli_call *call, struct bst_se_attestation *attestation)
{
    bst_auto(buf) out = {0};
    bst_buf_addf(&out, "{\"kind\":\"%s\"", attestation->kind);
    for (size_t i = 0; i < PARTS; i++) {
        bst_buf_addf(&out, ",\n \"%s\":\"", parts[i].name);
        bst_base64_add(&out, bst_buf_view(part(attestation, i)));
        bst_buf_addc(&out, '"');
    }
    bst_buf_adds(&out, "}\n");
    BST_TRY(bst_buf_check(&out));
    return key_output(call, bst_buf_view(&out));
}

static bst_result attest(struct cli_call *call, struct bst_se *se, bst_key key)
{
    struct bst_se_attestation attestation = {0};
    bst_auto(buf) nonce = {0};
    BST_TRY(read_nonce(call, &nonce));
    bst_result r = bst_se_attest(se, key, bst_buf_view(&nonce), &attestation);
    if (!bst_failed(r)) {
        r = write_attestation(call, &attestation);
    }
    bst_se_attestation_clear(&attestation);
    return r;
}

int key_attest(struct cli_call *call)
{
    return key_with_key(call, "the key was not attested", attest);
}

static bst_result read_attestation(struct bst_view text, struct bst_se_attestation *ret)
{
    bst_auto(arena) arena = {0};
    yyjson_val *root;
    struct bst_view kind;
    BST_TRY(bst_json_parse(&arena, text, 2, &root));
    BST_TRY(bst_json_string(root, "kind", &kind));
    BST_TRY(bst_view_copy(kind, ret->kind, sizeof ret->kind));
    for (size_t i = 0; i < PARTS; i++) {
        struct bst_view value;
        BST_TRY(bst_json_string(root, parts[i].name, &value));
        BST_TRY(bst_base64_decode(value, part(ret, i)));
    }
    return BST_OK;
}

static bst_result take_root(void *ctx, struct x509_st *take_cert)
{
    bst_result r = bst_cert_der(take_cert, ctx);
    bst_cert_free(&take_cert);
    return r;
}

static bst_result read_roots(const struct cli_call *call, struct bst_buf *ret)
{
    const char *file;
    for (size_t i = 0; (file = cli_value_at(call, "--root", i)); i++) {
        bst_auto(buf) pem = {0};
        size_t count;
        BST_TRY(bst_file_read(file, STATEMENT_MAX, &pem));
        BST_TRY(bst_cert_load_all(bst_buf_view(&pem), take_root, ret, &count));
    }
    return BST_OK;
}

/* The public key that was attested, in PEM, for whoever issues a certificate on this ground. */
static bst_result tell_attested(struct cli_call *call, const struct bst_se_attested *attested)
{
    bst_auto(buf) out = {0};
    bst_auto(buf) pem = {0};
    BST_TRY(bst_der_to_pem("PUBLIC KEY", bst_buf_view(&attested->spki), &pem));
    if (call->json) {
        bst_buf_addf(&out, "{\"level\":%d,\"evidence\":", attested->level);
        bst_buf_add_json(&out, bst_view(attested->evidence));
        bst_buf_adds(&out, ",\"public\":");
        bst_buf_add_json(&out, bst_buf_view(&pem));
        bst_buf_addc(&out, '}');
    } else {
        bst_buf_addf(&out, "protection level %d: %s\n", attested->level, attested->evidence);
        bst_buf_addv(&out, bst_buf_view(&pem));
    }
    BST_TRY(bst_buf_check(&out));
    cli_print(call, &out);
    return BST_OK;
}

static bst_result verify(struct cli_call *call, struct bst_se_attestation *attestation,
                         struct bst_se_attested *attested)
{
    bst_auto(buf) text = {0}, nonce = {0}, roots = {0};
    BST_TRY(read_nonce(call, &nonce));
    BST_TRY(bst_file_read(call->args[0], STATEMENT_MAX, &text));
    BST_TRY(read_attestation(bst_buf_view(&text), attestation));
    BST_TRY(read_roots(call, &roots));
    BST_TRY(
        bst_se_attest_verify(attestation, bst_buf_view(&nonce), bst_buf_view(&roots), attested));
    return tell_attested(call, attested);
}

int key_verify(struct cli_call *call)
{
    struct bst_se_attestation attestation = {0};
    struct bst_se_attested attested = {0};
    if (!key_args_given(call)) {
        return cli_usage(call, "name %s", call->command->args);
    }
    bst_result r = verify(call, &attestation, &attested);
    bst_se_attestation_clear(&attestation);
    bst_se_attested_clear(&attested);
    int code = bst_failed(r) ? cli_fail(call, r, "the attestation proves nothing") : CLI_OK;
    bool judged = r.code == BST_E_BAD_MAC || r.code == BST_E_BAD_CERT || r.code == BST_E_BAD_KEY ||
                  r.code == BST_E_EXPIRED;
    return judged ? CLI_FAILED : code;
}
