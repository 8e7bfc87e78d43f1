/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/names.h"
#include "api/strategy_parts.h"
#include "base/text.h"

#include <string.h>

#define HINTS_ANNOTATION "service.kubernetes.io/topology-aware-hints"
#define MODE_ANNOTATION "service.kubernetes.io/topology-mode"

static bool is_text(const char *value, const char *wanted)
{
    return strcmp(api_text(value), wanted) == 0;
}

static bool is_set(const char *value)
{
    return value && *value;
}

void strategy_warn(struct strategy_warnings *warnings, const char *sentence)
{
    if (sentence && warnings->count < STRATEGY_WARNINGS_MAX)
        warnings->list[warnings->count++] = sentence;
}

static bool is_full(const struct strategy_warnings *warnings)
{
    return warnings->count == STRATEGY_WARNINGS_MAX;
}

static void warn_of_addresses(const struct path *path, char *const *list, size_t count, struct arena *arena,
                              struct strategy_warnings *ret)
{
    for (size_t i = 0; i < count && !is_full(ret); i++)
        strategy_warn(ret, address_warning(path_index(path, i), api_text(list[i]), arena));
}

static void warn_of_prefixes(const struct path *path, char *const *list, size_t count, struct arena *arena,
                             struct strategy_warnings *ret)
{
    for (size_t i = 0; i < count && !is_full(ret); i++)
        strategy_warn(ret, prefix_warning(path_index(path, i), api_text(list[i]), arena));
}

static void warn_of_headless(const Core__ServiceSpec *spec, struct strategy_warnings *ret)
{
    if (is_set(spec->loadbalancerip))
        strategy_warn(ret, "spec.loadBalancerIP is ignored for headless services");
    if (spec->n_externalips > 0)
        strategy_warn(ret, "spec.externalIPs is ignored for headless services");
    if (!is_text(spec->sessionaffinity, "None"))
        strategy_warn(ret, "spec.SessionAffinity is ignored for headless services");
}

