/* app/server_session: what a credential stands for is durable, follows registrations on live
 * sessions, and ends with a revocation. */
#include "support/state_folder.h"
#include "support/test.h"

#include "app/server_priv.h"
#include "store/resource.h"

struct world {
    struct state_folder *folder;
    struct bst_config config;
    struct bst_server server;
    struct server_worker worker;
    struct server_front front;
    struct bst_tls_peer tls;
    struct bst_net_peer peer;
};

static void world_open(struct world *w)
{
    static struct bst_state state;
    char path[512];
    memset(&w->server, 0, sizeof w->server);
    assert_ok(bst_store_open(
        &(struct bst_store_config){.path = state_folder_path(w->folder, "cse.db", path),
                                   .schema = &bst_resource_schema},
        &w->server.store));
    w->server.state = &state;
    assert_ok(bst_config_init(&w->config));
    w->server.config = &w->config;
    w->server.self = (struct bst_self){BST_VIEW("acme.example.com"), BST_VIEW("id-in")};
    w->worker = (struct server_worker){.server = &w->server};
    assert_ok(bst_store_reader(w->server.store, &w->worker.reader));
    w->front = (struct server_front){.worker = &w->worker, .kind = FRONT_CSE};
    w->tls =
        (struct bst_tls_peer){.kind = BST_TLS_AUTH_PSK, .identity = BST_VIEW("k1@mef.example.com")};
    w->peer = (struct bst_net_peer){.address = BST_VIEW("192.0.2.1:7"), .tls = &w->tls};
}

static void world_close(struct world *w)
{
    bst_store_reader_close(&w->worker.reader);
    bst_store_close(&w->server.store);
    bst_config_clear(&w->config);
}

static int world_setup(void **state)
{
    void *folder = NULL;
    if (state_folder_setup(&folder) != 0) {
        return -1;
    }
    struct world *w = calloc(1, sizeof *w);
    w->folder = folder;
    *state = w;
    world_open(w);
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    void *folder = w->folder;
    world_close(w);
    free(w);
    return state_folder_teardown(&folder);
}

struct change {
    struct world *w;
    const struct bst_association *assoc;
    const char *stem;
    bool undo;
    bool fail;
};

static bst_result change_run(struct bst_store_conn *conn, void *arg)
{
    struct change *c = arg;
    BST_TRY(c->undo ? server_unbind(&c->w->server, conn, bst_view(c->stem))
                    : server_bind(&c->w->server, conn, c->assoc, bst_view(c->stem)));
    return c->fail ? bst_error(BST_E_CONFLICT) : BST_OK;
}

/* As the CSE does it: the change, its commit, then the one notice. */
static void change(struct world *w, struct change c)
{
    c.w = w;
    assert_ok(bst_store_run(w->server.store, change_run, &c));
    server_bindings_changed(&w->server);
}

static struct bst_association *begin(struct world *w)
{
    assert_ok(server_session_begin(&w->front, &w->peer));
    return ((struct server_session *)w->peer.association)->assoc;
}

static void end(struct world *w)
{
    server_session_end(&w->peer);
    assert_null(w->peer.association);
}

static void a_credential_stands_for_the_ae_it_registered_after_a_restart(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    assert_int_equal(assoc->role, BST_ROLE_UNBOUND);
    assert_true(assoc->proved);
    assert_ok(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}));
    end(w);
    world_close(w);
    world_open(w);
    assoc = begin(w);
    assert_int_equal(assoc->role, BST_ROLE_AE);
    assert_true(bst_association_allows_ae(assoc, BST_VIEW("//acme.example.com/id-in/Cthermo")));
    assert_false(bst_association_allows_ae(assoc, BST_VIEW("//acme.example.com/id-in/Cpump")));
    end(w);
    w->tls.identity = BST_VIEW("k2@mef.example.com");
    assoc = begin(w);
    assert_int_equal(assoc->role, BST_ROLE_UNBOUND);
    end(w);
}

static void a_registration_that_failed_binds_nothing(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    assert_err(bst_store_run(w->server.store, change_run,
                             &(struct change){w, assoc, "Cthermo", .fail = true}),
               BST_E_CONFLICT);
    end(w);
    assert_int_equal(begin(w)->role, BST_ROLE_UNBOUND);
    end(w);
}

static void live_sessions_follow_registrations_and_their_end(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    struct server_session *session = w->peer.association;
    session->in_work = 1;
    change(w, (struct change){.assoc = assoc, .stem = "Cthermo"});
    assoc = server_session_association(&w->front, session);
    assert_true(bst_association_allows_ae(assoc, BST_VIEW("//acme.example.com/id-in/Cthermo")));
    change(w, (struct change){.assoc = assoc, .stem = "Cthermo", .undo = true});
    assoc = server_session_association(&w->front, session);
    assert_false(bst_association_allows_ae(assoc, BST_VIEW("//acme.example.com/id-in/Cthermo")));
    end(w);
}

