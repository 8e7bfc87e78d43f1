/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/iptables/portion.h"

#include "base/text.h"
#include "dataplane/rules/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pkg/proxy/iptables/proxier.go, syncProxyRules, is where the layout comes from; section A10. */

static const struct {
    const char *table, *name;
} shared_chains[SHARED_COUNT] = {
    [SHARED_NAT_SERVICES] = {"nat", "KUBE-SERVICES"},
    [SHARED_NAT_NODE_PORTS] = {"nat", "KUBE-NODEPORTS"},
    [SHARED_FILTER_SERVICES] = {"filter", "KUBE-SERVICES"},
    [SHARED_FILTER_EXTERNAL_SERVICES] = {"filter", "KUBE-EXTERNAL-SERVICES"},
    [SHARED_FILTER_NODE_PORTS] = {"filter", "KUBE-NODEPORTS"},
    [SHARED_FILTER_PROXY_FIREWALL] = {"filter", "KUBE-PROXY-FIREWALL"},
    [SHARED_FILTER_CLUSTER_IPS] = {"filter", "FAIRLEAD-CLUSTER-IPS"},
};

const char *shared_chain_table(enum shared_chain chain)
{
    return shared_chains[chain].table;
}

const char *shared_chain_name(enum shared_chain chain)
{
    return shared_chains[chain].name;
}

/* One service port in one family, on its way into a portion. */
struct port_draft {
    const struct entry *entry;
    const struct node_view *view;
    struct arena *arena;
    struct portion *portion;
    enum family family;
    enum protocol protocol;
    bool is_brief;
    const char *name;                          /* "namespace/name:port" */
    const char *proto;                         /* "tcp" */
    char chains[4][CHAIN_NAME_MAX];            /* by service_chain */
    const struct frontend *internal;           /* the cluster IP's; NULL when another service has it */
    const struct frontend *external;           /* any of the others: they share policy and sets */
    const struct backend_set *cluster, *local; /* NULL: no frontend uses it */
    uint32_t affinity_seconds;
};

/* An endpoint of the port: what the rules that choose it need to name. */
struct choice {
    const char *endpoint; /* "10.0.0.1:80" */
    const struct address *address;
    char chain[CHAIN_NAME_MAX];
};

__attribute__((format(printf, 3, 4))) static void share(struct port_draft *draft, enum shared_chain chain,
                                                        const char *format, ...)
{
    struct portion *portion = draft->portion;
    va_list args;
    va_start(args, format);
    portion->shared[portion->shared_count++] =
        (struct shared_rule){.chain = chain, .rule = arena_vprintf(draft->arena, format, args)};
    va_end(args);
}

static void own(struct port_draft *draft, const char *name, struct text *rules)
{
    struct portion *portion = draft->portion;
    portion->chains[portion->chain_count++] = (struct own_chain){
        .name = arena_strdup(draft->arena, name), .rules = arena_strdup(draft->arena, text_str(rules))};
    text_done(rules);
}

static int choice_order(const void *a, const void *b)
{
    return strcmp(((const struct choice *)a)->endpoint, ((const struct choice *)b)->endpoint);
}

/* In the order of their text, as kube-proxy's endpoint slice cache sorts them. */
static struct choice *choices_of(const struct port_draft *draft, const struct backend_set *set)
{
    struct choice *choices = arena_array(draft->arena, struct choice, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        char buffer[SOCKET_ADDRESS_TEXT_MAX];
        struct socket_address endpoint = {.address = set->list[i].address, .port = set->list[i].port};
        choices[i].endpoint = arena_strdup(draft->arena, socket_address_format(&endpoint, buffer));
        choices[i].address = &set->list[i].address;
        chain_name_endpoint(draft->name, draft->protocol, choices[i].endpoint, choices[i].chain);
    }
    qsort(choices, set->count, sizeof(*choices), choice_order);
    return choices;
}

