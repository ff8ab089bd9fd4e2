/* sec/acp: the reference access decision (TS-0003 7.1.5). Each kind of entry and each condition has
 * a request that it permits and one that it does not. */
#include "support/test.h"

#include "sec/acp.h"

#include <stdio.h>

static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};

static bst_result compile_as(const char *json, bool self_privileges, struct bst_acp_rules **ret)
{
    struct bst_arena arena;
    bst_arena_init(&arena, 0);
    yyjson_val *root;
    assert_ok(bst_json_parse(&arena, bst_view(json), 16, &root));
    struct bst_acp_source source = {&self, BST_VIEW("acp1"), self_privileges};
    bst_result r = bst_acp_compile(&source, root, ret);
    bst_arena_clear(&arena);
    return r;
}

static struct bst_acp_rules *compile(const char *json)
{
    struct bst_acp_rules *rules = NULL;
    assert_ok(compile_as(json, false, &rules));
    return rules;
}
#define RULES __attribute__((cleanup(bst_acp_rules_free))) struct bst_acp_rules

static void originator_init(struct bst_originator *o, const char *from)
{
    *o = (struct bst_originator){0};
    assert_ok(bst_entity_parse(&self, bst_view(from), &o->id));
    bst_originator_init(o);
}

static struct bst_access_decision decide(const struct bst_acp_rules *rules,
                                         struct bst_access_request req, const char *from)
{
    static struct bst_originator o;
    struct bst_access_decision d;
    originator_init(&o, from);
    req.originator = &o;
    req.op = req.op ? req.op : BST_ACOP_RETRIEVE;
    bst_access_decide(&rules, 1, &req, &d);
    struct bst_buf text = {0};
    bst_access_explain(&d, &req, &text); /* every decision has an explanation */
    assert_ok(bst_buf_check(&text));
    assert_true(text.len > 20);
    bst_buf_clear(&text);
    return d;
}

static bool permits(const char *json, const char *from)
{
    RULES *rules = compile(json);
    return decide(rules, (struct bst_access_request){0}, from).permit;
}

/* One rule with one originator entry and RETRIEVE. */
static bool entry_permits(const char *entry, const char *from)
{
    char json[512];
    snprintf(json, sizeof json, "{\"acr\":[{\"acor\":[\"%s\"],\"acop\":2}]}", entry);
    return permits(json, from);
}

/* ---- originators ---- */

static void an_entry_matches_every_form_of_its_originator(void **state)
{
    static const char *const s_forms[] = {"S1", "/S1", "//acme.example.com/S1", "/id-in/S1",
                                          "//ACME.example.com/S1"};
    static const char *const c_forms[] = {"C1", "/id-in/C1", "//acme.example.com/id-in/C1"};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            assert_true(entry_permits(s_forms[i], s_forms[k]));
        }
        assert_false(entry_permits(s_forms[i], "S11"));
        assert_false(entry_permits(s_forms[i], "C1"));
        assert_false(entry_permits(s_forms[i], "//other.example/S1"));
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            assert_true(entry_permits(c_forms[i], c_forms[k]));
        }
        assert_false(entry_permits(c_forms[i], "/id-mn/C1"));
    }
    assert_true(entry_permits("/id-mn", "/id-mn"));
    assert_false(entry_permits("/id-mn", "/id-mn/C1"));
}

static void all_means_all(void **state)
{
    assert_true(entry_permits("all", "S1"));
    assert_true(entry_permits("all", "//other.example/cse/C4"));
    assert_false(entry_permits("All", "S1"));
    assert_false(entry_permits("al*", "S1"));
}

static void wildcards_end_at_a_slash(void **state)
{
    assert_true(entry_permits("C*", "C123"));
    assert_false(entry_permits("C*", "/id-mn/C123"));
    assert_true(entry_permits("/id-mn/C98*", "/id-mn/C9886"));
    assert_false(entry_permits("/id-mn/C98*", "/id-mn/C1"));
    assert_true(entry_permits("//*/id-mn", "//other.example/id-mn"));
    assert_false(entry_permits("//*/id-mn", "//other.example/id-mn/C1"));
    assert_false(entry_permits("/id*", "/id-mn/C1"));
    assert_true(entry_permits("*", "S1"));
    assert_false(entry_permits("*", "/id-mn"));
}

