/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store.h"

#include "base/arena.h"
#include "base/slab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 600 /* a namespace of 63, a slash, a name of 253, with room for what validation lets pass */

static size_t key_write(char key[KEY_MAX], const char *namespace_, const char *name)
{
    int len = snprintf(key, KEY_MAX, "%s/%s", namespace_, name);
    return len < KEY_MAX ? (size_t)len : KEY_MAX - 1;
}

bool slice_list_has(const struct slice *slice, uint32_t offset, uint32_t name)
{
    uint32_t count = slice_list_count(slice, offset);
    for (uint32_t i = 1; i <= count; i++)
        if (slice->names[offset + i] == name)
            return true;
    return false;
}

struct store *store_new(void)
{
    struct store *store = xcalloc(1, sizeof(*store));
    store->names = intern_new();
    store->dirty_tail = &store->dirty;
    return store;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    struct slice_record *slice, *next_slice;
    HASH_ITER (hh, store->slices, slice, next_slice) {
        HASH_DEL(store->slices, slice);
        slab_free(slice->slice);
        slab_free(slice);
    }
    struct service_record *record, *next_record;
    HASH_ITER (hh, store->services, record, next_record) {
        HASH_DEL(store->services, record);
        slab_free(record->service);
        slab_free(record->slices);
        slab_free(record->entry);
        slab_free(record->planned);
        slab_free(record);
    }
    struct node_record *node, *next_node;
    HASH_ITER (hh, store->nodes, node, next_node) {
        HASH_DEL(store->nodes, node);
        slab_free(node->node);
        slab_free(node);
    }
    struct service_cidr_record *cidr, *next_cidr;
    HASH_ITER (hh, store->service_cidrs, cidr, next_cidr) {
        HASH_DEL(store->service_cidrs, cidr);
        slab_free(cidr->service_cidr);
        slab_free(cidr);
    }
    intern_free(store->names);
    free(store->triggers);
    free(store);
}

struct service_record *store_service_find(const struct store *store, const char *namespace_, const char *name)
{
    char key[KEY_MAX];
    size_t len = key_write(key, namespace_, name);
    struct service_record *record;
    HASH_FIND(hh, store->services, key, len, record);
    return record;
}

static struct service_record *record_get(struct store *store, const char *namespace_, const char *name)
{
    struct service_record *record = store_service_find(store, namespace_, name);
    if (record)
        return record;
    char key[KEY_MAX];
    size_t len = key_write(key, namespace_, name);
    record = slab_zalloc(sizeof(*record) + len + 1);
    memcpy(record->key, key, len);
    HASH_ADD_KEYPTR(hh, store->services, record->key, len, record);
    return record;
}

void store_mark_dirty(struct store *store, struct service_record *record)
{
    if (record->is_dirty)
        return;
    record->is_dirty = true;
    record->next_dirty = NULL;
    *store->dirty_tail = record;
    store->dirty_tail = &record->next_dirty;
    store->dirty_count++;
}

void store_mark_all_dirty(struct store *store)
{
    for (struct service_record *record = store->services; record; record = record->hh.next)
        store_mark_dirty(store, record);
}

struct service_record *store_take_dirty(struct store *store)
{
    struct service_record *record = store->dirty;
    if (!record)
        return NULL;
    store->dirty = record->next_dirty;
    if (!store->dirty)
        store->dirty_tail = &store->dirty;
    record->is_dirty = false;
    store->dirty_count--;
    return record;
}

void store_record_release(struct store *store, struct service_record *record)
{
    if (record->service || record->slice_count || record->entry || record->is_planned || record->is_dirty)
        return;
    HASH_DEL(store->services, record);
    slab_free(record->slices);
    slab_free(record);
}

void store_service_put(struct store *store, struct service *service)
{
    struct service_record *record = record_get(store, service->namespace_, service->name);
    slab_free(record->service);
    record->service = service;
    store->service_changes++;
    store_mark_dirty(store, record);
}

void store_service_remove(struct store *store, const char *namespace_, const char *name)
{
    struct service_record *record = store_service_find(store, namespace_, name);
    if (!record || !record->service)
        return;
    slab_free(record->service);
    record->service = NULL;
    store->service_changes++;
    store_mark_dirty(store, record);
}

