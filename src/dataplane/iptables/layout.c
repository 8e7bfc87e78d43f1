/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/layout.h"

#include "base/cleanup.h"
#include "dataplane/rules/words.h"

#include <string.h>

/* Which of the kernel's chains lead to ours (proxier.go, iptablesJumpChains). In the order of the rules. */
static const struct own_jump jumps[] = {
#define NEW "-m conntrack --ctstate NEW -m comment --comment "
#define OF(comment, chain) "\"kubernetes " comment "\" -j KUBE-" chain
    {TABLE_FILTER, "INPUT", "-j KUBE-FIREWALL"},
    {TABLE_FILTER, "INPUT", NEW OF("load balancer firewall", "PROXY-FIREWALL")},
    {TABLE_FILTER, "INPUT", "-m comment --comment " OF("health check service ports", "NODEPORTS")},
    {TABLE_FILTER, "INPUT", NEW OF("externally-visible service portals", "EXTERNAL-SERVICES")},
    {TABLE_FILTER, "FORWARD", NEW OF("load balancer firewall", "PROXY-FIREWALL")},
    {TABLE_FILTER, "FORWARD", "-m comment --comment " OF("forwarding rules", "FORWARD")},
    {TABLE_FILTER, "FORWARD", NEW OF("service portals", "SERVICES")},
    {TABLE_FILTER, "FORWARD", NEW OF("externally-visible service portals", "EXTERNAL-SERVICES")},
    {TABLE_FILTER, "OUTPUT", "-j KUBE-FIREWALL"},
    {TABLE_FILTER, "OUTPUT", NEW OF("load balancer firewall", "PROXY-FIREWALL")},
    {TABLE_FILTER, "OUTPUT", NEW OF("service portals", "SERVICES")},
    {TABLE_NAT, "PREROUTING", "-m comment --comment " OF("service portals", "SERVICES")},
    {TABLE_NAT, "OUTPUT", "-m comment --comment " OF("service portals", "SERVICES")},
    {TABLE_NAT, "POSTROUTING", "-m comment --comment " OF("postrouting rules", "POSTROUTING")},
    /* Of mode ipvs. */
    {TABLE_FILTER, "INPUT", "-m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL"},
    {TABLE_FILTER, "FORWARD", "-m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL"},
#undef NEW
#undef OF
};

static const struct {
    enum layout_table table;
    const char *name;
} always[] = {
    {TABLE_MANGLE, "KUBE-PROXY-CANARY"},
    {TABLE_NAT, "KUBE-PROXY-CANARY"},
    {TABLE_NAT, "KUBE-SERVICES"},
    {TABLE_NAT, "KUBE-NODEPORTS"},
    {TABLE_NAT, "KUBE-POSTROUTING"},
    {TABLE_NAT, "KUBE-MARK-MASQ"},
    {TABLE_FILTER, "KUBE-PROXY-CANARY"},
    {TABLE_FILTER, "KUBE-SERVICES"},
    {TABLE_FILTER, "KUBE-EXTERNAL-SERVICES"},
    {TABLE_FILTER, "KUBE-FORWARD"},
    {TABLE_FILTER, "KUBE-NODEPORTS"},
    {TABLE_FILTER, "KUBE-PROXY-FIREWALL"},
    {TABLE_FILTER, "KUBE-FIREWALL"},
    {TABLE_FILTER, "FAIRLEAD-CLUSTER-IPS"},
};

static bool has_chain(enum layout_table table, const char *chain)
{
    bool has = table == TABLE_NAT && chain_name_is_of_service(chain);
    for (size_t i = 0; i < ARRAY_LEN(always) && !has; i++)
        has = always[i].table == table && strcmp(always[i].name, chain) == 0;
    return has;
}

const struct own_rules iptables_own_rules = {
    .jumps = jumps, .jump_count = ARRAY_LEN(jumps), .foreign_jumps = 2, .has_chain = has_chain};

static void add_frame(struct layout *layout)
{
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        layout_chain(layout, always[i].table, always[i].name);
    layout_add_jumps(layout, &iptables_own_rules);
}

