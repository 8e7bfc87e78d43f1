/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/table.h"

#include "apiserver/table_cells.h"
#include "base/cleanup.h"

#include <assert.h>
#include <string.h>

#define NAME_COLUMN                                                                                          \
    {                                                                                                        \
        "Name", "string", "name", "The object's name, unique in its namespace.", 0                           \
    }
#define AGE_COLUMN                                                                                           \
    {                                                                                                        \
        "Age", "string", "", "How long ago the server created the object.", 0                                \
    }
#define TEXT_COLUMN(name, description)                                                                       \
    {                                                                                                        \
        name, "string", "", description, 0                                                                   \
    }
#define WIDE_COLUMN(name, description)                                                                       \
    {                                                                                                        \
        name, "string", "", description, 1                                                                   \
    }

static const struct table_column service_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Type", "How the Service is exposed: ClusterIP, NodePort, LoadBalancer or ExternalName."),
    TEXT_COLUMN("Cluster-IP", "The virtual address, None for a headless Service."),
    TEXT_COLUMN("External-IP", "The addresses outside the cluster: of the load balancer and external ones."),
    TEXT_COLUMN("Port(s)", "The ports, with the node port after a colon."),
    AGE_COLUMN,
    WIDE_COLUMN("Selector", "The labels of the Pods behind the Service."),
};
static const struct table_column endpoint_slice_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("AddressType", "IPv4, IPv6 or FQDN."),
    TEXT_COLUMN("Ports", "The ports of each endpoint."),
    TEXT_COLUMN("Endpoints", "The endpoints' addresses."),
    AGE_COLUMN,
};
static const struct table_column endpoints_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Endpoints", "Addresses with ports."),
    AGE_COLUMN,
};
static const struct table_column node_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Status", "Whether the node is ready, and whether Pods may be scheduled to it."),
    TEXT_COLUMN("Roles", "From the labels node-role.kubernetes.io/ROLE and kubernetes.io/role."),
    AGE_COLUMN,
    TEXT_COLUMN("Version", "The version of the node's agent."),
    WIDE_COLUMN("Internal-IP", "The node's first address of type InternalIP."),
    WIDE_COLUMN("External-IP", "The node's first address of type ExternalIP."),
    WIDE_COLUMN("OS-Image", "The operating system."),
    WIDE_COLUMN("Kernel-Version", "The kernel, and the architecture."),
    WIDE_COLUMN("Container-Runtime", "The container runtime and its version."),
};
static const struct table_column pod_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Ready", "How many of the containers are ready."),
    TEXT_COLUMN("Status", "The phase, or what is the matter with a container."),
    TEXT_COLUMN("Restarts", "How often containers were started again, and when last."),
    AGE_COLUMN,
    WIDE_COLUMN("IP", "The Pod's address."),
    WIDE_COLUMN("Node", "The node that the Pod runs on."),
    WIDE_COLUMN("Nominated Node", "The node where room is being made for the Pod."),
    WIDE_COLUMN("Readiness Gates", "How many of the additional conditions of readiness are met."),
};
static const struct table_column namespace_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Status", "Active or Terminating."),
    AGE_COLUMN,
};
static const struct table_column service_cidr_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("CIDRs", "The ranges that cluster IPs are taken from."),
    AGE_COLUMN,
};
static const struct table_column config_map_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Data", "How many keys there are."),
    AGE_COLUMN,
};
static const struct table_column event_columns[] = {
    TEXT_COLUMN("Last Seen", "How long ago it last occurred."),
    TEXT_COLUMN("Type", "Normal or Warning."),
    TEXT_COLUMN("Reason", "Why, in a word for machines."),
    TEXT_COLUMN("Object", "What it is about."),
    WIDE_COLUMN("Subobject", "The part of the object that it is about."),
    WIDE_COLUMN("Source", "Who reports it, and from where."),
    TEXT_COLUMN("Message", "What happened, in words for people."),
    WIDE_COLUMN("First Seen", "How long ago it first occurred."),
    WIDE_COLUMN("Count", "How often it occurred."),
    {"Name", "string", "name", "The object's name, unique in its namespace.", 1},
};
static const struct table_column lease_columns[] = {
    NAME_COLUMN,
    TEXT_COLUMN("Holder", "Who holds the lease."),
    AGE_COLUMN,
};

#define COLUMNS(list)                                                                                        \
    {                                                                                                        \
        list, ARRAY_LEN(list)                                                                                \
    }
