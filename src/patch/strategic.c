/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/strategic.h"

#include "api/json_type.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "patch/patch.h"
#include "patch/place.h"
#include "patch/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Works on copies of both trees, which it changes and takes apart. */

#define DELETE_PREFIX "$deleteFromPrimitiveList"
#define ORDER_PREFIX "$setElementOrder"
#define RETAIN_KEYS "$retainKeys"
#define DIRECTIVE "$patch"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The field in "$setElementOrder/ports"; NULL when it is not written like that. */
static const char *prefixed_field(const char *key, const char *prefix)
{
    return key[strlen(prefix)] == '/' ? key + strlen(prefix) + 1 : NULL;
}

static int find_place(const struct place *place, const char *name, struct place *ret, struct err *err)
{
    if (place->shape != API_SHAPE_STRUCT)
        return err_set(err, EPROTO, "merging an object in json but data type is not struct, instead is: %s",
                       place->shape == API_SHAPE_MAP ? "map" : "string");
    if (!place_field(place, name, ret))
        return err_set(err, EPROTO, "unable to find api field in struct %s for the json field \"%s\"",
                       place->type->short_name, name);
    return 0;
}

static int find_list(const struct place *place, const char *name, struct place *ret, struct err *err)
{
    int status = find_place(place, name, ret, err);
    if (status == 0 && ret->shape != API_SHAPE_LIST)
        return err_set(err, EPROTO, "expected slice or array type, but got: struct");
    return status;
}

static const char *merge_key_of(const struct place *list)
{
    return list->rules && list->rules->merge_key ? list->rules->merge_key : "";
}

static bool is_merged(const struct place *list)
{
    return list->rules && list->rules->merge_key;
}

/* Takes directives out of what is new to the document. Returns whether anything is left: what carries $patch
 * itself has nothing to act on. */
static bool drop_directives(json_t *value)
{
    const char *key;
    json_t *member;
    void *next;
    size_t index;
    if (json_object_get(value, DIRECTIVE))
        return false;
    cleanup_with(json_decrefp) json_t *kept = json_is_array(value) ? json_array() : NULL;
    json_object_foreach_safe(value, next, key, member)
    {
        if (!drop_directives(member))
            json_object_del(value, key);
    }
    json_array_foreach(value, index, member) if (drop_directives(member)) json_array_append(kept, member);
    if (json_array_size(kept) < json_array_size(value)) {
        json_array_clear(value);
        json_array_extend(value, kept);
    }
    return true;
}

static int refuse_directive(json_t *directive, json_t *map, struct err *err)
{
    cleanup_with(text_done) struct text text = {0};
    tree_format(directive, false, &text);
    text_add(&text, " in map: ");
    tree_format(map, false, &text);
    return err_set(err, EPROTO, "unknown patch type: %s", text_str(&text));
}

static bool is_directive(json_t *directive, const char *name)
{
    return json_is_string(directive) && strcmp(json_string_value(directive), name) == 0;
}

static int apply_directive(json_t *directive, json_t *patch, json_t **ret, struct err *err)
{
    if (is_directive(directive, "delete")) {
        *ret = json_object();
        return 0;
    }
    if (!is_directive(directive, "replace"))
        return refuse_directive(directive, patch, err);
    json_object_del(patch, DIRECTIVE);
    *ret = json_incref(patch);
    return 0;
}

/* Removes what $retainKeys does not name; the patch may set nothing else. */
static int retain_keys(json_t *document, json_t *patch, struct err *err)
{
    cleanup_with(json_decrefp) json_t *list = json_incref(json_object_get(patch, RETAIN_KEYS));
    cleanup_with(json_decrefp) json_t *names = json_object();
    size_t index;
    json_t *name, *value;
    const char *key;
    void *next;
    if (!list)
        return 0;
    json_object_del(patch, RETAIN_KEYS);
    if (!json_is_array(list))
        return err_set(err, EBADMSG, "invalid patch format of retainKeys");
    json_array_foreach(list, index, name) if (json_is_string(name))
        json_object_set_new(names, json_string_value(name), json_true());
    json_object_foreach(
        patch, key,
        value) if (!json_is_null(value) && !has_prefix(key, DELETE_PREFIX) &&
                   !has_prefix(key, ORDER_PREFIX) &&
                   !json_object_get(names, key)) return err_set(err, EBADMSG,
                                                                "invalid patch format of retainKeys");
    json_object_foreach_safe(document, next, key, value)
    {
        if (!json_object_get(names, key))
            json_object_del(document, key);
    }
    return 0;
}

