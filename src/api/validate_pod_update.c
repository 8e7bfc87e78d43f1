/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#include "api/equal.h"

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

/* Whether the lists can be compared one by one. */
static bool check_containers(struct faults *faults, const struct path *path,
                             Core__Container *const *containers, size_t count, size_t old_count)
{
    if (count != old_count) {
        fault_forbidden(faults, path, "pod updates may not add or remove containers");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct path *image = path_field(path_index(path, i), "image");
        if (!is_set(containers[i]->image))
            fault_required(faults, image, NULL);
        validate_image(faults, image, containers[i]->image);
    }
    return true;
}

/* From nothing to a number, and from one to a smaller one. */
static bool check_deadline(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    const struct path *path = path_field(spec_path, "activeDeadlineSeconds");
    if (!spec->has_activedeadlineseconds) {
        if (old->has_activedeadlineseconds)
            fault_invalid_raw(faults, path, "null", "must not update from a positive integer to nil value");
        return true;
    }
    if (!check_range(faults, path, spec->activedeadlineseconds, 0, INT32_MAX))
        return false;
    if (!old->has_activedeadlineseconds || old->activedeadlineseconds >= spec->activedeadlineseconds)
        return true;
    fault_invalid_number(faults, path, spec->activedeadlineseconds,
                         "must be less than or equal to previous value");
    return false;
}

/* A toleration without its seconds, which may change, as a key. */
static const char *toleration_key(const Core__Toleration *toleration, struct arena *arena)
{
    return arena_printf(arena, "%s\n%s\n%s\n%s", api_text(toleration->key), api_text(toleration->operator_),
                        api_text(toleration->value), api_text(toleration->effect));
}

