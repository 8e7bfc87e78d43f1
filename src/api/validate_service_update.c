/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/text_set.h"
#include "api/validate.h"
#include "api/validate_parts.h"

#define NO_ALLOCATOR "there is no allocator yet: "
#define MAY_NOT_CHANGE "may not change once set"

static const char *const ip_modes[] = {"Proxy", "VIP", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

static void check_ingress(struct faults *faults, const struct path *path,
                          const Core__LoadBalancerIngress *ingress, bool is_old_address)
{
    const struct path *mode = path_field(path, "ipMode");
    struct address address;
    if (is_set(ingress->ip) && !is_old_address)
        check_address(faults, path_field(path, "ip"), ingress->ip, &address);
    if (is_set(ingress->ip) && !ingress->ipmode)
        fault_required(faults, mode, "must be specified when `ip` is set");
    else if (is_set(ingress->ip))
        validate_supported(faults, mode, ingress->ipmode, ip_modes);
    else if (ingress->ipmode)
        fault_forbidden(faults, mode, "may not be specified when `ip` is not set");
    if (!is_set(ingress->hostname))
        return;
    check_dns_subdomain(faults, path_field(path, "hostname"), ingress->hostname);
    if (address_parse_loosely(ingress->hostname, faults->arena, &address))
        fault_invalid(faults, path_field(path, "hostname"), ingress->hostname,
                      "must be a DNS name, not an IP address");
}

static const Core__LoadBalancerStatus *balancer_of(const Core__Service *service)
{
    return service && service->status ? service->status->loadbalancer : NULL;
}

static struct text_set kept_addresses(const Core__LoadBalancerStatus *status, struct arena *arena)
{
    size_t count = status ? status->n_ingress : 0;
    const char **addresses = arena_array(arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        addresses[i] = status->ingress[i]->ip;
    return text_set_build(arena, addresses, count);
}

static void check_status(struct faults *faults, const Core__Service *service, const Core__Service *old)
{
    const struct path *path = path_field(path_field(path_field(NULL, "status"), "loadBalancer"), "ingress");
    const Core__LoadBalancerStatus *status = balancer_of(service), *before = balancer_of(old);
    if (!status)
        return;
    if (status->n_ingress && !is_text(service->spec->type, "LoadBalancer")) {
        fault_forbidden(faults, path, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    struct text_set kept = kept_addresses(before, faults->arena);
    for (size_t i = 0; i < status->n_ingress; i++)
        check_ingress(faults, path_index(path, i), status->ingress[i],
                      text_set_has(&kept, status->ingress[i]->ip));
}

/* What the apiserver would allocate, a manifest names. */
static void check_allocated(struct faults *faults, const Core__ServiceSpec *spec)
{
    if (is_text(spec->type, "ExternalName") || is_headless(spec))
        return;
    if (!is_set(spec->clusterip))
        fault_required(faults, path_field(spec_path, "clusterIP"),
                       NO_ALLOCATOR "a Service in a manifest names its clusterIP (or \"None\")");
    else if (spec->n_clusterips < spec->n_ipfamilies)
        fault_required(faults, path_field(spec_path, "clusterIPs"),
                       NO_ALLOCATOR "a Service in a manifest names one clusterIP for each of its families");
    for (size_t i = 0; is_text(spec->type, "NodePort") && i < spec->n_ports; i++)
        if (spec->ports[i]->nodeport == 0)
            fault_required(faults, path_field(path_index(path_field(spec_path, "ports"), i), "nodePort"),
                           NO_ALLOCATOR "a Service in a manifest names its node ports");
}

/* What an allocator refuses to give. */
static void check_allocatable(struct faults *faults, const Core__ServiceSpec *spec)
{
    for (size_t i = 0; i < spec->n_clusterips && !is_text(spec->type, "ExternalName"); i++) {
        const struct path *path = path_index(path_field(spec_path, "clusterIPs"), i);
        struct address address;
        if (address_parse(api_text(spec->clusterips[i]), &address, NULL) == 0)
            check_endpoint_address(faults, path, spec->clusterips[i], &address);
    }
    for (size_t i = 0; i < spec->n_ports && !is_text(spec->type, "ClusterIP"); i++)
        if (spec->ports[i]->nodeport != 0)
            check_port_number(faults, path_field(path_index(path_field(spec_path, "ports"), i), "nodePort"),
                              spec->ports[i]->nodeport);
}

static void check_single_stack(struct faults *faults, const Core__ServiceSpec *spec)
{
    if (!is_text(spec->ipfamilypolicy, "SingleStack") || is_text(spec->type, "ExternalName"))
        return;
    const char *what = spec->n_clusterips == 2   ? "cluster IPs"
                       : spec->n_ipfamilies == 2 ? "IP families"
                                                 : NULL;
    if (what)
        fault_invalid(
            faults, path_field(spec_path, "ipFamilyPolicy"), "SingleStack",
            arena_printf(faults->arena,
                         "must be 'RequireDualStack' or 'PreferDualStack' when multiple %s are specified",
                         what));
}

void validate_service_alone(struct faults *faults, const Core__Service *service)
{
    check_status(faults, service, NULL);
    check_single_stack(faults, service->spec);
    check_allocatable(faults, service->spec);
    if (faults->count == 0)
        check_allocated(faults, service->spec);
}

/* A list as upstream prints it, `null` when it is not there. */
static void fault_list(struct faults *faults, const char *field, size_t index, char *const *values,
                       size_t count, const char *detail)
{
    const struct path *path = path_index(path_field(spec_path, field), index);
    if (count)
        fault_invalid_list(faults, path, values, count, detail);
    else
        fault_invalid_raw(faults, path, "null", detail);
}

/* Whoever gives up his second address or family says so. */
static void check_release(struct faults *faults, const Core__ServiceSpec *spec, const char *detail)
{
    const struct path *path = path_field(spec_path, "ipFamilyPolicy");
    if (!spec->ipfamilypolicy)
        fault_invalid_raw(faults, path, "null", detail);
    else if (!is_text(spec->ipfamilypolicy, "SingleStack"))
        fault_invalid(faults, path, spec->ipfamilypolicy, detail);
}

static void check_cluster_ips_update(struct faults *faults, const Core__ServiceSpec *spec,
                                     const Core__ServiceSpec *old)
{
    char *const *now = spec->clusterips, *const *before = old->clusterips;
    size_t count = spec->n_clusterips, old_count = old->n_clusterips;
    for (size_t i = 0; count == old_count && i < count; i++)
        if (!is_same_text(now[i], before[i]))
            fault_list(faults, "clusterIPs", i, now, count, MAY_NOT_CHANGE);
    if (count == old_count)
        return;
    if (count == 0)
        fault_list(faults, "clusterIPs", 0, now, count, "primary clusterIP can not be unset");
    if (count > 0 && old_count > 0 && !is_same_text(now[0], before[0]))
        fault_list(faults, "clusterIPs", 0, now, count, MAY_NOT_CHANGE);
    if (count == 1 && old_count > 1)
        check_release(faults, spec, "must be set to 'SingleStack' when releasing the secondary clusterIP");
}

/* Upstream prints the cluster IPs where the count of families changed. */
static void check_families_update(struct faults *faults, const Core__ServiceSpec *spec,
                                  const Core__ServiceSpec *old)
{
    char *const *now = spec->ipfamilies, *const *before = old->ipfamilies;
    size_t count = spec->n_ipfamilies, old_count = old->n_ipfamilies;
    if (is_headless(spec) || is_headless(old))
        return;
    for (size_t i = 0; count == old_count && i < count; i++)
        if (!is_same_text(now[i], before[i]))
            fault_list(faults, "ipFamilies", 0, now, count, MAY_NOT_CHANGE);
    if (count == old_count)
        return;
    if (count < old_count && spec->n_clusterips == 0)
        fault_list(faults, "ipFamilies", 0, now, count, "primary ipFamily can not be unset");
    if (count > 0 && old_count > 0 && !is_same_text(now[0], before[0]))
        fault_list(faults, "ipFamilies", 0, spec->clusterips, spec->n_clusterips, MAY_NOT_CHANGE);
    if (count == 1 && old_count > 1)
        check_release(faults, spec, "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

/* The format is judged here and again with the rest, so that there are two causes, as upstream has it. */
static void check_class_update(struct faults *faults, const Core__ServiceSpec *spec,
                               const Core__ServiceSpec *old)
{
    const struct path *path = path_field(spec_path, "loadBalancerClass");
    const char *class = spec->loadbalancerclass;
    bool is_balancer = is_text(spec->type, "LoadBalancer"), was_balancer = is_text(old->type, "LoadBalancer");
    bool changes = is_balancer && was_balancer && !text_equal(class, old->loadbalancerclass);
    if (changes && class)
        fault_invalid(faults, path, class, MAY_NOT_CHANGE);
    else if (changes)
        fault_invalid_raw(faults, path, "null", MAY_NOT_CHANGE);
    validate_balancer_class(faults, spec);
}

static bool needs_health_check(const Core__ServiceSpec *spec)
{
    return is_text(spec->type, "LoadBalancer") && is_text(spec->externaltrafficpolicy, "Local");
}

void validate_service_update(struct faults *faults, const Core__Service *service, const Core__Service *old)
{
    const Core__ServiceSpec *spec = service->spec, *before = old->spec;
    bool is_name = is_text(spec->type, "ExternalName") || is_text(before->type, "ExternalName");
    validate_metadata_update(faults, service->metadata, old->metadata);
    if (!is_name) {
        check_cluster_ips_update(faults, spec, before);
        check_families_update(faults, spec, before);
    }
    check_class_update(faults, spec, before);
    if (needs_health_check(spec) && needs_health_check(before) &&
        spec->healthchecknodeport != before->healthchecknodeport)
        fault_forbidden(faults, path_field(spec_path, "healthCheckNodePort"), FIELD_IS_IMMUTABLE);
    validate_service(faults, service, old);
}

void validate_service_status(struct faults *faults, const Core__Service *service, const Core__Service *old)
{
    validate_metadata_update(faults, service->metadata, old->metadata);
    check_status(faults, service, old);
}
