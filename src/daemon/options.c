/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/options.h"

#include "daemon/modes.h"
#include "daemon/node.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parser {
    struct arena *arena;
    struct options options;
    const char *hostname, *detect_local_mode, *bridge, *interface_prefix, *cluster_cidr, *node_port_addresses;
    const char *dry_run_mode;
    const char *api, *ipvs_exclude_cidrs, *service_ranges, *node_port_range, *masquerade_bit;
    bool is_api_tls;
};

typedef int flag_fn(struct parser *parser, const char *value, struct err *err);

enum flag_type { FLAG_TEXT, FLAG_BOOL, FLAG_CUSTOM };

struct flag {
    const char *name, *value_name, *help; /* without a value_name, a value may only follow a `=` */
    enum flag_type type;
    size_t offset; /* FLAG_TEXT, FLAG_BOOL: in struct parser */
    flag_fn *custom;
};

static int take_socket(const char *value, struct socket_address *ret, uint16_t default_port, struct err *err)
{
    struct err parse;
    if (*value == '\0') {
        *ret = (struct socket_address){0};
        return 0;
    }
    if (socket_address_parse(value, ret, &parse) == 0)
        return 0;
    /* As kube-proxy: a lone address takes the usual port. */
    if (address_parse(value, &ret->address, NULL) == 0) {
        ret->port = default_port;
        return 0;
    }
    return err_set(err, EINVAL, "%s", parse.text);
}

static int take_healthz(struct parser *parser, const char *value, struct err *err)
{
    return take_socket(value, &parser->options.healthz, 10256, err);
}

static int take_metrics(struct parser *parser, const char *value, struct err *err)
{
    return take_socket(value, &parser->options.metrics, 10249, err);
}

static int take_bind_address(struct parser *parser, const char *value, struct err *err)
{
    parser->options.has_bind_address = true;
    return address_parse(value, &parser->options.bind_address, err);
}

/* Go's durations, as far as they make sense here: 30s, 500ms, 1m30s, 1h. */
static int take_sync_period(struct parser *parser, const char *value, struct err *err)
{
    static const struct {
        const char *suffix;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *at = value;
    double total = 0;
    while (isdigit((unsigned char)*at)) {
        char *end;
        double number = strtod(at, &end);
        size_t unit = 0;
        for (; unit < ARRAY_LEN(units); unit++)
            if (strncmp(end, units[unit].suffix, strlen(units[unit].suffix)) == 0)
                break;
        if (unit == ARRAY_LEN(units))
            break;
        total += number * units[unit].ms;
        at = end + strlen(units[unit].suffix);
    }
    if (*at || at == value || total < 1 || total > 86400e3)
        return err_set(err, EINVAL, "\"%.32s\" is not a duration such as 30s, from 1ms to 24h", value);
    parser->options.sync_period_ms = (unsigned)total;
    return 0;
}

static int take_verbosity(struct parser *parser, const char *value, struct err *err)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 2 || value[digits])
        return err_set(err, EINVAL, "\"%.32s\" is not a number from 0 to 99", value);
    parser->options.verbosity = atoi(value);
    return 0;
}

static int take_dry_run(struct parser *parser, const char *value, struct err *err)
{
    const struct dataplane_ops *mode = modes_named(value ? value : "nftables");
    bool is_forwarding = value && strcmp(value, "forwarding") == 0;
    if (!mode && !is_forwarding)
        return err_set(err, EINVAL, "\"%.32s\" is neither a mode nor forwarding", value);
    parser->options.dry_run = is_forwarding ? DRY_RUN_FORWARDING : DRY_RUN_RULES;
    parser->dry_run_mode = mode ? mode->name : NULL;
    return 0;
}

#define TEXT(field) .type = FLAG_TEXT, .offset = offsetof(struct parser, field)
#define BOOL(field) .type = FLAG_BOOL, .offset = offsetof(struct parser, field)
#define CUSTOM(function) .type = FLAG_CUSTOM, .custom = (function)

