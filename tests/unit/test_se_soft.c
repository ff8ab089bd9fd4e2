#include "support/test.h"

#include "crypto/aead.h"
#include "se/se.h"
#include "support/hex.h"
#include "support/se_host.h"
#include "support/soft_form_1.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AUTO_SE __attribute__((cleanup(bst_se_close))) struct bst_se
#define URI "se:soft?dir=d"

/* A file that must be there. */
static struct test_file *there(const struct test_host *h, const char *path)
{
    struct test_file *file = test_file(h, path);
    if (!file) {
        print_error("no %s\n", path);
        abort();
    }
    return file;
}

static bst_result open_in(struct test_host *h, struct bst_se **ret)
{
    return bst_se_open(&h->host, URI, ret);
}

static bst_result keep(struct bst_se *se, const char *label)
{
    struct bst_key_attrs attrs = {
        .label = label,
        .owner = "test",
        .uses = BST_KEY_USE_PSK,
        .suid = 22,
        .expires_us = TEST_HOST_WALL_US + 1000,
        .persistent = true,
    };
    bst_auto(secret) value = {0};
    bst_key key = 0;
    BST_TRY(bst_secret_copy(&value, label, strlen(label)));
    return bst_se_key_import(se, &attrs, &value, &key);
}

static bst_result forget(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    BST_TRY(bst_se_key_find_of(se, "test", label, &key));
    return bst_se_key_delete(se, key);
}

/* Is the key there, with its value and attributes? Its value is its label. */
static bool has(struct bst_se *se, const char *label)
{
    bst_key key = 0;
    struct bst_key_info info;
    bst_auto(secret) psk = {0};
    assert_ok(bst_se_key_find_of(se, "test", label, &key));
    if (!key) {
        return false;
    }
    assert_ok(bst_se_key_info(se, key, &info));
    assert_string_equal(info.attrs.owner, "test");
    assert_int_equal(info.attrs.suid, 22);
    assert_int_equal(info.attrs.expires_us, TEST_HOST_WALL_US + 1000);
    assert_true(info.attrs.persistent);
    assert_ok(bst_se_release_psk(se, key, "test", &psk));
    assert_int_equal(psk.len, strlen(label));
    assert_memory_equal(psk.ptr, label, psk.len);
    return true;
}

/* A folder with keys a and b, and c made and deleted. */
static void fill(struct test_host *h)
{
    AUTO_SE *se = NULL;
    test_host_init(h);
    assert_ok(open_in(h, &se));
    assert_ok(keep(se, "a"));
    assert_ok(keep(se, "c"));
    assert_ok(keep(se, "b"));
    assert_ok(forget(se, "c"));
}

static bool reopens_whole(struct test_host *h)
{
    AUTO_SE *se = NULL;
    assert_ok(open_in(h, &se));
    return has(se, "a") && has(se, "b") && !has(se, "c") && bst_se_key_count(se) == 2;
}

/* ---- keeping ---- */

static void keys_survive_a_restart_and_deleted_ones_do_not(void **state)
{
    AUTO_HOST h;
    fill(&h);
    assert_true(reopens_whole(&h));
    assert_true(reopens_whole(&h));
}

static void key_pairs_survive_a_restart(void **state)
{
    AUTO_HOST h;
    test_host_init(&h);
    bst_auto(buf) before = {0}, after = {0}, signature = {0};
    struct bst_key_attrs attrs = {
        .type = BST_KEY_EC_P256, .uses = BST_KEY_USE_SIGN, .label = "cse.tls", .persistent = true};
    bst_key key = 0;
    AUTO_SE *se = NULL;
    assert_ok(open_in(&h, &se));
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    assert_ok(bst_se_key_public(se, key, &before));
    bst_se_close(&se);
    assert_ok(open_in(&h, &se));
    assert_ok(bst_se_key_find(se, "cse.tls", &key));
    assert_ok(bst_se_key_public(se, key, &after));
    assert_true(bst_view_eq(bst_buf_view(&before), bst_buf_view(&after)));
    assert_ok(bst_se_sign(se, key, BST_MD_SHA256, BST_VIEW("m"), &signature));
}

