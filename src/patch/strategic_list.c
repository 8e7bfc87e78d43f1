/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"
#include "base/cleanup.h"
#include "patch/strategic.h"
#include "patch/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char *go_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "map[string]interface {}";
    case JSON_ARRAY:
        return "[]interface {}";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "int64";
    case JSON_REAL:
        return "float64";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        break;
    }
    return "%!s(<nil>)";
}

int strategic_bad_type(const char *wanted, const json_t *value, struct err *err)
{
    return err_set(err, EPROTO, "expected a %s, but received a %s", wanted, go_type(value));
}

static int missing_key(json_t *map, const char *merge_key, struct err *err)
{
    cleanup_with(text_done) struct text text = {0};
    tree_format(map, false, &text);
    return err_set(err, EPROTO, "map: %s does not contain declared merge key: %s", text_str(&text),
                   merge_key);
}

int strategic_key(json_t *item, const char *merge_key, char **ret, struct err *err)
{
    json_t *value = item;
    if (*merge_key) {
        if (!json_is_object(item))
            return strategic_bad_type("map[string]interface {}", item, err);
        value = json_object_get(item, merge_key);
        if (!value)
            return missing_key(item, merge_key, err);
    }
    /* Go panics over what it cannot compare. */
    if (json_is_object(value) || json_is_array(value))
        return err_set(err, EPROTO, "runtime error: comparing uncomparable type %s", go_type(value));
    *ret = json_dumps(value, JSON_ENCODE_ANY);
    return 0;
}

int strategic_index(json_t *list, const char *merge_key, json_t **ret, struct err *err)
{
    size_t place;
    json_t *item;
    cleanup_with(json_decrefp) json_t *places = json_object();
    json_array_foreach(list, place, item)
    {
        cleanup_free char *key = NULL;
        int status = strategic_key(item, merge_key, &key, err);
        if (status != 0)
            return status;
        if (!json_object_get(places, key))
            json_object_set_new(places, key, json_integer((json_int_t)place));
    }
    *ret = steal_pointer(&places);
    return 0;
}

/* An item of the merged list, and where it stands in the other two; -1: nowhere. */
struct ranked {
    json_t *value;
    long long wanted_place, live_place;
    size_t sequence;
};

static int compare_ranked(const struct ranked *a, const struct ranked *b, long long place_a,
                          long long place_b)
{
    if (place_a != place_b)
        return place_a < place_b ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static int compare_wanted(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return compare_ranked(x, y, x->wanted_place, y->wanted_place);
}

static int compare_live(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return compare_ranked(x, y, x->live_place, y->live_place);
}

static long long place_of(json_t *places, const char *key)
{
    json_t *place = json_object_get(places, key);
    return place ? json_integer_value(place) : -1;
}

/* Fills named from the front with the items that wanted names, and others with the rest. */
static int rank_items(json_t *merged, json_t *wanted_places, json_t *live_places, const char *merge_key,
                      struct ranked *named, struct ranked *others, size_t *ret_named, struct err *err)
{
    size_t index, count = 0;
    json_t *item;
    json_array_foreach(merged, index, item)
    {
        cleanup_free char *key = NULL;
        int status = strategic_key(item, merge_key, &key, err);
        if (status != 0)
            return status;
        struct ranked ranked = {.value = item,
                                .wanted_place = place_of(wanted_places, key),
                                .live_place = place_of(live_places, key),
                                .sequence = index};
        if (ranked.wanted_place >= 0)
            named[count++] = ranked;
        else
            others[index - count] = ranked;
    }
    *ret_named = count;
    return 0;
}

static json_t *weave(const struct ranked *named, size_t named_count, const struct ranked *others,
                     size_t other_count)
{
    json_t *list = json_array();
    size_t i = 0, j = 0;
    while (i < other_count || j < named_count) {
        bool takes_other = j == named_count;
        if (i < other_count && j < named_count)
            takes_other = others[i].live_place >= 0 && others[i].live_place < named[j].live_place;
        json_array_append(list, takes_other ? others[i].value : named[j].value);
        i += takes_other;
        j += !takes_other;
    }
    return list;
}

int strategic_order(json_t *merged, json_t *wanted, json_t *live, const char *merge_key, json_t **ret,
                    struct err *err)
{
    size_t count = json_array_size(merged), named_count;
    cleanup_with(json_decrefp) json_t *wanted_places = NULL, *live_places = NULL;
    int status = strategic_index(wanted, merge_key, &wanted_places, err);
    if (status == 0)
        status = strategic_index(live, merge_key, &live_places, err);
    cleanup_free struct ranked *named = xcalloc(count + 1, sizeof(*named));
    cleanup_free struct ranked *others = xcalloc(count + 1, sizeof(*others));
    if (status == 0)
        status = rank_items(merged, wanted_places, live_places, merge_key, named, others, &named_count, err);
    if (status != 0)
        return status;
    qsort(named, named_count, sizeof(*named), compare_wanted);
    qsort(others, count - named_count, sizeof(*others), compare_live);
    *ret = weave(named, named_count, others, count - named_count);
    return 0;
}

/* Moves *at behind the item that is known by key; false when there is none. */
static int find_next(json_t *wanted, const char *merge_key, const char *key, size_t *at, bool *is_found,
                     struct err *err)
{
    *is_found = false;
    while (!*is_found && *at < json_array_size(wanted)) {
        cleanup_free char *other = NULL;
        int status = strategic_key(json_array_get(wanted, (*at)++), merge_key, &other, err);
        if (status != 0)
            return status;
        *is_found = strcmp(key, other) == 0;
    }
    return 0;
}

static int refuse_order(json_t *list, json_t *wanted, struct err *err)
{
    cleanup_with(text_done) struct text text = {0};
    tree_format(list, false, &text);
    text_add(&text, "\n doesn't match $setElementOrder list:\n");
    tree_format(wanted, false, &text);
    return err_set(err, EPROTO, "The order in patch list:\n%s\n", text_str(&text));
}

int strategic_check_order(json_t *list, json_t *wanted, const char *merge_key, struct err *err)
{
    size_t at = 0, index;
    json_t *item;
    if (json_array_size(wanted) == 0)
        return 0;
    json_array_foreach(list, index, item)
    {
        if (*merge_key && json_object_get(item, "$patch"))
            continue;
        cleanup_free char *key = NULL;
        bool is_found = false;
        int status = strategic_key(item, merge_key, &key, err);
        if (status == 0)
            status = find_next(wanted, merge_key, key, &at, &is_found, err);
        if (status != 0)
            return status;
        if (!is_found)
            return refuse_order(list, wanted, err);
    }
    return 0;
}
