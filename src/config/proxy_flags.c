/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_flags.h"

#include "base/cleanup.h"

#include <string.h>

#define AT(field) offsetof(struct proxy_options, field)
#define SET(field) offsetof(struct proxy_options, settings.field)
#define NOWHERE PROXY_FLAG_NOWHERE

const struct proxy_flag proxy_flags[] = {
    {.name = "config",
     .type = FLAG_STRING,
     .offset = AT(config_file),
     .group = "This run",
     .help = "The configuration file; with one, only the flags for logging, the node's name and this run "
             "itself count beside it."},
    {.name = "write-config-to",
     .type = FLAG_STRING,
     .offset = AT(write_config_to),
     .help = "Write the configuration that flags or file come to into this file, and end."},
    {.name = "cleanup",
     .type = FLAG_BOOL,
     .offset = AT(is_cleanup),
     .help = "Remove everything that was put into this node's kernel, and end."},
    {.name = "init-only",
     .type = FLAG_BOOL,
     .offset = AT(is_init_only),
     .help = "Do what needs all of root's rights, and end; another run then gets by with CAP_NET_ADMIN."},
    {.name = "version", .type = FLAG_VERSION, .offset = AT(version), .help = "Print the version and end."},
    {.name = "help", .type = FLAG_BOOL, .offset = AT(is_help), .help = "Print this and end."},
    {.name = "feature-gates",
     .type = FLAG_GATES,
     .offset = AT(settings),
     .help = "Alpha and beta features to turn on or off: NAME=true,NAME=false."},
    {.name = "kubeconfig",
     .type = FLAG_STRING,
     .offset = SET(kubeconfig),
     .group = "The apiserver",
     .help = "How to reach the apiserver and who we are to it; without it and --master the pod's service "
             "account."},
    {.name = "master",
     .type = FLAG_STRING,
     .offset = AT(master),
     .help = "Where the apiserver is, whatever the kubeconfig says."},
    {.name = "kube-api-content-type",
     .type = FLAG_STRING,
     .offset = SET(content_type),
     .help = "In which form objects are asked for."},
    {.name = "kube-api-qps",
     .type = FLAG_FLOAT,
     .offset = SET(qps),
     .help = "Requests to the apiserver each second, on average."},
    {.name = "kube-api-burst",
     .type = FLAG_INT32,
     .offset = SET(burst),
     .help = "Requests to the apiserver at once, before the average counts."},
    {.name = "config-sync-period",
     .type = FLAG_DURATION,
     .offset = SET(config_sync_ns),
     .help = "Not used here, where changes come by watches alone: how often all that was said is gone "
             "through again. More than 0."},
    {.name = "hostname-override",
     .type = FLAG_STRING,
     .offset = AT(hostname_override),
     .group = "This node",
     .help = "The name of the Node that this is; without it the host's name."},
    {.name = "bind-address",
     .type = FLAG_IP,
     .offset = SET(bind_address),
     .help = "The node's primary address and family, instead of what the Node object says. Nothing is bound "
             "to it."},
    {.name = "oom-score-adj",
     .type = FLAG_INT32,
     .offset = SET(oom_score_adj),
     .help = "How soon the kernel ends this process when memory is short, -1000 (never) to 1000."},
    {.name = "machine-id-file",
     .type = FLAG_STRING,
     .offset = AT(machine_id_file),
     .help = "Not used here: where the machine's id may stand, comma-separated; the first file that exists "
             "counts."},
    {.name = "boot-id-file",
     .type = FLAG_STRING,
     .offset = AT(boot_id_file),
     .help = "Not used here: where the id of this boot may stand, comma-separated; the first file that "
             "exists counts."},
    {.name = "healthz-bind-address",
     .type = FLAG_IP_PORT,
     .offset = SET(healthz_bind_address),
     .group = "Health and metrics",
     .help = "Where /healthz and /livez are served."},
    {.name = "metrics-bind-address",
     .type = FLAG_IP_PORT,
     .offset = SET(metrics_bind_address),
     .help = "Where /metrics and /proxyMode are served; 0.0.0.0 or [::] for all addresses of the node."},
    {.name = "bind-address-hard-fail",
     .type = FLAG_BOOL,
     .offset = SET(is_bind_fatal),
     .help = "End when one of these two cannot be served, instead of trying again."},
    {.name = "profiling",
     .type = FLAG_BOOL,
     .offset = SET(has_profiling),
     .help = "Serve /debug/pprof beside the metrics."},
    {.name = "show-hidden-metrics-for-version",
     .type = FLAG_STRING,
     .offset = SET(hidden_metrics_version),
     .help = "Serve metrics that this release has hidden: the previous minor version, as 1.35."},
    {.name = "proxy-mode",
     .type = FLAG_STRING,
     .offset = SET(mode),
     .word = "ProxyMode",
     .group = "Forwarding",
     .help = "What forwards: iptables, ipvs, nftables; or userspace, as until 1.25."},
    {.name = "masquerade-all",
     .type = FLAG_BOOL,
     .offset = SET(masquerades_all),
     .help = "Change the source of all traffic to cluster addresses, as some networks of pods need it."},
    {.name = "nodeport-addresses",
     .type = FLAG_LIST,
     .offset = SET(node_port_addresses),
     .help = "On which of the node's addresses node ports answer: ranges, or primary for those of the Node "
             "object; without it on all (nftables: primary)."},
    {.name = "detect-local-mode",
     .type = FLAG_STRING,
     .offset = SET(local_mode),
     .word = "LocalMode",
     .help = "How traffic of this node's own pods is told from other traffic: ClusterCIDR, NodeCIDR, "
             "BridgeInterface or InterfaceNamePrefix."},
    {.name = "cluster-cidr",
     .type = FLAG_STRING,
     .offset = AT(cluster_cidr),
     .help = "The addresses of the pods of the cluster, one range or one for each family; with ClusterCIDR."},
    {.name = "pod-bridge-interface",
     .type = FLAG_STRING,
     .offset = SET(bridge_interface),
     .help = "The bridge that all of this node's pods are behind; with BridgeInterface."},
    {.name = "pod-interface-name-prefix",
     .type = FLAG_STRING,
     .offset = SET(interface_prefix),
     .help = "How the names of the interfaces of this node's pods begin; with InterfaceNamePrefix."},
    {.name = "iptables-masquerade-bit",
     .type = FLAG_INT32,
     .offset = SET(iptables_bit),
     .group = "Forwarding by iptables and nftables",
     .help = "Which bit of a packet's mark asks for another source, 0 to 31; of iptables and ipvs."},
    {.name = "iptables-localhost-nodeports",
     .type = FLAG_BOOL,
     .offset = SET(has_localhost_node_ports),
     .help = "Serve node ports on 127.0.0.1, too; in the mode iptables and IPv4 alone."},
    {.name = "iptables-sync-period",
     .type = FLAG_DURATION,
     .offset = AT(iptables_sync_ns),
     .help =
         "How often the kernel is compared with what it should have, in iptables and nftables. More than 0."},
    {.name = "iptables-min-sync-period",
     .type = FLAG_DURATION,
     .offset = AT(iptables_min_sync_ns),
     .help = "How long changes wait for others that come soon after; 0: not at all."},
    {.name = "ipvs-sync-period",
     .type = FLAG_DURATION,
     .offset = AT(ipvs_sync_ns),
     .group = "Forwarding by ipvs",
     .help = "The same two in the mode ipvs: how often the kernel is compared. More than 0."},
    {.name = "ipvs-min-sync-period",
     .type = FLAG_DURATION,
     .offset = AT(ipvs_min_sync_ns),
     .help = "How long changes wait for others in the mode ipvs; 0: not at all."},
    {.name = "ipvs-scheduler",
     .type = FLAG_STRING,
     .offset = SET(ipvs.scheduler),
     .help = "How ipvs chooses an endpoint; without it round robin."},
    {.name = "ipvs-exclude-cidrs",
     .type = FLAG_LIST,
     .offset = SET(ipvs.exclude_cidrs),
     .help = "Virtual servers in these ranges are somebody else's, and stay."},
    {.name = "ipvs-strict-arp",
     .type = FLAG_BOOL,
     .offset = SET(ipvs.is_strict_arp),
     .help = "Answer ARP only for addresses of the interface that was asked (arp_ignore 1, arp_announce 2)."},
    {.name = "ipvs-tcp-timeout",
     .type = FLAG_DURATION,
     .offset = SET(ipvs.tcp_ns),
     .help = "How long ipvs keeps an idle TCP connection; 0: as the kernel has it."},
    {.name = "ipvs-tcpfin-timeout",
     .type = FLAG_DURATION,
     .offset = SET(ipvs.tcp_fin_ns),
     .help = "How long ipvs keeps a TCP connection after a FIN; 0: as the kernel has it."},
    {.name = "ipvs-udp-timeout",
     .type = FLAG_DURATION,
     .offset = SET(ipvs.udp_ns),
     .help = "How long ipvs keeps an idle UDP flow; 0: as the kernel has it."},
    {.name = "conntrack-max-per-core",
     .type = FLAG_INT32,
     .offset = SET(conntrack.max_per_core),
     .group = "Tracking of connections",
     .help = "Connections that the kernel may track for each processor; 0: as it is, and --conntrack-min "
             "does not count."},
    {.name = "conntrack-min",
     .type = FLAG_INT32,
     .offset = SET(conntrack.min),
     .help = "Connections that the kernel may track at least."},
    {.name = "conntrack-tcp-timeout-established",
     .type = FLAG_DURATION,
     .offset = SET(conntrack.tcp_established_ns),
     .help = "How long an idle TCP connection is tracked; 0: as the kernel has it."},
    {.name = "conntrack-tcp-timeout-close-wait",
     .type = FLAG_DURATION,
     .offset = SET(conntrack.tcp_close_wait_ns),
     .help = "How long a TCP connection is tracked that one end has closed."},
    {.name = "conntrack-tcp-be-liberal",
     .type = FLAG_BOOL,
     .offset = SET(conntrack.is_tcp_liberal),
     .help = "Take TCP packets outside of the window for valid ones."},
    {.name = "conntrack-udp-timeout",
     .type = FLAG_DURATION,
     .offset = SET(conntrack.udp_ns),
     .help = "How long a UDP flow without an answer is tracked; 0: as the kernel has it."},
    {.name = "conntrack-udp-timeout-stream",
     .type = FLAG_DURATION,
     .offset = SET(conntrack.udp_stream_ns),
     .help = "How long a UDP flow with answers is tracked; 0: as the kernel has it."},
    {.name = "v",
     .type = FLAG_LEVEL,
     .offset = SET(logging.verbosity),
     .logging = 1 << 0,
     .group = "Logging",
     .help = "How much is logged."},
    {.name = "vmodule",
     .type = FLAG_VMODULE,
     .offset = SET(logging),
     .logging = 1 << 1,
     .help = "The same for some files alone; nothing here goes by it."},
    {.name = "logging-format",
     .type = FLAG_STRING,
     .offset = SET(logging.format),
     .logging = 1 << 2,
     .help = "text or json."},
    {.name = "log-flush-frequency",
     .type = FLAG_DURATION,
     .offset = SET(logging.flush_ns),
     .logging = 1 << 3,
     .help = "How long lines of the log may wait; here none does."},
    {.name = "log-text-split-stream",
     .type = FLAG_BOOL,
     .offset = SET(logging.text.is_split),
     .logging = 1 << 4,
     .help = "With LoggingAlphaOptions: text for people to stdout, errors to stderr."},
    {.name = "log-text-info-buffer-size",
     .type = FLAG_QUANTITY,
     .offset = SET(logging.text.buffer_size),
     .logging = 1 << 5,
     .help = "With LoggingAlphaOptions: bytes of text that may wait."},
    {.name = "log-json-split-stream",
     .type = FLAG_BOOL,
     .offset = SET(logging.json.is_split),
     .logging = 1 << 6,
     .help = "With LoggingAlphaOptions: JSON to stdout, errors to stderr."},
    {.name = "log-json-info-buffer-size",
     .type = FLAG_QUANTITY,
     .offset = SET(logging.json.buffer_size),
     .logging = 1 << 7,
     .help = "With LoggingAlphaOptions: bytes of JSON that may wait."},
    {.name = "healthz-port",
     .type = FLAG_INT32,
     .offset = AT(healthz_port),
     .instead_of = "healthz-bind-address",
     .group = "Taken for the sake of old command lines",
     .help = "Deprecated: the port of --healthz-bind-address where that has none; 0: not served."},
    {.name = "metrics-port",
     .type = FLAG_INT32,
     .offset = AT(metrics_port),
     .instead_of = "metrics-bind-address",
     .help = "Deprecated: the port of --metrics-bind-address where that has none; 0: not served."},
    {.name = "proxy-port-range",
     .type = FLAG_STRING,
     .offset = SET(port_range),
     .instead_of = "",
     .help = "Was of the userspace mode."},
    {.name = "udp-timeout",
     .type = FLAG_DURATION,
     .offset = NOWHERE,
     .instead_of = "",
     .help = "Was of the userspace mode."},
    {.name = "windows-service", .type = FLAG_BOOL, .offset = SET(is_windows_service), .help = "Of Windows."},
    {.name = "source-vip", .type = FLAG_STRING, .offset = SET(winkernel.source_vip), .help = "Of Windows."},
    {.name = "network-name",
     .type = FLAG_STRING,
     .offset = SET(winkernel.network_name),
     .help = "Of Windows."},
    {.name = "enable-dsr", .type = FLAG_BOOL, .offset = SET(winkernel.is_dsr), .help = "Of Windows."},
    {.name = "root-hnsendpoint-name",
     .type = FLAG_STRING,
     .offset = SET(winkernel.root_endpoint_name),
     .help = "Of Windows."},
    {.name = "forward-healthcheck-vip",
     .type = FLAG_BOOL,
     .offset = SET(winkernel.forwards_health_vip),
     .help = "Of Windows."},
};
const size_t proxy_flag_count = ARRAY_LEN(proxy_flags);

