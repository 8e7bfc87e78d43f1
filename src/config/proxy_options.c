/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/proxy_options.h"

#include "api/encode.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "config/flag_values.h"
#include "config/read.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define AT(field) offsetof(struct proxy_options, field)
#define SET(field) offsetof(struct proxy_options, settings.field)
/* Values that nobody here reads: of Windows, of modes long gone. */
#define NOWHERE SIZE_MAX
#define SPACES " \t\r\n\v\f"

static const struct flag {
    const char *name;
    enum flag_type type;
    size_t offset;
    unsigned logging;       /* its bit in given_logging */
    const char *instead_of; /* deprecated: what to use, or "" */
} flags[] = {
    {"config", FLAG_STRING, AT(config_file)},
    {"write-config-to", FLAG_STRING, AT(write_config_to)},
    {"master", FLAG_STRING, AT(master)},
    {"hostname-override", FLAG_STRING, AT(hostname_override)},
    {"machine-id-file", FLAG_STRING, AT(machine_id_file)},
    {"boot-id-file", FLAG_STRING, AT(boot_id_file)},
    {"version", FLAG_VERSION, AT(version)},
    {"help", FLAG_BOOL, AT(is_help)},
    {"cleanup", FLAG_BOOL, AT(is_cleanup)},
    {"init-only", FLAG_BOOL, AT(is_init_only)},
    {"feature-gates", FLAG_GATES, AT(settings)},
    {"kubeconfig", FLAG_STRING, SET(kubeconfig)},
    {"kube-api-content-type", FLAG_STRING, SET(content_type)},
    {"kube-api-burst", FLAG_INT32, SET(burst)},
    {"kube-api-qps", FLAG_FLOAT, SET(qps)},
    {"bind-address", FLAG_IP, SET(bind_address)},
    {"healthz-bind-address", FLAG_IP_PORT, SET(healthz_bind_address)},
    {"metrics-bind-address", FLAG_IP_PORT, SET(metrics_bind_address)},
    {"healthz-port", FLAG_INT32, AT(healthz_port), 0, "healthz-bind-address"},
    {"metrics-port", FLAG_INT32, AT(metrics_port), 0, "metrics-bind-address"},
    {"bind-address-hard-fail", FLAG_BOOL, SET(is_bind_fatal)},
    {"profiling", FLAG_BOOL, SET(has_profiling)},
    {"show-hidden-metrics-for-version", FLAG_STRING, SET(hidden_metrics_version)},
    {"proxy-mode", FLAG_STRING, SET(mode)},
    {"iptables-masquerade-bit", FLAG_INT32, SET(iptables_bit)},
    {"masquerade-all", FLAG_BOOL, SET(masquerades_all)},
    {"iptables-localhost-nodeports", FLAG_BOOL, SET(has_localhost_node_ports)},
    {"iptables-sync-period", FLAG_DURATION, AT(iptables_sync_ns)},
    {"iptables-min-sync-period", FLAG_DURATION, AT(iptables_min_sync_ns)},
    {"ipvs-sync-period", FLAG_DURATION, AT(ipvs_sync_ns)},
    {"ipvs-min-sync-period", FLAG_DURATION, AT(ipvs_min_sync_ns)},
    {"ipvs-scheduler", FLAG_STRING, SET(ipvs.scheduler)},
    {"ipvs-exclude-cidrs", FLAG_LIST, SET(ipvs.exclude_cidrs)},
    {"ipvs-strict-arp", FLAG_BOOL, SET(ipvs.is_strict_arp)},
    {"ipvs-tcp-timeout", FLAG_DURATION, SET(ipvs.tcp_ns)},
    {"ipvs-tcpfin-timeout", FLAG_DURATION, SET(ipvs.tcp_fin_ns)},
    {"ipvs-udp-timeout", FLAG_DURATION, SET(ipvs.udp_ns)},
    {"detect-local-mode", FLAG_STRING, SET(local_mode)},
    {"pod-bridge-interface", FLAG_STRING, SET(bridge_interface)},
    {"pod-interface-name-prefix", FLAG_STRING, SET(interface_prefix)},
    {"cluster-cidr", FLAG_STRING, AT(cluster_cidr)},
    {"nodeport-addresses", FLAG_LIST, SET(node_port_addresses)},
    {"oom-score-adj", FLAG_INT32, SET(oom_score_adj)},
    {"conntrack-max-per-core", FLAG_INT32, SET(conntrack.max_per_core)},
    {"conntrack-min", FLAG_INT32, SET(conntrack.min)},
    {"conntrack-tcp-timeout-established", FLAG_DURATION, SET(conntrack.tcp_established_ns)},
    {"conntrack-tcp-timeout-close-wait", FLAG_DURATION, SET(conntrack.tcp_close_wait_ns)},
    {"conntrack-tcp-be-liberal", FLAG_BOOL, SET(conntrack.is_tcp_liberal)},
    {"conntrack-udp-timeout", FLAG_DURATION, SET(conntrack.udp_ns)},
    {"conntrack-udp-timeout-stream", FLAG_DURATION, SET(conntrack.udp_stream_ns)},
    {"config-sync-period", FLAG_DURATION, SET(config_sync_ns)},
    {"v", FLAG_LEVEL, SET(logging.verbosity), 1 << 0},
    {"vmodule", FLAG_VMODULE, SET(logging), 1 << 1},
    {"logging-format", FLAG_STRING, SET(logging.format), 1 << 2},
    {"log-flush-frequency", FLAG_DURATION, SET(logging.flush_ns), 1 << 3},
    {"log-text-split-stream", FLAG_BOOL, SET(logging.text.is_split), 1 << 4},
    {"log-text-info-buffer-size", FLAG_QUANTITY, SET(logging.text.buffer_size), 1 << 5},
    {"log-json-split-stream", FLAG_BOOL, SET(logging.json.is_split), 1 << 6},
    {"log-json-info-buffer-size", FLAG_QUANTITY, SET(logging.json.buffer_size), 1 << 7},
    {"windows-service", FLAG_BOOL, SET(is_windows_service)},
    {"source-vip", FLAG_STRING, SET(winkernel.source_vip)},
    {"network-name", FLAG_STRING, SET(winkernel.network_name)},
    {"enable-dsr", FLAG_BOOL, SET(winkernel.is_dsr)},
    {"root-hnsendpoint-name", FLAG_STRING, SET(winkernel.root_endpoint_name)},
    {"forward-healthcheck-vip", FLAG_BOOL, SET(winkernel.forwards_health_vip)},
    {"proxy-port-range", FLAG_STRING, SET(port_range), 0, ""},
    {"udp-timeout", FLAG_DURATION, NOWHERE, 0, ""},
};

