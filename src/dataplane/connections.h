/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dataplane/dataplane.h"
#include "dataplane/flows.h"
#include "forwarding/claims.h"
#include "forwarding/places.h"

#include <uthash.h>

/* Which zones the connections come from and go to that this node's Services carry. Pure: flows go in.
 *
 * A connection to a cluster IP is sent to its endpoint where it begins, so a source that nobody knows is one
 * of this node's own: its zone is the node's. To node ports and the other addresses anybody may come: there
 * the zone of an unknown source is unknown. */

/* Caps, so that neither the page nor the memory grows with what somebody else writes into slices. */
#define CONNECTIONS_ZONE_PAIRS_MAX 1000
#define CONNECTIONS_SERVICE_PAIRS_MAX 50000

struct connection_pair {
    struct {
        uint32_t service;                       /* in connections.services; 0: all of them */
        uint32_t source_zone, destination_zone; /* interned by the store; 0: unknown */
    } key;
    uint64_t count;
    UT_hash_handle hh;
};

/* Both zones known and equal, known and not equal, or one of them not known. */
enum connection_locality { LOCALITY_SAME_ZONE, LOCALITY_CROSS_ZONE, LOCALITY_UNKNOWN_ZONE };
#define LOCALITY_COUNT 3

struct connections {
    uint64_t by_locality[LOCALITY_COUNT];    /* everything that is counted, beyond the caps too */
    struct connection_pair *by_zone;         /* service is 0 */
    struct connection_pair *by_service;      /* may lack what by_zone has: left_out_of_services */
    struct intern *services;                 /* "namespace/name" */
    uint64_t left_out, left_out_of_services; /* beyond the caps */
};

/* What connections are judged by; borrowed for each call, so that claims and node may change between two. */
struct connections_facts {
    const struct claims *claims;
    const struct dataplane_node *node;
    const struct places *places;
};

void connections_init(struct connections *connections);
void connections_done(struct connections *connections);
/* Counts the flow if a Service of facts carries it. */
void connections_add(struct connections *connections, const struct connections_facts *facts,
                     const struct flow *flow);
/* by_zone by the zones' names, which are the store's: a page reads the same each time. */
void connections_sort(struct connections *connections, const struct intern *names);
