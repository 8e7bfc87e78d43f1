/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/manage.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "patch/ownership.h"
#include "patch/patch.h"
#include "patch/tree.h"
#include "patch/typed.h"

#include <errno.h>
#include <string.h>

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define ANNOTATIONS_SIZE_MAX ((size_t)256 << 10) /* apimachinery, TotalAnnotationSizeLimitB */

static json_t *metadata_of(json_t *object)
{
    return json_object_get(object, "metadata");
}

static json_t *managed_fields_of(json_t *object)
{
    return json_object_get(metadata_of(object), "managedFields");
}

/* [] or [{}]. */
static bool is_reset(json_t *entries)
{
    json_t *first = json_array_get(entries, 0);
    bool is_empty = !first || json_is_null(first) || (json_is_object(first) && json_object_size(first) == 0);
    return json_is_array(entries) && json_array_size(entries) <= 1 && is_empty;
}

/* What the client sent, where it says something and can be read; else what is stored, if that can be read. */
static struct managers choose_managers(struct ownership *ownership, json_t *before, json_t *sent)
{
    struct managers managers = {0};
    bool is_subresource = *ownership->actor->subresource;
    if (!is_subresource && is_reset(sent))
        return managers;
    if (is_subresource || managers_decode(&ownership->scope, sent, &managers, NULL) != 0 ||
        managers.count == 0)
        managers_decode(&ownership->scope, managed_fields_of(before), &managers, NULL);
    return managers;
}

void manage_update(json_t *before, json_t *after, const ProtobufCMessageDescriptor *type,
                   const struct manage_actor *actor)
{
    json_t *metadata = metadata_of(after);
    if (!json_is_object(metadata) || tree_is_deeper(after, PATCH_DEPTH_MAX) ||
        tree_is_deeper(before, PATCH_DEPTH_MAX)) {
        json_object_del(metadata, "managedFields");
        return;
    }
    cleanup_with(json_decrefp) json_t *sent = json_incref(managed_fields_of(after));
    json_object_del(metadata, "managedFields");
    struct ownership ownership;
    ownership_init(&ownership, type, actor);
    struct managers managers = choose_managers(&ownership, before, sent);
    /* An object that exists and has no entries was never tracked, or its client wants it so. */
    bool is_tracked = managers.count > 0 || !json_object_get(metadata_of(before), "uid");
    cleanup_with(json_decrefp) json_t *old = before ? json_incref(before) : ownership_empty(type);
    if (is_tracked)
        ownership_update(&ownership, old, after, &managers, actor->manager);
    json_t *entries = managers_encode(&ownership.scope, &managers);
    if (entries)
        json_object_set_new(metadata, "managedFields", entries);
    ownership_done(&ownership);
}

/* --- apply --- */

