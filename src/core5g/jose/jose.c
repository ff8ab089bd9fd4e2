/* Compact JWE and JWS: parts, headers, and what they may say. */
#include "core5g/jose/jose.h"

#include "crypto/jwa.h"

#define JWS_PARTS 3
#define JWE_PARTS 5
#define HEADER_DEPTH 4

/* ---- parts ---- */

/* Exactly `n` parts between dots. */
static bst_result split(struct bst_view text, const char *what, struct bst_view *parts, size_t n)
{
    bool ok = text.len <= BST_JOSE_MAX;
    for (size_t i = 0; ok && i + 1 < n; i++) {
        ok = bst_view_cut(&text, '.', &parts[i]);
    }
    parts[n - 1] = text;
    if (!ok || memchr(text.len ? text.ptr : "", '.', text.len)) {
        BST_FAIL(BST_E_SYNTAX, "a compact %s has %zu parts between dots", what, n);
    }
    return BST_OK;
}

static bst_result decode(struct bst_view part, const char *what, struct bst_buf *ret)
{
    if (bst_failed(bst_base64url_decode(part, ret))) {
        BST_FAIL(BST_E_SYNTAX, "the %s is not base64url without padding", what);
    }
    return BST_OK;
}

/* ---- protected header ---- */

static bst_result header_is(const yyjson_val *header, const char *name, const char *want)
{
    struct bst_view value = {0};
    BST_TRY(bst_json_string(header, name, &value));
    if (!bst_view_is(value, want)) {
        BST_FAIL(BST_E_VALUE, "header '%s' is '%.*s', not '%s'", name,
                 (int)(value.len < 64 ? value.len : 64), value.ptr, want);
    }
    return BST_OK;
}

/* [RFC 7515, 4.1.11] an extension that is not understood makes the whole invalid; a key that comes
 * with the message proves nothing. */
static bst_result read_header(struct bst_view part, struct bst_arena *arena, yyjson_val **ret)
{
    static const char *const refused[] = {"crit", "jwk", "zip"};
    bst_auto(buf) text = {0};
    BST_TRY(decode(part, "header", &text));
    BST_TRY(bst_json_parse(arena, bst_buf_view(&text), HEADER_DEPTH, ret));
    if (!yyjson_is_obj(*ret)) {
        BST_FAIL(BST_E_VALUE, "the header is a %s, not an object", bst_json_kind(*ret));
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (bst_json_get(*ret, refused[i])) {
            BST_FAIL(BST_E_VALUE, "header '%s' is not accepted", refused[i]);
        }
    }
    return BST_OK;
}

/* ---- JWE ---- */

static bst_result check_jwe_header(const yyjson_val *header, size_t key_bytes)
{
    BST_TRY(header_is(header, "alg", "dir"));
    if (key_bytes != 16 && key_bytes != 32) {
        BST_FAIL(BST_E_BAD_KEY, "a content key has 16 or 32 octets, not %zu", key_bytes);
    }
    return header_is(header, "enc", key_bytes == 16 ? "A128GCM" : "A256GCM");
}

bst_result bst_jwe_open(struct bst_view key, struct bst_view jwe, struct bst_buf *ret)
{
    struct bst_view parts[JWE_PARTS];
    bst_auto(arena) arena = {0};
    bst_auto(buf) nonce = {0}, ciphertext = {0}, tag = {0};
    yyjson_val *header = NULL;
    BST_TRY(split(jwe, "JWE", parts, JWE_PARTS));
    BST_TRY(read_header(parts[0], &arena, &header));
    BST_TRY(check_jwe_header(header, key.len));
    BST_TRY(decode(parts[2], "initialisation vector", &nonce));
    BST_TRY(decode(parts[3], "ciphertext", &ciphertext));
    BST_TRY(decode(parts[4], "tag", &tag));
    if (parts[1].len || nonce.len != BST_GCM_NONCE_BYTES || tag.len != BST_GCM_TAG_BYTES) {
        BST_FAIL(BST_E_VALUE,
                 "with a shared key there is no encrypted key, 12 octets of initialisation vector "
                 "and 16 of tag");
    }
    return bst_gcm_open(key, (const uint8_t *)nonce.ptr, parts[0], bst_buf_view(&ciphertext),
                        (const uint8_t *)tag.ptr, ret);
}

/* ---- JWS ---- */

static bool lists(yyjson_val *array, const char *word)
{
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iter));) {
        if (bst_view_is(bst_json_view(item), word)) {
            return true;
        }
    }
    return false;
}

static bst_result check_jwk(const yyjson_val *jwk)
{
    struct bst_view use = BST_VIEW("sig"), alg = BST_VIEW("ES256");
    yyjson_val *key_ops = bst_json_get(jwk, "key_ops");
    BST_TRY(header_is(jwk, "kty", "EC"));
    BST_TRY(header_is(jwk, "crv", "P-256"));
    BST_TRY(bst_json_opt_string(jwk, "use", &use));
    BST_TRY(bst_json_opt_string(jwk, "alg", &alg));
    if (!bst_view_is(use, "sig") || !bst_view_is(alg, "ES256") ||
        (key_ops && !lists(key_ops, "verify"))) {
        BST_FAIL(BST_E_BAD_KEY, "the key is not for verifying ES256");
    }
    return BST_OK;
}

static bst_result coordinate(const yyjson_val *jwk, const char *name, struct bst_buf *ret)
{
    struct bst_view text;
    BST_TRY(bst_json_string(jwk, name, &text));
    return decode(text, name, ret);
}

bst_result bst_jws_verify(const yyjson_val *jwk, struct bst_view jws, struct bst_buf *ret)
{
    struct bst_view parts[JWS_PARTS];
    bst_auto(arena) arena = {0};
    bst_auto(buf) x = {0}, y = {0}, signature = {0}, payload = {0};
    yyjson_val *header = NULL;
    BST_TRY(split(jws, "JWS", parts, JWS_PARTS));
    BST_TRY(read_header(parts[0], &arena, &header));
    BST_TRY(header_is(header, "alg", "ES256"));
    BST_TRY(check_jwk(jwk));
    BST_TRY(coordinate(jwk, "x", &x));
    BST_TRY(coordinate(jwk, "y", &y));
    BST_TRY(decode(parts[1], "payload", &payload));
    BST_TRY(decode(parts[2], "signature", &signature));
    /* What is signed is the text of both parts with the dot between. */
    BST_TRY(bst_es256_verify(bst_buf_view(&x), bst_buf_view(&y),
                             bst_view_of(jws.ptr, parts[0].len + 1 + parts[1].len),
                             bst_buf_view(&signature)));
    bst_buf_addv(ret, bst_buf_view(&payload));
    return bst_buf_check(ret);
}
