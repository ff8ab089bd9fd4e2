/* bastide key: using keys, and the self-test of a token. */
#include "cli/cmd_key_priv.h"

#include "base/time.h"
#include "crypto/x509.h"
#include "se/se.h"
#include "se/selftest.h"
#include "sys/clock.h"

#include <stdio.h>

#define MESSAGE_MAX (64 << 20)
#define SANS_MAX 16
#define DAY_US (INT64_C(86400) * BST_US_PER_S)
/* Clocks of devices may be behind. */
#define BACKDATE_US (3600 * BST_US_PER_S)

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

/* ---- certify ---- */

static const struct {
    const char *option, *flavour;
    enum bst_cert_flavour san;
} certified[] = {{"--ae-id", "ae", BST_CERT_AE},
                 {"--cse", "cse", BST_CERT_CSE},
                 {"--fqdn", "fqdn", BST_CERT_FQDN},
                 {"--node", "node", BST_CERT_NODE}};
#define CERTIFIED (sizeof certified / sizeof certified[0])

/* The one name that the certificate is for. */
static bst_result read_subject(const struct cli_call *call, size_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < CERTIFIED; i++) {
        if (cli_has(call, certified[i].option)) {
            *ret = i;
            n++;
        }
    }
    if (n != 1) {
        BST_FAIL(BST_E_USAGE,
                 "a certificate is for one name: --ae-id, --cse, --fqdn or --node, just one");
    }
    return BST_OK;
}

static bst_result sign_self(const struct cli_call *call, struct bst_se *se, bst_key key,
                            int64_t days, struct bst_buf *ret_pem)
{
    size_t row;
    bst_auto_pkey *pkey = NULL;
    bst_auto(buf) der = {0};
    BST_TRY(read_subject(call, &row));
    const char *name = cli_value(call, certified[row].option);
    const struct bst_cert_san san = {certified[row].san, bst_view(name)};
    const struct bst_cert_spec spec = {
        .common_name = strlen(name) > 64 ? BST_VIEW("") : bst_view(name),
        .sans = &san,
        .n_sans = 1,
        .role = BST_CERT_ANY_ROLE,
        .not_before_us = bst_wall_us() - BACKDATE_US,
        .not_after_us = bst_wall_us() + days * DAY_US,
    };
    BST_TRY(bst_se_pkey(se, key, &pkey));
    BST_TRY(bst_cert_issue(&spec, pkey, NULL, pkey, &der));
    return bst_der_to_pem("CERTIFICATE", bst_buf_view(&der), ret_pem);
}

/* The project CA of --state, in the running server or on a stopped one. */
static bst_result ask_ca(const struct cli_call *call, struct bst_se *se, bst_key key, int64_t days,
                         struct bst_buf *ret_pem)
{
    size_t row;
    char until[BST_M2M_TIME_LEN + 1];
    bst_auto(buf) spki = {0}, spki64 = {0}, args = {0}, text = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *answer;
    BST_TRY(read_subject(call, &row));
    BST_TRY(bst_se_key_public(se, key, &spki));
    bst_base64_add(&spki64, bst_buf_view(&spki));
    bst_buf_addc(&spki64, '\0');
    BST_TRY(bst_buf_check(&spki64));
    bst_m2m_time_format(bst_wall_us() + days * DAY_US, until);
    cli_arg(&args, "name", cli_value(call, certified[row].option));
    cli_arg(&args, "flavour", certified[row].flavour);
    cli_arg(&args, "until", until);
    cli_arg(&args, "spki", spki64.ptr);
    BST_TRY(cli_admin(call, "certify", &args, &arena, &text, &answer));
    bst_buf_adds(ret_pem, cli_text(answer, "certificate"));
    return bst_buf_check(ret_pem);
}

static bst_result certify(struct cli_call *call, struct bst_se *se, bst_key key)
{
    int64_t days;
    bst_auto(buf) pem = {0};
    BST_TRY(cli_number(call, "--days", 365, 1, 3650, &days));
    BST_TRY(cli_has(call, "--self-signed") ? sign_self(call, se, key, days, &pem)
                                           : ask_ca(call, se, key, days, &pem));
    return key_output(call, bst_buf_view(&pem));
}

/* ---- derive ---- */

static bst_result derive(struct cli_call *call, struct bst_se *se, bst_key key)
{
    const char *mac = cli_value(call, "--hmac"), *info = cli_value(call, "--info");
    const char *salt = cli_value(call, "--salt");
    struct bst_view part = bst_view(mac ? mac : "");
    struct bst_key_attrs attrs;
    bst_key child;
    if (!mac == !info || (mac && salt)) {
        BST_FAIL(BST_E_USAGE, "say how: --info TEXT (HKDF, with --salt TEXT) or --hmac TEXT");
    }
    BST_TRY(key_attrs_read(call, call->args[2], "symmetric", &attrs));
    BST_TRY(mac ? bst_se_derive(se, key, &part, 1, &attrs, &child)
                : bst_se_hkdf(se, key, bst_view(salt ? salt : ""), bst_view(info), &attrs, &child));
    return key_print(call, se, child);
}

int key_with_key(struct cli_call *call, const char *what,
                 bst_result (*run)(struct cli_call *call, struct bst_se *se, bst_key key))
{
    struct bst_se *se = NULL;
    bst_key key = 0;
    if (!key_args_given(call)) {
        return cli_usage(call, "name %s", call->command->args);
    }
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
    return key_with_key(call, "nothing was signed", sign);
}

int key_public(struct cli_call *call)
{
    return key_with_key(call, "the public key cannot be written", write_public);
}

int key_csr(struct cli_call *call)
{
    return key_with_key(call, "the request cannot be made", write_csr);
}

int key_certify(struct cli_call *call)
{
    return key_with_key(call, "no certificate was issued", certify);
}

int key_derive(struct cli_call *call)
{
    return key_with_key(call, "no key was derived", derive);
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
    fprintf(call->out, "protection level %d of 3 for keys made inside, %d for all others: %s\n",
            about->level, about->level < 1 ? about->level : 1, about->evidence);
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
    if (!key_args_given(call)) {
        return cli_usage(call, "name %s", call->command->args);
    }
    cli_se_host(&host);
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