static void a_domain_matches_everyone_in_it(void **state)
{
    assert_true(entry_permits("//other.example", "//other.example/cse/C4"));
    assert_true(entry_permits("//other.example", "//other.example/S4"));
    assert_true(entry_permits("other.example", "//OTHER.example/cse"));
    assert_false(entry_permits("//other.example", "//sub.other.example/S4"));
    assert_false(entry_permits("//other.example", "S4"));
    assert_true(entry_permits("//*.example", "//other.example/S4"));
    assert_false(entry_permits("//*.example", "//other.test/S4"));
    assert_true(entry_permits("//acme.example.com", "S4"));
}

static enum bst_membership in_group(void *ctx, struct bst_view group,
                                    const struct bst_originator *o)
{
    int *calls = ctx;
    (*calls)++;
    if (bst_view_is(group, "cse-in/gone")) {
        return BST_MEMBER_UNREACHABLE;
    }
    return bst_view_is(bst_entity_abs(&o->id), "//acme.example.com/S1") ? BST_MEMBER_YES
                                                                        : BST_MEMBER_NO;
}

static void a_group_stands_for_its_members(void **state)
{
    int calls = 0;
    struct bst_access_request req = {.group = in_group, .group_ctx = &calls};
    static const char *const groups[] = {"cse-in/grp", "/id-in/cse-in/grp", "abcdefghij234",
                                         "//acme.example.com/id-in/cse-in/grp"};
    for (size_t i = 0; i < 4; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"acr\":[{\"acor\":[\"%s\"],\"acop\":2}]}", groups[i]);
        RULES *rules = compile(json);
        struct bst_access_decision d = decide(rules, req, "S1");
        assert_true(d.permit);
        assert_true(bst_view_is(d.entry, groups[i]));
        assert_false(decide(rules, req, "S2").permit);
        assert_false(decide(rules, (struct bst_access_request){0}, "S1").permit);
    }
}

static void a_group_that_cannot_be_had_grants_nothing(void **state)
{
    int calls = 0;
    struct bst_access_request req = {.group = in_group, .group_ctx = &calls};
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"cse-in/gone\"],\"acop\":2}]}");
    struct bst_access_decision d = decide(rules, req, "S1");
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_GROUP);
    RULES *both = compile("{\"acr\":[{\"acor\":[\"cse-in/gone\",\"S1\"],\"acop\":2}]}");
    assert_true(decide(both, req, "S1").permit);
}

static void groups_are_asked_last(void **state)
{
    int calls = 0;
    struct bst_access_request req = {.group = in_group, .group_ctx = &calls};
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"cse-in/grp\"],\"acop\":2},"
                           "{\"acor\":[\"S1\"],\"acop\":2}]}");
    req.op = BST_ACOP_RETRIEVE;
    assert_true(decide(rules, req, "S1").permit);
    assert_int_equal(calls, 1);
    calls = 0;
    RULES *listed = compile("{\"acr\":[{\"acor\":[\"S1\",\"cse-in/grp\"],\"acop\":2}]}");
    assert_true(decide(listed, req, "S1").permit);
    assert_int_equal(calls, 0);
}

static void roles_count_only_when_they_were_verified(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"reader@roles.example.com\"],\"acop\":2}]}");
    const struct bst_view roles[] = {BST_VIEW("other@roles.example.com"),
                                     BST_VIEW("reader@roles.example.com")};
    assert_false(decide(rules, (struct bst_access_request){0}, "S1").permit);
    assert_true(
        decide(rules, (struct bst_access_request){.roles = roles, .n_roles = 2}, "S1").permit);
    assert_false(
        decide(rules, (struct bst_access_request){.roles = roles, .n_roles = 1}, "S1").permit);
}

static void nobody_is_matched_by_all_only(void **state)
{
    RULES *all = compile("{\"acr\":[{\"acor\":[\"all\"],\"acop\":63}]}");
    RULES *some = compile("{\"acr\":[{\"acor\":[\"*\",\"//*\",\"S1\"],\"acop\":63}]}");
    struct bst_originator nobody = {0};
    struct bst_access_request req = {.originator = &nobody, .op = BST_ACOP_RETRIEVE};
    struct bst_access_decision d;
    const struct bst_acp_rules *sets[] = {some, all};
    bst_access_decide(sets, 2, &req, &d);
    assert_true(d.permit);
    bst_access_decide(sets, 1, &req, &d);
    assert_false(d.permit);
}

