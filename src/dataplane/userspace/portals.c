/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/userspace/portals.h"

#include "base/cleanup.h"
#include "dataplane/rules/words.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum layout_table table;
    const char *name;
} chains[PORTAL_CHAIN_COUNT] = {
    [PORTAL_CONTAINER] = {TABLE_NAT, "KUBE-PORTALS-CONTAINER"},
    [PORTAL_HOST] = {TABLE_NAT, "KUBE-PORTALS-HOST"},
    [PORTAL_NODE_CONTAINER] = {TABLE_NAT, "KUBE-NODEPORT-CONTAINER"},
    [PORTAL_NODE_HOST] = {TABLE_NAT, "KUBE-NODEPORT-HOST"},
    [PORTAL_SERVERS] = {TABLE_FILTER, "KUBE-NODEPORT-NON-LOCAL"},
    [PORTAL_REFUSED] = {TABLE_FILTER, "FAIRLEAD-PORTALS"},
};

enum layout_table portals_chain_table(enum portal_chain chain)
{
    return chains[chain].table;
}

const char *portals_chain_name(enum portal_chain chain)
{
    return chains[chain].name;
}

#define NOT_ESTABLISHED "-m conntrack --ctstate INVALID,NEW,RELATED,UNTRACKED "
#define NEW_PORTALS                                                                                          \
    "-m conntrack --ctstate NEW -m comment --comment \"fairlead: refused portals\" -j FAIRLEAD-PORTALS"
static const struct own_jump jumps[] = {
    {TABLE_NAT, "PREROUTING", "-m comment --comment \"fairlead: service portals\" -j KUBE-PORTALS-CONTAINER"},
    {TABLE_NAT, "OUTPUT", "-m comment --comment \"fairlead: service portals\" -j KUBE-PORTALS-HOST"},
    {TABLE_FILTER, "INPUT",
     NOT_ESTABLISHED
     "-m comment --comment \"fairlead: what was led to the proxy\" -j KUBE-NODEPORT-NON-LOCAL"},
    {TABLE_FILTER, "INPUT", NEW_PORTALS},
    {TABLE_FILTER, "FORWARD", NEW_PORTALS},
    {TABLE_FILTER, "OUTPUT", NEW_PORTALS},
};

static bool has_chain(enum layout_table table, const char *chain)
{
    bool has = false;
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        has |= chains[i].table == table && strcmp(chains[i].name, chain) == 0;
    return has;
}

const struct own_rules portals_own_rules = {
    .jumps = jumps, .jump_count = ARRAY_LEN(jumps), .has_chain = has_chain};

/* One frontend on its way into the rules. */
struct draft {
    const struct entry *entry;
    const struct frontend *frontend;
    const struct dataplane_node *node;
    struct text *rules; /* of the family, by chain */
    char name[256];     /* "namespace/name:port" */
    const char *proto;  /* "tcp" */
    char to[PREFIX_TEXT_MAX + 8];
    uint16_t main, shortcut; /* ports of sockets; 0: none */
};

/* source: "-s 10.0.0.0/8", interface: "-i cbr0", or "" */
static void lead(const struct draft *draft, enum portal_chain chain, const char *source,
                 const char *interface, uint16_t port)
{
    if (!port)
        return;
    text_printf(&draft->rules[chain],
                "%s%s%s-p %s -m comment --comment \"%s\" -m %s --dport %u -j REDIRECT --to-ports %u\n",
                source, draft->to, interface, draft->proto, draft->name, draft->proto, draft->frontend->port,
                port);
}

/* What comes in from elsewhere, of one range of sources (NULL: all). Pods of this node are no outsiders where
 * the frontend short-circuits. */
static void lead_in(const struct draft *draft, enum portal_chain chain, const struct prefix *range)
{
    const struct frontend *frontend = draft->frontend;
    const struct node_view *view = draft->node->view;
    const struct prefix *cidr = &view->cluster_cidr[frontend->family];
    char source[PREFIX_TEXT_MAX + 8] = "", text[PREFIX_TEXT_MAX];
    struct words_pods pods;
    if (range)
        snprintf(source, sizeof(source), "-s %s ", prefix_format(range, text));
    if (frontend->short_circuits && words_pods(view, frontend->family, true, &pods)) {
        if (!*pods.source)
            lead(draft, chain, source, pods.interface, draft->shortcut);
        else if (!range || prefix_covers(range, cidr))
            lead(draft, chain, pods.source, "", draft->shortcut);
        else if (prefix_covers(cidr, range))
            lead(draft, chain, source, "", draft->shortcut);
    }
    lead(draft, chain, source, "", draft->main);
}

