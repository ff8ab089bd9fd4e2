/* cse: subscriptions, notifications and their delivery, polling channels, fan-out, non-blocking
 * requests. */
#include "support/cse_fixture.h"

#include "cse/notify.h"
#include "sys/clock.h"

#include <stdio.h>

#define SENT_MAX 64

/* A network that does what the case wants. */
struct network {
    struct cse_fixture f;
    struct bst_cse_events events;
    struct bst_notifier *notifier;
    unsigned unreachable; /* the next so many attempts fail */
    int64_t retry_ms;     /* when the target wants to be asked again after that */
    int rsc;              /* answer of the others, 2000 at first */
    bool hold;            /* keep attempts instead of answering */
    struct bst_notify_attempt *held[SENT_MAX];
    size_t n_held;
    char *content[SENT_MAX], *url[SENT_MAX];
    size_t n;
};

static void transport_send(void *ctx, struct bst_notify_attempt *attempt)
{
    struct network *net = ctx;
    assert_true(net->n < SENT_MAX);
    net->url[net->n] = bst_strndup(attempt->url.ptr, attempt->url.len);
    net->content[net->n++] = bst_strndup(attempt->req.pc_text.ptr, attempt->req.pc_text.len);
    if (net->hold) {
        net->held[net->n_held++] = attempt;
    } else if (net->unreachable) {
        net->unreachable--;
        attempt->retry_ms = net->retry_ms;
        bst_notify_sent(attempt, bst_error(BST_E_NOT_REACHABLE), 0);
    } else {
        bst_notify_sent(attempt, BST_OK, net->rsc);
    }
}

static void forget_sent(struct network *net)
{
    for (size_t i = 0; i < net->n; i++) {
        bst_free(net->url[i]);
        bst_free(net->content[i]);
    }
    net->n = 0;
}

static struct network *open_network(const struct bst_notify_limits *limits)
{
    struct network *net = bst_alloc(sizeof *net);
    const struct bst_notify_transport transport = {transport_send, net};
    net->rsc = 2000;
    cse_init(&net->f);
    bst_cse_notify_events(NULL, &net->events);
    net->f.config.events = &net->events;
    cse_start(&net->f);
    assert_ok(bst_notifier_new(net->f.cse, net->f.loop, &transport, limits, &net->notifier));
    net->events.ctx = net->notifier;
    cse_register(&net->f, "Ca", "a");
    assert_int_equal(cse_create(&net->f, "Ca", "cse-in/a", "cnt", "'rn':'c'"), 2001);
    return net;
}

static void close_network(struct network *net)
{
    net->events.ctx = NULL;
    bst_notifier_free(&net->notifier);
    forget_sent(net);
    cse_end(&net->f);
    bst_free(net);
}

static int subscribe(struct network *net, const char *name, const char *nu, const char *more)
{
    return cse_create(&net->f, "Ca", "cse-in/a/c", "sub", "'rn':'%s','nu':['%s']%s", name, nu,
                      more);
}

static void make_reading(struct network *net, const char *value)
{
    assert_int_equal(cse_create(&net->f, "Ca", "cse-in/a/c", "cin", "'con':'%s'", value), 2001);
    cse_settle(&net->f);
}

static bool told(const struct network *net, size_t i, const char *text)
{
    return i < net->n && strstr(net->content[i], text);
}

static void a_target_is_asked_and_then_told_in_order(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'enc':{'net':[3]}"), 2001);
    assert_int_equal(net->n, 1);
    assert_true(told(net, 0, "\"vrq\":true") && told(net, 0, "cse-in/a/c/s"));
    make_reading(net, "one");
    make_reading(net, "two");
    assert_int_equal(net->n, 3);
    assert_true(told(net, 1, "\"con\":\"one\"") && told(net, 1, "\"net\":3"));
    assert_true(told(net, 2, "\"con\":\"two\""));
    close_network(net);
}

static void a_refusing_or_absent_target_prevents_the_subscription(void **state)
{
    struct network *net = open_network(NULL);
    net->rsc = 4103;
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ""), 5204);
    net->rsc = 2000;
    net->unreachable = 1;
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ""), 5204);
    assert_int_equal(cse_retrieve(&net->f, "Ca", "cse-in/a/c/s"), 4004);
    assert_int_equal(net->n, 2);
    close_network(net);
}

static void the_originator_itself_is_not_asked(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(subscribe(net, "s", "Ca", ",'enc':{'net':[3]}"), 2001);
    assert_int_equal(net->n, 0);
    close_network(net);
}

