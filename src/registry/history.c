/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/history.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "registry/packed.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

void history_init(struct history *history, uint64_t revision)
{
    *history = (struct history){.oldest = revision};
}

void history_done(struct history *history)
{
    while (history->count)
        history_drop_newest(history);
    free(history->ring);
    *history = (struct history){0};
}

static struct registry_event *event_at(const struct history *history, size_t place)
{
    return &history->ring[(history->first + place) & (history->capacity - 1)];
}

struct registry_event *history_at(const struct history *history, uint64_t revision)
{
    assert(revision > history->oldest && revision <= history_newest(history));
    return event_at(history, (size_t)(revision - history->oldest - 1));
}

/* What goes when the event goes: the state that it ended, and the copy that tells of a removal. */
static size_t event_bytes(const struct registry_event *event)
{
    return sizeof(*event) + (event->previous ? packed_size(event->previous) : 0) +
           (event->type == REGISTRY_DELETED ? packed_size(event->object) : 0) + event->cache_bytes;
}

static void grow(struct history *history)
{
    size_t capacity = history->capacity ? history->capacity * 2 : FIRST_CAPACITY;
    struct registry_event *ring = xcalloc(capacity, sizeof(*ring));
    for (size_t i = 0; i < history->count; i++)
        ring[i] = *event_at(history, i);
    free(history->ring);
    history->ring = ring;
    history->capacity = capacity;
    history->first = 0;
}

void history_append(struct history *history, enum registry_event_type type,
                    const struct registry_object *object, const struct registry_object *previous)
{
    assert(object->revision == history_newest(history) + 1);
    if (history->count == history->capacity)
        grow(history);
    struct registry_event *event = event_at(history, history->count++);
    *event = (struct registry_event){
        .type = type, .revision = object->revision, .object = object, .previous = previous};
    history->bytes += event_bytes(event);
}

static void drop(struct history *history, struct registry_event *event)
{
    history->bytes -= event_bytes(event);
    if (event->cache && history->free_cache)
        history->free_cache(event->cache);
    registry_unref(event->object);
    registry_unref(event->previous);
    *event = (struct registry_event){0};
    history->count--;
}

void history_drop_newest(struct history *history)
{
    assert(history->count > 0);
    drop(history, event_at(history, history->count - 1));
}

void history_drop_oldest(struct history *history)
{
    assert(history->count > 0);
    drop(history, event_at(history, 0));
    history->first = (history->first + 1) & (history->capacity - 1);
    history->oldest++;
}

/* By name, and the earliest event of each name first. */
static int order(const void *a, const void *b)
{
    const struct registry_event *left = *(const struct registry_event *const *)a;
    const struct registry_event *right = *(const struct registry_event *const *)b;
    int names = index_compare(left->object, right->object->namespace_, right->object->name);
    return names ? names : (left->revision > right->revision) - (left->revision < right->revision);
}

/* The first event after the revision for each object of the kind that changed since, in the order of names.
 */
static struct registry_event **first_changes(const struct history *history, enum api_kind kind,
                                             uint64_t revision, size_t *ret_count)
{
    size_t count = 0, kept = 0;
    struct registry_event **events = xcalloc((size_t)(history_newest(history) - revision), sizeof(*events));
    for (uint64_t later = revision + 1; later <= history_newest(history); later++) {
        struct registry_event *event = history_at(history, later);
        if (event->object->kind == kind)
            events[count++] = event;
    }
    if (count)
        qsort(events, count, sizeof(*events), order);
    for (size_t i = 0; i < count; i++) {
        const struct registry_object *last = kept ? events[kept - 1]->object : NULL;
        if (!last || index_compare(last, events[i]->object->namespace_, events[i]->object->name) != 0)
            events[kept++] = events[i];
    }
    *ret_count = kept;
    return events;
}

const struct registry_object **history_undo(const struct history *history, enum api_kind kind,
                                            uint64_t revision, const struct object_index *now,
                                            size_t *ret_count)
{
    size_t change_count, count = 0, at = 0;
    cleanup_free struct registry_event **changes = first_changes(history, kind, revision, &change_count);
    const struct registry_object **list = xcalloc(now->count + change_count, sizeof(*list));
    for (size_t i = 0; i < change_count; i++) {
        const struct registry_object *named = changes[i]->object;
        while (at < now->count && index_compare(now->list[at], named->namespace_, named->name) < 0)
            list[count++] = now->list[at++];
        if (at < now->count && index_compare(now->list[at], named->namespace_, named->name) == 0)
            at++;
        if (changes[i]->previous)
            list[count++] = changes[i]->previous;
    }
    while (at < now->count)
        list[count++] = now->list[at++];
    *ret_count = count;
    return list;
}
