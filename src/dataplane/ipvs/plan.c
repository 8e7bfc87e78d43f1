/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/plan.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* --- marks --- */

#define MARK_NUMBER_BITS 21
#define MARK_NUMBER_MAX ((1u << MARK_NUMBER_BITS) - 1)
#define MARK_TAG                                                                                             \
    (0x2b5u << MARK_NUMBER_BITS) /* ten bits: with the number 31, which leaves the mark's one                \
                                  */
#define MARK_TAG_MASK (0x3ffu << MARK_NUMBER_BITS)

/* 31 bits around the one for masquerading, which stays 0. */
static uint32_t spread(uint32_t bits, uint32_t masquerade_mark)
{
    uint32_t below = masquerade_mark - 1;
    return (bits & below) | (bits & ~below) << 1;
}

uint32_t mark_tag_mask(uint32_t masquerade_mark)
{
    return spread(MARK_TAG_MASK, masquerade_mark);
}

uint32_t mark_tag(uint32_t masquerade_mark)
{
    return spread(MARK_TAG, masquerade_mark);
}

/* --- one service port --- */

struct draft {
    const struct entry *entry;
    const struct dataplane_node *node;
    struct numbers *numbers;
    struct arena *arena;
    struct plan *plan;
    enum family family;
    uint32_t port_index;
    uint8_t protocol;
    bool is_shared; /* clients stick to an endpoint, and there are several addresses for it */
};

#define GROW(list, count, capacity, arena)                                                                   \
    do {                                                                                                     \
        if ((count) == (capacity)) {                                                                         \
            uint32_t grown_ = (capacity) ? (capacity)*2 : 8;                                                 \
            __typeof__(list) larger_ = arena_alloc((arena), grown_ * sizeof(*(list)));                       \
            if (count)                                                                                       \
                memcpy(larger_, (list), (count) * sizeof(*(list)));                                          \
            (list) = larger_;                                                                                \
            (capacity) = grown_;                                                                             \
        }                                                                                                    \
    } while (0)

/* Persistence is by virtual server, affinity by service port: a hash of the client's address leads it to the
 * same endpoint by all of them. Persistence of a virtual server that is found by a mark would lose the
 * endpoint's port (ip_vs_core.c, ip_vs_sched_persist), so there the hash alone has to do. */
#define HASHING "mh"

static void add_server(struct draft *draft, const struct virtual_server *id, uint32_t affinity_seconds,
                       const struct backend_set *backends)
{
    struct plan *plan = draft->plan;
    bool is_hashed = affinity_seconds && (draft->is_shared || id->mark);
    GROW(plan->servers, plan->server_count, plan->server_capacity, draft->arena);
    plan->servers[plan->server_count++] =
        (struct planned_server){.id = *id,
                                .persistence_s = id->mark ? 0 : affinity_seconds,
                                .protocol = draft->protocol,
                                .scheduler = is_hashed ? HASHING : NULL,
                                .backends = backends};
}

static void add_member(struct plan *plan, struct arena *arena, enum set_name set, enum family family,
                       const struct ipset_member *member)
{
    GROW(plan->members, plan->member_count, plan->member_capacity, arena);
    struct planned_member *planned = &plan->members[plan->member_count++];
    memset(planned, 0, sizeof(*planned));
    planned->member = *member;
    planned->set = set;
    planned->family = family;
}

static bool has_address(const struct address *list, uint32_t count, const struct address *address)
{
    for (uint32_t i = 0; i < count; i++)
        if (address_cmp(&list[i], address) == 0)
            return true;
    return false;
}

/* Nodes' own addresses are where they are, whatever a Service says of them. */
static void bind_address(struct plan *plan, const struct dataplane_node *node, struct arena *arena,
                         const struct address *address)
{
    if (has_address(node->node_addresses, node->node_address_count, address))
        return;
    add_member(plan, arena, SET_IPVS_IPS, address_family(address),
               &(struct ipset_member){.address = *address});
}

static bool is_node_port_address(const struct draft *draft, const struct address *address)
{
    return address_family(address) == draft->family && !address_is_loopback(address);
}

static bool is_of_port(const struct draft *draft, const struct frontend *frontend)
{
    return frontend->family == draft->family && frontend->port_index == draft->port_index &&
           !frontend->is_shadowed;
}

/* At how many addresses packets meet the frontend. */
static uint32_t address_count(const struct draft *draft, const struct frontend *frontend)
{
    uint32_t count = 0;
    if (frontend->kind != FRONTEND_NODE_PORT)
        return 1;
    for (uint32_t i = 0; i < draft->node->node_port_address_count; i++)
        count += is_node_port_address(draft, &draft->node->node_port_addresses[i]);
    return count;
}

static bool has_inside(const struct frontend *frontend)
{
    return frontend->verdict == FRONTEND_FORWARD && frontend->short_circuits && frontend->shortcut->count > 0;
}

static const struct backend_set *outside(const struct frontend *frontend)
{
    return frontend->verdict == FRONTEND_FORWARD && frontend->backends->count > 0 ? frontend->backends : NULL;
}

