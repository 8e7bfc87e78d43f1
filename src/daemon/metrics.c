/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/metrics.h"

#include "base/cleanup.h"
#include "daemon/exposition.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* kube-proxy's two sets of bounds: 1 ms doubled 14 times, and those of the network programming SLI, which
 * begin with a 0 because component-base's MergeBuckets puts one there. */
static const double sync_bounds[] = {
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
};
static const double programming_bounds[] = {
    0,  0.25, 0.5, 1,  2,  3,  4,  5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  15,  16, 17, 18,
    19, 20,   21,  22, 23, 24, 25, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37, 38, 39,
    40, 41,   42,  43, 44, 45, 46, 47,  48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  58, 59, 60,
    65, 70,   75,  80, 85, 90, 95, 100, 105, 110, 115, 120, 150, 180, 210, 240, 270, 300,
};
/* A turn that kube-proxy would count in its first bucket is what we want to see apart. */
static const double turn_bounds[] = {
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
};
_Static_assert(ARRAY_LEN(programming_bounds) <= HISTOGRAM_BOUNDS_MAX, "HISTOGRAM_BOUNDS_MAX is too small");

enum axis { AXIS_NONE, AXIS_FAMILY, AXIS_POLICY, AXIS_CODE, AXIS_TABLE };
/* In the order of the enums that index the fields. */
static const struct {
    const char *label, *values[2];
} axes[] = {
    [AXIS_FAMILY] = {"ip_family", {"IPv4", "IPv6"}},
    [AXIS_POLICY] = {"traffic_policy", {"internal", "external"}},
    [AXIS_CODE] = {"code", {"200", "503"}},
    [AXIS_TABLE] = {"table", {"filter", "nat"}},
};

enum type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
static const char *const type_names[] = {"counter", "gauge", "histogram"};

enum field {
    FIELD_COUNT,     /* uint64_t */
    FIELD_SECONDS,   /* double */
    FIELD_TIMESTAMP, /* double; no sample while 0 */
    FIELD_HISTOGRAM, /* struct histogram */
    FIELD_NAMED,     /* struct metrics_named */
    FIELD_BUILD,     /* no field: 1, labelled with the version */
};

enum only { ONLY_NOTHING, ONLY_NFTABLES, ONLY_IPTABLES };

struct row {
    const char *name, *help;
    enum type type;
    enum field field;
    size_t offset;
    enum axis axes[2]; /* outer first; the field is an array over them */
    const char *label; /* of FIELD_NAMED */
    const double *bounds;
    size_t bound_count;
    bool is_process; /* only while struct metrics_process is known */
    enum only only;
};

#define AT(member) .offset = offsetof(struct metrics, member)
#define COUNTER(member) .type = TYPE_COUNTER, .field = FIELD_COUNT, AT(member)
#define GAUGE(member) .type = TYPE_GAUGE, .field = FIELD_COUNT, AT(member)
#define TIMESTAMP(member) .type = TYPE_GAUGE, .field = FIELD_TIMESTAMP, AT(member)
#define NAMED(member, word) .type = TYPE_GAUGE, .field = FIELD_NAMED, .label = (word), AT(member)
#define HISTOGRAM(member, of)                                                                                \
    .type = TYPE_HISTOGRAM, .field = FIELD_HISTOGRAM, .bounds = (of), .bound_count = ARRAY_LEN(of), AT(member)
#define BY_FAMILY .axes = {AXIS_FAMILY}

