/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/iptables/layout.h"

/* How many rules there are in kube-proxy's chains, by table, as its metrics count them: jumps from the
 * kernel's own chains are not among them. All PURE; the counts are added to ret. */

void count_layout(const struct layout *layout, uint64_t ret[DATAPLANE_TABLE_COUNT]);
void count_portion(const struct portion *portion, uint64_t ret[DATAPLANE_TABLE_COUNT]);
/* Rules that an input of iptables-restore writes or takes out. */
void count_input(const char *input, uint64_t ret[DATAPLANE_TABLE_COUNT]);
