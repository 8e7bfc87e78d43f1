/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/describe.h"

#include "forwarding/topology.h"
#include "store/store.h"

static const char *masquerade_words(enum masquerade masquerade)
{
    switch (masquerade) {
    case MASQUERADE_NONE:
        return "sources are kept";
    case MASQUERADE_ALWAYS:
        return "sources become the node's";
    case MASQUERADE_OFF_CLUSTER:
        return "sources from outside the cluster become the node's";
    case MASQUERADE_LOCAL_SOURCES:
        return "sources are kept, the node's own become the node's";
    }
    return "";
}

void describe_frontend_address(const struct frontend *frontend, struct text *ret)
{
    struct socket_address socket = {.address = frontend->address, .port = frontend->port};
    char text[SOCKET_ADDRESS_TEXT_MAX];
    if (frontend->kind == FRONTEND_NODE_PORT)
        text_printf(ret, "%u/%s (%s)", frontend->port, protocol_name(frontend->protocol),
                    family_name(frontend->family));
    else
        text_printf(ret, "%s/%s", socket_address_format(&socket, text), protocol_name(frontend->protocol));
}

static void describe_set(const struct backend_set *set, const char *whose, struct text *ret)
{
    char text[SOCKET_ADDRESS_TEXT_MAX];
    text_printf(ret, "    %s:", whose);
    if (set->count == 0)
        text_add(ret, " nobody, packets are dropped");
    for (uint32_t i = 0; i < set->count; i++) {
        struct socket_address socket = {.address = set->list[i].address, .port = set->list[i].port};
        text_printf(ret, " %s", socket_address_format(&socket, text));
    }
    text_add(ret, "\n");
}

static void describe_ranges(const struct entry *entry, enum family family, struct text *ret)
{
    char text[PREFIX_TEXT_MAX];
    text_add(ret, "    only from:");
    for (uint32_t i = 0; i < entry->source_range_count; i++)
        if (address_family(&entry->source_ranges[i].address) == family)
            text_printf(ret, " %s", prefix_format(&entry->source_ranges[i], text));
    text_add(ret, "\n");
}

static void describe_frontend(const struct entry *entry, const struct frontend *frontend, struct text *ret)
{
    text_printf(ret, "  %s ", frontend_kind_name(frontend->kind));
    describe_frontend_address(frontend, ret);
    text_printf(ret, " of %s: ", entry->port_names[frontend->port_index]);
    if (frontend->is_shadowed)
        text_add(ret, "left to another Service that has it too; it would be: ");
    switch (frontend->verdict) {
    case FRONTEND_REJECT:
        text_add(ret, frontend->is_topology_unserved
                          ? "reject, there are endpoints but the topology keys lead to none\n"
                          : "reject, no endpoint could serve it anywhere\n");
        break;
    case FRONTEND_DROP:
        text_add(ret, "drop, there are endpoints but the policy leaves none here\n");
        break;
    case FRONTEND_FORWARD:
        text_printf(ret, "forward; %s", masquerade_words(frontend->masquerade));
        if (frontend->affinity_seconds)
            text_printf(ret, "; clients stay with their endpoint for %u s", frontend->affinity_seconds);
        text_add(ret, "\n");
        describe_set(frontend->backends, frontend->short_circuits ? "from elsewhere" : "endpoints", ret);
        if (frontend->short_circuits)
            describe_set(frontend->shortcut, "from pods and the node", ret);
        break;
    }
    if (frontend->is_source_ranged)
        describe_ranges(entry, frontend->family, ret);
}

void describe_entry(const struct entry *entry, struct text *ret)
{
    text_printf(ret, "Service %s\n", entry->name);
    for (uint32_t i = 0; i < entry->frontend_count; i++)
        describe_frontend(entry, &entry->frontends[i], ret);
    for (uint32_t i = 0; entry->health_check_node_port && i < entry->cluster_ip_count; i++) {
        enum family family = address_family(&entry->cluster_ips[i]);
        text_printf(ret, "  health-check node port %u (%s): %u local endpoints\n",
                    entry->health_check_node_port, family_name(family), entry->local_endpoint_count[family]);
    }
}

