/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/convert.h"

#include "base/block.h"
#include "base/text.h"
#include "store/convert_parts.h"

#include <stdlib.h>
#include <string.h>

/* Well-known labels and annotations: k8s.io/api/core/v1/well_known_labels.go. */
#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
#define ANNOTATION_TOPOLOGY_MODE "service.kubernetes.io/topology-mode"
#define TAINT_LEAVING "ToBeDeletedByClusterAutoscaler" /* KEP-3836 */

/* Texts that are not addresses were refused by validation: what does not parse here is left out. */
static uint32_t parse_addresses(char *const *texts, size_t count, struct address *ret)
{
    uint32_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (address_parse(texts[i], &ret[kept], NULL) == 0)
            kept++;
    return kept;
}

static enum service_type type_of(const Core__ServiceSpec *spec)
{
    if (text_equal(spec->type, "NodePort"))
        return SERVICE_NODE_PORT;
    if (text_equal(spec->type, "LoadBalancer"))
        return SERVICE_LOAD_BALANCER;
    if (text_equal(spec->type, "ExternalName"))
        return SERVICE_EXTERNAL_NAME;
    return SERVICE_CLUSTER_IP;
}

static const char *why_not_proxied(const Core__Service *message)
{
    const Core__ServiceSpec *spec = message->spec;
    if (text_equal(spec->type, "ExternalName"))
        return "it is of type ExternalName: a DNS name, no addresses";
    if (text_equal(spec->clusterip, "None"))
        return "it is headless (clusterIP None): clients talk to the endpoints themselves";
    if (api_text(spec->clusterip)[0] == '\0')
        return "it has no clusterIP";
    if (convert_label(message->metadata, LABEL_PROXY_NAME))
        return "its label " LABEL_PROXY_NAME " gives it to another proxy";
    return NULL;
}

static void take_ports(const Core__ServiceSpec *spec, struct service *service, struct arena *scratch)
{
    struct service_port *ports = arena_array(scratch, struct service_port, spec->n_ports);
    for (size_t i = 0; i < spec->n_ports; i++) {
        const Core__ServicePort *from = spec->ports[i];
        struct service_port *port = &ports[service->port_count];
        enum protocol protocol;
        if (protocol_parse(api_text(from->protocol), &protocol, NULL) < 0)
            continue;
        port->protocol = (uint8_t)protocol;
        port->name = api_text(from->name);
        port->port = (uint16_t)from->port;
        port->node_port = (uint16_t)from->nodeport;
        port->target_port = from->targetport && from->targetport->type == 1
                                ? api_text(from->targetport->strval)
                            : from->targetport ? arena_printf(scratch, "%d", from->targetport->intval)
                                               : "";
        service->port_count++;
    }
    service->ports = ports;
}

static void take_vips(const Core__Service *message, struct service *service, struct arena *scratch)
{
    if (service->type != SERVICE_LOAD_BALANCER || !message->status || !message->status->loadbalancer)
        return;
    const Core__LoadBalancerStatus *status = message->status->loadbalancer;
    struct address *vips = arena_array(scratch, struct address, status->n_ingress);
    for (size_t i = 0; i < status->n_ingress; i++) {
        /* ipMode Proxy (KEP-1860): the load balancer itself must be passed, so its address is not ours. */
        const Core__LoadBalancerIngress *ingress = status->ingress[i];
        if (*api_text(ingress->ip) && !text_equal(ingress->ipmode, "Proxy") &&
            address_parse(ingress->ip, &vips[service->vip_count], NULL) == 0)
            service->vip_count++;
    }
    service->vips = vips;
}

static void take_source_ranges(const Core__ServiceSpec *spec, struct service *service, struct arena *scratch)
{
    struct prefix *ranges = arena_array(scratch, struct prefix, spec->n_loadbalancersourceranges);
    for (size_t i = 0; i < spec->n_loadbalancersourceranges; i++) {
        const char *from = spec->loadbalancersourceranges[i];
        from += strspn(from, " \t");
        char *trimmed = arena_strndup(scratch, from, strcspn(from, " \t"));
        if (prefix_parse(trimmed, &ranges[service->source_range_count], NULL) == 0)
            service->source_range_count++;
    }
    service->source_ranges = ranges;
}

