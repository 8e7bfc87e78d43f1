/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/json_type.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "patch/patch.h"
#include "patch/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct patcher {
    json_t *document; /* ours, changed by each operation */
    size_t copied;    /* bytes so far */
    struct err *err;
};

/* One operation, its members borrowed from the patch. */
struct operation {
    const char *path, *from; /* NULL when absent */
    json_t *value;           /* NULL when absent */
};

/* What a pointer names: a container of the document, and a key or an index in it. */
struct target {
    json_t *container; /* borrowed; NULL when the document has no such place */
    char *key;         /* free it */
};

static void target_done(struct target *target)
{
    free(target->key);
}

/* RFC 6901, "~1" and "~0", in place. */
static void unescape(char *token)
{
    char *to = token;
    for (const char *from = token; *from; from++, to++) {
        *to = *from;
        if (from[0] == '~' && (from[1] == '0' || from[1] == '1'))
            *to = *++from == '1' ? '/' : '~';
    }
    *to = '\0';
}

/* A decimal with an optional sign, as Go's strconv.Atoi reads it. */
static int parse_index(const char *key, long long *ret, struct err *err)
{
    const char *digits = key + (*key == '-' || *key == '+');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return err_set(err, EINVAL, "strconv.Atoi: parsing \"%s\": invalid syntax", key);
    errno = 0;
    long long index = strtoll(key, NULL, 10);
    if (errno)
        return err_set(err, EINVAL, "strconv.Atoi: parsing \"%s\": value out of range", key);
    *ret = index;
    return 0;
}

/* A place among count, counted from the end when it is negative. */
static int find_place(const char *key, size_t count, size_t *ret, struct err *err)
{
    long long index = 0, limit = (long long)count;
    int status = parse_index(key, &index, err);
    if (status != 0)
        return status;
    if (index >= limit || index < -limit)
        return err_set(err, EINVAL, "Unable to access invalid index: %lld: invalid index referenced", index);
    *ret = (size_t)(index < 0 ? index + limit : index);
    return 0;
}

/* *ret is borrowed, NULL for a missing member of an object, which is no failure. */
static int container_get(json_t *container, const char *key, json_t **ret, struct err *err)
{
    if (json_is_object(container)) {
        *ret = json_object_get(container, key);
        return 0;
    }
    size_t place;
    int status = find_place(key, json_array_size(container), &place, err);
    if (status == 0)
        *ret = json_array_get(container, place);
    return status;
}

/* Takes value. */
static int container_add(json_t *container, const char *key, json_t *value, struct err *err)
{
    if (json_is_object(container)) {
        json_object_set_new(container, key, value);
        return 0;
    }
    size_t count = json_array_size(container), place = count;
    int status = strcmp(key, "-") == 0 ? 0 : find_place(key, count + 1, &place, err);
    if (status == 0)
        json_array_insert_new(container, place, value);
    else
        json_decref(value);
    return status;
}

static int container_remove(json_t *container, const char *key, struct err *err)
{
    if (json_is_object(container)) {
        if (json_object_del(container, key) != 0)
            return err_set(err, EINVAL, "Unable to remove nonexistent key: %s: missing value", key);
        return 0;
    }
    size_t place;
    int status = find_place(key, json_array_size(container), &place, err);
    if (status == 0)
        json_array_remove(container, place);
    return status;
}

/* Walks to the container of what pointer names. What stands before the first "/" is passed over. */
static void find_target(json_t *document, const char *pointer, struct target *ret)
{
    const char *slash = strchr(pointer, '/');
    if (!slash)
        return;
    cleanup_free char *tokens = xstrdup(slash + 1);
    json_t *container = document;
    char *token = tokens;
    for (char *end; container && (end = strchr(token, '/')); token = end + 1) {
        json_t *next = NULL;
        *end = '\0';
        unescape(token);
        if (container_get(container, token, &next, NULL) != 0)
            return;
        container = json_is_object(next) || json_is_array(next) ? next : NULL;
    }
    if (!container)
        return;
    unescape(token);
    ret->container = container;
    ret->key = xstrdup(token);
}

/* A value of the patch as a part of the document; nothing given is null. */
static json_t *copy_value(json_t *value)
{
    return value ? json_deep_copy(value) : json_null();
}

static int missing_path(struct patcher *patcher, const char *operation)
{
    return err_set(patcher->err, EINVAL, "%s operation failed to decode path: missing value", operation);
}

