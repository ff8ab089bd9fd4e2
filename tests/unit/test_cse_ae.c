/* Registration of application entities (TS-0004 7.4.5, TS-0001 10.2.2.2). */
#include "support/cse_fixture.h"

#define AE "'api':'N.test','rr':false,'srv':['3']"

static void a_stem_is_taken_as_given(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001, cse_create(f, "Cown", "cse-in", "ae", "'rn':'own'," AE));
    assert_string_equal(cse_text(f, "m2m:ae/aei"), "Cown");
    assert_string_equal(cse_text(f, "m2m:ae/ri"), "Cown");
    assert_string_equal(cse_text(f, "m2m:ae/rn"), "own");
    assert_string_equal(cse_text(f, "m2m:ae/pi"), "id-in");
    assert_string_equal(cse_text(f, "m2m:ae/ct"), cse_text(f, "m2m:ae/lt"));
    assert_true(strlen(cse_text(f, "m2m:ae/et")) > 0);
}

static void a_stem_of_the_wanted_kind_is_assigned(void **state)
{
    struct cse_fixture *f = *state;
    for (const char *kind = "CS"; *kind; kind++) {
        char from[2] = {*kind};
        assert_rsc(2001, cse_create(f, from, "cse-in", "ae", AE));
        assert_true(cse_text(f, "m2m:ae/aei")[0] == *kind);
        assert_true(strlen(cse_text(f, "m2m:ae/aei")) > 4);
        assert_string_equal(cse_text(f, "m2m:ae/rn"), cse_text(f, "m2m:ae/aei"));
    }
    assert_rsc(2001, cse_create(f, NULL, "cse-in", "ae", AE));
    assert_true(strchr("CS", cse_text(f, "m2m:ae/aei")[0]) != NULL);
}

static void an_assigned_stem_owns_its_resource(void **state)
{
    struct cse_fixture *f = *state;
    char stem[64];
    assert_rsc(2001, cse_create(f, "C", "cse-in", "ae", "'rn':'assigned'," AE));
    snprintf(stem, sizeof stem, "%s", cse_text(f, "m2m:ae/aei"));
    assert_rsc(2000, cse_retrieve(f, stem, "cse-in/assigned"));
    assert_rsc(4103, cse_retrieve(f, "Cother", "cse-in/assigned"));
    assert_rsc(2001, cse_create(f, stem, "cse-in/assigned", "cnt", "'rn':'c'"));
    assert_rsc(2002, cse_delete(f, stem, "cse-in/assigned"));
    assert_rsc(4004, cse_retrieve(f, stem, stem));
}

static void a_second_registration_is_refused(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Ctwice", "twice");
    assert_rsc(4117, cse_create(f, "Ctwice", "cse-in", "ae", "'rn':'again'," AE));
    assert_rsc(4004, cse_retrieve(f, "CAdmin", "cse-in/again"));
    assert_rsc(4105, cse_create(f, "Cthird", "cse-in", "ae", "'rn':'twice'," AE));
    assert_rsc(4004, cse_retrieve(f, "CAdmin", "Cthird"));
    assert_rsc(2002, cse_delete(f, "Ctwice", "cse-in/twice"));
    cse_register(f, "Ctwice", "twice");
}

static void what_a_registration_must_have(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'rr':true,'srv':['3']"));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'api':'N.x','srv':['3']"));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'api':'N.x','rr':true"));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'api':'x.y','rr':true,'srv':['3']"));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'aei':'Cx'," AE));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'nonsense':1," AE));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'rn':'x y'," AE));
    assert_rsc(4000, cse_create(f, "Cx", "cse-in", "ae", "'cr':null," AE));
    assert_rsc(4004, cse_retrieve(f, "CAdmin", "Cx"));
    for (const char *first = "RrN"; *first; first++) {
        assert_rsc(
            2001, cse_create(f, "C", "cse-in", "ae", "'api':'%c.x','rr':true,'srv':['3']", *first));
    }
}

static void a_cse_registers_no_ae(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(4107, cse_create(f, "/id-in", "cse-in", "ae", AE));
    assert_rsc(4107, cse_create(f, "/id-other", "cse-in", "ae", AE));
}

static void release_4_knows_no_small_r(void **state)
{
    struct cse_fixture *f = *state;
    f->rvi = "4";
    assert_rsc(4000, cse_create(f, "C", "cse-in", "ae", "'api':'r.x','rr':true,'srv':['4']"));
    assert_rsc(2001, cse_create(f, "C", "cse-in", "ae", "'api':'R.x','rr':true,'srv':['4']"));
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    assert_string_equal(cse_text(f, "m2m:cb/ctm"), "20260101T000000,000000");
    f->rvi = "3";
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    assert_null(cse_at(f, "m2m:cb/ctm"));
}

static void an_ae_belongs_under_the_cse_base(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Couter", "outer");
    assert_rsc(4108, cse_create(f, "Cinner", "cse-in/outer", "ae", AE));
    assert_rsc(4004, cse_retrieve(f, "CAdmin", "Cinner"));
}

