/* sec/registration: an AE against the service subscription, and the stem it gets. */
#include "support/test.h"

#include "sec/registration.h"

#define LIST(...)                                                                                  \
    {                                                                                              \
        (const struct bst_view[]){__VA_ARGS__},                                                    \
            sizeof((const struct bst_view[]){__VA_ARGS__}) / sizeof(struct bst_view)               \
    }

static struct bst_association *bound(const char *cred_id, const char *ae_id)
{
    struct bst_association *assoc = bst_alloc(sizeof *assoc);
    assoc->kind = BST_ASSOC_PSK;
    assoc->proved = true;
    assert_ok(bst_view_copy(bst_view(cred_id), assoc->cred_id, sizeof assoc->cred_id));
    if (ae_id) {
        assert_ok(bst_association_bind_ae(assoc, bst_view(ae_id)));
    }
    return assoc;
}
#define ASSOC __attribute__((cleanup(bst_association_free))) struct bst_association

static bst_result check(const struct bst_service_subscription *sub,
                        const struct bst_association *assoc, const char *app, const char *from)
{
    struct bst_ae_registration reg = {bst_view(from), bst_view(app), assoc};
    struct bst_registration_grant grant;
    return bst_registration_check(&reg, sub, &grant);
}

static void app_ids_start_with_r_or_n(void **state)
{
    assert_ok(bst_app_id_check(bst_view("Nexample")));
    assert_ok(bst_app_id_check(bst_view("Ra01.com.company.smartcity")));
    assert_ok(bst_app_id_check(bst_view("ra01.com.company")));
    static const char *const bad[] = {"", "N", "n1", "X1", "1N", "N a", "N/", "N\n", "N*"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_app_id_check(bst_view(bad[i])), BST_E_SYNTAX);
    }
}

static void without_a_node_nobody_registers(void **state)
{
    ASSOC *assoc = bound("12-k@m.example", NULL);
    struct bst_service_subscription none = {0};
    assert_err(check(&none, assoc, "N1", "S1"), BST_E_NO_SUBSCRIPTION);
    struct bst_service_subscription no_rules = {.has_node = true};
    assert_err(check(&no_rules, assoc, "N1", "S1"), BST_E_APP_RULE);
}

static void credential_application_and_stem_must_match_together(void **state)
{
    ASSOC *assoc = bound("12-k@m.example", NULL);
    ASSOC *other = bound("12-x@m.example", NULL);
    const struct bst_app_rule rules[] = {
        {.cred_ids = LIST({"12-k@*", 6}),
         .app_ids = LIST({"Nmeter*", 7}),
         .ae_ids = LIST({"S1*", 3}, {"C7", 2})},
        {.cred_ids = LIST({"12-x@*", 6}), .app_ids = LIST({"*", 1}), .ae_ids = LIST({"*", 1})},
    };
    struct bst_service_subscription sub = {true, rules, 2};
    assert_ok(check(&sub, assoc, "Nmeter1", "S123"));
    assert_ok(check(&sub, assoc, "Nmeter1", "C7"));
    assert_ok(check(&sub, other, "Nother", "S9"));
    assert_err(check(&sub, assoc, "Nother", "S123"), BST_E_APP_RULE);
    assert_err(check(&sub, assoc, "Nmeter1", "S2"), BST_E_APP_RULE);
    assert_err(check(&sub, assoc, "Nmeter1", "C77"), BST_E_APP_RULE);
    assert_err(check(&sub, NULL, "Nmeter1", "S123"), BST_E_APP_RULE);
}

static void a_rule_without_credentials_is_for_registrations_without_an_association(void **state)
{
    ASSOC *assoc = bound("12-k@m.example", NULL);
    const struct bst_app_rule rules[] = {{.app_ids = LIST({"*", 1}), .ae_ids = LIST({"*", 1})}};
    struct bst_service_subscription sub = {true, rules, 1};
    assert_ok(check(&sub, NULL, "N1", "S1"));
    assert_err(check(&sub, assoc, "N1", "S1"), BST_E_APP_RULE);
}

static void a_rule_without_applications_or_stems_allows_none(void **state)
{
    const struct bst_app_rule rules[] = {{.ae_ids = LIST({"*", 1})}, {.app_ids = LIST({"*", 1})}};
    struct bst_service_subscription sub = {true, rules, 2};
    assert_err(check(&sub, NULL, "N1", "S1"), BST_E_APP_RULE);
    assert_err(check(&sub, NULL, "N1", ""), BST_E_APP_RULE);
}

static void a_certificate_with_application_and_stem_speaks_for_itself(void **state)
{
    ASSOC *assoc = bound("33-x", "//acme.example.com/S7");
    assoc->kind = BST_ASSOC_CERT;
    assoc->app_id = bst_strdup("Nmeter");
    struct bst_service_subscription none = {0};
    assert_ok(check(&none, assoc, "Nmeter", "S7"));
    assert_ok(check(&none, assoc, "Nmeter", ""));
    assert_err(check(&none, assoc, "Nother", "S7"), BST_E_NO_SUBSCRIPTION);
    assert_err(check(&none, assoc, "Nmeter", "S8"), BST_E_NO_SUBSCRIPTION);
}

