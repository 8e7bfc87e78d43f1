/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/kernel_settings.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/node.h"
#include "dataplane/conntrack.h"

#include <inttypes.h>
#include <linux/version.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define CONNTRACK "/proc/sys/net/netfilter/nf_conntrack_"
#define IPVS "/proc/sys/net/ipv4/vs/"
#define CONNTRACK_MAX_LIMIT 1048576
#define ENTRIES_PER_BUCKET 4

struct list {
    struct kernel_setting *settings;
    size_t count;
};

static void add(struct list *list, const char *path, int64_t value, const char *reason)
{
    list->settings[list->count++] = (struct kernel_setting){path, value, SYSCTL_EXACTLY, reason, false};
}

/* Less than a second is asked for as 0, as upstream. */
static void add_timeout(struct list *list, const char *path, int64_t ms, const char *reason)
{
    if (ms > 0)
        add(list, path, ms / 1000, reason);
}

/* A machine of many CPUs is held to a limit that conntrack.min may be above. */
static int64_t conntrack_max(const struct conntrack_settings *settings, unsigned cpu_count)
{
    int64_t scaled = (int64_t)settings->max_per_core * cpu_count;
    if (settings->max_per_core <= 0)
        return 0;
    if (scaled > CONNTRACK_MAX_LIMIT)
        return CONNTRACK_MAX_LIMIT;
    return scaled > settings->min ? scaled : settings->min;
}

static void add_conntrack(struct list *list, const struct proxy_config *config, unsigned cpu_count)
{
    const struct conntrack_settings *settings = &config->settings->conntrack;
    int64_t max = conntrack_max(settings, cpu_count);
    if (max > 0) {
        add(list, CONNTRACK "max", max, "conntrack.maxPerCore");
        add(list, "/sys/module/nf_conntrack/parameters/hashsize", max / ENTRIES_PER_BUCKET,
            "conntrack.maxPerCore");
        list->settings[list->count - 1].need = SYSCTL_AT_LEAST;
        /* The table is the whole machine's, the limit is refused to all but its first network namespace. */
        list->settings[list->count - 1].is_sequel = true;
    }
    add_timeout(list, CONNTRACK "tcp_timeout_established", config->tcp_established_ms,
                "conntrack.tcpEstablishedTimeout");
    add_timeout(list, CONNTRACK "tcp_timeout_close_wait", config->tcp_close_wait_ms,
                "conntrack.tcpCloseWaitTimeout");
    if (settings->is_tcp_liberal)
        add(list, CONNTRACK "tcp_be_liberal", 1, "conntrack.tcpBeLiberal");
    add_timeout(list, CONNTRACK "udp_timeout", config->udp_ms, "conntrack.udpTimeout");
    add_timeout(list, CONNTRACK "udp_timeout_stream", config->udp_stream_ms, "conntrack.udpStreamTimeout");
}

/* For node ports on 127.0.0.1; it opens addresses of loopback to what is routed (the rules close them again).
 */
static void add_route_localnet(struct list *list)
{
    add(list, "/proc/sys/net/ipv4/conf/all/route_localnet", 1, "iptables.localhostNodePorts");
}

bool kernel_settings_has_localhost_node_ports(const struct proxy_config *config)
{
    return config->settings->has_localhost_node_ports &&
           node_ports_have_loopback(config->is_node_port_primary, config->node_port_addresses.items,
                                    config->node_port_addresses.count);
}

/* Between these two the kernel sends a client that comes again from the same port to a real server that
 * leaves, or makes it wait for a second (kubernetes/kubernetes issue 93297). */
#define REUSE_FIRST KERNEL_VERSION(4, 1, 0)
#define REUSE_MENDED KERNEL_VERSION(5, 9, 0)

static void add_ipvs(struct list *list, bool is_strict_arp, unsigned kernel)
{
    add(list, IPVS "conntrack", 1, "mode ipvs");
    if (kernel >= REUSE_FIRST && kernel < REUSE_MENDED)
        add(list, IPVS "conn_reuse_mode", 0, "mode ipvs");
    add(list, IPVS "expire_nodest_conn", 1, "mode ipvs");
    add(list, IPVS "expire_quiescent_template", 1, "mode ipvs");
    add(list, "/proc/sys/net/ipv4/ip_forward", 1, "mode ipvs");
    if (!is_strict_arp)
        return;
    add(list, "/proc/sys/net/ipv4/conf/all/arp_ignore", 1, "ipvs.strictARP");
    add(list, "/proc/sys/net/ipv4/conf/all/arp_announce", 2, "ipvs.strictARP");
}