static const struct {
    const struct table_column *columns;
    size_t count;
} tables[API_KIND_COUNT] = {
    [API_SERVICE] = COLUMNS(service_columns),
    [API_ENDPOINT_SLICE] = COLUMNS(endpoint_slice_columns),
    [API_ENDPOINTS] = COLUMNS(endpoints_columns),
    [API_NODE] = COLUMNS(node_columns),
    [API_POD] = COLUMNS(pod_columns),
    [API_NAMESPACE] = COLUMNS(namespace_columns),
    [API_SERVICE_CIDR] = COLUMNS(service_cidr_columns),
    [API_CONFIG_MAP] = COLUMNS(config_map_columns),
    [API_EVENT] = COLUMNS(event_columns),
    [API_LEASE] = COLUMNS(lease_columns),
};

const struct table_column *table_columns(enum api_kind kind, size_t *ret_count)
{
    assert((unsigned)kind < API_KIND_COUNT);
    *ret_count = tables[kind].count;
    return tables[kind].columns;
}

json_t *table_column_definitions(enum api_kind kind)
{
    size_t count;
    const struct table_column *columns = table_columns(kind, &count);
    json_t *definitions = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(definitions,
                              json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", columns[i].name, "type",
                                        columns[i].type, "format", columns[i].format, "description",
                                        columns[i].description, "priority", columns[i].priority));
    return definitions;
}

json_t *table_cells(enum api_kind kind, const ProtobufCMessage *message, int64_t now)
{
    const Meta__ObjectMeta *metadata = api_metadata(message);
    const struct api_object object = {.kind = kind, .message = message};
    json_t *cells = json_array();
    if (kind != API_EVENT)
        cell_text(cells, metadata ? metadata->name : NULL);
    switch (kind) {
    case API_SERVICE:
        table_service_cells(cells, api_service(&object), now);
        return cells;
    case API_NODE:
        table_node_cells(cells, api_node(&object), now);
        return cells;
    case API_POD:
        table_pod_cells(cells, api_pod(&object), now);
        return cells;
    case API_EVENT:
        table_event_cells(cells, api_event(&object), now);
        return cells;
    case API_ENDPOINT_SLICE:
        table_endpoint_slice_cells(cells, api_endpoint_slice(&object));
        break;
    case API_ENDPOINTS:
        table_endpoints_cell(cells, api_endpoints(&object));
        break;
    case API_NAMESPACE:
        cell_text(cells, api_namespace(&object)->status ? api_namespace(&object)->status->phase : NULL);
        break;
    case API_SERVICE_CIDR:
        table_service_cidr_cell(cells, api_service_cidr(&object));
        break;
    case API_CONFIG_MAP:
        cell_number(cells,
                    (int64_t)(api_config_map(&object)->n_data + api_config_map(&object)->n_binarydata));
        break;
    case API_LEASE:
        cell_text(cells, api_lease(&object)->spec ? api_lease(&object)->spec->holderidentity : NULL);
        break;
    }
    cell_since(cells, metadata ? metadata->creationtimestamp : NULL, now);
    return cells;
}

json_t *table_conditions(enum api_kind kind, const ProtobufCMessage *message)
{
    if (kind != API_POD)
        return NULL;
    const Core__Pod *pod = (const Core__Pod *)message;
    const char *phase = pod->status ? api_text(pod->status->phase) : "", *words;
    if (strcmp(phase, "Succeeded") == 0)
        words = "The pod has completed successfully.";
    else if (strcmp(phase, "Failed") == 0)
        words = "The pod failed.";
    else
        return NULL;
    return json_pack("[{s:s, s:s, s:s, s:s}]", "type", "Completed", "status", "True", "reason", phase,
                     "message", words);
}

void table_age(int64_t seconds, struct text *ret)
{
    long long s = seconds, minutes = s / 60, hours = s / 3600, days = hours / 24, years = days / 365;
    /* Clocks may disagree by a little. */
    if (s < -1)
        text_add(ret, "<invalid>");
    else if (s < 0)
        text_add(ret, "0s");
    else if (s < 120)
        text_printf(ret, "%llds", s);
    else if (minutes < 10 && s % 60 != 0)
        text_printf(ret, "%lldm%llds", minutes, s % 60);
    else if (minutes < 180)
        text_printf(ret, "%lldm", minutes);
    else if (hours < 8 && minutes % 60 != 0)
        text_printf(ret, "%lldh%lldm", hours, minutes % 60);
    else if (hours < 48)
        text_printf(ret, "%lldh", hours);
    else if (days < 8 && hours % 24 != 0)
        text_printf(ret, "%lldd%lldh", days, hours % 24);
    else if (days < 730)
        text_printf(ret, "%lldd", days);
    else if (years < 8 && days % 365 != 0)
        text_printf(ret, "%lldy%lldd", years, days % 365);
    else
        text_printf(ret, "%lldy", years);
}
