/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/subsets.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* A thing where it stands, and the number of all that are equal to it. */
struct item {
    const void *message; /* NULL: the port of a subset that has none */
    uint32_t place, id;
};
struct item_list {
    struct item *items; /* by place */
    const void **by_id; /* the first of each id */
    uint32_t count, distinct;
};
struct pair {
    uint32_t port, address;
    bool is_ready;
};
struct pair_list {
    struct pair *pairs;
    size_t count, dropped;
};
/* The pairs of one port. */
struct run {
    const struct pair *pairs;
    size_t count;
    unsigned long long hash;
    bool is_done;
};

static int cmp_numbers(long long a, long long b)
{
    return (a > b) - (a < b);
}

static const char *uid_of(const Core__EndpointAddress *address)
{
    return address->targetref ? api_text(address->targetref->uid) : "";
}

static int cmp_addresses(const void *a, const void *b)
{
    const Core__EndpointAddress *left = a, *right = b;
    int order = strcmp(api_text(left->ip), api_text(right->ip));
    return order ? order : strcmp(uid_of(left), uid_of(right));
}

static int cmp_ports(const void *a, const void *b)
{
    const Core__EndpointPort *left = a, *right = b;
    if (!left || !right)
        return cmp_numbers(left != NULL, right != NULL);
    int order = strcmp(api_text(left->name), api_text(right->name));
    if (order == 0)
        order = cmp_numbers(left->port, right->port);
    if (order == 0)
        order = strcmp(api_text(left->protocol), api_text(right->protocol));
    return order ? order : text_cmp(left->appprotocol, right->appprotocol);
}

typedef int cmp_messages_fn(const void *a, const void *b);

static int cmp_items(const void *a, const void *b, void *context)
{
    const struct item *left = a, *right = b;
    cmp_messages_fn *const *cmp = context;
    int order = (*cmp)(left->message, right->message);
    return order ? order : cmp_numbers(left->place, right->place);
}

static int cmp_places(const void *a, const void *b)
{
    return cmp_numbers(((const struct item *)a)->place, ((const struct item *)b)->place);
}

/* Numbers the distinct ones in their order. */
static void number(struct item_list *list, cmp_messages_fn *cmp, struct arena *arena)
{
    list->by_id = arena_array(arena, const void *, list->count);
    if (list->count == 0)
        return;
    qsort_r(list->items, list->count, sizeof(*list->items), cmp_items, &cmp);
    for (uint32_t i = 0; i < list->count; i++) {
        struct item *item = &list->items[i];
        if (i == 0 || cmp(item->message, list->items[i - 1].message) != 0)
            list->by_id[list->distinct++] = item->message;
        item->id = list->distinct - 1;
    }
    qsort(list->items, list->count, sizeof(*list->items), cmp_places);
}

static void add(struct item_list *list, const void *message)
{
    list->items[list->count] = (struct item){.message = message, .place = list->count};
    list->count++;
}

static void add_pair(struct pair_list *list, uint32_t port, uint32_t address, bool is_ready)
{
    if (list->count == SUBSETS_PAIRS_MAX)
        list->dropped++;
    else
        list->pairs[list->count++] = (struct pair){port, address, is_ready};
}

static size_t port_room(const Core__EndpointSubset *subset)
{
    return subset->n_ports ? subset->n_ports : 1;
}

static size_t count_pairs(const Core__Endpoints *endpoints)
{
    size_t total = 0;
    for (size_t i = 0; i < endpoints->n_subsets && total < SUBSETS_PAIRS_MAX; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        total += (subset->n_addresses + subset->n_notreadyaddresses) * port_room(subset);
    }
    return total < SUBSETS_PAIRS_MAX ? total : SUBSETS_PAIRS_MAX;
}

static void collect(const Core__Endpoints *endpoints, struct item_list *ports, struct item_list *addresses,
                    struct arena *arena)
{
    size_t port_count = 0, address_count = 0;
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        port_count += port_room(endpoints->subsets[i]);
        address_count += endpoints->subsets[i]->n_addresses + endpoints->subsets[i]->n_notreadyaddresses;
    }
    ports->items = arena_array(arena, struct item, port_count);
    addresses->items = arena_array(arena, struct item, address_count);
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        for (size_t j = 0; j < subset->n_ports; j++)
            add(ports, subset->ports[j]);
        if (subset->n_ports == 0)
            add(ports, NULL);
        for (size_t j = 0; j < subset->n_addresses; j++)
            add(addresses, subset->addresses[j]);
        for (size_t j = 0; j < subset->n_notreadyaddresses; j++)
            add(addresses, subset->notreadyaddresses[j]);
    }
    number(ports, cmp_ports, arena);
    number(addresses, cmp_addresses, arena);
}

