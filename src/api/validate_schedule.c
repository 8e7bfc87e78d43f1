/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#define WEIGHT_DETAIL "must be in the range 1-100"

static const char *const spread_actions[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
static const char *const inclusions[] = {"Honor", "Ignore", NULL};
static const char *const toleration_operators[] = {"Equal", "Exists", NULL};
static const char *const ordering_operators[] = {"Equal", "Exists", "Lt", "Gt", NULL};

static const struct path spec_frame = {.name = "spec"};
static const struct path *const spec_path = &spec_frame;

static void check_expression(struct faults *faults, const struct path *path,
                             const Core__NodeSelectorRequirement *requirement, bool is_preference)
{
    const struct path *values = path_field(path, "values");
    const char *relation = api_text(requirement->operator_);
    if (strcmp(relation, "In") == 0 || strcmp(relation, "NotIn") == 0) {
        if (requirement->n_values == 0)
            fault_required(faults, values, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (strcmp(relation, "Exists") == 0 || strcmp(relation, "DoesNotExist") == 0) {
        if (requirement->n_values > 0)
            fault_forbidden(faults, values,
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (strcmp(relation, "Gt") == 0 || strcmp(relation, "Lt") == 0) {
        if (requirement->n_values != 1)
            fault_required(faults, values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
        fault_invalid(faults, path_field(path, "operator"), relation, "not a valid selector operator");
    }
    check_qualified_name(faults, path_field(path, "key"), api_text(requirement->key));
    for (size_t i = 0; !is_preference && i < requirement->n_values; i++)
        check_label_value(faults, path_index(values, i), requirement->values[i]);
}

static void check_field(struct faults *faults, const struct path *path,
                        const Core__NodeSelectorRequirement *requirement)
{
    const struct path *values = path_field(path, "values");
    const char *relation = api_text(requirement->operator_), *key = api_text(requirement->key);
    if (strcmp(relation, "In") != 0 && strcmp(relation, "NotIn") != 0)
        fault_invalid(faults, path_field(path, "operator"), relation, "not a valid selector operator");
    else if (requirement->n_values != 1)
        fault_required(faults, values,
                       "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    if (strcmp(key, "metadata.name") != 0) {
        fault_invalid(faults, path_field(path, "key"), key, "not a valid field selector key");
        return;
    }
    for (size_t i = 0; i < requirement->n_values; i++)
        check_dns_subdomain(faults, path_index(values, i), requirement->values[i]);
}

static void check_term(struct faults *faults, const struct path *path, const Core__NodeSelectorTerm *term,
                       bool is_preference)
{
    for (size_t i = 0; term && i < term->n_matchexpressions; i++)
        check_expression(faults, path_index(path_field(path, "matchExpressions"), i),
                         term->matchexpressions[i], is_preference);
    for (size_t i = 0; term && i < term->n_matchfields; i++)
        check_field(faults, path_index(path_field(path, "matchFields"), i), term->matchfields[i]);
}

static void check_weight(struct faults *faults, const struct path *path, int weight)
{
    if (weight < 1 || weight > 100)
        fault_invalid_number(faults, path_field(path, "weight"), weight, WEIGHT_DETAIL);
}

static void check_node_affinity(struct faults *faults, const struct path *path,
                                const Core__NodeAffinity *affinity)
{
    const struct path *required = path_field(path, "requiredDuringSchedulingIgnoredDuringExecution");
    const struct path *terms = path_field(required, "nodeSelectorTerms");
    const struct path *preferred = path_field(path, "preferredDuringSchedulingIgnoredDuringExecution");
    if (!affinity)
        return;
    const Core__NodeSelector *selector = affinity->requiredduringschedulingignoredduringexecution;
    if (selector && selector->n_nodeselectorterms == 0)
        fault_required(faults, terms, "must have at least one node selector term");
    for (size_t i = 0; selector && i < selector->n_nodeselectorterms; i++)
        check_term(faults, path_index(terms, i), selector->nodeselectorterms[i], false);
    for (size_t i = 0; i < affinity->n_preferredduringschedulingignoredduringexecution; i++) {
        const Core__PreferredSchedulingTerm *term =
            affinity->preferredduringschedulingignoredduringexecution[i];
        check_weight(faults, path_index(preferred, i), term->weight);
        check_term(faults, path_field(path_index(preferred, i), "preference"), term->preference, true);
    }
}

static void check_keys(struct faults *faults, const struct path *path, char *const *keys, size_t count,
                       bool has_selector)
{
    if (count && !has_selector) {
        fault_forbidden(faults, path, "must not be specified when labelSelector is not set");
        return;
    }
    for (size_t i = 0; i < count; i++)
        check_qualified_name(faults, path_index(path, i), keys[i]);
}

/* A key that strategy.h has merged into the selector stands there once; twice when the client names it too.
 */
static void check_merged_keys(struct faults *faults, const struct path *path, char *const *keys, size_t count,
                              const Meta__LabelSelector *selector)
{
    struct text_set wanted = text_set_build(faults->arena, (const char *const *)keys, count);
    size_t labels = selector->n_matchlabels, total = labels + selector->n_matchexpressions;
    const char **known = arena_array(faults->arena, const char *, total);
    for (size_t i = 0; i < total; i++)
        known[i] = api_text(i < labels ? selector->matchlabels[i]->key
                                       : selector->matchexpressions[i - labels]->key);
    const bool *repeated = validate_duplicates(faults->arena, known, total);
    for (size_t i = labels; repeated && i < total; i++) {
        size_t place = text_set_find(&wanted, known[i]);
        if (repeated[i] && place < count)
            fault_invalid(faults, path_index(path, place), known[i],
                          "exists in both matchLabelKeys and labelSelector");
    }
}

static void check_label_keys(struct faults *faults, const struct path *path, char *const *keys, size_t count,
                             char *const *mismatched, size_t mismatched_count,
                             const Meta__LabelSelector *selector)
{
    const struct path *match = path_field(path, "matchLabelKeys");
    check_keys(faults, match, keys, count, selector != NULL);
    check_keys(faults, path_field(path, "mismatchLabelKeys"), mismatched, mismatched_count, selector != NULL);
    if (selector && count)
        check_merged_keys(faults, path, keys, count, selector);
    struct text_set others = text_set_build(faults->arena, (const char *const *)mismatched, mismatched_count);
    for (size_t i = 0; mismatched_count && i < count; i++)
        if (text_set_has(&others, keys[i]))
            fault_invalid(faults, path_index(match, i), keys[i],
                          "exists in both matchLabelKeys and mismatchLabelKeys");
}

static void check_pod_term(struct faults *faults, const struct path *path, const Core__PodAffinityTerm *term)
{
    const struct path *key = path_field(path, "topologyKey");
    if (!term) {
        fault_required(faults, key, "can not be empty");
        return;
    }
    validate_label_selector(faults, path_field(path, "labelSelector"), term->labelselector);
    validate_label_selector(faults, path_field(path, "namespaceSelector"), term->namespaceselector);
    for (size_t i = 0; i < term->n_namespaces; i++)
        check_dns_label(faults, path_field(path, "namespace"), term->namespaces[i]);
    check_label_keys(faults, path, term->matchlabelkeys, term->n_matchlabelkeys, term->mismatchlabelkeys,
                     term->n_mismatchlabelkeys, term->labelselector);
    if (!is_set(term->topologykey))
        fault_required(faults, key, "can not be empty");
    check_qualified_name(faults, key, api_text(term->topologykey));
}

static void check_pod_terms(struct faults *faults, const struct path *path,
                            Core__PodAffinityTerm *const *required, size_t count,
                            Core__WeightedPodAffinityTerm *const *preferred, size_t preferred_count)
{
    const struct path *hard = path_field(path, "requiredDuringSchedulingIgnoredDuringExecution");
    const struct path *soft = path_field(path, "preferredDuringSchedulingIgnoredDuringExecution");
    for (size_t i = 0; i < count; i++)
        check_pod_term(faults, path_index(hard, i), required[i]);
    for (size_t i = 0; i < preferred_count; i++) {
        check_weight(faults, path_index(soft, i), preferred[i]->weight);
        check_pod_term(faults, path_field(path_index(soft, i), "podAffinityTerm"),
                       preferred[i]->podaffinityterm);
    }
}

void validate_affinity(struct faults *faults, const Core__Affinity *affinity)
{
    const struct path *path = path_field(spec_path, "affinity");
    if (!affinity)
        return;
    const Core__PodAffinity *near = affinity->podaffinity;
    const Core__PodAntiAffinity *far = affinity->podantiaffinity;
    check_node_affinity(faults, path_field(path, "nodeAffinity"), affinity->nodeaffinity);
    if (near)
        check_pod_terms(faults, path_field(path, "podAffinity"),
                        near->requiredduringschedulingignoredduringexecution,
                        near->n_requiredduringschedulingignoredduringexecution,
                        near->preferredduringschedulingignoredduringexecution,
                        near->n_preferredduringschedulingignoredduringexecution);
    if (far)
        check_pod_terms(faults, path_field(path, "podAntiAffinity"),
                        far->requiredduringschedulingignoredduringexecution,
                        far->n_requiredduringschedulingignoredduringexecution,
                        far->preferredduringschedulingignoredduringexecution,
                        far->n_preferredduringschedulingignoredduringexecution);
}

static void check_toleration_value(struct faults *faults, const struct path *path,
                                   const Core__Toleration *toleration)
{
    const struct path *where = path_field(path, "operator");
    const char *relation = api_text(toleration->operator_), *value = api_text(toleration->value);
    if (strcmp(relation, "Equal") == 0 || !*relation) {
        const char *detail = join_rule(value, label_value_rule, faults->arena);
        if (detail)
            fault_invalid(faults, where, value, detail);
    } else if (strcmp(relation, "Exists") == 0) {
        if (*value)
            fault_invalid(faults, where, value, "value must be empty when `operator` is 'Exists'");
    } else if (strcmp(relation, "Lt") == 0 || strcmp(relation, "Gt") == 0) {
        /* The gate TaintTolerationComparisonOperators is off; upstream names them all the same. */
        fault_unsupported(faults, where, relation, ordering_operators);
    } else {
        fault_unsupported(faults, where, relation, toleration_operators);
    }
}

void validate_tolerations(struct faults *faults, Core__Toleration *const *tolerations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Core__Toleration *toleration = tolerations[i];
        const struct path *path = path_index(path_field(spec_path, "tolerations"), i);
        if (is_set(toleration->key))
            check_qualified_name(faults, path_field(path, "key"), toleration->key);
        else if (!is_text(toleration->operator_, "Exists"))
            fault_invalid(
                faults, path_field(path, "operator"), api_text(toleration->operator_),
                "operator must be Exists when `key` is empty, which means \"match all values and all "
                "keys\"");
        if (toleration->has_tolerationseconds && !is_text(toleration->effect, "NoExecute"))
            fault_invalid(faults, path_field(path, "effect"), api_text(toleration->effect),
                          "effect must be 'NoExecute' when `tolerationSeconds` is set");
        check_toleration_value(faults, path, toleration);
        if (is_set(toleration->effect))
            validate_taint_effect(faults, path_field(path, "effect"), toleration->effect);
    }
}

static void check_domains(struct faults *faults, const struct path *path,
                          const Core__TopologySpreadConstraint *constraint)
{
    const struct path *where = path_field(path, "minDomains");
    const char *action = api_text(constraint->whenunsatisfiable);
    if (!constraint->has_mindomains)
        return;
    if (constraint->mindomains <= 0)
        fault_invalid_number(faults, where, constraint->mindomains, "must be greater than zero");
    if (strcmp(action, "DoNotSchedule") != 0)
        fault_invalid_number(
            faults, where, constraint->mindomains,
            arena_printf(faults->arena, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s",
                         action));
}

static void check_constraint(struct faults *faults, const struct path *path,
                             const Core__TopologySpreadConstraint *constraint, const char *repeated)
{
    if (constraint->maxskew <= 0)
        fault_invalid_number(faults, path_field(path, "maxSkew"), constraint->maxskew,
                             "must be greater than zero");
    if (!is_set(constraint->topologykey))
        fault_required(faults, path_field(path, "topologyKey"), "can not be empty");
    validate_supported(faults, path_field(path, "whenUnsatisfiable"), constraint->whenunsatisfiable,
                       spread_actions);
    if (repeated)
        fault_duplicate(faults, path_field(path, "{topologyKey, whenUnsatisfiable}"), repeated);
    check_domains(faults, path, constraint);
    if (constraint->nodeaffinitypolicy)
        validate_supported(faults, path_field(path, "nodeAffinityPolicy"), constraint->nodeaffinitypolicy,
                           inclusions);
    if (constraint->nodetaintspolicy)
        validate_supported(faults, path_field(path, "nodeTaintsPolicy"), constraint->nodetaintspolicy,
                           inclusions);
    check_label_keys(faults, path, constraint->matchlabelkeys, constraint->n_matchlabelkeys, NULL, 0,
                     constraint->labelselector);
    validate_label_selector(faults, path_field(path, "labelSelector"), constraint->labelselector);
}

/* Of two constraints that are one, upstream faults the earlier. */
void validate_spread(struct faults *faults, const Core__PodSpec *spec)
{
    size_t count = spec->n_topologyspreadconstraints;
    const char **keys = arena_array(faults->arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        const Core__TopologySpreadConstraint *constraint = spec->topologyspreadconstraints[count - 1 - i];
        keys[i] = arena_printf(faults->arena, "{%s, %s}", api_text(constraint->topologykey),
                               api_text(constraint->whenunsatisfiable));
    }
    const bool *repeated = validate_duplicates(faults->arena, keys, count);
    for (size_t i = 0; i < count; i++)
        check_constraint(faults, path_index(path_field(spec_path, "topologySpreadConstraints"), i),
                         spec->topologyspreadconstraints[i],
                         repeated && repeated[count - 1 - i] ? keys[count - 1 - i] : NULL);
}
