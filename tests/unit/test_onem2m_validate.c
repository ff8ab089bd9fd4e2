/* Representations of CREATE and UPDATE against the attribute tables. */
#include "support/test.h"

#include "onem2m/r1.h"

static struct bst_arena arena;

static int setup(void **state)
{
    bst_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    bst_arena_clear(&arena);
    return 0;
}

static bst_result check(const char *root, enum bst_m2m_op op, const char *members)
{
    yyjson_val *value;
    assert_ok(bst_json_parse(&arena, bst_view(members), BST_JSON_DEPTH, &value));
    return bst_m2m_validate(bst_m2m_type_by_root(bst_view(root)), op, value);
}

struct refusal {
    const char *root, *members;
    enum bst_error code;
    const char *sentence;
};

static void each_is_refused(const struct refusal *r, size_t n, enum bst_m2m_op op)
{
    for (size_t i = 0; i < n; i++) {
        bst_result got = check(r[i].root, op, r[i].members);
        if (got.code != r[i].code || !strstr(bst_error_detail(), r[i].sentence)) {
            fail_msg("%s %s: %s \"%s\" instead of %s \"%s\"", r[i].root, r[i].members,
                     bst_error_name(got.code), bst_error_detail(), bst_error_name(r[i].code),
                     r[i].sentence);
        }
    }
}
#define REFUSED(table, op) each_is_refused(table, sizeof table / sizeof table[0], op)