/* ---- operations, authentication ---- */

static void every_operation_has_its_bit(void **state)
{
    for (uint32_t granted = 1; granted < 64; granted <<= 1) {
        char json[128];
        snprintf(json, sizeof json, "{\"acr\":[{\"acor\":[\"all\"],\"acop\":%u}]}", granted);
        RULES *rules = compile(json);
        for (uint32_t op = 1; op < 64; op <<= 1) {
            struct bst_access_decision d =
                decide(rules, (struct bst_access_request){.op = op}, "S1");
            assert_int_equal(d.permit, op == granted);
            assert_int_equal(d.step, op == granted ? BST_ACCESS_PERMITTED : BST_ACCESS_OPERATION);
        }
    }
}

static void the_authentication_flag_asks_for_proof(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acaf\":true}]}");
    RULES *open = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acaf\":false}]}");
    struct bst_access_decision d = decide(rules, (struct bst_access_request){0}, "S1");
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_AUTHENTICATION);
    assert_true(decide(rules, (struct bst_access_request){.authenticated = true}, "S1").permit);
    assert_true(decide(open, (struct bst_access_request){0}, "S1").permit);
}

/* ---- contexts ---- */

static int64_t at(const char *time)
{
    int64_t us;
    assert_ok(bst_m2m_time_parse(bst_view(time), &us));
    return us;
}

static void a_window_opens_and_closes(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,"
                           "\"acco\":[{\"actw\":[\"* * 8-17 * * 1-5 *\",\"* * 20 * * 6 *\"]}]}]}");
    struct bst_access_request req = {.now_us = at("20261123T120000")};
    assert_true(decide(rules, req, "S1").permit);
    req.now_us = at("20261128T203000");
    assert_true(decide(rules, req, "S1").permit);
    req.now_us = at("20261123T190000");
    struct bst_access_decision d = decide(rules, req, "S1");
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_WINDOW);
    assert_string_equal(bst_access_attribute(&d), "accessControlWindow");
    req.now_us = 0;
    assert_false(decide(rules, req, "S1").permit);
}

static void an_address_range_asks_for_an_address(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"acip\":"
                           "{\"ipv4\":[\"192.168.0.0/16\"],\"ipv6\":[\"2001:db8::/32\"]}}]}]}");
    struct bst_access_request req = {0};
    assert_int_equal(decide(rules, req, "S1").step, BST_ACCESS_IP);
    assert_ok(bst_ip_parse(BST_VIEW("192.168.3.4"), &req.ip));
    assert_true(decide(rules, req, "S1").permit);
    assert_ok(bst_ip_parse(BST_VIEW("2001:db8::7"), &req.ip));
    assert_true(decide(rules, req, "S1").permit);
    assert_ok(bst_ip_parse(BST_VIEW("10.0.0.1"), &req.ip));
    assert_false(decide(rules, req, "S1").permit);
}

static void a_region_without_a_source_of_locations_matches_nothing(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,"
                           "\"acco\":[{\"aclr\":{\"accc\":[\"FR\",\"es\"]}}]}]}");
    struct bst_access_request req = {0};
    struct bst_access_decision d = decide(rules, req, "S1");
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_NO_LOCATION);
    static struct bst_originator o;
    originator_init(&o, "S1");
    req.originator = &o;
    bst_auto(buf) text = {0};
    bst_access_explain(&d, &req, &text);
    bst_buf_addc(&text, '\0');
    assert_non_null(strstr(text.ptr, "no source of locations"));
    struct bst_location spain = {.country = "ES"}, italy = {.country = "IT"};
    req.location = &spain;
    assert_true(decide(rules, req, "S1").permit);
    req.location = &italy;
    assert_int_equal(decide(rules, req, "S1").step, BST_ACCESS_LOCATION);
}