static struct service *pack_service(const struct service *from, struct block *block)
{
    struct service *service = block_copy(block, from, sizeof(*from));
    struct service measured = *from;
    struct service *to = service ? service : &measured;
    struct service_port *ports = block_copy(block, from->ports, from->port_count * sizeof(*from->ports));
    to->ports = ports;
    to->cluster_ips =
        block_copy(block, from->cluster_ips, from->cluster_ip_count * sizeof(*from->cluster_ips));
    to->external_ips =
        block_copy(block, from->external_ips, from->external_ip_count * sizeof(*from->external_ips));
    to->vips = block_copy(block, from->vips, from->vip_count * sizeof(*from->vips));
    to->source_ranges =
        block_copy(block, from->source_ranges, from->source_range_count * sizeof(*from->source_ranges));
    const char **topology_keys =
        block_copy(block, from->topology_keys, from->topology_key_count * sizeof(*from->topology_keys));
    to->topology_keys = topology_keys;
    to->namespace_ = block_strdup(block, from->namespace_);
    to->name = block_strdup(block, from->name);
    to->distribution = block_strdup(block, from->distribution);
    for (uint32_t i = 0; i < from->topology_key_count; i++) {
        char *key = block_strdup(block, from->topology_keys[i]);
        if (topology_keys)
            topology_keys[i] = key;
    }
    for (uint32_t i = 0; i < from->port_count; i++) {
        char *name = block_strdup(block, from->ports[i].name);
        char *target_port = block_strdup(block, from->ports[i].target_port);
        if (!ports)
            continue;
        ports[i].name = name;
        ports[i].target_port = target_port;
    }
    return service;
}

static struct service *service_build(const struct api_object *object, struct arena *scratch)
{
    const Core__Service *message = api_service(object);
    const Core__ServiceSpec *spec = message->spec;
    const char *distribution = spec->trafficdistribution;
    struct service service = {
        .namespace_ = object->namespace_,
        .name = object->name,
        .type = type_of(spec),
        .not_proxied_because = why_not_proxied(message),
        .external_local = text_equal(spec->externaltrafficpolicy, "Local"),
        .internal_local = text_equal(spec->internaltrafficpolicy, "Local"),
        .health_check_node_port = (uint16_t)spec->healthchecknodeport,
        .topology_key_count = (uint32_t)spec->n_topologykeys,
        .topology_keys = (const char *const *)spec->topologykeys,
    };
    service.is_proxied = !service.not_proxied_because;
    service.distribution = *api_text(distribution)
                               ? distribution
                               : convert_annotation(message->metadata, ANNOTATION_TOPOLOGY_MODE);
    if (text_equal(spec->sessionaffinity, "ClientIP"))
        service.affinity_seconds = spec->sessionaffinityconfig && spec->sessionaffinityconfig->clientip
                                       ? (uint32_t)spec->sessionaffinityconfig->clientip->timeoutseconds
                                       : 10800;
    take_ports(spec, &service, scratch);
    take_vips(message, &service, scratch);
    if (service.type == SERVICE_LOAD_BALANCER)
        take_source_ranges(spec, &service, scratch);
    struct address *cluster_ips = arena_array(scratch, struct address, spec->n_clusterips + 1);
    service.cluster_ip_count = parse_addresses(spec->clusterips, spec->n_clusterips, cluster_ips);
    if (spec->n_clusterips == 0 && spec->clusterip)
        service.cluster_ip_count = parse_addresses(&spec->clusterip, 1, cluster_ips);
    service.cluster_ips = cluster_ips;
    struct address *external_ips = arena_array(scratch, struct address, spec->n_externalips);
    service.external_ip_count = parse_addresses(spec->externalips, spec->n_externalips, external_ips);
    service.external_ips = external_ips;
    struct block block = {0};
    pack_service(&service, &block);
    block_allocate(&block);
    return pack_service(&service, &block);
}

static uint32_t take_node_addresses(const Core__Node *message, const char *type, struct address *ret)
{
    uint32_t count = 0;
    for (size_t i = 0; message->status && i < message->status->n_addresses; i++)
        if (text_equal(message->status->addresses[i]->type, type) &&
            address_parse(api_text(message->status->addresses[i]->address), &ret[count], NULL) == 0)
            count++;
    return count;
}

static bool is_leaving(const Core__Node *message)
{
    if (message->metadata && message->metadata->deletiontimestamp)
        return true;
    for (size_t i = 0; message->spec && i < message->spec->n_taints; i++)
        if (text_equal(message->spec->taints[i]->key, TAINT_LEAVING))
            return true;
    return false;
}

static int label_order(const void *a, const void *b)
{
    return strcmp(((const struct node_label *)a)->key, ((const struct node_label *)b)->key);
}

static void take_node_labels(const Meta__ObjectMeta *meta, struct node *node, struct arena *scratch)
{
    size_t count = meta ? meta->n_labels : 0;
    struct node_label *labels = arena_array(scratch, struct node_label, count);
    for (size_t i = 0; i < count; i++)
        labels[i] = (struct node_label){api_text(meta->labels[i]->key), api_text(meta->labels[i]->value)};
    if (count > 1)
        qsort(labels, count, sizeof(*labels), label_order);
    node->label_count = (uint32_t)count;
    node->labels = labels;
}

static struct node *pack_node(const struct node *from, struct block *block)
{
    struct node *node = block_copy(block, from, sizeof(*from));
    struct node measured = *from;
    struct node *to = node ? node : &measured;
    struct node_label *labels = block_copy(block, from->labels, from->label_count * sizeof(*from->labels));
    to->labels = labels;
    to->addresses = block_copy(block, from->addresses, from->address_count * sizeof(*from->addresses));
    to->pod_cidrs = block_copy(block, from->pod_cidrs, from->pod_cidr_count * sizeof(*from->pod_cidrs));
    to->name = block_strdup(block, from->name);
    for (uint32_t i = 0; i < from->label_count; i++) {
        char *key = block_strdup(block, from->labels[i].key);
        char *value = block_strdup(block, from->labels[i].value);
        if (labels)
            labels[i] = (struct node_label){key, value};
    }
    return node;
}

