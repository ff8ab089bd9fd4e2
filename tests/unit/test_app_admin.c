/* app/admin on a stopped server: every command with what it refuses. The running server, its socket
 * and its sessions are covered by the scenario tests. */
#include "support/state_folder.h"
#include "support/test.h"

static void expect_ok(struct state_folder *f, const char *op, const char *args, const char *words)
{
    bst_auto(buf) answer = {0};
    assert_ok(bst_admin_call(&f->options, op, bst_view(args), &answer));
    if (!memmem(answer.ptr, answer.len, words, strlen(words))) {
        fail_msg("%s: '%.*s' has not '%s'", op, (int)answer.len, answer.ptr, words);
    }
}

static void expect_err(struct state_folder *f, const char *op, const char *args,
                       enum bst_error code)
{
    bst_auto(buf) answer = {0};
    bst_result r = bst_admin_call(&f->options, op, bst_view(args), &answer);
    if (r.code != code) {
        fail_msg("%s %s: %s instead of %s: %s", op, args, bst_error_name(r.code),
                 bst_error_name(code), bst_error_detail());
    }
}

static void malformed_commands_are_refused(void **state)
{
    struct state_folder *f = *state;
    expect_err(f, "nonsense", "{}", BST_E_NOT_FOUND);
    expect_err(f, "status", "{", BST_E_SYNTAX);
    expect_err(f, "status", "{\"a\":1,\"a\":2}", BST_E_SYNTAX);
    expect_err(f, "status", "[[[[[[[[[[[]]]]]]]]]]]", BST_E_TOO_DEEP);
    expect_err(f, "revoke", "{}", BST_E_SYNTAX);
    expect_err(f, "revoke", "{\"credential\":7}", BST_E_VALUE);
    expect_ok(f, "status", "", "\"running\":false");
}

static void decisions_are_explained(void **state)
{
    struct state_folder *f = *state;
    expect_ok(f, "explain", "{\"as\":\"CAdmin\",\"op\":\"retrieve\",\"target\":\"cse-in\"}",
              "\"permitted\":true");
    expect_ok(f, "explain", "{\"as\":\"CEve\",\"op\":\"delete\",\"target\":\"cse-in\"}",
              "\"permitted\":false");
    expect_err(f, "explain", "{\"as\":\"CEve\",\"op\":\"destroy\",\"target\":\"cse-in\"}",
               BST_E_VALUE);
    expect_err(f, "explain", "{\"as\":\"CEve\",\"op\":\"retrieve\",\"target\":\"cse-in/no\"}",
               BST_E_NOT_FOUND);
    expect_err(f, "explain",
               "{\"as\":\"CEve\",\"op\":\"retrieve\",\"target\":\"cse-in\",\"at\":\"tomorrow\"}",
               BST_E_SYNTAX);
}

static void credentials_are_revoked_and_restored(void **state)
{
    struct state_folder *f = *state;
    expect_ok(f, "revoke", "{\"credential\":\"12-k@mef.example.com\"}", "revoked");
    expect_ok(f, "unrevoke", "{\"credential\":\"12-k@mef.example.com\"}", "restored");
    expect_err(f, "revoke", "{\"credential\":\"k@mef.example.com\"}", BST_E_VALUE);
}

static void keys_for_associations_are_provisioned_once(void **state)
{
    struct state_folder *f = *state;
    expect_ok(f, "kpsa-add",
              "{\"id\":\"m7@acme.example.com\",\"key\":"
              "\"00112233445566778899aabbccddeeff\"}",
              "m7@");
    expect_err(f, "kpsa-add",
               "{\"id\":\"m7@acme.example.com\",\"key\":"
               "\"00112233445566778899aabbccddeeff\"}",
               BST_E_EXISTS);
    expect_err(f, "kpsa-add", "{\"id\":\"m8@acme.example.com\",\"key\":\"0011\"}", BST_E_VALUE);
    expect_err(f, "kpsa-add",
               "{\"id\":\"m8@acme.example.com\",\"key\":"
               "\"zz112233445566778899aabbccddeeff\"}",
               BST_E_VALUE);
    expect_err(f, "kpsa-add", "{\"id\":\"no-domain\",\"key\":\"00112233445566778899aabbccddeeff\"}",
               BST_E_SYNTAX);
}

static void mef_clients_come_and_go(void **state)
{
    struct state_folder *f = *state;
    static const char provision[] =
        "{\"id\":\"t@mef.acme.example.com\",\"client\":\"//acme.example.com/id-in/Ct\",\"key\":"
        "\"00112233445566778899aabbccddeeff\"}";
    expect_ok(f, "mef-provision", provision, "mef.acme.example.com");
    expect_err(f, "mef-provision", provision, BST_E_EXISTS);
    expect_ok(f, "mef-clients", "{}", "10-t@mef.acme.example.com");
    expect_ok(f, "mef-keys", "{}", "\"keys\":[]");
    expect_ok(f, "mef-revoke", "{\"credential\":\"10-t@mef.acme.example.com\"}", "\"keys\":0");
    expect_ok(f, "mef-clients", "{}", "\"revoked\":true");
    expect_err(f, "mef-revoke", "{\"credential\":\"10-u@mef.acme.example.com\"}", BST_E_NOT_FOUND);
}

static void certificates_are_made_for_a_public_key_only(void **state)
{
    struct state_folder *f = *state;
    expect_ok(f, "certificates", "{}", "id-in.acme.example.com");
    expect_err(f, "certify", "{\"name\":\"//acme.example.com/id-in/Cx\",\"spki\":\"AAAA\"}",
               BST_E_BAD_KEY);
    expect_err(f, "certify",
               "{\"name\":\"//acme.example.com/id-in/Cx\",\"spki\":\"AAAA\",\"flavour\":\"dog\"}",
               BST_E_VALUE);
    expect_err(f, "certify",
               "{\"name\":\"//acme.example.com/id-in/"
               "Cx\",\"spki\":\"AAAA\",\"until\":\"20200101T000000\"}",
               BST_E_VALUE);
    expect_err(f, "revoke-certificate", "{\"which\":\"nobody\"}", BST_E_NOT_FOUND);
}

static void stores_are_checked(void **state)
{
    expect_ok(*state, "check", "{\"full\":true}", "\"mef\":\"whole\"");
}

static void changes_are_on_the_audit_trail(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) trail = {0};
    char path[512];
    expect_ok(f, "revoke",
              "{\"credential\":\"12-k@mef.example.com\",\"reason\":\"lost in the field\"}",
              "revoked");
    assert_ok(
        bst_file_read(state_folder_path(f, "s/audit/audit-000001.jsonl", path), 1 << 20, &trail));
    assert_non_null(memmem(trail.ptr, trail.len, "credential.revoked", 18));
    assert_non_null(memmem(trail.ptr, trail.len, "lost in the field", 17));
}

#define MADE(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, state_folder_setup_made, state_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(malformed_commands_are_refused),
        MADE(decisions_are_explained),
        MADE(credentials_are_revoked_and_restored),
        MADE(keys_for_associations_are_provisioned_once),
        MADE(mef_clients_come_and_go),
        MADE(certificates_are_made_for_a_public_key_only),
        MADE(stores_are_checked),
        MADE(changes_are_on_the_audit_trail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
