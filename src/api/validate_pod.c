/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#include "api/encode.h"

#define NAMESERVERS_MAX 3
#define SEARCHES_MAX 32
#define SEARCH_CHARACTERS_MAX 2048
#define HOSTNAME_MAX 64
#define WITHOUT_HOST_USERS "when `hostUsers` is false"

static const char *const restart_policies[] = {"Always", "OnFailure", "Never", NULL};
static const char *const dns_policies[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None",
                                           NULL};
static const char *const preemption_policies[] = {"PreemptLowerPriority", "Never", NULL};
static const char *const systems[] = {"linux", "windows", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

static void check_claim(struct faults *faults, const struct path *path, const Core__PodResourceClaim *claim,
                        bool is_repeated)
{
    const char *name = api_text(claim->name), *of = claim->resourceclaimname;
    const char *template = claim->resourceclaimtemplatename;
    if (!*name)
        fault_required(faults, path_field(path, "name"), NULL);
    else if (is_repeated)
        fault_duplicate(faults, path_field(path, "name"), name);
    else
        check_dns_label(faults, path_field(path, "name"), name);
    const char *value =
        arena_printf(faults->arena, "{\"Name\":%s,\"ResourceClaimName\":%s,\"ResourceClaimTemplateName\":%s}",
                     encode_quoted(name, faults->arena), of ? encode_quoted(of, faults->arena) : "null",
                     template ? encode_quoted(template, faults->arena) : "null");
    if (of && template)
        fault_invalid_raw(
            faults, path, value,
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    if (!of && !template)
        fault_invalid_raw(faults, path, value,
                          "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    if (of)
        check_dns_subdomain(faults, path_field(path, "resourceClaimName"), of);
    if (template)
        check_dns_subdomain(faults, path_field(path, "resourceClaimTemplateName"), template);
}

static void check_claims(struct faults *faults, const Core__PodSpec *spec)
{
    const char **names = arena_array(faults->arena, const char *, spec->n_resourceclaims);
    for (size_t i = 0; i < spec->n_resourceclaims; i++)
        names[i] = api_text(spec->resourceclaims[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, spec->n_resourceclaims);
    for (size_t i = 0; i < spec->n_resourceclaims; i++)
        check_claim(faults, path_index(path_field(spec_path, "resourceClaims"), i), spec->resourceclaims[i],
                    repeated && repeated[i]);
}

static void check_host_network(struct faults *faults, const Core__PodSpec *spec)
{
    for (size_t i = 0; spec->hostnetwork && i < spec->n_containers; i++) {
        const Core__Container *container = spec->containers[i];
        const struct path *path = path_field(path_index(path_field(spec_path, "containers"), i), "ports");
        for (size_t j = 0; j < container->n_ports; j++)
            if (container->ports[j]->hostport != container->ports[j]->containerport)
                fault_invalid_number(faults, path_field(path_index(path, j), "hostPort"),
                                     container->ports[j]->hostport,
                                     "must match `containerPort` when `hostNetwork` is true");
    }
}

static void check_searches(struct faults *faults, const struct path *path, const Core__PodDNSConfig *config)
{
    size_t characters = config->n_searches ? config->n_searches - 1 : 0;
    if (config->n_searches > SEARCHES_MAX)
        fault_invalid_list(faults, path, config->searches, config->n_searches,
                           "must not have more than 32 search paths");
    for (size_t i = 0; i < config->n_searches; i++)
        characters += strlen(config->searches[i]);
    if (characters > SEARCH_CHARACTERS_MAX)
        fault_invalid_list(faults, path, config->searches, config->n_searches,
                           "must not have more than 2048 characters (including spaces) in the search list");
    for (size_t i = 0; i < config->n_searches; i++)
        check_search_path(faults, path_index(path, i), config->searches[i]);
}

static void check_dns(struct faults *faults, const Core__PodSpec *spec)
{
    const Core__PodDNSConfig *config = spec->dnsconfig;
    const struct path *path = path_field(spec_path, "dnsConfig"), *servers = path_field(path, "nameservers");
    bool is_own = is_text(spec->dnspolicy, "None");
    if (is_own && !config)
        fault_required(faults, path, "must provide `dnsConfig` when `dnsPolicy` is None");
    else if (is_own && config->n_nameservers == 0)
        fault_required(faults, servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
    if (!config || (is_own && config->n_nameservers == 0))
        return;
    if (config->n_nameservers > NAMESERVERS_MAX)
        fault_invalid_list(faults, servers, config->nameservers, config->n_nameservers,
                           "must not have more than 3 nameservers");
    for (size_t i = 0; i < config->n_nameservers; i++) {
        struct address address;
        check_address(faults, path_index(servers, i), config->nameservers[i], &address);
    }
    check_searches(faults, path_field(path, "searches"), config);
    for (size_t i = 0; i < config->n_options; i++)
        if (!is_set(config->options[i]->name))
            fault_required(faults, path_index(path_field(path, "options"), i), "must not be empty");
}

static void check_gates(struct faults *faults, const Core__PodSpec *spec)
{
    const struct path *path = path_field(spec_path, "schedulingGates");
    for (size_t i = 0; i < spec->n_readinessgates; i++)
        check_qualified_name(
            faults, path_field(path_index(path_field(spec_path, "readinessGates"), i), "conditionType"),
            api_text(spec->readinessgates[i]->conditiontype));
    const char **names = arena_array(faults->arena, const char *, spec->n_schedulinggates);
    for (size_t i = 0; i < spec->n_schedulinggates; i++)
        names[i] = api_text(spec->schedulinggates[i]->name);
    const bool *repeated = validate_duplicates(faults->arena, names, spec->n_schedulinggates);
    for (size_t i = 0; i < spec->n_schedulinggates; i++) {
        check_qualified_name(faults, path_index(path, i), names[i]);
        if (repeated && repeated[i])
            fault_duplicate(faults, path_index(path, i), names[i]);
    }
}

/* The capitals stand in upstream's paths. */
static void check_host_users(struct faults *faults, const Core__PodSpec *spec)
{
    if (!spec->has_hostusers || spec->hostusers)
        return;
    if (spec->hostnetwork)
        fault_forbidden(faults, path_field(spec_path, "hostNetwork"), WITHOUT_HOST_USERS);
    if (spec->hostpid)
        fault_forbidden(faults, path_field(spec_path, "HostPID"), WITHOUT_HOST_USERS);
    if (spec->hostipc)
        fault_forbidden(faults, path_field(spec_path, "HostIPC"), WITHOUT_HOST_USERS);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        if (spec->initcontainers[i]->n_volumedevices)
            fault_forbidden(
                faults, path_field(path_index(path_field(spec_path, "initContainers"), i), "volumeDevices"),
                WITHOUT_HOST_USERS);
    for (size_t i = 0; i < spec->n_containers; i++)
        if (spec->containers[i]->n_volumedevices)
            fault_forbidden(faults,
                            path_field(path_index(path_field(spec_path, "containers"), i), "volumeDevices"),
                            WITHOUT_HOST_USERS);
}

static void check_names(struct faults *faults, const Core__PodSpec *spec)
{
    const struct path *own = path_field(spec_path, "hostnameOverride");
    if (spec->hostnameoverride) {
        if (spec->sethostnameasfqdn)
            fault_forbidden(faults, own, "may not be specified when setHostnameAsFQDN is true");
        if (spec->hostnetwork)
            fault_forbidden(faults, own, "may not be specified when hostNetwork is true");
        if (strlen(spec->hostnameoverride) > HOSTNAME_MAX)
            fault_too_long(faults, own, HOSTNAME_MAX);
        check_dns_subdomain(faults, own, spec->hostnameoverride);
    }
    if (is_set(spec->serviceaccountname))
        check_dns_subdomain(faults, path_field(spec_path, "serviceAccountName"), spec->serviceaccountname);
    if (is_set(spec->nodename))
        check_dns_subdomain(faults, path_field(spec_path, "nodeName"), spec->nodename);
    if (spec->has_activedeadlineseconds)
        check_range(faults, path_field(spec_path, "activeDeadlineSeconds"), spec->activedeadlineseconds, 1,
                    INT32_MAX);
    if (is_set(spec->hostname))
        check_dns_label(faults, path_field(spec_path, "hostname"), spec->hostname);
    if (is_set(spec->subdomain))
        check_dns_label(faults, path_field(spec_path, "subdomain"), spec->subdomain);
}

static void check_aliases(struct faults *faults, const Core__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_hostaliases; i++) {
        const struct path *path = path_index(path_field(spec_path, "hostAliases"), i);
        const Core__HostAlias *alias = spec->hostaliases[i];
        struct address address;
        check_address(faults, path_field(path, "ip"), api_text(alias->ip), &address);
        for (size_t j = 0; j < alias->n_hostnames; j++)
            check_dns_subdomain(faults, path_index(path_field(path, "hostnames"), j), alias->hostnames[j]);
    }
}

static void check_classes(struct faults *faults, const Core__PodSpec *spec)
{
    const struct path *os = path_field(spec_path, "os");
    if (is_set(spec->priorityclassname))
        check_dns_subdomain(faults, path_field(spec_path, "priorityClassName"), spec->priorityclassname);
    if (spec->runtimeclassname)
        check_dns_subdomain(faults, path_field(spec_path, "runtimeClassName"), spec->runtimeclassname);
    if (spec->preemptionpolicy)
        validate_choice(faults, path_field(spec_path, "preemptionPolicy"), spec->preemptionpolicy,
                        preemption_policies);
    Core__ResourceRequirements overhead = CORE__RESOURCE_REQUIREMENTS__INIT;
    overhead.limits = spec->overhead;
    overhead.n_limits = spec->n_overhead;
    validate_requirements(faults, path_field(spec_path, "overhead"), &overhead, false);
    if (spec->os && !is_set(spec->os->name))
        fault_required(faults, path_field(os, "name"), NULL);
    else if (spec->os)
        validate_supported(faults, os, spec->os->name, systems);
}

static void check_resources(struct faults *faults, const Core__PodSpec *spec)
{
    const struct path *path = path_field(spec_path, "resources");
    if (!spec->resources)
        return;
    if (spec->os && is_text(spec->os->name, "windows")) {
        fault_forbidden(faults, path, "may not be set for a windows pod");
        return;
    }
    if (spec->resources->n_claims)
        fault_forbidden(faults, path_field(path, "claims"),
                        "claims may not be set for Resources at pod-level");
    validate_requirements(faults, path, spec->resources, true);
}

static void check_all_file_keys(struct faults *faults, const struct pod_context *context)
{
    const Core__PodSpec *spec = context->spec;
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        validate_file_keys(faults, path_index(path_field(spec_path, "initContainers"), i), context,
                           spec->initcontainers[i]);
    for (size_t i = 0; i < spec->n_containers; i++)
        validate_file_keys(faults, path_index(path_field(spec_path, "containers"), i), context,
                           spec->containers[i]);
}

static void check_spec(struct faults *faults, const Core__Pod *pod)
{
    const Core__PodSpec *spec = pod->spec;
    struct pod_context context = {.spec = spec};
    context.uses_host_users = !spec->has_hostusers || spec->hostusers;
    context.volumes = validate_volumes(faults, pod);
    check_claims(faults, spec);
    validate_containers(faults, &context);
    check_resources(faults, spec);
    check_host_network(faults, spec);
    validate_choice(faults, path_field(spec_path, "restartPolicy"), spec->restartpolicy, restart_policies);
    validate_choice(faults, path_field(spec_path, "dnsPolicy"), spec->dnspolicy, dns_policies);
    validate_labels(faults, path_field(spec_path, "nodeSelector"), spec->nodeselector, spec->n_nodeselector);
    validate_pod_security(faults, spec);
    validate_affinity(faults, spec->affinity);
    check_dns(faults, spec);
    check_gates(faults, spec);
    validate_spread(faults, spec);
    check_host_users(faults, spec);
    check_names(faults, spec);
    validate_tolerations(faults, spec->tolerations, spec->n_tolerations);
    check_aliases(faults, spec);
    check_classes(faults, spec);
    check_all_file_keys(faults, &context);
}

/* A Pod without a service account of its own cannot ask for that account's token. */
static void check_tokens(struct faults *faults, const Core__PodSpec *spec)
{
    for (size_t i = 0; !is_set(spec->serviceaccountname) && i < spec->n_volumes; i++) {
        const Core__ProjectedVolumeSource *projected = spec->volumes[i]->projected;
        const struct path *path = path_field(path_index(path_field(spec_path, "volumes"), i), "projected");
        for (size_t j = 0; projected && j < projected->n_sources; j++)
            if (projected->sources[j]->serviceaccounttoken)
                fault_forbidden(faults,
                                path_field(path_index(path_field(path, "sources"), j), "serviceAccountToken"),
                                "must not be specified when serviceAccountName is not set");
    }
}

static void check_images(struct faults *faults, const struct path *path, Core__Container *const *containers,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        validate_image(faults, path_field(path_index(path, i), "image"), containers[i]->image);
}

void validate_pod_spec(struct faults *faults, const Core__Pod *pod)
{
    const Core__PodSpec *spec = pod->spec;
    validate_metadata(faults, pod->metadata, true, dns_subdomain_rule);
    validate_pod_annotations(faults, pod);
    check_spec(faults, pod);
    check_tokens(faults, spec);
    check_images(faults, path_field(spec_path, "containers"), spec->containers, spec->n_containers);
    check_images(faults, path_field(spec_path, "initContainers"), spec->initcontainers,
                 spec->n_initcontainers);
}

void validate_pod(struct faults *faults, const Core__Pod *pod)
{
    const Core__PodSpec *spec = pod->spec;
    validate_pod_spec(faults, pod);
    if (spec->n_ephemeralcontainers)
        fault_forbidden(faults, path_field(spec_path, "ephemeralContainers"), "cannot be set on create");
    if (is_set(spec->nodename) && spec->n_schedulinggates)
        fault_forbidden(faults, path_field(spec_path, "nodeName"),
                        "cannot be set until all schedulingGates have been cleared");
}