/* For what a flag's value may stay absent and mean this. */
static const char *implied_value(const struct flag *flag)
{
    return flag->type == FLAG_BOOL || flag->type == FLAG_VERSION ? "true" : NULL;
}

static const struct flag *find_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const char *known = flags[i].name;
        size_t at = 0;
        while (at < len && known[at] && known[at] == (name[at] == '_' ? '-' : name[at]))
            at++;
        if (at == len && !known[at])
            return &flags[i];
    }
    return NULL;
}

static int set_flag(struct proxy_options *options, const struct flag *flag, const char *value,
                    struct arena *arena, struct err *err)
{
    char unused[16];
    void *where = flag->offset == NOWHERE ? (void *)unused : (char *)options + flag->offset;
    int code = flag_value_set(flag->type, where, value, arena, err);
    if (code < 0)
        return err_prefix(err, code, "invalid argument %.200s for \"%s%s\" flag", encode_quoted(value, arena),
                          strcmp(flag->name, "v") == 0      ? "-v, --"
                          : strcmp(flag->name, "help") == 0 ? "-h, --"
                                                            : "--",
                          flag->name);
    options->given_logging |= flag->logging;
    if (flag->instead_of && options->warning_count < PROXY_WARNINGS_MAX)
        options->warnings[options->warning_count++] =
            *flag->instead_of
                ? arena_printf(arena, "--%s is deprecated: use --%s", flag->name, flag->instead_of)
                : arena_printf(arena, "--%s has no effect: it belonged to the userspace mode", flag->name);
    return 0;
}