/* All items of both lists are of one type, as Go's are; *ret_first is one of them. */
static int check_items(json_t *list, json_t *other, json_t **ret_first, struct err *err)
{
    json_t *first = json_array_size(list) ? json_array_get(list, 0) : json_array_get(other, 0);
    if (!first)
        return err_set(err, EPROTO, "no elements in any of the given slices");
    if (json_is_array(first))
        return err_set(err, EINVAL, "lists of lists are not supported");
    for (size_t i = 0; i < json_array_size(list) + json_array_size(other); i++) {
        size_t count = json_array_size(list);
        json_t *item = i < count ? json_array_get(list, i) : json_array_get(other, i - count);
        bool is_same =
            json_typeof(item) == json_typeof(first) || (json_is_boolean(item) && json_is_boolean(first));
        if (is_same && !json_is_null(item))
            continue;
        cleanup_with(text_done) struct text text = {0};
        tree_format(list, false, &text);
        text_add(&text, " ");
        tree_format(other, false, &text);
        return err_set(err, EPROTO, "list element types are not identical: [%s]", text_str(&text));
    }
    *ret_first = first;
    return 0;
}

/* The items that are in exclude, or are not; each once. */
static int filter_scalars(json_t *list, json_t *exclude, bool is_unique, json_t *to, struct err *err)
{
    cleanup_with(json_decrefp) json_t *seen = NULL;
    int status = strategic_index(exclude, "", &seen, err);
    size_t index;
    json_t *item;
    if (status != 0)
        return status;
    json_array_foreach(list, index, item)
    {
        cleanup_free char *key = NULL;
        status = strategic_key(item, "", &key, err);
        if (status != 0)
            return status;
        if (json_object_get(seen, key))
            continue;
        json_array_append(to, item);
        if (is_unique)
            json_object_set_new(seen, key, json_true());
    }
    return 0;
}

/* Splits the patch of a list of structs into the items that are merged, the keys of those that go away, and
 * whether the whole list does. */
static int split_directives(json_t *patch, const char *merge_key, json_t *to, json_t *deleted,
                            bool *is_replaced, struct err *err)
{
    size_t index;
    json_t *item;
    json_array_foreach(patch, index, item)
    {
        json_t *directive = json_object_get(item, DIRECTIVE);
        if (!directive) {
            json_array_append(to, item);
        } else if (is_directive(directive, "delete")) {
            cleanup_free char *key = NULL;
            int status = strategic_key(item, merge_key, &key, err);
            if (status != 0)
                return status;
            json_object_set_new(deleted, key, json_true());
        } else if (is_directive(directive, "replace")) {
            *is_replaced = true;
        } else if (is_directive(directive, "merge")) {
            return err_set(err, EPROTO, "merging lists cannot yet be specified in the patch");
        } else {
            return refuse_directive(directive, item, err);
        }
    }
    return 0;
}

static int merge_map(json_t *document, json_t *patch, const struct place *place, json_t **ret,
                     struct err *err);

