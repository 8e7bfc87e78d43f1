/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/select.h"

#include "base/text.h"
#include "forwarding/topology.h"

#include <string.h>

bool service_port_is_external(const struct service *service, const struct service_port *port,
                              enum family family)
{
    if (port->node_port)
        return true;
    for (uint32_t i = 0; i < service->external_ip_count; i++)
        if (address_family(&service->external_ips[i]) == family)
            return true;
    for (uint32_t i = 0; i < service->vip_count; i++)
        if (address_family(&service->vips[i]) == family)
            return true;
    return false;
}

static int candidate_cmp(const void *a_, const void *b_)
{
    const struct candidate *a = a_, *b = b_;
    int by_address = address_cmp(&a->endpoint->address, &b->endpoint->address);
    return by_address ? by_address : (int)a->port - (int)b->port;
}

static bool has_flags(const struct candidate *candidate, uint8_t flags)
{
    return (candidate->endpoint->flags & flags) == flags;
}

/* The list is in order of arrival among equals: a later entry replaces an earlier one unless it is
 * terminating (upstream's rule for a reused Pod IP, kubernetes 1.36). */
static uint32_t drop_duplicates(struct candidate *sorted, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || candidate_cmp(&sorted[kept - 1], &sorted[i]) != 0)
            sorted[kept++] = sorted[i];
        else if (!has_flags(&sorted[i], ENDPOINT_TERMINATING))
            sorted[kept - 1] = sorted[i];
    }
    return kept;
}

/* Insertion sort when small (it is stable, and slices are mostly sorted), else a merge through the arena. */
static void sort_stable(struct candidate *list, uint32_t count, struct arena *arena)
{
    if (count <= 16) {
        for (uint32_t i = 1; i < count; i++) {
            struct candidate moved = list[i];
            uint32_t at = i;
            for (; at > 0 && candidate_cmp(&list[at - 1], &moved) > 0; at--)
                list[at] = list[at - 1];
            list[at] = moved;
        }
        return;
    }
    uint32_t half = count / 2;
    sort_stable(list, half, arena);
    sort_stable(list + half, count - half, arena);
    if (candidate_cmp(&list[half - 1], &list[half]) <= 0)
        return;
    struct candidate *merged = arena_array(arena, struct candidate, count);
    uint32_t left = 0, right = half;
    for (uint32_t i = 0; i < count; i++) {
        bool take_left = right >= count || (left < half && candidate_cmp(&list[left], &list[right]) <= 0);
        merged[i] = take_left ? list[left++] : list[right++];
    }
    for (uint32_t i = 0; i < count; i++)
        list[i] = merged[i];
}

static void collect(struct selection *selection, const struct service_port *port, enum family family,
                    struct slice *const *slices, uint32_t slice_count, const struct node_view *node,
                    struct arena *arena)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < slice_count; i++)
        if (slices[i]->family == family)
            most += slices[i]->endpoint_count * slices[i]->port_count;
    selection->candidates = arena_array(arena, struct candidate, most);
    for (uint32_t i = 0; i < slice_count; i++) {
        const struct slice *slice = slices[i];
        if (slice->family != family)
            continue;
        for (uint32_t p = 0; p < slice->port_count; p++) {
            if (slice->ports[p].protocol != port->protocol || !text_equal(slice->ports[p].name, port->name))
                continue;
            for (uint32_t e = 0; e < slice->endpoint_count; e++) {
                const struct endpoint *endpoint = &slice->endpoints[e];
                selection->candidates[selection->count++] = (struct candidate){
                    .endpoint = endpoint,
                    .slice = slice,
                    .port = slice->ports[p].port,
                    .is_local = node->name != 0 && endpoint->node == node->name,
                };
            }
        }
    }
    sort_stable(selection->candidates, selection->count, arena);
    selection->count = drop_duplicates(selection->candidates, selection->count);
}

static enum hint_mode hint_mode(const struct selection *selection, const struct node_view *node)
{
    uint32_t ready = 0, zone_hinted = 0, node_hinted = 0;
    bool for_zone = false, for_node = false;
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        const struct endpoint_hints hinted = slice_hints(candidate->slice, candidate->endpoint);
        if (!has_flags(candidate, ENDPOINT_READY))
            continue;
        ready++;
        zone_hinted += slice_list_count(candidate->slice, hinted.zones) > 0;
        node_hinted += slice_list_count(candidate->slice, hinted.nodes) > 0;
        for_zone |= node->zone && slice_list_has(candidate->slice, hinted.zones, node->zone);
        for_node |= node->name && slice_list_has(candidate->slice, hinted.nodes, node->name);
    }
    if (ready == 0)
        return HINTS_NO_READY_ENDPOINT;
    if (node_hinted == ready && for_node)
        return HINTS_NODE;
    if (zone_hinted == 0)
        return HINTS_ABSENT;
    if (zone_hinted < ready)
        return HINTS_INCOMPLETE;
    if (!node->zone)
        return HINTS_ZONE_UNKNOWN;
    return for_zone ? HINTS_ZONE : HINTS_ZONE_UNSERVED;
}

static enum endpoint_verdict ready_verdict(const struct candidate *candidate)
{
    if (has_flags(candidate, ENDPOINT_READY))
        return ENDPOINT_IN;
    if (!has_flags(candidate, ENDPOINT_TERMINATING))
        return ENDPOINT_NOT_READY;
    return has_flags(candidate, ENDPOINT_SERVING) ? ENDPOINT_TERMINATING_UNUSED : ENDPOINT_NOT_SERVING;
}