static void check_tolerations(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    const char **keys = arena_array(faults->arena, const char *, spec->n_tolerations);
    for (size_t i = 0; i < spec->n_tolerations; i++)
        keys[i] = toleration_key(spec->tolerations[i], faults->arena);
    struct text_set kept = text_set_build(faults->arena, keys, spec->n_tolerations);
    for (size_t i = 0; i < old->n_tolerations; i++)
        if (!text_set_has(&kept, toleration_key(old->tolerations[i], faults->arena))) {
            fault_forbidden(faults, path_field(spec_path, "tolerations"),
                            "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    validate_tolerations(faults, spec->tolerations, spec->n_tolerations);
}

/* A gate that stands there twice is faulted where it stands last. */
static void check_gates(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    size_t count = spec->n_schedulinggates;
    const char **known = arena_array(faults->arena, const char *, old->n_schedulinggates);
    const char **reversed = arena_array(faults->arena, const char *, count);
    for (size_t i = 0; i < old->n_schedulinggates; i++)
        known[i] = old->schedulinggates[i]->name;
    for (size_t i = 0; i < count; i++)
        reversed[i] = api_text(spec->schedulinggates[count - 1 - i]->name);
    struct text_set before = text_set_build(faults->arena, known, old->n_schedulinggates);
    const bool *repeated = validate_duplicates(faults->arena, reversed, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = reversed[count - 1 - i];
        const struct path *path = path_field(path_index(path_field(spec_path, "schedulingGates"), i), "name");
        if (text_set_has(&before, name) || (repeated && repeated[count - 1 - i]))
            continue;
        fault_forbidden(faults, path,
                        arena_printf(faults->arena,
                                     "only deletion is allowed, but found new scheduling gate '%s'", name));
    }
}

static void *copy_message(const void *message, struct arena *arena)
{
    const ProtobufCMessage *from = message;
    void *copy = arena_alloc(arena, from->descriptor->sizeof_message);
    memcpy(copy, from, from->descriptor->sizeof_message);
    return copy;
}

static Core__Container **with_old_images(Core__Container *const *containers, Core__Container *const *old,
                                         size_t count, struct arena *arena)
{
    Core__Container **list = arena_array(arena, Core__Container *, count);
    for (size_t i = 0; i < count; i++) {
        list[i] = copy_message(containers[i], arena);
        list[i]->image = old[i]->image;
    }
    return list;
}

/* The new specification with the old values of what may change. */
static Core__PodSpec *with_old_fields(const Core__PodSpec *spec, const Core__PodSpec *old,
                                      struct arena *arena)
{
    Core__PodSpec *same = copy_message(spec, arena);
    same->containers = with_old_images(spec->containers, old->containers, spec->n_containers, arena);
    same->initcontainers =
        with_old_images(spec->initcontainers, old->initcontainers, spec->n_initcontainers, arena);
    same->has_activedeadlineseconds = old->has_activedeadlineseconds;
    same->activedeadlineseconds = old->activedeadlineseconds;
    same->schedulinggates = old->schedulinggates;
    same->n_schedulinggates = old->n_schedulinggates;
    same->tolerations = old->tolerations;
    same->n_tolerations = old->n_tolerations;
    if (old->terminationgraceperiodseconds < 0 && spec->terminationgraceperiodseconds == 1)
        same->terminationgraceperiodseconds = old->terminationgraceperiodseconds;
    return same;
}

/* A Pod that waits at a gate may be told more of where to run, not less. */
static void check_node_selector(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    const char **pairs = arena_array(faults->arena, const char *, spec->n_nodeselector);
    for (size_t i = 0; i < spec->n_nodeselector; i++)
        pairs[i] = arena_printf(faults->arena, "%s\n%s", api_text(spec->nodeselector[i]->key),
                                api_text(spec->nodeselector[i]->value));
    struct text_set now = text_set_build(faults->arena, pairs, spec->n_nodeselector);
    for (size_t i = 0; i < old->n_nodeselector; i++) {
        const char *pair = arena_printf(faults->arena, "%s\n%s", api_text(old->nodeselector[i]->key),
                                        api_text(old->nodeselector[i]->value));
        if (text_set_has(&now, pair))
            continue;
        fault_invalid_raw(faults, path_field(spec_path, "nodeSelector"), "{}",
                          "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
        return;
    }
}

static bool begins_with(Core__NodeSelectorRequirement *const *list, size_t count,
                        Core__NodeSelectorRequirement *const *old, size_t old_count)
{
    for (size_t i = 0; i < old_count; i++)
        if (i >= count || !message_equal(&list[i]->base, &old[i]->base))
            return false;
    return true;
}

static bool only_adds(const Core__NodeSelectorTerm *term, const Core__NodeSelectorTerm *old)
{
    bool was_empty = old->n_matchexpressions == 0 && old->n_matchfields == 0;
    if (was_empty && (term->n_matchexpressions || term->n_matchfields))
        return false;
    return begins_with(term->matchexpressions, term->n_matchexpressions, old->matchexpressions,
                       old->n_matchexpressions) &&
           begins_with(term->matchfields, term->n_matchfields, old->matchfields, old->n_matchfields);
}

static const Core__NodeSelector *required_nodes(const Core__PodSpec *spec)
{
    const Core__NodeAffinity *affinity = spec->affinity ? spec->affinity->nodeaffinity : NULL;
    return affinity ? affinity->requiredduringschedulingignoredduringexecution : NULL;
}

static void check_node_affinity(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    const struct path *path = path_field(path_field(spec_path, "affinity"), "nodeAffinity");
    const struct path *terms =
        path_field(path_field(path, "requiredDuringSchedulingIgnoredDuringExecution"), "nodeSelectorTerms");
    const Core__NodeSelector *now = required_nodes(spec), *before = required_nodes(old);
    size_t count = now ? now->n_nodeselectorterms : 0;
    if (!before || before->n_nodeselectorterms == 0)
        return;
    if (count != before->n_nodeselectorterms) {
        fault_invalid_raw(faults, terms, count ? "[]" : "null",
                          "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!only_adds(now->nodeselectorterms[i], before->nodeselectorterms[i]))
            fault_invalid_raw(faults, path_index(terms, i), "{}",
                              "only additions are allowed (no mutations or deletions)");
}

static void keep_placement(Core__PodSpec *same, const Core__PodSpec *old, struct arena *arena)
{
    const Core__Affinity *affinity = same->affinity;
    same->nodeselector = old->nodeselector;
    same->n_nodeselector = old->n_nodeselector;
    if (!old->affinity && affinity && !affinity->podaffinity && !affinity->podantiaffinity) {
        same->affinity = NULL;
        return;
    }
    if (!affinity && !(old->affinity && old->affinity->nodeaffinity))
        return;
    same->affinity = affinity ? copy_message(affinity, arena) : arena_new(arena, Core__Affinity);
    if (!affinity)
        core__affinity__init(same->affinity);
    same->affinity->nodeaffinity = old->affinity ? old->affinity->nodeaffinity : NULL;
}

/* Upstream appends a comparison of both; here it is the names of the fields that differ. */
static const char *changed_fields(const Core__PodSpec *spec, const Core__PodSpec *old, struct arena *arena)
{
    const ProtobufCMessageDescriptor *type = spec->base.descriptor;
    struct text list = {0};
    for (unsigned i = 0; i < type->n_fields; i++)
        if (!message_equal_field(&spec->base, &old->base, &type->fields[i]))
            text_printf(&list, "%s%s", list.len ? ", " : "", type->fields[i].name);
    const char *copy = arena_strdup(arena, text_str(&list));
    text_done(&list);
    return copy;
}

static void check_fixed_fields(struct faults *faults, const Core__PodSpec *spec, const Core__PodSpec *old)
{
    if (message_equal(&spec->base, &old->base))
        return;
    Core__PodSpec *same = with_old_fields(spec, old, faults->arena);
    if (old->n_schedulinggates) {
        check_node_selector(faults, spec, old);
        check_node_affinity(faults, spec, old);
        keep_placement(same, old, faults->arena);
    }
    if (message_equal(&same->base, &old->base))
        return;
    fault_forbidden(
        faults, spec_path,
        arena_printf(faults->arena,
                     "pod updates may not change fields other than `spec.containers[*].image`,"
                     "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                     "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                     "(allow it to be set to 1 if it was previously negative)\n%s",
                     changed_fields(same, old, faults->arena)));
}

void validate_pod_update(struct faults *faults, const Core__Pod *pod, const Core__Pod *old)
{
    const Core__PodSpec *spec = pod->spec, *before = old->spec;
    validate_metadata_update(faults, pod->metadata, old->metadata);
    validate_pod_spec(faults, pod);
    validate_pod_annotations_update(faults, pod, old);
    if (!check_containers(faults, path_field(spec_path, "containers"), spec->containers, spec->n_containers,
                          before->n_containers) ||
        !check_containers(faults, path_field(spec_path, "initContainers"), spec->initcontainers,
                          spec->n_initcontainers, before->n_initcontainers) ||
        !check_deadline(faults, spec, before))
        return;
    check_tolerations(faults, spec, before);
    check_gates(faults, spec, before);
    check_fixed_fields(faults, spec, before);
}
