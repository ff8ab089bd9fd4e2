/* sec/enrol: what a MEF client asks, and which answers it believes. */
#include "support/test.h"

#include "base/time.h"
#include "codec/json.h"
#include "sec/enrol/mef_client.h"
#include "sec/sec_names.h"

#include <stdio.h>

#define NOW INT64_C(1795400000000000)
#define LATER (NOW + INT64_C(86400) * BST_US_PER_S)
#define ET "20271123T000000"

struct world {
    struct bst_mef_client *client;
    struct bst_arena arena;
    struct bst_m2m_request req;
    struct bst_mef_outcome out;
};

static int set_up(void **state)
{
    struct world *w = bst_alloc(sizeof *w);
    struct bst_mef_client_config config = {
        .self = {BST_VIEW("acme.example.com"), BST_VIEW("id-in")},
        .client_id = BST_VIEW("//acme.example.com/S1"),
        .mef_fqdn = BST_VIEW("mef.acme.example.com"),
        .admin_fqdn = BST_VIEW("admin.acme.example.com"),
    };
    bst_arena_init(&w->arena, 0);
    assert_ok(bst_mef_client_new(&config, &w->client));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    bst_mef_outcome_clear(&w->out);
    bst_mef_client_free(&w->client);
    bst_arena_clear(&w->arena);
    bst_free(w);
    return 0;
}

static bst_result answer(struct world *w, int rsc, const char *pc)
{
    struct bst_m2m_response rsp = {.rsc = rsc, .rqi = w->req.rqi, .pc = bst_view(pc)};
    return bst_mef_client_take(w->client, &rsp, NOW, &w->arena, &w->out);
}

static void ask_registration(struct world *w)
{
    assert_ok(bst_mef_client_register(w->client, LATER, NULL, &w->arena, &w->req));
}

#define REG                                                                                        \
    "{\"sec:mecr\":{\"ri\":\"r1\",\"ty\":30004,\"et\":\"" ET                                       \
    "\",\"cr\":\"//acme.example.com/S1\","                                                         \
    "\"adfq\":\"admin.acme.example.com\"}}"

static void registered(struct world *w)
{
    ask_registration(w);
    assert_ok(answer(w, 2001, REG));
}

static const struct bst_view cse = {"//acme.example.com/id-in", 24};
static const struct bst_mef_key_wish wish = {
    .suid = 22, .targets = &cse, .n_targets = 1, .expires_us = LATER};

static void ask_key(struct world *w)
{
    assert_ok(bst_mef_client_key_register(w->client, &wish, &w->arena, &w->req));
}

#define REL "00112233445566778899AABBCCDDEEFF"
#define KEY(cr, adfq, suid, tgis, et)                                                              \
    "{\"sec:skr\":{\"ri\":\"" REL "\",\"et\":\"" et "\",\"cr\":\"" cr "\",\"adfq\":\"" adfq        \
    "\",\"suid\":" suid ",\"tgis\":[" tgis "]}}"
#define S1 "//acme.example.com/S1"
#define ADMIN "admin.acme.example.com"
#define TARGET "\"//acme.example.com/id-in\""

/* ---- requests ---- */

static void a_registration_says_who_for_and_until_when(void **state)
{
    struct world *w = *state;
    ask_registration(w);
    assert_int_equal(w->req.op, BST_OP_CREATE);
    assert_int_equal(w->req.ty, BST_SEC_TY_MEF_CLIENT_REG);
    assert_true(bst_view_is(w->req.to, "-"));
    assert_true(bst_view_is(w->req.fr, S1));
    assert_int_equal(w->req.rqi.len, 32);
    assert_ok(bst_m2m_request_check(&w->req));
    yyjson_val *reg = bst_json_get(w->req.pc, BST_SEC_ROOT_MEF_CLIENT_REG);
    struct bst_view text;
    assert_ok(bst_json_string(reg, "adfq", &text));
    assert_true(bst_view_is(text, ADMIN));
    assert_ok(bst_json_string(reg, "fq", &text));
    assert_true(bst_view_is(text, "mef.acme.example.com"));
    assert_ok(bst_json_string(reg, "et", &text));
    assert_int_equal(text.len, BST_M2M_TIME_LEN);
}

static void a_key_registration_has_one_target_and_no_key_when_it_is_exported(void **state)
{
    struct world *w = *state;
    registered(w);
    ask_key(w);
    assert_int_equal(w->req.ty, BST_SEC_TY_SYMM_KEY_REG);
    assert_ok(bst_m2m_request_check(&w->req));
    yyjson_val *skr = bst_json_get(w->req.pc, BST_SEC_ROOT_SYMM_KEY_REG);
    assert_non_null(skr);
    assert_null(bst_json_get(skr, "kv"));
    assert_int_equal(yyjson_arr_size(bst_json_get(skr, "tgis")), 1);
}

