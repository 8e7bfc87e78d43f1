/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/text_set.h"
#include "api/validate.h"
#include "api/validate_parts.h"

#include <ctype.h>

#define ONLY_BALANCER "may only be used when `type` is 'LoadBalancer'"
#define AFFINITY_SECONDS_MAX 86400
#define TOPOLOGY_KEYS_MAX 16
#define SOURCE_RANGES_ANNOTATION "service.beta.kubernetes.io/load-balancer-source-ranges"
#define HINTS_ANNOTATION "service.kubernetes.io/topology-aware-hints"
#define MODE_ANNOTATION "service.kubernetes.io/topology-mode"

const char *const validate_protocols[] = {"SCTP", "TCP", "UDP", NULL};
static const char *const types[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL};
static const char *const affinities[] = {"ClientIP", "None", NULL};
static const char *const policies[] = {"Cluster", "Local", NULL};
static const char *const families[] = {"IPv4", "IPv6", NULL};
static const char *const family_policies[] = {"PreferDualStack", "RequireDualStack", "SingleStack", NULL};
static const char *const distributions[] = {"PreferClose", "PreferSameZone", "PreferSameNode", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

bool is_headless(const Core__ServiceSpec *spec)
{
    return spec->n_clusterips == 1 && is_text(spec->clusterips[0], "None");
}

static void check_annotations(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    const char *hints = api_entry(metadata->annotations, metadata->n_annotations, HINTS_ANNOTATION);
    const char *mode = api_entry(metadata->annotations, metadata->n_annotations, MODE_ANNOTATION);
    if (hints && mode && strcmp(hints, mode) != 0)
        fault_invalid(faults,
                      path_key(path_field(path_field(NULL, "metadata"), "annotations"), MODE_ANNOTATION),
                      mode, "must match annotations[" HINTS_ANNOTATION "] when both are specified");
}

static void check_external_name(struct faults *faults, const Core__ServiceSpec *spec)
{
    static const char forbidden[] = "may not be set for ExternalName services";
    if (spec->n_clusterips)
        fault_forbidden(faults, path_field(spec_path, "clusterIPs"), forbidden);
    if (spec->n_ipfamilies)
        fault_forbidden(faults, path_field(spec_path, "ipFamilies"), forbidden);
    if (spec->ipfamilypolicy)
        fault_forbidden(faults, path_field(spec_path, "ipFamilyPolicy"), forbidden);
    const char *name = api_text(spec->externalname);
    size_t len = strlen(name);
    if (len && name[len - 1] == '.')
        name = arena_strndup(faults->arena, name, len - 1);
    if (*name)
        check_dns_subdomain(faults, path_field(spec_path, "externalName"), name);
    else
        fault_required(faults, path_field(spec_path, "externalName"), NULL);
}

static void check_type(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *first = path_index(path_field(spec_path, "clusterIPs"), 0);
    if (spec->n_ports == 0 && !is_headless(spec) && !is_text(spec->type, "ExternalName"))
        fault_required(faults, path_field(spec_path, "ports"), NULL);
    if (is_text(spec->type, "LoadBalancer") && is_headless(spec))
        fault_invalid(faults, first, "None", "may not be set to 'None' for LoadBalancer services");
    if (is_text(spec->type, "NodePort") && is_headless(spec))
        fault_invalid(faults, first, "None", "may not be set to 'None' for NodePort services");
    if (is_text(spec->type, "ExternalName"))
        check_external_name(faults, spec);
}

static void check_port(struct faults *faults, const struct path *path, const Core__ServicePort *port,
                       bool needs_name)
{
    if (is_set(port->name))
        check_dns_label(faults, path_field(path, "name"), port->name);
    else if (needs_name)
        fault_required(faults, path_field(path, "name"), NULL);
    check_port_number(faults, path_field(path, "port"), port->port);
    validate_choice(faults, path_field(path, "protocol"), port->protocol, validate_protocols);
    const Meta__IntOrString *target = port->targetport;
    if (target->type == 1)
        check_port_name(faults, path_field(path, "targetPort"), api_text(target->strval));
    else
        check_port_number(faults, path_field(path, "targetPort"), target->intval);
    if (port->appprotocol)
        check_qualified_name(faults, path_field(path, "appProtocol"), port->appprotocol);
}

/* Ours, for every size from outside has a cap: each port is served at each address. */
#define FRONTENDS_MAX 16384

static void check_frontend_count(struct faults *faults, const Core__ServiceSpec *spec)
{
    size_t addresses = spec->n_clusterips + spec->n_externalips + 1;
    if (spec->n_ports * addresses <= FRONTENDS_MAX)
        return;
    const char *detail = arena_printf(faults->arena, "%zu ports at %zu addresses are more than %u frontends",
                                      spec->n_ports, addresses, FRONTENDS_MAX);
    fault_forbidden(faults, path_field(spec_path, "ports"), detail);
}

static void check_ports(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "ports");
    check_frontend_count(faults, spec);
    const char **names = arena_array(faults->arena, const char *, spec->n_ports);
    for (size_t i = 0; i < spec->n_ports; i++)
        names[i] = is_set(spec->ports[i]->name) ? spec->ports[i]->name : NULL;
    const bool *repeated = validate_duplicates(faults->arena, names, spec->n_ports);
    for (size_t i = 0; i < spec->n_ports; i++) {
        check_port(faults, path_index(path, i), spec->ports[i], spec->n_ports > 1);
        if (repeated && repeated[i])
            fault_duplicate(faults, path_field(path_index(path, i), "name"), names[i]);
    }
}

