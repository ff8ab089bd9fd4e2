/* Addresses and identifiers. */
#include "support/test.h"

#include "onem2m/address.h"

static void addresses_are_split_by_scope(void **state)
{
    static const struct {
        const char *to;
        enum bst_m2m_scope scope;
        const char *sp, *cse, *rest;
        size_t n;
        enum bst_m2m_virtual virt;
        const char *attribute;
    } rows[] = {
        {"r17", BST_ADDR_CSE_RELATIVE, "", "", "r17", 1, BST_VIRT_NONE, ""},
        {"cse-in/ae1/cnt1", BST_ADDR_CSE_RELATIVE, "", "", "cse-in/ae1/cnt1", 3, BST_VIRT_NONE, ""},
        {"-/ae1", BST_ADDR_CSE_RELATIVE, "", "", "-/ae1", 2, BST_VIRT_NONE, ""},
        {"r17/la", BST_ADDR_CSE_RELATIVE, "", "", "r17/la", 2, BST_VIRT_LATEST, ""},
        {"la", BST_ADDR_CSE_RELATIVE, "", "", "la", 1, BST_VIRT_NONE, ""},
        {"r17/ol#con", BST_ADDR_CSE_RELATIVE, "", "", "r17/ol", 2, BST_VIRT_OLDEST, "con"},
        {"cse-in/", BST_ADDR_CSE_RELATIVE, "", "", "cse-in", 1, BST_VIRT_NONE, ""},
        {"/id-in", BST_ADDR_SP_RELATIVE, "", "id-in", "", 0, BST_VIRT_NONE, ""},
        {"/id-in/", BST_ADDR_SP_RELATIVE, "", "id-in", "", 0, BST_VIRT_NONE, ""},
        {"/id-in/cse-in/g/fopt", BST_ADDR_SP_RELATIVE, "", "id-in", "cse-in/g/fopt", 3,
         BST_VIRT_FANOUT, ""},
        {"/id-in/p/pcu", BST_ADDR_SP_RELATIVE, "", "id-in", "p/pcu", 2, BST_VIRT_POLLING_URI, ""},
        {"//sp.example.com/id-in/x", BST_ADDR_ABSOLUTE, "sp.example.com", "id-in", "x", 1,
         BST_VIRT_NONE, ""},
        {"//sp.example.com/id-in", BST_ADDR_ABSOLUTE, "sp.example.com", "id-in", "", 0,
         BST_VIRT_NONE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_address a;
        assert_ok(bst_m2m_address_parse(bst_view(rows[i].to), &a));
        assert_int_equal(a.scope, rows[i].scope);
        assert_true(bst_view_is(a.sp, rows[i].sp));
        assert_true(bst_view_is(a.cse, rows[i].cse));
        assert_true(bst_view_is(a.rest, rows[i].rest));
        assert_int_equal(a.n_seg, rows[i].n);
        assert_int_equal(a.virt, rows[i].virt);
        assert_true(bst_view_is(a.attribute, rows[i].attribute));
        assert_int_equal(bst_m2m_address_depth(&a), rows[i].n - (rows[i].virt != BST_VIRT_NONE));
    }
}

static void path_tricks_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "//",
        "///",
        "//sp.com",
        "//sp.com/",
        "//sp..com/x/y",
        "//-sp.com/x/y",
        "//sp com/x/y",
        "a//b",
        "a/../b",
        "..",
        ".",
        "a/.",
        "/..",
        "/../x",
        "/id-in//x",
        "/id-in/../x",
        "a/%2e%2e/b",
        "a%2fb",
        "a\\b",
        "a b",
        " a",
        "a\tb",
        "a\x01",
        "a\x7f",
        "a?b",
        "a#",
        "a#1x",
        "a#b#c",
        "#a",
        "a<b",
        "a\"b",
        "a{b}",
        "a//",
        "a/b//",
        "a\xff",
        "/\xc0\xaf/x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_m2m_address a;
        bst_result r = bst_m2m_address_parse(bst_view(bad[i]), &a);
        if (r.code != BST_E_SYNTAX) {
            fail_msg("\"%s\": %s", bad[i], bst_error_name(r.code));
        }
    }
    struct bst_m2m_address a;
    assert_err(bst_m2m_address_parse(bst_view_of("a\0b", 3), &a), BST_E_SYNTAX);
}

static void addresses_have_limits(void **state)
{
    static char text[4096];
    struct bst_m2m_address a;
    memset(text, 'a', sizeof text);
    assert_ok(bst_m2m_address_parse(bst_view_of(text, BST_NAME_MAX), &a));
    assert_err(bst_m2m_address_parse(bst_view_of(text, BST_NAME_MAX + 1), &a), BST_E_TOO_LONG);
    assert_err(bst_m2m_address_parse(bst_view_of(text, sizeof text), &a), BST_E_TOO_LONG);
    for (size_t i = 1; i < sizeof text; i += 2) {
        text[i] = '/';
    }
    assert_ok(bst_m2m_address_parse(bst_view_of(text, 2 * BST_ADDR_SEGMENTS - 1), &a));
    assert_err(bst_m2m_address_parse(bst_view_of(text, 2 * BST_ADDR_SEGMENTS + 1), &a),
               BST_E_TOO_DEEP);
}

