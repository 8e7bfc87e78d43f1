/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/layout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const table_names[TABLE_COUNT] = {"mangle", "nat", "filter"};

static struct layout_chain *chain_get(struct layout *layout, enum layout_table table, const char *name)
{
    char key[64 + CHAIN_NAME_MAX];
    struct layout_chain *chain;
    size_t len = (size_t)snprintf(key, sizeof(key), "%s %s", table_names[table], name);
    HASH_FIND(hh, layout->chains, key, len, chain);
    if (chain)
        return chain;
    chain = arena_alloc(&layout->arena, sizeof(*chain));
    chain->key = arena_strdup(&layout->arena, key);
    chain->name = chain->key + strlen(table_names[table]) + 1;
    chain->table = table;
    chain->is_ordered = true;
    HASH_ADD_KEYPTR(hh, layout->chains, chain->key, len, chain);
    return chain;
}

static const struct layout_chain *chain_find(const struct layout *layout, const struct layout_chain *like)
{
    struct layout_chain *chain;
    HASH_FIND(hh, layout->chains, like->key, strlen(like->key), chain);
    return chain;
}

static void chain_add(struct layout *layout, struct layout_chain *chain, const char *rule)
{
    if (chain->count == chain->capacity) {
        uint32_t capacity = chain->capacity ? chain->capacity * 2 : 4;
        const char **rules = arena_array(&layout->arena, const char *, capacity);
        if (chain->count)
            memcpy(rules, chain->rules, chain->count * sizeof(*rules));
        chain->rules = rules;
        chain->capacity = capacity;
    }
    chain->rules[chain->count++] = rule;
}

__attribute__((format(printf, 4, 5))) static void say(struct layout *layout, enum layout_table table,
                                                      const char *name, const char *format, ...)
{
    char rule[512];
    va_list args;
    va_start(args, format);
    vsnprintf(rule, sizeof(rule), format, args);
    va_end(args);
    chain_add(layout, chain_get(layout, table, name), arena_strdup(&layout->arena, rule));
}

/* Which of the kernel's chains lead to ours (proxier.go, iptablesJumpChains). In the order of the rules. */
static const struct {
    enum layout_table table;
    const char *from, *rule;
} jumps[] = {
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

static const struct {
    enum layout_table table;
    const char *name;
} base_chains[] = {
    {TABLE_FILTER, "INPUT"},   {TABLE_FILTER, "FORWARD"}, {TABLE_FILTER, "OUTPUT"},
    {TABLE_NAT, "PREROUTING"}, {TABLE_NAT, "OUTPUT"},     {TABLE_NAT, "POSTROUTING"},
};

const char *layout_table_name(enum layout_table table)
{
    return table_names[table];
}

bool layout_has_table(const char *table)
{
    bool has = false;
    for (int i = 0; i < TABLE_COUNT; i++)
        has |= strcmp(table_names[i], table) == 0;
    return has;
}

bool layout_has_chain(const char *table, const char *chain)
{
    bool has = strcmp(table, table_names[TABLE_NAT]) == 0 && chain_name_is_of_service(chain);
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]) && !has; i++)
        has = strcmp(always[i].name, chain) == 0 && strcmp(table_names[always[i].table], table) == 0;
    return has;
}

int layout_base(const char *table, const char *chain)
{
    for (int i = 0; i < layout_base_count(); i++)
        if (strcmp(base_chains[i].name, chain) == 0 && strcmp(table_names[base_chains[i].table], table) == 0)
            return i;
    return -1;
}

int layout_base_count(void)
{
    return (int)(sizeof(base_chains) / sizeof(base_chains[0]));
}

void layout_base_name(int base, const char **ret_table, const char **ret_chain)
{
    *ret_table = table_names[base_chains[base].table];
    *ret_chain = base_chains[base].name;
}

static void add_frame(struct layout *layout)
{
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        chain_get(layout, always[i].table, always[i].name);
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct layout_chain *chain = chain_get(layout, jumps[i].table, jumps[i].from);
        chain->is_base = true;
        chain_add(layout, chain, jumps[i].rule);
    }
}