static void what_cannot_be_delivered_is_tried_again_and_keeps_its_order(void **state)
{
    const struct bst_notify_limits limits = {
        .tries = 3, .first_retry_ms = 100, .longest_retry_ms = 1000};
    struct network *net = open_network(&limits);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'enc':{'net':[3]}"), 2001);
    forget_sent(net);
    net->unreachable = 2;
    make_reading(net, "one");
    make_reading(net, "two");
    assert_int_equal(net->n, 1);
    bst_clock_fake_advance_ms(101);
    cse_settle(&net->f);
    assert_int_equal(net->n, 2);
    bst_clock_fake_advance_ms(201);
    cse_settle(&net->f);
    assert_int_equal(net->n, 4);
    assert_true(told(net, 2, "one") && told(net, 3, "two"));
    close_network(net);
}

static void a_busy_target_is_asked_again_when_it_said_within_bounds(void **state)
{
    const struct bst_notify_limits limits = {
        .tries = 3, .first_retry_ms = 100, .longest_retry_ms = 1000};
    struct network *net = open_network(&limits);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'enc':{'net':[3]}"), 2001);
    forget_sent(net);
    net->unreachable = 2;
    net->retry_ms = 500;
    make_reading(net, "one");
    bst_clock_fake_advance_ms(401);
    cse_settle(&net->f);
    assert_int_equal(net->n, 1);
    net->retry_ms = 86400000; /* more than anybody waits */
    bst_clock_fake_advance_ms(100);
    cse_settle(&net->f);
    assert_int_equal(net->n, 2);
    bst_clock_fake_advance_ms(1001);
    cse_settle(&net->f);
    assert_int_equal(net->n, 3);
    assert_true(told(net, 2, "one"));
    close_network(net);
}

static void after_the_last_try_the_next_one_has_its_turn(void **state)
{
    const struct bst_notify_limits limits = {
        .tries = 2, .first_retry_ms = 100, .longest_retry_ms = 100};
    struct network *net = open_network(&limits);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'enc':{'net':[3]}"), 2001);
    forget_sent(net);
    net->unreachable = 2;
    make_reading(net, "lost");
    make_reading(net, "kept");
    for (int i = 0; i < 3; i++) {
        bst_clock_fake_advance_ms(101);
        cse_settle(&net->f);
    }
    assert_int_equal(net->n, 3);
    assert_true(told(net, 0, "lost") && told(net, 1, "lost") && told(net, 2, "kept"));
    close_network(net);
}

static void a_full_queue_drops_its_oldest(void **state)
{
    const struct bst_notify_limits limits = {.per_target = 3};
    struct network *net = open_network(&limits);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'enc':{'net':[3]}"), 2001);
    forget_sent(net);
    net->hold = true;
    for (int i = 0; i < 6; i++) {
        char text[8];
        snprintf(text, sizeof text, "v%d", i);
        make_reading(net, text);
    }
    net->hold = false;
    assert_int_equal(net->n_held, 1);
    bst_notify_sent(net->held[0], BST_OK, 2000);
    cse_settle(&net->f);
    assert_int_equal(net->n, 3);
    assert_true(told(net, 0, "v0") && told(net, 1, "v4") && told(net, 2, "v5"));
    close_network(net);
}

static void only_the_latest_waits_when_asked_for(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'ln':true,'enc':{'net':[3]}"),
                     2001);
    forget_sent(net);
    net->hold = true;
    make_reading(net, "v0");
    make_reading(net, "v1");
    make_reading(net, "v2");
    net->hold = false;
    bst_notify_sent(net->held[0], BST_OK, 2000);
    cse_settle(&net->f);
    assert_int_equal(net->n, 2);
    assert_true(told(net, 1, "v2"));
    close_network(net);
}

static void the_expiration_counter_counts_exactly(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(subscribe(net, "s", "http://x.example.com/n", ",'exc':2,'enc':{'net':[3]}"),
                     2001);
    forget_sent(net);
    make_reading(net, "one");
    assert_int_equal(cse_retrieve(&net->f, "Ca", "cse-in/a/c/s"), 2000);
    assert_int_equal(cse_int(&net->f, "m2m:sub/exc"), 1);
    make_reading(net, "two");
    make_reading(net, "three");
    assert_int_equal(net->n, 2);
    assert_int_equal(cse_retrieve(&net->f, "Ca", "cse-in/a/c/s"), 4004);
    close_network(net);
}

