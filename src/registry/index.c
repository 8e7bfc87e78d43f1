/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry/index.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

int index_compare(const struct registry_object *object, const char *namespace_, const char *name)
{
    int order = strcmp(object->namespace_, namespace_);
    if (order)
        return order;
    return name ? strcmp(object->name, name) : -1;
}

size_t index_seek(const struct registry_object *const *list, size_t count, const char *namespace_,
                  const char *name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index_compare(list[middle], namespace_, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct object_index *index, size_t at, const char *namespace_, const char *name)
{
    return at < index->count && index_compare(index->list[at], namespace_, name) == 0;
}

const struct registry_object *index_get(const struct object_index *index, const char *namespace_,
                                        const char *name)
{
    size_t at = index_seek(index->list, index->count, namespace_, name);
    return is_at(index, at, namespace_, name) ? index->list[at] : NULL;
}

void index_append(struct object_index *index, const struct registry_object *object)
{
    if (index->count == index->capacity) {
        index->capacity = index->capacity ? index->capacity + index->capacity / 2 : 16;
        index->list = xrealloc(index->list, index->capacity * sizeof(*index->list));
    }
    index->list[index->count++] = object;
}

const struct registry_object *index_put(struct object_index *index, const struct registry_object *object)
{
    size_t at = index_seek(index->list, index->count, object->namespace_, object->name);
    registry_ref(object);
    if (is_at(index, at, object->namespace_, object->name)) {
        const struct registry_object *previous = index->list[at];
        index->list[at] = object;
        return previous;
    }
    index_append(index, object);
    memmove(index->list + at + 1, index->list + at, (index->count - 1 - at) * sizeof(*index->list));
    index->list[at] = object;
    return NULL;
}

const struct registry_object *index_remove(struct object_index *index, const char *namespace_,
                                           const char *name)
{
    size_t at = index_seek(index->list, index->count, namespace_, name);
    if (!is_at(index, at, namespace_, name))
        return NULL;
    const struct registry_object *previous = index->list[at];
    index->count--;
    memmove(index->list + at, index->list + at + 1, (index->count - at) * sizeof(*index->list));
    return previous;
}

static int order(const void *a, const void *b)
{
    const struct registry_object *const *left = a, *const *right = b;
    return index_compare(*left, (*right)->namespace_, (*right)->name);
}

bool index_sort(struct object_index *index)
{
    if (index->count)
        qsort(index->list, index->count, sizeof(*index->list), order);
    for (size_t i = 1; i < index->count; i++)
        if (order(&index->list[i - 1], &index->list[i]) == 0)
            return false;
    return true;
}

void index_done(struct object_index *index)
{
    for (size_t i = 0; i < index->count; i++)
        registry_unref(index->list[i]);
    free(index->list);
    *index = (struct object_index){0};
}
