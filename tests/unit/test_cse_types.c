/* Groups, nodes and what belongs to a type alone; what is created where; unsupported things said
 * clearly. */
#include "support/cse_fixture.h"

static int setup(void **state)
{
    cse_setup(state);
    struct cse_fixture *f = *state;
    cse_register(f, "Cg", "g");
    for (const char *name = "abc"; *name; name++) {
        assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "cnt", "'rn':'%c'", *name));
    }
    return 0;
}

static void members_come_once_and_fit(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(
        2001,
        cse_create(f, "Cg", "cse-in/g", "grp",
                   "'rn':'g1','mt':3,'mnm':5,'mid':['cse-in/g/a','cse-in/g/b','cse-in/g/b']"));
    assert_int_equal(cse_int(f, "m2m:grp/cnm"), 2);
    assert_int_equal(cse_count(f, "m2m:grp/mid"), 2);
    assert_true(yyjson_get_bool(cse_at(f, "m2m:grp/mtv")));
    assert_int_equal(cse_int(f, "m2m:grp/csy"), 1);
    assert_rsc(4000, cse_create(f, "Cg", "cse-in/g", "grp", "'mt':3,'mid':['cse-in/g/a']"));
    assert_rsc(4000, cse_create(f, "Cg", "cse-in/g", "grp", "'mt':3,'mnm':0,'mid':['cse-in/g/a']"));
    assert_rsc(6010,
               cse_create(f, "Cg", "cse-in/g", "grp", "'mnm':1,'mid':['cse-in/g/a','cse-in/g/b']"));
}

static void the_strategy_decides_over_misfits(void **state)
{
    struct cse_fixture *f = *state;
    static const char misfits[] = "'mt':3,'mnm':9,'mid':['cse-in/g/a','cse-in/g','cse-in/g/none']";
    assert_rsc(4110, cse_create(f, "Cg", "cse-in/g", "grp", "%s,'csy':2", misfits));
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "grp", "%s,'csy':1", misfits));
    assert_int_equal(cse_int(f, "m2m:grp/cnm"), 1);
    assert_int_equal(cse_int(f, "m2m:grp/mt"), 3);
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "grp", "%s,'csy':3", misfits));
    assert_int_equal(cse_int(f, "m2m:grp/cnm"), 3);
    assert_int_equal(cse_int(f, "m2m:grp/mt"), 0);
    assert_true(yyjson_get_bool(cse_at(f, "m2m:grp/mtv")));
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "grp",
                                "'mt':3,'mnm':9,'mid':['cse-in/g/a','/id-mn/x']"));
    assert_false(yyjson_get_bool(cse_at(f, "m2m:grp/mtv")));
    assert_int_equal(cse_int(f, "m2m:grp/cnm"), 2);
}

static void virtual_members_are_judged_by_what_they_stand_for(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "grp",
                                "'rn':'lat','mt':20002,'mnm':9,'csy':2,'mid':['cse-in/g/a/la']"));
    assert_rsc(4110, cse_create(f, "Cg", "cse-in/g", "grp",
                                "'mt':20001,'mnm':9,'csy':2,'mid':['cse-in/g/a/la']"));
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g", "grp",
                                "'mt':20002,'mnm':9,'csy':2,'mid':['cse-in/g/lat/fopt']"));
    assert_rsc(4110, cse_create(f, "Cg", "cse-in/g", "grp",
                                "'mt':3,'mnm':9,'csy':2,'mid':['cse-in/g/lat/fopt']"));
}

