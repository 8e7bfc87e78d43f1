/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"

/* UDP has no end of a connection: a client that keeps its port goes on using its conntrack entry, whether the
 * endpoint behind it still serves or not. After UDP services changed, entries to their frontends that point
 * at nobody who serves are deleted, so that the next packet chooses anew. Kept: entries to every endpoint
 * that is ready or still serving while it terminates, whatever the policies, and to sockets of the
 * dataplane's that pass on to such. Frontends without serving endpoints and withdrawn ones are cleared whole
 * (kubernetes#139629, #141371). TCP and SCTP are left to end by themselves. */

struct conntrack_result {
    uint32_t deleted[FAMILY_COUNT];
    bool was_needed; /* false: no change had a UDP port, and the kernel was not asked */
};

int conntrack_reconcile(const struct dataplane *dataplane, const struct dataplane_change *changes,
                        size_t count, const struct dataplane_node *node, struct conntrack_result *ret,
                        struct err *err);

/* Makes the kernel load connection tracking, where it is a module, so that its sysctls are there before the
 * first rule needs it. Nothing comes of it where that cannot be: whoever looks for a sysctl finds out. */
void conntrack_load(void);
