/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include "base/cleanup.h"
#include "base/slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const zones[] = {"", "east", "west"};
static const char *const nodes[] = {"", WORLD_NODE, "node-b"};
static const char *const port_names[WORLD_PORTS] = {"one", "two", "three"};
static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};

static char *service_name(unsigned service)
{
    static char names[WORLD_SERVICES][8];
    snprintf(names[service], sizeof(names[service]), "s%u", service);
    return names[service];
}

const char *world_service_name(unsigned service)
{
    static char name[16];
    snprintf(name, sizeof(name), "ns/%s", service_name(service));
    return name;
}

static struct address numbered(enum family family, const char *v4, const char *v6, unsigned number)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    snprintf(text, sizeof(text), family == FAMILY_IPV4 ? v4 : v6, number);
    if (address_parse(text, &address, NULL) < 0)
        abort();
    return address;
}

static struct address cluster_ip(enum family family, unsigned number)
{
    return numbered(family, "10.96.0.%u", "fd96::%x", number + 1);
}

/* Shared by all services; the last one is some service's cluster IP as well. */
static struct address outside(enum family family, unsigned number)
{
    return number == 4 ? cluster_ip(family, 3) : numbered(family, "192.0.2.%u", "2001:db8::%x", number + 1);
}

struct address world_endpoint_address(enum family family, unsigned number)
{
    return numbered(family, "10.0.0.%u", "fd00::%x", number + 1);
}

static enum family any_family(struct dice *dice)
{
    return dice_below(dice, 3) ? FAMILY_IPV4 : FAMILY_IPV6;
}

static void choose_cluster_ips(struct world *world, unsigned number)
{
    struct dice *dice = &world->dice;
    struct world_service *service = &world->services[number];
    /* Seldom, two services have the same one. */
    unsigned which = dice_one_in(dice, 12) ? dice_below(dice, WORLD_SERVICES) : number;
    unsigned families = 1 + dice_below(dice, 3);
    service->form.cluster_ip_count = 0;
    for (unsigned family = 0; family < FAMILY_COUNT; family++)
        if (families & 1u << family)
            service->cluster_ips[service->form.cluster_ip_count++] = cluster_ip((enum family)family, which);
}

static uint32_t choose_outside(struct dice *dice, struct address *list)
{
    uint32_t count = 0, most = dice_below(dice, WORLD_ADDRESSES + 1);
    for (uint32_t i = 0; i < most; i++) {
        struct address address = outside(any_family(dice), dice_below(dice, 5));
        bool is_new = true;
        for (uint32_t k = 0; k < count; k++)
            is_new &= address_cmp(&list[k], &address) != 0;
        if (is_new)
            list[count++] = address;
    }
    return count;
}

static void choose_source_ranges(struct dice *dice, struct world_service *service)
{
    static const char *const ranges[] = {"10.0.0.0/8", "10.1.0.0/16",  "10.1.2.3/32",   "192.0.2.0/24",
                                         "fd00::/8",   "fd00:1::/32",  "2001:db8::/64", "0.0.0.0/0",
                                         "10.0.0.0/9", "10.128.0.0/9", "203.0.113.7/32"};
    uint32_t most = dice_below(dice, WORLD_ADDRESSES + 1);
    service->form.source_range_count = most;
    for (uint32_t i = 0; i < most; i++)
        prefix_parse(ranges[dice_below(dice, ARRAY_LEN(ranges))], &service->source_ranges[i], NULL);
}