/* Every port of a subset with every address of it; the room is that of count_pairs. */
static void expand(const Core__Endpoints *endpoints, const struct item_list *ports,
                   const struct item_list *addresses, struct pair_list *ret)
{
    const struct item *port = ports->items, *address = addresses->items;
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        size_t room = port_room(subset), count = subset->n_addresses + subset->n_notreadyaddresses;
        for (size_t j = 0; j < room; j++) {
            if (ret->count == SUBSETS_PAIRS_MAX)
                ret->dropped += count;
            else
                for (size_t k = 0; k < count; k++)
                    add_pair(ret, port[j].id, address[k].id, k < subset->n_addresses);
        }
        port += room;
        address += count;
    }
}

static int cmp_pairs(const void *a, const void *b)
{
    const struct pair *left = a, *right = b;
    int order = cmp_numbers(left->port, right->port);
    if (order == 0)
        order = cmp_numbers(left->address, right->address);
    return order ? order : cmp_numbers(left->is_ready, right->is_ready);
}

/* Sorts; of one port and one address the pair that is not ready stays. */
static void settle(struct pair_list *list)
{
    size_t kept = 0;
    if (list->count)
        qsort(list->pairs, list->count, sizeof(*list->pairs), cmp_pairs);
    for (size_t i = 0; i < list->count; i++) {
        const struct pair *last = kept ? &list->pairs[kept - 1] : NULL;
        if (!last || last->port != list->pairs[i].port || last->address != list->pairs[i].address)
            list->pairs[kept++] = list->pairs[i];
    }
    list->count = kept;
}

static bool is_same_run(const struct run *a, const struct run *b)
{
    if (a->hash != b->hash || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->pairs[i].address != b->pairs[i].address || a->pairs[i].is_ready != b->pairs[i].is_ready)
            return false;
    return true;
}

static size_t find_runs(const struct pair_list *list, struct run *runs)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct pair *pair = &list->pairs[i];
        if (i == 0 || pair->port != list->pairs[i - 1].port)
            runs[count++] = (struct run){.pairs = pair};
        struct run *run = &runs[count - 1];
        uint32_t content[2] = {pair->address, pair->is_ready};
        run->hash = hash_bytes(run->hash, content, sizeof(content));
        run->count++;
    }
    return count;
}

static void fill(struct subset *subset, const struct run *run, const struct item_list *addresses,
                 struct arena *arena)
{
    subset->addresses = arena_array(arena, struct subset_address, run->count);
    for (int is_ready = 1; is_ready >= 0; is_ready--)
        for (size_t i = 0; i < run->count; i++)
            if (run->pairs[i].is_ready == is_ready)
                subset->addresses[subset->address_count++] =
                    (struct subset_address){addresses->by_id[run->pairs[i].address], is_ready};
}

static int cmp_runs(const void *a, const void *b)
{
    const struct run *left = *(struct run *const *)a, *right = *(struct run *const *)b;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return cmp_numbers(left->pairs->port, right->pairs->port);
}

static int cmp_subsets(const void *a, const void *b)
{
    const struct subset *left = a, *right = b;
    return cmp_ports(left->port_count ? left->ports[0] : NULL, right->port_count ? right->ports[0] : NULL);
}

/* Gives the subset that the first of count runs of one hash begins, and those that are equal to it. */
static void merge(struct run **runs, size_t count, const struct item_list *ports,
                  const struct item_list *addresses, struct arena *arena, struct subset *ret)
{
    ret->ports = arena_array(arena, const Core__EndpointPort *, count);
    for (size_t i = 0; i < count; i++) {
        if (runs[i]->is_done || !is_same_run(runs[0], runs[i]))
            continue;
        runs[i]->is_done = true;
        if (ports->by_id[runs[i]->pairs->port])
            ret->ports[ret->port_count++] = ports->by_id[runs[i]->pairs->port];
    }
    fill(ret, runs[0], addresses, arena);
}

struct subset *subsets_repack(const Core__Endpoints *endpoints, struct arena *arena, size_t *ret_count,
                              size_t *ret_dropped)
{
    struct item_list ports = {0}, addresses = {0};
    struct pair_list pairs = {.pairs = arena_array(arena, struct pair, count_pairs(endpoints))};
    size_t count = 0, end = 0;
    collect(endpoints, &ports, &addresses, arena);
    expand(endpoints, &ports, &addresses, &pairs);
    settle(&pairs);
    struct run *runs = arena_array(arena, struct run, ports.distinct);
    struct run **order = arena_array(arena, struct run *, ports.distinct);
    size_t run_count = find_runs(&pairs, runs);
    struct subset *subsets = arena_array(arena, struct subset, run_count);
    for (size_t i = 0; i < run_count; i++)
        order[i] = &runs[i];
    if (run_count)
        qsort(order, run_count, sizeof(*order), cmp_runs);
    for (size_t i = 0; i < run_count; i++) {
        while (end < run_count && order[end]->hash == order[i]->hash)
            end++;
        if (!order[i]->is_done)
            merge(order + i, end - i, &ports, &addresses, arena, &subsets[count++]);
    }
    if (count)
        qsort(subsets, count, sizeof(*subsets), cmp_subsets);
    *ret_count = count;
    *ret_dropped = pairs.dropped;
    return subsets;
}
