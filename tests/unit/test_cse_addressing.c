/* Every form of an address leads to the same resource (TS-0001 7.2, 9.3.1), and nothing else does.
 */
#include "support/cse_fixture.h"

static void the_cse_base_answers_to_all_forms(void **state)
{
    struct cse_fixture *f = *state;
    static const char *const forms[] = {"cse-in",
                                        "-",
                                        "id-in",
                                        "/id-in",
                                        "/id-in/cse-in",
                                        "/id-in/-",
                                        "/id-in/id-in",
                                        "//acme.example.com/id-in",
                                        "//acme.example.com/id-in/cse-in",
                                        "//ACME.example.com/id-in/-"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        assert_rsc(2000, cse_retrieve(f, "CAdmin", forms[i]));
        assert_string_equal(cse_text(f, "m2m:cb/ri"), "id-in");
        assert_string_equal(cse_text(f, "m2m:cb/csi"), "/id-in");
        assert_string_equal(cse_text(f, "m2m:cb/rn"), "cse-in");
        assert_string_equal(cse_text(f, "m2m:cb/pi"), "");
        assert_int_equal(cse_int(f, "m2m:cb/ty"), 5);
    }
}

static void a_resource_answers_structured_and_unstructured(void **state)
{
    struct cse_fixture *f = *state;
    char ri[64], to[256];
    cse_register(f, "Ca", "a");
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a", "cnt", "'rn':'c'"));
    snprintf(ri, sizeof ri, "%s", cse_text(f, "m2m:cnt/ri"));
    assert_int_equal(strlen(ri), 13);
    assert_string_equal(cse_text(f, "m2m:cnt/pi"), "Ca");
    static const char *const forms[] = {"cse-in/a/c", "-/a/c", "/id-in/cse-in/a/c", "/id-in/-/a/c",
                                        "//acme.example.com/id-in/cse-in/a/c"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        assert_rsc(2000, cse_retrieve(f, "Ca", forms[i]));
        assert_string_equal(cse_text(f, "m2m:cnt/ri"), ri);
    }
    static const char *const prefixes[] = {"", "/id-in/", "//acme.example.com/id-in/"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(to, sizeof to, "%s%s", prefixes[i], ri);
        assert_rsc(2000, cse_retrieve(f, "Ca", to));
        assert_string_equal(cse_text(f, "m2m:cnt/rn"), "c");
    }
    assert_rsc(2000, cse_retrieve(f, "Ca", "Ca"));
    assert_string_equal(cse_text(f, "m2m:ae/aei"), "Ca");
}

static void latest_and_oldest_follow_any_form(void **state)
{
    struct cse_fixture *f = *state;
    char ri[64], to[128];
    cse_register(f, "Cv", "v");
    assert_rsc(2001, cse_create(f, "Cv", "cse-in/v", "cnt", "'rn':'c'"));
    snprintf(ri, sizeof ri, "%s", cse_text(f, "m2m:cnt/ri"));
    assert_rsc(4004, cse_retrieve(f, "Cv", "cse-in/v/c/la"));
    assert_rsc(4004, cse_retrieve(f, "Cv", "cse-in/v/c/ol"));
    assert_rsc(2001, cse_create(f, "Cv", "cse-in/v/c", "cin", "'con':'one'"));
    assert_rsc(2001, cse_create(f, "Cv", "cse-in/v/c", "cin", "'con':'two'"));
    assert_rsc(2000, cse_retrieve(f, "Cv", "cse-in/v/c/la"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "two");
    assert_string_equal(cse_text(f, "m2m:cin/pi"), ri);
    snprintf(to, sizeof to, "/id-in/%s/ol", ri);
    assert_rsc(2000, cse_retrieve(f, "Cv", to));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "one");
    assert_rsc(4005, cse_create(f, "Cv", "cse-in/v/c/la", "cin", "'con':'x'"));
    assert_rsc(4005, cse_update(f, "Cv", "cse-in/v/c/ol", "cin", "'lbl':['x']"));
    assert_rsc(4004, cse_retrieve(f, "Cv", "cse-in/v/c/la/x"));
}

