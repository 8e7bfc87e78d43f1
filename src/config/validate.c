/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/validate.h"

#include "api/encode.h"
#include "api/names.h"
#include "base/text.h"
#include "config/duration.h"
#include "config/gates.h"
#include "config/host_port.h"

#include <stdlib.h>
#include <string.h>

#define NOT_NEGATIVE "must be greater than or equal to 0"
#define POSITIVE "must be greater than 0"
#define LEVEL_MAX INT32_MAX
/* What 1.36 takes for its previous minor version. */
#define PREVIOUS_VERSION "1.35"

const char *settings_check_gates(const struct proxy_settings *settings, struct arena *arena)
{
    struct text text = {0};
    size_t count = 0;
    for (size_t i = 0; i < settings->gate_count; i++) {
        const struct gate_setting *set = &settings->gates[i];
        const struct gate *gate = gate_get(set->name);
        if (gate ? !gate->is_locked || gate->is_on == set->value : gate_is_gone(set->name))
            continue;
        text_add(&text, count++ ? ", " : "");
        if (!gate)
            text_printf(&text, "unrecognized feature gate: %s", set->name);
        else
            text_printf(&text, "cannot set feature gate %s to %s, feature is locked to %s", set->name,
                        set->value ? "true" : "false", gate->is_on ? "true" : "false");
    }
    const char *sentence = NULL;
    if (count > 0)
        sentence = arena_printf(arena, count > 1 ? "[%s]" : "%s", text_str(&text));
    text_done(&text);
    return sentence;
}

/* --- logging --- */

static void check_output(const struct proxy_settings *settings, const struct log_output_settings *output,
                         const struct path *path, struct faults *faults)
{
    const char *detail = "Feature LoggingAlphaOptions is disabled";
    if (settings_gate(settings, "LoggingAlphaOptions"))
        return;
    if (output->is_split)
        fault_forbidden(faults, path_field(path, "splitStream"), detail);
    if (strcmp(output->buffer_size, "0") != 0)
        fault_forbidden(faults, path_field(path, "infoBufferSize"), detail);
}

static void check_vmodule(const struct logging_settings *logging, const struct path *path,
                          struct faults *faults)
{
    if (logging->vmodule_count > 0 && strcmp(logging->format, "text") != 0)
        fault_forbidden(faults, path, "Only supported for text log format");
    for (size_t i = 0; i < logging->vmodule_count; i++) {
        const struct vmodule_setting *item = &logging->vmodule[i];
        if (!*item->pattern)
            fault_required(faults, path_index(path, i), "File pattern must not be empty");
        if (strpbrk(item->pattern, "=,"))
            fault_invalid(faults, path_index(path, i), item->pattern,
                          "File pattern must not contain equal sign or comma");
        if (item->verbosity > LEVEL_MAX)
            fault_invalid_number(faults, path_index(path, i), item->verbosity, "Must be <= 2147483647");
    }
}

static void fault_duration(struct faults *faults, const struct path *path, int64_t ns, const char *detail)
{
    fault_invalid(faults, path, duration_format(ns, faults->arena), detail);
}

void settings_check_logging(const struct proxy_settings *settings, struct faults *faults)
{
    const struct logging_settings *logging = &settings->logging;
    const struct path *path = path_field(NULL, "logging"), *options = path_field(path, "options");
    bool is_json = strcmp(logging->format, "json") == 0;
    if (logging->flush_ns <= 0 && logging->is_flush_text)
        fault_duration(faults, path_field(path, "flushFrequency"), logging->flush_ns,
                       "Must be greater than zero");
    else if (logging->flush_ns <= 0)
        fault_invalid_number(faults, path_field(path, "flushFrequency"), logging->flush_ns,
                             "Must be greater than zero");
    if (!is_json && strcmp(logging->format, "text") != 0)
        fault_invalid(faults, path_field(path, "format"), logging->format, "Unsupported log format");
    if (is_json && !settings_gate(settings, "LoggingBetaOptions"))
        fault_forbidden(faults, path_field(path, "format"),
                        "Log format json is disabled, see LoggingBetaOptions feature");
    if (logging->verbosity > LEVEL_MAX)
        fault_invalid_number(faults, path_field(path, "verbosity"), logging->verbosity,
                             "Must be <= 2147483647");
    check_vmodule(logging, path_field(path, "vmodule"), faults);
    check_output(settings, &logging->text, path_field(options, "text"), faults);
    check_output(settings, &logging->json, path_field(options, "json"), faults);
}

/* --- the rest --- */

static void check_bit(struct faults *faults, const struct path *path, int32_t bit)
{
    if (bit < 0 || bit > 31)
        fault_invalid_number(faults, path_field(path, "MasqueradeBit"), bit,
                             "must be within the range [0, 31]");
}

