/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/managers.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int order_by_identity(const struct manager *a, const struct manager *b)
{
    int order = strcmp(a->name, b->name);
    if (!order)
        order = b->is_applier - a->is_applier;
    if (!order && !a->is_applier)
        order = strcmp(a->api_version, b->api_version);
    return order ? order : strcmp(a->subresource, b->subresource);
}

struct manager *managers_find(const struct managers *managers, const struct manager *wanted)
{
    for (size_t i = 0; i < managers->count; i++)
        if (order_by_identity(&managers->list[i], wanted) == 0)
            return &managers->list[i];
    return NULL;
}

void managers_put(struct field_scope *scope, struct managers *managers, const struct manager *manager)
{
    struct manager *old = managers_find(managers, manager);
    if (old) {
        *old = *manager;
        return;
    }
    if (managers->count == managers->capacity) {
        managers->capacity = 2 * managers->capacity + 8;
        struct manager *list = arena_array(&scope->arena, struct manager, managers->capacity);
        if (managers->count)
            memcpy(list, managers->list, managers->count * sizeof(*list));
        managers->list = list;
    }
    managers->list[managers->count++] = *manager;
}

void managers_remove(struct managers *managers, const struct manager *manager)
{
    struct manager *found = managers_find(managers, manager);
    if (found)
        *found = managers->list[--managers->count];
}

struct managers managers_copy(struct field_scope *scope, const struct managers *managers)
{
    struct managers copy = {.count = managers->count, .capacity = managers->count};
    copy.list = arena_array(&scope->arena, struct manager, copy.count);
    if (copy.count)
        memcpy(copy.list, managers->list, copy.count * sizeof(*copy.list));
    return copy;
}

static int compare_identities(const void *a, const void *b)
{
    return order_by_identity(a, b);
}

void managers_sort(struct managers *managers)
{
    if (managers->count)
        qsort(managers->list, managers->count, sizeof(*managers->list), compare_identities);
}

static const char *member(struct field_scope *scope, json_t *entry, const char *name)
{
    const char *value = json_string_value(json_object_get(entry, name));
    return value ? arena_strdup(&scope->arena, value) : "";
}

static int decode_entry(struct field_scope *scope, json_t *entry, size_t index, struct manager *ret,
                        struct err *err)
{
    const char *operation = member(scope, entry, "operation"),
               *fields_type = member(scope, entry, "fieldsType");
    *ret = (struct manager){.name = member(scope, entry, "manager"),
                            .api_version = member(scope, entry, "apiVersion"),
                            .subresource = member(scope, entry, "subresource"),
                            .time = member(scope, entry, "time"),
                            .is_applier = strcmp(operation, "Apply") == 0};
    if (!ret->is_applier && strcmp(operation, "Update") != 0)
        return err_set(err, EINVAL, "operation must be `Apply` or `Update`");
    if (!*ret->api_version)
        return err_set(err, EINVAL, "apiVersion must not be empty");
    if (!*fields_type)
        return err_set(err, EINVAL, "missing fieldsType in managed fields entry %zu", index);
    if (strcmp(fields_type, "FieldsV1") != 0)
        return err_set(err, EINVAL, "invalid fieldsType \"%s\" in managed fields entry %zu", fields_type,
                       index);
    json_t *fields = json_object_get(entry, "fieldsV1");
    int status = fields ? field_set_decode(scope, fields, &ret->set, err) : 0;
    return status == 0 ? 0 : err_prefix(err, status, "error decoding set");
}

int managers_decode(struct field_scope *scope, json_t *entries, struct managers *ret, struct err *err)
{
    struct managers managers = {0};
    size_t index;
    json_t *entry;
    if (json_array_size(entries) > MANAGERS_MAX)
        return err_set(err, EINVAL, "there are more than %d managed fields entries", MANAGERS_MAX);
    json_array_foreach(entries, index, entry)
    {
        struct manager manager;
        int status = decode_entry(scope, entry, index, &manager, err);
        if (status != 0)
            return status;
        managers_put(scope, &managers, &manager);
    }
    *ret = managers;
    return 0;
}

