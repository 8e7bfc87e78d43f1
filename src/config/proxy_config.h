/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "config/settings.h"
#include "net/address.h"

/* kube-proxy's configuration as the rest of the program reads it: judged, parsed, nothing left to default. */

/* userspace was kube-proxy's until 1.25. */
enum proxy_mode { PROXY_MODE_IPTABLES, PROXY_MODE_IPVS, PROXY_MODE_NFTABLES, PROXY_MODE_USERSPACE };
/* How traffic of the node's own pods is told from other traffic. */
enum local_mode {
    LOCAL_MODE_CLUSTER_CIDR,
    LOCAL_MODE_NODE_CIDR,
    LOCAL_MODE_BRIDGE_INTERFACE,
    LOCAL_MODE_INTERFACE_NAME_PREFIX,
};

struct prefix_list {
    const struct prefix *items;
    size_t count;
};

struct proxy_config {
    const struct proxy_settings *settings; /* everything else, as texts and numbers: kubeconfig, qps, logging,
                                              hostname_override, oom_score_adj, gates, ipvs, ... */
    enum proxy_mode mode;
    bool is_mode_open;        /* nobody named one: mode is kube-proxy's default */
    uint32_t masquerade_mark; /* one bit: that of nftables in its mode, else that of iptables */
    bool masquerades_all;
    int64_t sync_ms, min_sync_ms, config_sync_ms; /* the mode's own; min_sync_ms 0: at once */
    struct address bind_address; /* unspecified for "whatever the node has"; its family is the primary one */
    bool has_healthz, has_metrics;
    struct socket_address healthz, metrics;
    enum local_mode local_mode;
    struct prefix_list cluster_cidrs; /* judged in LOCAL_MODE_CLUSTER_CIDR alone, and empty in the others */
    bool is_node_port_primary;        /* node ports on the node's primary addresses alone */
    struct prefix_list node_port_addresses; /* else on these; none: on all local addresses */
    struct prefix_list ipvs_exclude_cidrs;  /* empty in other modes */
    /* Conntrack; 0: leave the kernel's. max_per_core and min stand in settings. */
    int64_t tcp_established_ms, tcp_close_wait_ms, udp_ms, udp_stream_ms;
    int64_t ipvs_tcp_ms, ipvs_tcp_fin_ms, ipvs_udp_ms; /* 0: leave */
};

#define PROXY_WARNINGS_MAX 16
/* Sentences for the log, in the arena. */
struct proxy_report {
    const char *refusal; /* NULL when all is well; all that is wrong, in kube-proxy's words and with its
                            prefix: "failed complete", "initialize logging", "failed validate" */
    const char *warnings[PROXY_WARNINGS_MAX];
    size_t warning_count;
};

/* Completes, judges and parses; PURE. settings is copied, what it points to is kept. Appends to the report's
 * warnings; false with the refusal set, *ret untouched (cmd/kube-proxy/app, Complete and Validate). */
bool config_resolve(const struct proxy_settings *settings, struct arena *arena, struct proxy_config *ret,
                    struct proxy_report *report);

/* Appends what `kube-proxy --write-config-to` of 1.36 writes: YAML, keys sorted. Only the block of the mode
 * has sync periods and masqueradeAll; the conversion upstream loses the others. */
void config_write(const struct proxy_config *config, struct text *ret);
/* The same as compact JSON: what /configz has of it. */
void config_write_json(const struct proxy_config *config, struct text *ret);
