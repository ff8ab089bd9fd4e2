/* mef: every rule of the interface with a request that it lets through and one that it does not. */
#include "support/mef_world.h"

#include <pthread.h>
#include <stdio.h>

#define S1 "//acme.example.com/S1"
#define S2 "//acme.example.com/S2"
#define CSE "//acme.example.com/id-in"
#define ADMIN "admin.acme.example.com"
#define K1 "k1@mef.acme.example.com"
#define K2 "k2@mef.acme.example.com"
#define KC "kcse@mef.acme.example.com"
#define MEF "mef.acme.example.com"
#define REG_OF(admin, fq, et)                                                                      \
    "{\"sec:mecr\":{\"et\":\"" et "\",\"adfq\":\"" admin "\",\"fq\":\"" fq "\"}}"
#define REG REG_OF(ADMIN, MEF, MEF_YEAR)
#define SKR_OF(admin, fq, et, suid, more)                                                          \
    "{\"sec:skr\":{\"et\":\"" et "\",\"adfq\":\"" admin "\",\"fq\":\"" fq "\",\"suid\":" suid more \
    "}}"
#define TO_CSE ",\"tgis\":[\"" CSE "\"]"
#define KV ",\"kv\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\""
#define SKR SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE)
#define SKR_KV SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE KV)
#define EXPORTED "ABABABABABABABABABABABABABABABAB"

struct parties {
    struct bst_mef_session s1, s2, cse;
};

static void everyone(struct mef_world *w, struct parties *p)
{
    mef_provision(w, K1, "S1", ADMIN " other.example.com");
    mef_provision(w, K2, S2, ADMIN);
    mef_provision(w, KC, "/id-in", ADMIN);
    p->s1 = mef_session(w, K1);
    p->s2 = mef_session(w, K2);
    p->cse = mef_session(w, KC);
}

static int create(struct mef_world *w, struct bst_mef_session *s, const char *from, int ty,
                  const char *content)
{
    return mef_ask(w, s, BST_OP_CREATE, from, "-", ty, content);
}

