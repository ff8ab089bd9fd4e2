/* bastide key: keys in a secure environment, on a token or in software. */
#include "cli/cmd_key_priv.h"

#include "base/time.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <stdio.h>

/* ---- what the words share ---- */

static int64_t wall(void *ctx)
{
    return bst_wall_us();
}

void key_host(struct bst_se_host *ret)
{
    bst_se_host_file(ret, wall);
}

bst_result key_uri(const struct cli_call *call, struct bst_buf *ret)
{
    const char *uri = call->args[0], *pin = cli_value(call, "--pin-file");
    bst_buf_adds(ret, uri);
    if (pin) {
        bst_buf_adds(ret, strchr(uri, '?') ? "&pin-source=file:" : "?pin-source=file:");
        bst_percent_add(ret, bst_view(pin), "/");
    }
    bst_buf_addc(ret, '\0');
    return bst_buf_check(ret);
}

bst_result key_open(const struct cli_call *call, struct bst_se **ret)
{
    struct bst_se_host host;
    bst_auto(buf) uri = {0};
    key_host(&host);
    BST_TRY(key_uri(call, &uri));
    return bst_se_open(&host, uri.ptr, ret);
}

bst_result key_find(const struct cli_call *call, struct bst_se *se, bst_key *ret)
{
    BST_TRY(bst_se_key_find(se, call->args[1], ret));
    if (!*ret) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no key '%s'; 'bastide key list' shows what there is",
                 call->args[1]);
    }
    return BST_OK;
}

bst_result key_input(const struct cli_call *call, size_t max, struct bst_buf *ret)
{
    const char *path = cli_value(call, "--in");
    if (path && strcmp(path, "-") != 0) {
        return bst_file_read(path, max, ret);
    }
    size_t got = 1;
    while (got && ret->len <= max) {
        char *to = bst_buf_reserve(ret, 4096);
        BST_ENSURE(to, BST_E_NOMEM);
        got = fread(to, 1, 4096, stdin);
        ret->len += got;
    }
    BST_ENSURE(ret->len <= max, BST_E_TOO_LONG);
    return BST_OK;
}

bst_result key_output(const struct cli_call *call, struct bst_view bytes)
{
    const char *path = cli_value(call, "--out");
    if (path && strcmp(path, "-") != 0) {
        return bst_file_write_atomic(path, bytes, 0644);
    }
    return fwrite(bytes.ptr, 1, bytes.len, call->out) == bytes.len ? BST_OK : bst_error(BST_E_IO);
}

static const struct {
    const char *name;
    enum bst_key_type type;
    uint32_t usual; /* without --use */
} types[] = {
    {"p256", BST_KEY_EC_P256, BST_KEY_USE_SIGN},
    {"p384", BST_KEY_EC_P384, BST_KEY_USE_SIGN},
    {"ed25519", BST_KEY_ED25519, BST_KEY_USE_SIGN},
    {"x25519", BST_KEY_X25519, BST_KEY_USE_AGREE},
    {"symmetric", BST_KEY_SYMMETRIC, BST_KEY_USE_MAC | BST_KEY_USE_DERIVE},
};
#define TYPES (sizeof types / sizeof types[0])

static const struct {
    const char *name;
    uint32_t use;
} uses[] = {
    {"sign", BST_KEY_USE_SIGN},     {"agree", BST_KEY_USE_AGREE},     {"mac", BST_KEY_USE_MAC},
    {"derive", BST_KEY_USE_DERIVE}, {"seal", BST_KEY_USE_SEAL},       {"psk", BST_KEY_USE_PSK},
    {"wrap", BST_KEY_USE_WRAP},     {"routine", BST_KEY_USE_ROUTINE},
};
#define USES (sizeof uses / sizeof uses[0])

const char *key_type_name(enum bst_key_type type)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].type == type) {
            return types[i].name;
        }
    }
    return "?";
}

bst_result key_type_read(const char *text, enum bst_key_type *ret)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (strcmp(types[i].name, text ? text : "p256") == 0) {
            *ret = types[i].type;
            return BST_OK;
        }
    }
    BST_FAIL(BST_E_USAGE, "--type is p256, p384, ed25519, x25519 or symmetric, not '%s'", text);
}

void key_uses_add(struct bst_buf *out, uint32_t of)
{
    const char *blank = "";
    for (size_t i = 0; i < USES; i++) {
        if (of & uses[i].use) {
            bst_buf_addf(out, "%s%s", blank, uses[i].name);
            blank = " ";
        }
    }
}

