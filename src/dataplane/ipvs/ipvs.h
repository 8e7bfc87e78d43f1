/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

/* kube-proxy's IPVS mode: a virtual server for each address and port, ipsets, a constant number of iptables
 * rules, and kube-ipvs0. Promise: the kernel has no transaction over these, so a change comes in steps, in an
 * order in which what is in force meanwhile serves or refuses; a change touches its own virtual servers and
 * set members alone. When a step fails everything is compared again, later. */

extern const struct dataplane_ops ipvs_dataplane;
