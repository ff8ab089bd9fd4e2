/* core5g: compact JWE and JWS are opened strictly. */
#include "support/test.h"

#include "core5g/jose/jose.h"
#include "crypto/jwa.h"
#include "support/hex.h"
#include "sys/file.h"

#include <stdio.h>

/* RFC 7515 A.3 */
#define JWK_X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
#define JWK_Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define JWK "{\"kty\":\"EC\",\"crv\":\"P-256\"," JWK_X JWK_Y "}"
#define PAYLOAD                                                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define SIGNATURE                                                                                  \
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define JWS "eyJhbGciOiJFUzI1NiJ9." PAYLOAD "." SIGNATURE

static bst_result verify(const char *jwk_text, struct bst_view jws, struct bst_buf *ret)
{
    bst_auto(arena) arena = {0};
    yyjson_val *jwk = NULL;
    assert_ok(bst_json_parse(&arena, bst_view(jwk_text), 4, &jwk));
    return bst_jws_verify(jwk, jws, ret);
}

static void a_published_signature_verifies(void **state)
{
    bst_auto(buf) payload = {0};
    assert_ok(verify(JWK, bst_view(JWS), &payload));
    assert_true(bst_view_starts(bst_buf_view(&payload), BST_VIEW("{\"iss\":\"joe\",")));
}

static void every_changed_character_is_refused(void **state)
{
    char text[] = JWS;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        bst_auto(buf) payload = {0};
        char old = text[i];
        text[i] = old == 'A' ? 'B' : 'A';
        if (!bst_failed(verify(JWK, bst_view(text), &payload)) || payload.len) {
            fail_msg("character %zu changed", i);
        }
        text[i] = old;
    }
    for (size_t len = 0; len < sizeof text - 1; len++) {
        bst_auto(buf) payload = {0};
        assert_true(bst_failed(verify(JWK, bst_view_of(text, len), &payload)));
        assert_int_equal(payload.len, 0);
    }
}

/* A JWS or JWE with this header, the rest as it was. */
static struct bst_view with_header(const char *header, const char *rest, struct bst_buf *ret)
{
    bst_base64url_add(ret, bst_view(header));
    bst_buf_adds(ret, rest);
    assert_ok(bst_buf_check(ret));
    return bst_buf_view(ret);
}

static void other_headers_are_refused(void **state)
{
    static const char *const headers[] = {
        "",
        "7",
        "[]",
        "{}",
        "{\"alg\":7}",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"ES256\",\"jwk\":" JWK "}",
        "{\"alg\":\"dir\"}",
        "{\"alg\":\"dir\",\"enc\":\"A256GCM\"}",
        "{\"alg\":\"dir\",\"enc\":\"A128CBC-HS256\"}",
        "{\"alg\":\"RSA-OAEP\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"dir\",\"enc\":\"A128GCM\",\"zip\":\"DEF\"}",
        "{\"alg\":\"dir\",\"enc\":\"A128GCM\",\"crit\":[]}",
    };
    static const uint8_t key[16] = {1};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        bst_auto(buf) jws = {0}, jwe = {0}, out = {0};
        struct bst_view signed_text = with_header(headers[i], "." PAYLOAD "." SIGNATURE, &jws);
        struct bst_view sealed =
            with_header(headers[i], "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA", &jwe);
        bst_result verified = verify(JWK, signed_text, &out);
        bst_result opened = bst_jwe_open(bst_view_of(key, sizeof key), sealed, &out);
        assert_true(bst_failed(verified) && verified.code != BST_E_BAD_MAC);
        assert_true(bst_failed(opened) && opened.code != BST_E_BAD_MAC);
        assert_int_equal(out.len, 0);
    }
}