/* Registers S1; the address of the registration. */
static const char *registered(struct mef_world *w, struct parties *p)
{
    static char to[64];
    everyone(w, p);
    assert_int_equal(create(w, &p->s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
    assert_ok(bst_view_copy(w->call.rsp.content_location, to, sizeof to));
    return to;
}

/* Registers S1 and a key of the session; the address of the key. */
static const char *with_key(struct mef_world *w, struct parties *p, const char *content)
{
    static char to[64];
    registered(w, p);
    assert_int_equal(create(w, &p->s1, S1, BST_SEC_TY_SYMM_KEY_REG, content), 2001);
    assert_ok(bst_view_copy(w->call.rsp.content_location, to, sizeof to));
    return to;
}

static bool key_kept(struct mef_world *w, const char *to)
{
    char label[96];
    bst_key key = 0;
    snprintf(label, sizeof label, "mef.key.%s", to + 2);
    assert_ok(bst_se_key_find(w->se, label, &key));
    return key != 0;
}

static void count_client(void *ctx, const struct bst_mef_client_info *info)
{
    unsigned *n = ctx;
    *n += bst_view_starts(info->cred_id, BST_VIEW("10-")) && info->client_id.len;
}
static void count_key(void *ctx, const struct bst_mef_key_info *info)
{
    unsigned *n = ctx;
    *n += bst_view_is(info->source_id, S1) && info->suid == 22;
}

/* ---- who is it ---- */

static void a_session_without_a_client_is_refused(void **state)
{
    struct mef_world *w = *state;
    struct bst_mef_session nobody = {0}, unknown = mef_session(w, "x@mef.acme.example.com");
    assert_int_equal(create(w, &nobody, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 4107);
    assert_int_equal(create(w, &unknown, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 4106);
    assert_err(bst_mef_session_psk(&nobody, BST_VIEW("no key identity")), BST_E_CREDENTIAL);
    assert_int_equal(nobody.cred_id[0], '\0');
}

static void a_client_speaks_as_itself_only(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(create(w, &p.s1, S2, BST_SEC_TY_MEF_CLIENT_REG, REG), 4103);
    assert_int_equal(create(w, &p.s1, CSE, BST_SEC_TY_MEF_CLIENT_REG, REG), 4103);
    assert_int_equal(create(w, &p.s1, "", BST_SEC_TY_MEF_CLIENT_REG, REG), 4000);
    assert_int_equal(create(w, &p.s1, "a b", BST_SEC_TY_MEF_CLIENT_REG, REG), 4000);
    assert_int_equal(create(w, &p.s1, "S1", BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
}

static void handshakes_find_the_key_of_provisioned_clients_only(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    bst_key key = 0;
    everyone(w, &p);
    assert_ok(bst_mef_psk_key(w->mef, BST_VIEW(K1), &key));
    assert_true(key != 0);
    static const char *const bad[] = {"", "x@mef.acme.example.com", "k1", "mef.key.x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_ok(bst_mef_psk_key(w->mef, bst_view(bad[i]), &key));
        assert_true(key == 0);
    }
    char text[600];
    memset(text, 'k', sizeof text);
    assert_ok(bst_mef_psk_key(w->mef, bst_view_of(text, sizeof text), &key));
    assert_true(key == 0);
    assert_ok(bst_mef_psk_key(w->mef, bst_view_of(K1 "\0x", sizeof K1 + 1), &key));
    assert_true(key == 0);
}

static void a_client_may_come_with_a_certificate(void **state)
{
    struct mef_world *w = *state;
    const struct bst_mef_client_info info = {.client_id = BST_VIEW("S7"),
                                             .admins = BST_VIEW(ADMIN)};
    assert_ok(
        bst_mef_provision_cert(w->mef, BST_CERT_AE, BST_VIEW("//acme.example.com/S7"), &info));
    struct bst_cert_name name = {.flavours = BST_CERT_AE, .text = "//acme.example.com/S7"};
    struct bst_cert_names names = {&name, 1};
    struct bst_mef_session session = {0};
    assert_ok(bst_mef_session_cert(&session, w->mef, &names));
    assert_int_equal(create(w, &session, "S7", BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
    snprintf(name.text, sizeof name.text, "//acme.example.com/S8");
    assert_ok(bst_mef_session_cert(&session, w->mef, &names));
    assert_int_equal(create(w, &session, "S8", BST_SEC_TY_MEF_CLIENT_REG, REG), 4106);
    struct bst_cert_names none = {NULL, 0};
    assert_err(bst_mef_session_cert(&session, w->mef, &none), BST_E_CREDENTIAL);
}

/* ---- client registration ---- */

static void a_registration_comes_back_with_what_was_set(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = registered(w, &p);
    assert_true(bst_view_is(mef_text(w, "sec:mecr", "cr"), S1));
    assert_true(bst_view_is(mef_text(w, "sec:mecr", "adfq"), ADMIN));
    assert_true(bst_view_starts(mef_text(w, "sec:mecr", "et"), BST_VIEW(MEF_YEAR)));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 2000);
    assert_true(bst_view_is(mef_text(w, "sec:mecr", "cr"), S1));
    assert_int_equal(mef_ask(w, &p.s2, BST_OP_RETRIEVE, S2, to, 0, NULL), 4103);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, "-/r0", 0, NULL), 4004);
}

static void wrong_registrations_are_refused(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    static const struct {
        const char *content;
        int rsc;
    } bad[] = {
        {REG_OF("evil.example", MEF, MEF_YEAR), 4103},
        {REG_OF(ADMIN, "other.mef.example", MEF_YEAR), 4000},
        {REG_OF(ADMIN, MEF, "20200101T000000"), 4000},
        {REG_OF(ADMIN, MEF, "tomorrow"), 4000},
        {REG_OF("not a domain", MEF, MEF_YEAR), 4000},
        {"{\"sec:mecr\":{\"et\":\"" MEF_YEAR "\",\"adfq\":\"" ADMIN "\"}}", 4000},
        {"{\"sec:mecr\":{\"et\":\"" MEF_YEAR "\",\"fq\":\"" MEF "\"}}", 4000},
        {"{\"sec:mecr\":{\"adfq\":\"" ADMIN "\",\"fq\":\"" MEF "\"}}", 4000},
        {"{\"sec:mecr\":{\"et\":7,\"adfq\":\"" ADMIN "\",\"fq\":\"" MEF "\"}}", 4000},
        {"{\"sec:mecr\":{\"et\":\"" MEF_YEAR "\",\"adfq\":\"" ADMIN "\",\"fq\":\"" MEF
         "\",\"cr\":\"" S2 "\"}}",
         4000},
        {"{\"sec:mecr\":{\"et\":\"" MEF_YEAR "\",\"adfq\":\"" ADMIN "\",\"fq\":\"" MEF
         "\",\"lbl\":\"x\"}}",
         4000},
        {"{\"sec:skr\":{}}", 4000},
        {"{\"sec:mecr\":[]}", 4000},
        {"{}", 4000},
        {"[]", 4000},
        {NULL, 4000},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rsc = create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, bad[i].content);
        if (rsc != bad[i].rsc || !w->call.rsp.debug.len) {
            fail_msg("%s: %d: %.*s", bad[i].content, rsc, BST_VIEW_ARGS(w->call.rsp.debug));
        }
    }
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_CMD, "{\"sec:mecc\":{}}"), 4005);
    assert_int_equal(create(w, &p.s1, S1, 3, REG), 4000);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_CREATE, S1, "-/r1", BST_SEC_TY_MEF_CLIENT_REG, REG),
                     4005);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_NOTIFY, S1, "-", 0, REG), 4005);
}