#define TEXT_COLUMN 10
#define COLUMNS 100

/* As pflag names the types. */
static const char *type_word(const struct proxy_flag *flag)
{
    static const char *const words[] = {
        [FLAG_STRING] = "string",
        [FLAG_BOOL] = "",
        [FLAG_INT32] = "int32",
        [FLAG_FLOAT] = "float32",
        [FLAG_DURATION] = "duration",
        [FLAG_IP] = "ip",
        [FLAG_IP_PORT] = "ipport",
        [FLAG_LIST] = "strings",
        [FLAG_GATES] = "mapStringBool",
        [FLAG_LEVEL] = "Level",
        [FLAG_VMODULE] = "pattern=N,...",
        [FLAG_QUANTITY] = "quantity",
        [FLAG_VERSION] = "version[=true]",
    };
    return flag->word ? flag->word : words[flag->type];
}

/* NULL for what is empty, false or 0. */
static const char *default_of(const struct proxy_flag *flag, const struct proxy_options *defaults,
                              struct arena *arena)
{
    static const char *const nothing[] = {"", "false", "0", "0s", "[]"};
    struct text text = {0};
    if (flag->offset == NOWHERE)
        return NULL;
    flag_value_format(flag->type, (const char *)defaults + flag->offset, arena, &text);
    const char *value = arena_strdup(arena, text_str(&text));
    text_done(&text);
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++)
        if (strcmp(value, nothing[i]) == 0)
            return NULL;
    return flag->type == FLAG_STRING ? arena_printf(arena, "\"%s\"", value) : value;
}

