/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/typed.h"

#include "api/json_type.h"
#include "base/cleanup.h"
#include "patch/tree.h"

#include <errno.h>
#include <string.h>

#define FAULTS_MAX 16

struct checker {
    struct field_scope *scope;
    struct text path;
    struct text faults; /* "\n  .spec.foo: field not declared in schema" */
    size_t fault_count;
};

static void add_fault(struct checker *checker, const char *format, const char *detail)
{
    if (checker->fault_count++ >= FAULTS_MAX)
        return;
    text_printf(&checker->faults, "\n  %s%s", text_str(&checker->path), checker->path.len ? ": " : "");
    text_printf(&checker->faults, format, detail);
}

/* Upstream's sentences show a value as Go prints the struct that holds it. */
static void add_type_fault(struct checker *checker, const char *format, json_t *value, bool is_syntax)
{
    struct text text = {0};
    text_add(&text, is_syntax ? "&value.valueUnstructured{Value:" : "&{");
    tree_format(value, is_syntax, &text);
    text_add(&text, "}");
    add_fault(checker, format, text_str(&text));
    text_done(&text);
}

static const char *go_type(const json_t *value)
{
    if (json_is_object(value))
        return "map[string]interface {}";
    if (json_is_array(value))
        return "[]interface {}";
    return json_type_name(value);
}

static void check_scalar(struct checker *checker, json_t *value, enum place_scalar scalar)
{
    if (json_is_null(value))
        return;
    switch (scalar) {
    case PLACE_STRING:
        if (!json_is_string(value))
            add_type_fault(checker, "expected string, got %s", value, true);
        return;
    case PLACE_NUMBER:
        if (!json_is_number(value))
            add_fault(checker, "expected numeric (int or float), got %s", go_type(value));
        return;
    case PLACE_BOOLEAN:
        if (!json_is_boolean(value))
            add_type_fault(checker, "expected boolean, got %s", value, false);
        return;
    case PLACE_ANY:
        if (json_is_object(value) || json_is_array(value))
            add_type_fault(checker, "expected any scalar, got %s", value, false);
        return;
    case PLACE_FREE:
        return;
    }
}

static void check_value(struct checker *checker, json_t *value, const struct place *place);

static void check_below(struct checker *checker, const struct field_element *element, json_t *value,
                        const struct place *place)
{
    size_t len = checker->path.len;
    field_element_format(element, &checker->path);
    if (place)
        check_value(checker, value, place);
    else
        add_fault(checker, "%s", "field not declared in schema");
    checker->path.len = len;
    checker->path.data[len] = '\0';
}

static void check_map(struct checker *checker, json_t *map, const struct place *place)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        struct place child;
        const struct field_element element = {.kind = FIELD_NAME, .name = key};
        bool is_known = place_field(place, key, &child);
        check_below(checker, &element, value, is_known ? &child : NULL);
        if (!is_known)
            return;
    }
}

static void check_keyed_items(struct checker *checker, json_t *list, const struct place *place,
                              const struct place *item_place)
{
    size_t index;
    json_t *value;
    struct typed_items items;
    struct err err;
    typed_items_build(checker->scope, place, list, &items);
    json_array_foreach(list, index, value)
    {
        struct field_element element;
        struct text text = {0};
        if (typed_element(checker->scope, place, value, &element, &err) != 0) {
            text_printf(&text, "element %zu: %s", index, err.text);
            add_fault(checker, "%s", text_str(&text));
            text_done(&text);
            return;
        }
        if (items.list[index].is_twin) {
            field_element_format(&element, &text);
            add_fault(checker, "duplicate entries for key %s", text_str(&text));
            text_done(&text);
        }
        check_below(checker, &element, value, item_place);
    }
}

static void check_list(struct checker *checker, json_t *list, const struct place *place)
{
    size_t index;
    json_t *value;
    struct place item_place;
    place_item(place, &item_place);
    if (!place->is_atomic) {
        check_keyed_items(checker, list, place, &item_place);
        return;
    }
    json_array_foreach(list, index, value)
    {
        const struct field_element element = {.kind = FIELD_INDEX, .index = (long long)index};
        check_below(checker, &element, value, &item_place);
    }
}

