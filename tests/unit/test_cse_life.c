/* Expiry, restart, many at once, and failures that leave nothing half done. */
#include "support/cse_fixture.h"

#include "sys/clock.h"

#include <pthread.h>

/* ---- expiration ---- */

static void an_expiration_is_given_capped_and_inherited(void **state)
{
    struct cse_fixture *f = *state;
    assert_rsc(2001,
               cse_create(f, "Ce", "cse-in", "ae",
                          "'rn':'e','api':'N.t','rr':false,'srv':['3'],'et':'20270101T000000'"));
    assert_string_equal(cse_text(f, "m2m:ae/et"), "20270101T000000,000000");
    assert_rsc(2001, cse_create(f, "Ce", "cse-in/e", "cnt", "'rn':'c'"));
    assert_string_equal(cse_text(f, "m2m:cnt/et"), "20270101T000000,000000");
    assert_rsc(2001, cse_create(f, "Ce", "cse-in/e", "cnt", "'rn':'late','et':'20280101T000000'"));
    assert_string_equal(cse_text(f, "m2m:cnt/et"), "20270101T000000,000000");
    assert_rsc(2001, cse_create(f, "Ce", "cse-in/e", "cnt", "'rn':'soon','et':'20260201T000000'"));
    assert_string_equal(cse_text(f, "m2m:cnt/et"), "20260201T000000,000000");
    assert_rsc(4000, cse_create(f, "Ce", "cse-in/e", "cnt", "'et':'20200101T000000'"));
    assert_rsc(4000, cse_create(f, "Ce", "cse-in/e", "cnt", "'et':'soon'"));
    assert_rsc(4000, cse_update(f, "Ce", "cse-in/e/c", "cnt", "'et':'20200101T000000'"));
    assert_rsc(2004, cse_update(f, "Ce", "cse-in/e/c", "cnt", "'et':'20260301T000000'"));
    assert_string_equal(cse_text(f, "m2m:cnt/et"), "20260301T000000,000000");
}

static void a_parent_does_not_end_before_its_children(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Cpar", "par");
    assert_rsc(2001, cse_create(f, "Cpar", "cse-in/par", "cnt", "'rn':'c','et':'20260301T000000'"));
    assert_rsc(4000, cse_update(f, "Cpar", "cse-in/par", "ae", "'et':'20260201T000000'"));
    assert_rsc(2004, cse_update(f, "Cpar", "cse-in/par/c", "cnt", "'et':'20260115T000000'"));
    assert_rsc(2004, cse_update(f, "Cpar", "cse-in/par", "ae", "'et':'20260201T000000'"));
    assert_rsc(2004, cse_update(f, "Cpar", "cse-in/par", "ae", "'et':null"));
    assert_string_not_equal(cse_text(f, "m2m:ae/et"), "20260201T000000,000000");
}

static void what_has_expired_goes_with_all_below(void **state)
{
    struct cse_fixture *f = *state;
    int64_t now = bst_wall_us();
    cse_register(f, "Cx", "x");
    assert_rsc(2001, cse_create(f, "Cx", "cse-in/x", "cnt", "'rn':'c','et':'20260101T010000'"));
    assert_rsc(2001, cse_create(f, "Cx", "cse-in/x/c", "cin", "'con':'x'"));
    assert_rsc(2001, cse_create(f, "Cx", "cse-in/x", "cnt", "'rn':'stays'"));
    bst_clock_fake_us(now + 3599 * BST_US_PER_S);
    cse_sweep(f);
    assert_rsc(2000, cse_retrieve(f, "Cx", "cse-in/x/c"));
    bst_clock_fake_us(now + 3601 * BST_US_PER_S);
    cse_sweep(f);
    assert_rsc(4004, cse_retrieve(f, "Cx", "cse-in/x/c"));
    assert_rsc(4004, cse_retrieve(f, "Cx", "cse-in/x/c/la"));
    assert_rsc(2000, cse_retrieve(f, "Cx", "cse-in/x/stays"));
    bst_clock_fake_us(now);
}

