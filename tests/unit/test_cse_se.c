/* cse: the resource types of a secure environment. */
#include "support/cse_fixture.h"

#include "base/map.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"
#include "obs/log.h"
#include "se/se.h"
#include "support/se_host.h"
#include "sys/clock.h"

#include <semaphore.h>
#include <stdio.h>

#define SECRET "a very secret value"
#define SECRET_64 "YSB2ZXJ5IHNlY3JldCB2YWx1ZQ=="
#define OTHER_64 "YW5vdGhlciBzZWNyZXQgdmFsdWU=" /* another secret value */
#define HELLO_64 "aGVsbG8="                     /* hello */
#define AE_SE "cse-in/a1/se"
#define GCM "'Calg':'ALG_AEAD_AES_256_GCM'"

struct world {
    struct cse_fixture f;
    struct test_host host;
    struct bst_se *se;
    struct bst_cse_events events;
    struct bst_buf told; /* everything that events carried */
    bool refuse;         /* the next transaction that has events fails */
};

static bst_result note_events(void *ctx, struct bst_cse_op *op, const struct bst_cse_event *first)
{
    struct world *w = ctx;
    (void)op;
    for (const struct bst_cse_event *e = first; e; e = e->next) {
        bst_buf_addv(&w->told, e->after);
        bst_buf_addv(&w->told, e->before);
        bst_buf_addv(&w->told, e->modified);
    }
    return w->refuse ? bst_error_detailed(BST_E_CONFLICT, "refused by the test") : BST_OK;
}

static void world_start(struct world *w)
{
    assert_ok(bst_se_open(&w->host.host, "se:soft?dir=keys", &w->se));
    w->f.config.se = w->se;
    cse_start(&w->f);
}

static void world_stop(struct world *w)
{
    cse_stop(&w->f);
    bst_se_close(&w->se);
}

static int setup(void **state)
{
    struct world *w = bst_alloc(sizeof *w);
    struct cse_fixture *f = &w->f;
    cse_init(f);
    test_host_init(&w->host);
    w->events = (struct bst_cse_events){.ctx = w, .in_transaction = note_events};
    f->config.events = &w->events;
    world_start(w);
    cse_register(f, "Ca1", "a1");
    cse_register(f, "Ca2", "a2");
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "se", "'rn':'se'"));
    assert_rsc(2001, cse_create(f, "Ca2", "cse-in/a2", "se", "'rn':'se'"));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    cse_end(&w->f);
    bst_se_close(&w->se);
    bst_buf_clear(&w->told);
    test_host_clear(&w->host);
    bst_free(w);
    return 0;
}

/* A key that the operator gave. */
static void give(struct world *w, const char *owner, const char *label, enum bst_key_type type,
                 uint32_t uses)
{
    const struct bst_key_attrs attrs = {
        .type = type, .uses = uses, .label = label, .owner = owner, .persistent = true};
    bst_key key;
    assert_ok(bst_se_key_generate(w->se, &attrs, &key));
}

static bool is_there(struct world *w, const char *owner, const char *label)
{
    bst_key key;
    assert_ok(bst_se_key_find_of(w->se, owner, label, &key));
    return key != 0;
}

static bool file_holds(const char *path, const char *text)
{
    FILE *file = fopen(path, "rb");
    struct bst_buf all = {0};
    char part[4096];
    size_t n;
    while (file && (n = fread(part, 1, sizeof part, file)) > 0) {
        bst_buf_add(&all, part, n);
    }
    if (file) {
        fclose(file);
    }
    bool found = all.len && memmem(all.ptr, all.len, text, strlen(text)) != NULL;
    bst_buf_clear(&all);
    return found;
}

static bool store_holds(struct world *w, const char *text)
{
    char path[300];
    static const char *const parts[] = {"", "-wal", "-shm"};
    bool found = false;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", w->f.path, parts[i]);
        found = found || file_holds(path, text);
    }
    return found;
}

static void make(struct world *w, const char *type, const char *members)
{
    struct cse_fixture *f = &w->f;
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, type, "%s", members));
}

static struct bst_buf decoded(struct cse_fixture *f, const char *path)
{
    struct bst_buf bytes = {0};
    assert_ok(bst_base64_decode(bst_view(cse_text(f, path)), &bytes));
    return bytes;
}

/* ---- several requests at once ---- */

struct answer {
    struct bst_cse_call call;
    struct bst_arena arena;
    bool done;
};

static void answered(struct bst_cse_call *call)
{
    bst_container_of(call, struct answer, call)->done = true;
}

static void ask(struct world *w, struct answer *a, const char *text)
{
    yyjson_val *root;
    bst_arena_init(&a->arena, 0);
    a->call = (struct bst_cse_call){.arena = &a->arena, .assoc = w->f.assoc, .done = answered};
    a->done = false;
    assert_ok(bst_json_parse(&a->arena, bst_view(text), 32, &root));
    assert_ok(bst_m2m_request_from_json(&a->arena, root, bst_wall_us(), &a->call.req));
}

static void wait_for(struct world *w, struct answer *a)
{
    while (!a->done) {
        bst_loop_run_once(w->f.loop, 1000);
    }
}

/* ---- <SE> ---- */

static void the_cse_shows_its_environment(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    assert_rsc(2000, cse_retrieve(f, "Ca1", "cse-in/se"));
    assert_int_equal(cse_int(f, "m2m:se/seT"), 4);
    assert_int_equal(cse_int(f, "m2m:se/seL"), 1);
    assert_int_equal(strncmp(cse_text(f, "m2m:se/sID"), "4-", 2), 0);
    assert_string_equal(cse_text(f, "m2m:se/hcl"), "/id-in");
    assert_int_equal(cse_count(f, "m2m:se/srt"), 9);
    assert_int_equal(cse_int(f, "m2m:se/srt/0"), BST_TY_SDO);
    assert_rsc(2000, cse_retrieve(f, "Ca1", "cse-in"));
    bool listed = false;
    for (size_t i = 0; i < cse_count(f, "m2m:cb/srt"); i++) {
        char path[32];
        snprintf(path, sizeof path, "m2m:cb/srt/%zu", i);
        listed = listed || cse_int(f, path) == BST_TY_SE;
    }
    assert_true(listed);
    /* It is there once, and stays. */
    world_stop(w);
    world_start(w);
    assert_rsc(2000,
               cse_query(f, "CAdmin", "cse-in", "'rcn':6,'fc':{'fu':1,'ty':[30101],'lvl':1}"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 1);
    assert_rsc(4005, cse_delete(f, "CAdmin", "cse-in/se"));
    assert_rsc(4005, cse_update(f, "CAdmin", "cse-in/se", "se", "'et':'20270101T000000'"));
    assert_rsc(4105, cse_create(f, "CAdmin", "cse-in", "se", "'rn':'second'"));
}

static void a_store_from_before_gets_its_environment(void **state)
{
    struct world *w = *state;
    struct cse_fixture old, *f = &old;
    cse_init(f);
    cse_start(f);
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in", "cnt", "'rn':'se'"));
    cse_stop(f);
    f->config.se = w->se;
    cse_start(f);
    assert_rsc(2000, cse_retrieve(f, "CAdmin", "cse-in/se"));
    assert_non_null(cse_at(f, "m2m:cnt"));
    assert_rsc(2000, cse_query(f, "CAdmin", "cse-in", "'rcn':6,'fc':{'fu':1,'ty':[30101]}"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 1);
    cse_end(f);
}

static void only_the_administrator_uses_the_environment_of_the_cse(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    assert_rsc(4103, cse_create(f, "Ca1", "cse-in/se", "hash", "'Halg':'ALG_SHA_256'"));
    assert_rsc(4103, cse_update(f, "Ca1", "cse-in/se", "se", "'lbl':['x']"));
    assert_rsc(2001, cse_create(f, "CAdmin", "cse-in/se", "hash", "'rn':'h','Halg':'ALG_SHA_256'"));
    assert_rsc(2004, cse_update(f, "CAdmin", "cse-in/se", "se", "'lbl':['x']"));
}

static void an_ae_has_one_environment_of_its_own(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE));
    assert_string_equal(cse_text(f, "m2m:se/hal/0"), "Ca1");
    assert_string_equal(cse_text(f, "m2m:se/cr"), "Ca1");
    assert_rsc(4105, cse_create(f, "Ca1", "cse-in/a1", "se", "'rn':'more'"));
    assert_rsc(4103, cse_create(f, "Ca2", "cse-in/a1", "se", "'rn':'mine'"));
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "cnt", "'rn':'c'"));
    assert_rsc(4108, cse_create(f, "Ca1", "cse-in/a1/c", "se", "'rn':'se'"));
    assert_rsc(4108, cse_create(f, "Ca1", "cse-in/a1", "hash", "'Halg':'ALG_SHA_256'"));
    assert_rsc(4000, cse_create(f, "Ca1", "cse-in/a1", "se", "'seL':3"));
}

