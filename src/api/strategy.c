/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/strategy.h"

#include "api/defaults.h"

#include "api/equal.h"
#include "api/strategy_parts.h"
#include "base/text.h"

#include <string.h>

#define HOSTNAME_LABEL "kubernetes.io/hostname"
#define NAMESPACE_FINALIZER "kubernetes"

/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

void *strategy_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

static void set_generation(Meta__ObjectMeta *metadata, int64_t generation)
{
    metadata->has_generation = generation != 0;
    metadata->generation = generation;
}

static void count_generation(Meta__ObjectMeta *metadata, const Meta__ObjectMeta *old)
{
    set_generation(metadata, old->generation < INT64_MAX ? old->generation + 1 : old->generation);
}

static bool has_text(char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(list[i], text))
            return true;
    return false;
}

static void wipe_metadata(Meta__ObjectMeta *metadata)
{
    metadata->uid = NULL;
    metadata->selflink = NULL;
    metadata->creationtimestamp = NULL;
    metadata->deletiontimestamp = NULL;
    metadata->has_deletiongraceperiodseconds = false;
    metadata->deletiongraceperiodseconds = 0;
}

/* What has no namespace may name one, which means nothing. */
static void drop_namespace(enum api_kind kind, Meta__ObjectMeta *metadata)
{
    if (!api_kind_info(kind)->is_namespaced)
        metadata->namespace_ = NULL;
}

static void create_namespace(Core__Namespace *namespace, struct arena *arena)
{
    Core__NamespaceSpec *spec = namespace->spec;
    namespace->status = strategy_new(arena, &core__namespace_status__descriptor);
    namespace->status->phase = CONSTANT("Active");
    defaults_label_namespace(namespace, arena);
    if (has_text(spec->finalizers, spec->n_finalizers, NAMESPACE_FINALIZER))
        return;
    char **finalizers = arena_array(arena, char *, spec->n_finalizers + 1);
    if (spec->n_finalizers)
        memcpy(finalizers, spec->finalizers, spec->n_finalizers * sizeof(*finalizers));
    finalizers[spec->n_finalizers++] = CONSTANT(NAMESPACE_FINALIZER);
    spec->finalizers = finalizers;
}

/* Unlike other kinds a Node comes with its status. */
static void create_node(Core__Node *node)
{
    node->spec->configsource = NULL;
    if (node->status)
        node->status->config = NULL;
}

/* The gate CoordinatedLeaderElection is off. */
static void drop_lease_fields(Coordination__Lease *lease, const Coordination__Lease *old)
{
    if (!lease->spec)
        return;
    if (!old || !old->spec || !old->spec->strategy)
        lease->spec->strategy = NULL;
    if (!old || !old->spec || !old->spec->preferredholder)
        lease->spec->preferredholder = NULL;
}

static const char *topology_node(const Discovery__Endpoint *endpoint)
{
    return api_entry(endpoint->deprecatedtopology, endpoint->n_deprecatedtopology, HOSTNAME_LABEL);
}

static bool had_topology_node(const Discovery__EndpointSlice *old, const char *name)
{
    for (size_t i = 0; old && i < old->n_endpoints; i++)
        if (*name && text_equal(topology_node(old->endpoints[i]), name))
            return true;
    return false;
}

/* v1 does not write deprecatedTopology; a node's name that was there before moves to its field. */
static void drop_topology(Discovery__EndpointSlice *slice, const Discovery__EndpointSlice *old)
{
    for (size_t i = 0; i < slice->n_endpoints; i++) {
        Discovery__Endpoint *endpoint = slice->endpoints[i];
        const char *node = topology_node(endpoint);
        if (!endpoint->nodename && node && had_topology_node(old, node))
            endpoint->nodename = CONSTANT(node);
        endpoint->n_deprecatedtopology = 0;
        endpoint->deprecatedtopology = NULL;
    }
}

static bool is_same_field(const ProtobufCMessage *a, const ProtobufCMessage *b, const char *name)
{
    return message_equal_field(a, b, protobuf_c_message_descriptor_get_field_by_name(a->descriptor, name));
}

