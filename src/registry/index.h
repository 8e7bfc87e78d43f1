/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "registry/registry.h"

#include <stdbool.h>

/* Objects of one kind in the order of (namespace, name), bytewise. Holds a reference on each. Start from {0}.
 */
struct object_index {
    const struct registry_object **list;
    size_t count, capacity;
};

/* As strcmp: the object against a name; the namespace goes first, and name NULL stands behind all names. */
int index_compare(const struct registry_object *object, const char *namespace_, const char *name);
/* Where the first object stands that is not before the name: in a list in this order. */
size_t index_seek(const struct registry_object *const *list, size_t count, const char *namespace_,
                  const char *name);
/* Borrowed; NULL when there is none. */
const struct registry_object *index_get(const struct object_index *index, const char *namespace_,
                                        const char *name);
/* Takes a reference of its own. Returns what it replaces with the reference on it, NULL when there was none.
 */
const struct registry_object *index_put(struct object_index *index, const struct registry_object *object);
/* Returns what it takes out with the reference on it, NULL when there was none. */
const struct registry_object *index_remove(struct object_index *index, const char *namespace_,
                                           const char *name);
void index_done(struct object_index *index);

/* For many at once: append in any order (the caller's reference moves), then sort. False when two have one
 * name. */
void index_append(struct object_index *index, const struct registry_object *object);
bool index_sort(struct object_index *index);
