/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/typed.h"

static void merge_field(struct field_scope *scope, const char *key, json_t *live, json_t *config,
                        const struct place *place, json_t *to)
{
    struct place child;
    json_t *merged = place_field(place, key, &child) ? typed_merge(scope, live, config, &child)
                                                     : json_deep_copy(config ? config : live);
    if (merged)
        json_object_set_new(to, key, merged);
}

static json_t *merge_maps(struct field_scope *scope, json_t *live, json_t *config, const struct place *place)
{
    const char *key;
    json_t *value, *merged = json_object();
    json_object_foreach(live, key, value)
        merge_field(scope, key, value, json_object_get(config, key), place, merged);
    json_object_foreach(config, key, value) if (!json_object_get(live, key))
        merge_field(scope, key, NULL, value, place, merged);
    return merged;
}

/* A list in the making. The order is config's as far as it goes; items that live alone has keep their place
 * between those that both have. */
struct weaver {
    struct field_scope *scope;
    struct place item_place;
    struct typed_items live, config;
    bool *is_done;      /* for each item of config */
    size_t next_shared; /* the next item of config that live has too, and that is not done */
    json_t *to;
};

static void advance_shared(struct weaver *weaver)
{
    while (weaver->next_shared < weaver->config.count &&
           (weaver->is_done[weaver->next_shared] ||
            !typed_items_find(&weaver->live, &weaver->config.list[weaver->next_shared].element)))
        weaver->next_shared++;
}

static void append(struct weaver *weaver, json_t *live, json_t *config)
{
    json_t *merged = typed_merge(weaver->scope, live, config, &weaver->item_place);
    if (merged)
        json_array_append_new(weaver->to, merged);
}

/* An item of config, merged with live's if it has just one. */
static void take_config(struct weaver *weaver, const struct typed_item *item)
{
    const struct typed_item *twin = typed_items_find(&weaver->live, &item->element);
    append(weaver, !twin ? NULL : twin->twin ? json_null() : twin->value, item->value);
    weaver->is_done[item->position] = true;
    advance_shared(weaver);
}

static void weave(struct weaver *weaver)
{
    const struct typed_items *live = &weaver->live, *config = &weaver->config;
    size_t i = 0, j = 0;
    advance_shared(weaver);
    while (i < live->count || j < config->count) {
        const struct typed_item *mine = i < live->count ? &live->list[i] : NULL;
        const struct typed_item *theirs = j < config->count ? &config->list[j] : NULL;
        const struct typed_item *match = mine ? typed_items_find(config, &mine->element) : NULL;
        if (mine && match && match == theirs) {
            take_config(weaver, theirs);
            i++;
            j++;
        } else if (mine && !match) {
            append(weaver, mine->value, NULL);
            i++;
        } else if (mine && theirs && weaver->next_shared < config->count &&
                   match->position != weaver->next_shared) {
            i++; /* comes later, with its place in config */
        } else {
            if (mine && weaver->is_done[match->position])
                i++;
            if (theirs) {
                take_config(weaver, theirs);
                j++;
            }
        }
    }
}

static json_t *merge_lists(struct field_scope *scope, json_t *live, json_t *config, const struct place *place)
{
    struct weaver weaver = {.scope = scope, .to = json_array()};
    place_item(place, &weaver.item_place);
    typed_items_build(scope, place, live, &weaver.live);
    typed_items_build(scope, place, config, &weaver.config);
    weaver.is_done = arena_array(&scope->arena, bool, weaver.config.count);
    weave(&weaver);
    return weaver.to;
}

json_t *typed_merge(struct field_scope *scope, json_t *live, json_t *config, const struct place *place)
{
    size_t size = place->shape == API_SHAPE_LIST ? json_array_size(live) + json_array_size(config)
                                                 : json_object_size(live) + json_object_size(config);
    if (place->shape == API_SHAPE_SCALAR || place->is_atomic || size == 0)
        return json_deep_copy(config ? config : live);
    return place->shape == API_SHAPE_LIST ? merge_lists(scope, live, config, place)
                                          : merge_maps(scope, live, config, place);
}

/* What is left of a container stays one, though it is empty. */
static json_t *remove_below(struct field_scope *scope, json_t *tree, const struct field_set *set,
                            const struct place *place)
{
    json_t *left = typed_remove(scope, tree, set, place);
    if (left)
        return left;
    return json_is_object(tree) ? json_object() : json_is_array(tree) ? json_array() : json_null();
}

static json_t *remove_from_map(struct field_scope *scope, json_t *map, const struct field_set *set,
                               const struct place *place)
{
    const char *key;
    json_t *value, *left = json_object();
    json_object_foreach(map, key, value)
    {
        const struct field_element element = {.kind = FIELD_NAME, .name = key};
        const struct field_entry *entry = field_set_find(set, &element);
        struct place child;
        if (entry && entry->is_member)
            continue;
        bool is_walked = entry && place_field(place, key, &child);
        json_object_set_new(
            left, key, is_walked ? remove_below(scope, value, entry->below, &child) : json_deep_copy(value));
    }
    return left;
}

static json_t *remove_from_list(struct field_scope *scope, json_t *list, const struct field_set *set,
                                const struct place *place)
{
    size_t index;
    json_t *value, *left = json_array();
    struct place item_place;
    place_item(place, &item_place);
    json_array_foreach(list, index, value)
    {
        struct field_element element;
        const struct field_entry *entry = NULL;
        if (typed_element(scope, place, value, &element, NULL) == 0)
            entry = field_set_find(set, &element);
        if (!entry)
            json_array_append_new(left, json_deep_copy(value));
        else if (!entry->is_member)
            json_array_append_new(left, remove_below(scope, value, entry->below, &item_place));
    }
    return left;
}

json_t *typed_remove(struct field_scope *scope, json_t *tree, const struct field_set *set,
                     const struct place *place)
{
    if (place->shape == API_SHAPE_SCALAR)
        return json_deep_copy(tree);
    bool is_list = place->shape == API_SHAPE_LIST;
    size_t size = is_list ? json_array_size(tree) : json_object_size(tree);
    if (place->is_atomic || size == 0)
        return NULL;
    return is_list ? remove_from_list(scope, tree, set, place) : remove_from_map(scope, tree, set, place);
}
