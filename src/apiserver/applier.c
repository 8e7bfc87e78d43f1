/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/applier.h"

#include "api/wire.h"
#include "apiserver/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* An object of the folder, and what of it was ours when it was last applied. */
struct applied {
    UT_hash_handle hh;
    unsigned long long fields; /* hash of our entries in managedFields; 0: not applied */
    bool is_ours;              /* it was applied at least once: it goes when the folder no longer has it */
    char key[];                /* "Service/default/web" */
};

struct applier {
    const struct world *world;
    struct applied *objects;
    uint64_t cursors[API_KIND_COUNT];
    void (*complain)(void *context, bool is_refusal, const char *sentence);
    void *context;
};

static void say(struct applier *applier, bool is_refusal, struct arena *arena, const char *key,
                const char *what)
{
    applier->complain(applier->context, is_refusal, arena_printf(arena, "%s: %s", key, what));
}

static const char *key_of(struct arena *arena, enum api_kind kind, const char *namespace_, const char *name)
{
    return arena_printf(arena, "%s/%s%s%s", api_kind_name(kind), namespace_, *namespace_ ? "/" : "", name);
}

static struct applied *find(struct applier *applier, const char *key)
{
    struct applied *object;
    HASH_FIND_STR(applier->objects, key, object);
    return object;
}

static bool is_ours(const Meta__ManagedFieldsEntry *entry)
{
    return strcmp(api_text(entry->manager), APPLIER_MANAGER) == 0;
}

/* What we own of an object, as one number; 0: nothing. */
static unsigned long long our_fields(const Meta__ObjectMeta *metadata)
{
    unsigned long long hash = 0;
    for (size_t i = 0; i < metadata->n_managedfields; i++) {
        const Meta__ManagedFieldsEntry *entry = metadata->managedfields[i];
        if (is_ours(entry) && entry->fieldsv1)
            hash = hash_bytes(hash, entry->fieldsv1->raw.data, entry->fieldsv1->raw.len);
    }
    return hash;
}

static const struct resource *resource_of(enum api_kind kind)
{
    for (size_t i = 0; i < resource_count; i++)
        if (resources[i].kind == kind)
            return &resources[i];
    return NULL;
}

static struct write begin(struct applier *applier, const struct target *target, struct arena *arena,
                          struct outcome *outcome)
{
    static const struct write_options options = {.manager = APPLIER_MANAGER,
                                                 .field_validation = FIELD_VALIDATION_IGNORE};
    *outcome = (struct outcome){0};
    return (struct write){applier->world, target, &options, arena, outcome};
}

/* The namespace of an object of the folder need not be written down. */
static void ensure_namespace(struct applier *applier, const char *namespace_, struct arena *arena)
{
    if (!*namespace_ || registry_get(applier->world->registry, API_NAMESPACE, "", namespace_))
        return;
    const struct target target = {resource_of(API_NAMESPACE), "", "", ""};
    struct outcome outcome;
    struct write write = begin(applier, &target, arena, &outcome);
    Core__Namespace *made = arena_alloc(arena, sizeof(*made));
    Meta__ObjectMeta *metadata = arena_alloc(arena, sizeof(*metadata));
    core__namespace__init(made);
    meta__object_meta__init(metadata);
    metadata->name = arena_strdup(arena, namespace_);
    made->metadata = metadata;
    verb_create(&write, &made->base);
    if (outcome.status.code)
        say(applier, true, arena, key_of(arena, API_NAMESPACE, "", namespace_), outcome.status.message);
}

static bool has_status(json_t *tree)
{
    json_t *status = json_object_get(tree, "status"), *part;
    const char *key;
    json_object_foreach(status, key, part)
    {
        if (!(json_is_object(part) || json_is_array(part)) ||
            json_object_size(part) + json_array_size(part) > 0)
            return true;
    }
    return false;
}

static bool apply(struct applier *applier, const struct target *target, json_t *tree, const char *key,
                  struct arena *arena)
{
    struct outcome outcome;
    struct write write = begin(applier, target, arena, &outcome);
    verb_patch(&write, PATCH_APPLY, tree);
    if (outcome.status.code == 409)
        say(applier, true, arena, key,
            arena_printf(arena,
                         "somebody else has changed what the folder says, so the folder's version is not "
                         "applied: %s",
                         outcome.status.message));
    else if (outcome.status.code)
        say(applier, true, arena, key, outcome.status.message);
    for (size_t i = 0; i < outcome.warning_count; i++)
        say(applier, false, arena, key, outcome.warnings[i]);
    return outcome.status.code == 0;
}

static void note(struct applier *applier, const char *key, const struct api_object *object, bool is_applied,
                 struct arena *arena)
{
    struct applied *applied = find(applier, key);
    const struct registry_object *stored =
        registry_get(applier->world->registry, object->kind, object->namespace_, object->name);
    if (!applied) {
        applied = xcalloc(1, sizeof(*applied) + strlen(key) + 1);
        strcpy(applied->key, key);
        HASH_ADD_STR(applier->objects, key, applied);
    }
    applied->fields = stored ? our_fields(api_metadata(registry_decode(stored, arena))) : 0;
    applied->is_ours |= is_applied || applied->fields;
}

static void on_put(void *context, const struct api_object *object)
{
    struct applier *applier = context;
    struct arena arena;
    arena_init(&arena);
    const char *key = key_of(&arena, object->kind, object->namespace_, object->name);
    struct target target = {resource_of(object->kind), object->namespace_, object->name, ""};
    json_t *tree = wire_tree(object->kind, object->message);
    json_t *status = has_status(tree) ? json_incref(json_object_get(tree, "status")) : NULL;
    json_object_del(tree, "status");
    ensure_namespace(applier, object->namespace_, &arena);
    bool is_applied = apply(applier, &target, tree, key, &arena);
    if (is_applied && status) {
        json_object_del(tree, "spec");
        json_object_set(tree, "status", status);
        target.subresource = "status";
        apply(applier, &target, tree, key, &arena);
    }
    note(applier, key, object, is_applied, &arena);
    json_decref(status);
    json_decref(tree);
    arena_done(&arena);
}

