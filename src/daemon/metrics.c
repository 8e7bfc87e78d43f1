/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/metrics.h"

#include "base/cleanup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* kube-proxy's two sets of bounds: 1 ms doubled 14 times, and those of the network programming SLI. */
static const double sync_bounds[] = {
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
};
static const double programming_bounds[] = {
    0.25, 0.5, 1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  11,  12,  13,  14,  15,  16,  17,  18,
    19,   20,  21, 22, 23, 24, 25, 26, 27, 28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,
    39,   40,  41, 42, 43, 44, 45, 46, 47, 48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  58,
    59,   60,  65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115, 120, 150, 180, 210, 240, 270, 300,
};
/* A turn that kube-proxy would count in its first bucket is what we want to see apart. */
static const double turn_bounds[] = {
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
};
_Static_assert(ARRAY_LEN(programming_bounds) <= METRICS_BOUNDS_MAX, "METRICS_BOUNDS_MAX is too small");

enum axis { AXIS_NONE, AXIS_FAMILY, AXIS_POLICY, AXIS_CODE };
/* In the order of the enums that index the fields. */
static const struct {
    const char *label, *values[2];
} axes[] = {
    [AXIS_FAMILY] = {"ip_family", {"IPv4", "IPv6"}},
    [AXIS_POLICY] = {"traffic_policy", {"internal", "external"}},
    [AXIS_CODE] = {"code", {"200", "503"}},
};

enum type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
static const char *const type_names[] = {"counter", "gauge", "histogram"};

enum field {
    FIELD_COUNT,     /* uint64_t */
    FIELD_SECONDS,   /* double */
    FIELD_TIMESTAMP, /* double; no sample while 0 */
    FIELD_HISTOGRAM, /* struct metrics_histogram */
    FIELD_NAMED,     /* struct metrics_named */
    FIELD_BUILD,     /* no field: 1, labelled with the version */
};

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
    {"kubeproxy_sync_proxy_rules_duration_seconds", "Time that one sync of the dataplane took.",
     HISTOGRAM(sync_duration, sync_bounds), BY_FAMILY},
    {"kubeproxy_sync_full_proxy_rules_duration_seconds", "Time of the syncs that went over everything.",
     HISTOGRAM(sync_full_duration, sync_bounds), BY_FAMILY},
    {"kubeproxy_sync_partial_proxy_rules_duration_seconds", "Time of the syncs that wrote changes alone.",
     HISTOGRAM(sync_partial_duration, sync_bounds), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When a sync last succeeded.",
     TIMESTAMP(sync_last_timestamp_s), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "When a sync was last asked for.",
     TIMESTAMP(sync_last_queued_timestamp_s), BY_FAMILY},
    {"kubeproxy_network_programming_duration_seconds",
     "Time from the change of a pod or a Service to the kernel's knowing of it.",
     HISTOGRAM(network_programming_duration, programming_bounds), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_endpoint_changes_pending", "Endpoint changes that wait for a sync.",
     GAUGE(endpoint_changes_pending)},
    {"kubeproxy_sync_proxy_rules_endpoint_changes_total", "Endpoint changes seen.",
     COUNTER(endpoint_changes_total)},
    {"kubeproxy_sync_proxy_rules_service_changes_pending", "Service changes that wait for a sync.",
     GAUGE(service_changes_pending)},
    {"kubeproxy_sync_proxy_rules_service_changes_total", "Service changes seen.",
     COUNTER(service_changes_total)},
    {"kubeproxy_sync_proxy_rules_no_local_endpoints_total",
     "Services whose traffic policy is Local and that have no endpoint on this node.",
     GAUGE(no_local_endpoints), .axes = {AXIS_FAMILY, AXIS_POLICY}},
    {"kubeproxy_proxy_healthz_total", "Answers of /healthz.", COUNTER(healthz_total), .axes = {AXIS_CODE}},
    {"kubeproxy_proxy_livez_total", "Answers of /livez.", COUNTER(livez_total), .axes = {AXIS_CODE}},
    {"kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Transactions that nftables refused.",
     COUNTER(nftables_sync_failures_total), BY_FAMILY},
    {"kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total",
     "Failed removals of stale nftables objects.", COUNTER(nftables_cleanup_failures_total), BY_FAMILY},
    {"kubeproxy_conntrack_reconciler_sync_duration_seconds", "Time that one clearing of conntrack took.",
     HISTOGRAM(conntrack_sync_duration, sync_bounds), BY_FAMILY},
    {"kubeproxy_conntrack_reconciler_deleted_entries_total", "Stale conntrack entries deleted.",
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
        return sizeof(struct metrics_histogram);
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
        struct metrics_histogram *histograms = (void *)((char *)metrics + row->offset);
        for (size_t i = 0; i < axis_len(row->axes[0]) * axis_len(row->axes[1]); i++) {
            histograms[i].bounds = row->bounds;
            histograms[i].bound_count = row->bound_count;
        }
    }
}