static void children_are_governed_as_their_parent_says(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "hash", "'rn':'h','Halg':'ALG_SHA_256'");
    assert_rsc(4103, cse_retrieve(f, "Ca2", AE_SE "/h"));
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/h", "hash", "'msg':'" HELLO_64 "'"));
    assert_rsc(4103, cse_delete(f, "Ca2", AE_SE "/h"));
    assert_rsc(4103, cse_create(f, "Ca2", AE_SE, "hash", "'Halg':'ALG_SHA_256'"));
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "acp",
                                "'rn':'p','pv':{'acr':[{'acor':['Ca1'],'acop':63},{'acor':['Ca2'],"
                                "'acop':2}]},'pvs':{'acr':[{'acor':['Ca1'],'acop':63}]}"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE, "se", "'acpi':['cse-in/a1/p']"));
    assert_rsc(2000, cse_retrieve(f, "Ca2", AE_SE "/h"));
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/h", "hash", "'msg':'" HELLO_64 "'"));
    /* A policy of its own counts before the parent's. */
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "acp",
                                "'rn':'q','pv':{'acr':[{'acor':['Ca1','Ca2'],'acop':4}]},"
                                "'pvs':{'acr':[{'acor':['Ca1'],'acop':63}]}"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/h", "hash", "'acpi':['cse-in/a1/q']"));
    assert_rsc(4103, cse_retrieve(f, "Ca2", AE_SE "/h"));
    assert_rsc(2004, cse_update(f, "Ca2", AE_SE "/h", "hash", "'msg':'" HELLO_64 "'"));
}

static void without_an_environment_there_is_none(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "hash", "'rn':'h','Halg':'ALG_SHA_256'");
    make(w, "ciph", "'rn':'c'," GCM);
    cse_stop(f);
    f->config.se = NULL;
    cse_start(f);
    assert_rsc(5001, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':8"));
    assert_rsc(5001, cse_update(f, "Ca1", AE_SE "/h", "hash", "'msg':'" HELLO_64 "'"));
    assert_rsc(5001, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_rsc(5001, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE));
    assert_int_equal(cse_int(f, "m2m:se/seL"), -1);
    assert_rsc(2000, cse_retrieve(f, "Ca1", "cse-in"));
    assert_int_equal(memmem(f->content, strlen(f->content), "30101", 5) == NULL, 1);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE));
}

static void release_1_sees_nothing_of_it(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "ciph", "'rn':'c'," GCM);
    f->rvi = NULL;
    assert_rsc(4004, cse_retrieve(f, "Ca1", AE_SE));
    assert_rsc(4004, cse_retrieve(f, "Ca1", AE_SE "/c"));
    assert_rsc(4004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_rsc(4004, cse_delete(f, "Ca1", AE_SE));
    assert_rsc(4000, cse_create(f, "Ca1", "cse-in/a1", "se", "'rn':'x'"));
    assert_rsc(2000, cse_query(f, "Ca1", "cse-in/a1", "'rcn':4"));
    assert_null(strstr(f->content, "m2m:se"));
    assert_rsc(2000, cse_query(f, "Ca1", "cse-in/a1", "'rcn':6,'fc':{'fu':1}"));
    assert_null(strstr(f->content, "a1/se"));
    assert_rsc(2000, cse_retrieve(f, "Ca1", "cse-in"));
    assert_null(strstr(f->content, "3010"));
    f->rvi = "2a";
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE));
    assert_rsc(2000, cse_query(f, "Ca1", "cse-in/a1", "'rcn':4"));
    assert_non_null(strstr(f->content, "m2m:se"));
}

/* ---- <sensitiveDataObject> ---- */

static void sensitive_data_goes_in_and_never_comes_out(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "sdo", "'rn':'d','msg':'" SECRET_64 "'"));
    assert_int_equal(cse_int(f, "m2m:sdo/cbs"), sizeof SECRET - 1);
    assert_string_equal(cse_text(f, "m2m:sdo/cr"), "Ca1");
    assert_null(cse_at(f, "m2m:sdo/msg"));
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/d"));
    assert_null(cse_at(f, "m2m:sdo/msg"));
    assert_rsc(4005, cse_retrieve(f, "Ca1", AE_SE "/d#msg"));
    assert_rsc(4005, cse_query(f, "Ca1", AE_SE "/d", "'pc':{'m2m:atrl':['cbs','msg']}"));
    assert_rsc(2000, cse_query(f, "Ca1", AE_SE "/d", "'pc':{'m2m:atrl':['cbs']}"));
    assert_rsc(2000, cse_query(f, "Ca1", AE_SE, "'rcn':4"));
    assert_null(strstr(f->content, SECRET_64));
    for (int rcn = 0; rcn < 10; rcn++) {
        if (rcn == 0 || rcn == 1 || rcn == 9) {
            assert_rsc(2004, cse_send(f, "Ca1",
                                      "'op':3,'to':'" AE_SE "/d','rcn':%d,'pc':"
                                      "{'m2m:sdo':{'msg':'" SECRET_64 "'}}",
                                      rcn));
            assert_null(strstr(f->content, SECRET_64));
        }
    }
    cse_settle(f);
    assert_false(store_holds(w, SECRET));
    assert_false(store_holds(w, SECRET_64));
    assert_int_equal(w->told.len > 0, 1);
    assert_null(memmem(w->told.ptr, w->told.len, SECRET_64, sizeof SECRET_64 - 1));
    assert_null(memmem(w->told.ptr, w->told.len, "\"msg\"", 5));
    bst_buf_addc(&w->told, '\0');
    assert_non_null(strstr(w->told.ptr, "\"cbs\":19"));
}

static void sensitive_data_is_replaced_and_wiped(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    make(w, "sdo", "'rn':'d','msg':'" SECRET_64 "'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/d", "sdo", "'msg':'" OTHER_64 "'"));
    assert_int_equal(cse_int(f, "m2m:sdo/cbs"), 20);
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/d", "sdo", "'lbl':['x']"));
    assert_int_equal(cse_int(f, "m2m:sdo/cbs"), 20);
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/d"));
    assert_int_equal(bst_se_key_count(w->se), keys);
    assert_false(store_holds(w, SECRET));
}

