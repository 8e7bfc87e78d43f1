/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#define RESTART_RULES_MAX 20
#define EXIT_CODES_MAX 255
#define SIDECARS_ONLY "may not be set for init containers without restartPolicy=Always"
#define NOT_EPHEMERAL "cannot be set for an Ephemeral Container"

static const char *const message_policies[] = {"File", "FallbackToLogsOnError", NULL};
static const char *const pull_policies[] = {"Always", "IfNotPresent", "Never", NULL};
static const char *const restart_policies[] = {"Always", "Never", "OnFailure", NULL};
static const char *const restart_actions[] = {"Restart", "RestartAllContainers", NULL};
static const char *const exit_code_operators[] = {"In", "NotIn", NULL};
static const char *const resize_resources[] = {"cpu", "memory", NULL};
static const char *const resize_policies[] = {"NotRequired", "RestartContainer", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

void validate_pull_policy(struct faults *faults, const struct path *path, const char *policy)
{
    validate_choice(faults, path, policy, pull_policies);
}

static void check_port(struct faults *faults, const struct path *path, const Core__ContainerPort *port,
                       bool is_repeated)
{
    if (is_set(port->name) && check_port_name(faults, path_field(path, "name"), port->name) && is_repeated)
        fault_duplicate(faults, path_field(path, "name"), port->name);
    if (port->containerport == 0)
        fault_required(faults, path_field(path, "containerPort"), NULL);
    else
        check_port_number(faults, path_field(path, "containerPort"), port->containerport);
    if (port->hostport != 0)
        check_port_number(faults, path_field(path, "hostPort"), port->hostport);
    validate_choice(faults, path_field(path, "protocol"), port->protocol, validate_protocols);
}

static void check_ports(struct faults *faults, const struct path *path, const Core__Container *container)
{
    const char **names = arena_array(faults->arena, const char *, container->n_ports);
    for (size_t i = 0; i < container->n_ports; i++)
        names[i] = is_set(container->ports[i]->name) ? container->ports[i]->name : NULL;
    const bool *repeated = validate_duplicates(faults->arena, names, container->n_ports);
    for (size_t i = 0; i < container->n_ports; i++)
        check_port(faults, path_index(path, i), container->ports[i], repeated && repeated[i]);
}

/* All faults have the list's path in upstream too, but for a resource that is there twice. */
static void check_resize(struct faults *faults, const struct path *path, const Core__Container *container,
                         const Core__PodSpec *spec)
{
    const char **names = arena_array(faults->arena, const char *, container->n_resizepolicy);
    for (size_t i = 0; i < container->n_resizepolicy; i++)
        names[i] = api_text(container->resizepolicy[i]->resourcename);
    const bool *repeated = validate_duplicates(faults->arena, names, container->n_resizepolicy);
    for (size_t i = 0; i < container->n_resizepolicy; i++) {
        const Core__ContainerResizePolicy *policy = container->resizepolicy[i];
        if (repeated && repeated[i])
            fault_duplicate(faults, path_index(path, i), names[i]);
        validate_choice(faults, path, policy->resourcename, resize_resources);
        validate_choice(faults, path, policy->restartpolicy, resize_policies);
        if (is_text(spec->restartpolicy, "Never") && !is_text(policy->restartpolicy, "NotRequired"))
            fault_invalid(faults, path, api_text(policy->restartpolicy),
                          "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
}

/* What goes for containers of every list. */
static void check_container(struct faults *faults, const struct path *path, const struct pod_context *context,
                            const Core__Container *container)
{
    if (is_set(container->name))
        check_dns_label(faults, path_field(path, "name"), container->name);
    else
        fault_required(faults, path_field(path, "name"), NULL);
    if (!is_set(container->image))
        fault_required(faults, path_field(path, "image"), NULL);
    validate_choice(faults, path_field(path, "terminationMessagePolicy"), container->terminationmessagepolicy,
                    message_policies);
    check_ports(faults, path_field(path, "ports"), container);
    validate_environment(faults, path, container);
    validate_mounts(faults, path, context, container);
    validate_pull_policy(faults, path_field(path, "imagePullPolicy"), container->imagepullpolicy);
    validate_requirements(faults, path_field(path, "resources"), container->resources, false);
    validate_claims(faults, path_field(path_field(path, "resources"), "claims"), container->resources,
                    context->spec);
    check_resize(faults, path_field(path, "resizePolicy"), container, context->spec);
    validate_security(faults, path_field(path, "securityContext"), container->securitycontext,
                      context->uses_host_users);
}

static void check_restart_rule(struct faults *faults, const struct path *path,
                               const Core__ContainerRestartRule *rule)
{
    const struct path *codes = path_field(path, "exitCodes");
    validate_supported(faults, path_field(path, "action"), rule->action, restart_actions);
    if (!rule->exitcodes) {
        fault_required(faults, codes, "must be specified");
        return;
    }
    validate_supported(faults, path_field(codes, "operator"), rule->exitcodes->operator_,
                       exit_code_operators);
    if (rule->exitcodes->n_values > EXIT_CODES_MAX)
        fault_too_many(faults, path_field(codes, "values"), rule->exitcodes->n_values, EXIT_CODES_MAX);
}

static void check_restart(struct faults *faults, const struct path *path, const Core__Container *container)
{
    size_t count = container->n_restartpolicyrules;
    const struct path *rules = path_field(path, "restartPolicyRules");
    if (container->restartpolicy)
        validate_supported(faults, path_field(path, "restartPolicy"), container->restartpolicy,
                           restart_policies);
    else if (count)
        fault_required(faults, path_field(path, "restartPolicy"),
                       "must specify restartPolicy when restart rules are used");
    if (!container->restartpolicy && !count)
        return;
    if (count > RESTART_RULES_MAX)
        fault_too_many(faults, rules, count, RESTART_RULES_MAX);
    for (size_t i = 0; i < count; i++)
        check_restart_rule(faults, path_index(rules, i), container->restartpolicyrules[i]);
}

/* Host ports that two of these containers ask for. */
static void check_host_ports(struct faults *faults, const struct path *path,
                             Core__Container *const *containers, size_t count)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        total += containers[i]->n_ports;
    const char **keys = arena_array(faults->arena, const char *, total);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < containers[i]->n_ports; j++, at++) {
            const Core__ContainerPort *port = containers[i]->ports[j];
            if (port->hostport != 0)
                keys[at] = arena_printf(faults->arena, "%s/%s/%d", api_text(port->protocol),
                                        api_text(port->hostip), port->hostport);
        }
    const bool *repeated = validate_duplicates(faults->arena, keys, total);
    at = 0;
    for (size_t i = 0; repeated && i < count; i++)
        for (size_t j = 0; j < containers[i]->n_ports; j++, at++)
            if (repeated[at])
                fault_duplicate(
                    faults, path_field(path_index(path_field(path_index(path, i), "ports"), j), "hostPort"),
                    keys[at]);
}

static void check_regular(struct faults *faults, const struct path *path, const struct pod_context *context,
                          const Core__Container *container, bool is_repeated)
{
    check_container(faults, path, context, container);
    if (is_repeated)
        fault_duplicate(faults, path_field(path, "name"), api_text(container->name));
    validate_lifecycle(faults, path_field(path, "lifecycle"), context, container->lifecycle);
    validate_probes(faults, path, context, container);
    check_restart(faults, path, container);
}

static void forbid_hooks(struct faults *faults, const struct path *path, const Core__Container *container,
                         const char *why)
{
    if (container->lifecycle)
        fault_forbidden(faults, path_field(path, "lifecycle"), why);
    if (container->livenessprobe)
        fault_forbidden(faults, path_field(path, "livenessProbe"), why);
    if (container->readinessprobe)
        fault_forbidden(faults, path_field(path, "readinessProbe"), why);
    if (container->startupprobe)
        fault_forbidden(faults, path_field(path, "startupProbe"), why);
}

static void check_init(struct faults *faults, const struct path *list, size_t index,
                       const struct pod_context *context, Core__Container *container, bool is_repeated)
{
    const struct path *path = path_index(list, index);
    bool is_sidecar = is_text(container->restartpolicy, "Always");
    check_container(faults, path, context, container);
    check_restart(faults, path, container);
    if (is_repeated)
        fault_duplicate(faults, path_field(path, "name"), api_text(container->name));
    /* They run one by one, so each is compared with itself; the path names the first in upstream too. */
    check_host_ports(faults, list, &container, 1);
    if (is_sidecar) {
        validate_lifecycle(faults, path_field(path, "lifecycle"), context, container->lifecycle);
        validate_probes(faults, path, context, container);
        return;
    }
    forbid_hooks(faults, path, container, SIDECARS_ONLY);
    for (size_t i = 0; i < container->n_resizepolicy; i++) {
        const struct path *policy = path_index(path_field(path, "resizePolicy"), i);
        if (is_text(container->resizepolicy[i]->restartpolicy, "RestartContainer"))
            fault_invalid(faults, path_field(policy, "restartPolicy"), "RestartContainer",
                          "must not be set to 'RestartContainer' for non-sidecar initContainers");
    }
}

const Core__Container *pod_container(const Core__EphemeralContainer *from, struct arena *arena)
{
    Core__Container *container = arena_new(arena, Core__Container);
    core__container__init(container);
    container->name = from->name;
    container->image = from->image;
    container->ports = from->ports;
    container->n_ports = from->n_ports;
    container->env = from->env;
    container->n_env = from->n_env;
    container->envfrom = from->envfrom;
    container->n_envfrom = from->n_envfrom;
    container->resources = from->resources;
    container->volumemounts = from->volumemounts;
    container->n_volumemounts = from->n_volumemounts;
    container->volumedevices = from->volumedevices;
    container->n_volumedevices = from->n_volumedevices;
    container->livenessprobe = from->livenessprobe;
    container->readinessprobe = from->readinessprobe;
    container->startupprobe = from->startupprobe;
    container->lifecycle = from->lifecycle;
    container->terminationmessagepolicy = from->terminationmessagepolicy;
    container->imagepullpolicy = from->imagepullpolicy;
    container->securitycontext = from->securitycontext;
    container->resizepolicy = from->resizepolicy;
    container->n_resizepolicy = from->n_resizepolicy;
    container->restartpolicy = from->restartpolicy;
    return container;
}

static void check_ephemeral(struct faults *faults, const struct path *path, const struct pod_context *context,
                            const Core__EphemeralContainer *ephemeral, const struct text_set *others,
                            bool is_repeated)
{
    const Core__Container *container = pod_container(ephemeral, faults->arena);
    check_container(faults, path, context, container);
    validate_image(faults, path_field(path, "image"), container->image);
    if (is_repeated)
        fault_duplicate(faults, path_field(path, "name"), api_text(container->name));
    if (is_set(ephemeral->targetcontainername) && !text_set_has(others, ephemeral->targetcontainername))
        fault_not_found(faults, path_field(path, "targetContainerName"), ephemeral->targetcontainername,
                        NULL);
    if (container->n_ports)
        fault_forbidden(faults, path_field(path, "ports"), NOT_EPHEMERAL);
    if (container->resources && (container->resources->n_limits || container->resources->n_requests))
        fault_forbidden(faults, path_field(path, "resources"), NOT_EPHEMERAL);
    forbid_hooks(faults, path, container, NOT_EPHEMERAL);
    for (size_t i = 0; i < container->n_volumemounts; i++) {
        const struct path *mount = path_index(path_field(path, "volumeMounts"), i);
        if (is_set(container->volumemounts[i]->subpath))
            fault_forbidden(faults, path_field(mount, "subPath"), NOT_EPHEMERAL);
        if (is_set(container->volumemounts[i]->subpathexpr))
            fault_forbidden(faults, path_field(mount, "subPathExpr"), NOT_EPHEMERAL);
    }
}

/* Containers, init containers and ephemeral ones share one set of names: all of them, in this order. */
static const char **container_names(const Core__PodSpec *spec, struct arena *arena)
{
    size_t regular = spec->n_containers, init = spec->n_initcontainers;
    const char **names = arena_array(arena, const char *, regular + init + spec->n_ephemeralcontainers);
    for (size_t i = 0; i < regular; i++)
        names[i] = api_text(spec->containers[i]->name);
    for (size_t i = 0; i < init; i++)
        names[regular + i] = api_text(spec->initcontainers[i]->name);
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        names[regular + init + i] = api_text(spec->ephemeralcontainers[i]->name);
    return names;
}

void validate_containers(struct faults *faults, const struct pod_context *context)
{
    const Core__PodSpec *spec = context->spec;
    size_t regular = spec->n_containers, init = spec->n_initcontainers;
    const struct path *path = path_field(spec_path, "containers");
    const char **names = container_names(spec, faults->arena);
    const bool *repeated =
        validate_duplicates(faults->arena, names, regular + init + spec->n_ephemeralcontainers);
    struct text_set others = text_set_build(faults->arena, names, regular + init);
    if (regular == 0)
        fault_required(faults, path, NULL);
    for (size_t i = 0; i < regular; i++)
        check_regular(faults, path_index(path, i), context, spec->containers[i], repeated && repeated[i]);
    check_host_ports(faults, path, spec->containers, regular);
    for (size_t i = 0; i < init; i++)
        check_init(faults, path_field(spec_path, "initContainers"), i, context, spec->initcontainers[i],
                   repeated && repeated[regular + i]);
    for (size_t i = 0; i < spec->n_ephemeralcontainers; i++)
        check_ephemeral(faults, path_index(path_field(spec_path, "ephemeralContainers"), i), context,
                        spec->ephemeralcontainers[i], &others, repeated && repeated[regular + init + i]);
}
