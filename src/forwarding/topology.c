/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "forwarding/topology.h"

#include "base/text.h"
#include "store/store.h"

/* The other name of a label that has two, else NULL. */
static const char *other_name(const char *key)
{
    static const char *const pairs[][2] = {{LABEL_ZONE, LABEL_ZONE_BETA}, {LABEL_REGION, LABEL_REGION_BETA}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        for (size_t name = 0; name < 2; name++)
            if (text_equal(key, pairs[i][name]))
                return pairs[i][1 - name];
    return NULL;
}

static const char *label_of(const struct node_view *node, uint32_t name, const char *key)
{
    const struct node *found =
        node->store && name ? store_node_find(node->store, intern_text(node->store->names, name)) : NULL;
    const char *other = other_name(key);
    if (!found)
        return NULL;
    const char *value = node_label(found, key);
    return value || !other ? value : node_label(found, other);
}

const char *topology_of_node(const struct node_view *node, const char *key)
{
    return label_of(node, node->name, key);
}

static const char *slice_entry(const struct intern *names, const struct slice *slice, uint32_t offset,
                               const char *key)
{
    uint32_t name = intern_find(names, key), count = slice_list_count(slice, offset);
    for (uint32_t i = 1; name && i < count; i += 2)
        if (slice->names[offset + i] == name)
            return intern_text(names, slice->names[offset + i + 1]);
    return NULL;
}

static const char *slice_topology(const struct intern *names, const struct slice *slice,
                                  const struct endpoint *endpoint, const char *key)
{
    if (!slice->topologies)
        return NULL;
    uint32_t offset = slice->topologies[endpoint - slice->endpoints];
    const char *value = slice_entry(names, slice, offset, key), *other = other_name(key);
    return value || !other ? value : slice_entry(names, slice, offset, other);
}

const char *topology_of_endpoint(const struct node_view *node, const struct slice *slice,
                                 const struct endpoint *endpoint, const char *key)
{
    if (!node->store)
        return NULL;
    const struct intern *names = node->store->names;
    if (endpoint->node && text_equal(key, LABEL_HOSTNAME))
        return intern_text(names, endpoint->node);
    if (endpoint->zone && (text_equal(key, LABEL_ZONE) || text_equal(key, LABEL_ZONE_BETA)))
        return intern_text(names, endpoint->zone);
    const char *value = slice_topology(names, slice, endpoint, key);
    return value ? value : label_of(node, endpoint->node, key);
}
