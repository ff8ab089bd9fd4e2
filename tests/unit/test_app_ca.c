/* app/ca_keys, app/ca_rotate, app/admin_ca, app/server_ca on a stopped server: the project CA goes
 * over to a new key. The running server is covered by the scenario tests. */
#include "support/state_folder.h"
#include "support/test.h"

#include "app/ca_rotate.h"
#include "app/profile.h"
#include "sys/clock.h"

#define AUTO_TRUST __attribute__((cleanup(bst_trust_drop))) struct bst_trust

static void call(struct state_folder *f, const char *op, const char *args, struct bst_buf *ret)
{
    assert_ok(bst_admin_call(&f->options, op, bst_view(args), ret));
    bst_buf_addc(ret, '\0');
    assert_ok(bst_buf_check(ret));
}

static void expect_words(struct state_folder *f, const char *op, const char *args,
                         const char *words)
{
    bst_auto(buf) answer = {0};
    call(f, op, args, &answer);
    if (!strstr(answer.ptr, words)) {
        fail_msg("%s: '%s' has not '%s'", op, answer.ptr, words);
    }
}

static void expect_err(struct state_folder *f, const char *op, const char *args,
                       enum bst_error code)
{
    bst_auto(buf) answer = {0};
    assert_err(bst_admin_call(&f->options, op, bst_view(args), &answer), code);
}

/* Appended. */
static void add_file(struct state_folder *f, const char *name, struct bst_buf *ret)
{
    char path[512];
    bst_auto(buf) text = {0};
    assert_ok(bst_file_read(state_folder_path(f, name, path), 1 << 20, &text));
    bst_buf_addv(ret, bst_buf_view(&text));
    assert_ok(bst_buf_check(ret));
}

static void read_file(struct state_folder *f, const char *name, struct bst_buf *ret)
{
    char below[256];
    snprintf(below, sizeof below, "s/%s", name);
    ret->len = 0;
    add_file(f, below, ret);
}

/* A device's certificate, with what it sends behind it. */
static void certify(struct state_folder *f, const char *name, struct bst_buf *ret)
{
    struct evp_pkey_st *key = NULL;
    struct bst_state *state = NULL;
    struct bst_pki *pki = NULL;
    bst_auto(buf) spki = {0};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &key));
    assert_ok(bst_pkey_spki(key, &spki));
    assert_ok(bst_state_open(&f->options, &state));
    assert_ok(bst_ca_open(state, &pki));
    const struct bst_ca_order order = {.flavour = BST_CERT_AE,
                                       .name = bst_view(name),
                                       .role = BST_CERT_ANY_ROLE,
                                       .lifetime_us = INT64_C(86400000000)};
    assert_ok(bst_ca_issue(state, pki, &order, bst_buf_view(&spki), ret));
    bst_pki_close(&pki);
    bst_state_close(&state);
    bst_pkey_free(&key);
}

/* How somebody judges who trusts the certificates of `roots`. */
static bst_result judge(const struct bst_buf *roots, const struct bst_buf *sent)
{
    bst_auto_cert *leaf = NULL;
    AUTO_TRUST *trust = NULL;
    assert_ok(bst_cert_load(bst_buf_view(sent), &leaf));
    assert_ok(bst_trust_new(BST_CRL_OFF, &trust));
    assert_ok(bst_trust_add_anchors(trust, bst_buf_view(roots)));
    assert_ok(bst_trust_add_intermediates(trust, bst_buf_view(sent)));
    return bst_trust_verify(trust, leaf, NULL, BST_CERT_ANY_ROLE, bst_wall_us());
}

static void expect_own_trusted(struct state_folder *f, const struct bst_buf *roots)
{
    static const char *const files[] = {"pki/cse.pem", "pki/mef.pem", "admin/cert.pem"};
    for (size_t i = 0; i < 3; i++) {
        bst_auto(buf) own = {0};
        read_file(f, files[i], &own);
        assert_ok(judge(roots, &own));
    }
}