static void a_circle_has_an_inside_and_an_outside(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,"
                           "\"acco\":[{\"aclr\":{\"accr\":[43.6,7.0,5000]}}]}]}");
    struct bst_location in = {.has_point = true, .latitude = 43.61, .longitude = 7.01};
    struct bst_location out = {.has_point = true, .latitude = 44, .longitude = 7.01};
    assert_true(decide(rules, (struct bst_access_request){.location = &in}, "S1").permit);
    assert_false(decide(rules, (struct bst_access_request){.location = &out}, "S1").permit);
}

static void a_context_needs_all_its_parts_and_a_rule_any_context(void **state)
{
    RULES *rules =
        compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":["
                "{\"actw\":[\"* * 8 * * * *\"],\"acip\":{\"ipv4\":[\"10.0.0.0/8\"]}},"
                "{\"actw\":[\"* * 9 * * * *\"]},{\"acip\":{\"ipv4\":[\"127.0.0.1\"]}}]}]}");
    struct bst_access_request req = {.now_us = at("20261123T080000")};
    assert_ok(bst_ip_parse(BST_VIEW("10.1.2.3"), &req.ip));
    assert_true(decide(rules, req, "S1").permit);
    req.now_us = at("20261123T090000");
    assert_true(decide(rules, req, "S1").permit);
    req.now_us = at("20261123T100000");
    assert_false(decide(rules, req, "S1").permit);
    assert_ok(bst_ip_parse(BST_VIEW("127.0.0.1"), &req.ip));
    assert_true(decide(rules, req, "S1").permit);
    RULES *empty = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[]}]}");
    assert_true(decide(empty, (struct bst_access_request){0}, "S1").permit);
    RULES *open = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{}]}]}");
    assert_true(decide(open, (struct bst_access_request){0}, "S1").permit);
}

/* ---- object details ---- */

static void object_details_limit_what_is_created(void **state)
{
    RULES *rules = compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":3,"
                           "\"acod\":[{\"ty\":3,\"chty\":[4,23]},{\"chty\":[9]}]}]}");
    struct bst_access_request req = {.op = BST_ACOP_CREATE, .target_ty = 3, .create_ty = 4};
    assert_true(decide(rules, req, "S1").permit);
    req.create_ty = 3;
    assert_int_equal(decide(rules, req, "S1").step, BST_ACCESS_OBJECT);
    req.create_ty = 4;
    req.target_ty = 2;
    assert_false(decide(rules, req, "S1").permit);
    req.create_ty = 9;
    assert_true(decide(rules, req, "S1").permit);
    req.op = BST_ACOP_RETRIEVE;
    req.create_ty = 0;
    assert_true(decide(rules, req, "S1").permit);
}

static void a_specialisation_may_be_that_of_the_target_or_of_the_content(void **state)
{
    RULES *rules =
        compile("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":1,\"acod\":["
                "{\"ty\":28,\"spty\":{\"cnd\":\"org.onem2m.home.device.light\"},\"chty\":[28]},"
                "{\"ty\":14,\"spty\":{\"mgd\":1001},\"chty\":[13]}]}]}");
    struct bst_access_request req = {.op = BST_ACOP_CREATE, .target_ty = 28, .create_ty = 28};
    assert_false(decide(rules, req, "S1").permit);
    req.target_spec = BST_VIEW("org.onem2m.home.device.light");
    assert_true(decide(rules, req, "S1").permit);
    req.target_spec = BST_VIEW("org.onem2m.home.device.heater");
    assert_false(decide(rules, req, "S1").permit);
    req.content_spec = BST_VIEW("org.onem2m.home.device.light");
    assert_true(decide(rules, req, "S1").permit);
    req = (struct bst_access_request){
        .op = BST_ACOP_CREATE, .target_ty = 14, .create_ty = 13, .content_spec = BST_VIEW("1001")};
    assert_true(decide(rules, req, "S1").permit);
    req.content_spec = BST_VIEW("1002");
    assert_false(decide(rules, req, "S1").permit);
}

/* ---- combining ---- */

