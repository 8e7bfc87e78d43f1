/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"
#include "dataplane/rules/layout.h"

/* The iptables rules of this mode: of constant number, whatever services there are, because they ask sets.
 * Chains, comments and their order are kube-proxy's (pkg/proxy/ipvs/proxier.go; section A10), but for the
 * rules that it writes only while a set has members, which are always there; "fairlead" stands in the names
 * or comments of what is ours. PURE. */

extern const struct own_rules frame_own_rules;
/* layout_done. */
void frame_build(const struct dataplane_node *node, enum family family, struct layout *ret);
