/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/iptables/portion.h"
#include "dataplane/rules/layout.h"

/* All that kube-proxy's iptables mode makes in one family. */

/* Beside kube-proxy's chains there is one of our own, FAIRLEAD-CLUSTER-IPS in the filter table, so that this
 * mode's verdicts are those of the others: ports that a service does not have are refused, addresses of the
 * service ranges that nobody has are dropped. Packets to those ranges alone are sent there, and where the
 * ranges are not known (before Kubernetes 1.33) nobody is. And what the node itself sends to addresses
 * without endpoints is refused, too. Both begin at the end of the filter table's KUBE-SERVICES. */
extern const struct own_rules iptables_own_rules;

/* Everything that should be there. PURE; layout_done. */
void layout_build(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                  enum family family, bool is_brief, struct layout *ret);
