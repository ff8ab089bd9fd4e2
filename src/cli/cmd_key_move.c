/* bastide key: keys that travel: wrapped in a file, or from one environment to another. */
#include "cli/cmd_key_priv.h"

#include "base/text.h"
#include "crypto/agree.h"
#include "crypto/rand.h"

#define BLOB_MAX 65536
#define TRANSPORT BST_VIEW("bastide key rewrap")

/* ---- wrap and unwrap ---- */

static bst_result find_kek(const struct cli_call *call, struct bst_se *se, bst_key *ret)
{
    const char *label = cli_value(call, "--with");
    if (!label) {
        BST_FAIL(BST_E_USAGE, "--with LABEL is missing: the key that wraps, made with --use kek");
    }
    BST_TRY(bst_se_key_find(se, label, ret));
    if (!*ret) {
        BST_FAIL(BST_E_NOT_FOUND, "there is no key '%s' to wrap with", label);
    }
    return BST_OK;
}

static bst_result wrap(struct cli_call *call, struct bst_se *se, bst_key key)
{
    bst_key kek;
    bst_auto(buf) blob = {0};
    BST_TRY(find_kek(call, se, &kek));
    BST_TRY(bst_se_wrap(se, kek, key, &blob));
    return key_output(call, bst_buf_view(&blob));
}

static bst_result unwrap(struct cli_call *call, struct bst_se *se)
{
    bst_key kek, key;
    bst_auto(buf) blob = {0};
    const struct bst_key_attrs attrs = {.label = call->args[1], .persistent = true};
    BST_TRY(find_kek(call, se, &kek));
    BST_TRY(key_input(call, BLOB_MAX, &blob));
    BST_TRY(bst_se_unwrap(se, kek, bst_buf_view(&blob), &attrs, &key));
    return key_print(call, se, key);
}

int key_wrap(struct cli_call *call)
{
    return key_with_key(call, "the key was not wrapped", wrap);
}

int key_unwrap(struct cli_call *call)
{
    return key_with_se(call, "no key was unwrapped", unwrap);
}

/* ---- check values ---- */

static void add_check_value(struct bst_buf *out, const uint8_t value[BST_SE_CHECK_BYTES])
{
    bst_hex_add(out, bst_view_of(value, BST_SE_CHECK_BYTES), true);
}

static bst_result check(struct cli_call *call, struct bst_se *se, bst_key key)
{
    uint8_t value[BST_SE_CHECK_BYTES];
    bst_auto(buf) out = {0};
    BST_TRY(bst_se_check_value(se, key, value));
    bst_buf_adds(&out, call->json ? "{\"label\":" : "");
    if (call->json) {
        bst_buf_add_json(&out, bst_view(call->args[1]));
        bst_buf_adds(&out, ",\"check\":\"");
    }
    add_check_value(&out, value);
    bst_buf_adds(&out, call->json ? "\"}" : "");
    BST_TRY(bst_buf_check(&out));
    cli_print(call, &out);
    return BST_OK;
}

int key_check(struct cli_call *call)
{
    return key_with_key(call, "there is no check value", check);
}

/* ---- rewrap ---- */

struct rewrapping {
    struct cli_call *call;
    struct bst_se *from, *to;
    bst_key key, copy;
    bst_key kek_from, kek_to; /* one value in both, for this one transport */
    bool agreed;              /* the two environments made it; else this program did */
    uint8_t check[BST_SE_CHECK_BYTES];
};

static const struct bst_key_attrs kek_attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_KEK};

/* A key pair for one agreement, and its public half as the other side takes it. */
static bst_result make_pair(struct bst_se *se, bst_key *ret, uint8_t point[BST_CURVE_POINT_MAX])
{
    bst_auto(buf) spki = {0};
    BST_TRY(bst_se_key_generate(
        se, &(struct bst_key_attrs){.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_AGREE}, ret));
    BST_TRY(bst_se_key_public(se, *ret, &spki));
    return bst_agree_point_load(BST_CURVE_P256, bst_buf_view(&spki), point);
}

static bst_result agree_on(struct rewrapping *r, const bst_key pairs[2],
                           uint8_t points[2][BST_CURVE_POINT_MAX])
{
    BST_TRY(bst_se_agree_key(r->from, pairs[0], bst_view_of(points[1], BST_CURVE_POINT_MAX),
                             (struct bst_view){0}, TRANSPORT, &kek_attrs, &r->kek_from));
    return bst_se_agree_key(r->to, pairs[1], bst_view_of(points[0], BST_CURVE_POINT_MAX),
                            (struct bst_view){0}, TRANSPORT, &kek_attrs, &r->kek_to);
}

