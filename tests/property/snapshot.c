/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

static int element_order(const void *a, const void *b)
{
    return element_cmp(a, b);
}

static int chain_order(const void *a, const void *b)
{
    return strcmp(((const struct kernel_chain *)a)->name, ((const struct kernel_chain *)b)->name);
}

static void take_element(const struct element *element, void *context)
{
    element_list_add(context, element);
}

int snapshot_take(struct snapshot *snapshot, struct kernel *kernel, struct err *err)
{
    *snapshot = (struct snapshot){0};
    arena_init(&snapshot->arena);
    snapshot->elements.arena = &snapshot->arena;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        struct kernel_table *table = &snapshot->tables[family];
        int code = readback_table(kernel, (enum family)family, &snapshot->arena, table, err);
        for (int set = 0; code == 0 && table->is_there && set < SET_COUNT; set++)
            if (set != SET_AFFINITY)
                code = readback_set(kernel, (enum family)family, (enum set_id)set, take_element,
                                    &snapshot->elements, err);
        if (code < 0)
            return code;
        if (table->chain_count > 1)
            qsort(table->chains, table->chain_count, sizeof(*table->chains), chain_order);
    }
    if (snapshot->elements.count > 1)
        qsort(snapshot->elements.list, snapshot->elements.count, sizeof(struct element), element_order);
    return 0;
}

void snapshot_done(struct snapshot *snapshot)
{
    arena_done(&snapshot->arena);
}

static const struct element *find(const struct element_list *list, const struct element *key)
{
    return list->count ? bsearch(key, list->list, list->count, sizeof(*key), element_order) : NULL;
}

const struct element *snapshot_find(const struct snapshot *snapshot, const struct element *key)
{
    return find(&snapshot->elements, key);
}

static bool complain(struct text *words, const char *what, const struct element *element)
{
    text_printf(words, "%s: %s %s { ", what, family_name(element->family), set_schema(element->set)->name);
    element_format(element, words);
    text_add(words, " }");
    return true;
}

static bool lacks_verdict(const struct snapshot *snapshot, const struct element *value, enum set_id set)
{
    struct element verdict = {.family = value->family, .set = set};
    memcpy(verdict.key, value->data, sizeof(uint32_t));
    return set != 0 && !find(&snapshot->elements, &verdict);
}

static bool lacks_slot(const struct snapshot *snapshot, const struct element *value)
{
    uint32_t number = element_value(value);
    struct element slot = {.family = value->family};
    unsigned len = set_key_len(value->set, value->family);
    slot.set = set_schema(value->set)->is_for_node_port ? SET_NODE_ENDPOINTS : SET_ENDPOINTS;
    memcpy(slot.key, value->key, len);
    for (uint32_t i = 0; value_is_pick(number) && i < (number & VALUE_COUNT_MASK); i++) {
        uint32_t at = i + (number & VALUE_SHORTCUT ? SHORTCUT_SLOT_OFFSET : 0);
        memcpy(slot.key + len, &at, sizeof(at));
        if (!find(&snapshot->elements, &slot))
            return true;
    }
    return false;
}

bool snapshot_has_gap(const struct snapshot *snapshot, struct text *words)
{
    for (uint32_t i = 0; i < snapshot->elements.count; i++) {
        const struct element *element = &snapshot->elements.list[i];
        const struct set_schema *schema = set_schema(element->set);
        if (!schema->verdicts)
            continue;
        if (lacks_slot(snapshot, element))
            return complain(words, "a slot is missing behind", element);
        if (lacks_verdict(snapshot, element, schema->verdicts) ||
            lacks_verdict(snapshot, element, schema->source_verdicts))
            return complain(words, "a verdict is missing for", element);
    }
    return false;
}

bool snapshot_differs_from_wanted(const struct snapshot *snapshot, const struct element_list *wanted,
                                  struct text *words)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        const struct element *element = &wanted->list[i];
        if (element->set == SET_SERVICE_CIDRS)
            continue; /* read back as bounds */
        const struct element *found = find(&snapshot->elements, element);
        if (!found)
            return complain(words, "missing", element);
        if (!element_same_data(found, element))
            return complain(words, "has other data", found) && complain(words, ", wanted", element);
    }
    for (uint32_t i = 0; i < snapshot->elements.count; i++) {
        const struct element *element = &snapshot->elements.list[i];
        enum set_data data = set_schema(element->set)->data;
        bool may_linger =
            set_holds_slots(element->set) || (data == DATA_VERDICT && element->set != SET_AFFINITY_LEARNS);
        if (element->set != SET_SERVICE_CIDRS && !may_linger && !find(wanted, element))
            return complain(words, "left behind", element);
    }
    return false;
}