static void sensitive_data_that_expires_is_wiped(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    make(w, "sdo", "'rn':'d','et':'20260101T000100','msg':'" SECRET_64 "'");
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    bst_clock_fake_us(bst_wall_us() + 120 * BST_US_PER_S);
    cse_sweep(f);
    for (int i = 0; i < 1000 && bst_se_key_count(w->se) != keys; i++) {
        cse_settle(f);
    }
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void a_refused_change_leaves_nothing_inside(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "sdo", "'rn':'d','msg':'" SECRET_64 "'");
    size_t keys = bst_se_key_count(w->se);
    assert_rsc(4105, cse_create(f, "Ca1", AE_SE, "sdo", "'rn':'d','msg':'" OTHER_64 "'"));
    assert_int_equal(bst_se_key_count(w->se), keys);
    w->refuse = true;
    assert_rsc(4105, cse_create(f, "Ca1", AE_SE, "sdo", "'rn':'e','msg':'" OTHER_64 "'"));
    assert_rsc(4105, cse_update(f, "Ca1", AE_SE "/d", "sdo", "'msg':'" OTHER_64 "'"));
    assert_rsc(4105, cse_delete(f, "Ca1", AE_SE "/d"));
    w->refuse = false;
    assert_int_equal(bst_se_key_count(w->se), keys);
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/d"));
    assert_int_equal(cse_int(f, "m2m:sdo/cbs"), sizeof SECRET - 1);
    assert_rsc(4103, cse_create(f, "Ca2", AE_SE, "sdo", "'rn':'f','msg':'" OTHER_64 "'"));
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void what_a_crash_left_goes_at_the_next_start(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "sdo", "'rn':'d','msg':'" SECRET_64 "'");
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:kept'"));
    size_t keys = bst_se_key_count(w->se);
    give(w, "//acme.example.com/id-in", "ts0016:data://acme.example.com/id-in:0123",
         BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    give(w, "//acme.example.com/id-in/Ca1", "ts0016:key://acme.example.com/id-in/Ca1:lost",
         BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    /* Another CSE on the same token, and what the operator gave, are none of our business. */
    give(w, "//acme.example.com/id-in2", "ts0016:data://acme.example.com/id-in2:0123",
         BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:given", BST_KEY_SYMMETRIC,
         BST_KEY_USE_SEAL);
    world_stop(w);
    world_start(w);
    assert_int_equal(bst_se_key_count(w->se), keys + 2);
    assert_false(
        is_there(w, "//acme.example.com/id-in", "ts0016:data://acme.example.com/id-in:0123"));
    assert_false(is_there(w, "//acme.example.com/id-in/Ca1",
                          "ts0016:key://acme.example.com/id-in/Ca1:lost"));
    assert_true(is_there(w, "//acme.example.com/id-in/Ca1",
                         "ts0016:key://acme.example.com/id-in/Ca1:kept"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
}

static void bad_sensitive_data_is_refused_and_not_repeated(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const bad[] = {
        "'rn':'d','msg':'not base64, but secret'",
        "'rn':'d','msg':4711471147",
        "'rn':'d','msg':{'secret':1}",
        "'rn':'d','msg':['secret']",
        "'rn':'d','msg':null",
        "'rn':'d'",
        "'rn':'d','msg':'" SECRET_64 "','cbs':3",
        "'rn':'d','msg':'" SECRET_64 "','cr':'Ca2'",
        "'rn':'d','msg':'" SECRET_64 "','xyz':3",
    };
    size_t keys = bst_se_key_count(w->se);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "sdo", "%s", bad[i]));
        assert_null(memmem(f->rsp.debug.ptr, f->rsp.debug.len, "but secret", 10));
        assert_null(memmem(f->rsp.debug.ptr, f->rsp.debug.len, "4711", 4));
        assert_null(strstr(f->trace.reason, "but secret"));
    }
    struct bst_buf large = {0};
    bst_buf_adds(&large, "'rn':'d','msg':'");
    for (size_t i = 0; i < 65536 / 3 * 4 + 400; i++) {
        bst_buf_addc(&large, 'A');
    }
    bst_buf_addf(&large, "'");
    bst_buf_addc(&large, '\0');
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "sdo", "%s", large.ptr));
    bst_buf_clear(&large);
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void sensitive_data_does_not_wait_and_is_not_multiplied(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    for (int rt = 1; rt <= 2; rt++) {
        assert_rsc(4005, cse_send(f, "Ca1",
                                  "'op':1,'to':'" AE_SE "','ty':30102,'rt':{'rtv':%d},"
                                  "'pc':{'m2m:sdo':{'rn':'d','msg':'" SECRET_64 "'}}",
                                  rt));
        /* And a mistake elsewhere in the request keeps nothing of it either. */
        assert_rsc(4000, cse_send(f, "Ca1",
                                  "'op':1,'to':'" AE_SE "','ty':3,'rt':{'rtv':%d},"
                                  "'pc':{'m2m:sdo':{'rn':'d','msg':'" SECRET_64 "'}}",
                                  rt));
    }
    /* What is in an answer only would wait there as well. */
    assert_rsc(4005, cse_send(f, "Ca1",
                              "'op':1,'to':'" AE_SE "','ty':30110,'rt':{'rtv':1},"
                              "'pc':{'m2m:rand':{'rn':'r','Dsz':32}}"));
    assert_rsc(4005, cse_send(f, "Ca1",
                              "'op':3,'to':'" AE_SE "/i','rt':{'rtv':1},"
                              "'pc':{'m2m:iden':{'oAD':'aGVs'}}"));
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in", "grp", "'rn':'g','mnm':5,'mid':['" AE_SE "']"));
    assert_rsc(4005, cse_send(f, "Ca1",
                              "'op':1,'to':'cse-in/g/fopt','ty':30102,'pc':{'m2m:sdo':"
                              "{'rn':'d','msg':'" SECRET_64 "'}}"));
    cse_settle(f);
    assert_false(store_holds(w, SECRET_64));
}

static void the_environment_of_an_ae_goes_with_it(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    make(w, "sdo", "'rn':'d','msg':'" SECRET_64 "'");
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k'"));
    assert_rsc(2001, cse_create(f, "Ca2", "cse-in/a2/se", "sdo", "'msg':'" SECRET_64 "'"));
    assert_int_equal(bst_se_key_count(w->se), keys + 3);
    assert_rsc(2002, cse_delete(f, "Ca1", "cse-in/a1"));
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    /* Whoever bears the name next starts empty. */
    cse_register(f, "Ca1", "a1");
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "se", "'rn':'se'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "ciph", GCM ",'kDt':'se:k'"));
    assert_rsc(2002, cse_delete(f, "Ca2", "cse-in/a2/se"));
    assert_int_equal(bst_se_key_count(w->se), keys);
}

/* ---- keys by handle ---- */

static void handles_reach_the_keys_of_their_stakeholder_only(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const bad[] = {
        "'kDt':'se:absent'",
        "'kDt':'se:foreign'",
        "'kDt':'se:cse.tls'",
        "'kDt':'cse.tls'",
        "'kDt':'se:'",
        "'kDt':'se:a/b'",
        "'kDt':'se:a:b'",
        "'kDt':'se:../x'",
        "'kDt':'se:.x'",
        "'kDt':'SE:mine'",
        "'kDt':'" HELLO_64 "'",
        "'kDt':'se:0123456789012345678901234567890123456789012345678901234567890123456789'",
        "'kDt':17",
        "'kDt':'se:signer'",
    };
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:mine", BST_KEY_SYMMETRIC,
         BST_KEY_USE_SEAL);
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:signer", BST_KEY_EC_P256,
         BST_KEY_USE_SIGN);
    give(w, "//acme.example.com/id-in/Ca2", "//acme.example.com/id-in/Ca2:foreign",
         BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    give(w, "cse", "cse.tls", BST_KEY_SYMMETRIC, BST_KEY_USE_SEAL);
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "ciph", "'rn':'c'," GCM ",'kDt':'se:mine'"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "ciph", GCM ",%s", bad[i]));
        assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c", "ciph", bad[i]));
    }
    /* The administrator of the CSE works with the keys of the resource, not with their own. */
    assert_rsc(4000, cse_create(f, "CAdmin", "cse-in/se", "ciph", GCM ",'kDt':'se:mine'"));
    assert_rsc(2001, cse_create(f, "CAdmin", AE_SE, "ciph", GCM ",'kDt':'se:mine'"));
    assert_rsc(2001, cse_create(f, "Ca2", "cse-in/a2/se", "ciph", GCM ",'kDt':'se:foreign'"));
    /* Gone meanwhile: what it was for fails, and says so. */
    bst_key key;
    assert_ok(bst_se_key_find_of(w->se, "//acme.example.com/id-in/Ca1",
                                 "//acme.example.com/id-in/Ca1:mine", &key));
    assert_ok(bst_se_key_delete(w->se, key));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c", "ciph", "'lbl':['x']"));
}