static void detach(struct store *store, struct slice_record *slice)
{
    struct service_record *owner = slice->owner;
    if (!owner)
        return;
    uint32_t at = 0;
    while (owner->slices[at] != slice->slice)
        at++;
    memmove(owner->slices + at, owner->slices + at + 1, (--owner->slice_count - at) * sizeof(*owner->slices));
    slice->owner = NULL;
    store_mark_dirty(store, owner);
}

static void attach(struct store *store, struct slice_record *slice)
{
    if (!*slice->slice->service)
        return;
    struct service_record *owner = record_get(store, slice->slice->namespace_, slice->slice->service);
    struct slice **grown = slab_alloc((owner->slice_count + 1) * sizeof(*grown));
    if (owner->slice_count)
        memcpy(grown, owner->slices, owner->slice_count * sizeof(*grown));
    slab_free(owner->slices);
    owner->slices = grown;
    uint32_t at = owner->slice_count++;
    for (; at > 0 && strcmp(owner->slices[at - 1]->name, slice->slice->name) > 0; at--)
        owner->slices[at] = owner->slices[at - 1];
    owner->slices[at] = slice->slice;
    slice->owner = owner;
    store_mark_dirty(store, owner);
}

void store_forget_triggers(struct store *store)
{
    store->trigger_count = 0;
}

static void note_trigger(struct store *store, const struct slice *slice)
{
    if (!slice->trigger_time_ns)
        return;
    if (store->trigger_count == store->trigger_capacity) {
        store->trigger_capacity = store->trigger_capacity ? store->trigger_capacity * 2 : 16;
        store->triggers = xrealloc(store->triggers, store->trigger_capacity * sizeof(*store->triggers));
    }
    store->triggers[store->trigger_count++] =
        (struct slice_trigger){.time_ns = slice->trigger_time_ns, .family = slice->family};
}

void store_slice_put(struct store *store, struct slice *slice)
{
    char key[KEY_MAX];
    size_t len = key_write(key, slice->namespace_, slice->name);
    struct slice_record *record;
    HASH_FIND(hh, store->slices, key, len, record);
    if (record) {
        detach(store, record);
        slab_free(record->slice);
    } else {
        record = slab_zalloc(sizeof(*record) + len + 1);
        memcpy(record->key, key, len);
        HASH_ADD_KEYPTR(hh, store->slices, record->key, len, record);
    }
    record->slice = slice;
    note_trigger(store, slice);
    store->endpoint_changes++;
    attach(store, record);
}

void store_slice_remove(struct store *store, const char *namespace_, const char *name)
{
    char key[KEY_MAX];
    size_t len = key_write(key, namespace_, name);
    struct slice_record *record;
    HASH_FIND(hh, store->slices, key, len, record);
    if (!record)
        return;
    detach(store, record);
    HASH_DEL(store->slices, record);
    slab_free(record->slice);
    slab_free(record);
    store->endpoint_changes++;
}

const struct node *store_node_find(const struct store *store, const char *name)
{
    struct node_record *record;
    HASH_FIND_STR(store->nodes, name, record);
    return record ? record->node : NULL;
}

void store_node_remove(struct store *store, const char *name)
{
    struct node_record *record;
    HASH_FIND_STR(store->nodes, name, record);
    if (!record)
        return;
    HASH_DEL(store->nodes, record);
    slab_free(record->node);
    slab_free(record);
    store->nodes_changed = true;
}

void store_node_put(struct store *store, struct node *node)
{
    store_node_remove(store, node->name);
    struct node_record *record = slab_zalloc(sizeof(*record));
    record->node = node;
    HASH_ADD_KEYPTR(hh, store->nodes, node->name, strlen(node->name), record);
    store->nodes_changed = true;
}

void store_service_cidr_remove(struct store *store, const char *name)
{
    struct service_cidr_record *record;
    HASH_FIND_STR(store->service_cidrs, name, record);
    if (!record)
        return;
    HASH_DEL(store->service_cidrs, record);
    slab_free(record->service_cidr);
    slab_free(record);
    store->service_cidrs_changed = true;
}

void store_service_cidr_put(struct store *store, struct service_cidr *service_cidr)
{
    store_service_cidr_remove(store, service_cidr->name);
    struct service_cidr_record *record = slab_zalloc(sizeof(*record));
    record->service_cidr = service_cidr;
    HASH_ADD_KEYPTR(hh, store->service_cidrs, service_cidr->name, strlen(service_cidr->name), record);
    store->service_cidrs_changed = true;
}
