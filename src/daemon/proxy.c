/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/log.h"
#include "config/difference.h"
#include "config/proxy_options.h"
#include "config/read.h"
#include "daemon/commands.h"
#include "daemon/confinement.h"
#include "daemon/daemon.h"
#include "daemon/kernel_settings.h"
#include "daemon/modes.h"
#include "daemon/takeover.h"
#include "source/kubeconfig.h"
#include "sys/read_file.h"
#include "sys/write_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The role `fairlead proxy`: kube-proxy's flags and configuration file, turned into what the daemon is told
 * to do. */

#define PERIOD_MAX_MS 86400000

/* One reading of flags and file. */
struct reading {
    struct arena arena;
    struct proxy_config config;
    struct options options;
};

struct proxy_role {
    struct proxy_options flags;
    const char *control_socket, *confine;
    struct reloader reloader;
    char *file; /* as it was read last, good or bad; NULL: none */
    size_t file_len;
    struct reading readings[2];
    unsigned current; /* the reading in force */
};

static void print_usage(void)
{
    struct text flags = {0};
    proxy_options_help(&flags);
    printf(
        "Usage: fairlead proxy [FLAG...]\n\n"
        "Serves on this node what a cluster's apiserver says, with the flags and the configuration file of "
        "kube-proxy 1.36.\n\n"
        "Of fairlead's own:\n"
        "      --control-socket string\n"
        "          Where the tools reach this daemon. (default \"" CONTROL_SOCKET_DEFAULT "\")\n"
        "      --confine\n"
        "          Give up the capabilities and system calls that are not needed. (default true)\n\n%s",
        text_str(&flags));
    text_done(&flags);
}

/* The value of the flag name where argv[*at] is it, with *at moved on to its last argument; NULL where it is
 * another. A flag that has an alone value may stand without one. */
static const char *own_value(const char *name, const char *alone, int argc, char *const *argv, int *at)
{
    const char *rest = argv[*at] + strlen(name);
    if (strncmp(argv[*at], name, strlen(name)) != 0)
        return NULL;
    if (*rest == '=')
        return rest + 1;
    if (*rest != '\0')
        return NULL;
    return alone || *at + 1 == argc ? alone : argv[++*at];
}

/* Takes the flags that kube-proxy has not out of the arguments. */
static int take_own_flags(int argc, char *const *argv, char **rest, struct proxy_role *role)
{
    int count = 0;
    for (int i = 0; i < argc; i++) {
        const char *socket = own_value("--control-socket", NULL, argc, argv, &i);
        const char *confine = socket ? NULL : own_value("--confine", "true", argc, argv, &i);
        if (socket)
            role->control_socket = socket;
        else if (confine)
            role->confine = confine;
        else
            rest[count++] = argv[i];
    }
    return count;
}

