/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/scalar.h"
#include "config/duration.h"
#include "config/proxy_config.h"
#include "config/read.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writing {
    struct text *text;
    struct arena *arena;
};

/* Whether a string may stand without quotes in block context: the rules of libyaml's emitter, which Go's
 * follows (emitter.c, yaml_emitter_analyze_scalar). */
static bool is_plain(const char *value)
{
    size_t len = strlen(value);
    if (strncmp(value, "---", 3) == 0 || strncmp(value, "...", 3) == 0 ||
        strchr("#,[]{}&*!|>'\"%@`", *value) || *value == ' ' || value[len - 1] == ' ')
        return false;
    if (strchr("?-", *value) && (len == 1 || value[1] == ' '))
        return false;
    for (const char *at = value; *at; at++)
        if ((*at == ':' && (!at[1] || at[1] == ' ')) || (*at == '#' && at > value && at[-1] == ' '))
            return false;
    return true;
}

/* What a reader would not give back as it stands, even in quotes: controls, and the marks of Unicode that end
 * a line. Returns its bytes, 0 for other characters. */
static size_t special_len(const char *at)
{
    static const char *const marks[] = {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf"};
    if ((unsigned char)*at < ' ' || *at == 0x7f)
        return 1;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (strncmp(at, marks[i], strlen(marks[i])) == 0)
            return strlen(marks[i]);
    return 0;
}

static bool has_special(const char *value)
{
    for (; *value; value++)
        if (special_len(value) > 0)
            return true;
    return false;
}

/* In double quotes, which take every character. */
static const char *escaped(struct writing *writing, const char *value)
{
    struct text text = {0};
    text_add(&text, "\"");
    for (; *value; value++) {
        size_t len = special_len(value);
        unsigned c = (unsigned char)*value;
        if (len == 1)
            text_printf(&text, c == '\n' ? "\\n" : "\\x%02x", c);
        else if (len == 2)
            text_add(&text, "\\N");
        else if (len == 3)
            text_add(&text, c == 0xef ? "\\uFEFF" : (unsigned char)value[2] == 0xa8 ? "\\L" : "\\P");
        else
            text_printf(&text, "%s%c", c == '"' || c == '\\' ? "\\" : "", *value);
        value += len > 1 ? len - 1 : 0;
    }
    text_add(&text, "\"");
    const char *kept = arena_strdup(writing->arena, text_str(&text));
    text_done(&text);
    return kept;
}

/* A number of base 60 in YAML 1.1 (1:30): nobody reads it so any more, and Go's writer quotes it for those
 * who do. */
static bool is_base_60(const char *value)
{
    value += *value == '-' || *value == '+';
    size_t len = strspn(value, "0123456789_"), parts = 0;
    if (len == 0 || *value == '_')
        return false;
    for (value += len; *value == ':'; value += len, parts++) {
        len = 1 + strspn(value + 1, "0123456789");
        if (len < 2 || len > 3 || (len == 3 && value[1] > '5'))
            return false;
    }
    if (*value == '.')
        value += 1 + strspn(value + 1, "0123456789_");
    return parts > 0 && !*value;
}

/* A date, which Go's writer keeps from being read as a time. */
static bool is_date(const char *value)
{
    int year, month, day, len = 0;
    return strspn(value, "0123456789") == 4 &&
           sscanf(value, "%4d-%2d-%2d%n", &year, &month, &day, &len) == 3 && len > 0 &&
           (!value[len] || strchr("Tt \t", value[len]));
}

static const char *quoted(struct writing *writing, const char *value)
{
    if (!*value || has_special(value) || is_date(value) || is_base_60(value) ||
        scalar_resolve(value, strlen(value)).type != SCALAR_STRING)
        return escaped(writing, value);
    if (is_plain(value))
        return value;
    struct text text = {0};
    text_add(&text, "'");
    for (; *value; value++)
        text_printf(&text, "%c%s", *value, *value == '\'' ? "'" : "");
    text_add(&text, "'");
    const char *kept = arena_strdup(writing->arena, text_str(&text));
    text_done(&text);
    return kept;
}

/* key carries its indentation. */
static void put_string(struct writing *writing, const char *key, const char *value)
{
    text_printf(writing->text, "%s: %s\n", key, quoted(writing, value));
}

static void put_bool(struct writing *writing, const char *key, bool value)
{
    text_printf(writing->text, "%s: %s\n", key, value ? "true" : "false");
}

static void put_number(struct writing *writing, const char *key, int64_t value)
{
    text_printf(writing->text, "%s: %" PRId64 "\n", key, value);
}

static void put_duration(struct writing *writing, const char *key, int64_t ns)
{
    put_string(writing, key, duration_format(ns, writing->arena));
}

static void put_list(struct writing *writing, const char *key, struct text_list list)
{
    int indent = (int)strspn(key, " ");
    text_printf(writing->text, "%s:%s\n", key, list.items ? list.count ? "" : " []" : " null");
    for (size_t i = 0; i < list.count; i++)
        text_printf(writing->text, "%*s- %s\n", indent, "", quoted(writing, list.items[i]));
}

static void put_head(struct writing *writing, const char *key)
{
    text_printf(writing->text, "%s:\n", key);
}

/* The fewest digits that are this float again, whole numbers without an exponent: as Go writes them. */
static void put_float(struct writing *writing, const char *key, float value)
{
    char digits[32];
    for (int count = 1; count <= 9; count++) {
        snprintf(digits, sizeof(digits), "%.*g", count, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    double shortest = strtod(digits, NULL);
    if (fabs(shortest) < 1e15 && shortest == (double)(int64_t)shortest)
        snprintf(digits, sizeof(digits), "%.0f", shortest);
    text_printf(writing->text, "%s: %s\n", key, digits);
}

static void put_client(struct writing *writing, const struct proxy_settings *settings)
{
    put_head(writing, "clientConnection");
    put_string(writing, "  acceptContentTypes", settings->accept_content_types);
    put_number(writing, "  burst", settings->burst);
    put_string(writing, "  contentType", settings->content_type);
    put_string(writing, "  kubeconfig", settings->kubeconfig);
    put_float(writing, "  qps", settings->qps);
}

static void put_conntrack(struct writing *writing, const struct conntrack_settings *conntrack)
{
    put_head(writing, "conntrack");
    put_number(writing, "  maxPerCore", conntrack->max_per_core);
    put_number(writing, "  min", conntrack->min);
    put_bool(writing, "  tcpBeLiberal", conntrack->is_tcp_liberal);
    put_duration(writing, "  tcpCloseWaitTimeout", conntrack->tcp_close_wait_ns);
    put_duration(writing, "  tcpEstablishedTimeout", conntrack->tcp_established_ns);
    put_duration(writing, "  udpStreamTimeout", conntrack->udp_stream_ns);
    put_duration(writing, "  udpTimeout", conntrack->udp_ns);
}

static void put_gates(struct writing *writing, const struct proxy_settings *settings)
{
    if (settings->gate_count == 0)
        return;
    put_head(writing, "featureGates");
    for (size_t i = 0; i < settings->gate_count; i++)
        put_bool(writing, arena_printf(writing->arena, "  %s", settings->gates[i].name),
                 settings->gates[i].value);
}

static void put_iptables(struct writing *writing, const struct proxy_config *config)
{
    const struct proxy_settings *settings = config->settings;
    bool is_mine = config->mode == PROXY_MODE_IPTABLES || config->mode == PROXY_MODE_USERSPACE;
    put_head(writing, "iptables");
    put_bool(writing, "  localhostNodePorts", settings->has_localhost_node_ports);
    put_bool(writing, "  masqueradeAll", config->mode != PROXY_MODE_NFTABLES && settings->masquerades_all);
    put_number(writing, "  masqueradeBit", settings->iptables_bit);
    put_duration(writing, "  minSyncPeriod", is_mine ? settings->min_sync_ns : 0);
    put_duration(writing, "  syncPeriod", is_mine ? settings->sync_ns : 0);
}

static void put_ipvs(struct writing *writing, const struct proxy_config *config)
{
    const struct proxy_settings *settings = config->settings;
    const struct ipvs_settings *ipvs = &settings->ipvs;
    bool is_mine = config->mode == PROXY_MODE_IPVS;
    put_head(writing, "ipvs");
    put_list(writing, "  excludeCIDRs", ipvs->exclude_cidrs);
    put_duration(writing, "  minSyncPeriod", is_mine ? settings->min_sync_ns : 0);
    put_string(writing, "  scheduler", ipvs->scheduler);
    put_bool(writing, "  strictARP", ipvs->is_strict_arp);
    put_duration(writing, "  syncPeriod", is_mine ? settings->sync_ns : 0);
    put_duration(writing, "  tcpFinTimeout", ipvs->tcp_fin_ns);
    put_duration(writing, "  tcpTimeout", ipvs->tcp_ns);
    put_duration(writing, "  udpTimeout", ipvs->udp_ns);
}

static void put_output(struct writing *writing, const char *key, const struct log_output_settings *output)
{
    put_head(writing, key);
    put_string(writing, "      infoBufferSize", output->buffer_size);
    if (output->is_split)
        put_bool(writing, "      splitStream", true);
}

static void put_logging(struct writing *writing, const struct logging_settings *logging)
{
    put_head(writing, "logging");
    if (logging->is_flush_text)
        put_duration(writing, "  flushFrequency", logging->flush_ns);
    else
        put_number(writing, "  flushFrequency", logging->flush_ns);
    put_string(writing, "  format", logging->format);
    put_head(writing, "  options");
    put_output(writing, "    json", &logging->json);
    put_output(writing, "    text", &logging->text);
    put_number(writing, "  verbosity", logging->verbosity);
    if (logging->vmodule_count > 0)
        put_head(writing, "  vmodule");
    for (size_t i = 0; i < logging->vmodule_count; i++) {
        put_string(writing, "  - filePattern", logging->vmodule[i].pattern);
        put_number(writing, "    verbosity", logging->vmodule[i].verbosity);
    }
}

static void put_nftables(struct writing *writing, const struct proxy_config *config)
{
    const struct proxy_settings *settings = config->settings;
    bool is_mine = config->mode == PROXY_MODE_NFTABLES;
    put_head(writing, "nftables");
    put_bool(writing, "  masqueradeAll", is_mine && settings->masquerades_all);
    put_number(writing, "  masqueradeBit", settings->nftables_bit);
    put_duration(writing, "  minSyncPeriod", is_mine ? settings->min_sync_ns : 0);
    put_duration(writing, "  syncPeriod", is_mine ? settings->sync_ns : 0);
}

static void put_winkernel(struct writing *writing, const struct winkernel_settings *winkernel)
{
    put_head(writing, "winkernel");
    put_bool(writing, "  enableDSR", winkernel->is_dsr);
    put_bool(writing, "  forwardHealthCheckVip", winkernel->forwards_health_vip);
    put_string(writing, "  networkName", winkernel->network_name);
    put_string(writing, "  rootHnsEndpointName", winkernel->root_endpoint_name);
    put_string(writing, "  sourceVip", winkernel->source_vip);
}

static void put_cluster_cidr(struct writing *writing, struct text_list list)
{
    struct text joined = {0};
    for (size_t i = 0; i < list.count; i++)
        text_printf(&joined, "%s%s", i ? "," : "", list.items[i]);
    put_string(writing, "clusterCIDR", text_str(&joined));
    text_done(&joined);
}

void config_write(const struct proxy_config *config, struct text *ret)
{
    struct arena arena;
    struct writing writing = {ret, &arena};
    const struct proxy_settings *settings = config->settings;
    arena_init(&arena);
    put_string(&writing, "apiVersion", PROXY_CONFIG_GROUP);
    put_string(&writing, "bindAddress", settings->bind_address);
    put_bool(&writing, "bindAddressHardFail", settings->is_bind_fatal);
    put_client(&writing, settings);
    put_cluster_cidr(&writing, settings->cluster_cidrs);
    put_duration(&writing, "configSyncPeriod", settings->config_sync_ns);
    put_conntrack(&writing, &settings->conntrack);
    put_head(&writing, "detectLocal");
    put_string(&writing, "  bridgeInterface", settings->bridge_interface);
    put_string(&writing, "  interfaceNamePrefix", settings->interface_prefix);
    put_string(&writing, "detectLocalMode", settings->local_mode);
    put_bool(&writing, "enableProfiling", settings->has_profiling);
    put_gates(&writing, settings);
    put_string(&writing, "healthzBindAddress", settings->healthz_bind_address);
    put_string(&writing, "hostnameOverride", settings->hostname_override);
    put_iptables(&writing, config);
    put_ipvs(&writing, config);
    put_string(&writing, "kind", PROXY_CONFIG_KIND);
    put_logging(&writing, &settings->logging);
    put_string(&writing, "metricsBindAddress", settings->metrics_bind_address);
    put_string(&writing, "mode", settings->mode);
    put_nftables(&writing, config);
    put_list(&writing, "nodePortAddresses", settings->node_port_addresses);
    put_number(&writing, "oomScoreAdj", settings->oom_score_adj);
    put_string(&writing, "portRange", ""); /* upstream keeps it no longer */
    put_string(&writing, "showHiddenMetricsForVersion", settings->hidden_metrics_version);
    if (settings->is_windows_service)
        put_bool(&writing, "windowsRunAsService", true);
    put_winkernel(&writing, &settings->winkernel);
    arena_done(&arena);
}