/* Whose own connections may come back to them. */
static void add_hairpins(struct draft *draft, const struct backend_set *set)
{
    for (uint32_t i = 0; set && i < set->count; i++)
        if (has_address(draft->entry->hairpins, draft->entry->hairpin_count, &set->list[i].address))
            add_member(draft->plan, draft->arena, SET_LOOP_BACK, draft->family,
                       &(struct ipset_member){.address = set->list[i].address,
                                              .other = set->list[i].address,
                                              .port = set->list[i].port,
                                              .protocol = draft->protocol});
}

/* A second virtual server for those whom the set marks, in place of the one by address. */
static void add_marked(struct draft *draft, enum set_name set, const struct frontend *frontend,
                       const struct address *address, const struct backend_set *backends)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    struct socket_address socket = {.address = *address, .port = frontend->port};
    const char *name = arena_printf(draft->arena, "%s %s %s", catalog_set(set, draft->family).name,
                                    protocol_name(frontend->protocol), socket_address_format(&socket, text));
    uint32_t number = numbers_get(draft->numbers, name, hash_bytes(0, name, strlen(name)), MARK_NUMBER_MAX);
    uint32_t mark = spread(MARK_TAG | number, draft->node->masquerade_mark);
    add_member(
        draft->plan, draft->arena, set, draft->family,
        &(struct ipset_member){
            .address = *address, .port = frontend->port, .protocol = frontend->protocol, .mark = mark});
    add_server(draft, &(struct virtual_server){.mark = mark, .family = (uint8_t)draft->family},
               frontend->affinity_seconds, backends);
}

/* The node asks each address from that address, because kube-ipvs0 has it: nothing of its packets tells that
 * they are of one client. So one endpoint is chosen for it, which others that come and go do not change, and
 * which another node's choice need not be (rendezvous hashing). */
static const struct backend_set *choice_for_self(const struct draft *draft, const struct backend_set *set)
{
    struct backend_set *one = arena_new(draft->arena, struct backend_set);
    unsigned long long best = 0, seed = 0;
    for (uint32_t i = 0; i < draft->node->view->node_ip_count; i++)
        seed = hash_bytes(seed, &draft->node->view->node_ips[i], sizeof(struct address));
    for (uint32_t i = 0; i < set->count; i++) {
        unsigned long long hash = hash_bytes(seed, &set->list[i].address, sizeof(struct address));
        hash = hash_bytes(hash, &set->list[i].port, sizeof(set->list[i].port));
        if (!one->count || hash > best)
            *one = (struct backend_set){.count = 1, .list = &set->list[i]};
        best = hash > best ? hash : best;
    }
    return one;
}

/* One address of a frontend. */
static void add_address(struct draft *draft, const struct frontend *frontend, const struct address *address)
{
    struct ipset_member member = {
        .address = *address, .port = frontend->port, .protocol = frontend->protocol};
    add_server(draft,
               &(struct virtual_server){.address = *address,
                                        .port = frontend->port,
                                        .protocol = frontend->protocol,
                                        .family = (uint8_t)draft->family},
               frontend->affinity_seconds, outside(frontend));
    if (frontend->verdict == FRONTEND_DROP || (frontend->verdict == FRONTEND_FORWARD && !outside(frontend)))
        add_member(draft->plan, draft->arena, SET_DROP, draft->family, &member);
    const struct backend_set *inside = has_inside(frontend) ? frontend->shortcut : outside(frontend);
    if (has_inside(frontend))
        add_marked(draft, SET_INSIDE, frontend, address, inside);
    if (draft->is_shared && inside)
        add_marked(draft, SET_SELF, frontend, address, choice_for_self(draft, inside));
}

static void add_source_ranges(struct draft *draft, const struct frontend *frontend)
{
    const struct entry *entry = draft->entry;
    struct ipset_member member = {
        .address = frontend->address, .port = frontend->port, .protocol = frontend->protocol};
    add_member(draft->plan, draft->arena, SET_LOAD_BALANCER_FW, draft->family, &member);
    for (uint32_t i = 0; i < entry->source_range_count; i++) {
        const struct prefix *range = &entry->source_ranges[i];
        struct prefix host = prefix_of(&range->address);
        if (address_family(&range->address) != draft->family)
            continue;
        /* The address of the frontend itself is what the node asks from that carries it. */
        bool is_itself = range->len == host.len && address_cmp(&range->address, &frontend->address) == 0;
        member.other = range->address;
        member.len = is_itself ? 0 : range->len;
        add_member(draft->plan, draft->arena,
                   is_itself ? SET_LOAD_BALANCER_SOURCE_IP : SET_LOAD_BALANCER_SOURCE_CIDR, draft->family,
                   &member);
    }
}