static void sensitive_data_serves_as_a_key_by_its_name(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    uint8_t mac[32];
    const struct bst_view hello = BST_VIEW("hello");
    size_t keys = bst_se_key_count(w->se);
    make(w, "sdo", "'rn':'psk','msg':'" SECRET_64 "'");
    make(w, "sdo",
         "'rn':'aes','msg':'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='"); /* 32 octets */
    make(w, "sign", "'rn':'m','Salg':'ALG_HMAC_SHA_256','kDt':'se:psk'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign", "'msg':'" HELLO_64 "'"));
    struct bst_buf made = decoded(f, "m2m:sign/Sgn");
    assert_ok(bst_hmac_sha256(BST_VIEW(SECRET), &hello, 1, mac));
    assert_int_equal(made.len, sizeof mac);
    assert_memory_equal(made.ptr, mac, sizeof mac);
    bst_buf_clear(&made);
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "ciph", GCM ",'kDt':'se:psk'"));
    make(w, "ciph", "'rn':'c'," GCM ",'kDt':'se:aes'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    /* What replaces it is the key from then on, and nothing stays of the work. */
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/psk", "sdo", "'msg':'" OTHER_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign", "'msg':'" HELLO_64 "'"));
    made = decoded(f, "m2m:sign/Sgn");
    assert_memory_not_equal(made.ptr, mac, sizeof mac);
    bst_buf_clear(&made);
    assert_int_equal(bst_se_key_count(w->se), keys + 2);
    assert_rsc(4000, cse_create(f, "Ca2", "cse-in/a2/se", "sign",
                                "'Salg':'ALG_HMAC_SHA_256','kDt':'se:psk'"));
    assert_rsc(4000,
               cse_create(f, "Ca1", AE_SE, "sign", "'Salg':'ALG_ECDSA_SHA_256','kDt':'se:psk'"));
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/psk"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/m", "sign", "'msg':'" HELLO_64 "'"));
}

/* ---- <cipher> ---- */

static void who_may_use_a_function_does_not_choose_data_of_others_as_its_key(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    assert_rsc(2001, cse_create(f, "Ca1", "cse-in/a1", "acp",
                                "'rn':'u','pv':{'acr':[{'acor':['Ca1','Ca2'],'acop':6}]},"
                                "'pvs':{'acr':[{'acor':['Ca1'],'acop':63}]}"));
    make(w, "sdo", "'rn':'pin','msg':'" SECRET_64 "'");
    make(w, "sdo", "'rn':'shared','acpi':['cse-in/a1/u'],'msg':'" OTHER_64 "'");
    make(w, "sign", "'rn':'m','Salg':'ALG_HMAC_SHA_256','acpi':['cse-in/a1/u']");
    assert_rsc(4000,
               cse_update(f, "Ca2", AE_SE "/m", "sign", "'kDt':'se:pin','msg':'" HELLO_64 "'"));
    assert_rsc(4000, cse_update(f, "Ca2", AE_SE "/m", "sign", "'kDt':'se:pin'"));
    assert_rsc(2004,
               cse_update(f, "Ca2", AE_SE "/m", "sign", "'kDt':'se:shared','msg':'" HELLO_64 "'"));
    /* What its owner chose serves all who may use it. */
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign", "'kDt':'se:pin'"));
    assert_rsc(2004, cse_update(f, "Ca2", AE_SE "/m", "sign", "'msg':'" HELLO_64 "'"));
}

static void a_stakeholder_has_only_so_many_keys(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    int made = 0, last = 2001;
    while (made < 1200 && last == 2001) {
        last = cse_create(f, "Ca1", AE_SE, "sdo", "'rn':'d%d','msg':'" SECRET_64 "'", made);
        made += last == 2001;
    }
    assert_true(made > 900 && made <= 1000);
    assert_true(last >= 4000);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/d0"));
    make(w, "sdo", "'rn':'again','msg':'" SECRET_64 "'");
}

static void a_cipher_seals_and_opens(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    char members[512];
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" SECRET_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k1'"));
    assert_string_equal(cse_text(f, "m2m:genk/kDt"), "se:k1");
    assert_null(cse_at(f, "m2m:genk/kInf"));
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/c"));
    assert_string_equal(cse_text(f, "m2m:ciph/kDt"), "se:k1");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" SECRET_64 "'"));
    char *sealed = bst_strdup(cse_text(f, "m2m:encr/cD"));
    assert_null(cse_at(f, "m2m:encr/msg"));
    snprintf(members, sizeof members, "'msg':'%s'", sealed);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", members));
    assert_string_equal(cse_text(f, "m2m:decr/cD"), SECRET_64);
    /* Other associated data, another key, another length: nothing comes out. */
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE "/c", "asp", "'rn':'p','aD':'" HELLO_64 "'"));
    assert_rsc(4102, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", members));
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/c/p"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_rsc(4102, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", members));
    assert_rsc(4102, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", "'msg':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c", "ciph", "'kDt':'se:k1'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", members));
    cse_settle(f);
    assert_false(store_holds(w, SECRET_64));
    assert_null(memmem(w->told.ptr, w->told.len, SECRET_64, sizeof SECRET_64 - 1));
    bst_free(sealed);
}

static void what_a_cipher_seals_is_aes_256_gcm_with_the_associated_data(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const uint8_t bytes[32] = {1, 2, 3};
    bst_auto(secret) value = {0};
    struct bst_buf plain = {0};
    bst_key key;
    const struct bst_key_attrs attrs = {.uses = BST_KEY_USE_SEAL,
                                        .label = "//acme.example.com/id-in/Ca1:known",
                                        .owner = "//acme.example.com/id-in/Ca1"};
    assert_ok(bst_secret_copy(&value, bytes, sizeof bytes));
    assert_ok(bst_se_key_import(w->se, &attrs, &value, &key));
    make(w, "ciph", "'rn':'c'," GCM ",'kDt':'se:known'");
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE "/c", "asp", "'aD':'" HELLO_64 "'"));
    assert_rsc(4105, cse_create(f, "Ca1", AE_SE "/c", "asp", "'aD':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" SECRET_64 "'"));
    struct bst_buf sealed = decoded(f, "m2m:encr/cD");
    assert_ok(bst_aead_open(bst_view_of(bytes, sizeof bytes), BST_VIEW("hello"),
                            bst_buf_view(&sealed), &plain));
    assert_int_equal(plain.len, sizeof SECRET - 1);
    assert_memory_equal(plain.ptr, SECRET, plain.len);
    bst_buf_clear(&sealed);
    bst_buf_clear(&plain);
}