/* The one-letter flags are -v and -h, which may stand together. Returns how many arguments it took, or an
 * error. */
static int parse_short(int argc, char *const argv[], struct proxy_options *options, struct arena *arena,
                       struct err *err)
{
    for (const char *letter = argv[0] + 1; *letter; letter++) {
        const struct flag *flag = find_flag(*letter == 'h' ? "help" : "v", *letter == 'h' ? 4 : 1);
        bool has_value = letter[1] == '=' && letter[2];
        if (*letter != 'h' && *letter != 'v')
            return err_set(err, EINVAL, "unknown shorthand flag: '%c' in -%.100s", *letter, letter);
        if (*letter == 'v' && !letter[1] && argc < 2)
            return err_set(err, EINVAL, "flag needs an argument: 'v' in -v");
        const char *value = has_value        ? letter + 2
                            : *letter == 'h' ? "true"
                            : letter[1]      ? letter + 1
                                             : argv[1];
        int code = set_flag(options, flag, value, arena, err);
        if (code < 0 || *letter == 'v' || has_value)
            return code < 0 ? code : value == argv[1] ? 2 : 1;
    }
    return 1;
}

static int parse_long(int argc, char *const argv[], struct proxy_options *options, struct arena *arena,
                      struct err *err)
{
    const char *name = argv[0] + 2;
    size_t len = strcspn(name, "=");
    const struct flag *flag = find_flag(name, len);
    if (len == 0 || *name == '-')
        return err_set(err, EINVAL, "bad flag syntax: %.100s", argv[0]);
    if (!flag)
        return err_set(err, EINVAL, "unknown flag: --%.*s", len > 100 ? 100 : (int)len, name);
    const char *value = name[len] == '=' ? name + len + 1 : implied_value(flag);
    int taken = 1;
    if (!value && argc < 2)
        return err_set(err, EINVAL, "flag needs an argument: --%s", flag->name);
    if (!value) {
        value = argv[1];
        taken = 2;
    }
    int code = set_flag(options, flag, value, arena, err);
    return code < 0 ? code : taken;
}

/* The flags that have to know of others: the periods are those of the mode, and the iptables flags are
 * nftables' flags, too. Ports go behind the addresses (addressFromDeprecatedFlags). */
static void join_flags(struct proxy_options *options, struct arena *arena)
{
    struct proxy_settings *settings = &options->settings;
    bool is_ipvs = strcmp(settings->mode, "ipvs") == 0;
    settings->sync_ns = is_ipvs ? options->ipvs_sync_ns : options->iptables_sync_ns;
    settings->min_sync_ns = is_ipvs ? options->ipvs_min_sync_ns : options->iptables_min_sync_ns;
    if (options->cluster_cidr)
        settings->cluster_cidrs = settings_split(options->cluster_cidr, arena);
    if (*options->write_config_to)
        return;
    settings->healthz_bind_address =
        options->healthz_port == 0
            ? ""
            : settings_with_port(settings->healthz_bind_address, options->healthz_port, arena);
    settings->metrics_bind_address =
        options->metrics_port == 0
            ? ""
            : settings_with_port(settings->metrics_bind_address, options->metrics_port, arena);
}

static struct proxy_options no_options(void)
{
    struct proxy_options options = {
        .config_file = "",
        .write_config_to = "",
        .master = "",
        .hostname_override = "",
        .machine_id_file = "/etc/machine-id,/var/lib/dbus/machine-id",
        .boot_id_file = "/proc/sys/kernel/random/boot_id",
        .version = "",
        .healthz_port = HEALTHZ_PORT,
        .metrics_port = METRICS_PORT,
    };
    settings_default(&options.settings);
    options.iptables_sync_ns = options.ipvs_sync_ns = options.settings.sync_ns;
    options.iptables_min_sync_ns = options.ipvs_min_sync_ns = options.settings.min_sync_ns;
    return options;
}

