/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"
#include "dataplane/rules/layout.h"

/* How packets come to the proxy: the rules that lead what is sent to a service's addresses to its listening
 * sockets, in chains of kube-proxy's userspace mode (pkg/proxy/userspace/proxier.go of 1.21; section B), and
 * what is refused. All policies are settled here, by which of a service port's two sockets a packet is led
 * to. PURE. */

extern const struct own_rules portals_own_rules;

enum portal_chain {
    PORTAL_CONTAINER,      /* nat KUBE-PORTALS-CONTAINER: from PREROUTING */
    PORTAL_HOST,           /* nat KUBE-PORTALS-HOST: from OUTPUT */
    PORTAL_NODE_CONTAINER, /* nat KUBE-NODEPORT-CONTAINER, from the end of the first */
    PORTAL_NODE_HOST,      /* nat KUBE-NODEPORT-HOST, from the end of the second */
    PORTAL_SERVERS, /* filter KUBE-NODEPORT-NON-LOCAL: what was led to a socket comes in, nothing else */
    PORTAL_REFUSED, /* filter FAIRLEAD-PORTALS: addresses without endpoints, without such a port */
    PORTAL_CHAIN_COUNT
};

/* What one service is in all chains: rules as iptables-save prints them after "-A CHAIN ", a line each. Start
 * from {0}. */
struct portals {
    struct text rules[FAMILY_COUNT][PORTAL_CHAIN_COUNT];
};

/* The sockets of a service. */
struct portal_sockets {
    /* Where the endpoints of a policy are served, 0: nowhere. */
    uint16_t (*port_of)(void *context, enum family family, uint32_t port_index, bool is_local);
    /* Whether the number of this node port is held by a listening socket, which nobody serves. */
    bool (*is_held)(void *context, const struct frontend *frontend);
    void *context;
};

void portals_build(const struct entry *entry, const struct dataplane_node *node,
                   const struct portal_sockets *sockets, struct portals *ret);
void portals_done(struct portals *portals);
bool portals_is_same(const struct portals *a, const struct portals *b);

enum layout_table portals_chain_table(enum portal_chain chain);
const char *portals_chain_name(enum portal_chain chain);

/* Begins a layout with what is there without any service; then add them, then end it. layout_done. */
void portals_layout_begin(struct layout *ret);
void portals_layout_add(struct layout *layout, enum family family, const struct portals *portals);
void portals_layout_end(struct layout *layout, enum family family, const struct dataplane_node *node);
