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

static int label_order(const void *key, const void *label)
{
    return strcmp(key, ((const struct node_label *)label)->key);
}

const char *node_label(const struct node *node, const char *key)
{
    const struct node_label *found =
        node->label_count ? bsearch(key, node->labels, node->label_count, sizeof(*node->labels), label_order)
                          : NULL;
    return found ? found->value : NULL;
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

void store_mark_topology_dirty(struct store *store)
{
    if (store->topology_service_count == 0)
        return;
    for (struct service_record *record = store->services; record; record = record->hh.next)
        if (record->service && record->service->topology_key_count)
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

static void replace_service(struct store *store, struct service_record *record, struct service *service)
{
    store->topology_service_count -= record->service && record->service->topology_key_count > 0;
    store->topology_service_count += service && service->topology_key_count > 0;
    slab_free(record->service);
    record->service = service;
    store->service_changes++;
    store_mark_dirty(store, record);
}

void store_service_put(struct store *store, struct service *service)
{
    replace_service(store, record_get(store, service->namespace_, service->name), service);
}

void store_service_remove(struct store *store, const char *namespace_, const char *name)
{
    struct service_record *record = store_service_find(store, namespace_, name);
    if (record && record->service)
        replace_service(store, record, NULL);
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

static void note_trigger(struct store *store, const struct slice_record *record)
{
    const struct slice *slice = record->slice;
    if (!slice->trigger_time_ns || !record->owner || store->trigger_count == STORE_TRIGGERS_MAX)
        return;
    if (store->trigger_count == store->trigger_capacity) {
        store->trigger_capacity = store->trigger_capacity ? store->trigger_capacity * 2 : 16;
        store->triggers = xrealloc(store->triggers, store->trigger_capacity * sizeof(*store->triggers));
    }
    store->triggers[store->trigger_count++] = (struct slice_trigger){
        .time_ns = slice->trigger_time_ns, .owner = record->owner, .family = slice->family};
}

static void forget_triggers_of(struct store *store, const struct slice_record *record)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < store->trigger_count; i++)
        if (store->triggers[i].owner != record->owner || store->triggers[i].family != record->slice->family)
            store->triggers[kept++] = store->triggers[i];
    store->trigger_count = kept;
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
    store->endpoint_changes++;
    attach(store, record);
    note_trigger(store, record);
}

void store_slice_remove(struct store *store, const char *namespace_, const char *name)
{
    char key[KEY_MAX];
    size_t len = key_write(key, namespace_, name);
    struct slice_record *record;
    HASH_FIND(hh, store->slices, key, len, record);
    if (!record)
        return;
    if (record->owner)
        forget_triggers_of(store, record);
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

/* A node that is not there has no labels. */
static bool has_same_labels(const struct node *a, const struct node *b)
{
    uint32_t a_count = a ? a->label_count : 0, b_count = b ? b->label_count : 0;
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0)
            return false;
    return true;
}

/* Puts node, or nothing when it is NULL, where record's was; record may be NULL. */
static void replace_node(struct store *store, struct node_record *record, struct node *node)
{
    store->nodes_changed = true;
    store->node_labels_changed |= !has_same_labels(record ? record->node : NULL, node);
    if (record) {
        HASH_DEL(store->nodes, record);
        slab_free(record->node);
        slab_free(record);
    }
    if (!node)
        return;
    record = slab_zalloc(sizeof(*record));
    record->node = node;
    HASH_ADD_KEYPTR(hh, store->nodes, node->name, strlen(node->name), record);
}

void store_node_put(struct store *store, struct node *node)
{
    struct node_record *record;
    HASH_FIND_STR(store->nodes, node->name, record);
    replace_node(store, record, node);
}

void store_node_remove(struct store *store, const char *name)
{
    struct node_record *record;
    HASH_FIND_STR(store->nodes, name, record);
    if (record)
        replace_node(store, record, NULL);
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
