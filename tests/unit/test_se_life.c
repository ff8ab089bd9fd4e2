#include "support/test.h"

#include "crypto/pkey.h"
#include "se/soft/soft_priv.h"
#include "support/se_host.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se
#define FOLDER "se:soft?dir=d"
#define BY_PASSPHRASE "se:soft?dir=d&key=passphrase:file:words"

static bst_result keep(struct bst_se *se, const char *label)
{
    struct bst_key_attrs attrs = {.label = label, .uses = BST_KEY_USE_MAC, .persistent = true};
    bst_key key;
    return bst_se_key_generate(se, &attrs, &key);
}

static bst_key find(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    assert_ok(bst_se_key_find(se, label, &key));
    return key;
}

static bst_result use(struct bst_se *se, const char *label)
{
    uint8_t mac[32];
    return bst_se_mac(se, find(se, label), NULL, 0, mac);
}

static uint64_t next(struct bst_se *se, const char *name)
{
    uint64_t value = 0;
    assert_ok(bst_se_counter_next(se, name, &value));
    return value;
}

static uint64_t get(struct bst_se *se, const char *name)
{
    uint64_t value = 0;
    assert_ok(bst_se_counter_get(se, name, &value));
    return value;
}

/* ---- counters ---- */

static void a_counter_goes_up_and_survives_a_restart(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_int_equal(get(se, "epoch"), 0);
    assert_int_equal(next(se, "epoch"), 1);
    assert_int_equal(next(se, "epoch"), 2);
    assert_int_equal(next(se, "other"), 1);
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_int_equal(get(se, "epoch"), 2);
    assert_int_equal(next(se, "epoch"), 3);
}

static void a_removed_counter_does_not_begin_below_its_end(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    for (int i = 0; i < 5; i++) {
        next(se, "epoch");
    }
    assert_ok(bst_se_counter_remove(se, "epoch"));
    assert_err(bst_se_counter_remove(se, "epoch"), BST_E_NOT_FOUND);
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_true(next(se, "epoch") > 5);
}

static void counters_of_different_owners_have_nothing_in_common(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL, *alice = NULL, *bob = NULL;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_ok(bst_se_for_owner(se, "alice", &alice));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    assert_int_equal(next(alice, "n"), 1);
    assert_int_equal(next(alice, "n"), 2);
    assert_int_equal(get(bob, "n"), 0);
    assert_err(bst_se_counter_remove(bob, "n"), BST_E_NOT_FOUND);
    assert_int_equal(get(se, "n"), 0);
    assert_int_equal(get(alice, "n"), 2);
    uint64_t value;
    assert_err(bst_se_counter_next(bob, "n@alice", &value), BST_E_VALUE);
    assert_err(bst_se_counter_next(bob, "", &value), BST_E_VALUE);
}

static void a_counter_outlives_a_long_log_and_every_failing_write(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_ok(keep(se, "a"));
    uint64_t last = 0;
    for (int i = 0; i < 3000; i++) {
        last = next(se, "n");
    }
    assert_true(test_file(&h, "d/keys.1") == NULL); /* the log was written anew meanwhile */
    for (int i = 1; i < 8; i++) {
        uint64_t value = 0;
        h.fail_at = h.writes + i;
        if (!bst_failed(bst_se_counter_next(se, "n", &value))) {
            assert_true(value > last);
            last = value;
        }
        h.fail_at = 0;
        bst_se_close(&se);
        assert_ok(bst_se_open(&h.host, FOLDER, &se));
        assert_true(get(se, "n") >= last);
        last = get(se, "n");
        assert_ok(use(se, "a"));
    }
}

static void what_keeps_nothing_counts_nothing(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    uint64_t value;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, "se:soft", &se));
    assert_err(bst_se_counter_next(se, "n", &value), BST_E_CONFIG);
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, "none:", &se));
    assert_err(bst_se_counter_get(se, "n", &value), BST_E_CONFIG);
}

/* ---- life cycle ---- */

static bst_result import_pair(struct bst_se *se)
{
    bst_auto_pkey *pkey = NULL;
    bst_auto(secret) der = {0};
    struct bst_key_attrs attrs = {.type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN};
    bst_key key;
    assert_ok(bst_pkey_generate(BST_PKEY_EC_P256, &pkey));
    assert_ok(bst_pkey_private(pkey, &der));
    return bst_se_key_import(se, &attrs, &der, &key);
}