static const struct flag flags[] = {
    {"--manifests", "DIR", "the folder of YAML and JSON files to serve", TEXT(options.manifests)},
    {"--hostname-override", "NODE", "this node's name; the host's name when not given", TEXT(hostname)},
    {"--proxy-mode", "MODE",
     "nftables (the default), iptables, ipvs, userspace, or auto: the best that this kernel can do",
     TEXT(options.proxy_mode)},
    {"--cluster-cidr", "CIDR[,CIDR]", "the pods' addresses, one range for each family", TEXT(cluster_cidr)},
    {"--detect-local-mode", "MODE", "ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
     TEXT(detect_local_mode)},
    {"--pod-bridge-interface", "NAME", "with BridgeInterface", TEXT(bridge)},
    {"--pod-interface-name-prefix", "PREFIX", "with InterfaceNamePrefix", TEXT(interface_prefix)},
    {"--masquerade-all", NULL, "replace the source of everything sent to a cluster IP",
     BOOL(options.masquerade_all)},
    {"--nodeport-addresses", "LIST",
     "CIDRs whose addresses node ports answer on, or primary: those of the Node object, without one all; "
     "primary when not given, with iptables all",
     TEXT(node_port_addresses)},
    {"--iptables-localhost-nodeports", NULL,
     "with iptables, node ports answer on 127.0.0.1 too, for which the kernel is told to route it; false",
     BOOL(options.has_localhost_node_ports)},
    {"--iptables-masquerade-bit", "BIT",
     "with iptables, the bit of a packet's mark that asks for masquerading; 14", TEXT(masquerade_bit)},
    {"--ipvs-scheduler", "NAME", "with ipvs, how it chooses: rr, wrr, lc, wlc, sh, dh, sed, nq, mh, ...; rr",
     TEXT(options.ipvs.scheduler)},
    {"--ipvs-strict-arp", NULL, "with ipvs, answer ARP for an address on its own interface alone; true",
     BOOL(options.is_strict_arp)},
    {"--ipvs-exclude-cidrs", "LIST", "with ipvs, virtual servers in these ranges are left alone",
     TEXT(ipvs_exclude_cidrs)},
    {"--bind-address", "ADDRESS", "the node's own address, instead of what its Node object says",
     CUSTOM(take_bind_address)},
    {"--healthz-bind-address", "ADDRESS:PORT", "/healthz and /livez; 0.0.0.0:10256; empty for none",
     CUSTOM(take_healthz)},
    {"--metrics-bind-address", "ADDRESS:PORT", "/metrics and /proxyMode; 127.0.0.1:10249; empty for none",
     CUSTOM(take_metrics)},
    {"--bind-address-hard-fail", NULL, "end when one of those two addresses cannot be served",
     BOOL(options.is_bind_hard_fail)},
    {"--iptables-sync-period", "DURATION", "half of how late a change may be before /healthz says so; 30s",
     CUSTOM(take_sync_period)},
    {"--control-socket", "PATH", "where the tools reach this daemon; " CONTROL_SOCKET_DEFAULT,
     TEXT(options.control_socket)},
    {"--confine", NULL, "give up capabilities and system calls that are not needed; true",
     BOOL(options.is_confined)},
    {"--api", "[ADDRESS:]PORT[,...]",
     "serve the Kubernetes API there, on 127.0.0.1 when no address is given; kubectl finds it by the file "
     "admin.kubeconfig in the data folder",
     TEXT(api)},
    {"--api-tls", NULL, "HTTPS; true, and false is for a loopback that nobody else is on", BOOL(is_api_tls)},
    {"--data-dir", "DIR",
     "keep all objects durably in this folder; with --api " DATA_DIR_DEFAULT " unless told otherwise",
     TEXT(options.data_dir)},
    {"--service-cluster-ip-range", "CIDR[,CIDR]", "where cluster IPs are given from; 10.96.0.0/12",
     TEXT(service_ranges)},
    {"--service-node-port-range", "FIRST-LAST", "where node ports are given from; 30000-32767",
     TEXT(node_port_range)},
    {"--dry-run", NULL,
     "print the nftables table that the folder makes (=MODE: what that mode makes; =forwarding: the "
     "decisions), and end",
     CUSTOM(take_dry_run)},
    {"--v", "LEVEL", "log more: 2 and above tell of every turn", CUSTOM(take_verbosity)},
    {"--help", NULL, "this text", BOOL(options.shows_help)},
};

void options_usage(void)
{
    printf("Usage: fairlead standalone [--manifests DIR] [--api [ADDRESS:]PORT] [FLAG...]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        printf("  %s%s%-*s %s\n", flags[i].name, flags[i].value_name ? " " : "",
               (int)(42 - strlen(flags[i].name) - (flags[i].value_name ? 1 : 0)),
               flags[i].value_name ? flags[i].value_name : "", flags[i].help);
}

static const struct flag *find_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0)
            return &flags[i];
    return len == 2 && strncmp(name, "-v", 2) == 0 ? find_flag("--v", 3) : NULL;
}

