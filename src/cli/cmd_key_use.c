/* bastide key: using keys, and the self-test of a token. */
#include "cli/cmd_key_priv.h"

#include "crypto/x509.h"
#include "se/se_pkey.h"
#include "se/selftest.h"

#include <stdio.h>

#define MESSAGE_MAX (64 << 20)
#define SANS_MAX 16

/* ---- sign, public, csr ---- */

static bst_result read_hash(const struct cli_call *call, enum bst_key_type type, enum bst_md *ret)
{
    const char *name = cli_value(call, "--hash");
    if (type == BST_KEY_ED25519) {
        *ret = BST_MD_NONE;
        return name ? bst_error_detailed(BST_E_USAGE, "Ed25519 hashes by itself: leave --hash out")
                    : BST_OK;
    }
    *ret = !name || strcmp(name, "sha256") == 0 ? BST_MD_SHA256
           : strcmp(name, "sha384") == 0        ? BST_MD_SHA384
           : strcmp(name, "sha512") == 0        ? BST_MD_SHA512
                                                : BST_MD_NONE;
    return *ret ? BST_OK : bst_error_detailed(BST_E_USAGE, "--hash is sha256, sha384 or sha512");
}

static bst_result sign(struct cli_call *call, struct bst_se *se, bst_key key)
{
    struct bst_key_info info;
    enum bst_md md;
    bst_auto(buf) message = {0}, signature = {0};
    BST_TRY(bst_se_key_info(se, key, &info));
    BST_TRY(read_hash(call, info.attrs.type, &md));
    BST_TRY(key_input(call, MESSAGE_MAX, &message));
    BST_TRY(bst_se_sign(se, key, md, bst_buf_view(&message), &signature));
    return key_output(call, bst_buf_view(&signature));
}

static bst_result write_public(struct cli_call *call, struct bst_se *se, bst_key key)
{
    bst_auto(buf) spki = {0}, pem = {0};
    BST_TRY(bst_se_key_public(se, key, &spki));
    BST_TRY(bst_der_to_pem("PUBLIC KEY", bst_buf_view(&spki), &pem));
    return key_output(call, bst_buf_view(&pem));
}

static bst_result read_sans(const struct cli_call *call, struct bst_cert_san *sans, size_t *ret_n)
{
    static const struct {
        const char *option;
        enum bst_cert_flavour flavour;
    } options[] = {{"--ae-id", BST_CERT_AE}, {"--fqdn", BST_CERT_FQDN}, {"--node", BST_CERT_NODE}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const char *name;
        for (size_t k = 0; (name = cli_value_at(call, options[i].option, k)); k++) {
            if (n == SANS_MAX) {
                BST_FAIL(BST_E_LIMIT, "a request has %d names at most", SANS_MAX);
            }
            sans[n++] = (struct bst_cert_san){options[i].flavour, bst_view(name)};
        }
    }
    if (n == 0 && !cli_value(call, "--name")) {
        BST_FAIL(BST_E_USAGE, "a request needs a name: --fqdn, --ae-id, --node or --name");
    }
    *ret_n = n;
    return BST_OK;
}

static bst_result write_csr(struct cli_call *call, struct bst_se *se, bst_key key)
{
    struct bst_cert_san sans[SANS_MAX];
    const char *name = cli_value(call, "--name");
    struct bst_cert_spec spec = {.sans = sans};
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) der = {0}, pem = {0};
    BST_TRY(read_sans(call, sans, &spec.n_sans));
    spec.common_name = name ? bst_view(name) : sans[0].name;
    BST_TRY(bst_se_pkey(se, key, &pkey));
    BST_TRY(bst_csr_build(&spec, pkey, &der));
    BST_TRY(bst_der_to_pem("CERTIFICATE REQUEST", bst_buf_view(&der), &pem));
    return key_output(call, bst_buf_view(&pem));
}

static int with_key(struct cli_call *call, const char *what,
                    bst_result (*run)(struct cli_call *call, struct bst_se *se, bst_key key))
{
    struct bst_se *se = NULL;
    bst_key key = 0;
    bst_result r = key_open(call, &se);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the secure environment cannot be opened");
    }
    r = key_find(call, se, &key);
    if (!bst_failed(r)) {
        r = run(call, se, key);
    }
    int code = bst_failed(r) ? cli_fail(call, r, what) : CLI_OK;
    bst_se_close(&se);
    return code;
}

