/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/json_type.h"
#include "patch/patch.h"
#include "patch/tree.h"

#include <errno.h>

static json_t *copy_without_nulls(json_t *value)
{
    json_t *copy = json_deep_copy(value);
    tree_drop_nulls(copy);
    return copy;
}

static void merge(json_t *document, json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach(patch, key, value)
    {
        json_t *current = json_object_get(document, key);
        if (json_is_null(value))
            json_object_del(document, key);
        else if (json_is_object(current) && json_is_object(value))
            merge(current, value);
        else if (json_is_object(current))
            json_object_set_new(document, key, json_deep_copy(value));
        else
            json_object_set_new(document, key, copy_without_nulls(value));
    }
}

int patch_merge(json_t *document, json_t *patch, json_t **ret, struct err *err)
{
    if (json_is_null(patch))
        return err_set(err, EBADMSG, "Invalid JSON Patch");
    if (!json_is_object(patch))
        return err_set(err, EBADMSG,
                       "error decoding patch: json: cannot unmarshal %s into Go value of type "
                       "map[string]interface {}",
                       json_type_name(patch));
    if (tree_is_deeper(patch, PATCH_DEPTH_MAX))
        return err_set(err, EBADMSG, "the patch is nested too deep");
    if (tree_is_deeper(document, PATCH_DEPTH_MAX))
        return err_set(err, EINVAL, "the document is nested too deep");
    json_t *result = json_is_object(document) ? json_deep_copy(document) : json_object();
    merge(result, patch);
    *ret = result;
    return 0;
}
