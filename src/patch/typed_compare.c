/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/tree.h"
#include "patch/typed.h"

struct change_entries {
    struct field_entries removed, modified, added;
};

static struct typed_change build(struct field_scope *scope, struct change_entries *entries)
{
    return (struct typed_change){.removed = field_set_build(scope, &entries->removed),
                                 .modified = field_set_build(scope, &entries->modified),
                                 .added = field_set_build(scope, &entries->added)};
}

static bool compare_inside(struct field_scope *scope, json_t *before, json_t *after,
                           const struct place *place, struct typed_change *ret);

/* before or after is NULL where there is no such thing; place is NULL where the schema knows none. */
static void compare_child(struct field_scope *scope, struct change_entries *entries,
                          struct field_element element, json_t *before, json_t *after,
                          const struct place *place)
{
    struct typed_change below = {0};
    bool is_leaf = !place || compare_inside(scope, before, after, place, &below);
    bool is_modified = is_leaf && before && after && !tree_is_equal(before, after);
    field_entries_add(scope, &entries->removed, (struct field_entry){element, !after, below.removed});
    field_entries_add(scope, &entries->modified, (struct field_entry){element, is_modified, below.modified});
    field_entries_add(scope, &entries->added, (struct field_entry){element, !before, below.added});
}

static void compare_field(struct field_scope *scope, struct change_entries *entries, const char *key,
                          json_t *before, json_t *after, const struct place *place)
{
    struct place child;
    bool is_known = place_field(place, key, &child);
    compare_child(scope, entries, field_name(scope, key), before, after, is_known ? &child : NULL);
}

static void compare_maps(struct field_scope *scope, struct change_entries *entries, json_t *before,
                         json_t *after, const struct place *place)
{
    const char *key;
    json_t *value;
    json_object_foreach(before, key, value)
        compare_field(scope, entries, key, value, json_object_get(after, key), place);
    json_object_foreach(after, key, value) if (!json_object_get(before, key))
        compare_field(scope, entries, key, NULL, value, place);
}

static bool are_twins_equal(const struct typed_item *before, const struct typed_item *after)
{
    while (before && after && tree_is_equal(before->value, after->value)) {
        before = before->twin;
        after = after->twin;
    }
    return !before && !after;
}

/* Items that share their element with others have no fields of their own: they are compared as one. */
static void compare_items(struct field_scope *scope, struct change_entries *entries,
                          const struct typed_item *before, const struct typed_item *after,
                          const struct place *place)
{
    struct field_element element = before ? before->element : after->element;
    bool has_twins_before = before && before->twin, has_twins_after = after && after->twin;
    const struct field_entry whole = {.element = element, .is_member = true};
    if (!has_twins_before && !has_twins_after) {
        compare_child(scope, entries, element, before ? before->value : NULL, after ? after->value : NULL,
                      place);
    } else if (has_twins_before && has_twins_after) {
        if (!are_twins_equal(before, after))
            field_entries_add(scope, &entries->modified, whole);
    } else if (has_twins_before) {
        if (after)
            compare_child(scope, entries, element, NULL, after->value, place);
        field_entries_add(scope, &entries->removed, whole);
    } else {
        if (before)
            compare_child(scope, entries, element, before->value, NULL, place);
        field_entries_add(scope, &entries->added, whole);
    }
}

static void compare_lists(struct field_scope *scope, struct change_entries *entries, json_t *before,
                          json_t *after, const struct place *place)
{
    struct typed_items old, new;
    struct place item_place;
    typed_items_build(scope, place, before, &old);
    typed_items_build(scope, place, after, &new);
    place_item(place, &item_place);
    for (size_t i = 0; i < old.sorted_count; i++)
        compare_items(scope, entries, old.sorted[i], typed_items_find(&new, &old.sorted[i]->element),
                      &item_place);
    for (size_t i = 0; i < new.sorted_count; i++)
        if (!typed_items_find(&old, &new.sorted[i]->element))
            compare_items(scope, entries, NULL, new.sorted[i], &item_place);
}

/* Returns true for what is compared as a whole, and then says nothing of what is inside. */
static bool compare_inside(struct field_scope *scope, json_t *before, json_t *after,
                           const struct place *place, struct typed_change *ret)
{
    struct change_entries entries = {0};
    size_t size = place->shape == API_SHAPE_LIST ? json_array_size(before) + json_array_size(after)
                                                 : json_object_size(before) + json_object_size(after);
    if (place->shape == API_SHAPE_SCALAR || place->is_atomic || size == 0)
        return true;
    if (place->shape == API_SHAPE_LIST)
        compare_lists(scope, &entries, before, after, place);
    else
        compare_maps(scope, &entries, before, after, place);
    *ret = build(scope, &entries);
    return false;
}

struct typed_change typed_compare(struct field_scope *scope, json_t *before, json_t *after,
                                  const struct place *place)
{
    struct typed_change change = {0};
    compare_inside(scope, before, after, place, &change);
    return change;
}