/* What goes by the node alone: the mark, masquerading, what may be forwarded, loopback. */
static void add_node_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    unsigned mark = node->masquerade_mark;
    layout_printf(layout, TABLE_NAT, "KUBE-POSTROUTING", "-m mark ! --mark 0x%x/0x%x -j RETURN", mark, mark);
    layout_printf(layout, TABLE_NAT, "KUBE-POSTROUTING", "-j MARK --set-xmark 0x%x/0x0", mark);
    layout_printf(
        layout, TABLE_NAT, "KUBE-POSTROUTING",
        "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully");
    layout_printf(layout, TABLE_NAT, "KUBE-MARK-MASQ", "-j MARK --set-xmark 0x%x/0x%x", mark, mark);
    if (!node->is_conntrack_liberal)
        layout_printf(layout, TABLE_FILTER, "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP");
    layout_printf(layout, TABLE_FILTER, "KUBE-FORWARD",
                  "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x%x/0x%x -j ACCEPT",
                  mark, mark);
    layout_printf(layout, TABLE_FILTER, "KUBE-FORWARD",
                  "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate "
                  "RELATED,ESTABLISHED -j ACCEPT");
    if (family == FAMILY_IPV4 && node->has_localhost_node_ports)
        layout_printf(
            layout, TABLE_FILTER, "KUBE-FIREWALL",
            "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m "
            "conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP");
}

#define CLUSTER_IPS "FAIRLEAD-CLUSTER-IPS"

/* All that leads to what is fairlead's own stands at the end of a chain of kube-proxy's that kube-proxy
 * empties whenever it begins or cleans up: so its rules and fairlead's are never in force together. */
static void add_own_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    struct layout_chain *services = layout_chain(layout, TABLE_FILTER, "KUBE-SERVICES");
    struct layout_chain *own = layout_chain(layout, TABLE_FILTER, CLUSTER_IPS);
    uint32_t before = services->count;
    layout_printf(
        layout, TABLE_FILTER, "KUBE-SERVICES",
        "-m comment --comment \"fairlead: the node itself is refused as well\" -j KUBE-EXTERNAL-SERVICES");
    for (uint32_t i = 0; i < node->service_cidr_count; i++) {
        const struct prefix *range = &node->service_cidrs[i];
        char text[PREFIX_TEXT_MAX];
        if (address_family(&range->address) != family)
            continue;
        prefix_format(range, text);
        layout_printf(layout, TABLE_FILTER, "KUBE-SERVICES",
                      "-d %s -m comment --comment \"fairlead: what no service has\" -j " CLUSTER_IPS, text);
        layout_printf(layout, TABLE_FILTER, CLUSTER_IPS,
                      "-d %s -m comment --comment \"no service has this address\" -j DROP", text);
        own->tail++;
    }
    services->tail = services->count - before;
}

static struct layout_chain *shared_chain(struct layout *layout, enum shared_chain chain)
{
    bool is_nat = strcmp(shared_chain_table(chain), "nat") == 0;
    return layout_chain(layout, is_nat ? TABLE_NAT : TABLE_FILTER, shared_chain_name(chain));
}

static void add_portion(struct layout *layout, const struct portion *portion)
{
    for (uint32_t i = 0; i < portion->shared_count; i++)
        layout_add_rule(layout, shared_chain(layout, portion->shared[i].chain), portion->shared[i].rule);
    for (uint32_t i = 0; i < portion->chain_count; i++) {
        struct layout_chain *chain = layout_chain(layout, TABLE_NAT, portion->chains[i].name);
        layout_add_rules(layout, chain, portion->chains[i].rules);
    }
}

#define NODE_PORTS_COMMENT                                                                                   \
    "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" "

static void add_node_port_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    struct layout_chain *services = layout_chain(layout, TABLE_NAT, "KUBE-SERVICES");
    uint32_t before = services->count;
    if (node->are_node_ports_everywhere[family])
        layout_printf(layout, TABLE_NAT, "KUBE-SERVICES",
                      "%s" NODE_PORTS_COMMENT "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
                      words_except_loopback(node, family));
    for (uint32_t i = 0; !node->are_node_ports_everywhere[family] && i < node->node_port_address_count; i++) {
        const struct address *address = &node->node_port_addresses[i];
        struct prefix host = prefix_of(address);
        char text[PREFIX_TEXT_MAX];
        if (words_has_node_ports(node, family, address))
            layout_printf(layout, TABLE_NAT, "KUBE-SERVICES", "-d %s " NODE_PORTS_COMMENT "-j KUBE-NODEPORTS",
                          prefix_format(&host, text));
    }
    services->tail = services->count - before;
}

void layout_build(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                  enum family family, bool is_brief, struct layout *ret)
{
    layout_init(ret);
    add_frame(ret);
    add_node_rules(ret, node, family);
    for (int shared = 0; shared < SHARED_COUNT; shared++)
        shared_chain(ret, (enum shared_chain)shared)->is_ordered = false;
    for (size_t i = 0; i < count; i++) {
        struct portion portion;
        portion_build(entries[i], family, node->view, is_brief, &ret->arena, &portion);
        layout_begin_group(ret);
        add_portion(ret, &portion);
    }
    add_node_port_rules(ret, node, family);
    add_own_rules(ret, node, family);
    layout_sort(ret);
}
