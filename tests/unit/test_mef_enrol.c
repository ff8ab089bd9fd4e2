/* mef and sec/enrol together, through the HTTP binding both ways: a device leaves a key, a CSE
 * fetches it. */
#include "support/mef_world.h"

#include "bind/http/http_binding.h"
#include "sec/enrol/mef_client.h"

#define S1 "//acme.example.com/S1"
#define CSE "//acme.example.com/id-in"
#define ADMIN "admin.acme.example.com"
#define K1 "k1@mef.acme.example.com"
#define KC "kcse@mef.acme.example.com"
#define YEAR (INT64_C(365) * 86400 * BST_US_PER_S)

struct party {
    struct mef_world *w;
    struct bst_mef_client *client;
    struct bst_mef_session session;
    struct bst_arena arena;
    struct bst_mef_outcome out;
};

static struct party party_new(struct mef_world *w, const char *kpm_id, const char *id)
{
    struct party p = {.w = w, .session = mef_session(w, kpm_id)};
    const struct bst_mef_client_config config = {
        .self = {BST_VIEW("acme.example.com"), BST_VIEW("id-in")},
        .client_id = bst_view(id),
        .mef_fqdn = BST_VIEW("mef.acme.example.com"),
        .admin_fqdn = BST_VIEW(ADMIN)};
    bst_arena_init(&p.arena, 0);
    assert_ok(bst_mef_client_new(&config, &p.client));
    return p;
}

static void party_clear(struct party *p)
{
    bst_mef_outcome_clear(&p->out);
    bst_mef_client_free(&p->client);
    bst_arena_clear(&p->arena);
}
#define PARTY __attribute__((cleanup(party_clear))) struct party

/* Over the wire, to the MEF and back. */
static bst_result exchange(struct party *p, const struct bst_m2m_request *req)
{
    struct mef_world *w = p->w;
    struct bst_http_msg there, back;
    struct bst_m2m_response rsp = {0};
    bst_arena_reset(&w->arena);
    assert_ok(bst_http_from_request(req, &w->arena, &there));
    w->call = (struct bst_mef_call){
        .arena = &w->arena, .session = &p->session, .done = mef_world_done, .user = w};
    assert_ok(bst_http_to_request(&there, MEF_NOW, &w->arena, &w->call.req));
    bst_mef_handle(w->mef, &w->call);
    sem_wait(&w->answered);
    assert_ok(bst_http_from_response(&w->call.rsp, BST_FORMAT_JSON, &w->arena, &back));
    assert_ok(bst_http_to_response(&back, &w->arena, &rsp));
    return bst_mef_client_take(p->client, &rsp, MEF_NOW, &p->arena, &p->out);
}

static void a_device_enrols_and_the_cse_fetches_its_key(void **state)
{
    struct mef_world *w = *state;
    mef_provision(w, K1, "S1", ADMIN);
    mef_provision(w, KC, "/id-in", ADMIN);
    PARTY device = party_new(w, K1, S1);
    PARTY cse = party_new(w, KC, CSE);
    struct bst_m2m_request req;
    assert_ok(bst_mef_client_register(device.client, MEF_NOW + YEAR, NULL, &device.arena, &req));
    assert_ok(exchange(&device, &req));

    const struct bst_view target = BST_VIEW(CSE);
    const struct bst_mef_key_wish wish = {
        .suid = 22, .targets = &target, .n_targets = 1, .expires_us = MEF_NOW + YEAR / 2};
    assert_ok(bst_mef_client_key_register(device.client, &wish, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_true(device.out.from_exporter);
    assert_string_equal(device.out.key_id, "ABABABABABABABABABABABABABABABAB@mef.acme.example.com");

    struct bst_view relative, fqdn;
    assert_ok(bst_relative_id_split(bst_view(device.out.key_id), &relative, &fqdn));
    assert_ok(bst_mef_client_key_retrieve(cse.client, relative, 22, &cse.arena, &req));
    assert_ok(exchange(&cse, &req));
    assert_int_equal(cse.out.value.len, 32);
    assert_memory_equal(cse.out.value.ptr, w->export48 + 16, 32);
    assert_true(bst_view_is(cse.out.source_id, S1));
    assert_true(cse.out.expires_us == device.out.expires_us);
}

static void refusals_reach_the_client_with_their_code(void **state)
{
    struct mef_world *w = *state;
    mef_provision(w, K1, "S1", ADMIN);
    mef_provision(w, KC, "/id-in", "other.example.com");
    PARTY device = party_new(w, K1, S1);
    PARTY cse = party_new(w, KC, CSE);
    struct bst_m2m_request req;
    assert_ok(bst_mef_client_register(cse.client, MEF_NOW + YEAR, NULL, &cse.arena, &req));
    assert_err(exchange(&cse, &req), BST_E_DENIED);
    assert_ok(bst_mef_client_register(device.client, MEF_NOW + YEAR, NULL, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_ok(bst_mef_client_register(device.client, MEF_NOW + YEAR, NULL, &device.arena, &req));
    assert_err(exchange(&device, &req), BST_E_ALREADY_REGISTERED);
    assert_ok(bst_mef_client_key_retrieve(cse.client, BST_VIEW("00112233445566778899AABBCCDDEEFF"),
                                          22, &cse.arena, &req));
    assert_err(exchange(&cse, &req), BST_E_NOT_FOUND);
    PARTY liar = party_new(w, KC, S1);
    assert_ok(bst_mef_client_register(liar.client, MEF_NOW + YEAR, NULL, &liar.arena, &req));
    assert_err(exchange(&liar, &req), BST_E_DENIED);
}

static void a_registration_is_kept_up_and_ended(void **state)
{
    struct mef_world *w = *state;
    mef_provision(w, K1, "S1", ADMIN);
    PARTY device = party_new(w, K1, S1);
    struct bst_m2m_request req;
    struct bst_view labels[] = {BST_VIEW("site:7"), BST_VIEW("\"quoted\"")};
    const struct bst_m2m_views list = {labels, 2};
    assert_ok(bst_mef_client_register(device.client, MEF_NOW + YEAR, &list, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_ok(bst_mef_client_update(device.client, MEF_NOW + YEAR / 4, NULL, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_true(device.out.expires_us == MEF_NOW + YEAR / 4);
    assert_ok(bst_mef_client_configuration(device.client, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_true(device.out.expires_us == MEF_NOW + YEAR / 4);
    assert_ok(bst_mef_client_deregister(device.client, &device.arena, &req));
    assert_ok(exchange(&device, &req));
    assert_int_equal(bst_mef_client_reg_id(device.client).len, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, mef_world_set_up, mef_world_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_device_enrols_and_the_cse_fetches_its_key),
        CASE(refusals_reach_the_client_with_their_code),
        CASE(a_registration_is_kept_up_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
