/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/userspace/portals_change.h"
#include "dataplane/userspace/relay.h"

/* Every service that the proxy serves, with its sockets: for each service port and family one for the
 * endpoints of the policy Cluster and one for those of Local, as far as there are such; and one that holds
 * the number of each node port, so that nobody else takes it and `ss` shows it. */

struct service_socket;

struct services {
    struct relay *relay;
    struct proxied *list;    /* the one whose rules changed last is the last */
    struct server **retired; /* wait for rules that do not lead to them any more */
    uint32_t retired_count, retired_capacity;
    uint64_t round; /* of loads */
};

/* Makes these services the only ones. -errno when a socket cannot be opened; then some are changed. */
int services_load(struct services *services, const struct dataplane_node *node,
                  const struct entry *const *entries, size_t count, struct err *err);
/* What of the rules is other than before is added to change (NULL: nobody needs it). */
int services_put(struct services *services, const struct dataplane_node *node, const struct entry *entry,
                 struct portals_change *change, struct err *err);
void services_remove(struct services *services, const char *name, struct portals_change *change);
/* The rules are in force: sockets that no service needs are closed. */
void services_retire(struct services *services);
void services_done(struct services *services);

/* In the order that portals_change makes. */
void services_layout(const struct services *services, enum family family, struct layout *layout);
/* The same of entries that nobody serves, with numbers from 1 on for the sockets' ports. PURE. */
void services_layout_planned(const struct entry *const *entries, size_t count,
                             const struct dataplane_node *node, enum family family, struct layout *layout);
/* A line for each of these sockets: whom it passes on to. PURE. */
void services_describe_planned(const struct entry *const *entries, size_t count, struct text *ret);
/* In words; 0 when the socket has what the frontend says, else 1. */
int services_inspect(const struct services *services, const struct entry *entry,
                     const struct frontend *frontend, struct text *ret);