static void a_key_not_to_be_kept_is_not(void **state)
{
    AUTO_HOST h;
    test_host_init(&h);
    AUTO_SE *se = NULL;
    struct bst_key_attrs attrs = {.label = "session", .uses = BST_KEY_USE_MAC};
    bst_key key = 0;
    assert_ok(open_in(&h, &se));
    long writes = h.writes;
    assert_ok(bst_se_key_generate(se, &attrs, &key));
    assert_int_equal(h.writes, writes);
    bst_se_close(&se);
    assert_ok(open_in(&h, &se));
    assert_int_equal(bst_se_key_count(se), 0);
}

static void no_value_label_or_owner_is_readable_on_storage(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(open_in(&h, &se));
    assert_ok(keep(se, "a-label-that-is-long-enough-to-find"));
    for (const struct test_file *file = h.files; file; file = file->next) {
        assert_null(memmem(file->ptr, file->len, "a-label-that", 12));
    }
}

/* ---- damage ---- */

static const char *const sealed_files[] = {"d/keys.1", "d/manifest", "d/params"};

static void any_changed_byte_is_noticed_and_the_file_named(void **state)
{
    AUTO_HOST h;
    fill(&h);
    for (size_t f = 0; f < 3; f++) {
        struct test_file *file = there(&h, sealed_files[f]);
        for (size_t i = 0; i < file->len; i++) {
            AUTO_SE *se = NULL;
            file->ptr[i] ^= 0x04;
            bst_result out = open_in(&h, &se);
            assert_true(bst_failed(out));
            assert_true(out.code == BST_E_CORRUPT ||
                        (f == 2 && (out.code == BST_E_SE_PIN || out.code == BST_E_CONFIG ||
                                    out.code == BST_E_VERSION)));
            if (f < 2) {
                assert_non_null(strstr(bst_error_detail(), f ? "d/manifest" : "d/keys.1"));
                assert_non_null(strstr(bst_error_detail(), "restore"));
            }
            file->ptr[i] ^= 0x04;
        }
    }
    assert_true(reopens_whole(&h));
}

static void a_file_cut_anywhere_is_noticed(void **state)
{
    AUTO_HOST h;
    fill(&h);
    for (size_t f = 0; f < 3; f++) {
        struct test_file *file = there(&h, sealed_files[f]);
        size_t whole = file->len;
        for (size_t len = 0; len < whole; len++) {
            AUTO_SE *se = NULL;
            file->len = len;
            assert_true(bst_failed(open_in(&h, &se)));
        }
        file->len = whole;
    }
    assert_true(reopens_whole(&h));
}

static void a_missing_file_is_noticed_and_no_new_key_made(void **state)
{
    const char *const files[] = {"d/keys.1", "d/manifest", "d/params", "file:d/state.key"};
    for (size_t f = 0; f < 4; f++) {
        AUTO_HOST h;
        AUTO_SE *se = NULL;
        fill(&h);
        test_file_remove(&h, files[f]);
        long writes = h.writes;
        assert_err(open_in(&h, &se), f < 3 ? BST_E_CORRUPT : BST_E_NOT_FOUND);
        assert_non_null(strstr(bst_error_detail(), f < 3 ? "restore" : "backup"));
        assert_int_equal(h.writes, writes);
    }
}

static void an_older_copy_of_the_log_is_noticed(void **state)
{
    AUTO_HOST h;
    AUTO_HOST old;
    AUTO_SE *se = NULL;
    fill(&h);
    test_host_copy(&h, &old);
    assert_ok(open_in(&h, &se));
    assert_ok(forget(se, "a"));
    bst_se_close(&se);
    struct test_file *before = there(&old, "d/keys.1");
    test_file_set(&h, "d/keys.1", bst_view_of(before->ptr, before->len));
    assert_err(open_in(&h, &se), BST_E_CORRUPT);
    assert_non_null(strstr(bst_error_detail(), "old copy"));
}

/* Records are length || blob after a head of 24 bytes. */
static struct bst_view record_at(const struct test_file *file, int index)
{
    size_t at = 24;
    for (;;) {
        size_t len = 0;
        for (int i = 0; i < 4; i++) {
            len = len << 8 | (uint8_t)file->ptr[at + (size_t)i];
        }
        if (index-- == 0) {
            return bst_view_of(file->ptr + at, 4 + len);
        }
        at += 4 + len;
    }
}