static void a_group_changes_within_its_rules(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001,
               cse_create(f, "Cg", "cse-in/g", "grp",
                          "'rn':'chg','mt':3,'csy':2,'mnm':2,'mid':['cse-in/g/a','cse-in/g/b']"));
    assert_rsc(6010, cse_update(f, "Cg", "cse-in/g/chg", "grp",
                                "'mid':['cse-in/g/a','cse-in/g/b','cse-in/g/c']"));
    assert_rsc(6010, cse_update(f, "Cg", "cse-in/g/chg", "grp", "'mnm':1"));
    assert_rsc(4110, cse_update(f, "Cg", "cse-in/g/chg", "grp", "'mid':['cse-in/g']"));
    assert_rsc(4000, cse_update(f, "Cg", "cse-in/g/chg", "grp", "'mt':0"));
    assert_rsc(4000, cse_update(f, "Cg", "cse-in/g/chg", "grp", "'cnm':0"));
    assert_rsc(2004,
               cse_update(f, "Cg", "cse-in/g/chg", "grp", "'mid':['cse-in/g/c','cse-in/g/c']"));
    assert_int_equal(cse_int(f, "m2m:grp/cnm"), 1);
    assert_rsc(2004, cse_update(f, "Cg", "cse-in/g/chg", "grp", "'mnm':1,'gn':'name'"));
    assert_string_equal(cse_text(f, "m2m:grp/gn"), "name");
}

static void a_node_holds_management_objects(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cg", "cse-in", "nod", "'rn':'n','ni':'urn:n:1','hael':['Cg']"));
    assert_rsc(4000, cse_create(f, "Cg", "cse-in", "nod", "'rn':'n2'"));
    assert_rsc(2001,
               cse_create(f, "Cg", "cse-in/n", "bat", "'rn':'b','mgd':1006,'btl':23,'bts':5"));
    assert_rsc(2000, cse_retrieve(f, "Cg", "cse-in/n/b"));
    assert_int_equal(cse_int(f, "m2m:bat/btl"), 23);
    assert_int_equal(cse_int(f, "m2m:bat/ty"), 13);
    assert_null(cse_at(f, "m2m:bat/_root"));
    assert_rsc(2004, cse_update(f, "Cg", "cse-in/n/b", "bat", "'btl':20"));
    assert_int_equal(cse_int(f, "m2m:bat/btl"), 20);
    assert_rsc(4000, cse_update(f, "Cg", "cse-in/n/b", "mem", "'mma':20"));
    assert_rsc(2000, cse_query(f, "Cg", "cse-in/n", "'rcn':4"));
    assert_string_equal(cse_text(f, "m2m:nod/m2m:bat/0/rn"), "b");
    assert_rsc(2002, cse_delete(f, "Cg", "cse-in/n"));
    assert_rsc(4004, cse_retrieve(f, "Cg", "cse-in/n/b"));
}

static void what_is_not_supported_is_said(void **state)
{
    struct cse_fixture *f = *state;
    yyjson_val *entry;
    size_t index, count;
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    bool has[64] = {false};
    yyjson_arr_foreach(cse_at(f, "m2m:cb/srt"), index, count, entry)
    {
        has[yyjson_get_int(entry) % 64] = true;
    }
    assert_true(has[1] && has[2] && has[3] && has[4] && has[5] && has[9] && has[11] && has[14]);
    assert_false(has[16] || has[34]);
    assert_rsc(5001,
               cse_send(f, "Cg",
                        "'op':1,'to':'cse-in','ty':16,'pc':{'m2m:csr':{'cb':'/x/y','csi':'/x',"
                        "'rr':true,'srv':['3']}}"));
    assert_rsc(4005, cse_send(f, "CAdmin", "'op':1,'to':'cse-in','ty':5,'pc':{'m2m:cb':{}}"));
    assert_rsc(4108, cse_create(f, "Cg", "cse-in/g", "nod", "'ni':'x'"));
    assert_rsc(5001, cse_send(f, "Cg", "'op':2,'to':'cse-in/g','tkns':['a.b.c']"));
}

static void the_cse_base_stays(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(4005, cse_delete(f, "CAdmin", "cse-in"));
    assert_rsc(4005, cse_update(f, "CAdmin", "cse-in", "cb", "'lbl':['x']"));
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
}