static void one_permitting_rule_of_one_policy_is_enough(void **state)
{
    RULES *a =
        compile("{\"acr\":[{\"acor\":[\"S2\"],\"acop\":63},{\"acor\":[\"S1\"],\"acop\":1}]}");
    RULES *b =
        compile("{\"acr\":[{\"acor\":[\"S3\"],\"acop\":63},{\"acor\":[\"S1\"],\"acop\":2}]}");
    struct bst_originator o;
    originator_init(&o, "S1");
    struct bst_access_request req = {.originator = &o, .op = BST_ACOP_RETRIEVE};
    const struct bst_acp_rules *sets[] = {NULL, a, b};
    struct bst_access_decision d;
    bst_access_decide(sets, 3, &req, &d);
    assert_true(d.permit);
    assert_ptr_equal(d.policy, b);
    assert_int_equal(d.rule, 1);
    bst_access_decide(sets, 2, &req, &d);
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_OPERATION);
    assert_int_equal(d.rule, 1);
}

static void no_policy_and_no_rule_are_a_deny(void **state)
{
    struct bst_originator o;
    originator_init(&o, "S1");
    struct bst_access_request req = {.originator = &o, .op = BST_ACOP_RETRIEVE};
    struct bst_access_decision d;
    const struct bst_acp_rules *gone[] = {NULL, NULL};
    bst_access_decide(NULL, 0, &req, &d);
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_NO_POLICY);
    bst_access_decide(gone, 2, &req, &d);
    assert_int_equal(d.step, BST_ACCESS_NO_POLICY);
    RULES *empty = compile("{\"acr\":[]}");
    const struct bst_acp_rules *sets[] = {empty};
    bst_access_decide(sets, 1, &req, &d);
    assert_false(d.permit);
    assert_int_equal(d.step, BST_ACCESS_NO_RULE);
    RULES *bare = compile("{}");
    assert_int_equal(bst_acp_rules_count(bare), 0);
}

static void the_default_is_the_creator_alone(void **state)
{
    struct bst_originator o;
    originator_init(&o, "S1");
    struct bst_access_request req = {.originator = &o, .op = BST_ACOP_DELETE};
    struct bst_access_decision d;
    bst_access_decide_creator(BST_VIEW("//acme.example.com/S1"), &req, &d);
    assert_true(d.permit);
    bst_access_decide_creator(BST_VIEW("//acme.example.com/S2"), &req, &d);
    assert_false(d.permit);
    assert_string_equal(bst_access_attribute(&d), "creator");
    bst_access_decide_creator(BST_VIEW(""), &req, &d);
    assert_false(d.permit);
    struct bst_originator nobody = {0};
    req.originator = &nobody;
    bst_access_decide_creator(BST_VIEW(""), &req, &d);
    assert_false(d.permit);
}

static void an_explanation_names_policy_rule_and_attribute(void **state)
{
    RULES *rules =
        compile("{\"acr\":[{\"acor\":[\"S2\"],\"acop\":63},"
                "{\"acor\":[\"S*\"],\"acop\":2,\"acco\":[{\"actw\":[\"* * 8 * * * *\"]}]}]}");
    struct bst_originator o;
    originator_init(&o, "S1");
    struct bst_access_request req = {
        .originator = &o, .op = BST_ACOP_RETRIEVE, .now_us = at("20261123T120000")};
    struct bst_access_decision d;
    const struct bst_acp_rules *sets[] = {rules};
    bst_access_decide(sets, 1, &req, &d);
    bst_auto(buf) text = {0};
    bst_access_explain(&d, &req, &text);
    bst_buf_addc(&text, '\0');
    assert_string_equal(text.ptr,
                        "deny RETRIEVE for //acme.example.com/S1: the rule does not hold at this "
                        "time (UTC); rule 1 of privileges of acp1, originator entry 'S*' "
                        "(accessControlWindow, TS-0003 7.1.3)");
}

static void self_privileges_need_a_rule(void **state)
{
    struct bst_acp_rules *rules = NULL;
    assert_err(compile_as("{\"acr\":[]}", true, &rules), BST_E_VALUE);
    assert_err(compile_as("{}", true, &rules), BST_E_VALUE);
    assert_null(rules);
    RULES *pvs = NULL;
    assert_ok(compile_as("{\"acr\":[{\"acor\":[\"S1\"],\"acop\":4}]}", true, &pvs));
    struct bst_access_decision d = decide(pvs, (struct bst_access_request){.op = 4}, "S1");
    assert_true(d.permit);
    assert_string_equal(bst_access_attribute(&d), "selfPrivileges");
}

