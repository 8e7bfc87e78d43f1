/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"
#include "dataplane/rules/layout.h"

/* How many rules there are in a mode's own chains, by table, as kube-proxy's metrics count them: jumps from
 * the kernel's own chains are not among them. PURE; the counts are added to ret. */

void count_layout(const struct layout *layout, uint64_t ret[DATAPLANE_TABLE_COUNT]);
/* Rules that an input of iptables-restore writes or takes out. */
void count_input(const char *input, uint64_t ret[DATAPLANE_TABLE_COUNT]);
