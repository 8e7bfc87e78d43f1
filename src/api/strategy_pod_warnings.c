/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/names.h"
#include "api/quantity.h"
#include "api/strategy_parts.h"
#include "api/validate_parts.h"
#include "base/cleanup.h"

static const struct {
    const char *label, *message;
} old_labels[] = {
    {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
    {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
    {"failure-domain.beta.kubernetes.io/region",
     "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
    {"failure-domain.beta.kubernetes.io/zone",
     "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
    {"beta.kubernetes.io/instance-type",
     "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
    {"app.kubernetes.io/created-by", "deprecated since v1.9"},
    {"scheduler.alpha.kubernetes.io/preferAvoidPods",
     "deprecated since v1.22; use Taints and Tolerations instead"},
    {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
};

static const struct {
    const char *annotation, *message;
} old_annotations[] = {
    {"scheduler.alpha.kubernetes.io/critical-pod",
     "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
    {"security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
    {"security.alpha.kubernetes.io/unsafe-sysctls",
     "non-functional in v1.11+; use the \"sysctls\" field instead"},
};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

struct warner {
    struct arena *arena;
    struct strategy_warnings *warnings;
};

static void warn(const struct warner *warner, const struct path *path, const char *message)
{
    if (warner->warnings->count < STRATEGY_WARNINGS_MAX)
        strategy_warn(warner->warnings,
                      arena_printf(warner->arena, "%s: %s", path_format(path, warner->arena), message));
}

static const char *label_message(const char *label)
{
    for (size_t i = 0; i < ARRAY_LEN(old_labels); i++)
        if (is_text(label, old_labels[i].label))
            return old_labels[i].message;
    return NULL;
}

static void warn_of_placement(const struct warner *warner, const Core__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_nodeselector; i++) {
        const char *key = api_text(spec->nodeselector[i]->key), *message = label_message(key);
        if (message)
            warn(warner, path_key(path_field(spec_path, "nodeSelector"), key), message);
    }
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *constraint = spec->topologyspreadconstraints[i];
        const struct path *path = path_index(path_field(spec_path, "topologySpreadConstraints"), i);
        const char *key = api_text(constraint->topologykey), *message = label_message(key);
        if (message)
            warn(warner, path_field(path, "topologyKey"),
                 arena_printf(warner->arena, "%s is %s", key, message));
        if (!constraint->labelselector)
            warn(warner, path_field(path, "labelSelector"),
                 "a null labelSelector results in matching no pod");
    }
}

static void warn_of_annotations(const struct warner *warner, const Meta__ObjectMeta *metadata)
{
    const struct path *path = path_field(path_field(NULL, "metadata"), "annotations");
    for (size_t i = 0; i < ARRAY_LEN(old_annotations); i++)
        if (api_entry(metadata->annotations, metadata->n_annotations, old_annotations[i].annotation))
            warn(warner, path_key(path, old_annotations[i].annotation), old_annotations[i].message);
}

static void warn_of_volume(const struct warner *warner, const struct path *path, const Core__Volume *volume)
{
    const struct {
        bool is_set;
        const char *field, *message;
    } sources[] = {
        {volume->photonpersistentdisk, "photonPersistentDisk",
         "deprecated in v1.11, non-functional in v1.16+"},
        {volume->gitrepo, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
        {volume->scaleio, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
        {volume->flocker, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
        {volume->storageos, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
        {volume->quobyte, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
        {volume->glusterfs, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
        {volume->cephfs, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
        {volume->rbd, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (sources[i].is_set)
            warn(warner, path_field(path, sources[i].field), sources[i].message);
}

static void warn_of_lists(const struct warner *warner, const Core__PodSpec *spec)
{
    size_t aliases = spec->n_hostaliases, secrets = spec->n_imagepullsecrets;
    const char **ips = arena_array(warner->arena, const char *, aliases);
    const char **names = arena_array(warner->arena, const char *, secrets);
    for (size_t i = 0; i < aliases; i++)
        ips[i] = api_text(spec->hostaliases[i]->ip);
    for (size_t i = 0; i < secrets; i++)
        names[i] = api_text(spec->imagepullsecrets[i]->name);
    const bool *repeated = validate_duplicates(warner->arena, ips, aliases);
    for (size_t i = 0; repeated && i < aliases; i++)
        if (repeated[i])
            warn(warner, path_field(path_index(path_field(spec_path, "hostAliases"), i), "ip"),
                 arena_printf(warner->arena, "duplicate ip %s", encode_quoted(ips[i], warner->arena)));
    repeated = validate_duplicates(warner->arena, names, secrets);
    for (size_t i = 0; i < secrets; i++) {
        const struct path *path =
            path_field(path_index(path_field(spec_path, "imagePullSecrets"), i), "name");
        if (repeated && repeated[i])
            warn(warner, path,
                 arena_printf(warner->arena, "duplicate name %s", encode_quoted(names[i], warner->arena)));
        if (!*names[i])
            warn(warner, path, "invalid empty name \"\"");
    }
}

static void warn_of_amounts(const struct warner *warner, const struct path *path,
                            Meta__QuantityEntry *const *entries, size_t count)
{
    static const char *const whole[] = {"memory", "ephemeral-storage"};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        const Meta__Quantity *quantity = quantity_find(entries, count, whole[i]);
        if (quantity_value(quantity) % QUANTITY_ONE == 0)
            continue;
        warn(warner, path_key(path, whole[i]),
             arena_printf(warner->arena, "fractional byte value %s is invalid, must be an integer",
                          encode_quoted(api_text(quantity->string), warner->arena)));
    }
}

/* A later value that builds on the earlier one is in order. */
static bool hides_earlier(const Core__EnvVar *variable, struct arena *arena)
{
    const char *reference = arena_printf(arena, "$(%s)", api_text(variable->name));
    return variable->valuefrom || is_text(variable->value, reference) ||
           !strstr(api_text(variable->value), reference);
}

static void warn_of_container(const struct warner *warner, const struct path *path,
                              const Core__Container *container)
{
    const Core__ResourceRequirements *resources = container->resources;
    const struct path *amounts = path_field(path, "resources");
    if (resources) {
        warn_of_amounts(warner, path_field(amounts, "limits"), resources->limits, resources->n_limits);
        warn_of_amounts(warner, path_field(amounts, "requests"), resources->requests, resources->n_requests);
    }
    const char **names = arena_array(warner->arena, const char *, container->n_env);
    for (size_t i = 0; i < container->n_env; i++)
        names[i] = api_text(container->env[i]->name);
    const bool *repeated = validate_duplicates(warner->arena, names, container->n_env);
    for (size_t i = 0; repeated && i < container->n_env; i++)
        if (repeated[i] && hides_earlier(container->env[i], warner->arena))
            warn(warner, path_index(path_field(path, "env"), i),
                 arena_printf(warner->arena,
                              "hides previous definition of %s, which may be dropped when using apply",
                              encode_quoted(names[i], warner->arena)));
}

/* A port of any container, and where it stands. */
struct placed_port {
    const Core__ContainerPort *port;
    const char *path;
};

#define PORTS_COMPARED_MAX 256

static size_t place_ports(const struct warner *warner, const struct path *path,
                          Core__Container *const *containers, size_t count, struct placed_port *ports,
                          size_t used)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < containers[i]->n_ports && used < PORTS_COMPARED_MAX; j++)
            ports[used++] = (struct placed_port){
                containers[i]->ports[j],
                path_format(path_index(path_field(path_index(path, i), "ports"), j), warner->arena)};
    return used;
}

static const char *port_clash(const Core__ContainerPort *a, const Core__ContainerPort *b)
{
    bool is_same_ip = is_same_text(a->hostip, b->hostip);
    if (a->containerport != b->containerport || !is_same_text(a->protocol, b->protocol))
        return NULL;
    if (is_same_ip && a->hostport == b->hostport)
        return "duplicate port definition";
    if (a->hostport == 0 || b->hostport == 0)
        return "overlapping port definition";
    if (a->hostport == b->hostport && is_set(a->hostip) != is_set(b->hostip))
        return "dangerously ambiguous port definition";
    return NULL;
}

static void warn_of_ports(const struct warner *warner, const Core__PodSpec *spec)
{
    struct placed_port *ports = arena_array(warner->arena, struct placed_port, PORTS_COMPARED_MAX);
    size_t count = place_ports(warner, path_field(spec_path, "initContainers"), spec->initcontainers,
                               spec->n_initcontainers, ports, 0);
    count = place_ports(warner, path_field(spec_path, "containers"), spec->containers, spec->n_containers,
                        ports, count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            const char *clash = port_clash(ports[i].port, ports[j].port);
            if (clash)
                strategy_warn(warner->warnings, arena_printf(warner->arena, "%s: %s with %s", ports[i].path,
                                                             clash, ports[j].path));
        }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; is_set(ports[i].port->name) && j < i; j++) {
            if (!is_same_text(ports[i].port->name, ports[j].port->name))
                continue;
            strategy_warn(
                warner->warnings,
                arena_printf(warner->arena,
                             "%s: duplicate port name %s with %s, services and probes that select ports "
                             "by name will use %s",
                             ports[i].path, encode_quoted(ports[i].port->name, warner->arena), ports[j].path,
                             ports[j].path));
            break;
        }
}

static void warn_of_name(const struct warner *warner, const char *name)
{
    const char *details[NAME_DETAILS_MAX];
    size_t count = dns_label_rule(name, details);
    if (count == 0)
        return;
    strategy_warn(
        warner->warnings,
        arena_printf(warner->arena,
                     "metadata.name: this is used in the Pod's hostname, which can result in surprising "
                     "behavior; a DNS label is recommended: [%s%s%s]",
                     details[0], count > 1 ? " " : "", count > 1 ? details[1] : ""));
}

void strategy_warn_of_pod(const Core__Pod *pod, struct arena *arena, struct strategy_warnings *ret)
{
    const struct warner warner = {arena, ret};
    const Core__PodSpec *spec = pod->spec;
    warn_of_name(&warner, api_text(pod->metadata->name));
    warn_of_placement(&warner, spec);
    warn_of_annotations(&warner, pod->metadata);
    for (size_t i = 0; i < spec->n_volumes; i++)
        warn_of_volume(&warner, path_index(path_field(spec_path, "volumes"), i), spec->volumes[i]);
    warn_of_lists(&warner, spec);
    warn_of_amounts(&warner, path_field(spec_path, "overhead"), spec->overhead, spec->n_overhead);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        warn_of_container(&warner, path_index(path_field(spec_path, "initContainers"), i),
                          spec->initcontainers[i]);
    for (size_t i = 0; i < spec->n_containers; i++)
        warn_of_container(&warner, path_index(path_field(spec_path, "containers"), i), spec->containers[i]);
    warn_of_ports(&warner, spec);
    for (size_t i = 0; spec->dnsconfig && i < spec->dnsconfig->n_nameservers; i++)
        strategy_warn(
            ret, address_warning(path_index(path_field(path_field(spec_path, "dnsConfig"), "nameservers"), i),
                                 spec->dnsconfig->nameservers[i], arena));
    for (size_t i = 0; i < spec->n_hostaliases; i++)
        strategy_warn(ret,
                      address_warning(path_field(path_index(path_field(spec_path, "hostAliases"), i), "ip"),
                                      api_text(spec->hostaliases[i]->ip), arena));
}