/* ---- against a plain reading of the algorithm ---- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

struct plain_rule {
    unsigned entries[3], n_entries;
    uint32_t ops;
    bool authenticated, limits_time, limits_ip, limits_children;
    unsigned hour, child;
};

static const char *const ENTRIES[] = {
    "S1",  "S2",     "C1",         "/id-mn/C1",          "/id-mn",          "S*",
    "C*",  "/id-*",  "/id-*/C*",   "//acme.example.com", "//other.example", "//*.example",
    "all", "//*/S1", "r@x.example"};
static const char *const ORIGINATORS[] = {
    "S1", "S2", "S9", "C1", "/id-mn/C1", "/id-mn2/C7", "/id-mn", "//other.example/S1"};

static bool plain_entry(const char *entry, const struct bst_entity_id *id)
{
    struct bst_view text = bst_view(entry);
    if (bst_view_is(text, "all")) {
        return true;
    }
    if (strchr(entry, '@')) {
        return false;
    }
    if (bst_view_starts(text, BST_VIEW("//")) && !strchr(entry + 2, '/')) {
        return bst_wildcard_match(bst_view_from(text, 2), bst_entity_sp(id), '\0');
    }
    struct bst_entity_id patterns[2];
    size_t n;
    assert_ok(bst_entity_pattern(&self, text, patterns, &n));
    return bst_entity_matches(&patterns[0], id);
}

static bool plain_rule_permits(const struct plain_rule *rule, const struct bst_access_request *req,
                               unsigned hour)
{
    bool listed = false;
    for (unsigned i = 0; i < rule->n_entries; i++) {
        listed = listed || plain_entry(ENTRIES[rule->entries[i]], &req->originator->id);
    }
    return listed && (rule->ops & req->op) && (!rule->authenticated || req->authenticated) &&
           (!rule->limits_time || rule->hour == hour) &&
           (!rule->limits_ip || req->ip.family == 4) &&
           (!rule->limits_children || req->op != BST_ACOP_CREATE ||
            (int)rule->child == req->create_ty);
}

static void draw_rule(uint32_t *seed, struct plain_rule *rule, struct bst_buf *json)
{
    *rule = (struct plain_rule){.n_entries = draw(seed, 4), .ops = 1 + draw(seed, 63)};
    rule->authenticated = draw(seed, 4) == 0;
    rule->limits_time = draw(seed, 3) == 0;
    rule->limits_ip = draw(seed, 4) == 0;
    rule->limits_children = draw(seed, 3) == 0;
    rule->hour = draw(seed, 3);
    rule->child = 2 + draw(seed, 3);
    bst_buf_adds(json, "{\"acor\":[");
    for (unsigned i = 0; i < rule->n_entries; i++) {
        rule->entries[i] = draw(seed, sizeof ENTRIES / sizeof ENTRIES[0]);
        bst_buf_addf(json, "%s\"%s\"", i ? "," : "", ENTRIES[rule->entries[i]]);
    }
    bst_buf_addf(json, "],\"acop\":%u,\"acaf\":%s,\"acco\":[{", rule->ops,
                 rule->authenticated ? "true" : "false");
    if (rule->limits_time) {
        bst_buf_addf(json, "\"actw\":[\"* * %u * * * *\"]%s", rule->hour,
                     rule->limits_ip ? "," : "");
    }
    bst_buf_adds(json, rule->limits_ip ? "\"acip\":{\"ipv4\":[\"0.0.0.0/0\"]}" : "");
    bst_buf_adds(json, "}]");
    if (rule->limits_children) {
        bst_buf_addf(json, ",\"acod\":[{\"chty\":[%u]}]", rule->child);
    }
    bst_buf_addc(json, '}');
}