static void requests_say_what_they_lack(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(4000, cse_send(f, "Cg", "'op':1,'to':'cse-in/g','ty':3"));
    assert_rsc(4000, cse_send(f, "Cg", "'op':1,'to':'cse-in/g','pc':{'m2m:cnt':{}}"));
    assert_rsc(4000,
               cse_send(f, "Cg", "'op':1,'to':'cse-in/g','ty':3,'pc':{'m2m:cin':{'con':'x'}}"));
    assert_rsc(4000,
               cse_send(f, "Cg", "'op':1,'to':'cse-in/g','ty':3,'pc':{'m2m:cnt':{},'m2m:cin':{}}"));
    assert_rsc(4000, cse_send(f, "Cg", "'op':9,'to':'cse-in/g'"));
    assert_rsc(4000, cse_send(f, NULL, "'op':2,'to':'cse-in/g'"));
    assert_true(f->rsp.debug.len > 0);
    assert_rsc(4000, cse_send(f, "Cg", "'op':4"));
    assert_rsc(4008, cse_send(f, "Cg", "'op':2,'to':'cse-in/g','rqet':'20200101T000000'"));
    assert_rsc(4008, cse_send(f, "Cg", "'op':2,'to':'cse-in/g','rset':'20200101T000000'"));
    assert_rsc(2000,
               cse_send(f, "Cg",
                        "'op':2,'to':'cse-in/g','rqet':'20300101T000000','oet':'20200101T000000'"));
}

static void a_group_request_is_done_once_per_target(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000, cse_send(f, "Cg", "'op':2,'to':'cse-in/g/a','gid':'fan1'"));
    assert_rsc(4104, cse_send(f, "Cg", "'op':2,'to':'cse-in/g/a','gid':'fan1'"));
    assert_rsc(2000, cse_send(f, "Cg", "'op':2,'to':'cse-in/g/b','gid':'fan1'"));
    assert_rsc(2000, cse_send(f, "Cg", "'op':2,'to':'cse-in/g/a','gid':'fan2'"));
    assert_rsc(
        2001,
        cse_send(f, "Cg",
                 "'op':1,'to':'cse-in/g/a','ty':4,'gid':'fan3','pc':{'m2m:cin':{'con':'x'}}"));
    assert_rsc(
        4104,
        cse_send(f, "Cg",
                 "'op':1,'to':'cse-in/g/a','ty':4,'gid':'fan3','pc':{'m2m:cin':{'con':'x'}}"));
}

static void names_are_plain_and_unique(void **state)
{
    struct cse_fixture *f = *state;
    static const char *const wrong[] = {"a/b", "a b", "", "..", "a#b", "a?b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rsc(4000, cse_create(f, "Cg", "cse-in/g", "cnt", "'rn':'%s'", wrong[i]));
    }
    assert_rsc(4105, cse_create(f, "Cg", "cse-in/g", "cnt", "'rn':'a'"));
    assert_rsc(4105, cse_create(f, "Cg", "cse-in/g", "grp", "'rn':'a','mnm':1,'mid':[]"));
    assert_rsc(2001, cse_create(f, "Cg", "cse-in/g/a", "cnt", "'rn':'a'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_once_and_fit),
        cmocka_unit_test(the_strategy_decides_over_misfits),
        cmocka_unit_test(virtual_members_are_judged_by_what_they_stand_for),
        cmocka_unit_test(a_group_changes_within_its_rules),
        cmocka_unit_test(a_node_holds_management_objects),
        cmocka_unit_test(what_is_not_supported_is_said),
        cmocka_unit_test(the_cse_base_stays),
        cmocka_unit_test(requests_say_what_they_lack),
        cmocka_unit_test(a_group_request_is_done_once_per_target),
        cmocka_unit_test(names_are_plain_and_unique),
    };
    return cmocka_run_group_tests_name("cse types", tests, setup, cse_teardown);
}
