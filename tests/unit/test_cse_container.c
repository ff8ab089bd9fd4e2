/* Containers and their instances: limits, counters, what never changes (TS-0004 7.4.6, 7.4.7). */
#include "support/cse_fixture.h"

#include "sys/clock.h"

static void make(struct cse_fixture *f, const char *stem, const char *members)
{
    cse_register(f, stem, stem + 1);
    char to[64];
    snprintf(to, sizeof to, "cse-in/%s", stem + 1);
    assert_rsc(2001,
               cse_create(f, stem, to, "cnt", "'rn':'c'%s%s", members[0] ? "," : "", members));
}

static void counters(struct cse_fixture *f, const char *to, int64_t cni, int64_t cbs)
{
    assert_rsc(2000, cse_retrieve(f, "CAdmin", to));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), cni);
    assert_int_equal(cse_int(f, "m2m:cnt/cbs"), cbs);
}

static void counters_follow_the_instances(void **state)
{
    struct cse_fixture *f = *state;
    char to[128];
    make(f, "Ca", "");
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 0);
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 0);
    assert_rsc(2001,
               cse_create(f, "Ca", "cse-in/a/c", "cin", "'con':'12345','cnf':'text/plain:0'"));
    assert_int_equal(cse_int(f, "m2m:cin/cs"), 5);
    assert_int_equal(cse_int(f, "m2m:cin/st"), 1);
    assert_string_equal(cse_text(f, "m2m:cin/cnf"), "text/plain:0");
    snprintf(to, sizeof to, "%s", cse_text(f, "m2m:cin/ri"));
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a/c", "cin", "'con':'\xc3\xa4\xc3\xb6'"));
    assert_int_equal(cse_int(f, "m2m:cin/cs"), 4);
    assert_int_equal(cse_int(f, "m2m:cin/st"), 2);
    counters(f, "cse-in/a/c", 2, 9);
    assert_rsc(2002, cse_delete(f, "Ca", to));
    counters(f, "cse-in/a/c", 1, 4);
    assert_rsc(2002, cse_delete(f, "Ca", "cse-in/a/c/la"));
    counters(f, "cse-in/a/c", 0, 0);
    assert_rsc(4004, cse_delete(f, "Ca", "cse-in/a/c/ol"));
}

static void the_size_of_json_content_is_its_text(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cj", "");
    assert_rsc(2001, cse_create(f, "Cj", "cse-in/j/c", "cin", "'con':{'a':[1,2]}"));
    assert_int_equal(cse_int(f, "m2m:cin/cs"), 11);
    assert_int_equal(cse_int(f, "m2m:cin/con/a/1"), 2);
    assert_rsc(2001, cse_create(f, "Cj", "cse-in/j/c", "cin", "'con':'q\\\"\\\\\\n'"));
    assert_int_equal(cse_int(f, "m2m:cin/cs"), 4);
    assert_rsc(2001, cse_create(f, "Cj", "cse-in/j/c", "cin", "'con':12.5"));
    assert_int_equal(cse_int(f, "m2m:cin/cs"), 4);
}