static void decisions_are_those_of_a_plain_reading(void **state)
{
    uint32_t seed = 20261123;
    unsigned permitted = 0;
    for (int round = 0; round < 1500; round++) {
        struct plain_rule plain[6];
        unsigned n = draw(&seed, 7);
        bst_auto(buf) json = {0};
        bst_buf_adds(&json, "{\"acr\":[");
        for (unsigned i = 0; i < n; i++) {
            bst_buf_adds(&json, i ? "," : "");
            draw_rule(&seed, &plain[i], &json);
        }
        bst_buf_adds(&json, "]}");
        bst_buf_addc(&json, '\0');
        RULES *rules = compile(json.ptr);
        for (int k = 0; k < 20; k++) {
            struct bst_originator o;
            originator_init(&o, ORIGINATORS[draw(&seed, 8)]);
            unsigned hour = draw(&seed, 3);
            struct bst_access_request req = {.originator = &o,
                                             .op = 1u << draw(&seed, 6),
                                             .create_ty = 2 + (int)draw(&seed, 3),
                                             .now_us = at("20261123T000000") +
                                                       hour * INT64_C(3600) * BST_US_PER_S,
                                             .authenticated = draw(&seed, 2),
                                             .ip = {(uint8_t)(draw(&seed, 2) * 4), {10, 0, 0, 1}}};
            bool expected = false;
            for (unsigned i = 0; i < n; i++) {
                expected = expected || plain_rule_permits(&plain[i], &req, hour);
            }
            struct bst_access_decision d;
            const struct bst_acp_rules *sets[] = {rules};
            bst_access_decide(sets, 1, &req, &d);
            if (d.permit != expected || (d.step == BST_ACCESS_PERMITTED) != expected) {
                fail_msg("%s decided %d for %s", json.ptr, d.permit, o.id.abs);
            }
            permitted += d.permit;
        }
    }
    assert_true(permitted > 1000 && permitted < 29000);
}

/* ---- wrong policies ---- */

static void wrong_policies_are_refused_with_the_attribute(void **state)
{
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"[]", "object"},
        {"{\"acr\":{}}", "acr"},
        {"{\"acr\":[1]}", "object"},
        {"{\"rules\":[]}", "rules"},
        {"{\"acr\":[{\"acop\":1}]}", "acor"},
        {"{\"acr\":[{\"acor\":\"all\",\"acop\":1}]}", "acor"},
        {"{\"acr\":[{\"acor\":[1],\"acop\":1}]}", "acor"},
        {"{\"acr\":[{\"acor\":[\"\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"a b\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"a@@b\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"//bad_domain\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"/a/b/c*\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"/../x/y\"],\"acop\":1}]}", "accessControlOriginators"},
        {"{\"acr\":[{\"acor\":[\"S1\"]}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":0}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":64}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":\"2\"}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2.5}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":18446744073709551615}]}", "acop"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"x\":1}]}", "'x'"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acaf\":1}]}", "acaf"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":{}}]}", "acco"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"when\":1}]}]}", "when"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"actw\":[\"* *\"]}]}]}", "hour"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"actw\":[7]}]}]}", "Window"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"acip\":{}}]}]}", "acip"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"acip\":{\"ipv4\":[\"::1\"]}}]}]}",
         "IpAddresses"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{}}]}]}", "aclr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accr\":[1,2]}}]}]}",
         "accr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accr\":[1,2,3,4]}}]}]}",
         "accr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accr\":[91,2,3]}}]}]}",
         "accr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accr\":[1,2,-3]}}]}]}",
         "accr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accc\":[\"FRA\"]}}]}]}",
         "accc"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,\"acco\":[{\"aclr\":{\"accc\":[]}}]}]}", "accc"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":2,"
         "\"acco\":[{\"aclr\":{\"accr\":[1,2,3],\"accc\":[\"FR\"]}}]}]}",
         "aclr"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":1,\"acod\":[{}]}]}", "chty"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":1,\"acod\":[{\"chty\":[\"4\"]}]}]}", "type"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":1,\"acod\":[{\"ty\":0,\"chty\":[4]}]}]}", "type"},
        {"{\"acr\":[{\"acor\":[\"S1\"],\"acop\":1,\"acod\":[{\"spty\":{},\"chty\":[4]}]}]}",
         "spty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bst_acp_rules *rules = NULL;
        bst_result r = compile_as(bad[i].json, false, &rules);
        if (!bst_failed(r) || bst_error_rsc(r.code) != 4000 ||
            !strstr(bst_error_detail(), bad[i].says)) {
            fail_msg("%s: %s: %s", bad[i].json, bst_error_name(r.code), bst_error_detail());
        }
        assert_null(rules);
    }
}

