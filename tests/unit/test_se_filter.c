#include "support/test.h"

#include "crypto/digest.h"
#include "obs/audit.h"
#include "se/filters.h"
#include "support/se_host.h"

#include <pthread.h>
#include <stdio.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se

static struct test_host host;
static int64_t now_us;

static int64_t mono(void)
{
    return now_us;
}

static struct bst_se *open_soft(void)
{
    struct bst_se *se = NULL;
    test_host_init(&host);
    assert_ok(bst_se_open(&host.host, "se:soft", &se));
    now_us = 1000000000;
    return se;
}

static bst_result make(struct bst_se *se, const char *label, uint32_t uses, bst_key *ret)
{
    struct bst_key_attrs attrs = {.label = label, .uses = uses};
    return bst_se_key_generate(se, &attrs, ret);
}

static bst_result mac(struct bst_se *se, bst_key key)
{
    uint8_t out[32];
    return bst_se_mac(se, key, NULL, 0, out);
}

/* ---- policy ---- */

static void add_policy(struct bst_se *se, const char *const *rules)
{
    size_t n = 0;
    while (rules[n]) {
        n++;
    }
    assert_ok(bst_se_filter_policy(se, rules, n));
}

static void the_first_rule_that_fits_decides(void **state)
{
    AUTO_SE *se = open_soft(), *mef = NULL, *cse = NULL;
    static const char *const rules[] = {"deny subject=mef label=mef.secret op=mac",
                                        "allow subject=mef label=mef.* op=generate|mac|delete",
                                        "allow subject=", NULL};
    add_policy(se, rules);
    assert_ok(bst_se_for_owner(se, "mef", &mef));
    assert_ok(bst_se_for_owner(se, "cse", &cse));
    bst_key open = 0, secret = 0, other = 0;
    assert_ok(make(mef, "mef.open", BST_KEY_USE_MAC | BST_KEY_USE_PSK, &open));
    assert_ok(make(mef, "mef.secret", BST_KEY_USE_MAC, &secret));
    assert_ok(mac(mef, open));
    assert_err(mac(mef, secret), BST_E_DENIED);
    assert_non_null(strstr(bst_error_detail(), "rule 1"));
    assert_ok(mac(se, secret)); /* the server itself, by rule 3 */
    bst_auto(secret) psk = {0};
    assert_err(bst_se_release_psk(mef, open, "test", &psk), BST_E_DENIED);
    assert_err(make(mef, "cse.tls", BST_KEY_USE_MAC, &other), BST_E_DENIED);
    assert_err(make(cse, "mef.mine", BST_KEY_USE_MAC, &other), BST_E_DENIED);
    assert_non_null(strstr(bst_error_detail(), "no rule"));
    assert_ok(bst_se_key_delete(mef, open));
}

static void a_rule_may_look_at_owner_and_suid(void **state)
{
    AUTO_SE *se = open_soft();
    static const char *const rules[] = {"allow suid=22 owner=al*e", "allow op=generate", NULL};
    add_policy(se, rules);
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .suid = 22, .owner = "alice"};
    bst_key good = 0, other_suid = 0, other_owner = 0;
    assert_ok(bst_se_key_generate(se, &attrs, &good));
    attrs.suid = 21;
    assert_ok(bst_se_key_generate(se, &attrs, &other_suid));
    attrs.suid = 22;
    attrs.owner = "bob";
    assert_ok(bst_se_key_generate(se, &attrs, &other_owner));
    assert_ok(mac(se, good));
    assert_err(mac(se, other_suid), BST_E_DENIED);
    assert_err(mac(se, other_owner), BST_E_DENIED);
}

static void without_rules_everything_is_allowed(void **state)
{
    AUTO_SE *se = open_soft();
    bst_key key = 0;
    assert_ok(bst_se_filter_policy(se, NULL, 0));
    assert_ok(make(se, "k", BST_KEY_USE_MAC, &key));
    assert_ok(mac(se, key));
}