static void la_is_a_plain_name_where_there_is_no_latest(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cp", "p");
    assert_rsc(4004, cse_retrieve(f, "Cp", "cse-in/p/la"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p", "cnt", "'rn':'la'"));
    assert_rsc(2000, cse_retrieve(f, "Cp", "cse-in/p/la"));
    assert_rsc(4105, cse_create(f, "Cp", "cse-in/p/la", "cnt", "'rn':'la'"));
    assert_rsc(4105, cse_create(f, "Cp", "cse-in/p/la", "cin", "'rn':'ol','con':'x'"));
}

static void a_generated_name_is_an_address_too(void **state)
{
    struct cse_fixture *f = *state;
    char rn[64], to[128];
    cse_register(f, "Cg", "g");
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "cnt", "'lbl':['x']"));
    snprintf(rn, sizeof rn, "%s", cse_text(f, "m2m:cnt/rn"));
    assert_string_equal(rn, cse_text(f, "m2m:cnt/ri"));
    snprintf(to, sizeof to, "cse-in/g/%s", rn);
    assert_rsc(2000, cse_retrieve(f, "Cg", to));
    assert_rsc(4105, cse_create(f, "Cg", "cse-in/g", "cnt", "'rn':'%s'", rn));
    snprintf(to, sizeof to, "cse-in/%s", rn);
    assert_rsc(4004, cse_retrieve(f, "Cg", to));
}

static void what_is_not_here_is_not_found(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cn", "n");
    static const char *const wrong[] = {"cse-in/none",
                                        "cse-in/n/none",
                                        "none",
                                        "aaaaaaaaaaaaa",
                                        "/id-in/none",
                                        "/id-other/x",
                                        "//other.example.com/id-in/cse-in",
                                        "Cnone",
                                        "Cn/x",
                                        "id-in/n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rsc(4004, cse_retrieve(f, "CAdmin", wrong[i]));
    }
    assert_rsc(4000, cse_send(f, "Cfar",
                              "'op':1,'to':'/id-other','ty':2,'pc':{'m2m:ae':{'api':'N.x',"
                              "'rr':true,'srv':['3']}}"));
}

static void path_tricks_are_bad_requests(void **state)
{
    struct cse_fixture *f = *state;
    static const char *const tricks[] = {"cse-in/../cse-in", "cse-in//a", "cse-in/.",
                                         "cse-in/a%%2Fb", "cse-in/a b"};
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        assert_rsc(4000, cse_retrieve(f, "CAdmin", tricks[i]));
    }
}

static void one_attribute_is_named_in_the_address(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Co", "o");
    assert_rsc(2000, cse_retrieve(f, "Co", "cse-in/o#rr"));
    assert_int_equal(cse_count(f, "m2m:ae"), 1);
    assert_false(yyjson_get_bool(cse_at(f, "m2m:ae/rr")));
    assert_rsc(4004, cse_retrieve(f, "Co", "cse-in/o#lbl"));
    assert_rsc(4000, cse_retrieve(f, "Co", "cse-in/o#nonsense"));
    assert_rsc(4000, cse_update(f, "Co", "cse-in/o#rr", "ae", "'rr':true"));
    assert_rsc(2000, cse_query(f, "Co", "cse-in/o", "'pc':{'m2m:atrl':['rr','aei']}"));
    assert_int_equal(cse_count(f, "m2m:ae"), 2);
    assert_rsc(4000, cse_query(f, "Co", "cse-in/o", "'pc':{'m2m:atrl':['zzz']}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cse_base_answers_to_all_forms),
        cmocka_unit_test(a_resource_answers_structured_and_unstructured),
        cmocka_unit_test(latest_and_oldest_follow_any_form),
        cmocka_unit_test(la_is_a_plain_name_where_there_is_no_latest),
        cmocka_unit_test(a_generated_name_is_an_address_too),
        cmocka_unit_test(what_is_not_here_is_not_found),
        cmocka_unit_test(path_tricks_are_bad_requests),
        cmocka_unit_test(one_attribute_is_named_in_the_address),
    };
    return cmocka_run_group_tests_name("cse addressing", tests, cse_setup, cse_teardown);
}
