/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/names.h"
#include "api/validate.h"

#include <ctype.h>
#include <string.h>

#define NO_ALLOCATOR "there is no allocator yet: "
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
static const char *const distributions[] = {"PreferClose", "PreferSameNode", "PreferSameZone", NULL};
static const char *const ip_modes[] = {"Proxy", "VIP", NULL};

static bool is_text(const char *value, const char *wanted)
{
    return strcmp(api_text(value), wanted) == 0;
}

static bool is_set(const char *value)
{
    return value && *value;
}

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

static bool is_headless(const Core__ServiceSpec *spec)
{
    return spec->n_clusterips == 1 && is_text(spec->clusterips[0], "None");
}

bool validate_choice(struct faults *faults, const struct path *path, const char *value,
                     const char *const *supported)
{
    if (!is_set(value)) {
        fault_required(faults, path, NULL);
        return false;
    }
    for (size_t i = 0; supported[i]; i++)
        if (strcmp(supported[i], value) == 0)
            return true;
    fault_unsupported(faults, path, value, supported);
    return false;
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
        const struct path *where = path_field(path_index(path, i), "nodePort");
        if (port->nodeport == 0)
            continue;
        if (is_text(spec->type, "ClusterIP"))
            fault_forbidden(faults, where, "may not be used when `type` is 'ClusterIP'");
        else
            check_port_number(faults, where, port->nodeport);
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
    validate_choice(faults, path_field(spec_path, "sessionAffinity"), spec->sessionaffinity, affinities);
    if (!is_text(spec->sessionaffinity, "ClientIP"))
        return;
    int seconds = spec->sessionaffinityconfig->clientip->timeoutseconds;
    if (seconds > 0 && seconds <= AFFINITY_SECONDS_MAX)
        return;
    const struct path *config = path_field(spec_path, "sessionAffinityConfig");
    fault_invalid_number(faults, path_field(path_field(config, "clientIP"), "timeoutSeconds"), seconds,
                         "must be greater than 0 and less than 86400");
}

static void check_families(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "ipFamilies");
    for (size_t i = 0; i < spec->n_ipfamilies; i++) {
        validate_choice(faults, path_index(path, i), spec->ipfamilies[i], families);
        for (size_t j = 0; j < i && j < 2; j++)
            if (is_text(spec->ipfamilies[j], api_text(spec->ipfamilies[i]))) {
                fault_duplicate(faults, path_index(path, i), api_text(spec->ipfamilies[i]));
                break;
            }
    }
    if (spec->ipfamilypolicy)
        validate_choice(faults, path_field(spec_path, "ipFamilyPolicy"), spec->ipfamilypolicy,
                        family_policies);
    if (!is_text(spec->ipfamilypolicy, "SingleStack"))
        return;
    if (spec->n_clusterips == 2)
        fault_invalid(
            faults, path_field(spec_path, "ipFamilyPolicy"), "SingleStack",
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
    else if (spec->n_ipfamilies == 2)
        fault_invalid(
            faults, path_field(spec_path, "ipFamilyPolicy"), "SingleStack",
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
}

/* Each address by itself. Returns false where comparing them with one another would only repeat the faults.
 */
static bool check_each_cluster_ip(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "clusterIPs");
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
        is_valid &= check_address(faults, path_index(path, i), value, &address) &&
                    check_endpoint_address(faults, path_index(path, i), value, &address);
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
        if (address_parse(spec->clusterips[i], &address, NULL) != 0)
            return;
        enum family family = address_family(&address);
        count[family]++;
        if (i >= spec->n_ipfamilies || is_text(spec->ipfamilies[i], family_name(family)))
            continue;
        fault_invalid(faults, path_index(path, i), spec->clusterips[i],
                      arena_printf(faults->arena, "expected an %s value as indicated by `ipFamilies[%zu]`",
                                   family == FAMILY_IPV4 ? "IPv6" : "IPv4", i));
    }
    if (spec->n_clusterips > 1 && (count[FAMILY_IPV4] == 0 || count[FAMILY_IPV6] == 0))
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "may specify no more than one IP for each IP family");
}

static void check_cluster_ips(struct faults *faults, const Core__ServiceSpec *spec)
{
    const struct path *path = path_field(spec_path, "clusterIPs");
    if (is_text(spec->type, "ExternalName"))
        return;
    if (is_set(spec->clusterip) && spec->n_clusterips && !is_text(spec->clusterips[0], spec->clusterip))
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "first value must match `clusterIP`");
    if (!is_set(spec->clusterip) && spec->n_clusterips)
        fault_invalid_list(faults, path, spec->clusterips, spec->n_clusterips,
                           "must be empty when `clusterIP` is not specified");
    check_families(faults, spec);
    if (check_each_cluster_ip(faults, spec))
        check_cluster_ips_match(faults, spec);
}

static void check_external_ips(struct faults *faults, const Core__ServiceSpec *spec)
{
    for (size_t i = 0; i < spec->n_externalips; i++) {
        const struct path *path = path_index(path_field(spec_path, "externalIPs"), i);
        struct address address;
        if (check_address(faults, path, spec->externalips[i], &address))
            check_endpoint_address(faults, path, spec->externalips[i], &address);
    }
}

