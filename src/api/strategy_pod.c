/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/quantity.h"
#include "api/strategy_parts.h"
#include "base/text.h"

#include <string.h>

/* The generated structs hold char *, and nothing here writes through them. */
#define CONSTANT(text) ((char *)(text))

enum { CPU, MEMORY, RESOURCES };
static const char *const quality_resources[RESOURCES] = {"cpu", "memory"};

struct quality {
    __int128 requests[RESOURCES], limits[RESOURCES];
    bool is_limited; /* every container limits both */
};

static void add_requirements(struct quality *quality, const Core__ResourceRequirements *resources)
{
    for (int i = 0; i < RESOURCES; i++) {
        const char *name = quality_resources[i];
        __int128 limit = 0, request = 0;
        if (resources) {
            limit = quantity_value(quantity_find(resources->limits, resources->n_limits, name));
            request = quantity_value(quantity_find(resources->requests, resources->n_requests, name));
        }
        if (request > 0)
            quality->requests[i] += request;
        if (limit > 0)
            quality->limits[i] += limit;
        else
            quality->is_limited = false;
    }
}

/* The resources of the whole Pod count instead of its containers' where it has them. */
const char *strategy_pod_quality(const Core__PodSpec *spec)
{
    struct quality quality = {.is_limited = true};
    if (spec->resources) {
        add_requirements(&quality, spec->resources);
    } else {
        for (size_t i = 0; i < spec->n_containers; i++)
            add_requirements(&quality, spec->containers[i]->resources);
        for (size_t i = 0; i < spec->n_initcontainers; i++)
            add_requirements(&quality, spec->initcontainers[i]->resources);
    }
    bool has_any = false, is_equal = true;
    for (int i = 0; i < RESOURCES; i++) {
        has_any |= quality.requests[i] > 0 || quality.limits[i] > 0;
        is_equal &= quality.requests[i] == quality.limits[i];
    }
    if (!has_any)
        return "BestEffort";
    return quality.is_limited && is_equal ? "Guaranteed" : "Burstable";
}

static void drop_stop_signal(Core__Container *container)
{
    Core__Lifecycle *lifecycle = container->lifecycle;
    if (!lifecycle || !lifecycle->stopsignal)
        return;
    lifecycle->stopsignal = NULL;
    if (!lifecycle->poststart && !lifecycle->prestop)
        container->lifecycle = NULL;
}

/* GenericWorkload, ContainerStopSignals, ClusterTrustBundleProjection, PodCertificateRequest. */
void strategy_drop_disabled(Core__PodSpec *spec)
{
    spec->schedulinggroup = NULL;
    for (size_t i = 0; i < spec->n_containers; i++)
        drop_stop_signal(spec->containers[i]);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        drop_stop_signal(spec->initcontainers[i]);
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const Core__ProjectedVolumeSource *projected = spec->volumes[i]->projected;
        for (size_t j = 0; projected && j < projected->n_sources; j++) {
            projected->sources[j]->clustertrustbundle = NULL;
            projected->sources[j]->podcertificate = NULL;
        }
    }
}

/* lastTransitionTime is left to whoever knows the time. */
static Core__PodCondition *gated_condition(struct arena *arena)
{
    Core__PodCondition *condition = strategy_new(arena, &core__pod_condition__descriptor);
    condition->type = CONSTANT("PodScheduled");
    condition->status = CONSTANT("False");
    condition->reason = CONSTANT("SchedulingGated");
    condition->message = CONSTANT("Scheduling is blocked due to non-empty scheduling gates");
    return condition;
}

static void add_requirement(Meta__LabelSelector *selector, const char *key, const char *value,
                            const char *relation, struct arena *arena)
{
    size_t count = selector->n_matchexpressions;
    Meta__LabelSelectorRequirement **list = arena_array(arena, Meta__LabelSelectorRequirement *, count + 1);
    Meta__LabelSelectorRequirement *requirement =
        strategy_new(arena, &meta__label_selector_requirement__descriptor);
    if (count)
        memcpy(list, selector->matchexpressions, count * sizeof(*list));
    requirement->key = CONSTANT(key);
    requirement->operator_ = CONSTANT(relation);
    requirement->values = arena_array(arena, char *, 1);
    requirement->values[requirement->n_values++] = CONSTANT(value);
    list[selector->n_matchexpressions++] = requirement;
    selector->matchexpressions = list;
}

/* More keys than a Pod may sensibly have are not merged: each one copies the list. */
#define MERGED_KEYS_MAX 64

/* Names of labels become requirements with the Pod's own values: KEP-3633, KEP-3243. */
static void merge_keys(Meta__LabelSelector *selector, char *const *keys, size_t count, const char *relation,
                       const Meta__ObjectMeta *metadata, struct arena *arena)
{
    for (size_t i = 0; selector && i < count && i < MERGED_KEYS_MAX; i++) {
        const char *value = api_entry(metadata->labels, metadata->n_labels, keys[i]);
        if (value)
            add_requirement(selector, keys[i], value, relation, arena);
    }
}

