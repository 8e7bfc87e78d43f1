/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/validate_pod.h"

#include "api/quantity.h"

static const char *const environment_fields[] = {
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs", NULL,
};
/* What can be told from a wrong name: pkg/apis/core/pods, ConvertDownwardAPIFieldLabel. */
static const char *const known_fields[] = {
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    NULL,
};
static const char *const resource_fields[] = {
    "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
    NULL,
};
static const char *const divisors[] = {
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL,
};
#define DIVISOR_LIST                                                                                         \
    "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported "

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* `metadata.labels['app']` in its two parts. */
static bool split_subscript(const char *field, struct arena *arena, const char **ret_path,
                            const char **ret_subscript)
{
    const char *open = strstr(field, "['");
    size_t len = strlen(field);
    if (!open || open == field || len < 2 || strcmp(field + len - 2, "']") != 0 || open + 2 > field + len - 2)
        return false;
    *ret_path = arena_strndup(arena, field, (size_t)(open - field));
    *ret_subscript = arena_strndup(arena, open + 2, len - 2 - (size_t)(open + 2 - field));
    return true;
}

static void check_subscript(struct faults *faults, const struct path *path, const char *field,
                            const char *subscript)
{
    if (strcmp(field, "metadata.annotations") == 0)
        check_annotation_key(faults, path, subscript);
    else if (strcmp(field, "metadata.labels") == 0)
        check_qualified_name(faults, path, subscript);
    else
        fault_invalid(faults, path, field, "does not support subscript");
}

void validate_field_reference(struct faults *faults, const struct path *path,
                              const Core__ObjectFieldSelector *reference, const char *const *supported)
{
    const struct path *field_path = path_field(path, "fieldPath");
    const char *field = api_text(reference->fieldpath), *name = field, *subscript = NULL, *wrong = NULL;
    if (!is_set(reference->apiversion)) {
        fault_required(faults, path_field(path, "apiVersion"), NULL);
        return;
    }
    if (!*field) {
        fault_required(faults, field_path, NULL);
        return;
    }
    bool has_subscript = split_subscript(field, faults->arena, &name, &subscript);
    if (!is_text(reference->apiversion, "v1"))
        wrong = arena_printf(faults->arena, "unsupported pod version: %s", reference->apiversion);
    else if (has_subscript && strcmp(name, "metadata.annotations") != 0 &&
             strcmp(name, "metadata.labels") != 0)
        wrong = arena_printf(faults->arena, "field label does not support subscript: %s", field);
    else if (!has_subscript && !is_one_of(field, known_fields))
        wrong = arena_printf(faults->arena, "field label not supported: %s", field);
    if (wrong)
        fault_invalid(faults, field_path, field,
                      arena_printf(faults->arena, "error converting fieldPath: %s", wrong));
    else if (has_subscript)
        check_subscript(faults, path, name, subscript);
    else
        validate_supported(faults, field_path, field, supported);
}

static bool is_huge_page_field(const char *name)
{
    return strncmp(name, "requests.hugepages-", 19) == 0 || strncmp(name, "limits.hugepages-", 17) == 0;
}

static void check_divisor(struct faults *faults, const struct path *path, const char *name,
                          const Meta__Quantity *divisor)
{
    const char *text = divisor ? api_text(divisor->string) : "", *detail = NULL;
    if (quantity_value(divisor) == 0)
        return;
    const char *resource = strchr(name, '.') ? strchr(name, '.') + 1 : name;
    bool is_known = is_one_of(text, divisors);
    if (!is_one_of(name, resource_fields) && !is_huge_page_field(name))
        return;
    if (strcmp(resource, "cpu") == 0)
        detail = strcmp(text, "1") == 0 || strcmp(text, "1m") == 0
                     ? NULL
                     : "only divisor's values 1m and 1 are supported with the cpu resource";
    else if (!is_known && strcmp(resource, "memory") == 0)
        detail = DIVISOR_LIST "with the memory resource";
    else if (!is_known && strcmp(resource, "ephemeral-storage") == 0)
        detail = DIVISOR_LIST "with the local ephemeral storage resource";
    else if (!is_known)
        detail = DIVISOR_LIST "with the hugepages resource";
    if (detail)
        fault_invalid(faults, path_field(path, "divisor"), name, detail);
}

void validate_resource_reference(struct faults *faults, const struct path *path,
                                 const Core__ResourceFieldSelector *reference, bool needs_container)
{
    const char *name = api_text(reference->resource);
    if (needs_container && !is_set(reference->containername))
        fault_required(faults, path_field(path, "containerName"), NULL);
    else if (!*name)
        fault_required(faults, path_field(path, "resource"), NULL);
    else if (!is_huge_page_field(name))
        validate_supported(faults, path_field(path, "resource"), name, resource_fields);
    check_divisor(faults, path, name, reference->divisor);
}