static void check_node_ports(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "ports");
    const char **keys = arena_array(faults->arena, const char *, spec->n_ports);
    for (size_t i = 0; i < spec->n_ports; i++) {
        const Core__ServicePort *port = spec->ports[i];
        if (port->nodeport == 0)
            continue;
        if (is_text(spec->type, "ClusterIP"))
            fault_forbidden(faults, path_field(path_index(path, i), "nodePort"),
                            "may not be used when `type` is 'ClusterIP'");
        keys[i] = arena_printf(faults->arena, "%s/%d", api_text(port->protocol), port->nodeport);
    }
    const bool *repeated = validate_duplicates(faults->arena, keys, spec->n_ports);
    for (size_t i = 0; repeated && i < spec->n_ports; i++)
        if (repeated[i])
            fault_duplicate_raw(faults, path_field(path_index(path, i), "nodePort"),
                                arena_printf(faults->arena, "%d", spec->ports[i]->nodeport));
}

/* Upstream prints its internal port struct as the value that is there twice. */
static void check_port_pairs(struct faults *faults, const Core__ServiceSpec *spec)
{
    if (spec->n_ports < 2)
        return;
    const char **keys = arena_array(faults->arena, const char *, spec->n_ports);
    for (size_t i = 0; i < spec->n_ports; i++)
        keys[i] =
            arena_printf(faults->arena, "%s/%d", api_text(spec->ports[i]->protocol), spec->ports[i]->port);
    const bool *repeated = validate_duplicates(faults->arena, keys, spec->n_ports);
    for (size_t i = 0; repeated && i < spec->n_ports; i++)
        if (repeated[i])
            fault_duplicate_raw(
                faults, path_index(path_field(spec_path, "ports"), i),
                arena_printf(faults->arena,
                             "{\"Name\":\"\",\"Protocol\":\"%s\",\"AppProtocol\":null,\"Port\":%d,"
                             "\"TargetPort\":0,\"NodePort\":0}",
                             api_text(spec->ports[i]->protocol), spec->ports[i]->port));
}

