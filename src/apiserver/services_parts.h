/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "apiserver/port_set.h"
#include "apiserver/services.h"
#include "base/text.h"

/* The parts of services.h, for its own files. */

static inline bool services_is_type(const Core__ServiceSpec *spec, const char *type)
{
    return text_equal(api_text(spec->type), type);
}
static inline bool services_needs_addresses(const Core__ServiceSpec *spec)
{
    return !services_is_type(spec, "ExternalName");
}
static inline bool services_is_headless(const Core__ServiceSpec *spec)
{
    return spec->n_clusterips > 0 && text_equal(spec->clusterips[0], "None");
}
static inline bool services_has_node_ports(const Core__ServiceSpec *spec)
{
    return services_is_type(spec, "NodePort") || services_is_type(spec, "LoadBalancer");
}
static inline bool services_has_health_port(const Core__ServiceSpec *spec)
{
    return services_is_type(spec, "LoadBalancer") &&
           text_equal(api_text(spec->externaltrafficpolicy), "Local");
}
bool services_same_list(char *const *a, size_t a_count, char *const *b, size_t b_count);
bool services_same_cluster_ips(const Core__ServiceSpec *a, const Core__ServiceSpec *b);
bool services_same_families(const Core__ServiceSpec *a, const Core__ServiceSpec *b);
void services_collect_node_ports(const Core__ServiceSpec *spec, struct port_set *ret);
/* None where the type has no node ports: an ExternalName may name some, and nobody allocated them. */
static inline void services_collect_held_ports(const Core__ServiceSpec *spec, struct port_set *ret)
{
    *ret = (struct port_set){0};
    if (services_has_node_ports(spec))
        services_collect_node_ports(spec, ret);
}

/* A longer copy of a list. */
char **services_append(char *const *list, size_t *count, const char *item, struct arena *arena);
static inline void services_set_node_port(Core__ServicePort *port, int number)
{
    port->has_nodeport = number != 0;
    port->nodeport = number;
}
static inline void services_set_health_port(Core__ServiceSpec *spec, int number)
{
    spec->has_healthchecknodeport = number != 0;
    spec->healthchecknodeport = number;
}

/* services_patch.c: an update as its client meant it. */
void services_patch(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct arena *arena);
void services_drop(const Core__Service *before, Core__Service *after, struct arena *arena);

/* services_families.c */
void services_settle_families(const Core__ServiceSpec *before, Core__ServiceSpec *after,
                              const struct allocator_config *config, struct arena *arena,
                              struct faults *faults);
/* Both are a PreferDualStack that asks for no change: it follows no change of the ranges by itself. */
bool services_is_content(const Core__ServiceSpec *before, const Core__ServiceSpec *after);

/* One plan in the making. */
struct services_work {
    struct services_plan *plan;
    struct allocator *allocator;
    bool is_dry_run;
    uint64_t (*random)(void *context);
    void *context;
    struct arena *arena;
    struct faults *faults;
    struct err *err;
    /* A dry run has its own notion of what the operation took. */
    struct port_set dry_run_ports;
    int dry_run_last;
};
/* services_addresses.c, services_ports.c. 0, -EINVAL with faults, or another code with a sentence. */
int services_plan_addresses(struct services_work *work, const Core__Service *before, Core__Service *after);
int services_plan_ports(struct services_work *work, const Core__ServiceSpec *before,
                        Core__ServiceSpec *after);
