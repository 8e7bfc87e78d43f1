/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/histogram.h"

#include <stdbool.h>
#include <stdint.h>

/* What client-go counts of its calls to an apiserver, as the families rest_client_* have it
 * (k8s.io/component-base, metrics/prometheus/restclient): one series for each method and host. Hosts are
 * those of the configuration, so there are few. */

#define REST_STATUS_MAX 600

struct rest_series {
    struct rest_series *next;
    char *method, *host;             /* "GET", "10.0.0.1:6443" */
    uint64_t calls[REST_STATUS_MAX]; /* by HTTP status; [0]: no answer */
    /* Of calls that are answered whole, as client-go has it; watches, a streaming list among them, count in
     * calls alone. Seconds and bytes. */
    struct histogram duration, throttled, request_size, response_size;
};

/* How calls of a credential program end, in client-go's words. */
enum rest_exec { REST_EXEC_GOOD, REST_EXEC_FAILED, REST_EXEC_NOT_FOUND, REST_EXEC_COUNT };

struct rest_metrics {
    struct rest_series *series; /* in the order of their first call */
    uint64_t exec_calls[REST_EXEC_COUNT];
};

/* Never NULL; both texts are copied. */
struct rest_series *rest_metrics_series(struct rest_metrics *metrics, const char *method, const char *host);
void rest_metrics_done(struct rest_metrics *metrics);
/* "no_error" and so on: the label call_status. */
const char *rest_exec_name(enum rest_exec exec);