static void update_slice(Discovery__EndpointSlice *slice, const Discovery__EndpointSlice *old)
{
    bool has_same_endpoints = is_same_field(&slice->base, &old->base, "endpoints");
    if (!has_same_endpoints || !is_same_field(&slice->base, &old->base, "ports") ||
        !is_same_field(&slice->base, &old->base, "addressType") ||
        !is_same_field(&slice->metadata->base, &old->metadata->base, "labels"))
        count_generation(slice->metadata, old->metadata);
    if (!has_same_endpoints)
        drop_topology(slice, old);
}

void strategy_prepare_create(enum api_kind kind, ProtobufCMessage *message, struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    wipe_metadata(metadata);
    drop_namespace(kind, metadata);
    switch (kind) {
    case API_SERVICE:
        ((Core__Service *)message)->status = strategy_new(arena, &core__service_status__descriptor);
        break;
    case API_ENDPOINT_SLICE:
        set_generation(metadata, 1);
        drop_topology((Discovery__EndpointSlice *)message, NULL);
        break;
    case API_NODE:
        create_node((Core__Node *)message);
        break;
    case API_POD:
        set_generation(metadata, 1);
        strategy_create_pod((Core__Pod *)message, arena);
        break;
    case API_NAMESPACE:
        create_namespace((Core__Namespace *)message, arena);
        break;
    case API_SERVICE_CIDR:
        ((Networking__ServiceCIDR *)message)->status =
            strategy_new(arena, &networking__service_cidrstatus__descriptor);
        break;
    case API_LEASE:
        drop_lease_fields((Coordination__Lease *)message, NULL);
        break;
    case API_ENDPOINTS:
    case API_CONFIG_MAP:
    case API_EVENT:
        break;
    }
}

static void keep_metadata(Meta__ObjectMeta *metadata, const Meta__ObjectMeta *old)
{
    if (!metadata->uid || !*metadata->uid)
        metadata->uid = old->uid;
    if (!metadata->resourceversion || !*metadata->resourceversion)
        metadata->resourceversion = old->resourceversion;
    if (old->creationtimestamp)
        metadata->creationtimestamp = old->creationtimestamp;
    if (old->deletiontimestamp)
        metadata->deletiontimestamp = old->deletiontimestamp;
    if (old->has_deletiongraceperiodseconds && !metadata->has_deletiongraceperiodseconds) {
        metadata->has_deletiongraceperiodseconds = true;
        metadata->deletiongraceperiodseconds = old->deletiongraceperiodseconds;
    }
}

static void update_node(Core__Node *node, const Core__Node *old)
{
    node->status = old->status;
    if (!old->spec->configsource)
        node->spec->configsource = NULL;
}

static void update_namespace(Core__Namespace *namespace, const Core__Namespace *old, struct arena *arena)
{
    namespace->spec->finalizers = old->spec->finalizers;
    namespace->spec->n_finalizers = old->spec->n_finalizers;
    namespace->status = old->status;
    defaults_label_namespace(namespace, arena);
}

static void update_pod(Core__Pod *pod, const Core__Pod *old)
{
    pod->status = old->status;
    strategy_drop_disabled(pod->spec);
    if (!message_equal(&pod->spec->base, &old->spec->base))
        count_generation(pod->metadata, old->metadata);
}

void strategy_prepare_update(enum api_kind kind, ProtobufCMessage *message, const ProtobufCMessage *old,
                             struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    const Meta__ObjectMeta *before = api_metadata(old);
    set_generation(metadata, before->generation);
    drop_namespace(kind, metadata);
    switch (kind) {
    case API_SERVICE:
        /* Addresses and ports are the allocator's: apiserver/services.h. */
        ((Core__Service *)message)->status = ((const Core__Service *)old)->status;
        break;
    case API_ENDPOINT_SLICE:
        update_slice((Discovery__EndpointSlice *)message, (const Discovery__EndpointSlice *)old);
        break;
    case API_NODE:
        update_node((Core__Node *)message, (const Core__Node *)old);
        break;
    case API_POD:
        update_pod((Core__Pod *)message, (const Core__Pod *)old);
        break;
    case API_NAMESPACE:
        update_namespace((Core__Namespace *)message, (const Core__Namespace *)old, arena);
        break;
    case API_SERVICE_CIDR:
        ((Networking__ServiceCIDR *)message)->status = ((const Networking__ServiceCIDR *)old)->status;
        break;
    case API_LEASE:
        drop_lease_fields((Coordination__Lease *)message, (const Coordination__Lease *)old);
        break;
    case API_ENDPOINTS:
    case API_CONFIG_MAP:
    case API_EVENT:
        break;
    }
    keep_metadata(metadata, before);
}