int key_sign(struct cli_call *call)
{
    return with_key(call, "nothing was signed", sign);
}

int key_public(struct cli_call *call)
{
    return with_key(call, "the public key cannot be written", write_public);
}

int key_csr(struct cli_call *call)
{
    return with_key(call, "the request cannot be made", write_csr);
}

/* ---- selftest ---- */

struct report {
    struct cli_call *call;
    struct bst_buf json;
};

static void print_check(void *ctx, const char *name, enum bst_se_verdict verdict,
                        const char *detail)
{
    static const char *const words[] = {"can   ", "FAILED", "cannot"};
    static const char *const verdicts[] = {"passed", "failed", "cannot"};
    struct report *r = ctx;
    if (!r->call->json) {
        fprintf(r->call->out, "%s  %s%s%s\n", words[verdict], name, detail[0] ? ": " : "", detail);
        fflush(r->call->out);
        return;
    }
    bst_buf_addf(&r->json, "%s{\"check\":", r->json.len ? "," : "");
    bst_buf_add_json(&r->json, bst_view(name));
    bst_buf_addf(&r->json, ",\"verdict\":\"%s\",\"detail\":", verdicts[verdict]);
    bst_buf_add_json(&r->json, bst_view(detail));
    bst_buf_addc(&r->json, '}');
}

static void print_json(struct report *r, const struct bst_se_selftest *test)
{
    bst_auto(buf) out = {0};
    bst_buf_adds(&out, "{\"name\":");
    bst_buf_add_json(&out, bst_view(test->about.name));
    bst_buf_addf(&out, ",\"kind\":\"%s\",\"level\":%d,\"evidence\":", test->about.kind,
                 test->about.level);
    bst_buf_add_json(&out, bst_view(test->about.evidence));
    bst_buf_adds(&out, ",\"pin\":");
    bst_buf_add_json(&out, bst_view(test->about.pin));
    bst_buf_adds(&out, ",\"lacks\":");
    bst_buf_add_json(&out, bst_view(test->about.lacks));
    bst_buf_addf(&out, ",\"passed\":%u,\"failed\":%u,\"cannot\":%u,\"checks\":[", test->passed,
                 test->failed, test->cannot);
    bst_buf_addv(&out, bst_buf_view(&r->json));
    bst_buf_adds(&out, "]}");
    cli_print(r->call, &out);
}

static void print_summary(const struct cli_call *call, const struct bst_se_selftest *test)
{
    const struct bst_se_about *about = &test->about;
    fprintf(call->out, "\n%s%s%s\n", about->kind, about->name[0] ? ": " : "", about->name);
    fprintf(call->out, "protection level %d of 3 for keys made inside, 1 for all others: %s\n",
            about->level, about->evidence);
    if (about->lacks[0]) {
        fprintf(call->out, "mechanisms that it does not have: %s\n", about->lacks);
    }
    if (about->pin[0]) {
        fprintf(call->out, "its PIN: %s\n", about->pin);
    }
    if (test->cannot) {
        fprintf(call->out, "not possible on it: %u of %u operations\n", test->cannot,
                test->cannot + test->passed + test->failed);
    }
    fprintf(call->out, "%u passed, %u failed\n", test->passed, test->failed);
}

int key_selftest(struct cli_call *call)
{
    struct bst_se_host host;
    struct report report = {.call = call};
    bst_auto(buf) uri = {0};
    key_host(&host);
    bst_result r = key_uri(call, &uri);
    struct bst_se_selftest test = {
        .host = &host, .uri = uri.ptr, .each = print_check, .ctx = &report};
    if (!bst_failed(r)) {
        r = bst_se_selftest(&test);
    }
    if (bst_failed(r)) {
        bst_buf_clear(&report.json);
        return cli_fail(call, r, "the secure environment cannot be opened");
    }
    if (call->json) {
        print_json(&report, &test);
    } else {
        print_summary(call, &test);
    }
    bst_buf_clear(&report.json);
    return test.failed ? CLI_FAILED : CLI_OK;
}
