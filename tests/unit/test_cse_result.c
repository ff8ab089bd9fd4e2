/* Result Content for every operation (TS-0001 8.1.2, TS-0004 7.5.2), and conditional retrieval. */
#include "support/cse_fixture.h"

static int setup(void **state)
{
    cse_setup(state);
    struct cse_fixture *f = *state;
    cse_register(f, "Cd", "d");
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'t1','lbl':['temp']"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'t2'"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/t1", "cnt", "'rn':'sub'"));
    for (int i = 0; i < 3; i++) {
        assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/t1", "cin",
                                    "'rn':'i%d','con':'%d','lbl':['n:%d']", i, i, i));
    }
    return 0;
}

static void a_create_answers_by_result_content(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(
        2001,
        cse_send(f, "Cd", "'op':1,'to':'cse-in/d','ty':3,'rcn':0,'pc':{'m2m:cnt':{'rn':'r0'}}"));
    assert_string_equal(f->content, "");
    assert_rsc(
        2001,
        cse_send(f, "Cd", "'op':1,'to':'cse-in/d','ty':3,'rcn':1,'pc':{'m2m:cnt':{'rn':'r1'}}"));
    assert_string_equal(cse_text(f, "m2m:cnt/rn"), "r1");
    assert_rsc(
        2001,
        cse_send(f, "Cd", "'op':1,'to':'cse-in/d','ty':3,'rcn':2,'pc':{'m2m:cnt':{'rn':'r2'}}"));
    assert_string_equal(f->content, "{\"m2m:uri\":\"cse-in/d/r2\"}");
    assert_true(bst_view_is(f->rsp.content_location, "cse-in/d/r2"));
    assert_rsc(
        2001,
        cse_send(f, "Cd", "'op':1,'to':'cse-in/d','ty':3,'rcn':3,'pc':{'m2m:cnt':{'rn':'r3'}}"));
    assert_string_equal(cse_text(f, "m2m:rce/uri"), "cse-in/d/r3");
    assert_string_equal(cse_text(f, "m2m:rce/m2m:cnt/rn"), "r3");
    assert_rsc(2001, cse_send(f, "Cd",
                              "'op':1,'to':'cse-in/d','ty':3,'rcn':9,"
                              "'pc':{'m2m:cnt':{'rn':'r9','mni':5,'lbl':['x']}}"));
    assert_null(cse_at(f, "m2m:cnt/mni"));
    assert_null(cse_at(f, "m2m:cnt/lbl"));
    assert_null(cse_at(f, "m2m:cnt/rn"));
    static const char *const added[] = {"m2m:cnt/ri", "m2m:cnt/ct", "m2m:cnt/lt",
                                        "m2m:cnt/et", "m2m:cnt/st", "m2m:cnt/cni"};
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
        assert_non_null(cse_at(f, added[i]));
    }
    static const int wrong[] = {4, 5, 6, 7, 8, 99};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rsc(4000,
                   cse_send(f, "Cd", "'op':1,'to':'cse-in/d','ty':3,'rcn':%d,'pc':{'m2m:cnt':{}}",
                            wrong[i]));
    }
}

static void a_changed_wish_is_told_among_the_modified(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_send(f, "Cd",
                              "'op':1,'to':'cse-in/d','ty':3,'rcn':9,"
                              "'pc':{'m2m:cnt':{'rn':'late','et':'99991231T000000'}}"));
    assert_string_not_equal(cse_text(f, "m2m:cnt/et"), "99991231T000000");
    assert_string_not_equal(cse_text(f, "m2m:cnt/et"), "");
}

static void an_update_answers_by_result_content(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'u','mni':5"));
    assert_rsc(2004,
               cse_send(f, "Cd", "'op':3,'to':'cse-in/d/u','rcn':0,'pc':{'m2m:cnt':{'mni':6}}"));
    assert_string_equal(f->content, "");
    assert_rsc(2004, cse_send(f, "Cd", "'op':3,'to':'cse-in/d/u','pc':{'m2m:cnt':{'mni':7}}"));
    assert_int_equal(cse_int(f, "m2m:cnt/mni"), 7);
    assert_string_equal(cse_text(f, "m2m:cnt/rn"), "u");
    assert_rsc(2004,
               cse_send(f, "Cd", "'op':3,'to':'cse-in/d/u','rcn':9,'pc':{'m2m:cnt':{'mni':8}}"));
    assert_null(cse_at(f, "m2m:cnt/mni"));
    assert_null(cse_at(f, "m2m:cnt/ri"));
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 3);
    static const int wrong[] = {2, 3, 4, 5, 6, 8};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rsc(4000,
                   cse_send(f, "Cd", "'op':3,'to':'cse-in/d/u','rcn':%d,'pc':{'m2m:cnt':{'mni':8}}",
                            wrong[i]));
    }
}

