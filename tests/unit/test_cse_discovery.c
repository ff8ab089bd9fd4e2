/* Discovery, filter criteria and rights per resource (TS-0004 7.3.3.14, 7.3.3.17). */
#include "support/cse_fixture.h"

#include "sys/clock.h"

static int setup(void **state)
{
    cse_setup(state);
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cd", "cse-in", "ae",
                                "'rn':'d','api':'N.t','rr':false,'srv':['3'],'lbl':['house:a']"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'t1','lbl':['room:1','temp']"));
    assert_rsc(2001,
               cse_create(f, "Cd", "cse-in/d", "cnt", "'rn':'t2','lbl':['room:2','temp'],'mni':9"));
    assert_rsc(2001,
               cse_create(f, "Cd", "cse-in/d/t1", "cnt", "'rn':'sub','lbl':['room:1','deep']"));
    for (int i = 0; i < 5; i++) {
        bst_clock_fake_advance_ms(1000);
        assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/t1", "cin",
                                    "'rn':'i%d','con':'%.*s','cnf':'text/plain:0','lbl':['n:%d']",
                                    i, i + 1, "012345", i));
    }
    cse_register(f, "Ceye", "eye");
    return 0;
}

/* Names of what is found under cse-in/d, joined by blanks, in the order of the answer. */
static const char *found(struct cse_fixture *f, const char *criteria)
{
    static char text[1024];
    char more[512];
    yyjson_val *entry;
    size_t index, count;
    snprintf(more, sizeof more, "'fc':{'fu':1%s%s}", criteria[0] ? "," : "", criteria);
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", more));
    text[0] = '\0';
    yyjson_arr_foreach(cse_at(f, "m2m:uril"), index, count, entry)
    {
        const char *path = yyjson_get_str(entry);
        assert_int_equal(strncmp(path, "cse-in/d/", 9), 0);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", index ? " " : "",
                 path + 9);
    }
    return text;
}

static void everything_below_is_found(void **state)
{
    struct cse_fixture *f = *state;
    assert_string_equal(found(f, ""), "t1 t1/sub t1/i0 t1/i1 t1/i2 t1/i3 t1/i4 t2");
    assert_int_equal(f->rsp.cnst, 0);
}