static void wrong_rules_are_refused_in_words(void **state)
{
    AUTO_SE *se = open_soft();
    static const struct {
        const char *rule, *said;
    } bad[] = {
        {"permit op=mac", "allow"},        {"", "allow"},
        {"allow op=fly", "fly"},           {"allow op=", "names operations"},
        {"allow colour=red", "colour"},    {"allow mac", "NAME=VALUE"},
        {"allow op=mac op=sign", "twice"}, {"deny suid=x", "number"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_se_filter_policy(se, &bad[i].rule, 1), BST_E_VALUE);
        assert_non_null(strstr(bst_error_detail(), bad[i].said));
        assert_err(bst_se_policy_rule_check(bad[i].rule), BST_E_VALUE);
    }
    assert_ok(bst_se_policy_rule_check("allow  op=mac|sign   label=*"));
    static const char *const quota[] = {"keys=0", "keys=many", "per-second=", "allow keys=1"};
    for (size_t i = 0; i < sizeof quota / sizeof quota[0]; i++) {
        assert_err(bst_se_filter_quota(se, &quota[i], 1, mono), BST_E_VALUE);
        assert_err(bst_se_quota_rule_check(quota[i]), BST_E_VALUE);
    }
}

/* ---- quota ---- */

static void an_owner_has_as_many_keys_as_it_may(void **state)
{
    AUTO_SE *se = open_soft(), *alice = NULL, *bob = NULL;
    static const char *const rules[] = {"owner=alice keys=2", "owner=* keys=1000"};
    assert_ok(bst_se_filter_quota(se, rules, 2, mono));
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    bst_key a = 0, b = 0, c = 0;
    assert_ok(make(alice, "a", BST_KEY_USE_MAC | BST_KEY_USE_DERIVE, &a));
    assert_ok(make(alice, NULL, BST_KEY_USE_MAC, &b));
    assert_err(make(alice, "c", BST_KEY_USE_MAC, &c), BST_E_LIMIT);
    const struct bst_view part = BST_VIEW("x");
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
    assert_err(bst_se_derive(alice, a, &part, 1, &attrs, &c), BST_E_LIMIT);
    assert_ok(make(bob, "c", BST_KEY_USE_MAC, &c));
    assert_ok(bst_se_key_delete(alice, b));
    assert_ok(make(alice, "d", BST_KEY_USE_MAC, &b));
    assert_err(make(alice, "e", BST_KEY_USE_MAC, &c), BST_E_LIMIT);
}

static void a_borrowed_key_counts_for_nobody(void **state)
{
    AUTO_SE *se = open_soft(), *alice = NULL;
    static const char *const rules[] = {"owner=alice keys=1"};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC, .borrowed = true};
    bst_key kept = 0, borrowed = 0, more = 0;
    assert_ok(bst_se_filter_quota(se, rules, 1, mono));
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(make(alice, "kept", BST_KEY_USE_MAC, &kept));
    assert_ok(bst_se_key_generate(alice, &attrs, &borrowed));
    assert_ok(mac(alice, borrowed));
    assert_err(make(alice, "more", BST_KEY_USE_MAC, &more), BST_E_LIMIT);
    assert_ok(bst_se_key_delete(alice, borrowed));
    assert_err(make(alice, "more", BST_KEY_USE_MAC, &more), BST_E_LIMIT);
    assert_ok(bst_se_key_delete(alice, kept));
    assert_ok(make(alice, "more", BST_KEY_USE_MAC, &more));
    attrs.label = "a way around";
    assert_err(bst_se_key_generate(alice, &attrs, &borrowed), BST_E_USAGE);
}

