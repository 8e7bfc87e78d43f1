/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/equal.h"
#include "api/validate_parts.h"

#define ENDPOINTS_MAX 1000
#define ADDRESSES_MAX 100
#define PORTS_MAX 20000
#define HINTS_MAX 8
#define TOPOLOGY_MAX 16

static const char *const address_types[] = {"FQDN", "IPv4", "IPv6", NULL};

static void check_slice_port(struct faults *faults, const struct path *path,
                             const Discovery__EndpointPort *port)
{
    if (*port->name)
        check_dns_label(faults, path_field(path, "name"), port->name);
    validate_choice(faults, path_field(path, "protocol"), port->protocol, validate_protocols);
    /* The apiserver lets any number pass as a port; store/convert.c passes over those that are none. */
    if (port->appprotocol)
        check_qualified_name(faults, path_field(path, "appProtocol"), port->appprotocol);
}

static void check_slice_ports(struct faults *faults, const Discovery__EndpointSlice *slice)
{
    const struct path *path = path_field(NULL, "ports");
    if (slice->n_ports > PORTS_MAX) {
        fault_too_many(faults, path, slice->n_ports, PORTS_MAX);
        return;
    }
    const char **names = arena_array(faults->arena, const char *, slice->n_ports);
    for (size_t i = 0; i < slice->n_ports; i++)
        names[i] = slice->ports[i]->name;
    const bool *repeated = validate_duplicates(faults->arena, names, slice->n_ports);
    for (size_t i = 0; i < slice->n_ports; i++) {
        check_slice_port(faults, path_index(path, i), slice->ports[i]);
        if (repeated && repeated[i])
            fault_duplicate(faults, path_field(path_index(path, i), "name"), names[i]);
    }
}

/* Upstream's path of a wrong family is that of the list. An IPv6 address stands in its canonical form. */
static void check_slice_address(struct faults *faults, const struct path *list, size_t index,
                                const char *type, const char *value)
{
    const struct path *path = path_index(list, index);
    struct address address;
    if (strcmp(type, "FQDN") == 0) {
        check_fqdn(faults, path, value);
        return;
    }
    bool is_ipv6 = strcmp(type, "IPv6") == 0;
    if (!is_ipv6 && strcmp(type, "IPv4") != 0)
        return;
    if (!(is_ipv6 ? check_canonical_address : check_address)(faults, path, value, &address))
        return;
    if (strcmp(type, family_name(address_family(&address))) != 0)
        fault_invalid(faults, list, value, arena_printf(faults->arena, "must be an %s address", type));
    check_endpoint_address(faults, path, value, &address);
}

