/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/entry.h"

#include "base/block.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

const char *frontend_kind_name(enum frontend_kind kind)
{
    static const char *const names[] = {"ClusterIP", "externalIP", "load-balancer VIP", "node port"};
    return names[kind];
}

/* The three sets of one service port in one family that frontends may point at, and the facts about them. */
struct port_sets {
    const struct selection *selection;
    struct backend_set *cluster, *local;
};

/* Everything is gathered in the scratch arena first and then packed into one block. */
struct draft {
    const struct service *service;
    const struct node_view *node;
    struct arena *arena;
    struct entry entry;
    uint32_t set_most;
    bool is_guarded[FAMILY_COUNT];
};

static struct backend_set *set_from(struct draft *draft, const struct selection *selection, bool local)
{
    struct backend_set *set = &draft->entry.sets[draft->entry.set_count++];
    set->list = arena_array(draft->arena, struct backend, selection->count);
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        if (verdict_is_in(local ? candidate->in_local : candidate->in_cluster))
            set->list[set->count++] =
                (struct backend){.address = candidate->endpoint->address, .port = candidate->port};
    }
    return set;
}

static void add_frontend(struct draft *draft, const struct port_sets *sets, struct frontend frontend)
{
    const struct service *service = draft->service;
    const struct selection *selection = sets->selection;
    bool is_internal = frontend.kind == FRONTEND_CLUSTER_IP;
    bool is_local = is_internal ? service->internal_local : service->external_local;
    frontend.is_local = is_local;
    frontend.short_circuits = !is_internal && is_local;
    frontend.affinity_seconds = service->affinity_seconds;
    frontend.backends = is_local ? sets->local : sets->cluster;
    frontend.shortcut = frontend.short_circuits ? sets->cluster : NULL;
    if (!is_internal)
        frontend.masquerade = is_local ? MASQUERADE_LOCAL_SOURCES : MASQUERADE_ALWAYS;
    else if (draft->node->masquerade_all)
        frontend.masquerade = MASQUERADE_ALWAYS;
    else if (draft->node->local_detect == LOCAL_DETECT_NONE ||
             (draft->node->local_detect == LOCAL_DETECT_CIDR &&
              !draft->node->has_cluster_cidr[frontend.family]))
        frontend.masquerade = MASQUERADE_NONE;
    else
        frontend.masquerade = MASQUERADE_OFF_CLUSTER;
    frontend.is_topology_unserved =
        !is_local && selection->has_any && selection->topology == TOPOLOGY_UNSERVED;
    /* A9 and D of the catalogue: nobody anywhere and nobody by topology rejects, nobody by policy drops. */
    if (!selection->has_any || frontend.is_topology_unserved)
        frontend.verdict = FRONTEND_REJECT;
    else if (frontend.backends->count == 0 && !frontend.short_circuits)
        frontend.verdict = FRONTEND_DROP;
    else
        frontend.verdict = FRONTEND_FORWARD;
    if (is_local && selection->has_any && frontend.backends->count == 0) {
        if (is_internal)
            draft->entry.has_empty_internal_local[frontend.family] = true;
        else
            draft->entry.has_empty_external_local[frontend.family] = true;
    }
    draft->entry.frontends[draft->entry.frontend_count++] = frontend;
}

static bool has_address(const struct address *list, uint32_t count, const struct address *address)
{
    for (uint32_t i = 0; i < count; i++)
        if (address_cmp(&list[i], address) == 0)
            return true;
    return false;
}

struct address_group {
    enum frontend_kind kind;
    const struct address *list;
    uint32_t count;
};

/* A port has one frontend for each address, so one of an earlier kind, or earlier in its list, stands for
 * all. */
static bool is_repeated(const struct address_group *groups, size_t group, uint32_t at)
{
    const struct address *address = &groups[group].list[at];
    for (size_t g = 0; g < group; g++)
        if (has_address(groups[g].list, groups[g].count, address))
            return true;
    return has_address(groups[group].list, at, address);
}