static void check_positive_or_zero(struct faults *faults, const struct path *path, const char *name,
                                   int64_t ns)
{
    if (ns < 0)
        fault_duration(faults, path_field(path, name), ns, NOT_NEGATIVE);
}

static void check_cidrs(struct faults *faults, const struct path *path, struct text_list list,
                        const char *detail)
{
    struct prefix prefix;
    for (size_t i = 0; i < list.count; i++)
        if (!prefix_parse_loosely(list.items[i], faults->arena, &prefix))
            fault_invalid(faults, path_index(path, i), list.items[i], detail);
}

static void check_ipvs(struct faults *faults, const struct path *path, const struct ipvs_settings *ipvs)
{
    check_positive_or_zero(faults, path, "TCPTimeout", ipvs->tcp_ns);
    check_positive_or_zero(faults, path, "TCPFinTimeout", ipvs->tcp_fin_ns);
    check_positive_or_zero(faults, path, "UDPTimeout", ipvs->udp_ns);
    check_cidrs(faults, path_field(path, "ExcludeCidrs"), ipvs->exclude_cidrs, "must be a valid CIDR");
}

static void check_linux(struct faults *faults, const struct path *path, const struct proxy_settings *settings)
{
    const struct conntrack_settings *conntrack = &settings->conntrack;
    const struct path *in = path_field(path, "KubeProxyConntrackConfiguration");
    if (conntrack->max_per_core < 0)
        fault_invalid_number(faults, path_field(in, "MaxPerCore"), conntrack->max_per_core, NOT_NEGATIVE);
    if (conntrack->min < 0)
        fault_invalid_number(faults, path_field(in, "Min"), conntrack->min, NOT_NEGATIVE);
    check_positive_or_zero(faults, in, "TCPEstablishedTimeout", conntrack->tcp_established_ns);
    check_positive_or_zero(faults, in, "TCPCloseWaitTimeout", conntrack->tcp_close_wait_ns);
    check_positive_or_zero(faults, in, "UDPTimeout", conntrack->udp_ns);
    check_positive_or_zero(faults, in, "UDPStreamTimeout", conntrack->udp_stream_ns);
    if (settings->oom_score_adj < -1000 || settings->oom_score_adj > 1000)
        fault_invalid_number(faults, path_field(path, "OOMScoreAdj"), settings->oom_score_adj,
                             "must be within the range [-1000, 1000]");
}

static void check_periods(struct faults *faults, const struct path *path,
                          const struct proxy_settings *settings)
{
    if (settings->config_sync_ns <= 0)
        fault_duration(faults, path_field(path, "ConfigSyncPeriod"), settings->config_sync_ns, POSITIVE);
    if (settings->sync_ns <= 0)
        fault_duration(faults, path_field(path, "SyncPeriod"), settings->sync_ns, POSITIVE);
    check_positive_or_zero(faults, path, "MinSyncPeriod", settings->min_sync_ns);
    if (settings->min_sync_ns > settings->sync_ns) /* upstream prints the smaller one's value here */
        fault_duration(faults, path_field(path, "SyncPeriod"), settings->min_sync_ns,
                       "must be greater than or equal to KubeProxyConfiguration.MinSyncPeriod");
}

static void check_host_port(struct faults *faults, const struct path *path, const char *value)
{
    const char *host, *port;
    struct address address;
    if (!host_port_split(value, faults->arena, &host, &port)) {
        fault_invalid(faults, path, value, "must be IP:port");
        return;
    }
    if (!address_parse_loosely(host, faults->arena, &address))
        fault_invalid(faults, path, host, "must be a valid IP");
    const char *digits = port + (*port == '+' || *port == '-');
    bool is_number = *digits && !digits[strspn(digits, "0123456789")];
    long long number = is_number ? strtoll(port, NULL, 10) : 0;
    if (number < 1 || number > 65535)
        fault_invalid(faults, path, port, "must be a valid port");
}

static void check_node_ports(struct faults *faults, const struct path *path, struct text_list list)
{
    struct prefix prefix;
    for (size_t i = 0; i < list.count; i++) {
        if (strcmp(list.items[i], "primary") == 0) {
            if (list.count != 1)
                fault_invalid(faults, path_index(path, i), list.items[i],
                              "can't use both 'primary' and CIDRs");
            return;
        }
        if (!prefix_parse_loosely(list.items[i], faults->arena, &prefix))
            fault_invalid(faults, path_index(path, i), list.items[i], "must be a valid CIDR");
    }
}

static bool is_one_family(struct text_list pair, struct arena *arena)
{
    struct prefix first, second;
    return prefix_parse_loosely(pair.items[0], arena, &first) &&
           prefix_parse_loosely(pair.items[1], arena, &second) &&
           address_family(&first.address) == address_family(&second.address);
}