size_t kernel_settings_wanted(const struct proxy_config *config, enum proxy_mode mode, unsigned cpu_count,
                              unsigned kernel, struct kernel_setting ret[KERNEL_SETTINGS_MAX])
{
    struct list list = {.settings = ret};
    add_conntrack(&list, config, cpu_count);
    if (mode == PROXY_MODE_IPTABLES && kernel_settings_has_localhost_node_ports(config))
        add_route_localnet(&list);
    if (mode == PROXY_MODE_IPVS)
        add_ipvs(&list, config->settings->ipvs.is_strict_arp, kernel);
    return list.count;
}

struct kernel_setting kernel_settings_oom(const struct proxy_config *config)
{
    return (struct kernel_setting){"/proc/self/oom_score_adj", config->settings->oom_score_adj,
                                   SYSCTL_EXACTLY, "oomScoreAdj", false};
}

size_t kernel_settings_apply(const char *root, const struct kernel_setting *settings, size_t count,
                             kernel_report_fn *report, void *context)
{
    size_t failures = 0;
    bool is_in_force = true;
    for (size_t i = 0; i < count; i++) {
        const struct kernel_setting *setting = &settings[i];
        struct sysctl_change change;
        struct err err;
        if (setting->is_sequel && !is_in_force)
            continue;
        is_in_force = true;
        if (sysctl_ensure(root, setting->path, setting->value, setting->need, &change, &err) < 0) {
            err_prefix(&err, 0, "%s %" PRId64, setting->reason, setting->value);
            report(context, true, err.text);
            failures++;
            is_in_force = false;
        } else if (change.is_changed) {
            err_set(&err, 1, "%s was %" PRId64 " and is %" PRId64 " now, for %s", setting->path,
                    change.before, setting->value, setting->reason);
            report(context, false, err.text);
        }
    }
    return failures;
}

/* --- on the machine --- */

static void on_report(void *context, bool is_failure, const char *sentence)
{
    const enum log_level *failure_level = context;
    log_write(is_failure ? *failure_level : LOG_LEVEL_INFO, "%s", sentence);
}

/* As KERNEL_VERSION has it; 0 where the release reads like nothing. */
static unsigned running_kernel(void)
{
    struct utsname name;
    unsigned version = 0, patch = 0;
    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &version, &patch) != 2)
        return 0;
    return KERNEL_VERSION(version, patch, 0);
}

/* The mode that serves, not the one that was asked for: no sysctl without a use. A stand-alone node is asked
 * for one alone. */
static size_t wanted(const struct options *options, enum proxy_mode serving, bool with_oom,
                     struct kernel_setting ret[KERNEL_SETTINGS_MAX + 1])
{
    const struct proxy_config *config = options->proxy_config;
    struct list list = {.settings = ret};
    if (config)
        list.count = kernel_settings_wanted(config, serving, (unsigned)get_nprocs(), running_kernel(), ret);
    else if (serving == PROXY_MODE_IPTABLES && options->has_localhost_node_ports)
        add_route_localnet(&list);
    else if (serving == PROXY_MODE_IPVS)
        add_ipvs(&list, options->is_strict_arp, running_kernel());
    if (config && with_oom)
        ret[list.count++] = kernel_settings_oom(config);
    return list.count;
}

static size_t apply_all(const struct options *options, enum proxy_mode serving, enum log_level failure_level,
                        bool with_oom)
{
    struct kernel_setting settings[KERNEL_SETTINGS_MAX + 1];
    size_t count = wanted(options, serving, with_oom, settings);
    if (options->proxy_config)
        conntrack_load();
    return kernel_settings_apply("", settings, count, on_report, &failure_level);
}

void kernel_settings_serve(const struct options *options, enum proxy_mode serving)
{
    apply_all(options, serving, LOG_LEVEL_WARNING, true);
}

bool kernel_settings_is_liberal(const char *root)
{
    int64_t value;
    return sysctl_read(root, CONNTRACK "tcp_be_liberal", &value, NULL) == 0 && value != 0;
}

int kernel_settings_init(const struct options *options, enum proxy_mode serving)
{
    size_t failures = apply_all(options, serving, LOG_LEVEL_ERROR, false);
    if (failures)
        return 1;
    log_info("--init-only: the kernel is set up");
    return 0;
}
