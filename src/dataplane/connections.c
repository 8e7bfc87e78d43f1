/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/connections.h"

#include "base/arena.h"
#include "store/intern.h"

#include <stdlib.h>
#include <string.h>

void connections_init(struct connections *connections)
{
    *connections = (struct connections){.services = intern_new()};
}

static void free_pairs(struct connection_pair **pairs)
{
    struct connection_pair *pair, *next;
    HASH_ITER (hh, *pairs, pair, next) {
        HASH_DEL(*pairs, pair);
        free(pair);
    }
}

void connections_done(struct connections *connections)
{
    free_pairs(&connections->by_zone);
    free_pairs(&connections->by_service);
    if (connections->services)
        intern_free(connections->services);
    *connections = (struct connections){0};
}

static bool is_node_port_address(const struct dataplane_node *node, const struct address *address)
{
    for (uint32_t i = 0; i < node->node_port_address_count; i++)
        if (address_cmp(&node->node_port_addresses[i], address) == 0)
            return true;
    return false;
}

/* "namespace/name" of the Service, or NULL. */
static const char *carrier(const struct connections_facts *facts, const struct flow *flow,
                           enum frontend_kind *ret_kind)
{
    struct frontend frontend = {
        .family = flow->family, .address = flow->destination, .port = flow->port, .protocol = flow->protocol};
    const char *owner = claims_winner_kind(facts->claims, &frontend, ret_kind);
    if (owner || !is_node_port_address(facts->node, &flow->destination))
        return owner;
    frontend.address = (struct address){0};
    return claims_winner_kind(facts->claims, &frontend, ret_kind);
}

static bool count(struct connection_pair **pairs, unsigned most, uint32_t service, uint32_t source_zone,
                  uint32_t destination_zone)
{
    struct connection_pair probe, *pair;
    memset(&probe, 0, sizeof(probe));
    probe.key.service = service;
    probe.key.source_zone = source_zone;
    probe.key.destination_zone = destination_zone;
    HASH_FIND(hh, *pairs, &probe.key, sizeof(probe.key), pair);
    if (!pair && HASH_COUNT(*pairs) >= most)
        return false;
    if (!pair) {
        pair = xcalloc(1, sizeof(*pair));
        pair->key = probe.key;
        HASH_ADD(hh, *pairs, key, sizeof(pair->key), pair);
    }
    pair->count++;
    return true;
}

static enum connection_locality locality_of(uint32_t from, uint32_t to)
{
    if (!from || !to)
        return LOCALITY_UNKNOWN_ZONE;
    return from == to ? LOCALITY_SAME_ZONE : LOCALITY_CROSS_ZONE;
}

void connections_add(struct connections *connections, const struct connections_facts *facts,
                     const struct flow *flow)
{
    enum frontend_kind kind = FRONTEND_CLUSTER_IP;
    uint32_t from = 0, to = 0;
    const char *owner = carrier(facts, flow, &kind);
    if (!owner)
        return;
    if (!places_find(facts->places, &flow->source, &from) && kind == FRONTEND_CLUSTER_IP)
        from = facts->node->view->zone;
    places_find(facts->places, &flow->answerer, &to);
    connections->by_locality[locality_of(from, to)]++;
    if (!count(&connections->by_zone, CONNECTIONS_ZONE_PAIRS_MAX, 0, from, to))
        connections->left_out++;
    if (!count(&connections->by_service, CONNECTIONS_SERVICE_PAIRS_MAX,
               intern_id(connections->services, owner), from, to))
        connections->left_out_of_services++;
}

static int pair_cmp(const struct intern *names, const struct connection_pair *a,
                    const struct connection_pair *b)
{
    int by = strcmp(intern_text(names, a->key.source_zone), intern_text(names, b->key.source_zone));
    if (by == 0)
        by = strcmp(intern_text(names, a->key.destination_zone), intern_text(names, b->key.destination_zone));
    return by;
}

void connections_sort(struct connections *connections, const struct intern *names)
{
    /* uthash hands nothing to its comparison but the two. */
#define BY_NAME(a, b) pair_cmp(names, (a), (b))
    HASH_SORT(connections->by_zone, BY_NAME);
#undef BY_NAME
}
