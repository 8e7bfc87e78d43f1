/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/quantity.h"
#include "api/validate_parts.h"

/* Kinds that belong to no namespace: Node, Namespace, ServiceCIDR. */

#define POD_CIDRS_FIXED "node updates may not change podCIDR except from \"\" to valid"
#define PROVIDER_FIXED "node updates may not change providerID except from \"\" to valid"
#define FEATURE_DETAIL                                                                                       \
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature " \
    "or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"

static const char *const taint_effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};

/* At most one prefix of each family, as podCIDRs and ServiceCIDR want it. */
static bool is_family_repeated(const struct prefix prefixes[2])
{
    return address_family(&prefixes[0].address) == address_family(&prefixes[1].address);
}

void validate_taint_effect(struct faults *faults, const struct path *path, const char *effect)
{
    validate_choice(faults, path, effect, taint_effects);
}

static const char *taint_value(const Core__Taint *taint, struct arena *arena)
{
    return arena_printf(arena, "{\"Key\":%s,\"Value\":%s,\"Effect\":%s,\"TimeAdded\":null}",
                        encode_quoted(api_text(taint->key), arena),
                        encode_quoted(api_text(taint->value), arena),
                        encode_quoted(api_text(taint->effect), arena));
}

/* The path begins with metadata in upstream too. */
static void check_taints(struct faults *faults, const Core__NodeSpec *spec)
{
    const struct path *path = path_field(path_field(NULL, "metadata"), "taints");
    const char **keys = arena_array(faults->arena, const char *, spec->n_taints);
    for (size_t i = 0; i < spec->n_taints; i++)
        keys[i] = arena_printf(faults->arena, "%s %s", api_text(spec->taints[i]->effect),
                               api_text(spec->taints[i]->key));
    const bool *repeated = validate_duplicates(faults->arena, keys, spec->n_taints);
    for (size_t i = 0; i < spec->n_taints; i++) {
        const Core__Taint *taint = spec->taints[i];
        const struct path *where = path_index(path, i);
        const char *detail = join_rule(api_text(taint->value), label_value_rule, faults->arena);
        check_qualified_name(faults, path_field(where, "key"), api_text(taint->key));
        if (detail)
            fault_invalid(faults, path_field(where, "value"), api_text(taint->value), detail);
        validate_taint_effect(faults, path_field(where, "effect"), taint->effect);
        if (repeated && repeated[i])
            fault_duplicate_detailed(faults, where, taint_value(taint, faults->arena),
                                     "taints must be unique by key and effect pair");
    }
}

static void check_resources(struct faults *faults, const char *field, Meta__QuantityEntry *const *entries,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = api_text(entries[i]->key);
        const struct path *path = path_field(path_field(path_field(NULL, "status"), field), name);
        validate_quantity(faults, path, name, entries[i]->value);
    }
}

static bool is_feature_name(const char *name)
{
    bool starts_segment = true;
    if (!(*name >= 'A' && *name <= 'Z'))
        return false;
    for (; *name; name++) {
        bool is_letter = (*name >= 'A' && *name <= 'Z') || (*name >= 'a' && *name <= 'z');
        if (starts_segment && !is_letter)
            return false;
        if (!is_letter && !(*name >= '0' && *name <= '9') && *name != '/')
            return false;
        starts_segment = *name == '/';
    }
    return !starts_segment;
}

static void check_features(struct faults *faults, const Core__NodeStatus *status)
{
    const struct path *path = path_field(path_field(NULL, "status"), "declaredFeatures");
    for (size_t i = 0; i < status->n_declaredfeatures; i++) {
        const char *name = status->declaredfeatures[i];
        const char *next = i + 1 < status->n_declaredfeatures ? status->declaredfeatures[i + 1] : NULL;
        const char *quoted = encode_quoted(name, faults->arena);
        if (strlen(name) > 253)
            fault_invalid(faults, path_index(path, i), name,
                          arena_printf(faults->arena,
                                       "invalid feature name %s: must be no more than 253 characters",
                                       quoted));
        else if (!is_feature_name(name))
            fault_invalid(faults, path_index(path, i), name,
                          arena_printf(faults->arena, "invalid feature name %s: " FEATURE_DETAIL, quoted));
        if (next && strcmp(name, next) == 0)
            fault_duplicate(faults, path_index(path, i + 1), next);
        else if (next && strcmp(name, next) > 0)
            fault_invalid(faults, path_index(path, i + 1), next, "list must be sorted alphabetically");
    }
}