static void delete_object(struct applier *applier, enum api_kind kind, const char *namespace_,
                          const char *name, struct arena *arena)
{
    const struct target target = {resource_of(kind), namespace_, name, ""};
    const struct delete_options options = {0, "", "", ""};
    struct outcome outcome;
    struct write write = begin(applier, &target, arena, &outcome);
    verb_delete(&write, &options);
    if (outcome.status.code && outcome.status.code != 404)
        say(applier, true, arena, key_of(arena, kind, namespace_, name), outcome.status.message);
}

static void on_remove(void *context, enum api_kind kind, const char *namespace_, const char *name)
{
    struct applier *applier = context;
    struct arena arena;
    arena_init(&arena);
    struct applied *applied = find(applier, key_of(&arena, kind, namespace_, name));
    bool is_ours = applied && applied->is_ours;
    if (applied) {
        HASH_DEL(applier->objects, applied);
        free(applied);
    }
    /* What could never be applied is somebody else's. */
    if (is_ours)
        delete_object(applier, kind, namespace_, name, &arena);
    arena_done(&arena);
}

static void on_settled(void *context)
{
}

static void on_complain(void *context, bool is_refusal, const char *sentence)
{
    struct applier *applier = context;
    applier->complain(applier->context, is_refusal, sentence);
}

struct source_sink applier_sink(struct applier *applier)
{
    return (struct source_sink){applier, on_put, on_remove, on_settled, on_complain};
}

/* Objects that an earlier run's folder had. */
static void delete_left_over(struct applier *applier, enum api_kind kind, struct arena *arena)
{
    const struct registry_query query = {.kind = kind};
    const struct registry_object **list;
    size_t count, remaining;
    if (registry_list(applier->world->registry, &query, 0, &list, &count, &remaining) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *key = key_of(arena, kind, list[i]->namespace_, list[i]->name);
        bool is_from_folder = our_fields(api_metadata(registry_decode(list[i], arena))) != 0;
        if (is_from_folder && kind != API_NAMESPACE && !find(applier, key)) {
            say(applier, false, arena, key, "is no longer in the folder and is deleted");
            delete_object(applier, kind, list[i]->namespace_, list[i]->name, arena);
        }
        arena_reset(arena);
    }
    registry_list_free(list, count);
}

void applier_finish_listing(struct applier *applier)
{
    struct arena arena;
    arena_init(&arena);
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        applier->cursors[kind] = registry_revision(applier->world->registry);
        if (applier->objects)
            delete_left_over(applier, (enum api_kind)kind, &arena);
    }
    arena_done(&arena);
}

static const char *last_other_manager(const Meta__ObjectMeta *metadata)
{
    const Meta__ManagedFieldsEntry *last = NULL;
    for (size_t i = 0; i < metadata->n_managedfields; i++) {
        const Meta__ManagedFieldsEntry *entry = metadata->managedfields[i];
        if (!is_ours(entry) && entry->time && (!last || entry->time->seconds >= last->time->seconds))
            last = entry;
    }
    return last ? api_text(last->manager) : "somebody";
}

static void judge(struct applier *applier, const struct registry_event *event, struct arena *arena)
{
    const struct registry_object *object = event->object;
    const char *key = key_of(arena, object->kind, object->namespace_, object->name);
    struct applied *applied = find(applier, key);
    if (!applied)
        return;
    /* What counts is the present: between this event and now the folder may have been applied again. */
    const struct registry_object *now =
        registry_get(applier->world->registry, object->kind, object->namespace_, object->name);
    if (!now) {
        say(applier, false, arena, key,
            "was deleted by somebody else; it comes back when its file is written again");
        applied->fields = 0;
        applied->is_ours = false;
        return;
    }
    const Meta__ObjectMeta *metadata = api_metadata(registry_decode(now, arena));
    unsigned long long fields = our_fields(metadata);
    if (applied->fields && fields != applied->fields)
        say(applier, false, arena, key,
            arena_printf(arena,
                         "\"%s\" changed fields that the folder sets; its values stay until the file and the "
                         "object agree again",
                         last_other_manager(metadata)));
    applied->fields = fields;
}

void applier_pull(struct applier *applier)
{
    struct arena arena;
    arena_init(&arena);
    for (int kind = 0; kind < API_KIND_COUNT; kind++) {
        struct registry_event *event;
        int code;
        while ((code = registry_next(applier->world->registry, &applier->cursors[kind], (enum api_kind)kind,
                                     &event)) > 0) {
            judge(applier, event, &arena);
            arena_reset(&arena);
        }
        if (code < 0)
            applier->cursors[kind] = registry_revision(applier->world->registry);
    }
    arena_done(&arena);
}

struct applier *applier_new(const struct world *world,
                            void (*complain)(void *context, bool is_refusal, const char *sentence),
                            void *context)
{
    struct applier *applier = xcalloc(1, sizeof(*applier));
    applier->world = world;
    applier->complain = complain;
    applier->context = context;
    return applier;
}

void applier_free(struct applier *applier)
{
    struct applied *object, *next;
    if (!applier)
        return;
    HASH_ITER (hh, applier->objects, object, next) {
        HASH_DEL(applier->objects, object);
        free(object);
    }
    free(applier);
}