static void an_own_key_is_sent_in_base64(void **state)
{
    struct world *w = *state;
    registered(w);
    bst_auto(secret) value = {0};
    assert_ok(bst_secret_copy(&value, "0123456789abcdef0123456789abcdef", 32));
    struct bst_mef_key_wish own = wish;
    own.value = &value;
    assert_ok(bst_mef_client_key_register(w->client, &own, &w->arena, &w->req));
    struct bst_view text;
    assert_ok(bst_json_string(bst_json_get(w->req.pc, "sec:skr"), "kv", &text));
    assert_true(bst_view_is(text, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
    assert_ok(answer(w, 2001, KEY(S1, ADMIN, "22", TARGET, ET)));
    assert_false(w->out.from_exporter);
}

static void wishes_that_cannot_be_right_are_refused(void **state)
{
    struct world *w = *state;
    registered(w);
    const struct bst_view two[] = {cse, BST_VIEW("//acme.example.com/S2")};
    const struct bst_view relative[] = {BST_VIEW("/id-in")};
    const struct bst_mef_key_wish bad[] = {
        {.suid = 31, .targets = &cse, .n_targets = 1, .expires_us = LATER},
        {.suid = 32, .targets = &cse, .n_targets = 1, .expires_us = LATER},
        {.suid = 22, .targets = two, .n_targets = 2, .expires_us = LATER},
        {.suid = 22, .targets = two, .n_targets = 0, .expires_us = LATER},
        {.suid = 22, .targets = relative, .n_targets = 1, .expires_us = LATER},
        {.suid = 22, .targets = &cse, .n_targets = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_mef_client_key_register(w->client, &bad[i], &w->arena, &w->req),
                   BST_E_VALUE);
        assert_int_equal(bst_mef_client_pending(w->client), BST_MEF_NONE);
    }
    struct bst_mef_key_wish data = wish;
    data.suid = 24;
    data.targets = two;
    data.n_targets = 2;
    assert_ok(bst_mef_client_key_register(w->client, &data, &w->arena, &w->req));
}

static void the_order_of_procedures_is_kept(void **state)
{
    struct world *w = *state;
    assert_err(bst_mef_client_key_register(w->client, &wish, &w->arena, &w->req), BST_E_USAGE);
    assert_err(bst_mef_client_deregister(w->client, &w->arena, &w->req), BST_E_USAGE);
    assert_err(answer(w, 2001, REG), BST_E_USAGE);
    ask_registration(w);
    assert_err(bst_mef_client_register(w->client, LATER, NULL, &w->arena, &w->req), BST_E_USAGE);
    bst_mef_client_cancel(w->client);
    registered(w);
    assert_true(bst_view_is(bst_mef_client_reg_id(w->client), "r1"));
    assert_ok(bst_mef_client_deregister(w->client, &w->arena, &w->req));
    assert_true(bst_view_is(w->req.to, "-/r1"));
    assert_ok(answer(w, 2002, ""));
    assert_int_equal(bst_mef_client_reg_id(w->client).len, 0);
}

static void identifiers_cannot_carry_paths(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"", "../x", "a/b", "a?b", "a b", "..", "a#b", "a%2f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_mef_client_key_retrieve(w->client, bst_view(bad[i]), 22, &w->arena, &w->req),
                   BST_E_SYNTAX);
        assert_err(bst_mef_client_resume(w->client, bst_view(bad[i])), BST_E_SYNTAX);
    }
}

/* ---- answers ---- */

static void a_registration_is_believed_when_it_fits(void **state)
{
    struct world *w = *state;
    registered(w);
    assert_int_equal(w->out.procedure, BST_MEF_REGISTER);
    assert_true(bst_view_is(w->out.reg_id, "r1"));
    assert_true(bst_view_is(w->out.client_id, S1));
    assert_true(w->out.expires_us > NOW);
}