static void bad_ciphers_are_refused(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const bad[] = {
        "'Calg':'ALG_AEAD_AES_128_CCM'",
        "'Calg':'ROT13'",
        "'Calg':1",
        "'Calg':null",
        "'rn':'c'",
        GCM ",'mbs':0",
        GCM ",'mbs':100000",
        GCM ",'mbs':'x'",
        GCM ",'msg':'" HELLO_64 "'",
        GCM ",'cD':'" HELLO_64 "'",
        GCM ",'cbs':1",
        GCM ",'Halg':'ALG_SHA_256'",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "ciph", "%s", bad[i]));
    }
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "ciph", "'Calg':'ROT13'"));
    assert_non_null(memmem(f->rsp.debug.ptr, f->rsp.debug.len, "ALG_AEAD_AES_256_GCM", 20));
    make(w, "ciph", "'rn':'c','mbs':4," GCM);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c", "ciph", "'Calg':'ROT13'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'aGVs'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'%'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'cD':'aGVs'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", ""));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "decr", "'msg':'aGVs'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "ciph", "'lbl':['x']"));
    assert_rsc(4005, cse_retrieve(f, "Ca1", AE_SE "/c/encr"));
    assert_rsc(4005, cse_delete(f, "Ca1", AE_SE "/c/decr"));
    assert_rsc(4004, cse_retrieve(f, "Ca1", AE_SE "/encr"));
    assert_rsc(4005, cse_send(f, "Ca1",
                              "'op':1,'to':'" AE_SE "/c','ty':30104,'pc':{'m2m:encr':"
                              "{'msg':'aGVs'}}"));
    assert_rsc(4105, cse_create(f, "Ca1", AE_SE "/c", "sub", "'rn':'genk','nu':['Ca1']"));
    assert_rsc(5001, cse_create(f, "Ca1", AE_SE "/c", "asp", "'nc':'" HELLO_64 "'"));
    assert_rsc(5001, cse_create(f, "Ca1", AE_SE "/c", "asp", "'iV':'" HELLO_64 "'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE "/c", "asp", "'aD':'%%'"));
}

static void functions_are_for_who_may_update(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k'"));
    size_t keys = bst_se_key_count(w->se);
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/c/decr", "decr", "'msg':'" HELLO_64 "'"));
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/c/genk", "genk", ""));
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void keys_made_inside_are_known_by_handle_and_go_with_their_maker(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k'"));
    assert_rsc(4105, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'k'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kInf':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_int_equal(strncmp(cse_text(f, "m2m:genk/kDt"), "se:", 3), 0);
    assert_int_equal(bst_se_key_count(w->se), keys + 2);
    /* The same name for another stakeholder is another key. */
    assert_rsc(2001, cse_create(f, "Ca2", "cse-in/a2/se", "ciph", "'rn':'c'," GCM));
    assert_rsc(2004, cse_update(f, "Ca2", "cse-in/a2/se/c/genk", "genk", "'kDt':'se:k'"));
    assert_int_equal(bst_se_key_count(w->se), keys + 3);
    w->refuse = true;
    assert_rsc(4105, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:more'"));
    w->refuse = false;
    assert_int_equal(bst_se_key_count(w->se), keys + 3);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/c"));
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
}

/* ---- <signature> ---- */

static void a_signature_is_made_and_verified(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    char members[1024];
    static const struct {
        const char *name;
        enum bst_md md;
    } algorithms[] = {{"ALG_ECDSA_SHA_256", BST_MD_SHA256}, {"ALG_ECDSA_SHA_384", BST_MD_SHA384}};
    for (size_t i = 0; i < 2; i++) {
        struct evp_pkey_st *pkey = NULL;
        assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "sign", "'rn':'s%zu','Salg':'%s'", i,
                                    algorithms[i].name));
        char to[64], genk[64];
        snprintf(to, sizeof to, AE_SE "/s%zu", i);
        snprintf(genk, sizeof genk, AE_SE "/s%zu/genk", i);
        assert_rsc(4000, cse_update(f, "Ca1", to, "sign", "'msg':'" HELLO_64 "'"));
        assert_rsc(2004, cse_update(f, "Ca1", genk, "genk", ""));
        char *public = bst_strdup(cse_text(f, "m2m:genk/kInf"));
        struct bst_buf spki = decoded(f, "m2m:genk/kInf");
        assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &pkey));
        assert_rsc(2004, cse_update(f, "Ca1", to, "sign", "'msg':'" HELLO_64 "'"));
        struct bst_buf signature = decoded(f, "m2m:sign/Sgn");
        char *made = bst_strdup(cse_text(f, "m2m:sign/Sgn"));
        assert_ok(
            bst_pkey_verify(pkey, algorithms[i].md, BST_VIEW("hello"), bst_buf_view(&signature)));
        snprintf(members, sizeof members, "'msg':'" HELLO_64 "','Sgn':'%s'", made);
        assert_rsc(2004, cse_update(f, "Ca1", to, "sign", members));
        assert_true(yyjson_is_true(cse_at(f, "m2m:sign/vR")));
        snprintf(members, sizeof members, "'msg':'" OTHER_64 "','Sgn':'%s'", made);
        assert_rsc(2004, cse_update(f, "Ca1", to, "sign", members));
        assert_true(yyjson_is_false(cse_at(f, "m2m:sign/vR")));
        /* With the public key of somebody else, and no key at all inside. */
        assert_rsc(2001, cse_create(f, "Ca2", "cse-in/a2/se", "sign",
                                    "'Salg':'%s','kInf':'%s','msg':'" HELLO_64 "','Sgn':'%s'",
                                    algorithms[i].name, public, made));
        assert_true(yyjson_is_true(cse_at(f, "m2m:sign/vR")));
        bst_buf_clear(&spki);
        bst_buf_clear(&signature);
        bst_free(public);
        bst_free(made);
        bst_pkey_free(&pkey);
    }
}

static void a_mac_is_a_signature_with_a_shared_key(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    char members[256];
    make(w, "sign", "'rn':'m','Salg':'ALG_HMAC_SHA_256'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m/genk", "genk", "'kDt':'se:mac'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign", "'msg':'" HELLO_64 "'"));
    bst_key key;
    uint8_t mac[32];
    const struct bst_view hello = BST_VIEW("hello");
    assert_ok(bst_se_key_find_of(w->se, "//acme.example.com/id-in/Ca1",
                                 "ts0016:key://acme.example.com/id-in/Ca1:mac", &key));
    assert_ok(bst_se_mac(w->se, key, &hello, 1, mac));
    struct bst_buf made = decoded(f, "m2m:sign/Sgn");
    assert_int_equal(made.len, sizeof mac);
    assert_memory_equal(made.ptr, mac, sizeof mac);
    snprintf(members, sizeof members, "'msg':'" HELLO_64 "','Sgn':'%s'",
             cse_text(f, "m2m:sign/Sgn"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign", members));
    assert_true(yyjson_is_true(cse_at(f, "m2m:sign/vR")));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/m", "sign",
                                "'msg':'" HELLO_64 "','Sgn':'" HELLO_64 "'"));
    assert_true(yyjson_is_false(cse_at(f, "m2m:sign/vR")));
    bst_buf_clear(&made);
}

static void bad_signatures_are_refused(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const bad[] = {
        "'Salg':'ALG_RSA_PKCS1'",
        "'Salg':true",
        "'rn':'x'",
        "'Salg':'ALG_ECDSA_SHA_256','vR':true",
        "'Salg':'ALG_ECDSA_SHA_256','msg':'*'",
        "'Salg':'ALG_ECDSA_SHA_256','Sgn':'" HELLO_64 "'",
        "'Salg':'ALG_ECDSA_SHA_256','msg':'" HELLO_64 "'",
        "'Salg':'ALG_ECDSA_SHA_256','msg':'" HELLO_64 "','Sgn':'" HELLO_64 "'",
        "'Salg':'ALG_ECDSA_SHA_256','msg':'" HELLO_64 "','Sgn':'" HELLO_64 "','kInf':'" HELLO_64
        "'",
        "'Salg':'ALG_ECDSA_SHA_256','kDt':'se:p384'",
        "'Salg':'ALG_ECDSA_SHA_256','kDt':'se:aes'",
    };
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:p384", BST_KEY_EC_P384,
         BST_KEY_USE_SIGN);
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:aes", BST_KEY_SYMMETRIC,
         BST_KEY_USE_SEAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "sign", "%s", bad[i]));
    }
    make(w, "sign", "'rn':'s','Salg':'ALG_ECDSA_SHA_256'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/s/genk", "genk", ""));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/s", "sign", "'msg':'" HELLO_64 "'"));
    /* Another algorithm: the key does not fit, and old results do not stay with a new key. */
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/s", "sign",
                                "'Salg':'ALG_ECDSA_SHA_384','kDt':'se:aes'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/s", "sign",
                                "'Salg':'ALG_ECDSA_SHA_384','kDt':'se:p384'"));
    assert_null(cse_at(f, "m2m:sign/Sgn"));
    assert_rsc(4004, cse_update(f, "Ca1", AE_SE "/s/encr", "encr", "'msg':'" HELLO_64 "'"));
}

