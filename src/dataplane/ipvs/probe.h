/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "net/address.h"

/* Whether this machine can do mode ipvs: iptables, ipsets, IPVS, dummy interfaces. Loads the modules that it
 * asks for where they are not. 0, or -errno with the reason. */
int probe_ipvs(struct err *err);
/* Whether the kernel has the family and it is not switched off (net.ipv6.conf.all.disable_ipv6). */
bool probe_has_family(enum family family);
