/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/settings.h"

#include "api/names.h"
#include "config/duration.h"
#include "config/gates.h"
#include "config/host_port.h"

#include <string.h>

void settings_default(struct proxy_settings *ret)
{
    static const struct proxy_settings defaults = {
        .kubeconfig = "",
        .accept_content_types = "",
        .content_type = "application/vnd.kubernetes.protobuf",
        .qps = 5,
        .burst = 10,
        .logging = {.format = "text",
                    .flush_ns = 5 * DURATION_SECOND,
                    .is_flush_text = true,
                    .text.buffer_size = "0",
                    .json.buffer_size = "0"},
        .hostname_override = "",
        .bind_address = "0.0.0.0",
        .healthz_bind_address = "0.0.0.0:10256",
        .metrics_bind_address = "127.0.0.1:10249",
        .hidden_metrics_version = "",
        .mode = "",
        .sync_ns = 30 * DURATION_SECOND,
        .min_sync_ns = DURATION_SECOND,
        .iptables_bit = 14,
        .nftables_bit = 14,
        .has_localhost_node_ports = true,
        .ipvs.scheduler = "",
        .winkernel = {.network_name = "", .source_vip = "", .root_endpoint_name = ""},
        .local_mode = "",
        .bridge_interface = "",
        .interface_prefix = "",
        .oom_score_adj = -999,
        .conntrack = {.max_per_core = 32768,
                      .min = 131072,
                      .tcp_established_ns = 24 * DURATION_HOUR,
                      .tcp_close_wait_ns = DURATION_HOUR},
        .config_sync_ns = 15 * DURATION_MINUTE,
        .port_range = "",
    };
    *ret = defaults;
}

void settings_complete(struct proxy_settings *settings)
{
    static const char *const primary[] = {"primary"};
    if (!*settings->mode)
        settings->mode = "iptables";
    if (strcmp(settings->mode, "nftables") == 0 && settings->node_port_addresses.count == 0)
        settings->node_port_addresses = (struct text_list){primary, 1};
    if (!*settings->local_mode)
        settings->local_mode = "ClusterCIDR";
}

const char *settings_with_port(const char *address, int32_t port, struct arena *arena)
{
    const char *host, *port_text;
    struct address parsed;
    if (host_port_split(address, arena, &host, &port_text) || !address_parse_loosely(address, arena, &parsed))
        return address;
    return arena_printf(arena, strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, port);
}

struct text_list settings_split(const char *text, struct arena *arena)
{
    size_t count = 1;
    for (const char *at = text; *at; at++)
        count += *at == ',';
    const char **items = arena_array(arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(text, ",");
        items[i] = arena_strndup(arena, text, len);
        text += len + 1;
    }
    return (struct text_list){items, count};
}

bool settings_set_gate(struct proxy_settings *settings, const char *name, bool value, struct arena *arena)
{
    size_t at = 0;
    while (at < settings->gate_count && strcmp(settings->gates[at].name, name) < 0)
        at++;
    bool is_there = at < settings->gate_count && strcmp(settings->gates[at].name, name) == 0;
    if (!is_there) {
        if (settings->gate_count == SETTINGS_GATES_MAX)
            return false;
        if (!settings->gates)
            settings->gates = arena_array(arena, struct gate_setting, SETTINGS_GATES_MAX);
        memmove(&settings->gates[at + 1], &settings->gates[at],
                (settings->gate_count - at) * sizeof(settings->gates[0]));
        settings->gate_count++;
    }
    settings->gates[at] = (struct gate_setting){name, value};
    return true;
}

static const struct gate_setting *find_setting(const struct proxy_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->gate_count; i++)
        if (strcmp(settings->gates[i].name, name) == 0)
            return &settings->gates[i];
    return NULL;
}

bool settings_gate(const struct proxy_settings *settings, const char *name)
{
    const struct gate *gate = gate_get(name);
    if (!gate)
        return false;
    const struct gate_setting *set = find_setting(settings, name);
    if (!set && !gate->is_locked && gate->stage == GATE_ALPHA)
        set = find_setting(settings, "AllAlpha");
    if (!set && !gate->is_locked && gate->stage == GATE_BETA)
        set = find_setting(settings, "AllBeta");
    return set ? set->value : gate->is_on;
}