static void merge_term(Core__PodAffinityTerm *term, const Meta__ObjectMeta *metadata, struct arena *arena)
{
    if (!term)
        return;
    merge_keys(term->labelselector, term->matchlabelkeys, term->n_matchlabelkeys, "In", metadata, arena);
    merge_keys(term->labelselector, term->mismatchlabelkeys, term->n_mismatchlabelkeys, "NotIn", metadata,
               arena);
}

static void merge_affinity(const Core__Affinity *affinity, const Meta__ObjectMeta *metadata,
                           struct arena *arena)
{
    const Core__PodAffinity *near = affinity->podaffinity;
    const Core__PodAntiAffinity *far = affinity->podantiaffinity;
    for (size_t i = 0; near && i < near->n_preferredduringschedulingignoredduringexecution; i++)
        merge_term(near->preferredduringschedulingignoredduringexecution[i]->podaffinityterm, metadata,
                   arena);
    for (size_t i = 0; near && i < near->n_requiredduringschedulingignoredduringexecution; i++)
        merge_term(near->requiredduringschedulingignoredduringexecution[i], metadata, arena);
    for (size_t i = 0; far && i < far->n_preferredduringschedulingignoredduringexecution; i++)
        merge_term(far->preferredduringschedulingignoredduringexecution[i]->podaffinityterm, metadata, arena);
    for (size_t i = 0; far && i < far->n_requiredduringschedulingignoredduringexecution; i++)
        merge_term(far->requiredduringschedulingignoredduringexecution[i], metadata, arena);
}

void strategy_create_pod(Core__Pod *pod, struct arena *arena)
{
    Core__PodSpec *spec = pod->spec;
    pod->status = strategy_new(arena, &core__pod_status__descriptor);
    pod->status->phase = CONSTANT("Pending");
    pod->status->qosclass = CONSTANT(strategy_pod_quality(spec));
    strategy_drop_disabled(spec);
    if (spec->n_schedulinggates) {
        pod->status->conditions = arena_array(arena, Core__PodCondition *, 1);
        pod->status->conditions[pod->status->n_conditions++] = gated_condition(arena);
    }
    if (spec->affinity)
        merge_affinity(spec->affinity, pod->metadata, arena);
    for (size_t i = 0; i < spec->n_topologyspreadconstraints; i++) {
        const Core__TopologySpreadConstraint *constraint = spec->topologyspreadconstraints[i];
        merge_keys(constraint->labelselector, constraint->matchlabelkeys, constraint->n_matchlabelkeys, "In",
                   pod->metadata, arena);
    }
}

/* The place of a condition among those of its type: more than one of a type may be there. */
static int64_t old_condition_generation(const Core__PodStatus *status, const Core__PodStatus *old,
                                        size_t index)
{
    const char *type = status->conditions[index]->type;
    size_t before = 0;
    for (size_t i = 0; i < index; i++)
        before += text_equal(status->conditions[i]->type, type);
    for (size_t i = 0; i < old->n_conditions; i++)
        if (text_equal(old->conditions[i]->type, type) && before-- == 0)
            return old->conditions[i]->observedgeneration;
    return 0;
}

#define CONDITIONS_MAX 1000

/* observedGeneration is kept where the writer leaves it out: kubelets before 1.33 do. */
static void keep_generations(Core__PodStatus *status, const Core__PodStatus *old)
{
    if (status->observedgeneration == 0) {
        status->has_observedgeneration = old->has_observedgeneration;
        status->observedgeneration = old->observedgeneration;
    }
    for (size_t i = 0; i < status->n_conditions && i < CONDITIONS_MAX; i++) {
        Core__PodCondition *condition = status->conditions[i];
        if (condition->observedgeneration != 0)
            continue;
        condition->observedgeneration = old_condition_generation(status, old, i);
        condition->has_observedgeneration = condition->observedgeneration != 0;
    }
}

void strategy_update_pod_status(Core__Pod *pod, const Core__Pod *old, struct arena *arena)
{
    Meta__ObjectMeta *metadata = pod->metadata;
    pod->spec = old->spec;
    metadata->deletiontimestamp = NULL;
    metadata->ownerreferences = old->metadata->ownerreferences;
    metadata->n_ownerreferences = old->metadata->n_ownerreferences;
    if (!pod->status)
        pod->status = strategy_new(arena, &core__pod_status__descriptor);
    if (!old->status)
        return;
    if (!pod->status->qosclass || !*pod->status->qosclass)
        pod->status->qosclass = old->status->qosclass;
    keep_generations(pod->status, old->status);
}
