/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "registry/index.h"

/* The last writes, one event for each revision without a gap, so that a revision is a place in the ring.
 * Holds a reference on the objects that its events name. */
struct history {
    struct registry_event *ring;
    size_t capacity, first, count; /* capacity is a power of two */
    uint64_t oldest;               /* the revision before the first event */
    size_t bytes;                  /* of events and of what they alone keep alive */
    void (*free_cache)(void *cache);
};

void history_init(struct history *history, uint64_t revision);
void history_done(struct history *history);

/* The revision of the last event. */
static inline uint64_t history_newest(const struct history *history)
{
    return history->oldest + history->count;
}
/* The event of a revision in (oldest, newest]. Borrowed until the next append. */
struct registry_event *history_at(const struct history *history, uint64_t revision);
/* Adds the event of the next revision; the caller's references move here. previous may be NULL. */
void history_append(struct history *history, enum registry_event_type type,
                    const struct registry_object *object, const struct registry_object *previous);
/* Takes back the last event, or gives up the first one. There has to be one. */
void history_drop_newest(struct history *history);
void history_drop_oldest(struct history *history);

/* The objects of a kind as they were at a revision that is not before oldest: what is there now, with
 * everything later undone. A list to free(), of borrowed objects. */
const struct registry_object **history_undo(const struct history *history, enum api_kind kind,
                                            uint64_t revision, const struct object_index *now,
                                            size_t *ret_count);