static void a_registration_that_contradicts_is_not_believed(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *pc;
        enum bst_error error;
    } bad[] = {
        {"{\"sec:mecr\":{\"ri\":\"r1\",\"et\":\"" ET "\",\"cr\":\"//acme.example.com/S2\","
         "\"adfq\":\"" ADMIN "\"}}",
         BST_E_CREDENTIAL},
        {"{\"sec:mecr\":{\"ri\":\"r1\",\"et\":\"" ET "\",\"adfq\":\"" ADMIN "\"}}",
         BST_E_CREDENTIAL},
        {"{\"sec:mecr\":{\"ri\":\"r1\",\"et\":\"" ET "\",\"cr\":\"" S1 "\","
         "\"adfq\":\"evil.example\"}}",
         BST_E_CREDENTIAL},
        {"{\"sec:mecr\":{\"ri\":\"r1\",\"et\":\"20200101T000000\",\"cr\":\"" S1 "\","
         "\"adfq\":\"" ADMIN "\"}}",
         BST_E_EXPIRED},
        {"{\"sec:mecr\":{\"ri\":\"r1\",\"cr\":\"" S1 "\",\"adfq\":\"" ADMIN "\"}}", BST_E_SYNTAX},
        {"{\"sec:mecr\":{\"ri\":\"../x\",\"et\":\"" ET "\",\"cr\":\"" S1 "\",\"adfq\":\"" ADMIN
         "\"}}",
         BST_E_SYNTAX},
        {"{\"sec:skr\":{}}", BST_E_SYNTAX},
        {"{\"sec:mecr\":[]}", BST_E_VALUE},
        {"{\"sec:mecr\":{\"ri\":7}}", BST_E_VALUE},
        {"{\"sec:mecr\":{\"ri\":\"r1\"", BST_E_SYNTAX},
        {"", BST_E_SYNTAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask_registration(w);
        assert_err(answer(w, 2001, bad[i].pc), bad[i].error);
        assert_int_equal(bst_mef_client_reg_id(w->client).len, 0);
        assert_int_equal(bst_mef_client_pending(w->client), BST_MEF_NONE);
    }
}

static void an_answer_to_another_request_is_not_taken(void **state)
{
    struct world *w = *state;
    ask_registration(w);
    struct bst_m2m_response rsp = {.rsc = 2001, .rqi = BST_VIEW("other"), .pc = BST_VIEW(REG)};
    assert_err(bst_mef_client_take(w->client, &rsp, NOW, &w->arena, &w->out), BST_E_SYNTAX);
    ask_registration(w);
    assert_err(answer(w, 2000, REG), BST_E_SYNTAX);
}

static void refusals_keep_their_reason(void **state)
{
    struct world *w = *state;
    static const struct {
        int rsc;
        enum bst_error error;
    } codes[] = {{4000, BST_E_VALUE},  {4004, BST_E_NOT_FOUND}, {4102, BST_E_CONTENTS},
                 {4103, BST_E_DENIED}, {4105, BST_E_CONFLICT},  {4117, BST_E_ALREADY_REGISTERED},
                 {5000, BST_E_IO},     {4005, BST_E_OPERATION}, {9999, BST_E_IO}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ask_registration(w);
        struct bst_m2m_response rsp = {
            .rsc = codes[i].rsc, .rqi = w->req.rqi, .debug = BST_VIEW("because of the test")};
        assert_err(bst_mef_client_take(w->client, &rsp, NOW, &w->arena, &w->out), codes[i].error);
        assert_non_null(strstr(bst_error_detail(), "because of the test"));
    }
}

static void a_busy_mef_is_asked_again_later(void **state)
{
    struct world *w = *state;
    ask_registration(w);
    struct bst_m2m_response rsp = {.rsc = 5000, .rqi = w->req.rqi, .retry_s = 2};
    assert_err(bst_mef_client_take(w->client, &rsp, NOW, &w->arena, &w->out), BST_E_BUSY);
    ask_registration(w);
    assert_ok(answer(w, 2001, REG));
}

static void a_registered_key_has_its_identity(void **state)
{
    struct world *w = *state;
    registered(w);
    ask_key(w);
    assert_ok(answer(w, 2001, KEY(S1, ADMIN, "22", TARGET, ET)));
    assert_true(w->out.from_exporter);
    assert_string_equal(w->out.key_id, REL "@mef.acme.example.com");
    assert_int_equal(w->out.suid, 22);
    assert_int_equal(w->out.targets.n, 1);
}

