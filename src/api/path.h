/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"

/* A place inside an object, as a chain of frames on the stack: walking costs nothing, and the text is made
 * only when there is something to say. The root is NULL. One of name, key and index counts, in that order. */
struct path {
    const struct path *parent;
    const char *name; /* ".name" */
    const char *key;  /* "[key]" */
    size_t index;     /* "[7]" */
};

#define path_field(up, field_name) (&(const struct path){.parent = (up), .name = (field_name)})
#define path_key(up, entry_key) (&(const struct path){.parent = (up), .key = (entry_key)})
#define path_index(up, item_index) (&(const struct path){.parent = (up), .index = (item_index)})

/* "spec.ports[0].port", the form of Kubernetes' own errors. "" for the root. */
const char *path_format(const struct path *path, struct arena *arena);
