/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/ipvs/frame.h"

#include "base/cleanup.h"
#include "dataplane/ipvs/catalog.h"
#include "dataplane/ipvs/plan.h"
#include "dataplane/rules/words.h"

#include <stdio.h>
#include <string.h>

struct frame {
    struct layout *layout;
    const struct dataplane_node *node;
    enum family family;
};

#define say(frame, ...) layout_printf((frame)->layout, __VA_ARGS__)

static const char *set(const struct frame *frame, enum set_name name)
{
    return catalog_set(name, frame->family).name;
}

/* What all rules do that ask for a set: one after another, told by the set's comment. before ends in a blank
 * or is empty. */
static void ask(const struct frame *frame, enum layout_table table, const char *chain, const char *before,
                enum set_name name, const char *directions, const char *target)
{
    say(frame, table, chain, "%s-m comment --comment \"%s\" -m set --match-set %s %s -j %s", before,
        catalog_comment(name), set(frame, name), directions, target);
}

#define PORTALS "-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES"
#define FIREWALL "-m comment --comment \"kube-proxy firewall rules\" -j KUBE-PROXY-FIREWALL"
#define OTHER_FIREWALL                                                                                       \
    "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j "              \
    "KUBE-PROXY-FIREWALL"
#define FILTERS "-m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-"

static const struct own_jump jumps[] = {
    {TABLE_MANGLE, "INPUT", "-m comment --comment \"fairlead: marks for virtual servers\" -j FAIRLEAD-IPVS"},
    {TABLE_MANGLE, "OUTPUT", "-m comment --comment \"fairlead: source ranges\" -j FAIRLEAD-SOURCES"},
    {TABLE_MANGLE, "OUTPUT", "-m comment --comment \"fairlead: marks for virtual servers\" -j FAIRLEAD-IPVS"},
    {TABLE_MANGLE, "POSTROUTING", "-m comment --comment \"fairlead: marks have served\" -j FAIRLEAD-UNMARK"},
    {TABLE_NAT, "OUTPUT", PORTALS},
    {TABLE_NAT, "PREROUTING", PORTALS},
    {TABLE_NAT, "POSTROUTING", "-m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING"},
    {TABLE_FILTER, "FORWARD", "-m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD"},
    {TABLE_FILTER, "INPUT", "-m comment --comment \"kubernetes health check rules\" -j KUBE-NODE-PORT"},
    {TABLE_FILTER, "INPUT", FIREWALL},
    {TABLE_FILTER, "FORWARD", FIREWALL},
    {TABLE_FILTER, "INPUT", FILTERS "FILTER"},
    {TABLE_FILTER, "OUTPUT", FILTERS "OUT-FILTER"},
    /* Of mode iptables. */
    {TABLE_FILTER, "INPUT", OTHER_FIREWALL},
    {TABLE_FILTER, "FORWARD", OTHER_FIREWALL},
    {TABLE_FILTER, "OUTPUT", OTHER_FIREWALL},
};

static const struct {
    enum layout_table table;
    const char *name;
} chains[] = {
    {TABLE_MANGLE, "FAIRLEAD-IPVS"},
    {TABLE_MANGLE, "FAIRLEAD-SOURCES"},
    {TABLE_MANGLE, "FAIRLEAD-UNMARK"},
    {TABLE_NAT, "KUBE-SERVICES"},
    {TABLE_NAT, "KUBE-POSTROUTING"},
    {TABLE_NAT, "KUBE-NODE-PORT"},
    {TABLE_NAT, "KUBE-LOAD-BALANCER"},
    {TABLE_NAT, "KUBE-MARK-MASQ"},
    {TABLE_NAT, "FAIRLEAD-MASQUERADE"},
    {TABLE_FILTER, "KUBE-FORWARD"},
    {TABLE_FILTER, "KUBE-NODE-PORT"},
    {TABLE_FILTER, "KUBE-PROXY-FIREWALL"},
    {TABLE_FILTER, "KUBE-SOURCE-RANGES-FIREWALL"},
    {TABLE_FILTER, "KUBE-IPVS-FILTER"},
    {TABLE_FILTER, "KUBE-IPVS-OUT-FILTER"},
};