static int store_bool(struct parser *parser, const struct flag *flag, const char *value, struct err *err)
{
    bool is_true = !value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!is_true && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return err_set(err, EINVAL, "%s: \"%.32s\" is neither true nor false", flag->name, value);
    *(bool *)((char *)parser + flag->offset) = is_true;
    return 0;
}

static int parse_flags(struct parser *parser, int argc, char *const *argv, struct err *err)
{
    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const struct flag *flag = find_flag(argv[i], len);
        const char *value = equals ? equals + 1 : NULL;
        if (argv[i][0] != '-')
            return err_set(err, EINVAL, "unknown argument \"%.64s\": only flags are expected here", argv[i]);
        if (!flag)
            return err_set(err, EINVAL, "unknown flag %.64s", argv[i]);
        if (flag->type == FLAG_BOOL) {
            int code = store_bool(parser, flag, value, err);
            if (code < 0)
                return code;
            continue;
        }
        if (!value && flag->value_name) {
            if (++i == argc)
                return err_set(err, EINVAL, "%s needs a value: %s", flag->name, flag->value_name);
            value = argv[i];
        }
        if (flag->type == FLAG_TEXT) {
            *(const char **)((char *)parser + flag->offset) = value;
            continue;
        }
        int code = flag->custom(parser, value, err);
        if (code < 0)
            return err_prefix(err, code, "%s", flag->name);
    }
    return 0;
}

/* Calls take for each piece of a comma-separated list. */
static int for_each_piece(struct parser *parser, const char *list, flag_fn *take, const char *flag,
                          struct err *err)
{
    char *copy = arena_strdup(parser->arena, list), *rest = copy;
    for (char *piece; (piece = strsep(&rest, ","));) {
        piece += strspn(piece, " ");
        piece[strcspn(piece, " ")] = '\0';
        int code = take(parser, piece, err);
        if (code < 0)
            return err_prefix(err, code, "%s", flag);
    }
    return 0;
}

static int take_cluster_cidr(struct parser *parser, const char *value, struct err *err)
{
    struct prefix prefix;
    int code = prefix_parse(value, &prefix, err);
    if (code < 0)
        return code;
    enum family family = address_family(&prefix.address);
    if (parser->options.has_cluster_cidr[family])
        return err_set(err, EINVAL, "\"%s\": only one CIDR of each family may be given", value);
    parser->options.has_cluster_cidr[family] = true;
    parser->options.cluster_cidr[family] = prefix;
    return 0;
}

static int take_node_port_cidr(struct parser *parser, const char *value, struct err *err)
{
    struct options *options = &parser->options;
    struct prefix *grown = arena_array(parser->arena, struct prefix, options->node_port_cidr_count + 1);
    if (strcmp(value, "primary") == 0)
        return err_set(err, EINVAL, "primary stands alone, not beside CIDRs");
    if (options->node_port_cidr_count)
        memcpy(grown, options->node_port_cidrs, options->node_port_cidr_count * sizeof(*grown));
    options->node_port_cidrs = grown;
    return prefix_parse(value, &grown[options->node_port_cidr_count++], err);
}

static int take_exclude_cidr(struct parser *parser, const char *value, struct err *err)
{
    struct dataplane_ipvs *ipvs = &parser->options.ipvs;
    struct prefix *grown = arena_array(parser->arena, struct prefix, ipvs->exclude_cidr_count + 1);
    if (ipvs->exclude_cidr_count)
        memcpy(grown, ipvs->exclude_cidrs, ipvs->exclude_cidr_count * sizeof(*grown));
    ipvs->exclude_cidrs = grown;
    return prefix_parse(value, &grown[ipvs->exclude_cidr_count++], err);
}

