/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/object.h"

#include "base/cleanup.h"

#include <assert.h>
#include <string.h>

static const struct api_kind_info kinds[API_KIND_COUNT] = {
    [API_SERVICE] = {"Service", "", "v1", true, true, &core__service__descriptor},
    [API_ENDPOINT_SLICE] = {"EndpointSlice", "discovery.k8s.io", "v1", true, true,
                            &discovery__endpoint_slice__descriptor},
    [API_ENDPOINTS] = {"Endpoints", "", "v1", true, true, &core__endpoints__descriptor},
    [API_NODE] = {"Node", "", "v1", false, true, &core__node__descriptor},
    [API_POD] = {"Pod", "", "v1", true, true, &core__pod__descriptor},
    [API_NAMESPACE] = {"Namespace", "", "v1", false, true, &core__namespace__descriptor},
    [API_SERVICE_CIDR] = {"ServiceCIDR", "networking.k8s.io", "v1", false, true,
                          &networking__service_cidr__descriptor},
    [API_CONFIG_MAP] = {"ConfigMap", "", "v1", true, true, &core__config_map__descriptor},
    [API_EVENT] = {"Event", "", "v1", true, true, &core__event__descriptor},
    [API_LEASE] = {"Lease", "coordination.k8s.io", "v1", true, true, &coordination__lease__descriptor},
};

/* What every kind begins with; api_metadata relies on it. */
struct with_metadata {
    ProtobufCMessage base;
    Meta__ObjectMeta *metadata;
};
#define METADATA_IS_FIRST(type)                                                                              \
    static_assert(offsetof(type, metadata) == offsetof(struct with_metadata, metadata), #type)
METADATA_IS_FIRST(Core__Service);
METADATA_IS_FIRST(Discovery__EndpointSlice);
METADATA_IS_FIRST(Core__Endpoints);
METADATA_IS_FIRST(Core__Node);
METADATA_IS_FIRST(Core__Pod);
METADATA_IS_FIRST(Core__Namespace);
METADATA_IS_FIRST(Networking__ServiceCIDR);
METADATA_IS_FIRST(Core__ConfigMap);
METADATA_IS_FIRST(Core__Event);
METADATA_IS_FIRST(Coordination__Lease);

const struct api_kind_info *api_kind_info(enum api_kind kind)
{
    assert((unsigned)kind < API_KIND_COUNT);
    return &kinds[kind];
}

const char *api_kind_name(enum api_kind kind)
{
    return api_kind_info(kind)->name;
}

const char *api_kind_version(enum api_kind kind)
{
    switch (kind) {
    case API_ENDPOINT_SLICE:
        return "discovery.k8s.io/v1";
    case API_SERVICE_CIDR:
        return "networking.k8s.io/v1";
    case API_LEASE:
        return "coordination.k8s.io/v1";
    case API_SERVICE:
    case API_ENDPOINTS:
    case API_NODE:
    case API_POD:
    case API_NAMESPACE:
    case API_CONFIG_MAP:
    case API_EVENT:
        break;
    }
    return "v1";
}

enum api_kind_match api_kind_find(const char *api_version, const char *kind, enum api_kind *ret)
{
    const char *slash = strchr(api_version, '/');
    size_t group_len = slash ? (size_t)(slash - api_version) : 0;
    const char *version = slash ? slash + 1 : api_version;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, kind) != 0)
            continue;
        if (strlen(kinds[i].group) != group_len || memcmp(kinds[i].group, api_version, group_len) != 0)
            return API_KIND_FOREIGN;
        if (strcmp(kinds[i].version, version) != 0)
            return API_KIND_OTHER_VERSION;
        *ret = (enum api_kind)i;
        return API_KIND_FOUND;
    }
    return API_KIND_FOREIGN;
}

static const void *message_of(const struct api_object *object, enum api_kind kind)
{
    assert(object->kind == kind);
    return object->message;
}

const Core__Service *api_service(const struct api_object *object)
{
    return message_of(object, API_SERVICE);
}

const Discovery__EndpointSlice *api_endpoint_slice(const struct api_object *object)
{
    return message_of(object, API_ENDPOINT_SLICE);
}

const Core__Endpoints *api_endpoints(const struct api_object *object)
{
    return message_of(object, API_ENDPOINTS);
}

const Core__Node *api_node(const struct api_object *object)
{
    return message_of(object, API_NODE);
}

const Core__Pod *api_pod(const struct api_object *object)
{
    return message_of(object, API_POD);
}

const Core__Namespace *api_namespace(const struct api_object *object)
{
    return message_of(object, API_NAMESPACE);
}

const Networking__ServiceCIDR *api_service_cidr(const struct api_object *object)
{
    return message_of(object, API_SERVICE_CIDR);
}

const Core__ConfigMap *api_config_map(const struct api_object *object)
{
    return message_of(object, API_CONFIG_MAP);
}

const Core__Event *api_event(const struct api_object *object)
{
    return message_of(object, API_EVENT);
}

const Coordination__Lease *api_lease(const struct api_object *object)
{
    return message_of(object, API_LEASE);
}

Meta__ObjectMeta *api_metadata(const ProtobufCMessage *message)
{
    return ((const struct with_metadata *)message)->metadata;
}

const char *api_entry(Meta__StringEntry *const *entries, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i]->key && strcmp(entries[i]->key, key) == 0)
            return api_text(entries[i]->value);
    return NULL;
}