static void check_value(struct checker *checker, json_t *value, const struct place *place)
{
    if (checker->fault_count >= FAULTS_MAX)
        return;
    switch (place->shape) {
    case API_SHAPE_SCALAR:
        check_scalar(checker, value, place->scalar);
        return;
    case API_SHAPE_LIST:
        if (json_is_array(value))
            check_list(checker, value, place);
        else if (!json_is_null(value))
            add_type_fault(checker, "expected list, got %s", value, false);
        return;
    case API_SHAPE_STRUCT:
    case API_SHAPE_MAP:
        if (json_is_object(value))
            check_map(checker, value, place);
        else if (!json_is_null(value))
            add_type_fault(checker, "expected map, got %s", value, false);
        return;
    }
}

int typed_check(struct field_scope *scope, json_t *tree, const struct place *place, struct err *err)
{
    struct checker checker = {.scope = scope};
    check_value(&checker, tree, place);
    int status = 0;
    if (checker.fault_count == 1)
        status = err_set(err, EPROTO, "%s", text_str(&checker.faults) + strlen("\n  "));
    else if (checker.fault_count > 1)
        status = err_set(err, EPROTO, "errors:%s", text_str(&checker.faults));
    text_done(&checker.path);
    text_done(&checker.faults);
    return status;
}

static const struct field_set *fields_below(struct field_scope *scope, json_t *tree,
                                            const struct place *place);

/* Whether the tree is owned as one, whatever is inside of it. */
static bool is_leaf(const struct place *place)
{
    return place->shape == API_SHAPE_SCALAR || place->is_atomic;
}

static const struct field_set *fields_of_map(struct field_scope *scope, json_t *map,
                                             const struct place *place)
{
    const char *key;
    json_t *value;
    struct field_entries entries = {0};
    json_object_foreach(map, key, value)
    {
        struct place child;
        struct field_entry entry = {.element = field_name(scope, key), .is_member = true};
        if (place_field(place, key, &child) && !is_leaf(&child)) {
            bool is_empty = json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
            entry.is_member = is_empty;
            entry.below = fields_below(scope, value, &child);
        }
        field_entries_add(scope, &entries, entry);
    }
    return field_set_build(scope, &entries);
}

static const struct field_set *fields_of_list(struct field_scope *scope, json_t *list,
                                              const struct place *place)
{
    struct typed_items items;
    struct place item_place;
    struct field_entries entries = {0};
    typed_items_build(scope, place, list, &items);
    place_item(place, &item_place);
    for (size_t i = 0; i < items.sorted_count; i++) {
        const struct typed_item *item = items.sorted[i];
        struct field_entry entry = {.element = item->element, .is_member = true};
        if (!is_leaf(&item_place))
            entry.below = fields_below(scope, item->value, &item_place);
        field_entries_add(scope, &entries, entry);
    }
    return field_set_build(scope, &entries);
}

static const struct field_set *fields_below(struct field_scope *scope, json_t *tree,
                                            const struct place *place)
{
    return place->shape == API_SHAPE_LIST ? fields_of_list(scope, tree, place)
                                          : fields_of_map(scope, tree, place);
}

const struct field_set *typed_fields(struct field_scope *scope, json_t *tree, const struct place *place)
{
    return is_leaf(place) ? NULL : fields_below(scope, tree, place);
}

/* What the schema says of a step from a place; false when it knows nothing of it. */
static bool place_of(const struct place *place, const struct field_element *element, struct place *ret)
{
    if (element->kind == FIELD_NAME)
        return place_field(place, element->name, ret);
    if (element->kind != FIELD_KEY || place->shape != API_SHAPE_LIST)
        return false;
    place_item(place, ret);
    return true;
}

const struct field_set *typed_reconcile(struct field_scope *scope, const struct field_set *set,
                                        const struct place *place)
{
    struct field_entries entries = {0};
    for (size_t i = 0; set && i < set->count; i++) {
        struct field_entry entry = set->entries[i];
        struct place child;
        if (entry.below && place_of(place, &entry.element, &child)) {
            entry.is_member |= child.is_atomic;
            entry.below = child.is_atomic ? NULL : typed_reconcile(scope, entry.below, &child);
        }
        field_entries_add(scope, &entries, entry);
    }
    return field_set_build(scope, &entries);
}

const struct field_set *typed_with_parents(struct field_scope *scope, const struct field_set *set,
                                           const struct place *place)
{
    struct field_entries entries = {0};
    for (size_t i = 0; set && i < set->count; i++) {
        struct field_entry entry = set->entries[i];
        struct place child;
        if (entry.below && place_of(place, &entry.element, &child)) {
            entry.is_member |= entry.element.kind == FIELD_NAME && place->shape == API_SHAPE_STRUCT;
            entry.below = typed_with_parents(scope, entry.below, &child);
        }
        field_entries_add(scope, &entries, entry);
    }
    return field_set_build(scope, &entries);
}
