/* sec/context: time patterns, address ranges, regions. */
#include "support/test.h"

#include "sec/context.h"

#include <math.h>

static bool holds(const char *pattern, const char *time)
{
    struct bst_crontab window;
    int64_t us;
    struct bst_calendar at;
    assert_ok(bst_crontab_parse(bst_view(pattern), &window));
    assert_ok(bst_m2m_time_parse(bst_view(time), &us));
    bst_calendar_of(us, &at);
    return bst_crontab_match(&window, &at);
}

static void a_window_holds_exactly_when_all_fields_do(void **state)
{
    assert_true(holds("* * * * * * *", "20261123T031415"));
    assert_true(holds("* 0-5 2,6,10 * * * *", "20261123T060559"));
    assert_false(holds("* 0-5 2,6,10 * * * *", "20261123T060600"));
    assert_false(holds("* 0-5 2,6,10 * * * *", "20261123T070300"));
    assert_true(holds("* * 0-23/2 * * * *", "20261123T220000"));
    assert_false(holds("* * 0-23/2 * * * *", "20261123T230000"));
    assert_true(holds("15 14 3 23 11 1 2026", "20261123T031415"));
    assert_false(holds("16 14 3 23 11 1 2026", "20261123T031415"));
    assert_false(holds("15 14 3 23 11 1 2027", "20261123T031415"));
}

static void day_and_weekday_must_both_match(void **state)
{
    /* 23 November 2026 is a Monday */
    assert_true(holds("* * * 23 * 1 *", "20261123T000000"));
    assert_false(holds("* * * 23 * 2 *", "20261123T000000"));
    assert_false(holds("* * * 24 * 1 *", "20261123T000000"));
}

static void a_step_after_an_asterisk_starts_at_the_lowest_value(void **state)
{
    assert_true(holds("* * * * * */2 *", "20261122T000000"));  /* Sunday */
    assert_false(holds("* * * * * */2 *", "20261123T000000")); /* Monday */
    assert_true(holds("* * * */10 * * *", "20261111T000000"));
    assert_false(holds("* * * */10 * * *", "20261110T000000"));
    assert_true(holds("* * * * * * */2", "20261110T000000"));
    assert_false(holds("* * * * * * */2", "20271110T000000"));
    assert_true(holds("*/59 * * * * * *", "20261110T000059"));
}

static void lists_may_mix_numbers_ranges_and_steps(void **state)
{
    assert_true(holds("1,3,10-20/5,59 * * * * * 2020-2022,2026", "20261110T000015"));
    assert_false(holds("1,3,10-20/5,59 * * * * * 2020-2022,2026", "20261110T000016"));
    assert_false(holds("1,3,10-20/5,59 * * * * * 2020-2022,2026", "20231110T000015"));
}

static void wrong_patterns_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "*",
        "* * * * * *",
        "* * * * * * * *",
        "60 * * * * * *",
        "* 60 * * * * *",
        "* * 24 * * * *",
        "* * * 0 * * *",
        "* * * 32 * * *",
        "* * * * 0 * *",
        "* * * * 13 * *",
        "* * * * * 7 *",
        "* * * * * * 1999",
        "* * * * * * 10000",
        "5-1 * * * * * *",
        "1- * * * * * *",
        "-1 * * * * * *",
        "1/2 * * * * * *",
        "1-5/0 * * * * * *",
        "1-5/ * * * * * *",
        "*/0 * * * * * *",
        "1,,2 * * * * * *",
        "1, * * * * * *",
        ",1 * * * * * *",
        "*,1 * * * * * *",
        "a * * * * * *",
        "+1 * * * * * *",
        "1-2-3 * * * * * *",
        "*-5 * * * * * *",
        "1.5 * * * * * *",
        "99999999999999999999 * * * * * *",
        "* * * * * * 2001,2002,2003,2004,2005,2006,2007,2008,2009",
    };
    struct bst_crontab window;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!bst_failed(bst_crontab_parse(bst_view(bad[i]), &window))) {
            fail_msg("accepted '%s'", bad[i]);
        }
    }
    char text[2000];
    memset(text, '1', sizeof text);
    assert_err(bst_crontab_parse(bst_view_of(text, sizeof text), &window), BST_E_TOO_LONG);
    assert_err(bst_crontab_parse(bst_view_of("* * * * * * *\0", 14), &window), BST_E_SYNTAX);
}

static void the_error_names_the_field(void **state)
{
    struct bst_crontab window;
    assert_err(bst_crontab_parse(bst_view("* * 25 * * * *"), &window), BST_E_VALUE);
    assert_non_null(strstr(bst_error_detail(), "hour"));
    assert_err(bst_crontab_parse(bst_view("* * * * * *"), &window), BST_E_SYNTAX);
    assert_non_null(strstr(bst_error_detail(), "year"));
}