static void a_client_registers_once_for_each_stakeholder(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    registered(w, &p);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 4117);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG,
                            REG_OF("ADMIN.acme.example.com", MEF, MEF_YEAR)),
                     4117);
    assert_int_equal(
        create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG_OF("other.example.com", MEF, MEF_YEAR)),
        2001);
    assert_int_equal(create(w, &p.s2, S2, BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
}

static void a_registration_lives_no_longer_than_the_policy_says(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(
        create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG_OF(ADMIN, MEF, "99991231T235959")),
        2001);
    int64_t et;
    assert_ok(bst_m2m_time_parse(mef_text(w, "sec:mecr", "et"), &et));
    assert_true(et <= MEF_NOW + INT64_C(5) * 366 * 86400 * BST_US_PER_S);
}

static void an_expired_registration_is_gone(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
    char to[64];
    assert_ok(bst_view_copy(w->call.rsp.content_location, to, sizeof to));
    bst_clock_fake_us(MEF_NOW + INT64_C(800) * 86400 * BST_US_PER_S);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 4004);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG,
                            SKR_OF(ADMIN, MEF, "20301101T000000", "22", TO_CSE)),
                     4103);
    assert_int_equal(
        create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG_OF(ADMIN, MEF, "20301101T000000")),
        2001);
}

static void a_registration_is_updated_and_ended_by_its_owner(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = registered(w, &p);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0,
                             "{\"sec:mecr\":{\"et\":\"20270101T000000\",\"lbl\":[\"a\",\"b\"]}}"),
                     2004);
    assert_int_equal(yyjson_obj_size(bst_json_get(w->pc, "sec:mecr")), 2);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 2000);
    assert_true(bst_view_starts(mef_text(w, "sec:mecr", "et"), BST_VIEW("20270101T000000")));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0, "{\"sec:mecr\":{}}"), 4000);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0,
                             "{\"sec:mecr\":{\"adfq\":\"other.example.com\"}}"),
                     4000);
    assert_int_equal(
        mef_ask(w, &p.s2, BST_OP_UPDATE, S2, to, 0, "{\"sec:mecr\":{\"et\":\"20270101T000000\"}}"),
        4103);
    assert_int_equal(mef_ask(w, &p.s2, BST_OP_DELETE, S2, to, 0, NULL), 4103);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, to, 0, NULL), 2002);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, to, 0, NULL), 4004);
}

