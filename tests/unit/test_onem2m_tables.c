/* The generated tables: what the standard's own tables say, and that corrections took effect. */
#include "support/test.h"

#include "onem2m/r1.h"
#include "onem2m/tables_priv.h"

static const struct bst_m2m_attr *attr(int ty, const char *sn)
{
    return bst_m2m_attr_find(bst_m2m_type_by_ty(ty), bst_view(sn));
}

static void every_type_is_found_by_number_and_by_root(void **state)
{
    size_t n = 0;
    for (const struct bst_m2m_type *t; (t = bst_m2m_type_at(n)) != NULL; n++) {
        assert_ptr_equal(bst_m2m_type_by_root(bst_view(t->root)), t);
        assert_non_null(bst_m2m_type_by_ty(t->ty));
        assert_true(strncmp(t->root, "m2m:", 4) == 0 && strcmp(t->root + 4, t->sn) == 0);
        for (size_t i = 0; i < t->n_attrs; i++) {
            assert_ptr_equal(bst_m2m_attr_find(t, bst_view(t->attrs[i].sn)), &t->attrs[i]);
            assert_int_equal(t->attrs[i].index, i);
            assert_true(strlen(bst_m2m_attr_name(&t->attrs[i])) > 0);
            assert_true(strlen(bst_m2m_attr_type_name(&t->attrs[i])) > 0);
        }
    }
    assert_true(n > 90);
    assert_null(bst_m2m_type_by_ty(0));
    assert_null(bst_m2m_type_by_ty(33));
    assert_null(bst_m2m_type_by_ty(99999));
    assert_null(bst_m2m_type_by_root(BST_VIEW("cnt")));
    assert_null(bst_m2m_type_by_root(BST_VIEW("m2m:zzz")));
    assert_null(bst_m2m_attr_find(bst_m2m_type_by_ty(BST_TY_CNT), BST_VIEW("")));
    assert_null(bst_m2m_attr_find(bst_m2m_type_by_ty(BST_TY_CNT), BST_VIEW("waytoolongname")));
}