/* What is no flag; empty words are nobody's. */
static int refuse_words(char *const words[], size_t count, struct arena *arena, struct err *err)
{
    struct text list = {0};
    bool is_empty = true;
    for (size_t i = 0; i < count; i++) {
        is_empty = is_empty && !*words[i];
        text_printf(&list, "%s%s", i > 0 ? " " : "", encode_quoted(words[i], arena));
    }
    if (!is_empty)
        err_set(err, EINVAL, "\"kube-proxy\" does not take any arguments, got [%.400s]", text_str(&list));
    text_done(&list);
    return is_empty ? 0 : -EINVAL;
}

int proxy_options_parse(int argc, char *const argv[], struct arena *arena, struct proxy_options *ret,
                        struct err *err)
{
    struct proxy_options options = no_options();
    char **words = arena_array(arena, char *, (size_t)argc + 1);
    size_t word_count = 0;
    bool is_over = false;
    for (int at = 0; at < argc;) {
        char *word = argv[at];
        int taken = 1;
        if (is_over || word[0] != '-' || !word[1])
            words[word_count++] = word;
        else if (strcmp(word, "--") == 0)
            is_over = true;
        else if (word[1] == '-')
            taken = parse_long(argc - at, argv + at, &options, arena, err);
        else
            taken = parse_short(argc - at, argv + at, &options, arena, err);
        if (taken < 0)
            return taken;
        at += taken;
    }
    int code = refuse_words(words, word_count, arena, err);
    if (code < 0)
        return code;
    join_flags(&options, arena);
    *ret = options;
    return 0;
}

/* Flags over the file's: copyLogsFromFlags. Patterns of both count, those of the flags first. */
static void join_logging(const struct proxy_options *options, struct logging_settings *logging,
                         struct arena *arena)
{
    const struct logging_settings *given = &options->settings.logging;
    /* The flags' default comes over what a file says, as upstream. */
    logging->text.is_split = logging->json.is_split = false;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *flag = &flags[i];
        if (!(flag->logging & options->given_logging) || flag->type == FLAG_VMODULE)
            continue;
        size_t offset = flag->offset - SET(logging);
        memcpy((char *)logging + offset, (const char *)given + offset, flag_value_size(flag->type));
    }
    if (given->vmodule_count == 0)
        return;
    size_t count = given->vmodule_count + logging->vmodule_count;
    struct vmodule_setting *items = arena_array(arena, struct vmodule_setting, count);
    memcpy(items, given->vmodule, given->vmodule_count * sizeof(*items));
    if (logging->vmodule_count > 0)
        memcpy(items + given->vmodule_count, logging->vmodule, logging->vmodule_count * sizeof(*items));
    logging->vmodule = items;
    logging->vmodule_count = count;
}

/* false for a name of spaces alone. */
static bool join_hostname(const char *override, struct proxy_settings *settings, struct arena *arena)
{
    if (!*override)
        return true;
    override += strspn(override, SPACES);
    size_t len = strlen(override);
    while (len > 0 && strchr(SPACES, override[len - 1]))
        len--;
    char *name = arena_strndup(arena, override, len);
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    settings->hostname_override = name;
    return len > 0;
}

bool proxy_options_resolve(const struct proxy_options *options, const char *bytes, size_t len,
                           struct arena *arena, struct proxy_config *ret, struct proxy_report *report)
{
    struct proxy_settings settings = options->settings;
    const char *warning = NULL;
    *report = (struct proxy_report){0};
    if (bytes) {
        const char *refusal = settings_read(bytes, len, arena, &settings, &warning);
        if (refusal) {
            report->refusal = arena_printf(arena, "failed complete: failed to decode: %s", refusal);
            return false;
        }
        join_logging(options, &settings.logging, arena);
    }
    for (size_t i = 0; i < options->warning_count; i++)
        report->warnings[report->warning_count++] = options->warnings[i];
    if (warning && report->warning_count < PROXY_WARNINGS_MAX)
        report->warnings[report->warning_count++] = warning;
    if (!join_hostname(options->hostname_override, &settings, arena)) {
        report->refusal = "failed complete: empty hostname-override is invalid";
        return false;
    }
    return config_resolve(&settings, arena, ret, report);
}