static void data_counts_as_a_key_and_its_reading_wants_a_rule(void **state)
{
    AUTO_SE *se = open_soft(), *alice = NULL;
    static const char *const quota[] = {"owner=alice keys=1"};
    static const char *const rules[] = {"allow subject=alice op=import|delete",
                                        "allow subject=", NULL};
    const struct bst_key_attrs attrs = {
        .type = BST_KEY_DATA, .uses = BST_KEY_USE_READ, .label = "note"};
    bst_auto(secret) value = {0}, out = {0};
    bst_key key = 0, more = 0;
    assert_ok(bst_secret_copy(&value, "octets", 6));
    assert_ok(bst_se_filter_quota(se, quota, 1, mono));
    add_policy(se, rules);
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_key_import(alice, &attrs, &value, &key));
    assert_err(
        bst_se_key_import(alice, &(struct bst_key_attrs){.type = BST_KEY_DATA}, &value, &more),
        BST_E_LIMIT);
    assert_err(bst_se_data_read(alice, key, "test", &out), BST_E_DENIED);
    assert_err(bst_se_data_replace(alice, key, &value), BST_E_DENIED);
    assert_err(bst_se_hash(alice, BST_MD_SHA256, BST_VIEW("m"), (uint8_t[64]){0}), BST_E_DENIED);
    assert_ok(bst_se_data_read(se, key, "test", &out));
    assert_ok(bst_se_data_replace(se, key, &value));
}

static void keys_that_were_kept_count_after_a_restart(void **state)
{
    AUTO_SE *se = NULL;
    static const char *const rules[] = {"keys=2"};
    struct bst_key_attrs attrs = {
        .label = "a", .uses = BST_KEY_USE_MAC, .owner = "alice", .persistent = true};
    bst_key key = 0;
    test_host_init(&host);
    assert_ok(bst_se_open(&host.host, "se:soft?dir=d", &se));
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    bst_se_close(&se);
    assert_ok(bst_se_open(&host.host, "se:soft?dir=d", &se));
    assert_ok(bst_se_filter_quota(se, rules, 1, mono));
    attrs.label = "b";
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    attrs.label = "c";
    assert_err(bst_se_key_generate(se, &attrs, &key), BST_E_LIMIT);
    bst_se_close(&se);
    test_host_clear(&host);
}

#define THREADS 4
#define TRIES 200

static void *make_many(void *arg)
{
    size_t made = 0;
    for (int i = 0; i < TRIES; i++) {
        bst_key key = 0;
        made += !bst_failed(make(arg, NULL, BST_KEY_USE_MAC, &key));
    }
    return (void *)made;
}

static void threads_together_do_not_exceed_it(void **state)
{
    AUTO_SE *se = open_soft();
    static const char *const rules[] = {"keys=100"};
    pthread_t threads[THREADS];
    size_t made = 0;
    assert_ok(bst_se_filter_quota(se, rules, 1, mono));
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, se), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *some;
        pthread_join(threads[i], &some);
        made += (size_t)some;
    }
    assert_int_equal(made, 100);
    assert_int_equal(bst_se_key_count(se), 100);
}

static void keys_are_used_as_often_as_they_may_be(void **state)
{
    AUTO_SE *se = open_soft(), *alice = NULL, *bob = NULL;
    static const char *const rules[] = {"owner=alice per-second=10"};
    bst_key key = 0, his = 0;
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    assert_ok(make(alice, "a", BST_KEY_USE_MAC, &key));
    assert_ok(make(bob, "b", BST_KEY_USE_MAC, &his));
    assert_ok(bst_se_filter_quota(se, rules, 1, mono));
    for (int i = 0; i < 10; i++) {
        assert_ok(mac(alice, key));
    }
    assert_err(mac(alice, key), BST_E_BUSY);
    assert_ok(mac(bob, his));
    now_us += 100000; /* a tenth of a second: one more */
    assert_ok(mac(alice, key));
    assert_err(mac(alice, key), BST_E_BUSY);
    now_us += 3600 * INT64_C(1000000);
    for (int i = 0; i < 10; i++) {
        assert_ok(mac(alice, key));
    }
    assert_err(mac(alice, key), BST_E_BUSY);
    assert_ok(bst_se_key_delete(alice, key));
}

/* ---- audit ---- */

/* A trail in memory: the lines of its first file, and the head. */
static struct test_host trail_files;
static struct bst_buf trail_lines;

