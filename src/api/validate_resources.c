/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/quantity.h"
#include "api/validate_pod.h"

#define REQUESTS_PREFIX "requests."
#define HUGE_PAGES_PREFIX "hugepages-"
#define NATIVE_PART "kubernetes.io/"

static const char *const container_resources[] = {"cpu", "ephemeral-storage", "memory", NULL};
static const char *const quality_resources[] = {"cpu", "memory", NULL};
static const char *const pod_resources[] = {"cpu", HUGE_PAGES_PREFIX, "memory", NULL};
static const char *const integer_resources[] = {
    "pods",       "resourcequotas",         "services",           "replicationcontrollers", "secrets",
    "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", NULL,
};
static const char *const standard_resources[] = {
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
    NULL,
};

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_huge_page(const char *name)
{
    return has_prefix(name, HUGE_PAGES_PREFIX);
}

static bool is_native(const char *name)
{
    return !strchr(name, '/') || strstr(name, NATIVE_PART);
}

static bool allows_overcommit(const char *name)
{
    return is_native(name) && !is_huge_page(name);
}

static bool is_extended(const char *name, struct arena *arena)
{
    struct faults scratch;
    if (is_native(name) || has_prefix(name, REQUESTS_PREFIX))
        return false;
    faults_init(&scratch, arena);
    return check_qualified_name(&scratch, NULL, arena_printf(arena, REQUESTS_PREFIX "%s", name));
}

static const char *quantity_text(const Meta__Quantity *quantity)
{
    return quantity && is_set(quantity->string) ? quantity->string : "0";
}

void validate_quantity(struct faults *faults, const struct path *path, const char *resource,
                       const Meta__Quantity *quantity)
{
    __int128 value = quantity_value(quantity);
    if (value < 0)
        fault_invalid(faults, path, quantity_text(quantity), "must be greater than or equal to 0");
    if ((is_one_of(resource, integer_resources) || is_extended(resource, faults->arena)) &&
        value % QUANTITY_ONE != 0)
        fault_invalid(faults, path, quantity_text(quantity), "must be an integer");
}

static bool check_resource_name(struct faults *faults, const struct path *path, const char *name)
{
    if (!check_qualified_name(faults, path, name))
        return false;
    bool is_standard = is_one_of(name, standard_resources) || is_huge_page(name) ||
                       has_prefix(name, REQUESTS_PREFIX HUGE_PAGES_PREFIX);
    if (strchr(name, '/') || is_standard)
        return true;
    fault_invalid(faults, path, name, "must be a standard resource type or fully qualified");
    return false;
}

static void check_container_resource(struct faults *faults, const struct path *path, const char *name)
{
    check_resource_name(faults, path, name);
    bool is_bare = !strchr(name, '/');
    if (is_bare && !is_one_of(name, container_resources) && !is_huge_page(name))
        fault_invalid(faults, path, name, "must be a standard resource for containers");
    else if (!is_bare && !is_native(name) && !is_extended(name, faults->arena))
        fault_invalid(faults, path, name, "doesn't follow extended resource name standard");
}

static void check_pod_resource(struct faults *faults, const struct path *path, const char *name)
{
    if (check_resource_name(faults, path, name) && !is_one_of(name, quality_resources) && !is_huge_page(name))
        fault_unsupported(faults, path, name, pod_resources);
}

static void check_huge_page(struct faults *faults, const struct path *path, const char *name,
                            const Meta__Quantity *quantity)
{
    __int128 size = 0, value = quantity_value(quantity);
    bool is_size =
        quantity_parse(name + strlen(HUGE_PAGES_PREFIX), &size) && size > 0 && size % QUANTITY_ONE == 0;
    if (is_size && value % size == 0)
        return;
    const char *text = quantity_text(quantity);
    fault_invalid(faults, path, text,
                  arena_printf(faults->arena, "%s is not positive integer multiple of %s", text, name));
}

static void check_entry(struct faults *faults, const struct path *path, const Meta__QuantityEntry *entry,
                        bool is_pod)
{
    const char *name = api_text(entry->key);
    if (is_pod)
        check_pod_resource(faults, path, name);
    else
        check_container_resource(faults, path, name);
    validate_quantity(faults, path, name, entry->value);
    if (is_huge_page(name))
        check_huge_page(faults, path, name, entry->value);
}

