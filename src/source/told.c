/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/told.h"

#include "base/arena.h"
#include "base/slab.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 64
#define NAME_MAX_BYTES 512

static size_t home(const struct told *told, const char *namespace_, const char *name)
{
    unsigned long long hash = hash_bytes(0, namespace_, strlen(namespace_) + 1);
    hash = hash_bytes(hash, name, strlen(name));
    /* FNV's low bits alone are poor. */
    return (size_t)(hash ^ hash >> 29) & (told->capacity - 1);
}

static size_t home_of(const struct told *told, const struct told_entry *entry)
{
    return home(told, entry->names, told_name(entry));
}

static size_t seek(const struct told *told, const char *namespace_, const char *name)
{
    size_t at = home(told, namespace_, name);
    const struct told_entry *entry;
    while ((entry = told->slots[at]) &&
           (strcmp(told_name(entry), name) != 0 || strcmp(entry->names, namespace_) != 0))
        at = (at + 1) & (told->capacity - 1);
    return at;
}

struct told_entry *told_get(const struct told *told, const char *namespace_, const char *name)
{
    return told->capacity ? told->slots[seek(told, namespace_, name)] : NULL;
}

static void grow(struct told *told)
{
    struct told old = *told;
    told->capacity = old.capacity ? 2 * old.capacity : CAPACITY_MIN;
    told->slots = xcalloc(told->capacity, sizeof(struct told_entry *));
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i])
            told->slots[seek(told, old.slots[i]->names, told_name(old.slots[i]))] = old.slots[i];
    free(old.slots);
}

struct told_entry *told_add(struct told *told, const char *namespace_, const char *name)
{
    struct told_entry *entry = told_get(told, namespace_, name);
    size_t namespace_len = strlen(namespace_), name_len = strlen(name);
    if (entry)
        return entry;
    if (told->count >= TOLD_MAX || namespace_len > NAME_MAX_BYTES || name_len > NAME_MAX_BYTES)
        return NULL;
    if (4 * (told->count + 1) > 3 * told->capacity)
        grow(told);
    entry = slab_zalloc(sizeof(*entry) + namespace_len + name_len + 2);
    entry->name_at = (uint16_t)(namespace_len + 1);
    memcpy(entry->names, namespace_, namespace_len + 1);
    memcpy(entry->names + entry->name_at, name, name_len + 1);
    told->slots[seek(told, namespace_, name)] = entry;
    told->count++;
    return entry;
}

/* What follows moves up, so that no search ends early. */
void told_remove(struct told *told, struct told_entry *entry)
{
    size_t mask = told->capacity - 1, gap = seek(told, entry->names, told_name(entry));
    assert(told->slots[gap] == entry);
    for (size_t at = (gap + 1) & mask; told->slots[at]; at = (at + 1) & mask) {
        size_t distance = (at - home_of(told, told->slots[at])) & mask;
        if (distance < ((at - gap) & mask))
            continue;
        told->slots[gap] = told->slots[at];
        gap = at;
    }
    told->slots[gap] = NULL;
    told->count--;
    slab_free(entry);
}

void told_forget_versions(struct told *told)
{
    for (size_t i = 0; i < told->capacity; i++)
        if (told->slots[i])
            told->slots[i]->version = 0;
}

struct told_entry **told_unseen(const struct told *told, uint32_t round, size_t *ret_count)
{
    struct told_entry **unseen = xcalloc(told->count + 1, sizeof(struct told_entry *));
    size_t count = 0;
    for (size_t i = 0; i < told->capacity; i++)
        if (told->slots[i] && told->slots[i]->round != round)
            unseen[count++] = told->slots[i];
    *ret_count = count;
    return unseen;
}

void told_done(struct told *told)
{
    for (size_t i = 0; i < told->capacity; i++)
        slab_free(told->slots[i]);
    free(told->slots);
    *told = (struct told){0};
}
