/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate.h"
#include "apiserver/services_parts.h"

/* KEP-563: a Service is single-stack or dual-stack because its policy says so, and changes only when it does.
 */

#define POLICY_FAULT(faults, spec, detail)                                                                   \
    fault_invalid(faults, path_field(path_field(NULL, "spec"), "ipFamilyPolicy"), (spec)->ipfamilypolicy,    \
                  detail)

static bool is_policy(const Core__ServiceSpec *spec, const char *policy)
{
    return text_equal(api_text(spec->ipfamilypolicy), policy);
}

static bool has_range(const struct allocator_config *config, const char *family)
{
    for (size_t i = 0; i < config->range_count; i++)
        if (text_equal(family_name(address_family(&config->ranges[i].address)), family))
            return true;
    return false;
}

static const char *other_family(const char *family)
{
    return text_equal(family, "IPv4") ? "IPv6" : "IPv4";
}

static void append_family(Core__ServiceSpec *spec, const char *family, struct arena *arena)
{
    spec->ipfamilies = services_append(spec->ipfamilies, &spec->n_ipfamilies, family, arena);
}

bool services_is_content(const Core__ServiceSpec *before, const Core__ServiceSpec *after)
{
    bool was_preferred = is_policy(before, "PreferDualStack") || is_policy(before, "");
    return text_equal(api_text(before->type), api_text(after->type)) && services_needs_addresses(after) &&
           is_policy(after, "PreferDualStack") && was_preferred && services_same_cluster_ips(before, after) &&
           services_same_families(before, after);
}

static bool is_selectorless(const Core__ServiceSpec *spec)
{
    return services_is_headless(spec) && spec->n_selector == 0;
}

static void default_policy(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct arena *arena)
{
    const char *policy = is_selectorless(after) ? "RequireDualStack" : "SingleStack";
    if (!is_policy(after, ""))
        return;
    if (before && !is_policy(before, ""))
        policy = before->ipfamilypolicy;
    after->ipfamilypolicy = arena_strdup(arena, policy);
}

/* From two to one: SingleStack alone is a clear word, fewer values alone are not. */
static void apply_downgrade(const Core__ServiceSpec *before, Core__ServiceSpec *after, struct faults *faults)
{
    if (is_policy(after, "SingleStack")) {
        if (services_same_cluster_ips(before, after) && after->n_clusterips > 1)
            after->n_clusterips = 1;
        if (services_same_families(before, after) && after->n_ipfamilies > 1)
            after->n_ipfamilies = 1;
        return;
    }
    if (after->n_clusterips && after->n_clusterips < before->n_clusterips)
        POLICY_FAULT(faults, after, "must be 'SingleStack' to release the secondary cluster IP");
    if (after->n_ipfamilies && after->n_ipfamilies < before->n_ipfamilies)
        POLICY_FAULT(faults, after, "must be 'SingleStack' to release the secondary IP family");
}

static void check_single(const Core__ServiceSpec *spec, struct faults *faults)
{
    if (!is_policy(spec, "SingleStack"))
        return;
    if (spec->n_clusterips == 2)
        POLICY_FAULT(
            faults, spec,
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
    if (spec->n_ipfamilies == 2)
        POLICY_FAULT(
            faults, spec,
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
}

static void infer_families(Core__ServiceSpec *spec, const struct allocator_config *config,
                           struct arena *arena, struct faults *faults)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "clusterIPs");
    for (size_t i = spec->n_ipfamilies; i < spec->n_clusterips && !services_is_headless(spec); i++) {
        struct address address;
        if (address_parse(spec->clusterips[i], &address, NULL) < 0)
            return;
        const char *family = family_name(address_family(&address));
        if (has_range(config, family))
            append_family(spec, family, arena);
        else
            fault_invalid_list(faults, path_index(path, i), spec->clusterips, spec->n_clusterips,
                               arena_printf(arena, "%s is not configured on this cluster", family));
    }
}

static void check_configured(const Core__ServiceSpec *spec, const struct allocator_config *config,
                             struct faults *faults)
{
    const struct path *path = path_field(path_field(NULL, "spec"), "ipFamilies");
    if (is_policy(spec, "RequireDualStack") && config->range_count < 2)
        POLICY_FAULT(faults, spec, "this cluster is not configured for dual-stack services");
    for (size_t i = 0; i < spec->n_ipfamilies; i++)
        if (!has_range(config, spec->ipfamilies[i]))
            fault_invalid(faults, path_index(path, i), spec->ipfamilies[i], "not configured on this cluster");
}

void services_settle_families(const Core__ServiceSpec *before, Core__ServiceSpec *after,
                              const struct allocator_config *config, struct arena *arena,
                              struct faults *faults)
{
    size_t already = faults->count;
    if (!services_needs_addresses(after) || (before && services_is_content(before, after)))
        return;
    default_policy(before, after, arena);
    /* The rest relies on it: two cluster IPs at most, of different families, each an address or the one
     * "None". */
    validate_cluster_ips(faults, after, before);
    if (faults->count > already)
        return;
    if (before)
        apply_downgrade(before, after, faults);
    check_single(after, faults);
    infer_families(after, config, arena, faults);
    if (faults->count > already)
        return;
    /* Whose endpoints we do not know may have both families, whatever the ranges are. */
    bool may_have_any = is_selectorless(after);
    if (!may_have_any)
        check_configured(after, config, faults);
    if (faults->count > already)
        return;
    if (after->n_ipfamilies == 0)
        append_family(after, family_name(address_family(&config->ranges[0].address)), arena);
    if (after->n_ipfamilies == 1 && !is_policy(after, "SingleStack") &&
        (may_have_any || config->range_count == 2))
        append_family(after, other_family(after->ipfamilies[0]), arena);
}