static void swapped_and_repeated_records_are_noticed(void **state)
{
    AUTO_HOST h;
    fill(&h);
    struct test_file *file = there(&h, "d/keys.1");
    struct bst_view r[] = {record_at(file, 0), record_at(file, 1), record_at(file, 2),
                           record_at(file, 3)};
    const int orders[][4] = {{1, 0, 2, 3}, {0, 0, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2}};
    for (size_t i = 0; i < 4; i++) {
        AUTO_HOST bad;
        AUTO_SE *se = NULL;
        bst_auto(buf) mixed = {0};
        test_host_copy(&h, &bad);
        bst_buf_add(&mixed, file->ptr, 24);
        for (int k = 0; k < 4; k++) {
            bst_buf_addv(&mixed, r[orders[i][k]]);
        }
        test_file_set(&bad, "d/keys.1", bst_buf_view(&mixed));
        assert_err(open_in(&bad, &se), BST_E_CORRUPT);
    }
}

static void objects_of_another_folder_are_noticed(void **state)
{
    for (size_t f = 0; f < 3; f++) {
        AUTO_HOST h;
        AUTO_HOST other;
        AUTO_SE *se = NULL;
        fill(&h);
        fill(&other);
        struct test_file *foreign = there(&other, sealed_files[f]);
        test_file_set(&h, sealed_files[f], bst_view_of(foreign->ptr, foreign->len));
        assert_err(open_in(&h, &se), f == 2 ? BST_E_SE_PIN : BST_E_CORRUPT);
    }
}

/* ---- the state key ---- */

static void another_state_key_is_told_apart_from_damage(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    char other[32] = "thirty-two bytes of another key";
    fill(&h);
    test_file_set(&h, "file:d/state.key", bst_view_of(other, 32));
    assert_err(open_in(&h, &se), BST_E_SE_PIN);
    assert_non_null(strstr(bst_error_detail(), "file:d/state.key"));
    test_file_set(&h, "file:d/state.key", BST_VIEW("short"));
    assert_err(open_in(&h, &se), BST_E_BAD_KEY);
}

static void a_state_key_may_be_given_in_hexadecimal_or_as_a_credential(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    test_file_set(&h, "credential:bastide",
                  BST_VIEW("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"));
    assert_ok(bst_se_open(&h.host, "se:soft?dir=d&key=credential:bastide", &se));
    assert_ok(keep(se, "a"));
    bst_se_close(&se);
    assert_ok(bst_se_open(&h.host, "se:soft?dir=d&key=credential:bastide", &se));
    assert_true(has(se, "a"));
    bst_se_close(&se);
    /* A credential is never made up. */
    assert_err(bst_se_open(&h.host, "se:soft?dir=e&key=credential:absent", &se), BST_E_NOT_FOUND);
}

static void a_passphrase_opens_what_it_closed_and_another_does_not(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    const char *uri = "se:soft?dir=d&key=passphrase:file:words";
    test_file_set(&h, "file:words", BST_VIEW("correct horse battery\n"));
    assert_ok(bst_se_open(&h.host, uri, &se));
    assert_ok(keep(se, "a"));
    bst_se_close(&se);
    test_file_set(&h, "file:words", BST_VIEW("correct horse battery"));
    assert_ok(bst_se_open(&h.host, uri, &se));
    assert_true(has(se, "a"));
    bst_se_close(&se);
    test_file_set(&h, "file:words", BST_VIEW("correct horse batterz"));
    assert_err(bst_se_open(&h.host, uri, &se), BST_E_SE_PIN);
    test_file_set(&h, "file:words", BST_VIEW("short\n"));
    assert_err(bst_se_open(&h.host, uri, &se), BST_E_SE_PIN);
    /* What somebody wrote into the file must not take all memory. */
    test_file_set(&h, "file:words", BST_VIEW("correct horse battery"));
    there(&h, "d/params")->ptr[13] = 0x7f; /* 2^30 and more KiB */
    assert_err(bst_se_open(&h.host, uri, &se), BST_E_VALUE);
    assert_err(open_in(&h, &se), BST_E_CONFIG);
    assert_non_null(strstr(bst_error_detail(), "passphrase"));
}

/* ---- failing and crashing writes ---- */

/* Open, make x, delete a. */
static void life_step(struct test_host *h, bool *made, bool *deleted)
{
    AUTO_SE *se = NULL;
    *made = *deleted = false;
    if (!bst_failed(open_in(h, &se))) {
        *made = !bst_failed(keep(se, "x"));
        *deleted = !bst_failed(forget(se, "a"));
        assert_true(has(se, "b"));
        assert_int_equal(has(se, "x"), *made);
        assert_int_equal(has(se, "a"), !*deleted);
    }
}