static int apply_add(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->path)
        return missing_path(patcher, "add");
    cleanup_with(target_done) struct target target = {0};
    find_target(patcher->document, operation->path, &target);
    if (!target.container)
        return err_set(patcher->err, EINVAL,
                       "add operation does not apply: doc is missing path: \"%s\": missing value",
                       operation->path);
    int status = container_add(target.container, target.key, copy_value(operation->value), patcher->err);
    return status == 0 ? 0 : err_prefix(patcher->err, status, "error in add for path: '%s'", operation->path);
}

static int apply_remove(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->path)
        return missing_path(patcher, "remove");
    cleanup_with(target_done) struct target target = {0};
    find_target(patcher->document, operation->path, &target);
    if (!target.container)
        return err_set(patcher->err, EINVAL,
                       "remove operation does not apply: doc is missing path: \"%s\": missing value",
                       operation->path);
    int status = container_remove(target.container, target.key, patcher->err);
    return status == 0 ? 0
                       : err_prefix(patcher->err, status, "error in remove for path: '%s'", operation->path);
}

static int replace_document(struct patcher *patcher, json_t *value)
{
    if (!json_is_object(value) && !json_is_array(value))
        return err_set(patcher->err, EINVAL, "replace operation value must be object or array");
    json_decref(patcher->document);
    patcher->document = json_deep_copy(value);
    return 0;
}

static int apply_replace(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->path)
        return missing_path(patcher, "replace");
    if (!*operation->path)
        return replace_document(patcher, operation->value);
    cleanup_with(target_done) struct target target = {0};
    find_target(patcher->document, operation->path, &target);
    if (!target.container)
        return err_set(patcher->err, EINVAL,
                       "replace operation does not apply: doc is missing path: %s: missing value",
                       operation->path);
    if (json_is_object(target.container)) {
        json_object_set_new(target.container, target.key, copy_value(operation->value));
        return 0;
    }
    size_t place;
    if (find_place(target.key, json_array_size(target.container), &place, NULL) != 0)
        return err_set(patcher->err, EINVAL,
                       "replace operation does not apply: doc is missing key: %s: missing value",
                       operation->path);
    json_array_set_new(target.container, place, copy_value(operation->value));
    return 0;
}

static int apply_move(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->from)
        return err_set(patcher->err, EINVAL, "move operation failed to decode from: missing value");
    cleanup_with(target_done) struct target source = {0}, target = {0};
    find_target(patcher->document, operation->from, &source);
    if (!source.container)
        return err_set(patcher->err, EINVAL,
                       "move operation does not apply: doc is missing from path: %s: missing value",
                       operation->from);
    json_t *borrowed = NULL;
    int status = container_get(source.container, source.key, &borrowed, patcher->err);
    cleanup_with(json_decrefp) json_t *value = json_incref(borrowed);
    if (status == 0)
        status = container_remove(source.container, source.key, patcher->err);
    if (status != 0)
        return err_prefix(patcher->err, status, "error in move for path: '%s'", source.key);
    if (!operation->path)
        return missing_path(patcher, "move");
    find_target(patcher->document, operation->path, &target);
    if (!target.container)
        return err_set(patcher->err, EINVAL,
                       "move operation does not apply: doc is missing destination path: %s: missing value",
                       operation->path);
    status = container_add(target.container, target.key, steal_pointer(&value), patcher->err);
    return status == 0 ? 0
                       : err_prefix(patcher->err, status, "error in move for path: '%s'", operation->path);
}

static int apply_copy(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->from)
        return err_set(patcher->err, EINVAL, "copy operation failed to decode from: missing value");
    cleanup_with(target_done) struct target source = {0}, target = {0};
    find_target(patcher->document, operation->from, &source);
    if (!source.container)
        return err_set(patcher->err, EINVAL,
                       "copy operation does not apply: doc is missing from path: %s: missing value",
                       operation->from);
    json_t *value = NULL;
    int status = container_get(source.container, source.key, &value, patcher->err);
    if (status != 0)
        return err_prefix(patcher->err, status, "error in copy for from: '%s'", operation->from);
    if (!operation->path)
        return missing_path(patcher, "copy");
    find_target(patcher->document, operation->path, &target);
    if (!target.container)
        return err_set(patcher->err, EINVAL,
                       "copy operation does not apply: doc is missing destination path: %s: missing value",
                       operation->path);
    patcher->copied += json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (patcher->copied > PATCH_GROWTH_MAX)
        return err_set(patcher->err, EINVAL,
                       "Unable to complete the copy, the accumulated size increase of copy is %zu, exceeding "
                       "the limit %zu",
                       patcher->copied, PATCH_GROWTH_MAX);
    status = container_add(target.container, target.key, copy_value(value), patcher->err);
    return status == 0 ? 0 : err_prefix(patcher->err, status, "error while adding value during copy");
}

