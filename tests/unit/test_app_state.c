/* app/state, app/init, app/issued, app/profile: folders that survive, are refused, and are locked.
 */
#include "support/state_folder.h"
#include "support/test.h"

#include "app/issued.h"
#include "app/profile.h"
#include "tls/tls.h"

static void init_makes_what_a_server_needs(void **state)
{
    struct state_folder *f = *state;
    static const char *const made[] = {"s/state.json",     "s/bastide.yaml", "s/pki/ca.crt",
                                       "s/pki/ca.crl",     "s/pki/cse.pem",  "s/pki/mef.pem",
                                       "s/store/id.key",   "s/audit.pub",    "s/admin/profile.json",
                                       "s/admin/cert.pem", "s/se/state.key"};
    char path[512];
    assert_false(bst_state_exists(f->state));
    assert_ok(bst_state_init(&f->options, NULL));
    assert_true(bst_state_exists(f->state));
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        if (!bst_file_exists(state_folder_path(f, made[i], path))) {
            fail_msg("%s is missing", path);
        }
    }
    unsigned mode;
    assert_ok(bst_file_mode(state_folder_path(f, "s/se/state.key", path), &mode));
    assert_int_equal(mode & 077, 0);
}

static void init_overwrites_nothing(void **state)
{
    struct state_folder *f = *state;
    assert_err(bst_state_init(&f->options, NULL), BST_E_EXISTS);
}

static void an_init_that_did_not_finish_is_told(void **state)
{
    struct state_folder *f = *state;
    char path[512];
    assert_ok(bst_file_remove(state_folder_path(f, "s/state.json", path)));
    assert_err(bst_state_init(&f->options, NULL), BST_E_EXISTS);
    assert_non_null(strstr(bst_error_detail(), "did not finish"));
    struct bst_state *opened = NULL;
    assert_err(bst_state_open(&f->options, &opened), BST_E_NOT_FOUND);
}

static void a_folder_serves_one_at_a_time(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *first = NULL, *second = NULL;
    assert_ok(bst_state_open(&f->options, &first));
    assert_err(bst_state_open(&f->options, &second), BST_E_LOCKED);
    assert_null(second);
    bst_state_close(&first);
    assert_ok(bst_state_open(&f->options, &second));
    bst_state_close(&second);
}

static void a_wrong_configuration_keeps_a_folder_closed(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    char path[512];
    assert_ok(bst_file_write_atomic(state_folder_path(f, "s/bastide.yaml", path),
                                    BST_VIEW("wrokers: 1\n"), 0600));
    assert_err(bst_state_open(&f->options, &opened), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "bastide.yaml:1:1"));
    /* and the lock is free again */
    assert_ok(bst_file_write_atomic(path, BST_VIEW("workers: 1\n"), 0600));
    assert_ok(bst_state_open(&f->options, &opened));
    bst_state_close(&opened);
}

static void the_audit_trail_is_signed_and_verified(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_audit_report report;
    assert_ok(bst_state_open(&f->options, &opened));
    struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("done")};
    assert_ok(bst_audit_write(opened->audit, &e));
    bst_state_close(&opened);
    assert_ok(bst_state_verify_audit(&f->options, &report));
    assert_string_equal(report.reason, "");
    assert_int_equal(report.checkpoints, 1);
    assert_int_equal(report.last, 3);
}

static void a_changed_audit_record_is_named(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_audit_report report;
    bst_auto(buf) trail = {0};
    char path[512];
    assert_ok(bst_state_open(&f->options, &opened));
    struct bst_audit_event e = {.event = "test.event", .decision = BST_VIEW("done")};
    assert_ok(bst_audit_write(opened->audit, &e));
    bst_state_close(&opened);
    assert_ok(
        bst_file_read(state_folder_path(f, "s/audit/audit-000001.jsonl", path), 1 << 20, &trail));
    char *at = memmem(trail.ptr, trail.len, "done", 4);
    assert_non_null(at);
    memcpy(at, "gone", 4);
    assert_ok(bst_file_write_atomic(path, bst_buf_view(&trail), 0600));
    assert_ok(bst_state_verify_audit(&f->options, &report));
    assert_int_equal(report.bad_entry, 3);
}

static void the_administrator_has_a_usable_profile(void **state)
{
    struct state_folder *f = *state;
    bst_auto(profile) profile = {0};
    struct bst_se *se = NULL;
    struct bst_tls_client *client = NULL;
    char path[512];
    assert_ok(bst_profile_load(state_folder_path(f, "s/admin", path), &profile));
    assert_int_equal(profile.kind, BST_PROFILE_CERT);
    assert_string_equal(profile.originator, "CAdmin");
    assert_string_equal(profile.cse_fqdn, "id-in.acme.example.com");
    assert_ok(bst_profile_se(&profile, &se));
    assert_ok(bst_profile_tls(&profile, se, BST_PROFILE_CSE, &client));
    assert_non_null(client);
    bst_tls_client_free(&client);
    bst_se_close(&se);
}