static void check_after(struct test_host *h, bool made, bool deleted)
{
    AUTO_SE *se = NULL;
    h->crash_at = h->fail_at = 0;
    assert_ok(open_in(h, &se));
    assert_true(has(se, "b"));
    assert_false(has(se, "c"));
    /* What was reported done is done; what failed may have happened or not, but never half. */
    assert_true(has(se, "x") || !made);
    assert_false(deleted && has(se, "a"));
    /* And the folder can be written again. */
    assert_ok(keep(se, "y"));
    bst_se_close(&se);
    assert_ok(open_in(h, &se));
    assert_true(has(se, "y") && has(se, "b"));
}

static void every_write_may_fail_and_nothing_is_lost(void **state)
{
    for (long n = 1;; n++) {
        AUTO_HOST h;
        bool made, deleted;
        fill(&h);
        h.fail_at = h.writes + n;
        life_step(&h, &made, &deleted);
        bool reached = h.writes >= h.fail_at;
        check_after(&h, made, deleted);
        if (!reached) {
            assert_true(made && deleted && n > 3);
            break;
        }
    }
}

static void a_crash_at_every_write_leaves_a_readable_folder(void **state)
{
    for (long n = 1;; n++) {
        AUTO_HOST h;
        bool made, deleted;
        fill(&h);
        h.crash_at = h.writes + n;
        life_step(&h, &made, &deleted);
        bool reached = h.writes >= h.crash_at;
        check_after(&h, made, deleted);
        if (!reached) {
            break;
        }
    }
}

static void a_crash_while_the_folder_is_made_leaves_none_or_a_new_one(void **state)
{
    for (long n = 1;; n++) {
        AUTO_HOST h;
        AUTO_SE *se = NULL;
        test_host_init(&h);
        h.crash_at = n;
        bst_result first = open_in(&h, &se);
        if (!bst_failed(first)) {
            assert_true(n > 3);
            break;
        }
        h.crash_at = 0;
        assert_ok(open_in(&h, &se));
        assert_ok(keep(se, "a"));
    }
}

static void any_allocation_may_fail_while_opening_and_writing(void **state)
{
    for (long n = 1;; n++) {
        AUTO_HOST h;
        bool made, deleted;
        fill(&h);
        AUTO_SE *se = NULL;
        bst_alloc_fail_at(n);
        bst_result opened = open_in(&h, &se);
        made = !bst_failed(opened) && !bst_failed(keep(se, "x"));
        deleted = !bst_failed(opened) && !bst_failed(forget(se, "a"));
        bst_alloc_fail_at(0);
        bst_se_close(&se);
        check_after(&h, made, deleted);
        if (made && deleted) {
            break;
        }
    }
}

/* ---- labels of owners, data ---- */

static bst_result keep_of(struct bst_se *se, const char *owner, const char *label, bst_key *ret)
{
    const struct bst_key_attrs attrs = {.label = label,
                                        .owner = owner,
                                        .uses = BST_KEY_USE_MAC,
                                        .type = BST_KEY_SYMMETRIC,
                                        .persistent = true};
    return bst_se_key_generate(se, &attrs, ret);
}

static bst_key find_of(struct bst_se *se, const char *owner, const char *label)
{
    bst_key key = 0;
    assert_ok(bst_se_key_find_of(se, owner, label, &key));
    return key;
}

static void labels_of_owners_stay_apart_on_storage(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    bst_key alice = 0, bob = 0, nobody = 0;
    uint8_t before[BST_SE_CHECK_BYTES], after[BST_SE_CHECK_BYTES];
    test_host_init(&h);
    assert_ok(open_in(&h, &se));
    assert_ok(keep_of(se, "alice", "k", &alice));
    assert_ok(keep_of(se, "bob", "k", &bob));
    assert_ok(keep_of(se, "", "k", &nobody));
    assert_ok(bst_se_check_value(se, bob, before));
    assert_ok(bst_se_key_delete(se, alice));
    assert_ok(bst_se_key_rename(se, nobody, "n"));
    bst_se_close(&se);
    assert_ok(open_in(&h, &se));
    assert_int_equal(bst_se_key_count(se), 2);
    assert_int_equal(find_of(se, "alice", "k"), 0);
    assert_int_equal(find_of(se, "", "k"), 0);
    assert_int_not_equal(find_of(se, "", "n"), 0);
    bob = find_of(se, "bob", "k");
    assert_ok(bst_se_check_value(se, bob, after));
    assert_memory_equal(before, after, sizeof before);
}

