/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "dataplane/dataplane.h"

/* What the daemon is told to do, checked: by the command line of `fairlead standalone`, whose flags carry
 * kube-proxy's names where kube-proxy has them, or by kube-proxy's own flags and file (proxy.c). */

/* Where objects come from: the stand-alone world, or a cluster's apiserver. */
struct proxy_config;
struct proxy_options;
struct reloader;

enum role { ROLE_STANDALONE, ROLE_PROXY };

/* What --dry-run prints instead of serving. */
enum dry_run { DRY_RUN_NONE, DRY_RUN_RULES, DRY_RUN_FORWARDING };

#define API_ADDRESSES_MAX 8

struct options {
    enum role role;
    /* ROLE_PROXY; kubeconfig and master both "": in-cluster. */
    const struct proxy_config *proxy_config; /* where all the rest comes from */
    const struct proxy_options *proxy_flags; /* as they were given */
    const struct reloader *reloader;         /* NULL: nothing is read again */
    const char *kubeconfig, *master;
    const char *manifests, *control_socket;
    const char *node_name;  /* lower case; the host's name when not given */
    const char *proxy_mode; /* a word of modes.h */
    bool masquerade_all, is_bind_hard_fail, is_confined, shows_help;
    enum dry_run dry_run;
    uint32_t masquerade_mark; /* one bit */
    /* Asked for, and loopback is among the addresses that node ports answer on, and iptables serves. */
    bool has_localhost_node_ports;
    struct dataplane_ipvs ipvs;
    bool is_strict_arp;
    bool takes_node_addresses; /* ipvs serves, which binds others */
    bool is_conntrack_liberal; /* as the kernel has it, once the settings are in force */
    unsigned sync_period_ms, min_sync_period_ms;
    int verbosity;
    enum local_detect local_detect;
    const char *interface; /* bridge name or interface prefix */
    bool has_cluster_cidr[FAMILY_COUNT];
    struct prefix cluster_cidr[FAMILY_COUNT];
    bool is_node_cidr; /* --detect-local-mode NodeCIDR: the Node object's pod CIDRs */
    bool has_bind_address;
    struct address bind_address;
    bool node_ports_on_primary;
    const struct prefix *node_port_cidrs;
    uint32_t node_port_cidr_count;
    struct socket_address healthz, metrics; /* port 0: not served */
    /* The embedded API server and the registry behind it. */
    const char *data_dir; /* NULL: no registry, the folder alone */
    struct socket_address api[API_ADDRESSES_MAX];
    uint32_t api_address_count; /* 0: no API server */
    bool is_api_plain;          /* HTTP instead of HTTPS */
    struct prefix service_ranges[FAMILY_COUNT];
    uint32_t service_range_count;
    uint16_t node_port_first, node_port_last;
};

/* Parses argv (without the program's and the command's names). Strings are borrowed from argv or lie in the
 * arena. -EINVAL and one sentence that names the flag. */
int options_parse(int argc, char *const *argv, struct arena *arena, struct options *ret, struct err *err);
/* The flags with a line each. */
void options_usage(void);
#define CONTROL_SOCKET_DEFAULT "/run/fairlead/control.sock"
#define DATA_DIR_DEFAULT "/var/lib/fairlead"