static bst_result trail_append(void *ctx, const char *name, struct bst_view bytes)
{
    bst_buf_addv(&trail_lines, bytes);
    return bst_buf_check(&trail_lines);
}
static bst_result trail_sync(void *ctx, const char *name)
{
    return BST_OK;
}
static bst_result trail_read(void *ctx, const char *name, struct bst_buf *ret)
{
    return test_host_read(&trail_files, name, SIZE_MAX, ret);
}
static bst_result trail_replace(void *ctx, const char *name, struct bst_view bytes)
{
    test_file_set(&trail_files, name, bytes);
    return BST_OK;
}
static bst_result trail_remove(void *ctx, const char *name)
{
    test_file_remove(&trail_files, name);
    return BST_OK;
}
static bst_result trail_sha256(void *ctx, const struct bst_view *parts, size_t n, uint8_t *out)
{
    return bst_digest(BST_MD_SHA256, parts, n, out);
}
static int64_t trail_wall(void *ctx)
{
    return TEST_HOST_WALL_US;
}
/* Signed by a key of the audited environment, as in the server. */
struct signer {
    struct bst_se *se;
    bst_key key;
};
static bst_result trail_sign(void *ctx, struct bst_view message, struct bst_buf *ret)
{
    const struct signer *signer = ctx;
    return bst_se_sign(signer->se, signer->key, BST_MD_SHA256, message, ret);
}
static bst_result trail_check(void *ctx, struct bst_view message, struct bst_view signature)
{
    return BST_OK;
}

