/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "daemon/options.h"
#include "dataplane/dataplane.h"
#include "store/store.h"
#include "sys/interfaces.h"

/* What the daemon knows of its own node, put together from the flags, the node's object and its interfaces.
 * Pure but for the interned names. One heap block's worth of lists hang on it: node_done. */
struct node_facts {
    struct node_view view;
    struct dataplane_node dataplane; /* points into this struct */
    struct address *node_ips, *node_port_addresses, *node_addresses;
    struct prefix *service_cidrs;
    bool is_every_address[FAMILY_COUNT]; /* nothing narrows node ports: servers may listen on 0.0.0.0 or :: */
    bool is_eligible;                    /* for load balancers' health checks: not about to leave */
};

void node_build(const struct options *options, struct store *store,
                const struct interface_addresses *interfaces, struct node_facts *ret);
void node_done(struct node_facts *facts);
/* Whether node ports that answer on these ranges, or on the node's primary addresses, answer on 127.0.0.1
 * too. Without a range of IPv4 nothing narrows that family (pkg/proxy/util/nodeport_addresses.go). PURE. */
bool node_ports_have_loopback(bool is_primary, const struct prefix *cidrs, size_t count);
/* A change of either means that every entry and the whole table are made anew. */
bool node_is_same(const struct node_facts *a, const struct node_facts *b);