static void lead_all(const struct draft *draft)
{
    const struct frontend *frontend = draft->frontend;
    bool is_node_port = frontend->kind == FRONTEND_NODE_PORT;
    enum portal_chain in = is_node_port ? PORTAL_NODE_CONTAINER : PORTAL_CONTAINER;
    enum portal_chain out = is_node_port ? PORTAL_NODE_HOST : PORTAL_HOST;
    uint16_t host = frontend->short_circuits ? draft->shortcut : draft->main;
    if (!frontend->is_source_ranged) {
        lead_in(draft, in, NULL);
        lead(draft, out, "", "", host);
        return;
    }
    for (uint32_t i = 0; i < draft->entry->source_range_count; i++) {
        const struct prefix *range = &draft->entry->source_ranges[i];
        char source[PREFIX_TEXT_MAX + 8], text[PREFIX_TEXT_MAX];
        if (address_family(&range->address) != frontend->family)
            continue;
        snprintf(source, sizeof(source), "-s %s ", prefix_format(range, text));
        lead_in(draft, in, range);
        lead(draft, out, source, "", host);
    }
}

/* --- what was led nowhere --- */

static void refuse_at(const struct draft *draft, const char *to, const char *local, const char *why,
                      bool is_reject)
{
    text_printf(&draft->rules[PORTAL_REFUSED],
                "%s-p %s -m comment --comment \"%s %s\" %s-m %s --dport %u -j %s%s\n", to, draft->proto,
                draft->name, why, local, draft->proto, draft->frontend->port,
                is_reject ? "REJECT --reject-with " : "DROP",
                is_reject ? words_unreachable(draft->frontend->family) : "");
}

#define DST_LOCAL "-m addrtype --dst-type LOCAL "

static void refuse(const struct draft *draft, const char *why, bool is_reject)
{
    const struct frontend *frontend = draft->frontend;
    const struct dataplane_node *node = draft->node;
    if (frontend->kind != FRONTEND_NODE_PORT) {
        refuse_at(draft, draft->to, "", why, is_reject);
    } else if (node->are_node_ports_everywhere[frontend->family]) {
        refuse_at(draft, words_except_loopback(node, frontend->family), DST_LOCAL, why, is_reject);
    } else {
        for (uint32_t i = 0; i < node->node_port_address_count; i++) {
            struct prefix host = prefix_of(&node->node_port_addresses[i]);
            char to[PREFIX_TEXT_MAX + 8], text[PREFIX_TEXT_MAX];
            if (!words_has_node_ports(node, frontend->family, &host.address))
                continue;
            snprintf(to, sizeof(to), "-d %s ", prefix_format(&host, text));
            refuse_at(draft, to, "", why, is_reject);
        }
    }
}

static void add_frontend(struct draft *draft, const struct portal_sockets *sockets)
{
    const struct frontend *frontend = draft->frontend;
    bool has_backends = frontend->verdict == FRONTEND_FORWARD && frontend->backends->count > 0;
    if (has_backends)
        draft->main =
            sockets->port_of(sockets->context, frontend->family, frontend->port_index, frontend->is_local);
    if (frontend->verdict != FRONTEND_REJECT && frontend->short_circuits && frontend->shortcut->count > 0)
        draft->shortcut = sockets->port_of(sockets->context, frontend->family, frontend->port_index, false);
    if (draft->main || draft->shortcut)
        lead_all(draft);
    if (frontend->protocol == PROTOCOL_SCTP && has_backends)
        refuse(draft, "has no SCTP in this mode", true);
    else if (frontend->is_source_ranged && frontend->verdict != FRONTEND_REJECT)
        refuse(draft, "is not open to all sources", false);
    else if (!has_backends)
        refuse(draft, frontend->verdict == FRONTEND_REJECT ? "has no endpoints" : "has no local endpoints",
               frontend->verdict == FRONTEND_REJECT);
    if (frontend->kind == FRONTEND_NODE_PORT && sockets->is_held(sockets->context, frontend))
        refuse_at(draft, "", DST_LOCAL, "is not served on this address", true);
}

/* Ports that a service does not have: what meets this rule was not led anywhere. */
static void add_cluster_ips(const struct entry *entry, struct portals *ret)
{
    for (uint32_t i = 0; i < entry->cluster_ip_count; i++) {
        struct prefix host = prefix_of(&entry->cluster_ips[i]);
        enum family family = address_family(&host.address);
        char text[PREFIX_TEXT_MAX];
        text_printf(&ret->rules[family][PORTAL_REFUSED],
                    "-d %s -m comment --comment \"%s has no such port\" -j REJECT --reject-with %s\n",
                    prefix_format(&host, text), entry->name, words_unreachable(family));
    }
}

/* The socket is for what was led to it, else it would be a way round policies and source ranges. Its chain
 * has two rules for each service port, so packets of established connections, which were asked once, pass by.
 */
static void add_server(const char *name, const char *proto, enum family family, uint16_t port,
                       struct text *rules)
{
    if (port)
        text_printf(
            rules,
            "-p %s -m comment --comment \"%s\" -m %s --dport %u -m conntrack --ctstate DNAT -j ACCEPT\n"
            "-p %s -m comment --comment \"%s\" -m %s --dport %u -j REJECT --reject-with %s\n",
            proto, name, proto, port, proto, name, proto, port, words_unreachable(family));
}

