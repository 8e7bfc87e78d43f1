/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/endpoint_counts.h"

#include <stdlib.h>
#include <string.h>

struct counted {
    struct address address;
    uint8_t flags; /* enum endpoint_flag */
    bool is_local;
};

static int counted_cmp(const void *a, const void *b)
{
    return address_cmp(&((const struct counted *)a)->address, &((const struct counted *)b)->address);
}

/* Sorts, and leaves each address once. */
static uint32_t unite(struct counted *list, uint32_t count)
{
    uint32_t kept = 0;
    if (count > 1)
        qsort(list, count, sizeof(*list), counted_cmp);
    for (uint32_t i = 0; i < count; i++) {
        if (kept > 0 && address_cmp(&list[kept - 1].address, &list[i].address) == 0) {
            list[kept - 1].flags |= list[i].flags;
            list[kept - 1].is_local |= list[i].is_local;
        } else {
            list[kept++] = list[i];
        }
    }
    return kept;
}

static uint32_t add_set(const struct backend_set *set, struct counted *list, uint32_t count)
{
    for (uint32_t i = 0; set && list && i < set->count; i++)
        list[count + i] = (struct counted){.address = set->list[i].address};
    return count + (set ? set->count : 0);
}

/* The backends of every frontend of the family, into list if there is one; their number. */
static uint32_t add_used(const struct entry *entry, enum family family, struct counted *list)
{
    uint32_t count = 0;
    const struct backend_set *last = NULL, *last_shortcut = NULL;
    for (uint32_t i = 0; entry && i < entry->frontend_count; i++) {
        const struct frontend *frontend = &entry->frontends[i];
        if (frontend->family != family || frontend->is_shadowed)
            continue;
        const struct backend_set *set = frontend_set(frontend);
        /* The frontends of a port share their sets. */
        if (set != last)
            count = add_set(set, list, count);
        if (frontend->shortcut != last_shortcut)
            count = add_set(frontend->shortcut, list, count);
        last = set;
        last_shortcut = frontend->shortcut;
    }
    return count;
}

static uint32_t add_endpoints(struct slice *const *slices, uint32_t slice_count, enum family family,
                              const struct node_view *node, struct counted *list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slice_count; i++) {
        if (slices[i]->family != family)
            continue;
        for (uint32_t j = 0; list && j < slices[i]->endpoint_count; j++) {
            const struct endpoint *endpoint = &slices[i]->endpoints[j];
            list[count + j] = (struct counted){.address = endpoint->address,
                                               .flags = endpoint->flags,
                                               .is_local = endpoint->node && endpoint->node == node->name};
        }
        count += slices[i]->endpoint_count;
    }
    return count;
}

struct endpoint_counts endpoint_counts_of(struct slice *const *slices, uint32_t slice_count,
                                          const struct entry *entry, enum family family,
                                          const struct node_view *node, struct arena *scratch)
{
    struct endpoint_counts counts = {0};
    uint32_t most = add_endpoints(slices, slice_count, family, node, NULL);
    struct counted *list = arena_array(scratch, struct counted, most);
    counts.all = unite(list, add_endpoints(slices, slice_count, family, node, list));
    for (uint32_t i = 0; i < counts.all; i++) {
        counts.ready += (list[i].flags & ENDPOINT_READY) != 0;
        counts.serving += (list[i].flags & ENDPOINT_SERVING) != 0;
        counts.terminating += (list[i].flags & ENDPOINT_TERMINATING) != 0;
        counts.local += (list[i].flags & ENDPOINT_READY) && list[i].is_local;
    }
    most = add_used(entry, family, NULL);
    list = arena_array(scratch, struct counted, most);
    counts.used = unite(list, add_used(entry, family, list));
    return counts;
}
