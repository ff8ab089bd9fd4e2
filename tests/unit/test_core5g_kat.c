/* core5g: the published vectors come out, changed ones do not, malformed files are told. */
#include "support/test.h"

#include "core5g/kat/kat.h"
#include "crypto/kem.h"
#include "support/hex.h"
#include "sys/file.h"

#include <stdio.h>

static struct {
    char vector[160], why[512];
} last;

static void on_failed(void *ctx, const char *file, const char *vector, const char *why)
{
    snprintf(last.vector, sizeof last.vector, "%s", vector);
    snprintf(last.why, sizeof last.why, "%s", why);
}

static void read_vectors(const char *name, struct bst_buf *ret)
{
    char path[512];
    const char *root = getenv("BST_SOURCE");
    snprintf(path, sizeof path, "%s/tests/vectors/5g/%s", root ? root : ".", name);
    assert_ok(bst_file_read(path, BST_KAT_FILE_MAX, ret));
}

static struct bst_kat_tally run_text(const char *name, struct bst_view text)
{
    struct bst_kat_tally tally = {.on_failed = on_failed};
    assert_ok(bst_kat_run(name, text, &tally));
    return tally;
}

static void every_published_vector_passes(void **state)
{
    static const struct {
        const char *name;
        size_t n;
    } files[] = {{"milenage.json", 14}, {"tuak.json", 4}, {"milenage256.json", 1},
                 {"kdf.json", 7},       {"suci.json", 6}, {"jose.json", 17}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        bst_auto(buf) text = {0};
        read_vectors(files[i].name, &text);
        struct bst_kat_tally tally = run_text(files[i].name, bst_buf_view(&text));
        if (tally.failed || tally.passed != files[i].n) {
            fail_msg("%s: %zu passed; %s: %s", files[i].name, tally.passed, last.vector, last.why);
        }
    }
}

/* Each answer in turn, with its first digit changed. */
static void expect_each_answer_to_count(const char *name, const char *const *members)
{
    bst_auto(buf) text = {0};
    read_vectors(name, &text);
    bst_buf_addc(&text, '\0');
    assert_ok(bst_buf_check(&text));
    for (; *members; members++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "\"%s\": \"", *members);
        char *at = strstr(text.ptr, pattern);
        assert_non_null(at);
        char *digit = at + strlen(pattern), old = *digit;
        *digit = old == '0' ? '1' : '0';
        struct bst_kat_tally tally = run_text(name, bst_view(text.ptr));
        *digit = old;
        if (tally.failed == 0) {
            fail_msg("%s: a changed '%s' passes", name, *members);
        }
    }
}

static void a_wrong_expected_value_fails(void **state)
{
    static const char *const milenage[] = {
        "opc", "f1", "f1star", "f2", "f3", "f4", "f5", "f5star", "autn", "auts_published", NULL};
    static const char *const tuak[] = {"topc", "f1", "f1star", "f2", "f3",
                                       "f4",   "f5", "f5star", NULL};
    static const char *const kdf[] = {
        "kausf",   "kseaf",    "kamf",     "kgnb",        "xres_star",   "hxres_star", "output_256",
        "key_128", "ck_prime", "ik_prime", "peer_output", "wrong_kausf", "res",        NULL};
    static const char *const suci[] = {"hn_public", "eph_public",    "shared",     "enc_key",
                                       "icb",       "mac_key",       "ciphertext", "mac",
                                       "plaintext", "scheme_output", NULL};
    expect_each_answer_to_count("milenage.json", milenage);
    expect_each_answer_to_count("tuak.json", tuak);
    expect_each_answer_to_count("milenage256.json", tuak + 1);
    expect_each_answer_to_count("kdf.json", kdf);
    expect_each_answer_to_count("suci.json", suci);
    static const char *const jose[] = {"plaintext_hex", NULL};
    expect_each_answer_to_count("jose.json", jose);
    static const char *const kem[] = {"ek", "dk", "shared_secret", "ciphertext", NULL};
    if (bst_kem_provider()) {
        expect_each_answer_to_count("mlkem768.json", kem);
    }
}

#define PROFILE_A                                                                                  \
    "\"profile\":\"A\",\"supi_type\":\"imsi\",\"home_network\":\"274012\",\"hn_private\":"         \
    "\"c53c22208b61860b06c62e5406a7b330c2b577aa5558981510d128247d38bd1d\","