static void a_policy_of_absurd_size_is_refused(void **state)
{
    bst_auto(buf) json = {0};
    bst_buf_adds(&json, "{\"acr\":[");
    for (int i = 0; i < 1100; i++) {
        bst_buf_addf(&json, "%s{\"acor\":[\"S1\"],\"acop\":2}", i ? "," : "");
    }
    bst_buf_adds(&json, "]}");
    bst_buf_addc(&json, '\0');
    struct bst_acp_rules *rules = NULL;
    assert_err(compile_as(json.ptr, false, &rules), BST_E_TOO_LONG);
    bst_buf_clear(&json);
    bst_buf_adds(&json, "{\"acr\":[{\"acop\":2,\"acor\":[");
    for (int i = 0; i < 17000; i++) {
        bst_buf_addf(&json, "%s\"S%d\"", i ? "," : "", i);
    }
    bst_buf_adds(&json, "]}]}");
    bst_buf_addc(&json, '\0');
    assert_err(compile_as(json.ptr, false, &rules), BST_E_TOO_LONG);
}

static void a_compile_without_memory_leaves_nothing_behind(void **state)
{
    for (long n = 1; n < 200; n++) {
        struct bst_arena arena;
        bst_arena_init(&arena, 0);
        yyjson_val *root;
        assert_ok(bst_json_parse(
            &arena,
            BST_VIEW("{\"acr\":[{\"acor\":[\"S1\",\"C*\",\"//x.example\"],\"acop\":2,"
                     "\"acco\":[{\"actw\":[\"* * * * * * *\"]}]}]}"),
            16, &root));
        struct bst_acp_source source = {&self, BST_VIEW("acp1"), false};
        struct bst_acp_rules *rules = NULL;
        bst_alloc_fail_at(n);
        bst_result r = bst_acp_compile(&source, root, &rules);
        bool reached = bst_alloc_count() >= n;
        bst_alloc_fail_at(0);
        bst_arena_clear(&arena);
        assert_int_equal(r.code, reached ? BST_E_NOMEM : BST_E_NONE);
        bst_acp_rules_free(&rules);
        if (!reached) {
            return;
        }
    }
    fail_msg("compiling takes too many allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_matches_every_form_of_its_originator),
        cmocka_unit_test(all_means_all),
        cmocka_unit_test(wildcards_end_at_a_slash),
        cmocka_unit_test(a_domain_matches_everyone_in_it),
        cmocka_unit_test(a_group_stands_for_its_members),
        cmocka_unit_test(a_group_that_cannot_be_had_grants_nothing),
        cmocka_unit_test(groups_are_asked_last),
        cmocka_unit_test(roles_count_only_when_they_were_verified),
        cmocka_unit_test(nobody_is_matched_by_all_only),
        cmocka_unit_test(every_operation_has_its_bit),
        cmocka_unit_test(the_authentication_flag_asks_for_proof),
        cmocka_unit_test(a_window_opens_and_closes),
        cmocka_unit_test(an_address_range_asks_for_an_address),
        cmocka_unit_test(a_region_without_a_source_of_locations_matches_nothing),
        cmocka_unit_test(a_circle_has_an_inside_and_an_outside),
        cmocka_unit_test(a_context_needs_all_its_parts_and_a_rule_any_context),
        cmocka_unit_test(object_details_limit_what_is_created),
        cmocka_unit_test(a_specialisation_may_be_that_of_the_target_or_of_the_content),
        cmocka_unit_test(one_permitting_rule_of_one_policy_is_enough),
        cmocka_unit_test(no_policy_and_no_rule_are_a_deny),
        cmocka_unit_test(the_default_is_the_creator_alone),
        cmocka_unit_test(an_explanation_names_policy_rule_and_attribute),
        cmocka_unit_test(self_privileges_need_a_rule),
        cmocka_unit_test(decisions_are_those_of_a_plain_reading),
        cmocka_unit_test(wrong_policies_are_refused_with_the_attribute),
        cmocka_unit_test(a_policy_of_absurd_size_is_refused),
        cmocka_unit_test(a_compile_without_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