static void profiles_are_written_and_read_again(void **state)
{
    struct state_folder *f = *state;
    bst_auto(profile) profile = {0};
    bst_auto(profile) again = {0};
    char path[512];
    assert_ok(bst_profile_init(&profile, state_folder_path(f, "p", path)));
    profile.kind = BST_PROFILE_PSK;
    assert_ok(bst_profile_set(&profile.cse_psk, BST_VIEW("a\"b@mef.example")));
    assert_ok(bst_profile_save(&profile));
    assert_ok(bst_profile_load(path, &again));
    assert_int_equal(again.kind, BST_PROFILE_PSK);
    assert_string_equal(again.cse_psk, "a\"b@mef.example");
    assert_string_equal(again.originator, "");
}

static void broken_profiles_are_refused(void **state)
{
    struct state_folder *f = *state;
    static const char *const broken[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"kind\":1}",
                                         "{\"kind\":\"some\"}",
                                         "{\"kind\":\"psk\",\"cse_id\":7}",
                                         "{\"kind\":\"psk\",\"kind\":\"psk\"}"};
    bst_auto(profile) profile = {0};
    char folder[512], path[512];
    assert_ok(bst_dir_make(state_folder_path(f, "p", folder), 0700));
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_ok(bst_file_write_atomic(state_folder_path(f, "p/profile.json", path),
                                        bst_view(broken[i]), 0600));
        assert_true(bst_failed(bst_profile_load(folder, &profile)));
        assert_null(profile.folder);
    }
    assert_err(bst_profile_load("/nonexistent", &profile), BST_E_NOT_FOUND);
}

static void issued_certificates_are_found_by_name_and_revoked(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_pki *pki = NULL;
    struct bst_issued *items = NULL;
    size_t n, revoked;
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(bst_ca_open(opened, &pki));
    assert_ok(bst_ca_list(opened, &items, &n));
    assert_int_equal(n, 3); /* CSE, MEF, administrator */
    assert_string_equal(items[0].name, "id-in.acme.example.com");
    bst_free(items);
    assert_err(bst_ca_revoke(opened, pki, BST_VIEW("nobody"), 0, &revoked), BST_E_NOT_FOUND);
    assert_ok(bst_ca_revoke(opened, pki, BST_VIEW("//acme.example.com/id-in/CAdmin"), 1, &revoked));
    assert_int_equal(revoked, 1);
    assert_ok(bst_ca_revoke(opened, pki, BST_VIEW("//acme.example.com/id-in/CAdmin"), 1, &revoked));
    assert_int_equal(revoked, 0);
    assert_ok(bst_ca_list(opened, &items, &n));
    assert_true(items[2].revoked_us > 0);
    assert_int_equal(items[0].revoked_us, 0);
    bst_free(items);
    bst_pki_close(&pki);
    bst_state_close(&opened);
}

static void a_damaged_record_of_issued_certificates_is_told(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_issued *items = NULL;
    size_t n;
    char path[512];
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(bst_file_write_atomic(state_folder_path(f, "s/pki/issued.jsonl", path),
                                    BST_VIEW("{\"serial\":1}\n"), 0600));
    assert_err(bst_ca_list(opened, &items, &n), BST_E_CORRUPT);
    bst_state_close(&opened);
}

static void init_fails_cleanly_wherever_a_write_fails(void **state)
{
    struct state_folder *f = *state;
    for (long n = 1; n < 400; n++) {
        bst_file_fail_at(n);
        bst_result r = bst_state_init(&f->options, NULL);
        bst_file_fail_at(0);
        if (!bst_failed(r)) {
            assert_true(n > 10);
            return;
        }
        if (bst_state_exists(f->state)) {
            /* The marker came last: what has it is whole, even if its durability is not known. */
            struct bst_state *opened = NULL;
            assert_ok(bst_state_open(&f->options, &opened));
            bst_state_close(&opened);
        }
        assert_ok(bst_snapshot_remove(f->state));
    }
    fail_msg("it never succeeded");
}

#define EMPTY(name) cmocka_unit_test_setup_teardown(name, state_folder_setup, state_folder_teardown)
#define MADE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, state_folder_setup_made, state_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(init_makes_what_a_server_needs),
        MADE(init_overwrites_nothing),
        MADE(an_init_that_did_not_finish_is_told),
        MADE(a_folder_serves_one_at_a_time),
        MADE(a_wrong_configuration_keeps_a_folder_closed),
        MADE(the_audit_trail_is_signed_and_verified),
        MADE(a_changed_audit_record_is_named),
        MADE(the_administrator_has_a_usable_profile),
        EMPTY(profiles_are_written_and_read_again),
        EMPTY(broken_profiles_are_refused),
        MADE(issued_certificates_are_found_by_name_and_revoked),
        MADE(a_damaged_record_of_issued_certificates_is_told),
        EMPTY(init_fails_cleanly_wherever_a_write_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