static void warn_of_service(const Core__Service *service, struct arena *arena, struct strategy_warnings *ret)
{
    const Core__ServiceSpec *spec = service->spec;
    const Meta__ObjectMeta *metadata = service->metadata;
    const struct path *path = path_field(NULL, "spec");
    bool is_name = is_text(spec->type, "ExternalName");
    bool is_headless = is_text(spec->type, "ClusterIP") && is_text(spec->clusterip, "None");
    if (api_entry(metadata->annotations, metadata->n_annotations, HINTS_ANNOTATION))
        strategy_warn(ret, "annotation " HINTS_ANNOTATION " is deprecated, please use " MODE_ANNOTATION
                           " instead");
    if (is_set(spec->clusterip) && !is_text(spec->clusterip, "None"))
        warn_of_addresses(path_field(path, "clusterIPs"), spec->clusterips, spec->n_clusterips, arena, ret);
    if (is_headless)
        warn_of_headless(spec, ret);
    warn_of_addresses(path_field(path, "externalIPs"), spec->externalips, spec->n_externalips, arena, ret);
    if (spec->n_externalips > 0 && !is_headless && !is_name)
        strategy_warn(ret,
                      "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
    if (is_set(spec->loadbalancerip))
        strategy_warn(ret, address_warning(path_field(path, "loadBalancerIP"), spec->loadbalancerip, arena));
    warn_of_prefixes(path_field(path, "loadBalancerSourceRanges"), spec->loadbalancersourceranges,
                     spec->n_loadbalancersourceranges, arena, ret);
    if (is_name && spec->n_externalips > 0)
        strategy_warn(ret, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    if (!is_name && is_set(spec->externalname))
        strategy_warn(ret, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    if (is_text(spec->trafficdistribution, "PreferClose"))
        strategy_warn(ret, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

static void warn_of_subset(const struct path *path, Core__EndpointAddress *const *list, size_t count,
                           struct arena *arena, struct strategy_warnings *ret)
{
    for (size_t i = 0; i < count && !is_full(ret); i++)
        strategy_warn(ret,
                      address_warning(path_field(path_index(path, i), "ip"), api_text(list[i]->ip), arena));
}

/* What our own kinds of controllers write is in order, and may be large. */
static bool is_managed(const Meta__ObjectMeta *metadata, const char *label, const char *by)
{
    return is_text(api_entry(metadata->labels, metadata->n_labels, label), by);
}

static void warn_of_endpoints(const Core__Endpoints *endpoints, struct arena *arena,
                              struct strategy_warnings *ret)
{
    if (is_managed(endpoints->metadata, "endpoints.kubernetes.io/managed-by", "endpoint-controller"))
        return;
    for (size_t i = 0; i < endpoints->n_subsets && !is_full(ret); i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        const struct path *path = path_index(path_field(NULL, "subsets"), i);
        warn_of_subset(path_field(path, "addresses"), subset->addresses, subset->n_addresses, arena, ret);
        warn_of_subset(path_field(path, "notReadyAddresses"), subset->notreadyaddresses,
                       subset->n_notreadyaddresses, arena, ret);
    }
}

/* The path begins with spec in upstream too. */
static void warn_of_slice(const Discovery__EndpointSlice *slice, bool is_new, struct arena *arena,
                          struct strategy_warnings *ret)
{
    static const char label[] = "endpointslice.kubernetes.io/managed-by";
    if (is_new && is_text(slice->addresstype, "FQDN"))
        strategy_warn(ret, "spec.addressType: FQDN endpoints are deprecated");
    if (is_managed(slice->metadata, label, "endpointslice-controller.k8s.io") ||
        is_managed(slice->metadata, label, "endpointslicemirroring-controller.k8s.io"))
        return;
    for (size_t i = 0; i < slice->n_endpoints && !is_full(ret); i++)
        warn_of_addresses(path_field(path_index(path_field(NULL, "endpoints"), i), "addresses"),
                          slice->endpoints[i]->addresses, slice->endpoints[i]->n_addresses, arena, ret);
}

static void warn_of_node(const Core__Node *node, struct arena *arena, struct strategy_warnings *ret)
{
    const Core__NodeSpec *spec = node->spec;
    if (spec->configsource)
        strategy_warn(ret, "spec.configSource: the feature is removed");
    if (is_set(spec->externalid))
        strategy_warn(ret, "spec.externalID: this field is deprecated, and is unused by Kubernetes");
    warn_of_prefixes(path_field(path_field(NULL, "spec"), "podCIDRs"), spec->podcidrs, spec->n_podcidrs,
                     arena, ret);
}

void strategy_warnings(enum api_kind kind, const ProtobufCMessage *message, const ProtobufCMessage *old,
                       struct arena *arena, struct strategy_warnings *ret)
{
    ret->count = 0;
    switch (kind) {
    case API_SERVICE:
        warn_of_service((const Core__Service *)message, arena, ret);
        break;
    case API_ENDPOINT_SLICE:
        warn_of_slice((const Discovery__EndpointSlice *)message, !old, arena, ret);
        break;
    case API_ENDPOINTS:
        warn_of_endpoints((const Core__Endpoints *)message, arena, ret);
        break;
    case API_NODE:
        warn_of_node((const Core__Node *)message, arena, ret);
        break;
    case API_POD:
        /* Updates come from programs. */
        if (!old)
            strategy_warn_of_pod((const Core__Pod *)message, arena, ret);
        break;
    case API_NAMESPACE:
    case API_SERVICE_CIDR:
    case API_CONFIG_MAP:
    case API_EVENT:
    case API_LEASE:
        break;
    }
}

static void warn_of_pod_status(const Core__PodStatus *status, struct arena *arena,
                               struct strategy_warnings *ret)
{
    const struct path *path = path_field(NULL, "status");
    for (size_t i = 0; status && i < status->n_podips && !is_full(ret); i++)
        strategy_warn(ret, address_warning(path_field(path_index(path_field(path, "podIPs"), i), "ip"),
                                           api_text(status->podips[i]->ip), arena));
    for (size_t i = 0; status && i < status->n_hostips && !is_full(ret); i++)
        strategy_warn(ret, address_warning(path_field(path_index(path_field(path, "hostIPs"), i), "ip"),
                                           api_text(status->hostips[i]->ip), arena));
}

static void warn_of_service_status(const Core__ServiceStatus *status, struct arena *arena,
                                   struct strategy_warnings *ret)
{
    const struct path *path = path_field(path_field(path_field(NULL, "status"), "loadBalancer"), "ingress");
    const Core__LoadBalancerStatus *balancer = status ? status->loadbalancer : NULL;
    for (size_t i = 0; balancer && i < balancer->n_ingress && !is_full(ret); i++)
        if (is_set(balancer->ingress[i]->ip))
            strategy_warn(ret, address_warning(path_index(path, i), balancer->ingress[i]->ip, arena));
}

void strategy_status_warnings(enum api_kind kind, const ProtobufCMessage *message, struct arena *arena,
                              struct strategy_warnings *ret)
{
    ret->count = 0;
    if (kind == API_POD)
        warn_of_pod_status(((const Core__Pod *)message)->status, arena, ret);
    else if (kind == API_SERVICE)
        warn_of_service_status(((const Core__Service *)message)->status, arena, ret);
}

const char *strategy_deprecation(enum api_kind kind)
{
    return kind == API_ENDPOINTS
               ? "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
               : NULL;
}
