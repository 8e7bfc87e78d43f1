/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/explain.h"

#include "forwarding/describe.h"

#include <errno.h>
#include <string.h>

int explain_parse(const char *text, struct explain_question *ret, struct err *err)
{
    char head[SOCKET_ADDRESS_TEXT_MAX];
    const char *slash = strrchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    struct explain_question question = {.protocol = PROTOCOL_TCP};
    struct socket_address socket;
    if (len >= sizeof(head))
        return err_set(err, EINVAL, "\"%.80s\" is not ADDRESS:PORT/PROTOCOL", text);
    memcpy(head, text, len);
    head[len] = '\0';
    int code = socket_address_parse(head, &socket, err);
    if (code == 0 && slash)
        code = protocol_parse(slash + 1, &question.protocol, err);
    if (code < 0)
        return code;
    question.address = socket.address;
    question.port = socket.port;
    *ret = question;
    return 0;
}

struct explainer {
    const struct explain_world *world;
    const struct explain_question *question;
    struct text *ret;
    struct arena arena;
};

static bool is_node_port_address(const struct explain_world *world, const struct address *address)
{
    for (uint32_t i = 0; i < world->node_port_address_count; i++)
        if (address_cmp(&world->node_port_addresses[i], address) == 0)
            return true;
    return false;
}

static bool frontend_matches(const struct explainer *explainer, const struct frontend *frontend)
{
    const struct explain_question *question = explainer->question;
    if (frontend->port != question->port || frontend->protocol != question->protocol ||
        frontend->family != address_family(&question->address))
        return false;
    if (frontend->kind == FRONTEND_NODE_PORT)
        return is_node_port_address(explainer->world, &question->address);
    return address_cmp(&frontend->address, &question->address) == 0;
}

/* An address of its own goes before a node port, as in the table. */
static void find(const struct explainer *explainer, struct explain_answer *ret)
{
    *ret = (struct explain_answer){0};
    for (const struct service_record *record = explainer->world->store->services; record;
         record = record->hh.next) {
        const struct entry *entry = record->entry;
        for (uint32_t i = 0; entry && i < entry->frontend_count; i++) {
            const struct frontend *frontend = &entry->frontends[i];
            if (frontend->is_shadowed || !frontend_matches(explainer, frontend))
                continue;
            if (!ret->frontend || ret->frontend->kind == FRONTEND_NODE_PORT)
                *ret = (struct explain_answer){.record = record, .frontend = frontend};
        }
    }
}

/* Services that name the address, whatever the port or the reason that they do not serve it. */
static void explain_nobody(struct explainer *explainer)
{
    const struct explain_world *world = explainer->world;
    const struct address *address = &explainer->question->address;
    struct text *ret = explainer->ret;
    bool is_cluster_ip = false, is_named = false;
    for (const struct service_record *record = world->store->services; record; record = record->hh.next) {
        const struct service *service = record->service;
        for (uint32_t i = 0; service && i < service->cluster_ip_count; i++) {
            if (address_cmp(&service->cluster_ips[i], address) != 0)
                continue;
            is_named = true;
            is_cluster_ip |= service->is_proxied;
            text_printf(ret, "The address is the cluster IP of Service %s, ", record->key);
            if (!service->is_proxied) {
                text_printf(ret, "which is not served: %s.\n", service->not_proxied_because);
                continue;
            }
            text_add(ret, "which has only these ports:");
            for (uint32_t p = 0; p < service->port_count; p++)
                text_printf(ret, " %u/%s", service->ports[p].port, protocol_name(service->ports[p].protocol));
            text_add(ret, ".\n");
        }
    }
    if (is_cluster_ip) {
        text_add(ret, "New connections to another port of a cluster IP are rejected.\n");
        return;
    }
    for (uint32_t i = 0; i < world->service_cidr_count; i++) {
        char cidr[PREFIX_TEXT_MAX];
        if (!prefix_contains(&world->service_cidrs[i], address))
            continue;
        text_printf(ret, "%s in the ServiceCIDR %s: packets to it are dropped.\n",
                    is_named ? "It lies" : "No Service has this address, but it lies",
                    prefix_format(&world->service_cidrs[i], cidr));
        return;
    }
    if (is_node_port_address(world, address))
        text_add(ret, "The address is this node's own, and no Service has this node port: the packet is not "
                      "touched.\n");
    else if (!is_named)
        text_add(ret, "No Service has this address: the packet is not touched.\n");
}

static const char *address_kind(const struct frontend *frontend)
{
    switch (frontend->kind) {
    case FRONTEND_CLUSTER_IP:
        return "a cluster IP";
    case FRONTEND_EXTERNAL_IP:
        return "an external IP";
    case FRONTEND_LOAD_BALANCER:
        return "a load-balancer address";
    case FRONTEND_NODE_PORT:
        return "a node port";
    }
    return "";
}