static void numbers_roots_and_names_belong_together(void **state)
{
    static const struct {
        int ty;
        const char *root, *name;
    } types[] = {
        {1, "m2m:acp", "accessControlPolicy"},
        {2, "m2m:ae", "AE"},
        {3, "m2m:cnt", "container"},
        {4, "m2m:cin", "contentInstance"},
        {5, "m2m:cb", "CSEBase"},
        {9, "m2m:grp", "group"},
        {11, "m2m:mssp", "m2mServiceSubscriptionProfile"},
        {13, "m2m:mgmtObj", "mgmtObj"},
        {14, "m2m:nod", "node"},
        {15, "m2m:pch", "pollingChannel"},
        {16, "m2m:csr", "remoteCSE"},
        {17, "m2m:req", "request"},
        {19, "m2m:asar", "serviceSubscribedAppRule"},
        {20, "m2m:svsn", "serviceSubscribedNode"},
        {23, "m2m:sub", "subscription"},
        {28, "m2m:flexContainer", "flexContainer"},
        {29, "m2m:ts", "timeSeries"},
        {31, "m2m:rol", "role"},
        {32, "m2m:tk", "token"},
        {10002, "m2m:aeA", "AEAnnc"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct bst_m2m_type *t = bst_m2m_type_by_ty(types[i].ty);
        assert_string_equal(t->root, types[i].root);
        assert_string_equal(t->name, types[i].name);
    }
    assert_int_equal(bst_m2m_type_by_root(BST_VIEW("m2m:bat"))->ty, 13);
}

static void optionality_follows_the_standard(void **state)
{
    static const struct {
        int ty;
        const char *sn;
        enum bst_m2m_opt create, update;
        unsigned flags;
    } rows[] = {
        {BST_TY_AE, "api", BST_OPT_M, BST_OPT_NP, BST_ATTR_REQUIRED | BST_ATTR_WO},
        {BST_TY_AE, "rr", BST_OPT_M, BST_OPT_O, BST_ATTR_REQUIRED},
        {BST_TY_AE, "srv", BST_OPT_M, BST_OPT_O, BST_ATTR_LIST},
        {BST_TY_AE, "aei", BST_OPT_NP, BST_OPT_NP, BST_ATTR_RO},
        {BST_TY_CNT, "mni", BST_OPT_O, BST_OPT_O, 0},
        {BST_TY_CNT, "cni", BST_OPT_NP, BST_OPT_NP, BST_ATTR_RO | BST_ATTR_REQUIRED},
        {BST_TY_CNT, "cr", BST_OPT_O, BST_OPT_NP, BST_ATTR_COMMON},
        {BST_TY_CNT, "rn", BST_OPT_O, BST_OPT_NP, BST_ATTR_COMMON | BST_ATTR_REQUIRED},
        {BST_TY_CIN, "con", BST_OPT_M, BST_OPT_NP, BST_ATTR_REQUIRED},
        {BST_TY_CIN, "cs", BST_OPT_NP, BST_OPT_NP, BST_ATTR_RO},
        {BST_TY_ACP, "pv", BST_OPT_M, BST_OPT_O, BST_ATTR_REQUIRED},
        {BST_TY_ACP, "pvs", BST_OPT_M, BST_OPT_O, BST_ATTR_REQUIRED},
        {BST_TY_SUB, "nu", BST_OPT_M, BST_OPT_O, BST_ATTR_LIST | BST_ATTR_REQUIRED},
        {BST_TY_SUB, "nfu", BST_OPT_O, BST_OPT_O, 0},
        {BST_TY_GRP, "mid", BST_OPT_M, BST_OPT_O, BST_ATTR_LIST},
        {BST_TY_GRP, "mt", BST_OPT_O, BST_OPT_NP, 0},
        {BST_TY_NOD, "ni", BST_OPT_M, BST_OPT_O, 0},
        {BST_TY_REQ, "rs", BST_OPT_NP, BST_OPT_NP, BST_ATTR_RO},
        {BST_TY_MGC, "cmt", BST_OPT_M, BST_OPT_NP, 0},
        {BST_TY_EVCG, "evst", BST_OPT_O, BST_OPT_O, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bst_m2m_attr *a = attr(rows[i].ty, rows[i].sn);
        if (!a || a->create != rows[i].create || a->update != rows[i].update ||
            (a->flags & rows[i].flags) != rows[i].flags) {
            fail_msg("%d.%s", rows[i].ty, rows[i].sn);
        }
    }
    assert_false(attr(BST_TY_SUB, "nfu")->flags & BST_ATTR_LIST);
}

static void types_say_what_they_have(void **state)
{
    static const struct {
        int ty;
        unsigned has, lacks;
    } rows[] = {
        {BST_TY_ACP,
         BST_TYPE_EXPIRES | BST_TYPE_UPDATABLE | BST_TYPE_CREATABLE | BST_TYPE_ANNOUNCEABLE,
         BST_TYPE_ACPI | BST_TYPE_CREATOR | BST_TYPE_STATE_TAG},
        {BST_TY_AE, BST_TYPE_ACPI | BST_TYPE_UPDATABLE, BST_TYPE_CREATOR | BST_TYPE_STATE_TAG},
        {BST_TY_CNT, BST_TYPE_ACPI | BST_TYPE_CREATOR | BST_TYPE_STATE_TAG | BST_TYPE_LABELS,
         BST_TYPE_IN_ONLY},
        {BST_TY_CIN, BST_TYPE_STATE_TAG | BST_TYPE_CREATOR, BST_TYPE_ACPI | BST_TYPE_UPDATABLE},
        {BST_TY_CB, BST_TYPE_ACPI | BST_TYPE_LABELS,
         BST_TYPE_EXPIRES | BST_TYPE_CREATABLE | BST_TYPE_UPDATABLE},
        {BST_TY_REQ, BST_TYPE_EXPIRES, BST_TYPE_CREATABLE},
        {BST_TY_MSSP, BST_TYPE_IN_ONLY | BST_TYPE_CREATABLE, BST_TYPE_ANNOUNCEABLE},
        {BST_TY_FLEX, BST_TYPE_SPECIALIZED, 0},
        {BST_TY_CNT_A, BST_TYPE_ANNOUNCED | BST_TYPE_ACPI, BST_TYPE_ANNOUNCEABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned flags = bst_m2m_type_by_ty(rows[i].ty)->flags;
        if ((flags & rows[i].has) != rows[i].has || flags & rows[i].lacks) {
            fail_msg("type %d: flags %x", rows[i].ty, flags);
        }
    }
}

static void children_are_those_of_the_standard(void **state)
{
    static const struct {
        int parent, child;
        bool allowed;
    } rows[] = {
        {BST_TY_CB, BST_TY_AE, true},    {BST_TY_CB, BST_TY_CNT, true},
        {BST_TY_CB, BST_TY_CIN, false},  {BST_TY_CB, BST_TY_CB, false},
        {BST_TY_AE, BST_TY_CNT, true},   {BST_TY_AE, BST_TY_AE, false},
        {BST_TY_AE, BST_TY_PCH, true},   {BST_TY_CB, BST_TY_PCH, false},
        {BST_TY_CNT, BST_TY_CIN, true},  {BST_TY_CNT, BST_TY_CNT, true},
        {BST_TY_CNT, BST_TY_AE, false},  {BST_TY_CIN, BST_TY_SUB, false},
        {BST_TY_CIN, BST_TY_CIN, false}, {BST_TY_SUB, BST_TY_SCH, true},
        {BST_TY_GRP, BST_TY_SUB, true},  {BST_TY_MSSP, BST_TY_SVSN, true},
        {BST_TY_ACP, BST_TY_SUB, true},  {BST_TY_NOD, 13, true},
        {BST_TY_CB, BST_TY_ASAR, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool got = bst_m2m_child_allowed(bst_m2m_type_by_ty(rows[i].parent), rows[i].child);
        if (got != rows[i].allowed) {
            fail_msg("%d under %d", rows[i].child, rows[i].parent);
        }
    }
}

static void request_parameters_are_in_the_order_of_their_table(void **state)
{
    assert_int_equal(bst_m2m_n_parameters, 30);
    for (size_t i = 1; i < bst_m2m_n_parameters; i++) {
        assert_true(strcmp(bst_m2m_parameters[i - 1].sn, bst_m2m_parameters[i].sn) < 0);
    }
}

static void status_codes_have_names_and_http_codes(void **state)
{
    static const struct {
        int rsc, http;
        const char *name;
    } rows[] = {
        {1000, 202, "ACCEPTED"},
        {1001, 202, "ACCEPTED_NON_BLOCKING_SYNCH"},
        {2000, 200, "OK"},
        {2001, 201, "CREATED"},
        {2002, 200, "DELETED"},
        {2004, 200, "UPDATED"},
        {4000, 400, "BAD_REQUEST"},
        {4001, 501, "RELEASE_VERSION_NOT_SUPPORTED"},
        {4004, 404, "NOT_FOUND"},
        {4005, 405, "OPERATION_NOT_ALLOWED"},
        {4008, 504, "REQUEST_TIMEOUT"},
        {4015, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {4102, 400, "CONTENTS_UNACCEPTABLE"},
        {4103, 403, "ORIGINATOR_HAS_NO_PRIVILEGE"},
        {4105, 409, "CONFLICT"},
        {4117, 403, "ORIGINATOR_HAS_ALREADY_REGISTERED"},
        {4128, 403, "SERVICE_SUBSCRIPTION_NOT_ESTABLISHED"},
        {5000, 500, "INTERNAL_SERVER_ERROR"},
        {5001, 501, "NOT_IMPLEMENTED"},
        {5103, 404, "TARGET_NOT_REACHABLE"},
        {5106, 409, "ALREADY_EXISTS"},
        {5204, 500, "SUBSCRIPTION_VERIFICATION_INITIATION_FAILED"},
        {5207, 406, "NOT_ACCEPTABLE"},
        {6010, 400, "MAX_NUMBER_OF_MEMBER_EXCEEDED"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(bst_m2m_rsc_name(rows[i].rsc), rows[i].name);
        assert_int_equal(bst_m2m_rsc_http(rows[i].rsc), rows[i].http);
    }
    assert_string_equal(bst_m2m_rsc_name(4242), "?");
    assert_false(bst_m2m_rsc_known(4242));
    assert_int_equal(bst_m2m_rsc_http(1999), 202);
    assert_int_equal(bst_m2m_rsc_http(2999), 200);
    assert_int_equal(bst_m2m_rsc_http(4242), 400);
    assert_int_equal(bst_m2m_rsc_http(7777), 500);
}

static void every_error_of_bastide_maps_to_a_known_code(void **state)
{
    for (int e = 0; e < BST_E_COUNT; e++) {
        assert_true(bst_m2m_rsc_known(bst_error_rsc((enum bst_error)e)));
    }
}

static void success_codes_and_http_answers_without_a_code(void **state)
{
    assert_int_equal(bst_m2m_rsc_success(BST_OP_CREATE), 2001);
    assert_int_equal(bst_m2m_rsc_success(BST_OP_RETRIEVE), 2000);
    assert_int_equal(bst_m2m_rsc_success(BST_OP_UPDATE), 2004);
    assert_int_equal(bst_m2m_rsc_success(BST_OP_DELETE), 2002);
    assert_int_equal(bst_m2m_rsc_success(BST_OP_NOTIFY), 2000);
    assert_int_equal(bst_m2m_rsc_success(99), 2000);
    static const int rows[][2] = {{200, 2000}, {201, 2001}, {202, 1000}, {400, 4000}, {401, 4103},
                                  {403, 4103}, {404, 4004}, {405, 4005}, {406, 5207}, {408, 4008},
                                  {409, 4105}, {415, 4015}, {418, 4000}, {500, 5000}, {501, 5001},
                                  {502, 5103}, {503, 5103}, {504, 4008}, {302, 5000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(bst_m2m_rsc_from_http(rows[i][0]), rows[i][1]);
    }
}

static void only_what_is_busy_is_worth_another_try(void **state)
{
    for (int e = 0; e < BST_E_COUNT; e++) {
        bool busy = bst_error_class((enum bst_error)e) == BST_CLASS_BUSY;
        assert_int_equal(bst_m2m_retry_s((enum bst_error)e) > 0, busy);
    }
    assert_int_equal(bst_error_rsc(BST_E_BUSY), 5000);
}

static void virtual_resources_are_known_by_their_fixed_names(void **state)
{
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("la")), BST_VIRT_LATEST);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("ol")), BST_VIRT_OLDEST);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("fopt")), BST_VIRT_FANOUT);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("pcu")), BST_VIRT_POLLING_URI);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("ntsr")), BST_VIRT_NTSR);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("lax")), BST_VIRT_NONE);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("LA")), BST_VIRT_NONE);
    assert_int_equal(bst_m2m_virtual_of(BST_VIEW("")), BST_VIRT_NONE);
}