/* A look before the notice may show what was before; it must not be taken for the new state. */
static void a_session_that_looked_before_the_notice_looks_again_after_it(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    struct server_session *session = w->peer.association;
    assert_ok(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}));
    assert_ptr_equal(server_session_association(&w->front, session), assoc);
    server_bindings_changed(&w->server);
    assoc = server_session_association(&w->front, session);
    assert_true(bst_association_allows_ae(assoc, BST_VIEW("//acme.example.com/id-in/Cthermo")));
    end(w);
}

static void a_pipelining_peer_cannot_keep_what_no_longer_holds(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    struct server_session *session = w->peer.association;
    change(w, (struct change){.assoc = assoc, .stem = "Cthermo"});
    session->in_work = 2; /* never idle */
    assoc = server_session_association(&w->front, session);
    for (int i = 0; i < 20; i++) {
        server_bindings_changed(&w->server);
        struct bst_association *now = server_session_association(&w->front, session);
        assert_true(i >= SESSION_RETIRED_MAX ? now == NULL || now != assoc : true);
    }
    end(w);
}

static void identities_from_a_certificate_are_not_recorded(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    struct bst_arena arena;
    struct bst_view identity;
    assoc->assigned = true;
    assert_ok(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}));
    assoc->assigned = false;
    bst_arena_init(&arena, 0);
    assert_ok(server_psk_of_ae(w->worker.reader, BST_VIEW("Cthermo"), &arena, &identity));
    assert_int_equal(identity.len, 0);
    assert_ok(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}));
    assert_ok(server_psk_of_ae(w->worker.reader, BST_VIEW("Cthermo"), &arena, &identity));
    assert_true(bst_view_is(identity, "k1@mef.example.com"));
    bst_arena_clear(&arena);
    end(w);
}

static void a_credential_registers_one_ae_and_takes_nobody_elses(void **state)
{
    struct world *w = *state;
    struct bst_association *assoc = begin(w);
    assert_err(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "CAdmin"}),
               BST_E_NOT_AUTHENTICATED);
    assert_ok(server_certified(&w->server, BST_VIEW("//acme.example.com/id-in/Cpump")));
    assert_err(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cpump"}),
               BST_E_NOT_AUTHENTICATED);
    assert_ok(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}));
    assert_err(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Csecond"}),
               BST_E_NOT_AUTHENTICATED);
    end(w);
    w->tls.identity = BST_VIEW("k2@mef.example.com");
    assoc = begin(w);
    assert_err(bst_store_run(w->server.store, change_run, &(struct change){w, assoc, "Cthermo"}),
               BST_E_NOT_AUTHENTICATED);
    end(w);
}

static void a_revoked_credential_gets_no_session(void **state)
{
    struct world *w = *state;
    assert_ok(server_revoke(&w->server, BST_VIEW("12-k1@mef.example.com"), BST_VIEW("lost")));
    assert_err(server_session_begin(&w->front, &w->peer), BST_E_REVOKED);
    assert_null(w->peer.association);
    w->tls.identity = BST_VIEW("k2@mef.example.com");
    begin(w);
    end(w);
    w->tls.identity = BST_VIEW("k1@mef.example.com");
    assert_ok(server_unrevoke(&w->server, BST_VIEW("12-k1@mef.example.com")));
    begin(w);
    end(w);
}

static void an_unusable_identity_gets_no_session(void **state)
{
    struct world *w = *state;
    w->tls.identity = BST_VIEW("no-domain");
    assert_true(bst_failed(server_session_begin(&w->front, &w->peer)));
    w->tls.identity = BST_VIEW("");
    assert_true(bst_failed(server_session_begin(&w->front, &w->peer)));
}

static void a_laboratory_proves_nothing(void **state)
{
    struct world *w = *state;
    w->front.kind = FRONT_LAB;
    w->peer.tls = NULL;
    struct bst_association *assoc = begin(w);
    assert_int_equal(assoc->kind, BST_ASSOC_LAB);
    assert_false(assoc->proved);
    end(w);
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_credential_stands_for_the_ae_it_registered_after_a_restart),
        WORLD(a_registration_that_failed_binds_nothing),
        WORLD(live_sessions_follow_registrations_and_their_end),
        WORLD(a_session_that_looked_before_the_notice_looks_again_after_it),
        WORLD(a_pipelining_peer_cannot_keep_what_no_longer_holds),
        WORLD(identities_from_a_certificate_are_not_recorded),
        WORLD(a_credential_registers_one_ae_and_takes_nobody_elses),
        WORLD(a_revoked_credential_gets_no_session),
        WORLD(an_unusable_identity_gets_no_session),
        WORLD(a_laboratory_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
