/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/json_type.h"
#include "base/cleanup.h"
#include "patch/field_set.h"
#include "patch/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* FieldsV1 is a tree of objects. A key says what an element is: "f:NAME", "k:{...}", "v:VALUE", "i:INDEX". An
 * element is a member when nothing is below it, or when "." is. */

static void format_key(const struct field_element *element, struct text *text)
{
    cleanup_free char *value = NULL;
    switch (element->kind) {
    case FIELD_NAME:
        text_printf(text, "f:%s", element->name);
        return;
    case FIELD_KEY:
    case FIELD_VALUE:
        value = json_dumps(element->value, JSON_COMPACT | JSON_ENCODE_ANY);
        text_printf(text, "%c:%s", element->kind == FIELD_KEY ? 'k' : 'v', value);
        return;
    case FIELD_INDEX:
        text_printf(text, "i:%lld", element->index);
    }
}

json_t *field_set_encode(const struct field_set *set)
{
    json_t *object = json_object();
    for (size_t i = 0; set && i < set->count; i++) {
        const struct field_entry *entry = &set->entries[i];
        struct text key = {0};
        json_t *below = field_set_encode(entry->below);
        if (entry->is_member && entry->below) {
            json_t *with_self = json_pack("{s{}}", ".");
            json_object_update(with_self, below);
            json_decref(below);
            below = with_self;
        }
        format_key(&entry->element, &key);
        json_object_set_new(object, text_str(&key), below);
        text_done(&key);
    }
    return object;
}

static int decode_key(struct field_scope *scope, const char *text, struct field_element *ret, struct err *err)
{
    cleanup_with(json_decrefp) json_t *key = json_loads(text, 0, NULL);
    if (!json_is_object(key) || tree_is_deeper(key, 8))
        return err_set(err, EINVAL, "parsing key as path element: not an object: %s", text);
    cleanup_free const char **names = tree_sorted_keys(key);
    json_t *sorted = json_object();
    for (size_t i = 0; i < json_object_size(key); i++)
        json_object_set(sorted, names[i], json_object_get(key, names[i]));
    *ret = field_key(scope, sorted);
    return 0;
}

static int decode_value(struct field_scope *scope, const char *text, struct field_element *ret,
                        struct err *err)
{
    cleanup_with(json_decrefp) json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value || tree_is_deeper(value, 8))
        return err_set(err, EINVAL, "parsing key as path element: not a value: %s", text);
    *ret = field_value(scope, value);
    return 0;
}

/* 0 with *is_known false for a kind of a later version. */
static int decode_element(struct field_scope *scope, const char *text, struct field_element *ret,
                          bool *is_known, struct err *err)
{
    char *end;
    *is_known = true;
    if (strlen(text) < 2)
        return err_set(err, EINVAL, "parsing key as path element: key must be 2 characters long:");
    if (text[1] != ':')
        return err_set(err, EINVAL, "parsing key as path element: missing colon: %s", text);
    switch (text[0]) {
    case 'f':
        *ret = field_name(scope, text + 2);
        return 0;
    case 'k':
        return decode_key(scope, text + 2, ret, err);
    case 'v':
        return decode_value(scope, text + 2, ret, err);
    case 'i':
        errno = 0;
        *ret = (struct field_element){.kind = FIELD_INDEX, .index = strtoll(text + 2, &end, 10)};
        if (errno || end == text + 2 || *end)
            return err_set(err, EINVAL, "parsing key as path element: not an index: %s", text);
        return 0;
    default:
        *is_known = false;
        return 0;
    }
}

static int decode_set(struct field_scope *scope, json_t *fields, const struct field_set **ret,
                      bool *ret_is_member, struct err *err)
{
    struct field_entries entries = {0};
    const char *key;
    json_t *value;
    bool is_member = false;
    if (!json_is_object(fields) && !json_is_null(fields))
        return err_set(err, EINVAL, "an object is wanted, not %s", json_type_name(fields));
    json_object_foreach(fields, key, value)
    {
        struct field_entry entry = {0};
        bool is_known = false;
        int status = 0;
        if (strcmp(key, ".") == 0)
            is_member = true;
        else
            status = decode_element(scope, key, &entry.element, &is_known, err);
        if (status == 0 && is_known)
            status = decode_set(scope, value, &entry.below, &entry.is_member, err);
        if (status != 0)
            return status;
        field_entries_add(scope, &entries, entry);
    }
    *ret = field_set_build(scope, &entries);
    *ret_is_member = is_member || !*ret;
    return 0;
}

int field_set_decode(struct field_scope *scope, json_t *fields, const struct field_set **ret, struct err *err)
{
    bool is_member;
    return decode_set(scope, fields, ret, &is_member, err);
}