static void check_affinity(struct faults *faults, const Core__ServiceSpec *spec)
{
    static const char wanted[] = "when session affinity type is ClientIP";
    const struct path *path = path_field(spec_path, "sessionAffinityConfig");
    const Core__SessionAffinityConfig *config = spec->sessionaffinityconfig;
    const struct path *client = path_field(path, "clientIP"), *timeout = path_field(client, "timeoutSeconds");
    validate_choice(faults, path_field(spec_path, "sessionAffinity"), spec->sessionaffinity, affinities);
    if (is_text(spec->sessionaffinity, "None") && config)
        fault_forbidden(faults, path, "must not be set when session affinity is None");
    if (!is_text(spec->sessionaffinity, "ClientIP"))
        return;
    if (!config || !config->clientip || !config->clientip->has_timeoutseconds) {
        fault_required(faults, !config ? path : !config->clientip ? client : timeout, wanted);
        return;
    }
    int seconds = config->clientip->timeoutseconds;
    if (seconds <= 0 || seconds > AFFINITY_SECONDS_MAX)
        fault_invalid_number(faults, timeout, seconds, "must be greater than 0 and less than 86400");
}

static void check_families(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "ipFamilies");
    for (size_t i = 0; i < spec->n_ipfamilies; i++) {
        validate_supported(faults, path_index(path, i), spec->ipfamilies[i], families);
        for (size_t j = 0; j < i && j < 2; j++)
            if (is_same_text(spec->ipfamilies[j], spec->ipfamilies[i])) {
                fault_duplicate(faults, path_index(path, i), api_text(spec->ipfamilies[i]));
                break;
            }
    }
    if (spec->ipfamilypolicy)
        validate_supported(faults, path_field(spec_path, "ipFamilyPolicy"), spec->ipfamilypolicy,
                           family_policies);
}

/* Values that were let in under earlier rules may stay. old is NULL for a create. */
static struct text_set kept_values(char *const *old, size_t count, struct arena *arena)
{
    return text_set_build(arena, (const char *const *)old, count);
}

/* Each address by itself. Returns false where comparing them with one another would only repeat the faults.
 */
static bool check_each_cluster_ip(struct faults *faults, const Core__ServiceSpec *spec,
                                  const Core__ServiceSpec *old)
{
    const struct path *path = path_field(spec_path, "clusterIPs");
    struct text_set kept =
        kept_values(old ? old->clusterips : NULL, old ? old->n_clusterips : 0, faults->arena);
    bool is_valid = true;
    for (size_t i = 0; i < spec->n_clusterips; i++) {
        const char *value = api_text(spec->clusterips[i]);
        struct address address;
        if (i == 0 && strcmp(value, "None") == 0) {
            if (spec->n_clusterips > 1) {
                fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                                   "'None' must be the first and only value");
                is_valid = false;
            }
            continue;
        }
        if (text_set_has(&kept, value))
            continue;
        is_valid &= check_address(faults, path_index(path, i), value, &address);
    }
    if (spec->n_clusterips > 2)
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "may only hold up to 2 values");
    return is_valid;
}

static void check_cluster_ips_match(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "clusterIPs");
    unsigned count[FAMILY_COUNT] = {0};
    if (is_headless(spec))
        return;
    for (size_t i = 0; i < spec->n_clusterips; i++) {
        struct address address;
        if (!address_parse_loosely(api_text(spec->clusterips[i]), faults->arena, &address))
            return;
        count[address_family(&address)]++;
    }
    if (spec->n_clusterips > 1 && (count[FAMILY_IPV4] == 0 || count[FAMILY_IPV6] == 0))
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "may specify no more than one IP for each IP family");
    for (size_t i = 0; i < spec->n_clusterips && i < spec->n_ipfamilies; i++) {
        const char *family = api_text(spec->ipfamilies[i]);
        bool is_ipv6 = strchr(spec->clusterips[i], ':') != NULL;
        if (!is_text(family, is_ipv6 ? "IPv4" : "IPv6"))
            continue;
        fault_invalid(
            faults, path_index(path, i), spec->clusterips[i],
            arena_printf(faults->arena, "expected an %s value as indicated by `ipFamilies[%zu]`", family, i));
    }
}