/* ---- keys ---- */

static void a_key_of_the_session_is_taken_from_the_exporter(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR);
    assert_string_equal(to, "-/" EXPORTED);
    assert_true(bst_view_is(mef_text(w, "sec:skr", "ri"), EXPORTED));
    assert_true(bst_view_is(mef_text(w, "sec:skr", "cr"), S1));
    assert_int_equal(mef_text(w, "sec:skr", "kv").len, 0);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 2000);
    bst_auto(buf) key = {0};
    assert_ok(bst_base64_decode(mef_text(w, "sec:skr", "kv"), &key));
    assert_int_equal(key.len, 32);
    assert_memory_equal(key.ptr, w->export48 + 16, 32);
}

static void a_session_gives_one_key_only(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    with_key(w, &p, SKR);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 4105);
    assert_int_equal(w->exports, 1);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR_KV), 2001);
    struct bst_mef_session mute = p.s1;
    mute.exporter = (struct bst_mef_exporter){0};
    assert_int_equal(create(w, &mute, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 4102);
}

static void a_refused_key_may_be_offered_again(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 4103);
    assert_false(key_kept(w, "-/" EXPORTED));
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 2001);
    assert_true(key_kept(w, "-/" EXPORTED));
}

static void two_sessions_with_one_identifier_do_not_meet(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR);
    assert_int_equal(create(w, &p.s2, S2, BST_SEC_TY_MEF_CLIENT_REG, REG), 2001);
    assert_int_equal(create(w, &p.s2, S2, BST_SEC_TY_SYMM_KEY_REG, SKR), 4105);
    assert_true(key_kept(w, to));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 2000);
}

static void an_own_key_gets_a_fresh_identifier(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    char first[64];
    snprintf(first, sizeof first, "%s", with_key(w, &p, SKR_KV));
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR_KV), 2001);
    assert_false(bst_view_is(w->call.rsp.content_location, first));
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, first, 0, NULL), 2000);
    assert_true(
        bst_view_is(mef_text(w, "sec:skr", "kv"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
}

static void only_a_target_gets_the_key(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR_KV);
    assert_int_equal(mef_ask(w, &p.s2, BST_OP_RETRIEVE, S2, to, 0, NULL), 4103);
    assert_int_equal(w->call.rsp.pc.len, 0);
    /* the source sees the record, not the key */
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 2000);
    assert_int_equal(mef_text(w, "sec:skr", "kv").len, 0);
    assert_non_null(bst_json_get(bst_json_get(w->pc, "sec:skr"), "tgis"));
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 2000);
    assert_null(bst_json_get(bst_json_get(w->pc, "sec:skr"), "tgis"));
    struct bst_view held = w->call.rsp.pc;
    bst_mef_call_wipe(&w->call);
    for (size_t i = 0; i < held.len; i++) {
        assert_int_equal(held.ptr[i], 0);
    }
    char lower[64];
    snprintf(lower, sizeof lower, "%s", to);
    for (char *c = lower; *c; c++) {
        *c = *c >= 'A' && *c <= 'F' ? (char)(*c + 32) : *c;
    }
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, lower, 0, NULL), 2000);
}