static int finish_local_detect(struct parser *parser, struct err *err)
{
    struct options *options = &parser->options;
    const char *mode = parser->detect_local_mode ? parser->detect_local_mode : "ClusterCIDR";
    if (strcmp(mode, "ClusterCIDR") == 0 || strcmp(mode, "") == 0) {
        bool has_any = options->has_cluster_cidr[FAMILY_IPV4] || options->has_cluster_cidr[FAMILY_IPV6];
        options->local_detect = has_any ? LOCAL_DETECT_CIDR : LOCAL_DETECT_NONE;
        return 0;
    }
    if (strcmp(mode, "NodeCIDR") == 0) {
        options->local_detect = LOCAL_DETECT_CIDR;
        options->is_node_cidr = true;
        return 0;
    }
    bool is_bridge = strcmp(mode, "BridgeInterface") == 0;
    if (!is_bridge && strcmp(mode, "InterfaceNamePrefix") != 0)
        return err_set(err, EINVAL,
                       "--detect-local-mode: \"%.32s\" is not one of ClusterCIDR, NodeCIDR, BridgeInterface, "
                       "InterfaceNamePrefix",
                       mode);
    options->interface = is_bridge ? parser->bridge : parser->interface_prefix;
    options->local_detect = is_bridge ? LOCAL_DETECT_BRIDGE : LOCAL_DETECT_INTERFACE_PREFIX;
    const char *needed = is_bridge ? "--pod-bridge-interface" : "--pod-interface-name-prefix";
    if (!options->interface || !*options->interface)
        return err_set(err, EINVAL, "--detect-local-mode %s needs %s", mode, needed);
    if (strlen(options->interface) > IFNAMSIZ - 2)
        return err_set(err, EINVAL, "%s: \"%.32s\" is longer than an interface's name can be", needed,
                       options->interface);
    return 0;
}

