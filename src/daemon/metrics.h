/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include "base/histogram.h"
#include "base/text.h"
#include "dataplane/dataplane.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy_settings;
struct rest_metrics;

/* Every number that fairlead publishes, as plain fields: whoever learns of something adds to its field. The
 * names are kube-proxy's (pkg/proxy/metrics of Kubernetes 1.36) where kube-proxy has the same, else
 * fairlead_*; the table in metrics.c binds names to fields. */

#define METRICS_NAMED_MAX 32

/* Gauges told apart by one label whose values are known at run time alone. */
struct metrics_named {
    struct {
        char name[48];
        double value;
    } items[METRICS_NAMED_MAX];
    size_t count;
};

enum metrics_policy { METRICS_POLICY_INTERNAL, METRICS_POLICY_EXTERNAL };
enum metrics_code { METRICS_CODE_200, METRICS_CODE_503 };

/* Whose families of kube-proxy's are shown. */
/* Which of the two the rules are written with. */
enum metrics_mode { METRICS_MODE_NFTABLES, METRICS_MODE_IPTABLES };

struct metrics_process {
    bool is_known;
    double cpu_seconds, start_time_s; /* start: since 1970 */
    uint64_t open_fds, max_fds, virtual_bytes, max_virtual_bytes, resident_bytes;
    uint64_t received_bytes, sent_bytes; /* by whatever shares the network namespace */
};

struct metrics {
    enum metrics_mode mode;
    bool has_family[FAMILY_COUNT]; /* the families that we serve; others have no samples */

    struct histogram sync_duration[FAMILY_COUNT]; /* seconds, as all histograms */
    struct histogram sync_full_duration[FAMILY_COUNT], sync_partial_duration[FAMILY_COUNT];
    double sync_last_timestamp_s[FAMILY_COUNT]; /* since 1970; 0: never, no sample */
    double sync_last_queued_timestamp_s[FAMILY_COUNT];
    struct histogram network_programming_duration[FAMILY_COUNT];
    uint64_t endpoint_changes_pending, endpoint_changes_total;
    uint64_t service_changes_pending, service_changes_total;
    uint64_t no_local_endpoints[FAMILY_COUNT][2]; /* by enum metrics_policy */
    uint64_t healthz_total[2], livez_total[2];    /* by enum metrics_code */
    uint64_t nftables_sync_failures_total[FAMILY_COUNT], nftables_cleanup_failures_total[FAMILY_COUNT];
    struct dataplane_restores iptables; /* of METRICS_MODE_IPTABLES */
    struct histogram conntrack_sync_duration[FAMILY_COUNT];
    uint64_t conntrack_deleted_entries_total[FAMILY_COUNT];

    uint64_t turns_total;
    struct histogram turn_duration;
    struct metrics_named store_objects; /* by kind */
    uint64_t refused_objects, frontend_conflicts;
    struct metrics_named kernel_elements; /* by map */

    struct metrics_process process;

    uint64_t pings_total;                  /* answers of the metrics server's own /healthz */
    const struct rest_metrics *rest;       /* NULL: there is no apiserver */
    const struct proxy_settings *settings; /* whose feature gates are told; NULL: none */
};

/* All zero, both families served, by nftables. */
void metrics_init(struct metrics *metrics);
/* Sets the gauge called name, adding it if new. Beyond METRICS_NAMED_MAX names it aborts: a program error. */
void metrics_set_named(struct metrics_named *named, const char *name, double value);
/* Fills metrics->process from /proc/self (proc(5)) and getrlimit (metrics_process.c). -errno and a sentence,
 * with is_known false.
 */
int metrics_read_process(struct metrics *metrics, struct err *err);

/* Adds everything in the Prometheus text format 0.0.4. */
void metrics_format(const struct metrics *metrics, struct text *text);
/* What kube-proxy has of Kubernetes' common parts: build, feature gates, rest_client_*
 * (metrics_kubernetes.c); a part of metrics_format. */
void metrics_format_kubernetes(const struct metrics *metrics, struct text *text);
/* /metrics/slis: the health checks alone (KEP-3466). */
void metrics_format_slis(const struct metrics *metrics, struct text *text);
