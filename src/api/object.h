/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/coordination.pb-c.h"
#include "api/core.pb-c.h"
#include "api/discovery.pb-c.h"
#include "api/meta.pb-c.h"
#include "api/networking.pb-c.h"
#include "api/node.pb-c.h"
#include "api/pod.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* The kinds that fairlead reads. Usable as an array index. */
enum api_kind {
    API_SERVICE,
    API_ENDPOINT_SLICE,
    API_ENDPOINTS,
    API_NODE,
    API_POD,
    API_NAMESPACE,
    API_SERVICE_CIDR,
    API_CONFIG_MAP,
    API_EVENT,
    API_LEASE
};
#define API_KIND_COUNT 10

/* A decoded object. It borrows everything: message, name and namespace_ live in the arena that it was decoded
 * into. After defaulting, metadata and spec (where the kind has one) are never NULL; any other submessage and
 * any string may be, and NULL and "" mean the same, as on the wire. */
struct api_object {
    enum api_kind kind;
    const char *namespace_, *name; /* namespace_ is "" for cluster-scoped kinds */
    const ProtobufCMessage *message;
};

/* What is fixed about a kind. */
struct api_kind_info {
    const char *name;    /* "EndpointSlice" */
    const char *group;   /* "discovery.k8s.io"; "" for the core group */
    const char *version; /* "v1" */
    bool is_namespaced;
    bool is_whole; /* the schema has every field, so a field it lacks is a mistake worth a warning */
    const ProtobufCMessageDescriptor *type;
};

const struct api_kind_info *api_kind_info(enum api_kind kind);
const char *api_kind_name(enum api_kind kind);
/* "v1", "discovery.k8s.io/v1" */
const char *api_kind_version(enum api_kind kind);

enum api_kind_match { API_KIND_FOUND, API_KIND_OTHER_VERSION, API_KIND_FOREIGN };
/* Finds the kind for an apiVersion and a kind as written in a document. OTHER_VERSION: the kind is ours but
 * in a version that is not served; *ret is set for FOUND alone. */
enum api_kind_match api_kind_find(const char *api_version, const char *kind, enum api_kind *ret);

/* Typed access; each asserts the kind. */
const Core__Service *api_service(const struct api_object *object);
const Discovery__EndpointSlice *api_endpoint_slice(const struct api_object *object);
const Core__Endpoints *api_endpoints(const struct api_object *object);
const Core__Node *api_node(const struct api_object *object);
const Core__Pod *api_pod(const struct api_object *object);
const Core__Namespace *api_namespace(const struct api_object *object);
const Networking__ServiceCIDR *api_service_cidr(const struct api_object *object);
const Core__ConfigMap *api_config_map(const struct api_object *object);
const Core__Event *api_event(const struct api_object *object);
const Coordination__Lease *api_lease(const struct api_object *object);

/* The metadata of any kind; NULL only in a message that was never defaulted. */
Meta__ObjectMeta *api_metadata(const ProtobufCMessage *message);
/* The value under key in a map (labels, annotations, selector), NULL when it is not there. */
const char *api_entry(Meta__StringEntry *const *entries, size_t count, const char *key);
/* text, or "" for NULL. */
static inline const char *api_text(const char *text)
{
    return text ? text : "";
}