/* xt_statistic keeps the probability as a fraction of 2^31; kube-proxy gives it with ten digits, and
 * iptables-save prints what is kept with eleven. */
static void add_probability(uint32_t choices, struct text *rules)
{
    double given = (double)((10000000000 + choices / 2) / choices) / 1e10;
    double kept = (double)(uint32_t)(given * 0x80000000u + 0.5) / 0x80000000u;
    text_printf(rules, "-m statistic --mode random --probability %.11f ", kept);
}

static const char *all_ones(enum family family)
{
    return family == FAMILY_IPV4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
}

/* The chain of a policy's endpoints, after what was said in it about masquerading. */
static void add_policy_chain(struct port_draft *draft, enum service_chain chain,
                             const struct backend_set *set, struct text *rules)
{
    const struct choice *choices = choices_of(draft, set);
    for (uint32_t i = 0; draft->affinity_seconds && i < set->count; i++) {
        if (!draft->is_brief)
            text_printf(rules, "-m comment --comment \"%s -> %s\" ", draft->name, choices[i].endpoint);
        text_printf(rules, "-m recent --rcheck --seconds %u --reap --name %s --mask %s --rsource -j %s\n",
                    draft->affinity_seconds, choices[i].chain, all_ones(draft->family), choices[i].chain);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (!draft->is_brief)
            text_printf(rules, "-m comment --comment \"%s -> %s\" ", draft->name, choices[i].endpoint);
        if (i + 1 < set->count)
            add_probability(set->count - i, rules);
        text_printf(rules, "-j %s\n", choices[i].chain);
    }
    own(draft, draft->chains[chain], rules);
}

static void add_endpoint_chain(struct port_draft *draft, const struct choice *choice)
{
    char comment[256] = "", host[PREFIX_TEXT_MAX];
    struct prefix whole = prefix_of(choice->address);
    struct text rules = {0};
    if (!draft->is_brief)
        snprintf(comment, sizeof(comment), "-m comment --comment \"%s\" ", draft->name);
    text_printf(&rules, "-s %s %s-j KUBE-MARK-MASQ\n", prefix_format(&whole, host), comment);
    text_printf(&rules, "-p %s %s", draft->proto, comment);
    if (draft->affinity_seconds)
        text_printf(&rules, "-m recent --set --name %s --mask %s --rsource ", choice->chain,
                    all_ones(draft->family));
    text_printf(&rules, "-m %s -j DNAT --to-destination %s\n", draft->proto, choice->endpoint);
    own(draft, choice->chain, &rules);
}

static void add_endpoint_chains(struct port_draft *draft)
{
    const struct backend_set *sets[] = {draft->cluster, draft->local};
    struct choice *all[2] = {NULL, NULL};
    for (int s = 0; s < 2; s++) {
        if (!sets[s])
            continue;
        all[s] = choices_of(draft, sets[s]);
        for (uint32_t i = 0; i < sets[s]->count; i++)
            if (s == 0 || !all[0] ||
                !bsearch(&all[s][i], all[0], sets[0]->count, sizeof(*all[0]), choice_order))
                add_endpoint_chain(draft, &all[s][i]);
    }
}

static const char *chain_of(const struct port_draft *draft, const struct frontend *frontend)
{
    return draft->chains[frontend->is_local ? SERVICE_CHAIN_LOCAL : SERVICE_CHAIN_CLUSTER];
}

static bool has_backends(const struct frontend *frontend)
{
    return frontend->verdict == FRONTEND_FORWARD && frontend->backends->count > 0;
}

/* "-d 10.96.0.1/32 ", nothing for a node port. */
static const char *destination(const struct frontend *frontend, char buffer[PREFIX_TEXT_MAX + 4])
{
    struct prefix host = prefix_of(&frontend->address);
    char text[PREFIX_TEXT_MAX];
    buffer[0] = '\0';
    if (frontend->kind != FRONTEND_NODE_PORT)
        snprintf(buffer, PREFIX_TEXT_MAX + 4, "-d %s ", prefix_format(&host, text));
    return buffer;
}

