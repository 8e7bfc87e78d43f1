/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/bootstrap.h"

#include "base/cleanup.h"

#define SERVICE_PORT 443
/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

static const char *const namespaces[] = {"kube-system", "kube-public", "kube-node-lease", "default"};
static const char kubernetes[] = "kubernetes";

static void *new_message(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

/* A list of one string. */
static char **one(const char *item, size_t *count, struct arena *arena)
{
    char **list = arena_array(arena, char *, 1);
    *list = arena_strdup(arena, item);
    *count = 1;
    return list;
}

struct address bootstrap_first_address(const struct prefix *range)
{
    struct address address = prefix_first(range);
    for (size_t i = sizeof(address.bytes); i > 0 && ++address.bytes[i - 1] == 0;)
        i--;
    return address;
}

static Meta__ObjectMeta *make_metadata(const char *namespace_, const char *name, struct arena *arena)
{
    Meta__ObjectMeta *metadata = new_message(arena, &meta__object_meta__descriptor);
    metadata->name = CONSTANT(name);
    metadata->namespace_ = *namespace_ ? CONSTANT(namespace_) : NULL;
    metadata->labels = arena_array(arena, Meta__StringEntry *, 2);
    return metadata;
}

static void add_label(Meta__ObjectMeta *metadata, const char *key, const char *value, struct arena *arena)
{
    Meta__StringEntry *entry = new_message(arena, &meta__string_entry__descriptor);
    entry->key = CONSTANT(key);
    entry->value = CONSTANT(value);
    metadata->labels[metadata->n_labels++] = entry;
}

static ProtobufCMessage *make_namespace(const char *name, struct arena *arena)
{
    Core__Namespace *namespace = new_message(arena, &core__namespace__descriptor);
    namespace->metadata = make_metadata("", name, arena);
    add_label(namespace->metadata, "kubernetes.io/metadata.name", name, arena);
    namespace->spec = new_message(arena, &core__namespace_spec__descriptor);
    namespace->spec->finalizers = one(kubernetes, &namespace->spec->n_finalizers, arena);
    namespace->status = new_message(arena, &core__namespace_status__descriptor);
    namespace->status->phase = CONSTANT("Active");
    return &namespace->base;
}

static Meta__Condition *make_ready(int64_t now, struct arena *arena)
{
    Meta__Condition *condition = new_message(arena, &meta__condition__descriptor);
    condition->type = CONSTANT("Ready");
    condition->status = CONSTANT("True");
    condition->message = CONSTANT("Kubernetes default Service CIDR is ready");
    condition->lasttransitiontime = new_message(arena, &meta__time__descriptor);
    condition->lasttransitiontime->has_seconds = true;
    condition->lasttransitiontime->seconds = now;
    return condition;
}

static ProtobufCMessage *make_service_cidr(const struct bootstrap_config *config, struct arena *arena)
{
    char text[PREFIX_TEXT_MAX];
    Networking__ServiceCIDR *range = new_message(arena, &networking__service_cidr__descriptor);
    range->metadata = make_metadata("", kubernetes, arena);
    range->spec = new_message(arena, &networking__service_cidrspec__descriptor);
    range->spec->cidrs = arena_array(arena, char *, config->allocator->range_count);
    for (size_t i = 0; i < config->allocator->range_count; i++)
        range->spec->cidrs[range->spec->n_cidrs++] =
            arena_strdup(arena, prefix_format(&config->allocator->ranges[i], text));
    range->status = new_message(arena, &networking__service_cidrstatus__descriptor);
    range->status->conditions = arena_array(arena, Meta__Condition *, 1);
    range->status->conditions[range->status->n_conditions++] = make_ready(config->now, arena);
    return &range->base;
}

static ProtobufCMessage *make_service(const struct bootstrap_config *config, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    struct address address = bootstrap_first_address(&config->allocator->ranges[0]);
    Core__Service *service = new_message(arena, &core__service__descriptor);
    Core__ServiceSpec *spec = service->spec = new_message(arena, &core__service_spec__descriptor);
    Core__ServicePort *port = new_message(arena, &core__service_port__descriptor);
    service->metadata = make_metadata("default", kubernetes, arena);
    add_label(service->metadata, "component", "apiserver", arena);
    add_label(service->metadata, "provider", kubernetes, arena);
    port->name = CONSTANT("https");
    port->protocol = CONSTANT("TCP");
    port->has_port = true;
    port->port = SERVICE_PORT;
    port->targetport = new_message(arena, &meta__int_or_string__descriptor);
    port->targetport->has_type = port->targetport->has_intval = true;
    port->targetport->intval = config->api_port;
    spec->ports = arena_array(arena, Core__ServicePort *, 1);
    spec->ports[spec->n_ports++] = port;
    spec->type = CONSTANT("ClusterIP");
    spec->sessionaffinity = CONSTANT("None");
    spec->internaltrafficpolicy = CONSTANT("Cluster");
    spec->clusterips = one(address_format(&address, text), &spec->n_clusterips, arena);
    spec->clusterip = spec->clusterips[0];
    spec->ipfamilies = one(family_name(address_family(&address)), &spec->n_ipfamilies, arena);
    spec->ipfamilypolicy = CONSTANT("SingleStack");
    return &service->base;
}

static bool is_reachable(const struct address *address)
{
    return address_is_set(address) && !address_is_unspecified(address) && !address_is_loopback(address);
}

static ProtobufCMessage *make_endpoints(const struct bootstrap_config *config, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    Core__Endpoints *endpoints = new_message(arena, &core__endpoints__descriptor);
    endpoints->metadata = make_metadata("default", kubernetes, arena);
    add_label(endpoints->metadata, "endpointslice.kubernetes.io/skip-mirror", "true", arena);
    if (!is_reachable(&config->api_address))
        return &endpoints->base;
    Core__EndpointSubset *subset = new_message(arena, &core__endpoint_subset__descriptor);
    Core__EndpointAddress *address = new_message(arena, &core__endpoint_address__descriptor);
    Core__EndpointPort *port = new_message(arena, &core__endpoint_port__descriptor);
    address->ip = arena_strdup(arena, address_format(&config->api_address, text));
    port->name = CONSTANT("https");
    port->protocol = CONSTANT("TCP");
    port->has_port = true;
    port->port = config->api_port;
    subset->addresses = arena_array(arena, Core__EndpointAddress *, 1);
    subset->addresses[subset->n_addresses++] = address;
    subset->ports = arena_array(arena, Core__EndpointPort *, 1);
    subset->ports[subset->n_ports++] = port;
    endpoints->subsets = arena_array(arena, Core__EndpointSubset *, 1);
    endpoints->subsets[endpoints->n_subsets++] = subset;
    return &endpoints->base;
}

static ProtobufCMessage *make_slice(const struct bootstrap_config *config, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    bool has_endpoint = is_reachable(&config->api_address);
    const struct address *of_type =
        has_endpoint ? &config->api_address : &config->allocator->ranges[0].address;
    Discovery__EndpointSlice *slice = new_message(arena, &discovery__endpoint_slice__descriptor);
    slice->metadata = make_metadata("default", kubernetes, arena);
    add_label(slice->metadata, "kubernetes.io/service-name", kubernetes, arena);
    slice->metadata->has_generation = true;
    slice->metadata->generation = 1;
    slice->addresstype = CONSTANT(family_name(address_family(of_type)));
    if (!has_endpoint)
        return &slice->base;
    Discovery__Endpoint *endpoint = new_message(arena, &discovery__endpoint__descriptor);
    Discovery__EndpointPort *port = new_message(arena, &discovery__endpoint_port__descriptor);
    endpoint->addresses = one(address_format(&config->api_address, text), &endpoint->n_addresses, arena);
    endpoint->conditions = new_message(arena, &discovery__endpoint_conditions__descriptor);
    endpoint->conditions->has_ready = endpoint->conditions->ready = true;
    port->name = CONSTANT("https");
    port->protocol = CONSTANT("TCP");
    port->has_port = true;
    port->port = config->api_port;
    slice->endpoints = arena_array(arena, Discovery__Endpoint *, 1);
    slice->endpoints[slice->n_endpoints++] = endpoint;
    slice->ports = arena_array(arena, Discovery__EndpointPort *, 1);
    slice->ports[slice->n_ports++] = port;
    return &slice->base;
}

void bootstrap_objects(const struct bootstrap_config *config, struct arena *arena,
                       struct api_object ret[BOOTSTRAP_OBJECTS])
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        ret[count++] =
            (struct api_object){API_NAMESPACE, "", namespaces[i], make_namespace(namespaces[i], arena)};
    ret[count++] = (struct api_object){API_SERVICE_CIDR, "", kubernetes, make_service_cidr(config, arena)};
    ret[count++] = (struct api_object){API_SERVICE, "default", kubernetes, make_service(config, arena)};
    ret[count++] = (struct api_object){API_ENDPOINTS, "default", kubernetes, make_endpoints(config, arena)};
    ret[count++] = (struct api_object){API_ENDPOINT_SLICE, "default", kubernetes, make_slice(config, arena)};
}