static bst_result agree_kek(struct rewrapping *r)
{
    bst_key pairs[2] = {0};
    uint8_t points[2][BST_CURVE_POINT_MAX];
    bst_result done = make_pair(r->from, &pairs[0], points[0]);
    if (!bst_failed(done)) {
        done = make_pair(r->to, &pairs[1], points[1]);
    }
    if (!bst_failed(done)) {
        done = agree_on(r, pairs, points);
    }
    for (size_t i = 0; i < 2; i++) {
        if (pairs[i]) {
            (void)bst_se_key_delete(i ? r->to : r->from, pairs[i]).code;
        }
    }
    return done;
}

static void drop_keks(struct rewrapping *r)
{
    if (r->kek_from) {
        (void)bst_se_key_delete(r->from, r->kek_from).code;
    }
    if (r->kek_to) {
        (void)bst_se_key_delete(r->to, r->kek_to).code;
    }
    r->kek_from = r->kek_to = 0;
}

/* Where one side cannot agree on a key, this program makes one, and forgets it after the transport.
 */
static bst_result make_kek(struct rewrapping *r)
{
    bst_auto(secret) value = {0};
    r->agreed = !bst_failed(agree_kek(r));
    if (r->agreed) {
        return BST_OK;
    }
    drop_keks(r);
    BST_TRY(bst_secret_init(&value, 32));
    BST_TRY(bst_random(value.ptr, value.len));
    BST_TRY(bst_se_key_import(r->from, &kek_attrs, &value, &r->kek_from));
    return bst_se_key_import(r->to, &kek_attrs, &value, &r->kek_to);
}

static bst_result carry(struct rewrapping *r)
{
    const char *as = cli_value(r->call, "--as");
    bst_auto(buf) blob = {0};
    const struct bst_key_attrs attrs = {.label = as ? as : r->call->args[1], .persistent = true};
    BST_TRY(make_kek(r));
    BST_TRY(bst_se_wrap(r->from, r->kek_from, r->key, &blob));
    return bst_se_unwrap(r->to, r->kek_to, bst_buf_view(&blob), &attrs, &r->copy);
}

/* Only what was proved the same replaces the source. */
static bst_result prove(struct rewrapping *r)
{
    uint8_t there[BST_SE_CHECK_BYTES];
    BST_TRY(bst_se_check_value(r->from, r->key, r->check));
    BST_TRY(bst_se_check_value(r->to, r->copy, there));
    if (!bst_equal_ct(r->check, there, sizeof there)) {
        BST_FAIL(BST_E_CORRUPT, "the key in %s is another one; the source is untouched",
                 r->call->args[2]);
    }
    return BST_OK;
}

static bst_result rewrap_open(struct rewrapping *r)
{
    BST_TRY(key_open(r->call, &r->from));
    BST_TRY(cli_se_open(r->call->args[2], cli_value(r->call, "--to-pin-file"), &r->to));
    return key_find(r->call, r->from, &r->key);
}

static bst_result move_it(struct rewrapping *r)
{
    bst_result done = carry(r);
    drop_keks(r);
    if (!bst_failed(done)) {
        done = prove(r);
    }
    if (bst_failed(done)) {
        if (r->copy) {
            (void)bst_se_key_delete(r->to, r->copy).code;
        }
        return done;
    }
    return cli_has(r->call, "--move") ? bst_se_key_delete(r->from, r->key) : BST_OK;
}

static bst_result tell(struct rewrapping *r)
{
    static const char *const by[] = {"a transport key of this program",
                                     "a transport key that both environments agreed on"};
    bool moved = cli_has(r->call, "--move");
    bst_auto(buf) out = {0};
    struct bst_key_info info;
    BST_TRY(bst_se_key_info(r->to, r->copy, &info));
    if (r->call->json) {
        bst_buf_adds(&out, "{\"label\":");
        bst_buf_add_json(&out, bst_view(info.label));
        bst_buf_adds(&out, ",\"check\":\"");
        add_check_value(&out, r->check);
        bst_buf_addf(&out, "\",\"level\":%d,\"moved\":%s,\"agreed\":%s}", info.attrs.level,
                     moved ? "true" : "false", r->agreed ? "true" : "false");
    } else {
        bst_buf_addf(&out, "%s is in %s, level %d, by %s\nthe same key: check value ", info.label,
                     r->call->args[2], info.attrs.level, by[r->agreed]);
        add_check_value(&out, r->check);
        bst_buf_addf(&out, " on both sides; the source is %s", moved ? "deleted" : "untouched");
    }
    BST_TRY(bst_buf_check(&out));
    cli_print(r->call, &out);
    return BST_OK;
}

int key_rewrap(struct cli_call *call)
{
    struct rewrapping r = {.call = call};
    if (!key_args_given(call)) {
        return cli_usage(call, "name %s", call->command->args);
    }
    bst_result done = rewrap_open(&r);
    if (!bst_failed(done)) {
        done = move_it(&r);
    }
    if (!bst_failed(done)) {
        done = tell(&r);
    }
    int code = bst_failed(done) ? cli_fail(call, done, "the key was not rewrapped") : CLI_OK;
    bst_se_close(&r.from);
    bst_se_close(&r.to);
    return code;
}