static void release_1_needs_and_sees_no_supported_releases(void **state)
{
    struct cse_fixture *f = *state;
    f->rvi = NULL;
    assert_rsc(2001, cse_create(f, "Cold", "cse-in", "ae", "'rn':'old','api':'N.o','rr':true"));
    assert_null(cse_at(f, "m2m:ae/srv"));
    assert_rsc(2000, cse_retrieve(f, "Cold", "cse-in"));
    assert_null(cse_at(f, "m2m:cb/srv"));
    assert_rsc(2000, cse_query(f, "Cold", "cse-in", "'rcn':4,'fc':{'ty':[2]}"));
    assert_null(cse_at(f, "m2m:cb/m2m:ae/0/srv"));
    int rsc = cse_create(f, "Cold", "cse-in", "ae", "'rn':'old2','api':'N.o','rr':true");
    assert_true(rsc == 4105 || rsc == 5106 || rsc == 4000);
    f->rvi = "3";
    assert_rsc(2000, cse_retrieve(f, "Cold", "cse-in"));
    assert_non_null(cse_at(f, "m2m:cb/srv"));
}

static void an_unknown_release_is_refused(void **state)
{
    struct cse_fixture *f = *state;
    static const char *const others[] = {"99", "1", "2", "5", "x"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        f->rvi = others[i];
        assert_rsc(4001, cse_retrieve(f, "CAdmin", "cse-in"));
    }
    f->rvi = "2a";
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    f->rvi = "4";
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in"));
    f->rvi = "3";
}

/* ---- without a laboratory: originators are what they proved ---- */

static struct bst_association *association(const char *psk_identity)
{
    static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};
    struct bst_association *assoc;
    const struct bst_assoc_proof proof = {.kind = BST_ASSOC_PSK,
                                          .psk_identity = bst_view(psk_identity)};
    assert_ok(bst_association_new(&self, &proof, NULL, &assoc));
    return assoc;
}

static bst_result bind(void *ctx, struct bst_store_conn *txn, const struct bst_association *assoc,
                       struct bst_view stem)
{
    (void)txn;
    snprintf(ctx, 512, "%s=%.*s", assoc->cred_id, BST_VIEW_ARGS(stem));
    return BST_OK;
}

static bst_result unbind(void *ctx, struct bst_store_conn *txn, struct bst_view stem)
{
    (void)txn;
    snprintf(ctx, 512, "gone %.*s", BST_VIEW_ARGS(stem));
    return BST_OK;
}

static void a_credential_is_bound_by_registration(void **state)
{
    struct cse_fixture f_ = {0}, *f = &f_;
    char bound[512] = "";
    (void)state;
    cse_init(f);
    f->config.bind_credential = bind;
    f->config.unbind_credential = unbind;
    f->config.bind_ctx = bound;
    cse_start(f);
    struct bst_association *lab = f->assoc;
    f->assoc = association("device1@mef.example.com");
    assert_rsc(4106, cse_retrieve(f, "Cdev", "cse-in"));
    /* the administrator's name is not for whoever asks first */
    assert_rsc(4117, cse_create(f, "CAdmin", "cse-in", "ae", "'rn':'adm'," AE));
    assert_rsc(4117, cse_create(f, "/id-in/CAdmin", "cse-in", "ae", "'rn':'adm'," AE));
    assert_rsc(2001, cse_create(f, "Cdev", "cse-in", "ae", "'rn':'dev'," AE));
    assert_non_null(strstr(bound, "=Cdev"));
    assert_rsc(2000, cse_retrieve(f, "Cdev", "cse-in/dev"));
    assert_rsc(4106, cse_retrieve(f, "Cvictim", "cse-in/dev"));
    assert_rsc(4106, cse_retrieve(f, "CAdmin", "cse-in/dev"));
    assert_rsc(2002, cse_delete(f, "Cdev", "cse-in/dev"));
    assert_string_equal(bound, "gone Cdev");
    bst_association_free(&f->assoc);
    f->assoc = lab;
    cse_end(f);
}

static void count_notice(void *ctx)
{
    char *said = ctx;
    size_t len = strlen(said);
    snprintf(said + len, 512 - len, "!");
}