void validate_cluster_ips(struct faults *faults, const Core__ServiceSpec *spec, const Core__ServiceSpec *old)
{
    const struct path *path = path_field(spec_path, "clusterIPs");
    if (is_text(spec->type, "ExternalName"))
        return;
    if (is_set(spec->clusterip) && spec->n_clusterips == 0)
        fault_required(faults, path, NULL);
    else if (is_set(spec->clusterip) && !is_text(spec->clusterips[0], spec->clusterip))
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "first value must match `clusterIP`");
    if (!is_set(spec->clusterip) && spec->n_clusterips)
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "must be empty when `clusterIP` is not specified");
    check_families(faults, spec);
    if (check_each_cluster_ip(faults, spec, old))
        check_cluster_ips_match(faults, spec);
}

static void check_external_ips(struct faults *faults, const Core__ServiceSpec *spec,
                               const Core__ServiceSpec *old)
{
    struct text_set kept =
        kept_values(old ? old->externalips : NULL, old ? old->n_externalips : 0, faults->arena);
    for (size_t i = 0; i < spec->n_externalips; i++) {
        const struct path *path = path_index(path_field(spec_path, "externalIPs"), i);
        const char *value = api_text(spec->externalips[i]);
        struct address address;
        if (text_set_has(&kept, value) ? address_parse_loosely(value, faults->arena, &address)
                                       : check_address(faults, path, value, &address))
            check_endpoint_address(faults, path, value, &address);
    }
}

/* Without the spaces around it, which are allowed in memory of the annotation that the field replaced. */
static char *trim(const char *value, size_t len, struct arena *arena)
{
    for (; len && isspace((unsigned char)*value); value++)
        len--;
    while (len && isspace((unsigned char)value[len - 1]))
        len--;
    return arena_strndup(arena, value, len);
}

static struct text_set kept_ranges(const Core__ServiceSpec *old, struct arena *arena)
{
    size_t count = old ? old->n_loadbalancersourceranges : 0;
    char **ranges = arena_array(arena, char *, count);
    for (size_t i = 0; i < count; i++) {
        const char *range = old->loadbalancersourceranges[i];
        ranges[i] = trim(range, strlen(range), arena);
    }
    return kept_values(ranges, count, arena);
}

/* The capital L stands in upstream's path. */
static void check_source_ranges(struct faults *faults, const Core__ServiceSpec *spec,
                                const Core__ServiceSpec *old)
{
    const struct path *path = path_field(spec_path, "LoadBalancerSourceRanges");
    struct text_set kept = kept_ranges(old, faults->arena);
    struct prefix prefix;
    if (!is_text(spec->type, "LoadBalancer"))
        fault_forbidden(faults, path, ONLY_BALANCER);
    for (size_t i = 0; i < spec->n_loadbalancersourceranges; i++) {
        const char *value = spec->loadbalancersourceranges[i];
        const char *range = trim(value, strlen(value), faults->arena);
        if (!text_set_has(&kept, range))
            check_prefix(faults, path_index(path, i), range, &prefix);
    }
}

static void check_annotated_ranges(struct faults *faults, const Core__Service *service,
                                   const Core__Service *old)
{
    const Meta__ObjectMeta *metadata = service->metadata, *before = old ? old->metadata : NULL;
    const struct path *path =
        path_key(path_field(path_field(NULL, "metadata"), "annotations"), SOURCE_RANGES_ANNOTATION);
    const char *list = api_entry(metadata->annotations, metadata->n_annotations, SOURCE_RANGES_ANNOTATION);
    struct prefix prefix;
    if (!list)
        return;
    if (!is_text(service->spec->type, "LoadBalancer"))
        fault_forbidden(faults, path, ONLY_BALANCER);
    if (before &&
        text_equal(list, api_entry(before->annotations, before->n_annotations, SOURCE_RANGES_ANNOTATION)))
        return;
    if (strspn(list, " \t\r\n") == strlen(list))
        return;
    for (const char *at = list; at;) {
        const char *comma = strchr(at, ',');
        check_prefix(faults, path, trim(at, comma ? (size_t)(comma - at) : strlen(at), faults->arena),
                     &prefix);
        at = comma ? comma + 1 : NULL;
    }
}