/* Nobody at all, or nobody whom the policy allows: what the filter table says then. */
static void refuse(struct port_draft *draft, enum shared_chain chain, const struct frontend *frontend)
{
    char to[PREFIX_TEXT_MAX + 4];
    bool is_reject = frontend->verdict == FRONTEND_REJECT;
    share(draft, chain, "%s-p %s -m comment --comment \"%s has no %sendpoints\" %s-m %s --dport %u -j %s%s",
          destination(frontend, to), draft->proto, draft->name, is_reject ? "" : "local ",
          frontend->kind == FRONTEND_NODE_PORT ? "-m addrtype --dst-type LOCAL " : "", draft->proto,
          frontend->port, is_reject ? "REJECT --reject-with " : "DROP",
          is_reject ? words_unreachable(draft->family) : "");
}

static void add_internal(struct port_draft *draft)
{
    const struct frontend *frontend = draft->internal;
    char to[PREFIX_TEXT_MAX + 4];
    if (has_backends(frontend))
        share(draft, SHARED_NAT_SERVICES,
              "%s-p %s -m comment --comment \"%s cluster IP\" -m %s --dport %u -j %s",
              destination(frontend, to), draft->proto, draft->name, draft->proto, frontend->port,
              chain_of(draft, frontend));
    else
        refuse(draft, SHARED_FILTER_SERVICES, frontend);
}

static void add_external(struct port_draft *draft, const struct frontend *frontend)
{
    static const char *const names[] = {[FRONTEND_EXTERNAL_IP] = " external IP",
                                        [FRONTEND_LOAD_BALANCER] = " loadbalancer IP",
                                        [FRONTEND_NODE_PORT] = ""};
    char to[PREFIX_TEXT_MAX + 4];
    destination(frontend, to);
    if (frontend->verdict != FRONTEND_REJECT)
        share(draft, frontend->kind == FRONTEND_NODE_PORT ? SHARED_NAT_NODE_PORTS : SHARED_NAT_SERVICES,
              "%s-p %s -m comment --comment \"%s%s\" -m %s --dport %u -j %s", to, draft->proto, draft->name,
              names[frontend->kind], draft->proto, frontend->port,
              draft->chains[frontend->is_source_ranged ? SERVICE_CHAIN_FIREWALL : SERVICE_CHAIN_EXTERNAL]);
    if (frontend->verdict != FRONTEND_REJECT && frontend->is_source_ranged)
        share(draft, SHARED_FILTER_PROXY_FIREWALL,
              "%s-p %s -m comment --comment \"%s traffic not accepted by %s\" -m %s --dport %u -j DROP", to,
              draft->proto, draft->name, draft->chains[SERVICE_CHAIN_FIREWALL], draft->proto, frontend->port);
    if (!has_backends(frontend))
        refuse(draft, SHARED_FILTER_EXTERNAL_SERVICES, frontend);
}

/* Packets to the cluster IP that get the node's address, said at the head of the chain that they go by. */
static void add_internal_masquerade(struct port_draft *draft, struct text *rules)
{
    const struct frontend *frontend = draft->internal;
    char to[PREFIX_TEXT_MAX + 4];
    struct words_pods others = {0};
    if (frontend->masquerade == MASQUERADE_NONE || (frontend->masquerade == MASQUERADE_OFF_CLUSTER &&
                                                    !words_pods(draft->view, draft->family, false, &others)))
        return;
    text_printf(rules,
                "%s%s%s-p %s -m comment --comment \"%s cluster IP\" -m %s --dport %u -j KUBE-MARK-MASQ\n",
                others.source, destination(frontend, to), others.interface, draft->proto, draft->name,
                draft->proto, frontend->port);
}

