/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: a message of any kind that carries nothing but a name and a load, and a place for files.
 */
#include "base/arena.h"
#include "registry/registry.h"

#include <string.h>
#include <unistd.h>

/* Where a test makes its folder. What a process wrote outlives it in memory as on a disk, and memory is
 * faster. */
static inline const char *test_folder_root(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static inline ProtobufCMessage *test_message(struct arena *arena, enum api_kind kind, const char *namespace_,
                                             const char *name, const char *load)
{
    const ProtobufCMessageDescriptor *type = api_kind_info(kind)->type;
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    Meta__ObjectMeta *metadata = arena_new(arena, Meta__ObjectMeta);
    Meta__StringEntry *entry = arena_new(arena, Meta__StringEntry);
    type->message_init(message);
    meta__object_meta__init(metadata);
    meta__string_entry__init(entry);
    entry->key = arena_strdup(arena, "load");
    entry->value = arena_strdup(arena, load);
    metadata->name = arena_strdup(arena, name);
    metadata->namespace_ = arena_strdup(arena, namespace_);
    metadata->annotations = arena_array(arena, Meta__StringEntry *, 1);
    metadata->annotations[0] = entry;
    metadata->n_annotations = 1;
    /* metadata is the first field of every kind (api/object.c). */
    memcpy((char *)message + sizeof(*message), &metadata, sizeof(metadata));
    return message;
}

/* The load of a message made so. */
static inline const char *test_load(const ProtobufCMessage *message)
{
    const Meta__ObjectMeta *metadata = api_metadata(message);
    return api_text(api_entry(metadata->annotations, metadata->n_annotations, "load"));
}
