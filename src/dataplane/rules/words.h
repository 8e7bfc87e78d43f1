/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

/* What the rules of several modes say alike, as iptables-save prints it. PURE. */

/* The match for packets of this node's pods. One of the two is empty, the other ends in a blank: a rule's
 * source stands before its destination, its interface behind that. */
struct words_pods {
    char source[PREFIX_TEXT_MAX + 8]; /* "-s 10.244.0.0/16 " */
    char interface[IFNAMSIZ + 8];     /* "-i veth+ " */
};
/* Of the pods, or of anybody else ("! -s 10.244.0.0/16 "). False, and both empty, when the node has no way to
 * tell them. */
bool words_pods(const struct node_view *view, enum family family, bool is_pods, struct words_pods *ret);

/* What REJECT is to answer with. */
const char *words_unreachable(enum family family);

/* Node ports are served at loopback addresses only where route_localnet makes it work, which IPv6 does not
 * have. What a rule for all local addresses leaves out ("! -d ::1/128 "), or "". */
const char *words_except_loopback(const struct dataplane_node *node, enum family family);
/* Whether one of the node's addresses for node ports is to have a rule in the family. */
bool words_has_node_ports(const struct dataplane_node *node, enum family family,
                          const struct address *address);
