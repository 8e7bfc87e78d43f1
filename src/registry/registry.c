/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/registry.h"

#include "api/wire.h"
#include "base/cleanup.h"
#include "registry/file.h"
#include "registry/history.h"
#include "registry/index.h"
#include "registry/packed.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_EVENTS 16384
#define HISTORY_BYTES ((size_t)32 << 20)
#define OBJECT_BYTES ((size_t)1 << 30)

struct registry {
    struct object_index kinds[API_KIND_COUNT];
    struct history history; /* its end is the present; what is beyond committed is the batch under way */
    uint64_t committed;
    bool is_in_batch;
    struct registry_file *file; /* NULL: memory alone */
    int64_t last_row;
    size_t object_bytes;
    size_t object_bytes_max, history_events, history_bytes;
    struct arena scratch;
    registry_news_fn *news;
    void *context;
};

static const char *slash(const char *namespace_)
{
    return *namespace_ ? "/" : "";
}

static int find_kind(const char *name, enum api_kind *ret)
{
    for (unsigned i = 0; i < API_KIND_COUNT; i++)
        if (strcmp(api_kind_name((enum api_kind)i), name) == 0) {
            *ret = (enum api_kind)i;
            return 0;
        }
    return -ENOENT;
}

static int take_row(void *context, const struct registry_row *row, struct err *err)
{
    struct registry *registry = context;
    enum api_kind kind;
    if (find_kind(row->kind, &kind) < 0)
        return err_set(err, EPROTO,
                       "a later version of fairlead wrote it: objects of kind %s are not known here",
                       row->kind);
    struct registry_object *object =
        packed_from_bytes(kind, row->namespace_, row->name, row->revision, row->data, row->len);
    packed_set_row(object, row->row);
    index_append(&registry->kinds[kind], object);
    registry->object_bytes += packed_size(object);
    if (row->row > registry->last_row)
        registry->last_row = row->row;
    if (row->revision > registry->committed)
        registry->committed = row->revision;
    const ProtobufCMessage *message = registry_decode(object, &registry->scratch);
    const Meta__ObjectMeta *metadata = message ? api_metadata(message) : NULL;
    bool is_right = metadata && row->revision <= INT64_MAX &&
                    strcmp(api_text(metadata->namespace_), row->namespace_) == 0 &&
                    strcmp(api_text(metadata->name), row->name) == 0 &&
                    strtoull(api_text(metadata->resourceversion), NULL, 10) == row->revision;
    arena_reset(&registry->scratch);
    if (!is_right)
        return err_set(err, EUCLEAN, "it is damaged: %s %s%s%s is not what its row says; it is left as it is",
                       row->kind, row->namespace_, slash(row->namespace_), row->name);
    return 0;
}

static int read_file(struct registry *registry, const char *path, struct err *err)
{
    uint64_t removal;
    int code = registry_file_open(&registry->file, path, err);
    if (code == 0)
        code = registry_file_read(registry->file, take_row, registry, &removal, err);
    if (code < 0)
        return code;
    if (removal > registry->committed)
        registry->committed = removal;
    for (unsigned i = 0; i < API_KIND_COUNT; i++)
        if (!index_sort(&registry->kinds[i]))
            return err_set(err, EUCLEAN,
                           "%s is damaged: it has an object of kind %s twice; it is left as it is", path,
                           api_kind_name((enum api_kind)i));
    registry_file_accept(registry->file);
    return 0;
}

int registry_open(struct registry **ret, const struct registry_options *options, struct err *err)
{
    struct registry *registry = xcalloc(1, sizeof(*registry));
    registry->committed = 1;
    registry->history_events = options->history_events ? options->history_events : HISTORY_EVENTS;
    registry->history_bytes = options->history_bytes ? options->history_bytes : HISTORY_BYTES;
    registry->object_bytes_max = options->object_bytes ? options->object_bytes : OBJECT_BYTES;
    int code = options->path ? read_file(registry, options->path, err) : 0;
    history_init(&registry->history, registry->committed);
    if (code < 0) {
        registry_close(registry);
        return code;
    }
    *ret = registry;
    return 0;
}

void registry_close(struct registry *registry)
{
    if (!registry)
        return;
    history_done(&registry->history);
    for (unsigned i = 0; i < API_KIND_COUNT; i++)
        index_done(&registry->kinds[i]);
    registry_file_close(registry->file);
    arena_done(&registry->scratch);
    free(registry);
}

uint64_t registry_revision(const struct registry *registry)
{
    return history_newest(&registry->history);
}

uint64_t registry_oldest(const struct registry *registry)
{
    return registry->history.oldest;
}

uint32_t registry_count(const struct registry *registry, enum api_kind kind)
{
    return (uint32_t)registry->kinds[kind].count;
}

size_t registry_memory(const struct registry *registry)
{
    size_t bytes = registry->object_bytes + registry->history.bytes;
    for (unsigned i = 0; i < API_KIND_COUNT; i++)
        bytes += registry->kinds[i].count * sizeof(*registry->kinds[i].list);
    return bytes;
}