static void a_delete_answers_by_result_content(void **state)
{
    struct cse_fixture *f = *state;
    static const int contents[] = {0, 1, 4, 5, 6, 8};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'del'"));
        assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/del", "cin", "'con':'x'"));
        assert_rsc(2002, cse_send(f, "Cd", "'op':4,'to':'cse-in/d/del','rcn':%d", contents[i]));
        assert_int_equal(f->content[0] == '\0', contents[i] == 0);
        assert_int_equal(cse_at(f, "m2m:cnt/rn") != NULL,
                         contents[i] == 1 || contents[i] == 4 || contents[i] == 5);
        assert_int_equal(cse_count(f, "m2m:cnt/m2m:cin"), contents[i] == 4 || contents[i] == 8);
        assert_int_equal(cse_count(f, "m2m:cnt/ch"), contents[i] == 5);
        assert_int_equal(cse_count(f, "m2m:rrl/rrf"), contents[i] == 6);
    }
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'del'"));
    assert_rsc(2002, cse_delete(f, "Cd", "cse-in/d/del"));
    assert_string_equal(f->content, "");
    assert_rsc(4000, cse_send(f, "Cd", "'op':4,'to':'cse-in/d/t2','rcn':9"));
    assert_rsc(4000, cse_send(f, "Cd", "'op':4,'to':'cse-in/d/t2','rcn':2"));
}

