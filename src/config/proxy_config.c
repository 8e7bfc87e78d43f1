/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_config.h"

#include "api/names.h"
#include "config/duration.h"
#include "config/gates.h"
#include "config/host_port.h"
#include "config/validate.h"

#include <string.h>

/* Rounded up, so that nothing becomes 0 that was not. */
static int64_t to_ms(int64_t ns)
{
    return ns / DURATION_MS + (ns % DURATION_MS > 0);
}

static struct prefix_list parse_prefixes(struct text_list texts, struct arena *arena)
{
    struct prefix *items = arena_array(arena, struct prefix, texts.count);
    size_t count = 0;
    for (size_t i = 0; i < texts.count; i++)
        count += prefix_parse_loosely(texts.items[i], arena, &items[count]);
    return (struct prefix_list){items, count};
}

/* false for an empty one. */
static bool parse_socket(const char *text, struct arena *arena, struct socket_address *ret)
{
    const char *host, *port;
    return host_port_split(text, arena, &host, &port) && address_parse_loosely(host, arena, &ret->address) &&
           (ret->port = (uint16_t)strtoul(port, NULL, 10)) > 0;
}

static enum proxy_mode parse_mode(const char *mode)
{
    return strcmp(mode, "nftables") == 0    ? PROXY_MODE_NFTABLES
           : strcmp(mode, "ipvs") == 0      ? PROXY_MODE_IPVS
           : strcmp(mode, "userspace") == 0 ? PROXY_MODE_USERSPACE
                                            : PROXY_MODE_IPTABLES;
}

static enum local_mode parse_local_mode(const char *mode)
{
    return strcmp(mode, "NodeCIDR") == 0              ? LOCAL_MODE_NODE_CIDR
           : strcmp(mode, "BridgeInterface") == 0     ? LOCAL_MODE_BRIDGE_INTERFACE
           : strcmp(mode, "InterfaceNamePrefix") == 0 ? LOCAL_MODE_INTERFACE_NAME_PREFIX
                                                      : LOCAL_MODE_CLUSTER_CIDR;
}

/* Of settings that were found to be well. */
static struct proxy_config parse(const struct proxy_settings *settings, struct arena *arena)
{
    const struct conntrack_settings *conntrack = &settings->conntrack;
    const struct ipvs_settings *ipvs = &settings->ipvs;
    struct proxy_config config = {
        .settings = settings,
        .mode = parse_mode(settings->mode),
        .masquerades_all = settings->masquerades_all,
        .sync_ms = to_ms(settings->sync_ns),
        .min_sync_ms = to_ms(settings->min_sync_ns),
        .config_sync_ms = to_ms(settings->config_sync_ns),
        .local_mode = parse_local_mode(settings->local_mode),
        .tcp_established_ms = to_ms(conntrack->tcp_established_ns),
        .tcp_close_wait_ms = to_ms(conntrack->tcp_close_wait_ns),
        .udp_ms = to_ms(conntrack->udp_ns),
        .udp_stream_ms = to_ms(conntrack->udp_stream_ns),
    };
    struct text_list node_ports = settings->node_port_addresses;
    bool is_nftables = config.mode == PROXY_MODE_NFTABLES;
    config.masquerade_mark = 1u << (is_nftables ? settings->nftables_bit : settings->iptables_bit);
    address_parse_loosely(settings->bind_address, arena, &config.bind_address);
    config.has_healthz = parse_socket(settings->healthz_bind_address, arena, &config.healthz);
    config.has_metrics = parse_socket(settings->metrics_bind_address, arena, &config.metrics);
    if (config.local_mode == LOCAL_MODE_CLUSTER_CIDR)
        config.cluster_cidrs = parse_prefixes(settings->cluster_cidrs, arena);
    config.is_node_port_primary = node_ports.count == 1 && strcmp(node_ports.items[0], "primary") == 0;
    if (!config.is_node_port_primary)
        config.node_port_addresses = parse_prefixes(node_ports, arena);
    if (config.mode == PROXY_MODE_IPVS) {
        config.ipvs_exclude_cidrs = parse_prefixes(ipvs->exclude_cidrs, arena);
        config.ipvs_tcp_ms = to_ms(ipvs->tcp_ns);
        config.ipvs_tcp_fin_ms = to_ms(ipvs->tcp_fin_ns);
        config.ipvs_udp_ms = to_ms(ipvs->udp_ns);
    }
    return config;
}

static void warn(struct proxy_report *report, const char *warning)
{
    if (report->warning_count < PROXY_WARNINGS_MAX)
        report->warnings[report->warning_count++] = warning;
}

/* NULL when all is well. */
static const char *judge(const struct proxy_settings *settings, struct arena *arena)
{
    struct faults faults;
    const char *gates = settings_check_gates(settings, arena);
    if (gates)
        return arena_printf(arena, "failed complete: %s", gates);
    faults_init(&faults, arena);
    settings_check_logging(settings, &faults);
    if (faults.count > 0)
        return arena_printf(arena, "initialize logging: %s", faults_format(&faults));
    settings_check(settings, &faults);
    return faults.count > 0 ? arena_printf(arena, "failed validate: %s", faults_format(&faults)) : NULL;
}

bool config_resolve(const struct proxy_settings *settings, struct arena *arena, struct proxy_config *ret,
                    struct proxy_report *report)
{
    struct proxy_settings *whole = arena_new(arena, struct proxy_settings);
    *whole = *settings;
    settings_complete(whole);
    report->refusal = judge(whole, arena);
    if (report->refusal)
        return false;
    *ret = parse(whole, arena);
    ret->is_mode_open = !*settings->mode;
    if (!ret->is_node_port_primary && ret->node_port_addresses.count == 0)
        warn(report, "nodePortAddresses is not set: node ports are served on every address of this node; "
                     "--nodeport-addresses=primary serves them on its primary ones alone");
    for (size_t i = 0; i < whole->gate_count; i++)
        if (gate_is_gone(whole->gates[i].name))
            warn(report, arena_printf(arena, "feature gate %s has no effect: it belonged to earlier releases",
                                      whole->gates[i].name));
    if (*whole->port_range)
        warn(report, "portRange has no effect: the mode userspace takes ports that are free");
    return true;
}
