/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dataplane/nftables/nftables.h"

#include <stdlib.h>

/* The table's text form, near to what `nft list table` prints of it. The same books and lists as load makes.
 */

static void type_format(const struct set_schema *schema, enum family family, struct text *ret)
{
    const char *address = family == FAMILY_IPV4 ? "ipv4_addr" : "ipv6_addr";
    text_add(ret, "\t\ttype ");
    for (int i = 0; i < KEY_FIELDS_MAX && schema->key[i] != FIELD_NONE; i++) {
        enum field field = schema->key[i];
        text_printf(ret, "%s%s", i ? " . " : "",
                    field == FIELD_DADDR || field == FIELD_SADDR ? address
                    : field == FIELD_PROTOCOL                    ? "inet_proto"
                    : field == FIELD_DPORT                       ? "inet_service"
                                                                 : "classid");
    }
    if (schema->data == DATA_VALUE)
        text_add(ret, " : classid");
    if (schema->data == DATA_ENDPOINT)
        text_printf(ret, " : %s . inet_service", address);
    if (schema->data == DATA_VERDICT)
        text_add(ret, " : verdict");
    text_add(ret, "\n");
    if (schema->is_interval)
        text_add(ret, "\t\tflags interval\n");
    if (schema->is_dynamic)
        text_printf(ret, "\t\tsize %u\n\t\tflags dynamic,timeout\n", schema->size);
}

static void set_format(enum set_id set, enum family family, const struct element_list *elements,
                       struct text *ret)
{
    const struct set_schema *schema = set_schema(set);
    bool has_element = false;
    text_printf(ret, "\t%s %s {\n", schema->data == DATA_NONE ? "set" : "map", schema->name);
    type_format(schema, family, ret);
    for (uint32_t i = 0; i < elements->count; i++) {
        if (elements->list[i].set != set || elements->list[i].family != family)
            continue;
        text_add(ret, has_element ? ",\n\t\t\t     " : "\t\telements = { ");
        element_format(&elements->list[i], ret);
        has_element = true;
    }
    text_add(ret, has_element ? " }\n\t}\n\n" : "\t}\n\n");
}

static int element_order(const void *a, const void *b)
{
    return element_cmp(a, b);
}

static int chain_order(const void *a_, const void *b_)
{
    const struct counted_chain *a = *(const struct counted_chain *const *)a_,
                               *b = *(const struct counted_chain *const *)b_;
    return text_cmp(a->key.name, b->key.name);
}

static void made_chains_format(const struct state *state, enum family family, struct arena *arena,
                               struct text *ret)
{
    size_t count = 0;
    const struct counted_chain **list =
        arena_array(arena, const struct counted_chain *, HASH_COUNT(state->chains));
    for (const struct counted_chain *made = state->chains; made; made = made->hh.next)
        if (made->key.family == (uint32_t)family)
            list[count++] = made;
    if (count > 1)
        qsort(list, count, sizeof(*list), chain_order);
    for (size_t i = 0; i < count; i++) {
        struct chain chain = state_build_chain(list[i], arena);
        chain_format(&chain, family, ret);
        text_add(ret, "\n");
    }
}

static void add_counted(const struct element *element, void *context)
{
    element_list_add(context, element);
}

void nftables_render(const struct dataplane_node *node, const struct entry *const *entries, size_t count,
                     struct text *ret)
{
    struct state state = {0};
    struct arena arena;
    arena_init(&arena);
    struct element_list all = {.arena = &arena};
    elements_build_node(node, &all);
    for (size_t i = 0; i < count; i++) {
        struct element_list own = {.arena = &arena}, shared = {.arena = &arena};
        elements_build_own(entries[i], &state.affinity_ids, &own);
        elements_build_shared(entries[i], &shared);
        state_add_entry(&state, &own, &shared, NULL);
        for (uint32_t e = 0; e < own.count; e++)
            element_list_add(&all, &own.list[e]);
    }
    state_visit_counted(&state, add_counted, &all);
    if (all.count > 1)
        qsort(all.list, all.count, sizeof(*all.list), element_order);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        text_printf(ret, "table %s " TABLE_NAME " {\n", family == FAMILY_IPV4 ? "ip" : "ip6");
        for (int set = 0; set < SET_COUNT; set++)
            set_format((enum set_id)set, (enum family)family, &all, ret);
        struct chain_list fixed = rules_build_fixed((enum family)family, node->view, &arena);
        for (unsigned i = 0; i < fixed.count; i++) {
            chain_format(&fixed.list[i], (enum family)family, ret);
            text_add(ret, "\n");
        }
        made_chains_format(&state, (enum family)family, &arena, ret);
        text_add(ret, "}\n");
    }
    state_done(&state);
    arena_done(&arena);
}