static void add_frontends(struct draft *draft, const struct port_sets *sets, uint32_t port_index,
                          enum family family)
{
    const struct service *service = draft->service;
    const struct service_port *port = &service->ports[port_index];
    struct frontend frontend = {
        .family = family, .port = port->port, .protocol = port->protocol, .port_index = port_index};
    const struct address_group groups[] = {
        {FRONTEND_CLUSTER_IP, service->cluster_ips, service->cluster_ip_count},
        /* Before the external IPs, so that one which repeats a VIP does not lead past its source ranges. */
        {FRONTEND_LOAD_BALANCER, service->vips, service->vip_count},
        {FRONTEND_EXTERNAL_IP, service->external_ips, service->external_ip_count},
    };
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        for (uint32_t i = 0; i < groups[g].count; i++) {
            if (address_family(&groups[g].list[i]) != family || is_repeated(groups, g, i))
                continue;
            frontend.kind = groups[g].kind;
            frontend.address = groups[g].list[i];
            frontend.is_source_ranged = frontend.kind == FRONTEND_LOAD_BALANCER && draft->is_guarded[family];
            add_frontend(draft, sets, frontend);
        }
    }
    if (port->node_port) {
        frontend.kind = FRONTEND_NODE_PORT;
        frontend.address = (struct address){0};
        frontend.port = port->node_port;
        frontend.is_source_ranged = false;
        add_frontend(draft, sets, frontend);
    }
}

/* An endpoint on another node never meets its own traffic here; one without a node might. The hairpin list
 * repeats addresses over ports; sort_unique drops the repeats. */
static void add_hairpins(struct draft *draft, const struct selection *selection)
{
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        bool is_used = verdict_is_in(candidate->in_cluster) || verdict_is_in(candidate->in_local);
        if (is_used && (candidate->is_local || candidate->endpoint->node == 0))
            draft->entry.hairpins[draft->entry.hairpin_count++] = candidate->endpoint->address;
    }
}

static void add_serving(struct draft *draft, const struct selection *selection, uint32_t port_index,
                        enum family family)
{
    struct serving_set *serving = &draft->entry.serving[draft->entry.serving_count++];
    serving->family = family;
    serving->port_index = port_index;
    serving->backends.list = arena_array(draft->arena, struct backend, selection->count);
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        uint8_t flags = candidate->endpoint->flags;
        uint8_t draining = ENDPOINT_SERVING | ENDPOINT_TERMINATING;
        if ((flags & ENDPOINT_READY) || (flags & draining) == draining)
            serving->backends.list[serving->backends.count++] =
                (struct backend){.address = candidate->endpoint->address, .port = candidate->port};
    }
}

static void add_port(struct draft *draft, uint32_t port_index, enum family family,
                     struct slice *const *slices, uint32_t slice_count)
{
    const struct service_port *port = &draft->service->ports[port_index];
    struct port_sets sets = {
        .selection =
            selection_build(draft->service, port, family, slices, slice_count, draft->node, draft->arena),
    };
    sets.cluster = set_from(draft, sets.selection, false);
    sets.local = set_from(draft, sets.selection, true);
    add_frontends(draft, &sets, port_index, family);
    add_hairpins(draft, sets.selection);
    if (port->protocol == PROTOCOL_UDP)
        add_serving(draft, sets.selection, port_index, family);
    draft->entry.endpoint_count += sets.selection->count;
}

/* Ranges of one family with those inside another left out: the kernel's interval sets refuse overlaps. A
 * range of length 0 means "no restriction" (upstream's reading), and then there is none for the family. */
static void add_source_ranges(struct draft *draft)
{
    const struct service *service = draft->service;
    struct entry *entry = &draft->entry;
    uint32_t most = service->source_range_count + service->vip_count;
    struct prefix *all = arena_array(draft->arena, struct prefix, most);
    bool is_open[FAMILY_COUNT] = {false}, has_range[FAMILY_COUNT] = {false};
    bool allows_node[FAMILY_COUNT] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < service->source_range_count; i++) {
        const struct prefix *range = &service->source_ranges[i];
        enum family family = address_family(&range->address);
        has_range[family] = true;
        is_open[family] |= range->len == 0;
        for (uint32_t n = 0; n < draft->node->node_ip_count; n++)
            allows_node[family] |= prefix_contains(range, &draft->node->node_ips[n]);
        all[count++] = *range;
    }
    /* A node that may come in does so with a VIP as its source when the VIP is bound on it. */
    for (uint32_t i = 0; i < service->vip_count; i++)
        if (allows_node[address_family(&service->vips[i])])
            all[count++] = prefix_of(&service->vips[i]);
    entry->source_ranges = arena_array(draft->arena, struct prefix, count);
    for (uint32_t i = 0; i < count; i++) {
        bool is_inside = false;
        for (uint32_t j = 0; j < count; j++)
            is_inside |= j != i && prefix_covers(&all[j], &all[i]) && (all[j].len < all[i].len || j < i);
        if (!is_inside && !is_open[address_family(&all[i].address)])
            entry->source_ranges[entry->source_range_count++] = all[i];
    }
    for (int family = 0; family < FAMILY_COUNT; family++)
        draft->is_guarded[family] = has_range[family] && !is_open[family];
}