static void private_keys_are_brought_in_during_personalisation_only(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
    assert_ok(import_pair(se));
    assert_ok(bst_se_activate(se));
    assert_err(import_pair(se), BST_E_SE_USAGE);
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_int_equal(bst_se_state(se), BST_SE_OPERATIONAL);
    assert_err(import_pair(se), BST_E_SE_USAGE);
    assert_ok(keep(se, "a")); /* made inside */
}

static void a_blocked_environment_uses_no_key_until_it_is_wiped(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    uint64_t value;
    uint8_t octet;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_ok(keep(se, "a"));
    next(se, "n");
    assert_ok(bst_se_block(se, "lost"));
    for (int restart = 0; restart < 2; restart++) {
        assert_int_equal(bst_se_state(se), BST_SE_BLOCKED);
        assert_err(use(se, "a"), BST_E_SE_BLOCKED);
        assert_err(keep(se, "b"), BST_E_SE_BLOCKED);
        assert_err(bst_se_counter_next(se, "n", &value), BST_E_SE_BLOCKED);
        assert_err(bst_se_random(se, &octet, 1), BST_E_SE_BLOCKED);
        assert_err(bst_se_activate(se), BST_E_SE_BLOCKED);
        bst_se_close(&se);
        assert_ok(bst_se_open(&h.host, FOLDER, &se));
    }
    assert_ok(bst_se_wipe(se));
    assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
    assert_int_equal(bst_se_key_count(se), 0);
    assert_ok(keep(se, "a"));
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_int_equal(bst_se_key_count(se), 1);
    assert_int_equal(get(se, "n"), 0);
}

static void a_wipe_that_fails_half_way_goes_on_next_time(void **state)
{
    for (long fail = 1; fail < 12; fail++) {
        AUTO_HOST h;
        AUTO_SE *se = NULL;
        test_host_init(&h);
        assert_ok(bst_se_open(&h.host, FOLDER, &se));
        assert_ok(keep(se, "a"));
        assert_ok(keep(se, "b"));
        next(se, "n");
        assert_ok(bst_se_block(se, "lost"));
        h.fail_at = h.writes + fail;
        bst_result wiped = bst_se_wipe(se);
        h.fail_at = 0;
        if (bst_failed(wiped)) {
            assert_int_equal(bst_se_state(se), BST_SE_BLOCKED);
            assert_ok(bst_se_wipe(se));
        }
        bst_se_close(&se);
        assert_ok(bst_se_open(&h.host, FOLDER, &se));
        assert_int_equal(bst_se_key_count(se), 0);
        assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
        assert_int_equal(get(se, "n"), 0);
    }
}

/* An environment in which the making of a key waits for the test. */
static atomic_bool gate_wait, gate_reached, gate_open;

static bst_result gate_create(struct bst_se_backend *backend, const struct bst_key_attrs *attrs,
                              const struct bst_secret *value, struct bst_se_object **ret)
{
    if (atomic_load(&gate_wait)) {
        atomic_store(&gate_reached, true);
        while (!atomic_load(&gate_open)) {
            sched_yield();
        }
    }
    return bst_soft_create(backend, attrs, value, ret);
}

static struct bst_se_backend_ops gate;

static bst_result gate_open_se(const struct bst_se_host *h, struct bst_view query,
                               bst_result (*found)(void *ctx, struct bst_se_object *take),
                               void *ctx, struct bst_se_backend **ret)
{
    struct bst_soft *soft = NULL;
    BST_TRY(bst_soft_new(&gate, true, &soft));
    *ret = &soft->base;
    return BST_OK;
}

static void *make_one(void *arg)
{
    bst_key key;
    struct bst_key_attrs attrs = {.label = "late", .uses = BST_KEY_USE_MAC};
    bst_result made = bst_se_key_generate(arg, &attrs, &key);
    assert_true(!bst_failed(made) || made.code == BST_E_SE_BLOCKED);
    return NULL;
}

struct wiping {
    struct bst_se *se;
    atomic_bool done;
};

static void *wipe_it(void *arg)
{
    struct wiping *wiping = arg;
    assert_ok(bst_se_wipe(wiping->se));
    atomic_store(&wiping->done, true);
    return NULL;
}

