/* Metrics: counters, gauges and histograms, and their Prometheus text form (version 0.0.4). */
#pragma once

#include "base/text.h"

enum bst_metric_kind { BST_METRIC_COUNTER, BST_METRIC_GAUGE, BST_METRIC_HISTOGRAM };

struct bst_metric;

/** Find or make a series. Keep the pointer: it stays valid as long as the process.
 *
 * @param name    Prometheus name with its unit, e.g. "bastide_requests_total"
 * @param labels  ready-made label list such as `op="create",result="2001"`, or NULL. Never built
 * from what a peer sent: the number of series is limited, and what exceeds it shares one series
 * that is not shown.
 * @thread any; takes a lock, so not on the hot path
 */
struct bst_metric *bst_metric_get(enum bst_metric_kind kind, const char *name, const char *help,
                                  const char *labels);

/* Lock-free; NULL is ignored. */
void bst_metric_add(struct bst_metric *metric, int64_t n);
void bst_metric_set(struct bst_metric *metric, int64_t value);
/** Histograms count microseconds and show seconds. */
void bst_metric_observe_us(struct bst_metric *metric, int64_t us);
int64_t bst_metric_value(const struct bst_metric *metric); /* histograms: the count */

/** Have `collect` called before each exposition, to set gauges. At most 16. */
bst_result bst_metrics_on_collect(void (*collect)(void *ctx), void *ctx);
/** Forget the collectors with this context: before the context dies. */
void bst_metrics_off_collect(void *ctx);
/** Append the text exposition of everything registered. */
bst_result bst_metrics_expose(struct bst_buf *ret);
#define BST_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
