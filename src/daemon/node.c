/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_node_ips(const struct options *options, const struct node *node, struct node_facts *facts)
{
    uint32_t most = node ? node->address_count + 1 : 1;
    facts->node_ips = xcalloc(most, sizeof(*facts->node_ips));
    uint32_t count = 0;
    bool has[FAMILY_COUNT] = {false};
    if (options->has_bind_address && !address_is_unspecified(&options->bind_address)) {
        facts->node_ips[count++] = options->bind_address;
        has[address_family(&options->bind_address)] = true;
    }
    /* The first of each family: InternalIP comes before ExternalIP. */
    for (uint32_t i = 0; node && i < node->address_count; i++) {
        enum family family = address_family(&node->addresses[i]);
        if (has[family])
            continue;
        has[family] = true;
        facts->node_ips[count++] = node->addresses[i];
    }
    facts->view.node_ips = facts->node_ips;
    facts->view.node_ip_count = count;
}

bool node_ports_have_loopback(bool is_primary, const struct prefix *cidrs, size_t count)
{
    struct prefix loopback;
    bool has_ipv4 = is_primary;
    prefix_parse("127.0.0.0/8", &loopback, NULL);
    for (size_t i = 0; i < count; i++) {
        if (address_family(&cidrs[i].address) != FAMILY_IPV4)
            continue;
        has_ipv4 = true;
        if (prefix_covers(&loopback, &cidrs[i]) || prefix_contains(&cidrs[i], &loopback.address))
            return true;
    }
    return !has_ipv4;
}

static bool has_cidr_of(const struct options *options, enum family family)
{
    for (uint32_t i = 0; i < options->node_port_cidr_count; i++)
        if (address_family(&options->node_port_cidrs[i].address) == family)
            return true;
    return false;
}

/* Without CIDRs of an address's family every address of that family answers (kube-proxy's reading). */
static bool answers_node_ports(const struct options *options, const struct address *address)
{
    if (!has_cidr_of(options, address_family(address)))
        return true;
    for (uint32_t i = 0; i < options->node_port_cidr_count; i++)
        if (prefix_contains(&options->node_port_cidrs[i], address))
            return true;
    return false;
}

/* A range of length 0 is every address, as is no range of the family at all. */
static bool narrows(const struct options *options, enum family family)
{
    bool has_any = false;
    for (uint32_t i = 0; i < options->node_port_cidr_count; i++) {
        const struct prefix *cidr = &options->node_port_cidrs[i];
        if (address_family(&cidr->address) != family)
            continue;
        if (cidr->len == 0)
            return false;
        has_any = true;
    }
    return has_any;
}

static void take_node_port_addresses(const struct options *options,
                                     const struct interface_addresses *interfaces, struct node_facts *facts)
{
    uint32_t count = 0;
    bool by_node_object = options->node_ports_on_primary && facts->view.node_ip_count > 0;
    facts->node_port_addresses =
        xcalloc(interfaces->count + facts->view.node_ip_count + 1, sizeof(*facts->node_port_addresses));
    for (uint32_t i = 0; by_node_object && i < facts->view.node_ip_count; i++)
        if (!address_is_loopback(&facts->node_ips[i]))
            facts->node_port_addresses[count++] = facts->node_ips[i];
    for (uint32_t i = 0; !by_node_object && i < interfaces->count; i++)
        if (answers_node_ports(options, &interfaces->list[i]))
            facts->node_port_addresses[count++] = interfaces->list[i];
    struct address localhost;
    address_parse("127.0.0.1", &localhost, NULL);
    if (!by_node_object && options->has_localhost_node_ports && answers_node_ports(options, &localhost))
        facts->node_port_addresses[count++] = localhost;
    for (int family = 0; family < FAMILY_COUNT; family++)
        facts->is_every_address[family] = !by_node_object && !narrows(options, (enum family)family);
    memcpy(facts->dataplane.are_node_ports_everywhere, facts->is_every_address,
           sizeof(facts->is_every_address));
    facts->dataplane.node_port_addresses = facts->node_port_addresses;
    facts->dataplane.node_port_address_count = count;
}

/* Of this node's interfaces, and of every node that is known: where packets to one of those are taken in
 * here, this node does not reach that one any more. Only mode ipvs asks for them, and no other is to hear of
 * each pod's. */
static void take_node_addresses(const struct options *options, const struct store *store,
                                const struct interface_addresses *interfaces, struct node_facts *facts)
{
    uint32_t count = 0, most = interfaces->count;
    const struct node_record *record;
    if (!options->takes_node_addresses)
        return;
    for (record = store->nodes; record; record = record->hh.next)
        most += record->node->address_count;
    facts->node_addresses = xcalloc(most, sizeof(*facts->node_addresses));
    for (uint32_t i = 0; i < interfaces->count; i++)
        facts->node_addresses[count++] = interfaces->list[i];
    for (record = store->nodes; record; record = record->hh.next)
        for (uint32_t i = 0; i < record->node->address_count; i++)
            facts->node_addresses[count++] = record->node->addresses[i];
    facts->dataplane.node_addresses = facts->node_addresses;
    facts->dataplane.node_address_count = count;
}