static void keys_for_something_else_are_refused(void **state)
{
    static const char *const keys[] = {
        "7",
        "{}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," JWK_X "\"y\":7}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," JWK_X "\"y\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," JWK_X
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"}", /* not on the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-384\"," JWK_X JWK_Y "}",
        "{\"kty\":\"RSA\",\"crv\":\"P-256\"," JWK_X JWK_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"enc\"," JWK_X JWK_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":7," JWK_X JWK_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES384\"," JWK_X JWK_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_ops\":[\"sign\"]," JWK_X JWK_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_ops\":\"verify\"," JWK_X JWK_Y "}",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        bst_auto(buf) payload = {0};
        if (!bst_failed(verify(keys[i], bst_view(JWS), &payload)) || payload.len) {
            fail_msg("accepted: %s", keys[i]);
        }
    }
    bst_auto(buf) payload = {0};
    assert_ok(verify(
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"key_ops\":[\"sign\",\"verify\"]," JWK_X JWK_Y "}",
        bst_view(JWS), &payload));
}

static void every_changed_character_of_a_jwe_is_refused(void **state)
{
    static const char *const bad[] = {"", ".", "....", ".....", "a.b.c.d", "a.b.c.d.e.f"};
    static const uint8_t key[16] = {0};
    bst_auto(buf) file = {0}, out = {0};
    bst_auto(arena) arena = {0};
    yyjson_val *root = NULL, *vectors = NULL;
    struct bst_view jwe = {0}, cek = {0};
    char path[512], text[1024];
    uint8_t raw[16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_jwe_open(bst_view_of(key, 16), bst_view(bad[i]), &out), BST_E_SYNTAX);
    }
    snprintf(path, sizeof path, "%s/tests/vectors/5g/jose.json", getenv("BST_SOURCE"));
    assert_ok(bst_file_read(path, 1 << 20, &file));
    assert_ok(bst_json_parse(&arena, bst_buf_view(&file), 8, &root));
    assert_ok(bst_json_array(root, "vectors", &vectors));
    assert_ok(bst_json_string(yyjson_arr_get_first(vectors), "jwe", &jwe));
    assert_ok(bst_json_string(yyjson_arr_get_first(vectors), "cek_hex", &cek));
    assert_ok(bst_hex_decode(cek, raw, sizeof raw));
    assert_ok(bst_jwe_open(bst_view_of(raw, 16), jwe, &out));
    size_t plain = out.len;
    assert_true(plain > 100 && jwe.len < sizeof text);
    memcpy(text, jwe.ptr, jwe.len);
    for (size_t i = 0; i < jwe.len; i++) {
        char old = text[i];
        text[i] = old == 'A' ? 'B' : 'A';
        assert_true(
            bst_failed(bst_jwe_open(bst_view_of(raw, 16), bst_view_of(text, jwe.len), &out)));
        assert_int_equal(out.len, plain);
        text[i] = old;
    }
    for (size_t len = 0; len < jwe.len; len++) {
        assert_true(bst_failed(bst_jwe_open(bst_view_of(raw, 16), bst_view_of(text, len), &out)));
    }
    static const size_t lengths[] = {0, 15, 17, 32};
    for (size_t i = 0; i < 4; i++) {
        assert_true(bst_failed(bst_jwe_open(bst_view_of(path, lengths[i]), jwe, &out)));
    }
}

static void very_long_texts_are_refused(void **state)
{
    bst_auto(buf) text = {0}, out = {0};
    static const uint8_t key[16] = {1};
    while (text.len <= BST_JOSE_MAX) {
        bst_buf_adds(&text, "e30.");
    }
    assert_ok(bst_buf_check(&text));
    assert_err(verify(JWK, bst_buf_view(&text), &out), BST_E_SYNTAX);
    assert_err(bst_jwe_open(bst_view_of(key, 16), bst_buf_view(&text), &out), BST_E_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_signature_verifies),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(other_headers_are_refused),
        cmocka_unit_test(keys_for_something_else_are_refused),
        cmocka_unit_test(every_changed_character_of_a_jwe_is_refused),
        cmocka_unit_test(very_long_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