/* ---- <hash>, <rand>, <identity> ---- */

static void a_hash_is_the_digest_of_the_message(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const struct {
        const char *name;
        enum bst_md md;
    } algorithms[] = {{"ALG_SHA_256", BST_MD_SHA256},
                      {"ALG_SHA_384", BST_MD_SHA384},
                      {"ALG_SHA_512", BST_MD_SHA512}};
    const struct bst_view hello = BST_VIEW("hello");
    for (size_t i = 0; i < 3; i++) {
        uint8_t digest[BST_MD_MAX_BYTES];
        assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "hash", "'Halg':'%s','msg':'" HELLO_64 "'",
                                    algorithms[i].name));
        struct bst_buf made = decoded(f, "m2m:hash/Hv");
        assert_ok(bst_digest(algorithms[i].md, &hello, 1, digest));
        assert_int_equal(made.len, bst_md_bytes(algorithms[i].md));
        assert_memory_equal(made.ptr, digest, made.len);
        assert_null(cse_at(f, "m2m:hash/msg"));
        bst_buf_clear(&made);
    }
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "hash", "'Halg':'ALG_MD5'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "hash", "'Halg':'ALG_SHA_256','msg':'x'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "hash", "'Halg':'ALG_SHA_256','Hv':'aGVs'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "hash", "'msg':'aGVs'"));
    make(w, "hash", "'rn':'h','Halg':'ALG_SHA_256'");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/h", "hash", "'msg':'" HELLO_64 "'"));
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/h#Hv"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/h", "hash", "'Halg':'ALG_SHA_512'"));
    assert_null(cse_at(f, "m2m:hash/Hv"));
}

static void random_data_is_in_the_answer_only(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    char first[128];
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "rand", "'rn':'r','Dsz':32"));
    struct bst_buf bytes = decoded(f, "m2m:rand/rndD");
    assert_int_equal(bytes.len, 32);
    bst_buf_clear(&bytes);
    snprintf(first, sizeof first, "%s", cse_text(f, "m2m:rand/rndD"));
    assert_rsc(2004, cse_send(f, "Ca1",
                              "'op':3,'to':'" AE_SE "/r','rcn':9,'pc':{'m2m:rand':"
                              "{'Dsz':32}}"));
    assert_string_not_equal(cse_text(f, "m2m:rand/rndD"), first);
    assert_int_equal(strlen(cse_text(f, "m2m:rand/rndD")), 44);
    assert_rsc(2001, cse_send(f, "Ca1",
                              "'op':1,'to':'" AE_SE "','ty':30110,'rcn':3,'pc':"
                              "{'m2m:rand':{'Dsz':4096,'rgT':1}}"));
    assert_int_equal(strlen(cse_text(f, "m2m:rce/m2m:rand/rndD")), 5464);
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/r"));
    assert_null(cse_at(f, "m2m:rand/rndD"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/r", "rand", "'lbl':['x']"));
    assert_null(cse_at(f, "m2m:rand/rndD"));
    cse_settle(f);
    assert_false(store_holds(w, first));
    assert_null(memmem(w->told.ptr, w->told.len, "rndD", 4));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':0"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':4097"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':'many'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':8,'rgT':2"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'Dsz':8,'rndD':'aGVs'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "rand", "'rgT':1"));
}

static void an_identity_answers_challenges_for_its_purpose_only(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    struct bst_buf spki = {0}, statement = {0};
    struct evp_pkey_st *pkey = NULL;
    bst_key key;
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:id", BST_KEY_EC_P256,
         BST_KEY_USE_SIGN);
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:aes", BST_KEY_SYMMETRIC,
         BST_KEY_USE_SEAL);
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "iden",
                                "'rn':'i','idN':'meter','kDt':'se:id',"
                                "'idDt':'" HELLO_64 "'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/i", "iden", "'oAD':'" HELLO_64 "'"));
    struct bst_buf proof = decoded(f, "m2m:iden/rAD");
    assert_null(cse_at(f, "m2m:iden/oAD"));
    assert_ok(bst_se_key_find_of(w->se, "//acme.example.com/id-in/Ca1",
                                 "//acme.example.com/id-in/Ca1:id", &key));
    assert_ok(bst_se_key_public(w->se, key, &spki));
    assert_ok(bst_pkey_load_public(bst_buf_view(&spki), &pkey));
    static const char prefix[] = "TS-0016 identity\0meter";
    bst_buf_add(&statement, prefix, sizeof prefix);
    bst_buf_adds(&statement, "hello");
    assert_ok(bst_pkey_verify(pkey, BST_MD_SHA256, bst_buf_view(&statement), bst_buf_view(&proof)));
    assert_err(bst_pkey_verify(pkey, BST_MD_SHA256, BST_VIEW("hello"), bst_buf_view(&proof)),
               BST_E_BAD_MAC);
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/i"));
    assert_null(cse_at(f, "m2m:iden/rAD"));
    assert_rsc(4103, cse_update(f, "Ca2", AE_SE "/i", "iden", "'oAD':'" HELLO_64 "'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/i", "iden", "'oAD':'!'"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/i", "iden", "'rAD':'aGVs'"));
    assert_rsc(4000,
               cse_update(f, "Ca1", AE_SE "/i", "iden", "'kDt':'se:aes','oAD':'" HELLO_64 "'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "iden", "'idN':'x','oAD':'" HELLO_64 "'"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "iden", "'idN':7"));
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "iden", "'kDt':'se:id'"));
    bst_pkey_free(&pkey);
    bst_buf_clear(&proof);
    bst_buf_clear(&spki);
    bst_buf_clear(&statement);
}

/* ---- <secureConnection> ---- */

static void each_connection_instance_has_a_key_of_its_own(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    size_t keys = bst_se_key_count(w->se);
    char handle[64];
    make(w, "seco", "'rn':'s','mni':2,'aCS':['TLS_PSK_WITH_AES_128_CCM_8']");
    assert_int_equal(cse_int(f, "m2m:seco/cni"), 0);
    assert_rsc(4000, cse_create(f, "Ca1", AE_SE "/s", "coin", "'dst':'coaps://a.example.com'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/s/genk", "genk", "'kDt':'se:base'"));
    assert_rsc(2001,
               cse_create(f, "Ca1", AE_SE "/s", "coin", "'rn':'i','dst':'coaps://a.example.com'"));
    assert_string_equal(cse_text(f, "m2m:coin/ngCS"), "TLS_PSK_WITH_AES_128_CCM_8");
    snprintf(handle, sizeof handle, "%s", cse_text(f, "m2m:coin/ngK"));
    assert_int_equal(strncmp(handle, "se:", 3), 0);
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE "/s", "coin", "'dst':'coaps://a.example.com'"));
    assert_string_not_equal(cse_text(f, "m2m:coin/ngK"), handle);
    assert_rsc(4102, cse_create(f, "Ca1", AE_SE "/s", "coin", "'dst':'coaps://a.example.com'"));
    assert_int_equal(bst_se_key_count(w->se), keys + 3);
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/s"));
    assert_int_equal(cse_int(f, "m2m:seco/cni"), 2);
    /* The key serves a cipher, until the connection ends. */
    assert_rsc(2001, cse_create(f, "Ca1", AE_SE, "ciph", "'rn':'c'," GCM ",'kDt':'%s'", handle));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/s/i"));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/encr", "encr", "'msg':'" HELLO_64 "'"));
    assert_int_equal(bst_se_key_count(w->se), keys + 2);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/s"));
    assert_int_equal(bst_se_key_count(w->se), keys);
}