static size_t count_roots(struct state_folder *f)
{
    bst_auto(buf) roots = {0};
    size_t n = 0;
    read_file(f, BST_CA_FILE, &roots);
    bst_buf_addc(&roots, '\0');
    assert_ok(bst_buf_check(&roots));
    for (const char *at = roots.ptr; (at = strstr(at, "BEGIN CERTIFICATE")) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- cases ---- */

static void both_roots_hold_until_the_former_is_retired(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) old_root = {0}, roots = {0}, admin = {0}, before = {0}, after = {0}, end = {0};
    read_file(f, BST_CA_FILE, &old_root);
    certify(f, "//acme.example.com/id-in/Cold", &before);
    expect_words(f, "ca-rotate", "{}", "\"rotated\":\"pki.ca\",\"kept\":\"pki.ca.1\"");
    certify(f, "//acme.example.com/id-in/Cnew", &after);
    read_file(f, BST_CA_FILE, &roots);
    read_file(f, "admin/ca.pem", &admin);
    assert_true(bst_view_eq(bst_buf_view(&roots), bst_buf_view(&admin)));
    expect_own_trusted(f, &old_root);
    expect_own_trusted(f, &roots);
    assert_ok(judge(&roots, &before));
    assert_ok(judge(&old_root, &after));

    expect_err(f, "ca-retire", "{}", BST_E_CONFLICT);
    assert_non_null(strstr(bst_error_detail(), "1 certificates"));
    expect_words(f, "ca-retire", "{\"sure\":true}", "{\"retired\":1}");
    read_file(f, BST_CA_FILE, &end);
    expect_own_trusted(f, &end);
    assert_ok(judge(&end, &after));
    assert_err(judge(&end, &before), BST_E_BAD_CERT);
    expect_err(f, "ca-retire", "{}", BST_E_NOT_FOUND);
}

static void a_certificate_that_was_issued_anew_does_not_keep_the_former_root(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) before = {0}, after = {0};
    certify(f, "//acme.example.com/id-in/Cold", &before);
    expect_words(f, "ca-rotate", "{}", "rotated");
    certify(f, "//acme.example.com/id-in/Cold", &after);
    expect_words(f, "ca-retire", "{}", "{\"retired\":1}");
}

static void the_new_key_may_be_somewhere_else(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) old_root = {0}, after = {0}, record = {0}, args = {0};
    char path[512];
    read_file(f, BST_CA_FILE, &old_root);
    bst_buf_addf(&args, "{\"to\":\"se:soft?dir=%s&object=root\"}%c",
                 state_folder_path(f, "elsewhere", path), 0);
    assert_ok(bst_buf_check(&args));
    expect_words(f, "ca-rotate", args.ptr, "\"rotated\":\"root\",\"kept\":\"pki.ca.1\"");
    read_file(f, CA_KEYS_FILE, &record);
    assert_non_null(memmem(record.ptr, record.len, "elsewhere", 9));
    certify(f, "//acme.example.com/id-in/Cnew", &after);
    assert_ok(judge(&old_root, &after));
    /* From there on it stays there unless another place is named. */
    expect_words(f, "ca-rotate", "{}", "\"rotated\":\"root\",\"kept\":\"root.1\"");
    expect_words(f, "ca-retire", "{\"sure\":true}", "{\"retired\":2}");
    bst_buf_clear(&after);
    certify(f, "//acme.example.com/id-in/Cnew", &after);
    /* The way back is open: the first key of that label has another one now. */
    expect_words(f, "ca-rotate", "{\"to\":\"state\"}",
                 "\"rotated\":\"pki.ca\",\"kept\":\"root.2\"");
    expect_words(f, "ca-rotate", "{\"to\":\"state\"}",
                 "\"rotated\":\"pki.ca\",\"kept\":\"pki.ca.2\"");
}