/* Word after word, in lines of COLUMNS at most. */
static void put_wrapped(const char *sentences, struct text *ret)
{
    size_t column = 0;
    while (*sentences) {
        size_t len = strcspn(sentences, " ");
        bool is_new = column == 0 || column + 1 + len > COLUMNS;
        text_printf(ret, "%s%*s%.*s", is_new && column ? "\n" : "", is_new ? TEXT_COLUMN : 1, "", (int)len,
                    sentences);
        column = (is_new ? TEXT_COLUMN : column + 1) + len;
        sentences += len + strspn(sentences + len, " ");
    }
    text_add(ret, "\n");
}

void proxy_flags_help(const struct proxy_options *defaults, struct text *ret)
{
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < proxy_flag_count; i++) {
        const struct proxy_flag *flag = &proxy_flags[i];
        const char *value = default_of(flag, defaults, &arena), *word = type_word(flag);
        const char *letter = strcmp(flag->name, "help") == 0 ? "-h, "
                             : strcmp(flag->name, "v") == 0  ? "-v, "
                                                             : "    ";
        if (flag->group)
            text_printf(ret, "%s%s:\n", i ? "\n" : "", flag->group);
        text_printf(ret, "  %s--%s%s%s\n", letter, flag->name, *word ? " " : "", word);
        put_wrapped(value ? arena_printf(&arena, "%s (default %s)", flag->help, value) : flag->help, ret);
    }
    arena_done(&arena);
}

/* Those whose values nobody reads. */
static bool is_foreign(const struct proxy_flag *flag)
{
    return flag->offset == NOWHERE || flag->offset == SET(port_range) ||
           flag->offset == SET(is_windows_service) ||
           (flag->offset >= SET(winkernel) &&
            flag->offset < SET(winkernel) + sizeof(struct winkernel_settings));
}

void proxy_flags_visit(const struct proxy_options *options, const struct proxy_config *config,
                       void (*visit)(void *context, const char *flag, const char *value), void *context)
{
    struct proxy_options shown = *options;
    struct arena arena = {0};
    if (!*options->config_file)
        shown.settings = *config->settings;
    for (size_t i = 0; i < proxy_flag_count; i++) {
        struct text value = {0};
        if (is_foreign(&proxy_flags[i]))
            continue;
        flag_value_format(proxy_flags[i].type, (const char *)&shown + proxy_flags[i].offset, &arena, &value);
        visit(context, proxy_flags[i].name, text_str(&value));
        text_done(&value);
    }
    arena_done(&arena);
}
