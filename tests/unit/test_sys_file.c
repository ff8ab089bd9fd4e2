/* Files: caps, durability, locks. */
#include "support/test.h"

#include "support/scratch.h"
#include "sys/file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scratch dir;
static char path[300];

static int set_up(void **state)
{
    (void)state;
    assert_true(scratch_make(&dir));
    snprintf(path, sizeof path, "%s/file", dir.dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bst_file_fail_at(0);
    scratch_remove(&dir);
    return 0;
}

static void assert_content(const char *expected)
{
    struct bst_buf content = {0};
    assert_ok(bst_file_read(path, 1000, &content));
    assert_true(bst_view_is(bst_buf_view(&content), expected));
    bst_buf_clear(&content);
}

static void a_file_is_read_up_to_its_cap(void **state)
{
    (void)state;
    struct bst_buf content = {0};
    assert_ok(bst_file_write_atomic(path, BST_VIEW("0123456789"), 0600));
    assert_ok(bst_file_read(path, 10, &content));
    assert_int_equal(content.len, 10);
    bst_buf_clear(&content);
    assert_err(bst_file_read(path, 9, &content), BST_E_TOO_LONG);
    assert_err(bst_file_read("/nonexistent/file", 9, &content), BST_E_NOT_FOUND);
    assert_err(bst_file_read(dir.dir, 9, &content), BST_E_IO);
    assert_err(bst_file_read("/dev/zero", 100000, &content), BST_E_TOO_LONG);
}

static void a_replacement_has_the_mode_that_was_asked_for(void **state)
{
    (void)state;
    unsigned mode = 0;
    mode_t old = umask(0);
    assert_ok(bst_file_write_atomic(path, BST_VIEW("a"), 0640));
    umask(077);
    assert_ok(bst_file_mode(path, &mode));
    assert_int_equal(mode, 0640);
    assert_ok(bst_file_write_atomic(path, BST_VIEW("b"), 0644));
    umask(old);
    assert_ok(bst_file_mode(path, &mode));
    assert_int_equal(mode, 0644);
    assert_content("b");
    assert_err(bst_file_mode("/nonexistent", &mode), BST_E_NOT_FOUND);
}

static bst_result count_name(void *user, const char *name)
{
    (void)name;
    ++*(int *)user;
    return BST_OK;
}

static void a_failed_replacement_leaves_the_old_content_and_no_litter(void **state)
{
    (void)state;
    assert_ok(bst_file_write_atomic(path, BST_VIEW("old"), 0600));
    bst_file_fail_at(1000);
    assert_ok(bst_file_write_atomic(path, BST_VIEW("old"), 0600));
    long operations = bst_file_count();
    assert_true(operations >= 4);
    for (long n = 1; n <= operations; n++) {
        bst_file_fail_at(n);
        assert_err(bst_file_write_atomic(path, BST_VIEW("new"), 0600), BST_E_IO);
        bst_file_fail_at(0);
        /* After the rename the new content is there, only its durability is in doubt. */
        assert_content(n < operations ? "old" : "new");
        int names = 0;
        assert_ok(bst_dir_list(dir.dir, count_name, &names));
        assert_int_equal(names, 1);
    }
}

static void appended_data_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    struct bst_append file;
    assert_ok(bst_append_open(path, 0600, &file));
    assert_ok(bst_append_write(&file, BST_VIEW("one\n")));
    assert_ok(bst_append_sync(&file));
    bst_file_fail_at(1);
    assert_err(bst_append_write(&file, BST_VIEW("two\n")), BST_E_IO);
    bst_file_fail_at(1);
    assert_err(bst_append_sync(&file), BST_E_IO);
    bst_file_fail_at(0);
    assert_ok(bst_append_write(&file, BST_VIEW("three\n")));
    assert_int_equal(file.size_bytes, 10);
    bst_append_clear(&file);
    bst_append_clear(&file);
    assert_content("one\nthree\n");
    assert_err(bst_append_open("/nonexistent/x", 0600, &file), BST_E_NOT_FOUND);
}

static void links_are_not_followed_when_writing(void **state)
{
    (void)state;
    struct bst_append file;
    struct bst_lock lock;
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(bst_failed(bst_append_open(path, 0600, &file)));
    assert_true(bst_failed(bst_lock_take(path, &lock)));
}

static void folders_are_made_with_their_parents(void **state)
{
    (void)state;
    char deep[400];
    snprintf(deep, sizeof deep, "%s/a/b/c", dir.dir);
    assert_ok(bst_dir_make(deep, 0700));
    assert_ok(bst_dir_make(deep, 0700));
    assert_true(bst_file_exists(deep));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rmdir(deep), 0);
        deep[strlen(deep) - 2] = '\0';
    }
    assert_ok(bst_file_write_atomic(path, BST_VIEW("x"), 0600));
    snprintf(deep, sizeof deep, "%s/file/b", dir.dir);
    assert_err(bst_dir_make(deep, 0700), BST_E_EXISTS);
    assert_ok(bst_file_remove(path));
    assert_err(bst_file_remove(path), BST_E_NOT_FOUND);
    assert_err(bst_dir_list(path, count_name, NULL), BST_E_NOT_FOUND);
}

static void a_lock_is_exclusive_and_names_its_holder(void **state)
{
    (void)state;
    struct bst_lock lock, second;
    char pid[16];
    assert_ok(bst_lock_take(path, &lock));
    assert_err(bst_lock_take(path, &second), BST_E_LOCKED);
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    assert_non_null(strstr(bst_error_detail(), pid));
    pid_t child = fork();
    if (child == 0) {
        _exit(bst_lock_take(path, &second).code == BST_E_LOCKED ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    bst_lock_clear(&lock);
    bst_lock_clear(&lock);
    assert_ok(bst_lock_take(path, &second));
    bst_lock_clear(&second);
}

static void memory_that_runs_out_leaves_the_old_content(void **state)
{
    (void)state;
    assert_ok(bst_file_write_atomic(path, BST_VIEW("old"), 0600));
    struct bst_buf content = {0};
    bst_alloc_fail_at(1);
    assert_err(bst_file_read(path, 100, &content), BST_E_NOMEM);
    bst_alloc_fail_at(1);
    assert_err(bst_file_write_atomic(path, BST_VIEW("new"), 0600), BST_E_NOMEM);
    bst_alloc_fail_at(0);
    assert_content("old");
}

int main(void)
{
#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FILE_TEST(a_file_is_read_up_to_its_cap),
        FILE_TEST(a_replacement_has_the_mode_that_was_asked_for),
        FILE_TEST(a_failed_replacement_leaves_the_old_content_and_no_litter),
        FILE_TEST(appended_data_is_there_whole_or_not_at_all),
        FILE_TEST(links_are_not_followed_when_writing),
        FILE_TEST(folders_are_made_with_their_parents),
        FILE_TEST(a_lock_is_exclusive_and_names_its_holder),
        FILE_TEST(memory_that_runs_out_leaves_the_old_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
