/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/encode.h"
#include "api/scalar.h"
#include "api/validate_parts.h"

#include <stdlib.h>

#define ANNOTATIONS_BYTES_MAX ((size_t)256 * 1024)
#define MANAGER_BYTES_MAX 128
#define SUBRESOURCE_BYTES_MAX 256
#define ORPHAN_FINALIZER "orphan"
#define FOREGROUND_FINALIZER "foregroundDeletion"

static const struct path metadata_frame = {.name = "metadata"};
static const struct path *const metadata_path = &metadata_frame;

void validate_labels(struct faults *faults, const struct path *path, Meta__StringEntry *const *labels,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_qualified_name(faults, path, api_text(labels[i]->key));
        check_label_value(faults, path, api_text(labels[i]->value));
    }
}

static void check_requirement(struct faults *faults, const struct path *path,
                              const Meta__LabelSelectorRequirement *requirement)
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
    } else {
        fault_invalid(faults, path_field(path, "operator"), relation, "not a valid selector operator");
    }
    check_qualified_name(faults, path_field(path, "key"), api_text(requirement->key));
    for (size_t i = 0; i < requirement->n_values; i++)
        check_label_value(faults, path_index(values, i), requirement->values[i]);
}

void validate_label_selector(struct faults *faults, const struct path *path,
                             const Meta__LabelSelector *selector)
{
    if (!selector)
        return;
    validate_labels(faults, path_field(path, "matchLabels"), selector->matchlabels, selector->n_matchlabels);
    for (size_t i = 0; i < selector->n_matchexpressions; i++)
        check_requirement(faults, path_index(path_field(path, "matchExpressions"), i),
                          selector->matchexpressions[i]);
}

static void check_annotations(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    const struct path *path = path_field(metadata_path, "annotations");
    size_t bytes = 0;
    for (size_t i = 0; i < metadata->n_annotations; i++) {
        const Meta__StringEntry *entry = metadata->annotations[i];
        check_annotation_key(faults, path, api_text(entry->key));
        bytes += strlen(api_text(entry->key)) + strlen(api_text(entry->value));
    }
    if (bytes > ANNOTATIONS_BYTES_MAX)
        fault_too_long(faults, path, (unsigned)ANNOTATIONS_BYTES_MAX);
}

static void add_owner(struct text *text, const Meta__OwnerReference *owner, struct arena *arena)
{
    text_printf(text, "{\"apiVersion\":%s,\"kind\":%s,\"name\":%s,\"uid\":%s",
                encode_quoted(api_text(owner->apiversion), arena),
                encode_quoted(api_text(owner->kind), arena), encode_quoted(api_text(owner->name), arena),
                encode_quoted(api_text(owner->uid), arena));
    if (owner->has_controller)
        text_printf(text, ",\"controller\":%s", owner->controller ? "true" : "false");
    if (owner->has_blockownerdeletion)
        text_printf(text, ",\"blockOwnerDeletion\":%s", owner->blockownerdeletion ? "true" : "false");
    text_add(text, "}");
}

/* Upstream's path does not say which one. */
static void check_owner(struct faults *faults, const struct path *path, const Meta__OwnerReference *owner)
{
    const char *version = api_text(owner->apiversion);
    const char *slash = strchr(version, '/');
    bool is_malformed = slash && (slash[1] == '\0' || strchr(slash + 1, '/'));
    if (!*version || is_malformed)
        fault_invalid(faults, path_field(path, "apiVersion"), version, "version must not be empty");
    if (!is_set(owner->kind))
        fault_invalid(faults, path_field(path, "kind"), "", "must not be empty");
    if (!is_set(owner->name))
        fault_invalid(faults, path_field(path, "name"), "", "must not be empty");
    if (!is_set(owner->uid))
        fault_invalid(faults, path_field(path, "uid"), "", "must not be empty");
    if (strcmp(version, "v1") != 0 || !is_text(owner->kind, "Event"))
        return;
    struct text value = {0};
    add_owner(&value, owner, faults->arena);
    fault_invalid_raw(faults, path, arena_strdup(faults->arena, text_str(&value)),
                      "/v1, Kind=Event is disallowed from being an owner");
    text_done(&value);
}

static void fault_two_controllers(struct faults *faults, const Meta__ObjectMeta *metadata,
                                  const Meta__OwnerReference *first, const Meta__OwnerReference *second)
{
    struct text value = {0};
    for (size_t i = 0; !faults_full(faults) && i < metadata->n_ownerreferences; i++) {
        text_add(&value, i ? "," : "[");
        add_owner(&value, metadata->ownerreferences[i], faults->arena);
    }
    text_add(&value, "]");
    const char *detail = arena_printf(faults->arena,
                                      "Only one reference can have Controller set to true. Found \"true\" in "
                                      "references for %s/%s and %s/%s",
                                      api_text(first->kind), api_text(first->name), api_text(second->kind),
                                      api_text(second->name));
    fault_invalid_raw(faults, path_field(metadata_path, "ownerReferences"),
                      arena_strdup(faults->arena, text_str(&value)), detail);
    text_done(&value);
}