void validate_balancer_class(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "loadBalancerClass");
    if (spec->loadbalancerclass && is_text(spec->type, "LoadBalancer"))
        check_qualified_name(faults, path, spec->loadbalancerclass);
    else if (spec->loadbalancerclass)
        fault_forbidden(faults, path, ONLY_BALANCER);
}

static void check_balancer_fields(struct faults *faults, const Core__ServiceSpec *spec)
{
    if (spec->has_allocateloadbalancernodeports && !is_text(spec->type, "LoadBalancer"))
        fault_forbidden(faults, path_field(spec_path, "allocateLoadBalancerNodePorts"), ONLY_BALANCER);
    validate_balancer_class(faults, spec);
}

static void check_policies(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *external = path_field(spec_path, "externalTrafficPolicy");
    const struct path *health = path_field(spec_path, "healthCheckNodePort");
    bool is_balancer = is_text(spec->type, "LoadBalancer"), is_cluster_ip = is_text(spec->type, "ClusterIP");
    bool is_exposed =
        is_balancer || is_text(spec->type, "NodePort") || (is_cluster_ip && spec->n_externalips > 0);
    if (is_exposed)
        validate_choice(faults, external, spec->externaltrafficpolicy, policies);
    else if (is_set(spec->externaltrafficpolicy))
        fault_invalid(faults, external, spec->externaltrafficpolicy,
                      "may only be set for externally-accessible services");
    bool has_health = is_balancer && is_text(spec->externaltrafficpolicy, "Local");
    if (spec->healthchecknodeport && has_health)
        check_port_number(faults, health, spec->healthchecknodeport);
    else if (spec->healthchecknodeport)
        fault_invalid_number(
            faults, health, spec->healthchecknodeport,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    if (spec->internaltrafficpolicy)
        validate_supported(faults, path_field(spec_path, "internalTrafficPolicy"),
                           spec->internaltrafficpolicy, policies);
    if (spec->trafficdistribution)
        validate_supported(faults, path_field(spec_path, "trafficDistribution"), spec->trafficdistribution,
                           distributions);
}

/* Kubernetes 1.17 to 1.21, gate ServiceTopology. */
static void check_topology_keys(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "topologyKeys");
    size_t count = spec->n_topologykeys;
    if (count && is_text(spec->externaltrafficpolicy, "Local"))
        fault_forbidden(faults, path, "may not be specified when `externalTrafficPolicy=Local`");
    if (count > TOPOLOGY_KEYS_MAX) {
        fault_too_many(faults, path, count, TOPOLOGY_KEYS_MAX);
        return;
    }
    const bool *repeated = validate_duplicates(faults->arena, (const char *const *)spec->topologykeys, count);
    for (size_t i = 0; i < count; i++) {
        const char *key = spec->topologykeys[i];
        if (repeated && repeated[i])
            fault_duplicate(faults, path_index(path, i), key);
        if (strcmp(key, "*") != 0)
            check_qualified_name(faults, path_index(path, i), key);
        else if (i != count - 1)
            fault_invalid(faults, path_index(path, i), key, "\"*\" must be the last value specified");
    }
}

void validate_service(struct faults *faults, const Core__Service *service, const Core__Service *old)
{
    const Core__ServiceSpec *spec = service->spec, *before = old ? old->spec : NULL;
    check_annotations(faults, service->metadata);
    check_type(faults, spec);
    check_ports(faults, spec);
    validate_labels(faults, path_field(spec_path, "selector"), spec->selector, spec->n_selector);
    check_affinity(faults, spec);
    validate_cluster_ips(faults, spec, before);
    check_external_ips(faults, spec, before);
    validate_choice(faults, path_field(spec_path, "type"), spec->type, types);
    check_node_ports(faults, spec);
    check_port_pairs(faults, spec);
    if (spec->n_loadbalancersourceranges)
        check_source_ranges(faults, spec, before);
    else
        check_annotated_ranges(faults, service, old);
    check_balancer_fields(faults, spec);
    check_policies(faults, spec);
    check_topology_keys(faults, spec);
}