static int address_order(const void *a, const void *b)
{
    return address_cmp(a, b);
}

static uint32_t sort_unique(struct address *list, uint32_t count)
{
    uint32_t kept = 0;
    if (count > 1)
        qsort(list, count, sizeof(*list), address_order);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || address_cmp(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}

/* One count for each family: so many servers answer health checks (kube-proxy runs a proxier for each). */
static uint32_t count_local_endpoints(const struct draft *draft, enum family family,
                                      struct slice *const *slices, uint32_t slice_count)
{
    uint32_t most = 0, count = 0;
    for (uint32_t s = 0; s < slice_count; s++)
        most += slices[s]->endpoint_count;
    struct address *local = arena_array(draft->arena, struct address, most);
    for (uint32_t s = 0; s < slice_count; s++) {
        for (uint32_t e = 0; slices[s]->family == family && e < slices[s]->endpoint_count; e++) {
            const struct endpoint *endpoint = &slices[s]->endpoints[e];
            if ((endpoint->flags & ENDPOINT_READY) && draft->node->name &&
                endpoint->node == draft->node->name)
                local[count++] = endpoint->address;
        }
    }
    return sort_unique(local, count);
}

static uint32_t most_endpoints(const struct service *service, struct slice *const *slices,
                               uint32_t slice_count)
{
    uint32_t most = 0;
    for (uint32_t s = 0; s < slice_count; s++)
        most += slices[s]->endpoint_count * slices[s]->port_count;
    return most * service->port_count;
}

/* Copies the draft into block; with block->data NULL it only measures. Both passes run the same lines. */
static struct entry *pack(const struct draft *draft, struct block *block)
{
    const struct entry *from = &draft->entry;
    struct entry *entry = block_copy(block, from, sizeof(*from));
    struct entry unused = *from;
    if (!entry)
        entry = &unused;
    char *name = block_strdup(block, from->name);
    char **port_names = block_copy(block, from->port_names, from->port_count * sizeof(*from->port_names));
    for (uint32_t i = 0; i < from->port_count; i++) {
        char *port_name = block_strdup(block, from->port_names[i]);
        if (port_names)
            port_names[i] = port_name;
    }
    struct frontend *frontends =
        block_copy(block, from->frontends, from->frontend_count * sizeof(*from->frontends));
    struct backend_set *sets = block_copy(block, from->sets, from->set_count * sizeof(*from->sets));
    for (uint32_t i = 0; i < from->set_count; i++) {
        struct backend *list =
            block_copy(block, from->sets[i].list, from->sets[i].count * sizeof(struct backend));
        if (sets)
            sets[i].list = list;
    }
    struct serving_set *serving =
        block_copy(block, from->serving, from->serving_count * sizeof(*from->serving));
    for (uint32_t i = 0; i < from->serving_count; i++) {
        const struct backend_set *set = &from->serving[i].backends;
        struct backend *list = block_copy(block, set->list, set->count * sizeof(struct backend));
        if (serving)
            serving[i].backends.list = list;
    }
    for (uint32_t i = 0; frontends && i < from->frontend_count; i++) {
        frontends[i].backends = sets + (from->frontends[i].backends - from->sets);
        if (from->frontends[i].shortcut)
            frontends[i].shortcut = sets + (from->frontends[i].shortcut - from->sets);
    }
    entry->name = name;
    entry->port_names = port_names;
    entry->frontends = frontends;
    entry->sets = sets;
    entry->serving = serving;
    entry->cluster_ips =
        block_copy(block, from->cluster_ips, from->cluster_ip_count * sizeof(*from->cluster_ips));
    entry->hairpins = block_copy(block, from->hairpins, from->hairpin_count * sizeof(*from->hairpins));
    entry->source_ranges =
        block_copy(block, from->source_ranges, from->source_range_count * sizeof(*from->source_ranges));
    return (struct entry *)block->data;
}

static void name_ports(struct draft *draft)
{
    const struct service *service = draft->service;
    struct entry *entry = &draft->entry;
    entry->name = arena_printf(draft->arena, "%s/%s", service->namespace_, service->name);
    entry->port_names = arena_array(draft->arena, char *, service->port_count);
    for (uint32_t i = 0; i < service->port_count; i++) {
        const struct service_port *port = &service->ports[i];
        entry->port_names[i] = arena_printf(draft->arena, "%s%s%s/%s", entry->name, *port->name ? ":" : "",
                                            port->name, protocol_name(port->protocol));
    }
    entry->port_count = service->port_count;
}

struct entry *entry_build(const struct service *service, struct slice *const *slices, uint32_t slice_count,
                          const struct node_view *node, struct arena *scratch)
{
    if (!service || !service->is_proxied)
        return NULL;
    struct draft draft = {.service = service, .node = node, .arena = scratch};
    struct entry *entry = &draft.entry;
    uint32_t addresses = service->cluster_ip_count + service->external_ip_count + service->vip_count;
    name_ports(&draft);
    entry->frontends =
        arena_array(scratch, struct frontend, service->port_count * (addresses + FAMILY_COUNT));
    entry->sets = arena_array(scratch, struct backend_set, service->port_count * FAMILY_COUNT * 2);
    entry->serving = arena_array(scratch, struct serving_set, service->port_count * FAMILY_COUNT);
    entry->hairpins = arena_array(scratch, struct address, most_endpoints(service, slices, slice_count));
    entry->cluster_ips = arena_array(scratch, struct address, service->cluster_ip_count);
    add_source_ranges(&draft);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        /* A service takes part in a family when it has a cluster IP of that family (A1). */
        const struct address *cluster_ip = NULL;
        for (uint32_t i = 0; i < service->cluster_ip_count; i++)
            if (address_family(&service->cluster_ips[i]) == (enum family)family)
                cluster_ip = &service->cluster_ips[i];
        if (!cluster_ip || !node->has_family[family])
            continue;
        if (!has_address(entry->cluster_ips, entry->cluster_ip_count, cluster_ip))
            entry->cluster_ips[entry->cluster_ip_count++] = *cluster_ip;
        for (uint32_t p = 0; p < service->port_count; p++)
            add_port(&draft, p, (enum family)family, slices, slice_count);
    }
    entry->hairpin_count = sort_unique(entry->hairpins, entry->hairpin_count);
    if (service->type == SERVICE_LOAD_BALANCER && service->external_local &&
        service->health_check_node_port) {
        entry->health_check_node_port = service->health_check_node_port;
        for (int family = 0; family < FAMILY_COUNT; family++)
            entry->local_endpoint_count[family] =
                count_local_endpoints(&draft, (enum family)family, slices, slice_count);
    }
    struct block block = {0};
    pack(&draft, &block);
    block_allocate(&block);
    return pack(&draft, &block);
}

