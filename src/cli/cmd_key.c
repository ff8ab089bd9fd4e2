/* bastide key: keys in a secure environment, on a token or in software. */
#include "cli/cmd_key_priv.h"

#include "app/se_uri.h"
#include "base/time.h"
#include "sys/file.h"

#include <stdio.h>

/* ---- what the words share ---- */

bst_result key_uri(const struct cli_call *call, struct bst_buf *ret)
{
    return bst_se_uri_settle(call->args[0], cli_value(call, "--pin-file"), false, ret);
}

bst_result key_open(const struct cli_call *call, struct bst_se **ret)
{
    return cli_se_open(call->args[0], cli_value(call, "--pin-file"), ret);
}

struct named {
    const char *label;
    bst_key key;
    size_t n;
};

static bool take_named(void *ctx, bst_key key, const struct bst_key_attrs *attrs)
{
    struct named *named = ctx;
    if (strcmp(attrs->label, named->label) == 0) {
        named->key = key;
        named->n++;
    }
    return true;
}

/* Labels are an owner's: whose is said by --owner, or nobody's, or there is only one. */
bst_result key_find(const struct cli_call *call, struct bst_se *se, bst_key *ret)
{
    const char *label = call->args[1], *owner = cli_value(call, "--owner");
    struct named named = {.label = label};
    *ret = 0;
    BST_TRY(owner ? bst_se_key_find_of(se, owner, label, ret) : bst_se_key_find(se, label, ret));
    if (!*ret && !owner) {
        BST_TRY(bst_se_key_list(se, take_named, &named));
        *ret = named.n == 1 ? named.key : 0;
    }
    if (named.n > 1) {
        BST_FAIL(BST_E_NOT_FOUND, "%zu stakeholders have a key '%s': say whose with --owner",
                 named.n, label);
    }
    if (!*ret) {
        BST_FAIL(BST_E_NOT_FOUND,
                 "there is no key '%s'%s%s; 'bastide key list' shows what there is", label,
                 owner ? " of " : "", owner ? owner : "");
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
    {"data", BST_KEY_DATA, BST_KEY_USE_READ},
};
#define TYPES (sizeof types / sizeof types[0])

static const struct {
    const char *name;
    uint32_t use;
} uses[] = {
    {"sign", BST_KEY_USE_SIGN},     {"agree", BST_KEY_USE_AGREE},     {"mac", BST_KEY_USE_MAC},
    {"derive", BST_KEY_USE_DERIVE}, {"seal", BST_KEY_USE_SEAL},       {"psk", BST_KEY_USE_PSK},
    {"wrap", BST_KEY_USE_WRAP},     {"routine", BST_KEY_USE_ROUTINE}, {"kek", BST_KEY_USE_KEK},
    {"read", BST_KEY_USE_READ},
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
    BST_FAIL(BST_E_USAGE,
             "--use is sign, agree, mac, derive, seal, psk, wrap or kek, with commas between, not "
             "'%.*s'",
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
    static const char *const states[] = {"", "; personalisation is not over", "; BLOCKED"};
    struct bst_se_about about;
    bst_se_about(se, &about);
    fprintf(call->err, "%zu keys; %s%s%s: new keys have protection level %d: %s%s\n", keys,
            about.kind, about.name[0] ? " " : "", about.name, about.level, about.evidence,
            states[about.state]);
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

bst_result key_print(struct cli_call *call, struct bst_se *se, bst_key key)
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
    return key_print(call, se, key);
}

/* ---- making and deleting ---- */

bst_result key_attrs_read(const struct cli_call *call, const char *label, const char *type,
                          struct bst_key_attrs *ret)
{
    int64_t suid;
    const char *until = cli_value(call, "--expires");
    *ret = (struct bst_key_attrs){
        .label = label, .owner = cli_value(call, "--owner"), .persistent = true};
    BST_TRY(key_type_read(type, &ret->type));
    BST_TRY(key_uses_read(call, ret->type, &ret->uses));
    BST_TRY(cli_number(call, "--suid", 0, 0, 99, &suid));
    ret->suid = (int)suid;
    return until ? bst_rfc3339_parse(bst_view(until), &ret->expires_us) : BST_OK;
}

static bst_result generate_key(struct cli_call *call, struct bst_se *se)
{
    struct bst_key_attrs attrs;
    bst_key key;
    BST_TRY(key_attrs_read(call, call->args[1], cli_value(call, "--type"), &attrs));
    BST_TRY(bst_se_key_generate(se, &attrs, &key));
    return key_print(call, se, key);
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

/* A key of level 1 among better ones is asked for by name. */
static bst_result check_import(const struct cli_call *call, struct bst_se *se)
{
    struct bst_se_about about;
    bst_se_about(se, &about);
    if (about.level > 1 && !cli_has(call, "--level-1")) {
        BST_FAIL(BST_E_DENIED,
                 "keys made inside have level %d here, one that comes from outside has 1; make it "
                 "inside with 'bastide key generate', or say --level-1",
                 about.level);
    }
    return BST_OK;
}

static bst_result import_key(struct cli_call *call, struct bst_se *se)
{
    struct bst_key_attrs attrs;
    struct bst_buf text = {0};
    bst_auto(secret) value = {0};
    bst_key key;
    BST_TRY(key_attrs_read(call, call->args[1], cli_value(call, "--type"), &attrs));
    BST_TRY(check_import(call, se));
    bst_result r = key_input(call, 65536, &text);
    if (!bst_failed(r)) {
        r = attrs.type == BST_KEY_SYMMETRIC ? symmetric_value(bst_buf_view(&text), &value)
            : text.len                      ? bst_secret_copy(&value, text.ptr, text.len)
                                            : bst_error(BST_E_TRUNCATED);
    }
    bst_buf_wipe(&text);
    BST_TRY(r);
    BST_TRY(bst_se_key_import(se, &attrs, &value, &key));
    return key_print(call, se, key);
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

/* Every word names its arguments in its table; those in brackets may be left out. */
bool key_args_given(const struct cli_call *call)
{
    struct bst_view rest = bst_view(call->command->args), name;
    size_t least = 0, most = 0;
    while (rest.len) {
        bst_view_cut(&rest, ' ', &name);
        least += name.ptr[0] != '[';
        most++;
    }
    return call->n_args >= least && call->n_args <= most;
}

int key_with_se(struct cli_call *call, const char *what,
                bst_result (*run)(struct cli_call *call, struct bst_se *se))
{
    struct bst_se *se = NULL;
    if (!key_args_given(call)) {
        return cli_usage(call, "name %s", call->command->args);
    }
    bst_result r = key_open(call, &se);
    if (bst_failed(r)) {
        return cli_fail(call, r, "the secure environment cannot be opened");
    }
    r = run(call, se);
    int code = bst_failed(r) ? cli_fail(call, r, what) : CLI_OK;
    bst_se_close(&se);
    return code;
}

int key_list(struct cli_call *call)
{
    return key_with_se(call, "keys cannot be listed", list_keys);
}
int key_info(struct cli_call *call)
{
    return key_with_se(call, "the key cannot be shown", info_key);
}
int key_generate(struct cli_call *call)
{
    return key_with_se(call, "the key was not made", generate_key);
}
int key_import(struct cli_call *call)
{
    return key_with_se(call, "the key was not imported", import_key);
}
int key_delete(struct cli_call *call)
{
    return key_with_se(call, "the key was not deleted", delete_key);
}