static void a_place_that_cannot_be_used_changes_nothing(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) before = {0}, after = {0}, answer = {0};
    read_file(f, BST_CA_FILE, &before);
    expect_err(f, "ca-rotate", "{\"to\":\"none-such:\"}", BST_E_CONFIG);
    assert_true(bst_failed(
        bst_admin_call(&f->options, "ca-rotate",
                       BST_VIEW("{\"to\":\"pkcs11:token=gone?module-path=/no.so\"}"), &answer)));
    expect_err(f, "ca-rotate", "{\"to\":7}", BST_E_VALUE);
    expect_err(f, "ca-rotate", "{\"until\":\"2001-01-01T00:00:00Z\"}", BST_E_VALUE);
    expect_err(f, "ca-rotate", "{\"until\":\"tomorrow\"}", BST_E_SYNTAX);
    read_file(f, BST_CA_FILE, &after);
    assert_true(bst_view_eq(bst_buf_view(&before), bst_buf_view(&after)));
}

/* The process ended when the new root was in place and nothing more was done. */
static void a_rotation_that_was_cut_off_is_ended_by_the_next_call(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_pki *pki = NULL;
    struct bst_ca_rotation rotation;
    bst_auto(buf) old_root = {0}, after = {0};
    read_file(f, BST_CA_FILE, &old_root);
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(bst_ca_open(opened, &pki));
    assert_ok(bst_ca_rotate(opened, &opened->config, NULL, 0, &pki, &rotation));
    assert_false(rotation.resumed);
    bst_ca_rotation_clear(&rotation);
    bst_pki_close(&pki);
    bst_state_close(&opened);

    expect_own_trusted(f, &old_root);
    certify(f, "//acme.example.com/id-in/Cnew", &after);
    assert_ok(judge(&old_root, &after));
    expect_words(f, "ca-rotate", "{}", "\"resumed\":true");
    assert_int_equal(count_roots(f), 2);
    expect_words(f, "ca-retire", "{}", "{\"retired\":1}");
    bst_buf_clear(&old_root);
    read_file(f, BST_CA_FILE, &old_root);
    expect_own_trusted(f, &old_root);
    expect_words(f, "ca-rotate", "{}", "\"resumed\":false");
}

/* The own certificates are of the new root even if that was cut off between the two. */
static void a_retirement_takes_the_own_certificates_along(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_pki *pki = NULL;
    struct bst_ca_rotation rotation;
    bst_auto(buf) roots = {0};
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(bst_ca_open(opened, &pki));
    assert_ok(bst_ca_rotate(opened, &opened->config, NULL, 0, &pki, &rotation));
    bst_ca_rotation_clear(&rotation);
    bst_pki_close(&pki);
    bst_state_close(&opened);
    expect_words(f, "ca-retire", "{\"sure\":true}", "{\"retired\":1}");
    read_file(f, BST_CA_FILE, &roots);
    expect_own_trusted(f, &roots);
}

static void a_former_root_has_an_end(void **state)
{
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct bst_pki *pki = NULL;
    size_t keep;
    int64_t next, now = bst_wall_us();
    expect_words(f, "ca-rotate", "{\"until\":\"2099-01-01T00:00:00Z\"}",
                 "\"until\":\"2099-01-01T00:00:00");
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(bst_ca_open(opened, &pki));
    assert_ok(bst_ca_due(opened, pki, now, &keep, &next));
    assert_int_equal(keep, 1);
    assert_true(next > now);
    assert_ok(bst_ca_due(opened, pki, next - 1, &keep, &next));
    assert_int_equal(keep, 1);
    assert_ok(bst_ca_due(opened, pki, next, &keep, &next));
    assert_int_equal(keep, 0);
    assert_int_equal(next, 0);
    bst_pki_close(&pki);
    bst_state_close(&opened);
}

/* ---- who trusts the CA ---- */

static void read_both(struct state_folder *f, struct bst_buf *ret)
{
    read_file(f, BST_CA_FILE, ret);
    add_file(f, "s/pki/ca.chain", ret);
}

static bst_result learn(struct state_folder *f, const struct bst_buf *pem, size_t *ret_new,
                        size_t *ret_all)
{
    bst_auto(profile) profile = {0};
    char path[512];
    assert_ok(bst_profile_init(&profile, state_folder_path(f, "device", path)));
    return bst_profile_trust(&profile, bst_buf_view(pem), ret_new, ret_all);
}