/* limit is NULL where there is none. */
static void check_request(struct faults *faults, const struct path *path, const char *name,
                          const Meta__Quantity *request, const Meta__QuantityEntry *limit)
{
    __int128 value = quantity_value(request), most = limit ? quantity_value(limit->value) : 0;
    if (!limit) {
        if (!allows_overcommit(name))
            fault_required(faults, path_field(path, "limits"),
                           "Limit must be set for non overcommitable resources");
        return;
    }
    const char *relation = value != most && !allows_overcommit(name) ? "equal to"
                           : value > most                            ? "less than or equal to"
                                                                     : NULL;
    if (relation)
        fault_invalid(faults, path_field(path, "requests"), quantity_text(request),
                      arena_printf(faults->arena, "must be %s %s limit of %s", relation, name,
                                   quantity_text(limit->value)));
}

static bool has_resource(const Core__ResourceRequirements *resources, bool (*is_meant)(const char *))
{
    for (size_t i = 0; i < resources->n_limits; i++)
        if (is_meant(api_text(resources->limits[i]->key)))
            return true;
    for (size_t i = 0; i < resources->n_requests; i++)
        if (is_meant(api_text(resources->requests[i]->key)))
            return true;
    return false;
}

static bool is_cpu_or_memory(const char *name)
{
    return is_one_of(name, quality_resources);
}

void validate_requirements(struct faults *faults, const struct path *path,
                           const Core__ResourceRequirements *resources, bool is_pod)
{
    if (!resources)
        return;
    struct text_set limits = quantity_keys(resources->limits, resources->n_limits, faults->arena);
    for (size_t i = 0; i < resources->n_limits; i++)
        check_entry(faults, path_key(path_field(path, "limits"), api_text(resources->limits[i]->key)),
                    resources->limits[i], is_pod);
    for (size_t i = 0; i < resources->n_requests; i++) {
        const Meta__QuantityEntry *request = resources->requests[i];
        size_t limit = text_set_find(&limits, request->key);
        check_entry(faults, path_key(path_field(path, "requests"), api_text(request->key)), request, is_pod);
        check_request(faults, path, api_text(request->key), request->value,
                      limit < limits.count ? resources->limits[limit] : NULL);
    }
    if (has_resource(resources, is_huge_page) && !has_resource(resources, is_cpu_or_memory))
        fault_forbidden(faults, path, "HugePages require cpu or memory");
}

static const char *claim_names(const Core__PodSpec *spec, struct arena *arena)
{
    struct text list = {0};
    for (size_t i = 0; i < spec->n_resourceclaims; i++)
        text_printf(&list, "%s%s", i ? ", " : ": ", api_text(spec->resourceclaims[i]->name));
    const char *detail = arena_printf(arena, "must be one of the names in pod.spec.resourceClaims%s",
                                      list.len ? text_str(&list) : " which is empty");
    text_done(&list);
    return detail;
}

void validate_claims(struct faults *faults, const struct path *path,
                     const Core__ResourceRequirements *resources, const Core__PodSpec *spec)
{
    size_t count = resources ? resources->n_claims : 0;
    const char **known = arena_array(faults->arena, const char *, spec->n_resourceclaims);
    const char **keys = arena_array(faults->arena, const char *, count);
    for (size_t i = 0; i < spec->n_resourceclaims; i++)
        known[i] = spec->resourceclaims[i]->name;
    for (size_t i = 0; i < count; i++) {
        const Core__ResourceClaim *claim = resources->claims[i];
        keys[i] = api_text(claim->name);
        if (is_set(claim->request))
            keys[i] = arena_printf(faults->arena, "%s/%s", keys[i], claim->request);
    }
    struct text_set names = text_set_build(faults->arena, known, spec->n_resourceclaims);
    const bool *repeated = validate_duplicates(faults->arena, keys, count);
    const char *wanted = count ? claim_names(spec, faults->arena) : NULL;
    for (size_t i = 0; i < count; i++) {
        const struct path *where = path_index(path, i);
        const Core__ResourceClaim *claim = resources->claims[i];
        if (!is_set(claim->name)) {
            fault_required(faults, where, NULL);
            continue;
        }
        if (is_set(claim->request))
            check_dns_label(faults, path_field(where, "request"), claim->request);
        if (repeated && repeated[i])
            fault_duplicate(faults, where, keys[i]);
        if (!text_set_has(&names, claim->name))
            fault_not_found(faults, where, claim->name, wanted);
    }
}
