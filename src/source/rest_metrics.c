/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/rest_metrics.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static const double second_bounds[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};
static const double byte_bounds[] = {64,    256,    512,     1024,    4096,    16384,
                                     65536, 262144, 1048576, 4194304, 16777216};

struct rest_series *rest_metrics_series(struct rest_metrics *metrics, const char *method, const char *host)
{
    static const struct histogram seconds = {.bounds = second_bounds,
                                             .bound_count = ARRAY_LEN(second_bounds)};
    static const struct histogram bytes = {.bounds = byte_bounds, .bound_count = ARRAY_LEN(byte_bounds)};
    struct rest_series **at = &metrics->series;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->method, method) == 0 && strcmp((*at)->host, host) == 0)
            return *at;
    *at = xcalloc(1, sizeof(**at));
    **at = (struct rest_series){
        .method = xstrdup(method),
        .host = xstrdup(host),
        .duration = seconds,
        .throttled = seconds,
        .request_size = bytes,
        .response_size = bytes,
    };
    return *at;
}

void rest_metrics_done(struct rest_metrics *metrics)
{
    for (struct rest_series *series = metrics->series, *next; series; series = next) {
        next = series->next;
        free(series->method);
        free(series->host);
        free(series);
    }
    *metrics = (struct rest_metrics){0};
}

const char *rest_exec_name(enum rest_exec exec)
{
    switch (exec) {
    case REST_EXEC_GOOD:
        return "no_error";
    case REST_EXEC_FAILED:
        return "plugin_execution_error";
    case REST_EXEC_NOT_FOUND:
        return "plugin_not_found_error";
    case REST_EXEC_COUNT:
        break;
    }
    return "";
}