static void bad_connections_are_refused(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const bad[] = {
        "'cnT':2",           "'mni':0",    "'mni':101", "'aCS':['NULL']", "'aCS':'x'",
        "'kDt':'se:absent'", "'kInf':'!'", "'cni':1",   "'kDt':'se:aes'",
    };
    static const char *const bad_instances[] = {
        "'rn':'i'",
        "'dst':7",
        "'dst':'a b'",
        "'dst':'x','ngK':'se:base'",
        "'dst':'x','ngCS':'y'",
        "'dst':'x','iD':'aGVs'",
    };
    give(w, "//acme.example.com/id-in/Ca1", "//acme.example.com/id-in/Ca1:aes", BST_KEY_SYMMETRIC,
         BST_KEY_USE_SEAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE, "seco", "%s", bad[i]));
    }
    make(w, "seco", "'rn':'s','cnT':1");
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/s/genk", "genk", "'kDt':'se:base'"));
    for (size_t i = 0; i < sizeof bad_instances / sizeof bad_instances[0]; i++) {
        assert_rsc(4000, cse_create(f, "Ca1", AE_SE "/s", "coin", "%s", bad_instances[i]));
    }
    assert_rsc(5001, cse_create(f, "Ca1", AE_SE "/s", "coin", "'dst':'x','oD':'aGVs'"));
    assert_rsc(4103, cse_create(f, "Ca2", AE_SE "/s", "coin", "'dst':'x'"));
}

/* ---- all types alike ---- */

static const struct {
    const char *type, *parent, *create, *update;
} kinds[] = {
    {"sdo", AE_SE, "'msg':'" SECRET_64 "'", "'msg':'" OTHER_64 "'"},
    {"ciph", AE_SE, GCM, "'mbs':10"},
    {"sign", AE_SE, "'Salg':'ALG_ECDSA_SHA_256'", "'msg':'" HELLO_64 "'"},
    {"hash", AE_SE, "'Halg':'ALG_SHA_256'", "'msg':'" HELLO_64 "'"},
    {"rand", AE_SE, "'Dsz':8", "'Dsz':8"},
    {"iden", AE_SE, "'idN':'x'", "'oAD':'" HELLO_64 "'"},
    {"seco", AE_SE, "'mni':3", "'mni':2"},
    {"asp", AE_SE "/ciph", "'aD':'" HELLO_64 "'", "'aD':'" OTHER_64 "'"},
    {"coin", AE_SE "/seco", "'dst':'x'", "'lbl':['x']"},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static void make_all(struct world *w)
{
    struct cse_fixture *f = &w->f;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].type, "coin") == 0) {
            assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/seco/genk", "genk", "'kDt':'se:b'"));
        }
        assert_rsc(2001, cse_create(f, "Ca1", kinds[i].parent, kinds[i].type, "'rn':'%s',%s",
                                    kinds[i].type, kinds[i].create));
    }
}

static void who_has_no_privilege_does_nothing_with_any_of_them(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    make_all(w);
    size_t keys = bst_se_key_count(w->se);
    for (size_t i = 0; i < N_KINDS; i++) {
        char to[64];
        snprintf(to, sizeof to, "%s/%s", kinds[i].parent, kinds[i].type);
        assert_rsc(4103, cse_retrieve(f, "Ca2", to));
        assert_rsc(4103, cse_update(f, "Ca2", to, kinds[i].type, kinds[i].update));
        assert_rsc(4103, cse_delete(f, "Ca2", to));
        assert_rsc(4103,
                   cse_create(f, "Ca2", kinds[i].parent, kinds[i].type, "%s", kinds[i].create));
        assert_rsc(2000, cse_retrieve(f, "Ca1", to));
    }
    assert_rsc(2000, cse_query(f, "Ca2", "cse-in/a1", "'rcn':6,'fc':{'fu':1}"));
    assert_int_equal(cse_count(f, "m2m:rrl/rrf"), 0);
    assert_int_equal(bst_se_key_count(w->se), keys);
    for (size_t i = N_KINDS; i-- > 0;) {
        char to[64];
        snprintf(to, sizeof to, "%s/%s", kinds[i].parent, kinds[i].type);
        assert_rsc(2002, cse_delete(f, "Ca1", to));
    }
}

/* Every attribute of every type with values that no attribute has. */
static void an_attribute_of_the_wrong_kind_is_refused(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char *const values[] = {"{'a':1}", "-5", "1.5", "''", "[[]]", "[{'a':'b'}]"};
    make_all(w);
    for (size_t i = 0; i < N_KINDS; i++) {
        char root[16], to[64], update[64];
        snprintf(root, sizeof root, "m2m:%s", kinds[i].type);
        snprintf(to, sizeof to, "%s/%s", kinds[i].parent, kinds[i].type);
        const struct bst_m2m_type *type = bst_m2m_type_by_root(bst_view(root));
        for (size_t k = 0; k < type->n_attrs; k++) {
            const struct bst_m2m_attr *attr = &type->attrs[k];
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                /* An empty text is no octets at all where octets are asked for. */
                if (strcmp(attr->sn, "msg") == 0 && strcmp(values[v], "''") == 0) {
                    continue;
                }
                snprintf(update, sizeof update, "'%s':%s", attr->sn, values[v]);
                assert_rsc(4000, cse_update(f, "Ca1", to, kinds[i].type, update));
                assert_rsc(4000,
                           cse_create(f, "Ca1", kinds[i].parent, kinds[i].type, "%s", update));
            }
        }
    }
}

static void texts_that_are_too_long_are_refused(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    char octets[2000], members[2100];
    memset(octets, 'A', sizeof octets);
    octets[1400] = '\0';
    make_all(w);
    snprintf(members, sizeof members, "'aD':'%s'", octets);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/ciph/asp", "asp", members));
    snprintf(members, sizeof members, "'oAD':'%s'", octets);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/iden", "iden", members));
    snprintf(members, sizeof members, "'Calg':'%s'", octets);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/ciph", "ciph", members));
    snprintf(members, sizeof members, "'kDt':'se:%s'", octets);
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/ciph", "ciph", members));
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/ciph/genk", "genk", members));
}

/* ---- a slow environment ---- */

static sem_t slow;

static bst_result hold_seal(void *ctx, const struct bst_se_event *event)
{
    (void)ctx;
    if (strcmp(event->op, "seal") == 0) {
        sem_wait(&slow);
    }
    return BST_OK;
}

static void a_slow_environment_holds_up_nobody_else(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    struct answer first, second;
    const struct bst_se_filter filter = {.before = hold_seal};
    static const char sealing[] =
        "{\"op\":3,\"to\":\"" AE_SE "/c/encr\",\"fr\":\"Ca1\",\"rqi\":\"1\",\"rvi\":\"3\","
        "\"pc\":{\"m2m:encr\":{\"msg\":\"" HELLO_64 "\"}}}";
    static const char writing[] =
        "{\"op\":1,\"to\":\"cse-in/a2\",\"fr\":\"Ca2\",\"rqi\":\"2\",\"rvi\":\"3\",\"ty\":3,"
        "\"pc\":{\"m2m:cnt\":{\"rn\":\"x\"}}}";
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k'"));
    assert_int_equal(sem_init(&slow, 0, 0), 0);
    assert_ok(bst_se_filter_add(w->se, &filter));
    ask(w, &first, sealing);
    ask(w, &second, writing);
    bst_cse_handle(f->worker, &first.call);
    bst_cse_handle(f->worker, &second.call);
    wait_for(w, &second);
    assert_int_equal(second.call.rsp.rsc, 2001);
    assert_false(first.done);
    sem_post(&slow);
    wait_for(w, &first);
    assert_int_equal(first.call.rsp.rsc, 2004);
    bst_arena_clear(&first.arena);
    bst_arena_clear(&second.arena);
    sem_destroy(&slow);
}