static bool inside(const char *net, uint8_t family, const char *address)
{
    struct bst_cidr cidr;
    struct bst_ip ip;
    assert_ok(bst_cidr_parse(bst_view(net), family, &cidr));
    assert_ok(bst_ip_parse(bst_view(address), &ip));
    return bst_cidr_match(&cidr, &ip);
}

static void addresses_match_their_ranges(void **state)
{
    assert_true(inside("192.168.1.0/24", 4, "192.168.1.255"));
    assert_false(inside("192.168.1.0/24", 4, "192.168.2.0"));
    assert_true(inside("192.168.1.7", 4, "192.168.1.7"));
    assert_false(inside("192.168.1.7", 4, "192.168.1.6"));
    assert_true(inside("0.0.0.0/0", 4, "8.8.8.8"));
    assert_true(inside("10.0.0.0/9", 4, "10.127.255.255"));
    assert_false(inside("10.0.0.0/9", 4, "10.128.0.0"));
    assert_true(inside("2001:db8::/33", 6, "2001:db8:7fff::1"));
    assert_false(inside("2001:db8::/33", 6, "2001:db8:8000::1"));
    assert_true(inside("::1", 6, "::1"));
}

static void the_families_do_not_mix(void **state)
{
    assert_false(inside("0.0.0.0/0", 4, "::1"));
    assert_false(inside("::/0", 6, "127.0.0.1"));
    /* an IPv4 peer on a dual-stack socket is an IPv4 peer */
    assert_true(inside("127.0.0.0/8", 4, "::ffff:127.0.0.1"));
    assert_true(inside("::ffff:127.0.0.0/104", 6, "127.3.2.1"));
    struct bst_cidr any;
    assert_ok(bst_cidr_parse(bst_view("0.0.0.0/0"), 4, &any));
    assert_false(bst_cidr_match(&any, &(struct bst_ip){0}));
}

static void wrong_addresses_are_refused(void **state)
{
    static const char *const bad[] = {
        "",         "1.2.3",      "1.2.3.4.5",    "1.2.3.256",   "1.2.3.4/33",
        "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8",   "1.2.3.4/8/8", "::1",
        "1.2.3.4 ", "01.2.3.4",   "1.2.3.4/0008", "host"};
    struct bst_cidr cidr;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (!bst_failed(bst_cidr_parse(bst_view(bad[i]), 4, &cidr))) {
            fail_msg("accepted '%s'", bad[i]);
        }
    }
    assert_true(bst_failed(bst_cidr_parse(bst_view("::1/129"), 6, &cidr)));
    assert_true(bst_failed(bst_cidr_parse(bst_view("fe80::1%eth0"), 6, &cidr)));
    assert_true(bst_failed(bst_cidr_parse(bst_view("1.2.3.4"), 6, &cidr)));
}

static void distances_are_those_of_the_globe(void **state)
{
    /* Sophia Antipolis to Paris, about 687 km */
    double d = bst_geo_distance_m(43.6163, 7.0556, 48.8566, 2.3522);
    assert_true(fabs(d - 687000) < 4000);
    assert_true(bst_geo_distance_m(10, 20, 10, 20) < 0.001);
    /* half a great circle, and across the date line */
    assert_true(fabs(bst_geo_distance_m(0, 0, 0, 180) - 20015115) < 100);
    assert_true(fabs(bst_geo_distance_m(0, 179.9, 0, -179.9) - 22239) < 10);
}

static void a_region_holds_only_a_known_place(void **state)
{
    struct bst_region circle = {
        .circle = true, .latitude = 43.6, .longitude = 7.0, .radius_m = 5000};
    struct bst_location near = {.has_point = true, .latitude = 43.61, .longitude = 7.01};
    struct bst_location far = {.has_point = true, .latitude = 43.7, .longitude = 7.01};
    struct bst_location country = {.country = "FR"};
    assert_true(bst_region_match(&circle, &near));
    assert_false(bst_region_match(&circle, &far));
    assert_false(bst_region_match(&circle, &country));
    struct bst_region france = {.country = "FR"}, spain = {.country = "ES"};
    assert_true(bst_region_match(&france, &country));
    assert_false(bst_region_match(&spain, &country));
    assert_false(bst_region_match(&france, &near));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_holds_exactly_when_all_fields_do),
        cmocka_unit_test(day_and_weekday_must_both_match),
        cmocka_unit_test(a_step_after_an_asterisk_starts_at_the_lowest_value),
        cmocka_unit_test(lists_may_mix_numbers_ranges_and_steps),
        cmocka_unit_test(wrong_patterns_are_refused),
        cmocka_unit_test(the_error_names_the_field),
        cmocka_unit_test(addresses_match_their_ranges),
        cmocka_unit_test(the_families_do_not_mix),
        cmocka_unit_test(wrong_addresses_are_refused),
        cmocka_unit_test(distances_are_those_of_the_globe),
        cmocka_unit_test(a_region_holds_only_a_known_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