static void add_node_port(struct draft *draft, const struct frontend *frontend)
{
    static const enum set_name of_tcp[] = {SET_NODE_PORT_TCP, SET_NODE_PORT_LOCAL_TCP},
                               of_udp[] = {SET_NODE_PORT_UDP, SET_NODE_PORT_LOCAL_UDP},
                               of_sctp[] = {SET_NODE_PORT_SCTP, SET_NODE_PORT_LOCAL_SCTP};
    const enum set_name *sets = frontend->protocol == PROTOCOL_TCP   ? of_tcp
                                : frontend->protocol == PROTOCOL_UDP ? of_udp
                                                                     : of_sctp;
    bool keeps_source = frontend->masquerade != MASQUERADE_ALWAYS;
    for (uint32_t i = 0; i < draft->node->node_port_address_count; i++) {
        const struct address *address = &draft->node->node_port_addresses[i];
        struct ipset_member member = {.port = frontend->port};
        if (!is_node_port_address(draft, address))
            continue;
        add_address(draft, frontend, address);
        if (sets == of_sctp) {
            member.address = *address;
            member.protocol = frontend->protocol;
        }
        for (int local = 0; local <= keeps_source; local++)
            add_member(draft->plan, draft->arena, sets[local], draft->family, &member);
    }
}

static void add_frontend(struct draft *draft, const struct frontend *frontend)
{
    bool keeps_source = frontend->masquerade != MASQUERADE_ALWAYS;
    struct ipset_member member = {
        .address = frontend->address, .port = frontend->port, .protocol = frontend->protocol};
    enum set_name set = SET_CLUSTER_IP;
    if (frontend->kind == FRONTEND_NODE_PORT) {
        add_node_port(draft, frontend);
        return;
    }
    if (frontend->kind == FRONTEND_EXTERNAL_IP)
        set = keeps_source ? SET_EXTERNAL_IP_LOCAL : SET_EXTERNAL_IP;
    if (frontend->kind == FRONTEND_LOAD_BALANCER)
        set = SET_LOAD_BALANCER;
    add_address(draft, frontend, &frontend->address);
    add_member(draft->plan, draft->arena, set, draft->family, &member);
    if (set == SET_LOAD_BALANCER && keeps_source)
        add_member(draft->plan, draft->arena, SET_LOAD_BALANCER_LOCAL, draft->family, &member);
    if (frontend->is_source_ranged)
        add_source_ranges(draft, frontend);
    bind_address(draft->plan, draft->node, draft->arena, &frontend->address);
}

static void add_port(struct draft *draft)
{
    uint32_t addresses = 0;
    for (uint32_t i = 0; i < draft->entry->frontend_count; i++) {
        const struct frontend *frontend = &draft->entry->frontends[i];
        if (!is_of_port(draft, frontend))
            continue;
        addresses += address_count(draft, frontend);
        draft->protocol = frontend->protocol;
        draft->is_shared = frontend->affinity_seconds && addresses > 1;
    }
    for (uint32_t i = 0; i < draft->entry->frontend_count; i++) {
        const struct frontend *frontend = &draft->entry->frontends[i];
        if (!is_of_port(draft, frontend))
            continue;
        add_frontend(draft, frontend);
        add_hairpins(draft, outside(frontend));
        if (has_inside(frontend))
            add_hairpins(draft, frontend->shortcut);
    }
}

/* --- the whole --- */

int virtual_server_cmp(const struct virtual_server *a, const struct virtual_server *b)
{
    return memcmp(a, b, sizeof(*a));
}

int planned_member_cmp(const struct planned_member *a, const struct planned_member *b)
{
    return memcmp(a, b, sizeof(*a));
}

static int member_order(const void *a, const void *b)
{
    return planned_member_cmp(a, b);
}

static int server_order(const void *a, const void *b)
{
    return virtual_server_cmp(&((const struct planned_server *)a)->id,
                              &((const struct planned_server *)b)->id);
}

/* Several ports of one service have the same address, several addresses the same node port. */
static void sort_unique(struct plan *plan)
{
    uint32_t kept = 0;
    if (plan->server_count > 1)
        qsort(plan->servers, plan->server_count, sizeof(*plan->servers), server_order);
    if (plan->member_count > 1)
        qsort(plan->members, plan->member_count, sizeof(*plan->members), member_order);
    for (uint32_t i = 0; i < plan->member_count; i++)
        if (kept == 0 || planned_member_cmp(&plan->members[kept - 1], &plan->members[i]) != 0)
            plan->members[kept++] = plan->members[i];
    plan->member_count = kept;
}

void plan_build(const struct entry *entry, const struct dataplane_node *node, struct numbers *numbers,
                struct arena *arena, struct plan *ret)
{
    *ret = (struct plan){0};
    if (!entry)
        return;
    for (uint32_t i = 0; i < entry->cluster_ip_count; i++)
        bind_address(ret, node, arena, &entry->cluster_ips[i]);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        for (uint32_t port = 0; port < entry->port_count; port++) {
            struct draft draft = {.entry = entry,
                                  .node = node,
                                  .numbers = numbers,
                                  .arena = arena,
                                  .plan = ret,
                                  .family = (enum family)family,
                                  .port_index = port};
            add_port(&draft);
        }
        if (entry->health_check_node_port)
            add_member(ret, arena, SET_HEALTH_CHECK_NODE_PORT, (enum family)family,
                       &(struct ipset_member){.port = entry->health_check_node_port});
    }
    sort_unique(ret);
}
