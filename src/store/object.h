/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"
#include "store/intern.h"

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
    const struct service_port *ports;
    const struct address *cluster_ips, *external_ips;
    const struct address *vips; /* status.loadBalancer.ingress with ipMode VIP or unset */
    const struct prefix *source_ranges;
};

enum endpoint_flag { ENDPOINT_READY = 1, ENDPOINT_SERVING = 2, ENDPOINT_TERMINATING = 4 };

/* Forty bytes: there are a hundred thousand of these. */
struct endpoint {
    struct address address; /* addresses[0]: the others are not used (discovery/v1 says they are fungible) */
    uint32_t node, zone;    /* interned; 0 when not given */
    uint32_t hint_zones, hint_nodes; /* offset of a list in slice->names; 0 when there are no hints */
    uint32_t target;                 /* offset of the Pod's name in slice->strings; 0 when not given */
    uint8_t flags;                   /* enum endpoint_flag */
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
    const char *strings;   /* NUL-terminated, back to back; strings[0] is "" */
};

struct node {
    const char *name;
    uint32_t zone;   /* interned label topology.kubernetes.io/zone */
    bool is_leaving; /* being deleted, or tainted ToBeDeletedByClusterAutoscaler (KEP-3836) */
    uint32_t address_count, pod_cidr_count;
    const struct address *addresses; /* status.addresses: InternalIP first, then ExternalIP */
    const struct prefix *pod_cidrs;
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
/* True when the list at offset holds the interned name. */
bool slice_list_has(const struct slice *slice, uint32_t offset, uint32_t name);