static struct node *node_build(struct store *store, const struct api_object *object, struct arena *scratch)
{
    const Core__Node *message = api_node(object);
    const char *zone = convert_label(message->metadata, LABEL_ZONE);
    size_t address_most = message->status ? 2 * message->status->n_addresses : 0;
    size_t cidr_most = message->spec ? message->spec->n_podcidrs + 1 : 1;
    struct address *addresses = arena_array(scratch, struct address, address_most);
    struct prefix *pod_cidrs = arena_array(scratch, struct prefix, cidr_most);
    struct node node = {
        .name = object->name,
        .zone = intern_id(store->names, zone ? zone : convert_label(message->metadata, LABEL_ZONE_BETA)),
        .is_leaving = is_leaving(message),
        .addresses = addresses,
        .pod_cidrs = pod_cidrs,
    };
    take_node_labels(message->metadata, &node, scratch);
    node.address_count = take_node_addresses(message, "InternalIP", addresses);
    node.address_count += take_node_addresses(message, "ExternalIP", addresses + node.address_count);
    for (size_t i = 0; message->spec && i < message->spec->n_podcidrs; i++)
        if (prefix_parse(message->spec->podcidrs[i], &pod_cidrs[node.pod_cidr_count], NULL) == 0)
            node.pod_cidr_count++;
    if (node.pod_cidr_count == 0 && message->spec && message->spec->podcidr &&
        prefix_parse(message->spec->podcidr, &pod_cidrs[0], NULL) == 0)
        node.pod_cidr_count = 1;
    struct block block = {0};
    pack_node(&node, &block);
    block_allocate(&block);
    return pack_node(&node, &block);
}

static struct service_cidr *pack_service_cidr(const struct service_cidr *from, struct block *block)
{
    struct service_cidr *service_cidr = block_copy(block, from, sizeof(*from));
    struct service_cidr measured = *from;
    struct service_cidr *to = service_cidr ? service_cidr : &measured;
    to->cidrs = block_copy(block, from->cidrs, from->cidr_count * sizeof(*from->cidrs));
    to->name = block_strdup(block, from->name);
    return service_cidr;
}

static struct service_cidr *service_cidr_build(const struct api_object *object, struct arena *scratch)
{
    const Networking__ServiceCIDR *message = api_service_cidr(object);
    size_t most = message->spec ? message->spec->n_cidrs : 0;
    struct prefix *cidrs = arena_array(scratch, struct prefix, most);
    struct service_cidr service_cidr = {.name = object->name, .cidrs = cidrs};
    for (size_t i = 0; i < most; i++)
        if (prefix_parse(message->spec->cidrs[i], &cidrs[service_cidr.cidr_count], NULL) == 0)
            service_cidr.cidr_count++;
    struct block block = {0};
    pack_service_cidr(&service_cidr, &block);
    block_allocate(&block);
    return pack_service_cidr(&service_cidr, &block);
}

static void put_slice(struct store *store, const struct api_object *object, struct arena *scratch)
{
    struct slice *slice = convert_slice(store, object, scratch);
    if (slice)
        store_slice_put(store, slice);
    else
        store_slice_remove(store, object->namespace_, object->name);
}

void store_put(struct store *store, const struct api_object *object)
{
    struct arena scratch;
    arena_init(&scratch);
    switch (object->kind) {
    case API_SERVICE:
        store_service_put(store, service_build(object, &scratch));
        break;
    case API_ENDPOINT_SLICE:
        put_slice(store, object, &scratch);
        break;
    case API_NODE:
        store_node_put(store, node_build(store, object, &scratch));
        break;
    case API_SERVICE_CIDR:
        store_service_cidr_put(store, service_cidr_build(object, &scratch));
        break;
    case API_ENDPOINTS:
    case API_POD:
    case API_NAMESPACE:
    case API_CONFIG_MAP:
    case API_EVENT:
    case API_LEASE:
        break;
    }
    arena_done(&scratch);
}

void store_remove(struct store *store, enum api_kind kind, const char *namespace_, const char *name)
{
    switch (kind) {
    case API_SERVICE:
        store_service_remove(store, namespace_, name);
        break;
    case API_ENDPOINT_SLICE:
        store_slice_remove(store, namespace_, name);
        break;
    case API_NODE:
        store_node_remove(store, name);
        break;
    case API_SERVICE_CIDR:
        store_service_cidr_remove(store, name);
        break;
    case API_ENDPOINTS:
    case API_POD:
    case API_NAMESPACE:
    case API_CONFIG_MAP:
    case API_EVENT:
    case API_LEASE:
        break;
    }
}