static void no_key_made_meanwhile_outlives_a_wipe(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    pthread_t maker, wiper;
    bst_key key;
    gate = bst_se_none;
    gate.scheme = "gate";
    gate.open = gate_open_se;
    gate.create = gate_create;
    assert_ok(bst_se_backend_register(&gate));
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, "gate:", &se));
    atomic_store(&gate_wait, true);
    struct wiping wiping = {.se = se};
    assert_int_equal(pthread_create(&maker, NULL, make_one, se), 0);
    while (!atomic_load(&gate_reached)) {
        sched_yield();
    }
    assert_int_equal(pthread_create(&wiper, NULL, wipe_it, &wiping), 0);
    for (int i = 0; i < 1000 && !atomic_load(&wiping.done); i++) {
        sched_yield(); /* as far as it comes */
    }
    assert_false(atomic_load(&wiping.done)); /* it waits for who is at work */
    atomic_store(&gate_open, true);
    pthread_join(maker, NULL);
    pthread_join(wiper, NULL);
    assert_int_equal(bst_se_key_count(se), 0);
    assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
    assert_ok(bst_se_key_generate(
        se, &(struct bst_key_attrs){.label = "late", .uses = BST_KEY_USE_MAC}, &key));
}

#define MAKERS 3

static atomic_bool makers_end;

static void *make_and_count(void *arg)
{
    while (!atomic_load(&makers_end)) {
        bst_key key;
        uint64_t value;
        struct bst_key_attrs attrs = {.uses = BST_KEY_USE_MAC};
        bst_result made = bst_se_key_generate(arg, &attrs, &key);
        assert_true(!bst_failed(made) || made.code == BST_E_SE_BLOCKED);
        bst_result counted = bst_se_counter_next(arg, "n", &value);
        assert_true(!bst_failed(counted) || counted.code == BST_E_SE_BLOCKED);
    }
    return NULL;
}

static void a_blocked_environment_stays_so_whoever_is_at_work(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    pthread_t makers[MAKERS];
    test_host_init(&h);
    atomic_store(&makers_end, false);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    for (int i = 0; i < MAKERS; i++) {
        assert_int_equal(pthread_create(&makers[i], NULL, make_and_count, se), 0);
    }
    for (int i = 0; i < 20; i++) {
        assert_ok(bst_se_wipe(se));
    }
    assert_ok(bst_se_block(se, "test"));
    size_t keys = bst_se_key_count(se);
    uint64_t value;
    for (int i = 0; i < 1000; i++) {
        sched_yield();
    }
    assert_int_equal(bst_se_key_count(se), keys);
    assert_err(bst_se_activate(se), BST_E_SE_BLOCKED);
    assert_err(bst_se_counter_next(se, "n", &value), BST_E_SE_BLOCKED);
    atomic_store(&makers_end, true);
    for (int i = 0; i < MAKERS; i++) {
        pthread_join(makers[i], NULL);
    }
    assert_int_equal(bst_se_state(se), BST_SE_BLOCKED);
}

static void the_view_of_one_owner_does_not_change_the_whole(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL, *bob = NULL;
    bst_auto(secret) text = {0};
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_ok(bst_se_for_owner(se, "bob", &bob));
    assert_ok(bst_secret_copy(&text, "correct horse", 13));
    assert_err(bst_se_block(bob, "no"), BST_E_DENIED);
    assert_err(bst_se_wipe(bob), BST_E_DENIED);
    assert_err(bst_se_activate(bob), BST_E_DENIED);
    assert_err(bst_se_pin_change(bob, &text, &text), BST_E_DENIED);
    assert_int_equal(bst_se_state(se), BST_SE_PERSONALISATION);
}

/* ---- passphrases ---- */

static void say(struct test_host *h, const char *words)
{
    test_file_set(h, "file:words", bst_view(words));
}

static bst_result open_with(struct test_host *h, const char *words)
{
    AUTO_SE *se = NULL;
    say(h, words);
    return bst_se_open(&h->host, BY_PASSPHRASE, &se);
}

/* Length of the file that counts them. */
static size_t tries_of(const struct test_host *h)
{
    const struct test_file *file = test_file(h, "d/tries");
    return file ? file->len : 0;
}