static void good_representations_pass(void **state)
{
    static const char *const good[][2] = {
        {"m2m:ae",
         "{\"api\":\"N.x\",\"rr\":true,\"srv\":[\"2a\",\"3\",\"4\"],\"rn\":\"a1\",\"poa\":[\"http:/"
         "/h:1/x\"],"
         "\"lbl\":[\"a\",\"b:c\"],\"apn\":\"\",\"csz\":[\"json\"],\"at\":[],\"aa\":[\"lbl\"]}"},
        {"m2m:cnt", "{}"},
        {"m2m:cnt", "{\"mni\":0,\"mbs\":9223372036854775807,\"mia\":1,\"disr\":false,\"cr\":null,"
                    "\"et\":\"20991231T235959,123456\",\"acpi\":[\"cse-in/acp\",\"/id-in/x\",\"//"
                    "sp.org/id/x\"]}"},
        {"m2m:cin", "{\"con\":\"x\",\"cnf\":\"application/json:1:5\"}"},
        {"m2m:cin", "{\"con\":{\"any\":[1,null]}}"},
        {"m2m:cin", "{\"con\":\"\"}"},
        {"m2m:cin", "{\"con\":\"x\",\"conr\":{\"urir\":[{\"nm\":\"a\",\"uri\":\"cse-in/x\"}]}}"},
        {"m2m:acp",
         "{\"pv\":{\"acr\":[{\"acor\":[\"CAdmin\",\"all\",\"*\"],\"acop\":63,\"acco\":[{\"actw\":"
         "[\"* 0-5 2,6,10 * * * "
         "*\"],\"acip\":{\"ipv4\":[\"10.0.0.0/8\"],\"ipv6\":[\"::/0\"]},\"aclr\":"
         "{\"accr\":[1.5,2,3],\"accc\":[\"KR\"]}}],\"acaf\":true,\"acod\":[{\"ty\":3,\"chty\":[4]}]"
         "}]},"
         "\"pvs\":{\"acr\":[]}}"},
        {"m2m:sub", "{\"nu\":[\"http://h/"
                    "x?ct=json\",\"Cae\"],\"nct\":1,\"enc\":{\"net\":[1,2,3,4],\"chty\":[4],\"om\":"
                    "[{\"ops\":1,\"or\":\"Ca\"}],\"atr\":[\"mni\"]},\"exc\":5,\"rl\":{\"mnn\":3,"
                    "\"tww\":\"PT1M\"}}"},
        {"m2m:grp", "{\"mid\":[],\"mnm\":5,\"mt\":3,\"csy\":1,\"macp\":[\"acp\"],\"gn\":\"name\"}"},
        {"m2m:nod", "{\"ni\":\"urn:gsma:imei:90420156-025763-0\"}"},
        {"m2m:pch", "{\"rn\":\"p\"}"},
        {"m2m:sch", "{\"se\":{\"sce\":[\"* * * * * * *\"]}}"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(check(good[i][0], BST_OP_CREATE, good[i][1]));
    }
}

static void a_bad_create_is_refused_and_says_why(void **state)
{
    static const struct refusal cases[] = {
        {"m2m:cnt", "{\"lbl\":[{\"a\":\"b\"}]}", BST_E_VALUE, "lbl[0]: must be"},
        {"m2m:cnt", "{\"lbl\":[[1]]}", BST_E_VALUE, "lbl[0]: must be"},
        {"m2m:cnt", "[]", BST_E_SYNTAX, "m2m:cnt: must be an object, found array"},
        {"m2m:cnt", "null", BST_E_SYNTAX, "found null"},
        {"m2m:cnt", "{\"mnii\":1}", BST_E_SYNTAX,
         "m2m:cnt.mnii: <container> has no such attribute, did you mean \"mni\"?"},
        {"m2m:cnt", "{\"maxNrOfInstances\":1}", BST_E_SYNTAX, "did you mean \"mni\"?"},
        {"m2m:cnt", "{\"zzzzz\":1}", BST_E_SYNTAX, "no such attribute"},
        {"m2m:cnt", "{\"\":1}", BST_E_SYNTAX, "no such attribute"},
        {"m2m:cnt", "{\"ri\":\"x\"}", BST_E_SYNTAX, "(resourceID) must not be present in a CREATE"},
        {"m2m:cnt", "{\"ct\":\"20200101T000000\"}", BST_E_SYNTAX, "must not be present"},
        {"m2m:cnt", "{\"st\":1}", BST_E_SYNTAX, "must not be present"},
        {"m2m:cnt", "{\"cni\":1}", BST_E_SYNTAX, "must not be present"},
        {"m2m:cnt", "{\"ty\":3}", BST_E_SYNTAX, "must not be present"},
        {"m2m:cnt", "{\"mni\":\"3\"}", BST_E_VALUE,
         "m2m:cnt.mni: must be xs:nonNegativeInteger, found \"3\""},
        {"m2m:cnt", "{\"mni\":-1}", BST_E_VALUE, "found -1"},
        {"m2m:cnt", "{\"mni\":1.0}", BST_E_VALUE, "mni"},
        {"m2m:cnt", "{\"mni\":18446744073709551615}", BST_E_VALUE, "mni"},
        {"m2m:cnt", "{\"mni\":99999999999999999999}", BST_E_VALUE, "mni"},
        {"m2m:cnt", "{\"mni\":true}", BST_E_VALUE, "found boolean"},
        {"m2m:cnt", "{\"mni\":[1]}", BST_E_VALUE, "found array"},
        {"m2m:cnt", "{\"mni\":null}", BST_E_VALUE, "null is not allowed"},
        {"m2m:cnt", "{\"lbl\":\"x\"}", BST_E_VALUE, "m2m:cnt.lbl: must be m2m:labels"},
        {"m2m:cnt", "{\"lbl\":[]}", BST_E_VALUE, "too short"},
        {"m2m:cnt", "{\"lbl\":[1]}", BST_E_VALUE, "m2m:cnt.lbl[0]"},
        {"m2m:cnt", "{\"lbl\":[\"a\",\"\"]}", BST_E_VALUE, "m2m:cnt.lbl[1]"},
        {"m2m:cnt", "{\"lbl\":[\"a\\nb\"]}", BST_E_VALUE, "lbl[0]"},
        {"m2m:cnt", "{\"acpi\":\"x\"}", BST_E_VALUE, "acpi"},
        {"m2m:cnt", "{\"acpi\":[\"a/../b\"]}", BST_E_VALUE, "acpi[0]"},
        {"m2m:cnt", "{\"et\":\"soon\"}", BST_E_VALUE, "must be m2m:timestamp, found \"soon\""},
        {"m2m:cnt", "{\"et\":\"20200231T000000\"}", BST_E_VALUE, "et"},
        {"m2m:cnt", "{\"et\":20200101}", BST_E_VALUE, "et"},
        {"m2m:cnt", "{\"et\":null}", BST_E_VALUE, "et"},
        {"m2m:cnt", "{\"disr\":1}", BST_E_VALUE, "xs:boolean"},
        {"m2m:cnt", "{\"disr\":\"true\"}", BST_E_VALUE, "xs:boolean"},
        {"m2m:cnt", "{\"rn\":\"a/b\"}", BST_E_VALUE, "m2m:resourceName"},
        {"m2m:cnt", "{\"rn\":\"\"}", BST_E_VALUE, "rn"},
        {"m2m:cnt", "{\"rn\":\"..\"}", BST_E_VALUE, "rn"},
        {"m2m:cnt", "{\"rn\":\"-\"}", BST_E_VALUE, "rn"},
        {"m2m:cnt", "{\"rn\":7}", BST_E_VALUE, "rn"},
        {"m2m:cnt", "{\"cr\":\"Cme\"}", BST_E_VALUE, "send null"},
        {"m2m:ae", "{\"rr\":true,\"srv\":[\"3\"]}", BST_E_SYNTAX,
         "mandatory attribute \"api\" (App-ID) is missing"},
        {"m2m:ae", "{\"api\":\"N\",\"srv\":[\"3\"]}", BST_E_SYNTAX, "\"rr\""},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true}", BST_E_SYNTAX, "\"srv\""},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true,\"srv\":[3]}", BST_E_VALUE, "srv[0]"},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true,\"srv\":[\"9\"]}", BST_E_VALUE, "srv[0]"},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true,\"srv\":[\"3\"],\"aei\":\"C\"}", BST_E_SYNTAX,
         "aei"},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true,\"srv\":[\"3\"],\"poa\":[\"127.0.0.1:80\"]}",
         BST_E_VALUE, "poa[0]"},
        {"m2m:ae", "{\"api\":\"N\",\"rr\":true,\"srv\":[\"3\"],\"csz\":[\"yaml\"]}", BST_E_VALUE,
         "csz[0]"},
        {"m2m:cin", "{}", BST_E_SYNTAX, "\"con\""},
        {"m2m:cin", "{\"con\":null}", BST_E_VALUE, "con"},
        {"m2m:cin", "{\"con\":\"x\",\"cnf\":\"text/plain\"}", BST_E_VALUE, "m2m:contentInfo"},
        {"m2m:cin", "{\"con\":\"x\",\"cnf\":\"text/plain:3\"}", BST_E_VALUE, "cnf"},
        {"m2m:cin", "{\"con\":\"x\",\"cnf\":\"text/plain:0:6\"}", BST_E_VALUE, "cnf"},
        {"m2m:cin", "{\"con\":\"x\",\"cs\":1}", BST_E_SYNTAX, "cs"},
        {"m2m:cin", "{\"con\":\"x\",\"acpi\":[\"a\"]}", BST_E_SYNTAX, "acpi"},
        {"m2m:acp", "{\"pv\":{\"acr\":[]}}", BST_E_SYNTAX, "\"pvs\""},
        {"m2m:acp", "{\"pv\":{},\"pvs\":[]}", BST_E_VALUE, "m2m:acp.pvs"},
        {"m2m:acp", "{\"pv\":{\"acr\":[{\"acop\":1}]},\"pvs\":{}}", BST_E_SYNTAX,
         "m2m:acp.pv.acr[0]: mandatory member \"acor\" (accessControlOriginators) is missing"},
        {"m2m:acp", "{\"pv\":{\"acr\":[{\"acor\":[\"a\"],\"acop\":64}]},\"pvs\":{}}", BST_E_VALUE,
         "acr[0].acop"},
        {"m2m:acp", "{\"pv\":{\"acr\":[{\"acor\":[\"a\"],\"acop\":1,\"acxx\":1}]},\"pvs\":{}}",
         BST_E_SYNTAX, "acr[0].acxx"},
        {"m2m:acp",
         "{\"pv\":{\"acr\":[{\"acor\":[\"a\"],\"acop\":1,\"acco\":[{\"acip\":{\"ipv4\":[\"1.2.3\"]}"
         "}]}]},\"pvs\":{}}",
         BST_E_VALUE, "m2m:acp.pv.acr[0].acco[0].acip.ipv4[0]: must be m2m:ipv4, found \"1.2.3\""},
        {"m2m:acp",
         "{\"pv\":{\"acr\":[{\"acor\":[\"a\"],\"acop\":1,\"acco\":[{\"actw\":[\"* * "
         "*\"]}]}]},\"pvs\":{}}",
         BST_E_VALUE, "actw[0]"},
        {"m2m:acp",
         "{\"pv\":{\"acr\":[{\"acor\":[\"a\"],\"acop\":1,\"acco\":[{\"aclr\":{\"accr\":[1,2]}}]}]},"
         "\"pvs\":{}}",
         BST_E_VALUE, "too short"},
        {"m2m:sub", "{}", BST_E_SYNTAX, "\"nu\""},
        {"m2m:sub", "{\"nu\":\"Cx\"}", BST_E_VALUE, "nu"},
        {"m2m:sub", "{\"nu\":[\"a b\"]}", BST_E_VALUE, "nu[0]"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"nct\":9}", BST_E_VALUE, "m2m:notificationContentType"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"enc\":{\"net\":[0]}}", BST_E_VALUE, "enc.net[0]"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"enc\":{\"net\":1}}", BST_E_VALUE, "enc.net"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"exc\":0}", BST_E_VALUE, "xs:positiveInteger"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"acrs\":[\"x\"]}", BST_E_NOT_IMPLEMENTED, "not supported"},
        {"m2m:grp", "{\"mid\":[]}", BST_E_SYNTAX, "\"mnm\""},
        {"m2m:grp", "{\"mid\":[],\"mnm\":0}", BST_E_VALUE, "mnm"},
        {"m2m:grp", "{\"mid\":[],\"mnm\":1,\"mt\":7777}", BST_E_VALUE, "m2m:memberType"},
    };
    REFUSED(cases, BST_OP_CREATE);
}