static void wrong_key_registrations_are_refused(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    registered(w, &p);
    static const struct {
        const char *content;
        int rsc;
    } bad[] = {
        {SKR_OF("other.example.com", MEF, MEF_YEAR, "22", TO_CSE KV),
         4103}, /* not registered for it */
        {SKR_OF(ADMIN, "other.mef.example", MEF_YEAR, "22", TO_CSE KV), 4000},
        {SKR_OF(ADMIN, MEF, "20200101T000000", "22", TO_CSE KV), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "31", TO_CSE KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "32", TO_CSE KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "0", TO_CSE KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "\"22\"", TO_CSE KV), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[]" KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[\"" CSE "\",\"" S2 "\"]" KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[\"/id-in\"]" KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[\"S2\"]" KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[\"//*/id-in\"]" KV), 4102},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":[7]" KV), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", ",\"tgis\":\"" CSE "\"" KV), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE ",\"kv\":\"AAAA\""), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE ",\"kv\":\"***\""), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE ",\"kv\":\"\""), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE ",\"kv\":7"), 4000},
        {SKR_OF(ADMIN, MEF, MEF_YEAR, "22", TO_CSE KV ",\"ri\":\"x\""), 4000},
        {"{\"sec:skr\":{\"suid\":22}}", 4000},
    };
    size_t keys = bst_se_key_count(w->se);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rsc = create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, bad[i].content);
        if (rsc != bad[i].rsc) {
            fail_msg("%s: %d: %.*s", bad[i].content, rsc, BST_VIEW_ARGS(w->call.rsp.debug));
        }
        assert_int_equal(bst_se_key_count(w->se), keys); /* a refused key leaves nothing behind */
    }
    assert_int_equal(create(w, &p.s2, S2, BST_SEC_TY_SYMM_KEY_REG, SKR_KV), 4103);
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void data_keys_may_have_many_targets(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(
        w, &p, SKR_OF(ADMIN, MEF, MEF_YEAR, "24", ",\"tgis\":[\"" CSE "\",\"" S2 "\"]" KV));
    assert_int_equal(mef_ask(w, &p.s2, BST_OP_RETRIEVE, S2, to, 0, NULL), 2000);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 2000);
}

static void a_key_goes_with_its_registration(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(
        create(w, &p.s1, S1, BST_SEC_TY_MEF_CLIENT_REG, REG_OF(ADMIN, MEF, "20270101T000000")),
        2001);
    char reg[64], to[64];
    assert_ok(bst_view_copy(w->call.rsp.content_location, reg, sizeof reg));
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR_KV), 2001);
    assert_true(bst_view_starts(mef_text(w, "sec:skr", "et"), BST_VIEW("20270101T000000")));
    assert_ok(bst_view_copy(w->call.rsp.content_location, to, sizeof to));
    assert_true(key_kept(w, to));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, reg, 0, NULL), 2002);
    assert_false(key_kept(w, to));
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4004);
}

static void a_key_is_updated_and_deleted_by_its_source(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR_KV);
    assert_int_equal(
        mef_ask(w, &p.s2, BST_OP_UPDATE, S2, to, 0, "{\"sec:skr\":{\"tgis\":[\"" S2 "\"]}}"), 4103);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_DELETE, CSE, to, 0, NULL), 4103);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0,
                             "{\"sec:skr\":{\"tgis\":[\"" CSE "\",\"" S2 "\"]}}"),
                     4102);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0, "{\"sec:skr\":{\"suid\":23}}"),
                     4000);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0, "{\"sec:skr\":{\"kv\":\"AAAA\"}}"),
                     4000);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, to, 0,
                             "{\"sec:skr\":{\"tgis\":[\"" S2 "\"],\"fq\":\"" MEF "\"}}"),
                     2004);
    assert_int_equal(mef_ask(w, &p.s2, BST_OP_RETRIEVE, S2, to, 0, NULL), 2000);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4103);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, to, 0, NULL), 2002);
    assert_false(key_kept(w, to));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, to, 0, NULL), 4004);
}