static void children_are_nested_under_their_parents(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000,
               cse_query(f, "Cd", "cse-in/d", "'rcn':4,'fc':{'lbl':['temp','n:0','n:1','n:2']}"));
    assert_string_equal(cse_text(f, "m2m:ae/aei"), "Cd");
    assert_string_equal(cse_text(f, "m2m:ae/m2m:cnt/0/rn"), "t1");
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt/0/m2m:cin"), 3);
    assert_null(cse_at(f, "m2m:ae/m2m:cnt/0/m2m:cnt"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'rcn':8"));
    assert_null(cse_at(f, "m2m:cnt/cni"));
    assert_int_equal(cse_count(f, "m2m:cnt/m2m:cin"), 3);
    assert_int_equal(cse_count(f, "m2m:cnt/m2m:cnt"), 1);
    assert_string_equal(cse_text(f, "m2m:cnt/m2m:cin/2/con"), "2");
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':4,'fc':{'lvl':1}"));
    assert_null(cse_at(f, "m2m:ae/m2m:cnt/0/m2m:cin"));
}

static void a_match_hangs_on_its_nearest_shown_ancestor(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':8,'fc':{'ty':[4]}"));
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cin"), 3);
    assert_null(cse_at(f, "m2m:ae/m2m:cnt"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':8,'fc':{'lbl':['n:1']}"));
    assert_string_equal(cse_text(f, "m2m:ae/m2m:cin/0/con"), "1");
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':8,'fc':{'lbl':['none']}"));
    assert_string_equal(f->content, "{\"m2m:ae\":{}}");
}

static void references_are_a_list(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'rcn':5"));
    assert_int_equal(cse_count(f, "m2m:cnt/ch"), 4);
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 3);
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t2", "'rcn':5"));
    assert_true(yyjson_is_arr(cse_at(f, "m2m:cnt/ch")));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'rcn':6"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 4);
    assert_string_equal(cse_text(f, "m2m:rrl/rrf/0/val"), "cse-in/d/t1/sub");
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'rcn':6,'drt':2,'fc':{'ty':[3]}"));
    assert_int_equal(strlen(cse_text(f, "m2m:rrl/rrf/0/val")), 13);
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'rcn':6,'fc':{'lbl':['none']}"));
    assert_non_null(cse_at(f, "m2m:rrl/rrf"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 0);
}

static void a_direct_child_comes_whole_or_not_at_all(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cw", "w");
    for (int i = 0; i < 3; i++) {
        assert_rsc(2001, cse_create(f, "Cw", "cse-in/w", "cnt", "'rn':'c%d'", i));
        for (int k = 0; k < 3; k++) {
            char to[32];
            snprintf(to, sizeof to, "cse-in/w/c%d", i);
            assert_rsc(2001, cse_create(f, "Cw", to, "cin", "'con':'%d'", k));
        }
    }
    assert_rsc(2000, cse_query(f, "Cw", "cse-in/w", "'rcn':4,'fc':{'lim':9}"));
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt"), 2);
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt/1/m2m:cin"), 3);
    assert_int_equal(f->rsp.cnst, 1);
    assert_int_equal(f->rsp.cnot, 3);
    assert_rsc(2000, cse_query(f, "Cw", "cse-in/w", "'rcn':4,'fc':{'lim':9,'ofst':3}"));
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt"), 1);
    assert_string_equal(cse_text(f, "m2m:ae/m2m:cnt/0/rn"), "c2");
    assert_int_equal(f->rsp.cnst, 0);
    assert_rsc(2000, cse_query(f, "Cw", "cse-in/w", "'rcn':6,'fc':{'lim':5}"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 4);
    assert_int_equal(f->rsp.cnot, 2);
    assert_rsc(2000, cse_query(f, "Cw", "cse-in/w/c0", "'rcn':8,'fc':{'lim':2,'ofst':2}"));
    assert_int_equal(cse_count(f, "m2m:cnt/m2m:cin"), 2);
    assert_string_equal(cse_text(f, "m2m:cnt/m2m:cin/0/con"), "1");
}

static void children_that_may_not_be_retrieved_are_left_out(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cp", "p");
    cse_register(f, "Cq", "q");
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p", "acp",
                                "'rn':'a','pv':{'acr':[{'acor':['Cq','Cp'],'acop':63}]},"
                                "'pvs':{'acr':[{'acor':['Cp'],'acop':63}]}"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p", "cnt", "'rn':'open','acpi':['cse-in/p/a']"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p/open", "cnt", "'rn':'shut'"));
    assert_rsc(2001,
               cse_create(f, "Cp", "cse-in/p/open", "cnt", "'rn':'too','acpi':['cse-in/p/a']"));
    assert_rsc(2000, cse_query(f, "Cq", "cse-in/p/open", "'rcn':4"));
    assert_int_equal(cse_count(f, "m2m:cnt/m2m:cnt"), 1);
    assert_string_equal(cse_text(f, "m2m:cnt/m2m:cnt/0/rn"), "too");
    assert_rsc(2000, cse_query(f, "Cq", "cse-in/p/open", "'rcn':6"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 1);
}

static void a_retrieve_can_be_conditional(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'fc':{'cra':'20250101T000000'}"));
    assert_rsc(4004, cse_query(f, "Cd", "cse-in/d/t1", "'fc':{'cra':'20990101T000000'}"));
    assert_rsc(4004, cse_query(f, "Cd", "cse-in/d/t1", "'fc':{'ms':'20990101T000000'}"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d/t1", "'fc':{'fu':2,'lbl':['temp']}"));
    assert_rsc(4004, cse_query(f, "Cd", "cse-in/d/t1", "'fc':{'fu':2,'lbl':['other']}"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':1,'fc':{'ty':[3]}"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'cond'"));
    assert_rsc(4004,
               cse_send(f, "Cd", "'op':4,'to':'cse-in/d/cond','fc':{'us':'20250101T000000'}"));
    assert_rsc(2002,
               cse_send(f, "Cd", "'op':4,'to':'cse-in/d/cond','fc':{'us':'20990101T000000'}"));
}

static void a_retrieve_has_no_other_contents(void **state)
{
    struct cse_fixture *f = *state;
    static const int wrong[] = {0, 2, 3, 7, 9, 11, 99};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char more[32];
        snprintf(more, sizeof more, "'rcn':%d", wrong[i]);
        assert_rsc(4000, cse_query(f, "Cd", "cse-in/d", more));
    }
    assert_rsc(5001, cse_query(f, "Cd", "cse-in/d", "'rcn':10"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_create_answers_by_result_content),
        cmocka_unit_test(a_changed_wish_is_told_among_the_modified),
        cmocka_unit_test(an_update_answers_by_result_content),
        cmocka_unit_test(a_delete_answers_by_result_content),
        cmocka_unit_test(children_are_nested_under_their_parents),
        cmocka_unit_test(a_match_hangs_on_its_nearest_shown_ancestor),
        cmocka_unit_test(references_are_a_list),
        cmocka_unit_test(a_direct_child_comes_whole_or_not_at_all),
        cmocka_unit_test(children_that_may_not_be_retrieved_are_left_out),
        cmocka_unit_test(a_retrieve_can_be_conditional),
        cmocka_unit_test(a_retrieve_has_no_other_contents),
    };
    return cmocka_run_group_tests_name("cse result", tests, setup, cse_teardown);
}