/* Times are in one form, RFC 3339 in UTC with whole seconds, so that they sort as text; none is the oldest.
 */
static int compare_encoded(const void *a, const void *b)
{
    const struct manager *x = a, *y = b;
    int order = y->is_applier - x->is_applier;
    if (!order)
        order = strcmp(x->time, y->time);
    if (!order)
        order = strcmp(x->name, y->name);
    if (!order)
        order = strcmp(x->api_version, y->api_version);
    return order ? order : strcmp(x->subresource, y->subresource);
}

static json_t *encode_entry(const struct manager *manager)
{
    json_t *entry = json_object();
    if (*manager->name)
        json_object_set_new(entry, "manager", json_string(manager->name));
    json_object_set_new(entry, "operation", json_string(manager->is_applier ? "Apply" : "Update"));
    json_object_set_new(entry, "apiVersion", json_string(manager->api_version));
    if (*manager->time)
        json_object_set_new(entry, "time", json_string(manager->time));
    json_object_set_new(entry, "fieldsType", json_string("FieldsV1"));
    json_object_set_new(entry, "fieldsV1", field_set_encode(manager->set));
    if (*manager->subresource)
        json_object_set_new(entry, "subresource", json_string(manager->subresource));
    return entry;
}

json_t *managers_encode(struct field_scope *scope, const struct managers *managers)
{
    if (managers->count == 0)
        return NULL;
    struct managers sorted = managers_copy(scope, managers);
    qsort(sorted.list, sorted.count, sizeof(*sorted.list), compare_encoded);
    json_t *entries = json_array();
    for (size_t i = 0; i < sorted.count; i++)
        json_array_append_new(entries, encode_entry(&sorted.list[i]));
    return entries;
}

static int compare_age(const void *a, const void *b)
{
    const struct manager *x = a, *y = b;
    int order = strcmp(x->time, y->time);
    return order ? order : order_by_identity(x, y);
}

/* The first updater, oldest first, of the same apiVersion as that at index: -1 when it is that one itself. */
static long first_of_version(const struct managers *updaters, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(updaters->list[i].api_version, updaters->list[index].api_version) == 0)
            return (long)i;
    return -1;
}

void managers_cap(struct field_scope *scope, struct managers *managers)
{
    struct managers updaters = {0};
    for (size_t i = 0; i < managers->count; i++)
        if (!managers->list[i].is_applier)
            managers_put(scope, &updaters, &managers->list[i]);
    if (updaters.count <= MANAGERS_UPDATERS_MAX)
        return;
    qsort(updaters.list, updaters.count, sizeof(*updaters.list), compare_age);
    size_t left = updaters.count;
    for (size_t i = 0; i < updaters.count && left > MANAGERS_UPDATERS_MAX; i++) {
        long first = first_of_version(&updaters, i);
        if (first < 0)
            continue;
        const struct manager *joined = &updaters.list[i];
        struct manager wanted = {
            .name = "ancient-changes", .api_version = joined->api_version, .subresource = ""};
        struct manager bucket = wanted;
        const struct manager *old = managers_find(managers, &wanted);
        bucket.set = field_set_union(scope, joined->set, old ? old->set : updaters.list[first].set);
        bucket.time = joined->time;
        if (!old)
            managers_remove(managers, &updaters.list[first]);
        managers_remove(managers, joined);
        managers_put(scope, managers, &bucket);
        left--;
    }
}

static void add_quoted(const char *string, struct text *text)
{
    cleanup_with(json_decrefp) json_t *value = json_string(string);
    cleanup_free char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    text_add(text, quoted);
}

void manager_format(const struct manager *manager, struct text *text)
{
    add_quoted(manager->name, text);
    if (*manager->subresource) {
        text_add(text, " with subresource ");
        add_quoted(manager->subresource, text);
    }
    if (!manager->is_applier)
        text_printf(text, " using %s", manager->api_version);
}