/* What goes by the node alone: the mark, masquerading, what may be forwarded, loopback. */
static void add_node_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    unsigned mark = node->masquerade_mark;
    say(layout, TABLE_NAT, "KUBE-POSTROUTING", "-m mark ! --mark 0x%x/0x%x -j RETURN", mark, mark);
    say(layout, TABLE_NAT, "KUBE-POSTROUTING", "-j MARK --set-xmark 0x%x/0x0", mark);
    say(layout, TABLE_NAT, "KUBE-POSTROUTING",
        "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully");
    say(layout, TABLE_NAT, "KUBE-MARK-MASQ", "-j MARK --set-xmark 0x%x/0x%x", mark, mark);
    if (!node->is_conntrack_liberal)
        say(layout, TABLE_FILTER, "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP");
    say(layout, TABLE_FILTER, "KUBE-FORWARD",
        "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x%x/0x%x -j ACCEPT", mark,
        mark);
    say(layout, TABLE_FILTER, "KUBE-FORWARD",
        "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate "
        "RELATED,ESTABLISHED -j ACCEPT");
    if (family == FAMILY_IPV4 && node->has_localhost_node_ports)
        say(layout, TABLE_FILTER, "KUBE-FIREWALL",
            "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m "
            "conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP");
}

#define CLUSTER_IPS "FAIRLEAD-CLUSTER-IPS"

/* All that leads to what is fairlead's own stands at the end of a chain of kube-proxy's that kube-proxy
 * empties whenever it begins or cleans up: so its rules and fairlead's are never in force together. */
static void add_own_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    struct layout_chain *services = chain_get(layout, TABLE_FILTER, "KUBE-SERVICES");
    struct layout_chain *own = chain_get(layout, TABLE_FILTER, CLUSTER_IPS);
    uint32_t before = services->count;
    say(layout, TABLE_FILTER, "KUBE-SERVICES",
        "-m comment --comment \"fairlead: the node itself is refused as well\" -j KUBE-EXTERNAL-SERVICES");
    for (uint32_t i = 0; i < node->service_cidr_count; i++) {
        const struct prefix *range = &node->service_cidrs[i];
        char text[PREFIX_TEXT_MAX];
        if (address_family(&range->address) != family)
            continue;
        prefix_format(range, text);
        say(layout, TABLE_FILTER, "KUBE-SERVICES",
            "-d %s -m comment --comment \"fairlead: what no service has\" -j " CLUSTER_IPS, text);
        say(layout, TABLE_FILTER, CLUSTER_IPS,
            "-d %s -m comment --comment \"no service has this address\" -j DROP", text);
        own->tail++;
    }
    services->tail = services->count - before;
}

static struct layout_chain *shared_chain(struct layout *layout, enum shared_chain chain)
{
    bool is_nat = strcmp(shared_chain_table(chain), "nat") == 0;
    return chain_get(layout, is_nat ? TABLE_NAT : TABLE_FILTER, shared_chain_name(chain));
}

static void add_portion(struct layout *layout, const struct portion *portion)
{
    for (uint32_t i = 0; i < portion->shared_count; i++)
        chain_add(layout, shared_chain(layout, portion->shared[i].chain), portion->shared[i].rule);
    for (uint32_t i = 0; i < portion->chain_count; i++) {
        struct layout_chain *chain = chain_get(layout, TABLE_NAT, portion->chains[i].name);
        char *rest = arena_strdup(&layout->arena, portion->chains[i].rules);
        for (char *line; (line = strsep(&rest, "\n"));)
            if (*line)
                chain_add(layout, chain, line);
    }
}

#define NODE_PORTS_COMMENT                                                                                   \
    "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" "

/* Loopback only where route_localnet makes it work, which IPv6 does not have. */
static void add_node_port_rules(struct layout *layout, const struct dataplane_node *node, enum family family)
{
    struct layout_chain *services = chain_get(layout, TABLE_NAT, "KUBE-SERVICES");
    bool is_loopback_served = family == FAMILY_IPV4 && node->has_localhost_node_ports;
    uint32_t before = services->count;
    if (node->are_node_ports_everywhere[family])
        say(layout, TABLE_NAT, "KUBE-SERVICES",
            "%s" NODE_PORTS_COMMENT "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            family == FAMILY_IPV6 ? "! -d ::1/128 "
            : is_loopback_served  ? ""
                                  : "! -d 127.0.0.0/8 ");
    for (uint32_t i = 0; !node->are_node_ports_everywhere[family] && i < node->node_port_address_count; i++) {
        const struct address *address = &node->node_port_addresses[i];
        struct prefix host = prefix_of(address);
        char text[PREFIX_TEXT_MAX];
        if (address_family(address) == family && (is_loopback_served || !address_is_loopback(address)))
            say(layout, TABLE_NAT, "KUBE-SERVICES", "-d %s " NODE_PORTS_COMMENT "-j KUBE-NODEPORTS",
                prefix_format(&host, text));
    }
    services->tail = services->count - before;
}