static void the_oldest_give_way_to_a_number(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cn", "'mni':3");
    for (int i = 0; i < 6; i++) {
        assert_rsc(2001, cse_create(f, "Cn", "cse-in/n/c", "cin", "'con':'v%d'", i));
    }
    counters(f, "cse-in/n/c", 3, 6);
    assert_rsc(2000, cse_retrieve(f, "Cn", "cse-in/n/c/ol"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "v3");
    assert_rsc(2000, cse_retrieve(f, "Cn", "cse-in/n/c/la"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "v5");
    assert_rsc(2004, cse_update(f, "Cn", "cse-in/n/c", "cnt", "'mni':1"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 1);
    counters(f, "cse-in/n/c", 1, 2);
    assert_rsc(2004, cse_update(f, "Cn", "cse-in/n/c", "cnt", "'mni':0"));
    counters(f, "cse-in/n/c", 0, 0);
    assert_rsc(5207, cse_create(f, "Cn", "cse-in/n/c", "cin", "'con':'x'"));
    assert_rsc(2004, cse_update(f, "Cn", "cse-in/n/c", "cnt", "'mni':null"));
    assert_rsc(2001, cse_create(f, "Cn", "cse-in/n/c", "cin", "'con':'x'"));
}

static void the_oldest_give_way_to_a_size(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cs", "'mbs':10");
    assert_rsc(2001, cse_create(f, "Cs", "cse-in/s/c", "cin", "'con':'1234567'"));
    assert_rsc(2001, cse_create(f, "Cs", "cse-in/s/c", "cin", "'con':'12345'"));
    counters(f, "cse-in/s/c", 1, 5);
    assert_rsc(5207, cse_create(f, "Cs", "cse-in/s/c", "cin", "'con':'12345678901'"));
    counters(f, "cse-in/s/c", 1, 5);
    assert_rsc(2001, cse_create(f, "Cs", "cse-in/s/c", "cin", "'con':'1234567890'"));
    counters(f, "cse-in/s/c", 1, 10);
}

static void many_instances_give_way_in_the_background(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cm", "");
    for (int i = 0; i < 700; i++) {
        assert_rsc(2001, cse_create(f, "Cm", "cse-in/m/c", "cin", "'con':'%03d'", i));
    }
    assert_rsc(2004, cse_update(f, "Cm", "cse-in/m/c", "cnt", "'mni':2"));
    cse_settle(f);
    counters(f, "cse-in/m/c", 2, 6);
    assert_rsc(2000, cse_retrieve(f, "Cm", "cse-in/m/c/ol"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "698");
}

static void an_age_limits_the_life_of_instances(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cage", "'mia':60");
    assert_rsc(2001, cse_create(f, "Cage", "cse-in/age/c", "cin", "'con':'x'"));
    assert_string_equal(cse_text(f, "m2m:cin/et"), "20260101T000100,000000");
    assert_rsc(2001,
               cse_create(f, "Cage", "cse-in/age/c", "cin", "'con':'x','et':'20260101T000030'"));
    assert_string_equal(cse_text(f, "m2m:cin/et"), "20260101T000030,000000");
    bst_clock_fake_advance_ms(31000);
    cse_sweep(f);
    counters(f, "cse-in/age/c", 1, 1);
    bst_clock_fake_advance_ms(30000);
    cse_sweep(f);
    counters(f, "cse-in/age/c", 0, 0);
    bst_clock_fake_advance_ms(-61000);
}

static void an_instance_never_changes(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cfix", "");
    assert_rsc(2001, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'rn':'i','con':'x'"));
    assert_rsc(4005, cse_update(f, "Cfix", "cse-in/fix/c/i", "cin", "'con':'y'"));
    assert_rsc(4105, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'rn':'i','con':'y'"));
    assert_rsc(4108, cse_create(f, "Cfix", "cse-in/fix/c/i", "cnt", "'rn':'x'"));
    assert_rsc(4108, cse_create(f, "Cfix", "cse-in/fix", "cin", "'con':'x'"));
    assert_rsc(4000, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'cnf':'text/plain:0'"));
    assert_rsc(4000, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'con':'x','cs':1"));
    assert_rsc(
        4000, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'con':'x','acpi':['cse-in/acp-base']"));
    assert_rsc(4000, cse_create(f, "Cfix", "cse-in/fix/c", "cin", "'con':'x','cnf':'nonsense::'"));
    counters(f, "cse-in/fix/c", 1, 1);
}

static void disabled_retrieval_closes_the_instances(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cd", "'disr':true");
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/c", "cin", "'rn':'i','con':'x'"));
    assert_rsc(4005, cse_retrieve(f, "Cd", "cse-in/d/c/i"));
    assert_rsc(4005, cse_retrieve(f, "Cd", "cse-in/d/c/la"));
    assert_rsc(4005, cse_retrieve(f, "Cd", "cse-in/d/c/ol"));
    assert_rsc(4005, cse_delete(f, "Cd", "cse-in/d/c/i"));
    assert_rsc(4005, cse_delete(f, "Cd", "cse-in/d/c/la"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/c", "'rcn':8"));
    assert_null(cse_at(f, "m2m:cnt/m2m:cin"));
    assert_rsc(2004, cse_update(f, "Cd", "cse-in/d/c", "cnt", "'disr':false"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 0);
    assert_rsc(4004, cse_retrieve(f, "Cd", "cse-in/d/c/i"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/c", "cin", "'rn':'i','con':'x'"));
    assert_rsc(2000, cse_retrieve(f, "Cd", "cse-in/d/c/i"));
}

static void a_tree_goes_with_its_root(void **state)
{
    struct cse_fixture *f = *state;
    char inner[64], instance[64];
    make(f, "Ct", "");
    assert_rsc(2001, cse_create(f, "Ct", "cse-in/t/c", "cnt", "'rn':'in'"));
    snprintf(inner, sizeof inner, "%s", cse_text(f, "m2m:cnt/ri"));
    assert_rsc(2001, cse_create(f, "Ct", "cse-in/t/c/in", "cin", "'con':'x'"));
    snprintf(instance, sizeof instance, "%s", cse_text(f, "m2m:cin/ri"));
    assert_rsc(2002, cse_delete(f, "Ct", "cse-in/t/c"));
    static const char *const gone[] = {"cse-in/t/c", "cse-in/t/c/in", "cse-in/t/c/in/la"};
    for (size_t i = 0; i < 3; i++) {
        assert_rsc(4004, cse_retrieve(f, "Ct", gone[i]));
    }
    assert_rsc(4004, cse_retrieve(f, "Ct", inner));
    assert_rsc(4004, cse_retrieve(f, "Ct", instance));
    assert_rsc(2001, cse_create(f, "Ct", "cse-in/t", "cnt", "'rn':'c'"));
    assert_rsc(4004, cse_retrieve(f, "Ct", "cse-in/t/c/in"));
}

static void the_state_tag_counts_changes(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cst", "");
    assert_rsc(2004, cse_update(f, "Cst", "cse-in/st/c", "cnt", "'lbl':['x']"));
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 1);
    assert_rsc(2001, cse_create(f, "Cst", "cse-in/st/c", "cin", "'con':'x'"));
    assert_int_equal(cse_int(f, "m2m:cin/st"), 2);
    assert_rsc(2001, cse_create(f, "Cst", "cse-in/st/c", "cnt", "'rn':'in'"));
    assert_rsc(2004, cse_update(f, "Cst", "cse-in/st/c/in", "cnt", "'lbl':['y']"));
    assert_rsc(2000, cse_retrieve(f, "Cst", "cse-in/st/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 3);
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 1);
}

static void an_update_sets_adds_and_removes(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cu", "'mni':5,'lbl':['a']");
    assert_rsc(2004,
               cse_update(f, "Cu", "cse-in/u/c", "cnt", "'mni':null,'mbs':100,'lbl':['b','c']"));
    assert_null(cse_at(f, "m2m:cnt/mni"));
    assert_int_equal(cse_int(f, "m2m:cnt/mbs"), 100);
    assert_true(cse_holds(f, "m2m:cnt/lbl", "c"));
    assert_rsc(2004, cse_update(f, "Cu", "cse-in/u/c", "cnt", ""));
    static const char *const wrong[] = {"'ty':3",
                                        "'pi':'x'",
                                        "'ri':'x'",
                                        "'rn':'x'",
                                        "'cni':1",
                                        "'st':1",
                                        "'ct':'20260101T000000'",
                                        "'zzz':1",
                                        "'mni':-1",
                                        "'mni':'3'",
                                        "'cr':'x'",
                                        "'lbl':'x'"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rsc(4000, cse_update(f, "Cu", "cse-in/u/c", "cnt", wrong[i]));
    }
    assert_rsc(4000, cse_update(f, "Cu", "cse-in/u/c", "ae", "'apn':'x'"));
    assert_rsc(4000, cse_send(f, "Cu", "'op':3,'to':'cse-in/u/c'"));
    assert_rsc(2000, cse_retrieve(f, "Cu", "cse-in/u/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/mbs"), 100);
}

static void the_creator_is_told_when_asked_for(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Ccr", "'cr':null");
    assert_string_equal(cse_text(f, "m2m:cnt/cr"), "Ccr");
    assert_rsc(2001, cse_create(f, "Ccr", "cse-in/cr/c", "cin", "'con':'x','cr':null"));
    assert_string_equal(cse_text(f, "m2m:cin/cr"), "Ccr");
    assert_rsc(2001, cse_create(f, "Ccr", "cse-in/cr/c", "cin", "'con':'x'"));
    assert_null(cse_at(f, "m2m:cin/cr"));
    assert_rsc(4000, cse_create(f, "Ccr", "cse-in/cr", "cnt", "'cr':'Cwho'"));
    assert_rsc(4000, cse_create(f, "Ccr", "cse-in/cr/c", "cin", "'con':'x','cr':'Ccr'"));
}

static void announcements_are_kept_and_do_nothing(void **state)
{
    struct cse_fixture *f = *state;
    make(f, "Cat", "'at':['/id-mn'],'aa':['mni']");
    assert_true(cse_holds(f, "m2m:cnt/at", "/id-mn"));
    assert_true(cse_holds(f, "m2m:cnt/aa", "mni"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_follow_the_instances),
        cmocka_unit_test(the_size_of_json_content_is_its_text),
        cmocka_unit_test(the_oldest_give_way_to_a_number),
        cmocka_unit_test(the_oldest_give_way_to_a_size),
        cmocka_unit_test(many_instances_give_way_in_the_background),
        cmocka_unit_test(an_age_limits_the_life_of_instances),
        cmocka_unit_test(an_instance_never_changes),
        cmocka_unit_test(disabled_retrieval_closes_the_instances),
        cmocka_unit_test(a_tree_goes_with_its_root),
        cmocka_unit_test(the_state_tag_counts_changes),
        cmocka_unit_test(an_update_sets_adds_and_removes),
        cmocka_unit_test(the_creator_is_told_when_asked_for),
        cmocka_unit_test(announcements_are_kept_and_do_nothing),
    };
    return cmocka_run_group_tests_name("cse container", tests, cse_setup, cse_teardown);
}