static void what_changes_meanwhile_is_not_overlooked(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    struct answer first;
    char members[256];
    const struct bst_se_filter filter = {.before = hold_seal};
    static const char sealing[] =
        "{\"op\":3,\"to\":\"" AE_SE "/c/encr\",\"fr\":\"Ca1\",\"rqi\":\"1\",\"rvi\":\"3\","
        "\"pc\":{\"m2m:encr\":{\"msg\":\"" HELLO_64 "\"}}}";
    make(w, "ciph", "'rn':'c'," GCM);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k1'"));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", "'kDt':'se:k2'"));
    assert_int_equal(sem_init(&slow, 0, 0), 0);
    assert_ok(bst_se_filter_add(w->se, &filter));
    ask(w, &first, sealing);
    bst_cse_handle(f->worker, &first.call);
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c", "ciph", "'kDt':'se:k1'"));
    sem_post(&slow);
    sem_post(&slow);
    wait_for(w, &first);
    assert_int_equal(first.call.rsp.rsc, 2004);
    yyjson_val *pc;
    assert_ok(bst_json_parse(&first.arena, first.call.rsp.pc, 8, &pc));
    struct bst_view sealed = bst_json_view(bst_json_get(bst_json_get(pc, "m2m:encr"), "cD"));
    snprintf(members, sizeof members, "'msg':'%.*s'", BST_VIEW_ARGS(sealed));
    assert_rsc(2004, cse_update(f, "Ca1", AE_SE "/c/decr", "decr", members));
    /* And who may do it no more by then gets no result. */
    bst_arena_clear(&first.arena);
    ask(w, &first, sealing);
    bst_cse_handle(f->worker, &first.call);
    assert_rsc(2002, cse_delete(f, "Ca1", AE_SE "/c"));
    sem_post(&slow);
    wait_for(w, &first);
    assert_int_equal(first.call.rsp.rsc, 4004);
    bst_arena_clear(&first.arena);
    sem_destroy(&slow);
}

static bst_result fail_all(void *ctx, const struct bst_se_event *event)
{
    (void)event;
    BST_FAIL(*(enum bst_error *)ctx, "as the test wants it");
}

static void an_environment_that_fails_changes_nothing(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    enum bst_error error = BST_E_BUSY;
    const struct bst_se_filter filter = {.ctx = &error, .before = fail_all};
    make(w, "ciph", "'rn':'c'," GCM);
    make(w, "sdo", "'rn':'d','msg':'" SECRET_64 "'");
    size_t keys = bst_se_key_count(w->se);
    assert_ok(bst_se_filter_add(w->se, &filter));
    assert_rsc(5000, cse_create(f, "Ca1", AE_SE, "sdo", "'rn':'e','msg':'" SECRET_64 "'"));
    assert_rsc(5000, cse_update(f, "Ca1", AE_SE "/d", "sdo", "'msg':'" OTHER_64 "'"));
    assert_rsc(5000, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    error = BST_E_SE_MECHANISM;
    assert_rsc(4000, cse_update(f, "Ca1", AE_SE "/c/genk", "genk", ""));
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/c"));
    assert_null(cse_at(f, "m2m:ciph/kDt"));
    assert_rsc(2000, cse_retrieve(f, "Ca1", AE_SE "/d"));
    assert_int_equal(cse_int(f, "m2m:sdo/cbs"), sizeof SECRET - 1);
    assert_rsc(4004, cse_retrieve(f, "Ca1", AE_SE "/e"));
    assert_int_equal(bst_se_key_count(w->se), keys);
}

/* ---- when memory is short ---- */

static void quiet(void *ctx, enum bst_log_level level, struct bst_view line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static void short_memory_leaves_no_key_behind(void **state)
{
    struct world *w = *state;
    struct cse_fixture *f = &w->f;
    static const char text[] =
        "{\"op\":1,\"to\":\"" AE_SE "\",\"fr\":\"Ca1\",\"rqi\":\"1\",\"rvi\":\"3\",\"ty\":30102,"
        "\"pc\":{\"m2m:sdo\":{\"rn\":\"d\",\"msg\":\"" SECRET_64 "\"}}}";
    size_t keys = bst_se_key_count(w->se);
    struct answer a = {0};
    for (long n = 1; n < 1000 && a.call.rsp.rsc != 2001; n++) {
        ask(w, &a, text);
        bst_alloc_fail_at(n);
        bst_cse_handle(f->worker, &a.call);
        wait_for(w, &a);
        bst_alloc_fail_at(0);
        cse_settle(f);
        bst_arena_clear(&a.arena);
    }
    assert_int_equal(a.call.rsp.rsc, 2001);
    /* What could not be wiped at once goes at the start. */
    world_stop(w);
    world_start(w);
    assert_int_equal(bst_se_key_count(w->se), keys + 1);
    assert_false(store_holds(w, SECRET_64));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct bst_log_setup log = {.level = BST_LOG_ERROR, .write = quiet};
    const struct CMUnitTest tests[] = {
        CASE(the_cse_shows_its_environment),
        CASE(a_store_from_before_gets_its_environment),
        CASE(only_the_administrator_uses_the_environment_of_the_cse),
        CASE(an_ae_has_one_environment_of_its_own),
        CASE(children_are_governed_as_their_parent_says),
        CASE(without_an_environment_there_is_none),
        CASE(release_1_sees_nothing_of_it),
        CASE(sensitive_data_goes_in_and_never_comes_out),
        CASE(sensitive_data_is_replaced_and_wiped),
        CASE(sensitive_data_that_expires_is_wiped),
        CASE(a_refused_change_leaves_nothing_inside),
        CASE(what_a_crash_left_goes_at_the_next_start),
        CASE(bad_sensitive_data_is_refused_and_not_repeated),
        CASE(sensitive_data_does_not_wait_and_is_not_multiplied),
        CASE(the_environment_of_an_ae_goes_with_it),
        CASE(handles_reach_the_keys_of_their_stakeholder_only),
        CASE(a_stakeholder_has_only_so_many_keys),
        CASE(a_cipher_seals_and_opens),
        CASE(what_a_cipher_seals_is_aes_256_gcm_with_the_associated_data),
        CASE(bad_ciphers_are_refused),
        CASE(functions_are_for_who_may_update),
        CASE(keys_made_inside_are_known_by_handle_and_go_with_their_maker),
        CASE(a_signature_is_made_and_verified),
        CASE(a_mac_is_a_signature_with_a_shared_key),
        CASE(bad_signatures_are_refused),
        CASE(a_hash_is_the_digest_of_the_message),
        CASE(random_data_is_in_the_answer_only),
        CASE(an_identity_answers_challenges_for_its_purpose_only),
        CASE(each_connection_instance_has_a_key_of_its_own),
        CASE(bad_connections_are_refused),
        CASE(sensitive_data_serves_as_a_key_by_its_name),
        CASE(who_may_use_a_function_does_not_choose_data_of_others_as_its_key),
        CASE(who_has_no_privilege_does_nothing_with_any_of_them),
        CASE(an_attribute_of_the_wrong_kind_is_refused),
        CASE(texts_that_are_too_long_are_refused),
        CASE(a_slow_environment_holds_up_nobody_else),
        CASE(what_changes_meanwhile_is_not_overlooked),
        CASE(an_environment_that_fails_changes_nothing),
        CASE(short_memory_leaves_no_key_behind),
    };
    bst_log_configure(&log);
    return cmocka_run_group_tests_name("cse se", tests, NULL, NULL);
}