static void check_owners(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    const Meta__OwnerReference *controller = NULL;
    for (size_t i = 0; i < metadata->n_ownerreferences; i++) {
        const Meta__OwnerReference *owner = metadata->ownerreferences[i];
        check_owner(faults, path_field(metadata_path, "ownerReferences"), owner);
        if (!owner->controller)
            continue;
        if (controller)
            fault_two_controllers(faults, metadata, controller, owner);
        else
            controller = owner;
    }
}

static void check_finalizers(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    const struct path *path = path_field(metadata_path, "finalizers");
    bool orphans = false, deletes = false;
    for (size_t i = 0; i < metadata->n_finalizers; i++) {
        check_qualified_name(faults, path, metadata->finalizers[i]);
        orphans |= is_text(metadata->finalizers[i], ORPHAN_FINALIZER);
        deletes |= is_text(metadata->finalizers[i], FOREGROUND_FINALIZER);
    }
    if (orphans && deletes)
        fault_invalid_list(faults, path, metadata->finalizers, metadata->n_finalizers,
                           "finalizer " ORPHAN_FINALIZER " and " FOREGROUND_FINALIZER " cannot be both set");
}

/* Control characters, in ASCII and behind it (U+0080 to U+009F); upstream asks Unicode. */
static void check_manager(struct faults *faults, const struct path *path, const char *manager)
{
    if (strlen(manager) > MANAGER_BYTES_MAX)
        fault_too_long(faults, path, MANAGER_BYTES_MAX);
    for (size_t i = 0; manager[i]; i++) {
        unsigned char byte = (unsigned char)manager[i], next = (unsigned char)manager[i + 1];
        unsigned rune = byte == 0xc2 && next < 0xa0 ? next : byte;
        bool is_control = rune < 0x20 || rune == 0x7f || (byte == 0xc2 && rune != byte);
        if (is_control)
            fault_invalid(faults, path, manager,
                          arena_printf(faults->arena, "invalid character U+%04X (at position %zu)", rune, i));
    }
}

static void check_managed_fields(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    for (size_t i = 0; i < metadata->n_managedfields; i++) {
        const Meta__ManagedFieldsEntry *entry = metadata->managedfields[i];
        const struct path *path = path_index(path_field(metadata_path, "managedFields"), i);
        if (!is_text(entry->operation, "Apply") && !is_text(entry->operation, "Update"))
            fault_invalid(faults, path_field(path, "operation"), api_text(entry->operation),
                          "must be `Apply` or `Update`");
        if (is_set(entry->fieldstype) && !is_text(entry->fieldstype, "FieldsV1"))
            fault_invalid(faults, path_field(path, "fieldsType"), entry->fieldstype, "must be `FieldsV1`");
        check_manager(faults, path_field(path, "manager"), api_text(entry->manager));
        if (strlen(api_text(entry->subresource)) > SUBRESOURCE_BYTES_MAX)
            fault_too_long(faults, path_field(path, "subresource"), SUBRESOURCE_BYTES_MAX);
    }
}

void validate_finalizer(struct faults *faults, const struct path *path, const char *name)
{
    if (!strchr(name, '/') && !is_text(name, "kubernetes") && !is_text(name, ORPHAN_FINALIZER) &&
        !is_text(name, FOREGROUND_FINALIZER))
        fault_invalid(faults, path, name,
                      "name is neither a standard finalizer name nor is it fully qualified");
}

static void check_bare_finalizers(struct faults *faults, const Meta__ObjectMeta *metadata)
{
    for (size_t i = 0; i < metadata->n_finalizers; i++)
        validate_finalizer(faults, path_index(path_field(metadata_path, "finalizers"), i),
                           metadata->finalizers[i]);
}

void validate_any_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                           name_rule *rule)
{
    const struct path *path = metadata_path;
    const char *name = api_text(metadata->name), *namespace = api_text(metadata->namespace_);
    if (is_set(metadata->generatename))
        check_prefix_rule(faults, path_field(path, "generateName"), metadata->generatename, rule);
    if (!*name)
        fault_required(faults, path_field(path, "name"), "name or generateName is required");
    else
        check_rule(faults, path_field(path, "name"), name, rule);
    if (is_namespaced && !*namespace)
        fault_required(faults, path_field(path, "namespace"), NULL);
    else if (is_namespaced)
        check_dns_label(faults, path_field(path, "namespace"), namespace);
    else if (*namespace)
        fault_forbidden(faults, path_field(path, "namespace"), "not allowed on this type");
    check_not_negative(faults, path_field(path, "generation"), metadata->generation);
    validate_labels(faults, path_field(path, "labels"), metadata->labels, metadata->n_labels);
    check_annotations(faults, metadata);
    check_owners(faults, metadata);
    check_finalizers(faults, metadata);
    check_managed_fields(faults, metadata);
}

