/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the operator asked for, with the defaults in and nothing judged: kube-proxy's internal configuration
 * (pkg/proxy/apis/config, KubeProxyConfiguration). File and flags both end here, config_write prints it, and
 * validation has the texts for its words. Strings and lists live in one arena; strings are never NULL. */

struct text_list {
    const char *const *items;
    size_t count;
};

struct gate_setting {
    const char *name;
    bool value;
};

struct vmodule_setting {
    const char *pattern;
    int64_t verbosity;
};

struct log_output_settings {
    bool is_split;
    const char *buffer_size; /* a quantity in its canonical form */
};

struct logging_settings {
    const char *format;
    int64_t flush_ns;
    bool is_flush_text; /* as it was given: "5s", or else nanoseconds */
    int64_t verbosity;
    const struct vmodule_setting *vmodule;
    size_t vmodule_count;
    struct log_output_settings text, json;
};

struct conntrack_settings {
    int32_t max_per_core, min;
    int64_t tcp_established_ns, tcp_close_wait_ns, udp_ns, udp_stream_ns;
    bool is_tcp_liberal;
};

struct ipvs_settings {
    const char *scheduler;
    struct text_list exclude_cidrs;
    bool is_strict_arp;
    int64_t tcp_ns, tcp_fin_ns, udp_ns;
};

struct winkernel_settings {
    const char *network_name, *source_vip, *root_endpoint_name;
    bool is_dsr, forwards_health_vip;
};

struct proxy_settings {
    struct gate_setting *gates; /* by name */
    size_t gate_count;
    const char *kubeconfig, *accept_content_types, *content_type;
    float qps;
    int32_t burst;
    struct logging_settings logging;
    const char *hostname_override;
    const char *bind_address, *healthz_bind_address, *metrics_bind_address;
    bool is_bind_fatal, has_profiling;
    const char *hidden_metrics_version;
    const char *mode;
    bool masquerades_all; /* that of the mode's own block */
    int64_t sync_ns, min_sync_ns;
    int32_t iptables_bit, nftables_bit;
    bool has_localhost_node_ports;
    struct ipvs_settings ipvs;
    struct winkernel_settings winkernel;
    const char *local_mode, *bridge_interface, *interface_prefix;
    struct text_list cluster_cidrs, node_port_addresses;
    int32_t oom_score_adj;
    struct conntrack_settings conntrack;
    int64_t config_sync_ns;
    const char *port_range;
    bool is_windows_service;
};

#define HEALTHZ_PORT 10256
#define METRICS_PORT 10249

/* The defaults of an empty file (config/v1alpha1/defaults.go). */
void settings_default(struct proxy_settings *ret);
/* What kube-proxy fills in on Linux when file or flags left it open (server_linux.go): mode, localMode,
 * nodePortAddresses of nftables. */
void settings_complete(struct proxy_settings *settings);
/* An address alone gets the port; what is no address stays, for validation to name. In the arena. */
const char *settings_with_port(const char *address, int32_t port, struct arena *arena);
/* The pieces between the commas, at least one. In the arena. */
struct text_list settings_split(const char *text, struct arena *arena);
/* Sets a gate, in the order of names; false past SETTINGS_GATES_MAX. name is kept. */
#define SETTINGS_GATES_MAX 1024
bool settings_set_gate(struct proxy_settings *settings, const char *name, bool value, struct arena *arena);
/* The gate's value as set, or by AllAlpha, AllBeta and its default; false for an unknown one. */
bool settings_gate(const struct proxy_settings *settings, const char *name);