const char *describe_hints(enum hint_mode hints)
{
    switch (hints) {
    case HINTS_NODE:
        return "every ready endpoint carries node hints and some name this node: only those are used";
    case HINTS_ZONE:
        return "every ready endpoint carries zone hints and some name this node's zone: only those are used";
    case HINTS_ABSENT:
        return "no hints";
    case HINTS_INCOMPLETE:
        return "some ready endpoint carries no zone hint, so hints are not followed";
    case HINTS_ZONE_UNKNOWN:
        return "there are zone hints, but this node has no label topology.kubernetes.io/zone, so they are "
               "not followed";
    case HINTS_ZONE_UNSERVED:
        return "there are zone hints, but none names this node's zone, so they are not followed";
    case HINTS_NO_READY_ENDPOINT:
        return "no ready endpoint whose hints could be followed";
    case HINTS_PASSED_OVER:
        return "not followed, the topology keys decide instead";
    }
    return "";
}

void describe_topology(const struct service *service, const struct selection *selection,
                       const struct node_view *node, struct text *ret)
{
    if (selection->topology == TOPOLOGY_UNUSED)
        return;
    bool is_known = store_node_find(node->store, intern_text(node->store->names, node->name)) != NULL;
    text_printf(ret, "topology keys, in their order%s:\n",
                is_known ? "" : " (this node has no Node object, so nothing is known of its labels)");
    for (uint32_t i = 0; i < service->topology_key_count && i <= selection->topology_key; i++) {
        const char *key = service->topology_keys[i], *value = topology_of_node(node, key);
        if (i == selection->topology_key && selection->topology == TOPOLOGY_ANY)
            text_printf(ret, "  %s: every endpoint is used\n", key);
        else if (!value)
            text_printf(ret, "  %s: this node has no such label\n", key);
        else
            text_printf(ret, "  %s: %s this node's value \"%s\"%s\n", key,
                        i < selection->topology_key ? "no usable endpoint has" : "endpoints with", value,
                        i < selection->topology_key ? "" : " are used");
    }
    if (selection->topology == TOPOLOGY_UNSERVED)
        text_add(ret, "  none leads to an endpoint, and there is no \"*\": nobody is used\n");
}

static void describe_topology_of(const struct service *service, const struct selection *selection,
                                 const struct candidate *candidate, const struct node_view *node,
                                 struct text *ret)
{
    if (selection->topology != TOPOLOGY_MATCHED) {
        text_add(ret, "no topology key leads to it");
        return;
    }
    const char *key = service->topology_keys[selection->topology_key];
    const char *value = topology_of_endpoint(node, candidate->slice, candidate->endpoint, key);
    if (value)
        text_printf(ret, "its %s is \"%s\"", key, value);
    else
        text_printf(ret, "nothing tells its %s", key);
}

static void list_names(const struct slice *slice, uint32_t offset, const struct intern *names,
                       struct text *ret)
{
    for (uint32_t i = 1; i <= slice_list_count(slice, offset); i++)
        text_printf(ret, "%s%s", i > 1 ? ", " : "", intern_text(names, slice->names[offset + i]));
}

void describe_candidate(const struct service *service, const struct selection *selection,
                        const struct candidate *candidate, enum endpoint_verdict verdict,
                        const struct node_view *node, struct text *ret)
{
    const struct endpoint *endpoint = candidate->endpoint;
    const struct intern *names = node->store->names;
    switch (verdict) {
    case ENDPOINT_IN:
        text_add(ret, "in");
        break;
    case ENDPOINT_IN_AS_TERMINATING:
        text_add(ret, "in, terminating but still serving, because nobody is ready");
        break;
    case ENDPOINT_NOT_READY:
        text_add(ret, "out: not ready");
        break;
    case ENDPOINT_NOT_SERVING:
        text_add(ret, "out: terminating and not serving any more");
        break;
    case ENDPOINT_TERMINATING_UNUSED:
        text_add(ret, "out: terminating, and there are ready ones");
        break;
    case ENDPOINT_OTHER_ZONE:
        text_add(ret, "out: other zone, its hints name ");
        list_names(candidate->slice, slice_hints(candidate->slice, endpoint).zones, names, ret);
        break;
    case ENDPOINT_OTHER_NODE:
        text_add(ret, "out: other node, its hints name ");
        list_names(candidate->slice, slice_hints(candidate->slice, endpoint).nodes, names, ret);
        break;
    case ENDPOINT_OTHER_TOPOLOGY:
        text_add(ret, "out: other topology, ");
        describe_topology_of(service, selection, candidate, node, ret);
        break;
    case ENDPOINT_NOT_LOCAL:
        text_printf(ret, "out: not local, it is on %s",
                    endpoint->node ? intern_text(names, endpoint->node)
                                   : "a node that its slice does not name");
        break;
    case ENDPOINT_SET_UNUSED:
        text_add(ret, "not considered");
        break;
    }
}
