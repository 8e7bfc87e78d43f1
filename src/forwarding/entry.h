/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "forwarding/select.h"

/* The forwarding entry: everything a dataplane needs to know about one Service, both families. Everything
 * before it builds it, everything after it reads it. One heap block without pointers out of it, freed with
 * free(). */

struct backend {
    struct address address;
    uint16_t port;
};

struct backend_set {
    uint32_t count;
    struct backend *list; /* no duplicates; the order is the slot order, see entry_keep_slots */
};

enum frontend_kind { FRONTEND_CLUSTER_IP, FRONTEND_EXTERNAL_IP, FRONTEND_LOAD_BALANCER, FRONTEND_NODE_PORT };

/* What happens to a new connection. A frontend that forwards may have an empty set: then the packet is
 * dropped. */
enum frontend_verdict {
    FRONTEND_FORWARD,
    FRONTEND_REJECT, /* nobody could serve it anywhere, or nobody whom the topology keys allow */
    FRONTEND_DROP,   /* somebody could, but the policy leaves nobody here */
};

/* Whose source address is replaced by the node's. Hairpin connections always are. */
enum masquerade {
    MASQUERADE_NONE,
    MASQUERADE_ALWAYS,
    MASQUERADE_OFF_CLUSTER,   /* sources that the local detector does not know */
    MASQUERADE_LOCAL_SOURCES, /* the node's own addresses alone */
};

struct frontend {
    enum frontend_kind kind;
    enum family family;
    enum frontend_verdict verdict;
    enum masquerade masquerade;
    struct address address; /* unset for a node port: the dataplane knows the node's addresses */
    uint16_t port;
    uint8_t protocol;
    bool short_circuits;   /* pods and the node itself use shortcut instead (externalTrafficPolicy: Local) */
    bool is_source_ranged; /* only the entry's source ranges may come in */
    bool is_local;         /* backends is the set that a policy of Local leaves */
    bool is_shadowed;      /* another service has the same frontend and goes first, see claims.h */
    bool is_topology_unserved; /* rejected because no topology key leads to an endpoint, though there are some
                                */
    uint32_t port_index;       /* in service->ports */
    uint32_t affinity_seconds;
    const struct backend_set *backends, *shortcut; /* shortcut is set only with short_circuits */
};

/* What UDP flows of one service port may still point at: every endpoint that serves, whatever the policies.
 */
struct serving_set {
    enum family family;
    uint32_t port_index;
    struct backend_set backends;
};

struct entry {
    char *name;        /* "namespace/name" */
    char **port_names; /* "namespace/name:port/protocol" by port index: what affinity is keyed by */
    uint32_t port_count, frontend_count, set_count, serving_count;
    uint32_t cluster_ip_count, hairpin_count, source_range_count;
    struct frontend *frontends;
    struct backend_set *sets;
    struct serving_set *serving; /* UDP ports alone */
    struct address *cluster_ips;
    struct address *hairpins;        /* endpoints whose own traffic may come back to them through this node */
    struct prefix *source_ranges;    /* none inside another */
    uint16_t health_check_node_port; /* 0: none */
    uint32_t local_endpoint_count[FAMILY_COUNT]; /* distinct addresses of local ready endpoints */
    uint32_t endpoint_count;                     /* distinct endpoints over all ports and families */
    bool has_empty_internal_local[FAMILY_COUNT]; /* internalTrafficPolicy Local with nobody here */
    bool has_empty_external_local[FAMILY_COUNT];
};

/* Pure. NULL when the service is not proxied. The block is the caller's; scratch holds nothing of it
 * afterwards. */
struct entry *entry_build(const struct service *service, struct slice *const *slices, uint32_t slice_count,
                          const struct node_view *node, struct arena *scratch);

/* Reorders next's backends (fresh from entry_build) so that those which stay keep the slot that they have in
 * old: then a change of one endpoint writes one slot, whatever their number. The choice is uniform, so the
 * order means nothing else. Pure; old may be NULL. */
void entry_keep_slots(const struct entry *old, struct entry *next, struct arena *scratch);

/* The set that a frontend's packets from elsewhere use; NULL when it does not forward. */
static inline const struct backend_set *frontend_set(const struct frontend *frontend)
{
    return frontend->verdict == FRONTEND_FORWARD ? frontend->backends : NULL;
}
const char *frontend_kind_name(enum frontend_kind kind); /* "ClusterIP" */
