/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/validate_pod.h"

#define STAYS_TERMINATED "may not be transitioned to non-terminated state"
#define ONE_OF_EACH "may specify no more than one IP for each IP family"

static const struct path status_frame = {.name = "status"};
static const struct path *const status_path = &status_frame;

static void check_conditions(struct faults *faults, const Core__PodStatus *status)
{
    for (size_t i = 0; i < status->n_conditions; i++) {
        const struct path *path = path_index(path_field(status_path, "conditions"), i);
        const char *type = api_text(status->conditions[i]->type);
        if (status->conditions[i]->observedgeneration < 0)
            fault_invalid_number(faults, path_field(path, "observedGeneration"),
                                 status->conditions[i]->observedgeneration, "must be a non-negative integer");
        if (strcmp(type, "PodScheduled") != 0 && strcmp(type, "Ready") != 0 &&
            strcmp(type, "Initialized") != 0)
            check_qualified_name(faults, path_field(path, "Type"), type);
    }
}

static void check_nominated(struct faults *faults, const Core__Pod *pod, const Core__Pod *old,
                            const Core__PodStatus *before)
{
    const struct path *path = path_field(status_path, "nominatedNodeName");
    const char *name = api_text(pod->status->nominatednodename);
    if (!*name || is_same_text(name, before->nominatednodename))
        return;
    check_dns_subdomain(faults, path, name);
    if (is_set(old->spec->nodename))
        fault_forbidden(faults, path, "may not be set on pods that are already bound to a node");
}

static bool matches_rule(const Core__ContainerRestartRule *rule, int exit_code)
{
    const Core__ContainerRestartRuleOnExitCodes *codes = rule->exitcodes;
    bool is_listed = false;
    for (size_t i = 0; codes && i < codes->n_values; i++)
        is_listed |= codes->values[i] == exit_code;
    return codes && is_listed == is_text(codes->operator_, "In");
}

/* What restarts a container: its own policy where it has one, its rules before that. */
static bool may_restart(const Core__PodSpec *spec, const Core__Container *container, int exit_code)
{
    for (size_t i = 0; i < container->n_restartpolicyrules; i++)
        if (matches_rule(container->restartpolicyrules[i], exit_code))
            return true;
    const char *policy = container->restartpolicy ? container->restartpolicy : spec->restartpolicy;
    return is_text(policy, "Always") || (is_text(policy, "OnFailure") && exit_code != 0);
}

struct containers {
    const char *field;
    Core__ContainerStatus *const *now, *const *before;
    size_t now_count, before_count;
    Core__Container *const *list; /* of the Pod; none of them is ever restarted that is not there */
    size_t count;
};

static bool is_terminated(const Core__ContainerStatus *status)
{
    return status->state && status->state->terminated;
}

static void check_transitions(struct faults *faults, const Core__PodSpec *spec,
                              const struct containers *containers)
{
    const char **names = arena_array(faults->arena, const char *, containers->now_count);
    for (size_t i = 0; i < containers->now_count; i++)
        names[i] = containers->now[i]->name;
    struct text_set now = text_set_build(faults->arena, names, containers->now_count);
    const char **known = arena_array(faults->arena, const char *, containers->count);
    for (size_t i = 0; i < containers->count; i++)
        known[i] = containers->list[i]->name;
    struct text_set of_pod = text_set_build(faults->arena, known, containers->count);
    for (size_t i = 0; i < containers->before_count; i++) {
        const Core__ContainerStatus *status = containers->before[i];
        size_t place = text_set_find(&now, status->name);
        if (!is_terminated(status) || place == now.count || is_terminated(containers->now[place]))
            continue;
        size_t container = text_set_find(&of_pod, status->name);
        if (container < of_pod.count &&
            may_restart(spec, containers->list[container], status->state->terminated->exitcode))
            continue;
        fault_forbidden(faults,
                        path_field(path_index(path_field(status_path, containers->field), i), "state"),
                        STAYS_TERMINATED);
    }
}

static bool restarts_all(const Core__PodSpec *spec)
{
    for (size_t i = 0; i < spec->n_containers; i++)
        for (size_t j = 0; j < spec->containers[i]->n_restartpolicyrules; j++)
            if (is_text(spec->containers[i]->restartpolicyrules[j]->action, "RestartAllContainers"))
                return true;
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        for (size_t j = 0; j < spec->initcontainers[i]->n_restartpolicyrules; j++)
            if (is_text(spec->initcontainers[i]->restartpolicyrules[j]->action, "RestartAllContainers"))
                return true;
    return false;
}