static const char *text_of(json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

/* "/v1, Kind=Service", as Go prints a group, version and kind. */
static void format_kind(json_t *object, struct text *text)
{
    const char *version = text_of(object, "apiVersion");
    text_printf(text, "%s%s, Kind=%s", strchr(version, '/') ? "" : "/", version, text_of(object, "kind"));
}

static int check_config(struct ownership *ownership, json_t *config, struct err *err)
{
    cleanup_with(text_done) struct text kind = {0};
    const char *name = text_of(metadata_of(config), "name"),
               *namespace_ = text_of(metadata_of(config), "namespace");
    if (tree_is_deeper(config, PATCH_DEPTH_MAX))
        return err_set(err, EBADMSG, "the configuration is nested too deep");
    format_kind(config, &kind);
    if (strcmp(text_of(config, "apiVersion"), ownership->actor->api_version) != 0 ||
        strcmp(text_of(config, "kind"), ownership->root.type->short_name) != 0)
        return err_set(err, EBADMSG, "invalid object type: %s", text_str(&kind));
    if (json_is_array(managed_fields_of(config)))
        return err_set(err, EBADMSG, "metadata.managedFields must be nil");
    int status = typed_check(&ownership->scope, config, &ownership->root, err);
    return status == 0 ? 0
                       : err_prefix(err, status, "failed to create typed patch object (%s/%s; %s)",
                                    namespace_, name, text_str(&kind));
}

/* What client-side apply set and nobody changed since: kubectl may take that over (apimachinery,
 * lastappliedmanager.go). NULL for nothing. */
static const struct field_set *fields_last_applied(struct ownership *ownership, json_t *live)
{
    struct field_scope *scope = &ownership->scope;
    const char *annotation = text_of(json_object_get(metadata_of(live), "annotations"), LAST_APPLIED);
    cleanup_with(json_decrefp) json_t *config = json_loads(annotation, 0, NULL);
    if (!json_is_object(config) || tree_is_deeper(config, PATCH_DEPTH_MAX) ||
        strcmp(text_of(config, "apiVersion"), ownership->actor->api_version) != 0 ||
        strcmp(text_of(config, "kind"), ownership->root.type->short_name) != 0 ||
        typed_check(scope, config, &ownership->root, NULL) != 0)
        return NULL;
    const struct field_set *fields = typed_fields(scope, config, &ownership->root);
    struct typed_change change = typed_compare(scope, config, live, &ownership->root);
    fields = field_set_difference(scope, fields, change.modified);
    fields = field_set_difference(scope, fields, change.added);
    return field_set_difference(scope, fields, change.removed);
}

/* Applies, and lets kubectl have what it had by client-side apply. */
static int apply(struct ownership *ownership, json_t *live, json_t *config, bool is_forced,
                 struct managers *managers, json_t **ret, struct managers *ret_conflicts)
{
    struct managers conflicts = {0}, others = {0};
    int status = ownership_apply(ownership, live, config, is_forced, managers, ret, &conflicts);
    if (status == 0)
        return 0;
    bool is_kubectl = strcmp(ownership->actor->manager, "kubectl") == 0;
    const struct field_set *allowed = is_kubectl ? fields_last_applied(ownership, live) : NULL;
    for (size_t i = 0; i < conflicts.count; i++) {
        struct manager conflict = conflicts.list[i];
        conflict.set = field_set_difference(&ownership->scope, conflict.set, allowed);
        if (conflict.set)
            managers_put(&ownership->scope, &others, &conflict);
    }
    if (others.count == 0)
        return ownership_apply(ownership, live, config, true, managers, ret, &conflicts);
    managers_sort(&others);
    *ret_conflicts = others;
    return status;
}

/* kubectl's annotation follows what it applies, so that client-side apply can go on from there
 * (apimachinery, lastappliedupdater.go). */
static void update_last_applied(json_t *object, json_t *config)
{
    json_t *annotations = json_object_get(metadata_of(object), "annotations");
    if (!*text_of(annotations, LAST_APPLIED))
        return;
    cleanup_with(json_decrefp) json_t *copy = json_deep_copy(config);
    json_object_del(json_object_get(metadata_of(copy), "annotations"), LAST_APPLIED);
    cleanup_free char *dump = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    cleanup_with(text_done) struct text text = {0};
    text_printf(&text, "%s\n", dump);
    json_object_set_new(annotations, LAST_APPLIED, json_string(text_str(&text)));
    size_t size = 0;
    const char *key;
    json_t *value;
    json_object_foreach(annotations, key, value) size += strlen(key) + json_string_length(value);
    if (size > ANNOTATIONS_SIZE_MAX)
        json_object_del(annotations, LAST_APPLIED);
}

struct report { /* conflicts on their way to the caller */
    struct manage_conflicts *conflicts;
    const struct manager *manager;
    size_t capacity;
};

static void add_conflict(void *context, const char *path)
{
    struct report *report = context;
    struct manage_conflicts *conflicts = report->conflicts;
    struct text message = {0};
    if (conflicts->count == report->capacity) {
        report->capacity = 2 * report->capacity + 8;
        conflicts->list = xrealloc(conflicts->list, report->capacity * sizeof(*conflicts->list));
    }
    text_add(&message, "conflict with ");
    manager_format(report->manager, &message);
    conflicts->list[conflicts->count++] = (struct manage_conflict){
        .manager = xstrdup(report->manager->name), .field = xstrdup(path), .message = message.data};
}

static void report_conflicts(const struct managers *managers, struct manage_conflicts *ret)
{
    struct report report = {.conflicts = ret};
    struct text groups = {0};
    for (size_t i = 0; i < managers->count; i++) {
        size_t first = ret->count;
        report.manager = &managers->list[i];
        field_set_visit(report.manager->set, add_conflict, &report);
        text_printf(&groups, "%sconflicts with ", i ? "\n" : "");
        manager_format(report.manager, &groups);
        text_add(&groups, ":");
        for (size_t j = first; j < ret->count; j++)
            text_printf(&groups, "\n- %s", ret->list[j].field);
    }
    if (ret->count == 1)
        text_printf(&ret->message, "Apply failed with 1 conflict: %s: %s", ret->list[0].message,
                    ret->list[0].field);
    else
        text_printf(&ret->message, "Apply failed with %zu conflicts: %s", ret->count, text_str(&groups));
    text_done(&groups);
}

static int read_managers(struct ownership *ownership, json_t *live, struct managers *ret, struct err *err)
{
    if (tree_is_deeper(live, PATCH_DEPTH_MAX))
        return err_set(err, EPROTO, "the object is nested too deep");
    if (managers_decode(&ownership->scope, managed_fields_of(live), ret, err) != 0)
        return err_prefix(err, -EPROTO, "failed to decode managed fields");
    return 0;
}

static json_t *finish(struct ownership *ownership, json_t *live, json_t *merged, json_t *config,
                      const struct managers *managers)
{
    json_t *object = merged ? merged : json_deep_copy(live);
    json_t *metadata = metadata_of(object), *entries = managers_encode(&ownership->scope, managers);
    tree_drop_nulls(object);
    json_object_del(metadata, "managedFields");
    if (entries)
        json_object_set_new(metadata, "managedFields", entries);
    if (strcmp(ownership->actor->manager, "kubectl") == 0)
        update_last_applied(object, config);
    return object;
}

static int apply_to(struct ownership *ownership, json_t *live, json_t *config, bool is_forced, json_t **ret,
                    struct manage_conflicts *ret_conflicts, struct err *err)
{
    struct managers managers = {0}, conflicts = {0};
    json_t *merged = NULL;
    int status = read_managers(ownership, live, &managers, err);
    if (status == 0)
        status = check_config(ownership, config, err);
    if (status != 0)
        return status;
    if (managers.count == 0) {
        cleanup_with(json_decrefp) json_t *nothing = ownership_empty(ownership->root.type);
        ownership_update(ownership, nothing, live, &managers, "before-first-apply");
    }
    status = apply(ownership, live, config, is_forced, &managers, &merged, &conflicts);
    if (status == 0) {
        *ret = finish(ownership, live, merged, config, &managers);
        return 0;
    }
    report_conflicts(&conflicts, ret_conflicts);
    return err_set(err, EEXIST, "%s", text_str(&ret_conflicts->message));
}

int manage_apply(json_t *live, json_t *config, const ProtobufCMessageDescriptor *type,
                 const struct manage_actor *actor, bool is_forced, json_t **ret,
                 struct manage_conflicts *ret_conflicts, struct err *err)
{
    struct ownership ownership;
    ownership_init(&ownership, type, actor);
    cleanup_with(json_decrefp) json_t *object = live ? json_incref(live) : ownership_empty(type);
    int status = apply_to(&ownership, object, config, is_forced, ret, ret_conflicts, err);
    if (status != 0)
        tree_trim_sentence(err);
    ownership_done(&ownership);
    return status;
}

void manage_conflicts_done(struct manage_conflicts *conflicts)
{
    for (size_t i = 0; i < conflicts->count; i++) {
        free(conflicts->list[i].manager);
        free(conflicts->list[i].field);
        free(conflicts->list[i].message);
    }
    free(conflicts->list);
    text_done(&conflicts->message);
    *conflicts = (struct manage_conflicts){0};
}

/* --- times --- */

/* Objects, but for one member of each. */
static bool is_equal_but_for(json_t *a, json_t *b, const char *member)
{
    const char *key;
    json_t *value;
    size_t count_a = json_object_size(a) - (json_object_get(a, member) != NULL);
    size_t count_b = json_object_size(b) - (json_object_get(b, member) != NULL);
    if (!json_is_object(a) || !json_is_object(b) || count_a != count_b)
        return false;
    json_object_foreach(a, key, value) if (strcmp(key, member) != 0 &&
                                           !json_equal(value, json_object_get(b, key))) return false;
    return true;
}

void manage_keep_times(json_t *before, json_t *after)
{
    json_t *old = managed_fields_of(before), *new = managed_fields_of(after);
    if (!json_is_array(old) || json_array_size(old) != json_array_size(new))
        return;
    for (size_t i = 0; i < json_array_size(old); i++)
        if (!is_equal_but_for(json_array_get(old, i), json_array_get(new, i), "time"))
            return;
    if (is_equal_but_for(before, after, "metadata") &&
        is_equal_but_for(metadata_of(before), metadata_of(after), "managedFields"))
        json_object_set_new(metadata_of(after), "managedFields", json_deep_copy(old));
}