static void take_service_cidrs(const struct store *store, struct node_facts *facts)
{
    uint32_t most = 0, count = 0;
    const struct service_cidr_record *record;
    for (record = store->service_cidrs; record; record = record->hh.next)
        most += record->service_cidr->cidr_count;
    facts->service_cidrs = xcalloc(most, sizeof(*facts->service_cidrs));
    for (record = store->service_cidrs; record; record = record->hh.next)
        for (uint32_t i = 0; i < record->service_cidr->cidr_count; i++)
            facts->service_cidrs[count++] = record->service_cidr->cidrs[i];
    /* Overlapping ranges say nothing new, and the kernel's set refuses them. */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_inside = false;
        for (uint32_t j = 0; j < count; j++)
            is_inside |= j != i && prefix_covers(&facts->service_cidrs[j], &facts->service_cidrs[i]) &&
                         (facts->service_cidrs[j].len < facts->service_cidrs[i].len || j < i);
        if (!is_inside)
            facts->service_cidrs[kept++] = facts->service_cidrs[i];
    }
    facts->dataplane.service_cidrs = facts->service_cidrs;
    facts->dataplane.service_cidr_count = kept;
}

void node_build(const struct options *options, struct store *store,
                const struct interface_addresses *interfaces, struct node_facts *ret)
{
    const struct node *node = store_node_find(store, options->node_name);
    struct node_facts *facts = ret;
    /* A cluster's node that nobody knows gets no traffic (KEP-3836); without a cluster nobody need describe
     * it.
     */
    *facts = (struct node_facts){.is_eligible = node ? !node->is_leaving : options->role != ROLE_PROXY};
    struct node_view *view = &facts->view;
    view->name = intern_id(store->names, options->node_name);
    view->zone = node ? node->zone : 0;
    view->store = store;
    view->masquerade_all = options->masquerade_all;
    view->has_family[FAMILY_IPV4] = view->has_family[FAMILY_IPV6] = true;
    view->local_detect = options->local_detect;
    if (options->interface)
        snprintf(view->interface, sizeof(view->interface), "%s", options->interface);
    memcpy(view->has_cluster_cidr, options->has_cluster_cidr, sizeof(view->has_cluster_cidr));
    memcpy(view->cluster_cidr, options->cluster_cidr, sizeof(view->cluster_cidr));
    for (uint32_t i = 0; options->is_node_cidr && node && i < node->pod_cidr_count; i++) {
        enum family family = address_family(&node->pod_cidrs[i].address);
        view->has_cluster_cidr[family] = true;
        view->cluster_cidr[family] = node->pod_cidrs[i];
    }
    take_node_ips(options, node, facts);
    take_node_port_addresses(options, interfaces, facts);
    take_service_cidrs(store, facts);
    take_node_addresses(options, store, interfaces, facts);
    facts->dataplane.has_localhost_node_ports = options->has_localhost_node_ports;
    facts->dataplane.is_conntrack_liberal = options->is_conntrack_liberal;
    facts->dataplane.masquerade_mark = options->masquerade_mark;
    facts->dataplane.ipvs = options->ipvs;
    facts->dataplane.view = &facts->view;
}

void node_done(struct node_facts *facts)
{
    free(facts->node_ips);
    free(facts->node_port_addresses);
    free(facts->service_cidrs);
    free(facts->node_addresses);
    *facts = (struct node_facts){0};
}

static bool same_list(const void *a, uint32_t a_count, const void *b, uint32_t b_count, size_t size)
{
    return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * size) == 0);
}

static bool same_ipvs(const struct dataplane_ipvs *a, const struct dataplane_ipvs *b)
{
    bool same_scheduler = a->scheduler == b->scheduler ||
                          (a->scheduler && b->scheduler && strcmp(a->scheduler, b->scheduler) == 0);
    return same_scheduler && a->tcp_s == b->tcp_s && a->tcp_fin_s == b->tcp_fin_s && a->udp_s == b->udp_s &&
           same_list(a->exclude_cidrs, a->exclude_cidr_count, b->exclude_cidrs, b->exclude_cidr_count,
                     sizeof(struct prefix));
}

bool node_is_same(const struct node_facts *a, const struct node_facts *b)
{
    const struct node_view *x = &a->view, *y = &b->view;
    const struct dataplane_node *p = &a->dataplane, *q = &b->dataplane;
    return x->name == y->name && x->zone == y->zone && x->masquerade_all == y->masquerade_all &&
           x->local_detect == y->local_detect &&
           memcmp(x->has_cluster_cidr, y->has_cluster_cidr, sizeof(x->has_cluster_cidr)) == 0 &&
           memcmp(x->cluster_cidr, y->cluster_cidr, sizeof(x->cluster_cidr)) == 0 &&
           strcmp(x->interface, y->interface) == 0 &&
           p->has_localhost_node_ports == q->has_localhost_node_ports &&
           p->is_conntrack_liberal == q->is_conntrack_liberal && p->masquerade_mark == q->masquerade_mark &&
           memcmp(p->are_node_ports_everywhere, q->are_node_ports_everywhere,
                  sizeof(p->are_node_ports_everywhere)) == 0 &&
           same_list(x->node_ips, x->node_ip_count, y->node_ips, y->node_ip_count, sizeof(struct address)) &&
           same_list(p->node_port_addresses, p->node_port_address_count, q->node_port_addresses,
                     q->node_port_address_count, sizeof(struct address)) &&
           same_list(p->node_addresses, p->node_address_count, q->node_addresses, q->node_address_count,
                     sizeof(struct address)) &&
           same_ipvs(&p->ipvs, &q->ipvs) &&
           same_list(p->service_cidrs, p->service_cidr_count, q->service_cidrs, q->service_cidr_count,
                     sizeof(struct prefix));
}
