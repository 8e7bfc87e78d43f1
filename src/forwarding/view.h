/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

#include <net/if.h>

/* How a packet is known to come from a pod of this node (KEP-2450). */
enum local_detect {
    LOCAL_DETECT_NONE, /* nothing configured: no source counts as local */
    LOCAL_DETECT_CIDR,
    LOCAL_DETECT_BRIDGE,           /* comes in by the bridge of this name */
    LOCAL_DETECT_INTERFACE_PREFIX, /* comes in by an interface whose name begins so */
};

struct store;

/* What forwarding and the dataplanes know about this node; the same for every service. A value: the daemon
 * makes a new one when something in it changes, and marks every service dirty. Labels of nodes are looked up,
 * and their change marks the services that have topology keys. */
struct node_view {
    uint32_t name, zone;       /* interned; 0 when unknown */
    const struct store *store; /* the Node objects and the interned names; NULL: no Node is known */
    bool masquerade_all;
    bool has_family[FAMILY_COUNT];
    enum local_detect local_detect;
    bool has_cluster_cidr[FAMILY_COUNT];
    struct prefix cluster_cidr[FAMILY_COUNT]; /* with LOCAL_DETECT_CIDR */
    char interface[IFNAMSIZ];                 /* bridge name or prefix */
    const struct address *node_ips;           /* the Node object's, for load-balancer source ranges */
    uint32_t node_ip_count;
};