static void check_zone_hints(struct faults *faults, const struct path *path,
                             const Discovery__EndpointHints *hints)
{
    const char *names[HINTS_MAX];
    if (hints->n_forzones > HINTS_MAX) {
        fault_too_many(faults, path, hints->n_forzones, HINTS_MAX);
        return;
    }
    for (size_t i = 0; i < hints->n_forzones; i++)
        names[i] = api_text(hints->forzones[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, hints->n_forzones);
    for (size_t i = 0; i < hints->n_forzones; i++) {
        const struct path *where = path_field(path_index(path, i), "name");
        if (repeated && repeated[i])
            fault_duplicate(faults, where, names[i]);
        check_label_value(faults, where, names[i]);
    }
}

static void check_node_hints(struct faults *faults, const struct path *path,
                             const Discovery__EndpointHints *hints)
{
    const char *names[HINTS_MAX];
    if (hints->n_fornodes > HINTS_MAX) {
        fault_too_many(faults, path, hints->n_fornodes, HINTS_MAX);
        return;
    }
    for (size_t i = 0; i < hints->n_fornodes; i++)
        names[i] = api_text(hints->fornodes[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, hints->n_fornodes);
    for (size_t i = 0; i < hints->n_fornodes; i++) {
        const struct path *where = path_field(path_index(path, i), "name");
        if (repeated && repeated[i])
            fault_duplicate(faults, where, names[i]);
        check_dns_subdomain(faults, where, names[i]);
    }
}

static void check_endpoint(struct faults *faults, const struct path *path, const char *type,
                           const Discovery__Endpoint *endpoint)
{
    const struct path *addresses = path_field(path, "addresses");
    if (endpoint->n_addresses == 0)
        fault_required(faults, addresses, "must contain at least 1 address");
    else if (endpoint->n_addresses > ADDRESSES_MAX)
        fault_too_many(faults, addresses, endpoint->n_addresses, ADDRESSES_MAX);
    for (size_t i = 0; i < endpoint->n_addresses; i++)
        check_slice_address(faults, addresses, i, type, endpoint->addresses[i]);
    if (endpoint->nodename)
        check_dns_subdomain(faults, path_field(path, "nodeName"), endpoint->nodename);
    const struct path *topology = path_field(path, "deprecatedTopology");
    if (endpoint->n_deprecatedtopology > TOPOLOGY_MAX)
        fault_too_many(faults, topology, endpoint->n_deprecatedtopology, TOPOLOGY_MAX);
    validate_labels(faults, topology, endpoint->deprecatedtopology, endpoint->n_deprecatedtopology);
    if (endpoint->hostname)
        check_dns_label(faults, path_field(path, "hostname"), endpoint->hostname);
    if (endpoint->hints) {
        check_zone_hints(faults, path_field(path_field(path, "hints"), "forZones"), endpoint->hints);
        check_node_hints(faults, path_field(path_field(path, "hints"), "forNodes"), endpoint->hints);
    }
}

static bool is_repeated_unchanged(const ProtobufCMessage *message, const ProtobufCMessage *old,
                                  const char *field)
{
    return old &&
           message_equal_field(message, old,
                               protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field));
}

static void check_endpoints(struct faults *faults, const Discovery__EndpointSlice *slice)
{
    const struct path *path = path_field(NULL, "endpoints");
    if (slice->n_endpoints > ENDPOINTS_MAX) {
        fault_too_many(faults, path, slice->n_endpoints, ENDPOINTS_MAX);
        return;
    }
    for (size_t i = 0; i < slice->n_endpoints; i++)
        check_endpoint(faults, path_index(path, i), api_text(slice->addresstype), slice->endpoints[i]);
}

void validate_endpoint_slice(struct faults *faults, const Discovery__EndpointSlice *slice,
                             const Discovery__EndpointSlice *old)
{
    const struct path *type = path_field(NULL, "addressType");
    validate_metadata(faults, slice->metadata, true, dns_subdomain_rule);
    validate_choice(faults, type, slice->addresstype, address_types);
    check_slice_ports(faults, slice);
    size_t before = faults->count;
    check_endpoints(faults, slice);
    /* What earlier rules let in may stay. */
    if (faults->count > before && is_repeated_unchanged(&slice->base, old ? &old->base : NULL, "endpoints"))
        faults_truncate(faults, before);
    if (old && !is_same_text(slice->addresstype, old->addresstype))
        fault_invalid(faults, type, api_text(slice->addresstype), FIELD_IS_IMMUTABLE);
}

static void check_subset_address(struct faults *faults, const struct path *path,
                                 const Core__EndpointAddress *endpoint)
{
    struct address address;
    const char *ip = api_text(endpoint->ip);
    bool is_address = check_address(faults, path_field(path, "ip"), ip, &address);
    if (endpoint->hostname && *endpoint->hostname)
        check_dns_label(faults, path_field(path, "hostname"), endpoint->hostname);
    if (endpoint->nodename)
        check_dns_subdomain(faults, path_field(path, "nodeName"), endpoint->nodename);
    if (is_address || address_parse_loosely(ip, faults->arena, &address))
        check_endpoint_address(faults, path_field(path, "ip"), ip, &address);
    else
        fault_invalid(faults, path_field(path, "ip"), ip, "must be a valid IP address");
}

static void check_subset_port(struct faults *faults, const struct path *path, const Core__EndpointPort *port,
                              bool needs_name)
{
    if (port->name && *port->name)
        check_dns_label(faults, path_field(path, "name"), port->name);
    else if (needs_name)
        fault_required(faults, path_field(path, "name"), NULL);
    check_port_number(faults, path_field(path, "port"), port->port);
    validate_choice(faults, path_field(path, "protocol"), port->protocol, validate_protocols);
    if (port->appprotocol)
        check_qualified_name(faults, path_field(path, "appProtocol"), port->appprotocol);
}

static void check_subsets(struct faults *faults, const Core__Endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->n_subsets; i++) {
        const Core__EndpointSubset *subset = endpoints->subsets[i];
        const struct path *path = path_index(path_field(NULL, "subsets"), i);
        if (subset->n_addresses == 0 && subset->n_notreadyaddresses == 0)
            fault_required(faults, path, "must specify `addresses` or `notReadyAddresses`");
        for (size_t j = 0; j < subset->n_addresses; j++)
            check_subset_address(faults, path_index(path_field(path, "addresses"), j), subset->addresses[j]);
        for (size_t j = 0; j < subset->n_notreadyaddresses; j++)
            check_subset_address(faults, path_index(path_field(path, "notReadyAddresses"), j),
                                 subset->notreadyaddresses[j]);
        for (size_t j = 0; j < subset->n_ports; j++)
            check_subset_port(faults, path_index(path_field(path, "ports"), j), subset->ports[j],
                              subset->n_ports > 1);
    }
}

void validate_endpoints(struct faults *faults, const Core__Endpoints *endpoints, const Core__Endpoints *old)
{
    if (old)
        validate_metadata_update(faults, endpoints->metadata, old->metadata);
    validate_metadata(faults, endpoints->metadata, true, dns_subdomain_rule);
    size_t before = faults->count;
    check_subsets(faults, endpoints);
    if (faults->count > before && is_repeated_unchanged(&endpoints->base, old ? &old->base : NULL, "subsets"))
        faults_truncate(faults, before);
}