static void many_expired_go_in_slices(void **state)
{
    struct cse_fixture *f = *state;
    int64_t now = bst_wall_us();
    cse_register(f, "Cmany", "many");
    assert_rsc(2001, cse_create(f, "Cmany", "cse-in/many", "cnt", "'rn':'c','mia':5"));
    for (int i = 0; i < 200; i++) {
        assert_rsc(2001, cse_create(f, "Cmany", "cse-in/many/c", "cin", "'con':'x'"));
    }
    bst_clock_fake_us(now + 6 * BST_US_PER_S);
    cse_sweep(f);
    assert_rsc(2000, cse_retrieve(f, "Cmany", "cse-in/many/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 0);
    assert_int_equal(cse_int(f, "m2m:cnt/cbs"), 0);
    bst_clock_fake_us(now);
}

/* ---- restart ---- */

static void a_restart_keeps_everything(void **state)
{
    struct cse_fixture *f = *state;
    char ri[64];
    cse_register(f, "Ckeep", "keep");
    assert_rsc(2001, cse_create(f, "Ckeep", "cse-in/keep", "acp",
                                "'rn':'p','pv':{'acr':[{'acor':['Cpal'],'acop':2}]},"
                                "'pvs':{'acr':[{'acor':['Ckeep'],'acop':63}]}"));
    assert_rsc(2001, cse_create(f, "Ckeep", "cse-in/keep", "cnt",
                                "'rn':'c','lbl':['kept'],'acpi':['cse-in/keep/p']"));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in/keep/c", "cin", "'con':'x'"));
    snprintf(ri, sizeof ri, "%s", cse_text(f, "m2m:cin/ri"));
    cse_stop(f);
    cse_start(f);
    assert_rsc(2000, cse_retrieve(f, "Cpal", ri));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "x");
    assert_rsc(2000, cse_retrieve(f, "Cpal", "cse-in/keep/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 1);
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 1);
    assert_rsc(4103, cse_retrieve(f, "Cfoe", "cse-in/keep/c"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'lbl':['kept']}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 1);
    assert_rsc(4117, cse_create(f, "Ckeep", "cse-in", "ae", "'api':'N.t','rr':false,'srv':['3']"));
}

static void a_store_of_another_cse_is_refused(void **state)
{
    struct cse_fixture *f = *state;
    struct bst_cse *other = NULL;
    struct bst_cse_config config = f->config;
    config.cse_id = BST_VIEW("/id-other");
    assert_err(bst_cse_new(&config, &other), BST_E_CONFIG);
    config.cse_id = BST_VIEW("/id-in");
    config.sp_id = BST_VIEW("other.example.com");
    assert_err(bst_cse_new(&config, &other), BST_E_CONFIG);
    config.sp_id = BST_VIEW("acme.example.com");
    config.cse_name = BST_VIEW("renamed");
    assert_err(bst_cse_new(&config, &other), BST_E_CONFIG);
    config.cse_name = BST_VIEW("cse-in");
    config.cse_id = BST_VIEW("no-slash");
    assert_err(bst_cse_new(&config, &other), BST_E_CONFIG);
    config.cse_id = BST_VIEW("/id-in");
    config.sp_id = BST_VIEW("not a domain");
    assert_err(bst_cse_new(&config, &other), BST_E_CONFIG);
}

static void a_deleted_administrators_policy_comes_back(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Clock", "lock");
    assert_rsc(2002, cse_delete(f, "CAdmin", "cse-in/acp-admin"));
    assert_rsc(4103, cse_retrieve(f, "CAdmin", "cse-in/lock"));
    cse_stop(f);
    cse_start(f);
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in/lock"));
}

/* ---- many at once ---- */

struct racer {
    struct bst_cse_call call;
    struct bst_arena arena;
    bool *over;
    int *left;
};

static void racer_done(struct bst_cse_call *call)
{
    struct racer *r = call->user;
    --*r->left;
}

static void launch(struct cse_fixture *f, struct racer *r, int *left, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void launch(struct cse_fixture *f, struct racer *r, int *left, const char *format, ...)
{
    char text[512];
    yyjson_val *root;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    bst_arena_init(&r->arena, 0);
    r->left = left;
    r->call =
        (struct bst_cse_call){.arena = &r->arena, .assoc = f->assoc, .done = racer_done, .user = r};
    assert_ok(bst_json_parse(&r->arena, bst_view(text), 32, &root));
    assert_ok(bst_m2m_request_from_json(&r->arena, root, bst_wall_us(), &r->call.req));
    bst_cse_handle(f->worker, &r->call);
}

#define RACERS 64

static void one_name_is_given_once(void **state)
{
    struct cse_fixture *f = *state;
    struct racer *racers = bst_alloc(RACERS * sizeof *racers);
    int left = RACERS, made = 0, refused = 0;
    cse_register(f, "Crace", "race");
    for (int i = 0; i < RACERS; i++) {
        launch(f, &racers[i], &left,
               "{'op':1,'to':'cse-in/race','fr':'Crace','rqi':'%d','rvi':'3','ty':3,"
               "'pc':{'m2m:cnt':{'rn':'n%d'}}}",
               i, i / 8);
    }
    while (left) {
        bst_loop_run_once(f->loop, 1000);
    }
    for (int i = 0; i < RACERS; i++) {
        made += racers[i].call.rsp.rsc == 2001;
        refused += racers[i].call.rsp.rsc == 4105;
        bst_arena_clear(&racers[i].arena);
    }
    assert_int_equal(made, RACERS / 8);
    assert_int_equal(refused, RACERS - RACERS / 8);
    bst_free(racers);
}

struct crowd {
    struct cse_fixture *f;
    int done, wrong;
};

/* A thread of its own with its own loop and worker, as the daemon has them. */
static void *crowd_run(void *arg)
{
    struct crowd *crowd = arg;
    struct cse_fixture mine = *crowd->f;
    struct racer r = {0};
    if (bst_failed(bst_loop_new(&mine.loop)) ||
        bst_failed(bst_cse_worker_new(mine.cse, mine.loop, &mine.worker))) {
        crowd->wrong++;
        return NULL;
    }
    for (int i = 0; i < 200; i++) {
        int left = 1;
        launch(&mine, &r, &left,
               "{'op':1,'to':'cse-in/crowd/c','fr':'Ccrowd','rqi':'%d','rvi':'3','ty':4,"
               "'pc':{'m2m:cin':{'con':'abc'}}}",
               i);
        while (left) {
            bst_loop_run_once(mine.loop, 1000);
        }
        crowd->wrong += r.call.rsp.rsc != 2001;
        bst_arena_clear(&r.arena);
    }
    bst_cse_worker_free(&mine.worker);
    bst_loop_free(&mine.loop);
    return NULL;
}

static void counters_and_limits_hold_under_a_crowd(void **state)
{
    struct cse_fixture *f = *state;
    struct crowd crowds[4] = {{0}};
    pthread_t threads[4];
    cse_register(f, "Ccrowd", "crowd");
    assert_rsc(2001, cse_create(f, "Ccrowd", "cse-in/crowd", "cnt", "'rn':'c','mni':50"));
    for (int i = 0; i < 4; i++) {
        crowds[i].f = f;
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowds[i].wrong, 0);
    }
    assert_rsc(2000, cse_query(f, "Ccrowd", "cse-in/crowd/c", "'rcn':4"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 50);
    assert_int_equal(cse_int(f, "m2m:cnt/cbs"), 150);
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 800);
    assert_int_equal(cse_count(f, "m2m:cnt/m2m:cin"), 50);
}

/* ---- Operation Execution Time ---- */

static void an_operation_waits_for_its_time(void **state)
{
    struct cse_fixture *f = *state;
    int64_t now = bst_wall_us();
    struct racer r = {0}, late = {0};
    int left = 1, left_late = 1;
    cse_register(f, "Cwait", "wait");
    assert_rsc(
        4000,
        cse_send(f, "Cwait",
                 "'op':2,'to':'cse-in/wait','oet':'20260102T000000','rqet':'20260101T120000'"));
    assert_rsc(
        4000,
        cse_send(f, "Cwait",
                 "'op':2,'to':'cse-in/wait','oet':'20260102T000000','rset':'20260101T120000'"));
    assert_rsc(
        4000,
        cse_send(f, "Cwait",
                 "'op':2,'to':'cse-in/wait','rqet':'20260103T000000','rset':'20260102T000000'"));
    launch(f, &r, &left,
           "{'op':1,'to':'cse-in/wait','fr':'Cwait','rqi':'1','rvi':'3','ty':3,"
           "'oet':'20260101T000002','pc':{'m2m:cnt':{'rn':'later'}}}");
    launch(f, &late, &left_late,
           "{'op':2,'to':'cse-in/wait','fr':'Cwait','rqi':'1','rvi':'3','oet':'20270101T000000'}");
    cse_settle(f);
    assert_int_equal(left, 1);
    assert_rsc(4004, cse_retrieve(f, "Cwait", "cse-in/wait/later"));
    bst_clock_fake_us(now + 3 * BST_US_PER_S);
    while (left) {
        bst_loop_run_once(f->loop, 1000);
    }
    assert_int_equal(r.call.rsp.rsc, 2001);
    assert_rsc(2000, cse_retrieve(f, "Cwait", "cse-in/wait/later"));
    assert_int_equal(left_late, 1);
    bst_clock_fake_us(now);
    cse_stop(f); /* what still waits is answered */
    assert_int_equal(left_late, 0);
    assert_int_equal(late.call.rsp.rsc, 5000);
    bst_arena_clear(&r.arena);
    bst_arena_clear(&late.arena);
    cse_start(f);
}

/* ---- failures ---- */

static bst_result refuse(void *ctx, struct bst_cse_op *op, const struct bst_cse_event *first)
{
    (void)op;
    (void)first;
    return *(bool *)ctx ? bst_error_detailed(BST_E_IO, "the test wants it so") : BST_OK;
}

static void a_failure_late_in_the_transaction_undoes_it_all(void **state)
{
    struct cse_fixture g_ = {0}, *f = &g_;
    bool failing = false;
    const struct bst_cse_events events = {&failing, refuse, NULL};
    (void)state;
    cse_init(f);
    f->config.events = &events;
    cse_start(f);
    cse_register(f, "Cf", "f");
    assert_rsc(2001, cse_create(f, "Cf", "cse-in/f", "cnt", "'rn':'c','mni':2"));
    assert_rsc(2001, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'one'"));
    assert_rsc(2001, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'two'"));
    failing = true;
    assert_rsc(5000, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'three'"));
    assert_rsc(5000, cse_update(f, "Cf", "cse-in/f/c", "cnt", "'mni':1,'lbl':['x']"));
    assert_rsc(5000, cse_delete(f, "Cf", "cse-in/f"));
    assert_rsc(5000, cse_create(f, "Cg", "cse-in", "ae", "'api':'N.t','rr':false,'srv':['3']"));
    failing = false;
    assert_rsc(2000, cse_retrieve(f, "Cf", "cse-in/f/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), 2);
    assert_int_equal(cse_int(f, "m2m:cnt/st"), 2);
    assert_int_equal(cse_int(f, "m2m:cnt/mni"), 2);
    assert_null(cse_at(f, "m2m:cnt/lbl"));
    assert_rsc(2000, cse_retrieve(f, "Cf", "cse-in/f/c/ol"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "one");
    cse_register(f, "Cg", "g");
    cse_end(f);
}

static void running_out_of_memory_is_an_answer(void **state)
{
    struct cse_fixture *f = *state;
    cse_register(f, "Coom", "oom");
    assert_rsc(2001, cse_create(f, "Coom", "cse-in/oom", "cnt", "'rn':'c'"));
    int refused = 0, made = 0;
    for (long n = 1; n <= 60; n++) {
        struct racer r = {0};
        int left = 1;
        yyjson_val *root;
        bst_arena_init(&r.arena, 0);
        r.left = &left;
        r.call = (struct bst_cse_call){
            .arena = &r.arena, .assoc = f->assoc, .done = racer_done, .user = &r};
        static const char text[] =
            "{\"op\":1,\"to\":\"cse-in/oom/c\",\"fr\":\"Coom\",\"rqi\":\"1\",\"rvi\":\"3\","
            "\"ty\":4,\"pc\":{\"m2m:cin\":{\"con\":\"x\",\"lbl\":[\"l\"]}}}";
        assert_ok(bst_json_parse(&r.arena, bst_view(text), 32, &root));
        assert_ok(bst_m2m_request_from_json(&r.arena, root, bst_wall_us(), &r.call.req));
        bst_alloc_fail_at(n);
        bst_cse_handle(f->worker, &r.call);
        while (left) {
            bst_loop_run_once(f->loop, 1000);
        }
        bst_alloc_fail_at(0);
        made += r.call.rsp.rsc == 2001;
        refused += r.call.rsp.rsc >= 4000;
        bst_arena_clear(&r.arena);
    }
    assert_int_equal(made + refused, 60);
    assert_rsc(2000, cse_query(f, "Coom", "cse-in/oom/c", "'rcn':4"));
    assert_int_equal(cse_int(f, "m2m:cnt/cni"), (int64_t)cse_count(f, "m2m:cnt/m2m:cin"));
    assert_true(cse_int(f, "m2m:cnt/cni") >= made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expiration_is_given_capped_and_inherited),
        cmocka_unit_test(a_parent_does_not_end_before_its_children),
        cmocka_unit_test(what_has_expired_goes_with_all_below),
        cmocka_unit_test(many_expired_go_in_slices),
        cmocka_unit_test(a_restart_keeps_everything),
        cmocka_unit_test(a_store_of_another_cse_is_refused),
        cmocka_unit_test(a_deleted_administrators_policy_comes_back),
        cmocka_unit_test(one_name_is_given_once),
        cmocka_unit_test(counters_and_limits_hold_under_a_crowd),
        cmocka_unit_test(an_operation_waits_for_its_time),
        cmocka_unit_test(a_failure_late_in_the_transaction_undoes_it_all),
        cmocka_unit_test(running_out_of_memory_is_an_answer),
    };
    return cmocka_run_group_tests_name("cse life", tests, cse_setup, cse_teardown);
}