static bool taken(void *ctx, struct bst_view stem)
{
    return bst_view_is(stem, "S1") || bst_view_is(stem, "C1");
}
static bst_result counting(void *ctx, void *out, size_t len)
{
    static uint8_t next;
    memset(out, next++, len);
    return BST_OK;
}
static const struct bst_stem_policy policy = {.exists = taken, .random = counting};

static bst_result stem(const struct bst_association *assoc, const char *from,
                       const struct bst_registration_grant *grant,
                       const struct bst_stem_policy *how, char ret[BST_STEM_MAX + 1])
{
    struct bst_ae_registration reg = {bst_view(from), bst_view("N1"), assoc};
    return bst_registration_stem(&reg, grant, how, ret);
}

static void a_whole_stem_is_kept_unless_it_is_taken(void **state)
{
    char out[BST_STEM_MAX + 1];
    assert_ok(stem(NULL, "S5", NULL, &policy, out));
    assert_string_equal(out, "S5");
    assert_err(stem(NULL, "S1", NULL, &policy, out), BST_E_ALREADY_REGISTERED);
    assert_err(stem(NULL, "x5", NULL, &policy, out), BST_E_SYNTAX);
    assert_err(stem(NULL, "S 5", NULL, &policy, out), BST_E_SYNTAX);
    struct bst_stem_policy open = policy;
    open.any_letter = true;
    assert_ok(stem(NULL, "x5", NULL, &open, out));
    char text[100];
    memset(text, 'S', sizeof text);
    text[99] = '\0';
    assert_err(stem(NULL, text, NULL, &policy, out), BST_E_TOO_LONG);
}

static void a_wanted_kind_gets_a_fresh_stem(void **state)
{
    char one[BST_STEM_MAX + 1], two[BST_STEM_MAX + 1];
    assert_ok(stem(NULL, "S", NULL, &policy, one));
    assert_ok(stem(NULL, "S", NULL, &policy, two));
    assert_int_equal(one[0], 'S');
    assert_string_not_equal(one, two);
    assert_ok(stem(NULL, "C", NULL, &policy, one));
    assert_int_equal(one[0], 'C');
    assert_ok(stem(NULL, "", NULL, &policy, one));
    assert_int_equal(one[0], 'C');
    struct bst_stem_policy prefers_s = policy;
    prefers_s.prefer_s = true;
    assert_ok(stem(NULL, "", NULL, &prefers_s, one));
    assert_int_equal(one[0], 'S');
}

static void a_fresh_stem_has_the_shape_that_the_rule_allows(void **state)
{
    const struct bst_app_rule rules[] = {{.app_ids = LIST({"*", 1}), .ae_ids = LIST({"S12*x", 5})}};
    struct bst_service_subscription sub = {true, rules, 1};
    struct bst_ae_registration reg = {bst_view(""), bst_view("N1"), NULL};
    struct bst_registration_grant grant;
    char out[BST_STEM_MAX + 1];
    assert_ok(bst_registration_check(&reg, &sub, &grant));
    assert_ok(bst_registration_stem(&reg, &grant, &policy, out));
    assert_true(bst_wildcard_match(BST_VIEW("S12*x"), bst_view(out), '\0'));
    assert_true(strlen(out) > 8);
    reg.from = bst_view("C");
    assert_err(bst_registration_check(&reg, &sub, &grant), BST_E_APP_RULE);
}

static void a_bound_credential_gets_its_own_stem_back(void **state)
{
    ASSOC *assoc = bound("12-k@m.example", "//acme.example.com/S77");
    char out[BST_STEM_MAX + 1];
    assert_ok(stem(assoc, "", NULL, &policy, out));
    assert_string_equal(out, "S77");
    ASSOC *active = bound("12-k@m.example", "//acme.example.com/S1");
    assert_err(stem(active, "", NULL, &policy, out), BST_E_ALREADY_REGISTERED);
    const struct bst_app_rule rules[] = {
        {.cred_ids = LIST({"*", 1}), .app_ids = LIST({"*", 1}), .ae_ids = LIST({"C*", 2})}};
    struct bst_service_subscription sub = {true, rules, 1};
    assert_err(check(&sub, assoc, "N1", ""), BST_E_APP_RULE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(app_ids_start_with_r_or_n),
        cmocka_unit_test(without_a_node_nobody_registers),
        cmocka_unit_test(credential_application_and_stem_must_match_together),
        cmocka_unit_test(a_rule_without_credentials_is_for_registrations_without_an_association),
        cmocka_unit_test(a_rule_without_applications_or_stems_allows_none),
        cmocka_unit_test(a_certificate_with_application_and_stem_speaks_for_itself),
        cmocka_unit_test(a_whole_stem_is_kept_unless_it_is_taken),
        cmocka_unit_test(a_wanted_kind_gets_a_fresh_stem),
        cmocka_unit_test(a_fresh_stem_has_the_shape_that_the_rule_allows),
        cmocka_unit_test(a_bound_credential_gets_its_own_stem_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