/* A profile that trusts these. */
static void new_device(struct state_folder *f, const struct bst_buf *roots)
{
    char path[512];
    assert_ok(bst_dir_make(state_folder_path(f, "device", path), 0700));
    assert_ok(bst_file_write_atomic(state_folder_path(f, "device/ca.pem", path),
                                    bst_buf_view(roots), 0644));
}

static void read_trusted(struct state_folder *f, struct bst_buf *ret)
{
    ret->len = 0;
    add_file(f, "device/ca.pem", ret);
}

static void a_profile_learns_the_roots_that_follow_its_own(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) old_root = {0}, both = {0}, trusted = {0}, after = {0}, before = {0};
    size_t n_new, n_all;
    read_file(f, BST_CA_FILE, &old_root);
    certify(f, "//acme.example.com/id-in/Cold", &before);
    new_device(f, &old_root);
    expect_words(f, "ca-rotate", "{}", "rotated");
    expect_words(f, "ca-rotate", "{}", "rotated"); /* the way leads over two */
    read_both(f, &both);
    assert_ok(learn(f, &both, &n_new, &n_all));
    assert_int_equal(n_new, 2);
    assert_int_equal(n_all, 3);
    expect_words(f, "ca-retire", "{\"sure\":true}", "{\"retired\":2}");
    certify(f, "//acme.example.com/id-in/Cnew", &after);
    read_trusted(f, &trusted);
    assert_ok(judge(&trusted, &after));
    assert_ok(judge(&trusted, &before));
    /* What the CA trusts no more is left out when it is told so. */
    read_both(f, &both);
    assert_ok(learn(f, &both, &n_new, &n_all));
    assert_int_equal(n_new, 0);
    assert_int_equal(n_all, 1);
    read_trusted(f, &trusted);
    assert_ok(judge(&trusted, &after));
    assert_err(judge(&trusted, &before), BST_E_BAD_CERT);
}

/* A root of the same name and key as the second certificate that `by` signs, unless that may do
 * less. */
static void forge(struct evp_pkey_st *key, struct evp_pkey_st *by_key, const struct x509_st *by,
                  bool constrained, struct bst_buf *ret)
{
    const struct bst_cert_permit permit = {BST_CERT_CSE, BST_VIEW("acme.example.com")};
    struct bst_cert_spec spec = {.common_name = BST_VIEW("next"),
                                 .ca = true,
                                 .path_len = -1,
                                 .not_before_us = bst_wall_us() - 3600000000,
                                 .not_after_us = bst_wall_us() + 3600000000};
    bst_auto(buf) root = {0}, cross = {0};
    assert_ok(bst_cert_issue(&spec, key, NULL, key, &root));
    spec.permits = &permit;
    spec.n_permits = constrained ? 1 : 0;
    assert_ok(bst_cert_issue(&spec, key, by, by_key, &cross));
    assert_ok(bst_der_to_pem("CERTIFICATE", bst_buf_view(&root), ret));
    assert_ok(bst_der_to_pem("CERTIFICATE", bst_buf_view(&cross), ret));
}

static void a_root_that_nobody_vouches_for_is_not_learned(void **state)
{
    struct state_folder *f = *state;
    struct evp_pkey_st *by_key = NULL, *key = NULL, *stranger = NULL;
    bst_auto(buf) own_der = {0}, own = {0}, trusted = {0};
    bst_auto_cert *by = NULL;
    size_t n_new, n_all;
    const struct bst_cert_spec spec = {.common_name = BST_VIEW("first"),
                                       .ca = true,
                                       .path_len = -1,
                                       .not_before_us = bst_wall_us() - 3600000000,
                                       .not_after_us = bst_wall_us() + 3600000000};
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &by_key));
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &key));
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &stranger));
    assert_ok(bst_cert_issue(&spec, by_key, NULL, by_key, &own_der));
    assert_ok(bst_der_to_pem("CERTIFICATE", bst_buf_view(&own_der), &own));
    assert_ok(bst_cert_load(bst_buf_view(&own), &by));
    new_device(f, &own);
    const struct {
        struct evp_pkey_st *by_key;
        bool constrained;
        enum bst_error outcome;
    } rows[] = {{stranger, false, BST_E_BAD_CERT}, /* not signed by what is trusted */
                {by_key, true, BST_E_BAD_CERT},    /* the root claims more than was granted */
                {by_key, false, BST_E_NONE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bst_auto(buf) pem = {0};
        forge(key, rows[i].by_key, by, rows[i].constrained, &pem);
        assert_int_equal(learn(f, &pem, &n_new, &n_all).code, rows[i].outcome);
        read_trusted(f, &trusted);
        assert_true(bst_view_eq(bst_buf_view(&trusted), bst_buf_view(&own)) ==
                    (rows[i].outcome != BST_E_NONE));
    }
    bst_auto(buf) none = {0};
    bst_buf_adds(&none, "no certificate");
    assert_true(bst_failed(learn(f, &none, &n_new, &n_all)));
    bst_pkey_free(&by_key);
    bst_pkey_free(&key);
    bst_pkey_free(&stranger);
}