/* Spaces around a range are allowed, in memory of the annotation that the field replaced. */
static void check_range(struct faults *faults, const struct path *path, const char *value, size_t len)
{
    struct prefix prefix;
    for (; len && isspace((unsigned char)*value); value++)
        len--;
    while (len && isspace((unsigned char)value[len - 1]))
        len--;
    check_prefix(faults, path, arena_strndup(faults->arena, value, len), &prefix);
}

/* The capital L stands in upstream's path. */
static void check_source_ranges(struct faults *faults, const Core__Service *service)
{
    const Core__ServiceSpec *spec = service->spec;
    const Meta__ObjectMeta *metadata = service->metadata;
    bool is_balancer = is_text(spec->type, "LoadBalancer");
    if (spec->n_loadbalancersourceranges) {
        const struct path *path = path_field(spec_path, "LoadBalancerSourceRanges");
        if (!is_balancer)
            fault_forbidden(faults, path, ONLY_BALANCER);
        for (size_t i = 0; i < spec->n_loadbalancersourceranges; i++) {
            const char *range = spec->loadbalancersourceranges[i];
            check_range(faults, path_index(path, i), range, strlen(range));
        }
        return;
    }
    const char *list = api_entry(metadata->annotations, metadata->n_annotations, SOURCE_RANGES_ANNOTATION);
    if (!list)
        return;
    const struct path *path =
        path_key(path_field(path_field(NULL, "metadata"), "annotations"), SOURCE_RANGES_ANNOTATION);
    if (!is_balancer)
        fault_forbidden(faults, path, ONLY_BALANCER);
    if (strspn(list, " \t\r\n") == strlen(list))
        return;
    for (const char *at = list; at;) {
        const char *comma = strchr(at, ',');
        check_range(faults, path, at, comma ? (size_t)(comma - at) : strlen(at));
        at = comma ? comma + 1 : NULL;
    }
}

static void check_balancer_fields(struct faults *faults, const Core__ServiceSpec *spec)
{
    bool is_balancer = is_text(spec->type, "LoadBalancer");
    if (spec->has_allocateloadbalancernodeports && !is_balancer)
        fault_forbidden(faults, path_field(spec_path, "allocateLoadBalancerNodePorts"), ONLY_BALANCER);
    if (spec->loadbalancerclass && is_balancer)
        check_qualified_name(faults, path_field(spec_path, "loadBalancerClass"), spec->loadbalancerclass);
    else if (spec->loadbalancerclass)
        fault_forbidden(faults, path_field(spec_path, "loadBalancerClass"), ONLY_BALANCER);
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
        validate_choice(faults, path_field(spec_path, "internalTrafficPolicy"), spec->internaltrafficpolicy,
                        policies);
    if (spec->trafficdistribution)
        validate_choice(faults, path_field(spec_path, "trafficDistribution"), spec->trafficdistribution,
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

static void check_ingress(struct faults *faults, const struct path *path,
                          const Core__LoadBalancerIngress *ingress)
{
    struct address address;
    if (is_set(ingress->ip)) {
        check_address(faults, path_field(path, "ip"), ingress->ip, &address);
        validate_choice(faults, path_field(path, "ipMode"), ingress->ipmode, ip_modes);
    } else if (ingress->ipmode) {
        fault_forbidden(faults, path_field(path, "ipMode"), "may not be specified when `ip` is not set");
    }
    if (!is_set(ingress->hostname))
        return;
    check_dns_subdomain(faults, path_field(path, "hostname"), ingress->hostname);
    if (address_parse(ingress->hostname, &address, NULL) == 0)
        fault_invalid(faults, path_field(path, "hostname"), ingress->hostname,
                      "must be a DNS name, not an IP address");
}

static void check_status(struct faults *faults, const Core__Service *service)
{
    const struct path *path = path_field(path_field(path_field(NULL, "status"), "loadBalancer"), "ingress");
    if (!service->status || !service->status->loadbalancer)
        return;
    const Core__LoadBalancerStatus *status = service->status->loadbalancer;
    if (status->n_ingress && !is_text(service->spec->type, "LoadBalancer")) {
        fault_forbidden(faults, path, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (size_t i = 0; i < status->n_ingress; i++)
        check_ingress(faults, path_index(path, i), status->ingress[i]);
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

void validate_service(struct faults *faults, const Core__Service *service)
{
    const Core__ServiceSpec *spec = service->spec;
    validate_metadata(faults, service->metadata, true, check_dns_label);
    check_annotations(faults, service->metadata);
    check_type(faults, spec);
    check_ports(faults, spec);
    validate_labels(faults, path_field(spec_path, "selector"), spec->selector, spec->n_selector);
    check_affinity(faults, spec);
    check_cluster_ips(faults, spec);
    check_external_ips(faults, spec);
    validate_choice(faults, path_field(spec_path, "type"), spec->type, types);
    check_node_ports(faults, spec);
    check_port_pairs(faults, spec);
    check_source_ranges(faults, service);
    check_balancer_fields(faults, spec);
    check_policies(faults, spec);
    check_topology_keys(faults, spec);
    check_status(faults, service);
    if (faults->count == 0)
        check_allocated(faults, spec);
}
