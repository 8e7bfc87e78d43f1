/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/settings_message.h"

#include "api/names.h"
#include "config/duration.h"

#include <string.h>

struct filling {
    struct proxy_settings *settings;
    const Config__KubeProxyConfiguration *message;
    struct arena *arena;
    const char *refusal;
};

static void put_text(const char **field, const char *given)
{
    if (given && *given)
        *field = given;
}

/* A pointer in Go: a zero that was given counts. */
static void put_exact_duration(struct filling *filling, int64_t *field, const char *given)
{
    struct err err = {""};
    if (given && duration_parse(given, field, &err) < 0 && !filling->refusal)
        filling->refusal = arena_strdup(filling->arena, err.text);
}

/* No pointer in Go: zero is as absent. */
static void put_duration(struct filling *filling, int64_t *field, const char *given)
{
    int64_t ns = 0;
    put_exact_duration(filling, &ns, given);
    if (ns != 0)
        *field = ns;
}

#define PUT(field, message, name)                                                                            \
    do {                                                                                                     \
        if ((message)->has_##name)                                                                           \
            (field) = (message)->name;                                                                       \
    } while (0)

static void fill_client(struct filling *filling)
{
    const Config__ClientConnectionConfiguration *client = filling->message->clientconnection;
    struct proxy_settings *settings = filling->settings;
    if (!client)
        return;
    put_text(&settings->kubeconfig, client->kubeconfig);
    put_text(&settings->accept_content_types, client->acceptcontenttypes);
    put_text(&settings->content_type, client->contenttype);
    if (client->burst != 0)
        settings->burst = client->burst;
}

static void fill_output(struct log_output_settings *output, const Config__OutputRoutingOptions *given)
{
    if (!given)
        return;
    PUT(output->is_split, given, splitstream);
    if (given->infobuffersize)
        put_text(&output->buffer_size, given->infobuffersize->string);
}

/* A level is a uint32 in Go. */
static void put_level(struct filling *filling, int64_t *field, int64_t level, const char *name)
{
    if ((level < 0 || level > UINT32_MAX) && !filling->refusal)
        filling->refusal = arena_printf(filling->arena,
                                        "json: cannot unmarshal number %lld into Go struct field %s of type "
                                        "v1.VerbosityLevel",
                                        (long long)level, name);
    *field = level;
}

static void fill_logging(struct filling *filling)
{
    const Config__LoggingConfiguration *given = filling->message->logging;
    struct logging_settings *logging = &filling->settings->logging;
    if (!given)
        return;
    put_text(&logging->format, given->format);
    put_level(filling, &logging->verbosity, given->verbosity, "LoggingConfiguration.logging.verbosity");
    struct vmodule_setting *items = arena_array(filling->arena, struct vmodule_setting, given->n_vmodule);
    for (size_t i = 0; i < given->n_vmodule; i++) {
        const Config__VModuleItem *item = given->vmodule[i];
        items[i].pattern = item && item->filepattern ? item->filepattern : "";
        put_level(filling, &items[i].verbosity, item ? item->verbosity : 0,
                  "VModuleItem.logging.vmodule.verbosity");
    }
    logging->vmodule = items;
    logging->vmodule_count = given->n_vmodule;
    if (!given->options)
        return;
    fill_output(&logging->text, given->options->text);
    fill_output(&logging->json, given->options->json);
}

static void fill_addresses(struct filling *filling)
{
    const Config__KubeProxyConfiguration *message = filling->message;
    struct proxy_settings *settings = filling->settings;
    struct address address;
    put_text(&settings->bind_address, message->bindaddress);
    bool is_ipv4 = address_parse_loosely(settings->bind_address, filling->arena, &address) &&
                   address_family(&address) == FAMILY_IPV4;
    const char *healthz = message->healthzbindaddress, *metrics = message->metricsbindaddress;
    settings->healthz_bind_address = settings_with_port(healthz && *healthz ? healthz
                                                        : is_ipv4           ? "0.0.0.0"
                                                                            : "::",
                                                        HEALTHZ_PORT, filling->arena);
    settings->metrics_bind_address = settings_with_port(metrics && *metrics ? metrics
                                                        : is_ipv4           ? "127.0.0.1"
                                                                            : "::1",
                                                        METRICS_PORT, filling->arena);
}

static void fill_iptables(struct filling *filling)
{
    const Config__KubeProxyIPTablesConfiguration *given = filling->message->iptables;
    if (!given)
        return;
    PUT(filling->settings->iptables_bit, given, masqueradebit);
    PUT(filling->settings->has_localhost_node_ports, given, localhostnodeports);
}

static void fill_ipvs(struct filling *filling)
{
    const Config__KubeProxyIPVSConfiguration *given = filling->message->ipvs;
    struct ipvs_settings *ipvs = &filling->settings->ipvs;
    if (!given)
        return;
    put_text(&ipvs->scheduler, given->scheduler);
    ipvs->exclude_cidrs = (struct text_list){(const char *const *)given->excludecidrs, given->n_excludecidrs};
    PUT(ipvs->is_strict_arp, given, strictarp);
    put_duration(filling, &ipvs->tcp_ns, given->tcptimeout);
    put_duration(filling, &ipvs->tcp_fin_ns, given->tcpfintimeout);
    put_duration(filling, &ipvs->udp_ns, given->udptimeout);
}

/* Every block's durations are read, but the mode's own block alone counts; masqueradeAll of iptables is that
 * of ipvs, too. */
static void fill_mode(struct filling *filling)
{
    const Config__KubeProxyConfiguration *message = filling->message;
    struct proxy_settings *settings = filling->settings;
    put_text(&settings->mode, message->mode);
    int64_t sync[3] = {settings->sync_ns, settings->sync_ns, settings->sync_ns};
    int64_t min_sync[3] = {settings->min_sync_ns, settings->min_sync_ns, 0};
    if (message->iptables) {
        put_duration(filling, &sync[0], message->iptables->syncperiod);
        put_duration(filling, &min_sync[0], message->iptables->minsyncperiod);
    }
    if (message->nftables) {
        PUT(settings->nftables_bit, message->nftables, masqueradebit);
        put_duration(filling, &sync[1], message->nftables->syncperiod);
        put_duration(filling, &min_sync[1], message->nftables->minsyncperiod);
    }
    if (message->ipvs) {
        put_duration(filling, &sync[2], message->ipvs->syncperiod);
        put_duration(filling, &min_sync[2], message->ipvs->minsyncperiod);
    }
    bool is_nftables = strcmp(settings->mode, "nftables") == 0;
    size_t block = is_nftables ? 1 : strcmp(settings->mode, "ipvs") == 0 ? 2 : 0;
    settings->sync_ns = sync[block];
    settings->min_sync_ns = min_sync[block];
    if (is_nftables && message->nftables)
        settings->masquerades_all = message->nftables->masqueradeall;
    if (!is_nftables && message->iptables)
        settings->masquerades_all = message->iptables->masqueradeall;
}

static void fill_conntrack(struct filling *filling)
{
    const Config__KubeProxyConntrackConfiguration *given = filling->message->conntrack;
    struct conntrack_settings *conntrack = &filling->settings->conntrack;
    if (!given)
        return;
    PUT(conntrack->max_per_core, given, maxpercore);
    PUT(conntrack->min, given, min);
    PUT(conntrack->is_tcp_liberal, given, tcpbeliberal);
    put_exact_duration(filling, &conntrack->tcp_established_ns, given->tcpestablishedtimeout);
    put_exact_duration(filling, &conntrack->tcp_close_wait_ns, given->tcpclosewaittimeout);
    put_duration(filling, &conntrack->udp_ns, given->udptimeout);
    put_duration(filling, &conntrack->udp_stream_ns, given->udpstreamtimeout);
}

static void fill_winkernel(struct filling *filling)
{
    const Config__KubeProxyWinkernelConfiguration *given = filling->message->winkernel;
    struct winkernel_settings *winkernel = &filling->settings->winkernel;
    if (!given)
        return;
    put_text(&winkernel->network_name, given->networkname);
    put_text(&winkernel->source_vip, given->sourcevip);
    put_text(&winkernel->root_endpoint_name, given->roothnsendpointname);
    PUT(winkernel->is_dsr, given, enabledsr);
    PUT(winkernel->forwards_health_vip, given, forwardhealthcheckvip);
}

static void fill_local(struct filling *filling)
{
    const Config__KubeProxyConfiguration *message = filling->message;
    struct proxy_settings *settings = filling->settings;
    put_text(&settings->local_mode, message->detectlocalmode);
    if (message->detectlocal) {
        put_text(&settings->bridge_interface, message->detectlocal->bridgeinterface);
        put_text(&settings->interface_prefix, message->detectlocal->interfacenameprefix);
    }
    if (message->clustercidr && *message->clustercidr)
        settings->cluster_cidrs = settings_split(message->clustercidr, filling->arena);
}

const char *settings_from_message(struct proxy_settings *settings,
                                  const Config__KubeProxyConfiguration *message, struct arena *arena)
{
    struct filling filling = {.settings = settings, .message = message, .arena = arena};
    fill_client(&filling);
    fill_logging(&filling);
    put_text(&settings->hostname_override, message->hostnameoverride);
    fill_addresses(&filling);
    PUT(settings->is_bind_fatal, message, bindaddresshardfail);
    PUT(settings->has_profiling, message, enableprofiling);
    put_text(&settings->hidden_metrics_version, message->showhiddenmetricsforversion);
    fill_iptables(&filling);
    fill_ipvs(&filling);
    fill_mode(&filling);
    fill_winkernel(&filling);
    fill_local(&filling);
    settings->node_port_addresses =
        (struct text_list){(const char *const *)message->nodeportaddresses, message->n_nodeportaddresses};
    PUT(settings->oom_score_adj, message, oomscoreadj);
    fill_conntrack(&filling);
    put_duration(&filling, &settings->config_sync_ns, message->configsyncperiod);
    put_text(&settings->port_range, message->portrange);
    PUT(settings->is_windows_service, message, windowsrunasservice);
    return filling.refusal;
}