static void check_pod_cidrs(struct faults *faults, const Core__NodeSpec *spec)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "podCIDRs");
    struct prefix prefixes[2];
    size_t valid = 0;
    for (size_t i = 0; i < spec->n_podcidrs; i++) {
        struct prefix prefix;
        if (check_prefix(faults, path_index(path, i), spec->podcidrs[i], &prefix) && valid < 2)
            prefixes[valid++] = prefix;
    }
    if (spec->n_podcidrs > 2 || (valid == 2 && is_family_repeated(prefixes)))
        fault_invalid_list(faults, path, spec->podcidrs, spec->n_podcidrs,
                           "may specify no more than one CIDR for each IP family");
}

static void check_node_status(struct faults *faults, const Core__NodeStatus *status)
{
    if (!status)
        return;
    check_resources(faults, "capacity", status->capacity, status->n_capacity);
    check_resources(faults, "allocatable", status->allocatable, status->n_allocatable);
    check_features(faults, status);
    const Core__NodeSwapStatus *swap = status->nodeinfo ? status->nodeinfo->swap : NULL;
    const struct path *path =
        path_field(path_field(path_field(NULL, "metadata"), "nodeSwapStatus"), "capacity");
    if (swap && swap->has_capacity && swap->capacity <= 0)
        fault_invalid_number(faults, path, swap->capacity, "must be greater than zero");
}

void validate_node(struct faults *faults, const Core__Node *node)
{
    validate_metadata(faults, node->metadata, false, dns_subdomain_rule);
    check_taints(faults, node->spec);
    check_node_status(faults, node->status);
    check_pod_cidrs(faults, node->spec);
}

static void check_node_addresses(struct faults *faults, const Core__NodeStatus *status)
{
    const struct path *path = path_field(path_field(NULL, "status"), "addresses");
    size_t count = status ? status->n_addresses : 0;
    const char **keys = arena_array(faults->arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        const Core__NodeAddress *address = status->addresses[i];
        keys[i] = arena_printf(faults->arena, "{\"Type\":%s,\"Address\":%s}",
                               encode_quoted(api_text(address->type), faults->arena),
                               encode_quoted(api_text(address->address), faults->arena));
    }
    const bool *repeated = validate_duplicates(faults->arena, keys, count);
    for (size_t i = 0; repeated && i < count; i++)
        if (repeated[i])
            fault_duplicate_raw(faults, path_index(path, i), keys[i]);
}

static void check_pod_cidrs_update(struct faults *faults, const Core__NodeSpec *spec,
                                   const Core__NodeSpec *old)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "podCIDRs");
    if (old->n_podcidrs == 0)
        return;
    if (old->n_podcidrs != spec->n_podcidrs) {
        fault_forbidden(faults, path, POD_CIDRS_FIXED);
        return;
    }
    for (size_t i = 0; i < old->n_podcidrs; i++)
        if (!is_same_text(old->podcidrs[i], spec->podcidrs[i]))
            fault_forbidden(faults, path, POD_CIDRS_FIXED);
}

void validate_node_update(struct faults *faults, const Core__Node *node, const Core__Node *old)
{
    const struct path *spec_path = path_field(NULL, "spec");
    const Core__NodeSpec *spec = node->spec, *before = old->spec;
    validate_metadata_update(faults, node->metadata, old->metadata);
    check_node_status(faults, node->status);
    check_node_addresses(faults, node->status);
    check_pod_cidrs_update(faults, spec, before);
    if (is_set(before->providerid) && !is_same_text(before->providerid, spec->providerid))
        fault_forbidden(faults, path_field(spec_path, "providerID"), PROVIDER_FIXED);
    check_taints(faults, spec);
    if (!is_same_text(spec->externalid, before->externalid))
        fault_forbidden(faults, path_field(spec_path, "externalID"), "may not be updated");
}