/* iptables-restore of the nft backend keeps its chains sorted, and finds the place of the next one from the
 * end: in any other order 20,000 chains take it minutes (1.8.9). */
static int chain_order(const struct layout_chain *a, const struct layout_chain *b)
{
    return a->table != b->table ? (int)a->table - (int)b->table : strcmp(a->name, b->name);
}

void layout_build(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                  enum family family, bool is_brief, struct layout *ret)
{
    *ret = (struct layout){0};
    arena_init(&ret->arena);
    add_frame(ret);
    add_node_rules(ret, node, family);
    for (int shared = 0; shared < SHARED_COUNT; shared++)
        shared_chain(ret, (enum shared_chain)shared)->is_ordered = false;
    for (size_t i = 0; i < count; i++) {
        struct portion portion;
        portion_build(entries[i], family, node->view, is_brief, &ret->arena, &portion);
        add_portion(ret, &portion);
    }
    add_node_port_rules(ret, node, family);
    add_own_rules(ret, node, family);
    HASH_SORT(ret->chains, chain_order);
}

void layout_done(struct layout *layout)
{
    HASH_CLEAR(hh, layout->chains);
    arena_done(&layout->arena);
}

enum { NO_TABLE = -2, OTHER_TABLE = -1 }; /* raw and security are not ours */

/* "*nat", ":CHAIN POLICY [1:2]", "-A CHAIN rule", "COMMIT", comments. Counters ahead of a rule do not come
 * without -c. */
static int parse_line(struct layout *layout, char *line, int *table, struct err *err)
{
    if (*line == '*') {
        *table = OTHER_TABLE;
        for (int i = 0; i < TABLE_COUNT; i++)
            if (strcmp(line + 1, table_names[i]) == 0)
                *table = i;
        return 0;
    }
    if (strcmp(line, "COMMIT") == 0)
        *table = NO_TABLE;
    if (*table == OTHER_TABLE || *line == '#' || *line == '\0' || strcmp(line, "COMMIT") == 0)
        return 0;
    char *name = *line == ':' ? line + 1 : strncmp(line, "-A ", 3) == 0 ? line + 3 : NULL;
    char *end = name ? strchr(name, ' ') : NULL;
    if (*table == NO_TABLE || !end || end - name >= 64)
        return err_set(err, EINVAL, "iptables-save printed \"%.60s\", which is neither chain nor rule", line);
    *end = '\0';
    struct layout_chain *chain = chain_get(layout, (enum layout_table) * table, name);
    if (*line == '-')
        chain_add(layout, chain, end + 1);
    return 0;
}

int layout_parse(const char *saved, struct layout *ret, struct err *err)
{
    *ret = (struct layout){0};
    arena_init(&ret->arena);
    char *rest = arena_strdup(&ret->arena, saved);
    int table = NO_TABLE, code = 0;
    for (char *line; code == 0 && (line = strsep(&rest, "\n"));)
        code = parse_line(ret, line, &table, err);
    if (code == 0 && table != NO_TABLE)
        code = err_set(err, EINVAL, "iptables-save ended within a table");
    HASH_SORT(ret->chains, chain_order);
    if (code < 0)
        layout_done(ret);
    return code;
}

