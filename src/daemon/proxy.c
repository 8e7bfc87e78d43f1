/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cleanup.h"
#include "base/log.h"
#include "config/proxy_options.h"
#include "daemon/commands.h"
#include "daemon/standalone.h"
#include "sys/read_file.h"
#include "sys/write_file.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The role `fairlead proxy`: kube-proxy's flags and configuration file, turned into what the daemon is told
 * to do. */

#define CONFIG_FILE_MAX ((size_t)3 << 20)
#define NS_PER_MS 1000000

static const char usage_text[] =
    "Usage: fairlead proxy [FLAG...]\n\n"
    "Serves what a cluster's apiserver says on this node. Flags and configuration file (--config) are those "
    "of kube-proxy\n"
    "1.36; the mode is nftables whatever they say. Of fairlead's own:\n\n"
    "  --control-socket PATH    where the tools reach this daemon; " CONTROL_SOCKET_DEFAULT "\n";

/* Takes the one flag that kube-proxy has not out of the arguments. */
static int take_own_flags(int argc, char *const *argv, char **rest, const char **ret_socket)
{
    static const char name[] = "--control-socket";
    int count = 0;
    for (int i = 0; i < argc; i++) {
        bool is_own = strncmp(argv[i], name, strlen(name)) == 0;
        const char *value = argv[i] + strlen(name);
        if (is_own && *value == '=')
            *ret_socket = value + 1;
        else if (is_own && *value == '\0' && i + 1 < argc)
            *ret_socket = argv[++i];
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

static struct options daemon_options(const struct proxy_config *config, const struct proxy_options *flags,
                                     const char *control_socket, struct arena *arena)
{
    const struct proxy_settings *settings = config->settings;
    struct options options = {
        .role = ROLE_PROXY,
        .kubeconfig = settings->kubeconfig,
        .master = flags->master,
        .control_socket = control_socket,
        .node_name = node_name(settings->hostname_override, arena),
        .proxy_mode = "nftables",
        .masquerade_all = config->masquerades_all,
        .is_bind_hard_fail = settings->is_bind_fatal,
        .sync_period_ms = (unsigned)(config->sync_ms < 1          ? 1
                                     : config->sync_ms > 86400000 ? 86400000
                                                                  : config->sync_ms),
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

static void warn(const char *const *warnings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        log_warning("%s", warnings[i]);
}

/* What remains to be done once flags and file are one configuration. */
static int serve(const struct proxy_config *config, const struct proxy_options *flags,
                 const char *control_socket, struct arena *arena)
{
    if (*flags->write_config_to)
        return write_config(config, flags->write_config_to);
    if (flags->is_init_only) {
        log_info("--init-only: there is nothing that has to be set up beforehand");
        return 0;
    }
    if (config->mode != PROXY_MODE_NFTABLES)
        log_warning("mode \"%s\" is not in this version: nftables serves instead", config->settings->mode);
    const struct options options = daemon_options(config, flags, control_socket, arena);
    return node_run(&options);
}

static int configure(const struct proxy_options *flags, const char *control_socket, struct arena *arena)
{
    struct proxy_config config;
    struct proxy_report report = {0};
    struct err err;
    cleanup_free char *file = NULL;
    size_t len = 0;
    if (*flags->config_file && read_file_whole(flags->config_file, CONFIG_FILE_MAX, &file, &len, &err) < 0) {
        fprintf(stderr, "fairlead proxy: %s\n", err.text);
        return 1;
    }
    bool is_good = proxy_options_resolve(flags, file, len, arena, &config, &report);
    warn(flags->warnings, flags->warning_count);
    warn(report.warnings, report.warning_count);
    if (!is_good) {
        fprintf(stderr, "fairlead proxy: %s\n", report.refusal);
        return 1;
    }
    return serve(&config, flags, control_socket, arena);
}

int proxy_main(int argc, char *const *argv)
{
    struct arena arena;
    struct err err;
    struct proxy_options flags;
    const char *control_socket = CONTROL_SOCKET_DEFAULT;
    int status;
    arena_init(&arena);
    char **rest = arena_alloc(&arena, ((size_t)argc + 1) * sizeof(*rest));
    argc = take_own_flags(argc, argv, rest, &control_socket);
    if (proxy_options_parse(argc, rest, &arena, &flags, &err) < 0) {
        fprintf(stderr, "fairlead proxy: %s\n", err.text);
        status = 2;
    } else if (flags.is_help) {
        fputs(usage_text, stdout);
        status = 0;
    } else if (*flags.version) {
        status = version_main(0, NULL);
    } else if (flags.is_cleanup) {
        status = cleanup_main(0, NULL);
    } else {
        status = configure(&flags, control_socket, &arena);
    }
    arena_done(&arena);
    return status;
}
