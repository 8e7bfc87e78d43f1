/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apiserver/mirrors.h"

#include "apiserver/mirror.h"
#include "apiserver/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum api_kind followed[] = {API_ENDPOINTS, API_SERVICE};
#define FOLLOWED_COUNT (sizeof(followed) / sizeof(*followed))

struct mirrors {
    const struct world *world;
    uint64_t cursors[FOLLOWED_COUNT];
    void (*report)(void *context, const char *sentence);
    void *context;
};

static void complain(struct mirrors *mirrors, const struct outcome *outcome, const char *namespace_,
                     const char *name)
{
    char sentence[512];
    if (outcome->status.code == 0 || outcome->status.code == 404 || !mirrors->report)
        return;
    snprintf(sentence, sizeof(sentence), "Endpoints %s/%s cannot be mirrored: %s", namespace_, name,
             outcome->status.message);
    mirrors->report(mirrors->context, sentence);
}

/* One slice made, replaced or deleted. */
enum change { CHANGE_CREATE, CHANGE_UPDATE, CHANGE_DELETE };

static void write_slice(struct mirrors *mirrors, enum change change, const Discovery__EndpointSlice *slice,
                        const char *name, struct arena *arena)
{
    static const struct write_options options = {.manager = MIRROR_CONTROLLER};
    static const struct delete_options deletion = {-1, "", "", ""};
    const Meta__ObjectMeta *metadata = slice->metadata;
    const struct target target = {resource_find("discovery.k8s.io", "v1", "endpointslices"),
                                  api_text(metadata->namespace_),
                                  change == CHANGE_CREATE ? "" : api_text(metadata->name), ""};
    struct outcome outcome = {0};
    struct write write = {mirrors->world, &target, &options, arena, &outcome};
    ProtobufCMessage *message = (ProtobufCMessage *)&slice->base;
    switch (change) {
    case CHANGE_CREATE:
        verb_create(&write, message);
        break;
    case CHANGE_UPDATE:
        verb_update(&write, message);
        break;
    case CHANGE_DELETE:
        verb_delete(&write, &deletion);
        break;
    }
    complain(mirrors, &outcome, target.namespace_, name);
}

static const Discovery__EndpointSlice **slices_of(const struct mirrors *mirrors, const char *namespace_,
                                                  const char *name, struct arena *arena, size_t *ret_count)
{
    const struct registry_query query = {.kind = API_ENDPOINT_SLICE, .namespace_ = namespace_};
    const struct registry_object **list;
    size_t count, remaining;
    *ret_count = 0;
    if (registry_list(mirrors->world->registry, &query, 0, &list, &count, &remaining) < 0)
        return NULL;
    const Discovery__EndpointSlice **slices = arena_alloc(arena, (count + 1) * sizeof(*slices));
    for (size_t i = 0; i < count; i++) {
        const Discovery__EndpointSlice *slice =
            (const Discovery__EndpointSlice *)registry_decode(list[i], arena);
        if (mirror_is_ours(slice, name))
            slices[(*ret_count)++] = slice;
    }
    registry_list_free(list, count);
    return slices;
}

static void mirror_one(struct mirrors *mirrors, const char *namespace_, const char *name, struct arena *arena)
{
    struct registry *registry = mirrors->world->registry;
    const struct registry_object *endpoints = registry_get(registry, API_ENDPOINTS, namespace_, name);
    const struct registry_object *service = registry_get(registry, API_SERVICE, namespace_, name);
    struct mirror_changes changes;
    size_t count;
    /* Without Endpoints their slices have lost their owner: the collector sees to them. */
    if (!endpoints)
        return;
    const Core__Endpoints *from = (const Core__Endpoints *)registry_decode(endpoints, arena);
    const Core__Service *whose = service ? (const Core__Service *)registry_decode(service, arena) : NULL;
    const Discovery__EndpointSlice **slices = slices_of(mirrors, namespace_, name, arena, &count);
    mirror_reconcile(name, from, whose, slices, count, arena, &changes);
    for (size_t i = 0; i < changes.create_count; i++)
        write_slice(mirrors, CHANGE_CREATE, changes.creates[i], name, arena);
    for (size_t i = 0; i < changes.update_count; i++)
        write_slice(mirrors, CHANGE_UPDATE, changes.updates[i], name, arena);
    for (size_t i = 0; i < changes.delete_count; i++)
        write_slice(mirrors, CHANGE_DELETE, changes.deletes[i], name, arena);
}

/* All Endpoints: at the start, and after the history has left us behind. */
static void mirror_all(struct mirrors *mirrors, struct arena *arena)
{
    const struct registry_query query = {.kind = API_ENDPOINTS};
    const struct registry_object **list;
    size_t count, remaining;
    if (registry_list(mirrors->world->registry, &query, 0, &list, &count, &remaining) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        mirror_one(mirrors, list[i]->namespace_, list[i]->name, arena);
        arena_reset(arena);
    }
    registry_list_free(list, count);
}

void mirrors_pull(struct mirrors *mirrors)
{
    struct arena arena;
    bool is_behind = false;
    arena_init(&arena);
    for (size_t i = 0; i < FOLLOWED_COUNT; i++) {
        struct registry_event *event;
        int code;
        while ((code = registry_next(mirrors->world->registry, &mirrors->cursors[i], followed[i], &event)) >
               0) {
            const struct registry_object *object = registry_ref(event->object);
            mirror_one(mirrors, object->namespace_, object->name, &arena);
            registry_unref(object);
            arena_reset(&arena);
        }
        if (code < 0)
            mirrors->cursors[i] = registry_revision(mirrors->world->registry);
        is_behind |= code < 0;
    }
    if (is_behind)
        mirror_all(mirrors, &arena);
    arena_done(&arena);
}

struct mirrors *mirrors_new(const struct world *world, void (*report)(void *context, const char *sentence),
                            void *context)
{
    struct mirrors *mirrors = xcalloc(1, sizeof(*mirrors));
    struct arena arena;
    *mirrors = (struct mirrors){.world = world, .report = report, .context = context};
    for (size_t i = 0; i < FOLLOWED_COUNT; i++)
        mirrors->cursors[i] = registry_revision(world->registry);
    arena_init(&arena);
    mirror_all(mirrors, &arena);
    arena_done(&arena);
    return mirrors;
}

void mirrors_free(struct mirrors *mirrors)
{
    free(mirrors);
}