static void an_expired_key_is_not_given_out(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR_KV);
    bst_clock_fake_us(MEF_NOW + INT64_C(800) * 86400 * BST_US_PER_S);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4004);
    assert_true(key_kept(w, to));
    unsigned removed = 0;
    assert_ok(bst_mef_sweep(w->mef, &removed));
    assert_true(removed > 0);
    assert_false(key_kept(w, to));
    assert_ok(bst_mef_sweep(w->mef, &removed));
    assert_int_equal(removed, 0);
}

static void the_older_retrieval_gives_the_same_key(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    char to[160];
    const char *key = with_key(w, &p, SKR_KV) + 2;
    snprintf(to, sizeof to, "fetchCredentials/%s@" MEF "/22", key);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 2000);
    struct bst_view text;
    assert_true(yyjson_is_true(bst_json_get(w->pc, "Status")));
    assert_ok(bst_json_string(w->pc, "Credential", &text));
    assert_true(bst_view_is(text, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="));
    assert_ok(bst_json_string(w->pc, "EnroleeID", &text));
    assert_true(bst_view_is(text, S1));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, to, 0, NULL), 4103);
    assert_true(yyjson_is_false(bst_json_get(w->pc, "Status")));
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_DELETE, CSE, to, 0, NULL), 4005);
    snprintf(to, sizeof to, "fetchCredentials/%s@" MEF "/23", key);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4004);
    snprintf(to, sizeof to, "fetchCredentials/%s@other.example.com/22", key);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4004);
}

/* ---- addresses ---- */

static void the_base_tells_what_is_here(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, "mef", 0, NULL), 2000);
    assert_true(bst_view_is(mef_text(w, "sec:mefb", "fq"), MEF));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_UPDATE, S1, "-", 0, REG), 4005);
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_DELETE, S1, "-", 0, NULL), 4005);
    static const char *const nowhere[] = {"-/a/b",
                                          "/id-in",
                                          "-/",
                                          "cse-in",
                                          "x/y",
                                          "-/..",
                                          "fetchCredentials/x",
                                          "fetchCredentials/x/22"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, nowhere[i], 0, NULL), 4004);
    }
}

/* ---- administration ---- */

static void a_revoked_client_and_its_keys_are_gone(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR_KV);
    assert_ok(bst_mef_revoke(w->mef, bst_view(p.s1.cred_id)));
    bst_key key = 1;
    assert_ok(bst_mef_psk_key(w->mef, BST_VIEW(K1), &key));
    assert_true(key == 0);
    assert_false(key_kept(w, to));
    assert_int_equal(mef_ask(w, &p.s1, BST_OP_RETRIEVE, S1, "mef", 0, NULL), 4106);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 4004);
    assert_err(bst_mef_revoke(w->mef, BST_VIEW("10-nobody@mef.acme.example.com")), BST_E_NOT_FOUND);
    bst_auto(secret) kpm = {0};
    assert_ok(bst_secret_init(&kpm, 32));
    const struct bst_mef_client_info info = {.client_id = BST_VIEW("S1"),
                                             .admins = BST_VIEW(ADMIN)};
    assert_err(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &kpm, &info), BST_E_EXISTS);
}

static void a_client_with_another_credential_keeps_its_registration(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = registered(w, &p);
    mef_provision(w, "k1b@mef.acme.example.com", "S1", ADMIN);
    assert_ok(bst_mef_revoke(w->mef, bst_view(p.s1.cred_id)));
    struct bst_mef_session second = mef_session(w, "k1b@mef.acme.example.com");
    assert_int_equal(mef_ask(w, &second, BST_OP_RETRIEVE, S1, to, 0, NULL), 2000);
}