static int backend_cmp(const struct backend *a, const struct backend *b)
{
    int by_address = address_cmp(&a->address, &b->address);
    return by_address ? by_address : (int)a->port - (int)b->port;
}

/* set is sorted, as selection_build left it. */
static uint32_t find_sorted(const struct backend_set *set, const struct backend *backend)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (backend_cmp(&set->list[middle], backend) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && backend_cmp(&set->list[low], backend) == 0 ? low : set->count;
}

static void keep_slots(const struct backend_set *old, struct backend_set *next, struct arena *scratch)
{
    struct backend *slots = arena_array(scratch, struct backend, next->count);
    bool *is_filled = arena_array(scratch, bool, next->count);
    bool *is_placed = arena_array(scratch, bool, next->count);
    for (uint32_t slot = 0; slot < old->count && slot < next->count; slot++) {
        uint32_t found = find_sorted(next, &old->list[slot]);
        if (found == next->count)
            continue;
        slots[slot] = next->list[found];
        is_filled[slot] = is_placed[found] = true;
    }
    uint32_t slot = 0;
    for (uint32_t i = 0; i < next->count; i++) {
        if (is_placed[i])
            continue;
        while (is_filled[slot])
            slot++;
        slots[slot++] = next->list[i];
    }
    memcpy(next->list, slots, next->count * sizeof(*slots));
}

void entry_keep_slots(const struct entry *old, struct entry *next, struct arena *scratch)
{
    if (!old || !next || old->set_count != next->set_count || old->port_count != next->port_count)
        return;
    for (uint32_t i = 0; i < old->port_count; i++)
        if (strcmp(old->port_names[i], next->port_names[i]) != 0)
            return;
    for (uint32_t i = 0; i < next->set_count; i++)
        keep_slots(&old->sets[i], &next->sets[i], scratch);
}