/* ---- what is not the CA's ---- */

static void a_foreign_certificate_of_the_server_stays(void **state)
{
    struct state_folder *f = *state;
    bst_auto(buf) root = {0}, own = {0};
    char path[512];
    read_file(f, BST_CA_FILE, &root); /* stands for one of somebody else */
    assert_ok(bst_file_write_atomic(state_folder_path(f, "s/pki/cse.pem", path),
                                    bst_buf_view(&root), 0600));
    expect_words(f, "ca-rotate", "{}", "rotated");
    read_file(f, "pki/cse.pem", &own);
    assert_true(bst_view_eq(bst_buf_view(&root), bst_buf_view(&own)));
}

static void a_damaged_record_of_places_is_told(void **state)
{
    static const char *const broken[] = {
        "",
        "[]",
        "{}",
        "{\"places\":[7],\"former\":[]}",
        "{\"places\":[],\"former\":[{}]}",
        "{\"places\":[],\"former\":[{\"ca\":\"01\"}]}",
        "{\"places\":[\"\",\"\",\"\",\"\",\"\",\"\"],\"former\":[]}"};
    struct state_folder *f = *state;
    struct bst_state *opened = NULL;
    struct ca_record record;
    char path[512];
    assert_ok(bst_state_open(&f->options, &opened));
    assert_ok(ca_record_read(opened, &record));
    assert_int_equal(record.n_places, 0);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_ok(bst_file_write_atomic(state_folder_path(f, "s/" CA_KEYS_FILE, path),
                                        bst_view(broken[i]), 0600));
        assert_err(ca_record_read(opened, &record), BST_E_CORRUPT);
    }
    bst_state_close(&opened);
}

static void the_latest_place_is_asked_first(void **state)
{
    struct ca_record record = {0};
    static const char *const added[] = {"a", "b", "c", "a", "d", "e"};
    for (size_t i = 0; i < 6; i++) {
        assert_ok(ca_record_add_place(&record, added[i]));
    }
    assert_int_equal(record.n_places, CA_PLACES_MAX);
    assert_string_equal(record.places[0], "e");
    assert_string_equal(record.places[2], "a");
    assert_string_equal(record.places[4], "b");
    assert_err(ca_record_add_place(&record, "f"), BST_E_LIMIT);
    ca_record_clear(&record);
}

#define MADE(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, state_folder_setup_made, state_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(both_roots_hold_until_the_former_is_retired),
        MADE(a_certificate_that_was_issued_anew_does_not_keep_the_former_root),
        MADE(the_new_key_may_be_somewhere_else),
        MADE(a_place_that_cannot_be_used_changes_nothing),
        MADE(a_rotation_that_was_cut_off_is_ended_by_the_next_call),
        MADE(a_retirement_takes_the_own_certificates_along),
        MADE(a_former_root_has_an_end),
        MADE(a_profile_learns_the_roots_that_follow_its_own),
        MADE(a_root_that_nobody_vouches_for_is_not_learned),
        MADE(a_foreign_certificate_of_the_server_stays),
        MADE(a_damaged_record_of_places_is_told),
        cmocka_unit_test(the_latest_place_is_asked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