static int data_order(const void *a, const void *b)
{
    return memcmp(((const struct element *)a)->data, ((const struct element *)b)->data, DATA_MAX);
}

static uint32_t slot_of(const struct element *element)
{
    uint32_t slot;
    memcpy(&slot, element->key + set_key_len(element->set, element->family) - sizeof(slot), sizeof(slot));
    return slot;
}

static bool is_same_frontend(const struct element *a, const struct element *b)
{
    return a->set == b->set && a->family == b->family &&
           memcmp(a->key, b->key, set_key_len(a->set, a->family) - sizeof(uint32_t)) == 0 &&
           (slot_of(a) < SHORTCUT_SLOT_OFFSET) == (slot_of(b) < SHORTCUT_SLOT_OFFSET);
}

static int slot_order(const void *a_, const void *b_)
{
    const struct element *a = a_, *b = b_;
    if (!set_holds_slots(a->set) || a->set != b->set || a->family != b->family)
        return element_cmp(a, b);
    int by_frontend = memcmp(a->key, b->key, set_key_len(a->set, a->family) - sizeof(uint32_t));
    uint32_t x = slot_of(a), y = slot_of(b);
    return by_frontend ? by_frontend : x < y ? -1 : x > y;
}

/* Sorts the endpoints of each frontend over its slots. Slots are numbers, so their own order comes first. */
static bool sort_slots(struct element_list *list, struct text *words)
{
    if (list->count > 1)
        qsort(list->list, list->count, sizeof(*list->list), slot_order);
    for (uint32_t i = 0, end; i < list->count; i = end) {
        struct element *first = &list->list[i];
        for (end = i + 1; end < list->count && set_holds_slots(first->set); end++)
            if (!is_same_frontend(first, &list->list[end]))
                break;
        if (!set_holds_slots(first->set))
            continue;
        uint32_t offset = slot_of(first) < SHORTCUT_SLOT_OFFSET ? 0 : SHORTCUT_SLOT_OFFSET;
        for (uint32_t k = i; k < end; k++)
            if (slot_of(&list->list[k]) != offset + (k - i))
                return complain(words, "slots are not one behind the other at", &list->list[k]);
        uint32_t count = end - i;
        struct element *sorted = calloc(count, sizeof(*sorted));
        memcpy(sorted, first, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), data_order);
        for (uint32_t k = 0; k < count; k++)
            memcpy(first[k].data, sorted[k].data, DATA_MAX);
        free(sorted);
    }
    return false;
}

static bool tables_differ(const struct kernel_table *a, const struct kernel_table *b, struct text *words)
{
    for (uint32_t i = 0; i < a->chain_count || i < b->chain_count; i++) {
        const struct kernel_chain *x = i < a->chain_count ? &a->chains[i] : NULL;
        const struct kernel_chain *y = i < b->chain_count ? &b->chains[i] : NULL;
        if (x && y && strcmp(x->name, y->name) == 0 && x->fingerprint == y->fingerprint &&
            x->rule_count == y->rule_count)
            continue;
        text_printf(words, "chains differ: %s and %s", x ? x->name : "none", y ? y->name : "none");
        return true;
    }
    if (a->set_count != b->set_count)
        text_add(words, "other sets");
    return a->set_count != b->set_count;
}

bool snapshot_differs(struct snapshot *a, struct snapshot *b, struct text *words)
{
    for (int family = 0; family < FAMILY_COUNT; family++)
        if (tables_differ(&a->tables[family], &b->tables[family], words))
            return true;
    if (sort_slots(&a->elements, words) || sort_slots(&b->elements, words))
        return true;
    for (uint32_t i = 0; i < a->elements.count || i < b->elements.count; i++) {
        const struct element *x = i < a->elements.count ? &a->elements.list[i] : NULL;
        const struct element *y = i < b->elements.count ? &b->elements.list[i] : NULL;
        int order = !x ? 1 : !y ? -1 : slot_order(x, y);
        if (order != 0)
            return complain(words, order < 0 ? "only in the first" : "only in the second", order < 0 ? x : y);
        if (!element_same_data(x, y))
            return complain(words, "one has", x) && complain(words, ", the other", y);
    }
    return false;
}
