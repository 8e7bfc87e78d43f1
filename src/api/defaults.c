/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/defaults.h"

#include "api/defaults_parts.h"
#include "base/text.h"
#include "net/address.h"

#define NAME_LABEL "kubernetes.io/metadata.name"

void *default_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

void default_text(char **where, const char *value)
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
        spec->sessionaffinityconfig = default_new(arena, &core__session_affinity_config__descriptor);
    if (!spec->sessionaffinityconfig->clientip)
        spec->sessionaffinityconfig->clientip = default_new(arena, &core__client_ipconfig__descriptor);
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
        port->targetport = default_new(arena, &meta__int_or_string__descriptor);
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
        service->spec = default_new(arena, &core__service_spec__descriptor);
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
    if (is_balancer)
        default_load_balancer(service);
}

/* What the registry's allocator would see to. */
static void default_service_alone(Core__ServiceSpec *spec, struct arena *arena)
{
    if (spec->n_clusterips == 0 && !is_unset(spec->clusterip)) {
        spec->clusterips = arena_array(arena, char *, 1);
        spec->clusterips[spec->n_clusterips++] = spec->clusterip;
    }
    if (!is_text(spec->type, "ExternalName"))
        default_families(spec, arena);
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

static Meta__QuantityEntry **copy_entries(Meta__QuantityEntry *const *entries, size_t count,
                                          struct arena *arena)
{
    Meta__QuantityEntry **copy = arena_array(arena, Meta__QuantityEntry *, count);
    if (count)
        memcpy(copy, entries, count * sizeof(*copy));
    return copy;
}

/* The older field of one prefix and the newer of two are one; where they differ the older counts. */
static void default_pod_cidrs(Core__NodeSpec *spec, struct arena *arena)
{
    bool differs =
        !is_unset(spec->podcidr) && (spec->n_podcidrs == 0 || !is_text(spec->podcidrs[0], spec->podcidr));
    if (differs) {
        spec->podcidrs = arena_array(arena, char *, 1);
        spec->podcidrs[0] = spec->podcidr;
        spec->n_podcidrs = 1;
    }
    if (spec->n_podcidrs)
        spec->podcidr = spec->podcidrs[0];
}

static void default_node(Core__Node *node, struct arena *arena)
{
    if (!node->spec)
        node->spec = default_new(arena, &core__node_spec__descriptor);
    default_pod_cidrs(node->spec, arena);
    Core__NodeStatus *status = node->status;
    if (!status || status->n_allocatable || !status->n_capacity)
        return;
    status->allocatable = copy_entries(status->capacity, status->n_capacity, arena);
    status->n_allocatable = status->n_capacity;
}

void defaults_label_namespace(Core__Namespace *namespace, struct arena *arena)
{
    Meta__ObjectMeta *metadata = namespace->metadata;
    size_t count = metadata->n_labels;
    Meta__StringEntry **labels = arena_array(arena, Meta__StringEntry *, count + 1);
    Meta__StringEntry *label = default_new(arena, &meta__string_entry__descriptor);
    size_t kept = 0;
    if (text_equal(api_entry(metadata->labels, count, NAME_LABEL), metadata->name) || !metadata->name)
        return;
    for (size_t i = 0; i < count; i++)
        if (!text_equal(metadata->labels[i]->key, NAME_LABEL))
            labels[kept++] = metadata->labels[i];
    label->key = (char *)NAME_LABEL;
    label->value = metadata->name;
    labels[kept++] = label;
    metadata->labels = labels;
    metadata->n_labels = kept;
}

static void default_namespace(Core__Namespace *namespace, struct arena *arena)
{
    if (!namespace->spec)
    namespace->spec = default_new(arena, &core__namespace_spec__descriptor);
    if (!namespace->status)
    namespace->status = default_new(arena, &core__namespace_status__descriptor);
    default_text(&namespace->status->phase, "Active");
    defaults_label_namespace(namespace, arena);
}

static void default_metadata(ProtobufCMessage *message, struct arena *arena)
{
    /* metadata is the first field of every kind: object.c asserts it. */
    if (!api_metadata(message))
        ((Core__Service *)message)->metadata = default_new(arena, &meta__object_meta__descriptor);
}

void defaults_request(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    default_metadata(message, arena);
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
        default_node((Core__Node *)message, arena);
        break;
    case API_POD:
        default_pod((Core__Pod *)message, arena);
        break;
    case API_NAMESPACE:
        default_namespace((Core__Namespace *)message, arena);
        break;
    case API_SERVICE_CIDR:
        if (!((Networking__ServiceCIDR *)message)->spec)
            ((Networking__ServiceCIDR *)message)->spec =
                default_new(arena, &networking__service_cidrspec__descriptor);
        break;
    case API_EVENT:
        if (!((Core__Event *)message)->involvedobject)
            ((Core__Event *)message)->involvedobject =
                default_new(arena, &core__object_reference__descriptor);
        break;
    case API_LEASE:
        if (!((Coordination__Lease *)message)->spec)
            ((Coordination__Lease *)message)->spec =
                default_new(arena, &coordination__lease_spec__descriptor);
        break;
    case API_CONFIG_MAP:
        break;
    }
}

void defaults_apply(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    defaults_request(kind, message, arena);
    if (api_kind_info(kind)->is_namespaced)
        default_text(&api_metadata(message)->namespace_, "default");
    if (kind == API_SERVICE)
        default_service_alone(((Core__Service *)message)->spec, arena);
}
