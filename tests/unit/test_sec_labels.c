/* sec/labels: derivations of TS-0003 10.3 against vectors made by another tool, and key
 * identifiers. */
#include "support/hex.h"
#include "support/se_host.h"
#include "support/test.h"

#include "sec/labels.h"

#include <stdio.h>
#include <stdlib.h>

static struct bst_view field(struct bst_view *rest)
{
    struct bst_view head;
    bst_view_cut(rest, '|', &head);
    return head;
}

static bst_key import(struct bst_se *se, struct bst_view hex)
{
    bst_auto(secret) value = {0};
    bst_key key = 0;
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_DERIVE};
    assert_ok(bst_secret_init(&value, hex.len / 2));
    assert_ok(bst_hex_decode(hex, value.ptr, value.len));
    assert_ok(bst_se_key_import(se, &attrs, &value, &key));
    return key;
}

static bst_result derive(struct bst_se *se, struct bst_view kind, bst_key ke,
                         struct bst_view inputs, bst_key *ret)
{
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_PSK};
    if (bst_view_is(kind, "km")) {
        return bst_derive_km(se, ke, inputs, &attrs, ret);
    }
    if (bst_view_is(kind, "kpsa")) {
        return bst_derive_kpsa(se, ke, inputs, &attrs, ret);
    }
    struct bst_view suid;
    int64_t number;
    bst_view_cut(&inputs, ',', &suid);
    assert_ok(bst_parse_i64(suid, &number));
    return bst_derive_usage(se, ke, (int)number, inputs, &attrs, ret);
}

static void check_line(struct bst_se *se, struct bst_view line)
{
    struct bst_view kind = field(&line), ke_hex = field(&line), inputs = field(&line);
    bst_key ke = import(se, ke_hex), key = 0;
    bst_auto(secret) value = {0};
    assert_ok(derive(se, kind, ke, inputs, &key));
    assert_ok(bst_se_release_psk(se, key, "test", &value));
    char expected[65];
    assert_ok(bst_view_copy(line, expected, sizeof expected));
    assert_hex(value.ptr, value.len, expected);
}

static struct bst_se *open_se(struct test_host *host)
{
    struct bst_se *se = NULL;
    test_host_init(host);
    assert_ok(bst_se_open(&host->host, "se:soft", &se));
    return se;
}

static void derivations_agree_with_the_vectors(void **state)
{
    AUTO_HOST host;
    struct bst_se *se = open_se(&host);
    const char *source = getenv("BST_SOURCE");
    char path[512], line[512];
    snprintf(path, sizeof path, "%s/tests/vectors/ts0003_derive.txt", source ? source : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    unsigned n = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#') {
            check_line(se, bst_view(line));
            n++;
        }
    }
    fclose(file);
    assert_true(n >= 10);
    bst_se_close(&se);
}

static void an_identifier_that_is_not_ascii_derives_nothing(void **state)
{
    AUTO_HOST host;
    struct bst_se *se = open_se(&host);
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_PSK};
    bst_key ke = import(se, BST_VIEW("000102030405060708090a0b0c0d0e0f")), key = 0;
    assert_err(bst_derive_kpsa(se, ke, BST_VIEW("//acme/S\xc3\xa9"), &attrs, &key), BST_E_VALUE);
    assert_err(bst_derive_kpsa(se, ke, BST_VIEW(""), &attrs, &key), BST_E_VALUE);
    assert_err(bst_derive_km(se, ke, BST_VIEW("a b"), &attrs, &key), BST_E_VALUE);
    assert_err(bst_derive_usage(se, ke, 21, BST_VIEW("\x01"), &attrs, &key), BST_E_VALUE);
    assert_int_equal(key, 0);
    bst_se_close(&se);
}

static void only_a_key_for_derivation_derives(void **state)
{
    AUTO_HOST host;
    struct bst_se *se = open_se(&host);
    bst_auto(secret) value = {0};
    assert_ok(bst_secret_init(&value, 32));
    struct bst_key_attrs attrs = {.type = BST_KEY_SYMMETRIC, .uses = BST_KEY_USE_PSK};
    bst_key psk = 0, key = 0;
    assert_ok(bst_se_key_import(se, &attrs, &value, &psk));
    assert_err(bst_derive_km(se, psk, BST_VIEW("maf.example.com"), &attrs, &key), BST_E_SE_USAGE);
    bst_se_close(&se);
}

static void a_key_identifier_is_upper_case_hex_and_the_domain(void **state)
{
    uint8_t id[16];
    for (unsigned i = 0; i < 16; i++) {
        id[i] = (uint8_t)(0xf0 + i);
    }
    char relative[BST_RELATIVE_ID_LEN + 1], whole[BST_KEY_ID_MAX + 1];
    bst_relative_key_id(id, relative);
    assert_string_equal(relative, "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF");
    assert_ok(bst_key_id(BST_VIEW("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), BST_VIEW("mef.example.com"),
                         whole));
    assert_string_equal(whole, "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF@mef.example.com");
    assert_true(bst_failed(bst_key_id(BST_VIEW("f0"), BST_VIEW("mef.example.com"), whole)));
    assert_true(bst_failed(bst_key_id(bst_view(relative), BST_VIEW("no domain"), whole)));
    assert_true(bst_failed(bst_key_id(bst_view(relative), BST_VIEW(""), whole)));
}

static void the_export_labels_are_those_of_the_standard(void **state)
{
    assert_string_equal(BST_EXPORTER_ENROLMENT, "EXPORTER-oneM2M-Bootstrap");
    assert_string_equal(BST_EXPORTER_CONNECTION, "EXPORTER-oneM2M-Connection");
    assert_string_equal(BST_EXPORTER_ESCERTKE, "EXPORTER-oneM2M-ESCertKE");
    assert_int_equal(BST_EXPORT_ID_LEN + BST_EXPORT_KEY_LEN, BST_EXPORT_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivations_agree_with_the_vectors),
        cmocka_unit_test(an_identifier_that_is_not_ascii_derives_nothing),
        cmocka_unit_test(only_a_key_for_derivation_derives),
        cmocka_unit_test(a_key_identifier_is_upper_case_hex_and_the_domain),
        cmocka_unit_test(the_export_labels_are_those_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
