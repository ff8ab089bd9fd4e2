/* sec/ids: one normal form for every way of writing an entity, and Credential-IDs. */
#include "support/test.h"

#include "sec/ids.h"

static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};

static void every_form_of_an_id_has_the_same_normal_form(void **state)
{
    static const struct {
        const char *text, *abs;
        enum bst_entity_kind kind;
    } cases[] = {
        {"S123", "//acme.example.com/S123", BST_ENTITY_AE_S},
        {"/S123", "//acme.example.com/S123", BST_ENTITY_AE_S},
        {"//acme.example.com/S123", "//acme.example.com/S123", BST_ENTITY_AE_S},
        {"//ACME.Example.com/S123", "//acme.example.com/S123", BST_ENTITY_AE_S},
        {"/id-in/S123", "//acme.example.com/S123", BST_ENTITY_AE_S},
        {"C1", "//acme.example.com/id-in/C1", BST_ENTITY_AE_C},
        {"/id-in/C1", "//acme.example.com/id-in/C1", BST_ENTITY_AE_C},
        {"//acme.example.com/id-in/C1", "//acme.example.com/id-in/C1", BST_ENTITY_AE_C},
        {"/id-mn/C1", "//acme.example.com/id-mn/C1", BST_ENTITY_AE_C},
        {"/id-in", "//acme.example.com/id-in", BST_ENTITY_CSE},
        {"/id-mn", "//acme.example.com/id-mn", BST_ENTITY_CSE},
        {"//other.example/cse", "//other.example/cse", BST_ENTITY_CSE},
        {"/id-mn/S1", "//acme.example.com/id-mn/S1", BST_ENTITY_UNKNOWN},
        {"admin", "//acme.example.com/id-in/admin", BST_ENTITY_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bst_entity_id id;
        assert_ok(bst_entity_parse(&self, bst_view(cases[i].text), &id));
        assert_string_equal(id.abs, cases[i].abs);
        assert_int_equal(id.len, strlen(id.abs));
        assert_int_equal(id.kind, cases[i].kind);
    }
}

static void an_s_stem_behind_another_cse_is_not_ours(void **state)
{
    struct bst_entity_id ours, theirs;
    assert_ok(bst_entity_parse(&self, bst_view("S1"), &ours));
    assert_ok(bst_entity_parse(&self, bst_view("/id-mn/S1"), &theirs));
    assert_string_not_equal(ours.abs, theirs.abs);
    assert_ok(bst_entity_parse(&self, bst_view("//other.example/id-in/S1"), &theirs));
    assert_string_equal(theirs.abs, "//other.example/id-in/S1");
}

static void the_parts_of_an_id_can_be_taken(void **state)
{
    struct bst_entity_id id;
    assert_ok(bst_entity_parse(&self, bst_view("/id-mn/C1"), &id));
    assert_true(bst_view_is(bst_entity_sp(&id), "acme.example.com"));
    assert_true(bst_view_is(bst_entity_sp_relative(&id), "/id-mn/C1"));
    assert_true(bst_view_is(bst_entity_last(&id), "C1"));
    assert_true(bst_view_is(bst_entity_cse(&id), "//acme.example.com/id-mn"));
    assert_ok(bst_entity_self(&self, &id));
    assert_true(bst_view_is(bst_entity_cse(&id), "//acme.example.com/id-in"));
    assert_ok(bst_entity_parse(&self, bst_view("S1"), &id));
    assert_int_equal(bst_entity_cse(&id).len, 0);
}

static void malformed_ids_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "//",
        "///",
        "//acme.example.com",
        "//acme.example.com/",
        "S 1",
        "S1/",
        "/id-in/",
        "/id-in//C1",
        "/id-in/a/b",
        "id-in/C1",
        "//-bad-/S1",
        "//acme_x/S1",
        "S1\n",
        "S%31",
        "..",
        "/../S1",
        "/./C1",
        "-",
        "/id-in/-",
        "S*",
        "//*/S1",
        "S1?x",
        "S1#x",
    };
    struct bst_entity_id id;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!bst_failed(bst_entity_parse(&self, bst_view(bad[i]), &id))) {
            fail_msg("accepted '%s' as %s", bad[i], id.abs);
        }
    }
    assert_err(bst_entity_parse(&self, bst_view_of("S\0", 2), &id), BST_E_SYNTAX);
}

static void an_id_of_any_length_is_handled(void **state)
{
    char text[600];
    memset(text, 'a', sizeof text);
    text[0] = 'S';
    struct bst_entity_id id;
    for (size_t len = 1; len < sizeof text; len++) {
        bst_result r = bst_entity_parse(&self, bst_view_of(text, len), &id);
        if (len + 19 <= BST_ENTITY_ID_MAX) {
            assert_ok(r);
        } else {
            assert_err(r, BST_E_TOO_LONG);
        }
    }
}