static void old_folder(struct test_host *h)
{
    test_host_init(h);
    for (size_t i = 0; i < sizeof soft_form_1 / sizeof soft_form_1[0]; i++) {
        bst_auto(buf) bytes = test_hex(soft_form_1[i].hex);
        bool secret = strcmp(soft_form_1[i].path, "d/state.key") == 0;
        test_file_set(h, secret ? "file:d/state.key" : soft_form_1[i].path, bst_buf_view(&bytes));
    }
}

static void has_old_keys(struct bst_se *se)
{
    static const struct bst_view value = {"secret of alice!", 16};
    bst_auto(secret) psk = {0}, plain = {0};
    assert_ok(bst_se_release_psk(se, find_of(se, "alice", "psk"), "test", &psk));
    assert_ok(bst_se_release_psk(se, find_of(se, "", "plain"), "test", &plain));
    assert_true(bst_view_eq(value, bst_view_of(psk.ptr, psk.len)));
    assert_true(bst_view_eq(value, bst_view_of(plain.ptr, plain.len)));
    assert_int_not_equal(find_of(se, "alice", "mine"), 0);
    assert_int_equal(find_of(se, "bob", "gone"), 0);
}

static void a_folder_of_the_first_form_is_read_and_then_written_in_the_new_one(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    bst_key key;
    old_folder(&h);
    assert_ok(open_in(&h, &se));
    has_old_keys(se);
    assert_int_equal(bst_se_key_count(se), 3);
    bst_se_close(&se);
    assert_int_equal(h.writes, 0);
    assert_ok(open_in(&h, &se));
    assert_ok(keep_of(se, "bob", "mine", &key));
    assert_memory_equal(there(&h, "d/keys.2")->ptr, "BSTSEL2\n", 8);
    assert_null(test_file(&h, "d/keys.1"));
    assert_ok(bst_se_key_delete(se, find_of(se, "alice", "mine")));
    bst_se_close(&se);
    assert_ok(open_in(&h, &se));
    assert_int_not_equal(find_of(se, "bob", "mine"), 0);
    assert_int_equal(find_of(se, "alice", "mine"), 0);
    assert_int_equal(bst_se_key_count(se), 3);
}

static void the_first_form_survives_every_failing_write(void **state)
{
    for (int i = 1; i < 6; i++) {
        AUTO_HOST h;
        AUTO_SE *se = NULL;
        bst_key key;
        old_folder(&h);
        assert_ok(open_in(&h, &se));
        h.crash_at = i;
        bst_result kept = keep_of(se, "bob", "mine", &key);
        bst_se_close(&se);
        h.crash_at = 0;
        assert_ok(open_in(&h, &se));
        has_old_keys(se);
        assert_true(bst_failed(kept) || find_of(se, "bob", "mine") != 0);
    }
}

static void a_log_is_not_taken_for_one_of_another_form(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    fill(&h);
    struct test_file *log = there(&h, "d/keys.1");
    assert_memory_equal(log->ptr, "BSTSEL2\n", 8);
    log->ptr[6] = '1';
    assert_err(open_in(&h, &se), BST_E_CORRUPT);
    log->ptr[6] = '3';
    assert_err(open_in(&h, &se), BST_E_CORRUPT);
    test_host_clear(&h);
    old_folder(&h);
    there(&h, "d/keys.1")->ptr[6] = '2';
    assert_err(open_in(&h, &se), BST_E_CORRUPT);
}

static bst_result put(struct bst_se *se, const char *text, bst_key *ret)
{
    const struct bst_key_attrs attrs = {.type = BST_KEY_DATA,
                                        .uses = BST_KEY_USE_READ,
                                        .label = "note",
                                        .owner = "alice",
                                        .persistent = true};
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_copy(&value, text, strlen(text)));
    return bst_se_key_import(se, &attrs, &value, ret);
}

static bst_result replace(struct bst_se *se, const char *text)
{
    bst_auto(secret) value = {0};
    BST_TRY(bst_secret_copy(&value, text, strlen(text)));
    return bst_se_data_replace(se, find_of(se, "alice", "note"), &value);
}