/* One notice for each commit that bound or freed a credential, after it; none for anything else. */
static void each_change_of_bindings_is_told_once_after_its_commit(void **state)
{
    struct cse_fixture f_ = {0}, *f = &f_;
    char said[512] = "";
    (void)state;
    cse_init(f);
    f->config.bind_credential = bind;
    f->config.unbind_credential = unbind;
    f->config.bindings_durable = count_notice;
    f->config.bind_ctx = said;
    cse_start(f);
    struct bst_association *lab = f->assoc;
    f->assoc = association("device1@mef.example.com");
    assert_rsc(2001, cse_create(f, "Cdev", "cse-in", "ae", "'rn':'dev'," AE));
    assert_non_null(strstr(said, "=Cdev!"));
    assert_null(strstr(said, "!!"));
    said[0] = '\0';
    assert_rsc(4117, cse_create(f, "Cdev", "cse-in", "ae", "'rn':'dev'," AE));
    assert_rsc(2001, cse_create(f, "Cdev", "cse-in/dev", "cnt", "'rn':'c'"));
    assert_rsc(2000, cse_retrieve(f, "Cdev", "cse-in/dev"));
    assert_string_equal(said, "");
    assert_rsc(2002, cse_delete(f, "Cdev", "cse-in/dev"));
    assert_string_equal(said, "gone Cdev!");
    assert_rsc(2001, cse_create(f, "Cdev", "cse-in", "ae", "'rn':'dev'," AE));
    said[0] = '\0';
    int64_t now = bst_wall_us();
    bst_clock_fake_us(now + INT64_C(6) * 365 * 86400 * BST_US_PER_S); /* it expires */
    cse_sweep(f);
    bst_clock_fake_us(now);
    assert_string_equal(said, "gone Cdev!");
    bst_association_free(&f->assoc);
    f->assoc = lab;
    cse_end(f);
}

static void without_an_association_only_registered_aes_speak(void **state)
{
    struct cse_fixture *f = *state;
    struct bst_association *lab = f->assoc;
    cse_register(f, "Cfield", "field");
    f->assoc = NULL;
    assert_rsc(2000, cse_retrieve(f, "Cfield", "cse-in/field"));
    assert_rsc(4106, cse_retrieve(f, "Cnobody", "cse-in/field"));
    assert_rsc(4107, cse_retrieve(f, "/id-other", "cse-in/field"));
    assert_rsc(4000, cse_retrieve(f, NULL, "cse-in/field"));
    assert_rsc(2001, cse_create(f, "Cfield2", "cse-in", "ae", AE));
    f->assoc = lab;
}

/* ---- service subscription (TS-0004 7.3.2.7) ---- */

static void registration_asks_the_service_subscription(void **state)
{
    struct cse_fixture f_ = {0}, *f = &f_;
    (void)state;
    cse_init(f);
    f->config.check_subscription = true;
    cse_start(f);
    assert_rsc(4128, cse_create(f, "Cs1", "cse-in", "ae", AE));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in", "asar", "'aai':['N.good*'],'aae':['Cs*']"));
    char rule[64];
    snprintf(rule, sizeof rule, "%s", cse_text(f, "m2m:asar/ri"));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in", "mssp", "'rn':'profile'"));
    assert_rsc(4000,
               cse_create(f, "CAdmin", "cse-in/profile", "svsn", "'ni':'n1','rlk':['%s']", rule));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in/profile", "svsn",
                                "'rn':'other','ni':'n0','csi':'/id-other','rlk':['%s']", rule));
    assert_rsc(4128, cse_create(f, "Cs1", "cse-in", "ae", AE));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in/profile", "svsn",
                                "'rn':'node','ni':'n1','csi':'/id-in','rlk':['%s']", rule));
    assert_rsc(4126, cse_create(f, "Cs1", "cse-in", "ae", AE));
    assert_rsc(4126,
               cse_create(f, "Cx1", "cse-in", "ae", "'api':'N.good1','rr':false,'srv':['3']"));
    assert_rsc(2001,
               cse_create(f, "Cs1", "cse-in", "ae", "'api':'N.good1','rr':false,'srv':['3']"));
    assert_rsc(2001, cse_create(f, "C", "cse-in", "ae", "'api':'N.good2','rr':false,'srv':['3']"));
    assert_true(strncmp(cse_text(f, "m2m:ae/aei"), "Cs", 2) == 0);
    assert_rsc(4000, cse_create(f, "Cs2", "cse-in", "ae", "'api':'bad','rr':false,'srv':['3']"));
    cse_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stem_is_taken_as_given),
        cmocka_unit_test(a_stem_of_the_wanted_kind_is_assigned),
        cmocka_unit_test(an_assigned_stem_owns_its_resource),
        cmocka_unit_test(a_second_registration_is_refused),
        cmocka_unit_test(what_a_registration_must_have),
        cmocka_unit_test(a_cse_registers_no_ae),
        cmocka_unit_test(release_4_knows_no_small_r),
        cmocka_unit_test(an_ae_belongs_under_the_cse_base),
        cmocka_unit_test(release_1_needs_and_sees_no_supported_releases),
        cmocka_unit_test(an_unknown_release_is_refused),
        cmocka_unit_test(without_an_association_only_registered_aes_speak),
        cmocka_unit_test(a_credential_is_bound_by_registration),
        cmocka_unit_test(each_change_of_bindings_is_told_once_after_its_commit),
        cmocka_unit_test(registration_asks_the_service_subscription),
    };
    return cmocka_run_group_tests_name("cse ae", tests, cse_setup, cse_teardown);
}