static void a_star_ends_at_a_slash(void **state)
{
    static const struct {
        const char *pattern, *id;
        bool match;
    } cases[] = {
        {"S*", "S123", true},
        {"S*", "C123", false},
        {"C*", "C1", true},
        {"C*", "/id-mn/C1", false},
        {"*", "C1", true},
        {"*", "S1", true},
        {"*", "/id-mn", false},
        {"/id-mn/C98*", "/id-mn/C9886", true},
        {"/id-*/C98*", "/id-mn/C9886", true},
        {"/id-*", "/id-mn/C9886", false},
        {"/id-*", "/id-mn", true},
        {"//*/id-mn", "/id-mn", true},
        {"//*/id-mn", "//other.example/id-mn", true},
        {"//*/S1", "/id-mn/C1", false},
        {"//*/*/C1", "/id-mn/C1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bst_entity_id patterns[2], id;
        size_t n;
        assert_ok(bst_entity_pattern(&self, bst_view(cases[i].pattern), patterns, &n));
        assert_ok(bst_entity_parse(&self, bst_view(cases[i].id), &id));
        bool match = bst_entity_matches(&patterns[0], &id) ||
                     (n == 2 && bst_entity_matches(&patterns[1], &id));
        if (match != cases[i].match) {
            fail_msg("%s against %s: %d", cases[i].pattern, cases[i].id, match);
        }
    }
}

static void credential_ids_of_plain_values_stay_plain(void **state)
{
    char out[BST_CRED_ID_MAX + 1];
    assert_ok(bst_cred_id_format(BST_CRED_KPM, bst_view("thiskey@mymef.com"), out));
    assert_string_equal(out, "10-thiskey@mymef.com");
    assert_ok(bst_cred_id_format(BST_CRED_KPSA, bst_view("a_key-1@x.example"), out));
    assert_string_equal(out, "12-a_key-1@x.example");
    assert_ok(bst_cred_id_format(BST_CRED_NODE_CERT, bst_view("urn:dev:1"), out));
    assert_string_equal(out, "34-urn_3adev_3a1");
}

static void two_values_never_share_a_credential_id(void **state)
{
    static const char *const values[] = {"a/b", "a_2fb", "a_5f2fb", "a__2fb",  "a_/b",
                                         "a_2", "a_",    "a_2/",    "_",       "__",
                                         "_2f", "_5f2f", "A_2Fb",   "\x01\xff"};
    size_t n = sizeof values / sizeof values[0];
    char out[sizeof values / sizeof values[0]][BST_CRED_ID_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        assert_ok(bst_cred_id_format(BST_CRED_DEVICE_CERT, bst_view(values[i]), out[i]));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(out[i], out[k]);
        }
        enum bst_cred_type type;
        bst_auto(buf) back = {0};
        assert_ok(bst_cred_id_parse(bst_view(out[i]), &type, &back));
        assert_int_equal(type, BST_CRED_DEVICE_CERT);
        assert_true(bst_view_is(bst_buf_view(&back), values[i]));
    }
}

static void malformed_credential_ids_are_refused(void **state)
{
    static const char *const bad[] = {"",      "12",   "12-",    "-x",     "1-x",
                                      "123-x", "ab-x", "12-a/b", "12-a b", "+1-x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        enum bst_cred_type type;
        bst_auto(buf) back = {0};
        if (!bst_failed(bst_cred_id_parse(bst_view(bad[i]), &type, &back))) {
            fail_msg("accepted '%s'", bad[i]);
        }
    }
    char out[BST_CRED_ID_MAX + 1], value[400];
    memset(value, 'x', sizeof value);
    assert_err(bst_cred_id_format(BST_CRED_KPSA, bst_view_of(value, sizeof value), out),
               BST_E_TOO_LONG);
    assert_err(bst_cred_id_format(BST_CRED_KPSA, bst_view(""), out), BST_E_SYNTAX);
}

static void a_relative_identifier_has_a_name_and_a_domain(void **state)
{
    struct bst_view relative, fqdn;
    assert_ok(bst_relative_id_split(bst_view("k.1_x-2@mef.example.com"), &relative, &fqdn));
    assert_true(bst_view_is(relative, "k.1_x-2"));
    assert_true(bst_view_is(fqdn, "mef.example.com"));
    static const char *const bad[] = {"", "@", "a@", "@b", "a", "a/b@c", "a@b@c", "a@b c", "a~@b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_relative_id_split(bst_view(bad[i]), &relative, &fqdn), BST_E_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_id_has_the_same_normal_form),
        cmocka_unit_test(an_s_stem_behind_another_cse_is_not_ours),
        cmocka_unit_test(the_parts_of_an_id_can_be_taken),
        cmocka_unit_test(malformed_ids_are_refused),
        cmocka_unit_test(an_id_of_any_length_is_handled),
        cmocka_unit_test(a_star_ends_at_a_slash),
        cmocka_unit_test(credential_ids_of_plain_values_stay_plain),
        cmocka_unit_test(two_values_never_share_a_credential_id),
        cmocka_unit_test(malformed_credential_ids_are_refused),
        cmocka_unit_test(a_relative_identifier_has_a_name_and_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