static void an_update_takes_null_where_something_may_be_absent(void **state)
{
    static const char *const good[][2] = {
        {"m2m:cnt", "{}"},
        {"m2m:cnt", "{\"mni\":null,\"lbl\":null,\"acpi\":null}"},
        {"m2m:ae", "{\"rr\":false,\"poa\":null}"},
        {"m2m:acp", "{\"pv\":{\"acr\":[]}}"},
        {"m2m:sub", "{\"nu\":[\"Cx\"],\"enc\":null}"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(check(good[i][0], BST_OP_UPDATE, good[i][1]));
    }
    static const struct refusal cases[] = {
        {"m2m:ae", "{\"rr\":null}", BST_E_VALUE, "multiplicity 1"},
        {"m2m:ae", "{\"api\":\"x\"}", BST_E_SYNTAX, "must not be present in a UPDATE"},
        {"m2m:acp", "{\"pv\":null}", BST_E_VALUE, "multiplicity 1"},
        {"m2m:cnt", "{\"rn\":\"x\"}", BST_E_SYNTAX, "rn"},
        {"m2m:cnt", "{\"cr\":null}", BST_E_SYNTAX, "cr"},
        {"m2m:cnt", "{\"st\":null}", BST_E_SYNTAX, "st"},
        {"m2m:cnt", "{\"xx\":null}", BST_E_SYNTAX, "no such attribute"},
        {"m2m:cnt", "{\"lbl\":[]}", BST_E_VALUE, "too short"},
        {"m2m:cnt", "{\"mni\":\"1\"}", BST_E_VALUE, "mni"},
        {"m2m:sub", "{\"nu\":null}", BST_E_VALUE, "multiplicity 1"},
        {"m2m:cin", "{\"con\":\"x\"}", BST_E_SYNTAX, "must not be present"},
    };
    REFUSED(cases, BST_OP_UPDATE);
}

static void release_1_does_not_ask_for_supported_releases(void **state)
{
    yyjson_val *value;
    assert_ok(bst_json_parse(&arena, BST_VIEW("{\"api\":\"x\",\"rr\":true}"), 4, &value));
    const struct bst_m2m_type *ae = bst_m2m_type_by_ty(BST_TY_AE);
    assert_ok(bst_m2m_r1_validate(ae, BST_OP_CREATE, value));
    assert_err(bst_m2m_validate(ae, BST_OP_CREATE, value), BST_E_SYNTAX);
    assert_ok(bst_json_parse(&arena, BST_VIEW("{\"rr\":true}"), 4, &value));
    assert_err(bst_m2m_r1_validate(ae, BST_OP_CREATE, value), BST_E_SYNTAX);
}

static void specializations_are_checked_as_far_as_they_are_known(void **state)
{
    assert_ok(check("m2m:flexContainer", BST_OP_CREATE, "{\"cnd\":\"org.x.y\",\"custom\":[1]}"));
    assert_err(check("m2m:flexContainer", BST_OP_CREATE, "{\"custom\":1}"), BST_E_SYNTAX);
    assert_err(check("m2m:flexContainer", BST_OP_CREATE, "{\"cnd\":7}"), BST_E_VALUE);
    assert_err(check("m2m:bat", BST_OP_CREATE, "{\"mgd\":1006,\"zz\":1}"), BST_E_SYNTAX);
}

static void simple_types_have_their_forms(void **state)
{
    static const struct {
        const char *type, *value;
        bool good;
    } rows[] = {
        {"xs:duration", "\"P1Y2M3DT10H1M0S\"", true},
        {"xs:duration", "\"PT0.5S\"", true},
        {"xs:duration", "\"P1D\"", true},
        {"xs:duration", "\"P\"", false},
        {"xs:duration", "\"PT\"", false},
        {"xs:duration", "\"P1S\"", false},
        {"xs:duration", "\"PT1D\"", false},
        {"xs:duration", "\"P1D1Y\"", false},
        {"xs:duration", "\"P1.5D\"", false},
        {"xs:duration", "\"PT1.S\"", false},
        {"xs:duration", "\"1D\"", false},
        {"xs:duration", "\"PT1M1M\"", false},
        {"xs:duration", "\"\"", false},
        {"xs:duration", "60", false},
        {"m2m:ipv4", "\"10.125.0.0/16\"", true},
        {"m2m:ipv4", "\"1.2.3.4\"", true},
        {"m2m:ipv4", "\"1.2.3.256\"", false},
        {"m2m:ipv4", "\"1.2.3.4/33\"", false},
        {"m2m:ipv4", "\"1.2.3.4.5\"", false},
        {"m2m:ipv4", "\"1.2.3.4/\"", false},
        {"m2m:ipv4", "\"a\"", false},
        {"m2m:ipv6", "\"::\"", true},
        {"m2m:ipv6", "\"::/0\"", true},
        {"m2m:ipv6", "\"abcd:ffff:abb0:aaaa::/64\"", true},
        {"m2m:ipv6", "\"1:2:3:4:5:6:7:8\"", true},
        {"m2m:ipv6", "\"::ffff:1.2.3.4\"", true},
        {"m2m:ipv6", "\"::1\"", true},
        {"m2m:ipv6", "\"1:2:3:4:5:6:7\"", false},
        {"m2m:ipv6", "\"1:2:3:4:5:6:7:8:9\"", false},
        {"m2m:ipv6", "\"1::2::3\"", false},
        {"m2m:ipv6", "\":1\"", false},
        {"m2m:ipv6", "\"1:\"", false},
        {"m2m:ipv6", "\":::\"", false},
        {"m2m:ipv6", "\"12345::\"", false},
        {"m2m:ipv6", "\"::/129\"", false},
        {"m2m:ipv6", "\"1.2.3.4::\"", false},
        {"m2m:ipv6", "\"1:2:3:4:5:6:7::8\"", false},
        {"m2m:countryCode", "\"KR\"", true},
        {"m2m:countryCode", "\"kr\"", false},
        {"m2m:countryCode", "\"KOR\"", false},
        {"m2m:absRelTimestamp", "3600000", true},
        {"m2m:absRelTimestamp", "\"3600000\"", true},
        {"m2m:absRelTimestamp", "\"20300101T000000\"", true},
        {"m2m:absRelTimestamp", "\"x\"", false},
        {"m2m:absRelTimestamp", "1.5", false},
        {"m2m:eventCat", "2", true},
        {"m2m:eventCat", "999", true},
        {"m2m:eventCat", "5", false},
        {"m2m:eventCat", "1000", false},
        {"m2m:eventCatWithDef", "0", true},
        {"m2m:eventCat", "0", false},
        {"m2m:roleID", "\"1234abcd@role-issuer.com\"", true},
        {"m2m:roleID", "\"x\"", false},
        {"m2m:roleID", "\"x@Role.com\"", false},
        {"m2m:roleID", "\"@role.com\"", false},
        {"m2m:roleID", "\"a b@r.com\"", false},
        {"m2m:dynAuthJWT", "\"a.b.c\"", true},
        {"m2m:dynAuthJWT", "\"a.b.c.d.e\"", true},
        {"m2m:dynAuthJWT", "\"a.b\"", false},
        {"m2m:dynAuthJWT", "\"a.b.c.d\"", false},
        {"m2m:dynAuthJWT", "\"a.b+.c\"", false},
        {"m2m:scheduleEntry", "\"* 0-5 2,6,10 * * * *\"", true},
        {"m2m:scheduleEntry", "\"* * * * * *\"", false},
        {"m2m:scheduleEntry", "\"* * * * * * x\"", false},
        {"m2m:scheduleEntry", "\"*  * * * * *\"", false},
        {"m2m:listOfMinMax", "[10,2560]", true},
        {"m2m:listOfMinMax", "[10]", false},
        {"m2m:listOfMinMax", "[1,2,3]", false},
        {"xs:base64Binary", "\"AAAA\"", true},
        {"xs:base64Binary", "\"AA==\"", true},
        {"xs:base64Binary", "\"A\"", false},
        {"xs:base64Binary", "\"A===\"", false},
        {"xs:base64Binary", "\"AA=A\"", false},
        {"m2m:pointOfAccess", "\"mqtt://172.25.0.10:1883\"", true},
        {"m2m:pointOfAccess", "\"http://\"", false},
        {"m2m:pointOfAccess", "\"1http://x\"", false},
        {"m2m:pointOfAccess", "\"http://a b\"", false},
        {"xs:float", "1", true},
        {"xs:float", "1.5", true},
        {"xs:float", "\"1\"", false},
        {"xs:float", "1e999", false},
        {"m2m:triggerRecipientID", "65536", false},
        {"m2m:triggerRecipientID", "3010", true},
        {"m2m:requestStatus", "5", true},
        {"m2m:requestStatus", "6", false},
        {"m2m:requestStatus", "\"1\"", false},
        {"m2m:filterOperation", "3", true},
        {"m2m:resultContent", "12", true},
        {"m2m:resultContent", "13", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        yyjson_val *value;
        assert_ok(bst_json_parse(&arena, bst_view(rows[i].value), 4, &value));
        bool good = !bst_failed(bst_m2m_validate_as(rows[i].type, value, "v"));
        if (good != rows[i].good) {
            fail_msg("%s %s: %s", rows[i].type, rows[i].value, bst_error_detail());
        }
    }
}

static void notifications_have_a_type_too(void **state)
{
    yyjson_val *value;
    assert_ok(bst_json_parse(
        &arena, BST_VIEW("{\"nev\":{\"rep\":{\"m2m:cin\":{}},\"net\":3},\"sur\":\"/id-in/x\"}"), 9,
        &value));
    assert_ok(bst_m2m_validate_as("m2m:notification", value, "m2m:sgn"));
    assert_ok(bst_json_parse(&arena, BST_VIEW("{\"nev\":{\"net\":3}}"), 9, &value));
    assert_err(bst_m2m_validate_as("m2m:notification", value, "m2m:sgn"), BST_E_SYNTAX);
    assert_non_null(strstr(bst_error_detail(), "\"sur\""));
}

static void long_texts_are_cut_in_the_sentence(void **state)
{
    struct bst_buf buf = {0};
    bst_buf_adds(&buf, "{\"mni\":\"");
    for (int i = 0; i < 3000; i++) {
        bst_buf_adds(&buf, "\xc3\xa4");
    }
    bst_buf_adds(&buf, "\"}");
    yyjson_val *value;
    assert_ok(bst_json_parse(&arena, bst_buf_view(&buf), 4, &value));
    assert_err(bst_m2m_validate(bst_m2m_type_by_ty(BST_TY_CNT), BST_OP_CREATE, value), BST_E_VALUE);
    assert_true(strlen(bst_error_detail()) < 200);
    assert_true(bst_utf8_valid(bst_view(bst_error_detail())));
    bst_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_representations_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_create_is_refused_and_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(an_update_takes_null_where_something_may_be_absent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(release_1_does_not_ask_for_supported_releases, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(specializations_are_checked_as_far_as_they_are_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(simple_types_have_their_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(notifications_have_a_type_too, setup, teardown),
        cmocka_unit_test_setup_teardown(long_texts_are_cut_in_the_sentence, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
