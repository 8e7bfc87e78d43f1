/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/object.h"
#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

/* The stand-alone world's objects, whole: every write has a revision of its own (one growing number, the
 * resourceVersion), and whoever watches is told of each in order. Objects are in memory, packed as Kubernetes
 * protobuf; with a path they are also in one SQLite file, and a write that returned 0 survives kill -9 and
 * power loss. One thread; nothing here calls back but the news function. */

struct registry;

/* Immutable, counted. data is the packed message (without an envelope), metadata.resourceVersion within. */
struct registry_object {
    uint32_t references;
    enum api_kind kind;
    uint64_t revision;
    const char *namespace_, *name; /* namespace_ "" for cluster-scoped kinds */
    uint32_t len;
    const uint8_t *data;
};

struct registry_options {
    const char *path;        /* the SQLite file, made when missing (mode 0600); NULL: memory alone */
    uint32_t history_events; /* how many revisions a watch may be behind; 0: 16384 */
    size_t history_bytes;    /* a second bound on the same; 0: 32 MiB */
    size_t object_bytes;     /* a bound on what all objects take in memory; 0: 1 GiB */
};

/* Reads everything that the file has. -errno with a sentence that names the file: -EBUSY when another process
 * has it open, -EUCLEAN when it is not ours or damaged, -EPROTO when a later version wrote it; what is
 * refused is left as it was. The process must not open and close the file by other means while the registry
 * is open: that would end SQLite's locks (fcntl_locking(2)). */
int registry_open(struct registry **ret, const struct registry_options *options, struct err *err);
void registry_close(struct registry *registry);

/* The revision of the last write, also of one in a batch under way; starts at 1 in a new registry and never
 * goes back, over restarts too, but for batches that are undone: nobody was told of those. */
uint64_t registry_revision(const struct registry *registry);
/* A watch or an old list may begin at this revision or later. After a start it is registry_revision. */
uint64_t registry_oldest(const struct registry *registry);
uint32_t registry_count(const struct registry *registry, enum api_kind kind);
/* Bytes that objects and history take in memory, and the file with its log on the disk (0 without one). */
size_t registry_memory(const struct registry *registry);
size_t registry_file_size(const struct registry *registry);

/* Borrowed until the next write; registry_ref keeps it. NULL when there is none. */
const struct registry_object *registry_get(const struct registry *registry, enum api_kind kind,
                                           const char *namespace_, const char *name);
const struct registry_object *registry_ref(const struct registry_object *object);
void registry_unref(const struct registry_object *object);
/* The message in the arena; never NULL. */
ProtobufCMessage *registry_decode(const struct registry_object *object, struct arena *arena);

/* Creates or replaces the object that message's metadata names. Sets metadata.resourceVersion in message, to
 * text that is the stored object's: it is good as long as that, and the message is the caller's. Inside a
 * batch nothing is durable, and nobody is told, before registry_commit, but reads see it. *ret (may be NULL)
 * is borrowed. On failure nothing happened, and the sentence names the object: -EIO; -ENOSPC for the disk's
 * room and for object_bytes; -E2BIG beyond 2 MiB packed; -EINVAL without a name, or when it could not be read
 * again (it would take more than WIRE_UNPACK_MAX). */
int registry_put(struct registry *registry, enum api_kind kind, ProtobufCMessage *message,
                 const struct registry_object **ret, struct err *err);
/* Removes; -ENOENT, and -EIO and -ENOSPC as above. *ret (may be NULL, to registry_unref) is the last state
 * with the revision of the removal, as the event has it. */
int registry_delete(struct registry *registry, enum api_kind kind, const char *namespace_, const char *name,
                    const struct registry_object **ret, struct err *err);
/* Many writes that take force together, in one transaction. Batches do not nest. When commit fails everything
 * since begin is undone, revisions included, and the sentence is of the file alone. A batch without writes is
 * nothing. */
void registry_begin(struct registry *registry);
int registry_commit(struct registry *registry, struct err *err);
void registry_rollback(struct registry *registry);

/* Objects of a kind in the order of (namespace, name), bytewise. */
struct registry_query {
    enum api_kind kind;
    const char *namespace_;                   /* NULL: all */
    const char *after_namespace, *after_name; /* begin after this one; after_name NULL: at the beginning */
    uint64_t revision;                        /* as it was at this revision; 0: now */
};
/* *ret is a list to free() with each object referenced (registry_list_free does both). -ESTALE when the
 * revision is older than registry_oldest, -ERANGE when it is in the future. limit 0: all. *ret_remaining: how
 * many more there are after the last one returned. */
int registry_list(const struct registry *registry, const struct registry_query *query, size_t limit,
                  const struct registry_object ***ret, size_t *ret_count, size_t *ret_remaining);
void registry_list_free(const struct registry_object **list, size_t count);

enum registry_event_type { REGISTRY_ADDED, REGISTRY_MODIFIED, REGISTRY_DELETED };
struct registry_event {
    enum registry_event_type type;
    uint64_t revision;
    /* The new state; for DELETED the last one, with this event's revision. */
    const struct registry_object *object;
    const struct registry_object *previous; /* NULL for ADDED */
    /* Of the one reader that wants to keep what it made of the event: see registry_set_cache_free. */
    size_t cache_bytes; /* see registry_note_cache */
    void *cache;
};
/* Pulls: the first event after *cursor (a revision) of the kind, *cursor moves to it, or to the present when
 * there is none. 1: *ret is borrowed until the next write; 0: nothing new; -ESTALE: *cursor is older than the
 * history. */
int registry_next(struct registry *registry, uint64_t *cursor, enum api_kind kind,
                  struct registry_event **ret);
/* event->cache has become so much larger: it counts in the bound of the history, which is kept at the next
 * write. */
void registry_note_cache(struct registry *registry, struct registry_event *event, size_t bytes);
void registry_set_cache_free(struct registry *registry, void (*free_cache)(void *cache));

/* Called after each committed write or batch, before the write returns: it must not write, only note that
 * there is news. */
typedef void registry_news_fn(void *context);
void registry_on_news(struct registry *registry, registry_news_fn *news, void *context);
