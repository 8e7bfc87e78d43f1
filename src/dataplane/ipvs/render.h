/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/text.h"
#include "dataplane/ipvs/plan.h"

/* The text of what services make of the kernel, each part as its own program prints it: the addresses of
 * kube-ipvs0, virtual servers as ipvsadm -Ln, sets as ipset save, rules as iptables-save. PURE. */
void render_ipvs(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                 struct text *ret);

/* One virtual server with its real servers, which leave off the counts of connections. PURE. */
void render_server(const struct planned_server *server, const char *scheduler, struct text *ret);
