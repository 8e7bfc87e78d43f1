/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/tree.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <string.h>

bool tree_is_deeper(const json_t *tree, unsigned limit)
{
    if (!json_is_object(tree) && !json_is_array(tree))
        return false;
    if (limit == 0)
        return true;
    const char *key;
    json_t *value;
    size_t index;
    json_object_foreach((json_t *)tree, key, value) if (tree_is_deeper(value, limit - 1)) return true;
    json_array_foreach(tree, index, value) if (tree_is_deeper(value, limit - 1)) return true;
    return false;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **tree_sorted_keys(json_t *object)
{
    size_t count = json_object_size(object), i = 0;
    if (!count)
        return NULL;
    const char **keys = xcalloc(count, sizeof(*keys));
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) keys[i++] = key;
    qsort(keys, count, sizeof(*keys), compare_strings);
    return keys;
}

static int compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

static int compare_arrays(const json_t *a, const json_t *b)
{
    size_t count_a = json_array_size(a), count_b = json_array_size(b);
    for (size_t i = 0; i < count_a && i < count_b; i++) {
        int order = tree_compare(json_array_get(a, i), json_array_get(b, i));
        if (order)
            return order;
    }
    return (count_a > count_b) - (count_a < count_b);
}

static int compare_objects(const json_t *a, const json_t *b)
{
    cleanup_free const char **keys_a = tree_sorted_keys((json_t *)a);
    cleanup_free const char **keys_b = tree_sorted_keys((json_t *)b);
    size_t count_a = json_object_size(a), count_b = json_object_size(b);
    for (size_t i = 0; i < count_a && i < count_b; i++) {
        int order = strcmp(keys_a[i], keys_b[i]);
        if (!order)
            order = tree_compare(json_object_get(a, keys_a[i]), json_object_get(b, keys_b[i]));
        if (order)
            return order;
    }
    return (count_a > count_b) - (count_a < count_b);
}

/* The place of a value's type in the order. */
static int type_rank(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
    case JSON_REAL:
        return 0;
    case JSON_STRING:
        return 1;
    case JSON_TRUE:
    case JSON_FALSE:
        return 2;
    case JSON_ARRAY:
        return 3;
    case JSON_OBJECT:
        return 4;
    case JSON_NULL:
        break;
    }
    return 5;
}

int tree_compare(const json_t *a, const json_t *b)
{
    int rank = type_rank(a), other_rank = type_rank(b);
    if (rank != other_rank)
        return rank < other_rank ? -1 : 1;
    switch (rank) {
    case 0:
        return compare_numbers(a, b);
    case 1:
        return strcmp(json_string_value(a), json_string_value(b));
    case 2:
        return json_is_true(a) - json_is_true(b);
    case 3:
        return compare_arrays(a, b);
    case 4:
        return compare_objects(a, b);
    default:
        return 0;
    }
}

void tree_drop_nulls(json_t *tree)
{
    const char *key;
    json_t *value;
    void *next;
    size_t index;
    json_object_foreach_safe(tree, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(tree, key);
        else
            tree_drop_nulls(value);
    }
    json_array_foreach(tree, index, value) tree_drop_nulls(value);
}

static void add_quoted(const char *string, struct text *text)
{
    cleanup_with(json_decrefp) json_t *value = json_string(string);
    cleanup_free char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    text_add(text, quoted);
}

static void format_object(json_t *object, bool is_syntax, struct text *text)
{
    cleanup_free const char **keys = tree_sorted_keys(object);
    text_add(text, is_syntax ? "map[string]interface {}{" : "map[");
    for (size_t i = 0; i < json_object_size(object); i++) {
        if (i)
            text_add(text, is_syntax ? ", " : " ");
        if (is_syntax)
            add_quoted(keys[i], text);
        else
            text_add(text, keys[i]);
        text_add(text, ":");
        tree_format(json_object_get(object, keys[i]), is_syntax, text);
    }
    text_add(text, is_syntax ? "}" : "]");
}

static void format_array(json_t *array, bool is_syntax, struct text *text)
{
    size_t index;
    json_t *value;
    text_add(text, is_syntax ? "[]interface {}{" : "[");
    json_array_foreach(array, index, value)
    {
        if (index)
            text_add(text, is_syntax ? ", " : " ");
        tree_format(value, is_syntax, text);
    }
    text_add(text, is_syntax ? "}" : "]");
}

void tree_format(json_t *tree, bool is_syntax, struct text *text)
{
    switch (json_typeof(tree)) {
    case JSON_OBJECT:
        format_object(tree, is_syntax, text);
        break;
    case JSON_ARRAY:
        format_array(tree, is_syntax, text);
        break;
    case JSON_STRING:
        if (is_syntax)
            add_quoted(json_string_value(tree), text);
        else
            text_add(text, json_string_value(tree));
        break;
    case JSON_INTEGER:
        text_printf(text, "%lld", (long long)json_integer_value(tree));
        break;
    case JSON_REAL:
        text_printf(text, "%.15g", json_real_value(tree));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        text_add(text, json_is_true(tree) ? "true" : "false");
        break;
    case JSON_NULL:
        text_add(text, is_syntax ? "interface {}(nil)" : "<nil>");
        break;
    }
}

void tree_trim_sentence(struct err *err)
{
    size_t len = err ? strlen(err->text) : 0, start = len;
    if (len + 1 < sizeof(err->text))
        return;
    while (start > 0 && len - start < 3 && ((unsigned char)err->text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)err->text[start - 1] < 0xc0)
        return;
    unsigned char lead = (unsigned char)err->text[start - 1];
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (len - (start - 1) < wanted)
        err->text[start - 1] = '\0';
}