static void wrong_passphrases_are_counted_and_then_it_is_locked(void **state)
{
    AUTO_HOST h;
    test_host_init(&h);
    assert_ok(open_with(&h, "correct horse battery\n"));
    assert_err(open_with(&h, "a wrong passphrase"), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "9 more"));
    assert_ok(open_with(&h, "correct horse battery"));
    for (int i = 0; i < 10; i++) {
        char left[16];
        snprintf(left, sizeof left, "%d more", 9 - i);
        assert_err(open_with(&h, "a wrong passphrase"), BST_E_SE_PIN);
        assert_non_null(strstr(bst_error_detail(), left));
    }
    assert_err(open_with(&h, "a wrong passphrase"), BST_E_SE_BLOCKED);
    assert_err(open_with(&h, "correct horse battery"), BST_E_SE_BLOCKED);
    assert_non_null(strstr(bst_error_detail(), "d/tries"));
    test_file_remove(&h, "d/tries");
    assert_ok(open_with(&h, "correct horse battery"));
}

static void a_try_counts_although_the_process_ends_in_it(void **state)
{
    AUTO_HOST h;
    test_host_init(&h);
    assert_ok(open_with(&h, "correct horse battery"));
    assert_err(open_with(&h, "a wrong passphrase"), BST_E_SE_PIN);
    size_t before = tries_of(&h);
    h.crash_at = h.writes + 2; /* the try is written, what comes after it is not */
    assert_err(open_with(&h, "correct horse battery"), BST_E_DISK_FULL);
    h.crash_at = 0;
    assert_int_equal(tries_of(&h), before + 1);
    /* Without room for the count there is no try. */
    h.fail_at = h.writes + 1;
    assert_err(open_with(&h, "correct horse battery"), BST_E_DISK_FULL);
    h.fail_at = 0;
    assert_ok(open_with(&h, "correct horse battery"));
}

static void the_count_of_tries_does_not_grow_without_end(void **state)
{
    AUTO_HOST h;
    test_host_init(&h);
    assert_ok(open_with(&h, "correct horse battery"));
    assert_ok(open_with(&h, "correct horse battery"));
    char many[1100];
    memset(many, '.', sizeof many);
    test_file_set(&h, "d/tries", bst_view_of(many, sizeof many));
    assert_ok(open_with(&h, "correct horse battery"));
    assert_int_equal(tries_of(&h), 2);
}

static void a_changed_passphrase_opens_the_same_keys(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    bst_auto(secret) old = {0}, fresh = {0}, wrong = {0};
    struct bst_se_about before, after;
    test_host_init(&h);
    assert_ok(bst_secret_copy(&old, "correct horse battery\n", 22));
    assert_ok(bst_secret_copy(&fresh, "staple of another horse", 23));
    assert_ok(bst_secret_copy(&wrong, "not the one it was", 18));
    say(&h, "correct horse battery");
    assert_ok(bst_se_open(&h.host, BY_PASSPHRASE, &se));
    assert_ok(keep(se, "a"));
    bst_se_about(se, &before);
    assert_err(bst_se_pin_change(se, &wrong, &fresh), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "9 more"));
    assert_ok(bst_se_pin_change(se, &old, &fresh));
    assert_ok(use(se, "a"));
    bst_se_close(&se);
    assert_err(open_with(&h, "correct horse battery"), BST_E_SE_PIN);
    say(&h, "staple of another horse\n");
    assert_ok(bst_se_open(&h.host, BY_PASSPHRASE, &se));
    assert_ok(use(se, "a"));
    bst_se_about(se, &after);
    assert_string_equal(before.se_id, after.se_id);
}

static void a_failing_change_leaves_the_old_passphrase(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    bst_auto(secret) old = {0}, fresh = {0};
    test_host_init(&h);
    assert_ok(bst_secret_copy(&old, "correct horse battery", 21));
    assert_ok(bst_secret_copy(&fresh, "staple of another horse", 23));
    say(&h, "correct horse battery");
    assert_ok(bst_se_open(&h.host, BY_PASSPHRASE, &se));
    h.fail_at = h.writes + 3; /* try, its end, the parameters */
    assert_err(bst_se_pin_change(se, &old, &fresh), BST_E_DISK_FULL);
    bst_se_close(&se);
    assert_ok(open_with(&h, "correct horse battery"));
}

static void a_folder_without_passphrase_has_none_to_change(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    bst_auto(secret) text = {0};
    test_host_init(&h);
    assert_ok(bst_secret_copy(&text, "correct horse", 13));
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_err(bst_se_pin_change(se, &text, &text), BST_E_SE_MECHANISM);
}

