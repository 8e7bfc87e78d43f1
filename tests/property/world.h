/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "dice.h"
#include "store/store.h"
#include "sys/interfaces.h"

/* A small made-up cluster that changes at random: few names, addresses and ports, so that services meet on
 * them often. It is the truth that any number of stores can be filled from, in any order. */

#define WORLD_SERVICES 10
#define WORLD_SLICES 3 /* of each service */
#define WORLD_PORTS 3
#define WORLD_ADDRESSES 3 /* of each kind that a service has */
#define WORLD_ENDPOINTS 6 /* of each slice */
#define WORLD_NODE "node-a"

struct world_port {
    uint8_t protocol;
    uint16_t port, node_port;
};

struct world_service {
    bool exists;
    struct service form; /* its lists and strings are those below */
    struct service_port ports[WORLD_PORTS];
    struct address cluster_ips[2], external_ips[WORLD_ADDRESSES], vips[WORLD_ADDRESSES];
    struct prefix source_ranges[WORLD_ADDRESSES];
};

struct world_endpoint {
    uint8_t address, node, zone_hint, flags; /* zone_hint 0: none */
};

struct world_slice {
    bool exists;
    enum family family;
    uint32_t endpoint_count, port_count;
    uint16_t target_ports[WORLD_PORTS];
    uint8_t protocols[WORLD_PORTS];
    struct world_endpoint endpoints[WORLD_ENDPOINTS];
};

struct world {
    struct dice dice;
    struct world_service services[WORLD_SERVICES];
    struct world_slice slices[WORLD_SERVICES][WORLD_SLICES];
    uint8_t node_zone, cidr_choice;
    struct address interface_list[4];
    struct interface_addresses interfaces; /* its list is the one above */
};

void world_init(struct world *world, uint64_t seed);
/* One random change, in the world and in the store. */
void world_change(struct world *world, struct store *store);
/* Fills an empty store with everything that is there, in an order of its own. */
void world_fill(struct world *world, struct store *store);
/* "ns/s3", into a buffer of its own. */
const char *world_service_name(unsigned service);
struct address world_endpoint_address(enum family family, unsigned number);