static bool has_chain(enum layout_table table, const char *chain)
{
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        if (chains[i].table == table && strcmp(chains[i].name, chain) == 0)
            return true;
    return false;
}

const struct own_rules frame_own_rules = {
    .jumps = jumps, .jump_count = ARRAY_LEN(jumps), .foreign_jumps = 3, .has_chain = has_chain};

/* --- mangle: what comes before IPVS, which takes the node's own packets ahead of the filter table --- */

/* A mark of ours replaces the whole mark: a virtual server is found by all of its bits. */
static void add_marks(const struct frame *frame)
{
    uint32_t mask = frame->node->masquerade_mark, tag = mark_tag(mask), tag_mask = mark_tag_mask(mask);
    struct words_pods pods;
    if (words_pods(frame->node->view, frame->family, true, &pods))
        say(frame, TABLE_MANGLE, "FAIRLEAD-IPVS", "%s%s-j SET --map-set %s dst,dst --map-mark", pods.source,
            pods.interface, set(frame, SET_INSIDE));
    say(frame, TABLE_MANGLE, "FAIRLEAD-IPVS",
        "-m addrtype --src-type LOCAL -j SET --map-set %s dst,dst --map-mark", set(frame, SET_INSIDE));
    say(frame, TABLE_MANGLE, "FAIRLEAD-IPVS",
        "-m addrtype --src-type LOCAL -j SET --map-set %s dst,dst --map-mark", set(frame, SET_SELF));
    say(frame, TABLE_MANGLE, "FAIRLEAD-IPVS", "-m mark --mark 0x%x/0x%x -j RETURN", tag, tag_mask);
    ask(frame, TABLE_MANGLE, "FAIRLEAD-IPVS", "-m conntrack --ctstate NEW ", SET_DROP, "dst,dst", "DROP");
    say(frame, TABLE_MANGLE, "FAIRLEAD-UNMARK", "-m mark --mark 0x%x/0x%x -j MARK --set-xmark 0x0/0xffffffff",
        tag, tag_mask);
}

/* Whoever is in no range is dropped. In mangle it is the node itself that asks, whom the filter table does
 * not see in time. */
static void add_source_ranges(const struct frame *frame, enum layout_table table, const char *chain,
                              const char *target)
{
    ask(frame, table, chain, "", SET_LOAD_BALANCER_SOURCE_CIDR, "dst,dst,src", "RETURN");
    ask(frame, table, chain, "", SET_LOAD_BALANCER_SOURCE_IP, "dst,dst,src", "RETURN");
    say(frame, table, chain, "%s", target);
}

static void add_own_source_ranges(const struct frame *frame)
{
    char target[256];
    snprintf(target, sizeof(target), "-m conntrack --ctstate NEW -m set --match-set %s dst,dst -j DROP",
             set(frame, SET_LOAD_BALANCER_FW));
    add_source_ranges(frame, TABLE_MANGLE, "FAIRLEAD-SOURCES", target);
}

/* --- nat: who is masqueraded --- */

static void add_cluster_ip(const struct frame *frame)
{
    const struct node_view *view = frame->node->view;
    struct words_pods others = {0};
    bool is_told = view->masquerade_all || words_pods(view, frame->family, false, &others);
    /* The node asks from the address that it asks for, because kube-ipvs0 has that. */
    ask(frame, TABLE_NAT, "KUBE-SERVICES", *others.source ? others.source : others.interface, SET_CLUSTER_IP,
        is_told ? "dst,dst" : "src,dst", "KUBE-MARK-MASQ");
}

static void add_external_ip(const struct frame *frame, enum set_name name)
{
    ask(frame, TABLE_NAT, "KUBE-SERVICES", "", name, "dst,dst -m addrtype --dst-type LOCAL", "ACCEPT");
}