static int finish_node_name(struct parser *parser, struct err *err)
{
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    const char *name = parser->hostname ? parser->hostname : host;
    name += strspn(name, " \t");
    char *lower = arena_strndup(parser->arena, name, strcspn(name, " \t"));
    for (char *at = lower; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    parser->options.node_name = lower;
    return *lower ? 0 : err_set(err, EINVAL, "--hostname-override: a node's name cannot be empty");
}

static int finish_mode(struct options *options, struct err *err)
{
    static const char *const later[] = {"ebpf"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strcmp(options->proxy_mode, later[i]) == 0)
            return err_set(err, EINVAL, "--proxy-mode: %s is not in this version; %s are", later[i],
                           modes_list());
    if (!modes_has(options->proxy_mode))
        return err_set(err, EINVAL, "--proxy-mode: \"%.32s\" is not one of %s", options->proxy_mode,
                       modes_list());
    return 0;
}

static int finish_masquerade_bit(struct parser *parser, struct err *err)
{
    const char *bit = parser->masquerade_bit;
    size_t digits = bit ? strspn(bit, "0123456789") : 0;
    if (bit && (digits == 0 || digits > 2 || bit[digits] || atoi(bit) > 31))
        return err_set(err, EINVAL, "--iptables-masquerade-bit: \"%.32s\" is not a number from 0 to 31", bit);
    if (bit)
        parser->options.masquerade_mark = 1u << atoi(bit);
    return 0;
}

static int take_api_address(struct parser *parser, const char *value, struct err *err)
{
    struct options *options = &parser->options;
    if (options->api_address_count == API_ADDRESSES_MAX)
        return err_set(err, EINVAL, "more than %d addresses", API_ADDRESSES_MAX);
    struct socket_address *address = &options->api[options->api_address_count];
    const char *port = *value == ':' ? value + 1 : value;
    if (strspn(port, "0123456789") == strlen(port)) {
        address_parse("127.0.0.1", &address->address, NULL);
        if (port_parse(port, &address->port, err) < 0)
            return -EINVAL;
    } else if (take_socket(value, address, 6443, err) < 0) {
        return -EINVAL;
    }
    options->api_address_count++;
    return 0;
}

static int take_service_range(struct parser *parser, const char *value, struct err *err)
{
    struct options *options = &parser->options;
    struct prefix *range = &options->service_ranges[options->service_range_count];
    if (options->service_range_count == FAMILY_COUNT)
        return err_set(err, EINVAL, "at most one CIDR of each family");
    int code = prefix_parse(value, range, err);
    if (code < 0)
        return code;
    enum family family = address_family(&range->address);
    if (options->service_range_count && family == address_family(&options->service_ranges[0].address))
        return err_set(err, EINVAL, "\"%s\": only one CIDR of each family may be given", value);
    unsigned bits = family == FAMILY_IPV4 ? 32 : 128;
    if (range->len > bits - 3u || (family == FAMILY_IPV6 && range->len < 64))
        return err_set(err, EINVAL, "\"%s\" is too %s for a range of cluster IPs", value,
                       range->len > bits - 3u ? "small" : "large");
    options->service_range_count++;
    return 0;
}

static int take_node_port_range(struct parser *parser, const char *value, struct err *err)
{
    char first[8] = "";
    const char *dash = strchr(value, '-');
    struct options *options = &parser->options;
    if (!dash || dash - value >= (ptrdiff_t)sizeof(first))
        return err_set(err, EINVAL, "--service-node-port-range: \"%.32s\" is not FIRST-LAST", value);
    memcpy(first, value, (size_t)(dash - value));
    int code = port_parse(first, &options->node_port_first, err);
    if (code == 0)
        code = port_parse(dash + 1, &options->node_port_last, err);
    if (code == 0 && options->node_port_first > options->node_port_last)
        code = err_set(err, EINVAL, "\"%.32s\" ends before it begins", value);
    return code < 0 ? err_prefix(err, code, "--service-node-port-range") : 0;
}

/* The registry is there when something needs it: the API server, or the wish to keep objects. */
static int finish_api(struct parser *parser, struct err *err)
{
    struct options *options = &parser->options;
    const char *ranges = parser->service_ranges ? parser->service_ranges : "10.96.0.0/12";
    int code = 0;
    options->is_api_plain = !parser->is_api_tls;
    if (parser->api)
        code = for_each_piece(parser, parser->api, take_api_address, "--api", err);
    if (code == 0)
        code = for_each_piece(parser, ranges, take_service_range, "--service-cluster-ip-range", err);
    if (code == 0)
        code = take_node_port_range(parser, parser->node_port_range ? parser->node_port_range : "30000-32767",
                                    err);
    if (code == 0 && options->api_address_count && !options->data_dir)
        options->data_dir = DATA_DIR_DEFAULT;
    if (code == 0 && options->data_dir && options->dry_run)
        code = err_set(err, EINVAL, "--dry-run is for a folder alone, without --api and --data-dir");
    return code;
}

static int finish(struct parser *parser, struct err *err)
{
    struct options *options = &parser->options;
    int code = finish_node_name(parser, err);
    if (code == 0)
        code = finish_mode(options, err);
    if (code == 0 && parser->cluster_cidr && *parser->cluster_cidr)
        code = for_each_piece(parser, parser->cluster_cidr, take_cluster_cidr, "--cluster-cidr", err);
    if (code == 0)
        code = finish_local_detect(parser, err);
    const char *node_ports = parser->node_port_addresses;
    if (parser->dry_run_mode)
        options->proxy_mode = parser->dry_run_mode;
    bool is_old = strcmp(options->proxy_mode, "nftables") != 0 && strcmp(options->proxy_mode, MODE_AUTO) != 0;
    if (!node_ports || !*node_ports)
        node_ports = is_old ? "0.0.0.0/0,::/0" : "primary"; /* as kube-proxy's modes have it */
    options->node_ports_on_primary = strcmp(node_ports, "primary") == 0;
    if (code == 0 && !options->node_ports_on_primary)
        code = for_each_piece(parser, node_ports, take_node_port_cidr, "--nodeport-addresses", err);
    options->has_localhost_node_ports &= node_ports_have_loopback(
        options->node_ports_on_primary, options->node_port_cidrs, options->node_port_cidr_count);
    if (code == 0)
        code = finish_masquerade_bit(parser, err);
    if (code == 0 && parser->ipvs_exclude_cidrs && *parser->ipvs_exclude_cidrs)
        code = for_each_piece(parser, parser->ipvs_exclude_cidrs, take_exclude_cidr, "--ipvs-exclude-cidrs",
                              err);
    if (code == 0)
        code = finish_api(parser, err);
    if (code == 0 && !options->manifests && !options->api_address_count)
        code =
            err_set(err, EINVAL, "--manifests DIR is missing: the folder of YAML files to serve; or --api");
    return code;
}

int options_parse(int argc, char *const *argv, struct arena *arena, struct options *ret, struct err *err)
{
    struct parser parser = {
        .arena = arena,
        .is_api_tls = true,
        .options = {.proxy_mode = "nftables",
                    .control_socket = CONTROL_SOCKET_DEFAULT,
                    .is_confined = true,
                    .sync_period_ms = 30000,
                    .ipvs.scheduler = IPVS_SCHEDULER_DEFAULT,
                    .is_strict_arp = true,
                    .masquerade_mark = 1u << 14},
    };
    take_healthz(&parser, "0.0.0.0:10256", NULL);
    take_metrics(&parser, "127.0.0.1:10249", NULL);
    int code = parse_flags(&parser, argc, argv, err);
    if (code == 0 && !parser.options.shows_help)
        code = finish(&parser, err);
    if (code == 0)
        *ret = parser.options;
    return code;
}
