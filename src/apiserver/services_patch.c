/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/services_parts.h"

#include <stdlib.h>
#include <string.h>

bool services_same_list(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!text_equal(a[i], b[i]))
            return false;
    return true;
}

bool services_same_cluster_ips(const Core__ServiceSpec *a, const Core__ServiceSpec *b)
{
    return services_same_list(a->clusterips, a->n_clusterips, b->clusterips, b->n_clusterips);
}

bool services_same_families(const Core__ServiceSpec *a, const Core__ServiceSpec *b)
{
    return services_same_list(a->ipfamilies, a->n_ipfamilies, b->ipfamilies, b->n_ipfamilies);
}

void services_collect_node_ports(const Core__ServiceSpec *spec, struct port_set *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < spec->n_ports; i++)
        port_set_add(ret, spec->ports[i]->nodeport);
}

char **services_append(char *const *list, size_t *count, const char *item, struct arena *arena)
{
    char **longer = arena_array(arena, char *, *count + 1);
    if (*count)
        memcpy(longer, list, *count * sizeof(*longer));
    longer[(*count)++] = arena_strdup(arena, item);
    return longer;
}

static void copy_cluster_ips(const Core__ServiceSpec *from, Core__ServiceSpec *to, struct arena *arena)
{
    to->n_clusterips = 0;
    to->clusterips = NULL;
    for (size_t i = 0; i < from->n_clusterips; i++)
        to->clusterips = services_append(to->clusterips, &to->n_clusterips, from->clusterips[i], arena);
}

/* Not asked of strategy.go's needsNodePort, which takes every LoadBalancer: storage.go has its own. */
static bool is_given_node_ports(const Core__ServiceSpec *spec)
{
    bool is_declined = spec->has_allocateloadbalancernodeports && !spec->allocateloadbalancernodeports;
    return services_is_type(spec, "NodePort") || (services_is_type(spec, "LoadBalancer") && !is_declined);
}

struct named_port {
    const char *name;
    size_t index;
    int node_port;
};

static int cmp_named_ports(const void *a, const void *b)
{
    const struct named_port *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : (left->index > right->index) - (left->index < right->index);
}