static const struct row rows[] = {
    {"fairlead_build_info", "Always 1; the labels say which build this is.", TYPE_GAUGE, FIELD_BUILD},
    {"kubeproxy_sync_proxy_rules_duration_seconds", "[ALPHA] Time that one sync of the dataplane took.",
     HISTOGRAM(sync_duration, sync_bounds), BY_FAMILY},
    {"kubeproxy_sync_full_proxy_rules_duration_seconds",
     "[ALPHA] Time of the syncs that went over everything.", HISTOGRAM(sync_full_duration, sync_bounds),
     BY_FAMILY},
    {"kubeproxy_sync_partial_proxy_rules_duration_seconds",
     "[ALPHA] Time of the syncs that wrote changes alone.", HISTOGRAM(sync_partial_duration, sync_bounds),
     BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_last_timestamp_seconds", "[ALPHA] When a sync last succeeded.",
     TIMESTAMP(sync_last_timestamp_s), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "[ALPHA] When a sync was last asked for.",
     TIMESTAMP(sync_last_queued_timestamp_s), BY_FAMILY},
    {"kubeproxy_network_programming_duration_seconds",
     "[ALPHA] Time from the change of a pod or a Service to the kernel's knowing of it.",
     HISTOGRAM(network_programming_duration, programming_bounds), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_endpoint_changes_pending", "[ALPHA] Endpoint changes that wait for a sync.",
     GAUGE(endpoint_changes_pending)},
    {"kubeproxy_sync_proxy_rules_endpoint_changes_total", "[ALPHA] Endpoint changes seen.",
     COUNTER(endpoint_changes_total)},
    {"kubeproxy_sync_proxy_rules_service_changes_pending", "[ALPHA] Service changes that wait for a sync.",
     GAUGE(service_changes_pending)},
    {"kubeproxy_sync_proxy_rules_service_changes_total", "[ALPHA] Service changes seen.",
     COUNTER(service_changes_total)},
    {"kubeproxy_sync_proxy_rules_no_local_endpoints_total",
     "[ALPHA] Services whose traffic policy is Local and that have no endpoint on this node.",
     GAUGE(no_local_endpoints), .axes = {AXIS_FAMILY, AXIS_POLICY}},
    {"kubeproxy_proxy_healthz_total", "[ALPHA] Answers of /healthz.", COUNTER(healthz_total),
     .axes = {AXIS_CODE}},
    {"kubeproxy_proxy_livez_total", "[ALPHA] Answers of /livez.", COUNTER(livez_total), .axes = {AXIS_CODE}},
    {"kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "[ALPHA] Transactions that nftables refused.",
     COUNTER(nftables_sync_failures_total), BY_FAMILY, .only = ONLY_NFTABLES},
    {"kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total",
     "[ALPHA] Failed removals of stale nftables objects.", COUNTER(nftables_cleanup_failures_total),
     BY_FAMILY, .only = ONLY_NFTABLES},
    {"kubeproxy_sync_proxy_rules_iptables_total", "[ALPHA] Rules of kube-proxy's chains that are in force.",
     GAUGE(iptables.rules), .axes = {AXIS_FAMILY, AXIS_TABLE}, .only = ONLY_IPTABLES},
    {"kubeproxy_sync_proxy_rules_iptables_last", "[ALPHA] Rules that the last sync wrote or took out.",
     GAUGE(iptables.last_rules), .axes = {AXIS_FAMILY, AXIS_TABLE}, .only = ONLY_IPTABLES},
    {"kubeproxy_sync_proxy_rules_iptables_restore_failures_total", "[ALPHA] Failures of iptables-restore.",
     COUNTER(iptables.failures), BY_FAMILY, .only = ONLY_IPTABLES},
    {"kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total",
     "[ALPHA] Those that were given changes alone.", COUNTER(iptables.partial_failures), BY_FAMILY,
     .only = ONLY_IPTABLES},
    {"kubeproxy_conntrack_reconciler_sync_duration_seconds",
     "[ALPHA] Time that one clearing of conntrack took.", HISTOGRAM(conntrack_sync_duration, sync_bounds),
     BY_FAMILY},
    {"kubeproxy_conntrack_reconciler_deleted_entries_total", "[ALPHA] Stale conntrack entries deleted.",
     COUNTER(conntrack_deleted_entries_total), BY_FAMILY},
    {"fairlead_turns_total", "Turns of the walk from changed objects to the kernel.", COUNTER(turns_total)},
    {"fairlead_turn_duration_seconds", "Time that one turn took.", HISTOGRAM(turn_duration, turn_bounds)},
    {"fairlead_store_objects", "Objects in the store.", NAMED(store_objects, "kind")},
    {"fairlead_refused_objects", "Objects that are left out because they are not valid.",
     GAUGE(refused_objects)},
    {"fairlead_frontend_conflicts", "Addresses and ports that more than one Service claims.",
     GAUGE(frontend_conflicts)},
    {"fairlead_kernel_elements", "Elements that we hold in the kernel.", NAMED(kernel_elements, "map")},
    {"process_cpu_seconds_total", "Processor time used, of user and system.", TYPE_COUNTER, FIELD_SECONDS,
     AT(process.cpu_seconds), .is_process = true},
    {"process_open_fds", "Open file descriptors.", GAUGE(process.open_fds), .is_process = true},
    {"process_max_fds", "Limit on open file descriptors.", GAUGE(process.max_fds), .is_process = true},
    {"process_virtual_memory_bytes", "Size of the address space.", GAUGE(process.virtual_bytes),
     .is_process = true},
    {"process_virtual_memory_max_bytes", "Limit on the size of the address space.",
     GAUGE(process.max_virtual_bytes), .is_process = true},
    {"process_network_receive_bytes_total", "Bytes that came to the network namespace.",
     COUNTER(process.received_bytes), .is_process = true},
    {"process_network_transmit_bytes_total", "Bytes that went out of the network namespace.",
     COUNTER(process.sent_bytes), .is_process = true},
    {"process_resident_memory_bytes", "Memory held in RAM.", GAUGE(process.resident_bytes),
     .is_process = true},
    {"process_start_time_seconds", "When the process started, since 1970.", TIMESTAMP(process.start_time_s),
     .is_process = true},
};

