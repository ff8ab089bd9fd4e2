/* Registry of series and their text form. A series is never freed, so that a pointer kept anywhere
 * stays valid; their number is limited. */
#include "obs/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define METRIC_SERIES_MAX 2048
#define METRIC_COLLECTORS 16

/* Upper bounds of the histogram buckets in microseconds: 50 us to 10 s. */
static const int64_t bounds_us[] = {50,    100,   250,    500,    1000,   2500,    5000,    10000,
                                    25000, 50000, 100000, 250000, 500000, 1000000, 10000000};
#define METRIC_BUCKETS (sizeof bounds_us / sizeof bounds_us[0])

struct bst_metric {
    struct bst_metric *next;
    enum bst_metric_kind kind;
    char *name, *help, *labels;
    atomic_int_least64_t value;    /* histograms: the sum in us */
    atomic_int_least64_t *buckets; /* METRIC_BUCKETS, then +Inf */
};

static struct {
    pthread_mutex_t lock;
    struct bst_metric *first, *last;
    size_t count;
    struct {
        void (*run)(void *ctx);
        void *ctx;
    } collectors[METRIC_COLLECTORS];
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Takes what does not fit into the registry; shown nowhere. */
static atomic_int_least64_t overflow_buckets[METRIC_BUCKETS + 1];
static struct bst_metric overflow = {.buckets = overflow_buckets};

static bool same_labels(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct bst_metric *metric_find(const char *name, const char *labels)
{
    for (struct bst_metric *m = registry.first; m; m = m->next) {
        if (strcmp(m->name, name) == 0 && same_labels(m->labels, labels)) {
            return m;
        }
    }
    return NULL;
}

static void metric_free(struct bst_metric *m)
{
    bst_free(m->name);
    bst_free(m->help);
    bst_free(m->labels);
    bst_free(m->buckets);
    bst_free(m);
}

static struct bst_metric *metric_new(enum bst_metric_kind kind, const char *name, const char *help,
                                     const char *labels)
{
    struct bst_metric *m = bst_alloc(sizeof *m);
    if (!m) {
        return NULL;
    }
    m->kind = kind;
    m->name = bst_strdup(name);
    m->help = bst_strdup(help);
    m->labels = labels ? bst_strdup(labels) : NULL;
    if (kind == BST_METRIC_HISTOGRAM) {
        m->buckets = bst_alloc((METRIC_BUCKETS + 1) * sizeof *m->buckets);
    }
    bool whole = m->name && m->help && (!labels || m->labels) &&
                 (kind != BST_METRIC_HISTOGRAM || m->buckets);
    if (!whole) {
        metric_free(m);
        return NULL;
    }
    return m;
}

/* Series of one name stand together, as the text form wants them. */
static void metric_link(struct bst_metric *m)
{
    struct bst_metric *after = registry.last;
    for (struct bst_metric *p = registry.first; p; p = p->next) {
        if (strcmp(p->name, m->name) == 0) {
            after = p;
        }
    }
    if (!after) {
        registry.first = registry.last = m;
    } else {
        m->next = after->next;
        after->next = m;
        if (after == registry.last) {
            registry.last = m;
        }
    }
    registry.count++;
}

struct bst_metric *bst_metric_get(enum bst_metric_kind kind, const char *name, const char *help,
                                  const char *labels)
{
    pthread_mutex_lock(&registry.lock);
    struct bst_metric *m = metric_find(name, labels);
    if (!m && registry.count < METRIC_SERIES_MAX && (m = metric_new(kind, name, help, labels))) {
        metric_link(m);
    }
    pthread_mutex_unlock(&registry.lock);
    return m && m->kind == kind ? m : &overflow;
}

void bst_metric_add(struct bst_metric *metric, int64_t n)
{
    if (metric) {
        atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
    }
}

void bst_metric_set(struct bst_metric *metric, int64_t value)
{
    if (metric) {
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
    }
}

void bst_metric_observe_us(struct bst_metric *metric, int64_t us)
{
    if (!metric || !metric->buckets) {
        return;
    }
    size_t i = 0;
    while (i < METRIC_BUCKETS && us > bounds_us[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
    bst_metric_add(metric, us);
}

int64_t bst_metric_value(const struct bst_metric *metric)
{
    if (!metric) {
        return 0;
    }
    if (!metric->buckets) {
        return atomic_load_explicit(&metric->value, memory_order_relaxed);
    }
    int64_t count = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    }
    return count;
}

bst_result bst_metrics_on_collect(void (*collect)(void *ctx), void *ctx)
{
    bst_result result = bst_error(BST_E_LIMIT);
    pthread_mutex_lock(&registry.lock);
    for (size_t i = 0; i < METRIC_COLLECTORS; i++) {
        if (!registry.collectors[i].run) {
            registry.collectors[i].run = collect;
            registry.collectors[i].ctx = ctx;
            result = BST_OK;
            break;
        }
    }
    pthread_mutex_unlock(&registry.lock);
    return result;
}

void bst_metrics_off_collect(void *ctx)
{
    pthread_mutex_lock(&registry.lock);
    for (size_t i = 0; i < METRIC_COLLECTORS; i++) {
        if (registry.collectors[i].ctx == ctx) {
            registry.collectors[i].run = NULL;
            registry.collectors[i].ctx = NULL;
        }
    }
    pthread_mutex_unlock(&registry.lock);
}

static void run_collectors(void)
{
    for (size_t i = 0; i < METRIC_COLLECTORS; i++) {
        pthread_mutex_lock(&registry.lock);
        void (*run)(void *ctx) = registry.collectors[i].run;
        void *ctx = registry.collectors[i].ctx;
        pthread_mutex_unlock(&registry.lock);
        if (run) {
            run(ctx);
        }
    }
}

static void expose_name(struct bst_buf *out, const struct bst_metric *m, const char *suffix,
                        const char *extra)
{
    bst_buf_adds(out, m->name);
    bst_buf_adds(out, suffix);
    if (m->labels || extra) {
        bst_buf_addf(out, "{%s%s%s}", m->labels ? m->labels : "", m->labels && extra ? "," : "",
                     extra ? extra : "");
    }
    bst_buf_addc(out, ' ');
}

static void expose_histogram(struct bst_buf *out, const struct bst_metric *m)
{
    int64_t below = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        char le[32] = "le=\"+Inf\"";
        if (i < METRIC_BUCKETS) {
            snprintf(le, sizeof le, "le=\"%g\"", (double)bounds_us[i] / 1e6);
        }
        below += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        expose_name(out, m, "_bucket", le);
        bst_buf_addf(out, "%lld\n", (long long)below);
    }
    expose_name(out, m, "_sum", NULL);
    bst_buf_addf(out, "%.6f\n", (double)atomic_load(&m->value) / 1e6);
    expose_name(out, m, "_count", NULL);
    bst_buf_addf(out, "%lld\n", (long long)below);
}

static void expose_help(struct bst_buf *out, const struct bst_metric *m)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    bst_buf_addf(out, "# HELP %s ", m->name);
    for (const char *p = m->help; *p; p++) {
        bst_buf_adds(out, *p == '\\' ? "\\\\" : *p == '\n' ? "\\n" : (char[2]){*p, 0});
    }
    bst_buf_addf(out, "\n# TYPE %s %s\n", m->name, kinds[m->kind]);
}

bst_result bst_metrics_expose(struct bst_buf *ret)
{
    run_collectors();
    pthread_mutex_lock(&registry.lock);
    const char *previous = "";
    for (const struct bst_metric *m = registry.first; m; m = m->next) {
        if (strcmp(previous, m->name) != 0) {
            expose_help(ret, m);
            previous = m->name;
        }
        if (m->kind == BST_METRIC_HISTOGRAM) {
            expose_histogram(ret, m);
        } else {
            expose_name(ret, m, "", NULL);
            bst_buf_addf(ret, "%lld\n", (long long)bst_metric_value(m));
        }
    }
    pthread_mutex_unlock(&registry.lock);
    return bst_buf_check(ret);
}