static void local_means_this_cse_of_this_provider(void **state)
{
    static const struct {
        const char *to;
        bool local;
    } rows[] = {
        {"x", true},
        {"/id-in/x", true},
        {"//acme.example.com/id-in/x", true},
        {"//ACME.Example.com/id-in/x", true},
        {"/id-out/x", false},
        {"/id-i/x", false},
        {"/id-inn", false},
        {"//other.example.com/id-in/x", false},
        {"//acme.example.com/id-out", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_address a;
        assert_ok(bst_m2m_address_parse(bst_view(rows[i].to), &a));
        assert_int_equal(
            bst_m2m_address_is_local(&a, BST_VIEW("acme.example.com"), BST_VIEW("/id-in")),
            rows[i].local);
    }
}

static void identifiers_have_their_syntax(void **state)
{
    static const struct {
        bool (*is)(struct bst_view);
        const char *good[6], *bad[9];
    } rows[] = {
        {bst_m2m_is_resource_name,
         {"a", "123Sensor", "a-b.c_d"},
         {"", "-", ".", "..", "_a", "a b", "a/b", "a%", "\xc3\xa4"}},
        {bst_m2m_is_ae_stem,
         {"C1", "Sabc", "C190XX7T"},
         {"C", "S", "c1", "X1", "C/1", "/C1", "C 1", ""}},
        {bst_m2m_is_csi,
         {"/id-in", "/CSE1"},
         {"id-in", "/", "//x", "/a/b", "/a b", "/~", "/_", "/..", ""}},
        {bst_m2m_is_sp_id,
         {"//sp.example.com", "//localhost"},
         {"/sp", "//", "//a b", "sp.com", "//a..b", "//.a", ""}},
        {bst_m2m_is_app_id, {"N.x", "Rabc", "r.com.example"}, {"N", "x", "abc", "N x", ""}},
        {bst_m2m_is_request_id, {"1", "CSE1/98821", "a:b"}, {"", "a b", "a\n", "\x7f"}},
        {bst_m2m_is_role_id,
         {"1234abcd@role-issuer.com"},
         {"@x.com", "a@", "a", "a@X.com", "a b@x.com", "a@b@c"}},
        {bst_m2m_is_token_id, {"t-1@das.example.com"}, {"t1", "t1@", ""}},
        {bst_m2m_is_credential_id,
         {"10-abc@mef.example.com", "22-x"},
         {"10-", "1-x", "ab-x", "10x", "10-a b", ""}},
        {bst_m2m_is_fqdn, {"a", "a.b", "a-1.b"}, {"", ".", "a.", ".a", "a..b", "-a", "a b", "a/b"}},
        {bst_m2m_is_ncname, {"a", "_a", "a1.b-c"}, {"", "1a", "a:b", "-a", "a b", ".a"}},
        {bst_m2m_is_id,
         {"C1", "/id-in/C1", "//sp.com/id-in", "//sp.com"},
         {"", "a b", "a#b", "a/../b", "/"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t k = 0; k < 6 && rows[i].good[k]; k++) {
            if (!rows[i].is(bst_view(rows[i].good[k]))) {
                fail_msg("row %zu refuses \"%s\"", i, rows[i].good[k]);
            }
        }
        for (size_t k = 0; k < 9 && rows[i].bad[k]; k++) {
            if (rows[i].is(bst_view(rows[i].bad[k]))) {
                fail_msg("row %zu takes \"%s\"", i, rows[i].bad[k]);
            }
        }
    }
}

static void originators_are_taken_apart(void **state)
{
    static const struct {
        const char *fr;
        enum bst_m2m_id_kind kind;
        const char *stem, *cse, *sp;
    } rows[] = {
        {"C1", BST_ID_AE, "C1", "", ""},
        {"/id-in/C1", BST_ID_AE, "C1", "id-in", ""},
        {"/Sabc", BST_ID_AE, "Sabc", "", ""},
        {"//sp.com/id-in/C1", BST_ID_AE, "C1", "id-in", "sp.com"},
        {"/id-in", BST_ID_CSE, "", "id-in", ""},
        {"//sp.com/id-in", BST_ID_CSE, "", "id-in", "sp.com"},
        {"x", BST_ID_OTHER, "x", "", ""},
        {"C", BST_ID_OTHER, "C", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bst_m2m_originator o;
        assert_ok(bst_m2m_originator_parse(bst_view(rows[i].fr), &o));
        assert_int_equal(o.kind, rows[i].kind);
        assert_true(bst_view_is(o.stem, rows[i].stem));
        assert_true(bst_view_is(o.cse, rows[i].cse));
        assert_true(bst_view_is(o.sp, rows[i].sp));
    }
    static const char *const bad[] = {"", "a/b", "/id-in/a/b", "C1#x", "C 1", "//sp.com"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_m2m_originator o;
        assert_err(bst_m2m_originator_parse(bst_view(bad[i]), &o), BST_E_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_split_by_scope),
        cmocka_unit_test(path_tricks_are_refused),
        cmocka_unit_test(addresses_have_limits),
        cmocka_unit_test(local_means_this_cse_of_this_provider),
        cmocka_unit_test(identifiers_have_their_syntax),
        cmocka_unit_test(originators_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
