/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* For tests alone: entries from YAML, in a world of one Service "web" with one slice. */
#include "dataplane/nftables/elements.h"
#include "store/test_objects.h"

/* For slab_free. spec is the inside of the Service's spec; with ingress "" it has no status. The node is
 * "here". */
static inline struct entry *test_entry(const char *name, const char *spec, const char *ingress,
                                       const char *endpoints)
{
    struct text yaml = {0};
    struct arena scratch;
    arena_init(&scratch);
    text_printf(&yaml, "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {%s}\n", name, spec);
    if (*ingress)
        text_printf(&yaml, "status: {loadBalancer: {ingress: [%s]}}\n", ingress);
    text_add(&yaml, "---\n");
    text_printf(&yaml, TEST_SLICE("s4", "%s", "IPv4", "{port: 8080}", "%s"), name, endpoints);
    struct store *store = test_store(yaml.data);
    const struct service_record *record = test_record(store, name);
    const struct node_view node = {.name = intern_id(store->names, "here"), .has_family = {true, true}};
    struct entry *entry = entry_build(record->service, record->slices, record->slice_count, &node, &scratch);
    arena_done(&scratch);
    store_free(store);
    text_done(&yaml);
    return entry;
}