static int lines_with(const char *what)
{
    int n = 0;
    bst_auto_free char *text = bst_strndup(trail_lines.ptr, trail_lines.len);
    for (const char *at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

/* The label of the trail's own key hides nothing of another owner. */
static void audited_data(struct bst_se *se)
{
    const struct bst_key_attrs attrs = {
        .type = BST_KEY_DATA, .uses = BST_KEY_USE_READ, .label = "audit.sign", .owner = "alice"};
    bst_auto(secret) value = {0}, out = {0};
    bst_key key = 0;
    assert_ok(bst_secret_copy(&value, "octets", 6));
    assert_ok(bst_se_key_import(se, &attrs, &value, &key));
    assert_ok(bst_se_data_read(se, key, "asked for by a test", &out));
    assert_ok(bst_se_data_replace(se, key, &value));
}

static void audited_use(struct bst_se *se, struct bst_audit *audit)
{
    bst_key key = 0, expired = 0;
    bst_auto(secret) psk = {0};
    struct bst_key_attrs attrs = {.uses = BST_KEY_USE_PSK, .expires_us = 1};
    struct bst_se_trail *out = NULL;
    assert_ok(bst_se_trail_new(audit, &out));
    assert_ok(bst_se_filter_audit(se, out, "audit.sign"));
    assert_ok(make(se, "kpsa", BST_KEY_USE_PSK | BST_KEY_USE_MAC, &key));
    assert_ok(bst_se_release_psk(se, key, "tls handshake with 192.0.2.1", &psk));
    assert_ok(mac(se, key));
    assert_ok(bst_se_key_generate(se, &attrs, &expired));
    bst_secret_clear(&psk);
    assert_err(bst_se_release_psk(se, expired, "tls handshake with 192.0.2.2", &psk),
               BST_E_EXPIRED);
    assert_err(bst_se_seal(se, key, BST_VIEW(""), BST_VIEW(""), &(struct bst_buf){0}),
               BST_E_SE_USAGE);
    assert_ok(bst_se_key_delete(se, key));
    audited_data(se);
    assert_ok(bst_audit_flush(audit));
    bst_se_trail_close(&out);
}

static void releases_lives_and_refusals_are_on_record(void **state)
{
    AUTO_SE *se = open_soft();
    struct signer signer = {.se = se};
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "audit.sign"};
    const struct bst_audit_host trail = {
        .ctx = &signer,
        .wall_us = trail_wall,
        .sha256 = trail_sha256,
        .sign = trail_sign,
        .check = trail_check,
        .append = trail_append,
        .sync = trail_sync,
        .read = trail_read,
        .replace = trail_replace,
        .remove = trail_remove,
    };
    struct bst_audit *audit = NULL;
    test_host_init(&trail_files);
    assert_ok(bst_se_key_generate(se, &attrs, &signer.key));
    assert_ok(bst_audit_open(&(struct bst_audit_config){.host = &trail, .checkpoint_entries = 1},
                             &audit));
    audited_use(se, audit);
    assert_int_equal(lines_with("\"key.generate\""), 1); /* the one with a label */
    assert_int_equal(lines_with("\"key.delete\""), 1);
    assert_int_equal(lines_with("\"key.release_psk\""), 2);
    assert_int_equal(lines_with("192.0.2.1"), 1);
    assert_int_equal(lines_with("\"denied\""), 2);
    assert_int_equal(lines_with("\"key.mac\""), 0);
    assert_int_equal(lines_with("\"key.read\""), 1);
    assert_int_equal(lines_with("asked for by a test"), 1);
    assert_int_equal(lines_with("\"key.replace\""), 1);
    assert_int_equal(lines_with("octets"), 0);
    assert_int_equal(lines_with("audit.sign"), 3); /* of alice */
    bst_audit_close(&audit);
    bst_key key = 0;
    assert_ok(make(se, "after", BST_KEY_USE_MAC, &key)); /* nobody listens any more */
    test_host_clear(&trail_files);
    bst_buf_clear(&trail_lines);
}

/* ---- faults ---- */

static void the_nth_call_fails_as_told(void **state)
{
    AUTO_SE *se = open_soft();
    static const char *const rules[] = {"op=mac nth=2 error=SE_TOKEN", "op=delete error=BUSY"};
    bst_key key = 0;
    assert_ok(bst_se_filter_fault(se, rules, 2));
    assert_ok(make(se, "k", BST_KEY_USE_MAC, &key));
    assert_ok(mac(se, key));
    assert_err(mac(se, key), BST_E_SE_TOKEN);
    assert_ok(mac(se, key));
    assert_err(bst_se_key_delete(se, key), BST_E_BUSY);
    assert_ok(bst_se_key_delete(se, key));
    static const char *const bad[] = {"op=mac nth=0", "error=NONSENSE", "op=nonsense", "word"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(bst_se_filter_fault(se, &bad[i], 1), BST_E_VALUE);
    }
}

static int dropped;

static void count_drop(void *ctx)
{
    dropped++;
}

static void too_many_filters_are_refused_and_all_are_dropped(void **state)
{
    struct bst_se *se = open_soft();
    int added = 0;
    dropped = 0;
    while (!bst_failed(bst_se_filter_add(se, &(struct bst_se_filter){.drop = count_drop}))) {
        added++;
    }
    assert_true(added >= 4);
    assert_int_equal(dropped, 1);
    bst_se_close(&se);
    assert_int_equal(dropped, added + 1);
}

static void every_operation_has_a_name_of_its_own(void **state)
{
    size_t n = 0;
    while (bst_se_op_name(n)) {
        for (size_t i = 0; i < n; i++) {
            assert_string_not_equal(bst_se_op_name(i), bst_se_op_name(n));
        }
        n++;
    }
    assert_true(n > 20 && n < 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_fits_decides),
        cmocka_unit_test(a_rule_may_look_at_owner_and_suid),
        cmocka_unit_test(without_rules_everything_is_allowed),
        cmocka_unit_test(wrong_rules_are_refused_in_words),
        cmocka_unit_test(an_owner_has_as_many_keys_as_it_may),
        cmocka_unit_test(a_borrowed_key_counts_for_nobody),
        cmocka_unit_test(data_counts_as_a_key_and_its_reading_wants_a_rule),
        cmocka_unit_test(keys_that_were_kept_count_after_a_restart),
        cmocka_unit_test(threads_together_do_not_exceed_it),
        cmocka_unit_test(keys_are_used_as_often_as_they_may_be),
        cmocka_unit_test(releases_lives_and_refusals_are_on_record),
        cmocka_unit_test(the_nth_call_fails_as_told),
        cmocka_unit_test(too_many_filters_are_refused_and_all_are_dropped),
        cmocka_unit_test(every_operation_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
