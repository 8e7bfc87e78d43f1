/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/rules/words.h"

#include <stdio.h>

bool words_pods(const struct node_view *view, enum family family, bool is_pods, struct words_pods *ret)
{
    const char *not_ = is_pods ? "" : "! ";
    char text[PREFIX_TEXT_MAX];
    *ret = (struct words_pods){0};
    switch (view->local_detect) {
    case LOCAL_DETECT_NONE:
        return false;
    case LOCAL_DETECT_CIDR:
        if (!view->has_cluster_cidr[family])
            return false;
        snprintf(ret->source, sizeof(ret->source), "%s-s %s ", not_,
                 prefix_format(&view->cluster_cidr[family], text));
        return true;
    case LOCAL_DETECT_BRIDGE:
    case LOCAL_DETECT_INTERFACE_PREFIX:
        snprintf(ret->interface, sizeof(ret->interface), "%s-i %s%s ", not_, view->interface,
                 view->local_detect == LOCAL_DETECT_INTERFACE_PREFIX ? "+" : "");
        return true;
    }
    return false;
}

const char *words_unreachable(enum family family)
{
    return family == FAMILY_IPV4 ? "icmp-port-unreachable" : "icmp6-port-unreachable";
}

static bool is_loopback_served(const struct dataplane_node *node, enum family family)
{
    return family == FAMILY_IPV4 && node->has_localhost_node_ports;
}

const char *words_except_loopback(const struct dataplane_node *node, enum family family)
{
    return family == FAMILY_IPV6              ? "! -d ::1/128 "
           : is_loopback_served(node, family) ? ""
                                              : "! -d 127.0.0.0/8 ";
}

bool words_has_node_ports(const struct dataplane_node *node, enum family family,
                          const struct address *address)
{
    return address_family(address) == family &&
           (is_loopback_served(node, family) || !address_is_loopback(address));
}
