/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/registry.h"

#include "api/defaults.h"
#include "base/arena.h"
#include "registry/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A kind that is told of, and the states that the sink has: their names are what a relist is compared with.
 */
struct told_kind {
    enum api_kind kind;
    uint64_t cursor;
    struct object_index told;
};

struct registry_source {
    struct registry *registry;
    struct source_sink sink;
    struct source_status status;
    struct arena scratch; /* one object's */
    bool has_told;        /* since the last settled */
    size_t kind_count;
    struct told_kind kinds[API_KIND_COUNT];
};

static void put(struct registry_source *source, const struct registry_object *object)
{
    ProtobufCMessage *message = registry_decode(object, &source->scratch);
    assert(message);
    /* An earlier version may have stored it with fewer defaults. */
    defaults_apply(object->kind, message, &source->scratch);
    source->sink.put(source->sink.context,
                     &(struct api_object){object->kind, object->namespace_, object->name, message});
    arena_reset(&source->scratch);
}

/* Whatever happened to the object: the sink comes to have what the registry has. */
static void tell(struct registry_source *source, struct told_kind *kind, const char *namespace_,
                 const char *name)
{
    const struct registry_object *now = registry_get(source->registry, kind->kind, namespace_, name);
    const struct registry_object *before = index_get(&kind->told, namespace_, name);
    if (now == before)
        return;
    if (now) {
        put(source, now);
        registry_unref(index_put(&kind->told, now));
    } else {
        source->sink.remove(source->sink.context, kind->kind, before->namespace_, before->name);
        registry_unref(index_remove(&kind->told, namespace_, name));
    }
    source->status.objects[kind->kind] = (uint32_t)kind->told.count;
    source->has_told = true;
}

/* Backwards: what is removed moves only what was looked at already. */
static void relist(struct registry_source *source, struct told_kind *kind)
{
    const struct registry_object **list;
    size_t count;
    kind->cursor = registry_revision(source->registry);
    for (size_t i = kind->told.count; i-- > 0;)
        tell(source, kind, kind->told.list[i]->namespace_, kind->told.list[i]->name);
    registry_list(source->registry, &(struct registry_query){.kind = kind->kind}, 0, &list, &count, NULL);
    for (size_t i = 0; i < count; i++)
        tell(source, kind, list[i]->namespace_, list[i]->name);
    registry_list_free(list, count);
}

int registry_source_open(struct registry_source **ret, struct registry *registry, const enum api_kind *kinds,
                         size_t count, const struct source_sink *sink, struct err *err)
{
    if (count > API_KIND_COUNT)
        return err_set(err, EINVAL, "%zu kinds are more than there are", count);
    struct registry_source *source = xcalloc(1, sizeof(*source));
    source->registry = registry;
    source->sink = *sink;
    source->kind_count = count;
    for (size_t i = 0; i < count; i++) {
        source->kinds[i].kind = kinds[i];
        relist(source, &source->kinds[i]);
    }
    source->has_told = false;
    source->status.generation++;
    *ret = source;
    return 0;
}

void registry_source_close(struct registry_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->kind_count; i++)
        index_done(&source->kinds[i].told);
    arena_done(&source->scratch);
    free(source);
}

void registry_source_pull(struct registry_source *source)
{
    for (size_t i = 0; i < source->kind_count; i++) {
        struct told_kind *kind = &source->kinds[i];
        struct registry_event *event;
        int code;
        while ((code = registry_next(source->registry, &kind->cursor, kind->kind, &event)) > 0)
            tell(source, kind, event->object->namespace_, event->object->name);
        if (code == -ESTALE)
            relist(source, kind);
    }
    if (!source->has_told)
        return;
    source->has_told = false;
    source->status.generation++;
    source->sink.settled(source->sink.context);
}

const struct source_status *registry_source_status(const struct registry_source *source)
{
    return &source->status;
}