static bst_result one_use(struct bst_view name, uint32_t *ret)
{
    for (size_t i = 0; i < USES; i++) {
        if (bst_view_is(name, uses[i].name)) {
            *ret |= uses[i].use;
            return BST_OK;
        }
    }
    BST_FAIL(
        BST_E_USAGE,
        "--use is sign, agree, mac, derive, seal, psk or wrap, with commas between, not '%.*s'",
        BST_VIEW_ARGS(name));
}

bst_result key_uses_read(const struct cli_call *call, enum bst_key_type type, uint32_t *ret)
{
    struct bst_view rest = bst_view(cli_value(call, "--use")), name;
    *ret = 0;
    for (size_t i = 0; rest.len == 0 && i < TYPES; i++) {
        *ret |= types[i].type == type ? types[i].usual : 0;
    }
    while (rest.len) {
        bst_view_cut(&rest, ',', &name);
        BST_TRY(one_use(name, ret));
    }
    return BST_OK;
}

/* ---- list and info ---- */

static void add_json(struct bst_buf *out, const struct bst_key_attrs *attrs)
{
    char when[BST_RFC3339_LEN + 1] = "";
    bst_buf_adds(out, "{\"label\":");
    bst_buf_add_json(out, bst_view(attrs->label));
    bst_buf_addf(out, ",\"type\":\"%s\",\"uses\":\"", key_type_name(attrs->type));
    key_uses_add(out, attrs->uses);
    bst_buf_addf(out, "\",\"level\":%d,\"suid\":%d,\"owner\":", attrs->level, attrs->suid);
    bst_buf_add_json(out, bst_view(attrs->owner));
    if (attrs->expires_us) {
        bst_rfc3339_format(attrs->expires_us, when);
        bst_buf_addf(out, ",\"expires\":\"%s\"", when);
    }
    bst_buf_addc(out, '}');
}

static void add_plain(struct bst_buf *out, const struct bst_key_attrs *attrs)
{
    char when[BST_RFC3339_LEN + 1] = "";
    bst_buf_addf(out, "%s  %s  level %d  for ", attrs->label, key_type_name(attrs->type),
                 attrs->level);
    key_uses_add(out, attrs->uses);
    if (attrs->uses == 0) {
        bst_buf_adds(out, "nothing");
    }
    if (attrs->owner[0]) {
        bst_buf_addf(out, "  owner %s", attrs->owner);
    }
    if (attrs->suid) {
        bst_buf_addf(out, "  suid %d", attrs->suid);
    }
    if (attrs->expires_us) {
        bst_rfc3339_format(attrs->expires_us, when);
        bst_buf_addf(out, "  until %s", when);
    }
    bst_buf_addc(out, '\n');
}

struct listing {
    struct bst_buf *out;
    bool json;
    size_t n;
};

static bool list_one(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct listing *l = ctx;
    if (l->json) {
        bst_buf_adds(l->out, l->n ? "," : "");
        add_json(l->out, attrs);
    } else {
        add_plain(l->out, attrs);
    }
    l->n++;
    return true;
}

static void print_about(const struct cli_call *call, struct bst_se *se, size_t keys)
{
    struct bst_se_about about;
    bst_se_about(se, &about);
    fprintf(call->err, "%zu keys; %s%s%s: new keys have protection level %d: %s\n", keys,
            about.kind, about.name[0] ? " " : "", about.name, about.level, about.evidence);
}

static bst_result list_keys(struct cli_call *call, struct bst_se *se)
{
    bst_auto(buf) out = {0};
    struct listing l = {.out = &out, .json = call->json};
    bst_buf_adds(&out, call->json ? "[" : "");
    BST_TRY(bst_se_key_list(se, list_one, &l));
    bst_buf_adds(&out, call->json ? "]\n" : "");
    BST_TRY(bst_buf_check(&out));
    fwrite(out.ptr ? out.ptr : "", 1, out.len, call->out);
    if (!call->json) {
        print_about(call, se, l.n);
    }
    return BST_OK;
}

static bst_result print_key(struct cli_call *call, struct bst_se *se, bst_key key)
{
    struct bst_key_info info;
    bst_auto(buf) out = {0};
    BST_TRY(bst_se_key_info(se, key, &info));
    if (call->json) {
        add_json(&out, &info.attrs);
        bst_buf_addc(&out, '\n');
    } else {
        add_plain(&out, &info.attrs);
    }
    BST_TRY(bst_buf_check(&out));
    fwrite(out.ptr, 1, out.len, call->out);
    return BST_OK;
}

static bst_result info_key(struct cli_call *call, struct bst_se *se)
{
    bst_key key;
    BST_TRY(key_find(call, se, &key));
    return print_key(call, se, key);
}

/* ---- making and deleting ---- */

