/* obs/log: the three formats, escaping, flood control. */
#include "support/test.h"

#include "base/time.h"
#include "obs/log.h"

#include <stdio.h>

static struct bst_buf written;
static int64_t now_us;

static void collect(void *ctx, enum bst_log_level level, struct bst_view line)
{
    bst_buf_addv(&written, line);
}

static int64_t fake_now(void)
{
    return now_us;
}

static void begin(enum bst_log_format format, unsigned burst)
{
    bst_buf_clear(&written);
    now_us = INT64_C(1700000000) * BST_US_PER_S;
    bst_log_configure(&(struct bst_log_setup){.level = BST_LOG_INFO,
                                              .format = format,
                                              .write = collect,
                                              .wall_us = fake_now,
                                              .burst = burst});
}

static const char *text(void)
{
    bst_buf_addc(&written, '\0');
    return written.ptr;
}

static void a_text_line_names_time_level_event_and_fields(void **state)
{
    begin(BST_LOG_TEXT, 0);
    struct bst_log_field fields[] = {{"peer", BST_VIEW("127.0.0.1:5")},
                                     {"reason", BST_VIEW("no such key")}};
    bst_log_fields(BST_LOG_WARN, "tls.handshake_failed", fields, 2, "the %s refused", "peer");
    assert_string_equal(text(), "2023-11-14T22:13:20.000Z warn  tls.handshake_failed: the peer "
                                "refused peer=127.0.0.1:5 reason=\"no such key\"\n");
}

static void a_line_end_in_a_value_cannot_forge_a_line(void **state)
{
    begin(BST_LOG_TEXT, 0);
    struct bst_log_field field = {"subject", BST_VIEW("a\n2023 error fake: x")};
    bst_log_fields(BST_LOG_WARN, "test.event", &field, 1, "one\ntwo\x1b[0m");
    const char *line = text();
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, 0x1b));
}

static void json_lines_are_objects(void **state)
{
    begin(BST_LOG_JSON, 0);
    struct bst_log_field field = {"subject", BST_VIEW("a\"b\n")};
    bst_log_fields(BST_LOG_ERROR, "test.event", &field, 1, "said \"%d\"", 7);
    assert_string_equal(text(),
                        "{\"time\":\"2023-11-14T22:13:20.000Z\",\"level\":\"error\",\"event\":"
                        "\"test.event\",\"message\":\"said \\\"7\\\"\",\"subject\":"
                        "\"a\\\"b\\n\"}\n");
}

static void journal_values_with_line_ends_carry_their_length(void **state)
{
    begin(BST_LOG_JOURNAL, 0);
    struct bst_log_field field = {"subject", BST_VIEW("a\nb")};
    bst_log_fields(BST_LOG_WARN, "test.event", &field, 1, "plain");
    static const char want[] = "PRIORITY=4\nSYSLOG_IDENTIFIER=bastide\nMESSAGE=plain\n"
                               "BASTIDE_EVENT=test.event\nBASTIDE_SUBJECT\n\3\0\0\0\0\0\0\0a\nb\n";
    assert_int_equal(written.len, sizeof want - 1);
    assert_memory_equal(written.ptr, want, sizeof want - 1);
}

static void lines_below_the_level_are_not_written(void **state)
{
    begin(BST_LOG_TEXT, 0);
    assert_false(bst_log_enabled(BST_LOG_DEBUG));
    bst_log(BST_LOG_DEBUG, "test.event", "no");
    assert_int_equal(written.len, 0);
}

static void a_flood_of_one_event_is_counted_and_told(void **state)
{
    begin(BST_LOG_TEXT, 3);
    for (int i = 0; i < 100; i++) {
        bst_log(BST_LOG_WARN, "test.flood", "line %d", i);
    }
    bst_log(BST_LOG_WARN, "test.other", "not concerned");
    now_us += 11 * BST_US_PER_S;
    bst_log(BST_LOG_WARN, "test.flood", "later");
    const char *all = text();
    assert_non_null(strstr(all, "line 2"));
    assert_null(strstr(all, "line 3"));
    assert_non_null(strstr(all, "not concerned"));
    assert_non_null(strstr(all, "97 more lines"));
    assert_non_null(strstr(all, "later"));
}

static void a_clock_that_went_back_does_not_silence(void **state)
{
    begin(BST_LOG_TEXT, 1);
    bst_log(BST_LOG_WARN, "test.event", "first");
    now_us -= 3600 * BST_US_PER_S;
    bst_log(BST_LOG_WARN, "test.event", "second");
    assert_non_null(strstr(text(), "second"));
}

static void an_overlong_message_is_cut(void **state)
{
    begin(BST_LOG_TEXT, 0);
    char big[9000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    bst_log(BST_LOG_WARN, "test.event", "%s", big);
    assert_true(written.len < 4300);
}

static void levels_are_read_by_name(void **state)
{
    enum bst_log_level level;
    assert_ok(bst_log_level_parse(BST_VIEW("debug"), &level));
    assert_int_equal(level, BST_LOG_DEBUG);
    assert_err(bst_log_level_parse(BST_VIEW("debu"), &level), BST_E_VALUE);
    assert_err(bst_log_level_parse(BST_VIEW("debugg"), &level), BST_E_VALUE);
    assert_err(bst_log_level_parse(BST_VIEW(""), &level), BST_E_VALUE);
}

static int drop_written(void **state)
{
    bst_buf_clear(&written);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_names_time_level_event_and_fields),
        cmocka_unit_test(a_line_end_in_a_value_cannot_forge_a_line),
        cmocka_unit_test(json_lines_are_objects),
        cmocka_unit_test(journal_values_with_line_ends_carry_their_length),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(a_flood_of_one_event_is_counted_and_told),
        cmocka_unit_test(a_clock_that_went_back_does_not_silence),
        cmocka_unit_test(an_overlong_message_is_cut),
        cmocka_unit_test(levels_are_read_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, drop_written);
}