static void criteria_and_content_types_are_obeyed(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(
        subscribe(net, "u", "http://u.example.com/", ",'nct':2,'enc':{'net':[1],'atr':['mni']}"),
        2001);
    assert_int_equal(
        subscribe(net, "b", "http://b.example.com/", ",'nct':3,'enc':{'net':[3],'sza':3}"), 2001);
    forget_sent(net);
    assert_int_equal(cse_update(&net->f, "Ca", "cse-in/a/c", "cnt", "'lbl':['x']"), 2004);
    make_reading(net, "ab");
    assert_int_equal(net->n, 0);
    assert_int_equal(cse_update(&net->f, "Ca", "cse-in/a/c", "cnt", "'mni':7"), 2004);
    make_reading(net, "abc");
    assert_int_equal(net->n, 2);
    assert_true(told(net, 0, "\"mni\":7") && !told(net, 0, "\"ri\""));
    assert_true(told(net, 1, "m2m:uri") && !told(net, 1, "abc"));
    close_network(net);
}

static void what_is_not_supported_or_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *nu, *more;
        int rsc;
    } cases[] = {
        {"http://x.example.com/", ",'enc':{'net':[7]}", 5001},
        {"http://x.example.com/", ",'nct':2,'enc':{'net':[3]}", 4000},
        {"http://x.example.com/", ",'enc':{'net':[3],'chty':[2]}", 4000},
        {"http://x.example.com/", ",'enc':{'net':[9]}", 4000},
        {"ftp://x.example.com/", "", 4000},
        {"http://x.example.com/", ",'exc':0", 4000},
    };
    struct network *net = open_network(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rsc = subscribe(net, "bad", cases[i].nu, cases[i].more);
        if (rsc != cases[i].rsc) {
            fail_msg("%s %s: %d instead of %d: %s", cases[i].nu, cases[i].more, rsc, cases[i].rsc,
                     net->f.content);
        }
    }
    assert_int_equal(net->n, 0);
    close_network(net);
}

static void a_subscription_ends_with_a_word_to_its_subscriber(void **state)
{
    struct network *net = open_network(NULL);
    assert_int_equal(
        subscribe(net, "s", "http://x.example.com/n", ",'su':'http://su.example.com/'"), 2001);
    forget_sent(net);
    assert_int_equal(cse_delete(&net->f, "Ca", "cse-in/a/c"), 2002);
    cse_settle(&net->f);
    assert_int_equal(net->n, 1);
    assert_string_equal(net->url[0], "http://su.example.com/");
    assert_true(told(net, 0, "\"sud\":true"));
    close_network(net);
}

/* -- entities: point of access, group, polling channel */

static void an_ae_is_reached_where_it_says_and_a_group_where_its_members_say(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(
        2001,
        cse_create(f, "Cp", "cse-in", "ae",
                   "'rn':'p','api':'N.p','rr':true,'srv':['3'],'poa':['http://p.example.com/in']"));
    assert_rsc(
        2001,
        cse_create(f, "Cq", "cse-in", "ae",
                   "'rn':'q','api':'N.q','rr':true,'srv':['3'],'poa':['http://q.example.com/in']"));
    assert_rsc(2001,
               cse_create(f, "Ca", "cse-in/a", "grp", "'rn':'g','mt':2,'mnm':5,'mid':['Cp','Cq']"));
    assert_int_equal(subscribe(net, "s", "cse-in/a/g", ",'enc':{'net':[3]}"), 2001);
    forget_sent(net);
    make_reading(net, "x");
    assert_int_equal(net->n, 2);
    assert_true(strstr(net->url[0], "p.example.com") && strstr(net->url[1], "q.example.com"));
    close_network(net);
}

struct polled {
    struct bst_notify_poll poll;
    bool done;
    bst_result result;
    char *request;
};

static void poll_done(struct bst_notify_poll *poll, bst_result result, struct bst_view request)
{
    struct polled *p = bst_container_of(poll, struct polled, poll);
    p->done = true;
    p->result = result;
    p->request = bst_strndup(request.len ? request.ptr : "", request.len);
}

