/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"
#include "store/intern.h"

/* Labels that say where a node is (k8s.io/api/core/v1/well_known_labels.go), with the names that zone and
 * region had before Kubernetes 1.17. */
#define LABEL_HOSTNAME "kubernetes.io/hostname"
#define LABEL_ZONE "topology.kubernetes.io/zone"
#define LABEL_ZONE_BETA "failure-domain.beta.kubernetes.io/zone"
#define LABEL_REGION "topology.kubernetes.io/region"
#define LABEL_REGION_BETA "failure-domain.beta.kubernetes.io/region"

/* The compact forms of the Kubernetes objects that forwarding reads. Each is one heap block (its lists and
 * strings lie inside it), immutable once built, and freed with slab_free(). */

struct service_port {
    const char *name;        /* "" when unnamed */
    const char *target_port; /* as written, a number or a name; for people */
    uint16_t port, node_port;
    uint8_t protocol; /* enum protocol */
};

enum service_type { SERVICE_CLUSTER_IP, SERVICE_NODE_PORT, SERVICE_LOAD_BALANCER, SERVICE_EXTERNAL_NAME };

struct service {
    const char *namespace_, *name;
    enum service_type type;
    bool is_proxied;     /* false for headless, ExternalName, and what another proxy serves (KEP-2447) */
    bool external_local; /* externalTrafficPolicy: Local */
    bool internal_local; /* internalTrafficPolicy: Local */
    const char *not_proxied_because; /* one clause, NULL when is_proxied */
    const char *distribution;  /* spec.trafficDistribution or the topology-mode annotation, "" when absent */
    uint32_t affinity_seconds; /* 0: no session affinity */
    uint16_t health_check_node_port; /* 0: none */
    uint32_t port_count, cluster_ip_count, external_ip_count, vip_count, source_range_count;
    uint32_t topology_key_count;
    const struct service_port *ports;
    const struct address *cluster_ips, *external_ips;
    const struct address *vips; /* status.loadBalancer.ingress with ipMode VIP or unset */
    const struct prefix *source_ranges;
    const char *const
        *topology_keys; /* spec.topologyKeys in their order (KEP-536): label names; the last may be "*" */
};

enum endpoint_flag { ENDPOINT_READY = 1, ENDPOINT_SERVING = 2, ENDPOINT_TERMINATING = 4 };

/* 32 bytes: there are a hundred thousand of these. */
struct endpoint {
    struct address address; /* addresses[0]: the others are not used (discovery/v1 says they are fungible) */
    uint32_t node, zone;    /* interned; 0 when not given */
    uint32_t target; /* offset in slice->strings of what the Pod's name has behind target_prefix; 0: no Pod */
    uint8_t flags;   /* enum endpoint_flag */
};

/* Offsets of lists in slice->names; 0 when there are no hints of that kind. */
struct endpoint_hints {
    uint32_t zones, nodes;
};

struct slice_port {
    const char *name; /* "" when unnamed */
    uint16_t port;
    uint8_t protocol;
};

struct slice {
    const char *namespace_, *name;
    const char *service; /* the label kubernetes.io/service-name; "" when the slice belongs to nobody */
    enum family family;
    uint64_t trigger_time_ns; /* endpoints.kubernetes.io/last-change-trigger-time since the epoch; 0: none */
    uint32_t port_count, endpoint_count;
    const struct slice_port *ports;
    const struct endpoint *endpoints;
    const uint32_t *names; /* lists of interned names: a count, then that many; names[0] is unused */
    const struct endpoint_hints *hints; /* by endpoint; NULL when none has any */
    /* By endpoint, the offset in names of its deprecatedTopology: keys and values by turns. NULL when no
     * endpoint has any, as in every slice of a cluster of our days. */
    const uint32_t *topologies;
    const char *strings;    /* NUL-terminated, back to back; strings[0] is "" */
    uint32_t target_prefix; /* offset in strings of what all Pods' names begin with: a ReplicaSet's name */
};

/* As text: labels may be many and change often, and interned names are never given back. */
struct node_label {
    const char *key, *value;
};

struct node {
    const char *name;
    uint32_t zone;   /* interned label topology.kubernetes.io/zone */
    bool is_leaving; /* being deleted, or tainted ToBeDeletedByClusterAutoscaler (KEP-3836) */
    uint32_t address_count, pod_cidr_count, label_count;
    const struct address *addresses; /* status.addresses: InternalIP first, then ExternalIP */
    const struct prefix *pod_cidrs;
    const struct node_label *labels; /* sorted by key */
};

struct service_cidr {
    const char *name;
    uint32_t cidr_count;
    const struct prefix *cidrs;
};

static inline uint32_t slice_list_count(const struct slice *slice, uint32_t offset)
{
    return offset ? slice->names[offset] : 0;
}
/* endpoint is one of the slice's. */
static inline struct endpoint_hints slice_hints(const struct slice *slice, const struct endpoint *endpoint)
{
    return slice->hints ? slice->hints[endpoint - slice->endpoints] : (struct endpoint_hints){0};
}
/* True when the list at offset holds the interned name. */
bool slice_list_has(const struct slice *slice, uint32_t offset, uint32_t name);
/* The value under key, NULL when the node has no such label. */
const char *node_label(const struct node *node, const char *key);