static void check_states(struct faults *faults, const Core__PodStatus *status, const Core__PodStatus *old,
                         const Core__PodSpec *spec)
{
    const struct containers regular = {"containerStatuses",      status->containerstatuses,
                                       old->containerstatuses,   status->n_containerstatuses,
                                       old->n_containerstatuses, spec->containers,
                                       spec->n_containers};
    const struct containers init = {"initContainerStatuses",      status->initcontainerstatuses,
                                    old->initcontainerstatuses,   status->n_initcontainerstatuses,
                                    old->n_initcontainerstatuses, spec->initcontainers,
                                    spec->n_initcontainers};
    const struct containers ephemeral = {"ephemeralContainerStatuses",
                                         status->ephemeralcontainerstatuses,
                                         old->ephemeralcontainerstatuses,
                                         status->n_ephemeralcontainerstatuses,
                                         old->n_ephemeralcontainerstatuses,
                                         NULL,
                                         0};
    if (!restarts_all(spec)) {
        check_transitions(faults, spec, &regular);
        check_transitions(faults, spec, &init);
    }
    check_transitions(faults, spec, &ephemeral);
}

/* Both lists of addresses are of one shape, in structs of their own. */
static void check_addresses(struct faults *faults, const char *field, const char *const *list, size_t count,
                            const char *const *old, size_t old_count)
{
    const struct path *path = path_field(status_path, field);
    struct text_set kept = text_set_build(faults->arena, old, old_count);
    struct text value = {0};
    unsigned families[FAMILY_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        struct address address;
        text_printf(&value, "%s{\"IP\":%s}", i ? "," : "[", encode_quoted(list[i], faults->arena));
        bool is_kept = text_set_has(&kept, list[i]);
        if (is_kept ? address_parse_loosely(list[i], faults->arena, &address)
                    : check_address(faults, path_index(path, i), list[i], &address))
            families[address_family(&address)]++;
    }
    text_add(&value, "]");
    if (count > 2 || (count == 2 && (families[FAMILY_IPV4] != 1 || families[FAMILY_IPV6] != 1)))
        fault_invalid_raw(faults, path, arena_strdup(faults->arena, text_str(&value)), ONE_OF_EACH);
    text_done(&value);
}

static const char **pod_ips(const Core__PodStatus *status, struct arena *arena)
{
    const char **list = arena_array(arena, const char *, status->n_podips);
    for (size_t i = 0; i < status->n_podips; i++)
        list[i] = api_text(status->podips[i]->ip);
    return list;
}

static const char **host_ips(const Core__PodStatus *status, struct arena *arena)
{
    const char **list = arena_array(arena, const char *, status->n_hostips);
    for (size_t i = 0; i < status->n_hostips; i++)
        list[i] = api_text(status->hostips[i]->ip);
    return list;
}

static void check_ips(struct faults *faults, const Core__PodStatus *status, const Core__PodStatus *old)
{
    const struct path *first = path_field(path_index(path_field(status_path, "hostIPs"), 0), "ip");
    check_addresses(faults, "podIPs", pod_ips(status, faults->arena), status->n_podips,
                    pod_ips(old, faults->arena), old->n_podips);
    if (status->n_hostips == 0)
        return;
    if (!is_same_text(status->hostip, status->hostips[0]->ip))
        fault_invalid(faults, first, api_text(status->hostips[0]->ip), "must be equal to `hostIP`");
    check_addresses(faults, "hostIPs", host_ips(status, faults->arena), status->n_hostips,
                    host_ips(old, faults->arena), old->n_hostips);
}

void validate_pod_status(struct faults *faults, const Core__Pod *pod, const Core__Pod *old)
{
    Core__PodStatus none = CORE__POD_STATUS__INIT;
    const Core__PodStatus *status = pod->status ? pod->status : &none,
                          *before = old->status ? old->status : &none;
    validate_metadata_update(faults, pod->metadata, old->metadata);
    validate_pod_annotations_update(faults, pod, old);
    check_conditions(faults, status);
    if (pod->status)
        check_nominated(faults, pod, old, before);
    if (status->observedgeneration < 0)
        fault_invalid_number(faults, path_field(status_path, "observedGeneration"),
                             status->observedgeneration, "must be a non-negative integer");
    if (!is_same_text(status->qosclass, before->qosclass))
        fault_invalid(faults, path_field(status_path, "qosClass"), api_text(status->qosclass),
                      FIELD_IS_IMMUTABLE);
    check_states(faults, status, before, old->spec);
    check_ips(faults, status, before);
}
