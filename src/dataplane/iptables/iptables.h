/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/iptables/layout.h"

/* kube-proxy's iptables mode, by the programs iptables-save and iptables-restore of either backend. Promise:
 * each table changes whole or not at all; where several are in one change, they come in an order in which
 * what is in force meanwhile serves or refuses, and never leaks. */

extern const struct dataplane_ops iptables_dataplane;
