/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/ipvs/ipset.h"

/* The ipsets of this mode: kube-proxy's (pkg/proxy/ipvs/ipset.go; section A10 of the catalogue), and three of
 * our own for what virtual servers cannot say. The rules that ask for them are in frame.h. */

enum set_name {
    SET_LOOP_BACK, /* endpoints that may meet themselves: their own connections are masqueraded */
    SET_CLUSTER_IP,
    SET_EXTERNAL_IP,
    SET_EXTERNAL_IP_LOCAL, /* externalTrafficPolicy Local, as all that say LOCAL: the source is kept */
    SET_LOAD_BALANCER,
    SET_LOAD_BALANCER_LOCAL,
    SET_LOAD_BALANCER_FW, /* with source ranges */
    SET_LOAD_BALANCER_SOURCE_IP,
    SET_LOAD_BALANCER_SOURCE_CIDR,
    SET_NODE_PORT_TCP,
    SET_NODE_PORT_LOCAL_TCP,
    SET_NODE_PORT_UDP,
    SET_NODE_PORT_LOCAL_UDP,
    SET_NODE_PORT_SCTP,
    SET_NODE_PORT_LOCAL_SCTP,
    SET_HEALTH_CHECK_NODE_PORT,
    SET_IPVS_IPS, /* what kube-ipvs0 carries */
    SET_INSIDE,   /* ours: the mark for pods and the node itself, where they have other endpoints */
    SET_SELF,     /* ours: the mark for the node itself, where clients stick to an endpoint */
    SET_DROP,     /* ours: nobody here may serve it, though somebody elsewhere could */
    SET_NAME_COUNT
};

/* "KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP". The name lives for ever. */
struct ipset catalog_set(enum set_name name, enum family family);
/* What a rule that asks for it says about it. */
const char *catalog_comment(enum set_name name);