/* A missing member equals null. */
static int apply_test(struct patcher *patcher, const struct operation *operation)
{
    if (!operation->path)
        return missing_path(patcher, "test");
    cleanup_with(target_done) struct target target = {0};
    json_t *value = patcher->document;
    if (*operation->path) {
        find_target(patcher->document, operation->path, &target);
        if (!target.container)
            return err_set(patcher->err, EINVAL,
                           "test operation does not apply: is missing path: %s: missing value",
                           operation->path);
        int status = container_get(target.container, target.key, &value, patcher->err);
        if (status != 0)
            return err_prefix(patcher->err, status, "error in test for path: '%s'", operation->path);
    }
    json_t *wanted = operation->value ? operation->value : json_null();
    if (json_equal(value ? value : json_null(), wanted))
        return 0;
    return err_set(patcher->err, EINVAL, "testing value %s failed: test failed", operation->path);
}

static const struct {
    const char *name;
    int (*apply)(struct patcher *patcher, const struct operation *operation);
} operation_kinds[] = {{"add", apply_add},   {"remove", apply_remove}, {"replace", apply_replace},
                       {"move", apply_move}, {"copy", apply_copy},     {"test", apply_test}};

static int apply(struct patcher *patcher, json_t *operation)
{
    const char *name = json_string_value(json_object_get(operation, "op"));
    const struct operation parts = {.path = json_string_value(json_object_get(operation, "path")),
                                    .from = json_string_value(json_object_get(operation, "from")),
                                    .value = json_object_get(operation, "value")};
    for (size_t i = 0; name && i < ARRAY_LEN(operation_kinds); i++)
        if (strcmp(operation_kinds[i].name, name) == 0)
            return operation_kinds[i].apply(patcher, &parts);
    return err_set(patcher->err, EINVAL, "Unexpected kind: %s", name ? name : "unknown");
}

/* Types, as Go's decoder checks them before anything is applied; null stands for nothing everywhere. */
static int check_operations(json_t *operations, struct err *err)
{
    static const char *const names[] = {"op", "path", "from"};
    size_t index;
    json_t *operation;
    if (!json_is_array(operations))
        return err_set(err, EBADMSG,
                       "error decoding patch: json: cannot unmarshal %s into Go value of type "
                       "[]handlers.jsonPatchOp",
                       json_type_name(operations));
    json_array_foreach(operations, index, operation)
    {
        if (!json_is_object(operation) && !json_is_null(operation))
            return err_set(err, EBADMSG,
                           "error decoding patch: json: cannot unmarshal %s into Go value of type "
                           "handlers.jsonPatchOp",
                           json_type_name(operation));
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            json_t *member = json_object_get(operation, names[i]);
            if (member && !json_is_string(member) && !json_is_null(member))
                return err_set(err, EBADMSG,
                               "error decoding patch: json: cannot unmarshal %s into Go struct field "
                               "jsonPatchOp.%s of type string",
                               json_type_name(member), names[i]);
        }
    }
    if (json_array_size(operations) > PATCH_OPERATIONS_MAX)
        return err_set(err, EFBIG, "The allowed maximum operations in a JSON patch is %d, got %zu",
                       PATCH_OPERATIONS_MAX, json_array_size(operations));
    return tree_is_deeper(operations, PATCH_DEPTH_MAX) ? err_set(err, EBADMSG, "the patch is nested too deep")
                                                       : 0;
}

static int apply_all(struct patcher *patcher, json_t *operations)
{
    size_t index;
    json_t *operation;
    json_array_foreach(operations, index, operation)
    {
        int status = apply(patcher, operation);
        if (status != 0)
            return status;
    }
    return tree_is_deeper(patcher->document, PATCH_DEPTH_MAX)
               ? err_set(patcher->err, EINVAL, "the patched document is nested too deep")
               : 0;
}

int patch_json(json_t *document, json_t *operations, json_t **ret, struct err *err)
{
    int status = check_operations(operations, err);
    if (status == 0 && tree_is_deeper(document, PATCH_DEPTH_MAX))
        status = err_set(err, EINVAL, "the document is nested too deep");
    if (status != 0)
        return status;
    struct patcher patcher = {.document = json_deep_copy(document), .err = err};
    status = apply_all(&patcher, operations);
    if (status == 0) {
        *ret = patcher.document;
        return 0;
    }
    json_decref(patcher.document);
    tree_trim_sentence(err);
    return status;
}