/* "namespace/name:port/TCP" without the protocol. */
static void name_port(const char *full, char ret[256])
{
    snprintf(ret, 256, "%s", full);
    char *end = strrchr(ret, '/');
    if (end)
        *end = '\0';
}

static void add_servers(const struct entry *entry, const struct portal_sockets *sockets, struct portals *ret)
{
    for (uint32_t port = 0; port < entry->port_count; port++) {
        char name[256];
        name_port(entry->port_names[port], name);
        bool is_udp = strcmp(strrchr(entry->port_names[port], '/'), "/UDP") == 0;
        for (int family = 0; family < FAMILY_COUNT; family++)
            for (int is_local = 0; is_local < 2; is_local++)
                add_server(name, is_udp ? "udp" : "tcp", (enum family)family,
                           sockets->port_of(sockets->context, (enum family)family, port, is_local),
                           &ret->rules[family][PORTAL_SERVERS]);
    }
}

void portals_build(const struct entry *entry, const struct dataplane_node *node,
                   const struct portal_sockets *sockets, struct portals *ret)
{
    for (uint32_t i = 0; i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        struct prefix host = prefix_of(&frontend->address);
        char text[PREFIX_TEXT_MAX];
        if (frontend->is_shadowed)
            continue;
        struct draft draft = {.entry = entry,
                              .frontend = frontend,
                              .node = node,
                              .rules = ret->rules[frontend->family],
                              .proto = protocol_name_lower((enum protocol)frontend->protocol)};
        name_port(entry->port_names[frontend->port_index], draft.name);
        if (frontend->kind != FRONTEND_NODE_PORT)
            snprintf(draft.to, sizeof(draft.to), "-d %s ", prefix_format(&host, text));
        add_frontend(&draft, sockets);
    }
    add_cluster_ips(entry, ret);
    add_servers(entry, sockets, ret);
}

void portals_done(struct portals *portals)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int chain = 0; chain < PORTAL_CHAIN_COUNT; chain++)
            text_done(&portals->rules[family][chain]);
    *portals = (struct portals){0};
}

bool portals_is_same(const struct portals *a, const struct portals *b)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (int chain = 0; chain < PORTAL_CHAIN_COUNT; chain++)
            if (strcmp(text_str(&a->rules[family][chain]), text_str(&b->rules[family][chain])) != 0)
                return false;
    return true;
}

/* --- all services together --- */

void portals_layout_begin(struct layout *ret)
{
    layout_init(ret);
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        layout_chain(ret, chains[i].table, chains[i].name);
    layout_add_jumps(ret, &portals_own_rules);
    layout_sort(ret);
}

static void add_rules(struct layout *layout, enum portal_chain chain, const struct text *rules)
{
    layout_add_rules(layout, layout_chain(layout, chains[chain].table, chains[chain].name), text_str(rules));
}

void portals_layout_add(struct layout *layout, enum family family, const struct portals *portals)
{
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        add_rules(layout, (enum portal_chain)i, &portals->rules[family][i]);
}

/* The node's own addresses lead to the node ports, behind everything else. */
static void add_node_ports(struct layout *layout, enum family family, const struct dataplane_node *node,
                           enum portal_chain from, enum portal_chain to)
{
    struct text rules = {0};
    if (node->are_node_ports_everywhere[family])
        text_printf(&rules, "%s" DST_LOCAL "-j %s\n", words_except_loopback(node, family), chains[to].name);
    for (uint32_t i = 0; !node->are_node_ports_everywhere[family] && i < node->node_port_address_count; i++) {
        struct prefix host = prefix_of(&node->node_port_addresses[i]);
        char text[PREFIX_TEXT_MAX];
        if (words_has_node_ports(node, family, &host.address))
            text_printf(&rules, "-d %s -j %s\n", prefix_format(&host, text), chains[to].name);
    }
    add_rules(layout, from, &rules);
    text_done(&rules);
}

void portals_layout_end(struct layout *layout, enum family family, const struct dataplane_node *node)
{
    struct text rules = {0};
    add_node_ports(layout, family, node, PORTAL_CONTAINER, PORTAL_NODE_CONTAINER);
    add_node_ports(layout, family, node, PORTAL_HOST, PORTAL_NODE_HOST);
    for (uint32_t i = 0; i < node->service_cidr_count; i++) {
        char text[PREFIX_TEXT_MAX];
        if (address_family(&node->service_cidrs[i].address) == family)
            text_printf(&rules, "-d %s -m comment --comment \"no service has this address\" -j DROP\n",
                        prefix_format(&node->service_cidrs[i], text));
    }
    add_rules(layout, PORTAL_REFUSED, &rules);
    text_done(&rules);
}
