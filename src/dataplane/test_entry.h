/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: entries from YAML by the way that the daemon goes, on the node "here". */
#include "base/slab.h"
#include "forwarding/entry.h"
#include "store/test_objects.h"

/* A Service default/web and its slices: spec is the inside of the Service's spec, ingress that of its status,
 * four and six are endpoints; "" leaves a part out. Every endpoint is asked on port 8080 by TCP. */
struct test_objects {
    const char *spec, *ingress, *four, *six;
};

#define TEST_HERE(address) "{addresses: [\"" address "\"], nodeName: here, conditions: {ready: true}}"
#define TEST_THERE(address) "{addresses: [\"" address "\"], nodeName: there, conditions: {ready: true}}"

/* For slab_free. */
static inline struct entry *test_entry(const struct test_objects *objects, struct node_view *view)
{
    struct text yaml = {0};
    struct arena scratch;
    arena_init(&scratch);
    text_printf(&yaml, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {%s}\n", objects->spec);
    if (*objects->ingress)
        text_printf(&yaml, "status: {loadBalancer: {ingress: [%s]}}\n", objects->ingress);
    text_add(&yaml, "---\n");
    if (*objects->four)
        text_printf(&yaml, TEST_SLICE("four", "web", "IPv4", "{port: 8080}", "%s"), objects->four);
    if (*objects->six)
        text_printf(&yaml, TEST_SLICE("six", "web", "IPv6", "{port: 8080}", "%s"), objects->six);
    struct store *store = test_store(text_str(&yaml));
    const struct service_record *record = test_record(store, "web");
    view->name = intern_id(store->names, "here");
    view->has_family[FAMILY_IPV4] = view->has_family[FAMILY_IPV6] = true;
    struct entry *entry = entry_build(record->service, record->slices, record->slice_count, view, &scratch);
    arena_done(&scratch);
    store_free(store);
    text_done(&yaml);
    return entry;
}
