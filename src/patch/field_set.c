/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/field_set.h"

#include "patch/tree.h"

#include <stdlib.h>
#include <string.h>

void field_scope_init(struct field_scope *scope)
{
    arena_init(&scope->arena);
    scope->values = json_array();
}

void field_scope_done(struct field_scope *scope)
{
    json_decref(scope->values);
    scope->values = NULL;
    arena_done(&scope->arena);
}

struct field_element field_name(struct field_scope *scope, const char *name)
{
    return (struct field_element){.kind = FIELD_NAME, .name = arena_strdup(&scope->arena, name)};
}

struct field_element field_key(struct field_scope *scope, json_t *key)
{
    json_array_append_new(scope->values, key);
    return (struct field_element){.kind = FIELD_KEY, .value = key};
}

struct field_element field_value(struct field_scope *scope, json_t *value)
{
    json_array_append(scope->values, value);
    return (struct field_element){.kind = FIELD_VALUE, .value = value};
}

/* Field by field: the name, then the value. */
static int compare_keys(json_t *a, json_t *b)
{
    void *at_a = json_object_iter(a), *at_b = json_object_iter(b);
    while (at_a && at_b) {
        int order = strcmp(json_object_iter_key(at_a), json_object_iter_key(at_b));
        if (!order)
            order = tree_compare(json_object_iter_value(at_a), json_object_iter_value(at_b));
        if (order)
            return order;
        at_a = json_object_iter_next(a, at_a);
        at_b = json_object_iter_next(b, at_b);
    }
    return (at_a != NULL) - (at_b != NULL);
}

int field_element_cmp(const struct field_element *a, const struct field_element *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case FIELD_NAME:
        return strcmp(a->name, b->name);
    case FIELD_KEY:
        return compare_keys(a->value, b->value);
    case FIELD_VALUE:
        return tree_compare(a->value, b->value);
    case FIELD_INDEX:
        break;
    }
    return (a->index > b->index) - (a->index < b->index);
}

static void format_value(json_t *value, struct text *text)
{
    if (json_is_null(value))
        text_add(text, "null");
    else
        tree_format(value, json_is_string(value), text);
}

void field_element_format(const struct field_element *element, struct text *text)
{
    const char *name, *separator = "[";
    json_t *value;
    switch (element->kind) {
    case FIELD_NAME:
        text_printf(text, ".%s", element->name);
        return;
    case FIELD_KEY:
        json_object_foreach(element->value, name, value)
        {
            text_printf(text, "%s%s=", separator, name);
            format_value(value, text);
            separator = ",";
        }
        text_add(text, *separator == '[' ? "[]" : "]");
        return;
    case FIELD_VALUE:
        text_add(text, "[=");
        format_value(element->value, text);
        text_add(text, "]");
        return;
    case FIELD_INDEX:
        text_printf(text, "[%lld]", element->index);
    }
}

void field_entries_add(struct field_scope *scope, struct field_entries *entries, struct field_entry entry)
{
    if (!entry.is_member && !entry.below)
        return;
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity ? 2 * entries->capacity : 8;
        struct field_entry *list = arena_array(&scope->arena, struct field_entry, capacity);
        if (entries->count)
            memcpy(list, entries->list, entries->count * sizeof(*list));
        entries->list = list;
        entries->capacity = capacity;
    }
    entries->list[entries->count++] = entry;
}

static int compare_entries(const void *a, const void *b)
{
    const struct field_entry *x = a, *y = b;
    return field_element_cmp(&x->element, &y->element);
}

const struct field_set *field_set_build(struct field_scope *scope, struct field_entries *entries)
{
    size_t count = 0;
    if (entries->count == 0)
        return NULL;
    qsort(entries->list, entries->count, sizeof(*entries->list), compare_entries);
    for (size_t i = 0; i < entries->count; i++) {
        struct field_entry *last = count ? &entries->list[count - 1] : NULL;
        struct field_entry *entry = &entries->list[i];
        if (last && field_element_cmp(&last->element, &entry->element) == 0) {
            last->is_member |= entry->is_member;
            last->below = field_set_union(scope, last->below, entry->below);
        } else {
            entries->list[count++] = *entry;
        }
    }
    struct field_set *set = arena_new(&scope->arena, struct field_set);
    *set = (struct field_set){.count = count, .entries = entries->list};
    return set;
}

/* What becomes of an element that is in a, in b, or in both; the other is an entry that says nothing. */
typedef void (*join)(struct field_scope *scope, const struct field_entry *a, const struct field_entry *b,
                     struct field_entry *ret);