void validate_namespace(struct faults *faults, const Core__Namespace *namespace)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "finalizers");
    validate_metadata(faults, namespace->metadata, false, dns_label_rule);
    for (size_t i = 0; i < namespace->spec->n_finalizers; i++) {
        const char *name = namespace->spec->finalizers[i];
        check_qualified_name(faults, path, name);
        validate_finalizer(faults, path, name);
    }
}

/* The capital P stands in upstream's path. */
void validate_namespace_status(struct faults *faults, const Core__Namespace *namespace,
                               const Core__Namespace *old)
{
    const struct path *path = path_field(path_field(NULL, "status"), "Phase");
    const char *phase = namespace->status ? api_text(namespace->status->phase) : "";
    bool is_deleted = namespace->metadata->deletiontimestamp != NULL;
    validate_metadata_update(faults, namespace->metadata, old->metadata);
    if (!is_deleted && strcmp(phase, "Active") != 0)
        fault_invalid(faults, path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    if (is_deleted && strcmp(phase, "Terminating") != 0)
        fault_invalid(faults, path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

/* Here upstream prints the whole of its struct. */
static const char *ranges_value(const Networking__ServiceCIDRSpec *spec, struct arena *arena)
{
    struct text list = {0};
    for (size_t i = 0; i < spec->n_cidrs; i++)
        text_printf(&list, "%s%s", i ? "," : "", encode_quoted(spec->cidrs[i], arena));
    const char *value = arena_printf(arena, "{\"CIDRs\":[%s]}", text_str(&list));
    text_done(&list);
    return value;
}

static void check_ranges(struct faults *faults, const Networking__ServiceCIDRSpec *spec)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "cidrs");
    struct prefix prefixes[2];
    bool is_valid = true;
    if (spec->n_cidrs == 0) {
        fault_required(faults, path, "at least one CIDR required");
        return;
    }
    if (spec->n_cidrs > 2) {
        fault_invalid_raw(faults, path, ranges_value(spec, faults->arena), "may only hold up to 2 values");
        return;
    }
    for (size_t i = 0; i < spec->n_cidrs; i++)
        is_valid &= check_canonical_prefix(faults, path_index(path, i), spec->cidrs[i], &prefixes[i]);
    if (is_valid && spec->n_cidrs == 2 && is_family_repeated(prefixes))
        fault_invalid_list(faults, path, spec->cidrs, spec->n_cidrs,
                           "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                           "2001:db8::/64");
}

void validate_service_cidr(struct faults *faults, const Networking__ServiceCIDR *range)
{
    validate_metadata(faults, range->metadata, false, dns_subdomain_rule);
    check_ranges(faults, range->spec);
}

void validate_service_cidr_update(struct faults *faults, const Networking__ServiceCIDR *range,
                                  const Networking__ServiceCIDR *old)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "cidrs");
    const Networking__ServiceCIDRSpec *spec = range->spec, *before = old->spec;
    bool becomes_dual = before->n_cidrs == 1 && spec->n_cidrs == 2;
    validate_metadata_update(faults, range->metadata, old->metadata);
    if (!becomes_dual && spec->n_cidrs != before->n_cidrs) {
        if (spec->n_cidrs)
            fault_invalid_list(faults, path, spec->cidrs, spec->n_cidrs, FIELD_IS_IMMUTABLE);
        else
            fault_invalid_raw(faults, path, "null", FIELD_IS_IMMUTABLE);
        return;
    }
    for (size_t i = 0; i < before->n_cidrs; i++)
        if (!is_same_text(spec->cidrs[i], before->cidrs[i]))
            fault_invalid(faults, path_index(path, i), spec->cidrs[i], FIELD_IS_IMMUTABLE);
    if (becomes_dual)
        check_ranges(faults, spec);
}
