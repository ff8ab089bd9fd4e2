/* Shared by the drivers that tools/bench starts: failures end them, latencies are sorted in the
 * end. */
#pragma once

#include "base/result.h"

#include <stdio.h>
#include <stdlib.h>

static inline void must(bst_result r, const char *what)
{
    if (bst_failed(r)) {
        fprintf(stderr, "%s: %s %s\n", what, bst_error_text(r.code), bst_error_detail());
        exit(1);
    }
}

static inline int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/** Sorts the values. */
static inline int64_t quantile(int64_t *values, size_t n, double q)
{
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof *values, by_size);
    size_t at = (size_t)((double)n * q);
    return values[at < n ? at : n - 1];
}
