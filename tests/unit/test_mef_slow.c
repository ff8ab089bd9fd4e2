/* mef: keys in a slow secure environment: the loop of a session never waits for them. */
#include "support/slow_se.h"

#include "support/mef_world.h"

#define S1 "//acme.example.com/S1"
#define CSE "//acme.example.com/id-in"
#define ADMIN "admin.acme.example.com"
#define K1 "k1@mef.acme.example.com"
#define KC "kcse@mef.acme.example.com"
#define COMMON "\"et\":\"" MEF_YEAR "\",\"adfq\":\"" ADMIN "\",\"fq\":\"mef.acme.example.com\""
#define REG "{\"sec:mecr\":{" COMMON "}}"
#define SKR_OF(more) "{\"sec:skr\":{" COMMON ",\"suid\":22,\"tgis\":[\"" CSE "\"]" more "}}"
#define SKR SKR_OF("")
#define SKR_KV SKR_OF(",\"kv\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"")

static int set_up(void **state)
{
    slow_reset();
    mef_world_uri = "slow:dir=/se";
    return mef_world_set_up(state);
}

struct asking {
    struct mef_world *w;
    struct bst_mef_session *session;
    enum bst_m2m_op op;
    const char *from, *to;
    int ty;
    const char *content;
    int rsc;
};

static void ask(void *arg)
{
    struct asking *a = arg;
    a->rsc = mef_ask(a->w, a->session, a->op, a->from, a->to, a->ty, a->content);
}

/* A request that a running loop takes; the environment is worked with, or not. */
static int ask_on_loop(struct asking asking, bool inside)
{
    slow_gate.inside = 0;
    slow_on_loop(ask, &asking);
    bst_se_settle(asking.w->se);
    assert_int_equal(slow_number(&slow_gate.inside) > 0, inside);
    return asking.rsc;
}

static int create(struct mef_world *w, struct bst_mef_session *s, int ty, const char *content,
                  bool inside)
{
    return ask_on_loop((struct asking){w, s, BST_OP_CREATE, S1, "-", ty, content, 0}, inside);
}

static void no_loop_waits_for_the_environment(void **state)
{
    static const char *const keys[] = {SKR, SKR_KV};
    struct mef_world *w = *state;
    mef_provision(w, K1, "S1", ADMIN);
    mef_provision(w, KC, "/id-in", ADMIN);
    struct bst_mef_session device = mef_session(w, K1), cse = mef_session(w, KC);
    assert_int_equal(create(w, &device, BST_SEC_TY_MEF_CLIENT_REG, REG, false), 2001);
    for (size_t i = 0; i < 2; i++) {
        char to[64];
        assert_int_equal(create(w, &device, BST_SEC_TY_SYMM_KEY_REG, keys[i], true), 2001);
        assert_ok(bst_view_copy(w->call.rsp.content_location, to, sizeof to));
        assert_int_equal(
            ask_on_loop((struct asking){w, &cse, BST_OP_RETRIEVE, CSE, to, 0, NULL, 0}, true),
            2000);
        assert_true(mef_text(w, "sec:skr", "kv").len > 0);
        bst_mef_call_wipe(&w->call);
        assert_int_equal(
            ask_on_loop((struct asking){w, &device, BST_OP_DELETE, S1, to, 0, NULL, 0}, true),
            2002);
    }
    slow_no_loop_waited();
}

static void what_is_refused_leaves_no_key(void **state)
{
    struct mef_world *w = *state;
    mef_provision(w, K1, "S1", ADMIN);
    struct bst_mef_session device = mef_session(w, K1);
    size_t before = bst_se_key_count(w->se);
    /* not registered: the key is made, and goes again */
    assert_int_equal(create(w, &device, BST_SEC_TY_SYMM_KEY_REG, SKR, true), 4103);
    assert_int_equal(bst_se_key_count(w->se), before);
    assert_int_equal(create(w, &device, BST_SEC_TY_MEF_CLIENT_REG, REG, false), 2001);
    slow_break(true);
    assert_int_equal(create(w, &device, BST_SEC_TY_SYMM_KEY_REG, SKR, true) / 1000, 5);
    slow_break(false);
    assert_int_equal(bst_se_key_count(w->se), before);
    /* and the session may offer its key once more */
    assert_int_equal(create(w, &device, BST_SEC_TY_SYMM_KEY_REG, SKR, true), 2001);
    assert_int_equal(bst_se_key_count(w->se), before + 1);
    slow_no_loop_waited();
}

static void make_a_key(void *arg)
{
    const struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    bst_key key;
    assert_ok(bst_se_key_generate(arg, &attrs, &key));
}

static void who_makes_a_loop_wait_is_noticed(void **state)
{
    struct mef_world *w = *state;
    slow_on_loop(make_a_key, w->se);
    assert_int_equal(slow_number(&slow_gate.on_loops), 1);
    assert_string_equal(slow_gate.where, "create");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, mef_world_tear_down)

int main(void)
{
    assert_ok(slow_register());
    const struct CMUnitTest tests[] = {
        CASE(no_loop_waits_for_the_environment),
        CASE(what_is_refused_leaves_no_key),
        CASE(who_makes_a_loop_wait_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