/* Merges the items of patch into those of merged that have the same key, or appends them. */
static int merge_items(json_t *merged, json_t *patch, const struct place *list, struct err *err)
{
    const char *merge_key = merge_key_of(list);
    cleanup_with(json_decrefp) json_t *places = NULL;
    int status = strategic_index(merged, merge_key, &places, err);
    struct place item_place;
    size_t index;
    json_t *item;
    place_item(list, &item_place);
    if (status != 0)
        return status;
    json_array_foreach(patch, index, item)
    {
        cleanup_free char *key = NULL;
        json_t *result = NULL;
        status = strategic_key(item, merge_key, &key, err);
        if (status != 0)
            return status;
        json_t *place = json_object_get(places, key);
        if (!place) {
            json_object_set_new(places, key, json_integer((json_int_t)json_array_size(merged)));
            json_array_append(merged, item);
            continue;
        }
        size_t at = (size_t)json_integer_value(place);
        status = merge_map(json_array_get(merged, at), item, &item_place, &result, err);
        if (status != 0)
            return status;
        json_array_set_new(merged, at, result);
    }
    return 0;
}

static int merge_structs(json_t *document, json_t *patch, const struct place *list, json_t **ret,
                         struct err *err)
{
    const char *merge_key = merge_key_of(list);
    if (!*merge_key)
        return err_set(err, EPROTO, "cannot merge lists without merge key for %s",
                       list->type ? "struct" : "string");
    cleanup_with(json_decrefp) json_t *live = json_array(), *items = json_array(), *deleted = json_object();
    bool is_replaced = false;
    int status = split_directives(patch, merge_key, items, deleted, &is_replaced, err);
    if (status != 0)
        return status;
    if (is_replaced)
        return strategic_order(items, live, items, merge_key, ret, err);
    size_t index;
    json_t *item;
    json_array_foreach(document, index, item)
    {
        cleanup_free char *key = NULL;
        status = strategic_key(item, merge_key, &key, err);
        if (status != 0)
            return status;
        if (!json_object_get(deleted, key))
            json_array_append(live, item);
    }
    cleanup_with(json_decrefp) json_t *merged = json_copy(live);
    status = merge_items(merged, items, list, err);
    return status == 0 ? strategic_order(merged, items, live, merge_key, ret, err) : status;
}

static int merge_list(json_t *document, json_t *patch, const struct place *list, bool is_deletion,
                      json_t **ret, struct err *err)
{
    json_t *first;
    if (!is_merged(list) && !is_deletion) {
        *ret = json_incref(patch);
        return 0;
    }
    if (json_array_size(document) == 0 && json_array_size(patch) == 0) {
        *ret = json_incref(document);
        return 0;
    }
    int status = check_items(document, patch, &first, err);
    if (status != 0)
        return status;
    if (json_is_object(first))
        return merge_structs(document, patch, list, ret, err);
    cleanup_with(json_decrefp) json_t *merged = json_array(), *nothing = json_array();
    status = filter_scalars(document, is_deletion ? patch : nothing, !is_deletion, merged, err);
    if (status == 0 && is_deletion) {
        *ret = steal_pointer(&merged);
        return 0;
    }
    if (status == 0)
        status = filter_scalars(patch, document, true, merged, err);
    return status == 0 ? strategic_order(merged, patch, document, merge_key_of(list), ret, err) : status;
}

/* The list that "$setElementOrder/name" orders, together with its own patch, which is done with then. */
static int merge_ordered(json_t *document, json_t *patch, const char *name, json_t *order,
                         const struct place *place, struct err *err)
{
    json_t *live = json_object_get(document, name), *list = json_object_get(patch, name), *first;
    struct place list_place;
    if (live && !json_is_array(live))
        return strategic_bad_type("[]interface {}", live, err);
    if (list && !json_is_array(list))
        return strategic_bad_type("[]interface {}", list, err);
    int status = find_list(place, name, &list_place, err);
    if (status == 0)
        status = strategic_check_order(list, order, merge_key_of(&list_place), err);
    if (status != 0 || (!live && !list))
        return status;
    cleanup_with(json_decrefp) json_t *merged = NULL, *ordered = NULL;
    if (live && list) {
        status = merge_list(live, list, &list_place, false, &merged, err);
    } else {
        merged = json_incref(live ? live : list);
        if (!live)
            drop_directives(merged);
    }
    if (status == 0)
        status = check_items(live, list, &first, err);
    if (status == 0)
        status = strategic_order(merged, order, live, merge_key_of(&list_place), &ordered, err);
    if (status != 0)
        return status;
    json_object_set(document, name, ordered);
    json_object_del(patch, name);
    return 0;
}