/* No two ports of one service with the same port or node port and protocol: the API refuses that. */
static void choose_ports(struct dice *dice, struct world_service *service)
{
    uint32_t most = 1 + dice_below(dice, WORLD_PORTS), count = 0;
    bool has_node_ports = service->form.type != SERVICE_CLUSTER_IP;
    for (uint32_t i = 0; i < most; i++) {
        struct service_port port = {
            .target_port = "",
            .name = port_names[i],
            .protocol = protocols[dice_one_in(dice, 4) ? 2 : dice_below(dice, 2)],
            .port = (uint16_t)(80 + dice_below(dice, 3)),
            .node_port = (uint16_t)(has_node_ports ? 30000 + dice_below(dice, 4) : 0),
        };
        bool is_new = true;
        for (uint32_t k = 0; k < count; k++)
            is_new &= service->ports[k].protocol != port.protocol ||
                      (service->ports[k].port != port.port &&
                       (port.node_port == 0 || service->ports[k].node_port != port.node_port));
        if (is_new)
            service->ports[count++] = port;
    }
    service->form.port_count = count;
}

static uint32_t choose_affinity(struct dice *dice)
{
    static const uint32_t seconds[] = {0, 0, 60, 10800};
    return seconds[dice_below(dice, ARRAY_LEN(seconds))];
}

static void choose_service(struct world *world, unsigned number)
{
    struct dice *dice = &world->dice;
    struct world_service *service = &world->services[number];
    *service = (struct world_service){
        .exists = true,
        .form = {.namespace_ = "ns",
                 .name = service_name(number),
                 .type = (enum service_type)dice_below(dice, 3),
                 .is_proxied = !dice_one_in(dice, 15),
                 .external_local = dice_one_in(dice, 3),
                 .internal_local = dice_one_in(dice, 4),
                 .distribution = "",
                 .affinity_seconds = choose_affinity(dice)},
    };
    choose_cluster_ips(world, number);
    choose_ports(dice, service);
    service->form.external_ip_count = dice_one_in(dice, 2) ? choose_outside(dice, service->external_ips) : 0;
    if (service->form.type == SERVICE_LOAD_BALANCER) {
        service->form.vip_count = choose_outside(dice, service->vips);
        choose_source_ranges(dice, service);
    }
}

/* One thing about a service that is there. */
static void amend_service(struct world *world, unsigned number)
{
    struct dice *dice = &world->dice;
    struct world_service *service = &world->services[number];
    struct service *form = &service->form;
    switch (dice_below(dice, 9)) {
    case 0:
        form->affinity_seconds = choose_affinity(dice);
        break;
    case 1:
        form->external_local = !form->external_local;
        break;
    case 2:
        form->internal_local = !form->internal_local;
        break;
    case 3:
        choose_source_ranges(dice, service);
        break;
    case 4:
        choose_ports(dice, service);
        break;
    case 5:
        form->external_ip_count = choose_outside(dice, service->external_ips);
        break;
    case 6:
        form->vip_count = form->type == SERVICE_LOAD_BALANCER ? choose_outside(dice, service->vips) : 0;
        break;
    case 7:
        choose_cluster_ips(world, number);
        break;
    case 8:
        form->is_proxied = !form->is_proxied;
        break;
    }
}

static struct world_endpoint any_endpoint(struct dice *dice)
{
    static const uint8_t flags[] = {
        ENDPOINT_READY | ENDPOINT_SERVING,       ENDPOINT_READY | ENDPOINT_SERVING,
        ENDPOINT_READY | ENDPOINT_SERVING,       0,
        ENDPOINT_SERVING | ENDPOINT_TERMINATING, ENDPOINT_TERMINATING};
    return (struct world_endpoint){.address = (uint8_t)dice_below(dice, 12),
                                   .node = (uint8_t)dice_below(dice, ARRAY_LEN(nodes)),
                                   .zone_hint = (uint8_t)dice_below(dice, ARRAY_LEN(zones)),
                                   .flags = flags[dice_below(dice, ARRAY_LEN(flags))]};
}

static void choose_slice(struct world *world, unsigned service, struct world_slice *slice)
{
    struct dice *dice = &world->dice;
    *slice = (struct world_slice){.exists = true, .family = any_family(dice)};
    slice->endpoint_count = dice_below(dice, WORLD_ENDPOINTS + 1);
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        slice->endpoints[i] = any_endpoint(dice);
    slice->port_count = WORLD_PORTS;
    for (uint32_t i = 0; i < WORLD_PORTS; i++) {
        slice->target_ports[i] = (uint16_t)(8080 + dice_below(dice, 2));
        slice->protocols[i] = i < world->services[service].form.port_count
                                  ? world->services[service].ports[i].protocol
                                  : PROTOCOL_TCP;
    }
}

