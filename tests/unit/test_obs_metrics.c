/* obs/metrics: the text exposition, series kept apart, histograms, the limit of series. */
#include "support/test.h"

#include "obs/metrics.h"

#include <stdio.h>

static char *expose(void)
{
    struct bst_buf out = {0};
    assert_ok(bst_metrics_expose(&out));
    return bst_buf_take_text(&out);
}

static void series_of_one_name_stand_together_under_one_help(void **state)
{
    struct bst_metric *a =
        bst_metric_get(BST_METRIC_COUNTER, "t_requests_total", "Requests.", "op=\"create\"");
    struct bst_metric *g =
        bst_metric_get(BST_METRIC_GAUGE, "t_open", "Open \\ things.\nNow.", NULL);
    struct bst_metric *b =
        bst_metric_get(BST_METRIC_COUNTER, "t_requests_total", "Requests.", "op=\"delete\"");
    bst_metric_add(a, 2);
    bst_metric_add(b, 3);
    bst_metric_set(g, -4);
    bst_auto_free char *text = expose();
    assert_non_null(strstr(text, "# HELP t_requests_total Requests.\n"
                                 "# TYPE t_requests_total counter\n"
                                 "t_requests_total{op=\"create\"} 2\n"
                                 "t_requests_total{op=\"delete\"} 3\n"));
    assert_non_null(strstr(text, "# HELP t_open Open \\\\ things.\\nNow.\n# TYPE t_open gauge\n"
                                 "t_open -4\n"));
}

static void the_same_name_and_labels_give_the_same_series(void **state)
{
    assert_ptr_equal(bst_metric_get(BST_METRIC_GAUGE, "t_same", "Same.", "a=\"1\""),
                     bst_metric_get(BST_METRIC_GAUGE, "t_same", "Same.", "a=\"1\""));
}

static void histograms_count_into_buckets_and_show_seconds(void **state)
{
    struct bst_metric *h = bst_metric_get(BST_METRIC_HISTOGRAM, "t_seconds", "Time.", NULL);
    bst_metric_observe_us(h, 50);
    bst_metric_observe_us(h, 51);
    bst_metric_observe_us(h, INT64_C(20000000));
    assert_int_equal(bst_metric_value(h), 3);
    bst_auto_free char *text = expose();
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"5e-05\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.0001\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "t_seconds_sum 20.000101\nt_seconds_count 3\n"));
}

static void set_forty_two(void *ctx)
{
    bst_metric_set(ctx, 42);
}

static void collectors_run_before_each_exposition(void **state)
{
    struct bst_metric *g = bst_metric_get(BST_METRIC_GAUGE, "t_collected", "Collected.", NULL);
    assert_ok(bst_metrics_on_collect(set_forty_two, g));
    bst_auto_free char *text = expose();
    assert_non_null(strstr(text, "t_collected 42\n"));
    bst_metrics_off_collect(g);
    bst_metric_set(g, 1);
    bst_auto_free char *after = expose();
    assert_non_null(strstr(after, "t_collected 1\n"));
}

static void a_wrong_kind_a_full_registry_and_null_do_no_harm(void **state)
{
    struct bst_metric *m = bst_metric_get(BST_METRIC_COUNTER, "t_same", "Same.", "a=\"1\"");
    bst_metric_add(m, 1);
    bst_metric_add(NULL, 1);
    bst_metric_observe_us(NULL, 1);
    for (int i = 0; i < 5000; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "i=\"%d\"", i);
        bst_metric_add(bst_metric_get(BST_METRIC_COUNTER, "t_many_total", "Many.", labels), 1);
    }
    bst_auto_free char *text = expose();
    assert_non_null(strstr(text, "t_many_total{i=\"100\"} 1\n"));
    assert_null(strstr(text, "i=\"4999\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_of_one_name_stand_together_under_one_help),
        cmocka_unit_test(the_same_name_and_labels_give_the_same_series),
        cmocka_unit_test(histograms_count_into_buckets_and_show_seconds),
        cmocka_unit_test(collectors_run_before_each_exposition),
        cmocka_unit_test(a_wrong_kind_a_full_registry_and_null_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