static void criteria_select(void **state)
{
    struct cse_fixture *f = *state;
    static const struct {
        const char *criteria, *names;
    } cases[] = {
        {"'lbl':['temp']", "t1 t2"},
        {"'lbl':['room:1']", "t1 t1/sub"},
        {"'lbl':['room:2','deep']", "t2 t1/sub"},
        {"'lbl':['nothing']", ""},
        {"'ty':[3]", "t1 t1/sub t2"},
        {"'ty':[4],'lbl':['n:2']", "t1/i2"},
        {"'ty':[3],'lbl':['deep']", "t1/sub"},
        {"'ty':[4],'lbl':['temp'],'fo':2", "t1 t1/i0 t1/i1 t1/i2 t1/i3 t1/i4 t2"},
        {"'sza':4", "t1/i3 t1/i4"},
        {"'szb':3,'ty':[4]", "t1/i0 t1/i1"},
        {"'cty':['text/plain']", "t1/i0 t1/i1 t1/i2 t1/i3 t1/i4"},
        {"'atr':[{'nm':'mni','val':9}]", "t2"},
        {"'atr':[{'nm':'con','val':'01*'}],'ty':[4]", "t1/i1 t1/i2 t1/i3 t1/i4"},
        {"'atr':[{'nm':'cni','val':5}]", "t1"},
        {"'cra':'20260101T000003'", "t1/i2 t1/i3 t1/i4"},
        {"'crb':'20260101T000001','ty':[3]", "t1 t1/sub t2"},
        {"'cra':'20260101T000002','crb':'20260101T000004'", "t1/i1 t1/i2"},
        {"'stb':4,'ty':[4]", "t1/i3 t1/i4"},
        {"'sts':2,'ty':[4]", "t1/i0"},
        {"'exb':'20260201T000000'", ""},
        {"'lvl':1", "t1 t2"},
        {"'lvl':2,'ty':[3]", "t1 t1/sub t2"},
        {"'palb':['temp']", "t1/sub t1/i0 t1/i1 t1/i2 t1/i3 t1/i4"},
        {"'clbl':['deep']", "t1"},
        {"'pty':[2]", "t1 t2"},
        {"'chty':[4]", "t1"},
        {"'lbq':'room EQ 2'", "t2"},
        {"'lbl':['deep'],'arp':'../i3'", "t1/i3"},
        {"'lbl':['room:1'],'arp':'la'", "t1/i4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(found(f, cases[i].criteria), cases[i].names);
    }
}

static void limit_and_offset_page_through(void **state)
{
    struct cse_fixture *f = *state;
    assert_string_equal(found(f, "'lim':3"), "t1 t1/sub t1/i0");
    assert_int_equal(f->rsp.cnst, 1);
    assert_int_equal(f->rsp.cnot, 4);
    assert_string_equal(found(f, "'lim':3,'ofst':4"), "t1/i1 t1/i2 t1/i3");
    assert_int_equal(f->rsp.cnot, 7);
    assert_string_equal(found(f, "'lim':3,'ofst':7"), "t1/i4 t2");
    assert_int_equal(f->rsp.cnst, 0);
    assert_string_equal(found(f, "'ofst':99"), "");
    assert_string_equal(found(f, "'lim':1,'lbl':['temp']"), "t1");
    assert_int_equal(f->rsp.cnot, 2);
}

static void results_have_the_form_asked_for(void **state)
{
    struct cse_fixture *f = *state;
    char ri[64];
    assert_rsc(2000, cse_retrieve(f, "Cd", "cse-in/d/t2"));
    snprintf(ri, sizeof ri, "%s", cse_text(f, "m2m:cnt/ri"));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'drt':2,'fc':{'fu':1,'lbl':['room:2']}"));
    assert_true(cse_holds(f, "m2m:uril", ri));
    assert_rsc(2000, cse_query(f, "Cd", "cse-in/d", "'rcn':6,'fc':{'fu':1,'lbl':['room:2']}"));
    assert_string_equal(cse_text(f, "m2m:rrl/rrf/0/nm"), "t2");
    assert_string_equal(cse_text(f, "m2m:rrl/rrf/0/val"), "cse-in/d/t2");
    assert_int_equal(cse_int(f, "m2m:rrl/rrf/0/typ"), 3);
    static const int wrong[] = {0, 1, 4, 5, 8, 9};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char more[64];
        snprintf(more, sizeof more, "'rcn':%d,'fc':{'fu':1}", wrong[i]);
        assert_rsc(4000, cse_query(f, "Cd", "cse-in/d", more));
    }
}