size_t registry_file_size(const struct registry *registry)
{
    return registry->file ? registry_file_bytes(registry->file) : 0;
}

const struct registry_object *registry_get(const struct registry *registry, enum api_kind kind,
                                           const char *namespace_, const char *name)
{
    return index_get(&registry->kinds[kind], namespace_, name);
}

/* Puts an object in its place, and returns the one that was there with the reference on it. */
static const struct registry_object *set_current(struct registry *registry,
                                                 const struct registry_object *object)
{
    const struct registry_object *previous = index_put(&registry->kinds[object->kind], object);
    registry->object_bytes += packed_size(object) - (previous ? packed_size(previous) : 0);
    return previous;
}

static const struct registry_object *unset_current(struct registry *registry,
                                                   const struct registry_object *named)
{
    const struct registry_object *previous =
        index_remove(&registry->kinds[named->kind], named->namespace_, named->name);
    if (previous)
        registry->object_bytes -= packed_size(previous);
    return previous;
}

/* Undoes what is not committed, the last write first. */
static void undo(struct registry *registry)
{
    while (registry_revision(registry) > registry->committed) {
        const struct registry_event *event = history_at(&registry->history, registry_revision(registry));
        registry_unref(event->previous ? set_current(registry, event->previous)
                                       : unset_current(registry, event->object));
        history_drop_newest(&registry->history);
    }
}

static int write_event(struct registry *registry, const struct registry_event *event, struct err *err)
{
    const struct registry_object *object = event->object;
    if (event->type == REGISTRY_DELETED)
        return registry_file_remove(registry->file, packed_row(event->previous), err);
    return registry_file_put(registry->file,
                             &(struct registry_row){packed_row(object), api_kind_name(object->kind),
                                                    object->namespace_, object->name, object->revision,
                                                    object->data, object->len},
                             err);
}

/* All events that are not committed, in one transaction. A removal leaves no row with its revision. */
static int write_events(struct registry *registry, struct err *err)
{
    const struct registry_event *event = NULL;
    int code = registry_file_begin(registry->file, err);
    for (uint64_t at = registry->committed + 1; code == 0 && at <= registry_revision(registry); at++) {
        event = history_at(&registry->history, at);
        code = write_event(registry, event, err);
    }
    if (code == 0 && event->type == REGISTRY_DELETED)
        code = registry_file_set_removal(registry->file, event->revision, err);
    return code < 0 ? code : registry_file_commit(registry->file, err);
}

/* Whoever looks is told of the last write at least. */
static void trim(struct registry *registry)
{
    struct history *history = &registry->history;
    while (history->count > 1 &&
           (history->count > registry->history_events || history->bytes > registry->history_bytes))
        history_drop_oldest(history);
}

void registry_begin(struct registry *registry)
{
    assert(!registry->is_in_batch);
    registry->is_in_batch = true;
}

int registry_commit(struct registry *registry, struct err *err)
{
    assert(registry->is_in_batch);
    registry->is_in_batch = false;
    if (registry_revision(registry) == registry->committed)
        return 0;
    int code = registry->file ? write_events(registry, err) : 0;
    if (code < 0) {
        undo(registry);
        return code;
    }
    registry->committed = registry_revision(registry);
    trim(registry);
    if (registry->news)
        registry->news(registry->context);
    return 0;
}

void registry_rollback(struct registry *registry)
{
    assert(registry->is_in_batch);
    registry->is_in_batch = false;
    undo(registry);
}

/* A write outside a batch is a batch of one. */
static int settle(struct registry *registry, bool is_alone, const struct registry_object *written,
                  struct err *err)
{
    if (!is_alone)
        return 0;
    registry_ref(written);
    int code = registry_commit(registry, err);
    if (code < 0)
        err_prefix(err, code, "%s %s%s%s", api_kind_name(written->kind), written->namespace_,
                   slash(written->namespace_), written->name);
    registry_unref(written);
    return code;
}

static int refuse(const struct registry_object *object, int code, const char *why, struct err *err)
{
    return err_set(err, code, "%s %s%s%s cannot be stored: %s", api_kind_name(object->kind),
                   object->namespace_, slash(object->namespace_), object->name, why);
}

/* What could not be read again would make the whole file unreadable at the next start. */
static int check_object(struct registry *registry, const struct registry_object *object, struct err *err)
{
    struct err why = {0};
    const void *message = wire_unpack_own(api_kind_info(object->kind)->type, object->data, object->len,
                                          &registry->scratch, &why);
    arena_reset(&registry->scratch);
    if (!message)
        return refuse(object, EINVAL, why.text, err);
    if (registry->object_bytes + packed_size(object) <= registry->object_bytes_max)
        return 0;
    const struct registry_object *previous =
        registry_get(registry, object->kind, object->namespace_, object->name);
    if (previous && packed_size(previous) >= packed_size(object))
        return 0;
    return refuse(object, ENOSPC, "the registry is as large as it may become", err);
}