#define GOOD_OUTPUT                                                                                \
    "b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457dcb02352410cddd9e730ef3fa8"
#define SUCI_FILE(members)                                                                         \
    "{\"family\":\"SUPI concealment\",\"vectors\":[{\"id\":\"one\"," members "}]}"

static void negative_vectors_pass_only_when_refused(void **state)
{
    struct bst_kat_tally tally;
    tally = run_text("suci.json",
                     BST_VIEW(SUCI_FILE(PROFILE_A "\"expect\":\"reject: wrong MAC\","
                                                  "\"scheme_output\":\"" GOOD_OUTPUT "8\"")));
    assert_int_equal(tally.passed, 1);
    tally = run_text("suci.json",
                     BST_VIEW(SUCI_FILE(PROFILE_A "\"expect\":\"reject\","
                                                  "\"scheme_output\":\"" GOOD_OUTPUT "7\"")));
    assert_int_equal(tally.failed, 1);
    assert_non_null(strstr(last.why, "revealed"));
    tally = run_text("suci.json", BST_VIEW(SUCI_FILE(PROFILE_A "\"expect\":\"reject: empty\","
                                                               "\"scheme_output\":\"\"")));
    assert_int_equal(tally.passed, 1);
    tally = run_text("suci.json", BST_VIEW(SUCI_FILE("\"profile\":\"B\",\"expect\":\"reject\","
                                                     "\"scheme_output\":\"00\"")));
    assert_int_equal(tally.failed, 1);
    assert_non_null(strstr(last.why, "hn_private"));
}

static void vectors_of_an_unknown_shape_fail(void **state)
{
    struct bst_kat_tally tally;
    tally =
        run_text("kdf.json", BST_VIEW("{\"family\":\"5G key hierarchy\",\"vectors\":[{\"id\":\"x\","
                                      "\"unknown\":\"00\"},7,{\"kausf\":\"00\"}]}"));
    assert_int_equal(tally.failed, 3);
    assert_string_equal(last.vector, "number 3");
    tally = run_text("x", BST_VIEW(SUCI_FILE("\"profile\":\"C\"")));
    assert_int_equal(tally.failed, 1);
    assert_non_null(strstr(last.why, "profile"));
    tally = run_text("x", BST_VIEW(SUCI_FILE("\"profile\":\"A\",\"supi_type\":\"gci\"")));
    assert_int_equal(tally.failed, 1);
    tally = run_text("x", BST_VIEW(SUCI_FILE("\"profile\":\"A\"")));
    assert_int_equal(tally.failed, 1);
    assert_non_null(strstr(last.why, "no answer"));
}

static void fields_of_wrong_type_or_length_are_named(void **state)
{
#define MILENAGE(k, rand)                                                                          \
    BST_VIEW("{\"family\":\"MILENAGE\",\"vectors\":[{\"id\":\"m\",\"k\":" k ",\"opc\":"            \
             "\"cd63cb71954a9f4e48a5994e37a02baf\",\"sqn\":\"ff9bb4d0b607\",\"amf\":\"b9b9\","     \
             "\"f2\":\"a54211d5e3ba50bf\",\"rand\":" rand "}]}")
#define K "\"465b5ce8b199b49faa5f0a2ee238a6bc\""
#define RAND "\"23553cbe9637a89d218ae64dae47bf35\""
    assert_int_equal(run_text("m", MILENAGE(K, RAND)).passed, 1);
    assert_int_equal(run_text("m", MILENAGE(K, "12")).failed, 1);
    assert_non_null(strstr(last.why, "rand"));
    assert_int_equal(run_text("m", MILENAGE(K, "\"2355\"")).failed, 1);
    assert_non_null(strstr(last.why, "2 octets instead of 16"));
    assert_int_equal(run_text("m", MILENAGE("\"zz5b5ce8b199b49faa5f0a2ee238a6bc\"", RAND)).failed,
                     1);
    assert_non_null(strstr(last.why, "'k' is not hexadecimal"));
    assert_int_equal(run_text("m", MILENAGE("\"465\"", RAND)).failed, 1);
    assert_int_equal(run_text("m", MILENAGE("null", RAND)).failed, 1);
}