static void what_may_not_be_discovered_is_left_out(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2000, cse_query(f, "Ceye", "cse-in", "'fc':{'fu':1,'lbl':['temp']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 0);
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d", "acp",
                                "'rn':'p','pv':{'acr':[{'acor':['Ceye'],'acop':32}]},"
                                "'pvs':{'acr':[{'acor':['Cd'],'acop':63}]}"));
    assert_rsc(2001, cse_create(f, "Cd", "cse-in/d/t1/sub", "cnt",
                                "'rn':'seen','lbl':['visible'],'acpi':['cse-in/d/p']"));
    assert_rsc(2000, cse_query(f, "Ceye", "cse-in", "'fc':{'fu':1,'lbl':['visible','temp']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 1);
    assert_string_equal(cse_text(f, "m2m:uril/0"), "cse-in/d/t1/sub/seen");
    assert_rsc(2000, cse_query(f, "Ceye", "cse-in/d", "'fc':{'fu':1,'ty':[3]}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 1);
    assert_rsc(4103, cse_retrieve(f, "Ceye", "cse-in/d/t1/sub/seen"));
    assert_rsc(2002, cse_delete(f, "CAdmin", "cse-in/d/t1/sub/seen"));
    assert_rsc(2002, cse_delete(f, "CAdmin", "cse-in/d/p"));
}

static void an_inactive_ae_is_passed_by(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(
        2001, cse_create(f, "Csleep", "cse-in", "ae",
                         "'rn':'sleep','api':'N.t','rr':false,'srv':['3'],'regs':2,'lbl':['zzz']"));
    assert_rsc(2001, cse_create(f, "Csleep", "cse-in/sleep", "cnt", "'rn':'c','lbl':['zzz']"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'lbl':['zzz']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 0);
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'ty':[2]}"));
    assert_false(cse_holds(f, "m2m:uril", "cse-in/sleep"));
    assert_rsc(2004, cse_update(f, "Csleep", "cse-in/sleep", "ae", "'regs':1"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'lbl':['zzz']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 2);
    assert_rsc(2002, cse_delete(f, "Csleep", "cse-in/sleep"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'lbl':['zzz']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 0);
}

static void a_long_discovery_goes_on_in_the_background(void **state)
{
    struct cse_fixture g_ = {0}, *f = &g_;
    (void)state;
    cse_init(f);
    f->config.step_budget = 2000;
    cse_start(f);
    cse_register(f, "Cbig", "big");
    assert_rsc(2001, cse_create(f, "Cbig", "cse-in/big", "cnt", "'rn':'c'"));
    for (int i = 0; i < 400; i++) {
        assert_rsc(2001, cse_create(f, "Cbig", "cse-in/big/c", "cin", "'con':'%d'", i));
    }
    assert_rsc(2000, cse_query(f, "Cbig", "cse-in/big", "'fc':{'fu':1,'ty':[4]}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 400);
    assert_rsc(2000, cse_query(f, "Cbig", "cse-in/big", "'rcn':4"));
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt/0/m2m:cin"), 400);
    cse_end(f);
}

static void an_answer_has_a_size_of_its_own(void **state)
{
    struct cse_fixture g_ = {0}, *f = &g_;
    (void)state;
    cse_init(f);
    f->config.max_results = 3;
    cse_start(f);
    cse_register(f, "Cmax", "max");
    for (int i = 0; i < 5; i++) {
        assert_rsc(2001, cse_create(f, "Cmax", "cse-in/max", "cnt", "'rn':'c%d'", i));
    }
    assert_rsc(2000, cse_query(f, "Cmax", "cse-in/max", "'fc':{'fu':1,'lim':100}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 3);
    assert_int_equal(f->rsp.cnst, 1);
    assert_int_equal(f->rsp.cnot, 4);
    assert_rsc(2000, cse_query(f, "Cmax", "cse-in/max", "'rcn':4"));
    assert_int_equal(cse_count(f, "m2m:ae/m2m:cnt"), 3);
    assert_int_equal(f->rsp.cnot, 4);
    cse_end(f);
}

static void wrong_criteria_are_refused(void **state)
{
    struct cse_fixture *f = *state;
    static const char *const wrong[] = {"'fu':9",    "'ty':['x']", "'lim':-1", "'crb':'yesterday'",
                                        "'lvl':'x'", "'fo':7",     "'zzz':1",  "'ofst':'x'",
                                        "'sza':'a'"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char more[64];
        snprintf(more, sizeof more, "'fc':{%s}", wrong[i]);
        assert_rsc(4000, cse_query(f, "Cd", "cse-in/d", more));
    }
    assert_rsc(5001, cse_query(f, "Cd", "cse-in/d", "'fc':{'fu':1,'smf':['SELECT']}"));
    assert_rsc(4000, cse_send(f, "Cd",
                              "'op':1,'to':'cse-in/d','ty':3,'fc':{'lvl':1},'pc':{'m2m:cnt':{}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_below_is_found),
        cmocka_unit_test(criteria_select),
        cmocka_unit_test(limit_and_offset_page_through),
        cmocka_unit_test(results_have_the_form_asked_for),
        cmocka_unit_test(what_may_not_be_discovered_is_left_out),
        cmocka_unit_test(an_inactive_ae_is_passed_by),
        cmocka_unit_test(a_long_discovery_goes_on_in_the_background),
        cmocka_unit_test(an_answer_has_a_size_of_its_own),
        cmocka_unit_test(wrong_criteria_are_refused),
    };
    return cmocka_run_group_tests_name("cse discovery", tests, setup, cse_teardown);
}
