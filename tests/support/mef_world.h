/* A MEF with a store in a scratch folder, keys in memory and a clock that stands still. */
#pragma once

#include "codec/json.h"
#include "mef/mef.h"
#include "sec/labels.h"
#include "sec/sec_names.h"
#include "support/scratch.h"
#include "support/se_host.h"
#include "support/test.h"
#include "sys/clock.h"

#include <semaphore.h>

#define MEF_NOW INT64_C(1795400000000000)
#define MEF_YEAR "20271101T000000"

struct mef_world {
    struct scratch scratch;
    struct test_host host;
    struct bst_se *se;
    struct bst_store *store;
    struct bst_mef *mef;
    struct bst_arena arena;
    sem_t answered;
    struct bst_mef_call call;
    yyjson_val *pc; /* content of the last answer, NULL none */
    uint8_t export48[48];
    unsigned exports;
    long fail_at; /* this allocation of a request fails; 0 none */
};

/* Where its keys are; a test may name another environment. */
static const char *mef_world_uri = "se:soft?dir=/se";

/* An exporter as of a TLS session: always the same 48 octets. */
static inline bst_result mef_world_export(void *ctx, const char *label, struct bst_secret *ret)
{
    struct mef_world *w = ctx;
    assert_string_equal(label, BST_EXPORTER_ENROLMENT);
    w->exports++;
    return bst_secret_copy(ret, w->export48, sizeof w->export48);
}

static inline void mef_world_open(struct mef_world *w)
{
    const struct bst_store_config store = {.path = scratch_path(&w->scratch, "mef.db"),
                                           .schema = &bst_mef_schema};
    assert_ok(bst_store_open(&store, &w->store));
    const struct bst_mef_config config = {
        .store = w->store,
        .se = w->se,
        .fqdn = BST_VIEW("mef.acme.example.com"),
        .self = {BST_VIEW("acme.example.com"), BST_VIEW("id-in")}};
    assert_ok(bst_mef_new(&config, &w->mef));
}

static inline void mef_world_close(struct mef_world *w)
{
    bst_mef_free(&w->mef);
    bst_store_close(&w->store);
}

static inline int mef_world_set_up(void **state)
{
    struct mef_world *w = bst_alloc(sizeof *w);
    assert_non_null(w);
    assert_true(scratch_make(&w->scratch));
    test_host_init(&w->host);
    assert_ok(bst_se_open(&w->host.host, mef_world_uri, &w->se));
    sem_init(&w->answered, 0, 0);
    bst_arena_init(&w->arena, 0);
    memset(w->export48, 0x5a, sizeof w->export48);
    memset(w->export48, 0xab, 16);
    bst_clock_fake_us(MEF_NOW);
    mef_world_open(w);
    *state = w;
    return 0;
}

static inline int mef_world_tear_down(void **state)
{
    struct mef_world *w = *state;
    mef_world_close(w);
    bst_se_close(&w->se);
    test_host_clear(&w->host);
    scratch_remove(&w->scratch);
    bst_arena_clear(&w->arena);
    sem_destroy(&w->answered);
    bst_clock_fake_us(0);
    bst_free(w);
    return 0;
}

/* A session of the client with that pre-provisioned key. */
static inline struct bst_mef_session mef_session(struct mef_world *w, const char *kpm_id)
{
    struct bst_mef_session session = {.exporter = {w, mef_world_export}};
    assert_ok(bst_mef_session_psk(&session, bst_view(kpm_id)));
    return session;
}

static inline void mef_world_done(struct bst_mef_call *call)
{
    struct mef_world *w = call->user;
    sem_post(&w->answered);
}

/* One request, answered; the status code. */
static inline int mef_ask(struct mef_world *w, struct bst_mef_session *session, enum bst_m2m_op op,
                          const char *from, const char *to, int ty, const char *content)
{
    bst_arena_reset(&w->arena);
    w->pc = NULL;
    w->call = (struct bst_mef_call){
        .arena = &w->arena, .session = session, .done = mef_world_done, .user = w};
    struct bst_m2m_request *req = &w->call.req;
    bst_m2m_request_init(req);
    req->op = op;
    req->fr = bst_view(from);
    req->to = bst_view(to);
    req->ty = ty;
    req->rqi = BST_VIEW("q1");
    if (content) {
        assert_ok(bst_json_parse(&w->arena, bst_view(content), BST_JSON_DEPTH, &req->pc));
    }
    bst_alloc_fail_at(w->fail_at);
    bst_mef_handle(w->mef, &w->call);
    sem_wait(&w->answered);
    bst_alloc_fail_at(0);
    assert_int_equal(session->users, 0);
    if (w->call.rsp.pc.len) {
        assert_ok(bst_json_parse(&w->arena, w->call.rsp.pc, BST_JSON_DEPTH, &w->pc));
    }
    return w->call.rsp.rsc;
}

/* A text of the answer's resource; "" when absent. */
static inline struct bst_view mef_text(struct mef_world *w, const char *root, const char *name)
{
    struct bst_view text = {"", 0};
    assert_ok(bst_json_opt_string(bst_json_get(w->pc, root), name, &text));
    return text;
}

static inline void mef_provision(struct mef_world *w, const char *kpm_id, const char *client,
                                 const char *admins)
{
    bst_auto(secret) kpm = {0};
    assert_ok(bst_secret_init(&kpm, 32));
    const struct bst_mef_client_info info = {.client_id = bst_view(client),
                                             .admins = bst_view(admins)};
    assert_ok(bst_mef_provision_psk(w->mef, bst_view(kpm_id), &kpm, &info));
}