static bool reads(struct bst_se *se, const char *text)
{
    bst_auto(secret) value = {0};
    assert_ok(bst_se_data_read(se, find_of(se, "alice", "note"), "test", &value));
    return bst_view_is(bst_view_of(value.ptr, value.len), text);
}

static void replaced_data_is_the_old_or_the_new_after_every_crash(void **state)
{
    AUTO_HOST first;
    AUTO_SE *se = NULL;
    bst_key key;
    int kept = 0;
    test_host_init(&first);
    assert_ok(open_in(&first, &se));
    assert_ok(put(se, "old octets", &key));
    bst_se_close(&se);
    for (int i = 1; i < 5; i++) {
        AUTO_HOST h;
        test_host_copy(&first, &h);
        assert_ok(open_in(&h, &se));
        h.crash_at = h.writes + i;
        bool done = !bst_failed(replace(se, "new octets"));
        assert_true(reads(se, done ? "new octets" : "old octets"));
        bst_se_close(&se);
        h.crash_at = 0;
        assert_ok(open_in(&h, &se));
        assert_true(reads(se, "new octets") || (!done && reads(se, "old octets")));
        assert_int_equal(bst_se_key_count(se), 1);
        bst_se_close(&se);
        kept += done;
    }
    assert_true(kept > 0 && kept < 4);
}

static void an_older_copy_of_replaced_data_is_noticed(void **state)
{
    AUTO_HOST h, old;
    AUTO_SE *se = NULL;
    bst_key key;
    test_host_init(&h);
    assert_ok(open_in(&h, &se));
    assert_ok(put(se, "old octets", &key));
    test_host_copy(&h, &old);
    assert_ok(replace(se, "new octets"));
    bst_se_close(&se);
    const struct test_file *log = there(&old, "d/keys.1");
    test_file_set(&h, "d/keys.1", bst_view_of(log->ptr, log->len));
    assert_err(open_in(&h, &se), BST_E_CORRUPT);
}

static void a_long_log_is_written_anew(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(open_in(&h, &se));
    assert_ok(keep(se, "a"));
    for (int i = 0; i < 600; i++) {
        assert_ok(keep(se, "x"));
        assert_ok(forget(se, "x"));
    }
    assert_ok(keep(se, "b"));
    assert_null(test_file(&h, "d/keys.1"));
    assert_true(there(&h, "d/keys.2")->len < 100000);
    bst_se_close(&se);
    assert_true(reopens_whole(&h));
}

/* ---- many keys ---- */

static int64_t cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static void a_hundred_thousand_keys_open_within_two_seconds(void **state)
{
    AUTO_HOST h;
    AUTO_SE *se = NULL;
    test_host_init(&h);
    assert_ok(open_in(&h, &se));
    char label[64];
    for (int i = 0; i < 100000; i++) {
        snprintf(label, sizeof label, "mef.key.%08x%08x", i, i * 7);
        assert_ok(keep(se, label));
    }
    bst_se_close(&se);
    int64_t start = cpu_us();
    assert_ok(open_in(&h, &se));
    int64_t took = cpu_us() - start;
    assert_int_equal(bst_se_key_count(se), 100000);
    assert_true(has(se, label));
    print_message("100000 keys: %zu bytes of log, opened in %lld ms\n", there(&h, "d/keys.1")->len,
                  (long long)took / 1000);
#ifndef __SANITIZE_ADDRESS__
    assert_true(took < 2000000);
#endif
}

/* ---- over files ---- */

static int64_t fixed_wall(void *ctx)
{
    return TEST_HOST_WALL_US;
}