static void keep_all_metadata(Meta__ObjectMeta *metadata, const Meta__ObjectMeta *old)
{
    metadata->selflink = old->selflink;
    metadata->labels = old->labels;
    metadata->n_labels = old->n_labels;
    metadata->annotations = old->annotations;
    metadata->n_annotations = old->n_annotations;
    metadata->finalizers = old->finalizers;
    metadata->n_finalizers = old->n_finalizers;
    metadata->ownerreferences = old->ownerreferences;
    metadata->n_ownerreferences = old->n_ownerreferences;
    metadata->deletiontimestamp = old->deletiontimestamp;
}

static void update_node_status(Core__Node *node, const Core__Node *old)
{
    node->spec = old->spec;
    if (node->status && !(old->status && old->status->config))
        node->status->config = NULL;
}

void strategy_prepare_status_update(enum api_kind kind, ProtobufCMessage *message,
                                    const ProtobufCMessage *old, struct arena *arena)
{
    Meta__ObjectMeta *metadata = api_metadata(message);
    const Meta__ObjectMeta *before = api_metadata(old);
    if (!strategy_has_status(kind)) {
        strategy_prepare_update(kind, message, old, arena);
        return;
    }
    set_generation(metadata, before->generation);
    drop_namespace(kind, metadata);
    if (kind == API_SERVICE) {
        ((Core__Service *)message)->spec = ((const Core__Service *)old)->spec;
    } else if (kind == API_NODE) {
        update_node_status((Core__Node *)message, (const Core__Node *)old);
    } else if (kind == API_POD) {
        strategy_update_pod_status((Core__Pod *)message, (const Core__Pod *)old, arena);
    } else if (kind == API_NAMESPACE) {
        ((Core__Namespace *)message)->spec = ((const Core__Namespace *)old)->spec;
        defaults_label_namespace((Core__Namespace *)message, arena);
    } else {
        ((Networking__ServiceCIDR *)message)->spec = ((const Networking__ServiceCIDR *)old)->spec;
        keep_all_metadata(metadata, before);
    }
    keep_metadata(metadata, before);
}

static const struct {
    bool creates_on_update, is_conditional, has_status;
} rules[API_KIND_COUNT] = {
    [API_SERVICE] = {.creates_on_update = true, .has_status = true},
    [API_ENDPOINTS] = {.creates_on_update = true},
    [API_NODE] = {.has_status = true},
    [API_POD] = {.has_status = true},
    [API_NAMESPACE] = {.has_status = true},
    [API_SERVICE_CIDR] = {.has_status = true},
    [API_EVENT] = {.creates_on_update = true},
    [API_LEASE] = {.creates_on_update = true, .is_conditional = true},
};

bool strategy_allows_create_on_update(enum api_kind kind)
{
    return rules[kind].creates_on_update;
}

bool strategy_allows_unconditional_update(enum api_kind kind)
{
    return !rules[kind].is_conditional;
}

bool strategy_has_status(enum api_kind kind)
{
    return rules[kind].has_status;
}

bool strategy_is_graceful(enum api_kind kind)
{
    return kind == API_POD;
}

int64_t strategy_grace_seconds(enum api_kind kind, const ProtobufCMessage *message, const int64_t *requested)
{
    if (!strategy_is_graceful(kind))
        return 0;
    const Core__Pod *pod = (const Core__Pod *)message;
    const char *phase = pod->status ? pod->status->phase : NULL;
    bool is_scheduled = pod->spec->nodename && *pod->spec->nodename;
    int64_t seconds = requested ? *requested : pod->spec->terminationgraceperiodseconds;
    if (!is_scheduled || text_equal(phase, "Failed") || text_equal(phase, "Succeeded"))
        return 0;
    return seconds < 0 ? 1 : seconds;
}