static void release_1_hides_what_came_later(void **state)
{
    assert_true(bst_m2m_r1_hides(BST_TY_AE, BST_VIEW("srv")));
    assert_true(bst_m2m_r1_hides(BST_TY_CB, BST_VIEW("srv")));
    assert_true(bst_m2m_r1_hides(BST_TY_CNT, BST_VIEW("daci")));
    assert_false(bst_m2m_r1_hides(BST_TY_AE, BST_VIEW("api")));
    assert_false(bst_m2m_r1_hides(BST_TY_CNT, BST_VIEW("mni")));
    assert_false(bst_m2m_r1_hides(BST_TY_CNT, BST_VIEW("da")));
    assert_false(bst_m2m_r1_hides(BST_TY_CNT, BST_VIEW("")));
    assert_int_equal(bst_m2m_r1_rsc(4117), 4105);
    assert_int_equal(bst_m2m_r1_rsc(4126), 4103);
    assert_int_equal(bst_m2m_r1_rsc(1001), 1000);
    assert_int_equal(bst_m2m_r1_rsc(4004), 4004);
    assert_int_equal(bst_m2m_r1_rsc(2001), 2001);
    for (int rsc = 1000; rsc < 7000; rsc++) {
        int r1 = bst_m2m_r1_rsc(rsc);
        assert_int_equal(bst_m2m_r1_rsc(r1), r1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_number_and_by_root),
        cmocka_unit_test(numbers_roots_and_names_belong_together),
        cmocka_unit_test(optionality_follows_the_standard),
        cmocka_unit_test(types_say_what_they_have),
        cmocka_unit_test(children_are_those_of_the_standard),
        cmocka_unit_test(request_parameters_are_in_the_order_of_their_table),
        cmocka_unit_test(status_codes_have_names_and_http_codes),
        cmocka_unit_test(every_error_of_bastide_maps_to_a_known_code),
        cmocka_unit_test(success_codes_and_http_answers_without_a_code),
        cmocka_unit_test(only_what_is_busy_is_worth_another_try),
        cmocka_unit_test(virtual_resources_are_known_by_their_fixed_names),
        cmocka_unit_test(release_1_hides_what_came_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