/* ---- what it is ---- */

static void an_environment_without_protection_is_named_and_has_level_0(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    struct bst_se_about about;
    struct bst_key_attrs attrs = {.label = "k", .uses = BST_KEY_USE_MAC};
    struct bst_key_info info;
    bst_key key;
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, "none:", &se));
    bst_se_about(se, &about);
    assert_string_equal(about.kind, "none");
    assert_int_equal(about.level, 0);
    assert_string_equal(about.se_id, "");
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    assert_ok(bst_se_key_info(se, key, &info));
    assert_int_equal(info.attrs.level, 0);
    assert_ok(use(se, "k"));
    assert_err(keep(se, "kept"), BST_E_CONFIG);
    assert_int_equal(h.files == NULL, 1);
    bst_se_close(&se);
    assert_err(bst_se_open(&h.host, "none:dir=d", &se), BST_E_CONFIG);
    assert_err(bst_se_open(&h.host, "", &se), BST_E_CONFIG);
    assert_err(bst_se_open(&h.host, "nothing:", &se), BST_E_CONFIG);
}

static void a_folder_has_an_identifier_of_its_own(void **state)
{
    AUTO_HOST h, other;
    AUTO_SE *se = NULL;
    struct bst_se_about a, again, b;
    test_host_init(&h);
    test_host_init(&other);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    bst_se_about(se, &a);
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    bst_se_about(se, &again);
    bst_se_close(&se);
    assert_ok(bst_se_open(&other.host, FOLDER, &se));
    bst_se_about(se, &b);
    assert_int_equal(a.type, BST_SE_SOFTWARE);
    assert_int_equal(a.se_id[0], '4'); /* TS-0016 table 7.2.1-2: software */
    assert_int_equal(strlen(a.se_id), 33);
    assert_string_equal(a.se_id, again.se_id);
    assert_string_not_equal(a.se_id, b.se_id);
    assert_false(a.slow);
}

static void what_a_backend_cannot_is_said_in_words(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    struct bst_se_attestation attestation = {.kind = "soft"};
    struct bst_se_attested attested = {0};
    test_host_init(&h);
    assert_ok(bst_se_open(&h.host, FOLDER, &se));
    assert_ok(keep(se, "a"));
    assert_err(bst_se_attest(se, find(se, "a"), BST_VIEW("nonce"), &attestation),
               BST_E_SE_MECHANISM);
    assert_non_null(strstr(bst_error_detail(), "attestation"));
    assert_err(bst_se_attest_verify(&attestation, BST_VIEW("nonce"), BST_VIEW(""), &attested),
               BST_E_SE_MECHANISM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_goes_up_and_survives_a_restart),
        cmocka_unit_test(a_removed_counter_does_not_begin_below_its_end),
        cmocka_unit_test(counters_of_different_owners_have_nothing_in_common),
        cmocka_unit_test(a_counter_outlives_a_long_log_and_every_failing_write),
        cmocka_unit_test(what_keeps_nothing_counts_nothing),
        cmocka_unit_test(private_keys_are_brought_in_during_personalisation_only),
        cmocka_unit_test(a_blocked_environment_uses_no_key_until_it_is_wiped),
        cmocka_unit_test(a_wipe_that_fails_half_way_goes_on_next_time),
        cmocka_unit_test(no_key_made_meanwhile_outlives_a_wipe),
        cmocka_unit_test(a_blocked_environment_stays_so_whoever_is_at_work),
        cmocka_unit_test(the_view_of_one_owner_does_not_change_the_whole),
        cmocka_unit_test(wrong_passphrases_are_counted_and_then_it_is_locked),
        cmocka_unit_test(a_try_counts_although_the_process_ends_in_it),
        cmocka_unit_test(the_count_of_tries_does_not_grow_without_end),
        cmocka_unit_test(a_changed_passphrase_opens_the_same_keys),
        cmocka_unit_test(a_failing_change_leaves_the_old_passphrase),
        cmocka_unit_test(a_folder_without_passphrase_has_none_to_change),
        cmocka_unit_test(an_environment_without_protection_is_named_and_has_level_0),
        cmocka_unit_test(a_folder_has_an_identifier_of_its_own),
        cmocka_unit_test(what_a_backend_cannot_is_said_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
