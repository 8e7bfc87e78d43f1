/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/names.h"
#include "api/validate.h"

#include <stdlib.h>
#include <string.h>

#define ANNOTATIONS_BYTES_MAX ((size_t)256 * 1024)

void validate_labels(struct faults *faults, const struct path *path, Meta__StringEntry *const *labels,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_qualified_name(faults, path, api_text(labels[i]->key));
        check_label_value(faults, path, api_text(labels[i]->value));
    }
}

static void validate_annotations(struct faults *faults, const struct path *path,
                                 Meta__StringEntry *const *annotations, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        check_annotation_key(faults, path, api_text(annotations[i]->key));
        bytes += strlen(api_text(annotations[i]->key)) + strlen(api_text(annotations[i]->value));
    }
    if (bytes > ANNOTATIONS_BYTES_MAX)
        fault_too_long(faults, path, (unsigned)ANNOTATIONS_BYTES_MAX);
}

static void validate_owner(struct faults *faults, const struct path *path, const Meta__OwnerReference *owner)
{
    const char *version = api_text(owner->apiversion);
    const char *slash = strchr(version, '/');
    if (!*version)
        fault_required(faults, path_field(path, "apiVersion"), "must not be empty");
    else if (slash && (slash[1] == '\0' || strchr(slash + 1, '/')))
        fault_invalid(faults, path_field(path, "apiVersion"), version,
                      "must be <group>/<version> or <version>");
    if (!*api_text(owner->kind))
        fault_required(faults, path_field(path, "kind"), "must not be empty");
    if (!*api_text(owner->name))
        fault_required(faults, path_field(path, "name"), "must not be empty");
    if (!*api_text(owner->uid))
        fault_required(faults, path_field(path, "uid"), "must not be empty");
}

void validate_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                       validate_name_fn *check_name)
{
    const struct path *path = path_field(NULL, "metadata");
    const char *name = api_text(metadata->name), *namespace = api_text(metadata->namespace_);
    if (!*name)
        fault_required(faults, path_field(path, "name"), "name or generateName is required");
    else
        check_name(faults, path_field(path, "name"), name);
    if (is_namespaced && !*namespace)
        fault_required(faults, path_field(path, "namespace"), NULL);
    else if (is_namespaced)
        check_dns_label(faults, path_field(path, "namespace"), namespace);
    else if (*namespace)
        fault_forbidden(faults, path_field(path, "namespace"), "not allowed on this type");
    if (metadata->generation < 0)
        fault_invalid_number(faults, path_field(path, "generation"), metadata->generation,
                             "must be greater than or equal to 0");
    validate_labels(faults, path_field(path, "labels"), metadata->labels, metadata->n_labels);
    validate_annotations(faults, path_field(path, "annotations"), metadata->annotations,
                         metadata->n_annotations);
    for (size_t i = 0; i < metadata->n_ownerreferences; i++)
        validate_owner(faults, path_index(path_field(path, "ownerReferences"), i),
                       metadata->ownerreferences[i]);
    for (size_t i = 0; i < metadata->n_finalizers; i++)
        check_qualified_name(faults, path_field(path, "finalizers"), metadata->finalizers[i]);
}

struct keyed {
    const char *key;
    size_t index;
};

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

const bool *validate_duplicates(struct arena *arena, const char *const *keys, size_t count)
{
    if (count < 2)
        return NULL;
    struct keyed *sorted = arena_array(arena, struct keyed, count);
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (keys[i])
            sorted[used++] = (struct keyed){keys[i], i};
    if (used < 2)
        return NULL;
    qsort(sorted, used, sizeof(*sorted), compare_keyed);
    bool *repeated = NULL;
    for (size_t i = 1; i < used; i++) {
        if (strcmp(sorted[i - 1].key, sorted[i].key) != 0)
            continue;
        if (!repeated)
            repeated = arena_array(arena, bool, count);
        repeated[sorted[i].index] = true;
    }
    return repeated;
}