static void amend_slice(struct world *world, struct world_slice *slice)
{
    struct dice *dice = &world->dice;
    uint32_t count = slice->endpoint_count;
    if (count < WORLD_ENDPOINTS && dice_one_in(dice, 3)) {
        slice->endpoints[slice->endpoint_count++] = any_endpoint(dice);
    } else if (count && dice_one_in(dice, 2)) {
        uint32_t gone = dice_below(dice, count);
        memmove(&slice->endpoints[gone], &slice->endpoints[gone + 1],
                (--slice->endpoint_count - gone) * sizeof(*slice->endpoints));
    } else if (count) {
        slice->endpoints[dice_below(dice, count)] = any_endpoint(dice);
    }
}

/* The store's objects are one block each, with everything that they point at behind them. */
struct service_block {
    struct service service;
    struct world_service lists;
    char name[8];
};

static struct service *make_service(const struct world_service *from)
{
    struct service_block *block = slab_zalloc(sizeof(*block));
    block->lists = *from;
    block->service = from->form;
    snprintf(block->name, sizeof(block->name), "%s", from->form.name);
    struct service *service = &block->service;
    service->name = block->name;
    service->ports = block->lists.ports;
    service->cluster_ips = block->lists.cluster_ips;
    service->external_ips = block->lists.external_ips;
    service->vips = block->lists.vips;
    service->source_ranges = block->lists.source_ranges;
    return service;
}

struct slice_block {
    struct slice slice;
    struct slice_port ports[WORLD_PORTS];
    struct endpoint endpoints[WORLD_ENDPOINTS];
    struct endpoint_hints hints[WORLD_ENDPOINTS];
    uint32_t names[1 + 2 * WORLD_ENDPOINTS];
    char name[16];
};

static struct slice *make_slice(const struct world *world, unsigned service, unsigned number,
                                struct store *store)
{
    const struct world_slice *from = &world->slices[service][number];
    struct slice_block *block = slab_zalloc(sizeof(*block));
    uint32_t used = 1;
    snprintf(block->name, sizeof(block->name), "s%u-%u", service, number);
    for (uint32_t i = 0; i < from->port_count; i++)
        block->ports[i] = (struct slice_port){
            .name = port_names[i], .port = from->target_ports[i], .protocol = from->protocols[i]};
    for (uint32_t i = 0; i < from->endpoint_count; i++) {
        const struct world_endpoint *endpoint = &from->endpoints[i];
        block->endpoints[i] = (struct endpoint){
            .address = world_endpoint_address(from->family, endpoint->address),
            .node = intern_id(store->names, nodes[endpoint->node]),
            .flags = endpoint->flags,
        };
        if (endpoint->zone_hint) {
            block->hints[i].zones = used;
            block->names[used++] = 1;
            block->names[used++] = intern_id(store->names, zones[endpoint->zone_hint]);
        }
    }
    block->slice = (struct slice){.namespace_ = "ns",
                                  .name = block->name,
                                  .service = service_name(service),
                                  .family = from->family,
                                  .port_count = from->port_count,
                                  .endpoint_count = from->endpoint_count,
                                  .ports = block->ports,
                                  .endpoints = block->endpoints,
                                  .hints = block->hints,
                                  .names = block->names,
                                  .strings = ""};
    return &block->slice;
}

static void put_node(const struct world *world, struct store *store)
{
    struct node *node = slab_zalloc(sizeof(*node));
    *node = (struct node){.name = WORLD_NODE, .zone = intern_id(store->names, zones[world->node_zone])};
    store_node_put(store, node);
}