static void explain_service(struct explainer *explainer, const struct explain_answer *answer)
{
    const struct service *service = answer->record->service;
    const struct service_port *port = &service->ports[answer->frontend->port_index];
    struct text *ret = explainer->ret;
    text_printf(ret, "Service %s, port %s%s%u/%s (targetPort %s): %s\n", answer->record->key,
                *port->name ? port->name : "", *port->name ? " " : "", port->port,
                protocol_name(port->protocol), *port->target_port ? port->target_port : "unset",
                address_kind(answer->frontend));
    bool is_internal = answer->frontend->kind == FRONTEND_CLUSTER_IP;
    bool is_local = is_internal ? service->internal_local : service->external_local;
    text_printf(ret, "policy: %s %s%s\n", is_internal ? "internalTrafficPolicy" : "externalTrafficPolicy",
                is_local ? "Local" : "Cluster",
                is_local && !is_internal ? "; pods and the node itself use every endpoint all the same" : "");
    if (service->distribution && *service->distribution)
        text_printf(ret,
                    "traffic distribution asked for: %s (the proxy follows the hints in the slices alone)\n",
                    service->distribution);
    if (answer->frontend->affinity_seconds)
        text_printf(ret, "session affinity: ClientIP, %u s\n", answer->frontend->affinity_seconds);
    text_printf(ret, "this node: %s, zone %s\n", explainer->world->node_name,
                explainer->world->node->zone
                    ? intern_text(explainer->world->store->names, explainer->world->node->zone)
                    : "(none)");
}

/* Whether the asker's packets take the shortcut past externalTrafficPolicy Local; *ret_knows is false when
 * the rule goes by interfaces. */
static bool is_local_source(const struct explain_world *world, const struct explain_question *question,
                            bool *ret_knows)
{
    const struct node_view *view = world->node;
    enum family family = address_family(&question->from);
    *ret_knows = true;
    if (view->local_detect == LOCAL_DETECT_CIDR)
        return view->has_cluster_cidr[family] &&
               prefix_contains(&view->cluster_cidr[family], &question->from);
    *ret_knows = view->local_detect == LOCAL_DETECT_NONE;
    return false;
}

static bool is_own_address(const struct explain_world *world, const struct address *address)
{
    return is_node_port_address(world, address) || address_is_loopback(address);
}

static void explain_candidates(struct explainer *explainer, const struct explain_answer *answer,
                               bool local_set)
{
    const struct explain_world *world = explainer->world;
    const struct service_record *record = answer->record;
    const struct service_port *port = &record->service->ports[answer->frontend->port_index];
    const struct selection *selection =
        selection_build(record->service, port, answer->frontend->family, record->slices, record->slice_count,
                        world->node, &explainer->arena);
    struct text *ret = explainer->ret;
    if (!local_set) {
        describe_topology(record->service, selection, world->node, ret);
        text_printf(ret, "hints: %s\n", describe_hints(selection->hints));
    }
    text_printf(ret, "endpoints: %u of %u are in\n",
                local_set ? selection->local_count : selection->cluster_count, selection->count);
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct candidate *candidate = &selection->candidates[i];
        const struct endpoint *endpoint = candidate->endpoint;
        const struct slice *slice = candidate->slice;
        struct socket_address socket = {.address = endpoint->address, .port = candidate->port};
        char text[SOCKET_ADDRESS_TEXT_MAX];
        text_printf(ret, "  %s", socket_address_format(&socket, text));
        if (endpoint->target)
            text_printf(ret, " (pod %s%s)", slice->strings + slice->target_prefix,
                        slice->strings + endpoint->target);
        if (endpoint->node)
            text_printf(ret, " on %s", intern_text(world->store->names, endpoint->node));
        if (endpoint->zone)
            text_printf(ret, " in %s", intern_text(world->store->names, endpoint->zone));
        text_add(ret, ": ");
        describe_candidate(record->service, selection, candidate,
                           local_set ? candidate->in_local : candidate->in_cluster, world->node, ret);
        text_printf(ret, "  [%s]\n", candidate->slice->name);
    }
    if (selection->count == 0 && record->slice_count == 0)
        text_add(ret, "  no EndpointSlice names this Service (label kubernetes.io/service-name)\n");
    else if (selection->count == 0)
        text_printf(
            ret, "  %u EndpointSlices name this Service, but none has an endpoint for port \"%s\"/%s in %s\n",
            record->slice_count, port->name, protocol_name(port->protocol),
            family_name(answer->frontend->family));
}