static void add_services(const struct frame *frame)
{
    say(frame, TABLE_NAT, "KUBE-SERVICES", "-s %s -j RETURN",
        frame->family == FAMILY_IPV4 ? "127.0.0.0/8" : "::1/128");
    ask(frame, TABLE_NAT, "KUBE-SERVICES", "-m addrtype --src-type LOCAL ", SET_INSIDE, "dst,dst",
        "KUBE-MARK-MASQ");
    ask(frame, TABLE_NAT, "KUBE-SERVICES", "", SET_LOAD_BALANCER, "dst,dst", "KUBE-LOAD-BALANCER");
    add_cluster_ip(frame);
    ask(frame, TABLE_NAT, "KUBE-SERVICES", "", SET_EXTERNAL_IP, "dst,dst", "KUBE-MARK-MASQ");
    add_external_ip(frame, SET_EXTERNAL_IP);
    add_external_ip(frame, SET_EXTERNAL_IP_LOCAL);
    say(frame, TABLE_NAT, "KUBE-SERVICES",
        "-m addrtype --dst-type LOCAL -m set ! --match-set %s dst -j KUBE-NODE-PORT",
        set(frame, SET_IPVS_IPS));
    say(frame, TABLE_NAT, "KUBE-SERVICES", "-m set --match-set %s dst,dst -j ACCEPT",
        set(frame, SET_CLUSTER_IP));
    say(frame, TABLE_NAT, "KUBE-SERVICES", "-m set --match-set %s dst,dst -j ACCEPT",
        set(frame, SET_LOAD_BALANCER));
    ask(frame, TABLE_NAT, "KUBE-LOAD-BALANCER", "", SET_LOAD_BALANCER_LOCAL, "dst,dst", "RETURN");
    say(frame, TABLE_NAT, "KUBE-LOAD-BALANCER", "-j KUBE-MARK-MASQ");
}

static void add_node_ports(const struct frame *frame)
{
    static const struct {
        const char *protocol, *directions;
        enum set_name local, all;
    } kinds[] = {{"-p tcp ", "dst", SET_NODE_PORT_LOCAL_TCP, SET_NODE_PORT_TCP},
                 {"-p udp ", "dst", SET_NODE_PORT_LOCAL_UDP, SET_NODE_PORT_UDP},
                 {"-p sctp ", "dst,dst", SET_NODE_PORT_LOCAL_SCTP, SET_NODE_PORT_SCTP}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        ask(frame, TABLE_NAT, "KUBE-NODE-PORT", kinds[i].protocol, kinds[i].local, kinds[i].directions,
            "RETURN");
        ask(frame, TABLE_NAT, "KUBE-NODE-PORT", kinds[i].protocol, kinds[i].all, kinds[i].directions,
            "KUBE-MARK-MASQ");
    }
}

/* IPVS finds the connection of an answer by the endpoint, and by address and port that the client had before
 * any masquerading (ip_vs_conn_out_get); conntrack is not asked. So another node that passes an answer to a
 * port of ours on takes it for one of a socket of ours that has the same port and came to that endpoint
 * through that node's virtual servers. Hence ports that no socket gets by itself: below
 * net.ipv4.ip_local_port_range. */
static void add_masquerade(const struct frame *frame)
{
    static const char *const protocols[] = {"tcp", "udp", "sctp"};
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        say(frame, TABLE_NAT, "FAIRLEAD-MASQUERADE",
            "-p %s -j MASQUERADE --to-ports 1024-32767 --random-fully", protocols[i]);
    say(frame, TABLE_NAT, "FAIRLEAD-MASQUERADE", "-j MASQUERADE --random-fully");
}

/* What is to be masqueraded is noted on the connection, too: a mark of ours has no room for it, because a
 * virtual server is found by it. */
static void add_masquerading(const struct frame *frame)
{
    unsigned mark = frame->node->masquerade_mark;
    unsigned tag = mark_tag(mark), tag_mask = mark_tag_mask(mark);
    ask(frame, TABLE_NAT, "KUBE-POSTROUTING", "", SET_LOOP_BACK, "dst,dst,src", "MASQUERADE");
    say(frame, TABLE_NAT, "KUBE-POSTROUTING",
        "-m comment --comment \"fairlead: noted on the connection\" -m connmark --mark 0x%x/0x%x -j "
        "FAIRLEAD-MASQUERADE",
        mark, mark);
    say(frame, TABLE_NAT, "KUBE-POSTROUTING", "-m mark ! --mark 0x%x/0x%x -j RETURN", mark, mark);
    say(frame, TABLE_NAT, "KUBE-POSTROUTING", "-j MARK --set-xmark 0x%x/0x0", mark);
    say(frame, TABLE_NAT, "KUBE-POSTROUTING",
        "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j FAIRLEAD-MASQUERADE");
    say(frame, TABLE_NAT, "KUBE-MARK-MASQ", "-j CONNMARK --set-xmark 0x%x/0x%x", mark, mark);
    say(frame, TABLE_NAT, "KUBE-MARK-MASQ", "-m mark ! --mark 0x%x/0x%x -j MARK --set-xmark 0x%x/0x%x", tag,
        tag_mask, mark, mark);
    add_masquerade(frame);
}