static enum endpoint_verdict cluster_verdict(const struct candidate *candidate, enum hint_mode hints,
                                             const struct node_view *node)
{
    enum endpoint_verdict verdict = ready_verdict(candidate);
    const struct endpoint_hints hinted = slice_hints(candidate->slice, candidate->endpoint);
    if (verdict != ENDPOINT_IN)
        return verdict;
    if (hints == HINTS_NODE && !slice_list_has(candidate->slice, hinted.nodes, node->name))
        return ENDPOINT_OTHER_NODE;
    if (hints == HINTS_ZONE && !slice_list_has(candidate->slice, hinted.zones, node->zone))
        return ENDPOINT_OTHER_ZONE;
    return ENDPOINT_IN;
}

static uint32_t choose_cluster(struct selection *selection, const struct node_view *node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        candidate->in_cluster = cluster_verdict(candidate, selection->hints, node);
        count += candidate->in_cluster == ENDPOINT_IN;
    }
    if (count > 0)
        return count;
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        if (candidate->in_cluster == ENDPOINT_TERMINATING_UNUSED) {
            candidate->in_cluster = ENDPOINT_IN_AS_TERMINATING;
            count++;
        }
    }
    return count;
}

static bool has_topology(const struct candidate *candidate, const struct node_view *node, const char *key,
                         const char *value)
{
    const char *own = topology_of_endpoint(node, candidate->slice, candidate->endpoint, key);
    return own && strcmp(own, value) == 0;
}

/* The first key that decides is left in selection. */
static enum topology_mode try_topology_keys(const struct service *service, struct selection *selection,
                                            const struct node_view *node)
{
    uint32_t *at = &selection->topology_key;
    for (*at = 0; *at < service->topology_key_count; (*at)++) {
        const char *key = service->topology_keys[*at];
        if (strcmp(key, TOPOLOGY_KEY_ANY) == 0)
            return TOPOLOGY_ANY;
        const char *value = topology_of_node(node, key);
        for (uint32_t i = 0; value && i < selection->count; i++)
            if (verdict_is_in(selection->candidates[i].in_cluster) &&
                has_topology(&selection->candidates[i], node, key, value))
                return TOPOLOGY_MATCHED;
    }
    return TOPOLOGY_UNSERVED;
}

/* Unlike hints, which are a wish, keys bind: they go for terminating endpoints too, and may leave nobody. */
static uint32_t follow_topology_keys(const struct service *service, struct selection *selection,
                                     const struct node_view *node)
{
    uint32_t count = 0;
    selection->topology = try_topology_keys(service, selection, node);
    const char *key =
        selection->topology == TOPOLOGY_MATCHED ? service->topology_keys[selection->topology_key] : NULL;
    const char *value = key ? topology_of_node(node, key) : NULL;
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        if (!verdict_is_in(candidate->in_cluster))
            continue;
        if (selection->topology == TOPOLOGY_ANY || (value && has_topology(candidate, node, key, value)))
            count++;
        else
            candidate->in_cluster = ENDPOINT_OTHER_TOPOLOGY;
    }
    return count;
}

static uint32_t choose_local(struct selection *selection)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        candidate->in_local = candidate->is_local ? ready_verdict(candidate) : ENDPOINT_NOT_LOCAL;
        count += candidate->in_local == ENDPOINT_IN;
    }
    selection->local_ready_count = count;
    if (count > 0)
        return count;
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        if (candidate->in_local == ENDPOINT_TERMINATING_UNUSED) {
            candidate->in_local = ENDPOINT_IN_AS_TERMINATING;
            count++;
        }
    }
    return count;
}

struct selection *selection_build(const struct service *service, const struct service_port *port,
                                  enum family family, struct slice *const *slices, uint32_t slice_count,
                                  const struct node_view *node, struct arena *arena)
{
    struct selection *selection = arena_new(arena, struct selection);
    bool is_external = service_port_is_external(service, port, family);
    bool uses_cluster = !service->internal_local || is_external;
    bool uses_local = service->internal_local || (service->external_local && is_external);
    bool has_keys = service->topology_key_count > 0 && !service->external_local;
    collect(selection, port, family, slices, slice_count, node, arena);
    selection->hints = has_keys ? HINTS_PASSED_OVER : hint_mode(selection, node);
    selection->cluster_count = choose_cluster(selection, node);
    if (has_keys)
        selection->cluster_count = follow_topology_keys(service, selection, node);
    selection->local_count = choose_local(selection);
    for (uint32_t i = 0; i < selection->count; i++) {
        struct candidate *candidate = &selection->candidates[i];
        /* Anything that could serve somewhere makes an empty set a drop, not a reject. */
        selection->has_any |= has_flags(candidate, ENDPOINT_READY) ||
                              has_flags(candidate, ENDPOINT_SERVING | ENDPOINT_TERMINATING);
        if (!uses_cluster)
            candidate->in_cluster = ENDPOINT_SET_UNUSED;
        if (!uses_local)
            candidate->in_local = ENDPOINT_SET_UNUSED;
    }
    selection->cluster_count = uses_cluster ? selection->cluster_count : 0;
    selection->local_count = uses_local ? selection->local_count : 0;
    return selection;
}