static bool explain_source_ranges(struct explainer *explainer, const struct explain_answer *answer)
{
    const struct entry *entry = answer->record->entry;
    const struct explain_question *question = explainer->question;
    char text[PREFIX_TEXT_MAX];
    if (!answer->frontend->is_source_ranged)
        return true;
    bool is_allowed = !question->has_from;
    text_add(explainer->ret, "loadBalancerSourceRanges:");
    for (uint32_t i = 0; i < entry->source_range_count; i++) {
        if (address_family(&entry->source_ranges[i].address) != answer->frontend->family)
            continue;
        text_printf(explainer->ret, " %s", prefix_format(&entry->source_ranges[i], text));
        is_allowed |= question->has_from && prefix_contains(&entry->source_ranges[i], &question->from);
    }
    text_add(explainer->ret, question->has_from ? is_allowed
                                                      ? ": the source is inside\n"
                                                      : ": the source is outside, the packet is DROPPED\n"
                                                : "; all other sources are dropped\n");
    return is_allowed;
}

static void explain_source(struct explainer *explainer, const struct explain_answer *answer)
{
    const struct explain_world *world = explainer->world;
    const struct explain_question *question = explainer->question;
    struct text *ret = explainer->ret;
    bool knows = true;
    bool is_local = question->has_from && is_local_source(world, question, &knows);
    bool is_own = question->has_from && is_own_address(world, &question->from);
    text_add(ret, "source address: ");
    switch (answer->frontend->masquerade) {
    case MASQUERADE_NONE:
        text_add(ret, "kept");
        break;
    case MASQUERADE_ALWAYS:
        text_add(ret, "replaced by the node's (masqueraded)");
        break;
    case MASQUERADE_OFF_CLUSTER:
        text_add(ret, !question->has_from || !knows
                          ? "kept for pods of the cluster, replaced by the node's for others"
                      : is_local ? "kept: it is a pod's, in --cluster-cidr"
                                 : "replaced by the node's: it is not in --cluster-cidr");
        break;
    case MASQUERADE_LOCAL_SOURCES:
        text_add(ret, !question->has_from ? "kept, but for the node's own"
                      : is_own            ? "replaced by the node's: it is the node's own"
                                          : "kept");
        break;
    }
    text_add(ret, "; replaced as well when an endpoint reaches itself\n");
}

static void explain_verdict(struct explainer *explainer, const struct explain_answer *answer,
                            bool uses_shortcut)
{
    const struct frontend *frontend = answer->frontend;
    const struct backend_set *set = uses_shortcut ? frontend->shortcut : frontend->backends;
    struct text *ret = explainer->ret;
    switch (frontend->verdict) {
    case FRONTEND_REJECT:
        text_add(ret, frontend->is_topology_unserved
                          ? "verdict: REJECTED, there are endpoints but the topology keys lead to none\n"
                          : "verdict: REJECTED, no endpoint could serve it anywhere\n");
        return;
    case FRONTEND_DROP:
        text_add(ret, "verdict: DROPPED, there are endpoints but the policy leaves none on this node\n");
        return;
    case FRONTEND_FORWARD:
        break;
    }
    if (set->count == 0)
        text_add(ret, "verdict: DROPPED, there are endpoints but the policy leaves none on this node\n");
    else
        text_printf(ret, "verdict: FORWARDED to ");
    if (set->count == 1)
        text_add(ret, "the one endpoint\n");
    else if (set->count > 1 && frontend->affinity_seconds)
        text_printf(ret,
                    "the endpoint that the client had before if it is still in, else to one of %u, each with "
                    "the same "
                    "chance\n",
                    set->count);
    else if (set->count > 1)
        text_printf(ret, "one of %u endpoints, each with the same chance\n", set->count);
}

void explain_write(const struct explain_world *world, const struct explain_question *question,
                   struct text *ret, struct explain_answer *ret_answer)
{
    struct explainer explainer = {.world = world, .question = question, .ret = ret};
    struct explain_answer answer;
    bool knows = true;
    arena_init(&explainer.arena);
    find(&explainer, &answer);
    *ret_answer = answer;
    if (!answer.frontend) {
        explain_nobody(&explainer);
        arena_done(&explainer.arena);
        return;
    }
    const struct frontend *frontend = answer.frontend;
    bool is_local = question->has_from && is_local_source(world, question, &knows);
    bool uses_shortcut = frontend->short_circuits &&
                         (is_local || (question->has_from && is_own_address(world, &question->from)));
    bool is_local_policy = frontend->kind == FRONTEND_CLUSTER_IP ? answer.record->service->internal_local
                                                                 : answer.record->service->external_local;
    explain_service(&explainer, &answer);
    if (uses_shortcut)
        text_add(ret, "from a pod or the node itself: the policy is passed over\n");
    if (explain_source_ranges(&explainer, &answer)) {
        explain_candidates(&explainer, &answer, is_local_policy && !uses_shortcut);
        explain_source(&explainer, &answer);
        explain_verdict(&explainer, &answer, uses_shortcut);
    }
    arena_done(&explainer.arena);
}
