/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "forwarding/view.h"
#include "store/object.h"

/* Endpoint choice: which endpoints of one service port take traffic, and why the others do not. Pure.
 * Follows kube-proxy's CategorizeEndpoints (pkg/proxy/topology.go), KEP-1669 (terminating endpoints),
 * KEP-2433 (zone hints), KEP-3015/4444 (node hints), KEP-2086 (internal traffic policy); and of the time
 * before them KEP-536 (topology keys, Kubernetes 1.17 to 1.21). */

/* Why an endpoint is not in a set; ENDPOINT_IN says that it is. */
enum endpoint_verdict {
    ENDPOINT_IN,                 /* ready and matching */
    ENDPOINT_IN_AS_TERMINATING,  /* taken because nothing ready is there */
    ENDPOINT_NOT_READY,          /* neither ready nor serving while terminating */
    ENDPOINT_NOT_SERVING,        /* terminating and no longer serving */
    ENDPOINT_TERMINATING_UNUSED, /* serving while terminating, but ready ones are there */
    ENDPOINT_OTHER_ZONE,         /* its hints name other zones */
    ENDPOINT_OTHER_NODE,         /* its hints name other nodes */
    ENDPOINT_OTHER_TOPOLOGY,     /* the topology keys leave it out */
    ENDPOINT_NOT_LOCAL,          /* the policy is Local and it is on another node */
    ENDPOINT_SET_UNUSED,         /* no policy of this service uses the set */
};

/* How hints narrow the cluster-wide set, and when they do not, why. */
enum hint_mode {
    HINTS_NODE,              /* every ready endpoint has node hints and one names this node */
    HINTS_ZONE,              /* every ready endpoint has zone hints and one names this zone */
    HINTS_ABSENT,            /* no endpoint has a hint */
    HINTS_INCOMPLETE,        /* some ready endpoint has none: all are used */
    HINTS_ZONE_UNKNOWN,      /* hints are there, but this node has no zone label: all are used */
    HINTS_ZONE_UNSERVED,     /* hints are there, none names this node's zone: all are used */
    HINTS_NO_READY_ENDPOINT, /* nothing ready to narrow */
    HINTS_PASSED_OVER,       /* the service has topology keys, which decide instead */
};

/* How spec.topologyKeys narrows the cluster-wide set. The keys are tried in their order on the endpoints that
 * could take traffic; the first that this node shares with one of them decides. */
enum topology_mode {
    TOPOLOGY_UNUSED,   /* no keys, or externalTrafficPolicy is Local, which excludes them */
    TOPOLOGY_MATCHED,  /* a label's key: endpoints with this node's value alone */
    TOPOLOGY_ANY,      /* the key "*" came first: all of them */
    TOPOLOGY_UNSERVED, /* no key led to anybody: the service has no endpoint for this node */
};

struct candidate {
    const struct endpoint *endpoint;
    const struct slice *slice;
    uint16_t port;
    bool is_local;
    enum endpoint_verdict in_cluster, in_local;
};

struct selection {
    struct candidate *candidates; /* one per address and port, sorted by them; in the arena */
    uint32_t count;
    uint32_t cluster_count, local_count;
    uint32_t local_ready_count;
    enum hint_mode hints;
    enum topology_mode topology;
    uint32_t topology_key; /* index of the service's key that decided; the number of its keys when none did */
    bool has_any; /* somebody could serve, here or elsewhere: an empty local set drops instead of rejecting */
};

/* The endpoints of port (matched by name and protocol, KEP-752) in one family, categorised for node. Result
 * and candidates live in the arena and borrow from the slices. */
struct selection *selection_build(const struct service *service, const struct service_port *port,
                                  enum family family, struct slice *const *slices, uint32_t slice_count,
                                  const struct node_view *node, struct arena *arena);

static inline bool verdict_is_in(enum endpoint_verdict verdict)
{
    return verdict == ENDPOINT_IN || verdict == ENDPOINT_IN_AS_TERMINATING;
}

/* Reachable from outside the cluster by port: a node port, an external IP or a load-balancer VIP. */
bool service_port_is_external(const struct service *service, const struct service_port *port,
                              enum family family);