static size_t field_size(enum field field)
{
    switch (field) {
    case FIELD_COUNT:
        return sizeof(uint64_t);
    case FIELD_SECONDS:
    case FIELD_TIMESTAMP:
        return sizeof(double);
    case FIELD_HISTOGRAM:
        return sizeof(struct histogram);
    case FIELD_NAMED:
        return sizeof(struct metrics_named);
    case FIELD_BUILD:
        break;
    }
    return 0;
}

/* How many fields stand in a row along its axis: 1 where there is none. */
static size_t axis_len(enum axis axis)
{
    return axis == AXIS_NONE ? 1 : 2;
}

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){.has_family = {true, true}};
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        if (row->field != FIELD_HISTOGRAM)
            continue;
        struct histogram *histograms = (void *)((char *)metrics + row->offset);
        for (size_t i = 0; i < axis_len(row->axes[0]) * axis_len(row->axes[1]); i++) {
            histograms[i].bounds = row->bounds;
            histograms[i].bound_count = row->bound_count;
        }
    }
}

void metrics_set_named(struct metrics_named *named, const char *name, double value)
{
    size_t i = 0;
    while (i < named->count && strcmp(named->items[i].name, name) != 0)
        i++;
    if (i == named->count) {
        assert(i < METRICS_NAMED_MAX && strlen(name) < sizeof(named->items[i].name));
        strcpy(named->items[i].name, name);
        named->count++;
    }
    named->items[i].value = value;
}

static void named_add(struct text *text, const struct row *row, const struct metrics_named *named)
{
    for (size_t i = 0; i < named->count; i++) {
        struct text labels = {0};
        exposition_label(&labels, row->label, named->items[i].name);
        exposition_sample(text, row->name, &labels, named->items[i].value);
        text_done(&labels);
    }
}

static void build_add(struct text *text, const struct row *row)
{
    struct text labels = {0};
    exposition_label(&labels, "compiler", __VERSION__);
    exposition_label(&labels, "version", FAIRLEAD_VERSION);
    exposition_sample(text, row->name, &labels, 1);
    text_done(&labels);
}

static void field_add(struct text *text, const struct row *row, const void *field, const struct text *labels)
{
    switch (row->field) {
    case FIELD_COUNT:
        exposition_sample(text, row->name, labels, (double)*(const uint64_t *)field);
        break;
    case FIELD_TIMESTAMP:
        if (*(const double *)field == 0)
            break;
        exposition_sample(text, row->name, labels, *(const double *)field);
        break;
    case FIELD_SECONDS:
        exposition_sample(text, row->name, labels, *(const double *)field);
        break;
    case FIELD_HISTOGRAM:
        exposition_histogram(text, row->name, labels, field);
        break;
    case FIELD_NAMED:
        named_add(text, row, field);
        break;
    case FIELD_BUILD:
        build_add(text, row);
        break;
    }
}

static void row_add(struct text *text, const struct metrics *metrics, const struct row *row)
{
    const char *field = (const char *)metrics + row->offset;
    exposition_family(text, row->name, type_names[row->type], row->help);
    for (size_t i = 0; i < axis_len(row->axes[0]); i++) {
        for (size_t j = 0; j < axis_len(row->axes[1]); j++, field += field_size(row->field)) {
            if (row->axes[0] == AXIS_FAMILY && !metrics->has_family[i])
                continue;
            struct text labels = {0};
            if (row->axes[0] != AXIS_NONE)
                exposition_label(&labels, axes[row->axes[0]].label, axes[row->axes[0]].values[i]);
            if (row->axes[1] != AXIS_NONE)
                exposition_label(&labels, axes[row->axes[1]].label, axes[row->axes[1]].values[j]);
            field_add(text, row, field, &labels);
            text_done(&labels);
        }
    }
}

static bool is_shown(const struct row *row, const struct metrics *metrics)
{
    if (row->is_process && !metrics->process.is_known)
        return false;
    return row->only == ONLY_NOTHING ||
           (row->only == ONLY_IPTABLES) == (metrics->mode == METRICS_MODE_IPTABLES);
}

void metrics_format(const struct metrics *metrics, struct text *text)
{
    metrics_format_kubernetes(metrics, text);
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        if (is_shown(row, metrics))
            row_add(text, metrics, row);
}