int registry_put(struct registry *registry, enum api_kind kind, ProtobufCMessage *message,
                 const struct registry_object **ret, struct err *err)
{
    bool is_alone = !registry->is_in_batch;
    const Meta__ObjectMeta *metadata = api_metadata(message);
    char *revision_before = metadata ? metadata->resourceversion : NULL;
    struct registry_object *object;
    int code = packed_new(&object, kind, message, registry_revision(registry) + 1, PACKED_MAX, err);
    if (code < 0)
        return code;
    code = check_object(registry, object, err);
    if (code < 0) {
        api_metadata(message)->resourceversion = revision_before;
        registry_unref(object);
        return code;
    }
    registry->is_in_batch = true;
    const struct registry_object *previous = set_current(registry, object);
    packed_set_row(object, previous ? packed_row(previous) : ++registry->last_row);
    history_append(&registry->history, previous ? REGISTRY_MODIFIED : REGISTRY_ADDED, object, previous);
    code = settle(registry, is_alone, object, err);
    if (code < 0)
        api_metadata(message)->resourceversion = revision_before;
    else if (ret)
        *ret = object;
    return code;
}

int registry_delete(struct registry *registry, enum api_kind kind, const char *namespace_, const char *name,
                    const struct registry_object **ret, struct err *err)
{
    bool is_alone = !registry->is_in_batch;
    const struct registry_object *current = registry_get(registry, kind, namespace_, name);
    struct registry_object *object = NULL;
    if (!current)
        return err_set(err, ENOENT, "there is no %s %s%s%s", api_kind_name(kind), namespace_,
                       slash(namespace_), name);
    ProtobufCMessage *message = registry_decode(current, &registry->scratch);
    int code = packed_new(&object, kind, message, registry_revision(registry) + 1, SIZE_MAX, err);
    arena_reset(&registry->scratch);
    if (code < 0)
        return code;
    registry->is_in_batch = true;
    history_append(&registry->history, REGISTRY_DELETED, object, unset_current(registry, current));
    const struct registry_object *last = registry_ref(object);
    code = settle(registry, is_alone, object, err);
    if (code == 0 && ret)
        *ret = steal_pointer(&last);
    registry_unref(last);
    return code;
}

/* The part of a sorted list that the query means. */
static size_t select_range(const struct registry_object *const *list, size_t count,
                           const struct registry_query *query, size_t *ret_first)
{
    size_t first = 0, end = count;
    if (query->namespace_) {
        first = index_seek(list, count, query->namespace_, "");
        end = index_seek(list, count, query->namespace_, NULL);
    }
    if (query->after_name) {
        const char *namespace_ =
            query->after_namespace ? query->after_namespace : api_text(query->namespace_);
        size_t after = index_seek(list, count, namespace_, query->after_name);
        if (after < count && index_compare(list[after], namespace_, query->after_name) == 0)
            after++;
        first = after > first ? after : first;
    }
    *ret_first = first;
    return end > first ? end - first : 0;
}

int registry_list(const struct registry *registry, const struct registry_query *query, size_t limit,
                  const struct registry_object ***ret, size_t *ret_count, size_t *ret_remaining)
{
    const struct object_index *index = &registry->kinds[query->kind];
    const struct registry_object *const *list = index->list;
    cleanup_free const struct registry_object **past = NULL;
    size_t count = index->count, first;
    if (query->revision > registry_revision(registry))
        return -ERANGE;
    if (query->revision && query->revision < registry_oldest(registry))
        return -ESTALE;
    if (query->revision && query->revision < registry_revision(registry))
        list = past = history_undo(&registry->history, query->kind, query->revision, index, &count);
    size_t matching = select_range(list, count, query, &first);
    size_t taken = limit && limit < matching ? limit : matching;
    *ret = xcalloc(taken, sizeof(**ret));
    for (size_t i = 0; i < taken; i++)
        (*ret)[i] = registry_ref(list[first + i]);
    *ret_count = taken;
    if (ret_remaining)
        *ret_remaining = matching - taken;
    return 0;
}

void registry_list_free(const struct registry_object **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        registry_unref(list[i]);
    free(list);
}

int registry_next(struct registry *registry, uint64_t *cursor, enum api_kind kind,
                  struct registry_event **ret)
{
    if (*cursor < registry_oldest(registry))
        return -ESTALE;
    while (*cursor < registry->committed) {
        struct registry_event *event = history_at(&registry->history, ++*cursor);
        if (event->object->kind == kind) {
            *ret = event;
            return 1;
        }
    }
    return 0;
}

void registry_note_cache(struct registry *registry, struct registry_event *event, size_t bytes)
{
    event->cache_bytes += bytes;
    registry->history.bytes += bytes;
}

void registry_set_cache_free(struct registry *registry, void (*free_cache)(void *cache))
{
    registry->history.free_cache = free_cache;
}

void registry_on_news(struct registry *registry, registry_news_fn *news, void *context)
{
    registry->news = news;
    registry->context = context;
}