static int rule_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool same_rules(const char *const *a, const char *const *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Sorts what may come in any order: have's order is lost by it, which nobody needs any more. */
static bool is_as_wanted(const struct layout_chain *have, const struct layout_chain *want)
{
    if (!have || have->count != want->count)
        return false;
    uint32_t loose = want->is_ordered ? 0 : want->count - want->tail;
    if (!want->is_ordered && loose > 0) { /* qsort wants a list, even of nothing */
        qsort(have->rules, loose, sizeof(*have->rules), rule_order);
        qsort(want->rules, loose, sizeof(*want->rules), rule_order);
    }
    return same_rules(have->rules, want->rules, want->count);
}

static bool has_rule(const struct layout_chain *chain, const char *rule)
{
    for (uint32_t i = 0; chain && i < chain->count; i++)
        if (strcmp(chain->rules[i], rule) == 0)
            return true;
    return false;
}

/* Rules in front of those of others, in our order. */
static uint32_t insert_jumps(const struct layout_chain *have, const struct layout_chain *want,
                             struct text *ret)
{
    uint32_t added = 0;
    for (uint32_t i = want->count; i-- > 0;) {
        if (has_rule(have, want->rules[i]))
            continue;
        text_printf(ret, "-I %s %s\n", want->name, want->rules[i]);
        added++;
    }
    return added;
}

/* Chains of services are this mode's alone: they go only where a layout of it is wanted. */
static bool is_stale(const struct layout_chain *have, const struct layout *want)
{
    return layout_holds_chain(want, TABLE_NAT, "KUBE-SERVICES") && have->table == TABLE_NAT &&
           chain_name_is_of_service(have->name) && !chain_find(want, have);
}

static uint32_t table_difference(const struct layout *have, const struct layout *want,
                                 enum layout_table table, struct text *ret)
{
    struct text head = {0}, rules = {0};
    uint32_t added = 0;
    for (const struct layout_chain *chain = want->chains; chain; chain = chain->hh.next) {
        const struct layout_chain *found = chain_find(have, chain);
        if (chain->table != table)
            continue;
        if (chain->is_base)
            added += insert_jumps(found, chain, &rules);
        else if (!is_as_wanted(found, chain)) {
            text_printf(&head, ":%s - [0:0]\n", chain->name);
            for (uint32_t i = 0; i < chain->count; i++)
                text_printf(&rules, "-A %s %s\n", chain->name, chain->rules[i]);
            added += chain->count;
        }
    }
    for (const struct layout_chain *chain = have->chains; chain; chain = chain->hh.next) {
        if (chain->table != table || !is_stale(chain, want))
            continue;
        text_printf(&head, ":%s - [0:0]\n", chain->name);
        text_printf(&rules, "-X %s\n", chain->name);
    }
    if (head.len || rules.len)
        text_printf(ret, "*%s\n%s%sCOMMIT\n", table_names[table], text_str(&head), text_str(&rules));
    text_done(&head);
    text_done(&rules);
    return added;
}

uint32_t layout_difference(const struct layout *have, const struct layout *want, struct text *ret)
{
    uint32_t added = 0;
    for (int table = 0; table < TABLE_COUNT; table++)
        added += table_difference(have, want, (enum layout_table)table, ret);
    return added;
}

void layout_render(const struct layout *layout, struct text *ret)
{
    const struct layout_chain *chains = layout->chains;
    for (int table = 0; table < TABLE_COUNT; table++) {
        text_printf(ret, "*%s\n", table_names[table]);
        for (const struct layout_chain *chain = chains; chain; chain = chain->hh.next)
            if ((int)chain->table == table)
                text_printf(ret, ":%s %s [0:0]\n", chain->name, chain->is_base ? "ACCEPT" : "-");
        for (const struct layout_chain *chain = chains; chain; chain = chain->hh.next)
            for (uint32_t i = 0; (int)chain->table == table && i < chain->count; i++)
                text_printf(ret, "-A %s %s\n", chain->name, chain->rules[i]);
        text_add(ret, "COMMIT\n");
    }
}

/* --- layouts of other modes --- */

void layout_init(struct layout *ret)
{
    *ret = (struct layout){0};
    arena_init(&ret->arena);
}

void layout_add_chain(struct layout *layout, enum layout_table table, const char *name)
{
    chain_get(layout, table, name);
}

void layout_add_jump(struct layout *layout, enum layout_table table, const char *from, const char *rule)
{
    struct layout_chain *chain = chain_get(layout, table, from);
    chain->is_base = true;
    chain_add(layout, chain, arena_strdup(&layout->arena, rule));
}

void layout_add_rules(struct layout *layout, enum layout_table table, const char *name, const char *lines)
{
    struct layout_chain *chain = chain_get(layout, table, name);
    char *rest = arena_strdup(&layout->arena, lines);
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            chain_add(layout, chain, line);
}

static const struct layout_chain *chain_named(const struct layout *layout, enum layout_table table,
                                              const char *name)
{
    char key[64 + CHAIN_NAME_MAX];
    snprintf(key, sizeof(key), "%s %s", table_names[table], name);
    return chain_find(layout, &(struct layout_chain){.key = key});
}

bool layout_holds_chain(const struct layout *layout, enum layout_table table, const char *name)
{
    return chain_named(layout, table, name) != NULL;
}

bool layout_holds_rule(const struct layout *layout, enum layout_table table, const char *name,
                       const char *rule)
{
    return has_rule(chain_named(layout, table, name), rule);
}