/* Ranges side by side, one behind the other, inside another, and to the end of the address space. */
static void put_service_cidr(const struct world *world, struct store *store)
{
    static const char *const choices[][3] = {
        {"10.96.0.0/16", "fd96::/112"},
        {"10.96.0.0/24", "10.96.1.0/24"},
        {"10.96.0.0/24", "10.96.2.0/24", "fd96::/112"},
        {"10.96.0.0/16", "10.96.4.0/24", "255.255.255.0/24"},
        {NULL},
    };
    struct block {
        struct service_cidr service_cidr;
        struct prefix cidrs[3];
    } *block = slab_zalloc(sizeof(*block));
    block->service_cidr = (struct service_cidr){.name = "kubernetes", .cidrs = block->cidrs};
    for (int i = 0; i < 3 && choices[world->cidr_choice][i]; i++)
        prefix_parse(choices[world->cidr_choice][i], &block->cidrs[block->service_cidr.cidr_count++], NULL);
    store_service_cidr_put(store, &block->service_cidr);
}

static void change_service(struct world *world, struct store *store, unsigned number)
{
    struct world_service *service = &world->services[number];
    if (service->exists && dice_one_in(&world->dice, 5)) {
        service->exists = false;
        store_service_remove(store, "ns", service->form.name);
        return;
    }
    if (service->exists && !dice_one_in(&world->dice, 5))
        amend_service(world, number);
    else
        choose_service(world, number);
    store_service_put(store, make_service(service));
}

static void change_slice(struct world *world, struct store *store, unsigned service, unsigned number)
{
    struct world_slice *slice = &world->slices[service][number];
    if (slice->exists && dice_one_in(&world->dice, 8)) {
        char name[16];
        snprintf(name, sizeof(name), "s%u-%u", service, number);
        slice->exists = false;
        store_slice_remove(store, "ns", name);
        return;
    }
    if (slice->exists && !dice_one_in(&world->dice, 6))
        amend_slice(world, slice);
    else
        choose_slice(world, service, slice);
    store_slice_put(store, make_slice(world, service, number, store));
}

static void change_interfaces(struct world *world)
{
    world->interfaces.count = 0;
    for (unsigned i = 0; i < 4; i++)
        if (dice_below(&world->dice, 3))
            world->interface_list[world->interfaces.count++] =
                numbered(i < 2 ? FAMILY_IPV4 : FAMILY_IPV6, "198.51.100.%u", "2001:db8:1::%x", i + 1);
}

void world_change(struct world *world, struct store *store)
{
    unsigned service = dice_below(&world->dice, WORLD_SERVICES);
    uint32_t kind = dice_below(&world->dice, 100);
    if (kind < 35) {
        change_service(world, store, service);
    } else if (kind < 95) {
        change_slice(world, store, service, dice_below(&world->dice, WORLD_SLICES));
    } else if (kind < 97) {
        world->node_zone = (uint8_t)dice_below(&world->dice, ARRAY_LEN(zones));
        put_node(world, store);
    } else if (kind < 99) {
        world->cidr_choice = (uint8_t)dice_below(&world->dice, 5);
        put_service_cidr(world, store);
    } else {
        change_interfaces(world);
    }
}

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.dice = {.state = seed * 0x2545f4914f6cdd1du}};
    world->interfaces.list = world->interface_list;
    change_interfaces(world);
    world->cidr_choice = 4;
}

void world_fill(struct world *world, struct store *store)
{
    unsigned objects = WORLD_SERVICES * (WORLD_SLICES + 1), first = dice_below(&world->dice, objects);
    put_node(world, store);
    put_service_cidr(world, store);
    /* A step without a common factor visits every one once. */
    for (unsigned i = 0; i < objects; i++) {
        unsigned at = (first + i * 17) % objects;
        unsigned service = at % WORLD_SERVICES, slice = at / WORLD_SERVICES;
        if (slice < WORLD_SLICES && world->slices[service][slice].exists)
            store_slice_put(store, make_slice(world, service, slice, store));
        if (slice == WORLD_SLICES && world->services[service].exists)
            store_service_put(store, make_service(&world->services[service]));
    }
}