void validate_metadata(struct faults *faults, const Meta__ObjectMeta *metadata, bool is_namespaced,
                       name_rule *rule)
{
    validate_any_metadata(faults, metadata, is_namespaced, rule);
    check_bare_finalizers(faults, metadata);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_new_finalizers(struct faults *faults, const Meta__ObjectMeta *metadata,
                                 const Meta__ObjectMeta *old)
{
    char **added = arena_array(faults->arena, char *, metadata->n_finalizers);
    char **known = arena_array(faults->arena, char *, old->n_finalizers);
    size_t count = 0;
    if (old->n_finalizers)
        memcpy(known, old->finalizers, old->n_finalizers * sizeof(*known));
    qsort(known, old->n_finalizers, sizeof(*known), compare_texts);
    for (size_t i = 0; i < metadata->n_finalizers; i++)
        if (!bsearch(&metadata->finalizers[i], known, old->n_finalizers, sizeof(*known), compare_texts))
            added[count++] = metadata->finalizers[i];
    if (count == 0)
        return;
    qsort(added, count, sizeof(*added), compare_texts);
    struct text list = {0};
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(added[i - 1], added[i]) != 0)
            text_printf(&list, "%s%s", i ? ", " : "", encode_quoted(added[i], faults->arena));
    /* Upstream prints Go's form of the list. */
    fault_forbidden(faults, path_field(metadata_path, "finalizers"),
                    arena_printf(faults->arena,
                                 "no new finalizers can be added if the object is being deleted, found new "
                                 "finalizers []string{%s}",
                                 text_str(&list)));
    text_done(&list);
}

static void check_same_text(struct faults *faults, const char *field, const char *value, const char *old)
{
    if (!is_same_text(value, old))
        fault_invalid(faults, path_field(metadata_path, field), api_text(value), FIELD_IS_IMMUTABLE);
}

static void check_same_time(struct faults *faults, const char *field, const Meta__Time *time,
                            const Meta__Time *old)
{
    int64_t seconds = time ? time->seconds : 0, old_seconds = old ? old->seconds : 0;
    if (seconds == old_seconds)
        return;
    const char *value = "null";
    if (seconds)
        value = arena_printf(faults->arena, "\"%s\"", time_format(seconds, faults->arena));
    fault_invalid_raw(faults, path_field(metadata_path, field), value, FIELD_IS_IMMUTABLE);
}

static void check_same_grace(struct faults *faults, const Meta__ObjectMeta *metadata,
                             const Meta__ObjectMeta *old)
{
    bool has_seconds = metadata->has_deletiongraceperiodseconds;
    long long seconds = metadata->deletiongraceperiodseconds;
    if (has_seconds == (bool)old->has_deletiongraceperiodseconds &&
        (!has_seconds || seconds == old->deletiongraceperiodseconds))
        return;
    fault_invalid_raw(faults, path_field(metadata_path, "deletionGracePeriodSeconds"),
                      has_seconds ? arena_printf(faults->arena, "%lld", seconds) : "null",
                      FIELD_IS_IMMUTABLE);
}

void validate_any_metadata_update(struct faults *faults, const Meta__ObjectMeta *metadata,
                                  const Meta__ObjectMeta *old)
{
    const struct path *path = metadata_path;
    if (old->deletiontimestamp)
        check_new_finalizers(faults, metadata, old);
    if (!is_set(metadata->resourceversion))
        fault_invalid(faults, path_field(path, "resourceVersion"), "", "must be specified for an update");
    if (metadata->generation < old->generation)
        fault_invalid_number(faults, path_field(path, "generation"), metadata->generation,
                             "must not be decremented");
    check_same_text(faults, "name", metadata->name, old->name);
    check_same_text(faults, "namespace", metadata->namespace_, old->namespace_);
    check_same_text(faults, "uid", metadata->uid, old->uid);
    check_same_time(faults, "creationTimestamp", metadata->creationtimestamp, old->creationtimestamp);
    check_same_time(faults, "deletionTimestamp", metadata->deletiontimestamp, old->deletiontimestamp);
    check_same_grace(faults, metadata, old);
    validate_labels(faults, path_field(path, "labels"), metadata->labels, metadata->n_labels);
    check_annotations(faults, metadata);
    check_owners(faults, metadata);
    check_managed_fields(faults, metadata);
}

void validate_metadata_update(struct faults *faults, const Meta__ObjectMeta *metadata,
                              const Meta__ObjectMeta *old)
{
    validate_any_metadata_update(faults, metadata, old);
    check_bare_finalizers(faults, metadata);
}

bool validate_supported(struct faults *faults, const struct path *path, const char *value,
                        const char *const *supported)
{
    for (size_t i = 0; supported[i]; i++)
        if (is_text(value, supported[i]))
            return true;
    fault_unsupported(faults, path, api_text(value), supported);
    return false;
}

bool validate_choice(struct faults *faults, const struct path *path, const char *value,
                     const char *const *supported)
{
    if (is_set(value))
        return validate_supported(faults, path, value, supported);
    fault_required(faults, path, NULL);
    return false;
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