static void remove_folder(const char *dir)
{
    char path[256];
    const char *const names[] = {"params", "manifest", "keys.1", "keys.2", "state.key", "link"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void a_folder_of_files_keeps_keys_for_its_owner_alone(void **state)
{
    char dir[] = "/tmp/bst-se-XXXXXX", uri[128], path[128];
    struct bst_se_host host;
    AUTO_SE *se = NULL;
    struct stat st;
    assert_non_null(mkdtemp(dir));
    rmdir(dir); /* made by the first write */
    snprintf(uri, sizeof uri, "se:soft?dir=%s", dir);
    bst_se_host_file(&host, fixed_wall);
    assert_ok(bst_se_open(&host, uri, &se));
    assert_ok(keep(se, "a"));
    bst_se_close(&se);
    assert_ok(bst_se_open(&host, uri, &se));
    assert_true(has(se, "a"));
    bst_se_close(&se);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/state.key", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    /* A key that others can read is no key. */
    assert_int_equal(chmod(path, 0640), 0);
    assert_err(bst_se_open(&host, uri, &se), BST_E_PERMISSION);
    assert_non_null(strstr(bst_error_detail(), "chmod 600"));
    remove_folder(dir);
}

static void a_secret_is_not_overwritten_and_no_link_followed(void **state)
{
    char dir[] = "/tmp/bst-se-XXXXXX", key[128], via[128], link_path[128];
    struct bst_se_host host;
    bst_auto(secret) secret = {0}, back = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(key, sizeof key, "file:%s/state.key", dir);
    snprintf(via, sizeof via, "file:%s/link", dir);
    snprintf(link_path, sizeof link_path, "%s/link", dir);
    bst_se_host_file(&host, fixed_wall);
    assert_ok(bst_secret_copy(&secret, "secret", 6));
    assert_ok(host.secret_write(host.ctx, key, &secret));
    assert_err(host.secret_write(host.ctx, key, &secret), BST_E_EXISTS);
    assert_ok(host.secret_read(host.ctx, key, &back));
    assert_memory_equal(back.ptr, "secret", 6);
    assert_int_equal(symlink(key + 5, link_path), 0);
    bst_auto(secret) none = {0};
    assert_err(host.secret_read(host.ctx, via, &none), BST_E_PERMISSION);
    assert_err(host.secret_read(host.ctx, "env:KEY", &none), BST_E_CONFIG);
    assert_err(host.secret_read(host.ctx, "file:/nonexistent/key", &none), BST_E_NOT_FOUND);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_err(host.secret_read(host.ctx, "credential:state.key", &none), BST_E_CONFIG);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    assert_ok(host.secret_read(host.ctx, "credential:state.key", &none));
    bst_secret_clear(&none);
    assert_err(host.secret_read(host.ctx, "credential:../state.key", &none), BST_E_CONFIG);
    remove_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_survive_a_restart_and_deleted_ones_do_not),
        cmocka_unit_test(key_pairs_survive_a_restart),
        cmocka_unit_test(a_key_not_to_be_kept_is_not),
        cmocka_unit_test(no_value_label_or_owner_is_readable_on_storage),
        cmocka_unit_test(any_changed_byte_is_noticed_and_the_file_named),
        cmocka_unit_test(a_file_cut_anywhere_is_noticed),
        cmocka_unit_test(a_missing_file_is_noticed_and_no_new_key_made),
        cmocka_unit_test(an_older_copy_of_the_log_is_noticed),
        cmocka_unit_test(swapped_and_repeated_records_are_noticed),
        cmocka_unit_test(objects_of_another_folder_are_noticed),
        cmocka_unit_test(another_state_key_is_told_apart_from_damage),
        cmocka_unit_test(a_state_key_may_be_given_in_hexadecimal_or_as_a_credential),
        cmocka_unit_test(a_passphrase_opens_what_it_closed_and_another_does_not),
        cmocka_unit_test(every_write_may_fail_and_nothing_is_lost),
        cmocka_unit_test(a_crash_at_every_write_leaves_a_readable_folder),
        cmocka_unit_test(a_crash_while_the_folder_is_made_leaves_none_or_a_new_one),
        cmocka_unit_test(any_allocation_may_fail_while_opening_and_writing),
        cmocka_unit_test(labels_of_owners_stay_apart_on_storage),
        cmocka_unit_test(a_folder_of_the_first_form_is_read_and_then_written_in_the_new_one),
        cmocka_unit_test(the_first_form_survives_every_failing_write),
        cmocka_unit_test(a_log_is_not_taken_for_one_of_another_form),
        cmocka_unit_test(replaced_data_is_the_old_or_the_new_after_every_crash),
        cmocka_unit_test(an_older_copy_of_replaced_data_is_noticed),
        cmocka_unit_test(a_long_log_is_written_anew),
        cmocka_unit_test(a_hundred_thousand_keys_open_within_two_seconds),
        cmocka_unit_test(a_folder_of_files_keeps_keys_for_its_owner_alone),
        cmocka_unit_test(a_secret_is_not_overwritten_and_no_link_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