static void check_cluster_cidrs(struct faults *faults, const struct path *path, struct text_list list)
{
    const char *pair = "must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, "
                       "fde4:8dba:82e1::/48]";
    char *const *items = (char *const *)list.items;
    if (list.count > 2) {
        fault_invalid_list(faults, path, items, list.count, pair);
        return;
    }
    check_cidrs(faults, path, list, "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)");
    if (list.count == 2 && is_one_family(list, faults->arena))
        fault_invalid_list(faults, path, items, list.count, pair);
}

static void check_local_mode(struct faults *faults, const struct path *path,
                             const struct proxy_settings *settings)
{
    static const char *const modes[] = {"ClusterCIDR",         "NodeCIDR", "BridgeInterface",
                                        "InterfaceNamePrefix", "",         NULL};
    const char *mode = settings->local_mode;
    const struct path *in = path_field(path, "DetectLocalConfiguration");
    size_t at = 0;
    while (modes[at] && strcmp(modes[at], mode) != 0)
        at++;
    if (!modes[at])
        fault_unsupported(faults, path_field(path, "DetectLocalMode"), mode, modes);
    if (strcmp(mode, "BridgeInterface") == 0 && !*settings->bridge_interface)
        fault_invalid(faults, path_field(in, "InterfaceName"), "", "must not be empty");
    if (strcmp(mode, "InterfaceNamePrefix") == 0 && !*settings->interface_prefix)
        fault_invalid(faults, path_field(in, "InterfacePrefix"), "", "must not be empty");
    if (strcmp(mode, "ClusterCIDR") == 0)
        check_cluster_cidrs(faults, path_field(in, "ClusterCIDRs"), settings->cluster_cidrs);
}

/* Kubernetes 1.36 knows userspace no longer, and so its sentence does not. */
static void check_mode(struct faults *faults, const struct path *path, const char *mode)
{
    if (strcmp(mode, "iptables") != 0 && strcmp(mode, "ipvs") != 0 && strcmp(mode, "nftables") != 0 &&
        strcmp(mode, "userspace") != 0)
        fault_invalid(faults, path_field(path_field(path, "Mode"), "ProxyMode"), mode,
                      "must be iptables, ipvs, nftables or blank (blank means the best-available proxy "
                      "[currently iptables])");
}

void settings_check(const struct proxy_settings *settings, struct faults *faults)
{
    const struct path *path = path_field(NULL, "KubeProxyConfiguration");
    struct address address;
    check_bit(faults, path_field(path, "KubeProxyIPTablesConfiguration"), settings->iptables_bit);
    if (strcmp(settings->mode, "ipvs") == 0)
        check_ipvs(faults, path_field(path, "KubeProxyIPVSConfiguration"), &settings->ipvs);
    if (strcmp(settings->mode, "nftables") == 0)
        check_bit(faults, path_field(path, "KubeProxyNFTablesConfiguration"), settings->nftables_bit);
    check_linux(faults, path_field(path, "KubeProxyLinuxConfiguration"), settings);
    check_mode(faults, path, settings->mode);
    if (settings->burst < 0)
        fault_invalid_number(faults, path_field(path_field(path, "ClientConnection"), "Burst"),
                             settings->burst, NOT_NEGATIVE);
    check_periods(faults, path, settings);
    if (!address_parse_loosely(settings->bind_address, faults->arena, &address))
        fault_invalid(faults, path_field(path, "BindAddress"), settings->bind_address,
                      "not a valid textual representation of an IP address");
    /* An empty metrics address can only come from --metrics-port=0, which is documented to disable; upstream
     * refuses it here. */
    if (*settings->healthz_bind_address)
        check_host_port(faults, path_field(path, "HealthzBindAddress"), settings->healthz_bind_address);
    if (*settings->metrics_bind_address)
        check_host_port(faults, path_field(path, "MetricsBindAddress"), settings->metrics_bind_address);
    check_node_ports(faults, path_field(path, "NodePortAddresses"), settings->node_port_addresses);
    const char *version = settings->hidden_metrics_version;
    if (*version && strcmp(version, PREVIOUS_VERSION) != 0)
        fault_invalid(
            faults, path_field(path, "ShowHiddenMetricsForVersion"), version,
            arena_printf(faults->arena,
                         "invalid showHiddenMetricsForVersion: showHiddenMetricsForVersion: Invalid "
                         "value: %s: must be omitted or have the value '" PREVIOUS_VERSION
                         "'; only the previous minor version is allowed",
                         encode_quoted(version, faults->arena)));
    check_local_mode(faults, path, settings);
}
