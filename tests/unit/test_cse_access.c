/* Who governs a resource, and what holds when nobody said (TS-0001 9.6.1.3.2, TS-0003 7.1, TS-0004
 * 7.3.3.15). How one rule is evaluated is tested with sec; here it is which rules are asked. */
#include "support/cse_fixture.h"

#include "store/resource.h"

static void policy(struct cse_fixture *f, const char *to, const char *name, const char *rules)
{
    char *text = NULL;
    assert_true(
        asprintf(&text, "'rn':'%s','pv':{'acr':[%s]},'pvs':{'acr':[{'acor':['Cowner'],'acop':63}]}",
                 name, rules) > 0);
    assert_rsc(2001, cse_create(f, "Cowner", to, "acp", "%s", text));
    free(text);
}

static int setup(void **state)
{
    cse_setup(state);
    struct cse_fixture *f = *state;
    cse_register(f, "Cowner", "owner");
    cse_register(f, "Cfriend", "friend");
    cse_register(f, "Cstranger", "stranger");
    return 0;
}

static void without_a_policy_only_the_creator_enters(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt", "'rn':'own'"));
    assert_rsc(2000, cse_retrieve(f, "Cowner", "cse-in/owner/own"));
    assert_rsc(2000, cse_retrieve(f, "/id-in/Cowner", "cse-in/owner/own"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/own"));
    assert_rsc(4103, cse_create(f, "Cfriend", "cse-in/owner/own", "cin", "'con':'x'"));
    assert_rsc(4103, cse_update(f, "Cfriend", "cse-in/owner/own", "cnt", "'lbl':['x']"));
    assert_rsc(4103, cse_delete(f, "Cfriend", "cse-in/owner/own"));
    assert_true(f->trace.checked && !f->trace.permitted);
    assert_string_not_equal(f->trace.reason, "");
    assert_null(memmem(f->rsp.debug.ptr, f->rsp.debug.len, "acp", 3));
}

static void each_operation_has_its_bit(void **state)
{
    struct cse_fixture *f = *state;
    static const struct {
        int bit;
        int results[5]; /* retrieve, create, update, delete of an instance, discovery finds */
    } cases[] = {
        {2, {2000, 4103, 4103, 4103, 0}},  {1, {4103, 2001, 4103, 4103, 0}},
        {4, {4103, 4103, 2004, 4103, 0}},  {8, {4103, 4103, 4103, 2002, 0}},
        {32, {4103, 4103, 4103, 4103, 1}}, {16, {4103, 4103, 4103, 4103, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[32], rules[160], to[64];
        snprintf(name, sizeof name, "bit%d", cases[i].bit);
        snprintf(rules, sizeof rules,
                 "{'acor':['Cfriend'],'acop':%d},{'acor':['Cowner'],'acop':63}", cases[i].bit);
        policy(f, "cse-in/owner", name, rules);
        assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                    "'rn':'c%s','acpi':['cse-in/owner/%s']", name, name));
        snprintf(to, sizeof to, "cse-in/owner/c%s", name);
        assert_rsc(2001, cse_create(f, "Cowner", to, "cin", "'con':'x'"));
        assert_rsc(cases[i].results[0], cse_retrieve(f, "Cfriend", to));
        assert_rsc(cases[i].results[1], cse_create(f, "Cfriend", to, "cin", "'con':'y'"));
        assert_rsc(cases[i].results[2], cse_update(f, "Cfriend", to, "cnt", "'lbl':['x']"));
        assert_rsc(2000, cse_query(f, "Cfriend", to, "'fc':{'fu':1}"));
        assert_int_equal(cse_count(f, "m2m:uril") > 0, cases[i].results[4]);
        char last[80];
        snprintf(last, sizeof last, "%s/la", to);
        assert_rsc(cases[i].results[0], cse_retrieve(f, "Cfriend", last));
        assert_rsc(cases[i].results[3], cse_delete(f, "Cfriend", last));
        assert_rsc(4103, cse_retrieve(f, "Cstranger", to));
    }
}

static void the_administrator_is_let_in_by_a_policy_in_the_tree(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt", "'rn':'adm'"));
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in/owner/adm"));
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in/acp-admin"));
    assert_string_equal(cse_text(f, "m2m:acp/pv/acr/0/acor/0"), "CAdmin");
    assert_rsc(4103, cse_retrieve(f, "Cowner", "cse-in/acp-admin"));
    assert_rsc(4103, cse_update(f, "Cowner", "cse-in/acp-admin", "acp", "'pv':{'acr':[]}"));
    struct bst_cse_trace trace;
    const struct bst_cse_question question = {.originator = BST_VIEW("CAdmin"),
                                              .target = BST_VIEW("cse-in/owner/adm"),
                                              .op = BST_OP_DELETE};
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_true(trace.permitted);
    assert_int_equal(trace.rule, 0);
    assert_int_equal(strlen(trace.policy), 13);
}

static void an_explanation_says_rule_attribute_and_clause(void **state)
{
    struct cse_fixture *f = *state;
    struct bst_cse_trace trace;
    policy(f, "cse-in/owner", "exp", "{'acor':['Cowner'],'acop':63},{'acor':['Cfriend'],'acop':2}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'exp-c','acpi':['cse-in/owner/exp']"));
    struct bst_cse_question question = {.originator = BST_VIEW("Cfriend"),
                                        .target = BST_VIEW("cse-in/owner/exp-c"),
                                        .op = BST_OP_RETRIEVE};
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_true(trace.checked && trace.permitted);
    assert_int_equal(trace.rule, 1);
    assert_string_not_equal(trace.clause, "");
    question.op = BST_OP_DELETE;
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_true(trace.checked && !trace.permitted);
    assert_string_equal(trace.attribute, "accessControlOperations");
    question.op = BST_OP_RETRIEVE;
    question.discovery = true;
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_false(trace.permitted);
    question.target = BST_VIEW("cse-in/none");
    assert_err(bst_cse_explain(f->cse, &question, &trace), BST_E_NOT_FOUND);
}

static void a_changed_policy_holds_at_once(void **state)
{
    struct cse_fixture *f = *state;
    static const char open[] = "'pv':{'acr':[{'acor':['Cfriend','Cowner'],'acop':63}]}";
    static const char shut[] = "'pv':{'acr':[{'acor':['Cowner'],'acop':63}]}";
    policy(f, "cse-in/owner", "live", "{'acor':['Cfriend','Cowner'],'acop':63}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'live-c','acpi':['cse-in/owner/live']"));
    for (int i = 0; i < 10; i++) {
        assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/live-c"));
        assert_rsc(2001, cse_create(f, "Cfriend", "cse-in/owner/live-c", "cin", "'con':'x'"));
        assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/live", "acp", shut));
        assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/live-c"));
        assert_rsc(4103, cse_create(f, "Cfriend", "cse-in/owner/live-c", "cin", "'con':'x'"));
        assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/live", "acp", open));
    }
    assert_rsc(2002, cse_delete(f, "Cowner", "cse-in/owner/live"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/live-c"));
    assert_rsc(4103, cse_retrieve(f, "Cowner", "cse-in/owner/live-c"));
    policy(f, "cse-in/owner", "live", "{'acor':['Cfriend'],'acop':2}");
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/live-c"));
}

static void a_policy_that_goes_with_its_parent_grants_nothing(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cgoes", "goes");
    assert_rsc(2001, cse_create(f, "Cgoes", "cse-in/goes", "acp",
                                "'rn':'p','pv':{'acr':[{'acor':['Cfriend'],'acop':2}]},"
                                "'pvs':{'acr':[{'acor':['Cgoes'],'acop':63}]}"));
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'goes-c','acpi':['cse-in/goes/p']"));
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/goes-c"));
    assert_rsc(2002, cse_delete(f, "Cgoes", "cse-in/goes"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/goes-c"));
}

static void self_privileges_govern_the_policy(void **state)
{
    struct cse_fixture *f = *state;
    policy(f, "cse-in/owner", "self", "{'acor':['Cfriend'],'acop':63}");
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/self"));
    assert_rsc(2000, cse_retrieve(f, "Cowner", "cse-in/owner/self"));
    assert_rsc(4000, cse_update(f, "Cowner", "cse-in/owner/self", "acp", "'pvs':{'acr':[]}"));
    assert_rsc(4000, cse_update(f, "Cowner", "cse-in/owner/self", "acp", "'pvs':null"));
    assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/self", "acp", "'pv':{'acr':[]}"));
    assert_rsc(4000,
               cse_create(f, "Cowner", "cse-in/owner", "acp", "'pv':{'acr':[]},'pvs':{'acr':[]}"));
    assert_rsc(4000, cse_create(f, "Cowner", "cse-in/owner", "acp", "'pv':{'acr':[]}"));
    assert_rsc(4000, cse_create(f, "Cowner", "cse-in/owner", "acp",
                                "'pv':{'acr':[{'acor':['x'],'acop':64}]},"
                                "'pvs':{'acr':[{'acor':['x'],'acop':63}]}"));
}

static void policy_links_change_alone_and_by_self_privilege(void **state)
{
    struct cse_fixture *f = *state;
    policy(f, "cse-in/owner", "la", "{'acor':['Cfriend','Cowner'],'acop':63}");
    policy(f, "cse-in/owner", "lb", "{'acor':['Cowner'],'acop':63}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'linked','acpi':['cse-in/owner/la']"));
    assert_rsc(2004, cse_update(f, "Cfriend", "cse-in/owner/linked", "cnt", "'lbl':['x']"));
    assert_rsc(
        4103, cse_update(f, "Cfriend", "cse-in/owner/linked", "cnt", "'acpi':['cse-in/owner/lb']"));
    assert_rsc(4000, cse_update(f, "Cowner", "cse-in/owner/linked", "cnt",
                                "'acpi':['cse-in/owner/lb'],'lbl':['y']"));
    assert_rsc(4000,
               cse_update(f, "Cowner", "cse-in/owner/linked", "cnt", "'acpi':['cse-in/owner/no']"));
    assert_rsc(4000, cse_update(f, "Cowner", "cse-in/owner/linked", "cnt", "'acpi':[]"));
    assert_rsc(2004,
               cse_update(f, "Cowner", "cse-in/owner/linked", "cnt", "'acpi':['cse-in/owner/lb']"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/linked"));
    assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/linked", "cnt", "'acpi':null"));
    assert_rsc(2000, cse_retrieve(f, "Cowner", "cse-in/owner/linked"));
    assert_rsc(4000,
               cse_create(f, "Cowner", "cse-in/owner", "cnt", "'acpi':['cse-in/owner/none']"));
    assert_rsc(4000, cse_create(f, "Cowner", "cse-in/owner", "cnt", "'acpi':['cse-in/owner']"));
}

static void a_group_admits_its_members(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "grp",
                                "'rn':'friends','mt':2,'mnm':5,'mid':['cse-in/friend']"));
    policy(f, "cse-in/owner", "bygroup", "{'acor':['cse-in/owner/friends'],'acop':2}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'bygroup-c','acpi':['cse-in/owner/bygroup']"));
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/bygroup-c"));
    assert_rsc(4103, cse_retrieve(f, "Cstranger", "cse-in/owner/bygroup-c"));
    static const char *const forms[] = {"Cfriend", "/id-in/Cfriend", "-/friend",
                                        "/id-in/cse-in/friend", "//acme.example.com/id-in/Cfriend"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char members[80];
        snprintf(members, sizeof members, "'mid':['%s']", forms[i]);
        assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/friends", "grp", members));
        assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/bygroup-c"));
        assert_rsc(4103, cse_retrieve(f, "Cstranger", "cse-in/owner/bygroup-c"));
    }
    assert_rsc(2004, cse_update(f, "Cowner", "cse-in/owner/friends", "grp", "'mid':['Cstranger']"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/bygroup-c"));
    assert_rsc(2000, cse_retrieve(f, "Cstranger", "cse-in/owner/bygroup-c"));
}

static void object_details_limit_what_is_created(void **state)
{
    struct cse_fixture *f = *state;
    policy(f, "cse-in/owner", "objd", "{'acor':['Cfriend'],'acop':1,'acod':[{'chty':[4]}]}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'objd-c','acpi':['cse-in/owner/objd']"));
    assert_rsc(2001, cse_create(f, "Cfriend", "cse-in/owner/objd-c", "cin", "'con':'x'"));
    assert_rsc(4103, cse_create(f, "Cfriend", "cse-in/owner/objd-c", "cnt", "'rn':'x'"));
}

static void an_unproved_originator_is_not_authenticated(void **state)
{
    struct cse_fixture *f = *state;
    struct bst_cse_trace trace;
    policy(f, "cse-in/owner", "auth", "{'acor':['Cfriend'],'acop':2,'acaf':true}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'auth-c','acpi':['cse-in/owner/auth']"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/auth-c"));
    struct bst_cse_question question = {.originator = BST_VIEW("Cfriend"),
                                        .target = BST_VIEW("cse-in/owner/auth-c"),
                                        .op = BST_OP_RETRIEVE,
                                        .proved = true};
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_true(trace.permitted);
}

static void an_address_range_is_compared_with_the_peer(void **state)
{
    struct cse_fixture *f = *state;
    policy(f, "cse-in/owner", "net",
           "{'acor':['Cfriend'],'acop':2,'acco':[{'acip':{'ipv4':['10.0.0.0/8']}}]}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'net-c','acpi':['cse-in/owner/net']"));
    assert_rsc(4103, cse_retrieve(f, "Cfriend", "cse-in/owner/net-c"));
    f->peer_ip = "10.1.2.3";
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/net-c"));
    f->peer_ip = "127.0.0.1";
}

static void the_base_policy_is_open_or_careful(void **state)
{
    struct cse_fixture g_ = {0}, *f = *state;
    assert_rsc(2000, cse_retrieve(f, "Cstranger", "cse-in"));
    assert_rsc(2001, cse_create(f, "Cstranger", "cse-in", "cnt", "'rn':'bybase'"));
    f = &g_;
    cse_init(f);
    f->config.open_base = false;
    cse_start(f);
    cse_register(f, "Cany", "any");
    assert_rsc(4103, cse_retrieve(f, "Cany", "cse-in"));
    assert_rsc(4103, cse_create(f, "Cany", "cse-in", "cnt", "'rn':'x'"));
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    const struct bst_cse_question question = {.originator = BST_VIEW("Cany"),
                                              .target = BST_VIEW("cse-in"),
                                              .op = BST_OP_RETRIEVE,
                                              .proved = true};
    struct bst_cse_trace trace;
    assert_ok(bst_cse_explain(f->cse, &question, &trace));
    assert_true(trace.permitted);
    cse_end(f);
}

/* [TS-0001 9.6.1.3.2] for each type that requests create: who gets in when nothing was said. With
 * acpi in the type it is the creator alone; without, the parent's rules (instances) or the type's
 * own (policies). */
static void the_default_holds_for_every_type(void **state)
{
    struct cse_fixture *f = *state;
    static const struct {
        const char *type, *to, *members;
    } rows[] = {
        {"cnt", "cse-in/owner", "'rn':'dcnt'"},
        {"cin", "cse-in/owner/dcnt", "'con':'x'"},
        {"grp", "cse-in/owner", "'mnm':1,'mid':[]"},
        {"acp", "cse-in/owner", "'pv':{'acr':[]},'pvs':{'acr':[{'acor':['Cowner'],'acop':63}]}"},
        {"nod", "cse-in", "'rn':'dnod','ni':'n:1'"},
        {"bat", "cse-in/dnod", "'mgd':1006,'btl':1,'bts':1"},
        {"asar", "cse-in", "'aai':['Nx']"},
        {"mssp", "cse-in", "'rn':'dmssp'"},
        {"svsn", "cse-in/dmssp", "'ni':'n:2'"},
        {"sub", "cse-in/owner/dcnt", "'nu':['Cowner']"},
        {"pch", "cse-in/owner", "'rn':'dpch'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char ri[64], path[64];
        assert_rsc(2001, cse_create(f, "Cowner", rows[i].to, rows[i].type, "%s", rows[i].members));
        snprintf(path, sizeof path, "m2m:%s/ri", rows[i].type);
        snprintf(ri, sizeof ri, "%s", cse_text(f, path));
        assert_rsc(2000, cse_retrieve(f, "Cowner", ri));
        assert_rsc(4103, cse_retrieve(f, "Cfriend", ri));
        assert_rsc(4103, cse_delete(f, "Cfriend", ri));
    }
}

static void a_custodian_stands_in_for_the_creator(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'kept','cstn':'Cfriend','lbl':['kept']"));
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/kept"));
    assert_rsc(4103, cse_retrieve(f, "Cowner", "cse-in/owner/kept"));
    assert_rsc(2000, cse_query(f, "Cfriend", "cse-in/owner", "'fc':{'fu':1,'lbl':['kept']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 1);
    assert_rsc(2002, cse_delete(f, "Cfriend", "cse-in/owner/kept"));
}

static void an_instance_follows_its_container(void **state)
{
    struct cse_fixture *f = *state;
    policy(f, "cse-in/owner", "follow",
           "{'acor':['Cfriend'],'acop':11},{'acor':['Cowner'],'acop':63}");
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner", "cnt",
                                "'rn':'follow-c','acpi':['cse-in/owner/follow']"));
    assert_rsc(2001, cse_create(f, "Cowner", "cse-in/owner/follow-c", "cin", "'rn':'i','con':'x'"));
    assert_rsc(2000, cse_retrieve(f, "Cfriend", "cse-in/owner/follow-c/i"));
    assert_rsc(2001,
               cse_create(f, "Cfriend", "cse-in/owner/follow-c", "cin", "'rn':'j','con':'x'"));
    assert_rsc(4103, cse_retrieve(f, "Cstranger", "cse-in/owner/follow-c/j"));
    assert_rsc(2002, cse_delete(f, "Cfriend", "cse-in/owner/follow-c/i"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_policy_only_the_creator_enters),
        cmocka_unit_test(each_operation_has_its_bit),
        cmocka_unit_test(the_administrator_is_let_in_by_a_policy_in_the_tree),
        cmocka_unit_test(an_explanation_says_rule_attribute_and_clause),
        cmocka_unit_test(a_changed_policy_holds_at_once),
        cmocka_unit_test(a_policy_that_goes_with_its_parent_grants_nothing),
        cmocka_unit_test(self_privileges_govern_the_policy),
        cmocka_unit_test(policy_links_change_alone_and_by_self_privilege),
        cmocka_unit_test(a_group_admits_its_members),
        cmocka_unit_test(object_details_limit_what_is_created),
        cmocka_unit_test(an_unproved_originator_is_not_authenticated),
        cmocka_unit_test(an_address_range_is_compared_with_the_peer),
        cmocka_unit_test(the_default_holds_for_every_type),
        cmocka_unit_test(a_custodian_stands_in_for_the_creator),
        cmocka_unit_test(an_instance_follows_its_container),
        cmocka_unit_test(the_base_policy_is_open_or_careful),
    };
    return cmocka_run_group_tests_name("cse access", tests, setup, cse_teardown);
}