static int merge_all_ordered(json_t *document, json_t *patch, const struct place *place, struct err *err)
{
    cleanup_with(json_decrefp) json_t *orders = json_object();
    const char *key;
    json_t *order;
    json_object_foreach(patch, key, order) if (has_prefix(key, ORDER_PREFIX))
        json_object_set(orders, key, order);
    json_object_foreach(orders, key, order)
    {
        const char *name = prefixed_field(key, ORDER_PREFIX);
        json_object_del(patch, key);
        if (!json_is_array(order))
            return strategic_bad_type("[]interface {}", order, err);
        if (!name)
            return err_set(err, EBADMSG, "invalid patch format of setElementOrder list");
        int status = merge_ordered(document, patch, name, order, place, err);
        if (status != 0)
            return status;
    }
    return 0;
}

static void set_new_value(json_t *document, const char *key, json_t *value)
{
    tree_drop_nulls(value);
    if (drop_directives(value))
        json_object_set(document, key, value);
    else
        json_object_del(document, key);
}

static int merge_member(json_t *document, const char *key, json_t *value, const struct place *place,
                        struct err *err)
{
    bool is_deletion = has_prefix(key, DELETE_PREFIX);
    const char *name = is_deletion ? prefixed_field(key, DELETE_PREFIX) : key;
    if (!name)
        return err_set(err, EBADMSG, "invalid patch format of primitive list");
    if (!*name)
        name = key;
    json_t *current = json_object_get(document, name), *result = NULL;
    struct place child;
    int status = 0;
    if (json_is_null(value)) {
        json_object_del(document, name);
        return 0;
    }
    if (json_is_object(current) && json_is_object(value)) {
        status = find_place(place, name, &child, err);
        if (status == 0)
            status = merge_map(current, value, &child, &result, err);
    } else if (json_is_array(current) && json_is_array(value)) {
        status = find_list(place, name, &child, err);
        if (status == 0)
            status = merge_list(current, value, &child, is_deletion, &result, err);
    } else if (!is_deletion) {
        set_new_value(document, name, value);
    }
    if (status == 0 && result)
        json_object_set_new(document, name, result);
    return status;
}

static int merge_map(json_t *document, json_t *patch, const struct place *place, json_t **ret,
                     struct err *err)
{
    const char *key;
    json_t *value, *directive = json_object_get(patch, DIRECTIVE);
    if (directive)
        return apply_directive(directive, patch, ret, err);
    int status = retain_keys(document, patch, err);
    if (status == 0)
        status = merge_all_ordered(document, patch, place, err);
    if (status != 0)
        return status;
    json_object_foreach(patch, key, value)
    {
        status = merge_member(document, key, value, place, err);
        if (status != 0)
            return status;
    }
    *ret = json_incref(document);
    return 0;
}

int patch_strategic(json_t *document, json_t *patch, const ProtobufCMessageDescriptor *type, json_t **ret,
                    struct err *err)
{
    if (!json_is_object(patch) && !json_is_null(patch))
        return err_set(err, EBADMSG,
                       "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                       json_type_name(patch));
    if (tree_is_deeper(patch, PATCH_DEPTH_MAX))
        return err_set(err, EBADMSG, "the patch is nested too deep");
    if (tree_is_deeper(document, PATCH_DEPTH_MAX))
        return err_set(err, EINVAL, "the document is nested too deep");
    struct place root;
    place_root(type, &root);
    cleanup_with(json_decrefp) json_t *copy = json_deep_copy(document), *changes = json_deep_copy(patch);
    json_t *result = NULL;
    int status = merge_map(copy, changes, &root, &result, err);
    if (status == 0)
        *ret = result;
    else
        tree_trim_sentence(err);
    return status;
}