static void check_key_reference(struct faults *faults, const struct path *path, const char *name,
                                const char *key)
{
    check_dns_subdomain(faults, path_field(path, "name"), api_text(name));
    if (is_set(key))
        check_config_key(faults, path_field(path, "key"), key);
    else
        fault_required(faults, path_field(path, "key"), NULL);
}

static void check_file_key(struct faults *faults, const struct path *path,
                           const Core__FileKeySelector *reference)
{
    if (is_set(reference->key))
        check_environment_name(faults, path_field(path, "key"), reference->key);
    else
        fault_required(faults, path_field(path, "key"), NULL);
    if (is_set(reference->volumename))
        check_dns_label(faults, path_field(path, "volumeName"), reference->volumename);
    else
        fault_required(faults, path_field(path, "volumeName"), NULL);
    if (is_set(reference->path))
        validate_no_backsteps(faults, path_field(path, "path"), reference->path);
    else
        fault_required(faults, path_field(path, "path"), NULL);
}

static void check_source(struct faults *faults, const struct path *path, const Core__EnvVar *variable)
{
    const Core__EnvVarSource *source = variable->valuefrom;
    if (source->fieldref)
        validate_field_reference(faults, path_field(path, "fieldRef"), source->fieldref, environment_fields);
    if (source->resourcefieldref)
        validate_resource_reference(faults, path_field(path, "resourceFieldRef"), source->resourcefieldref,
                                    false);
    if (source->configmapkeyref)
        check_key_reference(faults, path_field(path, "configMapKeyRef"), source->configmapkeyref->name,
                            source->configmapkeyref->key);
    if (source->secretkeyref)
        check_key_reference(faults, path_field(path, "secretKeyRef"), source->secretkeyref->name,
                            source->secretkeyref->key);
    if (source->filekeyref)
        check_file_key(faults, path_field(path, "fileKeyRef"), source->filekeyref);
    int count = !!source->fieldref + !!source->resourcefieldref + !!source->configmapkeyref +
                !!source->secretkeyref + !!source->filekeyref;
    if (count == 0)
        fault_invalid(
            faults, path, "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or "
            "`fileKeyRef`");
    else if (is_set(variable->value))
        fault_invalid(faults, path, "", "may not be specified when `value` is not empty");
    else if (count > 1)
        fault_invalid(faults, path, "", "may not have more than one field specified at a time");
}

static void check_map_name(struct faults *faults, const struct path *path, const char *name)
{
    if (is_set(name))
        check_prefix_rule(faults, path_field(path, "name"), name, dns_subdomain_rule);
    else
        fault_required(faults, path_field(path, "name"), NULL);
}

static void check_whole_source(struct faults *faults, const struct path *list, size_t index,
                               const Core__EnvFromSource *source)
{
    const struct path *path = path_index(list, index);
    if (is_set(source->prefix))
        check_environment_name(faults, path_field(path, "prefix"), source->prefix);
    if (source->configmapref)
        check_map_name(faults, path_field(path, "configMapRef"), source->configmapref->name);
    if (source->secretref)
        check_map_name(faults, path_field(path, "secretRef"), source->secretref->name);
    if (!source->configmapref && !source->secretref)
        fault_invalid(faults, list, "", "must specify one of: `configMapRef` or `secretRef`");
    else if (source->configmapref && source->secretref)
        fault_invalid(faults, list, "", "may not have more than one field specified at a time");
}

void validate_environment(struct faults *faults, const struct path *path, const Core__Container *container)
{
    for (size_t i = 0; i < container->n_env; i++) {
        const Core__EnvVar *variable = container->env[i];
        const struct path *where = path_index(path_field(path, "env"), i);
        if (is_set(variable->name))
            check_environment_name(faults, path_field(where, "name"), variable->name);
        else
            fault_required(faults, path_field(where, "name"), NULL);
        if (variable->valuefrom)
            check_source(faults, path_field(where, "valueFrom"), variable);
    }
    for (size_t i = 0; i < container->n_envfrom; i++)
        check_whole_source(faults, path_field(path, "envFrom"), i, container->envfrom[i]);
}

void validate_file_keys(struct faults *faults, const struct path *path, const struct pod_context *context,
                        const Core__Container *container)
{
    for (size_t i = 0; i < container->n_env; i++) {
        const Core__EnvVarSource *source = container->env[i]->valuefrom;
        const struct path *value = path_field(path_index(path_field(path, "env"), i), "valueFrom");
        const struct path *where = path_field(path_field(value, "fileKeyRef"), "volumeName");
        if (!source || !source->filekeyref)
            continue;
        const char *name = api_text(source->filekeyref->volumename);
        size_t volume = text_set_find(&context->volumes, name);
        if (volume == context->volumes.count)
            fault_not_found(faults, where, name, NULL);
        else if (!context->spec->volumes[volume]->emptydir)
            fault_invalid(faults, where, name, "referenced volume must be of type emptyDir");
    }
}