static bst_result read_attrs(const struct cli_call *call, struct bst_key_attrs *ret)
{
    int64_t suid;
    const char *until = cli_value(call, "--expires");
    *ret = (struct bst_key_attrs){
        .label = call->args[1], .owner = cli_value(call, "--owner"), .persistent = true};
    BST_TRY(key_type_read(cli_value(call, "--type"), &ret->type));
    BST_TRY(key_uses_read(call, ret->type, &ret->uses));
    BST_TRY(cli_number(call, "--suid", 0, 0, 99, &suid));
    ret->suid = (int)suid;
    return until ? bst_rfc3339_parse(bst_view(until), &ret->expires_us) : BST_OK;
}

static bst_result generate_key(struct cli_call *call, struct bst_se *se)
{
    struct bst_key_attrs attrs;
    bst_key key;
    BST_TRY(read_attrs(call, &attrs));
    BST_TRY(bst_se_key_generate(se, &attrs, &key));
    return print_key(call, se, key);
}

/* A symmetric key comes as its bytes, or as hexadecimal digits when the file is text of these. */
static bst_result symmetric_value(struct bst_view text, struct bst_secret *ret)
{
    bst_auto(secret) value = {0};
    struct bst_view digits = text;
    while (digits.len && strchr("\r\n", digits.ptr[digits.len - 1])) {
        digits.len--;
    }
    if (digits.len >= 32 && digits.len % 2 == 0) {
        BST_TRY(bst_secret_init(&value, digits.len / 2));
        if (!bst_failed(bst_hex_decode(digits, value.ptr, value.len))) {
            *ret = value;
            value = (struct bst_secret){0};
            return BST_OK;
        }
    }
    BST_ENSURE(text.len > 0, BST_E_TRUNCATED);
    return bst_secret_copy(ret, text.ptr, text.len);
}

static bst_result import_key(struct cli_call *call, struct bst_se *se)
{
    struct bst_key_attrs attrs;
    struct bst_buf text = {0};
    bst_auto(secret) value = {0};
    bst_key key;
    BST_TRY(read_attrs(call, &attrs));
    bst_result r = key_input(call, 65536, &text);
    if (!bst_failed(r)) {
        r = attrs.type == BST_KEY_SYMMETRIC ? symmetric_value(bst_buf_view(&text), &value)
            : text.len                      ? bst_secret_copy(&value, text.ptr, text.len)
                                            : bst_error(BST_E_TRUNCATED);
    }
    bst_buf_wipe(&text);
    BST_TRY(r);
    BST_TRY(bst_se_key_import(se, &attrs, &value, &key));
    return print_key(call, se, key);
}

static bst_result delete_key(struct cli_call *call, struct bst_se *se)
{
    bst_key key;
    BST_TRY(key_find(call, se, &key));
    BST_TRY(bst_se_key_delete(se, key));
    if (call->json) {
        fputs("{\"deleted\":true}\n", call->out);
    }
    return BST_OK;
}

/* ---- the words ---- */

static int with_se(struct cli_call *call, const char *what,
                   bst_result (*run)(struct cli_call *call, struct bst_se *se))
{
    struct bst_se *se = NULL;
    bst_result r = key_open(call, &se);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the secure environment cannot be opened");
    }
    r = run(call, se);
    int code = bst_failed(r) ? cli_fail(call, r, what) : CLI_OK;
    bst_se_close(&se);
    return code;
}

static int list(struct cli_call *call)
{
    return with_se(call, "keys cannot be listed", list_keys);
}
static int info(struct cli_call *call)
{
    return with_se(call, "the key cannot be shown", info_key);
}
static int generate(struct cli_call *call)
{
    return with_se(call, "the key was not made", generate_key);
}
static int import(struct cli_call *call)
{
    return with_se(call, "the key was not imported", import_key);
}
static int delete (struct cli_call *call)
{
    return with_se(call, "the key was not deleted", delete_key);
}

#define PIN_OPTION                                                                                 \
    {                                                                                              \
        "--pin-file", "FILE",                                                                      \
            "File of mode 0600 with the PIN of a token; the same as pin-source=file:FILE.", false  \
    }
#define OUT_OPTION                                                                                 \
    {                                                                                              \
        "--out", "FILE", "Where to write; without it, standard output.", false                     \
    }
#define MAKE_OPTIONS                                                                               \
    {"--type", "TYPE", "p256 (default), p384, ed25519, x25519 or symmetric.", false},              \
        {"--use", "USES",                                                                          \
         "With commas between: sign, agree, mac, derive, seal, psk (may be read for a "            \
         "handshake), wrap.",                                                                      \
         false},                                                                                   \
        {"--owner", "NAME", "Only this stakeholder sees the key.", false},                         \
        {"--suid", "N", "Security usage identifier of oneM2M.", false},                            \
    {                                                                                              \
        "--expires", "TIME", "Not used after this, such as 2027-01-01T00:00:00Z.", false           \
    }

