/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api_bench.h"
#include <stdlib.h>

void series_add(struct series *series, int64_t value_ns)
{
    if (series->count == series->capacity) {
        series->capacity = series->capacity ? 2 * series->capacity : 1024;
        series->values = xrealloc(series->values, series->capacity * sizeof(*series->values));
    }
    series->values[series->count++] = value_ns;
}

void series_done(struct series *series)
{
    free(series->values);
    *series = (struct series){0};
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

void series_print(const char *name, struct series *series, struct text *ret)
{
    const int64_t *values = series->values;
    size_t count = series->count;

    if (!count) {
        text_printf(ret, "\"%s\": null", name);
        return;
    }
    qsort(series->values, count, sizeof(*values), compare);
    text_printf(
        ret,
        "\"%s\": {\"count\": %zu, \"p50_ns\": %lld, \"p90_ns\": %lld, \"p99_ns\": %lld, \"max_ns\": %lld}",
        name, count, (long long)values[count / 2], (long long)values[count * 90 / 100],
        (long long)values[count * 99 / 100], (long long)values[count - 1]);
}
