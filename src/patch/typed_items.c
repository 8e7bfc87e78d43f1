/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/typed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* `["port" "protocol"]` */
static int refuse_keyless(const struct api_field *rules, struct err *err)
{
    struct text text = {0};
    for (size_t i = 0; rules->keys[i]; i++)
        text_printf(&text, "%s\"%s\"", i ? " " : "", rules->keys[i]);
    int status =
        err_set(err, EPROTO,
                "associative list with keys has an element that omits all key fields [%s] (and doesn't have "
                "default values for any key fields)",
                text_str(&text));
    text_done(&text);
    return status;
}

static int keyed_element(struct field_scope *scope, const struct api_field *rules, json_t *item,
                         struct field_element *ret, struct err *err)
{
    if (!json_is_object(item))
        return err_set(err, EPROTO, "associative list with keys may not have %s",
                       json_is_null(item) ? "a null element" : "non-map elements");
    size_t count = 0;
    while (rules->keys[count])
        count++;
    const char **names = arena_array(&scope->arena, const char *, count);
    memcpy(names, rules->keys, count * sizeof(*names));
    qsort(names, count, sizeof(*names), compare_names);
    json_t *key = json_object();
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_incref(json_object_get(item, names[i]));
        for (size_t j = 0; !value && rules->keys[j]; j++)
            if (strcmp(rules->keys[j], names[i]) == 0 && rules->key_defaults[j])
                value = json_loads(rules->key_defaults[j], JSON_DECODE_ANY, NULL);
        if (value)
            json_object_set_new(key, names[i], value);
    }
    if (json_object_size(key) > 0) {
        *ret = field_key(scope, key);
        return 0;
    }
    json_decref(key);
    return refuse_keyless(rules, err);
}

int typed_element(struct field_scope *scope, const struct place *list, json_t *item,
                  struct field_element *ret, struct err *err)
{
    if (list->rules && list->rules->list == API_LIST_MAP)
        return keyed_element(scope, list->rules, item, ret, err);
    if (json_is_object(item))
        return err_set(err, EPROTO, "associative list without keys has an element that's a map type");
    if (json_is_array(item))
        return err_set(err, EPROTO, "not supported: associative list with lists as elements");
    if (json_is_null(item))
        return err_set(err, EPROTO, "associative list without keys has an element that's an explicit null");
    *ret = field_value(scope, item);
    return 0;
}

static int compare_items(const void *a, const void *b)
{
    const struct typed_item *x = *(const struct typed_item *const *)a,
                            *y = *(const struct typed_item *const *)b;
    int order = field_element_cmp(&x->element, &y->element);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

void typed_items_build(struct field_scope *scope, const struct place *place, json_t *list,
                       struct typed_items *ret)
{
    size_t count = json_array_size(list), index;
    json_t *value;
    *ret = (struct typed_items){.list = arena_array(&scope->arena, struct typed_item, count),
                                .sorted = arena_array(&scope->arena, const struct typed_item *, count)};
    json_array_foreach(list, index, value)
    {
        struct typed_item *item = &ret->list[ret->count];
        if (typed_element(scope, place, value, &item->element, NULL) != 0)
            continue;
        item->value = value;
        item->position = ret->count;
        ret->sorted[ret->count++] = item;
    }
    qsort(ret->sorted, ret->count, sizeof(*ret->sorted), compare_items);
    const struct typed_item *before = NULL;
    for (size_t i = 0; i < ret->count; i++) {
        struct typed_item *item = &ret->list[ret->sorted[i]->position];
        item->is_twin = before && field_element_cmp(&before->element, &item->element) == 0;
        if (item->is_twin)
            ret->list[before->position].twin = item;
        else
            ret->sorted[ret->sorted_count++] = item;
        before = item;
    }
}

const struct typed_item *typed_items_find(const struct typed_items *items,
                                          const struct field_element *element)
{
    size_t low = 0, high = items->sorted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = field_element_cmp(&items->sorted[middle]->element, element);
        if (order == 0)
            return items->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
