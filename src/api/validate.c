/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate.h"

#include "api/encode.h"
#include "api/validate_parts.h"
#include "api/validate_pod.h"

static void check_create(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object)
{
    switch (kind) {
    case API_SERVICE:
        validate_metadata(faults, api_metadata(object), true, dns_label_rule);
        validate_service(faults, (const Core__Service *)object, NULL);
        break;
    case API_ENDPOINT_SLICE:
        validate_endpoint_slice(faults, (const Discovery__EndpointSlice *)object, NULL);
        break;
    case API_ENDPOINTS:
        validate_endpoints(faults, (const Core__Endpoints *)object, NULL);
        break;
    case API_NODE:
        validate_node(faults, (const Core__Node *)object);
        break;
    case API_POD:
        validate_pod(faults, (const Core__Pod *)object);
        break;
    case API_NAMESPACE:
        validate_namespace(faults, (const Core__Namespace *)object);
        break;
    case API_SERVICE_CIDR:
        validate_service_cidr(faults, (const Networking__ServiceCIDR *)object);
        break;
    case API_CONFIG_MAP:
        validate_config_map(faults, (const Core__ConfigMap *)object);
        break;
    case API_EVENT:
        validate_event(faults, (const Core__Event *)object, "reportingComponent");
        break;
    case API_LEASE:
        validate_lease(faults, (const Coordination__Lease *)object);
        break;
    }
}

static void check_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                         const ProtobufCMessage *old)
{
    switch (kind) {
    case API_SERVICE:
        validate_service_update(faults, (const Core__Service *)object, (const Core__Service *)old);
        break;
    case API_ENDPOINT_SLICE:
        validate_endpoint_slice(faults, (const Discovery__EndpointSlice *)object,
                                (const Discovery__EndpointSlice *)old);
        break;
    case API_ENDPOINTS:
        validate_endpoints(faults, (const Core__Endpoints *)object, (const Core__Endpoints *)old);
        break;
    case API_NODE:
        validate_node(faults, (const Core__Node *)object);
        validate_node_update(faults, (const Core__Node *)object, (const Core__Node *)old);
        break;
    case API_POD:
        validate_pod_update(faults, (const Core__Pod *)object, (const Core__Pod *)old);
        break;
    case API_NAMESPACE:
        validate_namespace(faults, (const Core__Namespace *)object);
        validate_metadata_update(faults, api_metadata(object), api_metadata(old));
        break;
    case API_SERVICE_CIDR:
        validate_service_cidr_update(faults, (const Networking__ServiceCIDR *)object,
                                     (const Networking__ServiceCIDR *)old);
        break;
    case API_CONFIG_MAP:
        validate_config_map_update(faults, (const Core__ConfigMap *)object, (const Core__ConfigMap *)old);
        break;
    case API_EVENT:
        validate_event(faults, (const Core__Event *)object, "reportingComponent");
        break;
    case API_LEASE:
        validate_lease_update(faults, (const Coordination__Lease *)object, (const Coordination__Lease *)old);
        break;
    }
}

static void check_status_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                                const ProtobufCMessage *old)
{
    switch (kind) {
    case API_SERVICE:
        validate_service_status(faults, (const Core__Service *)object, (const Core__Service *)old);
        break;
    case API_NODE:
        validate_node_update(faults, (const Core__Node *)object, (const Core__Node *)old);
        break;
    case API_POD:
        validate_pod_status(faults, (const Core__Pod *)object, (const Core__Pod *)old);
        break;
    case API_NAMESPACE:
        validate_namespace_status(faults, (const Core__Namespace *)object, (const Core__Namespace *)old);
        break;
    case API_SERVICE_CIDR:
        validate_metadata_update(faults, api_metadata(object), api_metadata(old));
        break;
    case API_ENDPOINT_SLICE:
    case API_ENDPOINTS:
    case API_CONFIG_MAP:
    case API_EVENT:
    case API_LEASE:
        check_update(faults, kind, object, old);
        break;
    }
}

/* What goes for every kind, whatever its own rules on names: staging k8s.io/apiserver pkg/registry/rest. */
static void check_common(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object)
{
    validate_any_metadata(faults, api_metadata(object), api_kind_info(kind)->is_namespaced,
                          path_segment_rule);
}

void validate_create(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object)
{
    size_t before = faults->count;
    check_create(faults, kind, object);
    if (faults->count == before)
        check_common(faults, kind, object);
}

void validate_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                     const ProtobufCMessage *old)
{
    check_common(faults, kind, object);
    validate_any_metadata_update(faults, api_metadata(object), api_metadata(old));
    check_update(faults, kind, object, old);
}

void validate_status_update(struct faults *faults, enum api_kind kind, const ProtobufCMessage *object,
                            const ProtobufCMessage *old)
{
    check_common(faults, kind, object);
    validate_any_metadata_update(faults, api_metadata(object), api_metadata(old));
    check_status_update(faults, kind, object, old);
}

const char *validate_object(enum api_kind kind, const ProtobufCMessage *message, const struct tape *tape,
                            struct arena *arena, uint32_t *ret_line, uint32_t *ret_column)
{
    struct faults faults;
    faults_init(&faults, arena);
    faults.tape = tape;
    if (kind == API_POD)
        validate_metadata(&faults, api_metadata(message), true, dns_subdomain_rule);
    else
        check_create(&faults, kind, message);
    if (kind == API_SERVICE)
        validate_service_alone(&faults, (const Core__Service *)message);
    if (faults.count == 0)
        return NULL;
    if (faults.line) {
        *ret_line = faults.line;
        *ret_column = faults.column;
    }
    const struct api_kind_info *info = api_kind_info(kind);
    return arena_printf(arena, "%s%s%s %s is invalid: %s", info->name, *info->group ? "." : "", info->group,
                        encode_quoted(api_text(api_metadata(message)->name), arena), faults_format(&faults));
}