static void a_key_registration_that_contradicts_is_not_believed(void **state)
{
    struct world *w = *state;
    registered(w);
    static const struct {
        const char *pc;
        enum bst_error error;
    } bad[] = {
        {KEY("//acme.example.com/S2", ADMIN, "22", TARGET, ET), BST_E_CREDENTIAL},
        {KEY(S1, "evil.example", "22", TARGET, ET), BST_E_CREDENTIAL},
        {KEY(S1, ADMIN, "23", TARGET, ET), BST_E_CREDENTIAL},
        {KEY(S1, ADMIN, "22", "\"//acme.example.com/evil\"", ET), BST_E_CREDENTIAL},
        {KEY(S1, ADMIN, "22", TARGET ",\"//acme.example.com/evil\"", ET), BST_E_CREDENTIAL},
        {KEY(S1, ADMIN, "22", "", ET), BST_E_CREDENTIAL},
        {KEY(S1, ADMIN, "22", TARGET, "20200101T000000"), BST_E_EXPIRED},
        {KEY(S1, ADMIN, "\"22\"", TARGET, ET), BST_E_VALUE},
        {KEY(S1, ADMIN, "22", "7", ET), BST_E_VALUE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask_key(w);
        assert_err(answer(w, 2001, bad[i].pc), bad[i].error);
    }
}

static void a_retrieved_key_is_secret_and_of_the_use_asked_for(void **state)
{
    struct world *w = *state;
    static const char good[] =
        "{\"sec:skr\":{\"ri\":\"" REL "\",\"et\":\"" ET "\",\"cr\":\"//acme.example.com/S9\","
        "\"adfq\":\"" ADMIN
        "\",\"suid\":22,\"kv\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"}}";
    assert_ok(bst_mef_client_key_retrieve(w->client, BST_VIEW(REL), 22, &w->arena, &w->req));
    assert_true(bst_view_is(w->req.to, "-/" REL));
    assert_ok(answer(w, 2000, good));
    assert_int_equal(w->out.value.len, 32);
    assert_memory_equal(w->out.value.ptr, "0123456789abcdef0123456789abcdef", 32);
    assert_true(bst_view_is(w->out.source_id, "//acme.example.com/S9"));
    bst_mef_outcome_clear(&w->out);
    assert_ok(bst_mef_client_key_retrieve(w->client, BST_VIEW(REL), 23, &w->arena, &w->req));
    assert_err(answer(w, 2000, good), BST_E_CREDENTIAL);
    assert_ok(bst_mef_client_key_retrieve(w->client, BST_VIEW("0123"), 22, &w->arena, &w->req));
    assert_err(answer(w, 2000, good), BST_E_CREDENTIAL);
}

static void a_retrieved_key_that_is_no_key_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const values[] = {"", "\"kv\":\"\",", "\"kv\":\"!!!\",", "\"kv\":\"AAAA\",",
                                         "\"kv\":7,"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char pc[512];
        snprintf(pc, sizeof pc,
                 "{\"sec:skr\":{%s\"et\":\"" ET "\",\"cr\":\"" S1 "\",\"adfq\":\"" ADMIN
                 "\",\"suid\":22}}",
                 values[i]);
        assert_ok(bst_mef_client_key_retrieve(w->client, BST_VIEW(REL), 22, &w->arena, &w->req));
        assert_true(bst_failed(answer(w, 2000, pc)));
        assert_null(w->out.value.ptr);
    }
}

static void updates_tell_only_what_changes(void **state)
{
    struct world *w = *state;
    registered(w);
    assert_err(bst_mef_client_update(w->client, 0, NULL, &w->arena, &w->req), BST_E_VALUE);
    assert_ok(bst_mef_client_update(w->client, LATER, NULL, &w->arena, &w->req));
    assert_int_equal(yyjson_obj_size(bst_json_get(w->req.pc, "sec:mecr")), 1);
    assert_ok(answer(w, 2004, "{\"sec:mecr\":{\"et\":\"" ET "\"}}"));
    struct bst_mef_key_wish change = {.suid = 22, .targets = &cse, .n_targets = 1};
    assert_ok(bst_mef_client_key_update(w->client, BST_VIEW(REL), &change, &w->arena, &w->req));
    assert_int_equal(yyjson_obj_size(bst_json_get(w->req.pc, "sec:skr")), 1);
    assert_err(answer(w, 2004, "{\"sec:skr\":{\"tgis\":[\"//acme.example.com/evil\"]}}"),
               BST_E_CREDENTIAL);
    assert_ok(bst_mef_client_key_update(w->client, BST_VIEW(REL), &change, &w->arena, &w->req));
    assert_ok(answer(w, 2004, "{\"sec:skr\":{\"tgis\":[" TARGET "]}}"));
    assert_ok(bst_mef_client_key_deregister(w->client, BST_VIEW(REL), &w->arena, &w->req));
    assert_ok(answer(w, 2002, ""));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_registration_says_who_for_and_until_when),
        CASE(a_key_registration_has_one_target_and_no_key_when_it_is_exported),
        CASE(an_own_key_is_sent_in_base64),
        CASE(wishes_that_cannot_be_right_are_refused),
        CASE(the_order_of_procedures_is_kept),
        CASE(identifiers_cannot_carry_paths),
        CASE(a_registration_is_believed_when_it_fits),
        CASE(a_registration_that_contradicts_is_not_believed),
        CASE(an_answer_to_another_request_is_not_taken),
        CASE(refusals_keep_their_reason),
        CASE(a_busy_mef_is_asked_again_later),
        CASE(a_registered_key_has_its_identity),
        CASE(a_key_registration_that_contradicts_is_not_believed),
        CASE(a_retrieved_key_is_secret_and_of_the_use_asked_for),
        CASE(a_retrieved_key_that_is_no_key_is_refused),
        CASE(updates_tell_only_what_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