static const char *node_name(const char *wanted, struct arena *arena)
{
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    const char *name = *wanted ? wanted : host;
    name += strspn(name, " \t");
    char *lower = arena_strndup(arena, name, strcspn(name, " \t"));
    for (char *at = lower; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return lower;
}

static void take_local_detect(const struct proxy_config *config, struct options *ret)
{
    const struct prefix_list *cidrs = &config->cluster_cidrs;
    switch (config->local_mode) {
    case LOCAL_MODE_CLUSTER_CIDR:
        ret->local_detect = cidrs->count ? LOCAL_DETECT_CIDR : LOCAL_DETECT_NONE;
        break;
    case LOCAL_MODE_NODE_CIDR:
        ret->local_detect = LOCAL_DETECT_CIDR;
        ret->is_node_cidr = true;
        break;
    case LOCAL_MODE_BRIDGE_INTERFACE:
        ret->local_detect = LOCAL_DETECT_BRIDGE;
        ret->interface = config->settings->bridge_interface;
        break;
    case LOCAL_MODE_INTERFACE_NAME_PREFIX:
        ret->local_detect = LOCAL_DETECT_INTERFACE_PREFIX;
        ret->interface = config->settings->interface_prefix;
        break;
    }
    for (size_t i = 0; i < cidrs->count; i++) {
        enum family family = address_family(&cidrs->items[i].address);
        ret->has_cluster_cidr[family] = true;
        ret->cluster_cidr[family] = cidrs->items[i];
    }
}

/* Without addresses node ports answer on all. */
static void take_node_ports(const struct proxy_config *config, struct arena *arena, struct options *ret)
{
    struct prefix *every = arena_alloc(arena, 2 * sizeof(*every));
    ret->node_ports_on_primary = config->is_node_port_primary;
    ret->node_port_cidrs = config->node_port_addresses.items;
    ret->node_port_cidr_count = (uint32_t)config->node_port_addresses.count;
    if (ret->node_ports_on_primary || ret->node_port_cidr_count)
        return;
    prefix_parse("0.0.0.0/0", &every[0], NULL);
    prefix_parse("::/0", &every[1], NULL);
    ret->node_port_cidrs = every;
    ret->node_port_cidr_count = 2;
}

static unsigned to_period(int64_t ms, unsigned least)
{
    return ms < least ? least : ms > PERIOD_MAX_MS ? PERIOD_MAX_MS : (unsigned)ms;
}

static struct dataplane_ipvs ipvs_options(const struct proxy_config *config)
{
    const char *scheduler = config->settings->ipvs.scheduler;
    return (struct dataplane_ipvs){.scheduler = *scheduler ? scheduler : IPVS_SCHEDULER_DEFAULT,
                                   .exclude_cidrs = config->ipvs_exclude_cidrs.items,
                                   .exclude_cidr_count = (uint32_t)config->ipvs_exclude_cidrs.count,
                                   .tcp_s = (uint32_t)(config->ipvs_tcp_ms / 1000),
                                   .tcp_fin_s = (uint32_t)(config->ipvs_tcp_fin_ms / 1000),
                                   .udp_s = (uint32_t)(config->ipvs_udp_ms / 1000)};
}

static struct options daemon_options(const struct proxy_role *role, const struct proxy_config *config,
                                     struct arena *arena)
{
    const struct proxy_settings *settings = config->settings;
    struct options options = {
        .role = ROLE_PROXY,
        .proxy_config = config,
        .proxy_flags = &role->flags,
        .reloader = *role->flags.config_file ? &role->reloader : NULL,
        .kubeconfig = settings->kubeconfig,
        .master = role->flags.master,
        .control_socket = role->control_socket,
        .is_confined = strcmp(role->confine, "false") != 0,
        .node_name = node_name(settings->hostname_override, arena),
        .proxy_mode = modes_of_config(config),
        .masquerade_all = config->masquerades_all,
        .is_bind_hard_fail = settings->is_bind_fatal,
        .masquerade_mark = config->masquerade_mark,
        .ipvs = ipvs_options(config),
        .has_localhost_node_ports = kernel_settings_has_localhost_node_ports(config),
        .sync_period_ms = to_period(config->sync_ms, 1),
        .min_sync_period_ms = to_period(config->min_sync_ms, 0),
        .verbosity = (int)settings->logging.verbosity,
        .has_bind_address = !address_is_unspecified(&config->bind_address),
        .bind_address = config->bind_address,
    };
    if (config->has_healthz)
        options.healthz = config->healthz;
    if (config->has_metrics)
        options.metrics = config->metrics;
    take_local_detect(config, &options);
    take_node_ports(config, arena, &options);
    return options;
}

static int write_config(const struct proxy_config *config, const char *path)
{
    struct text text = {0};
    struct err err;
    config_write(config, &text);
    int code = write_file_whole(path, 0644, text_str(&text), text.len, &err);
    text_done(&text);
    if (code < 0)
        fprintf(stderr, "fairlead proxy: %s\n", err.text);
    return code < 0;
}

/* Flags and file to one configuration. Returns NULL, or what is wrong: in the reading's arena, as the rest.
 */
static const char *read_config(const struct proxy_role *role, struct reading *ret)
{
    struct proxy_report report = {0};
    arena_reset(&ret->arena);
    bool is_good =
        proxy_options_resolve(&role->flags, role->file, role->file_len, &ret->arena, &ret->config, &report);
    for (size_t i = 0; i < report.warning_count; i++)
        log_warning("%s", report.warnings[i]);
    if (!is_good)
        return report.refusal;
    ret->options = daemon_options(role, &ret->config, &ret->arena);
    return NULL;
}

/* Takes the file's bytes in; false where they are those that were read before. */
static int read_file(struct proxy_role *role, bool *ret_is_new, struct err *err)
{
    char *file = NULL;
    size_t len = 0;
    int code = read_file_whole(role->flags.config_file, PROXY_CONFIG_MAX, &file, &len, err);
    if (code < 0)
        return code;
    *ret_is_new = !role->file || len != role->file_len || memcmp(file, role->file, len) != 0;
    free(role->file);
    role->file = file;
    role->file_len = len;
    return 0;
}

/* --- reading it again --- */

/* What is opened once, at the start: a change of these begins anew. All else is looked at each turn. */
static const char *const opened_fields[] = {
    "bindAddressHardFail",         "clientConnection", "enableProfiling",    "featureGates",
    "healthzBindAddress",          "hostnameOverride", "metricsBindAddress", "mode",
    "showHiddenMetricsForVersion",
};

struct differences {
    struct text *names;
    enum reload_effect effect;
};

static void on_difference(void *context, const char *field)
{
    struct differences *differences = context;
    text_printf(differences->names, "%s%s", differences->effect == RELOAD_NOTHING ? "" : ", ", field);
    if (differences->effect == RELOAD_NOTHING)
        differences->effect = RELOAD_IN_PLACE;
    for (size_t i = 0; i < ARRAY_LEN(opened_fields); i++)
        if (strcmp(opened_fields[i], field) == 0)
            differences->effect = RELOAD_ANEW;
}

/* What could not be opened would end a daemon that serves well. NULL, or what is wrong with it. */
static const char *judge_kubeconfig(struct reading *reading)
{
    struct kubeconfig config = {0};
    struct err err;
    const char *path = reading->options.kubeconfig;
    if (!path || !*path || kubeconfig_read(path, &reading->arena, &config, &err) == 0)
        return NULL;
    return arena_strdup(&reading->arena, err.text);
}

/* A mode that this machine has not would end the daemon as well. */
static const char *judge_mode(struct reading *reading)
{
    struct mode_finding finding;
    struct err err;
    int code = modes_choose(reading->options.proxy_mode, &finding, &err);
    /* Of rights that this process gave up, another one will judge. */
    if (code == 0 || (finding.lacks_rights && confinement_stage() == CONFINEMENT_SERVING))
        return NULL;
    return arena_strdup(&reading->arena, err.text);
}

static const char *read_again(void *context, struct options *ret, enum reload_effect *ret_effect,
                              struct text *ret_names)
{
    struct proxy_role *role = context;
    const struct reading *current = &role->readings[role->current];
    struct reading *next = &role->readings[!role->current];
    struct differences differences = {ret_names, RELOAD_NOTHING};
    bool is_new = false;
    struct err err;
    if (read_file(role, &is_new, &err) < 0) {
        arena_reset(&next->arena);
        return arena_strdup(&next->arena, err.text);
    }
    if (!is_new)
        return NULL;
    const char *refusal = read_config(role, next);
    if (!refusal)
        config_difference(&current->config, &next->config, on_difference, &differences);
    if (!refusal && differences.effect == RELOAD_ANEW)
        refusal = judge_kubeconfig(next);
    if (!refusal && differences.effect == RELOAD_ANEW)
        refusal = judge_mode(next);
    if (refusal) {
        /* Asked again, it is judged again: what it names may be there by then. */
        free(role->file);
        role->file = NULL;
        return refusal;
    }
    *ret_effect = differences.effect;
    *ret = next->options;
    if (differences.effect != RELOAD_NOTHING)
        role->current = !role->current;
    return NULL;
}

/* --- the role --- */

static int init_only(const struct options *options)
{
    struct mode_finding finding;
    struct err err;
    if (modes_choose(options->proxy_mode, &finding, &err) < 0) {
        log_error("%s", err.text);
        return 1;
    }
    return kernel_settings_init(options, modes_number(finding.serves));
}

static int serve(struct proxy_role *role)
{
    const struct proxy_config *config = &role->readings[role->current].config;
    int status;
    if (*role->flags.write_config_to)
        return write_config(config, role->flags.write_config_to);
    if (role->flags.is_init_only)
        return init_only(&role->readings[role->current].options);
    do
        status = daemon_run(&role->readings[role->current].options);
    while (status == DAEMON_ANEW);
    return status;
}

static int configure_and_serve(struct proxy_role *role)
{
    struct err err;
    bool is_new;
    int status = 1;
    role->reloader = (struct reloader){role->flags.config_file, role, read_again};
    if (*role->flags.config_file && read_file(role, &is_new, &err) < 0) {
        fprintf(stderr, "fairlead proxy: %s\n", err.text);
        return 1;
    }
    arena_init(&role->readings[0].arena);
    arena_init(&role->readings[1].arena);
    const char *refusal = read_config(role, &role->readings[0]);
    if (refusal)
        fprintf(stderr, "fairlead proxy: %s%s%s\n", role->flags.config_file,
                *role->flags.config_file ? ": " : "", refusal);
    else
        status = serve(role);
    arena_done(&role->readings[0].arena);
    arena_done(&role->readings[1].arena);
    free(role->file);
    return status;
}

int proxy_main(int argc, char *const *argv)
{
    struct arena arena;
    struct err err;
    struct proxy_role role = {.control_socket = CONTROL_SOCKET_DEFAULT, .confine = "true"};
    int status;
    arena_init(&arena);
    char **rest = arena_alloc(&arena, ((size_t)argc + 1) * sizeof(*rest));
    argc = take_own_flags(argc, argv, rest, &role);
    if (proxy_options_parse(argc, rest, &arena, &role.flags, &err) < 0) {
        fprintf(stderr, "fairlead proxy: %s\n", err.text);
        status = 2;
    } else if (strcmp(role.confine, "true") != 0 && strcmp(role.confine, "false") != 0) {
        fprintf(stderr, "fairlead proxy: --confine: \"%.32s\" is neither true nor false\n", role.confine);
        status = 2;
    } else if (role.flags.is_help) {
        print_usage();
        status = 0;
    } else if (*role.flags.version) {
        status = version_main(0, NULL);
    } else if (role.flags.is_cleanup) {
        status = takeover_clean_up();
    } else {
        status = configure_and_serve(&role);
    }
    arena_done(&arena);
    return status;
}
