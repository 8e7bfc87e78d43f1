/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/defaults.h"

#include "net/address.h"

#include <string.h>

/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

static bool is_text(const char *value, const char *wanted)
{
    return strcmp(api_text(value), wanted) == 0;
}

static bool is_unset(const char *value)
{
    return !value || !*value;
}

static void *new_message(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static void default_text(char **where, const char *value)
{
    if (is_unset(*where))
        *where = CONSTANT(value);
}

static void default_affinity(Core__ServiceSpec *spec, struct arena *arena)
{
    default_text(&spec->sessionaffinity, "None");
    if (is_text(spec->sessionaffinity, "None"))
        spec->sessionaffinityconfig = NULL;
    if (!is_text(spec->sessionaffinity, "ClientIP"))
        return;
    if (!spec->sessionaffinityconfig)
        spec->sessionaffinityconfig = new_message(arena, &core__session_affinity_config__descriptor);
    if (!spec->sessionaffinityconfig->clientip)
        spec->sessionaffinityconfig->clientip = new_message(arena, &core__client_ipconfig__descriptor);
    Core__ClientIPConfig *config = spec->sessionaffinityconfig->clientip;
    if (!config->has_timeoutseconds) {
        config->has_timeoutseconds = true;
        config->timeoutseconds = 10800;
    }
}

static void default_service_port(Core__ServicePort *port, struct arena *arena)
{
    default_text(&port->protocol, "TCP");
    if (!port->targetport)
        port->targetport = new_message(arena, &meta__int_or_string__descriptor);
    Meta__IntOrString *target = port->targetport;
    bool is_unset_target = target->type == 1 ? is_unset(target->strval) : target->intval == 0;
    if (!is_unset_target)
        return;
    target->has_type = target->has_intval = true;
    target->type = 0;
    target->intval = port->port;
}

static bool is_headless(const Core__ServiceSpec *spec)
{
    return spec->n_clusterips == 1 && is_text(spec->clusterips[0], "None");
}

static void append_family(Core__ServiceSpec *spec, const char *family, struct arena *arena)
{
    char **families = arena_array(arena, char *, spec->n_ipfamilies + 1);
    if (spec->n_ipfamilies)
        memcpy(families, spec->ipfamilies, spec->n_ipfamilies * sizeof(*families));
    families[spec->n_ipfamilies++] = CONSTANT(family);
    spec->ipfamilies = families;
}

static void default_families(Core__ServiceSpec *spec, struct arena *arena)
{
    bool is_selectorless = is_headless(spec) && spec->n_selector == 0;
    default_text(&spec->ipfamilypolicy, is_selectorless ? "RequireDualStack" : "SingleStack");
    for (size_t i = spec->n_ipfamilies; i < spec->n_clusterips && i < 2; i++) {
        struct address address;
        if (address_parse(spec->clusterips[i], &address, NULL) != 0)
            break;
        append_family(spec, family_name(address_family(&address)), arena);
    }
    if (spec->n_ipfamilies == 0)
        append_family(spec, "IPv4", arena);
    /* Whether this host has both families is not known here; only who asks for both gets both. */
    bool wants_both = is_text(spec->ipfamilypolicy, "RequireDualStack") ||
                      (is_headless(spec) && is_text(spec->ipfamilypolicy, "PreferDualStack"));
    if (wants_both && spec->n_ipfamilies == 1)
        append_family(spec, is_text(spec->ipfamilies[0], "IPv4") ? "IPv6" : "IPv4", arena);
}

static void default_load_balancer(Core__Service *service)
{
    Core__ServiceSpec *spec = service->spec;
    if (!spec->has_allocateloadbalancernodeports)
        spec->has_allocateloadbalancernodeports = spec->allocateloadbalancernodeports = true;
    if (!service->status || !service->status->loadbalancer)
        return;
    Core__LoadBalancerStatus *status = service->status->loadbalancer;
    for (size_t i = 0; i < status->n_ingress; i++)
        if (!is_unset(status->ingress[i]->ip))
            default_text(&status->ingress[i]->ipmode, "VIP");
}

static void default_service(Core__Service *service, struct arena *arena)
{
    if (!service->spec)
        service->spec = new_message(arena, &core__service_spec__descriptor);
    Core__ServiceSpec *spec = service->spec;
    default_affinity(spec, arena);
    default_text(&spec->type, "ClusterIP");
    for (size_t i = 0; i < spec->n_ports; i++)
        default_service_port(spec->ports[i], arena);
    bool is_cluster_ip = is_text(spec->type, "ClusterIP"), is_balancer = is_text(spec->type, "LoadBalancer");
    bool is_exposed = is_balancer || is_text(spec->type, "NodePort");
    if (is_exposed || (is_cluster_ip && spec->n_externalips > 0))
        default_text(&spec->externaltrafficpolicy, "Cluster");
    if (is_exposed || is_cluster_ip)
        default_text(&spec->internaltrafficpolicy, "Cluster");
    if (spec->n_clusterips == 0 && !is_unset(spec->clusterip)) {
        spec->clusterips = arena_array(arena, char *, 1);
        spec->clusterips[spec->n_clusterips++] = spec->clusterip;
    }
    if (is_exposed || is_cluster_ip)
        default_families(spec, arena);
    if (is_balancer)
        default_load_balancer(service);
}

static void default_endpoint_slice(Discovery__EndpointSlice *slice)
{
    for (size_t i = 0; i < slice->n_ports; i++) {
        if (!slice->ports[i]->name)
            slice->ports[i]->name = CONSTANT("");
        default_text(&slice->ports[i]->protocol, "TCP");
    }
}

static void default_endpoints(Core__Endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->n_subsets; i++)
        for (size_t j = 0; j < endpoints->subsets[i]->n_ports; j++)
            default_text(&endpoints->subsets[i]->ports[j]->protocol, "TCP");
}

static void default_metadata(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    if (!metadata) {
        metadata = new_message(arena, &meta__object_meta__descriptor);
        /* metadata is the first field of every kind: object.c asserts it. */
        ((Core__Service *)message)->metadata = metadata;
    }
    if (api_kind_info(kind)->is_namespaced)
        default_text(&metadata->namespace_, "default");
}

void defaults_apply(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    default_metadata(kind, message, arena);
    switch (kind) {
    case API_SERVICE:
        default_service((Core__Service *)message, arena);
        break;
    case API_ENDPOINT_SLICE:
        default_endpoint_slice((Discovery__EndpointSlice *)message);
        break;
    case API_ENDPOINTS:
        default_endpoints((Core__Endpoints *)message);
        break;
    case API_NODE:
        if (!((Core__Node *)message)->spec)
            ((Core__Node *)message)->spec = new_message(arena, &core__node_spec__descriptor);
        break;
    case API_POD:
        if (!((Core__Pod *)message)->spec)
            ((Core__Pod *)message)->spec = new_message(arena, &core__pod_spec__descriptor);
        break;
    case API_NAMESPACE:
        if (!((Core__Namespace *)message)->spec)
            ((Core__Namespace *)message)->spec = new_message(arena, &core__namespace_spec__descriptor);
        break;
    case API_SERVICE_CIDR:
        if (!((Networking__ServiceCIDR *)message)->spec)
            ((Networking__ServiceCIDR *)message)->spec =
                new_message(arena, &networking__service_cidrspec__descriptor);
        break;
    }
}