void metrics_observe(struct metrics_histogram *histogram, double seconds)
{
    size_t i = 0;
    while (i < histogram->bound_count && seconds > histogram->bounds[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += seconds;
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

/* /proc/self/stat: the fields after the parenthesis that ends the program's name. */
static int read_stat(struct metrics_process *ret)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return -errno;
    size_t len = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[len] = '\0';
    const char *rest = strrchr(line, ')');
    unsigned long long user, system, start, virtual_bytes;
    long long pages;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu "
                        "%llu %lld",
                        &user, &system, &start, &virtual_bytes, &pages) != 5)
        return -EPROTO;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    /* The start counts from boot, as CLOCK_BOOTTIME does. */
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    double boot_s =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    ret->cpu_seconds = (double)(user + system) / ticks;
    /* Two clocks read one after the other: less than the tick in which the kernel counts, so it is cut off.
     */
    ret->start_time_s = (double)(long long)((boot_s + (double)start / ticks) * 100 + 0.5) / 100;
    ret->virtual_bytes = virtual_bytes;
    ret->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static int read_fds(struct metrics_process *ret)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return -errno;
    uint64_t entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    ret->open_fds = entries - 3; /* ".", ".." and the folder itself */
    ret->max_fds = limit.rlim_cur;
    return 0;
}

int metrics_read_process(struct metrics *metrics, struct err *err)
{
    struct metrics_process process = {.is_known = true};
    metrics->process.is_known = false;
    int code = read_stat(&process);
    if (code == 0)
        code = read_fds(&process);
    if (code < 0)
        return err_set(err, -code, "cannot read /proc/self: %s", strerror(-code));
    metrics->process = process;
    return 0;
}

/* The shortest decimal text that reads back as the same number; whole numbers without an exponent, as bucket
 * labels have them. */
static void number_add(struct text *text, double number)
{
    char buffer[40];
    if (number > -1e15 && number < 1e15 && number == (double)(long long)number) {
        text_printf(text, "%lld", (long long)number);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buffer, sizeof(buffer), "%.*g", digits, number);
        if (strtod(buffer, NULL) == number)
            break;
    }
    text_add(text, buffer);
}

/* key="value", after a comma unless it is the first; the format escapes backslash, quote and newline. */
static void label_add(struct text *labels, const char *key, const char *value)
{
    text_printf(labels, "%s%s=\"", labels->len > 0 ? "," : "", key);
    for (const char *c = value; *c; c++) {
        if (*c == '\n')
            text_add(labels, "\\n");
        else if (*c == '\\' || *c == '"')
            text_printf(labels, "\\%c", *c);
        else
            text_add_bytes(labels, c, 1);
    }
    text_add(labels, "\"");
}

static void sample_add(struct text *text, const char *name, const char *suffix, const struct text *labels,
                       double value)
{
    text_printf(text, "%s%s", name, suffix);
    if (labels->len > 0)
        text_printf(text, "{%s}", labels->data);
    text_add(text, " ");
    number_add(text, value);
    text_add(text, "\n");
}

static void histogram_add(struct text *text, const char *name, const struct metrics_histogram *histogram,
                          const struct text *labels)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        struct text with_bound = {0}, bound = {0};
        total += histogram->counts[i];
        if (i < histogram->bound_count)
            number_add(&bound, histogram->bounds[i]);
        else
            text_add(&bound, "+Inf");
        text_add(&with_bound, text_str(labels));
        label_add(&with_bound, "le", bound.data);
        sample_add(text, name, "_bucket", &with_bound, (double)total);
        text_done(&with_bound);
        text_done(&bound);
    }
    sample_add(text, name, "_sum", labels, histogram->sum);
    sample_add(text, name, "_count", labels, (double)total);
}

static void named_add(struct text *text, const struct row *row, const struct metrics_named *named)
{
    for (size_t i = 0; i < named->count; i++) {
        struct text labels = {0};
        label_add(&labels, row->label, named->items[i].name);
        sample_add(text, row->name, "", &labels, named->items[i].value);
        text_done(&labels);
    }
}

static void build_add(struct text *text, const struct row *row)
{
    struct text labels = {0};
    label_add(&labels, "compiler", __VERSION__);
    label_add(&labels, "version", FAIRLEAD_VERSION);
    sample_add(text, row->name, "", &labels, 1);
    text_done(&labels);
}

static void field_add(struct text *text, const struct row *row, const void *field, const struct text *labels)
{
    switch (row->field) {
    case FIELD_COUNT:
        sample_add(text, row->name, "", labels, (double)*(const uint64_t *)field);
        break;
    case FIELD_TIMESTAMP:
        if (*(const double *)field == 0)
            break;
        sample_add(text, row->name, "", labels, *(const double *)field);
        break;
    case FIELD_SECONDS:
        sample_add(text, row->name, "", labels, *(const double *)field);
        break;
    case FIELD_HISTOGRAM:
        histogram_add(text, row->name, field, labels);
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
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_names[row->type]);
    for (size_t i = 0; i < axis_len(row->axes[0]); i++) {
        for (size_t j = 0; j < axis_len(row->axes[1]); j++, field += field_size(row->field)) {
            if (row->axes[0] == AXIS_FAMILY && !metrics->has_family[i])
                continue;
            struct text labels = {0};
            if (row->axes[0] != AXIS_NONE)
                label_add(&labels, axes[row->axes[0]].label, axes[row->axes[0]].values[i]);
            if (row->axes[1] != AXIS_NONE)
                label_add(&labels, axes[row->axes[1]].label, axes[row->axes[1]].values[j]);
            field_add(text, row, field, &labels);
            text_done(&labels);
        }
    }
}

void metrics_format(const struct metrics *metrics, struct text *text)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        if (!row->is_process || metrics->process.is_known)
            row_add(text, metrics, row);
}
