/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate.h"

#include "api/encode.h"
#include "api/names.h"

#include <string.h>

/* At most one prefix of each family, as podCIDRs and ServiceCIDR want it. */
static bool is_family_repeated(const struct prefix prefixes[2])
{
    return address_family(&prefixes[0].address) == address_family(&prefixes[1].address);
}

static void validate_node(struct faults *faults, const Core__Node *node)
{
    const Core__NodeSpec *spec = node->spec;
    const struct path *path = path_field(path_field(NULL, "spec"), "podCIDRs");
    struct prefix prefixes[2];
    size_t valid = 0;
    validate_metadata(faults, node->metadata, false, check_dns_subdomain);
    for (size_t i = 0; i < spec->n_podcidrs; i++) {
        struct prefix prefix;
        if (check_prefix(faults, path_index(path, i), spec->podcidrs[i], &prefix) && valid < 2)
            prefixes[valid++] = prefix;
    }
    if (spec->n_podcidrs > 2 || (valid == 2 && is_family_repeated(prefixes)))
        fault_invalid_list(faults, path, spec->podcidrs, spec->n_podcidrs,
                           "may specify no more than one CIDR for each IP family");
}

static void validate_service_cidr(struct faults *faults, const Networking__ServiceCIDR *range)
{
    const Networking__ServiceCIDRSpec *spec = range->spec;
    const struct path *path = path_field(path_field(NULL, "spec"), "cidrs");
    struct prefix prefixes[2];
    bool is_valid = true;
    validate_metadata(faults, range->metadata, false, check_dns_subdomain);
    if (spec->n_cidrs == 0) {
        fault_required(faults, path, "at least one CIDR required");
        return;
    }
    if (spec->n_cidrs > 2) {
        fault_invalid_list(faults, path, spec->cidrs, spec->n_cidrs, "may only hold up to 2 values");
        return;
    }
    for (size_t i = 0; i < spec->n_cidrs; i++) {
        char canonical[PREFIX_TEXT_MAX];
        const struct path *where = path_index(path, i);
        if (!check_prefix(faults, where, spec->cidrs[i], &prefixes[i])) {
            is_valid = false;
        } else if (strcmp(prefix_format(&prefixes[i], canonical), spec->cidrs[i]) != 0) {
            fault_invalid(faults, where, spec->cidrs[i],
                          arena_printf(faults->arena, "must be in canonical form (\"%s\")", canonical));
            is_valid = false;
        }
    }
    if (is_valid && spec->n_cidrs == 2 && is_family_repeated(prefixes))
        fault_invalid_list(faults, path, spec->cidrs, spec->n_cidrs,
                           "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                           "2001:db8::/64");
}

static void validate_kind(struct faults *faults, enum api_kind kind, const ProtobufCMessage *message)
{
    switch (kind) {
    case API_SERVICE:
        validate_service(faults, (const Core__Service *)message);
        break;
    case API_ENDPOINT_SLICE:
        validate_endpoint_slice(faults, (const Discovery__EndpointSlice *)message);
        break;
    case API_ENDPOINTS:
        validate_endpoints(faults, (const Core__Endpoints *)message);
        break;
    case API_NODE:
        validate_node(faults, (const Core__Node *)message);
        break;
    case API_POD:
        validate_metadata(faults, api_metadata(message), true, check_dns_subdomain);
        break;
    case API_NAMESPACE:
        validate_metadata(faults, api_metadata(message), false, check_dns_label);
        break;
    case API_SERVICE_CIDR:
        validate_service_cidr(faults, (const Networking__ServiceCIDR *)message);
        break;
    }
}

const char *validate_object(enum api_kind kind, const ProtobufCMessage *message, const struct tape *tape,
                            struct arena *arena, uint32_t *ret_line, uint32_t *ret_column)
{
    struct faults faults;
    faults.arena = arena;
    faults.tape = tape;
    faults.count = 0;
    faults.line = faults.column = 0;
    validate_kind(&faults, kind, message);
    if (faults.count == 0)
        return NULL;
    if (faults.line) {
        *ret_line = faults.line;
        *ret_column = faults.column;
    }
    const struct api_kind_info *info = api_kind_info(kind);
    return arena_printf(arena, "%s%s%s %s is invalid: %s", info->name, *info->group ? "." : "", info->group,
                        encode_quoted(api_text(api_metadata(message)->name), arena), faults_format(&faults));
}
