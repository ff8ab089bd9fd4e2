/* base/time: calendar and oneM2M timestamps. */
#include "support/test.h"

#include "base/time.h"

static void a_timestamp_survives_the_round_trip(void **state)
{
    int64_t us;
    assert_ok(bst_m2m_time_parse(bst_view("20261123T024038,123456"), &us));
    char text[BST_M2M_TIME_LEN + 1];
    bst_m2m_time_format(us, text);
    assert_string_equal(text, "20261123T024038,123456");
    assert_ok(bst_m2m_time_parse(bst_view("20000229T235959"), &us));
    assert_true(us == INT64_C(951868799) * BST_US_PER_S);
    assert_ok(bst_m2m_time_parse(bst_view("20261123T024038,1"), &us));
    bst_m2m_time_format(us, text);
    assert_string_equal(text, "20261123T024038,100000");
}

static void impossible_dates_are_refused(void **state)
{
    const char *const bad[] = {"20260229T000000",
                               "20261301T000000",
                               "20260100T000000",
                               "20260101T240000",
                               "20260101T000060",
                               "20260101t000000",
                               "20260101T0000",
                               "20260101T000000,",
                               "20260101T000000.5",
                               "20260101T000000Z",
                               "",
                               "99999999999999999T"};
    int64_t us;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!bst_failed(bst_m2m_time_parse(bst_view(bad[i]), &us))) {
            fail_msg("accepted %s", bad[i]);
        }
    }
}

static void a_relative_time_counts_from_now_in_milliseconds(void **state)
{
    int64_t us;
    assert_ok(bst_m2m_time_parse_absrel(bst_view("1500"), 1000000, &us));
    assert_true(us == 2500000);
    assert_ok(bst_m2m_time_parse_absrel(bst_view("-1"), 1000000, &us));
    assert_true(us == 999000);
    assert_err(bst_m2m_time_parse_absrel(bst_view("99999999999999999"), 0, &us), BST_E_VALUE);
}

static void weekdays_follow_the_calendar(void **state)
{
    struct bst_calendar c;
    bst_calendar_of(0, &c);
    assert_int_equal(c.weekday, 4);
    int64_t us;
    assert_ok(bst_rfc3339_parse(bst_view("2026-11-23T02:40:38.5Z"), &us));
    bst_calendar_of(us, &c);
    assert_int_equal(c.weekday, 1);
    assert_int_equal(c.micros, 500000);
    char text[BST_RFC3339_LEN + 1];
    bst_rfc3339_format(us, text);
    assert_string_equal(text, "2026-11-23T02:40:38.500Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_survives_the_round_trip),
        cmocka_unit_test(impossible_dates_are_refused),
        cmocka_unit_test(a_relative_time_counts_from_now_in_milliseconds),
        cmocka_unit_test(weekdays_follow_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
