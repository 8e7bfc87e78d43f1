/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

/* The names that kube-proxy's iptables mode gives to chains of services and endpoints: a prefix and 16
 * characters of a hash (pkg/proxy/iptables/proxier.go, portProtoHash; section A10 of the catalogue). */

#define CHAIN_NAME_MAX 29 /* what the kernel allows, with the NUL */

enum service_chain {
    SERVICE_CHAIN_CLUSTER,  /* KUBE-SVC-: the endpoints of the policy Cluster */
    SERVICE_CHAIN_LOCAL,    /* KUBE-SVL-: those of the policy Local */
    SERVICE_CHAIN_EXTERNAL, /* KUBE-EXT-: what comes in from outside */
    SERVICE_CHAIN_FIREWALL, /* KUBE-FW-: load-balancer source ranges */
    SERVICE_CHAIN_COUNT
};

/* port_name is "namespace/name:port", "namespace/name" of a port without a name. Returns buffer. */
const char *chain_name_service(enum service_chain chain, const char *port_name, enum protocol protocol,
                               char buffer[CHAIN_NAME_MAX]);
/* endpoint is "10.0.0.1:80" or "[fd00::1]:80". Returns buffer. */
const char *chain_name_endpoint(const char *port_name, enum protocol protocol, const char *endpoint,
                                char buffer[CHAIN_NAME_MAX]);
/* Whether a chain with this name belongs to one service, and so goes when no service needs it. */
bool chain_name_is_of_service(const char *name);