/* Of two ports with one name the last counts. */
static int find_named_port(const struct named_port *ports, size_t count, const char *name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(ports[middle].name, name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && strcmp(ports[low - 1].name, name) == 0 ? ports[low - 1].node_port : 0;
}

/* By the port's name, and no number that the update uses again. */
static void patch_node_ports(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct arena *arena)
{
    struct port_set old, now;
    struct named_port *named = arena_array(arena, struct named_port, before->n_ports);
    services_collect_node_ports(before, &old);
    services_collect_node_ports(after, &now);
    for (size_t i = 0; i < before->n_ports; i++)
        named[i] = (struct named_port){api_text(before->ports[i]->name), i, before->ports[i]->nodeport};
    if (before->n_ports)
        qsort(named, before->n_ports, sizeof(*named), cmp_named_ports);
    for (size_t i = 0; i < after->n_ports; i++) {
        int port = find_named_port(named, before->n_ports, api_text(after->ports[i]->name));
        if (after->ports[i]->nodeport == 0 && !port_set_has(&now, port))
            services_set_node_port(after->ports[i], port);
    }
}

/* A client of before KEP-563 knows clusterIP alone; one of today changes both. */
static void agree_cluster_ips(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct arena *arena)
{
    const char *old = before ? api_text(before->clusterip) : "", *now = api_text(after->clusterip);
    if (!before) {
        if (*now && after->n_clusterips == 0)
            after->clusterips = services_append(NULL, &after->n_clusterips, now, arena);
        return;
    }
    if (text_equal(old, now)) {
        if (after->n_clusterips == 0)
            copy_cluster_ips(before, after, arena);
        return;
    }
    if (!services_same_cluster_ips(before, after))
        return;
    after->n_clusterips = 0;
    if (*now)
        after->clusterips = services_append(NULL, &after->n_clusterips, now, arena);
}

void services_patch(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct arena *arena)
{
    if (before && services_needs_addresses(before) && services_needs_addresses(after)) {
        if (!*api_text(after->clusterip))
            after->clusterip = arena_strdup(arena, api_text(before->clusterip));
        if (after->n_clusterips == 0)
            copy_cluster_ips(before, after, arena);
    }
    if (before && is_given_node_ports(before) && is_given_node_ports(after))
        patch_node_ports(before, after, arena);
    if (before && services_has_health_port(before) && services_has_health_port(after) &&
        after->healthchecknodeport == 0)
        services_set_health_port(after, before->healthchecknodeport);
    agree_cluster_ips(before, after, arena);
}

static void drop_addresses(const Core__ServiceSpec *before, Core__ServiceSpec *after)
{
    if (text_equal(api_text(before->clusterip), api_text(after->clusterip)) &&
        services_same_cluster_ips(before, after)) {
        after->clusterip = NULL;
        after->n_clusterips = 0;
    }
    if (services_same_families(before, after))
        after->n_ipfamilies = 0;
    if (text_equal(api_text(before->ipfamilypolicy), api_text(after->ipfamilypolicy)))
        after->ipfamilypolicy = NULL;
}

static void drop_node_ports(const Core__ServiceSpec *before, Core__ServiceSpec *after)
{
    struct port_set ports;
    services_collect_node_ports(before, &ports);
    for (size_t i = 0; i < after->n_ports; i++)
        if (after->ports[i]->nodeport != 0 && !port_set_has(&ports, after->ports[i]->nodeport))
            return;
    for (size_t i = 0; i < after->n_ports; i++)
        services_set_node_port(after->ports[i], 0);
}

static bool is_exposed(const Core__ServiceSpec *spec)
{
    return services_has_node_ports(spec) || (services_is_type(spec, "ClusterIP") && spec->n_externalips > 0);
}

static void drop_balancer_fields(const Core__ServiceSpec *before, Core__ServiceSpec *after)
{
    if (before->has_allocateloadbalancernodeports && after->has_allocateloadbalancernodeports &&
        before->allocateloadbalancernodeports == after->allocateloadbalancernodeports)
        after->has_allocateloadbalancernodeports = after->allocateloadbalancernodeports = false;
    if (text_equal(before->loadbalancerclass, after->loadbalancerclass))
        after->loadbalancerclass = NULL;
}

/* A field is dropped when the old type may have filled it, the new one has no use for it, and the update did
 * not touch it: a change of it is validation's to refuse. */
void services_drop(const Core__Service *before, Core__Service *after, struct arena *arena)
{
    const Core__ServiceSpec *old = before->spec;
    Core__ServiceSpec *now = after->spec;
    bool was_balancer = services_is_type(old, "LoadBalancer"),
         is_balancer = services_is_type(now, "LoadBalancer");
    if (services_needs_addresses(old) && !services_needs_addresses(now))
        drop_addresses(old, now);
    if (services_has_node_ports(old) && !services_has_node_ports(now))
        drop_node_ports(old, now);
    if (services_has_health_port(old) && !services_has_health_port(now) &&
        old->healthchecknodeport == now->healthchecknodeport)
        services_set_health_port(now, 0);
    if (was_balancer && !is_balancer)
        drop_balancer_fields(old, now);
    if (is_exposed(old) && !is_exposed(now) &&
        text_equal(api_text(old->externaltrafficpolicy), api_text(now->externaltrafficpolicy)))
        now->externaltrafficpolicy = NULL;
    if (is_balancer || !after->status)
        return;
    /* A copy, for it may be the old object's own. */
    Core__ServiceStatus *status = arena_new(arena, Core__ServiceStatus);
    *status = *after->status;
    status->loadbalancer = NULL;
    after->status = status;
}