static void a_channel_keeps_requests_until_its_owner_polls(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(2001,
               cse_create(f, "Cp", "cse-in", "ae", "'rn':'p','api':'N.p','rr':false,'srv':['3']"));
    assert_rsc(4103, cse_create(f, "Ca", "cse-in/p", "pch", "'rn':'ch'"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p", "pch", "'rn':'ch'"));
    assert_rsc(4103, cse_retrieve(f, "Ca", "cse-in/p/ch"));
    assert_rsc(4105, cse_create(f, "Cp", "cse-in/p", "pch", "'rn':'second'"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p", "cnt", "'rn':'c'"));
    assert_rsc(2001,
               cse_create(f, "Cp", "cse-in/p/c", "sub", "'rn':'s','nu':['Cp'],'enc':{'net':[3]}"));
    assert_rsc(2001, cse_create(f, "Cp", "cse-in/p/c", "cin", "'con':'kept'"));
    cse_settle(f);
    assert_rsc(2000, cse_retrieve(f, "Cp", "cse-in/p/ch/pcu"));
    assert_non_null(strstr(f->content, "kept"));
    assert_int_equal(cse_int(f, "m2m:rqp/op"), 5);
    assert_rsc(4005, cse_delete(f, "Cp", "cse-in/p/ch/pcu"));
    assert_rsc(4103, cse_retrieve(f, "Ca", "cse-in/p/ch/pcu"));
    close_network(net);
}

static void a_poll_ends_in_time_without_a_request(void **state)
{
    struct network *net = open_network(NULL);
    struct polled p = {.poll = {.channel = 4711,
                                .until_us = bst_mono_us() + 1000000,
                                .loop = net->f.loop,
                                .done = poll_done}};
    bst_notifier_poll(net->notifier, &p.poll);
    cse_settle(&net->f);
    assert_false(p.done);
    bst_clock_fake_advance_ms(1001);
    cse_settle(&net->f);
    assert_true(p.done);
    assert_int_equal(p.result.code, BST_E_TIMEOUT);
    bst_free(p.request);
    close_network(net);
}

static void a_notification_reaches_the_entity_that_it_addresses(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(
        2001,
        cse_create(f, "Cp", "cse-in", "ae",
                   "'rn':'p','api':'N.p','rr':true,'srv':['3'],'poa':['http://p.example.com/in']"));
    const char *note = "'op':5,'to':'cse-in/p','pc':{'m2m:sgn':{'sur':'/id-in/x'}}";
    assert_rsc(4103, cse_send(f, "Cstranger", "%s", note));
    assert_int_equal(net->n, 0);
    assert_rsc(2000, cse_send(f, "Cp", "%s", note));
    assert_int_equal(net->n, 1);
    assert_true(told(net, 0, "/id-in/x"));
    net->rsc = 4103;
    assert_rsc(4103, cse_send(f, "Cp", "%s", note));
    net->unreachable = 1;
    assert_rsc(5103, cse_send(f, "Cp", "%s", note));
    assert_rsc(5103,
               cse_send(f, "Ca", "'op':5,'to':'cse-in/a/c','pc':{'m2m:sgn':{'sur':'/id-in/x'}}"));
    close_network(net);
}

/* -- fan-out and non-blocking requests */

static void members_answer_together(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a", "cnt", "'rn':'d'"));
    assert_rsc(
        2001,
        cse_create(f, "Ca", "cse-in/a", "grp",
                   "'rn':'g','mt':3,'mnm':5,'mid':['cse-in/a/c','cse-in/a/d','cse-in/a/none']"));
    assert_rsc(2000, cse_create(f, "Ca", "cse-in/a/g/fopt", "cin", "'con':'x'"));
    assert_int_equal(cse_count(f, "m2m:agr/m2m:rsp"), 2);
    assert_int_equal(cse_int(f, "m2m:agr/m2m:rsp/0/rsc"), 2001);
    assert_rsc(4103, cse_retrieve(f, "Cstranger", "cse-in/a/g/fopt"));
    assert_rsc(2000, cse_delete(f, "Ca", "cse-in/a/g/fopt"));
    cse_settle(f);
    assert_rsc(2000, cse_retrieve(f, "Ca", "cse-in/a/g"));
    assert_int_equal(cse_count(f, "m2m:grp/mid"), 0);
    assert_rsc(4109, cse_retrieve(f, "Ca", "cse-in/a/g/fopt"));
    close_network(net);
}

static void members_that_were_not_meant_stay(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a", "cnt", "'rn':'d'"));
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a", "grp",
                                "'rn':'g','mt':3,'mnm':5,'mid':['cse-in/a/c','cse-in/a/d']"));
    assert_rsc(2000, cse_send(f, "Ca", "'op':4,'to':'cse-in/a/g/fopt','grtm':['cse-in/a/d']"));
    cse_settle(f);
    assert_rsc(4004, cse_retrieve(f, "Ca", "cse-in/a/d"));
    assert_rsc(2000, cse_retrieve(f, "Ca", "cse-in/a/g"));
    assert_int_equal(cse_count(f, "m2m:grp/mid"), 1);
    assert_true(cse_holds(f, "m2m:grp/mid", "cse-in/a/c"));
    close_network(net);
}

static void a_group_that_leads_deeper_each_time_ends(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(2001, cse_create(f, "Ca", "cse-in/a", "grp",
                                "'rn':'g','mnm':9,'mid':['cse-in/a/g/fopt/a','cse-in/a/g/fopt/b',"
                                "'cse-in/a/g/fopt/c','cse-in/a/g/fopt/fopt']"));
    assert_rsc(2000, cse_retrieve(f, "Ca", "cse-in/a/g/fopt"));
    assert_int_equal(cse_count(f, "m2m:agr/m2m:rsp"), 4);
    close_network(net);
}

static void a_group_that_holds_itself_ends(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(2001,
               cse_create(f, "Ca", "cse-in/a", "grp", "'rn':'g','mnm':5,'mid':['cse-in/a/c']"));
    assert_rsc(2004,
               cse_update(f, "Ca", "cse-in/a/g", "grp", "'mid':['cse-in/a/g/fopt','cse-in/a/c']"));
    assert_rsc(2000, cse_retrieve(f, "Ca", "cse-in/a/g/fopt"));
    assert_int_equal(cse_count(f, "m2m:agr/m2m:rsp"), 2);
    close_network(net);
}

static void a_request_is_kept_and_done_later(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    char uri[64];
    assert_rsc(1001, cse_send(f, "Ca",
                              "'op':1,'to':'cse-in/a/c','ty':4,'rt':{'rtv':1},"
                              "'pc':{'m2m:cin':{'con':'later'}}"));
    snprintf(uri, sizeof uri, "%s", cse_text(f, "m2m:uri"));
    cse_settle(f);
    assert_rsc(2000, cse_retrieve(f, "Ca", uri));
    assert_int_equal(cse_int(f, "m2m:req/rs"), 1);
    assert_int_equal(cse_int(f, "m2m:req/ors/rsc"), 2001);
    assert_rsc(4103, cse_retrieve(f, "Cother", uri));
    assert_rsc(2000, cse_retrieve(f, "Ca", "cse-in/a/c/la"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "later");
    close_network(net);
}

static void the_result_is_told_where_the_request_says(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(1002,
               cse_send(f, "Ca",
                        "'op':2,'to':'cse-in/none','rt':{'rtv':2,'nu':['http://r.example.com/']}"));
    cse_settle(f);
    assert_int_equal(net->n, 1);
    assert_string_equal(net->url[0], "http://r.example.com/");
    assert_true(told(net, 0, "m2m:rsp") && told(net, 0, "4004"));
    close_network(net);
}

static void an_unproved_originator_is_refused_before_anything_is_kept(void **state)
{
    struct network *net = open_network(NULL);
    struct cse_fixture *f = &net->f;
    assert_rsc(4000, cse_send(f, "", "'op':2,'to':'cse-in/a','rt':{'rtv':1}"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'fc':{'fu':1,'ty':[17]}"));
    assert_int_equal(cse_count(f, "m2m:uril"), 0);
    close_network(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_asked_and_then_told_in_order),
        cmocka_unit_test(a_refusing_or_absent_target_prevents_the_subscription),
        cmocka_unit_test(the_originator_itself_is_not_asked),
        cmocka_unit_test(what_cannot_be_delivered_is_tried_again_and_keeps_its_order),
        cmocka_unit_test(a_busy_target_is_asked_again_when_it_said_within_bounds),
        cmocka_unit_test(after_the_last_try_the_next_one_has_its_turn),
        cmocka_unit_test(a_full_queue_drops_its_oldest),
        cmocka_unit_test(only_the_latest_waits_when_asked_for),
        cmocka_unit_test(the_expiration_counter_counts_exactly),
        cmocka_unit_test(criteria_and_content_types_are_obeyed),
        cmocka_unit_test(what_is_not_supported_or_makes_no_sense_is_refused),
        cmocka_unit_test(a_subscription_ends_with_a_word_to_its_subscriber),
        cmocka_unit_test(an_ae_is_reached_where_it_says_and_a_group_where_its_members_say),
        cmocka_unit_test(a_channel_keeps_requests_until_its_owner_polls),
        cmocka_unit_test(a_poll_ends_in_time_without_a_request),
        cmocka_unit_test(a_notification_reaches_the_entity_that_it_addresses),
        cmocka_unit_test(members_answer_together),
        cmocka_unit_test(members_that_were_not_meant_stay),
        cmocka_unit_test(a_group_that_leads_deeper_each_time_ends),
        cmocka_unit_test(a_group_that_holds_itself_ends),
        cmocka_unit_test(a_request_is_kept_and_done_later),
        cmocka_unit_test(the_result_is_told_where_the_request_says),
        cmocka_unit_test(an_unproved_originator_is_refused_before_anything_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