static void malformed_files_are_told(void **state)
{
    static const struct {
        const char *text, *why;
    } files[] = {
        {"", "f.json"},
        {"{\"family\":\"MILENAGE\",\"vectors\":[", "f.json"},
        {"[]", "family"},
        {"{\"vectors\":[{}]}", "family"},
        {"{\"family\":7,\"vectors\":[{}]}", "family"},
        {"{\"family\":\"MILENAGE\"}", "vectors"},
        {"{\"family\":\"MILENAGE\",\"vectors\":{}}", "vectors"},
        {"{\"family\":\"MILENAGE\",\"vectors\":[]}", "empty"},
        {"{\"family\":\"MILENAGE\",\"count\":2,\"vectors\":[{}]}", "'count' says 2"},
        {"{\"family\":\"ROT13\",\"vectors\":[{}]}", "'ROT13' is not known"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct bst_kat_tally tally = {0};
        assert_true(bst_failed(bst_kat_run("f.json", bst_view(files[i].text), &tally)));
        if (!strstr(bst_error_detail(), files[i].why)) {
            fail_msg("'%s' for %s", bst_error_detail(), files[i].text);
        }
        assert_int_equal(tally.passed + tally.failed + tally.skipped, 0);
    }
}

static void what_this_build_lacks_is_skipped_and_counted(void **state)
{
    bst_auto(buf) text = {0};
    read_vectors("mlkem768.json", &text);
    struct bst_kat_tally tally = run_text("mlkem768.json", bst_buf_view(&text));
    assert_int_equal(tally.failed, 0);
    assert_int_equal(tally.passed, bst_kem_provider() ? 20 : 0);
    assert_int_equal(tally.skipped, bst_kem_provider() ? 0 : 20);
}

#define KEM_FILE(members) "{\"family\":\"ML-KEM-768\",\"vectors\":[{\"id\":\"one\"," members "}]}"
#define JOSE_FILE(members) "{\"family\":\"JOSE\",\"vectors\":[{\"id\":\"one\"," members "}]}"
#define JWK                                                                                        \
    "\"public_jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\","                                            \
    "\"x\":\"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY\","                                       \
    "\"y\":\"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw\"},"

static void malformed_negative_vectors_do_not_pass(void **state)
{
    static const char *const bad[] = {
        KEM_FILE("\"op\":\"keygen\",\"result\":\"invalid\""),
        KEM_FILE("\"op\":\"keygen\",\"seed_d_z\":\"zz\",\"result\":\"invalid\""),
        KEM_FILE("\"op\":\"keygen\",\"seed_d_z\":7,\"result\":\"invalid\""),
        KEM_FILE("\"op\":\"keygen\",\"seed_d_z\":\"00\",\"result\":\"maybe\""),
        KEM_FILE("\"op\":\"keygen\",\"seed_d_z\":\"00\""),
        KEM_FILE("\"op\":\"sign\",\"result\":\"invalid\""),
        JOSE_FILE("\"type\":\"JWT\",\"result\":\"invalid\""),
        JOSE_FILE("\"type\":\"JWS compact ES256\",\"result\":\"invalid\",\"jws\":\"\""),
        JOSE_FILE("\"type\":\"JWS compact ES256\",\"result\":\"invalid\"," JWK "\"jws\":7"),
        JOSE_FILE("\"type\":\"JWE\",\"result\":\"invalid\",\"jwe\":\"a\",\"cek_hex\":\"x\""),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_kat_tally tally = run_text("f.json", bst_view(bad[i]));
        if (tally.failed + tally.skipped != 1) {
            fail_msg("passed: %s", bad[i]);
        }
    }
    static const char good[] =
        KEM_FILE("\"op\":\"keygen\",\"seed_d_z\":\"00\",\"result\":\"invalid\"");
    struct bst_kat_tally tally = run_text("f.json", bst_view(good));
    assert_int_equal(tally.failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_vector_passes),
        cmocka_unit_test(a_wrong_expected_value_fails),
        cmocka_unit_test(negative_vectors_pass_only_when_refused),
        cmocka_unit_test(vectors_of_an_unknown_shape_fail),
        cmocka_unit_test(fields_of_wrong_type_or_length_are_named),
        cmocka_unit_test(malformed_files_are_told),
        cmocka_unit_test(what_this_build_lacks_is_skipped_and_counted),
        cmocka_unit_test(malformed_negative_vectors_do_not_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
