/* cli: the command table gives parsing, help, man page and completion. */
#include "support/cli_run.h"

static void wrong_words_are_told_with_the_nearest(void **state)
{
    expect(run_words((const char *const[]){NULL}), CLI_USAGE, "", "usage: bastide COMMAND");
    expect(RUN("srve"), CLI_USAGE, "", "did you mean 'serve'?");
    expect(RUN("zzzzzz"), CLI_USAGE, "", "lists them");
    expect(RUN("config"), CLI_USAGE, "", "config check");
    expect(RUN("config", "chek"), CLI_USAGE, "", "there is no 'chek'");
    expect(RUN("config", "show", "--orgin"), CLI_USAGE, "", "did you mean '--origin'?");
    expect(RUN("serve", "--lab"), CLI_USAGE, "", "--lab wants PORT");
    expect(RUN("serve", "--lab", "99999"), CLI_USAGE, "", "0 to 65535");
    expect(RUN("serve", "--lab", "1", "--lab", "2"), CLI_USAGE, "", "given twice");
    expect(RUN("config", "show", "--origin=yes"), CLI_USAGE, "", "takes no value");
    expect(RUN("version", "extra"), CLI_USAGE, "", "unexpected argument 'extra'");
}

static void values_come_after_the_option_or_after_an_equals_sign(void **state)
{
    expect(RUN("config", "show", "--state", "/nonexistent", "--set", "workers=3"), CLI_OK,
           "workers: 3", "");
    expect(RUN("config", "show", "--state=/nonexistent", "--set=workers=4"), CLI_OK, "workers: 4",
           "");
    expect(RUN("config", "check", "--state", "/nonexistent", "--", "--odd"), CLI_NOT_FOUND, "",
           "--odd");
}

static void failures_are_objects_with_json(void **state)
{
    expect(RUN("config", "check", "--json", "--set", "workers=x"), CLI_INPUT,
           "\"error\":\"CONFIG\"", "workers");
    expect(RUN("config", "check", "--json", "--state", "/nonexistent"), CLI_OK, "{\"ok\":true", "");
}

static void each_command_has_a_summary_an_example_and_help(void **state)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *c = cli_commands[i];
        assert_true(c->summary[0] && c->summary[strlen(c->summary) - 1] != '.');
        expect(RUN(c->name, "--help"), CLI_OK, "example:", "");
        if (c->run) {
            assert_non_null(strstr(c->example, c->name));
        }
        for (const struct cli_command *w = c->words; !c->run && w->name; w++) {
            assert_true(w->summary[0] && w->summary[strlen(w->summary) - 1] != '.');
            assert_non_null(w->run);
            if (!strstr(w->example, w->name)) {
                fail_msg("the example of %s %s shows something else", c->name, w->name);
            }
            expect(RUN(c->name, w->name, "--help"), CLI_OK, w->summary, "");
        }
    }
}

static void the_man_page_is_the_table(void **state)
{
    static char page[262144];
    char name[512];
    bst_auto(buf) made = {0};
    assert_ok(cli_man_page(&made));
    snprintf(name, sizeof name, "%s/man/bastide.1", getenv("BST_SOURCE"));
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t len = fread(page, 1, sizeof page, file);
    fclose(file);
    if (!bst_view_eq(bst_view_of(page, len), bst_buf_view(&made))) {
        fail_msg("man/bastide.1 is not what 'bastide version --man' prints");
    }
}

static void completion_knows_every_command(void **state)
{
    bst_auto(buf) made = {0};
    assert_ok(cli_completion(&made));
    bst_auto_free char *text = bst_buf_take_text(&made);
    for (size_t i = 0; cli_commands[i]; i++) {
        assert_non_null(strstr(text, cli_commands[i]->name));
    }
}

static void exit_codes_follow_the_class_of_an_error(void **state)
{
    assert_int_equal(cli_exit_of(BST_E_NONE), CLI_OK);
    assert_int_equal(cli_exit_of(BST_E_USAGE), CLI_USAGE);
    assert_int_equal(cli_exit_of(BST_E_CONFIG), CLI_INPUT);
    assert_int_equal(cli_exit_of(BST_E_DENIED), CLI_DENIED);
    assert_int_equal(cli_exit_of(BST_E_NOT_FOUND), CLI_NOT_FOUND);
    assert_int_equal(cli_exit_of(BST_E_LOCKED), CLI_CONFLICT);
    assert_int_equal(cli_exit_of(BST_E_NOT_REACHABLE), CLI_IO);
    assert_int_equal(cli_exit_of(BST_E_INTERNAL), CLI_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_told_with_the_nearest),
        cmocka_unit_test(values_come_after_the_option_or_after_an_equals_sign),
        cmocka_unit_test(failures_are_objects_with_json),
        cmocka_unit_test(each_command_has_a_summary_an_example_and_help),
        cmocka_unit_test(the_man_page_is_the_table),
        cmocka_unit_test(completion_knows_every_command),
        cmocka_unit_test(exit_codes_follow_the_class_of_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