static void wrong_provisioning_is_refused_and_leaves_no_key(void **state)
{
    struct mef_world *w = *state;
    bst_auto(secret) kpm = {0}, brief = {0};
    assert_ok(bst_secret_init(&kpm, 32));
    assert_ok(bst_secret_init(&brief, 8));
    struct bst_mef_client_info good = {.client_id = BST_VIEW("S1"), .admins = BST_VIEW(ADMIN)};
    struct bst_mef_client_info no_admin = {.client_id = BST_VIEW("S1")};
    struct bst_mef_client_info bad_id = {.client_id = BST_VIEW("a b"), .admins = BST_VIEW(ADMIN)};
    size_t keys = bst_se_key_count(w->se);
    assert_true(bst_failed(bst_mef_provision_psk(w->mef, BST_VIEW("no form"), &kpm, &good)));
    assert_true(bst_failed(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &brief, &good)));
    assert_true(bst_failed(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &kpm, &no_admin)));
    assert_true(bst_failed(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &kpm, &bad_id)));
    assert_int_equal(bst_se_key_count(w->se), keys);
    assert_ok(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &kpm, &good));
    assert_err(bst_mef_provision_psk(w->mef, BST_VIEW(K1), &kpm, &good), BST_E_EXISTS);
}

static void clients_and_keys_can_be_listed(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    unsigned clients = 0, keys = 0;
    with_key(w, &p, SKR_KV);
    assert_ok(bst_mef_clients(w->mef, count_client, &clients));
    assert_int_equal(clients, 3);
    assert_ok(bst_mef_keys(w->mef, count_key, &keys));
    assert_int_equal(keys, 1);
}

/* ---- threads ---- */

static void note_thread(struct bst_mef_call *call)
{
    pthread_t *where = call->user;
    *where = pthread_self();
}

static void an_answer_arrives_on_the_loop_of_the_session(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    everyone(w, &p);
    struct bst_loop *loop = NULL;
    pthread_t where = 0;
    assert_ok(bst_loop_new(&loop));
    static const enum bst_m2m_op ops[] = {BST_OP_CREATE, BST_OP_RETRIEVE, BST_OP_DELETE};
    static const char *const tos[] = {"-", "mef", "-/r0"};
    static const int rscs[] = {2001, 2000, 4004};
    for (size_t i = 0; i < 3; i++) {
        bst_arena_reset(&w->arena);
        w->call = (struct bst_mef_call){.arena = &w->arena,
                                        .session = &p.s1,
                                        .loop = loop,
                                        .done = note_thread,
                                        .user = &where};
        bst_m2m_request_init(&w->call.req);
        w->call.req.op = ops[i];
        w->call.req.ty = ops[i] == BST_OP_CREATE ? BST_SEC_TY_MEF_CLIENT_REG : 0;
        w->call.req.fr = BST_VIEW(S1);
        w->call.req.to = bst_view(tos[i]);
        assert_ok(bst_json_parse(&w->arena, BST_VIEW(REG), BST_JSON_DEPTH, &w->call.req.pc));
        where = 0;
        bst_mef_handle(w->mef, &w->call);
        for (int turns = 0; !where && turns < 100; turns++) {
            bst_loop_run_once(loop, 1000);
        }
        assert_true(pthread_equal(where, pthread_self()));
        assert_int_equal(w->call.rsp.rsc, rscs[i]);
    }
    bst_loop_free(&loop);
}

/* ---- faults ---- */

static void everything_is_there_after_a_restart(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR);
    mef_world_close(w);
    mef_world_open(w);
    assert_int_equal(mef_ask(w, &p.cse, BST_OP_RETRIEVE, CSE, to, 0, NULL), 2000);
    bst_key key = 0;
    assert_ok(bst_mef_psk_key(w->mef, BST_VIEW(K1), &key));
    assert_true(key != 0);
}