static void add_policy_chains(struct port_draft *draft)
{
    for (int chain = SERVICE_CHAIN_CLUSTER; chain <= SERVICE_CHAIN_LOCAL; chain++) {
        const struct backend_set *set = chain == SERVICE_CHAIN_LOCAL ? draft->local : draft->cluster;
        struct text rules = {0};
        if (!set || set->count == 0)
            continue;
        if (draft->internal && has_backends(draft->internal) &&
            draft->internal->is_local == (chain == SERVICE_CHAIN_LOCAL))
            add_internal_masquerade(draft, &rules);
        add_policy_chain(draft, (enum service_chain)chain, set, &rules);
    }
}

/* Local policy: pods and the node itself are not outside, and have all endpoints. */
static void add_short_circuit(struct port_draft *draft, struct text *rules)
{
    struct words_pods pods;
    const char *cluster = draft->chains[SERVICE_CHAIN_CLUSTER];
    if (words_pods(draft->view, draft->family, true, &pods))
        text_printf(rules, "%s%s-m comment --comment \"pod traffic for %s external destinations\" -j %s\n",
                    pods.source, pods.interface, draft->name, cluster);
    text_printf(rules,
                "-m comment --comment \"masquerade LOCAL traffic for %s external destinations\" -m addrtype "
                "--src-type LOCAL -j KUBE-MARK-MASQ\n",
                draft->name);
    text_printf(rules,
                "-m comment --comment \"route LOCAL traffic for %s external destinations\" -m addrtype "
                "--src-type LOCAL -j %s\n",
                draft->name, cluster);
}

static void add_external_chain(struct port_draft *draft)
{
    const struct frontend *frontend = draft->external;
    struct text rules = {0};
    if (frontend->short_circuits && frontend->shortcut->count > 0)
        add_short_circuit(draft, &rules);
    else if (!frontend->short_circuits)
        text_printf(&rules,
                    "-m comment --comment \"masquerade traffic for %s external destinations\" -j "
                    "KUBE-MARK-MASQ\n",
                    draft->name);
    if (has_backends(frontend))
        text_printf(&rules, "-j %s\n", chain_of(draft, frontend));
    own(draft, draft->chains[SERVICE_CHAIN_EXTERNAL], &rules);
}

/* What reaches its end was not translated, and meets the rule in KUBE-PROXY-FIREWALL. */
static void add_firewall_chain(struct port_draft *draft)
{
    struct text rules = {0};
    for (uint32_t i = 0; i < draft->entry->source_range_count; i++) {
        const struct prefix *range = &draft->entry->source_ranges[i];
        char text[PREFIX_TEXT_MAX];
        if (address_family(&range->address) == draft->family)
            text_printf(&rules, "-s %s -m comment --comment \"%s loadbalancer IP\" -j %s\n",
                        prefix_format(range, text), draft->name, draft->chains[SERVICE_CHAIN_EXTERNAL]);
    }
    text_printf(&rules,
                "-m comment --comment \"other traffic to %s will be dropped by KUBE-PROXY-FIREWALL\"\n",
                draft->name);
    own(draft, draft->chains[SERVICE_CHAIN_FIREWALL], &rules);
}

static bool is_of_port(const struct port_draft *draft, const struct frontend *frontend, uint32_t port_index)
{
    return frontend->family == draft->family && frontend->port_index == port_index && !frontend->is_shadowed;
}

/* The port's frontends, and the two sets that they share. */
static void gather(struct port_draft *draft, uint32_t port_index)
{
    for (uint32_t i = 0; i < draft->entry->frontend_count; i++) {
        const struct frontend *frontend = &draft->entry->frontends[i];
        if (!is_of_port(draft, frontend, port_index))
            continue;
        draft->protocol = (enum protocol)frontend->protocol;
        draft->affinity_seconds = frontend->affinity_seconds;
        if (frontend->kind == FRONTEND_CLUSTER_IP)
            draft->internal = frontend;
        else
            draft->external = frontend;
        if (frontend->is_local)
            draft->local = frontend->backends;
        else
            draft->cluster = frontend->backends;
        if (frontend->short_circuits)
            draft->cluster = frontend->shortcut;
    }
}