/* --- filter: what may pass --- */

static void add_passing(const struct frame *frame)
{
    unsigned mark = frame->node->masquerade_mark;
    say(frame, TABLE_FILTER, "KUBE-FORWARD",
        "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x%x/0x%x -j ACCEPT", mark,
        mark);
    say(frame, TABLE_FILTER, "KUBE-FORWARD",
        "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate "
        "RELATED,ESTABLISHED -j ACCEPT");
    ask(frame, TABLE_FILTER, "KUBE-NODE-PORT", "", SET_HEALTH_CHECK_NODE_PORT, "dst", "ACCEPT");
    ask(frame, TABLE_FILTER, "KUBE-PROXY-FIREWALL", "-m conntrack --ctstate NEW ", SET_LOAD_BALANCER_FW,
        "dst,dst", "KUBE-SOURCE-RANGES-FIREWALL");
    add_source_ranges(frame, TABLE_FILTER, "KUBE-SOURCE-RANGES-FIREWALL", "-j DROP");
}

/* Ports that an address on kube-ipvs0 does not have must not lead to what listens on this node. */
static void add_refusals(const struct frame *frame)
{
    static const struct {
        enum set_name name;
        const char *directions;
    } known[] = {{SET_LOAD_BALANCER, "dst,dst"},
                 {SET_CLUSTER_IP, "dst,dst"},
                 {SET_EXTERNAL_IP, "dst,dst"},
                 {SET_EXTERNAL_IP_LOCAL, "dst,dst"},
                 {SET_HEALTH_CHECK_NODE_PORT, "dst"}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        say(frame, TABLE_FILTER, "KUBE-IPVS-FILTER", "-m set --match-set %s %s -j RETURN",
            set(frame, known[i].name), known[i].directions);
    say(frame, TABLE_FILTER, "KUBE-IPVS-FILTER",
        "-m conntrack --ctstate NEW -m set --match-set %s dst -j REJECT --reject-with %s",
        set(frame, SET_IPVS_IPS), words_unreachable(frame->family));
}

/* At the end of chains that kube-proxy empties: so that the two are never in force together. */
static void add_unallocated(const struct frame *frame)
{
    for (uint32_t i = 0; i < frame->node->service_cidr_count; i++) {
        const struct prefix *range = &frame->node->service_cidrs[i];
        static const char *const where[] = {"KUBE-FORWARD", "KUBE-IPVS-OUT-FILTER"};
        char text[PREFIX_TEXT_MAX];
        if (address_family(&range->address) != frame->family)
            continue;
        for (int chain = 0; chain < 2; chain++)
            say(frame, TABLE_FILTER, where[chain],
                "-d %s -m comment --comment \"fairlead: no service has this address\" -m set ! --match-set "
                "%s "
                "dst -j DROP",
                prefix_format(range, text), set(frame, SET_IPVS_IPS));
    }
}

void frame_build(const struct dataplane_node *node, enum family family, struct layout *ret)
{
    struct frame frame = {.layout = ret, .node = node, .family = family};
    layout_init(ret);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        layout_chain(ret, chains[i].table, chains[i].name);
    layout_add_jumps(ret, &frame_own_rules);
    add_marks(&frame);
    add_own_source_ranges(&frame);
    add_services(&frame);
    add_node_ports(&frame);
    add_masquerading(&frame);
    add_passing(&frame);
    add_refusals(&frame);
    add_unallocated(&frame);
    layout_sort(ret);
}