static void what_a_crash_left_half_done_is_removed(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    const char *to = with_key(w, &p, SKR_KV);
    bst_key key = 0;
    bst_auto(secret) value = {0};
    assert_ok(bst_secret_init(&value, 32));
    /* a key without a record, and a record without a key */
    struct bst_key_attrs orphan = {.type = BST_KEY_SYMMETRIC,
                                   .uses = BST_KEY_USE_PSK,
                                   .label = "mef.key." EXPORTED,
                                   .persistent = true};
    assert_ok(bst_se_key_import(w->se, &orphan, &value, &key));
    struct bst_key_attrs other = orphan;
    other.label = "cse.tls";
    assert_ok(bst_se_key_import(w->se, &other, &value, &key));
    char label[96];
    snprintf(label, sizeof label, "mef.key.%s", to + 2);
    assert_ok(bst_se_key_find(w->se, label, &key));
    assert_ok(bst_se_key_delete(w->se, key));
    mef_world_close(w);
    mef_world_open(w);
    assert_false(key_kept(w, "-/" EXPORTED));
    assert_ok(bst_se_key_find(w->se, "cse.tls", &key));
    assert_true(key != 0);
    unsigned keys = 0;
    assert_ok(bst_mef_keys(w->mef, count_key, &keys));
    assert_int_equal(keys, 0);
}

static void a_key_that_cannot_be_kept_is_not_registered(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    registered(w, &p);
    w->host.fail_at = w->host.writes + 1;
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 5000);
    w->host.fail_at = 0;
    assert_false(p.s1.exported);
    assert_int_equal(create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR), 2001);
}

static void a_request_without_memory_leaves_no_half_key(void **state)
{
    struct mef_world *w = *state;
    struct parties p;
    registered(w, &p);
    size_t clients = bst_se_key_count(w->se), failed = 0;
    for (long n = 1; n <= 120; n++) {
        w->fail_at = n;
        int rsc = create(w, &p.s1, S1, BST_SEC_TY_SYMM_KEY_REG, SKR_KV);
        w->fail_at = 0;
        failed += rsc != 2001;
        unsigned keys = 0;
        assert_true(rsc == 2001 || rsc == 5000);
        assert_ok(bst_mef_keys(w->mef, count_key, &keys));
        assert_int_equal(bst_se_key_count(w->se), clients + keys);
    }
    assert_true(failed > 3);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, mef_world_set_up, mef_world_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_session_without_a_client_is_refused),
        CASE(a_client_speaks_as_itself_only),
        CASE(handshakes_find_the_key_of_provisioned_clients_only),
        CASE(a_client_may_come_with_a_certificate),
        CASE(a_registration_comes_back_with_what_was_set),
        CASE(wrong_registrations_are_refused),
        CASE(a_client_registers_once_for_each_stakeholder),
        CASE(a_registration_lives_no_longer_than_the_policy_says),
        CASE(an_expired_registration_is_gone),
        CASE(a_registration_is_updated_and_ended_by_its_owner),
        CASE(a_key_of_the_session_is_taken_from_the_exporter),
        CASE(a_session_gives_one_key_only),
        CASE(a_refused_key_may_be_offered_again),
        CASE(two_sessions_with_one_identifier_do_not_meet),
        CASE(an_own_key_gets_a_fresh_identifier),
        CASE(only_a_target_gets_the_key),
        CASE(wrong_key_registrations_are_refused),
        CASE(data_keys_may_have_many_targets),
        CASE(a_key_goes_with_its_registration),
        CASE(a_key_is_updated_and_deleted_by_its_source),
        CASE(an_expired_key_is_not_given_out),
        CASE(the_older_retrieval_gives_the_same_key),
        CASE(the_base_tells_what_is_here),
        CASE(a_revoked_client_and_its_keys_are_gone),
        CASE(a_client_with_another_credential_keeps_its_registration),
        CASE(wrong_provisioning_is_refused_and_leaves_no_key),
        CASE(clients_and_keys_can_be_listed),
        CASE(an_answer_arrives_on_the_loop_of_the_session),
        CASE(everything_is_there_after_a_restart),
        CASE(what_a_crash_left_half_done_is_removed),
        CASE(a_key_that_cannot_be_kept_is_not_registered),
        CASE(a_request_without_memory_leaves_no_half_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