static void name_chains(struct port_draft *draft, uint32_t port_index)
{
    const char *full = draft->entry->port_names[port_index]; /* with "/TCP" at its end */
    draft->proto = protocol_name_lower(draft->protocol);
    draft->name = arena_strndup(draft->arena, full, strlen(full) - strlen(draft->proto) - 1);
    for (int chain = 0; chain < 4; chain++)
        chain_name_service((enum service_chain)chain, draft->name, draft->protocol, draft->chains[chain]);
}

static void add_port(struct port_draft *draft, uint32_t port_index)
{
    bool has_firewall = false;
    gather(draft, port_index);
    if (!draft->internal && !draft->external)
        return;
    name_chains(draft, port_index);
    if (draft->internal)
        add_internal(draft);
    for (uint32_t i = 0; i < draft->entry->frontend_count; i++) {
        const struct frontend *frontend = &draft->entry->frontends[i];
        if (!is_of_port(draft, frontend, port_index) || frontend->kind == FRONTEND_CLUSTER_IP)
            continue;
        add_external(draft, frontend);
        has_firewall |= frontend->is_source_ranged;
    }
    if (draft->external && draft->external->verdict != FRONTEND_REJECT) {
        add_external_chain(draft);
        if (has_firewall)
            add_firewall_chain(draft);
    }
    add_policy_chains(draft);
    add_endpoint_chains(draft);
}

/* Rooms for the most that there may be. */
static void make_room(const struct entry *entry, struct arena *arena, struct portion *ret)
{
    uint32_t chains = entry->port_count * 4;
    for (uint32_t i = 0; i < entry->set_count; i++)
        chains += entry->sets[i].count;
    *ret = (struct portion){
        .chains = arena_array(arena, struct own_chain, chains),
        .shared = arena_array(arena, struct shared_rule,
                              entry->frontend_count * 3 + entry->port_count + entry->cluster_ip_count)};
}

/* Ports that the service does not have: what meets this rule was not translated. */
static void add_cluster_ips(const struct entry *entry, enum family family, struct arena *arena,
                            struct portion *ret)
{
    for (uint32_t i = 0; i < entry->cluster_ip_count; i++) {
        struct prefix host = prefix_of(&entry->cluster_ips[i]);
        char text[PREFIX_TEXT_MAX];
        if (address_family(&host.address) == family)
            ret->shared[ret->shared_count++] = (struct shared_rule){
                .chain = SHARED_FILTER_CLUSTER_IPS,
                .rule = arena_printf(arena,
                                     "-d %s -m comment --comment \"%s has no such port\" -j REJECT "
                                     "--reject-with %s",
                                     prefix_format(&host, text), entry->name, words_unreachable(family))};
    }
}

void portion_build(const struct entry *entry, enum family family, const struct node_view *view, bool is_brief,
                   struct arena *arena, struct portion *ret)
{
    *ret = (struct portion){0};
    if (!entry)
        return;
    make_room(entry, arena, ret);
    add_cluster_ips(entry, family, arena, ret);
    for (uint32_t port = 0; port < entry->port_count; port++) {
        struct port_draft draft = {.entry = entry,
                                   .view = view,
                                   .arena = arena,
                                   .portion = ret,
                                   .family = family,
                                   .is_brief = is_brief};
        add_port(&draft, port);
        /* No matter who serves: the balancer asks even where nobody does. */
        if (entry->health_check_node_port && draft.name)
            share(&draft, SHARED_FILTER_NODE_PORTS,
                  "-p tcp -m comment --comment \"%s health check node port\" -m tcp --dport %u -j ACCEPT",
                  draft.name, entry->health_check_node_port);
    }
}
