/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/places.h"

#include "base/arena.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

struct place {
    struct address address; /* unset: a free slot */
    uint32_t zone;
};

struct range {
    struct prefix prefix;
    uint32_t zone;
};

struct places {
    struct place *slots; /* open addressing: a hundred thousand are made anew for each count */
    uint32_t mask;
    struct range *ranges; /* sorted by their first address */
    uint32_t range_count;
};

/* Two multiplications instead of hash_bytes' sixteen: most of the time of a count of few connections. */
static uint32_t hash(const struct address *address)
{
    uint64_t halves[2], mixed;
    memcpy(halves, address->bytes, sizeof(halves));
    mixed = halves[0] ^ halves[1] * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(mixed ^ mixed >> 32);
}

static struct place *slot_of(const struct places *places, const struct address *address)
{
    uint32_t at = hash(address) & places->mask;
    while (address_is_set(&places->slots[at].address) &&
           address_cmp(&places->slots[at].address, address) != 0)
        at = (at + 1) & places->mask;
    return &places->slots[at];
}

/* The first to tell a zone is believed. */
static void put(struct places *places, const struct address *address, uint32_t zone)
{
    struct place *place = slot_of(places, address);
    place->address = *address;
    if (!place->zone)
        place->zone = zone;
}

static uint32_t zone_of(const struct store *store, const struct endpoint *endpoint)
{
    if (endpoint->zone || !endpoint->node)
        return endpoint->zone;
    const struct node *node = store_node_find(store, intern_text(store->names, endpoint->node));
    return node ? node->zone : 0;
}

static void put_endpoints(struct places *places, const struct store *store)
{
    for (const struct slice_record *record = store->slices; record; record = record->hh.next)
        for (uint32_t i = 0; i < record->slice->endpoint_count; i++)
            put(places, &record->slice->endpoints[i].address, zone_of(store, &record->slice->endpoints[i]));
}

static void put_nodes(struct places *places, const struct store *store)
{
    for (const struct node_record *record = store->nodes; record; record = record->hh.next) {
        const struct node *node = record->node;
        for (uint32_t i = 0; i < node->address_count; i++)
            put(places, &node->addresses[i], node->zone);
        for (uint32_t i = 0; i < node->pod_cidr_count; i++)
            places->ranges[places->range_count++] =
                (struct range){.prefix = node->pod_cidrs[i], .zone = node->zone};
    }
}

static int range_cmp(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    int order = address_cmp(&x->prefix.address, &y->prefix.address);
    return order ? order : (int)x->prefix.len - (int)y->prefix.len;
}

struct places *places_new(const struct node_view *node, const struct address *own, uint32_t own_count)
{
    const struct store *store = node->store;
    size_t count = own_count, ranges = 0;
    for (const struct slice_record *record = store->slices; record; record = record->hh.next)
        count += record->slice->endpoint_count;
    for (const struct node_record *record = store->nodes; record; record = record->hh.next) {
        count += record->node->address_count;
        ranges += record->node->pod_cidr_count;
    }
    struct places *places = xcalloc(1, sizeof(*places));
    size_t capacity = 16;
    while (capacity < count + count / 2)
        capacity *= 2;
    places->mask = (uint32_t)(capacity - 1);
    places->slots = xcalloc(capacity, sizeof(*places->slots));
    places->ranges = xcalloc(ranges, sizeof(*places->ranges));
    for (uint32_t i = 0; i < own_count; i++)
        put(places, &own[i], node->zone);
    put_endpoints(places, store);
    put_nodes(places, store);
    if (places->range_count > 1)
        qsort(places->ranges, places->range_count, sizeof(*places->ranges), range_cmp);
    return places;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    free(places->slots);
    free(places->ranges);
    free(places);
}

bool places_find(const struct places *places, const struct address *address, uint32_t *ret_zone)
{
    const struct place *place = slot_of(places, address);
    if (address_is_set(&place->address)) {
        *ret_zone = place->zone;
        return true;
    }
    uint32_t low = 0, high = places->range_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (address_cmp(&places->ranges[middle].prefix.address, address) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !prefix_contains(&places->ranges[low - 1].prefix, address))
        return false;
    *ret_zone = places->ranges[low - 1].zone;
    return true;
}