static const struct cli_option pin_options[] = {PIN_OPTION, {0}};
static const struct cli_option generate_options[] = {PIN_OPTION, MAKE_OPTIONS, {0}};
static const struct cli_option import_options[] = {
    PIN_OPTION,
    MAKE_OPTIONS,
    {"--in", "FILE",
     "Private key in PEM or DER, or bytes or hexadecimal digits of a symmetric key.", false},
    {0}};
static const struct cli_option sign_options[] = {
    PIN_OPTION,
    OUT_OPTION,
    {"--in", "FILE", "The message; without it, standard input.", false},
    {"--hash", "NAME", "sha256 (default), sha384 or sha512; not for Ed25519.", false},
    {0}};
static const struct cli_option public_options[] = {PIN_OPTION, OUT_OPTION, {0}};
static const struct cli_option csr_options[] = {
    PIN_OPTION,
    OUT_OPTION,
    {"--name", "NAME", "Common name of the subject.", false},
    {"--ae-id", "ID", "Absolute AE-ID, such as //sp.example.com/Cdevice1.", true},
    {"--fqdn", "NAME", "Domain name, of a CSE, MEF or MAF.", true},
    {"--node", "URI", "M2M-Node-ID.", true},
    {0}};

#define TOKEN "pkcs11:token=demo"

static const struct cli_command words[] = {
    {
        .name = "list",
        .args = "URI",
        .summary = "List the keys",
        .text = "Names each key with its type, protection level, uses, owner and expiry. What the "
                "level "
                "rests on is said at the end.",
        .options = pin_options,
        .example = "bastide key list " TOKEN " --pin-file pin",
        .run = list,
    },
    {
        .name = "generate",
        .args = "URI LABEL",
        .summary = "Make a key inside",
        .options = generate_options,
        .example = "bastide key generate " TOKEN " cse.tls --type p256 --pin-file pin",
        .run = generate,
    },
    {
        .name = "import",
        .args = "URI LABEL",
        .summary = "Bring a key in",
        .text = "A key that was outside has protection level 1, whatever the token.",
        .options = import_options,
        .example = "bastide key import " TOKEN " cse.tls --in key.pem --pin-file pin",
        .run = import,
    },
    {
        .name = "info",
        .args = "URI LABEL",
        .summary = "Show one key",
        .options = pin_options,
        .example = "bastide key info " TOKEN " cse.tls --pin-file pin",
        .run = info,
    },
    {
        .name = "delete",
        .args = "URI LABEL",
        .summary = "Delete a key for good",
        .options = pin_options,
        .example = "bastide key delete " TOKEN " cse.tls --pin-file pin",
        .run = delete,
    },
    {
        .name = "sign",
        .args = "URI LABEL",
        .summary = "Sign a message with an inside key",
        .text = "ECDSA signatures are in DER, as openssl dgst -verify takes them.",
        .options = sign_options,
        .example =
            "bastide key sign " TOKEN " cse.tls --in message --out message.sig --pin-file pin",
        .run = key_sign,
    },
    {
        .name = "public",
        .args = "URI LABEL",
        .summary = "Write the public half in PEM",
        .options = public_options,
        .example = "bastide key public " TOKEN " cse.tls --out cse.pub --pin-file pin",
        .run = key_public,
    },
    {
        .name = "csr",
        .args = "URI LABEL",
        .summary = "Write a certificate request for an inside key",
        .options = csr_options,
        .example =
            "bastide key csr " TOKEN " cse.tls --fqdn in.example.com --out cse.csr --pin-file pin",
        .run = key_csr,
    },
    {
        .name = "selftest",
        .args = "URI",
        .summary = "Find out what a token can do, by doing it",
        .text =
            "Runs every operation and its refused twins with keys of its own, which are deleted "
            "again. "
            "Says in words what the token can and cannot do, its protection level and what that "
            "rests "
            "on. Exit code 1 when something failed; a mechanism that the token does not have is no "
            "failure.",
        .options = pin_options,
        .example = "bastide key selftest " TOKEN " --pin-file pin",
        .run = key_selftest,
    },
    {0},
};

const struct cli_command cmd_key = {
    .name = "key",
    .args = "",
    .summary = "Keys in a secure environment: tokens and software",
    .text =
        "URI names the environment: pkcs11:token=NAME (RFC 7512, with module-path=, "
        "pin-source=file: "
        "and fallback=soft as far as they are needed) or se:soft?dir=FOLDER. The PIN is in a file, "
        "never on the command line. Do not use this on the folder of a server that runs.",
    .words = words,
};