static const struct field_set *combine(struct field_scope *scope, const struct field_set *a,
                                       const struct field_set *b, join join_entries)
{
    static const struct field_entry nothing;
    struct field_entries entries = {0};
    size_t i = 0, j = 0, count_a = a ? a->count : 0, count_b = b ? b->count : 0;
    while (i < count_a || j < count_b) {
        int order = i == count_a   ? 1
                    : j == count_b ? -1
                                   : field_element_cmp(&a->entries[i].element, &b->entries[j].element);
        const struct field_entry *entry_a = order <= 0 ? &a->entries[i++] : &nothing;
        const struct field_entry *entry_b = order >= 0 ? &b->entries[j++] : &nothing;
        struct field_entry entry = {.element = order <= 0 ? entry_a->element : entry_b->element};
        join_entries(scope, entry_a, entry_b, &entry);
        field_entries_add(scope, &entries, entry);
    }
    if (entries.count == 0)
        return NULL;
    struct field_set *set = arena_new(&scope->arena, struct field_set);
    *set = (struct field_set){.count = entries.count, .entries = entries.list};
    return set;
}

static void join_union(struct field_scope *scope, const struct field_entry *a, const struct field_entry *b,
                       struct field_entry *ret)
{
    ret->is_member = a->is_member || b->is_member;
    ret->below = field_set_union(scope, a->below, b->below);
}

const struct field_set *field_set_union(struct field_scope *scope, const struct field_set *a,
                                        const struct field_set *b)
{
    if (!a || !b)
        return a ? a : b;
    return combine(scope, a, b, join_union);
}

static void join_intersection(struct field_scope *scope, const struct field_entry *a,
                              const struct field_entry *b, struct field_entry *ret)
{
    ret->is_member = a->is_member && b->is_member;
    ret->below = field_set_intersection(scope, a->below, b->below);
}

const struct field_set *field_set_intersection(struct field_scope *scope, const struct field_set *a,
                                               const struct field_set *b)
{
    return a && b ? combine(scope, a, b, join_intersection) : NULL;
}

static void join_difference(struct field_scope *scope, const struct field_entry *a,
                            const struct field_entry *b, struct field_entry *ret)
{
    ret->is_member = a->is_member && !b->is_member;
    ret->below = field_set_difference(scope, a->below, b->below);
}

const struct field_set *field_set_difference(struct field_scope *scope, const struct field_set *a,
                                             const struct field_set *b)
{
    return a && b ? combine(scope, a, b, join_difference) : a;
}

static void join_without(struct field_scope *scope, const struct field_entry *a, const struct field_entry *b,
                         struct field_entry *ret)
{
    ret->is_member = a->is_member && !b->is_member;
    ret->below = b->is_member ? NULL : field_set_without(scope, a->below, b->below);
}

const struct field_set *field_set_without(struct field_scope *scope, const struct field_set *a,
                                          const struct field_set *b)
{
    return a && b ? combine(scope, a, b, join_without) : a;
}

bool field_set_is_equal(const struct field_set *a, const struct field_set *b)
{
    if (!a || !b)
        return a == b;
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct field_entry *x = &a->entries[i], *y = &b->entries[i];
        if (x->is_member != y->is_member || compare_entries(x, y) != 0 ||
            !field_set_is_equal(x->below, y->below))
            return false;
    }
    return true;
}

const struct field_entry *field_set_find(const struct field_set *set, const struct field_element *element)
{
    const struct field_entry wanted = {.element = *element};
    return set ? bsearch(&wanted, set->entries, set->count, sizeof(wanted), compare_entries) : NULL;
}

const struct field_set *field_set_of(struct field_scope *scope, const char *const *names)
{
    if (!*names)
        return NULL;
    struct field_entries entries = {0};
    const struct field_set *below = field_set_of(scope, names + 1);
    field_entries_add(scope, &entries, (struct field_entry){field_name(scope, *names), !below, below});
    return field_set_build(scope, &entries);
}

struct visitor {
    void (*visit)(void *context, const char *path);
    void *context;
    struct text path;
};

/* Puts the element behind the path; returns the length to go back to. */
static size_t enter(struct visitor *visitor, const struct field_element *element)
{
    size_t len = visitor->path.len;
    field_element_format(element, &visitor->path);
    return len;
}

static void leave(struct visitor *visitor, size_t len)
{
    visitor->path.len = len;
    visitor->path.data[len] = '\0';
}

static void visit_level(struct visitor *visitor, const struct field_set *set)
{
    for (size_t i = 0; set && i < set->count; i++) {
        if (!set->entries[i].is_member)
            continue;
        size_t len = enter(visitor, &set->entries[i].element);
        visitor->visit(visitor->context, text_str(&visitor->path));
        leave(visitor, len);
    }
    for (size_t i = 0; set && i < set->count; i++) {
        if (!set->entries[i].below)
            continue;
        size_t len = enter(visitor, &set->entries[i].element);
        visit_level(visitor, set->entries[i].below);
        leave(visitor, len);
    }
}

void field_set_visit(const struct field_set *set, void (*visit)(void *context, const char *path),
                     void *context)
{
    struct visitor visitor = {.visit = visit, .context = context};
    visit_level(&visitor, set);
    text_done(&visitor.path);
}
